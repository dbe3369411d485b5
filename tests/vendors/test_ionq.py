"""IonQ: gpi and gpi2 with ms or zz, between any two ions.

Their devices and simulators run in the cloud only. So the backends here are theirs, with their targets, gates and
options, but what is submitted is run by Aer instead: gates as matrices that their classes give, so that a wrong unit
of an angle is a wrong value.
"""

import pytest

pytest.importorskip("qiskit_ionq", reason="needs qiskit-ionq; see README.md beside this file")
pytest.importorskip("qiskit_aer", reason="needs qiskit-aer to run circuits in place of the cloud")

import numpy as np
from checks import (
    check_corrected,
    check_decoupled,
    check_mitigated,
    check_sampler,
    check_unbiased,
    check_wrapped,
)
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, depolarizing_error
from qiskit_ionq import IonQProvider, ionq_backend

from quell import Estimator, InputError

NOISE = NoiseModel(["gpi", "gpi2", "ms", "zz", "unitary"])
NOISE.add_all_qubit_quantum_error(depolarizing_error(0.002, 1), ["gpi", "gpi2"])
NOISE.add_all_qubit_quantum_error(depolarizing_error(0.02, 2), ["ms", "zz"])
NOISE.add_all_qubit_readout_error([[0.98, 0.02], [0.05, 0.95]])


class Offline(ionq_backend.IonQSimulatorBackend):
    """Their backend; only the cloud behind ``run`` is another one."""

    noise = None

    def run(self, run_input, **options):
        assert set(options) <= set(self.options.__dict__)
        assert all(self._has_measurements(circuit) for circuit in run_input)
        circuits = [_of_matrices(circuit) for circuit in run_input]
        return AerSimulator(noise_model=self.noise).run(circuits, shots=options["shots"])


def _of_matrices(circuit):
    made = circuit.copy_empty_like()
    for instruction in circuit.data:
        if instruction.name in ("gpi", "gpi2", "ms", "zz"):
            made.unitary(instruction.operation.to_matrix(), instruction.qubits, label=instruction.name)
        else:
            made.append(instruction)
    return made


@pytest.fixture(params=["ideal", "forte-1"], ids=["ms", "zz"])
def ideal(request, monkeypatch):
    monkeypatch.setattr(ionq_backend, "get_n_qubits", lambda name: 4)  # asks the cloud
    backend = Offline(IonQProvider("no token"), gateset="native", noise_model=request.param)
    assert {"ideal": "ms", "forte-1": "zz"}[request.param] in backend.target.operation_names
    return backend


@pytest.fixture
def noisy(ideal):
    ideal.noise = NOISE
    return ideal


@pytest.mark.parametrize("level", [0, 1, 2])
def test_values_are_unbiased(ideal, level):
    check_unbiased(ideal, level)


def test_each_level_is_closer_to_the_truth_than_the_noisy_device(noisy):
    check_mitigated(noisy)


def test_samples(ideal):
    check_sampler(ideal)


def test_counts_of_a_wrapped_backend(ideal):
    check_wrapped(ideal)


def test_corrected_samples(noisy):
    check_corrected(noisy, allowed=0.12)


def test_parameters_of_the_user(ideal):
    angle = Parameter("a")
    circuit = QuantumCircuit(2)
    circuit.ry(angle, 0)
    circuit.cx(0, 1)
    circuit.rx(2 * angle + 0.1, 1)
    isa = transpile(circuit, ideal, optimization_level=1)
    assert isa.num_parameters == 1
    values = np.array([-0.4, 0.3, 1.1])
    estimator = Estimator(ideal, options={"resilience_level": 1, "seed": 2})
    estimator.options.twirling.enable_gates = True
    z = SparsePauliOp("IZ").apply_layout(isa.layout)
    data = estimator.run([(isa, z, values)], precision=0.02).result()[0].data
    assert (abs(data.evs - np.cos(values)) < 6 * data.stds).all()


def test_decoupling_is_refused_because_the_device_has_no_delay(ideal):
    with pytest.raises(InputError, match="lacks what decoupling pulses are made of: delay"):
        check_decoupled(ideal)
