"""`quell migrate`: what goes in, what comes out and where, and what its exit status says."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from attrs import frozen

from quell import EstimatorOptions, SamplerOptions
from quell.options.legacy import SOURCES, translate

pytest.importorskip("typer")
pytest.importorskip("tomlkit")
from typer.testing import CliRunner

OLD = {"resilience_level": 1, "execution": {"shots": 1024}, "environment": {"job_tags": ["a"]}}
DROPPED = {"shots": 500, "memory": True, "method": "density_matrix"}
FILES = {
    "old.json": json.dumps(OLD),
    "old.toml": 'resilience_level = 1\nexecution.shots = 1024\nenvironment.job_tags = ["a"]\n',
    "bare.py": f"# options\n{OLD!r}\n",
    "named.py": f'"""Old options."""\nimport numpy as np\n\noptions: dict = {OLD!r}\n',
    "json.txt": json.dumps(OLD),
    "toml.cfg": 'resilience_level = 1\nexecution.shots = 1024\nenvironment.job_tags = ["a"]\n',
    "python": repr(OLD),
    "bom.json": "\ufeff" + json.dumps(OLD),
}


@pytest.fixture(autouse=True)
def _terminal(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")  # typer reads its own for help and errors
    monkeypatch.chdir(tmp_path)


@frozen
class Outcome:
    """What the command left behind, without colours: CI services force them."""

    exit_code: int
    stdout: str
    stderr: str


def run(*arguments: str, stdin: str | bytes | None = None) -> Outcome:
    from quell.cli.app import app

    result = CliRunner().invoke(app, ["migrate", *arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    out, err = (re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text) for text in (result.stdout, result.stderr))
    return Outcome(result.exit_code, out, err)


def write(tmp_path, values, name="old.json"):
    path = tmp_path / name
    path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    return str(path)


def words(text: str) -> str:
    return " ".join(text.split())


# ---------------------------------------------------------------------------------------- in and out


@pytest.mark.parametrize("name", FILES)
def test_every_format_is_read(name, tmp_path):
    result = run(write(tmp_path, FILES[name], name))
    assert result.exit_code == 0, result.stderr
    assert EstimatorOptions.from_toml(result.stdout) == translate(OLD).options


@pytest.mark.parametrize("text", [FILES["old.json"], FILES["old.toml"], FILES["python"]])
def test_stdin_is_read(text):
    result = run("-", "--primitive", "sampler", "--source", "v1", stdin=text)
    assert result.exit_code == 1  # the level of a sampler meant M3
    expected = translate(OLD, source="v1", primitive="sampler").options
    assert SamplerOptions.from_toml(result.stdout) == expected


@pytest.mark.parametrize("to", ["toml", "json", "python"])
@pytest.mark.parametrize("by", ["option", "suffix"])
def test_every_format_is_written(to, by, tmp_path):
    file = write(tmp_path, {**OLD, "resilience": {"noise_factors": [1, 3]}, "resilience_level": 2})
    expected = translate(json.loads((tmp_path / "old.json").read_text())).options
    if by == "option":
        result = run(file, "--to", to)
        text = result.stdout
    else:
        out = tmp_path / f"new.{to if to != 'python' else 'py'}"
        result = run(file, "--out", str(out))
        assert result.stdout == ""
        text = out.read_text()
    assert result.exit_code == 0, result.stderr
    if to == "python":
        names: dict = {}
        exec(text, names)
        found = names["options"]
    else:
        found = EstimatorOptions.from_toml(text) if to == "toml" else EstimatorOptions.from_json(text)
    assert found == expected
    assert expected.resilience.zne.noise_factors == (1, 3)


def test_the_python_says_what_was_dropped(tmp_path):
    result = run(write(tmp_path, DROPPED), "--to", "python")
    assert "options.default_shots = 500" in result.stdout
    assert "# memory = True -> dropped (result_api)" in result.stdout


def test_the_arguments_reach_the_translation(tmp_path):
    old = {"resilience_level": 2}
    arguments = {"source": "runtime-v1.Options", "mode": "strict", "expand_defaults": True, "version": "0.11"}
    result = run(
        write(tmp_path, old), "--source", "v1", "--mode", "strict", "--expand-defaults",
        "--legacy-version", "0.11",
    )  # fmt: skip
    assert EstimatorOptions.from_toml(result.stdout) == translate(old, **arguments).options
    assert "(default of then)" in words(result.stderr)
    assert "Defaults that changed" not in result.stderr


# ------------------------------------------------------------------------------------------- the table


def test_only_the_options_are_in_the_output(tmp_path):
    result = run(write(tmp_path, DROPPED), "--primitive", "sampler")
    assert result.exit_code == 1
    assert result.stdout == "default_shots = 500\n"
    shown = words(result.stderr)
    assert "From backend.run to sampler options (found from the keys; see --source)" in shown
    assert "shots = 500 default_shots = 500" in shown
    assert "memory = True - result_api: " in shown
    assert "backend: set it on" in shown
    assert "run(..., shots=500)" in shown


def test_the_defaults_that_changed_are_listed(tmp_path):
    result = run(write(tmp_path, {"resilience_level": 1}), "--source", "runtime-v1.Options")
    assert "Defaults that changed, for keys that were not given:" in result.stderr
    assert "- V1 took 4000 shots by default; V2 takes 4096" in result.stderr
    assert "see --source" not in result.stderr


def test_what_only_quell_carries_is_said(tmp_path):
    old = {"resilience_level": 1, "shots": 100}
    result = run(write(tmp_path, old), "--source", "v1", "--primitive", "sampler")
    assert result.exit_code == 1
    assert SamplerOptions.from_toml(result.stdout).resilience.measure_mitigation is True
    assert "no_equiv, in quell only:" in words(result.stderr)


def test_nothing_to_write_is_said(tmp_path):
    result = run(write(tmp_path, {}))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No options were given." in result.stderr
    assert "there is nothing to write" in result.stderr


@pytest.mark.parametrize("columns", [60, 80, 100, 200])
def test_the_table_fits_and_cuts_nothing(columns, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    learning = "resilience.measure_noise_learning.shots_per_randomization"
    old = {
        "resilience_level": 2,
        learning: 128,
        "resilience": {"layer_noise_learning": {"layer_pair_depths": [0, 1, 2, 4, 16, 32]}},
        "optimization_level": 3,
        "twirling.strategy": "active-circuit",
    }
    result = run(write(tmp_path, old), "--source", "runtime-v2-server")
    assert result.exit_code == 1
    assert max(map(len, result.stderr.splitlines())) <= columns
    assert "…" not in result.stderr
    heading = next(line for line in result.stderr.splitlines() if line.startswith("legacy"))
    at, end = heading.index("new"), heading.index("what to do")
    rows = result.stderr.partition("─\n")[2].partition("\n\n")[0].splitlines()
    for start, stop in ((0, at), (at, end)):  # whole names, broken at dots and underscores only
        column = re.sub(r"(?<=[._]) ", "", words(" ".join(line[start:stop].strip() for line in rows)))
        assert f"{learning} = 128" in column


def test_there_are_no_colours_in_a_pipe(tmp_path):
    command = [sys.executable, "-c", "from quell.cli import main; main()", "migrate", "-"]
    environment = {"PYTHONIOENCODING": "utf-8", "COLUMNS": "80"}
    done = subprocess.run(command, input=json.dumps(DROPPED).encode(), capture_output=True, env=environment)
    assert done.returncode == 1
    assert b"\x1b" not in done.stdout + done.stderr
    assert done.stdout == b"default_shots = 500\n"


# ------------------------------------------------------------------------------------------- mistakes


def test_what_cannot_be_translated_is_listed_after_the_rest(tmp_path):
    old = {"shots": 0, "meas_level": 0, "job_tags": ["a"]}
    result = run(write(tmp_path, old), "--source", "backend.run", "--primitive", "sampler")
    assert (result.exit_code, result.stdout) == (2, "")
    table, _, message = result.stderr.partition("quell: 2 problems:")
    assert "- shots: must be a positive whole number, not 0; give the number of shots" in message
    assert "- meas_level: level 0 (raw traces) has no V2 form" in message
    assert "environment.job_tags" in words(table)
    assert words(table).count("error:") == 2


@pytest.mark.parametrize(
    ("source", "old", "message"),
    [
        ("v1", {"extrapolator": ["x"]}, "extrapolator: must be one of LinearExtrapolator, "),
        ("v1", {"noise_amplifier": {}}, "noise_amplifier: must be one of TwoQubitAmplifier, "),
        (
            "v1",
            {"noise_factors": [[1], 3], "resilience_level": 2},
            "noise_factors: must be a list of numbers",
        ),
        ("v1", {"image": 3}, "quell: image: must be 'name:tag' or None, not 3"),
        ("v2", {"experimental": 3}, "quell: experimental: must be a dict"),
    ],
)
def test_values_of_the_wrong_type_are_errors_under_their_key(source, old, message, tmp_path):
    result = run(write(tmp_path, old), "--source", source)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_an_ambiguous_key_is_an_error(tmp_path):
    result = run(write(tmp_path, {"enable": True}), "--source", "v2")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "enable: could be dynamical_decoupling.enable, twirling.enable_gates or" in result.stderr


def test_contradictions_are_errors(tmp_path):
    result = run(write(tmp_path, {"execution": {"shots": 5}, "shots": 6}), "--source", "v1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "shots: is 6, but execution.shots is 5; give one of them" in result.stderr


def test_an_unknown_key_is_dropped_with_the_nearest(tmp_path):
    result = run(write(tmp_path, {"shotz": 5, "memory": True}), "--source", "backend.run")
    assert result.exit_code == 1
    assert "unknown: did you mean 'shots'?" in words(result.stderr)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("old.json", "{", "is not JSON (Expecting property name"),
        ("old.json", "{'shots': 1}", "is not JSON"),
        ("old.json", "[1]", "holds a list, not options by their names"),
        ("old.json", '{"a": {"b": 1, "b": 2}}', "b: is given twice; keep one of them"),
        ("old.json", "[" * 100_000, "is not JSON"),
        ("old.toml", "shots 1", "is not TOML ("),
        ("old.toml", "", None),
        ("old.py", "options = dict(shots=1)", "line 1 is not a dict of options, and nothing is executed"),
        ("old.py", "options = {}\noptions['shots'] = 1", "line 2 is not a dict of options"),
        ("old.py", "a = {}\nb = {}", "there must be one dict of options, not 2"),
        ("old.py", "", "there must be one dict of options, not 0"),
        ("old.py", "{'a': {'b': open('x', 'w')}}", "a.b: line 1: open('x', 'w') is no literal"),
        ("old.py", "{'a': 1, **b}", "**b is no literal"),
        ("old.py", "{[]: 1}", "{[]: 1} is no literal"),
        ("old.py", "{'a': {'b': 1, 'b': 2}}", "a.b: is given twice"),
        ("old.py", "{'a': 1", "is not a Python dict ("),
        ("old", "shots 1", "is neither JSON nor TOML nor a Python dict (JSON: "),
    ],
)
def test_bad_files_exit_with_two(name, text, message, tmp_path):
    result = run(write(tmp_path, text, name))
    if message is None:  # an empty TOML file is an empty dict
        assert result.exit_code == 0
        return
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert name in result.stderr
    assert not (tmp_path / "x").exists()


def test_every_value_that_is_no_literal_is_listed(tmp_path):
    result = run(write(tmp_path, "{'noise_model': NoiseModel(), 'shots': n}", "old.py"))
    assert result.exit_code == 2
    assert "quell: 2 problems:" in result.stderr
    assert "noise_model: line 1: NoiseModel() is no literal" in result.stderr
    assert "shots: line 1: n is no literal" in result.stderr


def test_files_that_cannot_be_read_exit_with_two(tmp_path):
    missing = run(str(tmp_path / "none.json"))
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert "none.json: cannot be read: No such file" in missing.stderr
    assert run(str(tmp_path)).exit_code == 2
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert "is not UTF-8 text" in run(str(tmp_path / "binary")).stderr
    assert "the input: is not UTF-8 text" in run("-", stdin=b"\xff").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "QuantumInstanc"], "--source: must be one of runtime-v1.Options, "),
        (["--source", "QuantumInstanc"], "did you mean 'QuantumInstance'?"),
        (["--legacy-version", "new"], "--legacy-version: must look like '0.11', not 'new'"),
        (["--primitive", "both"], "'--primitive'"),
        (["--mode", "lax"], "'--mode'"),
        (["--to", "yaml"], "'--to'"),
        (["--out", "no/such/folder.toml"], "folder.toml: cannot be written: No such file"),
    ],
)
def test_bad_arguments_exit_with_two(arguments, message, tmp_path):
    result = run(write(tmp_path, {"shots": 5}), *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in words(result.stderr)


def test_values_that_cannot_be_written_are_listed_and_no_file_is_touched(tmp_path):
    file = write(tmp_path, "{'experimental': {'a': 1j, 'b': {1}}}", "old.py")
    out = tmp_path / "new.toml"
    out.write_text("before")
    result = run(file, "--source", "v2-early", "--out", str(out))
    assert (result.exit_code, out.read_text()) == (2, "before")
    assert "options.experimental['a']: is a complex, which TOML cannot hold" in result.stderr
    assert "or --to python" in result.stderr
    assert run(file, "--source", "v2-early", "--to", "python").exit_code == 0


def test_without_tomlkit_the_message_says_how_to_install_it(tmp_path, monkeypatch):
    for name in ("tomlkit", "cattrs.preconf.tomlkit"):
        monkeypatch.setitem(sys.modules, name, None)  # makes importing it fail
    result = run(write(tmp_path, OLD))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "pip install 'quell[toml]'" in result.stderr
    assert run(write(tmp_path, OLD), "--to", "json").exit_code == 0


def test_the_help_lists_every_source():
    result = run("--help")
    assert result.exit_code == 0
    assert all(source.name in result.stdout for source in SOURCES)
