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
from .gatesets import Form, Kind, instance_form
from .program import Frames, Program
from .template import Template

Floats = NDArray[np.float64]


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
            width = sum(len(gate.rows) for gate in form)
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
        cliffords = any(getattr(draw, "cliffords", False) for draw in program.draws)
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
        columns, user_columns = [], []
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
            codes = np.arange(16, dtype=np.uint8)
            euler = angles.apply_paulis(self.program.euler(setting)[:, None], codes >> 2, codes & 3)
            self._tables = {setting: [_parameters(form, euler[which]) for form, which in self._groups]}
        return self._tables[setting]

    def values(self, start: int, stop: int) -> Floats:
        """Return the parameter values of members, float64 ``(stop - start, num_parameters)``.

        Columns are in the order of ``circuit.parameters``.
        """
        program = self.program
        widths = [sum(len(gate.rows) for gate in form) * len(which) for form, which in self._groups]
        total = sum(widths)
        out = np.empty((stop - start, total + len(self._user_columns)))
        row = 0
        for setting, first, last in program.slices(start, stop):
            rows = slice(row, row + last - first)
            self._fill(out[rows], setting, program.frames(setting, first, last))
            out[rows, total:] = program.parameter_values[program.parameter_sets[setting], self._user_columns]
            row += last - first
        if np.array_equal(self._column_of, np.arange(len(self._column_of))):
            return out
        return out[:, self._column_of]

    def _fill(self, out: Floats, setting: int, frames: Frames) -> None:
        touched = self.program.touched_indices
        by_table = len(out) >= 16 and max(frames.after.max(initial=0), frames.before.max(initial=0)) < 4
        if not by_table:
            euler = _member_euler(self.program.euler(setting), frames, touched)
        else:
            codes = frames.after[:, touched] << 2 | frames.before[:, touched]
        column = 0
        for k, (form, which) in enumerate(self._groups):
            width = sum(len(gate.rows) for gate in form)
            block = out[:, column : column + width * len(which)]
            if by_table:
                table = self._table(setting)[k].reshape(-1, width)
                index = codes[:, which] + np.arange(0, 16 * len(which), 16)
                block[:] = _gather(table, index).reshape(block.shape)
            else:
                block[:] = _parameters(form, euler[:, which]).reshape(block.shape)
            column += width * len(which)

    def pub(self, start: int, stop: int) -> SamplerPub:
        """Return members as one PUB with a parameter array of shape ``(stop - start,)``."""
        program = self.program
        if not self.num_parameters:
            values: Any = np.empty((stop - start, 0))
        else:
            values = self.values(start, stop)
        return SamplerPub.coerce((self.circuit, values, program.shots))


def _parameters(form: Form, euler: Floats) -> Floats:
    """Return a form's parameters for angles ``(..., 3)``: float64 ``(..., num_form_parameters)``."""
    rows = np.array([row for gate in form for row in gate.rows]).reshape(-1, 4)
    return euler @ rows[:, :3].T + rows[:, 3]


def _gather(table: Floats, index: NDArray[np.int64]) -> Floats:
    """Return ``table[index]`` for rows of a few floats; as one item a row where numpy has such a type."""
    if table.shape[1] == 2:
        return np.take(np.ascontiguousarray(table).view(np.complex128)[:, 0], index).view(np.float64)
    return np.take(table, index, axis=0)


def emit(template: Template, data: Sequence[CircuitInstruction], touched: set[int]) -> Iterator[CircuitInstruction | int]:
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
    members, and for every dressing one ready tuple per pair of Paulis, made when first drawn. Building an
    instance is then one lookup a dressing and one bulk packing of the list; no parameter table is involved.
    """

    program: Program
    _shared: dict[int, list[Any]] = field(init=False, factory=dict)
    _ready: dict[Any, tuple[CircuitInstruction, ...]] = field(init=False, factory=dict)
    _gates: dict[Any, CircuitInstruction] = field(init=False, factory=dict)
    _empty: QuantumCircuit = field(init=False)
    _bulk: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        template = self.program.template
        self._empty = template.circuit.copy_empty_like()
        self._empty.global_phase = 0.0
        # Bulk packing sidesteps the bookkeeping of control flow and parameters; circuits with variables keep it.
        self._bulk = not (self._empty.num_vars or any(i.operation.name == "store" for i in template.circuit.data))

    def _parts(self, parameter_set: int) -> list[Any]:
        """Return the emission of one parameter set: tuples of shared instructions, dressing positions as ints."""
        template = self.program.template
        if not template.circuit.num_parameters:
            parameter_set = 0
        if parameter_set not in self._shared:
            circuit = template.circuit
            if circuit.num_parameters:
                circuit = circuit.assign_parameters(self.program.parameter_values[parameter_set])
            position = {int(d): k for k, d in enumerate(self.program.touched_indices)}
            parts: list[Any] = []
            for part in emit(template, list(circuit.data), set(position)):
                if isinstance(part, int):
                    parts.append(position[part])
                elif parts and isinstance(parts[-1], list):
                    parts[-1].append(part)
                else:
                    parts.append([part])
            self._shared = {parameter_set: [tuple(p) if isinstance(p, list) else p for p in parts]}
        return self._shared[parameter_set]

    def circuits(self, start: int, stop: int) -> list[QuantumCircuit]:
        """Return members ``start`` to ``stop`` as circuits without parameters."""
        made: list[QuantumCircuit] = []
        for setting, first, last in self.program.slices(start, stop):
            made += self._setting(setting, self.program.frames(setting, first, last))
        return made

    def _setting(self, setting: int, frames: Frames) -> list[QuantumCircuit]:
        program = self.program
        touched = program.touched_indices
        parts = self._parts(int(program.parameter_sets[setting]))
        where = [k for k, part in enumerate(parts) if not isinstance(part, tuple)]
        positions = np.array([parts[k] for k in where], dtype=np.int64)
        euler = program.euler(setting)
        variants = self._variants(setting)[positions]
        codes = (frames.after[:, touched].astype(np.int64) << 5 | frames.before[:, touched])[:, positions]
        keys = (variants << 10 | codes) * len(program.template.dressings) + touched[positions]
        circuits = []
        row_parts = list(parts)
        for member_keys, member_codes in zip(keys.tolist(), codes, strict=True):
            for k, key, place in zip(where, member_keys, range(len(where)), strict=True):
                ready = self._ready.get(key)
                if ready is None:
                    code = int(member_codes[place])
                    ready = self._make(int(positions[place]), euler, code >> 5, code & 31)
                    self._ready[key] = ready
                row_parts[k] = ready
            circuits.append(self._pack(list(chain.from_iterable(row_parts))))
        return circuits

    def _variants(self, setting: int) -> NDArray[np.int64]:
        """Number the different base angles a dressing has among the settings."""
        program = self.program
        dressings = program.template.dressings
        set_number = int(program.parameter_sets[setting]) + 1
        basis = {t.dressing: int(b) % 3 for t, b in zip(program.template.terminals, program.bases[setting], strict=True)}
        return np.array(
            [
                (set_number * 3 if dressings[d].varies else 0) + basis.get(int(d), 0)
                for d in program.touched_indices
            ],
            dtype=np.int64,
        )

    def _make(self, position: int, euler: Floats, after: int, before: int) -> tuple[CircuitInstruction, ...]:
        program = self.program
        assert program.gate_set is not None
        index = int(program.touched_indices[position])
        dressing = program.template.dressings[index]
        frames = Frames(np.array([[before]], dtype=np.uint8), np.array([[after]], dtype=np.uint8))
        member = _member_euler(euler[position : position + 1], frames, np.zeros(1, dtype=np.int64))[0, 0]
        bit = program.template.circuit.qubits[dressing.qubit]
        ready = []
        for name, parameters in instance_form(program.gate_set, member, dressing.measured):
            key = (name, dressing.qubit, *parameters)
            if key not in self._gates:
                self._gates[key] = CircuitInstruction(program.gate_set.make(name, parameters), (bit,))
            ready.append(self._gates[key])
        return tuple(ready)

    def _pack(self, instructions: list[CircuitInstruction]) -> QuantumCircuit:
        circuit = self._empty.copy_empty_like()
        data = circuit._data
        if self._bulk and hasattr(data, "native_extend"):
            data.native_extend(type(data)(circuit.qubits, circuit.clbits, instructions))
        else:
            for instruction in instructions:
                circuit._append(instruction)
        return circuit
