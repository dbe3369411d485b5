"""The circuit that the scripts run: a GHZ-like state of three qubits with unequal weights."""

from qiskit import QuantumCircuit


def circuit(measured=True):
    """Return the circuit; <ZZI> = <IZZ> = 1 and <IIZ> = cos(1) without noise."""
    qc = QuantumCircuit(3)
    qc.ry(1.0, 0)
    qc.cx(0, 1)
    qc.cx(1, 2)
    if measured:
        qc.measure_all()
    return qc
