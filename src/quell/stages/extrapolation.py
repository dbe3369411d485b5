"""Extrapolation of estimates: fits of all terms, what becomes of values that cannot be extrapolated, and the guard.

The stage that has the noise amplified is `stages.zne`; the fits of curves are `kernels.curves` and `kernels.nonlinear`.
Fits weight the data by their own, independent errors. An error that all factors share (that of a readout calibration)
only multiplies a curve, so it is no reason to trust one of its points more than another. It is carried through the fit
to the error bar like everything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from ..kernels.curves import Fit, Polynomial
from ..kernels.selection import helps, kept_variance
from .estimate import Estimate, Terms
from .sums import weighted

Floats = NDArray[np.float64]
Texts = NDArray[np.object_]


@frozen(eq=False)
class Extrapolation:
    """What is known of one PUB besides its mitigated values: what V2 calls the results of ZNE, and more.

    Attributes:
        noise_factors: Achieved ones, float64 ``(F,)``.
        values: At each noise factor, float64 ``(*pub_shape, F)``; so are `errors` and `shot_errors`.
        errors: Standard errors.
        shot_errors: Standard errors if all shots were independent.
        evaluated: Where models were evaluated, float64 ``(E,)``.
        extrapolated: One model for all terms, float64 ``(*pub_shape, X, E)``; so is `extrapolated_errors`.
        extrapolated_errors: Standard errors.
        model_status: Why a model failed for some term, empty where it did not, str ``(*pub_shape, X)``.
        models: Names of the X extrapolators.
        chosen: Model of each term, -1 where all of them failed, int64 ``(T,)``.
        status: "" for a value that is extrapolated; "kept as measured: ..." by the guard, "failed: ..." where some
            term could not be extrapolated and its measured value stands in, "doubtful: ..." where the data contradict
            its only model, str ``pub_shape``.
        unguarded: Values and errors before the guard, float64 ``(2, *pub_shape)``.
        contributions: Share of each noise factor in the variance of the extrapolated values, in the same unit, float64
            ``(*pub_shape, F)``.
        shots: Shots of each noise factor.
        subsets: Random subsets of gates that were folded for each noise factor; 1 where nothing is random.
    """

    noise_factors: Floats
    values: Floats
    errors: Floats
    shot_errors: Floats
    evaluated: Floats
    extrapolated: Floats
    extrapolated_errors: Floats
    model_status: Texts
    models: tuple[str, ...]
    chosen: NDArray[np.int64]
    status: Texts
    unguarded: Floats
    contributions: Floats
    shots: tuple[int, ...]
    subsets: tuple[int, ...]


@frozen(eq=False)
class Data:
    """Estimates at ascending noise factors ``(F,)``, all of them reduced."""

    factors: Floats
    points: tuple[Estimate, ...]

    @cached_property
    def values(self) -> Floats:
        """Term values, float64 ``(T, F)``."""
        return np.stack([e.terms.values[0] for e in self.points], axis=1)

    @cached_property
    def covariances(self) -> Floats:
        """Covariances of the independent errors, float64 ``(T, F, F)``: diagonal, as every factor has its own shots.

        Those of as many shots of a parity, times what the spread between randomizations is larger on average over the
        factors. The spread of each factor alone is known to 1 / sqrt(2 * 31) only, and a fit that trusts lucky ones
        claims too little: at 16 randomizations 94.0 instead of 94.7 % of the intervals would cover.
        """
        least, spread = [], []
        for point in self.points:
            terms = point.terms
            shots = np.maximum(point.shots, 1.0)
            raw = terms.values[0] / terms.scale
            least.append(terms.scale**2 * (np.clip(1 - raw**2, 0, None) + 4 / shots) / shots)
            spread.append(sum((own.variance for own in terms.spread), np.zeros_like(raw)))
        variances = np.stack(least, axis=1)
        variances *= np.maximum((np.stack(spread, axis=1) / variances).mean(axis=1, keepdims=True), 1.0)
        covariances: Floats = variances[:, :, None] * np.eye(len(self.points))
        return covariances

    def extrapolated(
        self, response: Floats, candidates: Sequence[Floats], chosen: NDArray[np.int64] | None = None
    ) -> Estimate:
        """Return the estimate whose terms answer the data by `response` ``(T, F)``; their values are given.

        Args:
            response: d value / d data.
            candidates: Values of each term under several models, float64 ``(T,)`` each.
            chosen: Which of them each term takes, -1 for what was measured at the least noise; by default the first.
        """
        table = np.stack([*candidates, self.values[:, 0]])
        picked = np.zeros(table.shape[1], dtype=np.int64) if chosen is None else chosen
        values = table[picked, np.arange(table.shape[1])]
        return weighted(self.points, response, values)

    def per_value(self, term_status: Texts) -> Texts:
        """Return for every value of the PUB the first reason that one of its terms has, str ``pub_shape``."""
        return _first_reason(self.points[0].terms, term_status, self.points[0].shape)

    def contributions(self, response: Floats) -> Floats:
        """Return what every noise factor adds to the variance, float64 ``(*pub_shape, F)``."""
        alone = []
        for k in range(len(self.points)):
            only = np.zeros_like(response)
            only[:, k] = response[:, k]
            alone.append(weighted(self.points, only, self.values[:, 0]).variance)
        return np.stack(alone, axis=-1)


def response_of(chosen: NDArray[np.int64], fits: Sequence[Fit]) -> Floats:
    """Return d value / d data of the chosen values at zero noise, float64 ``(T, F)``."""
    table = np.stack([fit.responses[:, 0] for fit in fits])
    measured = np.zeros(table.shape[2])
    measured[0] = 1.0
    picked = table[np.maximum(chosen, 0), np.arange(table.shape[1])]
    response: Floats = np.where((chosen >= 0)[:, None], picked, measured)
    return response


def by_member(estimate: Estimate, points: Sequence[Estimate], response: Floats) -> Estimate:
    """Return the estimate of every randomization: the fit to their mean, moved by each one's own deviation.

    For whoever added the axis outside of ZNE and reduces it there.
    """
    members = len(points[0].terms.values)
    values = np.repeat(estimate.terms.values, members, axis=0)
    for e, w in zip(points, response.T, strict=True):
        mean = (e.terms.weights * e.terms.values).sum(axis=0)
        values += (e.terms.values - mean) * w
    terms = evolve(estimate.terms, values=values, weights=points[0].terms.weights, spread=())
    variance = np.broadcast_to(estimate.variance * members, (members, *estimate.shape))
    value = terms.contracted().reshape(members, *estimate.shape)
    return evolve(estimate, value=value, variance=variance, terms=terms)


def status_of(data: Data, fits: Sequence[Fit], chosen: NDArray[np.int64]) -> Texts:
    """Return what is wrong with values, str ``pub_shape``: terms that no model fits, or one that data contradict."""
    reasons = np.full(len(chosen), "", dtype=object)
    for t in np.flatnonzero(chosen < 0):
        reasons[t] = "failed: " + "; ".join(f"{fit.name}: {fit.status[t]}" for fit in fits)
    for k, fit in enumerate(fits):
        for t in np.flatnonzero((chosen == k) & fit.contradicted):
            reasons[t] = f"doubtful: {fit.name}: the data contradict it, chi^2 = {fit.chi_squares[t]:.3g}"
    # What failed says more than what is doubtful.
    worst = data.per_value(np.where(chosen < 0, reasons, ""))
    return np.where(worst == "", data.per_value(reasons), worst).astype(object)


def failed(status: Texts) -> NDArray[np.bool_]:
    """Return where no model could be fitted, bool of the shape of `status`."""
    return np.char.startswith(status.astype(str), "failed")


def _first_reason(terms: Terms, reasons: Texts, shape: tuple[int, ...]) -> Texts:
    found = np.full(int(np.prod(shape, dtype=int)), "", dtype=object)
    bad = np.flatnonzero(reasons != "")
    if len(bad):
        entries = terms.settings.contraction.tocsc()[:, bad].tocoo()
        for row, column in zip(entries.row[::-1], entries.col[::-1], strict=True):
            found[row] = reasons[bad[column]]
    return found.reshape(shape)


def widened(data: Data, estimate: Estimate, response: Floats, where: NDArray[np.bool_]) -> Estimate:
    """Return the estimate with error bars that know of the noise left in values that could not be extrapolated.

    How much that is says a line, as far as its difference is more than that of the shots. On decays too weak or too
    noisy for an exponential intervals then cover 92 to 98 %; without it down to 91 % at the same places, and with the
    whole difference up to 99.9 % where there is no signal at all.
    """
    line = Polynomial(1).fit(data.factors, data.values, data.covariances, np.zeros(1))
    straight = data.extrapolated(line.responses[:, 0], [line.values[:, 0]])
    difference = weighted(data.points, line.responses[:, 0] - response, line.values[:, 0])
    left = np.maximum((straight.value - estimate.value) ** 2 - difference.variance, 0.0)
    return evolve(estimate, variance=estimate.variance + np.where(where, left, 0.0))


def guarded(data: Data, estimate: Estimate, response: Floats, status: Texts) -> tuple[Estimate, Texts]:
    """Keep measured values where extrapolation is predicted to err more; say so in the status."""
    raw = data.points[0]
    away = response.copy()
    away[:, 0] -= 1
    difference = weighted(data.points, away, raw.terms.values[0])
    better, raw_error, own_error = helps(
        raw.value, raw.variance, estimate.value, estimate.variance, difference.variance
    )
    texts = status.copy()
    # Where both are the same (an identity, the model "fallback") there is nothing to decide.
    different = (raw.value != estimate.value) | (raw.variance != estimate.variance)
    kept = ~better & ~failed(status) & different
    for index in np.ndindex(kept.shape):
        if kept[index]:
            texts[index] = (
                f"kept as measured: predicted rms error {np.sqrt(raw_error[index]):.2g}, "
                f"extrapolated {np.sqrt(own_error[index]):.2g}"
            )
    kept_there = evolve(
        estimate,
        value=np.where(kept, raw.value, estimate.value),
        variance=np.where(
            kept, kept_variance(raw.value, raw.variance, estimate.value, estimate.variance), estimate.variance
        ),
    )
    return kept_there, texts
