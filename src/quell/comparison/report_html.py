"""The report as one HTML page that needs nothing else: no script, no other file, no net."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Final

from attrs import frozen

from .cells import Cells
from .report_blocks import Block, Code, Heading, Picture, Table, Terms, Text
from .report_style import STYLE

#: A browser shows so many pixels for an inch.
_PIXELS: Final = 96
#: A table of so many rows is not parted between pages.
_SHORT: Final = 20


@frozen
class Drawing:
    """A picture as SVG.

    Attributes:
        svg: The text of the file.
        width: In inches.
        height: In inches.
    """

    svg: bytes
    width: float
    height: float


def page(blocks: Sequence[Block], title: str, drawing: Callable[[str], Drawing], about: str) -> str:
    """Return a page.

    Nothing but its own style and pictures that it contains may be loaded, which browsers are told to enforce.

    Args:
        blocks: What it says.
        title: Title of the window.
        drawing: Returns a picture by its name.
        about: What stands at the end.
    """
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    body = "\n".join(line for block in blocks for line in _lines(block, drawing))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
<main>
{body}
</main>
<footer>{_text(about)}</footer>
</body>
</html>
"""


def _text(text: str) -> str:
    """Return text from outside so that it is text: no markup, and no characters that HTML does not have."""
    return escape(
        "".join(c if c in "\n\t" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    )


def _lines(block: Block, drawing: Callable[[str], Drawing]) -> Iterator[str]:
    match block:
        case Heading(text, level):
            yield f"<h{level}>{_text(text)}</h{level}>"
        case Text(text, lead, main):
            stressed = f"<strong>{_text(lead)}</strong> " if lead else ""
            for k, part in enumerate(_paragraphs(text)):
                first = stressed if k == 0 else ""
                yield f"<p{' class=main' if main else ''}>{first}{_text(part)}</p>"
        case Terms(pairs, compact):
            yield f"<dl{' class=facts' if compact else ''}>"
            for name, text in pairs:
                yield f"<dt>{_text(name)}</dt><dd>{_text(text)}</dd>"
            yield "</dl>"
        case Table(number, cells):
            yield from _table(number, cells)
        case Picture(number, caption):
            own = drawing(caption.name)
            data = base64.b64encode(own.svg).decode()
            width, height = (round(_PIXELS * side) for side in (own.width, own.height))
            label = f"Figure {number}"
            yield f'<figure id="{caption.name}">'
            yield f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
            size = f'width="{width}" height="{height}"'
            yield f'<img src="data:image/svg+xml;base64,{data}" alt="{_text(caption.alt)}" {size}>'
            yield f"</div>\n<figcaption><strong>{label}.</strong> {_text(caption.text)}</figcaption>\n</figure>"
        case Code(text, _, name):
            if name:
                yield f"<h3>{_text(name)}</h3>"
            yield f"<pre><code>{_text(text)}</code></pre>"


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


def _table(number: int, cells: Cells) -> Iterator[str]:
    label = f"Table {number}"
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
    short = " class=whole" if len(cells.rows) <= _SHORT else ""
    yield f"<table{short}>\n<caption><strong>{label}.</strong> {_text(cells.title)}.</caption>"
    heads = (f'<th scope="col"{_side(k, cells)}>{_text(h)}</th>' for k, h in enumerate(cells.headers))
    yield f"<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>"
    for number, row in enumerate(cells.rows):
        written = []
        for k, cell in enumerate(row):
            heading = k in cells.left and cell
            tag, scope = ("th", ' scope="row"') if heading else ("td", "")
            written.append(f"<{tag}{scope}{_side(k, cells, ' name')}>{_text(cell)}</{tag}>")
        yield f"<tr>{''.join(written)}</tr>"
        if number in cells.sections and number + 1 < len(cells.rows):
            yield "</tbody>\n<tbody>"
    yield "</tbody>\n</table>\n</div>"
    if cells.notes:
        yield '<ul class="notes">'
        yield from (f"<li>{_text(note)}</li>" for note in cells.notes)
        yield "</ul>"


def _side(column: int, cells: Cells, more: str = "") -> str:
    return f' class="left{more}"' if column in cells.left else ""
