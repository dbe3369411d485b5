"""Shots for a budget: never above it, at most one step below what could be had, and all of it counted."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_devices import bell, circuit, deviations, frames, numbers, only, sampler, sweep

from quell import EstimatorOptions, InputError
from quell.comparison.budget import Spent, learning_within, shots_within
from quell.comparison.run import compare
from quell.pipeline import Cost
from quell.testing import CountingBackend

MODEST = settings(deadline=None, derandomize=True, max_examples=150)
STAGES = ["raw", "trex", "twirl", "zne+trex+twirl", "level 1", "level 2"]


def spending(shots, besides=0, deferred=0):
    return Spent(Cost(1, shots, 0, (deferred, None)), besides)


@MODEST
@given(
    total=st.integers(10, 10**7),
    fixed=st.integers(0, 10**6),
    slope=st.floats(1, 40),
    step=st.integers(1, 5000),
    besides=st.integers(0, 1000),
)
def test_never_above_the_total_and_at_most_a_step_below(total, fixed, slope, step, besides):
    """What a run spends grows in steps: randomizations times whole shots of each."""
    calls = []

    def spent(shots):
        calls.append(shots)
        return spending(fixed + step * math.ceil(slope * shots / step), besides)

    assume(spent(1).total <= total < spent(total).total)
    calls.clear()
    shots, found = shots_within(total, spent)
    assert len(calls) <= 15
    assert shots >= 1
    assert found == spent(shots)
    assert found.total <= total
    best = fixed + besides + step * ((total - fixed - besides) // step)
    assert found.total >= min(best, 0.995 * total) - max(step, slope)


@MODEST
@given(
    total=st.integers(300, 10**6),
    parts=st.lists(st.tuples(st.floats(0.3, 2), st.integers(1, 64)), min_size=1, max_size=5),
)
def test_the_same_for_sums_of_different_steps(total, parts):
    """Factors and calibration are rounded each for itself."""

    def spent(shots):
        return spending(sum(step * math.ceil(share * shots / step) for share, step in parts))

    assume(spent(1).total <= total < spent(total).total)
    _, found = shots_within(total, spent)
    assert found.total <= total
    assert found.total >= 0.995 * total - sum(step for _, step in parts) - len(parts)


def test_deferred_shots_and_what_is_learned_elsewhere_count():
    assert spending(100, besides=30, deferred=7).total == 137
    shots, found = shots_within(1000, lambda n: spending(n, besides=200, deferred=n))
    assert found.total == 2 * shots + 200 <= 1000
    assert shots == 400 or found.total >= 995


def test_a_total_that_is_too_small_says_what_it_takes():
    with pytest.raises(
        InputError, match="total_shots: is 100 shots, and one shot of each value already takes 161"
    ):
        shots_within(100, lambda n: spending(160 + n))


def test_shots_that_the_options_fix_are_refused():
    with pytest.raises(InputError, match="options fix the shots, 500 in all"):
        shots_within(1000, lambda _: spending(500))


# --- learning -----------------------------------------------------------------------------------


def learning(options):
    group = options.resilience.layer_noise_learning
    return group.num_randomizations, group.shots_per_randomization


def test_learning_that_fits_is_left_alone():
    options = EstimatorOptions()
    assert learning_within(1000, options, 500) == ""
    assert learning(options) == (32, 128)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2, 0.125, 0.05, 0.04])
def test_learning_is_cut_to_a_half_shots_before_randomizations(share):
    """Shots of a randomization go first: the error bars are the spread of randomizations."""
    options = EstimatorOptions()
    before = 54 * 32 * 128
    said = learning_within(int(2 * share * before), options, before)
    randomizations, shots = learning(options)
    assert 54 * randomizations * shots <= share * before * 1.001
    assert 54 * randomizations * shots >= share * before * 0.85
    assert randomizations == 32 or shots == 16
    assert f"{randomizations} x {shots} shots" in said
    assert "instead of 32 x 128" in said


def test_learning_has_a_least_size():
    options = EstimatorOptions()
    learning_within(1000, options, 10**6)
    assert learning(options) == (8, 16)


def test_what_the_user_said_of_learning_is_left_alone():
    group = {"num_randomizations": 10, "shots_per_randomization": 1000}
    options = EstimatorOptions({"resilience": {"layer_noise_learning": group}})
    assert learning_within(1000, options, 540_000) == ""
    assert learning(options) == (10, 1000)
    options = EstimatorOptions({"resilience": {"layer_noise_learning": {"num_randomizations": 10}}})
    learning_within(54 * 10 * 128, options, 54 * 10 * 128)
    assert learning(options) == (10, 64)


# --- whole comparisons --------------------------------------------------------------------------


def spends(found, name, total):
    """Check one strategy's account; return its trial."""
    trial = only(found, name)
    assert trial.failure == ""
    assert 0.98 * total <= trial.shots <= total, (name, trial.shots)
    assert trial.calibration_shots < trial.shots
    return trial


@pytest.mark.parametrize(
    "pubs",
    [
        [(circuit(), ["ZZ", "IZ"])],
        [(circuit(), ["ZZ", "XX", "YI"])],
        [(circuit(), "ZZ"), (circuit(0.9), ["XX", "IZ"])],
        [(sweep(), [["ZZ"], ["XI"]], [[0.1], [0.5], [0.9]])],
    ],
    ids=["one basis", "three bases", "two PUBs", "a sweep"],
)
def test_every_strategy_spends_the_total(pubs):
    total = 60_000
    found = compare(sampler(), pubs, STAGES, total_shots=total, seed=1)
    for name in STAGES:
        trial = spends(found, name, total)
        assert trial.executed_shots == trial.shots, (
            "nothing that is charged is shared but the noise of layers"
        )
        assert (trial.calibration_shots > 0) == (name not in ("raw", "twirl"))


def test_what_is_charged_is_what_the_device_ran():
    """Whatever is learned is learned for each by itself, so the device runs the sum of all budgets."""
    pytest.importorskip("qiskit_aer")
    backend = CountingBackend(takes_parameter_binds=True)
    found = compare(backend, [(circuit(), ["ZZ", "XX"])], ["raw", "trex"], total_shots=5000, seed=1)
    assert backend.num_shots == sum(t.shots for t in found.trials)
    assert backend.num_circuits == sum(t.circuits for t in found.trials)


def test_values_of_the_budget_are_right():
    """Nine standard errors in all, each below 5: false alarm 1e-5 for Gaussian ones, the fits have long tails."""
    found = compare(
        sampler(), [(circuit(), ["ZZ", "IZ"])], STAGES, reference="exact", total_shots=200_000, seed=2
    )
    assert found.reference == pytest.approx([1, np.cos(0.4)])
    for name in ("trex", "zne+trex+twirl", "level 1", "level 2"):
        assert np.abs(deviations(found, name)).max() < 5, name
    assert np.abs(deviations(found, "raw")).min() > 10, "readout is not corrected"
    errors = {name: np.abs(found.values_of(name) - found.reference).max() for name in STAGES}
    assert max(errors["trex"], errors["level 2"]) < errors["raw"] / 3


CANCELLING = ["pec+trex", "pec", "pea+trex+twirl", "all"]
STABILIZERS = ["XX", "ZZ"]


@pytest.fixture(scope="module")
def cancelled():
    return compare(
        frames(), [(bell(), STABILIZERS)], CANCELLING, reference="exact", total_shots=150_000, seed=3
    )


@pytest.mark.parametrize("name", CANCELLING)
def test_learning_the_noise_of_layers_is_charged_too(cancelled, name):
    trial = spends(cancelled, name, 150_000)
    assert 20_000 < trial.calibration_shots <= 125_000
    assert trial.executed_shots < trial.shots - 20_000, "it was learned once for all"
    assert any("half of the budget" in note for note in trial.notes)
    assert trial.gamma_squared is not None


def test_cancelled_noise_is_unbiased(cancelled):
    """Two values, five standard errors: false alarm 1e-6."""
    assert np.abs(deviations(cancelled, "pec+trex")).max() < 5


def test_alone_it_learns_the_same_ahead_of_its_data(cancelled):
    """Without what was learned nobody knows how many shots cancelling takes."""
    found = compare(frames(), [(bell(), STABILIZERS)], ["pec+trex"], total_shots=150_000, seed=3)
    together, alone = numbers(cancelled)["pec+trex", 0], numbers(found)["pec+trex", 0]
    assert together == alone


def test_a_budget_that_learning_alone_exceeds_is_a_row_that_says_so():
    found = compare(frames(), [(bell(), STABILIZERS)], ["raw", "pec"], total_shots=2000, seed=3)
    assert (
        "total_shots: is 2000 shots, and one shot of each value already takes" in only(found, "pec").failure
    )
    assert spends(found, "raw", 2000).values is not None


def test_options_that_decide_on_shots_themselves_are_rows_that_say_so():
    strategies = {
        "precise": {"execution": {"precision_target": "mitigated"}},
        "fixed": {
            "resilience_level": 0,
            "twirling": {"enable_gates": True, "num_randomizations": 5, "shots_per_randomization": 7},
        },
        "raw": "raw",
    }
    found = compare(sampler(), [(circuit(), "ZZ")], strategies, total_shots=4000, seed=1)
    assert "precision_target" in only(found, "precise").failure
    assert "options fix the shots" in only(found, "fixed").failure
    spends(found, "raw", 4000)


def test_a_strategys_own_shots_give_way_to_the_total():
    own = {"resilience_level": 0, "default_shots": 17}
    found = compare(sampler(), [(circuit(), "ZZ")], {"own": own}, total_shots=4000, seed=1)
    assert spends(found, "own", 4000).details["default_shots"] > 17


def test_nobody_has_a_better_calibration_than_it_pays_for():
    """Next to a strategy that learns layers with more shots its noise is the one that it learns alone."""

    def cancelling(randomizations):
        learning = {"num_randomizations": randomizations, "shots_per_randomization": 16}
        return {
            "resilience_level": 0,
            "resilience": {"pec_mitigation": True, "layer_noise_learning": learning},
        }

    def compared(*sizes):
        given = {f"{size}": cancelling(size) for size in sizes}
        return compare(frames(), [(bell(), STABILIZERS)], given, total_shots=60_000, seed=3)

    together, alone = compared(8, 24), compared(8)
    small, large = only(together, "8"), only(together, "24")
    assert small.calibration_shots == only(alone, "8").calibration_shots == 54 * 8 * 16
    assert large.calibration_shots == 54 * 24 * 16
    assert small.details["num_randomizations"] > large.details["num_randomizations"]
    assert small.gamma_squared == only(alone, "8").gamma_squared != large.gamma_squared
    for trial in together.trials:
        assert 0.98 * 60_000 <= trial.shots <= 60_000
        assert trial.executed_shots == trial.shots - trial.calibration_shots
