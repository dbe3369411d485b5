"""What the jobs of a session have learned or are about to learn, and may take from each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from copy import copy
from itertools import takewhile
from typing import Any, Self

from ..options.group import same
from .requirements import Requirement


class Entry:
    """A calibration that one job learns, perhaps has not yet learned.

    Attributes:
        requirement: What is learned, and with which effort.
        job_id: The job that learns it, or "store:" and the beginning of a record's key,
        number: and its place in the order of submission.
        conditions: How its circuits are run; what is learned holds under equal conditions only.
        outcome: What was learned, once it is; cancelled if the job ended without.
        record: Key of the record that it was read from; empty if a job of the session learns it.
        at_any_age: Whether it is used however old it is.
    """

    def __init__(self, requirement: Requirement, job_id: str, number: int, conditions: Any) -> None:
        self.requirement = requirement
        self.job_id = job_id
        self.number = number
        self.conditions = conditions
        self.outcome: Future[Any] = Future()
        self.record = ""
        self.at_any_age = False
        self._measured = 0.0

    @classmethod
    def of_record(
        cls, requirement: Requirement, calibration: Any, key: str, age: float, conditions: Any
    ) -> Self:
        """Return the entry of what a store has; its age is that of the record."""
        entry = cls(requirement, f"store:{key[:12]}", -1, conditions)
        entry.record = key
        entry.fulfil(calibration, age)
        return entry

    def fulfil(self, calibration: Any, age: float = 0.0) -> None:
        """Keep the outcome; its age in seconds counts from now."""
        self._measured = time.monotonic() - age
        self.outcome.set_result(calibration)

    @property
    def origin(self) -> str:
        """Where it comes from, for messages."""
        return f"record {self.record[:12]} of the store" if self.record else f"job {self.job_id}"

    def withdraw(self) -> None:
        """Say that there will be no outcome; does nothing if there is one."""
        self.outcome.cancel()

    def replaces(self, requirement: Requirement, conditions: Any) -> bool:
        """Return whether what is learned serves a requirement, and holds under some conditions."""
        # Conditions last: comparing noise models takes long.
        return self.requirement.serves(requirement) and same(self.conditions, conditions)

    @property
    def lost(self) -> bool:
        """Whether the job that was to learn it ended without."""
        return self.outcome.cancelled()

    def age(self, moment: float | None = None) -> float:
        """Return its age in seconds at a `moment` of the monotonic clock, now by default; 0 if not yet learned."""
        if not self.outcome.done():
            return 0.0
        return max(0.0, (time.monotonic() if moment is None else moment) - self._measured)


class Ledger:
    """The entries of one session that may still be of use, in the order in which they were made."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._oldest = 0.0
        self._lock = threading.Lock()

    def find(
        self,
        requirement: Requirement,
        conditions: Any,
        number: int,
        max_age: float,
        moment: float | None = None,
    ) -> Entry | None:
        """Return the newest entry that a job may rely on, learned or still awaited; None if there is none.

        Only what jobs submitted before it learn is looked at: none of these can wait for the job itself, and
        the same sequence of jobs gives the same results. Entries that are older than any job accepts go.

        Args:
            requirement: What the job must know.
            conditions: How it runs its circuits.
            number: Its place in the order of submission.
            max_age: Oldest age in seconds; 0 for nothing at all.
            moment: When the age counts, on the monotonic clock; now by default.
        """
        if max_age <= 0:
            return None
        with self._lock:
            self._oldest = max(self._oldest, max_age)
            self._entries = [e for e in self._entries if not e.lost and e.age(moment) <= self._oldest]
            entries = self._entries[::-1]
        for entry in entries:
            recent = entry.number < number and entry.age(moment) <= max_age
            if recent and entry.replaces(requirement, conditions):
                return entry
        return None

    def copied(self, keep: Callable[[Requirement], bool] = lambda requirement: True) -> Self:
        """Return a ledger of its own that starts with what was learned for the requirements to `keep`."""
        other = type(self)()
        with self._lock:
            entries = list(self._entries)
        for entry in entries:
            if entry.outcome.done() and not entry.lost and keep(entry.requirement):
                own = copy(entry)
                own.number = -1  # before any job
                other._entries.append(own)
        return other

    def take(self, other: Ledger) -> None:
        """Add what another ledger has learned, next to what is there."""
        learned = other.copied()._entries
        with self._lock:
            self._entries += learned

    def promise(self, requirement: Requirement, job_id: str, number: int, conditions: Any) -> Entry:
        """Enter what a job is going to learn."""
        entry = Entry(requirement, job_id, number, conditions)
        with self._lock:
            self._entries.append(entry)
        return entry

    def fulfil(self, entry: Entry, calibration: Any) -> None:
        """Keep what was learned, and drop the entries before it that it can take the place of."""
        entry.fulfil(calibration)
        with self._lock:
            before = list(takewhile(lambda e: e is not entry, self._entries))
        useless = [e for e in before if entry.replaces(e.requirement, e.conditions)]
        with self._lock:
            self._entries = [e for e in self._entries if e not in useless]
