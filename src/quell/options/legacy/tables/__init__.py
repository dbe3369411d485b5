"""The tables of legacy options, one module for each family of interfaces."""

from __future__ import annotations

from ..rows import Source
from .instance import QUANTUM_INSTANCE
from .primitives import AER_ESTIMATOR, AER_SAMPLER, BACKEND_PRIMITIVES, ESTIMATOR_V1, SAMPLER_V1
from .run import AER_RUN, BACKEND_RUN, EXECUTE
from .runtime_v1 import RUNTIME_V1
from .runtime_v2 import RUNTIME_V2_EARLY, RUNTIME_V2_SERVER

#: Every source; where options fit several equally well, "auto" takes the first.
SOURCES: tuple[Source, ...] = (
    *RUNTIME_V1,
    RUNTIME_V2_SERVER,
    BACKEND_RUN,
    AER_RUN,
    EXECUTE,
    QUANTUM_INSTANCE,
    SAMPLER_V1,
    ESTIMATOR_V1,
    BACKEND_PRIMITIVES,
    AER_ESTIMATOR,
    AER_SAMPLER,
    RUNTIME_V2_EARLY,
)

__all__ = ["SOURCES"]
