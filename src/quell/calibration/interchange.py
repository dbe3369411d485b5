"""Calibrations as JSON text, for other machines: rows of a store out, and in again with distrust."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import evolve

from .._version import __version__
from ..errors import InputError, Problem, QuellError
from . import plain
from .database import COLUMNS, SCHEMA
from .records import BY_NAME, KINDS
from .rows import built, is_intact

_FORMAT: Final = "quell calibrations"
_TEXTS: Final = ("key", "backend", "kind", "conditions", "learned_at", "checksum")
#: What a row has as text in JSON, and an export as tables.
_NESTED: Final = ("requirement", "quality", "payload")


def exported(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as JSON text."""
    nested = [{**row, **{name: json.loads(row[name]) for name in _NESTED}} for row in rows]
    data = {"format": _FORMAT, "schema": SCHEMA, "quell": __version__, "records": nested}
    return json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n"


def write(text: str, path: str | os.PathLike[str]) -> None:
    """Write an export to a file.

    Raises:
        InputError: The file cannot be written.
    """
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        rule = f"cannot be written: {error.strerror or error}"
        raise InputError.of([Problem(os.fspath(path), rule)]) from None


def imported(source: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the rows of an export.

    Args:
        source: The path of a file, or the text itself, which begins with a brace.

    Raises:
        InputError: Listing everything that is wrong with it.
    """
    name, text = "text", source
    if not isinstance(source, str) or not source.lstrip().startswith("{"):
        name = os.fspath(source)
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError.of([Problem(name, f"cannot be read: {error}")]) from None
    try:
        data = json.loads(str(text))
    except (ValueError, RecursionError) as error:
        raise InputError.of([Problem(name, f"is no JSON: {error}")]) from None
    problems: list[Problem] = []
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        rule = f"must be an export of calibrations, whose format is {_FORMAT!r}"
        raise InputError.of([Problem(name, rule, "write it with export_json")])
    if data.get("schema") != SCHEMA:
        rule = f"has schema version {data.get('schema')!r}, and quell {__version__} reads version {SCHEMA}"
        raise InputError.of([Problem(name, rule)])
    records = data.get("records")
    if not isinstance(records, list):
        raise InputError.of([Problem(f"{name}.records", "must be a list")])
    rows = []
    for index, record in enumerate(records):
        try:
            rows.append(_row(record))
        except QuellError as error:
            problems += [evolve(p, path=f"{name}.records[{index}].{p.path}") for p in error.problems]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            problems.append(Problem(f"{name}.records[{index}]", str(error)))
    InputError.check(problems)
    return rows


def _row(record: Any) -> dict[str, Any]:
    """Return the row of an exported record.

    Raises:
        ValueError: Something is wrong with it.
        QuellError: What it holds cannot be.
    """
    data = plain.mapping(record, COLUMNS)
    wrong = [name for name in _TEXTS if not isinstance(data[name], str)]
    wrong += [name for name in _NESTED if not isinstance(data[name], dict)]
    number = data["learned"]
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not abs(number) < 1e11:  # also nan
        wrong.append("learned")
    if wrong:
        raise ValueError(f"has values of the wrong type for {', '.join(wrong)}")
    plain.integer(data, "shots")
    kind = BY_NAME.get(data["kind"])
    if kind is None:
        known = ", ".join(k.name for k in KINDS)
        raise ValueError(f"kind is {data['kind']!r}, which is none of {known}")
    row = {**data, "learned": float(number), **{name: plain.canonical(data[name]) for name in _NESTED}}
    if not is_intact(row):
        raise ValueError("checksum is wrong: the record was changed or damaged")
    built(row, kind, kind.read(json.loads(row["requirement"])))
    return row
