"""Typed options: the tree that users edit, and the explicit values that runs read."""

from __future__ import annotations

from .effective import Description, Effective, effective
from .finalize import finalize
from .groups import (
    CalibrationOptions,
    DynamicalDecouplingOptions,
    EnvironmentOptions,
    EstimatorExecutionOptions,
    ExecutionOptions,
    LayerNoiseLearningOptions,
    MeasureNoiseLearningOptions,
    PecOptions,
    PostSelectionOptions,
    ResilienceOptions,
    SamplerCalibrationOptions,
    SamplerExecutionOptions,
    SamplerResilienceOptions,
    SimulatorOptions,
    TwirlingOptions,
    ZneOptions,
)
from .resolved import (
    ResolvedDecoupling,
    ResolvedEnvironment,
    ResolvedEstimator,
    ResolvedExecution,
    ResolvedMeasureNoiseLearning,
    ResolvedPostSelection,
    ResolvedSampler,
    ResolvedTwirling,
    ResolvedZne,
)
from .shots import sampler_shots, twirling_shots
from .tree import EstimatorOptions, SamplerOptions

__all__ = [
    "CalibrationOptions",
    "Description",
    "DynamicalDecouplingOptions",
    "Effective",
    "EnvironmentOptions",
    "EstimatorExecutionOptions",
    "EstimatorOptions",
    "ExecutionOptions",
    "LayerNoiseLearningOptions",
    "MeasureNoiseLearningOptions",
    "PecOptions",
    "PostSelectionOptions",
    "ResilienceOptions",
    "ResolvedDecoupling",
    "ResolvedEnvironment",
    "ResolvedEstimator",
    "ResolvedExecution",
    "ResolvedMeasureNoiseLearning",
    "ResolvedPostSelection",
    "ResolvedSampler",
    "ResolvedTwirling",
    "ResolvedZne",
    "SamplerCalibrationOptions",
    "SamplerExecutionOptions",
    "SamplerOptions",
    "SamplerResilienceOptions",
    "SimulatorOptions",
    "TwirlingOptions",
    "ZneOptions",
    "effective",
    "finalize",
    "sampler_shots",
    "twirling_shots",
]
