"""Noise models from elsewhere: whatever form they come in, the layer has the same noise as before."""

import numpy as np
import pytest
from attrs import evolve
from qiskit import QuantumCircuit
from qiskit.circuit import BoxOp
from qiskit.quantum_info import Operator, PauliLindbladMap, PauliList, SuperOp, pauli_basis

from quell.calibration.layers import LayerModel
from quell.calibration.learning import LayerNoise
from quell.calibration.models import layer_models, models_of_aer
from quell.calibration.store import CalibrationStore
from quell.circuits.layers import Layer, occurrences
from quell.circuits.template import template_of
from quell.errors import InputError, UnsupportedError
from quell.kernels.lindblad import fidelities, local_paulis

PAIR = QuantumCircuit(2)
PAIR.cx(0, 1)
NOISE = PauliLindbladMap.from_list([("XI", 0.01), ("ZY", 0.02), ("IZ", 0.003)])


def layer_of(circuit):
    return occurrences(template_of(circuit))[0].layer


def terms(model):
    return dict(zip(model.labels, model.rates.tolist(), strict=True))


def channel(circuit, noise, site):
    """The superoperator of a noisy layer; a map and its circuit are on the same qubits."""
    n = circuit.num_qubits
    error = SuperOp(np.eye(4**n))
    for letters, at, rate in noise.to_sparse_list():
        dense = QuantumCircuit(n)
        for letter, q in zip(letters, at, strict=True):
            getattr(dense, letter.lower())(q)
        flip = (1 - np.exp(-2 * rate)) / 2
        mixed = (1 - flip) * np.eye(4**n) + flip * SuperOp(dense).data
        error = error.compose(SuperOp(mixed))
    gates = SuperOp(circuit)
    return error.compose(gates) if site == "before" else gates.compose(error)


# --- pairs of a layer and a map ---------------------------------------------------------------


def test_a_map_on_the_qubits_of_a_layer():
    (model,) = layer_models([(PAIR, NOISE)])
    assert model.layer == layer_of(PAIR)
    assert terms(model) == {"X1": 0.01, "Y0 Z1": 0.02, "Z0": 0.003}
    assert model.deviations.variance.sum() == 0
    assert layer_models((PAIR, NOISE))[0].labels == model.labels
    assert layer_models([(model.layer, NOISE)])[0].labels == model.labels
    assert layer_models(zip([PAIR], [NOISE], strict=True))[0].labels == model.labels


def test_a_map_on_a_whole_circuit_knows_those_who_wait():
    circuit = QuantumCircuit(5)
    circuit.rx(0.3, 4)  # belongs to a dressing
    circuit.cx(3, 1)
    noise = PauliLindbladMap.from_sparse_list([("XZ", [1, 3], 0.01), ("Y", [4], 0.02)], 5)
    (model,) = layer_models([(circuit, noise)])
    assert model.layer.spectators == (0, 2, 4)
    assert terms(model) == {"X1 Z3": 0.01, "Y4": 0.02}
    narrow = PauliLindbladMap.from_list([("IX", 0.01)])
    (model,) = layer_models([(circuit, narrow)])
    assert model.layer.spectators == ()
    assert terms(model) == {"X1": 0.01}  # ascending, whatever the order of the gate


@pytest.mark.parametrize("build", ["cx", "cz", "ecr", "iswap", "dcx", "rzz"])
@pytest.mark.parametrize("site", ["before", "after"])
def test_the_channel_of_a_noisy_layer_is_the_same_wherever_its_noise_is_said_to_be(build, site):
    """Exact: superoperators to 1e-12. dcx is not its own inverse, so the direction of the conjugation shows."""
    circuit = QuantumCircuit(2)
    getattr(circuit, build)(*([np.pi / 2] if build == "rzz" else []), 1, 0)
    rng = np.random.default_rng(3)
    labels = pauli_basis(2).to_labels()[1:]
    noise = PauliLindbladMap.from_list(list(zip(labels, rng.uniform(0, 0.05, 15), strict=True)))
    (model,) = layer_models([(circuit, noise)], site=site)
    mine = channel(circuit, model.pauli_lindblad_map(), "before")
    assert np.allclose(mine.data, channel(circuit, noise, site).data, rtol=0, atol=1e-12)


def test_equal_generators_of_a_map_add_up_and_the_identity_does_nothing():
    noise = PauliLindbladMap.from_list([("XI", 0.01), ("II", 5.0), ("XI", 0.02)])
    assert terms(*layer_models([(PAIR, noise)])) == {"X1": pytest.approx(0.03)}


# --- the vendor's forms -----------------------------------------------------------------------


def boxed(circuit, annotations=()):
    outer = QuantumCircuit(6)
    outer.append(BoxOp(circuit, annotations=list(annotations)), [4, 1, 2])
    return outer.data[0]


def test_boxes_say_where_their_qubits_are():
    inner = QuantumCircuit(3)
    inner.sx(2)
    inner.cx(0, 1)
    noise = PauliLindbladMap.from_list([("ZIX", 0.01)])  # on qubits 1, 2, 4 of the outer circuit
    (model,) = layer_models([(boxed(inner), noise)])
    assert model.layer.gates == (("cx", (), (4, 1)),)
    assert model.layer.spectators == (2,)
    assert terms(model) == {"X1 Z4": 0.01}
    wide = PauliLindbladMap.from_sparse_list([("XZ", [1, 4], 0.01)], 6)
    assert terms(*layer_models([(boxed(inner), wide)])) == terms(model)


@pytest.mark.parametrize("site", ["before", "after"])
def test_the_annotation_of_a_box_says_where_its_noise_is(site):
    samplomatic = pytest.importorskip("samplomatic")
    inner = QuantumCircuit(3)
    inner.cx(0, 1)
    noise = PauliLindbladMap.from_list([("XII", 0.01)])  # X of qubit 4, which controls
    box = boxed(inner, [samplomatic.InjectNoise("noise", site=site)])
    for own in ("before", "after"):
        expected = {"X4": 0.01} if site == "before" else {"X1 X4": 0.01}
        assert terms(*layer_models([(box, noise)], site=own)) == expected


def test_results_of_the_vendors_learner():
    results = pytest.importorskip("qiskit_ibm_runtime.results")
    circuit = QuantumCircuit(3)
    circuit.cz(0, 2)
    error = results.noise_learner.PauliLindbladError(PauliList(["XIZ", "IYI"]), [0.01, 0.02])
    layer = results.noise_learner.LayerError(circuit, [7, 3, 5], error)
    unknown = results.noise_learner.LayerError(PAIR, [0, 1], None)
    result = results.noise_learner.NoiseLearnerResult([layer, unknown])
    for value in (layer, [layer], result):
        (model,) = layer_models(value)
        assert model.layer.gates == (("cz", (), (5, 7)),)
        assert model.layer.spectators == (3,)
        assert terms(model) == {"X5 Z7": 0.01, "Y3": 0.02}


def test_results_of_the_vendors_second_learner():
    v3 = pytest.importorskip("qiskit_ibm_runtime.results.noise_learner_v3")
    lists = pytest.importorskip("qiskit.quantum_info").QubitSparsePauliList
    both = lists.from_list(["XI", "XX"])
    result = v3.NoiseLearnerV3Result.from_generators([both], [0.01])
    assert terms(*layer_models([(PAIR, result)])) == {"X1": 0.01, "X0 X1": 0.01}


# --- own forms --------------------------------------------------------------------------------


def test_models_dicts_and_stores_are_taken_as_they_are():
    (model,) = layer_models([(PAIR, NOISE)])
    assert layer_models(model) == (model,)
    assert layer_models([model]) == (model,)
    assert terms(*layer_models([model.to_dict()], site="after")) == terms(model)
    assert terms(*layer_models(model.to_dict())) == terms(model)
    kept = CalibrationStore(":memory:")
    assert layer_models(kept) == ()
    kept.add(LayerNoise(model.layer, 2, ((0, 1),)), model, "d", "c")
    assert terms(*layer_models(kept)) == terms(model)


# --- what is wrong ----------------------------------------------------------------------------


def test_everything_that_is_wrong_is_said_at_once_with_number_and_gates():
    good = layer_models([(PAIR, NOISE)])[0]
    three = QuantumCircuit(3)
    three.cx(0, 1)
    three.cx(1, 2)
    rotated = QuantumCircuit(2)
    rotated.rzz(0.3, 0, 1)
    other = QuantumCircuit(4)
    other.cz(2, 3)
    bad = [
        good,
        (other, PauliLindbladMap.from_list([("XI", -0.01), ("IX", 0.1)])),
        evolve(good, layer=layer_of(other), rates=np.array([np.nan, 0.1, 0.1])),
        (PAIR, NOISE),
        (PAIR, PauliLindbladMap.from_list([("XII", 0.1)])),
        (three, NOISE),
        (rotated, NOISE),
        "noise",
        (PAIR, "noise"),
        (layer_of(other), PauliLindbladMap.from_sparse_list([("X", [0], 0.1)], 4)),
        (QuantumCircuit(2), NOISE),
    ]
    with pytest.raises(InputError) as error:
        layer_models(bad, path="model")
    said = str(error.value)
    for text in (
        "model[1] (cz (2, 3)).rates: must be numbers between 0",
        "model[2] (cz (2, 3)): is for the same layer as model[1]; leave one out",
        "model[2] (cz (2, 3)).rates: must be numbers between 0",
        "model[3] (cx (0, 1)): is for the same layer as model[0]",
        "model[4] (cx (0, 1)): has noise on 3 qubits, but the layer has 2: [0, 1]",
        "model[5]: its layer cannot be read: the circuit has 2 layers",
        "model[6].circuit: has two-qubit gates that do not map Paulis to Paulis",
        "model[7]: must be a LayerModel",
        "model[8] (cx (0, 1)): has noise of type str",
        "model[9] (cz (2, 3)): has noise on the qubits [0], which are not among those of the layer: [2, 3]",
        "model[10]: its layer cannot be read: the circuit has 0 layers",
    ):
        assert text in said


def test_what_is_no_model_at_all_is_refused():
    for value in (5, "file.json", None):
        with pytest.raises(InputError, match="must be noise models of layers"):
            layer_models(value)
    with pytest.raises(InputError, match="must be 'before' or 'after'"):
        layer_models([], site="under")
    assert layer_models([]) == ()


def test_noise_after_gates_that_are_known_by_name_only_is_refused():
    layer = Layer((("cx", (), (0, 1)),))
    assert terms(*layer_models([(layer, NOISE)]))
    with pytest.raises(InputError, match="knows only the names of its gates"):
        layer_models([(layer, NOISE)], site="after")


def test_a_box_must_be_one():
    inner = QuantumCircuit(3)
    inner.cx(0, 1)
    outer = QuantumCircuit(3)
    outer.h(0)
    with pytest.raises(InputError, match="the instruction is h, not a box"):
        layer_models([(outer.data[0], NOISE)])


# --- Aer --------------------------------------------------------------------------------------


@pytest.fixture
def aer():
    return pytest.importorskip("qiskit_aer.noise")


def crowd():
    circuit = QuantumCircuit(5)
    circuit.cx(3, 1)
    circuit.ecr(0, 2)
    return layer_of(circuit)


def test_depolarizing_errors_are_equal_rates_of_all_paulis(aer):
    """f = 1 - p for all 15 Paulis, so exp(-2 * 8 * rate) = 1 - p."""
    noise = aer.NoiseModel()
    noise.add_all_qubit_quantum_error(aer.depolarizing_error(0.02, 2), ["cx"])
    (model,) = models_of_aer(noise, [crowd()])
    assert len(model.rates) == 15
    assert np.allclose(model.rates, -np.log(0.98) / 16, rtol=1e-12)
    assert set(np.flatnonzero(model.generators.any(axis=0))) == {1, 3}
    assert models_of_aer(aer.NoiseModel(), [crowd()])[0].rates.shape == (0,)


def test_twirled_fidelities_are_those_of_the_errors_behind_their_gates(aer):
    """Against the superoperators of qiskit, for errors that are no Pauli channels and gates in either direction."""
    damping = aer.thermal_relaxation_error(50e-6, 60e-6, 300e-9)
    coherent = aer.coherent_unitary_error(Operator(QuantumCircuit(2)).data)
    local = damping.expand(aer.depolarizing_error(0.01, 1)).compose(coherent)
    noise = aer.NoiseModel()
    noise.add_quantum_error(local, ["cx"], [3, 1])
    noise.add_quantum_error(aer.depolarizing_error(0.5, 2), ["cx"], [1, 3])  # another direction
    noise.add_all_qubit_quantum_error(aer.pauli_error([("XZ", 0.01), ("II", 0.99)]), ["ecr"])
    layer = crowd()
    (model,) = models_of_aer(noise, [layer])
    column = {q: i for i, q in enumerate(layer.qubits)}
    for qubits, gate, error in (
        ((3, 1), "cx", local),
        ((0, 2), "ecr", aer.pauli_error([("XZ", 0.01), ("II", 0.99)])),
    ):
        circuit = QuantumCircuit(2)
        getattr(circuit, gate)(0, 1)
        unitary = Operator(circuit)
        before = local_paulis(2, [(0, 1)])
        wide = np.zeros((len(before), len(layer.qubits)), dtype=np.uint8)
        wide[:, [column[q] for q in qubits]] = before
        found = fidelities(wide, model.generators, model.rates)
        for code, fidelity in zip(before, found, strict=True):
            label = "".join("IXZY"[c] for c in code[::-1])
            after = unitary @ Operator.from_label(label) @ unitary.adjoint()
            vector = after.data.T.reshape(-1)
            expected = (vector.conj() @ SuperOp(error.to_quantumchannel()).data @ vector).real / 4
            assert fidelity == pytest.approx(expected, abs=1e-12)


def test_errors_of_symmetric_gates_are_found_in_either_direction(aer):
    circuit = QuantumCircuit(2)
    circuit.cz(1, 0)
    noise = aer.NoiseModel()
    noise.add_quantum_error(aer.pauli_error([("ZX", 0.1), ("II", 0.9)]), ["cz"], [1, 0])  # X on 1, Z on 0
    (model,) = models_of_aer(noise, [layer_of(circuit)])
    # behind the gate Z0 X1, before it X1
    assert terms(model) == {"X1": pytest.approx(-np.log(0.8) / 2)}


def test_errors_that_are_no_pauli_lindblad_channels_are_refused_with_number_and_gates(aer):
    noise = aer.NoiseModel()
    noise.add_all_qubit_quantum_error(aer.pauli_error([("XX", 0.1), ("ZZ", 0.1), ("II", 0.8)]), ["cx"])
    noise.add_all_qubit_quantum_error(aer.pauli_error([("XI", 0.5), ("II", 0.5)]), ["ecr"])
    with pytest.raises(InputError) as error:
        models_of_aer(noise, [crowd(), crowd()])
    assert len(error.value.problems) == 4
    assert "cx (3, 1) in layer 1 (ecr (0, 2), cx (3, 1)): its twirled error needs a negative rate" in str(
        error.value
    )
    assert "ecr (0, 2) in layer 0 (ecr (0, 2), cx (3, 1)): twirling leaves nothing" in str(error.value)
    with pytest.raises(InputError, match="must be a NoiseModel of qiskit_aer, not str"):
        models_of_aer("noise", [])
    with pytest.raises(UnsupportedError, match="knows only the names"):
        models_of_aer(noise, [Layer((("cz", (), (0, 1)),))])


def test_the_models_of_aer_describe_what_aer_simulates(aer):
    """Exact density matrices of twirled noise against the channel of the model."""
    aer_simulator = pytest.importorskip("qiskit_aer").AerSimulator
    noise = aer.NoiseModel()
    # Independent errors: two that exclude each other would need a negative rate for their product.
    error = aer.pauli_error([("XZ", 0.02), ("II", 0.98)]).compose(
        aer.pauli_error([("IY", 0.01), ("II", 0.99)])
    )
    noise.add_all_qubit_quantum_error(error, ["cx"])
    noise.add_basis_gates(["save_superop"])
    circuit = QuantumCircuit(2)
    circuit.cx(0, 1)
    (model,) = models_of_aer(noise, [layer_of(circuit)])
    assert len(model.rates) == 2
    circuit.save_superop()
    truth = aer_simulator(method="superop", noise_model=noise).run(circuit).result().data()["superop"]
    mine = channel(PAIR, model.pauli_lindblad_map(), "before")
    assert np.allclose(mine.data, np.asarray(truth), rtol=0, atol=1e-9)


def test_a_model_that_was_checked_before_is_checked_again():
    (model,) = layer_models([(PAIR, NOISE)])
    with pytest.raises(InputError, match=r"\(cx \(0, 1\)\)\.rates"):
        layer_models([evolve(model, rates=-model.rates)])
    assert isinstance(model, LayerModel)
