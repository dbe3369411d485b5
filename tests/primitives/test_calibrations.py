"""`calibrate`: what is learned is what estimators with the same options take from the store."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from quell import CalibrationError, Estimator, InputError, Sampler, Session, UnsupportedError
from quell.calibration.models import models_of_aer
from quell.calibration.store import CalibrationStore
from quell.execution.backends import BackendRunner
from quell.primitives.calibrate import calibrate
from quell.testing import ExactSampler

aer = pytest.importorskip("qiskit_aer")
noise = pytest.importorskip("qiskit_aer.noise")

LEARNING = {"num_randomizations": 4, "shots_per_randomization": 64, "layer_pair_depths": (0, 4)}
OPTIONS = {"resilience": {"layer_noise_learning": LEARNING}}


def simulator():
    model = noise.NoiseModel()
    model.add_all_qubit_quantum_error(noise.depolarizing_error(0.02, 2), ["cx"])
    model.add_all_qubit_readout_error(noise.ReadoutError([[0.96, 0.04], [0.04, 0.96]]))
    return aer.AerSimulator(noise_model=model)


def circuit():
    angle = Parameter("angle")
    made = QuantumCircuit(2)
    made.h(0)
    made.cx(0, 1)
    made.rx(angle, 1)
    made.cx(0, 1)
    return made


def test_layers_and_readout_are_learned_in_one_job():
    """The readout to five standard errors, false alarm 2e-6; the fit of rates has tests of its own."""
    wide = QuantumCircuit(3)
    wide.compose(circuit(), [0, 1], inplace=True)
    wide.cx(1, 2)
    found = calibrate(simulator(), wide, options=OPTIONS, seed=3)
    assert sorted(model.layer.gates[0][2] for model in found.layers) == [(0, 1), (1, 2)]
    assert found.readout.qubits.tolist() == [0, 1, 2]
    assert np.abs(found.readout.error_rates - 0.04).max() < 5 * np.sqrt(0.04 / 4096)
    for model in found.layers:
        (truth,) = models_of_aer(simulator().options.noise_model, [model.layer])
        assert model.rates.sum() == pytest.approx(truth.rates.sum(), rel=0.5)
    assert found.metadata["shots"] == found.metadata["calibration_shots"]
    assert "2 layers, readout of 3 qubits" in repr(found)


def test_estimators_take_what_was_learned_from_the_store(tmp_path):
    path = tmp_path / "store.sqlite"
    backend = simulator()
    found = calibrate(backend, [circuit()], options=OPTIONS, store=path, seed=1)
    assert len(found.records) == len(CalibrationStore(path)) == 2
    assert {record.backend for record in found.records} == {backend.name}
    options = {
        "seed": 1,
        "resilience": {"layer_noise_learning": LEARNING, "pec_mitigation": True, "measure_mitigation": True},
        "calibration": {"store": path},
    }
    pub = (circuit(), ["IZ", "ZZ"], [0.3])
    # another object with an equal noise model, as in another process
    job = Estimator(simulator(), options).run([pub], precision=0.05)
    result = job.result()
    assert result.metadata["calibration_shots"] == 0
    shared = result.metadata["shared_calibrations"]
    assert {fact["record"] for fact in shared} == {record.key for record in found.records}
    # other noise is another device
    other = simulator()
    other.set_options(noise_model=noise.NoiseModel())
    result = Estimator(other, options).run([pub], precision=0.1).result()
    assert result.metadata["calibration_shots"] > 0
    assert result.metadata["shared_calibrations"] == []


def test_a_job_that_relies_on_a_record_of_the_same_seed_takes_other_shots(monkeypatch):
    """With the same shots its error would hide in those of the calibration: z-scores of spread 0.77 instead of 1."""
    seeds, run = [], BackendRunner.run

    def recorded(self, programs, **options):
        seeds.append(options["seed"])
        return run(self, programs, **options)

    monkeypatch.setattr(BackendRunner, "run", recorded)
    kept, backend = CalibrationStore(":memory:"), simulator()
    for _ in range(2):
        options = {"seed": 7, "calibration": {"store": kept}}
        result = Estimator(backend, options).run([(QuantumCircuit(2), "ZZ")]).result()
    assert result.metadata["calibration_shots"] == 0
    first, second = seeds
    assert first == 7
    assert second != first


def test_samplers_take_confusion_matrices_from_the_store():
    kept = CalibrationStore(":memory:")
    made = QuantumCircuit(2)
    made.x(0)
    made.measure_all()
    options = {"seed": 1, "resilience": {"measure_mitigation": True}, "calibration": {"store": kept}}
    results = [Sampler(simulator(), options).run([made], shots=2000).result() for _ in range(2)]
    assert [r.metadata["calibration_shots"] > 0 for r in results] == [True, False]
    assert [record.kind for record in kept] == ["readout_confusion"]
    assert results[1].metadata["shared_calibrations"][0]["record"] == next(kept.records()).key


def test_too_old_and_refused_is_an_error_before_anything_runs(tmp_path):
    kept = CalibrationStore(tmp_path / "store.sqlite", device="lab")
    calls = []
    sampler = ExactSampler(0)

    def device(pubs):
        calls.append(len(pubs))
        return sampler(pubs)

    calibrate(device, qubits=[0, 1], store=kept, seed=1)
    spent = len(calls)
    options = {"seed": 2, "calibration": {"store": kept, "max_age": 1e-9, "when_old": "refuse"}}
    plain = QuantumCircuit(2)
    plain.x(0)
    with pytest.raises(CalibrationError, match=r"options\.calibration\.max_age"):
        Estimator(device, options).run([(plain, "ZZ")])
    assert len(calls) == spent
    options["calibration"]["when_old"] = "warn"
    with pytest.warns(UserWarning, match="used all the same"):
        job = Estimator(device, options).run([(plain, "ZZ")])
    assert job.result().metadata["calibration_shots"] == 0


def test_the_device_of_functions_and_samplers_must_be_named(tmp_path):
    """All functions are called "callable": records of one would be taken for another."""
    path = tmp_path / "store.sqlite"

    def device(pubs):
        raise AssertionError("nothing may run")

    with pytest.raises(CalibrationError, match="no name for the device"):
        calibrate(device, qubits=[0], store=path)
    found = calibrate(ExactSampler(0), qubits=[0], seed=1)
    with pytest.raises(CalibrationError, match=r"CalibrationStore\(path, device=\.\.\.\)"):
        found.save(path)
    named = CalibrationStore(path, device="lab")
    assert found.save(named) == 1
    assert [record.backend for record in named] == ["lab"]
    job = Estimator(ExactSampler(0), {"calibration": {"store": named}}).run([(QuantumCircuit(1), "Z")])
    assert job.result().metadata["calibration_shots"] == 0
    job = Estimator(ExactSampler(0), {"calibration": {"store": path}}).run([(QuantumCircuit(1), "Z")])
    assert job.result().metadata["calibration_shots"] > 0
    assert len(CalibrationStore(path)) == 1


def test_qubits_alone_need_no_circuits_and_circuits_no_qubits():
    found = calibrate(ExactSampler(0), qubits=[4, 1], seed=1)
    assert found.readout.qubits.tolist() == [1, 4]
    assert found.layers == ()
    found = calibrate(simulator(), circuit(), qubits=[], options=OPTIONS, seed=1)
    assert found.readout is None
    assert len(found.layers) == 1


def test_sessions_can_be_calibrated_and_their_jobs_use_it():
    with Session(simulator()):
        plain = QuantumCircuit(3)
        plain.x(range(3))
        found = calibrate(circuits=plain, options={"resilience": {"pec_mitigation": False}}, seed=1)
        result = Estimator(options={"seed": 2}).run([(plain, "ZZZ")]).result()
    assert found.metadata["calibration_shots"] == 4096
    assert result.metadata["calibration_shots"] == 0


def test_options_are_copied_and_seeds_repeat():
    from quell import EstimatorOptions

    options = EstimatorOptions(OPTIONS)
    before = options.to_dict()
    rates = [calibrate(simulator(), circuit(), options=options, seed=5).layers[0].rates for _ in range(2)]
    assert np.array_equal(*rates)
    assert options.to_dict() == before


def test_everything_that_is_wrong_is_said_before_anything_runs(tmp_path):
    def device(pubs):
        raise AssertionError("nothing may run")

    with pytest.raises(CalibrationError, match="a folder that does not exist"):
        calibrate(device, qubits=[0], store=tmp_path / "missing" / "store.sqlite")
    with pytest.raises(InputError, match=r"circuits\[1\]: must be a QuantumCircuit, not str"):
        calibrate(device, [circuit(), "circuit"])
    with pytest.raises(InputError, match="qubits: must be given"):
        calibrate(device)
    with pytest.raises(InputError, match="indices that are not negative"):
        calibrate(device, qubits=[-1])
    with pytest.raises(InputError, match="there are no qubits"):
        calibrate(device, qubits=[])
    rotated = QuantumCircuit(2)
    rotated.rzz(0.3, 0, 1)
    with pytest.raises(UnsupportedError, match=r"circuits\[1\].*rzz"):
        calibrate(device, [circuit(), rotated])


def test_what_cannot_be_named_can_be_used_but_not_saved(tmp_path):
    """A pool of threads has no name that would hold in another process."""
    backend = simulator()
    with ThreadPoolExecutor(1) as pool:
        backend.set_options(executor=pool)
        found = calibrate(backend, qubits=[0], seed=1)
    assert found.readout.qubits.tolist() == [0]
    assert found.records == ()
    with pytest.raises(CalibrationError, match="cannot be told apart in another process"):
        found.save(tmp_path / "store.sqlite")
