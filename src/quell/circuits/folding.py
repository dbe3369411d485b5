"""Unitary folding: circuits that do the same with more of the device's noise (arXiv:2005.10921).

*Gate folding* runs every gate on two or more qubits as G, then pairs of G^-1 and G; any factor is reached by
folding some gates once more than others. *Global folding* runs the whole circuit backwards and forwards again, and
for the rest of the factor its end. Barriers keep what was inserted from being cancelled by later compilation.

The inverse is the same physical gate wherever Paulis around it turn it around (``rzz(t)`` between two X is
``rzz(-t)``), so it has the noise of the gate it inverts, and angles stay in the range that a device allows.

Every inserted copy gets dressings of its own, and with them frames of its own where gates are twirled. They cost
as many pulses as the dressings of the gate that is copied, on average, so the noise of one-qubit gates grows by the
same factor: `Dressing.least` and `Dressing.repeated` say so to the renderings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final, Literal

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from qiskit.circuit import Barrier, CircuitInstruction, Gate
from qiskit.transpiler import Target

from ..errors import Problem
from ..kernels import angles, paulis
from .dressings import canonical
from .gatesets import GateSet, choose, instance_gates
from .template import Dressing, Op, Template, template_of

Folding = Literal["gate_folding", "gate_folding_front", "gate_folding_back", "global_folding"]

#: Instructions that may stand anywhere: they do nothing to a state.
_PASSIVE: Final = frozenset({"barrier", "delay"})
#: Instructions that a circuit may begin with, several on one qubit too.
_PREPARING: Final = frozenset({"reset", "initialize"})
#: More folded gates than this are a slip: no device keeps a signal through them, and circuits fill the memory.
MOST_GATES: Final = 500_000
#: Angles closer than this are equal.
_EPS: Final = 1e-11


@frozen(eq=False)
class Foldable:
    """A circuit that can be folded, see `problems`.

    Attributes:
        template: The circuit with its final measurements. Twirled idles of a stage outside are left out.
        target: What the device can do, None if unknown.
    """

    template: Template
    target: Target | None

    @cached_property
    def _ops(self) -> tuple[Op, ...]:
        """The operations that are instructions of the circuit."""
        return tuple(op for op in self.template.ops if op.instruction is not None)

    @cached_property
    def gates(self) -> tuple[Op, ...]:
        """The gates whose number the noise factor counts: those on two qubits and more, in order."""
        return tuple(op for op in self._ops if len(op.qubits) > 1 and self._is_gate(op))

    def num_pairs(self, factor: float, members: int = 1) -> int:
        """Return how many pairs of inverse and gate, in all members together, come closest to a noise factor."""
        return round(members * len(self.gates) * (factor - 1) / 2)

    def achieved(self, factor: float, members: int = 1) -> float:
        """Return the noise factor that whole pairs of gates come to, on average over members."""
        return 1 + 2 * self.num_pairs(factor, members) / (members * len(self.gates))

    @staticmethod
    def is_partial(factor: float) -> bool:
        """Return whether a factor needs some gates folded once more than others."""
        return not float((factor - 1) / 2).is_integer()

    def shared_out(self, factor: float, members: int) -> list[int]:
        """Return the pairs of each member; few gates come to any factor if some members have one pair more."""
        pairs, more = divmod(self.num_pairs(factor, members), members)
        return [pairs + (k < more) for k in range(members)]

    def folded(
        self, factor: float, folding: Folding, rng: np.random.Generator, pairs: int | None = None
    ) -> Template:
        """Return the circuit with noise multiplied by about `factor`, see `achieved`.

        Args:
            factor: At least 1.
            folding: What is folded; ``gate_folding`` draws the gates that are folded once more at random.
            rng: For that draw.
            pairs: Pairs of inverse and gate to insert; by default those of `num_pairs`.
        """
        total = self.num_pairs(factor) if pairs is None else pairs
        rounds, rest = divmod(total, len(self.gates))
        if folding == "global_folding":
            return self._whole(rounds, rest)
        behind = np.full(len(self.gates), rounds)
        if folding == "gate_folding":
            behind[rng.permutation(len(behind))[:rest]] += 1
        elif folding == "gate_folding_front":
            behind[:rest] += 1
        else:
            behind[len(behind) - rest :] += 1
        return self._by_gate(behind)

    def problems(
        self, folding: Folding, factors: Sequence[float], path: str, members: int = 1
    ) -> list[Problem]:
        """Return why the circuit cannot be folded to these noise factors; random subsets are drawn for `members`."""
        found = list(self._obstacles(folding, path))
        if found:
            return found
        most = round(len(self.gates) * max(factors))
        if most > MOST_GATES:
            rule = f"has {len(self.gates)} gates to fold, which noise factor {max(factors):g} makes {most}"
            return [
                Problem(f"{path}.circuit", f"{rule}, more than {MOST_GATES}", "choose smaller noise factors")
            ]
        members = members if folding == "gate_folding" else 1
        achieved = [round(self.achieved(factor, members), 9) for factor in factors]
        if len(set(achieved)) < len(achieved):
            listed = ", ".join(f"{f:g} to {a:g}" for f, a in zip(factors, achieved, strict=True))
            rule = (
                f"has {len(self.gates)} gates to fold, with which noise factors come to the same ({listed})"
            )
            found.append(Problem(f"{path}.circuit", rule, "choose noise factors further apart"))
        return found

    # --- what can be folded -----------------------------------------------------------------

    def _is_gate(self, op: Op) -> bool:
        assert op.instruction is not None
        return isinstance(self.template.circuit.data[op.instruction].operation, Gate)

    def _obstacles(self, folding: Folding, path: str) -> Iterator[Problem]:
        data, place = self.template.circuit.data, f"{path}.circuit"
        ops = self._ops
        folded = [k for k, op in enumerate(ops) if len(op.qubits) > 1 and self._is_gate(op)]
        fix = "switch resilience.zne_mitigation off for it, or split the run"
        begun: set[int] = set()
        foreign: dict[str, list[int]] = {}
        for k, op in enumerate(ops):
            assert op.instruction is not None
            name = data[op.instruction].operation.name
            begun |= {dressing.qubit for dressing in self._before(op) if dressing.gates}
            # Preparing a qubit at its start lies in front of everything that is folded.
            if name in _PASSIVE or (name in _PREPARING and begun.isdisjoint(op.qubits)):
                continue
            begun |= set(op.qubits)
            if not (self._is_gate(op) or self.template.is_final(op)):
                foreign.setdefault(name, []).append(k)
        for name, where in foreign.items():
            what = "has no inverse" if name != "measure" else "is measured in the middle of what is folded"
            rule = f"has {name!r} ({len(where)} times), which {what}; its noise cannot be amplified"
            yield Problem(place, rule, fix)
        if not folded:
            yield Problem(
                place, "has no gate on two or more qubits, so no noise can be amplified by folding", fix
            )
        stuck = {data[op.instruction].operation.name for op in self.gates if not self._inverse(op)}
        if folding == "global_folding":
            singles = [i for dressing in self.template.dressings for i in dressing.instructions]
            singles += [op.instruction for op in ops if len(op.qubits) == 1 and self._is_gate(op)]  # type: ignore[misc]
            stuck |= {data[i].operation.name for i in singles if not self._inverse_single(data[i])}
        for name in sorted(stuck):
            rule = f"has the gate {name!r}, whose inverse the device does not have"
            yield Problem(
                place, rule, "transpile to gates that can be inverted, or switch zne_mitigation off"
            )

    def _before(self, op: Op) -> Iterable[Dressing]:
        return (self.template.dressings[d] for d in op.before)

    # --- inverses ---------------------------------------------------------------------------

    @cached_property
    def _gate_set(self) -> GateSet:
        return choose(self.template.written, self.target)

    @cached_property
    def _inverses(self) -> dict[tuple[object, ...], tuple[CircuitInstruction, ...]]:
        return {}

    def _inverse(self, op: Op) -> tuple[CircuitInstruction, ...]:
        """Return instructions that undo a gate on several qubits, in time order; none if there are none."""
        assert op.instruction is not None
        instruction = self.template.circuit.data[op.instruction]
        key = (id(op.matrices) if op.matrices else op.instruction, op.qubits)
        if key not in self._inverses:
            self._inverses[key] = tuple(self._work_out(op, instruction))
        return self._inverses[key]

    def _work_out(self, op: Op, instruction: CircuitInstruction) -> Iterator[CircuitInstruction]:
        around = paulis.inverting_paulis(op.matrices) if op.matrices else None
        if around is not None:
            before, after = around
            yield from self._paulis(before, instruction)
            yield instruction
            yield from self._paulis(after, instruction)
            return
        try:
            backwards = instruction.operation.inverse()
        except Exception:  # a third-party gate that defines none
            return
        if isinstance(backwards, Gate) and self._runs(backwards.name, op.qubits):
            yield CircuitInstruction(backwards, instruction.qubits)

    def _paulis(
        self, codes: NDArray[np.uint8], instruction: CircuitInstruction
    ) -> Iterator[CircuitInstruction]:
        for code, qubit in zip(codes, instruction.qubits, strict=True):
            if code:
                yield from self._dressing(angles.euler_of_quaternions(paulis.QUATERNIONS[code]), qubit)

    def _dressing(self, euler: NDArray[np.float64], qubit: object) -> Iterator[CircuitInstruction]:
        """Write one-qubit angles ``(3,)`` in the device's gates."""
        gates = instance_gates(self._gate_set, canonical(euler[None]), np.zeros(1, dtype=bool))
        for name, parameters in zip(gates.name, gates.parameters, strict=True):
            values = [float(p) for p in parameters if p == p]  # NaN: no parameter
            yield self._gate_set.instruction(gates.names[name], (qubit,), values)

    def _inverse_single(self, instruction: CircuitInstruction) -> tuple[CircuitInstruction, ...]:
        """Return one-qubit gates that undo one, in the gates the circuit has; none if it cannot be written."""
        try:
            backwards = instruction.operation.inverse()
        except Exception:  # a third-party gate that defines none
            return ()
        index = self.template.circuit.find_bit(instruction.qubits[0]).index
        if backwards.name in self.template.written or (self.target and self._runs(backwards.name, (index,))):
            return (CircuitInstruction(backwards, instruction.qubits),)
        if backwards.is_parameterized():
            return ()
        quaternion = angles.quaternions_of_matrices(np.asarray(backwards.to_matrix(), dtype=complex))
        written = tuple(self._dressing(angles.euler_of_quaternions(quaternion), instruction.qubits[0]))
        return written or (instruction,)  # nothing is written for an identity, which undoes itself

    def _runs(self, name: str, qubits: tuple[int, ...]) -> bool:
        return self.target is None or bool(self.target.instruction_supported(name, qubits))

    # --- folding ----------------------------------------------------------------------------

    def _by_gate(self, pairs: NDArray[np.int64]) -> Template:
        """Return the template with pairs of inverse and gate behind each gate."""
        circuit = self.template.circuit
        behind = {op.instruction: (op, int(n)) for op, n in zip(self.gates, pairs, strict=True)}
        body: list[CircuitInstruction] = []
        copies: dict[int, tuple[int, tuple[int, ...]]] = {}
        for index, instruction in enumerate(circuit.data):
            body.append(instruction)
            if index not in behind:
                continue
            op, count = behind[index]
            copies[len(body) - 1] = 0, op.before
            wall = CircuitInstruction(Barrier(len(op.qubits)), instruction.qubits)
            for k in range(count):
                body.append(wall)
                for part in self._inverse(op):
                    if len(part.qubits) > 1:
                        copies[len(body)] = 2 * k + 1, op.before
                    body.append(part)
                copies[len(body) + 1] = 2 * k + 2, op.before
                body += [wall, instruction]
        return self._template(body, copies)

    def _whole(self, rounds: int, rest: int) -> Template:
        """Return the template run backwards and forwards `rounds` times, and its last `rest` gates once more."""
        template, circuit = self.template, self.template.circuit
        final = {op.instruction for op in self._ops if template.is_final(op)}
        start = {i for i, item in enumerate(circuit.data) if item.operation.name in _PREPARING}
        parts: list[list[int]] = [[], [], []]
        for index in range(len(circuit.data)):
            parts[0 if index in start else 2 if index in final else 1].append(index)
        head, forward, tail = parts
        gates = {op.instruction: op for op in self.gates}
        backward: list[CircuitInstruction] = []
        end = 0  # where the inverse of the last `rest` gates ends, and how much of the circuit they are
        suffix, seen = len(forward), 0
        for position in range(len(forward) - 1, -1, -1):
            index = forward[position]
            instruction = circuit.data[index]
            if index in gates:
                backward += self._inverse(gates[index])
                seen += 1
            elif instruction.operation.name in _PASSIVE or not instruction.qubits:  # a global phase
                backward.append(instruction)
            else:
                backward += self._inverse_single(instruction)
            if seen == rest and index in gates:
                end, suffix = len(backward), position
        used = [circuit.qubits[q] for q in sorted({d.qubit for d in template.dressings})]
        wall = CircuitInstruction(Barrier(len(used)), used)
        body = [circuit.data[i] for i in forward]
        again = [wall, *backward, wall, *body] * rounds
        if rest:
            again += [wall, *backward[:end], wall, *body[suffix:]]
        return self._template(
            [*(circuit.data[i] for i in head), *body, *again, *(circuit.data[i] for i in tail)], {}
        )

    @cached_property
    def _costs(self) -> dict[tuple[int, ...], tuple[int, ...]]:
        """For each gate, by its dressings: how many pulses these take under any frame; 0 where frames decide it."""
        template, gate_set = self.template, self._gate_set
        which = [d for op in self.gates for d in op.before]
        fixed = np.array([template.dressings[d].is_constant for d in which], dtype=bool)
        atoms = np.zeros((1, len(template.expressions)))
        euler = np.full((len(which), 3), np.nan)
        euler[fixed] = template.euler(atoms, np.array(which, dtype=np.int64)[fixed])[0]
        theta, phi, lam = euler.T
        pulses = np.full(len(which), gate_set.pulses("full"))
        pulses[theta == np.pi / 2] = gate_set.pulses("half")
        # Where phases cost pulses too, frames decide the number only for Paulis.
        is_pauli = np.abs(np.sin(np.where(theta == 0, phi + lam, phi - lam))) < _EPS
        pulses[((theta == 0) | (theta == np.pi)) & (is_pauli | (gate_set.pulses("virtual") == 0))] = 0
        found = dict(zip(which, pulses.tolist(), strict=True))
        return {op.before: tuple(found[d] for d in op.before) for op in self.gates}

    def _template(
        self, body: Sequence[CircuitInstruction], copies: dict[int, tuple[int, tuple[int, ...]]]
    ) -> Template:
        """Cut instructions into a template whose dressings know how much they have to cost.

        Args:
            body: The instructions.
            copies: For the index of each gate that is counted, the number of its copy and the dressings of its
                original.
        """
        circuit = self.template.circuit.copy_empty_like()
        for instruction in body:
            circuit._append(instruction)
        template = template_of(circuit)
        dressings = list(template.dressings)
        for op in template.ops:
            if op.instruction not in copies:
                continue
            ordinal, original = copies[op.instruction]
            for d, pulses in zip(op.before, self._costs[original], strict=True):
                if ordinal:
                    dressings[d] = evolve(dressings[d], least=_least(pulses, ordinal, self._gate_set))
                else:
                    # A full one is full whatever its angles.
                    least = pulses if pulses == self._gate_set.pulses("full") else 0
                    dressings[d] = evolve(dressings[d], repeated=True, least=least)
        return evolve(template, dressings=tuple(dressings))


def _least(pulses: int, ordinal: int, gate_set: GateSet) -> int:
    """Return the least pulses of a copy's dressing, so that copies cost as much as the original on average.

    Copies are Paulis. Where these take two pulses or none (and an X one), while the original takes one, every other
    copy is made to take at least one: a half of all copies then takes 1.5 on average, the other half 0.5. Where an X
    takes two, copies take one on average as they are.
    """
    if pulses == gate_set.pulses("full"):
        return pulses
    return pulses if ordinal % 2 and gate_set.pulses("flip") < 2 * pulses else 0
