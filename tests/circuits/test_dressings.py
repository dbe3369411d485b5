import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Clbit, Gate, Parameter, Qubit
from qiskit.circuit.library import RGate, RVGate, UGate, UnitaryGate
from qiskit.quantum_info import Operator, random_unitary

from quell.circuits import dressings
from quell.circuits.dressings import IDENTITY, Affine, Atoms, canonical, compose, evaluate
from quell.circuits.template import template_of


def gate_euler(operation, atoms):
    """Angles of an operation, as it stands in a circuit."""
    bits = [Qubit() for _ in range(operation.num_qubits)]
    clbits = [Clbit() for _ in range(operation.num_clbits)]
    return dressings.gate_euler(CircuitInstruction(operation, bits, clbits), atoms)


MODEST = settings(deadline=None, derandomize=True, max_examples=150)
A, B = Parameter("a"), Parameter("b")
FIXED = ["id", "x", "y", "z", "h", "s", "sdg", "t", "tdg", "sx", "sxdg"]
ONE_ANGLE = ["rx", "ry", "rz", "p"]
NUMBERS = st.one_of(st.sampled_from([k * np.pi / 4 for k in range(-8, 9)]), st.floats(-7, 7))
SYMBOLS = st.sampled_from([A, B, -A, 2 * A + B, A * B, A.sin(), A - A + 0.5])
ANGLES = st.one_of(NUMBERS, SYMBOLS)


@st.composite
def sequences(draw, values=ANGLES):
    circuit = QuantumCircuit(1)
    for _ in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from([*FIXED, *ONE_ANGLE, "u", "r", "unitary"]))
        if kind in FIXED:
            getattr(circuit, kind)(0)
        elif kind == "unitary":
            circuit.unitary(random_unitary(2, seed=draw(st.integers(0, 999))), [0])
        else:
            width = {"u": 3, "r": 2}.get(kind, 1)
            getattr(circuit, kind)(*(draw(values) for _ in range(width)), 0)
    return circuit


def matrix(theta, phi, lam):
    return UGate(theta, phi, lam).to_matrix()


def same(a, b):
    phase = np.vdot(a, b) / 2
    return np.allclose(a * phase, b, atol=1e-9)


@given(sequences(), st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=3))
@MODEST
def test_a_dressing_is_the_product_of_its_gates_for_every_parameter_set(circuit, values):
    template = template_of(circuit)
    names = {"a": 0, "b": 1}
    rows = np.array([[row[names[p.name]] for p in circuit.parameters] for row in values])
    rows = rows.reshape(len(values), -1)
    euler = template.euler(template.atoms(rows))
    assert euler.shape == (len(values), len(template.dressings), 3)
    for row, angles in zip(rows, euler, strict=True):
        bound = circuit.assign_parameters(row)
        expected = Operator(bound).data
        assert same(matrix(*angles[0]) if len(angles) else np.eye(2), expected)


@given(sequences(values=NUMBERS))
@MODEST
def test_products_of_numbers_are_always_one_product(circuit):
    for dressing in template_of(circuit).dressings:
        assert dressing.product is not None
        assert not dressing.varies


def affine(circuit):
    return template_of(circuit).dressings[0].product is not None


def sequence(*gates):
    circuit = QuantumCircuit(1)
    for name, *parameters in gates:
        getattr(circuit, name)(*parameters, 0)
    return circuit


@pytest.mark.parametrize(
    "gates",
    [
        [("rz", A), ("sx",), ("rz", B), ("sx",), ("rz", A)],
        [("rx", A), ("rx", B)],
        [("ry", A), ("x",), ("ry", B)],
        [("h",), ("rz", A), ("h",)],
        [("rz", A), ("ry", 0.3), ("rz", B)],
        [("x",), ("u", A, B, A), ("z",)],
        [("rz", -A), ("rx", B), ("rz", A)],
    ],
)
def test_common_ansatz_pieces_stay_affine(gates):
    assert affine(sequence(*gates))


def test_rotations_about_two_axes_by_symbols_are_kept_as_gates():
    circuit = sequence(("rx", A), ("ry", B))
    assert not affine(circuit)
    assert template_of(circuit).dressings[0].varies


def test_compose_with_the_identity_changes_nothing():
    u = (Affine(0.3), Affine(0.0, {0: 1.0}), Affine(0.5))
    assert compose(IDENTITY, u) == u
    assert compose(u, IDENTITY) == u


def test_affine_terms_that_cancel_disappear():
    a = Affine(1.0, {0: 2.0, 1: 1.0})
    assert (a - a) == Affine(0.0, {})
    assert (a + a).value(np.array([[1.0, 10.0]])) == pytest.approx([26])


def test_affine_expressions_become_coefficients_of_their_parameters():
    atoms = Atoms()
    assert atoms.affine(2 * A - B / 4 + 0.5) == Affine(0.5, {0: 2.0, 1: -0.25})
    assert atoms.affine(-A) + atoms.affine(A) == Affine()
    assert set(atoms.expressions) == {A, B}


def test_other_expressions_are_atoms_shared_where_they_are_equal():
    atoms = Atoms()
    first = atoms.affine(A * B)
    assert atoms.affine(A * B) == first
    assert atoms.affine(A.sin()) != first
    assert atoms.affine(A.sin() + 1).terms
    assert atoms.affine(A.log()).terms == {len(atoms.expressions) - 1: 1.0}


def test_a_parameter_named_like_an_expression_is_another_atom():
    disguised = Parameter("2*a")
    circuit = sequence(("ry", 2 * A), ("ry", disguised))
    template = template_of(circuit)
    values = {"a": 0.3, "2*a": 1.0}
    row = np.array([[values[p.name] for p in circuit.parameters]])
    assert same(
        matrix(*template.euler(template.atoms(row))[0, 0]),
        Operator(circuit.assign_parameters(row[0])).data,
    )


def test_bound_expressions_are_numbers():
    assert Atoms().affine((A + 1).bind({A: 0.5})) == Affine(1.5)


def test_gates_without_known_angles_are_none():
    assert gate_euler(Gate("mystery", 1, []), Atoms()) is None
    assert gate_euler(RVGate(A, 0, 0), Atoms()) is None
    assert gate_euler(QuantumCircuit(1, 1).measure(0, 0)[0].operation, Atoms()) is None
    composite = QuantumCircuit(1)
    composite.h(0)
    assert gate_euler(composite.to_gate(), Atoms()) is None


def test_prx_of_a_vendor_is_r():
    atoms = Atoms()
    assert gate_euler(Gate("prx", 1, [0.3, 0.4]), atoms) == gate_euler(RGate(0.3, 0.4), atoms)


def test_two_gates_of_one_name_and_different_matrices_stay_apart():
    class Named(Gate):
        def __init__(self, matrix):
            super().__init__("named", 1, [])
            self._matrix = matrix

        def __array__(self, dtype=None, copy=None):
            return np.asarray(self._matrix, dtype=dtype)

    first, second = (random_unitary(2, seed=s).data for s in (1, 2))
    circuit = QuantumCircuit(1)
    circuit.append(Named(first), [0])
    circuit.append(Named(second), [0])
    template = template_of(circuit)
    assert same(matrix(*template.euler(np.zeros((1, 0)))[0, 0]), second @ first)


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS))
@MODEST
def test_canonical_angles_are_the_same_unitary_in_range(u):
    theta, phi, lam = canonical(np.array(u))
    assert 0 <= theta <= np.pi
    assert -np.pi < phi <= np.pi
    assert -np.pi < lam <= np.pi
    assert same(matrix(theta, phi, lam), matrix(*u))


@pytest.mark.parametrize(("theta", "snapped"), [(0, 0), (np.pi / 2, np.pi / 2), (np.pi, np.pi)])
@pytest.mark.parametrize("turns", [-2, 0, 4])
def test_canonical_snaps_rounding_errors(theta, snapped, turns):
    for error in (-1e-13, 0, 1e-13):
        assert canonical(np.array([theta + turns * np.pi + error, 0.1, 0.2]))[0] == snapped


def test_canonical_leaves_small_angles():
    assert canonical(np.array([1e-9, 0.0, 0.0]))[0] == pytest.approx(1e-9, rel=1e-6)


def test_evaluate_multiplies_gates_where_there_is_no_product():
    atoms = Atoms()
    gates = [gate_euler(op, atoms) for op in (UGate(A, 0.1, 0.2), UGate(B, 0.3, 0.4), UnitaryGate(np.eye(2)))]
    values = np.array([[0.5, 0.6], [1.5, -0.6]])
    for row, euler in zip(values, evaluate(gates, None, values), strict=True):
        assert same(matrix(*euler), matrix(row[1], 0.3, 0.4) @ matrix(row[0], 0.1, 0.2))
