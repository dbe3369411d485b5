"""Decoupling pulses: the gates that make them up, and when they start within a window."""

from __future__ import annotations

from math import pi
from typing import Final

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit.library import RGate

from ..kernels.angles import wrap
from .gatesets import VENDOR_GATES, GateSet

#: Gates in time order, each with its parameters.
Written = tuple[tuple[str, tuple[float, ...]], ...]

_ZERO: Final = 1e-12


def pulse_gates(gate_set: GateSet, axis: float) -> Written:
    """Return a rotation by pi about an equatorial axis, in time order.

    The pulse itself is turned, by a change of frame before it and back after it: a pulse about X with a frame
    change by pi after it has the matrix of one about Y, but repeats the errors of one about X.
    """
    gates = gate_set.gates
    for name in ("u", "u3"):
        if name in gates:
            return ((name, (pi, axis - pi / 2, pi / 2 - axis)),)
    for name in ("r", "prx"):
        if name in gates:
            return ((name, (pi, axis)),)
    if "gpi" in gates:
        return (("gpi", (axis / (2 * pi),)),)
    turn = axis
    core: Written
    if "x" in gates:
        core = (("x", ()),)
    elif "sx" in gates:
        core = (("sx", ()),) * 2
    elif "rx" in gates:
        core = (("rx", (pi,)),)
    else:
        core, turn = (("ry", (pi,)),), axis - pi / 2
    turn = float(wrap(np.array(turn)))
    return core if abs(turn) < _ZERO else (("rz", (-turn,)), *core, ("rz", (turn,)))


def pulse_matrix(gate_set: GateSet, gates: Written) -> NDArray[np.complex128]:
    """Return the matrix of a pulse, complex128 ``(2, 2)``."""
    matrix = np.eye(2, dtype=np.complex128)
    for name, parameters in gates:
        # Of these only the target knows the class; they are the r of Qiskit.
        known = VENDOR_GATES.get(name)
        gate = gate_set.make(name, parameters) if known is None else RGate(*known(*parameters))
        matrix = gate.to_matrix() @ matrix
    return matrix


def pulse_times(
    start: int,
    stop: int,
    length: int,
    count: int,
    flips: NDArray[np.float64] | None,
    step: int,
    slack_distribution: str,
) -> list[int]:
    """Return when the pulses of a window start, ticks on the grid; none if they do not fit.

    Args:
        start: Of the window.
        stop: Of the window.
        length: Of a pulse.
        count: Of pulses, equally spaced with half a space at both ends.
        flips: Where pulses end instead, in parts of the window.
        step: Of the grid.
        slack_distribution: Whether the time that the grid leaves over goes to the "middle" or the "edges".
    """
    begin = start + -start % step
    pulse = length + -length % step  # the next one starts on the grid
    if flips is not None:
        count = len(flips)
    total = stop - begin
    slack = total - count * pulse
    if slack <= 0:
        return []
    if flips is None:
        ideal = slack * np.array([0.5, *[1.0] * (count - 1), 0.5]) / count
    else:
        ends = np.diff([0.0, *flips, 1.0])
        ideal = total * ends
        ideal[:-1] -= pulse
        if (ideal < 0).any():  # too short for that; the drift of the qubit itself still cancels
            ideal = slack * ends
    spaces = _on_grid(ideal, slack, step, slack_distribution)
    return [begin + int(spaces[: k + 1].sum()) + k * pulse for k in range(count)]


def _on_grid(ideal: NDArray[np.float64], slack: int, step: int, distribution: str) -> NDArray[np.int64]:
    """Round spaces down to the grid and put what is left where the user wants it, as Qiskit does."""
    spaces = (np.floor(ideal / step) * step).astype(np.int64)
    extra = int(slack - spaces.sum())
    place = (len(spaces) - 1) // 2 if distribution == "middle" else 0
    share = extra if distribution == "middle" else extra // 2
    spaces[place] += share // step * step
    spaces[-1] += extra - share // step * step
    return spaces
