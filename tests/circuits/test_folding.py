"""Folded circuits do the same, with the number of gates that was asked for, in gates the device has."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit import Gate, Parameter
from qiskit.circuit.library import (
    CSXGate,
    CXGate,
    GlobalPhaseGate,
    RGate,
    RXGate,
    RZGate,
    RZZGate,
    SXGate,
    UGate,
    XGate,
    XXPlusYYGate,
)
from qiskit.quantum_info import Operator
from qiskit.transpiler import InstructionProperties, Target
from scipy.stats import binom

from quell.circuits.bound import BoundForm
from quell.circuits.folding import Foldable
from quell.circuits.gatesets import choose
from quell.circuits.parametric import ParametricForm
from quell.circuits.program import Program
from quell.circuits.template import template_of
from quell.circuits.twirling import draws_of, twirled_template
from quell.testing import NoisyDevice

FOLDINGS = ["gate_folding", "gate_folding_front", "gate_folding_back", "global_folding"]
FACTORS = [1, 1.3, 2, 3, 4.7, 5, 7]
T = Parameter("t")
GATES = {
    "cx": lambda c, a, b: c.cx(a, b),
    "cx on 0": lambda c, a, b: c.cx(a, b, ctrl_state=0),
    "cz": lambda c, a, b: c.cz(a, b),
    "ecr": lambda c, a, b: c.ecr(a, b),
    "swap": lambda c, a, b: c.swap(a, b),
    "iswap": lambda c, a, b: c.iswap(a, b),
    "dcx": lambda c, a, b: c.dcx(a, b),
    "rzz": lambda c, a, b: c.rzz(0.37, a, b),
    "rxx": lambda c, a, b: c.rxx(-1.1, a, b),
    "rzx": lambda c, a, b: c.rzx(2.2, a, b),
    "cp": lambda c, a, b: c.cp(0.6, a, b),
    "crx": lambda c, a, b: c.crx(1.9, a, b),
    "cs": lambda c, a, b: c.cs(a, b),
    "xx_plus_yy": lambda c, a, b: c.append(XXPlusYYGate(0.9, 0.4), [a, b]),
    "unitary": lambda c, a, b: c.unitary(Operator(SXGate().control(annotated=False)).data, [a, b]),
    "parametric rzz": lambda c, a, b: c.rzz(T, a, b),
    "parametric crx": lambda c, a, b: c.crx(2 * T + 0.1, a, b),
}


def brick(name):
    """Five gates of a kind with one-qubit gates between, of which some are not their own inverse."""
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.sx(1)
    circuit.t(2)
    for k, (a, b) in enumerate([(0, 1), (1, 2), (1, 0), (0, 1), (2, 1)]):
        GATES[name](circuit, a, b)
        circuit.rx(0.3 + k, a)
        circuit.sdg(b)
    circuit.u(0.1, 0.2, 0.3, 2)
    return circuit


def num_gates(circuit):
    return sum(len(item.qubits) > 1 and isinstance(item.operation, Gate) for item in circuit.data)


def folded(circuit, factor, folding="gate_folding", seed=0, target=None):
    return Foldable(template_of(circuit), target).folded(factor, folding, np.random.default_rng(seed)).circuit


def operator(circuit):
    circuit = circuit.remove_final_measurements(inplace=False)
    return Operator(circuit.assign_parameters(np.linspace(0.4, 0.9, circuit.num_parameters)))


@pytest.mark.parametrize("folding", FOLDINGS)
@pytest.mark.parametrize("name", GATES)
def test_a_folded_circuit_does_the_same_with_as_many_gates_as_it_says(name, folding):
    circuit = brick(name)
    foldable, truth = Foldable(template_of(circuit), None), operator(circuit)
    assert foldable.problems(folding, FACTORS, "pub") == []
    for factor in FACTORS:
        result = foldable.folded(factor, folding, np.random.default_rng(1)).circuit
        assert operator(result).equiv(truth), factor
        assert num_gates(result) == pytest.approx(5 * foldable.achieved(factor))
        assert abs(foldable.achieved(factor) - factor) <= 1 / 5 + 1e-12  # half a pair of gates


@pytest.mark.parametrize("folding", FOLDINGS)
def test_a_toffoli_is_folded_where_it_runs(folding):
    circuit = QuantumCircuit(3)
    circuit.h([0, 1, 2])
    circuit.ccx(0, 1, 2)
    circuit.cx(0, 1)
    result = folded(circuit, 3, folding)
    assert operator(result).equiv(operator(circuit))
    assert (result.count_ops()["ccx"], result.count_ops()["cx"]) == (3, 3)


def kinds(circuit):
    """Kinds and qubits of the two-qubit gates in order."""
    return [
        (item.operation.name, *(circuit.find_bit(q).index for q in item.qubits))
        for item in circuit.data
        if isinstance(item.operation, Gate) and len(item.qubits) > 1
    ]


def line():
    circuit = QuantumCircuit(4)
    circuit.cx(0, 1)
    circuit.cz(1, 2)
    circuit.swap(2, 3)
    circuit.iswap(0, 1)
    return circuit


@pytest.mark.parametrize(
    ("folding", "factor", "times"),
    [
        ("gate_folding_front", 1.5, [3, 1, 1, 1]),
        ("gate_folding_front", 2, [3, 3, 1, 1]),
        ("gate_folding_back", 1.5, [1, 1, 1, 3]),
        ("gate_folding_back", 2, [1, 1, 3, 3]),
        ("gate_folding_back", 3.5, [3, 3, 3, 5]),
        ("gate_folding_front", 4, [5, 5, 3, 3]),
    ],
)
def test_front_and_back_fold_what_they_say(folding, factor, times):
    gates = kinds(line())
    expected = [gate for gate, n in zip(gates, times, strict=True) for _ in range(n)]
    assert kinds(folded(line(), factor, folding)) == expected


def test_global_folding_runs_the_circuit_and_its_end_backwards():
    a, b, c, d = kinds(line())
    assert kinds(folded(line(), 3, "global_folding")) == [a, b, c, d, d, c, b, a, a, b, c, d]
    assert kinds(folded(line(), 2, "global_folding")) == [a, b, c, d, d, c, c, d]
    expected = [a, b, c, d, d, c, b, a, a, b, c, d, d, d]
    assert kinds(folded(line(), 3.5, "global_folding")) == expected


@pytest.mark.parametrize("folding", FOLDINGS)
def test_later_compilation_leaves_folds_alone(folding):
    circuit = brick("cx")
    for factor in (2, 3, 5):
        result = folded(circuit, factor, folding)
        compiled = transpile(
            result, basis_gates=["rz", "sx", "x", "cx"], optimization_level=3, seed_transpiler=1
        )
        assert num_gates(compiled) == num_gates(result)
        bare = result.copy_empty_like()
        for item in result.data:
            if item.operation.name != "barrier":
                bare.append(item)
        less = transpile(bare, basis_gates=["rz", "sx", "x", "cx"], optimization_level=3, seed_transpiler=1)
        assert num_gates(less) < num_gates(result)  # so barriers are what it takes


def test_between_a_gate_and_its_inverse_stand_barriers_on_its_qubits():
    data = [
        (i.operation.name, tuple(folded(line(), 3).find_bit(q).index for q in i.qubits))
        for i in folded(line(), 3)
    ]
    assert data[:5] == [
        ("cx", (0, 1)),
        ("barrier", (0, 1)),
        ("cx", (0, 1)),
        ("barrier", (0, 1)),
        ("cx", (0, 1)),
    ]
    assert not any(a[0] == b[0] == "cx" for a, b in pairwise(data))


def counts_by_gate(template):
    """How often each of the gates of `chain` is in a folded circuit; its gates differ in their angle."""
    angles = [item.operation.params[0] for item in template.circuit.data if item.operation.name == "rzz"]
    return np.bincount(np.round(np.array(angles) * 10).astype(int), minlength=13)[1:]


def chain(num_gates=12):
    circuit = QuantumCircuit(2)
    for k in range(num_gates):
        circuit.rzz(0.1 * (k + 1), 0, 1)
        circuit.h([0, 1])
    return circuit


def test_random_subsets_are_drawn_from_the_seed_and_uniform():
    """False alarm 1e-5: each of 12 gates within binomial limits of 1e-6."""
    foldable = Foldable(template_of(chain()), None)
    rng = np.random.default_rng(3)
    drawn = np.array([counts_by_gate(foldable.folded(1.5, "gate_folding", rng)) for _ in range(200)])
    assert set(np.unique(drawn)) == {1, 3}
    assert (drawn.sum(axis=1) == 18).all()
    assert len(np.unique(drawn, axis=0)) > 100
    often = (drawn == 3).sum(axis=0)
    low, high = binom.interval(1 - 1e-6, 200, 0.25)
    assert (often >= low).all()
    assert (often <= high).all()
    again = foldable.folded(1.5, "gate_folding", np.random.default_rng(3))
    assert (counts_by_gate(again) == drawn[0]).all()


def test_few_gates_come_to_any_factor_on_average_over_members():
    one = QuantumCircuit(2)
    one.cx(0, 1)
    foldable = Foldable(template_of(one), None)
    assert foldable.shared_out(2, 4) == [1, 1, 0, 0]
    assert [foldable.achieved(2, n) for n in (4, 32)] == [2, 2]
    assert foldable.achieved(2.3, 32) == pytest.approx(2.3, abs=1 / 32)
    assert foldable.problems("gate_folding", (1, 2, 3), "pubs[0]", 32) == []
    assert foldable.problems("gate_folding_front", (1, 2, 3), "pubs[0]", 32) != []


def test_whole_factors_need_no_random_subset():
    foldable = Foldable(template_of(chain()), None)
    assert [foldable.is_partial(f) for f in (1, 1.5, 2, 3, 3.02, 5)] == [
        False,
        True,
        True,
        False,
        True,
        False,
    ]
    for seed in (1, 2):
        assert (counts_by_gate(foldable.folded(3, "gate_folding", np.random.default_rng(seed))) == 3).all()


# --- devices --------------------------------------------------------------------------------


@pytest.mark.parametrize("gates", [True, False], ids=["twirled", "plain"])
@pytest.mark.parametrize("folding", FOLDINGS)
@pytest.mark.parametrize("name", ["tee5", "hex27"])
def test_folded_circuits_are_isa(name, folding, gates):
    device = NoisyDevice(name)
    circuit = QuantumCircuit(3, 3)
    for k in range(3):
        circuit.rx(0.4 + k, [0, 1, 2])
        circuit.rzz(0.5, 0, 1)
        circuit.rzz(0.7, 1, 2)
    circuit.measure([0, 1, 2], [0, 1, 2])
    isa = transpile(circuit, backend=device, optimization_level=1, seed_transpiler=1)
    for factor in (1, 1.7, 3):
        template = Foldable(template_of(isa), device.target).folded(factor, folding, np.random.default_rng(1))
        for one in [template.circuit, *(members(template, device.target) if gates else [])]:
            for item in one.data:
                if item.operation.name != "barrier":
                    qubits = tuple(one.find_bit(q).index for q in item.qubits)
                    assert device.target.instruction_supported(item.operation.name, qubits), item


def fractional_target():
    """rzz is calibrated for angles in (0, pi/2] only."""
    target = Target(num_qubits=2)
    for gate in (RZGate(Parameter("a")), SXGate(), XGate()):
        target.add_instruction(gate, {(q,): InstructionProperties() for q in range(2)})
    target.add_instruction(RZZGate(Parameter("a")), {(0, 1): InstructionProperties()})
    return target


@pytest.mark.parametrize("folding", FOLDINGS)
def test_angles_of_fractional_gates_stay_as_they_are(folding):
    circuit = QuantumCircuit(2)
    for k in range(4):
        circuit.rzz(math.pi / 2 - 0.3 * k, 0, 1)
        circuit.sx([0, 1])
        circuit.rz(0.2 + k, 1)
    angles = {item.operation.params[0] for item in circuit.data if item.operation.name == "rzz"}
    for factor in (1.5, 3, 4):
        result = folded(circuit, factor, folding, target=fractional_target())
        assert {item.operation.params[0] for item in result.data if item.operation.name == "rzz"} == angles
        assert set(result.count_ops()) <= {"rz", "sx", "x", "rzz", "barrier"}
        assert operator(result).equiv(operator(circuit))


# --- all that a circuit may hold ---------------------------------------------------------------


def rich():
    theta = Parameter("theta")
    a, b, bits, more = (
        QuantumRegister(2, "a"),
        QuantumRegister(2, "b"),
        ClassicalRegister(2),
        ClassicalRegister(2),
    )
    circuit = QuantumCircuit(a, b, bits, more, global_phase=0.3)
    circuit.reset([0, 1, 2])
    circuit.h(a)
    circuit.rx(theta, a[0])
    circuit.cx(a[0], b[1])
    circuit.delay(100, a[0])
    circuit.barrier()
    circuit.rzz(theta / 2, a[1], b[0])
    circuit.delay(50, b[0])
    circuit.rz(2 * theta, a[1])
    circuit.cz(b[0], b[1])
    circuit.measure(a, bits)
    circuit.measure(b, more)
    return circuit


@pytest.mark.parametrize("folding", FOLDINGS)
def test_registers_measurements_resets_delays_and_parameters_are_kept(folding):
    circuit = rich()
    foldable = Foldable(template_of(circuit), None)
    assert foldable.problems(folding, (1, 2, 3), "pub") == []
    for factor in (1, 1.7, 3, 5):
        result = foldable.folded(factor, folding, np.random.default_rng(0)).circuit
        assert result.cregs == circuit.cregs
        assert result.qregs == circuit.qregs
        assert [i for i in result.data if i.operation.name == "measure"] == [
            i for i in circuit.data if i.operation.name == "measure"
        ]
        assert [i.operation.name for i in result.data[:3]] == ["reset"] * 3
        assert result.count_ops()["reset"] == 3
        unitary = [without(c) for c in (result, circuit)]
        assert operator(unitary[0]).equiv(operator(unitary[1]))


def without(circuit, names=("reset", "measure", "delay")):
    left = circuit.copy_empty_like()
    for item in circuit.data:
        if item.operation.name not in names:
            left.append(item)
    return left


def test_folding_leaves_the_circuit_it_is_given_alone():
    circuit = rich()
    before = circuit.copy()
    for folding in FOLDINGS:
        Foldable(template_of(circuit), None).folded(3.4, folding, np.random.default_rng(0))
    assert circuit == before


@pytest.mark.parametrize("folding", FOLDINGS)
def test_preparing_a_qubit_may_take_several_steps(folding):
    """Devices reset more than once to be sure; all of it lies in front of what is folded."""
    circuit = QuantumCircuit(2)
    circuit.reset([0, 0, 1])
    circuit.delay(10, 1)
    circuit.reset(1)
    circuit.h(0)
    circuit.cx(0, 1)
    assert Foldable(template_of(circuit), None).problems(folding, (1, 3), "pub") == []
    result = folded(circuit, 3, folding)
    assert result.count_ops()["reset"] == 4
    assert kinds(result) == [("cx", 0, 1)] * 3


@pytest.mark.parametrize("folding", FOLDINGS)
def test_a_global_phase_gate_is_no_gate_on_qubits(folding):
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.append(GlobalPhaseGate(0.3), [])
    circuit.cx(0, 1)
    assert Foldable(template_of(circuit), None).problems(folding, (1, 3), "pub") == []
    assert operator(folded(circuit, 3, folding)).equiv(operator(circuit))


class Opaque(Gate):
    """A gate whose inverse nobody knows."""

    def __init__(self, num_qubits=2):
        super().__init__("opaque", num_qubits, [])


def text(circuit, folding="gate_folding", factors=(1, 3, 5), target=None):
    return "\n".join(map(str, Foldable(template_of(circuit), target).problems(folding, factors, "pubs[0]")))


@pytest.mark.parametrize("folding", FOLDINGS)
def test_what_cannot_be_folded_is_listed_at_once(folding):
    circuit = QuantumCircuit(3, 1)
    circuit.h(0)
    circuit.append(Opaque(), [0, 1])
    circuit.measure(0, 0)
    circuit.reset(1)
    with circuit.if_test((0, 1)):
        circuit.x(2)
    circuit.cx(0, 1)
    found = text(circuit, folding)
    for phrase in ("'measure'", "'reset'", "'if_else'", "'opaque'", "pubs[0].circuit"):
        assert phrase in found
    nothing = QuantumCircuit(2)
    nothing.h([0, 1])
    assert "no gate on two or more qubits" in text(nothing, folding)


def test_a_one_qubit_gate_without_inverse_only_stands_in_the_way_of_global_folding():
    circuit = QuantumCircuit(2)
    circuit.append(Opaque(1), [0])
    circuit.cx(0, 1)
    assert text(circuit) == ""
    assert "'opaque'" in text(circuit, "global_folding")


def test_an_inverse_that_the_device_does_not_have_is_a_problem():
    target = fractional_target()
    target.add_instruction(CSXGate(), {(0, 1): None})
    circuit = QuantumCircuit(2)
    circuit.append(CSXGate(), [0, 1])
    assert "'csx'" in text(circuit, target=target)


def test_factors_that_come_to_the_same_are_a_problem():
    one = QuantumCircuit(2)
    one.cx(0, 1)
    found = text(one, factors=(1, 1.2, 3, 5))
    assert "1.2 to 1" in found
    assert text(one, factors=(1, 3, 5)) == ""
    assert text(chain(), factors=(1, 1.2)) == ""


# --- one-qubit gates ------------------------------------------------------------------------------


def members(template, target=None, written=None, count=16, seed=0, parametric=False, strategy="active"):
    """Circuits of gate-twirled members."""
    program = Program(
        template=twirled_template(template, strategy),
        parameter_values=np.linspace(0.3, 0.8, template.circuit.num_parameters)[None],
        parameter_sets=np.zeros(1, dtype=np.int64),
        bases=np.zeros((1, len(template.terminals)), dtype=np.uint8),
        shots=1,
        gate_set=choose(template.written if written is None else written, target),
        draws=draws_of(np.random.default_rng(seed), gates=True, measure=False, group="pauli"),
        randomizations=(0, count),
    )
    if parametric:
        form = ParametricForm(program)
        return [form.circuit.assign_parameters(row) for row in form.values(0, count)]
    return BoundForm(program).circuits(0, count)


def pulses(circuit, dressed=2):
    """How many pulses stand in front of two-qubit gates; those behind the last one are not copied."""
    last = dict.fromkeys(circuit.qubits, -1)
    for k, item in enumerate(circuit.data):
        if len(item.qubits) == dressed and isinstance(item.operation, Gate):
            last.update(dict.fromkeys(item.qubits, k))
    return sum(
        k < last[item.qubits[0]]
        for k, item in enumerate(circuit.data)
        if len(item.qubits) == 1 and item.operation.name in ("sx", "x", "u", "r", "rx", "ry")
    )


def dressed(theta, gate="cx", num_gates=8):
    circuit = QuantumCircuit(2)
    for k in range(num_gates):
        angle = theta if theta is not None else Parameter(f"t{k}")
        for qubit in (0, 1):
            circuit.u(angle, 0.3 * k, 0.1, qubit)
        GATES[gate](circuit, 0, 1)
    return circuit


WRITTEN = {
    "rz+sx+x": ("rz", "sx", "x"),
    "rz+sx": ("rz", "sx"),
    "u": ("u",),
    "rx+rz": ("rx", "rz"),
    "r": ("r",),
}


@pytest.mark.parametrize("parametric", [False, True], ids=["bound", "parametric"])
@pytest.mark.parametrize("gate", ["cx", "rzz"])
@pytest.mark.parametrize(
    "theta", [0.0, math.pi, math.pi / 2, 1.234, None], ids=["0", "pi", "half", "full", "free"]
)
@pytest.mark.parametrize("written", WRITTEN)
def test_twirled_copies_take_as_many_pulses_as_what_they_copy(written, theta, gate, parametric):
    """The limit is 4.5 standard errors of the mean of 120 members (5 % or less): false alarm 7e-6 a factor."""
    foldable = Foldable(template_of(dressed(theta, gate)), target_of(written))
    count = 120
    numbers = {}
    for factor in (1, 2, 3, 5):
        template = foldable.folded(factor, "gate_folding", np.random.default_rng(1))
        one = members(template, target_of(written), count=count, seed=factor, parametric=parametric)
        assert operator(one[0]).equiv(reference(template.circuit))
        numbers[factor] = np.array([pulses(circuit) for circuit in one], dtype=float)
    for factor in (2, 3, 5):
        ratio = numbers[factor].mean() / numbers[1].mean()
        error = ratio * math.hypot(
            *(n.std() / n.mean() / math.sqrt(count) for n in (numbers[factor], numbers[1]))
        )
        assert abs(ratio - factor) <= 4.5 * error + 1e-9, (ratio, error)
        assert error < 0.05 * factor


def reference(circuit):
    return Operator(circuit.assign_parameters(np.linspace(0.3, 0.8, circuit.num_parameters)))


def target_of(written):
    target = Target(num_qubits=3)
    a, b, c = map(Parameter, "abc")
    gates = (RZGate(a), SXGate(), XGate(), UGate(a, b, c), RXGate(a), RGate(a, b))
    for gate in (g for g in gates if g.name in WRITTEN[written]):
        target.add_instruction(gate, {(q,): None for q in range(3)})
    target.add_instruction(CXGate(), {(0, 1): None, (1, 2): None})
    target.add_instruction(RZZGate(a), {(0, 1): None, (1, 2): None})
    return target


@pytest.mark.parametrize("strategy", ["active", "active-accum", "active-circuit", "all"])
def test_pulses_grow_by_the_factor_where_qubits_wait_too(strategy):
    """In every copy of a layer a waiting qubit waits, and is twirled, once more. Tolerance: 4 standard errors."""
    circuit = QuantumCircuit(3)
    for k in range(6):
        circuit.sx([0, 1, 2])
        circuit.cx(0, 1) if k % 2 else circuit.cx(1, 2)
    foldable = Foldable(template_of(circuit), target_of("rz+sx+x"))
    numbers = {}
    for factor in (1, 3):
        template = foldable.folded(factor, "gate_folding", np.random.default_rng(1))
        one = members(template, target_of("rz+sx+x"), count=300, strategy=strategy, seed=factor)
        assert operator(one[3]).equiv(operator(circuit))
        numbers[factor] = np.array([pulses(c) for c in one])
    ratio = numbers[3].mean() / numbers[1].mean()
    error = ratio * math.hypot(*(n.std() / n.mean() / math.sqrt(300) for n in numbers.values()))
    print(strategy, ratio, error)
    # Between waits the frames of neighbouring waits merge into one dressing, at both ends of a run of copies alike.
    assert abs(ratio - 3) < 4 * error
    assert error < 0.05
