"""What runners have in common: the protocol, chunks of programs, what was measured, cancelling."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from attrs import frozen
from qiskit.transpiler import Target

from ..circuits.program import Program
from ..circuits.samples import Samples
from ..errors import ExecutionError

#: Bytes of parameter values rendered at a time; read as `runner.CHUNK_BYTES`, so it can be changed here.
CHUNK_BYTES = 64 * 2**20

Progress = Callable[[int, int], None]


class Runner(Protocol):
    """Runs programs."""

    @property
    def name(self) -> str:
        """What metadata call it."""

    @property
    def target(self) -> Target | None:
        """What the device can do, None if unknown."""

    def run(
        self, programs: Sequence[Program], *, seed: int | None, progress: Progress, cancelled: threading.Event
    ) -> list[Samples]:
        """Return one `Samples` per program, in order."""


@frozen
class Chunk:
    """Members ``start`` to ``stop`` of a program."""

    program: int
    start: int
    stop: int


@frozen(eq=False)
class Partial:
    """What a failed run measured: chunks and their samples."""

    chunks: tuple[tuple[Chunk, Samples], ...]


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

    def samples(self) -> list[Samples]:
        """Return the samples of each program, its chunks joined in order."""
        parts: list[list[tuple[int, Samples]]] = [[] for _ in self._programs]
        for chunk, samples in self.parts:
            parts[chunk.program].append((chunk.start, samples))
        return [Samples.concatenate([s for _, s in sorted(p, key=lambda pair: pair[0])]) for p in parts]


def chunks_of(programs: Sequence[Program], size: Callable[[int], int]) -> Iterator[Chunk]:
    """Cut programs into chunks of at most ``size(index of the program)`` members, at least one."""
    for index, program in enumerate(programs):
        step = max(1, size(index))
        for start in range(0, program.num_members, step):
            yield Chunk(index, start, min(start + step, program.num_members))


def check_cancelled(cancelled: threading.Event) -> None:
    """Raise InterruptedError if the job was cancelled."""
    if cancelled.is_set():
        raise InterruptedError("the job was cancelled")
