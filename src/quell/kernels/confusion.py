"""Confusion matrices: what readout makes of bits, and how expectation values are freed of it shot by shot.

A confusion matrix C holds p(read | prepared), one column a prepared state; groups of bits that are misread
together have one each, and groups are independent of each other. Because C is a product over groups, the mean of
a diagonal product observable v is corrected shot by shot: each group contributes ``(v^T C^-1)[read]``. That is
unbiased for any number of bits and any number of distinct outcomes (arXiv:2006.14044), and its error bar is that
of a mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from ..errors import CalibrationError, Problem
from .statistics import deviations_of_mean, widened

Floats = NDArray[np.float64]

#: Values of a bit 0 and 1 under the codes 0 I, 1 Z, 2 projector on 0, 3 projector on 1 of `kernels.parities`.
_VALUES: Final = np.array([[1.0, 1.0], [1.0, -1.0], [1.0, 0.0], [0.0, 1.0]])
#: How far a column may be from summing to one, and an entry from the range of probabilities.
_ROUNDING: Final = 1e-6
#: Least determinant of a matrix that is known exactly: its inverse multiplies errors by up to the reciprocal.
_SINGULAR: Final = 1e-3
#: A matrix must be this many of its standard errors away from being singular.
_SIGNIFICANT: Final = 3.0
#: Numbers held at a time while products over many groups are made.
_CHUNK: Final = 2**22


def _matrix(values: ArrayLike) -> Floats:
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


@frozen(eq=False)
class Confusion:
    """How some bits are misread together.

    Attributes:
        bits: Their columns among the outcomes; the first is the least significant bit of a state.
        matrix: float64 ``(2^k, 2^k)``: ``matrix[read, prepared]``.
        shots: Shots behind each column, float64 ``(2^k,)``; infinite where it is known.
        name: What messages call the bits.
    """

    bits: tuple[int, ...]
    matrix: Floats = field(converter=_matrix)
    shots: Floats = field(converter=_matrix)
    name: str = ""

    @classmethod
    def of(cls, bits: Sequence[int], matrix: ArrayLike, name: str = "") -> Self:
        """Return a matrix that is known exactly."""
        matrix = _matrix(matrix)
        return cls(tuple(bits), matrix, np.full(len(matrix), np.inf), name or _named(bits, "bit"))

    @classmethod
    def of_counts(cls, bits: Sequence[int], counts: ArrayLike, name: str = "") -> Self:
        """Return the matrix of measured counts.

        Args:
            bits: The bits.
            counts: How often each state was read from each prepared one, ``(2^k, 2^k)``.
            name: What messages call the bits.

        Raises:
            CalibrationError: A state was never prepared.
        """
        seen = np.asarray(counts, dtype=np.float64)
        shots = seen.sum(axis=0)
        if not shots.all():
            rule = f"was never prepared in state {int(np.argmin(shots)):0{len(bits)}b}"
            raise CalibrationError.of([Problem(name, rule, "raise options.calibration.shots")])
        return cls(tuple(bits), seen / shots, shots, name or _named(bits, "bit"))

    def twirled(self, flips: NDArray[np.bool_], members: NDArray[np.int64]) -> Self:
        """Return what merged shots saw of which each randomization inverted other bits, before and after.

        On average over all flips that is a symmetric matrix; over those that were drawn it is nearly one.

        Args:
            flips: The bits that each randomization inverted, bool ``(R, n)``.
            members: Shots of each, int64 ``(R,)``.
        """
        states = np.arange(len(self.matrix))
        shares = np.bincount(self.states(flips), members, minlength=len(states)) / max(members.sum(), 1)
        mean = np.zeros_like(self.matrix)
        for pattern in np.flatnonzero(shares):
            inverted = states ^ pattern
            mean += shares[pattern] * self.matrix[inverted[:, None], inverted]
        return evolve(self, matrix=mean)

    @cached_property
    def inverse(self) -> Floats:
        """The inverse matrix."""
        return np.asarray(np.linalg.inv(self.matrix), dtype=np.float64)

    @cached_property
    def _smoothed(self) -> Floats:
        """The matrix as its variances see it: an error that was never seen is not known to be impossible."""
        some = np.isfinite(self.shots)
        shots = np.where(some, self.shots, 1.0)
        jeffreys = (self.matrix * shots + 0.5) / (shots + 0.5 * len(self.matrix))
        smoothed: Floats = np.where(some, jeffreys, self.matrix)
        return smoothed

    def variance(self, response: Floats) -> Floats:
        """Return the variance of a linear function of the matrix, for its multinomial errors.

        Args:
            response: Derivative by each entry, float64 ``(..., 2^k, 2^k)``.

        Returns:
            float64 ``(...)``.
        """
        chances = self._smoothed
        first, second = (response * chances).sum(axis=-2), (response**2 * chances).sum(axis=-2)
        variance: Floats = (np.maximum(second - first**2, 0.0) / self.shots).sum(axis=-1)
        return variance

    def states(self, outcomes: NDArray[Any]) -> NDArray[np.intp]:
        """Return the state that each outcome shows of these bits; outcomes are uint8 or bool ``(D, n)``."""
        number = np.zeros(len(outcomes), dtype=np.intp)
        for place, bit in enumerate(self.bits):
            number |= outcomes[:, bit].astype(np.intp) << place
        return number

    def moved(self, column: dict[int, int]) -> Self:
        """Return it for outcomes whose columns are in another order."""
        return evolve(self, bits=tuple(column[bit] for bit in self.bits))

    def problems(self) -> Iterator[Problem]:
        """Yield what makes it useless: no probabilities, singular, or read the other way round."""
        matrix, size = self.matrix, 2 ** len(self.bits)
        if matrix.shape != (size, size):
            yield Problem(
                self.name, f"its confusion matrix has shape {matrix.shape}, must be ({size}, {size})"
            )
            return
        if not np.isfinite(matrix).all():
            yield Problem(self.name, "its confusion matrix has entries that are not finite")
            return
        if (matrix < -_ROUNDING).any() or (matrix > 1 + _ROUNDING).any():
            entry = matrix.flat[np.abs(matrix - 0.5).argmax()]
            yield Problem(self.name, f"its confusion matrix has entry {entry:g}, which is no probability")
            return
        sums = matrix.sum(axis=0)
        if (np.abs(sums - 1) > _ROUNDING).any():
            wrong = sums[np.abs(sums - 1).argmax()]
            rule = f"a column of its confusion matrix sums to {wrong:.6g}, must be 1"
            yield Problem(self.name, rule, "columns are prepared states, rows are what is read")
            return
        yield from self._unusable()

    def _unusable(self) -> Iterator[Problem]:
        """Yield why a matrix of probabilities cannot be inverted."""
        leave_out = "leave it out: ask for registers without it, or take the raw counts"
        if len(self.bits) == 1:
            contrast = float(self.matrix[0, 0] - self.matrix[0, 1])
            if contrast < 0:
                zero, one = self.matrix[0]
                rule = f"is read the wrong way round: p(0|0) = {zero:.4g}, p(0|1) = {one:.4g}"
                yield Problem(self.name, rule, leave_out)
                return
        else:
            surplus = self.matrix.max(axis=0) - self.matrix.diagonal()
            state = int(surplus.argmax())
            if surplus[state] > _ROUNDING:
                taken, width = int(self.matrix[:, state].argmax()), len(self.bits)
                rule = f"prepared in {state:0{width}b} is read as {taken:0{width}b} more often than as itself"
                yield Problem(self.name, rule, leave_out)
                return
        # The smallest singular value is the distance to the nearest singular matrix.
        least = float(np.linalg.svd(self.matrix, compute_uv=False)[-1])
        spread = float(np.sqrt((self._smoothed * (1 - self._smoothed) / self.shots).sum()))
        if least < _SINGULAR:
            rule = f"its confusion matrix is singular (smallest singular value {least:.3g})"
            yield Problem(self.name, rule, leave_out)
        elif least < _SIGNIFICANT * spread:
            rule = "its confusion matrix is not known well enough to be inverted"
            rule += f" (smallest singular value {least:.3g} +- {spread:.2g})"
            yield Problem(self.name, rule, f"raise options.calibration.shots, or {leave_out}")


def check(confusions: Iterable[Confusion]) -> None:
    """Refuse confusion matrices that cannot be inverted.

    Raises:
        CalibrationError: Naming the bits of each.
    """
    CalibrationError.check(problem for confusion in confusions for problem in confusion.problems())


def _named(bits: Sequence[int], what: str) -> str:
    return f"{what} {bits[0]}" if len(bits) == 1 else f"{what}s {', '.join(map(str, bits))}"


@frozen(eq=False)
class Outcomes:
    """Shots by outcome and randomization; each pair that occurs is a *cell*.

    Attributes:
        bits: The distinct outcomes, uint8 ``(D, n)``, column i is bit i.
        outcome: Outcome of each cell, int64 ``(C,)``.
        member: Randomization of each cell, int64 ``(C,)``.
        counts: Shots of each cell, int64 ``(C,)``.
        flips: Bits that each randomization inverted before they were measured, and back after, bool ``(R, n)``.
        block: How many neighbouring randomizations are not independent.
    """

    bits: NDArray[np.uint8]
    outcome: NDArray[np.int64]
    member: NDArray[np.int64]
    counts: NDArray[np.int64]
    flips: NDArray[np.bool_]
    block: int = 1

    @classmethod
    def of(
        cls,
        bits: NDArray[np.uint8],
        members: ArrayLike | None = None,
        flips: NDArray[np.bool_] | None = None,
        block: int = 1,
    ) -> Self:
        """Sort shots ``(S, n)``, those of one randomization together; without `members` all are one randomization."""
        sizes = np.asarray([len(bits)] if members is None else members, dtype=np.int64)
        inverted = np.zeros((len(sizes), bits.shape[1]), dtype=bool) if flips is None else flips
        return cls.grouped(bits, np.repeat(np.arange(len(sizes)), sizes), np.ones(len(bits)), inverted, block)

    @classmethod
    def grouped(
        cls,
        bits: NDArray[np.uint8],
        member: NDArray[np.int64],
        counts: ArrayLike,
        flips: NDArray[np.bool_],
        block: int = 1,
    ) -> Self:
        """Sort rows of bits ``(N, n)``, each with a randomization and a number of shots."""
        rows, width = bits.shape
        first, index = np.zeros(min(rows, 1), dtype=np.int64), np.zeros(rows, dtype=np.int64)
        if width:
            _, first, index = distinct_rows(np.packbits(bits, axis=1))
        pairs, cell = np.unique(member * max(len(first), 1) + index, return_inverse=True)
        shots = np.zeros(len(pairs), dtype=np.int64)
        np.add.at(shots, cell.reshape(-1), np.asarray(counts, dtype=np.int64))
        member, outcome = np.divmod(pairs, max(len(first), 1))
        return cls(bits[first], outcome, member, shots, flips, block)

    @cached_property
    def num_shots(self) -> int:
        """All shots."""
        return int(self.counts.sum())

    @cached_property
    def members(self) -> NDArray[np.int64]:
        """Shots of each randomization, int64 ``(R,)``."""
        return _sums(self.member, self.counts, len(self.flips))

    @cached_property
    def totals(self) -> NDArray[np.int64]:
        """Shots of each outcome, int64 ``(D,)``."""
        return _sums(self.outcome, self.counts, len(self.bits))

    def columns(self, bits: Sequence[int]) -> Self:
        """Return the shots of some bits."""
        chosen = list(bits)
        if chosen == list(range(self.bits.shape[1])):
            return self
        rows = self.bits[:, chosen][self.outcome]
        return self.grouped(rows, self.member, self.counts, self.flips[:, chosen], self.block)

    @cached_property
    def measured(self) -> Outcomes:
        """It with an outcome of its own for each cell, where randomizations inverted bits; else as it is."""
        if not self.flips.any():
            return self
        return evolve(self, bits=self.bits[self.outcome], outcome=np.arange(len(self.outcome)))

    @cached_property
    def inverted(self) -> NDArray[np.bool_]:
        """Bits that were inverted in each outcome of `measured`, bool ``(D, n)``."""
        inverted = np.zeros(self.bits.shape, dtype=bool)
        if self.flips.any():
            inverted[self.outcome] = self.flips[self.member]
        return inverted

    def mean(self, values: Floats, floor: float) -> tuple[float, float, float]:
        """Return the mean over shots of a value of each outcome, its variance, and that squared by its freedom.

        Args:
            values: float64 ``(D,)``.
            floor: Least variance.
        """
        shots = self.num_shots
        first = float(self.totals @ values) / shots
        second = float(self.totals @ (values - first) ** 2)
        # One shot says nothing of the spread; the largest square is a bound.
        variance = second / shots / (shots - 1) if shots > 1 else float((values**2).max())
        variance = max(variance, floor)
        sizes = self.members
        if np.count_nonzero(sizes) < 2:
            return first, variance, 0.0
        sums = np.bincount(self.member, self.counts * values[self.outcome], minlength=len(sizes))
        means = (sums / np.maximum(sizes, 1))[:, None]
        _, spread = deviations_of_mean(means, (sizes / shots)[:, None], self.block)
        if spread is None:
            return first, variance, 0.0
        # Shots of one randomization are independent, so the spread between them is truly no less than that of shots;
        # where there are few it is by luck, and its freedom would then count for nothing beside the calibration.
        between = max(float(spread.variance[0]), variance)
        return first, between, between**2 / spread.dof


def _sums(index: NDArray[np.int64], counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    total = np.zeros(size, dtype=np.int64)
    np.add.at(total, index, counts)
    return total


def distinct_rows(
    packed: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return how often each distinct row occurs, where first, and which one each row is."""
    rows = np.ascontiguousarray(packed)
    # One opaque item a row: sorting those is far faster than sorting rows.
    items = rows.view(np.dtype((np.void, rows.shape[1])))[:, 0]
    _, first, index, counts = np.unique(items, return_index=True, return_inverse=True, return_counts=True)
    return counts, first, index.reshape(-1).astype(np.int64)


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
