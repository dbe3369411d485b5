"""Repeated estimates with known truth, for the statistical tests of this folder.

All seeds are fixed, so a test that passes keeps passing; the false-alarm rates are the chance that a correct
change of the random numbers breaks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from quell.circuits.ensemble import Ensemble
from quell.testing import ExactSampler, run_stages

Floats = NDArray[np.float64]

#: A sample for every run of the tests, and the full size.
COUNTS = [150, pytest.param(2000, marks=pytest.mark.slow)]


def repeat(
    stages: Sequence[Any], ensemble: Ensemble, count: int, *, seed: int = 0, **noise: Any
) -> tuple[Floats, Floats]:
    """Return values and standard errors of independent estimates, float64 ``(count, *shape)``."""
    estimates = [
        run_stages(stages, ensemble, ExactSampler(seed + s, **noise), seed + s) for s in range(count)
    ]
    return np.stack([e.value for e in estimates]), np.sqrt(np.stack([e.variance for e in estimates]))


def check_coverage(values: Floats, errors: Floats, truth: Any, *, most: float = 0.97) -> None:
    """Check that value +- 1.96 stds covers the truth as often as it says.

    At 2000 repetitions the limits are 93 and 97 %, false alarm 4e-5 per value; a smaller sample gets wider
    limits with a false alarm of 0.01 % per value.
    """
    inside = np.abs(values - truth) <= 1.96 * errors
    count = len(inside)
    low, high = (0.93, most) if count >= 1000 else np.array(binom.interval(1 - 1e-4, count, 0.95)) / count
    covered = inside.mean(axis=0)
    print(f"\ncoverage of {count}: {np.round(100 * covered, 1)} %")
    assert (covered >= low).all(), f"error bars are too small: {covered}, at least {low}"
    assert (covered <= high).all(), f"error bars are too large: {covered}, at most {high}"


def check_unbiased(values: Floats, truth: Any, limit: float = 4.0) -> Floats:
    """Check that the mean is the truth within `limit` standard errors (4: false alarm 6e-5 per value); return those."""
    standard_error: Floats = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    off = (values.mean(axis=0) - truth) / standard_error
    print(f"\nmean of {len(values)} minus truth: {np.round(off, 2)} standard errors")
    assert (np.abs(off) < limit).all(), (
        f"biased by {off} standard errors: {values.mean(axis=0)}, truth {truth}"
    )
    return standard_error
