"""Run programs with a `BaseSamplerV2`, or a function like its ``run``, and read the results of PUBs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import define
from qiskit.primitives import BaseSamplerV2, BitArray, DataBin, PubResult
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.transpiler import Target

from ..circuits.parametric import ParametricForm
from ..circuits.program import Program
from ..circuits.samples import Samples
from . import runner
from .runner import Chunk, Collector, Progress, result_of
from .simulated import innermost, is_aer

SamplerFunction = Callable[[list[SamplerPub]], Sequence[Any]]


@define
class CallableRunner:
    """Runs programs through a function that takes a list of PUBs and returns one result each."""

    function: Callable[[list[SamplerPub]], Any]
    name: str = "callable"
    target: Target | None = None
    checked_target: Target | None = None
    #: Whether every run gives the same shots again, as far as one can tell.
    repeats: bool = False

    def run(
        self, programs: Sequence[Program], *, seed: int | None, progress: Progress, cancelled: threading.Event
    ) -> list[Samples]:
        """Run programs, all chunks that fit in memory at once in one call; see `Runner`."""
        collector = Collector(programs, progress)
        forms: dict[int, ParametricForm] = {}
        try:
            for batch in self._batches(programs):
                if cancelled.is_set() or not self._call(batch, programs, forms, collector, cancelled):
                    break
        except Exception as error:
            raise collector.fail(error) from error
        if not collector.complete:
            raise collector.cancel()
        return collector.samples()

    def _batches(self, programs: Sequence[Program]) -> Iterator[list[Chunk]]:
        """Cut programs into calls whose parameter values fit in memory."""
        batch: list[Chunk] = []
        room = runner.CHUNK_BYTES
        for index, program in enumerate(programs):
            size = 8 * 3 * max(1, len(program.touched_indices))  # three angles a dressing
            start = 0
            while start < program.num_members:
                fits = max(room // size, 0 if batch else 1)
                if fits < 1:
                    yield batch
                    batch, room = [], runner.CHUNK_BYTES
                    continue
                stop = min(program.num_members, start + fits)
                batch.append(Chunk(index, start, stop))
                room -= (stop - start) * size
                start = stop
        if batch:
            yield batch

    def _call(
        self,
        batch: list[Chunk],
        programs: Sequence[Program],
        forms: dict[int, ParametricForm],
        collector: Collector,
        cancelled: threading.Event,
    ) -> bool:
        """Run a batch; return whether there are results, else the run was cancelled."""
        pubs = []
        for chunk in batch:
            if chunk.program not in forms:
                forms[chunk.program] = ParametricForm(programs[chunk.program])
            pubs.append(forms[chunk.program].pub(chunk.start, chunk.stop))
        results = self._results(pubs, cancelled)
        if results is None and cancelled.is_set():
            return False
        if len(results) != len(pubs):
            raise RuntimeError(f"{len(pubs)} PUBs were given, {len(results)} results came back")
        for chunk, pub, result in zip(batch, pubs, results, strict=True):
            collector.add(chunk, _samples_of_pub(result, pub))
        return True

    def _results(self, pubs: list[SamplerPub], cancelled: threading.Event) -> Any:
        """Return one result per PUB. A function cannot be stopped; what it returns is kept."""
        return self.function(pubs)


class SamplerRunner(CallableRunner):
    """Runs programs through a `BaseSamplerV2`."""

    def __init__(self, sampler: BaseSamplerV2) -> None:
        backend = innermost(sampler)
        target = getattr(backend, "target", None)
        target = target if isinstance(target, Target) else None
        checked = None if is_aer(backend) else target
        super().__init__(
            sampler.run, type(sampler).__name__, target, checked, _has_fixed_seed(sampler, backend)
        )

    def _results(self, pubs: list[SamplerPub], cancelled: threading.Event) -> Any:
        """Return one result per PUB, None if the job was cancelled before it had any."""
        return result_of(self.function(pubs), cancelled)


def _has_fixed_seed(sampler: BaseSamplerV2, backend: Any) -> bool:
    """Return whether a sampler or what is in it has a number for a seed; generators go on where they were."""
    options = (getattr(owner, "options", None) for owner in (sampler, backend))
    seeds = [getattr(sampler, "seed", None), *(getattr(o, "seed_simulator", None) for o in options)]
    return any(isinstance(seed, (int, np.integer)) for seed in seeds)


def _samples_of_pub(result: Any, pub: SamplerPub) -> Samples:
    """Read a `PubResult`, a `DataBin` or a mapping from register name to `BitArray`."""
    data = result.data if isinstance(result, PubResult) else result
    members = int(np.prod(pub.shape, dtype=int))
    bits, sizes, shots = {}, {}, set()
    for register in pub.circuit.cregs:
        try:
            array = (
                data[register.name] if isinstance(data, (Mapping, DataBin)) else getattr(data, register.name)
            )
        except (KeyError, AttributeError):
            raise RuntimeError(f"a result has no register {register.name!r}") from None
        if not isinstance(array, BitArray):
            raise RuntimeError(f"register {register.name!r} holds a {type(array).__name__}, not a BitArray")
        if array.num_bits != register.size or int(np.prod(array.shape, dtype=int)) != members:
            raise RuntimeError(
                f"register {register.name!r} has shape {array.shape} and {array.num_bits} bits; "
                f"{pub.shape} and {register.size} were asked"
            )
        bits[register.name] = array.array.reshape(members, array.num_shots, array.array.shape[-1])
        sizes[register.name] = array.num_bits
        shots.add(array.num_shots)
    if len(shots) > 1:
        raise RuntimeError(f"registers of one PUB have different shots: {sorted(shots)}")
    return Samples(bits, sizes, np.full(members, shots.pop() if shots else 0, dtype=np.int64))
