"""Sums and unions of estimates that were measured separately, with what they share in their error bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from ..kernels.statistics import summed
from .estimate import Estimate

Floats = NDArray[np.float64]


def weighted(points: Sequence[Estimate], response: Floats, values: Floats) -> Estimate:
    """Return the estimate with term values ``(T,)`` whose errors are those of a weighted sum of estimates.

    Args:
        points: Reduced estimates of the same observables, measured independently but for what is in `common`.
        response: Weight of each, float64 ``(T, F)``.
        values: Values of the terms, float64 ``(T,)``.
    """
    first, columns, shape = points[0].terms, list(response.T), points[0].shape
    spread = summed([e.terms.spread for e in points], columns)
    shot_variance, floor = np.zeros(shape), np.zeros(shape)
    for e, w in zip(points, columns, strict=True):
        ratio = e.shot_ratio(w**2)
        shot_variance += e.shot_variance * ratio
        floor += e.floor * ratio
    common = summed([e.terms.common for e in points], columns)
    terms = evolve(first, values=values[None], spread=spread, common=common)
    return Estimate(
        value=terms.contracted()[0].reshape(shape),
        variance=np.maximum(terms.variance(shot_variance.ravel()).reshape(shape), floor),
        shot_variance=shot_variance,
        floor=floor,
        terms=terms,
        details=points[0].details,
    )


def pooled(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean of reduced estimates of the same values, weighted by their shots."""
    shares = _shares(estimates)
    values = sum((e.terms.values[0] * s for e, s in zip(estimates, shares, strict=True)), np.zeros(1))
    details = {**estimates[0].details, **totals(estimates)}
    if "pec" in details:  # the rounds differ in their size only
        members = sum(e.details["pec"]["num_randomizations"] for e in estimates)
        details["pec"] = {**details["pec"], "num_randomizations": members}
    return evolve(weighted(estimates, shares.T, values), details=details)


def joined(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean over the randomizations of several estimates of the same observables."""
    shares = _shares(estimates)
    pairs = list(zip(estimates, shares, strict=True))
    terms = evolve(
        estimates[0].terms,
        values=np.concatenate([e.terms.values for e in estimates]),
        weights=np.concatenate([e.terms.weights * s for e, s in pairs]),
        common=summed([e.terms.common for e in estimates], list(shares)),
    )
    united = evolve(
        estimates[0],
        shot_variance=sum((e.shot_variance * _squared(e, s) for e, s in pairs), np.zeros(())),
        # It falls with the square of all shots, whichever estimate it is taken from; one without shots has none.
        floor=np.max([e.floor * _squared(e, s) for e, s in pairs], axis=0),
        terms=terms,
        details={**estimates[0].details, **totals(estimates)},
    )
    return united.reduced()


def totals(estimates: Sequence[Estimate]) -> dict[str, Any]:
    """Return the details that add up over estimates."""
    return {
        key: sum(e.details[key] for e in estimates)
        for key in ("executed_shots", "asked_shots", "kept_shots", "taken_shots")
        if key in estimates[0].details
    }


def _squared(estimate: Estimate, shares: Floats) -> Floats | float:
    """Return by what shot variances shrink where an estimate counts by shares ``(T,)`` of its terms."""
    if not len(shares) or np.ptp(shares) == 0:
        return float(shares.max(initial=0.0)) ** 2
    return estimate.shot_ratio(shares**2)


def _shares(estimates: Sequence[Estimate]) -> Floats:
    """Return the share of each estimate in the shots behind each term, float64 ``(E, T)``."""
    shots = np.stack([e.shots for e in estimates])
    total = shots.sum(axis=0)
    shares: Floats = np.where(total > 0, shots / np.where(total > 0, total, 1.0), 1 / len(shots))
    return shares
