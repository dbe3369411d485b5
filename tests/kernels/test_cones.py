from itertools import product

import numpy as np
import pytest
from qiskit.circuit.library import CXGate, CZGate, DCXGate, ECRGate, RZZGate, SwapGate, iSwapGate
from qiskit.quantum_info import Clifford, Operator, Pauli, random_unitary

from quell.kernels import angles, cones
from quell.kernels.paulis import PAULIS

NAMES = "IXZY"
CLIFFORD_GATES = [CXGate(), CZGate(), ECRGate(), SwapGate(), iSwapGate(), DCXGate(), CXGate(ctrl_state=0)]


def members(mask):
    return [code for code in range(4) if mask >> code & 1]


def matrix_of(theta, phi, lam):
    """Rz(phi) Ry(theta) Rz(lam)."""

    def rz(angle):
        return np.diag(np.exp([-0.5j * angle, 0.5j * angle]))

    half = theta / 2
    ry = np.array([[np.cos(half), -np.sin(half)], [np.sin(half), np.cos(half)]])
    return rz(phi) @ ry @ rz(lam)


def brute(unitary, operators):
    """Whether U^dagger P U contains Q, by traces."""
    return np.array(
        [
            [abs(np.trace(q.conj().T @ unitary.conj().T @ p @ unitary)) / len(p) > 1e-9 for q in operators]
            for p in operators
        ]
    )


def pairs():
    """Pairs of Paulis, the first qubit's code running fastest."""
    return [np.kron(PAULIS[b], PAULIS[a]) for b in range(4) for a in range(4)]


def test_rotations_relate_what_their_matrices_do():
    rng = np.random.default_rng(0)
    special = [0, np.pi / 2, np.pi, -np.pi / 2, 0.3]
    some = np.array(list(product([0, np.pi / 2, np.pi, 0.7], special, special)))
    euler = np.concatenate([some, rng.uniform(-np.pi, np.pi, (20, 3))])
    relations = cones.rotation_relations(euler)
    for row, relation in zip(euler, relations, strict=True):
        assert (relation == brute(matrix_of(*row), PAULIS)).all(), row


def test_angles_are_those_of_the_rest_of_the_package():
    euler = np.array([0.4, 1.1, -2.0])
    w, x, y, z = angles.quaternions_of_euler(euler)
    i, px, pz, py = np.eye(2), PAULIS[1], PAULIS[2], 1j * PAULIS[3]
    assert np.allclose(matrix_of(*euler), w * i - 1j * (x * px + y * py + z * pz))


def test_rotations_about_z_mix_x_and_y_only():
    (relation,) = cones.rotation_relations(np.array([[0.0, 0.3, 0.4]]))
    table = cones.mask_table(relation)
    x_or_y = 1 << 1 | 1 << 3
    assert [table[1 << code] for code in range(4)] == [1, x_or_y, 1 << 2, x_or_y]


@pytest.mark.parametrize("gate", CLIFFORD_GATES, ids=lambda g: g.name)
def test_clifford_gates_take_pairs_to_the_pairs_that_qiskit_says(gate):
    table = cones.pair_table(cones.gate_relation(Operator(gate).data))
    for a, b in product(range(4), repeat=2):
        image = Pauli(NAMES[b] + NAMES[a]).evolve(Clifford.from_operator(Operator(gate)), frame="h")
        after = [NAMES.index(c) for c in reversed(image.to_label().lstrip("-i"))]
        assert table[1 << a | 16 << b] == 1 << after[0] | 16 << after[1]


@pytest.mark.parametrize("unitary", [Operator(RZZGate(0.4)).data, random_unitary(4, seed=1).data])
def test_other_gates_relate_what_their_matrices_do(unitary):
    assert (cones.gate_relation(unitary) == brute(unitary, pairs())).all()


def test_one_phase_of_a_gate_is_as_good_as_another():
    unitary = Operator(ECRGate()).data
    assert (cones.gate_relation(unitary) == cones.gate_relation(np.exp(0.3j) * unitary)).all()


def test_tables_take_sets_to_unions():
    rng = np.random.default_rng(2)
    relation = rng.random((4, 4)) < 0.4
    for mask, before in enumerate(cones.mask_table(relation)):
        assert members(before) == [q for q in range(4) if any(relation[p, q] for p in members(mask))]
    relation = rng.random((16, 16)) < 0.1
    for packed, before in enumerate(cones.pair_table(relation)):
        after = [a + 4 * b for a in members(packed & 15) for b in members(packed >> 4)]
        found = [q for q in range(16) if any(relation[p, q] for p in after)]
        assert members(before & 15) == sorted({q % 4 for q in found})
        assert members(before >> 4) == sorted({q // 4 for q in found})


@pytest.mark.parametrize("gate", [*CLIFFORD_GATES, RZZGate(0.4)], ids=lambda g: g.name)
def test_nothing_but_the_identity_stays_so_under_gates(gate):
    table = cones.pair_table(cones.gate_relation(Operator(gate).data))
    assert table[cones.IDENTITY | cones.IDENTITY << 4] == cones.IDENTITY | cones.IDENTITY << 4


def test_relevance_counts_combinations():
    rng = np.random.default_rng(3)
    masks = rng.integers(1, 16, (30, 9)).astype(np.uint8)
    dressings = np.array([7, 2, 4, 0])
    generators = rng.integers(0, 4, (40, 4)).astype(np.uint8)
    generators[0] = 0
    relevant, share = cones.relevance(masks, dressings, generators)
    assert relevant.shape == share.shape == (40, 30)
    for t, k in product(range(30), range(40)):
        support = np.flatnonzero(generators[k])
        combinations = list(product(*(members(masks[t, dressings[q]]) for q in support)))
        odd = [
            sum(c not in (0, generators[k, q]) for c, q in zip(choice, support, strict=True)) % 2
            for choice in combinations
        ]
        assert relevant[k, t] == any(odd)
        assert share[k, t] == pytest.approx(np.mean(odd), abs=1e-12)


def test_share_of_single_paulis_is_exactly_their_anticommutation():
    rng = np.random.default_rng(4)
    codes, generators = rng.integers(0, 4, (2, 50, 6)).astype(np.uint8)
    relevant, share = cones.relevance(cones.masks_of(codes), np.arange(6), generators)
    odd = [[bool((((c != g) & (c > 0) & (g > 0)).sum()) % 2) for c in codes] for g in generators]
    assert (relevant == odd).all()
    assert (share == np.array(odd, dtype=float)).all()


def test_errors_outside_the_cone_and_no_errors_are_irrelevant():
    masks = np.array([[cones.IDENTITY, cones.EVERYTHING]], dtype=np.uint8)
    generators = np.array([[0, 0], [1, 0], [3, 0], [0, 1]], dtype=np.uint8)
    relevant, share = cones.relevance(masks, np.arange(2), generators)
    assert relevant[:, 0].tolist() == [False, False, False, True]
    assert share[:, 0].tolist() == [0, 0, 0, 0.5]
    for shape in ((0, 2), (3, 0)):
        dressings = np.arange(shape[1])
        empty, _ = cones.relevance(masks, dressings, np.zeros(shape, dtype=np.uint8))
        assert empty.shape == (shape[0], 1)
        assert not empty.any()
