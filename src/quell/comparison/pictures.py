"""The pictures of a comparison, and what is written below them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen

from ..errors import InputError, Problem
from ..plots import comparison as plots
from .summary import Summary, measured, summaries

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .comparison import Comparison

#: What can be drawn, in the order of a report.
PICTURES: Final = ("values", "costs", "coverage")
#: Costs that are all within this factor are the same.
_SAME: Final = 1.05
_NOMINAL: Final = 0.95


@frozen
class Caption:
    """What a picture shows.

    Attributes:
        name: One of `PICTURES`.
        alt: What stands in for the picture.
        text: What is written below it.
    """

    name: str
    alt: str
    text: str


@frozen
class _Measure:
    """What the picture of costs has on its axes.

    Attributes:
        unit: Of the horizontal axis.
        quantity: Of the vertical axis.
        field: Of `Summary`, for the horizontal axis.
        error_field: Of `Summary`, for the vertical one.
    """

    unit: str
    quantity: str
    field: str
    error_field: str


def draw(comparison: Comparison, name: str = "values", **how: Any) -> Figure:
    """Draw one picture of a comparison.

    Args:
        comparison: What was measured.
        name: One of `PICTURES`.
        **how: What `quell.plots.comparison.values`, `costs` or `coverage` take beside the data, as ``width=3.4``.

    Raises:
        InputError: There is no picture of this name, or nothing to draw in it.
        MissingDependencyError: matplotlib is not installed.
    """
    if name not in PICTURES:
        raise InputError.of([Problem("name", f"{name!r} is no picture", f"there are {', '.join(PICTURES)}")])
    if name not in available(comparison):
        reasons = {
            "values": "no strategy has values",
            "costs": "no strategy has an error and a cost",
            "coverage": "it needs a reference, error bars and two repeats",
        }
        raise InputError.of([Problem(name, "cannot be drawn", reasons[name])])
    drawn: Figure = {"values": _values, "costs": _costs, "coverage": _coverage}[name](comparison, how)
    return drawn


def available(comparison: Comparison) -> tuple[str, ...]:
    """Return the pictures that can be drawn, in the order of `PICTURES`."""
    found = summaries(comparison)
    measure = _measure(comparison, found)
    can = {
        "values": any(s.repeats for s in found),
        "costs": any(
            getattr(s, measure.field) and getattr(s, measure.error_field) is not None for s in found
        ),
        "coverage": any(s.repeats > 1 and s.coverage is not None for s in found),
    }
    return tuple(name for name in PICTURES if can[name])


def caption(comparison: Comparison, name: str) -> Caption:
    """Return what is written below a picture: what bars mean, and of how many repeats."""
    found = summaries(comparison)
    names = ", ".join(s.name for s in found if s.repeats)
    repeats = counted(found)
    if name == "values":
        return Caption(
            name, f"Estimates of {len(comparison.labels)} values by {names}.", _of_values(comparison, repeats)
        )
    if name == "costs":
        measure = _measure(comparison, found)
        text = (
            f"{measure.quantity[0].upper()}{measure.quantity[1:]} of {repeats} against what one repeat takes, "
            "calibration included, on logarithmic scales."
        )
        if comparison.reference is not None:
            text += " Bars are standard errors of the rms error."
        text += " The step line is the Pareto front: no other strategy is both cheaper and better."
        if any(s.is_raw and getattr(s, measure.field) for s in found):
            text += " The dashed line falls with one over the square root of the cost from the raw strategy"
            text += (
                ": its error with more shots, if it had no bias." if comparison.reference is not None else "."
            )
        return Caption(name, f"{measure.quantity} against {measure.unit} of {names}.", text)
    level = float(comparison.settings.get("confidence", _NOMINAL))
    return Caption(
        name,
        f"Deviations in units of the error bar, and coverage, of {names}.",
        f"Left: deviation from the reference in units of the strategy's own error bar, one dot for each value and "
        f"repeat (quantiles where there are many), {repeats}; arrowheads with how many lie beyond. Where error bars "
        f"are right, {100 * _NOMINAL:g} % lie between the dashed lines. Right: the share that does; bars are its "
        f"{100 * level:g} % interval, in which values of one repeat do not count as independent. The dashed line is "
        "the nominal level.",
    )


def counted(found: tuple[Summary, ...]) -> str:
    """Return how many repeats there are, in words."""
    numbers = sorted({s.repeats for s in found if s.repeats})
    if not numbers:
        return "no repeats"
    if len(numbers) > 1:
        return f"{numbers[0]} to {numbers[-1]} repeats"
    return "one repeat" if numbers == [1] else f"{numbers[0]} repeats"


def _of_values(comparison: Comparison, repeats: str) -> str:
    several = repeats != "one repeat"
    known = comparison.reference is not None
    if len(comparison.labels) > 1 and known:
        text = "Deviation of every value from the reference (line)."
    elif known:
        text = "Estimates and the reference (line)."
    else:
        text = "Estimates of every value, less the median of the strategies where values are far apart."
    if not several:
        return f"{text} Markers are the values of one repeat, bars the reported standard errors."
    return (
        f"{text} Markers are means over {repeats}. Thick bars are the reported standard error of one repeat, thin "
        "whiskers the standard deviation between repeats: they agree where error bars are right. The mean itself "
        "is more certain than either."
    )


def _values(comparison: Comparison, how: dict[str, Any]) -> Figure:
    series = []
    for strategy in comparison.strategies:
        own = measured(comparison, strategy.name)
        if not own.trials:
            series.append(plots.Estimates(strategy.name, None))
            continue
        values, errors = own.arrays()
        series.append(
            plots.Estimates(
                strategy.name,
                values.mean(axis=0),
                np.sqrt((errors**2).mean(axis=0)) if own.has_errors else None,
                values.std(axis=0, ddof=1) if len(values) > 1 else None,
            )
        )
    return plots.values(series, comparison.labels, **{"reference": comparison.reference, **how})


def _measure(comparison: Comparison, found: tuple[Summary, ...]) -> _Measure:
    """Return what the picture of costs shows: QPU time only where all strategies take the same shots."""
    error, field = (
        ("rms error", "rmse") if comparison.reference is not None else ("rms error bar", "mean_error")
    )
    shots = [s.shots for s in found if s.repeats and s.shots]
    times = [s.qpu_seconds for s in found if s.repeats and s.qpu_seconds]
    same = bool(shots) and max(shots) <= _SAME * min(shots)
    if same and len(times) == len(shots) and max(times) > _SAME * min(times):
        return _Measure("estimated QPU time (s)", error, "qpu_seconds", field)
    return _Measure("shots of a repeat", error, "shots", field)


def _costs(comparison: Comparison, how: dict[str, Any]) -> Figure:
    found = summaries(comparison)
    measure = _measure(comparison, found)
    points = [
        plots.Cost(
            s.name,
            getattr(s, measure.field) if s.repeats else None,
            getattr(s, measure.error_field),
            s.rmse_error if measure.error_field == "rmse" else None,
        )
        for s in found
    ]
    raw = next((s.name for s in found if s.is_raw), None)
    fixed = {"unit": measure.unit, "quantity": measure.quantity, "guide": raw}
    return plots.costs(points, **{**fixed, **how})


def _coverage(comparison: Comparison, how: dict[str, Any]) -> Figure:
    points = []
    for s in summaries(comparison):
        z: Any = ()
        own = measured(comparison, s.name)
        if s.repeats > 1 and s.coverage is not None and comparison.reference is not None:
            values, errors = own.arrays()
            known = errors > 0
            z = ((values - comparison.reference)[known] / errors[known]).ravel()
        points.append(plots.Coverage(s.name, s.coverage if s.repeats > 1 else None, s.coverage_interval, z))
    return plots.coverage(points, **{"nominal": _NOMINAL, **how})
