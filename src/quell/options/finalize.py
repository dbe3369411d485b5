"""Resolve options once: levels and `None` become explicit values, and rules between options are checked.

Nothing downstream reads `EstimatorOptions` or `SamplerOptions`; it reads what `finalize` returns. Only the
two numbers of twirling may still say "auto" there, because they follow from the shots of each PUB:
`twirling_shots` and `sampler_shots` resolve them.

Precedence, for each option: what the user set, then what another set option needs, then the level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

from attrs import frozen

from ..errors import OptionsError, Problem
from .tree import Auto, EstimatorOptions, SamplerOptions, Strategy, TwirlingGroup, TwirlingOptions

#: Shots of a sampler whose `default_shots` is None.
DEFAULT_SHOTS = 4096

#: Random members of a circuit where the user leaves the number to us.
NUM_RANDOMIZATIONS = 32


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
    """How readout noise is learned; "auto" is the number that twirling uses."""

    num_randomizations: int | Auto
    shots_per_randomization: int | Auto


@frozen
class ResolvedEstimator:
    """Options of one estimator run; a seed of `None` asks for fresh randomness."""

    default_precision: float
    default_shots: int | None
    seed: int | None
    twirling: ResolvedTwirling
    measure_mitigation: bool
    measure_noise_learning: ResolvedMeasureNoiseLearning
    run_options: Mapping[str, Any]


@frozen
class ResolvedSampler:
    """Options of one sampler run; a seed of `None` asks for fresh randomness."""

    default_shots: int
    seed: int | None
    twirling: ResolvedTwirling
    run_options: Mapping[str, Any]


@frozen
class Level:
    """What a resilience level turns on where the user set nothing."""

    gates: bool
    measure: bool
    measure_mitigation: bool


LEVELS: Mapping[int, Level] = {
    0: Level(gates=False, measure=False, measure_mitigation=False),
    1: Level(gates=False, measure=True, measure_mitigation=True),
}


@overload
def finalize(options: EstimatorOptions) -> ResolvedEstimator: ...
@overload
def finalize(options: SamplerOptions) -> ResolvedSampler: ...
def finalize(options: EstimatorOptions | SamplerOptions) -> ResolvedEstimator | ResolvedSampler:
    """Return `options` with every level and `None` made explicit; `options` stays as it is.

    Measurement mitigation needs measurement twirling. Where mitigation is set, twirling that is not set
    follows. Where mitigation comes from the level and the user set `twirling.enable_measure = False`, the
    level gives way and nothing is mitigated.

    Args:
        options: The options; they are not changed.

    Raises:
        OptionsError: Listing all options that contradict each other.
    """
    if isinstance(options, SamplerOptions):
        return _sampler(options.copy())
    return _estimator(EstimatorOptions.of(options))


def _sampler(options: SamplerOptions) -> ResolvedSampler:
    twirling = options.twirling
    return ResolvedSampler(
        default_shots=DEFAULT_SHOTS if options.default_shots is None else options.default_shots,
        seed=options.seed,
        twirling=_twirling(
            twirling,
            gates=_first(twirling.enable_gates, False),
            measure=_first(twirling.enable_measure, False),
        ),
        run_options=options.execution.run_options,
    )


def _estimator(options: EstimatorOptions) -> ResolvedEstimator:
    level = LEVELS[options.resilience_level]
    twirling, resilience = options.twirling, options.resilience
    problems: list[Problem] = []

    if resilience.measure_mitigation is None:
        mitigation = level.measure_mitigation and twirling.enable_measure is not False
    else:
        mitigation = resilience.measure_mitigation
        if mitigation and twirling.enable_measure is False:
            rule = "is False, but resilience.measure_mitigation = True needs measurement twirling"
            fix = "set it to True or None, or set resilience.measure_mitigation to False"
            problems.append(Problem("options.twirling.enable_measure", rule, fix))

    OptionsError.check(problems)
    learning = resilience.measure_noise_learning
    return ResolvedEstimator(
        default_precision=options.default_precision,
        default_shots=options.default_shots,
        seed=options.seed,
        twirling=_twirling(
            twirling,
            gates=_first(twirling.enable_gates, level.gates),
            measure=_first(twirling.enable_measure, level.measure or mitigation),
        ),
        measure_mitigation=mitigation,
        measure_noise_learning=ResolvedMeasureNoiseLearning(
            learning.num_randomizations, learning.shots_per_randomization
        ),
        run_options=options.execution.run_options,
    )


def _twirling(options: TwirlingOptions, *, gates: bool, measure: bool) -> ResolvedTwirling:
    return ResolvedTwirling(
        gates=gates,
        measure=measure,
        num_randomizations=options.num_randomizations,
        shots_per_randomization=options.shots_per_randomization,
        strategy=options.strategy,
        group=options.group,
    )


def twirling_shots(requested: int, twirling: ResolvedTwirling, *, explicit: bool = False) -> tuple[int, int]:
    """Return how an estimator spreads shots over random members, rounding up.

    If both numbers are "auto" there are 32 members whenever there are 32 shots. The V2 runtime prefers at
    least 64 shots per member and so drops to two members at 100 shots; but the error bar is the spread
    *between* members, and with few members that spread has too few degrees of freedom to be trusted.

    Args:
        requested: Shots that the target precision asks for, at least 1.
        twirling: What is twirled and how.
        explicit: Whether run() or the PUB asked for them. If so they win over
            `num_randomizations * shots_per_randomization`, which otherwise wins over a default.

    Returns:
        `(num_randomizations, shots_per_randomization)`; `(1, requested)` without twirling.
    """
    if not twirling.enabled:
        return 1, requested
    if twirling.product is not None and not explicit:
        requested = twirling.product
    num, shots = twirling.num_randomizations, twirling.shots_per_randomization
    if isinstance(num, int):
        return num, _ceil_div(requested, num)
    if isinstance(shots, int):
        return _ceil_div(requested, shots), shots
    members = min(NUM_RANDOMIZATIONS, requested)
    return members, _ceil_div(requested, members)


def sampler_shots(
    requested: int | None, twirling: ResolvedTwirling, default_shots: int = DEFAULT_SHOTS
) -> tuple[int, ...]:
    """Return the shots of each random member of a sampler; their sum is exact.

    A sampler returns its shots, so their number is a promise: what cannot be split evenly is given to the
    first members, one shot each. There are never more members than shots.

    Args:
        requested: Shots of the PUB or of run(), at least 1; None if neither gave any. If given they win over
            `num_randomizations * shots_per_randomization`, which wins over `default_shots`.
        twirling: What is twirled and how.
        default_shots: Shots where nothing else says how many, as in `ResolvedSampler.default_shots`.

    Returns:
        Shots per member, differing by at most one; a single entry without twirling.
    """
    if requested is None:
        requested = twirling.product or default_shots
    num, _ = twirling_shots(requested, twirling, explicit=True)
    num = min(num, requested)
    share, rest = divmod(requested, num)
    return (share + 1,) * rest + (share,) * (num - rest)


def _first(explicit: bool | None, otherwise: bool) -> bool:
    return otherwise if explicit is None else explicit


def _ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
