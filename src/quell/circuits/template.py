"""Templates: a circuit as dressings (runs of single-qubit gates) between operations.

Between two operations on a qubit all its single-qubit gates form one *dressing*. Whatever randomisation
does to a circuit happens at dressings: a Pauli before the dressing, a Pauli after it. Everything else
(entangling gates, mid-circuit measurement, reset, control flow, delay, gates on three or more qubits) is
an *operation*; those that are two-qubit gates with a matrix can be twirled, the others are carried as
they are and frames around them are zero.

A template only reads its circuit. `sequence` lists the circuit's instructions in their order, with a mark
where each dressing ends, so dressings that nothing touches are emitted exactly as the user wrote them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, ControlFlowOp, Gate, Operation, ParameterExpression

from ..kernels import paulis
from .dressings import IDENTITY, Atoms, Euler, canonical, compose, evaluate, gate_euler

_GENERIC: Final = (0.7390851, 1.3247180)  # values at which a symbolic gate has no accidental symmetry


@frozen(eq=False)
class Dressing:
    """The single-qubit gates of one qubit between two operations.

    Attributes:
        qubit: Index in the circuit.
        instructions: Indices of its gates in ``circuit.data``.
        gates: Euler angles of each gate in time order.
        product: Their product, None where it is not affine in the circuit's atoms.
        varies: Whether the angles depend on the user's parameters.
        measured: Whether a terminal measurement comes next.
        least: Pulses that it takes at least where it is touched, so that it has the noise of what it copies.
        repeated: Whether copies of it are made in other members of a noise amplification.
    """

    qubit: int
    instructions: tuple[int, ...] = ()
    gates: tuple[Euler, ...] = ()
    product: Euler | None = IDENTITY
    varies: bool = False
    measured: bool = False
    least: int = 0
    repeated: bool = False

    @property
    def is_constant(self) -> bool:
        """Whether the angles are numbers that are known."""
        return self.product is not None and not self.varies


@frozen(eq=False)
class Op:
    """An operation between dressings: index in ``circuit.data`` (None: a twirled idle), qubits, dressings."""

    instruction: int | None
    qubits: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    layer: int
    matrices: tuple[NDArray[np.complex128], ...] = ()

    def choices(self, *, cliffords: bool = False) -> NDArray[np.uint8]:
        """Return the local frames that cancel around this operation: uint8 ``(K, 2 * num_qubits)``.

        Rows are frames before and frames after it with (after) U (before) = U. Symbolic gates keep only the
        rows that hold at generic parameter values.
        """
        if self.instruction is None:
            frames = np.arange(paulis.NUM_CLIFFORDS if cliffords else paulis.NUM_PAULIS, dtype=np.uint8)
            return np.stack([frames, paulis.inverse(frames)], axis=1)
        if not self.matrices:
            return np.zeros((1, 2 * len(self.qubits)), dtype=np.uint8)
        choices = paulis.two_qubit_choices(self.matrices[0], cliffords=cliffords)
        for matrix in self.matrices[1:]:
            others = {row.tobytes() for row in paulis.two_qubit_choices(matrix, cliffords=cliffords)}
            choices = choices[[row.tobytes() in others for row in choices]]
        return np.concatenate([choices[:, :2], paulis.inverse(choices[:, 2:])], axis=1)


@frozen
class Terminal:
    """A measurement that nothing on its qubit or its bit follows."""

    qubit: int
    clbit: int
    dressing: int


#: ("gate", instruction) | ("close", dressing) | ("op", op) | ("barrier", instruction or qubits)
Item = tuple[Literal["gate", "close", "op", "barrier", "sync"], Any]


@frozen(eq=False)
class Template:
    """A circuit cut into dressings and operations; see the module's text.

    Attributes:
        circuit: The circuit as given; never changed.
        dressings: All dressings, indexed by frames.
        ops: Operations in time order.
        sequence: What to emit, in order.
        terminals: Final measurements, in order of classical bits.
        expressions: The atoms: parameter expressions that dressings depend on.
        written: Names of the single-qubit gates the circuit is written in.
    """

    circuit: QuantumCircuit
    dressings: tuple[Dressing, ...]
    ops: tuple[Op, ...]
    sequence: tuple[Item, ...]
    terminals: tuple[Terminal, ...]
    expressions: tuple[ParameterExpression, ...] = field(repr=False)
    written: frozenset[str]

    @property
    def num_qubits(self) -> int:
        """Width of the circuit."""
        return int(self.circuit.num_qubits)

    @property
    def num_layers(self) -> int:
        """Layers of disjoint operations."""
        return max((op.layer for op in self.ops), default=-1) + 1

    @cached_property
    def _final(self) -> frozenset[int]:
        return frozenset(terminal.dressing for terminal in self.terminals)

    def is_final(self, op: Op) -> bool:
        """Return whether an operation is a terminal measurement."""
        return bool(op.before) and op.before[0] in self._final

    def atoms(self, parameter_values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate the atoms at parameter sets ``(num_sets, num_parameters)`` in circuit order."""
        parameters = list(self.circuit.parameters)
        column = {parameter: i for i, parameter in enumerate(parameters)}
        values = np.empty((len(parameter_values), len(self.expressions)))
        for k, expression in enumerate(self.expressions):
            used = [column[p] for p in expression.parameters]
            if len(used) == 1 and expression == parameters[used[0]]:
                values[:, k] = parameter_values[:, used[0]]
            else:
                values[:, k] = [
                    expression.bind({parameters[i]: row[i] for i in used}).numeric()
                    for row in parameter_values
                ]
        return values

    def euler(self, atoms: NDArray[np.float64], which: Iterable[int] | None = None) -> NDArray[np.float64]:
        """Return canonical angles of dressings, float64 ``(num_sets, len(which), 3)`` (theta, phi, lam)."""
        chosen = range(len(self.dressings)) if which is None else list(which)
        angles = np.zeros((len(atoms), len(chosen), 3))
        for column, index in enumerate(chosen):
            dressing = self.dressings[index]
            if dressing.is_constant and dressing.product is not None:
                angles[:, column] = [angle.const for angle in dressing.product]
            else:
                angles[:, column] = evaluate(dressing.gates, dressing.product, atoms)
        return canonical(angles)


class Builder:
    """A template being written in one pass over a circuit; the only mutable thing in this module."""

    def __init__(self) -> None:
        self.dressings: list[dict[str, Any]] = []
        self.ops: list[Op] = []
        self.items: list[Item] = []
        self.open: dict[int, int] = {}

    def dressing(self, qubit: int) -> int:
        """Return the number of the open dressing of a qubit, a new one if there is none."""
        if qubit not in self.open:
            self.open[qubit] = len(self.dressings)
            self.dressings.append(
                {
                    "qubit": qubit,
                    "instructions": [],
                    "gates": [],
                    "product": IDENTITY,
                    "measured": False,
                    "least": 0,
                    "repeated": False,
                }
            )
        return self.open[qubit]

    def gate(self, qubit: int, index: int, euler: Euler) -> None:
        """Add a single-qubit gate to the open dressing of its qubit."""
        dressing = self.dressings[self.dressing(qubit)]
        dressing["instructions"].append(index)
        dressing["gates"].append(euler)
        product = dressing["product"]
        dressing["product"] = None if product is None else compose(euler, product)
        self.items.append(("gate", (self.open[qubit], index)))

    def op(self, qubits: tuple[int, ...], **attributes: Any) -> Op:
        """Add an operation: it ends the dressings before it and begins those after it."""
        before = tuple(self.dressing(q) for q in qubits)
        self.items += [("close", d) for d in before]
        for q in qubits:
            del self.open[q]
        after = tuple(self.dressing(q) for q in qubits)
        op = Op(qubits=qubits, before=before, after=after, **attributes)
        self.items.append(("op", len(self.ops)))
        self.ops.append(op)
        return op

    def close_all(self) -> None:
        """End all open dressings."""
        self.items += [("close", d) for d in self.open.values()]

    def frozen_dressings(self) -> tuple[Dressing, ...]:
        """Return the dressings, to be changed no more."""
        return tuple(
            Dressing(
                qubit=d["qubit"],
                instructions=tuple(d["instructions"]),
                gates=tuple(d["gates"]),
                product=d["product"],
                varies=any(angle.terms for gate in d["gates"] for angle in gate),
                measured=d["measured"],
                least=d["least"],
                repeated=d["repeated"],
            )
            for d in self.dressings
        )


def template_of(circuit: QuantumCircuit) -> Template:
    """Cut a circuit into dressings and operations; linear in the number of gates.

    Layers are as early as possible; a barrier makes its qubits wait for each other and so acts as the hint
    its writer meant. Barriers do not cut dressings.
    """
    atoms, build = Atoms(), Builder()
    qubit_index = {bit: i for i, bit in enumerate(circuit.qubits)}
    clbit_index = {bit: i for i, bit in enumerate(circuit.clbits)}
    level: dict[Any, int] = {}
    last_writer: dict[int, int] = {}
    last_on_qubit: dict[int, int] = {}
    written: set[str] = set()
    matrices: dict[tuple[Any, ...], tuple[NDArray[np.complex128], ...]] = {}
    for index, instruction in enumerate(circuit.data):
        # Without asking for the operation, an object that qiskit makes anew each time.
        name, qubits = instruction.name, tuple(qubit_index[bit] for bit in instruction.qubits)
        if name == "barrier":
            front = max((level.get(q, 0) for q in qubits), default=0)
            level.update(dict.fromkeys(qubits, front))
            build.items.append(("barrier", index))
            continue
        if len(qubits) == 1 and not instruction.clbits:
            euler = gate_euler(instruction, atoms)
            if euler is not None:
                build.gate(qubits[0], index, euler)
                written.add(name)
                last_on_qubit[qubits[0]] = -1
                continue
        wires = _wires(instruction, circuit, qubits, clbit_index)
        layer = max((level.get(w, 0) for w in wires), default=0)
        level.update(dict.fromkeys(wires, layer + 1))
        # Gates of one kind share their matrices, and with them what is worked out about a kind. Only of
        # qiskit's own gates do name and parameters say everything.
        kind = (name, *instruction.params) if instruction.is_standard_gate() else (index,)
        if kind not in matrices:
            matrices[kind] = _matrices(instruction.operation)
        build.op(qubits, instruction=index, layer=layer, matrices=matrices[kind])
        last_on_qubit.update(dict.fromkeys(qubits, index))
        for wire in wires:
            if isinstance(wire, tuple):
                last_writer[wire[1]] = index
    build.close_all()
    terminals = []
    for op in build.ops:
        assert op.instruction is not None  # idles are only added later
        instruction = circuit.data[op.instruction]
        if instruction.name != "measure":
            continue
        clbit = clbit_index[instruction.clbits[0]]
        if last_on_qubit[op.qubits[0]] == op.instruction == last_writer[clbit]:
            build.dressings[op.before[0]]["measured"] = True
            terminals.append(Terminal(op.qubits[0], clbit, op.before[0]))
    terminals.sort(key=lambda t: t.clbit)
    return Template(
        circuit=circuit,
        dressings=build.frozen_dressings(),
        ops=tuple(build.ops),
        sequence=tuple(build.items),
        terminals=tuple(terminals),
        expressions=tuple(atoms.expressions),
        written=frozenset(written),
    )


def _wires(
    instruction: CircuitInstruction, circuit: QuantumCircuit, qubits: tuple[int, ...], clbits: dict[Any, int]
) -> list[Any]:
    """Everything an operation must wait for: qubits, classical bits, and for control flow all of them."""
    if not (qubits and instruction.is_standard_gate()) and (
        not qubits or isinstance(instruction.operation, ControlFlowOp)
    ):
        # Conditions and stores may read any bit or variable; waiting for all of them is always right.
        return [*qubits, *(("c", i) for i in range(circuit.num_clbits)), "variables"]
    return [*qubits, *(("c", clbits[bit]) for bit in instruction.clbits)]


def _matrices(operation: Operation) -> tuple[NDArray[np.complex128], ...]:
    """Return a two-qubit gate's matrix, at two generic points if symbolic; empty if it cannot be twirled."""
    if not isinstance(operation, Gate) or operation.num_qubits != 2:
        return ()
    symbolic = any(isinstance(p, ParameterExpression) and p.parameters for p in operation.params)
    try:
        if not symbolic:
            return (np.asarray(operation.to_matrix(), dtype=complex),)
        matrices = []
        for value in _GENERIC:
            gate = operation.to_mutable()
            gate.params = [value * (k + 1) for k in range(len(gate.params))]
            matrices.append(np.asarray(gate.to_matrix(), dtype=complex))
        return tuple(matrices)
    except Exception:  # a third-party gate without a matrix: carried, not twirled
        return ()
