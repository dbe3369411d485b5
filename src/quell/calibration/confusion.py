"""Readout as confusion matrices, of each qubit alone or of groups of qubits: what the correction of samples needs.

States are prepared by X before the measurement, all qubits in the same circuits. They are balanced: each qubit is 1 in
half of the circuits, any two qubits and the qubits of a group take all their states equally often. Rates are so those
averaged over the states of the other qubits, as twirled data see them too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.transpiler import Target

from ..circuits.gatesets import choose
from ..circuits.program import Program
from ..circuits.samples import Samples
from ..circuits.template import template_of
from ..circuits.twirling import BalancedStates
from ..kernels.confusion import Confusion
from . import plain


@frozen(eq=False)
class ReadoutCounts:
    """What was read of prepared states.

    Attributes:
        groups: Qubits of each group; the first is the least significant bit of its state.
        counts: int64 ``(2^k, 2^k)`` for each group: ``[read, prepared]``.
    """

    groups: tuple[tuple[int, ...], ...]
    counts: tuple[NDArray[np.int64], ...]

    def confusions(self, clbits: Mapping[int, int]) -> tuple[Confusion, ...]:
        """Return how classical bits are misread.

        Args:
            clbits: The bit that each measured qubit is read into; qubits that are not among them are summed out of
                their groups.
        """
        found = []
        for group, counts in zip(self.groups, self.counts, strict=True):
            kept = tuple(qubit for qubit in group if qubit in clbits)
            if kept:
                bits = tuple(clbits[qubit] for qubit in kept)
                own = _kept(counts, [group.index(qubit) for qubit in kept])
                found.append(Confusion.of_counts(bits, own, _name(kept)))
        return tuple(found)

    def to_record(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "groups": [list(group) for group in self.groups],
            "counts": [counts.tolist() for counts in self.counts],
        }

    @classmethod
    def from_record(cls, data: Any) -> Self:
        """Return it from plain data.

        Raises:
            ValueError: The data are not those of a calibration.
        """
        data = plain.mapping(data, ("groups", "counts"))
        if not isinstance(data["groups"], list) or not data["groups"]:
            raise ValueError("groups must be a list of lists of qubits")
        groups = tuple(plain.qubits(group, "groups") for group in data["groups"])
        if len({q for group in groups for q in group}) < sum(map(len, groups)):
            raise ValueError("groups must not share qubits")
        if not isinstance(data["counts"], list) or len(data["counts"]) != len(groups):
            raise ValueError("counts must have one table for each group")
        return cls(groups, tuple(map(_table, data["counts"], groups)))

    @property
    def quality(self) -> dict[str, float]:
        """How often the state of a group is misread: the mean over groups, and the worst."""
        rates = [1 - np.trace(counts) / max(counts.sum(), 1) for counts in self.counts]
        return {"mean_error": float(np.mean(rates)), "largest_error": float(np.max(rates))}


def _table(rows: Any, group: Sequence[int]) -> NDArray[np.int64]:
    """Return the counts of a group from plain data.

    Raises:
        ValueError: They are none.
    """
    size = 2 ** len(group)
    if not isinstance(rows, list) or len(rows) != size:
        raise ValueError(f"counts of a group of {len(group)} must be {size} lists of {size} counts")
    table = [plain.integers(row, "counts") for row in rows]
    if any(len(row) != size for row in table) or max(map(max, table)) >= 2**62:
        raise ValueError(f"counts of a group of {len(group)} must be {size} lists of {size} counts")
    counts = np.array(table, dtype=np.int64)
    if not counts.sum(axis=0).all():
        raise ValueError("counts must have every state prepared")
    return counts


def _name(qubits: Sequence[int]) -> str:
    return f"qubit {qubits[0]}" if len(qubits) == 1 else f"qubits {', '.join(map(str, qubits))}"


def _kept(counts: NDArray[np.int64], places: Sequence[int]) -> NDArray[np.int64]:
    """Return counts of some bits of a group, the others summed out."""
    states = np.arange(len(counts))
    reduced = sum((states >> place & 1) << i for i, place in enumerate(places))
    table = np.zeros((2 ** len(places), 2 ** len(places)), dtype=np.int64)
    np.add.at(table, (np.asarray(reduced)[:, None], np.asarray(reduced)), counts)
    return table


@frozen
class ReadoutConfusion:
    """The confusion matrices of some qubits.

    Attributes:
        num_qubits: Width of the circuits.
        qubits: Qubits whose readout must be known, ascending.
        groups: Which of them are calibrated together; all others alone.
        shots: How it is learned: shots in all,
        target: and what the device can do.
    """

    num_qubits: int
    qubits: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    shots: int
    target: Target | None = field(eq=False, default=None, repr=False)

    @property
    def _all_groups(self) -> tuple[tuple[int, ...], ...]:
        """The groups of all qubits, singles included."""
        kept = [tuple(q for q in group if q in self.qubits) for group in self.groups]
        grouped = {q for group in kept for q in group}
        return (*(g for g in kept if g), *((q,) for q in self.qubits if q not in grouped))

    def _alike(self, other: object) -> bool:
        return (
            isinstance(other, ReadoutConfusion)
            and self.num_qubits == other.num_qubits
            and self.groups == other.groups
        )

    def merged(self, other: object) -> Self | None:
        """Return one for the qubits of both, learned with the larger effort; None if they are of different kinds."""
        if not isinstance(other, ReadoutConfusion) or not self._alike(other):
            return None
        return evolve(
            self,
            qubits=tuple(sorted({*self.qubits, *other.qubits})),
            shots=max(self.shots, other.shots),
        )

    def serves(self, other: object) -> bool:
        """Return whether the qubits of `other` are among these, learned in the same way with no less effort."""
        return (
            isinstance(other, ReadoutConfusion)
            and self._alike(other)
            and set(self.qubits) >= set(other.qubits)
            and self.shots >= other.shots
        )

    def experiment(self, rng: np.random.Generator) -> tuple[Sequence[Program], Program]:
        """Prepare and measure states."""
        register = ClassicalRegister(len(self.qubits), "meas")
        circuit = QuantumCircuit(self.num_qubits)
        circuit.add_register(register)
        circuit.measure(self.qubits, register)
        place = {qubit: i for i, qubit in enumerate(self.qubits)}
        words, members = balanced_words([[place[q] for q in group] for group in self._all_groups])
        program = Program(
            template=template_of(circuit),
            parameter_values=np.zeros((1, 0)),
            parameter_sets=np.zeros(1, dtype=np.int64),
            bases=np.zeros((1, len(self.qubits)), dtype=np.uint8),
            shots=-(-self.shots // members),
            gate_set=choose(("x",), self.target),
            draws=(BalancedStates(words),),
            randomizations=(0, members),
            label="readout calibration",
        )
        return [program], program

    def fit(self, residue: Program, results: Sequence[Samples]) -> ReadoutCounts:
        """Count what was read of each prepared state."""
        samples = results[0]
        width = len(self.qubits)
        prepared = residue.flips(0, residue.num_members)
        whole = np.unpackbits(samples.bits["meas"], axis=-1)[..., ::-1][..., :width]
        place = {qubit: i for i, qubit in enumerate(self.qubits)}
        valid = np.arange(whole.shape[1]) < samples.shots[:, None]
        counts = []
        for group in self._all_groups:
            columns = [place[q] for q in group]
            powers = 1 << np.arange(len(group))
            read = (whole[..., columns] @ powers)[valid]
            state = np.repeat(prepared[:, columns] @ powers, samples.shots)
            size = 2 ** len(group)
            counts.append(np.bincount(read * size + state, minlength=size * size).reshape(size, size))
        return ReadoutCounts(self._all_groups, tuple(counts))

    def describe(self) -> str:
        """Return one line for the plan."""
        groups = [g for g in self._all_groups if len(g) > 1]
        together = f", groups {', '.join(map(str, groups))}" if groups else ""
        return f"Confusion matrices of {len(self.qubits)} qubits{together}: {self.shots} shots on balanced states"

    def to_record(self) -> dict[str, Any]:
        """Return it as plain data; what the device can do is not kept."""
        return {
            "num_qubits": self.num_qubits,
            "qubits": list(self.qubits),
            "groups": [list(group) for group in self.groups],
            "shots": self.shots,
        }

    @classmethod
    def from_record(cls, data: Any) -> Self:
        """Return it from plain data.

        Raises:
            ValueError: The data are not those of a requirement.
        """
        data = plain.mapping(data, ("num_qubits", "qubits", "groups", "shots"))
        num_qubits = plain.integer(data, "num_qubits", 1)
        if not isinstance(data["groups"], list):
            raise ValueError("groups must be a list of lists of qubits")
        return cls(
            num_qubits,
            tuple(sorted(plain.qubits(data["qubits"], "qubits", num_qubits))),
            tuple(plain.qubits(group, "groups", num_qubits) for group in data["groups"]),
            plain.integer(data, "shots", 1),
        )


def balanced_words(groups: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], int]:
    """Return a word for every bit, and how many randomizations balance them (see `BalancedStates`).

    Words are distinct, so that any two bits are balanced too, and independent within groups.

    Args:
        groups: Bits of each group; together they are 0, 1, ....
    """
    num_bits = sum(map(len, groups))
    length = max(int(num_bits).bit_length(), *(len(group) for group in groups)) if groups else 0
    while True:
        words = _words(groups, num_bits, length)
        if words is not None:
            return words, 2**length
        length += 1


def _words(groups: Sequence[Sequence[int]], num_bits: int, length: int) -> tuple[int, ...] | None:
    left = list(range(1, 2**length))
    words = [0] * num_bits
    for group in sorted(groups, key=len, reverse=True):
        spanned = {0}
        for bit in group:
            word = next((w for w in left if w not in spanned), None)
            if word is None:
                return None
            left.remove(word)
            spanned |= {word ^ other for other in spanned}
            words[bit] = word
    return tuple(words)
