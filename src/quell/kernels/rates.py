"""Rates of a Pauli-Lindblad channel from the decays of Paulis: non-negative least squares with ties.

The decays of Paulis under a layer are linear in the rates of its generators (arXiv:2201.09866), and the rates are not
negative. Some combinations of rates no such data can tell, whatever is measured: the design's null space. *Ties*,
rows that should be zero, decide them. They are made to act on the null space only, so data and ties never compete:
without the bounds, what can be learned is what the data alone say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_RANK: Final = 1e-8  # part of the largest pivot below which one is zero
_PART: Final = 1e-6  # share in the null space from which on a generator takes part in it
_LEAST_VARIANCE: Final = 1e-2  # part of the 10 % quantile of the variances that none is below
_TIE_WEIGHT: Final = 1e-6  # of the ties, relative to the data, where a bound makes them compete
_PATIENCE: Final = 10  # exchanges without progress before they are made one by one


@frozen(eq=False)
class RateFit:
    """Rates that explain M decays.

    Attributes:
        rates: float64 ``(K,)``, not negative.
        unbounded: float64 ``(K,)``, the rates as they would be without the bound.
        response: float64 ``(K, M)``, how much each rate moves per change of a decay: with the clipped rates held at
            zero for those that are not, and without bounds for the clipped ones, which are no better known for it. What
            the ties say counts as exact.
        residuals: float64 ``(M,)``, decays minus what the rates give, in the unit of the decays.
        chi_square: Sum of the squared residuals over the variances.
        dof: M minus the rank of the design's columns that are not clipped.
        rank: Rank of the design.
        clipped: bool ``(K,)``, whether a rate would be negative and is held at zero.
        tied: bool ``(K,)``, whether the data alone do not decide a rate.
        undecided: bool ``(K,)``, whether the ties do not decide it either: such combinations of rates are taken as
            zero.
    """

    rates: Floats
    unbounded: Floats
    response: Floats
    residuals: Floats
    chi_square: float
    dof: int
    rank: int
    clipped: Bools
    tied: Bools
    undecided: Bools

    @property
    def clipped_by(self) -> Floats:
        """By how much each clipped rate was below zero, float64 ``(K,)``; zero for the others."""
        return np.where(self.clipped, np.maximum(-self.unbounded, 0.0), 0.0)


def fit_rates(
    design: ArrayLike, decays: ArrayLike, variances: ArrayLike, ties: ArrayLike | None = None
) -> RateFit:
    """Fit rates to ``design @ rates = decays`` by weighted least squares, none of them negative.

    Args:
        design: float64 ``(M, K)``.
        decays: float64 ``(M,)``, minus the logarithms of fidelities.
        variances: float64 ``(M,)`` of the decays; if all are zero the decays count as exact, all alike.
        ties: float64 ``(T, K)``; what ``ties @ rates`` makes is brought to zero where the data leave it open.

    Returns:
        The rates and their linear response to the decays.

    Raises:
        ValueError: The shapes do not fit together, or a number is not finite, or a variance negative.
    """
    design = np.asarray(design, dtype=np.float64)
    decays = np.asarray(decays, dtype=np.float64)
    variances = np.asarray(variances, dtype=np.float64)
    if design.ndim != 2 or decays.shape != (len(design),) or variances.shape != decays.shape:
        raise ValueError(
            f"Design {design.shape}, decays {decays.shape}, variances {variances.shape} do not fit"
        )
    num_rates = design.shape[1]
    ties = np.zeros((0, num_rates)) if ties is None else np.asarray(ties, dtype=np.float64)
    if ties.ndim != 2 or ties.shape[1] != num_rates:
        raise ValueError(f"Ties {ties.shape} are not rows over {num_rates} rates")
    if (
        not all(np.isfinite(array).all() for array in (design, decays, variances, ties))
        or (variances < 0).any()
    ):
        raise ValueError("Design, decays and ties must be finite, and variances must not be negative")

    weights = 1 / _floored(variances)
    null = _null_space(design)
    weighted = design * weights[:, None]
    normal = design.T @ weighted
    # In these units every rate is about equally well known.
    scale = np.sqrt(np.maximum(normal.diagonal(), normal.diagonal().max(initial=0.0) * 1e-12))
    scale = np.where(scale > 0, scale, 1.0)
    closing, open_part = _closing(null, ties, scale)
    normal = normal / np.outer(scale, scale) + _TIE_WEIGHT * closing.T @ closing
    target = (weighted.T @ decays) / scale

    everything = np.ones(num_rates, dtype=bool)
    solve_all = _solver(normal, everything)
    unbounded = solve_all(target)
    free = _free_rates(normal, target, unbounded)
    solve = solve_all if free.all() else _solver(normal, free)
    rates = np.zeros(num_rates)
    rates[free] = np.maximum(solve(target[free]), 0.0)
    response = np.empty((num_rates, len(design)))
    response[free] = solve((weighted.T / scale[:, None])[free])
    if not free.all():
        columns = solve_all(np.eye(num_rates)[:, ~free])
        response[~free] = columns.T @ (weighted.T / scale[:, None])
    rates, unbounded, response = rates / scale, unbounded / scale, response / scale[:, None]

    rank = num_rates - null.shape[1]
    active_rank = rank if free.all() else int(free.sum()) - _null_space(design[:, free]).shape[1]
    residuals = decays - design @ rates
    return RateFit(
        rates=rates,
        unbounded=unbounded,
        response=response,
        residuals=residuals,
        chi_square=float((weights * residuals**2).sum()),
        dof=len(design) - active_rank,
        rank=rank,
        clipped=~free,
        tied=np.abs(null).max(axis=1, initial=0.0) > _PART,
        undecided=np.abs(open_part).max(axis=1, initial=0.0) > _PART,
    )


def _floored(variances: Floats) -> Floats:
    """Return the variances, none of them so small that a single decay decides all."""
    positive = variances[variances > 0]
    if not len(positive):
        return np.ones_like(variances)
    return np.maximum(variances, _LEAST_VARIANCE * float(np.quantile(positive, 0.1)))


def _null_space(design: Floats) -> Floats:
    """Return an orthonormal basis of the rates the design does not see, float64 ``(K, q)``."""
    num_rates = design.shape[1]
    if not num_rates:
        return np.zeros((0, 0))
    gram = design.T @ design
    factor, pivots, rank, _ = linalg.lapack.dpstrf(
        gram, tol=_RANK * max(float(gram.diagonal().max()), 1e-300)
    )
    order = pivots - 1
    null = np.zeros((num_rates, num_rates - rank))
    if rank < num_rates:
        null[order[rank:], np.arange(num_rates - rank)] = 1.0
        if rank:
            null[order[:rank]] = -linalg.solve_triangular(factor[:rank, :rank], factor[:rank, rank:])
        null = linalg.qr(null, mode="economic")[0]
    return null


def _closing(null: Floats, ties: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Return rows that, brought to zero, close the null space in the way the ties say; and what the ties leave open.

    Args:
        null: Orthonormal basis of the null space, float64 ``(K, q)``.
        ties: float64 ``(T, K)``.
        scale: float64 ``(K,)``, what rates are multiplied with in the units of the rows.

    Returns:
        rows: float64 ``(q, K)``, for rates times `scale`. On an orthonormal basis of the null space they are the
            identity: they can be zero whatever the data say, so any weight of them is exact.
        open_part: float64 ``(K, p)``, basis of the part of the null space that changes no tie.
    """
    left, sizes, right = linalg.svd(ties @ null, full_matrices=True)
    rank = int((sizes > 1e-6 * sizes.max(initial=0.0)).sum())
    open_part = null @ right[rank:].T
    # Least squares of the ties over the null space is solved where these combinations of them vanish.
    rows = np.concatenate([left[:, :rank].T @ ties, open_part.T]) / scale
    if not len(rows):
        return rows, open_part
    basis = linalg.qr(null * scale[:, None], mode="economic")[0]
    return linalg.solve(rows @ basis, rows), open_part


def _solver(normal: Floats, free: Bools) -> Callable[[Floats], Floats]:
    """Return what solves the normal equations of the free rates."""
    factor = linalg.cho_factor(normal[np.ix_(free, free)], check_finite=False)

    def solve(right: Floats) -> Floats:
        solution: Floats = linalg.cho_solve(factor, right, check_finite=False)
        return solution

    return solve


def _free_rates(normal: Floats, target: Floats, start: Floats) -> Bools:
    """Return which rates are not held at zero where the squares are least under ``rates >= 0``.

    Block principal pivoting: all rates that violate their condition change sides at once; if that stops making
    progress only the last of them does (Murty's rule), which always ends.
    """
    tolerance = 1e-9 * float(np.abs(start).max(initial=0.0)), 1e-10 * float(np.abs(target).max(initial=0.0))
    free = np.ones(len(target), dtype=bool)
    rates = start
    fewest, patience = len(target) + 1, _PATIENCE
    for _ in range(100 + 3 * len(target)):
        slopes = normal @ rates - target
        wrong = np.where(free, rates < -tolerance[0], slopes < -tolerance[1])
        count = int(wrong.sum())
        if not count:
            break
        if count < fewest:
            fewest, patience = count, _PATIENCE
        elif patience:
            patience -= 1
        else:
            wrong = np.arange(len(wrong)) == np.flatnonzero(wrong)[-1]
        free ^= wrong
        rates = np.zeros(len(target))
        if free.any():
            rates[free] = _solver(normal, free)(target[free])
    return free
