"""Reports of a comparison: Markdown, and one HTML page for a browser and for printing."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .._version import __version__
from .pictures import PICTURES, available, draw
from .report_content import TITLE, content
from .report_html import Drawing, page
from .report_markdown import document

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .comparison import Comparison

#: Names of the files that `write` writes, beside the pictures.
DATA: Final = "comparison.json"
MARKDOWN: Final = "report.md"
HTML: Final = "report.html"
#: The same pictures are the same file: no date, no random names.
_SALT: Final = "quell"
_UNDATED: Final = {"Date": None, "Creator": None}
_MISSING_GLYPH: Final = r"Glyph .* missing from font"


def markdown_report(
    comparison: Comparison,
    *,
    pictures: Sequence[str | os.PathLike[str]] = (),
    experiment_text: str | None = None,
    title: str | None = None,
    description: str | None = None,
) -> str:
    """Return a report in Markdown.

    Args:
        comparison: What was measured.
        pictures: Files of pictures that it shows, as it names them; the name without suffix says which picture it
            is: one of `PICTURES`.
        experiment_text: The text of the file of the experiment, if there is one.
        title: Title of the report; by default that of the settings.
        description: What stands below it, empty lines part paragraphs; by default that of the settings.
    """
    head = _head(comparison, title, description)
    files = {Path(path).stem: str(path) for path in pictures}
    shown = tuple(name for name in PICTURES if name in files)
    return document(content(comparison, shown, experiment_text, *head), files, _about())


def html_report(
    comparison: Comparison,
    *,
    experiment_text: str | None = None,
    title: str | None = None,
    description: str | None = None,
) -> str:
    """Return a report as one HTML page that contains its pictures and needs no script and no net.

    Without matplotlib it has no pictures, and says so.

    Args:
        comparison: What was measured.
        experiment_text: The text of the file of the experiment, if there is one.
        title: Title of the report; by default that of the settings.
        description: What stands below it, empty lines part paragraphs; by default that of the settings.
    """
    head = _head(comparison, title, description)
    shown, missing = _drawable(comparison)
    blocks = content(comparison, shown, experiment_text, *head)
    return page(blocks, head[0], lambda name: _svg(draw(comparison, name)), _about(missing))


def write(
    comparison: Comparison,
    folder: str | os.PathLike[str],
    *,
    html: bool = False,
    experiment_text: str | None = None,
    title: str | None = None,
    description: str | None = None,
) -> list[Path]:
    """Write data, report and pictures into a folder, which is made if it is not there; return the paths.

    These are comparison.json, report.md, a PNG for each picture that can be drawn, and report.html if wanted. Files of
    these names from before that are not written again are removed. Without matplotlib there are no pictures, and the
    reports say so.

    Args:
        comparison: What was measured.
        folder: Where to.
        html: Whether to write report.html too.
        experiment_text: The text of the file of the experiment, if there is one.
        title: Title of the report; by default that of the settings.
        description: What stands below it, empty lines part paragraphs; by default that of the settings.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    written = [comparison.save(target / DATA)]
    head = _head(comparison, title, description)
    shown, missing = _drawable(comparison)
    figures = {name: draw(comparison, name) for name in shown}
    for name, figure in figures.items():
        written.append(target / f"{name}.png")
        _save_quietly(figure, written[-1], format="png", metadata={"Software": None})
    blocks = content(comparison, shown, experiment_text, *head)
    texts = {MARKDOWN: document(blocks, {name: f"{name}.png" for name in shown}, _about(missing))}
    if html:
        texts[HTML] = page(blocks, head[0], lambda name: _svg(figures[name]), _about(missing))
    for name, text in texts.items():
        written.append(target / name)
        written[-1].write_text(text, encoding="utf-8")
    # A report or a picture of other data that stayed here would be taken for one of these.
    for name in (HTML, *(f"{name}.png" for name in PICTURES)):
        if target / name not in written:
            (target / name).unlink(missing_ok=True)
    return written


def _head(comparison: Comparison, title: str | None, description: str | None) -> tuple[str, str]:
    """Return title and description, by default those of the settings."""
    settings = comparison.settings
    name = " ".join(str(settings.get("title") or "" if title is None else title).split())
    return name or TITLE, str(settings.get("description") or "" if description is None else description)


def _drawable(comparison: Comparison) -> tuple[tuple[str, ...], str]:
    """Return which pictures can be drawn, and why there are none if matplotlib is missing."""
    shown = available(comparison)
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return (), "Pictures are drawn by matplotlib, which is not installed; pip install 'quell[plot]'."
    return shown, ""


def _about(missing: str = "") -> str:
    return " ".join(filter(None, [f"Written by quell {__version__}.", missing]))


def _svg(figure: Figure) -> Drawing:
    """Return a picture as SVG with letters as outlines, so that it needs no fonts."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context({"svg.fonttype": "path", "svg.hashsalt": _SALT}):
        _save_quietly(figure, buffer, format="svg", metadata=_UNDATED)
    width, height = figure.get_size_inches()
    return Drawing(buffer.getvalue(), float(width), float(height))


def _save_quietly(figure: Figure, target: Path | io.BytesIO, **how: object) -> None:
    """Save a picture; names may have letters that the font lacks, which show as boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=_MISSING_GLYPH, category=UserWarning)
        figure.savefig(target, **how)  # type: ignore[arg-type]
