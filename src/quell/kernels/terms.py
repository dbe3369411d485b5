"""Terms on bit planes: which shots give a term the value -1, and which the value 0.

A *term* is a diagonal operator with one code per bit: 0 identity, 1 Z, 2 the projector on 0, 3 the projector
on 1. Its value on a shot is the product of `(-1)**bit` over its Z bits if all its projector bits match, and 0
otherwise. So a term is an XOR of a few planes, and with projectors an AND of some others; they are never
expanded into Paulis.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from . import bitplanes
from .bitplanes import BitPlanes, flat_chunks, refuse

_CODE_Z: Final = 1
_CODE_0: Final = 2
_CODE_1: Final = 3


def checked_codes(planes: BitPlanes, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the codes as an array; InputError if they are no codes of terms on these planes."""
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.shape[1] != planes.num_bits:
        refuse("codes", f"has shape {codes.shape}, not (terms, {planes.num_bits})")
    if codes.dtype != np.uint8 or (codes.size and codes.max() > _CODE_1):
        refuse("codes", "must be uint8: 0 (identity), 1 (Z), 2 (projector on 0) or 3 (projector on 1)")
    return codes


@frozen(eq=False)
class _Lists:
    """Lists of bit indices, one per term, in compressed rows."""

    starts: NDArray[np.intp]
    lengths: NDArray[np.intp]
    indices: NDArray[np.intp]

    @classmethod
    def of(cls, marks: NDArray[np.bool_]) -> _Lists:
        """Return per row of `marks` (terms, bits) the numbers of its marked columns."""
        lengths = np.count_nonzero(marks, axis=1)
        return cls(np.cumsum(lengths) - lengths, lengths, np.nonzero(marks)[1])

    def part(self, block: slice) -> _Lists:
        """Return the lists of a slice of terms."""
        return _Lists(self.starts[block], self.lengths[block], self.indices)

    def reduce(self, ufunc: np.ufunc, rows: NDArray[np.uint64], empty: Any) -> NDArray[np.uint64]:
        """Combine for each term the listed rows; `empty` is the value of an empty list.

        Args:
            ufunc: `np.bitwise_xor` or `np.bitwise_and`.
            rows: `uint64`, shape `(rows, words)`.
            empty: Scalar or shape `(words,)`.

        Returns:
            `uint64`, shape `(terms, words)`.
        """
        if not len(self.lengths) or not self.lengths.any():
            return np.array(np.broadcast_to(empty, (len(self.lengths), rows.shape[1])), dtype=np.uint64)
        # A term without bits reads some row and is overwritten: one plain gather instead of two masked ones.
        at = np.minimum(self.starts, len(self.indices) - 1)
        out: NDArray[np.uint64] = rows.take(self.indices[at], axis=0)
        out[self.lengths == 0] = empty
        for step in range(1, int(self.lengths.max())):
            active = np.flatnonzero(self.lengths > step)
            # Terms come sorted by the number of Zs, so the ones still active are a slice at the end.
            tail = len(active) == len(self.lengths) - active[0]
            target: Any = slice(active[0], None) if tail else active
            part = out[target]
            out[target] = ufunc(part, rows.take(self.indices[self.starts[active] + step], axis=0), out=part)
        return out


@frozen(eq=False)
class Terms:
    """Terms prepared for a walk over chunks of shots: sorted by kind and weight, as lists of planes.

    `order[i]` is the number of the term at position `i`; those from position `num_pure` on have projectors.
    """

    order: NDArray[np.intp]
    num_pure: int
    signs: _Lists
    projectors: _Lists

    @classmethod
    def of(cls, codes: NDArray[np.uint8]) -> Terms:
        """Prepare terms with these codes (terms, bits)."""
        has_projector = (codes > _CODE_Z).any(axis=1)
        order = np.lexsort((np.count_nonzero(codes == _CODE_Z, axis=1), has_projector))
        codes = codes[order]
        num_pure = int(len(codes) - np.count_nonzero(has_projector))
        marked = codes[num_pure:]
        # The projector on 1 reads plane `bit`, the one on 0 the inverted plane `num_bits + bit`.
        both = np.concatenate([marked == _CODE_1, marked == _CODE_0], axis=1)
        return cls(order, num_pure, _Lists.of(codes == _CODE_Z), _Lists.of(both))

    @property
    def num_mixed(self) -> int:
        """Number of terms with projectors."""
        return len(self.order) - self.num_pure

    def planes(
        self, words: NDArray[np.uint64], valid: NDArray[np.uint64]
    ) -> Iterator[tuple[int, NDArray[np.uint64], NDArray[np.uint64] | None]]:
        """Yield blocks of term planes.

        Args:
            words: `uint64`, shape `(bits, words)`.
            valid: `uint64`, shape `(words,)`.

        Yields:
            The position of the first term; the shots of value -1, shape `(block, words)`; the shots of value
            not zero, same shape, or None for terms without projectors.
        """
        size = max(1, bitplanes.BLOCK_BYTES // (8 * max(1, words.shape[1])))
        for start in range(0, self.num_pure, size):
            block = slice(start, min(start + size, self.num_pure))
            yield start, self.signs.part(block).reduce(np.bitwise_xor, words, 0), None
        if not self.num_mixed:
            return
        inverted = np.concatenate([words, words ^ valid])
        for start in range(0, self.num_mixed, size):
            block = slice(start, min(start + size, self.num_mixed))
            inside = self.projectors.part(block).reduce(np.bitwise_and, inverted, valid)
            start += self.num_pure
            block = slice(start, start + len(inside))
            minus = self.signs.part(block).reduce(np.bitwise_xor, words, 0)
            yield start, np.bitwise_and(minus, inside, out=minus), inside


def term_moments(planes: BitPlanes, codes: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sums of values and of squared values, `(members, T)` each, from one walk over the planes."""
    terms = Terms.of(checked_codes(planes, codes))
    shape = (len(terms.order), planes.num_members)
    negative = np.zeros(shape, dtype=np.int64)  # in the order of positions until the last line
    support = np.zeros(shape, dtype=np.int64)
    support[: terms.num_pure] = planes.shots
    for rows, words, valid in flat_chunks(planes, bitplanes.PLANES_BYTES // (8 * max(1, planes.num_bits))):
        members = rows.stop - rows.start
        for start, minus, inside in terms.planes(words, valid):
            block = slice(start, start + len(minus))
            negative[block, rows] += _popcounts(minus, members)
            if inside is not None:
                support[block, rows] += _popcounts(inside, members)
    inverse = np.argsort(terms.order)
    return (support - 2 * negative)[inverse].T, support[inverse].T


def _popcounts(words: NDArray[np.uint64], members: int) -> NDArray[np.int64]:
    """Count the ones of each member: shape `(terms, members * words)` to `int64` `(terms, members)`."""
    counts = np.bitwise_count(words).reshape(len(words), members, -1)
    if counts.shape[2] > 16:
        sums: NDArray[np.int64] = counts.sum(axis=2, dtype=np.int64)
        return sums
    # Reducing a short last axis costs more per member than per word: add columns instead.
    total = np.zeros(counts.shape[:2], dtype=np.int64)
    for column in range(counts.shape[2]):
        total += counts[:, :, column]
    return total
