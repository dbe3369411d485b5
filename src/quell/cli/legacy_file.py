"""Read a file of legacy options: JSON, TOML, or a Python dict that is parsed but not executed."""

from __future__ import annotations

import ast
import json
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import evolve

from ..errors import OptionsError, Problem
from ..options.files import unrepeated

STDIN: Final = "-"
SUFFIXES: Final[Mapping[str, str]] = {".toml": "toml", ".json": "json", ".py": "python"}


def title(file: str) -> str:
    """Return what messages call the file."""
    return "the input" if file == STDIN else file


def read(file: str) -> dict[str, Any]:
    """Return the options in a file; its suffix says what it holds, otherwise it is tried.

    Raises:
        OptionsError: The file cannot be read, or holds no options.
    """
    name = title(file)
    try:
        data = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise _refused(name, f"cannot be read: {error.strerror}", "name a file that exists, or -") from error
    except UnicodeDecodeError as error:
        raise _refused(name, "is not UTF-8 text", "save it as JSON, TOML or a Python dict") from error
    known = None if file == STDIN else SUFFIXES.get(Path(file).suffix.lower())
    failures = []
    for kind in (known,) if known else ("json", "toml", "python"):
        try:
            values = _READERS[kind](text)
        except OptionsError as error:  # it is of this kind, but not all of it can be used
            raise _located(error, name) from None
        except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
            failures.append(f"{_TITLES[kind]}: {str(error) or 'too deeply nested'}")
            continue
        if not isinstance(values, dict):
            rule = f"holds a {type(values).__name__}, not options by their names"
            raise _refused(name, rule, 'write {"option": value}')
        return values
    if known:
        raise _refused(name, f"is not {failures[0].replace(': ', ' (', 1)})", "correct it")
    rule = "is neither JSON nor TOML nor a Python dict (" + "; ".join(failures) + ")"
    raise _refused(name, rule, "correct it, or name it .json, .toml or .py")


def _refused(path: str, rule: str, fix: str) -> OptionsError:
    return OptionsError.of([Problem(path, rule, fix)])


def _located(error: OptionsError, name: str) -> OptionsError:
    return OptionsError.of(evolve(p, path=f"{name}: {p.path}") for p in error.problems)


def _from_json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=unrepeated)


def _from_python(text: str) -> Any:
    """Return the one dict in a Python file, alone or assigned to a name; nothing is executed."""
    found = []
    for node in ast.parse(text).body:
        value = getattr(node, "value", None)
        if isinstance(node, (ast.Expr, ast.Assign, ast.AnnAssign)) and isinstance(value, ast.Dict):
            found.append(value)
        elif not isinstance(node, (ast.Import, ast.ImportFrom)) and not (
            isinstance(node, ast.Expr) and isinstance(value, ast.Constant) and isinstance(value.value, str)
        ):
            raise SyntaxError(f"line {node.lineno} is not a dict of options, and nothing is executed")
    if len(found) != 1:
        raise SyntaxError(f"there must be one dict of options, not {len(found)}")
    problems: list[Problem] = []
    values = _literal(found[0], "", problems)
    OptionsError.check(problems)
    return values


def _literal(node: ast.expr, path: str, problems: list[Problem]) -> Any:
    """Return the value of a literal; dicts are gone into so that each problem says its key."""
    try:
        if not isinstance(node, ast.Dict):
            return ast.literal_eval(node)
        pairs = []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                problems.append(_no_literal(path, node, f"**{ast.unparse(value)}"))
                continue
            name = ast.literal_eval(key)
            hash(name)
            pairs.append((name, _literal(value, f"{path}.{name}" if path else str(name), problems)))
        return unrepeated(pairs)
    except OptionsError as error:
        problems += [evolve(p, path=f"{path}.{p.path}" if path else p.path) for p in error.problems]
    except (ValueError, TypeError):
        problems.append(_no_literal(path, node, ast.unparse(node)))
    return None


def _no_literal(path: str, node: ast.expr, text: str) -> Problem:
    rule = f"line {node.lineno}: {text} is no literal, and nothing is executed"
    return Problem(path or "options", rule, "write its value, or remove it and set it afterwards")


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "json": _from_json,
    "toml": tomllib.loads,
    "python": _from_python,
}
_TITLES: Final = {"json": "JSON", "toml": "TOML", "python": "a Python dict"}
