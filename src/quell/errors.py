"""The exceptions of quell.

::

    QuellError
    ├── OptionsError      an option is unknown, of the wrong type, out of range, or at odds with another
    ├── InputError        a PUB cannot be run as it is (also a ValueError)
    ├── UnsupportedError  the asked combination cannot be done on this circuit or backend
    ├── CalibrationError  what a stage must know could not be learned
    ├── ExecutionError    the device failed; what was measured until then is in `.partial`
    │   └── CancelledError    the job was cancelled or ran out of time (also an InterruptedError)
    └── MissingDependencyError  an optional package is not installed

Every message says path, rule, value and next step; when there are several problems one exception lists
them all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from attrs import frozen


@frozen
class Problem:
    """One thing that is wrong: where, which rule it breaks, and what to do."""

    path: str
    rule: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.rule}" + (f"; {self.fix}" if self.fix else "")


class QuellError(Exception):
    """Root of all exceptions that quell raises on purpose."""

    problems: tuple[Problem, ...] = ()

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Self:
        """Return one exception that lists every problem."""
        problems = tuple(problems)
        if len(problems) == 1:
            error = cls(str(problems[0]))
        else:
            error = cls(f"{len(problems)} problems:\n" + "\n".join(f"  - {problem}" for problem in problems))
        error.problems = problems
        return error

    @classmethod
    def check(cls, problems: Iterable[Problem]) -> None:
        """Raise one exception for all `problems`, if there are any."""
        problems = tuple(problems)
        if problems:
            raise cls.of(problems)


class OptionsError(QuellError, ValueError):
    """An option is unknown, of the wrong type, out of range, or at odds with another."""


class InputError(QuellError, ValueError):
    """A PUB cannot be run as it is."""


class UnsupportedError(QuellError):
    """The asked combination cannot be done on this circuit or backend."""


class CalibrationError(QuellError):
    """What a stage must know could not be learned."""


class ExecutionError(QuellError):
    """The device failed. `partial` keeps what was measured until then, `None` where nothing was."""

    def __init__(self, message: str, partial: Any = None) -> None:
        super().__init__(message)
        self.partial = partial


class CancelledError(ExecutionError, InterruptedError):
    """The job was cancelled or ran out of time. `partial` keeps what was measured until then."""


class MissingDependencyError(QuellError, ImportError):
    """An optional package is not installed; the message says how to install it."""
