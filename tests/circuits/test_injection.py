"""Pauli errors put in at random: what stands where, how often, and with which sign.

Fixed seeds; statistical limits are 4.5 standard errors, false alarm 7e-6 a value.
"""

from __future__ import annotations

import itertools
import math
import pickle

import numpy as np
import pytest
from qiskit import QuantumCircuit

from quell.circuits import injection as module
from quell.circuits.injection import injection
from quell.circuits.template import template_of
from quell.kernels.draws import Key

KEY = Key(11, 22)
LIMIT = 4.5


def template():
    circuit = QuantumCircuit(3)
    circuit.h([0, 1, 2])
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    return template_of(circuit)


SIZE = len(template().dressings)
#: One error for each of the first dressings, so that what stands there says which generators acted.
GENERATORS = [("X", [0], -0.2), ("Z", [1], -0.1), ("Y", [2], -0.05), ("X", [3], -0.4)]
#: Which of three terms each can change.
RELEVANT = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], dtype=bool)


def made(*, generators=GENERATORS, relevant=RELEVANT, key=KEY, num_members=0):
    return injection(key, SIZE, generators, relevant, num_members=num_members)


def errors(own, setting=0, start=0, stop=1000):
    frames = own.frames(template(), setting, start, stop)
    assert not frames.before.any()
    return frames.after


@pytest.mark.parametrize("num_members", [0, 200])
@pytest.mark.parametrize("rows", [(0, 1), (3, 70), (63, 65), (64, 128), (130, 200), (0, 200), (7, 7)])
def test_a_slice_is_a_slice_of_the_whole(num_members, rows):
    own = made(num_members=num_members)
    whole, (terms, overall) = errors(own, 5, 0, 200), own.signs(5, 0, 200)
    part, (some_terms, some_overall) = errors(own, 5, *rows), own.signs(5, *rows)
    assert np.array_equal(part, whole[slice(*rows)])
    assert np.array_equal(some_terms, terms[slice(*rows)])
    assert np.array_equal(some_overall, overall[slice(*rows)])
    assert part.shape == (rows[1] - rows[0], SIZE)
    assert part.dtype == np.uint8


def test_settings_and_keys_draw_their_own():
    own = made()
    assert not np.array_equal(errors(own, 0), errors(own, 1))
    assert not np.array_equal(errors(own), errors(made(key=Key(11, 23))))
    assert np.array_equal(errors(own, 1), errors(made(), 1))


def test_errors_stand_where_they_should_with_their_letters():
    own = made(generators=[("XYZ", [4, 0, 2], 5.0)], relevant=np.ones((1, 1), dtype=bool))
    after = errors(own)
    acted = after[:, 4] == 1
    assert 400 < acted.sum() < 600  # a channel that dephases entirely: 6 standard errors
    assert np.array_equal(np.unique(after[acted], axis=0), [np.array([3, 0, 2, 0, 1] + [0] * (SIZE - 5))])
    assert not after[~acted].any()


def test_generators_on_one_dressing_multiply():
    """X and Z on one dressing, both in half of the cases: all four Paulis as often."""
    own = made(generators=[("X", [0], 9.0), ("Z", [0], 9.0)], relevant=np.ones((2, 1), dtype=bool))
    counts = np.bincount(errors(own, stop=4000)[:, 0], minlength=4)
    assert (np.abs(counts - 1000) < LIMIT * math.sqrt(750)).all()


def test_how_often_errors_stand_somewhere():
    """``(1 - exp(-2 |rate|)) / 2`` of the randomizations, whatever the sign of the rate."""
    count = 64_000
    for sign in (1, -1):
        own = made(generators=[(letters, where, -sign * rate) for letters, where, rate in GENERATORS])
        found = (errors(own, stop=count)[:, :4] != 0).mean(axis=0)
        share = np.array([(1 - math.exp(2 * rate)) / 2 for _, _, rate in GENERATORS])
        assert (np.abs(found - share) < LIMIT * np.sqrt(share * (1 - share) / count)).all()


def test_the_sign_of_a_term_is_that_of_the_errors_that_can_change_it():
    own = made()
    acted = errors(own)[:, :4] != 0
    terms, overall = own.signs(0, 0, 1000)
    assert np.array_equal(terms, (acted.astype(int) @ RELEVANT) % 2 == 1)
    assert np.array_equal(overall, acted.sum(axis=1) % 2 == 1)
    assert terms[:, :2].any(axis=0).all()
    assert not terms[:, 2].any()
    assert not np.array_equal(terms[:, 0], terms[:, 1])


@pytest.mark.parametrize("decided", [False, True])
def test_the_mean_sign_of_each_term_is_one_over_its_gamma(decided):
    """Where there are many, the share of each sign is rounded to one of them, which shows in nothing."""
    count = 128_000
    own = made(num_members=count if decided else 0)
    signs = 1 - 2.0 * own.signs(0, 0, count)[0]
    rates = np.array([-rate for _, _, rate in GENERATORS])
    inverse = np.exp(-2 * rates @ RELEVANT)
    assert (np.abs(signs.mean(axis=0) - inverse)[:2] < LIMIT * np.sqrt((1 - inverse[:2] ** 2) / count)).all()
    assert (signs[:, 2] == 1).all()


def test_amplified_noise_has_no_signs():
    own = made(generators=[(letters, where, -rate) for letters, where, rate in GENERATORS])
    assert own.odd_share == 0
    assert not own.signs(0, 0, 500)[1].any()


SHARE = (1 - math.exp(-1.5)) / 2


def rare(share):
    """Return generators with this probability of an odd number of errors."""
    rate = -math.log1p(-2 * share) / 2
    return [(letters, where, rate * own / 0.75) for letters, where, own in GENERATORS]


@pytest.mark.parametrize("count", [8, 11, 31, 32, 40, 64, 65, 128, 300, 5000])
@pytest.mark.parametrize("share", [0.002, 0.02, 0.1, SHARE, 0.4999])
def test_as_many_have_a_sign_as_are_expected_and_a_few_at_least(count, share):
    own = made(generators=rare(share), num_members=count)
    assert own.odd_share == pytest.approx(share)
    least = min(12, max(2, count // 6))
    expected = count * share
    assert own.num_odd is not None
    assert abs(own.num_odd - np.clip(expected, least, count - least)) <= 0.5
    for setting in range(3):
        odd = own.signs(setting, 0, count)[1]
        assert odd.sum() == own.num_odd
        # Spread evenly, whatever slice is looked at.
        running = np.cumsum(odd) - own.num_odd / count * np.arange(1, count + 1)
        assert (np.abs(running) < 1).all()


@pytest.mark.parametrize(
    ("count", "share"),
    [(0, SHARE), (1, SHARE), (4, SHARE), (7, SHARE), (300, 0.0009), (300, 1e-9), (5000, 0.0)],
)
def test_signs_are_left_to_chance_where_they_are_too_rare_or_too_few(count, share):
    own = made(generators=rare(share), num_members=count)
    assert own.num_odd is None
    assert np.array_equal(own.signs(2, 0, 300)[1], made(generators=rare(share)).signs(2, 0, 300)[1])


def test_errors_of_either_sign_are_those_that_come_with_it():
    """Given the sign, every generator acts as often as in samples that were left to chance: the exact probability.

    That of a generator and the sign together follows from the sign of all the others.
    """
    count = 64_000
    own = made(generators=rare(0.05), num_members=count)
    acted, odd = errors(own, stop=count)[:, :4] != 0, own.signs(0, 0, count)[1]
    rates = np.array([rate for _, _, rate in rare(0.05)])
    each = -np.expm1(2 * rates) / 2
    others = np.exp(2 * (rates.sum() - rates))  # mean sign of the others
    with_odd, with_even = each * (1 + others) / 2, each * (1 - others) / 2
    for found, joint, share in ((acted[odd], with_odd, 0.05), (acted[~odd], with_even, 0.95)):
        expected = joint / share
        limit = LIMIT * np.sqrt(expected * (1 - expected) / len(found))
        assert (np.abs(found.mean(axis=0) - expected) < limit).all()


@pytest.mark.parametrize(("count", "share"), [(8, SHARE), (40, 0.02), (32, 0.4)])
def test_strata_weighted_by_their_probabilities_are_unbiased_over_keys(count, share):
    """At any number of members: how often each error is there, of all places and weighted as `Pec.combine` does."""
    repeats = 500
    rng = np.random.default_rng(3)
    means = []
    for _ in range(repeats):
        own = made(generators=rare(share), key=Key.spawn(rng), num_members=count)
        acted, odd = errors(own, stop=count)[:, :4] != 0, own.signs(0, 0, count)[1]
        means.append(share * acted[odd].mean(axis=0) + (1 - share) * acted[~odd].mean(axis=0))
    each = np.array([-math.expm1(2 * rate) / 2 for _, _, rate in rare(share)])
    off = np.mean(means, axis=0) - each
    assert (np.abs(off) < LIMIT * np.std(means, axis=0) / math.sqrt(repeats)).all()


@pytest.mark.parametrize("scales", [(0.5, 1.0, 2.0), (-0.25, -0.5, -1.0)])
def test_errors_of_less_noise_are_among_those_of_more(scales):
    """Rates that are multiples of each other, one key: far more in common than independent draws have."""
    acted = []
    for scale in scales:
        generators = [(letters, where, scale * -rate) for letters, where, rate in GENERATORS]
        acted.append(errors(made(generators=generators), stop=4000)[:, :4] != 0)
    for less, more in itertools.pairwise(acted):
        assert less.sum() < more.sum()
        assert (more[less]).mean() > 0.95
        # Independent draws would have this in common.
        assert (np.roll(more, 1, axis=0)[less]).mean() < 0.5


def test_cancelling_and_amplifying_share_their_errors():
    """Rates of either sign draw the same errors from one key."""
    plus = errors(made(generators=[(w, d, -rate) for w, d, rate in GENERATORS]))
    minus = errors(made())
    assert np.array_equal(plus, minus)


@pytest.mark.parametrize("num_members", [0, 300])
def test_pickled_it_draws_the_same(num_members):
    own = made(num_members=num_members)
    again = pickle.loads(pickle.dumps(own))
    assert np.array_equal(errors(own, 3), errors(again, 3))
    assert np.array_equal(own.signs(3, 0, 99)[0], again.signs(3, 0, 99)[0])


class Without:
    """What older versions of Qiskit return: lists of Paulis that have no dense form."""

    def __init__(self, paulis):
        self._paulis = paulis

    def to_sparse_list(self):
        return self._paulis.to_sparse_list()


class Older:
    """A map of an older version."""

    def __init__(self, noise):
        self._noise = noise
        self.num_qubits = noise.num_qubits

    def signed_sample(self, count, seed):
        signs, paulis = self._noise.signed_sample(count, seed)
        return signs, Without(paulis)


def test_lists_without_a_dense_form_give_the_same():
    noise = made(
        generators=[("XYZ", [4, 0, 2], -0.3), ("Y", [1], -0.9), ("ZX", [0, 5], -0.2)],
        relevant=np.ones((3, 1), dtype=bool),
    ).noise
    new, old = module._sampled(noise, 500, 7), module._sampled(Older(noise), 500, 7)
    assert not hasattr(Without(None), "to_dense_array")
    assert new[0].any(axis=0)[[0, 1, 2, 4, 5]].all()
    assert np.array_equal(new[0], old[0])
    assert np.array_equal(new[1], old[1])
    assert new[0].dtype == old[0].dtype


@pytest.mark.parametrize("num_members", [0, 100])
def test_the_whole_way_with_an_older_version(monkeypatch, num_members):
    own = made(num_members=num_members)
    expected = errors(own, 1), own.signs(1, 0, 100)[0]
    sampled, calls = module._sampled, []

    def older(noise, count, seed):
        calls.append(count)
        return sampled(Older(noise), count, seed)

    monkeypatch.setattr(module, "_sampled", older)
    fresh = made(num_members=num_members)  # runs of the first one are kept
    assert np.array_equal(errors(fresh, 1), expected[0])
    assert np.array_equal(fresh.signs(1, 0, 100)[0], expected[1])
    assert calls


def test_runs_are_drawn_once_for_slices_one_after_the_other(monkeypatch):
    """Members are rendered a few at a time: what was drawn for the first of a run is not drawn again for the rest."""
    own = made(num_members=0)
    whole, sampled, calls = errors(made(), 9, 0, 128), module._sampled, []

    def counted(*arguments):
        calls.append(arguments)
        return sampled(*arguments)

    monkeypatch.setattr(module, "_sampled", counted)
    parts = [errors(own, 9, start, start + 4) for start in range(0, 128, 4)]
    assert np.array_equal(np.concatenate(parts), whole)
    assert len(calls) == 2


def test_touched_are_the_dressings_with_errors():
    assert np.flatnonzero(made().touched(template())).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("num_members", [0, 100])
def test_no_errors(num_members):
    own = injection(KEY, SIZE, [], np.zeros((0, 3), dtype=bool), num_members=num_members)
    assert own.num_odd is None
    for empty in (own, injection(KEY, SIZE, [], np.zeros((0, 3), dtype=bool))):
        assert not errors(empty).any()
        terms, overall = empty.signs(0, 0, 10)
        assert terms.shape == (10, 3)
        assert not terms.any()
        assert not overall.any()
        assert not empty.touched(template()).any()
        assert empty.flips(template(), 0, 0, 10) is None


def test_many_terms_share_flags():
    """Generators that change the same terms are told apart by nothing, so there are as many flags as patterns."""
    relevant = np.zeros((4, 300), dtype=bool)
    relevant[:2, 17] = relevant[2:, 299] = True
    own = made(relevant=relevant)
    assert own.noise.num_qubits == SIZE + 2
    terms, overall = own.signs(0, 0, 200)
    assert np.flatnonzero(terms.any(axis=0)).tolist() == [17, 299]
    assert np.array_equal(terms[:, 17] ^ terms[:, 299], overall)
