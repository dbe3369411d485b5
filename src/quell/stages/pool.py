"""Rounds of one estimate: what was measured in two of them, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from .base import Stage
from .estimate import Estimate
from .sums import pooled


@frozen
class Pool(Stage[Any, Any, Estimate, Estimate]):
    """Average estimates of the same values, weighted by their shots."""

    def expand(
        self, task: Any, known: Mapping[Any, Any], rng: np.random.Generator
    ) -> tuple[Sequence[Any], None]:
        """Return the task as it is: rounds are added once the ones before are measured."""
        return [task], None

    def combine(self, residue: None, results: Sequence[Estimate]) -> Estimate:
        """Return the mean."""
        return pooled(results)

    def describe(self, residue: Any = None) -> str:
        """Return one line for the plan."""
        return "Pool the rounds"
