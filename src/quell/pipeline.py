"""The driver: one recursion down, one batched call to the sampler, one recursion up.

A plan is plain data: a tree of stages and residues with programs at its leaves, and the experiments whose
outcome the tree asks for. It can be printed, pickled, costed before a shot is spent, and combined again
with other samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
from attrs import evolve

from .calibration.requirements import Requirement
from .circuits.samples import Samples
from .errors import CalibrationError, Problem
from .plans import Cost, Deferred, Experiment, Leaf, Learned, Node, Plan, cost, deferred, describe, leaves
from .stages.base import Stage

__all__ = [
    "Cost",
    "Deferred",
    "Experiment",
    "Leaf",
    "Learned",
    "Node",
    "Plan",
    "combine",
    "completed",
    "cost",
    "deferred",
    "describe",
    "expand",
    "learned",
    "leaves",
    "plan",
    "relearning",
]

Tasks: TypeAlias = Sequence[tuple[Sequence[Stage[Any, Any, Any, Any]], Any]]

_NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})


def expand(
    stages: Sequence[Stage[Any, Any, Any, Any]],
    task: Any,
    known: Mapping[Any, Learned],
    rng: np.random.Generator,
    values: Mapping[Any, Any] = _NOTHING,
) -> Any:
    """Expand a task through stages, outermost first. Every node has a generator of its own.

    Args:
        stages: The stages.
        task: The task.
        known: The places of what `combine` takes, by requirement.
        rng: Draws everything.
        values: Outcomes that are there already, for what `expand` takes; a stage that needs others is deferred.
    """
    if isinstance(task, Learned):
        return task
    if not stages:
        return Leaf(task)
    needs = tuple(stages[0].needs(task))
    found = [_serving(need, values) for need in needs]
    if any(each is None for each in found):
        return Deferred(tuple(stages), task, needs, known, rng, stages[0].forecast(task))
    given = {**known, **{need: values[each] for need, each in zip(needs, found, strict=True)}}
    own, below = rng.spawn(2)
    children, residue = stages[0].expand(task, given, own)
    generators = below.spawn(len(children))
    return Node(
        stages[0],
        residue,
        tuple(expand(stages[1:], c, known, g, values) for c, g in zip(children, generators, strict=True)),
    )


def _serving(need: Any, values: Mapping[Any, Any]) -> Any:
    """Return the requirement whose outcome serves a need, None if there is none."""
    if need in values:
        return need
    return next((other for other in values if other.serves(need)), None)


def plan(
    tasks: Tasks,
    rng: np.random.Generator,
    lower: Sequence[Stage[Any, Any, Any, Any]] = (),
    shared: Iterable[Requirement] | Callable[[Sequence[Requirement]], Iterable[Requirement]] = (),
) -> Plan:
    """Plan tasks, each with its stages; experiments go through the `lower` floor's stages.

    Requirements that serve each other are learned once for all tasks; those that one of `shared` serves are
    not learned at all. The first that serves is taken. Tasks whose stages need an outcome on the way down are
    planned up to there; `completed` plans the rest.

    Args:
        tasks: The tasks.
        rng: Draws everything.
        lower: Stages that experiments go through.
        shared: What plans before this one learn, or a function that returns those of use for some requirements.
    """
    roots_rng, experiments_rng = rng.spawn(2)
    offer = shared if callable(shared) else _constantly(tuple(shared))
    # Merged before they are looked for, because the largest effort decides whether a shared one is enough.
    serving = _merge(_required(tasks))
    source = _sources(serving.values(), offer)
    known = {r: Learned(source[c] or c) for r, c in serving.items()}
    roots = tuple(
        expand(stages, task, known, generator)
        for (stages, task), generator in zip(tasks, roots_rng.spawn(len(tasks)), strict=True)
    )
    waiting = [need for end in deferred(Plan((), roots)) for need in end.needs]
    source |= _sources(_merge(waiting).values(), offer)
    experiments = _experiments([c for c, s in source.items() if s is None], experiments_rng, lower)
    taken = dict.fromkeys(s for s in source.values() if s is not None)
    return Plan(experiments, roots, tuple(taken), tuple(lower))


def completed(plan: Plan, values: Mapping[Any, Any]) -> Plan:
    """Return the plan with those of its deferred tasks planned whose needs are among `values`, by requirement."""

    def walk(node: Any) -> Any:
        if isinstance(node, Deferred):
            return expand(node.stages, node.task, node.known, deepcopy(node.rng), values)
        if isinstance(node, Node):
            return evolve(node, children=tuple(walk(child) for child in node.children))
        return node

    if not deferred(plan):
        return plan
    return evolve(plan, roots=tuple(walk(root) for root in plan.roots), draft=plan.draft or plan.roots)


def _constantly(offered: tuple[Requirement, ...]) -> Callable[[Sequence[Requirement]], Iterable[Requirement]]:
    return lambda required: offered


def _sources(
    required: Iterable[Requirement],
    offer: Callable[[Sequence[Requirement]], Iterable[Requirement]],
) -> dict[Any, Any]:
    """Return, for each requirement, what is offered that serves it, None if it has to be learned."""
    wanted = list(dict.fromkeys(required))
    offered = list(offer(wanted))
    return {r: next((s for s in offered if s.serves(r)), None) for r in wanted}


def relearning(
    plan: Plan,
    requirements: Iterable[Requirement],
    rng: np.random.Generator,
) -> Plan:
    """Return the plan with some of its shared `requirements` learned by itself; their experiments come first.

    What was planned with an outcome that is learned again waits for the new one.
    """
    anew = list(requirements)
    needed = any(
        r in anew for end in deferred(evolve(plan, roots=plan.draft)) for r in _used(end, plan.shared)
    )
    return evolve(
        plan,
        experiments=_experiments(anew, rng, plan.lower) + plan.experiments,
        shared=tuple(r for r in plan.shared if r not in anew),
        roots=plan.draft if needed else plan.roots,
    )


def _used(end: Deferred, shared: Iterable[Any]) -> list[Any]:
    """Return which shared requirements serve what a task waits for."""
    return [other for other in shared if any(other == need or other.serves(need) for need in end.needs)]


def _experiments(
    requirements: Sequence[Requirement],
    rng: np.random.Generator,
    lower: Sequence[Stage[Any, Any, Any, Any]],
) -> tuple[Experiment, ...]:
    experiments = []
    for requirement, generator in zip(requirements, rng.spawn(len(requirements)), strict=True):
        own, below = generator.spawn(2)
        programs, residue = requirement.experiment(own)
        children = (
            expand(lower, p, {}, g) for p, g in zip(programs, below.spawn(len(programs)), strict=True)
        )
        experiments.append(Experiment(requirement, residue, tuple(children)))
    return tuple(experiments)


def _required(tasks: Tasks) -> list[Requirement]:
    return [r for stages, task in tasks for stage in stages for r in stage.requires(task)]


def _merge(required: Sequence[Requirement]) -> dict[Any, Any]:
    """Return, for each requirement, the one that serves it."""
    chosen: list[Any] = []
    # Widest first, so that the smaller ones find the one that contains them.
    for requirement in sorted(required, key=lambda r: -len(getattr(r, "qubits", ()))):
        for i, other in enumerate(chosen):
            both = other.merged(requirement)
            if both is not None:
                chosen[i] = both
                break
        else:
            chosen.append(requirement)
    return {r: next(c for c in chosen if c.merged(r) == c) for r in required}


def learned(plan: Plan, samples: Iterable[Samples], known: Mapping[Any, Any] = _NOTHING) -> dict[Any, Any]:
    """Return what is known once a plan is measured: by requirement, `known` and what its experiments found.

    Args:
        plan: The plan.
        samples: One result per leaf, in the order of `leaves`; those of the experiments are enough.
        known: Outcomes that exist already; an experiment for one of these is not evaluated again.
    """
    results, outcomes = iter(samples), dict(known)
    for experiment in plan.experiments:
        values = [_up(child, results, outcomes) for child in experiment.children]
        if experiment.requirement not in outcomes:
            outcomes[experiment.requirement] = experiment.requirement.fit(experiment.residue, values)
    return outcomes


def _up(node: Any, results: Iterator[Samples], outcomes: Mapping[Any, Any]) -> Any:
    if isinstance(node, Leaf):
        return next(results)
    if isinstance(node, Learned):
        return outcomes[node.requirement]
    return node.stage.combine(node.residue, [_up(child, results, outcomes) for child in node.children])


def combine(plan: Plan, samples: Iterable[Samples], known: Mapping[Any, Any] = _NOTHING) -> list[Any]:
    """Combine one result per leaf, in the order of `leaves`, into one result per task.

    Args:
        plan: The plan.
        samples: The results.
        known: What plans before this one found out, by requirement: at least all of `plan.shared`.

    Raises:
        CalibrationError: Something of `plan.shared` is not known.
    """
    CalibrationError.check(
        Problem(
            "plan.shared",
            f"needs the outcome of another plan (got none): {requirement.describe()}",
            "pass it as known, or let pipeline.relearning learn it",
        )
        for requirement in plan.shared
        if requirement not in known
    )
    results = iter(samples)
    outcomes = learned(plan, results, known)  # takes those of the experiments, and no more
    return [_up(root, results, outcomes) for root in plan.roots]
