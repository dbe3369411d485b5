"""Zero-noise extrapolation: what was measured, the models, and the value that is reported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ..errors import InputError, Problem
from .figures import COLOURS, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

#: Lines and markers tell the models apart in grey.
_LINES: Final[tuple[Any, ...]] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)))
_MARKERS: Final = ("s", "^", "v", "D", "P", "X")
#: Points of a curve that is drawn through the evaluated ones.
_RESOLUTION: Final = 200
#: With more evaluated points than this, their markers are small.
_MANY: Final = 8


@frozen(eq=False)
class _Curve:
    """One model for one value of a PUB.

    Attributes:
        name: Name of the extrapolator.
        factors: Where it was evaluated, ascending, float64 ``(E,)``; so are `values` and `errors`.
        values: The model.
        errors: Standard errors.
        chosen: For how many terms it gives the zero-noise value.
        terms: How many terms there are.
        status: Why it failed, empty where it did not.
    """

    name: str
    factors: Floats
    values: Floats
    errors: Floats
    chosen: int
    terms: int
    status: str

    def label(self, reported: bool) -> str:
        """Return what the legend says, given whether the extrapolated value is the reported one."""
        if self.status:
            return f"{self.name} (failed)"
        if not self.chosen:
            return self.name
        share = "" if self.chosen == self.terms else f" for {self.chosen} of {self.terms} terms"
        return f"{self.name} (chosen{share}{'' if reported else ', not reported'})"

    def between(self) -> tuple[Floats, Floats, Floats]:
        """Return many factors, and values and errors there, by interpolation that adds no extremum."""
        if len(self.factors) < 2:
            return self.factors, self.values, self.errors
        from scipy.interpolate import PchipInterpolator

        x = np.linspace(self.factors[0], self.factors[-1], _RESOLUTION)
        values, errors = (PchipInterpolator(self.factors, y)(x) for y in (self.values, self.errors))
        return x, values, errors


def zne(result: Any, index: int | Sequence[int] = (), *, ax: Axes | None = None) -> Axes:
    """Draw the zero-noise extrapolation of one value of a PUB.

    Circles with error bars are what was measured at the achieved noise factors. Each model is drawn where it was
    evaluated, at `evs_extrapolated`, by its markers, with a light band of its standard error. Lines between markers
    are a monotone cubic interpolation (PCHIP), not the model itself, which is fitted to every Pauli term apart and
    cannot be made again from the result; evaluate at more points with ``resilience.zne.extrapolated_noise_factors``
    for curves that are exact in more places. The diamond at zero is the reported value, `evs` with `stds`. Where it
    was not extrapolated, because the guard kept what was measured or because models failed, it is hollow and the
    legend says so.

    Args:
        result: The result of one PUB of an `Estimator` with ZNE.
        index: Which value of the PUB: an integer or several, nothing for a PUB of a single value.
        ax: Axes to draw on; by default those of a new figure.

    Returns:
        The axes.

    Raises:
        InputError: The result was not extrapolated, or has no such value.
        MissingDependencyError: matplotlib is not installed.
    """
    found = _extrapolation(result)
    place = _place(index, np.shape(result.data.evs))
    if ax is None:
        _, ax = pyplot().subplots(figsize=(6.4, 4.2), layout="constrained")
    data = result.data
    factors = np.asarray(found["noise_factors"], dtype=float)
    measured, bars = data.evs_noise_factors[place], data.stds_noise_factors[place]
    value, error, status = float(data.evs[place]), float(data.stds[place]), str(data.status[place])

    ax.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    for k, curve in enumerate(_curves(data, found, place)):
        style = COLOURS[k % len(COLOURS)], _LINES[k % len(_LINES)], _MARKERS[k % len(_MARKERS)]
        _draw(ax, curve, curve.label(not status), *style)
    ax.errorbar(
        factors,
        measured,
        yerr=bars,
        fmt="o",
        color="black",
        capsize=4,
        markersize=5,
        label="measured",
        zorder=4,
    )
    if status:
        # The value was not extrapolated: show from where it was taken.
        ax.plot([0, factors[0]], [value, measured[0]], color="black", linewidth=0.8, linestyle=":", zorder=1)
    ax.errorbar(
        [0.0],
        [value],
        yerr=[error],
        fmt="D",
        color="black",
        markerfacecolor="white" if status else "black",
        markersize=8,
        capsize=6,
        linewidth=1.8,
        label=_reported(status),
        zorder=5,
    )
    ax.set_xlabel("noise factor")
    ax.set_ylabel("expectation value")
    ax.set_title("Zero-noise extrapolation" + (f", value {', '.join(map(str, place))}" if place else ""))
    ax.legend(fontsize="small")
    return ax


def _draw(ax: Axes, curve: _Curve, label: str, colour: str, line: Any, marker: str) -> None:
    """Draw one model; one that failed is only named."""
    if curve.status:
        ax.plot([], [], color=colour, linestyle="", marker=marker, markersize=5, label=label)
        return
    from matplotlib.collections import PolyCollection

    x, values, errors = curve.between()
    edges = np.concatenate([values - errors, (values + errors)[::-1]])
    corners = np.stack([np.concatenate([x, x[::-1]]), edges], axis=1)
    strength = 0.2 if curve.chosen else 0.1
    band = PolyCollection([corners], facecolors=colour, edgecolors="none", alpha=strength, zorder=1)
    # The band of a model that determines nothing must not decide how much room the data get.
    ax.add_collection(band, autolim=bool(curve.chosen))
    size = 5.0 if len(curve.factors) <= _MANY else 3.0
    ax.plot(x, values, color=colour, linestyle=line, linewidth=1.5, zorder=2)
    ax.plot(curve.factors, curve.values, color=colour, linestyle="", marker=marker, markersize=size, zorder=3)
    # One entry in the legend for the line and its markers.
    ax.plot([], [], color=colour, linestyle=line, marker=marker, markersize=size, linewidth=1.5, label=label)


def _reported(status: str) -> str:
    if status.startswith("kept"):
        return "reported: as measured (guard)"
    if status:
        return "reported: not extrapolated (failed)"
    return "reported: zero noise"


def _extrapolation(result: Any) -> dict[str, Any]:
    """Return what metadata say about ZNE."""
    metadata = getattr(result, "metadata", None) or {}
    found = metadata.get("resilience", {}).get("zne")
    if found is None or not hasattr(getattr(result, "data", None), "evs_noise_factors"):
        rule = "is not the result of a PUB with zero-noise extrapolation"
        fix = "set options.resilience.zne_mitigation, and give one element of job.result()"
        raise InputError.of([Problem("result", rule, fix)])
    return dict(found)


def _place(index: int | Sequence[int], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a complete index of one value, with positive numbers only."""
    try:
        numbers = tuple(int(i) for i in np.array(index, dtype=object).ravel() if i == int(i))
        whole = len(numbers) == np.size(index)
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise InputError.of([Problem("index", f"{index!r} must be an integer or several")])
    if len(numbers) != len(shape) or any(not -n <= i < n for i, n in zip(numbers, shape, strict=True)):
        values = (
            f"one of the values of shape {shape}" if shape else "a PUB of a single value, whose index is ()"
        )
        raise InputError.of([Problem("index", f"{index!r} does not point to {values}")])
    return tuple(i % n for i, n in zip(numbers, shape, strict=True))


def _curves(data: Any, found: dict[str, Any], place: tuple[int, ...]) -> Iterator[_Curve]:
    """Yield the models of one value."""
    shape = np.shape(data.evs)
    row = int(np.ravel_multi_index(place, shape)) if place else 0
    used = list(found["extrapolators"][row].values())
    # Users may ask for the same factor twice, and in any order.
    factors, order = np.unique(
        np.asarray(found["extrapolated_noise_factors"], dtype=float), return_index=True
    )
    status = np.asarray(found["status_extrapolated"], dtype=object)[place]
    for k, name in enumerate(found["extrapolator"]):
        yield _Curve(
            name,
            factors,
            data.evs_extrapolated[place][k][order],
            data.stds_extrapolated[place][k][order],
            used.count(name),
            len(used),
            str(status[k]),
        )
