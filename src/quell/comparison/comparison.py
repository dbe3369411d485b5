"""The outcome of a comparison: tables, pictures, the best strategy and why."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from attrs import frozen

from ..errors import InputError, Problem
from . import advice, tables
from .pictures import draw
from .recommendation import Recommendation
from .records import Floats, Strategy, Trial
from .report import write
from .summary import Row, Summary, rows, summaries

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: What `save` writes, so that later versions know what they read.
FORMAT: Final = "quell-comparison"
FORMAT_VERSION: Final = 1


@frozen(eq=False, slots=False)
class Comparison:
    """Mitigation strategies side by side.

    Attributes:
        strategies: What was compared, in the order given.
        labels: One for each value: the observable, with PUB and parameter set where there are several.
        reference: float64 (values,): what the values should be; None if nobody knows.
        reference_source: Where it is from, in words; empty without a reference.
        trials: One for each strategy and repeat that was run.
        settings: How it was run, as plain data: "repeats", "seed", "total_shots", "confidence", "qpu_model".
        device: Name of the device.
        environment: Versions of Python and packages, and the date.
    """

    strategies: tuple[Strategy, ...]
    labels: tuple[str, ...]
    reference: Floats | None
    reference_source: str
    trials: tuple[Trial, ...]
    settings: Mapping[str, Any]
    device: str
    environment: Mapping[str, Any]

    # --- what was measured ------------------------------------------------------------------

    def strategy(self, name: str) -> Strategy:
        """Return a strategy by its name.

        Raises:
            InputError: There is none of this name.
        """
        for strategy in self.strategies:
            if strategy.name == name:
                return strategy
        names = ", ".join(s.name for s in self.strategies)
        raise InputError.of([Problem("strategy", f"{name!r} was not compared", f"there are {names}")])

    def trials_of(self, name: str) -> tuple[Trial, ...]:
        """Return the trials of a strategy that have values, in the order of repeats."""
        own = (t for t in self.trials if t.strategy == name and t.values is not None)
        return tuple(sorted(own, key=lambda t: t.repeat))

    def failures_of(self, name: str) -> tuple[str, ...]:
        """Return why trials of a strategy have no values, each reason once."""
        return tuple(dict.fromkeys(t.failure for t in self.trials if t.strategy == name and t.failure))

    def values_of(self, name: str) -> Floats:
        """Return the values of a strategy: float64 (repeats, values)."""
        found = [t.values for t in self.trials_of(name) if t.values is not None]
        return np.array(found, dtype=np.float64).reshape(len(found), len(self.labels))

    def errors_of(self, name: str) -> Floats:
        """Return the error bars of a strategy: float64 (repeats, values)."""
        found = [t.errors for t in self.trials_of(name) if t.errors is not None]
        return np.array(found, dtype=np.float64).reshape(len(found), len(self.labels))

    # --- what it says -----------------------------------------------------------------------

    @cached_property
    def summaries(self) -> tuple[Summary, ...]:
        """One for each strategy, over all values: errors, coverage, improvement over raw, costs."""
        return summaries(self)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """One for each strategy and value."""
        return rows(self)

    def table(self, style: str = "markdown", *, per_value: bool = False) -> Any:
        """Return the summary as tables.

        Args:
            style: "markdown" for a text, "rich" for what rich prints.
            per_value: Whether a table of every value is added.

        Raises:
            InputError: There is no such style.
            MissingDependencyError: rich is not installed.
        """
        if style not in ("markdown", "rich"):
            raise InputError.of([Problem("style", f"must be 'markdown' or 'rich' (got {style!r})")])
        write = tables.markdown if style == "markdown" else tables.rich_table
        return write(self, per_value)

    def best(self, criterion: str = "rmse") -> str:
        """Return the name of the best strategy.

        Args:
            criterion: "rmse", "bias", "error", "cost" (rmse at equal shots), "time" (rmse at equal QPU time) or
                "coverage".

        Raises:
            InputError: There is no such criterion, or no strategy that it could be asked of.
        """
        return advice.best(self, criterion)

    def recommend(self) -> Recommendation:
        """Return which strategy to use, and why, in words."""
        return advice.recommend(self)

    def plot(self, picture: str = "values", **how: Any) -> Figure:
        """Draw values with error bars ("values"), error against cost ("costs") or intervals ("coverage").

        Raises:
            InputError: There is no such picture, or nothing to draw.
            MissingDependencyError: matplotlib is not installed.
        """
        return draw(self, picture, **how)

    def report(self, folder: str | os.PathLike[str], *, html: bool = False) -> list[Path]:
        """Write JSON, Markdown, pictures and perhaps a self-contained HTML page; return the files."""
        return write(self, folder, html=html)

    def __str__(self) -> str:
        return str(self.table())

    def __repr__(self) -> str:
        names = ", ".join(s.name for s in self.strategies)
        return (
            f"<Comparison of {names} on {self.device}: {len(self.labels)} values, {len(self.trials)} trials>"
        )

    # --- plain data -------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return trials, summaries and rows as plain data."""
        return tables.as_dict(self)

    def to_dataframe(self) -> Any:
        """Return one row for each strategy, repeat and value as a pandas DataFrame.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        return tables.dataframe(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything as JSON, which `load` reads; return the path."""
        data = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "device": self.device,
            "labels": list(self.labels),
            "reference": None if self.reference is None else self.reference.tolist(),
            "reference_source": self.reference_source,
            "settings": dict(self.settings),
            "environment": dict(self.environment),
            "strategies": [s.to_dict() for s in self.strategies],
            "trials": [t.to_dict() for t in self.trials],
        }
        target = Path(path)
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        partial.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        partial.replace(target)
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises:
            InputError: The file cannot be read, or is no comparison.
        """
        where, fix = str(path), "give a file that Comparison.save wrote"
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError.of([Problem(where, f"cannot be read: {error}", fix)]) from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise InputError.of([Problem(where, "is no comparison", fix)])
        try:
            return cls._read(data, where)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            rule = f"is damaged: {type(error).__name__} {error}"
            raise InputError.of([Problem(where, rule, fix)]) from error

    @classmethod
    def _read(cls, data: Mapping[str, Any], where: str) -> Self:
        if data["version"] > FORMAT_VERSION:
            rule = f"has version {data['version']}, this quell reads up to {FORMAT_VERSION}"
            raise InputError.of([Problem(where, rule, "update quell")])
        reference = data["reference"]
        return cls(
            strategies=tuple(Strategy.from_dict(s) for s in data["strategies"]),
            labels=tuple(data["labels"]),
            reference=None if reference is None else np.array(reference, dtype=np.float64),
            reference_source=data["reference_source"],
            trials=tuple(Trial.from_dict(t) for t in data["trials"]),
            settings=data["settings"],
            device=data["device"],
            environment=data["environment"],
        )
