"""Options as JSON, TOML and Python; only what differs from the defaults is written.

TOML has no null: there, and only there, the string "none" as the value of an option stands for `None`. Within
lists and dicts, such as `run_options`, it is a string like any other, and `None` cannot be written.
"""

from __future__ import annotations

import ast
import json
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from cattrs.preconf.json import make_converter as make_json_converter

from ..errors import MissingDependencyError, OptionsError, Problem
from .group import Group, is_set, same
from .plain import NULL, Kind, plain_data

if TYPE_CHECKING:
    from cattrs import Converter
    from cattrs.preconf.json import JsonConverter

    from .tree import Tree

T = TypeVar("T", bound="Tree")

# ---------------------------------------------------------------------------------------------------- text


def to_text(options: Tree, kind: Kind) -> str:
    """Return what differs from the defaults as JSON or TOML.

    Objects with a method `to_dict` are written as the dict it returns.

    Raises:
        OptionsError: Listing every value that cannot be written.
        MissingDependencyError: TOML is asked for and tomlkit is not installed.
    """
    if kind == "json":
        return _json().dumps(options, indent=2) + "\n"
    try:
        from cattrs.preconf.tomlkit import make_converter
    except ImportError:
        message = "writing TOML needs tomlkit; install it with: pip install 'quell[toml]', or write JSON"
        raise MissingDependencyError(message) from None
    return _with_groups(make_converter(), "toml").dumps(options)


def from_text(cls: type[T], text: str, kind: Kind, source: str = "") -> T:
    """Return options from JSON or TOML; what it does not name has its default.

    Args:
        cls: The tree to make.
        text: What `to_text` returned, or what somebody wrote by hand.
        kind: "json" or "toml".
        source: What messages call the text; by default "JSON" or "TOML".

    Raises:
        OptionsError: The text is not JSON or TOML, or its options are wrong; then listing all of them.
    """
    try:
        if kind == "json":
            return _json().loads(text, cls, object_pairs_hook=unrepeated)
        return _toml_reader().structure(tomllib.loads(text), cls)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:  # both say line and column
        where = source or kind.upper()
        end = f"end of document, line {text.count(chr(10)) + 1}"
        reason = str(error).replace("end of document", end)
        problem = Problem(where, f"is not valid {kind.upper()}: {reason}", "correct it")
        raise OptionsError.of([problem]) from None


@cache
def _json() -> JsonConverter:
    return _with_groups(make_json_converter(), "json")


@cache
def _toml_reader() -> Converter:
    from cattrs import Converter

    return _with_groups(Converter(), "toml")


C = TypeVar("C", bound="Converter")


def _with_groups(converter: C, kind: Kind) -> C:
    """Return a converter that writes and reads groups our way; the checks of options do the rest."""
    converter.register_unstructure_hook(Group, lambda options: plain_data(options, kind))
    converter.register_structure_hook_func(
        lambda cls: isinstance(cls, type) and issubclass(cls, Group),
        lambda values, cls: cls.from_dict(null_of_toml(values, cls) if kind == "toml" else values),
    )
    return converter


def null_of_toml(values: Any, cls: type[Group]) -> Any:
    """Return `values` with `None` for each option whose value is the string that stands for it in TOML."""
    if not isinstance(values, Mapping):
        return values
    fields = attrs.fields_dict(cls)
    found = {}
    for name, value in values.items():
        if name in fields and "group" in fields[name].metadata:
            found[name] = null_of_toml(value, fields[name].metadata["group"])
        else:
            found[name] = None if value == NULL else value
    return found


def unrepeated(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return the pairs of a written dict; of a key given twice only the last would be kept, silently.

    Raises:
        OptionsError: Listing the keys that are given twice.
    """
    names = [name for name, _ in pairs]
    OptionsError.check(
        Problem(str(name), "is given twice", "keep one of them")
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    )
    return dict(pairs)


# --------------------------------------------------------------------------------------------------- files


def save(options: Tree, path: str | PathLike[str]) -> Path:
    """Write what differs from the defaults to a file ending in .json or .toml; return its path."""
    path = Path(path)
    text = to_text(options, _kind(path))  # before the file is touched: what is in it survives an error
    try:
        path.write_bytes(text.encode())
    except (OSError, UnicodeError) as error:
        raise OptionsError.of([Problem(str(path), f"cannot be written: {_reason(error)}")]) from error
    return path


def load(cls: type[T], path: str | PathLike[str]) -> T:
    """Return options from a file ending in .json or .toml."""
    path = Path(path)
    kind = _kind(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise OptionsError.of([Problem(str(path), f"cannot be read: {_reason(error)}")]) from error
    return from_text(cls, text, kind, str(path))


def _kind(path: Path) -> Kind:
    suffix = path.suffix.lower()
    if suffix == ".json":
        return "json"
    if suffix == ".toml":
        return "toml"
    rule = f"has the suffix {path.suffix!r}" if path.suffix else "has no suffix"
    raise OptionsError.of([Problem(str(path), rule, "name a file that ends in .json or .toml")])


def _reason(error: OSError | UnicodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else f"it is not UTF-8 ({error})"


# -------------------------------------------------------------------------------------------------- Python


def to_python(options: Tree) -> str:
    """Return statements that make these options, one for each that differs from its default.

    Values that have no literal, such as live objects, become comments that say what was there.
    """
    name = type(options).__name__
    lines = [f"from quell import {name}", "", f"options = {name}()"]
    for path, value, field in options.leaves():
        if is_set(value, field):
            lines += _statements(f"{options.path}.{path}", value)
    return "\n".join(lines) + "\n"


def _statements(path: str, value: Any) -> Iterator[str]:
    if _has_literal(value):
        yield f"{path} = {value!r}"
    elif isinstance(value, dict):  # what can be written of it is
        written = {key: item for key, item in value.items() if _has_literal(item)}
        if written:
            yield f"{path} = {written!r}"
        for key in value.keys() - written.keys():
            yield _comment(f"{path}[{key!r}]", value[key])
    else:
        yield _comment(path, value)


def _has_literal(value: Any) -> bool:
    try:
        return same(ast.literal_eval(repr(value)), value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False


def _comment(path: str, value: Any) -> str:
    return f"# {path} = ...  (a {type(value).__name__}: give your own)"
