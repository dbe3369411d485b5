"""Least squares of exponential decays, many rows at once: the curves, their weights and their descent.

The variance of a parity falls with 1 - value^2, so a value that came out high also looks precise; every variance is
therefore taken at the fitted value instead of the measured one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: By how much a curve may grow at most, as an exponent.
MOST_EXPONENT: Final = 30.0
_EXACT: Final = 1e-12  # variance of values that are said to have none, in all rows
_FLOOR: Final = 0.5  # least part of the variance expected from the other points
_STEPS: Final = 30
_SMALL_STEP: Final = 1e-5  # in standard errors
_TINY: Final = 1e-200
_GRID: Final = 160


@frozen(eq=False)
class Points:
    """The data of the rows that are fitted; all float64 ``(P, D)`` but for the depths and the shot noise."""

    depths: Floats
    values: Floats
    variances: Floats
    shot_noise: Floats
    used: Bools

    def rows(self, rows: NDArray[np.int64] | Bools, kept: Bools | bool = True) -> Points:
        """Return some of the rows, and of these only the points at some of the depths."""
        return Points(
            self.depths,
            self.values[rows],
            self.variances[rows],
            self.shot_noise[rows],
            self.used[rows] & kept,
        )

    def variances_at(self, curve: Floats) -> Floats:
        """Return the variances the values would have on curves ``(P, D)``."""
        return variances_on(curve, self.values, self.variances, self.shot_noise)


@frozen(eq=False)
class Curves:
    """The curves: amplitudes and rates ``(P,)``, and exp(-rate * depth) ``(P, D)``."""

    amplitudes: Floats
    rates: Floats
    exponentials: Floats

    @classmethod
    def of(cls, depths: Floats, amplitudes: Floats, rates: Floats) -> Curves:
        """Return the curves of amplitudes and rates ``(P,)`` at depths ``(D,)``."""
        return cls(amplitudes, rates, exponentials(depths, rates))

    @property
    def values(self) -> Floats:
        """Return what the curves say at each depth ``(P, D)``."""
        return self.amplitudes[:, None] * self.exponentials

    def rows(self, rows: NDArray[np.int64] | Bools) -> Curves:
        """Return copies of some of the curves."""
        return Curves(self.amplitudes[rows], self.rates[rows], self.exponentials[rows])

    def with_rows(self, rows: NDArray[np.int64], other: Curves) -> Curves:
        """Return these curves, those of the rows replaced by another's."""
        amplitudes, rates, exponentials = self.amplitudes.copy(), self.rates.copy(), self.exponentials.copy()
        amplitudes[rows], rates[rows], exponentials[rows] = other.amplitudes, other.rates, other.exponentials
        return Curves(amplitudes, rates, exponentials)

    def replaced(self, which: Bools, other: Curves) -> Curves:
        """Return these curves, some of them replaced by another's."""
        return Curves(
            np.where(which, other.amplitudes, self.amplitudes),
            np.where(which, other.rates, self.rates),
            np.where(which[:, None], other.exponentials, self.exponentials),
        )


def num_depths(depths: Floats, chosen: Bools) -> NDArray[np.int64]:
    """Return at how many different depths each row has a chosen point."""
    different, group = np.unique(depths, return_inverse=True)
    members = (group[:, None] == np.arange(len(different))).astype(np.int64)
    counts: NDArray[np.int64] = np.count_nonzero(chosen @ members, axis=1)
    return counts


def exponentials(depths: Floats, rates: Floats) -> Floats:
    """Return exp(-rate * depth) without overflow, float64 ``(P, D)``."""
    return np.exp(-np.clip(rates[:, None] * depths, -MOST_EXPONENT, 700.0))


def shot_noise_of(values: Floats, variances: Floats, used: Bools) -> Floats:
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


def variances_on(curve: Floats, values: Floats, variances: Floats, shot_noise: Floats) -> Floats:
    """Return the variances the values would have on the curve, with a floor; float64 ``(P, D)``."""
    on_curve = np.maximum(1 - curve**2, 0.0) + 4 * shot_noise
    measured = np.maximum(1 - values**2, 0.0) + 4 * shot_noise
    ratio = on_curve / np.where(measured > 0, measured, 1.0)
    moved = variances * np.clip(ratio, 0.1, 10.0)
    expected = shot_noise * on_curve
    # Where no spread was seen at all the expected variance stands in whole.
    return np.maximum(np.where(variances > 0, np.maximum(moved, _FLOOR * expected), expected), _EXACT)


def started(points: Points, variances: Floats) -> tuple[Floats, Floats]:
    """Return the best amplitudes and rates among the rates of a grid."""
    depths, values, weights = points.depths, points.values, points.used / variances
    step, most = np.diff(np.unique(depths)).min(), depths.max()
    low = np.linspace(-3 / most, 0.05 / most, _GRID // 4, endpoint=False)
    rates = np.concatenate([low, np.geomspace(0.05 / most, 8 / step, _GRID - len(low))])
    table = exponentials(depths, rates).T
    overlap, norm = (weights * values) @ table, weights @ table**2
    # The sum of squares falls by overlap^2 / norm with the best amplitude, which must not be negative.
    gain = np.maximum(overlap, 0.0) ** 2 / np.where(norm > 0, norm, 1.0)
    best = gain.argmax(axis=1)[:, None]
    top, bottom = (np.take_along_axis(array, best, axis=1)[:, 0] for array in (overlap, norm))
    # Without any signal the amplitude starts at one: preparation and measurement are taken to work.
    amplitudes = np.where(top > 0, top / np.where(bottom > 0, bottom, 1.0), 1.0)
    return amplitudes, rates[best[:, 0]]


def _normal(
    depths: Floats, curve: Curves, weights: Floats
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


def descended(points: Points, amplitudes: Floats, rates: Floats) -> Curves:
    """Return the curves after Levenberg and Marquardt's steps, weighted anew before each."""
    depths = points.depths
    final = Curves.of(depths, amplitudes, rates)
    active = np.arange(len(rates))
    curve, damping = final, np.full(len(rates), 1e-4)
    lowest, highest = -MOST_EXPONENT / depths.max(), 100 / np.diff(np.unique(depths)).min()
    for _ in range(_STEPS):
        weights = points.used / points.variances_at(curve.values)
        residuals = points.values - curve.values
        of_amplitude, of_rate, (aa, ab, bb) = _normal(depths, curve, weights)
        slope_a, slope_b = np.vecdot(of_amplitude, residuals), np.vecdot(of_rate, residuals)
        aa, bb = aa * (1 + damping) + _TINY, bb * (1 + damping) + _TINY
        determinant = np.maximum(aa * bb - ab**2, 1e-15 * aa * bb)
        step = (aa * slope_b - ab * slope_a) / determinant
        new = Curves.of(
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


def squares_of(points: Points, curve: Curves) -> Floats:
    """Return the sums of squares in standard errors, float64 ``(P,)``."""
    errors: Floats = np.vecdot(
        points.used / points.variances_at(curve.values), (points.values - curve.values) ** 2
    )
    return errors


def are_visible(points: Points, curve: Curves, kept: Bools) -> Bools:
    """Return whether a curve stands out of the noise at two depths that it was made from, bool ``(P,)``."""
    return num_depths(points.depths, kept & (curve.values > np.sqrt(points.variances_at(curve.values)))) >= 2


def responses_of(points: Points, curve: Curves, weights: Floats) -> Floats:
    """Return the derivatives of the rates by the values, float64 ``(P, D)``; NaN where they have none."""
    of_amplitude, of_rate, (aa, ab, bb) = _normal(points.depths, curve, weights)
    determinant = aa * bb - ab**2
    divisor = np.where(determinant > 1e-12 * aa * bb, determinant, np.nan)
    responses: Floats = (aa[:, None] * of_rate - ab[:, None] * of_amplitude) / divisor[:, None]
    return responses
