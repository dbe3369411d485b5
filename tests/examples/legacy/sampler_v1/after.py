from device import backend
from qiskit import transpile
from workload import circuit

from quell import Sampler

backend = backend()
sampler = Sampler(backend, {"default_shots": 4000, "simulator": {"seed_simulator": 2}})
data = sampler.run([transpile(circuit(), backend)]).result()[0].data.meas
quasi = {outcome: number / data.num_shots for outcome, number in data.get_int_counts().items()}

answer = {f"{outcome:03b}": probability for outcome, probability in quasi.items()}
