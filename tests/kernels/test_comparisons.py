"""Statistics with known truth: simulated normal data, independent and correlated.

Rates are compared with their bounds at 4 standard deviations of the simulation, so that each comparison fails by chance
once in about 30 000 times (seeds are fixed).
"""

import numpy as np
import pytest
from scipy.special import polygamma
from scipy.stats import binomtest, norm, t

from quell.kernels.comparisons import (
    agreement,
    bias,
    binomial_interval,
    coverage,
    discrepancy,
    independent_values,
    overhead,
    rms_bias,
    rmse,
    rmse_ratio,
    z_rms,
)
from quell.kernels.statistics import student_factor


def noise(rng, repeats, size, common):
    """Unit normal noise (R, K), of which the share `common` of the variance is the same for all values of a repeat."""
    shared, own = rng.normal(size=(repeats, 1)), rng.normal(size=(repeats, size))
    return np.sqrt(common) * shared + np.sqrt(1 - common) * own


def least(rate, runs):
    """What a rate does not fall below by chance."""
    return rate - 4 * np.sqrt(rate * (1 - rate) / runs)


# --- bias and rmse ----------------------------------------------------------------------------


def test_bias_of_a_single_repeat_has_the_reported_error():
    found, error = bias([[1.0, 2.0]], [[0.1, 0.2]], [0.5, 2.5])
    assert found == pytest.approx([0.5, -0.5])
    assert error == pytest.approx([0.1, 0.2])


@pytest.mark.parametrize("repeats", [2, 10])
def test_the_error_of_a_bias_covers_whatever_the_bars_say(repeats):
    rng, runs, size = np.random.default_rng(1), 400, 8
    inside = []
    for _ in range(runs):
        found, error = bias(
            0.3 + noise(rng, repeats, size, 0), np.full((repeats, size), 1e-3), np.zeros(size)
        )
        inside.append(np.abs(found - 0.3) <= 1.96 * error)
    rate = np.mean(inside)
    assert abs(rate - 0.95) < 4 * np.sqrt(0.95 * 0.05 / (runs * size))


def test_rmse_and_its_error_by_hand():
    values = np.array([[1.0, 1.0], [3.0, 3.0]])
    found, error = rmse(values, np.ones((2, 2)), [0.0, 0.0])
    assert found == pytest.approx(np.sqrt(5))
    # Squares 1 and 9; two equal columns are one value, of which two repeats have trigamma(1) / 4 by themselves. Their
    # variance of 2 is a share of .4 of the mean square, which leaves .4 x 1.6 of that.
    relative = (np.var([1.0, 9.0], ddof=1) / 2 / 25 / 4 + 0.64 * np.pi**2 / 6 / 4) / 2
    assert error == pytest.approx(np.sqrt(5 * relative))


def test_an_rmse_that_is_bias_is_known_as_well_as_its_bars_and_spread_say():
    rng = np.random.default_rng(3)
    bias_of_values = np.array([0.1, 0.3, 0.2])
    values = bias_of_values + 0.002 * rng.standard_normal((10, 3))
    _, error = rmse(values, np.full((10, 3), 0.002), np.zeros(3))
    # Of the mean of three independent values of equal weight at the most that of one: .002 / sqrt(10).
    assert 0.0002 < error < 0.0009


def test_one_repeat_may_be_off_by_its_error_bars():
    assert rmse([[0.3, -0.4]], [[0.1, 0.1]], [0.0, 0.0]) == pytest.approx((np.sqrt(0.125), 0.1))


@pytest.mark.parametrize("common", [0, 1])
@pytest.mark.parametrize("offset", [0, 3])
def test_the_error_of_an_rmse_is_its_spread(common, offset):
    rng = np.random.default_rng(2)
    bars, zeros = np.ones((10, 6)), np.zeros(6)
    found, errors = np.transpose([rmse(offset + noise(rng, 10, 6, common), bars, zeros) for _ in range(500)])
    # Uncorrelated values are seen as somewhat correlated, since ten repeats cannot tell; never the other way round.
    assert 0.9 < np.sqrt((errors**2).mean()) / found.std() < 1.5


def test_rms_bias_does_not_grow_with_the_noise():
    rng = np.random.default_rng(3)
    true = np.array([0.3, -0.4, 0.0, 0.5])
    squares = [
        rms_bias(true + sigma * noise(rng, 5, 4, 0.5), np.ones((5, 4)), np.zeros(4))[0] ** 2
        for sigma in (0.05, 0.2)
        for _ in range(1000)
    ]
    means = np.reshape(squares, (2, 1000)).mean(axis=1)
    assert means == pytest.approx([0.125, 0.125], rel=0.03)


@pytest.mark.parametrize("common", [0, 1])
@pytest.mark.parametrize("repeats", [1, 2, 10])
def test_no_bias_is_found_where_there_is_none(repeats, common):
    rng, runs = np.random.default_rng(4), 1000
    found = [
        rms_bias(noise(rng, repeats, 6, common), np.ones((repeats, 6)), np.zeros(6)) for _ in range(runs)
    ]
    values, errors = np.transpose(found)
    assert (values >= 0).all()
    assert (values > 1.96 * errors).mean() < 0.06 + 4 * np.sqrt(0.06 * 0.94 / runs)
    # And it says something: the error is that of a mean, with Student's factor.
    assert np.median(errors) < 1.2 * student_factor(repeats - 1 if repeats > 1 else np.inf) / np.sqrt(repeats)


@pytest.mark.parametrize("repeats", [1, 5])
def test_a_large_bias_has_the_error_of_a_mean(repeats):
    rng = np.random.default_rng(5)
    found = [rms_bias(10 + noise(rng, repeats, 1, 0), np.ones((repeats, 1)), np.zeros(1)) for _ in range(500)]
    values, errors = np.transpose(found)
    assert values.mean() == pytest.approx(10, abs=0.1)
    widened = student_factor(4) if repeats > 1 else 1
    assert np.sqrt((errors**2).mean()) == pytest.approx(widened * values.std(), rel=0.15)


# --- ratios -----------------------------------------------------------------------------------


CASES = {
    "both without bias": (0, 1, 0, 1),
    "bias against noise": (3, 1, 0, 1),
    "mostly bias": (10, 1, 0.5, 1),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("size", "common", "shared"), [(1, 0, 0), (6, 0, 0), (6, 0.9, 0), (6, 0.9, 0.9)])
@pytest.mark.parametrize(("repeats", "widest"), [(1, 6), (2, 5), (3, 8), (10, 2.2), (50, 1.4)])
def test_the_interval_of_a_ratio_covers(repeats, widest, size, common, shared, case):
    """At least 93 % for 95 %, with values and strategies that have noise in common; and it says something."""
    rng, runs = np.random.default_rng(6), 250
    bias_a, sigma_a, bias_b, sigma_b = CASES[case]
    truth = np.sqrt((bias_a**2 + sigma_a**2) / (bias_b**2 + sigma_b**2))
    bars, zeros = np.ones((repeats, size)), np.zeros(size)
    inside, widths = [], []
    for _ in range(runs):
        both = np.sqrt(shared) * noise(rng, repeats, size, common)
        a, b = (both + np.sqrt(1 - shared) * noise(rng, repeats, size, common) for _ in range(2))
        found = rmse_ratio(
            (bias_a + sigma_a * a, sigma_a * bars), (bias_b + sigma_b * b, sigma_b * bars), zeros
        )
        assert found.low <= found.value <= found.high
        inside.append(found.low <= truth <= found.high)
        widths.append(found.high / found.low)
    assert np.mean(inside) >= least(0.93, runs)
    assert np.sqrt(np.median(widths)) < widest


def test_the_interval_of_a_single_repeat_by_hand():
    """The worst ends of two biases, each at half the error rate of 5 %, with the noise that the error bars tell of."""
    quantile = norm.ppf(1 - 0.05 / 4)
    found = rmse_ratio(([[3.0, 4.0]], [[0.1, 0.2]]), ([[0.3, 0.1]], [[0.2, 0.2]]), [0.0, 0.0])
    top, bar, bottom = np.sqrt(12.5), np.sqrt(0.025), np.sqrt(0.05)
    assert found.value == pytest.approx(top / bottom)
    assert found.low == pytest.approx(
        np.hypot(top - quantile * bar, bar) / np.hypot(bottom + quantile * 0.2, 0.2)
    )
    assert found.high == pytest.approx(np.hypot(top + quantile * bar, bar) / 0.2)


def test_strategies_that_share_their_noise_are_told_apart():
    rng = np.random.default_rng(7)
    a, other = noise(rng, 10, 6, 0), noise(rng, 10, 6, 0)
    bars, zeros = np.ones((10, 6)), np.zeros(6)
    paired = rmse_ratio((1.2 * a, bars), (a + 0.02 * other, bars), zeros)
    apart = rmse_ratio((1.2 * a, bars), (other, bars), zeros)
    assert paired.low > 1
    assert paired.high / paired.low < apart.high / apart.low


def test_the_ratio_turned_round_has_the_interval_turned_round():
    rng = np.random.default_rng(8)
    for repeats in (1, 2, 7):
        bars, zeros = np.ones((repeats, 3)), np.zeros(3)
        a, b = (noise(rng, repeats, 3, 0), bars), (2 + noise(rng, repeats, 3, 0), bars)
        one, other = rmse_ratio(a, b, zeros), rmse_ratio(b, a, zeros)
        assert (one.value, one.low, one.high) == pytest.approx(
            (1 / other.value, 1 / other.high, 1 / other.low)
        )


def test_a_higher_level_is_wider():
    rng = np.random.default_rng(9)
    for repeats in (1, 2, 7):
        bars = np.ones((repeats, 3))
        pair = [(noise(rng, repeats, 3, 0), bars) for _ in range(2)]
        narrow, wide = (rmse_ratio(*pair, np.zeros(3), confidence=level) for level in (0.68, 0.99))
        assert wide.low < narrow.low < narrow.high < wide.high


def test_a_strategy_against_itself():
    values = np.array([[0.1, 0.2], [0.3, 0.1]])
    found = rmse_ratio((values, values), (values, values), [0.0, 0.0])
    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_exact_values_have_no_ratio():
    exact, other = np.zeros((3, 2)), np.ones((3, 2))
    assert rmse_ratio((other, other), (exact, other), [0.0, 0.0]) is None
    assert rmse_ratio((exact, other), (other, other), [0.0, 0.0]) is None


# --- coverage ---------------------------------------------------------------------------------


def test_coverage_counts_intervals():
    found = coverage([[0.0, 1.0, 5.0]], [[1.0, 1.0, 1.0]], [1.95, 3.0, 5.0])
    assert (found.covered, found.total, found.fraction) == (2, 3, pytest.approx(2 / 3))


def test_intervals_without_width_contain_what_they_equal_up_to_rounding():
    found = coverage([[0.1 + 0.2, 0.3001]], [[0.0, 0.0]], [0.3, 0.3])
    assert (found.covered, found.total) == (1, 2)


def test_one_repeat_counts_once():
    found = coverage(np.zeros((1, 500)), np.ones((1, 500)), np.zeros(500))
    assert (found.low, found.high) == pytest.approx(binomial_interval(1, 1))


@pytest.mark.parametrize("common", [0, 0.5, 1])
@pytest.mark.parametrize("repeats", [3, 10, 50])
def test_the_interval_of_a_coverage_covers(repeats, common):
    """Whatever values of a repeat have in common."""
    rng, runs, size = np.random.default_rng(10), 400, 20
    bars, zeros = np.ones((repeats, size)), np.zeros(size)
    found = [coverage(noise(rng, repeats, size, common), bars, zeros) for _ in range(runs)]
    assert np.mean([f.low <= 0.95 <= f.high for f in found]) >= least(0.95, runs)
    if common == 1 and repeats > 3:  # intervals that count all values are right far less often
        naive = [binomial_interval(f.fraction, f.total) for f in found]
        assert np.mean([low <= 0.95 <= high for low, high in naive]) < 0.8


def test_independent_values_say_more_than_repeats():
    rng = np.random.default_rng(11)
    found = coverage(noise(rng, 50, 20, 0), np.ones((50, 20)), np.zeros(20))
    low, high = binomial_interval(found.fraction, 50)
    assert found.high - found.low < 0.5 * (high - low)


def test_error_bars_that_are_too_short_are_noticed():
    rng = np.random.default_rng(12)
    found = coverage(noise(rng, 20, 6, 0.3), np.full((20, 6), 0.5), np.zeros(6))
    assert found.high < 0.95


@pytest.mark.parametrize(("hits", "trials"), [(0, 4), (5, 10), (93, 100), (7, 7)])
def test_the_interval_of_a_fraction_is_what_scipy_has(hits, trials):
    expected = binomtest(hits, trials).proportion_ci(method="exact")
    assert binomial_interval(hits / trials, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_independent_values():
    one = np.arange(5.0)[:, None]
    assert independent_values(np.tile(one, (1, 7))) == pytest.approx(1)
    assert independent_values(np.hstack([np.eye(4), -np.eye(4)]).T) == pytest.approx(4)
    assert independent_values(np.ones((4, 3))) == 0
    rng = np.random.default_rng(13)
    assert independent_values(rng.normal(size=(2000, 5))) == pytest.approx(5, rel=0.02)
    assert independent_values(rng.normal(size=(2, 50))) == pytest.approx(1)


# --- z-scores, agreement, overhead ------------------------------------------------------------


def test_z_rms():
    assert z_rms([[1.0, 3.0]], [[1.0, 1.0]], [0.0, 0.0]) == pytest.approx(np.sqrt(5))
    assert z_rms([[1.0, 3.0]], [[1.0, 0.0]], [0.0, 3.0]) == pytest.approx(1)
    assert z_rms([[1.0, 3.0]], [[1.0, 0.0]], [0.0, 0.0]) is None
    assert z_rms([[1.0]], [[0.0]], [1.0]) is None


def test_strategies_that_agree_differ_by_an_error_of_a_difference():
    rng = np.random.default_rng(14)
    a, b = noise(rng, 200, 6, 0), 2 * noise(rng, 200, 6, 0)
    ones = np.ones((200, 6))
    assert agreement(a, ones, b, 2 * ones) == pytest.approx(1, abs=0.1)
    assert agreement(a, ones, b + 5, 2 * ones) == pytest.approx(np.sqrt(1 + 5), abs=0.2)
    assert agreement(a, 0 * ones, a, 0 * ones) is None


@pytest.mark.parametrize("common", [0, 1])
@pytest.mark.parametrize("repeats", [1, 2, 10])
def test_a_discrepancy_is_rarely_found_where_there_is_none_and_found_where_there_is(repeats, common):
    rng, runs, size = np.random.default_rng(15), 1000, 6
    ones = np.ones((repeats, size))

    def rate(offset):
        found = [
            discrepancy(
                noise(rng, repeats, size, common), ones, offset + noise(rng, repeats, size, common), ones
            )
            for _ in range(runs)
        ]
        return np.mean(np.array(found) > 1.96)

    assert rate(0) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / runs)
    # Twice as far as what is significant: half of it is a standard deviation of 1.96.
    assert rate(4 * 1.96 * np.sqrt(2 / repeats)) > 0.95


def test_exact_strategies_agree_or_there_is_no_measure():
    exact = np.ones((2, 3))
    assert discrepancy(exact, 0 * exact, exact, 0 * exact) == 0
    assert discrepancy(exact, 0 * exact, 2 * exact, 0 * exact) is None


def test_overhead_is_variance_times_shots():
    assert overhead([[0.2, 0.2]], 500, [[0.1, 0.1]], 1000) == pytest.approx(2)
    assert overhead([[0.2]], 500, [[0.0]], 1000) is None
    assert overhead([[0.2]], 500, [[0.1]], 0) is None


# --- what has no answer -----------------------------------------------------------------------


@pytest.mark.parametrize("function", [bias, rms_bias, rmse, coverage, z_rms])
@pytest.mark.parametrize(
    "arguments",
    [
        ([1.0], [1.0], [1.0]),
        ([[1.0]], [[1.0, 1.0]], [1.0]),
        ([[1.0]], [[1.0]], [1.0, 1.0]),
        ([[np.nan]], [[1.0]], [1.0]),
        ([[1.0]], [[np.inf]], [1.0]),
        ([[1.0]], [[1.0]], [np.nan]),
        (np.zeros((0, 2)), np.zeros((0, 2)), [1.0, 1.0]),
    ],
)
def test_what_cannot_be_compared_is_refused(function, arguments):
    with pytest.raises(ValueError, match=r"need|finite|no values"):
        function(*arguments)


def test_repeats_must_be_the_same():
    two, three = np.ones((2, 1)), np.ones((3, 1))
    with pytest.raises(ValueError, match="same"):
        rmse_ratio((two, two), (three, three), [0.0])
    with pytest.raises(ValueError, match="same"):
        agreement(two, two, three, three)


@pytest.mark.parametrize("scale", [0, 1e-300, 1e-12, 1, 1e50])
@pytest.mark.parametrize("repeats", [1, 2, 3, 12])
def test_everything_returned_is_finite(repeats, scale):
    """Constant, exact, tiny and huge data, and one repeat that is all of the error."""
    rng = np.random.default_rng(16)
    lone = np.zeros((repeats, 2))
    lone[-1] = scale
    columns = [
        np.zeros((repeats, 2)),
        np.full((repeats, 2), float(scale)),
        scale * noise(rng, repeats, 2, 0),
        lone,
    ]
    zeros = np.zeros(2)
    for values in columns:
        for errors in map(np.abs, columns):
            found = [
                *bias(values, errors, zeros),
                rms_bias(values, errors, zeros),
                rmse(values, errors, zeros),
            ]
            c = coverage(values, errors, zeros)
            found += [[c.fraction, c.low, c.high], [z_rms(values, errors, zeros) or 0.0]]
            for other in columns:
                ratio = rmse_ratio((values, errors), (other, errors), zeros)
                found.append([0.0] if ratio is None else [ratio.value, ratio.low, ratio.high])
                found.append([agreement(values, errors, other, errors) or 0.0])
                found.append([discrepancy(values, errors, other, errors) or 0.0])
            assert all(np.isfinite(f).all() for f in found)


def test_students_t_is_that_of_the_repeats():
    """Three repeats have three degrees of freedom: two they show, and one that is expected."""
    values = np.array([[1.0], [2.0], [4.0]])
    found = rmse_ratio((values, values), (np.ones((3, 1)), values), [0.0])
    left = np.array([20.0, 17.0, 5.0])
    logs = np.log(left) / 2 - np.log(2) / 2
    jackknife = ((logs - logs.mean()) ** 2).sum() * 2 / 3
    expected = polygamma(1, 1.5) / 4  # of the one strategy that has noise
    half = t.ppf(0.975, 3) * np.sqrt((2 * jackknife + expected) / 3)
    assert np.log(found.high / found.value) == pytest.approx(half)
    assert np.log(found.value / found.low) == pytest.approx(half)
