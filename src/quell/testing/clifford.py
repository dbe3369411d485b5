"""Outcomes of Clifford circuits of any width: one stabilizer tableau for all members.

Members that differ by Paulis only, which is what twirling makes of a circuit, share everything but the signs
of their stabilizers. So their outcomes are uniform over one linear space, each shifted by an offset that
depends on the signs alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from .unroll import Complexes, Floats, Gate

Bools = NDArray[np.bool_]

_PAULIS: Final = np.array(
    [[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[1, 0], [0, -1]], [[0, -1j], [1j, 0]]]
)  # I X Z Y
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
    tensor: Complexes = np.einsum("eij,ckl->jkilec", paulis, paulis).reshape(d**4, -1) / d
    return tensor


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
    tables: dict[int, tuple[NDArray[np.int64], Bools]] = {}
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
