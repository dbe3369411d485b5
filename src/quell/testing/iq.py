"""A backend whose measurements are points in the plane of a readout signal, where it is asked for these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2, JobStatus, JobV1, Options
from qiskit.result import Result
from qiskit.result.models import ExperimentResult, ExperimentResultData, MeasLevel

from ..errors import InputError, Problem, UnsupportedError
from .backends import PassingBackend

#: Run options of this backend itself; all others are those of the backend inside.
_OWN = ("meas_level", "meas_return")


class IQBackend(PassingBackend):
    """A backend that passes circuits on to another one and blurs the bits that come back.

    With ``meas_level=1`` a bit that reads b from qubit q becomes a point of the normal distribution around
    ``centers[q, b]``, of standard deviation `width` in either direction: one for every shot with
    ``meas_return="single"``, their mean with ``"avg"``. With ``meas_level=2``, the default, bits are returned.
    Errors of the backend inside, of readout too, come before.

    Args:
        backend: What runs the circuits; an `AerSimulator` if None.
        centers: Centres of the clouds for 0 and 1, complex ``(2,)`` for all qubits or ``(num_qubits, 2)``.
        width: Standard deviation of the real and of the imaginary part, in the units of the centres.
        rng: Source of the clouds of runs without a ``seed_simulator``; a seed is taken too.

    Attributes:
        backend: The backend inside.
        centers: complex128 ``(num_qubits or 1, 2)``.
        width: As given.

    Raises:
        InputError: `centers` or `width` do not describe clouds.
    """

    def __init__(
        self,
        backend: BackendV2 | None = None,
        *,
        centers: ArrayLike = (-1, 1),
        width: float = 0.5,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        super().__init__(backend, "iq")
        self.centers = np.atleast_2d(np.array(centers, dtype=np.complex128))
        self.width = float(width)
        if self.centers.ndim != 2 or self.centers.shape[1] != 2 or not np.isfinite(self.centers).all():
            rule = f"must be finite, of shape (2,) or (num_qubits, 2), not {np.shape(centers)}"
            raise InputError.of([Problem("centers", rule)])
        if not 0 <= self.width < np.inf:
            raise InputError.of([Problem("width", f"must be finite and not negative (got {width!r})")])
        self._rng = np.random.default_rng(rng)

    @classmethod
    def _default_options(cls) -> Options:
        return Options(meas_level=2, meas_return="avg", seed_simulator=None)

    def run(self, run_input: QuantumCircuit | Sequence[QuantumCircuit], **options: Any) -> JobV1:
        """Run circuits.

        Args:
            run_input: A circuit or a list of circuits.
            **options: ``meas_level`` 1 or 2, ``meas_return`` "single" or "avg", ``seed_simulator`` for shots and
                clouds; others are given to the backend inside.

        Raises:
            UnsupportedError: Points are asked of a circuit with control flow, or in a form that there is not.
        """
        circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
        wanted = {**dict(self.options.items()), **options}
        level, returned = (getattr(value, "value", value) for value in map(wanted.pop, _OWN))
        if wanted.get("seed_simulator") is None:
            wanted["seed_simulator"] = int(self._rng.integers(2**31))
        rng = np.random.default_rng(wanted["seed_simulator"])
        if "seed_simulator" not in self.backend.options:
            del wanted["seed_simulator"]
        if level == MeasLevel.CLASSIFIED:
            return self.backend.run(circuits, **wanted)
        if level != MeasLevel.KERNELED or returned not in ("single", "avg"):
            rule = f"is {level!r}, {returned!r}; there are 1 with 'single' or 'avg', and 2"
            raise UnsupportedError.of([Problem("meas_level, meas_return", rule)])
        qubits = [_measured(circuit) for circuit in circuits]
        job = self.backend.run(circuits, **{**wanted, "memory": True})
        return _BlurredJob(self, job, qubits, returned, rng)

    def blurred(
        self, bits: NDArray[np.bool_], qubits: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.complex128]:
        """Return a point for each bit.

        Args:
            bits: bool ``(shots, num_bits)``.
            qubits: int64 ``(num_bits,)``: where each is from, -1 where it is never written; its point is 0.
            rng: Source of randomness.
        """
        centers = self.centers[qubits if len(self.centers) > 1 else np.zeros_like(qubits)]
        noise = rng.normal(scale=self.width, size=(2, *bits.shape))
        points: NDArray[np.complex128] = (
            np.where(bits, centers[:, 1], centers[:, 0]) + noise[0] + 1j * noise[1]
        )
        points[:, qubits < 0] = 0
        return points


class _BlurredJob(JobV1):
    """A job of the backend inside, whose bits become points when its result is read."""

    def __init__(
        self,
        backend: IQBackend,
        job: Any,
        qubits: list[NDArray[np.int64]],
        meas_return: str,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(backend, job.job_id())
        self._job = job
        self._qubits = qubits
        self._meas_return = meas_return
        self._rng = rng
        self._result: Result | None = None

    def submit(self) -> None:
        """Do nothing: the job was submitted when it was made."""

    def result(self) -> Result:
        """Return the result with points in its memory, as pairs of real and imaginary part."""
        if self._result is None:
            result = self._job.result()
            experiments = [
                self._blurred(experiment, qubits)
                for experiment, qubits in zip(result.results, self._qubits, strict=True)
            ]
            self._result = Result(
                backend_name=self.backend().name,
                job_id=self.job_id(),
                success=result.success,
                results=experiments,
                status=result.status,
            )
        return self._result

    def _blurred(self, experiment: Any, qubits: NDArray[np.int64]) -> ExperimentResult:
        outcomes = [int(outcome, 16) for outcome in experiment.data.memory]
        bits = np.array([[o >> i & 1 for i in range(len(qubits))] for o in outcomes], dtype=bool)
        points = self.backend().blurred(bits, qubits, self._rng)
        if self._meas_return == "avg":
            points = points.mean(axis=0)
        return ExperimentResult(
            shots=len(outcomes),
            success=experiment.success,
            data=ExperimentResultData(memory=np.stack([points.real, points.imag], axis=-1).tolist()),
            meas_level=MeasLevel.KERNELED,
            meas_return=self._meas_return,
            status=getattr(experiment, "status", None),
            header=experiment.header,
        )

    def status(self) -> JobStatus:
        """Return the status of the job inside."""
        return self._job.status()

    def cancel(self) -> Any:
        """Cancel the job inside."""
        return self._job.cancel()


def _measured(circuit: QuantumCircuit) -> NDArray[np.int64]:
    """Return the qubit that each classical bit is last measured from, int64 ``(num_clbits,)``; -1 for none."""
    if circuit.has_control_flow_op():
        rule = f"{circuit.name!r} has control flow, which may decide what a bit is measured from"
        raise UnsupportedError.of([Problem("run_input", rule, "ask for meas_level=2")])
    qubits = np.full(circuit.num_clbits, -1)
    for instruction in circuit.data:
        for qubit, clbit in zip(instruction.qubits, instruction.clbits, strict=False):
            qubits[circuit.find_bit(clbit).index] = circuit.find_bit(qubit).index
    return qubits
