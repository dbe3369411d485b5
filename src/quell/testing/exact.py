"""Exact outcome distributions of small or Clifford circuits, for many parameter sets at once.

Qubits that never interact are separate *components*. A component is simulated in one of two ways, whichever
applies first, both vectorised over the parameter sets (members):

- Clifford gates: one stabilizer tableau for all members. Members that differ by Paulis only, which is what
  twirling makes of a circuit, share everything but the signs, and their outcomes are uniform over one linear
  space each shifted by an offset. Any width.
- otherwise: state vectors.

Nothing here uses quell's own rules for Paulis and angles, so it is an independent check of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterExpression

from ..errors import Problem, UnsupportedError

Complexes = NDArray[np.complex128]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_SKIPPED: Final = frozenset({"barrier", "delay", "id"})
#: Single-qubit gates as (theta, phi, lam) of ``u``, up to global phase.
_AS_U: Final = {
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


def unroll(circuit: QuantumCircuit, values: Floats, errors: Mapping[str, Complexes] | None = None) -> Unrolled:
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


def outcomes(unrolled: Unrolled, max_qubits: int) -> list[tuple[list[int], Affine | Floats]]:
    """Return the distribution of the outcomes of each component.

    Returns:
        Pairs of qubits, ascending, and either an `Affine` or probabilities ``(members or 1, 2^k)``, the first
        qubit least significant. All of a Clifford circuit comes in one part.

    Raises:
        UnsupportedError: A component is not Clifford and has more than `max_qubits` qubits.
    """
    everything = sorted({q for gate in unrolled.gates for q in gate.qubits} | set(unrolled.measured.values()))
    whole = clifford_outcomes(everything, list(unrolled.gates))
    if whole is not None:
        return [(everything, whole)]
    parts: list[tuple[list[int], Affine | Floats]] = []
    for qubits, gates in components(unrolled):
        part = clifford_outcomes(qubits, gates)
        if part is not None:
            parts.append((qubits, part))
            continue
        if len(qubits) > max_qubits:
            rule = f"has {len(qubits)} interacting qubits and is not Clifford; max_qubits is {max_qubits}"
            raise UnsupportedError.of([Problem("circuit", rule)])
        parts.append((qubits, np.abs(state_vectors(qubits, gates)) ** 2))
    return parts


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


def state_vectors(qubits: list[int], gates: list[Gate]) -> Complexes:
    """Return the states of a component, complex ``(members or 1, 2^k)``; the first qubit least significant."""
    k = len(qubits)
    axis = {qubit: k - position for position, qubit in enumerate(qubits)}
    states = np.zeros((1,) + (2,) * k, dtype=complex)
    states[(0,) * (k + 1)] = 1.0
    for gate in gates:
        axes = [axis[q] for q in reversed(gate.qubits)]
        last = list(range(k + 1 - len(axes), k + 1))
        moved = np.moveaxis(states, axes, last)
        shape = moved.shape
        flat = moved.reshape(len(states), -1, gate.matrices.shape[-1]) @ gate.matrices.swapaxes(1, 2)
        states = np.moveaxis(flat.reshape(len(flat), *shape[1:]), last, axes)
    return states.reshape(len(states), -1)


# --- Clifford circuits -----------------------------------------------------------------------------------------

_PAULIS: Final = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[1, 0], [0, -1]], [[0, -1j], [1j, 0]]])  # I X Z Y
#: P_a P_b is i to this power times P_(a ^ b).
_PHASES: Final = np.array([[0, 0, 0, 0], [0, 0, 3, 1], [0, 1, 0, 3], [0, 3, 1, 0]])


@frozen(eq=False)
class Affine:
    """Outcomes uniform over offsets plus the span of directions, bits of a component's qubits.

    Attributes:
        offsets: bool ``(members or 1, k)``.
        directions: bool ``(r, k)``, independent.
    """

    offsets: Bools
    directions: Bools


@lru_cache(maxsize=4)
def _paulis(num_qubits: int) -> Complexes:
    """Return the Hermitian Paulis, ``(4^n, d, d)``; two bits of the index a qubit, the first least significant."""
    paulis = np.ones((1, 1, 1), dtype=complex)
    for _ in range(num_qubits):
        paulis = np.einsum("aij,bkl->abikjl", _PAULIS, paulis).reshape(
            4 * len(paulis), 2 * paulis.shape[1], 2 * paulis.shape[1]
        )
    return paulis


@lru_cache(maxsize=4)
def _transfer(num_qubits: int) -> Complexes:
    """Return the tensor that maps U (x) U* to Pauli transfer matrices, ``(d^4, 16^n)``."""
    paulis = _paulis(num_qubits)
    d = paulis.shape[1]
    return np.einsum("eij,ckl->jkilec", paulis, paulis).reshape(d**4, -1) / d


def transfer_matrices(matrices: Complexes) -> Floats:
    """Return Pauli transfer matrices ``T[m, out, in]`` of unitaries: float64 ``(members, 4^n, 4^n)``."""
    num_qubits = matrices.shape[-1].bit_length() - 1
    outer = (matrices[:, :, :, None, None] * matrices.conj()[:, None, None]).reshape(len(matrices), -1)
    size = 4**num_qubits
    return (outer @ _transfer(num_qubits)).real.reshape(len(matrices), size, size)


def clifford_outcomes(qubits: list[int], gates: list[Gate]) -> Affine | None:
    """Return the outcomes of a component of Clifford gates on one or two qubits.

    None if some gate is none, or if members differ by more than Paulis.
    """
    k = len(qubits)
    position = {qubit: i for i, qubit in enumerate(qubits)}
    codes = np.zeros((k, k), dtype=np.uint8)  # row: stabilizer; column: qubit; bit 0 is X, bit 1 is Z
    np.fill_diagonal(codes, 2)
    signs = np.zeros((1, k), dtype=bool)
    tables = _clifford_tables(gates)
    if tables is None:
        return None
    for gate in gates:
        image, negative = tables[id(gate.matrices)]
        where = [position[q] for q in gate.qubits]
        index = sum(codes[:, c].astype(np.int64) << 2 * i for i, c in enumerate(where))
        signs = signs ^ negative[:, index]
        for i, c in enumerate(where):
            codes[:, c] = image[index] >> 2 * i & 3
    directions, rows, shift = _elimination(codes.tobytes(), k)
    # float32 products are BLAS and exact for these counts
    odd = (signs.astype(np.float32) @ rows.T.astype(np.float32)).astype(np.int64) & 1
    return Affine(odd.astype(bool) ^ shift, directions)


def _clifford_tables(gates: list[Gate]) -> dict[int, tuple[NDArray[np.int64], Bools]] | None:
    """Return what gates do to Paulis, by the id of their matrices; None if one is not Clifford.

    The Pauli every Pauli is mapped to, int64 ``(4^n,)``, and where with a minus, ``(members or 1, 4^n)``.
    """
    if any(len(gate.qubits) > 2 for gate in gates):
        return None
    groups: dict[tuple[int, ...], dict[int, Complexes]] = {}
    for gate in gates:
        groups.setdefault(gate.matrices.shape, {})[id(gate.matrices)] = gate.matrices
    tables = {}
    for shape, group in groups.items():
        transfer = transfer_matrices(np.concatenate(list(group.values())))
        size = transfer.shape[1]
        by_gate = transfer.reshape(len(group), shape[0], size, size)
        image = np.abs(by_gate[:, 0]).argmax(axis=1)
        values = np.take_along_axis(by_gate, image[:, None, None, :], axis=2)[:, :, 0]
        if not (np.abs(values) > 1 - 1e-9).all():
            return None
        tables.update(zip(group, zip(image, values < 0, strict=True), strict=True))
    return tables


@lru_cache(maxsize=256)
def _elimination(codes: bytes, k: int) -> tuple[Bools, Bools, Bools]:
    """Return the directions of the outcomes, and offsets as an affine map of the stabilizers' signs.

    Returns:
        directions: bool ``(r, k)``.
        rows: bool ``(k, k)``: signs whose parity makes each bit of the offset,
        shift: bool ``(k,)``: and what is added to it.
    """
    table = np.frombuffer(codes, dtype=np.uint8).reshape(k, k).copy()
    combination, shift = np.eye(k, dtype=bool), np.zeros(k, dtype=bool)

    def multiply(targets: NDArray[np.int64], source: int) -> None:
        phases = _PHASES[table[targets], table[source]].sum(axis=1) % 4
        shift[targets] ^= shift[source] ^ (phases == 2)
        table[targets] ^= table[source]
        combination[targets] ^= combination[source]

    def reduce(part: int, start: int) -> list[int]:
        """Bring one part of the rows from `start` on to reduced echelon form; return its pivots."""
        pivots: list[int] = []
        for column in range(k):
            row = start + len(pivots)
            candidates = row + np.flatnonzero(table[row:, column] & part)
            if not len(candidates):
                continue
            for array in (table, combination, shift):
                array[[row, candidates[0]]] = array[[candidates[0], row]]
            others = start + np.flatnonzero(table[start:, column] & part)
            multiply(others[others != row], row)
            pivots.append(column)
        return pivots

    rank = len(reduce(1, 0))
    rows, offset = np.zeros((k, k), dtype=bool), np.zeros(k, dtype=bool)
    for row, column in enumerate(reduce(2, rank), start=rank):
        rows[column], offset[column] = combination[row], shift[row]
    return (table[:rank] & 1).astype(bool), rows, offset
