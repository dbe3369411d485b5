"""What calibrations ask for: the requirements that the stages of an estimator would have, with nothing being run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from attrs import evolve
from qiskit import QuantumCircuit
from qiskit.primitives.containers.observables_array import ObservablesArray

from ..build import Shots, build_pec, estimator_stages
from ..calibration.readout import TwirledReadout
from ..circuits.ensemble import Ensemble
from ..circuits.observables import parse
from ..circuits.template import template_of
from ..errors import Problem, QuellError
from ..execution.runner import Runner
from ..options import ResolvedEstimator
from ..stages.trex import Trex
from .inputs import measuring, without_final_measurements


def qubits_to_read(
    circuits: Sequence[QuantumCircuit], qubits: Iterable[int] | None, runner: Runner
) -> tuple[tuple[int, ...], list[Problem]]:
    """Return the qubits whose readout is learned, and what is wrong with those that were given."""
    size = None if runner.target is None else runner.target.num_qubits
    size = max((c.num_qubits for c in circuits), default=0) if size is None else size
    if qubits is None:
        if circuits:
            return tuple(sorted({q for circuit in circuits for q in _used(circuit)})), []
        if not size:
            rule = f"must be given, because {runner.name} does not say how many it has"
            return (), [Problem("qubits", rule, "pass a list of them")]
        return tuple(range(size)), []
    listed = list(qubits)
    if any(isinstance(q, bool) or not isinstance(q, (int, np.integer)) or q < 0 for q in listed):
        return (), [Problem("qubits", f"must be indices that are not negative (got {listed!r})")]
    beyond = sorted({int(q) for q in listed if size and q >= size})
    problems = [Problem("qubits", f"{beyond} are not among the {size} of {runner.name}")] if beyond else []
    return tuple(sorted({int(q) for q in listed})), problems


def _used(circuit: QuantumCircuit) -> list[int]:
    """Return the qubits that anything acts on but barriers."""
    return sorted(
        {
            circuit.find_bit(bit).index
            for i in circuit.data
            if i.operation.name != "barrier"
            for bit in i.qubits
        }
    )


def layer_requirements(
    circuits: Sequence[QuantumCircuit], resolved: ResolvedEstimator, shots: Shots, runner: Runner
) -> list[Any]:
    """Return what the stage that cancels noise would have to know of circuits.

    Raises:
        UnsupportedError: Listing the circuits whose noise cannot be learned.
    """
    stage = build_pec(resolved, shots)
    asked: list[Any] = []
    problems: list[tuple[type[QuellError], list[Problem]]] = []
    for i, circuit in enumerate(circuits):
        assert stage is not None  # it was switched on
        try:
            asked += stage.needs(_ensemble(circuit, runner))
        except QuellError as error:
            problems.append((type(error), [_renamed(p, f"circuits[{i}]") for p in error.problems]))
    if problems:
        raise problems[0][0].of([p for _, own in problems for p in own])
    return list(dict.fromkeys(asked))


def _renamed(problem: Problem, name: str) -> Problem:
    return evolve(problem, path=problem.path.replace("pub.circuit", name).replace("pub", name))


def _ensemble(circuit: QuantumCircuit, runner: Runner) -> Ensemble:
    """Return the ensemble of an estimator that measures all qubits that a circuit uses."""
    used = _used(circuit)
    label = "".join("Z" if q in used else "I" for q in reversed(range(circuit.num_qubits)))
    observables, _ = parse(ObservablesArray.coerce(label), circuit.num_qubits, "circuit")
    measured, register = measuring(without_final_measurements(circuit), used)
    return Ensemble(
        template=template_of(measured),
        register=register,
        measured=np.array(used, dtype=np.int64),
        parameter_values=np.zeros((1, circuit.num_parameters)),
        parameter_shape=(),
        observables=observables,
        shape=(),
        shots=1,
        target=runner.target,
    )


def readout_requirements(
    qubits: tuple[int, ...],
    widths: Sequence[int],
    resolved: ResolvedEstimator,
    shots: Shots,
    runner: Runner,
) -> list[TwirledReadout]:
    """Return what TREX would have to know, once for each width of circuits."""
    if not qubits:
        return []
    stage = next(s for s in estimator_stages(resolved, shots) if isinstance(s, Trex))
    size = None if runner.target is None else runner.target.num_qubits
    found = []
    for width in sorted(set(widths)) or [max(qubits) + 1 if size is None else size]:
        own = tuple(q for q in qubits if q < width)
        if own:
            found.append(
                TwirledReadout(
                    width,
                    own,
                    stage.num_randomizations,
                    stage.shots_per_randomization,
                    stage.balanced,
                    runner.target,
                )
            )
    return found
