import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.primitives import StatevectorEstimator
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SparsePauliOp, Statevector, random_statevector

from quell.circuits import observables as module
from quell.circuits.observables import LETTERS, commuting_groups, expand_projectors, parse, settings_of
from quell.errors import UnsupportedError

MODEST = settings(deadline=None, derandomize=True, max_examples=40)
#: Matrix of each letter, and the rotation that makes each basis diagonal, written out on their own.
X, Y, Z = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
MATRIX = {"I": np.eye(2), "X": X, "Y": Y, "Z": Z}
MATRIX |= {a: (np.eye(2) + s * P) / 2 for a, s, P in
           [("0", 1, Z), ("1", -1, Z), ("+", 1, X), ("-", -1, X), ("r", 1, Y), ("l", -1, Y)]}  # fmt: skip
ROTATE = {0: np.eye(2), 3: np.eye(2), 1: np.array([[1, 1], [1, -1]]) / np.sqrt(2)}
ROTATE[2] = ROTATE[1] @ np.diag([1, -1j])
ON_BIT = np.array([[1, 1], [1, -1], [1, 0], [0, 1]])  # value of a diagonal code for bit 0, 1


def kron(matrices):
    """Matrices of qubit 0, 1, ... to the operator in qiskit's order."""
    total = np.eye(1)
    for matrix in matrices:
        total = np.kron(matrix, total)
    return total


def operator(observables, which, num_qubits):
    """The matrix that parsed observables stand for."""
    total = observables.constants[which] * np.eye(2**num_qubits, dtype=complex)
    for letters, coefficient, owner in zip(
        observables.letters, observables.coefficients, observables.owner, strict=True
    ):
        if owner == which:
            total += coefficient * kron([MATRIX[LETTERS[code]] for code in letters])
    return total


def exact_values(measured, states):
    """What an ideal device gives for settings: each term from the outcomes of its own setting alone."""
    num_qubits = int(np.log2(states.shape[1]))
    terms = np.empty(len(measured.setting))
    bits = np.arange(2**num_qubits)[:, None] >> measured.qubits & 1
    for t, (setting, codes) in enumerate(zip(measured.setting, measured.codes, strict=True)):
        rotations = [np.eye(2)] * num_qubits
        for qubit, basis in zip(measured.qubits, measured.bases[setting], strict=True):
            rotations[qubit] = ROTATE[int(basis)]
        probabilities = np.abs(kron(rotations) @ states[measured.parameter_sets[setting]]) ** 2
        terms[t] = probabilities @ ON_BIT[codes, bits].prod(axis=1)
    return (measured.contraction @ terms + measured.constants).reshape(measured.shape)


def parsed(observables, num_qubits):
    found, problems = parse(ObservablesArray.coerce(observables), num_qubits, "pubs[0]")
    assert problems == []
    return found


labels = st.text(alphabet=LETTERS, min_size=3, max_size=3)
terms = st.dictionaries(labels, st.floats(-2, 2).filter(lambda c: abs(c) > 1e-3), min_size=1, max_size=5)


@given(st.lists(terms, min_size=1, max_size=3))
@MODEST
def test_parsed_observables_are_the_operators_of_their_labels(rows):
    found = parsed(rows, 3)
    for which, row in enumerate(rows):
        expected = sum(c * kron([MATRIX[a] for a in reversed(label)]) for label, c in row.items())
        assert np.allclose(operator(found, which, 3), expected)


@given(st.lists(terms, min_size=1, max_size=3))
@MODEST
def test_expanding_projectors_is_exact_and_leaves_only_paulis(rows):
    found = parsed(rows, 3)
    expanded = expand_projectors(found)
    assert not expanded.has_projectors
    assert (expanded.letters <= 3).all()
    assert expanded.letters.any(axis=1).all()  # identities went into the constants
    for which in range(len(rows)):
        assert np.allclose(operator(expanded, which, 3), operator(found, which, 3))


def test_without_projectors_nothing_is_expanded():
    found = parsed(["XYZ"], 3)
    assert expand_projectors(found) is found


def test_too_many_projectors_are_refused_with_their_number():
    count = module.MAX_EXPANDED_PROJECTORS + 1
    with pytest.raises(UnsupportedError, match=f"{count} projectors.*measure_mitigation"):
        expand_projectors(parsed(["0" * count], count))
    assert len(expand_projectors(parsed(["0+" * 3], 6)).letters) == 2**6 - 1


@pytest.mark.parametrize("observable", ["ZIX", {"ZIX": 0.5, "III": 2.0}, SparsePauliOp(["ZIX"], [0.5])])
def test_kinds_of_observables_users_write(observable):
    found = parsed(observable, 3)
    assert found.shape == ()
    assert found.letters.tolist() == [[LETTERS.index(a) for a in "XIZ"]]
    assert found.support.tolist() == [0, 2]


def test_identities_are_constants_and_measure_nothing():
    found = parsed([{"III": -2.0}, SparsePauliOp(["III"], [3.0])], 3)
    assert found.constants.tolist() == [-2, 3]
    assert len(found.letters) == 0
    measured = settings_of(found, (), (2,))
    assert len(measured.parameter_sets) == 0
    assert exact_values(measured, np.eye(8)[:1]).tolist() == [-2, 3]


def test_a_wrong_width_says_how_to_apply_the_layout():
    backend = GenericBackendV2(5, seed=1)
    circuit = transpile(QuantumCircuit(2), backend, initial_layout=[3, 1], seed_transpiler=1)
    array = ObservablesArray.coerce([["ZX"], ["YY"]])
    found, problems = parse(array, 5, "pubs[2]")
    assert [problem.path for problem in problems] == [
        "pubs[2].observables[0, 0]",
        "pubs[2].observables[1, 0]",
    ]
    assert "2 qubits, the circuit has 5" in problems[0].rule
    assert "apply_layout" in problems[0].fix
    assert len(found.letters) == 0
    _, problems = parse(array.apply_layout(circuit.layout), 5, "pubs[2]")
    assert problems == []


def test_coefficients_that_are_not_finite_are_reported_each():
    array = ObservablesArray.coerce([{"Z": float("nan"), "X": float("inf")}, {"Y": 1.0}])
    _, problems = parse(array, 1, "pubs[0]")
    assert len(problems) == 2
    assert all("not finite" in p.rule and p.path == "pubs[0].observables[0]" for p in problems)


def test_the_path_of_a_single_observable_has_no_empty_index():
    _, problems = parse(ObservablesArray.coerce("ZZ"), 3, "pubs[0]")
    assert [problem.path for problem in problems] == ["pubs[0].observables"]


@given(
    st.lists(st.text(alphabet="IXYZ", min_size=4, max_size=4), min_size=1, max_size=12, unique=True),
    st.integers(0, 1000),
)
@MODEST
def test_groups_commute_qubit_by_qubit_and_no_two_groups_could_be_one(strings, seed):
    bases = np.array([["IXYZ".index(a) for a in s] for s in strings], dtype=np.uint8)
    weights = np.random.default_rng(seed).random(len(bases))
    group = commuting_groups(bases, weights)
    assert np.array_equal(np.unique(group), np.arange(group.max() + 1))
    merged = [np.bitwise_or.reduce(bases[group == g]) for g in range(group.max() + 1)]
    for row, g in zip(bases, group, strict=True):
        assert np.array_equal(row[row != 0], merged[g][row != 0])
    heaviest = weights.argmax()
    assert group[heaviest] == 0
    for g, one in enumerate(merged):
        for h in range(g):
            clash = (one != merged[h]) & (one != 0) & (merged[h] != 0)
            assert clash.any()


@given(
    st.sampled_from(
        [((), (), ()), ((3,), (), (3,)), ((), (4,), (4,)), ((3,), (3,), (3,)), ((3, 1), (2,), (3, 2)),
         ((1, 2), (3, 1), (3, 2)), ((2,), (3, 1), (3, 2)), ((2, 1, 2), (3, 1), (2, 3, 2)), ((1,), (4,), (4,))]
    ),
    st.integers(0, 10_000),
)  # fmt: skip
@MODEST
def test_broadcasting_gives_every_element_its_own_exact_value(shapes, seed):
    parameter_shape, observable_shape, shape = shapes
    rng = np.random.default_rng(seed)
    rows = [
        {"".join(rng.choice(list(LETTERS), 3)): float(rng.normal()) for _ in range(rng.integers(1, 5))}
        for _ in range(int(np.prod(observable_shape)))
    ]
    nested = np.empty(observable_shape, dtype=object)
    for index, row in zip(np.ndindex(*observable_shape), rows, strict=True):
        nested[index] = row
    found = parsed(nested if observable_shape else rows[0], 3)
    count = int(np.prod(parameter_shape))
    states = np.array([random_statevector(8, seed=seed + k).data for k in range(count)])
    measured = settings_of(found, parameter_shape, shape)
    assert measured.shape == shape
    assert (np.diff(measured.setting) >= 0).all()
    which_set = np.broadcast_to(np.arange(count).reshape(parameter_shape), shape)
    which_row = np.broadcast_to(np.arange(len(rows)).reshape(observable_shape), shape)
    expected = np.empty(shape)
    for index in np.ndindex(*shape):
        state = states[which_set[index]]
        matrix = operator(found, which_row[index], 3)
        expected[index] = (state.conj() @ matrix @ state).real
    assert np.allclose(exact_values(measured, states), expected, atol=1e-12)


def test_values_agree_with_the_reference_estimator():
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(3)
    circuit.ry(a, 0)
    circuit.cx(0, 1)
    circuit.rx(b, 2)
    circuit.cz(1, 2)
    circuit.rx(a, 1)
    values = np.random.default_rng(3).normal(size=(4, 1, 2))
    ops = [{"ZZI": 1.0, "XXY": 0.5}, {"ZXY": 2.0, "III": -1.0}, {"IYI": 0.3}]
    pub = (circuit, ops, values)
    expected = StatevectorEstimator().run([pub]).result()[0].data.evs
    states = [Statevector(circuit.assign_parameters(row)).data for row in values.reshape(-1, 2)]
    measured = settings_of(parsed(ops, 3), (4, 1), (4, 3))
    assert np.allclose(exact_values(measured, np.array(states)), expected)


def test_only_what_is_asked_at_a_parameter_set_is_measured_there():
    found = parsed(["X", "Z"], 1)
    together = settings_of(found, (2, 1), (2, 2))
    assert together.parameter_sets.tolist() == [0, 0, 1, 1]
    zipped = settings_of(found, (2,), (2,))
    assert zipped.parameter_sets.tolist() == [0, 1]
    assert sorted(zipped.bases[:, 0].tolist()) == [1, 3]


def test_terms_that_cancel_are_not_measured():
    found = parsed([SparsePauliOp(["XX", "ZZ", "XX"], [1.0, 2.0, -1.0])], 2)
    assert settings_of(found, (), (1,)).bases.tolist() == [[3, 3]]


def test_empty_shapes_give_empty_values():
    measured = settings_of(parsed(["X", "Z"], 1), (0, 1), (0, 2))
    assert measured.constants.shape == (0,)
    assert len(measured.parameter_sets) == 0
    assert exact_values(measured, np.zeros((0, 2))).shape == (0, 2)
