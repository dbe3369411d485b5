"""Totals of weighted sums of terms on every shot, by table look-up."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from . import bitplanes
from .bitplanes import WORD, BitPlanes, flat_chunks, transpose_8x8
from .terms import Terms

# Row j is bit j of 0..255: `weights @ _BYTE_BITS` sums the weights of the set bits, for every byte.
_BYTE_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[None], axis=0, bitorder="little").astype(np.float64)


@frozen(eq=False)
class TableGroups:
    """Observables of several terms as groups of eight binary planes with a table of 256 sums each.

    A term is a constant and one or two planes: `c - 2c [value is -1]` without projectors, and
    `c [value is not 0] - 2c [value is -1]` with them. Eight planes make one byte per shot, and the byte looks
    up the sum of their weights: one addition per shot for eight terms. (The method of the four Russians.)

    Attributes:
        terms: The terms that occur.
        constants: `float64`, shape `(O,)`: value of a shot on which all planes are zero.
        planes: `intp`, shape `(groups, 8)`: indices of planes; unused places hold plane 0 with weight 0.
        weights: `float64`, shape `(groups, 8)`.
        rows: `intp`, shape `(groups,)`: observable of each group, ascending.
    """

    terms: Terms
    constants: NDArray[np.float64]
    planes: NDArray[np.intp]
    weights: NDArray[np.float64]
    rows: NDArray[np.intp]

    @classmethod
    def of(
        cls,
        codes: NDArray[np.uint8],
        offsets: NDArray[np.float64],
        row: NDArray[np.intp],
        column: NDArray[np.intp],
        weight: NDArray[np.float64],
    ) -> TableGroups:
        """Prepare the observables `offsets[row] + sum of weight * term[column]`.

        Args:
            codes: `uint8`, shape `(T, num_bits)`.
            offsets: `float64`, shape `(O,)`.
            row: Observable of each entry, ascending; every observable has one.
            column: Term of each entry.
            weight: Coefficient of each entry.
        """
        used, term = np.unique(column, return_inverse=True)
        terms = Terms.of(codes[used])
        position = np.argsort(terms.order)[term]
        pure = position < terms.num_pure
        constants = offsets + np.bincount(row[pure], weight[pure], minlength=len(offsets))
        # Planes: value -1 of all positions, then value not 0 of the positions from num_pure on.
        plane = np.concatenate([position, position[~pure] + terms.num_mixed])
        weight = np.concatenate([-2.0 * weight, weight[~pure]])
        row = np.concatenate([row, row[~pure]])
        by_row = np.argsort(row, kind="stable")
        plane, weight, row = plane[by_row], weight[by_row], row[by_row]

        lengths = np.bincount(row, minlength=len(offsets))
        num_groups = -(-lengths // 8)
        place = np.arange(len(row)) + np.repeat(
            8 * (np.cumsum(num_groups) - num_groups) - (np.cumsum(lengths) - lengths), lengths
        )
        planes = np.zeros(8 * num_groups.sum(), dtype=np.intp)
        weights = np.zeros(8 * num_groups.sum())
        planes[place], weights[place] = plane, weight
        rows = np.repeat(np.arange(len(offsets)), num_groups)
        return cls(terms, constants, planes.reshape(-1, 8), weights.reshape(-1, 8), rows)

    def moments(self, planes: BitPlanes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return first and second moment sums, `(members, O)`."""
        first = np.zeros((planes.num_members, len(self.constants)))
        second = np.zeros_like(first)
        num_planes = len(self.terms.order) + self.terms.num_mixed
        words_each = bitplanes.PLANES_BYTES // (8 * max(num_planes, planes.num_bits, 1))
        for rows, words, valid in flat_chunks(planes, min(words_each, 256)):
            own = np.empty((num_planes, words.shape[1]), dtype=np.uint64)
            for start, minus, inside in self.terms.planes(words, valid):
                own[start : start + len(minus)] = minus
                if inside is not None:
                    start += self.terms.num_mixed
                    own[start : start + len(inside)] = inside
            bits = _unpacked(valid)
            everywhere = bool(bits.all())
            for row, flat in self._totals(own):
                if not everywhere:
                    flat *= bits  # padding shots have the value of all-zero planes
                totals = flat.reshape(rows.stop - rows.start, -1)
                first[rows, row] += totals.sum(axis=1)
                second[rows, row] += np.einsum("ms,ms->m", totals, totals)
        return first, second

    def _totals(self, own: NDArray[np.uint64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Yield each observable's number and its value on every shot of a chunk (overwritten by the next)."""
        num_shots = own.shape[1] * WORD
        size = max(1, bitplanes.BLOCK_BYTES // num_shots)
        starts = np.searchsorted(self.rows, np.arange(len(self.constants) + 1))
        # Work arrays are reused: fresh ones of this size cost more in page faults than the sums.
        totals, values = np.empty(num_shots), np.empty(num_shots)
        index = np.empty(num_shots, dtype=np.intp)
        for start in range(0, len(self.rows), size):
            tables = self.weights[start : start + size] @ _BYTE_BITS
            columns = _bytes_of_shots(own, self.planes[start : start + size])
            for group, (table, column) in enumerate(zip(tables, columns, strict=True), start):
                row = self.rows[group]
                if group == starts[row]:
                    totals.fill(self.constants[row])
                np.copyto(index, column)
                table.take(index, out=values, mode="clip")
                np.add(totals, values, out=totals)
                if group + 1 == starts[row + 1]:
                    yield int(row), totals


def _bytes_of_shots(own: NDArray[np.uint64], groups: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Gather planes in eights and turn them into one byte per shot: bit `j` is plane `j` of the group.

    Args:
        own: `uint64`, shape `(planes, words)`.
        groups: `intp`, shape `(groups, 8)`.

    Returns:
        `uint8`, shape `(groups, 64 * words)`, shots in order.
    """
    gathered = own.take(groups, axis=0).view(np.uint8)  # (groups, 8, 8 * words)
    eights = np.empty((len(groups), gathered.shape[2], 8), dtype=np.uint8)
    for place in range(8):  # faster than one copy with a last axis of eight
        eights[:, :, place] = gathered[:, place]
    return transpose_8x8(eights.view("<u8")).reshape(len(groups), -1).view(np.uint8)


def _unpacked(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return one byte, 0 or 1, per shot of `words`, in order."""
    return np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little")
