"""The groups of options, each for one technique or one side of running circuits.

Names and defaults are those of the client-side V2 runtime options. What only the server's options have is
marked (server), what quell adds is marked (ours); `option(..., home=...)` says the same to `runtime`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias, get_args

from . import checks
from .checks import boolean, choice, extrapolators, integer, integers, nonnegative, numbers, positive
from .group import Group, group, option, options

Auto: TypeAlias = Literal["auto"]
Strategy: TypeAlias = Literal["active", "active-accum", "active-circuit", "all"]
TwirlingGroup: TypeAlias = Literal["pauli", "balanced_pauli", "local_c1", "local_pauli"]
Amplifier: TypeAlias = Literal[
    "gate_folding", "gate_folding_front", "gate_folding_back", "pea", "global_folding"
]
Extrapolator: TypeAlias = Literal[
    "linear",
    "exponential",
    "double_exponential",
    "polynomial_degree_1",
    "polynomial_degree_2",
    "polynomial_degree_3",
    "polynomial_degree_4",
    "polynomial_degree_5",
    "polynomial_degree_6",
    "polynomial_degree_7",
    "fallback",
    "richardson",
]
SequenceType: TypeAlias = Literal["XX", "XpXm", "XY4", "staggered"]
ModelSelection: TypeAlias = Literal["order", "aic", "predicted_error"]
ShotAllocation: TypeAlias = Literal["neyman", "equal"]
LogLevel: TypeAlias = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
MeasType: TypeAlias = Literal["classified", "kerneled", "avg_kerneled"]


@options
class DynamicalDecouplingOptions(Group):
    """Refocus idle qubits with pulses that cancel each other."""

    path: ClassVar[str] = "options.dynamical_decoupling"

    enable: bool = option(False, boolean(), "Decouple idle qubits; no resilience level turns it on.")
    sequence_type: SequenceType = option(
        "XX",
        choice(*get_args(SequenceType)),
        "Pulses of a sequence: two X, X and its reverse, X Y X Y, or X at times that differ between coupled qubits "
        "which wait at the same time (staggered, ours).",
        ours=("staggered",),
    )
    extra_slack_distribution: Literal["middle", "edges"] = option(
        "middle", choice("middle", "edges"), "Where time goes that the pulses cannot be spread over evenly."
    )
    scheduling_method: Literal["alap", "asap"] = option(
        "alap", choice("alap", "asap"), "Schedule gates as late or as soon as possible."
    )
    skip_reset_qubits: bool = option(
        False, boolean(), "Leave a qubit alone while it is still in the state after its reset."
    )
    instruction_durations: tuple[tuple[str, tuple[int, ...], float], ...] | None = option(
        None,
        checks.durations,
        "Gate, qubits (none: all) and seconds, for devices that do not say how long their gates take (ours).",
        home="ours",
    )


@options
class TwirlingOptions(Group):
    """Randomise gates and measurements so that their noise becomes Pauli noise."""

    path: ClassVar[str] = "options.twirling"

    enable_gates: bool | None = option(
        None, boolean(None), "Twirl 2-qubit gates; None: as the resilience level says (sampler: False)."
    )
    enable_measure: bool | None = option(
        None, boolean(None), "Twirl measurements; None: as the resilience level says (sampler: False)."
    )
    num_randomizations: int | Auto = option(
        "auto",
        integer(1, "auto"),
        "Random members per circuit; auto: 32, up to 128 above 8192 shots, or one per shot below 32 shots.",
    )
    shots_per_randomization: int | Auto = option(
        "auto", integer(1, "auto"), "Shots per random member; auto: the requested shots over the members."
    )
    strategy: Strategy = option(
        "active-accum",
        choice(*get_args(Strategy), spelling=("_", "-")),
        "Qubits twirled in a layer: its own (active), those used until then (active-accum), those used in "
        "the circuit (active-circuit), or all (all). Underscores are accepted for hyphens.",
    )
    group: TwirlingGroup = option(
        "pauli",
        choice(*get_args(TwirlingGroup)),
        "The group that random gates are drawn from.",
        home="client",
    )


@options
class MeasureNoiseLearningOptions(Group):
    """Learn the readout noise that measurement mitigation divides out."""

    path: ClassVar[str] = "options.resilience.measure_noise_learning"

    num_randomizations: int | Auto = option(
        "auto", integer(1, "auto"), "Random members of the learning circuit; auto: as many as twirling uses."
    )
    shots_per_randomization: int | Auto = option(
        "auto",
        integer(1, "auto"),
        "Shots per random member; auto: as many as twirling uses (server).",
        home="server",
    )


@options
class ZneOptions(Group):
    """Extrapolate to zero noise from circuits whose noise is amplified."""

    path: ClassVar[str] = "options.resilience.zne"

    amplifier: Amplifier = option(
        "gate_folding",
        choice(*get_args(Amplifier)),
        "How noise is amplified: 2-qubit gates folded at random, from the front or the back; learned noise "
        "(pea); or the whole circuit folded (global_folding, ours).",
        ours=("global_folding",),
    )
    noise_factors: tuple[float, ...] | Auto = option(
        "auto",
        numbers(0, "auto", at_least=2),
        "Noise factors, at least 1; auto: (1, 3, 5), with pea (1, 1.5, 2). With pea and PEC they count "
        "what PEC leaves, and smaller ones are possible (ours).",
        ours=checks.Below(1),
    )
    extrapolator: Extrapolator | tuple[Extrapolator, ...] = option(
        ("exponential", "linear"),
        extrapolators(*get_args(Extrapolator)),
        "Model of value against noise, or several to choose from for each term, the most trusted first; richardson "
        "and objects with a fit method are ours.",
        ours=("richardson",),
    )
    extrapolated_noise_factors: tuple[float, ...] | Auto = option(
        "auto", numbers(0, "auto"), "Where models are evaluated besides; auto: at 0 and the noise factors."
    )
    selection: ModelSelection = option(
        "order",
        choice(*get_args(ModelSelection)),
        "Which of several models a term gets, of those that fit: the first, the one of least chi^2 + 2 p, or of least "
        "predicted error (ours).",
        home="ours",
    )
    guard: bool | None = option(
        None,
        boolean(None),
        "Keep the value without extrapolation where it is predicted to err less; None: as the resilience level says "
        "(ours).",
        home="ours",
    )
    shot_allocation: ShotAllocation = option(
        "neyman",
        choice(*get_args(ShotAllocation)),
        "How noise factors share the shots: by their weight in the extrapolated value, or equally, as they do where "
        "twirling.shots_per_randomization is set (ours).",
        home="ours",
    )


@options
class PecOptions(Group):
    """Cancel learned noise by its inverse, a quasi-probability."""

    path: ClassVar[str] = "options.resilience.pec"

    max_overhead: float | None = option(
        100.0, positive(None), "Largest sampling overhead, gamma squared; None: no limit."
    )
    noise_gain: float | Auto = option(
        "auto",
        nonnegative("auto"),
        "Share of the noise that is left: 0 cancels all of it; auto: as little as max_overhead allows, and with "
        "amplifier pea at least 0.5.",
    )
    light_cone: bool = option(
        True,
        boolean(),
        "Cancel for each term only the errors that can change it, instead of all errors (ours).",
        home="ours",
    )
    normalization: Literal["gamma", "signs"] = option(
        "gamma",
        choice("gamma", "signs"),
        "Multiply by gamma (unbiased), or divide by the mean of the signs that were drawn, whose error bars take some "
        "hundreds of randomizations (ours).",
        home="ours",
    )
    allocation: Literal["stratified", "random"] = option(
        "stratified",
        choice("stratified", "random"),
        "Draw as many randomizations of each sign as are expected, or leave their number to chance (ours).",
        home="ours",
    )
    circuit_cost: float | Auto = option(
        "auto",
        nonnegative("auto"),
        "What one more circuit costs, in shots: the shots of each randomization follow from it, also with pea; auto: "
        "100 for backends, 16 for samplers (ours).",
        home="ours",
    )


@options
class LayerNoiseLearningOptions(Group):
    """Learn the Pauli noise of the layers of 2-qubit gates."""

    path: ClassVar[str] = "options.resilience.layer_noise_learning"

    max_layers_to_learn: int | None = option(
        4, integer(1, None), "Most unique layers that are learned; None: all of them (server).", home="server"
    )
    shots_per_randomization: int = option(128, integer(1), "Shots per random member (server).", home="server")
    num_randomizations: int = option(
        32, integer(1), "Random members of each learning circuit (server).", home="server"
    )
    layer_pair_depths: tuple[int, ...] = option(
        (0, 1, 2, 4, 16, 32),
        integers(0, at_least=2),
        "How many pairs of the layer each learning circuit repeats (server).",
        home="server",
    )


@options
class ResilienceOptions(Group):
    """Mitigate errors in expectation values."""

    path: ClassVar[str] = "options.resilience"

    measure_mitigation: bool | None = option(
        None, boolean(None), "Mitigate readout errors (TREX); None: as the resilience level says."
    )
    measure_noise_learning: MeasureNoiseLearningOptions = group(MeasureNoiseLearningOptions)
    zne_mitigation: bool | None = option(
        None, boolean(None), "Extrapolate to zero noise; None: as the resilience level says."
    )
    zne: ZneOptions = group(ZneOptions)
    pec_mitigation: bool = option(False, boolean(), "Cancel errors probabilistically (PEC).")
    pec: PecOptions = group(PecOptions)
    layer_noise_learning: LayerNoiseLearningOptions = group(LayerNoiseLearningOptions)
    layer_noise_model: Any = option(
        None, checks.models, "Noise of the layers, where it is known; None: it is learned when needed."
    )


@options
class SamplerResilienceOptions(Group):
    """Mitigate errors in samples (ours; the V2 sampler has nothing of the kind)."""

    path: ClassVar[str] = "options.resilience"

    measure_mitigation: bool = option(
        False, boolean(), "Correct readout errors of the sampled distribution (M3) (ours).", home="ours"
    )


@options
class PostSelectionOptions(Group):
    """Keep only shots whose bits pass a test (ours)."""

    path: ClassVar[str] = "options.post_selection"

    enable: bool = option(False, boolean(), "Drop shots that fail a test (ours).", home="ours")
    registers: tuple[str, ...] | None = option(
        None,
        checks.names,
        "Classical registers of the circuit that are looked at; None: all of them (ours).",
        home="ours",
    )
    parity: Literal["even", "odd"] | None = option(
        None, choice("even", "odd", None), "Parity of all these bits together (ours).", home="ours"
    )
    predicate: Any = option(
        None,
        checks.predicate,
        "Function from a dict of arrays of bits (shots, size), one a register, to an array of which shots to keep "
        "(ours). Without parity and predicate all bits must be 0, as those of undisturbed spectators are.",
        home="ours",
    )


@options
class CalibrationOptions(Group):
    """Say how calibrations are learned and how long they are used (ours)."""

    path: ClassVar[str] = "options.calibration"

    max_age: float = option(
        1800.0,
        nonnegative(),
        "Seconds for which a calibration is used, by the jobs of a Session or Batch or from the store; "
        "0: never (ours).",
        home="ours",
    )
    shots: int | Auto = option(
        "auto",
        integer(1, "auto"),
        "Shots of a readout calibration; auto: as many as the data takes, for samples at least 1000 (ours).",
        home="ours",
    )
    store: Any = option(
        None,
        checks.store,
        "CalibrationStore, or path of its file, that calibrations are taken from and kept in; None: they are kept for "
        "the jobs of a Session or Batch only (ours).",
        home="ours",
    )
    when_old: Literal["relearn", "warn", "refuse"] = option(
        "relearn",
        choice("relearn", "warn", "refuse"),
        "What happens where the store has nothing younger than max_age: learn again, use it with a warning, or refuse "
        "to run (ours).",
        home="ours",
    )


@options
class SamplerCalibrationOptions(CalibrationOptions):
    """Say how calibrations are learned and how long they are used (ours)."""

    groups: tuple[tuple[int, ...], ...] | None = option(
        None,
        checks.groups,
        "Qubits whose readout is calibrated together; None: each alone (ours).",
        home="ours",
    )


@options
class ExecutionOptions(Group):
    """Say how circuits are run."""

    path: ClassVar[str] = "options.execution"

    init_qubits: bool = option(
        True, boolean(), "Reset qubits between shots; False is handed to backends that take it."
    )
    rep_delay: float | None = option(
        None, nonnegative(None), "Seconds between shots, handed to backends that take it."
    )
    scheduler_timing: bool = option(
        False, boolean(), "Return the timing of the service's scheduler.", home="client"
    )
    stretch_values: bool = option(
        False, boolean(), "Return the values that the service gave to stretches.", home="client"
    )
    run_options: dict[str, Any] = option(
        {}, checks.keywords, "Keyword arguments handed to `backend.run` unchanged (ours).", home="ours"
    )


@options
class EstimatorExecutionOptions(ExecutionOptions):
    """Say how circuits are run."""

    precision_target: Literal["shots", "mitigated"] = option(
        "shots",
        choice("shots", "mitigated"),
        "What a precision means: 1 / precision**2 shots, or the error bar after mitigation (ours).",
        home="ours",
    )


@options
class SamplerExecutionOptions(ExecutionOptions):
    """Say how circuits are run."""

    meas_type: MeasType = option(
        "classified", choice(*get_args(MeasType)), "Bits, or complex points per shot or averaged over shots."
    )


@options
class EnvironmentOptions(Group):
    """Say how a job is logged, marked and limited."""

    path: ClassVar[str] = "options.environment"

    log_level: LogLevel = option(
        "WARNING", choice(*get_args(LogLevel)), "Least level of what `job.logs()` returns."
    )
    job_tags: tuple[str, ...] = option((), checks.tags, "Tags of the job, also in the result's metadata.")
    private: bool = option(False, boolean(), "Let the service delete inputs and results.")
    image: str | None = option(None, checks.image, "Container image of the service.", home="client")
    max_execution_time: int | None = option(
        None, integer(1, None), "As the option of this name at the top, which wins.", home="client"
    )


@options
class SimulatorOptions(Group):
    """Say what a simulator simulates."""

    path: ClassVar[str] = "options.simulator"

    noise_model: Any = option(
        None, checks.anything, "Noise model of an Aer simulator, or its dict (server).", home="server"
    )
    coupling_map: tuple[tuple[int, int], ...] | None = option(
        None, checks.pairs, "Pairs of qubits that may share a gate; None: all (server).", home="server"
    )
    basis_gates: tuple[str, ...] | None = option(
        None,
        checks.strings(None),
        "Gates of the device it stands for; None: those of the simulator (server).",
        home="server",
    )
    seed_simulator: int | None = option(
        None, integer(0, None), "Seed of the simulator's shots; None: it follows from the seed."
    )
    layer_noise_model: Any = option(
        None, checks.models, "Noise of the layers, for the local mode of the vendor's client.", home="client"
    )
    angle_decimals: int = option(
        5, integer(0), "Rounding of angles in the local mode of the vendor's client.", home="client"
    )
    warn_absent: bool = option(
        True, boolean(), "Warn of layers without noise in the vendor's local mode.", home="client"
    )
