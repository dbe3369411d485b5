"""Rendering: members of a program as circuits.

Two renderings of the same members: `ParametricForm` writes every touched dressing with free angles, one
circuit for all members and an array of values (samplers, simulators with parameter binds); `BoundForm`
writes plain circuits, each dressing in the cheapest form its own angles allow, from instructions that are
made once and shared by all members.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from attrs import define, field
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Barrier, CircuitInstruction, ParameterVector
from qiskit.primitives.containers.sampler_pub import SamplerPub

from ..kernels import angles, paulis
from .dressings import canonical
from .gatesets import Form, Kind, instance_form
from .program import Frames, Program
from .template import Template

Floats = NDArray[np.float64]
_CACHED_DRESSINGS = 2**17


def _member_euler(euler: Floats, frames: Frames, touched: NDArray[np.int64]) -> Floats:
    """Apply frames to the touched dressings' angles: float64 ``(members, num_touched, 3)``."""
    after, before = frames.after[:, touched], frames.before[:, touched]
    if max(after.max(initial=0), before.max(initial=0)) < paulis.NUM_PAULIS:
        return angles.apply_paulis(euler, after, before)
    product = angles.multiply(angles.quaternions_of_euler(euler), paulis.QUATERNIONS[before])
    return angles.euler_of_quaternions(angles.multiply(paulis.QUATERNIONS[after], product))


@define(eq=False)
class ParametricForm:
    """One circuit for all members of a program, and the values of its parameters.

    Attributes:
        program: What is rendered.
        circuit: Touched dressings have free angles; everything else is as the user wrote it.
    """

    program: Program
    circuit: QuantumCircuit = field(init=False)
    _groups: list[tuple[Form, NDArray[np.int64]]] = field(init=False)
    _column_of: NDArray[np.int64] = field(init=False)
    _user_columns: NDArray[np.int64] = field(init=False)
    _tables: dict[int, list[Floats]] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        program, template = self.program, self.program.template
        touched = program.touched_indices
        kinds = self._kinds()
        groups: dict[tuple[Kind, bool], list[int]] = {}
        for position, dressing in enumerate(touched):
            groups.setdefault((kinds[position], template.dressings[dressing].measured), []).append(position)
        self._groups = []
        first_column: dict[int, tuple[Form, int]] = {}
        total = 0
        for (kind, measured), positions in groups.items():
            assert program.gate_set is not None  # stages check this before they touch a dressing
            form = program.gate_set.form(kind, measured=measured)
            width = _width(form)
            self._groups.append((form, np.array(positions)))
            for k, position in enumerate(positions):
                first_column[int(touched[position])] = (form, total + k * width)
            total += width * len(positions)
        self.circuit = self._write(first_column, ParameterVector(self._name(), total))
        self._order_columns(total)

    @property
    def num_parameters(self) -> int:
        """Free angles and user parameters of the circuit."""
        return len(self._column_of)

    def _kinds(self) -> list[Kind]:
        """Return half for dressings whose theta is pi/2 in every setting: frames keep it there."""
        program = self.program
        halves = np.ones(len(program.touched_indices), dtype=bool)
        cliffords = _cliffords(program)
        seen: set[tuple[int, bytes]] = set()
        varies = len(program.plain_euler) > 1
        for setting in range(program.num_settings):
            key = (int(program.parameter_sets[setting]) if varies else 0, program.bases[setting].tobytes())
            if key not in seen:
                seen.add(key)
                halves &= program.euler(setting)[:, 0] == np.pi / 2
        return ["half" if half and not cliffords else "full" for half in halves]

    def _name(self) -> str:
        taken = {parameter.name.split("[")[0] for parameter in self.program.template.circuit.parameters}
        name = "angle"
        while name in taken:
            name += "_"
        return name

    def _write(self, first_column: dict[int, tuple[Form, int]], vector: ParameterVector) -> QuantumCircuit:
        gate_set, template = self.program.gate_set, self.program.template
        bits = template.circuit.qubits
        fixed: dict[tuple[str, int], CircuitInstruction] = {}

        def dressing(index: int) -> Iterator[CircuitInstruction]:
            assert gate_set is not None
            form, column = first_column[index]
            qubit = template.dressings[index].qubit
            for gate in form:
                if gate.rows:
                    parameters = [vector[column + i] for i in range(len(gate.rows))]
                    column += len(gate.rows)
                    yield CircuitInstruction(gate_set.make(gate.name, parameters), (bits[qubit],))
                else:
                    if (gate.name, qubit) not in fixed:
                        fixed[gate.name, qubit] = CircuitInstruction(gate_set.make(gate.name), (bits[qubit],))
                    yield fixed[gate.name, qubit]

        circuit = template.circuit.copy_empty_like()
        for part in emit(template, template.circuit.data, set(first_column)):
            if isinstance(part, int):
                for instruction in dressing(part):
                    circuit._append(instruction)
            else:
                circuit._append(part)
        return circuit

    def _order_columns(self, total: int) -> None:
        """Map the circuit's parameters to rendered columns: free angles first, then the user's own."""
        user = {parameter: i for i, parameter in enumerate(self.program.template.circuit.parameters)}
        columns: list[int] = []
        user_columns: list[int] = []
        for parameter in self.circuit.parameters:
            if parameter in user:
                columns.append(total + len(user_columns))
                user_columns.append(user[parameter])
            else:
                columns.append(parameter.index)
        self._column_of = np.array(columns, dtype=np.int64)
        self._user_columns = np.array(user_columns, dtype=np.int64)

    def _table(self, setting: int) -> list[Floats]:
        """Return, for each group, the parameters of every dressing under the 16 pairs of Paulis."""
        if setting not in self._tables:
            codes: NDArray[np.uint8] = np.arange(16, dtype=np.uint8)
            after, before = (codes >> 2).astype(np.uint8), (codes & 3).astype(np.uint8)
            euler = angles.apply_paulis(self.program.euler(setting)[:, None], after, before)
            self._tables = {
                setting: [
                    _parameters(form, euler[which]).reshape(-1, _width(form)) for form, which in self._groups
                ]
            }
        return self._tables[setting]

    def values(self, start: int, stop: int) -> Floats:
        """Return the parameter values of members, float64 ``(stop - start, num_parameters)``.

        Columns are in the order of ``circuit.parameters``.
        """
        program = self.program
        total = sum(_width(form) * len(which) for form, which in self._groups)
        out = np.empty((stop - start, total + len(self._user_columns)))
        # Frames, indices and table rows of a few members at a time stay in the second-level cache.
        step = max(1, _CACHED_DRESSINGS // max(1, len(program.template.dressings)))
        row = 0
        for setting, first, last in program.slices(start, stop):
            by_table = program.num_randomizations >= 16
            for begin in range(first, last, step):
                end = min(begin + step, last)
                frames = program.frames(setting, begin, end)
                self._fill(out[row : row + end - begin, :total], setting, frames, by_table)
                out[row : row + end - begin, total:] = program.parameter_values[
                    program.parameter_sets[setting], self._user_columns
                ]
                row += end - begin
        if np.array_equal(self._column_of, np.arange(len(self._column_of))):
            return out
        return out[:, self._column_of]

    def _fill(self, out: Floats, setting: int, frames: Frames, by_table: bool) -> None:
        touched = self.program.touched_indices
        by_table = by_table and max(frames.after.max(initial=0), frames.before.max(initial=0)) < 4
        if by_table:
            codes = frames.after << 2 | frames.before
            if len(touched) < codes.shape[1]:
                codes = np.take(codes, touched, axis=1)
        else:
            euler = _member_euler(self.program.euler(setting), frames, touched)
        column = 0
        for k, (form, which) in enumerate(self._groups):
            block = out[:, column : column + _width(form) * len(which)]
            column += block.shape[1]
            if not by_table:
                block[:] = _parameters(form, euler[:, which]).reshape(block.shape)
                continue
            index = np.take(codes, which, axis=1) if len(which) < len(touched) else codes
            block[:] = _gather(self._table(setting)[k], index + np.arange(0, 16 * len(which), 16)).reshape(
                block.shape
            )

    def pub(self, start: int, stop: int) -> SamplerPub:
        """Return members as one PUB with a parameter array of shape ``(stop - start,)``."""
        program = self.program
        if not self.num_parameters:
            values: Any = np.empty((stop - start, 0))
        else:
            values = self.values(start, stop)
        return SamplerPub.coerce((self.circuit, values, program.shots))


def _width(form: Form) -> int:
    """Return the number of parameters of a form."""
    return sum(len(gate.rows) for gate in form)


def _parameters(form: Form, euler: Floats) -> Floats:
    """Return a form's parameters for angles ``(..., 3)``: float64 ``(..., num_form_parameters)``."""
    rows = np.array([row for gate in form for row in gate.rows]).reshape(-1, 4)
    return np.ascontiguousarray(euler @ rows[:, :3].T + rows[:, 3])


def _gather(table: Floats, index: NDArray[np.int64]) -> Floats:
    """Return ``table[index]`` for rows of a few floats; as one item a row where numpy has such a type."""
    if table.shape[1] == 2:
        return np.take(table.view(np.complex128)[:, 0], index).view(np.float64)
    return np.take(table, index, axis=0)


def emit(
    template: Template, data: Sequence[CircuitInstruction], touched: set[int]
) -> Iterator[CircuitInstruction | int]:
    """Yield the instructions of a template in order; a touched dressing as its index, where it ends.

    Args:
        template: What to write.
        data: The circuit's instructions, or those of a bound copy.
        touched: Dressings to leave to the caller.
    """
    bits = template.circuit.qubits
    for kind, payload in template.sequence:
        if kind == "gate":
            dressing, instruction = payload
            if dressing not in touched:
                yield data[instruction]
        elif kind == "close":
            if payload in touched:
                yield payload
        elif kind == "op":
            instruction = template.ops[payload].instruction
            if instruction is not None:
                yield data[instruction]
        elif kind == "barrier":
            yield data[payload]
        else:
            yield CircuitInstruction(Barrier(len(payload)), tuple(bits[q] for q in payload))


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
    _varies: NDArray[np.bool_] | None = field(init=False, default=None)
    _kept: dict[tuple[int, int], NDArray[np.object_]] = field(init=False, factory=dict)
    _gates: dict[Any, CircuitInstruction] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        circuit = self.program.template.circuit
        self._empty = circuit.copy_empty_like()
        # Bulk packing knows nothing of classical variables; circuits with any are built one by one.
        self._bulk = not (circuit.num_vars or any(i.operation.name == "store" for i in circuit.data))
        touched = len(self.program.touched_indices)
        codes = paulis.NUM_CLIFFORDS if _cliffords(self.program) else paulis.NUM_PAULIS
        self._ready = np.full((touched, codes * codes), None, dtype=object)
        self._made = np.zeros(self._ready.shape, dtype=bool)
        self._variant = np.full(touched, -1, dtype=np.int64)

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
        """Switch to the ready tuples of a setting; only dressings whose angles differ are exchanged."""
        for position in np.flatnonzero((variant := self._variants(setting)) != self._variant):
            if self._variant[position] >= 0:
                self._kept[int(position), int(self._variant[position])] = self._ready[position].copy()
            kept = self._kept.get((int(position), int(variant[position])))
            self._ready[position] = None if kept is None else kept
            self._made[position] = False if kept is None else [ready is not None for ready in kept]
        self._variant = variant

    def _variants(self, setting: int) -> NDArray[np.int64]:
        """Number the different angles that each touched dressing has among the settings."""
        program = self.program
        touched, template = program.touched_indices, program.template
        number = 3 * (int(program.parameter_sets[setting]) + 1)
        if self._varies is None:
            self._varies = np.array([template.dressings[d].varies for d in touched], dtype=bool)
        variant = np.where(self._varies, number, 0)
        for terminal, basis in zip(template.terminals, program.bases[setting], strict=True):
            if program.touched[terminal.dressing]:
                variant[np.searchsorted(touched, terminal.dressing)] += basis % 3
        return variant

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
        euler = _member_euler(program.euler(setting)[position], frames, np.arange(len(position)))[0]
        template = program.template
        bits = template.circuit.qubits
        rows = zip(position.tolist(), code.tolist(), canonical(euler).tolist(), strict=True)
        for where, which, angles_ in rows:
            dressing = template.dressings[program.touched_indices[where]]
            ready = []
            for name, parameters in instance_form(gate_set, angles_, dressing.measured):
                key = (name, dressing.qubit, *(round(p, 12) for p in parameters))
                if key not in self._gates:
                    bit = bits[dressing.qubit]
                    self._gates[key] = CircuitInstruction(gate_set.make(name, parameters), (bit,))
                ready.append(self._gates[key])
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


def _cliffords(program: Program) -> bool:
    """Whether some draw uses frames that are not Paulis."""
    return any(getattr(draw, "cliffords", False) for draw in program.draws)
