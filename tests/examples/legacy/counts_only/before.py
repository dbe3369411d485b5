from device import backend
from qiskit import QuantumCircuit, transpile

backend = backend()

secret = "10111"
circuit = QuantumCircuit(6, 5)
circuit.x(5)
circuit.h(range(6))
for qubit, bit in enumerate(reversed(secret)):
    if bit == "1":
        circuit.cx(qubit, 5)
circuit.h(range(5))
circuit.measure(range(5), range(5))

job = backend.run(transpile(circuit, backend, seed_transpiler=9), shots=4000, seed_simulator=11)
counts = job.result().get_counts()

shots = sum(counts.values())
success = counts.get(secret, 0) / shots
