"""Readout errors with known truth: asymmetric flips of each qubit, and error patterns that act on several."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, Problem

Floats = NDArray[np.float64]


def _flips(values: ArrayLike) -> Floats:
    array = np.array(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 2 or not ((array >= 0) & (array <= 1)).all():
        rule = f"must be probabilities of shape (num_qubits, 2), has shape {array.shape}"
        raise InputError.of([Problem("flips", rule)])
    array.flags.writeable = False
    return array


@frozen(eq=False)
class ReadoutModel:
    """How measured bits go wrong: first each bit by itself, depending on its value, then in patterns.

    Attributes:
        flips: float64 ``(num_qubits, 2)``: p(read 1 | was 0) and p(read 0 | was 1).
        patterns: Pairs of qubits ``(k,)`` and probabilities ``(2^k,)``: pattern e, whose bit i is the i-th of
            the qubits, is XORed onto the bits with the e-th probability.
    """

    flips: Floats = field(converter=_flips)
    patterns: tuple[tuple[tuple[int, ...], Floats], ...] = ()

    @classmethod
    def uniform(cls, num_qubits: int, p1_given_0: float, p0_given_1: float | None = None) -> Self:
        """Return equal independent flips for all qubits, symmetric unless both probabilities are given."""
        return cls([[p1_given_0, p1_given_0 if p0_given_1 is None else p0_given_1]] * num_qubits)

    def with_pattern(self, qubits: Iterable[int], probabilities: ArrayLike) -> Self:
        """Return the model with one more error pattern; its probabilities are in the order of the class's text."""
        chosen, weights = tuple(map(int, qubits)), np.array(probabilities, dtype=np.float64)
        if weights.shape != (2 ** len(chosen),) or (weights < 0).any() or abs(weights.sum() - 1) > 1e-9:
            rule = f"must be {2 ** len(chosen)} probabilities that sum to one"
            raise InputError.of([Problem("probabilities", rule)])
        weights.flags.writeable = False
        return evolve(self, patterns=(*self.patterns, (chosen, weights)))

    def with_pair_flip(self, first: int, second: int, probability: float) -> Self:
        """Return the model with a chance that two qubits flip together."""
        return self.with_pattern((first, second), [1 - probability, 0, 0, probability])

    def corrupt(
        self, bits: NDArray[np.bool_], qubits: Iterable[int], rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Return what is read instead of `bits`.

        Args:
            bits: bool ``(..., k)``, any number of shots.
            qubits: The measured qubit of each of the k columns.
            rng: Source of randomness.
        """
        order = list(qubits)
        if order and max(order) >= len(self.flips):
            rule = f"knows {len(self.flips)} qubits, qubit {max(order)} was measured"
            raise InputError.of([Problem("readout", rule)])
        chances = self.flips[order].astype(np.float32)
        uniform = rng.random(bits.shape, dtype=np.float32)
        bits = bits ^ (uniform < np.where(bits, chances[:, 1], chances[:, 0]))
        column = {qubit: i for i, qubit in enumerate(order)}
        for chosen, probabilities in self.patterns:
            if not any(q in column for q in chosen):
                continue
            pattern = np.searchsorted(
                np.cumsum(probabilities)[:-1], rng.random(bits.shape[:-1]), side="right"
            )
            for i, qubit in enumerate(chosen):
                if qubit in column:
                    bits[..., column[qubit]] ^= (pattern >> i & 1).astype(bool)
        return bits

    def damping(self, qubits: Iterable[int]) -> float:
        """Return the factor of the parity of some qubits once measurements are twirled: what TREX must find."""
        support = set(qubits)
        factor = float(np.prod([1 - self.flips[q].sum() for q in support]))
        for chosen, probabilities in self.patterns:
            mask = sum(1 << i for i, q in enumerate(chosen) if q in support)
            odd = np.bitwise_count(np.arange(len(probabilities)) & mask) & 1
            factor *= float(probabilities @ (1.0 - 2.0 * odd))
        return factor
