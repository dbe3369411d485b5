"""The generated parts of the migration page: its tables come from the tables that translate.

Run ``python -m quell.options.legacy.guide docs/migration.md`` to rewrite them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Final, get_args

from .rows import REASONS, Primitive, Row, Source, Table
from .tables import SOURCES

#: Most interfaces forward all that `backend.run` takes: their tables point to its table.
_BASE: Final = "backend.run"
_SAME: Final = "the same"
#: Where the table has the keys that mean something else in the options of the noise learner.
_LEARNER: Final = "learner."


def reasons() -> str:
    """Return the table of reason codes."""
    rows = [f"| `{code}` | {_sentence(text)} |" for code, text in REASONS.items()]
    return "\n".join(("| code | what to do instead |", "|---|---|", *rows)) + "\n"


def sections() -> str:
    """Return one section for each table, with the defaults of each interface that has it."""
    return "\n".join(_section(group) for group in grouped())


def grouped() -> list[list[Source]]:
    """Return the sources in the order of the page, those that share a table together."""
    return [list(group) for _, group in groupby(SOURCES, key=lambda source: id(source.table))]


def heading(source: Source) -> str:
    """Return the heading of the section that a source is in."""
    group = next(group for group in grouped() if source in group)
    titles = [source.title for source in group[: 1 if len(group) > 2 else 2]]
    return _capital(" and ".join(titles))


def table(source: Source) -> str:
    """Return the table of a source: keys with the same outcome share a row."""
    rows: dict[tuple[str, str], list[str]] = {}
    for cells, keys in _rows(source):
        rows.setdefault(cells, []).extend(keys)
    lines = [f"| {', '.join(keys)} | {new} | {text} |" for (new, text), keys in rows.items()]
    return "\n".join(("| legacy | V2 | what to do |", "|---|---|---|", *lines)) + "\n"


def _rows(source: Source) -> Iterator[tuple[tuple[str, str], list[str]]]:
    """Yield the cells and keys of each row; what is as in the base's table is one row."""
    base = next(s for s in SOURCES if s.name == _BASE)
    prefix = _prefix_of(base.table, source.table) if source.table is not base.table else None
    as_there: set[str] = set()
    if prefix is not None:
        pairs = {f"{prefix}{key}": row for key, row in base.table.items()}
        as_there = {key for key, row in pairs.items() if _cells("", source.table[key]) == _cells("", row)}
        others = "all other keys" if len(as_there) < len(pairs) else "all keys"
        link = f"[as there](#{_slug(heading(base))})"
        yield (link, ""), [f"{f'`{prefix}*`: ' if prefix else ''}{others} of `{_BASE}`"]
    for key, row in source.table.items():
        if key not in as_there:
            yield _cells(key, row), [_written(key)]


def _prefix_of(base: Table, other: Table) -> str | None:
    """Return the group below which `other` has all the keys of `base`, None if it has not."""
    for prefix in ("", "options.", "run_options."):
        if all(f"{prefix}{key}" in other for key in base):
            return prefix
    return None


def _written(key: str) -> str:
    """Return a key as people write it; places that only the table knows say where they are from."""
    if key.startswith(_LEARNER):
        return f"`{key.removeprefix(_LEARNER)}` of `NoiseLearnerOptions`"
    return f"`{key}`"


def _cells(key: str, row: Row) -> tuple[str, str]:
    """Return what the table says of a row: where it goes, and what to do."""
    new = (_SAME if row.to == key else f"`{row.to}`") if row.to else f"dropped: `{row.reason}`"
    if row.to and row.reason:
        new += f"; `{row.reason}` where V2 has no such option"
    return new, _sentence(row.text or (REASONS[row.reason] if row.reason else ""))


def _sentence(text: str) -> str:
    """Return a text as a cell: a capital first, no full stop last, nothing that Markdown would take away."""
    return _capital(_escaped(text.removesuffix(".")).replace("|", "\\|"))


def _escaped(text: str) -> str:
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [re.sub(r"([<*])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


def _capital(text: str) -> str:
    """Return a text with a capital first, unless it starts with a name."""
    word = re.match(r"[a-z]+(?=[ ,;])", text)
    return text[0].upper() + text[1:] if word and word[0] != "quell" else text


# ------------------------------------------------------------------------------------------------ sections


def _section(group: list[Source]) -> str:
    lines = [f"### {heading(group[0])}", ""]
    for source in group:
        also = f" (also {', '.join(f'`{alias}`' for alias in source.aliases)})" if source.aliases else ""
        title = "" if source.title in heading(group[0]) else f": {source.title}"
        only = f", for {source.primitive}s only" if source.primitive else ""
        lines.append(f"- `{source.name}`{also}{title}{only}")
    lines += ["", *_spelling(group[0]), table(group[0])]
    lines += _per_source(group, "Defaults that changed, for keys that were not given:", _shifts)
    lines += _per_source(group, "`expand_defaults=True` writes out:", _defaults)
    return "\n".join(lines)


def _spelling(source: Source) -> list[str]:
    """Return a sentence on keys that may be given without their group."""
    if not source.flat:
        return []
    if source.flat == ("*",):
        return ["Keys may be nested, dotted, or without their group where only one group has them.", ""]
    groups = ", ".join(f"`{group}`" for group in source.flat)
    return [f"Keys may be nested, dotted, or without their group ({groups}).", ""]


def _shifts(source: Source) -> list[str]:
    shifts = {
        shift.path: shift.text
        for primitive in get_args(Primitive)
        for shift in source.shifts(source.version or (0,), primitive)
    }
    return [f"- `{path}`: {_escaped(text)}." for path, text in shifts.items()]


def _defaults(source: Source) -> list[str]:
    found: dict[str, list[str]] = {}
    primitives = (source.primitive,) if source.primitive else get_args(Primitive)
    for primitive in primitives:
        values = source.defaults(source.version or (0,), primitive)
        text = ", ".join(f"`{key} = {value!r}`" for key, value in values.items())
        found.setdefault(text, []).append(f"{primitive}s")
    assumed = f" (version {'.'.join(map(str, source.version))} is assumed)" if source.version else ""
    return [
        f"- {text}{f' for {names[0]}' if len(found) > 1 else ''}{assumed}."
        for text, names in found.items()
        if text
    ]


def _per_source(group: list[Source], above: str, lines_of: Callable[[Source], list[str]]) -> list[str]:
    """Return lines below a sentence, each once, naming the sources it is for unless it is for all of them."""
    owners: dict[str, list[str]] = {}
    for source in group:
        for line in lines_of(source):
            owners.setdefault(line, []).append(f"`{source.name}`")
    if not owners:
        return []
    lines = [
        line if len(names) == len(group) else f"- {', '.join(names)}: {line.removeprefix('- ')}"
        for line, names in owners.items()
    ]
    return [above, "", *lines, ""]


def _slug(heading: str) -> str:
    """Return the anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# -------------------------------------------------------------------------------------------------- page

#: What is generated, by the name in its markers.
PARTS: Final[Mapping[str, Callable[[], str]]] = {"reasons": reasons, "sections": sections}


def updated(page: str) -> str:
    """Return the page with its generated parts rewritten.

    Raises:
        ValueError: The markers of a part are not there exactly once.
    """
    for name, generated in PARTS.items():
        start, end = f"<!-- generated: {name} -->\n", f"<!-- end of {name} -->"
        if (page.count(start), page.count(end)) != (1, 1) or page.index(start) > page.index(end):
            raise ValueError(f"the page needs {start.strip()!r} once, and then {end!r} once")
        before, rest = page.split(start)
        page = f"{before}{start}\n{generated()}\n{end}{rest.split(end)[1]}"
    return page


def main(arguments: list[str]) -> int:
    """Rewrite the generated parts of the page that is named."""
    if len(arguments) != 1:
        print("usage: python -m quell.options.legacy.guide docs/migration.md", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
