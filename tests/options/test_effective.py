"""Effective values of options and where they came from: levels, forcing rules, what has no effect."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from strategies import UNTIMED, any_tree

from quell.options import EstimatorOptions, SamplerOptions
from quell.options.group import is_set

SWITCHES = (
    "twirling.enable_gates",
    "twirling.enable_measure",
    "resilience.measure_mitigation",
    "resilience.zne_mitigation",
    "resilience.pec_mitigation",
    "dynamical_decoupling.enable",
)


NO_LEARNED_NOISE = "resilience.pec_mitigation is False and no learned noise is amplified"


def row(options: Any, path: str) -> tuple[Any, str, str]:
    found = options.describe()[path]
    return found.value, found.origin, found.why


def switches(options: EstimatorOptions) -> list[bool]:
    return [options.describe()[path].value for path in SWITCHES]


# ------------------------------------------------------------------------------------------------- levels


@pytest.mark.parametrize(
    ("level", "expected"),
    [(0, [0, 0, 0, 0, 0, 0]), (1, [0, 1, 1, 0, 0, 0]), (2, [1, 1, 1, 1, 0, 0])],
)
def test_levels(level: int, expected: list[bool]) -> None:
    options = EstimatorOptions(resilience_level=level)
    assert switches(options) == expected
    for path in SWITCHES[:4]:
        assert row(options, path)[1:] == ("level", f"resilience_level = {level}")
    assert row(options, "resilience.pec_mitigation") == (False, "default", "")


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("amplifier", ["gate_folding", "pea"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_switches_are_those_that_the_vendors_client_finds(level: int, amplifier: Any) -> None:
    """All combinations, but twirling set to False against what needs it: the vendor overrides that."""
    models = pytest.importorskip("qiskit_ibm_runtime.options_models")
    vendor = pytest.importorskip("qiskit_ibm_runtime.executor_estimator.finalize_options")
    for gates, measure, trex, zne, pec in itertools.product(*[[None, False, True]] * 4, [False, True]):
        options = EstimatorOptions(
            resilience_level=level,
            twirling={"enable_gates": gates, "enable_measure": measure},
            resilience={
                "measure_mitigation": trex,
                "zne_mitigation": zne,
                "pec_mitigation": pec,
                "zne": {"amplifier": amplifier},
            },
        )
        theirs = vendor.finalize_estimator_options(models.EstimatorOptions(**options.to_runtime()))
        expected = [
            theirs.twirling.enable_gates,
            theirs.twirling.enable_measure,
            theirs.resilience.measure_mitigation,
            theirs.resilience.zne_mitigation,
            theirs.resilience.pec_mitigation,
            theirs.dynamical_decoupling.enable,
        ]
        if theirs.twirling.enable_gates and gates is False:
            expected[0] = False
        if theirs.twirling.enable_measure and measure is False:
            expected[1] = False
            expected[2] = bool(trex)  # of the level: it gives way to what was set
        assert switches(options) == expected


# ----------------------------------------------------------------------------------------- forcing rules


@pytest.mark.parametrize(
    ("resilience", "forced", "why"),
    [
        ({"measure_mitigation": True}, ["measure"], "resilience.measure_mitigation = True needs it"),
        ({"pec_mitigation": True}, ["gates", "measure"], "resilience.pec_mitigation = True needs it"),
        (
            {"zne_mitigation": True, "zne": {"amplifier": "pea"}},
            ["gates", "measure"],
            "resilience.zne.amplifier = 'pea' needs it",
        ),
        ({"zne_mitigation": True}, [], ""),
        ({"zne_mitigation": True, "zne": {"amplifier": "global_folding"}}, [], ""),
        ({"zne": {"amplifier": "pea"}}, [], ""),
    ],
)
def test_what_forces_twirling(resilience: Any, forced: list[str], why: str) -> None:
    options = EstimatorOptions(resilience_level=0, resilience=resilience)
    for kind in ("gates", "measure"):
        expected = (True, "rule", why) if kind in forced else (False, "level", "resilience_level = 0")
        assert row(options, f"twirling.enable_{kind}") == expected


def test_the_level_gives_way_to_what_is_set() -> None:
    options = EstimatorOptions(twirling={"enable_measure": False})
    assert row(options, "resilience.measure_mitigation") == (
        False,
        "rule",
        "needs twirling.enable_measure, which is set to False",
    )
    options.resilience.measure_mitigation = True
    assert row(options, "resilience.measure_mitigation") == (True, "user", "")
    assert row(options, "twirling.enable_measure") == (False, "user", "")


@pytest.mark.parametrize(
    ("zne", "factors", "evaluated"),
    [
        ({}, (1.0, 3.0, 5.0), (0.0, 1.0, 3.0, 5.0)),
        ({"amplifier": "pea"}, (1.0, 1.5, 2.0), (0.0, 1.0, 1.5, 2.0)),
        ({"amplifier": "global_folding"}, (1.0, 3.0, 5.0), (0.0, 1.0, 3.0, 5.0)),
        ({"noise_factors": (1, 2)}, (1.0, 2.0), (0.0, 1.0, 2.0)),
        ({"extrapolated_noise_factors": [0.5]}, (1.0, 3.0, 5.0), (0.5,)),
    ],
)
def test_noise_factors(zne: Any, factors: Any, evaluated: Any) -> None:
    options = EstimatorOptions(resilience_level=2, resilience={"zne": zne})
    assert row(options, "resilience.zne.noise_factors")[0] == factors
    assert row(options, "resilience.zne.extrapolated_noise_factors")[0] == evaluated
    origin = "user" if "noise_factors" in zne else "default"
    assert row(options, "resilience.zne.noise_factors")[1] == origin


def test_two_names_of_one_option() -> None:
    assert row(EstimatorOptions(seed_estimator=3), "seed") == (3, "rule", "seed_estimator")
    both = EstimatorOptions(seed=4, seed_estimator=4)
    assert row(both, "seed") == (4, "user", "")
    assert row(both, "seed_estimator") == (4, "user", "not used: seed is set")

    inner = SamplerOptions(environment={"max_execution_time": 5})
    assert row(inner, "max_execution_time") == (5, "rule", "environment.max_execution_time")
    inner.max_execution_time = 7
    assert row(inner, "max_execution_time") == (7, "user", "")
    assert row(inner, "environment.max_execution_time")[2] == "not used: max_execution_time is set"


def test_sampler() -> None:
    options = SamplerOptions(default_shots=None, resilience={"measure_mitigation": True})
    assert row(options, "default_shots") == (4096, "rule", "None is the default of V2")
    assert row(options, "twirling.enable_measure") == (False, "default", "samplers have no level")
    assert row(options, "resilience.measure_mitigation") == (True, "user", "")
    assert row(options, "calibration.max_age") == (1800.0, "default", "")


# ---------------------------------------------------------------------------------------------- no effect


@pytest.mark.parametrize(
    ("values", "path", "reason"),
    [
        ({}, "dynamical_decoupling.sequence_type", "dynamical_decoupling.enable is False"),
        (
            {"resilience_level": 0},
            "twirling.strategy",
            "twirling.enable_gates is False and twirling.enable_measure is False",
        ),
        (
            {"resilience_level": 0},
            "resilience.measure_noise_learning.num_randomizations",
            "resilience.measure_mitigation is False",
        ),
        ({"resilience_level": 0}, "calibration.shots", "resilience.measure_mitigation is False"),
        ({}, "resilience.zne.extrapolator", "resilience.zne_mitigation is False"),
        ({}, "resilience.pec.max_overhead", "resilience.pec_mitigation is False"),
        ({"resilience_level": 2}, "resilience.layer_noise_model", NO_LEARNED_NOISE),
        ({"resilience": {"zne": {"amplifier": "pea"}}}, "resilience.layer_noise_model", NO_LEARNED_NOISE),
        ({}, "resilience.pec.light_cone", NO_LEARNED_NOISE),
        (
            {"resilience": {"zne_mitigation": True, "zne": {"amplifier": "pea"}}},
            "resilience.pec.noise_gain",
            "resilience.pec_mitigation is False",
        ),
        ({}, "resilience.pec.circuit_cost", NO_LEARNED_NOISE),
        (
            {"resilience_level": 0},
            "calibration.store",
            f"resilience.measure_mitigation is False and {NO_LEARNED_NOISE}",
        ),
        (
            {"resilience_level": 0, "resilience": {"pec_mitigation": True}},
            "calibration.shots",
            "resilience.measure_mitigation is False",
        ),
        (
            {"resilience": {"pec_mitigation": True, "layer_noise_model": [1]}},
            "resilience.layer_noise_learning.num_randomizations",
            "resilience.layer_noise_model is set",
        ),
        ({"default_shots": 5}, "default_precision", "default_shots is set"),
        ({}, "post_selection.parity", "post_selection.enable is False"),
    ],
)
def test_what_is_not_used_says_why(values: Any, path: str, reason: str) -> None:
    options = EstimatorOptions(values)
    assert row(options, path)[2] == f"not used: {reason}"
    assert row(options, path)[1] == "default"


def test_what_is_set_but_not_used_is_still_of_the_user() -> None:
    options = EstimatorOptions(resilience={"zne": {"noise_factors": (1, 2)}})
    assert row(options, "resilience.zne.noise_factors") == (
        (1.0, 2.0),
        "user",
        "not used: resilience.zne_mitigation is False",
    )


# ------------------------------------------------------------------------------------------- the description


@given(options=any_tree())
@UNTIMED
def test_every_option_is_described_once_and_nothing_changes(options: Any) -> None:
    before = options.to_dict()
    described = options.describe()
    assert options.to_dict() == before
    assert [found.path for found in described] == [path for path, _, _ in options.leaves()]
    by_user = {path for path, value, field in options.leaves() if is_set(value, field)}
    for path in (SWITCHES[0], SWITCHES[1], SWITCHES[5]):
        assert type(described[path].value) is bool
    if isinstance(options, SamplerOptions) and options.default_shots is None:
        by_user.remove("default_shots")  # of the rule that makes a number of it
    assert {found.path for found in described if found.origin == "user"} == by_user


def test_printing() -> None:
    options = EstimatorOptions(
        seed=7,
        default_shots=5,
        execution={"run_options": {"a": "x" * 50}},
        environment={"job_tags": ["tag"] * 20},
    )
    lines = str(options.describe()).splitlines()
    assert lines[0].split() == ["option", "value", "from"]
    assert len(lines) == 1 + len(options.describe())
    assert not any(line != line.rstrip() for line in lines)
    starts = {
        line.index(word) for line in lines for word in (" default ", " user ", " level ") if word in line
    }
    assert len(starts) == 1
    table = {line.split()[0]: line for line in lines}
    assert table["seed"].split() == ["seed", "7", "user"]
    assert table["twirling.enable_measure"].split(maxsplit=3)[1:] == ["True", "level", "resilience_level = 1"]
    assert "<dict>" in table["execution.run_options"]
    assert "('tag', 'tag', 'tag', 'tag', 'tag', '... " in table["environment.job_tags"]


def test_a_path_that_does_not_exist() -> None:
    with pytest.raises(KeyError):
        EstimatorOptions().describe()["twirling"]
