"""Models that are not linear in their parameters: decays, and functions of users.

Error bars come from the model's linear response at the optimum (the delta method). That is right as long as the
model is straight over the width of the errors; where it is not, the fit says that the data do not determine it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np
from attrs import field, frozen, validators
from numpy.typing import ArrayLike, NDArray

from .curves import Curves, Fit, Floats, Texts, apply, contradicted, prepared
from .levenberg import Evaluate, minimise

#: Curves that are fitted at the same time: what bounds the memory of the grid.
_CHUNK: Final = 8192
#: A rate is looked for between these, in units of one over the whole range and the first gap between factors.
_LOWEST, _HIGHEST = -8.0, 30.0
#: Growth with noise that is this many standard errors away from none contradicts a decay.
_GROWTH: Final = 3.5
#: How far the linear response may be off one standard error away from the optimum, relatively. Both bounds are chosen
#: by coverage of nominal 95 % intervals, see `_judged`.
_BENT: Final = 1.0
#: A sum of decays is trusted where the extrapolated value is this many of its standard errors away from zero.
_SIGNIFICANT: Final = 1.5
_OPEN: Final = "the data do not determine the parameters"


@frozen
class Exponential:
    """A sum of decays, ``sum_k a_k exp(-b_k x)``.

    Amplitudes are linear, so only rates are searched for (variable projection, Golub and Pereyra 1973), from the best
    point of a grid. Amplitudes may have either sign. Rates may come out slightly negative: cutting them off at
    zero would shift the mean of repeated experiments.

    Attributes:
        num_terms: 1 ("exponential") or 2 ("double_exponential").
    """

    num_terms: int = field(default=1, validator=validators.in_((1, 2)))

    @property
    def name(self) -> str:
        """The name in options and results."""
        return "exponential" if self.num_terms == 1 else "double_exponential"

    @property
    def num_parameters(self) -> int:
        """Amplitudes and rates."""
        return 2 * self.num_terms

    def fit(self, factors: ArrayLike, values: ArrayLike, covariances: ArrayLike, at: ArrayLike) -> Fit:
        """Fit T curves; see `Extrapolator.fit`."""
        curves = prepared(factors, values, covariances, at, self.num_parameters, self.name)
        return _in_chunks(curves, self.name, self.num_parameters, self._chunk)

    def _chunk(self, curves: Curves) -> _Solution:
        # Measured from the first point, so that amplitudes are values that were measured.
        x = curves.factors - curves.factors[0]
        low, high = _LOWEST / x[-1], _HIGHEST / x[1]
        data, num_terms = curves.whitened, self.num_terms

        def columns(rates: Floats, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
            decays = np.exp(-x[None, :, None] * rates[:, None, :])
            whiten = curves.whiten[rows]
            return whiten @ decays, whiten @ (-x[:, None] * decays)

        def evaluate(rates: Floats, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
            decays, slopes = columns(rates, rows)
            amplitudes, orthonormal = _amplitudes(decays, data[rows])
            slopes *= amplitudes[:, None, :]
            transposed = orthonormal.swapaxes(1, 2)
            residuals = apply(orthonormal, apply(transposed, data[rows])) - data[rows]
            # Kaufman's form of the Jacobian: what amplitudes cannot follow.
            return residuals, slopes - orthonormal @ (transposed @ slopes)

        grid = np.sinh(np.linspace(np.arcsinh(low), np.arcsinh(high), 48))
        starts = _decay_starts(curves, x, grid) if num_terms == 1 else _pair_starts(curves, x, grid[::2])
        rates, squares, converged = _search(evaluate, starts, curves, self.num_parameters, low, high)
        rows = np.arange(len(rates))
        decays, slopes = columns(rates, rows)
        amplitudes, _ = _amplitudes(decays, data)
        distance = curves.at - curves.factors[0]

        def model(parameters: Floats, distances: Floats) -> Floats:
            weights, speeds = parameters[:, None, :num_terms], parameters[:, None, num_terms:]
            terms = weights * np.exp(np.clip(-distances[None, :, None] * speeds, -700, 300))
            values: Floats = terms.sum(axis=2)
            return values

        growth = np.exp(np.clip(-distance[None, :, None] * rates[:, None, :], -700, 300))
        return _Solution(
            parameters=np.concatenate([amplitudes, rates], axis=1),
            jacobian=np.concatenate([decays, slopes * amplitudes[:, None, :]], axis=2),
            gradient=np.concatenate(
                [growth, -distance[None, :, None] * growth * amplitudes[:, None, :]], axis=2
            ),
            squares=squares,
            converged=converged,
            model=lambda parameters, measured: model(parameters, x if measured else distance),
            inside=((rates > 0.99 * low) & (rates < 0.99 * high)).all(axis=1),
            rates=slice(num_terms, None),
            decays=True,
        )


Start = Sequence[float] | Callable[[Floats, Floats], ArrayLike]


@frozen(eq=False)
class Model:
    """A function of the user, ``function(x, *parameters)``.

    Attributes:
        function: Works on arrays: `x` is float64 ``(F,)``, each parameter ``(n, 1)``, the result ``(n, F)``.
        num_parameters: Parameters after `x`.
        label: Name; by default that of the function. The argument is `name`.
        start: Parameters to start from, ``(p,)``, or a function of noise factors ``(F,)`` and values ``(T, F)`` that
            returns ``(T, p)``. By default a few points are tried until one leads to a
            fit that the data do not contradict.
    """

    function: Callable[..., Any] = field(validator=validators.is_callable())
    num_parameters: int = field(validator=[validators.instance_of(int), validators.ge(1)])
    label: str | None = field(default=None, alias="name")
    start: Start | None = None

    @property
    def name(self) -> str:
        """The name in options and results."""
        return getattr(self.function, "__name__", "model") if self.label is None else self.label

    def fit(self, factors: ArrayLike, values: ArrayLike, covariances: ArrayLike, at: ArrayLike) -> Fit:
        """Fit T curves; see `Extrapolator.fit`."""
        curves = prepared(factors, values, covariances, at, self.num_parameters, self.name)
        return _in_chunks(curves, self.name, self.num_parameters, self._chunk)

    def _chunk(self, curves: Curves) -> _Solution:
        data = curves.whitened

        def values_at(parameters: Floats, points: Floats) -> Floats:
            with np.errstate(all="ignore"):  # wherever a search may lead
                result = self.function(points, *(column[:, None] for column in parameters.T))
            return np.broadcast_to(np.asarray(result, dtype=float), (len(parameters), len(points)))

        def evaluate(parameters: Floats, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
            residuals = apply(curves.whiten[rows], values_at(parameters, curves.factors)) - data[rows]
            return residuals, curves.whiten[rows] @ _derivatives(values_at, parameters, curves.factors)

        parameters, squares, converged = _search(evaluate, self._starts(curves), curves, self.num_parameters)
        with np.errstate(all="ignore"):
            _, jacobian = evaluate(parameters, np.arange(len(parameters)))
        return _Solution(
            parameters=parameters,
            jacobian=jacobian,
            gradient=_derivatives(values_at, parameters, curves.at),
            squares=squares,
            converged=converged,
            model=lambda where, measured: values_at(where, curves.factors if measured else curves.at),
            inside=np.ones(len(parameters), dtype=bool),
        )

    def _starts(self, curves: Curves) -> Sequence[Floats]:
        shape = (len(curves.values), self.num_parameters)
        if self.start is not None:
            given = self.start(curves.factors, curves.values) if callable(self.start) else self.start
            return [np.array(np.broadcast_to(np.asarray(given, dtype=float), shape))]
        # The first parameter is an amplitude or an offset more often than not.
        starts = [np.ones(shape)]
        for rest in (0.1, 1.0, -0.1):
            starts.append(np.full(shape, rest))
            starts[-1][:, 0] = curves.values[:, 0]
        return starts


@frozen(eq=False)
class _Solution:
    """What a search found.

    Attributes:
        parameters: float64 ``(n, p)``.
        jacobian: float64 ``(n, F, p)`` of the model at the data, in standard errors.
        gradient: float64 ``(n, E, p)`` of the model at the evaluation points.
        squares: float64 ``(n,)``, chi^2.
        converged: bool ``(n,)``.
        model: Parameters to values at the noise factors (True) or at the evaluation points (False).
        inside: bool ``(n,)``, whether the optimum is not on a bound.
        rates: Columns of parameters that decays have positive.
        decays: Whether the model is a sum of decays.
    """

    parameters: Floats
    jacobian: Floats
    gradient: Floats
    squares: Floats
    converged: NDArray[np.bool_]
    model: Callable[[Floats, bool], Floats]
    inside: NDArray[np.bool_]
    rates: slice = slice(0, 0)
    decays: bool = False


def _in_chunks(curves: Curves, name: str, num_parameters: int, chunk: Callable[[Curves], _Solution]) -> Fit:
    """Fit the usable curves, a chunk at a time, and judge them."""
    shape = len(curves.values), len(curves.at), len(curves.factors)
    values, responses = np.zeros(shape[:2]), np.zeros(shape)
    chi_squares, status = np.zeros(shape[0]), np.full(shape[0], "", dtype=object)
    usable = np.flatnonzero(curves.status == "")
    for first in range(0, len(usable), _CHUNK):
        rows = usable[first : first + _CHUNK]
        part = Curves(
            curves.factors,
            curves.values[rows],
            curves.at,
            curves.whiten[rows],
            curves.known[rows],
            curves.status[rows],
        )
        solution = chunk(part)
        with np.errstate(all="ignore"):
            answer, direct, status[rows] = _judged(part, solution, num_parameters)
        values[rows], responses[rows], chi_squares[rows] = answer, direct, solution.squares
    return curves.fitted(name, num_parameters, values, responses, chi_squares, status)


def _judged(curves: Curves, solution: _Solution, num_parameters: int) -> tuple[Floats, Floats, Texts]:
    """Return values, responses, and what is wrong.

    The linear response is trusted if one standard error away from the optimum, on either side, value and chi^2 are
    about where it says, and if a decay's value differs from zero: near zero its rate is arbitrary. Exponentials of
    amplitude and rate 0.02 to 1 with errors 0.002 to 0.05, nominal 95 % intervals: 94.5, 94.9, 94.7 % cover at
    factors (1, 3, 5), (1, 2, 3), (1, 1.5, 2), where 91 to 93 % of all fits pass. Stricter bounds cover hardly better,
    and leave curves to models that are worse.
    """
    parameters, known = solution.parameters, curves.known
    inverse, full_rank = _inverse(solution.jacobian)
    values = solution.model(parameters, False)
    responses = solution.gradient @ inverse @ curves.whiten
    trusted = full_rank & solution.inside
    if len(curves.at):
        trusted &= _straight(curves, solution, inverse, values)
    slopes, rates = parameters[:, solution.rates], np.linalg.norm(inverse[:, solution.rates], axis=2)
    grows = (slopes < -_GROWTH * rates).any(axis=1) & full_rank & solution.inside
    misfit = contradicted(solution.squares, len(curves.factors) - num_parameters)
    finite = np.isfinite(solution.squares)
    status = np.full(len(values), "", dtype=object)
    # From the least to the most telling; without errors only the search itself can fail.
    status[~np.where(known, trusted, full_rank)] = "the data do not determine the parameters"
    status[~solution.converged & solution.inside & (status == "")] = "the fit did not converge"
    status[grows & known] = "the values grow with the noise"
    for row in np.flatnonzero(misfit & known & finite):
        status[row] = f"does not fit: chi^2 = {solution.squares[row]:.3g}"
    status[~finite] = "the model is not finite"
    return values, responses, status


def _straight(curves: Curves, solution: _Solution, inverse: Floats, values: Floats) -> NDArray[np.bool_]:
    """Return where the value farthest towards zero noise follows its linear response, bool ``(n,)``."""
    least = int(np.argmin(curves.at))
    value = values[:, least]
    whitened = apply(inverse.swapaxes(1, 2), solution.gradient[:, least])
    sigma = np.linalg.norm(whitened, axis=1)
    step = apply(inverse, whitened) / np.where(sigma > 0, sigma, 1.0)[:, None]
    straight = np.ones(len(values), dtype=bool)
    for sign in (1, -1):
        there = solution.parameters + sign * step
        moved = sign * (solution.model(there, False)[:, least] - value)
        residuals = apply(curves.whiten, solution.model(there, True) - curves.values)
        # Units of sigma on both sides; which of the two bends depends on how the model is parametrised.
        climbed = np.sqrt(np.maximum((residuals**2).sum(axis=1) - solution.squares, 0.0))
        # Written so that what is not a number counts as bent.
        straight &= np.abs(moved - climbed * sigma) <= _BENT * climbed * sigma
    if solution.decays:
        straight &= np.abs(value) >= _SIGNIFICANT * sigma
    return np.asarray(straight | (sigma == 0), dtype=bool)


def _inverse(jacobian: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return pseudo-inverses ``(n, p, F)`` and whether they are good, bool ``(n,)``."""
    norms = np.linalg.norm(jacobian, axis=1)
    sound = np.isfinite(norms).all(axis=1) & (norms > 1e-300).all(axis=1)
    norms = np.where(sound[:, None], norms, 1.0)
    scaled = np.where(sound[:, None, None], jacobian, 0.0) / norms[:, None, :]
    orthonormal, triangle = np.linalg.qr(scaled)
    diagonal = np.abs(np.diagonal(triangle, axis1=1, axis2=2))
    sound &= (diagonal > 1e-9).all(axis=1)
    triangle = np.where(sound[:, None, None], triangle, np.eye(jacobian.shape[2]))
    inverse = np.linalg.solve(triangle, orthonormal.swapaxes(1, 2)) / norms[:, :, None]
    return inverse, sound


def _amplitudes(columns: Floats, data: Floats) -> tuple[Floats, Floats]:
    """Return linear parameters ``(n, k)`` and orthonormal columns ``(n, F, k)``."""
    norms = np.maximum(np.linalg.norm(columns, axis=1), 1e-300)
    orthonormal, triangle = np.linalg.qr(columns / norms[:, None, :])
    size = triangle.shape[1]
    diagonal = np.diagonal(triangle, axis1=1, axis2=2)
    # Equal rates: any split of the amplitude will do, the damping keeps it finite.
    lift = np.where(np.abs(diagonal) < 1e-12, np.copysign(1e-12, diagonal), 0.0)
    triangle = triangle + lift[:, :, None] * np.eye(size)
    projected = orthonormal.swapaxes(1, 2) @ data[:, :, None]
    return np.linalg.solve(triangle, projected)[:, :, 0] / norms, orthonormal


def _search(
    evaluate: Evaluate,
    starts: Iterable[Floats],
    curves: Curves,
    num_parameters: int,
    low: float = -np.inf,
    high: float = np.inf,
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Minimise from the first start, and from others where that did not lead to a fit; see `minimise`."""
    scale = np.linalg.norm(curves.whitened, axis=1)
    dof = len(curves.factors) - num_parameters
    found: tuple[Floats, Floats, NDArray[np.bool_]] | None = None
    for start in starts:
        if found is None:
            found = minimise(evaluate, start, scale, low, high)
            continue
        parameters, squares, converged = found
        again = np.flatnonzero(~converged | contradicted(squares, dof))
        if not len(again):
            break

        def subset(
            where: Floats, rows: NDArray[np.int64], of: NDArray[np.int64] = again
        ) -> tuple[Floats, Floats]:
            return evaluate(where, of[rows])

        other, fewer, ended = minimise(subset, start[again], scale[again], low, high)
        better = np.where(ended == converged[again], fewer < squares[again], ended)
        won = again[better]
        parameters[won], squares[won], converged[won] = other[better], fewer[better], ended[better]
    assert found is not None
    return found


def _decay_starts(curves: Curves, x: Floats, grid: Floats) -> Iterator[Floats]:
    """Yield the rates ``(n, 1)`` of the grid whose decay, with its best amplitude, comes closest."""
    shapes = np.exp(-x[:, None] * grid)
    # Strong correlations make chi^2 rugged; distances that ignore them are the second try.
    for decays, data in ((curves.whiten @ shapes, curves.whitened), (shapes[None], curves.values)):
        decays = decays / np.linalg.norm(decays, axis=1)[:, None, :]
        overlap = np.matmul(data[:, None, :], decays)[:, 0, :]
        yield grid[np.argmax(np.abs(overlap), axis=1)][:, None]


def _pair_starts(curves: Curves, x: Floats, grid: Floats) -> Iterator[Floats]:
    """Yield the rates ``(n, 2)`` of the grid whose decays, with their best amplitudes, come closest."""
    decays = curves.whiten @ np.exp(-x[:, None] * grid)
    decays /= np.linalg.norm(decays, axis=1)[:, None, :]
    overlap = np.matmul(curves.whitened[:, None, :], decays)[:, 0, :]
    explained = []
    for i in range(len(grid) - 1):
        cosine = np.matmul(decays[:, None, :, i], decays[:, :, i + 1 :])[:, 0, :]
        first, second = overlap[:, i, None], overlap[:, i + 1 :]
        sine = np.maximum(1 - cosine**2, 1e-9)
        explained.append((first**2 + second**2 - 2 * cosine * first * second) / sine)
    every, pairs = np.concatenate(explained, axis=1), np.array(list(combinations(range(len(grid)), 2)))
    # Neighbours on the grid may run into each other and stay together; then others are tried that are farther apart.
    for apart in (1, 5, 9, 13):
        far = pairs[:, 1] - pairs[:, 0] >= apart
        yield grid[pairs[far][np.argmax(every[:, far], axis=1)]]


def _derivatives(values_at: Callable[[Floats, Floats], Floats], parameters: Floats, points: Floats) -> Floats:
    """Return central differences ``(n, P, p)`` of a model's values ``(n, P)``."""
    steps = 6e-6 * np.where(parameters == 0, 1.0, np.maximum(np.abs(parameters), 1e-4))
    slopes = []
    for index in range(parameters.shape[1]):
        shift = np.zeros_like(parameters)
        shift[:, index] = steps[:, index]
        difference = values_at(parameters + shift, points) - values_at(parameters - shift, points)
        slopes.append(difference / (2 * steps[:, index, None]))
    return np.stack(slopes, axis=2)
