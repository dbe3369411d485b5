"""What the jobs of a session have learned or are about to learn, and may take from each other."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

from ..errors import CalibrationError
from .requirements import Requirement


class Entry:
    """A calibration that one job learns, perhaps has not yet learned.

    Attributes:
        requirement: What is learned, and with which effort.
        job_id: The job that learns it.
        conditions: How its circuits are run; what is learned holds under equal conditions only.
    """

    def __init__(self, requirement: Requirement, job_id: str, conditions: Any) -> None:
        self.requirement = requirement
        self.job_id = job_id
        self.conditions = conditions
        self._outcome: Future[Any] = Future()
        self._measured = 0.0

    def fulfil(self, calibration: Any) -> None:
        """Keep the outcome; its age counts from now."""
        self._measured = time.monotonic()
        self._outcome.set_result(calibration)

    def withdraw(self) -> None:
        """Say that there will be no outcome; does nothing if there is one."""
        with suppress(InvalidStateError):
            self._outcome.set_exception(CalibrationError(f"job {self.job_id} ended without learning it"))

    @property
    def lost(self) -> bool:
        """Whether the job that was to learn it ended without."""
        return self._outcome.done() and self._outcome.exception() is not None

    def age(self, moment: float | None = None) -> float:
        """Return its age in seconds at a `moment` of the monotonic clock, now by default; 0 if not yet learned."""
        if not self._outcome.done():
            return 0.0
        return max(0.0, (time.monotonic() if moment is None else moment) - self._measured)

    def wait(self, seconds: float) -> bool:
        """Wait at most some seconds; return whether it is decided: learned or lost."""
        with suppress(TimeoutError):
            self._outcome.exception(seconds)
        return self._outcome.done()

    def calibration(self) -> Any:
        """Return what was learned.

        Raises:
            CalibrationError: The job that was to learn it ended without.
        """
        return self._outcome.result()


class Ledger:
    """The entries of one session, in the order in which its jobs were submitted."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def offers(self, conditions: Any, max_age: float) -> list[Entry]:
        """Return what a new job may rely on, latest first: learned or still awaited, and not too old.

        Of entries for equal requirements the one with most effort is returned, and the latest of these.

        Args:
            conditions: How the new job runs its circuits.
            max_age: Oldest age in seconds; 0 for nothing at all.
        """
        if max_age <= 0:
            return []
        with self._lock:
            entries = self._entries[::-1]
        best: dict[Requirement, Entry] = {}
        for entry in entries:
            if entry.lost or entry.age() > max_age or not _equal(entry.conditions, conditions):
                continue
            later = best.get(entry.requirement)
            if later is None or not later.requirement.serves(entry.requirement):
                best[entry.requirement] = entry
        return list(best.values())

    def promise(self, requirement: Requirement, job_id: str, conditions: Any) -> Entry:
        """Enter what a job is going to learn."""
        entry = Entry(requirement, job_id, conditions)
        with self._lock:
            self._entries.append(entry)
        return entry


def _equal(one: Any, other: Any) -> bool:
    """Return whether conditions are equal; those that cannot be compared, arrays for instance, are not."""
    try:
        return one is other or bool(one == other)
    except Exception:
        return False
