"""Adapters: run programs on whatever the user has.

All three take programs and return samples, one per program, and render chunk by chunk, so memory does not
grow with the number of randomizations:

- `BackendRunner`: a `BackendV2`. Its own ``run`` is called with bound circuits, at most ``max_circuits`` at
  a time; simulators that take parameter binds get one circuit and the values.
- `SamplerRunner`: a `BaseSamplerV2`, one PUB with a parameter array per chunk.
- `CallableRunner`: a function of a list of PUBs.

What was measured before a failure travels in `ExecutionError.partial`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray
from qiskit.primitives import BaseSamplerV2, BitArray, DataBin, PrimitiveResult, PubResult
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.providers import BackendV2
from qiskit.transpiler import Target

from ..circuits.bound import BoundForm
from ..circuits.parametric import ParametricForm
from ..circuits.program import Program
from ..circuits.samples import Samples
from ..errors import ExecutionError, InputError, Problem

#: Bytes of parameter values rendered at a time.
_CHUNK_BYTES: Final = 64 * 2**20
#: Gates of bound circuits rendered at a time.
_CHUNK_GATES: Final = 2_000_000
#: Jobs submitted before the first result is read, where the device holds the circuits in this process.
_LOCAL_WINDOW: Final = 2

SamplerFunction = Callable[[list[SamplerPub]], Sequence[Any]]
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


def runner_for(mode: Any, run_options: Mapping[str, Any] | None = None) -> Runner:
    """Return the adapter for what the user gave as `mode`.

    Raises:
        InputError: It is none of the things that can run circuits.
    """
    if isinstance(mode, BackendV2):
        return BackendRunner(mode, dict(run_options or {}))
    problem = None
    if run_options:
        problem = Problem(
            "options.execution.run_options",
            f"are arguments of backend.run, but the mode is a {type(mode).__name__}",
            "pass a BackendV2 or configure the sampler itself",
        )
    elif isinstance(mode, BaseSamplerV2):
        return SamplerRunner(mode)
    elif callable(mode):
        return CallableRunner(mode)
    raise InputError.of(
        [
            problem
            or Problem(
                "mode",
                f"cannot run circuits (got {mode!r})",
                "pass a BackendV2, a BaseSamplerV2 or a function of a list of SamplerPub",
            )
        ]
    )


class _Collector:
    """Samples of chunks on their way to becoming samples of programs."""

    def __init__(self, programs: Sequence[Program], progress: Progress) -> None:
        self.parts: list[tuple[Chunk, Samples]] = []
        self._programs = programs
        self._progress = progress
        self._total = sum(p.num_members for p in programs)

    def add(self, chunk: Chunk, samples: Samples) -> None:
        self.parts.append((chunk, samples))
        self._progress(sum(c.stop - c.start for c, _ in self.parts), self._total)

    def fail(self, error: BaseException) -> ExecutionError:
        done = sum(c.stop - c.start for c, _ in self.parts)
        return ExecutionError(
            f"the device failed after {done} of {self._total} circuits: {type(error).__name__}: {error}; "
            "what was measured is in .partial",
            Partial(tuple(self.parts)),
        )

    def samples(self) -> list[Samples]:
        parts: list[list[tuple[int, Samples]]] = [[] for _ in self._programs]
        for chunk, samples in self.parts:
            parts[chunk.program].append((chunk.start, samples))
        return [Samples.concatenate([s for _, s in sorted(p, key=lambda pair: pair[0])]) for p in parts]


def _chunks(programs: Sequence[Program], size: Callable[[int], int]) -> Iterator[Chunk]:
    for index, program in enumerate(programs):
        step = max(1, size(index))
        for start in range(0, program.num_members, step):
            yield Chunk(index, start, min(start + step, program.num_members))


def _check_cancelled(cancelled: threading.Event) -> None:
    if cancelled.is_set():
        raise InterruptedError("the job was cancelled")


# --- backends ------------------------------------------------------------------------------


@define
class BackendRunner:
    """Runs programs through ``backend.run``."""

    backend: BackendV2
    run_options: dict[str, Any] = field(factory=dict)

    @property
    def name(self) -> str:
        """Name of the backend."""
        return str(self.backend.name or type(self.backend).__name__)

    @property
    def target(self) -> Target | None:
        """The backend's target."""
        target: Target | None = self.backend.target
        return target

    @property
    def takes_binds(self) -> bool:
        """Whether ``run`` accepts one parametric circuit and many values."""
        aer = sys.modules.get("qiskit_aer")
        if aer is not None and isinstance(self.backend, aer.backends.aerbackend.AerBackend):
            return True
        return bool(getattr(self.backend, "takes_parameter_binds", False))

    def run(
        self, programs: Sequence[Program], *, seed: int | None, progress: Progress, cancelled: threading.Event
    ) -> list[Samples]:
        """Run programs chunk by chunk; see `Runner`."""
        limit = int(self.backend.max_circuits or sys.maxsize)
        collector = _Collector(programs, progress)
        binds = self.takes_binds
        forms: dict[int, Any] = {}
        pending: list[tuple[Chunk, Any]] = []

        def form(index: int) -> Any:
            if index not in forms:
                forms.clear()
                forms[index] = (ParametricForm if binds else BoundForm)(programs[index])
            return forms[index]

        def size(index: int) -> int:
            if binds:
                return min(limit, _CHUNK_BYTES // (32 * max(1, int(form(index).num_parameters))))
            return min(limit, max(1, _CHUNK_GATES // max(1, len(programs[index].template.sequence) * 3)))

        def read() -> None:
            chunk, job = pending.pop(0)
            result = job.result()
            if getattr(result, "success", True) is False:
                raise RuntimeError(f"the result says: {getattr(result, 'status', 'failed')}")
            circuit = programs[chunk.program].template.circuit
            collector.add(chunk, _samples_of_result(result, chunk.stop - chunk.start, circuit))

        try:
            for number, chunk in enumerate(_chunks(programs, size)):
                _check_cancelled(cancelled)
                pending.append((chunk, self._submit(form(chunk.program), chunk, programs, seed, number)))
                if binds and len(pending) >= _LOCAL_WINDOW:
                    read()
            while pending:
                _check_cancelled(cancelled)
                read()
        except InterruptedError:
            for _, job in pending:
                _try_cancel(job)
            raise
        except Exception as error:
            for _, job in pending:
                _try_cancel(job)
            raise collector.fail(error) from error
        return collector.samples()

    def _submit(
        self, form: Any, chunk: Chunk, programs: Sequence[Program], seed: int | None, number: int
    ) -> Any:
        options: dict[str, Any] = {"shots": programs[chunk.program].shots}
        if seed is not None and "seed_simulator" in self.backend.options:
            options["seed_simulator"] = int(np.random.SeedSequence([seed, number]).generate_state(1)[0] >> 1)
        options.update(self.run_options)
        if isinstance(form, BoundForm):
            return self.backend.run(form.circuits(chunk.start, chunk.stop), **options)
        values = form.values(chunk.start, chunk.stop)
        parameters = form.circuit.parameters
        if not form.num_parameters:
            return self.backend.run([form.circuit] * (chunk.stop - chunk.start), **options)
        columns = {p: values[:, i].tolist() for i, p in enumerate(parameters)}
        return self.backend.run([form.circuit], parameter_binds=[columns], **options)


def _try_cancel(job: Any) -> None:
    try:
        job.cancel()
    except Exception:  # the first failure is the one to report; a job that cannot be cancelled just ends
        return


def _samples_of_result(result: Any, members: int, circuit: Any) -> Samples:
    """Read a `Result`: counts of every experiment as packed shots per register."""
    got = len(result.results)
    if got != members:
        raise RuntimeError(f"{members} circuits were submitted, {got} results came back")
    num_clbits = circuit.num_clbits
    num_bytes = -(-num_clbits // 8)
    packed: list[NDArray[np.uint8]] = []
    for index in range(members):
        counts = result.data(index).get("counts", {})
        keys = b"".join(_key(key).to_bytes(num_bytes, "big") for key in counts)
        rows = np.frombuffer(keys, dtype=np.uint8).reshape(len(counts), num_bytes)
        packed.append(
            np.repeat(rows, np.fromiter(counts.values(), dtype=np.int64, count=len(counts)), axis=0)
        )
    shots = np.array([len(rows) for rows in packed], dtype=np.int64)
    if members and not shots.any():
        raise RuntimeError("no experiment returned any counts")
    whole = np.zeros((members, int(shots.max(initial=0)), num_bytes), dtype=np.uint8)
    for index, rows in enumerate(packed):
        whole[index, : len(rows)] = rows
    return Samples(*_split_registers(whole, circuit), shots)


def _key(key: str) -> int:
    if isinstance(key, int):
        return key
    text = key.replace(" ", "")
    return int(text, 16) if text[:2] in ("0x", "0X") else int(text, 2)


def _split_registers(
    whole: NDArray[np.uint8], circuit: Any
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, int]]:
    """Split packed classical bits into the circuit's registers."""
    bits, sizes = {}, {}
    unpacked: NDArray[np.uint8] | None = None
    for register in circuit.cregs:
        indices = [circuit.find_bit(bit).index for bit in register]
        sizes[register.name] = len(indices)
        if indices == list(range(circuit.num_clbits)):
            bits[register.name] = whole
            continue
        if unpacked is None:
            unpacked = np.unpackbits(whole, axis=-1)[..., ::-1]
        chosen = unpacked[..., indices][..., ::-1]
        pad = -len(indices) % 8
        chosen = np.concatenate([np.zeros((*chosen.shape[:-1], pad), dtype=np.uint8), chosen], axis=-1)
        bits[register.name] = np.packbits(chosen, axis=-1)
    return bits, sizes


# --- samplers and functions ----------------------------------------------------------------


@define
class CallableRunner:
    """Runs programs through a function that takes a list of PUBs and returns one result each."""

    function: Callable[[list[SamplerPub]], Sequence[Any]]
    name: str = "callable"
    target: Target | None = None

    def run(
        self, programs: Sequence[Program], *, seed: int | None, progress: Progress, cancelled: threading.Event
    ) -> list[Samples]:
        """Run programs, all chunks that fit in memory at once in one call; see `Runner`."""
        collector = _Collector(programs, progress)
        forms: dict[int, ParametricForm] = {}
        try:
            batch: list[Chunk] = []
            size_of_batch = 0
            for chunk in _chunks(
                programs, lambda i: _CHUNK_BYTES // (8 * max(1, len(programs[i].touched_indices) * 3))
            ):
                _check_cancelled(cancelled)
                size = (chunk.stop - chunk.start) * max(1, len(programs[chunk.program].touched_indices)) * 24
                if batch and size_of_batch + size > _CHUNK_BYTES:
                    self._call(batch, programs, forms, collector)
                    batch, size_of_batch = [], 0
                batch.append(chunk)
                size_of_batch += size
            if batch:
                _check_cancelled(cancelled)
                self._call(batch, programs, forms, collector)
        except InterruptedError:
            raise
        except Exception as error:
            raise collector.fail(error) from error
        return collector.samples()

    def _call(
        self,
        batch: list[Chunk],
        programs: Sequence[Program],
        forms: dict[int, ParametricForm],
        collector: _Collector,
    ) -> None:
        pubs = []
        for chunk in batch:
            if chunk.program not in forms:
                forms[chunk.program] = ParametricForm(programs[chunk.program])
            pubs.append(forms[chunk.program].pub(chunk.start, chunk.stop))
        results = self.function(pubs)
        if len(results) != len(pubs):
            raise RuntimeError(f"{len(pubs)} PUBs were given, {len(results)} results came back")
        for chunk, pub, result in zip(batch, pubs, results, strict=True):
            collector.add(chunk, _samples_of_pub(result, pub))


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


class SamplerRunner(CallableRunner):
    """Runs programs through a `BaseSamplerV2`."""

    def __init__(self, sampler: BaseSamplerV2) -> None:
        def call(pubs: list[SamplerPub]) -> PrimitiveResult[PubResult]:
            return sampler.run(pubs).result()

        backend = getattr(sampler, "backend", None) or getattr(sampler, "_backend", None)
        target = getattr(backend, "target", None)
        super().__init__(call, type(sampler).__name__, target if isinstance(target, Target) else None)
