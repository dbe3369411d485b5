"""Programs: what one leaf of a plan asks of the sampler, rendered chunk by chunk.

A program is a template, the draws that randomise it, and the settings it is measured in. Its members are
numbered setting by setting, randomization by randomization; each can be rendered alone. Frames (a byte per
dressing) and angles (24 bytes per dressing) exist only for the chunk being submitted, so memory does not
grow with the number of randomizations. `render` writes members as circuits.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Protocol

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from qiskit.transpiler import Target

from ..kernels import angles, paulis
from .decoupling import Decoupling
from .dressings import canonical
from .gatesets import GateSet
from .template import Template

Floats = NDArray[np.float64]
#: Quaternions that rotate the basis 0 none, 1 X, 2 Y, 3 Z onto Z: identity, H, H S^dagger, identity.
_TO_Z = np.stack(
    [
        paulis.QUATERNIONS[0],
        angles.quaternions_of_matrices(np.array([[1, 1], [1, -1]]) / np.sqrt(2)),
        angles.quaternions_of_matrices(np.array([[1, -1j], [1, 1j]]) / np.sqrt(2)),
        paulis.QUATERNIONS[0],
    ]
)


@frozen(eq=False)
class Frames:
    """Frame codes around every dressing: `before` and `after` it, uint8 ``(members, num_dressings)``."""

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]

    def then(self, inner: Frames) -> Frames:
        """Compose with the frames of an inner stage, which sit closer to the operations."""
        return Frames(
            before=paulis.multiply(self.before, inner.before), after=paulis.multiply(inner.after, self.after)
        )


class Draw(Protocol):
    """A random choice of frames, kept as a key; plain data."""

    def touched(self, template: Template) -> NDArray[np.bool_]:
        """Return which dressings this draw may change, bool ``(num_dressings,)``."""

    def frames(self, template: Template, setting: int, start: int, stop: int) -> Frames:
        """Return the frames of randomizations ``start`` to ``stop`` of a setting."""

    def flips(self, template: Template, setting: int, start: int, stop: int) -> NDArray[np.bool_] | None:
        """Return which terminal measurements are inverted, bool ``(members, num_terminals)``, or None."""


@frozen(eq=False)
class Program:
    """Members to run with the same number of shots; see the module's text.

    Attributes:
        template: The circuit, measurements included.
        parameter_values: float64 ``(num_sets, num_parameters)`` in the order of ``circuit.parameters``.
        parameter_sets: int64 ``(num_settings,)``.
        bases: uint8 ``(num_settings, num_terminals)``: basis of each terminal measurement (1 X, 2 Y, else Z).
        shots: Shots of each member.
        gate_set: Gates that touched dressings are written in; None only where none is touched.
        draws: Outermost first.
        randomizations: Half-open range of randomizations of each setting.
        label: What the program is for.
        decoupling: What fills the time in which qubits wait, on the schedule of the written circuit.
        target: The device of that schedule; None if nothing is known of it.
        register: Classical register that was added to the user's to measure into; empty if none was.
    """

    template: Template
    parameter_values: Floats
    parameter_sets: NDArray[np.int64]
    bases: NDArray[np.uint8]
    shots: int
    gate_set: GateSet | None
    draws: tuple[Draw, ...] = ()
    randomizations: tuple[int, int] = (0, 1)
    label: str = "circuit"
    decoupling: Decoupling | None = None
    target: Target | None = None
    register: str = ""

    @property
    def num_settings(self) -> int:
        """Parameter sets times measurement bases."""
        return len(self.parameter_sets)

    @property
    def num_randomizations(self) -> int:
        """Randomizations of each setting."""
        return self.randomizations[1] - self.randomizations[0]

    @property
    def num_members(self) -> int:
        """Circuits to run."""
        return self.num_settings * self.num_randomizations

    def written_in(self, gate_set: GateSet) -> Program:
        """Return the program with touched dressings written in a gate set.

        Raises:
            UnsupportedError: They need gates that the set does not have.
        """
        for setting in range(0 if gate_set.is_complete else self.num_settings):
            gate_set.check_theta(self.euler(setting)[:, 0])
        return evolve(self, gate_set=gate_set)

    def slices(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Split members ``start`` to ``stop`` into ``(setting, first, last)`` randomizations."""
        count = self.num_randomizations
        while start < stop:
            setting, first = divmod(start, count)
            last = min(count, first + stop - start)
            yield setting, first + self.randomizations[0], last + self.randomizations[0]
            start += last - first

    @cached_property
    def touched(self) -> NDArray[np.bool_]:
        """Dressings that some member changes, bool ``(num_dressings,)``."""
        touched = np.zeros(len(self.template.dressings), dtype=bool)
        for draw in self.draws:
            touched |= draw.touched(self.template)
        turned = (self.bases % 3 != 0).any(axis=0)
        for terminal, is_turned in zip(self.template.terminals, turned, strict=True):
            touched[terminal.dressing] |= is_turned
        return touched

    @cached_property
    def _acting(self) -> tuple[Draw, ...]:
        """The draws that touch anything."""
        return tuple(draw for draw in self.draws if draw.touched(self.template).any())

    def frames(self, setting: int, start: int, stop: int) -> Frames:
        """Return the product of all draws' frames for some randomizations of a setting."""
        total: Frames | None = None
        for draw in self._acting:
            frames = draw.frames(self.template, setting, start, stop)
            total = frames if total is None else total.then(frames)
        if total is None:
            zeros = np.zeros((stop - start, len(self.template.dressings)), dtype=np.uint8)
            total = Frames(zeros, zeros)
        return total

    def flips(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return which measured bits to invert, bool ``(stop - start, num_terminals)``."""
        flips = np.zeros((stop - start, len(self.template.terminals)), dtype=bool)
        row = 0
        for setting, first, last in self.slices(start, stop):
            for draw in self.draws:
                drawn = draw.flips(self.template, setting, first, last)
                if drawn is not None:
                    flips[row : row + last - first] ^= drawn
            row += last - first
        return flips

    @cached_property
    def _atoms(self) -> Floats:
        return self.template.atoms(self.parameter_values)

    @cached_property
    def touched_indices(self) -> NDArray[np.int64]:
        """Indices of the touched dressings."""
        return np.flatnonzero(self.touched)

    @cached_property
    def plain_euler(self) -> Floats:
        """Angles of the touched dressings before basis changes, ``(num_sets or 1, num_touched, 3)``."""
        varies = any(self.template.dressings[d].varies for d in self.touched_indices)
        atoms = self._atoms if varies else self._atoms[:1] if len(self._atoms) else np.zeros((1, 0))
        return self.template.euler(atoms, self.touched_indices)

    def euler(self, setting: int) -> Floats:
        """Return the touched dressings' angles, basis change included, float64 ``(num_touched, 3)``."""
        plain = self.plain_euler
        euler: Floats = plain[self.parameter_sets[setting] if len(plain) > 1 else 0].copy()
        turned = np.flatnonzero(self.bases[setting] % 3)
        if len(turned):
            where = np.searchsorted(
                self.touched_indices, [self.template.terminals[t].dressing for t in turned]
            )
            rotation = _TO_Z[self.bases[setting][turned]]
            turned_euler = angles.multiply(rotation, angles.quaternions_of_euler(euler[where]))
            euler[where] = canonical(angles.euler_of_quaternions(turned_euler))
        return euler
