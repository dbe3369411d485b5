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
        """Return the requirements (see `calibration.requirements`) whose outcome `combine` takes."""
        return ()

    def needs(self, task: Task) -> Iterable[Any]:
        """Return the requirements whose outcome `expand` takes: they are met before the task is planned further.

        In `known` their place is taken by the outcome itself.
        """
        return ()

    def forecast(self, task: Task) -> tuple[int, int | None]:
        """Return about how many shots a task takes at least and at most (None: no limit) while needs are not known.

        For stages that have needs.
        """
        raise TypeError(f"{type(self).__name__} has needs and must define forecast()")

    def expand(
        self, task: Task, known: Mapping[Any, Any], rng: np.random.Generator
    ) -> tuple[Sequence[Child], Any]:
        """Return the tasks to run instead, and the residue (plain data) that `combine` will need."""
        raise TypeError(f"{type(self).__name__} must define expand()")

    def combine(self, residue: Any, results: Sequence[Result]) -> Out:
        """Turn one result per child, in order, into the result of the task."""
        raise TypeError(f"{type(self).__name__} must define combine()")

    def describe(self, residue: Any = None) -> str:
        """Return one line for the printed plan; `residue` is what `expand` returned, None before."""
        return type(self).__name__
