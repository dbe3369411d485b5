"""Shots for a precision after mitigation, in two rounds.

How much mitigation amplifies the error of shots is known once something was measured: a first round of few shots
tells, the second has as many as are missing, and the result is made of both.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from .build import Shots
from .plans import Node, Plan
from .stages.estimate import Estimate
from .stages.extrapolation import Extrapolation
from .stages.pool import Pool
from .stages.zne import Zne, ZneResidue

#: Shots of the first round, relative to what a value of unit variance takes without mitigation.
PILOT: Final = 0.25
#: Least shots of a first round: below this its error bars say little about those of the second.
LEAST_PILOT: Final = 1024
#: The variance that the first round finds is itself known to 20-30 %, so the second aims for this part of it.
AIM: Final = 0.7
#: How much larger the variance may get by giving randomizations more shots instead of more randomizations.
INFLATION: Final = 1.25
#: No least share of twirling in the variance is believed to be smaller: the split of few members is uncertain.
_LEAST_TWIRL: Final = 0.05
#: Least part of the variance that data are given where the calibration takes the rest.
_LEAST_LEFT: Final = 0.25
#: Least shots of a noise factor relative to equal shares.
_LEAST_SHARE: Final = 0.1


def pilot_shots(precision: float) -> int:
    """Return the shots of each setting in the first round."""
    asked = math.ceil(1 / precision**2 - 1e-9)
    return max(1, min(asked, max(math.ceil(PILOT * asked), LEAST_PILOT)))


@frozen
class Round:
    """A second round: its shots, and for extrapolations the shares of the noise factors."""

    shots: Shots
    allocation: tuple[float, ...] | None = None


def second_round(
    estimate: Estimate,
    shots: Shots,
    precision: float,
    *,
    randomized: bool,
    neyman: bool,
    most: int,
    fixed_members: bool = False,
    fixed_each: bool = False,
    fixed_calibration: bool = False,
) -> Round | None:
    """Return what is missing for a precision; None if nothing is.

    Args:
        estimate: What the first round found.
        shots: Its shots.
        precision: Standard error that no value shall exceed.
        randomized: Whether its members are random, so that more of them are needed and not only more shots.
        neyman: Whether noise factors share the shots by what they contribute.
        most: Most shots of a setting and noise factor.
        fixed_members: Whether the number of randomizations of a round is the user's,
        fixed_each: and whether the shots of each are.
        fixed_calibration: Whether the calibration does not grow with the data: what it adds cannot be reduced.
    """
    zne: Extrapolation | None = estimate.details.get("zne")
    # Whether a value is kept as measured may change with more shots, so both count: its own error bar, in which the
    # difference to the mitigated value is chance as yet, and that of the mitigated value.
    variance = estimate.variance if zne is None else np.maximum(estimate.variance, zne.unguarded[1] ** 2)
    worst = float(np.max(variance, initial=0.0))
    if worst <= precision**2:
        return None
    target = AIM * precision**2
    if fixed_calibration:
        place = int(np.argmax(variance))
        common = evolve(estimate.terms, spread=()).variance(np.zeros(variance.size))[place]
        # Where little or nothing is left for the data, many shots would be spent on little or nothing.
        worst, target = max(worst - common, 0.0), max(target - common, _LEAST_LEFT * target)
    growth = max(worst / target, 1.0)  # how often the shots of the first round are needed, with it
    allocation = None
    if zne is not None and neyman:
        growth, allocation = _allocated(zne, variance * (worst / float(np.max(variance))), target)
    members, each, extra = shots.num_randomizations, shots.shots_per_randomization, growth - 1
    if extra <= 0:
        return None
    if fixed_each:
        members = math.ceil(members * extra)
    elif fixed_members:
        each = math.ceil(each * extra)
    elif randomized:
        share = max(_twirl_share(estimate), _LEAST_TWIRL)
        more = min(max(1.0, (INFLATION * (1 + share) - 1) / share), max(1.0, extra))
        extra *= 1 + (more - 1) * share / (1 + share)
        members, each = math.ceil(members * extra / more), math.ceil(each * more)
    else:
        each = math.ceil(each * extra)
    members = max(1, min(members, most // each)) if each <= most else 1
    return Round(Shots(members, min(each, most)), allocation)


def _twirl_share(estimate: Estimate) -> float:
    """Return the variance that randomizations add to that of shots, relative to it."""
    zne: Extrapolation | None = estimate.details.get("zne")
    total = estimate.variance if zne is None else zne.errors**2
    shot = estimate.shot_variance if zne is None else zne.shot_errors**2
    known = shot > 0
    return float(np.mean(total[known] / shot[known]) - 1) if np.any(known) else 0.0


def _allocated(
    zne: Extrapolation, variance: NDArray[np.float64], target: float
) -> tuple[float, tuple[float, ...]]:
    """Return how often the shots of the first round are needed, and how noise factors share what is missing.

    With n_f shots a factor has variance u_f / n_f; the sum is smallest for n_f in proportion to the root of u_f.
    """
    had = np.array(zne.shots, dtype=float) / np.sum(zne.shots)
    parts = zne.contributions.reshape(-1, len(had))[int(np.argmax(variance))]
    # What is common to all factors (a calibration) is in the variance of each alone, but adds to the whole once.
    parts = parts * (float(np.max(variance)) / max(float(parts.sum()), 1e-300))
    roots = np.sqrt(parts * had)
    wanted = roots / roots.sum()
    growth = float(roots.sum() ** 2 / target)  # in units of all shots of the first round
    missing = np.maximum(growth * wanted - had, _LEAST_SHARE * max(growth - 1, 0.0) / len(had))
    total = float(missing.sum())
    return 1 + total, tuple(float(m) for m in missing / total * len(had))


def merged(first: Node, second: Node) -> Node:
    """Return the plan of a value that is made of two rounds.

    Extrapolation comes after pooling: it is not linear, and two short rounds are not as good as a long one.
    """
    if not isinstance(first.stage, Zne):
        return Node(Pool(), None, (first, second))
    residue: ZneResidue = first.residue
    members, children = [], []
    of_first, of_second = iter(first.children), iter(second.children)
    for count, more, own in zip(residue.members, second.residue.members, residue.owner, strict=True):
        early = [next(of_first) for _ in range(count)]
        late = [next(of_second) for _ in range(more)]
        together = [*early, *late] if own else [Node(Pool(), None, (*early, *late))]
        children += together
        members.append(len(together))
    # Few gates come to a factor only on average over the members.
    achieved = tuple(
        (a * n + b * m) / (n + m)
        for a, n, b, m in zip(
            residue.achieved, residue.members, second.residue.achieved, second.residue.members, strict=True
        )
    )
    return Node(first.stage, evolve(residue, achieved=achieved, members=tuple(members)), tuple(children))


def grown(plan: Plan, more: Plan, places: list[int]) -> Plan:
    """Return a plan with the second rounds of the PUBs at some places; their experiments come first."""
    roots = list(plan.roots)
    for place, root in zip(places, more.roots, strict=True):
        roots[place] = merged(roots[place], root)
    return evolve(plan, experiments=more.experiments + plan.experiments, roots=tuple(roots))
