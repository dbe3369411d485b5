"""The tree as an object: what it accepts, what it refuses, and that it is never left half changed."""

import copy
import dataclasses
import enum
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import TREES, UNTIMED, accepts, any_tree

from quell.errors import OptionsError
from quell.options import EstimatorOptions, SamplerOptions, TwirlingOptions
from quell.options.group import Group, nested
from quell.options.hints import one_edit_apart
from quell.options.legacy.names import renamed


class Store:
    """Looks like a store of calibrations."""

    def find(self) -> None: ...

    def add(self) -> None: ...


STORE = Store()


def groups(options: Group) -> Iterator[Group]:
    yield options
    for name in attrs.fields_dict(type(options)):
        if isinstance(getattr(options, name), Group):
            yield from groups(getattr(options, name))


def at(options: Any, path: str) -> tuple[Any, str]:
    """Return the group and the name of an option."""
    *parents, name = path.split(".")
    for parent in parents:
        options = getattr(options, parent)
    return options, name


def refuse(options: Group, name: str, value: Any) -> str:
    """Return the message of a refused assignment, having checked that it changed nothing."""
    root_before = options.to_dict()
    with pytest.raises(OptionsError) as caught:
        setattr(options, name, value)
    assert options.to_dict() == root_before
    assert [problem.path for problem in caught.value.problems] == [f"{options.path}.{name}"]
    return str(caught.value)


# ---------------------------------------------------------------------------------------------- defaults


SHARED = {
    "seed": None,
    "max_execution_time": None,
    "dynamical_decoupling.enable": False,
    "dynamical_decoupling.sequence_type": "XX",
    "dynamical_decoupling.extra_slack_distribution": "middle",
    "dynamical_decoupling.scheduling_method": "alap",
    "dynamical_decoupling.skip_reset_qubits": False,
    "dynamical_decoupling.instruction_durations": None,
    "twirling.enable_gates": None,
    "twirling.enable_measure": None,
    "twirling.num_randomizations": "auto",
    "twirling.shots_per_randomization": "auto",
    "twirling.strategy": "active-accum",
    "twirling.group": "pauli",
    "post_selection.enable": False,
    "post_selection.registers": None,
    "post_selection.parity": None,
    "post_selection.predicate": None,
    "calibration.max_age": 1800.0,
    "calibration.shots": "auto",
    "calibration.store": None,
    "calibration.when_old": "relearn",
    "execution.init_qubits": True,
    "execution.rep_delay": None,
    "execution.scheduler_timing": False,
    "execution.stretch_values": False,
    "execution.run_options": {},
    "environment.log_level": "WARNING",
    "environment.job_tags": (),
    "environment.private": False,
    "environment.image": None,
    "environment.max_execution_time": None,
    "simulator.noise_model": None,
    "simulator.coupling_map": None,
    "simulator.basis_gates": None,
    "simulator.seed_simulator": None,
    "simulator.layer_noise_model": None,
    "simulator.angle_decimals": 5,
    "simulator.warn_absent": True,
    "experimental": {},
}
ESTIMATOR = {
    "default_precision": 0.015625,
    "default_shots": None,
    "resilience_level": 1,
    "seed_estimator": None,
    "resilience.measure_mitigation": None,
    "resilience.measure_noise_learning.num_randomizations": "auto",
    "resilience.measure_noise_learning.shots_per_randomization": "auto",
    "resilience.zne_mitigation": None,
    "resilience.zne.amplifier": "gate_folding",
    "resilience.zne.noise_factors": "auto",
    "resilience.zne.extrapolator": ("exponential", "linear"),
    "resilience.zne.extrapolated_noise_factors": "auto",
    "resilience.zne.selection": "order",
    "resilience.zne.guard": None,
    "resilience.zne.shot_allocation": "neyman",
    "resilience.pec_mitigation": False,
    "resilience.pec.max_overhead": 100.0,
    "resilience.pec.noise_gain": "auto",
    "resilience.pec.light_cone": True,
    "resilience.pec.normalization": "gamma",
    "resilience.pec.allocation": "stratified",
    "resilience.pec.circuit_cost": "auto",
    "resilience.layer_noise_learning.max_layers_to_learn": 4,
    "resilience.layer_noise_learning.shots_per_randomization": 128,
    "resilience.layer_noise_learning.num_randomizations": 32,
    "resilience.layer_noise_learning.layer_pair_depths": (0, 1, 2, 4, 16, 32),
    "resilience.layer_noise_model": None,
    "execution.precision_target": "shots",
}
SAMPLER = {
    "default_shots": 4096,
    "resilience.measure_mitigation": False,
    "calibration.groups": None,
    "execution.meas_type": "classified",
}


@pytest.mark.parametrize(("tree", "own"), [(EstimatorOptions, ESTIMATOR), (SamplerOptions, SAMPLER)])
def test_defaults_are_those_of_v2(tree: Any, own: dict[str, Any]) -> None:
    assert tree().to_dict() == nested(SHARED | own)
    assert tree().diff() == {}


@pytest.mark.parametrize("tree", TREES)
def test_every_option_is_described_and_its_path_is_where_it_is(tree: type[Group]) -> None:
    for group in groups(tree()):
        for name, field in attrs.fields_dict(type(group)).items():
            assert field.metadata["doc"].endswith(".")
            assert f"    {name}: {field.metadata['doc']}" in type(group).__doc__.splitlines()
            if isinstance(value := getattr(group, name), Group):
                assert value.path == f"{group.path}.{name}"


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
    message = refuse(EstimatorOptions(), "resilience_level", value)
    assert message.startswith(f"options.resilience_level: must be 0, 1 or 2, not {value!r}")
    assert ("pec_mitigation" in message) == (value == 3)


@pytest.mark.parametrize(
    ("path", "good", "stored", "bad", "rule"),
    [
        ("resilience.zne.noise_factors", (1, np.float64(2)), (1.0, 2.0), (1,), "a list of at least 2 numbers >= 0"),
        ("resilience.zne.noise_factors", np.array([0, 3]), (0.0, 3.0), (-0.5, 1), "or 'auto'"),
        ("resilience.zne.extrapolated_noise_factors", [0], (0.0,), [-1], "a list of numbers >= 0"),
        ("resilience.zne.extrapolator", ["linear"], ("linear",), [], "a name, an extrapolator or a list of them"),
        ("resilience.zne.extrapolator", "fallback", "fallback", "liner", "did you mean 'linear'?"),
        ("resilience.pec.max_overhead", 3, 3.0, 0, "a finite number > 0 or None"),
        ("resilience.pec.noise_gain", 0, 0.0, -0.1, "a finite number >= 0 or 'auto'"),
        ("resilience.pec.light_cone", False, False, 1, "True or False"),
        ("resilience.pec.normalization", "signs", "signs", "sign", "did you mean 'signs'?"),
        ("resilience.pec.allocation", "random", "random", True, "one of 'stratified', 'random'"),
        ("resilience.pec.circuit_cost", 7, 7.0, -1, "a finite number >= 0 or 'auto'"),
        ("calibration.store", Path("a.db"), "a.db", "", "a CalibrationStore, the path of its file, or None"),
        ("calibration.store", STORE, STORE, {"find": 1}, "a CalibrationStore, the path of its file, or None"),
        ("calibration.when_old", "refuse", "refuse", "fail", "one of 'relearn', 'warn', 'refuse'"),
        ("resilience.layer_noise_learning.layer_pair_depths", range(2), (0, 1), [4], "at least 2 integers >= 0"),
        ("resilience.layer_noise_model", iter([1]), [1], {"a": 1}, "a sequence of layers with their noise"),
        ("resilience.layer_noise_model", [1], [1], STORE, "set calibration.store to it"),
        ("environment.job_tags", None, (), "tag", "a list of strings"),
        ("environment.image", "a/b:c", "a/b:c", "name", "'name:tag' or None"),
        ("simulator.coupling_map", [[0, 1]], ((0, 1),), [[0, 1, 2]], "a list of pairs of qubits"),
        ("simulator.basis_gates", ["x"], ("x",), "x", "a list of strings or None"),
        ("simulator.angle_decimals", np.int8(0), 0, 1.0, "an integer >= 0"),
        ("max_execution_time", 1, 1, 0, "an integer >= 1 or None"),
        ("experimental", {"a": 1}, {"a": 1}, None, "a dict"),
    ],
)  # fmt: skip
def test_values(path: str, good: Any, stored: Any, bad: Any, rule: str) -> None:
    group, name = at(EstimatorOptions(), path)
    setattr(group, name, good)
    assert getattr(group, name) == stored
    assert type(getattr(group, name)) is type(stored)
    assert rule in refuse(group, name, bad)


def test_coupling_maps_and_groups_of_qubits() -> None:
    class CouplingMap:
        def get_edges(self) -> list[tuple[int, int]]:
            return [(0, 1), (1, 0)]

    options = SamplerOptions(simulator={"coupling_map": CouplingMap()}, calibration={"groups": [[3, 1], [0]]})
    assert options.simulator.coupling_map == ((0, 1), (1, 0))
    assert options.calibration.groups == ((3, 1), (0,))
    for bad in ([[0, 1], [1]], [[]], [0], "ab"):
        assert "must be disjoint groups of qubits or None" in refuse(options.calibration, "groups", bad)


BAD = [
    object(),
    float("nan"),
    -1,
    0.5,
    "qqq",
    [[]],
    [3],
    1j,
    {1: 2},
    {"shots": 3},
    True,
    None,
    (),
    b"x",
    10**400,
]


@given(options=any_tree(), data=st.data())
@UNTIMED
def test_a_failed_assignment_changes_nothing(options: Any, data: st.DataObject) -> None:
    path, _, field = data.draw(st.sampled_from(list(options.leaves())))
    bad = [value for value in BAD if not accepts(field.metadata["check"], value)]
    assume(bad)
    before, value = options.copy(), data.draw(st.sampled_from(bad))
    refuse(*at(options, path), value)
    with pytest.raises(OptionsError) as caught:
        options.update({"seed": 12345} if path != "seed" else {}, **nested({path: value}))
    assert [problem.path for problem in caught.value.problems] == [f"options.{path}"]
    assert options == before


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
    message = refuse(EstimatorOptions().resilience.pec, "qqq", 1)
    assert (
        message
        == "options.resilience.pec.qqq: unknown option; the options here are max_overhead, noise_gain, "
        "light_cone, normalization, allocation, circuit_cost"
    )
    with pytest.raises(OptionsError, match="unknown option"):
        SamplerOptions({3: 4})  # type: ignore[dict-item]


@st.composite
def misspellings(draw: st.DrawFn) -> tuple[Group, str, str]:
    """Return a group, one of its names, and that name with one slip."""
    group = draw(st.sampled_from([g for tree in TREES for g in groups(tree())]))
    name = draw(st.sampled_from(list(attrs.fields_dict(type(group)))))
    at = draw(st.integers(0, len(name) - 1))
    other = draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz_1 E"))
    slips = {
        "delete": name[:at] + name[at + 1 :],
        "double": name[:at] + name[at] + name[at:],
        "swap": name[:at] + name[at : at + 2][::-1] + name[at + 2 :],
        "replace": name[:at] + other + name[at + 1 :],
    }
    wrong = slips[draw(st.sampled_from(sorted(slips)))]
    assume(not hasattr(group, wrong))
    return group, name, wrong


@given(slip=misspellings())
@UNTIMED
def test_any_slip_is_refused_with_the_name_that_was_meant(slip: tuple[Group, str, str]) -> None:
    group, name, wrong = slip
    message = refuse(group, wrong, 1)
    assert message.startswith(f"{group.path}.{wrong}: unknown option; did you mean ")
    assert repr(name) in message.partition("did you mean ")[2]
    with pytest.raises(OptionsError) as caught:
        group.update({wrong: 1})
    assert str(caught.value) == message


@given(one=st.text("abc", max_size=5), other=st.text("abc", max_size=5))
@UNTIMED
def test_one_edit(one: str, other: str) -> None:
    edits = {one[:i] + c + one[i:] for i in range(len(one) + 1) for c in "abc"}
    edits |= {one[:i] + one[i + 1 :] for i in range(len(one))}
    edits |= {one[:i] + c + one[i + 1 :] for i in range(len(one)) for c in "abc"}
    edits |= {one[:i] + one[i : i + 2][::-1] + one[i + 2 :] for i in range(len(one))}
    assert one_edit_apart(one, other) == (other in edits - {one}) == one_edit_apart(other, one)


@pytest.mark.parametrize("tree", TREES)
def test_a_name_in_the_wrong_group_is_refused_with_where_it_is(tree: Any) -> None:
    everywhere = list(groups(tree()))
    places: dict[str, list[str]] = {}
    for group in everywhere:
        for name in attrs.fields_dict(type(group)):
            places.setdefault(name, []).append(f"{group.path}.{name}")
    for group in everywhere:
        here = attrs.fields_dict(type(group))
        for name, paths in places.items():
            old = renamed(f"{group.path}.{name}".removeprefix("options."))
            if name not in here and not old and not any(one_edit_apart(name, other) for other in here):
                meant = refuse(group, name, 1).partition("; did you mean ")[2]
                assert set(paths) <= set(meant.rstrip("?").split(" or "))


def test_names_of_the_other_tree_and_near_names_of_other_groups() -> None:
    assert refuse(EstimatorOptions(), "zne_mitigation", True).endswith(
        "did you mean options.resilience.zne_mitigation?"
    )
    assert refuse(EstimatorOptions(), "zne_mitigaton", True).endswith(
        "did you mean options.resilience.zne_mitigation?"
    )
    assert refuse(SamplerOptions(), "resilience_level", 1).endswith(
        "; EstimatorOptions has it, as options.resilience_level"
    )
    assert refuse(EstimatorOptions().execution, "meas_type", 1).endswith(
        "; SamplerOptions has it, as options.execution.meas_type"
    )


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
            resilience={"measure_noise_learning": {"num_randomizations": False}, "zen": {}},
            execution=3,
            sed=1,
        )
    assert [problem.path for problem in caught.value.problems] == [
        "options.default_shots",
        "options.twirling.strategy",
        "options.resilience.measure_noise_learning.num_randomizations",
        "options.resilience.zen",
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


@pytest.mark.parametrize("duplicate", [EstimatorOptions.copy, EstimatorOptions.of, copy.deepcopy, copy.copy])
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


# -------------------------------------------------------------------------------------------------- import

IMPORT = """
import sys, time
start = time.process_time()
import quell.options
seconds = time.process_time() - start
heavy = ("qiskit", "numpy", "scipy", "mthree", "cattrs", "qiskit_ibm_runtime")
loaded = [name for name in heavy if name in sys.modules]
quell.options.EstimatorOptions(seed=1).diff()
print(seconds, *loaded)
"""


def test_options_are_light_to_import() -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(5)
    ]
    assert [loaded for _, *loaded in runs] == [[]] * 5
    assert min(float(seconds) for seconds, *_ in runs) < 0.3


# ------------------------------------------------------------------------------------------ kept from harm


def test_update_merges_options_that_are_dicts_and_assignment_replaces_them() -> None:
    options = EstimatorOptions(experimental={"a": {"b": 1}})
    options.update(experimental={"a": {"c": 2}}, execution={"run_options": {"x": 1}})
    options.update({"experimental": {"d": 3}}, experimental={"e": 4})
    assert options.experimental == {"a": {"b": 1, "c": 2}, "d": 3, "e": 4}
    options.execution.run_options = {"y": 2}
    assert options.execution.run_options == {"y": 2}
    options.update(EstimatorOptions(experimental={"only": 1}))
    assert options.experimental == {"only": 1}


def test_an_option_cannot_be_deleted() -> None:
    options = EstimatorOptions(seed=3)
    with pytest.raises(OptionsError, match=r"options.seed: cannot be deleted; assign its default"):
        del options.seed
    assert options.seed == 3


class Sequence(enum.StrEnum):
    XY4 = "XY4"


def test_members_of_enums_are_their_values() -> None:
    options = EstimatorOptions(dynamical_decoupling={"sequence_type": Sequence.XY4})
    assert type(options.dynamical_decoupling.sequence_type) is str
    assert "XY4" in options.to_json()


def test_a_dump_of_the_servers_options_loads_with_what_was_never_set() -> None:
    pytest.importorskip("qiskit_ibm_runtime")
    from qiskit_ibm_runtime.options import EstimatorOptions as Server

    server = Server()
    server.resilience.measure_mitigation = False
    options = EstimatorOptions(**dataclasses.asdict(server))
    assert options == EstimatorOptions(resilience={"measure_mitigation": False})
