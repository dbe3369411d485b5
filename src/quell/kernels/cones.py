"""Sets of Paulis that are carried backwards through a circuit, and the noise that they notice.

What an observable has become in front of a part of the circuit is a sum of Pauli strings (the Heisenberg picture).
A *mask* says which Paulis these strings may have on one qubit: uint8, bit ``1 << code`` for each of I, X, Z, Y = 0,
1, 2, 3. All combinations of the masks of the qubits are taken to be possible, which is more than there are. A Pauli
error that commutes with all of them changes nothing, whatever else happens in the circuit: other errors and twirls
only change signs. Where each mask holds one Pauli (Clifford circuits) the string is known and nothing is lost.
Light cones of error cancellation: arXiv:2303.06496.

A *relation* says which Paulis may follow from which: bool, ``[P, Q]`` whether U^dagger P U contains Q. A *table* is a
relation applied to all masks.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from . import paulis

Bools = NDArray[np.bool_]

#: Masks: nothing but the identity; any Pauli at all.
IDENTITY: Final = 1
EVERYTHING: Final = 15

_NOTICEABLE: Final = 1e-9  # coefficients below this are rounding
_XYZ: Final = np.array([1, 3, 2])  # codes of X, Y, Z
_CODES: Final = np.arange(4, dtype=np.uint8)
#: Which Paulis are in a mask, bool ``(16, 4)``.
_MEMBERS: Final[Bools] = (np.arange(16)[:, None] >> _CODES & 1).astype(bool)


def masks_of(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the masks of Paulis that are known, same shape."""
    return np.left_shift(np.uint8(1), codes.astype(np.uint8))


def rotation_relations(euler: NDArray[np.float64]) -> Bools:
    """Return the relations of one-qubit unitaries Rz(phi) Ry(theta) Rz(lam).

    Args:
        euler: float64 ``(..., 3)``: theta, phi, lam in radians.

    Returns:
        bool ``(..., 4, 4)``.
    """
    theta, phi, lam = np.moveaxis(euler, -1, 0)
    a, b, c = np.cos(theta), np.cos(phi), np.cos(lam)
    u, v, w = np.sin(theta), np.sin(phi), np.sin(lam)
    # Rows: what X, Y, Z after the unitary are before it.
    rotation = np.array(
        [
            [a * b * c - v * w, -a * b * w - v * c, u * b],
            [a * v * c + b * w, -a * v * w + b * c, u * v],
            [-u * c, u * w, a],
        ]
    )
    relation = np.zeros((*theta.shape, 4, 4), dtype=bool)
    relation[..., 0, 0] = True
    relation[..., _XYZ[:, None], _XYZ] = np.moveaxis(np.abs(rotation), (0, 1), (-2, -1)) > _NOTICEABLE
    return relation


def gate_relation(unitary: NDArray[np.complex128]) -> Bools:
    """Return the relation of a two-qubit gate, bool ``(16, 16)``.

    Args:
        unitary: Complex ``(4, 4)``; the first qubit is the least significant, as in Qiskit.

    Returns:
        Indices are the code of the first qubit plus four times that of the second.
    """
    pairs = np.einsum("bij,akl->baikjl", paulis.PAULIS, paulis.PAULIS).reshape(16, 4, 4)
    before = unitary.conj().T @ pairs @ unitary
    transfer = np.einsum("pij,qij->pq", before, pairs.conj()) / 4
    relation: Bools = np.abs(transfer) > _NOTICEABLE
    return relation


def mask_table(relation: Bools) -> NDArray[np.uint8]:
    """Return the masks before a one-qubit unitary for all masks after it, uint8 ``(16,)``."""
    return (_MEMBERS @ relation) @ (1 << _CODES)


def pair_table(relation: Bools) -> NDArray[np.uint8]:
    """Return the masks before a two-qubit gate for all masks after it.

    What is known of the two together is lost: the set of pairs is cut down to one mask for each qubit.

    Returns:
        uint8 ``(256,)``: masks packed as that of the first qubit plus 16 times that of the second, in and out.
    """
    after = (_MEMBERS[:, None, :, None] & _MEMBERS[None, :, None, :]).reshape(256, 16)
    before = (after @ relation).reshape(256, 4, 4)
    first, second = before.any(axis=1), before.any(axis=2)
    return (first @ (1 << _CODES) | (second @ (1 << _CODES)) << 4).astype(np.uint8)


def _contrasts() -> NDArray[np.float64]:
    """Return, for each code and mask, the share of the mask that commutes less the share that does not."""
    anticommutes = np.zeros((4, 4), dtype=bool)
    anticommutes[1:, 1:] = ~np.eye(3, dtype=bool)
    odd = (anticommutes[:, None, :] & _MEMBERS).sum(axis=2)
    # The empty mask, which nothing makes, has no Pauli that could notice anything.
    contrasts: NDArray[np.float64] = 1 - 2 * odd / np.maximum(_MEMBERS.sum(axis=1), 1)
    return contrasts


_CONTRAST: Final[NDArray[np.float64]] = _contrasts()


def relevance(
    masks: NDArray[np.uint8], dressings: NDArray[np.int64], generators: NDArray[np.uint8]
) -> tuple[Bools, NDArray[np.float64]]:
    """Return which Pauli errors an observable may notice.

    Args:
        masks: What each term may be just after each dressing, uint8 ``(T, num_dressings)``.
        dressings: The dressings that the errors come after, one for each qubit of a layer, int64 ``(n,)``.
        generators: Pauli codes of the errors on these qubits, uint8 ``(K, n)``.

    Returns:
        relevant: Whether the error may anticommute with the term, bool ``(K, T)``. Where it is False, the error
            changes no value of the term, whatever other Paulis are in the circuit.
        share: Share of the combinations of the masks on the error's support that anticommute, each counted once,
            float64 ``(K, T)``; exactly 0 or 1 where they are single Paulis.
    """
    num_terms, masks = len(masks), masks.T[dressings]
    contrast = np.ones((len(generators), num_terms))
    weight = np.count_nonzero(generators, axis=1)
    # The qubits of each error's support come first.
    support = np.argsort(generators == 0, axis=1, kind="stable")
    # Contrasts of independent qubits multiply; rows are those of a qubit and a code.
    rows = np.ascontiguousarray(_CONTRAST[:, masks].swapaxes(0, 1)).reshape(4 * len(masks), num_terms)
    for k in range(weight.max(initial=0)):
        which = np.flatnonzero(weight > k)
        qubit = support[which, k]
        factors = rows[4 * qubit + generators[which, qubit]]
        if len(which) == len(generators):
            contrast *= factors
        else:
            contrast[which] *= factors
    # Factors are 1, -1, or no larger than a half, so equality is exact.
    return contrast != 1, (1 - contrast) / 2
