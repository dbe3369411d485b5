import numpy as np
import pytest
from attrs import evolve
from synthetic import PEC, RAW, TREX, USUAL, ZNE, Way, compared

from quell.comparison.records import Strategy
from quell.comparison.summary import raw_of, rows, summaries, techniques
from quell.kernels import comparisons


def by_name(comparison):
    return {s.name: s for s in summaries(comparison)}


def deviations(comparison, name):
    return comparison.values_of(name) - comparison.reference


def test_summaries_are_those_of_the_definitions():
    comparison = compared()
    found = by_name(comparison)
    assert list(found) == ["raw", "trex", "zne", "pec"]
    raw, zne = found["raw"], found["zne"]
    d = deviations(comparison, "zne")
    assert zne.rmse == pytest.approx(np.sqrt((d**2).mean()))
    assert zne.improvement == pytest.approx(raw.rmse / zne.rmse)
    assert zne.improvement_interval[0] < zne.improvement < zne.improvement_interval[1]
    assert zne.mean_error == pytest.approx(0.02)
    assert zne.spread == pytest.approx(np.sqrt(d.var(axis=0, ddof=1).mean()))
    assert zne.z_rms == pytest.approx(np.sqrt(((d / 0.02) ** 2).mean()))
    assert (zne.covered, zne.intervals) == ((np.abs(d) <= 1.96 * 0.02).sum(), 30)
    assert zne.coverage == pytest.approx(zne.covered / 30)
    assert zne.overhead == pytest.approx(4)
    assert (zne.circuits, zne.shots, zne.calibration_shots, zne.executed_shots) == (30, 10_000, 2_000, 9_000)
    assert (zne.gamma_squared, found["pec"].gamma_squared) == (None, 12.3)
    assert zne.seconds == {"prepare": 0.1, "execute": 3.2, "combine": pytest.approx(0.02)}
    assert (zne.description, zne.repeats, zne.failed_repeats, zne.failure) == ("what zne does", 10, 0, "")


def test_bias_is_what_is_left_without_noise():
    found = by_name(compared(repeats=40))
    truth = 0.1 * np.sqrt(np.mean([0.9**2, 0.3**2, 0.3**2]))
    assert abs(found["raw"].bias - truth) < 4 * found["raw"].bias_error
    assert found["raw"].bias_error < 0.003
    assert found["pec"].bias < 1.96 * found["pec"].bias_error


def test_the_raw_strategy_against_itself():
    raw = by_name(compared())["raw"]
    assert raw.is_raw
    assert (raw.improvement, raw.improvement_interval, raw.overhead) == (1, (1, 1), 1)


def test_rows_are_the_strategies_value_by_value():
    comparison = compared()
    found = rows(comparison)
    assert [(r.label, r.strategy) for r in found[:5]] == [
        ("Z0", "raw"),
        ("Z0", "trex"),
        ("Z0", "zne"),
        ("Z0", "pec"),
        ("Z1", "raw"),
    ]
    row, d = found[4], deviations(comparison, "raw")[:, 1]
    assert row.value == pytest.approx(comparison.values_of("raw")[:, 1].mean())
    assert row.reference == pytest.approx(0.3)
    assert row.bias == pytest.approx(d.mean())
    assert (
        row.bias_error
        == row.value_error
        == pytest.approx(comparisons.bias(d[:, None], d[:, None], [0])[1][0])
    )
    assert row.rmse == pytest.approx(np.sqrt((d**2).mean()))
    assert row.spread == pytest.approx(d.std(ddof=1))
    assert row.error == pytest.approx(0.01)
    assert row.improvement == 1
    assert found[6].improvement == pytest.approx(row.rmse / found[6].rmse)


def test_one_repeat_has_error_bars_for_errors():
    comparison = compared(repeats=1)
    zne = by_name(comparison)["zne"]
    assert zne.spread is None
    assert zne.rmse_error == pytest.approx(0.02)
    low, high = zne.improvement_interval
    assert low < zne.improvement < high
    row = rows(comparison)[2]
    assert (row.spread, row.value_error, row.intervals) == (None, pytest.approx(0.02), 1)


def test_without_a_reference_there_is_agreement_instead():
    found = by_name(compared(reference=False, repeats=20))
    for s in found.values():
        known = [s.rmse, s.rmse_error, s.bias, s.bias_error, s.improvement, s.improvement_interval]
        assert [*known, s.coverage, s.coverage_interval, s.covered, s.intervals, s.z_rms] == [None] * 11
    assert found["zne"].overhead == pytest.approx(4)
    assert list(found["zne"].agreement) == ["raw", "trex", "pec"]
    assert found["zne"].agreement["pec"] == found["pec"].agreement["zne"] == pytest.approx(1, abs=0.3)
    assert found["raw"].agreement["trex"] > 1.5
    assert all(r.reference is None and r.rmse is None for r in rows(compared(reference=False)))


# --- failures ---------------------------------------------------------------------------------


def test_a_strategy_that_always_fails_says_why():
    ways = (*USUAL, Way("bad", PEC, failing=range(10)))
    comparison = compared(ways)
    bad = by_name(comparison)["bad"]
    assert bad.failure == "options.bad: refused; leave it out"
    assert (bad.repeats, bad.failed_repeats, bad.rmse, bad.improvement) == (0, 10, None, None)
    assert {r.strategy for r in rows(comparison)} == {"raw", "trex", "zne", "pec"}


def test_repeats_are_paired_where_different_ones_failed():
    """The improvement is that of the repeats both have; other repeats of raw may be of any size."""
    ways = (Way("raw", RAW, 0.1, failing=(0, 1)), Way("zne", ZNE, 0.004, 0.02, failing=(2, 3)))
    comparison = compared(ways)
    zne = by_name(comparison)["zne"]
    trials = {(t.strategy, t.repeat): t.values for t in comparison.trials}
    common = range(4, 10)
    squares = [
        np.mean([(trials[name, r] - comparison.reference) ** 2 for r in common]) for name in ("raw", "zne")
    ]
    assert zne.improvement == pytest.approx(np.sqrt(squares[0] / squares[1]))
    assert (zne.repeats, zne.failed_repeats) == (8, 2)
    assert zne.notes == ("no values in 2 of 10 repeats: options.zne: refused; leave it out",)


def test_strategies_without_common_repeats_are_not_compared():
    ways = (Way("raw", RAW, failing=(1,)), Way("zne", ZNE, failing=(0,)))
    zne = by_name(compared(ways, repeats=2))["zne"]
    assert (zne.improvement, zne.improvement_interval, zne.agreement) == (None, None, {})
    assert zne.rmse is not None


def test_where_raw_failed_there_is_no_improvement():
    ways = (Way("raw", RAW, failing=range(5)), Way("zne", ZNE))
    comparison = compared(ways, repeats=5)
    zne = by_name(comparison)["zne"]
    assert (zne.improvement, zne.overhead) == (None, None)
    assert all(r.improvement is None for r in rows(comparison))


def test_values_that_are_not_finite_are_no_values():
    comparison = compared(repeats=3)
    broken = tuple(
        evolve(t, values=np.array([np.nan, 0.0, 0.0])) if (t.strategy, t.repeat) == ("zne", 1) else t
        for t in comparison.trials
    )
    zne = by_name(evolve(comparison, trials=broken))["zne"]
    assert (zne.repeats, zne.failed_repeats) == (2, 1)
    assert "not finite" in zne.notes[-1]
    assert np.isfinite(zne.rmse)


def test_a_strategy_that_was_not_run():
    comparison = compared()
    trials = tuple(t for t in comparison.trials if t.strategy != "zne")
    assert by_name(evolve(comparison, trials=trials))["zne"].failure == "was not run"


@pytest.mark.parametrize("repeats", [1, 2, 5])
def test_a_strategy_without_error_bars(repeats):
    """What error bars are needed for is missing, the rest is there."""
    ways = (Way("raw", RAW, 0.1), Way("peer", ZNE, 0, 0.01, bars=-1))
    comparison = compared(ways, repeats=repeats)
    peer = by_name(comparison)["peer"]
    assert [peer.mean_error, peer.coverage, peer.z_rms, peer.overhead] == [None] * 4
    assert peer.rmse is not None
    assert (peer.bias is None) == (repeats == 1)
    assert (peer.improvement is None) == (repeats <= 2)  # so few say something only with error bars
    row = rows(comparison)[1]
    assert (row.error, row.covered) == (None, None)


def test_exact_values_and_no_error_bars_of_any_width():
    ways = (Way("raw", RAW, 0.1), Way("exact", ZNE, 0, 0.0))
    found = by_name(compared(ways))["exact"]
    assert (found.rmse, found.bias, found.coverage, found.improvement, found.z_rms) == (0, 0, 1, None, None)


def test_notes_are_kept_once():
    comparison = compared(repeats=2)
    trials = tuple(evolve(t, notes=("Z0: kept as measured",)) for t in comparison.trials)
    assert by_name(evolve(comparison, trials=trials))["zne"].notes == ("Z0: kept as measured",)


def test_the_level_of_intervals_is_that_of_the_settings():
    narrow, wide = (by_name(compared(confidence=level))["zne"] for level in (0.68, 0.99))
    assert wide.improvement_interval[0] < narrow.improvement_interval[0]
    assert narrow.improvement_interval[1] < wide.improvement_interval[1]
    assert wide.coverage_interval[0] < narrow.coverage_interval[0]


# --- what the others are compared with --------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (RAW, set()),
        (TREX, {"trex", "measurement twirling"}),
        (ZNE, {"trex", "zne", "twirling", "measurement twirling"}),
        ({"resilience_level": 0, "dynamical_decoupling": {"enable": True}}, {"decoupling"}),
        ({"resilience_level": 0, "seed": 5, "default_shots": 100}, set()),
    ],
)
def test_techniques(options, expected):
    assert techniques(Strategy("x", options)) == expected


def test_techniques_of_what_is_no_estimators_options():
    assert techniques(Strategy("x", {"library": "other"})) is None


def test_raw_is_the_name_or_what_switches_nothing_on():
    assert raw_of(compared([Way("none", RAW), Way("raw", ZNE)])) == "raw"
    assert raw_of(compared([Way("zne", ZNE), Way("none", RAW), Way("nothing", RAW)])) == "none"
    assert raw_of(compared([Way("zne", ZNE), Way("default", {})])) is None
