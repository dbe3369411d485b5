"""What one job takes from the other jobs of its session, and gives to them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from ..calibration.ledger import Entry, Ledger
from ..plans import Plan
from .runner import settled


class Exchange:
    """A job's dealings with the ledger of its session; without a session the ledger is its own.

    Args:
        ledger: Where jobs say what they learn.
        number: The job's place in the order of submission; it relies on those before it only.
        max_age: Seconds after which calibrations are learned anew; 0 to take none.
        conditions: How its circuits are run.
    """

    def __init__(
        self, ledger: Ledger | None = None, number: int = 0, max_age: float = 0.0, conditions: Any = None
    ) -> None:
        self._ledger = ledger or Ledger()
        self._number = number
        self._max_age = max_age
        self._conditions = conditions
        self._job_id = ""
        #: By what the plan names, which the entry serves; it need not be the same.
        self._taken: dict[Any, Entry] = {}
        self._promised: dict[Any, Entry] = {}

    @property
    def taken(self) -> tuple[Entry, ...]:
        """What the job relies on."""
        return tuple(self._taken.values())

    def offers(self, requirements: Iterable[Any]) -> list[Any]:
        """Return what the job's plan may count on instead of learning what it requires."""
        found = [self._find(requirement) for requirement in requirements]
        self._taken = {entry.requirement: entry for entry in found if entry is not None}
        return list(self._taken)

    def enter(self, job_id: str, plan: Plan) -> None:
        """Take what a job's plan counts on, and promise what its experiments learn."""
        self._job_id = job_id
        self._taken = {r: e for r, e in self._taken.items() if r in plan.shared}
        self.promise(e.requirement for e in plan.experiments)

    def promise(self, requirements: Iterable[Any]) -> None:
        """Say that the job is going to learn something."""
        for requirement in requirements:
            self._promised[requirement] = self._ledger.promise(
                requirement, self._job_id, self._number, self._conditions
            )

    def give(self, known: Mapping[Any, Any]) -> None:
        """Keep the promises that can be kept."""
        for requirement in [r for r in self._promised if r in known]:
            self._ledger.fulfil(self._promised.pop(requirement), known[requirement])

    def withdraw(self) -> None:
        """Take back the promises that were not kept."""
        while self._promised:
            self._promised.popitem()[1].withdraw()

    def missing(self, moment: float, cancelled: threading.Event | None = None) -> dict[Any, Entry] | None:
        """Return, and no longer rely on, what is lost or too old, and who had it, unless another job has it too.

        Args:
            moment: When the job started, on the monotonic clock; ages are those at this moment.
            cancelled: If given, what is still being learned is waited for; None is returned if it is set before.
        """
        missing = {}
        for requirement, first in list(self._taken.items()):
            entry: Entry | None = first
            while entry is not None:
                if cancelled is not None and not settled(entry.outcome, cancelled):
                    return None
                if not entry.lost and entry.age(moment) <= self._max_age:
                    break
                entry = self._find(requirement, moment)
            if entry is None:
                missing[requirement] = self._taken.pop(requirement)
            else:
                self._taken[requirement] = entry
        return missing

    def _find(self, requirement: Any, moment: float | None = None) -> Entry | None:
        entry = self._ledger.find(requirement, self._conditions, self._number, self._max_age, moment)
        if entry is not None:
            self._conditions = entry.conditions  # equal, and one object is compared at once
        return entry

    def calibrations(self) -> dict[Any, Any]:
        """Return what the job relies on, by requirement; it must be there."""
        return {requirement: entry.outcome.result() for requirement, entry in self._taken.items()}

    def facts(self, moment: float) -> list[dict[str, Any]]:
        """Return what the job relies on as plain data: what, which job learned it, its age at a moment in seconds."""
        return [
            {"what": e.requirement.describe(), "job_id": e.job_id, "age": e.age(moment)} for e in self.taken
        ]
