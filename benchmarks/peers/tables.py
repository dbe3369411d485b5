"""Figures and tables from outcomes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .records import Outcome

OURS, VENDOR = "quell level 2", "vendor level 2"
#: Of the bootstrap that says how far a ratio of mean errors is known.
_RESAMPLES = 4000


@dataclass(frozen=True)
class Figures:
    """What one method did on one family under one noise.

    Attributes:
        runs: Outcomes with a value.
        failures: Outcomes without one.
        error: Mean absolute error.
        error_stderr: Its standard error over the runs, None with one.
        rms: Root mean square error.
        bias: Mean error.
        bias_stderr: Its standard error.
        bar: Mean of the error bars that were given, None if there are none.
        covered: How many of the nominal 95 % intervals hold the truth.
        covered_mean: How many of them hold the mean of all runs instead, which tells error bars from bias.
        bars: Number of intervals.
        circuits: Mean number of circuits.
        shots: Largest number of shots, calibration included, as counted by the simulator.
        seconds: Median wall time.
        ratio: Mean error over that of quell on the same seeds, None where they share none.
        ratio_interval: 95 % interval of it, by resampling the seeds.
        shared: Number of those seeds.
    """

    method: str
    family: str
    noise: str
    runs: int
    failures: int
    error: float
    error_stderr: float | None
    rms: float
    bias: float
    bias_stderr: float | None
    bar: float | None
    covered: int
    covered_mean: int
    bars: int
    circuits: float
    shots: int
    seconds: float
    ratio: float | None
    ratio_interval: tuple[float, float] | None
    shared: int

    def plain(self) -> dict[str, Any]:
        """Return a dict with figures rounded to what they are known to."""
        return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in asdict(self).items()}


def _ratio(
    theirs: Sequence[Outcome], ours: Sequence[Outcome]
) -> tuple[float, tuple[float, float], int] | None:
    """Return mean error of theirs over ours on the seeds that both have, its interval, and how many these are."""
    mine = {(o.case.seed, o.case.repetition): abs(o.error) for o in ours}
    pairs = [(abs(o.error), mine[k]) for o in theirs if (k := (o.case.seed, o.case.repetition)) in mine]
    if len(pairs) < 2:
        return None
    errors = np.array(pairs)
    if not errors[:, 1].any():
        return None
    draws = np.random.default_rng(0).integers(len(pairs), size=(_RESAMPLES, len(pairs)))
    sums = errors[draws].sum(axis=1)
    low, high = np.quantile(sums[:, 0] / np.maximum(sums[:, 1], 1e-12), (0.025, 0.975))
    return float(errors[:, 0].sum() / errors[:, 1].sum()), (float(low), float(high)), len(pairs)


def figures(outcomes: Sequence[Outcome]) -> list[Figures]:
    """Return one row per method, family and noise, in the order in which they came."""
    groups: dict[tuple[str, str, str], list[Outcome]] = {}
    for o in outcomes:
        groups.setdefault((o.case.family, o.case.noise, o.case.method), []).append(o)
    found = []
    for (family, noise, method), group in groups.items():
        good = [o for o in group if o.value is not None]
        if not good:
            continue
        errors = np.array([o.error for o in good])
        root = math.sqrt(len(good))
        spread = [float(np.std(x, ddof=1)) / root if len(good) > 1 else None for x in (errors, abs(errors))]
        barred = [(o.error, o.stderr) for o in good if o.stderr is not None]
        held = [abs(e) <= 1.96 * s for e, s in barred]
        held_mean = [abs(e - errors.mean()) <= 1.96 * s for e, s in barred]
        ours = [o for o in groups.get((family, noise, OURS), []) if o.value is not None]
        ratio = _ratio(good, ours) if method != OURS else None
        found.append(
            Figures(
                method,
                family,
                noise,
                len(good),
                len(group) - len(good),
                float(abs(errors).mean()),
                spread[1],
                float(np.sqrt(np.mean(errors**2))),
                float(errors.mean()),
                spread[0],
                float(np.mean([s for _, s in barred])) if barred else None,
                int(sum(held)),
                int(sum(held_mean)),
                len(held),
                float(np.mean([o.circuits for o in good])),
                max(o.shots for o in good),
                float(np.median([o.seconds for o in good])),
                *(ratio or (None, None, 0)),
            )
        )
    return found


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def accuracy_table(rows: Sequence[Figures], titles: dict[str, str]) -> str:
    """Return a table for each family and noise, methods by their error."""
    parts = []
    header = [
        "method", "runs", "mean abs. error", "rms", "mean error", "error bar", "covered",
        "ratio to quell (95 %)", "circuits", "shots", "seconds",
    ]  # fmt: skip
    for family, noise in dict.fromkeys((r.family, r.noise) for r in rows):
        mine = sorted((r for r in rows if (r.family, r.noise) == (family, noise)), key=lambda r: r.error)
        cells = [
            [
                f"**{r.method}**" if r.method == OURS else r.method,
                str(r.runs) + (f" ({r.failures} failed)" if r.failures else ""),
                _with(r.error, r.error_stderr, ""),
                f"{r.rms:.4f}",
                _with(r.bias, r.bias_stderr, "+"),
                "none" if r.bar is None else f"{r.bar:.4f}",
                "" if not r.bars else f"{r.covered}/{r.bars}",
                _interval(r),
                f"{r.circuits:.0f}",
                str(r.shots),
                f"{r.seconds:.1f}",
            ]
            for r in mine
        ]
        parts.append(f"### {family}, {titles[noise]}\n\n{_markdown(header, cells)}")
    return "\n\n".join(parts)


def _with(value: float, error: float | None, sign: str) -> str:
    return f"{value:{sign}.4f}" + ("" if error is None else f" ± {error:.4f}")


def _interval(r: Figures) -> str:
    if r.ratio is None or r.ratio_interval is None:
        return ""
    return f"{r.ratio:.2f} ({r.ratio_interval[0]:.2f}-{r.ratio_interval[1]:.2f})"


def summary_table(rows: Sequence[Figures], titles: dict[str, str], least: int) -> str:
    """Return quell against the vendor and mitiq's best recipe, with the two promises.

    Args:
        rows: Figures.
        titles: What a noise is called.
        least: Runs that a recipe needs to be the best.
    """
    header = [
        "family", "noise", "quell level 2", "vendor level 2", "vendor / quell (95 %)", "at least 2",
        "mitiq's best", "its error", "mitiq / quell (95 %)", "at least 1",
    ]  # fmt: skip
    cells = []
    for family, noise in dict.fromkeys((r.family, r.noise) for r in rows):
        mine = {r.method: r for r in rows if (r.family, r.noise) == (family, noise)}
        if OURS not in mine:
            continue
        row = [family, titles[noise], f"{mine[OURS].error:.4f} (n {mine[OURS].runs})"]
        recipes = [r for m, r in mine.items() if m.startswith("mitiq") and r.runs >= least]
        best = min(recipes, key=lambda r: r.error, default=None)
        for rival, bound, named in ((mine.get(VENDOR), 2.0, False), (best, 1.0, True)):
            if rival is None:
                row += [""] * (3 + named)
                continue
            row += [rival.method] if named else []
            verdict = "" if rival.ratio is None else "yes" if rival.ratio >= bound else "NO"
            row += [f"{rival.error:.4f} (n {rival.runs})", _interval(rival), verdict]
        cells.append(row)
    return _markdown(header, cells)


def coverage_table(rows: Sequence[Figures], titles: dict[str, str]) -> str:
    """Return how often nominal 95 % intervals hold the truth, and whether error bars are those of the spread."""
    header = [
        "family", "noise", "method", "runs", "spread", "mean error bar", "mean error", "truth covered",
        "95 % interval of it", "own mean covered", "shots",
    ]  # fmt: skip
    cells = []
    for r in rows:
        if not r.bars:
            continue
        low, high = _wilson(r.covered, r.bars)
        spread = "" if r.bias_stderr is None else f"{r.bias_stderr * math.sqrt(r.runs):.4f}"
        cells.append(
            [
                r.family,
                titles[r.noise],
                r.method,
                str(r.runs),
                spread,
                f"{r.bar:.4f}",
                _with(r.bias, r.bias_stderr, "+"),
                f"{100 * r.covered / r.bars:.1f} %",
                f"{100 * low:.0f}-{100 * high:.0f} %",
                f"{100 * r.covered_mean / r.bars:.1f} %",
                str(r.shots),
            ]
        )
    return _markdown(header, cells)


def _wilson(hits: int, number: int) -> tuple[float, float]:
    z = 1.96
    share = hits / number
    middle = (share + z * z / (2 * number)) / (1 + z * z / number)
    half = z * math.sqrt(share * (1 - share) / number + z * z / (4 * number**2)) / (1 + z * z / number)
    return middle - half, min(1.0, middle + half)
