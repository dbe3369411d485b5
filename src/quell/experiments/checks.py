"""Checks of values that only experiments have; see `options.checks` for what a check is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..options.checks import Check, integer


def text(value: Any) -> str:
    """Return a string that is not empty, and could be the name of a file."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError(f"must be text, not {value!r:.60}")
    return value


def prose(value: Any) -> str:
    """Return a string, which may be empty."""
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {value!r:.60}")
    return value


def between(low: int, high: int, *, step: int = 1) -> Check:
    """Return a check for integers from `low` to `high`, `step` apart."""
    what = f"must be {'an even' if step == 2 else 'an'} integer from {low} to {high}"

    def check(value: Any) -> int:
        try:
            number: int = integer(low)(value)
        except ValueError:
            raise ValueError(f"{what}, not {value!r:.60}") from None
        if number > high or (number - low) % step:
            raise ValueError(f"{what}, not {number}")
        return number

    return check


def number(what: str, accepts: Callable[[float], bool]) -> Check:
    """Return a check for finite numbers that a function accepts; `what` says which."""

    def check(value: Any) -> float:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not -1e100 < value < 1e100 or not accepts(float(value)):  # refuses nan too
            raise ValueError(f"must be {what}, not {value!r:.60}")
        return float(value)

    return check


#: Any finite number.
real: Check = number("a finite number", lambda value: True)
#: A probability.
fraction: Check = number("a number from 0 to 1", lambda value: 0 <= value <= 1)


def reals(value: Any) -> tuple[float, ...]:
    """Return a list of finite numbers, not empty, as a tuple."""
    if not isinstance(value, list) or not value:
        raise ValueError(f"must be a list of numbers, not {value!r:.60}")
    return tuple(real(item) for item in value)


def qubits(value: Any) -> tuple[int, ...]:
    """Return a list of different qubits as a tuple."""
    if not isinstance(value, list) or not value or len({str(item) for item in value}) < len(value):
        raise ValueError(f"must be a list of different qubits, not {value!r:.60}")
    return tuple(integer(0)(item) for item in value)


def table(value: Any) -> dict[str, Any]:
    """Return a table."""
    if not isinstance(value, dict):
        raise ValueError(f"must be a table, not {value!r:.60}")
    return value
