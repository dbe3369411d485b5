"""Pictures of a comparison: values against the reference, error against cost, and whether error bars cover."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, Problem
from .estimates import Estimates, values
from .logarithms import log_ticks, room, steps_to
from .placement import place_labels
from .styles import LETTERS, SMALL, WIDTH, distinct, look, new_figure, settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Cost", "Coverage", "Estimates", "costs", "coverage", "values"]

Floats = NDArray[np.float64]

_POINT: Final = 72.0  # points in an inch
#: z scores beyond this are arrowheads.
_LARGEST_Z: Final = 5.0
#: Behind numbers, so that dots do not run through them.
_PAPER: Final = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6}
#: So many z scores of a strategy are single dots; more are a sample of quantiles.
_DOTS: Final = 120
#: A sloped line is so many boxes that names should not cover.
_PIECES: Final = 60
#: Pictures of fewer inches have shorter words.
_NARROW: Final = 4.5


@frozen
class Cost:
    """What one strategy costs and how good it is.

    Attributes:
        name: Name of the strategy.
        cost: What it takes, in the unit of the picture; None if it failed.
        error: Its error; None if it failed.
        error_bar: Standard error of `error`.
    """

    name: str
    cost: float | None
    error: float | None
    error_bar: float | None = None


@frozen(eq=False)
class Coverage:
    """How often the intervals of one strategy contain the reference.

    Attributes:
        name: Name of the strategy.
        coverage: Share of intervals, 0 to 1; None if it is not known.
        interval: Confidence interval of `coverage`.
        z: Deviations from the reference in units of the reported error bar, of all repeats and values.
    """

    name: str
    coverage: float | None
    interval: tuple[float, float] | None = None
    z: ArrayLike = ()


def front(costs: Sequence[float], errors: Sequence[float]) -> list[int]:
    """Return the places of the Pareto front, ascending in cost: no other point costs less and has less error."""
    order = sorted(range(len(costs)), key=lambda k: (costs[k], errors[k]))
    kept: list[int] = []
    for k in order:
        if not kept or errors[k] < errors[kept[-1]]:
            kept.append(k)
    return kept


def costs(
    points: Sequence[Cost],
    *,
    unit: str = "shots",
    quantity: str = "rms error",
    guide: str | None = "raw",
    width: float = 5.0,
    figure: Figure | None = None,
) -> Figure:
    """Draw error against cost, both on logarithmic scales, with the Pareto front.

    Bars are standard errors of the error. The step line is the front: strategies for which no other is both cheaper
    and better. The dashed line falls with one over the square root of the cost through the strategy `guide`: what it
    would reach with more shots if it had no bias. Strategies without error are at the lower edge, as arrowheads.

    Args:
        points: One for each strategy; those without cost keep their place in the sequence of colours.
        unit: What the cost is, with its unit.
        quantity: What the error is.
        guide: Name of the strategy that the dashed line goes through; nothing is drawn where there is none.
        width: Width in inches.
        figure: Figure to draw in, which is cleared; by default a new one that pyplot does not keep.

    Returns:
        The figure.

    Raises:
        InputError: No strategy has cost and error.
        MissingDependencyError: matplotlib is not installed.
    """
    names = distinct([p.name for p in points], 28)
    shown = [k for k, p in enumerate(points) if _positive(p.cost) and p.error is not None and p.error >= 0]
    if not shown:
        raise InputError.of([Problem("points", "none has a cost above 0 and an error", "give one that has")])
    x = np.array([points[k].cost for k in shown], dtype=np.float64)
    y = np.array([points[k].error for k in shown], dtype=np.float64)
    bars = np.array([points[k].error_bar or 0.0 for k in shown], dtype=np.float64)
    some = y > 0
    left, right = room(x, 1.35)
    reach = np.concatenate([y[some] + bars[some], np.maximum(y[some] - bars[some], y[some] / 2)])
    low, high = room(reach, 1.3) if some.any() else (0.1, 1.0)
    at = np.where(some, y, low * 1.04)
    steps = front(x.tolist(), y.tolist())
    corners = steps_to(x[steps], at[steps], right)
    with settings():
        fig = new_figure(width, 0.78 * width, figure)
        ax = fig.subplots()
        ax.set(xscale="log", yscale="log", xlabel=unit, ylabel=quantity, xlim=(left, right), ylim=(low, high))
        log_ticks(ax.xaxis, left, right)
        log_ticks(ax.yaxis, low, high)
        ax.plot(*corners.T, color="black", linewidth=0.9, zorder=2, label="Pareto front")
        leader = next((i for i, k in enumerate(shown) if points[k].name == guide and some[i]), None)
        if leader is not None:
            ends = np.array([left, right])
            label = f"{names[shown[leader]]}: 1/$\\sqrt{{\\mathrm{{cost}}}}$"
            dashes: dict[str, Any] = {"linestyle": (0, (4, 3)), "linewidth": 0.9, "zorder": 1, "label": label}
            ax.plot(ends, y[leader] * np.sqrt(x[leader] / ends), color="0.5", **dashes)
        for i, k in enumerate(shown):
            markers = look(k).markers(6.0) | ({} if some[i] else {"marker": "v"})
            if bars[i] > 0 and some[i]:
                # A bar that includes 0 leaves the picture below.
                size = [[min(bars[i], y[i] * (1 - 1e-6))], [bars[i]]]
                style: dict[str, Any] = {"fmt": "none", "elinewidth": 1.1, "capsize": 2.5}
                ax.errorbar(x[i : i + 1], y[i : i + 1], yerr=size, color=look(k).colour, **style)
            ax.plot(x[i : i + 1], at[i : i + 1], linestyle="", zorder=4, **markers)
        fig.legend(loc="outside upper right", ncols=2, frameon=False, borderpad=0.1)
        covered = [corners]
        if leader is not None:
            ends = np.geomspace(left, right, _PIECES)
            covered.append(np.stack([ends, y[leader] * np.sqrt(x[leader] / ends)], axis=1))
        _name_points(fig, ax, [names[k] for k in shown], x, at, bars, covered)
    return fig


def coverage(
    points: Sequence[Coverage],
    *,
    nominal: float = 0.95,
    width: float = WIDTH,
    figure: Figure | None = None,
) -> Figure:
    """Draw how often intervals contain the reference, beside the z scores that decide it.

    On the left every dot is one value of one repeat: its deviation from the reference in units of its own error bar.
    Intervals that hold contain the reference as often as they say, so that share of dots lies between the dashed
    lines. On the right is that share with its confidence interval; the dashed line is what it should be.

    Args:
        points: One for each strategy; those without coverage keep their place in the sequence of colours.
        nominal: What the coverage should be.
        width: Width in inches.
        figure: Figure to draw in, which is cleared; by default a new one that pyplot does not keep.

    Returns:
        The figure.

    Raises:
        InputError: No strategy has a coverage.
        MissingDependencyError: matplotlib is not installed.
    """
    names = distinct([p.name for p in points], 28)
    shown = [k for k, p in enumerate(points) if p.coverage is not None]
    if not shown:
        raise InputError.of([Problem("points", "none has a coverage", "give one that has")])
    scores = {k: _finite(points[k].z) for k in shown}
    with settings():
        from matplotlib.ticker import PercentFormatter

        fig = new_figure(width, 0.75 + 0.26 * len(shown), figure)
        both = any(len(z) for z in scores.values())
        axes = fig.subplots(
            1, 1 + both, sharey=True, squeeze=False, width_ratios=[1.2, 1.0] if both else [1.0]
        )[0]
        lowest = 1.0
        for row, k in enumerate(shown):
            own, share = look(k), float(points[k].coverage or 0.0)
            for ax in axes if row % 2 else ():
                ax.axhspan(row - 0.5, row + 0.5, color="0.95", linewidth=0, zorder=0)
            if both:
                _dots(axes[0], scores[k], row, own.colour)
            ends = points[k].interval
            if ends is not None:
                lowest = min(lowest, ends[0])
                axes[-1].plot(ends, [row, row], color=own.colour, linewidth=2.2, alpha=0.55, zorder=3)
            lowest = min(lowest, share)
            axes[-1].plot([share], [row], linestyle="", clip_on=False, zorder=4, **own.markers(5.5))
        axes[0].set(
            yticks=range(len(shown)), yticklabels=[names[k] for k in shown], ylim=(len(shown) - 0.5, -0.5)
        )
        for ax in axes:
            ax.tick_params(axis="y", length=0)
        dashed: dict[str, Any] = {"color": "black", "linewidth": 0.9, "linestyle": (0, (4, 3)), "zorder": 1}
        if both:
            half = _half_width(nominal)
            axes[0].axvline(-half, **dashed)
            axes[0].axvline(half, **dashed)
            axes[0].axvline(0.0, color="0.6", linewidth=0.7, zorder=1)
            axes[0].set_xlim(-_LARGEST_Z - 0.4, _LARGEST_Z + 0.4)
            axes[0].set_xlabel("deviation / error bar")
        axes[-1].axvline(nominal, **dashed)
        axes[-1].set_xlim(max(min(lowest, nominal - 0.1) - 0.03, -0.02), 1.005)
        axes[-1].xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol="\N{THIN SPACE}%"))
        axes[-1].set_xlabel(f"coverage (nominal {100 * nominal:g} %)" if width >= _NARROW else "coverage")
    return fig


def _positive(number: float | None) -> bool:
    return number is not None and 0 < number < np.inf


def _finite(z: ArrayLike) -> Floats:
    found = np.asarray(z, dtype=np.float64).reshape(-1)
    return np.asarray(np.sort(found[~np.isnan(found)]), dtype=np.float64)


def _half_width(nominal: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + nominal / 2))


def _name_points(
    fig: Figure, ax: Axes, names: Sequence[str], x: Floats, y: Floats, bars: Floats, lines: Sequence[Floats]
) -> None:
    """Write the name of each point where it covers nothing, with a line to the point where it is far off."""
    texts = [
        ax.text(a, b, name, fontsize=LETTERS if len(names) < 9 else SMALL)
        for a, b, name in zip(x, y, names, strict=True)
    ]
    fig.draw_without_rendering()
    # The layout is settled: placing names must not change it.
    fig.set_layout_engine("none")
    scale = _POINT / fig.dpi
    points = ax.transData.transform(np.stack([x, y], axis=1)) * scale
    extents = [text.get_window_extent() for text in texts]
    sizes = np.array([[box.width, box.height] for box in extents]) * scale + 1.0
    frame = ax.get_window_extent()
    bounds = np.array([frame.x0, frame.y0, frame.x1, frame.y1]) * scale
    ends = [
        ax.transData.transform(np.stack([x, edge], axis=1)) * scale
        for edge in (np.maximum(y - bars, ax.get_ylim()[0]), y + bars)
    ]
    markers = np.concatenate([points - 4.0, points + 4.0], axis=1)
    whiskers = np.concatenate([ends[0] - [1.5, 0.0], ends[1] + [1.5, 0.0]], axis=1)
    boxes = [markers, whiskers]
    for line in lines:
        way = ax.transData.transform(line) * scale
        low, high = np.minimum(way[:-1], way[1:]), np.maximum(way[:-1], way[1:])
        boxes.append(np.concatenate([low - 0.5, high + 0.5], axis=1))
    places = place_labels(points, sizes, np.concatenate(boxes), bounds)
    back = ax.transData.inverted()
    for text, point, place, size in zip(texts, points, places, sizes, strict=True):
        text.set_position(tuple(back.transform((place + 0.5) / scale)))
        text.set_verticalalignment("bottom")
        near = np.clip(point, place, place + size)
        if np.hypot(*(near - point)) > 11.0:
            ends_at = back.transform(np.stack([point, near]) / scale)
            ax.plot(*ends_at.T, color="0.5", linewidth=0.5, zorder=1.5)


def _dots(ax: Axes, z: Floats, row: int, colour: str) -> None:
    """Draw z scores in a row, ascending; how many lie beyond the edge is written there."""
    total = len(z)
    if total > _DOTS:
        z = np.quantile(z, (np.arange(_DOTS) + 0.5) / _DOTS, method="inverted_cdf")
    # Dots of one row are spread by the golden ratio, which leaves no pattern and needs no chance.
    offsets = 0.5 * ((np.arange(len(z)) * 0.6180339887) % 1.0 - 0.5)
    inside = np.abs(z) <= _LARGEST_Z
    style: dict[str, Any] = {"linestyle": "", "color": colour, "markeredgewidth": 0.0, "zorder": 3}
    ax.plot(z[inside], row + offsets[inside], marker="o", markersize=2.6, alpha=0.6, **style)
    for side, marker, align in ((-1, "<", "left"), (1, ">", "right")):
        out = int((side * z > _LARGEST_Z).sum())
        if out:
            edge = side * (_LARGEST_Z + 0.2)
            ax.plot([edge], [row], marker=marker, markersize=4.5, **style)
            share = f"{out}" if total <= _DOTS else f"{out / len(z):.0%}"
            ax.text(
                edge - 0.3 * side, row, share, fontsize=SMALL, ha=align, va="center", zorder=5, bbox=_PAPER
            )
