"""Light cones: what observables may be at each dressing, carried backwards through a template.

An observable notices only the noise that may anticommute with it where the noise is (`kernels.cones`). Clifford
dressings and gates take a Pauli to a Pauli, so there the answer is exact; other rotations leave several possible, a
rotation about Z for example only X and Y in place of each other. Correlations between qubits are not kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import ControlFlowOp, Delay, Reset

from ..kernels import cones
from .template import Op, Template

_CHUNK = 1 << 20  # angles looked at together

Masks = NDArray[np.uint8]


def light_cones(template: Template, parameter_values: NDArray[np.float64], paulis: Masks) -> Masks:
    """Return what observables may be just after each dressing.

    Args:
        template: The circuit; terminal measurements are looked through.
        parameter_values: The parameter sets that are run, float64 ``(num_sets, num_parameters)`` in the order of
            ``circuit.parameters``. What one of them makes possible counts as possible.
        paulis: Pauli codes of the terms on the circuit's qubits at its end, before any change of basis, uint8
            ``(T, num_qubits)``.

    Returns:
        Masks (`kernels.cones`), uint8 ``(T, num_dressings)``.

    Operations that are not known as two-qubit unitaries keep the identity and make all else possible on their qubits.
    In front of whatever reads or writes classical bits everything is possible on all qubits.
    """
    tables = _dressing_tables(template, parameter_values)
    gates: dict[int, Masks] = {}  # operations that share their matrices share their table
    current = np.ascontiguousarray(cones.masks_of(paulis).T)
    after = np.empty((len(template.dressings), len(paulis)), dtype=np.uint8)

    def pull(qubit: int, dressing: int) -> None:
        after[dressing] = current[qubit]
        table = tables[dressing]
        if table is not None:
            current[qubit] = table[current[qubit]]

    earliest = {d: dressing.qubit for d, dressing in enumerate(template.dressings)}
    for op in reversed(template.ops):
        for qubit, dressing in zip(op.qubits, op.after, strict=True):
            pull(qubit, dressing)
            del earliest[dressing]
        if op.instruction is None or template.is_final(op):
            continue
        if not op.matrices:
            _pull_through_unknown(template, op, current)
            continue
        if id(op.matrices) not in gates:
            gates[id(op.matrices)] = cones.pair_table(
                reduce(np.logical_or, map(cones.gate_relation, op.matrices))
            )
        first, second = op.qubits
        packed = gates[id(op.matrices)][current[first] | current[second] << 4]
        current[first], current[second] = packed & 15, packed >> 4
    for dressing, qubit in earliest.items():
        pull(qubit, dressing)
    return after.T


def _pull_through_unknown(template: Template, op: Op, current: Masks) -> None:
    """Change the masks ``(num_qubits, T)`` to those in front of an operation that is not a two-qubit unitary."""
    instruction = template.circuit.data[op.instruction]
    operation, qubits = instruction.operation, list(op.qubits)
    if isinstance(operation, Delay) or not qubits:
        return
    if instruction.clbits or isinstance(operation, ControlFlowOp):
        current[:] = cones.EVERYTHING  # bits carry what was measured to any qubit
    elif isinstance(operation, Reset):
        current[qubits] = cones.IDENTITY  # what the qubit was is lost, alone or together with others
    else:
        # No operation takes the identity to anything else: it keeps the trace.
        current[np.ix_(qubits, (current[qubits] != cones.IDENTITY).any(axis=0))] = cones.EVERYTHING


def _dressing_tables(template: Template, parameter_values: NDArray[np.float64]) -> Sequence[Masks | None]:
    """Return the table of masks of each dressing, None where it changes none."""
    dressings = template.dressings
    relations = np.broadcast_to(np.eye(4, dtype=bool), (len(dressings), 4, 4)).copy()
    constant = [d for d, dressing in enumerate(dressings) if dressing.gates and dressing.is_constant]
    varying = [d for d, dressing in enumerate(dressings) if dressing.gates and not dressing.is_constant]
    if constant:
        euler = template.euler(np.zeros((1, len(template.expressions))), constant)
        relations[constant] = cones.rotation_relations(euler[0])
    atoms = template.atoms(parameter_values) if varying else np.zeros((1, 0))
    step = max(1, _CHUNK // max(1, len(atoms)))
    for start in range(0, len(varying), step):
        chunk = varying[start : start + step]
        relations[chunk] = cones.rotation_relations(template.euler(atoms, chunk)).any(axis=0)
    kinds, kind = np.unique(relations.reshape(-1, 16), axis=0, return_inverse=True)
    tables = [
        None if (row == np.eye(4).ravel()).all() else cones.mask_table(row.reshape(4, 4)) for row in kinds
    ]
    return [tables[k] for k in kind]
