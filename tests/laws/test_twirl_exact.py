"""Law: every randomization of a twirled circuit has exactly the outcome distribution of the circuit.

Distributions are enumerated here by state vectors that branch at measurements, resets and conditions, so
nothing of quell's own algebra is used to judge it. Both renderings are checked, with flips undone.
"""

from functools import cache, lru_cache
from itertools import pairwise

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import ParameterVector
from qiskit.circuit.library import (
    CPhaseGate,
    CRXGate,
    CSXGate,
    CXGate,
    CZGate,
    DCXGate,
    ECRGate,
    GlobalPhaseGate,
    RXXGate,
    RZXGate,
    RZZGate,
    SwapGate,
    UnitaryGate,
    get_standard_gate_name_mapping,
    iSwapGate,
)
from qiskit.quantum_info import Statevector, random_clifford, random_unitary

from quell import twirl
from quell.circuits.bound import BoundForm
from quell.circuits.gatesets import GATE_SETS, VENDOR_GATES
from quell.circuits.parametric import ParametricForm
from quell.circuits.program import Program
from quell.circuits.template import template_of
from quell.circuits.twirling import draws_of, twirled_template

GROUPS = ["pauli", "balanced_pauli", "local_pauli", "local_c1"]
STRATEGIES = ["active", "active-accum", "active-circuit", "all"]
SETS = {s.name: s for s in GATE_SETS if s.is_complete and not s.gates & VENDOR_GATES.keys()}
STANDARD = get_standard_gate_name_mapping()


# The judge: exact distributions by branching state vectors.


@lru_cache(maxsize=20_000)
def _standard_matrix(name, parameters):
    return STANDARD[name].base_class(*parameters).to_matrix()


def matrix_of(operation):
    if operation.name in STANDARD:
        return _standard_matrix(operation.name, tuple(map(float, operation.params)))
    return operation.to_matrix()


@cache
def positions(num_qubits, qubits):
    """Where the amplitudes of each value of some qubits are: int64 ``(2^k, 2^(n - k))``."""
    index = np.arange(2**num_qubits)
    value = sum((index >> qubit & 1) << place for place, qubit in enumerate(qubits))
    return np.stack([np.flatnonzero(value == v) for v in range(2 ** len(qubits))])


def apply(state, matrix, qubits):
    """Return a gate's action on a flat state; the first qubit is the least significant, as in qiskit."""
    where = positions(len(state).bit_length() - 1, tuple(qubits))
    moved = np.empty_like(state)
    moved[where] = matrix @ state[where]
    return moved


def collapsed(state, qubit, outcome, into):
    """Return the unnormalised state after a qubit was found in `outcome` and left in `into`."""
    where = positions(len(state).bit_length() - 1, (qubit,))
    after = np.zeros_like(state)
    after[where[into]] = state[where[outcome]]
    return after


def holds(condition, bits, clbit_of):
    left, value = condition
    ones = [bits >> clbit_of[bit] & 1 for bit in (left if isinstance(left, ClassicalRegister) else [left])]
    return sum(one << i for i, one in enumerate(ones)) == int(value)


def run(circuit, branches, qubit_of, clbit_of):
    """Advance branches ``(state, bits)``; states are not normalised: their norm is the probability."""
    for instruction in circuit.data:
        operation = instruction.operation
        qubits = [qubit_of[bit] for bit in instruction.qubits]
        name = operation.name
        if name in ("barrier", "delay", "id", "global_phase"):
            continue
        if name in ("measure", "reset"):
            split = []
            for state, bits in branches:
                for outcome in (0, 1):
                    part = collapsed(state, qubits[0], outcome, outcome if name == "measure" else 0)
                    if np.vdot(part, part).real < 1e-15:
                        continue
                    if name == "measure":
                        clbit = clbit_of[instruction.clbits[0]]
                        split.append((part, bits & ~(1 << clbit) | outcome << clbit))
                    else:
                        split.append((part, bits))
            branches = split
        elif name == "if_else":
            advanced = []
            for state, bits in branches:
                yes, no = (*operation.params, None)[:2]
                body = yes if holds(operation.condition, bits, clbit_of) else no
                if body is None:
                    advanced.append((state, bits))
                    continue
                inner_q = dict(zip(body.qubits, qubits, strict=True))
                inner_c = {c: clbit_of[o] for c, o in zip(body.clbits, instruction.clbits, strict=True)}
                advanced += run(body, [(state, bits)], inner_q, inner_c)
            branches = advanced
        else:
            matrix = matrix_of(operation)
            branches = [(apply(state, matrix, qubits), bits) for state, bits in branches]
    return branches


def distribution(circuit):
    """Exact probabilities of the classical bits, float64 ``(2^num_clbits,)``."""
    state = np.zeros(2**circuit.num_qubits, dtype=complex)
    state[0] = 1
    branches = [(state, 0)]
    qubits = {bit: i for i, bit in enumerate(circuit.qubits)}
    clbits = {bit: i for i, bit in enumerate(circuit.clbits)}
    probabilities = np.zeros(2**circuit.num_clbits)
    for state, bits in run(circuit, branches, qubits, clbits):
        probabilities[bits] += np.vdot(state, state).real
    assert probabilities.sum() == pytest.approx(1)
    return probabilities


def test_the_judge_agrees_with_qiskit():
    for seed in range(5):
        circuit = random_circuit(np.random.default_rng(seed), "u", num_qubits=3)
        circuit = circuit.assign_parameters(np.linspace(-1, 2, circuit.num_parameters))
        bare = QuantumCircuit(3)
        wires = {}
        for instruction in circuit.data:
            qubits = [circuit.find_bit(q).index for q in instruction.qubits]
            if instruction.operation.name == "measure":
                wires[circuit.find_bit(instruction.clbits[0]).index] = qubits[0]
            else:
                bare.append(instruction.operation, qubits)
        order = [wires[c] for c in sorted(wires)]
        expected = Statevector(bare).probabilities(order)
        found = distribution(circuit)
        places = np.zeros(2 ** len(order), dtype=int)
        for i, c in enumerate(sorted(wires)):
            places += (np.arange(len(places)) >> i & 1) << c
        assert np.allclose(found[places], expected, atol=1e-12)


def test_the_judge_follows_measurements_resets_and_conditions():
    circuit = QuantumCircuit(2, 3)
    circuit.ry(2 * np.arcsin(np.sqrt(0.3)), 0)
    circuit.cx(0, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.x(1)
    with otherwise:
        circuit.ry(2 * np.arcsin(np.sqrt(0.1)), 1)
    circuit.measure(1, 1)
    circuit.reset(0)
    circuit.measure(0, 2)
    expected = np.zeros(8)
    expected[[0b001, 0b000, 0b010]] = 0.3, 0.7 * 0.9, 0.7 * 0.1
    assert np.allclose(distribution(circuit), expected)


# Random circuits.

A = ParameterVector("a", 3)


def angle(rng):
    """A number, often special, or an expression of the user's parameters."""
    kind = rng.integers(6)
    if kind < 2:
        return float(rng.uniform(-4, 4))
    if kind < 4:
        return float(rng.integers(-4, 5) * np.pi / 4)
    if kind == 4:
        return A[int(rng.integers(3))]
    return 2 * A[0] - A[int(rng.integers(3))] + 0.3 if rng.integers(2) else A[0] * A[1]


def two_qubit_gate(rng):
    fixed = [
        CXGate(),
        CXGate(ctrl_state=0),
        CZGate(),
        ECRGate(),
        SwapGate(),
        iSwapGate(),
        DCXGate(),
        CSXGate(),
    ]
    turned = [RZZGate, CPhaseGate, CRXGate, RXXGate, RZXGate]
    matrices = [random_clifford(2, seed=int(rng.integers(999))).to_matrix(), random_unitary(4, seed=rng).data]
    kind = rng.integers(10)
    if kind < 6:
        return fixed[rng.integers(len(fixed))]
    if kind < 9:
        return turned[rng.integers(len(turned))](angle(rng))
    return UnitaryGate(matrices[rng.integers(2)])


PARAMETERS = {"rz": 1, "u": 3, "u1": 1, "u2": 2, "u3": 3, "r": 2, "rx": 1, "ry": 1, "sx": 0, "x": 0}


def single_qubit_gate(rng, names):
    name = names[rng.integers(len(names))]
    return STANDARD[name].base_class(*(angle(rng) for _ in range(PARAMETERS[name])))


def random_circuit(rng, set_name, *, num_qubits=None, num_gates=18, dynamic=False):
    """A circuit in one gate set, with one unused qubit sometimes, barriers, and measurements in any order."""
    names = sorted(SETS[set_name].gates)
    n = num_qubits or int(rng.integers(2, 6))
    circuit = QuantumCircuit(QuantumRegister(n), ClassicalRegister(n, "c"), ClassicalRegister(2, "mid"))
    for _ in range(num_gates):
        kind = rng.integers(20)
        pair = [int(q) for q in rng.permutation(n)[:2]]
        if kind < 9:
            circuit.append(two_qubit_gate(rng), pair)
        elif kind < 18:
            circuit.append(single_qubit_gate(rng, names), pair[:1])
        elif kind == 18:
            circuit.barrier(*(pair if rng.integers(2) else range(n)))
        elif n > 2:
            circuit.ccx(*(int(q) for q in rng.permutation(n)[:3]))
        if dynamic and rng.integers(4) == 0:
            something_dynamic(rng, circuit, pair)
    for bit, qubit in enumerate(rng.permutation(n)[: rng.integers(1, n + 1)]):
        circuit.measure(int(qubit), bit)
    if dynamic and rng.integers(2):
        circuit.measure(int(rng.integers(n)), circuit.cregs[1][0])
    return circuit


def something_dynamic(rng, circuit, pair):
    middle = circuit.cregs[1]
    bit = middle[int(rng.integers(2))]
    kind = rng.integers(6)
    if kind == 0:
        circuit.measure(pair[0], bit)
    elif kind == 1:
        circuit.reset(pair[0])
    elif kind == 2:
        with circuit.if_test((bit, int(rng.integers(2)))) as otherwise:
            circuit.x(pair[0])
            circuit.rz(angle(rng), pair[0])
            circuit.cx(*pair)
        with otherwise:
            circuit.sx(pair[1])
    elif kind == 3:
        with circuit.if_test((middle, int(rng.integers(4)))):
            circuit.measure(pair[0], bit)
            circuit.cz(*pair)
    elif kind == 4:
        circuit.delay(100, pair[0])
    else:
        circuit.append(GlobalPhaseGate(0.4), [])


# The law.


def program_of(circuit, set_name, group, strategy, seed, num_sets=2, members=3):
    rng = np.random.default_rng(seed)
    template = twirled_template(template_of(circuit), strategy, cliffords=group == "local_c1")
    return Program(
        template=template,
        parameter_values=rng.uniform(-3, 3, (num_sets, circuit.num_parameters)),
        parameter_sets=np.arange(num_sets),
        bases=np.zeros((num_sets, len(template.terminals)), dtype=np.uint8),
        shots=1,
        gate_set=SETS[set_name],
        draws=draws_of(rng, gates=True, measure=True, group=group),
        randomizations=(0, members),
    )


def unflipped(probabilities, template, flips):
    mask = sum(1 << terminal.clbit for terminal, flip in zip(template.terminals, flips, strict=True) if flip)
    return probabilities[np.arange(len(probabilities)) ^ mask]


def members_of(program, bound):
    if bound:
        return BoundForm(program).circuits(0, program.num_members)
    form = ParametricForm(program)
    return [form.circuit.assign_parameters(row) for row in form.values(0, program.num_members)]


def assert_exact(program):
    circuit = program.template.circuit
    flips = program.flips(0, program.num_members)
    expected = [
        distribution(circuit.assign_parameters(row) if circuit.num_parameters else circuit)
        for row in program.parameter_values
    ]
    for bound in (False, True):
        for member, made in enumerate(members_of(program, bound)):
            assert not made.num_parameters
            setting = member // program.num_randomizations
            found = unflipped(distribution(made), program.template, flips[member])
            assert np.allclose(found, expected[setting], rtol=0, atol=1e-10)


def used_qubits(circuit):
    return {
        circuit.find_bit(bit).index for i in circuit.data if i.operation.name != "barrier" for bit in i.qubits
    }


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("set_name", SETS)
def test_twirled_members_have_the_distribution_of_the_circuit(set_name, group, strategy):
    seed = [list(SETS).index(set_name), GROUPS.index(group), STRATEGIES.index(strategy)]
    circuit = random_circuit(np.random.default_rng(seed), set_name)
    program = program_of(circuit, set_name, group, strategy, seed)
    assert_exact(program)
    for made in members_of(program, bound=True):
        assert used_qubits(made) <= used_qubits(circuit)
        assert made.num_clbits == circuit.num_clbits


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("set_name", ["rz+sx+x", "u"])
def test_dynamic_circuits_keep_their_distribution(set_name, group, strategy):
    for repeat in range(2):
        seed = [repeat, GROUPS.index(group), STRATEGIES.index(strategy), len(set_name)]
        rng = np.random.default_rng(seed)
        circuit = random_circuit(rng, set_name, num_qubits=3, num_gates=14, dynamic=True)
        assert_exact(program_of(circuit, set_name, group, strategy, seed, members=2))


@pytest.mark.parametrize(
    "gate",
    [CXGate(), CZGate(), ECRGate(), SwapGate(), iSwapGate(), DCXGate(), RZZGate(A[0]), RZZGate(np.pi / 2),
     RZZGate(1.1), CPhaseGate(0.7), CPhaseGate(A[1]), CRXGate(0.3), CSXGate(), RXXGate(2 * A[0]),
     RZXGate(-A[2])],
    ids=lambda gate: gate.name + ("(" + str(gate.params[0]) + ")" if gate.params else ""),
)  # fmt: skip
@pytest.mark.parametrize("group", GROUPS)
def test_each_two_qubit_gate_alone_is_exact_and_really_twirled(gate, group):
    circuit = QuantumCircuit(2, 2)
    for q in (0, 1):
        circuit.rz(A[q], q)
        circuit.sx(q)
    for _ in range(2):
        circuit.append(gate, [0, 1])
        circuit.rx(0.4, 0)
        circuit.sx(1)
    circuit.measure([0, 1], [1, 0])
    program = program_of(circuit, "rz+sx+x", group, "active", 5, num_sets=1, members=8)
    assert_exact(program)
    frames = program.frames(0, 0, 8)
    ops = [op for op in program.template.ops if len(op.qubits) == 2]
    for op in ops:
        assert frames.after[:, list(op.before)].any()
        assert frames.before[:, list(op.after)].any()


@pytest.mark.parametrize("set_name", SETS)
def test_the_twirl_function_is_exact(set_name):
    for seed in range(3):
        rng = np.random.default_rng([seed, len(set_name)])
        circuit = random_circuit(rng, set_name, num_qubits=4)
        values = rng.uniform(-3, 3, circuit.num_parameters)
        twirled = twirl(circuit, 4, parameter_values=values, seed=seed)
        assert twirled.parameter_values.shape == (4, len(twirled.parameters))
        assert twirled.flips.shape == (4, circuit.num_clbits)
        expected = distribution(circuit.assign_parameters(values))
        for row, flips in zip(twirled.parameter_values, twirled.flips, strict=True):
            mask = int(flips @ (1 << np.arange(circuit.num_clbits)))
            found = distribution(twirled.circuit.assign_parameters(row))
            assert np.allclose(found[np.arange(len(found)) ^ mask], expected, rtol=0, atol=1e-10)


def test_deep_sweeps_use_the_table_of_paulis_and_stay_exact():
    """Sixteen randomizations and more are read from a table; fewer are computed."""
    circuit = random_circuit(np.random.default_rng(3), "rz+sx+x", num_qubits=3)
    program = program_of(circuit, "rz+sx+x", "pauli", "active-accum", 3, num_sets=2, members=17)
    assert_exact(program)


def test_composed_draws_share_the_axis_and_stay_exact():
    """Two twirls on one ensemble, as when another random stage sits outside this one."""
    for inner, outer in (("pauli", "pauli"), ("local_c1", "pauli"), ("pauli", "local_c1")):
        circuit = random_circuit(np.random.default_rng(8), "rz+sx+x", num_qubits=3)
        program = program_of(circuit, "rz+sx+x", outer, "all", 1)
        more = draws_of(np.random.default_rng(2), gates=True, measure=True, group=inner)
        both = Program(
            program.template,
            program.parameter_values,
            program.parameter_sets,
            program.bases,
            1,
            program.gate_set,
            draws=program.draws + more,
            randomizations=(5, 8),
        )
        assert_exact(both)


def test_neighbouring_randomizations_differ():
    circuit = random_circuit(np.random.default_rng(1), "rz+sx+x", num_qubits=4)
    values = twirl(circuit, 6, parameter_values=np.zeros(circuit.num_parameters), seed=1).parameter_values
    assert all(not np.allclose(a, b) for a, b in pairwise(values))
