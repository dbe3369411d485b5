import numpy as np
import pytest
from attrs import evolve
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.classical import expr, types
from qiskit.circuit.library import RGate
from qiskit.quantum_info import Operator, Statevector

from quell import twirl
from quell.circuits.bound import BoundForm
from quell.circuits.gatesets import GATE_SETS, VENDOR_GATES
from quell.circuits.parametric import ParametricForm, emit
from quell.circuits.program import Program
from quell.circuits.template import template_of
from quell.circuits.twirling import MeasureTwirl, draws_of, twirled_template
from quell.errors import UnsupportedError
from quell.kernels.draws import Key

A, B = Parameter("a"), Parameter("b")


def with_classes(gate_set):
    """Give a set of a vendor's gates, whose classes only a target knows, the gate that they are."""
    vendors = gate_set.gates & VENDOR_GATES.keys()
    made = tuple((name, lambda *p, name=name: RGate(*VENDOR_GATES[name](*p))) for name in vendors)
    return evolve(gate_set, factories=made)


SETS = {gate_set.name: with_classes(gate_set) for gate_set in GATE_SETS if gate_set.is_complete}
RZ_SX_X = SETS["rz+sx+x"]


def ansatz(num_qubits=3, depth=2):
    """An ISA-like circuit whose dressings vary, are constant, are empty, or are not affine."""
    circuit = QuantumCircuit(num_qubits, num_qubits)
    for layer in range(depth):
        for q in range(num_qubits):
            circuit.rz(A + q, q)
            circuit.sx(q)
            circuit.rz(0.3 * layer, q)
        circuit.rx(A, 0)
        circuit.ry(B, 0)
        for q in range(layer % 2, num_qubits - 1, 2):
            circuit.cx(q, q + 1)
        circuit.rzz(A * B, 0, 1)
    circuit.x(1)
    circuit.measure(range(num_qubits), range(num_qubits))
    return circuit


def program_of(
    circuit,
    *,
    gate_set=RZ_SX_X,
    group="pauli",
    strategy="active",
    bases=None,
    num_sets=2,
    members=5,
    draws=None,
    seed=1,
):
    rng = np.random.default_rng(seed)
    template = twirled_template(template_of(circuit), strategy, cliffords=group == "local_c1")
    if bases is None:
        bases = np.zeros((num_sets, len(template.terminals)))
    if draws is None:
        draws = draws_of(rng, gates=True, measure=True, group=group)
    return Program(
        template=template,
        parameter_values=rng.uniform(-3, 3, (num_sets, circuit.num_parameters)),
        parameter_sets=np.arange(len(bases)) % num_sets,
        bases=np.array(bases, dtype=np.uint8),
        shots=7,
        gate_set=gate_set,
        draws=draws,
        randomizations=(0, members),
    )


def bound_circuits(program):
    form = ParametricForm(program)
    values = form.values(0, program.num_members)
    return [form.circuit.assign_parameters(row) for row in values], BoundForm(program).circuits(
        0, program.num_members
    )


def both(program):
    parametric, bound = bound_circuits(program)
    return parametric + bound


def without_measurements(circuit):
    bare = QuantumCircuit(circuit.num_qubits)
    for instruction in circuit.data:
        if instruction.operation.name not in ("measure", "barrier"):
            bare.append(instruction.operation, [circuit.find_bit(q).index for q in instruction.qubits])
    return bare


def counts(circuit, *names):
    return sum(circuit.count_ops().get(name, 0) for name in names)


BASES = [[0, 0, 0], [1, 2, 3], [2, 0, 1], [1, 1, 1], [3, 2, 2]]


@pytest.mark.parametrize("group", ["pauli", "balanced_pauli", "local_c1"])
@pytest.mark.parametrize("set_name", SETS)
def test_both_renderings_are_the_same_circuit(set_name, group):
    """Up to phases that the terminal measurements make redundant, for several parameter sets and bases."""
    program = program_of(ansatz(), gate_set=SETS[set_name], group=group, bases=BASES, members=2)
    for parametric, bound in zip(*bound_circuits(program), strict=True):
        first, second = (Operator(without_measurements(c)).data for c in (parametric, bound))
        left = first @ second.conj().T
        assert np.allclose(left, np.diag(np.diag(left)), atol=1e-9)


def test_paulis_are_put_around_gates_that_only_flip_and_change_phases():
    """A set that cannot write anything else: members are those of a set that can."""
    rz_x = next(gate_set for gate_set in GATE_SETS if gate_set.name == "rz+x")
    circuit = QuantumCircuit(3, 3)
    circuit.x(0)
    circuit.rz(A, 1)
    for pair in ((0, 1), (1, 2), (0, 1)):
        circuit.cx(*pair)
        circuit.rz(0.4, pair[1])
    circuit.measure(range(3), range(3))
    program = program_of(circuit, num_sets=2, members=4)
    limited = program.written_in(rz_x)
    for made, reference in zip(*(BoundForm(p).circuits(0, 8) for p in (limited, program)), strict=True):
        assert set(made.count_ops()) <= {"rz", "x", "cx", "measure"}
        first, second = (Operator(without_measurements(c)).data for c in (made, reference))
        left = first @ second.conj().T
        assert np.allclose(left, np.diag(np.diag(left)), atol=1e-9)
    for wrong in (program_of(ansatz()), program_of(circuit, bases=[[1, 0, 0]])):
        with pytest.raises(UnsupportedError, match="measure Z observables"):
            wrong.written_in(rz_x)


@pytest.mark.parametrize("set_name", ["rz+sx+x", "u"])
@pytest.mark.parametrize("strategy", ["active", "all"])
def test_unmeasured_members_are_the_same_unitary_up_to_phase(set_name, strategy):
    circuit = ansatz().remove_final_measurements(inplace=False)
    program = program_of(circuit, gate_set=SETS[set_name], strategy=strategy, members=3)
    originals = [Operator(circuit.assign_parameters(row)) for row in program.parameter_values]
    for member, pair in enumerate(zip(*bound_circuits(program), strict=True)):
        for made in pair:
            assert Operator(without_measurements(made)).equiv(originals[member // 3], atol=1e-9)


@pytest.mark.parametrize("bound", [False, True])
def test_bases_measure_x_and_y(bound):
    """Expectation of every member in its basis, flips undone, equals that of the rotated original."""
    circuit = ansatz()
    program = program_of(circuit, bases=BASES, members=3)
    members = bound_circuits(program)[bound]
    flips = program.flips(0, program.num_members)
    for member, made in enumerate(members):
        setting = member // 3
        rotated = without_measurements(
            circuit.assign_parameters(program.parameter_values[program.parameter_sets[setting]])
        )
        for qubit, basis in enumerate(BASES[setting]):
            if basis == 2:
                rotated.sdg(qubit)
            if basis in (1, 2):
                rotated.h(qubit)
        expected = Statevector(rotated).probabilities()
        found = Statevector(without_measurements(made)).probabilities()
        mask = int(flips[member] @ (1 << np.arange(3)))
        assert np.allclose(found[np.arange(8) ^ mask], expected, atol=1e-9)


@pytest.mark.parametrize("group", ["pauli", "balanced_pauli", "local_c1"])
@pytest.mark.parametrize("members", [4, 40])
def test_values_of_chunks_equal_the_whole(group, members):
    program = program_of(ansatz(), group=group, bases=BASES, members=members)
    form = ParametricForm(program)
    total = program.num_members
    whole = form.values(0, total)
    assert whole.shape == (total, form.num_parameters) == (total, form.circuit.num_parameters)
    assert np.isfinite(whole).all()
    for size in (1, 7, 17, total):
        if size == 1 and total > 50:
            continue
        chunks = [form.values(k, min(k + size, total)) for k in range(0, total, size)]
        # A table and its members may round differently in the last digit, never more.
        assert np.allclose(np.concatenate(chunks), whole, rtol=0, atol=1e-12)
    assert np.array_equal(ParametricForm(program).values(0, total), whole)


def test_regenerating_one_randomization_alone_equals_the_slice():
    program = program_of(ansatz(), bases=BASES, members=40)
    form, bound = ParametricForm(program), BoundForm(program)
    whole, circuits = form.values(0, program.num_members), bound.circuits(0, program.num_members)
    for member in (0, 39, 40, 123):
        assert np.allclose(ParametricForm(program).values(member, member + 1)[0], whole[member], atol=1e-12)
        assert BoundForm(program).circuits(member, member + 1)[0] == circuits[member]


def test_settings_in_any_order_give_the_same_circuits():
    """Instructions are shared and cached; the cache must not leak between parameter sets or bases."""
    program = program_of(ansatz(), bases=BASES * 2, members=2)
    bound = BoundForm(program)
    forwards = [bound.circuits(k, k + 1)[0] for k in range(program.num_members)]
    backwards = [bound.circuits(k, k + 1)[0] for k in reversed(range(program.num_members))]
    fresh = BoundForm(program).circuits(0, program.num_members)
    assert forwards == backwards[::-1] == fresh


def test_untouched_dressings_are_the_users_own_instructions():
    circuit = QuantumCircuit(4, 2)
    circuit.h(2)
    circuit.t(2)
    circuit.cx(0, 1)
    circuit.rx(A, 3)
    circuit.measure([0, 1], [0, 1])
    circuit.u(0.1, A, 0.3, 2)
    program = program_of(circuit, members=3)
    parametric = ParametricForm(program).circuit
    for made in (parametric, *BoundForm(program).circuits(0, 3)):
        for qubit in (2, 3):
            kept = [i.operation for i in made.data if made.find_bit(i.qubits[0]).index == qubit]
            own = [i.operation for i in circuit.data if circuit.find_bit(i.qubits[0]).index == qubit]
            if made is not parametric:
                own = [
                    i.operation
                    for i in circuit.assign_parameters(program.parameter_values[0]).data
                    if i.qubits[0] == circuit.qubits[qubit]
                ]
            assert [k.name for k in kept] == [o.name for o in own]
            assert kept == own


@pytest.mark.parametrize("group", ["pauli", "local_c1"])
def test_without_anything_touched_the_circuit_comes_back_as_written(group):
    circuit = QuantumCircuit(3, 1)
    circuit.h(0)
    circuit.barrier()
    circuit.ccx(0, 1, 2)
    circuit.rx(A, 2)
    program = program_of(circuit, group=group, members=2, num_sets=1, gate_set=None)
    form = ParametricForm(program)
    assert form.circuit == circuit
    assert np.array_equal(form.values(0, 2), np.repeat(program.parameter_values, 2, axis=0))
    bound = BoundForm(program).circuits(0, 2)
    assert bound == [circuit.assign_parameters(program.parameter_values[0])] * 2


def test_a_half_pi_dressing_stays_one_sx_in_every_member():
    circuit = QuantumCircuit(3, 3)
    for q in range(3):
        circuit.rz(A, q)
        circuit.sx(q)
        circuit.rz(B, q)
    circuit.cx(0, 1)
    circuit.h(0)
    circuit.sxdg(1)
    circuit.ecr(1, 2)
    circuit.ry(np.pi / 2, 1)
    circuit.rx(-np.pi / 2, 2)
    circuit.measure(range(3), range(3))
    parametric, bound = bound_circuits(program_of(circuit, members=16))
    for made in parametric + bound:
        assert counts(made, "sx") == 7
        assert counts(made, "x") == 0


def isa_brickwork(num_qubits=4, depth=3, seed=0):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(num_qubits, num_qubits)
    for layer in range(depth):
        for q in range(num_qubits):
            circuit.rz(rng.uniform(-3, 3), q)
            circuit.sx(q)
            circuit.rz(rng.uniform(-3, 3), q)
        for q in range(layer % 2, num_qubits - 1, 2):
            circuit.ecr(q, q + 1)
    return circuit


def test_twirl_adds_no_sx_to_an_isa_circuit_of_half_pi_dressings():
    circuit = QuantumCircuit(4)
    for _ in range(3):
        for q in range(4):
            circuit.rz(0.1 * q, q)
            circuit.sx(q)
            circuit.rz(0.2, q)
        circuit.ecr(0, 1)
        circuit.ecr(2, 3)
    for q in range(4):
        circuit.rz(0.3, q)
        circuit.sx(q)
    circuit.measure_all()
    twirled = twirl(circuit, 10, seed=1)
    assert counts(twirled.circuit, "sx") == counts(circuit, "sx")
    assert counts(twirled.circuit, "x", "u", "h") == 0
    assert counts(twirled.circuit, "ecr") == counts(circuit, "ecr")
    assert set(twirled.circuit.count_ops()) == {"rz", "sx", "ecr", "measure", "barrier"}


def test_bound_members_never_have_more_pulses_than_two_a_dressing():
    circuit = isa_brickwork()
    circuit.measure(range(4), range(4))
    program = program_of(circuit, members=20, num_sets=1, strategy="all")
    for made in BoundForm(program).circuits(0, 20):
        run = dict.fromkeys(made.qubits, 0)
        for instruction in made.data:
            if instruction.operation.name in ("sx", "x"):
                run[instruction.qubits[0]] += 1
                assert run[instruction.qubits[0]] <= 2
            elif instruction.operation.name != "rz":  # the dressing ends, also at the barriers around idles
                run.update(dict.fromkeys(instruction.qubits, 0))


def test_an_empty_dressing_is_at_most_one_x_where_it_is_bound():
    circuit = QuantumCircuit(2, 2)
    circuit.cx(0, 1)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    program = program_of(circuit, members=30, num_sets=1)
    pulses = [counts(made, "x", "sx") for made in BoundForm(program).circuits(0, 30)]
    assert all(counts(made, "sx") == 0 for made in BoundForm(program).circuits(0, 30))
    assert max(pulses) <= 6
    assert min(pulses) < max(pulses)


def test_users_parameter_names_do_not_clash():
    own = ParameterVector("angle", 2)
    other = Parameter("angle_")
    circuit = QuantumCircuit(2, 2)
    circuit.rx(own[0], 0)
    circuit.cx(0, 1)
    circuit.rzz(own[1] + other, 0, 1)
    circuit.measure([0, 1], [0, 1])
    program = program_of(circuit, members=3)
    form = ParametricForm(program)
    parameters = list(form.circuit.parameters)
    values = form.values(0, 6)
    named = {p.name: values[:, i] for i, p in enumerate(parameters)}
    of_user = {p.name: program.parameter_values[:, i] for i, p in enumerate(circuit.parameters)}
    for name in ("angle[1]", "angle_"):
        assert np.array_equal(named[name], np.repeat(of_user[name], 3))
    assert "angle[0]" not in named  # its only gate was merged into a touched dressing


def test_many_parameters_keep_their_columns():
    """Names sort as text, vectors by index; free angles and the user's own must not be mixed up."""
    z, big = Parameter("z"), ParameterVector("aa", 12)
    circuit = QuantumCircuit(4, 4)
    for k in range(12):
        circuit.rzz(big[k], k % 3, k % 3 + 1)
        circuit.rx(z * big[k], k % 4)
    circuit.measure(range(4), range(4))
    program = program_of(circuit, members=20)
    for made, expected in zip(*bound_circuits(program), strict=True):
        first, second = (Operator(without_measurements(c)).data for c in (made, expected))
        left = first @ second.conj().T
        assert np.allclose(left, np.diag(np.diag(left)), atol=1e-9)


def test_a_symbolic_global_phase_leaves_nothing_unbound():
    """What transpile makes of p(a): rz(a) and a global phase a/2."""
    circuit = ansatz()
    circuit.global_phase = A / 2 + Parameter("only in the phase")
    program = program_of(circuit, members=2)
    for made in both(program):
        assert made.num_parameters == 0


def test_the_global_phase_is_kept():
    circuit = QuantumCircuit(1, global_phase=A)
    circuit.h(0)
    program = program_of(circuit, draws=())
    phases = [made.global_phase for made in BoundForm(program).circuits(0, program.num_members)]
    assert phases == pytest.approx(np.repeat(program.parameter_values[:, 0] % (2 * np.pi), 5))


def test_parameters_inside_control_flow_are_bound():
    circuit = QuantumCircuit(2, 2)
    circuit.cx(0, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.rx(A, 1)
    circuit.measure(1, 1)
    program = program_of(circuit, members=3)
    for made in both(program):
        assert made.num_parameters == 0
        assert counts(made, "if_else") == 1
        (block,) = next(i for i in made.data if i.operation.name == "if_else").operation.blocks
        assert block.num_parameters == 0
    bodies = [
        parameter
        for made in bound_circuits(program)[1]
        for instruction in made.data
        if instruction.operation.name == "if_else"
        for parameter in instruction.operation.blocks[0].data[0].operation.params
    ]
    assert bodies == pytest.approx(np.repeat(program.parameter_values[:, 0], 3))


def test_circuits_with_classical_variables_are_rendered():
    circuit = QuantumCircuit(QuantumRegister(2), ClassicalRegister(2))
    variable = circuit.add_var("v", expr.lift(False, types.Bool()))
    circuit.cx(0, 1)
    circuit.measure(0, 0)
    circuit.store(variable, expr.lift(circuit.clbits[0]))
    with circuit.if_test(variable):
        circuit.x(1)
    circuit.measure(1, 1)
    for strategy in ("active", "all"):
        program = program_of(circuit, members=3, num_sets=1, strategy=strategy)
        for made in both(program):
            assert made.num_vars == 1
            names = [
                i.operation.name for i in made.data if i.operation.name not in ("rz", "sx", "x", "barrier")
            ]
            assert names == ["store", "cx", "measure", "store", "if_else", "measure"]


def test_registers_and_metadata_survive():
    circuit = QuantumCircuit(
        QuantumRegister(2, "alice"), ClassicalRegister(1, "one"), ClassicalRegister(2, "two")
    )
    circuit.metadata = {"keep": "me"}
    circuit.name = "named"
    circuit.cx(0, 1)
    circuit.measure([0, 1], [2, 0])
    program = program_of(circuit, members=2, num_sets=1)
    for made in both(program):
        assert made.qregs == circuit.qregs
        assert made.cregs == circuit.cregs
        assert made.metadata == {"keep": "me"}


def test_barriers_stay_where_they_are():
    circuit = QuantumCircuit(2, 2)
    circuit.cx(0, 1)
    circuit.barrier()
    circuit.cx(0, 1)
    circuit.barrier(0)
    circuit.measure([0, 1], [0, 1])
    program = program_of(circuit, members=2, num_sets=1)
    for made in both(program):
        names = [i.operation.name for i in made.data if i.operation.name in ("cx", "barrier", "measure")]
        assert names == ["cx", "barrier", "cx", "barrier", "measure", "measure"]


def test_the_circuit_given_is_never_changed():
    circuit = ansatz()
    copy = circuit.copy()
    bound_circuits(program_of(circuit, strategy="all", bases=BASES, members=20))
    assert circuit == copy


def test_a_pub_has_the_values_and_the_shots():
    program = program_of(ansatz(), members=20)
    form = ParametricForm(program)
    pub = form.pub(5, 30)
    assert pub.shots == 7
    assert pub.shape == (25,)
    values = pub.parameter_values.as_array(form.circuit.parameters)
    assert np.array_equal(values, form.values(5, 30))


def test_a_pub_without_parameters_has_the_right_shape():
    circuit = QuantumCircuit(1, 1)
    circuit.h(0)
    circuit.measure(0, 0)
    program = program_of(circuit, members=4, num_sets=1, draws=())
    assert ParametricForm(program).pub(0, 4).shape == (4,)


def test_emission_is_the_circuit_in_an_equivalent_order():
    circuit = ansatz()
    template = template_of(circuit)
    assert list(emit(template, circuit.data, set())) == list(circuit.data)
    touched = {3, 5}
    parts = list(emit(template, circuit.data, touched))
    assert sorted(p for p in parts if isinstance(p, int)) == [3, 5]
    missing = sum(len(template.dressings[d].instructions) for d in touched)
    assert len(parts) == len(circuit.data) - missing + 2


def test_measurement_twirl_alone_touches_only_the_last_dressings():
    circuit = ansatz()
    program = program_of(circuit, draws=(MeasureTwirl(Key(1, 2)),), members=3)
    form = ParametricForm(program)
    assert counts(form.circuit, "rx", "ry") == counts(circuit, "rx", "ry")
    assert counts(form.circuit, "x") == 0  # the last dressing of qubit 1 is now free angles
    assert len(program.touched_indices) == 3
