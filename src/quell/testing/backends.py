"""Backends that watch what is run on them, or fail on purpose: for tests of batching and of partial results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2, Options
from qiskit.transpiler import Target

from .noise import require_aer


@frozen(eq=False)
class Call:
    """One call of `run`: its circuits, how many they are once parameters are bound, and its options."""

    circuits: tuple[QuantumCircuit, ...]
    num_circuits: int
    options: Mapping[str, Any]

    @property
    def shots(self) -> int:
        """Shots of the whole call."""
        return self.num_circuits * int(self.options.get("shots", 0))


class PassingBackend(BackendV2):
    """A backend around another one, with its target and its options; subclasses say what happens in `run`.

    Attributes:
        backend: The backend inside.
    """

    def __init__(self, backend: BackendV2 | None, kind: str) -> None:
        inner = require_aer().AerSimulator() if backend is None else backend
        super().__init__(name=f"{kind}_{inner.name}")
        self.backend = inner
        self.set_options(**dict(inner.options.items()))

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    def set_options(self, **fields: Any) -> None:
        """Set default run options."""
        self._options.update_options(**fields)

    @property
    def target(self) -> Target:
        """The target of the backend inside."""
        return self.backend.target

    @property
    def max_circuits(self) -> int | None:
        """Most circuits of one run; None for any number."""
        limit: int | None = self.backend.max_circuits
        return limit


class CountingBackend(PassingBackend):
    """A backend that passes everything on to another one and remembers the calls.

    Args:
        backend: What runs the circuits; an `AerSimulator` if None.
        max_circuits: Most circuits a run may have, shown to callers and enforced.
        takes_parameter_binds: Whether to tell callers that ``run`` takes ``parameter_binds``.

    Attributes:
        backend: The backend inside.
        calls: The calls so far, in order.
    """

    def __init__(
        self,
        backend: BackendV2 | None = None,
        *,
        max_circuits: int | None = None,
        takes_parameter_binds: bool = False,
    ) -> None:
        super().__init__(backend, "counting")
        self.takes_parameter_binds = takes_parameter_binds
        self.calls: list[Call] = []
        self._max_circuits = max_circuits

    @property
    def max_circuits(self) -> int | None:
        """Most circuits of one run; None for any number."""
        return self._max_circuits

    @property
    def num_runs(self) -> int:
        """Calls of `run`."""
        return len(self.calls)

    @property
    def num_circuits(self) -> int:
        """Circuits of all calls, each set of parameter values counted."""
        return sum(call.num_circuits for call in self.calls)

    @property
    def num_shots(self) -> int:
        """Shots of all calls."""
        return sum(call.shots for call in self.calls)

    def run(self, run_input: QuantumCircuit | Sequence[QuantumCircuit], **options: Any) -> Any:
        """Count and pass on.

        Raises:
            ValueError: There are more circuits than `max_circuits`.
        """
        circuits = (run_input,) if isinstance(run_input, QuantumCircuit) else tuple(run_input)
        binds = options.get("parameter_binds")
        count = len(circuits)
        if binds:
            count = sum(max((len(values) for values in table.values()), default=1) for table in binds)
        if self.max_circuits is not None and count > self.max_circuits:
            raise ValueError(f"{count} circuits in one run, at most {self.max_circuits} are allowed")
        self.calls.append(Call(circuits, count, dict(options)))
        return self.backend.run(list(circuits), **options)


class FailingBackend(CountingBackend):
    """A backend whose `run` fails at chosen calls.

    Args:
        backend: What runs the circuits; an `AerSimulator` if None.
        fail_at: Numbers of the calls that fail; the first call is 0.
        error: What they raise.
        kwargs: As for `CountingBackend`.
    """

    def __init__(
        self,
        backend: BackendV2 | None = None,
        *,
        fail_at: int | Iterable[int],
        error: Exception | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(backend, **kwargs)
        self.fail_at = frozenset([fail_at] if isinstance(fail_at, int) else fail_at)
        self.error = error or RuntimeError("the device is on fire")
        self.attempts = 0

    def run(self, run_input: QuantumCircuit | Sequence[QuantumCircuit], **options: Any) -> Any:
        """Fail, or count and pass on."""
        attempt, self.attempts = self.attempts, self.attempts + 1
        if attempt in self.fail_at:
            raise self.error
        return super().run(run_input, **options)
