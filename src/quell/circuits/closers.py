"""Gates of a layer as they are repeated: with one-qubit Cliffords behind them that make each undo itself.

Every Clifford gate is local factors around I, cx, iswap or swap, so with some Cliffords behind it, its repetition is a
Pauli. Which ones these are also decides how much repeated layers tell about noise, see `calibration.learning`.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import Problem, UnsupportedError
from ..kernels import paulis
from ..kernels.lindblad import anticommute, conjugated, local_paulis, ties
from .layers import Layer, matrices

Codes = NDArray[np.uint8]

#: One-qubit gates that make each coset of `paulis.CLIFFORDS`, in time order.
COSETS: Final = {0: (), 1: ("h",), 2: ("s",), 3: ("s", "h"), 4: ("h", "s"), 5: ("sx",)}


def closers(layer: Layer) -> tuple[tuple[int, int], ...]:
    """Return the Cliffords that each gate is repeated with, on its first and its second qubit: keys of `COSETS`.

    Raises:
        UnsupportedError: Some gates are not Clifford; all are named.
    """
    found = tuple(_closer(np.round(matrix, 12).tobytes()) for matrix in matrices(layer))
    others = [
        f"{name} ({a}, {b})"
        for cosets, (name, _, (a, b)) in zip(found, layer.gates, strict=True)
        if not cosets
    ]
    if others:
        rule = f"has gates that do not map Paulis to Paulis: {', '.join(others)}"
        raise UnsupportedError.of([Problem(f"layer {layer.describe()}", rule, "transpile to Clifford gates")])
    return tuple(cosets for cosets in found if cosets)


def closed(layer: Layer) -> tuple[tuple[Codes, tuple[int, int]], ...]:
    """Return what each gate and the Cliffords behind it do to Paulis, in the form of `circuits.layers.images`.

    Raises:
        UnsupportedError: Some gates are not Clifford; all are named.
    """
    place = {q: i for i, q in enumerate(layer.qubits)}
    return tuple(
        (paulis.two_qubit_choices(matrix), (place[a], place[b]))
        for matrix, (_, _, (a, b)) in zip(_closed_matrices(layer), layer.gates, strict=True)
    )


def squares(layer: Layer) -> Codes:
    """Return the Pauli that two runs of a layer make, Cliffords behind its gates included: codes uint8 ``(n,)``.

    Raises:
        UnsupportedError: Some gates are not Clifford; all are named.
    """
    place = {q: i for i, q in enumerate(layer.qubits)}
    codes = np.zeros(len(place), dtype=np.uint8)
    both = np.einsum("qij,pkl->qpikjl", paulis.PAULIS, paulis.PAULIS).reshape(16, 16)
    for matrix, (_, _, (a, b)) in zip(_closed_matrices(layer), layer.gates, strict=True):
        overlaps = np.abs(both.conj() @ (matrix @ matrix).ravel())
        codes[place[b]], codes[place[a]] = divmod(int(overlaps.argmax()), 4)
    return codes


def _closed_matrices(layer: Layer) -> list[NDArray[np.complex128]]:
    return [_with(cosets, matrix) for cosets, matrix in zip(closers(layer), matrices(layer), strict=True)]


def _with(cosets: tuple[int, int], matrix: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Return a gate with Cliffords behind it."""
    first, second = (paulis.CLIFFORDS[4 * coset] for coset in cosets)
    product: NDArray[np.complex128] = np.kron(second, first) @ matrix
    return product


@lru_cache(maxsize=256)
def _closer(key: bytes) -> tuple[int, int] | None:
    """Return the Cliffords behind a gate that leave least to assumptions; None if the gate is not Clifford.

    The gate stands on the middle two of four qubits in a row. It must be undone by its repetition up to a Pauli, which
    every Clifford gate is with some Cliffords behind it: they are local factors around I, cx, iswap or swap.
    """
    matrix = np.frombuffer(key, dtype=complex).reshape(4, 4)
    if len(paulis.two_qubit_choices(matrix)) < 16:
        return None
    generators = local_paulis(4, [(0, 1), (1, 2), (2, 3)])
    best: tuple[tuple[int, ...], tuple[int, int]] | None = None
    for cosets in product(COSETS, COSETS):
        gate = ((paulis.two_qubit_choices(_with(cosets, matrix)), (1, 2)),)
        after = conjugated(generators, gate)
        if (conjugated(after, gate) != generators).any():
            continue
        design = anticommute(generators, generators).astype(float) + anticommute(after, generators)
        data, all_ = (
            int(np.linalg.matrix_rank(rows)) for rows in (design, [*design, *ties(generators, after)])
        )
        # First what even the assumption leaves open, then what needs it, then pulses.
        cost = (len(generators) - all_, -data, sum(len(COSETS[coset]) for coset in cosets))
        if best is None or cost < best[0]:
            best = cost, cosets
    return None if best is None else best[1]
