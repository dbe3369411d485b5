"""Which strategy did best, which one to take, and why in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ..errors import InputError, Problem
from ..kernels import comparisons
from .cells import count, factor, number, with_error
from .consistency import by_consistency
from .recommendation import ENOUGH, FEW, Recommendation, cost_of, error_of, failures_of, share_of, warnings_of
from .summary import Summary, improvement_over, measured

if TYPE_CHECKING:
    from .comparison import Comparison

#: Costs that differ by less are equal: budgets are met only up to rounding.
SAME_COST: Final = 1.05


def _times(square: float | None, cost: float) -> float | None:
    return None if square is None or cost <= 0 else square**2 * cost


def _bias(s: Summary) -> tuple[float, float] | None:
    # Several biases may be zero within noise; the one that is known best to be small wins.
    return None if s.bias is None or s.bias_error is None else (s.bias, s.bias_error)


def _miss(s: Summary) -> tuple[float, float] | None:
    return None if s.coverage is None else (abs(s.coverage - comparisons.NOMINAL), s.rmse or 0.0)


#: What is least for the best strategy; None where a strategy does not take part.
CRITERIA: Final[Mapping[str, Callable[[Summary], float | tuple[float, float] | None]]] = {
    "rmse": lambda s: s.rmse,
    "bias": _bias,
    "error": lambda s: s.mean_error,
    "cost": lambda s: _times(s.rmse, s.shots),
    "time": lambda s: _times(s.rmse, s.qpu_seconds),
    "coverage": _miss,
}


def best(comparison: Comparison, criterion: str = "rmse") -> str:
    """Return the name of the strategy that did best; of equal ones the first.

    Args:
        comparison: What was compared.
        criterion: "rmse", "bias", "error" (the error bar), "cost" (rmse^2 x shots: the error at equal shots), "time"
            (rmse^2 x QPU seconds) or "coverage" (nearest to 95 %, then the least rmse).

    Raises:
        InputError: There is no such criterion, or no strategy has what it takes.
    """
    if criterion not in CRITERIA:
        fix = f"there are {', '.join(CRITERIA)}"
        raise InputError.of([Problem("criterion", f"{criterion!r} is not known", fix)])
    measure = CRITERIA[criterion]
    found = [(key, s.name) for s in comparison.summaries if (key := measure(s)) is not None]
    if not found:
        if comparison.reference is None and criterion != "error":
            raise InputError.of(
                [Problem("criterion", f"{criterion!r} needs a reference", "give one, or take 'error'")]
            )
        raise InputError.of(
            [Problem("criterion", f"no strategy has a value for {criterion!r}", failures_of(comparison))]
        )
    return min(found, key=lambda pair: pair[0])[1]


def recommend(comparison: Comparison) -> Recommendation:
    """Return which strategy to take, and why.

    With a reference: the cheapest of those whose rms error cannot be told from the least, among strategies whose
    95 % intervals do not contain the reference significantly too rarely. Costs are shots, then QPU time; those within
    5 % are equal, and then the least rms error decides.

    Without: of those that agree with the least biased by construction (PEC, else ZNE, else readout correction) the one
    with the shortest error bar, to which the bias is added that could hide in the difference from these. Else raw
    values would win wherever little was measured, because nothing contradicts them.

    Raises:
        InputError: No strategy has values.
    """
    found = {s.name: s for s in comparison.summaries if not s.failure}
    if not found:
        raise InputError.of([Problem("recommend", "no strategy has values", failures_of(comparison))])
    if comparison.reference is None:
        return by_consistency(comparison, found)
    return _by_error(comparison, found, comparison.reference)


# --- with a reference -------------------------------------------------------------------------


def _by_error(
    comparison: Comparison, found: Mapping[str, Summary], reference: comparisons.Floats
) -> Recommendation:
    ranked = sorted(found, key=lambda name: _to_expect(found[name]))
    trusted = [name for name in ranked if _covers(found[name])]
    pool = trusted or ranked
    leader = pool[0]
    own = {name: measured(comparison, name) for name in pool}
    # Ratios above 1: how many times the leader's error another one has.
    ratios = {name: improvement_over(own[name], own[leader], reference) for name in pool[1:]}
    equals = [leader, *(n for n, r in ratios.items() if r is not None and r.low <= 1)]
    chosen = _cheapest(found[name] for name in equals)
    s = found[chosen]
    sentences = _of_error(found, leader, chosen, ratios.get(chosen))
    sentences += _of_others(found, [n for n in equals if n not in (leader, chosen)], leader)
    sentences += _of_bias(s)
    if s.coverage is not None:
        sentences.append(f"Its 95 % intervals contain the reference {share_of(s)}.")
    sentences += [
        _of_rejected(found[n]) for n in ranked if n not in pool and (found[n].rmse or 0) < (s.rmse or 0)
    ]
    warnings = warnings_of(comparison, found)
    if not trusted:
        warnings.insert(
            0, "No strategy has error bars that can be relied on: intervals miss the reference too often."
        )
    warnings += _of_budget(comparison, found, pool)
    told = len(equals) == 1
    repeats = min(found[n].repeats for n in (leader, chosen))
    confidence = (
        "low" if repeats < FEW or not trusted else "high" if told and repeats >= ENOUGH else "moderate"
    )
    others = tuple(name for name in pool if name != chosen)
    return Recommendation(chosen, " ".join(sentences), others, confidence, tuple(warnings))


def _covers(s: Summary) -> bool:
    """Return whether the intervals of a strategy do not miss the reference significantly too often."""
    if s.coverage_interval is None:
        return False
    # A few repeats are too few to count; honest error bars are exceeded so far once in 20 times at most.
    far = s.repeats < FEW and s.z_rms is not None and s.z_rms > comparisons.NOMINAL_QUANTILE
    return s.coverage_interval[1] >= comparisons.NOMINAL and not far


def _to_expect(s: Summary) -> float:
    """Return the rms error to expect: of few repeats one below the error bars is luck."""
    rmse, bars = s.rmse or 0.0, s.mean_error or 0.0
    return rmse if s.repeats >= FEW else max(rmse, bars)


def _cheapest(equals: Iterable[Summary]) -> str:
    """Return the cheapest of strategies that are equally good; the least rms error where costs are the same."""
    left = list(equals)
    costs: tuple[Callable[[Summary], float], ...] = (lambda s: s.shots, lambda s: s.qpu_seconds)
    for cost in costs:
        least = min(cost(s) for s in left)
        left = [s for s in left if cost(s) <= SAME_COST * least]
    return min(left, key=_to_expect).name


def _of_error(
    found: Mapping[str, Summary], leader: str, chosen: str, ratio: comparisons.Ratio | None
) -> list[str]:
    s, least = found[chosen], found[leader]
    raw = next((name for name, other in found.items() if other.is_raw), None)
    known = raw is not None and not s.is_raw and s.improvement is not None
    against = f", {_times_less(s)} than {raw}" if known else ""
    if chosen != leader and ratio is not None:
        between = factor(ratio.value, (ratio.low, ratio.high))
        cheaper = f"instead of {cost_of(least)}" if s.shots * SAME_COST < least.shots else "and less QPU time"
        return [
            f"{chosen} takes {cost_of(s)} {cheaper}, and its rms error, {error_of(s)}{against}, cannot be told "
            f"from the least, {error_of(least)} of {leader} (ratio {between})."
        ]
    if len(found) == 1:
        return [f"Only {chosen} has values; its rms error is {error_of(s)}, with {cost_of(s)}."]
    if s.repeats < FEW and s.mean_error is not None:
        bars = number(s.mean_error)
        said = f"{chosen} should err least, judged by deviations and error bars of {bars}: its rms error is "
        return [f"{said}{error_of(s)}{against}, with {cost_of(s)}."]
    return [f"{chosen} has the least rms error, {error_of(s)}{against}, with {cost_of(s)}."]


def _times_less(s: Summary) -> str:
    """Return an improvement in words."""
    value, interval = s.improvement or 1.0, s.improvement_interval
    if value >= 1:
        return f"{factor(value, interval)} times less"
    turned = None if interval is None or interval[0] <= 0 else (1 / interval[1], 1 / interval[0])
    return f"{factor(1 / value, turned)} times more"


def _of_others(found: Mapping[str, Summary], names: Sequence[str], leader: str) -> list[str]:
    if not names:
        return []
    listed = ", ".join(f"{n} ({error_of(found[n])}, {cost_of(found[n])})" for n in names)
    return [f"The rms error{'s' if len(names) > 1 else ''} of {listed} cannot be told from that of {leader}."]


def _of_bias(s: Summary) -> list[str]:
    if s.bias is None or s.bias_error is None or not s.rmse:
        return []
    said = f"its bias is {with_error(s.bias, s.bias_error)}"
    if s.bias > 2 * s.bias_error and s.bias**2 > s.rmse**2 / 2:
        return [f"Most of the error would remain with more shots: {said}."]
    if s.bias**2 < s.rmse**2 / 2 and s.repeats >= FEW:
        return [f"Most of the error is noise, which more shots would lower: {said}."]
    return [f"As far as can be seen {said}."]


def _of_rejected(s: Summary) -> str:
    smaller = f"{s.name} has a smaller rms error, {error_of(s)}, but"
    if s.coverage is None:
        return f"{smaller} gives no error bars."
    return f"{smaller} its intervals contain the reference only {share_of(s)}."


def _of_budget(comparison: Comparison, found: Mapping[str, Summary], pool: Sequence[str]) -> list[str]:
    """Return a warning if strategies had different numbers of shots."""
    shots = [found[name].shots for name in pool]
    if min(shots) <= 0 or max(shots) <= SAME_COST * min(shots):
        return []
    first = min(pool, key=lambda n: CRITERIA["cost"](found[n]) or 0.0)
    fair = " Compare with total_shots to know." if comparison.settings.get("total_shots") is None else ""
    return [
        f"Strategies took from {count(min(shots))} to {count(max(shots))} shots; if errors fell as 1/sqrt(shots), "
        f"{first} would have the least at equal shots.{fair}"
    ]
