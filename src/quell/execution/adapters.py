"""Adapters: run programs on whatever the user has.

All three take programs and return samples, one per program, and render chunk by chunk, so memory does not
grow with the number of randomizations:

- `BackendRunner`: a `BackendV2`. Its own ``run`` is called with bound circuits, at most ``max_circuits`` at
  a time; simulators that take parameter binds get one circuit and the values.
- `SamplerRunner`: a `BaseSamplerV2`, one PUB with a parameter array per chunk.
- `CallableRunner`: a function of a list of PUBs.

What was measured before a failure travels in `ExecutionError.partial`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qiskit.primitives import BaseSamplerV2
from qiskit.providers import BackendV2

from ..errors import InputError, Problem
from .backends import BackendRunner
from .runner import Chunk, Partial, Progress, Runner
from .samplers import CallableRunner, SamplerFunction, SamplerRunner

__all__ = [
    "BackendRunner",
    "CallableRunner",
    "Chunk",
    "Partial",
    "Progress",
    "Runner",
    "SamplerFunction",
    "SamplerRunner",
    "runner_for",
]


def runner_for(mode: Any, run_options: Mapping[str, Any] | None = None) -> Runner:
    """Return the adapter for what the user gave as `mode`.

    Raises:
        InputError: It is none of the things that can run circuits.
    """
    if isinstance(mode, BackendV2):
        return BackendRunner(mode, dict(run_options or {}))
    problem = None
    if run_options:
        problem = Problem(
            "options.execution.run_options",
            f"are arguments of backend.run, but the mode is a {type(mode).__name__}",
            "pass a BackendV2 or configure the sampler itself",
        )
    elif isinstance(mode, BaseSamplerV2):
        return SamplerRunner(mode)
    elif callable(mode):
        return CallableRunner(mode)
    raise InputError.of(
        [
            problem
            or Problem(
                "mode",
                f"cannot run circuits (got {mode!r})",
                "pass a BackendV2, a BaseSamplerV2 or a function of a list of SamplerPub",
            )
        ]
    )
