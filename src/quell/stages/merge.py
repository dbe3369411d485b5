"""The sampler's crossing: twirled samples are unflipped and merged into one set of shots per parameter set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from ..circuits.ensemble import Ensemble
from ..circuits.gatesets import choose
from ..circuits.program import Program
from ..circuits.samples import Samples, unflipped
from ..kernels.confusion import Confusion
from .base import Stage
from .postselect import nothing_kept


@frozen(eq=False)
class Merged:
    """Bits per register with the twirl undone: uint8 ``(num_sets, shots, num_bytes)``, and their sizes.

    Kerneled measurements are points, complex128 ``(num_sets, shots, size)``, or ``(num_sets, size)`` where each is
    the average of `averaged` shots.

    Where shots were dropped, `kept` are those of each set that were not and `taken` those that the device returned,
    int64 ``(num_sets,)``; of the kept ones there are as many here as the set with the fewest has.

    Shots of one randomization are together: `members` has the number of each, int64 ``(num_sets, randomizations)``, of
    which `block` neighbours are not independent, and `flips` the classical bits that it inverted, bool
    ``(num_sets, randomizations, num_clbits)``. `confusions` say how classical bits are misread, None if that is not
    known.
    """

    bits: Mapping[str, NDArray[Any]]
    num_bits: Mapping[str, int]
    averaged: int | None = None
    kept: NDArray[np.int64] | None = None
    taken: NDArray[np.int64] | None = None
    members: NDArray[np.int64] | None = None
    flips: NDArray[np.bool_] | None = None
    block: int = 1
    confusions: tuple[Confusion, ...] | None = None

    def reduced(self, block: int = 1) -> Merged:
        """Return it with the block of the randomizations; merging has reduced their axis."""
        return evolve(self, block=block)


@frozen(eq=False)
class MergeResidue:
    """The programs that were run, for their flips, and the number of parameter sets."""

    programs: tuple[Program, ...]
    num_sets: int


@frozen
class Merge(Stage[Ensemble, Program, Samples, Merged]):
    """Run the parameter sets of an ensemble and merge their randomizations.

    Attributes:
        extra: How many of the first randomizations take one shot more, so that the total is exact.
        average: Whether samples are points that the device has averaged over the shots of each member.
    """

    extra: int = 0
    average: bool = False

    def expand(
        self, task: Ensemble, known: Mapping[Any, Any], rng: np.random.Generator
    ) -> tuple[Sequence[Program], MergeResidue]:
        """Make one program, or two where the shots do not divide evenly."""
        template = task.template
        num_sets = len(task.parameter_values)
        count = task.num_randomizations or 1
        whole = Program(
            template=template,
            parameter_values=task.parameter_values,
            parameter_sets=np.arange(num_sets),
            bases=np.zeros((num_sets, len(template.terminals)), dtype=np.uint8),
            shots=task.shots,
            gate_set=None,
            draws=task.draws,
            randomizations=(0, count),
        )
        if whole.touched.any():
            whole = whole.written_in(choose(template.written, task.target))
        parts = [
            evolve(whole, randomizations=(0, self.extra), shots=task.shots + 1),
            evolve(whole, randomizations=(self.extra, count)),
        ]
        programs = tuple(p for p in parts if p.num_members)
        return programs, MergeResidue(programs, num_sets)

    def combine(self, residue: MergeResidue, results: Sequence[Samples]) -> Merged:
        """Undo flips and join the shots of each parameter set.

        Raises:
            ExecutionError: Of some set all shots were dropped.
        """
        if not results:
            return Merged({}, {})
        if self.average:
            return _averaged(results, residue.num_sets)
        merged: dict[str, NDArray[Any]] = {}
        sizes = results[0].num_bits
        for name in results[0].bits:
            parts = [
                _shots_by_set(unflipped(program, samples, name), samples.shots, residue.num_sets)
                for program, samples in zip(residue.programs, results, strict=True)
            ]
            rows = [np.concatenate(one_set) for one_set in zip(*parts, strict=True)]
            least = min(
                map(len, rows)
            )  # a device that dropped shots of one set must not make the array ragged
            merged[name] = np.stack([row[:least] for row in rows])
        members, flips = _members(results, residue.num_sets), _flips(residue)
        if all(samples.taken is None for samples in results):
            return Merged(merged, sizes, members=members, flips=flips)
        kept, taken = (
            sum(_by_set(shots, residue.num_sets).sum(axis=1) for shots in counted)
            for counted in ([s.shots for s in results], [s.returned for s in results])
        )
        if not np.all(kept):
            empty = int(np.argmin(kept))
            raise nothing_kept(f"parameter set {empty}", int(taken[empty]))
        return Merged(merged, sizes, kept=kept, taken=taken, members=members, flips=flips)

    def describe(self, residue: Any = None) -> str:
        """Return one line for the plan."""
        return "Merge"


def _members(results: Sequence[Samples], num_sets: int) -> NDArray[np.int64]:
    """Return the shots of each randomization that are left when all sets have as many as the one with the fewest."""
    shots = np.concatenate([_by_set(s.shots, num_sets) for s in results], axis=1)
    ends = np.minimum(np.cumsum(shots, axis=1), shots.sum(axis=1).min())
    members: NDArray[np.int64] = np.diff(ends, axis=1, prepend=0)
    return members


def _flips(residue: MergeResidue) -> NDArray[np.bool_]:
    """Return the classical bits that each randomization inverted, bool ``(num_sets, randomizations, num_clbits)``."""
    template = residue.programs[0].template
    drawn = [_by_set(p.flips(0, p.num_members), residue.num_sets) for p in residue.programs]
    columns = np.concatenate(drawn, axis=1)
    flips = np.zeros((*columns.shape[:2], template.circuit.num_clbits), dtype=bool)
    flips[..., [terminal.clbit for terminal in template.terminals]] = columns
    return flips


def _averaged(results: Sequence[Samples], num_sets: int) -> Merged:
    """Return the mean over the shots of each parameter set: members count by how many they have."""
    shots = np.concatenate([_by_set(s.shots, num_sets) for s in results], axis=1)
    totals = shots.sum(axis=1, keepdims=True)
    weights = (shots / totals)[..., None]
    means: dict[str, NDArray[Any]] = {}
    for name in results[0].bits:
        points = np.concatenate([_by_set(s.bits[name][:, 0], num_sets) for s in results], axis=1)
        means[name] = (weights * points).sum(axis=1)
    return Merged(means, results[0].num_bits, averaged=int(totals.min()))


def _by_set(array: NDArray[Any], num_sets: int) -> NDArray[Any]:
    # Not -1 members: a register may have no bits.
    return array.reshape(num_sets, len(array) // num_sets, *array.shape[1:])


def _shots_by_set(bits: NDArray[Any], shots: NDArray[np.int64], num_sets: int) -> list[NDArray[Any]]:
    """Return the valid shots of each parameter set, ``(shots, num_bytes)`` or ``(shots, size)``."""
    by_set, valid = _by_set(bits, num_sets), _by_set(shots, num_sets)
    return [
        np.concatenate([m[:n] for m, n in zip(ms, ns, strict=True)])
        for ms, ns in zip(by_set, valid, strict=True)
    ]
