"""The twirling stage: random frames on an ensemble, and the spread between randomizations as the error bar.

How frames are drawn is in `circuits.twirling`. A random stage adds the randomization axis if it is absent,
and whoever added it reduces it; stages outside that draw too share the axis without knowing this one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import evolve, frozen

from ..circuits.ensemble import Ensemble
from ..circuits.twirling import Group, Strategy, draws_of, measure_block, twirled_template
from .base import Stage
from .estimate import Estimate


@frozen
class TwirlResidue:
    """Whether the stage added the randomization axis, and how many neighbours on it belong together."""

    owner: bool
    block: int


@frozen
class Twirl(Stage[Ensemble, Ensemble, Estimate, Estimate]):
    """Twirl gates and measurements of an ensemble.

    Attributes:
        gates: Twirl two-qubit gates.
        measure: Twirl terminal measurements.
        num_randomizations: Length of the randomization axis where this stage adds it.
        shots_per_randomization: Shots of each member then, times the ensemble's share.
        strategy: Which waiting qubits are twirled with the gates, see `twirled_template`.
        group: Group the gates are twirled over.
    """

    gates: bool
    measure: bool
    num_randomizations: int
    shots_per_randomization: int
    strategy: Strategy = "active-accum"
    group: Group = "pauli"

    def expand(
        self, task: Ensemble, known: Mapping[Any, Any], rng: np.random.Generator
    ) -> tuple[Sequence[Ensemble], TwirlResidue]:
        """Add frames to the ensemble, and the randomization axis if it has none."""
        owner = task.num_randomizations is None
        # Whoever else reduces the axis does not know of pairs.
        paired = self.num_randomizations if owner and self.measure else 1
        block = measure_block(paired, self.group == "balanced_pauli")
        template = task.template
        if self.gates:
            template = twirled_template(template, self.strategy, cliffords=self.group == "local_c1")
        child = evolve(
            task,
            template=template,
            draws=task.draws
            + draws_of(rng, gates=self.gates, measure=self.measure, group=self.group, block=block),
            num_randomizations=self.num_randomizations if owner else task.num_randomizations,
            shots=math.ceil(self.shots_per_randomization * task.share - 1e-9) if owner else task.shots,
        )
        return [child], TwirlResidue(owner, block)

    def combine(self, residue: TwirlResidue, results: Sequence[Estimate]) -> Estimate:
        """Reduce the randomization axis if this stage added it; the spread is the error bar."""
        return results[0].reduced(residue.block) if residue.owner else results[0]

    def describe(self, residue: TwirlResidue | None = None) -> str:
        """Return one line for the plan."""
        what = " and ".join(n for n, on in (("gates", self.gates), ("measurements", self.measure)) if on)
        where = f"{self.strategy}, {self.group}" if self.gates else ""
        size = f"{self.num_randomizations} x {self.shots_per_randomization} shots"
        shared = residue is not None and not residue.owner  # then whoever added the axis says how long it is
        parts = [part for part in ("" if shared else size, where) if part]
        return f"Twirl {what}" + (f": {', '.join(parts)}" if parts else "")
