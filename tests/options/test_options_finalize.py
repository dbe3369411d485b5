"""Levels, rules between options, and how shots are spread over random members."""

import pickle
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.errors import OptionsError
from quell.options import (
    EstimatorOptions,
    ResolvedSampler,
    ResolvedTwirling,
    SamplerOptions,
    finalize,
    sampler_shots,
    twirling_shots,
)


@pytest.mark.parametrize(("level", "gates", "measure", "mitigation"), [(0, 0, 0, 0), (1, 0, 1, 1)])
def test_level_table(level: int, gates: bool, measure: bool, mitigation: bool) -> None:
    resolved = finalize(EstimatorOptions(resilience_level=level))
    found = (resolved.twirling.gates, resolved.twirling.measure, resolved.measure_mitigation)
    assert all(type(value) is bool for value in found)
    assert found == (gates, measure, mitigation)


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("gates", [None, False, True])
@pytest.mark.parametrize("measure", [None, False, True])
@pytest.mark.parametrize("mitigation", [None, False, True])
def test_what_is_set_wins_over_the_level(level: int, gates: Any, measure: Any, mitigation: Any) -> None:
    options = EstimatorOptions(
        resilience_level=level,
        twirling={"enable_gates": gates, "enable_measure": measure},
        resilience={"measure_mitigation": mitigation},
    )
    before = options.to_dict()
    if mitigation and measure is False:
        with pytest.raises(OptionsError, match="needs measurement twirling"):
            finalize(options)
    else:
        resolved = finalize(options)
        assert gates in (None, resolved.twirling.gates)
        assert measure in (None, resolved.twirling.measure)
        assert mitigation in (None, resolved.measure_mitigation)
        assert resolved.twirling.measure or not resolved.measure_mitigation
    assert options.to_dict() == before


def test_mitigation_turns_on_measurement_twirling() -> None:
    resolved = finalize(EstimatorOptions(resilience_level=0, resilience={"measure_mitigation": True}))
    assert resolved.twirling.measure
    assert resolved.measure_mitigation
    assert not resolved.twirling.gates


def test_level_gives_way_to_measurement_twirling_set_off() -> None:
    resolved = finalize(EstimatorOptions(resilience_level=1, twirling={"enable_measure": False}))
    assert not resolved.twirling.measure
    assert not resolved.measure_mitigation


def test_contradiction_names_path_rule_and_next_step() -> None:
    options = EstimatorOptions(twirling={"enable_measure": False}, resilience={"measure_mitigation": True})
    with pytest.raises(OptionsError) as caught:
        finalize(options)
    assert str(caught.value) == (
        "options.twirling.enable_measure: is False, but resilience.measure_mitigation = True needs "
        "measurement twirling; set it to True or None, or set resilience.measure_mitigation to False"
    )


def test_sampler_has_no_level() -> None:
    resolved = finalize(SamplerOptions(default_shots=None, seed=0))
    assert isinstance(resolved, ResolvedSampler)
    assert resolved.default_shots == 4096
    assert resolved.seed == 0
    assert (resolved.twirling.gates, resolved.twirling.measure) == (False, False)
    assert finalize(SamplerOptions(default_shots=10)).default_shots == 10
    assert finalize(SamplerOptions(twirling={"enable_gates": True})).twirling.gates


def test_all_values_arrive() -> None:
    options = EstimatorOptions(
        default_precision=0.1,
        default_shots=10,
        seed=0,
        twirling={"num_randomizations": 3, "strategy": "active_circuit", "group": "local_c1"},
        resilience={"measure_noise_learning": {"num_randomizations": 5, "shots_per_randomization": 6}},
        execution={"run_options": {"memory": True}},
    )
    resolved = finalize(options)
    assert (resolved.default_precision, resolved.default_shots, resolved.seed) == (0.1, 10, 0)
    assert attrs.asdict(resolved.twirling) == {
        "gates": False,
        "measure": True,
        "num_randomizations": 3,
        "shots_per_randomization": "auto",
        "strategy": "active-circuit",
        "group": "local_c1",
    }
    assert resolved.measure_noise_learning.num_randomizations == 5
    assert resolved.measure_noise_learning.shots_per_randomization == 6
    options.execution.run_options["memory"] = False
    assert resolved.run_options == {"memory": True}


def test_resolved_values_are_frozen_and_picklable() -> None:
    resolved = finalize(EstimatorOptions(seed=1))
    assert pickle.loads(pickle.dumps(resolved)) == resolved
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        resolved.seed = 2  # type: ignore[misc]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        resolved.twirling.gates = True  # type: ignore[misc]


def test_run_options_changed_in_place_are_checked_again() -> None:
    options = EstimatorOptions()
    options.execution.run_options["shots"] = 3
    with pytest.raises(OptionsError, match="cannot hold 'shots'"):
        finalize(options)


def test_finalize_refuses_what_is_no_options() -> None:
    with pytest.raises(OptionsError, match="must be a dict or EstimatorOptions, not 3"):
        finalize(3)  # type: ignore[call-overload]


# -------------------------------------------------------------------------------------------------- shots


def twirled(num: Any = "auto", shots: Any = "auto", *, gates: bool = True, measure: bool = False) -> Any:
    return ResolvedTwirling(gates, measure, num, shots, "active-accum", "pauli")


OFF = {"gates": False, "measure": False}
COUNTS = st.just("auto") | st.integers(1, 5000)
TWIRLINGS = st.builds(twirled, COUNTS, COUNTS, gates=st.booleans(), measure=st.booleans())


@pytest.mark.parametrize(
    ("requested", "twirling", "expected"),
    [
        (100, twirled(**OFF), (1, 100)),
        (100, twirled(4, 5, **OFF), (1, 100)),
        (1, twirled(), (1, 1)),
        (31, twirled(), (31, 1)),
        (100, twirled(), (32, 4)),
        (4096, twirled(), (32, 128)),
        (4096, twirled(gates=False, measure=True), (32, 128)),
        (10000, twirled(), (32, 313)),
        (100, twirled("auto", 30), (4, 30)),
        (100, twirled(30, "auto"), (30, 4)),
        (10, twirled(30, "auto"), (30, 1)),
        (1000, twirled(4, 10), (4, 10)),
    ],
)
def test_estimator_shots(requested: int, twirling: ResolvedTwirling, expected: tuple[int, int]) -> None:
    assert twirling_shots(requested, twirling) == expected


def test_an_explicit_request_wins_over_the_product() -> None:
    assert twirling_shots(1001, twirled(4, 10), explicit=True) == (4, 251)
    assert sampler_shots(1001, twirled(4, 10)) == (251, 250, 250, 250)
    assert sampler_shots(None, twirled(4, 10), 1001) == (10, 10, 10, 10)


@pytest.mark.parametrize(
    ("requested", "twirling", "expected"),
    [
        (100, twirled(**OFF), (100,)),
        (None, twirled(4, 5, **OFF), (77,)),
        (3, twirled(), (1, 1, 1)),
        (34, twirled(), (2, 2) + (1,) * 30),
        (None, twirled(), (3,) * 13 + (2,) * 19),
        (100, twirled("auto", 64), (50, 50)),
        (3, twirled(100, "auto"), (1, 1, 1)),
        (3, twirled(100, 100), (1, 1, 1)),
        (None, twirled(2, 3), (3, 3)),
        (None, twirled("auto", 70), (39, 38)),
    ],
)
def test_sampler_shots(requested: int | None, twirling: ResolvedTwirling, expected: tuple[int, ...]) -> None:
    assert sampler_shots(requested, twirling, 77) == expected


@given(requested=st.integers(1, 10**6), twirling=TWIRLINGS, explicit=st.booleans())
def test_estimator_runs_at_least_what_was_requested(
    requested: int, twirling: ResolvedTwirling, explicit: bool
) -> None:
    num, shots = twirling_shots(requested, twirling, explicit=explicit)
    assert num >= 1
    assert shots >= 1
    if twirling.product is not None and not explicit:
        assert (num, shots) == (twirling.num_randomizations, twirling.shots_per_randomization)
    else:
        assert num * shots >= requested
        assert (num - 1) * shots < requested or num == twirling.num_randomizations or num <= 32
    if twirling.enabled and twirling.num_randomizations == twirling.shots_per_randomization == "auto":
        assert num == min(32, requested)


@given(requested=st.none() | st.integers(1, 10**6), twirling=TWIRLINGS, default=st.integers(1, 10**6))
def test_sampler_runs_exactly_what_was_requested(
    requested: int | None, twirling: ResolvedTwirling, default: int
) -> None:
    shots = sampler_shots(requested, twirling, default)
    assert sum(shots) == (requested or twirling.product or default)
    assert min(shots) >= 1
    assert max(shots) - min(shots) <= 1
    limit = twirling.shots_per_randomization
    if twirling.enabled and limit != "auto" and twirling.product is None:
        assert max(shots) <= limit
