"""Quasi-probabilities: distributions freed of readout errors, and the probabilities and counts nearest to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, gmres

from ..errors import Problem, UnsupportedError
from .confusion import Confusion
from .outcomes import Outcomes

Floats = NDArray[np.float64]

#: Most outcomes whose reduced matrix is factorised, and most of which it is held at all.
_DIRECT: Final = 2048
_HELD: Final = 16384
#: Of the iterative solution; its matrix is held in float32.
_TOLERANCE: Final = 1e-6


def reduced_inverse(outcomes: Outcomes, confusions: Sequence[Confusion], distance: int) -> Floats:
    """Return quasi-probabilities in the space of the outcomes that were read (arXiv:2108.12518).

    What mthree does for bits that are misread one by one, for groups of bits, which it does not know.

    Args:
        outcomes: What was read.
        confusions: How groups of bits are misread; bits in none are taken as they are.
        distance: Outcomes that differ in more bits than this are taken never to be misread for each other.

    Returns:
        float64 ``(D,)``.

    Raises:
        UnsupportedError: There are too many outcomes, or the solver does not converge.
    """
    size = len(outcomes.bits)
    if size > _HELD:
        rule = f"have {size} distinct outcomes, M3 with groups of qubits takes at most {_HELD}"
        raise UnsupportedError.of(
            [
                Problem(
                    "samples",
                    rule,
                    "use expectation_value() or marginal(), or set calibration.groups to None",
                )
            ]
        )
    matrix = _reduced(outcomes.bits, confusions, distance)
    read = outcomes.totals / outcomes.num_shots
    if size <= _DIRECT:
        return np.asarray(np.linalg.solve(matrix, read), dtype=np.float64)
    diagonal = matrix.diagonal()
    product = LinearOperator(matrix.shape, matvec=lambda x: matrix @ x.astype(np.float32), dtype=np.float64)
    scaled = LinearOperator(matrix.shape, matvec=lambda x: x / diagonal, dtype=np.float64)
    solution, failed = gmres(product, read, x0=read, rtol=_TOLERANCE, M=scaled, maxiter=100)
    if failed:
        rule = f"could not be corrected: the solver did not converge for {size} outcomes"
        raise UnsupportedError.of([Problem("samples", rule, "use expectation_value() or marginal()")])
    return np.asarray(solution, dtype=np.float64)


def _reduced(bits: NDArray[np.uint8], confusions: Sequence[Confusion], distance: int) -> NDArray[Any]:
    """Return p(read | prepared) between outcomes, columns normalised, ``(D, D)``; float32 where it is large."""
    size, width = bits.shape
    kind: type = np.float64 if size <= _DIRECT else np.float32
    matrix: NDArray[Any] = np.ones((size, size), dtype=kind)
    spins: NDArray[np.float32] = 1 - 2 * bits.astype(np.float32)
    states: list[Any] = [(c.matrix.astype(kind), c.states(bits)) for c in confusions]
    covered = {bit for c in confusions for bit in c.bits}
    bare = [bit for bit in range(width) if bit not in covered]
    step = max(1, 2**22 // size)
    for start in range(0, size, step):
        rows = slice(start, start + step)
        for chances, state in states:
            matrix[rows] *= chances[state[rows, None], state]
        # Products of spins are exact in float32: the distance is half of what is missing from their number.
        matrix[rows][spins[rows] @ spins.T < width - 2 * distance] = 0
        if bare:
            matrix[rows][spins[rows][:, bare] @ spins[:, bare].T < len(bare)] = 0
    matrix /= matrix.sum(axis=0)
    return matrix


def nearest_probabilities(quasi: Floats) -> Floats:
    """Return the probabilities nearest to quasi-probabilities in the Euclidean norm (arXiv:1106.5458).

    Args:
        quasi: float64 ``(D,)`` with a positive sum; it is brought to one first.
    """
    values = np.asarray(quasi, dtype=np.float64)
    values = values / values.sum()
    ordered = np.sort(values)[::-1]
    surplus = (np.cumsum(ordered) - 1) / np.arange(1, len(ordered) + 1)
    last = np.flatnonzero(ordered > surplus)[-1]
    nearest = np.maximum(values - surplus[last], 0.0)
    return np.asarray(nearest / nearest.sum(), dtype=np.float64)


def whole_counts(probabilities: Floats, shots: int) -> NDArray[np.int64]:
    """Return non-negative integers nearest to ``shots * probabilities`` that sum to `shots`.

    Rounded down, and one more for the largest remainders; of equal ones the first.
    """
    exact = np.asarray(probabilities, dtype=np.float64) * shots
    counts = np.floor(exact + 1e-9).astype(np.int64)
    left = shots - int(counts.sum())
    order = np.argsort(counts - exact, kind="stable")
    if left >= 0:
        counts[order[:left]] += 1
    else:
        order = order[::-1][counts[order[::-1]] > 0]
        counts[order[:-left]] -= 1
    return counts
