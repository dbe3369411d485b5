"""Dynamical decoupling: pulses that make up the identity, written into the windows where qubits wait.

The circuit is scheduled as Qiskit's passes do it (`scheduling`). Each window is filled on its own, so that what a
pulse is made of, and where the grid of the device puts it, is decided with the window at hand. Pulses of "XX",
"XpXm" and "XY4" are equally spaced, half a space at both ends, as Qiskit's `PadDynamicalDecoupling` has them.

"staggered" also undoes the ZZ drift of coupled qubits that wait together, which equal sequences on both leave
as it is (`staggering`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from math import pi
from typing import Any, Final

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction
from qiskit.transpiler import Target

from ..errors import OptionsError, Problem, UnsupportedError
from .gatesets import GateSet, choose
from .pulses import Written, pulse_gates, pulse_matrix, pulse_times
from .scheduling import Clock, Durations, Outline, Window, outline_of, unscheduled, windows
from .staggering import Staggering, staggering_of

#: Angle of each pulse's axis from X, in the equatorial plane.
SEQUENCES: Final[Mapping[str, tuple[float, ...]]] = {
    "XX": (0.0, 0.0),
    "XpXm": (0.0, pi),
    "XY4": (0.0, pi / 2, 0.0, pi / 2),
}
STAGGERED: Final = "staggered"
#: Axes of staggered pulses, in turns: every second one inverse, so that errors of the pulses cancel.
_IN_TURNS: Final = (0.0, pi)
_ZERO: Final = 1e-12


def _one_of(choices: Sequence[str]) -> Any:
    def check(instance: object, attribute: Any, value: object) -> None:
        if value not in choices:
            rule = f"must be one of {', '.join(choices)}, got {value!r}"
            raise OptionsError.of([Problem(f"dynamical_decoupling.{attribute.name}", rule)])

    return field(validator=check, default=choices[0])


@frozen
class Decoupling:
    """How waiting qubits are decoupled.

    Attributes:
        sequence_type: "XX", "XpXm", "XY4" or "staggered".
        extra_slack_distribution: Where the time goes that the grid of the device leaves over: into the
            "middle" space or to the "edges".
        scheduling_method: "alap" or "asap".
        skip_reset_qubits: Whether qubits in their ground state are left alone.
        instruction_durations: Seconds of gates, by name and qubits (None: any); win over the target's.
    """

    sequence_type: str = _one_of((*SEQUENCES, STAGGERED))
    extra_slack_distribution: str = _one_of(("middle", "edges"))
    scheduling_method: str = _one_of(("alap", "asap"))
    skip_reset_qubits: bool = True
    instruction_durations: Durations | None = None

    @property
    def staggers(self) -> bool:
        """Whether coupled qubits get different sequences."""
        return self.sequence_type == STAGGERED

    @property
    def axes(self) -> tuple[float, ...]:
        """The axes that pulses are needed about."""
        return _IN_TURNS if self.staggers else SEQUENCES[self.sequence_type]


def decoupling_problems(
    circuit: QuantumCircuit | Outline, decoupling: Decoupling, target: Target | None, path: str
) -> list[Problem]:
    """Return why a circuit cannot be decoupled.

    Args:
        circuit: A circuit on device qubits, or its outline: qubit i is qubit i of the device.
        decoupling: The settings.
        target: The device, None if nothing is known of it.
        path: What messages call the circuit.
    """
    clock = Clock(target, decoupling.instruction_durations)
    outline = circuit if isinstance(circuit, Outline) else outline_of(circuit)
    delays, missing = unscheduled(outline, clock)
    problems = []
    if outline.flow:
        problems.append(
            Problem(
                path,
                f"has control flow ({', '.join(outline.flow)}), which has no fixed schedule to decouple in",
                "switch dynamical_decoupling.enable off for it",
            )
        )
    for delay in delays:
        known = delay.unit != "dt" or clock.has_dt
        why, fix = (
            ("it is no number", "assign it a value") if known else ("the device has no dt", "use seconds")
        )
        what = f"has a delay of {delay.duration} [{delay.unit}], which cannot be scheduled: {why}"
        problems.append(Problem(path, what, fix))
    try:
        gate_set = choose(outline.written, target)
        pulses = {g for axis in decoupling.axes for g, _ in pulse_gates(gate_set, axis)}
    except UnsupportedError:
        assert target is not None
        has = ", ".join(sorted(target.operation_names))
        fix = "transpile to a device with rz and sx, u, r or rx and rz, or switch dynamical_decoupling.enable off"
        problems.append(
            Problem("backend.target", f"has no gates to make decoupling pulses of (it has {has})", fix)
        )
        pulses = set()
    lacking: dict[str, list[int]] = {}
    for q in outline.used:
        for name in sorted(pulses):
            if not _offers(target, name, q):
                lacking.setdefault(name, []).append(q)
            elif clock.ticks(name, (q,)) is None and (q,) not in missing.get(name, ()):
                missing.setdefault(name, []).append((q,))
        if not _offers(target, "delay", q):
            lacking.setdefault("delay", []).append(q)
    if lacking:
        what = "; ".join(f"{name} on {', '.join(map(str, qubits))}" for name, qubits in lacking.items())
        fix = "use other qubits, or switch dynamical_decoupling.enable off"
        problems.append(Problem("backend.target", f"lacks what decoupling pulses are made of: {what}", fix))
    if missing:
        what = "; ".join(
            f"{name} on {', '.join(str(q[0]) if len(q) == 1 else str(q) for q in sorted(qubits))}"
            for name, qubits in sorted(missing.items())
        )
        who = "it is not known" if target is None else "the device does not say"
        problems.append(
            Problem(
                path,
                f"cannot be scheduled: {who} how long these take: {what}",
                "dynamical_decoupling.instruction_durations takes their durations",
            )
        )
    return problems


def _offers(target: Target | None, name: str, qubit: int) -> bool:
    if target is None:
        return True
    if name not in target.operation_names:
        return False
    table = target[name]
    return table is None or None in table or (qubit,) in table


def decoupled(circuit: QuantumCircuit, decoupling: Decoupling, target: Target | None) -> QuantumCircuit:
    """Return the circuit on a schedule, with delays and pulses where the qubits that it uses wait.

    Instructions, their order and free parameters stay as they are; delays become windows like any other. No
    pulse comes after the last instruction of a qubit: it would protect nothing.

    Args:
        circuit: A circuit on device qubits: qubit i is qubit i of the device.
        decoupling: The settings.
        target: The device, None if nothing is known of it.

    Raises:
        UnsupportedError: It cannot be done, see `decoupling_problems`.
    """
    outline = outline_of(circuit)
    UnsupportedError.check(decoupling_problems(outline, decoupling, target, "circuit"))
    clock = Clock(target, decoupling.instruction_durations)
    waits = [w for w in windows(outline, clock, decoupling.scheduling_method) if not w.last]
    loud = [not (w.fresh and decoupling.skip_reset_qubits) for w in waits]
    staggering = staggering_of(outline, target, list(compress(waits, loud))) if decoupling.staggers else None
    filler = _Filler(circuit, decoupling, clock, choose(outline.written, target), staggering)
    filling: dict[int, list[CircuitInstruction]] = {}
    for window, pulsed in zip(waits, loud, strict=True):
        filling.setdefault(window.before, []).extend(filler.fill(window, pulsed))
    padded = circuit.copy_empty_like()
    used = set(outline.used)
    for index, own in enumerate(circuit.data):
        for one in filling.get(index, ()):
            padded._append(one)
        if index not in outline.delays or outline.steps[index].qubits[0] not in used:
            padded._append(own)
    if abs(filler.phase) > _ZERO:
        padded.global_phase = padded.global_phase - filler.phase
    return padded


@define(eq=False)
class _Filler:
    """Writes windows; equal instructions are one object, and windows of equal length are worked out once.

    Attributes:
        circuit: Whose windows they are.
        decoupling: The settings.
        clock: Durations and grid.
        gate_set: What pulses are made of.
        staggering: The sequences, None if all qubits have the same.
        phase: Of all pulses so far.
    """

    circuit: QuantumCircuit
    decoupling: Decoupling
    clock: Clock
    gate_set: GateSet
    staggering: Staggering | None
    phase: float = 0.0
    _pulses: tuple[Written, ...] = field(init=False)
    _matrices: tuple[NDArray[np.complex128], ...] = field(init=False)
    _made: dict[tuple[str, int, tuple[float, ...]], CircuitInstruction] = field(init=False, factory=dict)
    _lengths: dict[int, tuple[int, ...]] = field(init=False, factory=dict)
    _found: dict[tuple[int, int, int, int | None], tuple[int, ...]] = field(init=False, factory=dict)
    _phases: dict[int, float] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self._pulses = tuple(pulse_gates(self.gate_set, axis) for axis in self.decoupling.axes)
        self._matrices = tuple(pulse_matrix(self.gate_set, gates) for gates in self._pulses)

    def fill(self, window: Window, pulsed: bool) -> Iterator[CircuitInstruction]:
        """Yield the delays and pulses of a window, in time order."""
        q, lengths = window.qubit, self._lengths_of(window.qubit)
        pieces = [(window.start, window.stop)]
        if pulsed and self.staggering is not None:
            pieces = self.staggering.pieces(window, max(lengths))
        now = window.start
        for start, stop in pieces:
            times = self._times(q, start, stop, max(lengths)) if pulsed else ()
            for k, time in enumerate(times):
                kind = k % len(self._pulses)
                yield from self._delay(q, start + time - now)
                for name, parameters in self._pulses[kind]:
                    yield self._instruction(name, q, parameters)
                now = start + time + lengths[kind]
            self.phase += self._phase(len(times))
            yield from self._delay(q, stop - now)
            now = stop

    def _times(self, qubit: int, start: int, stop: int, length: int) -> tuple[int, ...]:
        """Return when pulses start, ticks after the start of the window."""
        step = self.clock.alignment
        color, flips = None, None
        if self.staggering is not None:
            color, flips = self.staggering.colors[qubit], self.staggering.flips(qubit)
        key = (start % step, stop - start, length, color)
        if key not in self._found:
            slack = self.decoupling.extra_slack_distribution
            times = pulse_times(start, stop, length, len(self._pulses), flips, step, slack)
            self._found[key] = tuple(time - start for time in times)
        return self._found[key]

    def _phase(self, count: int) -> float:
        """Return the phase of so many pulses, which make up the identity but for that."""
        if count not in self._phases:
            product = np.eye(2, dtype=np.complex128)
            for k in range(count):
                product = self._matrices[k % len(self._pulses)] @ product
            self._phases[count] = float(np.angle(product[0, 0]))
        return self._phases[count]

    def _lengths_of(self, qubit: int) -> tuple[int, ...]:
        """Return the ticks of each pulse; they differ only where frame changes take time."""
        if qubit not in self._lengths:
            ticks = [[self.clock.ticks(name, (qubit,)) or 0 for name, _ in gates] for gates in self._pulses]
            self._lengths[qubit] = tuple(map(sum, ticks))
        return self._lengths[qubit]

    def _delay(self, qubit: int, ticks: int) -> Iterator[CircuitInstruction]:
        if ticks:
            yield self._instruction("delay", qubit, (ticks,))

    def _instruction(self, name: str, qubit: int, parameters: tuple[float, ...]) -> CircuitInstruction:
        key = (name, qubit, parameters)
        if key not in self._made:
            bits = (self.circuit.qubits[qubit],)
            self._made[key] = (
                CircuitInstruction(self.clock.delay(int(parameters[0])), bits)
                if name == "delay"
                else self.gate_set.instruction(name, bits, list(parameters))
            )
        return self._made[key]
