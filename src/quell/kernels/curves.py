"""Curves of values against noise: their data, what a fit returns, and the models that are linear.

A fit gives values and their *response* to the data, d value / d data. With it any covariance of the data becomes
one of the values, those of other terms and of shared calibrations included; nothing here draws a bootstrap.
Errors of the data are known, so no error bar is rescaled by how well a model happens to fit: three points of
sigma 0.01 that lie on a line by chance still have sigma 0.01.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import numpy as np
from attrs import field, frozen, validators
from numpy.polynomial.chebyshev import chebvander
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc

from ..errors import InputError, Problem

Floats = NDArray[np.float64]
Texts = NDArray[np.object_]

#: Data that a model explains with less than this probability contradict it.
CONTRADICTED: Final = 1e-3
#: How the status of a model begins that cannot even be asked, see `attempt`.
UNUSABLE: Final = "cannot be used: "
_NOT_FINITE: Final = "the extrapolated value is not finite"
#: Smallest eigenvalue of a covariance, relative to its trace: a point without error is very precise, not infinitely.
_FLOOR: Final = 1e-12
#: Numbers larger than this count as infinite, errors smaller than its inverse as none: their squares are still finite.
_LARGE: Final = 1e50


@frozen(eq=False)
class Fit:
    """One model fitted to T curves of F points.

    Attributes:
        name: Name of the model.
        num_parameters: Its free parameters; F less these are the degrees of freedom.
        values: float64 ``(T, E)``, the model at the evaluation points; where the fit failed, the value measured at
            the smallest noise factor (0 if that is not finite).
        responses: float64 ``(T, E, F)``, d values / d data: a covariance C of the data gives the value the variance
            ``r @ C @ r``. Where the fit failed, 1 at the smallest noise factor.
        chi_squares: float64 ``(T,)``, residual^T C^-1 residual; 0 where there are no errors to compare with.
        status: str ``(T,)``, empty where the fit is good, else the reason in plain words.
    """

    name: str
    num_parameters: int
    values: Floats
    responses: Floats
    chi_squares: Floats
    status: Texts

    @property
    def good(self) -> NDArray[np.bool_]:
        """Where the fit did not fail, bool ``(T,)``."""
        return np.asarray(self.status == "", dtype=bool)

    @property
    def contradicted(self) -> NDArray[np.bool_]:
        """Where the data contradict the model (probability of chi^2 below 1e-3), bool ``(T,)``."""
        return contradicted(self.chi_squares, self.responses.shape[2] - self.num_parameters)


class Extrapolator(Protocol):
    """A model of value against noise."""

    @property
    def name(self) -> str:
        """The name in options and results."""

    @property
    def num_parameters(self) -> int:
        """Free parameters: the least number of noise factors."""

    def fit(self, factors: ArrayLike, values: ArrayLike, covariances: ArrayLike, at: ArrayLike) -> Fit:
        """Fit T curves and evaluate them at other noise factors.

        Args:
            factors: float64 ``(F,)``, noise factors, ascending and distinct.
            values: float64 ``(T, F)``.
            covariances: float64 ``(T, F, F)`` of the values of each curve, known absolutely. Singular ones get a tiny
                floor; all-zero ones mean equal weights.
            at: float64 ``(E,)``, noise factors to evaluate at.

        Raises:
            InputError: If there are too few factors, they do not ascend, or shapes do not fit each other.
        """


@frozen(eq=False)
class Curves:
    """Checked data of T curves, in which what is not finite is replaced by harmless numbers.

    Attributes:
        factors: float64 ``(F,)``.
        values: float64 ``(T, F)``.
        at: float64 ``(E,)``.
        whiten: float64 ``(T, F, F)``, maps values to values with independent errors of one.
        known: bool ``(T,)``, whether there are errors at all.
        status: str ``(T,)``, why a curve cannot be used.
    """

    factors: Floats
    values: Floats
    at: Floats
    whiten: Floats
    known: NDArray[np.bool_]
    status: Texts

    @property
    def whitened(self) -> Floats:
        """Values with independent errors of one, float64 ``(T, F)``."""
        return apply(self.whiten, self.values)

    def fitted(
        self,
        name: str,
        num_parameters: int,
        values: Floats,
        responses: Floats,
        chi_squares: Floats,
        status: Texts | None = None,
    ) -> Fit:
        """Return the fit, with stand-ins where it failed; `status` is what the model has to say."""
        texts = self.status if status is None else np.where(self.status == "", status, self.status)
        finite = np.isfinite(values).all(axis=1) & np.isfinite(responses).all(axis=(1, 2))
        texts = np.where((texts == "") & ~finite, _NOT_FINITE, texts)
        failed = texts != ""
        smallest = np.zeros(len(self.factors))
        smallest[0] = 1.0
        chi_squares = np.where(self.known & np.isfinite(chi_squares), chi_squares, 0.0)
        return Fit(
            name,
            num_parameters,
            np.where(failed[:, None], self.values[:, :1], values),
            np.where(failed[:, None, None], smallest, responses),
            np.where(self.status == "", chi_squares, 0.0),
            texts.astype(object),
        )


def attempt(model: Extrapolator, factors: Floats, values: Floats, covariances: Floats, at: Floats) -> Fit:
    """Fit with a model that anybody wrote; what it raises, or returns in a wrong form, is the status of its curves.

    Arguments and result are those of `Extrapolator.fit`; the model gets copies of the data.
    """
    fit: Any = None
    try:
        fit = model.fit(factors.copy(), values.copy(), covariances.copy(), at.copy())
        wrong = "" if isinstance(fit, Fit) else f"it returns a {type(fit).__name__}, not a Fit"
    except Exception as error:  # of the user's code; the data must not be lost for it
        wrong = f"it raises {type(error).__name__}: {error}"
    if isinstance(fit, Fit):
        shapes = {
            "values": (len(values), len(at)),
            "responses": (len(values), len(at), len(factors)),
            "chi_squares": (len(values),),
            "status": (len(values),),
        }
        found = {name: np.shape(getattr(fit, name)) for name in shapes}
        wrong = "; ".join(f"{k} have shape {found[k]}, not {v}" for k, v in shapes.items() if found[k] != v)
    wrong = f"{UNUSABLE}{wrong}" if wrong else ""
    curves = Curves(
        factors,
        np.where(np.isfinite(values), values, 0.0),
        at,
        np.broadcast_to(np.eye(len(factors)), covariances.shape),
        np.ones(len(values), dtype=bool),
        np.full(len(values), wrong, dtype=object),
    )
    if wrong:
        zeros = np.zeros((len(values), len(at), len(factors)))
        return curves.fitted(model.name, int(model.num_parameters), zeros[..., 0], zeros, zeros[:, 0, 0])
    values, responses, squares = (
        np.asarray(part, dtype=float) for part in (fit.values, fit.responses, fit.chi_squares)
    )
    status = np.asarray(fit.status, dtype=object)
    return curves.fitted(fit.name, fit.num_parameters, values, responses, squares, status)


def unusable(fit: Fit) -> str:
    """Return why a model is of no use whatever the data, empty if it may be of some; a bad fit is no such reason."""
    broken = all(text.startswith(UNUSABLE) or text == _NOT_FINITE for text in fit.status)
    return str(fit.status[0]) if len(fit.status) and broken else ""


def contradicted(chi_squares: Floats, dof: int) -> NDArray[np.bool_]:
    """Return where chi^2 with `dof` degrees of freedom is too large to be chance, bool, shape of `chi_squares`.

    Without degrees of freedom it is compared as if there were one: a model can be unable to reach all points.
    """
    # Rounding leaves an exact fit of precise data a chi^2 of its own; it is far below one.
    return np.asarray(chdtrc(max(dof, 1), np.maximum(chi_squares, 0.0)) < CONTRADICTED, dtype=bool)


def prepared(
    factors: ArrayLike, values: ArrayLike, covariances: ArrayLike, at: ArrayLike, least: int, name: str
) -> Curves:
    """Check data and find what makes their errors independent; see `Extrapolator.fit`."""
    x, y = np.asarray(factors, dtype=float), np.asarray(values, dtype=float)
    errors, points = np.asarray(covariances, dtype=float), np.asarray(at, dtype=float)
    _check(x, y, errors, points, least, name)
    # Comparisons with what is not a number are false.
    sound = np.abs(y) < _LARGE
    finite = sound.all(axis=1)
    bounded = (np.abs(errors) < _LARGE**2).all(axis=(1, 2))
    errors = np.where(bounded[:, None, None], errors, 0.0)
    trace = np.trace(errors, axis1=1, axis2=2)
    known = trace > _LARGE**-2
    scale = np.where(known, trace, 1.0)
    errors = np.where(known[:, None, None], errors / scale[:, None, None], np.eye(len(x)))
    # Eigenvectors rather than a Cholesky factor: no singular covariance is an error.
    spectrum, vectors = np.linalg.eigh((errors + errors.swapaxes(1, 2)) / 2)
    roots = np.sqrt(np.maximum(spectrum, _FLOOR) * scale[:, None])
    status = np.where(
        finite, np.where(bounded, "", "the covariance is not finite"), "the values are not finite"
    )
    return Curves(
        x,
        np.where(sound, y, 0.0),
        points,
        vectors.swapaxes(1, 2) / roots[:, :, None],
        known,
        status.astype(object),
    )


def _check(x: Floats, y: Floats, errors: Floats, points: Floats, least: int, name: str) -> None:
    problems = []
    if x.ndim != 1 or not np.isfinite(x).all() or np.any(np.diff(x) <= 0):
        problems.append(Problem("factors", f"{x.tolist()} must be finite, distinct and ascending"))
    elif len(x) < least:
        problems.append(
            Problem(
                "factors", f"{name} needs at least {least} noise factors, there are {len(x)}", "measure more"
            )
        )
    if y.ndim != 2 or y.shape[1:] != x.shape:
        problems.append(Problem("values", f"have shape {y.shape}, not (curves, {x.size})"))
    elif errors.shape != (*y.shape, x.size):
        problems.append(Problem("covariances", f"have shape {errors.shape}, not {(*y.shape, x.size)}"))
    if points.ndim != 1 or not np.isfinite(points).all():
        problems.append(Problem("at", "must be a list of finite noise factors"))
    InputError.check(problems)


def apply(matrices: Floats, vectors: Floats) -> Floats:
    """Return matrices ``(T, A, B)`` times vectors ``(T, B)``, float64 ``(T, A)``."""
    product: Floats = np.matmul(matrices, vectors[:, :, None])[:, :, 0]
    return product


def lagrange_weights(factors: Floats, at: Floats) -> Floats:
    """Return the weights of the values in the polynomial through all of them, float64 ``(E, F)``.

    At 0 they are ``prod_{k != j} x_k / (x_k - x_j)``.
    """
    others = ~np.eye(len(factors), dtype=bool)
    distances = np.where(others, factors[None, :] - factors[:, None], 1.0)
    ratios = np.where(others, (factors - at[:, None])[:, None, :] / distances, 1.0)
    weights: Floats = ratios.prod(axis=2)
    return weights


def _named(degree: int) -> str:
    return "linear" if degree == 1 else f"polynomial_degree_{degree}"


@frozen
class Polynomial:
    """A polynomial, by weighted least squares.

    Attributes:
        degree: At least 1.
        label: Name, by default "linear" or "polynomial_degree_k"; the argument is `name`.
    """

    degree: int = field(validator=validators.ge(1))
    label: str | None = field(default=None, alias="name", kw_only=True)

    @property
    def name(self) -> str:
        """The name in options and results."""
        return _named(self.degree) if self.label is None else self.label

    @property
    def num_parameters(self) -> int:
        """Coefficients."""
        return self.degree + 1

    def fit(self, factors: ArrayLike, values: ArrayLike, covariances: ArrayLike, at: ArrayLike) -> Fit:
        """Fit T curves; see `Extrapolator.fit`."""
        curves = prepared(factors, values, covariances, at, self.num_parameters, self.name)
        if len(curves.factors) == self.num_parameters:
            return _interpolated(curves, self.name)
        low, high = curves.factors[0], curves.factors[-1]
        # Chebyshev polynomials on the measured range: powers of the factors are almost parallel at high degree.
        basis = chebvander((2 * curves.factors - low - high) / (high - low), self.degree)
        target = chebvander((2 * curves.at - low - high) / (high - low), self.degree)
        orthonormal, triangle = np.linalg.qr(curves.whiten @ basis)
        responses = target @ np.linalg.solve(triangle, orthonormal.swapaxes(1, 2) @ curves.whiten)
        explained = apply(orthonormal, apply(orthonormal.swapaxes(1, 2), curves.whitened))
        chi_squares = ((curves.whitened - explained) ** 2).sum(axis=1)
        return curves.fitted(
            self.name, self.num_parameters, apply(responses, curves.values), responses, chi_squares
        )


@frozen
class Richardson:
    """The polynomial through all points (Richardson extrapolation, arXiv:1612.02058).

    It removes the most orders of noise and amplifies errors most. Weights do not depend on the errors.
    """

    @property
    def name(self) -> str:
        """The name in options and results."""
        return "richardson"

    @property
    def num_parameters(self) -> int:
        """The least number of noise factors; a fit has as many parameters as factors."""
        return 2

    def fit(self, factors: ArrayLike, values: ArrayLike, covariances: ArrayLike, at: ArrayLike) -> Fit:
        """Fit T curves; see `Extrapolator.fit`."""
        return _interpolated(prepared(factors, values, covariances, at, 2, self.name), self.name)


@frozen
class Fallback:
    """No extrapolation: the value at the smallest noise factor."""

    @property
    def name(self) -> str:
        """The name in options and results."""
        return "fallback"

    @property
    def num_parameters(self) -> int:
        """One value."""
        return 1

    def fit(self, factors: ArrayLike, values: ArrayLike, covariances: ArrayLike, at: ArrayLike) -> Fit:
        """Fit T curves; see `Extrapolator.fit`."""
        curves = prepared(factors, values, covariances, at, 1, self.name)
        weights = np.zeros((len(curves.at), len(curves.factors)))
        weights[:, 0] = 1.0
        return _weighted(curves, self.name, 1, weights)


def _interpolated(curves: Curves, name: str) -> Fit:
    weights = lagrange_weights(curves.factors, curves.at)
    return _weighted(curves, name, len(curves.factors), weights)


def _weighted(curves: Curves, name: str, num_parameters: int, weights: Floats) -> Fit:
    """Return the fit whose values are the same sums of the data for all curves."""
    num_curves = len(curves.values)
    responses = np.broadcast_to(weights, (num_curves, *weights.shape))
    return curves.fitted(name, num_parameters, curves.values @ weights.T, responses, np.zeros(num_curves))
