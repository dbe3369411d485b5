"""Finished trials on disk, so that a comparison that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from attrs import frozen
from qiskit import QuantumCircuit
from qiskit.circuit import AnnotatedOperation, ControlFlowOp, Instruction
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.primitives.containers.estimator_pub import EstimatorPub

from ..errors import InputError, Problem
from .records import Trial
from .strategies import plain

_HEAD: Final = "comparison.journal.json"
_TRIALS: Final = "trials"
#: Gates of which name and parameters say all; singletons are of classes of their own.
_STANDARD: Final = frozenset(
    cls for gate in get_standard_gate_name_mapping().values() for cls in (type(gate), gate.base_class)
)


@frozen
class Journal:
    """A folder with one file for each finished trial; files are replaced whole, so none is ever half written.

    Attributes:
        folder: The folder.
    """

    folder: Path

    @classmethod
    def opened(cls, directory: str | os.PathLike[str], head: Mapping[str, Any]) -> Journal:
        """Open a folder, made if missing, for the comparison that `head` describes.

        Args:
            directory: The folder.
            head: Plain data that says what is compared, "seed" included.

        Raises:
            InputError: The folder holds another comparison, or cannot be used.
        """
        folder = Path(directory)
        place = folder / _HEAD
        wanted = json.loads(json.dumps(head))
        try:
            (folder / _TRIALS).mkdir(parents=True, exist_ok=True)
            if not place.exists():
                _write(place, wanted)
                return cls(folder)
            had = json.loads(place.read_text(encoding="utf-8"))
            if not isinstance(had, dict):
                raise ValueError(f"{_HEAD} is no journal")
        except (OSError, ValueError) as error:
            raise InputError.of([Problem(str(folder), f"cannot be used: {error}", "give another")]) from error
        differ = [key for key in {**had, **wanted} if had.get(key) != wanted.get(key)]
        if differ:
            rule = f"holds the trials of another comparison: {', '.join(sorted(differ))} differ"
            raise InputError.of([Problem(str(folder), rule, "give another folder, or empty it")])
        return cls(folder)

    @classmethod
    def seed_of(cls, directory: str | os.PathLike[str]) -> int | None:
        """Return the seed of the comparison in a folder, None if there is none."""
        try:
            data = json.loads((Path(directory) / _HEAD).read_text(encoding="utf-8"))
            return int(data["seed"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def trials(self) -> dict[tuple[str, int], Trial]:
        """Return the trials that are there, by strategy and repeat.

        Raises:
            InputError: A file is damaged.
        """
        found = {}
        for path in sorted((self.folder / _TRIALS).glob("[0-9]*.json")):
            try:
                trial = Trial.from_dict(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError, KeyError) as error:
                rule = f"is no finished trial: {error}"
                raise InputError.of([Problem(str(path), rule, "remove it, and it is run again")]) from error
            found[trial.strategy, trial.repeat] = trial
        return found

    def keep(self, trial: Trial) -> None:
        """Write a finished trial."""
        name = hashlib.sha256(trial.strategy.encode()).hexdigest()[:12]
        _write(self.folder / _TRIALS / f"{trial.repeat:04d}-{name}.json", trial.to_dict())


def _write(path: Path, data: Mapping[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(data, file, indent=1, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def fingerprint(pubs: Sequence[EstimatorPub]) -> str:
    """Return a digest of circuits, observables, parameter values and precisions, the same in every process.

    Circuits are told apart by what they do; names of circuits, registers and what Qiskit counts up do not count.
    """
    total = hashlib.sha256()
    for pub in pubs:
        values = pub.parameter_values.as_array(pub.circuit.parameters)
        parts = [_steps(pub.circuit), values.tolist(), plain(pub.observables.tolist()), pub.precision]
        total.update(json.dumps(parts).encode())
    return total.hexdigest()


def _steps(circuit: QuantumCircuit) -> list[Any]:
    steps: list[Any] = [circuit.num_qubits, circuit.num_clbits]
    for step in circuit.data:
        where = [circuit.find_bit(bit).index for bit in (*step.qubits, *step.clbits)]
        steps.append([_operation(step.operation), where])
    return steps


def _operation(operation: Any) -> list[Any]:
    """Return an operation as plain data, with its definition where its name and parameters do not say all."""
    if isinstance(operation, AnnotatedOperation):
        return ["annotated", repr(operation.modifiers), _operation(operation.base_op)]
    if not isinstance(operation, Instruction) and hasattr(
        operation, "to_instruction"
    ):  # a Clifford, for instance
        operation = operation.to_instruction()
    name = re.sub(r"circuit-\d+", "circuit", operation.name)
    params = [_param(value) for value in getattr(operation, "params", ())]
    more = [repr(getattr(operation, what, None)) for what in ("label", "unit", "condition", "target")]
    says_all = type(operation) in _STANDARD or isinstance(operation, ControlFlowOp) or name == "unitary"
    definition = None if says_all else getattr(operation, "definition", None)
    return [name, params, more, None if definition is None else _steps(definition)]


def _param(value: Any) -> Any:
    if isinstance(value, QuantumCircuit):
        return _steps(value)
    if isinstance(value, np.ndarray):
        return [list(value.shape), hashlib.sha256(np.ascontiguousarray(value, complex).tobytes()).hexdigest()]
    return str(value)
