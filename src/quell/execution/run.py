"""One run of a plan: what is measured, what is taken from other jobs, and what comes out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import numpy as np
from attrs import evolve

from ..calibration.ledger import Entry
from ..circuits.program import Program
from ..circuits.samples import Samples
from ..errors import CancelledError, ExecutionError, QuellError
from ..pipeline import Plan, combine, completed, cost, deferred, learned, leaves, relearning
from .exchange import Exchange
from .logs import JobLog
from .runner import Chunk, Partial, Progress, Runner

Refine = Callable[[Plan, list[Any], np.random.Generator, Mapping[Any, Any]], Plan | None]


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
        refine: Asked once, with what the tasks combine to and what is known, for the plan grown by what is missing;
            None for nothing.

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
        refine: Refine | None = None,
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
        self._refine = refine
        self._known: dict[Any, Any] = {}
        self._complete = False
        self._late = False
        self._started = self._ended = 0.0
        self._parts = {"prepare": 0.0, "execute": 0.0, "combine": 0.0}
        self._date = ""

    def execute(self) -> list[Any]:
        """Return what the tasks of the plan combine to.

        Raises:
            CancelledError: It was cancelled or ran out of time; what was measured is in `partial`.
            ExecutionError: The device failed, or what it measured is good for nothing; it is in `partial`.
        """
        self._started = time.monotonic()
        self._log.info(f"started on {self._runner.name}")
        try:
            return self._limited()
        finally:
            self._ended = time.monotonic()
            self._date = datetime.now().astimezone().isoformat(timespec="seconds")

    def _limited(self) -> list[Any]:
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
        """Seconds since it started, until it ended."""
        return (self._ended or time.monotonic()) - self._started

    def _stop_late(self) -> None:
        self._late = not self.cancelled.is_set()
        self.cancelled.set()

    def _run(self) -> list[Any]:
        had: dict[int, Samples] = {}
        self._learn_anew(self._exchange.missing(self._started) or {})
        while True:
            with self._timed("execute"):
                self.samples = samples = self._measured(had)
            had = {id(p): s for p, s in zip(leaves(self.plan), samples, strict=True)}
            with self._timed("combine"):
                known = learned(self.plan, samples, self._known)
            self._exchange.give(known)
            missing = self._exchange.missing(self._started, self.cancelled)
            if missing is None:
                raise self._stopped(Partial(_whole(dict(enumerate(samples)))))
            if missing:
                self.samples = None  # the plan grows
                self._learn_anew(missing)
                continue
            self._known = {**known, **self._exchange.calibrations()}
            if deferred(self.plan):
                try:
                    with self._timed("prepare"):
                        self.plan, self.samples = completed(self.plan, self._known), None
                except QuellError as error:  # what was learned makes it impossible, or too expensive
                    partial = Partial(_whole(dict(enumerate(samples))))
                    text = f"{error}; what was measured to learn this is in .partial"
                    raise ExecutionError(text, partial) from error
                total = cost(self.plan)
                self._log.info(
                    f"planned with what was learned: {total.circuits} circuits, {total.shots} shots"
                )
                continue
            self._complete = True
            try:
                with self._timed("combine"):
                    combined = combine(self.plan, samples, self._known)
            except ExecutionError as error:  # of what was measured; that is kept
                error.partial = Partial(_whole(dict(enumerate(samples))))
                raise
            with self._timed("prepare"):
                grown = self._second_round(combined)
            if grown is None:
                return combined
            self._complete = False
            self.plan, self.samples = grown, None
            self._log.info(f"a second round: the plan has grown to {cost(grown).shots} shots")

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        """Add the time that something takes to a part of the run's."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._parts[part] += time.monotonic() - start

    def _second_round(self, combined: list[Any]) -> Plan | None:
        """Return the plan grown by a second round, None if there is none or it cannot be planned."""
        refine, self._refine = self._refine, None
        try:
            return None if refine is None else refine(self.plan, combined, self._rng, self._known)
        except QuellError as error:  # the first round has a result
            self._log.warning(f"there is no second round: {error}")
            return None

    @property
    def is_combinable(self) -> bool:
        """Whether everything is measured that the plan needs."""
        return self.samples is not None and self._complete

    def combined(self, plan: Plan) -> list[Any]:
        """Return what the same samples combine to by other stages; `plan` is the run's but for these."""
        assert self.samples is not None, "only what ended well is combined again"
        return combine(plan, self.samples, self._known)

    def _measured(self, had: Mapping[int, Samples]) -> list[Samples]:
        """Return one result per leaf of the plan: those that are there already, by program, and new ones."""
        programs = leaves(self.plan)
        places = [i for i, p in enumerate(programs) if id(p) not in had]
        before = {i: had[id(p)] for i, p in enumerate(programs) if id(p) in had}
        new = self._measure([programs[i] for i in places], places, before)
        found = {**before, **dict(zip(places, new, strict=True))}
        return [found[i] for i in range(len(programs))]

    def _measure(
        self, programs: list[Program], places: Sequence[int], before: Mapping[int, Samples]
    ) -> list[Samples]:
        """Run programs that have these places in the plan; `before` are the samples of the other places."""

        def progress(done: int, total: int) -> None:
            self._log.debug(f"{done} of {total} circuits measured")
            if self._progress is not None:
                try:
                    self._progress(done, total)
                except Exception as error:  # not the device's: what it measures must not be lost for it
                    self._progress = None
                    why = f"it raised {type(error).__name__}: {error}"
                    self._log.warning(f"progress: is not called any more, because {why}")

        try:
            return self._runner.run(programs, seed=self._seed, progress=progress, cancelled=self.cancelled)
        except ExecutionError as error:
            chunks = tuple((evolve(c, program=places[c.program]), s) for c, s in error.partial.chunks)
            error.partial = Partial(chunks + _whole(before))
            self._keep_calibrations(error.partial)
            if isinstance(error, CancelledError):
                raise self._stopped(error.partial) from None
            raise

    def _keep_calibrations(self, partial: Partial) -> None:
        """Give other jobs what was learned before the data failed."""
        experiments = Plan(self.plan.experiments, ())
        samples = partial.samples(leaves(experiments))
        if samples is not None:
            with suppress(Exception):  # what stopped the run is to be reported
                self._exchange.give(learned(experiments, samples))

    def _stopped(self, partial: Partial) -> CancelledError:
        done = sum(c.stop - c.start for c, _ in partial.chunks)
        why = f"options.max_execution_time: is {self._limit} s, and they have passed" if self._late else ""
        return CancelledError(
            f"{why or 'the job was cancelled'}; {done} of {cost(self.plan).circuits} circuits were measured, "
            f"they are in .partial{'; raise the limit or ask for fewer circuits' if self._late else ''}",
            partial,
        )

    def _learn_anew(self, missing: Mapping[Any, Entry]) -> None:
        """Take into the plan what cannot be had from other jobs."""
        for requirement, entry in missing.items():
            why = "ended without" if entry.lost else f"learned it {entry.age():.3g} s ago, which is too long"
            self._log.info(f"learns anew, because {entry.origin} {why}: {requirement.describe()}")
        self.plan = relearning(self.plan, missing, self._rng)
        self._exchange.promise(missing)

    def facts(self) -> dict[str, Any]:
        """Return what metadata say about the run."""
        total = cost(self.plan)
        return {
            "circuits": total.circuits,
            "shots": total.shots,
            "calibration_shots": total.calibration_shots,
            "time_taken": self.seconds,
            "seconds": dict(self._parts),
            "date": self._date,
            "shared_calibrations": self._exchange.facts(self._started),
        }


def _whole(samples: Mapping[int, Samples]) -> tuple[tuple[Chunk, Samples], ...]:
    """Return the samples of whole programs, by their places, as chunks."""
    return tuple((Chunk(place, 0, len(s.shots)), s) for place, s in samples.items())
