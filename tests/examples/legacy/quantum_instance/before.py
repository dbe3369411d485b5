from device import backend
from terra import CompleteMeasFitter, QuantumInstance
from workload import circuit

instance = QuantumInstance(
    backend(), shots=20000, seed_simulator=5, measurement_error_mitigation_cls=CompleteMeasFitter
)
counts = instance.execute(circuit())


def expectation(qubits):
    """Return the mean parity of these qubits."""
    signs = {bits: (-1) ** sum(bits[::-1][q] == "1" for q in qubits) for bits in counts}
    return sum(signs[bits] * number for bits, number in counts.items()) / sum(counts.values())


answer = {"ZZI": expectation([1, 2]), "IZZ": expectation([0, 1]), "IIZ": expectation([0])}
