from functools import reduce
from itertools import combinations, product

import numpy as np
import pytest

from quell.kernels import lindblad
from quell.kernels.paulis import PAULIS, two_qubit_choices

CX = np.array([[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]], dtype=complex)
CZ = np.diag([1, 1, 1, -1]).astype(complex)
ISWAP = np.array([[1, 0, 0, 0], [0, 0, 1j, 0], [0, 1j, 0, 0], [0, 0, 0, 1]])
ECR = np.array([[0, 1, 0, 1j], [1, 0, -1j, 0], [0, 1j, 0, 1], [-1j, 0, 1, 0]]) / np.sqrt(2)


def all_paulis(num_qubits):
    return np.array(list(product(range(4), repeat=num_qubits)), dtype=np.uint8)


def matrix(codes):
    """The first qubit is the least significant one."""
    return reduce(lambda total, code: np.kron(PAULIS[code], total), codes, np.eye(1))


def test_paulis_anticommute_as_their_matrices_do():
    paulis = all_paulis(3)
    matrices = np.array([matrix(row) for row in paulis])
    products = np.einsum("aij,bjk->abik", matrices, matrices)
    expected = np.abs(products + products.transpose(1, 0, 2, 3)).max(axis=(2, 3)) < 1e-12
    assert (lindblad.anticommute(paulis, paulis) == expected).all()


@pytest.mark.parametrize("num_qubits", [31, 32, 33, 64, 127, 200])
def test_wide_paulis_anticommute_where_an_odd_number_of_qubits_do(num_qubits):
    rng = np.random.default_rng(num_qubits)
    paulis = rng.integers(4, size=(40, num_qubits), dtype=np.uint8)
    generators = rng.integers(4, size=(30, num_qubits), dtype=np.uint8)
    a, b = paulis[:, None], generators[None]
    odd = ((a != 0) & (b != 0) & (a != b)).sum(axis=2) % 2 == 1
    table = lindblad.anticommute(paulis, generators)
    assert table.dtype == bool
    assert (table == odd).all()


def test_blocks_of_a_large_table_join():
    rng = np.random.default_rng(5)
    paulis = rng.integers(4, size=(700, 3), dtype=np.uint8)
    table = lindblad.anticommute(paulis, paulis)
    assert (table == table.T).all()
    assert (table[-3:] == lindblad.anticommute(paulis[-3:], paulis)).all()
    assert not table.diagonal().any()


def test_no_paulis_and_no_qubits():
    none = np.zeros((0, 4), dtype=np.uint8)
    assert lindblad.anticommute(none, none).shape == (0, 0)
    assert lindblad.anticommute(none, np.zeros((3, 4), dtype=np.uint8)).shape == (0, 3)
    assert not lindblad.anticommute(np.zeros((2, 0), np.uint8), np.zeros((3, 0), np.uint8)).any()


def test_paulis_on_other_numbers_of_qubits_are_refused():
    with pytest.raises(ValueError, match="other numbers of qubits"):
        lindblad.anticommute(np.zeros((1, 3), np.uint8), np.zeros((1, 4), np.uint8))


def test_local_paulis_come_qubit_by_qubit_then_pair_by_pair():
    codes = lindblad.local_paulis(3, [(2, 1), (0, 1), (1, 2)])
    assert codes.shape == (9 + 18, 3)
    assert codes[:9].tolist() == [[c if q == k else 0 for q in range(3)] for k in range(3) for c in (1, 2, 3)]
    assert codes[9:18].tolist() == [[a, b, 0] for a in (1, 2, 3) for b in (1, 2, 3)]
    assert codes[18:].tolist() == [[0, a, b] for a in (1, 2, 3) for b in (1, 2, 3)]


def test_local_paulis_of_all_pairs_are_all_paulis_of_weight_one_and_two():
    codes = lindblad.local_paulis(4, combinations(range(4), 2))
    expected = {tuple(row) for row in all_paulis(4).tolist() if 1 <= np.count_nonzero(row) <= 2}
    assert len(codes) == len(expected)
    assert {tuple(row) for row in codes.tolist()} == expected


@pytest.mark.parametrize("pair", [(1, 1), (0, 3), (-1, 0)])
def test_pairs_of_other_qubits_are_refused(pair):
    with pytest.raises(ValueError, match="is not a pair"):
        lindblad.local_paulis(3, [pair])


def channel(paulis, generators, rates):
    """The channel as the product of its generators' channels, each a mixture of nothing and one Pauli."""
    images = np.array([matrix(row) for row in paulis])
    for code, rate in zip(generators, rates, strict=True):
        weight, error = (1 + np.exp(-2 * rate)) / 2, matrix(code)
        images = weight * images + (1 - weight) * error @ images @ error.conj().T
    return images


def test_fidelities_are_those_of_the_product_of_the_generators_channels():
    rng = np.random.default_rng(7)
    paulis, generators = all_paulis(2), lindblad.local_paulis(2, [(0, 1)])
    rates = rng.exponential(0.1, len(generators))
    images = channel(paulis, generators, rates)
    before = np.array([matrix(row) for row in paulis])
    overlaps = np.einsum("aij,aij->a", before.conj(), images).real / 4
    assert lindblad.fidelities(paulis, generators, rates) == pytest.approx(overlaps, abs=1e-12)
    assert images == pytest.approx(overlaps[:, None, None] * before, abs=1e-12)


def quasi_probabilities(paulis, factors):
    """Of the channel that multiplies each Pauli by its factor."""
    signs = 1 - 2.0 * lindblad.anticommute(paulis, paulis)
    return signs @ factors / len(paulis)


@pytest.mark.parametrize("gain", [0.0, 0.3, 0.8])
def test_gamma_is_the_sum_of_absolute_quasi_probabilities(gain):
    # No two products of these generators are the same Pauli, so nothing cancels in the sum.
    generators = np.array([[1, 0, 0], [0, 3, 0], [0, 0, 2]], dtype=np.uint8)
    rates = [0.05, 0.2, 0.01]
    paulis = all_paulis(3)
    weights = quasi_probabilities(paulis, lindblad.fidelities(paulis, generators, rates) ** (gain - 1))
    assert weights.sum() == pytest.approx(1)
    assert np.abs(weights).sum() == pytest.approx(lindblad.gamma(rates, gain))


def test_added_noise_takes_no_signs():
    assert lindblad.gamma([0.1, 0.3], 1.0) == 1
    assert lindblad.gamma([0.1, 0.3], 2.5) == 1
    assert lindblad.gamma([]) == 1


@pytest.mark.parametrize("gate", [CX, CZ, ISWAP, ECR])
@pytest.mark.parametrize("qubits", [(0, 1), (1, 0), (2, 0)])
def test_images_of_paulis_are_those_of_their_matrices(gate, qubits):
    paulis = all_paulis(3)
    images = lindblad.conjugated(paulis, [(two_qubit_choices(gate), qubits)])
    # The gate on its qubits, the others as they are: entry by entry of the 8 x 8 matrix.
    first, second = qubits
    unitary = np.zeros((8, 8), dtype=complex)
    for column in range(8):
        a, b = column >> first & 1, column >> second & 1
        rest = column & ~(1 << first) & ~(1 << second)
        for out in range(4):
            unitary[rest | (out & 1) << first | (out >> 1) << second, column] = gate[out, a + 2 * b]
    for pauli, image in zip(paulis, images, strict=True):
        overlap = np.trace(matrix(image).conj().T @ unitary @ matrix(pauli) @ unitary.conj().T) / 8
        assert abs(overlap) == pytest.approx(1)


def test_gates_side_by_side_act_each_on_its_own_qubits():
    table = two_qubit_choices(CX)
    paulis = all_paulis(4)
    both = lindblad.conjugated(paulis, [(table, (0, 2)), (table, (3, 1))])
    assert (
        both == lindblad.conjugated(lindblad.conjugated(paulis, [(table, (3, 1))]), [(table, (0, 2))])
    ).all()
    assert (lindblad.conjugated(both, [(table, (0, 2)), (table, (3, 1))]) == paulis).all()
    assert not np.shares_memory(lindblad.conjugated(paulis, []), paulis)


def test_conjugation_keeps_who_anticommutes():
    paulis = np.random.default_rng(3).integers(4, size=(50, 6), dtype=np.uint8)
    gates = [(two_qubit_choices(ECR), (0, 1)), (two_qubit_choices(ISWAP), (5, 3))]
    images = lindblad.conjugated(paulis, gates)
    assert (images != paulis).any()
    assert (lindblad.anticommute(images, images) == lindblad.anticommute(paulis, paulis)).all()


def test_gates_that_take_paulis_elsewhere_are_refused():
    table = two_qubit_choices(np.diag(np.exp(-0.15j * np.array([1, -1, -1, 1]))))
    inside = table[:, :2].copy()
    assert (lindblad.conjugated(inside, [(table, (0, 1))]) == table[:, 2:]).all()
    with pytest.raises(ValueError, match=r"The gate on \(0, 1\) does not map every Pauli"):
        lindblad.conjugated(all_paulis(2), [(table, (0, 1))])


def test_gates_that_share_a_qubit_are_refused():
    table = two_qubit_choices(CX)
    with pytest.raises(ValueError, match="shares a qubit"):
        lindblad.conjugated(all_paulis(3), [(table, (0, 1)), (table, (1, 2))])
