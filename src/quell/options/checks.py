"""Checks of single values: each takes what the user gave and returns what the tree stores.

A check raises `ValueError(rule)` or `ValueError(rule, fix)`; the group that holds the option adds the path
(see `group`). Numpy scalars are unwrapped to plain Python ones, so trees compare, print and serialise alike
however the value was computed.
"""

from __future__ import annotations

import math
import os
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from enum import Enum
from numbers import Integral, Real
from typing import Any, Final, TypeAlias

from attrs import frozen

Check: TypeAlias = Callable[[Any], Any]

#: Most shots that anything takes; more is a slip.
MAX_SHOTS: Final = 2**31

_IMAGE = re.compile(r"[a-zA-Z0-9]+([/.\-_][a-zA-Z0-9]+)*:[a-zA-Z0-9]+([.\-_][a-zA-Z0-9]+)*")


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
    return _check(f"an integer >= {minimum}", lambda value: _integer(value, minimum), also)


def positive(*also: str | None) -> Check:
    """Return a check for finite numbers above zero; integers become floats, True is not a number.

    Args:
        *also: Other values that are accepted as they are, such as `None` or "auto".
    """
    return _check("a finite number > 0", lambda value: _number(value, math.ulp(0.0)), also)


def nonnegative(*also: str | None) -> Check:
    """Return a check for finite numbers from zero; integers become floats, True is not a number.

    Args:
        *also: Other values that are accepted as they are, such as `None` or "auto".
    """
    return _check("a finite number >= 0", lambda value: _number(value, 0.0), also)


def numbers(minimum: float, *also: str, at_least: int = 1) -> Check:
    """Return a check for sequences of finite numbers, stored as a tuple of floats.

    Args:
        minimum: The smallest number that is accepted.
        *also: Other values that are accepted as they are, such as "auto".
        at_least: The least length.
    """

    def convert(value: Any) -> tuple[float, ...]:
        found = tuple(_number(plain(item), minimum) for item in _items(value))
        if len(found) < at_least:
            raise ValueError
        return found

    return _check(f"{_many(at_least)} numbers >= {minimum:g}", convert, also)


@frozen
class Below:
    """All numbers below a limit, as a container."""

    limit: float

    def __contains__(self, value: object) -> bool:
        return isinstance(value, Real) and float(value) < self.limit


def integers(minimum: int, *, at_least: int = 1) -> Check:
    """Return a check for sequences of integers from `minimum`, stored as a tuple.

    Args:
        minimum: The smallest integer that is accepted.
        at_least: The least length.
    """

    def convert(value: Any) -> tuple[int, ...]:
        found = tuple(_integer(plain(item), minimum) for item in _items(value))
        if len(found) < at_least:
            raise ValueError
        return found

    return _check(f"{_many(at_least)} integers >= {minimum}", convert, ())


def strings(*also: None) -> Check:
    """Return a check for sequences of strings, stored as a tuple; a string alone is not a sequence."""

    def convert(value: Any) -> tuple[str, ...]:
        found = tuple(plain(item) for item in _items(value))
        if not all(isinstance(item, str) for item in found):
            raise TypeError
        return found

    return _check("a list of strings", convert, also)


def names(value: Any) -> tuple[str, ...] | None:
    """Return names as a tuple, one alone too; `None` for none."""
    checked: tuple[str, ...] | None = strings(None)((value,) if isinstance(value, str) else value)
    return checked


def tags(value: Any) -> tuple[str, ...]:
    """Return a tuple of strings; `None` is an empty one, as in the server's options."""
    checked: tuple[str, ...] = strings()(() if value is None else value)
    return checked


def pairs(value: Any) -> tuple[tuple[int, int], ...] | None:
    """Return pairs of qubits as tuples, from a list of pairs or a coupling map; `None` for none."""

    def convert(value: Any) -> tuple[tuple[int, ...], ...]:
        edges = value.get_edges() if hasattr(value, "get_edges") else value
        found = tuple(tuple(_integer(plain(q), 0) for q in _items(pair)) for pair in _items(edges))
        if any(len(set(pair)) != 2 or len(pair) != 2 for pair in found):
            raise ValueError
        return found

    check = _check("a list of pairs of qubits, each of two different ones", convert, (None,))
    checked: tuple[tuple[int, int], ...] | None = check(value)
    return checked


def groups(value: Any) -> tuple[tuple[int, ...], ...] | None:
    """Return disjoint groups of qubits as tuples; `None` for none."""

    def convert(value: Any) -> tuple[tuple[int, ...], ...]:
        found = tuple(tuple(_integer(plain(q), 0) for q in _items(group)) for group in _items(value))
        qubits = [q for group in found for q in group]
        if not all(found) or len(set(qubits)) < len(qubits):
            raise ValueError
        return found

    checked: tuple[tuple[int, ...], ...] | None = _check("disjoint groups of qubits", convert, (None,))(value)
    return checked


def choice(*names: str | None, spelling: tuple[str, str] | None = None) -> Check:
    """Return a check for one of `names`.

    Args:
        *names: The accepted names, as stored; `None` if it is accepted too.
        spelling: A character and what it is replaced by first, for names that users know in two spellings.
    """
    words = [name for name in names if name is not None]

    def check(value: Any) -> str | None:
        value = plain(value)
        name = value.replace(*spelling) if spelling and isinstance(value, str) else value
        if (name is None or isinstance(name, str)) and name in names:
            return name
        near = get_close_matches(name, words, n=1) if isinstance(name, str) else []
        rule = f"must be one of {', '.join(map(repr, names))}, not {reprlib.repr(value)}"
        raise ValueError(rule, f"did you mean {near[0]!r}?" if near else "")

    return check


def level(value: Any) -> int:
    """Return a resilience level, 0, 1 or 2."""
    value = plain(value)
    if isinstance(value, Integral) and not isinstance(value, bool) and value in (0, 1, 2):
        return int(value)
    fix = "level 3 of the V1 options is resilience.pec_mitigation = True" if value == 3 else ""
    raise ValueError(f"must be 0, 1 or 2, not {reprlib.repr(value)}", fix)


def image(value: Any) -> str | None:
    """Return the name of a container image, "name:tag", or `None`."""
    value = plain(value)
    if value is None or (isinstance(value, str) and _IMAGE.fullmatch(value)):
        return value
    raise ValueError(f"must be 'name:tag' or None, not {reprlib.repr(value)}")


def anything(value: Any) -> Any:
    """Return `value` as it is: an object that only the device or a stage can judge."""
    return value


def predicate(value: Any) -> Any:
    """Return a function as it is; `None` for none."""
    if value is None or callable(value):
        return value
    fix = "write lambda bits: bits['c'][:, 0] == bits['c'][:, 1]"
    raise ValueError(f"must be a function of the bits or None, not {reprlib.repr(value)}", fix)


def models(value: Any) -> Any:
    """Return a noise model per layer as it is, an iterator as a list; `None` for none.

    Not a store: what it has may be old, or of another device.
    """
    if isinstance(value, Iterator):
        return list(value)
    is_several = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))
    if value is None or (is_several and not _is_store(value)):
        return value
    what = f"must be a sequence of layers with their noise, or None, not {reprlib.repr(value)}"
    if _is_store(value):
        raise ValueError(what, "set calibration.store to it, or give its layer_models(backend_name)")
    raise ValueError(what)


def store(value: Any) -> Any:
    """Return a store of calibrations or the path of one as it is; `None` for none."""
    if value is None or (isinstance(value, (str, os.PathLike)) and str(value)):
        return value if value is None else str(value)
    if _is_store(value):
        return value
    raise ValueError(f"must be a CalibrationStore, the path of its file, or None, not {reprlib.repr(value)}")


def _is_store(value: Any) -> bool:
    return callable(getattr(value, "find", None)) and callable(getattr(value, "add", None))


_AS_MODEL: Final = "a function becomes an extrapolator by quell.extrapolators.Model(function, num_parameters)"


def extrapolators(*names: str) -> Check:
    """Return a check for extrapolators: one of `names` or an object, kept as it is, or a sequence, as a tuple.

    Objects have a `name`, a number `num_parameters` and a method `fit` (see `quell.extrapolators`).
    """
    by_name = choice(*names)

    def one(value: Any) -> Any:
        if is_extrapolator(value):
            return value
        if callable(value):
            raise ValueError(f"must be a name or an extrapolator, not {reprlib.repr(value)}", _AS_MODEL)
        return by_name(value)

    def check(value: Any) -> Any:
        value = plain(value)
        if isinstance(value, str) or is_extrapolator(value) or callable(value):
            return one(value)
        try:
            items = tuple(_items(value))
        except TypeError:
            items = ()
        if not items:
            rule = f"must be a name, an extrapolator or a list of them, not {reprlib.repr(value)}"
            raise ValueError(rule, _AS_MODEL)
        found = tuple(one(plain(item)) for item in items)
        called = [getattr(item, "name", item) for item in found]
        if len(set(called)) < len(called):
            raise ValueError(f"must name each extrapolator once, not {reprlib.repr(value)}")
        return found

    return check


def is_extrapolator(value: Any) -> bool:
    """Return whether a value is an extrapolator rather than the name of one."""
    named = isinstance(getattr(value, "name", None), str) and callable(getattr(value, "fit", None))
    return (
        named and not isinstance(value, type) and isinstance(getattr(value, "num_parameters", None), Integral)
    )


_SECONDS: Final[Mapping[str, float]] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}


def durations(value: Any) -> tuple[tuple[str, tuple[int, ...], float], ...] | None:
    """Return durations as (gate, qubits, seconds), no qubits for all; tuples may name a unit; `None` for none."""

    def one(item: Any) -> tuple[str, tuple[int, ...], float]:
        name, qubits, duration, *rest = (plain(part) for part in _items(item))
        unit = rest[0] if rest else "s"
        if not isinstance(name, str) or len(rest) > 1:
            raise TypeError
        qubits = (qubits,) if isinstance(qubits, Integral) else qubits
        # No qubits rather than None mean all of them: TOML has no null.
        found = () if qubits is None else tuple(_integer(plain(q), 0) for q in _items(qubits))
        seconds = _number(duration, 0.0) * _SECONDS[unit]
        if seconds > 1:
            raise ValueError
        return name, found, seconds

    def convert(value: Any) -> tuple[tuple[str, tuple[int, ...], float], ...]:
        try:
            return tuple(one(item) for item in _items(value))
        except KeyError:
            raise ValueError from None

    what = (
        "a list of (gate, qubits or None, duration[, unit]) of at most 1 s, in 's', 'ms', 'us', 'ns' or 'ps'"
    )
    checked: tuple[tuple[str, tuple[int, ...], float], ...] | None = _check(what, convert, (None,))(value)
    return checked


#: Arguments of ``backend.run`` that follow from the PUBs.
_PLANNED: Final[Mapping[str, str]] = {
    "shots": "set default_shots, or give shots or a precision to run()",
    **dict.fromkeys(
        ("run_input", "circuits", "parameter_binds"), "give circuits and values to run() as PUBs"
    ),
}


def keywords(value: Any) -> dict[str, Any]:
    """Return a copy of keyword arguments for `backend.run`."""
    # A second place for these would either clash with what is planned or silently win over it.
    for name, fix in _PLANNED.items():
        if isinstance(value, Mapping) and name in value:
            raise ValueError(f"cannot hold {name!r}", fix)
    return dictionary(value)


def dictionary(value: Any) -> dict[str, Any]:
    """Return a copy of a dict with strings as keys."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a dict of keyword arguments, not {reprlib.repr(value)}")
    for name in value:
        if not isinstance(name, str):
            raise ValueError(f"must have strings as keys, not {reprlib.repr(name)}")
    return {name: copied(item) for name, item in value.items()}


#: Checks of values that only the device or a stage can judge, or that users nest as they like.
FREE: frozenset[Check] = frozenset({anything, models, store, keywords, dictionary, predicate})


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
        value = plain(value)
        if (value is None or isinstance(value, str)) and value in also:
            return value
        try:
            return convert(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"must be {expected}, not {reprlib.repr(value)}") from None

    return check


def _number(value: Any, minimum: float) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError
    number = float(value)  # OverflowError for an integer beyond the floats
    if not (math.isfinite(number) and number >= minimum):
        raise ValueError
    return number


def _integer(value: Any, minimum: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError
    if value < minimum:
        raise ValueError
    return int(value)


def _items(value: Any) -> Iterable[Any]:
    """Return a sequence or an iterator of several values; text and dicts are single values."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise TypeError
    return value


def _many(at_least: int) -> str:
    return "a list of" if at_least == 1 else f"a list of at least {at_least}"


def is_unset(value: Any) -> bool:
    """Whether this is what the server's options hold where nothing was given; told by name, so without importing it."""
    return type(value).__name__ == "UnsetType"


def plain(value: Any) -> Any:
    """Return the Python scalar in an enum, a numpy scalar or a zero-dimensional array, any other value as it is."""
    if isinstance(value, Enum):
        return value.value
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value
