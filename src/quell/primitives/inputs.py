"""Checks and preparation of PUBs that the primitives share. Everything here happens before a shot is taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import ControlFlowOp, Gate
from qiskit.transpiler import Target

from ..circuits.template import template_of
from ..errors import Problem
from ..execution.simulated import SIMULATED_DEVICE


def check_parameter_values(
    values: NDArray[np.float64], circuit: QuantumCircuit, path: str
) -> Iterator[Problem]:
    """Yield a problem for every parameter that has a value that is not finite."""
    if values.size and not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values.reshape(-1, values.shape[-1])).all(axis=0))
        names = [p.name for p in circuit.parameters]
        for index in bad:
            yield Problem(f"{path}.parameter_values", f"values of {names[index]!r} are not all finite")


def check_target(circuit: QuantumCircuit, target: Target | None, path: str) -> Iterator[Problem]:
    """Yield a problem for every kind of gate that the device does not list on those qubits.

    Only unitary gates: targets often leave out measurements, resets, delays and control flow that the device
    runs all the same.
    """
    if target is None:
        return
    device, listing, fix = "the backend", "the backend's target", "transpile(circuit, backend)"
    if target.description == SIMULATED_DEVICE:
        device = listing = SIMULATED_DEVICE
        fix = "transpile(circuit, coupling_map=..., basis_gates=...) with the values of these options"
    if target.num_qubits is not None and circuit.num_qubits > target.num_qubits:
        rule = f"has {circuit.num_qubits} qubits, {device} has {target.num_qubits}"
        yield Problem(f"{path}.circuit", rule, fix)
        return
    missing: dict[str, tuple[int, ...]] = {}
    seen: set[tuple[str, tuple[int, ...]]] = set()
    for name, qubits in _gates(circuit, tuple(range(circuit.num_qubits))):
        if (name, qubits) in seen or name in missing:
            continue
        seen.add((name, qubits))
        if not target.instruction_supported(name, qubits):
            missing[name] = qubits
    for name, qubits in missing.items():
        rule = f"has {name!r} on qubits {list(qubits)}, which {listing} does not list"
        yield Problem(f"{path}.circuit", rule, fix)


def _gates(circuit: QuantumCircuit, places: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and qubits of every gate, those in blocks of control flow too."""
    index = dict(zip(circuit.qubits, places, strict=True))
    for instruction in circuit.data:
        operation = instruction.operation
        qubits = tuple(index[bit] for bit in instruction.qubits)
        if isinstance(operation, Gate):
            yield operation.name, qubits
        elif isinstance(operation, ControlFlowOp):
            for block in operation.blocks:
                yield from _gates(block, qubits)


def without_final_measurements(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return the circuit without the measurements that nothing follows; registers stay."""
    measured = {(t.qubit, t.clbit) for t in template_of(circuit).terminals} if circuit.num_clbits else set()
    if not measured:
        return circuit
    bare = circuit.copy_empty_like()
    find = circuit.find_bit
    last: dict[tuple[int, int], int] = {}
    for i, instruction in enumerate(circuit.data):
        if instruction.operation.name == "measure":
            key = (find(instruction.qubits[0]).index, find(instruction.clbits[0]).index)
            if key in measured:
                last[key] = i
    dropped = set(last.values())
    for i, instruction in enumerate(circuit.data):
        if i not in dropped:
            bare._append(instruction)
    return bare


def measuring(circuit: QuantumCircuit, qubits: Iterable[int]) -> tuple[QuantumCircuit, str]:
    """Return the circuit with the given qubits measured into a new register, and the register's name."""
    taken = {register.name for register in circuit.cregs}
    name = "meas"
    while name in taken:
        name = f"_{name}"
    qubits = [int(q) for q in qubits]
    measured: QuantumCircuit = circuit.copy()
    if qubits:
        register = ClassicalRegister(len(qubits), name)
        measured.add_register(register)
        measured.measure(qubits, register)
    return measured, name
