"""The result of translating legacy options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from ..group import nested
from ..tree import EstimatorOptions, SamplerOptions
from .rows import Outcome, Primitive


@frozen
class Entry:
    """One legacy key: its value, what became of it, and whether it was a default of the legacy package."""

    key: str
    value: Any
    outcome: Outcome
    implicit: bool = False

    @property
    def old(self) -> str:
        """The key and its value, as text."""
        return f"{_assignment(self.key, self.value)}{' (default of then)' if self.implicit else ''}"

    def __str__(self) -> str:
        outcome = self.outcome
        parts = [", ".join(assignments(outcome.v2))]
        if outcome.quell:
            parts.append(f"in quell only: {', '.join(assignments(outcome.quell))}")
        if outcome.reason:
            where = " from V2" if outcome.quell else ""
            parts.append(f"dropped{where} ({outcome.reason})")
        head = "; ".join(part for part in parts if part)
        return f"{self.old} -> {head or 'nothing to set'}" + (f": {outcome.text}" if outcome.text else "")


@frozen
class Translation:
    """Legacy options in the words of V2.

    Attributes:
        source: The legacy interface, as `translate` names it.
        primitive: The primitive they are for.
        entries: One per legacy key, in the order given.
        options: A quell tree; it also carries what V2 has no option for and quell has.
        v2: Plain nested dict of V2 options; server-side names where only the server has them.
        run: What to pass to run(): shots for a sampler, precision for an estimator.
        shifts: Defaults that are not what they were, for keys that were not given.
    """

    source: str
    primitive: Primitive
    entries: tuple[Entry, ...]
    options: EstimatorOptions | SamplerOptions
    v2: dict[str, Any]
    run: dict[str, Any]
    shifts: tuple[str, ...] = ()

    @property
    def dropped(self) -> dict[str, str]:
        """Keys that no V2 option carries, each with its reason code."""
        return {entry.key: entry.outcome.reason for entry in self.entries if entry.outcome.reason}

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence per legacy key: what happened, and what to do now."""
        return tuple(str(entry) for entry in self.entries)

    def carried(self) -> dict[str, Any]:
        """Return what legacy keys set in quell's tree, as a nested dict; also where it is the default of today."""
        values = {path: v for entry in self.entries for path, v in entry.outcome.v2.items()}
        values |= {path: v for entry in self.entries for path, v in entry.outcome.quell.items()}
        if "experimental.image" in values:  # where the server has it
            values["environment.image"] = values.pop("experimental.image")
        return nested(values)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a plain dict."""
        return {
            "source": self.source,
            "primitive": self.primitive,
            "options": self.options.diff(),
            "v2": self.v2,
            "run": self.run,
            "dropped": self.dropped,
            "notes": list(self.notes),
            "shifts": list(self.shifts),
        }

    def to_python(self) -> str:
        """Return Python statements that make `options`, with comments on what was dropped."""
        lines = [self.options.to_python().rstrip("\n")]
        lines += [f"# {entry}" for entry in self.entries if entry.outcome.reason]
        return "\n".join(lines) + "\n"


def assignments(values: Mapping[str, Any]) -> list[str]:
    """Return paths and values as text, each on one line; long values as their type."""
    return [_assignment(path, value) for path, value in values.items()]


def _assignment(path: str, value: Any) -> str:
    name = path if path.isprintable() else repr(path)
    text = " ".join(repr(value).split())
    return f"{name} = {text if len(text) <= 60 else f'<{type(value).__name__}>'}"
