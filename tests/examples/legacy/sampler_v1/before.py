from device import noise_model
from qiskit_aer.primitives import Sampler
from workload import circuit

sampler = Sampler(backend_options={"noise_model": noise_model()}, run_options={"shots": 4000, "seed": 2})
quasi = sampler.run([circuit()]).result().quasi_dists[0]

answer = {f"{outcome:03b}": probability for outcome, probability in quasi.items()}
