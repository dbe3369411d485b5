"""Post-selection as a stage: shots whose bits fail a test are dropped, and how many passed is reported.

It is next to the crossing, because it is the first to see bits on their way up: whatever is computed from shots is
then computed from those that are kept. The test is of what the qubits were, so flips of measurement twirling are
undone for it; the shots themselves go up as they came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from ..circuits.program import Program
from ..circuits.samples import Samples, unflipped
from ..errors import ExecutionError, OptionsError, Problem, UnsupportedError
from .base import Stage

Bools: TypeAlias = NDArray[np.bool_]
Predicate: TypeAlias = Callable[[Mapping[str, Bools]], Any]

#: Bits that a predicate is given at a time: it must not be called for every circuit, nor with all bits at once.
_BITS_AT_ONCE: Final = 2**24
_PREDICATE: Final = "options.post_selection.predicate"


@frozen(eq=False)
class PostSelectResidue:
    """The program that was run, for its flips, and the registers that are looked at."""

    program: Program
    registers: tuple[str, ...]


@frozen
class PostSelect(Stage[Program, Program, Samples, Samples]):
    """Keep only shots that pass a test. What is not None must hold; without parity and predicate all bits must be 0.

    Attributes:
        registers: Classical registers that are looked at; None for all that are the user's.
        parity: Parity of all their bits together.
        predicate: Function from bits of several shots, by register a bool array ``(shots, size)``, to which of these
            shots to keep, bool ``(shots,)``. Shots of many circuits come in one call, so each is judged by itself.
    """

    registers: tuple[str, ...] | None = None
    parity: Literal["even", "odd"] | None = None
    predicate: Predicate | None = None

    def expand(
        self, task: Program, known: Mapping[Any, Any], rng: np.random.Generator
    ) -> tuple[Sequence[Program], PostSelectResidue]:
        """Return the program as it is, once it is clear that its shots can be tested.

        Raises:
            UnsupportedError: The circuit does not have the registers.
            OptionsError: The predicate cannot judge two shots of zeros.
        """
        sizes = {r.name: r.size for r in task.template.circuit.cregs if r.name != task.register}
        registers = tuple(sizes) if self.registers is None else self.registers
        missing = [name for name in registers if name not in sizes]
        if missing or not registers:
            has = ", ".join(map(repr, sizes)) or "no registers"
            rule = (
                f"are {', '.join(map(repr, missing))}, but the circuit has {has}" if missing else "are none"
            )
            fix = "measure what decides into a classical register of the circuit"
            raise UnsupportedError.of([Problem("options.post_selection.registers", rule, fix)])
        if self.predicate is not None:
            zeros = {name: np.zeros((2, sizes[name]), dtype=bool) for name in registers}
            OptionsError.check(_asked(self.predicate, zeros)[1])
        return [task], PostSelectResidue(task, registers)

    def combine(self, residue: PostSelectResidue, results: Sequence[Samples]) -> Samples:
        """Return the shots that pass.

        Raises:
            ExecutionError: The predicate fails; the samples are in `partial`.
        """
        samples = results[0]
        bits = {name: unflipped(residue.program, samples, name) for name in residue.registers}
        masks = _each_bit_once(residue.program.template.circuit, residue.registers)
        valid = np.arange(next(iter(bits.values())).shape[1]) < samples.shots[:, None]
        keep = valid.copy()
        if self.parity is not None:
            ones = sum(
                np.bitwise_count(bits[name] & masks[name]).sum(axis=-1, dtype=np.int64) for name in bits
            )
            keep &= np.asarray(ones) % 2 == (self.parity == "odd")
        if self.predicate is not None:
            keep &= self._judged(self.predicate, samples, bits, valid)
        elif self.parity is None:
            for name in bits:
                keep &= ~(bits[name] & masks[name]).any(axis=-1)
        return samples.kept(keep)

    @staticmethod
    def _judged(
        predicate: Predicate, samples: Samples, bits: Mapping[str, NDArray[np.uint8]], valid: Bools
    ) -> Bools:
        """Return which shots a predicate keeps, bool ``(members, max_shots)``."""
        keep = np.zeros_like(valid)
        of_member = valid.shape[1] * max(1, sum(samples.num_bits[name] for name in bits))
        step = max(1, _BITS_AT_ONCE // max(1, of_member))
        for start in range(0, len(valid), step):
            part = slice(start, start + step)
            here = valid[part]
            if not here.any():
                continue
            given = {name: _columns(bits[name][part][here], samples.num_bits[name]) for name in bits}
            answer, problems = _asked(predicate, given)
            if problems:
                error = ExecutionError.of(problems)
                error.partial = samples
                raise error from (answer if isinstance(answer, Exception) else None)
            keep[part][here] = answer
        return keep

    def describe(self, residue: Any = None) -> str:
        """Return one line for the plan."""
        where = "the circuit's registers" if self.registers is None else ", ".join(self.registers)
        tests = [] if self.parity is None else [f"{self.parity} parity of {where}"]
        if self.predicate is not None:
            name = getattr(self.predicate, "__name__", type(self.predicate).__name__)
            tests.append(f"{name} of {where}")
        return f"Post-select: {' and '.join(tests) or f'all bits of {where} are 0'}"


def nothing_kept(what: str, taken: int, samples: Samples | None = None) -> ExecutionError:
    """Return the error of data of which no shot is left.

    Args:
        what: Which data, in words.
        taken: The shots that the device returned.
        samples: What is left of all the data.
    """
    if not taken:
        return ExecutionError(f"the device returned no shots for {what}", samples)
    rule = f"dropped all {taken} shots of {what}"
    fix = "try the test on the samples in .partial, or take more shots"
    error = ExecutionError.of([Problem("options.post_selection", rule, fix)])
    error.partial = samples
    return error


def _each_bit_once(circuit: QuantumCircuit, names: Sequence[str]) -> dict[str, NDArray[np.uint8]]:
    """Return for each register the bits that no other before it has, as a mask of packed bits ``(num_bytes,)``."""
    seen: set[int] = set()
    masks = {}
    for name in names:
        register = next(r for r in circuit.cregs if r.name == name)
        indices = [circuit.find_bit(bit).index for bit in register]
        first = np.zeros(-(-len(indices) // 8) * 8, dtype=bool)
        for i, index in enumerate(indices):
            first[len(first) - 1 - i] = index not in seen
            seen.add(index)
        masks[name] = np.packbits(first)
    return masks


def _columns(packed: NDArray[np.uint8], size: int) -> Bools:
    """Return packed shots ``(shots, num_bytes)`` with bit i in column i, bool ``(shots, size)``."""
    bits: Bools = np.unpackbits(packed[:, ::-1], axis=1, count=size, bitorder="little").view(bool)
    return bits


def _asked(predicate: Predicate, bits: Mapping[str, Bools]) -> tuple[Any, list[Problem]]:
    """Return what a predicate says of some shots, or what it raised, and what is wrong with that."""
    shots = len(next(iter(bits.values())))
    given = ", ".join(f"{name!r}: {array.shape}" for name, array in bits.items())
    try:
        answer = np.asarray(predicate(bits))
    except Exception as error:  # the user's function may raise anything
        rule = f"raised {type(error).__name__}: {error}, given bool arrays {{{given}}}"
        return error, [
            Problem(_PREDICATE, rule, "its argument is a dict of arrays (shots, size) by register")
        ]
    if answer.dtype != bool or answer.shape != (shots,):
        rule = f"returned {answer.dtype} of shape {answer.shape}, given bool arrays {{{given}}}"
        fix = "return one bool a shot, such as bits['c'].sum(axis=1) == 1"
        return answer, [Problem(_PREDICATE, rule, fix)]
    return answer, []
