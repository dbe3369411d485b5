"""What is recommended, and the words for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from .cells import count, percentage, plural, with_error
from .summary import Summary

if TYPE_CHECKING:
    from .comparison import Comparison

#: Repeats from which on the spread between them tells differences, and from which on it does so well.
FEW, ENOUGH = 3, 5


@frozen
class Recommendation:
    """Which strategy to take; printing it gives the reason.

    Attributes:
        strategy: Its name.
        reason: Why, in plain sentences with the numbers.
        runners_up: The others that may be taken, the best first.
        confidence: "high", "moderate" or "low": whether another comparison would say the same.
        warnings: What should be known before relying on it.
    """

    strategy: str
    reason: str
    runners_up: tuple[str, ...]
    confidence: str
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.reason


def error_of(s: Summary) -> str:
    """Return the rms error of a strategy in words."""
    return "unknown" if s.rmse is None else with_error(s.rmse, s.rmse_error)


def cost_of(s: Summary) -> str:
    """Return what a repeat of a strategy costs in words."""
    return f"{count(s.shots)} shots"


def share_of(s: Summary) -> str:
    """Return how often intervals contain the reference, in words."""
    found = f"{s.covered} times of {s.intervals}"
    return found if s.repeats == 1 else f"{found}, {percentage(s)}"


def warnings_of(comparison: Comparison, found: Mapping[str, Summary]) -> list[str]:
    """Return what holds with and without a reference: few repeats, failures."""
    repeats = max(s.repeats for s in found.values())
    said = []
    if repeats < FEW:
        run = plural(repeats, "repeat")
        said.append(
            f"{run} only: error bars are believed, and differences hard to tell; run {ENOUGH} or more."
        )
    for s in comparison.summaries:
        if s.failure:
            said.append(f"{s.name} has no values: {s.failure.rstrip('.')}.")
        elif s.failed_repeats:
            every = s.failed_repeats + s.repeats
            said.append(f"{s.name} has no values in {s.failed_repeats} of {every} repeats.")
    return said


def failures_of(comparison: Comparison) -> str:
    """Return why strategies have no values, in one line."""
    return "; ".join(f"{s.name}: {s.failure}" for s in comparison.summaries if s.failure)
