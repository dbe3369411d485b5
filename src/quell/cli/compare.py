"""``quell compare`` and ``quell plan``: an experiment file, what it costs, and what comes out of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from ..comparison.advice import recommend
from ..comparison.comparison import Comparison
from ..comparison.tables import as_dict, rich_cells, rich_table
from ..errors import InputError
from ..experiments.costs import Costs, cells, costs
from ..experiments.files import Experiment, load
from ..experiments.folders import default_folder, finished
from ..experiments.run import Prepared, prepare, run

#: Exit code of a program that Ctrl-C ended.
INTERRUPTED: Final = 130


class Stopped(Exception):
    """The comparison was stopped; what is finished is kept."""


def compare(path: Path, out: Path | None, *, html: bool, fresh: bool, as_json: bool, console: Console) -> int:
    """Run an experiment and print what came out; return the exit code.

    Raises:
        QuellError: The experiment is wrong, or the folder cannot be used.
        Stopped: It was stopped by Ctrl-C.
    """
    experiment = load(path)
    folder = default_folder(path) if out is None else out
    prepared = prepare(experiment, 0 if fresh else finished(folder))
    if not as_json:
        headline(experiment, prepared, console)
    try:
        with _Bars() as bars:
            comparison, files = run(experiment, prepared, folder, html=html, fresh=fresh, callback=bars.watch)
    except KeyboardInterrupt:
        raise Stopped(f"stopped; finished trials are kept in {folder}, the same command goes on") from None
    if as_json:
        print(json.dumps(as_dict(comparison), indent=1))
    else:
        results(comparison, files, folder, console)
    return int(any(comparison.failures_of(strategy.name) for strategy in comparison.strategies))


def headline(experiment: Experiment, prepared: Prepared, console: Console) -> None:
    """Print what is compared."""
    head = experiment.head
    shots = [
        f"{number} {what}"
        for number, what in (
            (head.shots, "shots a setting"),
            (head.total_shots, "shots a strategy in all"),
            (head.precision, "precision"),
        )
        if number is not None
    ]
    facts = [
        _plural(len(prepared.strategies), "strategy", "strategies"),
        _plural(len(prepared.pubs), "circuit"),
        _plural(len(prepared.labels), "value"),
        _plural(head.repeats, "repeat"),
        *shots,
    ]
    console.print(Text(experiment.title, "bold"))
    console.print(Text(f"{prepared.device}: {', '.join(facts)}"))
    console.print()


def results(comparison: Comparison, files: list[Path], folder: Path, console: Console) -> None:
    """Print tables, the recommendation, and where the files are."""
    console.print(rich_table(comparison))
    try:
        advice = recommend(comparison)
    except InputError as error:  # no strategy has values
        console.print(Text(f"No recommendation: {error}"))
    else:
        console.print(Text.assemble(("Recommended: ", "bold"), (advice.strategy, "bold green")))
        console.print(Text(str(advice)))
        for warning in advice.warnings:
            console.print(Text(f"Mind: {warning}"))
    console.print()
    names = ", ".join(file.name for file in files)
    console.print(Text(f"Written to {folder}: {names}"), soft_wrap=True)


def plan(path: Path, *, as_json: bool, console: Console) -> int:
    """Print what an experiment would cost; return the exit code.

    Raises:
        QuellError: The experiment is wrong.
    """
    experiment = load(path)
    prepared = prepare(experiment)
    found = costs(experiment, prepared)
    if as_json:
        print(json.dumps(found.to_dict(), indent=1))
    else:
        headline(experiment, prepared, console)
        show_costs(found, console)
    return int(any(each.failure for each in found.strategies))


def show_costs(found: Costs, console: Console) -> None:
    """Print the table of costs, and why strategies are refused."""
    console.print(rich_cells(cells(found)))


def _plural(amount: int, one: str, several: str = "") -> str:
    return f"{amount} {one if amount == 1 else several or one + 's'}"


class _Bars:
    """Two bars on the error stream, so that the output can be piped: trials, and circuits of the present one."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description:30.30}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._trials = self._progress.add_task("trials", total=None, unit="trials")
        self._circuits: TaskID = self._progress.add_task("", total=None, unit="circuits")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def watch(
        self, done: int, total: int, strategy: str, repeat: int, circuits: int, circuits_total: int
    ) -> None:
        """Show how far the comparison is."""
        self._progress.update(self._trials, completed=done, total=total)
        self._progress.update(
            self._circuits,
            # Names may contain what rich takes for markup.
            description=f"{strategy}, repeat {repeat + 1}".replace("[", "("),
            completed=circuits,
            total=circuits_total or None,
        )
