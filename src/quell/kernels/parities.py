"""Parities of measured bits: bit planes, popcounts and moments of diagonal observables.

Shots arrive as packed rows, one row of bits per shot. An observable asks the opposite question: one bit of
every shot. So shots are transposed once into *bit planes* (one packed row of shots per bit); the parity of a
term is then an XOR of a few planes and a popcount, 64 shots per machine word.

A *term* is a diagonal operator with one code per bit: 0 identity, 1 Z, 2 the projector on 0, 3 the projector
on 1. Its value on a shot is the product of `(-1)**bit` over its Z bits if all its projector bits match, and 0
otherwise. Projectors are never expanded into Paulis.

All work goes through the planes in chunks that stay in cache, so memory beyond input and output is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from ..errors import InputError, Problem

__all__ = [
    "BitPlanes",
    "bit_planes",
    "concatenate_bits",
    "concatenate_members",
    "observable_spreads",
    "observable_sums",
    "term_sums",
    "term_support",
    "variance_of_mean",
]

_WORD = 64
_CODE_Z, _CODE_0, _CODE_1 = 1, 2, 3
_BLOCK_BYTES = 1 << 19  # work arrays of one block of terms: half a level-2 cache
_PLANES_BYTES = 1 << 24  # planes of all terms of one chunk of shots
# Row j is bit j of 0..255: `weights @ _BYTE_BITS` sums the weights of the set bits, for every byte.
_BYTE_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[None], axis=0, bitorder="little").astype(np.float64)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


@frozen(eq=False)
class BitPlanes:
    """Measured bits, one packed row of shots per bit and member.

    A *member* is one entry of the array of shots sets (a parameter set, a randomization, ...).

    Attributes:
        words: `uint64`, shape `(num_bits, members, num_words)`. Shot `s` is bit `s % 8` of byte `s // 8` in
            memory; bits beyond the valid shots are zero.
        shots: `int64`, shape `(members,)`, valid shots of each member.
    """

    words: NDArray[np.uint64] = field(converter=_read_only)
    shots: NDArray[np.int64] = field(converter=_read_only)

    @property
    def num_bits(self) -> int:
        """Number of bits per shot."""
        return int(self.words.shape[0])

    @property
    def num_members(self) -> int:
        """Number of members."""
        return int(self.words.shape[1])

    @property
    def valid(self) -> NDArray[np.uint64]:
        """The plane of valid shots: `uint64`, shape `(members, num_words)`."""
        return _valid_words(self.shots, self.words.shape[2])

    def flipped(self, flips: NDArray[np.bool_]) -> BitPlanes:
        """Return the planes with some bits of some members inverted on all their valid shots.

        Args:
            flips: `bool`, shape `(members, num_bits)`: True inverts.
        """
        flips = np.asarray(flips, dtype=bool)
        if flips.shape != (self.num_members, self.num_bits):
            _refuse("flips", f"has shape {flips.shape}, not {(self.num_members, self.num_bits)}")
        masks = np.where(flips.T[:, :, None], self.valid, np.uint64(0))
        return BitPlanes(np.bitwise_xor(masks, self.words, out=masks), self.shots)

    def select(self, bits: ArrayLike) -> BitPlanes:
        """Return the planes of the bits with these indices, in this order."""
        return BitPlanes(self.words[np.asarray(bits, dtype=np.intp)], self.shots)

    def select_members(self, members: ArrayLike) -> BitPlanes:
        """Return the planes of the members with these indices, in this order."""
        indices = np.asarray(members, dtype=np.intp)
        return BitPlanes(self.words[:, indices], self.shots[indices])


def bit_planes(data: NDArray[np.uint8], num_bits: int, shots: NDArray[np.int64] | None = None) -> BitPlanes:
    """Transpose packed shots into bit planes.

    Args:
        data: `uint8`, shape `(members, shots, num_bytes)`, big-endian as in qiskit's `BitArray.array`: bit 0
            is the least significant bit of the last byte.
        num_bits: Bits per shot; higher bits of the first byte are ignored.
        shots: `int64`, shape `(members,)`, how many leading shots of each member are valid; all by default.

    Raises:
        InputError: If shapes, dtype or shot numbers do not fit each other.
    """
    data = np.asarray(data)
    num_bytes = -(-num_bits // 8)
    if data.dtype != np.uint8 or data.ndim != 3 or data.shape[2] != num_bytes:
        _refuse("data", f"is {data.dtype} of shape {data.shape}, not uint8 of shape (*, *, {num_bytes})")
    members, num_shots, _ = data.shape
    valid_shots = np.full(members, num_shots) if shots is None else np.array(shots, dtype=np.int64)
    if valid_shots.shape != (members,) or np.any((valid_shots < 0) | (valid_shots > num_shots)):
        _refuse("shots", f"must hold {members} numbers between 0 and {num_shots}")

    num_words = -(-num_shots // _WORD)
    planes = np.empty((8 * num_bytes, members, num_words), dtype=np.uint64)
    for rows, columns in _chunks(members, num_words, _BLOCK_BYTES // (_WORD * max(1, num_bytes))):
        part = data[rows, columns.start * _WORD : columns.stop * _WORD]
        size, length = part.shape[0], (columns.stop - columns.start) * _WORD
        # One byte of every shot, least significant byte first; eight shots then fill a word.
        columned = np.zeros((num_bytes, size, length), dtype=np.uint8)
        columned[:, :, : part.shape[1]] = part.transpose(2, 0, 1)[::-1]
        eights = _transpose_8x8(columned.view("<u8")).view(np.uint8)
        eights = eights.reshape(num_bytes, size, length // 8, 8).transpose(0, 3, 1, 2)
        packed = np.ascontiguousarray(eights).view(np.uint64)
        planes[:, rows, columns] = packed.reshape(8 * num_bytes, size, length // _WORD)
    planes = planes[:num_bits]
    if shots is not None:
        planes &= _valid_words(valid_shots, num_words)
    return BitPlanes(planes, valid_shots)


def concatenate_bits(parts: Sequence[BitPlanes]) -> BitPlanes:
    """Join registers measured in the same shots; bits of the first come first."""
    if any(not np.array_equal(part.shots, parts[0].shots) for part in parts):
        _refuse("parts", "registers measured together must have the same shots")
    width = max(part.words.shape[2] for part in parts)
    return BitPlanes(np.concatenate([_widened(part.words, width) for part in parts]), parts[0].shots)


def concatenate_members(parts: Sequence[BitPlanes]) -> BitPlanes:
    """Join members of the same bits, of any number of shots."""
    if any(part.num_bits != parts[0].num_bits for part in parts):
        _refuse("parts", "members must have the same number of bits")
    width = max(part.words.shape[2] for part in parts)
    words = np.concatenate([_widened(part.words, width) for part in parts], axis=1)
    return BitPlanes(words, np.concatenate([part.shots for part in parts]))


def term_sums(planes: BitPlanes, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Sum the values of terms over the shots of each member.

    Args:
        planes: The measured bits.
        codes: `uint8`, shape `(T, num_bits)`: 0 identity, 1 Z, 2 projector on 0, 3 projector on 1.

    Returns:
        `int64`, shape `(members, T)`.

    Raises:
        InputError: If the codes do not fit the planes.
    """
    return _term_moments(planes, codes)[0]


def term_support(planes: BitPlanes, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the shots of each member on which terms are not zero: the sum of the squared values.

    Args:
        planes: The measured bits.
        codes: `uint8`, shape `(T, num_bits)`, as in `term_sums`.

    Returns:
        `int64`, shape `(members, T)`; the number of shots for a term without projectors.

    Raises:
        InputError: If the codes do not fit the planes.
    """
    return _term_moments(planes, codes)[1]


def observable_sums(
    planes: BitPlanes, codes: NDArray[np.uint8], matrix: csr_array
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum the values and squared values of weighted sums of terms over the shots of each member.

    The moments are those of the whole observable on each shot, so covariances between terms measured
    together are in them exactly. Observables of one term (next to an identity) need popcounts only.

    Args:
        planes: The measured bits.
        codes: `uint8`, shape `(T, num_bits)`, as in `term_sums`.
        matrix: Real coefficients, shape `(O, T)`: one row per observable. An empty row gives zeros.

    Returns:
        The first and the second moment sums: two `float64` arrays of shape `(members, O)`.

    Raises:
        InputError: If codes or matrix do not fit the planes.
    """
    codes = _checked_codes(planes, codes)
    if matrix.shape[1] != len(codes):
        _refuse("matrix", f"has {matrix.shape[1]} columns for {len(codes)} terms")
    offsets, matrix = _without_identities(codes, matrix)
    per_row = np.diff(matrix.indptr)
    shots = planes.shots[:, None].astype(np.float64)
    first = shots * offsets
    second = first * offsets

    single = np.flatnonzero(per_row == 1)
    if single.size:
        used, column = np.unique(matrix.indices[matrix.indptr[single]], return_inverse=True)
        sums, support = _term_moments(planes, codes[used])
        weights = matrix.data[matrix.indptr[single]]
        values = sums[:, column] * weights
        first[:, single] += values
        second[:, single] += values * (2 * offsets[single]) + support[:, column] * weights**2

    several = np.flatnonzero(per_row > 1)
    if several.size:
        groups = _TableGroups.of(codes, offsets[several], matrix[several])
        first[:, several], second[:, several] = groups.moments(planes)
    return first, second


def observable_spreads(
    codes: NDArray[np.uint8], matrix: csr_array
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what the coefficients alone say about the spread of observables, for `variance_of_mean`.

    Args:
        codes: `uint8`, shape `(T, num_bits)`.
        matrix: Real coefficients, shape `(O, T)`.

    Returns:
        bounds: `(sum_k |c_k|)**2` over the terms other than identity, the largest possible variance of one
            shot: `float64`, shape `(O,)`.
        floors: `2 sum_k c_k**2` over the same terms: `float64`, shape `(O,)`.
    """
    _, matrix = _without_identities(codes, matrix)
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    norms, squares = np.zeros(matrix.shape[0]), np.zeros(matrix.shape[0])
    np.add.at(norms, row, np.abs(matrix.data))
    np.add.at(squares, row, matrix.data**2)
    return norms**2, 2.0 * squares


def variance_of_mean(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    shots: NDArray[np.int64],
    bounds: NDArray[np.float64],
    floors: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the variance of the mean over shots from its moment sums.

    The unbiased `(second - first**2 / N) / (N (N - 1))`, but never less than `floors / N**2`. The floor keeps
    an error bar from being zero only because all shots agreed: with none of `N` shots on the other side,
    Jeffreys' posterior of its probability has standard deviation about `0.7 / N`, so `1.4 / N` for a Pauli
    term. One shot tells nothing about the spread, so `bounds` is returned, the largest variance an observable
    of this range can have (1 for a Pauli term). No shots give infinity. An observable that is constant has
    bound 0 and variance exactly 0.

    Args:
        first: Sums of values, shape `(members, O)`.
        second: Sums of squared values, shape `(members, O)`.
        shots: `int64`, shape `(members,)`.
        bounds: Shape `(O,)`, from `observable_spreads`.
        floors: Shape `(O,)`, from `observable_spreads`.

    Returns:
        `float64`, shape `(members, O)`.
    """
    number = np.asarray(shots, dtype=np.float64)[:, None]
    some = np.maximum(number, 2.0)  # avoids 0/0 where the result is replaced below
    variance = np.maximum((second - first * first / some) / (some * (some - 1)), floors / some**2)
    variance = np.where(number == 1, bounds, np.where(number == 0, np.inf, variance))
    return np.where(bounds == 0, 0.0, variance)


# --- terms to planes ---------------------------------------------------------------------------------------


@frozen(eq=False)
class _Lists:
    """Lists of bit indices, one per term, in compressed rows."""

    starts: NDArray[np.intp]
    lengths: NDArray[np.intp]
    indices: NDArray[np.intp]

    @classmethod
    def of(cls, marks: NDArray[np.bool_], row_of: NDArray[np.intp]) -> _Lists:
        """Return per row of `marks` (terms, bits) the numbers of its marked columns."""
        lengths = np.count_nonzero(marks, axis=1)
        return cls(np.cumsum(lengths) - lengths, lengths, row_of[np.nonzero(marks)[1]])

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
class _Terms:
    """Terms prepared for a walk over chunks of shots: sorted by kind and weight, as lists of planes.

    `order[i]` is the number of the term at position `i`; those from position `num_pure` on have projectors.
    """

    order: NDArray[np.intp]
    num_pure: int
    signs: _Lists
    projectors: _Lists

    @classmethod
    def of(cls, codes: NDArray[np.uint8]) -> _Terms:
        """Prepare terms with these codes (terms, bits)."""
        num_bits = codes.shape[1]
        has_projector = (codes > _CODE_Z).any(axis=1)
        order = np.lexsort((np.count_nonzero(codes == _CODE_Z, axis=1), has_projector))
        codes = codes[order]
        num_pure = int(len(codes) - np.count_nonzero(has_projector))
        marked = codes[num_pure:]
        # The projector on 1 reads plane `bit`, the one on 0 the inverted plane `num_bits + bit`.
        both = np.concatenate([marked == _CODE_1, marked == _CODE_0], axis=1)
        return cls(
            order,
            num_pure,
            _Lists.of(codes == _CODE_Z, np.arange(num_bits)),
            _Lists.of(both, np.arange(2 * num_bits)),
        )

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
        size = max(1, _BLOCK_BYTES // (8 * max(1, words.shape[1])))
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


def _term_moments(planes: BitPlanes, codes: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return `term_sums` and `term_support` from one walk over the planes."""
    terms = _Terms.of(_checked_codes(planes, codes))
    shape = (len(terms.order), planes.num_members)
    negative = np.zeros(shape, dtype=np.int64)  # in the order of positions until the last line
    support = np.zeros(shape, dtype=np.int64)
    support[: terms.num_pure] = planes.shots
    for rows, words, valid in _flat_chunks(planes, _PLANES_BYTES // (8 * max(1, planes.num_bits))):
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


# --- per-shot totals ---------------------------------------------------------------------------------------


@frozen(eq=False)
class _TableGroups:
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

    terms: _Terms
    constants: NDArray[np.float64]
    planes: NDArray[np.intp]
    weights: NDArray[np.float64]
    rows: NDArray[np.intp]

    @classmethod
    def of(cls, codes: NDArray[np.uint8], offsets: NDArray[np.float64], matrix: csr_array) -> _TableGroups:
        """Prepare the observables `offsets + matrix @ terms`; no row may be empty."""
        used, column = np.unique(matrix.indices, return_inverse=True)
        terms = _Terms.of(codes[used])
        position = np.argsort(terms.order)[column]
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        pure = position < terms.num_pure
        constants = offsets + np.bincount(row[pure], matrix.data[pure], minlength=matrix.shape[0])
        # Planes: value -1 of all positions, then value not 0 of the positions from num_pure on.
        plane = np.concatenate([position, position[~pure] + terms.num_mixed])
        weight = np.concatenate([-2.0 * matrix.data, matrix.data[~pure]])
        row = np.concatenate([row, row[~pure]])
        by_row = np.argsort(row, kind="stable")
        plane, weight, row = plane[by_row], weight[by_row], row[by_row]

        lengths = np.bincount(row, minlength=matrix.shape[0])
        num_groups = -(-lengths // 8)
        place = np.arange(len(row)) + np.repeat(
            8 * (np.cumsum(num_groups) - num_groups) - (np.cumsum(lengths) - lengths), lengths
        )
        planes = np.zeros(8 * num_groups.sum(), dtype=np.intp)
        weights = np.zeros(8 * num_groups.sum())
        planes[place], weights[place] = plane, weight
        rows = np.repeat(np.arange(matrix.shape[0]), num_groups)
        return cls(terms, constants, planes.reshape(-1, 8), weights.reshape(-1, 8), rows)

    def moments(self, planes: BitPlanes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return first and second moment sums, `(members, O)`."""
        first = np.zeros((planes.num_members, len(self.constants)))
        second = np.zeros_like(first)
        num_planes = len(self.terms.order) + self.terms.num_mixed
        words_each = _PLANES_BYTES // (8 * max(num_planes, planes.num_bits, 1))
        for rows, words, valid in _flat_chunks(planes, min(words_each, 256)):
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
        num_shots = own.shape[1] * _WORD
        size = max(1, _BLOCK_BYTES // num_shots)
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
    return _transpose_8x8(eights.view("<u8")).reshape(len(groups), -1).view(np.uint8)


# --- words and chunks --------------------------------------------------------------------------------------


def _transpose_8x8(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Transpose words as 8x8 bit matrices, in place: bit `j` of byte `i` to bit `i` of byte `j`.

    Three rounds swap blocks of 1, 2 and 4 across the diagonal (Hacker's Delight, 7-3).
    """
    buffer = np.empty_like(words)
    for shift, mask in ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0)):
        np.right_shift(words, shift, out=buffer)
        buffer ^= words
        buffer &= np.uint64(mask)
        words ^= buffer
        np.left_shift(buffer, shift, out=buffer)
        words ^= buffer
    return words


def _valid_words(shots: NDArray[np.int64], num_words: int) -> NDArray[np.uint64]:
    """Return ones for the leading `shots` of each member: `uint64`, shape `(members, num_words)`."""
    # Ones below position k of a byte, for k = 0..8, in the same order as the planes.
    ones: NDArray[np.uint8] = np.array([(1 << k) - 1 for k in range(9)], dtype=np.uint8)
    left = np.asarray(shots)[:, None] - np.arange(0, num_words * _WORD, 8)
    words: NDArray[np.uint64] = ones[np.clip(left, 0, 8)].view(np.uint64)
    return words


def _unpacked(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return one byte, 0 or 1, per shot of `words`, in order."""
    return np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little")


def _widened(words: NDArray[np.uint64], width: int) -> NDArray[np.uint64]:
    return np.pad(words, ((0, 0), (0, 0), (0, width - words.shape[2])))


def _chunks(members: int, num_words: int, limit: int) -> Iterator[tuple[slice, slice]]:
    """Cut members x words into slices of at most `limit` words (at least one)."""
    if not members or not num_words:
        return
    limit = max(1, limit)
    rows, columns = max(1, limit // num_words), min(limit, num_words)
    for row in range(0, members, rows):
        for column in range(0, num_words, columns):
            yield slice(row, min(row + rows, members)), slice(column, min(column + columns, num_words))


def _flat_chunks(
    planes: BitPlanes, limit: int
) -> Iterator[tuple[slice, NDArray[np.uint64], NDArray[np.uint64]]]:
    """Yield members, contiguous words `(num_bits, words)` and valid words `(words,)` of chunks of shots."""
    valid = planes.valid
    for rows, columns in _chunks(valid.shape[0], valid.shape[1], limit):
        part = valid[rows, columns]
        yield rows, planes.words[:, rows, columns].reshape(planes.num_bits, part.size), part.reshape(-1)


# --- checks ------------------------------------------------------------------------------------------------


def _without_identities(codes: NDArray[np.uint8], matrix: csr_array) -> tuple[NDArray[np.float64], csr_array]:
    """Split a matrix into the constant `(O,)` of each observable and the rest, in canonical form."""
    matrix = csr_array(matrix).astype(np.float64)  # a copy
    matrix.sum_duplicates()
    identity = np.logical_not(np.any(codes, axis=1))
    offsets = np.asarray(matrix @ identity.astype(np.float64))
    matrix.data[identity[matrix.indices]] = 0.0
    matrix.eliminate_zeros()
    return offsets, matrix


def _checked_codes(planes: BitPlanes, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.shape[1] != planes.num_bits:
        _refuse("codes", f"has shape {codes.shape}, not (terms, {planes.num_bits})")
    if codes.dtype != np.uint8 or (codes.size and codes.max() > _CODE_1):
        _refuse("codes", "must be uint8: 0 (identity), 1 (Z), 2 (projector on 0) or 3 (projector on 1)")
    return codes


def _refuse(path: str, rule: str) -> None:
    raise InputError.of([Problem(path, rule)])
