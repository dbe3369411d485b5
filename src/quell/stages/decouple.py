"""Dynamical decoupling as a stage: pulses where qubits wait, on one schedule for all members of a program.

It is the innermost stage, because the schedule is that of the circuit as it is run: folded, twirled and with
its basis changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from attrs import evolve, field, frozen
from qiskit.circuit import CircuitInstruction
from qiskit.transpiler import Target

from ..circuits.decoupling import Decoupling, decoupling_problems
from ..circuits.gatesets import Kind
from ..circuits.parametric import ParametricForm
from ..circuits.program import Program
from ..circuits.render import emit
from ..circuits.samples import Samples
from ..circuits.scheduling import Durations, Outline, Step, outline_of
from ..errors import UnsupportedError
from .base import Stage

#: What the parametric form writes touched dressings in.
_KINDS: Final[tuple[Kind, ...]] = ("half", "full")


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
        if decoupling_problems(_outline(task), self.decoupling, self.target, task.label):
            written = ParametricForm(evolve(task, decoupling=None)).circuit
            UnsupportedError.check(decoupling_problems(written, self.decoupling, self.target, task.label))
        return [evolve(task, decoupling=self.decoupling, target=self.target)], None

    def combine(self, residue: None, results: Sequence[Samples]) -> Samples:
        """Return the samples as they are."""
        return results[0]

    def describe(self, residue: Any = None) -> str:
        """Return one line for the plan."""
        skipped = ", ground state left alone" if self.skip_reset_qubits else ""
        return f"Decouple waiting qubits: {self.sequence_type}, {self.scheduling_method}{skipped}"


def _outline(program: Program) -> Outline:
    """Return what a program is written in, and perhaps more: all gates that a touched dressing may have.

    Writing the program costs many times as much, so it is written only where this already has problems.
    """
    template, touched = program.template, set(map(int, program.touched_indices))

    def parts() -> Iterator[CircuitInstruction | Step]:
        for part in emit(template, template.circuit.data, touched):
            if not isinstance(part, int):
                yield part
                continue
            assert program.gate_set is not None  # stages check this before they touch a dressing
            qubits = (template.dressings[part].qubit,)
            names = {gate.name for kind in _KINDS for gate in program.gate_set.form(kind)}
            yield from (Step(name, qubits) for name in names)

    return outline_of(template.circuit, parts())
