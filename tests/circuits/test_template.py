import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit, Gate, Parameter, Qubit
from qiskit.circuit.library import CXGate, ECRGate, GlobalPhaseGate, RZZGate, iSwapGate

from quell.circuits.idles import with_idles
from quell.circuits.template import template_of
from quell.kernels.paulis import CLIFFORDS, MULTIPLY, PAULIS

A, B = Parameter("a"), Parameter("b")


def layers(circuit):
    return [op.layer for op in template_of(circuit).ops]


def measured_bits(circuit):
    return [(t.qubit, t.clbit) for t in template_of(circuit).terminals]


def test_single_qubit_gates_between_operations_form_one_dressing():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.rz(A, 0)
    circuit.cx(0, 1)
    circuit.sx(1)
    template = template_of(circuit)
    (op,) = template.ops
    assert [template.dressings[d].instructions for d in op.before] == [(0, 1), ()]
    assert [template.dressings[d].instructions for d in op.after] == [(), (3,)]
    assert [template.dressings[d].qubit for d in op.before + op.after] == [0, 1, 0, 1]
    assert template.dressings[op.before[0]].varies
    assert not template.dressings[op.after[1]].varies
    assert template.written == {"h", "rz", "sx"}


def test_barriers_do_not_cut_dressings():
    circuit = QuantumCircuit(1)
    circuit.sx(0)
    circuit.barrier()
    circuit.sx(0)
    (dressing,) = template_of(circuit).dressings
    assert dressing.instructions == (0, 2)


def test_layers_are_as_early_as_possible():
    circuit = QuantumCircuit(4)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.cx(0, 3)
    circuit.cx(2, 3)
    assert layers(circuit) == [0, 1, 1, 2]
    assert template_of(circuit).num_layers == 3


def test_barriers_hold_layers_back_on_their_qubits_only():
    circuit = QuantumCircuit(6)
    circuit.cx(0, 1)
    circuit.barrier(0, 1, 2, 3)
    circuit.cx(2, 3)
    circuit.cx(4, 5)
    assert layers(circuit) == [0, 1, 0]


def test_operations_wait_for_classical_bits_they_share():
    circuit = QuantumCircuit(3, 2)
    circuit.measure(0, 0)
    circuit.measure(1, 0)
    circuit.measure(2, 1)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(2)
    assert layers(circuit) == [0, 1, 0, 2]


def test_a_circuit_without_gates_has_no_layers():
    template = template_of(QuantumCircuit(3))
    assert template.num_layers == 0
    assert template.dressings == template.terminals == ()


def test_terminals_are_sorted_by_bit_and_mark_their_dressings():
    circuit = QuantumCircuit(3, 3)
    circuit.h(range(3))
    circuit.measure([0, 1, 2], [2, 0, 1])
    template = template_of(circuit)
    assert measured_bits(circuit) == [(1, 0), (2, 1), (0, 2)]
    for terminal in template.terminals:
        dressing = template.dressings[terminal.dressing]
        assert dressing.measured
        assert dressing.qubit == terminal.qubit
    assert sum(d.measured for d in template.dressings) == 3


def test_a_barrier_after_a_measurement_leaves_it_terminal():
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    circuit.barrier()
    assert measured_bits(circuit) == [(0, 0)]


@pytest.mark.parametrize(
    "follow",
    [
        lambda c: c.x(0),
        lambda c: c.id(0),
        lambda c: c.reset(0),
        lambda c: c.delay(100, 0),
        lambda c: c.cx(0, 1),
        lambda c: c.measure(0, 1),
        lambda c: c.measure(1, 0),  # another qubit overwrites the bit
        lambda c: c.if_test((c.clbits[0], 1), QuantumCircuit(1), [1], []),
        lambda c: c.if_test((c.clbits[1], 1), QuantumCircuit([c.clbits[0]], [Qubit()]), [1], [0]),
    ],
    ids=["gate", "id", "reset", "delay", "cx", "again", "overwritten", "condition", "block"],
)
def test_a_measurement_that_something_follows_is_not_terminal(follow):
    circuit = QuantumCircuit(2, 2)
    circuit.measure(0, 0)
    follow(circuit)
    template = template_of(circuit)
    first = next(op for op in template.ops if op.instruction == 0)
    assert first.before[0] not in [t.dressing for t in template.terminals]
    assert not template.dressings[first.before[0]].measured


def test_the_measurement_that_overwrites_is_terminal():
    circuit = QuantumCircuit(2, 1)
    circuit.measure(0, 0)
    circuit.measure(1, 0)
    assert measured_bits(circuit) == [(1, 0)]


def test_aliased_registers_share_their_bits():
    bits = [Clbit(), Clbit()]
    whole, alias = ClassicalRegister(name="c", bits=bits), ClassicalRegister(name="d", bits=bits[:1])
    circuit = QuantumCircuit(QuantumRegister(2), bits, whole, alias)
    circuit.measure(0, circuit.cregs[0][0])
    circuit.measure(1, circuit.cregs[1][0])
    assert measured_bits(circuit) == [(1, 0)]


def test_a_measurement_before_control_flow_on_other_bits_may_be_read_there():
    circuit = QuantumCircuit(2, 2)
    circuit.measure(0, 0)
    circuit.measure(1, 1)
    with circuit.if_test((circuit.cregs[0], 3)):
        circuit.x(1)
    assert measured_bits(circuit) == []


@pytest.mark.parametrize(
    "opaque",
    [
        lambda c: c.measure(0, 0),
        lambda c: c.reset(0),
        lambda c: c.delay(10, 0),
        lambda c: c.ccx(0, 1, 2),
        lambda c: c.append(Gate("mystery", 2, []), [0, 1]),
        lambda c: c.append(Gate("mystery", 1, [A]), [0]),
        lambda c: c.if_test((c.clbits[0], 1), QuantumCircuit(2), [0, 1], []),
        lambda c: c.append(GlobalPhaseGate(0.3), []),
    ],
    ids=["measure", "reset", "delay", "ccx", "2q", "1q", "if", "0q"],
)
def test_everything_else_is_carried_with_no_frames(opaque):
    circuit = QuantumCircuit(3, 1)
    opaque(circuit)
    (op,) = template_of(circuit).ops
    assert op.matrices == ()
    for cliffords in (False, True):
        choices = op.choices(cliffords=cliffords)
        assert choices.shape == (1, 2 * len(op.qubits))
        assert not choices.any()


@pytest.mark.parametrize(
    ("apply", "rows"),
    [
        (lambda c: c.rzz(A, 0, 1), 8),
        (lambda c: c.rzz(0.5 * A + B, 0, 1), 8),
        (lambda c: c.cp(A, 0, 1), 4),
        (lambda c: c.crx(A, 0, 1), 4),
        (lambda c: c.cu(A, B, 0.2, 0.1, 0, 1), 2),
        (lambda c: c.rzz(np.pi / 2, 0, 1), 16),
        (lambda c: c.rzz((A + 0).bind({A: np.pi / 2}), 0, 1), 16),
        (lambda c: c.unitary(CXGate().to_matrix(), [0, 1]), 16),
    ],
)
def test_symbolic_gates_keep_the_rows_that_hold_at_all_values(apply, rows):
    circuit = QuantumCircuit(2)
    apply(circuit)
    choices = template_of(circuit).ops[0].choices()
    assert len(choices) == rows
    assert not choices[0].any()


@pytest.mark.parametrize("gate", [CXGate(), ECRGate(), iSwapGate(), RZZGate(0.3)])
@pytest.mark.parametrize("cliffords", [False, True])
def test_frames_cancel_around_the_gate(gate, cliffords):
    circuit = QuantumCircuit(2)
    circuit.append(gate, [0, 1])
    unitary = gate.to_matrix()
    for a, b, c, d in template_of(circuit).ops[0].choices(cliffords=cliffords):
        before, after = np.kron(CLIFFORDS[b], CLIFFORDS[a]), np.kron(CLIFFORDS[d], CLIFFORDS[c])
        assert abs(np.vdot(after @ unitary @ before, unitary)) == pytest.approx(4)


def test_frames_cancel_around_an_idle():
    circuit = QuantumCircuit(3)
    circuit.cx(0, 1)
    idle = with_idles(template_of(circuit), {0: [2]}).ops[1]
    for before, after in idle.choices(cliffords=True):
        assert MULTIPLY[after, before] == 0


def test_rows_of_a_symbolic_gate_hold_at_many_values():
    circuit = QuantumCircuit(2)
    circuit.rzz(A, 0, 1)
    for a, b, c, d in template_of(circuit).ops[0].choices():
        for theta in np.linspace(-4, 4, 9):
            unitary = RZZGate(theta).to_matrix()
            moved = np.kron(PAULIS[d], PAULIS[c]) @ unitary @ np.kron(PAULIS[b], PAULIS[a])
            assert abs(np.vdot(moved, unitary)) == pytest.approx(4)


def test_gates_of_one_name_and_different_matrices_stay_apart():
    class Named(Gate):
        def __init__(self, matrix):
            super().__init__("named", 2, [])
            self._matrix = matrix

        def __array__(self, dtype=None, copy=None):
            return np.asarray(self._matrix, dtype=dtype)

    circuit = QuantumCircuit(2)
    for matrix in (CXGate().to_matrix(), RZZGate(0.3).to_matrix()):
        circuit.append(Named(matrix), [0, 1])
    circuit.cx(0, 1)
    circuit.cx(0, 1, ctrl_state=0)
    circuit.unitary(RZZGate(0.3).to_matrix(), [0, 1])
    ops = template_of(circuit).ops
    assert [len(op.choices()) for op in ops] == [16, 8, 16, 16, 8]
    assert np.allclose(ops[3].matrices[0], CXGate(ctrl_state=0).to_matrix())


def test_the_circuit_is_only_read():
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.rzz(A, 0, 1)
    circuit.measure([0, 1], [0, 1])
    copy = circuit.copy()
    template = template_of(circuit)
    assert circuit == copy
    assert template.circuit is circuit


def test_atoms_follow_the_order_of_the_circuits_parameters():
    circuit = QuantumCircuit(1)
    circuit.rz(B, 0)
    circuit.sx(0)
    circuit.rz(A * B, 0)
    circuit.sx(0)
    circuit.rz(A, 0)
    template = template_of(circuit)
    values = np.array([[2.0, 3.0], [5.0, 7.0]])  # a, b
    assert np.array_equal(template.atoms(values), [[3, 6, 2], [7, 35, 5]])


def test_idles_are_identities_between_barriers_that_keep_everything_else():
    circuit = QuantumCircuit(3, 3)
    circuit.h(2)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.measure(range(3), range(3))
    template = with_idles(template_of(circuit), {0: [2], 1: [0]})
    idles = [op for op in template.ops if op.instruction is None]
    assert [(op.qubits, op.layer) for op in idles] == [((2,), 0), ((0,), 1)]
    assert [op.choices().tolist() for op in idles] == [[[c, c] for c in range(4)]] * 2
    frames = idles[0].choices(cliffords=True)
    assert len(frames) == 24
    instructions = sorted(op.instruction for op in template.ops if op.instruction is not None)
    assert instructions == [1, 2, 3, 4, 5]
    assert [(t.qubit, t.clbit) for t in template.terminals] == [(0, 0), (1, 1), (2, 2)]
    assert all(template.dressings[t.dressing].measured for t in template.terminals)
    assert sum(kind == "sync" for kind, _ in template.sequence) == 4
    assert sorted(i for d in template.dressings for i in d.instructions) == [0]


def test_without_idles_the_template_is_the_same_object():
    template = template_of(QuantumCircuit(2))
    assert with_idles(template, {}) is template
    assert with_idles(template, {0: []}) is template


def test_each_dressing_is_closed_once():
    circuit = QuantumCircuit(3, 3)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.measure(range(3), range(3))
    for template in (template_of(circuit), with_idles(template_of(circuit), {0: [2], 1: [0]})):
        closed = [payload for kind, payload in template.sequence if kind == "close"]
        assert sorted(closed) == list(range(len(template.dressings)))


def test_operations_on_no_qubit_survive_idles():
    circuit = QuantumCircuit(3)
    circuit.append(GlobalPhaseGate(A), [])
    circuit.cx(0, 1)
    template = with_idles(template_of(circuit), {0: [2], 1: []})
    assert sorted(op.instruction for op in template.ops if op.instruction is not None) == [0, 1]


def test_barriers_of_the_circuit_survive_idles():
    circuit = QuantumCircuit(3, 3)
    circuit.cx(0, 1)
    circuit.barrier()
    circuit.cx(1, 2)
    circuit.barrier()
    circuit.measure(range(3), range(3))
    template = with_idles(template_of(circuit), {0: [2]})
    kept = [payload for kind, payload in template.sequence if kind == "barrier"]
    assert kept == [1, 3]
    order = [
        template.ops[payload].instruction if kind == "op" else payload
        for kind, payload in template.sequence
        if kind in ("op", "barrier")
    ]
    order = [i for i in order if i is not None]
    assert order.index(1) < order.index(2) < order.index(3) < min(order.index(i) for i in (4, 5, 6))
