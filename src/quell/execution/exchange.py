"""What one job takes from the other jobs of its session, and gives to them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ..calibration.ledger import Entry, Ledger
from ..plans import Plan

#: Seconds after which a job that waits for another one's calibration sees that it was cancelled.
_PATIENCE: Final = 0.05


class Exchange:
    """A job's dealings with the ledger of its session; without a session the ledger is its own.

    Args:
        ledger: Where jobs say what they learn.
        offers: What the job may rely on; the entries that its plan counts on are taken.
        max_age: Seconds after which these are learned anew.
        conditions: How its circuits are run.
    """

    def __init__(
        self,
        ledger: Ledger | None = None,
        offers: Sequence[Entry] = (),
        max_age: float = 0.0,
        conditions: Any = None,
    ) -> None:
        self._ledger = ledger or Ledger()
        self._offers = offers
        self._max_age = max_age
        self._conditions = conditions
        self._job_id = ""
        self._taken: dict[Any, Entry] = {}
        self._promised: dict[Any, Entry] = {}

    @property
    def taken(self) -> tuple[Entry, ...]:
        """What the job relies on."""
        return tuple(self._taken.values())

    def enter(self, job_id: str, plan: Plan) -> None:
        """Take what a job's plan counts on, and promise what its experiments learn."""
        self._job_id = job_id
        self._taken = {e.requirement: e for e in self._offers if e.requirement in plan.shared}
        self.promise(e.requirement for e in plan.experiments)

    def promise(self, requirements: Iterable[Any]) -> None:
        """Say that the job is going to learn something."""
        for requirement in requirements:
            self._promised[requirement] = self._ledger.promise(requirement, self._job_id, self._conditions)

    def give(self, known: Mapping[Any, Any]) -> None:
        """Keep the promises that can be kept."""
        for requirement in [r for r in self._promised if r in known]:
            self._promised.pop(requirement).fulfil(known[requirement])

    def withdraw(self) -> None:
        """Take back the promises that were not kept."""
        while self._promised:
            self._promised.popitem()[1].withdraw()

    def unusable(self) -> list[Entry]:
        """Return, and no longer rely on, what another job ended without or learned too long ago."""
        return self._drop(e for e in self.taken if e.lost or e.age() > self._max_age)

    def lost(self, cancelled: threading.Event) -> list[Entry] | None:
        """Wait for what others learn; return, and no longer rely on, what they ended without; None if cancelled."""
        for entry in self.taken:
            while not entry.wait(_PATIENCE):
                if cancelled.is_set():
                    return None
        return self._drop(e for e in self.taken if e.lost)

    def _drop(self, entries: Iterable[Entry]) -> list[Entry]:
        return [self._taken.pop(entry.requirement) for entry in list(entries)]

    def calibrations(self) -> dict[Any, Any]:
        """Return what the job relies on, by requirement; it must be there."""
        return {requirement: entry.calibration() for requirement, entry in self._taken.items()}

    def facts(self, moment: float) -> list[dict[str, Any]]:
        """Return what the job relies on as plain data: what, which job learned it, its age at a moment in seconds."""
        return [
            {"what": e.requirement.describe(), "job_id": e.job_id, "age": e.age(moment)} for e in self.taken
        ]
