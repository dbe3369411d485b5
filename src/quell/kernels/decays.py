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

from .decay_bounds import bounds, without_outliers
from .decay_curves import (
    Points,
    are_visible,
    descended,
    exponentials,
    num_depths,
    responses_of,
    shot_noise_of,
    squares_of,
    started,
    variances_on,
)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: What `Decays.status` says of a rate that the data decide, and of one they only bound.
FITTED, NO_SIGNAL = "fitted", "no signal"

_SIGNAL: Final = 3.0  # standard errors above zero from which on a value counts as signal


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
    shot_noise = shot_noise_of(values, variances, used)
    # Rows without signal keep what two points bound; the curve replaces it in all others.
    weighed = variances_on(values, values, variances, shot_noise)
    signal = used & (values > _SIGNAL * np.sqrt(weighed))
    rates, amplitudes, responses, least = bounds(depths, values, weighed, used, signal)
    rows = np.flatnonzero(num_depths(depths, signal) >= 2)
    fit = Points(depths, values[rows], variances[rows], shot_noise[rows], measured[rows])
    curve = descended(fit, *started(fit, weighed[rows]))
    squares = squares_of(fit, curve)
    curve, kept = without_outliers(fit, curve, squares, weighed[rows])
    final = fit.variances_at(curve.values)
    moves = responses_of(fit, curve, kept / final)
    good = are_visible(fit, curve, kept) & np.isfinite(moves).all(axis=1)
    rows = rows[good]
    rates[rows], amplitudes[rows], responses[rows] = curve.rates[good], curve.amplitudes[good], moves[good]
    weighed[rows], least[rows], used[rows] = final[good], 0.0, kept[good]
    residuals = values - amplitudes[:, None] * exponentials(depths, rates)
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
