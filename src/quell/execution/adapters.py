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

from typing import Any

from qiskit.primitives import BaseSamplerV2
from qiskit.providers import BackendV2

from ..errors import InputError, Problem
from ..options.resolved import ResolvedExecution
from .backends import BackendRunner
from .runner import Runner
from .samplers import CallableRunner, SamplerRunner

_DEFAULTS = ResolvedExecution(run_options={}, seed_simulator=None, coupling_map=None, basis_gates=None)


def runner_for(mode: Any, execution: ResolvedExecution | None = None) -> Runner:
    """Return the adapter for what the user gave as `mode`.

    Args:
        mode: A `BackendV2`, a `BaseSamplerV2` or a function of a list of PUBs.
        execution: How a backend runs circuits; None for the defaults. Other modes cannot be told, for which
            `finalize` refuses these options.

    Raises:
        InputError: It is none of the things that can run circuits, or cannot run them like that.
    """
    if isinstance(mode, BackendV2):
        return BackendRunner.of(mode, execution or _DEFAULTS)
    if isinstance(mode, BaseSamplerV2):
        return SamplerRunner(mode)
    if callable(mode):
        return CallableRunner(mode)
    rule, fix = f"cannot run circuits (got {mode!r})", "pass a BackendV2, a BaseSamplerV2 or a function"
    raise InputError.of([Problem("mode", rule, f"{fix} of a list of SamplerPub")])
