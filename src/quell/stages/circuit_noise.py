"""The learned noise of a whole circuit, as each of its observables sees it.

The noise of a circuit is that of its layers, one after the other. A term (a Pauli string that is measured) is only
changed by the generators in its light cone, those that it may anticommute with where they act (arXiv:2303.06496); the
others need not be cancelled for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ..calibration.layers import LayerModel
from ..circuits.cones import light_cones
from ..circuits.injection import LETTER_OF_CODE
from ..circuits.layers import Layer, Occurrence
from ..circuits.template import Template
from ..errors import Problem
from ..kernels.cones import relevance
from ..kernels.statistics import Deviations

Floats = NDArray[np.float64]

#: Pauli code of the letters I X Y Z, in the order of `circuits.observables.LETTERS`.
_CODE_OF_LETTER: Final = np.array([0, 1, 3, 2], dtype=np.uint8)


@frozen(eq=False)
class CircuitNoise:
    """Generators behind the dressings of a template.

    Attributes:
        generators: Letters, the dressings they act behind, and the rate of each.
        relevant: Which terms each of them may change, bool ``(K, T)``.
        totals: Sum of the rates that may change each term, float64 ``(T,)``.
        unsure: The part of it of generators that need not change the term's sign where they may, float64 ``(T,)``.
        all_rates: Sum of all rates, those that change no term too.
        responses: How the logarithm of each term's value may be wrong because rates are, if noise is cancelled
            entirely: deviations ``(B, T)``, one for each source.
        layers: The distinct layers, how often each of them occurs, and its model.
    """

    generators: list[tuple[str, list[int], float]]
    relevant: NDArray[np.bool_]
    totals: Floats
    unsure: Floats
    all_rates: float
    responses: tuple[Deviations, ...]
    layers: tuple[tuple[Layer, int, LayerModel], ...]


def circuit_noise(
    template: Template,
    places: Sequence[Occurrence],
    models: Sequence[LayerModel],
    parameter_values: Floats,
    letters: NDArray[np.uint8],
    *,
    light_cone: bool = True,
) -> CircuitNoise:
    """Return the noise of a circuit.

    Args:
        template: The circuit with its idles.
        places: Its layers.
        models: The noise of each of them.
        parameter_values: Parameter sets that are run, float64 ``(num_sets, num_parameters)``.
        letters: The terms, uint8 ``(T, num_qubits)`` of the letters I X Y Z.
        light_cone: Whether generators that cannot change a term are left out for it.
    """
    masks = light_cones(template, parameter_values, _CODE_OF_LETTER[letters])
    num_terms = len(letters)
    generators: list[tuple[str, list[int], float]] = []
    parts: list[NDArray[np.bool_]] = []
    totals, unsure = np.zeros(num_terms), np.zeros(num_terms)
    shares: dict[int, Floats] = {}
    distinct = {id(model): model for model in models}
    words = {key: _words(model) for key, model in distinct.items()}
    sums: dict[Hashable, list[Floats]] = {}
    by_source: dict[Hashable, Deviations] = {}
    for place, model in zip(places, models, strict=True):
        relevant, share = relevance(masks, place.dressings, model.generators)
        if not light_cone:
            relevant = np.ones_like(relevant)
        totals += model.rates @ relevant
        unsure += model.rates @ (relevant & (share < 1))
        shares[id(model)] = shares.get(id(model), 0.0) + share
        inserted = np.flatnonzero(relevant.any(axis=1) & (model.rates > 0))
        parts.append(relevant[inserted])
        dressings, own_words = place.dressings.tolist(), words[id(model)]
        for k in inserted.tolist():
            word, support, rate = own_words[k]
            generators.append((word, [dressings[i] for i in support], rate))
    for key, model in distinct.items():
        own = model.deviations
        if len(own.rows):
            # A generator that anticommutes turns the sign of the term: cancelling it twice is what is too much.
            source = key if model.source is None else model.source
            sums.setdefault(source, []).append(2 * own.rows @ shares[key])
            by_source[source] = own
    responses = tuple(
        Deviations(np.sum(rows, axis=0), by_source[source].dof, source) for source, rows in sums.items()
    )
    counts = Counter(id(model) for model in models)
    return CircuitNoise(
        generators=generators,
        relevant=np.concatenate(parts) if parts else np.zeros((0, num_terms), dtype=bool),
        totals=totals,
        unsure=unsure,
        all_rates=float(sum(model.rates.sum() for model in models)),
        responses=responses,
        layers=tuple((model.layer, counts[key], model) for key, model in distinct.items()),
    )


def _words(model: LayerModel) -> list[tuple[str, list[int], float]]:
    """Return the letters of each generator, where they stand among the layer's qubits, and its rate."""
    supports = [np.flatnonzero(row).tolist() for row in model.generators]
    return [
        ("".join(LETTER_OF_CODE[code] for code in row[support]), support, float(rate))
        for row, support, rate in zip(model.generators, supports, model.rates, strict=True)
    ]


def model_for(layer: Layer, models: Iterable[LayerModel]) -> LayerModel | None:
    """Return the model of a layer: the first that covers it, restricted to its qubits."""
    found = next((model for model in models if model.layer.covers(layer)), None)
    return None if found is None else found.restricted(layer)


def missing(layers: Iterable[Layer], models: Sequence[LayerModel], path: str) -> list[Problem]:
    """Return a problem for each layer that no model is for."""
    return [
        Problem(
            "options.resilience.layer_noise_model",
            f"has no noise for a layer of {path}: {layer.describe()}",
            "add its noise, or set the option to None to learn it",
        )
        for layer in dict.fromkeys(layers)
        if model_for(layer, models) is None
    ]
