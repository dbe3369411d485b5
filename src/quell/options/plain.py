"""Options as plain data that JSON or TOML can hold; objects as the dict that they make of themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import attrs

from ..errors import OptionsError, Problem
from .checks import plain
from .group import Group, is_set, nested

Kind: TypeAlias = Literal["json", "toml"]

#: What stands for `None` as the value of an option in TOML, which has no null.
NULL: Final = "none"


def plain_data(options: Group, kind: Kind) -> dict[str, Any]:
    """Return what differs from the defaults as plain data.

    Raises:
        OptionsError: Listing every value that cannot be written.
    """
    problems: list[Problem] = []
    values = {
        path: _option(value, field, f"{options.path}.{path}", kind, problems)
        for path, value, field in options.leaves()
        if is_set(value, field)
    }
    OptionsError.check(problems)
    return nested(values)


def _option(value: Any, field: attrs.Attribute[Any], path: str, kind: Kind, problems: list[Problem]) -> Any:
    """Return the value of an option as plain data."""
    if kind == "toml" and value is None:
        return NULL
    if kind == "toml" and isinstance(value, str) and value == NULL:
        problems.append(Problem(path, f"is {NULL!r}, which TOML files use for None", "write JSON"))
    found: list[Problem] = []
    data = _data(value, path, kind, found)
    if not found:
        try:
            field.metadata["check"](data)
        except ValueError:  # an object whose dict is not what the option takes
            found.append(_unwritable(value, path, kind))
    problems += found
    return data


def _data(value: Any, path: str, kind: Kind, problems: list[Problem]) -> Any:
    """Return a value as plain data; what cannot be written is added to `problems`."""
    value = plain(value)
    if type(value) in (bool, int, str) or (value is None and kind == "json"):
        return value
    if type(value) is float and (math.isfinite(value) or kind == "toml"):
        return value
    if isinstance(value, (list, tuple)):
        return [_data(item, f"{path}[{i}]", kind, problems) for i, item in enumerate(value)]
    if isinstance(value, Mapping) and all(type(key) is str for key in value):
        return {key: _data(item, f"{path}[{key!r}]", kind, problems) for key, item in value.items()}
    if hasattr(value, "to_dict") and not isinstance(value, type):
        inner: list[Problem] = []
        data = _data(_as_dict(value), path, kind, inner)
        if not inner:
            return data
    problems.append(_unwritable(value, path, kind))
    return None


def _as_dict(value: Any) -> Any:
    try:
        return value.to_dict(serializable=True)  # Aer's noise models hold arrays unless asked not to
    except TypeError:
        return value.to_dict()


def _unwritable(value: Any, path: str, kind: Kind) -> Problem:
    what = repr(value) if value is None or isinstance(value, float) else f"a {type(value).__name__}"
    if value is None:
        return Problem(path, f"is {what}, which TOML cannot hold", "write JSON")
    return Problem(path, f"is {what}, which {kind.upper()} cannot hold", "remove it and set it after loading")
