"""Pauli errors put into circuits at random: the inverse of a noise (PEC), or more of it (PEA).

What is inserted is drawn from one Pauli-Lindblad map (arXiv:2201.09866) by Qiskit's own sampler. The map's qubits are
the dressings of a template: a Pauli on one of them stands behind that dressing, before the layer whose noise it cancels
or amplifies. Behind them come *flags*, qubits of no circuit: every generator turns one of them too, so a sample says
not only what is inserted but which generators did it, and each term can have a sign of its own, that of the errors that
can change it.

Rates below zero stand for noise that is taken away: their samples carry a sign each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from qiskit.quantum_info import PauliLindbladMap

from ..kernels import draws
from .program import Frames
from .template import Template

#: Randomizations that are sampled together; any slice of them is drawn from whole runs of this length.
_RUN: Final = 64
#: Our Pauli code (bit 0 X, bit 1 Z) of what `QubitSparsePauliList` writes (bit 0 Z, bit 1 X), and of its letters.
_CODE_OF_BITS: Final = np.array([0, 2, 1, 3], dtype=np.uint8)
_CODE_OF_LETTER: Final = {"X": 1, "Z": 2, "Y": 3}
LETTER_OF_CODE: Final = ("I", "X", "Z", "Y")
#: Least randomizations of each sign where signs are not left to chance, but no more than one in six: two would do, but
#: say little of their spread, and many take from the other sign.
_LEAST_OF_A_SIGN: Final = 12
_MOST_PART: Final = 6
#: Randomizations from which on signs are not left to chance.
_LEAST_DECIDED: Final = 8
#: Signs that are rarer are left to chance: to draw one takes so many samples.
_RAREST: Final = 1e-3


@frozen(eq=False)
class Injection:
    """Pauli errors behind dressings; plain data (see `Draw`).

    Attributes:
        key: Names the samples; maps whose rates are multiples of each other draw nested errors from one key.
        noise: Pauli-Lindblad map on `num_dressings` qubits and the flags behind them.
        num_dressings: Of the template.
        membership: Which flags count for the sign of each term, bool ``(num_flags, num_terms)``.
        num_members: Randomizations of which the overall sign is decided beforehand; 0 to leave it to chance.
    """

    key: draws.Key
    noise: PauliLindbladMap = field(repr=False)
    num_dressings: int
    membership: NDArray[np.bool_] = field(repr=False)
    num_members: int = 0

    @cached_property
    def odd_share(self) -> float:
        """Probability that a sample has the sign -1."""
        rates = np.asarray(self.noise.rates)
        return float(-np.expm1(2 * rates[rates < 0].sum()) / 2)

    @property
    def num_odd(self) -> int | None:
        """How many randomizations have the overall sign -1, None if chance decides.

        As many as are expected, but a few at least of either sign: the two kinds are weighted by their probabilities.
        """
        if self.num_members < _LEAST_DECIDED or self.odd_share < _RAREST:
            return None
        least = min(_LEAST_OF_A_SIGN, max(2, self.num_members // _MOST_PART))
        return int(np.clip(round(self.num_members * self.odd_share), least, self.num_members - least))

    @cached_property
    def _touched(self) -> NDArray[np.int64]:
        """The dressings that some error may stand behind, ascending."""
        sites = {q for _, qubits, _ in self.noise.to_sparse_list() for q in qubits if q < self.num_dressings}
        return np.array(sorted(sites), dtype=np.int64)

    def touched(self, template: Template) -> NDArray[np.bool_]:
        """Return the dressings that some error may stand behind, bool ``(num_dressings,)``."""
        touched = np.zeros(self.num_dressings, dtype=bool)
        touched[self._touched] = True
        return touched

    def frames(self, template: Template, setting: int, start: int, stop: int) -> Frames:
        """Return the errors of some randomizations of a setting as frames behind dressings."""
        errors = self._samples(setting, start, stop)[0][:, : self.num_dressings]
        return Frames(np.zeros_like(errors), errors)

    def flips(self, template: Template, setting: int, start: int, stop: int) -> None:
        """Return None: what errors do to a measurement is meant."""

    def signs(self, setting: int, start: int, stop: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which signs are -1 in some randomizations of a setting.

        Returns:
            terms: The sign of each term, bool ``(stop - start, num_terms)``.
            overall: The sign of all errors together, bool ``(stop - start,)``.
        """
        samples, odd = self._samples(setting, start, stop)
        flags = (samples[:, self.num_dressings :] != 0).astype(np.float32)
        # Sums of at most so many ones are exact in single precision.
        assert flags.shape[1] < 2**24
        return (flags @ self.membership.astype(np.float32)) % 2 == 1, odd

    # --- sampling ---------------------------------------------------------------------------

    def _samples(self, setting: int, start: int, stop: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return Pauli codes on dressings and flags, and whether the overall sign is -1, of randomizations."""
        if stop <= start:
            width = self.noise.num_qubits
            return np.zeros((0, width), dtype=np.uint8), np.zeros(0, dtype=bool)
        parts = [_run_of(self, setting, run) for run in range(start // _RUN, -(-stop // _RUN))]
        rows = slice(start % _RUN, start % _RUN + stop - start)
        return np.concatenate([p for p, _ in parts])[rows], np.concatenate([o for _, o in parts])[rows]

    def _run(self, setting: int, run: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Sample one run of randomizations."""
        seeds = self._seeds(setting, run)
        if self.num_odd is None:
            return _sampled(self.noise, _RUN, next(seeds))
        # Spread evenly: where the running total passes the next integer.
        total = np.arange(run * _RUN, (run + 1) * _RUN + 1) * self.num_odd // self.num_members
        pattern = np.diff(total) > 0
        codes = np.empty((_RUN, self.noise.num_qubits), dtype=np.uint8)
        left = [np.flatnonzero(~pattern), np.flatnonzero(pattern)]
        shares = 1 - self.odd_share, self.odd_share
        while len(left[0]) or len(left[1]):
            batch = max(len(places) / share for places, share in zip(left, shares, strict=True))
            sample, odd = _sampled(self.noise, min(_MOST, math.ceil(batch) + 2), next(seeds))
            for sign in (False, True):
                fitting = np.flatnonzero(odd == sign)[: len(left[sign])]
                codes[left[sign][: len(fitting)]] = sample[fitting]
                left[sign] = left[sign][len(fitting) :]
        return codes, pattern

    def _seeds(self, setting: int, run: int) -> Iterator[int]:
        stream = draws.octets(self.key, setting, run, run + 1, 8)
        first = int.from_bytes(stream.tobytes(), "little") >> 1
        yield first
        generator = np.random.default_rng(first)
        while True:
            yield int(generator.integers(2**63))


#: Most samples that are drawn at a time.
_MOST: Final = 4096
#: Runs that are kept: members are rendered a few at a time, often fewer than a run has.
_KEPT: Final = 4


@lru_cache(maxsize=_KEPT)
def _run_of(errors: Injection, setting: int, run: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return one run of randomizations, as it was drawn when it was first asked for; not to be written to."""
    return errors._run(setting, run)


def _sampled(noise: PauliLindbladMap, count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return Pauli codes ``(count, num_qubits)`` and whether the sign is -1, bool ``(count,)``."""
    signs, paulis = noise.signed_sample(count, seed)
    if hasattr(paulis, "to_dense_array"):
        codes = _CODE_OF_BITS[paulis.to_dense_array()]
    else:  # before qiskit 2.2
        codes = np.zeros((count, noise.num_qubits), dtype=np.uint8)
        for row, (letters, qubits) in enumerate(paulis.to_sparse_list()):
            codes[row, qubits] = [_CODE_OF_LETTER[letter] for letter in letters]
    return codes, ~np.asarray(signs, dtype=bool)


def injection(
    key: draws.Key,
    num_dressings: int,
    generators: list[tuple[str, list[int], float]],
    relevant: NDArray[np.bool_],
    *,
    num_members: int = 0,
) -> Injection:
    """Return the injection of errors by generators.

    Args:
        key: Names the samples.
        num_dressings: Of the template.
        generators: Letters of the Paulis, the dressings they stand behind, and the rate; below zero for an inverse.
        relevant: Which terms each of them can change, bool ``(num_generators, num_terms)``.
        num_members: See `Injection`.
    """
    if not generators:
        noise = PauliLindbladMap.identity(num_dressings)
        return Injection(key, noise, num_dressings, np.zeros((0, relevant.shape[1]), dtype=bool), num_members)
    # Generators that change the same terms share a flag.
    packed = np.packbits(relevant, axis=1)
    _, first, flag = np.unique(_as_items(packed), return_index=True, return_inverse=True)
    membership = relevant[first]
    flagged = [
        (letters + "X", [*dressings, num_dressings + int(f)], rate)
        for (letters, dressings, rate), f in zip(generators, flag, strict=True)
    ]
    noise = PauliLindbladMap.from_sparse_list(flagged, num_qubits=num_dressings + len(membership))
    return Injection(key, noise, num_dressings, membership, num_members)


def _as_items(rows: NDArray[np.uint8]) -> NDArray[np.void]:
    """Return each row as one item, which compares as its bytes do."""
    return np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1])))[:, 0]
