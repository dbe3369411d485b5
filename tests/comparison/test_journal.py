"""A folder of finished trials: a comparison that was stopped goes on and gives the same numbers."""

import json
import subprocess
import sys

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import AnnotatedOperation, Delay, ForLoopOp, PowerModifier
from qiskit.circuit.library import PauliEvolutionGate, SGate, UnitaryGate
from qiskit.quantum_info import SparsePauliOp
from small_devices import TREX, circuit, numbers, simulator, sweep, zne

from quell import InputError
from quell.comparison.comparison import Comparison
from quell.comparison.journal import Journal, fingerprint
from quell.comparison.records import Trial
from quell.comparison.run import compare
from quell.primitives.inputs import estimator_pub
from quell.testing import FailingBackend

PUBS = [(circuit(), ["ZZ", "IZ"])]
#: Two with a calibration that they share, two that share shots.
STRATEGIES = {
    "raw": "raw",
    "trex": TREX,
    "zne": zne(),
    "linear": zne("linear"),
    "mine": TREX | {"default_shots": 90},
}
HOW = {"shots": 80, "repeats": 2, "seed": 5, "reference": "exact"}


@pytest.fixture(scope="module")
def whole():
    """A comparison that nobody stopped, and how many shots its device ran."""
    backend = simulator()
    return compare(backend, PUBS, STRATEGIES, **HOW), backend.num_shots


class Stop:
    """A callback that is Ctrl-C when a trial has ended, or within one."""

    def __init__(self, trials: int, within: bool = False):
        self.trials, self.within = trials, within

    def __call__(self, done, total, strategy, repeat, circuits, most):
        if done >= self.trials and (circuits > 0) == self.within:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("trials", "within"), [(0, True), (1, False), (2, True), (4, False), (9, True)])
def test_a_stopped_comparison_goes_on_and_gives_the_same_numbers(tmp_path, whole, trials, within):
    with pytest.raises(KeyboardInterrupt):
        compare(simulator(), PUBS, STRATEGIES, **HOW, directory=tmp_path, callback=Stop(trials, within))
    kept = len(list((tmp_path / "trials").glob("*.json")))
    assert trials <= kept < 10
    backend = simulator()
    found = compare(backend, PUBS, STRATEGIES, **HOW, directory=tmp_path)
    assert numbers(found) == numbers(whole[0])
    assert [(t.strategy, t.repeat) for t in found.trials] == [(t.strategy, t.repeat) for t in whole[0].trials]
    assert (backend.num_shots < whole[1]) == (kept > 0), "what was finished is not run again"


def test_a_finished_one_runs_nothing(tmp_path, whole):
    compare(simulator(), PUBS, STRATEGIES, **HOW, directory=tmp_path)
    backend, calls = simulator(), []
    found = compare(backend, PUBS, STRATEGIES, **HOW, directory=tmp_path, callback=lambda *a: calls.append(a))
    assert numbers(found) == numbers(whole[0])
    assert backend.num_runs == 0
    assert calls == []


def test_one_strategy_that_is_missing_is_run_alone(tmp_path, whole):
    """Also one that analyses the shots of another, whose trial is there."""
    compare(simulator(), PUBS, STRATEGIES, **HOW, directory=tmp_path)
    for path in (tmp_path / "trials").glob("*.json"):
        if json.loads(path.read_text())["strategy"] in ("linear", "mine"):
            path.unlink()
    assert numbers(compare(simulator(), PUBS, STRATEGIES, **HOW, directory=tmp_path)) == numbers(whole[0])


def test_the_seed_is_that_of_the_folder(tmp_path):
    first = compare(simulator(), PUBS, ["raw"], shots=50, directory=tmp_path)
    for path in (tmp_path / "trials").glob("*.json"):
        path.unlink()
    again = compare(simulator(), PUBS, ["raw"], shots=50, directory=tmp_path)
    assert again.settings["seed"] == first.settings["seed"]
    assert numbers(again) == numbers(first)


def test_what_failed_is_tried_again(tmp_path):
    """A device that was on fire may be well by now."""
    failing = FailingBackend(simulator(), fail_at=0)
    first = compare(failing, PUBS, ["raw", "twirl"], shots=50, seed=1, directory=tmp_path)
    assert "on fire" in first.trials[0].failure
    again = compare(
        FailingBackend(simulator(), fail_at=()), PUBS, ["raw", "twirl"], shots=50, seed=1, directory=tmp_path
    )
    assert [t.failure for t in again.trials] == ["", ""]
    assert numbers(again)["twirl", 0] == numbers(first)["twirl", 0]


OTHERS = {
    "strategies": ({"strategies": ["raw", "twirl"]}, "strategies differ"),
    "options": ({"strategies": {"raw": {"resilience_level": 0, "default_shots": 60}}}, "strategies differ"),
    "circuit": ({"pubs": [(circuit(0.41), ["ZZ", "IZ"])]}, "circuits and observables differ"),
    "observable": ({"pubs": [(circuit(), ["ZZ", "XZ"])]}, "circuits and observables differ"),
    "seed": ({"seed": 6}, "seed differ"),
    "repeats": ({"repeats": 2}, "repeats differ"),
    "shots": ({"shots": 51}, "shots differ"),
    "total": ({"shots": None, "total_shots": 50}, "shots, total_shots differ"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_comparison_in_the_same_folder_is_refused(tmp_path, what):
    usual = {"pubs": PUBS, "strategies": ["raw"], "seed": 5, "shots": 50}
    compare(simulator(), **usual, directory=tmp_path)
    change, text = OTHERS[what]
    with pytest.raises(InputError, match=text):
        compare(simulator(), **{**usual, **change}, directory=tmp_path)


def test_another_device_in_the_same_folder_is_refused(tmp_path):
    """Simulators have the same name whatever their noise."""
    aer = pytest.importorskip("qiskit_aer")
    usual = {"pubs": PUBS, "strategies": ["raw"], "seed": 5, "shots": 50, "directory": tmp_path}
    noisy = simulator().backend
    compare(noisy, **usual)
    with pytest.raises(InputError, match="options of the device differ"):
        compare(aer.AerSimulator(method="density_matrix", max_parallel_threads=1), **usual)
    with pytest.raises(InputError, match="device"):
        compare(simulator(), **usual)
    assert compare(simulator().backend, **usual).trials[0].values is not None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"strategy": "raw"}', '{"strategy": "raw", "repeat": 0}']
)
def test_a_damaged_trial_is_refused_by_its_name(tmp_path, text):
    usual = {"pubs": PUBS, "strategies": ["raw"], "seed": 5, "shots": 50, "directory": tmp_path}
    compare(simulator(), **usual)
    (path,) = (tmp_path / "trials").glob("*.json")
    path.write_text(text)
    with pytest.raises(InputError, match="is no finished trial") as caught:
        compare(simulator(), **usual)
    assert path.name in str(caught.value)
    path.unlink()
    assert compare(simulator(), **usual).trials[0].values is not None


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_a_damaged_head_is_refused(tmp_path, text):
    usual = {"pubs": PUBS, "strategies": ["raw"], "seed": 5, "shots": 50, "directory": tmp_path}
    compare(simulator(), **usual)
    (tmp_path / "comparison.journal.json").write_text(text)
    with pytest.raises(InputError, match="cannot be used"):
        compare(simulator(), **usual)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(InputError, match="cannot be used"):
        compare(simulator(), PUBS, ["raw"], directory=path)


def test_half_written_trials_of_a_killed_process_do_no_harm(tmp_path):
    usual = {"pubs": PUBS, "strategies": ["raw"], "seed": 5, "shots": 50, "directory": tmp_path}
    first = compare(simulator(), **usual)
    (path,) = (tmp_path / "trials").glob("*.json")
    path.rename(path.with_name(f".{path.name}.4711"))
    (tmp_path / "trials" / f".{path.name}.4711").write_text('{"strat')
    assert numbers(compare(simulator(), **usual)) == numbers(first)


def test_names_of_strategies_are_no_paths(tmp_path):
    name = "../../ä/\0|\n" + "x" * 300
    journal = Journal.opened(tmp_path / "in", {"seed": 1, "strategies": {name: {}}})
    journal.keep(Trial(name, 3, np.array([0.1, 1 / 3]), np.array([1e-17, 0.0])))
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
    (kept,) = journal.trials().values()
    assert (kept.strategy, kept.repeat) == (name, 3)
    assert kept.values.tolist() == [0.1, 1 / 3], "all digits are kept"


def test_options_that_only_this_process_can_tell_apart_are_refused(tmp_path):
    """In another process the trials could be those of anything."""
    options = {"own": {"experimental": {"x": object()}}}
    with pytest.raises(InputError, match="cannot be told apart in another process"):
        compare(simulator(), PUBS, options, shots=50, directory=tmp_path)


def prints(*pubs):
    return fingerprint([estimator_pub(pub, None) for pub in pubs])


def test_fingerprints_tell_pubs_apart():
    """Names of circuits and their order of construction do not count, what they do does."""
    other = circuit()
    other.name = "other"
    assert prints((circuit(), "ZZ")) == prints((other, "ZZ"))
    wider = QuantumCircuit(2, 1)
    wider.compose(circuit(), inplace=True)
    turned = circuit()
    turned.cx(1, 0)
    turned_back = circuit()
    turned_back.cx(0, 1)
    different = [
        prints((circuit(), "ZZ")),
        prints((circuit(), "ZZ", None, 0.1)),
        prints((circuit(), {"ZZ": 0.5})),
        prints((circuit(), ["ZZ"])),
        prints((circuit(0.5), "ZZ")),
        prints((wider, "ZZ")),
        prints((turned, "ZZ")),
        prints((turned_back, "ZZ")),
        prints((sweep(), "ZZ", [0.4])),
        prints((sweep(), "ZZ", [0.5])),
        prints((circuit(), "ZZ"), (circuit(), "ZZ")),
    ]
    assert len(set(different)) == len(different)


def holding(operation, *qubits):
    made = QuantumCircuit(3)
    made.append(operation, qubits)
    return prints((made, "ZZZ"))


def custom(*gates, name="inner"):
    inner = QuantumCircuit(2, name=name)
    for gate in gates:
        getattr(inner, gate)(0, 1)
    return inner.to_gate()


def named(gate):
    gate.name = "mine"
    return gate


def test_fingerprints_tell_operations_apart_that_have_the_same_name():
    turn = np.diag(np.exp(1e-9j * np.arange(2)))
    branch = QuantumCircuit(1)
    branch.x(0)
    groups = [
        [holding(PauliEvolutionGate(SparsePauliOp(p), 0.3), 0, 1) for p in ("XX", "ZY")],
        [holding(named(custom(*gates)), 0, 1) for gates in (("cx",), ("cz",), ("cx", "cz"))],
        [holding(AnnotatedOperation(SGate(), PowerModifier(power)), 0) for power in (1, 2)],
        [holding(Delay(100, unit), 0) for unit in ("ns", "us", "dt")],
        [holding(UnitaryGate(matrix), 0) for matrix in (np.eye(2), turn)],
        [holding(ForLoopOp(range(n), None, branch), 0) for n in (2, 3)],
    ]
    for group in groups:
        assert len(set(group)) == len(group)
    assert holding(named(custom("cx")), 0, 1) == groups[1][0]
    assert holding(PauliEvolutionGate(SparsePauliOp("XX"), 0.3), 0, 1) == groups[0][0]
    counted = {holding(custom("cx", name=None), 0, 1) for _ in range(3)}
    assert len(counted) == 1, "names that Qiskit counts up do not count"
    again = QuantumCircuit(1)
    again.x(0)
    assert holding(ForLoopOp(range(2), None, again), 0) == groups[5][0], (
        "names that Qiskit counts up do not count"
    )
    assert prints((sweep(), "ZZ", [0.4])) == prints((sweep(), "ZZ", [0.4])), (
        "parameters of the same name are equal"
    )


SCRIPT = """
from qiskit import QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit import Parameter
from qiskit.circuit.library import QFTGate, PauliEvolutionGate
from qiskit.quantum_info import Clifford, SparsePauliOp
from quell.comparison.journal import fingerprint
from quell.primitives.inputs import estimator_pub
from quell.testing import NoisyDevice
for _ in range({number}):
    QuantumCircuit(1), QuantumRegister(1), Parameter("x")
inner = QuantumCircuit(2)
inner.ry(Parameter("angle"), 0)
made = QuantumCircuit(2)
made.append(inner.to_gate(), [0, 1])
made.append(QFTGate(2), [0, 1])
made.append(PauliEvolutionGate(SparsePauliOp("XY"), 0.3), [0, 1])
bell = QuantumCircuit(2)
bell.h(0)
bell.cx(0, 1)
made.append(Clifford(bell), [0, 1])
placed = transpile(bell, NoisyDevice("tee5"), optimization_level=1, initial_layout=[0, 1], seed_transpiler=1)
print(fingerprint([estimator_pub(pub, None) for pub in ((made, "ZZ", [0.1]), (placed, "IIIZZ"))]))
"""


def test_fingerprints_are_the_same_in_every_process():
    """Whatever was made before in it."""
    found = []
    for number in (0, 120):
        script = SCRIPT.replace("{number}", str(number))
        found.append(
            subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        )
    assert len(found[0]) == 65
    assert found[0] == found[1]


def test_objects_in_options_are_told_apart_by_value(tmp_path):
    noise = pytest.importorskip("qiskit_aer.noise")

    def run(rate):
        model = noise.NoiseModel()
        model.add_all_qubit_quantum_error(noise.depolarizing_error(rate, 2), ["cx"])
        options = {"resilience_level": 0, "simulator": {"noise_model": model}}
        return compare(simulator(), PUBS, {"own": options}, shots=50, seed=1, directory=tmp_path)

    first = run(0.01)
    assert numbers(run(0.01)) == numbers(first)
    with pytest.raises(InputError, match="differ"):
        run(0.3)


def test_saved_and_loaded_it_is_the_same(tmp_path, whole):
    found = whole[0]
    again = Comparison.load(found.save(tmp_path / "found.json"))
    assert numbers(again) == numbers(found)
    assert again.to_dict() == found.to_dict()
    assert again.table(per_value=True) == found.table(per_value=True)
    assert np.array_equal(again.reference, found.reference)
    assert [s.shares_data_with for s in again.strategies] == ["", "", "", "zne", ""]


@pytest.mark.parametrize("change", ["labels", "trials", "version", "settings"])
def test_a_damaged_file_is_refused(tmp_path, whole, change):
    path = whole[0].save(tmp_path / "found.json")
    data = json.loads(path.read_text())
    del data[change]
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match="is damaged"):
        Comparison.load(path)
    data[change] = 17
    path.write_text(json.dumps(data))
    with pytest.raises(InputError):
        Comparison.load(path) if change != "settings" else Comparison.load(tmp_path / "none.json")


@pytest.mark.parametrize("text", ["", "[]", '{"format": "other"}'])
def test_a_file_that_is_no_comparison_is_refused(tmp_path, text):
    path = tmp_path / "found.json"
    path.write_text(text)
    with pytest.raises(InputError):
        Comparison.load(path)
