"""Translate legacy options: read them, find their table, apply its rows, build the new tree."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from difflib import get_close_matches
from functools import cache
from typing import Any, Final, Literal, TypeAlias, get_args

from attrs import evolve

from ...errors import OptionsError, Problem
from ..group import Group, nested, same
from ..runtime import is_ours
from ..tree import EstimatorOptions, SamplerOptions
from . import keys
from .rows import (
    Context,
    Mode,
    Outcome,
    Primitive,
    Refused,
    Source,
    TranslationError,
    Version,
    plain,
)
from .tables import SOURCES
from .translation import Entry, Translation

_TREES: Final[Mapping[str, type[EstimatorOptions] | type[SamplerOptions]]] = {
    "estimator": EstimatorOptions,
    "sampler": SamplerOptions,
}

#: Whether keys that are options of today count: never, where a table does not know them, or before it.
Today: TypeAlias = Literal["never", "fallback", "first"]


def translate(
    legacy: Any,
    *,
    source: str = "auto",
    primitive: Primitive = "estimator",
    mode: Mode = "guide",
    expand_defaults: bool = False,
    version: str | None = None,
) -> Translation:
    """Translate options from before the V2 primitives.

    Args:
        legacy: A dict (nested, dotted or flat) or an object: a live V1 primitive of Aer, an options object
            of attrs, dataclasses or pydantic, a noise model.
        source: Where they are from, a name in `SOURCES` or one of its aliases; "auto" finds it from the keys.
        primitive: What they are for; sources that can only mean one of the two decide for themselves.
        mode: "guide" follows the official migration guides; "strict" reproduces what the legacy package
            really ran, which differs for ZNE (V1 level 2) and dynamical decoupling.
        expand_defaults: Also write out what the legacy package filled in where nothing was given.
        version: Version of the legacy package, such as "0.11", where its defaults depend on it.

    Raises:
        TranslationError: Listing keys that are ambiguous, contradict each other or have no V2 form without
            changing the result; `.translation` holds the rest.
        OptionsError: An argument is not one of its choices, or `legacy` has no options.
    """
    _check_arguments(source, primitive, mode)
    try:
        given = keys.read(legacy)
    except TypeError as error:
        fix = "pass a dict or an options object"
        raise OptionsError.of([Problem("legacy", str(error), fix)]) from None
    primitive = given.primitive or primitive
    parsed = None if version is None else _version(version)
    chosen = given.source or "auto" if source == "auto" else source
    today: Today = "first" if isinstance(legacy, Group) else "fallback" if chosen == "auto" else "never"
    return run(given.values, chosen, primitive, mode, expand_defaults, parsed, today)


def run(
    values: Mapping[str, Any],
    source: str,
    primitive: Primitive,
    mode: Mode = "guide",
    expand: bool = False,
    version: Version | None = None,
    today: Today = "never",
) -> Translation:
    """Return the translation by a source, by the one whose table fits best if it is "auto", or raise its error."""
    named = _named(source)
    candidates = [named] if named else [s for s in SOURCES if s.primitive in (None, primitive)]
    attempts = [_attempt(values, s, primitive, mode, expand, version, today) for s in candidates]
    translation, problems, _ = min(attempts, key=lambda attempt: attempt[2])
    if problems:
        raise TranslationError.of_problems(problems, translation)
    return translation


def _attempt(
    values: Mapping[str, Any],
    source: Source,
    primitive: Primitive,
    mode: Mode,
    expand: bool,
    version: Version | None,
    today: Today,
) -> tuple[Translation, list[Problem], int]:
    """Translate with one table; return also the problems, and how badly the table fits."""
    primitive = source.primitive or primitive
    problems: list[Problem] = []
    given, placed, refusals = _placed(values, source, primitive, today, problems)
    used = version or source.version or (0,)
    context = _context(given, placed, Context({}, frozenset(), primitive, mode, expand, used), source, today)

    entries: list[Entry] = []
    implicit = {key: context.values[key] for key in context.implicit}
    for key, value, written_out in (
        *((key, value, False) for key, value in given.items()),
        *((key, value, True) for key, value in implicit.items()),
    ):
        try:
            if key in refusals and not written_out:
                raise refusals[key]
            outcome = _outcome(key, value, placed.get(key, key), source, context, today)
        except Refused as refused:
            problems.append(Problem(key, refused.rule, refused.fix))
            outcome = Outcome(reason=refused.reason, text=f"{refused.rule}; {refused.fix}")
        entries.append(Entry(key, value, outcome, written_out))
    flat = _merged(entries, placed, problems)
    translation = Translation(
        source.name,
        primitive,
        tuple(entries),
        _TREES[primitive](),
        nested(flat),
        _run_arguments(primitive, flat.get("default_shots")),
        tuple(
            shift.text
            for shift in source.shifts(used, primitive)
            if not expand and context.get(shift.key) is None and shift.path not in flat
            if shift.path in _paths(primitive)
        ),
    )
    translation, found = _built(translation)
    problems += found
    # A key that is known and refused with its reason shows that the table is the right one.
    paths = {problem.path for problem in problems}
    known = sum(entry.key in paths and entry.outcome.reason is not None for entry in entries)
    foreign = sum(key not in placed and key not in refusals for key in given)
    return translation, problems, foreign + len(problems) - known


def _placed(
    values: Mapping[str, Any], source: Source, primitive: Primitive, today: Today, problems: list[Problem]
) -> tuple[dict[str, Any], dict[str, str], dict[str, Refused]]:
    """Return all keys with their values, the places of those in the table, and refusals of ambiguous ones."""
    try:
        groups = source.groups | (_groups() if today != "never" else frozenset())
        leaves = list(keys.leaves(values, groups))
    except Refused as refused:
        problems.append(Problem("legacy", refused.rule, refused.fix))
        return {}, {}, {}
    given: dict[str, Any] = {}
    for key, value in leaves:
        if key in given and not same(given[key], value):
            rule = f"is {value!r} and {given[key]!r}"
            problems.append(Problem(key, rule, "it is given dotted and in its group: give it once"))
        if key in groups:
            rule = f"is a group of options, and must be a dict, not {value!r}"
            problems.append(Problem(key, rule, "give the options in it"))
        given[key] = value
    renamed = source.names(given.keys())
    placed: dict[str, str] = {}
    refusals: dict[str, Refused] = {}
    first: dict[str, str] = {}
    for key, value in given.items():
        if today == "first" and key in _paths(primitive):
            continue
        try:
            where = keys.place(key, source, renamed)
        except Refused as refused:
            refusals[key] = refused
            continue
        if where is None:
            continue
        other = first.setdefault(where, key)
        if not where.endswith("*") and not same(given[other], value):
            rule = f"is {value!r}, but {other} is {given[other]!r}"
            problems.append(Problem(key, rule, "give one of them"))
        placed[key] = where
    return given, placed, refusals


def _context(
    given: Mapping[str, Any], placed: Mapping[str, str], context: Context, source: Source, today: Today
) -> Context:
    """Return what rules may look at, with the defaults of the legacy package if they are written out."""
    values = {where: given[key] for key, where in placed.items()}
    if today == "first":  # a level of today still tells old keys beside it what they meant
        values = {**{key: value for key, value in given.items() if key not in placed}, **values}
    context = evolve(context, values=values)
    if not context.expand:
        return context
    implicit = {}
    for key, default in source.defaults(context.version, context.primitive).items():
        if values.get(key) is not None:
            continue
        said = source.table[key].outcome(None, context) if key in values else Outcome()
        if not said.paths and not said.reason:  # else None was a value, not an absent one
            implicit[key] = default
    return evolve(context, values={**values, **implicit}, implicit=frozenset(implicit))


def _outcome(key: str, value: Any, where: str, source: Source, context: Context, today: Today) -> Outcome:
    paths = _paths(context.primitive)
    if (today == "first" and key in paths) or (
        today == "fallback" and where not in source.table and key in paths
    ):
        return Outcome({key: value}) if _is_v2(key, value, context.primitive) else Outcome(quell={key: value})
    if where not in source.table:
        near = get_close_matches(key.rpartition(".")[2], _names(source), n=1)
        text = f"did you mean {near[0]!r}?" if near else "no such key is known; is the source right?"
        return Outcome(reason="unknown", text=text)
    outcome = source.table[where].outcome(value, context)
    return _possible(outcome, context.primitive)


def _is_v2(path: str, value: Any, primitive: Primitive) -> bool:
    """Return whether V2 has an option of today, and takes the value."""
    with suppress(ValueError):
        value = _checks(primitive)[path](value)
    return _paths(primitive)[path] != "ours" and not is_ours(value, _ours(primitive)[path])


def _possible(outcome: Outcome, primitive: Primitive) -> Outcome:
    """Return an outcome without what the primitive has no option for, values as the options hold them."""
    checks = _checks(primitive)
    v2: dict[str, Any] = {}
    quell: dict[str, Any] = {}
    for path, value in {**outcome.v2, **outcome.quell}.items():
        if path.startswith("experimental."):
            v2[path] = value
        elif path in checks:
            with suppress(ValueError):  # a bad value is for the tree to report
                value = plain(checks[path](value))
            (v2 if path in outcome.v2 and _paths(primitive)[path] != "ours" else quell)[path] = value
    if v2.keys() == outcome.v2.keys() and quell.keys() == outcome.quell.keys():
        return evolve(outcome, v2=v2, quell=quell)
    lost = sorted({*outcome.v2, *outcome.quell} - {*v2, *quell})
    text = f"{primitive}s have no {' and no '.join(lost)}" if lost else f"{primitive}s of V2 do not have it"
    return Outcome(v2, quell, outcome.reason or "no_equiv", text)


def _merged(entries: list[Entry], placed: Mapping[str, str], problems: list[Problem]) -> dict[str, Any]:
    """Return all V2 paths and values; keys that give one path different values are a problem."""
    flat: dict[str, Any] = {}
    owner: dict[str, Entry] = {}
    for entry in entries:
        for path, value in entry.outcome.v2.items():
            if path in flat and not same(flat[path], value):
                other = owner[path].key
                if placed.get(entry.key) != placed.get(other):  # else it was reported already
                    rule = f"makes {path} {value!r}, but {other} makes it {flat[path]!r}"
                    problems.append(Problem(entry.key, rule, "give one of them"))
            flat[path], owner[path] = value, entry
    return flat


def _built(translation: Translation) -> tuple[Translation, list[Problem]]:
    """Return a translation with quell's tree, and what its checks say of the values, in the words of legacy keys."""
    owners = {f"options.{path}": e.key for e in translation.entries for path in e.outcome.paths}
    if (image := "options.experimental.image") in owners:
        owners["options.environment.image"] = owners[image]
    options = translation.options.copy()
    try:
        options.update(translation.carried())
    except OptionsError as error:
        return translation, [Problem(owners.get(p.path, p.path), p.rule, p.fix) for p in error.problems]
    return evolve(translation, options=options), []


def _run_arguments(primitive: Primitive, shots: Any) -> dict[str, Any]:
    if not isinstance(shots, int) or shots < 1:
        return {}
    return {"shots": shots} if primitive == "sampler" else {"precision": 1 / math.sqrt(shots)}


def _check_arguments(source: str, primitive: str, mode: str) -> None:
    problems = []
    if source != "auto" and _named(source) is None:
        names = ", ".join(s.name for s in SOURCES)
        near = get_close_matches(str(source), [s.name for s in SOURCES], n=1)
        fix = f"did you mean {near[0]!r}?" if near else "choose one of them or 'auto'"
        problems.append(Problem("source", f"must be one of {names}, not {source!r}", fix))
    for name, value, choices in (
        ("primitive", primitive, get_args(Primitive)),
        ("mode", mode, get_args(Mode)),
    ):
        if value not in choices:
            rule = f"must be {' or '.join(map(repr, choices))}, not {value!r}"
            problems.append(Problem(name, rule, "choose one of them"))
    OptionsError.check(problems)


def _named(name: str) -> Source | None:
    for source in SOURCES:
        if str(name).lower() in [known.lower() for known in (source.name, *source.aliases)]:
            return source
    return None


def _version(text: str) -> Version:
    match = re.fullmatch(r"v?(\d+)\.(\d+)(\.\d+)?", str(text))
    if not match:
        rule = f"must look like '0.11', not {text!r}"
        raise OptionsError.of([Problem("version", rule, "give the version of the legacy package")])
    return int(match[1]), int(match[2])


@cache
def _paths(primitive: Primitive) -> Mapping[str, str]:
    """Return the options of a tree of today: path -> which trees of V2 have it."""
    return {path: field.metadata["home"] for path, _, field in _TREES[primitive]().leaves()}


@cache
def _checks(primitive: Primitive) -> Mapping[str, Callable[[Any], Any]]:
    """Return the check of every option of a tree of today."""
    return {path: field.metadata["check"] for path, _, field in _TREES[primitive]().leaves()}


@cache
def _ours(primitive: Primitive) -> Mapping[str, Container[Any]]:
    """Return the values of every option of a tree of today that are not of V2."""
    return {path: field.metadata["ours"] for path, _, field in _TREES[primitive]().leaves()}


@cache
def _groups() -> frozenset[str]:
    paths = {*_paths("estimator"), *_paths("sampler")}
    return frozenset(path[: match.start()] for path in paths for match in re.finditer(r"\.", path))


def _names(source: Source) -> list[str]:
    return sorted({key.rpartition(".")[2] for key in source.table} - {"*"})
