"""The sampler of noisy Clifford circuits has the statistics it promises. Fixed seeds; false-alarm rates are stated."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import DensityMatrix, SparsePauliOp, pauli_basis

from quell import Estimator
from quell.calibration.layers import LayerModel
from quell.circuits.layers import Layer
from quell.errors import InputError, UnsupportedError
from quell.kernels.lindblad import fidelities, local_paulis
from quell.testing import ExactSampler, ReadoutModel
from quell.testing.pauli_frames import PauliFrameSampler

CX = Layer((("cx", (), (0, 1)),), (2,))
CZ = Layer((("cz", (), (1, 2)),), (0,))
TWIRLED = {"enable_gates": True, "enable_measure": True, "strategy": "all", "num_randomizations": 20}


def random_model(layer, seed, scale=0.02):
    n = len(layer.qubits)
    generators = local_paulis(n, [(i, i + 1) for i in range(n - 1)])
    return LayerModel.of(layer, generators, np.random.default_rng(seed).random(len(generators)) * scale, seed)


def after(model, rho):
    """Return what a channel makes of a density matrix, generator by generator."""
    for text, rate in zip(model.labels, model.rates, strict=True):
        letters, qubits = zip(*((factor[0], int(factor[1:])) for factor in text.split()), strict=True)
        matrix = SparsePauliOp.from_sparse_list([("".join(letters), qubits, 1)], rho.num_qubits).to_matrix()
        kept = (1 + np.exp(-2 * rate)) / 2
        rho = DensityMatrix(kept * rho.data + (1 - kept) * matrix @ rho.data @ matrix)
    return rho


def step(number):
    """Return one-qubit Cliffords on those qubits that are in the layer of this number, others where nothing waits."""
    circuit = QuantumCircuit(3)
    if number == 0:
        circuit.h(0)
        circuit.s(1)
    elif number == 1:
        circuit.s(1)
        circuit.h(2)
        circuit.sx(2)
    elif number == 2:
        circuit.sdg(0)
        circuit.h(1)
    else:
        circuit.h(0)
        circuit.sx(2)
    return circuit


@pytest.mark.parametrize("twirling", [{}, TWIRLED], ids=["bare", "twirled"])
def test_every_pauli_has_its_exact_value(twirling):
    """Both layers twice, 63 Paulis, each within 4.5 standard errors: false alarm 4e-4 for both cases."""
    cx, cz = random_model(CX, 1), random_model(CZ, 2)
    circuit = QuantumCircuit(3)
    rho = DensityMatrix.from_label("000")
    for number, model in enumerate((cx, cz, cx)):
        circuit.compose(step(number), inplace=True)
        circuit.barrier()
        rho = after(model, rho.evolve(step(number)))
        gate = QuantumCircuit(3)
        getattr(gate, model.layer.gates[0][0])(*model.layer.gates[0][2])
        circuit.compose(gate, inplace=True)
        circuit.barrier()
        rho = rho.evolve(gate)
    circuit.compose(step(3), inplace=True)
    rho = rho.evolve(step(3))
    paulis = list(pauli_basis(3))[1:]
    exact = np.array([rho.expectation_value(pauli).real for pauli in paulis])
    options = {"resilience_level": 0, "default_shots": 40_000, "twirling": twirling}
    data = (
        Estimator(PauliFrameSampler([cx, cz], seed=1), options=options)
        .run([(circuit, paulis)])
        .result()[0]
        .data
    )
    assert np.sum(np.abs(exact) > 0.2) >= 5
    assert (np.abs(data.evs - exact) < 4.5 * data.stds + 1e-9).all()


def wide_circuit(num_qubits, depth):
    """Return brickwork of cz that leaves Z alone, and the two layers."""
    circuit = QuantumCircuit(num_qubits)
    layers = []
    for k in range(depth):
        pairs = [(i, i + 1) for i in range(k % 2, num_qubits - 1, 2)]
        for pair in pairs:
            circuit.cz(*pair)
        waiting = set(range(num_qubits)) - {q for pair in pairs for q in pair}
        layers.append(Layer(tuple(("cz", (), pair) for pair in pairs), tuple(sorted(waiting))))
    return circuit, layers


def test_fifty_qubits_decay_as_the_channel_says():
    """Z is kept by all gates, so its value is the product of its fidelities. False alarm 3e-4: 50 values, 4.5 sigma."""
    circuit, layers = wide_circuit(50, 8)
    models = {layer: random_model(layer, k, 2e-3) for k, layer in enumerate(layers[:2])}
    circuit.measure_all()
    shots = 40_000
    bits = PauliFrameSampler(models.values(), seed=2)([SamplerPub.coerce((circuit, None, shots))])[0]["meas"]
    found = 1 - 2 * bits.to_bool_array(order="little").mean(axis=0)
    paulis = 2 * np.eye(50, dtype=np.uint8)
    exact = np.prod([fidelities(paulis, models[x].generators, models[x].rates) for x in layers], axis=0)
    assert exact.max() < 0.99
    assert (np.abs(found - exact) < 4.5 * np.sqrt((1 - exact**2) / shots)).all()


def one_layer(*, gate="cx", before=(), after=()):
    circuit = QuantumCircuit(3)
    for name, qubit in before:
        getattr(circuit, name)(qubit)
    circuit.barrier()
    getattr(circuit, gate)(0, 1)
    circuit.barrier()
    for name, qubit in after:
        getattr(circuit, name)(qubit)
    circuit.measure_all()
    return circuit


@pytest.mark.parametrize(
    ("error", "flipped"),
    [("X0", {0, 1}), ("X1", {1}), ("Y2", {2}), ("Z0", set()), ("Z1 X2", {2}), ("X0 X1", {0})],
)
def test_errors_stand_before_the_gates(error, flipped):
    """A rate of 10 makes the outcomes that it inverts coins, and leaves the others. False alarm 6e-7 a case."""
    model = LayerModel.of(CX, [error], [10.0], "strong")
    bits = PauliFrameSampler([model], seed=1)([SamplerPub.coerce((one_layer(), None, 10_000))])[0]["meas"]
    mean = bits.to_bool_array(order="little").mean(axis=0)
    for qubit in range(3):
        assert mean[qubit] == (pytest.approx(0.5, abs=0.025) if qubit in flipped else 0.0)


def test_errors_stand_behind_the_gates_before_the_layer():
    """X on the waiting qubit does nothing to |+>, which a Hadamard before the layer makes."""
    model = LayerModel.of(CX, ["X2"], [10.0], "strong")
    circuit = one_layer(before=[("h", 2)], after=[("h", 2)])
    bits = PauliFrameSampler([model], seed=1)([SamplerPub.coerce((circuit, None, 1000))])[0]["meas"]
    assert not bits.to_bool_array().any()
    flipped = PauliFrameSampler([LayerModel.of(CX, ["Z2"], [10.0], "strong")], seed=1)
    bits = flipped([SamplerPub.coerce((circuit, None, 1000))])[0]["meas"]
    assert bits.to_bool_array(order="little")[:, 2].any()


def test_members_may_differ_by_any_clifford():
    a = Parameter("a")
    circuit = QuantumCircuit(3)
    circuit.ry(a, 0)
    circuit.barrier()
    circuit.cx(0, 1)
    circuit.measure_all()
    model = LayerModel.of(CX, ["X1"], [0.1], "weak")
    values = np.array([[0.0], [np.pi / 2], [np.pi]])
    bits = PauliFrameSampler([model], seed=1)([SamplerPub.coerce((circuit, values, 20_000))])[0]["meas"]
    assert bits.shape == (3,)
    means = 1 - 2 * bits.to_bool_array(order="little").mean(axis=1)
    expected = [[1, np.exp(-0.2), 1], [0, 0, 1], [-1, -np.exp(-0.2), 1]]
    assert means == pytest.approx(np.array(expected), abs=5 / np.sqrt(20_000))


def test_without_models_it_is_the_exact_sampler_and_readout_comes_last():
    circuit = one_layer(before=[("x", 0)])
    pub = SamplerPub.coerce((circuit, None, 20_000))
    plain = PauliFrameSampler(seed=1)([pub])[0]["meas"]
    assert plain.get_counts() == ExactSampler(seed=1)([pub])[0]["meas"].get_counts() == {"011": 20_000}
    read = PauliFrameSampler(seed=1, readout=ReadoutModel.uniform(3, 0.0, 0.1))([pub])[0]["meas"]
    means = read.to_bool_array(order="little").mean(axis=0)
    assert means == pytest.approx([0.9, 0.9, 0.0], abs=5 * 0.3 / np.sqrt(20_000))


def test_registers_and_clbits_stay_where_they_are():
    circuit = QuantumCircuit(3, 4)
    circuit.x(2)
    circuit.cx(2, 0)
    circuit.measure([2, 1], [0, 3])
    model = LayerModel.of(Layer((("cx", (), (2, 0)),), (1,)), ["X1"], [0.0], "none")
    bits = PauliFrameSampler([model], seed=1)([SamplerPub.coerce((circuit, None, 5))])[0]["c"]
    assert bits.get_counts() == {"0001": 5}


def test_of_two_models_with_the_same_gates_the_wider_is_taken():
    narrow = LayerModel.of(Layer(CX.gates), ["X1"], [0.0], "narrow")
    wide = LayerModel.of(CX, ["X2"], [10.0], "wide")
    for models in ([narrow, wide], [wide, narrow]):
        bits = PauliFrameSampler(models, seed=1)([SamplerPub.coerce((one_layer(), None, 100))])[0]["meas"]
        assert bits.to_bool_array(order="little")[:, 2].any()


def test_what_cannot_be_sampled_is_said():
    model = random_model(CX, 1)
    sampler = PauliFrameSampler([model], seed=1)

    def run(circuit, shots=10):
        return sampler([SamplerPub.coerce((circuit, None, shots))])

    with pytest.raises(
        InputError, match=r"layer 0: is cz \(0, 1\), the sampler has noise for cx \(0, 1\), waiting 2"
    ):
        run(one_layer(gate="cz"))
    with pytest.raises(UnsupportedError, match="not Clifford"):
        run(one_layer(before=[("t", 0), ("h", 0), ("t", 0)]))
    with pytest.raises(UnsupportedError, match="reset"):
        run(one_layer(before=[("reset", 0)]))
    with pytest.raises(InputError, match="number of shots"):
        run(one_layer(), None)
    late = one_layer()
    late.h(0)
    with pytest.raises(UnsupportedError, match="after a measurement"):
        run(late)


def test_paulis_of_a_twirl_change_only_signs():
    """The same seed gives the same errors whatever the frame: outcomes differ by the frame's own flips alone."""
    model = random_model(CX, 3, 0.2)
    shots = [
        PauliFrameSampler([model], seed=5)([SamplerPub.coerce((one_layer(before=before), None, 500))])[0][
            "meas"
        ]
        for before in ([], [("x", 0), ("z", 2)])
    ]
    first, second = (bits.to_bool_array(order="little") for bits in shots)
    assert first.any(axis=0).all()
    flips = np.array([True, True, False])  # X on the control is on both behind the gate
    assert np.array_equal(first ^ flips, second)
