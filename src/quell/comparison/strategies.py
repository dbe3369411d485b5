"""Strategies by name: which stages they switch on, and what was given as options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

import numpy as np
from attrs import evolve, frozen

from ..errors import InputError, Problem
from ..options import EstimatorOptions
from ..options.group import same
from ..options.legacy import accepted
from .records import Strategy

#: What each part of a name switches on, above options that switch everything off.
PARTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "raw": {},
    "trex": {"resilience": {"measure_mitigation": True}},
    "twirl": {"twirling": {"enable_gates": True}},
    "dd": {"dynamical_decoupling": {"enable": True}},
    "zne": {"resilience": {"zne_mitigation": True}},
    "pea": {"resilience": {"zne_mitigation": True, "zne": {"amplifier": "pea"}}},
    "pec": {"resilience": {"pec_mitigation": True}},
}
_SAID: Final = {
    "raw": "nothing",
    "trex": "readout correction",
    "twirl": "gate twirling",
    "dd": "dynamical decoupling",
    "zne": "zero-noise extrapolation by folding",
    "pea": "zero-noise extrapolation of learned noise",
    "pec": "cancelling of learned noise",
}
#: All stages that any device can run; decoupling needs durations and is added by its own name.
_ALL: Final = "trex+twirl+pec+zne"
_LEVELS: Final = ("level 0", "level 1", "level 2")
#: What only says how measured values are analysed: strategies that differ in nothing else have the same shots.
ANALYSIS: Final = ("extrapolator", "selection", "guard", "extrapolated_noise_factors")


@frozen(eq=False)
class Chosen:
    """A strategy to be run: its record, and its options as they are."""

    record: Strategy
    options: EstimatorOptions

    @property
    def name(self) -> str:
        """What it is called."""
        return self.record.name


def options_of(name: str) -> dict[str, Any]:
    """Return the options of a built-in strategy, those that differ from the defaults, as a nested dict.

    Names are parts joined by "+" in any order, each switching on one stage: "raw" (none), "trex", "twirl" (gates),
    "dd", "zne" (folding), "pea", "pec". "all" is trex+twirl+pec+zne. "level 0", "level 1" and "level 2" are the
    resilience levels as they come.

    Raises:
        InputError: There is no such strategy.
    """
    if name in _LEVELS:
        return {"resilience_level": int(name[-1])}
    parts = _parts(name)
    options = EstimatorOptions({"resilience_level": 0})
    for part in parts:
        options.update(PARTS[part])
    return options.diff()


def _parts(name: str) -> list[str]:
    parts = [part.strip() for part in (_ALL if name == "all" else name).split("+")]
    unknown = [part for part in parts if part not in PARTS]
    problems = []
    if unknown:
        close = get_close_matches(unknown[0], [*PARTS, "all", *_LEVELS], n=1)
        fix = f"did you mean {close[0]!r}? " if close else ""
        fix += f"there are {', '.join(PARTS)}, joined by +, all, {', '.join(_LEVELS)}; or give options"
        problems.append(Problem(f"strategy {name!r}", f"has no built-in part {unknown[0]!r}", fix))
    elif len(set(parts)) < len(parts) or ("raw" in parts and len(parts) > 1) or {"zne", "pea"} <= set(parts):
        rule = "names parts twice or that exclude each other"
        fix = "raw stands alone; zne and pea are two ways to amplify"
        problems.append(Problem(f"strategy {name!r}", rule, fix))
    InputError.check(problems)
    return parts


def describe(name: str) -> str:
    """Return what a built-in strategy does, in one line; empty for other names."""
    if name in _LEVELS:
        return f"resilience level {name[-1]} as it comes"
    try:
        return ", ".join(_SAID[part] for part in _parts(name))
    except InputError:
        return ""


def chosen(strategies: Any) -> tuple[Chosen, ...]:
    """Return strategies with their options checked; see `compare` for what may be given.

    Raises:
        InputError: They are none, or names or options are unknown; lists all.
    """
    fix = 'give a dict of names to options, or a list of built-in names such as ["raw", "trex", "level 2"]'
    if isinstance(strategies, str) or not isinstance(strategies, Iterable):
        raise InputError.of(
            [Problem("strategies", f"must be a dict or a list (got {strategies!r:.60})", fix)]
        )
    given = list(strategies.items()) if isinstance(strategies, Mapping) else [(s, s) for s in strategies]
    problems: list[Problem] = []
    if not given:
        problems.append(Problem("strategies", "names none", fix))
    found: list[Chosen] = []
    for name, value in given:
        if not isinstance(name, str) or not name.strip():
            problems.append(Problem("strategies", f"has a name that is no text: {name!r:.60}", fix))
            continue
        if any(name == other.name for other in found):
            problems.append(Problem("strategies", f"names {name!r} twice", "leave one out"))
            continue
        try:
            found.append(_chosen(name, value))
        except InputError as error:
            problems += error.problems
        except Exception as error:  # whatever options raise about themselves
            listed = getattr(error, "problems", None) or [Problem("", str(error))]
            problems += [Problem(f"strategies[{name!r}].{p.path}".rstrip("."), p.rule, p.fix) for p in listed]
    InputError.check(problems)
    return _sharing(found)


def _chosen(name: str, value: Any) -> Chosen:
    description = ""
    if value is None or isinstance(value, str):
        built_in = name if value is None else value
        options, description = EstimatorOptions(options_of(built_in)), describe(built_in)
    else:
        options = accepted(value, EstimatorOptions, stacklevel=6)
    options.seed = None  # that of the comparison decides
    return Chosen(Strategy(name, plain(options.diff()), description), options)


def _sharing(found: list[Chosen]) -> tuple[Chosen, ...]:
    """Say which strategies analyse the shots of another one."""
    hosts: list[tuple[str, Any]] = []
    shared = []
    for each in found:
        values = _taken(each.options)
        host = next((name for name, other in hosts if values is not None and same(values, other)), each.name)
        if host == each.name:
            hosts.append((host, values))
        shared.append(
            evolve(each, record=evolve(each.record, shares_data_with=host if host != each.name else ""))
        )
    return tuple(shared)


def _taken(options: EstimatorOptions) -> dict[str, Any] | None:
    """Return the options that decide which shots are taken; None where nothing could be analysed in another way."""
    values = options.to_dict()
    zne = options.resilience.zne_mitigation or (
        options.resilience.zne_mitigation is None and options.resilience_level == 2
    )
    if not zne or options.execution.precision_target != "shots":
        return None
    for name in ANALYSIS:
        del values["resilience"]["zne"][name]
    return values


def plain(value: Any) -> Any:
    """Return a value as plain data; objects are shown by their text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return repr(value)
