from device import backend
from qiskit import transpile
from workload import circuit

backend = backend()
isa_circuit = transpile(circuit(), backend)

job = backend.run(isa_circuit, shots=2000, seed_simulator=11, memory=True)
counts = job.result().get_counts()
first = job.result().get_memory()[:3]

answer = {bits: number / 2000 for bits, number in counts.items()}
