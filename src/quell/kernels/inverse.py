"""Expectation values and distributions freed of readout errors by the inverse of confusion matrices.

The whole confusion matrix is a product over groups of bits, so the mean of a diagonal product observable v is corrected
shot by shot: each group contributes ``(v^T C^-1)[read]``. That is unbiased for any number of bits and any number of
distinct outcomes (arXiv:2006.14044), and its error bar is that of a mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from .confusion import Confusion
from .outcomes import Outcomes
from .statistics import widened

Floats = NDArray[np.float64]

#: Values of a bit 0 and 1 under the codes 0 I, 1 Z, 2 projector on 0, 3 projector on 1 of `kernels.parities`.
_VALUES: Final = np.array([[1.0, 1.0], [1.0, -1.0], [1.0, 0.0], [0.0, 1.0]])
#: Numbers held at a time while products over many groups are made.
_CHUNK: Final = 2**22
#: Most bits whose full distribution is made, and most of them with the others of their groups.
FULL_BITS: Final = 16
FULL_BITS_IN_GROUPS: Final = 22


def full_inverse(outcomes: Outcomes, confusions: Sequence[Confusion]) -> Floats:
    """Return the corrected probability of every outcome of a few bits.

    The inverse of the whole product of confusion matrices, which is unbiased also for outcomes that were never read.

    Args:
        outcomes: What was read, at most `FULL_BITS_IN_GROUPS` bits.
        confusions: How groups of them are misread; bits in none are taken as they are.

    Returns:
        float64 ``(2^n,)``; bit i is bit i of the index.
    """
    width = outcomes.bits.shape[1]
    number = outcomes.bits.astype(np.int64) @ (1 << np.arange(width))
    table: Floats = np.zeros(2**width)
    table[number] = outcomes.totals / outcomes.num_shots
    # Axis j is bit n - 1 - j; a group's state has its first bit as the least significant one.
    table = table.reshape((2,) * width)
    for confusion in confusions:
        size = len(confusion.bits)
        axes = [width - 1 - bit for bit in reversed(confusion.bits)]
        inverse = confusion.inverse.reshape((2,) * (2 * size))
        product = np.tensordot(inverse, table, axes=(list(range(size, 2 * size)), axes))
        table = np.moveaxis(product, list(range(size)), axes)
    return table.reshape(-1)


def expectations(
    outcomes: Outcomes, confusions: Sequence[Confusion], codes: NDArray[np.uint8], matrix: csr_array
) -> tuple[Floats, Floats]:
    """Return corrected expectation values of diagonal observables and their standard errors.

    The errors of shots (between randomizations, where there are several) and of the confusion matrices, to first
    order, are both in them. Where bits were inverted, each shot is corrected for what was measured of it.

    Args:
        outcomes: What was read.
        confusions: How groups of bits are misread; bits in none are taken as they are.
        codes: Distinct terms, uint8 ``(T, n)``: 0 I, 1 Z, 2 and 3 projectors on 0 and 1.
        matrix: Coefficients, ``(O, T)``.

    Returns:
        Two float64 arrays ``(O,)``.
    """
    outcomes = outcomes.measured
    terms = _Terms(outcomes, confusions, codes)
    size = matrix.shape[0]
    values, errors = np.zeros(size), np.zeros(size)
    constant = np.flatnonzero(~codes.any(axis=1))
    for row in range(size):
        at = slice(matrix.indptr[row], matrix.indptr[row + 1])
        columns, weights = matrix.indices[at], matrix.data[at]
        varies = ~np.isin(columns, constant)
        offset = float(weights[~varies].sum())
        columns, weights = columns[varies], weights[varies]
        if not len(columns):
            values[row] = offset
            continue
        total = np.zeros(len(outcomes.bits))
        floor = 0.0
        responses: dict[int, Floats] = {}
        for term, weight in zip(columns, weights, strict=True):
            product, amplitude = terms.product(term)
            total += weight * product
            floor += 2 * (weight * amplitude) ** 2 / outcomes.num_shots**2
            for group, response in terms.responses(term):
                responses[group] = responses.get(group, 0.0) + weight * response
        mean, variance, squares = outcomes.mean(total, floor)
        calibration = sum(confusions[group].variance(r) for group, r in responses.items())
        values[row] = mean + offset
        errors[row] = np.sqrt(widened(np.array(variance + calibration), np.array(squares)))
    return values, errors


class _Terms:
    """Products over groups of bits, and what they owe to each confusion matrix."""

    def __init__(self, outcomes: Outcomes, confusions: Sequence[Confusion], codes: NDArray[np.uint8]) -> None:
        self._outcomes = outcomes
        self._codes = codes
        covered = {bit for confusion in confusions for bit in confusion.bits}
        bare = [Confusion.of([bit], np.eye(2)) for bit in range(codes.shape[1]) if bit not in covered]
        self._num_corrected = len(confusions)
        self._groups = [*confusions, *bare]
        self._states: dict[int, tuple[NDArray[np.intp], NDArray[np.intp]]] = {}

    def _factors(self, term: int) -> list[tuple[int, Floats]]:
        """Return the groups of a term's support and what each contributes, by flip and state as it was read."""
        factors = []
        for number, group in enumerate(self._groups):
            letters = self._codes[term, list(group.bits)]
            if letters.any():
                values = np.ones(1)
                for letter in letters:
                    values = np.kron(_VALUES[letter], values)
                states = np.arange(len(values))
                factors.append((number, values[states[:, None] ^ states] @ group.inverse))
        return factors

    def _read(self, group: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return which bits of a group were inverted in each outcome, and what was read before they were put back."""
        if group not in self._states:
            flips = self._groups[group].states(self._outcomes.inverted)
            self._states[group] = flips, flips ^ self._groups[group].states(self._outcomes.bits)
        return self._states[group]

    def product(self, term: int) -> tuple[Floats, float]:
        """Return the value of a term for each outcome, float64 ``(D,)``, and the largest it can have."""
        total, amplitude = np.ones(len(self._outcomes.bits)), 1.0
        for group, by_state in self._factors(term):
            total *= by_state[self._read(group)]
            amplitude *= np.abs(by_state).max()
        return total, amplitude

    def responses(self, term: int) -> Iterator[tuple[int, Floats]]:
        """Yield each corrected group of a term and the derivative of the term's mean by its confusion matrix.

        With w = v^T C^-1 and u the mean over shots of the other groups' product, by the state read, the mean is
        w . u and its derivative by C is - w (C^-1 u)^T; each pattern of flips has its own v and u.
        """
        factors = self._factors(term)
        weights = self._outcomes.totals / self._outcomes.num_shots
        others: list[Floats] = [np.zeros_like(by_state) for _, by_state in factors]
        step = max(1, _CHUNK // max(1, len(factors)))
        for start in range(0, len(weights), step):
            rows = slice(start, start + step)
            read = [(flips[rows], states[rows]) for flips, states in (self._read(g) for g, _ in factors)]
            here = [by_state[at] for (_, by_state), at in zip(factors, read, strict=True)]
            behind = [np.ones(len(weights[rows]))]
            for product in here[:0:-1]:
                behind.append(behind[-1] * product)
            before = weights[rows].copy()
            for place, at in enumerate(read):
                size = len(others[place])
                at_once = np.bincount(at[0] * size + at[1], before * behind[-1 - place], minlength=size**2)
                others[place] += at_once.reshape(size, size)
                before *= here[place]
        for (group, by_state), mean in zip(factors, others, strict=True):
            if group < self._num_corrected:
                yield group, -(by_state.T @ (mean @ self._groups[group].inverse.T))
