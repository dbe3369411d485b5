"""A layer repeated between preparation and measurement of its qubits, which is how its noise is learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from attrs import evolve
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Operation, ParameterVector
from qiskit.transpiler import Target

from .closers import COSETS, closers
from .dressings import IDENTITY
from .gatesets import GateSet, choose
from .layers import Layer
from .template import Item, Template, template_of
from .twirling import twirled_template

#: The classical register that the qubits of the layer are measured into.
REGISTER: Final = "meas"
_SWAPPED: Final = [0, 2, 1, 3]


def repeated_layer(layer: Layer, num_layers: int, num_qubits: int, target: Target | None) -> Template:
    """Return a layer repeated between preparation and measurement of its qubits.

    Args:
        layer: The layer; Cliffords stand behind its gates, see `closers`.
        num_layers: How often it stands there; an even number undoes itself up to a Pauli.
        num_qubits: Width of the circuit.
        target: What the device can do; None for anything.

    Returns:
        A template whose parameters are theta and phi of each qubit of the layer, in turn.

    Raises:
        UnsupportedError: A gate is not Clifford.
    """
    qubits = layer.qubits
    register = ClassicalRegister(len(qubits), REGISTER)
    circuit = QuantumCircuit(num_qubits)
    circuit.add_register(register)
    prepared = ParameterVector("prepared", 2 * len(qubits))
    for i, qubit in enumerate(qubits):
        circuit.u(prepared[2 * i], prepared[2 * i + 1], 0.0, qubit)
    behind = closers(layer)
    for _ in range(num_layers):
        for operation, (name, _, pair) in zip(layer.operations, layer.gates, strict=True):
            circuit.append(operation, _directed(operation, name, pair, target), copy=False)
        circuit.barrier(qubits)
        for cosets, (_, _, pair) in zip(behind, layer.gates, strict=True):
            for coset, qubit in zip(cosets, pair, strict=True):
                for one_qubit in COSETS[coset]:
                    getattr(circuit, one_qubit)(qubit)
    circuit.measure(qubits, register)
    template = _prepared_first(twirled_template(template_of(circuit), "all"), layer.spectators)
    return _at_full_length(template, choose(("x",), target))


def _at_full_length(template: Template, gate_set: GateSet) -> Template:
    """Return the template with as many pulses before each layer as any rotation takes.

    The noise of these counts as the layer's. Circuits mostly have rotations there, and here are Paulis only.
    """
    if not gate_set.is_complete:
        return template
    full = gate_set.pulses("full")
    dressings = list(template.dressings)
    for op in template.ops:
        for d in () if template.is_final(op) else op.before:
            dressings[d] = evolve(dressings[d], least=full)
    return evolve(template, dressings=tuple(dressings))


def _prepared_first(template: Template, waiting: Sequence[int]) -> Template:
    """Return the template with preparation of who waits before the first layer; idles leave it to the end."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for number, dressing in enumerate(template.dressings):
        first.setdefault(dressing.qubit, number)
        if dressing.instructions and dressing.qubit in waiting:
            last[dressing.qubit] = number
    moved = {last[q]: first[q] for q in last if last[q] != first[q]}
    if not moved:
        return template
    dressings = list(template.dressings)
    for source, goal in moved.items():
        own = template.dressings[source]
        dressings[goal] = evolve(
            dressings[goal],
            instructions=own.instructions,
            gates=own.gates,
            product=own.product,
            varies=own.varies,
        )
        dressings[source] = evolve(own, instructions=(), gates=(), product=IDENTITY, varies=False)
    early: list[Item] = []
    others: list[Item] = []
    for kind, payload in template.sequence:
        if kind == "gate" and payload[0] in moved:
            early.append((kind, (moved[payload[0]], payload[1])))
        else:
            others.append((kind, payload))
    return evolve(template, dressings=tuple(dressings), sequence=(*early, *others))


def _directed(
    operation: Operation, name: str, pair: tuple[int, ...], target: Target | None
) -> tuple[int, ...]:
    """Return the qubits of a gate in the order that the device has it in, where the order does not matter."""
    if target is None or name not in target.operation_names or target.instruction_supported(name, pair):
        return pair
    matrix = np.asarray(operation.to_matrix(), dtype=complex)
    symmetric = np.allclose(matrix[np.ix_(_SWAPPED, _SWAPPED)], matrix, rtol=0, atol=1e-9)
    return pair[::-1] if symmetric and target.instruction_supported(name, pair[::-1]) else pair
