"""What a comparison comes to: one summary for each strategy, one row for each strategy and value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import field, frozen

from ..errors import QuellError
from ..kernels import comparisons
from ..options.effective import effective
from ..options.tree import EstimatorOptions
from .records import PARTS, Floats, Strategy, Trial

if TYPE_CHECKING:
    from .comparison import Comparison

Interval = tuple[float, float]

CONFIDENCE: Final = 0.95
#: The options that turn a technique on, and what it is called.
SWITCHES: Final[Mapping[str, str]] = {
    "resilience.pec_mitigation": "pec",
    "resilience.zne_mitigation": "zne",
    "resilience.measure_mitigation": "trex",
    "twirling.enable_gates": "twirling",
    "twirling.enable_measure": "measurement twirling",
    "dynamical_decoupling.enable": "decoupling",
    "post_selection.enable": "post-selection",
}


@frozen
class Summary:
    """A strategy over all values; what needs a reference is None without one.

    Means are over the repeats that have values. Several strategies may have failed in different repeats:
    what compares two of them takes the repeats that both have.

    Attributes:
        name: Of the strategy.
        description: What it does, in one line.
        is_raw: Whether it is what the others are compared with.
        failure: Why there are no values; empty if there are.
        failed_repeats: Repeats without values.
        notes: What should be known about the values, each once.
        repeats: Repeats with values.
        rmse: Root mean square deviation from the reference, over repeats and values.
        rmse_error: Its standard error.
        bias: Rms over values of the mean deviation, its own noise subtracted, never below 0.
        bias_error: Its standard error; below 1.96 of these it is zero within noise.
        mean_error: Rms of the error bars; None if the strategy gives none.
        spread: Rms over values of the standard deviation between repeats; None with one repeat.
        improvement: Rms error of the raw strategy divided by its own.
        improvement_interval: Lower and upper end, at the comparison's confidence.
        coverage: Fraction of nominal 95 % intervals that contain the reference.
        coverage_interval: Lower and upper end, at the comparison's confidence.
        covered: How many intervals contain the reference.
        intervals: How many there are.
        z_rms: Rms of deviation / error bar; 1 for error bars that are right.
        circuits: Circuits of a repeat, calibration included.
        shots: Shots of a repeat, calibration included.
        calibration_shots: How many of these learn about the device.
        executed_shots: Shots that were run for it: fewer where it shares calibrations or data.
        overhead: Variance x shots relative to the raw strategy's.
        gamma_squared: Sampling overhead of cancelled noise; None without PEC.
        qpu_seconds: Estimated time on a quantum computer for a repeat.
        seconds: Wall time of a repeat in seconds, by the names in `PARTS`.
        agreement: Rms difference from every other strategy in errors of a difference, by its name.
    """

    name: str
    description: str = ""
    is_raw: bool = False
    failure: str = ""
    failed_repeats: int = 0
    notes: tuple[str, ...] = ()
    repeats: int = 0
    rmse: float | None = None
    rmse_error: float | None = None
    bias: float | None = None
    bias_error: float | None = None
    mean_error: float | None = None
    spread: float | None = None
    improvement: float | None = None
    improvement_interval: Interval | None = None
    coverage: float | None = None
    coverage_interval: Interval | None = None
    covered: int | None = None
    intervals: int | None = None
    z_rms: float | None = None
    circuits: float = 0.0
    shots: float = 0.0
    calibration_shots: float = 0.0
    executed_shots: float = 0.0
    overhead: float | None = None
    gamma_squared: float | None = None
    qpu_seconds: float = 0.0
    seconds: Mapping[str, float] = field(factory=lambda: dict.fromkeys(PARTS, 0.0))
    agreement: Mapping[str, float] = field(factory=dict)


@frozen
class Row:
    """A strategy and one value; fields as in `Summary`, for this value alone.

    Attributes:
        strategy: Its name.
        label: Of the value.
        value: Mean over repeats.
        value_error: Standard error of that mean, from the spread between repeats; with one repeat the error bar.
        error: Rms error bar of one repeat; None if the strategy gives none.
        spread: Standard deviation between repeats; None with one.
        reference: What the value should be.
        bias: Mean deviation from the reference.
        bias_error: Its standard error, that of the mean.
        rmse: Root mean square deviation over repeats.
        rmse_error: Its standard error.
        improvement: Rms error of the raw strategy divided by its own.
        improvement_interval: Lower and upper end.
        coverage: Fraction of repeats whose nominal 95 % interval contains the reference.
        coverage_interval: Lower and upper end.
        covered: In how many repeats it does.
        intervals: How many repeats there are.
    """

    strategy: str
    label: str
    value: float
    value_error: float | None
    error: float | None
    spread: float | None
    reference: float | None = None
    bias: float | None = None
    bias_error: float | None = None
    rmse: float | None = None
    rmse_error: float | None = None
    improvement: float | None = None
    improvement_interval: Interval | None = None
    coverage: float | None = None
    coverage_interval: Interval | None = None
    covered: int | None = None
    intervals: int | None = None


@frozen(eq=False)
class Measured:
    """What a strategy measured.

    Attributes:
        trials: Trials with finite values, by their repeat.
        has_errors: Whether all of them have error bars.
        confidence: Level of intervals.
    """

    trials: Mapping[int, Trial]
    has_errors: bool
    confidence: float = CONFIDENCE

    def arrays(self, repeats: Iterable[int] | None = None) -> tuple[Floats, Floats]:
        """Return values and errors, float64 ``(R, K)``, of some repeats; errors are 0 if there are none."""
        chosen = [self.trials[r] for r in (self.trials if repeats is None else repeats)]
        values = np.array([t.values for t in chosen], dtype=np.float64)
        if not self.has_errors:
            return values, np.zeros_like(values)
        return values, np.array([t.errors for t in chosen], dtype=np.float64)

    def shared_with(self, other: Measured) -> list[int]:
        """Return the repeats that both have, in order."""
        return [r for r in self.trials if r in other.trials]


def measured(comparison: Comparison, name: str) -> Measured:
    """Return what a strategy measured, without repeats that are not finite."""
    trials = {t.repeat: t for t in comparison.trials_of(name) if _is_finite(t)}
    has_errors = all(t.errors is not None for t in trials.values())
    return Measured(trials, has_errors, float(comparison.settings.get("confidence", CONFIDENCE)))


def techniques(strategy: Strategy) -> frozenset[str] | None:
    """Return what a strategy switches on, as in `SWITCHES`; None if its options are no estimator's."""
    try:
        values = effective(EstimatorOptions.from_dict(strategy.options))
    except (QuellError, TypeError, ValueError):
        return None
    return frozenset(name for path, name in SWITCHES.items() if values[path].value)


def raw_of(comparison: Comparison) -> str | None:
    """Return the strategy that others are compared with: named "raw", or the first that switches nothing on."""
    names = [s.name for s in comparison.strategies]
    if "raw" in names:
        return "raw"
    return next((s.name for s in comparison.strategies if techniques(s) == frozenset()), None)


def summaries(comparison: Comparison) -> tuple[Summary, ...]:
    """Return a summary for each strategy, in the order of the comparison."""
    found = {s.name: measured(comparison, s.name) for s in comparison.strategies}
    raw = raw_of(comparison)
    return tuple(_summary(comparison, s, found, raw) for s in comparison.strategies)


def rows(comparison: Comparison) -> tuple[Row, ...]:
    """Return a row for each value and strategy that has it, value by value."""
    found = {s.name: measured(comparison, s.name) for s in comparison.strategies}
    name = raw_of(comparison)
    raw = found[name] if name is not None and found[name].trials else None
    return tuple(
        _row(comparison, s.name, found[s.name], raw, k)
        for k in range(len(comparison.labels))
        for s in comparison.strategies
        if found[s.name].trials
    )


def improvement_over(
    raw: Measured, own: Measured, reference: Floats, values: slice = slice(None)
) -> comparisons.Ratio | None:
    """Return the rms error of `raw` divided by that of `own` in the repeats both have; None if there is no answer."""
    shared = raw.shared_with(own)
    few = len(shared) <= comparisons.FEW_REPEATS
    if not shared or (few and not (raw.has_errors and own.has_errors)):
        return None
    (above, bars_above), (below, bars_below) = raw.arrays(shared), own.arrays(shared)
    return comparisons.rmse_ratio(
        (above[:, values], bars_above[:, values]),
        (below[:, values], bars_below[:, values]),
        reference[values],
        own.confidence,
    )


def _is_finite(trial: Trial) -> bool:
    return all(a is None or bool(np.isfinite(a).all()) for a in (trial.values, trial.errors))


def _summary(
    comparison: Comparison, strategy: Strategy, found: Mapping[str, Measured], raw: str | None
) -> Summary:
    own = found[strategy.name]
    every = [t for t in comparison.trials if t.strategy == strategy.name]
    failed = len(every) - len(own.trials)
    reasons = list(comparison.failures_of(strategy.name))
    if any(t.values is not None and not _is_finite(t) for t in every):
        reasons.append("values are not finite")
    why = "; ".join(reasons) or "no reason was given"
    notes = tuple(dict.fromkeys(note for t in own.trials.values() for note in t.notes))
    fields: dict[str, Any] = {
        "name": strategy.name,
        "description": strategy.description,
        "is_raw": strategy.name == raw,
        "failed_repeats": failed,
    }
    if not own.trials:
        return Summary(**fields, failure=why if every else "was not run")
    if failed:
        notes += (f"no values in {failed} of {len(every)} repeats: {why}",)
    fields |= {"notes": notes, "repeats": len(own.trials)} | _costs(own)
    values, errors = own.arrays()
    if own.has_errors:
        fields["mean_error"] = float(np.sqrt((errors**2).mean()))
    if len(values) > 1:
        fields["spread"] = float(np.sqrt(values.var(axis=0, ddof=1).mean()))
    if comparison.reference is not None:
        fields |= _accuracy(own, values, errors, comparison.reference)
    if raw is not None and found[raw].trials:
        fields |= _against_raw(comparison, own, found[raw])
    fields["agreement"] = {
        name: z
        for name, other in found.items()
        if name != strategy.name and (z := _agreement(own, other)) is not None
    }
    return Summary(**fields)


def _costs(own: Measured) -> dict[str, Any]:
    """Return means over repeats of what a strategy took."""

    def mean(read: Callable[[Trial], float | None]) -> float | None:
        known = [x for t in own.trials.values() if (x := read(t)) is not None]
        return float(np.mean(known)) if known else None

    return {
        "circuits": mean(lambda t: t.circuits),
        "shots": mean(lambda t: t.shots),
        "calibration_shots": mean(lambda t: t.calibration_shots),
        "executed_shots": mean(lambda t: t.executed_shots),
        "gamma_squared": mean(lambda t: t.gamma_squared),
        "qpu_seconds": mean(lambda t: t.qpu_seconds),
        "seconds": {part: mean(lambda t, part=part: t.seconds.get(part, 0.0)) for part in PARTS},  # type: ignore[misc]
    }


def _accuracy(own: Measured, values: Floats, errors: Floats, reference: Floats) -> dict[str, Any]:
    """Return what compares a strategy with the reference."""
    single = len(values) == 1
    rmse, rmse_error = comparisons.rmse(values, errors, reference)
    bias, bias_error = comparisons.rms_bias(values, errors, reference)
    fields: dict[str, Any] = {"rmse": rmse}
    if not (single and not own.has_errors):
        # Without error bars a single repeat does not tell bias from noise.
        fields |= {"rmse_error": rmse_error, "bias": bias, "bias_error": bias_error}
    if own.has_errors:
        fields |= _covered(own, values, errors, reference)
        fields["z_rms"] = comparisons.z_rms(values, errors, reference)
    return fields


def _covered(own: Measured, values: Floats, errors: Floats, reference: Floats) -> dict[str, Any]:
    found = comparisons.coverage(values, errors, reference, own.confidence)
    return {
        "coverage": found.fraction,
        "coverage_interval": (found.low, found.high),
        "covered": found.covered,
        "intervals": found.total,
    }


def _against_raw(comparison: Comparison, own: Measured, raw: Measured) -> dict[str, Any]:
    """Return what compares a strategy with the raw one."""
    fields: dict[str, Any] = {}
    if comparison.reference is not None:
        fields |= _improved(improvement_over(raw, own, comparison.reference))
    if own.has_errors and raw.has_errors:
        shots, raw_shots = (float(np.mean([t.shots for t in m.trials.values()])) for m in (own, raw))
        fields["overhead"] = comparisons.overhead(own.arrays()[1], shots, raw.arrays()[1], raw_shots)
    return fields


def _improved(ratio: comparisons.Ratio | None) -> dict[str, Any]:
    if ratio is None:
        return {}
    return {"improvement": ratio.value, "improvement_interval": (ratio.low, ratio.high)}


def _agreement(own: Measured, other: Measured) -> float | None:
    shared = own.shared_with(other)
    if not shared or not (own.has_errors and other.has_errors):
        return None
    return comparisons.agreement(*own.arrays(shared), *other.arrays(shared))


def _row(comparison: Comparison, name: str, own: Measured, raw: Measured | None, k: int) -> Row:
    here = slice(k, k + 1)
    values, errors = (a[:, here] for a in own.arrays())
    several = len(values) > 1
    mean, error = (float(a[0]) for a in comparisons.bias(values, errors, [0.0]))
    value_error = error if several or own.has_errors else None
    fields: dict[str, Any] = {
        "strategy": name,
        "label": comparison.labels[k],
        "value": mean,
        "value_error": value_error,
        "error": float(np.sqrt((errors**2).mean())) if own.has_errors else None,
        "spread": float(values.std(ddof=1)) if several else None,
    }
    if comparison.reference is not None:
        reference = comparison.reference[here]
        rmse, rmse_error = comparisons.rmse(values, errors, reference)
        known = float(reference[0])
        fields |= {"reference": known, "bias": mean - known, "bias_error": value_error, "rmse": rmse}
        if value_error is not None:
            fields["rmse_error"] = rmse_error
        if own.has_errors:
            fields |= _covered(own, values, errors, reference)
        if raw is not None:
            fields |= _improved(improvement_over(raw, own, comparison.reference, here))
    return Row(**fields)
