"""Peers as strategies of a `quell.Comparison`: its tables, advice, pictures and reports, for outcomes of any method."""

from __future__ import annotations

import platform
from collections.abc import Sequence

import numpy as np

from quell.comparison.comparison import Comparison
from quell.comparison.records import Strategy, Trial

from .records import Outcome


def comparison(outcomes: Sequence[Outcome], device: str, versions: Sequence[str]) -> Comparison:
    """Return the outcomes of one family and noise as a comparison, whose repeats are the seeds.

    Methods without error bars are given one of zero, which covers nothing; the notes of their trials say so.

    Args:
        outcomes: Of the same family, noise and shots.
        device: What the noise is called.
        versions: Packages that took part.
    """
    seeds = sorted({(o.case.seed, o.case.repetition) for o in outcomes})
    methods = dict.fromkeys(o.case.method for o in outcomes)
    family, shots, ideal = outcomes[0].case.family, outcomes[0].case.shots, outcomes[0].ideal
    return Comparison(
        strategies=tuple(Strategy(m, {}, "as benchmarks/peers.py runs it") for m in methods),
        labels=(f"observable of {family}",),
        reference=np.array([ideal]),
        reference_source="statevector; circuits of all seeds have the same value",
        trials=tuple(_trial(o, seeds.index((o.case.seed, o.case.repetition))) for o in outcomes),
        settings={
            "repeats": len(seeds),
            "seed": seeds[0][0],
            "total_shots": shots,
            "shots": None,
            "confidence": 0.95,
        },
        device=f"Aer, {device}",
        environment={"python": platform.python_version(), "packages": ", ".join(versions)},
    )


def _trial(o: Outcome, repeat: int) -> Trial:
    has_bar = o.stderr is not None
    return Trial(
        o.case.method,
        repeat,
        values=None if o.value is None else np.array([o.value]),
        errors=None if o.value is None else np.array([o.stderr if has_bar else 0.0]),
        failure=o.problem,
        notes=() if has_bar or o.value is None else ("has no error bar",),
        circuits=o.circuits,
        shots=o.shots,
        executed_shots=o.shots,
        seconds={"prepare": 0.0, "execute": o.simulator, "combine": max(o.seconds - o.simulator, 0.0)},
        details={"seed": o.case.seed},
    )
