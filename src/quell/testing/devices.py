"""A noisy device out of the box: snapshots of synthetic devices, and a backend that simulates them.

``NoisyDevice("tee5")`` is a `BackendV2` with a real `Target` whose noise is known exactly, so that what a
mitigation method returns can be compared with what it should return.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray
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

from ..errors import CalibrationError, InputError, OptionsError, Problem, UnsupportedError
from .noise import Operation, Truth, insert_idle_noise, noise_model, require_aer

SCHEMA_VERSION = 1
ONE_QUBIT_GATES = {"rz": RZGate(Parameter("λ")), "sx": SXGate(), "x": XGate()}
TWO_QUBIT_GATES = {"cx": CXGate(), "cz": CZGate(), "ecr": ECRGate()}
CONTROL_FLOW = {
    "if_else": IfElseOp,
    "for_loop": ForLoopOp,
    "while_loop": WhileLoopOp,
    "switch_case": SwitchCaseOp,
}
# What the target need not list for every qubit to run.
ALWAYS_RUNS = frozenset({"barrier", "delay", "store", "break_loop", "continue_loop", *CONTROL_FLOW})
POSITIVE = math.ulp(0.0)
NOT_UNITARY = frozenset({"reset", "measure", "store", *CONTROL_FLOW})
MAX_EXACT_QUBITS = 24  # a state of 256 MB


def _read_only(values: ArrayLike) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


@frozen(eq=False)
class DeviceSnapshot:
    """The published numbers of a device, validated; the arrays are read-only.

    Attributes:
        name: Name of the device.
        provenance: Where the numbers come from, as (key, value) pairs; `statement` says it in words.
        dt: Seconds per time step.
        timing_constraints: `granularity`, `min_length`, `pulse_alignment`, `acquire_alignment` in steps,
            as (key, value) pairs.
        two_qubit_gate: "cx", "cz" or "ecr", in both directions on every pair.
        pairs: Coupled qubits, the smaller first; the other arrays of length m follow this order.
        t1s: float64 (n,), seconds.
        t2s: float64 (n,), seconds, at most twice `t1s`.
        detunings: float64 (n,), rad/s, idle Z drift.
        flips: float64 (n, 2): p(1|0) and p(0|1) of the readout.
        readout_durations: float64 (n,), seconds.
        reset_durations: float64 (n,), seconds.
        gate_errors: float64 (3, n): average gate infidelity of rz, sx, x.
        gate_durations: float64 (3, n), seconds of rz, sx, x.
        pair_errors: float64 (m,): average gate infidelity of the two-qubit gate.
        pair_durations: float64 (m,), seconds of the two-qubit gate.
        over_rotations: float64 (m,), radians of `rzz` after every two-qubit gate.
        idle_zz: float64 (m,), rad/s of `rzz` while both qubits idle.
    """

    name: str
    provenance: tuple[tuple[str, Any], ...]
    dt: float
    timing_constraints: tuple[tuple[str, int], ...]
    two_qubit_gate: str
    pairs: tuple[tuple[int, int], ...]
    t1s: NDArray[np.float64]
    t2s: NDArray[np.float64]
    detunings: NDArray[np.float64]
    flips: NDArray[np.float64]
    readout_durations: NDArray[np.float64]
    reset_durations: NDArray[np.float64]
    gate_errors: NDArray[np.float64]
    gate_durations: NDArray[np.float64]
    pair_errors: NDArray[np.float64]
    pair_durations: NDArray[np.float64]
    over_rotations: NDArray[np.float64]
    idle_zz: NDArray[np.float64]

    @property
    def num_qubits(self) -> int:
        """Number of qubits."""
        return len(self.t1s)

    def operations(self) -> dict[Operation, tuple[float, float | None]]:
        """Return (seconds, error) of every gate, measurement and reset, by (name, qubits)."""
        table: dict[Operation, tuple[float, float | None]] = {}
        for q in range(self.num_qubits):
            for k, name in enumerate(ONE_QUBIT_GATES):
                table[name, (q,)] = (float(self.gate_durations[k, q]), float(self.gate_errors[k, q]))
            table["measure", (q,)] = (float(self.readout_durations[q]), float(self.flips[q].mean()))
            table["reset", (q,)] = (float(self.reset_durations[q]), None)
        for (a, b), seconds, error in zip(self.pairs, self.pair_durations, self.pair_errors, strict=True):
            for places in ((a, b), (b, a)):
                table[self.two_qubit_gate, places] = (float(seconds), float(error))
        return table


class _Reader:
    """Reads values out of parsed JSON and collects what is wrong with them."""

    def __init__(self, data: Any) -> None:
        self.data = data
        self.problems: list[Problem] = []

    def reject(self, keys: Sequence[str | int], rule: str, fix: str = "") -> None:
        path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")
        self.problems.append(Problem(path or "snapshot", rule, fix))

    def get(self, *keys: str | int) -> Any:
        node = self.data
        for key in keys:
            try:
                node = node[key]
            except (KeyError, IndexError, TypeError):
                node = None
        if node is None:
            self.reject(keys, "is missing")
        return node

    def number(self, *keys: str | int, low: float = -math.inf, high: float = math.inf) -> float:
        value = self.get(*keys)
        if value is None:
            return math.nan
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.reject(keys, f"must be a finite number, got {value!r}")
        elif low == POSITIVE and value <= 0:
            self.reject(keys, f"must be positive, got {value:g}")
        elif not low <= value <= high:
            self.reject(keys, f"must be between {low:g} and {high:g}, got {value:g}")
        else:
            return float(value)
        return math.nan

    def typed(self, key: str, kind: type, default: Any) -> Any:
        value = self.get(key)
        if value is not None and not isinstance(value, kind):
            self.reject((key,), f"must be a {kind.__name__}, got {value!r:.40}")
        return value if isinstance(value, kind) else default


def read_snapshot(data: Any) -> DeviceSnapshot:
    """Return the snapshot in parsed JSON of the schema described in `calibration/README.md`.

    Raises:
        CalibrationError: Naming everything that is wrong with it.
    """
    reader = _Reader(data)
    version = reader.get("schema_version")
    if version != SCHEMA_VERSION:  # nothing else is known to mean what it means here
        reader.reject(("schema_version",), f"must be {SCHEMA_VERSION}, got {version!r}", "update quell")
        raise CalibrationError.of(reader.problems[-1:])
    name, gate = reader.typed("name", str, ""), reader.typed("two_qubit_gate", str, "")
    if gate and gate not in TWO_QUBIT_GATES:
        reader.reject(("two_qubit_gate",), f"must be one of {', '.join(TWO_QUBIT_GATES)}, got {gate!r}")
    qubits, rows = (range(len(reader.typed(key, list, ()))) for key in ("qubits", "pairs"))

    def column(key: str, low: float = -math.inf, high: float = math.inf) -> NDArray[np.float64]:
        return _read_only([reader.number("qubits", q, key, low=low, high=high) for q in qubits])

    def pair_column(key: str, low: float = -math.inf, high: float = math.inf) -> NDArray[np.float64]:
        return _read_only([reader.number("pairs", k, key, low=low, high=high) for k in rows])

    def gates(key: str, high: float) -> NDArray[np.float64]:
        path = [[("qubits", q, "gates", name, key) for q in qubits] for name in ONE_QUBIT_GATES]
        return _read_only([[reader.number(*keys, low=0, high=high) for keys in row] for row in path])

    provenance = reader.typed("provenance", dict, {})
    if provenance:
        reader.get("provenance", "statement")
    pairs: list[tuple[int, int]] = []
    for k in rows:
        match reader.get("pairs", k, "qubits"):
            case [int(a), int(b)] if a != b and {a, b} <= set(qubits):
                pair = (min(a, b), max(a, b))
                if pair in pairs:
                    reader.reject(("pairs", k, "qubits"), f"{list(pair)} is listed twice")
                pairs.append(pair)
            case other:
                reader.reject(
                    ("pairs", k, "qubits"),
                    f"must be two different qubits between 0 and {len(qubits) - 1}, got {other!r}",
                )
    constraints = ("granularity", "min_length", "pulse_alignment", "acquire_alignment")
    timing = {key: reader.number("timing_constraints", key, low=1) for key in constraints}
    for key, steps in timing.items():
        if steps % 1 > 0:
            reader.reject(("timing_constraints", key), f"must be a whole number of steps, got {steps:g}")
    t1s, t2s = column("t1_s", POSITIVE), column("t2_s", POSITIVE)
    for q in qubits:
        if t2s[q] > 2 * t1s[q]:
            reader.reject(("qubits", q, "t2_s"), f"must be at most 2 * t1_s = {2 * t1s[q]:g}, got {t2s[q]:g}")
    snapshot = DeviceSnapshot(
        name=name,
        provenance=tuple(provenance.items()),
        dt=reader.number("dt_s", low=POSITIVE),
        timing_constraints=tuple((key, int(steps)) for key, steps in timing.items() if math.isfinite(steps)),
        two_qubit_gate=gate,
        pairs=tuple(pairs),
        t1s=t1s,
        t2s=t2s,
        detunings=column("detuning_rad_per_s"),
        flips=_read_only(np.stack([column("p1_given_0", 0, 1), column("p0_given_1", 0, 1)], axis=1)),
        readout_durations=column("readout_duration_s", 0),
        reset_durations=column("reset_duration_s", 0),
        gate_errors=gates("error", 0.5),  # a qubit that is all noise has no more
        gate_durations=gates("duration_s", math.inf),
        pair_errors=pair_column("error", 0, 0.5),
        pair_durations=pair_column("duration_s", 0),
        over_rotations=pair_column("over_rotation_rad"),
        idle_zz=pair_column("idle_zz_rad_per_s"),
    )
    CalibrationError.check(reader.problems)
    return snapshot


def _folder() -> Path:
    """Return the folder of the snapshots: beside the package in a wheel, else the repository's."""
    package = Path(__file__).parents[1]
    folders = (package / "calibration" / "devices", package.parents[1] / "calibration" / "devices")
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def device_names() -> tuple[str, ...]:
    """Return the names of the device snapshots that come with quell."""
    return tuple(sorted(path.stem for path in _folder().glob("*.json")))


def load_device(name_or_path: str | Path) -> DeviceSnapshot:
    """Load a device snapshot by name, or from a JSON file.

    Raises:
        CalibrationError: If there is none, or naming everything that is wrong with it.
    """
    names = device_names()
    path = _folder() / f"{name_or_path}.json" if name_or_path in names else Path(name_or_path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        close = get_close_matches(str(name_or_path), names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the devices are {', '.join(names)}"
        problem = Problem(f"load_device({str(name_or_path)!r})", "is no device and no readable file", hint)
        raise CalibrationError.of([problem]) from error
    except ValueError as error:
        raise CalibrationError.of([Problem(str(path), f"is not JSON: {error}")]) from error
    return read_snapshot(data)


# ------------------------------------------------------------------------------------------------ device


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
    gates = {**ONE_QUBIT_GATES, snapshot.two_qubit_gate: TWO_QUBIT_GATES[snapshot.two_qubit_gate]}
    properties: dict[str, dict[tuple[int, ...], InstructionProperties]] = {}
    for (name, qubits), (seconds, error) in snapshot.operations().items():
        properties.setdefault(name, {})[qubits] = InstructionProperties(duration=seconds, error=error)
    for name, table in properties.items():
        target.add_instruction({**gates, "measure": Measure(), "reset": Reset()}[name], table)
    target.add_instruction(Delay(Parameter("t")), {(q,): None for q in range(snapshot.num_qubits)})
    for name, operation in CONTROL_FLOW.items():
        target.add_instruction(operation, name=name)
    return target


@frozen
class Switches:
    """Which noise is on, and one factor for the strength of all of it."""

    depolarizing: bool = True
    thermal: bool = True
    coherent: bool = True
    idle: bool = True
    readout: bool = True
    scale: float = 1.0


def true_noise(snapshot: DeviceSnapshot, switches: Switches) -> Truth:
    """Return the noise of a device: the snapshot's numbers, zero where switched off, scaled.

    Probabilities, angles and rates are multiplied by the scale; T1 and T2 are divided by it.

    Raises:
        OptionsError: If the scale is negative or makes a probability larger than one.
    """
    on, scale = switches, float(switches.scale)
    problems = []
    if not 0 <= scale < math.inf:
        problems.append(Problem("scale", f"must be finite and not negative, got {scale}"))
    depolarizing = {
        # average gate infidelity of the depolarizing channel is p (d - 1) / d
        (name, qubits): on.depolarizing * scale * error * 2 ** len(qubits) / (2 ** len(qubits) - 1)
        for (name, qubits), (_, error) in snapshot.operations().items()
        if error is not None and name != "measure"
    }
    flips = on.readout * scale * snapshot.flips
    if max((*depolarizing.values(), flips.max(initial=0.0))) > 1:
        problems.append(Problem("scale", f"{scale:g} makes a probability larger than one", "lower it"))
    OptionsError.check(problems)

    def per_pair(values: NDArray[np.float64]) -> Mapping[tuple[int, int], float]:
        return MappingProxyType(dict(zip(snapshot.pairs, values.tolist(), strict=True)))

    relaxing = on.thermal and scale > 0
    confusion = np.stack([1 - flips[:, 0], flips[:, 1], flips[:, 0], 1 - flips[:, 1]], axis=1)
    return Truth(
        durations=MappingProxyType({key: seconds for key, (seconds, _) in snapshot.operations().items()}),
        depolarizing=MappingProxyType(depolarizing),
        over_rotations=per_pair(on.coherent * scale * snapshot.over_rotations),
        idle_zz=per_pair(on.idle * scale * snapshot.idle_zz),
        detunings=_read_only(on.idle * scale * snapshot.detunings),
        t1s=_read_only(snapshot.t1s / scale if relaxing else np.full(snapshot.num_qubits, np.inf)),
        t2s=_read_only(snapshot.t2s / scale if relaxing else np.full(snapshot.num_qubits, np.inf)),
        confusion_matrices=_read_only(confusion.reshape(-1, 2, 2)),
    )


class NoisyDevice(BackendV2):  # type: ignore[misc]  # qiskit has no type hints
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


# ------------------------------------------------------------------------------------------ exact values


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
