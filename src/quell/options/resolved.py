"""The explicit values that runs read; no level, `None` or "auto" is left but where its meaning is said.

Only the two numbers of twirling, and those of readout learning, may still say "auto", because they follow
from the shots of each PUB: `twirling_shots` and `sampler_shots` resolve them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import frozen

from .groups import (
    Amplifier,
    Auto,
    LogLevel,
    MeasType,
    ModelSelection,
    SequenceType,
    ShotAllocation,
    Strategy,
    TwirlingGroup,
)


@frozen
class ResolvedTwirling:
    """What is twirled and how; "auto" is left to `twirling_shots` and `sampler_shots`."""

    gates: bool
    measure: bool
    num_randomizations: int | Auto
    shots_per_randomization: int | Auto
    strategy: Strategy
    group: TwirlingGroup

    @property
    def enabled(self) -> bool:
        """Whether anything is twirled."""
        return self.gates or self.measure

    @property
    def product(self) -> int | None:
        """Shots that both numbers fix together, None without twirling or while one of them is "auto"."""
        num, shots = self.num_randomizations, self.shots_per_randomization
        return num * shots if self.enabled and isinstance(num, int) and isinstance(shots, int) else None


@frozen
class ResolvedMeasureNoiseLearning:
    """How readout noise is learned; "auto" is the number that twirling uses.

    `total_shots` are the shots of all random members together; if given they fix the shots of each.
    """

    num_randomizations: int | Auto
    shots_per_randomization: int | Auto
    total_shots: int | Auto = "auto"


@frozen
class ResolvedDecoupling:
    """How idle qubits are decoupled; durations are (gate, qubits or None for all, seconds)."""

    sequence_type: SequenceType
    extra_slack_distribution: str
    scheduling_method: str
    skip_reset_qubits: bool
    instruction_durations: tuple[tuple[str, tuple[int, ...] | None, float], ...] | None


@frozen
class ResolvedPostSelection:
    """Which shots are kept.

    Attributes:
        registers: Classical registers of the circuit that are looked at; None for all of them.
        parity: Parity of all their bits together; None for either.
        predicate: Says which shots to keep; where it and the parity are None all bits must be 0.
    """

    registers: tuple[str, ...] | None
    parity: Literal["even", "odd"] | None
    predicate: Callable[[Mapping[str, Any]], Any] | None


@frozen
class ResolvedCorrection:
    """How readout errors of samples are corrected: shots of the calibration, and qubits calibrated together."""

    total_shots: int | Auto
    groups: tuple[tuple[int, ...], ...]


@frozen
class ResolvedZne:
    """How noise is amplified and extrapolated.

    Attributes:
        amplifier: What amplifies the noise.
        noise_factors: By how much.
        extrapolators: Names, or objects as in `quell.extrapolators`; the most trusted first.
        extrapolated_noise_factors: Where the models are evaluated besides.
        selection: Which of several models a term gets.
        guard: Whether a value is kept as measured where extrapolation is predicted to make it worse.
        shot_allocation: How the noise factors share the shots.
    """

    amplifier: Amplifier
    noise_factors: tuple[float, ...]
    extrapolators: tuple[Any, ...]
    extrapolated_noise_factors: tuple[float, ...]
    selection: ModelSelection
    guard: bool
    shot_allocation: ShotAllocation


@frozen
class ResolvedNoise:
    """How the learned noise of layers is cancelled or amplified.

    Attributes:
        cancels: Whether noise is cancelled (PEC); if not, it is only amplified (PEA).
        noise_gain: Share of the noise that is left, "auto" for as little as `max_overhead` allows.
        least_gain: What "auto" does not go below.
        max_overhead: Largest sampling overhead, gamma squared; None for no limit.
        light_cone: Whether each term is rid of the errors only that can change it.
        normalization: Whether signed values are multiplied by gamma or divided by the mean sign.
        allocation: Whether randomizations of either sign are as many as are expected.
        circuit_cost: What one more circuit costs, in shots.
        models: Noise of the layers as the user gave it; None if it is learned.
        learning: How it is learned.
    """

    cancels: bool
    noise_gain: float | Auto
    least_gain: float
    max_overhead: float | None
    light_cone: bool
    normalization: Literal["gamma", "signs"]
    allocation: Literal["stratified", "random"]
    circuit_cost: float
    models: Any
    learning: ResolvedLayerLearning


@frozen
class ResolvedLayerLearning:
    """How the noise of layers is learned: most layers (None for any number), and the size of the experiments."""

    max_layers_to_learn: int | None
    shots_per_randomization: int
    num_randomizations: int
    layer_pair_depths: tuple[int, ...]


@frozen
class ResolvedCalibration:
    """How calibrations are kept.

    Attributes:
        max_age: Oldest age in seconds; 0 for none.
        store: Store that they are taken from and kept in, or the path of its file; None for none.
        when_old: What happens where the store has older ones only.
    """

    max_age: float
    store: Any
    when_old: Literal["relearn", "warn", "refuse"]


@frozen
class ResolvedExecution:
    """How circuits are run.

    Attributes:
        run_options: Keyword arguments of ``backend.run``.
        seed_simulator: Seed of a simulator's shots; None if it follows from the seed of the run.
        coupling_map: Pairs of qubits that may share a gate on the simulated device; None for those of the backend.
        basis_gates: Gates of the simulated device; None for those of the backend.
    """

    run_options: Mapping[str, Any]
    seed_simulator: int | None
    coupling_map: tuple[tuple[int, int], ...] | None
    basis_gates: tuple[str, ...] | None


@frozen
class ResolvedEnvironment:
    """How a job is logged, marked and limited; no limit in seconds is `None`."""

    log_level: LogLevel
    job_tags: tuple[str, ...]
    max_execution_time: int | None


@frozen
class ResolvedEstimator:
    """Options of one estimator run; a seed of `None` asks for fresh randomness. What is `None` is off."""

    default_precision: float
    default_shots: int | None
    seed: int | None
    twirling: ResolvedTwirling
    measure_mitigation: bool
    measure_noise_learning: ResolvedMeasureNoiseLearning
    zne: ResolvedZne | None
    noise: ResolvedNoise | None
    decoupling: ResolvedDecoupling | None
    post_selection: ResolvedPostSelection | None
    calibration: ResolvedCalibration
    precision_target: str
    execution: ResolvedExecution
    environment: ResolvedEnvironment


@frozen
class ResolvedSampler:
    """Options of one sampler run; a seed of `None` asks for fresh randomness. What is `None` is off."""

    default_shots: int
    seed: int | None
    twirling: ResolvedTwirling
    correction: ResolvedCorrection | None
    decoupling: ResolvedDecoupling | None
    post_selection: ResolvedPostSelection | None
    calibration: ResolvedCalibration
    meas_type: MeasType
    execution: ResolvedExecution
    environment: ResolvedEnvironment
