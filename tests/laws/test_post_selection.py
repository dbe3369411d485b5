"""Post-selection as physics: states with a known error, of which a known part is caught.

False alarm: each comparison is of means or shares at 4 standard errors, 6e-5 were seeds not fixed.
"""

from __future__ import annotations

import numpy as np
import pytest
from attrs import evolve, frozen
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.quantum_info import DensityMatrix, Operator, Pauli, SparsePauliOp, Statevector
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError
from repetitions import COUNTS, check_coverage, check_unbiased, repeat

from quell import Estimator, Sampler
from quell.circuits.template import template_of
from quell.kernels.curves import Polynomial
from quell.stages.measure import Measure
from quell.stages.postselect import PostSelect
from quell.stages.twirl import Twirl
from quell.stages.zne import Zne
from quell.testing import ExactSampler, ReadoutModel, check_stage, ensemble_of

TWIRLS = [{}, {"enable_measure": True}, {"enable_gates": True, "enable_measure": True}]


def within(found: float, share: float, number: int) -> bool:
    """Return whether a binomial share is at most 4 standard errors off."""
    return abs(found - share) <= 4 * np.sqrt(share * (1 - share) / number)


# ------------------------------------------------------------------------------------------------- bit flips


@pytest.mark.parametrize("twirling", TWIRLS, ids=["plain", "measurements", "all"])
def test_parity_of_a_ghz_state_with_bit_flips(twirling):
    """Flips with probability p: an even number of n is kept, and what is not caught is two or four flips."""
    n, p, shots = 4, 0.06, 40_000
    circuit = QuantumCircuit(n)
    circuit.h(0)
    for q in range(n - 1):
        circuit.cx(q, q + 1)
    circuit.measure_all()
    kept = (1 + (1 - 2 * p) ** n) / 2
    success = (1 - p) ** n + p**n
    sampler = ExactSampler(4, readout=ReadoutModel.uniform(n, p, p))
    options = {"seed": 9, "twirling": twirling, "post_selection": {"enable": True, "parity": "even"}}
    result = Sampler(sampler, options).run([circuit], shots=shots).result()[0]
    counts, said = result.data.meas.get_counts(), result.metadata["post_selection"]
    right = counts.get("0" * n, 0) + counts.get("1" * n, 0)
    assert all(key.count("1") % 2 == 0 for key in counts)
    assert sum(counts.values()) == said["kept_shots"] == said["shots"]
    assert within(said["kept_fraction"], kept, shots)
    assert within(right / said["kept_shots"], success / kept, said["kept_shots"])
    assert not within(right / said["kept_shots"], success, said["kept_shots"]), "it must matter"


def test_a_sampler_without_noise_keeps_everything():
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    options = {"seed": 1, "twirling": {"enable_gates": True, "enable_measure": True}}
    options["post_selection"] = {"enable": True, "parity": "even", "predicate": pair}
    result = Sampler(ExactSampler(0), options).run([circuit], shots=1001).result()[0]
    assert result.metadata["post_selection"] == {"kept_fraction": 1.0, "kept_shots": 1001, "shots": 1001}
    assert within(result.data.meas.get_counts()["000"] / 1001, 0.5, 1001)


def pair(bits):
    return (bits["meas"][:, 0] == bits["meas"][:, 1]) & ~bits["meas"][:, 2]


# -------------------------------------------------------------------------------------------- flags in the middle

ANGLE, MISREAD = 0.7, 0.08


def checked_pair(*, feed_forward: bool) -> QuantumCircuit:
    """A pair with a coherent error on qubit 0, whose parity goes through qubit 2 into `flag`; qubit 2 is used again."""
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(1, "flag"))
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.rx(ANGLE, 0)
    circuit.cx(0, 2)
    circuit.cx(1, 2)
    circuit.measure(2, 0)
    if feed_forward:
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.x(2)
    else:
        circuit.reset(2)
    circuit.ry(0.5, 2)
    return circuit


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("feed_forward", [False, True])
def test_a_flag_that_is_measured_in_the_middle(level, feed_forward):
    """The parity is right in the part cos^2(angle / 2); a misread flag keeps some of the rest.

    Readout of the pair is corrected at level 1, with measurements twirled; the flag is never twirled.
    """
    noise = NoiseModel()
    noise.add_readout_error(ReadoutError([[1 - MISREAD, MISREAD], [MISREAD, 1 - MISREAD]]), [2])
    if level:
        for q in (0, 1):
            noise.add_readout_error(ReadoutError([[0.97, 0.03], [0.1, 0.9]]), [q])
    good, bad = (1 - MISREAD) * np.cos(ANGLE / 2) ** 2, MISREAD * np.sin(ANGLE / 2) ** 2
    kept = good + bad
    options = {
        "seed": 3,
        "resilience_level": level,
        "twirling": {"enable_gates": bool(level)},
        "post_selection": {"enable": True, "registers": ["flag"]},
    }
    circuit = checked_pair(feed_forward=feed_forward)
    job = Estimator(AerSimulator(noise_model=noise, seed_simulator=11), options)
    result = job.run([(circuit, ["IZZ", "IXX", "IYY"])], precision=0.008).result()[0]
    difference = (good - bad) / kept
    truth = np.array([difference, 1.0, -difference])
    off = (result.data.evs - truth) / result.data.stds
    assert (np.abs(off) < 4).all()
    assert np.abs(difference - np.cos(ANGLE)) > 0.1, "it must matter"
    said = result.metadata["post_selection"]
    assert within(said["kept_fraction"], kept, result.metadata["executed_shots"])
    assert "warning" not in result.metadata


# ------------------------------------------------------------------------------------------------- the laws


@frozen
class MeasureSelected(Measure):
    """The crossing with post-selection below it, as one stage, so that the laws of the upper floor check it."""

    def expand(self, task, known, rng):
        programs, residue = super().expand(task, known, rng)
        children, selecting = SELECT.expand(programs[0], known, rng)
        return children, (residue, selecting)

    def combine(self, residue, results):
        return super().combine(residue[0], [SELECT.combine(residue[1], results)])


def not_both(bits):
    return ~bits["flags"].all(axis=1)


SELECT = PostSelect(("flags",), predicate=not_both)


def entangled() -> QuantumCircuit:
    circuit = QuantumCircuit(QuantumRegister(4), ClassicalRegister(2, "flags"))
    for q, angle in enumerate((1.3, 1.5, 2.0, 0.8)):
        circuit.ry(angle, q)
    circuit.cx(0, 2)
    circuit.cx(1, 3)
    circuit.rx(0.8, 0)
    circuit.cx(0, 1)
    circuit.ry(0.4, [0, 1])
    return circuit


LABELS = ["IIZZ", {"IIXI": 0.6, "IIIX": 0.5, "IIZZ": 0.3}, "IIYX"]


def selected_ensemble(shots: int):
    """Return the ensemble in which qubits 2 and 3 are flags."""
    ensemble = ensemble_of(entangled(), LABELS, shots=shots)
    circuit = ensemble.template.circuit.copy()
    circuit.measure([2, 3], [0, 1])
    return evolve(ensemble, template=template_of(circuit))


def conditional(flip: float = 0.0, damping: float = 1.0):
    """Return the share of shots that are kept, and the values in them: flags flip, parities are damped by qubit."""
    state = Statevector(entangled())
    accept = np.zeros(4)
    for real in range(4):
        for read in range(3):  # all but 11
            wrong = (real ^ read).bit_count()
            accept[real] += flip**wrong * (1 - flip) ** (2 - wrong)
    effect = np.kron(np.diag(accept), np.eye(4))
    share = state.expectation_value(Operator(effect)).real
    values = []
    for label in LABELS:
        terms = label if isinstance(label, dict) else {label: 1.0}
        damped = {k: c * damping ** int(np.sum(Pauli(k).z | Pauli(k).x)) for k, c in terms.items()}
        matrix = SparsePauliOp(list(damped), list(damped.values())).to_matrix()
        values.append(state.expectation_value(Operator(effect @ matrix)).real / share)
    return share, np.array(values)


def test_the_truth_of_the_laws_depends_on_the_flags():
    _, values = conditional()
    everything = [
        DensityMatrix(entangled()).expectation_value(SparsePauliOp(label)).real for label in ("IIZZ", "IIYX")
    ]
    assert (np.abs(values[[0, 2]] - everything) > 0.02).all()


def test_post_selection_obeys_the_laws_of_stages():
    check_stage(MeasureSelected(), ensemble=selected_ensemble(192), expected=conditional()[1], repetitions=60)


@pytest.mark.slow
def test_post_selection_obeys_the_laws_of_stages_at_full_size():
    check_stage(
        MeasureSelected(),
        ensemble=selected_ensemble(192),
        expected=conditional()[1],
        repetitions=400,
        seed=1000,
    )


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(("randomizations", "each"), [(None, 256), (32, 16), (8, 32), (64, 2)])
def test_error_bars_of_what_is_kept(count, randomizations, each):
    """A quarter of the shots is dropped, and flips of readout are in flags and values.

    At two shots for each randomization some of them keep none.
    """
    share, truth = conditional(flip=0.05, damping=0.9)
    assert 0.7 < share < 0.75
    twirl = () if randomizations is None else (Twirl(True, True, randomizations, each),)
    stages = (*twirl, Measure(), PostSelect(("flags",), predicate=not_both))
    values = repeat(stages, selected_ensemble(each), count, readout=ReadoutModel.uniform(4, 0.05, 0.05))
    check_coverage(*values, truth)
    check_unbiased(values[0], truth)


@pytest.mark.parametrize("count", COUNTS)
def test_error_bars_of_extrapolations(count):
    """Without randomizations covariances are those of blocks of shots; here the last blocks keep nothing."""
    _, truth = conditional()
    stages = (Zne((1, 3), (Polynomial(1),)), Measure(), PostSelect(("flags",), predicate=not_both))
    values = repeat(stages, selected_ensemble(128), count)
    check_coverage(*values, truth)
    check_unbiased(values[0], truth)


@pytest.mark.parametrize("count", COUNTS)
def test_error_bars_where_little_is_kept(count):
    """Both flags up: of 64 randomizations with four shots each a third keeps nothing."""
    state = Statevector(entangled())
    effect = Operator(np.kron(np.diag([0, 0, 0, 1.0]), np.eye(4)))
    share = state.expectation_value(effect).real
    assert 0.2 < share < 0.3
    truth = [
        state.expectation_value(effect @ Operator(SparsePauliOp(label).to_matrix())).real / share
        for label in ("IIZZ", "IIYX")
    ]
    stages = (Twirl(True, True, 64, 4), Measure(), PostSelect(("flags",), predicate=both))
    values, errors = repeat(stages, selected_ensemble(4), count)
    check_coverage(values[:, [0, 2]], errors[:, [0, 2]], truth)
    check_unbiased(values[:, [0, 2]], truth)


def both(bits):
    return bits["flags"].all(axis=1)


def test_merged_shots_are_those_of_the_conditional_state():
    """Outcomes of qubits 0 and 1 in 40000 shots, half of them twirled: shares within 4 sigma each."""
    circuit = entangled()
    circuit.add_register(ClassicalRegister(2, "out"))
    circuit.measure(range(4), [2, 3, 0, 1])
    state = Statevector(entangled()).probabilities().reshape(4, 4)  # flags, then qubits 1 and 0
    state[3] = 0
    expected = state.sum(axis=0) / state.sum()
    options = {"seed": 4, "post_selection": {"enable": True, "registers": "flags", "predicate": not_both}}
    for twirling in ({}, {"enable_gates": True, "enable_measure": True}):
        result = (
            Sampler(ExactSampler(8), {**options, "twirling": twirling})
            .run([circuit], shots=20_000)
            .result()[0]
        )
        counts, kept = result.data.out.get_int_counts(), result.metadata["post_selection"]["kept_shots"]
        assert within(kept / 20_000, state.sum(), 20_000)
        assert all(within(counts.get(k, 0) / kept, expected[k], kept) for k in range(4))
