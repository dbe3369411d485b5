"""A fake sampler with exact statistics: what tests of stages, and stages of third parties, run on.

`ExactSampler` is a function of a list of `SamplerPub`, so it is a `mode` of the primitives as it stands::

    readout = ReadoutModel.uniform(20, 0.02, 0.05).with_pair_flip(0, 1, 0.01)
    estimator = Estimator(ExactSampler(seed=1, readout=readout))

Its shots are independent draws from the exact distribution; nothing is approximated, and no simulator is
needed. Wide circuits are fast where interacting qubits only see Clifford gates, see `testing.exact`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from qiskit.primitives import BitArray
from qiskit.primitives.containers.sampler_pub import SamplerPub

from ..errors import InputError, Problem
from .clifford import Affine
from .exact import outcomes
from .readout import ReadoutModel
from .unroll import Unrolled, unroll

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

#: Shots and members simulated at a time.
_CHUNK_SHOTS: Final = 2**21
_CHUNK_MEMBERS: Final = 512


class ExactSampler:
    """Sample circuits exactly, with readout errors and coherent gate errors of known size.

    Args:
        seed: Seed of the shots; successive calls draw on, so that equal circuits get independent shots.
        readout: What happens to the measured bits; None for nothing.
        gate_errors: For each name of a gate, the unitary that follows it: ``(2, 2)`` or ``(4, 4)``, first qubit
            least significant.
        max_qubits: Most interacting qubits of a circuit that is not Clifford.
    """

    def __init__(
        self,
        seed: int | np.random.Generator | None = None,
        *,
        readout: ReadoutModel | None = None,
        gate_errors: Mapping[str, ArrayLike] | None = None,
        max_qubits: int = 12,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.readout = readout
        self.gate_errors = {name: np.asarray(u, dtype=complex) for name, u in (gate_errors or {}).items()}
        self.max_qubits = max_qubits

    def __call__(self, pubs: Iterable[SamplerPub]) -> list[dict[str, BitArray]]:
        """Return the shots of every PUB by register.

        Raises:
            InputError: A PUB has no number of shots, or a qubit that the readout model does not know.
            UnsupportedError: A circuit has resets, control flow or mid-circuit measurements, or too many
                interacting qubits.
        """
        return [self._run(pub) for pub in pubs]

    def _run(self, pub: SamplerPub) -> dict[str, BitArray]:
        if pub.shots is None:
            raise InputError.of([Problem("pub", "has no number of shots", "say shots=... in the PUB")])
        circuit, shots = pub.circuit, pub.shots
        members = int(np.prod(pub.shape, dtype=int))
        values = np.asarray(pub.parameter_values.as_array(circuit.parameters), dtype=float)
        values = values.reshape(members, circuit.num_parameters)
        bits = np.zeros((members, shots, circuit.num_clbits), dtype=bool)
        step = max(1, min(_CHUNK_MEMBERS, _CHUNK_SHOTS // max(1, shots)))
        for start in range(0, members, step):
            rows = slice(start, min(start + step, members))
            unrolled = unroll(circuit, values[rows], self.gate_errors)
            clbits = list(unrolled.measured)
            bits[rows][..., clbits] = self._shots(unrolled, rows.stop - rows.start, shots)
        return {
            register.name: _packed(bits[..., [circuit.find_bit(bit).index for bit in register]], pub.shape)
            for register in circuit.cregs
        }

    def _shots(self, unrolled: Unrolled, members: int, shots: int) -> Bools:
        """Return the bits read by every measurement, bool ``(members, shots, num_measurements)``."""
        measured = list(unrolled.measured.values())
        bits = np.zeros((members, shots, len(measured)), dtype=bool)
        for qubits, distribution in outcomes(unrolled, self.max_qubits):
            place = {qubit: i for i, qubit in enumerate(qubits)}
            columns = [c for c, qubit in enumerate(measured) if qubit in place]
            chosen = [place[measured[c]] for c in columns]
            if not columns:
                continue
            if isinstance(distribution, Affine):
                drawn = self._affine(distribution, chosen, members, shots)
            else:
                numbers = _draw(distribution, members, shots, self.rng)
                drawn = (numbers[..., None] >> np.array(chosen) & 1).astype(bool)
            if len(columns) == len(measured):
                bits = drawn
            else:
                bits[..., columns] = drawn
        return bits if self.readout is None else self.readout.corrupt(bits, measured, self.rng)

    def _affine(self, affine: Affine, chosen: Sequence[int], members: int, shots: int) -> Bools:
        offsets = affine.offsets[:, None, chosen]
        directions = affine.directions[:, chosen]
        coins = self.rng.integers(0, 2, (members, shots, len(directions)), dtype=np.uint8)
        if len(directions) == 1:
            span = coins.view(bool) & directions[0]
        else:  # float32 products are BLAS and exact for these counts
            span = (coins.astype(np.float32) @ directions.astype(np.float32)).astype(np.uint8) & 1 != 0
        bits: Bools = offsets ^ span
        return bits


def _draw(probabilities: Floats, members: int, shots: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw outcomes ``(members, shots)`` from distributions ``(members or 1, outcomes)``."""
    cumulative: Floats = np.cumsum(probabilities, axis=1)
    cumulative /= cumulative[:, -1:]
    uniform = rng.random((members, shots))
    if len(cumulative) == 1:
        alike: NDArray[np.int64] = np.searchsorted(cumulative[0, :-1], uniform, side="right")
        return alike
    # One search for all members: member m looks between m and m + 1.
    number = np.arange(members)[:, None]
    found = np.searchsorted((cumulative + number).ravel(), (uniform + number).ravel(), side="right")
    size = cumulative.shape[1]
    drawn: NDArray[np.int64] = np.clip(found.reshape(members, shots) - number * size, 0, size - 1)
    return drawn


def _packed(bits: Bools, shape: tuple[int, ...]) -> BitArray:
    """Return bits ``(members, shots, k)``, bit 0 first, as a `BitArray` of a PUB's shape."""
    num_bits = bits.shape[-1]
    padded = np.zeros((*bits.shape[:2], -(-num_bits // 8) * 8), dtype=bool)
    if num_bits:
        padded[..., -num_bits:] = bits[..., ::-1]
    packed = np.packbits(padded, axis=-1)
    return BitArray(packed.reshape(*shape, *packed.shape[1:]), num_bits)
