"""The driver: one recursion down, one batched call to the sampler, one recursion up.

A plan is plain data: a tree of stages and residues with programs at its leaves, and the experiments whose
outcome the tree asks for. It can be printed, pickled, costed before a shot is spent, and combined again
with other samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
from attrs import evolve

from .calibration.requirements import Requirement
from .circuits.samples import Samples
from .errors import CalibrationError, Problem
from .plans import Cost, Experiment, Leaf, Learned, Node, Plan, cost, describe, leaves
from .stages.base import Stage

__all__ = [
    "Cost",
    "Experiment",
    "Leaf",
    "Learned",
    "Node",
    "Plan",
    "combine",
    "cost",
    "describe",
    "expand",
    "learned",
    "leaves",
    "plan",
    "relearning",
    "requirements",
]

Tasks: TypeAlias = Sequence[tuple[Sequence[Stage[Any, Any, Any, Any]], Any]]

_NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})


def expand(
    stages: Sequence[Stage[Any, Any, Any, Any]],
    task: Any,
    known: Mapping[Any, Learned],
    rng: np.random.Generator,
) -> Any:
    """Expand a task through stages, outermost first. Every node has a generator of its own."""
    if isinstance(task, Learned):
        return task
    if not stages:
        return Leaf(task)
    own, below = rng.spawn(2)
    children, residue = stages[0].expand(task, known, own)
    generators = below.spawn(len(children))
    return Node(
        stages[0],
        residue,
        tuple(expand(stages[1:], c, known, g) for c, g in zip(children, generators, strict=True)),
    )


def requirements(tasks: Tasks) -> list[Requirement]:
    """Return what must be known for tasks, each with its stages; those that serve each other are merged."""
    return list(dict.fromkeys(_merge(_required(tasks)).values()))


def plan(
    tasks: Tasks,
    rng: np.random.Generator,
    lower: Sequence[Stage[Any, Any, Any, Any]] = (),
    shared: Iterable[Requirement] = (),
) -> Plan:
    """Plan tasks, each with its stages; experiments go through the `lower` floor's stages.

    Requirements that serve each other are learned once for all tasks; those that one of `shared` serves are
    not learned at all. The first that serves is taken.
    """
    roots_rng, experiments_rng = rng.spawn(2)
    # Merged before they are looked for, because the largest effort decides whether a shared one is enough.
    serving = _merge(_required(tasks))
    offered = list(shared)
    source = {c: next((s for s in offered if s.serves(c)), None) for c in serving.values()}
    known = {r: Learned(source[c] or c) for r, c in serving.items()}
    experiments = _experiments([c for c, s in source.items() if s is None], experiments_rng, lower)
    roots = (
        expand(stages, task, known, generator)
        for (stages, task), generator in zip(tasks, roots_rng.spawn(len(tasks)), strict=True)
    )
    taken = dict.fromkeys(s for s in source.values() if s is not None)
    return Plan(experiments, tuple(roots), tuple(taken), tuple(lower))


def relearning(
    plan: Plan,
    requirements: Iterable[Requirement],
    rng: np.random.Generator,
) -> Plan:
    """Return the plan with some of its shared `requirements` learned by itself; their experiments come first."""
    anew = list(requirements)
    return evolve(
        plan,
        experiments=_experiments(anew, rng, plan.lower) + plan.experiments,
        shared=tuple(r for r in plan.shared if r not in anew),
    )


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
