"""The tree as an object: what it accepts, what it refuses, and that it is never left half changed."""

import copy
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.errors import OptionsError
from quell.options import EstimatorOptions, SamplerOptions, TwirlingOptions
from quell.options.group import Group
from quell.options.later import LATER

TREES = [EstimatorOptions, SamplerOptions]


def groups(options: Group) -> Iterator[Group]:
    yield options
    for name in attrs.fields_dict(type(options)):
        if isinstance(getattr(options, name), Group):
            yield from groups(getattr(options, name))


def refuse(options: Group, name: str, value: Any) -> str:
    """Return the message of a refused assignment, having checked that it changed nothing."""
    root_before = options.to_dict()
    with pytest.raises(OptionsError) as caught:
        setattr(options, name, value)
    assert options.to_dict() == root_before
    assert [problem.path for problem in caught.value.problems] == [f"{options.path}.{name}"]
    return str(caught.value)


# ---------------------------------------------------------------------------------------------- defaults


def test_estimator_defaults_are_those_of_v2() -> None:
    assert EstimatorOptions().to_dict() == {
        "default_precision": 0.015625,
        "default_shots": None,
        "resilience_level": 1,
        "seed": None,
        "twirling": {
            "enable_gates": None,
            "enable_measure": None,
            "num_randomizations": "auto",
            "shots_per_randomization": "auto",
            "strategy": "active-accum",
            "group": "pauli",
        },
        "resilience": {
            "measure_mitigation": None,
            "measure_noise_learning": {"num_randomizations": "auto", "shots_per_randomization": "auto"},
        },
        "execution": {"run_options": {}},
    }


def test_sampler_defaults_are_those_of_v2() -> None:
    assert SamplerOptions().to_dict() == {
        "default_shots": 4096,
        "seed": None,
        "twirling": TwirlingOptions().to_dict(),
        "execution": {"run_options": {}},
    }


@pytest.mark.parametrize("tree", TREES)
def test_every_option_is_described_and_its_path_is_where_it_is(tree: type[Group]) -> None:
    for group in groups(tree()):
        for name, field in attrs.fields_dict(type(group)).items():
            assert field.metadata["doc"].endswith(".")
            if isinstance(value := getattr(group, name), Group):
                assert value.path == f"{group.path}.{name}"


@pytest.mark.parametrize("tree", TREES)
def test_an_option_that_exists_is_not_listed_as_missing(tree: type[Group]) -> None:
    existing = {f"{group.path}.{name}" for group in groups(tree()) for name in attrs.fields_dict(type(group))}
    assert not existing & set(LATER)


# ------------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize("value", [np.int64(7), np.uint8(7), np.array(7), 7])
def test_numpy_integers_become_int(value: Any) -> None:
    options = EstimatorOptions(default_shots=value, seed=value, twirling={"num_randomizations": value})
    for stored in (options.default_shots, options.seed, options.twirling.num_randomizations):
        assert type(stored) is int
        assert stored == 7


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), 0.5])
def test_numpy_floats_become_float(value: Any) -> None:
    options = EstimatorOptions(default_precision=value)
    assert type(options.default_precision) is float
    assert options.default_precision == 0.5


def test_an_int_is_a_float_and_a_numpy_bool_is_a_bool() -> None:
    options = EstimatorOptions(default_precision=1)
    assert type(options.default_precision) is float
    options.twirling.enable_gates = np.True_  # type: ignore[assignment]
    assert options.twirling.enable_gates is True
    options.twirling.strategy = np.str_("all")  # type: ignore[assignment]
    assert type(options.twirling.strategy) is str


@pytest.mark.parametrize(
    "value", [True, "0.1", None, 0, -1.0, float("nan"), float("inf"), 10**400, 1j, [0.1]]
)
def test_bad_precision(value: Any) -> None:
    assert "must be a finite number > 0, not " in refuse(EstimatorOptions(), "default_precision", value)


@pytest.mark.parametrize("value", [True, np.True_, 0, -1, 1.0, "10", float("nan"), [1], np.array([1, 2])])
@pytest.mark.parametrize("tree", TREES)
def test_bad_shots(tree: type[Group], value: Any) -> None:
    assert "must be an integer >= 1 or None, not " in refuse(tree(), "default_shots", value)


@pytest.mark.parametrize("value", [True, 0, -1, 32.0, "Auto", None])
@pytest.mark.parametrize("name", ["num_randomizations", "shots_per_randomization"])
def test_bad_counts(name: str, value: Any) -> None:
    options = EstimatorOptions()
    assert "must be an integer >= 1 or 'auto'" in refuse(options.twirling, name, value)
    assert "must be an integer >= 1 or 'auto'" in refuse(
        options.resilience.measure_noise_learning, name, value
    )


@pytest.mark.parametrize("value", [0, 1, "true", 1.0])
def test_bad_switch(value: Any) -> None:
    options = EstimatorOptions()
    assert "must be True or False or None" in refuse(options.twirling, "enable_gates", value)
    assert "must be True or False or None" in refuse(options.resilience, "measure_mitigation", value)


def test_seed_zero_is_a_seed() -> None:
    assert EstimatorOptions(seed=0).seed == 0
    assert SamplerOptions.of({"seed": np.int64(0)}).seed == 0
    assert "must be an integer >= 0 or None" in refuse(EstimatorOptions(), "seed", -1)
    refuse(EstimatorOptions(), "seed", False)


@pytest.mark.parametrize("value", [True, False, 1.0, "1", 3, -1, None])
def test_bad_level(value: Any) -> None:
    assert "options.resilience_level: must be 0 or 1, not" in refuse(
        EstimatorOptions(), "resilience_level", value
    )


def test_level_two_says_what_is_missing() -> None:
    message = refuse(EstimatorOptions(), "resilience_level", 2)
    assert message == (
        "options.resilience_level: resilience_level 2 needs zero-noise extrapolation, "
        "which this version does not have; set 0 or 1"
    )


@pytest.mark.parametrize("name", ["active", "active_accum", "active-accum", "active_circuit", "all"])
def test_strategies_are_stored_with_hyphens(name: Any) -> None:
    options = SamplerOptions()
    options.twirling.strategy = name
    assert options.twirling.strategy == name.replace("_", "-")


def test_bad_choice_suggests() -> None:
    options = SamplerOptions()
    message = refuse(options.twirling, "strategy", "active-acum")
    assert "must be one of 'active', 'active-accum', 'active-circuit', 'all', not 'active-acum'" in message
    assert message.endswith("did you mean 'active-accum'?")
    assert "did you mean" not in refuse(options.twirling, "strategy", 3)
    assert "did you mean 'local_pauli'?" in refuse(options.twirling, "group", "local-pauli")


def test_run_options_are_copied_and_their_objects_kept() -> None:
    model = threading.Lock()  # an object that cannot be copied, as live backend objects cannot
    given_options = {"noise_model": model, "nested": {"list": [1]}}
    options = EstimatorOptions(execution={"run_options": given_options})
    given_options["nested"]["list"].append(2)  # type: ignore[index]
    assert options.execution.run_options == {"noise_model": model, "nested": {"list": [1]}}
    other = options.copy()
    other.execution.run_options["nested"]["list"].append(3)
    assert options.execution.run_options["nested"]["list"] == [1]
    assert other.execution.run_options["noise_model"] is model


def test_bad_run_options() -> None:
    options = EstimatorOptions()
    assert "must be a dict" in refuse(options.execution, "run_options", [("a", 1)])
    assert "must have strings as keys, not 1" in refuse(options.execution, "run_options", {1: 2})
    assert "cannot hold 'shots'; set default_shots" in refuse(
        options.execution, "run_options", {"shots": 100}
    )


# ------------------------------------------------------------------------------------------- unknown names


def test_unknown_names_are_refused_everywhere_with_the_nearest() -> None:
    expected = "options.resilience.zne_mitigaton: unknown option; did you mean 'zne_mitigation'?"
    bad = {"resilience": {"zne_mitigaton": True}}
    options = EstimatorOptions()
    assert refuse(options.resilience, "zne_mitigaton", True) == expected
    for make in (
        lambda: EstimatorOptions(bad),
        lambda: EstimatorOptions(**bad),
        lambda: EstimatorOptions.from_dict(bad),
        lambda: EstimatorOptions.of(bad),
        lambda: options.update(bad),
        lambda: options.update(**bad),
        lambda: options.resilience.zne_mitigaton,  # type: ignore[attr-defined]
    ):
        with pytest.raises(OptionsError) as caught:
            make()
        assert str(caught.value) == expected


def test_unknown_name_without_a_near_one_lists_the_options() -> None:
    message = refuse(EstimatorOptions().resilience, "qqq", 1)
    assert message.endswith("unknown option; the options here are measure_mitigation, measure_noise_learning")
    with pytest.raises(OptionsError, match="unknown option"):
        SamplerOptions({3: 4})  # type: ignore[dict-item]


@pytest.mark.parametrize("path", sorted(LATER))
def test_known_but_missing_options_are_not_called_unknown(path: str) -> None:
    *parents, name = path.split(".")[1:]
    group: Any = EstimatorOptions()
    for parent in parents:
        group = getattr(group, parent)
    message = refuse(group, name, None)
    assert message.startswith(f"{path}: is a V2 option that this version of quell does not have; ")
    with pytest.raises(OptionsError, match="does not have"):
        getattr(group, name)
    assert not hasattr(group, name)


def test_methods_cannot_be_overwritten() -> None:
    assert "unknown option" in refuse(EstimatorOptions(), "update", None)
    assert "unknown option" in refuse(EstimatorOptions(), "path", "x")


# ---------------------------------------------------------------------------------- assignment and update


def test_assigning_a_dict_to_a_group_replaces_it() -> None:
    options = EstimatorOptions(twirling={"num_randomizations": 8})
    options.twirling = {"enable_gates": True}  # type: ignore[assignment]
    assert options.twirling == TwirlingOptions(enable_gates=True)
    options.resilience = {"measure_noise_learning": {"num_randomizations": 4}}  # type: ignore[assignment]
    options.resilience = {"measure_noise_learning": {"shots_per_randomization": 4}}  # type: ignore[assignment]
    assert options.resilience.measure_noise_learning.num_randomizations == "auto"


def test_update_merges_at_every_depth() -> None:
    options = EstimatorOptions(twirling={"num_randomizations": 8})
    options.resilience.measure_noise_learning.num_randomizations = 4
    options.update(
        {"twirling": {"enable_gates": True}, "seed": 1},
        twirling={"group": "local_c1"},
        resilience={"measure_noise_learning": {"shots_per_randomization": 5}},
        seed=2,
    )
    assert options == EstimatorOptions(
        seed=2,
        twirling={"num_randomizations": 8, "enable_gates": True, "group": "local_c1"},
        resilience={"measure_noise_learning": {"num_randomizations": 4, "shots_per_randomization": 5}},
    )
    options.twirling.update(enable_gates=None)
    assert options.twirling.enable_gates is None


def test_assigning_a_group_copies_it() -> None:
    first, second = EstimatorOptions(twirling={"enable_gates": True}), SamplerOptions()
    second.twirling = first.twirling
    assert second.twirling == first.twirling
    second.twirling.enable_gates = False
    assert first.twirling.enable_gates is True
    first.update(twirling=TwirlingOptions(group="local_c1"))
    assert first.twirling == TwirlingOptions(group="local_c1")


@pytest.mark.parametrize("value", [3, None, "twirling", SamplerOptions()])
def test_a_group_must_be_a_group(value: Any) -> None:
    options = EstimatorOptions()
    with pytest.raises(OptionsError, match=r"^options.twirling: must be a dict or TwirlingOptions, not "):
        options.twirling = value
    assert options == EstimatorOptions()


def test_update_reports_all_problems_and_changes_nothing() -> None:
    options = EstimatorOptions(seed=5, twirling={"num_randomizations": 8})
    before = options.to_dict()
    with pytest.raises(OptionsError) as caught:
        options.update(
            {"seed": 6, "default_shots": 0, "twirling": {"enable_gates": True, "strategy": "none"}},
            resilience={"measure_noise_learning": {"num_randomizations": False}, "zne": {}},
            execution=3,
            sed=1,
        )
    assert [problem.path for problem in caught.value.problems] == [
        "options.default_shots",
        "options.twirling.strategy",
        "options.resilience.measure_noise_learning.num_randomizations",
        "options.resilience.zne",
        "options.execution",
        "options.sed",
    ]
    assert str(caught.value).startswith("6 problems:")
    assert options.to_dict() == before


def test_a_failed_group_assignment_changes_nothing() -> None:
    options = EstimatorOptions(twirling={"num_randomizations": 8})
    with pytest.raises(OptionsError) as caught:
        options.twirling = {"enable_gates": True, "group": "x", "foo": 1}  # type: ignore[assignment]
    assert [problem.path for problem in caught.value.problems] == [
        "options.twirling.group",
        "options.twirling.foo",
    ]
    assert options == EstimatorOptions(twirling={"num_randomizations": 8})


# ------------------------------------------------------------------------------------ copies and round trips


def test_of() -> None:
    options = EstimatorOptions(seed=1)
    assert EstimatorOptions.of(None) == EstimatorOptions()
    assert EstimatorOptions.of({"seed": 1}) == options
    assert EstimatorOptions.of(options) == options
    assert EstimatorOptions.of(options) is not options
    for wrong in (SamplerOptions(), 3, [("seed", 1)], "seed"):
        with pytest.raises(OptionsError, match=r"^options: must be a dict or EstimatorOptions, not "):
            EstimatorOptions.of(wrong)  # type: ignore[arg-type]
    with pytest.raises(OptionsError, match="must be a dict or SamplerOptions, not EstimatorOptions"):
        SamplerOptions.of(options)  # type: ignore[arg-type]


def test_from_dict_refuses_none() -> None:
    with pytest.raises(OptionsError, match="must be a dict"):
        EstimatorOptions.from_dict(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("duplicate", [EstimatorOptions.copy, EstimatorOptions.of, copy.deepcopy])
def test_copies_are_independent(duplicate: Any) -> None:
    options = EstimatorOptions(execution={"run_options": {"a": [1]}})
    before = options.to_dict()
    other = duplicate(options)
    assert other == options
    for one, two in zip(groups(options), groups(other), strict=True):
        assert one is not two
    other.seed = 3
    other.twirling.enable_gates = True
    other.resilience.measure_noise_learning.num_randomizations = 3
    other.execution.run_options["a"].append(2)
    assert options.to_dict() == before


def test_instances_and_dicts_share_nothing() -> None:
    options = EstimatorOptions(execution={"run_options": {"a": {"b": 1}}})
    dumped = options.to_dict()
    dumped["execution"]["run_options"]["a"]["b"] = 2
    dumped["twirling"]["enable_gates"] = True
    assert options == EstimatorOptions(execution={"run_options": {"a": {"b": 1}}})
    EstimatorOptions().execution.run_options["x"] = 1
    assert EstimatorOptions().execution.run_options == {}


def test_equality() -> None:
    assert EstimatorOptions() == EstimatorOptions()
    assert EstimatorOptions(twirling={"enable_gates": True}) != EstimatorOptions()
    assert EstimatorOptions() != SamplerOptions()  # type: ignore[comparison-overlap]
    with pytest.raises(TypeError):
        hash(EstimatorOptions())


def test_repr_shows_what_differs_from_the_defaults() -> None:
    assert repr(EstimatorOptions()) == "EstimatorOptions()"
    options = EstimatorOptions(seed=0, twirling={"enable_gates": False})
    assert repr(options) == "EstimatorOptions(seed=0, twirling=TwirlingOptions(enable_gates=False))"
    scope = {"EstimatorOptions": EstimatorOptions, "TwirlingOptions": TwirlingOptions}
    assert eval(repr(options), scope) == options


COUNTS = st.just("auto") | st.integers(1, 10**9)
SWITCHES = st.none() | st.booleans()
TWIRLING = st.fixed_dictionaries(
    {},
    optional={
        "enable_gates": SWITCHES,
        "enable_measure": SWITCHES,
        "num_randomizations": COUNTS,
        "shots_per_randomization": COUNTS,
        "strategy": st.sampled_from(["active", "active-accum", "active_circuit", "all"]),
        "group": st.sampled_from(["pauli", "balanced_pauli", "local_c1", "local_pauli"]),
    },
)
TREE_VALUES = st.fixed_dictionaries(
    {},
    optional={
        "default_precision": st.floats(1e-6, 10),
        "default_shots": st.none() | st.integers(1, 10**9),
        "resilience_level": st.sampled_from([0, 1]),
        "seed": st.none() | st.integers(0, 2**128),
        "twirling": TWIRLING,
        "resilience": st.fixed_dictionaries(
            {},
            optional={
                "measure_mitigation": SWITCHES,
                "measure_noise_learning": st.fixed_dictionaries({}, optional={"num_randomizations": COUNTS}),
            },
        ),
        "execution": st.fixed_dictionaries(
            {}, optional={"run_options": st.dictionaries(st.sampled_from("abc"), st.lists(st.integers()))}
        ),
    },
)


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return `second` on top of `first`, group by group; a dict that is a value is not a group."""
    out = first | second
    for name in first.keys() & second.keys():
        if isinstance(first[name], dict) and name != "run_options":
            out[name] = merged(first[name], second[name])
    return out


@given(values=TREE_VALUES, more=TREE_VALUES)
def test_round_trips(values: dict[str, Any], more: dict[str, Any]) -> None:
    options = EstimatorOptions(values)
    assert EstimatorOptions.from_dict(options.to_dict()) == options
    assert EstimatorOptions(**options.to_dict()) == options
    assert pickle.loads(pickle.dumps(options)) == options
    options.update(more)
    assert options == EstimatorOptions(merged(values, more))


@pytest.mark.parametrize("tree", TREES)
def test_an_unpickled_tree_still_checks(tree: Any) -> None:
    options = pickle.loads(pickle.dumps(tree(seed=3)))
    assert options == tree(seed=3)
    refuse(options, "seed", -1)
    refuse(options.twirling, "enable_gate", True)


def test_errors_can_be_pickled() -> None:
    with pytest.raises(OptionsError) as caught:
        _ = EstimatorOptions().zne  # type: ignore[attr-defined]
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.problems == caught.value.problems
