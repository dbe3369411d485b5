"""Quasi-probabilities: full and reduced inverses, the nearest probabilities and counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from quell.errors import UnsupportedError
from quell.kernels import quasi
from quell.kernels.confusion import Confusion
from quell.kernels.inverse import full_inverse
from quell.kernels.outcomes import Outcomes

QUASI = arrays(float, st.integers(1, 8), elements=st.floats(-0.3, 1.0)).filter(lambda q: q.sum() > 0.1)


def group(rng, size, errors=0.1):
    return (1 - errors) * np.eye(size) + errors * rng.dirichlet(np.ones(size), size).T


def dense(confusions, width):
    """Return the whole confusion matrix entry by entry."""
    whole = np.ones((2**width, 2**width))
    for confusion in confusions:
        state = sum((np.arange(2**width) >> bit & 1) << i for i, bit in enumerate(confusion.bits))
        whole *= confusion.matrix[state[:, None], state]
    for bit in set(range(width)) - {b for c in confusions for b in c.bits}:
        state = np.arange(2**width) >> bit & 1
        whole *= state[:, None] == state
    return whole


@pytest.fixture
def case():
    rng = np.random.default_rng(5)
    confusions = [Confusion.of((3, 1), group(rng, 4)), Confusion.of((0,), group(rng, 2))]
    outcomes = Outcomes.of(rng.integers(0, 2, (4000, 4), dtype=np.uint8))  # bit 2 is not corrected
    return outcomes, confusions


def test_the_full_inverse_is_that_of_the_whole_matrix(case):
    outcomes, confusions = case
    number = outcomes.bits @ (1 << np.arange(4))
    read = np.zeros(16)
    read[number] = outcomes.counts / 4000
    assert full_inverse(outcomes, confusions) == pytest.approx(np.linalg.solve(dense(confusions, 4), read))


def test_the_reduced_inverse_is_the_full_one_where_all_outcomes_were_read(case):
    outcomes, confusions = case
    number = outcomes.bits @ (1 << np.arange(4))
    assert len(number) == 16
    reduced = quasi.reduced_inverse(outcomes, confusions, 4)
    assert reduced == pytest.approx(full_inverse(outcomes, confusions)[number])


def test_the_reduced_inverse_stays_within_its_distance_and_its_outcomes(case):
    _, confusions = case
    outcomes = Outcomes.of(
        np.array([[0, 0, 0, 0]] * 5 + [[1, 1, 0, 0]] * 3 + [[1, 1, 0, 1]] * 2, dtype=np.uint8)
    )
    whole = dense(confusions, 4)
    for distance in (1, 2, 4):
        number = outcomes.bits @ (1 << np.arange(4))
        matrix = whole[np.ix_(number, number)]
        matrix[np.bitwise_count(number[:, None] ^ number) > distance] = 0
        matrix /= matrix.sum(axis=0)
        truth = np.linalg.solve(matrix, outcomes.counts / 10)
        assert quasi.reduced_inverse(outcomes, confusions, distance) == pytest.approx(truth)


def test_large_systems_are_solved_iteratively_to_the_same_numbers(case, monkeypatch):
    outcomes, confusions = case
    direct = quasi.reduced_inverse(outcomes, confusions, 3)
    monkeypatch.setattr(quasi, "_DIRECT", 4)
    assert quasi.reduced_inverse(outcomes, confusions, 3) == pytest.approx(direct, abs=1e-6)
    monkeypatch.setattr(quasi, "_HELD", 8)
    with pytest.raises(
        UnsupportedError, match=r"16 distinct outcomes, .* at most 8; use expectation_value\(\)"
    ):
        quasi.reduced_inverse(outcomes, confusions, 3)


@given(QUASI)
@settings(deadline=None)
def test_nearest_probabilities_are_probabilities_and_nearest(values):
    """The projection on the simplex: v - p has the same value wherever p > 0, and no larger one elsewhere."""
    nearest = quasi.nearest_probabilities(values)
    assert (nearest >= 0).all()
    assert nearest.sum() == pytest.approx(1)
    left = values / values.sum() - nearest
    kept = nearest > 1e-12
    assert np.ptp(left[kept]) < 1e-9
    assert (left[~kept] <= left[kept].max() + 1e-9).all()


@given(QUASI, st.integers(1, 10**6))
@settings(deadline=None)
def test_whole_counts_sum_to_the_shots_and_are_off_by_less_than_one(values, shots):
    nearest = quasi.nearest_probabilities(values)
    counts = quasi.whole_counts(nearest, shots)
    assert counts.sum() == shots
    assert (counts >= 0).all()
    assert (np.abs(counts - nearest * shots) < 1 + 1e-6).all()


def test_whole_counts_keep_counts():
    counts = np.array([3, 0, 96, 1])
    assert (quasi.whole_counts(counts / 100, 100) == counts).all()
