"""What decay curves do not describe: points far off all others' curve, and rows that hardly stand out of the noise."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .decay_curves import MOST_EXPONENT, Curves, Points, are_visible, descended, squares_of, started

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_OUTLIER: Final = 5.0  # standard errors off the curve of all others from which on a point is left out
_LEAST_POINTS: Final = 5  # of fewer nobody can say which is the outlier


def without_outliers(
    points: Points, curve: Curves, squares: Floats, variances: Floats
) -> tuple[Curves, Bools]:
    """Leave one point out of each row where that makes all others agree.

    Comparing the sums of squares with and without a point counts how well the others know what it should be; its
    distance from the curve does not, as a point far off pulls the curve towards itself.

    Args:
        points: The data.
        curve: The curves through all of them,
        squares: and their sums of squares, float64 ``(P,)``.
        variances: float64 ``(P, D)``, to start with.

    Returns:
        curve: The curves.
        kept: bool ``(P, D)``, the points that make them.
    """
    kept = points.used.copy()
    rows = np.flatnonzero((squares > _OUTLIER**2) & (kept.sum(axis=1) >= _LEAST_POINTS))
    if not len(rows):
        return curve, kept
    best, fewest, worst = curve.rows(rows), squares[rows], np.full(len(rows), -1)
    for left_out in range(len(points.depths)):
        others = points.rows(rows, np.arange(len(points.depths)) != left_out)
        trial = descended(others, *started(others, variances[rows]))
        left = np.where(are_visible(others, trial, others.used), squares_of(others, trial), np.inf)
        better = left < fewest
        best, fewest = best.replaced(better, trial), np.where(better, left, fewest)
        worst = np.where(better, left_out, worst)
    # Where the others do not agree either, the model is wrong or the variances too small.
    scatter = np.maximum(1.0, fewest / (kept[rows].sum(axis=1) - 3))
    found = (worst >= 0) & (squares[rows] - fewest > _OUTLIER**2 * scatter)
    kept[rows[found], worst[found]] = False
    return curve.with_rows(rows[found], best.rows(found)), kept


def bounds(
    depths: Floats, values: Floats, variances: Floats, used: Bools, signal: Bools
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return rates, amplitudes, responses and least variances for rows that hardly stand out of the noise.

    The rate follows from two depths alone: the first with signal (or the first of all) and the next one, where a value
    below its standard error counts as that. One that was measured at only one depth starts at one.
    """
    num_rows = len(values)
    order = np.argsort(depths, kind="stable")
    rows = np.arange(num_rows)

    def first_of(chosen: Bools) -> tuple[Bools, NDArray[np.int64]]:
        at = order[chosen[:, order].argmax(axis=1)]
        return chosen[rows, at], at

    sizes = np.maximum(values, np.sqrt(variances))
    has_signal, at_signal = first_of(signal)
    has_any, at_any = first_of(used)
    here = np.where(has_signal, at_signal, at_any)
    deeper, after = first_of(used & (depths > depths[here][:, None]))
    shallower, before = first_of(used & (depths < depths[here][:, None]))
    other = np.where(deeper, after, before)
    both = deeper | shallower

    step = np.diff(np.unique(depths)).min()
    alone = ~both & has_any & (depths[here] > 0)
    gap = np.where(both, depths[other] - depths[here], np.where(alone, depths[here], step))
    size_here, size_other = sizes[rows, here], sizes[rows, other]
    rates = np.where(both, np.log(size_here / size_other), np.where(alone, -np.log(size_here), 0.0)) / gap
    responses = np.zeros(values.shape)
    responses[rows, here] = np.where(both, 1.0, np.where(alone, -1.0, 0.0)) / size_here / gap
    responses[rows[both], other[both]] = -1 / size_other[both] / gap[both]
    exponent = np.clip(rates * depths[here], -MOST_EXPONENT, MOST_EXPONENT)
    amplitudes = np.where(has_any, size_here * np.exp(exponent), 1.0)
    return rates, amplitudes, responses, np.where(both, 0.0, 1 / gap**2)
