"""Translation beyond the documented pairs: errors, objects, levels, what only quell carries."""

import attrs
import pytest

from quell.errors import OptionsError
from quell.options import EstimatorOptions, SamplerOptions
from quell.options.legacy import (
    REASONS,
    SOURCES,
    LegacyOptionsWarning,
    TranslationError,
    accepted,
    translate,
)


def refused(*args, **kwargs):
    with pytest.raises(TranslationError) as caught:
        translate(*args, **kwargs)
    return caught.value


# ------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("legacy", "source", "path", "words"),
    [
        ({"num_randomizations": 3}, "auto", "num_randomizations", "could be twirling.num_randomizations"),
        (
            {"enable": True},
            "runtime-v2-early",
            "enable",
            "dynamical_decoupling.enable, twirling.enable_gates",
        ),
        ({"meas_level": 0}, "execute", "meas_level", "choose meas_level=1 (kerneled points) or 2 (bits)"),
        ({"meas_level": 3}, "backend.run", "meas_level", "must be 0, 1 or 2"),
        ({"meas_level": 1, "meas_return": "all"}, "backend.run", "meas_return", "'single' or 'avg'"),
        ({"shots": 10.5}, "backend.run", "shots", "must be a positive whole number, not 10.5"),
        ({"shots": True}, "backend.run", "shots", "not True"),
        ({"shots": 0}, "execute", "shots", "not 0"),
        (
            {"shots": 1, "execution.shots": 2},
            "v1",
            "execution.shots",
            "is 2, but shots is 1; give one of them",
        ),
        ({"rep_delay": -1}, "backend.run", "rep_delay", "must be a finite number >= 0 or None, not -1"),
        ({"resilience_level": 4}, "v1", "resilience_level", "must be 0, 1, 2 or 3"),
        ({"optimization_level": True}, "v1", "optimization_level", "must be 0, 1, 2 or 3, not True"),
        (
            {"resilience_level": 2, "resilience": {"extrapolator": "CubicExtrapolator"}},
            "v1",
            "resilience.extrapolator",
            "needs 4 noise factors, there are 3",
        ),
        (
            {"resilience_level": 2, "noise_amplifier": "Folding"},
            "run-kwargs",
            "noise_amplifier",
            "must be one of TwoQubitAmplifier",
        ),
        (
            {"resilience_level": 2, "noise_factors": [0.5, 3]},
            "run-kwargs",
            "noise_factors",
            "at least 2 numbers >= 1",
        ),
        (
            {"resilience": {"zne": {"noise_factors": [0.5, 3]}}},
            "v2",
            "resilience.zne.noise_factors",
            "at least 2 numbers >= 1",
        ),
        (
            {"resilience": {"pec_mitigation": True, "zne_mitigation": True}},
            "v2",
            "resilience.pec_mitigation",
            "set one of them to False",
        ),
        ({"measurement_error_mitigation_cls": "Fitter"}, "qi", "measurement_error_mitigation_cls", "choose"),
        ({1: 2}, "auto", "legacy", "not a string"),
        ({"execution": {"shots": 1}, "execution.shots": 2}, "v1", "execution.shots", "give it once"),
        ({"execution": 5}, "v1", "execution", "must be a dict, not 5"),
        ({"shots": 10**400}, "v1", "shots", "must be a positive whole number"),
    ],
)
def test_what_cannot_be_translated_is_named_with_its_choices(legacy, source, path, words):
    error = refused(legacy, source=source, primitive="sampler" if "meas_level" in legacy else "estimator")
    assert [problem.path for problem in error.problems] == [path]
    assert words in str(error)


def test_what_cancels_noise_is_not_of_v2():
    """Factors below 1 are options of today, in an older tree's words they never were."""
    today = {"shots": 5, "resilience": {"zne": {"noise_factors": [0.5, 1], "amplifier": "pea"}}}
    with pytest.warns(LegacyOptionsWarning):
        options = accepted(today, EstimatorOptions)
    assert options.resilience.zne.noise_factors == (0.5, 1.0)
    translation = translate(options)
    assert translation.options == options
    assert translation.v2 == {"default_shots": 5, "resilience": {"zne": {"amplifier": "pea"}}}


def test_all_problems_at_once_and_the_rest_is_kept():
    error = refused(
        {"shots": 100, "meas_level": 0, "rep_delay": "x", "memory": True},
        source="backend.run",
        primitive="sampler",
    )
    assert [problem.path for problem in error.problems] == ["meas_level", "rep_delay"]
    assert error.translation.v2["default_shots"] == 100
    assert error.translation.dropped == {"meas_level": "removed", "memory": "result_api"}
    assert isinstance(error, OptionsError)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"source": "QuantumInstanc"}, "did you mean 'QuantumInstance'?"),
        ({"primitive": "sample"}, "must be 'estimator' or 'sampler'"),
        ({"mode": "loose"}, "must be 'guide' or 'strict'"),
        ({"source": "v1", "version": "latest"}, "must look like '0.11'"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(OptionsError, match="^(?s:.*)" + words.replace("?", r"\?")):
        translate({"shots": 1}, **arguments)


def test_what_has_no_options_is_refused():
    with pytest.raises(OptionsError, match="legacy: a int has no options to translate"):
        translate(3)


def test_an_unknown_key_is_dropped_with_a_suggestion():
    translation = translate({"noise_factor": [1, 3], "shots": 10}, source="run-kwargs")
    assert translation.dropped == {"noise_factor": "unknown"}
    assert "did you mean 'noise_factors'?" in translation.notes[0]


# ----------------------------------------------------------------------------------------------- spellings


@pytest.mark.parametrize("source", ["runtime-v1.Options", "Options", "V1", "runtime-v1"])
@pytest.mark.parametrize(
    "legacy",
    [
        {"execution": {"shots": 10}, "environment": {"log_level": "INFO"}},
        {"execution.shots": 10, "environment.log_level": "INFO"},
        {"shots": 10, "log_level": "INFO"},
    ],
)
def test_nested_dotted_and_flat_keys_mean_the_same(legacy, source):
    assert translate(legacy, source=source).v2 == {"default_shots": 10, "environment": {"log_level": "INFO"}}


def test_the_version_does_not_decide_the_source():
    assert translate({"meas_level": 2}, version="0.20", primitive="sampler").source == "backend.run"
    assert translate({"shots": 1}, source="quantuminstance", version="0.46").v2 == {"default_shots": 1}


def test_values_are_as_v2_holds_them():
    numpy = pytest.importorskip("numpy")
    v2 = translate({"twirling": {"strategy": "active_accum", "num_randomizations": "32"}}, source="v2").v2
    assert v2 == {"twirling": {"strategy": "active-accum", "num_randomizations": 32}}
    factors = {"resilience_level": 2, "noise_factors": range(1, 6, 2)}
    assert translate(factors, source="v1").v2["resilience"]["zne"]["noise_factors"] == [1, 3, 5]
    seed = translate({"options": {"seed": numpy.int64(3)}}, source="qiskit.Sampler")
    assert seed.v2 == {"simulator": {"seed_simulator": 3}}
    period = {"measurement_error_mitigation_cls": "CompleteMeasFitter"}
    period["cals_matrix_refresh_period"] = numpy.int64(10)
    assert translate(period, source="qi", primitive="sampler").options.calibration.max_age == 600


def test_none_can_be_a_value():
    unlimited = {"resilience": {"pec_mitigation": True, "pec": {"max_overhead": None}}}
    translation = translate(unlimited, source="v2")
    assert translation.v2["resilience"]["pec"] == {"max_overhead": None}
    assert translation.options.resilience.pec.max_overhead is None


@pytest.mark.parametrize("level", [2, "2", 2.0])
@pytest.mark.parametrize("zne", [{}, {"zne_mitigation": None}])
def test_pec_at_level_2_switches_zne_off(level, zne):
    legacy = {"resilience_level": level, "resilience": {"pec_mitigation": True, **zne}}
    assert translate(legacy, source="v2").v2["resilience"] == {
        "pec_mitigation": True,
        "zne_mitigation": False,
    }


def test_what_a_primitive_has_no_option_for_is_dropped_or_stays_in_quell():
    readout = {"resilience": {"measure_mitigation": True}}
    translation = translate(readout, source="v2", primitive="sampler")
    assert (translation.v2, translation.dropped) == ({}, {"resilience.measure_mitigation": "no_equiv"})
    assert translation.options.resilience.measure_mitigation is True
    learning = {"resilience": {"layer_noise_learning": {"num_randomizations": 3}}, "seed_estimator": 4}
    translation = translate(learning, source="v2", primitive="sampler")
    assert set(translation.dropped.values()) == {"no_equiv", "removed"}
    assert "in quell only" not in " ".join(translation.notes)


def test_names_and_aliases_are_unique():
    names = [name.lower() for source in SOURCES for name in (source.name, *source.aliases)]
    assert len(set(names)) == len(names)


def test_every_row_has_a_place_or_a_reason():
    for source in SOURCES:
        for key, row in source.table.items():
            assert row.to or row.reason, (source.name, key)
            assert row.reason is None or row.reason in REASONS


def test_aer_options_are_complete():
    aer = pytest.importorskip("qiskit_aer")
    known = next(s for s in SOURCES if s.name == "AerSimulator.run").table
    assert {name for name, _ in aer.AerSimulator._default_options().items()} <= set(known)


# --------------------------------------------------------------------------------------- levels and versions


def test_strict_level_2_is_zne_alone_and_guide_keeps_the_number():
    legacy = {"resilience_level": 2, "optimization_level": 3}
    guide, strict = (translate(legacy, source="v1", mode=mode) for mode in ("guide", "strict"))
    assert guide.v2 == {"resilience_level": 2}
    assert strict.v2["resilience_level"] == 0
    assert strict.v2["resilience"]["zne"]["extrapolator"] == "linear"
    assert strict.v2["dynamical_decoupling"] == {"enable": True}
    assert guide.dropped == strict.dropped == {"optimization_level": "transpile"}


def test_skip_transpilation_meant_no_decoupling():
    legacy = {"optimization_level": 3, "transpilation": {"skip_transpilation": True}}
    assert translate(legacy, source="v1", mode="strict").v2 == {}


@pytest.mark.parametrize(
    ("version", "level", "decoupled"),
    [("0.7", 0, False), ("0.8", 1, True), ("0.11", 1, True), ("0.20", 1, True), ("0.27", 1, True)],
)
def test_written_out_defaults_depend_on_the_version(version, level, decoupled):
    translation = translate({}, source="v1", expand_defaults=True, version=version)
    expected = {"default_shots": 4000, "resilience_level": level}
    if decoupled:
        expected["dynamical_decoupling"] = {"enable": True}
    assert translation.v2 == expected
    assert all(entry.implicit for entry in translation.entries)


def test_none_asks_for_the_default():
    given = translate({"resilience_level": None, "optimization_level": None}, source="v1")
    assert (given.v2, given.dropped) == ({}, {})
    expanded = translate({"shots": None}, source="QuantumInstance", expand_defaults=True)
    assert expanded.v2 == {"default_shots": 1024}
    exact = translate({"run_options": {"shots": None}}, source="aer.Sampler", expand_defaults=True)
    assert exact.dropped == {"run_options.shots": "no_equiv"}  # here None was a value of its own


def test_shifts_say_which_defaults_changed():
    assert "4000 shots" in translate({}, source="v1").shifts[0]
    assert not any("shots" in text for text in translate({"shots": 3}, source="v1").shifts)
    assert translate({}, source="v1", expand_defaults=True).shifts == ()
    assert any("decoupled" in text for text in translate({}, source="v1").shifts)
    assert not any("decoupled" in text for text in translate({"optimization_level": 0}, source="v1").shifts)
    assert any("level was 0" in text for text in translate({}, source="v1", version="0.7").shifts)
    assert any("fitted a line" in text for text in translate({"resilience_level": 2}, source="v1").shifts)


def test_written_out_defaults_of_level_2_are_those_of_its_zne():
    v2 = translate({"resilience_level": 2}, source="v1", expand_defaults=True).v2
    assert v2["resilience_level"] == 2
    assert v2["resilience"]["zne"] == {
        "noise_factors": [1, 3, 5],
        "extrapolator": "linear",
        "amplifier": "gate_folding",
    }


# ------------------------------------------------------------------------------- what only quell has, results


def test_quell_carries_what_v2_has_no_option_for():
    legacy = {
        "measurement_error_mitigation_cls": "TensoredMeasFitter",
        "cals_matrix_refresh_period": 30,
        "measurement_error_mitigation_shots": 512,
        "mit_pattern": [[0, 1], [2]],
    }
    translation = translate(legacy, source="QuantumInstance", primitive="sampler")
    assert translation.v2 == {}
    options = translation.options
    assert options.resilience.measure_mitigation is True
    assert (options.calibration.max_age, options.calibration.shots) == (1800, 512)
    assert options.calibration.groups == ((0, 1), (2,))
    assert all("in quell only" in note for note in translation.notes)
    # Terra ignored the shots of the calibration, and strict is what really ran.
    strict = translate(legacy, source="QuantumInstance", primitive="sampler", mode="strict")
    assert strict.options.calibration.shots == "auto"


def test_global_folding_and_the_servers_options_stay_in_quell():
    amplifier = {"resilience_level": 2, "resilience": {"noise_amplifier": "GlobalFoldingAmplifier"}}
    assert translate(amplifier, source="v1").options.resilience.zne.amplifier == "global_folding"
    server = translate(
        {"seed_estimator": 0, "simulator": {"noise_model": {}, "basis_gates": ["cx"]}}, source="v2-server"
    )
    assert server.v2 == {}
    assert server.options.seed_estimator == 0
    assert server.options.simulator.basis_gates == ("cx",)


def test_the_servers_pea_factors_are_written_out():
    legacy = {"resilience": {"zne_mitigation": True, "zne": {"amplifier": "pea"}}}
    assert translate(legacy, source="v2").v2["resilience"]["zne"]["noise_factors"] == [1, 1.5, 2]
    legacy["resilience"]["zne_mitigation"] = False
    assert "noise_factors" not in translate(legacy, source="v2").v2["resilience"]["zne"]


class Lines:
    def __repr__(self):
        return "one\n two"


LINES = Lines()


def test_to_dict_and_to_python():
    translation = translate({"shots": 64, "memory": True}, source="execute", primitive="sampler")
    plain = translation.to_dict()
    assert plain["options"] == plain["v2"] == {"default_shots": 64}
    assert (plain["run"], plain["dropped"]) == ({"shots": 64}, {"memory": "result_api"})
    scope = {}
    exec(translation.to_python(), scope)
    assert scope["options"] == SamplerOptions(default_shots=64)
    assert "# memory = True -> dropped (result_api)" in translation.to_python()
    several_lines = translate({"initial_layout": LINES, "b\nc": LINES}, source="execute").to_python()
    compile(several_lines, "options", "exec")


def test_the_legacy_dict_is_not_changed():
    legacy = {"execution": {"shots": 4}, "simulator": {"coupling_map": [[0, 1]]}}
    translation = translate(legacy, source="v1")
    translation.v2["simulator"]["coupling_map"].append([1, 2])
    assert legacy == {"execution": {"shots": 4}, "simulator": {"coupling_map": [[0, 1]]}}


# ------------------------------------------------------------------------------------------------- objects


@attrs.define
class Execution:
    shots: int = 4000
    init_qubits: bool = True


@attrs.define
class Options:
    resilience_level: int | None = None
    execution: Execution = attrs.field(factory=Execution)


def test_an_options_object_gives_what_differs_from_its_defaults():
    translation = translate(Options(execution=Execution(shots=7)))
    assert translation.v2 == {"default_shots": 7}


def test_options_objects_of_the_vendors_v1_are_known_by_their_groups():
    fields = {"resilience_level": attrs.field(default=None), "transpilation": attrs.field(default=None)}
    first = attrs.make_class("Options", fields)
    first.__module__ = "qiskit_ibm_runtime.options.options"
    translation = translate(first(resilience_level=3, transpilation={"skip_transpilation": True}))
    assert translation.source == "runtime-v1.Options"
    assert translation.options.resilience.pec_mitigation is True


def test_a_part_of_a_tree_is_refused():
    with pytest.raises(OptionsError, match="translate the whole tree"):
        translate(EstimatorOptions().resilience)


def test_options_of_today_stay_as_they_are():
    options = EstimatorOptions(seed=3, twirling={"enable_gates": True})
    assert translate(options).options == options
    sampler = SamplerOptions(resilience={"measure_mitigation": True})
    assert translate(sampler).options == sampler


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_live_aer_objects():
    aer = pytest.importorskip("qiskit_aer")
    pytest.importorskip("qiskit_aer.primitives")
    model = aer.noise.NoiseModel()
    estimator = aer.primitives.Estimator(
        backend_options={"method": "density_matrix", "noise_model": model, "seed_simulator": 1},
        run_options={"shots": 10, "seed": 3},
        transpile_options={"seed_transpiler": 1},
        approximation=True,
    )
    translation = translate(estimator)
    assert translation.source == "qiskit_aer.primitives-v1.Estimator"
    assert translation.options.simulator.noise_model is model
    assert translation.options.simulator.seed_simulator == 3  # the run's seed wins
    assert translation.dropped["backend_options.seed_simulator"] == "superseded"
    assert translation.dropped["transpile_options.seed_transpiler"] == "transpile"
    sampler = translate(aer.primitives.Sampler(run_options={"shots": 5}))
    assert sampler.options == SamplerOptions(default_shots=5)
    assert translate(model).options.simulator.noise_model is model
    assert translate(aer.AerSimulator(shots=12).options, source="aer.run").v2["default_shots"] == 12


def test_live_options_of_the_vendors_client():
    runtime = pytest.importorskip("qiskit_ibm_runtime")
    pytest.importorskip("qiskit_ibm_runtime.options_models")
    from qiskit_ibm_runtime.options_models import EstimatorOptions as ClientOptions

    client = ClientOptions()
    client.resilience.zne.noise_factors = [1, 3]
    client.environment.job_tags = ["a"]
    translation = translate(client)
    assert translation.v2 == {
        "resilience": {"zne": {"noise_factors": [1, 3]}},
        "environment": {"job_tags": ["a"]},
    }
    server = runtime.options.EstimatorOptions()
    server.seed_estimator = 3
    assert translate(server).dropped == {"seed_estimator": "removed"}
    learner = runtime.options.NoiseLearnerOptions(max_layers_to_learn=3, num_randomizations=20)
    options = translate(learner).options
    assert options.resilience.layer_noise_learning.num_randomizations == 20
    assert options.resilience.layer_noise_learning.max_layers_to_learn == 3


# ------------------------------------------------------------------------------- options dicts of both kinds


def test_options_of_today_pass_without_a_warning(recwarn):
    assert accepted({"default_shots": 10}, EstimatorOptions) == EstimatorOptions(default_shots=10)
    assert accepted(None, SamplerOptions) == SamplerOptions()
    assert not recwarn.list


def test_legacy_keys_are_translated_with_one_warning_that_shows_the_new_spelling():
    given = {"shots": 100, "twirling": {"enable_gates": True}, "optimization_level": 3, "seed": 4}
    with pytest.warns(LegacyOptionsWarning) as caught:
        options = accepted(given, EstimatorOptions, base=EstimatorOptions(default_precision=0.1))
    assert options == EstimatorOptions(
        default_shots=100, default_precision=0.1, seed=4, twirling={"enable_gates": True}
    )
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "shots = 100 -> default_shots = 100" in message
    assert "optimization_level = 3 -> dropped (transpile)" in message
    assert "options={'default_shots': 100" in message
    assert "seed = 4" not in message


def test_a_legacy_value_that_is_the_default_of_today_wins_over_the_base():
    with pytest.warns(LegacyOptionsWarning, match="options={'default_shots': 4096}"):
        options = accepted(
            {"shots": 4096, "memory": True}, SamplerOptions, base=SamplerOptions(default_shots=9)
        )
    assert options.default_shots == 4096


def test_a_misspelt_option_beside_legacy_ones_is_still_refused():
    with pytest.raises(OptionsError, match="did you mean 'twirling'"):
        accepted({"shots": 100, "twirlin": {}}, EstimatorOptions)


def test_levels_of_today_tell_old_keys_what_they_meant():
    with pytest.warns(LegacyOptionsWarning):
        options = accepted({"resilience_level": 2, "noise_factors": [1, 3, 5]}, EstimatorOptions)
    assert options.resilience.zne.noise_factors == (1, 3, 5)
    assert options.resilience.zne_mitigation is True


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("shots", "is options.default_shots now"),
        ("optimization_level", "generate_preset_pass_manager"),
        ("skip_transpilation", "never transpile"),
        ("execution.shots", "options.default_shots now"),
        ("resilience.extrapolator", "did you mean options.resilience.zne.extrapolator?"),
        ("noise_model", "did you mean options.simulator.noise_model?"),
        ("max_job_retries", "job.result(timeout=...)"),
    ],
)
def test_a_name_of_before_is_refused_with_what_it_is_now(path, words):
    *groups, name = path.split(".")
    group = EstimatorOptions()
    for part in groups:
        group = getattr(group, part)
    with pytest.raises(OptionsError) as caught:
        setattr(group, name, 1)
    assert words in str(caught.value)
