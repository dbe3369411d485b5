"""Where the names of points are written, so that they cover neither each other nor the points."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Gaps between a point and its label that are tried, in the unit of the input (points of 1/72 inch).
_GAPS: Final = (6.0, 10.0, 15.0, 23.0, 33.0, 45.0, 60.0, 80.0)
_DIRECTIONS: Final = 24
#: What overlaps cost, in units of a gap: with labels and points a lot, with bars and the way to the point less.
_COVERED: Final = 400.0
_CROSSED: Final = 25.0
_SWEEPS: Final = 12
_SAMPLES: Final = 9


def place_labels(points: Floats, sizes: Floats, obstacles: Floats, bounds: Floats) -> Floats:
    """Return where labels stand: their lower left corners, float64 ``(n, 2)``.

    Each label tries many places around its point and takes the one that covers least, in turns until nothing moves.
    The same input has the same answer.

    Args:
        points: What is labelled, float64 ``(n, 2)``, in any unit that is about a point of 1/72 inch.
        sizes: Width and height of each label, float64 ``(n, 2)``.
        obstacles: Boxes (left, low, right, high) that labels should not cover, float64 ``(m, 4)``.
        bounds: Box in which the labels must be, float64 ``(4,)``.
    """
    if not len(points):
        return np.zeros((0, 2))
    angles = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    gaps = np.repeat(_GAPS, _DIRECTIONS)
    centres = np.tile(ways, (len(_GAPS), 1))
    # To the right and a little above is where readers look for a name.
    taste = gaps + 2.0 * (1.0 - centres @ np.array([0.8, 0.6]))
    choices = points[:, None] + centres * (gaps[:, None] + sizes[:, None] / 2)
    fixed = np.array(
        [
            taste
            + _COVERED * _overlaps(_boxes(choice, size), obstacles).sum(axis=1)
            + _COVERED * _outside(_boxes(choice, size), bounds)
            + _CROSSED * _crossings(point, choice, obstacles)
            for point, choice, size in zip(points, choices, sizes, strict=True)
        ]
    )
    picked = fixed.argmin(axis=1)
    for _ in range(_SWEEPS):
        before = picked.copy()
        for k in range(len(points)):
            others = np.arange(len(points)) != k
            taken = _boxes(choices[others, picked[others]], sizes[others])
            covers = _overlaps(_boxes(choices[k], sizes[k]), taken).sum(axis=1)
            picked[k] = int(
                (fixed[k] + _COVERED * covers + _CROSSED * _crossings(points[k], choices[k], taken)).argmin()
            )
        if np.array_equal(before, picked):
            break
    places: Floats = choices[np.arange(len(points)), picked] - sizes / 2
    return places


def _boxes(centres: Floats, sizes: Floats) -> Floats:
    """Return boxes (left, low, right, high) around centres, float64 ``(n, 4)``."""
    return np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)


def _overlaps(boxes: Floats, others: Floats) -> Floats:
    """Return how much of the smaller side of each pair of boxes is covered, float64 ``(n, m)``, 0 to 1."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.maximum(high - low, 0.0)
    sides = np.minimum(boxes[:, None, 2:] - boxes[:, None, :2], others[None, :, 2:] - others[None, :, :2])
    shares: Floats = np.divide(common, sides, out=np.ones_like(common), where=sides > 0)
    found: Floats = np.where((common > 0).all(axis=2), 0.2 + 0.8 * shares.prod(axis=2), 0.0)
    return found


def _outside(boxes: Floats, bounds: Floats) -> Floats:
    """Return how far boxes stick out of the bounds, in lengths of ten units, float64 ``(n,)``."""
    low = np.maximum(bounds[:2] - boxes[:, :2], 0.0)
    high = np.maximum(boxes[:, 2:] - bounds[2:], 0.0)
    found: Floats = (low + high).sum(axis=1) / 10
    return found


def _crossings(point: Floats, centres: Floats, boxes: Floats) -> Floats:
    """Return through how many boxes the way from a point to each centre goes, float64 ``(n,)``.

    Boxes that contain the point do not count: they are its own marker and bars.
    """
    own = ((boxes[:, :2] <= point) & (point <= boxes[:, 2:])).all(axis=1)
    boxes = boxes[~own]
    steps = np.linspace(0.0, 1.0, _SAMPLES)[1:-1]
    way = point + steps[None, :, None] * (centres - point)[:, None]
    inside = (boxes[:, :2] <= way[:, :, None]) & (way[:, :, None] <= boxes[:, 2:])
    hit = np.all(inside, axis=3)
    return np.asarray(np.any(hit, axis=1).sum(axis=1), dtype=np.float64)
