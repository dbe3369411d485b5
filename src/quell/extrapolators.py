"""Models of value against noise, and how to bring one's own.

An extrapolator is an object with a `name`, a number `num_parameters` and a method `fit` (see `Extrapolator`); a
function becomes one by `Model(function, num_parameters)`. Either is a value of
`options.resilience.zne.extrapolator`, alone or among the names of others.
"""

from .kernels.extrapolation import (
    EXTRAPOLATORS,
    Exponential,
    Extrapolator,
    Fallback,
    Fit,
    Model,
    Polynomial,
    Richardson,
    extrapolator,
)

__all__ = [
    "EXTRAPOLATORS",
    "Exponential",
    "Extrapolator",
    "Fallback",
    "Fit",
    "Model",
    "Polynomial",
    "Richardson",
    "extrapolator",
]
