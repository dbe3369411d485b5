"""What Qiskit says of `BackendV2.run`, and what code built on it relies on, holds for wrapped backends."""

import copy
import json
import pickle
import warnings

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, generate_preset_pass_manager, transpile
from qiskit.circuit import Parameter
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit.providers import BackendV2, JobStatus, JobV1
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit.result import (
    Result,
    marginal_counts,
    marginal_distribution,
    marginal_memory,
    sampled_expectation_value,
)
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError

from quell import Batch, Estimator, InputError, OptionsError, Sampler, Session, wrap
from quell.options.legacy import LegacyOptionsWarning
from quell.primitives.configuration import BackendConfiguration
from quell.testing.backends import CountingBackend

TWIRLED = {"twirling": {"enable_gates": True, "enable_measure": True, "num_randomizations": 8}}
CORRECTED = {"resilience": {"measure_mitigation": True}}
STAGES = {"off": {}, "twirled": TWIRLED, "corrected": CORRECTED, "all": TWIRLED | CORRECTED}
LINE = [[0, 1], [1, 0], [1, 2], [2, 1]]


def device(**options):
    return GenericBackendV2(3, coupling_map=LINE, seed=1, **options)


INNER = {"aer": AerSimulator, "device": device}


@pytest.fixture(params=INNER)
def inner(request):
    return INNER[request.param]()


def ghz(num_qubits=3, name=None):
    circuit = QuantumCircuit(num_qubits, name=name)
    circuit.h(0)
    for qubit in range(num_qubits - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def registers(*names):
    """An empty register among others, a bit that is never written, names as given."""
    sizes = (2, 0, 2)
    circuit = QuantumCircuit(
        QuantumRegister(3), *(ClassicalRegister(size, name) for size, name in zip(sizes, names, strict=True))
    )
    circuit.metadata = {"kind": "registers"}
    circuit.h([0, 1])
    circuit.cx(1, 2)
    circuit.measure([0, 1, 2], [1, 0, 3])
    return circuit


def several():
    return [ghz(name="first"), registers("a", "b", "c"), ghz(2), registers("class", "no bits", "two words")]


# --- run and result -------------------------------------------------------------------------


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("form", [list, tuple, iter])
def test_without_stages_results_are_those_of_the_backend_inside(inner, form, memory):
    """For the same seed, bit for bit, whichever way they are asked for; memory also in the same order."""
    circuits = transpile(several(), inner, seed_transpiler=1)
    keywords = {"shots": 200, "seed_simulator": 5, "memory": memory}
    bare = inner.run(circuits, **keywords).result()
    ours = wrap(inner).run(form(circuits), **keywords).result()
    assert len(ours.results) == len(circuits)
    assert ours.get_counts() == bare.get_counts()
    for index, circuit in enumerate(circuits):
        for experiment in (index, circuit, circuit.name):
            assert ours.get_counts(experiment) == bare.get_counts(experiment)
            assert ours.data(experiment)["counts"] == bare.data(experiment)["counts"]
            if memory:
                assert ours.get_memory(experiment) == bare.get_memory(experiment)
        assert ours.get_counts(index).hex_outcomes() == bare.get_counts(index).hex_outcomes()
        header = bare.results[index].header
        assert {key: ours.results[index].header[key] for key in header} == header
        for field in ("shots", "success", "meas_level", "status"):
            assert getattr(ours.results[index], field) == getattr(bare.results[index], field)
    assert (ours.success, ours.status) == (bare.success, bare.status)


def test_a_circuit_alone_has_counts_alone(inner):
    circuit = transpile(registers("a", "b", "c"), inner, seed_transpiler=1)
    bare = inner.run(circuit, shots=50, seed_simulator=2).result().get_counts()
    ours = wrap(inner).run(circuit, shots=50, seed_simulator=2).result().get_counts()
    assert type(ours) is type(bare)
    assert ours == bare
    assert sum(ours.values()) == 50


@pytest.mark.parametrize("stages", ["twirled", "corrected", "all"])
def test_with_stages_counts_keep_their_format(inner, stages):
    circuits = transpile(several(), inner, seed_transpiler=1)
    bare = inner.run(circuits, shots=50).result()
    ours = wrap(inner, STAGES[stages]).run(circuits, shots=51, memory=True).result()
    for index in range(len(circuits)):
        counts = ours.get_counts(index)
        assert sum(counts.values()) == ours.results[index].shots == 51
        assert all(type(count) is int and count > 0 for count in counts.values())
        spaces = {"".join(c if c == " " else "." for c in key) for key in (*counts, *bare.get_counts(index))}
        assert len(spaces) == 1  # all keys have the same registers
        memory = ours.get_memory(index)
        assert {key: memory.count(key) for key in memory} == dict(counts)


@pytest.mark.parametrize("stages", STAGES)
def test_the_seed_of_the_simulator_decides_twirls_calibrations_and_counts(stages):
    backend = wrap(device(), STAGES[stages])
    circuit = transpile(registers("a", "b", "c"), backend, seed_transpiler=1)
    memories = [
        backend.run(circuit, shots=200, seed_simulator=seed, memory=True).result().get_memory()
        for seed in (1, 1, 2)
    ]
    assert memories[0] == memories[1] != memories[2]


def test_jobs_are_those_of_the_interface(inner):
    backend = wrap(inner, TWIRLED)
    job = backend.run(transpile(ghz(), inner, seed_transpiler=1), shots=20)
    result = job.result()
    assert isinstance(job, JobV1)
    assert isinstance(result, Result)
    assert job.result() is result
    assert isinstance(job.job_id(), str)
    assert result.job_id == job.job_id()
    assert job.backend() is backend
    assert result.backend_name == backend.name
    assert job.status() is JobStatus.DONE
    assert (job.done(), job.running(), job.cancelled(), job.in_final_state()) == (True, False, False, True)
    assert not job.cancel()  # there is nothing left to cancel
    assert job.result() is result


@pytest.mark.parametrize("stages", STAGES)
def test_results_survive_being_stored(stages):
    backend = wrap(AerSimulator(), STAGES[stages])
    result = backend.run(several(), shots=30, memory=True, seed_simulator=1).result()
    stored = json.loads(json.dumps(result.to_dict()))
    for again in (
        Result.from_dict(result.to_dict()),
        Result.from_dict(stored),
        pickle.loads(pickle.dumps(result)),
    ):
        assert again.get_counts() == result.get_counts()
        assert again.get_memory(1) == result.get_memory(1)
        assert again.results[1].header["metadata"] == {"kind": "registers"}
        assert again.job_id == result.job_id


def test_qiskits_tools_for_results_read_them():
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(2, "a"), ClassicalRegister(1, "b"))
    circuit.x([0, 2])
    circuit.measure([0, 1, 2], [0, 1, 2])
    result = wrap(AerSimulator(), TWIRLED).run(circuit, shots=40, memory=True).result()
    assert result.get_counts() == {"1 01": 40}
    marginal = marginal_counts(result, [0, 2])
    assert marginal.get_counts() == {"1 1": 40}
    assert marginal_counts(result.get_counts(), [1]) == {"0": 40}
    assert marginal_distribution(result.get_counts(), [2, 0]) == {"11": 40}
    assert marginal_memory(result.data()["memory"], [1, 2]) == ["10"] * 40
    counts = {key.replace(" ", ""): count for key, count in result.get_counts().items()}
    assert sampled_expectation_value(counts, SparsePauliOp("ZIZ")) == 1.0


def test_experiment_frameworks_find_what_they_keep_of_a_result():
    """What the data of qiskit-experiments takes from each experiment of a result."""
    circuits = several()
    job = wrap(AerSimulator(), TWIRLED).run(circuits, shots=24, seed_simulator=1)
    result = job.result()
    kept = []
    for index, experiment in enumerate(result.results):
        data = dict(result.data(index))
        data["job_id"] = result.job_id
        data["counts"] = result.get_counts(index)
        data["metadata"] = experiment.header["metadata"]
        data["shots"] = experiment.shots
        data["meas_level"] = experiment.meas_level
        kept.append(data)
    assert [data["metadata"] for data in kept] == [circuit.metadata for circuit in circuits]
    assert {data["shots"] for data in kept} == {sum(data["counts"].values()) for data in kept} == {24}
    assert {data["meas_level"] for data in kept} == {2}
    assert {data["job_id"] for data in kept} == {job.job_id()}


@pytest.mark.filterwarnings("ignore:A type of an option:DeprecationWarning")  # by Aer, of its own options
def test_shots_may_be_whole_floats_as_in_many_scripts():
    backend = wrap(AerSimulator(), shots=2e1)
    shots = [
        sum(backend.run(ghz(), **given).result().get_counts().values()) for given in ({}, {"shots": 1e2})
    ]
    backend.set_options(shots=np.float64(30))
    shots.append(backend.run(ghz()).result().results[0].shots)
    shots.append(wrap(AerSimulator(shots=4e1)).run(ghz(), shots=None).result().results[0].shots)
    assert shots == [20, 100, 30, 40]
    for wrong in (10.5, "10", True, -1, 0, np.nan):
        with pytest.raises(InputError, match="shots: must be a positive integer"):
            backend.run(ghz(), shots=wrong)


@pytest.mark.parametrize("name", ["shape", "items", "self"])
def test_names_of_registers_that_samples_cannot_have_are_refused_in_words_of_run(name):
    inner = CountingBackend()
    with pytest.raises(InputError, match=r"run_input\[1\].circuit: has a register '" + name):
        wrap(inner).run([ghz(), registers("a", "b", name)])
    assert not inner.calls


# --- the backend as others see it -----------------------------------------------------------


def test_attributes_are_those_of_the_backend_inside(inner):
    backend = wrap(inner)
    assert isinstance(backend, BackendV2)
    names = ["num_qubits", "operation_names", "dt", "max_circuits", "options", "version", "provider"]
    names += ["description", "online_date", "backend_version"]
    for name in names:
        assert getattr(backend, name) == getattr(inner, name)
    assert backend.name == f"quell({inner.name})"


def test_what_every_backend_has_is_that_of_the_backend_inside():
    inner = device()
    backend = wrap(inner)
    assert backend.target is inner.target
    assert backend.operations == inner.operations
    assert backend.instructions == inner.instructions
    assert backend.coupling_map == inner.coupling_map
    assert backend.dtm == inner.dtm
    assert backend.meas_map == inner.meas_map
    assert backend.qubit_properties(0).t1 == inner.qubit_properties(0).t1
    durations = backend.instruction_durations.duration_by_name_qubits
    assert durations == inner.instruction_durations.duration_by_name_qubits
    assert wrap(CountingBackend(max_circuits=7)).max_circuits == 7
    assert not hasattr(backend, "properties")
    assert not hasattr(backend, "no_such_thing")
    assert wrap(AerSimulator()).available_methods() == AerSimulator().available_methods()


@pytest.mark.parametrize("level", [1, 3])
def test_transpilation_for_it_is_transpilation_for_the_backend_inside(inner, level):
    circuit, backend = ghz(), wrap(inner)
    circuit.cx(0, 2)
    expected = transpile(circuit, inner, optimization_level=level, seed_transpiler=3)
    assert transpile(circuit, backend, optimization_level=level, seed_transpiler=3) == expected
    manager = generate_preset_pass_manager(level, backend=backend, seed_transpiler=3)
    assert manager.run(circuit) == expected


@pytest.mark.filterwarnings("ignore:Qiskit backend:UserWarning")
def test_noise_models_and_simulators_are_made_from_it_as_from_the_backend_inside():
    inner = device()
    backend = wrap(inner)
    model = NoiseModel.from_backend(inner)
    assert NoiseModel.from_backend(backend) == model
    simulator = AerSimulator.from_backend(backend)
    assert simulator.options.noise_model == model
    circuit = transpile(ghz(), inner, seed_transpiler=1)
    expected = (
        AerSimulator.from_backend(inner).run(circuit, shots=100, seed_simulator=1).result().get_counts()
    )
    assert simulator.run(circuit, shots=100, seed_simulator=1).result().get_counts() == expected


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_copies_run_as_the_original_does(inner, copied):
    backend = wrap(inner, {"default_shots": 33} | TWIRLED)
    again = copied(backend)
    circuit = transpile(ghz(), inner, seed_transpiler=1)
    assert again.name == backend.name
    assert again.quell_options == backend.quell_options
    assert again.configuration().backend_name == backend.configuration().backend_name
    counts = [b.run(circuit, seed_simulator=4).result().get_counts() for b in (backend, again)]
    assert counts[0] == counts[1]
    assert sum(counts[0].values()) == 33
    if copied is not copy.copy:
        again.quell_options.default_shots = 34
        assert backend.quell_options.default_shots == 33


def test_a_wrapped_backend_can_be_wrapped(inner):
    circuit = transpile(registers("a", "b", "c"), inner, seed_transpiler=1)
    keywords = {"shots": 50, "seed_simulator": 2, "memory": True}
    backend = wrap(wrap(inner))
    assert backend.name == f"quell(quell({inner.name}))"
    ours = backend.run([circuit, circuit], **keywords).result()
    bare = inner.run([circuit, circuit], **keywords).result()
    assert [ours.get_memory(i) for i in range(2)] == [bare.get_memory(i) for i in range(2)]


# --- the configuration that old scripts ask for ---------------------------------------------


def test_a_configuration_of_the_backend_inside_is_passed_on():
    inner = AerSimulator()
    assert wrap(wrap(inner)).configuration().to_dict() == inner.configuration().to_dict()


class Limited(GenericBackendV2):
    """Says how many circuits and shots it takes."""

    @property
    def max_circuits(self):
        return 4

    @classmethod
    def _default_options(cls):
        options = super()._default_options()
        options.set_validator("shots", (1, 500))
        return options


def test_a_backend_without_configuration_gets_one_from_its_target():
    inner = device(control_flow=True)
    assert not hasattr(inner, "configuration")
    found = wrap(inner).configuration()
    assert isinstance(found, BackendConfiguration)
    assert found.backend_name == "quell(generic_backend_3q)"
    assert found.backend_version == inner.backend_version
    assert found.num_qubits == found.n_qubits == 3
    assert found.basis_gates == ["cx", "id", "rz", "sx", "x"]  # no measurements, resets, delays, control flow
    assert sorted(found.coupling_map) == LINE
    assert (found.dt, found.simulator, found.memory) == (inner.dt, False, True)
    assert found.to_dict()["n_qubits"] == 3
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()
    limited = wrap(Limited(3)).configuration()
    assert (limited.max_experiments, limited.max_shots) == (4, 500)
    assert min(found.max_experiments, found.max_shots) > 500  # numbers where there is no limit, to count with
    assert wrap(wrap(inner)).configuration() == found
    assert wrap(CountingBackend()).configuration().coupling_map is None


def corrected_ghz(options, method, seed):
    """Return what M3 makes of the frequency of 00 and 11 on two misread qubits, that frequency, and a calibration."""
    mthree = pytest.importorskip("mthree")
    model = NoiseModel()
    model.add_all_qubit_readout_error(ReadoutError([[0.94, 0.06], [0.1, 0.9]]))
    inner = CountingBackend(AerSimulator(noise_model=model, coupling_map=LINE, n_qubits=3))
    with pytest.raises(AttributeError, match="configuration"):
        mthree.M3Mitigation(inner)
    backend = wrap(inner, options, seed_simulator=seed)
    mitigation = mthree.M3Mitigation(backend)
    mitigation.cals_from_system([2, 0], shots=10_000, method=method)
    circuit = QuantumCircuit(3, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.measure([0, 2], [0, 1])
    counts = backend.run(circuit, shots=10_000).result().get_counts()
    quasis = mitigation.apply_correction(counts, [0, 2])
    raw = (counts["00"] + counts["11"]) / 10_000
    return quasis["00"] + quasis["11"], raw, mitigation.cals_to_matrices()[0]


@pytest.mark.filterwarnings("ignore::quell.options.legacy.LegacyOptionsWarning")
@pytest.mark.parametrize(
    ("options", "method"),
    [(None, "balanced"), (None, "independent"), (None, "marginal"), (TWIRLED, "balanced")],
)
def test_mthree_calibrates_and_corrects_on_devices_that_it_refuses(options, method):
    """Over seeds the corrected frequency has a standard deviation of .006, twirled .009, calibrations .003 and .006."""
    corrected, raw, matrix = corrected_ghz(options, method, 7)
    assert raw < 0.87
    assert corrected == pytest.approx(1, abs=0.03)
    expected = [[0.92, 0.08], [0.08, 0.92]] if options else [[0.94, 0.1], [0.06, 0.9]]
    assert matrix == pytest.approx(np.array(expected), abs=0.03 if options else 0.012)


@pytest.mark.filterwarnings("ignore::quell.options.legacy.LegacyOptionsWarning")
def test_mthree_runs_on_the_generic_device():
    mthree = pytest.importorskip("mthree")
    backend = wrap(device(), seed_simulator=3)
    mitigation = mthree.M3Mitigation(backend)
    mitigation.cals_from_system(shots=4000)
    matrices = mitigation.cals_to_matrices()
    assert len(matrices) == 3
    for qubit, matrix in enumerate(matrices):
        error = backend.target["measure"][(qubit,)].error
        # Half the sum of both errors; 5 standard deviations of 2 x 4000 shots.
        assert (matrix[0, 1] + matrix[1, 0]) / 2 == pytest.approx(error, abs=5 * np.sqrt(error / 8000))


# --- primitives on top ----------------------------------------------------------------------


def rotations():
    """Two angles; <ZI> = cos(b), <IZ> = cos(a)."""
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(2)
    circuit.rx(a, 0)
    circuit.rx(b, 1)
    return circuit


def test_qiskits_sampler_of_backends_takes_the_same_shots_from_it(inner):
    circuit = rotations()
    circuit.measure_all()
    circuits = [transpile(c, inner, seed_transpiler=1) for c in (circuit, registers("a", "b", "c"))]
    pubs = [(circuits[0], np.linspace(0, 3, 12).reshape(2, 3, 2)), circuits[1]]
    theirs, ours = (
        BackendSamplerV2(backend=backend, options={"seed_simulator": 6}).run(pubs, shots=40).result()
        for backend in (inner, wrap(inner))
    )
    for one, other in zip(ours, theirs, strict=True):
        assert list(one.data) == list(other.data)
        for name in one.data:
            assert np.array_equal(one.data[name].array, other.data[name].array)


@pytest.mark.parametrize("stages", STAGES)
@pytest.mark.parametrize("kind", [BackendEstimatorV2, Estimator], ids=["qiskit", "ours"])
def test_estimators_run_on_it(kind, stages):
    """Nine values within 5 standard deviations of at most .02 (a randomization has some shots more or less)."""
    backend = wrap(AerSimulator(), STAGES[stages], seed_simulator=2)
    angles = np.array([[0.3, 1.0], [2.0, 0.0], [1.2, 2.5]])
    observables = ["IZ", "ZI", {"ZZ": 1, "II": 0.5}]
    estimator = (
        kind(backend=backend) if kind is BackendEstimatorV2 else kind(backend, {"resilience_level": 0})
    )
    pubs = [(rotations(), [observables], angles[:, None]), (rotations(), "ZI", {"a": 0, "b": np.pi})]
    job = estimator.run(pubs, precision=0.02)
    data = job.result()[0].data
    cos = np.cos(angles)
    expected = np.stack([cos[:, 0], cos[:, 1], cos.prod(axis=1) + 0.5], axis=-1)
    assert data.evs.shape == data.stds.shape == (3, 3)
    assert (abs(data.evs - expected) < 5 * 0.025).all()
    assert job.result()[1].data.evs == -1


def test_qiskits_estimator_of_backends_has_the_same_values_on_it(inner):
    circuit = transpile(rotations(), inner, seed_transpiler=1, initial_layout=[0, 1])
    observable = SparsePauliOp(["ZZ", "XI", "IY"], [1, 0.5, 2]).apply_layout(circuit.layout)
    pub = (circuit, observable, np.linspace(0, 2, 6).reshape(3, 2))
    theirs, ours = (
        BackendEstimatorV2(backend=backend, options={"seed_simulator": 6})
        .run([pub], precision=0.1)
        .result()[0]
        for backend in (inner, wrap(inner))
    )
    assert np.array_equal(ours.data.evs, theirs.data.evs)
    assert np.array_equal(ours.data.stds, theirs.data.stds)


@pytest.mark.parametrize("kind", [Session, Batch])
def test_sessions_and_batches_take_it(kind):
    circuit = QuantumCircuit(2)
    circuit.x(0)
    measured = circuit.copy()
    measured.measure_all()
    backend = wrap(AerSimulator(), TWIRLED)
    with kind(backend=backend) as mode:
        estimates = Estimator(mode=mode, options={"resilience_level": 0}).run(
            [(circuit, ["IZ", "ZI"])], precision=0.1
        )
        samples = Sampler(mode=mode).run([measured], shots=20)
    assert estimates.result()[0].data.evs.tolist() == [-1, 1]
    assert samples.result()[0].data.meas.get_counts() == {"01": 20}


# --- keywords of old scripts ----------------------------------------------------------------


class Device(CountingBackend):
    """Lists what real devices list, and keeps it from the simulator inside."""

    def __init__(self):
        super().__init__()
        self._options.update_options(rep_delay=None, init_qubits=True)

    def run(self, run_input, rep_delay=None, init_qubits=True, **options):
        self.told = {"rep_delay": rep_delay, "init_qubits": init_qubits}
        return super().run(run_input, **options)


def test_keywords_that_devices_list_reach_them():
    inner = Device()
    with warnings.catch_warnings():
        warnings.simplefilter("error", LegacyOptionsWarning)
        wrap(inner).run(ghz(), rep_delay=1e-4, init_qubits=False, shots=10).result()
    assert inner.told == {"rep_delay": 1e-4, "init_qubits": False}


#: Keywords of `run` in all its versions that change nothing here, or that options of today say in another way.
TRANSLATED = {
    "init_qubits": True,
    "job_tags": ["mine"],
    "job_name": "mine",
    "header": {},
    "qobj_header": {},
    "max_credits": 3,
    "rep_time": 1000,
    "use_measure_esp": True,
    "dynamic": True,
    "optimization_level": 3,
    "seed_transpiler": 1,
    "initial_layout": [0, 1, 2],
    "skip_transpilation": True,
    "backend_options": {},
    "timeout": 5,
}
#: None is "not given", whatever it is given for.
TODAYS = {
    "memory": True,
    "seed_simulator": 3,
    "noise_model": None,
    "parameter_binds": None,
    "meas_level": 2,
    "meas_return": "single",
    "method": "statevector",
    "fusion_enable": False,
    "rep_delay": None,
    "job_tags": None,
    "optimization_level": None,
}


@pytest.mark.parametrize("name", TRANSLATED)
def test_keywords_of_old_scripts_are_translated_with_one_warning(name):
    inner = CountingBackend()
    with pytest.warns(LegacyOptionsWarning, match=name) as caught:
        job = wrap(inner).run(ghz(), shots=10, **{name: TRANSLATED[name]})
    assert len(caught) == 1
    assert sum(job.result().get_counts().values()) == 10
    assert name not in inner.calls[0].options
    if name == "job_tags":
        assert job.result().metadata["job_tags"] == ["mine"]


@pytest.mark.parametrize("name", TODAYS)
def test_keywords_that_backends_take_today_are_taken_without_a_word(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        counts = wrap(AerSimulator()).run(ghz(), shots=10, **{name: TODAYS[name]}).result().get_counts()
    assert sum(counts.values()) == 10
    assert set(counts) <= {"000", "111"}


@pytest.mark.parametrize(
    ("name", "value", "near"),
    [
        ("shotz", 10, "'shots'"),
        ("optimisation_level", 1, "'optimization_level'"),
        ("parameter_bind", [], "'parameter_binds'"),
        ("memoy", True, "'memory'"),
        ("noisemodel", None, "'noise_model'"),
        ("no_such_keyword", 1, "no such key"),
    ],
)
def test_keywords_that_nobody_knows_are_refused_with_those_that_are_near(name, value, near):
    inner = CountingBackend()
    with pytest.raises(OptionsError, match=f"{name}: unknown keyword.*{near}"):
        wrap(inner).run(ghz(), **{name: value})
    assert not inner.calls
