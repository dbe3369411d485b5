"""Complete scripts of before, each beside its quell version: both run, and give compatible numbers."""

import runpy
import sys
from pathlib import Path

import pytest

pytest.importorskip("qiskit_aer")
HERE = Path(__file__).parent / "legacy"
#: Largest difference of an answer; five standard errors of a difference of two means of 2000 or 20000 shots
#: (one in a million by chance), and zero where both draw the same shots.
SCRIPTS = {
    "backend_run": 0.0,
    "execute": 0.0,
    "quantum_instance": 0.05,
    "estimator_v1": 0.05,
    "sampler_v1": 0.055,
    "early_v2": 0.05,
}
#: By how much a script succeeds more often; it is 0.73 and then 0.97, which is known to 0.015 (one standard
#: error, of the shots and of as many for the calibration).
IMPROVED = {"counts_only": 0.15}
NEEDS = {"early_v2": "qiskit_ibm_runtime"}


@pytest.fixture
def run(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    yield lambda path: runpy.run_path(str(HERE / path))
    for name in ("workload", "device", "terra"):  # plain names that must not leak into other tests
        sys.modules.pop(name, None)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning:qiskit_ibm_runtime")
@pytest.mark.parametrize("name", SCRIPTS)
def test_before_and_after_agree(name, run):
    pytest.importorskip(NEEDS.get(name, "qiskit_aer"))
    before, after = (run(f"{name}/{when}.py") for when in ("before", "after"))
    assert before["answer"].keys() == after["answer"].keys()
    for key, value in before["answer"].items():
        assert after["answer"][key] == pytest.approx(value, abs=SCRIPTS[name])


def test_all_scripts_are_run():
    assert {path.name for path in HERE.iterdir() if (path / "before.py").exists()} == {*SCRIPTS, *IMPROVED}


@pytest.mark.parametrize("name", IMPROVED)
def test_one_changed_line_improves_a_script_that_only_knows_counts(name, run):
    before, after = (run(f"{name}/{when}.py") for when in ("before", "after"))
    assert after["shots"] == before["shots"] == 4000
    assert min(after["counts"].values()) > 0
    assert after["success"] > before["success"] + IMPROVED[name]
    # What the gates leave: four have 1 % of depolarising. Five standard errors (false alarm 6e-7).
    assert abs(after["success"] - 0.972) < 0.075
    texts = ((HERE / name / f"{when}.py").read_text().splitlines() for when in ("before", "after"))
    old, new = ([line for line in text if line] for text in texts)
    assert [line for line in old if line not in new] == ["backend = backend()"]
    assert [line for line in new if line not in old] == [
        "import quell",
        'backend = quell.wrap(backend(), {"resilience": {"measure_mitigation": True}})',
    ]


def test_counts_and_memory_of_a_plain_run_are_the_very_same(run):
    before, after = run("backend_run/before.py"), run("backend_run/after.py")
    assert before["counts"] == after["counts"]
    assert sorted(before["job"].result().get_memory()) == sorted(after["data"].get_bitstrings())


def test_a_script_for_the_vendors_runtime_changes_its_imports_only():
    before, after = ((HERE / "early_v2" / f"{when}.py").read_text() for when in ("before", "after"))
    imported = [line for line in after.splitlines() if line and line not in before.splitlines()]
    assert imported == [
        "from quell import EstimatorV2 as Estimator",
        "from quell import SamplerV2 as Sampler",
        "from quell import Session",
    ]
    body = before.partition("\nbackend = ")[2]
    assert body == after.partition("\nbackend = ")[2]
