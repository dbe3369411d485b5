"""Random words that can be regenerated one randomization at a time.

Philox is a counter-based generator: the n-th block of its output is a function of the key and n alone. A
`Key` names a sequence of rows; row r of stream s always starts at the same counter, so any slice of
randomizations can be drawn by itself, in any order and on any worker, and equals the same slice of the
whole. A plan therefore stores keys (a few bytes) instead of frames (gigabytes).
"""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

_BYTES_PER_BLOCK = 32  # Philox-4x64 makes four 64-bit words for each value of its counter
_ANY_SEED = np.random.SeedSequence(0)


@frozen
class Key:
    """A 128-bit Philox key."""

    high: int
    low: int

    @classmethod
    def spawn(cls, rng: np.random.Generator) -> Key:
        """Draw a fresh key from `rng`."""
        high, low = rng.integers(0, 2**63, size=2, dtype=np.int64)
        return cls(int(high), int(low))


def octets(key: Key, stream: int, start: int, stop: int, width: int) -> NDArray[np.uint8]:
    """Return rows ``start`` to ``stop`` of a stream of uniform random bytes.

    Args:
        key: Names the sequence.
        stream: Independent sequences under one key, for example one a setting.
        start: First row (randomization).
        stop: One past the last row.
        width: Bytes a row.

    Returns:
        uint8 ``(stop - start, width)``; equal to the same rows of any larger slice.
    """
    if width == 0 or stop <= start:
        return np.zeros((max(stop - start, 0), width), dtype=np.uint8)
    blocks = -(-width // _BYTES_PER_BLOCK)
    raw = _generator(key, start * blocks, stream).random_raw(
        (stop - start) * blocks * (_BYTES_PER_BLOCK // 8)
    )
    # Little-endian on every platform, so that a seed means the same plan everywhere.
    return raw.astype("<u8", copy=False).view(np.uint8).reshape(stop - start, -1)[:, :width]


def generator(key: Key, stream: int) -> np.random.Generator:
    """Return the generator of a stream, for what is not drawn row by row."""
    return np.random.Generator(_generator(key, 0, stream))


def _generator(key: Key, block: int, stream: int) -> np.random.Philox:
    """Return Philox at a counter. Its constructor would first ask the system for entropy it then drops."""
    generator = np.random.Philox(_ANY_SEED)
    state = generator.state
    state["state"] = {
        "key": np.array([key.high, key.low], dtype=np.uint64),
        "counter": np.array([block, 0, stream, 0], dtype=np.uint64),
    }
    generator.state = state
    return generator


def uniform_below(rows: NDArray[np.uint8], bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Map random bytes, four an integer, to uniform integers below `bounds` (bias below bounds / 2^32).

    Args:
        rows: uint8 ``(R, 4 * N)`` of `octets`.
        bounds: int64 ``(N,)``.

    Returns:
        int64 ``(R, N)``.
    """
    words = np.ascontiguousarray(rows).view("<u4").astype(np.uint64)
    return ((words * bounds.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)
