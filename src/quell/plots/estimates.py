"""What strategies say of every value, with error bars, against the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, Problem
from .forests import FRAME, GAP, LINE, panels, side_by_side
from .sheets import Sheet
from .styles import WIDTH, distinct, look, settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

#: Inches: the tallest picture with all strategies in one row.
_TALLEST: Final = 7.0
#: Letters of a label beside rows.
_LETTERS: Final = 26


def _floats(values: ArrayLike | None) -> Floats | None:
    return None if values is None else np.asarray(values, dtype=np.float64).reshape(-1)


@frozen(eq=False)
class Estimates:
    """What one strategy says.

    Attributes:
        name: Name of the strategy.
        values: float64 (values,): means over the repeats; None if it failed. Not finite where there is none.
        errors: float64 (values,): reported error bars of one run.
        spread: float64 (values,): standard deviation between repeats; None with a single one.
    """

    name: str
    values: Floats | None = field(converter=_floats)
    errors: Floats | None = field(default=None, converter=_floats)
    spread: Floats | None = field(default=None, converter=_floats)


def values(
    series: Sequence[Estimates],
    labels: Sequence[str],
    *,
    reference: ArrayLike | None = None,
    deviations: bool | None = None,
    width: float = WIDTH,
    figure: Figure | None = None,
) -> Figure:
    """Draw what strategies say of every value, with error bars, against the reference.

    Markers are means over the repeats; thick bars are the reported standard error of one run, thin whiskers the
    standard deviation between repeats, so the two should be of one length. Few values have all strategies side by side
    in a row, with a second, closer view where one strategy is so far off that it hides the others. Many values have
    a panel for each strategy on a common scale; arrowheads at its edge point to what lies outside. Far more values
    than can be named are numbered in the order of `labels`.

    Args:
        series: One for each strategy; those without values keep their place in the sequence of colours.
        labels: One for each value.
        reference: float64 (values,): what the values should be; None if nobody knows.
        deviations: Whether to draw differences from the reference, without one from the median of the strategies. By
            default wherever there are several values and a reference, or values far apart.
        width: Width in inches.
        figure: Figure to draw in, which is cleared; by default a new one that pyplot does not keep.

    Returns:
        The figure.

    Raises:
        InputError: There is nothing to draw, or lengths differ.
        MissingDependencyError: matplotlib is not installed.
    """
    known = _floats(reference)
    _check(series, labels, known)
    sheet = _sheet(series, labels, known, deviations)
    rows = len(labels)
    apart = rows * (LINE * len(sheet.names) + GAP)
    with settings():
        if rows == 1 or apart + FRAME <= _TALLEST:
            return side_by_side(sheet, width, figure)
        return panels(sheet, width, figure)


def _check(series: Sequence[Estimates], labels: Sequence[str], reference: Floats | None) -> None:
    """Raise one error for all that does not fit."""
    problems, size = [], len(labels)
    if not any(s.values is not None and np.isfinite(s.values).any() for s in series) or not size:
        problems.append(Problem("series", "has no values", "give a strategy that has some"))
    for s in series:
        for name in ("values", "errors", "spread"):
            found = getattr(s, name)
            if found is not None and len(found) != size:
                rule = f"{s.name!r} has {len(found)} {name}, there are {size} labels"
                problems.append(Problem("series", rule, "give one for each value"))
    if reference is not None and len(reference) != size:
        problems.append(Problem("reference", f"has {len(reference)} values, there are {size} labels"))
    InputError.check(problems)


def _sheet(
    series: Sequence[Estimates], labels: Sequence[str], reference: Floats | None, deviations: bool | None
) -> Sheet:
    """Return what is drawn."""
    shown = [k for k, s in enumerate(series) if s.values is not None and np.isfinite(s.values).any()]
    found = np.array([series[k].values for k in shown])
    nothing = np.zeros(len(labels))
    errors, spread = (
        np.nan_to_num(
            np.array([nothing if (each := getattr(series[k], name)) is None else each for k in shown]),
            posinf=0.0,
        )
        for name in ("errors", "spread")
    )
    finite = np.isfinite(found)
    masked = np.where(finite, found, np.nan)
    middle = np.array([np.median(v[np.isfinite(v)]) if np.isfinite(v).any() else 0.0 for v in masked.T])
    if deviations is None:
        off = np.abs(np.where(finite, found - middle, 0.0)).max()
        far = np.ptp(middle) > 3 * max(off, float(errors.max()))
        deviations = len(labels) > 1 and (reference is not None or bool(far))
    lines: Floats | None = reference
    quantity = "expectation value"
    if deviations:
        masked = masked - (middle if reference is None else reference)
        lines = None if reference is None else nothing
        quantity = "value $-$ " + ("median of the strategies" if reference is None else "reference")
    names = distinct([s.name for s in series])
    return Sheet(
        names=tuple(names[k] for k in shown),
        looks=tuple(look(k) for k in shown),
        places=masked,
        errors=errors,
        spread=spread,
        labels=tuple(distinct(labels, _LETTERS)),
        lines=lines,
        quantity=quantity,
    )
