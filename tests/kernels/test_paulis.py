import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit.library import (
    CPhaseGate,
    CSXGate,
    CXGate,
    CZGate,
    DCXGate,
    ECRGate,
    RXXGate,
    RZZGate,
    SwapGate,
    iSwapGate,
)
from qiskit.quantum_info import random_clifford, random_unitary

from quell.kernels import angles, paulis

MODEST = settings(deadline=None, derandomize=True, max_examples=30)
X = np.array([[0, 1], [1, 0]])
Y = np.array([[0, -1j], [1j, 0]])
Z = np.diag([1, -1])


def same(a, b, tolerance=1e-9):
    """Whether two matrices are equal up to a global phase, entry by entry."""
    where = np.unravel_index(np.abs(b).argmax(), b.shape)
    return np.allclose(a * (b[where] / a[where] if a[where] else 1), b, atol=tolerance)


def local(first, second, group=paulis.CLIFFORDS):
    return np.kron(group[second], group[first])


def count_of_local_paulis(unitary):
    """How many of the 16 Pauli pairs a gate maps to Pauli pairs, by matrices alone."""
    single = (np.eye(2), X, Y, Z)
    pairs = [np.kron(b, a) for a in single for b in single]
    images = [unitary @ pair @ unitary.conj().T for pair in pairs]
    return sum(any(same(image, pair) for pair in pairs) for image in images)


def test_codes_are_identity_x_z_y():
    for code, matrix in enumerate((np.eye(2), X, Z, Y)):
        assert same(paulis.PAULIS[code], matrix)
        assert same(paulis.CLIFFORDS[code], matrix)


def test_product_of_paulis_is_xor_of_codes():
    for a in range(4):
        for b in range(4):
            assert same(paulis.PAULIS[a] @ paulis.PAULIS[b], paulis.PAULIS[a ^ b])
            assert paulis.MULTIPLY[a, b] == a ^ b


def test_frames_are_24_unitaries_distinct_up_to_phase():
    gram = np.abs(np.einsum("aij,bij->ab", paulis.CLIFFORDS, paulis.CLIFFORDS.conj())) / 2
    assert np.allclose(np.diag(gram), 1)
    assert (gram - np.eye(24)).max() < 0.99


def test_frames_map_paulis_to_paulis():
    for frame in paulis.CLIFFORDS:
        for pauli in (X, Y, Z):
            assert any(same(frame @ pauli @ frame.conj().T, other) for other in (X, Y, Z))


def test_multiplication_table_is_the_product_of_matrices():
    for a in range(24):
        for b in range(24):
            product = paulis.CLIFFORDS[a] @ paulis.CLIFFORDS[b]
            assert same(product, paulis.CLIFFORDS[paulis.MULTIPLY[a, b]])


def test_quaternions_of_frames_are_their_matrices():
    w, x, y, z = (paulis.QUATERNIONS[:, k, None, None] for k in range(4))
    matrices = w * np.eye(2) - 1j * (x * X + y * Y + z * Z)
    assert all(same(a, b) for a, b in zip(matrices, paulis.CLIFFORDS, strict=True))


def test_multiply_agrees_with_the_table_for_paulis_and_frames():
    later, earlier = np.meshgrid(np.arange(24, dtype=np.uint8), np.arange(24, dtype=np.uint8), indexing="ij")
    assert np.array_equal(paulis.multiply(later, earlier), paulis.MULTIPLY)
    assert np.array_equal(paulis.multiply(later[:4], earlier[:4]), paulis.MULTIPLY[:4])  # the XOR path


def test_multiply_accepts_empty_arrays():
    empty = np.zeros((3, 0), dtype=np.uint8)
    assert paulis.multiply(empty, empty).shape == (3, 0)


def test_inverse_times_frame_is_identity():
    codes = np.arange(24, dtype=np.uint8)
    assert not paulis.MULTIPLY[paulis.inverse(codes), codes].any()
    assert not paulis.MULTIPLY[codes, paulis.inverse(codes)].any()
    assert np.array_equal(paulis.inverse(codes[:4]), codes[:4])


GATES = {
    "cx": (CXGate(), 16),
    "open cx": (CXGate(ctrl_state=0), 16),
    "cz": (CZGate(), 16),
    "ecr": (ECRGate(), 16),
    "swap": (SwapGate(), 16),
    "iswap": (iSwapGate(), 16),
    "dcx": (DCXGate(), 16),
    "rzz(pi/2)": (RZZGate(np.pi / 2), 16),
    "rzz(0.3)": (RZZGate(0.3), 8),
    "rxx(-1.1)": (RXXGate(-1.1), 8),
    "cp(0.7)": (CPhaseGate(0.7), 4),
    "csx": (CSXGate(), 4),
}


@pytest.mark.parametrize("name", GATES)
def test_choices_hold_as_matrices_and_are_all_that_hold(name):
    gate, count = GATES[name]
    unitary = gate.to_matrix()
    choices = paulis.two_qubit_choices(unitary)
    assert len(choices) == count == count_of_local_paulis(unitary)
    assert not choices[0].any()
    assert len({row.tobytes() for row in choices}) == count
    for a, b, c, d in choices:
        assert same(local(c, d) @ unitary @ local(a, b).conj().T, unitary)


@given(st.integers(0, 2**31))
@MODEST
def test_every_clifford_has_all_16_rows(seed):
    unitary = random_clifford(2, seed=seed).to_matrix()
    choices = paulis.two_qubit_choices(unitary)
    assert np.array_equal(np.sort(choices[:, 0] + 4 * choices[:, 1]), np.arange(16))
    assert np.array_equal(np.sort(choices[:, 2] + 4 * choices[:, 3]), np.arange(16))
    for a, b, c, d in choices:
        assert same(local(c, d) @ unitary, unitary @ local(a, b))


@given(st.integers(0, 2**31))
@MODEST
def test_a_generic_gate_keeps_only_the_identity(seed):
    choices = paulis.two_qubit_choices(random_unitary(4, seed=seed).data)
    assert np.array_equal(choices, np.zeros((1, 4)))


@pytest.mark.parametrize("angle", [1e-4, 1e-5, 1e-6, 1e-7])
def test_a_small_angle_is_not_taken_for_a_clifford(angle):
    """Turning rzz(angle) into rzz(-angle) would bias results by about the angle."""
    assert len(paulis.two_qubit_choices(RZZGate(angle).to_matrix())) == 8


def test_rounding_errors_do_not_lose_rows():
    noise = 1e-13 * np.random.default_rng(1).normal(size=(4, 4))
    assert len(paulis.two_qubit_choices(CXGate().to_matrix() + noise)) == 16
    assert len(paulis.two_qubit_choices(np.exp(0.3j) * ECRGate().to_matrix())) == 16


@pytest.mark.parametrize(
    ("gate", "count"),
    [(CXGate(), 64), (CZGate(), 64), (SwapGate(), 576), (iSwapGate(), 64), (RZZGate(0.3), 32)],
)
def test_local_cliffords_hold_as_matrices(gate, count):
    unitary = gate.to_matrix()
    choices = paulis.two_qubit_choices(unitary, cliffords=True)
    assert len(choices) == count
    assert not choices[0].any()
    assert len({row[:2].tobytes() for row in choices}) == count
    for a, b, c, d in choices:
        assert same(local(c, d) @ unitary, unitary @ local(a, b))
    as_paulis = {row.tobytes() for row in paulis.two_qubit_choices(unitary)}
    assert as_paulis <= {row.tobytes() for row in choices}


def test_choices_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        paulis.two_qubit_choices(CXGate().to_matrix())[0, 0] = 1


@pytest.mark.parametrize("gate", [CXGate(), ECRGate(), iSwapGate(), RZZGate(0.3), CPhaseGate(0.7)])
def test_balancing_multiplies_every_qubit_by_the_pauli_or_leaves_the_rows(gate):
    choices = paulis.two_qubit_choices(gate.to_matrix())
    table = paulis.balancing_permutations(choices)
    rows = {row[:2].tobytes() for row in choices}
    for m in range(4):
        assert np.array_equal(np.sort(table[m]), np.arange(len(choices)))
        moved = choices[:, :2] ^ np.uint8(m)
        if all(row.tobytes() in rows for row in moved):
            assert np.array_equal(choices[table[m], :2], moved)
        else:
            assert np.array_equal(table[m], np.arange(len(choices)))


def test_balancing_of_cx_visits_every_pauli_on_every_qubit():
    choices = paulis.two_qubit_choices(CXGate().to_matrix())
    table = paulis.balancing_permutations(choices)
    for row in range(16):
        assert np.array_equal(np.sort(choices[table[:, row], :2], axis=0), np.tile(np.arange(4), (2, 1)).T)


def test_quaternions_of_frames_have_unit_length():
    assert np.allclose((paulis.QUATERNIONS**2).sum(axis=1), 1)
    assert paulis.QUATERNIONS.shape == (24, 4)
    assert angles.euler_of_quaternions(paulis.QUATERNIONS).shape == (24, 3)
