"""Tables of a TOML file as attrs classes: every key is checked, and everything that is wrong is collected.

A class has fields made by `key`. `read` makes one value of it from a table, `variants` one for each combination
where keys hold lists. Checks are those of options (`options.checks`): they return the value to store, or raise
`ValueError(rule)` or `ValueError(rule, fix)`.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, TypeVar

import attrs

from ..errors import Problem
from ..options.checks import Check
from ..options.hints import one_edit_apart

T = TypeVar("T")

#: Most circuits of a grid; more is a slip.
MAX_VARIANTS: Final = 1000


def key(check: Check, doc: str, default: Any = attrs.NOTHING, *, grid: bool = False) -> Any:
    """Return the attrs field of one key.

    Args:
        check: Returns the value to store, or raises.
        doc: What the key says.
        default: Its value where it is not given; without one it must be given.
        grid: Whether a list of values stands for one circuit each.
    """
    return attrs.field(default=default, metadata={"check": check, "doc": doc, "grid": grid})


def names_of(cls: type[Any]) -> list[str]:
    """Return the keys of a table."""
    return list(attrs.fields_dict(cls))


def advice(name: str, names: Iterable[str], what: str = "the keys here are") -> str:
    """Return which of `names` was meant by a name that is none of them, or all that there are."""
    known = list(names)
    near = [other for other in known if one_edit_apart(name, other)]
    near = near or get_close_matches(name, known, n=1)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else f"{what} {', '.join(known)}"


def read(
    cls: type[T], table: Any, path: str, problems: list[Problem], known: Collection[str] = ()
) -> T | None:
    """Return what a table says, None if something is wrong, which is added to `problems`.

    Args:
        cls: A class with fields made by `key`.
        table: The table.
        path: Where it is, for messages.
        problems: Where to put what is wrong.
        known: Keys that somebody else reads.
    """
    found = variants(cls, table, path, problems, known, grids=False)
    return found[0][0] if found else None


def variants(
    cls: type[T],
    table: Any,
    path: str,
    problems: list[Problem],
    known: Collection[str] = (),
    *,
    grids: bool = True,
) -> list[tuple[T, dict[str, Any]]]:
    """Return what a table says, one value for each combination of its lists, with what varies; empty if it is wrong.

    The last list varies fastest. See `read` for arguments.
    """
    before = len(problems)
    if not isinstance(table, Mapping):
        problems.append(Problem(path, f"must be a table, not {table!r:.60}"))
        return []
    fields = attrs.fields_dict(cls)  # type: ignore[arg-type]
    for name in table:
        if name not in fields and name not in known:
            problems.append(Problem(_at(path, name), "unknown key", advice(name, [*fields, *known])))
    axes: dict[str, list[Any]] = {}
    varying: list[str] = []
    for name, field in fields.items():
        if name not in table:
            if field.default is attrs.NOTHING:
                problems.append(Problem(_at(path, name), "is missing", f"say {field.metadata['doc']}"))
            continue
        value, check = table[name], field.metadata["check"]
        if grids and field.metadata["grid"] and isinstance(value, list):
            varying.append(name)
            axes[name] = [
                _checked(check, item, f"{_at(path, name)}[{i}]", problems) for i, item in enumerate(value)
            ]
            if not value:
                problems.append(Problem(_at(path, name), "must not be empty", "give a value or several"))
        else:
            axes[name] = [_checked(check, value, _at(path, name), problems)]
    size = 1
    for axis in axes.values():
        size *= len(axis)
    if size > MAX_VARIANTS:
        problems.append(Problem(path, f"stands for {size} circuits", f"keep it to {MAX_VARIANTS}"))
    if len(problems) > before:
        return []
    combinations = (dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values()))
    return [(cls(**given), {name: given[name] for name in varying}) for given in combinations]


def _checked(check: Check, value: Any, path: str, problems: list[Problem]) -> Any:
    try:
        return check(value)
    except ValueError as error:
        problems.append(Problem(path, *error.args))
        return None


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
