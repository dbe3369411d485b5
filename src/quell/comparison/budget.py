"""How many shots of a value make a run spend a given number of shots, calibration included."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from attrs import frozen

from ..errors import InputError, Problem
from ..options import EstimatorOptions
from ..pipeline import Cost

#: What is left of the budget by the search, at most; and how many plans it makes.
_SLACK: Final = 0.005
_TRIES: Final = 14
#: So many guesses on a straight line, then in the middle: near the total the steps are all there is.
_PATIENCE: Final = 4
#: Most that learning layers may take of a budget, where the user leaves its size to us,
_LEARNING: Final = 0.5
#: and the least that it is cut down to: shots of a randomization, and randomizations.
_LEAST_SHOTS: Final = 16
_LEAST_RANDOMIZATIONS: Final = 8


@frozen
class Spent:
    """What a run spends in shots: those that shape it, and what it would have to learn by itself besides."""

    cost: Cost
    besides: int = 0

    @property
    def total(self) -> int:
        """All shots; at least so many where some follow from what is learned."""
        return self.cost.shots + self.cost.deferred_shots[0] + self.besides


def shots_within(total: int, spent: Callable[[int], Spent]) -> tuple[int, Spent]:
    """Return the most shots of a value with which a run spends no more than a total, and what it spends.

    Args:
        total: Shots in all.
        spent: What a run spends whose values are asked for with so many shots; grows with them.

    Raises:
        InputError: One shot of each value is too much already, or the number of shots changes nothing.
    """
    least = spent(1)
    if least.total > total:
        rule = f"is {total} shots, and one shot of each value already takes {least.total}"
        raise InputError.of([Problem("total_shots", rule, "raise it, or learn less")])
    low, low_spent, high, high_spent = 1, least, math.inf, least
    guess = max(2, total // 4)
    aim_at = total * (1 - _SLACK / 4)
    for number in range(_TRIES):
        found = spent(guess)
        if found.total > total:
            high, high_spent = guess, found
        else:
            low, low_spent = guess, found
        if high - low <= 1 or low_spent.total >= total * (1 - _SLACK):
            break
        # What it spends is nearly a straight line, whose steps are roundings.
        if math.isfinite(high):
            share = (aim_at - low_spent.total) / (high_spent.total - low_spent.total)
            guess = int(low + (share if number < _PATIENCE else 0.5) * (high - low))
            guess = min(max(guess, low + 1), int(high) - 1)
        elif low_spent.total > least.total:
            slope = (low_spent.total - least.total) / (low - 1)
            guess = max(low + 1, int(1 + (aim_at - least.total) / slope))
        elif guess >= total:
            rule = f"cannot be met: options fix the shots, {found.total} in all"
            raise InputError.of([Problem("total_shots", rule, "leave twirling's numbers to quell")])
        else:
            guess = max(total, low + 1)  # perhaps the first step; values take at least what they ask for
    return low, low_spent


def learning_within(total: int, options: EstimatorOptions, learning_shots: int) -> str:
    """Let learning layers take at most a half of a budget, where the user leaves its size to us; say how.

    Args:
        total: Shots in all.
        options: Changed in place.
        learning_shots: What learning takes with them as they are.

    Returns:
        What was changed, in words; empty if nothing was.
    """
    group = options.resilience.layer_noise_learning
    default = EstimatorOptions().resilience.layer_noise_learning
    if learning_shots <= _LEARNING * total:
        return ""
    share = _LEARNING * total / learning_shots
    before = (group.num_randomizations, group.shots_per_randomization)
    if group.shots_per_randomization == default.shots_per_randomization:
        shots = max(_LEAST_SHOTS, math.floor(group.shots_per_randomization * share))
        share *= group.shots_per_randomization / shots
        group.shots_per_randomization = min(shots, group.shots_per_randomization)
    if group.num_randomizations == default.num_randomizations and share < 1:
        group.num_randomizations = max(_LEAST_RANDOMIZATIONS, math.floor(group.num_randomizations * share))
    after = (group.num_randomizations, group.shots_per_randomization)
    if after == before:
        return ""
    return (
        f"noise of layers is learned with {after[0]} x {after[1]} shots a circuit instead of "
        f"{before[0]} x {before[1]}, so that data get half of the budget"
    )
