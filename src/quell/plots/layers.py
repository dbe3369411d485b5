"""The error map of a layer: where its learned noise is."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ..errors import InputError, Problem
from .figures import pyplot
from .layouts import positions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..calibration.layers import LayerModel

Floats = NDArray[np.float64]

#: Its lightness falls all the way, so it can be read in grey.
_COLOURS: Final = "viridis_r"
_UNIT: Final = 1e-3
_LISTED: Final = 5  # generators that are named
_COLUMNS: Final = 3  # pictures side by side
#: Room around qubits, and least half height of a picture, in units of a coupling.
_MARGIN: Final = 0.5
_LEAST: Final = 0.9
#: Length of a coupling, and of the widest picture, in inches.
_COUPLING: Final = 0.9
_WIDEST: Final = 13.0
#: Letters of title and notes in an inch, and height of a line of them in inches.
_TITLE_LETTERS: Final = 10.0
_NOTE_LETTERS: Final = 14.5
_LINE: Final = 0.18
#: Area of a qubit without noise (points^2) for layers of up to so many qubits, and size of its number (points).
_SIZES: Final = ((12, 330.0, 10.0), (40, 200.0, 8.0), (10**9, 90.0, 5.0))
#: Textwrap breaks lines only at other spaces.
_TIED: Final = "\N{NO-BREAK SPACE}"


@frozen(eq=False)
class _Map:
    """What is drawn of a layer; rates in units of `_UNIT`.

    Attributes:
        name: Its gates and who waits.
        qubits: Its qubits.
        waiting: Which of them wait, bool ``(n,)``.
        pairs: Coupled qubits, as places among `qubits`, ascending.
        gates: Which pairs have a gate, bool ``(P,)``.
        on_qubits: Sum of the rates of each qubit, float64 ``(n,)``.
        on_pairs: Sum of the rates of each pair, float64 ``(P,)``.
        facts: What is written below.
    """

    name: str
    qubits: tuple[int, ...]
    waiting: NDArray[np.bool_]
    pairs: tuple[tuple[int, int], ...]
    gates: NDArray[np.bool_]
    on_qubits: Floats
    on_pairs: Floats
    facts: tuple[str, ...]

    def title(self, width: float) -> list[str]:
        """Return the lines of the title of a picture so many inches wide."""
        return textwrap.wrap(self.name, max(int(_TITLE_LETTERS * width), 20))

    def notes(self, width: float) -> list[str]:
        """Return the lines below a picture so many inches wide."""
        return [
            line for fact in self.facts for line in textwrap.wrap(fact, max(int(_NOTE_LETTERS * width), 20))
        ]

    @property
    def largest(self) -> float:
        """The largest sum of rates."""
        return float(max(self.on_qubits.max(initial=0.0), self.on_pairs.max(initial=0.0)))


def layer_noise(model_or_models: Any, *, ax: Any = None) -> Any:
    """Draw the noise of a layer, or of several, on their qubits.

    Circles are qubits of gates, squares those that wait; colour and size say how large the sum of the rates of the
    generators on this qubit alone is. Lines are couplings, coloured by the sum of the rates of the generators on both
    qubits; a black outline marks the gates of the layer. Below stand the generators of the largest rates with their
    standard errors and, where the noise was learned, how well it fits. Several layers share one scale.

    Args:
        model_or_models: Noise models in any form that ``options.resilience.layer_noise_model`` takes: a `LayerModel`,
            several, a `CalibrationStore`, pairs of a layer and a `PauliLindbladMap`.
        ax: Axes to draw on, for several layers a sequence of as many; by default those of a new figure.

    Returns:
        The axes: one for a single model, a tuple for several.

    Raises:
        InputError: There are no models, they have rates that are none, or other than one axes each.
        MissingDependencyError: matplotlib is not installed.
    """
    from ..calibration.layers import LayerModel
    from ..calibration.models import layer_models

    single = isinstance(model_or_models, LayerModel)
    maps = [_map(model) for model in layer_models(model_or_models, path="model_or_models")]
    if not maps:
        raise InputError.of([Problem("model_or_models", "has no layers", "learn the noise of some")])
    plt = pyplot()
    places = _places(maps)
    limits = _limits(np.concatenate(places))
    axes = _axes(ax, maps, limits, plt)

    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    # Layers without noise still need a scale.
    colours = ScalarMappable(Normalize(0.0, max(m.largest for m in maps) or 1.0), plt.get_cmap(_COLOURS))
    for own, each, where in zip(axes, maps, places, strict=True):
        _draw(own, each, where, limits, colours)
    bar = axes[0].figure.colorbar(colours, ax=axes, shrink=0.9, pad=0.03)
    bar.set_label("sum of rates\n($10^{-3}$ per layer)")
    return axes[0] if single else tuple(axes)


def _places(maps: Sequence[_Map]) -> list[Floats]:
    """Return where the qubits of each layer are: a qubit is in the same place in all of them."""
    qubits = sorted({q for each in maps for q in each.qubits})
    place = {q: i for i, q in enumerate(qubits)}
    pairs = {(place[each.qubits[a]], place[each.qubits[b]]) for each in maps for a, b in each.pairs}
    where = positions(len(qubits), sorted(pairs))
    return [where[[place[q] for q in each.qubits]] for each in maps]


def _limits(places: Floats) -> Floats:
    """Return the least and the largest x and y of a picture with these qubits, float64 ``(2, 2)``."""
    least, largest = places.min(axis=0), places.max(axis=0)
    middle, half = (least + largest) / 2, np.maximum((largest - least) / 2 + _MARGIN, [0.0, _LEAST])
    return np.stack([middle - half, middle + half])


def _axes(ax: Any, maps: Sequence[_Map], limits: Floats, plt: Any) -> list[Axes]:
    """Return axes for each layer.

    Raises:
        InputError: Those that are given are other than one each.
    """
    if ax is not None:
        given = list(np.ravel(np.array(ax, dtype=object)))
        if len(given) != len(maps) or not all(hasattr(own, "scatter") for own in given):
            rule = f"must be matplotlib axes, one for each of {len(maps)} layers (got {len(given)})"
            raise InputError.of([Problem("ax", rule)])
        return given
    width, height = (limits[1] - limits[0]).tolist()
    columns = min(len(maps), _COLUMNS if width < 6 else 1)
    rows = -(-len(maps) // columns)
    unit = min(_COUPLING, _WIDEST / width)
    across = max(unit * width + 1.0, 3.6)
    lines = max(len(each.title(across)) + len(each.notes(across)) for each in maps)
    size = (columns * across + 1.0, rows * (unit * height + 0.4 + _LINE * lines))
    figure, grid = plt.subplots(rows, columns, figsize=size, layout="compressed", squeeze=False)
    figure.get_layout_engine().set(h_pad=0.12)  # inches; notes and the next title stay apart
    for spare in grid.ravel()[len(maps) :]:
        figure.delaxes(spare)
    return list(grid.ravel()[: len(maps)])


def _map(model: LayerModel) -> _Map:
    """Return what is drawn of a model."""
    layer, rates = model.layer, model.rates / _UNIT
    place = {q: i for i, q in enumerate(layer.qubits)}
    weights = (model.generators != 0).sum(axis=1)
    gates = {(min(ends), max(ends)) for _, _, qubits in layer.gates if (ends := [place[q] for q in qubits])}
    sums: dict[tuple[int, int], float] = dict.fromkeys(gates, 0.0)
    for k in np.flatnonzero(weights == 2).tolist():
        a, b = np.flatnonzero(model.generators[k]).tolist()
        sums[a, b] = sums.get((a, b), 0.0) + float(rates[k])
    pairs = tuple(sorted(sums))
    return _Map(
        name=re.sub(r" (?=\()|(?<=,) (?=[^()]*\))", _TIED, layer.describe()),
        qubits=layer.qubits,
        waiting=np.isin(layer.qubits, layer.spectators),
        pairs=pairs,
        gates=np.array([pair in gates for pair in pairs], dtype=bool),
        on_qubits=rates[weights == 1] @ (model.generators[weights == 1] != 0),
        on_pairs=np.array([sums[pair] for pair in pairs], dtype=float),
        facts=tuple(_facts(model, weights)),
    )


def _facts(model: LayerModel, weights: NDArray[np.int64]) -> list[str]:
    """Return what is written below the picture of a layer."""
    rates, stds, quality = model.rates / _UNIT, model.stds / _UNIT, model.quality
    facts = ["circles: in gates" + ("; squares: waiting" if model.layer.spectators else "")]
    facts.append(f"sum of rates {rates.sum():.3g}, gamma {model.gamma:.4g}")
    worst = [k for k in np.argsort(-rates, kind="stable")[:_LISTED].tolist() if rates[k] > 0]
    exact = not len(model.deviations.rows)
    named = [f"{model.labels[k]}: {rates[k]:.2f}" + ("" if exact else f" ± {stds[k]:.2f}") for k in worst]
    if named:
        facts.append(f"largest rates {', '.join(name.replace(' ', _TIED) for name in named)}")
    if (weights > 2).any():
        facts.append(f"on three and more qubits, not drawn: {rates[weights > 2].sum():.3g}")
    reduced = quality.get("reduced_chi_square")
    if isinstance(reduced, float):
        doubtful = [str(name).replace(" ", _TIED) for name in quality.get("worst_generators", ())][:3]
        fit = f"chi² per degree of freedom {reduced:.2f}"
        facts.append(fit + (f", worst fit {', '.join(doubtful)}" if doubtful else ""))
    return facts


def _draw(ax: Axes, each: _Map, places: Floats, limits: Floats, colours: Any) -> None:
    """Draw one layer."""
    from matplotlib.collections import LineCollection

    top = float(colours.norm.vmax)
    area, letters = next((a, s) for most, a, s in _SIZES if len(each.qubits) <= most)
    if each.pairs:
        lines, thick = list(places[np.array(each.pairs)]), np.sqrt(area / _SIZES[0][1])
        widths = thick * (2.0 + 5.0 * each.on_pairs / top)
        # Gates have a black outline with a white gap, which shows in grey too; other couplings a thin grey one.
        outline = ["black" if gate else "0.55" for gate in each.gates]
        gap = ["white" if gate else "0.55" for gate in each.gates]
        outer = widths + thick * np.where(each.gates, 6.0, 1.2)
        ax.add_collection(LineCollection(lines, linewidths=outer, colors=outline, zorder=1))
        inner = widths + thick * np.where(each.gates, 2.6, 1.2)
        ax.add_collection(LineCollection(lines, linewidths=inner, colors=gap, zorder=1))
        shades = colours.to_rgba(each.on_pairs)
        ax.add_collection(LineCollection(lines, linewidths=widths, colors=shades, zorder=2))
    for waits, marker in ((False, "o"), (True, "s")):
        own = np.flatnonzero(each.waiting == waits)
        if len(own):
            ax.scatter(
                places[own, 0],
                places[own, 1],
                s=area * (1.0 + each.on_qubits[own] / top),
                c=colours.to_rgba(each.on_qubits[own]),
                marker=marker,
                edgecolors="0.35" if waits else "black",
                linewidths=1.0 if waits else 2.0,
                zorder=3,
            )
    for qubit, place, rate in zip(each.qubits, places, each.on_qubits, strict=True):
        ink = "white" if _is_dark(colours.to_rgba(rate)) else "black"
        ax.text(
            place[0], place[1], str(qubit), color=ink, fontsize=letters, ha="center", va="center", zorder=4
        )
    ax.set_aspect("equal")
    ax.set_xlim(*limits[:, 0])
    ax.set_ylim(*limits[:, 1])
    ax.set_axis_off()
    box = ax.get_window_extent()
    across = float(box.width) / ax.figure.dpi
    ax.set_title("\n".join(each.title(across)), fontsize="medium")
    style: dict[str, Any] = {"fontsize": "small", "ha": "center", "va": "top", "linespacing": 1.4}
    ax.text(0.5, -0.02, "\n".join(each.notes(across)), transform=ax.transAxes, **style)


def _is_dark(colour: Sequence[float]) -> bool:
    red, green, blue = colour[:3]
    return 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
