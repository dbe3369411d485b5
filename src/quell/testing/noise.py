"""The noise of a simulated device: what is true of it, its Aer noise model, and its idle drift.

Everything that goes wrong on a device is numbers in one frozen `Truth`; both ways of making it happen, the
Aer noise model (gates and readout) and the instructions inserted into the circuit (idling), read only those.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import lru_cache
from numbers import Real
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from qiskit.circuit import (
    CircuitInstruction,
    ControlFlowOp,
    Delay,
    Instruction,
    ParameterExpression,
    QuantumCircuit,
)
from qiskit.circuit.library import RZGate, RZZGate

from ..errors import InputError, MissingDependencyError, Problem

Operation = tuple[str, tuple[int, ...]]
"""A gate's name and its qubits."""

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}
CLASSICAL = frozenset({"store", "if_else", "for_loop", "while_loop", "switch_case"})
SHORTEST_IDLE = 1e-13  # seconds; anything shorter is rounding of the schedule


def require_aer() -> Any:
    """Import and return `qiskit_aer`; `MissingDependencyError` if it is not installed."""
    try:
        import qiskit_aer
        import qiskit_aer.noise
    except ImportError as error:
        raise MissingDependencyError(
            "a noisy device is simulated by qiskit-aer, which is not installed; pip install 'quell[aer]'"
        ) from error
    return qiskit_aer


@frozen(eq=False)
class Truth:
    """All noise of a device, with the switches and the scale already applied.

    Attributes:
        durations: Seconds of every gate, measurement and reset the device has, by (name, qubits).
        depolarizing: Aer's depolarizing parameter p of every gate that has noise, by (name, qubits):
            the state becomes (1 - p) rho + p I / d. Average gate infidelity p (d - 1) / d.
        over_rotations: Radians; `rzz` of this angle follows every two-qubit gate on the (sorted) pair.
        idle_zz: rad/s; `rzz(rate * t)` while both qubits of the (sorted) pair idle.
        detunings: float64 (n,), rad/s; `rz(detuning * t)` while a qubit idles.
        t1s: float64 (n,), seconds; infinite where there is no relaxation.
        t2s: float64 (n,), seconds; infinite where there is no relaxation.
        confusion_matrices: float64 (n, 2, 2), A[measured, prepared]; columns sum to one.
    """

    durations: Mapping[Operation, float]
    depolarizing: Mapping[Operation, float]
    over_rotations: Mapping[tuple[int, int], float]
    idle_zz: Mapping[tuple[int, int], float]
    detunings: NDArray[np.float64]
    t1s: NDArray[np.float64]
    t2s: NDArray[np.float64]
    confusion_matrices: NDArray[np.float64]

    @property
    def noise_model(self) -> Any:
        """The Aer noise model of the whole device (about a second for 27 qubits, then kept)."""
        return noise_model(self, frozenset(self.durations))

    @property
    def idle_is_noisy(self) -> bool:
        """Whether anything happens to a qubit that idles."""
        return bool(np.any(self.detunings) or any(self.idle_zz.values()) or np.isfinite(self.t2s).any())


@lru_cache(maxsize=32)
def noise_model(truth: Truth, operations: frozenset[Operation]) -> Any:
    """Return the Aer noise model of some operations.

    Aer reads the whole model again in every run, 0.4 s for 27 qubits; so a run gets only what it uses.
    """
    noise = require_aer().noise
    model = noise.NoiseModel(basis_gates=sorted({name for name, _ in truth.durations}))
    for name, qubits in sorted(operations):
        if name == "measure":
            matrix = truth.confusion_matrices[qubits[0]].T  # Aer's rows are the prepared values
            if not np.array_equal(matrix, np.eye(2)):
                model.add_readout_error(noise.ReadoutError(matrix), qubits)
        elif name != "reset":
            pair = (min(qubits), max(qubits))
            error = _gate_error(
                len(qubits),
                truth.over_rotations.get(pair, 0.0) if len(qubits) == 2 else 0.0,
                truth.depolarizing.get((name, qubits), 0.0),
                tuple((float(truth.t1s[q]), float(truth.t2s[q])) for q in qubits),
                truth.durations[name, qubits],
            )
            if error is not None:
                model.add_quantum_error(error, name, qubits)
    return model


@lru_cache(maxsize=2048)
def _gate_error(
    num_qubits: int, angle: float, depolarizing: float, times: Sequence[tuple[float, float]], duration: float
) -> Any:
    """Return what follows a gate, in this order: over-rotation, depolarizing, relaxation. Or None."""
    noise = require_aer().noise
    parts = []
    if angle:
        rotation = QuantumCircuit(num_qubits)
        rotation.rzz(angle, 0, 1)
        parts.append(noise.QuantumError([(rotation, 1.0)]))
    if depolarizing:
        parts.append(noise.depolarizing_error(depolarizing, num_qubits))
    if duration and np.isfinite(times).any():
        first, *rest = (noise.thermal_relaxation_error(t1, t2, duration) for t1, t2 in times)
        for error in rest:
            first = first.expand(error)  # the next qubit is the next most significant
        parts.append(first)
    if not parts:
        return None
    total, *rest = parts
    for part in rest:
        total = total.compose(part)
    return total


@lru_cache(maxsize=4096)
def _relaxation(t1: float, t2: float, time: float) -> Instruction:
    """Return relaxation to |0> during `time` as a Kraus instruction."""
    decay = 1 - np.exp(-time / t1)
    # the decay alone leaves sqrt(1 - decay) of the coherence; phase flips take it down to exp(-time / t2)
    flip = (1 - np.exp(time / (2 * t1) - time / t2)) / 2
    stay = np.diag([1, np.sqrt(1 - decay)]).astype(complex)
    jump = np.array([[0, np.sqrt(decay)], [0, 0]], dtype=complex)
    kraus = [np.sqrt(1 - flip) * stay, np.sqrt(flip) * np.diag([1, -1]) @ stay, jump]
    return Instruction("kraus", 1, 0, kraus)


@frozen
class Slot:
    """One instruction in a schedule; `start` in seconds before the end of the circuit, so at most 0."""

    instruction: CircuitInstruction
    qubits: tuple[int, ...]
    start: float
    duration: float


def schedule(
    circuit: QuantumCircuit, qubits: Sequence[int], durations: Mapping[Operation, float], dt: float
) -> list[Slot]:
    """Return the instructions of a circuit as late as possible, in its own order.

    Qubits and classical bits are the resources; barriers synchronise. A control flow operation is a block
    as long as its longest branch, with a loop body counted once.

    Args:
        circuit: Its delays must have numbers for durations.
        qubits: Device index of each qubit of the circuit.
        durations: Seconds by (name, device qubits); what is missing takes no time.
        dt: Seconds per time step, for delays given in steps.

    Raises:
        InputError: If a delay has no number for a duration.
    """
    index = {bit: qubits[i] for i, bit in enumerate(circuit.qubits)}
    busy: defaultdict[Hashable, float] = defaultdict(float)
    slots = []
    has_variables = bool(circuit.num_identifiers)
    for instruction in reversed(circuit.data):
        operation = instruction.operation
        places = tuple(index[bit] for bit in instruction.qubits)
        wires: tuple[Hashable, ...] = (*places, *instruction.clbits)
        if isinstance(operation, ControlFlowOp):
            blocks = (schedule(block, places, durations, dt) for block in operation.blocks)
            duration = max((-slot.start for block in blocks for slot in block), default=0.0)
        elif isinstance(operation, Delay):
            duration = _delay(operation, dt)
        else:
            duration = durations.get((operation.name, places), 0.0)
        if has_variables and (instruction.clbits or operation.name in CLASSICAL):
            wires = (*wires, "variables")  # which bits a variable depends on is not visible: keep the order
        start = min((busy[wire] for wire in wires), default=0.0) - duration
        busy.update(dict.fromkeys(wires, start))
        slots.append(Slot(instruction, places, start, duration))
    slots.reverse()
    return slots


def _delay(operation: Delay, dt: float) -> float:
    """Return the length of a delay in seconds."""
    value, unit = operation.duration, operation.unit
    if isinstance(value, ParameterExpression) and not value.parameters:
        value = float(value)
    if isinstance(value, Real) and unit in (*SECONDS, "dt"):
        return float(value) * (dt if unit == "dt" else SECONDS[unit])
    problem = f"a delay of {value} [{unit}] has no length in seconds"
    raise InputError.of([Problem("circuit", problem, "assign its parameters before running")])


def insert_idle_noise(circuit: QuantumCircuit, truth: Truth, dt: float) -> QuantumCircuit:
    """Return the circuit with what idling does to its qubits as real instructions.

    A qubit idles between its first and its last instruction, whenever no instruction but a delay or a
    barrier acts on it. Delays before the first and after the last one count for nothing, so a circuit that
    a scheduler has padded with delays has the noise of the one before padding, and a qubit with nothing but
    delays stays untouched. Drift (`rz` and `rzz`) is exact; relaxation acts at the end of each idle window.

    Args:
        circuit: A circuit on device qubits: qubit i is qubit i of the device. May have free parameters.
        truth: The noise.
        dt: Seconds per time step.

    Raises:
        InputError: If a delay has no number for a duration.
    """
    neighbours: defaultdict[int, list[tuple[int, float]]] = defaultdict(list)
    for (a, b), rate in truth.idle_zz.items():
        neighbours[a].append((b, rate))
        neighbours[b].append((a, rate))
    # By starting time, so that when a window closes, all that came before has been emitted. The sort is
    # stable and dependent instructions start in order, so this is an order of the same circuit.
    slots = sorted(
        schedule(circuit, range(circuit.num_qubits), truth.durations, dt), key=lambda slot: slot.start
    )
    slots = [slot for slot in slots if slot.instruction.operation.name not in ("barrier", "delay")]
    last: dict[int, Slot] = {}
    for slot in slots:
        last.update(dict.fromkeys(slot.qubits, slot))
    idle_since: dict[int, float] = {}  # of the qubits between their first and last instruction
    noisy = circuit.copy_empty_like()

    def close(qubit: int, now: float) -> Iterator[tuple[Instruction, tuple[int, ...]]]:
        """Yield what happened to a qubit since it became idle, and to pairs that it idled with."""
        since = idle_since.pop(qubit, now)
        if now - since <= SHORTEST_IDLE:
            return
        for other, rate in neighbours[qubit]:
            overlap = now - max(since, idle_since.get(other, now))
            if rate and overlap > SHORTEST_IDLE:
                yield RZZGate(rate * overlap), (qubit, other)
        if truth.detunings[qubit]:
            yield RZGate(truth.detunings[qubit] * (now - since)), (qubit,)
        if np.isfinite(truth.t2s[qubit]):
            # rounded to a femtosecond, so that equal windows share one instruction
            time = round(now - since, 15)
            yield _relaxation(float(truth.t1s[qubit]), float(truth.t2s[qubit]), time), (qubit,)

    for slot in slots:
        watched = slot.instruction.operation.name.startswith("save_")  # looks at qubits, does not use them
        for qubit in slot.qubits:
            if watched and qubit not in idle_since:
                continue
            for operation, places in close(qubit, slot.start):
                noisy._append(CircuitInstruction(operation, [circuit.qubits[q] for q in places]))
            if last[qubit] is not slot:
                idle_since[qubit] = slot.start + slot.duration
        noisy._append(slot.instruction)
    return noisy
