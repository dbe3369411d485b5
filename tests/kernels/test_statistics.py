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


def drawn_by_strata(rng, sizes, share, repeats, centres=(1.0, -4.0), widths=(1.0, 3.0)):
    """Return values and weights ``(R, repeats)`` of members of two strata, and which are of the second."""
    strata = np.repeat([False, True], sizes)[:, None] & np.ones((1, repeats), dtype=bool)
    values = np.where(strata, centres[1], centres[0])
    values = values + np.where(strata, widths[1], widths[0]) * rng.normal(size=strata.shape)
    weights = np.where(strata, share / max(sizes[1], 1), (1 - share) / max(sizes[0], 1))
    return values, weights, strata


def test_what_strata_differ_by_is_no_spread():
    """The variance of a sum over strata is that of their means, weighted; known by hand for these."""
    values = np.array([[1.0], [2.0], [3.0], [100.0], [104.0]])
    strata = np.array([False, False, False, True, True])[:, None]
    weights = np.array([0.3, 0.3, 0.3, 0.05, 0.05])[:, None]
    mean, deviations = deviations_of_mean(values, weights, strata=strata)
    assert mean == pytest.approx([0.9 * 2 + 0.1 * 102])
    # Sample variances 1 and 8, over 3 and 2 members.
    assert deviations.variance == pytest.approx([0.9**2 * 1 / 3 + 0.1**2 * 8 / 2])
    assert deviations.dof == 3
    _, blind = deviations_of_mean(values, weights)
    assert blind.variance[0] > 3 * deviations.variance[0]


def test_strata_of_each_term_are_its_own():
    """Members that are in the same stratum are correlated, and those of other strata are not."""
    rng = np.random.default_rng(7)
    values, strata = rng.normal(size=(12, 3)), rng.random((12, 3)) < 0.5
    weights = equal_weights(12, 3)
    _, deviations = deviations_of_mean(values, weights, strata=strata)
    for term in range(3):
        alone = deviations_of_mean(values[:, [term]], weights[:, [term]], strata=strata[:, [term]])
        assert deviations.variance[term] == pytest.approx(alone[1].variance[0])
        parts = [values[strata[:, term] == own, term] for own in (False, True)]
        expected = sum(len(p) * p.var(ddof=1) for p in parts) / 12**2
        assert deviations.variance[term] == pytest.approx(expected)
    assert deviations.dof == 10


@pytest.mark.parametrize("sizes", [(11, 1), (1, 11), (12, 0), (0, 12)])
def test_a_single_member_of_a_stratum_has_no_spread_of_its_own(sizes):
    """Then the term is treated as if there were no strata; a stratum without members is none."""
    values, weights, strata = drawn_by_strata(np.random.default_rng(8), sizes, sizes[1] / 12, 2)
    mean, deviations = deviations_of_mean(values, weights, strata=strata)
    plain_mean, plain = deviations_of_mean(values, weights)
    assert mean == pytest.approx(plain_mean)
    assert deviations.variance == pytest.approx(plain.variance)
    assert deviations.dof == plain.dof == 11


def test_members_without_weight_are_in_no_stratum():
    values, weights, strata = drawn_by_strata(np.random.default_rng(9), (6, 6), 0.5, 2)
    weights[4:6], weights[10:] = 0, 0
    weights *= 12 / 8
    left = weights[:, 0] > 0
    _, deviations = deviations_of_mean(values, weights, strata=strata)
    _, alone = deviations_of_mean(values[left], weights[left], strata=strata[left])
    assert deviations.variance == pytest.approx(alone.variance)
    assert deviations.dof == alone.dof == 6


@pytest.mark.parametrize(
    ("sizes", "share"), [((40, 8), 0.01), ((24, 8), 0.25), ((16, 16), 0.5), ((24, 8), 0.02)]
)
def test_strata_of_any_size_are_unbiased_and_their_spread_is_the_error(sizes, share):
    """20 000 repeats. Means to 4.5 standard errors (false alarm 7e-6); variances to 5 of theirs (6e-7)."""
    values, weights, strata = drawn_by_strata(np.random.default_rng(10), sizes, share, 20_000)
    mean, deviations = deviations_of_mean(values, weights, strata=strata)
    variance = (1 - share) ** 2 / sizes[0] + share**2 * 9 / sizes[1]
    assert abs(mean.mean() - (1 - share - 4 * share)) < 4.5 * np.sqrt(variance / 20_000)
    found = deviations.variance
    assert abs(found.mean() - variance) < 5 * found.std() / np.sqrt(20_000)
    covered = (np.abs(mean - (1 - 5 * share)) <= 1.96 * np.sqrt(found)).mean()
    assert 0.91 < covered < 0.955
