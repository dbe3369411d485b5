"""Pauli and Clifford frames: codes, products, and pushes through two-qubit gates.

A *Pauli code* has bit 0 for the X part and bit 1 for the Z part: I, X, Z, Y = 0, 1, 2, 3. Up to global
phase the product of two Paulis is the XOR of their codes. A *frame code* extends this to the 24
single-qubit Cliffords as ``pauli | coset << 2``: the operator ``P C`` with one of six coset
representatives ``C`` acting first. Codes below 4 are the Paulis themselves, so everything that twirls
with Paulis only ever XORs, and multiplying a Pauli onto the left of any frame is an XOR of its two low
bits.

Pushing a frame through a gate U means finding the frame F' with F' U = U F. For Paulis and a Clifford U
this always exists; for other gates only a subgroup stays local, and the functions here return that
subgroup instead of assuming anything about the gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from . import angles

NUM_PAULIS = 4
NUM_CLIFFORDS = 24
_EQUAL = 1e-8  # entries of equal matrices differ by less

_I = np.eye(2, dtype=complex)
_X = np.array([[0, 1], [1, 0]], dtype=complex)
_Z = np.array([[1, 0], [0, -1]], dtype=complex)
_H = np.array([[1, 1], [1, -1]], dtype=complex) / np.sqrt(2)
_S = np.diag([1, 1j])

#: Matrices of the four Paulis in the order of their codes, complex ``(4, 2, 2)``.
PAULIS: NDArray[np.complex128] = np.stack([_I, _X, _Z, _X @ _Z])
#: Matrices of the frames in the order of their codes, complex ``(24, 2, 2)``, up to phase.
CLIFFORDS: NDArray[np.complex128] = np.stack(
    [pauli @ coset for coset in (_I, _H, _S, _H @ _S, _S @ _H, _H @ _S @ _H) for pauli in PAULIS]
)
#: The frames as unit quaternions, float64 ``(24, 4)``.
QUATERNIONS: NDArray[np.float64] = angles.quaternions_of_matrices(CLIFFORDS)


def _index_of(matrices: NDArray[np.complex128], candidates: NDArray[np.complex128]) -> NDArray[np.int64]:
    """Return which candidate each matrix equals up to phase, or -1; both flattened to ``(*, d*d)``.

    The overlap only finds the candidate: it falls with the square of a small angle between the two, so
    whether they are equal is decided entry by entry.
    """
    overlaps = matrices @ candidates.conj().T
    best = np.abs(overlaps).argmax(axis=-1)
    phases = np.take_along_axis(overlaps, best[:, None], axis=-1)
    phases /= np.maximum(np.abs(phases), 1e-9)
    return np.where(np.abs(matrices - phases * candidates[best]).max(axis=-1) < _EQUAL, best, -1)


def _multiplication_table() -> NDArray[np.uint8]:
    products = np.einsum("aij,bjk->abik", CLIFFORDS, CLIFFORDS).reshape(-1, 4)
    return _index_of(products, CLIFFORDS.reshape(-1, 4)).reshape(24, 24).astype(np.uint8)


#: ``MULTIPLY[a, b]`` is the code of frame `a` times frame `b` (`b` acts first), uint8 ``(24, 24)``.
MULTIPLY: NDArray[np.uint8] = _multiplication_table()


def multiply(later: NDArray[np.uint8], earlier: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the codes of ``later * earlier``, where `earlier` acts first; shapes broadcast."""
    if later.max(initial=0) < NUM_PAULIS:
        return later ^ earlier  # a Pauli on the left only touches the two low bits
    product: NDArray[np.uint8] = MULTIPLY[later, earlier]
    return product


def inverse(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the codes of the inverse frames."""
    inverses: NDArray[np.uint8] = MULTIPLY.argmin(axis=1).astype(np.uint8)[codes]
    return inverses


def two_qubit_choices(unitary: NDArray[np.complex128], *, cliffords: bool = False) -> NDArray[np.uint8]:
    """Return all local frames that a two-qubit gate maps to local frames.

    Args:
        unitary: Complex ``(4, 4)``; the first qubit is the least significant, as in Qiskit.
        cliffords: Whether to search the 24 x 24 Clifford frames (the group ``local_c1``) instead of the
            16 Paulis.

    Returns:
        uint8 ``(K, 4)``, rows ``(before first, before second, after first, after second)`` such that
        (after) U = U (before) up to phase. For Paulis and a Clifford gate K is 16; for any other gate
        the rows are the subgroup that stays local, at least the identity in row 0. Sampling rows
        uniformly twirls the gate over that subgroup.
    """
    unitary = np.asarray(unitary, dtype=complex)
    return _choices(np.round(unitary, 12).tobytes(), cliffords)


@lru_cache(maxsize=4096)
def _choices(key: bytes, cliffords: bool) -> NDArray[np.uint8]:
    unitary = np.frombuffer(key, dtype=complex).reshape(4, 4)
    group = CLIFFORDS if cliffords else PAULIS
    size = len(group)
    # kron(second, first): the first qubit is the least significant; flat index is first + size * second.
    local = np.einsum("bij,akl->baikjl", group, group).reshape(size * size, 4, 4)
    images = np.einsum("ij,njk,lk->nil", unitary, local, unitary.conj())
    target = _index_of(images.reshape(-1, 16), local.reshape(-1, 16))
    source = np.flatnonzero(target >= 0)
    target = target[source]
    rows = np.stack([source % size, source // size, target % size, target // size], axis=1)
    choices = rows.astype(np.uint8)
    choices.setflags(write=False)
    return choices


def balancing_permutations(choices: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return, for each Pauli m, the row reached by multiplying every qubit of a row by m.

    Args:
        choices: uint8 ``(K, 2 * num_qubits)`` of Pauli codes; the first half acts before the gate.

    Returns:
        int64 ``(4, K)``; if the rows are not closed under some m (a gate that does not commute with any
        such product), that row of the result is the identity permutation, so the gate is twirled without
        balance rather than wrongly.
    """
    before = choices[:, : choices.shape[1] // 2]
    rows = {row.tobytes(): k for k, row in enumerate(before)}
    table = np.tile(np.arange(len(choices)), (NUM_PAULIS, 1))
    for m in range(1, NUM_PAULIS):
        moved = [rows.get(row.tobytes()) for row in before ^ np.uint8(m)]
        if None not in moved:
            table[m] = np.array(moved, dtype=np.int64)
    return table


def inverting_paulis(
    unitaries: Sequence[NDArray[np.complex128]],
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """Return the Paulis that turn a two-qubit gate into its inverse, up to phase.

    The same physical gate then runs backwards: ``rzz(t)`` between two X on one qubit is ``rzz(-t)``.

    Args:
        unitaries: The gate, or one with parameters at several generic points: complex ``(4, 4)`` each, the first
            qubit being the less significant one.

    Returns:
        Codes before and after the gate, uint8 ``(2,)`` each, with as few X parts as possible; None if no Paulis do.
    """
    codes = np.stack(np.meshgrid(range(4), range(4), indexing="ij"), axis=-1).reshape(-1, 2).astype(np.uint8)
    pairs = np.stack([np.kron(PAULIS[b], PAULIS[a]) for a, b in codes])
    found = np.zeros(16, dtype=np.int64)
    for k, unitary in enumerate(unitaries):
        backwards = unitary.conj().T
        # After U before = c U^-1, so after = c U^-1 before^-1 U^-1.
        after = backwards @ pairs.conj().transpose(0, 2, 1) @ backwards
        index = _index_of(after.reshape(16, 16), pairs.reshape(16, 16))
        found = index if k == 0 else np.where(found == index, found, -1)
    usable = np.flatnonzero(found >= 0)
    if not len(usable):
        return None
    pulses = ((codes[usable] & 1).sum(axis=1) + (codes[found[usable]] & 1).sum(axis=1)) * 4
    phases = (codes[usable] >> 1).sum(axis=1) + (codes[found[usable]] >> 1).sum(axis=1)
    best = usable[np.argmin(pulses + phases)]
    return codes[best], codes[found[best]]
