"""Run the experiments of this folder and write their tables to ``results/``.

    python benchmarks/experiments/run.py                     # all, one after another
    python benchmarks/experiments/run.py ghz20_stabilizers   # some
    python benchmarks/experiments/run.py --plan              # what they cost; nothing is run

What `quell compare` writes goes to ``runs/NAME`` (not kept in the repository): JSON, pictures, report. Devices draw
shots one after another, so everything starts anew unless `--go-on` is given.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from quell.comparison.cells import Cells, accuracy_cells, number
from quell.comparison.comparison import Comparison
from quell.comparison.tables import markdown_cells
from quell.experiments.costs import cells, costs
from quell.experiments.files import Experiment, load
from quell.experiments.run import prepare, run

FOLDER = Path(__file__).parent
#: From so many circuits on, a table of improvement by circuit is shown.
GRID = 4


def names() -> list[str]:
    """Return the names of the experiments."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def rms(deviations: np.ndarray) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(deviations**2)))


def grid_cells(comparison: Comparison, experiment: Experiment) -> Cells:
    """Return the improvement factor of each strategy by size, over seeds of circuits and repeats; and over all depths.

    Works for experiments whose circuits have one value each.
    """
    assert comparison.reference is not None
    sizes = [
        {key: value for key, value in work.varying.items() if key != "seed"} for work in experiment.workloads
    ]
    strategies = [s.name for s in comparison.strategies if not comparison.failures_of(s.name)]
    errors = {name: comparison.values_of(name) - comparison.reference for name in strategies}
    others = [name for name in strategies if name != "raw"]
    keys = list(sizes[0])
    rows, sections = [], []

    def row(shown: tuple[str, ...], chosen: list[int]) -> tuple[str, ...]:
        raw = rms(errors["raw"][:, chosen])
        factors = (raw / rms(errors[name][:, chosen]) for name in others)
        return *shown, number(raw), *(number(f, 2) for f in factors)

    for first in dict.fromkeys(size[keys[0]] for size in sizes):
        own = [k for k, size in enumerate(sizes) if size[keys[0]] == first]
        for second in dict.fromkeys(sizes[k][keys[1]] for k in own):
            rows.append(row((str(first), str(second)), [k for k in own if sizes[k][keys[1]] == second]))
        rows.append(row((str(first), "all"), own))
        sections.append(len(rows) - 1)
    headers = (*keys, "rms error of raw", *(f"R of {name}" for name in others))
    note = "R: rms error of raw over that of the strategy, over circuits and repeats."
    return Cells("Improvement by circuit", headers, tuple(rows), (), (note,), tuple(sections))


def written(comparison: Comparison, experiment: Experiment, plan: Cells) -> str:
    """Return the result of an experiment as Markdown."""
    facts = comparison.environment
    used = ", ".join(f"{name} {facts[name]}" for name in ("qiskit", "qiskit-aer", "numpy") if name in facts)
    parts = [
        f"# {experiment.title}\n",
        f"{experiment.head.description.strip()}\n",
        f"`python benchmarks/experiments/run.py {experiment.path.stem}`; seed {experiment.head.seed}; {used}.\n",
        markdown_cells(accuracy_cells(comparison)),
    ]
    if len(experiment.workloads) >= GRID:
        parts.append(markdown_cells(grid_cells(comparison, experiment)))
    parts.append(markdown_cells(plan))
    return "\n".join(parts)


def one(name: str, *, only_plan: bool, fresh: bool) -> None:
    experiment = load(FOLDER / f"{name}.toml")
    prepared = prepare(experiment)
    plan = cells(costs(experiment, prepared))
    if only_plan:
        print(f"{experiment.title}\n\n{markdown_cells(plan)}")
        return
    start = time.perf_counter()
    comparison, _ = run(experiment, prepared, FOLDER / "runs" / name, html=True, fresh=fresh)
    text = written(comparison, experiment, plan)
    (FOLDER / "results" / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}; all by default")
    parser.add_argument("--plan", action="store_true", help="print what they cost, and run nothing")
    parser.add_argument("--go-on", action="store_true", help="continue what was stopped")
    given = parser.parse_args()
    unknown = set(given.names) - set(names())
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    for name in given.names or names():
        one(name, only_plan=given.plan, fresh=not given.go_on)


if __name__ == "__main__":
    main()
