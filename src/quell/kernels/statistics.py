"""Means over randomizations and what is known about them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

Floats = NDArray[np.float64]


def student_factor(members: int) -> float:
    """Return by how much a standard error from `members` values must grow to cover like a normal one.

    The ratio of the 97.5 % quantiles of Student's t and the normal distribution, so that value +- 1.96 stds
    covers 95 % also where few randomizations were run.
    """
    return float(student_t.ppf(0.975, members - 1) / 1.959963984540054)


def deviations_of_mean(values: Floats, weights: Floats, block: int = 1) -> tuple[Floats, Floats | None]:
    """Return the weighted mean over members and its deviations.

    Args:
        values: float64 ``(R, T)``.
        weights: float64 ``(R, T)``, summing to one over R.
        block: Members that belong together (not independent) in runs of this length.

    Returns:
        mean: float64 ``(T,)``.
        deviations: float64 ``(B, T)`` with ``deviations.T @ deviations`` the covariance of the mean, Student's
            factor included; None if there are fewer than two independent blocks.
    """
    mean = (weights * values).sum(axis=0)
    num_blocks = len(values) // block
    if num_blocks < 2:
        return mean, None
    # A last, incomplete block joins the one before it.
    starts = np.arange(num_blocks) * block
    residuals = np.add.reduceat(weights * (values - mean), starts, axis=0)
    return mean, residuals * np.sqrt(num_blocks / (num_blocks - 1)) * student_factor(num_blocks)
