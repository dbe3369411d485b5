"""Pictures of values as rows: all strategies in each, or a panel for each strategy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from .sheets import Sheet, limits_of
from .styles import LETTERS, SMALL, distinct, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

#: Inches: a strategy in the row of a value, the room between rows, a row with one strategy, axes with labels.
LINE: Final = 0.095
GAP: Final = 0.13
_ROW: Final = 0.15
FRAME: Final = 0.55
#: Inches: the narrowest panel, a panel without row labels, and the tallest picture with names, which is a page.
_PANEL: Final = 0.86
_SHORT_PANEL: Final = 1.25
_PAGE: Final = 9.6
#: So many values are named at the side, more are numbered.
_NAMED: Final = 32
#: Letters of a label beside panels.
_FEW_LETTERS: Final = 18
#: Where arrowheads stand, between the middle of the axis and its end.
_EDGE: Final = 0.955


def side_by_side(sheet: Sheet, width: float, figure: Figure | None) -> Figure:
    """Draw values as rows with all strategies in each."""
    strategies, rows = sheet.places.shape
    line = 2 * LINE if rows == 1 else LINE
    title, legend = (0.0, 0.0) if rows > 1 else (0.28, 0.0)
    columns = max(1, min(strategies, int(width / (0.35 + 0.065 * max(len(n) for n in sheet.names)))))
    columns = -(-strategies // -(-strategies // columns))
    if rows > 1:
        legend = 0.17 * -(-strategies // columns) + 0.1
    height = FRAME + title + legend + max(rows * (line * strategies + GAP), 0.5)
    fig = new_figure(width, height, figure)
    whole, near = limits_of(sheet)
    views = [whole] if near is None else [whole, near]
    axes = fig.subplots(1, len(views), sharey=True, squeeze=False, width_ratios=[1.0, 1.25][: len(views)])[0]
    offsets = (np.arange(strategies) + 0.5 - strategies / 2) * line / (line * strategies + GAP)
    for ax, limits in zip(axes, views, strict=True):
        for row in range(1, rows, 2):
            ax.axhspan(row - 0.5, row + 0.5, color="0.95", linewidth=0, zorder=0)
        _reference(ax, sheet)
        for k in range(strategies):
            _bars(ax, sheet, k, np.arange(rows) + offsets[k], limits, 4.2)
        ax.set_xlim(*limits)
        ax.set_ylim(rows - 0.5, -0.5)
        ax.tick_params(axis="y", length=0)
    if near is not None:
        axes[0].set_title("everything", loc="left", color="0.3")
        axes[1].set_title("closer; arrowheads: further out", loc="left", color="0.3")
    if rows == 1:
        axes[0].set_yticks(offsets, sheet.names)
        fig.suptitle(sheet.labels[0], fontsize=LETTERS)
    else:
        axes[0].set_yticks(range(rows), sheet.labels)
        _legend(fig, sheet, columns)
    fig.supxlabel(sheet.quantity, fontsize=LETTERS)
    return fig


def panels(sheet: Sheet, width: float, figure: Figure | None) -> Figure:
    """Draw a panel for each strategy."""
    strategies, rows = sheet.places.shape
    whole, near = limits_of(sheet, for_most=True)
    limits = near or whole
    labels = distinct([label.replace(r"\$", "$") for label in sheet.labels], _FEW_LETTERS)
    side = 0.1 + 0.055 * max(len(label) for label in labels)
    columns = max(1, min(strategies, int((width - side) / _PANEL)))
    height = rows * _ROW + 0.3
    named = rows <= _NAMED and -(-strategies // columns) * height <= _PAGE
    if not named:
        columns, height = min(strategies, 2 if width > 5 else 1), _SHORT_PANEL
    # Full lines of panels, then as few empty places as possible.
    lines = -(-strategies // columns)
    columns = -(-strategies // lines)
    room = int((width - side) / columns / 0.056) if named else 60
    titles = distinct([name.replace(r"\$", "$") for name in sheet.names], room)
    fig = new_figure(width, lines * height + 0.4, figure)
    axes = fig.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for k, ax in enumerate(axes.ravel()):
        if k >= strategies:
            ax.set_axis_off()
            continue
        ax.set_title(titles[k], fontsize=SMALL if named else LETTERS)
        if named:
            for row in range(1, rows, 2):
                ax.axhspan(row - 0.5, row + 0.5, color="0.95", linewidth=0, zorder=0)
            _reference(ax, sheet)
            _bars(ax, sheet, k, np.arange(float(rows)), limits, 3.4)
            ax.set(xlim=limits, ylim=(rows - 0.5, -0.5), yticks=range(rows), yticklabels=labels)
            ax.tick_params(axis="y", length=0, labelsize=SMALL)
            ax.locator_params(axis="x", nbins=3)
            # The lowest panel of each column has numbers, also where one below it is empty.
            ax.tick_params(axis="x", labelbottom=k + columns >= strategies)
        else:
            _reference(ax, sheet, upright=False)
            _bars(ax, sheet, k, np.arange(1.0, rows + 1), limits, 2.6, upright=False)
            ax.set(ylim=limits, xlim=(0.0, rows + 1.0))
            ax.tick_params(axis="x", labelbottom=k + columns >= strategies)
    arrows = "; arrowheads: further out" if near else ""
    quantity = sheet.quantity + arrows
    if named:
        fig.supxlabel(quantity, fontsize=LETTERS)
    else:
        fig.supxlabel("number of the value", fontsize=LETTERS)
        fig.supylabel(quantity, fontsize=LETTERS)
    return fig


def _reference(ax: Axes, sheet: Sheet, upright: bool = True) -> None:
    """Draw the reference: one line where it is the same for all values, else a piece for each."""
    if sheet.lines is None:
        return
    style: dict[str, Any] = {"color": "black", "linewidth": 0.9, "zorder": 1}
    if np.ptp(sheet.lines) == 0:
        (ax.axvline if upright else ax.axhline)(float(sheet.lines[0]), **style)
        return
    rows = np.arange(len(sheet.lines)) + (0 if upright else 1)
    (ax.vlines if upright else ax.hlines)(
        sheet.lines, rows - 0.5, rows + 0.5, colors="black", linewidth=0.9, zorder=1
    )


def _bars(
    ax: Axes,
    sheet: Sheet,
    k: int,
    rows: Floats,
    limits: tuple[float, float],
    size: float,
    upright: bool = True,
) -> None:
    """Draw one strategy: markers, thick bars, thin whiskers, arrowheads for what is outside.

    Args:
        ax: Where.
        sheet: What.
        k: Number of the strategy.
        rows: float64 (values,): where each value is across the axis.
        limits: Ends of the axis.
        size: Of markers, in points.
        upright: Whether values are rows.
    """
    where, own = sheet.places[k], sheet.looks[k]
    inside = np.isfinite(where) & (where >= limits[0]) & (where <= limits[1])
    x, y = (where[inside], rows[inside]) if upright else (rows[inside], where[inside])
    bar = "xerr" if upright else "yerr"
    style: dict[str, Any] = {"color": own.colour, "fmt": "none", "zorder": 3}
    thin: dict[str, Any] = style | {bar: sheet.spread[k][inside], "elinewidth": 0.7, "capsize": 1.8}
    thick: dict[str, Any] = style | {bar: sheet.errors[k][inside], "elinewidth": 2.2, "alpha": 0.55}
    if sheet.spread[k].any():
        ax.errorbar(x, y, capthick=0.7, **thin)
    if sheet.errors[k].any():
        ax.errorbar(x, y, **thick)
    ax.plot(x, y, linestyle="", zorder=4, **own.markers(size))
    for out, edge, mark in (
        (where < limits[0], limits[0], "<" if upright else "v"),
        (where > limits[1], limits[1], ">" if upright else "^"),
    ):
        middle = (limits[0] + limits[1]) / 2
        at = np.full(int(out.sum()), middle + _EDGE * (edge - middle))
        x, y = (at, rows[out]) if upright else (rows[out], at)
        ax.plot(x, y, linestyle="", marker=mark, color=own.colour, markersize=size, zorder=4)


def _legend(fig: Figure, sheet: Sheet, columns: int) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="", label=name, **own.markers())
        for name, own in zip(sheet.names, sheet.looks, strict=True)
    ]
    fig.legend(
        handles=handles,
        loc="outside upper left",
        ncols=columns,
        frameon=False,
        handletextpad=0.2,
        columnspacing=1.2,
        borderpad=0.1,
    )
