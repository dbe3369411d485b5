"""One run of a plan: what is measured, what is taken from other jobs, and what comes out."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..calibration.ledger import Entry
from ..circuits.program import Program
from ..circuits.samples import Samples
from ..errors import CancelledError, ExecutionError
from ..pipeline import Plan, combine, cost, learned, leaves, relearning
from .exchange import Exchange
from .logs import JobLog
from .runner import Chunk, Partial, Progress, Runner


def derived_seed(seed: int | None, number: int) -> int | None:
    """Return a seed for shots that must not be those that `seed` itself gives; None for None."""
    return None if seed is None else int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


class Run:
    """A plan on its way to its results.

    Args:
        plan: What is run.
        runner: Runs its programs.
        seed: Seed of a simulator's shots.
        rng: Draws the experiments for what other jobs should have learned and did not.
        exchange: What is shared with other jobs.
        log: Where to say how it gets on.
        progress: Called with the number of circuits measured and their total.
        limit: Seconds that measuring and waiting may take, None for any number.

    Attributes:
        plan: What is run; it grows when the job has to learn what others should have learned.
        samples: One result per leaf of the plan, once they are measured.
        cancelled: Set it, and the run stops before its next batch.
    """

    def __init__(
        self,
        plan: Plan,
        runner: Runner,
        *,
        seed: int | None,
        rng: np.random.Generator,
        exchange: Exchange,
        log: JobLog,
        progress: Progress | None,
        limit: float | None,
    ) -> None:
        self.plan = plan
        self.samples: list[Samples] | None = None
        self.cancelled = threading.Event()
        self._runner = runner
        self._seed = seed
        self._rng = rng
        self._exchange = exchange
        self._log = log
        self._progress = progress
        self._limit = limit
        self._late = False
        self._started = 0.0

    def execute(self) -> list[Any]:
        """Return what the tasks of the plan combine to.

        Raises:
            CancelledError: It was cancelled or ran out of time; what was measured is in `partial`.
            ExecutionError: The device failed; what was measured is in `partial`.
        """
        self._started = time.monotonic()
        self._log.info(f"started on {self._runner.name}")
        if self._limit is None:
            return self._run()
        timer = threading.Timer(self._limit, self._stop_late)
        timer.daemon = True
        timer.start()
        try:
            return self._run()
        finally:
            timer.cancel()

    @property
    def seconds(self) -> float:
        """Seconds since it started."""
        return time.monotonic() - self._started

    def _stop_late(self) -> None:
        self._late = not self.cancelled.is_set()
        self.cancelled.set()

    def _run(self) -> list[Any]:
        exchange = self._exchange
        self._learn_anew(exchange.unusable())
        samples = self._measure(leaves(self.plan), self._seed)
        self.samples = samples
        known = learned(self.plan, samples)
        exchange.give(known)
        lost = exchange.lost(self.cancelled)
        if lost is None:
            raise self._stopped(Partial(_whole(samples, 0)))
        if lost:
            self.samples = None  # the plan grows
            new = self._learn_anew(lost)
            # Another seed, lest a simulator repeat the shots that the data has.
            extra = self._measure(new, derived_seed(self._seed, 0), samples)
            self.samples = samples = extra + samples
            known = learned(self.plan, samples, known)
            exchange.give(known)
        known.update(exchange.calibrations())
        return combine(self.plan, samples, known)

    def _measure(
        self, programs: list[Program], seed: int | None, before: Sequence[Samples] = ()
    ) -> list[Samples]:
        """Run programs, whose places in the plan are in front of those of the samples measured before."""

        def progress(done: int, total: int) -> None:
            self._log.debug(f"{done} of {total} circuits measured")
            if self._progress is not None:
                self._progress(done, total)

        try:
            return self._runner.run(programs, seed=seed, progress=progress, cancelled=self.cancelled)
        except ExecutionError as error:
            if isinstance(error.partial, Partial):
                error.partial = Partial(error.partial.chunks + _whole(before, len(programs)))
            if isinstance(error, CancelledError) and self._late:
                raise self._stopped(error.partial) from error
            raise

    def _stopped(self, partial: Any) -> CancelledError:
        done = sum(c.stop - c.start for c, _ in partial.chunks) if isinstance(partial, Partial) else 0
        why = f"options.max_execution_time: is {self._limit} s, and they have passed" if self._late else ""
        return CancelledError(
            f"{why or 'the job was cancelled'}; {done} of {cost(self.plan).circuits} circuits were measured, "
            f"they are in .partial{'; raise the limit or ask for fewer circuits' if self._late else ''}",
            partial,
        )

    def _learn_anew(self, entries: Sequence[Entry]) -> list[Program]:
        """Take into the plan what cannot be had from other jobs; return the new programs, first of the plan's."""
        if not entries:
            return []
        for entry in entries:
            why = "ended without" if entry.lost else f"learned it {entry.age():.3g} s ago, which is too long"
            self._log.info(f"learns anew, because job {entry.job_id} {why}: {entry.requirement.describe()}")
        requirements = [entry.requirement for entry in entries]
        before = len(leaves(self.plan))
        self.plan = relearning(self.plan, requirements, self._rng)
        self._exchange.promise(requirements)
        programs = leaves(self.plan)
        return programs[: len(programs) - before]

    def facts(self) -> dict[str, Any]:
        """Return what metadata say about the run."""
        total = cost(self.plan)
        return {
            "circuits": total.circuits,
            "shots": total.shots,
            "calibration_shots": total.calibration_shots,
            "shared_calibrations": self._exchange.facts(self._started),
        }


def _whole(samples: Sequence[Samples], first: int) -> tuple[tuple[Chunk, Samples], ...]:
    """Return the samples of whole programs as chunks; `first` is the place of the first program."""
    return tuple((Chunk(first + i, 0, len(s.shots)), s) for i, s in enumerate(samples))
