"""Logarithmic axes: their limits, numbers at ticks, and steps between points."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Factors of powers of ten at ticks; the first that have enough of them.
_TICKS: Final = (np.array([1.0]), np.array([1.0, 2.0, 5.0]), np.array([1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0]))
_FEWEST: Final = 3


def room(ends: Floats, factor: float) -> tuple[float, float]:
    """Return limits of a logarithmic axis, at least a factor of 4 apart so that names have room."""
    low, high = float(ends.min()), float(ends.max())
    factor = max(factor, (high / low) ** 0.12, 2.0 / np.sqrt(high / low))
    return low / factor, high * factor


def steps_to(x: Floats, y: Floats, right: float) -> Floats:
    """Return the corners of the front, from the cheapest point to the right edge."""
    corners = [[x[0], y[0]]]
    for k in range(1, len(x)):
        corners += [[x[k], y[k - 1]], [x[k], y[k]]]
    return np.array([*corners, [right, y[-1]]])


def log_ticks(axis: Any, low: float, high: float) -> None:
    """Write numbers at powers of ten, and between them where these are few."""
    from matplotlib.ticker import FixedLocator, NullFormatter

    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)[:, None]
    for factors in _TICKS:
        ticks = (powers * factors).ravel()
        ticks = ticks[(ticks >= low) & (ticks <= high)]
        if len(ticks) >= _FEWEST:
            break
    axis.set_major_locator(FixedLocator(ticks.tolist()))
    axis.set_ticklabels([_written(t) for t in ticks])
    axis.set_minor_locator(FixedLocator((powers * np.arange(1.0, 10.0)).ravel().tolist()))
    axis.set_minor_formatter(NullFormatter())


def _written(number: float) -> str:
    """Return a number as it is written at a tick."""
    if 1e-3 <= number < 1e5:
        return f"{number:,.4f}".rstrip("0").rstrip(".").replace(",", "\N{THIN SPACE}")
    exponent = int(np.floor(np.log10(number) + 1e-9))
    factor = round(number / 10.0**exponent, 1)
    power = f"10^{{{exponent}}}"
    return f"${power}$" if factor == 1 else rf"${factor:g}\times {power}$"
