"""Readout under measurement twirling: the damping of every parity, measured as it is.

Twirled readout flips bits with a probability that does not depend on the state, so a parity over any qubits
is only multiplied by a factor, whatever the correlations between qubits (arXiv:2012.09738). The factor is
the same parity measured on the all-zero state under the same twirl. Keeping the calibration's bits rather
than rates per qubit makes the factor of every weight and every correlation a direct measurement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.transpiler import Target

from ..circuits.gatesets import choose
from ..circuits.program import Program
from ..circuits.samples import Samples
from ..circuits.template import template_of
from ..circuits.twirling import MeasureTwirl, measure_block
from ..kernels import draws, parities
from ..kernels.bitplanes import WORD
from ..kernels.statistics import Deviations, deviations_of_mean
from . import plain

Floats = NDArray[np.float64]


@frozen(eq=False)
class ReadoutCalibration:
    """Bits read from the all-zero state, twirl undone.

    Attributes:
        qubits: Qubit of each bit, ascending.
        planes: The bits, one member per randomization.
        block: Members that belong together.
    """

    qubits: NDArray[np.int64]
    planes: parities.BitPlanes
    block: int

    def damping(self, qubits: NDArray[np.int64], codes: NDArray[np.uint8]) -> tuple[Floats, Deviations]:
        """Return the factor by which readout multiplies each parity, and its deviations.

        Args:
            qubits: Qubits of the columns of `codes`, int64 ``(n,)``.
            codes: 0 where a term has no Z, 1 where it has, uint8 ``(T, n)``.

        Returns:
            factors: float64 ``(T,)``.
            deviations: Their uncertainty.
        """
        planes = self.planes.select(np.searchsorted(self.qubits, qubits))
        shots = planes.shots.astype(float)
        values = parities.term_sums(planes, codes) / np.maximum(shots, 1)[:, None]
        weights = np.broadcast_to((shots / shots.sum())[:, None], values.shape)
        factors, deviations = deviations_of_mean(values, weights, self.block)
        total = shots.sum()
        if deviations is None:  # one randomization: the shots are all there is
            return factors, Deviations(
                np.diag(np.sqrt(np.maximum((1 - factors**2) / total, 2 / total**2))), np.inf
            )
        # No factor is known better than its shots allow, also where all of them agreed.
        agreed = deviations.variance == 0
        if agreed.any():
            rows = np.concatenate([deviations.rows, np.diag(agreed * np.sqrt(2.0) / total)])
            deviations = Deviations(rows, deviations.dof)
        return factors, deviations

    def to_record(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "qubits": self.qubits.tolist(),
            "block": self.block,
            "shots": self.planes.shots.tolist(),
            "planes": plain.packed(self.planes.words[:, :, : _num_words(self.planes.shots)]),
        }

    @classmethod
    def from_record(cls, data: Any) -> Self:
        """Return it from plain data.

        Raises:
            ValueError: The data are not those of a calibration.
        """
        data = plain.mapping(data, ("qubits", "block", "shots", "planes"))
        qubits = plain.integers(data["qubits"], "qubits", ascending=True)
        shots = np.array(plain.integers(data["shots"], "shots"), dtype=np.int64)
        if not qubits or not shots.sum():
            raise ValueError("qubits and shots must not be empty")
        shape = (len(qubits), len(shots), _num_words(shots))
        words = plain.unpacked(data["planes"], "uint64", shape, "planes")
        planes = parities.BitPlanes(words, shots)
        if np.any(words & ~planes.valid):
            raise ValueError("planes have bits beyond the shots")
        return cls(np.array(qubits), planes, plain.integer(data, "block", 1))

    @property
    def error_rates(self) -> Floats:
        """How often each qubit is misread under the twirl, float64 ``(n,)``."""
        ones = np.bitwise_count(self.planes.words).sum(axis=(1, 2), dtype=np.int64)
        rates: Floats = ones / self.planes.shots.sum()
        return rates

    @property
    def quality(self) -> dict[str, float]:
        """How often single qubits are misread: the mean over them, and the worst."""
        rates = self.error_rates
        return {"mean_error": float(rates.mean()), "largest_error": float(rates.max())}


def _num_words(shots: NDArray[np.int64]) -> int:
    """Return the words of a plane that valid shots fill."""
    return -(-int(shots.max()) // WORD)


@frozen
class TwirledReadout:
    """The damping of parities over some qubits.

    Attributes:
        num_qubits: Width of the circuits.
        qubits: Qubits whose readout must be known, ascending.
        num_randomizations: How it is learned: randomizations,
        shots: shots of each,
        balanced: whether X and no X are balanced,
        target: and what the device can do.
    """

    num_qubits: int
    qubits: tuple[int, ...]
    num_randomizations: int
    shots: int
    balanced: bool = False
    target: Target | None = field(eq=False, default=None, repr=False)

    def merged(self, other: object) -> Self | None:
        """Return the wider of two nested requirements with the larger effort; None if they are not nested."""
        if not isinstance(other, TwirledReadout) or other.num_qubits != self.num_qubits:
            return None
        union = set(self.qubits) | set(other.qubits)
        if len(union) > max(len(self.qubits), len(other.qubits)):
            return None
        return type(self)(
            self.num_qubits,
            tuple(sorted(union)),
            max(self.num_randomizations, other.num_randomizations),
            max(self.shots, other.shots),
            self.balanced,
            self.target,
        )

    def serves(self, other: object) -> bool:
        """Return whether the qubits of `other` are among these, learned with no less effort.

        Randomizations count besides shots: a few of them leave the twirl, and its error bar, to chance.
        """
        return (
            isinstance(other, TwirledReadout)
            and self.num_qubits == other.num_qubits
            and set(self.qubits) >= set(other.qubits)
            and self.num_randomizations >= other.num_randomizations
            and self.num_randomizations * self.shots >= other.num_randomizations * other.shots
        )

    @property
    def _block(self) -> int:
        return measure_block(self.num_randomizations, self.balanced)

    def experiment(self, rng: np.random.Generator) -> tuple[Sequence[Program], Program]:
        """Measure the all-zero state under the twirl."""
        register = ClassicalRegister(len(self.qubits), "meas")
        circuit = QuantumCircuit(self.num_qubits)
        circuit.add_register(register)
        circuit.measure(self.qubits, register)
        template = template_of(circuit)
        program = Program(
            template=template,
            parameter_values=np.zeros((1, 0)),
            parameter_sets=np.zeros(1, dtype=np.int64),
            bases=np.zeros((1, len(self.qubits)), dtype=np.uint8),
            shots=self.shots,
            gate_set=choose(("x",), self.target),
            draws=(MeasureTwirl(draws.Key.spawn(rng), self._block),),
            randomizations=(0, self.num_randomizations),
            label="readout calibration",
        )
        return [program], program

    def fit(self, residue: Program, results: Sequence[Samples]) -> ReadoutCalibration:
        """Undo the twirl on the bits."""
        samples = results[0]
        planes = parities.bit_planes(samples.bits["meas"], samples.num_bits["meas"], samples.shots)
        flips = residue.flips(0, residue.num_members)
        return ReadoutCalibration(np.array(self.qubits), planes.flipped(flips), self._block)

    def describe(self) -> str:
        """Return one line for the plan."""
        return (
            f"Readout of {len(self.qubits)} qubits under twirling: "
            f"{self.num_randomizations} x {self.shots} shots"
        )

    def to_record(self) -> dict[str, Any]:
        """Return it as plain data; what the device can do is not kept."""
        return {
            "num_qubits": self.num_qubits,
            "qubits": list(self.qubits),
            "num_randomizations": self.num_randomizations,
            "shots": self.shots,
            "balanced": self.balanced,
        }

    @classmethod
    def from_record(cls, data: Any) -> Self:
        """Return it from plain data.

        Raises:
            ValueError: The data are not those of a requirement.
        """
        data = plain.mapping(data, ("num_qubits", "qubits", "num_randomizations", "shots", "balanced"))
        num_qubits = plain.integer(data, "num_qubits", 1)
        return cls(
            num_qubits,
            tuple(sorted(plain.qubits(data["qubits"], "qubits", num_qubits))),
            plain.integer(data, "num_randomizations", 1),
            plain.integer(data, "shots", 1),
            plain.boolean(data, "balanced"),
        )
