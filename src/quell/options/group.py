"""What every group of options does: check, suggest, update, copy, print.

A group is an attrs class whose fields are made by `option` (a value) or `group` (a nested group). All writing
goes through `Group.update`: it first checks everything, then stores everything, so a tree is never left half
changed. Nested groups stay the same objects for the life of their tree and are never shared between trees.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar, Self

import attrs
from attrs import define

from ..errors import OptionsError, Problem
from .checks import Check, copied
from .later import LATER


def option(default: Any, check: Check, doc: str) -> Any:
    """Return the attrs field of one option.

    Args:
        default: The value of a new group; it passes `check`.
        check: Returns the value to store, or raises `ValueError(rule)` or `ValueError(rule, fix)`.
        doc: What the option does, kept as `metadata["doc"]`.
    """
    return attrs.field(default=default, metadata={"check": check, "doc": doc})


def group(kind: type[Group]) -> Any:
    """Return the attrs field of a nested group; its description is the first line of its docstring."""
    doc = (kind.__doc__ or "").partition("\n")[0]
    return attrs.field(factory=kind, metadata={"group": kind, "doc": doc})


class UnknownOptionError(OptionsError, AttributeError):
    """An option was read that does not exist (an AttributeError too, so `hasattr` and `copy` work)."""


@define(init=False, repr=False, eq=False)
class Group:
    """A group of options.

    Every assignment is checked. Assigning a dict to a nested group *replaces* it: what the dict does not name
    returns to its default. `update` *merges*: what it does not name stays. A group given in place of a dict
    sets all its fields, and is copied.

    Args:
        values: Options as a nested dict, or another group of this class to copy.
        **named: Options by keyword; they win over `values`.

    Raises:
        OptionsError: Listing every name that is unknown and every value that breaks its rule.
    """

    path: ClassVar[str] = "options"

    def __init__(self, values: Mapping[str, Any] | Self | None = None, /, **named: Any) -> None:
        for name, field in attrs.fields_dict(type(self)).items():
            object.__setattr__(self, name, _default(field))
        self.update(values, **named)

    if not TYPE_CHECKING:  # a type checker that saw these two would let every misspelt name pass

        def __setattr__(self, name: str, value: Any) -> None:
            field = attrs.fields_dict(type(self)).get(name)
            if isinstance(value, Mapping) and field and _is_group(field):
                value = type(getattr(self, name))(value)
            self.update({name: value})

        def __getattr__(self, name: str) -> Any:
            raise UnknownOptionError.of([self._unknown(name)])

    def __repr__(self) -> str:
        shown = [
            f"{name}={getattr(self, name)!r}"
            for name, field in attrs.fields_dict(type(self)).items()
            if getattr(self, name) != _default(field)
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    @classmethod
    def of(cls, value: Mapping[str, Any] | Self | None) -> Self:
        """Return new independent options from options, a nested dict, or `None` for the defaults."""
        return cls(value)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return options from a nested dict; options that it does not name have their defaults."""
        options = cls()
        options._store(values)
        return options

    def to_dict(self) -> dict[str, Any]:
        """Return all options, defaults too, as a nested dict that shares nothing with this group."""
        values = {name: getattr(self, name) for name in attrs.fields_dict(type(self))}
        return {k: v.to_dict() if isinstance(v, Group) else copied(v) for k, v in values.items()}

    def copy(self) -> Self:
        """Return an independent copy, nested groups included."""
        return type(self)(self)

    def update(self, values: Mapping[str, Any] | Self | None = None, /, **named: Any) -> None:
        """Set options from a nested dict, from keywords, or both, leaving those not named as they are.

        Args:
            values: Options as a nested dict, or another group of this class, which sets all of them.
            **named: Options by keyword; they win over `values`.

        Raises:
            OptionsError: Listing all problems; then nothing was changed.
        """
        self._store({} if values is None else values, named)

    def _store(self, *sources: Any) -> None:
        """Check all `sources`, then store all of them, or nothing."""
        problems: list[Problem] = []
        checked = [entry for source in sources for entry in self._checked(source, problems)]
        OptionsError.check(problems)
        for owner, name, value in checked:
            object.__setattr__(owner, name, value)

    def _checked(self, values: Any, problems: list[Problem]) -> list[tuple[Group, str, Any]]:
        """Return what to store where for `values`, storing nothing; problems are added to `problems`."""
        if isinstance(values, type(self)):
            values = values.to_dict()
        if not isinstance(values, Mapping):
            rule = f"must be a dict or {type(self).__name__}, not {reprlib.repr(values)}"
            problems.append(Problem(self.path, rule))
            return []
        fields = attrs.fields_dict(type(self))
        entries: list[tuple[Group, str, Any]] = []
        for name, value in values.items():
            if name not in fields:
                problems.append(self._unknown(name))
            elif _is_group(fields[name]):
                entries += getattr(self, name)._checked(value, problems)
            else:
                try:
                    entries.append((self, name, fields[name].metadata["check"](value)))
                except ValueError as error:
                    problems.append(Problem(f"{self.path}.{name}", *error.args))
        return entries

    def _unknown(self, name: Any) -> Problem:
        """Return the problem with a name that is no option of this group."""
        path = f"{self.path}.{name}"
        if path in LATER:
            return Problem(path, "is a V2 option that this version of quell does not have", LATER[path])
        names = list(attrs.fields_dict(type(self)))
        later = [key.rpartition(".")[2] for key in LATER if key.rpartition(".")[0] == self.path]
        near = get_close_matches(str(name), names + later, n=1)
        fix = f"did you mean {near[0]!r}?" if near else f"the options here are {', '.join(names)}"
        return Problem(path, "unknown option", fix)


def _is_group(field: attrs.Attribute[Any]) -> bool:
    return "group" in field.metadata


def _default(field: attrs.Attribute[Any]) -> Any:
    # Through the check, because a check copies containers: trees must not share a default dict.
    kind = field.metadata.get("group")
    return kind() if kind else field.metadata["check"](field.default)
