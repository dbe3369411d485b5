"""One trial: a strategy run once, with what it would take by itself, and what it took."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from attrs import evolve, frozen
from qiskit.primitives import PrimitiveResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub

from ..calibration.learning import LayerNoise
from ..calibration.ledger import Ledger
from ..errors import InputError, Problem, QuellError
from ..execution.adapters import runner_for
from ..execution.backends import BackendRunner
from ..execution.jobs import Job
from ..execution.modes import Session
from ..options import EstimatorOptions
from ..pipeline import Plan, cost
from ..primitives.estimator import Estimator
from .budget import Spent, learning_within, shots_within
from .qpu import qpu_seconds
from .records import Trial
from .strategies import ANALYSIS, Chosen

Progress = Callable[[int, int], None]


@frozen(eq=False)
class Setting:
    """What all trials have in common.

    Attributes:
        runs_on: The backend, sampler or function.
        pubs: What is estimated.
        total_shots: Shots that a strategy spends in all; None for what its options say.
        shots: Shots of a value where options say nothing.
        seed: Seed of the comparison.
    """

    runs_on: Any
    pubs: tuple[EstimatorPub, ...]
    total_shots: int | None
    shots: int | None
    seed: int

    def options(self, each: Chosen) -> tuple[EstimatorOptions, str]:
        """Return the options of a strategy but for its shots, and what was changed for the budget, in words.

        Raises:
            QuellError: The strategy cannot be run.
        """
        options = each.options.copy()
        changed = ""
        if options.calibration.store is not None:
            # Trials would learn from each other, and those who find something there would pay for nothing.
            options.calibration.store = None
            changed = "calibration.store is not used: every repeat learns by itself"
        if self.total_shots is None:
            usual = options.default_precision == EstimatorOptions().default_precision
            if self.shots is not None and options.default_shots is None and usual:
                options.default_shots = self.shots
            return options, changed
        if options.execution.precision_target != "shots":
            rule = "decides by itself how many shots are spent, and total_shots does so too"
            path = "options.execution.precision_target"
            raise InputError.of([Problem(path, rule, "set it to 'shots'")])
        options.default_shots = 1
        learning = _learning(Estimator(self.runs_on, options).plan(self.pubs))
        cut = learning_within(self.total_shots, options, learning) if learning else ""
        return options, "; ".join(filter(None, (changed, cut)))


def ahead(requirement: Any) -> bool:
    """Return whether it has to be known before data are planned: their number follows from the noise of layers."""
    return isinstance(requirement, LayerNoise)


def effort(requirement: Any) -> tuple[Any, ...]:
    """Return with how many shots the noise of a layer is learned; empty for anything else."""
    if not isinstance(requirement, LayerNoise):
        return ()
    return (requirement.depths, requirement.num_randomizations, requirement.shots)


def _learning(plan: Plan) -> int:
    """Return the shots of experiments that have to be there before the data are planned."""
    experiments = tuple(e for e in plan.experiments if ahead(e.requirement))
    return cost(evolve(plan, experiments=experiments, roots=())).shots


def _besides(alone: Plan, plan: Plan) -> Plan:
    """Return what a strategy would have to learn by itself and its plan has from elsewhere."""
    own = [e.requirement for e in plan.experiments]
    missing = tuple(e for e in alone.experiments if e.requirement not in own)
    return evolve(alone, experiments=missing if plan.shared else (), roots=())


def trial(
    setting: Setting, each: Chosen, repeat: int, seed: int, ledger: Ledger, progress: Progress
) -> tuple[Trial, Job | None]:
    """Run a strategy once; a failure is a trial without values.

    Returns:
        The trial, and its job if it ended well.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # results say the same, and trials keep it as notes
            return _run(setting, each, repeat, seed, ledger, progress)
    except Exception as error:  # of the strategy, the device or a fit: the others go on
        return Trial(each.name, repeat, failure=_reason(error), details={"seed": seed}), None


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, QuellError) else f"{type(error).__name__}: {error}"


def _run(
    setting: Setting, each: Chosen, repeat: int, seed: int, ledger: Ledger, progress: Progress
) -> tuple[Trial, Job]:
    options, changed = setting.options(each)
    options.seed = seed
    alone = Estimator(setting.runs_on, options)
    if setting.total_shots is not None:  # nobody gets more than what is paid for
        efforts = {effort(e.requirement) for e in alone.plan(setting.pubs).experiments}
        ledger = ledger.copied(lambda requirement: effort(requirement) in efforts)
    session = Session(backend=setting.runs_on).knowing(ledger.copied())
    estimator = Estimator(session, options, progress=progress)
    if setting.total_shots is not None:
        besides = cost(_besides(alone.plan(setting.pubs), estimator.plan(setting.pubs))).shots

        def spent(shots: int) -> Spent:
            estimator.options.default_shots = shots
            return Spent(cost(estimator.plan(setting.pubs)), besides)

        estimator.options.default_shots, _ = shots_within(setting.total_shots, spent)
    alone.options.default_shots = estimator.options.default_shots
    start = time.perf_counter()
    job = estimator.run(setting.pubs)
    prepare = time.perf_counter() - start
    try:
        result = job.result()
    except BaseException:
        job.cancel()
        raise
    finally:
        session.close()
    besides_plan = _besides(alone.plan(setting.pubs), job.plan())
    return _trial(
        each, repeat, seed, job, result, besides_plan, prepare, estimator.options, changed, setting
    ), job


def _trial(
    each: Chosen,
    repeat: int,
    seed: int,
    job: Job,
    result: PrimitiveResult[Any],
    besides: Plan,
    prepare: float,
    options: EstimatorOptions,
    changed: str,
    setting: Setting,
) -> Trial:
    facts, more = result.metadata, cost(besides)
    runner = runner_for(setting.runs_on)
    target = runner.target if isinstance(runner, BackendRunner) else None
    overheads = [overhead for pub in result if (overhead := _gamma_squared(pub.metadata)) is not None]
    notes = [changed] if changed else []
    for number, pub in enumerate(result):
        if "warning" in pub.metadata:
            where = f"PUB {number}: " if len(result) > 1 else ""
            notes.append(where + pub.metadata["warning"])
    spent = facts["shots"] + more.shots
    if setting.total_shots is not None and spent > setting.total_shots:
        notes.append(f"took {spent} shots, more than the {setting.total_shots} of the budget")
    seconds = dict(facts["seconds"])
    seconds["prepare"] += prepare
    return Trial(
        strategy=each.name,
        repeat=repeat,
        values=np.concatenate([np.ravel(pub.data.evs) for pub in result]),
        errors=np.concatenate([np.ravel(pub.data.stds) for pub in result]),
        notes=tuple(dict.fromkeys(notes)),
        circuits=facts["circuits"] + more.circuits,
        shots=spent,
        calibration_shots=facts["calibration_shots"] + more.shots,
        executed_shots=facts["shots"],
        gamma_squared=max(overheads, default=None),
        qpu_seconds=qpu_seconds(job.plan(), target) + qpu_seconds(besides, target),
        seconds=seconds,
        details=_details(result, seed, options.default_shots),
    )


def _gamma_squared(metadata: Any) -> float | None:
    found = metadata.get("resilience", {})
    learned = found.get("pec") or (found.get("learned_noise") or [None])[0]
    if not learned or learned.get("sampling_overhead") is None:
        return None
    return float(learned["sampling_overhead"])


def _details(result: PrimitiveResult[Any], seed: int, default_shots: int | None) -> dict[str, Any]:
    """Return how the values came about, as plain data."""
    details: dict[str, Any] = {"seed": seed, "default_shots": default_shots}
    models: dict[str, int] = {}
    for pub in result:
        for value in pub.metadata.get("resilience", {}).get("zne", {}).get("extrapolators", ()):
            for model in value.values():
                models[model] = models.get(model, 0) + 1
    if models:
        details["models_of_terms"] = models
    randomizations = result[0].metadata.get("num_randomizations")
    if isinstance(randomizations, int):
        details["num_randomizations"] = randomizations
    return details


def reanalysed(own: Trial, job: Job, other: Chosen) -> Trial:
    """Return the trial of a strategy that analyses the shots of another one."""
    zne = other.options.resilience.zne.to_dict()
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            result = job.reanalyze({"resilience": {"zne": {name: zne[name] for name in ANALYSIS}}})
    except Exception as error:
        return Trial(other.name, own.repeat, failure=_reason(error), details=own.details)
    seconds = {"prepare": 0.0, "execute": 0.0, "combine": time.perf_counter() - start}
    notes = [pub.metadata["warning"] for pub in result if "warning" in pub.metadata]
    return evolve(
        own,
        strategy=other.name,
        values=np.concatenate([np.ravel(pub.data.evs) for pub in result]),
        errors=np.concatenate([np.ravel(pub.data.stds) for pub in result]),
        notes=tuple(dict.fromkeys(notes)),
        executed_shots=0,
        seconds=seconds,
        details=_details(result, own.details["seed"], own.details["default_shots"]),
    )
