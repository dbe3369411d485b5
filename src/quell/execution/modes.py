"""Sessions and batches: jobs that share one backend, workers and calibrations."""

from __future__ import annotations

import re
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from datetime import datetime
from typing import Any, ClassVar, Final, Self

from ..calibration.ledger import Ledger
from ..errors import ExecutionError, InputError, Problem
from .adapters import runner_for
from .jobs import Job

#: The modes whose `with` blocks the code is in, innermost last. New threads start outside of all of them.
_ACTIVE: ContextVar[tuple[ExecutionMode, ...]] = ContextVar("quell_active_modes", default=())

_SECONDS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION: Final = re.compile(r"\s*(?=\d)(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+)s)?\s*")


def active_mode() -> ExecutionMode:
    """Return the Session or Batch of the innermost `with` block that the code is in.

    Raises:
        InputError: It is in none.
    """
    active = _ACTIVE.get()
    if not active:
        fix = "pass a BackendV2, a BaseSamplerV2, a function, a Session or a Batch"
        raise InputError.of([Problem("mode", "is None, and there is no Session or Batch to use", fix)])
    return active[-1]


class ExecutionMode:
    """What `Session` and `Batch` have in common.

    Closing, also by the end of the `with` block, means that no new jobs are accepted; those that were
    submitted go on, and their results stay available. The end of the program waits for them.

    Attributes:
        num_jobs: How many jobs were submitted so far.
    """

    _kind: ClassVar[str]

    def __init__(self, backend: Any, max_time: int | str | None, num_workers: int) -> None:
        self._runs_on = _checked_backend(backend)
        self._max_time = _seconds(max_time)
        self._session_id = str(uuid.uuid4())
        self._executor = ThreadPoolExecutor(num_workers, f"quell-{self._kind}-{self._session_id[:8]}")
        self._created = datetime.now().astimezone()
        self._ledger = Ledger()
        self._first: float | None = None
        self._closed = False
        self.num_jobs = 0
        #: Weak: a long session must not keep the plans, samples and results of all its jobs.
        self._jobs: list[weakref.ref[Job]] = []
        # Two locks: planning is done in the order of submission, and who looks at the jobs does not wait for it.
        self._order = threading.RLock()
        self._lock = threading.Lock()

    @property
    def session_id(self) -> str:
        """The id."""
        return self._session_id

    @property
    def runs_on(self) -> Any:
        """The backend, sampler or function that circuits are run on."""
        return self._runs_on

    @property
    def ledger(self) -> Ledger:
        """The calibrations that the jobs share."""
        return self._ledger

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs that have not ended or that somebody still has, in the order in which they were submitted."""
        with self._lock:
            return tuple(job for ref in self._jobs if (job := ref()) is not None)

    def backend(self) -> str:
        """Return the name of the backend, as the vendor's class does; `runs_on` is the backend itself."""
        return runner_for(self._runs_on).name

    def status(self) -> str:
        """Return "Pending", "In progress, accepting new jobs", "In progress, not accepting new jobs" or "Closed"."""
        if self._refusal() is None:
            return "In progress, accepting new jobs" if self.num_jobs else "Pending"
        ended = all(job.in_final_state() for job in self.jobs)
        return "Closed" if ended else "In progress, not accepting new jobs"

    def details(self) -> dict[str, Any]:
        """Return what there is to know, as plain data."""
        return {
            "id": self._session_id,
            "mode": self._kind,
            "backend_name": self.backend(),
            "max_time": self._max_time,
            "accepting_jobs": self._refusal() is None,
            "num_jobs": self.num_jobs,
            "created": self._created.isoformat(timespec="milliseconds"),
        }

    def close(self) -> None:
        """Accept no new jobs; those that were submitted go on."""
        with self._order:
            self._closed = True
            self._executor.shutdown(wait=False)

    def cancel(self) -> None:
        """Accept no new jobs, and cancel all that have not ended; see `Job.cancel`."""
        self.close()
        # Last first, so that none starts because one before it was cancelled.
        for job in reversed(self.jobs):
            job.cancel()

    def launch(self, make: Callable[[Self], Job]) -> Job:
        """Make a job and queue it, one at a time, so that jobs know what those before them learn.

        Raises:
            ExecutionError: No new jobs are accepted.
        """
        with self._order:
            refusal = self._refusal()
            if refusal:
                raise ExecutionError(f"{self!r}: {refusal}")
            job = make(self)
            self._start(job)
            with self._lock:
                self._first = time.monotonic() if self._first is None else self._first
                self.num_jobs += 1
                self._jobs = [ref for ref in self._jobs if ref() is not None] + [weakref.ref(job)]
        return job

    def _start(self, job: Job) -> None:
        """Run a job as soon as there is a worker for it."""
        job.start(self._executor)

    def _refusal(self) -> str | None:
        """Return why no new jobs are accepted, None if they are."""
        kind = type(self).__name__
        if self._closed:
            return f"is closed; make a new {kind}, or run before its `with` block ends"
        seconds = 0.0 if self._first is None else time.monotonic() - self._first
        if self._max_time is None or seconds <= self._max_time:
            return None
        return f"max_time: {self._max_time} s have passed since its first job; make a new {kind} or raise it"

    def knowing(self, ledger: Ledger) -> Self:
        """Let the jobs to come rely on what others have learned; return the session."""
        self._ledger = ledger
        return self

    def __enter__(self) -> Self:
        _ACTIVE.set((*_ACTIVE.get(), self))
        return self

    def __exit__(self, *error: object) -> None:
        # The last entry of this one; no token, because a generator may leave in another context.
        active = list(_ACTIVE.get())
        if self in active:
            del active[len(active) - 1 - active[::-1].index(self)]
            _ACTIVE.set(tuple(active))
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._session_id} on {self.backend()}>"


class Session(ExecutionMode):
    """Jobs that run one after another, in the order in which they were submitted.

    They share calibrations, as long as the options that they and the backend have at submission are equal. A noise
    model that is changed in place is not seen: set a new one. Jobs with the same fixed seed of the device share
    none, because their shots would repeat those of the calibration. The seed inside of a function cannot be seen:
    give it none, or set ``options.calibration.max_age = 0``.

    Args:
        backend: A `BackendV2`, a `BaseSamplerV2`, or a function of a list of `SamplerPub`.
        max_time: How long new jobs are accepted, from the first one on: seconds, or a string like "2h 30m 40s".

    Raises:
        InputError: `backend` cannot run circuits, or `max_time` is no duration.

    Example:
        >>> with Session(backend=backend) as session:
        ...     estimator = Estimator(mode=session)  # or Estimator()
        ...     jobs = [estimator.run([pub]) for pub in pubs]
        >>> results = [job.result() for job in jobs]
    """

    _kind = "dedicated"

    def __init__(self, backend: Any, max_time: int | str | None = None) -> None:
        super().__init__(backend, max_time, 1)


class Batch(ExecutionMode):
    """Jobs that run at the same time, started in the order in which they were submitted.

    Backends and functions are then called by several threads at once. Calibrations are shared as in a `Session`.

    Args:
        backend: A `BackendV2`, a `BaseSamplerV2`, or a function of a list of `SamplerPub`.
        max_time: How long new jobs are accepted, from the first one on: seconds, or a string like "2h 30m 40s".
        max_workers: Most jobs that run at the same time.

    Raises:
        InputError: `backend` cannot run circuits, `max_time` is no duration, or `max_workers` is not positive.
    """

    _kind = "batch"

    def __init__(self, backend: Any, max_time: int | str | None = None, *, max_workers: int = 4) -> None:
        if isinstance(max_workers, bool) or not isinstance(max_workers, int) or max_workers < 1:
            rule = f"must be a positive integer (got {max_workers!r})"
            raise InputError.of([Problem("max_workers", rule, "leave it out for 4")])
        super().__init__(backend, max_time, max_workers)


def _checked_backend(backend: Any) -> Any:
    fix = "pass a BackendV2, a BaseSamplerV2 or a function of a list of SamplerPub"
    if isinstance(backend, str):
        rule = f"is the name {backend!r}, and quell looks up no names"
        raise InputError.of([Problem("backend", rule, f"{fix}, for instance service.backend({backend!r})")])
    if backend is None or isinstance(backend, ExecutionMode):
        raise InputError.of([Problem("backend", f"cannot run circuits (got {backend!r})", fix)])
    runner_for(backend)
    return backend


def _seconds(duration: int | str | None) -> int | None:
    """Return a duration in seconds.

    Raises:
        InputError: It is none.
    """
    if duration is None:
        return None
    seconds = 0
    if isinstance(duration, str):
        match = _DURATION.fullmatch(duration)
        parts = match.groups(default="0") if match else ()
        seconds = sum(int(n) * unit for n, unit in zip(parts, _SECONDS.values(), strict=bool(match)))
    elif isinstance(duration, int) and not isinstance(duration, bool):
        seconds = duration
    if seconds < 1:
        rule = f"must be a positive number of seconds, or a string like '2h 30m 40s' (got {duration!r})"
        raise InputError.of([Problem("max_time", rule, "leave it out for no limit")])
    return seconds
