"""What is called irrelevant changes nothing, and in Clifford circuits what is called relevant does."""

from __future__ import annotations

import time

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Gate, Parameter
from qiskit.circuit.library import RZZGate
from qiskit.quantum_info import Clifford, DensityMatrix, Operator, Pauli, SparsePauliOp

from quell.circuits.cones import light_cones
from quell.circuits.template import _GENERIC, template_of
from quell.circuits.twirling import twirled_template
from quell.kernels.cones import EVERYTHING, IDENTITY, masks_of, relevance
from quell.kernels.paulis import PAULIS

NAMES = "IXZY"
NO_VALUES = np.zeros((1, 0))
CLIFFORD_ONE = ["h", "s", "sdg", "sx", "x", "y", "id"]
CLIFFORD_TWO = ["cx", "cz", "ecr", "swap", "iswap"]


def label(codes):
    return "".join(NAMES[c] for c in reversed(codes))


def codes_of(pauli):
    return [NAMES.index(c) for c in reversed(pauli.to_label().lstrip("-i"))]


def random_circuit(rng, num_qubits, depth, one, two):
    """Layers of up to two gates on two qubits, with none to three gates on one qubit in front of each."""
    circuit = QuantumCircuit(num_qubits)
    for _ in range(depth):
        for q in range(num_qubits):
            for name in rng.choice(one, rng.integers(0, 4)):
                angles = [rng.uniform(-3, 3)] if name in ("rx", "ry", "rz") else []
                getattr(circuit, name)(*angles, q)
        order = rng.permutation(num_qubits)
        for a, b in (order[:2], order[2:4])[: rng.integers(1, 3)]:
            name = rng.choice(two)
            angles = [rng.uniform(-3, 3)] if name in ("rzz", "rzx") else []
            getattr(circuit, name)(*angles, int(a), int(b))
    circuit.sx(0)
    return circuit


def written(template, values=(), errors=None, start=None):
    """Return the template's circuit with Paulis after dressings, from the end of a dressing on if asked."""
    circuit = template.circuit
    bound = circuit.assign_parameters(list(values)) if len(values) else circuit
    result = QuantumCircuit(*circuit.qregs, *circuit.cregs)
    on = start is None
    for kind, payload in template.sequence:
        if kind == "close":
            code = 0 if errors is None else errors[payload]
            if code:
                result.unitary(PAULIS[code], [template.dressings[payload].qubit])
            on |= payload == start
        elif on and kind == "gate":
            result.append(bound.data[payload[1]])
        elif on and kind == "op" and template.ops[payload].instruction is not None:
            result.append(bound.data[template.ops[payload].instruction])
    return result


def layers_of(template):
    """Dressings before the operations of each layer."""
    return [
        np.array([d for op in template.ops if op.layer == layer for d in op.before])
        for layer in range(template.num_layers)
    ]


@pytest.mark.parametrize("seed", range(6))
def test_paulis_of_clifford_circuits_are_qiskits(seed):
    rng = np.random.default_rng(seed)
    circuit = random_circuit(rng, 6, 8, CLIFFORD_ONE, CLIFFORD_TWO)
    template = twirled_template(template_of(circuit), "all" if seed % 2 else "active")
    terms = rng.integers(0, 4, (20, 6)).astype(np.uint8)
    masks = light_cones(template, NO_VALUES, terms)
    assert masks.shape == (20, len(template.dressings))
    for d in rng.choice(len(template.dressings), 25, replace=False):
        rest = Clifford(written(template, start=d))
        for term, mask in zip(terms, masks[:, d], strict=True):
            before = codes_of(Pauli(label(term)).evolve(rest, frame="h"))
            assert mask == 1 << before[template.dressings[d].qubit]


def test_in_clifford_circuits_relevant_is_what_turns_a_sign():
    """Errors are relevant if and only if they turn the sign of the observable, which then is not zero."""
    rng = np.random.default_rng(10)
    circuit = random_circuit(rng, 5, 6, CLIFFORD_ONE, CLIFFORD_TWO)
    template = template_of(circuit)
    terms = rng.integers(0, 4, (12, 5)).astype(np.uint8)
    masks = light_cones(template, NO_VALUES, terms)
    seen = []
    for dressings in layers_of(template):
        generators = rng.integers(0, 4, (6, len(dressings))).astype(np.uint8)
        relevant, share = relevance(masks, dressings, generators)
        assert (share == relevant).all()
        for generator, row in zip(generators, relevant, strict=True):
            errors = np.zeros(len(template.dressings), dtype=int)
            errors[dressings] = generator
            with_error, without = (
                Clifford.from_circuit(_without_unitaries(written(template, errors=e)))
                for e in (errors, 0 * errors)
            )
            for term, is_relevant in zip(terms, row, strict=True):
                signs = [Pauli(label(term)).evolve(c, frame="h").phase for c in (with_error, without)]
                assert (signs[0] != signs[1]) == is_relevant
                seen.append(is_relevant)
    assert 0.2 < np.mean(seen) < 0.8


def _without_unitaries(circuit):
    """Write the inserted matrices as Pauli gates, which is what Clifford reads fastest."""
    result = circuit.copy_empty_like()
    for item in circuit.data:
        if item.name == "unitary":
            matrix = item.operation.to_matrix()
            code = next(c for c in range(4) if np.allclose(matrix, PAULIS[c]))
            getattr(result, "ixzy"[code])(item.qubits[0])
        else:
            result.append(item)
    return result


def expectations(state, terms):
    """Return the values of Pauli strings ``(T, n)`` in a state, up to a sign that depends on the string alone."""
    n = terms.shape[1]
    index = np.arange(len(state))
    bits = index[:, None] >> np.arange(n) & 1
    values = []
    for term in terms:
        flipped = state[index ^ int((term & 1) @ (1 << np.arange(n)))]
        values.append(np.vdot(state, (-1.0) ** (bits @ (term >> 1)) * flipped) * 1j ** np.sum(term == 3))
    return np.real(values)


def state_of(template, values, errors, matrices):
    """Run a template with Paulis after its dressings, by matrices."""
    n = template.num_qubits
    state = np.zeros((2,) * n, dtype=complex)
    state[(0,) * n] = 1

    def apply(matrix, qubits):
        nonlocal state
        k = len(qubits)
        axes = [n - 1 - q for q in reversed(qubits)]
        state = np.tensordot(matrix.reshape((2,) * 2 * k), state, axes=(range(k, 2 * k), axes))
        state = np.moveaxis(state, range(k), axes)

    for kind, payload in template.sequence:
        if kind == "gate":
            apply(matrices[payload[1]], [template.dressings[payload[0]].qubit])
        elif kind == "close" and errors[payload]:
            apply(PAULIS[errors[payload]], [template.dressings[payload].qubit])
        elif kind == "op":
            op = template.ops[payload]
            if op.instruction is not None:
                apply(matrices[op.instruction], list(op.qubits))
    return state.reshape(-1)


A, B = Parameter("a"), Parameter("b")


def with_parameters(rng, num_qubits):
    """A circuit with rotations, some of them by parameters, between two layers of Clifford gates."""
    circuit = QuantumCircuit(num_qubits)
    circuit.compose(random_circuit(rng, num_qubits, 2, ["h", "sx", "rz"], ["cx", "cz", "ecr"]), inplace=True)
    for q in range(num_qubits):
        circuit.rz([A, 2 * B - A, A * B, 0.3][q % 4], q)
        if q % 2:
            circuit.rx(B, q)
    circuit.rzz(A, 0, 1)
    circuit.rzz(0.7, 1, 2)
    circuit.compose(random_circuit(rng, num_qubits, 3, ["h", "rz", "s"], ["cx", "cz", "ecr"]), inplace=True)
    return circuit


@pytest.mark.parametrize("seed", range(8))
def test_irrelevant_errors_change_no_value_whatever_else_happens(seed):
    rng = np.random.default_rng(100 + seed)
    n = 4 + seed % 2
    if seed < 4:
        circuit = random_circuit(rng, n, 5, ["rz", "rx", "h", "s"], ["cx", "cz", "ecr", "rzz"])
    else:
        circuit = with_parameters(rng, n)
    template = twirled_template(template_of(circuit), "all" if seed % 2 else "active")
    sets = rng.uniform(-3, 3, (2, circuit.num_parameters))
    terms = rng.integers(0, 4, (40, n)) * (rng.random((40, n)) < 0.4)
    masks = light_cones(template, sets, terms.astype(np.uint8))
    bound = [circuit.assign_parameters(list(values)) for values in sets]
    matrices = [[None if i.name == "barrier" else Operator(i.operation).data for i in b.data] for b in bound]
    seen, noticed = [], 0
    for dressings in layers_of(template):
        generators = rng.integers(0, 4, (12, len(dressings))) * (rng.random((12, len(dressings))) < 0.5)
        relevant, _ = relevance(masks, dressings, generators.astype(np.uint8))
        seen.append(relevant[generators.any(axis=1)])
        for generator, row in zip(generators, relevant, strict=True):
            others = rng.integers(0, 4, len(template.dressings)) * (rng.random(len(template.dressings)) < 0.2)
            with_error = others.copy()
            with_error[dressings] ^= generator
            for k in range(len(sets)):
                values = [
                    expectations(state_of(template, sets[k], e, matrices[k]), terms)
                    for e in (with_error, others)
                ]
                differ = np.abs(values[0] - values[1]) > 1e-9
                assert not (differ & ~row).any()
                noticed += differ.sum()
    # The test is about something: errors of both kinds, and of those that are relevant some change values.
    assert 0.1 < np.mean(np.concatenate(seen)) < 0.95
    assert noticed > 20


@pytest.mark.parametrize("seed", range(4))
def test_everything_that_an_observable_contains_is_in_the_masks(seed):
    rng = np.random.default_rng(200 + seed)
    circuit = random_circuit(rng, 4, 4, ["rz", "rx", "h"], ["cx", "ecr", "rzz", "rzx"])
    template = template_of(circuit)
    terms = rng.integers(0, 4, (5, 4)).astype(np.uint8)
    masks = light_cones(template, NO_VALUES, terms)
    for d in range(len(template.dressings)):
        unitary = Operator(written(template, start=d)).data
        qubit = template.dressings[d].qubit
        for term, mask in zip(terms, masks[:, d], strict=True):
            before = unitary.conj().T @ Pauli(label(term)).to_matrix() @ unitary
            contained = SparsePauliOp.from_operator(Operator(before), atol=1e-8).paulis
            codes = (contained.x[:, qubit] + 2 * contained.z[:, qubit]).astype(np.uint8)
            assert not np.bitwise_or.reduce(masks_of(codes)) & ~mask


def test_parameter_sets_count_together():
    circuit = QuantumCircuit(1)
    circuit.sx(0)
    circuit.delay(10, 0)
    circuit.rx(A, 0)
    template = template_of(circuit)
    z = np.array([[2]], dtype=np.uint8)
    (first,) = (d for d, dressing in enumerate(template.dressings) if not dressing.varies)

    def mask(*values):
        return light_cones(template, np.array(values)[:, None], z)[0, first]

    assert mask(0.0) == mask(np.pi) == 1 << 2
    assert mask(np.pi / 2) == 1 << 3
    assert mask(0.0, np.pi / 2) == mask(0.3) == 1 << 2 | 1 << 3


@pytest.mark.parametrize("strategy", ["active", "all"])
def test_measurements_at_the_end_and_unused_qubits_change_nothing(strategy):
    circuit = QuantumCircuit(3, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    plain = template_of(circuit)
    measured = circuit.copy()
    measured.measure([0, 1], [0, 1])
    terms = np.random.default_rng(0).integers(0, 4, (9, 3)).astype(np.uint8)
    template = twirled_template(template_of(measured), strategy)
    (op,) = (op for op in template.ops if op.matrices)
    here = light_cones(template, NO_VALUES, terms)
    assert (here[:, op.before] == light_cones(plain, NO_VALUES, terms)[:, plain.ops[0].before]).all()
    for terminal in template.terminals:
        assert (here[:, terminal.dressing] == masks_of(terms[:, terminal.qubit])).all()


def unknown(circuit):
    circuit.append(Gate("mystery", 2, []), [0, 1])


def one_unknown(circuit):
    circuit.append(Gate("mystery", 1, [A]), [0])
    circuit.append(Gate("mystery", 1, [A]), [1])


@pytest.mark.parametrize(
    "add", [lambda c: c.ccx(0, 1, 2), unknown, one_unknown, lambda c: c.initialize(1, [0, 1])]
)
def test_unknown_operations_make_all_possible_where_the_observable_is(add):
    circuit = QuantumCircuit(4)
    add(circuit)
    template = template_of(circuit)
    op = template.ops[0]
    values = np.zeros((1, circuit.num_parameters))
    term = np.zeros(4, dtype=np.uint8)
    term[0] = 2
    other = np.array([0, 0, 0, 1], dtype=np.uint8)
    masks = light_cones(template, values, np.stack([term, other]))
    assert (masks[0, list(op.before)] == EVERYTHING).all()
    assert (masks[0, list(op.after)] == masks_of(term[list(op.qubits)])).all()
    outside = [q for q in op.qubits if q != 3]
    assert (
        masks[1, [d for q, d in zip(op.qubits, op.before, strict=True) if q in outside]] == IDENTITY
    ).all()


@pytest.mark.parametrize("kind", ["measure", "if", "if without qubits in common"])
def test_classical_bits_carry_errors_everywhere(kind):
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(1))
    circuit.cx(1, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    if kind == "measure":
        circuit.h(0)
    else:
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.x(0 if kind == "if" else 2)
    template = template_of(circuit)
    terms = np.eye(3, dtype=np.uint8) * 2
    masks = light_cones(template, NO_VALUES, terms)
    (cx,) = (op for op in template.ops if op.matrices)
    (measure,) = (op for op in template.ops if template.circuit.data[op.instruction].name == "measure")
    assert (masks[:, list(measure.before)] == EVERYTHING).all()
    assert (masks[:, list(cx.before)] == EVERYTHING).all()


def test_conditions_on_variables_count_like_bits():
    circuit = QuantumCircuit(2, 1)
    flag = circuit.add_var("flag", False)
    circuit.h(0)
    circuit.cx(0, 1)
    with circuit.if_test(flag):
        circuit.x(0)
    template = template_of(circuit)
    (conditional,) = (op for op in template.ops if len(op.qubits) == 1)
    assert not circuit.data[conditional.instruction].clbits
    masks = light_cones(template, NO_VALUES, np.array([[0, 2]], dtype=np.uint8))
    (cx,) = (op for op in template.ops if op.matrices)
    assert (masks[0, [*conditional.before, *cx.before]] == EVERYTHING).all()


class Shifted(Gate):
    """An rzz that happens to be the identity at one angle."""

    def __init__(self, angle):
        super().__init__("shifted", 2, [angle])

    def to_matrix(self):
        return RZZGate(float(self.params[0]) - _GENERIC[0]).to_matrix()


def test_gates_with_parameters_may_do_what_they_do_at_any_angle():
    circuit = QuantumCircuit(2)
    circuit.append(Shifted(A), [0, 1])
    template = template_of(circuit)
    masks = light_cones(template, np.zeros((1, 1)), np.array([[1, 0]], dtype=np.uint8))
    assert masks[0, list(template.ops[0].before)].tolist() == [1 << 1 | 1 << 3, 1 << 0 | 1 << 2]


@pytest.mark.slow
def test_a_thousand_terms_on_a_wide_circuit_take_two_seconds():
    rng = np.random.default_rng(0)
    circuit = QuantumCircuit(127)
    for layer in range(60):
        for q in range(127):
            circuit.rz(rng.uniform(-3, 3), q)
            circuit.sx(q)
        for q in range(layer % 2, 126, 2):
            circuit.ecr(q, q + 1)
    template = twirled_template(template_of(circuit), "all")
    terms = rng.integers(0, 4, (1000, 127)).astype(np.uint8)
    distance = np.arange(127) - np.arange(1700)[:, None] % 127
    generators = (rng.integers(1, 4, (1700, 127)) * ((distance == 0) | (distance == 1))).astype(np.uint8)
    start = time.perf_counter()
    masks = light_cones(template, NO_VALUES, terms)
    assert time.perf_counter() - start < 2
    dressings = np.array([d for op in template.ops if op.layer == 40 for d in op.before])
    start = time.perf_counter()
    relevance(masks, dressings, generators)
    assert time.perf_counter() - start < 2


def test_delays_are_looked_through():
    circuit = QuantumCircuit(2)
    circuit.delay(100, 0)
    circuit.s(0)
    template = template_of(circuit)
    masks = light_cones(template, NO_VALUES, np.array([[1, 3]], dtype=np.uint8))
    assert masks[0, template.ops[0].before[0]] == 1 << 3


def test_errors_before_a_reset_are_noticed_only_by_partners():
    rng = np.random.default_rng(5)
    circuit = random_circuit(rng, 3, 3, ["rx", "rz"], ["cx", "ecr"])
    circuit.reset(1)
    circuit.compose(random_circuit(rng, 3, 2, ["rx", "h"], ["cx", "cz"]), inplace=True)
    template = template_of(circuit)
    (reset,) = (op for op in template.ops if len(op.qubits) == 1)
    terms = rng.integers(0, 4, (30, 3)).astype(np.uint8)
    masks = light_cones(template, NO_VALUES, terms)
    assert (masks[:, reset.before[0]] == IDENTITY).all()
    observables = [Pauli(label(term)) for term in terms]

    def values(errors):
        state = DensityMatrix.from_label("000").evolve(written(template, errors=errors))
        return np.array([np.real(state.expectation_value(o)) for o in observables])

    none = np.zeros(len(template.dressings), dtype=int)
    plain, noticed = values(none), 0
    for d, code in ((d, code) for d in range(len(none)) for code in (1, 2, 3)):
        errors = none.copy()
        errors[d] = code
        relevant, _ = relevance(masks, np.array([d]), np.array([[code]], dtype=np.uint8))
        differ = np.abs(values(errors) - plain) > 1e-9
        assert not (differ & ~relevant[0]).any()
        noticed += differ.sum()
    assert noticed > 50
