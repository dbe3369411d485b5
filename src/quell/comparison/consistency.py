"""Which strategy to take where nobody knows what the values should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import InputError, Problem
from ..kernels import comparisons
from .cells import number
from .recommendation import ENOUGH, Recommendation, warnings_of
from .summary import Measured, Summary, measured, techniques

if TYPE_CHECKING:
    from .comparison import Comparison

#: What is least biased by construction first. Without a reference the others must agree with the first that is there.
FAMILIES: Final = ("pec", "zne", "trex")


def by_consistency(comparison: Comparison, found: Mapping[str, Summary]) -> Recommendation:
    """Return which strategy to take, from how strategies agree.

    Args:
        comparison: What was compared.
        found: Summaries of the strategies that have values, by their names.

    Raises:
        InputError: No strategy gives error bars.
    """
    own = {name: measured(comparison, name) for name, s in found.items() if s.mean_error is not None}
    if not own:
        problem = Problem(
            "recommend", "no strategy gives error bars, and there is no reference", "give a reference"
        )
        raise InputError.of([problem])
    family, anchors = _anchors(comparison, list(own))
    worst = {name: max(_distance(own[name], own[a]) for a in anchors) for name in own}
    agreeing = [name for name in own if worst[name] <= comparisons.NOMINAL_QUANTILE]
    warnings = warnings_of(comparison, found)
    if not agreeing:
        warnings.insert(
            0, f"The strategies that should be least biased, {', '.join(anchors)}, contradict each other."
        )
    hidden = {name: 0.0 if name in anchors else _hidden(own[name], [own[a] for a in anchors]) for name in own}
    pool = sorted(agreeing or anchors, key=lambda name: np.hypot(found[name].mean_error or 0.0, hidden[name]))
    chosen = pool[0]
    sentences = ["Without a reference bias cannot be known; what follows relies on consistency."]
    sentences += _of_consistency(found, family, anchors, pool, worst[chosen], hidden[chosen])
    far = [name for name in own if name not in pool]
    if far:
        listed = ", ".join(f"{name} ({number(worst[name], 2)})" for name in far)
        sentences.append(f"In contradiction, by so many standard errors: {listed}.")
    sure = agreeing and family == "pec" and found[chosen].repeats >= ENOUGH
    return Recommendation(
        chosen, " ".join(sentences), tuple(pool[1:]), "moderate" if sure else "low", tuple(warnings)
    )


def _of_consistency(
    found: Mapping[str, Summary],
    family: str | None,
    anchors: Sequence[str],
    pool: Sequence[str],
    distance: float,
    hidden: float,
) -> list[str]:
    chosen = pool[0]
    bars = number(found[chosen].mean_error)
    if family is None:
        return [
            "No strategy removes bias by construction; of those that agree "
            f"{chosen} has the shortest error bars, {bars}."
        ]
    if chosen not in anchors:
        trusted = ", ".join(f"{a} (error bars {number(found[a].mean_error)})" for a in anchors)
        return [
            f"{chosen} has error bars of {bars} and agrees with {trusted}, {_WHY[family]}: they differ by "
            f"{number(distance, 2)} standard errors. A bias of about {number(hidden, 2)} could hide in that, and "
            "with that counted in no other that agrees has less error."
        ]
    said = [f"{chosen} has error bars of {bars}; it is {_WHY[family]}."]
    shorter = [n for n in pool if (found[n].mean_error or 0.0) < (found[chosen].mean_error or 0.0)]
    if shorter:
        said.append(
            f"{', '.join(shorter)} cannot be told from it, but biases that large could hide in their difference."
        )
    return said


_WHY: Final[Mapping[str, str]] = {
    "pec": "least biased by construction, since noise is cancelled as it was learned",
    "zne": "least biased by construction, since it extrapolates to zero noise",
    "trex": "least biased by construction of those there are, though only readout is corrected",
}


def _anchors(comparison: Comparison, names: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the least biased family that there is and its strategies; None and all if there is none."""
    for family in FAMILIES:
        own = [n for n in names if family in (techniques(comparison.strategy(n)) or ())]
        if own:
            return family, own
    return None, list(names)


def _distance(own: Measured, other: Measured) -> float:
    """Return by how many standard errors two strategies differ; without common repeats or errors they do by any."""
    if own is other:
        return 0.0
    shared = own.shared_with(other)
    found = comparisons.discrepancy(*own.arrays(shared), *other.arrays(shared)) if shared else None
    return _UNRELATED if found is None else found


#: Stands for a distance that nobody knows; no infinity, which has no place in texts and files.
_UNRELATED: Final = 1e9


def _hidden(own: Measured, anchors: Sequence[Measured]) -> float:
    """Return what bias may hide in the difference from anchors: its rms, or its standard error if that is larger."""
    found = 0.0
    for other in anchors:
        shared = own.shared_with(other)
        if not shared:
            return _UNRELATED
        (values, errors), (others, bars) = own.arrays(shared), other.arrays(shared)
        difference = np.sqrt(((values - others).mean(axis=0) ** 2).mean())
        error = np.sqrt((errors**2 + bars**2).mean() / len(shared))
        found = max(found, float(difference), float(error))
    return found
