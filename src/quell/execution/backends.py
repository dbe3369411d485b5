"""Run programs on a `BackendV2`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, Self

import numpy as np
from attrs import define, evolve, field
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2
from qiskit.transpiler import Target

from ..circuits.bound import BoundForm
from ..circuits.parametric import ParametricForm
from ..circuits.program import Program
from ..circuits.samples import Samples
from ..options.resolved import ResolvedExecution
from . import runner
from .points import MeasReturn
from .results import joined_shots, samples_of_result
from .runner import Chunk, Collector, Progress, derived_seed, result_of
from .simulated import checked_noise_model, innermost, is_aer, simulated_target

#: Gates of bound circuits submitted at a time.
_BATCH_GATES: Final = 2_000_000
#: What vendors call the most shots of a circuit in one run; there is no common name.
_MAX_SHOTS: Final = ("max_shots", "MAX_SHOTS")
#: Runs submitted before the first result is read: enough to keep a device busy, few enough to hold in memory.
_WINDOW: Final = 3

Batch = list[Chunk]


@define
class BackendRunner:
    """Runs programs through ``backend.run``.

    Attributes:
        backend: The backend.
        run_options: Keyword arguments of its ``run``; they win over everything.
        seed_simulator: Seed of the first run's shots; None if it follows from the seed of the job.
        simulated: The device that a simulator stands for, None if there is none but itself.
    """

    backend: BackendV2
    run_options: dict[str, Any] = field(factory=dict)
    seed_simulator: int | None = None
    simulated: Target | None = None
    _submitted: int = field(init=False, default=0)

    @classmethod
    def of(cls, backend: BackendV2, execution: ResolvedExecution) -> Self:
        """Return the runner for a backend and options.

        Raises:
            InputError: Options do not describe a device or a noise model.
        """
        run_options = dict(execution.run_options)
        if "noise_model" in run_options and is_aer(backend):
            run_options["noise_model"] = checked_noise_model(run_options["noise_model"])
        return cls(backend, run_options, execution.seed_simulator, simulated_target(execution, backend))

    @property
    def name(self) -> str:
        """Name of the backend."""
        return str(self.backend.name or type(self.backend).__name__)

    @property
    def target(self) -> Target | None:
        """The target of the simulated device, or of the backend."""
        target: Target | None = self.backend.target if self.simulated is None else self.simulated
        return target

    @property
    def checked_target(self) -> Target | None:
        """The target if its gates are all that runs: simulators run more, however they are wrapped."""
        return self.simulated if is_aer(innermost(self.backend)) else self.target

    @property
    def _meas_return(self) -> MeasReturn | None:
        """In which form kerneled points are asked for, None where bits are."""
        if self.run_options.get("meas_level") != 1:
            return None
        return "single" if self.run_options.get("meas_return") == "single" else "avg"

    @property
    def takes_binds(self) -> bool:
        """Whether programs are run as one parametric circuit with many values.

        Parametric one-qubit gates are written in full, which costs pulses. Where these are noisy every circuit is
        written for itself, as for a device, in the cheapest form that its angles allow.
        """
        if not is_aer(self.backend):
            return bool(getattr(self.backend, "takes_parameter_binds", False))
        noise = self.run_options.get("noise_model", getattr(self.backend.options, "noise_model", None))
        return noise is None

    def run(
        self, programs: Sequence[Program], *, seed: int | None, progress: Progress, cancelled: threading.Event
    ) -> list[Samples]:
        """Run programs chunk by chunk; see `Runner`."""
        collector = Collector(programs, progress)
        forms: dict[int, Any] = {}
        pending: list[tuple[Batch, list[tuple[int, Any]]]] = []

        def read() -> None:
            batch, jobs = pending.pop(0)
            parts = []
            for shots, job in jobs:
                result = result_of(job, cancelled)
                if result is None and cancelled.is_set():
                    return
                asked = {chunk.program: evolve(programs[chunk.program], shots=shots) for chunk in batch}
                parts.append(samples_of_result(result, batch, asked, self._meas_return))
            for same in zip(*parts, strict=True):  # one by one, so that those before a bad one are kept
                collector.add(same[0][0], joined_shots([samples for _, samples in same]))

        try:
            for batch in self._batches(programs):
                if len(pending) >= _WINDOW:
                    read()
                if cancelled.is_set():
                    break
                pending.append((batch, self._submit(batch, programs, forms, seed)))
            while pending:
                read()
        except Exception as error:
            while pending:  # what was submitted before is being measured, and paid for
                with suppress(Exception):  # the first failure is the one to report
                    read()
            raise collector.fail(error) from error
        if not collector.complete:
            raise collector.cancel()
        return collector.samples()

    def _batches(self, programs: Sequence[Program]) -> Iterator[Batch]:
        """Cut programs into runs: the same shots, at most ``max_circuits``, bounded memory.

        Bound circuits of several programs share a run, so that calibrations and data meet the same device. A
        simulator's parametric circuit has a run of its own, so that progress shows and cancelling acts
        between them; circuits that nothing was done to share one, as they would in the user's own run.
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
                if not (fits and self._may_share(batch, program, programs)):
                    yield batch
                    batch, room = [], 1.0
                    continue
                stop = min(program.num_members, start + fits)
                batch.append(Chunk(index, start, stop))
                room -= (stop - start) * share
                start = stop
        if batch:
            yield batch

    def _may_share(self, batch: Batch, program: Program, programs: Sequence[Program]) -> bool:
        """Return whether a program may be run together with those of a batch."""
        if not batch:
            return True
        other = programs[batch[-1].program]
        touched = len(other.touched_indices) or len(program.touched_indices)
        return other.shots == program.shots and not (self.takes_binds and touched)

    def fixed_seed(self, seed: int | None) -> int | None:
        """Return the seed of the shots of every job's first run, None if they follow from the job's own `seed`.

        Options fix it, or the backend has one itself and the job none. Data of one job would then repeat the
        shots of another one's calibration, so such jobs must not share any.
        """
        own = getattr(self.backend.options, "seed_simulator", None) if seed is None else None
        fixed = own if self.seed_simulator is None else self.seed_simulator
        return int(fixed) if isinstance(fixed, (int, np.integer)) else None

    def _next_seed(self, seed: int | None) -> int | None:
        """Return the seed of the next run's shots, None to leave it to the backend.

        The first run gets the very number that was asked for, so that a job that is one run has the counts
        of a bare ``backend.run``; later ones must not repeat its randomness, nor do they where a job calls
        `run` again for what it lacks.
        """
        number, self._submitted = self._submitted, self._submitted + 1
        fixed = self.fixed_seed(seed)
        if fixed is not None:
            return derived_seed(fixed, number) if number else fixed
        if seed is None or "seed_simulator" not in self.backend.options:
            return None
        return derived_seed(seed, number)

    def _submit(
        self, batch: Batch, programs: Sequence[Program], forms: dict[int, Any], seed: int | None
    ) -> list[tuple[int, Any]]:
        """Run a batch; return each job with its shots: one, or several if the backend takes fewer at a time."""
        options: dict[str, Any] = {}
        if getattr(self.backend.options, "meas_level", None) not in (None, 2):
            options["meas_level"] = 2  # what the backend does unless it is told is for others
        options.update(self.run_options)
        circuits: list[QuantumCircuit] = []
        binds: list[dict[Any, list[float]]] = []
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
                circuits.append(form.circuit)
                binds.append({p: values[:, i].tolist() for i, p in enumerate(form.circuit.parameters)})
            else:
                circuits += [form.circuit] * (chunk.stop - chunk.start)
                binds += [{}] * (chunk.stop - chunk.start)
        if any(binds):
            options["parameter_binds"] = binds
        jobs = []
        for shots in self._shares(programs[batch[0].program].shots):
            seed_simulator = self._next_seed(seed)
            fixed = {} if seed_simulator is None else {"seed_simulator": seed_simulator}
            jobs.append((shots, self.backend.run(circuits, **{"shots": shots, **fixed, **options})))
        return jobs

    def _shares(self, shots: int) -> list[int]:
        """Split shots into as few runs as the backend's limit allows, as equal as possible."""
        limits = (getattr(self.backend, name, None) for name in _MAX_SHOTS)
        limit = next((limit for limit in limits if isinstance(limit, int) and limit > 0), None)
        # Simulators run more than they say, and averages of parts could not be joined.
        if limit is None or is_aer(self.backend) or "shots" in self.run_options or self._meas_return == "avg":
            return [shots]
        count = max(1, -(-shots // limit))
        return [shots // count + (part < shots % count) for part in range(count)]
