"""Readout correction of samples (M3, arXiv:2108.12518): merged samples get the confusion matrices of their bits.

The correction itself is made of the merged shots when somebody asks for it: one linear system for each PUB element,
in the space of its outcomes, or the inverse of the whole matrix shot by shot for expectation values. The stage sits
above the merge, so twirled samples are unflipped and joined first, and their matrices made symmetric.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import evolve, frozen

from ..calibration.confusion import ReadoutConfusion, ReadoutCounts
from ..circuits.ensemble import Ensemble
from .base import Stage
from .merge import Merged


@frozen
class M3(Stage[Ensemble, Any, Any, Merged]):
    """Learn how the measured bits are misread.

    Attributes:
        shots: Shots of the calibration.
        groups: Qubits that are calibrated together.
        excluded: Registers whose bits are not corrected.
    """

    shots: int
    groups: tuple[tuple[int, ...], ...] = ()
    excluded: tuple[str, ...] = ()

    def _bits(self, task: Ensemble) -> dict[int, int]:
        """Return the classical bit of each qubit whose measurement is corrected.

        Only of final measurements is it known what they are taken for; bits measured on the way stay as they are.
        """
        circuit = task.template.circuit
        left_out = {
            circuit.find_bit(bit).index for r in circuit.cregs if r.name in self.excluded for bit in r
        }
        return {t.qubit: t.clbit for t in task.template.terminals if t.clbit not in left_out}

    def requires(self, task: Ensemble) -> Iterable[ReadoutConfusion]:
        """Return the readout of the measured qubits."""
        bits = self._bits(task)
        if not bits:
            return ()
        return (
            ReadoutConfusion(
                task.template.num_qubits,
                tuple(sorted(bits)),
                self.groups,
                self.shots,
                task.target,
            ),
        )

    def expand(
        self, task: Ensemble, known: Mapping[Any, Any], rng: np.random.Generator
    ) -> tuple[Sequence[Any], dict[int, int]]:
        """Ask for the readout of the measured qubits."""
        return [task, *(known[requirement] for requirement in self.requires(task))], self._bits(task)

    def combine(self, residue: dict[int, int], results: Sequence[Any]) -> Merged:
        """Add the confusion matrices of the bits."""
        merged: Merged = results[0]
        if len(results) == 1:
            return evolve(merged, confusions=())
        learned: ReadoutCounts = results[1]
        return evolve(merged, confusions=learned.confusions(residue))

    def describe(self, residue: Any = None) -> str:
        """Return one line for the plan."""
        return "M3: confusion matrices of the measured bits"
