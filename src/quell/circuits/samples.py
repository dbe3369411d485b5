"""Samples: what comes up the lower floor of the onion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray


@frozen(eq=False)
class Samples:
    """Measured bits of the members of a program, as the device returned them.

    Attributes:
        bits: For each classical register, uint8 ``(members, max_shots, num_bytes)`` in the bit order of
            ``qiskit.primitives.BitArray``; rows beyond a member's shots are zero.
        num_bits: Size of each register.
        shots: int64 ``(members,)``: the shots the device really returned.
    """

    bits: Mapping[str, NDArray[np.uint8]]
    num_bits: Mapping[str, int]
    shots: NDArray[np.int64]

    @classmethod
    def concatenate(cls, parts: Sequence[Samples]) -> Samples:
        """Join members of the same registers."""
        if len(parts) == 1:
            return parts[0]
        widest = max((int(part.shots.max(initial=0)) for part in parts), default=0)
        bits = {
            name: np.concatenate([_padded(part.bits[name], widest) for part in parts])
            for name in parts[0].bits
        }
        return cls(bits, parts[0].num_bits, np.concatenate([part.shots for part in parts]))


def _padded(bits: NDArray[np.uint8], shots: int) -> NDArray[np.uint8]:
    if bits.shape[1] >= shots:
        return bits[:, :shots]
    padded = np.zeros((bits.shape[0], shots, bits.shape[2]), dtype=np.uint8)
    padded[:, : bits.shape[1]] = bits
    return padded
