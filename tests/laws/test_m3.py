"""Readout correction of samples: unbiased, honest about its errors, and M3 as mthree solves it.

Expectation values come from the inverse of the confusion matrices shot by shot, with the readout learned anew in
every repetition. False-alarm rates: 6e-5 for each mean (4 standard errors), those of coverage in `repetitions`.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from mthree import M3Mitigation
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import RXGate, RZZGate
from qiskit.quantum_info import Operator, Pauli, SparsePauliOp, Statevector, pauli_basis
from repetitions import COUNTS, check_coverage, check_unbiased

from quell import Sampler
from quell.kernels.confusion import Confusion
from quell.kernels.outcomes import Outcomes
from quell.kernels.quasi import reduced_inverse
from quell.primitives.quasi import QuasiDistribution
from quell.testing import ExactSampler, ReadoutModel

SUM = {"ZIIII": 1.0, "IZIII": 1.0, "IIZII": 1.0, "IIIZZ": 0.5, "ZIIIZ": -0.7}
LABELS = ["IIIIZ", "IZZII", "ZZZZZ", "00000", SUM]
MEASURED = {"enable_measure": True}


def circuit(num_qubits: int = 5) -> QuantumCircuit:
    """Return an entangled state in which no Z observable is trivial."""
    qc = QuantumCircuit(num_qubits)
    for q in range(num_qubits):
        qc.ry(0.5 + 0.1 * q, q)
    for q in range(num_qubits - 1):
        qc.cx(q, q + 1)
    return qc


def exact(qc: QuantumCircuit, observables) -> np.ndarray:
    """Return noiseless values of observables with letters I, Z, 0 and 1."""
    probabilities = Statevector(qc).probabilities()
    letters = {"I": [1, 1], "Z": [1, -1], "0": [1, 0], "1": [0, 1]}
    sums = [{o: 1.0} if isinstance(o, str) else o for o in observables]
    return np.array(
        [
            sum(c * probabilities @ reduce(np.kron, [letters[x] for x in k]) for k, c in s.items())
            for s in sums
        ]
    )


def uneven(num_qubits: int = 5) -> ReadoutModel:
    rng = np.random.default_rng(3)
    return ReadoutModel(rng.uniform((0.01, 0.03), (0.03, 0.08), (num_qubits, 2)))


def corrected(qc, observables, count, *, shots=1024, seed=0, calibration=None, twirling=None, **noise):
    """Return values and errors of repeated runs, readout learned in each, float64 ``(count, observables)``."""
    options = {"resilience": {"measure_mitigation": True}, "default_shots": shots}
    options |= {"calibration": calibration or {}, "twirling": twirling or {}}
    measured = qc.measure_all(inplace=False)
    found = []
    for s in range(seed, seed + count):
        result = Sampler(ExactSampler(s, **noise), {**options, "seed": s}).run([measured]).result()[0]
        found.append(result.quasi_distribution().expectation_values(observables))
    values, errors = np.array(found).swapaxes(0, 1)
    return values, errors


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("twirling", [None, MEASURED], ids=["plain", "twirled"])
def test_readout_errors_are_removed(twirling, count):
    """Twirled: the matrices are symmetrised, and the spread of 32 members is the error bar."""
    values, errors = corrected(circuit(), LABELS, count, twirling=twirling, readout=uneven())
    truth = exact(circuit(), LABELS)
    check_unbiased(values, truth)
    check_coverage(values, errors, truth)
    raw = circuit().measure_all(inplace=False)
    shots = 10**5
    read = Sampler(ExactSampler(0, readout=uneven())).run([raw], shots=shots).result()[0].data.meas
    off = np.abs(read.expectation_values(LABELS[:3]) - truth[:3])
    assert (off > 4 / np.sqrt(shots)).all(), "raw values should be wrong"


@pytest.mark.parametrize("count", COUNTS)
def test_twirled_members_that_are_misread_differently(count):
    """Only ones are misread, so that what a member reads depends on its flips."""
    model, labels = ReadoutModel.uniform(5, 0.0, 0.2), ["IIIIZ", "IZZII", "ZZZZZ", SUM]
    values, errors = corrected(circuit(), labels, count, shots=8192, twirling=MEASURED, readout=model)
    truth = exact(circuit(), labels)
    check_unbiased(values, truth)
    check_coverage(values, errors, truth)


@pytest.mark.parametrize(
    "twirling", [{"num_randomizations": 1}, {"num_randomizations": 8, "group": "balanced_pauli"}]
)
def test_with_hardly_any_degrees_of_freedom_error_bars_are_large_enough(twirling):
    """One member, whose flips are known; two blocks of four. False alarm (88 % of 150 intervals) below 1e-3."""
    model, labels = ReadoutModel.uniform(2, 0.02, 0.1), ["IZ", "ZZ"]
    values, errors = corrected(
        QuantumCircuit(2), labels, 150, shots=4000, twirling={**MEASURED, **twirling}, readout=model
    )
    covered = np.mean(np.abs(values - 1) < 1.96 * errors, axis=0)
    print(f"\ncoverage of 150: {np.round(100 * covered, 1)} %")
    assert (covered > 0.88).all()


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("randomizations", [32, 6])
def test_coherent_errors_differ_between_members_of_a_gate_twirl(randomizations, count):
    """Members have the error in different frames: shots alone would promise too much. Six need Student's factor."""
    qc = QuantumCircuit(2)
    qc.ry(0.6, 0)
    qc.ry(1.1, 1)
    qc.cx(0, 1)
    error = Operator(RZZGate(0.5)) @ Operator(RXGate(0.4)).expand(Operator(np.eye(2)))
    frames = [Operator(p).data for p in pauli_basis(2)]
    labels = ["ZZ", "IZ", "ZI"]
    states = [Statevector(qc).evolve(Operator(f @ error.data @ f)) for f in frames]
    truth = [np.mean([s.expectation_value(Pauli(p)).real for s in states]) for p in labels]
    twirling = {**MEASURED, "enable_gates": True, "num_randomizations": randomizations}
    twirling["shots_per_randomization"] = 1024 // randomizations
    noise = {"readout": uneven(2), "gate_errors": {"cx": error.data}}
    values, errors = corrected(
        qc, labels, count, shots=1024 // randomizations * randomizations, twirling=twirling, **noise
    )
    check_unbiased(values, truth)
    check_coverage(values, errors, truth)


def correlated() -> ReadoutModel:
    """Return qubits 0 and 1 flipped together, and 2, 3, 4 in patterns, besides flips of each."""
    pattern = [0.93, 0, 0, 0.03, 0, 0, 0.02, 0.02]
    return uneven().with_pair_flip(0, 1, 0.05).with_pattern((2, 3, 4), pattern)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("twirling", [None, MEASURED], ids=["plain", "twirled"])
def test_groups_know_of_qubits_that_are_misread_together(twirling, count):
    labels = ["IIIZZ", "IZZII", "ZZZZZ", "00IIZ", {"IIIIZ": 1.0, "IIIZI": 1.0, "IIIZZ": 1.0}]
    groups = {"groups": [[1, 0], [2, 4, 3]]}
    values, errors = corrected(
        circuit(), labels, count, calibration=groups, twirling=twirling, readout=correlated()
    )
    truth = exact(circuit(), labels)
    check_unbiased(values, truth)
    check_coverage(values, errors, truth)


def test_correlated_readout_without_groups_leaves_a_bias():
    labels = ["IIIZZ", "IZZII"]
    values, _ = corrected(circuit(), labels, 60, readout=correlated())
    off = np.abs(values.mean(axis=0) - exact(circuit(), labels)) / (values.std(axis=0) / np.sqrt(60))
    assert (off > 8).all(), f"only {off} standard errors"


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("twirling", [None, MEASURED], ids=["plain", "twirled"])
def test_a_calibration_of_few_shots_is_in_the_error_bars(twirling, count):
    """The state has no spread of its own: 8 times as many shots of data, and most of the error is calibration."""
    qc = QuantumCircuit(5)
    qc.x([0, 2])
    labels = ["IIIIZ", "IZZII", "ZZZZZ", {"ZIIII": 1.0, "IZIII": 1.0, "IIZII": -1.0}]
    truth = exact(qc, labels)
    values, errors = corrected(
        qc, labels, count, shots=4096, calibration={"shots": 512}, twirling=twirling, readout=uneven()
    )
    check_coverage(values, errors, truth)
    data, _ = corrected(
        qc, labels, 40, shots=4096, calibration={"shots": 2**16}, twirling=twirling, readout=uneven()
    )
    assert (values.var(axis=0) > 4 * data.var(axis=0)).all(), "the calibration should dominate"


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("twirling", [None, MEASURED], ids=["plain", "twirled"])
def test_every_set_of_parameters_is_corrected(twirling, count):
    """One calibration for all of them; the shots of each are its own."""
    a, b = Parameter("a"), Parameter("b")
    qc = QuantumCircuit(2)
    qc.ry(a, 0)
    qc.cx(0, 1)
    qc.ry(b, 1)
    sets = np.array([[[0.4, 0.3], [2.2, 1.0]]])
    labels = ["ZZ", "IZ", "10"]
    options = {"resilience": {"measure_mitigation": True}, "twirling": twirling or {}}
    measured = qc.measure_all(inplace=False)
    found = []
    for s in range(count):
        sampler = Sampler(ExactSampler(s, readout=uneven(2)), {**options, "seed": s})
        result = sampler.run([(measured, sets, 512)]).result()[0]
        found.append([result.quasi_distribution(loc=(0, i)).expectation_values(labels) for i in range(2)])
    values, errors = np.array(found).transpose(2, 0, 1, 3)
    truth = np.array([exact(qc.assign_parameters(v), labels) for v in sets[0]])
    check_unbiased(values, truth)
    check_coverage(values, errors, truth)


def test_bits_measured_on_the_way_are_left_as_they_are():
    """Values within 5 standard errors of what is read and of the truth: false alarm 1.2e-6."""
    aer = pytest.importorskip("qiskit_aer")
    noise = aer.noise.NoiseModel()
    noise.add_all_qubit_readout_error(aer.noise.ReadoutError([[0.97, 0.03], [0.1, 0.9]]))
    qc = QuantumCircuit(2, 3)
    qc.x(0)
    qc.measure(0, 0)
    qc.ry(1.0, 1)
    qc.measure([0, 1], [1, 2])
    shots = 20_000
    options = {"resilience": {"measure_mitigation": True}, "simulator": {"seed_simulator": 5}, "seed": 5}
    sampler = Sampler(aer.AerSimulator(noise_model=noise), options)
    result = sampler.run([qc], shots=shots).result()[0]
    quasi = result.quasi_distribution()
    assert result.metadata["readout_correction"]["uncorrected_bits"] == [0]
    # the first bit is read as 1 in 90 % of the shots, and that is not touched
    read = result.data.c.expectation_values(["IIZ", "IZI"])
    assert quasi.expectation_value("IIZ") == pytest.approx(read[0], abs=1e-12)
    assert abs(read[0] + 0.8) < 5 * 0.6 / np.sqrt(shots)
    assert abs(read[1] + 0.8) < 5 * 0.6 / np.sqrt(shots)
    values, errors = quasi.expectation_values(["IZI", "ZII", "IZZ"])
    assert (np.abs(values - [-1, np.cos(1.0), 0.8]) < 5 * errors).all()
    assert (errors < 0.02).all()
    assert sum(value for key, value in quasi.items() if key[2] == "0") == pytest.approx(0.1, abs=0.011)


# --- M3's own quasi-probabilities -----------------------------------------------------------------------


def theirs(counts, matrices) -> dict[str, float]:
    solver = M3Mitigation()
    solver.cals_from_matrices(matrices)
    return solver.apply_correction(counts, range(len(matrices)))


def matrices_of(quasi: QuasiDistribution) -> list[np.ndarray]:
    """Return what the merged shots saw: where they were twirled, the mean over the flips that were drawn."""
    flips, members = quasi.outcomes.flips, quasi.outcomes.members
    by_bit = {c.bits[0]: c.twirled(flips, members).matrix for c in quasi.confusions}
    return [by_bit[bit] for bit in range(quasi.num_bits)]


@pytest.mark.parametrize(
    ("num_qubits", "shots", "twirling"),
    [
        (3, 300, None),
        (3, 300, MEASURED),
        (12, 4000, None),
        (12, 4000, MEASURED),
        pytest.param(30, 18_000, None, marks=pytest.mark.slow),
    ],
)
def test_quasi_probabilities_are_those_of_mthree(num_qubits, shots, twirling):
    """Below and above the number of outcomes from which on mthree iterates."""
    qc = QuantumCircuit(num_qubits)
    qc.h(0)
    for q in range(num_qubits - 1):
        qc.cx(q, q + 1)
    model = ReadoutModel.uniform(num_qubits, 0.03, 0.08)
    options = {"resilience": {"measure_mitigation": True}, "twirling": twirling or {}, "seed": 1}
    sampler = Sampler(ExactSampler(2, readout=model), options)
    result = sampler.run([qc.measure_all(inplace=False)], shots=shots).result()[0]
    quasi, counts = result.quasi_distribution(), result.data.meas.get_counts()
    expected = theirs(counts, matrices_of(quasi))
    assert quasi.keys() == expected.keys() == counts.keys()
    assert (num_qubits == 30) == (len(counts) > 4096)
    assert max(abs(quasi[key] - value) for key, value in expected.items()) <= 1e-6
    given = QuasiDistribution.from_counts(counts, matrices_of(quasi))
    assert max(abs(given[key] - value) for key, value in expected.items()) <= 1e-6
    assert sum(quasi.values()) == pytest.approx(1, abs=1e-3)


def outcomes_of(num_bits: int, shots: int, seed: int = 0) -> Outcomes:
    """Return shots around two opposite outcomes, all errors with a neighbour."""
    rng = np.random.default_rng(seed)
    ends = rng.integers(0, 2, (shots, 1), dtype=np.uint8)
    return Outcomes.of(ends ^ (rng.random((shots, num_bits)) < 0.12).astype(np.uint8))


def counts_of(outcomes: Outcomes) -> dict[str, int]:
    keys = ["".join(map(str, row[::-1])) for row in outcomes.bits]
    return dict(zip(keys, outcomes.counts.tolist(), strict=True))


def random_matrices(num_bits: int, seed: int = 1) -> list[np.ndarray]:
    flips = np.random.default_rng(seed).uniform(0.01, 0.12, (num_bits, 2))
    return [np.array([[1 - a, b], [a, 1 - b]]) for a, b in flips]


def test_with_all_outcomes_read_it_is_the_inverse_of_the_whole_matrix():
    outcomes, matrices = outcomes_of(3, 5000), random_matrices(3)
    assert len(outcomes.bits) == 8
    counts = counts_of(outcomes)
    read = np.array([counts[f"{i:03b}"] for i in range(8)]) / 5000
    expected = np.linalg.solve(np.kron(matrices[2], np.kron(matrices[1], matrices[0])), read)
    quasi = QuasiDistribution.from_counts(counts, matrices)
    assert [quasi[f"{i:03b}"] for i in range(8)] == pytest.approx(expected, abs=1e-6)
    whole = quasi.marginal([0, 1, 2])
    assert [whole[f"{i:03b}"] for i in range(8)] == pytest.approx(expected, abs=1e-12)
    operator = SparsePauliOp(["ZIZ", "IZI"], [0.5, 2.0])
    assert quasi.expectation_value(operator) == pytest.approx(operator.to_matrix().diagonal().real @ expected)


@pytest.mark.parametrize(
    ("num_bits", "shots"), [(6, 3000), (20, 3000), (20, 5500)], ids=["few", "factorised", "iterated"]
)
def test_the_solver_for_groups_is_mthree_where_groups_are_products(num_bits, shots):
    """As far as single precision goes, in which mthree returns them."""
    outcomes, matrices = outcomes_of(num_bits, shots), random_matrices(num_bits)
    expected = theirs(counts_of(outcomes), matrices)
    assert (shots == 5500) == (2048 < len(outcomes.bits) <= 4096)
    groups = [[1, 4], [5, 0, 2]]
    grouped = {bit for group in groups for bit in group}
    confusions = [
        Confusion.of(group, reduce(np.kron, [matrices[bit] for bit in reversed(group)])) for group in groups
    ]
    confusions += [Confusion.of([bit], matrices[bit]) for bit in range(num_bits) if bit not in grouped]
    found = reduced_inverse(outcomes, confusions, 3)
    assert np.abs(found - [expected[key] for key in counts_of(outcomes)]).max() < 1e-6


def test_groups_that_are_no_products_are_inverted_whole():
    """All outcomes of four bits, two of them misread together: the dense inverse of the product of both matrices."""
    rng = np.random.default_rng(5)
    pair = np.eye(4) * 0.85 + rng.dirichlet(np.ones(4), 4).T * 0.15
    single = random_matrices(2)
    outcomes = outcomes_of(4, 20_000)
    assert len(outcomes.bits) == 16
    counts = counts_of(outcomes)
    # bits 3 and 1 are the group, 3 the least significant one of its state
    dense = np.zeros((16, 16))
    for read, prepared in np.ndindex(16, 16):
        (a, b), (c, d) = ([(s >> 3 & 1) + 2 * (s >> 1 & 1), s] for s in (read, prepared))
        dense[read, prepared] = pair[a, c] * single[0][b & 1, d & 1] * single[1][b >> 2 & 1, d >> 2 & 1]
    expected = np.linalg.solve(dense, [counts[f"{i:04b}"] / 20_000 for i in range(16)])
    quasi = QuasiDistribution.from_counts(counts, {(3, 1): pair, (0,): single[0], (2,): single[1]})
    whole = quasi.marginal(range(4))
    assert [whole[f"{i:04b}"] for i in range(16)] == pytest.approx(expected, abs=1e-12)
    values = [1 - 2 * (bin(i & 0b1010).count("1") & 1) for i in range(16)]
    assert quasi.expectation_value("ZIZI") == pytest.approx(values @ expected, abs=1e-12)
