"""What cancelling the noise of a circuit costs, and whether that is too much."""

from __future__ import annotations

import math
from typing import Final

from attrs import frozen

from ..errors import Problem
from .circuit_noise import CircuitNoise

#: Shots of one setting that no device takes.
_MOST_SHOTS: Final = 2**31
#: Exponents beyond which numbers overflow.
_LARGEST: Final = 700.0
#: Layers that messages name.
_NAMED: Final = 3


def overhead(noise: CircuitNoise, gain: float) -> float:
    """Return the sampling overhead gamma^2 of leaving `gain` of the noise, that of the worst term."""
    return math.exp(min(_exponent(noise, gain), _LARGEST))


def gain_within(noise: CircuitNoise, limit: float) -> float:
    """Return the least gain whose overhead is at most `limit`: 1 - log(limit) / log(gamma^2), at least 0."""
    exponent = _exponent(noise, 0.0)
    return max(1 - math.log(limit) / exponent, 0.0) if exponent > 0 else 0.0


def _exponent(noise: CircuitNoise, gain: float) -> float:
    return 4 * max(1 - gain, 0.0) * float(noise.totals.max(initial=0.0))


@frozen
class Budget:
    """What may be spent on one PUB.

    Attributes:
        max_overhead: Largest sampling overhead, None for no limit.
        shots: Shots of each setting without overhead.
        num_settings: How many settings there are.
        automatic: Whether the gain is chosen to be within the budget.
        least_factor: The least noise factor.
    """

    max_overhead: float | None
    shots: int
    num_settings: int
    automatic: bool
    least_factor: float

    def problems(self, noise: CircuitNoise, gain: float, path: str) -> list[Problem]:
        """Return why leaving `gain` of a noise is too expensive, if it is."""
        limit = math.inf if self.max_overhead is None else self.max_overhead
        cost = overhead(noise, gain)
        shots = self.shots * cost
        if cost <= limit * (1 + 1e-9) and shots <= _MOST_SHOTS:
            return []
        worst = sorted(noise.layers, key=lambda entry: -entry[1] * entry[2].rates.sum())[:_NAMED]
        named = "; ".join(
            f"{layer.describe()} ({count} times, gamma {model.gamma:.3g})" for layer, count, model in worst
        )
        rule = (
            f"{'sets no limit' if self.max_overhead is None else f'is {limit:g}'}, but the sampling overhead of {path} "
            f"is gamma^2 = {cost:.3g} (gamma {math.sqrt(cost):.3g}), so that "
            f"{f'each of its {self.num_settings} settings takes' if self.num_settings > 1 else 'it takes'} "
            f"{shots:.3g} shots; most of it comes from the layers {named}"
        )
        return [
            Problem(
                "options.resilience.pec.max_overhead",
                rule,
                ", or ".join(self._remedies(noise, cost, gain / self.least_factor)),
            )
        ]

    def _remedies(self, noise: CircuitNoise, cost: float, own: float) -> list[str]:
        limit = math.inf if self.max_overhead is None else self.max_overhead
        least = gain_within(noise, max(min(limit, _MOST_SHOTS / self.shots), 1.0))
        gain, remedies = _rounded_up(least / self.least_factor), []
        if gain <= 1:
            remedies.append(f"set noise_gain to {gain:g} or more")
            if not self.automatic:
                remedies[0] += " or to 'auto'" + (" with a max_overhead" if self.max_overhead is None else "")
        kept = 1.0 if self.automatic else own
        if kept > 0 and self.least_factor < (factor := _rounded_up(least / kept)) <= 1:
            remedies.append(f"choose noise factors of {factor:g} and more")
        if self.max_overhead is not None and self.shots * cost <= _MOST_SHOTS:
            remedies.append(f"raise max_overhead to {math.ceil(cost)}")
        return remedies or ["ask for less precision"]


def _rounded_up(value: float) -> float:
    return math.ceil(value * 100) / 100
