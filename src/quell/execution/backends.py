"""Run programs on a `BackendV2` and read its `Result`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from attrs import define, field
from numpy.typing import NDArray
from qiskit.providers import BackendV2
from qiskit.transpiler import Target

from ..circuits.bound import BoundForm
from ..circuits.parametric import ParametricForm
from ..circuits.program import Program
from ..circuits.samples import Samples
from . import runner
from .runner import Chunk, Collector, Progress, check_cancelled, chunks_of

#: Gates of bound circuits rendered at a time.
_CHUNK_GATES: Final = 2_000_000
#: Jobs submitted before the first result is read, where the device holds the circuits in this process.
_LOCAL_WINDOW: Final = 2


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
        collector = Collector(programs, progress)
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
                return min(limit, runner.CHUNK_BYTES // (32 * max(1, int(form(index).num_parameters))))
            return min(limit, max(1, _CHUNK_GATES // max(1, len(programs[index].template.sequence) * 3)))

        def read() -> None:
            chunk, job = pending.pop(0)
            result = job.result()
            if getattr(result, "success", True) is False:
                raise RuntimeError(f"the result says: {getattr(result, 'status', 'failed')}")
            circuit = programs[chunk.program].template.circuit
            collector.add(chunk, _samples_of_result(result, chunk.stop - chunk.start, circuit))

        try:
            for number, chunk in enumerate(chunks_of(programs, size)):
                check_cancelled(cancelled)
                pending.append((chunk, self._submit(form(chunk.program), chunk, programs, seed, number)))
                if binds and len(pending) >= _LOCAL_WINDOW:
                    read()
            while pending:
                check_cancelled(cancelled)
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
