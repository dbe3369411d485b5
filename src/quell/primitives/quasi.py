"""Samples freed of readout errors: quasi-probabilities, and expectation values with honest error bars."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from numbers import Integral
from typing import Any, Final, Self

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray
from qiskit.primitives.containers.observables_array import ObservablesArrayLike

from ..errors import InputError, MissingDependencyError, Problem, UnsupportedError
from ..kernels.confusion import Confusion, check
from ..kernels.inverse import FULL_BITS, FULL_BITS_IN_GROUPS, expectations, full_inverse
from ..kernels.outcomes import Outcomes
from ..kernels.quasi import nearest_probabilities, reduced_inverse, whole_counts
from .counts import bit_strings, integers_of, read_counts
from .expectation import parse_observables

__all__ = ["QuasiDistribution"]

#: Distinct outcomes a shot from which on most have no neighbour that was read too, which M3 corrects them by.
MOSTLY_LONE: Final = 0.5
#: Most outcomes whose matrix is factorised for the sake of an estimate: mthree's own limit for solving so.
_FACTORISED: Final = 4096
#: Modules through which a mapping is looked into.
_BETWEEN: Final = ("_collections_abc", "collections.abc", "functools")
#: Outcomes that differ in more bits are not taken to be misread for each other: mthree's default.
_DISTANCE: Final = 3


@frozen(eq=False, repr=False)
class QuasiDistribution(Mapping[Any, float]):
    """A distribution of outcomes freed of readout errors; it sums to one, and some values may be negative.

    A mapping from outcomes, as bit strings or integers, to quasi-probabilities. It is solved when it is first looked
    into, by M3 (arXiv:2108.12518), in the space of the outcomes that were read. Expectation values and marginals do
    not need that. They are means over shots of the inverse of the confusion matrices, which is unbiased for any
    number of bits; M3 leaves a bias where many outcomes are read only once.

    Attributes:
        outcomes: What was read.
        confusions: How groups of bits are misread; bits in none are as they were read.
        registers: Bits of each register that the keys show, the first register rightmost.
        integers: Whether keys are integers.
        full: Whether all outcomes are there, by the inverse of the whole confusion matrix, instead of M3.
    """

    outcomes: Outcomes
    confusions: tuple[Confusion, ...]
    registers: tuple[tuple[int, ...], ...] = ()
    integers: bool = False
    full: bool = False

    def __attrs_post_init__(self) -> None:
        check(self.confusions)

    @classmethod
    def from_counts(
        cls,
        counts: Mapping[str | int, int],
        matrices: Sequence[ArrayLike | None] | Mapping[tuple[int, ...], ArrayLike],
        *,
        integers: bool = False,
    ) -> Self:
        """Return counts corrected with confusion matrices that are known.

        Example:
            >>> q = QuasiDistribution.from_counts({"0": 980, "1": 20}, [[[0.98, 0.05], [0.02, 0.95]]])
            >>> round(q.expectation_value("Z"), 6)
            1.0

        Args:
            counts: Shots by outcome: bit strings (spaces are ignored), hexadecimal strings or integers.
            matrices: A matrix ``[read, prepared]`` for each bit, bit 0 (rightmost) first, None for bits that are not
                corrected; or for groups of bits, the first of a group the least significant one of its states. Known
                exactly: only the shots have errors.
            integers: Whether the keys of the distribution are integers.

        Raises:
            InputError: Listing malformed outcomes and counts.
            CalibrationError: Listing matrices that are none, singular, or of bits that are read the wrong way round.
        """
        groups, bits, shots = read_counts(counts, matrices)
        width = bits.shape[1]
        confusions = [Confusion.of(group, matrix) for group, matrix in groups.items()]
        none = np.zeros((1, width), dtype=bool)
        outcomes = Outcomes.grouped(bits, np.zeros(len(bits), dtype=np.int64), shots, none)
        return cls(outcomes, tuple(confusions), (tuple(range(width)),), integers)

    # --- a mapping -------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> float:
        return self._values[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        kind = "all" if self.full else "read"
        return f"<{type(self).__name__} of {self.num_bits} bits, {self.shots} shots, {kind} outcomes>"

    # --- what it is made from --------------------------------------------------------------------------

    @property
    def num_bits(self) -> int:
        """Bits of an outcome."""
        return sum(map(len, self.registers))

    @property
    def shots(self) -> int:
        """Shots behind it."""
        return self.outcomes.num_shots

    @property
    def unique_fraction(self) -> float:
        """Distinct outcomes a shot: M3 corrects little where this is near one."""
        return len(self.outcomes.bits) / self.shots

    @property
    def method(self) -> str:
        """How quasi-probabilities are found: "M3" or "inverse"."""
        return "inverse" if self.full else "M3"

    # --- what it says ----------------------------------------------------------------------------------

    def expectation_value(self, observable: Any) -> float:
        """Return the expectation value of a diagonal observable; see `expectation_values`."""
        return self._one(observable)[0]

    def stddev(self, observable: Any = None) -> float:
        """Return the standard error of an expectation value, or a bound for those of all observables.

        Args:
            observable: A diagonal observable with values between -1 and 1; a bit string is the projector on an
                outcome, so that its error bar is that of a probability. None for the bound that M3 gives without
                knowing the observable, ``sqrt(mitigation_overhead / shots)``.
        """
        if observable is None:
            return math.sqrt(self.mitigation_overhead / self.shots)
        return self._one(observable)[1]

    def _one(self, observable: Any) -> tuple[float, float]:
        values, errors = self.expectation_values(observable)
        if values.shape:
            rule = f"must be one, has shape {values.shape}"
            raise InputError.of([Problem("observable", rule, "expectation_values() takes several")])
        return float(values), float(errors)

    def expectation_values(
        self, observables: ObservablesArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return expectation values of diagonal observables and their standard errors.

        Shots, the spread between randomizations, and the uncertainty of the confusion matrices are in the errors.

        Args:
            observables: One or an array of strings, `Pauli`, `SparsePauliOp`, `SparseObservable` or mappings from
                labels to coefficients, with letters I, Z, 0 and 1 (rightmost: bit 0), over all bits of the outcomes.

        Returns:
            Two float64 arrays of the shape of `observables`.

        Raises:
            InputError: Observables are not diagonal, or not of as many bits.
        """
        shape, codes, matrix = parse_observables(observables, self.num_bits)
        everywhere = np.zeros((len(codes), self.outcomes.bits.shape[1]), dtype=np.uint8)
        everywhere[:, list(self._shown)] = codes
        values, errors = expectations(self.outcomes, self.confusions, everywhere, matrix)
        return values.reshape(shape), errors.reshape(shape)

    def marginal(self, bits: Sequence[int]) -> Self:
        """Return the distribution of some bits, in this order, bit 0 being the rightmost of the keys.

        For at most 16 bits, with the others of their groups at most 22, all their outcomes are there, by the inverse of
        the whole confusion matrix.
        """
        chosen = list(bits) if isinstance(bits, Iterable) else []
        known = all(_is_integer(bit) and 0 <= bit < self.num_bits for bit in chosen)
        if not chosen or not known or len(set(chosen)) < len(chosen):
            rule = f"must be different bits from 0 to {self.num_bits - 1}, at least one (got {bits!r})"
            raise InputError.of([Problem("bits", rule, "write marginal([0, 1])")])
        return self.of(
            self.outcomes,
            self.confusions,
            (tuple(self._shown[bit] for bit in chosen),),
            self.integers,
            marginal=True,
        )

    def nearest_probability_distribution(self) -> dict[Any, float]:
        """Return the probabilities nearest to it in the Euclidean norm (arXiv:1106.5458)."""
        keys = list(self._values)
        nearest = nearest_probabilities(np.array([self._values[key] for key in keys]))
        return {key: p for key, p in zip(keys, nearest.tolist(), strict=True) if p > 0}

    def nearest_counts(self) -> dict[Any, int]:
        """Return non-negative integers that sum to the shots, nearest to the nearest probabilities."""
        nearest = self.nearest_probability_distribution()
        counts = whole_counts(np.array(list(nearest.values())), self.shots)
        return {key: n for key, n in zip(nearest, counts.tolist(), strict=True) if n}

    @cached_property
    def mitigation_overhead(self) -> float:
        """By how much the correction multiplies the variance at most: the square of the inverse matrix's 1-norm.

        Estimated in the space of the outcomes, for M3 on single bits and at most 4096 outcomes; else a product over
        groups, which is exact for the whole matrix.
        """
        if self.full or not self._single or len(self.outcomes.bits) > _FACTORISED:
            norms = [np.abs(c.inverse).sum(axis=0).max() for c in self._seen]
            return float(np.prod(norms)) ** 2
        return float(self._m3(overhead=True).mitigation_overhead)

    # --- solving ---------------------------------------------------------------------------------------

    @classmethod
    def of(
        cls,
        outcomes: Outcomes,
        confusions: Sequence[Confusion],
        registers: Sequence[Sequence[int]],
        integers: bool = False,
        *,
        marginal: bool = False,
    ) -> Self:
        """Return the distribution of some bits; others of the groups they are in are kept besides them.

        Args:
            outcomes: What was read, of all bits.
            confusions: How they are misread.
            registers: The bits of each register to show.
            integers: Whether keys are integers.
            marginal: Whether all outcomes shall be there, if there are not too many.
        """
        shown = [bit for register in registers for bit in register]
        own = [c for c in confusions if not set(c.bits).isdisjoint(shown)]
        partners = sorted({bit for c in own for bit in c.bits} - set(shown))
        column = {bit: i for i, bit in enumerate([*shown, *partners])}
        columns = tuple(tuple(column[bit] for bit in register) for register in registers)
        return cls(
            outcomes.columns(list(column)),
            tuple(c.moved(column) for c in own),
            columns,
            integers,
            marginal and len(shown) <= FULL_BITS and len(column) <= FULL_BITS_IN_GROUPS,
        )

    @property
    def _shown(self) -> tuple[int, ...]:
        return tuple(bit for register in self.registers for bit in register)

    @property
    def _single(self) -> bool:
        """Whether all bits are misread one by one, which is what mthree knows."""
        return all(len(confusion.bits) == 1 for confusion in self.confusions)

    @cached_property
    def _seen(self) -> tuple[Confusion, ...]:
        """The matrices of merged shots: those that were inverted before and after see them from the other side."""
        flips, members = self.outcomes.flips, self.outcomes.members
        if not flips.any():
            return self.confusions
        return tuple(confusion.twirled(flips, members) for confusion in self.confusions)

    @cached_property
    def _values(self) -> dict[Any, float]:
        """The quasi-probabilities by key."""
        bits = self.outcomes.bits
        width = bits.shape[1]
        if self.full:
            values = full_inverse(self.outcomes, self._seen)
            bits = (np.arange(2**width)[:, None] >> np.arange(width) & 1).astype(np.uint8)
        else:
            self._warn_of_lone_outcomes()
            if self._single:
                solved = self._m3()
                values = np.array(
                    [solved[key] for key in bit_strings(bits, (tuple(range(width)),))], dtype=float
                )
            else:
                values = reduced_inverse(self.outcomes, self._seen, min(width, _DISTANCE))
        if not np.isfinite(values).all():
            rule = "could not be corrected: the confusion matrices leave no finite solution"
            raise UnsupportedError.of([Problem("samples", rule, "calibrate again, or use marginal()")])
        keys = integers_of(bits, self._shown) if self.integers else bit_strings(bits, self.registers)
        found: dict[Any, float] = {}
        for key, value in zip(keys, values.tolist(), strict=True):
            found[key] = found.get(key, 0.0) + value
        return found

    def _warn_of_lone_outcomes(self) -> None:
        fraction = self.unique_fraction
        if self.confusions and self.shots > 1 and fraction > MOSTLY_LONE:
            warnings.warn(
                f"{len(self.outcomes.bits)} of {self.shots} shots have distinct outcomes ({fraction:.0%}): M3 corrects "
                "outcomes by those near them that were read too, and leaves most of the readout errors here. "
                "expectation_value() and marginal() are free of them; more shots or fewer bits help M3",
                UserWarning,
                stacklevel=level_of_caller(),
            )

    def _m3(self, *, overhead: bool = False) -> Any:
        """Return what mthree makes of the outcomes, by bit string; its defaults for method and tolerance."""
        try:
            from mthree import M3Mitigation
            from mthree.exceptions import M3Error
        except ImportError as error:  # pragma: no cover - it is a dependency, but may be broken
            raise MissingDependencyError("M3 needs mthree; python -m pip install mthree") from error
        width = self.outcomes.bits.shape[1]
        matrices = [np.eye(2)] * width
        for confusion in self._seen:
            matrices[confusion.bits[0]] = confusion.matrix
        solver = M3Mitigation()
        solver.cals_from_matrices(matrices)
        keys = bit_strings(self.outcomes.bits, (tuple(range(width)),))
        counts = dict(zip(keys, self.outcomes.totals.tolist(), strict=True))
        try:
            return solver.apply_correction(counts, list(range(width)), return_mitigation_overhead=overhead)
        except M3Error as error:
            rule = f"could not be corrected ({error})"
            raise UnsupportedError.of(
                [Problem("samples", rule, "use expectation_value() or marginal()")]
            ) from error


def level_of_caller() -> int:
    """Return the stack level of who looked into a distribution: of the first frame that is not on the way there."""
    frame, level = inspect.currentframe(), 0
    while frame is not None:
        name, path = frame.f_globals.get("__name__", ""), frame.f_code.co_filename
        if not (name.startswith("quell.") or name in _BETWEEN or path.startswith("<attrs")):
            break
        frame, level = frame.f_back, level + 1
    return level


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
