import numpy as np
import pytest
from scipy.stats import norm, t

from quell.kernels.statistics import Deviations, deviations_of_mean, student_factor, widened


def equal_weights(members, terms):
    return np.full((members, terms), 1 / members)


def test_student_factor_makes_two_sigma_cover_95_percent():
    for members in (2, 3, 5, 30):
        half_width = norm.ppf(0.975) * student_factor(members - 1)
        assert t.cdf(half_width, members - 1) - t.cdf(-half_width, members - 1) == pytest.approx(0.95)


def test_student_factor_falls_to_one():
    factors = [float(student_factor(dof)) for dof in (1, 2, 10, 100, 10**6)]
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == pytest.approx(1, abs=1e-5)


def test_covariance_of_the_mean_of_independent_members():
    values = np.random.default_rng(1).normal(size=(9, 4))
    mean, deviations = deviations_of_mean(values, equal_weights(9, 4))
    assert mean == pytest.approx(values.mean(axis=0))
    assert deviations.rows.T @ deviations.rows == pytest.approx(np.cov(values.T) / 9)
    assert deviations.variance == pytest.approx(values.var(axis=0, ddof=1) / 9)
    assert deviations.dof == 8


def test_blocks_count_as_one_observation_each():
    values = np.random.default_rng(2).normal(size=(12, 3))
    mean, deviations = deviations_of_mean(values, equal_weights(12, 3), block=4)
    assert mean == pytest.approx(values.mean(axis=0))
    of_blocks = values.reshape(3, 4, 3).mean(axis=1)
    assert deviations.rows.T @ deviations.rows == pytest.approx(np.cov(of_blocks.T) / 3)
    assert deviations.dof == 2


def test_balanced_blocks_that_cancel_have_no_spread():
    values = np.tile([[1.0], [-1.0], [3.0], [-3.0]], (5, 1))
    _, deviations = deviations_of_mean(values, equal_weights(20, 1), block=4)
    assert np.allclose(deviations.rows, 0)


def test_an_incomplete_block_joins_the_one_before():
    values = np.random.default_rng(3).normal(size=(10, 2))
    mean, deviations = deviations_of_mean(values, equal_weights(10, 2), block=4)
    residuals = (values - mean) / 10
    joined = np.stack([residuals[:4].sum(axis=0), residuals[4:].sum(axis=0)])
    assert deviations.rows == pytest.approx(joined * np.sqrt(2))


def test_weights_move_the_mean_and_the_covariance():
    rng = np.random.default_rng(4)
    values, weights = rng.normal(size=(6, 2)), rng.random((6, 2))
    weights /= weights.sum(axis=0)
    mean, deviations = deviations_of_mean(values, weights)
    assert mean == pytest.approx((weights * values).sum(axis=0))
    residuals = weights * (values - mean)
    assert deviations.rows.T @ deviations.rows == pytest.approx(residuals.T @ residuals * 6 / 5)


@pytest.mark.parametrize("block", [1, 2])
def test_blocks_without_weight_do_not_count(block):
    """Members of which nothing was measured, whatever stands in their place; here those of the first term are fewer."""
    rng = np.random.default_rng(5)
    values, weights = rng.normal(size=(12, 2)), np.full((12, 2), 1 / 10)
    weights[4:6] = 0
    weights[8:10, 0] = 0
    weights[:, 0] *= 10 / 8
    mean, deviations = deviations_of_mean(values, weights, block)
    for term in range(2):
        left = weights[:, term] > 0
        alone = deviations_of_mean(values[left, term:][:, :1], weights[left, term:][:, :1], block)
        assert mean[term] == pytest.approx(alone[0][0])
        assert deviations.variance[term] == pytest.approx(alone[1].variance[0])
    assert deviations.dof == 8 // block - 1
    weights = np.zeros((12, 2))
    weights[3:, 0] = 1 / 9
    weights[7, 1] = 1
    mean, deviations = deviations_of_mean(values, weights)
    assert mean[1] == values[7, 1]
    assert deviations is None


@pytest.mark.parametrize(("members", "block"), [(1, 1), (7, 4), (4, 4)])
def test_one_block_has_a_mean_and_no_spread(members, block):
    values = np.arange(float(members))[:, None]
    mean, deviations = deviations_of_mean(values, equal_weights(members, 1), block)
    assert mean == pytest.approx(values.mean(axis=0))
    assert deviations is None


def test_scaling_scales_the_covariance():
    deviations = Deviations(np.random.default_rng(6).normal(size=(5, 2)), 4).scaled(np.array([2.0, -0.5]))
    original = np.random.default_rng(6).normal(size=(5, 2))
    outer = np.outer([2.0, -0.5], [2.0, -0.5])
    assert deviations.rows.T @ deviations.rows == pytest.approx(original.T @ original * outer)
    assert deviations.dof == 4


def test_one_source_is_widened_by_its_own_factor_and_a_known_variance_not_at_all():
    variance = np.array([2.0, 3.0, 0.0])
    assert widened(variance, variance**2 / 3) == pytest.approx(variance * student_factor(3) ** 2)
    assert widened(variance, np.zeros(3)) == pytest.approx(variance)


@pytest.mark.parametrize("sources", [1, 2, 9])
def test_intervals_cover_95_percent_with_few_members_and_several_sources(sources):
    """20 000 repeats; Welch's degrees of freedom are approximate, so a sum may cover up to 1.5 % more or less.

    One source is exact: a false alarm is one seed in 100 000 (4.4 standard deviations).
    """
    rng = np.random.default_rng(5)
    total, variance, squares = np.zeros((3, 20_000))
    for _ in range(sources):
        mean, deviations = deviations_of_mean(rng.normal(size=(4, 20_000)), equal_weights(4, 20_000))
        total += mean
        variance += deviations.variance
        squares += deviations.variance**2 / deviations.dof
    covered = (np.abs(total) <= 1.96 * np.sqrt(widened(variance, squares))).mean()
    slack = 4.4 * np.sqrt(0.95 * 0.05 / 20_000)
    assert covered == pytest.approx(0.95, abs=slack if sources == 1 else 0.015)
