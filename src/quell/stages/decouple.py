"""Dynamical decoupling as a stage: pulses where qubits wait, on one schedule for all members of a program.

It is the innermost stage, because the schedule is that of the circuit as it is run: folded, twirled and with
its basis changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import evolve, field, frozen
from qiskit.transpiler import Target

from ..circuits.decoupling import Decoupling, decoupling_problems
from ..circuits.parametric import ParametricForm
from ..circuits.program import Program
from ..circuits.samples import Samples
from ..circuits.scheduling import Durations
from ..errors import UnsupportedError
from .base import Stage


@frozen
class Decouple(Stage[Program, Program, Samples, Samples]):
    """Decouple qubits that wait.

    Attributes:
        sequence_type: "XX", "XpXm", "XY4" or "staggered".
        extra_slack_distribution: Where the time goes that the grid of the device leaves over: into the
            "middle" space or to the "edges".
        scheduling_method: "alap" or "asap".
        skip_reset_qubits: Whether qubits in their ground state are left alone.
        instruction_durations: Seconds of gates, by name and qubits (None: any); win over the target's.
        target: The device, None if nothing is known of it.
    """

    sequence_type: str = "XX"
    extra_slack_distribution: str = "middle"
    scheduling_method: str = "alap"
    skip_reset_qubits: bool = True
    instruction_durations: Durations | None = None
    target: Target | None = field(eq=False, default=None, repr=False)

    @property
    def decoupling(self) -> Decoupling:
        """The settings."""
        return Decoupling(
            self.sequence_type,
            self.extra_slack_distribution,
            self.scheduling_method,
            self.skip_reset_qubits,
            self.instruction_durations,
        )

    def expand(
        self, task: Program, known: Mapping[Any, Any], rng: np.random.Generator
    ) -> tuple[Sequence[Program], None]:
        """Have the program decoupled.

        Raises:
            UnsupportedError: It cannot be scheduled, or the device has no gates for the pulses.
        """
        written = ParametricForm(evolve(task, decoupling=None)).circuit
        UnsupportedError.check(decoupling_problems(written, self.decoupling, self.target, task.label))
        return [evolve(task, decoupling=self.decoupling, target=self.target)], None

    def combine(self, residue: None, results: Sequence[Samples]) -> Samples:
        """Return the samples as they are."""
        return results[0]

    def describe(self) -> str:
        """Return one line for the plan."""
        skipped = ", ground state left alone" if self.skip_reset_qubits else ""
        return f"Decouple waiting qubits: {self.sequence_type}, {self.scheduling_method}{skipped}"
