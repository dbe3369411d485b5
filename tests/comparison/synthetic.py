"""Comparisons that were never run: normal noise around known values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from quell.comparison.comparison import Comparison
from quell.comparison.records import Strategy, Trial

RAW = {"resilience_level": 0}
TREX = {"resilience_level": 0, "resilience": {"measure_mitigation": True}}
ZNE = {"resilience_level": 2}
PEC = {"resilience": {"pec_mitigation": True}}


@frozen
class Way:
    """A strategy as it comes out: values off by a share `bias` of the reference, noise `sigma`, error bars `bars`."""

    name: str
    options: Mapping[str, Any]
    bias: float = 0.0
    sigma: float = 0.01
    bars: float | None = None  # None: sigma; below 0: no error bars at all
    shots: int = 10_000
    failing: Sequence[int] = ()
    gamma_squared: float | None = None
    qpu_seconds: float = 3.0


USUAL = (
    Way("raw", RAW, 0.1),
    Way("trex", TREX, 0.06, 0.012),
    Way("zne", ZNE, 0.004, 0.02),
    Way("pec", PEC, 0, 0.03, gamma_squared=12.3),
)


def compared(
    ways: Sequence[Way] = USUAL,
    repeats: int = 10,
    labels: Sequence[str] = ("Z0", "Z1", "X0 X1"),
    reference: bool = True,
    seed: int = 1,
    **settings: Any,
) -> Comparison:
    """Return a comparison of ways; all have the same reference, from 0.9 down to -0.3."""
    rng = np.random.default_rng(seed)
    exact = np.linspace(0.9, -0.3, len(labels))
    trials = []
    for repeat in range(repeats):
        for way in ways:
            noise = rng.normal(size=len(labels))
            if repeat in way.failing:
                trials.append(Trial(way.name, repeat, failure=f"options.{way.name}: refused; leave it out"))
                continue
            bars = way.sigma if way.bars is None else way.bars
            trials.append(
                Trial(
                    way.name,
                    repeat,
                    exact * (1 - way.bias) + way.sigma * noise,
                    np.full(len(labels), bars) if bars >= 0 else None,
                    circuits=30,
                    shots=way.shots,
                    calibration_shots=way.shots // 5,
                    executed_shots=way.shots - way.shots // 10,
                    gamma_squared=way.gamma_squared,
                    qpu_seconds=way.qpu_seconds,
                    seconds={"prepare": 0.1, "execute": 3.2, "combine": 0.02},
                )
            )
    return Comparison(
        strategies=tuple(Strategy(w.name, w.options, f"what {w.name} does") for w in ways),
        labels=tuple(labels),
        reference=exact if reference else None,
        reference_source="known" if reference else "",
        trials=tuple(trials),
        settings={"repeats": repeats, "seed": seed, "total_shots": None, "confidence": 0.95, **settings},
        device="synthetic",
        environment={"python": "3"},
    )
