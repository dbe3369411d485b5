"""The sampler: twirled samples, unflipped and merged, on any device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from attrs import frozen
from qiskit.primitives import BaseSamplerV2, BitArray, DataBin, SamplerPubResult
from qiskit.primitives.containers.sampler_pub import SamplerPub, SamplerPubLike

from ..build import Shots, sampler_stages
from ..circuits.ensemble import Ensemble
from ..circuits.observables import Observables
from ..circuits.template import template_of
from ..errors import Problem
from ..execution.adapters import Runner
from ..execution.jobs import Job
from ..options import ResolvedSampler, SamplerOptions, sampler_shots
from ..stages.merge import Merged
from .base import Primitive, check_all, coerced
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
            InputError: Listing everything that is wrong with the PUBs, and with the options.
            OptionsError: Options contradict each other, the circuits or the backend; the PUBs are fine.
            UnsupportedError: Twirling cannot be written in the device's gates.
            ExecutionError: The Session or Batch accepts no new jobs.
        """
        problems: list[Problem] = []
        if shots is not None and (
            isinstance(shots, bool) or not isinstance(shots, (int, np.integer)) or shots < 1
        ):
            problems.append(Problem("shots", f"must be a positive integer (got {shots!r})"))
            shots = None
        given, found = coerced(pubs, lambda pub: SamplerPub.coerce(pub, shots), SamplerPub, "run([circuit])")
        resolved, runner, of_options = self._resolve([pub for _, pub in given], problems)
        problems += found
        for path, pub in given:
            problems += _check(pub, path, runner)
        check_all(problems, of_options)
        requests = [_request(pub, resolved, runner) for _, pub in given]
        tasks = [
            (sampler_stages(resolved, Shots.of(request.shots)), request.ensemble) for request in requests
        ]

        def results(merged: list[Merged]) -> list[SamplerPubResult]:
            return [_pub_result(r, m) for r, m in zip(requests, merged, strict=True)]

        return self._submit(tasks, runner, resolved, results, {})


def _check(pub: SamplerPub, path: str, runner: Runner) -> Iterator[Problem]:
    """Yield everything that is wrong with a PUB."""
    values = pub.parameter_values.as_array(pub.circuit.parameters)
    yield from check_parameter_values(values, pub.circuit, path)
    yield from check_target(pub.circuit, runner.target if runner.binding else None, path)
    if not pub.circuit.cregs:
        yield Problem(f"{path}.circuit", "has no classical register", "add measurements")
    if pub.shots is not None and not 1 <= pub.shots <= MAX_SHOTS:
        yield Problem(f"{path}.shots", f"must be between 1 and 2^31 (got {pub.shots})")


def _request(pub: SamplerPub, options: ResolvedSampler, runner: Runner) -> _Request:
    """Prepare a PUB with which nothing is wrong."""
    values = pub.parameter_values.as_array(pub.circuit.parameters)
    split = sampler_shots(pub.shots, options.twirling, options.default_shots)
    return _Request(pub, _ensemble(pub, values, split, runner), split)


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
