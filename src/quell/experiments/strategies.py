"""The strategies of an experiment: built-in names, and tables of options that may start from one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from ..comparison.strategies import options_of
from ..errors import Problem, QuellError
from ..options import EstimatorOptions
from ..options.files import null_of_toml
from . import checks

_FIX = 'write strategies = ["raw", "trex"], for instance, or tables such as [strategies.mine]'


@frozen(eq=False)
class StrategySpec:
    """A strategy as a file names it.

    Attributes:
        name: What it is called.
        options: The options that differ from the defaults, as a nested dict; None for a built-in strategy.
        description: What it does, in one line; empty where the file does not say.
    """

    name: str
    options: Mapping[str, Any] | None = None
    description: str = ""


def strategies_of(value: Any, path: str, problems: list[Problem]) -> list[StrategySpec]:
    """Return the strategies of a list or table; what is wrong with it is added to `problems`."""
    if value is None:
        problems.append(Problem(path, "is missing", _FIX))
        return []
    if isinstance(value, list):
        return _built_in(value, path, problems)
    if not isinstance(value, Mapping):
        problems.append(Problem(path, f"must be a list of names, or a table, not {value!r:.60}", _FIX))
        return []
    found = _built_in(value["use"], f"{path}.use", problems) if "use" in value else []
    for name, table in value.items():
        if name == "use":
            continue
        if name in [spec.name for spec in found]:
            problems.append(Problem(f"{path}.{name}", "is also among those in use", "give it another name"))
        elif not isinstance(table, Mapping):
            problems.append(Problem(f"{path}.{name}", f"must be a table of options, not {table!r:.60}", _FIX))
        else:
            found += _own(name, table, f"{path}.{name}", problems)
    if not value:
        problems.append(Problem(path, "names no strategy", _FIX))
    return found


def _built_in(value: Any, path: str, problems: list[Problem]) -> list[StrategySpec]:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        problems.append(Problem(path, f"must be a list of names, not {value!r:.60}", _FIX))
        return []
    if len(set(value)) < len(value):
        problems.append(Problem(path, "names one twice", "keep one of them"))
    for number, name in enumerate(value):
        base_options(name, f"{path}[{number}]", problems)
    return [StrategySpec(name) for name in value]


def _own(name: str, table: Mapping[str, Any], path: str, problems: list[Problem]) -> list[StrategySpec]:
    before = len(problems)
    options = EstimatorOptions()
    description = table.get("description", "")
    try:
        checks.prose(description)
    except ValueError as error:
        problems.append(Problem(f"{path}.description", *error.args))
    base = table.get("base")
    if base is not None:
        start = base_options(base, f"{path}.base", problems)
        options = EstimatorOptions(start)
    given = {key: value for key, value in table.items() if key not in ("base", "description")}
    try:
        options.update(null_of_toml(given, EstimatorOptions))
    except QuellError as error:
        problems += [Problem(p.path.replace("options", path, 1), p.rule, p.fix) for p in error.problems]
    return [StrategySpec(name, options.diff(), description)] if len(problems) == before else []


def base_options(name: Any, path: str, problems: list[Problem]) -> Mapping[str, Any]:
    """Return the options of a built-in strategy; what is wrong with its name is added to `problems`."""
    if not isinstance(name, str):
        problems.append(Problem(path, f"must be the name of a built-in strategy, not {name!r:.60}"))
        return {}
    try:
        return options_of(name)
    except QuellError as error:
        problems += [Problem(path, p.rule, p.fix) for p in error.problems]
        return {}
