"""What both primitives are made of: a mode, options that are copied on entry, and jobs that run plans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from attrs import asdict, frozen
from qiskit.primitives import PrimitiveResult

from .. import pipeline
from ..build import lower_stages
from ..calibration.store import CalibrationStore
from ..errors import InputError, OptionsError, Problem
from ..execution.adapters import runner_for
from ..execution.backends import BackendRunner
from ..execution.exchange import Exchange
from ..execution.jobs import Finish, Job
from ..execution.modes import ExecutionMode, active_mode
from ..execution.run import Refine
from ..execution.runner import Progress, Runner, derived_seed
from ..options import EstimatorOptions, ResolvedEstimator, ResolvedSampler, SamplerOptions, finalize
from ..options.legacy import accepted
from ..pipeline import Plan

Options = TypeVar("Options", EstimatorOptions, SamplerOptions)
Tasks = Sequence[tuple[Sequence[Any], Any]]
Results = Callable[[list[Any]], list[Any]]


class Primitive(Generic[Options]):
    """A mode and its options.

    Args:
        mode: A `BackendV2`, a `BaseSamplerV2`, a function that takes a list of `SamplerPub` and returns one
            result per PUB, a `Session` or a `Batch`; None for the Session or Batch whose `with` block this is in.
        options: Options or a dict of them; copied. Keys from before V2 are translated, with one warning.
        progress: Called with the number of circuits done and their total.

    Raises:
        InputError: `mode` cannot run circuits, or is None outside of a Session or Batch.
        OptionsError: Options are unknown or out of range.
    """

    _options_class: ClassVar[Any]

    def __init__(
        self,
        mode: Any = None,
        options: Options | Mapping[str, Any] | None = None,
        *,
        progress: Progress | None = None,
    ) -> None:
        self._mode = active_mode() if mode is None else mode
        self._options: Options = self._accept(options)
        self._progress = progress
        runner_for(self._runs_on)

    @property
    def options(self) -> Options:
        """The options; assignments are checked at once and take effect at the next run."""
        return self._options

    @options.setter
    def options(self, value: Options | Mapping[str, Any]) -> None:
        self._options = self._accept(value)

    @property
    def mode(self) -> Any:
        """What the circuits run on, or the Session or Batch that they run in."""
        return self._mode

    @property
    def _runs_on(self) -> Any:
        return self._mode.runs_on if isinstance(self._mode, ExecutionMode) else self._mode

    def _accept(self, options: Options | Mapping[str, Any] | None) -> Options:
        """Return a checked copy of what the user gave as options; keys from before V2 are translated."""
        # Four calls up is the line that made the primitive or assigned its options.
        taken: Options = accepted(options, self._options_class, stacklevel=4)
        return taken

    def _resolve(self, pubs: Iterable[Any], problems: list[Problem]) -> tuple[Any, Runner, list[Problem]]:
        """Return the options resolved for PUBs, what runs them, and what is wrong with the options.

        Where something is wrong the options are None, and the runner is good for checking PUBs only. What the
        mode cannot be told is added to `problems`.
        """
        try:
            resolved = finalize(self._options, pubs, self._runs_on)
            return resolved, runner_for(self._runs_on, resolved.execution), []
        except OptionsError as error:
            return None, runner_for(self._runs_on), list(error.problems)
        except InputError as error:
            problems += error.problems
            return None, runner_for(self._runs_on), []

    def _submission(
        self,
        tasks: Tasks,
        runner: Runner,
        resolved: ResolvedEstimator | ResolvedSampler,
        results: Results,
        metadata: Mapping[str, Any],
        refine: Refine | None = None,
        reanalysis: Callable[[Any], tuple[Callable[[Any], Any], Results]] | None = None,
    ) -> Submission:
        """Return tasks ready to be planned or run; `results` turns what they combine to into PUB results.

        See `Job` for the last two; `reanalysis` returns how stages change and other `results`.
        """
        twirling, seed = resolved.twirling, resolved.seed
        common = {
            "version": 2,
            "backend": runner.name,
            "twirling": {
                "enable_gates": twirling.gates,
                "enable_measure": twirling.measure,
                "num_randomizations": twirling.num_randomizations,
                "shots_per_randomization": twirling.shots_per_randomization,
                "strategy": twirling.strategy,
                "group": twirling.group,
            },
            "dynamical_decoupling": {"enable": False}
            if resolved.decoupling is None
            else {"enable": True, **asdict(resolved.decoupling, recurse=False)},
            "seed": seed,
            **metadata,
        }
        max_age = resolved.calibration.max_age
        # What is learned under other options is learned of another device.
        conditions: Any = (resolved.execution, resolved.decoupling)
        if isinstance(runner, BackendRunner):
            conditions = (*conditions, dict(runner.backend.options.items()))
        if repeats_shots(runner, seed):
            max_age = 0.0  # every job gets the same shots: data would repeat those of the calibration

        def finishing(results: Results) -> Finish:
            return lambda combined, facts: PrimitiveResult(results(combined), metadata={**common, **facts})

        def again(options: Any) -> tuple[Callable[[Any], Any], Finish]:
            assert reanalysis is not None
            change, others = reanalysis(options)
            return change, finishing(others)

        store = opened(resolved.calibration.store)

        def planned(session: ExecutionMode | None) -> tuple[Plan, Exchange, np.random.Generator]:
            exchange = Exchange(
                session.ledger if session else None,
                session.num_jobs if session else 0,
                max_age if session or store is not None else 0.0,
                conditions,
                store=store,
                # Functions and samplers do not say which device they run on.
                backend_name=runner.name if isinstance(runner, BackendRunner) else None,
                when_old=resolved.calibration.when_old,
            )
            rng = np.random.default_rng(seed)
            plan = pipeline.plan(tasks, rng, lower_stages(resolved, runner.target), exchange.offers)
            return pipeline.completed(plan, exchange.known()), exchange, rng

        def make(session: ExecutionMode | None) -> Job:
            plan, exchange, rng = planned(session)
            shots = seed
            if plan.shared and seed is not None:
                # With the same seed a simulator would give the data the very shots of the calibration that it
                # relies on, and its error would hide in them.
                shots = derived_seed(seed, session.num_jobs if session else 0)
            return Job(
                plan,
                runner,
                finishing(results),
                seed=shots,
                progress=self._progress,
                environment=resolved.environment,
                exchange=exchange,
                rng=rng.spawn(1)[0],
                backend=self._runs_on,
                session_id=session.session_id if session else None,
                refine=refine,
                reanalysis=again if reanalysis else None,
            )

        return Submission(self._mode, planned, make)


@frozen(eq=False)
class Submission:
    """PUBs that were checked, ready to be planned or run.

    Attributes:
        mode: What they run on, or in.
        planned: Plans them; has no effect on a Session.
        make: Plans them as a job of a Session; what it learns is promised there.
    """

    mode: Any
    planned: Callable[[ExecutionMode | None], tuple[Plan, Exchange, np.random.Generator]]
    make: Callable[[ExecutionMode | None], Job]

    @property
    def _session(self) -> ExecutionMode | None:
        return self.mode if isinstance(self.mode, ExecutionMode) else None

    def plan(self) -> Plan:
        """Return the plan; nothing is run."""
        return self.planned(self._session)[0]

    def launch(self) -> Job:
        """Start running.

        Raises:
            ExecutionError: The Session or Batch accepts no new jobs.
        """
        if self._session is not None:
            return self._session.launch(self.make)
        job = self.make(None)
        job.start()
        return job


def opened(store: Any) -> CalibrationStore | None:
    """Return a store, opened where its path is given.

    Raises:
        CalibrationError: The file cannot be used.
    """
    return CalibrationStore(store) if isinstance(store, str) else store


def repeats_shots(runner: Runner, seed: int | None) -> bool:
    """Return whether jobs with the same `seed` or none get the same shots, because the device's seed is fixed."""
    if isinstance(runner, BackendRunner):
        return runner.fixed_seed(seed) is not None
    return bool(getattr(runner, "repeats", False))


def coerced(
    pubs: Any, coerce: Callable[[Any], Any], kind: type, hint: str
) -> tuple[list[tuple[str, Any]], list[Problem]]:
    """Return PUBs with their places, and what is wrong with those that are none.

    Args:
        pubs: What the user gave.
        coerce: Makes a PUB of one of them.
        kind: The class of PUBs; one alone is a common mistake.
        hint: How a list of PUBs is written.

    Raises:
        InputError: It is no list of PUBs.
    """
    if isinstance(pubs, kind) or not isinstance(pubs, Iterable):
        raise InputError.of([Problem("pubs", "must be a list of PUBs", f"write {hint}")])
    good, problems = [], []
    for index, pub_like in enumerate(pubs):
        path = f"pubs[{index}]"
        try:
            good.append((path, coerce(pub_like)))
        except Exception as error:
            # A KeyError quotes its text.
            text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
            problems.append(Problem(path, text))
    return good, problems


def check_all(problems: Sequence[Problem], of_options: Sequence[Problem]) -> None:
    """Raise one error for everything that is wrong.

    Raises:
        InputError: PUBs are wrong, and perhaps options too.
        OptionsError: Options are wrong, and nothing else.
    """
    if problems:
        raise InputError.of([*of_options, *problems])
    OptionsError.check(of_options)
