"""The configuration that code from before `BackendV2` asks of a backend."""

from __future__ import annotations

from typing import Any, Final, Self

from attrs import asdict, frozen
from qiskit.circuit import Gate
from qiskit.providers import BackendV2

#: Most circuits and shots of a run where a backend names no limit; callers count with these, so None will not do.
_CIRCUITS: Final = 1024
_SHOTS: Final = 1_000_000


@frozen
class BackendConfiguration:
    """What old scripts, and mthree, read of ``backend.configuration()``.

    Attributes:
        backend_name: Name of the backend.
        backend_version: Version of the backend.
        num_qubits: Number of qubits; None for any number.
        basis_gates: Names of the gates.
        coupling_map: Pairs of qubits that share a gate; None for all pairs.
        max_shots: Most shots of a circuit.
        max_experiments: Most circuits of a run.
        dt: Time resolution of the schedule, in seconds; None if there is none.
        description: What it is, in a sentence.
        simulator: Whether it is known to be a simulator. Simulators of old say so in a configuration of their own.
        memory: Whether the outcome of every shot can be asked for.
    """

    backend_name: str
    backend_version: str
    num_qubits: int | None
    basis_gates: list[str]
    coupling_map: list[list[int]] | None
    max_shots: int
    max_experiments: int
    dt: float | None
    description: str | None
    simulator: bool = False
    memory: bool = True

    @classmethod
    def of(cls, backend: BackendV2) -> Self:
        """Return the configuration that follows from a backend's target and limits."""
        pairs, target = backend.coupling_map, backend.target
        gates = [
            name for name in target.operation_names if isinstance(target.operation_from_name(name), Gate)
        ]
        shots = getattr(backend.options, "validator", {}).get("shots")
        return cls(
            backend_name=backend.name,
            backend_version=backend.backend_version or "",
            num_qubits=backend.num_qubits,
            basis_gates=gates,
            coupling_map=None if pairs is None else [list(pair) for pair in pairs.get_edges()],
            max_shots=int(shots[1]) if isinstance(shots, tuple) else _SHOTS,
            max_experiments=backend.max_circuits or _CIRCUITS,
            dt=backend.dt,
            description=backend.description,
        )

    @property
    def n_qubits(self) -> int | None:
        """Number of qubits; None for any number."""
        return self.num_qubits

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as a dict."""
        return {**asdict(self), "n_qubits": self.n_qubits}
