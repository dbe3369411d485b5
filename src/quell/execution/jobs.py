"""Jobs: run a plan on a worker thread and combine what comes back."""

from __future__ import annotations

import atexit
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError as FutureCancelled
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import numpy as np
from qiskit.primitives import BasePrimitiveJob, PrimitiveResult
from qiskit.providers import JobStatus

from ..circuits.samples import Samples
from ..errors import CancelledError, Problem, UnsupportedError
from ..options.resolved import ResolvedEnvironment
from ..plans import Plan, cost, restaged
from .exchange import Exchange
from .logs import JobLog
from .run import Refine, Run
from .runner import Progress, Runner

Finish = Callable[[list[Any], Mapping[str, Any]], PrimitiveResult[Any]]
Reanalysis = Callable[[Any], tuple[Callable[[Any], Any], Finish]]

#: The jobs that have not ended: the program waits for them.
_UNENDED: Final[set[Future[Any]]] = set()


def _wait_for_jobs() -> None:
    for future in list(_UNENDED):
        with suppress(FutureCancelled):
            future.exception()


# `concurrent.futures` waits for its threads too, but has stopped all pools by then, also those of simulators: a job
# could begin nothing. What is registered later is called earlier. The public `atexit` is called after both.
getattr(threading, "_register_atexit", atexit.register)(_wait_for_jobs)


class Job(BasePrimitiveJob[PrimitiveResult[Any], JobStatus]):
    """A plan being run on another thread. A program does not end before its jobs have ended.

    `result()` returns, raises the run's error, or raises `TimeoutError` and leaves the job running.

    Args:
        plan: What is run.
        runner: Runs its programs.
        finish: Makes the result of what the tasks combine to, and of the facts that go into its metadata.
        seed: Seed of a simulator's shots.
        progress: Called with the number of circuits measured and their total.
        environment: How it is logged, marked and limited.
        exchange: What it shares with other jobs.
        rng: Draws the experiments for what other jobs should have learned and did not.
        backend: What the circuits run on.
        session_id: Id of the session or batch that it belongs to.
        refine: Grows the plan once by what the first results lack, see `Run`.
        reanalysis: Returns, for other options, how stages change and how results are finished.
    """

    _future: Future[PrimitiveResult[Any]]

    def __init__(
        self,
        plan: Plan,
        runner: Runner,
        finish: Finish,
        *,
        seed: int | None,
        progress: Progress | None = None,
        environment: ResolvedEnvironment | None = None,
        exchange: Exchange | None = None,
        rng: np.random.Generator | None = None,
        backend: Any = None,
        session_id: str | None = None,
        refine: Refine | None = None,
        reanalysis: Reanalysis | None = None,
    ) -> None:
        super().__init__(str(uuid.uuid4()))
        environment = environment or ResolvedEnvironment("WARNING", (), None)
        self._finish = finish
        self._backend = backend
        self._session_id = session_id
        self._created = datetime.now().astimezone()
        self._tags = environment.job_tags
        self._log = JobLog(self._job_id, environment.log_level)
        self._exchange = exchange or Exchange()
        self._exchange.enter(self._job_id, plan)
        self._run = Run(
            plan,
            runner,
            seed=seed,
            rng=rng or np.random.default_rng(seed),
            exchange=self._exchange,
            log=self._log,
            progress=progress,
            limit=environment.max_execution_time,
            refine=refine,
        )
        self._reanalysis = reanalysis
        total = cost(plan)
        more = f", about {total.deferred_shots[0]} more or above" if any(total.deferred_shots) else ""
        self._log.info(f"planned {total.circuits} circuits, {total.shots} shots{more}")
        for entry in self._exchange.taken:
            self._log.info(f"relies on {entry.origin} for: {entry.requirement.describe()}")
        for note in self._exchange.notes:
            self._log.warning(note)

    # --- what users ask ---------------------------------------------------------------------

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of `options.environment.job_tags`."""
        return self._tags

    @property
    def session_id(self) -> str | None:
        """Id of the session or batch that the job belongs to, None without one."""
        return self._session_id

    @property
    def creation_date(self) -> datetime:
        """When the job was submitted."""
        return self._created

    def backend(self) -> Any:
        """Return the backend, sampler or function that the circuits run on."""
        return self._backend

    def logs(self) -> str:
        """Return what the job has to say, from the level `options.environment.log_level` on, one line each."""
        return self._log.text()

    def plan(self) -> Plan:
        """Return the plan; printing it shows the onion, circuits and shots."""
        return self._run.plan

    def samples(self) -> list[Samples] | None:
        """Return the raw samples, one per leaf of the plan, once they were measured; else None."""
        return self._run.samples

    def result(self, timeout: float | None = None) -> PrimitiveResult[Any]:
        """Return the result, waiting at most `timeout` seconds.

        Raises:
            TimeoutError: It is not there yet; the job goes on.
            CancelledError: The job was cancelled or ran out of time; `partial` keeps what was measured.
            ExecutionError: The device failed; `partial` keeps what was measured.
        """
        try:
            return self._future.result(timeout)
        except FutureCancelled:
            raise CancelledError(
                f"job {self._job_id} was cancelled before it started; nothing was measured, run it again"
            ) from None
        except TimeoutError:
            if self._future.done():  # it ended just now, or this is how it ended
                return self._future.result()
            raise self._too_early(timeout) from None

    def reanalyze(self, options: Any) -> PrimitiveResult[Any]:
        """Return the result that the same samples give under other options; nothing is run.

        Args:
            options: A whole options tree, or a dict of what changes: the extrapolators of ZNE, how one is selected,
                where they are evaluated, and the guard. Everything else shaped what was measured.

        Raises:
            OptionsError: Options are unknown or wrong, or would need another measurement.
            UnsupportedError: The job has nothing that could be analysed in another way.
            ExecutionError: The job failed, or was cancelled.
        """
        if self._reanalysis is None:
            rule = "has no stage whose analysis could be changed"
            raise UnsupportedError.of([Problem("job", rule, "run an Estimator with ZNE")])
        self.wait_for_final_state()
        if not self._run.is_combinable:
            self.result()
        change, finish = self._reanalysis(options)
        return finish(self._run.combined(restaged(self.plan(), change)), self._facts())

    def _facts(self) -> dict[str, Any]:
        return {**self._run.facts(), "job_tags": list(self._tags)}

    def wait_for_final_state(self, timeout: float | None = None) -> None:
        """Wait until the job has ended, well or not.

        Raises:
            TimeoutError: It has not after `timeout` seconds; it goes on.
        """
        with suppress(FutureCancelled, TimeoutError):
            self._future.exception(timeout)
        if not self._future.done():
            raise self._too_early(timeout)

    def _too_early(self, timeout: float | None) -> TimeoutError:
        state = "running" if self._future.running() else "queued"
        return TimeoutError(f"job {self._job_id} is still {state} after {timeout} s")

    def error_message(self) -> str | None:
        """Return why there is no result, once the job has ended without; else None."""
        if not self._future.done():
            return None
        try:
            self.result()
        except BaseException as error:  # whatever the run raised
            return str(error)
        return None

    def status(self) -> JobStatus:
        """Return the status."""
        if self._future.running():
            return JobStatus.RUNNING
        if not self._future.done():
            return JobStatus.QUEUED
        if self._future.cancelled():
            return JobStatus.CANCELLED
        error = self._future.exception()
        if error is None:
            return JobStatus.DONE
        return JobStatus.CANCELLED if isinstance(error, InterruptedError) else JobStatus.ERROR

    def done(self) -> bool:
        """Return whether the job ended well."""
        return self.status() is JobStatus.DONE

    def running(self) -> bool:
        """Return whether the job is running."""
        return self.status() is JobStatus.RUNNING

    def cancelled(self) -> bool:
        """Return whether the job was cancelled."""
        return self.status() is JobStatus.CANCELLED

    def in_final_state(self) -> bool:
        """Return whether the job ended."""
        return self._future.done()

    def cancel(self) -> bool:
        """Ask the job to stop before its next run of the device; return whether it had not ended.

        A run that has begun is asked to stop too, which simulators do not do.
        What was measured until then is in the `partial` of the error that `result` raises.
        """
        if self._future.done():
            return False
        if self._future.cancel():  # it had not started
            self._exchange.withdraw()
            self._log.info("cancelled before it started")
        self._run.cancelled.set()
        return True

    # --- running ----------------------------------------------------------------------------

    def start(self, executor: Executor | None = None) -> None:
        """Run as soon as `executor` has a thread; by default on a thread of its own."""
        pool = executor or ThreadPoolExecutor(1, f"quell-{self._job_id[:8]}")
        self._future = pool.submit(self._work)
        _UNENDED.add(self._future)
        self._future.add_done_callback(_UNENDED.discard)
        if executor is None:
            pool.shutdown(wait=False)

    def _work(self) -> PrimitiveResult[Any]:
        try:
            combined = self._run.execute()
            result = self._finish(combined, self._facts())
        except BaseException as error:  # for who asks for the result
            self._exchange.withdraw()
            say = self._log.warning if isinstance(error, InterruptedError) else self._log.error
            say(f"{type(error).__name__}: {error}")
            raise
        for index, pub_result in enumerate(result):
            if "warning" in pub_result.metadata:
                self._log.warning(f"pubs[{index}]: {pub_result.metadata['warning']}")
        self._log.info(f"finished after {self._run.seconds:.3g} s")
        return result
