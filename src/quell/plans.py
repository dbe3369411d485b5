"""Plans: trees of stages and residues with programs at their leaves. Plain data, printable and costable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from attrs import evolve, frozen

from .circuits.program import Program


@frozen
class Leaf:
    """A program for the sampler."""

    program: Program


@frozen
class Learned:
    """The place of something that an experiment finds out, of the same plan or of an earlier one."""

    requirement: Any


@frozen
class Node:
    """A stage's residue and the plans of its children."""

    stage: Any
    residue: Any
    children: tuple[Any, ...]


@frozen
class Deferred:
    """A task that can only be planned once something is known.

    Attributes:
        stages: The stages it still has to go through, outermost first.
        task: The task.
        needs: Requirements whose outcome the first of these takes.
        known: The places of what is learned on the way, by requirement.
        rng: Draws what these stages draw.
        shots: About how many it takes, at least and at most; None if nothing limits them.
    """

    stages: tuple[Any, ...]
    task: Any
    needs: tuple[Any, ...]
    known: Mapping[Any, Any]
    rng: np.random.Generator
    shots: tuple[int, int | None]


@frozen
class Experiment:
    """How a requirement is met: its programs' plans and its residue."""

    requirement: Any
    residue: Any
    children: tuple[Any, ...]


@frozen
class Plan:
    """Everything one job runs: experiments first, then one tree a PUB.

    Attributes:
        experiments: How the plan learns what it needs to know.
        roots: The tree of each PUB.
        shared: Requirements that plans before this one meet; `combine` takes what they found as `known`.
        lower: The stages below the crossing that experiments go through.
        draft: The roots before what they waited for was filled in; empty if they waited for nothing.
    """

    experiments: tuple[Experiment, ...]
    roots: tuple[Any, ...]
    shared: tuple[Any, ...] = ()
    lower: tuple[Any, ...] = ()
    draft: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return describe(self)


def restaged(plan: Plan, change: Callable[[Any], Any]) -> Plan:
    """Return the plan with other stages above the same programs; `change` returns what a stage becomes."""

    def walk(node: Any) -> Any:
        if isinstance(node, Deferred):
            return evolve(node, stages=tuple(change(stage) for stage in node.stages))
        if not isinstance(node, Node):
            return node
        return Node(change(node.stage), node.residue, tuple(walk(child) for child in node.children))

    return evolve(plan, roots=tuple(walk(root) for root in plan.roots))


@frozen
class Cost:
    """What a plan spends.

    Attributes:
        circuits: Circuits.
        shots: Their shots.
        calibration_shots: How many of these learn about the device.
        deferred_shots: About so many more, at least and at most, follow from what is learned; None for no limit. Shots
            of a randomization are rounded up, which is not counted.
    """

    circuits: int
    shots: int
    calibration_shots: int
    deferred_shots: tuple[int, int | None] = (0, 0)


def nodes_of(node: Any) -> Iterator[Any]:
    """Yield what a plan's tree ends in below a node, depth first: `Leaf`, `Learned` and `Deferred`."""
    if isinstance(node, (Node, Experiment)):
        for child in node.children:
            yield from nodes_of(child)
    else:
        yield node


def programs_of(node: Any) -> Iterator[Program]:
    """Yield the programs below a node, depth first."""
    return (end.program for end in nodes_of(node) if isinstance(end, Leaf))


def deferred(plan: Plan) -> list[Deferred]:
    """Return the tasks of a plan that wait for what is learned."""
    return [end for root in plan.roots for end in nodes_of(root) if isinstance(end, Deferred)]


def leaves(plan: Plan) -> list[Program]:
    """Return the programs of a plan, depth first, experiments first."""
    return [program for root in (*plan.experiments, *plan.roots) for program in programs_of(root)]


def cost(plan: Plan) -> Cost:
    """Return what a plan spends."""
    programs = leaves(plan)
    learning = [p for e in plan.experiments for p in programs_of(e)]
    waiting = [end.shots for end in deferred(plan)]
    most = [high for _, high in waiting if high is not None]
    return Cost(
        circuits=sum(p.num_members for p in programs),
        shots=sum(p.num_members * p.shots for p in programs),
        calibration_shots=sum(p.num_members * p.shots for p in learning),
        deferred_shots=(sum(low for low, _ in waiting), sum(most) if len(most) == len(waiting) else None),
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
        elif isinstance(node, Deferred):
            lines.extend(f"{indent}{'  ' * i}{stage.describe()}" for i, stage in enumerate(node.stages))
            lines.append(f"{indent}{'  ' * len(node.stages)}planned when it is learned: {_range(node.shots)}")
        else:
            what = (
                node.requirement.describe()
                if isinstance(node, Experiment)
                else node.stage.describe(node.residue)
            )
            lines.append(f"{indent}{what}")
            # The programs of one experiment differ by what the line above says.
            shown = most if isinstance(node, Node) else min(most, 2)
            for child in node.children[:shown]:
                walk(child, depth + 1)
            if len(node.children) > shown:
                lines.append(f"{indent}  ... and {len(node.children) - shown} more like these")

    lines += [f"shared: {requirement.describe()}" for requirement in plan.shared[:most]]
    for experiment in plan.experiments[:most]:
        walk(experiment, 0)
    for index, root in enumerate(plan.roots[:most]):
        lines.append(f"PUB {index}")
        walk(root, 1)
    hidden = sum(max(len(part) - most, 0) for part in (plan.shared, plan.experiments, plan.roots))
    if hidden:
        lines.append(f"... and {hidden} more")
    total = cost(plan)
    lines.append(
        f"total: {total.circuits} circuits, {total.shots} shots ({total.calibration_shots} of them for calibration)"
    )
    if any(total.deferred_shots):
        lines.append(f"and, following from what is learned, {_range(total.deferred_shots)}")
    return "\n".join(lines)


def _range(shots: tuple[int, int | None]) -> str:
    low, high = shots
    if high == low:
        return f"about {low} shots"
    return f"about {low} shots or more" + ("" if high is None else f", at most about {high}")
