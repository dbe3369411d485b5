"""Folders of results: only the experiment that was begun goes on in one, and nobody else's files are touched."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from quell.errors import InputError
from quell.experiments.files import load
from quell.experiments.folders import COPY, INPUTS, JOURNAL, TRIALS, default_folder, differences, opened

pytest.importorskip("qiskit_aer")
TEXT = """
title = "words"
strategies = ["raw"]
repeats = 2
[device]
name = "tee5"
[[workload]]
family = "ghz"
qubits = [3, 4]
[[workload]]
qasm = "a.qasm"
"""
QASM = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncx q[0],q[1];\n'


@pytest.fixture
def experiment(tmp_path):
    (tmp_path / "a.qasm").write_text(QASM)

    def loaded(text=TEXT):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return load(path)

    return loaded


def begin(folder, experiment, **how):
    with opened(folder, experiment, **how):
        (folder / TRIALS).mkdir(exist_ok=True)
        (folder / TRIALS / "kept.json").write_text("{}")
        (folder / JOURNAL).write_text("{}")


def test_a_folder_is_made_beside_the_file_and_keeps_what_was_begun(tmp_path, experiment):
    folder = default_folder(tmp_path / "mine.toml")
    assert folder == tmp_path / "mine-results"
    begin(folder, experiment())
    assert (folder / COPY).read_text() == TEXT
    with opened(folder, experiment()):
        assert (folder / TRIALS / "kept.json").exists()
    with opened(folder, experiment(TEXT.replace('"words"', '"other words"'))):
        assert (folder / TRIALS / "kept.json").exists()
    assert "other words" in (folder / COPY).read_text()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("repeats = 2", "repeats = 3", "repeats was 2, and is 3"),
        ("repeats = 2\n", "", "repeats is gone"),
        ("repeats = 2", "repeats = 2\nseed = 1", "seed is new"),
        ("[3, 4]", "[3, 5]", r"workload\[0\].qubits was \[3, 4\], and is \[3, 5\]"),
        ('["raw"]', '["trex"]', r"strategies was \['raw'\], and is \['trex'\]"),
        ('name = "tee5"', 'name = "hex27"', "device.name was 'tee5', and is 'hex27'"),
    ],
)
def test_another_experiment_is_refused_with_what_differs(tmp_path, experiment, old, new, said):
    folder = tmp_path / "results"
    begin(folder, experiment())
    with pytest.raises(InputError, match=said) as caught:
        begin(folder, experiment(TEXT.replace(old, new)))
    assert "--fresh" in str(caught.value)
    assert (folder / COPY).read_text() == TEXT


def test_files_that_an_experiment_names_belong_to_it(tmp_path, experiment):
    folder = tmp_path / "results"
    begin(folder, experiment())
    (tmp_path / "a.qasm").write_text(QASM + "x q[0];\n")
    with pytest.raises(InputError, match=r"a\.qasm was changed"):
        begin(folder, experiment())


def test_another_version_of_quell_is_refused(tmp_path, experiment):
    folder = tmp_path / "results"
    begin(folder, experiment())
    data = json.loads((folder / INPUTS).read_text())
    (folder / INPUTS).write_text(json.dumps({**data, "quell": "0.0"}))
    with pytest.raises(InputError, match=r"quell was 0\.0"):
        begin(folder, experiment())


def test_fresh_removes_what_a_comparison_left_and_nothing_else(tmp_path, experiment):
    folder = tmp_path / "results"
    begin(folder, experiment())
    (folder / "values.png").write_text("old")
    (folder / "notes.txt").write_text("mine")
    with opened(folder, experiment(TEXT.replace("repeats = 2", "repeats = 3")), fresh=True):
        assert not (folder / TRIALS).exists()
        assert not (folder / JOURNAL).exists()
    assert not (folder / "values.png").exists()
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_with_other_things_is_left_alone(tmp_path, experiment, fresh):
    folder = tmp_path / "results"
    (folder / "trials").mkdir(parents=True)
    (folder / "trials" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="is not empty, and holds no comparison"):
        begin(folder, experiment(), fresh=fresh)
    assert (folder / "trials" / "thesis.tex").exists()


def test_a_broken_record_is_refused_until_it_is_begun_anew(tmp_path, experiment):
    folder = tmp_path / "results"
    begin(folder, experiment())
    for text in ("{", "[]", '{"files": 3, "quell": ""}'):
        (folder / INPUTS).write_text(text)
        with pytest.raises(InputError, match="cannot be read; start anew with --fresh"):
            begin(folder, experiment())
    begin(folder, experiment(), fresh=True)


def test_one_that_was_killed_while_it_began_goes_on(tmp_path, experiment):
    folder = tmp_path / "results"
    begin(folder, experiment())
    for path in (folder / COPY, folder / JOURNAL, folder / TRIALS / "kept.json"):
        path.unlink()
    (folder / TRIALS).rmdir()
    begin(folder, experiment())
    assert (folder / COPY).is_file()


def test_errors_of_the_device_are_not_those_of_the_folder(tmp_path, experiment):
    with pytest.raises(ConnectionError), opened(tmp_path / "results", experiment()):
        raise ConnectionError("the device is gone")


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path, experiment):
    (tmp_path / "results").write_text("")
    with pytest.raises(InputError, match="cannot be used"):
        begin(tmp_path / "results", experiment())


def test_two_processes_do_not_work_in_one_folder(tmp_path, experiment):
    pytest.importorskip("fcntl")
    folder = tmp_path / "results"
    code = f"""
from pathlib import Path
from quell.experiments.files import load
from quell.experiments.folders import opened
try:
    with opened(Path({str(folder)!r}), load({str(tmp_path / "mine.toml")!r})):
        print("open")
except Exception as error:
    print(error)
"""

    def other():
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    found = experiment()
    with opened(folder, found):
        assert "another process is at work in it" in other()
    assert other() == "open\n"


def test_differences_are_named_by_path():
    before = {"a": 1, "b": [{"c": 1}, {"d": True}], "e": {"f": [1, 2]}}
    after = {"a": 1.0, "b": [{"c": 2}, {"d": True}], "e": {}, "g": 0}
    assert differences(before, before) == []
    assert differences(before, after) == [
        "a was 1, and is 1.0",
        "b[0].c was 1, and is 2",
        "e.f is gone",
        "g is new",
    ]
    assert differences([1], [1, 2], "x") == ["x was [1], and is [1, 2]"]
    assert Path(COPY).suffix == ".toml"
