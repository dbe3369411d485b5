"""Extrapolators by name."""

from __future__ import annotations

from typing import Final

from ..errors import OptionsError, Problem
from .curves import Curves, Extrapolator, Fallback, Fit, Polynomial, Richardson
from .nonlinear import Exponential, Model

__all__ = [
    "EXTRAPOLATORS",
    "Curves",
    "Exponential",
    "Extrapolator",
    "Fallback",
    "Fit",
    "Model",
    "Polynomial",
    "Richardson",
    "extrapolator",
]

_HIGHEST_DEGREE: Final = 7

#: By the names of V2, and ours. "linear" and "polynomial_degree_1" are two names of one fit.
EXTRAPOLATORS: Final[dict[str, Extrapolator]] = {
    "linear": Polynomial(1),
    "exponential": Exponential(1),
    "double_exponential": Exponential(2),
    **{
        name: Polynomial(degree, name=name)
        for degree in range(1, _HIGHEST_DEGREE + 1)
        for name in (f"polynomial_degree_{degree}",)
    },
    "fallback": Fallback(),
    "richardson": Richardson(),
}


def extrapolator(name: str) -> Extrapolator:
    """Return the extrapolator of this name.

    Raises:
        OptionsError: If there is none.
    """
    if name not in EXTRAPOLATORS:
        known = ", ".join(EXTRAPOLATORS)
        raise OptionsError.of([Problem("extrapolator", f"{name!r} is not one of {known}")])
    return EXTRAPOLATORS[name]
