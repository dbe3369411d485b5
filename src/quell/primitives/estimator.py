"""The estimator: expectation values with mitigation, on any device."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from attrs import frozen
from qiskit.primitives import BaseEstimatorV2, DataBin, PubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub, EstimatorPubLike

from .. import pipeline
from ..build import Shots, estimator_stages
from ..circuits.ensemble import Ensemble
from ..circuits.observables import parse
from ..circuits.template import template_of
from ..errors import InputError, Problem
from ..execution.adapters import Runner, runner_for
from ..execution.jobs import Job
from ..options import EstimatorOptions, ResolvedEstimator, finalize, twirling_shots
from ..stages.estimate import Estimate
from .base import Primitive, is_binding
from .inputs import MAX_SHOTS, check_parameter_values, check_target, measuring, without_final_measurements


@frozen(eq=False)
class _Request:
    """A checked PUB: what was asked, and what goes into the onion."""

    pub: EstimatorPub
    ensemble: Ensemble
    requested_shots: int
    shots: Shots


class Estimator(Primitive[EstimatorOptions], BaseEstimatorV2):
    """Estimate expectation values with error mitigation, on any device.

    See `Primitive` for the arguments; `options` are `EstimatorOptions`.

    Example:
        >>> estimator = Estimator(backend, {"twirling": {"enable_gates": True}})
        >>> job = estimator.run([(circuit, "ZZ")], precision=0.01)
        >>> print(job.plan())
        >>> value, error = job.result()[0].data.evs, job.result()[0].data.stds
    """

    _options_class = EstimatorOptions

    def run(self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None) -> Job:
        """Plan and start estimating.

        Args:
            pubs: PUBs ``(circuit, observables[, parameter_values[, precision]])``.
            precision: Target standard error of a unit-range observable for PUBs that give none: each setting
                (parameter set and measurement basis) takes ``1 / precision**2`` shots.

        Returns:
            The running job; ``job.plan()`` shows what it runs.

        Raises:
            InputError: Listing everything that is wrong with the PUBs.
            OptionsError: Options contradict each other.
            UnsupportedError: A stage cannot be applied to a circuit.
        """
        resolved = finalize(self._options)
        runner = runner_for(self._mode, resolved.run_options)
        requests = _requests(pubs, precision, resolved, runner)
        rng = np.random.default_rng(resolved.seed)
        tasks = [(estimator_stages(resolved, request.shots), request.ensemble) for request in requests]
        plan = pipeline.plan(tasks, rng)

        def results(estimates: list[Estimate]) -> list[PubResult]:
            return [_pub_result(r, e, resolved) for r, e in zip(requests, estimates, strict=True)]

        metadata = {"resilience": {"measure_mitigation": resolved.measure_mitigation}}
        return self._submit(plan, runner, resolved, results, metadata)


def _requests(
    pubs: Iterable[EstimatorPubLike], precision: float | None, options: ResolvedEstimator, runner: Runner
) -> list[_Request]:
    """Check all PUBs and prepare them.

    Raises:
        InputError: Listing all problems of all PUBs.
    """
    problems: list[Problem] = []
    if precision is not None and not _is_precision(precision):
        problems.append(Problem("precision", f"must be a positive number (got {precision!r})"))
        precision = None
    if isinstance(pubs, EstimatorPub) or not isinstance(pubs, Iterable):
        raise InputError.of(
            [Problem("pubs", "must be a list of PUBs", "write run([(circuit, observables)])")]
        )
    requests = []
    for index, pub_like in enumerate(pubs):
        path = f"pubs[{index}]"
        try:
            pub = EstimatorPub.coerce(pub_like, precision)
        except Exception as error:
            problems.append(Problem(path, str(error).strip("'\"")))
            continue
        request, found = _request(pub, path, options, runner)
        problems += found
        if request is not None:
            requests.append(request)
    InputError.check(problems)
    return requests


def _is_precision(value: Any) -> bool:
    return (
        isinstance(value, (int, float, np.number))
        and not isinstance(value, bool)
        and bool(0 < value < math.inf)
    )


def _request(
    pub: EstimatorPub, path: str, options: ResolvedEstimator, runner: Runner
) -> tuple[_Request | None, list[Problem]]:
    circuit = pub.circuit
    values = pub.parameter_values.as_array(circuit.parameters)
    observables, problems = parse(pub.observables, circuit.num_qubits, path)
    problems += check_parameter_values(values, circuit, path)
    problems += check_target(circuit, runner.target if is_binding(runner) else None, path)
    if pub.precision is not None:
        if not _is_precision(pub.precision):
            problems.append(
                Problem(f"{path}.precision", f"must be a positive number (got {pub.precision!r})")
            )
            return None, problems
        requested = math.ceil(1 / pub.precision**2 - 1e-9)
    elif options.default_shots is not None:
        requested = options.default_shots
    else:
        requested = math.ceil(1 / options.default_precision**2 - 1e-9)
    if requested > MAX_SHOTS:
        problems.append(
            Problem(f"{path}.precision", f"needs {requested} shots, more than 2^31", "ask for less precision")
        )
    if problems:
        return None, problems
    shots = Shots(*twirling_shots(requested, options.twirling, explicit=pub.precision is not None))
    qubits = observables.support
    measured, register = measuring(without_final_measurements(circuit), qubits)
    ensemble = Ensemble(
        template=template_of(measured),
        register=register,
        measured=qubits,
        parameter_values=values.reshape(-1, circuit.num_parameters)
        if circuit.num_parameters
        else np.zeros((int(np.prod(pub.parameter_values.shape, dtype=int)), 0)),
        parameter_shape=pub.parameter_values.shape,
        observables=observables,
        shape=pub.shape,
        shots=requested,
        target=runner.target,
    )
    return _Request(pub, ensemble, requested, shots), problems


def _pub_result(request: _Request, estimate: Estimate, options: ResolvedEstimator) -> PubResult:
    shape = request.pub.shape
    data = DataBin(
        evs=estimate.value,
        stds=np.sqrt(estimate.variance),
        ensemble_standard_error=np.sqrt(estimate.shot_variance),
        shape=shape,
    )
    twirled = options.twirling.enabled
    metadata: dict[str, Any] = {
        "shots": request.requested_shots,
        "target_precision": request.pub.precision or 1 / math.sqrt(request.requested_shots),
        "executed_shots": estimate.details["executed_shots"],
        "circuit_metadata": request.pub.circuit.metadata,
        "num_randomizations": request.shots.num_randomizations if twirled else 1,
        "shots_per_randomization": request.shots.shots_per_randomization,
        "resilience": {
            key: estimate.details[key]
            for key in ("readout_damping", "calibration_shots", "readout_signal_lost")
            if key in estimate.details
        },
    }
    if twirled and estimate.details.get("single_randomization"):
        metadata["warning"] = "one randomization: the error bar is shot noise only"
    return PubResult(data, metadata)


EstimatorV2 = Estimator
