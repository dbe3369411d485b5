"""Run programs on a `BackendV2` and read its `Result`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np
from attrs import define, field
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2
from qiskit.transpiler import Target

from ..circuits.bound import BoundForm
from ..circuits.parametric import ParametricForm
from ..circuits.program import Program
from ..circuits.samples import Samples
from . import runner
from .runner import Chunk, Collector, Progress, check_cancelled

#: Gates of bound circuits submitted at a time.
_BATCH_GATES: Final = 2_000_000
#: Runs submitted before the first result is read: enough to keep a device busy, few enough to hold in memory.
_WINDOW: Final = 3

Batch = list[Chunk]


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
        collector = Collector(programs, progress)
        batches = self._batches(programs)
        forms: dict[int, Any] = {}
        pending: list[tuple[Batch, Any]] = []

        def read() -> None:
            batch, job = pending.pop(0)
            for chunk, samples in _samples_of_result(job.result(), batch, programs):
                collector.add(chunk, samples)

        try:
            for number, batch in enumerate(batches):
                check_cancelled(cancelled)
                pending.append((batch, self._submit(batch, programs, forms, seed, number)))
                if len(pending) >= _WINDOW:
                    read()
            while pending:
                check_cancelled(cancelled)
                read()
        except InterruptedError:
            for _, job in pending:
                _try_cancel(job)
            raise
        except Exception as error:
            while pending:  # what was submitted before is being measured, and paid for
                with suppress(Exception):  # the first failure is the one to report
                    read()
            raise collector.fail(error) from error
        return collector.samples()

    def _batches(self, programs: Sequence[Program]) -> Iterator[Batch]:
        """Cut programs into runs: the same shots, at most ``max_circuits``, bounded memory.

        Bound circuits of several programs share a run, so that calibrations and data meet the same device;
        a parametric circuit has a run of its own.
        """
        limit = int(self.backend.max_circuits or sys.maxsize)
        batch: Batch = []
        room = 1.0
        for index, program in enumerate(programs):
            if self.takes_binds:
                size = 32 * 3 * len(program.touched_indices) / runner.CHUNK_BYTES
            else:
                size = 3 * len(program.template.sequence) / _BATCH_GATES
            share = max(1 / limit, size)
            start = 0
            while start < program.num_members:
                fits = max(int((room + 1e-9) / share), 0 if batch else 1)
                alike = not batch or (
                    programs[batch[0].program].shots == program.shots and not self.takes_binds
                )
                if not (alike and fits):
                    yield batch
                    batch, room = [], 1.0
                    continue
                stop = min(program.num_members, start + fits)
                batch.append(Chunk(index, start, stop))
                room -= (stop - start) * share
                start = stop
        if batch:
            yield batch

    def _submit(
        self, batch: Batch, programs: Sequence[Program], forms: dict[int, Any], seed: int | None, number: int
    ) -> Any:
        options: dict[str, Any] = {"shots": programs[batch[0].program].shots}
        if seed is not None and "seed_simulator" in self.backend.options:
            options["seed_simulator"] = int(np.random.SeedSequence([seed, number]).generate_state(1)[0] >> 1)
        options.update(self.run_options)
        circuits: list[QuantumCircuit] = []
        for chunk in batch:
            if chunk.program not in forms:
                forms.clear()  # programs come in order: an earlier one is not needed again
                render = ParametricForm if self.takes_binds else BoundForm
                forms[chunk.program] = render(programs[chunk.program])
            form = forms[chunk.program]
            if isinstance(form, BoundForm):
                circuits += form.circuits(chunk.start, chunk.stop)
            elif form.num_parameters:
                values = form.values(chunk.start, chunk.stop)
                columns = {p: values[:, i].tolist() for i, p in enumerate(form.circuit.parameters)}
                return self.backend.run([form.circuit], parameter_binds=[columns], **options)
            else:
                circuits += [form.circuit] * (chunk.stop - chunk.start)
        return self.backend.run(circuits, **options)


def _try_cancel(job: Any) -> None:
    with suppress(Exception):  # a job that cannot be cancelled just ends
        job.cancel()


def _samples_of_result(
    result: Any, batch: Batch, programs: Sequence[Program]
) -> Iterator[tuple[Chunk, Samples]]:
    """Read a `Result`: counts of every experiment as packed shots per register."""
    if getattr(result, "success", True) is False:
        raise RuntimeError(f"the result says: {getattr(result, 'status', 'failed')}")
    asked, got = sum(chunk.stop - chunk.start for chunk in batch), len(result.results)
    if got != asked:
        raise RuntimeError(f"{asked} circuits were submitted, {got} results came back")
    first = 0
    for chunk in batch:
        circuit = programs[chunk.program].template.circuit
        last = first + chunk.stop - chunk.start
        num_bytes = -(-circuit.num_clbits // 8)
        packed = [_packed(result.data(index).get("counts", {}), num_bytes) for index in range(first, last)]
        shots = np.array([len(rows) for rows in packed], dtype=np.int64)
        if not shots.any():
            raise RuntimeError("no experiment returned any counts")
        whole = np.zeros((last - first, int(shots.max()), num_bytes), dtype=np.uint8)
        for member, rows in enumerate(packed):
            whole[member, : len(rows)] = rows
        yield chunk, Samples(*_split_registers(whole, circuit), shots)
        first = last


def _packed(counts: Mapping[Any, int], num_bytes: int) -> NDArray[np.uint8]:
    """Return counts as one row of packed bits a shot, uint8 ``(shots, num_bytes)``."""
    keys = b"".join(_key(key).to_bytes(num_bytes, "big") for key in counts)
    rows = np.frombuffer(keys, dtype=np.uint8).reshape(len(counts), num_bytes)
    return np.repeat(rows, np.fromiter(counts.values(), dtype=np.int64, count=len(counts)), axis=0)


def _key(key: Any) -> int:
    """Read a hexadecimal or binary outcome, with or without spaces between registers."""
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
