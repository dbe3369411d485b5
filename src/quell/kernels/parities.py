"""Parities of measured bits: sums of terms and moments of diagonal observables over shots.

The parity of a term is an XOR of a few bit planes and a popcount, 64 shots per machine word. How planes are
made, how terms become planes and how whole observables are summed shot by shot is in `bitplanes`, `terms`
and `totals`; callers need this module only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from .bitplanes import BitPlanes, bit_planes, concatenate_bits, concatenate_members, refuse
from .terms import checked_codes, term_moments
from .totals import TableGroups

__all__ = [
    "BitPlanes",
    "bit_planes",
    "concatenate_bits",
    "concatenate_members",
    "observable_spreads",
    "observable_sums",
    "term_sums",
    "term_support",
    "variance_of_mean",
]


def term_sums(planes: BitPlanes, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Sum the values of terms over the shots of each member.

    Args:
        planes: The measured bits.
        codes: `uint8`, shape `(T, num_bits)`: 0 identity, 1 Z, 2 projector on 0, 3 projector on 1.

    Returns:
        `int64`, shape `(members, T)`.

    Raises:
        InputError: If the codes do not fit the planes.
    """
    return term_moments(planes, codes)[0]


def term_support(planes: BitPlanes, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the shots of each member on which terms are not zero: the sum of the squared values.

    Args:
        planes: The measured bits.
        codes: `uint8`, shape `(T, num_bits)`, as in `term_sums`.

    Returns:
        `int64`, shape `(members, T)`; the number of shots for a term without projectors.

    Raises:
        InputError: If the codes do not fit the planes.
    """
    return term_moments(planes, codes)[1]


def observable_sums(
    planes: BitPlanes, codes: NDArray[np.uint8], matrix: csr_array
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum the values and squared values of weighted sums of terms over the shots of each member.

    The moments are those of the whole observable on each shot, so covariances between terms measured
    together are in them exactly. Observables of one term (next to an identity) need popcounts only.

    Args:
        planes: The measured bits.
        codes: `uint8`, shape `(T, num_bits)`, as in `term_sums`.
        matrix: Real coefficients, shape `(O, T)`: one row per observable. An empty row gives zeros.

    Returns:
        The first and the second moment sums: two `float64` arrays of shape `(members, O)`.

    Raises:
        InputError: If codes or matrix do not fit the planes.
    """
    codes = checked_codes(planes, codes)
    if matrix.shape[1] != len(codes):
        refuse("matrix", f"has {matrix.shape[1]} columns for {len(codes)} terms")
    offsets, row, column, weight = _entries(codes, matrix)
    shots = planes.shots[:, None].astype(np.float64)
    first = shots * offsets
    second = first * offsets

    per_row = np.bincount(row, minlength=len(offsets))
    single, several = per_row == 1, per_row > 1
    if single.any():
        mine = single[row]
        used, term = np.unique(column[mine], return_inverse=True)
        sums, support = term_moments(planes, codes[used])
        values = sums[:, term] * weight[mine]
        first[:, single] += values
        second[:, single] += values * (2 * offsets[single]) + support[:, term] * weight[mine] ** 2
    if several.any():
        mine = several[row]
        place = np.cumsum(several) - 1
        groups = TableGroups.of(codes, offsets[several], place[row[mine]], column[mine], weight[mine])
        first[:, several], second[:, several] = groups.moments(planes)
    return first, second


def observable_spreads(
    codes: NDArray[np.uint8], matrix: csr_array
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what the coefficients alone say about the spread of observables, for `variance_of_mean`.

    Args:
        codes: `uint8`, shape `(T, num_bits)`.
        matrix: Real coefficients, shape `(O, T)`.

    Returns:
        bounds: `(sum_k |c_k|)**2` over the terms other than identity, the largest possible variance of one
            shot: `float64`, shape `(O,)`.
        floors: `2 sum_k c_k**2` over the same terms: `float64`, shape `(O,)`.
    """
    _, row, _, weight = _entries(codes, matrix)
    size = matrix.shape[0]
    return _sums(row, np.abs(weight), size) ** 2, 2.0 * _sums(row, weight**2, size)


def variance_of_mean(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    shots: NDArray[np.int64],
    bounds: NDArray[np.float64],
    floors: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the variance of the mean over shots from its moment sums.

    The unbiased `(second - first**2 / N) / (N (N - 1))`, but never less than `floors / N**2`. The floor keeps
    an error bar from being zero only because all shots agreed: with none of `N` shots on the other side,
    Jeffreys' posterior of its probability has standard deviation about `0.7 / N`, so `1.4 / N` for a Pauli
    term. One shot tells nothing about the spread, so `bounds` is returned, the largest variance an observable
    of this range can have (1 for a Pauli term). No shots give infinity. An observable that is constant has
    bound 0 and variance exactly 0.

    Args:
        first: Sums of values, shape `(members, O)`.
        second: Sums of squared values, shape `(members, O)`.
        shots: `int64`, shape `(members,)`.
        bounds: Shape `(O,)`, from `observable_spreads`.
        floors: Shape `(O,)`, from `observable_spreads`.

    Returns:
        `float64`, shape `(members, O)`.
    """
    number = np.asarray(shots, dtype=np.float64)[:, None]
    some = np.maximum(number, 2.0)  # avoids 0/0 where the result is replaced below
    variance = np.maximum((second - first * first / some) / (some * (some - 1)), floors / some**2)
    variance = np.where(number == 1, bounds, np.where(number == 0, np.inf, variance))
    return np.where(bounds == 0, 0.0, variance)


def _entries(
    codes: NDArray[np.uint8], matrix: csr_array
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Split a matrix into the constant `(O,)` of each observable and its other entries, rows ascending.

    Returns:
        The constants; row, column and value of the entries, none of them zero and each place only once.
    """
    size = matrix.shape[0]
    matrix = csr_array(matrix, copy=True)
    matrix.sum_duplicates()
    row, weight = np.repeat(np.arange(size), np.diff(matrix.indptr)), matrix.data.astype(np.float64)
    identity = np.logical_not(codes.any(axis=1))[matrix.indices]
    rest = ~identity & (weight != 0)
    return _sums(row[identity], weight[identity], size), row[rest], matrix.indices[rest], weight[rest]


def _sums(row: NDArray[np.intp], values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Add up the values of each row."""
    return np.bincount(row, values, minlength=size).astype(np.float64, copy=False)
