"""Corrected counts of a wrapped backend: integers that sum to the shots, memory that agrees, raw ones kept."""

from collections import Counter

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit.result import Result

import quell
from quell.errors import CalibrationError
from quell.testing import CountingBackend, NoisyDevice

aer = pytest.importorskip("qiskit_aer")

CORRECTED = {"resilience": {"measure_mitigation": True}}


def device(flips=(0.04, 0.08), num_qubits=4, seed=5):
    """Return a simulator without gate errors that reads 0 as 1 and 1 as 0 with these chances."""
    model = aer.noise.NoiseModel()
    model.add_all_qubit_readout_error([[1 - flips[0], flips[0]], [flips[1], 1 - flips[1]]])
    return aer.AerSimulator(noise_model=model, seed_simulator=seed)


def secret(bits="101"):
    """Return a circuit that gives one outcome, and classical bits that are never written."""
    circuit = QuantumCircuit(len(bits) + 1, len(bits) + 1)
    circuit.x([i for i, bit in enumerate(reversed(bits)) if bit == "1"])
    circuit.measure(range(len(bits)), range(len(bits)))
    return circuit


def test_counts_are_integers_that_sum_to_the_shots_and_are_nearly_all_right():
    backend = quell.wrap(device(), CORRECTED)
    result = backend.run(secret(), shots=4000).result()
    counts, raw = result.get_counts(), device().run(secret(), shots=4000).result().get_counts()
    assert sum(counts.values()) == 4000
    assert all(isinstance(n, int) and n > 0 for n in counts.values())
    # Raw (1 - .04)(1 - .08)^2 = .81; corrected to within the noise of 4000 shots, data and calibration (sd .01).
    assert raw["0101"] / 4000 < 0.84
    assert counts["0101"] / 4000 > 0.95
    quasi = result.data()["quasi_probabilities"]
    assert quasi["0x5"] == pytest.approx(1, abs=0.06)
    assert sum(quasi.values()) == pytest.approx(1, abs=1e-5)
    facts = result.results[0].metadata["readout_correction"]
    assert facts["calibration_shots"] == 4000
    assert facts["corrected_bits"] == 3


def test_the_whole_result_survives_a_dict():
    result = quell.wrap(device(), CORRECTED).run([secret(), secret("011")], shots=500, memory=True).result()
    again = Result.from_dict(result.to_dict())
    assert again.get_counts() == result.get_counts()
    assert again.data(1)["quasi_probabilities"] == result.data(1)["quasi_probabilities"]


def test_memory_agrees_with_the_counts_and_changes_as_few_shots_as_can_be():
    job = quell.wrap(device(), CORRECTED).run(secret(), shots=3000, memory=True)
    result, raw = job.result(), job.raw_result()
    assert Counter(result.get_memory()) == Counter(result.get_counts())
    assert Counter(raw.get_memory()) == Counter(raw.get_counts())
    assert "quasi_probabilities" not in raw.data()
    changed = sum(a != b for a, b in zip(result.get_memory(), raw.get_memory(), strict=True))
    surplus = Counter(raw.get_counts()) - Counter(result.get_counts())
    assert changed == sum(surplus.values()) > 300
    assert job.result() is result


@pytest.mark.parametrize("shots", [1, 2, 7])
def test_a_few_shots_are_no_reason_to_fail(shots):
    """Scripts that draw single outcomes work as before: the calibration has 1000 shots all the same."""
    result = quell.wrap(device(), CORRECTED).run(secret(), shots=shots).result()
    assert sum(result.get_counts().values()) == shots
    assert result.results[0].metadata["readout_correction"]["calibration_shots"] >= 1000


def test_the_same_seed_gives_the_same_memory():
    memories = [
        quell.wrap(device(seed=None), {**CORRECTED, "seed": 4})
        .run(secret(), shots=400, memory=True)
        .result()
        .get_memory()
        for _ in range(2)
    ]
    assert memories[0] == memories[1]


def test_runs_share_one_calibration_while_it_holds():
    inner = CountingBackend(device(seed=None))
    backend = quell.wrap(inner, CORRECTED)
    for number in range(3):
        result = backend.run(secret(), shots=1000).result()
        assert result.metadata["calibration_shots"] == (0 if number else 1000)
    assert sum(call.shots for call in inner.calls) == 4000
    backend.quell_options.calibration.max_age = 0
    assert backend.run(secret(), shots=1000).result().metadata["calibration_shots"] == 1000


def test_binds_and_several_circuits_are_corrected_one_by_one():
    theta = Parameter("theta")
    circuit = QuantumCircuit(2)
    circuit.rx(theta, 0)
    circuit.cx(0, 1)
    circuit.measure_all()
    backend = quell.wrap(device(), CORRECTED)
    angles = [0.0, np.pi / 2, np.pi]
    result = backend.run([circuit, secret()], shots=5000, parameter_binds=[{theta: angles}, {}]).result()
    for index, angle in enumerate(angles):
        counts = result.get_counts(index)
        assert sum(counts.values()) == 5000
        assert counts.get("11", 0) / 5000 == pytest.approx(np.sin(angle / 2) ** 2, abs=0.05)
    assert result.get_counts(3)["0101"] > 4700


def test_twirled_readout_is_corrected_with_symmetric_matrices():
    backend = quell.wrap(device(), {**CORRECTED, "twirling": {"enable_measure": True}})
    result = backend.run(secret(), shots=4000).result()
    assert result.results[0].metadata["readout_correction"]["symmetric"]
    assert result.get_counts()["0101"] / 4000 > 0.95


def test_primitives_on_top_gain_the_correction():
    """Qiskit's own primitives know nothing but backend.run, and read memory or counts."""
    plain, wrapped = device(), quell.wrap(device(), CORRECTED)
    bell = QuantumCircuit(2)
    bell.h(0)
    bell.cx(0, 1)
    errors = [
        abs(
            BackendEstimatorV2(backend=b).run([(bell, ["ZZ", "XX"])], precision=0.01).result()[0].data.evs - 1
        )
        for b in (plain, wrapped)
    ]
    assert (errors[0] > 0.15).all()  # (1 - .12)^2 is .77
    assert (errors[1] < 0.06).all()
    measured = bell.measure_all(inplace=False)
    shares = []
    for b in (plain, wrapped):
        counts = BackendSamplerV2(backend=b).run([measured], shots=5000).result()[0].data.meas.get_counts()
        shares.append((counts.get("01", 0) + counts.get("10", 0)) / 5000)
    assert shares[0] > 0.09
    assert shares[1] < 0.04


def test_counts_of_lone_outcomes_stay_as_read_with_a_warning_that_says_so():
    circuit = QuantumCircuit(16)
    circuit.h(range(16))
    circuit.measure_all()
    job = quell.wrap(device(), CORRECTED).run(circuit, shots=400)
    with pytest.warns(
        UserWarning, match=r"counts are as they were read, because 9\d% of 400 shots|100% of 400 shots"
    ):
        result = job.result()
    assert result.get_counts() == job.raw_result().get_counts()
    assert "as they were read" in result.results[0].metadata["warning"]
    assert "quasi_probabilities" not in result.data()


def test_qubits_that_cannot_be_corrected_are_named_and_what_was_read_is_kept():
    job = quell.wrap(device((0.5, 0.5)), CORRECTED).run(secret(), shots=2000)
    with pytest.raises(
        CalibrationError,
        match=r"qubit 0: (is read the wrong way|its confusion matrix is (singular|not known well enough))",
    ):
        job.result()
    assert sum(job.raw_result().get_counts().values()) == 2000


def test_on_a_noisy_device_the_success_probability_grows():
    noisy = NoisyDevice("tee5", seed=11)
    hidden = QuantumCircuit(4, 3)
    hidden.x(3)
    hidden.h(range(4))
    hidden.cx([0, 2], 3)
    hidden.h(range(3))
    hidden.measure(range(3), range(3))
    isa = transpile(hidden, noisy, seed_transpiler=1)
    before, after = (
        b.run(isa, shots=8000).result().get_counts()["101"] / 8000
        for b in (noisy, quell.wrap(noisy, CORRECTED))
    )
    assert after - before > 0.05  # 8000 shots: sd .006
