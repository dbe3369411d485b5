"""Confusion matrices: means freed of readout errors shot by shot, and what is refused."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from quell.errors import CalibrationError
from quell.kernels.confusion import Confusion, check
from quell.kernels.inverse import expectations
from quell.kernels.outcomes import Outcomes

ID, Z, ZERO, ONE = range(4)


def flip(p10, p01):
    """Return a matrix from p(read 1 | was 0) and p(read 0 | was 1)."""
    return np.array([[1 - p10, p01], [p10, 1 - p01]])


def random_stochastic(rng, size, errors=0.1):
    noise = rng.dirichlet(np.ones(size), size).T
    return (1 - errors) * np.eye(size) + errors * noise


def exact_outcomes(probabilities, shots=10**6):
    """Return outcomes read exactly as often as their probabilities say."""
    counts = np.rint(probabilities * shots).astype(int)
    width = int(np.log2(len(probabilities)))
    bits = (np.arange(len(counts))[:, None] >> np.arange(width) & 1).astype(np.uint8)
    return Outcomes.of(np.repeat(bits, counts, axis=0))


def test_the_inverse_is_exact_for_single_bits_and_for_groups_in_any_order():
    """What the whole matrix makes of a state is undone, also where groups are not neighbours."""
    rng = np.random.default_rng(1)
    prepared = rng.dirichlet(np.ones(16))
    pair, first, last = random_stochastic(rng, 4), flip(0.02, 0.07), flip(0.05, 0.01)
    whole = np.zeros((16, 16))  # bits (2, 0) are a group, 2 its least significant bit
    for read in range(16):
        for state in range(16):
            bit = [read >> i & 1 for i in range(4)], [state >> i & 1 for i in range(4)]
            group = [b[2] + 2 * b[0] for b in bit]
            whole[read, state] = (
                pair[group[0], group[1]] * first[bit[0][1], bit[1][1]] * last[bit[0][3], bit[1][3]]
            )
    shots = 10**6
    outcomes = exact_outcomes(whole @ prepared, shots)
    confusions = [Confusion.of((2, 0), pair), Confusion.of((1,), first), Confusion.of((3,), last)]
    codes = np.array(
        [[Z, ID, ID, ID], [Z, Z, ID, ONE], [ZERO, ONE, Z, Z], [ONE] * 4, [ID, ID, Z, ID]], dtype=np.uint8
    )
    values, errors = expectations(outcomes, confusions, codes, csr_array(np.eye(5)))
    table = np.array([[1, 1], [1, -1], [1, 0], [0, 1]], dtype=float)
    states = np.arange(16)
    for code, value, error in zip(codes, values, errors, strict=True):
        truth = prepared @ np.prod([table[c][states >> i & 1] for i, c in enumerate(code)], axis=0)
        assert value == pytest.approx(truth, abs=40 / shots)  # counts were rounded
        assert 0 < error < 4 / np.sqrt(shots)


def test_bits_without_a_matrix_are_taken_as_they_are():
    outcomes = Outcomes.of(np.array([[0, 1]] * 3 + [[1, 1]], dtype=np.uint8))
    codes = np.array([[Z, ID], [ID, Z], [Z, Z]], dtype=np.uint8)
    values, _ = expectations(outcomes, [Confusion.of([0], flip(0, 0.2))], codes, csr_array(np.eye(3)))
    # Three of four are read 0, so that 1/4 = 0.8 x are 1: x = 5/16.
    assert values == pytest.approx([1 - 2 * 5 / 16, -1, -(1 - 2 * 5 / 16)])


def test_constants_and_sums_of_terms():
    outcomes = Outcomes.of(np.array([[0], [0], [0], [1]], dtype=np.uint8))
    codes = np.array([[ID], [Z], [ZERO]], dtype=np.uint8)
    matrix = csr_array(np.array([[2.0, 0, 0], [1.0, 0.5, 3.0], [0, 0, 0]]))
    confusions = [Confusion.of([0], flip(0.1, 0.1))]
    values, errors = expectations(outcomes, confusions, codes, matrix)
    p = (0.75 - 0.1) / 0.8
    assert values == pytest.approx([2, 1 + 0.5 * (2 * p - 1) + 3 * p, 0])
    assert errors[[0, 2]] == pytest.approx(0)
    # The value of a shot is linear in its bit: 4 (0.5 x 2 + 3) / 0.8 apart in all.
    spread = (0.5 * 2 + 3) / 0.8
    assert errors[1] == pytest.approx(spread * np.sqrt(0.75 * 0.25 / 3))


def test_error_bars_hold_the_errors_of_the_calibration():
    """The standard deviation of values over calibrations with known shots is what the error bar says."""
    rng = np.random.default_rng(2)
    truth, shots = flip(0.03, 0.08), 500
    outcomes = exact_outcomes(truth @ [0.3, 0.7])
    codes, matrix = np.array([[Z]], dtype=np.uint8), csr_array(np.eye(1))
    values, errors = [], []
    for _ in range(400):
        wrong = rng.binomial(shots, [0.03, 0.08])
        counts = [[shots - wrong[0], wrong[1]], [wrong[0], shots - wrong[1]]]
        value, error = expectations(outcomes, [Confusion.of_counts([0], counts)], codes, matrix)
        values.append(value[0])
        errors.append(error[0])
    # The ratio has a relative standard error of 1 / sqrt(800) = 3.5 %: 5 sigma.
    assert np.std(values) / np.mean(errors) == pytest.approx(1, abs=0.18)


def test_twirled_matrices_are_those_of_the_flips_that_were_drawn():
    """Balanced flips make a matrix symmetric, others what they are: the mean of the matrix seen from both sides."""
    base = Confusion.of_counts([0], [[95, 9], [5, 91]])
    flips = np.array([[False], [True]])
    assert base.twirled(flips, np.array([10, 10])).matrix == pytest.approx(flip(0.07, 0.07))
    assert base.twirled(flips, np.array([0, 10])).matrix == pytest.approx(flip(0.09, 0.05))
    assert base.twirled(flips, np.array([3, 1])).matrix == pytest.approx(flip(0.06, 0.08))
    rng = np.random.default_rng(3)
    group = Confusion.of((1, 0), random_stochastic(rng, 4))
    swapped = group.twirled(
        np.array([[True, False]]), np.array([5])
    ).matrix  # bit 0 is the second of the group
    assert swapped == pytest.approx(group.matrix[np.ix_([2, 3, 0, 1], [2, 3, 0, 1])])


def test_inverted_bits_are_corrected_for_what_was_measured_of_them():
    """Shots of one state, inverted in three of four randomizations, or not, or in part: the same means, exactly."""
    rng = np.random.default_rng(4)
    confusions = [Confusion.of((2, 0), random_stochastic(rng, 4)), Confusion.of((1,), flip(0.02, 0.15))]
    prepared, shots = rng.dirichlet(np.ones(8)), 10**5
    states = np.arange(8)
    group = (states >> 2 & 1) + 2 * (states & 1)
    whole = (
        confusions[0].matrix[group[:, None], group]
        * confusions[1].matrix[(states >> 1 & 1)[:, None], states >> 1 & 1]
    )
    patterns = np.array([[0, 0, 0], [1, 0, 1], [0, 1, 1], [1, 1, 0]], dtype=bool)
    rows, members = [], []
    for pattern in patterns:
        inverted = int(pattern @ (1 << np.arange(3)))
        read = (whole @ prepared[states ^ inverted])[states ^ inverted]
        counts = np.rint(read * shots).astype(int)
        rows.append(np.repeat(states[:, None] >> np.arange(3) & 1, counts, axis=0).astype(np.uint8))
        members.append(counts.sum())
    outcomes = Outcomes.of(np.concatenate(rows), members, patterns)
    codes = np.array([[Z, ID, ID], [Z, Z, Z], [ONE, ZERO, ONE], [Z, ID, ZERO]], dtype=np.uint8)
    values, errors = expectations(outcomes, confusions, codes, csr_array(np.eye(4)))
    table = np.array([[1, 1], [1, -1], [1, 0], [0, 1]], dtype=float)
    for code, value, error in zip(codes, values, errors, strict=True):
        truth = prepared @ np.prod([table[c][states >> i & 1] for i, c in enumerate(code)], axis=0)
        assert value == pytest.approx(truth, abs=40 / shots)  # counts were rounded
        assert error < 4 / np.sqrt(
            4 * shots
        )  # that of shots: flips make members differ by 0.1, which is no spread


def test_what_flips_do_to_the_error_of_the_calibration():
    """A state of one bit, seen from both sides, owes half to each column; from one side, all to its own."""
    base = Confusion.of_counts([0], [[95, 9], [5, 91]])
    rates = np.array([5.5, 9.5]) / 101  # Jeffreys
    spreads = rates * (1 - rates) / 100
    flips, codes = np.array([[False], [True]]), np.array([[ONE]], dtype=np.uint8)
    for members, variance in (
        ([10**6, 0], spreads[0]),
        ([0, 10**6], spreads[1]),
        ([5 * 10**5] * 2, spreads.mean() / 2),
    ):
        read = [
            np.arange(n) < round(n * r) for n, r in zip(members, (0.05, 0.09), strict=True)
        ]  # always 0, misread
        bits = np.concatenate(read)[:, None].astype(np.uint8)
        value, error = expectations(Outcomes.of(bits, members, flips), [base], codes, csr_array(np.eye(1)))
        assert value[0] == pytest.approx(0, abs=1e-5)
        assert error[0] == pytest.approx(np.sqrt(variance) / 0.86, rel=0.02)


def test_an_error_never_seen_is_not_known_to_be_impossible():
    outcomes = exact_outcomes(np.array([1.0, 0.0]), 10**8 // 100)
    confusion = Confusion.of_counts([0], [[100, 0], [0, 100]])
    _, error = expectations(outcomes, [confusion], np.array([[Z]], dtype=np.uint8), csr_array(np.eye(1)))
    assert 0.5 / 100 < error[0] < 3 / 100


def test_the_spread_between_randomizations_is_the_error_bar():
    """Members that differ by more than their shots say make the error bar theirs, widened by Student's factor."""
    bits = np.array([[0]] * 100 + [[1]] * 100, dtype=np.uint8)
    codes, matrix = np.array([[Z]], dtype=np.uint8), csr_array(np.eye(1))
    _, single = expectations(Outcomes.of(bits), [], codes, matrix)
    _, several = expectations(Outcomes.of(bits, [100, 100]), [], codes, matrix)
    assert single[0] == pytest.approx(1 / np.sqrt(199))
    assert several[0] == pytest.approx(12.706 / 1.96, rel=1e-3)  # means +1 and -1, one degree of freedom
    _, empty = expectations(Outcomes.of(bits, [100, 0, 100]), [], codes, matrix)
    assert empty == pytest.approx(several)


def test_the_spread_between_randomizations_is_no_less_than_that_of_shots():
    """Members that agree by luck are known no better than their shots say."""
    bits = np.array([[0], [1]] * 100, dtype=np.uint8)
    codes, matrix = np.array([[Z]], dtype=np.uint8), csr_array(np.eye(1))
    _, errors = expectations(Outcomes.of(bits, [50] * 4), [], codes, matrix)
    assert errors[0] == pytest.approx(3.182 / 1.96 / np.sqrt(199), rel=1e-3)  # three degrees of freedom


def test_blocks_keep_their_members_where_one_has_no_shots():
    """Four members that belong together: two of them +1, two -1. One without shots leaves its block incomplete."""
    bits = np.array([[0], [1]] * 8, dtype=np.uint8).repeat(10, axis=0)
    codes, matrix = np.array([[Z]], dtype=np.uint8), csr_array(np.eye(1))
    whole = expectations(Outcomes.of(bits, [10] * 16, None, 4), [], codes, matrix)
    short = expectations(Outcomes.of(bits[10:], [0] + [10] * 15, None, 4), [], codes, matrix)
    assert whole[1][0] == pytest.approx(3.182 / 1.96 / np.sqrt(159), rel=1e-3)
    assert short[1][0] == pytest.approx(whole[1][0], rel=0.1)


def test_one_shot_bounds_the_spread():
    one = Outcomes.of(np.array([[1]], dtype=np.uint8))
    values, errors = expectations(one, [], np.array([[Z]], dtype=np.uint8), csr_array(np.eye(1)))
    assert values[0] == -1
    assert errors[0] >= 1


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.eye(3), r"shape \(3, 3\), must be \(2, 2\)"),
        ([[np.nan, 0], [0, 1]], "not finite"),
        ([[np.inf, 0], [0, 1]], "not finite"),
        ([[1.2, 0], [-0.2, 1]], "no probability"),
        ([[0.9, 0.1], [0.2, 0.9]], "sums to 1.1, must be 1"),
        ([[0.9, 0.2], [0.2, 0.8]], "sums to 1.1"),
        ([[0.5, 0.5], [0.5, 0.5]], "singular"),
        ([[0.5, 0.4999], [0.5, 0.5001]], "singular"),
        ([[0.2, 0.9], [0.8, 0.1]], "wrong way round: p\\(0|0\\) = 0.2"),
    ],
)
def test_useless_matrices_are_refused_by_name(matrix, words):
    with pytest.raises(CalibrationError, match=rf"^qubit 7: .*{words}"):
        check([Confusion.of([0], flip(0, 0), "qubit 0"), Confusion.of([1], matrix, "qubit 7")])


def test_useless_groups_are_refused_all_at_once():
    swapped = np.eye(4)[[0, 2, 1, 3]]
    with pytest.raises(CalibrationError) as error:
        check(
            [
                Confusion.of([0, 1], swapped),
                Confusion.of([2, 3], np.full((4, 4), 0.25)),
                Confusion.of([4], flip(0.1, 0.1)),
            ]
        )
    assert [p.path for p in error.value.problems] == ["bits 0, 1", "bits 2, 3"]
    assert "prepared in 01 is read as 10 more often" in str(error.value)


def test_a_matrix_that_may_be_singular_for_all_one_knows_is_refused():
    """Contrast 0.1 is enough with many shots and not with few."""
    many, few = (np.array([[55, 45], [45, 55]]) * n for n in (100, 1))
    check([Confusion.of_counts([0], many)])
    with pytest.raises(
        CalibrationError, match=r"not known well enough to be inverted .*raise options.calibration.shots"
    ):
        check([Confusion.of_counts([0], few)])
    with pytest.raises(CalibrationError, match="qubit 3: was never read in state 1; calibrate again"):
        check([Confusion.of_counts([0], [[10, 0], [1, 0]], "qubit 3")])


def test_groups_need_about_as_many_shots_as_their_singular_values_say():
    """Six qubits with errors of a few percent: the least singular value is .8, and 4096 shots know it to a tenth."""
    rng = np.random.default_rng(8)
    truth = np.array([[1.0]])
    for _ in range(6):
        truth = np.kron(flip(0.01, 0.02), truth)
    counts = np.stack([rng.multinomial(64, column) for column in truth.T], axis=1)
    group = Confusion.of_counts(range(6), counts)
    check([group])
    least = np.linalg.svd(truth, compute_uv=False)[-1]
    assert abs(np.linalg.svd(group.matrix, compute_uv=False)[-1] - least) < 0.3
    with pytest.raises(CalibrationError, match="not known well enough"):
        check([Confusion.of_counts(range(6), counts // 30 + np.eye(64, dtype=int))])
