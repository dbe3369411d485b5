"""When the instructions of a circuit happen: durations in ticks, start times, and the windows where qubits wait.

Start times are those of Qiskit's scheduling passes, moved to the grid of the device. They are worked out on
names and indices: the passes need an object and an entry in a device for each length, which takes longer than
all else here, and know only the gates of their device.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from math import lcm
from typing import Any, Final, NamedTuple

from attrs import frozen
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Delay, Operation, ParameterExpression
from qiskit.transpiler import Target

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


class Step(NamedTuple):
    """An instruction without its object: name, indices of its qubits and of its classical bits."""

    name: str
    qubits: tuple[int, ...]
    clbits: tuple[int, ...] = ()


@frozen(eq=False)
class Outline:
    """What a schedule takes from a circuit, read once.

    Attributes:
        num_qubits: Of the circuit.
        num_clbits: Of the circuit.
        steps: All instructions.
        delays: Those of them that are delays, by index.
        flow: Names of control flow.
    """

    num_qubits: int
    num_clbits: int
    steps: tuple[Step, ...]
    delays: Mapping[int, Operation]
    flow: tuple[str, ...]

    @cached_property
    def _kinds(self) -> dict[tuple[str, tuple[int, ...]], None]:
        return dict.fromkeys([(name, qubits) for name, qubits, _ in self.steps])

    @cached_property
    def used(self) -> list[int]:
        """The qubits that something is done to, ascending; waiting and barriers are nothing."""
        return sorted({q for name, qubits in self._kinds if name not in _WAITING for q in qubits})

    @cached_property
    def timed(self) -> list[tuple[str, tuple[int, ...]]]:
        """Names and qubits of all that needs a duration, each once: what neither waits nor is control flow."""
        none = _WAITING.union(self.flow)
        return [(name, qubits) for name, qubits in self._kinds if qubits and name not in none]

    @property
    def written(self) -> set[str]:
        """Names of what is done to single qubits."""
        return {name for name, qubits in self._kinds if len(qubits) == 1}


def outline_of(
    circuit: QuantumCircuit, instructions: Iterable[CircuitInstruction | Step] | None = None
) -> Outline:
    """Return the outline of a circuit, or of other instructions on its bits."""
    qubit_index = {bit: i for i, bit in enumerate(circuit.qubits)}.__getitem__
    clbit_index = {bit: i for i, bit in enumerate(circuit.clbits)}.__getitem__
    steps: list[Step] = []
    delays: dict[int, Operation] = {}
    flow: dict[str, None] = {}
    for index, instruction in enumerate(circuit.data if instructions is None else instructions):
        if isinstance(instruction, Step):
            steps.append(instruction)
            continue
        # Without asking for the operation, an object that qiskit makes anew each time.
        name, clbits = instruction.name, instruction.clbits
        if name == "delay":
            delays[index] = instruction.operation
        elif instruction.is_control_flow():
            flow[name] = None
        qubits = tuple(map(qubit_index, instruction.qubits))
        steps.append(Step(name, qubits, tuple(map(clbit_index, clbits)) if clbits else ()))
    return Outline(circuit.num_qubits, circuit.num_clbits, tuple(steps), delays, tuple(flow))


def unscheduled(outline: Outline, clock: Clock) -> tuple[list[Any], dict[str, list[Any]]]:
    """Return what has no fixed length, besides control flow.

    Returns:
        Delays, and the qubits of operations without a duration by their name.
    """
    missing: dict[str, list[Any]] = {}
    for name, qubits in outline.timed:
        if clock.ticks(name, qubits) is None:
            missing.setdefault(name, []).append(qubits)
    delays = [delay for delay in outline.delays.values() if clock.length(delay) is None]
    return delays, {name: sorted(qubits) for name, qubits in missing.items()}


class Slot(NamedTuple):
    """An instruction on the schedule: its index, and as wires its qubits and bits, numbered on after the qubits."""

    place: int
    name: str
    qubits: tuple[int, ...]
    wires: tuple[int, ...]
    ticks: int


def windows(outline: Outline, clock: Clock, method: str) -> list[Window]:
    """Return where the qubits in use wait, in order of time on each qubit; barriers end windows.

    Args:
        outline: A circuit on device qubits in which everything has a duration, see `unscheduled`.
        clock: The durations.
        method: "alap" or "asap".
    """
    # Qubits that nothing is done to are on the schedule too: barriers may meet there, or wait for a delay.
    slots = slots_of(outline, clock)
    count = outline.num_qubits + outline.num_clbits
    starts = _aligned(start_times(slots, count, method), slots, count, clock)
    end = max((start + slot.ticks for start, slot in zip(starts, slots, strict=True)), default=0)
    final = {q: slot.place for slot in slots if slot.name not in _WAITING for q in slot.qubits}
    busy_until, fresh = dict.fromkeys(outline.used, 0), dict.fromkeys(outline.used, True)
    found: list[Window] = []
    for start, (index, name, qubits, _, ticks) in zip(starts, slots, strict=True):
        if name == "delay":
            continue
        for q in qubits:
            if q not in busy_until:
                continue
            if start > busy_until[q]:
                found.append(Window(q, busy_until[q], start, index, fresh[q], last=index > final[q]))
            busy_until[q] = start + ticks
            if name != "barrier":
                fresh[q] = name == "reset"
    ends = (q for q in outline.used if busy_until[q] < end)
    return [*found, *(Window(q, busy_until[q], end, len(outline.steps), fresh[q], last=True) for q in ends)]


def slots_of(outline: Outline, clock: Clock) -> list[Slot]:
    """Return all that is on qubits, in the order of the circuit, with lengths."""
    lengths = {kind: clock.ticks(*kind) for kind in outline.timed}
    slots = []
    for index, (name, qubits, clbits) in enumerate(outline.steps):
        if not qubits:
            continue
        ticks: int | None = 0
        if name == "delay":
            ticks = clock.length(outline.delays[index])
        elif name != "barrier":
            ticks = lengths[name, qubits]
        assert ticks is not None  # callers have checked
        wires = (*qubits, *(outline.num_qubits + c for c in clbits)) if clbits else qubits
        slots.append(Slot(index, name, qubits, wires, ticks))
    return slots


def start_times(slots: Sequence[Slot], num_wires: int, method: str) -> list[int]:
    """Return the start of each slot, ticks: that of Qiskit's `ALAPScheduleAnalysis` or `ASAPScheduleAnalysis`.

    As there, a bit is taken by measurements only; other instructions wait for it.
    """
    late = method != "asap"
    free = [0] * num_wires
    ends = []
    for _, name, qubits, wires, ticks in reversed(slots) if late else slots:
        end = max([free[w] for w in wires]) + ticks
        for w in wires if name == "measure" else qubits:
            free[w] = end
        ends.append(end)
    if not late:
        return [end - slot.ticks for end, slot in zip(ends, slots, strict=True)]
    total = max(free, default=0)  # these ends are starts, told from the end of the circuit
    return [total - end for end in reversed(ends)]


def _aligned(starts: Sequence[int], slots: Sequence[Slot], num_wires: int, clock: Clock) -> list[int]:
    """Move instructions back to the grid of the device, and those after them as far as they must.

    As Qiskit's `ConstrainedReschedule` is described. That of qiskit 2.6 has measurements start on the grid of
    gates, whatever their own is.
    """
    others, acquired = clock.alignment, clock.acquire_alignment
    steps = {"barrier": 1, "delay": 1, "measure": acquired, "reset": acquired}
    free = [0] * num_wires
    moved = []
    for start, (_, name, _, wires, ticks) in zip(starts, slots, strict=True):
        start = max(start, max([free[w] for w in wires]))
        start += -start % steps.get(name, others)
        for w in wires:
            free[w] = start + ticks
        moved.append(start)
    return moved
