"""Whole trees there and back: dict, pickle, JSON, TOML, Python, files; and what cannot be written."""

import json
import pickle
import sys
import threading
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import FEW, SPECIAL, TREES, UNTIMED, VALUES, accepts, any_tree, leaf_fields, tree_dicts

from quell.errors import MissingDependencyError, OptionsError
from quell.options import EstimatorOptions, SamplerOptions


class Model:
    """What a noise model looks like from here; arrays only if not asked for what can be written."""

    def to_dict(self, serializable: bool = False) -> dict[str, Any]:
        return {"errors": [{"probability": 0.1}] if serializable else threading.Lock()}


class Plain:
    def to_dict(self) -> dict[str, Any]:
        return {"a": 1}


class Inner:
    def to_dict(self) -> dict[str, Any]:
        return {"a": threading.Lock()}


def run(text: str) -> Any:
    scope: dict[str, Any] = {}
    exec(text, scope)
    return scope["options"]


# -------------------------------------------------------------------------------------------- strategies


@pytest.mark.parametrize("kind", TREES)
def test_there_is_a_strategy_for_every_option_and_for_nothing_else(kind: Any) -> None:
    assert list(VALUES[kind]) == [path for path, _, _ in kind().leaves()]
    assert set(SPECIAL) <= {path for tree in TREES for path in VALUES[tree]}


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind in TREES for path in VALUES[kind]])
@given(data=st.data())
@FEW
def test_each_option_alone_round_trips(kind: Any, path: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[kind][path])
    check = leaf_fields(kind)[path][0].metadata["check"]
    assert accepts(check, value)
    assert check(check(value)) == check(value)


# ------------------------------------------------------------------------------------------- round trips


@given(options=any_tree())
@UNTIMED
def test_any_tree_survives_every_way_out_and_in(options: Any) -> None:
    kind = type(options)
    assert kind.from_dict(options.to_dict()) == options
    assert kind.from_dict(options.diff()) == options
    assert kind(**options.to_dict()) == options
    assert options.copy() == options
    assert pickle.loads(pickle.dumps(options)) == options
    assert kind.from_json(options.to_json()) == options
    assert kind.from_toml(options.to_toml()) == options
    assert run(options.to_python()) == options


@given(options=any_tree())
@UNTIMED
def test_only_what_differs_from_the_defaults_is_written(options: Any) -> None:
    as_json, as_toml = json.loads(options.to_json()), tomllib.loads(options.to_toml())
    assert as_json == json.loads(json.dumps(options.diff()))
    assert paths(as_toml) == paths(as_json)
    statements = options.to_python().splitlines()[3:]
    assert len(statements) == sum(path in paths(as_json) for path, _, _ in options.leaves())


def paths(values: Any, prefix: str = "") -> set[str]:
    """Return the paths of everything in nested dicts."""
    found = {prefix + name for name in values}
    return found.union(*(paths(v, f"{prefix}{name}.") for name, v in values.items() if isinstance(v, dict)))


@pytest.mark.parametrize("kind", TREES)
def test_defaults_are_nothing_at_all(kind: Any) -> None:
    assert json.loads(kind().to_json()) == {}
    assert kind().to_toml() == ""
    assert kind().to_python() == f"from quell import {kind.__name__}\n\noptions = {kind.__name__}()\n"
    assert kind.from_json("{}") == kind.from_toml("") == kind()


@pytest.mark.parametrize("suffix", [".json", ".toml", ".TOML"])
def test_files(tmp_path: Any, suffix: str) -> None:
    options = EstimatorOptions(
        resilience={"pec": {"max_overhead": None}}, execution={"run_options": {"ä": "\r\n"}}
    )
    path = tmp_path / f"options{suffix}"
    assert options.save(str(path)) == path
    assert EstimatorOptions.load(path) == options
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as some editors on Windows save it
    assert EstimatorOptions.load(str(path)) == options


# --------------------------------------------------------------------------------------------------- text


def test_texts() -> None:
    options = EstimatorOptions(
        seed=0, resilience={"zne": {"noise_factors": (1, 3)}, "pec": {"max_overhead": None}}
    )
    assert json.loads(options.to_json()) == {
        "seed": 0,
        "resilience": {"zne": {"noise_factors": [1.0, 3.0]}, "pec": {"max_overhead": None}},
    }
    assert options.to_toml() == (
        "seed = 0\n\n[resilience.zne]\nnoise_factors = [1.0, 3.0]\n\n"
        '[resilience.pec]\nmax_overhead = "none"\n'
    )
    assert options.to_python() == (
        "from quell import EstimatorOptions\n\n"
        "options = EstimatorOptions()\n"
        "options.seed = 0\n"
        "options.resilience.zne.noise_factors = (1.0, 3.0)\n"
        "options.resilience.pec.max_overhead = None\n"
    )


def test_none_is_a_string_but_for_the_value_of_an_option_in_toml() -> None:
    options = SamplerOptions.from_toml(
        'default_shots = "none"\n[execution.run_options]\na = ["none"]\nb = "none"'
    )
    assert options.default_shots is None
    assert options.execution.run_options == {"a": ["none"], "b": "none"}
    with pytest.raises(OptionsError, match=r"options.default_shots: must be .* not 'none'"):
        SamplerOptions.from_json('{"default_shots": "none"}')
    with pytest.raises(OptionsError, match=r"options.twirling.strategy: must be one of .* not None"):
        SamplerOptions.from_toml('twirling.strategy = "none"')
    with pytest.raises(OptionsError, match=r"options.twirling: must be a dict"):
        SamplerOptions.from_toml('twirling = "none"')


def test_what_toml_cannot_hold_is_listed() -> None:
    options = SamplerOptions(execution={"run_options": {"a": None, "b": [1, {"c": None}]}})
    options.simulator.noise_model = "none"
    with pytest.raises(OptionsError) as caught:
        options.to_toml()
    assert [problem.path for problem in caught.value.problems] == [
        "options.execution.run_options['a']",
        "options.execution.run_options['b'][1]['c']",
        "options.simulator.noise_model",
    ]
    assert str(caught.value.problems[0]).endswith("is None, which TOML cannot hold; write JSON")
    assert SamplerOptions.from_json(options.to_json()) == options


def test_writing_toml_without_tomlkit_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cattrs.preconf.tomlkit", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'quell\[toml\]'"):
        EstimatorOptions().to_toml()
    assert EstimatorOptions.from_toml("seed = 1").seed == 1


# ------------------------------------------------------------------------------------------------ objects


@pytest.mark.parametrize("write", ["to_json", "to_toml"])
def test_objects_are_written_as_their_dict_or_refused_together(write: str) -> None:
    options = EstimatorOptions(execution={"run_options": {"noise_model": Plain()}})
    options.simulator.noise_model = Model()
    read = getattr(EstimatorOptions, write.replace("to_", "from_"))(getattr(options, write)())
    assert read.simulator.noise_model == {"errors": [{"probability": 0.1}]}
    assert read.execution.run_options == {"noise_model": {"a": 1}}

    options.simulator.noise_model = Inner()
    options.resilience.layer_noise_model = [(threading.Lock(), 1)]
    options.execution.run_options |= {"lock": threading.Lock(), "keys": {1: 2}, "type": Plain, "z": 1j}
    with pytest.raises(OptionsError) as caught:
        getattr(options, write)()
    assert [problem.path for problem in caught.value.problems] == [
        "options.resilience.layer_noise_model[0][0]",
        "options.execution.run_options['lock']",
        "options.execution.run_options['keys']",
        "options.execution.run_options['type']",
        "options.execution.run_options['z']",
        "options.simulator.noise_model",
    ]
    assert all("cannot hold; remove it and set it after loading" in str(p) for p in caught.value.problems)


def test_an_object_whose_dict_the_option_does_not_take_is_refused() -> None:
    class Layers(Plain):
        def __iter__(self) -> Any:
            return iter([1])

    options = EstimatorOptions(resilience={"layer_noise_model": Layers()})
    with pytest.raises(OptionsError, match="layer_noise_model: is a Layers, which JSON cannot hold"):
        options.to_json()


@pytest.mark.parametrize("kind", TREES)
def test_a_predicate_cannot_be_written(kind: Any) -> None:
    options = kind(post_selection={"enable": True, "registers": "flag", "predicate": len})
    for write, what in ((options.to_json, "JSON"), (options.to_toml, "TOML")):
        with pytest.raises(OptionsError) as caught:
            write()
        assert [problem.path for problem in caught.value.problems] == ["options.post_selection.predicate"]
        assert f"which {what} cannot hold; remove it and set it after loading" in str(caught.value)
    options.post_selection.predicate = None
    for read in (kind.from_json(options.to_json()), kind.from_toml(options.to_toml())):
        assert read == options
        assert read.post_selection.registers == ("flag",)


def test_json_has_no_infinity() -> None:
    options = EstimatorOptions(execution={"run_options": {"x": float("inf")}})
    with pytest.raises(OptionsError, match=r"run_options\['x'\]: is inf, which JSON cannot hold"):
        options.to_json()
    assert EstimatorOptions.from_toml(options.to_toml()) == options


def test_noise_models_of_aer_are_written() -> None:
    noise = pytest.importorskip("qiskit_aer.noise")
    model = noise.NoiseModel()
    model.add_all_qubit_quantum_error(noise.depolarizing_error(0.1, 1), ["x"])
    options = EstimatorOptions(simulator={"noise_model": model})
    for read in (
        EstimatorOptions.from_json(options.to_json()),
        EstimatorOptions.from_toml(options.to_toml()),
    ):
        assert read.simulator.noise_model == model.to_dict(serializable=True)


def test_python_keeps_a_comment_of_what_has_no_literal() -> None:
    options = EstimatorOptions(execution={"run_options": {"memory": True, "lock": threading.Lock()}})
    options.simulator.noise_model = Model()
    assert options.to_python().splitlines()[3:] == [
        "options.execution.run_options = {'memory': True}",
        "# options.execution.run_options['lock'] = ...  (a lock: give your own)",
        "# options.simulator.noise_model = ...  (a Model: give your own)",
    ]
    assert run(options.to_python()) == EstimatorOptions(execution={"run_options": {"memory": True}})


# ------------------------------------------------------------------------------------------------ failures


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        ("from_json", '{\n"seed": }', r"^JSON: is not valid JSON: .*line 2 column 9"),
        ("from_json", "[1]", r"^options: must be a dict or EstimatorOptions, not \[1\]"),
        ("from_json", '{"seed": 1, "seed": 2}', r"^seed: is given twice; keep one of them"),
        ("from_json", '{"default_precision": NaN}', r"^options.default_precision: must be a finite number"),
        ("from_toml", "seed = 1\n= 2", r"^TOML: is not valid TOML: .*line 2, column 1"),
        ("from_toml", "seed = 1\nseed = 2", r"^TOML: is not valid TOML: .*line 2"),
        ("from_toml", "[resilience]\nzne = 3", r"^options.resilience.zne: must be a dict or ZneOptions"),
        ("from_toml", "sed = 1", r"^options.sed: unknown option; did you mean 'seed'\?"),
    ],
)
def test_bad_text(read: str, text: str, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        getattr(EstimatorOptions, read)(text)


def test_bad_text_lists_everything() -> None:
    with pytest.raises(OptionsError, match="3 problems"):
        EstimatorOptions.from_json('{"seed": -1, "twirling": {"groop": 1}, "calibration": 3}')


def test_bad_files(tmp_path: Any) -> None:
    options = EstimatorOptions(seed=1)
    for name in ("a.yaml", "json"):
        for use in (options.save, EstimatorOptions.load):
            with pytest.raises(
                OptionsError, match=f"{name}: has .*suffix.*; name a file that ends in .json or .toml"
            ):
                use(tmp_path / name)
    with pytest.raises(OptionsError, match=r"none\.json: cannot be read: No such file"):
        EstimatorOptions.load(tmp_path / "none.json")
    with pytest.raises(OptionsError, match=r"a\.toml: cannot be written: No such file"):
        options.save(tmp_path / "nowhere" / "a.toml")
    (tmp_path / "a.json").write_bytes(b'{"seed": "\xff"}')
    with pytest.raises(OptionsError, match=r"a\.json: cannot be read: it is not UTF-8"):
        EstimatorOptions.load(tmp_path / "a.json")
    (tmp_path / "b.toml").write_text("seed =")
    with pytest.raises(OptionsError, match=r"b\.toml: is not valid TOML: .*line 1"):
        EstimatorOptions.load(tmp_path / "b.toml")


def test_a_file_survives_options_that_cannot_be_written(tmp_path: Any) -> None:
    path = EstimatorOptions(seed=1).save(tmp_path / "options.json")
    with pytest.raises(OptionsError, match="cannot hold"):
        EstimatorOptions(execution={"run_options": {"lock": threading.Lock()}}).save(path)
    assert EstimatorOptions.load(path).seed == 1


@given(values=tree_dicts(EstimatorOptions), more=tree_dicts(EstimatorOptions))
@UNTIMED
def test_update_is_the_merged_dict(values: dict[str, Any], more: dict[str, Any]) -> None:
    options = EstimatorOptions(values)
    options.update(more)
    assert options == EstimatorOptions(merged(values, more))


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return `second` on top of `first`, dict by dict; a noise model's dict is one value."""
    out = first | second
    for name in first.keys() & second.keys():
        if name != "noise_model" and isinstance(first[name], dict) and isinstance(second[name], dict):
            out[name] = merged(first[name], second[name])
    return out
