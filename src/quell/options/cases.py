"""What a rule may look at: effective values, circuits, and what they run on.

Options know nothing of Qiskit: circuits and backends are asked only what any of them can be asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from .effective import Effective, is_on


@frozen
class Case:
    """Everything a rule may look at: effective values by path, circuits, and the backend or other mode."""

    values: Mapping[str, Effective]
    circuits: tuple[Any, ...]
    backend: Any

    def __getitem__(self, path: str) -> Any:
        """Return an effective value, `None` where this tree has no such option."""
        return self.values[path].value if path in self.values else None

    def is_set(self, path: str) -> bool:
        """Whether the user set the option."""
        return path in self.values and self.values[path].origin == "user"

    @property
    def pea(self) -> bool:
        """Whether learned noise is amplified to be extrapolated."""
        return "resilience.zne.amplifier" in self.values and is_on("resilience.zne.amplifier", self.values)

    @property
    def is_backend(self) -> bool:
        """Whether there is a backend, with options of `run` that can be asked for."""
        return is_backend(self.backend)

    def takes(self, name: str) -> bool:
        """Whether the backend lists `name` among the options of `run`."""
        try:
            return name in self.backend.options
        except (AttributeError, TypeError):
            return False

    @property
    def backend_name(self) -> str:
        """What messages call the backend."""
        return str(getattr(self.backend, "name", None) or type(self.backend).__name__)


def is_backend(mode: Any) -> bool:
    """Return whether a mode is a backend."""
    return hasattr(mode, "run") and hasattr(mode, "target")
