"""A comparison as Markdown, in the terminal, as plain data and as a data frame."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from attrs import asdict, frozen

from ..errors import MissingDependencyError
from .cells import Cells, accuracy_cells, cost_cells, value_cells
from .records import PARTS

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from .comparison import Comparison

_WRAP = 110
_LONGEST = 28
_COSTS: Final = (
    "circuits", "shots", "calibration_shots", "executed_shots", "gamma_squared", "qpu_seconds",
)  # fmt: skip


def markdown(comparison: Comparison, per_value: bool = False) -> str:
    """Return the tables as Markdown: accuracy, cost, and on demand every value.

    Args:
        comparison: What to show.
        per_value: Whether to add a table of every value.
    """
    return "\n".join(markdown_cells(cells) for cells in _tables(comparison, per_value))


def markdown_cells(cells: Cells) -> str:
    """Return one table as Markdown, its title above and its notes below."""
    lines = [[escaped(cell) for cell in line] for line in (cells.headers, *cells.rows)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    left = [k in cells.left for k in range(len(widths))]
    drawn = [
        "| "
        + " | ".join(c.ljust(w) if at else c.rjust(w) for c, w, at in zip(line, widths, left, strict=True))
        + " |"
        for line in lines
    ]
    rules = ["-" * (w + 2) if at else "-" * (w + 1) + ":" for w, at in zip(widths, left, strict=True)]
    notes = [line for note in cells.notes for line in ("", *textwrap.wrap(escaped(note), _WRAP))]
    return (
        "\n".join([f"**{escaped(cells.title)}**", "", drawn[0], f"|{'|'.join(rules)}|", *drawn[1:], *notes])
        + "\n"
    )


def escaped(text: str) -> str:
    """Return text that is one line of Markdown and no markup: a cell stays a cell whatever a name contains."""
    line = " ".join(text.split())
    for character in "\\|*<`":
        line = line.replace(character, "\\" + character)
    return line


def rich_table(comparison: Comparison, per_value: bool = False) -> RenderableType:
    """Return the tables for the terminal, to be printed by a `rich.console.Console`.

    Args:
        comparison: What to show.
        per_value: Whether to add a table of every value.

    Raises:
        MissingDependencyError: rich is not installed.
    """
    try:
        from rich.console import Group
    except ImportError as error:
        raise MissingDependencyError("tables for the terminal need rich: pip install 'quell[cli]'") from error
    return Group(*(rich_cells(cells) for cells in _tables(comparison, per_value)))


def rich_cells(cells: Cells) -> RenderableType:
    """Return one table for the terminal, its title above and its notes below."""
    from rich.console import Group
    from rich.text import Text

    notes = [Text(note, "dim") for note in cells.notes]
    return Group(
        Text(cells.title, "bold"), Text(), _Drawn(cells), Text(), *notes, *([Text()] if notes else [])
    )


@frozen
class _Drawn:
    """A table that is cut into blocks of columns where the terminal is too narrow for all of them.

    Columns would lose digits, or numbers be broken, if rich had to find room for them.
    """

    cells: Cells

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw as many blocks as it takes; each has the columns that are text."""
        columns = list(zip(self.cells.headers, *self.cells.rows, strict=True))
        left = [k for k in range(len(columns)) if k in self.cells.left]
        # Headers may break at spaces, cells of numbers do not.
        whole = [max(map(len, c)) for c in columns]
        least = [max(map(len, (*c[0].split(), *c[1:]))) for c in columns]
        for k in left:
            whole[k], least[k] = min(whole[k], _LONGEST), min(least[k], _LONGEST)
        widths = whole if _total(whole) <= options.max_width else least
        blocks = [list(left)]
        for k in (k for k in range(len(columns)) if k not in left):
            wider = [*blocks[-1], k]
            if _total(widths[c] for c in wider) > options.max_width and len(blocks[-1]) > len(left):
                blocks.append([*left, k])
            else:
                blocks[-1] = wider
        for number, block in enumerate(blocks):
            if number:
                yield ""
            yield self._block(block, widths)

    def _block(self, columns: Sequence[int], widths: Sequence[int]) -> RenderableType:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        # The box puts a space between columns by itself.
        table = Table(
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            pad_edge=False,
            show_edge=False,
            header_style="bold",
        )
        for k in columns:
            justify: Literal["left", "right"] = "left" if k in self.cells.left else "right"
            header = Text(self.cells.headers[k])
            table.add_column(header, justify=justify, overflow="fold", width=widths[k])
        for number, line in enumerate(self.cells.rows):
            # Text, not str: names may contain what rich takes for markup.
            drawn = [Text(line[k], "red" if line[k] == "failed" else "") for k in columns]
            table.add_row(*drawn, end_section=number in self.cells.sections)
        return table


def _total(widths: Iterable[int]) -> int:
    """Return the width of a table: behind each column is a space, and between two that of the box."""
    found = list(widths)
    return sum(found) + 2 * len(found) - 1


def _tables(comparison: Comparison, per_value: bool) -> list[Cells]:
    own = [value_cells(comparison)] if per_value else []
    return [accuracy_cells(comparison), *own, cost_cells(comparison)]


# --- plain data -------------------------------------------------------------------------------


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """Return everything as plain JSON data: what `Comparison.save` writes, with summaries and rows."""
    from .comparison import FORMAT, FORMAT_VERSION

    reference = comparison.reference
    data = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "device": comparison.device,
        "labels": list(comparison.labels),
        "reference": None if reference is None else reference.tolist(),
        "reference_source": comparison.reference_source,
        "settings": comparison.settings,
        "environment": comparison.environment,
        "strategies": [s.to_dict() for s in comparison.strategies],
        "trials": [t.to_dict() for t in comparison.trials],
        "summaries": [asdict(s) for s in comparison.summaries],
        "rows": [asdict(r) for r in comparison.rows],
    }
    return {key: plain(value) for key, value in data.items()}


def plain(value: Any) -> Any:
    """Return a value as JSON has it: mappings, lists, numbers that are finite, text; None for NaN and infinity."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def dataframe(comparison: Comparison) -> Any:
    """Return a pandas data frame: a line for each strategy, repeat and value, with the costs of the repeat.

    Repeats without values have lines too, with missing values and the reason in "failure".

    Raises:
        MissingDependencyError: pandas is not installed.
    """
    try:
        pandas = import_module("pandas")
    except ImportError as error:
        raise MissingDependencyError("a data frame needs pandas: pip install pandas") from error
    size = len(comparison.labels)
    missing = np.full(size, np.nan)
    reference = missing if comparison.reference is None else comparison.reference
    columns: dict[str, list[Any]] = {}
    for trial in comparison.trials:
        values = missing if trial.values is None else trial.values
        parts = {
            "strategy": [trial.strategy] * size,
            "repeat": [trial.repeat] * size,
            "label": comparison.labels,
            "value": values,
            "error": missing if trial.errors is None else trial.errors,
            "reference": reference,
            "deviation": values - reference,
            "failure": [trial.failure] * size,
            **{name: [getattr(trial, name)] * size for name in _COSTS},
            **{f"{part}_seconds": [trial.seconds.get(part, 0.0)] * size for part in PARTS},
        }
        for name, column in parts.items():
            columns.setdefault(name, []).extend(column)
    return pandas.DataFrame(columns)
