"""A noisy device out of the box: a backend that simulates a snapshot, and exact values to compare with.

``NoisyDevice("tee5")`` is a `BackendV2` with a real `Target` whose noise is known exactly, so that what a
mitigation method returns can be compared with what it should return.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from qiskit.circuit import (
    CircuitInstruction,
    ControlFlowOp,
    Delay,
    ForLoopOp,
    IfElseOp,
    Measure,
    Parameter,
    QuantumCircuit,
    Reset,
    SwitchCaseOp,
    WhileLoopOp,
)
from qiskit.circuit.library import CXGate, CZGate, ECRGate, RZGate, SXGate, XGate
from qiskit.providers import BackendV2, Options, QubitProperties
from qiskit.quantum_info import Pauli, PauliList, SparsePauliOp, Statevector
from qiskit.transpiler import InstructionProperties, Target

from ..errors import InputError, Problem, UnsupportedError
from .noise import Operation, insert_idle_noise, noise_model, require_aer
from .snapshots import DeviceSnapshot, Switches, device_names, load_device, read_snapshot, true_noise

__all__ = ["DeviceSnapshot", "NoisyDevice", "device_names", "exact_value", "load_device", "read_snapshot"]

GATES = {
    "rz": RZGate(Parameter("λ")),
    "sx": SXGate(),
    "x": XGate(),
    "cx": CXGate(),
    "cz": CZGate(),
    "ecr": ECRGate(),
    "measure": Measure(),
    "reset": Reset(),
}
CONTROL_FLOW = {
    "if_else": IfElseOp,
    "for_loop": ForLoopOp,
    "while_loop": WhileLoopOp,
    "switch_case": SwitchCaseOp,
}
# What the target need not list for every qubit to run.
ALWAYS_RUNS = frozenset({"barrier", "delay", "store", "break_loop", "continue_loop", *CONTROL_FLOW})
NOT_UNITARY = frozenset({"reset", "measure", "store", *CONTROL_FLOW})
MAX_EXACT_QUBITS = 24  # a state of 256 MB


def make_target(snapshot: DeviceSnapshot) -> Target:
    """Return the Qiskit target: gates with durations and errors, control flow, time step, constraints."""
    target = Target(
        num_qubits=snapshot.num_qubits,
        dt=snapshot.dt,
        qubit_properties=[
            QubitProperties(t1=float(t1), t2=float(t2))
            for t1, t2 in zip(snapshot.t1s, snapshot.t2s, strict=True)
        ],
        **dict(snapshot.timing_constraints),
    )
    properties: dict[str, dict[tuple[int, ...], InstructionProperties]] = {}
    for (name, qubits), (seconds, error) in snapshot.operations().items():
        properties.setdefault(name, {})[qubits] = InstructionProperties(duration=seconds, error=error)
    for name, table in properties.items():
        target.add_instruction(GATES[name], table)
    target.add_instruction(Delay(Parameter("t")), {(q,): None for q in range(snapshot.num_qubits)})
    for name, operation in CONTROL_FLOW.items():
        target.add_instruction(operation, name=name)
    return target


class NoisyDevice(BackendV2):
    """A simulated device with known noise, each kind of which can be switched off.

    A circuit must be written in the device's gates; qubit i of the circuit is qubit i of the device.
    The target keeps the published numbers whatever is switched off, so circuits transpile the same way.

    Args:
        snapshot: A snapshot, the name of one that comes with quell, or the path of a file.
        depolarizing: After each gate, depolarizing whose average gate infidelity is the gate's error.
        thermal: Relaxation by T1 and T2 during gates and while idle; none during measurement and reset.
        coherent: An `rzz` over-rotation after each two-qubit gate.
        idle: `rz` drift of idle qubits and `rzz` drift of coupled qubits that idle at the same time, on a
            schedule as late as possible. None inside control flow.
        readout: Independent flips of each measured bit.
        scale: Factor on the strength of all noise.
        seed: Makes the sequence of runs reproducible (each run draws a fresh simulator seed from it).
        method: Simulation method of Aer.

    Raises:
        CalibrationError: If there is no such snapshot or it is invalid.
        OptionsError: If the scale is out of range.
    """

    def __init__(
        self,
        snapshot: DeviceSnapshot | str | Path,
        *,
        depolarizing: bool = True,
        thermal: bool = True,
        coherent: bool = True,
        idle: bool = True,
        readout: bool = True,
        scale: float = 1.0,
        seed: int | None = None,
        method: str = "automatic",
    ) -> None:
        if not isinstance(snapshot, DeviceSnapshot):
            snapshot = load_device(snapshot)
        super().__init__(name=snapshot.name, description=f"quell's simulation of {snapshot.name}")
        self.snapshot = snapshot
        self.switches = Switches(depolarizing, thermal, coherent, idle, readout, scale)
        self.truth = true_noise(snapshot, self.switches)
        self._max_circuits: int | None = None
        self._seed, self._method = seed, method
        self._rng = None if seed is None else np.random.default_rng(seed)
        self._lock = threading.Lock()  # sessions run a device from several threads

    @classmethod
    def _default_options(cls) -> Options:
        return Options(shots=4096, memory=False, seed_simulator=None)

    @cached_property
    def target(self) -> Target:
        """The Qiskit target."""
        return make_target(self.snapshot)

    @property
    def max_circuits(self) -> int | None:
        """Most circuits that one `run` accepts; None for any number."""
        return self._max_circuits

    @max_circuits.setter
    def max_circuits(self, value: int | None) -> None:
        self._max_circuits = value

    def with_noise(self, **switches: Any) -> NoisyDevice:
        """Return the same device with other switches or another `scale`; its seed starts afresh."""
        wanted = attrs.asdict(attrs.evolve(self.switches, **switches))
        device = NoisyDevice(self.snapshot, **wanted, seed=self._seed, method=self._method)
        device.max_circuits = self.max_circuits
        device.set_options(**dict(self.options.items()))
        return device

    def __deepcopy__(self, memo: dict[int, Any]) -> NoisyDevice:
        """Return a device that goes on where this one is: the local mode of the vendor's client runs on copies."""
        device = self.with_noise()
        device._rng = copy.deepcopy(self._rng, memo)
        return device

    def noiseless(self) -> NoisyDevice:
        """Return the same device with all noise off."""
        return self.with_noise(depolarizing=False, thermal=False, coherent=False, idle=False, readout=False)

    def noisy_circuit(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Return the circuit with idle noise inserted: what is given to Aer with the noise model."""
        if not self.truth.idle_is_noisy:
            return circuit
        return insert_idle_noise(circuit, self.truth, self.snapshot.dt)

    def run(
        self,
        run_input: QuantumCircuit | Sequence[QuantumCircuit],
        *,
        shots: int | None = None,
        memory: bool | None = None,
        parameter_binds: Sequence[Mapping[Any, Any]] | None = None,
        seed_simulator: int | None = None,
        **options: Any,
    ) -> Any:
        """Simulate circuits with the noise and return Aer's job.

        Args:
            run_input: A circuit or several, in the device's gates.
            shots: Shots per circuit, `options.shots` if None.
            memory: Whether to return every shot, `options.memory` if None.
            parameter_binds: Aer's bindings, one mapping from parameters to lists of values per circuit.
            seed_simulator: Aer's seed; drawn from the device's seed if None.
            options: Other run options of Aer.

        Raises:
            InputError: If a circuit does not fit the device.
            MissingDependencyError: If qiskit-aer is not installed.
        """
        circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
        operations = self._check(circuits)
        if seed_simulator is None:
            seed_simulator = self.options.seed_simulator
        if seed_simulator is None and self._rng is not None:
            with self._lock:
                seed_simulator = int(self._rng.integers(2**31))
        return self._simulator.run(
            [self.noisy_circuit(circuit) for circuit in circuits],
            parameter_binds=None if parameter_binds is None else list(parameter_binds),
            shots=self.options.shots if shots is None else shots,
            memory=self.options.memory if memory is None else memory,
            seed_simulator=seed_simulator,
            noise_model=noise_model(self.truth, operations),
            **options,
        )

    @cached_property
    def _simulator(self) -> Any:
        return require_aer().AerSimulator(method=self._method)

    def _check(self, circuits: Sequence[QuantumCircuit]) -> frozenset[Operation]:
        """Return what the circuits use of the device, or raise for everything that it cannot run."""
        problems: list[Problem] = []
        if self.max_circuits is not None and len(circuits) > self.max_circuits:
            rule = f"{len(circuits)} are more than the {self.max_circuits} of one run"
            problems.append(Problem("circuits", rule, "split them, or raise max_circuits"))
        used: set[Operation] = set()
        for k, circuit in enumerate(circuits):
            if circuit.num_qubits > self.num_qubits:
                rule = f"has {circuit.num_qubits} qubits, {self.name} has {self.num_qubits}"
                problems.append(Problem(f"circuits[{k}]", rule))
                continue
            here = set(_operations(circuit, range(circuit.num_qubits)))
            for name, qubits in sorted(here - self.truth.durations.keys()):
                rule = f"{self.name} has no {name} on {', '.join(map(str, qubits))}"
                problems.append(Problem(f"circuits[{k}]", rule, "transpile the circuit to the device"))
            used |= here
        InputError.check(problems)
        return frozenset(used)


def _operations(circuit: QuantumCircuit, qubits: Sequence[int]) -> Iterator[Operation]:
    """Yield name and device qubits of what needs the device, control flow included."""
    index = {bit: qubits[i] for i, bit in enumerate(circuit.qubits)}
    for instruction in circuit.data:
        operation = instruction.operation
        places = tuple(index[bit] for bit in instruction.qubits)
        if isinstance(operation, ControlFlowOp):
            for block in operation.blocks:
                yield from _operations(block, places)
        if not (operation.name in ALWAYS_RUNS or operation.name.startswith("save_")):
            yield operation.name, places


def exact_value(circuit: QuantumCircuit, observable: SparsePauliOp | Pauli | str) -> float:
    """Return the expectation value without noise, by state vector over the qubits that gates act on.

    Final measurements are ignored, and so are delays and barriers.

    Args:
        circuit: Any gates, with numbers for parameters.
        observable: Hermitian, on as many qubits as the circuit has.

    Raises:
        InputError: If the observable does not fit the circuit or is not Hermitian.
        UnsupportedError: If the circuit is not unitary or acts on more than 24 qubits.
    """
    operator = SparsePauliOp(observable)
    problems = []
    if operator.num_qubits != circuit.num_qubits:
        rule = f"acts on {operator.num_qubits} qubits, the circuit has {circuit.num_qubits}"
        problems.append(Problem("observable", rule, "apply the circuit's layout to it"))
    if not np.allclose(operator.coeffs.imag, 0):
        problems.append(Problem("observable", "must be Hermitian: its coefficients must be real"))
    if circuit.parameters:
        problems.append(Problem("circuit", f"has {circuit.num_parameters} free parameters", "assign them"))
    InputError.check(problems)
    index = {bit: i for i, bit in enumerate(circuit.qubits)}
    gates = [
        instruction
        for instruction in circuit.remove_final_measurements(inplace=False).data
        if instruction.operation.name not in ("barrier", "delay")
    ]
    names = {gate.operation.name for gate in gates if gate.clbits or gate.operation.name in NOT_UNITARY}
    if names:
        rule = f"{', '.join(sorted(names))} has no state vector"
        raise UnsupportedError.of([Problem("circuit", rule, "use a simulator's counts as reference")])
    used = sorted({index[bit] for gate in gates for bit in gate.qubits})
    if len(used) > MAX_EXACT_QUBITS:
        rule = f"acts on {len(used)} qubits, a state vector holds {MAX_EXACT_QUBITS}"
        raise UnsupportedError.of([Problem("circuit", rule)])
    small = QuantumCircuit(len(used), global_phase=circuit.global_phase)
    place = {q: small.qubits[k] for k, q in enumerate(used)}
    for gate in gates:
        small._append(CircuitInstruction(gate.operation, [place[index[bit]] for bit in gate.qubits]))
    # The other qubits are in |0>: a term with X or Y there vanishes, a Z there is one.
    idle = np.setdiff1d(np.arange(circuit.num_qubits), used)
    terms = operator[~operator.paulis.x[:, idle].any(axis=1)]
    if not len(terms):
        return 0.0
    if not used:
        return float(terms.coeffs.real.sum())
    paulis = PauliList.from_symplectic(terms.paulis.z[:, used], terms.paulis.x[:, used])
    restricted = SparsePauliOp(paulis, terms.coeffs.real)
    return float(Statevector(small).expectation_value(restricted).real)
