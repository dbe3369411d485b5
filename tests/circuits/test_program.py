import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import UGate

from quell.circuits.gatesets import GATE_SETS
from quell.circuits.program import Frames, Program
from quell.circuits.template import template_of
from quell.circuits.twirling import GateTwirl, MeasureTwirl, draws_of
from quell.kernels.draws import Key
from quell.kernels.paulis import CLIFFORDS

A, B = Parameter("a"), Parameter("b")
RZ_SX_X = GATE_SETS[0]


def circuit_of():
    circuit = QuantumCircuit(3, 2)
    circuit.ry(A, 0)
    circuit.cx(0, 1)
    circuit.rx(B, 0)
    circuit.h(2)
    circuit.measure([0, 1], [1, 0])
    return circuit


def program_of(circuit, bases, *, num_sets=2, draws=(), randomizations=(0, 1)):
    bases = np.array(bases, dtype=np.uint8)
    return Program(
        template=template_of(circuit),
        parameter_values=np.random.default_rng(1).uniform(-3, 3, (num_sets, circuit.num_parameters)),
        parameter_sets=np.arange(len(bases)) % num_sets,
        bases=bases,
        shots=10,
        gate_set=RZ_SX_X,
        draws=tuple(draws),
        randomizations=randomizations,
    )


def test_members_are_settings_times_randomizations():
    program = program_of(circuit_of(), [[0, 0], [1, 2], [3, 3]], randomizations=(5, 9))
    assert (program.num_settings, program.num_randomizations, program.num_members) == (3, 4, 12)
    assert list(program.slices(0, 12)) == [(0, 5, 9), (1, 5, 9), (2, 5, 9)]
    assert list(program.slices(3, 9)) == [(0, 8, 9), (1, 5, 9), (2, 5, 6)]
    assert list(program.slices(5, 6)) == [(1, 6, 7)]
    assert list(program.slices(4, 4)) == []


def test_without_draws_only_turned_measurements_are_touched():
    template = template_of(circuit_of())
    of_bit = {t.clbit: t.dressing for t in template.terminals}
    for bases, turned in (([[0, 3]], []), ([[1, 0]], [0]), ([[0, 0], [3, 2]], [1]), ([[1, 1]], [0, 1])):
        program = program_of(circuit_of(), bases)
        expected = sorted(of_bit[bit] for bit in turned)
        assert np.flatnonzero(program.touched).tolist() == program.touched_indices.tolist() == expected


def test_draws_touch_what_they_say():
    gates, measure = GateTwirl(Key(1, 2)), MeasureTwirl(Key(3, 4))
    program = program_of(circuit_of(), [[0, 0]], draws=(gates, measure))
    template = program.template
    assert np.array_equal(program.touched, gates.touched(template) | measure.touched(template))
    lonely = [d for d, dressing in enumerate(template.dressings) if dressing.qubit == 2]
    assert not program.touched[lonely].any()


def test_flips_of_several_draws_cancel_pairwise():
    measure = MeasureTwirl(Key(3, 4))
    once = program_of(circuit_of(), [[0, 0]] * 2, draws=(measure,), randomizations=(0, 6))
    twice = program_of(circuit_of(), [[0, 0]] * 2, draws=(measure, measure), randomizations=(0, 6))
    assert once.flips(0, 12).any()
    assert not twice.flips(0, 12).any()
    assert np.array_equal(once.flips(0, 12)[3:9], once.flips(3, 9))


def test_settings_have_their_own_randomness():
    program = program_of(circuit_of(), [[0, 0]] * 2, draws=(MeasureTwirl(Key(3, 4)),), randomizations=(0, 64))
    assert not np.array_equal(program.flips(0, 64), program.flips(64, 128))


def test_frames_compose_with_the_inner_ones_next_to_the_operations():
    rng = np.random.default_rng(2)
    outer, inner = (Frames(*rng.integers(0, 24, (2, 4, 5)).astype(np.uint8)) for _ in range(2))
    total = outer.then(inner)
    for index in np.ndindex(4, 5):
        for found, later, earlier in (
            (total.before, outer.before, inner.before),
            (total.after, inner.after, outer.after),
        ):
            product = CLIFFORDS[later[index]] @ CLIFFORDS[earlier[index]]
            assert abs(np.vdot(CLIFFORDS[found[index]], product)) == pytest.approx(2)


def test_regenerating_one_randomization_equals_the_slice():
    draws = draws_of(np.random.default_rng(3), gates=True, measure=True, group="pauli")
    program = program_of(circuit_of(), [[0, 0]] * 2, draws=draws, randomizations=(0, 20))
    whole = program.frames(1, 0, 20)
    for member in (0, 7, 19):
        alone = program.frames(1, member, member + 1)
        assert np.array_equal(alone.after[0], whole.after[member])
        assert np.array_equal(alone.before[0], whole.before[member])


def test_angles_include_the_parameters_and_the_basis_of_the_setting():
    circuit = circuit_of()
    rotate = {0: np.eye(2), 3: np.eye(2), 1: np.array([[1, 1], [1, -1]]) / np.sqrt(2)}
    rotate[2] = rotate[1] @ np.diag([1, -1j])
    bases = [[0, 1], [2, 1], [3, 3], [1, 2]]
    program = program_of(circuit, bases)
    for setting, basis in enumerate(bases):
        a, b = program.parameter_values[setting % 2]
        plain = {(0, 0): UGate(a, 0, 0), (0, 1): UGate(b, -np.pi / 2, np.pi / 2)}
        clbit = {t.dressing: i for i, t in enumerate(program.template.terminals)}
        for position, index in enumerate(program.touched_indices):
            dressing = program.template.dressings[index]
            gate = plain.get((dressing.qubit, int(dressing.measured)))
            matrix = gate.to_matrix() if gate is not None else np.eye(2)
            if index in clbit:
                matrix = rotate[basis[clbit[index]]] @ matrix
            found = UGate(*program.euler(setting)[position]).to_matrix()
            assert abs(np.vdot(found, matrix)) == pytest.approx(2)


def test_constant_dressings_are_worked_out_for_one_parameter_set():
    circuit = QuantumCircuit(2, 2)
    circuit.ry(A, 0)
    circuit.measure([0, 1], [0, 1])
    program = program_of(circuit, [[0, 1]] * 5, num_sets=5)
    assert program.plain_euler.shape == (1, 1, 3)
    assert program_of(circuit, [[1, 0]] * 5, num_sets=5).plain_euler.shape == (5, 1, 3)
