"""When the instructions of a circuit happen: durations in ticks, start times, and the windows where qubits wait.

Start times are those of Qiskit's scheduling passes, moved to the grid of the device. They are run on a
stand-in that has only the qubits in use and only lengths: so a few qubits of a wide device cost no more than
those few, and any gate can be scheduled that has a duration, whatever it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import lcm
from typing import Any, Final

from attrs import frozen
from qiskit import QuantumCircuit
from qiskit.circuit import (
    Barrier,
    CircuitInstruction,
    ControlFlowOp,
    Delay,
    Gate,
    Instruction,
    Measure,
    Operation,
    ParameterExpression,
    Reset,
)
from qiskit.transpiler import AnalysisPass, InstructionProperties, PassManager, Target
from qiskit.transpiler.passes import ALAPScheduleAnalysis, ASAPScheduleAnalysis

#: Gate name, qubits (None: any), seconds.
Durations = tuple[tuple[str, tuple[int, ...] | None, float], ...]

#: Seconds a tick where the device does not say its own: finer than the clocks of control electronics, so that
#: durations in nanoseconds are whole numbers of ticks.
FINE_TICK: Final = 1e-10
#: Gates that are a change of reference frame where a device gives no duration for them. IBM's targets say 0
#: for rz; those of Aer, and some of trapped ions, say nothing of any gate.
VIRTUAL: Final = frozenset({"rz", "p", "u1", "z", "s", "sdg", "t", "tdg"})
_SECONDS: Final = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}
#: What takes no time and is no use of a qubit.
_WAITING: Final = frozenset({"barrier", "delay"})


@frozen(eq=False)
class Clock:
    """Durations of a device in ticks, and the grid that its instructions start on.

    Attributes:
        target: What the device says; None if nothing is known.
        given: What the user says instead. It wins; an entry for certain qubits wins over one for all.
    """

    target: Target | None
    given: Durations | None = None

    @cached_property
    def _given(self) -> dict[tuple[str, tuple[int, ...] | None], float]:
        return {(name, qubits): seconds for name, qubits, seconds in self.given or ()}

    @property
    def has_dt(self) -> bool:
        """Whether a tick is the device's own time step."""
        return self.target is not None and bool(self.target.dt)

    @property
    def tick(self) -> float:
        """Seconds a tick."""
        return float(self.target.dt) if self.target is not None and self.target.dt else FINE_TICK

    @property
    def alignment(self) -> int:
        """Ticks of the grid that gates start on.

        Of the granularity too: pulses are whole multiples of it, so that what lies between them must be.
        """
        if self.target is None or not self.has_dt:
            return 1
        return lcm(max(1, self.target.pulse_alignment), max(1, self.target.granularity))

    @property
    def acquire_alignment(self) -> int:
        """Ticks of the grid that measurements and resets start on."""
        return max(1, self.target.acquire_alignment) if self.target is not None and self.has_dt else 1

    def ticks(self, name: str, qubits: tuple[int, ...]) -> int | None:
        """Return the duration of a gate, measurement or reset; None if it is not known."""
        seconds = self._given.get((name, qubits), self._given.get((name, None)))
        if seconds is None and self.target is not None and name in self.target.operation_names:
            properties = self.target[name].get(qubits)
            seconds = None if properties is None else properties.duration
        if seconds is None:
            return 0 if name in VIRTUAL else None
        return round(seconds / self.tick)

    def length(self, delay: Operation) -> int | None:
        """Return the length of a delay; None if it is not a number, or in steps that nobody knows."""
        value = delay.duration
        if isinstance(value, ParameterExpression):
            if value.parameters:
                return None
            value = value.numeric()
        if delay.unit == "dt":
            return round(value) if self.has_dt else None
        return round(value * _SECONDS[delay.unit] / self.tick) if delay.unit in _SECONDS else None

    def delay(self, ticks: int) -> Delay:
        """Return a delay: in time steps of the device, in seconds where it has none."""
        return Delay(ticks, "dt") if self.has_dt else Delay(ticks * self.tick, "s")


@frozen
class Window:
    """A time in which a qubit waits.

    Attributes:
        qubit: Index in the circuit.
        start: Ticks.
        stop: Ticks.
        before: Index of the instruction that it ends with; the number of instructions at the end of the circuit.
        fresh: Whether the qubit is in its ground state: nothing but a reset has been done to it.
        last: Whether nothing comes after it but barriers.
    """

    qubit: int
    start: int
    stop: int
    before: int
    fresh: bool
    last: bool


def qubits_of(circuit: QuantumCircuit, instruction: CircuitInstruction) -> tuple[int, ...]:
    """Return the indices of an instruction's qubits."""
    return tuple(circuit.find_bit(bit).index for bit in instruction.qubits)


def used_qubits(circuit: QuantumCircuit) -> list[int]:
    """Return the qubits that something is done to, ascending; waiting and barriers are nothing."""
    used = {
        bit
        for instruction in circuit.data
        if instruction.operation.name not in _WAITING
        for bit in instruction.qubits
    }
    return sorted(circuit.find_bit(bit).index for bit in used)


def unscheduled(circuit: QuantumCircuit, clock: Clock) -> tuple[list[str], list[Any], dict[str, list[Any]]]:
    """Return what has no fixed length.

    Returns:
        Names of control flow, delays, and the qubits of operations without a duration by their name.
    """
    flow: dict[str, None] = {}
    delays: list[Any] = []
    missing: dict[str, dict[tuple[int, ...], None]] = {}
    for instruction in circuit.data:
        operation = instruction.operation
        if isinstance(operation, ControlFlowOp):
            flow[operation.name] = None
        elif operation.name == "delay":
            if clock.length(operation) is None:
                delays.append(operation)
        elif operation.name != "barrier" and instruction.qubits:
            qubits = qubits_of(circuit, instruction)
            if clock.ticks(operation.name, qubits) is None:
                missing.setdefault(operation.name, {})[qubits] = None
    return list(flow), delays, {name: sorted(qubits) for name, qubits in missing.items()}


@frozen
class _Slot:
    """One instruction in the stand-in: its index in the circuit, qubits of the circuit, ticks."""

    index: int
    qubits: tuple[int, ...]
    ticks: int
    instruction: CircuitInstruction


def windows(circuit: QuantumCircuit, clock: Clock, method: str) -> list[Window]:
    """Return where the qubits in use wait, in order of time on each qubit; barriers end windows.

    Args:
        circuit: A circuit on device qubits in which everything has a duration, see `unscheduled`.
        clock: The durations.
        method: "alap" or "asap".
    """
    used = used_qubits(circuit)
    slots = _slots(circuit, clock, set(used))
    starts = _starts(circuit, slots, used, clock, method)
    end = max((start + slot.ticks for start, slot in zip(starts, slots, strict=True)), default=0)
    final = {
        q: slot.index
        for slot in slots
        if slot.instruction.operation.name not in _WAITING
        for q in slot.qubits
    }
    busy_until, fresh = dict.fromkeys(used, 0), dict.fromkeys(used, True)
    found: list[Window] = []
    for start, slot in zip(starts, slots, strict=True):
        name = slot.instruction.operation.name
        if name == "delay":
            continue
        for q in slot.qubits:
            if start > busy_until[q]:
                last = slot.index > final[q]
                found.append(Window(q, busy_until[q], start, slot.index, fresh[q], last))
            busy_until[q] = start + slot.ticks
            if name != "barrier":
                fresh[q] = name == "reset"
    ends = (q for q in used if busy_until[q] < end)
    return [*found, *(Window(q, busy_until[q], end, len(circuit.data), fresh[q], last=True) for q in ends)]


def _slots(circuit: QuantumCircuit, clock: Clock, used: set[int]) -> list[_Slot]:
    slots = []
    for index, instruction in enumerate(circuit.data):
        operation = instruction.operation
        qubits = tuple(q for q in qubits_of(circuit, instruction) if q in used)
        if not qubits:
            continue
        if operation.name == "barrier":
            ticks: int | None = 0
        elif operation.name == "delay":
            ticks = clock.length(operation)
        else:
            ticks = clock.ticks(operation.name, qubits)
        assert ticks is not None  # callers have checked
        slots.append(_Slot(index, qubits, ticks, instruction))
    return slots


class _Recorder(AnalysisPass):
    """Keeps the start times in order of the circuit: those of the nodes themselves end with the pass manager."""

    def run(self, dag: Any) -> None:
        """Record name, qubits and start of every node."""
        start = self.property_set["node_start_time"]
        # Nodes are numbered as they were added, and no pass before this one adds any.
        self.property_set["recorded"] = [
            (node.name, tuple(dag.find_bit(bit).index for bit in node.qargs), int(start[node]))
            for node in dag.op_nodes()
        ]


def _starts(
    circuit: QuantumCircuit, slots: Sequence[_Slot], used: list[int], clock: Clock, method: str
) -> list[int]:
    """Return the start of each slot, ticks, by Qiskit's passes on a device where a step is a tick."""
    place = {q: k for k, q in enumerate(used)}
    stand_in = QuantumCircuit(len(used), circuit.num_clbits)
    kinds: dict[str, Instruction] = {}
    durations: dict[str, dict[tuple[int, ...], InstructionProperties]] = {}
    for slot in slots:
        operation = _stand_in(slot)
        qubits = tuple(place[q] for q in slot.qubits)
        clbits = [circuit.find_bit(bit).index for bit in slot.instruction.clbits]
        stand_in.append(operation, qubits, clbits)
        if operation.name not in _WAITING:
            kinds.setdefault(operation.name, operation)
            durations.setdefault(operation.name, {})[qubits] = InstructionProperties(
                duration=float(slot.ticks)
            )
    if not kinds:
        return []
    device = Target(num_qubits=len(used), dt=1.0)
    for name, operation in kinds.items():
        device.add_instruction(operation, durations[name])
    schedule = ASAPScheduleAnalysis if method == "asap" else ALAPScheduleAnalysis
    passes = PassManager([schedule(target=device), _Recorder()])
    passes.run(stand_in)
    recorded = passes.property_set["recorded"]
    expected = [(i.operation.name, qubits_of(stand_in, i)) for i in stand_in.data]
    assert [(name, qubits) for name, qubits, _ in recorded] == expected
    return _aligned([start for _, _, start in recorded], slots, clock)


def _aligned(starts: Sequence[int], slots: Sequence[_Slot], clock: Clock) -> list[int]:
    """Move instructions back to the grid of the device, and those after them as far as they must.

    As Qiskit's `ConstrainedReschedule` is described. That of qiskit 2.6 has measurements start on the grid of
    gates, whatever their own is.
    """
    free: dict[Any, int] = {}  # when each qubit and bit is
    moved = []
    for start, slot in zip(starts, slots, strict=True):
        name = slot.instruction.operation.name
        step = 1
        if name not in _WAITING:
            step = clock.acquire_alignment if name in ("measure", "reset") else clock.alignment
        wires = (*slot.qubits, *slot.instruction.clbits)
        start = max(start, *(free.get(wire, 0) for wire in wires))
        start += -start % step
        free.update(dict.fromkeys(wires, start + slot.ticks))
        moved.append(start)
    return moved


def _stand_in(slot: _Slot) -> Instruction:
    """Return an operation of the same length; the passes know measurements, resets and gates apart."""
    name, size = slot.instruction.operation.name, len(slot.qubits)
    if name == "delay":
        return Delay(slot.ticks, "dt")
    if name == "barrier":
        return Barrier(size)
    if name in ("measure", "reset"):
        return Measure() if name == "measure" else Reset()
    num_clbits = len(slot.instruction.clbits)
    label = f"{size}_{num_clbits}_{slot.ticks}"
    return Instruction(label, size, num_clbits, []) if num_clbits else Gate(label, size, [])
