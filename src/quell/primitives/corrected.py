"""The result of a sampler's PUB: raw shots, and on request their distribution freed of readout errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.primitives import DataBin
from qiskit.primitives import SamplerPubResult as QiskitResult

from ..errors import InputError, Problem, UnsupportedError
from ..kernels.confusion import Confusion
from ..kernels.outcomes import Outcomes
from ..stages.merge import Merged
from .quasi import QuasiDistribution


@frozen(eq=False)
class Readout:
    """How the classical bits of a PUB were misread, and which shots are of one randomization.

    Attributes:
        confusions: Their bits are classical bits of the circuit.
        registers: Classical bits of each register.
        members: Shots of each randomization, int64 ``(num_sets, randomizations)``.
        flips: Classical bits that each inverted, bool ``(num_sets, randomizations, num_clbits)``.
        block: Neighbouring randomizations that are not independent.
    """

    confusions: tuple[Confusion, ...]
    registers: Mapping[str, tuple[int, ...]]
    members: NDArray[np.int64]
    flips: NDArray[np.bool_]
    block: int

    @classmethod
    def of(cls, merged: Merged, circuit: QuantumCircuit) -> Readout | None:
        """Return what is known of a PUB, None where readout was not learned."""
        if merged.confusions is None or merged.members is None or merged.flips is None:
            return None
        registers = {r.name: tuple(circuit.find_bit(bit).index for bit in r) for r in circuit.cregs}
        return cls(merged.confusions, registers, merged.members, merged.flips, merged.block)

    def distribution(
        self,
        data: DataBin,
        index: tuple[int, ...],
        shown: Sequence[Sequence[int]],
        integers: bool,
    ) -> QuasiDistribution:
        """Return the distribution of classical bits, as groups of them are shown in keys, for one set of values."""
        parts: list[NDArray[np.uint8]] = []
        columns: dict[int, int] = {}
        for name, clbits in self.registers.items():
            own = [i for i, bit in enumerate(clbits) if bit not in columns]
            rows = np.unpackbits(data[name].array[index], axis=-1)[:, ::-1]
            parts.append(rows[:, own])
            columns |= {clbits[i]: len(columns) + j for j, i in enumerate(own)}
        here = int(np.ravel_multi_index(index, data.shape)) if index else 0
        members, flips = self.members[here], self.flips[here]
        outcomes = Outcomes.of(np.concatenate(parts, axis=1), members, flips[:, list(columns)], self.block)
        confusions = [c.moved(columns) for c in self.confusions]
        return QuasiDistribution.of(outcomes, confusions, [[columns[b] for b in r] for r in shown], integers)

    def facts(self, excluded: Sequence[int], measured: Sequence[int]) -> dict[str, Any]:
        """Return what metadata say: how it was learned, and which measured bits are left as they are."""
        corrected = {bit for confusion in self.confusions for bit in confusion.bits}
        shots = {int(c.shots.sum()) for c in self.confusions}
        return {
            "method": "M3",
            "symmetric": bool(self.flips.any()),
            "calibration_shots": max(shots, default=0),
            "corrected_bits": len(corrected),
            "uncorrected_bits": sorted(set(measured) - corrected - set(excluded)),
        }


class SamplerPubResult(QiskitResult):
    """The shots of a PUB by register, twirls undone; readout errors are still in them."""

    def __init__(
        self, data: DataBin, metadata: dict[str, Any] | None = None, readout: Readout | None = None
    ) -> None:
        super().__init__(data, metadata)
        self._readout = readout

    def quasi_distribution(
        self,
        registers: str | Sequence[str] | None = None,
        *,
        loc: int | tuple[int, ...] | None = None,
        integers: bool = False,
    ) -> QuasiDistribution:
        """Return the distribution of outcomes freed of readout errors.

        Args:
            registers: Names of registers; keys show the first one rightmost, with spaces between them. None for all.
            loc: Which set of parameter values, where there are several.
            integers: Whether keys are integers instead of bit strings.

        Raises:
            UnsupportedError: Readout was not learned: `resilience.measure_mitigation` was off.
            InputError: There are no such registers, or no such set of values.
            CalibrationError: Naming qubits whose readout cannot be corrected.
        """
        if 0 in self.data.shape:
            self._index(loc)  # refuses
        if self._readout is None:
            rule = "has no readout correction"
            fix = "run the Sampler with options.resilience.measure_mitigation = True"
            raise UnsupportedError.of([Problem("result", rule, fix)])
        named = [registers] if isinstance(registers, str) else registers
        if named is not None and not isinstance(named, Iterable):
            raise InputError.of(
                [Problem("registers", f"must be names, not {registers!r}", "leave it out for all")]
            )
        shown = self._shown(list(named) if named is not None else None, self._readout.registers)
        return self._readout.distribution(self.data, self._index(loc), shown, integers)

    @property
    def readout(self) -> Readout | None:
        """How bits were misread, None where it was not learned."""
        return self._readout

    def _shown(self, names: list[str] | None, known: Mapping[str, tuple[int, ...]]) -> list[tuple[int, ...]]:
        problems = [
            Problem("registers", f"has {name!r}, the result has {', '.join(map(repr, known))}")
            for name in names or ()
            if name not in known
        ]
        if names is not None and not names:
            problems.append(Problem("registers", "must name one at least"))
        InputError.check(problems)
        shown = [known[name] for name in (known if names is None else names) if known[name]]
        bits = [bit for register in shown for bit in register]
        if len(set(bits)) < len(bits):
            what = ", ".join(map(repr, known if names is None else names))
            raise InputError.of([Problem("registers", f"{what} share bits", "name one of them")])
        return shown

    def _index(self, loc: int | tuple[int, ...] | None) -> tuple[int, ...]:
        shape = self.data.shape
        index = () if loc is None else (loc,) if isinstance(loc, (int, np.integer)) else tuple(loc)
        fits = len(index) == len(shape) and all(-n <= i < n for i, n in zip(index, shape, strict=True))
        if not fits:
            rule = f"must be one of the sets of values of shape {shape} (got {loc})"
            fix = "there is none" if 0 in shape else f"write loc={tuple(0 for _ in shape)}"
            raise InputError.of([Problem("loc", rule, fix)])
        return tuple(int(i) % n for i, n in zip(index, shape, strict=True))
