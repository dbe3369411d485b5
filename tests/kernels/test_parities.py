import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array

from quell.errors import InputError
from quell.kernels import bitplanes, totals
from quell.kernels.parities import (
    bit_planes,
    concatenate_bits,
    concatenate_members,
    observable_spreads,
    observable_sums,
    term_sums,
    term_support,
    variance_of_mean,
)


def packed(bits):
    """Bits (members, shots, num_bits), bit 0 first, as in `BitArray.array`."""
    padded = np.pad(bits, ((0, 0), (0, 0), (0, -bits.shape[2] % 8)))
    return np.packbits(padded[..., ::-1].astype(np.uint8), axis=-1)


def unpacked(planes):
    """The bits back, (members, shots, num_bits), padding included."""
    words = np.ascontiguousarray(planes.words)
    return np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little").transpose(1, 2, 0)


def values(bits, codes):
    """Value of every term on every shot, (members, shots, T), the slow way."""
    bits = bits[:, :, None, :].astype(int)
    factor = np.choose(codes, [1 + 0 * bits, 1 - 2 * bits, 1 - bits, bits])
    return factor.prod(axis=-1)


@st.composite
def cases(draw):
    """Bits, shots per member, codes and a coefficient matrix with empty, single and long rows."""
    members, num_shots = draw(st.integers(1, 4)), draw(st.integers(1, 150))
    num_bits, num_terms = draw(st.integers(1, 19)), draw(st.integers(1, 24))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    bits = rng.integers(0, 2, (members, num_shots, num_bits)) * rng.integers(0, 2, num_bits)
    shots = rng.integers(0, num_shots + 1, members)
    probabilities = draw(
        st.sampled_from([(0.5, 0.5, 0, 0), (0.6, 0.2, 0.1, 0.1), (0, 1, 0, 0), (0.9, 0, 0.1, 0)])
    )
    codes = rng.choice(4, size=(num_terms, num_bits), p=probabilities).astype(np.uint8)
    matrix = rng.normal(size=(7, num_terms)) * (
        rng.random((7, num_terms)) < rng.choice([0.0, 0.1, 1.0], (7, 1))
    )
    return bits, shots, codes, matrix


@pytest.fixture(params=["large blocks", "small blocks"], autouse=True)
def block_size(request, monkeypatch):
    if request.param == "small blocks":
        monkeypatch.setattr(bitplanes, "BLOCK_BYTES", 40)
        monkeypatch.setattr(bitplanes, "PLANES_BYTES", 300)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_sums_support_and_moments_equal_brute_force(case):
    bits, shots, codes, matrix = case
    planes = bit_planes(packed(bits), bits.shape[2], shots)
    valid = np.arange(bits.shape[1]) < shots[:, None]
    expected = values(bits, codes) * valid[:, :, None]
    np.testing.assert_array_equal(term_sums(planes, codes), expected.sum(axis=1))
    np.testing.assert_array_equal(term_support(planes, codes), (expected**2).sum(axis=1))
    totals = expected @ matrix.T
    first, second = observable_sums(planes, codes, csr_array(matrix))
    np.testing.assert_allclose(first, totals.sum(axis=1), atol=1e-10)
    np.testing.assert_allclose(second, (totals**2).sum(axis=1), atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(cases(), st.data())
def test_flips_touch_valid_shots_only(case, data):
    bits, shots, *_ = case
    flips = data.draw(arrays(bool, (len(bits), bits.shape[2])))
    planes = bit_planes(packed(bits), bits.shape[2], shots)
    flipped = bit_planes(packed(bits ^ flips[:, None]), bits.shape[2], shots)
    np.testing.assert_array_equal(planes.flipped(flips).words, flipped.words)
    np.testing.assert_array_equal(planes.flipped(flips).flipped(flips).words, planes.words)


@pytest.mark.parametrize("num_bits", [1, 7, 8, 9, 64, 127])
@pytest.mark.parametrize("shape", [(1, 1), (1, 1000), (3, 64), (70, 3), (2, 65)])
def test_the_transpose_keeps_every_bit_and_zeroes_the_rest(num_bits, shape):
    rng = np.random.default_rng(num_bits)
    bits = rng.integers(0, 2, (*shape, num_bits))
    data = packed(bits)
    if num_bits % 8:
        data[:, :, 0] |= np.uint8(0x100 - (1 << num_bits % 8))  # stray bits, which a BitArray may have
    planes = bit_planes(data, num_bits)
    assert planes.words.dtype == np.uint64
    assert planes.words.shape == (num_bits, shape[0], -(-shape[1] // 64))
    back = unpacked(planes)
    np.testing.assert_array_equal(back[:, : shape[1]], bits)
    assert not back[:, shape[1] :].any()
    assert not planes.words.flags.writeable


def test_pure_terms_of_full_weight():
    rng = np.random.default_rng(5)
    bits = rng.integers(0, 2, (2, 300, 127))
    codes = np.array([[1] * 127, [0] * 127, [3] * 127, [2] + [1] * 126], dtype=np.uint8)
    expected = values(bits, codes)
    planes = bit_planes(packed(bits), 127)
    np.testing.assert_array_equal(term_sums(planes, codes), expected.sum(axis=1))
    np.testing.assert_array_equal(term_support(planes, codes), (expected**2).sum(axis=1))


def test_a_projector_on_a_hundred_bits_is_one_term():
    bits = np.zeros((1, 10, 100), dtype=int)
    bits[0, 3, 50] = 1
    planes = bit_planes(packed(bits), 100)
    assert term_sums(planes, np.full((1, 100), 2, dtype=np.uint8))[0, 0] == 9


def test_sums_are_wide_integers():
    planes = bit_planes(np.zeros((1, 70_000, 1), dtype=np.uint8), 3)  # more than 16 bits, one member
    codes = np.eye(3, dtype=np.uint8)
    assert term_sums(planes, codes).dtype == np.int64
    assert term_support(planes, codes).dtype == np.int64
    assert term_sums(planes, codes).tolist() == [[70_000] * 3]
    assert term_sums(planes.flipped(np.ones((1, 3), dtype=bool)), codes).tolist() == [[-70_000] * 3]


def test_registers_and_members_are_joined():
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 2, (2, 100, 5)), rng.integers(0, 2, (2, 100, 9))
    both = bit_planes(packed(np.concatenate([a, b], axis=2)), 14)
    parts = bit_planes(packed(a), 5), bit_planes(packed(b), 9)
    np.testing.assert_array_equal(concatenate_bits(parts).words, both.words)
    np.testing.assert_array_equal(both.select(np.arange(5, 14)).words, parts[1].words)
    codes = rng.integers(0, 4, (6, 5)).astype(np.uint8)
    short = bit_planes(packed(a[:, :20]), 5)
    joined = concatenate_members([parts[0], short])
    expected = np.concatenate([term_sums(parts[0], codes), term_sums(short, codes)])
    np.testing.assert_array_equal(term_sums(joined, codes), expected)
    np.testing.assert_array_equal(term_sums(joined.select_members([3, 0]), codes), expected[[3, 0]])


def test_no_bits_no_terms_no_shots():
    planes = bit_planes(np.zeros((2, 5, 0), dtype=np.uint8), 0)
    assert term_sums(planes, np.zeros((1, 0), dtype=np.uint8)).tolist() == [[5], [5]]
    planes = bit_planes(np.zeros((2, 0, 1), dtype=np.uint8), 4)
    assert term_sums(planes, np.ones((3, 4), dtype=np.uint8)).tolist() == [[0] * 3] * 2
    assert term_sums(planes, np.ones((0, 4), dtype=np.uint8)).shape == (2, 0)
    first, second = observable_sums(planes, np.eye(4, dtype=np.uint8), csr_array(np.ones((2, 4))))
    assert not first.any()
    assert not second.any()


def test_equal_entries_and_explicit_zeros_of_a_matrix_are_merged():
    planes = bit_planes(np.array([[[0], [1], [1]]], dtype=np.uint8), 2)
    matrix = csr_array((np.array([1.0, 2.0, 0.0]), np.array([0, 0, 1]), np.array([0, 3])), shape=(1, 2))
    first, second = observable_sums(planes, np.eye(2, dtype=np.uint8), matrix)
    assert (first[0, 0], second[0, 0]) == (-3.0, 27.0)
    assert matrix.nnz == 3  # the input is left as it was


def test_single_terms_never_build_per_shot_values(monkeypatch):
    monkeypatch.setattr(totals, "_unpacked", lambda words: pytest.fail("per-shot values"))
    planes = bit_planes(np.array([[[0], [1], [1]]], dtype=np.uint8), 2)
    codes = np.array([[0, 0], [1, 0], [3, 0]], dtype=np.uint8)
    first, second = observable_sums(planes, codes, csr_array([[0.5, 2.0, 0], [0.5, 0, 2.0], [3.0, 0, 0]]))
    np.testing.assert_allclose(first, [[-0.5, 5.5, 9.0]])
    np.testing.assert_allclose(second, [[2.5**2 + 2 * 1.5**2, 0.25 + 2 * 2.5**2, 27.0]])


def test_variance_is_unbiased_with_a_floor_and_a_bound():
    codes = np.array([[0, 0], [1, 0], [0, 3]], dtype=np.uint8)
    matrix = csr_array([[1.0, 0, 0], [5.0, 2.0, -1.0], [0, 1.0, 0]])
    bounds, floors = observable_spreads(codes, matrix)
    np.testing.assert_array_equal(bounds, [0.0, 9.0, 1.0])
    np.testing.assert_array_equal(floors, [0.0, 10.0, 2.0])
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 2, (1, 50, 2))
    totals = values(bits, codes)[0] @ matrix.toarray().T
    planes = bit_planes(packed(bits), 2)
    variance = variance_of_mean(*observable_sums(planes, codes, matrix), planes.shots, bounds, floors)
    np.testing.assert_allclose(variance[0], totals.var(axis=0, ddof=1) / 50, atol=1e-15)
    assert variance[0, 0] == 0.0

    zeros = bit_planes(np.zeros((3, 100, 1), dtype=np.uint8), 2, np.array([100, 1, 0]))
    variance = variance_of_mean(*observable_sums(zeros, codes, matrix), zeros.shots, bounds, floors)
    np.testing.assert_allclose(variance, [[0, 10e-4, 2e-4], [0, 9, 1], [0, np.inf, np.inf]])


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda p: bit_planes(np.zeros((1, 2, 2), dtype=np.uint8), 8), "data"),
        (lambda p: bit_planes(np.zeros((1, 2, 1), dtype=np.uint8), 8, np.array([3])), "shots"),
        (lambda p: term_sums(p, np.zeros((1, 3), dtype=np.uint8)), "codes"),
        (lambda p: term_sums(p, np.full((1, 2), 4, dtype=np.uint8)), "codes"),
        (lambda p: observable_sums(p, np.zeros((1, 2), dtype=np.uint8), csr_array([[1.0, 1.0]])), "matrix"),
        (lambda p: p.flipped(np.zeros((2, 1), dtype=bool)), "flips"),
        (lambda p: concatenate_bits([p, p.select_members([0, 0])]), "parts"),
        (lambda p: concatenate_members([p, p.select([0])]), "parts"),
    ],
)
def test_what_does_not_fit_is_refused(call, match):
    planes = bit_planes(np.zeros((1, 2, 1), dtype=np.uint8), 2)
    with pytest.raises(InputError, match=match):
        call(planes)
