"""Translate a file of legacy options: read it, show what became of each key, write the new options."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from attrs import evolve
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import OptionsError, Problem
from ..options.legacy import Entry, Translation, TranslationError, translate
from ..options.legacy.translation import assignments
from .legacy_file import SUFFIXES, read, title

#: Arguments of `translate` under the names they have on the command line.
_ARGUMENTS: Final = {"source": "--source", "version": "--legacy-version"}
#: Where names that are longer than their column may be broken.
_BREAKS: Final = re.compile(r"(?<=[._/=,])(?=\w)")
_GAP: Final = 2


def migrate(file: str, out: Path | None, to: str | None, **arguments: Any) -> int:
    """Translate a file and print the outcome; return the exit status: 1 if something was dropped, else 0.

    Args:
        file: Path of a JSON, TOML or Python file, "-" for the standard input.
        out: Where the new options go; None for the standard output.
        to: How they are written; None for what the suffix of `out` says, TOML without one.
        arguments: What `translate` takes.

    Raises:
        OptionsError: The file cannot be read or translated, or the new options cannot be written.
    """
    legacy = read(file)
    found = arguments.get("source", "auto") == "auto"
    # The new options have the standard output to themselves wherever they, or what reads it, may need that.
    aside = out is None or not sys.stdout.isatty()
    console = Console(stderr=aside, highlight=False)
    try:
        translation = translate(legacy, **arguments)
    except TranslationError as error:
        refused = frozenset(problem.path for problem in error.problems)
        show(error.translation, Console(stderr=True, highlight=False), refused, found=found)
        raise OptionsError.of(_renamed(error, file)) from None
    except OptionsError as error:
        raise OptionsError.of(_renamed(error, file)) from None
    show(translation, console, frozenset(), found=found)
    kind = to or (SUFFIXES.get(out.suffix.lower(), "toml") if out else "toml")
    text = _written(translation, kind)
    if out is None:
        sys.stdout.write(text)
    else:
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            problem = Problem(str(out), f"cannot be written: {error.strerror}", "name another file")
            raise OptionsError.of([problem]) from error
    return 1 if translation.dropped else 0


def _renamed(error: OptionsError, file: str) -> list[Problem]:
    """Return problems whose paths are what the user gave: options of the command, or the file."""
    names = {**_ARGUMENTS, "legacy": title(file)}
    return [evolve(problem, path=names.get(problem.path, problem.path)) for problem in error.problems]


def _written(translation: Translation, kind: str) -> str:
    if kind == "python":
        return translation.to_python()
    options = translation.options
    try:
        return options.to_json() if kind == "json" else options.to_toml()
    except OptionsError as error:
        other = "--to python writes a comment in its place"
        raise OptionsError.of(evolve(p, fix=f"{p.fix}, or {other}") for p in error.problems) from None


# ------------------------------------------------------------------------------------------------ printing


def show(translation: Translation, console: Console, refused: frozenset[str], *, found: bool) -> None:
    """Print what became of each key, which defaults changed, and what to pass to run().

    Args:
        translation: What to show.
        console: Where to.
        refused: Keys that are errors; their messages follow elsewhere.
        found: Whether the source was found from the keys.
    """
    what = f"From {translation.source} to {translation.primitive} options"
    hint = " (found from the keys; see --source)" if found else ""
    console.print(Text.assemble((what, "bold"), hint))
    console.print()
    if translation.entries:
        console.print(_table(translation.entries, console.width, refused))
    else:
        console.print("No options were given.")
    console.print()
    if refused:
        return
    if translation.shifts:
        console.print("Defaults that changed, for keys that were not given:")
        for sentence in translation.shifts:
            grid = Table.grid(padding=(0, 1))  # so that the text wraps beside the mark
            grid.add_row("-", Text(sentence))
            console.print(grid)
        console.print()
    if translation.run:
        arguments = ", ".join(f"{name}={value!r}" for name, value in translation.run.items())
        console.print(f"For one call, in place of default_shots: run(..., {arguments})\n")
    if not translation.options.diff():
        console.print("No option differs from its default: there is nothing to write.\n")


def _table(entries: tuple[Entry, ...], width: int, refused: frozenset[str]) -> Table:
    """Return the table; long names are broken at their dots, which rich would break anywhere."""
    rows = [(entry.old, _new(entry), _why(entry, entry.key in refused)) for entry in entries]
    headings = ("legacy", "new", "what to do")
    longest = [
        max(len(line) for cell in column for line in cell.split("\n"))
        for column in zip(headings, *rows, strict=True)
    ]
    left = width - 2 * _GAP
    old, new = (min(size, max(left * 32 // 100, 12)) for size in longest[:2])
    widths = (old, new, max(min(longest[2], left - old - new), 12))
    table = Table(
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="dim"
    )
    for heading, size in zip(headings, widths, strict=True):
        table.add_column(heading, width=size, overflow="fold")
    for entry, row in zip(entries, rows, strict=True):
        problem = "red" if entry.key in refused else "yellow" if entry.outcome.reason else ""
        cells = [Text(_wrapped(text, size)) for text, size in zip(row, widths, strict=True)]
        cells[1].stylize("green")
        cells[2].stylize(problem)
        table.add_row(*cells)
    return table


def _new(entry: Entry) -> str:
    return "\n".join(assignments({**entry.outcome.v2, **entry.outcome.quell})) or "-"


def _why(entry: Entry, refused: bool) -> str:
    outcome = entry.outcome
    words = ["error" if refused else outcome.reason, "in quell only" if outcome.quell else None]
    return ": ".join(filter(None, (", ".join(filter(None, words)), outcome.text.replace("`", ""))))


def _wrapped(text: str, width: int) -> str:
    """Return a text in lines of at most `width`, broken between words, and within those that are longer."""
    return "\n".join(line for paragraph in text.split("\n") for line in _lines(paragraph, width))


def _lines(text: str, width: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        parts = [word] if len(word) <= width else _BREAKS.split(word)
        gap = " " if line else ""
        for part in parts:
            if line and len(line) + len(gap) + len(part) > width:
                yield line
                line = part
            else:
                line += gap + part
            gap = ""
    if line:
        yield line
