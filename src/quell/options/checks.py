"""Checks of single values: each takes what the user gave and returns what the tree stores.

A check raises `ValueError(rule)` or `ValueError(rule, fix)`; the group that holds the option adds the path
(see `group`). Numpy scalars are unwrapped to plain Python ones, so trees compare, print and serialise alike
however the value was computed.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, TypeAlias

Check: TypeAlias = Callable[[Any], Any]


def boolean(*also: str | None) -> Check:
    """Return a check for True and False; 0, 1 and "yes" are not booleans.

    Args:
        *also: Other values that are accepted as they are, such as `None` or "auto".
    """

    def convert(value: Any) -> bool:
        if not isinstance(value, bool):
            raise TypeError
        return value

    return _check("True or False", convert, also)


def integer(minimum: int, *also: str | None) -> Check:
    """Return a check for integers from `minimum`; True is not an integer.

    Args:
        minimum: The smallest integer that is accepted.
        *also: Other values that are accepted as they are, such as `None` or "auto".
    """

    def convert(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise TypeError
        if value < minimum:
            raise ValueError
        return int(value)

    return _check(f"an integer >= {minimum}", convert, also)


def positive(*also: str | None) -> Check:
    """Return a check for finite numbers above zero; integers become floats, True is not a number.

    Args:
        *also: Other values that are accepted as they are, such as `None` or "auto".
    """

    def convert(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError
        number = float(value)  # OverflowError for an integer beyond the floats
        if not (math.isfinite(number) and number > 0):
            raise ValueError
        return number

    return _check("a finite number > 0", convert, also)


def choice(*names: str, spelling: tuple[str, str] | None = None) -> Check:
    """Return a check for one of `names`.

    Args:
        *names: The accepted names, as stored.
        spelling: A character and what it is replaced by first, for names that users know in two spellings.
    """

    def check(value: Any) -> str:
        value = _plain(value)
        name = value.replace(*spelling) if spelling and isinstance(value, str) else value
        if isinstance(name, str) and name in names:
            return name
        near = get_close_matches(name, names, n=1) if isinstance(name, str) else []
        rule = f"must be one of {', '.join(map(repr, names))}, not {reprlib.repr(value)}"
        raise ValueError(rule, f"did you mean {near[0]!r}?" if near else "")

    return check


def level(value: Any) -> int:
    """Return a resilience level; 2 is known and refused."""
    value = _plain(value)
    if isinstance(value, Integral) and not isinstance(value, bool):
        if value in (0, 1):
            return int(value)
        if value == 2:
            # Running level 1 in its place would give numbers that look mitigated and are not.
            rule = "resilience_level 2 needs zero-noise extrapolation, which this version does not have"
            raise ValueError(rule, "set 0 or 1")
    raise ValueError(f"must be 0 or 1, not {reprlib.repr(value)}")


def keywords(value: Any) -> dict[str, Any]:
    """Return a copy of keyword arguments for `backend.run`."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a dict of keyword arguments, not {reprlib.repr(value)}")
    for name in value:
        if not isinstance(name, str):
            raise ValueError(f"must have strings as keys, not {reprlib.repr(name)}")
    if "shots" in value:
        # A second place for shots would either clash with the planned ones or silently win over them.
        raise ValueError("cannot hold 'shots'", "set default_shots, or give shots or a precision to run()")
    return {name: copied(item) for name, item in value.items()}


def copied(value: Any) -> Any:
    """Return `value` with dicts, lists and tuples copied at every depth and all else as it is.

    Not `copy.deepcopy`: what backends take may hold live objects (noise models, callbacks, locks) that must
    arrive unchanged or cannot be copied.
    """
    if type(value) is dict:
        return {key: copied(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(copied(item) for item in value)
    return value


def _check(what: str, convert: Callable[[Any], Any], also: tuple[str | None, ...]) -> Check:
    """Return a check that accepts what `convert` takes or a value of `also`, and names both if it fails."""
    expected = " or ".join((what, *map(repr, also)))

    def check(value: Any) -> Any:
        value = _plain(value)
        if (value is None or isinstance(value, str)) and value in also:
            return value
        try:
            return convert(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"must be {expected}, not {reprlib.repr(value)}") from None

    return check


def _plain(value: Any) -> Any:
    """Return the Python scalar in a numpy scalar or zero-dimensional array, any other value as it is."""
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value
