import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit import Parameter
from qiskit.primitives import BitArray
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.quantum_info import Pauli, PauliList, SparseObservable, SparsePauliOp

from quell.errors import InputError
from quell.primitives.expectation import expectation_values


def random_bits(shape, num_shots, num_bits, seed=0):
    rng = np.random.default_rng(seed)
    return BitArray.from_bool_array(rng.random((*shape, num_shots, num_bits)) < 0.3)


def brute_force(bits, observables):
    """Means and standard errors from the value of each observable on each shot."""
    means, errors = [], []
    for observable in observables:
        total = 0.0
        for label, coefficient in observable.items():
            one = bits.to_bool_array("little").astype(int)
            for bit, letter in enumerate(reversed(label)):
                factor = {"I": 1, "Z": 1 - 2 * one[:, bit], "0": 1 - one[:, bit], "1": one[:, bit]}[letter]
                coefficient = coefficient * factor
            total = total + coefficient * np.ones(bits.num_shots)
        means.append(total.mean())
        errors.append(total.std(ddof=1) / np.sqrt(bits.num_shots))
    return np.array(means), np.array(errors)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(2, 200))
def test_values_and_errors_equal_brute_force(seed, num_bits, num_shots):
    rng = np.random.default_rng(seed)
    bits = random_bits((), num_shots, num_bits, seed)
    observables = [
        {"".join(rng.choice(list("IIZ01"), num_bits)): rng.normal() for _ in range(rng.integers(1, 12))}
        for _ in range(6)
    ]
    evs, stds = expectation_values(bits, observables)
    means, errors = brute_force(bits, observables)
    np.testing.assert_allclose(evs, means, atol=1e-12)
    np.testing.assert_allclose(evs, bits.expectation_values(observables), atol=1e-12)
    weights = [sum(c**2 for label, c in o.items() if set(label) != {"I"}) for o in observables]
    floors = np.sqrt(2 * np.array(weights)) / num_shots
    np.testing.assert_allclose(stds, np.maximum(errors, floors), atol=1e-9)


@pytest.mark.parametrize(
    ("bits_shape", "shape"),
    [
        *[((), ()), ((), (4,)), ((4,), ()), ((4,), (4,)), ((1,), (1,)), ((2, 0), (1,))],
        *[((4,), (3, 1)), ((3, 1), (4,)), ((2, 3, 1), (3, 4)), ((2, 1, 3), (2, 4, 3)), ((1, 3), (3,))],
    ],
)
def test_broadcasting_is_that_of_bit_array(bits_shape, shape):
    bits = random_bits(bits_shape, 70, 5)
    rng = np.random.default_rng(1)
    labels = ["".join(rng.choice(list("IZ01"), 5)) for _ in range(int(np.prod(shape)))]
    observables = ObservablesArray(np.array(labels, dtype=object).reshape(shape))
    evs, stds = expectation_values(bits, observables)
    expected = bits.expectation_values(observables)
    assert type(evs) is type(expected)
    assert evs.dtype == stds.dtype == np.float64
    assert evs.shape == stds.shape == expected.shape
    np.testing.assert_allclose(evs, expected, atol=1e-12)


def test_every_kind_of_observable():
    bits = random_bits((), 200, 3)
    kinds = [
        "Z01",
        Pauli("-ZIZ"),
        SparsePauliOp(["ZII", "IZZ", "ZII"], [0.5, -2.0, 1.0]),
        SparseObservable.from_list([("0I1", 1.5), ("IZZ", 2.0)]),
        {"IZI": 0.3, "111": 2},
        {Pauli("-IZI"): 0.3},
    ]
    evs, stds = expectation_values(bits, kinds)
    np.testing.assert_allclose(evs, bits.expectation_values(kinds), atol=1e-12)
    for kind, ev, std in zip(kinds, evs, stds, strict=True):
        alone = expectation_values(bits, kind)
        assert alone[0].shape == ()
        assert (float(alone[0]), float(alone[1])) == (ev, std)
    coerced = expectation_values(bits, ObservablesArray.coerce(kinds))
    np.testing.assert_allclose(coerced, (evs, stds), atol=1e-15)
    paulis = PauliList(["ZZI", "IIZ"])
    np.testing.assert_allclose(expectation_values(bits, paulis)[0], bits.expectation_values(paulis))
    nested = expectation_values(bits, [["ZZI", "IIZ"], ["III", "1II"]])
    assert nested[0].shape == (2, 2)


def test_the_rightmost_letter_is_bit_0():
    bits = BitArray.from_samples(["001"] * 10, num_bits=3)
    evs, _ = expectation_values(bits, ["IIZ", "ZII", "IZI", "II1", "1II", "I0I"])
    assert evs.tolist() == [-1, 1, 1, 1, 0, 1]


def test_errors_of_a_sum_contain_the_covariances():
    # All 20 bits of a GHZ state agree, so the sum of Z is +-20 and its error 20/sqrt(N), not sqrt(20/N).
    num_shots = 10_000
    bits = BitArray.from_bool_array(np.repeat(np.arange(num_shots) % 2 == 0, 20).reshape(num_shots, 20))
    total = SparsePauliOp.from_sparse_list([("Z", [i], 1.0) for i in range(20)], num_qubits=20)
    ev, std = expectation_values(bits, total)
    assert ev == 0.0
    assert std == pytest.approx(20 / np.sqrt(num_shots), rel=1e-3)


def test_errors_are_zero_for_constants_only():
    bits = BitArray.from_samples(["00"] * 100, num_bits=2)
    evs, stds = expectation_values(bits, [{"II": 0.1}, "ZI", {"ZI": 1.0, "IZ": -1.0}, {"II": 1e9, "ZI": 1.0}])
    np.testing.assert_allclose(evs, [0.1, 1.0, 0.0, 1e9 + 1])
    np.testing.assert_allclose(stds, np.sqrt([0.0, 2.0, 4.0, 2.0]) / 100)
    assert stds[0] == 0.0


def test_a_large_constant_costs_no_digits():
    bits = random_bits((), 500, 2)
    alone, offset = (expectation_values(bits, {"II": c, "ZI": 0.1, "ZZ": 0.2})[1] for c in (0.0, 1e8))
    assert alone == offset


def test_one_shot_has_the_widest_error():
    evs, stds = expectation_values(BitArray.from_samples(["01"], num_bits=2), ["ZI", {"ZI": 2.0, "II": 7.0}])
    assert evs.tolist() == [1.0, 9.0]
    assert stds.tolist() == [1.0, 2.0]


def test_full_weight_on_127_bits():
    bits = random_bits((2,), 100, 127)
    labels = ["Z" * 127, "0" * 127, "I" * 127, "1" + "I" * 126, "I" * 126 + "Z"]
    observables = [[label] for label in labels]
    np.testing.assert_allclose(
        expectation_values(bits, observables)[0], bits.expectation_values(observables), atol=1e-12
    )


def test_terms_that_cancel_are_no_problem():
    bits = BitArray.from_samples(["0", "1", "1"])
    ev, std = expectation_values(bits, SparsePauliOp(["X", "Z", "X", "Z"], [1.0, 2j, -1.0, 1 - 2j]))
    assert ev == pytest.approx(-1 / 3)
    assert expectation_values(bits, {"Z": 0.0}) == (0.0, 0.0)
    assert std > 0


def test_all_problems_are_listed_at_once():
    bits = random_bits((), 10, 2)
    observables = [
        "ZX",
        "ZZZ",
        {"ZZ": 1j},
        {"IZ": np.inf, "ZI": 1.0},
        {"ZZ": np.nan},
        "Z?",
        3,
        SparsePauliOp(["ZZ"], [Parameter("a")]),
        {"ZZ": "x"},
        {5: 1.0},
        SparseObservable("+I"),
        "é0",
        "ZZ",
    ]
    with pytest.raises(InputError) as caught:
        expectation_values(bits, observables)
    paths = [problem.path for problem in caught.value.problems]
    assert sorted(paths) == sorted(f"observables[{i}]" for i in range(12))
    text = str(caught.value)
    rules = ["X on bit 0", "3 qubits", "complex", "inf", "nan", "unknown letter for bit 0", "int is not"]
    rules += ["free parameters", "not a number", "not a basis", "+ on bit 1", "unknown letter for bit 1"]
    assert [rule for rule in rules if rule not in text] == []


def test_one_problem_per_observable_however_many_terms():
    operator = SparsePauliOp.from_list([("X" * 10, 1.0), ("Y" * 10, 1.0), ("Z" * 10, 1.0)])
    with pytest.raises(InputError, match=r"^observables: 2 of 3 terms not diagonal"):
        expectation_values(random_bits((), 10, 10), operator)


@pytest.mark.parametrize(
    ("bits", "observables", "match"),
    [
        (random_bits((3,), 10, 1), ["Z", "Z"], "broadcast"),
        (random_bits((), 0, 1), "Z", "no shots"),
        (random_bits((), 10, 1), [["Z", "Z"], ["Z"]], "ragged"),
    ],
)
def test_shapes_that_do_not_fit(bits, observables, match):
    with pytest.raises(InputError, match=match):
        expectation_values(bits, observables)
