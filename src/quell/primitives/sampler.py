"""The sampler: twirled samples, unflipped and merged, on any device."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from attrs import frozen
from qiskit.primitives import BaseSamplerV2, BitArray, DataBin, SamplerPubResult
from qiskit.primitives.containers.sampler_pub import SamplerPub, SamplerPubLike

from .. import pipeline
from ..build import Shots, sampler_stages
from ..circuits.ensemble import Ensemble
from ..circuits.observables import Observables
from ..circuits.template import template_of
from ..errors import InputError, Problem
from ..execution.adapters import Runner, runner_for
from ..execution.jobs import Job
from ..options import ResolvedSampler, SamplerOptions, finalize, sampler_shots
from ..stages.merge import Merged
from .base import Primitive, is_binding
from .inputs import MAX_SHOTS, check_parameter_values, check_target


@frozen(eq=False)
class _Request:
    pub: SamplerPub
    ensemble: Ensemble
    shots: tuple[int, ...]


class Sampler(Primitive[SamplerOptions], BaseSamplerV2):
    """Sample circuits with twirling, on any device.

    See `Primitive` for the arguments; `options` are `SamplerOptions`.
    """

    _options_class = SamplerOptions

    def run(self, pubs: Iterable[SamplerPubLike], *, shots: int | None = None) -> Job:
        """Plan and start sampling.

        Args:
            pubs: PUBs ``(circuit[, parameter_values[, shots]])``; circuits measure into classical registers.
            shots: Shots for PUBs that give none. Exactly that many are returned.

        Raises:
            InputError: Listing everything that is wrong with the PUBs.
            UnsupportedError: Twirling cannot be written in the device's gates.
        """
        resolved = finalize(self._options)
        runner = runner_for(self._mode, resolved.run_options)
        requests = _requests(pubs, shots, resolved, runner)
        rng = np.random.default_rng(resolved.seed)
        tasks = [
            (sampler_stages(resolved, Shots.of(request.shots)), request.ensemble) for request in requests
        ]
        plan = pipeline.plan(tasks, rng)

        def results(merged: list[Merged]) -> list[SamplerPubResult]:
            return [_pub_result(r, m) for r, m in zip(requests, merged, strict=True)]

        return self._submit(plan, runner, resolved, results, {})


def _requests(
    pubs: Iterable[SamplerPubLike], shots: int | None, options: ResolvedSampler, runner: Runner
) -> list[_Request]:
    problems: list[Problem] = []
    if shots is not None and (
        isinstance(shots, bool) or not isinstance(shots, (int, np.integer)) or shots < 1
    ):
        problems.append(Problem("shots", f"must be a positive integer (got {shots!r})"))
        shots = None
    if isinstance(pubs, SamplerPub) or not isinstance(pubs, Iterable):
        raise InputError.of([Problem("pubs", "must be a list of PUBs", "write run([circuit])")])
    requests = []
    for index, pub_like in enumerate(pubs):
        path = f"pubs[{index}]"
        try:
            pub = SamplerPub.coerce(pub_like, shots)
        except Exception as error:
            problems.append(Problem(path, str(error).strip("'\"")))
            continue
        values = pub.parameter_values.as_array(pub.circuit.parameters)
        found = [
            *check_parameter_values(values, pub.circuit, path),
            *check_target(pub.circuit, runner.target if is_binding(runner) else None, path),
        ]
        if not pub.circuit.cregs:
            found.append(Problem(f"{path}.circuit", "has no classical register", "add measurements"))
        if pub.shots is not None and not 1 <= pub.shots <= MAX_SHOTS:
            found.append(Problem(f"{path}.shots", f"must be between 1 and 2^31 (got {pub.shots})"))
        if found:
            problems += found
            continue
        split = sampler_shots(pub.shots, options.twirling, options.default_shots)
        requests.append(_Request(pub, _ensemble(pub, values, split, runner), split))
    InputError.check(problems)
    return requests


def _ensemble(pub: SamplerPub, values: Any, split: tuple[int, ...], runner: Runner) -> Ensemble:
    num_sets = int(np.prod(pub.shape, dtype=int))
    nothing = Observables(
        np.zeros((0, pub.circuit.num_qubits), dtype=np.uint8),
        np.zeros(0),
        np.zeros(0, dtype=np.int64),
        np.zeros(0),
        (0,),
    )
    return Ensemble(
        template=template_of(pub.circuit),
        register="",
        measured=np.zeros(0, dtype=np.int64),
        parameter_values=values.reshape(num_sets, pub.circuit.num_parameters),
        parameter_shape=pub.shape,
        observables=nothing,
        shape=pub.shape,
        shots=split[-1],
        target=runner.target,
    )


def _pub_result(request: _Request, merged: Merged) -> SamplerPubResult:
    shape = request.pub.shape
    arrays = {
        name: BitArray(bits.reshape(*shape, *bits.shape[1:]), merged.num_bits[name])
        for name, bits in merged.bits.items()
    }
    metadata = {
        "shots": sum(request.shots),
        "circuit_metadata": request.pub.circuit.metadata,
        "num_randomizations": len(request.shots),
    }
    return SamplerPubResult(DataBin(**arrays, shape=shape), metadata)


SamplerV2 = Sampler
