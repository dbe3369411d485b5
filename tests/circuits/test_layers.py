"""Layers of circuits: found, told apart, and refused where their noise is not that of Pauli channels."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, Parameter
from qiskit.circuit.library import CXGate, CZGate, RZZGate
from qiskit.transpiler import CouplingMap, InstructionProperties, Target

from quell.circuits.layers import Layer, coupled_pairs, images, layer_problems, matrices, occurrences
from quell.circuits.template import template_of
from quell.circuits.twirling import twirled_template
from quell.errors import UnsupportedError
from quell.kernels.lindblad import conjugated

CX01 = ("cx", (), (0, 1))


def found_in(circuit, strategy="all"):
    template = twirled_template(template_of(circuit), strategy)
    return template, occurrences(template)


def test_layers_are_found_with_those_who_wait_and_the_dressings_before_them():
    circuit = QuantumCircuit(6)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cz(3, 2)
    circuit.rzz(np.pi / 2, 1, 2)
    circuit.h(4)
    circuit.measure_all()
    template, found = found_in(circuit)
    assert [o.layer.describe() for o in found] == [
        "cx (0, 1), cz (2, 3), waiting 4 5",
        "rzz(1.571) (1, 2), waiting 0 3 4 5",
    ]
    assert [o.index for o in found] == [0, 1]
    for occurrence in found:
        assert occurrence.layer.qubits == (0, 1, 2, 3, 4, 5)
        ops = [op for op in template.ops if op.layer == occurrence.index and not template.is_final(op)]
        before = {q: d for op in ops for q, d in zip(op.qubits, op.before, strict=True)}
        assert dict(zip(occurrence.layer.qubits, occurrence.dressings.tolist(), strict=True)) == before


def test_who_waits_depends_on_the_strategy_of_the_twirl():
    circuit = QuantumCircuit(4)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.h(3)
    circuit.measure_all()
    waiting = {
        strategy: [o.layer.spectators for o in found_in(circuit, strategy)[1]]
        for strategy in ("active", "active-accum", "active-circuit", "all")
    }
    assert waiting == {
        "active": [(), ()],
        "active-accum": [(), (0,)],
        "active-circuit": [(2,), (0,)],
        "all": [(2, 3), (0, 3)],
    }


def test_equal_layers_are_one_object_whatever_their_order():
    circuit = QuantumCircuit(4)
    circuit.cx(0, 1)
    circuit.cz(2, 3)
    circuit.barrier()
    circuit.cz(3, 2)  # cz does not care which qubit comes first
    circuit.cx(0, 1)
    circuit.barrier()
    circuit.cx(1, 0)  # cx does
    circuit.cz(2, 3)
    circuit.measure_all()
    first, second, third = (o.layer for o in found_in(circuit)[1])
    assert first is second
    assert first != third
    assert len({first, second, third}) == 2
    assert [op.name for op in first.operations] == ["cx", "cz"]


def test_layers_without_two_qubit_gates_and_qubits_with_delays_are_left_out():
    circuit = QuantumCircuit(4)
    circuit.reset(range(4))
    circuit.delay(100, 3)
    circuit.barrier()
    circuit.cx(0, 1)
    circuit.delay(100, 3)
    circuit.measure_all()
    _, found = found_in(circuit)
    assert [o.layer.describe() for o in found] == ["cx (0, 1), waiting 2"]
    assert layer_problems(template_of(circuit), "pub", "switch") == []


def test_parameters_that_differ_by_rounding_are_the_same():
    circuit = QuantumCircuit(2)
    circuit.rzz(np.pi / 2, 0, 1)
    circuit.rzz(np.nextafter(np.pi / 2, 2), 1, 0)
    circuit.rzz(-np.pi / 2, 0, 1)
    first, second, third = (o.layer for o in found_in(circuit)[1])
    assert first == second
    assert first != third


def test_covering_means_the_same_gates_and_all_who_wait():
    wide, narrow, bare = (Layer((CX01,), waiting) for waiting in ((2, 3), (3,), ()))
    assert wide.covers(wide)
    assert wide.covers(narrow)
    assert wide.covers(bare)
    assert not narrow.covers(wide)
    assert not Layer((("cx", (), (1, 0)),), (2, 3)).covers(bare)


def test_what_cannot_be_a_pauli_layer_is_named_once_for_each_kind():
    circuit = QuantumCircuit(5, 5)
    circuit.reset(0)
    circuit.rzz(0.3, 0, 1)
    circuit.rzz(Parameter("a"), 1, 2)
    circuit.append(Gate("mystery", 2, []), [3, 4])
    circuit.ccx(0, 1, 2)
    circuit.measure(3, 3)
    circuit.reset(3)
    with circuit.if_test((circuit.clbits[3], 1)):
        circuit.x(4)
    circuit.h(3)
    circuit.measure(3, 4)
    problems = layer_problems(template_of(circuit), "pubs[0].circuit", "resilience.pec_mitigation")
    assert all(p.path == "pubs[0].circuit" for p in problems)
    assert all(p.fix.endswith("or switch resilience.pec_mitigation off") for p in problems)
    rules = [p.rule for p in problems]
    assert len(rules) == 5
    for rule, parts in zip(
        rules,
        [
            ["do not map Paulis", "rzz(0.3) (0, 1) in layer 1", "rzz (1, 2)", "mystery (3, 4) in layer 0"],
            ["three and more qubits", "ccx (0, 1, 2)"],
            ["measurements before the end", "measure (3)"],
            ["resets behind gates", "reset (3)"],
            ["control flow", "if_else (4)"],
        ],
        strict=True,
    ):
        assert all(part in rule for part in parts), rule


def test_long_lists_are_cut():
    circuit = QuantumCircuit(2)
    for _ in range(7):
        circuit.rzz(0.1, 0, 1)
    (problem,) = layer_problems(template_of(circuit), "pub", "switch")
    assert problem.rule.endswith("in layer 3 and 3 more")


@pytest.mark.parametrize("before", ["nothing", "reset", "delay"])
def test_resets_before_anything_else_are_fine(before):
    circuit = QuantumCircuit(2)
    if before != "nothing":
        getattr(circuit, before)(*((0,) if before == "reset" else (10, 0)))
    circuit.reset(0)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    assert layer_problems(template_of(circuit), "pub", "switch") == []
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.reset(0)
    assert len(layer_problems(template_of(circuit), "pub", "switch")) == 1


def test_symbolic_gates_are_refused_with_their_place():
    circuit = QuantumCircuit(2)
    circuit.rzz(Parameter("a"), 0, 1)
    with pytest.raises(UnsupportedError, match=r"rzz \(0, 1\) in layer 0"):
        occurrences(template_of(circuit))


def line(num_qubits, pairs, directed=True):
    target = Target(num_qubits=num_qubits)
    edges = pairs if directed else [*pairs, *((b, a) for a, b in pairs)]
    target.add_instruction(CXGate(), dict.fromkeys(edges, InstructionProperties()))
    return target


def test_neighbours_come_from_the_device():
    template = template_of(QuantumCircuit(4))
    assert coupled_pairs(template, line(6, [(1, 0), (1, 2), (3, 2), (4, 3)])) == ((0, 1), (1, 2), (2, 3))
    assert coupled_pairs(template, line(3, [(0, 1), (1, 2), (0, 2)])) == ((0, 1), (0, 2), (1, 2))


@pytest.mark.parametrize("target", [None, Target(num_qubits=5), "all to all"])
def test_without_neighbours_those_that_share_a_gate_are_pairs(target):
    circuit = QuantumCircuit(5)
    circuit.cx(3, 1)
    circuit.cz(0, 4)
    circuit.cx(1, 3)
    if target == "all to all":
        target = line(5, list(CouplingMap.from_full(5).get_edges()))
    assert coupled_pairs(template_of(circuit), target) == ((0, 4), (1, 3))


def test_images_are_those_of_the_gates():
    layer = Layer(
        (("cx", (), (3, 1)), ("cz", (), (0, 7))),
        (5,),
        (CXGate(), CZGate()),
    )
    # on qubits 0 1 3 5 7: X on the control of cx goes to its target, X under cz picks up Z
    paulis = np.array([[0, 0, 1, 0, 0], [0, 2, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 3, 1]], dtype=np.uint8)
    expected = [[0, 1, 1, 0, 0], [0, 2, 2, 0, 0], [1, 0, 0, 0, 2], [2, 0, 0, 3, 1]]
    assert conjugated(paulis, images(layer)).tolist() == expected


def test_layers_that_know_only_names_say_so():
    with pytest.raises(UnsupportedError, match=r"only the names of its gates: cx \(0, 1\)"):
        matrices(Layer((CX01,)))
    (matrix,) = matrices(Layer((("rzz", (0.5,), (0, 1)),), (), (RZZGate(0.5),)))
    assert np.allclose(matrix, RZZGate(0.5).to_matrix())
