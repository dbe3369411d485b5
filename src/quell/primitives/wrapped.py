"""A backend around a backend: code that only knows ``backend.run`` gains mitigation unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from qiskit import QuantumCircuit
from qiskit.providers import BackendV2, JobStatus, JobV1, Options
from qiskit.result import Result
from qiskit.transpiler import Target

from ..errors import InputError, Problem
from ..execution.jobs import Job
from ..options import SamplerOptions
from ..plans import Plan
from .binds import circuits_of, pubs_of
from .results import result_of_samples
from .sampler import Sampler

#: Keywords of ``run`` that are options of ours on every backend.
_SIMULATOR: Final = ("seed_simulator", "noise_model")
#: Keywords that say in which form results are returned, which is for us to decide even where backends list them.
_RESULTS: Final = ("meas_level", "meas_return")


def wrap(
    backend: BackendV2, options: SamplerOptions | Mapping[str, Any] | None = None, **legacy: Any
) -> WrappedBackend:
    """Return a backend whose ``run`` applies the sampler's stages.

    Example:
        >>> backend = wrap(backend, {"twirling": {"enable_measure": True}})
        >>> counts = backend.run(transpile(circuit, backend), shots=1000).result().get_counts()

    Args:
        backend: What runs the circuits.
        options: Sampler options or a dict of them; copied.
        **legacy: Keyword arguments of ``run``, as defaults of all runs.

    Raises:
        InputError: `backend` is no `BackendV2`.
        OptionsError: Options or keywords are unknown or out of range.
    """
    if not isinstance(backend, BackendV2):
        rule = f"must be a BackendV2 (got {backend!r})"
        raise InputError.of([Problem("backend", rule, "Sampler takes samplers and functions as its mode")])
    return WrappedBackend(backend, options, **legacy)


class WrappedBackend(BackendV2):
    """A backend that runs circuits through `Sampler` on another backend; made by `wrap`.

    What it does not know itself, such as ``configuration()`` or ``properties()``, is that of the backend inside.

    Attributes:
        backend: The backend inside.
    """

    def __init__(
        self,
        backend: BackendV2,
        options: SamplerOptions | Mapping[str, Any] | None = None,
        **legacy: Any,
    ) -> None:
        self.backend = backend
        super().__init__(
            provider=getattr(backend, "provider", None),
            name=f"quell({backend.name or type(backend).__name__})",
            description=getattr(backend, "description", None),
            online_date=getattr(backend, "online_date", None),
            backend_version=getattr(backend, "backend_version", None),
        )
        self._memory: bool | None = legacy.pop("memory", None)
        shots = legacy.pop("shots", None)
        self._quell_options = self._updated(SamplerOptions.of(options), legacy, stacklevel=5)
        if shots is not None:
            self._quell_options.default_shots = shots

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "backend":  # not there yet, while this is being made or copied
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.backend, name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self.name!r})>"

    @property
    def quell_options(self) -> SamplerOptions:
        """Options of the sampler; assignments are checked at once and take effect at the next run."""
        return self._quell_options

    @quell_options.setter
    def quell_options(self, value: SamplerOptions | Mapping[str, Any]) -> None:
        self._quell_options = SamplerOptions.of(value)

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    @property
    def options(self) -> Options:
        """The run options of the backend inside."""
        return self.backend.options

    def set_options(self, **fields: Any) -> None:
        """Set run options of the backend inside; ``shots`` are ours."""
        if "shots" in fields:
            self.quell_options.default_shots = fields.pop("shots")
        self.backend.set_options(**fields)

    @property
    def target(self) -> Target:
        """The target of the backend inside."""
        return self.backend.target

    @property
    def max_circuits(self) -> int | None:
        """Most circuits of one run of the backend inside; here a run may have any number."""
        limit: int | None = self.backend.max_circuits
        return limit

    @property
    def dtm(self) -> float:
        """Time resolution of output signals, in seconds."""
        resolution: float = self.backend.dtm
        return resolution

    @property
    def meas_map(self) -> list[list[int]]:
        """Groups of qubits that are measured together."""
        groups: list[list[int]] = self.backend.meas_map
        return groups

    def qubit_properties(self, qubit: int | list[int]) -> Any:
        """Return properties of qubits."""
        return self.backend.qubit_properties(qubit)

    def run(self, run_input: QuantumCircuit | list[QuantumCircuit], **run_options: Any) -> WrappedJob:
        """Run circuits with mitigation.

        Args:
            run_input: A circuit or a list of circuits, with measurements.
            **run_options: ``shots`` (else the ``default_shots`` of `quell_options`, unless its two numbers of
                twirling say how many), ``memory``, ``parameter_binds``, ``seed_simulator``, ``noise_model``;
                what the backend inside lists in its options goes to its ``run`` unchanged; anything else is
                translated from the options of old runtimes.

        Returns:
            A job whose result has counts in the format of the backend inside. With ``memory`` shots are in
            the order in which the backend inside returned them if it lists ``memory``, else sorted.

        Raises:
            InputError: Listing everything that is wrong with the circuits.
            OptionsError: Keywords are unknown, or contradict options.
        """
        shots = run_options.pop("shots", None)
        memory = run_options.pop("memory", None)
        parameter_binds = run_options.pop("parameter_binds", None)
        for default in (self._memory, getattr(self.options, "memory", None)):
            memory = default if memory is None else memory
        circuits = circuits_of(run_input)
        pubs = pubs_of(circuits, parameter_binds)
        options = self._updated(self.quell_options.copy(), run_options, stacklevel=4)
        if memory and "memory" in self.options:
            options.execution.run_options = {**options.execution.run_options, "memory": True}
        if options.seed is None:  # a script that fixes the seed of a simulator expects the same counts again
            options.seed = options.simulator.seed_simulator
        job = Sampler(self.backend, options).run(pubs, shots=shots)
        return WrappedJob(self, job, circuits, [pub[0] for pub in pubs], memory=bool(memory))

    def _updated(
        self, options: SamplerOptions, keywords: Mapping[str, Any], *, stacklevel: int
    ) -> SamplerOptions:
        """Return options with keywords of ``run``, which win over what the options say."""
        legacy: dict[str, Any] = {}
        inner = dict(options.execution.run_options)
        for name, value in keywords.items():
            if name in _SIMULATOR:
                if value is not None:  # backends, and the code that calls them, say None for "not given"
                    inner.pop(name, None)
                    options.simulator.update({name: value})
            elif name in self.options and name not in _RESULTS:
                inner[name] = value
                if hasattr(options.execution, name):  # said here, and so not there
                    options.execution.update({name: getattr(type(options.execution)(), name)})
            else:
                legacy[name] = value
        options.execution.run_options = inner
        if legacy:
            from ..options.legacy import accepted

            options = accepted(
                legacy, SamplerOptions, source="AerSimulator.run", base=options, stacklevel=stacklevel
            )
        return options


class WrappedJob(JobV1):
    """A run of a `WrappedBackend`."""

    def __init__(
        self,
        backend: WrappedBackend,
        job: Job,
        circuits: list[QuantumCircuit],
        ran: list[QuantumCircuit],
        *,
        memory: bool,
    ) -> None:
        super().__init__(backend, job.job_id())
        self._job = job
        self._circuits = circuits
        self._ran = ran
        self._memory = memory
        self._result: Result | None = None

    def submit(self) -> None:
        """Do nothing: the job was submitted when it was made."""

    def plan(self) -> Plan:
        """Return the plan; printing it shows the onion, circuits and shots."""
        return self._job.plan()

    def result(self, timeout: float | None = None) -> Result:
        """Return the result, waiting at most `timeout` seconds.

        Raises:
            ExecutionError: The device failed, or the job was cancelled; what was measured is in ``partial``.
        """
        samples = self._job.result(timeout)
        if self._result is None:
            backend = self.backend()
            self._result = result_of_samples(
                samples,
                self._circuits,
                self._ran,
                memory=self._memory,
                backend_name=backend.name,
                backend_version=backend.backend_version,
                job_id=self.job_id(),
            )
        return self._result

    def status(self) -> JobStatus:
        """Return the status."""
        return self._job.status()

    def cancel(self) -> bool:
        """Ask the job to stop before its next run; return whether it was still running."""
        return self._job.cancel()
