"""Families of circuits: their observables have the values that physics says, and the same seed draws the same."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.quantum_info import SparsePauliOp, Statevector
from scipy.linalg import expm

from quell.experiments import workloads
from quell.experiments.families import FAMILIES
from quell.testing import exact_value


def values(built, group):
    return [exact_value(built.circuit, operator) for operator in built.groups[group].values()]


GROUPS = ("magnetisation", "neighbours", "transverse", "sites", "parity")


def dense(num_qubits, terms):
    return SparsePauliOp.from_sparse_list(terms, num_qubits).to_matrix()


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("qubits", [3, 4, 5])
def test_trotter_steps_converge_to_the_evolution_of_the_hamiltonian(qubits, periodic):
    coupling, field, time = 0.7, 1.1, 0.8
    bonds = [(q, q + 1) for q in range(qubits - 1)] + ([(qubits - 1, 0)] if periodic else [])
    hamiltonian = dense(
        qubits,
        [("ZZ", list(bond), -coupling) for bond in bonds] + [("X", [q], field) for q in range(qubits)],
    )
    state = Statevector(expm(-1j * time * hamiltonian)[:, 0].copy())
    errors = []
    for steps in (16, 64):
        built = workloads.ising(qubits, steps, coupling, field, time / steps, periodic, "zeros")
        exact = [
            state.expectation_value(operator).real
            for group in GROUPS
            for operator in built.groups[group].values()
        ]
        found = [v for group in GROUPS for v in values(built, group)]
        errors.append(np.abs(np.array(found) - exact).max())
    assert errors[0] < 0.1
    assert errors[1] < 0.35 * errors[0]  # first order: a quarter


@pytest.mark.parametrize(("initial", "value"), [("zeros", 1.0), ("ones", -1.0), ("plus", 0.0)])
def test_a_chain_starts_as_asked(initial, value):
    built = workloads.ising(3, 1, 1.0, 0.0, 0.15, False, initial)
    assert values(built, "magnetisation") == pytest.approx([value], abs=1e-12)
    assert values(workloads.ising(3, 1, 0.0, 0.0, 0.15, False, "plus"), "transverse") == pytest.approx([1])


@pytest.mark.parametrize("qubits", [2, 3, 5])
@pytest.mark.parametrize("gate", ["cx", "cz"])
def test_a_mirror_circuit_ends_in_its_bit_string(qubits, gate):
    found = []
    for seed in range(6):
        built = workloads.mirror(qubits, 3, gate, np.random.default_rng(seed))
        for group in ("bits", "sites", "parity", "survival"):
            assert values(built, group) == pytest.approx([1.0] * len(built.groups[group]))
        found.append(tuple(workloads.bits_of(built.circuit)))
        names = built.circuit.count_ops()
        assert names[gate] >= 6  # an edge a layer at least, both ways
    assert len(set(found)) > 1  # seeds 0 to 5, fixed


def test_a_mirror_circuit_is_not_shortened_by_a_transpiler():
    built = workloads.mirror(4, 5, "cx", np.random.default_rng(0))
    short = transpile(
        built.circuit, basis_gates=["cx", "rz", "sx", "x"], optimization_level=3, seed_transpiler=1
    )
    assert short.count_ops()["cx"] == built.circuit.count_ops()["cx"]


def test_a_mirror_circuit_does_not_hide_noise_that_commutes():
    # an error in the middle must show in some bit: Paulis on the way back do not undo it
    built = workloads.mirror(3, 4, "cx", np.random.default_rng(1))
    middle = len(built.circuit.data) // 2
    broken = QuantumCircuit(3)
    for number, instruction in enumerate(built.circuit.data):
        if number == middle:
            broken.rx(0.5, 0)
            broken.rz(0.5, 0)
        broken._append(instruction)
    assert exact_value(broken, next(iter(built.groups["survival"].values()))) < 0.99


@pytest.mark.parametrize("qubits", [2, 3, 4])
def test_benchmarking_returns_to_zeros(qubits):
    built = workloads.benchmarking(qubits, 4, np.random.default_rng(3))
    for group in ("bits", "parity", "survival"):
        assert values(built, group) == pytest.approx([1.0])
    assert built.circuit.count_ops()["cx"] > 2


def test_all_stabilizers_of_ghz_are_one():
    built = workloads.ghz(5)
    assert values(built, "stabilizers") == pytest.approx([1.0] * 5)
    assert list(built.groups["stabilizers"]) == ["XXXXX", "Z0Z1", "Z1Z2", "Z2Z3", "Z3Z4"]
    for group in ("mean stabilizer", "parity", "neighbours"):
        assert values(built, group) == pytest.approx([1.0])


@pytest.mark.parametrize("layers", sorted(workloads.ANGLES["ring"]))
def test_angles_on_a_ring_reach_what_is_known(layers):
    # (2p + 1) / (2p + 2) of the edges of a ring longer than 2p + 1, arXiv:1411.4028
    built = workloads.qaoa(
        2 * layers + 2 + (layers == 1), layers, "ring", None, None, np.random.default_rng(0)
    )
    assert values(built, "cost") == pytest.approx([(2 * layers + 1) / (2 * layers + 2)], abs=1e-5)


@pytest.mark.parametrize(("layers", "least"), [(1, 0.67), (2, 0.74), (3, 0.78)])
def test_fixed_angles_cut_most_edges_of_regular_graphs(layers, least):
    # .692, .756 and .792 without short cycles (arXiv:2107.00677), which twelve nodes have
    found = []
    for seed in range(3):
        built = workloads.qaoa(12, layers, "regular", None, None, np.random.default_rng(seed))
        edges = built.groups["edges"]
        assert len(edges) == 18
        cut = np.mean([(1 - value) / 2 for value in values(built, "edges")])
        found += values(built, "cost")
        assert cut == pytest.approx(found[-1])
    assert np.mean(found) > least


def test_a_regular_graph_has_three_edges_at_every_node():
    edges = workloads.regular_graph(10, np.random.default_rng(5))
    degrees = np.bincount(np.array(edges).ravel(), minlength=10)
    assert len(set(edges)) == 15
    assert set(degrees.tolist()) == {3}


def test_paulis_are_one_without_t_gates_and_less_with_them():
    bare = workloads.clifford_t(5, 4, 0.0, 6, np.random.default_rng(2))
    assert values(bare, "paulis") == pytest.approx([1.0] * 6)
    magic = workloads.clifford_t(5, 4, 0.5, 6, np.random.default_rng(2))
    found = np.array(values(magic, "paulis"))
    assert magic.circuit.count_ops()["t"] > 3
    assert found.min() < 0.9
    assert len(workloads.clifford_t(2, 1, 0.0, 50, np.random.default_rng(0)).groups["paulis"]) == 3


@pytest.mark.parametrize("name", FAMILIES)
def test_families_offer_what_they_say_and_draw_the_same_again(name):
    kind = FAMILIES[name]
    one, again = (kind(qubits=4).build() for _ in range(2))
    assert set(one.groups) == set(kind.groups)
    assert set(kind.default) <= set(kind.groups)
    assert one.circuit == again.circuit
    assert one.groups == again.groups
    assert one.circuit.num_qubits == 4
    if one.is_line:
        pairs = [
            abs(one.circuit.find_bit(a).index - one.circuit.find_bit(b).index)
            for a, b in (i.qubits for i in one.circuit.data if len(i.qubits) == 2 and i.name != "barrier")
        ]
        assert set(pairs) == {1}
    if hasattr(kind(qubits=4), "seed") and name != "qaoa":
        assert kind(qubits=4, seed=1).build().circuit != one.circuit


def test_wide_circuits_are_made_quickly_and_have_no_projector():
    built = workloads.mirror(40, 4, "cx", np.random.default_rng(0))
    assert "survival" not in built.groups
    assert len(workloads.bits_of(built.circuit)) == 40
