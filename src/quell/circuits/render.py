"""What both renderings of a program's members share: the order of emission, and frames on angles.

`parametric` writes one circuit for all members and an array of values, `bound` writes plain circuits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Barrier, CircuitInstruction

from ..kernels import angles, paulis
from .program import Frames, Program
from .template import Template

Floats = NDArray[np.float64]


def member_euler(euler: Floats, frames: Frames, touched: NDArray[np.int64]) -> Floats:
    """Apply frames to the touched dressings' angles: float64 ``(members, num_touched, 3)``."""
    after, before = frames.after[:, touched], frames.before[:, touched]
    if max(after.max(initial=0), before.max(initial=0)) < paulis.NUM_PAULIS:
        return angles.apply_paulis(euler, after, before)
    product = angles.multiply(angles.quaternions_of_euler(euler), paulis.QUATERNIONS[before])
    return angles.euler_of_quaternions(angles.multiply(paulis.QUATERNIONS[after], product))


def emit(
    template: Template, data: Sequence[CircuitInstruction], touched: set[int]
) -> Iterator[CircuitInstruction | int]:
    """Yield the instructions of a template in order; a touched dressing as its index, where it ends.

    Args:
        template: What to write.
        data: The circuit's instructions, or those of a bound copy.
        touched: Dressings to leave to the caller.
    """
    bits = template.circuit.qubits
    for kind, payload in template.sequence:
        if kind == "gate":
            dressing, instruction = payload
            if dressing not in touched:
                yield data[instruction]
        elif kind == "close":
            if payload in touched:
                yield payload
        elif kind == "op":
            instruction = template.ops[payload].instruction
            if instruction is not None:
                yield data[instruction]
        elif kind == "barrier":
            yield data[payload]
        else:
            yield CircuitInstruction(Barrier(len(payload)), tuple(bits[q] for q in payload))


def uses_cliffords(program: Program) -> bool:
    """Whether some draw uses frames that are not Paulis."""
    return any(getattr(draw, "cliffords", False) for draw in program.draws)
