from device import backend
from qiskit import transpile
from workload import circuit

from quell import Estimator, translate

backend = backend()
translation = translate(
    {"run_options": {"shots": 20000, "seed": 7}, "transpile_options": {"seed_transpiler": 1}},
    source="qiskit_aer.primitives-v1.Estimator",
)
estimator = Estimator(backend, translation.options)
estimator.options.resilience_level = 0  # the V1 estimator of Aer mitigated nothing

isa_circuit = transpile(circuit(measured=False), backend, seed_transpiler=1)
data = estimator.run([(isa_circuit, ["ZZI", "IZZ", "IIZ"])]).result()[0].data
values, errors = data.evs, data.stds

answer = dict(zip(["ZZI", "IZZ", "IIZ"], values.tolist(), strict=True))
