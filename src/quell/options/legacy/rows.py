"""What the tables of legacy options are made of.

A `Source` is one interface of the past; its table maps each of its keys to a `Row`. Most rows are plain: a key
has a V2 path (`to`), or it is dropped for a `reason`. A row whose outcome depends on the value or on other
keys has a `rule`; its `to`, `reason` and `text` then only describe it in the migration guide.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import Enum
from typing import Any, Literal, TypeAlias, get_args

from attrs import evolve, field, frozen

from ...errors import OptionsError, Problem
from ..checks import MAX_SHOTS

Primitive: TypeAlias = Literal["estimator", "sampler"]
Mode: TypeAlias = Literal["guide", "strict"]
Version: TypeAlias = tuple[int, ...]

#: Why a key has no place among the V2 options, and where its purpose went.
REASONS: Mapping[str, str] = {
    "ambiguous": "the name means several V2 options: say which",
    "backend": "configure the backend or simulator object",
    "circuit_metadata": "put it into `circuit.metadata`",
    "implied": "V2 always does it, or it had no effect here",
    "job_mgmt": "ask the job, or Python",
    "job_tags": "use `environment.job_tags`",
    "no_equiv": "V2 has nothing of the kind",
    "pub": "it goes into the PUB",
    "removed": "it no longer exists",
    "result_api": "read it from the result",
    "superseded": "another option carries it",
    "transpile": "transpile before run, and `apply_layout` the observables",
    "unknown": "no such key is known",
}
Reason: TypeAlias = Literal[
    "ambiguous",
    "backend",
    "circuit_metadata",
    "implied",
    "job_mgmt",
    "job_tags",
    "no_equiv",
    "pub",
    "removed",
    "result_api",
    "superseded",
    "transpile",
    "unknown",
]
assert set(get_args(Reason)) == set(REASONS)


@frozen
class Outcome:
    """What becomes of one legacy key.

    Attributes:
        v2: V2 paths and values.
        quell: Paths and values that only quell's tree carries.
        reason: Why the key itself is dropped; None if `v2` carries it.
        text: What to do now.
    """

    v2: Mapping[str, Any] = field(factory=dict)
    quell: Mapping[str, Any] = field(factory=dict)
    reason: Reason | None = None
    text: str = ""

    @property
    def paths(self) -> set[str]:
        """Options of today that carry the key."""
        return {*self.v2, *self.quell}


#: The outcome of a key whose value is the None that it had by default.
NOTHING = Outcome(text="None was the default; nothing to set")


class Refused(Exception):
    """A value cannot be translated: a rule raises it with a problem and, if the key is dropped, a reason."""

    def __init__(self, rule: str, fix: str, reason: Reason | None = None) -> None:
        super().__init__(rule, fix)
        self.rule, self.fix, self.reason = rule, fix, reason


@frozen
class Context:
    """All that a rule may look at: the other keys, and how to translate.

    Attributes:
        values: Value of each key, by its place in the source's table.
        implicit: Keys that are defaults of the legacy package, not given.
        primitive: Which V2 primitive the options are for.
        mode: Follow the official guides, or what the legacy package really ran.
        expand: Whether legacy defaults are written out.
        version: Version of the legacy package, where its defaults depend on it.
    """

    values: Mapping[str, Any]
    implicit: frozenset[str]
    primitive: Primitive
    mode: Mode
    expand: bool
    version: Version

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, `default` if it is absent or None."""
        value = self.values.get(key)
        return default if value is None else value

    def inside(self, group: str) -> Context:
        """Return a context that also shows the keys of `group` by their names alone."""
        start = f"{group}."
        inner = {k.removeprefix(start): v for k, v in self.values.items() if k.startswith(start)}
        return evolve(self, values={**self.values, **inner})


Rule: TypeAlias = Callable[[Any, Context], Outcome]


@frozen
class Row:
    """One key of a table: its V2 path, or why it is dropped, or a rule that decides."""

    to: str = ""
    reason: Reason | None = None
    text: str = ""
    rule: Rule | None = None

    def outcome(self, value: Any, context: Context) -> Outcome:
        """Return what becomes of the key with this value."""
        if self.rule is not None:
            return self.rule(value, context)
        if self.reason is not None:
            return Outcome(reason=self.reason, text=self.text or REASONS[self.reason])
        if value is None:  # None was the default of every optional key: there is nothing to set
            return NOTHING
        return Outcome({self.to: value}, text=self.text)


Table: TypeAlias = Mapping[str, Row]


@frozen
class Shift:
    """A default that is not what it was.

    Attributes:
        path: The option of V2 whose default it is.
        text: What changed.
        key: Place of the legacy key that decided; nothing shifts where it was given.
    """

    path: str
    text: str
    key: str = ""


@frozen
class Source:
    """One legacy interface.

    Attributes:
        name: As `translate` takes it.
        title: What it is, for the guide.
        table: Keys and rows.
        groups: Keys whose dicts hold further keys, dotted.
        flat: Groups, in order, whose keys may also be given without their group; "*" for any, if one has it.
        defaults: Defaults of the legacy package that differ from V2's, by version and primitive.
        shifts: Defaults that changed, by version and primitive.
        primitive: The only primitive it can mean, if so.
        version: The version assumed if none is given; None if its defaults never changed.
        aliases: Short names.
        names: Places of keys that mean something else beside the keys given.
    """

    name: str
    title: str
    table: Table
    groups: frozenset[str] = frozenset()
    flat: tuple[str, ...] = ()
    defaults: Callable[[Version, Primitive], Mapping[str, Any]] = lambda version, primitive: {}
    shifts: Callable[[Version, Primitive], tuple[Shift, ...]] = lambda version, primitive: ()
    primitive: Primitive | None = None
    version: Version | None = None
    aliases: tuple[str, ...] = ()
    names: Callable[[Collection[str]], Mapping[str, str]] = lambda keys: {}


def drop(reason: Reason, keys: Iterable[str], text: str = "") -> dict[str, Row]:
    """Return rows of keys that are dropped for the same reason."""
    return {key: Row(reason=reason, text=text) for key in keys}


def under(group: str, table: Table) -> dict[str, Row]:
    """Return a table whose keys are all below `group`; their rules see each other as before."""

    def inside(rule: Rule) -> Rule:
        return lambda value, context: rule(value, context.inside(group))

    return {f"{group}.{key}": evolve(row, rule=row.rule and inside(row.rule)) for key, row in table.items()}


def plain(value: Any) -> Any:
    """Return a value as a plain V2 dict holds it: coupling maps as lists of pairs, sequences as lists."""
    if hasattr(value, "get_edges"):
        return [list(edge) for edge in value.get_edges()]
    if isinstance(value, Enum):
        return plain(value.value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, range, set, frozenset)):
        return [plain(item) for item in value]
    return value


def whole(value: Any) -> int:
    """Return a number of shots as an integer, also of a whole float, as the legacy packages took them.

    Raises:
        Refused: It is no positive whole number.
    """
    value = plain(value)
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not 1 <= value <= MAX_SHOTS
        or value % 1
    ):
        raise Refused(
            f"must be a positive whole number, not {reprlib.repr(value)}", "give the number of shots"
        )
    return int(value)


class TranslationError(OptionsError):
    """Legacy options that cannot be translated; `translation` holds what could be."""

    translation: Any = None

    @classmethod
    def of_problems(cls, problems: Iterable[Problem], translation: Any) -> TranslationError:
        """Return an error that lists every problem and keeps the rest of the translation."""
        error = cls.of(problems)
        error.translation = translation
        return error
