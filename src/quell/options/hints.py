"""What to do about a name that is no option where it was used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING

import attrs
from attrs import frozen

if TYPE_CHECKING:
    from .group import Group


def advice(name: str, kind: type[Group]) -> str:
    """Return what to do about `name`, which is no option of the group `kind`.

    A slip of one character is the likeliest; then a name from before V2, then the right name in the wrong
    group, then anything near.
    """
    names = list(attrs.fields_dict(kind))
    near = [other for other in names if one_edit_apart(name, other)]
    if near:
        return _did_you_mean(map(repr, near))
    from .legacy.names import dropped, renamed  # here, because they know the trees

    path = ".".join((*kind.path.split(".")[1:], name))
    if told := renamed(path) or elsewhere(name, kind) or dropped(path):
        return told
    if near := get_close_matches(name, names, n=1):
        return _did_you_mean(map(repr, near))
    for other in sorted({known for tree in _trees() for known in tree.places}):
        if one_edit_apart(name, other):
            return renamed(other) or elsewhere(other, kind)
    return f"the options here are {', '.join(names)}"


def elsewhere(name: str, kind: type[Group]) -> str:
    """Return where the option `name` is, in the tree of `kind` if it is there; an empty string if it is none."""
    found = [(tree, places) for tree in _trees() if (places := tree.places.get(name))]
    of_ours = [path for tree, places in found if kind in tree.kinds for path in places]
    if of_ours:
        return _did_you_mean(dict.fromkeys(of_ours))
    return "; ".join(f"{tree.name} has it, as {' and '.join(places)}" for tree, places in found)


def one_edit_apart(one: str, other: str) -> bool:
    """Whether one character left out, added, replaced, or swapped with its neighbour makes the other name."""
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1 or one == other:
        return False
    start = 0
    while start < len(short) and short[start] == long[start]:
        start += 1
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    swapped = long[start + 1 : start + 2] + long[start] + long[start + 2 :]
    return short[start + 1 :] == long[start + 1 :] or short[start:] == swapped


def _did_you_mean(names: Iterable[str]) -> str:
    return f"did you mean {' or '.join(names)}?"


@frozen
class _Tree:
    """What is where in one tree: the classes of its groups, and the paths of every name, groups too."""

    name: str
    kinds: tuple[type[Group], ...]
    places: Mapping[str, tuple[str, ...]]


@cache
def _trees() -> tuple[_Tree, ...]:
    from .tree import EstimatorOptions, SamplerOptions

    return _tree(EstimatorOptions), _tree(SamplerOptions)


def _tree(root: type[Group]) -> _Tree:
    kinds = tuple(_kinds(root))
    places: dict[str, tuple[str, ...]] = {}
    for kind in kinds:
        for name in attrs.fields_dict(kind):
            places[name] = (*places.get(name, ()), f"{kind.path}.{name}")
    return _Tree(root.__name__, kinds, places)


def _kinds(kind: type[Group]) -> Iterator[type[Group]]:
    yield kind
    for field in attrs.fields_dict(kind).values():
        if "group" in field.metadata:
            yield from _kinds(field.metadata["group"])
