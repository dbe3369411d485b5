"""Staggered decoupling: different sequences on coupled qubits, which undo their ZZ drift too (arXiv:2403.06852).

Coupled qubits flip by different Walsh functions. Each pulse ends where its function changes sign: the time
that pulses of finite length take from drifting then cancels too, both of each qubit and of each pair. Where
one qubit of a group that waits together begins or ends to wait, the windows of the others are cut in two, each
with a sequence of its own.

The context that is regarded is other waiting qubits, not the echoes within two-qubit gates next to them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from qiskit.transpiler import Target

from .scheduling import Outline, Window

#: Windows are not cut into pieces that the pulses of a sequence would fill by more than one part in this many.
_FILLED: Final = 2


@frozen(eq=False)
class Staggering:
    """Which sign each qubit has when, and where windows are cut.

    Attributes:
        colors: Of each qubit in use; coupled qubits differ.
        functions: Where each color's function changes sign, in parts of a window.
        cuts: Ticks where windows are to be cut.
        longest: Most pulses of a function.
    """

    colors: Mapping[int, int]
    functions: tuple[NDArray[np.float64], ...]
    cuts: Mapping[Window, tuple[int, ...]]
    longest: int

    def flips(self, qubit: int) -> NDArray[np.float64]:
        """Return where the sign of a qubit changes, in parts of a window."""
        return self.functions[self.colors[qubit]]

    def pieces(self, window: Window, length: int) -> list[tuple[int, int]]:
        """Cut a window, but not into pieces too short for the sequence."""
        least = _FILLED * self.longest * max(1, length)
        kept = [window.start]
        for cut in self.cuts.get(window, ()):
            if cut - kept[-1] >= least and window.stop - cut >= least:
                kept.append(cut)
        return list(zip(kept, [*kept[1:], window.stop], strict=True))


def staggering_of(outline: Outline, target: Target | None, waits: Sequence[Window]) -> Staggering:
    """Return the staggering of the windows in which a circuit's qubits are decoupled."""
    coupled = _coupled(outline, target)
    colors = _coloring(coupled)
    functions = walsh_flips(max(colors.values(), default=0) + 1)
    return Staggering(colors, functions, _cuts(waits, coupled), max(len(f) for f in functions))


def _coupled(outline: Outline, target: Target | None) -> dict[int, set[int]]:
    """Return the neighbours in use of each qubit in use: by the device's gates, else by the circuit's."""
    pairs: set[tuple[int, ...]] = set()
    if target is not None:
        for name in target.operation_names:
            pairs.update(q for q in target[name] or () if q is not None and len(q) == 2)
    if not pairs:
        pairs = {step.qubits for step in outline.steps if len(step.qubits) == 2}
    neighbours: dict[int, set[int]] = {q: set() for q in outline.used}
    for a, b in pairs:
        if a in neighbours and b in neighbours:
            neighbours[a].add(b)
            neighbours[b].add(a)
    return neighbours


def _coloring(neighbours: Mapping[int, set[int]]) -> dict[int, int]:
    """Color so that neighbours differ, the qubit with most colors around it first: two do where two can."""
    colors: dict[int, int] = {}
    around: dict[int, set[int]] = {q: set() for q in neighbours}
    while len(colors) < len(neighbours):
        q = max(
            (q for q in neighbours if q not in colors), key=lambda q: (len(around[q]), len(neighbours[q]), -q)
        )
        colors[q] = next(c for c in range(len(neighbours)) if c not in around[q])
        for other in neighbours[q]:
            around[other].add(colors[q])
    return colors


def walsh_flips(count: int) -> tuple[NDArray[np.float64], ...]:
    """Return where Walsh functions change sign, those with fewest changes first.

    None is constant, so each has mean zero, and so has each product of two. A function that ends with a minus
    changes at 1 too, which brings the qubit back.
    """
    bits = max(2, int(count).bit_length())
    place = np.arange(2**bits)
    functions = []
    for k in range(1, 2**bits):
        signs = np.bitwise_count(place & k) & 1
        functions.append((np.flatnonzero(np.diff(signs, append=0)) + 1) / 2**bits)
    functions.sort(key=lambda flips: (len(flips), flips[0]))
    return tuple(functions[:count])


def _cuts(waits: Sequence[Window], neighbours: Mapping[int, set[int]]) -> dict[Window, tuple[int, ...]]:
    """Return where windows are to be cut: where one begins or ends that waits with them, or with one of them.

    Qubits that are coupled through waiting ones must all start anew together, or some pair of them would have
    sequences that begin at different times.
    """
    of_qubit: dict[int, list[Window]] = {}
    for window in waits:
        of_qubit.setdefault(window.qubit, []).append(window)
    stops = {
        q: [w.stop for w in own] for q, own in of_qubit.items()
    }  # windows of a qubit are in order of time
    cuts: dict[Window, list[int]] = {}
    for time in sorted({t for w in waits for t in (w.start, w.stop)}):
        waiting = {}
        for q, own in of_qubit.items():
            first = bisect_left(stops[q], time)
            waiting[q] = [w for w in own[first : first + 2] if w.start <= time]
        left = {q for q, own in waiting.items() if own}
        while left:
            group = _group(left.pop(), neighbours, left)
            together = [w for q in group for w in waiting[q]]
            if any(time in (w.start, w.stop) for w in together):
                for window in together:
                    if window.start < time < window.stop:
                        cuts.setdefault(window, []).append(time)
    return {window: tuple(times) for window, times in cuts.items()}


def _group(first: int, neighbours: Mapping[int, set[int]], left: set[int]) -> list[int]:
    """Return the qubits connected to one through those that are `left`, and take them from there."""
    group = [first]
    for q in group:  # grows while it is read
        found = neighbours[q] & left
        left -= found
        group += sorted(found)
    return group
