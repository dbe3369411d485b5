"""Adapters: run programs on whatever the user has.

All three take programs and return samples, one per program, and render chunk by chunk, so memory does not
grow with the number of randomizations:

- `BackendRunner`: a `BackendV2`. Its own ``run`` is called with bound circuits, at most ``max_circuits`` at
  a time; simulators that take parameter binds get one circuit and the values.
- `SamplerRunner`: a `BaseSamplerV2`, one PUB with a parameter array per chunk.
- `CallableRunner`: a function of a list of PUBs.

What was measured before a failure or a cancellation travels in `ExecutionError.partial`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qiskit.primitives import BaseSamplerV2
from qiskit.providers import BackendV2

from ..errors import InputError, Problem
from ..options.resolved import ResolvedExecution
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


_DEFAULTS = ResolvedExecution(run_options={}, seed_simulator=None, coupling_map=None, basis_gates=None)


def runner_for(mode: Any, execution: ResolvedExecution | None = None) -> Runner:
    """Return the adapter for what the user gave as `mode`.

    Args:
        mode: A `BackendV2`, a `BaseSamplerV2` or a function of a list of PUBs.
        execution: How its circuits are run; None for the defaults.

    Raises:
        InputError: It is none of the things that can run circuits, or cannot run them like that.
    """
    execution = execution or _DEFAULTS
    if isinstance(mode, BackendV2):
        return BackendRunner.of(mode, execution)
    if not isinstance(mode, BaseSamplerV2) and not callable(mode):
        rule, fix = f"cannot run circuits (got {mode!r})", "pass a BackendV2, a BaseSamplerV2 or a function"
        raise InputError.of([Problem("mode", rule, f"{fix} of a list of SamplerPub")])
    InputError.check(_only_for_backends(execution, type(mode).__name__))
    return SamplerRunner(mode) if isinstance(mode, BaseSamplerV2) else CallableRunner(mode)


def _only_for_backends(execution: ResolvedExecution, kind: str) -> Iterator[Problem]:
    """Yield a problem for everything that only ``backend.run`` can be told."""
    fix = "pass a BackendV2, or configure the sampler itself"
    if execution.run_options:
        names = ", ".join(execution.run_options)
        rule = f"are arguments of backend.run ({names}), but the mode is a {kind}"
        yield Problem("options.execution.run_options", rule, fix)
    for name in ("seed_simulator", "coupling_map", "basis_gates"):
        value = getattr(execution, name)
        if value is not None:
            rule = f"is {value!r}, for a backend that is a simulator, but the mode is a {kind}"
            yield Problem(f"options.simulator.{name}", rule, fix)
