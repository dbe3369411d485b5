from device import backend
from qiskit import transpile
from workload import circuit

from quell import Estimator

backend = backend()
estimator = Estimator(backend)
estimator.options.default_shots = 20000
estimator.options.resilience_level = 0
estimator.options.resilience.measure_mitigation = True  # TREX instead of a confusion matrix
estimator.options.seed = 5

isa_circuit = transpile(circuit(measured=False), backend)
data = estimator.run([(isa_circuit, ["ZZI", "IZZ", "IIZ"])]).result()[0].data

answer = dict(zip(["ZZI", "IZZ", "IIZ"], data.evs.tolist(), strict=True))
