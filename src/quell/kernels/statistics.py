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
        source: What errs, where several results share it; equal sources err together.
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
    for deviations, weight in zip(results, weights, strict=True):
        for own in deviations:
            rows = own.rows * weight
            if own.source in total:
                rows = rows + total[own.source].rows
            total[own.source] = evolve(own, rows=rows)
    return tuple(total.values())


def deviations_of_mean(values: Floats, weights: Floats, block: int = 1) -> tuple[Floats, Deviations | None]:
    """Return the weighted mean over members and its deviations.

    Args:
        values: float64 ``(R, T)``.
        weights: float64 ``(R, T)``, summing to one over R.
        block: Members that belong together (not independent) in runs of this length.

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
    residuals = np.add.reduceat(weights * (values - mean), starts, axis=0)
    counted = np.count_nonzero(np.add.reduceat(weights, starts, axis=0), axis=0)
    least = int(counted.min(initial=num_blocks))
    if least < 2:
        return mean, None
    return mean, Deviations(residuals * np.sqrt(counted / (counted - 1)), least - 1)


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
