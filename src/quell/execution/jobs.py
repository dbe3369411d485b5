"""Jobs: run a plan on a worker thread and combine what comes back."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError as FutureCancelled
from concurrent.futures import Future
from typing import Any

import numpy as np
from qiskit.primitives import BasePrimitiveJob, PrimitiveResult
from qiskit.providers import JobStatus

from ..circuits.samples import Samples
from ..errors import CancelledError
from ..options.resolved import ResolvedEnvironment
from ..plans import Plan, cost
from .exchange import Exchange
from .logs import JobLog
from .run import Run
from .runner import Progress, Runner

Finish = Callable[[list[Any], Mapping[str, Any]], PrimitiveResult[Any]]


class Job(BasePrimitiveJob[PrimitiveResult[Any], JobStatus]):
    """A plan being run.

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
    """

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
    ) -> None:
        super().__init__(str(uuid.uuid4()))
        environment = environment or ResolvedEnvironment("WARNING", (), None)
        self._finish = finish
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
        )
        self._future: Future[PrimitiveResult[Any]] = Future()
        total = cost(plan)
        self._log.info(f"planned {total.circuits} circuits, {total.shots} shots")
        for entry in self._exchange.taken:
            self._log.info(f"relies on job {entry.job_id} for: {entry.requirement.describe()}")

    # --- what users ask ---------------------------------------------------------------------

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of `options.environment.job_tags`."""
        return self._tags

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
            state = "running" if self._future.running() else "queued"
            raise TimeoutError(f"job {self._job_id} is still {state} after {timeout} s") from None

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
        """Ask the job to stop before its next chunk; return whether it had not ended.

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

    def start(self) -> None:
        """Run on a thread of its own."""
        self._future.set_running_or_notify_cancel()
        threading.Thread(target=self._work, name=f"quell-{self._job_id[:8]}", daemon=True).start()

    def work(self) -> None:
        """Run on this thread, unless the job was cancelled before."""
        if self._future.set_running_or_notify_cancel():
            self._work()

    def _work(self) -> None:
        try:
            combined = self._run.execute()
            result = self._finish(combined, {**self._run.facts(), "job_tags": list(self._tags)})
        except BaseException as error:  # handed to whoever asks for the result
            self._exchange.withdraw()
            say = self._log.warning if isinstance(error, InterruptedError) else self._log.error
            say(f"{type(error).__name__}: {error}")
            self._future.set_exception(error)
        else:
            for index, pub_result in enumerate(result):
                if "warning" in pub_result.metadata:
                    self._log.warning(f"pubs[{index}]: {pub_result.metadata['warning']}")
            self._log.info(f"finished after {self._run.seconds:.3g} s")
            self._future.set_result(result)
