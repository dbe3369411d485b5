"""Confusion matrices: what readout makes of bits.

A confusion matrix C holds p(read | prepared), one column a prepared state; groups of bits that are misread together
have one each, and groups are independent of each other. Those that cannot be inverted are refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import ArrayLike, NDArray

from ..errors import CalibrationError, Problem

Floats = NDArray[np.float64]

#: How far a column may be from summing to one, and an entry from the range of probabilities.
_ROUNDING: Final = 1e-6
#: Least determinant of a matrix that is known exactly: its inverse multiplies errors by up to the reciprocal.
_SINGULAR: Final = 1e-3
#: A matrix must be this many of its standard errors away from being singular.
_SIGNIFICANT: Final = 3.0


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
        """
        seen = np.asarray(counts, dtype=np.float64)
        shots = seen.sum(axis=0)
        matrix = seen / np.where(shots > 0, shots, np.nan)
        return cls(tuple(bits), matrix, shots, name or _named(bits, "bit"))

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
        if not self.shots.all():
            rule = f"was never read in state {int(np.argmin(self.shots)):0{len(self.bits)}b}"
            yield Problem(self.name, rule, "calibrate again, with more shots (options.calibration.shots)")
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
        # Random errors of these variances change singular values by about as much as the norm of their matrix.
        variances = self._smoothed * (1 - self._smoothed) / self.shots
        spread = float(sum(np.sqrt(variances.sum(axis=axis).max()) for axis in (0, 1))) / 2
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
