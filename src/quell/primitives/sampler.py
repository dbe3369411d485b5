"""The sampler: twirled samples, unflipped and merged, on any device."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from qiskit.primitives import BaseSamplerV2, BitArray, DataBin, SamplerPubResult
from qiskit.primitives.containers.sampler_pub import SamplerPub, SamplerPubLike

from ..build import Shots, lower_problems, lower_stages, sampler_stages
from ..circuits.ensemble import Ensemble
from ..circuits.observables import Observables
from ..circuits.template import template_of
from ..errors import Problem
from ..execution.jobs import Job
from ..execution.runner import Runner
from ..options import ResolvedSampler, SamplerOptions, sampler_shots
from ..options.checks import MAX_SHOTS
from ..stages.merge import Merged
from .base import Primitive, check_all, coerced
from .inputs import check_parameter_values, check_target


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
        checked = [_Checked.of(pub, path, runner, resolved) for path, pub in given]
        check_all([*problems, *found, *(p for c in checked for p in c.problems)], of_options)
        requests = [_request(c, resolved, runner) for c in checked]
        lower = lower_stages(resolved, runner.target)
        tasks = [
            (sampler_stages(resolved, Shots.of(request.shots), lower), request.ensemble)
            for request in requests
        ]

        def results(merged: list[Merged]) -> list[SamplerPubResult]:
            return [_pub_result(r, m) for r, m in zip(requests, merged, strict=True)]

        return self._submit(tasks, runner, resolved, results, {})


@frozen(eq=False)
class _Checked:
    """A PUB, the values of its parameters, and what is wrong with it."""

    pub: SamplerPub
    values: NDArray[np.float64]
    problems: tuple[Problem, ...]

    @classmethod
    def of(cls, pub: SamplerPub, path: str, runner: Runner, options: ResolvedSampler | None) -> Self:
        """Check a PUB; `options` are None where they are wrong, and then not asked."""
        values = pub.parameter_values.as_array(pub.circuit.parameters)
        problems = [*check_parameter_values(values, pub.circuit, path)]
        problems += check_target(pub.circuit, runner.checked_target, path)
        if not pub.circuit.cregs:
            problems.append(Problem(f"{path}.circuit", "has no classical register", "add measurements"))
        if pub.shots is not None and not 1 <= pub.shots <= MAX_SHOTS:
            problems.append(Problem(f"{path}.shots", f"must be between 1 and 2^31 (got {pub.shots})"))
        if options is not None and not problems:
            problems += lower_problems(pub.circuit, options, runner.target, path)
        return cls(pub, values, tuple(problems))


def _request(checked: _Checked, options: ResolvedSampler, runner: Runner) -> _Request:
    """Prepare a PUB with which nothing is wrong."""
    pub = checked.pub
    num_sets = int(np.prod(pub.shape, dtype=int))
    split = sampler_shots(pub.shots, options.twirling, options.default_shots)
    nothing = Observables(
        np.zeros((0, pub.circuit.num_qubits), dtype=np.uint8),
        np.zeros(0),
        np.zeros(0, dtype=np.int64),
        np.zeros(0),
        (0,),
    )
    ensemble = Ensemble(
        template=template_of(pub.circuit),
        register="",
        measured=np.zeros(0, dtype=np.int64),
        parameter_values=checked.values.reshape(num_sets, pub.circuit.num_parameters),
        parameter_shape=pub.shape,
        observables=nothing,
        shape=pub.shape,
        shots=split[-1],
        target=runner.target,
    )
    return _Request(pub, ensemble, split)


def _pub_result(request: _Request, merged: Merged) -> SamplerPubResult:
    shape = request.pub.shape
    arrays = {
        name: BitArray(bits.reshape(*shape, *bits.shape[1:]), merged.num_bits[name])
        for name, bits in merged.bits.items()
    }
    asked, executed = sum(request.shots), min((a.num_shots for a in arrays.values()), default=0)
    metadata: dict[str, Any] = {
        "shots": asked,
        "executed_shots": executed,
        "circuit_metadata": request.pub.circuit.metadata,
        "num_randomizations": len(request.shots),
    }
    if executed < asked and arrays:
        metadata["warning"] = f"{asked} shots were asked for, the device returned {executed}"
    return SamplerPubResult(DataBin(**arrays, shape=shape), metadata)


SamplerV2 = Sampler
