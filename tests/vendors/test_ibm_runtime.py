"""IBM: rz, sx and x with cx, ecr or cz, on the fake devices of the runtime package.

Aer takes a minute to take in the noise of a device of 127 qubits, so the large ones have a plain noise here, and their
own where tests may be slow.
"""

import pytest

pytest.importorskip("qiskit_ibm_runtime", reason="needs qiskit-ibm-runtime; see README.md beside this file")
pytest.importorskip("qiskit_aer", reason="needs qiskit-aer, which runs the fake devices")

from checks import (
    check_corrected,
    check_decoupled,
    check_mitigated,
    check_sampler,
    check_unbiased,
    check_wrapped,
    entangled,
    ghz,
)
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, depolarizing_error
from qiskit_ibm_runtime.fake_provider import FakeManilaV2, FakeSherbrooke, FakeTorino

DEVICES = {"cx": FakeManilaV2, "ecr": FakeSherbrooke, "cz": FakeTorino}


def device(gate, noise):
    backend = DEVICES[gate]()
    assert gate in backend.operation_names
    backend.set_options(noise_model=noise)
    backend.sim = AerSimulator(noise_model=noise)
    return backend


@pytest.fixture(params=DEVICES)
def ideal(request):
    return device(request.param, None)


@pytest.fixture(
    params=["cx", pytest.param("ecr", marks=pytest.mark.slow), pytest.param("cz", marks=pytest.mark.slow)]
)
def noisy(request):
    if request.param == "cx":
        return FakeManilaV2()
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(depolarizing_error(0.0005, 1), ["sx", "x"])
    noise.add_all_qubit_quantum_error(depolarizing_error(0.02, 2), [request.param])
    noise.add_all_qubit_readout_error([[0.98, 0.02], [0.04, 0.96]])
    return device(request.param, noise)


def few(case):
    """The same circuit with observables that need two settings only."""
    circuit, _ = case()
    return circuit, {"entangled": ["IZI", "ZZI", "XYZ"], "ghz": ["ZZI", "IZZ", "XXX"]}[case.__name__]


@pytest.mark.parametrize("level", [1, 2])
def test_values_of_a_few_observables_are_unbiased(ideal, level):
    check_unbiased(ideal, level, precision=0.03, case=lambda: few(entangled))


@pytest.mark.slow
@pytest.mark.parametrize("level", [0, 1, 2])
def test_values_are_unbiased(ideal, level):
    check_unbiased(ideal, level, precision=0.03)


def test_each_level_is_closer_to_the_truth_than_the_noisy_device(noisy):
    check_mitigated(noisy, case=lambda: few(ghz))


def test_samples(ideal):
    check_sampler(ideal)


def test_counts_of_a_wrapped_backend(ideal):
    check_wrapped(ideal)


def test_corrected_samples(noisy):
    check_corrected(noisy, allowed=0.12)


@pytest.mark.parametrize("sequence", ["XX", "XY4"])
def test_decoupled_values_are_unbiased(sequence):
    """On the durations of the device."""
    values, errors, truth = check_decoupled(device("cx", None), sequence=sequence, precision=0.04)
    assert (abs(values - truth) < 6 * errors).all()


@pytest.mark.slow
def test_each_level_is_closer_to_the_truth_than_a_device_with_its_own_noise():
    check_mitigated(FakeSherbrooke())
