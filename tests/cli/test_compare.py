"""``quell compare`` and ``quell plan``: the guide's experiment runs, stops and goes on; mistakes have exit codes."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from attrs import frozen

from quell.comparison.comparison import Comparison
from quell.experiments.files import load
from quell.experiments.run import prepare

pytest.importorskip("typer")
pytest.importorskip("qiskit_aer")
pytest.importorskip("matplotlib")
DOCS = Path(__file__).parents[2] / "docs" / "experiments.md"
TOML, SHELL = (
    re.findall(rf"^```{kind}\n(.*?)^```$", DOCS.read_text(), re.S | re.M) for kind in ("toml", "sh")
)
SMALL = """
title = "small"
shots = 300
repeats = 2
seed = 3

[device]
name = "tee5"

[[workload]]
family = "ghz"
qubits = 2

[strategies]
use = ["raw"]

# few random circuits: simulating one costs milliseconds, however few its shots
[strategies.quick]
base = "trex"
twirling.num_randomizations = 4
resilience.measure_noise_learning.num_randomizations = 4
"""
REFUSED = """
[strategies.refused]
base = "zne"
resilience.zne.noise_factors = [1, 2]
resilience.zne.extrapolator = "polynomial_degree_3"
"""
SOME_REFUSED = SMALL + REFUSED


@pytest.fixture(autouse=True)
def _terminal(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    monkeypatch.chdir(tmp_path)


@frozen
class Outcome:
    exit_code: int
    stdout: str
    stderr: str


def run(*arguments: str) -> Outcome:
    from typer.testing import CliRunner

    from quell.cli.app import app

    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    out, err = (re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", text) for text in (result.stdout, result.stderr))
    return Outcome(result.exit_code, out, err)


@pytest.fixture
def small(tmp_path, monkeypatch):
    # Pictures have tests of their own, and take longer than all else here.
    monkeypatch.setattr("quell.comparison.report.available", lambda comparison: ())
    path = tmp_path / "small.toml"

    def written(text=SMALL):
        path.write_text(text)
        return str(path)

    return written


def numbers(folder):
    """What must be the same however often a comparison was stopped."""
    found = Comparison.load(Path(folder) / "comparison.json")
    return {
        name: [found.values_of(name).tolist(), found.errors_of(name).tolist()]
        for name in (s.name for s in found.strategies)
    }


# ------------------------------------------------------------------------------------------ the guide


def test_the_commands_of_the_guide_run_its_experiment(tmp_path):
    (tmp_path / "ising.toml").write_text(TOML[0])
    began = time.process_time()
    outputs = []
    for line in SHELL[0].strip().splitlines():
        command, *arguments = shlex.split(line)
        assert command == "quell"
        outputs.append(run(*arguments))
        assert outputs[-1].exit_code == 0, outputs[-1].stderr
    assert time.process_time() - began < 60
    plan, compared = (outcome.stdout for outcome in outputs)
    for text in (plan, compared):
        assert max(map(len, text.splitlines()[:-1])) <= 80  # the last line names files
        assert "…" not in text
        assert all(name in text for name in ("raw", "trex", "zne+trex+twirl"))
    assert "Recommended: " in compared
    names = {path.name for path in (tmp_path / "ising-results").iterdir()}
    assert {
        "comparison.json",
        "report.md",
        "report.html",
        "values.png",
        "costs.png",
        "experiment.toml",
    } <= names
    report = (tmp_path / "ising-results" / "report.html").read_text()
    assert "Ising chain on four qubits" in report
    assert "total_shots = 20_000" in report
    found = Comparison.load(tmp_path / "ising-results" / "comparison.json")
    assert found.labels == ("magnetisation",)
    for trial in found.trials:
        # a shot more than the budget here and there would still be fair; a tenth would not
        assert 0.5 * 20_000 < trial.shots <= 20_000


@pytest.mark.parametrize("number", range(1, len(TOML)))
def test_the_other_blocks_of_the_guide_are_right(tmp_path, number):
    head = [line for line in TOML[0].splitlines() if not line.startswith("strategies")]
    strategies = '[strategies]\nuse = ["raw"]\n' if "[strategies]" not in TOML[number] else ""
    path = tmp_path / "block.toml"
    path.write_text("\n".join([*head, strategies, TOML[number]]))
    experiment = load(path)
    assert len(prepare(experiment).pubs) == 1


# ------------------------------------------------------------------------------------------------ plan


def test_a_plan_costs_nothing_and_says_what_a_comparison_would(small, monkeypatch):
    def run_nothing(*arguments, **options):
        raise AssertionError("a plan runs nothing")

    with monkeypatch.context() as context:
        context.setattr("quell.testing.devices.NoisyDevice.run", run_nothing)
        result = run("plan", small(), "--json")
    assert result.exit_code == 0, result.stderr
    data = json.loads(result.stdout)
    assert [each["name"] for each in data["strategies"]] == ["raw", "quick"]
    raw = data["strategies"][0]
    assert (raw["circuits"], raw["shots"], raw["calibration_shots"]) == (2, 600, 0)  # two bases
    assert data["repeats"] == 2
    assert data["strategies"][1]["calibration_shots"] > 0
    assert all(each["qpu_seconds"] > 0 for each in data["strategies"])
    assert run("compare", small(), "--out", "there").exit_code == 0
    trials = Comparison.load("there/comparison.json").trials
    planned = {each["name"]: each for each in data["strategies"]}
    for trial in trials:
        for name in ("circuits", "shots", "calibration_shots"):
            assert getattr(trial, name) == planned[trial.strategy][name]
        assert trial.qpu_seconds == pytest.approx(planned[trial.strategy]["qpu_seconds"])


def test_a_plan_says_which_strategies_are_refused(small):
    result = run("plan", small(SOME_REFUSED))
    assert result.exit_code == 1
    assert re.search(r"refused +refused", result.stdout)
    assert "polynomial_degree_3" in result.stdout
    assert "quick" in result.stdout


# --------------------------------------------------------------------------------------------- compare


def test_a_strategy_that_fails_is_a_row_and_the_others_finish(small):
    result = run("compare", small(SOME_REFUSED))
    assert result.exit_code == 1, result.stderr
    assert "polynomial_degree_3" in result.stdout
    found = Comparison.load("small-results/comparison.json")
    assert found.failures_of("refused")
    assert [len(found.values_of(name)) for name in ("raw", "quick", "refused")] == [2, 2, 0]


def test_the_same_file_gives_the_same_numbers_and_another_seed_others(small):
    for folder, text in (("a", SMALL), ("b", SMALL), ("c", SMALL.replace("seed = 3", "seed = 4"))):
        assert run("compare", small(text), "--out", folder).exit_code == 0
    assert numbers("a") == numbers("b")
    assert numbers("a") != numbers("c")
    values = np.array(numbers("a")["raw"][0])
    assert values.shape == (2, 2)
    assert (values[0] != values[1]).any()  # repeats have seeds of their own


def test_output_is_json_on_demand(small):
    result = run("compare", small(), "--json")
    assert result.exit_code == 0
    data = json.loads(result.stdout)
    assert data["labels"] == ["XX", "Z0Z1"]
    assert data["settings"]["title"] == "small"
    assert data["reference"] == pytest.approx([1, 1])


def test_a_finished_comparison_is_read_again_without_running(small, monkeypatch):
    assert run("compare", small()).exit_code == 0

    def run_nothing(*arguments, **options):
        raise AssertionError("everything was measured")

    monkeypatch.setattr("quell.testing.devices.NoisyDevice.run", run_nothing)
    before = numbers("small-results")
    result = run("compare", small(), "--html")
    assert result.exit_code == 0
    assert numbers("small-results") == before
    assert Path("small-results/report.html").exists()


def test_a_changed_experiment_is_refused_until_begun_anew(small):
    assert run("compare", small()).exit_code == 0
    changed = small(SMALL.replace("repeats = 2", "repeats = 1"))
    result = run("compare", changed)
    assert result.exit_code == 2
    assert "repeats was 2, and is 1" in result.stderr
    assert run("compare", changed, "--fresh").exit_code == 0
    assert len(numbers("small-results")["raw"][0]) == 1


@pytest.mark.parametrize("command", ["plan", "compare"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SMALL.replace("ghz", "gzh"), "did you mean 'ghz'?"),
        (SMALL.replace("qubits = 2", "qubits = 7"), "has 7 qubits, the device 5"),
        ("x = ", "is not valid TOML"),
    ],
)
def test_wrong_input_has_exit_code_two_and_leaves_no_folder(small, command, text, said):
    result = run(command, small(text))
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""
    assert not Path("small-results").exists()


def test_ctrl_c_says_how_to_go_on(small, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("quell.cli.compare.run", interrupted)
    result = run("compare", small())
    assert result.exit_code == 130
    assert "finished trials are kept in" in result.stderr
    assert "small-results" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_a_killed_comparison_goes_on_and_gives_the_same_numbers(small):
    text = SMALL.replace("repeats = 2", "repeats = 4").replace("shots = 300", "shots = 400")
    path = small(text)
    command = [sys.executable, "-c", "from quell.cli import main; main()", "compare", path, "--out", "killed"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    trials = Path("killed/trials")
    deadline = time.monotonic() + 120
    while len(list(trials.glob("**/*.json"))) < 2:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.communicate()
    kept = {file: file.stat().st_mtime_ns for file in trials.glob("**/*.json")}
    assert not Path("killed/comparison.json").exists()  # it was in the middle
    again = run("compare", path, "--out", "killed")
    assert again.exit_code == 0, again.stderr
    assert run("compare", path, "--out", "whole").exit_code == 0
    assert numbers("killed") == numbers("whole")
    assert sum(len(values) for values, _ in numbers("whole").values()) == 8
    unchanged = [file for file, when in kept.items() if file.stat().st_mtime_ns == when]
    assert len(unchanged) >= 2  # what was finished was not done again
