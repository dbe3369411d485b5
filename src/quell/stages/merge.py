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
from ..circuits.samples import Samples
from .base import Stage


@frozen(eq=False)
class Merged:
    """Bits per register with the twirl undone: uint8 ``(num_sets, shots, num_bytes)``, and their sizes."""

    bits: Mapping[str, NDArray[np.uint8]]
    num_bits: Mapping[str, int]

    def reduced(self, block: int = 1) -> Merged:
        """Return itself: merging has reduced the randomization axis."""
        return self


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
    """

    extra: int = 0

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
        """Undo flips and join the shots of each parameter set."""
        if not results:
            return Merged({}, {})
        merged: dict[str, NDArray[np.uint8]] = {}
        sizes = results[0].num_bits
        for name in results[0].bits:
            parts = [
                _shots_by_set(_unflipped(program, samples, name), samples.shots, residue.num_sets)
                for program, samples in zip(residue.programs, results, strict=True)
            ]
            rows = [np.concatenate(one_set) for one_set in zip(*parts, strict=True)]
            least = min(
                map(len, rows)
            )  # a device that dropped shots of one set must not make the array ragged
            merged[name] = np.stack([row[:least] for row in rows])
        return Merged(merged, sizes)

    def describe(self) -> str:
        """Return one line for the plan."""
        return "Merge"


def _unflipped(program: Program, samples: Samples, name: str) -> NDArray[np.uint8]:
    circuit = program.template.circuit
    register = next(r for r in circuit.cregs if r.name == name)
    place = {circuit.find_bit(bit).index: i for i, bit in enumerate(register)}
    flips = program.flips(0, program.num_members)
    width = 8 * samples.bits[name].shape[-1]
    mask = np.zeros((program.num_members, width), dtype=bool)
    for column, terminal in enumerate(program.template.terminals):
        if terminal.clbit in place:
            mask[:, width - 1 - place[terminal.clbit]] = flips[:, column]
    return samples.bits[name] ^ np.packbits(mask, axis=1)[:, None]


def _shots_by_set(
    bits: NDArray[np.uint8], shots: NDArray[np.int64], num_sets: int
) -> list[NDArray[np.uint8]]:
    """Return the valid shots of each parameter set, uint8 ``(shots, num_bytes)``."""
    by_set = bits.reshape(num_sets, -1, *bits.shape[1:])
    valid = shots.reshape(num_sets, -1)
    return [
        np.concatenate([m[:n] for m, n in zip(ms, ns, strict=True)])
        for ms, ns in zip(by_set, valid, strict=True)
    ]
