from device import backend
from qiskit import transpile
from qiskit_ibm_runtime import EstimatorV2 as Estimator
from qiskit_ibm_runtime import SamplerV2 as Sampler
from qiskit_ibm_runtime import Session
from workload import circuit

backend = backend()
with Session(backend=backend) as session:
    estimator = Estimator(mode=session, options={"default_shots": 20000, "resilience_level": 0})
    estimator.options.simulator.seed_simulator = 7
    sampler = Sampler(mode=session, options={"default_shots": 20000})
    sampler.options.simulator.seed_simulator = 8
    observables = ["ZZI", "IZZ", "IIZ"]
    values = estimator.run([(transpile(circuit(measured=False), backend), observables)]).result()[0].data.evs
    counts = sampler.run([transpile(circuit(), backend)]).result()[0].data.meas.get_counts()

answer = dict(zip(observables, values.tolist(), strict=True))
answer["000"], answer["111"] = counts["000"] / 20000, counts["111"] / 20000
