"""The options trees of the estimator and the sampler.

Names and defaults are those of the V2 runtime options; what is ours says so in its description. Each tree has
only options that have an effect in this version; `later` lists the V2 options that are refused by name.
"""

# ruff: noqa: RUF009  (option and group make attrs fields, like attrs.field, which the rule knows)

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias, get_args

from attrs import define

from .checks import boolean, choice, integer, keywords, level, positive
from .group import Group, group, option

Auto: TypeAlias = Literal["auto"]
Strategy: TypeAlias = Literal["active", "active-accum", "active-circuit", "all"]
TwirlingGroup: TypeAlias = Literal["pauli", "balanced_pauli", "local_c1", "local_pauli"]


@define(init=False, repr=False)
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
        "auto", integer(1, "auto"), "Random members per circuit; auto: 32, or one per shot below 32 shots."
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
        "pauli", choice(*get_args(TwirlingGroup)), "The group that random gates are drawn from."
    )


@define(init=False, repr=False)
class MeasureNoiseLearningOptions(Group):
    """Learn the readout noise that measurement mitigation divides out."""

    path: ClassVar[str] = "options.resilience.measure_noise_learning"

    num_randomizations: int | Auto = option(
        "auto", integer(1, "auto"), "Random members of the learning circuit; auto: as many as twirling uses."
    )
    shots_per_randomization: int | Auto = option(
        "auto", integer(1, "auto"), "Shots per random member; auto: as many as twirling uses."
    )


@define(init=False, repr=False)
class ResilienceOptions(Group):
    """Mitigate errors in expectation values."""

    path: ClassVar[str] = "options.resilience"

    measure_mitigation: bool | None = option(
        None, boolean(None), "Mitigate readout errors (TREX); None: as the resilience level says."
    )
    measure_noise_learning: MeasureNoiseLearningOptions = group(MeasureNoiseLearningOptions)


@define(init=False, repr=False)
class ExecutionOptions(Group):
    """Say how circuits are run."""

    path: ClassVar[str] = "options.execution"

    run_options: dict[str, Any] = option(
        {}, keywords, "Keyword arguments handed to `backend.run` unchanged (ours)."
    )


@define(init=False, repr=False)
class EstimatorOptions(Group):
    """Options of the estimator."""

    default_precision: float = option(
        0.015625, positive(), "Target standard error where run() and PUB give none; 4096 shots."
    )
    default_shots: int | None = option(
        None, integer(1, None), "Shots where run() and PUB give no precision; wins over default_precision."
    )
    resilience_level: int = option(
        1, level, "Base set of mitigation: 0 none, 1 readout. Options that are set win over it."
    )
    seed: int | None = option(
        None, integer(0, None), "Seed of all randomisation; None: a new one per run (ours)."
    )
    twirling: TwirlingOptions = group(TwirlingOptions)
    resilience: ResilienceOptions = group(ResilienceOptions)
    execution: ExecutionOptions = group(ExecutionOptions)


@define(init=False, repr=False)
class SamplerOptions(Group):
    """Options of the sampler."""

    default_shots: int | None = option(
        4096, integer(1, None), "Shots where run() and PUB give none; None: 4096."
    )
    seed: int | None = option(
        None, integer(0, None), "Seed of all randomisation; None: a new one per run (ours)."
    )
    twirling: TwirlingOptions = group(TwirlingOptions)
    execution: ExecutionOptions = group(ExecutionOptions)
