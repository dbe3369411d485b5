"""Exponential decays of many Paulis at once, and how their rates move with the data.

A Pauli measured after d applications of a noisy layer has the value A exp(-b d): A is what preparation and measurement
leave of it, b its decay rate (arXiv:2201.09866). Both come from least squares with weights 1 / variance. Rates are not
clipped: where there is little noise, b comes out below zero as often as above.

Two things make the weights safe. The variance of a parity falls with 1 - value^2, so a value that came out high
also looks precise; every variance is therefore taken at the fitted value instead of the measured one. And a
point far off the curve that all others agree on is left out.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: What `Decays.status` says of a rate that the data decide, and of one they only bound.
FITTED, NO_SIGNAL = "fitted", "no signal"

_SIGNAL: Final = 3.0  # standard errors above zero from which on a value counts as signal
_OUTLIER: Final = 5.0  # standard errors off the curve of all others from which on a point is left out
_LEAST_POINTS: Final = 5  # of fewer nobody can say which is the outlier
_EXACT: Final = 1e-12  # variance of values that are said to have none, in all rows
_FLOOR: Final = 0.5  # least part of the variance expected from the other points
_STEPS: Final = 30
_SMALL_STEP: Final = 1e-5  # in standard errors
_TINY: Final = 1e-200
_GRID: Final = 160
_MOST_EXPONENT: Final = 30.0


@frozen(eq=False)
class Decays:
    """Fits of A exp(-b d) to P Paulis at D depths.

    Attributes:
        rates: float64 ``(P,)``, b, per unit of depth; finite, below zero within noise.
        amplitudes: float64 ``(P,)``, A.
        responses: float64 ``(P, D)``, how much each rate moves per change of a value.
        variances: float64 ``(P,)``, of the rates for values that err independently; never zero, also where no value
            showed any spread.
        chi_squares: float64 ``(P,)``, of the best curves through all points that were measured, outliers among them.
        dof: int64 ``(P,)``, points measured minus two, at least 0.
        used: bool ``(P, D)``, which points were measured and are no outliers.
        status: str ``(P,)``, `FITTED` or, where fewer than two depths stand out of the noise, `NO_SIGNAL`: the rate is
            then about the least that explains why, and its standard error is of the order of one over the depth.
    """

    rates: Floats
    amplitudes: Floats
    responses: Floats
    variances: Floats
    chi_squares: Floats
    dof: NDArray[np.int64]
    used: Bools
    status: NDArray[np.str_]


def fit_decays(depths: ArrayLike, values: ArrayLike, variances: ArrayLike) -> Decays:
    """Fit ``value = amplitude * exp(-rate * depth)`` to each row.

    Args:
        depths: float64 ``(D,)``, ascending or not, at least two different ones.
        values: float64 ``(P, D)``; may be negative or not monotone; not finite where nothing was measured.
        variances: float64 ``(P, D)`` of the values; zero where no spread was seen, infinite where nothing was measured.

    Returns:
        One fit a row.

    Raises:
        ValueError: The shapes do not fit together, or the depths are negative, not finite or all the same.
    """
    depths = np.asarray(depths, dtype=np.float64)
    values = np.asarray(values, dtype=np.float64)
    variances = np.asarray(variances, dtype=np.float64)
    if (
        depths.ndim != 1
        or values.ndim != 2
        or values.shape != variances.shape
        or values.shape[1] != len(depths)
    ):
        raise ValueError(
            f"Depths {depths.shape}, values {values.shape}, variances {variances.shape} do not fit"
        )
    if not np.isfinite(depths).all() or len(np.unique(depths)) < 2 or depths.min() < 0:
        raise ValueError(f"Decays need two different depths, finite and not negative, not {depths.tolist()}")

    measured = np.isfinite(values) & np.isfinite(variances)
    used = measured.copy()
    values = np.where(used, values, 0.0)
    variances = np.where(used, np.maximum(variances, 0.0), 0.0)
    shot_noise = _shot_noise(values, variances, used)
    # Rows without signal keep what two points bound; the curve replaces it in all others.
    weighed = _variances_at(values, values, variances, shot_noise)
    signal = used & (values > _SIGNAL * np.sqrt(weighed))
    rates, amplitudes, responses, least = _bounds(depths, values, weighed, used, signal)
    rows = np.flatnonzero(_num_depths(depths, signal) >= 2)
    fit = _Points(depths, values[rows], variances[rows], shot_noise[rows], measured[rows])
    curve = _descended(fit, *_started(fit, weighed[rows]))
    squares = _squares(fit, curve)
    curve, kept = _without_outliers(fit, curve, squares, weighed[rows])
    final = fit.variances_at(curve.values)
    moves = _responses(fit, curve, kept / final)
    good = _visible(fit, curve, kept) & np.isfinite(moves).all(axis=1)
    rows = rows[good]
    rates[rows], amplitudes[rows], responses[rows] = curve.rates[good], curve.amplitudes[good], moves[good]
    weighed[rows], least[rows], used[rows] = final[good], 0.0, kept[good]
    residuals = values - amplitudes[:, None] * _exponentials(depths, rates)
    chi_squares = (measured * residuals**2 / weighed).sum(axis=1)
    chi_squares[rows] = squares[good]
    status = np.full(len(values), NO_SIGNAL)
    status[rows] = FITTED
    return Decays(
        rates=rates,
        amplitudes=amplitudes,
        responses=responses,
        variances=np.maximum((responses**2 * weighed).sum(axis=1), least),
        chi_squares=chi_squares,
        dof=np.maximum(measured.sum(axis=1) - 2, 0),
        used=used,
        status=status,
    )


@frozen(eq=False)
class _Points:
    """The data of the rows that are fitted; all float64 ``(P, D)`` but for the depths and the shot noise."""

    depths: Floats
    values: Floats
    variances: Floats
    shot_noise: Floats
    used: Bools

    def rows(self, rows: NDArray[np.int64] | Bools, kept: Bools | bool = True) -> _Points:
        """Return some of the rows, and of these only the points at some of the depths."""
        return _Points(
            self.depths,
            self.values[rows],
            self.variances[rows],
            self.shot_noise[rows],
            self.used[rows] & kept,
        )

    def variances_at(self, curve: Floats) -> Floats:
        """Return the variances the values would have on curves ``(P, D)``."""
        return _variances_at(curve, self.values, self.variances, self.shot_noise)


@frozen(eq=False)
class _Curve:
    """The curves: amplitudes and rates ``(P,)``, and exp(-rate * depth) ``(P, D)``."""

    amplitudes: Floats
    rates: Floats
    exponentials: Floats

    @classmethod
    def of(cls, depths: Floats, amplitudes: Floats, rates: Floats) -> _Curve:
        return cls(amplitudes, rates, _exponentials(depths, rates))

    @property
    def values(self) -> Floats:
        return self.amplitudes[:, None] * self.exponentials

    def rows(self, rows: NDArray[np.int64] | Bools) -> _Curve:
        """Return copies of some of the curves."""
        return _Curve(self.amplitudes[rows], self.rates[rows], self.exponentials[rows])

    def with_rows(self, rows: NDArray[np.int64], other: _Curve) -> _Curve:
        """Return these curves, those of the rows replaced by another's."""
        amplitudes, rates, exponentials = self.amplitudes.copy(), self.rates.copy(), self.exponentials.copy()
        amplitudes[rows], rates[rows], exponentials[rows] = other.amplitudes, other.rates, other.exponentials
        return _Curve(amplitudes, rates, exponentials)

    def replaced(self, which: Bools, other: _Curve) -> _Curve:
        """Return these curves, some of them replaced by another's."""
        return _Curve(
            np.where(which, other.amplitudes, self.amplitudes),
            np.where(which, other.rates, self.rates),
            np.where(which[:, None], other.exponentials, self.exponentials),
        )


def _num_depths(depths: Floats, chosen: Bools) -> NDArray[np.int64]:
    """Return at how many different depths each row has a chosen point."""
    different, group = np.unique(depths, return_inverse=True)
    members = (group[:, None] == np.arange(len(different))).astype(np.int64)
    counts: NDArray[np.int64] = np.count_nonzero(chosen @ members, axis=1)
    return counts


def _exponentials(depths: Floats, rates: Floats) -> Floats:
    return np.exp(-np.clip(rates[:, None] * depths, -_MOST_EXPONENT, 700.0))


def _shot_noise(values: Floats, variances: Floats, used: Bools) -> Floats:
    """Return c of each row, float64 ``(P, 1)``, where its variances are about c (1 - value^2).

    One over the number of shots for parities of independent shots. Low rather than typical: it is a floor.
    """
    room = np.maximum(1 - values**2, 0.0)
    # The solution of variance = c (1 - value^2 + 4 c): even if no shot is flipped, a few might have been.
    each = np.where(used & (variances > 0), (np.sqrt(room**2 + 16 * variances) - room) / 8, np.inf)
    each.sort(axis=1)
    known = np.isfinite(each).sum(axis=1)
    row = np.take_along_axis(each, np.maximum((known - 1) // 4, 0)[:, None], axis=1)
    elsewhere = np.median(row[known > 0]) if (known > 0).any() else 0.0
    return np.where(known[:, None] > 0, row, elsewhere)


def _variances_at(curve: Floats, values: Floats, variances: Floats, shot_noise: Floats) -> Floats:
    """Return the variances the values would have on the curve, with a floor; float64 ``(P, D)``."""
    on_curve = np.maximum(1 - curve**2, 0.0) + 4 * shot_noise
    measured = np.maximum(1 - values**2, 0.0) + 4 * shot_noise
    ratio = on_curve / np.where(measured > 0, measured, 1.0)
    moved = variances * np.clip(ratio, 0.1, 10.0)
    expected = shot_noise * on_curve
    # Where no spread was seen at all the expected variance stands in whole.
    return np.maximum(np.where(variances > 0, np.maximum(moved, _FLOOR * expected), expected), _EXACT)


def _started(points: _Points, variances: Floats) -> tuple[Floats, Floats]:
    """Return the best amplitudes and rates among the rates of a grid."""
    depths, values, weights = points.depths, points.values, points.used / variances
    step, most = np.diff(np.unique(depths)).min(), depths.max()
    low = np.linspace(-3 / most, 0.05 / most, _GRID // 4, endpoint=False)
    rates = np.concatenate([low, np.geomspace(0.05 / most, 8 / step, _GRID - len(low))])
    table = _exponentials(depths, rates).T
    overlap, norm = (weights * values) @ table, weights @ table**2
    # The sum of squares falls by overlap^2 / norm with the best amplitude, which must not be negative.
    gain = np.maximum(overlap, 0.0) ** 2 / np.where(norm > 0, norm, 1.0)
    best = gain.argmax(axis=1)[:, None]
    top, bottom = (np.take_along_axis(array, best, axis=1)[:, 0] for array in (overlap, norm))
    # Without any signal the amplitude starts at one: preparation and measurement are taken to work.
    amplitudes = np.where(top > 0, top / np.where(bottom > 0, bottom, 1.0), 1.0)
    return amplitudes, rates[best[:, 0]]


def _normal(
    depths: Floats, curve: _Curve, weights: Floats
) -> tuple[Floats, Floats, tuple[Floats, Floats, Floats]]:
    """Return the weighted derivatives by amplitude and rate ``(P, D)`` and the normal matrix's entries ``(P,)``."""
    by_rate = -depths * curve.values
    of_amplitude, of_rate = weights * curve.exponentials, weights * by_rate
    entries = (
        np.vecdot(of_amplitude, curve.exponentials),
        np.vecdot(of_amplitude, by_rate),
        np.vecdot(of_rate, by_rate),
    )
    return of_amplitude, of_rate, entries


def _descended(points: _Points, amplitudes: Floats, rates: Floats) -> _Curve:
    """Return the curves after Levenberg and Marquardt's steps, weighted anew before each."""
    depths = points.depths
    final = _Curve.of(depths, amplitudes, rates)
    active = np.arange(len(rates))
    curve, damping = final, np.full(len(rates), 1e-4)
    lowest, highest = -_MOST_EXPONENT / depths.max(), 100 / np.diff(np.unique(depths)).min()
    for _ in range(_STEPS):
        weights = points.used / points.variances_at(curve.values)
        residuals = points.values - curve.values
        of_amplitude, of_rate, (aa, ab, bb) = _normal(depths, curve, weights)
        slope_a, slope_b = np.vecdot(of_amplitude, residuals), np.vecdot(of_rate, residuals)
        aa, bb = aa * (1 + damping) + _TINY, bb * (1 + damping) + _TINY
        determinant = np.maximum(aa * bb - ab**2, 1e-15 * aa * bb)
        step = (aa * slope_b - ab * slope_a) / determinant
        new = _Curve.of(
            depths,
            curve.amplitudes + (bb * slope_a - ab * slope_b) / determinant,
            np.clip(curve.rates + step, lowest, highest),
        )
        better = np.vecdot(weights, (points.values - new.values) ** 2) <= np.vecdot(weights, residuals**2)
        curve = curve.replaced(better, new)
        final = final.with_rows(active, curve)
        going = np.abs(step) * np.sqrt(bb) > _SMALL_STEP
        if not going.any():
            break
        damping = np.where(better, damping * 0.1, damping * 10)[going]
        active, points, curve = active[going], points.rows(going), curve.rows(going)
    return final


def _squares(points: _Points, curve: _Curve) -> Floats:
    """Return the sums of squares in standard errors, float64 ``(P,)``."""
    errors: Floats = np.vecdot(
        points.used / points.variances_at(curve.values), (points.values - curve.values) ** 2
    )
    return errors


def _visible(points: _Points, curve: _Curve, kept: Bools) -> Bools:
    """Return whether a curve stands out of the noise at two depths that it was made from, bool ``(P,)``."""
    return _num_depths(points.depths, kept & (curve.values > np.sqrt(points.variances_at(curve.values)))) >= 2


def _without_outliers(
    points: _Points, curve: _Curve, squares: Floats, variances: Floats
) -> tuple[_Curve, Bools]:
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
        trial = _descended(others, *_started(others, variances[rows]))
        left = np.where(_visible(others, trial, others.used), _squares(others, trial), np.inf)
        better = left < fewest
        best, fewest = best.replaced(better, trial), np.where(better, left, fewest)
        worst = np.where(better, left_out, worst)
    # Where the others do not agree either, the model is wrong or the variances too small.
    scatter = np.maximum(1.0, fewest / (kept[rows].sum(axis=1) - 3))
    found = (worst >= 0) & (squares[rows] - fewest > _OUTLIER**2 * scatter)
    kept[rows[found], worst[found]] = False
    return curve.with_rows(rows[found], best.rows(found)), kept


def _responses(points: _Points, curve: _Curve, weights: Floats) -> Floats:
    """Return the derivatives of the rates by the values, float64 ``(P, D)``; NaN where they have none."""
    of_amplitude, of_rate, (aa, ab, bb) = _normal(points.depths, curve, weights)
    determinant = aa * bb - ab**2
    divisor = np.where(determinant > 1e-12 * aa * bb, determinant, np.nan)
    responses: Floats = (aa[:, None] * of_rate - ab[:, None] * of_amplitude) / divisor[:, None]
    return responses


def _bounds(
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
    exponent = np.clip(rates * depths[here], -_MOST_EXPONENT, _MOST_EXPONENT)
    amplitudes = np.where(has_any, size_here * np.exp(exponent), 1.0)
    return rates, amplitudes, responses, np.where(both, 0.0, 1 / gap**2)
