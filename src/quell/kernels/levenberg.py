"""Levenberg and Marquardt's method for many small least-squares problems at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Parameters (n, p) and the indices of their problems (n,) to residuals (n, F) and Jacobian (n, F, p).
Evaluate = Callable[[Floats, NDArray[np.int64]], tuple[Floats, Floats]]

_MAX_ITERATIONS: Final = 100
#: A step that moves the model by less than this, in standard errors of the data or relative to them, is the last.
_SMALL_STEP, _SMALL_RELATIVE_STEP = 1e-6, 1e-10
_FIRST_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-3, 1e-12, 1e12
#: The part of the expected decrease that a step must bring to be damped less from then on, or not more.
_GOOD, _FAIR = 0.75, 0.25


def minimise(
    evaluate: Evaluate, start: Floats, scale: Floats, low: float = -np.inf, high: float = np.inf
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Minimise the sums of squares of T problems.

    A problem takes part until it has converged, so a few hard ones cost no more than themselves. Residuals that are
    not finite are never stepped onto. A parameter may end on a bound; that counts as converged.

    Args:
        evaluate: Residuals, in standard errors, and their derivatives.
        start: float64 ``(T, p)``.
        scale: float64 ``(T,)``, length of the data in standard errors: what rounding is relative to.
        low: Bound of all parameters.
        high: Likewise.

    Returns:
        parameters: float64 ``(T, p)``.
        squares: float64 ``(T,)``, sums of squares; infinite if they are not finite at the start.
        converged: bool ``(T,)``.
    """
    parameters = np.clip(start, low, high)
    everyone = np.arange(len(parameters))
    residuals, jacobian, squares = _evaluated(evaluate, parameters, everyone)
    damping = np.full(len(parameters), _FIRST_DAMPING)
    converged = np.zeros(len(parameters), dtype=bool)
    small = _SMALL_STEP + _SMALL_RELATIVE_STEP * scale
    active = np.flatnonzero(np.isfinite(squares))
    for _ in range(_MAX_ITERATIONS):
        if not len(active):
            break
        now = parameters[active]
        slopes = _inwards(now, residuals[active], jacobian[active], low, high)
        step = np.clip(now + _step(residuals[active], slopes, damping[active]), low, high) - now
        change = np.matmul(jacobian[active], step[:, :, None])[:, :, 0]
        moved = np.linalg.norm(change, axis=1)
        new_residuals, new_jacobian, new_squares = _evaluated(evaluate, now + step, active)
        noise = 1e-14 * squares[active] + 1e-15 * scale[active] ** 2  # of rounding
        expected = np.maximum(-(change * (2 * residuals[active] + change)).sum(axis=1), 0.0)
        lost, hoped = squares[active] - new_squares + noise, expected + noise
        better = lost >= 0
        won = active[better]
        parameters[won] += step[better]
        residuals[won], jacobian[won], squares[won] = (
            new_residuals[better],
            new_jacobian[better],
            new_squares[better],
        )
        # A step is small for the right reason only if damping is not what made it so.
        done = (moved <= small[active]) & (damping[active] <= 1)
        converged[active[done]] = True
        # Where the model bends, undamped steps go back and forth across the minimum without coming closer.
        factor = np.select([lost >= _GOOD * hoped, lost >= _FAIR * hoped, better], [0.1, 1.0, 4.0], 8.0)
        damping[active] = np.clip(damping[active] * factor, _LEAST_DAMPING, np.inf)
        active = active[~done & (damping[active] < _MOST_DAMPING)]
    return parameters, squares, converged


def _evaluated(
    evaluate: Evaluate, parameters: Floats, rows: NDArray[np.int64]
) -> tuple[Floats, Floats, Floats]:
    with np.errstate(all="ignore"):
        residuals, jacobian = evaluate(parameters, rows)
        squares = (residuals**2).sum(axis=1)
        finite = np.isfinite(squares) & np.isfinite(jacobian).all(axis=(1, 2))
    return (
        np.where(finite[:, None], residuals, 0.0),
        np.where(finite[:, None, None], jacobian, 0.0),
        np.where(finite, squares, np.inf),
    )


def _inwards(now: Floats, residuals: Floats, jacobian: Floats, low: float, high: float) -> Floats:
    """Return the Jacobian without the parameters that are on a bound and would leave it, float64 ``(n, F, p)``.

    A step that they take part in is the wrong one for the others once it is cut off.
    """
    on_low, on_high = now <= low, now >= high
    if not (on_low.any() or on_high.any()):
        return jacobian
    gradient = np.matmul(residuals[:, None, :], jacobian)[:, 0, :]
    stuck = (on_low & (gradient > 0)) | (on_high & (gradient < 0))
    return np.where(stuck[:, None, :], 0.0, jacobian)


def _step(residuals: Floats, jacobian: Floats, damping: Floats) -> Floats:
    """Return the damped step, float64 ``(n, p)``. Columns are scaled to one, so units do not matter."""
    norms = np.linalg.norm(jacobian, axis=1)
    norms = np.where(norms > 1e-300, norms, 1.0)
    scaled = jacobian / norms[:, None, :]
    transposed = scaled.swapaxes(1, 2)
    normal = transposed @ scaled + damping[:, None, None] * np.eye(jacobian.shape[2])
    gradient = transposed @ residuals[:, :, None]
    # Damping may be far below rounding; a parameter without any effect keeps the matrix singular without this.
    normal += 1e-14 * np.eye(jacobian.shape[2])
    step: Floats = -np.linalg.solve(normal, gradient)[:, :, 0] / norms
    return step
