"""The estimator: expectation values with mitigation, on any device."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from qiskit.primitives import BaseEstimatorV2, DataBin, PubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub, EstimatorPubLike

from ..build import Shots, estimator_stages
from ..circuits.ensemble import Ensemble
from ..circuits.observables import Observables, parse
from ..circuits.template import template_of
from ..errors import Problem
from ..execution.jobs import Job
from ..execution.runner import Runner
from ..options import EstimatorOptions, ResolvedEstimator, twirling_shots
from ..options.checks import MAX_SHOTS
from ..stages.estimate import Estimate
from .base import Primitive, check_all, coerced
from .inputs import check_parameter_values, check_target, measuring, without_final_measurements


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
            InputError: Listing everything that is wrong with the PUBs, and with the options.
            OptionsError: Options contradict each other, the circuits or the backend; the PUBs are fine.
            UnsupportedError: A stage cannot be applied to a circuit.
            ExecutionError: The Session or Batch accepts no new jobs.
        """
        problems: list[Problem] = []
        if precision is not None and not _is_precision(precision):
            problems.append(Problem("precision", f"must be a positive number (got {precision!r})"))
            precision = None
        given, found = coerced(
            pubs,
            lambda pub: EstimatorPub.coerce(pub, precision),
            EstimatorPub,
            "run([(circuit, observables)])",
        )
        resolved, runner, of_options = self._resolve([pub for _, pub in given], problems)
        checked = [_Checked.of(pub, path, resolved, runner) for path, pub in given]
        check_all([*problems, *found, *(p for c in checked for p in c.problems)], of_options)
        requests = [_request(c, resolved, runner) for c in checked]
        tasks = [(estimator_stages(resolved, request.shots), request.ensemble) for request in requests]

        def results(estimates: list[Estimate]) -> list[PubResult]:
            return [_pub_result(r, e, resolved) for r, e in zip(requests, estimates, strict=True)]

        metadata = {
            "resilience_level": self._options.resilience_level,
            "resilience": {"measure_mitigation": resolved.measure_mitigation},
        }
        return self._submit(tasks, runner, resolved, results, metadata)


@frozen(eq=False)
class _Checked:
    """A PUB, what was read from it, and what is wrong with it."""

    pub: EstimatorPub
    values: NDArray[np.float64]
    observables: Observables
    requested_shots: int
    problems: tuple[Problem, ...]

    @classmethod
    def of(cls, pub: EstimatorPub, path: str, options: ResolvedEstimator | None, runner: Runner) -> Self:
        """Check a PUB; `options` are None where they are wrong, and then not asked."""
        circuit = pub.circuit
        values = pub.parameter_values.as_array(circuit.parameters)
        observables, problems = parse(pub.observables, circuit.num_qubits, path)
        problems += check_parameter_values(values, circuit, path)
        problems += check_target(circuit, runner.checked_target, path)
        requested = 1
        if pub.precision is not None:
            if _is_precision(pub.precision):
                requested = _shots_for(pub.precision)
            else:
                rule = f"must be a positive number (got {pub.precision!r})"
                problems.append(Problem(f"{path}.precision", rule))
        elif options is not None:
            requested = options.default_shots or _shots_for(options.default_precision)
        if requested > MAX_SHOTS:
            rule = f"needs {requested} shots, more than 2^31"
            problems.append(Problem(f"{path}.precision", rule, "ask for less precision"))
        return cls(pub, values, observables, requested, tuple(problems))


def _shots_for(precision: float) -> int:
    return math.ceil(1 / precision**2 - 1e-9)


def _is_precision(value: Any) -> bool:
    return (
        isinstance(value, (int, float, np.number))
        and not isinstance(value, bool)
        and bool(0 < value < math.inf)
    )


def _request(checked: _Checked, options: ResolvedEstimator, runner: Runner) -> _Request:
    """Prepare a PUB with which nothing is wrong."""
    pub, circuit, requested = checked.pub, checked.pub.circuit, checked.requested_shots
    shots = Shots(*twirling_shots(requested, options.twirling, explicit=pub.precision is not None))
    qubits = checked.observables.support
    measured, register = measuring(without_final_measurements(circuit), qubits)
    ensemble = Ensemble(
        template=template_of(measured),
        register=register,
        measured=qubits,
        parameter_values=checked.values.reshape(-1, circuit.num_parameters)
        if circuit.num_parameters
        else np.zeros((int(np.prod(pub.parameter_values.shape, dtype=int)), 0)),
        parameter_shape=pub.parameter_values.shape,
        observables=checked.observables,
        shape=pub.shape,
        shots=requested,
        target=runner.target,
    )
    return _Request(pub, ensemble, requested, shots)


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
    warnings = []
    if twirled and estimate.details.get("single_randomization"):
        warnings.append("one randomization: the error bar is shot noise only")
    if "readout_signal_lost" in estimate.details:
        warnings.append(f"readout has lost the signal of {estimate.details['readout_signal_lost']} terms")
    asked, executed = estimate.details["asked_shots"], estimate.details["executed_shots"]
    if executed < asked:
        warnings.append(f"{asked} shots were asked for, the device returned {executed}")
    if warnings:
        metadata["warning"] = "; ".join(warnings)
    return PubResult(data, metadata)


EstimatorV2 = Estimator
