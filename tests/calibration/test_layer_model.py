"""Noise of layers as values: checked, cut to fewer qubits, written and read, passed on to Qiskit."""

from __future__ import annotations

import json
import math
import pickle

import numpy as np
import pytest
from attrs import evolve
from qiskit.circuit.library import CXGate
from qiskit.quantum_info import PauliLindbladMap

from quell.calibration.layers import LayerModel
from quell.circuits.layers import Layer
from quell.errors import InputError
from quell.kernels.lindblad import fidelities, local_paulis
from quell.kernels.statistics import Deviations

GATES = (("cx", (), (5, 2)),)
LAYER = Layer(GATES, (3, 8), (CXGate(),))  # qubits 2 3 5 8
LABELS = ("X2 Z5", "X2 X3 Z5", "Y8", "Z8", "Y3 Z5", "X2 Z3 Z5")
RATES = (0.1, 0.01, 0.02, 0.03, 0.0, 0.004)


def exact():
    return LayerModel.of(LAYER, LABELS, RATES, "given")


def learned():
    """Return a model whose rates have errors."""
    rows = np.random.default_rng(1).normal(size=(4, 6)) * 1e-3
    return evolve(
        exact(),
        deviations=Deviations(rows, 31.0, "s"),
        quality={"chi_square": 3.5, "worst": ["Y8"]},
        source="s",
    )


def test_labels_and_gamma():
    model = exact()
    assert model.labels == LABELS
    assert model.gamma == pytest.approx(math.exp(2 * sum(RATES)))
    assert model.stds.tolist() == [0.0] * 6
    assert model.generators.dtype == np.uint8
    assert model.deviations.rows.shape == (0, 6)


def test_codes_and_labels_are_the_same():
    again = LayerModel.of(LAYER, exact().generators, np.array(RATES), "given")
    assert again.labels == LABELS
    assert again.to_dict() == exact().to_dict()


@pytest.mark.parametrize("spectators", [(), (3,), (8,)])
def test_fewer_qubits_see_the_same_channel(spectators):
    """Fidelities of all Paulis on the qubits that are left stay exactly what they were."""
    model, layer = learned(), Layer(GATES, spectators)
    cut = model.restricted(layer)
    assert cut.layer == layer
    assert cut.layer.operations  # the gates are known from the whole
    assert len(set(cut.labels)) == len(cut.labels)
    assert cut.generators.any(axis=1).all()
    kept = [LAYER.qubits.index(q) for q in layer.qubits]
    small = local_paulis(len(kept), [(0, 1)])
    wide = np.zeros((len(small), 4), dtype=np.uint8)
    wide[:, kept] = small
    assert fidelities(small, cut.generators, cut.rates) == pytest.approx(
        fidelities(wide, model.generators, model.rates), abs=1e-14
    )
    # The errors of rates that were added up are added up too, with their correlations.
    ours = {text: k for k, text in enumerate(cut.labels)}
    if spectators == (8,):
        together = [LABELS.index(text) for text in ("X2 Z5", "X2 X3 Z5", "X2 Z3 Z5")]
        expected = model.deviations.rows[:, together].sum(axis=1)
        assert cut.deviations.rows[:, ours["X2 Z5"]] == pytest.approx(expected)
    assert cut.source == model.source


def test_cutting_in_two_steps_is_cutting_in_one():
    once = learned().restricted(Layer(GATES, ()))
    twice = learned().restricted(Layer(GATES, (3,))).restricted(Layer(GATES, ()))
    assert once.to_dict() == twice.to_dict()
    model = learned()
    assert model.restricted(LAYER) is model


@pytest.mark.parametrize(
    "layer", [Layer(GATES, (4,)), Layer((("cx", (), (2, 5)),), ()), Layer((*GATES, ("cx", (), (3, 8))), ())]
)
def test_other_layers_are_refused(layer):
    with pytest.raises(InputError, match="another layer"):
        exact().restricted(layer)


def test_qiskit_and_back():
    model = exact()
    compact, wide = model.pauli_lindblad_map(), model.pauli_lindblad_map(10)
    assert (compact.num_qubits, wide.num_qubits) == (4, 10)
    assert math.isclose(compact.inverse().gamma(), model.gamma)
    for channel in (compact, wide):
        back = LayerModel.of_map(LAYER, channel)
        assert dict(zip(back.labels, back.rates, strict=True)) == pytest.approx(
            {text: rate for text, rate in zip(LABELS, RATES, strict=True) if rate}
        )
    sparse = PauliLindbladMap.from_sparse_list([("XZ", [2, 5], 0.1), ("Y", [8], 0.2)], 9)
    assert LayerModel.of_map(LAYER, sparse).labels == ("X2 Z5", "Y8")


def test_qiskit_terms_that_are_equal_are_added_up():
    channel = PauliLindbladMap.from_sparse_list([("Y", [3], 0.1), ("Y", [3], 0.2), ("", [], 0.5)], 4)
    model = LayerModel.of_map(LAYER, channel)
    assert model.labels == ("Y8",)
    assert model.rates == pytest.approx([0.3])


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        (PauliLindbladMap.from_sparse_list([("X", [0], 0.1)], 5), "acts on 5 qubits, the layer on 4"),
        (PauliLindbladMap.from_sparse_list([("X", [4], 0.1)], 9), "acts on the qubits 4"),
        (PauliLindbladMap.from_sparse_list([("X", [2], -0.1)], 9), "between 0 and 10"),
    ],
)
def test_channels_that_do_not_fit_are_refused(channel, message):
    with pytest.raises(InputError, match=message):
        LayerModel.of_map(LAYER, channel)


def problems(generators, rates):
    with pytest.raises(InputError) as caught:
        LayerModel.of(LAYER, generators, rates, "bad")
    return [str(problem) for problem in caught.value.problems]


def test_everything_that_is_wrong_is_said_at_once():
    found = problems(["X2", "X4", "Q2", "X2 Y2", "", "Y3"], [math.nan, -0.1, math.inf, 0.1, 1001.0, 0.1])
    assert len(found) == 5
    assert "X4 acts on the qubits 4, the layer has [2, 3, 5, 8]" in found[0]
    assert "'Q2'" in found[1]
    assert "names a qubit twice" in found[2]
    assert "''" in found[3]
    assert all(text in found[4] for text in ("[0] nan", "[1] -0.1", "[2] inf", "[4] 1001"))
    found = problems(["X2", "Y3", "X2"], [0.1, 0.1])
    assert "one for each of 3" in found[0]
    assert "generators[2]: X2 is the same as generators[0]" in found[1]
    found = problems(np.array([[0, 0, 0, 0], [1, 0, 0, 0]]), [0.1, 0.2])
    assert "identity" in found[0]


@pytest.mark.parametrize(
    "generators", [np.zeros((2, 3), int), np.full((2, 4), 7), np.ones((2, 4)), -np.ones((1, 4), int), "X2", 3]
)
def test_generators_of_the_wrong_form(generators):
    assert problems(generators, [0.1, 0.1])[0].startswith("generators: must be")


@pytest.mark.parametrize("rates", ["0.1", 3, [True, 0.1], ["0.1", 0.1], [[0.1], [0.2]], np.ones((1, 2))])
def test_rates_of_the_wrong_form(rates):
    assert problems(["X2", "Y2"], rates)[0].startswith("rates: must be")


@pytest.mark.parametrize("model", [exact(), learned(), LayerModel.of(LAYER, [], [], "none")])
def test_models_survive_json_and_pickle(model):
    again = LayerModel.from_dict(json.loads(json.dumps(model.to_dict(), allow_nan=False)))
    for other in (again, pickle.loads(pickle.dumps(model))):
        assert other.layer == model.layer
        assert np.array_equal(other.generators, model.generators)
        assert np.array_equal(other.rates, model.rates)
        assert np.array_equal(other.deviations.rows, model.deviations.rows)
        assert other.deviations.dof == model.deviations.dof
        assert other.quality == model.quality
        assert other.source == model.source
    assert again.to_dict() == model.to_dict()


def test_what_errs_together_is_still_known_when_it_is_read_twice():
    model = evolve(learned(), source=("any", "value"))
    first, second = (LayerModel.from_dict(model.to_dict()) for _ in range(2))
    assert first.source == second.source == first.deviations.source
    other = LayerModel.from_dict(evolve(model, rates=model.rates * 1.01).to_dict())
    assert other.source != first.source


def changed(path, value):
    data = json.loads(json.dumps(learned().to_dict()))
    target = data
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["rates"], [0.1], "one for each of 6"),
        (["rates", 0], "x", "rates"),
        (["rates", 2], math.nan, "rates"),
        (["rates", 2], -1e-9, "rates"),
        (["generators", 1], "X2 X4", "acts on the qubits 4"),
        (["generators", 1], "X2 Z5", "is the same as"),
        (["generators"], None, "must be a list of Paulis"),
        (["generators", 0], 5, "must be Paulis"),
        (["layer"], [], "must be a table"),
        (["layer", "gates"], [], "must be a list of gates"),
        (["layer", "gates"], "cx", "must be a list of gates"),
        (["layer", "gates", 0, "name"], 7, "name of a gate"),
        (["layer", "gates", 0, "params"], [math.inf], "finite numbers"),
        (["layer", "gates", 0, "qubits"], [2], "two different qubits"),
        (["layer", "gates", 0, "qubits"], [2, -1], "two different qubits"),
        (["layer", "gates", 0, "qubits"], None, "two different qubits"),
        (["layer", "gates", 0, "extra"], 1, "unknown fields extra"),
        (["layer", "spectators"], [3, 3], "different qubits"),
        (["layer", "spectators"], [5, 8], "twice"),
        (["deviations", "rows"], [[0.1]], "rows of 6"),
        (["deviations", "rows", 0, 0], math.nan, "rows of 6"),
        (["deviations", "dof"], 0, "at least 1"),
        (["deviations", "dof"], "many", "at least 1"),
        (["deviations"], None, "deviations"),
        (["quality"], [], "quality"),
        (["quality", "chi_square"], math.nan, "quality"),
        (["source"], 3, "source"),
        (["more"], 3, "unknown fields more"),
    ],
)
def test_files_are_not_trusted(path, value, message):
    with pytest.raises(InputError, match=message):
        LayerModel.from_dict(changed(path, value))


@pytest.mark.parametrize("data", [None, [], "text", {}, {"rates": [1.0]}])
def test_what_is_no_model_at_all_is_refused(data):
    with pytest.raises(InputError, match="model: "):
        LayerModel.from_dict(data)
