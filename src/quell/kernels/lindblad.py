"""Sparse Pauli-Lindblad channels: which Paulis anticommute, and what follows from it.

A channel (arXiv:2201.09866) is a set of generators, Paulis P_k with rates lambda_k >= 0. It multiplies a Pauli P by
its *fidelity* exp(-2 sum_k lambda_k), summed over the generators that anticommute with P. The noise of a layer
acts just before its gates.

Paulis are rows of codes, uint8 ``(M, n)``: I, X, Z, Y = 0, 1, 2, 3 on each of n qubits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from math import exp

import numpy as np
from numpy.typing import ArrayLike, NDArray

Codes = NDArray[np.uint8]
Floats = NDArray[np.float64]

_BLOCK = 1 << 16  # words of the table worked on at once: what stays in the cache


def _words(bits: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Pack rows of bits ``(M, B)`` into words ``(M, ceil(B / 64))``."""
    rows, width = bits.shape
    padded = np.zeros((rows, -(-width // 64) * 64), dtype=np.uint8)
    padded[:, :width] = bits
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint64)


def anticommute(paulis: Codes, generators: Codes) -> NDArray[np.bool_]:
    """Return which Paulis anticommute with which generators.

    Args:
        paulis: Codes, uint8 ``(M, n)``.
        generators: Codes, uint8 ``(K, n)``.

    Returns:
        bool ``(M, K)``.

    Raises:
        ValueError: The two are not on the same number of qubits.
    """
    paulis, generators = np.asarray(paulis, dtype=np.uint8), np.asarray(generators, dtype=np.uint8)
    if paulis.ndim != 2 or generators.ndim != 2 or paulis.shape[1] != generators.shape[1]:
        raise ValueError(
            f"Paulis {paulis.shape} and generators {generators.shape} are on other numbers of qubits"
        )
    # Two Paulis anticommute if the X parts of one meet the Z parts of the other an odd number of times.
    mine = _words(np.concatenate([paulis & 1, paulis >> 1], axis=1))
    theirs = np.ascontiguousarray(_words(np.concatenate([generators >> 1, generators & 1], axis=1)).T)
    table = np.zeros((len(paulis), len(generators)), dtype=bool)
    step = max(1, _BLOCK // max(1, len(generators)))
    for start in range(0, len(paulis), step):
        rows = mine[start : start + step]
        overlap = np.zeros((len(rows), len(generators)), dtype=np.uint64)
        for k in range(len(theirs)):
            overlap ^= rows[:, k, None] & theirs[k]
        table[start : start + step] = np.bitwise_count(overlap) & 1
    return table


def local_paulis(num_qubits: int, pairs: Iterable[tuple[int, int]]) -> Codes:
    """Return the Paulis on single qubits and on pairs of them.

    Args:
        num_qubits: Number of qubits n.
        pairs: Pairs of qubits, in any order; equal ones count once.

    Returns:
        uint8 ``(K, n)``: X, Z, Y on each qubit in turn, then the nine products on each pair, pairs ascending and the
        code on the lower qubit slowest.

    Raises:
        ValueError: A pair is not two different ones of the qubits.
    """
    ordered = sorted({(min(pair), max(pair)) for pair in pairs})
    for a, b in ordered:
        if not 0 <= a < b < num_qubits:
            raise ValueError(f"({a}, {b}) is not a pair of two of the {num_qubits} qubits")
    codes = np.zeros((3 * num_qubits + 9 * len(ordered), num_qubits), dtype=np.uint8)
    rows = np.arange(3 * num_qubits)
    codes[rows, rows // 3] = rows % 3 + 1
    row = 3 * num_qubits
    for a, b in ordered:
        codes[row : row + 9, [a, b]] = _PRODUCTS
        row += 9
    return codes


_PRODUCTS = np.array(list(product((1, 2, 3), repeat=2)), dtype=np.uint8)


def fidelities(paulis: Codes, generators: Codes, rates: ArrayLike) -> Floats:
    """Return the factors a channel multiplies Paulis by.

    Args:
        paulis: Codes, uint8 ``(M, n)``.
        generators: Codes, uint8 ``(K, n)``.
        rates: float64 ``(K,)``.

    Returns:
        float64 ``(M,)``.
    """
    exponents = anticommute(paulis, generators).astype(np.float64) @ np.asarray(rates, dtype=np.float64)
    factors: Floats = np.exp(-2 * exponents)
    return factors


def gamma(rates: ArrayLike, gain: float = 0.0) -> float:
    """Return the sum of the absolute quasi-probabilities that rescale a channel's noise to a gain.

    Args:
        rates: float64 ``(K,)``.
        gain: Noise that is left, as a multiple of the channel's: 0 cancels all of it. From 1 on noise is added, which
            takes no signs.

    Returns:
        exp(2 (1 - gain) sum of the rates), at least 1.
    """
    return exp(2 * max(0.0, 1 - gain) * float(np.sum(rates)))


def conjugated(paulis: Codes, gates: Sequence[tuple[Codes, tuple[int, int]]]) -> Codes:
    """Return the images U P U^dagger of Paulis under a layer of two-qubit gates, up to sign.

    Args:
        paulis: Codes, uint8 ``(M, n)``.
        gates: For each gate its table, uint8 ``(<= 16, 4)`` as of `paulis.two_qubit_choices`, and its two qubits in
            the order of the gate.

    Returns:
        uint8 ``(M, n)``.

    Raises:
        ValueError: A gate does not map one of these Paulis to a Pauli, or two gates share a qubit.
    """
    images = np.array(paulis, dtype=np.uint8)
    taken: set[int] = set()
    for table, (first, second) in gates:
        if first == second or taken & {first, second}:
            raise ValueError(f"The gate on ({first}, {second}) shares a qubit with another gate of its layer")
        taken |= {first, second}
        image = np.full(16, 255, dtype=np.uint8)
        table = np.asarray(table, dtype=np.uint8)
        image[table[:, 0] + 4 * table[:, 1]] = table[:, 2] + 4 * table[:, 3]
        found = image[images[:, first] + 4 * images[:, second]]
        if (found == 255).any():
            raise ValueError(f"The gate on ({first}, {second}) does not map every Pauli to a Pauli")
        images[:, first], images[:, second] = found & 3, found >> 2
    return images


def ties(generators: Codes, images: Codes) -> Floats:
    """Return rows that are zero where generators and their images are equally frequent.

    Args:
        generators: Codes, uint8 ``(K, n)``.
        images: What a layer of gates makes of each, uint8 ``(K, n)``; those that are no generators tie nothing.

    Returns:
        float64 ``(T, K)``, one row for each pair of generators that are each other's images.
    """
    number = {row.tobytes(): k for k, row in enumerate(generators)}
    pairs = [(k, number.get(row.tobytes(), k)) for k, row in enumerate(images)]
    chosen = np.array([pair for pair in pairs if pair[0] < pair[1]], dtype=np.int64).reshape(-1, 2)
    rows = np.zeros((len(chosen), len(generators)))
    rows[np.arange(len(chosen)), chosen[:, 0]] = 1.0
    rows[np.arange(len(chosen)), chosen[:, 1]] = -1.0
    return rows
