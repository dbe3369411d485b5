"""What one job takes from the other jobs of its session and from a store, and gives to them."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, Literal

from ..calibration.ledger import Entry, Ledger
from ..calibration.plain import digest
from ..errors import CalibrationError, Problem
from ..plans import Plan, programs_of
from .runner import settled

if TYPE_CHECKING:
    from ..calibration.store import CalibrationStore

WhenOld = Literal["relearn", "warn", "refuse"]

_UNNAMED: Final = (
    "options.calibration.store: is not used, because the options of the run or of the backend hold objects that "
    "cannot be told apart in another process; give them as plain values or noise models"
)
_NO_DEVICE: Final = (
    "options.calibration.store: is not used, because functions and samplers do not say on what device they run; "
    "open the store with its name, CalibrationStore(path, device=...)"
)


class Exchange:
    """A job's dealings with the ledger of its session and with a store; without a session the ledger is its own.

    What a store has is there already, so it is taken at its true age, and what the job learns is given to both. Records
    are found by a digest of the conditions: where something in these has no name that holds in another process, nothing
    is taken from the store or given to it, and `notes` says so.

    Args:
        ledger: Where jobs say what they learn.
        number: The job's place in the order of submission; it relies on those before it only.
        max_age: Seconds after which calibrations are learned anew; 0 to take none.
        conditions: How its circuits are run.
        store: Where calibrations are kept; None for nowhere.
        backend_name: Name of the backend; None for what has none that tells it apart, as functions and samplers. What
            the store calls its device wins.
        when_old: What happens where all that the store has is older than `max_age`.
    """

    def __init__(
        self,
        ledger: Ledger | None = None,
        number: int = 0,
        max_age: float = 0.0,
        conditions: Any = None,
        *,
        store: CalibrationStore | None = None,
        backend_name: str | None = None,
        when_old: WhenOld = "relearn",
    ) -> None:
        self._ledger = ledger or Ledger()
        self._number = number
        self._max_age = max_age
        self._conditions = conditions
        self._job_id = ""
        #: By what the plan names, which the entry serves; it need not be the same.
        self._taken: dict[Any, Entry] = {}
        self._promised: dict[Any, Entry] = {}
        self._shots: dict[Any, int] = {}
        self._store = store
        self._backend_name = ""
        self._when_old = when_old
        self._notes: list[str] = []
        self._digest: str | None = None
        if store is not None:
            self._digest = digest(conditions)
            self._backend_name = store.device or backend_name or ""
            if not self._backend_name or self._digest is None:
                self._store = None
                self._notes.append(_UNNAMED if self._digest is None else _NO_DEVICE)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the job's log should say of it."""
        return tuple(self._notes)

    @property
    def taken(self) -> tuple[Entry, ...]:
        """What the job relies on."""
        return tuple(self._taken.values())

    def offers(self, requirements: Iterable[Any]) -> list[Any]:
        """Return what the job's plan may count on instead of learning what it requires.

        Raises:
            CalibrationError: The store cannot be used, or has what is too old only, and this is to be refused.
        """
        found, problems = [], []
        for requirement in requirements:
            try:
                found.append(self._find(requirement))
            except CalibrationError as error:
                problems += [p for p in error.problems if p not in problems]
        CalibrationError.check(problems)
        offered = {entry.requirement: entry for entry in found if entry is not None}
        self._taken |= offered
        return list(offered)

    def known(self) -> dict[Any, Any]:
        """Return what of this has been learned by now, by requirement."""
        return {r: e.outcome.result() for r, e in self._taken.items() if _is_there(e.outcome)}

    def enter(self, job_id: str, plan: Plan) -> None:
        """Take what a job's plan counts on, and promise what its experiments learn."""
        self._job_id = job_id
        self._taken = {r: e for r, e in self._taken.items() if r in plan.shared}
        self._shots = {
            e.requirement: sum(p.num_members * p.shots for p in programs_of(e)) for e in plan.experiments
        }
        self.promise(e.requirement for e in plan.experiments)

    def promise(self, requirements: Iterable[Any]) -> None:
        """Say that the job is going to learn something."""
        for requirement in requirements:
            self._promised[requirement] = self._ledger.promise(
                requirement, self._job_id, self._number, self._conditions
            )

    def give(self, known: Mapping[Any, Any]) -> None:
        """Keep the promises that can be kept, and write down what was learned."""
        for requirement in [r for r in self._promised if r in known]:
            self._ledger.fulfil(self._promised.pop(requirement), known[requirement])
            self._write(requirement, known[requirement])

    def withdraw(self) -> None:
        """Take back the promises that were not kept."""
        while self._promised:
            self._promised.popitem()[1].withdraw()

    def missing(self, moment: float, cancelled: threading.Event | None = None) -> dict[Any, Entry] | None:
        """Return, and no longer rely on, what is lost or too old, and who had it, unless it can be had elsewhere.

        Args:
            moment: When the job started, on the monotonic clock; ages are those at this moment.
            cancelled: If given, what is still being learned is waited for; None is returned if it is set before.

        Raises:
            CalibrationError: `cancelled` is not given, so nothing has been measured yet, and the store refuses.
        """
        missing = {}
        for requirement, first in list(self._taken.items()):
            entry: Entry | None = first
            while entry is not None:
                if cancelled is not None and not settled(entry.outcome, cancelled):
                    return None
                if not entry.lost and (entry.at_any_age or entry.age(moment) <= self._max_age):
                    break
                try:
                    entry = self._find(requirement, moment)
                except CalibrationError as error:
                    if cancelled is None:
                        raise
                    self._say(str(error))  # what was measured must not be lost for it
                    entry = None
            if entry is None:
                missing[requirement] = self._taken.pop(requirement)
            else:
                self._taken[requirement] = entry
        return missing

    def _find(self, requirement: Any, moment: float | None = None) -> Entry | None:
        entry = self._ledger.find(requirement, self._conditions, self._number, self._max_age, moment)
        if entry is None:
            return self._stored(requirement, moment)
        self._conditions = entry.conditions  # equal, and one object is compared at once
        return entry

    def calibrations(self) -> dict[Any, Any]:
        """Return what the job relies on, by requirement; it must be there."""
        return {requirement: entry.outcome.result() for requirement, entry in self._taken.items()}

    def facts(self, moment: float) -> list[dict[str, Any]]:
        """Return what the job relies on as plain data: what, which job learned it, its age at a moment in seconds.

        What is from a store has ``"store:"`` and the beginning of the record's key for a job, and the key as "record".
        """
        return [
            {
                "what": e.requirement.describe(),
                "job_id": e.job_id,
                "age": e.age(moment),
                **({"record": e.record} if e.record else {}),
            }
            for e in self.taken
        ]

    # --- the store ------------------------------------------------------------------------------

    def _stored(self, requirement: Any, moment: float | None) -> Entry | None:
        """Return the newest that the store has, None if there is nothing that may be used.

        Raises:
            CalibrationError: It cannot be used, or is too old and to be refused.
        """
        if self._store is None or self._max_age <= 0:
            return None
        record = self._store.find(requirement, self._backend_name, self._digest or "")
        if record is None:
            return None
        entry = Entry.of_record(
            record.requirement, record.calibration, record.key, record.age, self._conditions
        )
        age = entry.age(moment)
        if age <= self._max_age:
            return entry
        rule = (
            f"is {self._max_age:g} s, and the newest calibration in {self._store.path} is {age:.0f} s old: "
            f"{requirement.describe()}"
        )
        if self._when_old == "refuse":
            fix = "raise it, calibrate again, or set options.calibration.when_old to 'relearn'"
            raise CalibrationError.of([Problem("options.calibration.max_age", rule, fix)])
        if self._when_old == "relearn":
            return None
        self._say(f"options.calibration.max_age: {rule}; it is used all the same")
        entry.at_any_age = True
        return entry

    def _write(self, requirement: Any, calibration: Any) -> None:
        """Give the store what was learned; a failure is no reason to lose what was measured."""
        if self._store is None or self._digest is None:
            return
        try:
            self._store.add(
                requirement, calibration, self._backend_name, self._digest, self._shots.get(requirement)
            )
        except CalibrationError as error:
            self._say(f"what was learned is not kept: {error}")

    def _say(self, text: str) -> None:
        self._notes.append(text)
        warnings.warn(text, UserWarning, stacklevel=3)


def _is_there(outcome: Future[Any]) -> bool:
    return outcome.done() and not outcome.cancelled() and outcome.exception() is None
