"""Plans: trees of stages and residues with programs at their leaves. Plain data, printable and costable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

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
    """

    experiments: tuple[Experiment, ...]
    roots: tuple[Any, ...]
    shared: tuple[Any, ...] = ()
    lower: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return describe(self)


def restaged(plan: Plan, change: Callable[[Any], Any]) -> Plan:
    """Return the plan with other stages above the same programs; `change` returns what a stage becomes."""

    def walk(node: Any) -> Any:
        if not isinstance(node, Node):
            return node
        return Node(change(node.stage), node.residue, tuple(walk(child) for child in node.children))

    return evolve(plan, roots=tuple(walk(root) for root in plan.roots))


@frozen
class Cost:
    """What a plan spends: circuits, shots, and how many shots of these learn about the device."""

    circuits: int
    shots: int
    calibration_shots: int


def programs_of(node: Any) -> Iterator[Program]:
    """Yield the programs below a node, depth first."""
    if isinstance(node, Leaf):
        yield node.program
    elif not isinstance(node, Learned):
        for child in node.children:
            yield from programs_of(child)


def leaves(plan: Plan) -> list[Program]:
    """Return the programs of a plan, depth first, experiments first."""
    return [program for root in (*plan.experiments, *plan.roots) for program in programs_of(root)]


def cost(plan: Plan) -> Cost:
    """Return what a plan spends."""
    programs = leaves(plan)
    learning = [p for e in plan.experiments for p in programs_of(e)]
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
            for child in node.children[:most]:
                walk(child, depth + 1)
            if len(node.children) > most:
                lines.append(f"{indent}  ... and {len(node.children) - most} more like these")

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
    return "\n".join(lines)
