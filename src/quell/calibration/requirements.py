"""Requirements: what must be known, how it is learned, and what comes out.

A requirement is a hashable value: what must be known, and the effort with which it is learned. `merged` lets PUBs
with different settings share one experiment, `serves` lets a job use what another one found out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np

from ..circuits.program import Program
from ..circuits.samples import Samples


class Requirement(Protocol):
    """Something that must be known before results can be combined."""

    def merged(self, other: Any) -> Self | None:
        """Return one requirement that serves both, None if there is none."""

    def serves(self, other: Any) -> bool:
        """Return whether what this finds out is enough for `other`, in extent and in effort."""

    def experiment(self, rng: np.random.Generator) -> tuple[Sequence[Program], Any]:
        """Return the programs to run, and the residue that `fit` needs."""

    def fit(self, residue: Any, results: Sequence[Samples]) -> Any:
        """Turn one result per program into what is known."""

    def describe(self) -> str:
        """Return one line for the plan."""
