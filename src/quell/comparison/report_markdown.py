"""The report as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import quote

from .report_blocks import Block, Code, Heading, Picture, Table, Terms, Text
from .tables import escaped, markdown_cells

_FENCE: Final = "`"
#: What begins a list, a heading or a quotation at the start of a line.
_START: Final = re.compile(r"^(\s*)([-+#>=]|\d+(?=[.)]))")


def document(blocks: Sequence[Block], files: Mapping[str, str], about: str) -> str:
    """Return a document.

    Args:
        blocks: What it says.
        files: Where the file of each picture is, by its name.
        about: What stands at the end.
    """
    parts = [part for block in blocks for part in _parts(block, files)]
    return "\n\n".join([*parts, _text(about)]) + "\n"


def _text(text: str) -> str:
    """Return text from outside as one line without markup."""
    return _START.sub(r"\1\\\2", re.sub(r"([\[\]_~&])", r"\\\1", escaped(text)))


def _parts(block: Block, files: Mapping[str, str]) -> Iterator[str]:
    match block:
        case Heading(text, level):
            yield f"{'#' * level} {_text(text)}"
        case Text(text, lead):
            parts = [_text(part) for part in text.split("\n\n") if part.strip()]
            if lead:
                parts = [" ".join([f"**{_text(lead)}**", *parts[:1]]), *parts[1:]]
            yield from parts
        case Terms(pairs):
            yield "\n".join(f"- **{_text(name)}**: {_text(text)}" for name, text in pairs)
        case Table(number, cells):
            yield f"*Table {number}.* {markdown_cells(cells).rstrip()}"
        case Picture(number, caption):
            yield f"![{_text(caption.alt)}]({quote(files[caption.name])})"
            yield f"*Figure {number}.* {_text(caption.text)}"
        case Code(text, language, name):
            if name:
                yield f"### {_text(name)}"
            # A fence is longer than any run of its character inside.
            longest = max((len(run) for run in re.findall(f"{_FENCE}+", text)), default=0)
            fence = _FENCE * max(3, longest + 1)
            yield f"{fence}{language}\n{text}\n{fence}"
