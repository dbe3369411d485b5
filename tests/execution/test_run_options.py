"""Options of running: seeds, what is handed to `backend.run`, devices that simulators stand for."""

import threading

import numpy as np
import pytest
from attrs import evolve
from qiskit import QuantumCircuit
from qiskit.circuit import Measure, Parameter
from qiskit.circuit.library import CZGate, RZGate, SXGate
from qiskit.primitives import BackendSamplerV2, StatevectorSampler
from qiskit.providers import BackendV2, Options
from qiskit.transpiler import Target
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError
from qiskit_aer.primitives import SamplerV2 as AerSampler

from quell import Estimator, InputError, OptionsError, Sampler, SamplerOptions, wrap
from quell.circuits.gatesets import choose
from quell.circuits.program import Program
from quell.circuits.template import template_of
from quell.execution.adapters import runner_for
from quell.options.resolved import ResolvedExecution
from quell.testing.backends import CountingBackend

DEFAULTS = ResolvedExecution(run_options={}, seed_simulator=None, coupling_map=None, basis_gates=None)


def execution(**given):
    return evolve(DEFAULTS, **given)


def coin(shots=50, members=1):
    circuit = QuantumCircuit(1, 1)
    circuit.h(0)
    circuit.measure(0, 0)
    template = template_of(circuit)
    return Program(
        template=template,
        parameter_values=np.zeros((1, 0)),
        parameter_sets=np.zeros(1, dtype=np.int64),
        bases=np.zeros((1, 1), dtype=np.uint8),
        shots=shots,
        gate_set=choose(template.written, None),
        randomizations=(0, members),
    )


def run(mode, programs, given=None, seed=None):
    return runner_for(mode, given).run(
        programs, seed=seed, progress=lambda done, total: None, cancelled=threading.Event()
    )


def seeds(backend):
    return [call.options.get("seed_simulator") for call in backend.calls]


@pytest.mark.parametrize("number", [0, 42])
def test_the_first_run_gets_the_very_seed_and_later_ones_others(number):
    backend = CountingBackend(max_circuits=1)
    run(backend, [coin(members=4)], execution(seed_simulator=number), seed=7)
    first, *later = seeds(backend)
    assert first == number
    assert len({first, *later}) == 4
    again = CountingBackend(max_circuits=1)
    run(again, [coin(members=4)], execution(seed_simulator=number), seed=8)
    assert seeds(again) == seeds(backend)  # the seed of the job has no part in it


def test_running_again_for_what_is_missing_repeats_no_seed():
    backend = CountingBackend(max_circuits=1)
    runner = runner_for(backend, execution(seed_simulator=4))
    for _ in range(2):
        runner.run([coin(members=2)], seed=1, progress=lambda *_: None, cancelled=threading.Event())
    assert len(set(seeds(backend))) == 4


def test_seeds_follow_from_the_job_where_none_is_given():
    backend = CountingBackend(max_circuits=1)
    run(backend, [coin(members=3)], seed=7)
    assert len(set(seeds(backend))) == 3
    fresh = CountingBackend(max_circuits=1)
    run(fresh, [coin(members=3)])
    assert seeds(fresh) == [None] * 3


def test_a_seed_of_the_backend_itself_is_not_repeated_by_later_runs():
    backend = CountingBackend(AerSimulator(seed_simulator=5), max_circuits=1)
    run(backend, [coin(members=3)])
    first, second, third = seeds(backend)
    assert first == 5
    assert len({5, second, third}) == 3
    backend = CountingBackend(AerSimulator(seed_simulator=5))
    run(backend, [coin()], seed=1)  # the user gave the job a seed: its shots follow from that
    assert seeds(backend) != [5]


def test_a_seed_among_the_run_options_is_that_of_the_first_run_and_is_not_repeated_by_later_runs():
    backend = CountingBackend(max_circuits=1)
    options = {"execution": {"run_options": {"seed_simulator": 3}}}
    Sampler(backend, options).run([coin().template.circuit] * 3, shots=10).result()
    assert seeds(backend)[0] == 3
    assert len(set(seeds(backend))) == 3


def test_a_single_run_has_the_counts_of_the_bare_backend():
    (samples,) = run(AerSimulator(), [coin(shots=1000)], execution(seed_simulator=11))
    bare = AerSimulator().run(coin().template.circuit, shots=1000, seed_simulator=11).result().get_counts()
    assert int(samples.bits["c"].sum()) == bare["1"]


class Recording(BackendV2):
    """A device that lists delays and initialisation among the options of `run`, and remembers them."""

    def __init__(self):
        super().__init__(name="recording")
        self.asked = []

    @classmethod
    def _default_options(cls):
        return Options(shots=10, init_qubits=True, rep_delay=None)

    @property
    def target(self):
        target = Target(num_qubits=2)
        for gate in (RZGate(Parameter("t")), SXGate(), Measure()):
            target.add_instruction(gate, {(0,): None, (1,): None})
        target.add_instruction(CZGate(), {(0, 1): None})
        return target

    @property
    def max_circuits(self):
        return None

    def run(self, run_input, **options):
        self.asked.append({k: v for k, v in options.items() if k != "shots"})
        return AerSimulator().run(run_input, shots=options["shots"])


def bell():
    circuit = QuantumCircuit(2)
    circuit.sx([0, 1])
    circuit.cz(0, 1)
    circuit.sx(1)
    circuit.measure_all()
    return circuit


def test_delay_and_initialisation_reach_a_backend_that_lists_them():
    backend = Recording()
    options = {"execution": {"init_qubits": False, "rep_delay": 1e-4}}
    Sampler(backend, options).run([bell()], shots=10).result()
    Sampler(backend).run([bell()], shots=10).result()
    assert backend.asked == [{"init_qubits": False, "rep_delay": 1e-4}, {}]


def readout_noise(probability=0.25):
    model = NoiseModel()
    model.add_all_qubit_readout_error(ReadoutError([[1, 0], [probability, 1 - probability]]))
    return model


@pytest.mark.parametrize("form", ["model", "dict"])
def test_a_noise_model_may_be_given_as_its_dict(form):
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    model = readout_noise() if form == "model" else readout_noise().to_dict()
    options = {"simulator": {"noise_model": model, "seed_simulator": 1}}
    counts = Sampler(AerSimulator(), options).run([circuit], shots=1000).result()[0].data.c.get_counts()
    assert abs(counts["0"] - 250) < 5 * np.sqrt(1000 * 0.25 * 0.75)  # 5 sigma


@pytest.mark.parametrize("wrong", ["depolarizing", 0.1, {"errors": [{"type": "no such"}]}, [1]])
def test_what_is_no_noise_model_is_refused_before_anything_runs(wrong):
    with pytest.raises(InputError, match=r"options\.simulator\.noise_model"):
        runner_for(AerSimulator(), execution(run_options={"noise_model": wrong}))


def test_other_backends_get_what_was_given_as_noise_model():
    backend = CountingBackend(AerSimulator())
    assert runner_for(backend, execution(run_options={"noise_model": "theirs"})).run_options == {
        "noise_model": "theirs"
    }


LINE = {"coupling_map": ((0, 1), (1, 0), (1, 2), (2, 1))}
BASIS = {"basis_gates": ("rz", "sx", "cx")}


def cxs(*pairs, gate="sx"):
    circuit = QuantumCircuit(3)
    getattr(circuit, gate)(0)
    for pair in pairs:
        circuit.cx(*pair)
    return circuit


@pytest.mark.parametrize("primitive", ["estimator", "sampler"])
@pytest.mark.parametrize(
    ("simulator", "circuit", "message"),
    [
        (LINE, cxs((0, 1), (0, 2)), r"'cx' on qubits \[0, 2\], which the device of options.simulator"),
        (LINE | BASIS, cxs((0, 2)), r"'cx' on qubits \[0, 2\]"),
        (BASIS, cxs((0, 2), gate="h"), "'h' on qubits"),
        ({"coupling_map": ((0, 1),)}, cxs((0, 1)), "has 3 qubits, the device of options.simulator has 2"),
        ({"coupling_map": ((0, 1), (1, 2))}, cxs((1, 0)), r"'cx' on qubits \[1, 0\]"),
    ],
)
def test_circuits_that_do_not_fit_the_simulated_device_are_refused(primitive, simulator, circuit, message):
    backend = CountingBackend(takes_parameter_binds=True)
    options = {"simulator": simulator}
    if primitive == "estimator":
        run, pub = Estimator(backend, options).run, (circuit, "ZZZ")
    else:
        run, pub = Sampler(backend, options).run, circuit.measure_all(inplace=False)
    with pytest.raises(InputError, match=message):
        run([pub])
    assert not backend.calls


@pytest.mark.parametrize(
    ("simulator", "circuit"),
    [
        (LINE, cxs((0, 1), (2, 1), gate="h")),  # the gates are those of the backend
        (BASIS, cxs((0, 2))),  # any pair
        (LINE | BASIS, cxs((0, 1), (2, 1))),
        (LINE | {"basis_gates": ("rz", "sx", "cx", "measure", "if_else")}, cxs((0, 1))),
    ],
)
def test_circuits_that_fit_run(simulator, circuit):
    Sampler(AerSimulator(), {"simulator": simulator}).run([circuit.measure_all(inplace=False)]).result()


def test_gates_inside_control_flow_must_fit_too():
    circuit = QuantumCircuit(3, 1)
    circuit.measure(0, 0)
    with circuit.if_test((0, 1)):
        circuit.cx(2, 0)
    with pytest.raises(InputError, match=r"'cx' on qubits \[2, 0\]"):
        Sampler(AerSimulator(), {"simulator": LINE}).run([circuit])


@pytest.mark.parametrize("basis", [("rz", "sx", "cx"), ("u", "cx"), ("rx", "rz", "cx")])
@pytest.mark.parametrize("binds", [True, False])
def test_dressings_are_written_in_the_gates_of_the_simulated_device(basis, binds):
    backend = CountingBackend(takes_parameter_binds=binds)
    circuit = QuantumCircuit(3)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    options = {"simulator": {"basis_gates": basis}, "twirling": {"enable_gates": True}, "seed": 1}
    Estimator(backend, options).run([(circuit, ["ZZZ", "XXX"])], precision=0.1).result()
    names = {i.operation.name for call in backend.calls for c in call.circuits for i in c.data}
    assert names - {"measure", "barrier", "x"} <= set(basis) | {"cx"}
    assert names & set(basis) - {"cx"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"basis_gates": ("rz", "sx", "quux")}, "'quux' is no gate"),
        ({"basis_gates": ("rz", "ccx"), "coupling_map": ((0, 1),)}, "'ccx' has 3 qubits"),
    ],
)
def test_gates_that_make_no_device_are_named(given, message):
    with pytest.raises(InputError, match=message) as error:
        runner_for(AerSimulator(), execution(**given))
    assert "options.simulator.basis_gates" in str(error.value)


def test_a_simulated_device_binds_and_a_bare_simulator_does_not():
    assert runner_for(AerSimulator()).checked_target is None
    simulated = runner_for(AerSimulator(), execution(basis_gates=("u", "cx")))
    assert simulated.checked_target is simulated.target is not None
    recording = runner_for(Recording())
    assert set(recording.checked_target.operation_names) == {"rz", "sx", "measure", "cz"}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"execution": {"run_options": {"rep_delay": 1}}}, "execution.run_options"),
        ({"simulator": {"seed_simulator": 0}}, "simulator.seed_simulator"),
        ({"simulator": {"coupling_map": [[0, 1]]}}, "simulator.coupling_map"),
        ({"simulator": {"basis_gates": ["x"]}}, "simulator.basis_gates"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
@pytest.mark.parametrize("mode", [StatevectorSampler(), lambda pubs: []], ids=["sampler", "function"])
def test_options_of_backends_are_refused_for_other_modes(mode, given, path):
    with pytest.raises(OptionsError) as error:
        Sampler(mode, given).run([bell()])
    assert [problem.path for problem in error.value.problems] == [f"options.{path}"]


@pytest.mark.parametrize("name", ["circuits", "run_input", "parameter_binds", "shots"])
def test_what_follows_from_the_pubs_is_no_run_option(name):
    options = SamplerOptions()
    with pytest.raises(OptionsError, match=f"run_options: cannot hold '{name}'"):
        options.execution.run_options = {name: 1}
    options.execution.run_options[name] = 1
    backend = CountingBackend()
    with pytest.raises(OptionsError, match=f"run_options: cannot hold '{name}'"):
        Sampler(backend, SamplerOptions()).options = options


def test_a_pair_of_qubits_is_two_qubits():
    with pytest.raises(OptionsError, match=r"coupling_map: must be a list of pairs of qubits.*two different"):
        SamplerOptions(simulator={"coupling_map": [[0, 1], [0, 0]]})


def noisy():
    return AerSimulator(noise_model=readout_noise(0.0))  # its target lists four gates, and it runs all


@pytest.mark.parametrize(
    "make",
    [
        noisy,
        lambda: CountingBackend(noisy()),
        lambda: wrap(noisy()),
        lambda: wrap(CountingBackend(wrap(noisy()))),
        lambda: BackendSamplerV2(backend=noisy()),
        lambda: BackendSamplerV2(backend=CountingBackend(noisy())),
        lambda: AerSampler(options={"backend_options": {"noise_model": readout_noise(0.0)}}),
    ],
    ids=["bare", "counting", "wrapped", "nested", "backend sampler", "counting sampler", "aer sampler"],
)
def test_simulators_run_more_than_they_list_however_they_are_wrapped(make):
    circuit = QuantumCircuit(1)
    circuit.x(0)
    circuit.measure_all()
    assert Sampler(make()).run([circuit], shots=5).result()[0].data.meas.get_counts() == {"1": 5}


@pytest.mark.parametrize(
    "make",
    [Recording, lambda: wrap(Recording()), lambda: BackendSamplerV2(backend=CountingBackend(Recording()))],
    ids=["bare", "wrapped", "sampler"],
)
def test_the_gates_of_a_device_bind_however_it_is_wrapped(make):
    circuit = QuantumCircuit(1)
    circuit.h(0)
    circuit.measure_all()
    with pytest.raises(InputError, match=r"has 'h' on qubits \[0\]"):
        Sampler(make()).run([circuit])
