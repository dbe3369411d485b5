"""What every group of options does: check, suggest, update, copy, print.

A group is an attrs class whose fields are made by `option` (a value) or `group` (a nested group). All writing
goes through `Group.update`: it first checks everything, then stores everything, so a tree is never left half
changed. Nested groups stay the same objects for the life of their tree and are never shared between trees.
"""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Container, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias

import attrs
from attrs import define

from ..errors import OptionsError, Problem
from .checks import Check, copied, is_unset

#: What to store where: by identity of the group and name of the option.
Entries: TypeAlias = "dict[tuple[int, str], tuple[Group, str, Any]]"
Home: TypeAlias = Literal["both", "client", "server", "ours"]


def option(default: Any, check: Check, doc: str, *, home: Home = "both", ours: Container[Any] = ()) -> Any:
    """Return the attrs field of one option.

    Args:
        default: The value of a new group; it passes `check`.
        check: Returns the value to store, or raises `ValueError(rule)` or `ValueError(rule, fix)`.
        doc: What the option does, kept as `metadata["doc"]`.
        home: Which of the V2 runtime's options have it: the client's, the server's, both, or none ("ours").
        ours: Values that quell adds to an option of V2.
    """
    return attrs.field(default=default, metadata={"check": check, "doc": doc, "home": home, "ours": ours})


def group(kind: type[Group]) -> Any:
    """Return the attrs field of a nested group; its description is the first line of its docstring."""
    doc = (kind.__doc__ or "").partition("\n")[0]
    return attrs.field(factory=kind, metadata={"group": kind, "doc": doc})


def _documented(cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Write what each option does under the class's own docstring, for `help` and editors."""
    lines = [f"    {field.name}: {field.metadata['doc']}" for field in fields]
    if lines:
        cls.__doc__ = "\n".join([inspect.cleandoc(cls.__doc__ or ""), "", "Attributes:", *lines])
    return fields


#: The decorator of groups.
options = define(init=False, repr=False, field_transformer=_documented)


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
            self._store({name: value}, merge=False)

        def __delattr__(self, name: str) -> None:
            raise OptionsError.of([Problem(f"{self.path}.{name}", "cannot be deleted", "assign its default")])

        def __getattr__(self, name: str) -> Any:
            raise UnknownOptionError.of([self._unknown(name)])

    def __repr__(self) -> str:
        shown = [
            f"{name}={getattr(self, name)!r}"
            for name, field in attrs.fields_dict(type(self)).items()
            if is_set(getattr(self, name), field)
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

    def leaves(self) -> Iterator[tuple[str, Any, attrs.Attribute[Any]]]:
        """Yield path below this group, value and field of every option, those of nested groups in their place."""
        for name, field in attrs.fields_dict(type(self)).items():
            value = getattr(self, name)
            if isinstance(value, Group):
                yield from ((f"{name}.{path}", v, f) for path, v, f in value.leaves())
            else:
                yield name, value, field

    def diff(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, as a nested dict that shares nothing with this group."""
        changed = {}
        for name, field in attrs.fields_dict(type(self)).items():
            value = getattr(self, name)
            if isinstance(value, Group):
                if inner := value.diff():
                    changed[name] = inner
            elif is_set(value, field):
                changed[name] = copied(value)
        return changed

    def copy(self) -> Self:
        """Return an independent copy, nested groups included."""
        return type(self)(self)

    __copy__ = copy

    def update(self, values: Mapping[str, Any] | Self | None = None, /, **named: Any) -> None:
        """Set options from a nested dict, from keywords, or both, leaving those not named as they are.

        Options that are dicts themselves are merged too; assign one to replace it.

        Args:
            values: Options as a nested dict, or another group of this class, which sets all of them.
            **named: Options by keyword; they win over `values`.

        Raises:
            OptionsError: Listing all problems; then nothing was changed.
        """
        self._store({} if values is None else values, named)

    def _store(self, *sources: Any, merge: bool = True) -> None:
        """Check all `sources`, then store all of them, or nothing."""
        problems: list[Problem] = []
        entries: Entries = {}
        for source in sources:
            self._check(source, entries, problems, merge)
        OptionsError.check(problems)
        for owner, name, value in entries.values():
            object.__setattr__(owner, name, value)

    def _check(self, values: Any, entries: Entries, problems: list[Problem], merge: bool) -> None:
        """Add to `entries` what to store where for `values`, storing nothing, and to `problems` what is wrong."""
        if isinstance(values, type(self)):
            values, merge = values.to_dict(), False
        if not isinstance(values, Mapping):
            rule = f"must be a dict or {type(self).__name__}, not {reprlib.repr(values)}"
            problems.append(Problem(self.path, rule))
            return
        fields = attrs.fields_dict(type(self))
        for name, value in values.items():
            if is_unset(value):
                continue
            if name not in fields:
                problems.append(self._unknown(name))
            elif _is_group(fields[name]):
                getattr(self, name)._check(value, entries, problems, merge)
            else:
                key = id(self), name
                before = entries[key][2] if key in entries else getattr(self, name)
                if merge and isinstance(fields[name].default, dict) and isinstance(value, Mapping):
                    value = _on_top(before, value)
                try:
                    entries[key] = self, name, fields[name].metadata["check"](value)
                except ValueError as error:
                    problems.append(Problem(f"{self.path}.{name}", *error.args))

    def _unknown(self, name: Any) -> Problem:
        """Return the problem with a name that is no option of this group."""
        from .hints import advice

        return Problem(f"{self.path}.{name}", "unknown option", advice(str(name), type(self)))


def same(one: Any, other: Any) -> bool:
    """Return whether two values of options are equal; objects whose comparison is no yes or no are not."""
    try:
        return one is other or bool(one == other)
    except Exception:  # arrays, for instance, compare element by element
        return False


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a nested dict from values by path, such as "twirling.enable_gates"."""
    root: dict[str, Any] = {}
    for path, value in values.items():
        *parents, name = path.split(".")
        place = root
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = value
    return root


def _on_top(below: Mapping[Any, Any], above: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return `above` on top of `below`, dict by dict."""
    both = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], Mapping) and isinstance(above[key], Mapping):
            both[key] = _on_top(below[key], above[key])
    return both


def is_set(value: Any, field: attrs.Attribute[Any]) -> bool:
    """Return whether the value of an option or group differs from its default."""
    return not same(value, _default(field))


def _is_group(field: attrs.Attribute[Any]) -> bool:
    return "group" in field.metadata


def _default(field: attrs.Attribute[Any]) -> Any:
    # Through the check, because a check copies containers: trees must not share a default dict.
    kind = field.metadata.get("group")
    return kind() if kind else field.metadata["check"](field.default)
