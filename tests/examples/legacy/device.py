"""The simulated devices that the scripts run on, of as many qubits as they ask for."""

from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error


def noise_model():
    """Return depolarising two-qubit gates and asymmetric readout."""
    model = NoiseModel()
    model.add_all_qubit_quantum_error(depolarizing_error(0.01, 2), ["cx"])
    model.add_all_qubit_readout_error(ReadoutError([[0.98, 0.02], [0.06, 0.94]]))
    return model


def backend():
    """Return a simulator with this noise."""
    return AerSimulator(noise_model=noise_model())
