"""Jobs: run a plan on a worker thread and combine what comes back."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from qiskit.primitives import BasePrimitiveJob, PrimitiveResult
from qiskit.providers import JobStatus

from ..circuits.samples import Samples
from ..pipeline import Plan, leaves
from .runner import Progress, Runner


def _silent(done: int, total: int) -> None:
    """Report nothing."""


class Job(BasePrimitiveJob[PrimitiveResult[Any], JobStatus]):
    """A plan being run.

    `result()` returns, raises the run's error, or raises `TimeoutError` and leaves the job running.
    """

    def __init__(
        self,
        plan: Plan,
        runner: Runner,
        finish: Callable[[list[Samples]], PrimitiveResult[Any]],
        *,
        seed: int | None,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(str(uuid.uuid4()))
        self._plan = plan
        self._runner = runner
        self._finish = finish
        self._seed = seed
        self._progress = progress or _silent
        self._cancel = threading.Event()
        self._future: Future[PrimitiveResult[Any]] = Future()
        self._samples: list[Samples] | None = None

    def submit(self) -> None:
        """Start running."""
        self._future.set_running_or_notify_cancel()
        threading.Thread(target=self._work, name=f"quell-{self._job_id[:8]}", daemon=True).start()

    def _work(self) -> None:
        try:
            programs = leaves(self._plan)
            samples = self._runner.run(
                programs, seed=self._seed, progress=self._progress, cancelled=self._cancel
            )
            self._samples = samples
            self._future.set_result(self._finish(samples))
        except BaseException as error:  # handed to whoever asks for the result
            self._future.set_exception(error)

    def plan(self) -> Plan:
        """Return the plan; printing it shows the onion, circuits and shots."""
        return self._plan

    def samples(self) -> list[Samples] | None:
        """Return the raw samples, one per leaf of the plan, once they were measured; else None."""
        return self._samples

    def result(self, timeout: float | None = None) -> PrimitiveResult[Any]:
        """Return the result, waiting at most `timeout` seconds."""
        try:
            return self._future.result(timeout)
        except FutureTimeout:
            raise TimeoutError(f"job {self._job_id} is still running after {timeout} s") from None

    def status(self) -> JobStatus:
        """Return the status."""
        if not self._future.done():
            return JobStatus.RUNNING
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
        """Ask the job to stop before its next chunk; return whether it was still running."""
        if self._future.done():
            return False
        self._cancel.set()
        return True
