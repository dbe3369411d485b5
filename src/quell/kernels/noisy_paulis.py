"""Exact expectation values under Pauli noise: Paulis are carried backwards, and lose what the noise takes.

The picture of `kernels.heisenberg`, with noise between the unitaries. A Pauli channel multiplies every Pauli by a
number, so nothing is left out, and values for several strengths of the noise come together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from .heisenberg import distinct_rows

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]


@frozen(eq=False)
class Step:
    """A unitary, or Pauli noise.

    Attributes:
        qubits: What it is on.
        transfer: Its transfer matrix; None for noise.
        generators: Of the noise, Pauli codes uint8 ``(G, len(qubits))``,
        rates: and their rates, float64 ``(G,)``: a Pauli is multiplied by exp(-2 rate) for each that anticommutes.
    """

    qubits: tuple[int, ...]
    transfer: Floats | None
    generators: Codes | None = None
    rates: Floats | None = None


def noisy_values(steps: Sequence[Step], paulis: Codes, gains: Floats, most: int) -> Floats | None:
    """Return expectation values of Pauli strings after unitaries and noise on zeros.

    Args:
        steps: In time order.
        paulis: Pauli codes, uint8 ``(T, num_qubits)``.
        gains: What rates are multiplied by, float64 ``(N,)``.
        most: Give up where there are more Paulis than this on the way.

    Returns:
        float64 ``(N, T)``, None where there are too many Paulis.
    """
    codes, owners = paulis.copy(), np.arange(len(paulis))
    # What a string has lost is carried as one weight for each gain.
    weights = np.ones((len(paulis), len(gains)))
    for step in reversed(steps):
        if step.transfer is None:
            assert step.generators is not None
            assert step.rates is not None
            own = codes[:, step.qubits]
            odd = ((own & 1) @ (step.generators >> 1).T + (own >> 1) @ (step.generators & 1).T) & 1
            weights = weights * np.exp(-2 * (odd @ step.rates)[:, None] * gains)
            continue
        index = codes[:, step.qubits[0]].astype(np.int64)
        if len(step.qubits) == 2:
            index = index | codes[:, step.qubits[1]].astype(np.int64) << 2
        counts = np.count_nonzero(step.transfer, axis=1)[index]
        if counts.sum() > 16 * most:
            return None
        rows = np.repeat(np.arange(len(codes)), counts)
        new = np.nonzero(step.transfer[index])[1]
        weights = weights[rows] * step.transfer[index[rows], new][:, None]
        codes, owners = codes[rows], owners[rows]
        codes[:, step.qubits[0]] = new & 3
        if len(step.qubits) == 2:
            codes[:, step.qubits[1]] = new >> 2
        if len(codes) != len(index):
            first, which = distinct_rows(codes, owners)
            sums = np.zeros((len(first), len(gains)))
            for n in range(len(gains)):
                sums[:, n] = np.bincount(which, weights[:, n], minlength=len(first))
            codes, owners, weights = codes[first], owners[first], sums
            if len(codes) > most:
                return None
    diagonal = ~(codes & 1).any(axis=1)
    values = np.zeros((len(gains), len(paulis)))
    np.add.at(values.T, owners[diagonal], weights[diagonal])
    return values
