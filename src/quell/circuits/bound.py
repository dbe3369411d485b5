"""The bound rendering: plain circuits, each dressing in the cheapest form its own angles allow."""

from __future__ import annotations

import numpy as np
from attrs import define, field
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction

from ..kernels import paulis
from .dressings import canonical
from .gatesets import InstanceGates, instance_gates
from .parametric import ParametricForm
from .program import Frames, Program
from .render import emit, member_euler, uses_cliffords


@define(eq=False)
class BoundForm:
    """Plain circuits for the members of a program.

    An instance is a selection from one array of instructions that already exist: those of the circuit itself,
    and for every dressing those it has under the pairs of frames drawn so far; equal ones are one object.
    Building an instance is then one gather, and one bulk packing of the result; no parameter table is
    involved.

    Members of a decoupled program share one schedule, so these are its parametric circuit with values assigned.
    """

    program: Program
    _empty: QuantumCircuit = field(init=False)
    _bulk: bool = field(init=False)
    _pool: NDArray[np.object_] = field(init=False)
    _parts: NDArray[np.int64] = field(
        init=False
    )  # start and length in the pool of every part, (2, num_parts)
    _places: NDArray[np.int64] = field(init=False)  # part of every touched dressing
    _parts_of: int = field(init=False, default=-1)
    _ready: NDArray[np.int64] = field(
        init=False
    )  # start and length of every pair of frames; start -1: not made
    _variant: NDArray[np.int64] = field(init=False)
    _varies: NDArray[np.bool_] = field(init=False)
    _parametric: ParametricForm | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        if self.program.decoupling is not None:
            self._parametric = ParametricForm(self.program)
        circuit = self.program.template.circuit
        self._empty = circuit.copy_empty_like()
        # Bulk packing knows nothing of classical variables; circuits with any are built one by one.
        self._bulk = not (circuit.num_vars or any(i.operation.name == "store" for i in circuit.data))
        dressings, touched = self.program.template.dressings, self.program.touched_indices
        codes = paulis.NUM_CLIFFORDS if uses_cliffords(self.program) else paulis.NUM_PAULIS
        self._ready = np.full((2, len(touched), codes * codes), -1, dtype=np.int64)
        self._variant = np.full(len(touched), -1, dtype=np.int64)
        self._varies = np.array([dressings[d].varies for d in touched], dtype=bool)

    def circuits(self, start: int, stop: int) -> list[QuantumCircuit]:
        """Return members ``start`` to ``stop`` as circuits without parameters."""
        if self._parametric is not None:
            return _assigned(self._parametric, start, stop)
        made: list[QuantumCircuit] = []
        for setting, first, last in self.program.slices(start, stop):
            made += self._setting(setting, self.program.frames(setting, first, last))
        return made

    def _setting(self, setting: int, frames: Frames) -> list[QuantumCircuit]:
        touched = self.program.touched_indices
        self._lay_out(int(self.program.parameter_sets[setting]))
        self._forget(setting)
        base = int(np.sqrt(self._ready.shape[2]))
        codes = frames.after[:, touched].astype(np.int64) * base + frames.before[:, touched]
        self._make_missing(setting, codes)
        dressings = np.arange(len(touched))
        circuits = []
        for row in codes:
            self._parts[:, self._places] = self._ready[:, dressings, row]
            starts, lengths = self._parts
            ends = np.cumsum(lengths)
            index = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)
            circuits.append(self._pack(self._pool[index].tolist()))
        return circuits

    def _lay_out(self, parameter_set: int) -> None:
        """Lay out one parameter set: runs of the circuit's own instructions, gaps at touched dressings."""
        circuit = self.program.template.circuit
        parameter_set = parameter_set if circuit.num_parameters else 0
        if parameter_set == self._parts_of:
            return
        if circuit.num_parameters:
            circuit = circuit.assign_parameters(self.program.parameter_values[parameter_set])
            self._empty.global_phase = circuit.global_phase  # transpilation leaves parameters there
        position = {int(d): k for k, d in enumerate(self.program.touched_indices)}
        own: list[CircuitInstruction] = []
        parts: list[tuple[int, int]] = []
        self._places = np.zeros(len(position), dtype=np.int64)
        for part in emit(self.program.template, list(circuit.data), set(position)):
            if isinstance(part, int):
                self._places[position[part]] = len(parts)
                parts.append((0, 0))
            else:
                parts.append((len(own), 1))
                own.append(part)
        self._parts = np.array(parts, dtype=np.int64).reshape(-1, 2).T.copy()
        self._pool = _objects(own)
        # Sets are visited in order: what was made for another one is not needed again.
        self._ready[:] = -1
        self._parts_of = parameter_set

    def _forget(self, setting: int) -> None:
        """Forget what was made of dressings whose angles are others in this setting."""
        program = self.program
        variant = np.where(self._varies, 3 * (int(program.parameter_sets[setting]) + 1), 0)
        for terminal, basis in zip(program.template.terminals, program.bases[setting], strict=True):
            if program.touched[terminal.dressing]:
                variant[np.searchsorted(program.touched_indices, terminal.dressing)] += basis % 3
        self._ready[:, variant != self._variant] = -1
        self._variant = variant

    def _make_missing(self, setting: int, codes: NDArray[np.int64]) -> None:
        """Add to the pool what some member needs for the first time, all at once."""
        program = self.program
        if program.gate_set is None or not codes.size:
            return
        needed = np.zeros(self._ready.shape[1:], dtype=bool)
        needed[np.arange(codes.shape[1]), codes] = True
        position, code = np.nonzero(needed & (self._ready[0] < 0))
        if not len(position):
            return
        base = int(np.sqrt(self._ready.shape[2]))
        frames = Frames((code % base).astype(np.uint8)[None], (code // base).astype(np.uint8)[None])
        euler = member_euler(program.euler(setting)[position], frames, np.arange(len(position)))[0]
        dressings = [program.template.dressings[d] for d in program.touched_indices]
        measured = np.array([dressing.measured for dressing in dressings], dtype=bool)[position]
        qubit = np.array([dressing.qubit for dressing in dressings], dtype=np.int64)[position]
        least = np.array([dressing.least for dressing in dressings], dtype=np.int64)[position]
        gates = instance_gates(program.gate_set, canonical(euler), measured, least)
        lengths = np.bincount(gates.dressing, minlength=len(position))
        starts = len(self._pool) + np.cumsum(lengths) - lengths
        self._ready[:, position, code] = starts, lengths
        self._pool = np.concatenate([self._pool, self._instructions(gates, qubit[gates.dressing])])

    def _instructions(self, gates: InstanceGates, qubit: NDArray[np.int64]) -> NDArray[np.object_]:
        """Return one instruction a gate, the same object for gates that are equal."""
        gate_set = self.program.gate_set
        assert gate_set is not None
        bits = [(bit,) for bit in self.program.template.circuit.qubits]
        # Name, qubit and a single parameter make an exact key; gates with more parameters are rarely equal.
        kind = gates.name * len(bits) + qubit
        single = np.isnan(gates.parameters[:, 1])
        many = np.arange(1, len(kind) + 1)
        key = np.where(single, kind, -many) + 1j * np.where(
            np.isnan(gates.parameters[:, 0]) | ~single, 0.0, gates.parameters[:, 0]
        )
        _, first, same = np.unique(key, return_index=True, return_inverse=True)
        made = [
            gate_set.instruction(gates.names[name], bits[q], [p for p in row if p == p])  # NaN: no parameter
            for name, q, row in zip(
                gates.name[first].tolist(),
                qubit[first].tolist(),
                gates.parameters[first].tolist(),
                strict=True,
            )
        ]
        return _objects(made)[same.ravel()]

    def _pack(self, instructions: list[CircuitInstruction]) -> QuantumCircuit:
        circuit = self._empty.copy_empty_like()
        if self._bulk:
            circuit._data.extend(instructions)
        else:
            for instruction in instructions:
                circuit._append(instruction)
        return circuit


def _assigned(form: ParametricForm, start: int, stop: int) -> list[QuantumCircuit]:
    if not form.num_parameters:
        return [form.circuit.copy() for _ in range(start, stop)]
    return [form.circuit.assign_parameters(values) for values in form.values(start, stop)]


def _objects(instructions: list[CircuitInstruction]) -> NDArray[np.object_]:
    # Not by assignment of the list: an instruction looks like a sequence, and numpy would look into each.
    return np.fromiter(instructions, dtype=object, count=len(instructions))
