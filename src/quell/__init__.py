"""Error mitigation for any Qiskit backend.

The public names, loaded when first used so that importing quell costs little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

_HOME = {
    "Estimator": "primitives.estimator",
    "EstimatorV2": "primitives.estimator",
    "Sampler": "primitives.sampler",
    "SamplerV2": "primitives.sampler",
    "Session": "execution.modes",
    "Batch": "execution.modes",
    "EstimatorOptions": "options",
    "SamplerOptions": "options",
    "translate": "options.legacy",
    "Translation": "options.legacy",
    "TranslationError": "options.legacy",
    "LegacyOptionsWarning": "options.legacy",
    "TwirledCircuit": "primitives.twirled",
    "twirl": "primitives.twirled",
    "wrap": "primitives.wrapped",
    "expectation_values": "primitives.expectation",
    "QuasiDistribution": "primitives.quasi",
    "calibrate": "primitives.calibrate",
    "Calibrations": "primitives.calibrate",
    "CalibrationStore": "calibration.store",
    "LayerModel": "calibration.layers",
    "layer_models": "calibration.models",
    "compare": "comparison.run",
    "Comparison": "comparison.comparison",
    "suggest": "comparison.forecast",
    "QuellError": "errors",
    "OptionsError": "errors",
    "InputError": "errors",
    "UnsupportedError": "errors",
    "CalibrationError": "errors",
    "ExecutionError": "errors",
    "CancelledError": "errors",
    "MissingDependencyError": "errors",
}

#: Modules that are public as they are.
_MODULES = ("extrapolators", "plots")

__all__ = [  # noqa: RUF022  # grouped by what a user looks for
    "Estimator",
    "EstimatorV2",
    "Sampler",
    "SamplerV2",
    "Session",
    "Batch",
    "EstimatorOptions",
    "SamplerOptions",
    "translate",
    "Translation",
    "wrap",
    "twirl",
    "TwirledCircuit",
    "expectation_values",
    "QuasiDistribution",
    "calibrate",
    "Calibrations",
    "CalibrationStore",
    "LayerModel",
    "layer_models",
    "compare",
    "Comparison",
    "suggest",
    "QuellError",
    "OptionsError",
    "InputError",
    "UnsupportedError",
    "CalibrationError",
    "ExecutionError",
    "CancelledError",
    "MissingDependencyError",
    "TranslationError",
    "LegacyOptionsWarning",
    "__version__",
]

if TYPE_CHECKING:
    from . import extrapolators as extrapolators
    from . import plots as plots
    from .calibration.layers import LayerModel
    from .calibration.models import layer_models
    from .calibration.store import CalibrationStore
    from .comparison.comparison import Comparison
    from .comparison.forecast import suggest
    from .comparison.run import compare
    from .errors import (
        CalibrationError,
        CancelledError,
        ExecutionError,
        InputError,
        MissingDependencyError,
        OptionsError,
        QuellError,
        UnsupportedError,
    )
    from .execution.modes import Batch, Session
    from .options import EstimatorOptions, SamplerOptions
    from .options.legacy import LegacyOptionsWarning, Translation, TranslationError, translate
    from .primitives.calibrate import Calibrations, calibrate
    from .primitives.estimator import Estimator, EstimatorV2
    from .primitives.expectation import expectation_values
    from .primitives.quasi import QuasiDistribution
    from .primitives.sampler import Sampler, SamplerV2
    from .primitives.twirled import TwirledCircuit, twirl
    from .primitives.wrapped import wrap


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _HOME:
        raise AttributeError(f"module 'quell' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
