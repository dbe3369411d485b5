"""A backend around a backend: code that only knows ``backend.run`` gains mitigation unchanged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from functools import partial
from typing import Any, Final

from attrs import evolve
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2, Options
from qiskit.transpiler import Target

from ..errors import InputError, Problem
from ..execution.jobs import Job
from ..execution.modes import Batch
from ..options import SamplerOptions
from ..options.effective import DEFAULT_SHOTS
from ..options.legacy import accepted
from ..options.legacy.tables.run import RUN
from .binds import circuits_of, pubs_of
from .configuration import BackendConfiguration
from .levels import KEYWORDS, set_meas_type
from .sampler import Sampler
from .wrapped_job import WrappedJob

#: Keywords of ``run`` that are options of ours on every backend.
_SIMULATOR: Final = ("seed_simulator", "noise_model")


def wrap(
    backend: BackendV2, options: SamplerOptions | Mapping[str, Any] | None = None, **legacy: Any
) -> WrappedBackend:
    """Return a backend whose ``run`` applies the sampler's stages.

    Example:
        >>> backend = wrap(backend, {"resilience": {"measure_mitigation": True}})
        >>> counts = backend.run(transpile(circuit, backend), shots=1000).result().get_counts()

    Args:
        backend: What runs the circuits.
        options: Sampler options or a dict of them; copied. Keys from before V2 are translated, with one
            warning.
        **legacy: Keyword arguments of ``run``, as defaults of all runs.

    Raises:
        InputError: `backend` is no `BackendV2`.
        OptionsError: Options or keywords are unknown or out of range.
    """
    wrapped = WrappedBackend.__new__(WrappedBackend)
    wrapped._make(backend, options, legacy)  # not __init__: warnings show the line that called this function
    return wrapped


class _Runs(Batch):
    """The runs of one wrapped backend: each on a thread that ends with it, because nobody closes a backend."""

    def _start(self, job: Job) -> None:
        job.start()


class WrappedBackend(BackendV2):
    """A backend that runs circuits through `Sampler` on another backend; made by `wrap`.

    What it does not know itself, such as ``properties()``, is that of the backend inside. If that has no
    ``configuration()``, which old scripts and mthree ask for, there is one made from the target.

    Attributes:
        backend: The backend inside.
    """

    def __init__(
        self,
        backend: BackendV2,
        options: SamplerOptions | Mapping[str, Any] | None = None,
        **legacy: Any,
    ) -> None:
        self._make(backend, options, legacy)

    def _make(
        self,
        backend: BackendV2,
        options: SamplerOptions | Mapping[str, Any] | None,
        legacy: dict[str, Any],
    ) -> None:
        """Do what `__init__` does; what the user called is two calls up from here."""
        if not isinstance(backend, BackendV2):
            rule = f"must be a BackendV2 (got {backend!r})"
            fix = "Sampler takes samplers and functions as its mode"
            raise InputError.of([Problem("backend", rule, fix)])
        self.backend = backend
        super().__init__(
            provider=getattr(backend, "provider", None),
            name=f"quell({backend.name or type(backend).__name__})",
            description=getattr(backend, "description", None),
            online_date=getattr(backend, "online_date", None),
            backend_version=getattr(backend, "backend_version", None),
        )
        #: All runs are jobs of it, so that they share calibrations as long as these hold.
        self._runs = _Runs(backend)
        self._memory: bool | None = legacy.pop("memory", None)
        self._meas_return: Any = legacy.get(
            "meas_return"
        )  # no option of ours has it where bits are the default
        shots = _whole(legacy.pop("shots", None))
        self._quell_options = self._updated(_accepted(options, stacklevel=5), legacy, {}, stacklevel=5)
        if shots is not None:
            self._quell_options.default_shots = shots

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "backend":  # not there yet, while this is being made or copied
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if name == "configuration" and not hasattr(self.backend, name):
            return partial(BackendConfiguration.of, self)
        return getattr(self.backend, name)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_runs"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._runs = _Runs(self.backend)  # jobs and locks stay with the original

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self.name!r})>"

    @property
    def quell_options(self) -> SamplerOptions:
        """Options of the sampler; assignments are checked at once and take effect at the next run.

        Where `default_shots` are None they are those of the backend inside.
        """
        return self._quell_options

    @quell_options.setter
    def quell_options(self, value: SamplerOptions | Mapping[str, Any]) -> None:
        self._quell_options = _accepted(value, stacklevel=4)

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    @property
    def options(self) -> Options:
        """The run options of the backend inside; ``shots`` are those of a run that is not told how many.

        Where `quell_options` say another number this is a copy, so change options with `set_options`.
        """
        ours, inner = self._quell_options, self.backend.options
        members, shots = ours.twirling.num_randomizations, ours.twirling.shots_per_randomization
        number = ours.default_shots or getattr(inner, "shots", None) or DEFAULT_SHOTS
        if (ours.twirling.enable_gates or ours.twirling.enable_measure) and "auto" not in (members, shots):
            number = int(members) * int(shots)
        if number != getattr(inner, "shots", None):
            inner = copy(inner)
            inner.shots = number
        return inner

    def set_options(self, **fields: Any) -> None:
        """Set run options of the backend inside; ``shots`` are ours."""
        if "shots" in fields:
            self.quell_options.default_shots = _whole(fields.pop("shots"))
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
            **run_options: ``shots`` (else those of `options`), ``memory``, ``parameter_binds``,
                ``seed_simulator``, ``noise_model``, ``meas_level``, ``meas_return``;
                what the backend inside lists in its options goes to its ``run`` unchanged; anything else is
                translated from the options of old runtimes.

        Returns:
            A job whose result has counts in the format of the backend inside, or with ``meas_level=1`` points of
            kerneled measurements, for each shot if ``meas_return="single"``, else averaged. With ``memory``
            shots are in the order in which the backend inside returned them if it lists ``memory``, else sorted.

        Raises:
            InputError: Listing everything that is wrong with the circuits.
            OptionsError: Keywords are unknown, or contradict options.
        """
        shots = _whole(run_options.pop("shots", None))
        memory = run_options.pop("memory", None)
        parameter_binds = run_options.pop("parameter_binds", None)
        for default in (self._memory, getattr(self.backend.options, "memory", None)):
            memory = default if memory is None else memory
        circuits = circuits_of(run_input)
        pubs = pubs_of(circuits, parameter_binds)
        inner = {name: getattr(self.backend.options, name, None) for name in KEYWORDS}
        if self._meas_return is not None:
            inner["meas_return"] = self._meas_return
        options = self._updated(self.quell_options.copy(), run_options, inner, stacklevel=4)
        if options.default_shots is None:
            options.default_shots = _whole(getattr(self.backend.options, "shots", None))
        if memory and "memory" in self.backend.options:
            options.execution.run_options = {**options.execution.run_options, "memory": True}
        if options.seed is None:  # a script that fixes the seed of a simulator expects the same counts again
            options.seed = options.simulator.seed_simulator
        try:
            job = Sampler(self._runs, options).run(pubs, shots=shots)
        except InputError as error:
            raise InputError.of(_in_words_of_run(error.problems)) from None
        return WrappedJob(self, job, circuits, [pub[0] for pub in pubs], memory=bool(memory))

    def _updated(
        self,
        options: SamplerOptions,
        keywords: Mapping[str, Any],
        defaults: Mapping[str, Any],
        *,
        stacklevel: int,
    ) -> SamplerOptions:
        """Return options with keywords of ``run``, which win over what the options say; `defaults` do not."""
        set_meas_type(options, keywords, defaults)
        legacy: dict[str, Any] = {}
        inner = dict(options.execution.run_options)
        for name, value in keywords.items():
            if name in _SIMULATOR:
                if value is not None:  # backends, and the code that calls them, say None for "not given"
                    inner.pop(name, None)
                    options.simulator.update({name: value})
            elif name in KEYWORDS or (value is None and name in RUN and name not in self.backend.options):
                continue
            elif name in self.backend.options:
                inner[name] = value
                if hasattr(options.execution, name):  # said here, and so not there
                    options.execution.update({name: getattr(type(options.execution)(), name)})
            else:
                legacy[name] = value
        options.execution.run_options = inner
        if legacy:
            options = accepted(
                legacy, SamplerOptions, source="AerSimulator.run", base=options, stacklevel=stacklevel
            )
        return options


def _accepted(options: SamplerOptions | Mapping[str, Any] | None, *, stacklevel: int) -> SamplerOptions:
    """Return a checked copy in which `default_shots` that are not set are None."""
    values = options.diff() if isinstance(options, SamplerOptions) else options
    unset = SamplerOptions(default_shots=None)
    return accepted(values, SamplerOptions, base=unset, stacklevel=stacklevel)


def _whole(shots: Any) -> Any:
    """Return whole floats, like the 1e4 of many a script, as the integers that backends make of them."""
    return int(shots) if isinstance(shots, float) and shots.is_integer() else shots


def _in_words_of_run(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Yield problems of the PUBs as problems of the circuits that they were made from."""
    for problem in problems:
        path = problem.path
        yield evolve(problem, path=f"run_input{path[4:]}" if path.startswith("pubs[") else path)
