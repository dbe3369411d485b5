"""The driver: one recursion down, one batched call to the sampler, one recursion up.

A plan is plain data: a tree of stages and residues with programs at its leaves, and the experiments whose
outcome the tree asks for. It can be printed, pickled, costed before a shot is spent, and combined again
with other samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from .calibration.requirements import Requirement
from .circuits.program import Program
from .circuits.samples import Samples
from .stages.base import Stage


@frozen
class Leaf:
    """A program for the sampler."""

    program: Program


@frozen
class Learned:
    """The place of something that an experiment of the same plan finds out."""

    requirement: Any


@frozen
class Node:
    """A stage's residue and the plans of its children."""

    stage: Any
    residue: Any
    children: tuple[Any, ...]


@frozen
class Experiment:
    """How a requirement is met: its programs' plans and its residue."""

    requirement: Any
    residue: Any
    children: tuple[Any, ...]


@frozen
class Plan:
    """Everything one job runs: experiments first, then one tree a PUB."""

    experiments: tuple[Experiment, ...]
    roots: tuple[Any, ...]

    def __str__(self) -> str:
        return describe(self)


@frozen
class Cost:
    """What a plan spends: circuits, shots, and how many shots of these learn about the device."""

    circuits: int
    shots: int
    calibration_shots: int


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


def plan(
    tasks: Sequence[tuple[Sequence[Stage[Any, Any, Any, Any]], Any]],
    rng: np.random.Generator,
    lower: Sequence[Stage[Any, Any, Any, Any]] = (),
) -> Plan:
    """Plan tasks, each with its stages; experiments go through the `lower` floor's stages.

    Requirements that serve each other are learned once for all tasks.
    """
    roots_rng, experiments_rng = rng.spawn(2)
    required = [r for stages, task in tasks for stage in stages for r in stage.requires(task)]
    serving = _merge(required)
    known = {r: Learned(serving[r]) for r in required}
    experiments = []
    chosen = list(dict.fromkeys(serving.values()))
    for requirement, generator in zip(chosen, experiments_rng.spawn(len(chosen)), strict=True):
        own, below = generator.spawn(2)
        programs, residue = requirement.experiment(own)
        children = (
            expand(lower, p, {}, g) for p, g in zip(programs, below.spawn(len(programs)), strict=True)
        )
        experiments.append(Experiment(requirement, residue, tuple(children)))
    roots = (
        expand(stages, task, known, generator)
        for (stages, task), generator in zip(tasks, roots_rng.spawn(len(tasks)), strict=True)
    )
    return Plan(tuple(experiments), tuple(roots))


def _merge(required: Iterable[Requirement]) -> dict[Any, Any]:
    """Return, for each requirement, the one that serves it."""
    required = list(required)
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


def _leaves(node: Any) -> Iterator[Program]:
    if isinstance(node, Leaf):
        yield node.program
    elif not isinstance(node, Learned):
        for child in node.children:
            yield from _leaves(child)


def leaves(plan: Plan) -> list[Program]:
    """Return the programs of a plan, depth first, experiments first."""
    return [program for root in (*plan.experiments, *plan.roots) for program in _leaves(root)]


def combine(plan: Plan, samples: Iterable[Samples]) -> list[Any]:
    """Combine one result per leaf, in the order of `leaves`, into one result per task."""
    results = iter(samples)
    learned: dict[Any, Any] = {}

    def up(node: Any) -> Any:
        if isinstance(node, Leaf):
            return next(results)
        if isinstance(node, Learned):
            return learned[node.requirement]
        return node.stage.combine(node.residue, [up(child) for child in node.children])

    for experiment in plan.experiments:
        outcome = [up(child) for child in experiment.children]
        learned[experiment.requirement] = experiment.requirement.fit(experiment.residue, outcome)
    return [up(root) for root in plan.roots]


def cost(plan: Plan) -> Cost:
    """Return what a plan spends."""
    programs = leaves(plan)
    learning = [p for e in plan.experiments for p in _leaves(e)]
    return Cost(
        circuits=sum(p.num_members for p in programs),
        shots=sum(p.num_members * p.shots for p in programs),
        calibration_shots=sum(p.num_members * p.shots for p in learning),
    )


def describe(plan: Plan, *, most: int = 8) -> str:
    """Return the onion of a plan as text: one line a stage, programs at the leaves, the cost at the end."""
    lines: list[str] = []

    def walk(node: Any, depth: int) -> None:
        indent = "  " * depth
        if isinstance(node, Leaf):
            p = node.program
            lines.append(
                f"{indent}run {p.label}: {p.num_settings} settings x {p.num_randomizations} randomizations x "
                f"{p.shots} shots, {len(p.template.ops)} operations in {p.template.num_layers} layers"
            )
        elif isinstance(node, Learned):
            lines.append(f"{indent}uses: {node.requirement.describe()}")
        else:
            lines.append(
                f"{indent}{(node.requirement if isinstance(node, Experiment) else node.stage).describe()}"
            )
            for child in node.children:
                walk(child, depth + 1)

    for experiment in plan.experiments[:most]:
        walk(experiment, 0)
    for index, root in enumerate(plan.roots[:most]):
        lines.append(f"PUB {index}")
        walk(root, 1)
    hidden = max(len(plan.roots) - most, 0) + max(len(plan.experiments) - most, 0)
    if hidden:
        lines.append(f"... and {hidden} more")
    total = cost(plan)
    lines.append(
        f"total: {total.circuits} circuits, {total.shots} shots ({total.calibration_shots} of them for calibration)"
    )
    return "\n".join(lines)
