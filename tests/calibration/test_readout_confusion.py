"""Learning confusion matrices: states that are prepared, what is counted, what serves what."""

from itertools import combinations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.primitives import BitArray

from quell import Sampler, Session
from quell.calibration.confusion import ReadoutConfusion, balanced_words
from quell.circuits.samples import Samples
from quell.errors import CalibrationError
from quell.testing import ExactSampler, ReadoutModel

CORRECTED = {"resilience": {"measure_mitigation": True}}


def learned(requirement, readout, seed=1):
    """Return what a requirement learns of a readout model."""
    (program,), residue = requirement.experiment(np.random.default_rng(seed))
    prepared = program.flips(0, program.num_members)
    rng = np.random.default_rng(seed)
    bits = np.repeat(prepared[:, None], program.shots, axis=1)
    read = readout.corrupt(bits, requirement.qubits, rng)
    samples = Samples(
        {"meas": BitArray.from_bool_array(read, order="little").array},
        {"meas": len(requirement.qubits)},
        np.full(program.num_members, program.shots),
    )
    return requirement.fit(residue, [samples])


@pytest.mark.parametrize("num_bits", [1, 2, 3, 7, 8, 20, 127])
def test_balanced_states_hold_any_two_bits_in_all_states_equally_often(num_bits):
    words, members = balanced_words([[bit] for bit in range(num_bits)])
    assert members == 2 ** int(num_bits).bit_length()
    states = np.bitwise_count(np.arange(members)[:, None] & np.array(words)) % 2
    assert (states.sum(axis=0) == members // 2).all()
    both = states.T.astype(int) @ states
    assert (both[~np.eye(num_bits, dtype=bool)] == members // 4).all()


@pytest.mark.parametrize(
    "groups",
    [[[0, 1, 2], [3]], [[2, 0], [1, 3, 4], [5]], [[0, 1, 2, 3]], [[i, i + 1] for i in range(0, 40, 2)]],
)
def test_groups_take_all_their_states_equally_often(groups):
    words, members = balanced_words(groups)
    for group in groups:
        state = sum(
            (np.bitwise_count(np.arange(members) & words[bit]) % 2).astype(int) << i
            for i, bit in enumerate(group)
        )
        assert (np.bincount(state) == members // 2 ** len(group)).all()
    assert all(a != b for a, b in combinations(words, 2))


def test_each_qubit_gets_its_own_rates():
    """256 000 shots: rates within 5 standard errors, 6 comparisons, false alarms below 1e-5."""
    flips = np.array([[0.02, 0.05], [0.1, 0.01], [0.0, 0.08]])
    model = ReadoutModel(np.vstack([[0, 0], flips[0], [0, 0], [0, 0], flips[1], *[[0, 0]] * 3, flips[2]]))
    counts = learned(ReadoutConfusion(9, (1, 4, 8), (), 256_000), model)
    for confusion, rates in zip(counts.confusions({1: 0, 4: 1, 8: 2}), flips, strict=True):
        for found, rate in zip((confusion.matrix[1, 0], confusion.matrix[0, 1]), rates, strict=True):
            assert found == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / 128_000))
        assert confusion.shots == pytest.approx(128_000)


def test_groups_see_what_qubits_do_together():
    """Qubits 0 and 2 flip together in 10 % of shots: five standard errors of 64 000 shots a column."""
    model = ReadoutModel.uniform(3, 0.0).with_pair_flip(0, 2, 0.1)
    counts = learned(ReadoutConfusion(3, (0, 1, 2), ((2, 0),), 256_000), model)
    pair, single = counts.confusions({0: 5, 1: 6, 2: 7})
    assert pair.bits == (7, 5)
    assert single.bits == (6,)
    assert pair.matrix == pytest.approx(
        0.9 * np.eye(4) + 0.1 * np.eye(4)[::-1], abs=5 * 0.3 / np.sqrt(64_000)
    )
    assert single.matrix == pytest.approx(np.eye(2))
    alone = counts.confusions({0: 3})[0]  # the other qubit of the group is summed out
    assert alone.bits == (3,)
    assert alone.matrix == pytest.approx(
        0.9 * np.eye(2) + 0.1 * np.eye(2)[::-1], abs=5 * 0.3 / np.sqrt(128_000)
    )


def test_requirements_are_merged_and_serve_each_other():
    small, wide = ReadoutConfusion(5, (0, 1), (), 100), ReadoutConfusion(5, (1, 2), (), 200)
    both = small.merged(wide)
    assert both == ReadoutConfusion(5, (0, 1, 2), (), 200)
    assert both.serves(small)
    assert both.serves(wide)
    assert not wide.serves(small)
    assert not both.serves(ReadoutConfusion(5, (0, 1), (), 201))
    for other in (
        ReadoutConfusion(5, (0,), ((0, 1),), 10),
        ReadoutConfusion(6, (0,), (), 10),
    ):
        assert both.merged(other) is None
        assert not both.serves(other)


def test_pubs_share_one_experiment_and_jobs_of_a_session_too():
    circuit = QuantumCircuit(3)
    circuit.measure_all()
    smaller = QuantumCircuit(3, 1)
    smaller.measure(1, 0)
    device = ExactSampler(seed=1, readout=ReadoutModel.uniform(3, 0.05))
    with Session(device) as session:
        sampler = Sampler(session, {**CORRECTED, "default_shots": 1000})
        first, second = sampler.run([circuit, smaller]), sampler.run([smaller])
        results = first.result(), second.result()
    assert [r.metadata["calibration_shots"] for r in results] == [1000, 0]
    assert len(results[1].metadata["shared_calibrations"]) == 1
    plan = str(first.plan())
    assert plan.count("Confusion matrices of 3 qubits: 1000 shots on balanced states") == 3
    assert (
        plan.splitlines()[1]
        == "  run readout calibration: 1 settings x 4 randomizations x 250 shots, 3 operations in 1 layers"
    )


def test_a_state_without_shots_is_an_error_only_when_it_is_needed():
    """A device may drop shots of the calibration; those of the data must not be lost for it."""
    device = ExactSampler(seed=1)

    def dropping(pubs):
        return [
            {name: BitArray(array.array[..., :0, :], array.num_bits) for name, array in result.items()}
            if "meas" in result and pub.circuit.num_parameters
            else result
            for pub, result in zip(pubs, device(pubs), strict=True)
        ]

    circuit = QuantumCircuit(2)
    circuit.measure_all()
    result = Sampler(dropping, CORRECTED).run([circuit], shots=100).result()[0]
    assert result.data.meas.get_counts() == {"00": 100}
    with pytest.raises(CalibrationError, match=r"qubit 0: was never read in state 0; calibrate again"):
        result.quasi_distribution()
