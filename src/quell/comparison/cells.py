"""What the tables of a comparison show, as cells of text; `tables` and reports only draw them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from attrs import frozen

from .records import PARTS
from .summary import CONFIDENCE, Row, Summary

if TYPE_CHECKING:
    from .comparison import Comparison

#: Stands in a cell that has nothing to say.
NOTHING: Final = "-"


@frozen
class Cells:
    """A table as text.

    Attributes:
        title: What it shows, in one line.
        headers: One for each column, with units in brackets.
        rows: Cells of each row.
        left: Numbers of the columns that are text, which stand on the left; the others are numbers.
        notes: Sentences that belong below.
        sections: Numbers of the rows that end a group.
    """

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: tuple[int, ...] = (0,)
    notes: tuple[str, ...] = ()
    sections: tuple[int, ...] = ()


# --- numbers as text --------------------------------------------------------------------------


def with_error(value: float, error: float | None) -> str:
    """Return a value with its error in the last two digits, 0.0123(45); 12.3 ± 1.5 for an error of one and more."""
    if error is None:
        return f"{value:.4g}"
    if error <= 0:
        return f"{value:.6g}"
    error = float(f"{error:.1e}")  # first, since rounding may carry: 0.0996 is 0.10 with two digits
    digits = 1 - math.floor(math.log10(error))
    if digits > 8:
        return f"{value:.3g} ± {error:.1e}"
    text = f"{value:.{max(digits, 0)}f}"
    if not float(text):
        text = text.removeprefix("-")
    return f"{text} ± {error:.{max(digits, 0)}f}" if error >= 1 else f"{text}({round(error * 10**digits)})"


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with some significant digits, `NOTHING` for None."""
    if value is None:
        return NOTHING
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-4 or size >= 1e7:
        return f"{value:.{digits - 1}e}"
    decimals = max(0, digits - 1 - math.floor(math.log10(float(f"{size:.{digits - 1}e}"))))
    return f"{value:.{decimals}f}"


def count(value: float | None) -> str:
    """Return a count, which may be a mean over repeats, with a gap between thousands."""
    return NOTHING if value is None else f"{round(value):,}".replace(",", " ")


def factor(value: float | None, interval: tuple[float, float] | None) -> str:
    """Return a factor with its interval: 4.2 (3.1 to 5.6)."""
    if value is None:
        return NOTHING
    if interval is None:
        return number(value, 2)
    if interval[0] == interval[1]:  # what is compared with itself
        return f"{value:g}"
    return f"{number(value, 2)} ({number(interval[0], 2)} to {number(interval[1], 2)})"


def percentage(found: Summary | Row) -> str:
    """Return coverage with its interval, widened to whole percents: 94 % (88 to 97)."""
    if found.coverage is None or found.coverage_interval is None:
        return NOTHING
    low, high = found.coverage_interval
    return f"{100 * found.coverage:.0f} % ({math.floor(100 * low)} to {math.ceil(100 * high)})"


def counted(found: Summary | Row) -> str:
    """Return coverage as a count: 3 of 3."""
    return NOTHING if found.covered is None else f"{found.covered} of {found.intervals}"


def plural(amount: int, one: str, several: str = "") -> str:
    """Return an amount with its noun."""
    return f"{amount} {one if amount == 1 else several or one + 's'}"


# --- what the tables show ---------------------------------------------------------------------


def accuracy_cells(comparison: Comparison) -> Cells:
    """Return the table of how well each strategy did over all values: against the reference, or one another."""
    found = comparison.summaries
    known, single = comparison.reference is not None, _repeats(found) <= 1
    headers = ["strategy"]
    headers += ["rms error", "bias"] if known else []
    headers += ["error bar"] + ([] if single else ["spread"])
    if known:
        headers += ["improvement"] if any(s.is_raw and not s.failure for s in found) else []
        headers += ["covered" if single else "coverage"]
    else:
        headers += ["agreement"]
    headers += ["shots"]
    lines = tuple(_accuracy_line(s, headers) for s in found)
    sizes = f"{plural(len(comparison.labels), 'value')}, {plural(_repeats(found), 'repeat')}"
    title = "Accuracy" if known else "Consistency"
    notes = (*_remarks(found), _legend(comparison, headers, found))
    return Cells(f"{title}: {sizes}", tuple(headers), lines, notes=notes)


def cost_cells(comparison: Comparison) -> Cells:
    """Return the table of what a repeat of each strategy took."""
    found = comparison.summaries
    headers = ["strategy", "circuits", "shots", "calibration", "executed"]
    headers += ["overhead"] if any(s.overhead is not None for s in found) else []
    headers += ["gamma²"] if any(s.gamma_squared is not None for s in found) else []
    headers += ["QPU (s)", *(f"{part} (s)" for part in PARTS)]
    lines = []
    for s in found:
        cells = {
            "circuits": count(s.circuits),
            "shots": count(s.shots),
            "calibration": count(s.calibration_shots),
            "executed": count(s.executed_shots),
            "overhead": number(s.overhead, 2),
            "gamma²": number(s.gamma_squared),
            "QPU (s)": number(s.qpu_seconds),
            **{f"{part} (s)": number(s.seconds.get(part), 2) for part in PARTS},
        }
        lines.append((s.name, *(NOTHING if s.failure else cells[h] for h in headers[1:])))
    note = (
        "Shots: what a strategy takes by itself, of which calibration learns about the device. Executed: what was run "
        "for it, less where it shares calibrations or data. "
    )
    if "overhead" in headers:
        note += "Overhead: variance of the error bars times shots, in units of raw's. "
    if "gamma²" in headers:
        note += "Gamma²: sampling overhead of cancelled noise. "
    note += (
        "QPU: estimated time on a quantum computer. Prepare, execute, combine: wall time of the run here, "
    )
    note += "without what is shared."
    return Cells("Cost, mean of a repeat", tuple(headers), tuple(lines), notes=(note,))


def value_cells(comparison: Comparison) -> Cells:
    """Return the table of every value: the reference, and what each strategy gave."""
    known, several = comparison.reference is not None, _repeats(comparison.summaries) > 1
    found = comparison.rows
    headers = ["value", "strategy", "mean" if several else "estimate"]
    headers += ["error bar", "spread"] if several else []
    if known:
        headers += ["deviation", *(["rms error"] if several else [])]
        headers += ["improvement"] if any(r.improvement is not None for r in found) else []
        headers += ["covered"] if any(r.covered is not None for r in found) else []
    lines: list[tuple[str, ...]] = []
    sections: list[int] = []
    each = len(found) // max(len(comparison.labels), 1)
    for k, label in enumerate(comparison.labels):
        start = len(lines)
        if comparison.reference is not None:
            exact = with_error(float(comparison.reference[k]), 0.0)
            lines.append(("", "reference", exact, *[""] * (len(headers) - 3)))
        lines += [_value_line(r, headers) for r in found[k * each : (k + 1) * each]]
        if len(lines) > start:
            lines[start] = (label, *lines[start][1:])
            sections.append(len(lines) - 1)
    note = (
        "Mean: over repeats, with the error of a mean that the spread between repeats shows. Error bar: what one "
        "repeat reports. Spread: standard deviation between repeats."
        if several
        else "Estimate: with its error bar in the last digits."
    )
    return Cells("Every value", tuple(headers), tuple(lines), (0, 1), (note,), tuple(sections))


def _repeats(found: Sequence[Summary]) -> int:
    return max((s.repeats for s in found), default=0)


def _accuracy_line(s: Summary, headers: Sequence[str]) -> tuple[str, ...]:
    if s.failure:
        return (s.name, "failed", *[NOTHING] * (len(headers) - 2))
    cells = {
        "rms error": NOTHING if s.rmse is None else with_error(s.rmse, s.rmse_error),
        "bias": NOTHING if s.bias is None else with_error(s.bias, s.bias_error),
        "error bar": number(s.mean_error),
        "spread": number(s.spread),
        "improvement": factor(s.improvement, s.improvement_interval),
        "covered": counted(s),
        "coverage": percentage(s),
        "agreement": _farthest(s),
        "shots": count(s.shots),
    }
    return (s.name, *(cells[h] for h in headers[1:]))


def _value_line(row: Row, headers: Sequence[str]) -> tuple[str, ...]:
    value = with_error(row.value, row.value_error)
    cells = {
        "strategy": row.strategy,
        "mean": value,
        "estimate": value,
        "error bar": number(row.error, 2),
        "spread": number(row.spread, 2),
        "deviation": NOTHING if row.bias is None else with_error(row.bias, row.bias_error),
        "rms error": NOTHING if row.rmse is None else with_error(row.rmse, row.rmse_error),
        "improvement": factor(row.improvement, row.improvement_interval),
        "covered": counted(row),
    }
    return ("", *(cells[h] for h in headers[1:]))


def _farthest(s: Summary) -> str:
    """Return the largest difference from another strategy, and from which."""
    if not s.agreement:
        return NOTHING
    other = max(s.agreement, key=lambda name: s.agreement[name])
    return f"{number(s.agreement[other], 2)} ({other})"


def _remarks(found: Sequence[Summary]) -> list[str]:
    """Return why strategies failed, and notes, each once with the names of all that it is about."""
    said: dict[str, list[str]] = {}
    for s in found:
        for note in s.notes:
            said.setdefault(note, []).append(s.name)
    failures = [f"{s.name} failed: {s.failure}" for s in found if s.failure]
    return failures + [f"{', '.join(names)}: {note}" for note, names in said.items()]


def _legend(comparison: Comparison, headers: Sequence[str], found: Sequence[Summary]) -> str:
    """Return what the columns of the accuracy table are."""
    single = _repeats(found) <= 1
    raw = next((s.name for s in found if s.is_raw), "raw")
    level = f"{100 * float(comparison.settings.get('confidence', CONFIDENCE)):.3g} %"
    subtracted = "error bars" if single else "noise"
    said = {
        "rms error": "Rms error: root mean square deviation from the reference, its error in the last digits.",
        "bias": f"Bias: rms over values of the mean deviation, {subtracted} subtracted.",
        "error bar": "Error bar: rms of those reported.",
        "spread": "Spread: rms standard deviation between repeats.",
        "improvement": f"Improvement: rms error of {raw} over own, with {level} interval, in the repeats both have.",
        "covered": "Covered: values ± 1.96 error bars that contain the reference.",
        "coverage": f"Coverage: share of values ± 1.96 error bars that contain the reference, 95 % if the error "
        f"bars are right, with {level} interval.",
        "agreement": "Agreement: rms difference from the strategy that is farthest, in standard errors of a "
        "difference: about 1 or less if they agree. No reference is known, so bias that all share cannot be seen.",
        "shots": "Shots: of a repeat, calibration included.",
    }
    return " ".join(said[h] for h in headers if h in said)
