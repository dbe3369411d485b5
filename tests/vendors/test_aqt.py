"""Alpine Quantum Technologies: rxx, r and rz between any two ions, simulated offline."""

import pytest

pytest.importorskip("qiskit_aqt_provider", reason="needs qiskit-aqt-provider; see README.md beside this file")

from checks import (
    check_corrected,
    check_decoupled,
    check_mitigated,
    check_sampler,
    check_unbiased,
    check_wrapped,
    estimated,
    ghz,
    watched,
)
from qiskit import QuantumCircuit, transpile
from qiskit_aqt_provider import AQTProvider

from quell import InputError, Sampler


@pytest.fixture
def ideal():
    return AQTProvider().offline.ideal()


@pytest.fixture
def noisy():
    return AQTProvider().offline.noisy()


@pytest.mark.parametrize("level", [0, 1, 2])
def test_values_are_unbiased(ideal, level):
    check_unbiased(ideal, level)


def test_extrapolation_is_closer_to_the_truth_than_the_noisy_device(noisy):
    """Its readout is perfect, so level 1 has nothing to correct."""
    check_mitigated(noisy, levels=(2,), precision=0.008)


def test_samples(ideal, noisy):
    check_sampler(ideal)
    check_sampler(noisy, allowed=0.1)


def test_counts_of_a_wrapped_backend(ideal):
    check_wrapped(ideal)


def test_corrected_samples(ideal):
    check_corrected(ideal, gains=False)


def test_more_shots_than_a_circuit_may_have_are_run_in_parts(ideal):
    """The device refuses more than 2000."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    with watched(ideal) as seen:
        result = Sampler(ideal).run([transpile(circuit, ideal)], shots=4500).result()[0]
    assert max(options["shots"] for _, options in seen) <= 2000
    counts = result.data.meas.get_counts()
    assert sum(counts.values()) == 4500
    assert set(counts) == {"00", "11"}


def test_decoupling_is_refused_because_the_device_has_no_delay(ideal):
    with pytest.raises(InputError, match="lacks what decoupling pulses are made of: delay"):
        check_decoupled(ideal, [("r", (), 1e-5), ("rxx", (), 2e-4), ("rz", (), 0.0), ("measure", (), 1e-4)])


def test_circuits_that_were_not_transpiled_are_refused(ideal):
    circuit, _ = ghz()
    circuit.measure_all()
    with pytest.raises(InputError, match=r"'cx' on qubits .* which the backend's target does not list"):
        Sampler(ideal).run([circuit])


def test_at_most_as_many_circuits_are_run_together_as_the_device_takes(ideal):
    circuit, observables = ghz()
    sizes = []
    run = ideal.run
    ideal.run = lambda circuits, **options: (sizes.append(len(circuits)), run(circuits, **options))[1]
    estimated(ideal, circuit, observables, 2)
    assert max(sizes) <= ideal.max_circuits == 50
    assert len(sizes) > 1
