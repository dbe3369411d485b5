"""Exact expectation values of Pauli sums: light cones, Pauli propagation and state vectors.

Unitaries are given as qubits and matrices ``(2^k, 2^k)`` with k = 1 or 2, the first qubit least significant. Pauli
codes are those of `kernels.paulis`: bit 0 is X, bit 1 is Z.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from .cones import masks_of

Complexes = NDArray[np.complex128]
Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]
Gates = Sequence[tuple[tuple[int, ...], Complexes]]

_ZERO: Final = 1e-12  # entries of transfer matrices below are rounding
_GONE: Final = 1e-15  # coefficients below, in parts of the largest, are rounding
_PAULIS: Final = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[1, 0], [0, -1]], [[0, -1j], [1j, 0]]])
_PAIRS: Final = np.einsum("bij,akl->baikjl", _PAULIS, _PAULIS).reshape(16, 4, 4)
_MEMBERS: Final = (np.arange(16)[:, None] >> np.arange(4) & 1).astype(bool)


def transfer_matrix(unitary: Complexes) -> Floats:
    """Return what Paulis are before a unitary: ``U^dagger P U = sum_Q T[P, Q] Q``, float64 ``(4^k, 4^k)``.

    Indices are the code of the first qubit plus four times that of the second. Rounding is cleared.
    """
    pairs = _PAULIS if len(unitary) == 2 else _PAIRS
    before = unitary.conj().T @ pairs @ unitary
    transfer: Floats = (before.reshape(len(pairs), -1) @ pairs.conj().reshape(len(pairs), -1).T).real / len(
        unitary
    )
    nearest = np.round(transfer)
    # A Clifford gate is exactly one: else errors of rounding would make new Paulis out of nothing.
    return np.where(np.abs(transfer - nearest) < _ZERO, nearest, transfer)


@frozen(eq=False)
class Picture:
    """Unitaries in the Heisenberg picture.

    Attributes:
        qubits: Of each unitary.
        transfers: Their transfer matrices; equal unitaries share one.
    """

    qubits: tuple[tuple[int, ...], ...]
    transfers: tuple[Floats, ...]

    @classmethod
    def of(cls, gates: Gates) -> Picture:
        """Return the picture of unitaries."""
        known: dict[bytes, Floats] = {}
        transfers = []
        for _, matrix in gates:
            key = matrix.tobytes()
            if key not in known:
                known[key] = transfer_matrix(matrix)
            transfers.append(known[key])
        return cls(tuple(qubits for qubits, _ in gates), tuple(transfers))

    def cones(self, paulis: Codes) -> NDArray[np.bool_]:
        """Return which unitaries matter to each Pauli string at the end, bool ``(T, gates)``.

        A unitary that leaves alone all that the string may have become does not, whatever qubits it is on.

        Args:
            paulis: Pauli codes, uint8 ``(T, num_qubits)``.
        """
        return self._backwards(masks_of(paulis))

    def cones_of_masks(self, masks: Codes) -> NDArray[np.bool_]:
        """Return the same for sets of Pauli strings, `kernels.cones` masks uint8 ``(T, num_qubits)``."""
        return self._backwards(masks)

    def _backwards(self, masks: Codes) -> NDArray[np.bool_]:
        current = masks.T.copy()
        matters = np.zeros((len(self.qubits), len(masks)), dtype=bool)
        tables: dict[int, tuple[NDArray[np.bool_], Codes]] = {}
        for g in reversed(range(len(self.qubits))):
            qubits, transfer = self.qubits[g], self.transfers[g]
            if id(transfer) not in tables:
                tables[id(transfer)] = _mask_tables(transfer)
            moved, table = tables[id(transfer)]
            packed = current[qubits[0]].astype(np.int64)
            if len(qubits) == 2:
                packed = packed | current[qubits[1]].astype(np.int64) << 4
            matters[g] = moved[packed]
            after = np.where(matters[g], table[packed], packed)
            current[qubits[0]] = after & 15
            if len(qubits) == 2:
                current[qubits[1]] = after >> 4
        return matters.T

    def propagate(
        self, paulis: Codes, owners: NDArray[np.int64], coefficients: Floats, most: int
    ) -> tuple[Floats, int] | None:
        """Return expectation values of sums of Pauli strings in the state after the unitaries on zeros.

        Args:
            paulis: Pauli codes, uint8 ``(T, num_qubits)``.
            owners: Which sum each belongs to, int64 ``(T,)``.
            coefficients: float64 ``(T,)``.
            most: Give up where there are more Paulis than this on the way.

        Returns:
            Values by owner, float64 ``(max owner + 1,)``, and how many Paulis there were at most; None where there are
            too many. Nothing is left out but rounding.
        """
        size = int(owners.max(initial=-1)) + 1
        codes, owners, weights = paulis.copy(), owners.copy(), coefficients.copy()
        peak = len(codes)
        for qubits, transfer in zip(reversed(self.qubits), reversed(self.transfers), strict=True):
            index = codes[:, qubits[0]].astype(np.int64)
            if len(qubits) == 2:
                index = index | codes[:, qubits[1]].astype(np.int64) << 2
            counts = np.count_nonzero(transfer, axis=1)[index]
            if counts.max(initial=1) == 1:  # each Pauli becomes one Pauli
                image = np.abs(transfer).argmax(axis=1)
                weights = weights * transfer[index, image[index]]
                new = image[index]
            else:
                if counts.sum() > 16 * most:
                    return None
                rows = np.repeat(np.arange(len(codes)), counts)
                new = np.nonzero(transfer[index])[1]
                weights = weights[rows] * transfer[index[rows], new]
                codes, owners = codes[rows], owners[rows]
            codes[:, qubits[0]] = new & 3
            if len(qubits) == 2:
                codes[:, qubits[1]] = new >> 2
            if len(codes) != len(index):
                codes, owners, weights = _collected(codes, owners, weights)
                peak = max(peak, len(codes))
                if peak > most:
                    return None
        diagonal = ~(codes & 1).any(axis=1)
        values: Floats = np.bincount(owners[diagonal], weights[diagonal], minlength=size).astype(np.float64)
        return values, peak


def _mask_tables(transfer: Floats) -> tuple[NDArray[np.bool_], Codes]:
    """Return whether a unitary changes anything of a set of Paulis, and the set before it, for all packed masks."""
    relation = transfer != 0
    invariant = (np.diag(transfer) == 1) & (relation.sum(axis=1) == 1)
    if len(transfer) == 4:
        moved = (_MEMBERS & ~invariant).any(axis=1)
        return moved, ((_MEMBERS @ relation) @ (1 << np.arange(4))).astype(np.uint8)
    sets = (_MEMBERS[:, None, :, None] & _MEMBERS[None, :, None, :]).reshape(256, 16)
    before = (sets @ relation).reshape(256, 4, 4)
    bits = 1 << np.arange(4)
    packed = before.any(axis=1) @ bits | (before.any(axis=2) @ bits) << 4
    return (sets & ~invariant).any(axis=1), packed.astype(np.uint8)


def _collected(
    codes: Codes, owners: NDArray[np.int64], weights: Floats
) -> tuple[Codes, NDArray[np.int64], Floats]:
    """Return strings with equal ones of the same sum added up, and what cancelled left out."""
    first, which = distinct_rows(codes, owners)
    sums = np.bincount(which, weights, minlength=len(first))
    kept = np.abs(sums) > _GONE * np.abs(sums).max(initial=0.0)
    return codes[first[kept]], owners[first[kept]], sums[kept]


def distinct_rows(codes: Codes, owners: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return one row of each distinct pair of string and sum, and which of these every row is."""
    rows = np.concatenate([_packed(codes), owners.astype(np.int64)[:, None].view(np.uint8)], axis=1)
    keys = np.ascontiguousarray(rows).view([("", np.void, rows.shape[1])]).ravel()
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return first, which.ravel()


def _packed(codes: Codes) -> Codes:
    """Return four codes a byte, uint8 ``(K, ceil(n / 4))``."""
    return np.concatenate([np.packbits(codes & 1, axis=1), np.packbits(codes >> 1, axis=1)], axis=1)


# --- state vectors -----------------------------------------------------------------------------


def state_vector(num_qubits: int, gates: Iterable[tuple[tuple[int, ...], Complexes]]) -> Complexes:
    """Return the state after unitaries on zeros, complex128 ``(2,) * num_qubits``; axis 0 is the last qubit."""
    state = np.zeros((2,) * num_qubits, dtype=np.complex128)
    state[(0,) * num_qubits] = 1.0
    for qubits, matrix in gates:
        axes = [num_qubits - 1 - q for q in reversed(qubits)]
        k = len(axes)
        state = np.tensordot(matrix.reshape((2,) * 2 * k), state, axes=(range(k, 2 * k), axes))
        state = np.moveaxis(state, range(k), axes)
    return state


#: Means of the letters I, Z, 0, 1 on the outcomes of a measurement.
_DIAGONALS: Final = np.array([[1.0, 1.0], [1.0, -1.0], [1.0, 0.0], [0.0, 1.0]])
_TO_Z: Final = np.array(
    [[[1, 0], [0, 1]], np.array([[1, 1], [1, -1]]) / np.sqrt(2), np.array([[1, -1j], [1, 1j]]) / np.sqrt(2)]
)


def probabilities(state: Complexes, bases: Codes) -> Floats:
    """Return the distribution of outcomes, float64 ``(2,) * n``; axis 0 is the last qubit.

    Args:
        state: From `state_vector`.
        bases: Basis each qubit is measured in, 1 X, 2 Y, else Z; uint8 ``(n,)``.
    """
    n = len(bases)
    for qubit in np.flatnonzero(bases % 3):
        axis = n - 1 - int(qubit)
        state = np.moveaxis(np.tensordot(_TO_Z[bases[qubit]], state, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(state.real**2 + state.imag**2)


def mean(distribution: Floats, codes: Codes) -> float:
    """Return the mean of a product of I, Z, 0, 1 (codes 0, 1, 2, 3 by qubit) over a distribution of outcomes."""
    values = distribution.reshape(-1)
    for code in codes:  # the first qubit is the fastest index
        values = values.reshape(-1, 2) @ _DIAGONALS[code]
    return float(values[0])
