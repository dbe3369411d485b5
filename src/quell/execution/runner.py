"""What runners have in common: the protocol, chunks of programs, what was measured, cancelling."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError as FutureCancelled
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, Protocol

import numpy as np
from attrs import frozen
from qiskit.transpiler import Target

from ..circuits.program import Program
from ..circuits.samples import Samples
from ..errors import CancelledError, ExecutionError

#: Bytes of parameter values rendered at a time; read as `runner.CHUNK_BYTES`, so it can be changed here.
CHUNK_BYTES = 64 * 2**20
#: Seconds after which a job that waits sees that it was cancelled.
_PATIENCE: Final = 0.05

Progress = Callable[[int, int], None]


class Runner(Protocol):
    """Runs programs."""

    @property
    def name(self) -> str:
        """What metadata call it."""

    @property
    def target(self) -> Target | None:
        """What the device can do, None if unknown."""

    @property
    def checked_target(self) -> Target | None:
        """What circuits must fit, None if nothing is known to bind: simulators run more than they list."""

    def run(
        self, programs: Sequence[Program], *, seed: int | None, progress: Progress, cancelled: threading.Event
    ) -> list[Samples]:
        """Return one `Samples` per program, in order.

        Raises:
            CancelledError: `cancelled` was set before everything was measured; what was measured is in its
                ``partial``.
            ExecutionError: The device failed; what was measured is in its ``partial``.
        """


@frozen
class Chunk:
    """Members ``start`` to ``stop`` of a program."""

    program: int
    start: int
    stop: int


@frozen(eq=False)
class Partial:
    """What a failed or cancelled run measured: chunks and their samples."""

    chunks: tuple[tuple[Chunk, Samples], ...]

    def samples(self, programs: Sequence[Program]) -> list[Samples] | None:
        """Return the samples of the run's first `programs`, their chunks joined; None if they are not complete."""
        parts: list[list[tuple[int, Samples]]] = [[] for _ in programs]
        for chunk, samples in self.chunks:
            if chunk.program < len(programs):
                parts[chunk.program].append((chunk.start, samples))
        if any(sum(len(s.shots) for _, s in p) < q.num_members for p, q in zip(parts, programs, strict=True)):
            return None
        return [Samples.concatenate([s for _, s in sorted(p, key=lambda pair: pair[0])]) for p in parts]


class Collector:
    """Samples of chunks on their way to becoming samples of programs."""

    def __init__(self, programs: Sequence[Program], progress: Progress) -> None:
        self.parts: list[tuple[Chunk, Samples]] = []
        self._programs = programs
        self._progress = progress
        self._total = sum(p.num_members for p in programs)

    @property
    def done(self) -> int:
        """Number of circuits measured."""
        return sum(chunk.stop - chunk.start for chunk, _ in self.parts)

    def add(self, chunk: Chunk, samples: Samples) -> None:
        """Keep the samples of a chunk and report progress."""
        self.parts.append((chunk, samples))
        self._progress(self.done, self._total)

    def fail(self, error: BaseException) -> ExecutionError:
        """Return the error to raise from `error`, with what was measured."""
        return ExecutionError(
            f"the device failed after {self.done} of {self._total} circuits: {type(error).__name__}: {error}; "
            "what was measured is in .partial",
            Partial(tuple(self.parts)),
        )

    def cancel(self) -> CancelledError:
        """Return the error to raise when cancelled, with what was measured."""
        return CancelledError("cancelled; what was measured is in .partial", Partial(tuple(self.parts)))

    @property
    def complete(self) -> bool:
        """Whether everything was measured."""
        return self.done == self._total

    def samples(self) -> list[Samples]:
        """Return the samples of each program, its chunks joined in order."""
        samples = Partial(tuple(self.parts)).samples(self._programs)
        assert samples is not None, "only complete runs are read"
        return samples


def derived_seed(seed: int, number: int) -> int:
    """Return a seed for shots that must not be those that `seed` itself gives."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0] >> 1)


def settled(future: Future[Any], cancelled: threading.Event) -> bool:
    """Wait until a future has an outcome; return whether it has one, which it may not if `cancelled` is set."""
    while not future.done():
        if cancelled.is_set():
            return False
        with suppress(TimeoutError, FutureCancelled):
            future.exception(_PATIENCE)
    return True


def result_of(job: Any, cancelled: threading.Event) -> Any | None:
    """Wait for ``job.result()``. If `cancelled` is set before, cancel the job and return None.

    A job that has ended by then is read all the same: what was measured is not lost. The waiting is done on a
    thread of its own, so that a job that is queued for hours can be left at once.
    """
    if cancelled.is_set():
        return _rescued(job)
    answer: Future[Any] = Future()

    def work() -> None:
        try:
            answer.set_result(job.result())
        except BaseException as error:  # raised to who waits
            answer.set_exception(error)

    threading.Thread(target=work, name="quell-result", daemon=True).start()
    return answer.result() if settled(answer, cancelled) else _rescued(job)


def _rescued(job: Any) -> Any | None:
    if not _has_result(job):
        with suppress(Exception):  # a job that cannot be cancelled just ends
            job.cancel()
    if _has_result(job):
        with suppress(Exception):  # cancelling is what is reported, not how a job failed
            return job.result()
    return None


def _has_result(job: Any) -> bool:
    """Return whether the result is there to be read; a job that cannot say is taken to have none."""
    with suppress(Exception):
        return bool(job.done())
    return False
