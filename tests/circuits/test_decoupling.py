"""Decoupling of circuits: what is written, where, in which gates, and what is refused."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit import Delay, Instruction, Measure, Parameter, Reset
from qiskit.circuit.library import (
    CXGate,
    CZGate,
    RGate,
    RXGate,
    RYGate,
    RZGate,
    SXGate,
    U1Gate,
    U2Gate,
    U3Gate,
    UGate,
    XGate,
    quantum_volume,
)
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Operator
from qiskit.transpiler import AnalysisPass, InstructionProperties, PassManager, Target
from qiskit.transpiler.passes import (
    ALAPScheduleAnalysis,
    ASAPScheduleAnalysis,
    ConstrainedReschedule,
    PadDynamicalDecoupling,
)
from qiskit_aer import AerSimulator

from quell.circuits.decoupling import Decoupling, decoupled, decoupling_problems
from quell.circuits.gatesets import GATE_SETS, VENDOR_GATES
from quell.circuits.pulses import pulse_gates
from quell.circuits.scheduling import Clock, outline_of, slots_of, start_times
from quell.circuits.staggering import walsh_flips
from quell.errors import OptionsError, UnsupportedError
from quell.testing import NoisyDevice

SEQUENCES = ("XX", "XpXm", "XY4", "staggered")
TEE = NoisyDevice("tee5").target
PARAMETER = Parameter("p")
LIBRARY = {
    "rz": RZGate(PARAMETER), "sx": SXGate(), "x": XGate(), "rx": RXGate(PARAMETER), "ry": RYGate(PARAMETER),
    "u": UGate(PARAMETER, Parameter("q"), Parameter("r")), "u1": U1Gate(PARAMETER),
    "u2": U2Gate(PARAMETER, Parameter("q")), "u3": U3Gate(PARAMETER, Parameter("q"), Parameter("r")),
    "r": RGate(PARAMETER, Parameter("q")), "cx": CXGate(), "cz": CZGate(), "measure": Measure(), "reset": Reset(),
}  # fmt: skip
VIRTUAL = {"rz", "u1"}


def device(
    gates=("rz", "sx", "x"), *, pairs=((0, 1),), qubits=3, pulse=50, dt=1e-9, delays=True, **constraints
):
    """A device on which pulses take `pulse` steps, two-qubit gates 400 and measurements 1000."""
    target = Target(num_qubits=qubits, dt=dt, **constraints)
    tick = dt or 1e-9
    for name in gates:
        length = 0.0 if name in VIRTUAL else pulse * tick
        target.add_instruction(
            LIBRARY[name], {(q,): InstructionProperties(duration=length) for q in range(qubits)}
        )
    both = [p for a, b in pairs for p in ((a, b), (b, a))]
    target.add_instruction(CZGate(), {p: InstructionProperties(duration=400 * tick) for p in both})
    for name in ("measure", "reset"):
        table = {(q,): InstructionProperties(duration=1000 * tick) for q in range(qubits)}
        target.add_instruction(LIBRARY[name], table)
    if delays:
        target.add_instruction(Delay(Parameter("t")), {(q,): None for q in range(qubits)})
    return target


def waiting(length=1000, qubits=1, width=3):
    """Qubits that are busy, wait, and are busy again, then are measured."""
    circuit = QuantumCircuit(width, qubits)
    for q in range(qubits):
        circuit.sx(q)
        circuit.delay(length, q)
        circuit.sx(q)
        circuit.measure(q, q)
    return circuit


def wire(circuit, qubit):
    """Return (name, start) of what happens to a qubit, given that delays are explicit, and the end."""
    now, found = 0, []
    for instruction in circuit.data:
        if qubit in [circuit.find_bit(bit).index for bit in instruction.qubits]:
            name = instruction.operation.name
            if name == "delay":
                now += instruction.operation.duration
            else:
                found.append((name, now))
                now += {"x": 50, "sx": 50, "cz": 400, "measure": 1000, "reset": 1000}.get(name, 0)
    return found, now


def starts(circuit, qubit, name):
    return [start for other, start in wire(circuit, qubit)[0] if other == name]


def lines(circuit):
    """Return what is on each wire, lengths of delays included."""
    found = {q: [] for q in range(circuit.num_qubits)}
    for instruction in circuit.data:
        operation = instruction.operation
        for bit in instruction.qubits:
            length = operation.duration if operation.name == "delay" else None
            found[circuit.find_bit(bit).index].append((operation.name, length))
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("method", ["alap", "asap"])
@pytest.mark.parametrize("slack", ["middle", "edges"])
def test_equal_to_the_pass_of_qiskit_where_that_applies(seed, method, slack):
    circuit = transpile(quantum_volume(5, 3, seed=seed).decompose(), target=TEE, seed_transpiler=seed)
    circuit.measure_all()
    schedule = {"alap": ALAPScheduleAnalysis, "asap": ASAPScheduleAnalysis}[method]
    passes = [
        schedule(target=TEE),
        ConstrainedReschedule(target=TEE),
        PadDynamicalDecoupling(
            target=TEE, dd_sequence=[XGate(), XGate()], extra_slack_distribution=slack, skip_reset_qubits=True
        ),
    ]
    expected = PassManager(passes).run(circuit)
    found = decoupled(circuit, Decoupling("XX", slack, method), TEE)
    assert lines(found) == lines(expected)
    assert found.count_ops()["x"] > 6


class Recorder(AnalysisPass):
    """Keeps start times in order of the circuit, in which nodes are numbered."""

    def run(self, dag):
        start = self.property_set["node_start_time"]
        self.property_set["recorded"] = [(node.name, int(start[node])) for node in dag.op_nodes()]


def anything(seed, depth=60):
    """Gates, measurements into few bits, resets, delays and barriers; some qubits may only wait."""
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(5, 2)
    active = rng.permutation(5)[: rng.integers(2, 6)]
    pairs = [pair for pair in TEE["cx"] if set(pair) <= set(active)]
    for kind in rng.integers(9, size=depth):
        q, idle = int(rng.choice(active)), int(rng.integers(5))
        if kind < 2:
            circuit.sx(q)
        elif kind == 2:
            circuit.rz(1.0, q)
        elif kind < 5 and pairs:
            circuit.cx(*pairs[rng.integers(len(pairs))])
        elif kind == 5:
            circuit.delay(int(rng.integers(1, 3000)), idle)
        elif kind == 6:
            circuit.barrier(*map(int, rng.permutation(5)[: rng.integers(1, 5)]))
        elif kind == 7:
            circuit.measure(q, int(rng.integers(2)))
        else:
            circuit.reset(q)
    return circuit


@pytest.mark.parametrize("method", ["alap", "asap"])
def test_start_times_are_those_of_the_passes_of_qiskit(method):
    schedule = {"alap": ALAPScheduleAnalysis, "asap": ASAPScheduleAnalysis}[method]
    probe, target = Instruction("probe", 1, 1, []), deepcopy(TEE)
    target.add_instruction(probe, {(q,): InstructionProperties(duration=3e-7) for q in range(5)})
    for seed in range(40):
        circuit = anything(seed)
        if seed % 2:  # what has bits is not always a measurement
            circuit.append(probe, [seed % 5], [0])
            circuit.compose(anything(seed + 40, 20), inplace=True)
        passes = PassManager([schedule(target=target), Recorder()])
        passes.run(circuit)
        slots = slots_of(outline_of(circuit), Clock(target))
        starts = start_times(slots, circuit.num_qubits + circuit.num_clbits, method)
        found = list(zip([slot.name for slot in slots], starts, strict=True))
        assert found == passes.property_set["recorded"]
        assert len(set(starts)) > 10


def when(circuit, clock):
    """Return (name, qubits, starts) of each instruction, with a start for each qubit: when that is free."""
    free, found = dict.fromkeys(range(circuit.num_qubits), 0), []
    for instruction in circuit.data:
        name, qubits = instruction.name, [circuit.find_bit(bit).index for bit in instruction.qubits]
        ticks = 0
        if name == "delay":
            ticks = clock.length(instruction.operation)
        elif name != "barrier":
            ticks = clock.ticks(name, tuple(qubits))
        found.append((name, qubits, [free[q] for q in qubits]))
        free.update(dict.fromkeys(qubits, max(free[q] for q in qubits) + ticks))
    return found


@pytest.mark.parametrize("sequence", SEQUENCES)
@pytest.mark.parametrize("method", ["alap", "asap"])
def test_gates_find_all_their_qubits_free_at_the_same_time(sequence, method):
    for seed in range(12):
        circuit = anything(seed)
        found = decoupled(circuit, Decoupling(sequence, "middle", method), TEE)
        grid = Clock(TEE).alignment
        for name, _, starts in when(found, Clock(TEE)):
            if name not in ("barrier", "delay", "measure", "reset", "rz"):
                assert len(set(starts)) == 1
                assert starts[0] % grid == 0


@pytest.mark.parametrize("method", ["alap", "asap"])
def test_barriers_that_meet_on_an_unused_qubit_keep_their_order(method):
    circuit = QuantumCircuit(3)
    circuit.sx(0)
    circuit.delay(1000, 0)
    circuit.sx(0)
    circuit.barrier(0, 2)
    circuit.barrier(2, 1)
    circuit.sx(1)
    circuit.cz(0, 1)
    found = decoupled(circuit, Decoupling("XX", "middle", method), device())
    assert when(found, Clock(device()))[-1] == ("cz", [0, 1], [1150, 1150])
    assert [s for name, q, s in when(found, Clock(device())) if (name, q) == ("sx", [1])] == [[1100]]
    assert all(name == "barrier" for name, _ in lines(found)[2])


def test_barriers_wait_for_delays_of_unused_qubits():
    circuit = QuantumCircuit(3)
    circuit.sx([0, 1])
    circuit.delay(2000, 2)
    circuit.barrier(1, 2)
    circuit.sx(1)
    circuit.cz(0, 1)
    found = decoupled(circuit, Decoupling("XX", scheduling_method="asap"), device())
    assert when(found, Clock(device()))[-1] == ("cz", [0, 1], [2050, 2050])
    assert lines(found)[2] == [("delay", 2000), ("barrier", None)]
    assert found.count_ops()["x"] == 4


@pytest.mark.parametrize("sequence", SEQUENCES)
@pytest.mark.parametrize("seed", range(2))
def test_the_unitary_is_the_same_global_phase_included(sequence, seed):
    circuit = transpile(quantum_volume(4, 3, seed=seed).decompose(), target=TEE, seed_transpiler=seed)
    circuit.global_phase += 0.3
    found = decoupled(circuit, Decoupling(sequence), TEE)
    assert found.count_ops().get("x", 0) >= 4
    assert np.allclose(Operator(found).data, Operator(circuit).data, atol=1e-12)


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_parameters_survive_also_in_the_global_phase(sequence):
    a, b = Parameter("b"), Parameter("a")
    circuit = QuantumCircuit(5, global_phase=0.1 * a)
    for _ in range(3):
        circuit.rz(a + 2 * b, 0)
        circuit.sx(0)
        circuit.cx(0, 1)
        circuit.cx(1, 2)
        circuit.rz(b, 2)
        circuit.cx(1, 2)
        circuit.sx(0)
    found = decoupled(circuit, Decoupling(sequence), TEE)
    assert list(found.parameters) == list(circuit.parameters)
    assert found.count_ops()["x"] >= 4
    values = [0.4, 1.3]
    bound = [Operator(c.assign_parameters(values)).data for c in (found, circuit)]
    assert np.allclose(*bound, atol=1e-12)


def test_registers_bits_names_and_metadata_survive():
    qubits, small, large = QuantumRegister(3, "left"), ClassicalRegister(1, "s"), ClassicalRegister(3, "l")
    alias = ClassicalRegister(name="alias", bits=[large[2], small[0]])
    more = QuantumRegister(2, "right")
    circuit = QuantumCircuit(qubits, small, more, large, alias, name="mine", metadata={"key": 1})
    circuit.sx(0)
    circuit.sx(1)
    circuit.delay(2, 1, "us")
    circuit.barrier()
    circuit.cx(0, 1)
    circuit.measure([0, 1], [large[2], small[0]])
    found = decoupled(circuit, Decoupling("XX"), TEE)
    assert (found.qregs, found.cregs, found.clbits) == (circuit.qregs, circuit.cregs, circuit.clbits)
    assert (found.name, found.metadata, found.layout) == (circuit.name, circuit.metadata, circuit.layout)
    kept = [i for i in found.data if i.operation.name not in ("delay", "x")]
    assert kept == [i for i in circuit.data if i.operation.name != "delay"]
    assert "x" not in circuit.count_ops()


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_only_used_qubits_are_padded_on_a_wide_device(sequence):
    target = NoisyDevice("hex27").target
    circuit = QuantumCircuit(27, 3)
    circuit.sx(0)
    circuit.cz(0, 1)
    circuit.cz(1, 2)
    circuit.cz(0, 1)
    circuit.delay(100, 20)  # nothing is done to this one
    circuit.barrier()
    circuit.measure([0, 1, 2], [0, 1, 2])
    found = decoupled(circuit, Decoupling(sequence, skip_reset_qubits=False), target)
    assert found.count_ops()["x"] >= 4
    for q, line in lines(found).items():
        if q > 2:
            assert line == ([("delay", 100)] if q == 20 else []) + [("barrier", None)]


def test_a_circuit_narrower_than_the_device_sits_on_its_first_qubits():
    found = decoupled(waiting(width=1), Decoupling("XX"), TEE)
    assert found.num_qubits == 1
    assert found.count_ops()["x"] == 2


def test_pulses_are_equally_spaced():
    found = decoupled(waiting(), Decoupling("XX"), device())
    assert wire(found, 0)[0] == [("sx", 0), ("x", 275), ("x", 775), ("sx", 1050), ("measure", 1100)]
    found = decoupled(waiting(), Decoupling("XY4"), device())
    assert starts(found, 0, "x") == [150, 400, 650, 900]


def test_slack_goes_where_the_option_says():
    target = device(pulse_alignment=16, pulse=48)
    middle, edges = (
        [i.operation.duration for i in found.data if i.operation.name == "delay"]
        for found in (
            decoupled(waiting(960), Decoupling("XX", slack), target) for slack in ("middle", "edges")
        )
    )
    # 960 - 2 * 48 is 864: in quarters 216, rounded to 208, 432, 208, with 16 left
    assert middle == [208, 448, 208]
    assert edges == [208, 432, 224]


@pytest.mark.parametrize("constraint", ["pulse_alignment", "granularity"])
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_pulses_start_on_the_grid(constraint, sequence):
    circuit = QuantumCircuit(3, 2)
    circuit.cz(0, 1)
    circuit.sx(0)
    circuit.delay(1010, 1)
    circuit.cz(0, 1)
    circuit.measure([0, 1], [0, 1])

    def pulses(target):
        found = decoupled(circuit, Decoupling(sequence), target)
        return [t for q in (0, 1) for name in ("x", "sx", "cz") for t in starts(found, q, name)]

    # neither a pulse of 50 nor a window of 1010 is a multiple of 16
    assert all(t % 16 == 0 for t in pulses(device(**{constraint: 16})))
    assert len(pulses(device(**{constraint: 16}))) >= 7
    assert any(t % 16 for t in pulses(device()))


def test_measurements_start_on_their_grid():
    circuit = QuantumCircuit(3, 1)
    circuit.sx(0)
    circuit.measure(0, 0)
    for constraints, start in (
        ({}, 50),
        ({"acquire_alignment": 64}, 64),
        ({"pulse_alignment": 64, "acquire_alignment": 2}, 50),
    ):
        found = decoupled(circuit, Decoupling("XX"), device(**constraints))
        assert wire(found, 0)[0] == [("sx", 0), ("measure", start)]


def test_the_method_decides_when_a_qubit_waits():
    circuit = QuantumCircuit(3, 2)
    circuit.sx(0)
    circuit.cz(1, 0)
    circuit.sx(1)
    circuit.measure([0, 1], [0, 1])
    late = decoupled(circuit, Decoupling("XX", "middle", "alap"), device(pulse=50))
    early = decoupled(circuit, Decoupling("XX", "middle", "asap"), device(pulse=50))
    assert starts(late, 0, "measure") == [500]
    assert starts(early, 0, "measure") == [450]
    # Late, all end together; early, nothing is written behind the measurement, which so stays the last.
    assert [wire(c, 0)[1] for c in (late, early)] == [1500, 1450]


def test_qubits_in_their_ground_state_are_left_alone_if_asked():
    circuit = QuantumCircuit(3, 2)
    circuit.sx(0)
    circuit.delay(600, 1)
    circuit.cz(0, 1)
    circuit.measure(0, 0)
    circuit.reset(1)
    circuit.delay(600, 1)
    circuit.sx(1)
    circuit.measure(1, 1)
    skipped = decoupled(circuit, Decoupling("XX", skip_reset_qubits=True), device())
    padded = decoupled(circuit, Decoupling("XX", skip_reset_qubits=False), device(pulse=20))
    assert starts(skipped, 1, "x") == []
    assert len(starts(padded, 1, "x")) == 4  # before its first gate, and after the reset


def test_nothing_comes_after_the_last_instruction_of_a_qubit():
    circuit = QuantumCircuit(3, 2)
    circuit.sx([0, 1])
    circuit.measure(0, 0)
    circuit.delay(5000, 1)
    circuit.measure(1, 1)
    found = decoupled(circuit, Decoupling("XX", scheduling_method="asap"), device())
    assert lines(found)[0] == [("sx", None), ("measure", None)]
    circuit = QuantumCircuit(3, 1)
    circuit.sx([0, 1])
    circuit.delay(1000, 1)
    circuit.sx(1)
    circuit.barrier()
    circuit.measure(1, 0)
    found = decoupled(circuit, Decoupling("XX", scheduling_method="asap"), device())
    assert lines(found)[0] == [("sx", None), ("barrier", None)]
    assert len(starts(found, 1, "x")) == 2


@pytest.mark.parametrize(("sequence", "pulses"), [("XX", 2), ("XpXm", 2), ("XY4", 4), ("staggered", 2)])
def test_windows_shorter_than_the_sequence_are_left_alone(sequence, pulses):
    short = decoupled(waiting(50 * pulses - 1), Decoupling(sequence), device())
    enough = decoupled(waiting(50 * pulses + 4), Decoupling(sequence), device())
    assert short.count_ops().get("x", 0) == 0
    assert enough.count_ops()["x"] == pulses


def test_nothing_to_do_changes_nothing():
    circuit = QuantumCircuit(3, 1)
    circuit.sx(0)
    circuit.measure(0, 0)
    for sequence in SEQUENCES:
        assert decoupled(circuit, Decoupling(sequence), device()) == circuit
        assert decoupled(QuantumCircuit(3), Decoupling(sequence), device()) == QuantumCircuit(3)


@pytest.mark.parametrize(
    "gate_set", [s for s in GATE_SETS if not s.gates & VENDOR_GATES.keys()], ids=lambda s: s.name
)
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_pulses_are_written_in_gates_that_the_device_has(gate_set, sequence):
    target = device(sorted(gate_set.gates))
    circuit = QuantumCircuit(2)
    circuit.cz(0, 1)
    circuit.delay(1000, [0, 1])
    circuit.cz(0, 1)
    found = decoupled(circuit, Decoupling(sequence), target)
    assert set(found.count_ops()) <= gate_set.gates | {"cz", "delay"}
    assert len(found.data) > 8
    assert np.allclose(Operator(found).data, Operator(circuit).data, atol=1e-12)


def test_a_pulse_is_turned_as_a_whole():
    rotations = {s.name: pulse_gates(s, np.pi / 2) for s in GATE_SETS}
    assert rotations["rz+sx+x"] == (("rz", (-np.pi / 2,)), ("x", ()), ("rz", (np.pi / 2,)))
    assert rotations["prx"] == (("prx", (np.pi, np.pi / 2)),)
    assert rotations["gpi+gpi2"] == (("gpi", (0.25,)),)
    # an over-rotation of every pulse about X: equal pulses add it up, inverse ones cancel it
    found = {}
    for sequence in ("XX", "XpXm", "XY4", "staggered"):
        padded = decoupled(waiting().remove_final_measurements(inplace=False), Decoupling(sequence), device())
        worse = padded.copy_empty_like()
        for instruction in padded.data:
            worse.append(instruction)
            if instruction.operation.name == "x":
                worse.rx(0.1, instruction.qubits)
        overlap = np.trace(Operator(worse).data.conj().T @ Operator(padded).data) / 2**padded.num_qubits
        found[sequence] = np.arccos(min(1.0, abs(overlap)))
    assert found["XX"] == pytest.approx(0.1, rel=0.01)
    assert max(found["XpXm"], found["staggered"]) < 1e-7
    assert found["XY4"] < 0.01


def test_devices_with_their_own_grid_and_no_barrier_of_ours():
    backend = GenericBackendV2(4, seed=3)
    circuit = transpile(quantum_volume(4, 3, seed=1).decompose(), backend, seed_transpiler=1)
    circuit.measure_all()
    found = decoupled(circuit, Decoupling("XY4"), backend.target)
    assert found.count_ops()["x"] >= 4
    assert backend.run(found, shots=10).result().success


def test_given_durations_win_and_complete():
    given = (("sx", None, 100e-9), ("sx", (0,), 60e-9), ("measure", None, 1e-6), ("x", (0,), 20e-9))
    found = decoupled(waiting(), Decoupling("XX", instruction_durations=given), device())
    # x of 20, sx of 60: 960 of slack
    assert [line for line in lines(found)[0] if line[0] == "delay"] == [("delay", d) for d in (240, 480, 240)]


def test_without_a_time_step_delays_are_in_seconds():
    given = (("sx", None, 50e-9), ("x", None, 50e-9), ("measure", None, 1e-6))
    circuit = QuantumCircuit(1, 1)
    circuit.sx(0)
    circuit.delay(1, 0, "us")
    circuit.x(0)
    circuit.measure(0, 0)
    for target in (None, AerSimulator().target, device(dt=None)):
        found = decoupled(circuit, Decoupling("XX", instruction_durations=given), target)
        delays = [i.operation for i in found.data if i.operation.name == "delay"]
        assert [d.unit for d in delays] == ["s"] * 3
        assert [d.duration for d in delays] == pytest.approx([225e-9, 450e-9, 225e-9])
        assert found.count_ops()["x"] == 3


def problems_of(circuit, target, **settings):
    return [str(p) for p in decoupling_problems(circuit, Decoupling(**settings), target, "pubs[0]")]


def test_missing_durations_are_listed_by_gate_and_qubits():
    circuit = QuantumCircuit(3, 1)
    circuit.sx([0, 1])
    circuit.rz(0.1, 0)
    circuit.cz(0, 1)
    circuit.measure(1, 0)
    (unknown,) = problems_of(circuit, None)
    assert "measure on 1" in unknown
    assert "cz on (0, 1)" in unknown
    assert "sx on 0, 1" in unknown
    assert "rz" not in unknown
    assert "dynamical_decoupling.instruction_durations" in unknown
    (simulator,) = problems_of(circuit, AerSimulator().target)
    assert "cz on (0, 1)" in simulator
    given = (("sx", None, 1e-8), ("x", None, 1e-8), ("cz", (0, 1), 1e-7), ("measure", (1,), 1e-6))
    assert problems_of(circuit, AerSimulator().target, instruction_durations=given) == []


def test_everything_is_refused_at_once():
    circuit = QuantumCircuit(3, 1)
    circuit.sx(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.sx(0)
    circuit.delay(Parameter("t"), 0)
    circuit.sx(1)
    with pytest.raises(UnsupportedError) as raised:
        decoupled(circuit, Decoupling("XX"), None)
    rules = [problem.rule for problem in raised.value.problems]
    assert len(rules) == 3
    for word, rule in zip(("control flow (if_else)", "delay of t", "sx on 0, 1"), rules, strict=True):
        assert word in rule


def test_delays_in_steps_need_a_step():
    assert "no dt" in problems_of(waiting(), device(dt=None))[0]


def test_devices_without_pulses_or_delays_are_refused():
    bare = Target(num_qubits=2)
    bare.add_instruction(CZGate(), {(0, 1): InstructionProperties(duration=1e-7)})
    bare.add_instruction(Delay(Parameter("t")), {(q,): None for q in range(2)})
    circuit = QuantumCircuit(2)
    circuit.cz(0, 1)
    (problem,) = problems_of(circuit, bare)
    assert "no gates to make decoupling pulses of" in problem
    (problem,) = problems_of(circuit, device(delays=False))
    assert "delay on 0, 1" in problem
    uneven = device(("rz", "sx"))
    uneven.add_instruction(XGate(), {(0,): InstructionProperties(duration=5e-8)})
    (problem,) = problems_of(circuit, uneven)
    assert "x on 1" in problem


def test_mid_circuit_measurement_and_reset_have_a_schedule():
    circuit = QuantumCircuit(3, 2)
    circuit.sx([0, 1])
    circuit.cz(0, 1)
    circuit.measure(0, 0)
    circuit.reset(0)
    circuit.cz(0, 1)
    circuit.measure([0, 1], [0, 1])
    found = decoupled(circuit, Decoupling("XX"), device())
    assert starts(found, 1, "x") == [925, 1925]  # half way, the qubit waits from 450 to 2450
    assert starts(found, 0, "x") == []


def test_settings_are_checked():
    with pytest.raises(
        OptionsError, match="sequence_type: must be one of XX, XpXm, XY4, staggered, got 'YY'"
    ):
        Decoupling("YY")
    with pytest.raises(OptionsError, match="scheduling_method"):
        Decoupling(scheduling_method="soon")


def test_walsh_functions_are_balanced_and_orthogonal():
    functions = walsh_flips(9)
    grid = (np.arange(64) + 0.5) / 64
    signs = np.array([(-1.0) ** np.searchsorted(flips, grid) for flips in functions])
    assert np.array_equal(signs @ signs.T / 64, np.eye(9))
    assert np.array_equal(signs.mean(axis=1), np.zeros(9))
    assert all(len(flips) % 2 == 0 for flips in functions)
    assert [len(flips) for flips in functions[:3]] == [2, 2, 4]
