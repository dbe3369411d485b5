"""Calibrate: learn the readout and the noise of layers, without any circuit of one's own being run.

What stages would ask for is asked of the same stages, so that estimators with the same options find in a store what
they need, and all of it is learned in one job.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
from attrs import frozen
from qiskit import QuantumCircuit
from qiskit.primitives import DataBin, PubResult

from ..build import Shots
from ..calibration.layers import LayerModel
from ..calibration.readout import ReadoutCalibration
from ..calibration.rows import Record
from ..calibration.store import CalibrationStore
from ..errors import CalibrationError, InputError, Problem
from ..execution.adapters import runner_for
from ..execution.backends import BackendRunner
from ..execution.jobs import Job
from ..execution.runner import Progress, Runner
from ..options import EstimatorOptions
from ..options.shots import twirling_shots
from ..stages.base import Stage
from .base import Primitive, Submission, check_all
from .inputs import check_target
from .requirements import layer_requirements, qubits_to_read, readout_requirements

#: Stands for the device of functions and samplers until a store names it.
_UNNAMED: Final = "unnamed"


@frozen(eq=False)
class Calibrations:
    """What was learned in one job.

    Attributes:
        layers: The noise of every distinct layer of the circuits, for ``options.resilience.layer_noise_model``.
        readout: The readout under twirling; None where no qubits were asked for.
        metadata: What was run: backend, circuits, shots, seconds and more.
    """

    layers: tuple[LayerModel, ...]
    readout: ReadoutCalibration | None
    metadata: Mapping[str, Any]
    _kept: CalibrationStore

    @property
    def records(self) -> tuple[Record, ...]:
        """What `save` keeps, with shots and quality; empty if the conditions of the run have no name."""
        return tuple(self._kept.records())

    def save(self, store: CalibrationStore | str | os.PathLike[str]) -> int:
        """Keep everything in a store, in place of what it had for the same; return how many records it took.

        Raises:
            CalibrationError: The store cannot be written, or the conditions of the run cannot be named, so that nothing
                could be found again.
        """
        store = CalibrationStore.of(store)
        if not len(self._kept):
            rule = (
                "hold objects that cannot be told apart in another process, so nothing could be found again"
            )
            fix = "give run options and those of the backend as plain values or noise models"
            raise CalibrationError.of([Problem("options of the run or of the backend", rule, fix)])
        _check_device(self._kept, store)
        return store.take(self._kept)

    def __repr__(self) -> str:
        read = 0 if self.readout is None else len(self.readout.qubits)
        return f"<Calibrations of {self.metadata.get('backend')}: {len(self.layers)} layers, readout of {read} qubits>"


def calibrate(
    mode: Any = None,
    circuits: QuantumCircuit | Iterable[QuantumCircuit] = (),
    *,
    qubits: Iterable[int] | None = None,
    options: EstimatorOptions | Mapping[str, Any] | None = None,
    store: CalibrationStore | str | os.PathLike[str] | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Calibrations:
    """Learn the noise of the layers of circuits and the readout of qubits, in one job, and wait for it.

    An estimator that has the same store and options finds both. Of the options those count that say how circuits are
    run (simulator, run options, decoupling), how much is learned (``resilience.layer_noise_learning``,
    ``resilience.measure_noise_learning``), and which qubits wait (``twirling.strategy``). What an estimator needs with
    more effort than was spent here it learns again.

    Args:
        mode: A backend, sampler or function, a `Session` or a `Batch`; None for the one whose `with` block this is in.
        circuits: Circuits whose layers are learned, written for the device; values of their parameters do not matter.
        qubits: Qubits whose readout is learned; none for an empty list. By default those that the circuits use, and all
            of the device if there are no circuits.
        options: Options of an estimator.
        store: Where to keep what is learned, a `CalibrationStore` or the path of its file.
        seed: Seed of everything random; that of the options by default.
        progress: Called with the number of circuits done and their total.

    Raises:
        InputError: Listing everything that is wrong with circuits and qubits.
        OptionsError: Options contradict each other or the backend.
        UnsupportedError: The noise of a layer is not that of a Pauli channel.
        CalibrationError: The store cannot be used, or nobody says what device a function or sampler runs on; this is
            found before anything runs.
        ExecutionError: The device failed.

    Example:
        >>> found = calibrate(backend, [circuit], store="calibrations.sqlite")
        >>> estimator = Estimator(backend, {"resilience": {"layer_noise_model": found.layers, "pec_mitigation": True}})
    """
    target = None if store is None else CalibrationStore.of(store)
    given = [circuits] if isinstance(circuits, QuantumCircuit) else list(circuits)
    calibrator = Calibrator(mode, options, progress=progress)
    name = None if calibrator.has_name else _UNNAMED
    kept = CalibrationStore(
        ":memory:", device=name if target is None or target.device is None else target.device
    )
    if target is not None:
        _check_device(kept, target)
    job, asked = calibrator.run(given, qubits, kept, seed)
    result = job.result()
    outcomes: list[Any] = result[0].metadata["outcomes"]
    models: dict[int, LayerModel] = {id(o): o for o in outcomes if isinstance(o, LayerModel)}
    readouts = [o for o in outcomes if isinstance(o, ReadoutCalibration)]
    found = Calibrations(tuple(models.values()), readouts[0] if readouts else None, result.metadata, kept)
    assert len(outcomes) == len(asked)
    if target is not None:
        found.save(target)
    return found


def _check_device(kept: CalibrationStore, store: CalibrationStore) -> None:
    """Raise a CalibrationError if nobody says what device something was learned on."""
    if kept.device == _UNNAMED and store.device is None:
        rule = "has no name for the device, and functions and samplers do not say on what they run"
        fix = "open it with one, CalibrationStore(path, device=...)"
        raise CalibrationError.of([Problem("store", rule, fix)])


@frozen
class _Ask(Stage[None, Any, Any, list[Any]]):
    """Ask for requirements, and hand on what was found out."""

    requirements: tuple[Any, ...]

    def requires(self, task: None) -> Iterable[Any]:
        return self.requirements

    def expand(
        self, task: None, known: Mapping[Any, Any], rng: np.random.Generator
    ) -> tuple[Sequence[Any], Any]:
        return [known[requirement] for requirement in self.requirements], None

    def combine(self, residue: Any, results: Sequence[Any]) -> list[Any]:
        return list(results)

    def describe(self, residue: Any = None) -> str:
        return "Calibrate"


class Calibrator(Primitive[EstimatorOptions]):
    """Learns what an estimator would need."""

    _options_class: ClassVar[Any] = EstimatorOptions

    def learn(self, requirements: Sequence[Any], seed: int) -> Job:
        """Learn what stages have asked for, in one job; a Session keeps it for the jobs behind it.

        Raises:
            OptionsError: Options contradict each other or the backend.
        """
        self._options.seed = seed
        problems: list[Problem] = []
        resolved, runner, of_options = self._resolve([], problems)
        check_all(problems, of_options)
        return self._asking(requirements, resolved, runner).launch()

    def _asking(self, asked: Sequence[Any], resolved: Any, runner: Runner) -> Submission:
        return self._submission(
            [((_Ask(tuple(asked)),), None)],
            runner,
            resolved,
            lambda combined: [PubResult(DataBin(), {"outcomes": combined[0]})],
            {},
        )

    @property
    def has_name(self) -> bool:
        """Whether the mode says on what device it runs."""
        return isinstance(runner_for(self._runs_on), BackendRunner)

    def run(
        self,
        circuits: Sequence[QuantumCircuit],
        qubits: Iterable[int] | None,
        kept: CalibrationStore,
        seed: int | None,
    ) -> tuple[Job, tuple[Any, ...]]:
        """Return the job that learns everything and keeps it, and what it was asked for."""
        problems = [
            Problem(f"circuits[{i}]", f"must be a QuantumCircuit, not {type(circuit).__name__}")
            for i, circuit in enumerate(circuits)
            if not isinstance(circuit, QuantumCircuit)
        ]
        InputError.check(problems)
        # All that could ask for something is switched on; nothing is taken that others have learned.
        self._options.update(
            {
                "resilience": {
                    "measure_mitigation": True,
                    "pec_mitigation": bool(circuits),
                    "zne_mitigation": False,
                    "layer_noise_model": None,
                },
                "twirling": {"enable_gates": True, "enable_measure": True},
                "execution": {"precision_target": "shots"},
                "calibration": {"max_age": 0, "store": kept, "when_old": "relearn"},
            }
        )
        if seed is not None:
            self._options.seed = seed
        resolved, runner, of_options = self._resolve(circuits, problems)
        for i, circuit in enumerate(circuits):
            problems += check_target(circuit, runner.checked_target, f"circuits[{i}]")
        widths = [circuit.num_qubits for circuit in circuits]
        read, found = qubits_to_read(circuits, qubits, runner)
        check_all([*problems, *found], of_options)
        assert resolved is not None
        requested = resolved.default_shots or round(resolved.default_precision**-2)
        shots = Shots(*twirling_shots(requested, resolved.twirling))
        asked = (
            *layer_requirements(circuits, resolved, shots, runner),
            *readout_requirements(read, widths, resolved, shots, runner),
        )
        if not asked:
            rule = "have no layers of two-qubit gates, and there are no qubits"
            raise InputError.of(
                [Problem("circuits", rule, "give circuits, or qubits whose readout is learned")]
            )
        return self._asking(asked, resolved, runner).launch(), asked
