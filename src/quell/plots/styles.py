"""How strategies look: the same colour and marker in every picture of a comparison, whatever else is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from .figures import COLOURS, pyplot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Width of a picture in inches: the text of an A4 page with margins of 2 cm. A column of a paper has 3.4.
WIDTH: Final = 6.7
#: Size of letters in points; nothing is smaller than `SMALL`.
LETTERS: Final = 8.0
SMALL: Final = 7.0
#: A dozen markers that differ in grey; those of `_THIN` look smaller than others of the same size.
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "<", "p", ">", "h", "*")
_LARGER: Final = {"D": 0.85, "s": 0.92, "*": 1.35, "P": 1.1, "X": 1.1}
#: Inches between axes and the edge.
_PAD: Final = 0.06
_ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"
#: Pictures of a comparison look the same whatever the user's settings are.
_SETTINGS: Final = {
    "font.size": LETTERS,
    "axes.titlesize": LETTERS,
    "axes.labelsize": LETTERS,
    "xtick.labelsize": LETTERS,
    "ytick.labelsize": LETTERS,
    "legend.fontsize": LETTERS,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "figure.dpi": 150,
    "savefig.dpi": 200,
}


@frozen
class Look:
    """What a strategy looks like.

    Attributes:
        colour: Its colour.
        marker: Its marker.
        hollow: Whether the marker is white inside.
    """

    colour: str
    marker: str
    hollow: bool

    def markers(self, size: float = 5.0) -> dict[str, Any]:
        """Return what `Axes.plot` and `Axes.errorbar` take, for markers of a size in points."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "markersize": size * _LARGER.get(self.marker, 1.0),
            "markerfacecolor": "white" if self.hollow else self.colour,
            "markeredgecolor": self.colour,
            "markeredgewidth": 1.1,
        }


def look(place: int) -> Look:
    """Return what the strategy at this place looks like; 72 are different from each other."""
    turn = place // len(_MARKERS)
    return Look(
        COLOURS[place % len(COLOURS)],
        _MARKERS[(place + turn) % len(_MARKERS)],
        bool(place // len(COLOURS) % 2),
    )


def plain(text: str, most: int = 40) -> str:
    """Return text as it is drawn: one line of at most so many letters, and nothing in it is a formula.

    Long text loses its middle, because names of observables differ at both ends.
    """
    line = "".join(c if c.isprintable() else " " for c in " ".join(str(text).split()))
    if len(line) > most:
        head = (most - 1) // 2
        line = line[: most - 1 - head] + _ELLIPSIS + line[len(line) - head :]
    return line.replace("$", r"\$")


def distinct(texts: Sequence[str], most: int = 40) -> list[str]:
    """Return texts as they are drawn; those that became the same by shortening get a number."""
    lines = [plain(text, most) for text in texts]
    return [
        f"{line} ({lines[:k].count(line) + 1})" if lines.count(line) > 1 else line
        for k, line in enumerate(lines)
    ]


@contextmanager
def settings() -> Iterator[None]:
    """Draw with the settings of all pictures of comparisons, and restore those of the user afterwards.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    pyplot()
    from matplotlib import style

    with style.context(["default", _SETTINGS]):
        yield


def new_figure(width: float, height: float, figure: Figure | None = None) -> Figure:
    """Return a figure of a size in inches: the one given, cleared, or a new one that pyplot does not keep."""
    from matplotlib.figure import Figure as NewFigure

    if figure is None:
        figure = NewFigure()
    figure.clear()
    figure.set_size_inches(width, height)
    figure.set_layout_engine("constrained", h_pad=_PAD, w_pad=_PAD)
    return figure
