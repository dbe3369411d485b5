"""What a report consists of, whatever it is written in: headings, text, tables, pictures, code."""

from __future__ import annotations

from attrs import frozen

from .cells import Cells
from .pictures import Caption


@frozen
class Heading:
    """A heading of a section; the title of the report has level 1."""

    text: str
    level: int = 2


@frozen
class Text:
    """Paragraphs, parted by empty lines; `lead` is stressed before the first, `main` is what matters most."""

    text: str
    lead: str = ""
    main: bool = False


@frozen
class Terms:
    """What belongs to names: facts, definitions, reasons."""

    pairs: tuple[tuple[str, str], ...]
    compact: bool = False


@frozen
class Table:
    """A table with its number."""

    number: int
    cells: Cells


@frozen
class Picture:
    """A picture with its number."""

    number: int
    caption: Caption


@frozen
class Code:
    """Text that is kept as it is."""

    text: str
    language: str = ""
    name: str = ""


Block = Heading | Text | Terms | Table | Picture | Code
