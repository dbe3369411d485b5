"""Levels, rules between options, and how shots are spread over random members."""

import pickle
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import UNTIMED

from quell.errors import OptionsError
from quell.options import (
    EstimatorOptions,
    ResolvedDecoupling,
    ResolvedMeasureNoiseLearning,
    ResolvedPostSelection,
    ResolvedSampler,
    ResolvedTwirling,
    ResolvedZne,
    SamplerOptions,
    finalize,
    sampler_shots,
    twirling_shots,
)
from quell.options.resolved import (
    ResolvedCalibration,
    ResolvedCorrection,
    ResolvedLayerLearning,
    ResolvedNoise,
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
    assert resolved.execution.run_options == {"memory": True}


def test_all_values_of_execution_arrive() -> None:
    options = SamplerOptions(
        default_shots=None,
        max_execution_time=7,
        execution={"init_qubits": False, "rep_delay": 1e-4, "run_options": {"memory": True}},
        simulator={
            "noise_model": "a model",
            "seed_simulator": 0,
            "coupling_map": [[0, 1]],
            "basis_gates": ["x"],
        },
        environment={"log_level": "INFO", "job_tags": ["a"], "max_execution_time": 9},
    )
    resolved = finalize(options)
    assert attrs.asdict(resolved.execution) == {
        "run_options": {"memory": True, "init_qubits": False, "rep_delay": 1e-4, "noise_model": "a model"},
        "seed_simulator": 0,
        "coupling_map": ((0, 1),),
        "basis_gates": ("x",),
    }
    assert attrs.asdict(resolved.environment) == {
        "log_level": "INFO",
        "job_tags": ("a",),
        "max_execution_time": 7,
    }
    assert options.execution.run_options == {"memory": True}
    assert finalize(
        EstimatorOptions(seed_estimator=3, calibration={"max_age": 0, "shots": 9})
    ) == attrs.evolve(
        finalize(EstimatorOptions()),
        seed=3,
        calibration=ResolvedCalibration(0.0, None, "relearn"),
        measure_noise_learning=ResolvedMeasureNoiseLearning("auto", "auto", 9),
    )


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


# -------------------------------------------------------------------------------------------------- rules


class Circuit:
    def __init__(self, dynamic: bool = False) -> None:
        self.dynamic = dynamic

    def has_control_flow_op(self) -> bool:
        return self.dynamic


class Pub:
    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit


class Backend:
    name = "device"
    target = object()

    def __init__(self, *options: str, limits: Any = None) -> None:
        self.options = dict.fromkeys(options)
        self.rep_delay_range = limits

    def run(self) -> None: ...


class OtherMode:
    """A sampler, for instance: nothing can be asked."""


def problems(options: Any, pubs: Any = (), backend: Any = None) -> dict[str, str]:
    """Return the messages of what is wrong by path, having checked that the options stay as they are."""
    before = options.copy()
    with pytest.raises(OptionsError) as caught:
        finalize(options, pubs, backend)
    assert options == before
    assert all(problem.fix for problem in caught.value.problems)
    return {problem.path: str(problem) for problem in caught.value.problems}


@pytest.mark.parametrize("kind", [EstimatorOptions, SamplerOptions])
def test_options_of_the_vendors_service_are_refused(kind: Any) -> None:
    options = kind(
        execution={"scheduler_timing": True, "stretch_values": True},
        environment={"private": True, "image": "a:b"},
        simulator={"layer_noise_model": [1], "angle_decimals": 3, "warn_absent": False},
        experimental={"a": 1},
    )
    found = problems(options)
    assert list(found) == [
        "options.execution.scheduler_timing",
        "options.execution.stretch_values",
        "options.environment.private",
        "options.environment.image",
        "options.simulator.layer_noise_model",
        "options.simulator.angle_decimals",
        "options.simulator.warn_absent",
        "options.experimental",
    ]
    assert all(message.endswith("; remove it") for message in found.values())
    assert finalize(kind(environment={"private": False}, experimental={})) == finalize(kind())


ON = {"pec_mitigation": True}
PEA = {"zne_mitigation": True, "zne": {"amplifier": "pea"}}


@pytest.mark.parametrize(
    ("resilience", "path", "message"),
    [
        (
            {"zne_mitigation": True, "zne": {"noise_factors": (0.5, 1, 2)}},
            "resilience.zne.noise_factors",
            "(0.5, 1, 2) has entries below 1, which take the cancelling of learned noise; set pec_mitigation to True "
            "and zne.amplifier to 'pea', or choose factors of 1 and more",
        ),
        (
            {**PEA, "zne": {"amplifier": "pea", "noise_factors": (0.5, 1, 2)}},
            "resilience.zne.noise_factors",
            "(0.5, 1, 2) has entries below 1, which take the cancelling of learned noise",
        ),
        (
            {
                **ON,
                "zne_mitigation": True,
                "zne": {"amplifier": "global_folding", "noise_factors": (0.5, 1, 3)},
            },
            "resilience.zne.noise_factors",
            "(0.5, 1, 3) has entries below 1, which take the cancelling of learned noise",
        ),
        (
            {**ON, "pec": {"noise_gain": 1.5}},
            "resilience.pec.noise_gain",
            "is 1.5, more than the noise there is; choose at most 1; to amplify noise use zne_mitigation with "
            "amplifier 'pea'",
        ),
        (
            {**ON, "pec": {"max_overhead": 0.5}},
            "resilience.pec.max_overhead",
            "is 0.5, but cancelling nothing has an overhead of 1 already; choose more than 1, or None for no limit",
        ),
        (
            {**ON, "zne_mitigation": True, "zne": {"noise_factors": (1, 2, 3.5)}},
            "resilience.zne.noise_factors",
            "(1, 2, 3.5) has entries that are not odd, for which each randomization folds gates of its own; with PEC "
            "choose odd factors, or amplifier 'pea'",
        ),
    ],
)
def test_what_learned_noise_cannot_do(resilience: Any, path: str, message: str) -> None:
    options = EstimatorOptions(resilience=resilience)
    found = problems(options)
    assert list(found) == [f"options.{path}"]
    assert found[f"options.{path}"].startswith(f"options.{path}: {message}")
    options.resilience.pec_mitigation = options.resilience.zne_mitigation = False
    finalize(options)  # what is not used is not in the way


@pytest.mark.parametrize(
    ("resilience", "name"),
    [
        (ON, "resilience.pec_mitigation = True"),
        (PEA, "resilience.zne.amplifier = 'pea'"),
        ({**ON, **PEA}, "resilience.pec_mitigation = True"),
    ],
)
def test_learned_noise_is_that_of_pauli_twirls(resilience: Any, name: str) -> None:
    options = EstimatorOptions(resilience=resilience, twirling={"group": "local_c1"})
    assert problems(options) == {
        "options.twirling.group": f"options.twirling.group: is 'local_c1', but {name} acts on noise that is twirled "
        "over Paulis; set it to 'pauli'"
    }
    options.twirling.group = "balanced_pauli"
    finalize(options)


@pytest.mark.parametrize(
    ("resilience", "name"),
    [
        (ON, "resilience.pec_mitigation = True"),
        (PEA, "resilience.zne.amplifier = 'pea'"),
        ({**ON, **PEA}, "resilience.pec_mitigation = True"),
    ],
)
def test_inserted_errors_do_not_go_with_selecting_shots(resilience: Any, name: str) -> None:
    selected: Any = {"enable": True, "parity": "even"}
    options = EstimatorOptions(resilience=resilience, post_selection=selected)
    assert problems(options) == {
        "options.post_selection.enable": f"options.post_selection.enable: is True, but {name} inserts errors, which "
        "change what is kept, and that is not corrected; set it to False, or act on noise by folding"
    }
    options.resilience.pec_mitigation = False
    options.resilience.zne.amplifier = "gate_folding"
    finalize(options)


@pytest.mark.parametrize(
    ("gain", "factors", "path"),
    [
        (0, None, "pec.noise_gain"),
        (0.5, (0, 0.5, 1), "zne.noise_factors"),
        ("auto", (0, 1), "zne.noise_factors"),
        (0, (0, 1), "pec.noise_gain"),
    ],
)
def test_where_no_noise_is_left_there_is_nothing_to_extrapolate(gain: Any, factors: Any, path: str) -> None:
    zne = {"amplifier": "pea", "extrapolator": "linear"} | ({"noise_factors": factors} if factors else {})
    options = EstimatorOptions(
        resilience={**ON, "zne_mitigation": True, "zne": zne, "pec": {"noise_gain": gain}}
    )
    full = f"options.resilience.{path}"
    assert problems(options) == {
        full: f"{full}: leaves no noise, so there is nothing to extrapolate; choose more than 0, or set "
        "zne_mitigation to False"
    }
    options.resilience.zne_mitigation = False
    finalize(options)


def test_everything_wrong_with_learned_noise_is_said_at_once() -> None:
    options = EstimatorOptions(
        resilience={**ON, "pec": {"noise_gain": 2, "max_overhead": 0.1}},
        twirling={"group": "local_c1"},
        post_selection={"enable": True, "parity": "odd"},
    )
    assert list(problems(options)) == [
        "options.twirling.group",
        "options.post_selection.enable",
        "options.resilience.pec.noise_gain",
        "options.resilience.pec.max_overhead",
    ]


@pytest.mark.parametrize(
    "resilience",
    [
        {**ON, "pec": {"noise_gain": 1, "max_overhead": 1}},
        {**ON, "pec": {"max_overhead": None}},
        {**ON, "zne_mitigation": True, "zne": {"noise_factors": (1, 3, 5)}},
        {**ON, "zne_mitigation": True, "zne": {"amplifier": "global_folding", "noise_factors": (1, 2, 3)}},
        {
            **ON,
            "zne_mitigation": True,
            "zne": {"amplifier": "gate_folding_front", "noise_factors": (1, 2, 3)},
        },
        {**ON, "zne_mitigation": True, "zne": {"amplifier": "pea", "noise_factors": (0.2, 0.5, 1.2)}},
        {"zne": {"noise_factors": (0, 0.5)}},
    ],
)
def test_what_learned_noise_can_do(resilience: Any) -> None:
    finalize(EstimatorOptions(resilience=resilience))


LEARNING = ResolvedLayerLearning(4, 128, 32, (0, 1, 2, 4, 16, 32))
CANCELLED = ResolvedNoise(
    cancels=True,
    noise_gain="auto",
    least_gain=0.0,
    max_overhead=100.0,
    light_cone=True,
    normalization="gamma",
    allocation="stratified",
    circuit_cost=16.0,
    models=None,
    learning=LEARNING,
)


def test_the_noise_that_is_learned() -> None:
    """PEC limits the overhead; PEA leaves the noise as it is; together they leave noise to extrapolate."""
    assert finalize(EstimatorOptions(resilience_level=2)).noise is None
    assert finalize(EstimatorOptions(resilience={"zne": {"amplifier": "pea"}})).noise is None
    assert finalize(EstimatorOptions(resilience=ON)).noise == CANCELLED
    assert finalize(EstimatorOptions(resilience={**ON, "zne_mitigation": True})).noise == CANCELLED
    amplified = attrs.evolve(CANCELLED, cancels=False, noise_gain=1.0, least_gain=0.5, max_overhead=None)
    assert finalize(EstimatorOptions(resilience=PEA)).noise == amplified
    ignored = {"pec": {"noise_gain": 0.25, "max_overhead": 7}}
    assert finalize(EstimatorOptions(resilience={**PEA, **ignored})).noise == amplified
    both = finalize(EstimatorOptions(resilience={**ON, **PEA}))
    assert both.noise == attrs.evolve(CANCELLED, least_gain=0.5)
    assert both.zne is not None
    assert both.zne.noise_factors == (1.0, 1.5, 2.0)


def test_all_values_of_learned_noise_arrive() -> None:
    options = EstimatorOptions(
        resilience={
            "pec_mitigation": True,
            "pec": {
                "max_overhead": 9,
                "noise_gain": 0.25,
                "light_cone": False,
                "normalization": "signs",
                "allocation": "random",
                "circuit_cost": 3,
            },
            "layer_noise_learning": {
                "max_layers_to_learn": None,
                "shots_per_randomization": 2,
                "num_randomizations": 3,
                "layer_pair_depths": (0, 5),
            },
            "layer_noise_model": [1, 2],
        }
    )
    noise = finalize(options).noise
    learning = ResolvedLayerLearning(None, 2, 3, (0, 5))
    assert noise == ResolvedNoise(True, 0.25, 0.0, 9.0, False, "signs", "random", 3.0, [1, 2], learning)
    assert pickle.loads(pickle.dumps(noise)) == noise


def test_a_circuit_costs_more_on_a_backend() -> None:
    def cost(mode: Any, **pec: Any) -> float:
        resolved = finalize(EstimatorOptions(resilience={**ON, "pec": pec}), (), mode)
        assert resolved.noise is not None
        return resolved.noise.circuit_cost

    assert cost(Backend()) == 100.0
    assert cost(OtherMode()) == cost(None) == 16.0
    assert cost(Backend(), circuit_cost=0) == cost(None, circuit_cost=0) == 0.0


@pytest.mark.parametrize("kind", [EstimatorOptions, SamplerOptions])
def test_how_calibrations_are_kept(kind: Any) -> None:
    assert finalize(kind()).calibration == ResolvedCalibration(1800.0, None, "relearn")
    options = kind(calibration={"max_age": 5, "store": "some.db", "when_old": "refuse"})
    assert finalize(options).calibration == ResolvedCalibration(5.0, "some.db", "refuse")


def test_readout_correction_of_samples() -> None:
    options = SamplerOptions(calibration={"groups": [[3, 1]], "shots": 500})
    assert finalize(options).correction is None
    options.resilience.measure_mitigation = True
    assert finalize(options).correction == ResolvedCorrection(500, ((3, 1),))
    assert not finalize(options).twirling.measure  # unlike TREX, M3 needs no twirling
    options.calibration.groups = [list(range(9)), [9]]
    assert problems(options)["options.calibration.groups"].endswith(
        "has a group of 9 qubits, whose 512 states would be prepared one by one; use groups of at most 8"
    )
    options.calibration.groups = [[0, 9]]
    small, large = Circuit(), Circuit()
    small.num_qubits, large.num_qubits = 3, 10
    with pytest.raises(OptionsError, match="names qubit 9, but the circuits have at most 3 qubits"):
        finalize(options, [small])
    finalize(options, [large, small])


@pytest.mark.parametrize(
    ("meas_type", "keywords"),
    [
        ("classified", {}),
        ("kerneled", {"meas_level": 1, "meas_return": "single"}),
        ("avg_kerneled", {"meas_level": 1, "meas_return": "avg"}),
    ],
)
def test_the_measurement_type_is_what_run_is_told(meas_type: str, keywords: dict[str, Any]) -> None:
    options = SamplerOptions(execution={"meas_type": meas_type, "run_options": {"memory": True}})
    resolved = finalize(options)
    assert resolved.meas_type == meas_type
    assert resolved.execution.run_options == {"memory": True, **keywords}


def test_points_are_no_bits() -> None:
    options = SamplerOptions(
        execution={"meas_type": "kerneled", "run_options": {"meas_return": "avg"}},
        twirling={"enable_measure": True},
    )
    found = problems(options)
    assert found == {
        "options.execution.meas_type": "options.execution.meas_type: is 'kerneled', but execution.run_options "
        "has meas_return too; set one of them",
        "options.twirling.enable_measure": "options.twirling.enable_measure: is True, which flips bits, but "
        "execution.meas_type is 'kerneled'; set it to False, or meas_type to 'classified'",
    }
    behind: Any = {"execution": {"run_options": {"meas_level": 0}}}
    assert problems(SamplerOptions(behind)) == {
        "options.execution.run_options": "options.execution.run_options: has meas_level = 0, but bits are what is "
        "read; set execution.meas_type to 'kerneled' or 'avg_kerneled'"
    }
    assert list(problems(EstimatorOptions(behind))) == ["options.execution.run_options"]
    behind["execution"]["run_options"]["meas_level"] = 2
    assert finalize(SamplerOptions(behind)).execution.run_options == {"meas_level": 2}


def test_level_two_has_guarded_extrapolation() -> None:
    assert finalize(EstimatorOptions()).zne is None
    assert finalize(EstimatorOptions(resilience_level=2)).zne == ResolvedZne(
        amplifier="gate_folding",
        noise_factors=(1.0, 3.0, 5.0),
        extrapolators=("exponential", "linear"),
        extrapolated_noise_factors=(0.0, 1.0, 3.0, 5.0),
        selection="order",
        guard=True,
        shot_allocation="neyman",
    )
    options = EstimatorOptions(resilience={"zne_mitigation": True, "zne": {"extrapolator": "linear"}})
    zne = finalize(options).zne
    assert zne is not None
    assert (zne.guard, zne.extrapolators) == (False, ("linear",))


def test_decoupling_resolves_its_durations() -> None:
    assert finalize(SamplerOptions()).decoupling is None
    for kind in (EstimatorOptions, SamplerOptions):
        options = kind(dynamical_decoupling={"enable": True, "sequence_type": "staggered"})
        options.dynamical_decoupling.instruction_durations = [("x", None, 35, "ns"), ("cx", (0, 1), 4e-7)]
        assert finalize(options).decoupling == ResolvedDecoupling(
            sequence_type="staggered",
            extra_slack_distribution="middle",
            scheduling_method="alap",
            skip_reset_qubits=False,
            instruction_durations=(("x", None, pytest.approx(3.5e-8)), ("cx", (0, 1), 4e-7)),
        )


class Register:
    def __init__(self, name: str) -> None:
        self.name = name


class WithBits(Circuit):
    def __init__(self, *registers: str) -> None:
        super().__init__()
        self.cregs = [Register(name) for name in registers]


def first_bit(bits: Any) -> Any:
    return bits["c"][:, 0]


@pytest.mark.parametrize("kind", [EstimatorOptions, SamplerOptions])
def test_post_selection_resolves(kind: Any) -> None:
    assert finalize(kind()).post_selection is None
    assert finalize(kind(post_selection={"registers": "c", "parity": "odd"})).post_selection is None
    options = kind(post_selection={"enable": True, "registers": "c", "parity": "odd", "predicate": first_bit})
    resolved = finalize(options, [WithBits("a", "c"), Circuit()])
    assert resolved.post_selection == ResolvedPostSelection(("c",), "odd", first_bit)
    assert pickle.loads(pickle.dumps(resolved)) == resolved


@pytest.mark.parametrize("kind", [EstimatorOptions, SamplerOptions])
@pytest.mark.parametrize(
    ("values", "registers", "rule"),
    [
        ({}, ["c"], "is None, and neither parity nor predicate says which shots to keep; name the register"),
        ({"registers": []}, ["c"], "must name different registers, at least one (got ())"),
        ({"registers": ["c", "c"]}, ["c"], "must name different registers, at least one (got ('c', 'c'))"),
        (
            {"registers": ["c", "flag", "b"]},
            ["c", "a"],
            "names 'flag', 'b', but pubs[1] has 'c', 'a'; name registers that all circuits have, or split the run",
        ),
        ({"registers": ["c"]}, [], "names 'c', but pubs[1] has no registers"),
        ({"parity": "even"}, [], "is None, but the circuit of pubs[1] has no classical registers to look at"),
    ],
)
def test_post_selection_needs_bits_to_look_at(kind: Any, values: Any, registers: Any, rule: str) -> None:
    options = kind(post_selection={"enable": True, **values})
    pubs = [WithBits("c", "flag", "b"), WithBits(*registers)]
    found = problems(options, pubs)
    assert list(found) == ["options.post_selection.registers"]
    assert rule in found["options.post_selection.registers"]
    options.post_selection.enable = False
    finalize(options, pubs)


def test_bits_that_decide_are_not_corrected() -> None:
    options = SamplerOptions(
        resilience={"measure_mitigation": True}, post_selection={"enable": True, "parity": "even"}
    )
    assert (
        "measure_mitigation has no bits left to correct; name the registers that decide"
        in (problems(options)["options.post_selection.registers"])
    )
    options.post_selection.registers = "c"  # type: ignore[assignment]
    assert finalize(options).correction is not None
    finalize(EstimatorOptions(post_selection={"enable": True, "parity": "even"}))


@pytest.mark.parametrize(
    ("others", "rule"),
    [
        ({"default_shots": 100}, "but default_shots is set; remove default_shots"),
        (
            {"twirling": {"num_randomizations": 8, "shots_per_randomization": 8}},
            "but twirling.num_randomizations and twirling.shots_per_randomization fix them; leave one of them",
        ),
    ],
)
def test_a_mitigated_precision_decides_the_shots(others: Any, rule: str) -> None:
    options = EstimatorOptions(execution={"precision_target": "mitigated"}, **others)
    assert rule in problems(options)["options.execution.precision_target"]
    options.execution.precision_target = "shots"
    finalize(options)


def test_an_extrapolator_of_the_users_own_counts_its_parameters() -> None:
    class Own:
        name, num_parameters = "own", 4

        def fit(self) -> None: ...

    options = EstimatorOptions(
        resilience={"zne_mitigation": True, "zne": {"extrapolator": (Own(), "linear")}}
    )
    assert (
        "'own' needs 4 noise factors, there are 3"
        in (problems(options)["options.resilience.zne.extrapolator"])
    )
    options.resilience.zne.noise_factors = (1, 2, 3, 4)
    assert finalize(options).zne.extrapolators[0].name == "own"  # type: ignore[union-attr]


def test_level_two_without_zne_runs() -> None:
    resolved = finalize(EstimatorOptions(resilience_level=2, resilience={"zne_mitigation": False}))
    assert (resolved.twirling.gates, resolved.twirling.measure, resolved.measure_mitigation) == (
        True,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("resilience", "technique"),
    [
        ({"pec_mitigation": True}, "resilience.pec_mitigation = True"),
        ({"zne_mitigation": True, "zne": {"amplifier": "pea"}}, "resilience.zne.amplifier = 'pea'"),
    ],
)
def test_twirling_set_off_against_what_needs_it(resilience: Any, technique: str) -> None:
    options = EstimatorOptions(
        twirling={"enable_gates": False, "enable_measure": False}, resilience=resilience
    )
    found = problems(options)
    for kind, word in (("gates", "gate"), ("measure", "measurement")):
        message = found[f"options.twirling.enable_{kind}"]
        assert f"is False, but {technique} needs {word} twirling; set it to True or None, or set " in message


@pytest.mark.parametrize(
    ("zne", "path", "rule"),
    [
        (
            {"noise_factors": (1, 3, 1)},
            "noise_factors",
            "(1, 3, 1) has equal entries; give each noise factor once",
        ),
        (
            {"extrapolator": ("linear", "polynomial_degree_3")},
            "extrapolator",
            "'polynomial_degree_3' needs 4 noise factors, there are 3: (1, 3, 5); add noise factors",
        ),
        (
            {"noise_factors": (1, 1, 2, 2), "extrapolator": "double_exponential"},
            "extrapolator",
            "'double_exponential' needs 4 noise factors, there are 2: (1, 1, 2, 2)",
        ),
        ({"noise_factors": (1, 1), "extrapolator": "fallback"}, "noise_factors", "has equal entries"),
    ],
)
def test_noise_factors_must_do_for_every_extrapolator(zne: Any, path: str, rule: str) -> None:
    options = EstimatorOptions(resilience={"zne_mitigation": True, "zne": zne})
    assert rule in problems(options)[f"options.resilience.zne.{path}"]
    options.resilience.zne_mitigation = False
    finalize(options)


@pytest.mark.parametrize("wrap", [lambda c: c, Pub, lambda c: (c, []), lambda c: [c]])
def test_decoupling_and_control_flow(wrap: Any) -> None:
    options = EstimatorOptions(dynamical_decoupling={"enable": True})
    path = "options.dynamical_decoupling.enable"
    with pytest.raises(OptionsError) as caught:
        finalize(options, [wrap(Circuit()), wrap(Circuit(dynamic=True))])
    messages = [str(p) for p in caught.value.problems if p.path == path]
    assert [m for m in messages if "control flow" in m] == [
        f"{path}: cannot be True for pubs[1], whose circuit has control flow and so no fixed schedule; "
        "set it to False or split the run"
    ]
    finalize(EstimatorOptions(), [wrap(Circuit(dynamic=True))])


def test_known_noise_must_have_layers() -> None:
    options = EstimatorOptions(resilience={"pec_mitigation": True, "layer_noise_model": []})
    message = problems(options)["options.resilience.layer_noise_model"]
    assert message.endswith("has no layers; set it to None to learn the noise")
    finalize(EstimatorOptions(resilience={"layer_noise_model": []}))


def test_two_options_that_say_one_thing() -> None:
    options = EstimatorOptions(
        seed=1,
        seed_estimator=2,
        calibration={"shots": 100},
        resilience={"measure_noise_learning": {"shots_per_randomization": 7}},
    )
    assert problems(options) == {
        "options.calibration.shots": (
            "options.calibration.shots: is 100, and resilience.measure_noise_learning.shots_per_randomization "
            "is 7; both fix one number; set one of them"
        ),
        "options.seed_estimator": (
            "options.seed_estimator: is 2, but seed is 1; they are two names of one option: set one of them"
        ),
    }


RUN = {
    "execution": {"init_qubits": False, "rep_delay": 1e-3},
    "simulator": {"noise_model": 1, "seed_simulator": 0},
}
RUN_PATHS = [
    "options.execution.init_qubits",
    "options.execution.rep_delay",
    "options.simulator.noise_model",
    "options.simulator.seed_simulator",
]


@pytest.mark.parametrize("kind", [EstimatorOptions, SamplerOptions])
def test_run_needs_a_backend_that_takes_the_arguments(kind: Any) -> None:
    options = kind(RUN)
    finalize(options)
    finalize(options, (), Backend("init_qubits", "rep_delay", "noise_model", "seed_simulator"))
    found = problems(options, (), Backend("rep_delay"))
    assert list(found) == [path for path in RUN_PATHS if "rep_delay" not in path]
    assert found["options.simulator.noise_model"] == (
        "options.simulator.noise_model: is not among the options that device lists for run; remove it; "
        "to pass it anyway set execution.run_options = {'noise_model': ...}"
    )
    found = problems(options, (), OtherMode())
    assert list(found) == RUN_PATHS
    assert (
        "is an argument of backend.run, but the mode is a OtherMode; pass a BackendV2" in found[RUN_PATHS[0]]
    )


def test_arguments_given_twice() -> None:
    options = EstimatorOptions(RUN)
    options.execution.run_options = {"rep_delay": 2e-3, "seed_simulator": 0}
    assert problems(options) == {
        "options.execution.rep_delay": (
            "options.execution.rep_delay: is 0.001, but execution.run_options has rep_delay = 0.002; "
            "set one of them"
        )
    }
    options.execution.rep_delay = 2e-3  # the same twice; and a backend that lists nothing is asked anyway
    paths = problems(options, (), Backend())
    assert list(paths) == ["options.execution.init_qubits", "options.simulator.noise_model"]


@pytest.mark.parametrize(("delay", "fine"), [(1e-3, True), (0.5, True), (0.6, False), (0, False)])
def test_the_delay_is_in_the_range_of_the_backend(delay: float, fine: bool) -> None:
    options = EstimatorOptions(execution={"rep_delay": delay})
    backend = Backend("rep_delay", limits=(1e-3, 0.5))
    if fine:
        finalize(options, (), backend)
    else:
        message = problems(options, (), backend)["options.execution.rep_delay"]
        assert message.endswith(f"is {delay:g} s, but device takes 0.001 to 0.5 s; choose a value between")


def test_only_simulators_stand_for_a_device() -> None:
    options = EstimatorOptions(simulator={"coupling_map": [[0, 1]], "basis_gates": ["x"]})
    finalize(options)
    finalize(options, (), Backend("seed_simulator"))
    found = problems(options, (), Backend())
    assert list(found) == ["options.simulator.coupling_map", "options.simulator.basis_gates"]
    assert all("device is not a simulator; remove it" in message for message in found.values())


def test_real_backends_answer() -> None:
    aer = pytest.importorskip("qiskit_aer")
    options = EstimatorOptions(simulator={"noise_model": 1, "seed_simulator": 0, "basis_gates": ["x"]})
    assert finalize(options, (), aer.AerSimulator()).execution.run_options == {"noise_model": 1}
    options = EstimatorOptions(execution={"init_qubits": False, "rep_delay": 1e-3})
    assert list(problems(options, (), aer.AerSimulator())) == RUN_PATHS[:2]


def test_all_problems_of_all_rules_come_together() -> None:
    options = EstimatorOptions(
        resilience_level=2,
        seed=1,
        seed_estimator=2,
        twirling={"enable_measure": False},
        resilience={"measure_mitigation": True, "zne": {"extrapolator": "double_exponential"}},
        execution={"rep_delay": 1},
        experimental={"a": 1},
    )
    with pytest.raises(OptionsError) as caught:
        finalize(options, [Circuit()], Backend(limits=(0, 0.5)))
    assert str(caught.value).startswith("6 problems:\n  - options.experimental: ")
    assert [problem.path.removeprefix("options.") for problem in caught.value.problems] == [
        "experimental",
        "twirling.enable_measure",
        "resilience.zne.extrapolator",
        "seed_estimator",
        "execution.rep_delay",
        "execution.rep_delay",
    ]


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
        (10000, twirled(), (39, 257)),
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
@UNTIMED
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
        assert num == min(max(32, min(128, requested // 256)), requested)


@given(requested=st.none() | st.integers(1, 10**6), twirling=TWIRLINGS, default=st.integers(1, 10**6))
@UNTIMED
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
