import numpy as np
import pytest
from attrs import evolve
from synthetic import PEC, RAW, TREX, USUAL, ZNE, Way, compared

from quell.comparison.advice import CRITERIA, best, recommend
from quell.comparison.summary import summaries
from quell.errors import InputError

# --- best -------------------------------------------------------------------------------------


def test_best_by_each_criterion():
    ways = (
        Way("raw", RAW, 0.1, 0.01, qpu_seconds=5),
        Way("good", ZNE, 0.01, 0.02, shots=50_000, qpu_seconds=9),
        Way("lean", TREX, 0.02, 0.03, shots=1_000, qpu_seconds=5),
        Way("brief", TREX, 0.02, 0.03, shots=20_000, qpu_seconds=0.1),
        Way("bold", ZNE, 0, 0.04, bars=0.001),
        Way("straight", PEC, 0, 0.04),
    )
    comparison = compared(ways, repeats=30)
    found = {criterion: best(comparison, criterion) for criterion in CRITERIA}
    known = {s.name: s for s in summaries(comparison)}
    least_bias = min(s.bias for s in known.values())
    nearest = min(abs(s.coverage - 0.95) for s in known.values())
    assert (found["rmse"], found["error"], found["cost"], found["time"]) == ("good", "bold", "lean", "brief")
    assert known[found["bias"]].bias == least_bias
    assert abs(known[found["coverage"]].coverage - 0.95) == nearest
    assert best(comparison) == "good"


def test_of_biases_that_are_zero_the_best_known_wins():
    ways = (Way("wide", PEC, 0, 0.05), Way("narrow", ZNE, 0, 0.01), Way("raw", RAW, 0.2))
    for seed in range(20):
        comparison = compared(ways, seed=seed)
        found = {s.name: s for s in summaries(comparison)}
        if found["wide"].bias == found["narrow"].bias == 0:
            assert best(comparison, "bias") == "narrow"
            break
    else:
        pytest.fail("no seed has two biases of zero")


def test_an_unknown_criterion_is_answered_with_those_there_are():
    with pytest.raises(
        InputError, match="'speed' is not known; there are rmse, bias, error, cost, time, coverage"
    ):
        best(compared(), "speed")


def test_what_needs_a_reference_says_so():
    comparison = compared(reference=False)
    assert best(comparison, "error") == "raw"
    for criterion in set(CRITERIA) - {"error"}:
        with pytest.raises(InputError, match="needs a reference"):
            best(comparison, criterion)


def test_without_candidates_the_reasons_are_said():
    comparison = compared([Way("pec", PEC, failing=range(10))])
    with pytest.raises(InputError, match=r"pec: options\.pec: refused"):
        best(comparison)
    with pytest.raises(InputError, match=r"pec: options\.pec: refused"):
        recommend(comparison)
    with pytest.raises(InputError, match="no strategy has a value for 'time'"):
        best(compared([Way("raw", RAW, qpu_seconds=0)]), "time")


# --- recommended against a reference ----------------------------------------------------------


def test_a_clear_winner_with_its_numbers():
    ways = (Way("raw", RAW, 0.3), Way("zne", ZNE, 0.01, 0.01), Way("pec", PEC, 0, 0.08))
    comparison = compared(ways)
    found, zne = recommend(comparison), summaries(comparison)[1]
    assert (found.strategy, found.confidence) == ("zne", "high")
    assert found.runners_up == ("pec",)
    assert str(found) == found.reason
    assert found.reason.startswith("zne has the least rms error, 0.0")
    assert f"{zne.covered} times of {zne.intervals}" in found.reason
    assert "times less than raw, with 10 000 shots" in found.reason
    assert found.warnings == ()


def test_the_cheapest_of_equals_is_taken():
    """Two strategies that err alike, one with a tenth of the shots: which has the least rms error is chance.

    A 95 % interval of their ratio excludes 1 in at most 7 % of cases, in half of these for the dearer one: at 4
    standard deviations not more than 10 of 100 are told apart.
    """
    ways = (
        Way("raw", RAW, 0.3),
        Way("dear", PEC, 0, 0.03, shots=10_000),
        Way("cheap", ZNE, 0, 0.03, shots=1_000),
    )
    found = [recommend(compared(ways, seed=seed)) for seed in range(100)]
    assert sum(f.strategy == "cheap" for f in found) >= 90
    turned = next(f for f in found if f.reason.startswith("cheap takes"))
    assert "cheap takes 1 000 shots instead of 10 000 shots" in turned.reason
    assert "cannot be told from the least" in turned.reason
    assert "of dear (ratio 1." in turned.reason
    assert turned.confidence == "moderate"
    assert any("Strategies took from 1 000 to 10 000 shots" in w for w in turned.warnings)


def test_costs_that_differ_by_rounding_do_not_decide():
    ways = (
        Way("raw", RAW, 0.3),
        Way("pec", PEC, 0, 0.03, shots=9_990),
        Way("zne", ZNE, 0, 0.03, shots=10_000),
    )
    for seed in range(20):
        comparison = compared(ways, seed=seed)
        found = {s.name: s.rmse for s in summaries(comparison)}
        assert recommend(comparison).strategy == min(found, key=found.get)


def test_qpu_time_decides_between_equal_shots():
    ways = (Way("slow", PEC, 0, 0.03, qpu_seconds=9), Way("fast", ZNE, 0, 0.03, qpu_seconds=3))
    found = [recommend(compared(ways, seed=seed)) for seed in range(20)]
    assert sum(f.strategy == "fast" for f in found) >= 16
    assert any("and less QPU time" in f.reason for f in found)


def test_a_strategy_that_is_clearly_worse_is_not_taken_for_its_price():
    ways = (Way("raw", RAW, 0.0, 0.1, shots=100), Way("zne", ZNE, 0, 0.01, shots=10_000))
    assert {recommend(compared(ways, seed=seed)).strategy for seed in range(20)} == {"zne"}


def test_error_bars_that_do_not_cover_are_not_recommended():
    ways = (Way("raw", RAW, 0.0, 0.06), Way("bold", ZNE, 0, 0.02, bars=0.002), Way("honest", PEC, 0, 0.03))
    found = recommend(compared(ways))
    assert found.strategy == "honest"
    assert "bold has a smaller rms error" in found.reason
    assert "its intervals contain the reference only" in found.reason
    assert "bold" not in found.runners_up


def test_error_bars_that_cover_are_excluded_rarely():
    """A true 95 % lies above the interval in at most 2.5 % of cases: 13 of 200 are 4 standard deviations more."""
    ways = (Way("raw", RAW, 0.0, 0.06), Way("best", ZNE, 0, 0.01))
    found = [recommend(compared(ways, seed=seed)).strategy for seed in range(200)]
    assert found.count("best") >= 187


def test_where_none_covers_that_is_said_first():
    ways = (Way("raw", RAW, 0.3), Way("bold", ZNE, 0.1, 0.01, bars=0.001))
    found = recommend(compared(ways))
    assert (found.strategy, found.confidence) == ("bold", "low")
    assert found.warnings[0].startswith("No strategy has error bars that can be relied on")
    assert "Most of the error would remain with more shots" in found.reason


def test_a_strategy_without_error_bars_is_passed_over():
    ways = (Way("raw", RAW, 0, 0.1), Way("peer", ZNE, 0, 0.01, bars=-1))
    found = recommend(compared(ways))
    assert found.strategy == "raw"
    assert "peer has a smaller rms error" in found.reason
    assert "gives no error bars" in found.reason


@pytest.mark.parametrize("repeats", [1, 2])
def test_few_repeats_are_little_to_go_by(repeats):
    found = recommend(compared(repeats=repeats))
    assert found.confidence == "low"
    assert any("only: error bars are believed" in w for w in found.warnings)
    assert "should err least" in found.reason


def test_a_single_lucky_repeat_does_not_win():
    """Deviations far below the error bars are luck: what counts is the error to expect."""
    comparison = compared(
        [Way("raw", RAW, 0.3), Way("zne", ZNE, 0, 0.01), Way("pec", PEC, 0, 0.0001, bars=0.1)], 1
    )
    assert best(comparison) == "pec"
    assert recommend(comparison).strategy == "zne"


def test_one_repeat_with_error_bars_far_exceeded_is_not_trusted():
    comparison = compared([Way("biased", RAW, 0.5, 0.01), Way("pec", PEC, 0, 0.6)], repeats=1)
    found = recommend(comparison)
    assert found.strategy == "pec"
    assert "biased has a smaller rms error" in found.reason


def test_failures_are_warned_of():
    ways = (*USUAL, Way("bad", PEC, failing=range(10)), Way("shaky", PEC, 0.3, failing=(1,)))
    found = recommend(compared(ways))
    assert "bad has no values: options.bad: refused; leave it out." in found.warnings
    assert "shaky has no values in 1 of 10 repeats." in found.warnings


def test_the_only_strategy():
    found = recommend(compared([Way("zne", ZNE)]))
    assert (found.strategy, found.runners_up) == ("zne", ())
    assert found.reason.startswith("Only zne has values; its rms error is 0.0")


def test_a_budget_that_was_given_is_not_asked_for():
    ways = (Way("raw", RAW, 0.3, shots=5_000), Way("zne", ZNE), Way("raw 2", RAW, 0, 0.5))
    warned = [w for w in recommend(compared(ways)).warnings if "Strategies took" in w]
    assert warned == []  # raw does not cover, so it is out of the question
    ways = (Way("raw", RAW, 0, 0.5, shots=5_000), Way("zne", ZNE))
    without, given = (recommend(compared(ways, total_shots=n)).warnings[0] for n in (None, 10_000))
    assert without.endswith("Compare with total_shots to know.")
    assert given.endswith("would have the least at equal shots.")


# --- recommended without a reference ----------------------------------------------------------


def test_without_a_reference_shorter_bars_that_agree_with_pec():
    found = recommend(compared(reference=False, repeats=20))
    assert (found.strategy, found.confidence) == ("zne", "moderate")
    assert "Without a reference bias cannot be known" in found.reason
    assert "zne has error bars of 0.0200 and agrees with pec (error bars 0.0300)" in found.reason
    assert "In contradiction" in found.reason
    assert "raw (" in found.reason.split("In contradiction")[1]
    assert found.runners_up == ("pec",)


def test_raw_values_do_not_win_because_little_was_measured():
    """With one repeat PEC cannot contradict a bias of its own error bar."""
    found = [recommend(compared(reference=False, repeats=1, seed=seed)) for seed in range(20)]
    assert {f.strategy for f in found} == {"pec"}
    assert {f.confidence for f in found} == {"low"}
    assert any("biases that large could hide in their difference" in f.reason for f in found)


def test_without_pec_the_others_must_agree_with_zne():
    ways = (Way("raw", RAW, 0.2), Way("zne", ZNE, 0, 0.02), Way("trex", TREX, 0.0, 0.005))
    found = recommend(compared(ways, reference=False, repeats=20))
    assert (found.strategy, found.confidence) == ("trex", "low")
    assert "since it extrapolates to zero noise" in found.reason


def test_strategies_that_should_be_least_biased_and_contradict_each_other():
    ways = (Way("one", PEC, 0.3, 0.01), Way("two", PEC, 0, 0.02), Way("raw", RAW, 0.1))
    found = recommend(compared(ways, reference=False))
    assert found.warnings[0] == "The strategies that should be least biased, one, two, contradict each other."
    assert (found.strategy, found.confidence) == ("one", "low")


def test_without_anything_to_remove_bias():
    ways = (
        Way("raw", RAW, 0.1, 0.02),
        Way("dd", {"resilience_level": 0, "dynamical_decoupling": {"enable": True}}, 0.1),
    )
    found = recommend(compared(ways, reference=False))
    assert found.strategy == "dd"
    assert "No strategy removes bias by construction" in found.reason


def test_without_a_reference_and_error_bars_there_is_no_answer():
    with pytest.raises(InputError, match="give a reference"):
        recommend(compared([Way("peer", ZNE, bars=-1)], reference=False))


def test_strategies_without_common_repeats_do_not_agree():
    ways = (Way("pec", PEC, 0, 0.03, failing=(0, 1)), Way("zne", ZNE, 0, 0.01, failing=(2, 3)))
    found = recommend(compared(ways, reference=False, repeats=4))
    assert found.strategy == "pec"
    assert found.runners_up == ()


def test_words_hold_plain_numbers_only():
    for reference in (True, False):
        for repeats in (1, 2, 3, 10):
            for seed in range(5):
                comparison = compared(USUAL, repeats, reference=reference, seed=seed)
                found = recommend(comparison)
                text = " ".join((found.reason, *found.warnings))
                assert not any(bad in text for bad in ("nan", "inf", "None", "  ", "..")), text
                assert found.strategy in {s.name for s in comparison.strategies}
                assert found.strategy not in found.runners_up


def test_a_single_exact_value():
    comparison = compared([Way("raw", RAW, 0.1, 0.0), Way("zne", ZNE, 0, 0.0)], labels=["Z"])
    assert best(comparison) == recommend(comparison).strategy == "zne"
    comparison = evolve(comparison, reference=np.array([0.5]))
    assert recommend(comparison).strategy in ("raw", "zne")
