"""Circuits as lists of unitaries on one or two qubits: what exact values are worked out from."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, ControlFlowOp, Gate, Operation
from qiskit.circuit.library import UnitaryGate

from ..errors import Problem, UnsupportedError

Complexes = NDArray[np.complex128]

#: What changes nothing; a delay is ideal.
_NOTHING: Final = frozenset({"barrier", "delay", "id"})
_MAX_DEPTH: Final = 64  # of definitions within definitions
_MAX_MATRIX: Final = 8  # qubits of a gate that has a matrix and no definition


@frozen(eq=False)
class Unitary:
    """A unitary on one or two qubits: complex128 ``(2, 2)`` or ``(4, 4)``, the first qubit least significant."""

    qubits: tuple[int, ...]
    matrix: Complexes


def unitaries_of(circuit: QuantumCircuit, path: str) -> tuple[Unitary, ...]:
    """Return the gates of a circuit without parameters, up to global phase.

    Gates on more than two qubits are taken apart by their definitions. Gates on one qubit are multiplied onto the
    two-qubit gate that comes after them, or else the one before.

    Args:
        circuit: Unitary gates, barriers and delays; final measurements have been taken off.
        path: What to call it in messages.

    Raises:
        UnsupportedError: It has instructions that are not unitary, or a gate that says nothing of what it does.
    """
    gates: list[tuple[tuple[int, ...], Complexes]] = []
    problems: dict[str, Problem] = {}
    matrices: dict[tuple[Any, ...], Complexes] = {}
    _collect(circuit, tuple(range(circuit.num_qubits)), path, gates, problems, matrices, 0)
    UnsupportedError.check(problems.values())
    return _merged(gates)


def _collect(
    circuit: QuantumCircuit,
    places: tuple[int, ...],
    path: str,
    gates: list[tuple[tuple[int, ...], Complexes]],
    problems: dict[str, Problem],
    matrices: dict[tuple[Any, ...], Complexes],
    depth: int,
) -> None:
    index = dict(zip(circuit.qubits, places, strict=True))
    for instruction in circuit.data:
        name = instruction.name
        if name in _NOTHING:
            continue
        qubits = tuple(index[bit] for bit in instruction.qubits)
        reason = _refusal(instruction)
        if reason:
            fix = "give reference=values, or None"
            problems.setdefault(name, Problem(path, f"has {reason}; exact values need unitary circuits", fix))
            continue
        if not qubits:
            continue  # a global phase
        if len(qubits) <= 2:
            # Only of Qiskit's own gates do name and parameters say everything.
            standard = instruction.is_standard_gate()
            key = (name, *instruction.params) if standard else ("", len(matrices))
            if key not in matrices:
                matrices[key] = _matrix(instruction.operation)
            gates.append((qubits, matrices[key]))
            continue
        definition = instruction.operation.definition
        if definition is None and len(qubits) <= _MAX_MATRIX:
            definition = UnitaryGate(_matrix(instruction.operation)).definition
        if definition is None or depth > _MAX_DEPTH:
            rule = f"has {name!r} on {len(qubits)} qubits, which has no definition"
            problems.setdefault(name, Problem(path, rule, "decompose it before"))
            continue
        _collect(definition, qubits, path, gates, problems, matrices, depth + 1)


def _refusal(instruction: CircuitInstruction) -> str:
    """Return what is not unitary about an instruction, nothing if it is a gate."""
    if instruction.is_standard_gate():
        return ""
    operation = instruction.operation
    if operation.name == "measure":
        return "a measurement in the middle of the circuit"
    if isinstance(operation, ControlFlowOp):
        return f"control flow ({operation.name!r})"
    if instruction.clbits or (not isinstance(operation, Gate) and not hasattr(operation, "to_matrix")):
        return f"{operation.name!r}"
    return ""


def _matrix(operation: Operation) -> Complexes:
    try:
        return np.asarray(operation.to_matrix(), dtype=np.complex128)
    except Exception:  # a gate of the user's that only has a definition
        from qiskit.quantum_info import Operator

        return np.asarray(Operator(operation).data, dtype=np.complex128)


def _merged(gates: list[tuple[tuple[int, ...], Complexes]]) -> tuple[Unitary, ...]:
    """Return gates with runs of one-qubit gates multiplied onto two-qubit gates."""
    open_: dict[int, Complexes] = {}
    merged: list[tuple[tuple[int, ...], Complexes]] = []
    last: dict[int, int] = {}
    for qubits, matrix in gates:
        if len(qubits) == 1:
            before = open_.get(qubits[0])
            open_[qubits[0]] = matrix if before is None else matrix @ before
            continue
        first, second = (open_.pop(q, None) for q in qubits)
        if first is not None or second is not None:
            eye = np.eye(2)
            matrix = matrix @ np.kron(eye if second is None else second, eye if first is None else first)
        last.update(dict.fromkeys(qubits, len(merged)))
        merged.append((qubits, matrix))
    for qubit, matrix in open_.items():
        if qubit not in last:
            merged.append(((qubit,), matrix))
            continue
        qubits, inner = merged[last[qubit]]
        outer = np.kron(np.eye(2), matrix) if qubits[0] == qubit else np.kron(matrix, np.eye(2))
        merged[last[qubit]] = (qubits, outer @ inner)
    return tuple(Unitary(qubits, matrix) for qubits, matrix in merged)
