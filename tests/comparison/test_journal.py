"""A folder of finished trials: a comparison that was stopped goes on and gives the same numbers."""

import json

import numpy as np
import pytest
from qiskit import QuantumCircuit
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
    journal, _ = Journal.opened(tmp_path / "in", {"seed": 1, "strategies": {name: {}}})
    journal.keep(Trial(name, 3, np.array([0.1, 1 / 3]), np.array([1e-17, 0.0])))
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
    (kept,) = journal.trials().values()
    assert (kept.strategy, kept.repeat) == (name, 3)
    assert kept.values.tolist() == [0.1, 1 / 3], "all digits are kept"


def test_objects_in_options_have_no_address_in_the_head(tmp_path):
    """In another process they live elsewhere, and the comparison goes on all the same."""
    for address in ("0x7f00", "0x7fAb12"):
        Journal.opened(tmp_path, {"seed": 1, "strategies": {"own": f"<function f at {address}>"}})
    with pytest.raises(InputError):
        Journal.opened(tmp_path, {"seed": 1, "strategies": {"own": "<function g at 0x7f00>"}})


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
