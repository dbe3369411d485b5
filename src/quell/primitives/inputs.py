"""Checks and preparation of PUBs that the primitives share. Everything here happens before a shot is taken."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import ControlFlowOp, Gate
from qiskit.primitives import DataBin
from qiskit.primitives.containers.estimator_pub import EstimatorPub, EstimatorPubLike
from qiskit.primitives.containers.sampler_pub import SamplerPub, SamplerPubLike
from qiskit.transpiler import Target

from ..circuits.template import template_of
from ..errors import Problem
from ..execution.simulated import SIMULATED_DEVICE


def sampler_pub(pub_like: SamplerPubLike, shots: int | None) -> SamplerPub:
    """Return a PUB whose values are those of its circuit's parameters; `shots` are for PUBs that give none.

    Raises:
        TypeError: It is no PUB.
        ValueError: It is one with values or shots that do not fit.
    """
    if isinstance(pub_like, (str, Mapping)) or not isinstance(
        pub_like, (QuantumCircuit, SamplerPub, Sequence)
    ):
        raise TypeError(
            f"must be a circuit or (circuit, parameter_values, shots), not {type(pub_like).__name__}"
        )
    pub = SamplerPub.coerce(pub_like, shots)
    pub.validate()  # a PUB may have been made without
    pub.parameter_values.as_array(pub.circuit.parameters)  # their number is validated, not their names
    return pub


def estimator_pub(pub_like: EstimatorPubLike, precision: float | None) -> EstimatorPub:
    """Return a PUB whose values are those of its circuit's parameters; `precision` is for PUBs that give none.

    Raises:
        ValueError: It is none, or one whose values do not fit.
    """
    pub = EstimatorPub.coerce(pub_like, precision)
    pub.parameter_values.as_array(pub.circuit.parameters)  # their number is validated, not their names
    return pub


def check_registers(circuit: QuantumCircuit, path: str) -> Iterator[Problem]:
    """Yield a problem if samples have no place in a result: no register, or one with a name it cannot have."""
    if not circuit.cregs:
        yield Problem(f"{path}.circuit", "has no classical register", "add measurements")
    for register in circuit.cregs:
        try:
            DataBin(shape=(), **{register.name: None})
        except (TypeError, ValueError):
            rule = f"has a register {register.name!r}, which is a name that the data of a result has itself"
            yield Problem(f"{path}.circuit", rule, "give the register another name")


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
        gates = _gates(circuit, tuple(range(circuit.num_qubits)))
        outside = {name for name, qubits in gates if max(qubits, default=0) >= target.num_qubits}
        foreign = sorted(outside - set(target.operation_names))
        if foreign:  # the vendor's transpiler made them: transpiling again does not help
            rule += f"; {', '.join(map(repr, foreign))} on the others is not in {listing}"
            fix = "let a backend around it add these gates in its run, after mitigation (docs/devices.md)"
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


def measured_bits(circuit: QuantumCircuit) -> list[int]:
    """Return the classical bits that something is measured into, ascending."""
    return sorted({circuit.find_bit(bit).index for instruction in circuit.data for bit in instruction.clbits})


def final_measurements(circuit: QuantumCircuit, registers: Iterable[str] | None = None) -> dict[int, str]:
    """Return the qubits measured last into `registers` (None: all), each with the first that has its bit."""
    if not circuit.num_clbits:
        return {}
    names = [register.name for register in circuit.cregs] if registers is None else list(registers)
    place: dict[int, str] = {}
    for register in circuit.cregs:
        if register.name in names:
            for bit in register:
                place.setdefault(circuit.find_bit(bit).index, register.name)
    return {t.qubit: place[t.clbit] for t in template_of(circuit).terminals if t.clbit in place}


def without_final_measurements(circuit: QuantumCircuit, keep: Collection[int] = ()) -> QuantumCircuit:
    """Return the circuit without the measurements that nothing follows; registers stay, and so do some qubits'."""
    measured = {(t.qubit, t.clbit) for t in template_of(circuit).terminals} if circuit.num_clbits else set()
    measured = {(qubit, clbit) for qubit, clbit in measured if qubit not in keep}
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
