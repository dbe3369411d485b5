"""The learning experiments of `calibration/` run, and what they recorded can be used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import PTM, Operator

from quell import CalibrationStore, LayerModel
from quell.calibration.readout import ReadoutCalibration
from quell.circuits.layers import Layer
from quell.kernels.lindblad import fidelities, local_paulis
from quell.testing import NoisyDevice, load_device

FOLDER = Path(__file__).parents[2] / "calibration"
RESULTS = FOLDER / "results"


@pytest.fixture(scope="module")
def snapshot_noise():
    sys.path.insert(0, str(FOLDER))
    try:
        import snapshot_noise
    finally:
        sys.path.remove(str(FOLDER))
    return snapshot_noise


def run(script, *arguments):
    command = [sys.executable, str(FOLDER / script), "--quick", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def layer_of(device, *gates, waiting=()):
    name = device.snapshot.two_qubit_gate
    operation = device.target.operation_from_name(name)
    return Layer(tuple((name, (), pair) for pair in gates), waiting, (operation,) * len(gates))


def test_layers_are_learned_recorded_and_drawn(tmp_path):
    printed = run("learn_layers.py", "--device", "tee5", "--output", str(tmp_path))
    assert "cx (0, 1), cx (3, 4)" in printed
    assert "degrees of freedom" in printed
    assert "gamma" in printed
    store = CalibrationStore(":memory:")
    assert store.import_json(tmp_path / "tee5_layers.json") == 1
    (model,) = store.layer_models("tee5")
    assert 1.0 < model.gamma < 1.2
    facts = json.loads((tmp_path / "tee5_layers.json").read_text())["provenance"]
    assert {"seed", "date", "versions", "statement", "shots", "compared_with_snapshot"} <= set(facts)
    assert (tmp_path / "tee5_layers.png").read_bytes().startswith(b"\x89PNG")


def test_readout_is_learned_and_recorded(tmp_path):
    printed = run("readout.py", "--output", str(tmp_path))
    assert "misread" in printed
    for name, size in (("tee5", 5), ("hex27", 27)):
        store = CalibrationStore(":memory:")
        assert store.import_json(tmp_path / f"{name}_readout.json") == 1
        (record,) = store.records()
        assert isinstance(record.calibration, ReadoutCalibration)
        assert record.calibration.qubits.tolist() == list(range(size))


def test_quick_runs_write_nothing_by_themselves(tmp_path):
    before = {path: path.read_bytes() for path in RESULTS.iterdir()}
    run("readout.py", "--device", "tee5")
    assert {path: path.read_bytes() for path in RESULTS.iterdir()} == before


@pytest.mark.parametrize("name", ["tee5", "hex27"])
def test_what_was_recorded_is_sound_and_near_the_snapshot(name, snapshot_noise):
    device, store = NoisyDevice(name), CalibrationStore(":memory:")
    store.import_json(RESULTS / f"{name}_layers.json")
    store.import_json(RESULTS / f"{name}_readout.json")
    models = [r.calibration for r in store.records() if isinstance(r.calibration, LayerModel)]
    assert len(models) == {"tee5": 3, "hex27": 2}[name]
    figures = json.loads((RESULTS / f"{name}_layers.json").read_text())["provenance"][
        "compared_with_snapshot"
    ]
    for model in models:
        assert model.quality["reduced_chi_square"] < 2.5
        gates = [pair for _, _, pair in model.layer.gates]
        layer = layer_of(device, *gates, waiting=model.layer.spectators)
        assert layer == model.layer
        truth = snapshot_noise.snapshot_model(device, layer)
        recorded = figures[layer.describe()]
        assert recorded["gamma_of_snapshot"] == pytest.approx(truth.gamma)
        assert recorded["gamma"] == pytest.approx(model.gamma)
        # Four standard errors of the learning (recorded once, so no false alarms), and 5 % of the noise for
        # what parts that are multiplied leave out.
        slack = 4 * recorded["gamma_standard_error"] + 0.05 * (truth.gamma - 1)
        assert abs(model.gamma - truth.gamma) < slack
    (readout,) = (r.calibration for r in store.records() if isinstance(r.calibration, ReadoutCalibration))
    shots = readout.planes.shots.sum()
    truth = load_device(name).flips.mean(axis=1)
    # 4.5 standard errors: false alarms in 2e-4 of runs with 27 qubits, were it not recorded once and for all.
    assert np.all(np.abs(readout.error_rates - truth) < 4.5 * np.sqrt(truth / shots))


def test_the_model_of_the_snapshot_is_made_of_its_parts(snapshot_noise):
    """Against transfer matrices and rotations, not against rates."""
    device = NoisyDevice("tee5").with_noise(thermal=False)
    truth, wait = device.truth, device.truth.durations["cx", (3, 4)]
    model = snapshot_noise.snapshot_model(device, layer_of(device, (3, 4), waiting=(1,)))  # qubits 1, 3, 4

    def dressed(qubit, code):
        """What two pulses leave of a Pauli on a qubit."""
        return (1 - truth.depolarizing["sx", (qubit,)]) ** 2 if code else 1.0

    # X on the qubit that waits: its drift during the gate; ZZ with nobody, because 3 is busy.
    waiting = np.cos(truth.detunings[1] * wait) * dressed(1, 1)
    x_on_1 = np.array([[1, 0, 0]], dtype=np.uint8)
    assert fidelities(x_on_1, model.generators, model.rates)[0] == pytest.approx(waiting, rel=1e-9)

    circuit = QuantumCircuit(2)
    circuit.cx(0, 1)
    carried = np.abs(PTM(Operator(circuit)).data.real)
    error = truth.noise_model._local_quantum_errors["cx"][3, 4]
    behind = PTM(error.to_quantumchannel()).data.real.diagonal()  # II, IX, IY, IZ, XI ... of qubits 4 and 3
    order = [0, 1, 3, 2]  # places of the codes I, X, Z, Y
    for first, second in local_paulis(2, [(0, 1)]).tolist():
        after = int(carried[:, order[first] + 4 * order[second]].argmax())
        expected = behind[after] * dressed(3, first) * dressed(4, second)
        pauli = np.array([[0, first, second]], dtype=np.uint8)
        found = fidelities(pauli, model.generators, model.rates)[0]
        assert found == pytest.approx(expected, rel=1e-9)
        assert 1 - found > 2e-3  # so that this says something
