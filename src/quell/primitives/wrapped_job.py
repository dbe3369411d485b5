"""The job of a backend around a backend: what code that only knows ``backend.run`` asks of one."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from qiskit import QuantumCircuit
from qiskit.primitives import PrimitiveResult
from qiskit.providers import BackendV2, JobStatus, JobTimeoutError, JobV1
from qiskit.result import Result

from ..execution.jobs import Job
from ..plans import Plan
from .corrected import SamplerPubResult
from .results import result_of_samples


class WrappedJob(JobV1):
    """A run of a `WrappedBackend`."""

    def __init__(
        self,
        backend: BackendV2,
        job: Job,
        circuits: list[QuantumCircuit],
        ran: list[QuantumCircuit],
        *,
        memory: bool,
    ) -> None:
        super().__init__(backend, job.job_id())
        self._job = job
        self._circuits = circuits
        self._ran = ran
        self._memory = memory
        self._result: Result | None = None
        self._lock = threading.Lock()

    def submit(self) -> None:
        """Do nothing: the job was submitted when it was made."""

    def plan(self) -> Plan:
        """Return the plan; printing it shows the onion, circuits and shots."""
        return self._job.plan()

    def result(self, timeout: float | None = None) -> Result:
        """Return the result, waiting at most `timeout` seconds.

        Raises:
            ExecutionError: The device failed, or the job was cancelled; what was measured is in ``partial``.
            CalibrationError: Readout of some qubits cannot be corrected; `raw_result` has what was read.
        """
        samples = self._job.result(timeout)
        with self._lock:  # all who ask get the same result
            if self._result is None:
                self._result = self._made(samples, corrected=True)
        return self._result

    def raw_result(self, timeout: float | None = None) -> Result:
        """Return the result without the correction of readout errors: what was read, with twirls undone.

        Raises:
            ExecutionError: The device failed, or the job was cancelled; what was measured is in ``partial``.
        """
        return self._made(self._job.result(timeout), corrected=False)

    def _made(self, samples: PrimitiveResult[SamplerPubResult], *, corrected: bool) -> Result:
        backend = self.backend()
        return result_of_samples(
            samples,
            self._circuits,
            self._ran,
            memory=self._memory,
            corrected=corrected,
            backend_name=backend.name,
            backend_version=backend.backend_version,
            job_id=self.job_id(),
            date=samples.metadata["date"],
            time_taken=samples.metadata["time_taken"],
        )

    def wait_for_final_state(
        self,
        timeout: float | None = None,
        wait: float = 5,
        callback: Callable[[str, JobStatus, JobV1], None] | None = None,
    ) -> None:
        """Wait until the job has ended, at most `timeout` seconds; every `wait` seconds call back.

        Raises:
            JobTimeoutError: It has not ended by then; the job goes on.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not self._job.in_final_state():
            left = end - time.monotonic()
            if left <= 0:
                raise JobTimeoutError(f"job {self.job_id()} is still running after {timeout} s")
            if callback is not None:
                callback(self.job_id(), self.status(), self)
            with suppress(Exception):  # how it ends is for `result` to say
                self._job.result(min(wait, left))

    def status(self) -> JobStatus:
        """Return the status."""
        return self._job.status()

    def cancel(self) -> bool:
        """Ask the job to stop before its next run; return whether it was still running."""
        return self._job.cancel()
