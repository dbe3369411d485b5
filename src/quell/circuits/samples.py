"""Samples: what comes up the lower floor of the onion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from .program import Program


@frozen(eq=False)
class Samples:
    """Measured bits of the members of a program, as the device returned them.

    Attributes:
        bits: For each classical register, uint8 ``(members, max_shots, num_bytes)`` in the bit order of
            ``qiskit.primitives.BitArray``; rows beyond a member's shots are zero. Kerneled measurements are points
            in the plane of the readout signal instead, complex128 ``(members, max_shots, size)`` with bit 0
            first; where the device averages them there is one row a member, whatever its shots.
        num_bits: Size of each register.
        shots: int64 ``(members,)``: the shots that are here, or that the device averaged.
        taken: int64 ``(members,)``: the shots that the device really returned, where some of them were dropped since;
            None where these are all of them.
    """

    bits: Mapping[str, NDArray[Any]]
    num_bits: Mapping[str, int]
    shots: NDArray[np.int64]
    taken: NDArray[np.int64] | None = None

    @property
    def returned(self) -> NDArray[np.int64]:
        """The shots that the device really returned, int64 ``(members,)``."""
        return self.shots if self.taken is None else self.taken

    def kept(self, keep: NDArray[np.bool_]) -> Samples:
        """Return only some of the shots, in their order, and the number that there were.

        Args:
            keep: bool ``(members, max_shots)``; False beyond the shots of a member.
        """
        shots = keep.sum(axis=1, dtype=np.int64)
        members, _ = np.nonzero(keep)
        places = (np.cumsum(keep, axis=1) - 1)[keep]
        kept = {}
        for name, bits in self.bits.items():
            kept[name] = np.zeros((len(shots), int(shots.max(initial=0)), bits.shape[2]), dtype=bits.dtype)
            kept[name][members, places] = bits[keep]
        return Samples(kept, self.num_bits, shots, self.returned)

    @classmethod
    def concatenate(cls, parts: Sequence[Samples]) -> Samples:
        """Join members of the same registers."""
        if len(parts) == 1:
            return parts[0]
        rows = (array.shape[1] for part in parts for array in part.bits.values())
        widest = max(rows, default=0)
        bits = {
            name: np.concatenate([_padded(part.bits[name], widest) for part in parts])
            for name in parts[0].bits
        }
        taken = None
        if any(part.taken is not None for part in parts):
            taken = np.concatenate([part.returned for part in parts])
        return cls(bits, parts[0].num_bits, np.concatenate([part.shots for part in parts]), taken)


def unflipped(program: Program, samples: Samples, name: str) -> NDArray[np.uint8]:
    """Return the bits of a register with the flips of measurement twirling undone, as packed as they were.

    Rows beyond the shots of a member mean nothing. Points are returned as they are: nothing flips them.
    """
    flips = program.flips(0, program.num_members)
    packed: NDArray[np.uint8] = samples.bits[name]
    if not flips.any():
        return packed
    circuit = program.template.circuit
    register = next(r for r in circuit.cregs if r.name == name)
    place = {circuit.find_bit(bit).index: i for i, bit in enumerate(register)}
    width = 8 * packed.shape[-1]
    mask = np.zeros((program.num_members, width), dtype=bool)
    for column, terminal in enumerate(program.template.terminals):
        if terminal.clbit in place:
            mask[:, width - 1 - place[terminal.clbit]] = flips[:, column]
    flipped: NDArray[np.uint8] = packed ^ np.packbits(mask, axis=1)[:, None]
    return flipped


def _padded(bits: NDArray[Any], shots: int) -> NDArray[Any]:
    if bits.shape[1] == shots:
        return bits
    padded = np.zeros((bits.shape[0], shots, bits.shape[2]), dtype=bits.dtype)
    padded[:, : bits.shape[1]] = bits
    return padded
