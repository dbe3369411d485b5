from device import backend
from terra import execute
from workload import circuit

job = execute(circuit(), backend(), shots=4000, seed_simulator=3, optimization_level=3, seed_transpiler=9)
counts = job.result().get_counts()

answer = {bits: number / 4000 for bits, number in counts.items()}
