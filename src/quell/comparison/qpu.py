"""How long the device works on a plan: a stated model, for comparing strategies rather than for planning a day."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qiskit.transpiler import Target

from ..circuits.durations import Typical, shot_seconds
from ..circuits.program import Program
from ..circuits.scheduling import Clock
from ..circuits.template import Template
from ..errors import InputError, Problem
from ..pipeline import Plan, deferred, leaves

#: Seconds between shots, where nothing else is asked for: 250 us.
REP_DELAY: Final = 250e-6
_TYPICAL: Final = Typical()
_LEFT_OUT: Final = (
    "queueing",
    "compilation",
    "loading of circuits",
    "transfer of data",
    "classical processing",
)


def qpu_seconds(plan: Plan, target: Target | None, *, rep_delay: float | None = None) -> float:
    """Return about how long the device works on a plan.

    See `model` for what is assumed. What is planned only after noise has been learned counts with the fewest shots
    that it may take, so that the result is then a lower bound.

    Args:
        plan: As `Estimator.plan` or ``job.plan()`` return it.
        target: The device's; its durations are taken where it gives them. None if nothing is known.
        rep_delay: Seconds between shots; None for `REP_DELAY`.

    Returns:
        Seconds.

    Raises:
        InputError: `rep_delay` is no number of seconds.
    """
    delay = _delay(rep_delay)
    clock = Clock(target)
    known: dict[tuple[int, bytes, frozenset[int]], float] = {}

    def shot(template: Template, touched: NDArray[np.bool_], turned: frozenset[int]) -> float:
        key = (id(template), touched.tobytes(), turned)
        if key not in known:
            known[key] = shot_seconds(template, touched, clock, _TYPICAL, turned)
        return known[key]

    total = 0.0
    for program in leaves(plan):
        seconds = shot(program.template, program.touched, _turned(program))
        total += program.num_members * program.shots * (seconds + delay)
    for end in deferred(plan):
        template = getattr(end.task, "template", None)
        if template is None:
            continue
        everything = np.ones(len(template.dressings), dtype=bool)
        total += end.shots[0] * (shot(template, everything, frozenset()) + delay)
    return float(total)


def model(target: Target | None, rep_delay: float | None = None) -> dict[str, Any]:
    """Return the model behind `qpu_seconds` as plain data: numbers in seconds, and a sentence that says it all.

    Raises:
        InputError: `rep_delay` is no number of seconds.
    """
    delay = _delay(rep_delay)
    gates = _gates_with_durations(target)
    source = (
        f"durations of the device's target for {', '.join(gates)}, else typical ones"
        if gates
        else "typical durations, because the device gives none"
    )
    text = (
        f"Every shot takes the critical path of its circuit with the readout, plus a repetition delay of "
        f"{delay * 1e6:g} us. Taken are {source}: {_TYPICAL.one_qubit * 1e9:g} ns a one-qubit pulse, "
        f"{_TYPICAL.two_qubit * 1e9:g} ns a two-qubit gate, {_TYPICAL.readout * 1e6:g} us a readout; rz takes no "
        f"time, and twirled one-qubit gates at most two pulses. Not included: {', '.join(_LEFT_OUT)}."
    )
    return {
        "rep_delay": delay,
        "one_qubit": _TYPICAL.one_qubit,
        "two_qubit": _TYPICAL.two_qubit,
        "readout": _TYPICAL.readout,
        "durations_of": list(gates),
        "not_included": list(_LEFT_OUT),
        "text": text,
    }


def _turned(program: Program) -> frozenset[int]:
    """Return the dressings in which some setting changes the basis."""
    turned = (program.bases % 3 != 0).any(axis=0)
    return frozenset(
        terminal.dressing
        for terminal, is_turned in zip(program.template.terminals, turned, strict=True)
        if is_turned
    )


def _gates_with_durations(target: Target | None) -> tuple[str, ...]:
    if target is None:
        return ()
    return tuple(
        sorted(
            name
            for name in target.operation_names
            if any(p is not None and p.duration for p in (target[name] or {}).values())
        )
    )


def _delay(rep_delay: float | None) -> float:
    if rep_delay is None:
        return REP_DELAY
    if isinstance(rep_delay, bool) or not isinstance(rep_delay, (int, float, np.number)):
        raise InputError.of([Problem("rep_delay", f"must be a number of seconds (got {rep_delay!r})")])
    if not (np.isfinite(rep_delay) and 0 <= rep_delay < 10):
        rule = f"must be from 0 to 10 seconds (got {rep_delay!r})"
        raise InputError.of([Problem("rep_delay", rule, "250e-6 is 250 microseconds")])
    return float(rep_delay)
