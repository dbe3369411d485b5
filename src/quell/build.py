"""From options to stages. The order of the onion is decided here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from attrs import frozen

from .options.resolved import ResolvedEstimator, ResolvedSampler, ResolvedTwirling
from .stages.base import Stage
from .stages.measure import Measure
from .stages.merge import Merge
from .stages.trex import Trex
from .stages.twirl import Twirl

AnyStage = Stage[Any, Any, Any, Any]


@frozen
class Shots:
    """How the shots of one PUB are spent: randomizations, shots of each, and how many take one more."""

    num_randomizations: int
    shots_per_randomization: int
    extra: int = 0

    @classmethod
    def of(cls, split: Sequence[int]) -> Shots:
        """Return shots given one by one, the larger ones first."""
        return cls(len(split), split[-1], sum(s > split[-1] for s in split))


def _trex(options: ResolvedEstimator, shots: Shots) -> AnyStage | None:
    if not options.measure_mitigation:
        return None
    learning = options.measure_noise_learning
    num, per = learning.num_randomizations, learning.shots_per_randomization
    members = shots.num_randomizations if num == "auto" else num
    each = shots.shots_per_randomization if per == "auto" else per
    if learning.total_shots != "auto":
        members = min(members, learning.total_shots)
        each = -(-learning.total_shots // members)
    return Trex(
        num_randomizations=members,
        shots_per_randomization=each,
        balanced=options.twirling.group == "balanced_pauli",
    )


def _twirl(twirling: ResolvedTwirling, shots: Shots) -> AnyStage | None:
    if not (twirling.gates or twirling.measure):
        return None
    return Twirl(
        gates=twirling.gates,
        measure=twirling.measure,
        num_randomizations=shots.num_randomizations,
        shots_per_randomization=shots.shots_per_randomization,
        strategy=twirling.strategy,
        group=twirling.group,
    )


#: Stages of the estimator, outermost first.
ESTIMATOR_ORDER: Final[tuple[Callable[[ResolvedEstimator, Shots], AnyStage | None], ...]] = (
    _trex,  # rescales terms by what twirled readout does to them, so it sits outside the twirl
    # makes noise stochastic before anything is measured
    lambda options, shots: _twirl(options.twirling, shots),
    lambda options, shots: Measure(),  # the crossing: bits become expectation values once
)

#: Stages of the sampler, outermost first.
SAMPLER_ORDER: Final[tuple[Callable[[ResolvedSampler, Shots], AnyStage | None], ...]] = (
    lambda options, shots: _twirl(options.twirling, shots),
    lambda options, shots: Merge(shots.extra),  # the crossing: twirled samples are unflipped and merged
)


def estimator_stages(options: ResolvedEstimator, shots: Shots) -> tuple[AnyStage, ...]:
    """Return the stages of one PUB of the estimator, outermost first."""
    return tuple(stage for make in ESTIMATOR_ORDER if (stage := make(options, shots)) is not None)


def sampler_stages(options: ResolvedSampler, shots: Shots) -> tuple[AnyStage, ...]:
    """Return the stages of one PUB of the sampler, outermost first."""
    return tuple(stage for make in SAMPLER_ORDER if (stage := make(options, shots)) is not None)
