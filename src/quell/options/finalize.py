"""Resolve options once, having checked every rule between options, circuits and backend.

Nothing downstream reads `EstimatorOptions` or `SamplerOptions`; it reads what `finalize` returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, overload

from attrs import fields

from ..errors import OptionsError
from .cases import is_backend
from .effective import Effective, effective, is_on
from .resolved import (
    ResolvedCalibration,
    ResolvedCorrection,
    ResolvedDecoupling,
    ResolvedEnvironment,
    ResolvedEstimator,
    ResolvedExecution,
    ResolvedLayerLearning,
    ResolvedMeasureNoiseLearning,
    ResolvedNoise,
    ResolvedPostSelection,
    ResolvedSampler,
    ResolvedTwirling,
    ResolvedZne,
)
from .rules import check
from .tree import EstimatorOptions, SamplerOptions

Values = Mapping[str, Effective]


@overload
def finalize(
    options: EstimatorOptions, pubs: Iterable[Any] = (), backend: Any = None
) -> ResolvedEstimator: ...
@overload
def finalize(options: SamplerOptions, pubs: Iterable[Any] = (), backend: Any = None) -> ResolvedSampler: ...
def finalize(
    options: EstimatorOptions | SamplerOptions, pubs: Iterable[Any] = (), backend: Any = None
) -> ResolvedEstimator | ResolvedSampler:
    """Return `options` with every level and `None` made explicit; `options` stays as it is.

    Measurement mitigation needs measurement twirling. Where mitigation is set, twirling that is not set
    follows. Where mitigation comes from the level and the user set `twirling.enable_measure = False`, the
    level gives way and nothing is mitigated.

    Args:
        options: The options; they are not changed.
        pubs: PUBs or circuits that they are for; rules about circuits are checked for these.
        backend: What they run on, a backend or another mode; rules about devices are checked if it is given.

    Raises:
        OptionsError: Listing all options that contradict each other, the circuits or the backend.
    """
    options = options.copy() if isinstance(options, SamplerOptions) else EstimatorOptions.of(options)
    values = effective(options)
    OptionsError.check(check(values, pubs, backend))
    if isinstance(options, SamplerOptions):
        return ResolvedSampler(
            default_shots=values["default_shots"].value,
            seed=options.seed,
            twirling=_twirling(values),
            correction=_correction(values),
            decoupling=_decoupling(values),
            post_selection=_post_selection(values),
            calibration=_calibration(values),
            meas_type=options.execution.meas_type,
            execution=_execution(values),
            environment=_environment(values),
        )
    return ResolvedEstimator(
        default_precision=options.default_precision,
        default_shots=options.default_shots,
        seed=values["seed"].value,
        twirling=_twirling(values),
        measure_mitigation=values["resilience.measure_mitigation"].value,
        measure_noise_learning=ResolvedMeasureNoiseLearning(
            options.resilience.measure_noise_learning.num_randomizations,
            options.resilience.measure_noise_learning.shots_per_randomization,
            options.calibration.shots,
        ),
        zne=_zne(values),
        noise=_noise(values, backend),
        decoupling=_decoupling(values),
        post_selection=_post_selection(values),
        calibration=_calibration(values),
        precision_target=options.execution.precision_target,
        execution=_execution(values),
        environment=_environment(values),
    )


def _twirling(values: Values) -> ResolvedTwirling:
    return ResolvedTwirling(
        gates=values["twirling.enable_gates"].value,
        measure=values["twirling.enable_measure"].value,
        num_randomizations=values["twirling.num_randomizations"].value,
        shots_per_randomization=values["twirling.shots_per_randomization"].value,
        strategy=values["twirling.strategy"].value,
        group=values["twirling.group"].value,
    )


def _zne(values: Values) -> ResolvedZne | None:
    if not values["resilience.zne_mitigation"].value:
        return None
    zne = {
        path.rpartition(".")[2]: row.value
        for path, row in values.items()
        if path.startswith("resilience.zne.")
    }
    chosen = zne.pop("extrapolator")
    return ResolvedZne(extrapolators=chosen if isinstance(chosen, tuple) else (chosen,), **zne)


#: What one more circuit costs, in shots, where the user does not say. Backends are given whole circuits: a simulator of
#: ten qubits takes as long to begin one as for hundreds of shots. Samplers are given parameters of one circuit.
CIRCUIT_COST = {"backend": 100.0, "sampler": 16.0}
#: Least share of the noise that PEC leaves by itself where the rest is extrapolated: there has to be a rest.
LEAST_EXTRAPOLATED = 0.5


def _noise(values: Values, backend: Any) -> ResolvedNoise | None:
    cancels = values["resilience.pec_mitigation"].value
    pea = is_on("resilience.zne.amplifier", values)
    if not (cancels or pea):
        return None
    pec, learning = (
        {path.rpartition(".")[2]: row.value for path, row in values.items() if path.startswith(prefix)}
        for prefix in ("resilience.pec.", "resilience.layer_noise_learning.")
    )
    if not cancels:
        pec |= {"noise_gain": 1.0, "max_overhead": None}
    if pec["circuit_cost"] == "auto":
        pec["circuit_cost"] = CIRCUIT_COST["backend" if is_backend(backend) else "sampler"]
    return ResolvedNoise(
        cancels=cancels,
        least_gain=LEAST_EXTRAPOLATED if pea else 0.0,
        models=values["resilience.layer_noise_model"].value,
        learning=ResolvedLayerLearning(**learning),
        **pec,
    )


def _calibration(values: Values) -> ResolvedCalibration:
    names = (attribute.name for attribute in fields(ResolvedCalibration))
    return ResolvedCalibration(**{name: values[f"calibration.{name}"].value for name in names})


def _decoupling(values: Values) -> ResolvedDecoupling | None:
    if not values["dynamical_decoupling.enable"].value:
        return None
    names = (attribute.name for attribute in fields(ResolvedDecoupling))
    settings = {name: values[f"dynamical_decoupling.{name}"].value for name in names}
    if settings["instruction_durations"] is not None:
        settings["instruction_durations"] = tuple(
            (gate, qubits or None, seconds) for gate, qubits, seconds in settings["instruction_durations"]
        )
    return ResolvedDecoupling(**settings)


def _post_selection(values: Values) -> ResolvedPostSelection | None:
    if not values["post_selection.enable"].value:
        return None
    names = (attribute.name for attribute in fields(ResolvedPostSelection))
    return ResolvedPostSelection(**{name: values[f"post_selection.{name}"].value for name in names})


def _correction(values: Values) -> ResolvedCorrection | None:
    if not values["resilience.measure_mitigation"].value:
        return None
    return ResolvedCorrection(values["calibration.shots"].value, values["calibration.groups"].value or ())


def _execution(values: Values) -> ResolvedExecution:
    run_options = dict(values["execution.run_options"].value)
    if not values["execution.init_qubits"].value:
        run_options["init_qubits"] = False
    for path in ("execution.rep_delay", "simulator.noise_model"):
        if values[path].value is not None:
            run_options[path.rpartition(".")[2]] = values[path].value
    meas_type = values.get("execution.meas_type")
    if meas_type is not None and meas_type.value != "classified":
        run_options["meas_level"] = 1
        run_options["meas_return"] = "avg" if meas_type.value == "avg_kerneled" else "single"
    # The device's seed has one place, whoever sets it: runs after the first need seeds derived from it.
    seed = run_options.pop("seed_simulator", None)
    return ResolvedExecution(
        run_options=run_options,
        seed_simulator=seed if seed is not None else values["simulator.seed_simulator"].value,
        coupling_map=values["simulator.coupling_map"].value,
        basis_gates=values["simulator.basis_gates"].value,
    )


def _environment(values: Values) -> ResolvedEnvironment:
    return ResolvedEnvironment(
        log_level=values["environment.log_level"].value,
        job_tags=values["environment.job_tags"].value,
        max_execution_time=values["max_execution_time"].value,
    )
