import numpy as np
import pytest

from quell.kernels.decays import FITTED, NO_SIGNAL, fit_decays

DEPTHS = 2.0 * np.array([0, 1, 2, 4, 16, 32])
NUM_ROWS = 2000
# The bands below are wider than 4.5 standard errors of the quantity over the rows of a test: a false alarm in
# fewer than 1 of 100 000 draws of the seed.


def decays(rng, low, high, num_rows=NUM_ROWS, depths=DEPTHS):
    """Random rates and amplitudes, and the exact values."""
    rates, amplitudes = rng.uniform(low, high, num_rows), rng.uniform(0.85, 1, num_rows)
    return rates, amplitudes, amplitudes[:, None] * np.exp(-rates[:, None] * depths)


def measured(rng, values, randomizations=30, shots=128):
    """Means of parities over randomizations, and their variances estimated from the spread."""
    flipped = rng.binomial(shots, (1 - values) / 2, size=(randomizations, *values.shape))
    parities = 1 - 2 * flipped / shots
    return parities.mean(axis=0), parities.var(axis=0, ddof=1) / randomizations


def test_exact_values_give_exact_rates():
    rates, amplitudes, values = decays(np.random.default_rng(1), -0.002, 0.5)
    fit = fit_decays(DEPTHS, values, np.zeros_like(values))
    assert fit.rates == pytest.approx(rates, abs=1e-10)
    assert fit.amplitudes == pytest.approx(amplitudes, abs=1e-10)
    assert (fit.status == FITTED).all()
    assert (fit.dof == 4).all()
    assert fit.chi_squares.max() < 1e-6


# Variances estimated from 30 randomizations spread z by 1.036 (Student's t with 29 degrees of freedom) and chi^2 by
# 29 / 27; choosing the weights with them costs 1 to 2 % more.
@pytest.mark.parametrize(("low", "high"), [(0.0001, 0.002), (0.002, 0.02), (0.02, 0.2), (0.2, 0.8)])
def test_errors_of_rates_are_as_large_as_said(low, high):
    rng = np.random.default_rng([2, int(1e4 * low)])
    rates, _, values = decays(rng, low, high)
    values, variances = measured(rng, values)
    fit = fit_decays(DEPTHS, values, variances)
    assert (fit.status == FITTED).all()
    for variance in (fit.variances, (fit.responses**2 * variances).sum(axis=1)):
        z = (fit.rates - rates) / np.sqrt(variance)
        assert abs(z.mean()) < 0.15
        assert 0.97 < z.std() < 1.13
        assert 0.915 < (np.abs(z) < 1.96).mean() < 0.965
    assert 0.97 < fit.chi_squares.sum() / fit.dof.sum() < 1.15


def test_known_variances_give_unit_spread_and_chi_square():
    rng = np.random.default_rng(3)
    rates, _, values = decays(rng, 0.01, 0.1)
    variances = (1 - values**2 + 1e-4) / 4000 * rng.uniform(0.5, 2, values.shape)
    fit = fit_decays(DEPTHS, values + rng.normal(size=values.shape) * np.sqrt(variances), variances)
    z = (fit.rates - rates) / np.sqrt(fit.variances)
    assert abs(z.mean()) < 0.1
    assert 0.93 < z.std() < 1.07
    assert 0.93 < fit.chi_squares.sum() / fit.dof.sum() < 1.07


def test_rates_near_zero_come_out_on_both_sides():
    rng = np.random.default_rng(4)
    values, variances = measured(rng, np.full((NUM_ROWS, len(DEPTHS)), 0.95))
    fit = fit_decays(DEPTHS, values, variances)
    assert 0.42 < (fit.rates < 0).mean() < 0.58
    assert np.abs(fit.rates).max() < 6 * np.sqrt(fit.variances).max()


@pytest.mark.parametrize("noisy", [False, True])
def test_responses_are_the_derivatives(noisy):
    rng = np.random.default_rng(5)
    _, _, values = decays(rng, 0.001, 0.3, 300)
    values, variances = measured(rng, values) if noisy else (values, (1 - values**2) / 4000)
    responses = fit_decays(DEPTHS, values, variances).responses
    step = 1e-5 * np.eye(len(DEPTHS))
    numeric = np.stack(
        [
            fit_decays(DEPTHS, values + e, variances).rates - fit_decays(DEPTHS, values - e, variances).rates
            for e in step
        ],
        axis=1,
    )
    errors = (numeric / 2e-5 - responses) * np.sqrt(variances)
    relative = np.linalg.norm(errors, axis=1) / np.linalg.norm(responses * np.sqrt(variances), axis=1)
    # Off the curve the weights and the curvature of the model move with the data, which noise has little of.
    assert np.median(relative) < (0.05 if noisy else 1e-5)
    assert np.quantile(relative, 0.95) < (0.1 if noisy else 1e-4)


def test_a_value_far_off_hardly_moves_the_rate():
    rng = np.random.default_rng(6)
    rates, _, values = decays(rng, 0.005, 0.05)
    values, variances = measured(rng, values)
    clean = fit_decays(DEPTHS, values, variances)
    where = rng.integers(1, 5, NUM_ROWS)
    values[np.arange(NUM_ROWS), where] -= 0.3
    fit = fit_decays(DEPTHS, values, variances)
    z = (fit.rates - rates) / np.sqrt(fit.variances)
    without_care = 0.3 * np.abs(clean.responses[np.arange(NUM_ROWS), where]) / np.sqrt(clean.variances)
    assert np.median(without_care) > 4
    assert (fit.used.sum(axis=1) == 5).mean() > 0.99
    assert fit.used[np.arange(NUM_ROWS), where].mean() < 0.01
    assert 0.95 < z.std() < 1.15
    assert np.median(fit.chi_squares) > 100  # chi^2 does not hide it


def test_misjudged_variances_do_not_make_everything_an_outlier():
    rng = np.random.default_rng(7)
    rates, _, values = decays(rng, 0.005, 0.05)
    values, variances = measured(rng, values)
    honest, fit = fit_decays(DEPTHS, values, variances), fit_decays(DEPTHS, values, variances / 100)
    assert (np.abs(fit.responses) > 0).sum(axis=1).min() >= 3
    assert fit.chi_squares.sum() / fit.dof.sum() > 30
    assert ((fit.rates - rates) ** 2).mean() < 1.5 * ((honest.rates - rates) ** 2).mean()


def test_a_point_without_spread_does_not_decide_alone():
    rng = np.random.default_rng(8)
    rates, _, values = decays(rng, 0.002, 0.02)
    values, variances = measured(rng, values)
    variances[np.arange(NUM_ROWS), rng.integers(6, size=NUM_ROWS)] = 0
    fit = fit_decays(DEPTHS, values, variances)
    z = (fit.rates - rates) / np.sqrt(fit.variances)
    assert 0.95 < z.std() < 1.15
    assert fit.variances.min() > 0


def test_paulis_that_were_never_flipped_are_known_as_well_as_shots_allow():
    rng = np.random.default_rng(9)
    _, _, values = decays(rng, 0.002, 0.02, 50)
    values, variances = measured(rng, values)
    values[0], variances[0] = 1, 0
    fit = fit_decays(DEPTHS, values, variances)
    assert abs(fit.rates[0]) < 1e-9
    # 3840 shots at most depths without a flip: the fidelity at depth 64 is known to about one flip.
    assert 0.1 / 3840 / 64 < np.sqrt(fit.variances[0]) < 10 / 3840 / 64


def test_missing_values_are_left_out():
    rng = np.random.default_rng(10)
    rates, _, values = decays(rng, 0.01, 0.1, 100)
    variances = np.full(values.shape, 1e-6)
    kept = [0, 2, 3, 5]
    holes, unknown = values.copy(), variances.copy()
    holes[:, 1], unknown[:, 4] = np.nan, np.inf
    fit = fit_decays(DEPTHS, holes, unknown)
    assert fit.rates == pytest.approx(rates, abs=1e-10)
    assert (fit.used == [[k in kept for k in range(6)]] * 100).all()
    assert (fit.dof == 2).all()
    assert (fit.responses[:, [1, 4]] == 0).all()


def test_the_order_of_depths_is_free_and_a_depth_may_come_twice():
    rng = np.random.default_rng(11)
    depths = DEPTHS[[3, 0, 5, 1, 2, 4, 0]]
    rates, _, values = decays(rng, 0.01, 0.1, 50, depths)
    assert fit_decays(depths, values, np.full(values.shape, 1e-6)).rates == pytest.approx(rates, abs=1e-10)


ODD_ROWS = {
    "all gone": [0.0, 0, 0, 0],
    "noise": [0.01, -0.012, 0.003, -0.001],
    "only at the start": [0.95, 0.004, -0.007, 0.01],
    "negative": [-1.0, -1, -1, -1],
    "signs change": [0.9, -0.5, 0.2, -0.1],
    "rising": [0.1, 0.2, 0.4, 0.8],
    "only at the end": [0.0, 0, 0, 0.9],
    "nothing measured": [np.nan] * 4,
    "one depth": [0.9, np.nan, np.nan, np.nan],
    "one deep point": [np.nan, np.nan, 0.3, np.nan],
    "no start": [np.nan, 0.5, 0.25, 0.0],
    "above one": [1.2, 1.1, 1.15, 1.3],
    "nonsense": [1e6, -1e6, 1e-9, 3.0],
}


@pytest.mark.parametrize("variance", [0.0, 1e-30, 1e-4, 1.0, 1e10])
def test_whatever_the_data_all_numbers_are_finite(variance):
    values = np.array(list(ODD_ROWS.values()))
    fit = fit_decays([0, 2, 4, 8], values, np.full(values.shape, variance))
    for array in (fit.rates, fit.amplitudes, fit.responses, fit.variances, fit.chi_squares):
        assert np.isfinite(array).all()
    assert (fit.variances > 0).all()


@pytest.mark.parametrize(
    "name", ["all gone", "noise", "only at the start", "negative", "nothing measured", "one depth"]
)
def test_rows_without_signal_say_so_and_are_hardly_known(name):
    depths = [0, 2, 4, 8]
    fit = fit_decays(depths, [ODD_ROWS[name]], np.full((1, 4), 1e-4))
    assert fit.status[0] == NO_SIGNAL
    assert 0.2 < np.sqrt(fit.variances[0]) * 2 < 4


def test_a_lost_signal_bounds_the_rate_from_below():
    fit = fit_decays([0, 2, 4, 8], [ODD_ROWS["only at the start"]], np.full((1, 4), 1e-4))
    assert fit.rates[0] == pytest.approx(np.log(0.95 / 0.01) / 2, rel=0.01)
    assert fit.amplitudes[0] == pytest.approx(0.95)


def test_rates_of_lost_signals_are_covered_while_noise_grows():
    rng = np.random.default_rng(12)
    rates, _, values = decays(rng, 0.8, 2.2)
    values, variances = measured(rng, values)
    fit = fit_decays(DEPTHS, values, variances)
    lost = fit.status == NO_SIGNAL
    assert 0.2 < lost.mean() < 0.8
    z = (fit.rates - rates) / np.sqrt(fit.variances)
    assert (np.abs(z[lost]) < 3).mean() > 0.99
    # The logarithm of a value that hardly stands out of the noise is skewed: normal errors would give 99.6 %.
    assert (np.abs(z[~lost]) < 3).mean() > 0.95


def test_no_rows_give_no_fits():
    fit = fit_decays(DEPTHS, np.zeros((0, 6)), np.zeros((0, 6)))
    assert fit.rates.shape == (0,)
    assert fit.responses.shape == (0, 6)


@pytest.mark.parametrize("depths", [[1, 1], [0], [0, -1], [0, np.nan], [0, np.inf], []])
def test_depths_that_determine_nothing_are_refused(depths):
    with pytest.raises(ValueError, match="two different depths"):
        fit_decays(depths, np.zeros((1, len(depths))), np.zeros((1, len(depths))))


def test_shapes_must_fit():
    with pytest.raises(ValueError, match="do not fit"):
        fit_decays([0, 1], np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="do not fit"):
        fit_decays([0, 1, 2], np.zeros((2, 3)), np.zeros((3, 3)))
