"""The estimator: expectation values with mitigation, on any device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from qiskit.primitives import BaseEstimatorV2, DataBin, PubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub, EstimatorPubLike

from .. import pipeline
from ..build import Shots, build_pec, build_zne, estimator_stages, lower_problems, lower_stages
from ..circuits.ensemble import Ensemble
from ..circuits.layers import Layer
from ..circuits.observables import Observables, parse
from ..circuits.template import Template, template_of
from ..errors import Problem
from ..execution.jobs import Job
from ..execution.runner import Runner
from ..options import EstimatorOptions, ResolvedEstimator, twirling_shots
from ..options.checks import MAX_SHOTS
from ..pipeline import Plan
from ..rounds import Round, grown, pilot_shots, second_round
from ..stages.estimate import Estimate
from ..stages.extrapolation import Extrapolation
from ..stages.zne import Zne
from .base import Primitive, Results, Submission, check_all, coerced
from .extrapolated import EstimatorPubResult, extrapolator_problems, reanalyzed, zne_metadata
from .inputs import (
    check_parameter_values,
    check_target,
    estimator_pub,
    final_measurements,
    measuring,
    without_final_measurements,
)


@frozen(eq=False)
class _Request:
    """A checked PUB: what was asked, and what goes into the onion."""

    pub: EstimatorPub
    ensemble: Ensemble
    precision: float
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
                (parameter set and measurement basis) takes ``1 / precision**2`` shots, times the number of noise
                factors and, where noise is cancelled (PEC), the sampling overhead. With
                ``execution.precision_target = "mitigated"`` the standard error after mitigation.

        Returns:
            The running job; ``job.plan()`` shows what it runs.

        Raises:
            InputError: Listing everything that is wrong with the PUBs, and with the options.
            OptionsError: Options contradict each other, the circuits or the backend; the PUBs are fine.
            UnsupportedError: A stage cannot be applied to a circuit.
            CalibrationError: The store of calibrations cannot be used, or has none that is young enough.
            ExecutionError: The Session or Batch accepts no new jobs.
        """
        return self._prepared(pubs, precision).launch()

    def plan(self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None) -> Plan:
        """Return the plan of what `run` would do; nothing is run. `pipeline.cost` says what it spends.

        See `run` for arguments and errors.
        """
        return self._prepared(pubs, precision).plan()

    def _prepared(self, pubs: Iterable[EstimatorPubLike], precision: float | None) -> Submission:
        """Check PUBs and options; see `run`."""
        problems: list[Problem] = []
        asked = self._options.copy()
        if precision is not None and not _is_precision(precision):
            problems.append(Problem("precision", f"must be a positive number (got {precision!r})"))
            precision = None
        given, found = coerced(
            pubs,
            lambda pub: estimator_pub(pub, precision),
            EstimatorPub,
            "run([(circuit, observables)])",
        )
        resolved, runner, of_options = self._resolve([pub for _, pub in given], problems)
        checked = [_Checked.of(pub, path, resolved, runner) for path, pub in given]
        repeats = bool(getattr(runner, "repeats", False))
        if resolved is not None:
            of_options += extrapolator_problems(resolved.zne)
            if resolved.precision_target == "mitigated" and repeats:
                rule = f"takes a second round, which would repeat shots of the first: {runner.name} has a fixed seed"
                fix = "give it none, or a numpy.random.Generator"
                of_options.append(Problem("options.execution.precision_target", rule, fix))
        if resolved is not None and not any(c.problems for c in checked):
            of_options += _too_many_layers(checked, resolved, runner)
        check_all([*problems, *found, *(p for c in checked for p in c.problems)], of_options)
        requests = [_request(c, resolved, runner) for c in checked]
        lower = lower_stages(resolved, runner.target)

        def task(request: _Request, shots: Shots, **changes: Any) -> tuple[tuple[Any, ...], Ensemble]:
            stages = estimator_stages(resolved, shots, lower)
            total = shots.num_randomizations * shots.shots_per_randomization
            ensemble = evolve(request.ensemble, shots=total)
            return tuple(evolve(s, **changes) if isinstance(s, Zne) else s for s in stages), ensemble

        def results(options: ResolvedEstimator) -> Results:
            return lambda estimates: [
                _pub_result(r, e, options, repeats) for r, e in zip(requests, estimates, strict=True)
            ]

        def refine(
            plan: Plan, estimates: list[Estimate], rng: np.random.Generator, known: Mapping[Any, Any]
        ) -> Plan | None:
            found = {
                place: _second_round(request, estimate, resolved)
                for place, (request, estimate) in enumerate(zip(requests, estimates, strict=True))
            }
            more = {place: second for place, second in found.items() if second is not None}
            if not more:
                return None
            tasks = [
                task(requests[place], second.shots, allocation=second.allocation)
                for place, second in more.items()
            ]
            second = pipeline.plan(tasks, rng, lower, list(known))
            return grown(plan, pipeline.completed(second, known), list(more))

        def reanalysis(options: Any) -> tuple[Callable[[Any], Any], Results]:
            other = reanalyzed(asked, resolved, options)
            fresh = build_zne(other, requests[0].shots) if requests else None

            def change(stage: Any) -> Any:
                if not isinstance(stage, Zne) or fresh is None:
                    return stage
                return evolve(
                    stage,
                    extrapolators=fresh.extrapolators,
                    evaluated=fresh.evaluated,
                    selection=fresh.selection,
                    guard=fresh.guard,
                )

            return change, results(other)

        metadata = {
            "resilience_level": self._options.resilience_level,
            "resilience": {
                "measure_mitigation": resolved.measure_mitigation,
                "zne_mitigation": resolved.zne is not None,
                "pec_mitigation": resolved.noise is not None and resolved.noise.cancels,
            },
        }
        return self._submission(
            [task(request, request.shots) for request in requests],
            runner,
            resolved,
            results(resolved),
            metadata,
            refine=refine if resolved.precision_target == "mitigated" else None,
            reanalysis=reanalysis if resolved.zne is not None else None,
        )


@frozen(eq=False)
class _Checked:
    """A PUB, what was read from it, and what is wrong with it."""

    pub: EstimatorPub
    values: NDArray[np.float64]
    observables: Observables
    precision: float
    requested_shots: int
    problems: tuple[Problem, ...]
    template: Template | None
    register: str
    path: str
    layers: Mapping[Any, Layer] = field(factory=dict)

    @classmethod
    def of(cls, pub: EstimatorPub, path: str, options: ResolvedEstimator | None, runner: Runner) -> Self:
        """Check a PUB; `options` are None where they are wrong, and then not asked."""
        circuit = pub.circuit
        values = pub.parameter_values.as_array(circuit.parameters)
        observables, problems = parse(pub.observables, circuit.num_qubits, path)
        problems += check_parameter_values(values, circuit, path)
        problems += check_target(circuit, runner.checked_target, path)
        requested, goal = 1, 1.0
        if pub.precision is not None:
            if _is_precision(pub.precision):
                requested, goal = _shots_for(pub.precision), float(pub.precision)
            else:
                rule = f"must be a positive number (got {pub.precision!r})"
                problems.append(Problem(f"{path}.precision", rule))
        elif options is not None:
            requested = options.default_shots or _shots_for(options.default_precision)
            goal = 1 / math.sqrt(requested) if options.default_shots else options.default_precision
        if requested > MAX_SHOTS:
            rule = f"needs {requested} shots, more than 2^31"
            problems.append(Problem(f"{path}.precision", rule, "ask for less precision"))
        if options is not None and options.precision_target == "mitigated":
            requested = pilot_shots(goal)
        kept: dict[int, str] = {}
        if options is not None and options.post_selection is not None and not problems:
            kept = final_measurements(circuit, options.post_selection.registers)
            for qubit in sorted(kept.keys() & set(map(int, observables.support))):
                rule = f"act on qubit {qubit}, whose last measurement into {kept[qubit]!r} post_selection looks at"
                fix = "set options.post_selection.registers to those of other qubits"
                problems.append(Problem(f"{path}.observables", rule, fix))
        template, register = None, ""
        if options is not None and not problems:
            bare = without_final_measurements(circuit, kept)
            measured, register = measuring(bare, observables.support)
            template = template_of(measured)
            problems += lower_problems(measured, options, runner.target, path)
        checked = cls(pub, values, observables, goal, requested, tuple(problems), template, register, path)
        return checked if options is None or problems else checked.with_stages(path, options, runner)

    def with_stages(self, path: str, options: ResolvedEstimator, runner: Runner) -> Self:
        """Return the PUB with what is wrong with it for the stages of its circuit."""
        request = _request(self, options, runner)
        task = evolve(
            request.ensemble, shots=request.shots.num_randomizations * request.shots.shots_per_randomization
        )
        problems: list[Problem] = []
        zne, pec = build_zne(options, request.shots), build_pec(options, request.shots)
        if zne is not None:
            problems += zne.problems(task.template, runner.target, path)
        layers: dict[Any, Layer] = {}
        if pec is not None and not problems:
            children = [task] if zne is None else list(zne.expand(task, {}, np.random.default_rng(0))[0])
            if zne is not None and zne.amplifier == "pea":
                children = children[:1]  # the factor that costs most, of the same circuit
            found = {
                (p.path, "" if p.path.endswith("overhead") else p.rule): p
                for c in children
                for p in pec.problems(c, path)
            }
            problems += found.values()
            layers = {layer.gates: layer for child in children if not found for layer in pec.to_learn(child)}
        return evolve(self, problems=tuple(problems), layers=layers)


def _too_many_layers(
    checked: Sequence[_Checked], options: ResolvedEstimator, runner: Runner
) -> list[Problem]:
    """Return a problem where all PUBs together have more layers to learn than the user wants."""
    layers = {gates: layer for c in checked for gates, layer in c.layers.items()}
    if options.noise is None or options.noise.models is not None or not layers:
        return []
    request = _request(checked[0], options, runner)
    pec = build_pec(options, request.shots)
    return [] if pec is None else pec.too_many(list(layers.values()), request.ensemble, "the run")


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
    explicit = pub.precision is not None or options.precision_target == "mitigated"
    shots = Shots(*twirling_shots(requested, options.twirling, explicit=explicit))
    qubits = checked.observables.support
    assert checked.template is not None
    ensemble = Ensemble(
        template=checked.template,
        register=checked.register,
        measured=qubits,
        parameter_values=checked.values.reshape(-1, circuit.num_parameters)
        if circuit.num_parameters
        else np.zeros((int(np.prod(pub.parameter_values.shape, dtype=int)), 0)),
        parameter_shape=pub.parameter_values.shape,
        observables=checked.observables,
        shape=pub.shape,
        shots=requested,
        target=runner.target,
        path=checked.path,
    )
    return _Request(pub, ensemble, checked.precision, requested, shots)


def _second_round(request: _Request, estimate: Estimate, options: ResolvedEstimator) -> Round | None:
    """Return what a PUB lacks after its first round for its precision after mitigation, None if nothing."""
    twirling, learning = options.twirling, options.measure_noise_learning
    numbers = (learning.num_randomizations, learning.shots_per_randomization)
    return second_round(
        estimate,
        request.shots,
        request.precision,
        randomized=twirling.enabled,
        neyman=options.zne is not None
        and options.zne.shot_allocation == "neyman"
        and twirling.shots_per_randomization == "auto",
        fixed_members=twirling.enabled and twirling.num_randomizations != "auto",
        fixed_each=twirling.enabled and twirling.shots_per_randomization != "auto",
        fixed_calibration=learning.total_shots != "auto" or "auto" not in numbers,
        most=MAX_SHOTS,
    )


def _pub_result(
    request: _Request, estimate: Estimate, options: ResolvedEstimator, repeats: bool
) -> PubResult:
    shape = request.pub.shape
    zne: Extrapolation | None = estimate.details.get("zne")
    errors = np.sqrt(estimate.variance)
    if zne is None:
        fields: dict[str, Any] = {"ensemble_standard_error": np.sqrt(estimate.shot_variance)}
    else:
        fields = {
            "evs_noise_factors": zne.values,
            "stds_noise_factors": zne.errors,
            "ensemble_stds_noise_factors": zne.shot_errors,
            "evs_extrapolated": zne.extrapolated,
            "stds_extrapolated": zne.extrapolated_errors,
            "status": zne.status.astype(str),
        }
    data = DataBin(evs=estimate.value, stds=errors, **fields, shape=shape)
    twirled = options.twirling.enabled
    metadata: dict[str, Any] = {
        "shots": request.requested_shots,
        "target_precision": request.precision,
        "executed_shots": estimate.details["executed_shots"],
        "circuit_metadata": request.pub.circuit.metadata,
        "num_randomizations": request.shots.num_randomizations if twirled else 1,
        "resilience": {
            key: estimate.details[key]
            for key in ("readout_damping", "calibration_shots", "readout_signal_lost")
            if key in estimate.details
        },
    }
    if options.precision_target == "mitigated":  # what was asked for is a precision
        metadata["shots"] = estimate.details["executed_shots"]
        metadata["first_round"] = {
            "shots": request.requested_shots,
            "num_randomizations": metadata.pop("num_randomizations"),
        }
    elif zne is None:  # else every noise factor has its own
        metadata["shots_per_randomization"] = request.shots.shots_per_randomization
    if "pec" in estimate.details:
        learned = estimate.details["pec"]
        metadata["resilience"]["pec" if zne is None else "learned_noise"] = (
            learned if zne is None else list(estimate.details.get("pec_noise_factors", (learned,)))
        )
        if "num_randomizations" in metadata:
            metadata["num_randomizations"] = learned["num_randomizations"]
        if "shots_per_randomization" in metadata:
            metadata["shots_per_randomization"] = learned["shots_per_randomization"]
    if "kept_shots" in estimate.details:
        metadata["post_selection"] = _kept(estimate)
    warnings = []
    if zne is not None and options.zne is not None:
        metadata["resilience"]["zne"] = zne_metadata(zne, options.zne, estimate.terms.settings)
        failed = sum(str(status).startswith("failed") for status in zne.status.ravel())
        if failed:
            warnings.append(
                f"{failed} of {zne.status.size} values could not be extrapolated, see data.status"
            )
    if repeats and (twirled or zne is not None):
        warnings.append(
            "the sampler has a fixed seed: circuits may share their shots, and error bars be too small"
        )
    if twirled and estimate.details.get("single_randomization"):
        warnings.append("one randomization: the error bar is shot noise only")
    if "readout_signal_lost" in estimate.details:
        warnings.append(f"readout has lost the signal of {estimate.details['readout_signal_lost']} terms")
    if (
        options.precision_target == "mitigated"
        and (worst := float(np.max(errors, initial=0.0))) > request.precision
    ):
        warnings.append(
            f"error bars reach {worst:.3g}, more than the precision {request.precision:g} asked for"
        )
    asked, executed = estimate.details["asked_shots"], estimate.details["executed_shots"]
    if executed < asked:
        warnings.append(f"{asked} shots were asked for, the device returned {executed}")
    silent = [
        layer["layer"]
        for layer in estimate.details.get("pec", {}).get("layers", ())
        if "without_signal" in layer
    ]
    if silent:
        warnings.append(f"some Paulis had no signal when noise was learned of the layers {'; '.join(silent)}")
    if warnings:
        metadata["warning"] = "; ".join(warnings)
    return EstimatorPubResult(data, metadata)


def _kept(estimate: Estimate) -> dict[str, Any]:
    """Return what metadata say about the shots that were kept."""
    kept, taken = (int(estimate.details[name].sum()) for name in ("kept_shots", "taken_shots"))
    said: dict[str, Any] = {"kept_fraction": kept / taken, "kept_shots": kept}
    if "kept_fractions" in estimate.details:
        said["kept_fraction_noise_factors"] = list(estimate.details["kept_fractions"])
    return said


EstimatorV2 = Estimator
