"""The bound rendering: plain circuits, each dressing in the cheapest form its own angles allow."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
from attrs import define, field
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction

from ..kernels import paulis
from .dressings import canonical
from .gatesets import instance_forms
from .program import Frames, Program
from .render import emit, member_euler, uses_cliffords


@define(eq=False)
class BoundForm:
    """Plain circuits for the members of a program.

    An instance is a list of instructions that already exist: those of the circuit itself, shared by all
    members, and for every dressing one ready tuple per pair of frames, made when first drawn. Building an
    instance is then one look-up a dressing and one bulk packing of the list; no parameter table is involved.
    """

    program: Program
    _empty: QuantumCircuit = field(init=False)
    _bulk: bool = field(init=False)
    _parts: NDArray[np.object_] = field(init=False)
    _places: NDArray[np.int64] = field(init=False)
    _parts_of: int = field(init=False, default=-1)
    _ready: NDArray[np.object_] = field(init=False)
    _made: NDArray[np.bool_] = field(init=False)
    _variant: NDArray[np.int64] = field(init=False)
    _varies: NDArray[np.bool_] = field(init=False)
    _gates: dict[Any, CircuitInstruction] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        circuit = self.program.template.circuit
        self._empty = circuit.copy_empty_like()
        # Bulk packing knows nothing of classical variables; circuits with any are built one by one.
        self._bulk = not (circuit.num_vars or any(i.operation.name == "store" for i in circuit.data))
        dressings, touched = self.program.template.dressings, len(self.program.touched_indices)
        codes = paulis.NUM_CLIFFORDS if uses_cliffords(self.program) else paulis.NUM_PAULIS
        self._ready = np.full((touched, codes * codes), None, dtype=object)
        self._made = np.zeros(self._ready.shape, dtype=bool)
        self._variant = np.full(touched, -1, dtype=np.int64)
        self._varies = np.array([dressings[d].varies for d in self.program.touched_indices], dtype=bool)

    def circuits(self, start: int, stop: int) -> list[QuantumCircuit]:
        """Return members ``start`` to ``stop`` as circuits without parameters."""
        made: list[QuantumCircuit] = []
        for setting, first, last in self.program.slices(start, stop):
            made += self._setting(setting, self.program.frames(setting, first, last))
        return made

    def _setting(self, setting: int, frames: Frames) -> list[QuantumCircuit]:
        touched = self.program.touched_indices
        self._share(int(self.program.parameter_sets[setting]))
        self._select(setting)
        base = int(np.sqrt(self._ready.shape[1]))
        codes = frames.after[:, touched].astype(np.int64) * base + frames.before[:, touched]
        self._make_missing(setting, codes)
        positions = np.arange(len(touched))
        circuits = []
        for row in codes:
            self._parts[self._places] = self._ready[positions, row]
            circuits.append(self._pack(list(chain.from_iterable(self._parts.tolist()))))
        return circuits

    def _share(self, parameter_set: int) -> None:
        """Lay out one parameter set: tuples of the circuit's own instructions, gaps at touched dressings."""
        circuit = self.program.template.circuit
        parameter_set = parameter_set if circuit.num_parameters else 0
        if parameter_set == self._parts_of:
            return
        if circuit.num_parameters:
            circuit = circuit.assign_parameters(self.program.parameter_values[parameter_set])
            self._empty.global_phase = circuit.global_phase  # transpilation leaves parameters there
            self._gates.clear()  # sets are visited in order: another one's gates are not needed again
        position = {int(d): k for k, d in enumerate(self.program.touched_indices)}
        parts: list[Any] = []
        place_of = np.zeros(len(position), dtype=np.int64)
        for part in emit(self.program.template, list(circuit.data), set(position)):
            if isinstance(part, int):
                place_of[position[part]] = len(parts)
                parts.append(())
            elif parts and isinstance(parts[-1], list):
                parts[-1].append(part)
            else:
                parts.append([part])
        self._parts = np.empty(len(parts), dtype=object)
        for k, part in enumerate(parts):
            self._parts[k] = tuple(part)
        self._places = place_of
        self._parts_of = parameter_set

    def _select(self, setting: int) -> None:
        """Forget the ready tuples of dressings whose angles are others in this setting."""
        program = self.program
        variant = np.where(self._varies, 3 * (int(program.parameter_sets[setting]) + 1), 0)
        for terminal, basis in zip(program.template.terminals, program.bases[setting], strict=True):
            if program.touched[terminal.dressing]:
                variant[np.searchsorted(program.touched_indices, terminal.dressing)] += basis % 3
        changed = variant != self._variant
        self._ready[changed] = None
        self._made[changed] = False
        self._variant = variant

    def _make_missing(self, setting: int, codes: NDArray[np.int64]) -> None:
        """Make the tuples that some member needs for the first time; angles of all at once."""
        program = self.program
        gate_set = program.gate_set
        if gate_set is None or not codes.size:
            return
        needed = np.zeros(self._ready.shape, dtype=bool)
        needed[np.arange(codes.shape[1]), codes] = True
        position, code = np.nonzero(needed & ~self._made)
        if not len(position):
            return
        base = int(np.sqrt(self._ready.shape[1]))
        frames = Frames((code % base).astype(np.uint8)[None], (code // base).astype(np.uint8)[None])
        euler = member_euler(program.euler(setting)[position], frames, np.arange(len(position)))[0]
        template = program.template
        dressings = [template.dressings[d] for d in program.touched_indices[position]]
        measured = np.array([dressing.measured for dressing in dressings], dtype=bool)
        bits = [(bit,) for bit in template.circuit.qubits]
        forms = instance_forms(gate_set, canonical(euler), measured)
        for where, which, dressing, form in zip(
            position.tolist(), code.tolist(), dressings, forms, strict=True
        ):
            ready = []
            for name, parameters in form:
                key = (name, dressing.qubit, *parameters)
                gate = self._gates.get(key)
                if gate is None:
                    gate = gate_set.instruction(name, bits[dressing.qubit], parameters)
                    self._gates[key] = gate
                ready.append(gate)
            self._ready[where, which] = tuple(ready)
        self._made[position, code] = True

    def _pack(self, instructions: list[CircuitInstruction]) -> QuantumCircuit:
        circuit = self._empty.copy_empty_like()
        if self._bulk:
            circuit._data.extend(instructions)
        else:
            for instruction in instructions:
                circuit._append(instruction)
        return circuit
