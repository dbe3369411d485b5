"""Exact values of PUBs: every method agrees with Qiskit's own, at widths where both can be had."""

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.circuit.library import PauliEvolutionGate, UnitaryGate
from qiskit.circuit.random import random_circuit, random_clifford_circuit
from qiskit.quantum_info import SparsePauliOp, Statevector, random_pauli_list, random_unitary
from qiskit.transpiler import CouplingMap

from quell.comparison import reference
from quell.comparison.reference import exact_values
from quell.errors import InputError, UnsupportedError


def ising(num_qubits, steps, dt=0.2, transverse=1.0, longitudinal=0.0):
    circuit = QuantumCircuit(num_qubits)
    for _ in range(steps):
        for start in (0, 1):
            for q in range(start, num_qubits - 1, 2):
                circuit.rzz(-2 * dt, q, q + 1)
        for q in range(num_qubits):
            circuit.rx(2 * transverse * dt, q)
            if longitudinal:
                circuit.rz(2 * longitudinal * dt, q)
    return circuit


def on(letters, qubits, num_qubits):
    return SparsePauliOp.from_sparse_list([(letters, qubits, 1.0)], num_qubits)


def random_observable(num_qubits, size, seed):
    rng = np.random.default_rng(seed)
    return SparsePauliOp(random_pauli_list(num_qubits, size, seed=seed, phase=False), rng.normal(size=size))


def expected(circuit, observable):
    return Statevector(circuit).expectation_value(observable).real


@pytest.mark.parametrize("seed", range(6))
def test_small_random_circuits(seed):
    circuit = random_circuit(5, 8, max_operands=4, seed=seed)
    observables = [random_observable(5, 7, 10 * seed + k) for k in range(3)]
    values, source = exact_values([(circuit, observables)])
    np.testing.assert_allclose(values, [expected(circuit, o) for o in observables], atol=1e-10)
    assert values.dtype == np.float64
    assert "state vectors of light cones of up to 5 qubits" in source


@pytest.mark.parametrize("seed", range(3))
def test_every_method_gives_the_same(seed, monkeypatch):
    """The same circuit by each of the three; they have no code for the result in common."""
    pytest.importorskip("qiskit_aer")
    circuit = random_circuit(6, 6, max_operands=2, seed=seed)
    observables = [random_observable(6, 5, seed), random_observable(6, 9, seed + 50)]
    right = [expected(circuit, o) for o in observables]
    found = {}
    found["state vector"], _ = exact_values([(circuit, observables)])
    monkeypatch.setattr(reference, "_SMALL", 0)
    monkeypatch.setattr(reference, "_FEW_PAULIS", 4**7)
    found["paulis"], source = exact_values([(circuit, observables)])
    assert "Pauli propagation" in source
    monkeypatch.setattr(reference, "_FEW_PAULIS", 0)
    monkeypatch.setattr(reference, "_MANY_PAULIS", 0)
    monkeypatch.setattr(reference, "MAX_QUBITS", 0)
    found["matrix products"], source = exact_values([(circuit, observables)])
    assert "matrix product states" in source
    for values in found.values():
        np.testing.assert_allclose(values, right, atol=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_clifford_circuits_by_their_stabilizers(seed, monkeypatch):
    monkeypatch.setattr(reference, "_SMALL", 0)
    circuit = random_clifford_circuit(7, 60, seed=seed)
    observables = [random_observable(7, 300, seed), SparsePauliOp(["ZZZZZZZ", "IIIIIII"], [1.0, 0.5])]
    values, source = exact_values([(circuit, observables)])
    right = [expected(circuit, o) for o in observables]
    assert abs(right[0]) > 0.05  # some of the 300 are stabilizers
    np.testing.assert_allclose(values, right, atol=1e-9)
    assert source == "exact: stabilizer simulation (Clifford circuits)"


def test_a_ghz_state_on_100_qubits():
    circuit = QuantumCircuit(100)
    circuit.h(0)
    for q in range(99):
        circuit.cx(q, q + 1)
    circuit.s(99)  # turns X..X into -i Z..Y..: the sign of Y is noticed
    labels = ["X" * 100, "Y" + "X" * 99, "Z" * 100, "Z" * 99 + "I", "I" * 98 + "ZZ"]
    values, source = exact_values([(circuit, labels)])
    np.testing.assert_allclose(values, [0, 1, 1, 0, 1], atol=1e-12)
    assert "stabilizer" in source


def test_wide_circuits_by_their_light_cones():
    """Each Z of 40 sees two steps, five qubits; the chain's middle is that of a chain of nine."""
    wide, narrow = ising(40, 2, longitudinal=0.3), ising(9, 2, longitudinal=0.3)
    values, source = exact_values([(wide, [on("Z", [q], 40) for q in range(40)])])
    np.testing.assert_allclose(values[[18, 20]], expected(narrow, on("Z", [4], 9)), atol=1e-10)
    np.testing.assert_allclose(values[0], expected(narrow, on("Z", [0], 9)), atol=1e-10)
    assert "light cones" in source
    assert "matrix" not in source
    total, _ = exact_values([(wide, SparsePauliOp.from_sparse_list([("Z", [q], 1) for q in range(40)], 40))])
    np.testing.assert_allclose(total, values.sum(), atol=1e-9)


def test_gates_that_a_term_commutes_with_are_not_in_its_cone():
    """A star of controlled phases around one qubit: Z of a leaf sees nothing of the 30 others."""
    circuit = QuantumCircuit(31)
    circuit.ry(0.4, range(31))
    for q in range(1, 31):
        circuit.cp(0.3, 0, q)
    values, _ = exact_values([(circuit, [on("Z", [7], 31), on("X", [7], 31)])])
    small = QuantumCircuit(2)
    small.ry(0.4, [0, 1])
    small.cp(0.3, 0, 1)
    np.testing.assert_allclose(values, [np.cos(0.4), expected(small, SparsePauliOp("XI"))], atol=1e-12)


def test_a_deep_chain_of_30_by_matrix_products(monkeypatch):
    """The Ising chain in a transverse field is free: X stays among 1770 Paulis, which says what is right."""
    pytest.importorskip("qiskit_aer")
    circuit = ising(30, 12, dt=0.1)
    observable = [on("X", [15], 30), on("X", [3], 30)]
    right, source = exact_values([(circuit, observable)])
    assert "Pauli propagation" in source
    monkeypatch.setattr(reference, "_FEW_PAULIS", 10)
    monkeypatch.setattr(reference, "_MANY_PAULIS", 10)
    monkeypatch.setattr(reference, "MAX_QUBITS", 10)
    values, source = exact_values([(circuit, observable)])
    assert "matrix product states of qiskit-aer (bond dimension 32" in source
    np.testing.assert_allclose(values, right, atol=1e-6)
    generic, source = exact_values([(ising(30, 12, dt=0.1, longitudinal=0.5), observable)])
    assert "matrix product states" in source
    assert abs(generic[0] - right[0]) > 1e-3


def test_matrix_products_that_do_not_converge_are_refused(monkeypatch):
    pytest.importorskip("qiskit_aer")
    from quell.circuits import matrix_products

    monkeypatch.setattr(matrix_products, "BONDS", (2, 3))
    monkeypatch.setattr(reference, "BONDS", (2, 3))
    circuit = ising(30, 12, dt=0.3, longitudinal=0.5)
    with pytest.raises(UnsupportedError, match=r"25 qubits.*bond dimension 2 and 3 differ.*reference=values"):
        exact_values([(circuit, on("Z", [15], 30))])


def test_idle_qubits_of_a_layout_cost_nothing():
    small = ising(5, 6, longitudinal=0.4)
    chain = CouplingMap([(q, q + 1) for q in range(126)])
    laid = transpile(
        small,
        coupling_map=chain,
        basis_gates=["cz", "rz", "sx", "x"],
        initial_layout=[70, 71, 72, 73, 74],
        optimization_level=1,
        seed_transpiler=1,
    )
    observable = random_observable(5, 6, 3)
    values, source = exact_values([(laid, observable.apply_layout(laid.layout))])
    assert laid.num_qubits == 127
    np.testing.assert_allclose(values, expected(small, observable), atol=1e-9)
    assert "up to 5 qubits" in source


def test_values_are_in_the_order_of_the_broadcast_shape():
    angle = Parameter("a")
    circuit = QuantumCircuit(2)
    circuit.ry(angle, 0)
    circuit.cx(0, 1)
    angles = np.array([0.1, 0.5, 0.9])
    observables = [["ZI"], ["XX"]]  # (2, 1) against (3,)
    first, _ = exact_values([(circuit, observables, angles)])
    np.testing.assert_allclose(first, [*np.cos(angles), *np.sin(angles)], atol=1e-12)
    both, _ = exact_values([(circuit, observables, angles), (circuit, "ZZ", [0.3])])
    np.testing.assert_allclose(both, [*first, 1.0], atol=1e-12)


def test_projectors_wherever_they_come_from(monkeypatch):
    circuit = ising(6, 3, longitudinal=0.7)
    state = Statevector(circuit)
    observables = [{"000000": 1.0}, {"+IIIr1": 0.5, "ZIIIII": 1.0}]
    plus, right = np.array([1, 1]) / np.sqrt(2), np.array([1, 1j]) / np.sqrt(2)
    one, eye = np.diag([0, 1]), np.eye(2)
    product = np.outer(plus, plus.conj())
    for factor in (eye, eye, eye, np.outer(right, right.conj()), one):
        product = np.kron(product, factor)
    second = 0.5 * (state.data.conj() @ product @ state.data).real + expected(
        circuit, SparsePauliOp("ZIIIII")
    )
    truth = [abs(state.data[0]) ** 2, second]
    values, _ = exact_values([(circuit, observables)])
    np.testing.assert_allclose(values, truth, atol=1e-10)
    monkeypatch.setattr(reference, "_SMALL", 0)
    monkeypatch.setattr(reference, "_FEW_PAULIS", 4**7)
    values, source = exact_values([(circuit, observables)])
    np.testing.assert_allclose(values, truth, atol=1e-10)
    assert "Pauli propagation" in source


def test_gates_without_names_and_gates_of_many_qubits():
    circuit = QuantumCircuit(4)
    circuit.h(range(4))
    circuit.append(UnitaryGate(random_unitary(8, seed=3)), [2, 0, 3])
    circuit.append(UnitaryGate(random_unitary(4, seed=4)), [3, 1])
    circuit.append(PauliEvolutionGate(SparsePauliOp(["XYZI", "ZZII"]), 0.4), range(4))
    circuit.mcx([0, 1, 2], 3)
    circuit.delay(100, 0)
    circuit.barrier()
    observable = random_observable(4, 10, 1)
    values, _ = exact_values([(circuit, observable)])
    np.testing.assert_allclose(values, expected(circuit.decompose("PauliEvolution"), observable), atol=1e-9)


def test_final_measurements_are_ignored_and_others_refused():
    circuit = ising(3, 1)
    measured = circuit.copy()
    measured.measure_all()
    bare, _ = exact_values([(circuit, "ZIX")])
    np.testing.assert_array_equal(exact_values([(measured, "ZIX")])[0], bare)
    early = QuantumCircuit(2, 1)
    early.measure(0, 0)
    early.cx(0, 1)
    with pytest.raises(UnsupportedError, match=r"pubs\[0\].circuit: has a measurement in the middle"):
        exact_values([(early, "ZZ")])
    reset = QuantumCircuit(2, 1)
    reset.h(0)
    reset.reset(0)
    with reset.if_test((0, True)):
        reset.x(1)
    with pytest.raises(UnsupportedError, match=r"(?s)'reset'.*control flow \('if_else'\)"):
        exact_values([(reset, "ZZ")])


def test_pubs_that_are_wrong_are_all_named():
    with pytest.raises(InputError, match=r"(?s)pubs\[0\].*pubs\[1\]"):
        exact_values([(QuantumCircuit(2), "ZZZ"), (QuantumCircuit(2), {"ZZ": np.nan})])
    values, _ = exact_values([])
    assert values.shape == (0,)


def test_observables_without_terms():
    values, source = exact_values([(ising(3, 1), SparsePauliOp("III", [0.7]))])
    np.testing.assert_allclose(values, [0.7])
    assert source == "exact: constants"


@pytest.mark.slow
def test_a_light_cone_of_20_qubits_has_a_state_vector():
    circuit = ising(20, 7, dt=0.3, longitudinal=0.9)
    observables = [on("Z", [11], 20), on("XY", [3, 16], 20)]
    values, source = exact_values([(circuit, observables)])
    np.testing.assert_allclose(values, [expected(circuit, o) for o in observables], atol=1e-9)
    assert "up to 20 qubits" in source
