"""What every stage is: a frozen value that rewrites a task going down and combines results coming up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

Task = TypeVar("Task")
Child = TypeVar("Child")
Result = TypeVar("Result")
Out = TypeVar("Out")


class Stage(Generic[Task, Child, Result, Out]):
    """One layer of the onion; both methods are pure.

    A child may also be a `pipeline.Learned` taken from `known`: its place in `results` then holds what was
    learned.
    """

    def requires(self, task: Task) -> Iterable[Any]:
        """Return the requirements (see `calibration.requirements`) of this stage for a task."""
        return ()

    def expand(
        self, task: Task, known: Mapping[Any, Any], rng: np.random.Generator
    ) -> tuple[Sequence[Child], Any]:
        """Return the tasks to run instead, and the residue (plain data) that `combine` will need."""
        raise TypeError(f"{type(self).__name__} must define expand()")

    def combine(self, residue: Any, results: Sequence[Result]) -> Out:
        """Turn one result per child, in order, into the result of the task."""
        raise TypeError(f"{type(self).__name__} must define combine()")

    def describe(self) -> str:
        """Return one line for the printed plan."""
        return type(self).__name__
