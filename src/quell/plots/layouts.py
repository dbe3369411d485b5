"""Where the qubits of a picture are: neighbours one unit apart, others about as far as the couplings between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: A line of more qubits than this is folded into rows of so many.
_ROW: Final = 10
_STEPS: Final = 300
#: Keeps qubits apart that the first guess puts in one place; in units of a coupling.
_APART: Final = 1e-3
_GOLDEN: Final = np.pi * (3 - np.sqrt(5))


def positions(num_qubits: int, pairs: Sequence[tuple[int, int]]) -> Floats:
    """Return where each of ``num_qubits`` is, coupled by `pairs`, float64 ``(num_qubits, 2)``.

    Lines are straight, and folded where they are long; other graphs have the distances of the picture as close as
    possible to those along the couplings (least stress). What is not connected stands side by side. The same graph has
    the same picture.
    """
    near: list[set[int]] = [set() for _ in range(num_qubits)]
    for a, b in pairs:
        near[a].add(b)
        near[b].add(a)
    places = np.zeros((num_qubits, 2))
    left = 0.0
    for part in _parts(near):
        line = _line(part, near)
        if line is None:
            places[part] = _least_stress(_distances(part, near))
        else:
            places[line] = _folded(len(line))
        places[part, 0] += left - places[part, 0].min()
        places[part, 1] -= (places[part, 1].max() + places[part, 1].min()) / 2
        left = places[part, 0].max() + 1.0
    return places


def _parts(near: Sequence[set[int]]) -> list[list[int]]:
    """Return the connected parts of a graph, in the order of their first qubits."""
    parts, seen = [], set[int]()
    for first in range(len(near)):
        if first in seen:
            continue
        part, front = {first}, [first]
        while front:
            new = near[front.pop()] - part
            part |= new
            front += new
        seen |= part
        parts.append(sorted(part))
    return parts


def _line(part: Sequence[int], near: Sequence[set[int]]) -> list[int] | None:
    """Return the qubits of a part from one end to the other, None if it is no line."""
    ends = [q for q in part if len(near[q]) < 2]
    if len(part) == 1:
        return [part[0]]
    if len(ends) != 2 or any(len(near[q]) > 2 for q in part):
        return None
    line = [min(ends)]
    while len(line) < len(part):
        line += near[line[-1]] - set(line[-2:])
    return line


def _folded(size: int) -> Floats:
    """Return the places of a line, in rows that are run through in turn from the left and from the right."""
    row, column = np.divmod(np.arange(size), max(_ROW, 1))
    return np.stack([np.where(row % 2, _ROW - 1 - column, column), -row], axis=1).astype(float)


def _distances(part: Sequence[int], near: Sequence[set[int]]) -> Floats:
    """Return the number of couplings between any two qubits of a connected part, float64 ``(n, n)``."""
    place = {q: i for i, q in enumerate(part)}
    linked = np.zeros((len(part), len(part)), dtype=bool)
    for q in part:
        linked[place[q], [place[other] for other in near[q]]] = True
    reached = np.eye(len(part), dtype=bool)
    distances = np.zeros(linked.shape)
    while not reached.all():
        further = (reached.astype(np.float32) @ linked > 0) | reached
        distances += ~reached
        reached = further
    return distances


def _least_stress(distances: Floats) -> Floats:
    """Return places whose distances are near those given, the longer side across, float64 ``(n, 2)``.

    Classical scaling, then majorization of the stress with weights 1 / distance^2.
    """
    size = len(distances)
    centre = np.eye(size) - 1 / size
    values, vectors = np.linalg.eigh(-centre @ distances**2 @ centre / 2)
    places = vectors[:, [-1, -2]] * np.sqrt(np.maximum(values[[-1, -2]], 0.0))
    places = places * np.where(places[np.abs(places).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
    angles = _GOLDEN * np.arange(size)
    places += _APART * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    weights = np.divide(1.0, distances**2, out=np.zeros_like(distances), where=distances > 0)
    inverse = np.linalg.pinv(np.diag(weights.sum(axis=1)) - weights)
    for _ in range(_STEPS):
        apart = places[:, None] - places[None]
        lengths = np.sqrt((apart**2).sum(axis=2))
        pull = np.divide(weights * distances, lengths, out=np.zeros_like(lengths), where=lengths > 1e-12)
        places = inverse @ (np.diag(pull.sum(axis=1)) - pull) @ places
    turned: Floats = places @ np.linalg.svd(places - places.mean(axis=0), full_matrices=False)[2].T
    # The first qubit is on the left and not below.
    middle = turned.mean(axis=0)
    turned[:, 0] *= -1.0 if turned[0, 0] > middle[0] else 1.0
    turned[:, 1] *= -1.0 if turned[0, 1] < middle[1] else 1.0
    return turned
