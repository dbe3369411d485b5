"""How long one shot of a circuit takes: its critical path, on what the device says of durations or on typical ones."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi
from typing import Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp, Operation

from .scheduling import VIRTUAL, Clock
from .template import Dressing, Template

#: One-qubit gates that a pulse may be; the first that the device gives a duration of is taken.
_PULSES: Final = ("sx", "x", "rx", "ry", "r", "prx", "gpi2", "gpi", "u", "u3", "h")
_EQUAL: Final = 1e-9


@frozen
class Typical:
    """Durations in seconds where the device says nothing.

    Attributes:
        one_qubit: Of a pulse; changes of frame (rz) take none.
        two_qubit: Of a gate on two qubits; one on more takes this for each qubit after the first.
        readout: Of a measurement, and of a reset.
    """

    one_qubit: float = 50e-9
    two_qubit: float = 300e-9
    readout: float = 1e-6


def shot_seconds(
    template: Template, touched: NDArray[np.bool_], clock: Clock, typical: Typical, turned: frozenset[int]
) -> float:
    """Return the length of the longest chain of instructions that wait for each other, measurements included.

    Args:
        template: The circuit.
        touched: Dressings that are written anew, bool ``(num_dressings,)``: two pulses at most. Others take what is
            written.
        clock: What the device says.
        typical: What is taken where it says nothing.
        turned: Dressings with a change of basis.

    Returns:
        Seconds.
    """
    free = [0.0] * template.num_qubits
    data = template.circuit.data
    index = {bit: q for q, bit in enumerate(template.circuit.qubits)}
    pulse: dict[int, float] = {}
    written: dict[object, float] = {}  # classical bits that others may wait for
    for kind, payload in template.sequence:
        if kind == "gate":
            gate_of, place = payload
            if not touched[gate_of]:
                qubit = template.dressings[gate_of].qubit
                free[qubit] += _seconds(data[place].name, (qubit,), clock, typical)
        elif kind == "close":
            if touched[payload]:
                dressing = template.dressings[payload]
                qubit = dressing.qubit
                if qubit not in pulse:
                    pulse[qubit] = _pulse(qubit, clock, typical)
                free[qubit] += _pulses(dressing, payload in turned) * pulse[qubit]
        elif kind == "op":
            op = template.ops[payload]
            if op.instruction is None or not op.qubits:
                continue
            instruction = data[op.instruction]
            start = max(
                *(free[q] for q in op.qubits), *(written.get(bit, 0.0) for bit in instruction.clbits), 0.0
            )
            end = start + _operation_seconds(instruction.operation, op.qubits, clock, typical)
            for q in op.qubits:
                free[q] = end
            written.update(dict.fromkeys(instruction.clbits, end))
        else:
            together = [index[bit] for bit in data[payload].qubits] if kind == "barrier" else list(payload)
            latest = max((free[q] for q in together), default=0.0)
            for q in together:
                free[q] = latest
    return max(free, default=0.0)


def _pulses(dressing: Dressing, turned: bool) -> int:
    """Return how many pulses a dressing that is written anew takes at most."""
    count = 2
    if not turned and dressing.is_constant and dressing.product is not None:
        theta = abs(dressing.product[0].const) % (2 * pi)
        # Of theta = 0 and pi twirling makes no more than an x, of pi/2 an sx.
        if min(abs(theta - k * pi / 2) for k in range(5)) < _EQUAL:
            count = 1
    return max(count, dressing.least)


def _pulse(qubit: int, clock: Clock, typical: Typical) -> float:
    for name in _PULSES:
        ticks = clock.ticks(name, (qubit,))
        if ticks is not None:
            return ticks * clock.tick
    return typical.one_qubit


def _seconds(name: str, qubits: tuple[int, ...], clock: Clock, typical: Typical) -> float:
    ticks = clock.ticks(name, qubits)
    if ticks is None and len(qubits) == 2:
        ticks = clock.ticks(name, qubits[::-1])  # given for the other direction only
    if ticks is not None:
        return ticks * clock.tick
    if name in ("measure", "reset"):
        return typical.readout
    if name in VIRTUAL or name == "id":
        return 0.0
    return typical.one_qubit if len(qubits) == 1 else typical.two_qubit * (len(qubits) - 1)


def _operation_seconds(
    operation: Operation, qubits: tuple[int, ...], clock: Clock, typical: Typical
) -> float:
    if operation.name == "delay":
        ticks = clock.length(operation)
        return 0.0 if ticks is None else ticks * clock.tick
    if isinstance(operation, ControlFlowOp):
        # As long as its longest block run once: how often loops run is not known.
        return max((_block_seconds(block, qubits, clock, typical) for block in operation.blocks), default=0.0)
    return _seconds(operation.name, qubits, clock, typical)


def _block_seconds(block: QuantumCircuit, qubits: tuple[int, ...], clock: Clock, typical: Typical) -> float:
    place: Mapping[object, int] = dict(zip(block.qubits, qubits, strict=True))
    free = dict.fromkeys(qubits, 0.0)
    for instruction in block.data:
        own = tuple(place[bit] for bit in instruction.qubits)
        end = max((free[q] for q in own), default=0.0)
        if instruction.name != "barrier":
            end += _operation_seconds(instruction.operation, own, clock, typical)
        free.update(dict.fromkeys(own, end))
    return max(free.values(), default=0.0)
