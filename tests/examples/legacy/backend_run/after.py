from device import backend
from qiskit import transpile
from workload import circuit

from quell import Sampler

backend = backend()
isa_circuit = transpile(circuit(), backend)

sampler = Sampler(backend, {"default_shots": 2000, "simulator": {"seed_simulator": 11}})
data = sampler.run([isa_circuit]).result()[0].data.meas
counts = data.get_counts()
first = data.get_bitstrings()[:3]

answer = {bits: number / 2000 for bits, number in counts.items()}
