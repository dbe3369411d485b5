"""Hypothesis strategies for whole trees, made from the annotations and checks of the options."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import attrs
from hypothesis import settings
from hypothesis import strategies as st

from quell.options import EstimatorOptions, SamplerOptions
from quell.options.group import Group, nested

TREES = (EstimatorOptions, SamplerOptions)

#: First examples import packages, and a busy machine is no bug.
UNTIMED = settings(deadline=None)
FEW = settings(deadline=None, max_examples=10)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
#: What JSON and TOML can both hold.
DATA = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
DICTS = st.dictionaries(TEXT.filter(lambda key: key != "shots"), DATA, max_size=3)

#: Options of which neither annotation nor check says what values make sense.
SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "resilience_level": st.sampled_from([0, 1, 2]),
    "environment.image": st.none() | st.sampled_from(["name:tag", "some/where-1/name:1.0_2"]),
    "environment.job_tags": st.lists(TEXT, max_size=3),
    "execution.run_options": DICTS,
    "experimental": DICTS,
    "resilience.layer_noise_model": st.none(),
    "simulator.layer_noise_model": st.none(),
    "post_selection.predicate": st.none(),
    "simulator.noise_model": st.none() | DICTS,
    "calibration.store": st.none() | TEXT.filter(bool),
    "calibration.groups": st.none() | st.just([[0, 3], [2]]) | st.just([[1]]),
}


def leaf_fields(kind: type[Group], prefix: str = "") -> dict[str, tuple[attrs.Attribute[Any], Any]]:
    """Return field and type of every option of a tree, by path."""
    hints = typing.get_type_hints(kind)
    found = {}
    for name, field in attrs.fields_dict(kind).items():
        if "group" in field.metadata:
            found |= leaf_fields(field.metadata["group"], f"{prefix}{name}.")
        else:
            found[prefix + name] = (field, hints[name])
    return found


def accepts(check: Any, value: Any) -> bool:
    try:
        check(value)
    except ValueError:
        return False
    return True


def of_type(hint: Any, check: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for values of a type that `check` accepts."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return st.sampled_from(args)
    if origin in (types.UnionType, typing.Union):
        return st.one_of([of_type(arg, check) for arg in args])
    if origin is tuple:
        if args[-1] is not ...:
            return st.tuples(*(of_type(arg, check) for arg in args))
        least = 0 if accepts(check, []) else 1
        return st.lists(of_type(args[0], check), min_size=least, max_size=9)
    basic: Mapping[Any, st.SearchStrategy[Any]] = {
        types.NoneType: st.none(),
        bool: st.booleans(),
        int: st.integers(0, 2**63 - 1) | st.integers(0, 40),
        float: st.floats(1, 50) | st.floats(0, 1e9),
        str: TEXT,
    }
    return basic[hint]


def leaf(path: str, field: attrs.Attribute[Any], hint: Any) -> st.SearchStrategy[Any]:
    check = field.metadata["check"]
    if path in SPECIAL:
        return SPECIAL[path]
    return of_type(hint, check).filter(lambda value: accepts(check, value))


#: Strategy of the values of each option, for each tree by path.
VALUES = {
    kind: {path: leaf(path, field, hint) for path, (field, hint) in leaf_fields(kind).items()}
    for kind in TREES
}


def has_any(value: Any, ours: tuple[Any, ...]) -> bool:
    """Whether a value, or one of several, is among `ours`."""
    return any(item in ours for item in (value if isinstance(value, (list, tuple)) else (value,)))


@st.composite
def tree_dicts(draw: st.DrawFn, kind: type[Group], home: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return nested dicts of a few options of a tree, of those with a home in `home` if it is given."""
    fields = leaf_fields(kind)
    paths = [path for path, (field, _) in fields.items() if not home or field.metadata["home"] in home]
    chosen = draw(st.lists(st.sampled_from(paths), unique=True, max_size=12))
    values = {}
    for path in chosen:
        strategy = VALUES[kind][path]
        ours = fields[path][0].metadata["ours"] if home else ()
        values[path] = draw(strategy.filter(lambda value, ours=ours: not ours or not has_any(value, ours)))
    return nested(values)


def trees(kind: type[Group], home: tuple[str, ...] = ()) -> st.SearchStrategy[Any]:
    return tree_dicts(kind, home).map(kind)


def any_tree() -> st.SearchStrategy[Any]:
    return st.sampled_from(TREES).flatmap(trees)
