"""What a picture of values shows: strategies relative to the origin of the axis, and where the axis ends."""

from __future__ import annotations

from typing import Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from .styles import Look

Floats = NDArray[np.float64]

#: A strategy this many times further off than the nearest one is not allowed to hide the differences of the others.
_NEAR: Final = 5.0
_FAR: Final = 2.0


@frozen(eq=False)
class Sheet:
    """What is drawn: strategies that have values, relative to the origin of the axis.

    Attributes:
        names: One for each strategy, as drawn.
        looks: So are these.
        places: float64 (strategies, values): where the markers are; NaN where there is none.
        errors: float64 (strategies, values): half lengths of thick bars.
        spread: float64 (strategies, values): half lengths of thin whiskers.
        labels: One for each value, as drawn.
        lines: float64 (values,): where the reference is; None if there is none.
        quantity: What the axis shows.
    """

    names: tuple[str, ...]
    looks: tuple[Look, ...]
    places: Floats
    errors: Floats
    spread: Floats
    labels: tuple[str, ...]
    lines: Floats | None
    quantity: str

    @property
    def ends(self) -> Floats:
        """float64 (strategies, 2): how far each strategy's bars go, over all values."""
        size = np.maximum(self.errors, self.spread)
        low = np.where(np.isfinite(self.places), self.places - size, np.inf).min(axis=1)
        high = np.where(np.isfinite(self.places), self.places + size, -np.inf).max(axis=1)
        return np.stack([low, high], axis=1)


def limits_of(sheet: Sheet, for_most: bool = False) -> tuple[tuple[float, float], tuple[float, float] | None]:
    """Return the limits of the axis for everything, and those of a closer view if one is worth it.

    `for_most` strategies the closer view shows everything, which it must where there is no other view.
    """
    low, high = sheet.ends.T
    lines = sheet.lines if sheet.lines is not None else np.zeros(0)
    left, right = float(min([low.min(), *lines])), float(max([high.max(), *lines]))
    whole = _widened(left, right)
    if sheet.lines is None or len(sheet.names) < 2:
        return whole, None
    middle = float(np.mean([sheet.lines.min(), sheet.lines.max()]))
    reach = np.maximum(np.abs(low - middle), np.abs(high - middle))
    room = max(_NEAR * float(reach.min()), float(np.ptp(sheet.lines)))
    if for_most:
        room = max(room, float(np.median(reach)))
    close = reach <= room
    if reach.max() <= _FAR * room or room <= 0.0:
        return whole, None
    return whole, _widened(
        min(float(low[close].min()), sheet.lines.min()), max(float(high[close].max()), sheet.lines.max())
    )


def _widened(left: float, right: float) -> tuple[float, float]:
    room = 0.06 * (right - left) or 0.05 * max(abs(left), 1e-3)
    return left - room, right + room
