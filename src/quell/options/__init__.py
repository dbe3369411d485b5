"""Typed options: the tree that users edit, and the explicit values that runs read."""

from __future__ import annotations

from .finalize import (
    ResolvedEstimator,
    ResolvedMeasureNoiseLearning,
    ResolvedSampler,
    ResolvedTwirling,
    finalize,
    sampler_shots,
    twirling_shots,
)
from .tree import (
    EstimatorOptions,
    ExecutionOptions,
    MeasureNoiseLearningOptions,
    ResilienceOptions,
    SamplerOptions,
    TwirlingOptions,
)

__all__ = [
    "EstimatorOptions",
    "ExecutionOptions",
    "MeasureNoiseLearningOptions",
    "ResilienceOptions",
    "ResolvedEstimator",
    "ResolvedMeasureNoiseLearning",
    "ResolvedSampler",
    "ResolvedTwirling",
    "SamplerOptions",
    "TwirlingOptions",
    "finalize",
    "sampler_shots",
    "twirling_shots",
]
