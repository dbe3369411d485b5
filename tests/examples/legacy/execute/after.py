from device import backend
from qiskit.transpiler import generate_preset_pass_manager
from workload import circuit

from quell import Sampler

backend = backend()
manager = generate_preset_pass_manager(optimization_level=3, backend=backend, seed_transpiler=9)

sampler = Sampler(backend, {"default_shots": 4000, "simulator": {"seed_simulator": 3}})
counts = sampler.run([manager.run(circuit())]).result()[0].data.meas.get_counts()

answer = {bits: number / 4000 for bits, number in counts.items()}
