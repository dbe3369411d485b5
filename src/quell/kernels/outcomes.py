"""Shots sorted by what was read, and means over them with honest error bars."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final, Self

import numpy as np
from attrs import evolve, frozen
from numpy.typing import ArrayLike, NDArray

from .statistics import deviations_of_mean

Floats = NDArray[np.float64]

#: Degrees of freedom at which a spread that is small by luck hides how little is known of it: beside the error of a
#: calibration its freedom then counts for nothing. It is truly no less than the spread of shots, which is used instead.
_FEW: Final = 3


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
        shots = _sums(cell.reshape(-1), np.asarray(counts, dtype=np.int64), len(pairs))
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
        between = max(float(spread.variance[0]), floor)
        if spread.dof <= _FEW:
            between = max(between, variance)
        return first, between, between**2 / spread.dof


def _sums(index: NDArray[np.int64], counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    total = np.zeros(size, dtype=np.int64)  # not bincount, whose weights are floating-point numbers
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
