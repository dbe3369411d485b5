"""What the vendor's own options classes make of our dicts, and we of theirs."""

import dataclasses
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import TREES, UNTIMED, leaf_fields, trees

from quell.errors import OptionsError
from quell.options import EstimatorOptions, SamplerOptions

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

BOTH = pytest.mark.parametrize("kind", TREES)


def client(kind: type) -> Any:
    return getattr(pytest.importorskip("qiskit_ibm_runtime.options_models"), kind.__name__)


def server(kind: type) -> Any:
    return getattr(pytest.importorskip("qiskit_ibm_runtime.options"), kind.__name__)


def without_unset(values: dict[str, Any]) -> dict[str, Any]:
    kept = {name: without_unset(v) if isinstance(v, dict) else v for name, v in values.items()}
    return {name: value for name, value in kept.items() if type(value).__name__ != "UnsetType"}


def lists(value: Any) -> bool:
    """Whether no tuple is left in nested dicts and lists."""
    if isinstance(value, dict):
        return all(map(lists, value.values()))
    return all(map(lists, value)) if isinstance(value, list) else not isinstance(value, tuple)


def rejections(options: Any, **how: Any) -> dict[str, str]:
    with pytest.raises(OptionsError) as caught:
        options.to_runtime(**how)
    return {problem.path: str(problem) for problem in caught.value.problems}


# ------------------------------------------------------------------------------------- the real classes


@pytest.mark.parametrize("kind", TREES)
@given(data=st.data())
@UNTIMED
def test_the_clients_class_takes_any_tree_of_its_options(kind: Any, data: st.DataObject) -> None:
    options = data.draw(trees(kind, ("both", "client")))
    values = options.to_runtime("client")
    made = client(kind)(**values)
    assert lists(values)
    assert kind.from_dict(values) == options
    assert kind.from_dict(made.model_dump()) == options


@pytest.mark.parametrize("kind", TREES)
@given(data=st.data())
@UNTIMED
def test_the_servers_class_takes_any_tree_of_its_options(kind: Any, data: st.DataObject) -> None:
    options = data.draw(trees(kind, ("both", "server")))
    if kind is EstimatorOptions:
        assume(not (options.resilience.pec_mitigation and options.resilience.zne_mitigation))
        if options.resilience.zne.noise_factors == "auto" or len(options.resilience.zne.noise_factors) < 8:
            options.resilience.zne.extrapolator = "linear"
    values = options.to_runtime(
        "server", extras="drop"
    )  # what is dropped is readout learning while it is off
    made = server(kind)(**values)
    assert lists(values)
    again = kind.from_dict(without_unset(dataclasses.asdict(made)))
    assert again == kind.from_dict(values)
    if kind is SamplerOptions or not options.resilience.measure_noise_learning.diff():
        assert values == options.to_runtime("server")
        expected = options.diff()
        if expected.get("default_shots", 1) is None:
            expected["default_shots"] = 4096
        assert again == kind.from_dict(expected)


@BOTH
def test_full_dumps_of_the_real_classes_are_our_defaults(kind: Any) -> None:
    assert kind.from_dict(client(kind)().model_dump()) == kind()
    dumped = without_unset(dataclasses.asdict(server(kind)()))
    assert dumped["_VERSION"] == 2
    for make in (kind, kind.of, kind.from_dict):
        assert make(dumped) == kind()


def test_dumps_with_values_load() -> None:
    made = server(EstimatorOptions)(
        default_shots=100,
        resilience_level=2,
        seed_estimator=3,
        resilience={"measure_mitigation": True, "measure_noise_learning": {"num_randomizations": 7}},
        simulator={"coupling_map": [[0, 1]]},
        environment={"job_tags": ["a"]},
        experimental={"image": "a:b"},
    )
    options = EstimatorOptions.from_dict(without_unset(dataclasses.asdict(made)))
    assert options == EstimatorOptions(
        default_shots=100,
        resilience_level=2,
        seed_estimator=3,
        resilience={"measure_mitigation": True, "measure_noise_learning": {"num_randomizations": 7}},
        simulator={"coupling_map": ((0, 1),)},
        environment={"job_tags": ("a",)},
        experimental={"image": "a:b"},
    )


@BOTH
def test_every_option_is_where_its_home_says(kind: Any) -> None:
    dumps = {
        "client": client(kind)().model_dump(),
        "server": dataclasses.asdict(server(kind)()),
    }
    for path, (field, _) in leaf_fields(kind).items():
        home = {tree for tree, dump in dumps.items() if has(dump, path.split("."))}
        expected = {"both": {"client", "server"}, "ours": set()}.get(field.metadata["home"])
        assert home == (expected if expected is not None else {field.metadata["home"]}), path


def has(values: Any, names: list[str]) -> bool:
    for name in names:
        if not isinstance(values, dict) or name not in values:
            return False
        values = values[name]
    return True


def test_noise_models_of_aer_are_taken() -> None:
    model = pytest.importorskip("qiskit_aer.noise").NoiseModel()
    values = EstimatorOptions(simulator={"noise_model": model}).to_runtime("server")
    assert values == {"simulator": {"noise_model": model}}
    assert server(EstimatorOptions)(**values).simulator.noise_model is model


# ------------------------------------------------------------------------------------------ translations


@pytest.mark.parametrize("tree", ["client", "server"])
@BOTH
def test_defaults_are_an_empty_dict(kind: Any, tree: Any) -> None:
    assert kind().to_runtime(tree) == {}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"seed": 3}, {"seed_estimator": 3}),
        ({"seed": 0, "seed_estimator": 0}, {"seed_estimator": 0}),
        ({"environment": {"max_execution_time": 7}}, {"max_execution_time": 7}),
        ({"max_execution_time": 3, "environment": {"max_execution_time": 7}}, {"max_execution_time": 3}),
        (
            {"environment": {"image": "a:b"}, "experimental": {"x": 1, "image": "a:b"}},
            {"experimental": {"x": 1, "image": "a:b"}},
        ),
        (
            {"execution": {"scheduler_timing": True, "stretch_values": True}},
            {"experimental": {"execution": {"scheduler_timing": True, "stretch_values": True}}},
        ),
        (
            {"resilience": {"measure_noise_learning": {"num_randomizations": 7}}},
            {"resilience": {"measure_mitigation": True, "measure_noise_learning": {"num_randomizations": 7}}},
        ),
    ],
)
def test_the_server_says_it_in_another_way(values: Any, expected: Any) -> None:
    options = EstimatorOptions(values)
    before = options.to_dict()
    assert options.to_runtime("server") == expected
    assert options.to_dict() == before
    server(EstimatorOptions)(**expected)


def test_a_sampler_of_the_server_has_a_number_of_shots() -> None:
    assert SamplerOptions(default_shots=None).to_runtime("server") == {"default_shots": 4096}
    assert SamplerOptions(default_shots=None).to_runtime("client") == {"default_shots": None}


def test_the_dict_shares_nothing_with_the_options() -> None:
    options = EstimatorOptions(experimental={"a": {"b": 1}}, environment={"image": "a:b"})
    options.to_runtime("server")["experimental"]["a"]["b"] = 2
    assert options.experimental == {"a": {"b": 1}}


# --------------------------------------------------------------------------------------------- refusals


def test_what_the_client_does_not_have() -> None:
    options = EstimatorOptions(
        seed=1,
        seed_estimator=1,
        resilience={
            "zne": {"amplifier": "global_folding", "noise_factors": (0, 1)},
            "pec": {"circuit_cost": 1},
            "measure_noise_learning": {"shots_per_randomization": 7},
            "layer_noise_learning": {"max_layers_to_learn": None},
        },
        calibration={"max_age": 0, "store": "a.db", "when_old": "warn"},
        execution={"run_options": {"a": 1}, "precision_target": "mitigated"},
        simulator={"noise_model": {}, "basis_gates": ["x"], "seed_simulator": 3},
    )
    found = rejections(options)
    assert list(found) == [
        "options.seed",
        "options.seed_estimator",
        "options.resilience.measure_noise_learning.shots_per_randomization",
        "options.resilience.zne.amplifier",
        "options.resilience.zne.noise_factors",
        "options.resilience.pec.circuit_cost",
        "options.resilience.layer_noise_learning.max_layers_to_learn",
        "options.calibration.max_age",
        "options.calibration.store",
        "options.calibration.when_old",
        "options.execution.run_options",
        "options.execution.precision_target",
        "options.simulator.noise_model",
        "options.simulator.basis_gates",
    ]
    assert found["options.resilience.zne.amplifier"] == (
        "options.resilience.zne.amplifier: is 'global_folding', which the client's V2 options do not have; "
        "choose another, such as 'gate_folding', or pass extras=\"drop\""
    )
    assert all(message.endswith('or pass extras="drop"') for message in found.values())
    assert options.to_runtime(extras="drop") == {"simulator": {"seed_simulator": 3}}


def test_what_the_server_does_not_have() -> None:
    options = EstimatorOptions(
        twirling={"group": "local_c1", "enable_measure": False},
        resilience={"measure_noise_learning": {"num_randomizations": 7}},
        simulator={"angle_decimals": 3, "warn_absent": False},
    )
    found = rejections(options, tree="server")
    assert list(found) == [
        "options.twirling.group",
        "options.simulator.angle_decimals",
        "options.simulator.warn_absent",
        "options.resilience.measure_noise_learning.num_randomizations",
    ]
    assert "while measure_mitigation is on" in list(found.values())[-1]
    assert options.to_runtime("server", extras="drop") == {"twirling": {"enable_measure": False}}
    assert list(rejections(SamplerOptions(seed=1), tree="server")) == ["options.seed"]


@pytest.mark.parametrize("extras", ["refuse", "drop"])
def test_contradictions_are_never_dropped(extras: Any) -> None:
    options = EstimatorOptions(
        seed=1,
        seed_estimator=2,
        resilience={
            "pec_mitigation": True,
            "zne_mitigation": True,
            "zne": {"noise_factors": (1, 2), "extrapolator": ("linear", "polynomial_degree_2")},
        },
        environment={"image": "a:b"},
        execution={"scheduler_timing": True},
        experimental={"image": "c:d", "execution": 3},
    )
    found = rejections(options, tree="server", extras=extras)
    assert list(found) == [
        "options.environment.image",
        "options.execution.scheduler_timing",
        "options.seed_estimator",
        "options.resilience.pec_mitigation",
        "options.resilience.zne.extrapolator",
    ]
    assert (
        "'polynomial_degree_2' needs 3 noise factors, there are 2"
        in found["options.resilience.zne.extrapolator"]
    )


@pytest.mark.parametrize("how", [{"tree": "sever"}, {"extras": "ignore"}])
def test_bad_arguments(how: Any) -> None:
    with pytest.raises(OptionsError, match=r"must be one of .*, not '(sever|ignore)'"):
        EstimatorOptions().to_runtime(**how)
