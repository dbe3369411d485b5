from device import noise_model
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.primitives import Estimator
from workload import circuit

estimator = Estimator(
    backend_options={"noise_model": noise_model()},
    run_options={"shots": 20000, "seed": 7},
    transpile_options={"seed_transpiler": 1},
)
observables = [SparsePauliOp(label) for label in ("ZZI", "IZZ", "IIZ")]
result = estimator.run([circuit(measured=False)] * 3, observables).result()
values = result.values
errors = [(entry["variance"] / entry["shots"]) ** 0.5 for entry in result.metadata]

answer = dict(zip(["ZZI", "IZZ", "IIZ"], values.tolist(), strict=True))
