"""Strategies by name and by options: what they switch on, what is refused, which share shots."""

import pytest

from quell import EstimatorOptions, InputError
from quell.comparison.strategies import PARTS, chosen, describe, options_of


def on(name):
    """Return what a strategy has switched on, in the words of its parts."""
    options = EstimatorOptions(options_of(name))
    resilience = options.resilience
    switched = {
        "trex": resilience.measure_mitigation,
        "twirl": options.twirling.enable_gates,
        "dd": options.dynamical_decoupling.enable,
        "zne": resilience.zne_mitigation and resilience.zne.amplifier != "pea",
        "pea": resilience.zne_mitigation and resilience.zne.amplifier == "pea",
        "pec": resilience.pec_mitigation,
    }
    return {part for part, value in switched.items() if value}


@pytest.mark.parametrize(
    "name", [*PARTS, "zne+trex+twirl", "twirl+zne+trex", "pec+trex", " trex + dd ", "pea+trex+twirl"]
)
def test_names_switch_on_their_parts_and_nothing_else(name):
    wanted = {part.strip() for part in name.split("+")} - {"raw"}
    assert on(name) == wanted
    assert options_of(name)["resilience_level"] == 0
    assert describe(name).count(",") == max(0, len(wanted) - 1)


def test_all_is_every_stage_that_any_device_can_run():
    assert on("all") == {"trex", "twirl", "zne", "pec"}


@pytest.mark.parametrize("level", [0, 1, 2])
def test_levels_are_as_they_come(level):
    assert options_of(f"level {level}") == {"resilience_level": level}
    assert str(level) in describe(f"level {level}")


def test_the_order_of_parts_does_not_matter():
    assert options_of("zne+trex") == options_of("trex+zne")


def test_own_names_have_no_description():
    assert describe("what I like") == ""


def test_names_options_and_dicts_are_strategies():
    own = EstimatorOptions({"resilience_level": 2, "default_shots": 50})
    found = chosen({"raw": None, "mine": own, "dict": {"resilience_level": 2}, "renamed": "trex"})
    assert [c.name for c in found] == ["raw", "mine", "dict", "renamed"]
    assert found[1].record.options == {"resilience_level": 2, "default_shots": 50}
    assert found[2].options.resilience_level == 2
    assert found[3].options == EstimatorOptions(options_of("trex"))
    assert [bool(c.record.description) for c in found] == [True, False, False, True]
    own.default_shots = 7
    assert found[1].options.default_shots == 50, "options are copied"


def test_a_list_is_of_built_in_names():
    assert [c.name for c in chosen(("raw", "zne"))] == ["raw", "zne"]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("trexx", "'trex'"), ("zen", "'zne'"), ("levle 2", "'level 2'"), ("twirrl", "'twirl'")],
)
def test_unknown_names_are_refused_with_the_nearest(name, nearest):
    with pytest.raises(InputError, match=f"did you mean {nearest}"):
        chosen([name])


@pytest.mark.parametrize("name", ["raw+trex", "trex+trex", "zne+pea", "level 2+dd", "", "+"])
def test_impossible_names_are_refused(name):
    with pytest.raises(InputError):
        chosen({"fine": "raw", "own": name})


def test_all_problems_come_at_once():
    with pytest.raises(InputError) as caught:
        chosen(
            {
                "nonsens": None,
                "other": "zne+trx",
                "mine": {"resilience_level": 7},
                "yours": {"default_shot": 4},
                3: "raw",
                "kind": 17,
            }
        )
    text = str(caught.value)
    for part in ("nonsens", "'trx'", "resilience_level", "default_shot", "no text: 3", "strategies['kind']"):
        assert part in text
    assert len(caught.value.problems) >= 6


@pytest.mark.parametrize("given", ["raw", 3, None, [], {}, [3], [{"resilience_level": 1}]])
def test_what_is_no_strategies_is_refused(given):
    with pytest.raises(InputError, match="strategies"):
        chosen(given)


def test_a_name_twice_is_refused():
    with pytest.raises(InputError, match="'raw' twice"):
        chosen(["raw", "trex", "raw"])


def hosts(**zne):
    """Return which strategy has the shots, for two that differ in this."""
    base = {"resilience": {"zne_mitigation": True}}
    other = {"resilience": {"zne_mitigation": True, "zne": zne}}
    return [c.record.shares_data_with for c in chosen({"base": base, "other": other})]


@pytest.mark.parametrize(
    "analysis",
    [
        {"extrapolator": "linear"},
        {"extrapolator": ["exponential", "linear"]},
        {"extrapolated_noise_factors": [0, 1]},
    ],
)
def test_strategies_that_differ_in_analysis_only_share_shots(analysis):
    assert hosts(**analysis) == ["", "base"]


@pytest.mark.parametrize("shape", [{"noise_factors": [1, 2, 5]}, {"amplifier": "pea"}])
def test_strategies_that_shape_the_data_do_not(shape):
    assert hosts(**shape) == ["", ""]


def test_without_extrapolation_nothing_is_shared():
    found = chosen({"raw": "raw", "again": "raw", "precise": {"default_shots": 10}})
    assert [c.record.shares_data_with for c in found] == ["", "", ""]


def test_level_2_extrapolates_by_itself():
    found = chosen(
        {
            "a": {"resilience_level": 2},
            "b": {"resilience_level": 2, "resilience": {"zne": {"extrapolator": "linear"}}},
        }
    )
    assert found[1].record.shares_data_with == "a"


def test_objects_are_told_apart_though_their_text_is_the_same():
    noise = pytest.importorskip("qiskit_aer.noise")
    models = [noise.NoiseModel() for _ in range(2)]
    for model, rate in zip(models, (0.01, 0.2), strict=True):
        model.add_all_qubit_quantum_error(noise.depolarizing_error(rate, 2), ["cx"])
    assert repr(models[0]) == repr(models[1])
    given = [(0, "exponential"), (1, "exponential"), (0, "linear")]
    found = chosen(
        {
            f"{number} {extrapolator}": {
                "simulator": {"noise_model": models[number]},
                "resilience": {"zne_mitigation": True, "zne": {"extrapolator": extrapolator}},
            }
            for number, extrapolator in given
        }
    )
    assert [c.record.shares_data_with for c in found] == ["", "", "0 exponential"]


def test_shots_that_follow_a_precision_are_not_shared():
    """A second round's size follows from the analysis, so the data are others."""
    base = {"resilience": {"zne_mitigation": True}, "execution": {"precision_target": "mitigated"}}
    other = {**base, "resilience": {"zne_mitigation": True, "zne": {"extrapolator": "linear"}}}
    assert [c.record.shares_data_with for c in chosen({"a": base, "b": other})] == ["", ""]
