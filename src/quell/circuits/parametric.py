"""The parametric rendering: one circuit with free angles for all members, and an array of their values.

For samplers that take parameter arrays and simulators that take parameter binds. Under Paulis a dressing has
16 possible rows of parameters; they are worked out once a setting, and a member is one look-up a dressing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from attrs import define, field
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, ParameterVector
from qiskit.primitives.containers.sampler_pub import SamplerPub

from ..kernels import angles
from .decoupling import decoupled
from .gatesets import Form, Kind
from .program import Frames, Program
from .render import Floats, emit, member_euler, uses_cliffords

#: Dressings of all members that are rendered at a time.
_CACHED_DRESSINGS: Final = 2**17


@define(eq=False)
class ParametricForm:
    """One circuit for all members of a program, and the values of its parameters.

    Attributes:
        program: What is rendered.
        circuit: Touched dressings have free angles; everything else is as the user wrote it. Delays and pulses
            between them where the program is decoupled.
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
        if program.decoupling is not None:
            # Once for all members: what a touched dressing is written in has the same length for any angles.
            self.circuit = decoupled(self.circuit, program.decoupling, program.target)
        self._order_columns(total)

    @property
    def num_parameters(self) -> int:
        """Free angles and user parameters of the circuit."""
        return len(self._column_of)

    def _kinds(self) -> list[Kind]:
        """Return half for dressings whose theta is pi/2 in every setting: frames keep it there.

        But not for those that are repeated elsewhere: their copies are Paulis, which are written in full.
        """
        program = self.program
        halves = np.array(
            [not program.template.dressings[d].repeated for d in program.touched_indices], dtype=bool
        )
        cliffords = uses_cliffords(program)
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
        bits = [(bit,) for bit in template.circuit.qubits]
        fixed: dict[tuple[str, int], CircuitInstruction] = {}

        def dressing(index: int) -> Iterator[CircuitInstruction]:
            assert gate_set is not None
            form, column = first_column[index]
            qubit = template.dressings[index].qubit
            for gate in form:
                if gate.rows:
                    parameters = [vector[column + i] for i in range(len(gate.rows))]
                    column += len(gate.rows)
                    yield gate_set.instruction(gate.name, bits[qubit], parameters)
                else:
                    if (gate.name, qubit) not in fixed:
                        fixed[gate.name, qubit] = gate_set.instruction(gate.name, bits[qubit], [])
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
            euler = member_euler(self.program.euler(setting), frames, touched)
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
