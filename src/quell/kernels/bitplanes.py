"""Bit planes: measured bits transposed, one packed row of shots per bit.

Shots arrive as packed rows, one row of bits per shot. An observable asks the opposite question: one bit of
every shot. So shots are transposed once, and whatever follows works on 64 shots per machine word.

All work goes through the planes in chunks that stay in cache, so memory beyond input and output is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NoReturn

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, Problem

#: Shots of one word of a plane.
WORD: Final = 64
# Read as attributes of this module where they are used, so that a test can make blocks small in one place.
#: Work arrays of one block of terms: half a level-2 cache.
BLOCK_BYTES = 1 << 19
#: Planes of all terms of one chunk of shots.
PLANES_BYTES = 1 << 24


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
            refuse("flips", f"has shape {flips.shape}, not {(self.num_members, self.num_bits)}")
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
        refuse("data", f"is {data.dtype} of shape {data.shape}, not uint8 of shape (*, *, {num_bytes})")
    members, num_shots, _ = data.shape
    valid_shots = np.full(members, num_shots) if shots is None else np.array(shots, dtype=np.int64)
    if valid_shots.shape != (members,) or np.any((valid_shots < 0) | (valid_shots > num_shots)):
        refuse("shots", f"must hold {members} numbers between 0 and {num_shots}")

    num_words = -(-num_shots // WORD)
    planes = np.empty((8 * num_bytes, members, num_words), dtype=np.uint64)
    for rows, columns in _chunks(members, num_words, BLOCK_BYTES // (WORD * max(1, num_bytes))):
        part = data[rows, columns.start * WORD : columns.stop * WORD]
        size, length = part.shape[0], (columns.stop - columns.start) * WORD
        # One byte of every shot, least significant byte first; eight shots then fill a word.
        columned = np.zeros((num_bytes, size, length), dtype=np.uint8)
        columned[:, :, : part.shape[1]] = part.transpose(2, 0, 1)[::-1]
        eights = transpose_8x8(columned.view("<u8")).view(np.uint8)
        eights = eights.reshape(num_bytes, size, length // 8, 8).transpose(0, 3, 1, 2)
        packed = np.ascontiguousarray(eights).view(np.uint64)
        planes[:, rows, columns] = packed.reshape(8 * num_bytes, size, length // WORD)
    planes = planes[:num_bits]
    if shots is not None:
        planes &= _valid_words(valid_shots, num_words)
    return BitPlanes(planes, valid_shots)


def concatenate_bits(parts: Sequence[BitPlanes]) -> BitPlanes:
    """Join registers measured in the same shots; bits of the first come first."""
    if any(not np.array_equal(part.shots, parts[0].shots) for part in parts):
        refuse("parts", "registers measured together must have the same shots")
    width = max(part.words.shape[2] for part in parts)
    return BitPlanes(np.concatenate([_widened(part.words, width) for part in parts]), parts[0].shots)


def concatenate_members(parts: Sequence[BitPlanes]) -> BitPlanes:
    """Join members of the same bits, of any number of shots."""
    if any(part.num_bits != parts[0].num_bits for part in parts):
        refuse("parts", "members must have the same number of bits")
    width = max(part.words.shape[2] for part in parts)
    words = np.concatenate([_widened(part.words, width) for part in parts], axis=1)
    return BitPlanes(words, np.concatenate([part.shots for part in parts]))


def transpose_8x8(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
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
    left = np.asarray(shots)[:, None] - np.arange(0, num_words * WORD, 8)
    words: NDArray[np.uint64] = ones[np.clip(left, 0, 8)].view(np.uint64)
    return words


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


def flat_chunks(
    planes: BitPlanes, limit: int
) -> Iterator[tuple[slice, NDArray[np.uint64], NDArray[np.uint64]]]:
    """Yield members, contiguous words `(num_bits, words)` and valid words `(words,)` of chunks of shots."""
    valid = planes.valid
    for rows, columns in _chunks(valid.shape[0], valid.shape[1], limit):
        part = valid[rows, columns]
        yield rows, planes.words[:, rows, columns].reshape(planes.num_bits, part.size), part.reshape(-1)


def refuse(path: str, rule: str) -> NoReturn:
    """Raise the error of an argument `path` that breaks `rule`."""
    raise InputError.of([Problem(path, rule)])
