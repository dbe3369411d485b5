"""Circuits as lists of matrices, for many parameter sets at once, without quell's own rules for angles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterExpression

from ..errors import Problem, UnsupportedError

Complexes = NDArray[np.complex128]
Floats = NDArray[np.float64]

_SKIPPED: Final = frozenset({"barrier", "delay", "id"})
#: Single-qubit gates as (theta, phi, lam) of ``u``, up to global phase.
_AS_U: Final[Mapping[str, Callable[..., tuple[Any, Any, Any]]]] = {
    "u": lambda t, p, k: (t, p, k),
    "u3": lambda t, p, k: (t, p, k),
    "u2": lambda p, k: (np.pi / 2, p, k),
    "u1": lambda k: (0.0, 0.0, k),
    "p": lambda k: (0.0, 0.0, k),
    "rz": lambda k: (0.0, 0.0, k),
    "rx": lambda t: (t, -np.pi / 2, np.pi / 2),
    "ry": lambda t: (t, 0.0, 0.0),
    "r": lambda t, p: (t, p - np.pi / 2, np.pi / 2 - p),
}


@frozen(eq=False)
class Gate:
    """Unitaries on some qubits: complex ``(members or 1, 2^k, 2^k)``, the first qubit least significant."""

    matrices: Complexes
    qubits: tuple[int, ...]


@frozen(eq=False)
class Unrolled:
    """A circuit's gates for every member (single-qubit runs merged), and the qubit behind each classical bit."""

    gates: tuple[Gate, ...]
    measured: Mapping[int, int]


def unroll(
    circuit: QuantumCircuit, values: Floats, errors: Mapping[str, Complexes] | None = None
) -> Unrolled:
    """Evaluate all gates of a circuit.

    Args:
        circuit: Unitary gates, then measurements.
        values: float64 ``(members, num_parameters)`` in the order of ``circuit.parameters``.
        errors: Unitaries that follow every gate of these names.

    Raises:
        UnsupportedError: An instruction is no unitary gate or follows a measurement.
    """
    errors = errors or {}
    column = {parameter: i for i, parameter in enumerate(circuit.parameters)}
    index = {bit: i for i, bit in enumerate(circuit.qubits)}
    clbit = {bit: i for i, bit in enumerate(circuit.clbits)}
    gates: list[Gate] = []
    open_: dict[int, Complexes] = {}
    measured: dict[int, int] = {}
    fixed: dict[str, Complexes] = {}
    for instruction in circuit.data:
        operation = instruction.operation
        name = operation.name
        if name in _SKIPPED:
            continue
        qubits = tuple(index[bit] for bit in instruction.qubits)
        if name == "measure":
            measured[clbit[instruction.clbits[0]]] = qubits[0]
            continue
        if instruction.clbits or not hasattr(operation, "to_matrix") or set(qubits) & set(measured.values()):
            rule = f"has {name!r} on qubits {list(qubits)}; only unitary gates before final measurements are simulated"
            raise UnsupportedError.of([Problem("circuit", rule, "use a simulator backend")])
        if operation.params:
            matrices = _matrices(operation, column, values)
        else:
            if name not in fixed:
                fixed[name] = np.asarray(operation.to_matrix(), dtype=complex)[None]
            matrices = fixed[name]
        if name in errors:
            matrices = np.asarray(errors[name], dtype=complex) @ matrices
        if len(qubits) == 1:
            earlier = open_.get(qubits[0])
            open_[qubits[0]] = matrices if earlier is None else matrices @ earlier
        else:
            gates += [Gate(open_.pop(q), (q,)) for q in qubits if q in open_]
            gates.append(Gate(matrices, qubits))
    gates += [Gate(matrices, (q,)) for q, matrices in open_.items()]
    return Unrolled(tuple(gates), measured)


def _matrices(operation: Any, column: Mapping[Any, int], values: Floats) -> Complexes:
    """Return the matrices of a gate with parameters: ``(members, d, d)``, one where they do not vary."""
    parameters = [_value(p, column, values) for p in operation.params]
    if operation.name in _AS_U:
        return _u(*_AS_U[operation.name](*parameters))
    rows = np.stack(np.broadcast_arrays(*(np.atleast_1d(a) for a in parameters)), axis=-1)
    unique, which = np.unique(rows, axis=0, return_inverse=True)
    gate = operation.to_mutable()
    matrices = []
    for row in unique:
        gate.params = [float(x) for x in row]
        matrices.append(np.asarray(gate.to_matrix(), dtype=complex))
    return np.stack(matrices)[which.ravel()] if len(unique) > 1 else np.stack(matrices)


def _value(parameter: Any, column: Mapping[Any, int], values: Floats) -> Any:
    if not isinstance(parameter, ParameterExpression) or not parameter.parameters:
        return float(parameter)
    if parameter in column:
        return values[:, column[parameter]]
    used = list(parameter.parameters)
    rows, which = np.unique(values[:, [column[p] for p in used]], axis=0, return_inverse=True)
    bound = [parameter.bind(dict(zip(used, map(float, row), strict=True))).numeric() for row in rows]
    return np.array(bound, dtype=float)[which.ravel()]


def _u(theta: Any, phi: Any, lam: Any) -> Complexes:
    cos, sin = np.cos(theta / 2), np.sin(theta / 2)
    matrices = np.empty((max(np.size(theta), np.size(phi), np.size(lam)), 2, 2), dtype=complex)
    matrices[:, 0, 0], matrices[:, 0, 1] = cos, -np.exp(1j * lam) * sin
    matrices[:, 1, 0], matrices[:, 1, 1] = np.exp(1j * phi) * sin, np.exp(1j * (phi + lam)) * cos
    return matrices


def components(unrolled: Unrolled) -> list[tuple[list[int], list[Gate]]]:
    """Split a circuit into sets of qubits that interact: their qubits, ascending, and their gates."""
    leader: dict[int, int] = {}

    def find(qubit: int) -> int:
        while leader.setdefault(qubit, qubit) != qubit:
            qubit = leader[qubit]
        return qubit

    for gate in unrolled.gates:
        for qubit in gate.qubits:
            leader[find(qubit)] = find(gate.qubits[0])
    for qubit in unrolled.measured.values():
        find(qubit)
    parts: dict[int, tuple[list[int], list[Gate]]] = {}
    for qubit in sorted(leader):
        parts.setdefault(find(qubit), ([], []))[0].append(qubit)
    for gate in unrolled.gates:
        parts[find(gate.qubits[0])][1].append(gate)
    return list(parts.values())
