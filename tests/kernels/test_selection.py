import itertools

import numpy as np
import pytest

from quell.kernels.extrapolation import Exponential, Fallback, Polynomial, Richardson
from quell.kernels.selection import choose, helps, kept_variance

CHAIN = (Exponential(), Polynomial(1))


def curves(truth, rate, sigma, factors, count, seed):
    """Return values (T, F) and covariances of exponential curves; all arguments may be arrays (T,)."""
    rng, x = np.random.default_rng(seed), np.array(factors, dtype=float)
    truth, rate, sigma = (np.broadcast_to(part, count)[:, None] for part in (truth, rate, sigma))
    values = truth * np.exp(-rate * x) + sigma * rng.normal(size=(count, len(x)))
    return values, sigma[:, :, None] ** 2 * np.eye(len(x))


def fitted(models, values, covariances, factors):
    return [model.fit(factors, values, covariances, [0.0, 1.0]) for model in models]


def picked(fits, chosen):
    everyone = np.arange(len(chosen))
    values = np.stack([fit.values[:, 0] for fit in fits])[chosen, everyone]
    responses = np.stack([fit.responses[:, 0] for fit in fits])[chosen, everyone]
    return values, responses


def variances(responses, covariances):
    return np.einsum("tf,tfg,tg->t", responses, covariances, responses)


def rms(errors):
    return np.sqrt(np.mean(errors**2))


# ---- choice --------------------------------------------------------------------------------------------------


def test_the_first_fit_that_is_usable_is_chosen():
    factors = [1.0, 3, 5]
    values = np.array(
        [
            [0.8, 0.5, 0.31],  # a decay
            [0.5, 0.6, 0.7],  # grows along a line
            [0.5, 0.1, -0.3],  # crosses zero along a line
            [0.1, 0.5, 0.1],  # neither, but a line can be put through anything
            [np.nan, 0.5, 0.3],
        ]
    )
    covariances = np.broadcast_to(1e-4 * np.eye(3), (5, 3, 3)).copy()
    fits = fitted(CHAIN, values, covariances, factors)
    chosen, predicted = choose(fits, covariances, 0)
    assert chosen.tolist() == [0, 1, 1, 1, -1]
    assert chosen.dtype == np.int64
    # The line through the first curve is off, beyond its error.
    difference = fits[1].values[0, 0] - fits[0].values[0, 0]
    assert predicted[1, 0] == pytest.approx(1e-4 * 35 / 24 + difference**2, rel=0.2)
    chosen, _ = choose(fits[::-1], covariances, 0)
    assert chosen.tolist() == [1, 0, 0, 0, -1]


def test_predicted_errors_are_variances_and_differences_beyond_errors():
    values, covariances = curves(0.8, 0.2, 0.01, (1, 3, 5), 200, seed=1)
    fits = fitted((*CHAIN, Fallback()), values, covariances, [1.0, 3, 5])
    for where in (0, 1):
        chosen, predicted = choose(fits, covariances, where)
        for row in range(200):
            best = fits[chosen[row]]
            for m, fit in enumerate(fits):
                own, other = fit.responses[row, where], best.responses[row, where]
                bias = (fit.values[row, where] - best.values[row, where]) ** 2
                bias -= 1e-4 * np.sum((own - other) ** 2)
                assert predicted[m, row] == pytest.approx(1e-4 * own @ own + max(bias, 0))


def test_broken_rows_give_finite_predictions():
    values, covariances = curves(0.8, 0.2, 0.01, (1, 3, 5), 4, seed=2)
    covariances = covariances.copy()
    values[0, 0], covariances[1, 0, 0], covariances[2] = np.inf, np.nan, 0.0
    chosen, predicted = choose(fitted(CHAIN, values, covariances, [1.0, 3, 5]), covariances, 0)
    assert chosen.tolist() == [-1, -1, 0, 0]
    assert np.isfinite(predicted).all()
    assert (predicted >= 0).all()


@pytest.mark.parametrize(("factors", "covered"), [((1, 3, 5), 0.90), ((1, 2, 3), 0.93)])
def test_choosing_by_order_beats_choosing_by_errors(factors, covered):
    rng, count = np.random.default_rng(3), 20_000
    truth, rate = rng.uniform(0.02, 1, (2, count))
    sigma = np.exp(rng.uniform(np.log(0.002), np.log(0.05), count))
    values, covariances = curves(truth, rate, sigma, factors, count, seed=4)
    fits = fitted(CHAIN, values, covariances, factors)
    chosen, predicted = choose(fits, covariances, 0)
    good = np.stack([fit.good & ~fit.contradicted for fit in fits])
    by_error = np.where(good.any(axis=0), np.where(good, predicted, np.inf).argmin(axis=0), chosen)
    scores = np.stack([fit.chi_squares + 2 * fit.num_parameters for fit in fits])
    by_score = np.where(np.stack([fit.good for fit in fits]), scores, np.inf).argmin(axis=0)
    errors, coverage = {}, {}
    for name, choice in (("order", chosen), ("error", by_error), ("score", by_score)):
        value, response = picked(fits, choice)
        errors[name] = rms(value - truth)
        coverage[name] = np.mean(np.abs(value - truth) < 1.96 * np.sqrt(variances(response, covariances)))
    assert errors["order"] < min(errors["error"], errors["score"])
    assert coverage["order"] > max(coverage["error"], coverage["score"]) + 0.02
    # What is missing to 95 % are lines where the exponential was not determined.
    assert coverage["order"] == pytest.approx(covered, abs=0.01)


# ---- guard ---------------------------------------------------------------------------------------------------

GRID = np.array(
    list(itertools.product([0, 0.02, 0.1, 0.3, 1], [0, 0.05, 0.1, 0.2, 0.8], [0.002, 0.01, 0.05]))
)


def guarded(models, factors, grid, count, seed=5):
    """Return errors of measured, extrapolated and guarded values, and whether intervals cover, (cases, count) each."""
    truth, rate, sigma = np.repeat(grid, count, axis=0).T
    values, covariances = curves(truth, rate, sigma, factors, len(truth), seed)
    fits = fitted(models, values, covariances, factors)
    chosen, _ = choose(fits, covariances, 0)
    value, response = picked(fits, chosen)
    variance, away = variances(response, covariances), response.copy()
    away[:, 0] -= 1
    raw, raw_variance = values[:, 0], covariances[:, 0, 0]
    better, predicted_raw, predicted_value = helps(
        raw, raw_variance, value, variance, variances(away, covariances)
    )
    assert np.array_equal(better, predicted_value < predicted_raw)
    final = np.where(better, value, raw)
    error = np.where(better, variance, kept_variance(raw, raw_variance, value, variance))
    inside = [np.abs(v - truth) < 1.96 * np.sqrt(e) for v, e in ((value, variance), (final, error))]
    return [part.reshape(len(grid), count) for part in (raw - truth, value - truth, final - truth, *inside)]


def improvement(before, after):
    return np.sqrt(np.mean(before**2, axis=1) / np.mean(after**2, axis=1))


@pytest.mark.parametrize(
    ("models", "count", "worst", "mean"),
    [(CHAIN, 1000, 0.8, 0.40), ((Richardson(),), 5000, 0.5, 0.20), ((Polynomial(1),), 5000, 0.9, 0.10)],
)
def test_guarded_values_are_hardly_ever_worse_than_measured_ones(models, count, worst, mean):
    raw, value, final, *_ = guarded(models, (1, 3, 5), GRID, count)
    always, with_guard = improvement(raw, value), improvement(raw, final)
    assert min(always) < worst  # there is something to guard against
    assert min(with_guard) > 0.95
    assert np.mean(np.log(with_guard)) > mean
    assert np.mean(np.log(with_guard)) > np.mean(np.log(always)) - 0.02


def test_intervals_cover_where_the_measured_value_is_kept():
    # Rates at which the exponential is determined or not needed; where it is neither no interval is right.
    covered = guarded(CHAIN, (1, 3, 5), GRID[GRID[:, 1] <= 0.2], 1000)[4].mean(axis=1)
    assert covered.mean() > 0.94
    assert covered.min() > 0.85


def test_extrapolation_that_costs_nothing_is_always_taken():
    raw, value = np.array([0.5, 0.5]), np.array([0.5, 0.6])
    better, before, after = helps(raw, np.full(2, 4e-4), value, np.full(2, 1e-4), np.full(2, 1e-4))
    assert better.tolist() == [True, True]
    assert (after < before).all()


def test_no_errors_at_all():
    zeros = np.zeros(2)
    better, before, _ = helps(np.array([0.5, 0.5]), zeros, np.array([0.5, 0.6]), zeros, zeros)
    assert better.tolist() == [False, True]
    assert np.isfinite(before).all()
    better, *_ = helps(np.array([0.5]), np.zeros(1), np.array([0.6]), np.ones(1), np.ones(1))
    assert not better[0]


def test_a_difference_must_be_many_times_its_error():
    # Richardson at (1, 3, 5): variance 5.22, of the difference 2.47, in units of the measured one.
    sigma, ones = 0.01, np.ones(3)
    break_even = np.sqrt(2.47 + 5.22 - 1) * sigma
    value = 0.5 + break_even * np.array([1.2, 2.1, 2.5])
    better, *_ = helps(0.5 * ones, sigma**2 * ones, value, 5.22 * sigma**2 * ones, 2.47 * sigma**2 * ones)
    assert better.tolist() == [False, False, True]  # 2.27: the root of 3.5 + log 5.22


def test_variance_of_a_kept_value():
    kept = kept_variance(
        np.array([0.5, 0.5]), np.array([1e-4, 1e-4]), np.array([0.51, 0.5]), np.array([1e-4, 9e-4])
    )
    assert kept == pytest.approx([2e-4, 9e-4])
