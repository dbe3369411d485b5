"""``quell calibrate``: what is learned is printed, kept, listed and exported; mistakes exit with 2 before any run."""

import json
import re

import pytest
from typer.testing import CliRunner

from quell.calibration.models import layer_models
from quell.calibration.store import CalibrationStore
from quell.errors import InputError
from quell.testing.snapshots import load_device

pytest.importorskip("typer")
pytest.importorskip("qiskit_aer")

CIRCUIT = """OPENQASM 2.0;
include "qelib1.inc";
qreg q[3];
h q[0];
cx q[0],q[1];
rz(0.3) q[1];
cx q[0],q[1];
"""
SMALL = ("--depths", "0,1,4", "--randomizations", "4", "--shots", "32")


@pytest.fixture(autouse=True)
def _terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")


@pytest.fixture
def circuit(tmp_path):
    path = tmp_path / "circuit.qasm"
    path.write_text(CIRCUIT)
    return path


def run(*arguments, code=0):
    from quell.cli.app import app

    result = CliRunner().invoke(app, ["calibrate", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.stderr
    plain = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", text) for text in (result.stdout, result.stderr)]
    return plain[1] if code else plain[0]


def test_readout_is_learned_and_is_that_of_the_device(tmp_path):
    """Mean of both errors of each qubit, to five standard errors: false alarm 3e-6 for five qubits."""
    found = json.loads(run("readout", "--shots", 512, "--json"))
    truth = load_device("tee5")
    rates = found["readout"]["error_rates"]
    shots = found["readout"]["shots"]
    assert shots == 32 * 512
    for expected, rate in zip(truth.flips.mean(axis=1), rates, strict=True):
        assert abs(rate - expected) < 5 * (expected / shots) ** 0.5
    printed = run("readout", "--qubits", "1,3-4", "--shots", 8, "--randomizations", 4)
    assert [line.split()[0] for line in printed.splitlines()[2:5]] == ["1", "3", "4"]
    assert "4 circuits, 32 shots" in printed


def test_readout_of_a_wide_device_takes_no_state_vector():
    """A state of 27 qubits would take gigabytes. Rates to five standard errors: false alarm 1e-4 for all 27."""
    found = json.loads(run("readout", "--device", "hex27", "--randomizations", 8, "--shots", 256, "--json"))[
        "readout"
    ]
    truth = load_device("hex27").flips.mean(axis=1)
    assert found["qubits"] == list(range(27))
    for expected, rate in zip(truth, found["error_rates"], strict=True):
        assert abs(rate - expected) < 5 * (expected / found["shots"]) ** 0.5


def test_layers_are_learned_kept_listed_and_exported(circuit, tmp_path):
    path = tmp_path / "store.sqlite"
    printed = run("layers", circuit, "--store", path, *SMALL)
    assert max(map(len, printed.splitlines())) <= 80
    assert re.search(r"Layer 0: cx \(\d, \d\)", printed)
    assert "15 generators, sum of rates" in printed
    run("readout", "--store", path, "--randomizations", 4, "--shots", 16)
    listed = run("show", "--store", path)
    readout, layer = CalibrationStore(path).records()
    for record in (readout, layer):
        assert f"{record.key[:12]}  tee5, " in listed
        assert record.describe()[:40] in listed
    assert "misread 0.0" in listed
    assert "per degree of freedom" in listed
    data = json.loads(run("show", "--store", path, "--json"))
    assert [entry["key"] for entry in data] == [readout.key, layer.key]
    exported = run("export", "--store", path)
    other = CalibrationStore(":memory:")
    assert other.import_json(exported) == 2
    assert layer_models(other)[0].labels == layer.calibration.labels
    assert run("export", layer.key[:12], "--store", path, "--out", tmp_path / "one.json") == ""
    assert CalibrationStore(":memory:").import_json(tmp_path / "one.json") == 1


def test_layers_as_json_are_models_that_estimators_take(circuit):
    found = json.loads(run("layers", circuit, *SMALL, "--json"))
    (model,) = layer_models(found["layers"])
    assert len(model.rates) == 15
    assert found["circuits"] == 9 * 3 * 4


def test_an_empty_store_says_so(tmp_path):
    path = tmp_path / "store.sqlite"
    CalibrationStore(path)
    assert "has no calibrations" in " ".join(run("show", "--store", path).split())  # long paths are wrapped


def test_mistakes_are_said_before_anything_runs(circuit, tmp_path):
    missing = tmp_path / "missing" / "store.sqlite"
    assert "a folder that does not exist" in run("readout", "--store", missing, code=2)
    assert "a folder that does not exist" in run("layers", circuit, "--store", missing, code=2)
    assert "does not exist" in run("show", "--store", tmp_path / "none.sqlite", code=2)
    assert "[7] are not among the 5 of tee5" in run("readout", "--qubits", "7", code=2)
    assert "must be a list such as 0,1,4-6" in run("readout", "--qubits", "a", code=2)
    assert "must be a list such as 0,1,2,4" in run("layers", circuit, "--depths", "1,-2", code=2)
    assert "there are hex27, tee5" in run("readout", "--device", "moon", code=2).replace("\n", " ")
    assert "cannot be read" in run("layers", tmp_path / "none.qasm", code=2)
    circuit.write_text("nonsense")
    assert "is no circuit" in run("layers", circuit, code=2)
    circuit.write_text(CIRCUIT.replace("[3]", "[7]"))
    assert "has 7 qubits, and tee5 5" in run("layers", circuit, code=2)
    circuit.write_text('OPENQASM 2.0;\ninclude "../secret.inc";\nqreg q[2];\n')
    assert "is no circuit" in run("layers", circuit, code=2)
    circuit.write_text('OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\nh q[0];\n')
    assert "have no layers of two-qubit gates" in run("layers", circuit, code=2)


def test_lists_of_qubits_are_read():
    from quell.cli.calibrate import parsed_qubits

    assert parsed_qubits(None) is None
    assert parsed_qubits("0, 4-6") == [0, 4, 5, 6]
    for wrong in ("", "1-", "-1", "1,,2", "1.5"):
        with pytest.raises(InputError, match="--qubits"):
            parsed_qubits(wrong)
