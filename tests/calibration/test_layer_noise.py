"""Learning layers: what is run, on which gates and devices, what serves what, and what is refused."""

from __future__ import annotations

import pickle
from itertools import combinations

import numpy as np
import pytest
from attrs import evolve
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, Parameter
from qiskit.circuit.library import (
    CXGate,
    CZGate,
    DCXGate,
    ECRGate,
    RGate,
    RXXGate,
    RZGate,
    RZXGate,
    RZZGate,
    SwapGate,
    SXGate,
    UGate,
    XGate,
    iSwapGate,
)
from qiskit.primitives import BitArray
from qiskit.quantum_info import Operator, Pauli
from qiskit.transpiler import InstructionProperties, Target

from quell.calibration.learning import LayerNoise
from quell.circuits.bound import BoundForm
from quell.circuits.closers import closed, closers, squares
from quell.circuits.layers import Layer, occurrences
from quell.circuits.parametric import ParametricForm
from quell.circuits.samples import Samples
from quell.circuits.template import template_of
from quell.circuits.twirling import twirled_template
from quell.errors import CalibrationError, UnsupportedError
from quell.kernels.lindblad import anticommute, conjugated, local_paulis
from quell.kernels.paulis import CLIFFORDS
from quell.testing import ExactSampler

HALF = np.pi / 2
GATES = [
    CXGate(),
    CZGate(),
    ECRGate(),
    iSwapGate(),
    SwapGate(),
    RZZGate(HALF),
    RXXGate(HALF),
    RXXGate(-HALF),
    RZXGate(HALF),
    DCXGate(),
]


def layer_of(*gates, waiting=()):
    """Return the layer of gates, each an operation and its qubits."""
    circuit = QuantumCircuit(max([*(q for _, pair in gates for q in pair), *waiting]) + 1)
    for gate, pair in gates:
        circuit.append(gate, pair)
    circuit.measure_all()
    layer = occurrences(twirled_template(template_of(circuit), "all"))[0].layer
    return evolve(layer, spectators=tuple(waiting))


def line_of(layer, **kwargs):
    qubits = layer.qubits
    pairs = tuple((a, b) for a, b in combinations(qubits, 2) if b == a + 1)
    return LayerNoise(layer, max(qubits) + 1, pairs, **kwargs)


def run(need, sampler, seed=1):
    """Run an experiment on a sampler, and return the samples and the residue."""
    programs, residue = need.experiment(np.random.default_rng(seed))
    results = []
    for program in programs:
        pub = ParametricForm(program).pub(0, program.num_members)
        bits = sampler([pub])[0]["meas"]
        shots = np.full(program.num_members, bits.num_shots)
        array = bits.array.reshape(program.num_members, bits.num_shots, -1)
        results.append(Samples({"meas": array}, {"meas": bits.num_bits}, shots))
    return residue, results


@pytest.mark.parametrize("gate", GATES, ids=lambda g: f"{g.name}{[round(p, 1) for p in g.params] or ''}")
@pytest.mark.parametrize("pair", [(0, 1), (1, 0)])
def test_without_noise_every_pauli_comes_back_with_its_sign(gate, pair):
    """Depths 1 and 3 see the sign of U^2, which depth 2 does not; no value may be anything but one."""
    need = line_of(layer_of((gate, pair), waiting=(2,)), depths=(0, 1, 2, 3), num_randomizations=4, shots=4)
    model = need.fit(*run(need, ExactSampler(1)))
    assert model.quality["spam_amplitudes"] == pytest.approx([1, 1], abs=1e-9)
    assert model.rates.max() < 1e-9
    assert model.quality["without_signal"] == []
    assert (model.stds > 0).all()  # a few shots that agree prove little


def test_signs_matter_for_some_gate():
    """The test above would not see them if all squares were the identity."""
    assert squares(layer_of((iSwapGate(), (0, 1)))).tolist() == [2, 2]


@pytest.mark.parametrize("gate", GATES, ids=lambda g: g.name)
def test_squares_are_those_of_the_repeated_gates(gate):
    layer = layer_of((gate, (2, 0)), waiting=(1,))
    codes = squares(layer)
    assert codes[1] == 0
    (_, _, pair), *_ = layer.gates
    text = "".join("IXZY"[codes[q]] for q in reversed(pair))
    first, second = (CLIFFORDS[4 * coset] for coset in closers(layer)[0])
    repeated = np.kron(second, first) @ gate.to_matrix()
    assert abs(np.vdot(Operator(Pauli(text)).data, repeated @ repeated)) == pytest.approx(4)


def test_gates_that_are_not_clifford_are_all_named():
    layer = layer_of((RZZGate(0.2), (0, 1)), (CXGate(), (2, 3)), (RZZGate(0.3), (4, 5)))
    with pytest.raises(UnsupportedError, match=r"Paulis: rzz \(0, 1\), rzz \(4, 5\); transpile") as caught:
        line_of(layer).experiment(np.random.default_rng(0))
    assert "cx (2, 3), rzz" not in caught.value.problems[0].rule


@pytest.mark.parametrize("gate", GATES, ids=lambda g: g.name)
def test_every_gate_leaves_no_more_to_assumptions_than_cx(gate):
    """On a line of gates and waiting qubits: what the data leave open, ties decide, all of it."""
    layer = layer_of((gate, (1, 2)), (gate, (4, 3)), waiting=(0, 5))
    generators = local_paulis(6, [(i, i + 1) for i in range(5)])
    after = conjugated(generators, closed(layer))
    assert (conjugated(after, closed(layer)) == generators).all()
    design = anticommute(generators, generators).astype(float) + anticommute(after, generators)
    number = {row.tobytes(): k for k, row in enumerate(generators)}
    images = [number.get(row.tobytes(), k) for k, row in enumerate(after)]
    ties = np.eye(len(generators)) - np.eye(len(generators))[images]
    assert np.linalg.matrix_rank(np.concatenate([design, ties])) == len(generators)
    assert np.linalg.matrix_rank(design) == len(generators) - 12
    plain = gate.name in ("cx", "cz", "swap", "iswap")
    assert (closers(layer) == ((0, 0), (0, 0))) == plain


def test_layers_from_files_cannot_be_run():
    with pytest.raises(UnsupportedError, match="only the names"):
        line_of(Layer((("cx", (), (0, 1)),))).experiment(np.random.default_rng(0))


def device(one_qubit, gate, pairs, num_qubits):
    target = Target(num_qubits=num_qubits)
    for single in one_qubit:
        target.add_instruction(single, {(q,): InstructionProperties() for q in range(num_qubits)})
    target.add_instruction(gate, {pair: InstructionProperties() for pair in pairs})
    return target


P, Q, R = (Parameter(name) for name in "pqr")
SX = (RZGate(P), SXGate(), XGate())


@pytest.mark.parametrize(
    ("one_qubit", "gate"),
    [
        (SX, ECRGate()),
        ((RZGate(P), SXGate()), CZGate()),
        ((UGate(P, Q, R),), CXGate()),
        ((RGate(P, Q),), RXXGate(HALF)),
        ((RGate(P, Q), RZGate(R)), RZZGate(HALF)),
    ],
    ids=["rz sx x ecr", "rz sx cz", "u cx", "r rxx", "r rz rzz"],
)
def test_circuits_are_written_in_the_gates_of_the_device(one_qubit, gate):
    """In both renderings and at all depths: only gates and directions that the target has."""
    target = device(one_qubit, gate, [(1, 0), (2, 3)], 5)
    layer = layer_of((gate, (1, 0)), (gate, (2, 3)), waiting=(4,))
    need = LayerNoise(layer, 5, ((0, 1), (1, 2), (2, 3), (3, 4)), (0, 1), 3, 2, target)
    programs, _ = need.experiment(np.random.default_rng(3))
    assert len(programs) == 18
    for program in programs:
        written = [*BoundForm(program).circuits(0, 3), ParametricForm(program).pub(0, 3).circuit]
        for circuit in written:
            for instruction in circuit.data:
                name, qubits = instruction.name, tuple(circuit.find_bit(q).index for q in instruction.qubits)
                if name in ("barrier", "measure"):
                    continue
                assert name in target.operation_names
                assert target.instruction_supported(name, qubits), (name, qubits)


@pytest.mark.parametrize(("gate", "turned"), [(CZGate(), True), (RZZGate(HALF), True), (CXGate(), False)])
def test_gates_are_turned_only_where_that_changes_nothing(gate, turned):
    """A layer names the qubits of symmetric gates in ascending order; the device may have the other one."""
    target = device(SX, gate, [(1, 0)], 2)
    layer = Layer(((gate.name, tuple(gate.params), (0, 1)),), (), (gate,))
    programs, _ = LayerNoise(layer, 2, ((0, 1),), (0, 1), 1, 1, target).experiment(np.random.default_rng(3))
    found = {
        tuple(i.qubits.index(q) for q in p.template.circuit.qubits)
        for p in programs
        for i in p.template.circuit.data
        if i.name == gate.name
    }
    assert found == ({(1, 0)} if turned else {(0, 1)})


def test_idle_qubits_are_prepared_before_the_layers_and_measured_after_them():
    """What acts on a qubit that waits acts on the eigenstate: X there is seen in the bases Y and Z."""
    need = line_of(layer_of((CZGate(), (0, 1)), waiting=(2,)), depths=(0, 1), num_randomizations=2, shots=1)
    programs, _ = need.experiment(np.random.default_rng(3))
    for program in programs:
        for circuit in BoundForm(program).circuits(0, 2):
            layers = [i for i, instruction in enumerate(circuit.data) if instruction.name == "cz"]
            axis = program.bases[0, 2]
            if not layers or axis == 3:
                continue
            before = circuit.copy_empty_like()
            for instruction in circuit.data[: layers[0]]:
                if instruction.name != "barrier" and instruction.qubits == (circuit.qubits[2],):
                    before.append(instruction)
            # +1 eigenstate up to a Pauli of the twirl
            state = Operator(before.remove_final_measurements(inplace=False)).data[:, 0]
            letter = Pauli("XY"[axis - 1] + "II").to_matrix()
            assert abs(np.vdot(state, letter @ state)) == pytest.approx(1)


def test_twirling_and_structure():
    need = line_of(layer_of((CXGate(), (1, 2)), (CXGate(), (4, 3)), waiting=(0,)))
    programs, residue = need.experiment(np.random.default_rng(3))
    assert need.qubits == (0, 1, 2, 3, 4)
    assert (
        len(programs)
        == 9 * 6
        == len({(p.bases.tobytes(), d) for p, d in zip(programs, residue.depths, strict=True)})
    )
    assert need.shots_in_all == sum(p.num_members * p.shots for p in programs) == 54 * 32 * 128
    # Depths take turns: six programs in a row are of all six, and no depth comes earlier than another on average.
    order = np.array(residue.depths)
    assert all(sorted(block) == list(range(6)) for block in order.reshape(9, 6))
    assert (order[1:] != order[:-1]).all()
    places = [np.flatnonzero(order == depth).mean() for depth in range(6)]
    assert np.ptp(places) < 2
    keys = [draw.key for p in programs for draw in p.draws]
    assert len(set(map(repr, keys))) == len(keys)
    again, _ = need.experiment(np.random.default_rng(3))
    assert [p.draws for p in again] == [p.draws for p in programs]
    for program, depth in zip(programs, residue.depths, strict=True):
        ops = [op for op in program.template.ops if not program.template.is_final(op)]
        assert sum(op.instruction is not None for op in ops) == 4 * need.depths[depth]
        assert sum(op.instruction is None for op in ops) == 2 * need.depths[depth]
        prepared = [d for d, dressing in enumerate(program.template.dressings) if dressing.instructions]
        assert program.touched[prepared].all()
        assert len({program.template.dressings[d].qubit for d in prepared}) == 5
    assert pickle.loads(pickle.dumps(need)) == need
    assert need.describe().startswith(
        "Noise of the layer cx (1, 2), cx (4, 3), waiting 0: 9 bases, pair depths 0, 1"
    )


def test_qubits_of_a_gate_are_always_a_pair():
    need = LayerNoise(layer_of((CXGate(), (1, 0)), waiting=(4,)), 5, (), (0, 2), 2, 2)
    model = need.fit(*run(need, ExactSampler(2)))
    assert len(need.bases) == 9
    assert len(model.rates) == 3 * 3 + 9
    assert "X0 Y1" in model.labels
    assert "X1 X4" not in model.labels


def test_what_serves_what():
    wide = line_of(layer_of((CXGate(), (0, 1)), waiting=(2, 3)))
    narrow = line_of(layer_of((CXGate(), (0, 1)), waiting=(2,)))
    narrow = evolve(narrow, num_qubits=wide.num_qubits)
    turned = evolve(line_of(layer_of((CXGate(), (1, 0)), waiting=(2, 3))))
    assert wide.serves(wide)
    assert wide.serves(narrow)
    assert not narrow.serves(wide)
    assert not wide.serves(turned)
    assert not wide.serves("noise")
    assert not wide.serves(evolve(narrow, num_qubits=9))
    for more in (
        {"num_randomizations": 33, "shots": 1},
        {"shots": 129},
        {"depths": (0, 1, 64)},
        {"pairs": ((0, 2),)},
    ):
        assert not wide.serves(evolve(narrow, **more)), more
    assert evolve(wide, shots=64, num_randomizations=64).serves(narrow)


def test_merged_is_learned_for_all_who_wait_with_the_larger_effort():
    first = evolve(line_of(layer_of((CXGate(), (0, 1)), waiting=(2,)), shots=8), num_qubits=9)
    second = evolve(
        line_of(layer_of((CXGate(), (0, 1)), waiting=(2, 3)), depths=(0, 3), num_randomizations=40),
        num_qubits=9,
    )
    both = first.merged(second)
    assert both == second.merged(first)
    assert both.layer.spectators == (2, 3)
    assert both.layer.operations
    assert both.pairs == ((0, 1), (1, 2), (2, 3))
    assert (both.depths, both.num_randomizations, both.shots) == ((0, 1, 2, 3, 4, 16, 32), 40, 128)
    assert both.serves(first)
    assert both.serves(second)
    assert both.merged(first) == both
    assert first.merged(evolve(second, num_qubits=8)) is None
    assert first.merged(evolve(line_of(layer_of((CZGate(), (0, 1)))), num_qubits=9)) is None
    assert first.merged(None) is None


def small(**kwargs):
    return line_of(
        layer_of((CXGate(), (0, 1))), **{"depths": (0, 1, 2), "num_randomizations": 4, "shots": 8, **kwargs}
    )


def test_lost_shots_are_borne_as_long_as_two_depths_are_left():
    need = small()
    residue, results = run(need, ExactSampler(2))
    lost = [
        Samples(r.bits, r.num_bits, r.shots * (depth != 1))
        for r, depth in zip(results, residue.depths, strict=True)
    ]
    model = need.fit(residue, lost)
    assert np.isfinite(model.rates).all()
    assert np.isfinite(model.stds).all()
    nothing = [
        Samples(r.bits, r.num_bits, r.shots * (depth == 0))
        for r, depth in zip(results, residue.depths, strict=True)
    ]
    with pytest.raises(CalibrationError, match=r"cx \(0, 1\).*fewer than two depths; run it again"):
        need.fit(residue, nothing)


@pytest.mark.parametrize("effort", [{"num_randomizations": 1}, {"shots": 1}, {"depths": (0, 1)}])
def test_little_effort_gives_large_but_finite_errors(effort):
    need = small(**effort)
    model = need.fit(*run(need, ExactSampler(2)))
    assert np.isfinite(model.rates).all()
    assert np.isfinite(model.stds).all()
    assert (model.stds > 1e-4).all()
    assert model.deviations.rows.shape[0] <= len(model.rates)
    assert model.deviations.dof == (np.inf if need.num_randomizations == 1 else need.num_randomizations - 1)


def coins(pubs):
    """Return nothing but noise."""
    rng = np.random.default_rng(5)
    shapes = [(int(np.prod(pub.shape)), pub.shots, pub.circuit.num_clbits) for pub in pubs]
    return [{"meas": BitArray.from_bool_array(rng.random(shape) < 0.5)} for shape in shapes]


def test_pure_noise_is_reported_not_hidden():
    need = small(shots=64)
    model = need.fit(*run(need, coins))
    assert np.isfinite(model.rates).all()
    assert np.isfinite(model.stds).all()
    assert len(model.quality["without_signal"]) >= 12
    assert (model.stds > 1e-3).all()


def test_what_is_known_about_the_quality():
    need = small()
    model = need.fit(*run(need, ExactSampler(2)))
    assert model.source == need
    assert model.deviations.source == need
    quality = model.quality
    assert quality["executed_shots"] == need.shots_in_all
    assert len(quality["worst_generators"]) == 5
    assert set(quality["worst_generators"]) <= set(model.labels)
    assert "equal rates" in quality["assumption"]
    assert set(quality["assumed"]) <= set(model.labels)
    assert quality["dof"] > 0
    assert type(model).from_dict(model.to_dict()).labels == model.labels


def test_custom_gates_are_run_as_they_are():
    class Own(Gate):
        def __init__(self):
            super().__init__("own", 2, [])

        def __array__(self, dtype=None, copy=None):
            return np.asarray(CZGate().to_matrix(), dtype=dtype)

    need = line_of(layer_of((Own(), (0, 1))), depths=(0, 1), num_randomizations=2, shots=2)
    programs, _ = need.experiment(np.random.default_rng(0))
    names = {i.name for p in programs for i in ParametricForm(p).pub(0, 1).circuit.data}
    assert "own" in names
