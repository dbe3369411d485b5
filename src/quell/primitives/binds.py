"""Circuits and values of their parameters as ``backend.run`` takes them, made into PUBs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit

from ..errors import InputError, Problem


def circuits_of(run_input: Any) -> list[QuantumCircuit]:
    """Return the circuits of a run as a list.

    Raises:
        InputError: There is none, or one cannot give counts.
    """
    circuits = [run_input] if isinstance(run_input, QuantumCircuit) else run_input
    circuits = list(circuits) if isinstance(circuits, Iterable) else [circuits]
    if not circuits:
        raise InputError.of([Problem("run_input", "has no circuits", "pass a circuit or a list of circuits")])
    problems = []
    for index, circuit in enumerate(circuits):
        path = f"run_input[{index}]"
        if not isinstance(circuit, QuantumCircuit):
            problems.append(Problem(path, f"is a {type(circuit).__name__}", "pass a QuantumCircuit"))
        elif not circuit.num_clbits:
            rule = f"{circuit.name!r} has no classical bits, so there is nothing to count"
            problems.append(Problem(path, rule, "add circuit.measure_all()"))
        elif not any(instruction.clbits for instruction in circuit.data):
            rule = f"{circuit.name!r} has no measurements, so there is nothing to count"
            problems.append(Problem(path, rule, "add circuit.measure(qubits, clbits)"))
    InputError.check(problems)
    return circuits


def pubs_of(circuits: Sequence[QuantumCircuit], parameter_binds: Any = None) -> list[tuple[Any, ...]]:
    """Return one PUB per circuit.

    Args:
        circuits: The circuits.
        parameter_binds: One dict per circuit, from parameters or their names to a value or a list of values;
            or any number of dicts of single values, each of which binds every circuit.

    Raises:
        InputError: Values are missing, not numbers, or lists of different lengths.
    """
    binds = [] if parameter_binds is None else parameter_binds
    if isinstance(binds, Mapping) or not isinstance(binds, Iterable):
        rule = f"must be a list of dicts, not {type(binds).__name__}"
        raise InputError.of([Problem("parameter_binds", rule, "write parameter_binds=[{parameter: values}]")])
    binds = list(binds)
    wrong = [i for i, bind in enumerate(binds) if not isinstance(bind, Mapping)]
    InputError.check(
        Problem(f"parameter_binds[{i}]", f"must be a dict, not {type(binds[i]).__name__}") for i in wrong
    )
    if not binds:
        tables: list[list[Mapping[Any, Any]]] = [[{}]] * len(circuits)
    elif len(binds) == len(circuits):
        tables = [[bind] for bind in binds]
    elif all(np.ndim(value) == 0 for bind in binds for value in bind.values()):
        tables = [binds] * len(circuits)
    else:
        rule = f"has {len(binds)} dicts for {len(circuits)} circuits"
        raise InputError.of([Problem("parameter_binds", rule, "give one dict per circuit")])
    problems: list[Problem] = []
    pubs: list[tuple[Any, ...]] = []
    for index, (circuit, table) in enumerate(zip(circuits, tables, strict=True)):
        circuit = _all_bits_in_registers(circuit)
        if not circuit.num_parameters and len(table) == 1:
            pubs.append((circuit,))
            continue
        rows = [_rows(circuit, bind, f"run_input[{index}]", problems) for bind in table]
        if not problems:
            pubs.append((circuit, np.concatenate(rows)))
    InputError.check(problems)
    return pubs


def _rows(
    circuit: QuantumCircuit, bind: Mapping[Any, Any], path: str, problems: list[Problem]
) -> NDArray[np.float64]:
    """Return values of the circuit's parameters, float64 ``(num_sets, num_parameters)``; scalars are repeated.

    Parameters that the circuit does not have are ignored: one dict may serve many circuits.
    """
    columns: list[NDArray[np.float64]] = []
    missing = []
    for parameter in circuit.parameters:
        value = bind.get(parameter, bind.get(parameter.name))
        if value is None:
            missing.append(parameter.name)
            continue
        try:
            columns.append(np.atleast_1d(np.asarray(value, dtype=float)))
        except (TypeError, ValueError):
            problems.append(Problem(f"{path}: parameter {parameter.name!r}", f"{value!r} is not a number"))
    if missing:
        names = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        rule = f"{circuit.name!r} has parameters without values ({names})"
        problems.append(Problem(path, rule, "pass parameter_binds=[{parameter: values}]"))
        return np.zeros((0, circuit.num_parameters))
    lengths = {column.shape for column in columns}
    if any(len(shape) > 1 for shape in lengths) or len(lengths - {(1,)}) > 1:
        rule = f"has lists of values of different lengths ({sorted(map(len, columns))})"
        problems.append(Problem(path, rule, "give every parameter as many values"))
        return np.zeros((0, circuit.num_parameters))
    if not columns:
        return np.zeros((1, 0))
    return np.stack(np.broadcast_arrays(*columns), axis=-1)


def _all_bits_in_registers(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return the circuit with a register for classical bits that are in none: samples come by register."""
    loose = [bit for bit in circuit.clbits if not circuit.find_bit(bit).registers]
    if not loose:
        return circuit
    circuit = circuit.copy()
    circuit.add_register(ClassicalRegister(bits=loose))
    return circuit
