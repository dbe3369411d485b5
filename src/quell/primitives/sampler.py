"""The sampler: twirled samples, unflipped and merged, and what corrects their readout, on any device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.primitives import BaseSamplerV2, BitArray, DataBin
from qiskit.primitives.containers.sampler_pub import SamplerPub, SamplerPubLike

from ..build import Shots, lower_problems, lower_stages, sampler_stages
from ..circuits.ensemble import Ensemble
from ..circuits.observables import Observables
from ..circuits.template import template_of
from ..errors import InputError, Problem
from ..execution.jobs import Job
from ..execution.runner import Runner
from ..options import ResolvedSampler, SamplerOptions, sampler_shots
from ..options.checks import MAX_SHOTS
from ..options.groups import MeasType
from ..pipeline import Plan
from ..stages.merge import Merged
from .base import Primitive, Submission, check_all, coerced
from .corrected import Readout, SamplerPubResult
from .inputs import (
    check_parameter_values,
    check_registers,
    check_target,
    measured_bits,
    sampler_pub,
)


@frozen(eq=False)
class _Request:
    pub: SamplerPub
    ensemble: Ensemble
    shots: tuple[int, ...]
    meas_type: MeasType


class Sampler(Primitive[SamplerOptions], BaseSamplerV2):
    """Sample circuits with mitigation, on any device.

    Data are the shots, twirls undone. With `resilience.measure_mitigation` results also have `quasi_distribution`, the
    distribution freed of readout errors. See `Primitive` for the arguments; `options` are `SamplerOptions`.

    Example:
        >>> sampler = Sampler(backend, {"resilience": {"measure_mitigation": True}})
        >>> result = sampler.run([circuit], shots=4000).result()[0]
        >>> result.data.meas.get_counts(), result.quasi_distribution().expectation_value("ZZ")
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
        return self._prepared(pubs, shots).launch()

    def plan(self, pubs: Iterable[SamplerPubLike], *, shots: int | None = None) -> Plan:
        """Return the plan of what `run` would do; nothing is run. See `run` for arguments and errors."""
        return self._prepared(pubs, shots).plan()

    def _prepared(self, pubs: Iterable[SamplerPubLike], shots: int | None) -> Submission:
        """Check PUBs and options; see `run`."""
        problems: list[Problem] = []
        if shots is not None and (
            isinstance(shots, bool) or not isinstance(shots, (int, np.integer)) or shots < 1
        ):
            problems.append(Problem("shots", f"must be a positive integer (got {shots!r})"))
            shots = None
        given, found = coerced(pubs, lambda pub: sampler_pub(pub, shots), SamplerPub, "run([circuit])")
        resolved, runner, of_options = self._resolve([pub for _, pub in given], problems)
        checked = [_Checked.of(pub, path, runner, resolved) for path, pub in given]
        check_all([*problems, *found, *(p for c in checked for p in c.problems)], of_options)
        requests = [_request(c, resolved, runner) for c in checked]
        InputError.check(_nothing_to_correct(requests, [path for path, _ in given], resolved))
        lower = lower_stages(resolved, runner.target)
        tasks = [
            (sampler_stages(resolved, Shots.of(request.shots), lower), request.ensemble)
            for request in requests
        ]

        def results(merged: list[Merged]) -> list[SamplerPubResult]:
            return [_pub_result(r, m, resolved) for r, m in zip(requests, merged, strict=True)]

        return self._submission(tasks, runner, resolved, results, {})


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
        problems += check_registers(pub.circuit, path)
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
    return _Request(pub, ensemble, split, options.meas_type)


def _excluded(options: ResolvedSampler, circuit: QuantumCircuit) -> list[int]:
    """Return the classical bits that shots are selected by, which are not corrected."""
    names = (options.post_selection.registers or ()) if options.post_selection else ()
    return [circuit.find_bit(bit).index for r in circuit.cregs if r.name in names for bit in r]


def _nothing_to_correct(
    requests: Iterable[_Request], paths: Iterable[str], options: ResolvedSampler
) -> Iterator[Problem]:
    if options.correction is None:
        return
    for request, path in zip(requests, paths, strict=True):
        excluded = _excluded(options, request.pub.circuit)
        if all(terminal.clbit in excluded for terminal in request.ensemble.template.terminals):
            rule = "has no final measurement whose readout could be corrected"
            fix = "measure at the end of the circuit, or set options.resilience.measure_mitigation to False"
            yield Problem(f"{path}.circuit", rule, fix)


def _pub_result(request: _Request, merged: Merged, options: ResolvedSampler) -> SamplerPubResult:
    shape, asked = request.pub.shape, sum(request.shots)
    if 0 in shape:  # nothing was run
        merged = _nothing(request)
    bits = {name: array.reshape(*shape, *array.shape[1:]) for name, array in merged.bits.items()}
    arrays = {
        name: array if np.iscomplexobj(array) else BitArray(array, merged.num_bits[name])
        for name, array in bits.items()
    }
    executed = merged.averaged if merged.taken is None else int(merged.taken.min())
    if executed is None:
        executed = min((array.shape[len(shape)] for array in bits.values()), default=0)
    metadata: dict[str, Any] = {
        "shots": asked,
        "executed_shots": executed,
        "circuit_metadata": request.pub.circuit.metadata,
        "num_randomizations": len(request.shots),
    }
    if executed < asked and arrays:
        metadata["warning"] = f"{asked} shots were asked for, the device returned {executed}"
    if merged.kept is not None and merged.taken is not None:
        metadata["post_selection"] = {
            "kept_fraction": (merged.kept / merged.taken).reshape(shape).tolist(),
            "kept_shots": merged.kept.reshape(shape).tolist(),
            "shots": int(merged.kept.min()),
        }
    readout = Readout.of(merged, request.pub.circuit)
    if readout is not None:
        excluded = _excluded(options, request.pub.circuit)
        metadata["readout_correction"] = readout.facts(excluded, measured_bits(request.pub.circuit))
    return SamplerPubResult(DataBin(**arrays, shape=shape), metadata, readout)


def _nothing(request: _Request) -> Merged:
    """Return what no sets of parameters merge to."""
    sizes = {register.name: register.size for register in request.pub.circuit.cregs}
    shots = sum(request.shots)
    if request.meas_type == "classified":
        return Merged({name: np.zeros((0, shots, -(-n // 8)), np.uint8) for name, n in sizes.items()}, sizes)
    averaged = shots if request.meas_type == "avg_kerneled" else None
    axes = () if averaged else (shots,)
    points = {name: np.zeros((0, *axes, size), np.complex128) for name, size in sizes.items()}
    return Merged(points, sizes, averaged=averaged)


SamplerV2 = Sampler
