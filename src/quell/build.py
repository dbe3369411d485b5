"""From options to stages. The order of the onion is decided here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from attrs import asdict, frozen
from qiskit import QuantumCircuit
from qiskit.transpiler import Target

from .calibration.models import layer_models
from .circuits.decoupling import Decoupling, decoupling_problems
from .circuits.twirling import BLOCK
from .errors import Problem
from .kernels.extrapolation import extrapolator
from .options.resolved import (
    ResolvedDecoupling,
    ResolvedEstimator,
    ResolvedPostSelection,
    ResolvedSampler,
    ResolvedTwirling,
)
from .options.shots import LEAST_CALIBRATION_SHOTS, NUM_RANDOMIZATIONS
from .stages.base import Stage
from .stages.decouple import Decouple
from .stages.m3 import M3
from .stages.measure import Measure
from .stages.merge import Merge
from .stages.pec import LayerLearning, Pec
from .stages.postselect import PostSelect
from .stages.trex import Trex
from .stages.twirl import Twirl
from .stages.zne import Zne

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


def build_zne(options: ResolvedEstimator, shots: Shots) -> Zne | None:
    """Return the stage that extrapolates, None if there is none."""
    zne, twirling = options.zne, options.twirling
    if zne is None:
        return None
    requested = shots.num_randomizations * shots.shots_per_randomization
    members = shots.num_randomizations if twirling.enabled else min(NUM_RANDOMIZATIONS, requested)
    return Zne(
        noise_factors=zne.noise_factors,
        extrapolators=tuple(extrapolator(e) if isinstance(e, str) else e for e in zne.extrapolators),
        amplifier=zne.amplifier,
        evaluated=zne.extrapolated_noise_factors,
        selection=zne.selection,
        guard=zne.guard,
        # Shots of a randomization that the user fixed are the same for all factors.
        neyman=zne.shot_allocation == "neyman" and not isinstance(twirling.shots_per_randomization, int),
        num_randomizations=members,
        shots_per_randomization=-(-requested // members),
    )


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
        per_basis=per == "auto" and learning.total_shots == "auto",
    )


def build_pec(options: ResolvedEstimator, shots: Shots) -> Pec | None:
    """Return the stage that cancels or amplifies learned noise, None if there is none."""
    noise, twirling = options.noise, options.twirling
    if noise is None:
        return None
    learning = noise.learning
    num, each = twirling.num_randomizations, twirling.shots_per_randomization
    return Pec(
        learning=LayerLearning(
            learning.layer_pair_depths,
            learning.num_randomizations,
            learning.shots_per_randomization,
            learning.max_layers_to_learn,
        ),
        models=None if noise.models is None else layer_models(noise.models),
        gain=noise.noise_gain,
        least_gain=noise.least_gain,
        max_overhead=noise.max_overhead,
        strategy=twirling.strategy,
        light_cone=noise.light_cone,
        normalization=noise.normalization,
        stratified=noise.allocation == "stratified",
        circuit_cost=noise.circuit_cost,
        num_randomizations=None if num == "auto" else num,
        shots_per_randomization=None if each == "auto" else each,
        block=BLOCK if twirling.group == "balanced_pauli" else 1,
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


def build_m3(options: ResolvedSampler, shots: Shots) -> M3 | None:
    """Return the stage that corrects the readout of samples, None if there is none."""
    correction, selection = options.correction, options.post_selection
    if correction is None:
        return None
    taken = shots.num_randomizations * shots.shots_per_randomization + shots.extra
    return M3(
        shots=max(taken, LEAST_CALIBRATION_SHOTS)
        if correction.total_shots == "auto"
        else correction.total_shots,
        groups=correction.groups,
        # They were looked at as they were read: shots that were read wrongly are gone, or were kept for it.
        excluded=selection.registers or () if selection is not None else (),
    )


def _post_selection(options: ResolvedPostSelection | None) -> AnyStage | None:
    return None if options is None else PostSelect(options.registers, options.parity, options.predicate)


#: Stages of the estimator, outermost first.
ESTIMATOR_ORDER: Final[tuple[Callable[[ResolvedEstimator, Shots], AnyStage | None], ...]] = (
    build_zne,  # fits what all other mitigation leaves, so every factor goes through all of it
    _trex,  # rescales terms by what twirled readout does to them, so it sits outside the twirl
    # the noise it acts on is that of twirled layers; it reduces the randomizations that twirls share with it, so TREX
    # rescales, and its error bar refers to, what is left after cancelling
    build_pec,
    # makes noise stochastic before anything is measured
    lambda options, shots: _twirl(options.twirling, shots),
    lambda options, shots: Measure(),  # the crossing: bits become expectation values once
    # bits decide which shots enter whatever is computed above; calibrations have no such bits
    lambda options, shots: _post_selection(options.post_selection),
)

#: Stages of the sampler, outermost first.
SAMPLER_ORDER: Final[tuple[Callable[[ResolvedSampler, Shots], AnyStage | None], ...]] = (
    build_m3,  # corrects what twirled and merged shots say together: one system for each PUB element
    lambda options, shots: _twirl(options.twirling, shots),
    # the crossing: twirled samples are unflipped and merged
    lambda options, shots: Merge(shots.extra, average=options.meas_type == "avg_kerneled"),
    # needs the flips of each randomization, so it is done before they are merged
    lambda options, shots: _post_selection(options.post_selection),
)


def lower_stages(options: ResolvedEstimator | ResolvedSampler, target: Target | None) -> tuple[AnyStage, ...]:
    """Return the stages below the crossing, which calibrations go through too."""
    decoupling: ResolvedDecoupling | None = options.decoupling
    if decoupling is None:
        return ()
    return (Decouple(**asdict(decoupling, recurse=False), target=target),)


def lower_problems(
    circuit: QuantumCircuit, options: ResolvedEstimator | ResolvedSampler, target: Target | None, path: str
) -> list[Problem]:
    """Return why a circuit cannot go through the stages below the crossing."""
    if options.decoupling is None:
        return []
    settings = Decoupling(**asdict(options.decoupling, recurse=False))
    return decoupling_problems(circuit, settings, target, f"{path}.circuit")


def estimator_stages(
    options: ResolvedEstimator, shots: Shots, lower: Sequence[AnyStage] = ()
) -> tuple[AnyStage, ...]:
    """Return the stages of one PUB of the estimator, outermost first."""
    return (*(stage for make in ESTIMATOR_ORDER if (stage := make(options, shots)) is not None), *lower)


def sampler_stages(
    options: ResolvedSampler, shots: Shots, lower: Sequence[AnyStage] = ()
) -> tuple[AnyStage, ...]:
    """Return the stages of one PUB of the sampler, outermost first."""
    return (*(stage for make in SAMPLER_ORDER if (stage := make(options, shots)) is not None), *lower)
