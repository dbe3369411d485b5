"""Means over randomizations, and how well they are known.

The covariance of a mean is kept as rows of *deviations*: the sum of their outer products. That is linear in
the number of values, and a linear map of the values maps the rows. With the rows go their degrees of freedom:
an error bar is widened once, at the end, by what Student's t demands for all its sources together.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from attrs import evolve, frozen
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]
_NORMAL_QUANTILE = 1.959963984540054


@frozen(eq=False)
class Deviations:
    """A covariance in factor form.

    Attributes:
        rows: float64 ``(B, T)``; the covariance of the T values is ``rows.T @ rows``.
        dof: Degrees of freedom it was estimated with; infinite where it is known.
        source: What errs, where several results share it; equal sources err together. None is equal to no other.
    """

    rows: Floats
    dof: float
    source: Hashable = None

    @property
    def variance(self) -> Floats:
        """Variances of the values, float64 ``(T,)``."""
        variance: Floats = (self.rows**2).sum(axis=0)
        return variance

    def scaled(self, factors: Floats) -> Deviations:
        """Return the deviations of the values times `factors`, float64 ``(T,)``."""
        return evolve(self, rows=self.rows * factors)


def summed(
    results: Sequence[Sequence[Deviations]], weights: Sequence[Floats | float]
) -> tuple[Deviations, ...]:
    """Return the deviations of a weighted sum of results; what several of them share adds up before it is squared.

    Args:
        results: The deviations of each result, at most one of each source.
        weights: Weight of each result, a number or float64 ``(T,)``.
    """
    total: dict[Hashable, Deviations] = {}
    for number, (deviations, weight) in enumerate(zip(results, weights, strict=True)):
        for place, own in enumerate(deviations):
            rows = own.rows * weight
            source = (number, place) if own.source is None else own.source
            if source in total:
                rows = rows + total[source].rows
            total[source] = evolve(own, rows=rows)
    return tuple(total.values())


def deviations_of_mean(
    values: Floats, weights: Floats, block: int = 1, strata: NDArray[np.bool_] | None = None
) -> tuple[Floats, Deviations | None]:
    """Return the weighted mean over members and its deviations.

    Args:
        values: float64 ``(R, T)``.
        weights: float64 ``(R, T)``, summing to one over R.
        block: Members that belong together (not independent) in runs of this length.
        strata: Which members were drawn from the second of two strata, whose sizes were no random choice, bool
            ``(R, T)``: what the two differ by is then no error of the mean. A term of which a stratum has a single
            member is treated as if there were no strata. Not with blocks.

    Returns:
        mean: float64 ``(T,)``.
        deviations: With one degree of freedom less than there are blocks that have any weight, in the term where
            these are fewest; None if there are fewer than two.
    """
    mean = (weights * values).sum(axis=0)
    num_blocks = len(values) // block
    if num_blocks < 2:
        return mean, None
    # A last, incomplete block joins the one before it.
    starts = np.arange(num_blocks) * block
    if strata is not None:
        return mean, _stratified(values, weights, mean, strata)
    residuals = np.add.reduceat(weights * (values - mean), starts, axis=0)
    counted = np.count_nonzero(np.add.reduceat(weights, starts, axis=0), axis=0)
    least = int(counted.min(initial=num_blocks))
    if least < 2:
        return mean, None
    return mean, Deviations(residuals * np.sqrt(counted / (counted - 1)), least - 1)


def _stratified(
    values: Floats, weights: Floats, mean: Floats, strata: NDArray[np.bool_]
) -> Deviations | None:
    """Return the deviations of a mean over two strata."""
    counted = weights > 0
    sizes = np.stack([(counted & ~strata).sum(axis=0), (counted & strata).sum(axis=0)])
    whole = (sizes == 1).any(axis=0)
    residuals = np.zeros_like(values)
    for stratum in (~strata, strata):
        own = np.where(stratum | whole, weights, 0.0)
        total = own.sum(axis=0)
        centre = (own * values).sum(axis=0) / np.where(total > 0, total, 1.0)
        size = (own > 0).sum(axis=0)
        scale = np.sqrt(size / np.maximum(size - 1, 1))
        residuals = np.where(stratum, weights * (values - centre) * scale, residuals)
    freedom = sizes.sum(axis=0) - np.where(whole, 1, (sizes > 0).sum(axis=0))
    least = int(freedom.min(initial=len(values)))
    return Deviations(residuals, least) if least > 0 else None


def student_factor(dof: ArrayLike) -> Floats:
    """Return by how much a standard error must grow to cover like one that is known.

    The ratio of the 97.5 % quantiles of Student's t and the normal distribution, so that value +- 1.96 stds
    covers 95 % also where few randomizations were run.
    """
    freedom = np.asarray(dof, dtype=float)
    known = freedom > 1e12  # the quantile function knows no infinity
    factor: Floats = np.where(known, 1.0, stdtrit(np.where(known, 1.0, freedom), 0.975) / _NORMAL_QUANTILE)
    return factor


def widened(variance: Floats, squares_by_dof: Floats) -> Floats:
    """Widen variances by Student's factor for the degrees of freedom of all their sources together.

    Args:
        variance: Sum of the sources' variances v.
        squares_by_dof: Sum of v^2 / dof, same shape.

    Returns:
        The variances times the squared factor at Welch and Satterthwaite's degrees of freedom,
        ``(sum v)^2 / sum (v^2 / dof)``.
    """
    uncertain = squares_by_dof > 0
    dof = np.where(uncertain, variance**2 / np.where(uncertain, squares_by_dof, 1.0), np.inf)
    return variance * student_factor(dof) ** 2
