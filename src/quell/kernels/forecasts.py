"""How far from the truth mitigated values should come out: first-order models of bias and error bar, arrays by term.

A term has an ideal value v, a *decay* x (the noise of the circuit leaves exp(-x) of it), a *blur* s (standard deviation
of the decay between the paths that make up v: a term of a circuit that is not Clifford is a sum of many, which do not
decay alike), and a readout factor b and offset a (v is read as b v + a where nothing twirls the measurement).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from attrs import field, frozen
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray

from .extrapolation import Exponential, Polynomial
from .selection import helps

Floats = NDArray[np.float64]

_LEAST: Final = 1e-12
_NODES: Final = 21  # of the quadrature over chance


@frozen(eq=False)
class Terms:
    """What is known of T terms: each float64 ``(T,)``, see the module's text.

    Attributes:
        values: Ideal values.
        decays: Minus the logarithm of what gates leave.
        blurs: Standard deviations of the decay.
        factors: What readout leaves.
        offsets: What readout adds where it is not twirled.
        rates: Sum of the rates of the errors that may change a term: cancelling them multiplies by exp(2 rate).
        known: Values under the noise times a gain, by gain, where they were worked out.
    """

    values: Floats
    decays: Floats
    blurs: Floats
    factors: Floats
    offsets: Floats
    rates: Floats
    known: Mapping[float, Floats] = field(factory=dict)

    def damped(self, gain: float) -> Floats:
        """Return the values with the noise of the circuit multiplied by `gain`.

        Decays of the paths are taken to be gamma-distributed, which none of them being negative asks for: the mean of
        exp(-g x) is (1 + g s^2 / x)^(-x^2 / s^2).
        """
        if gain in self.known:
            return self.known[gain]
        decays = np.maximum(self.decays, _LEAST)
        relative = np.maximum((self.blurs / decays) ** 2, _LEAST)
        values: Floats = self.values * np.exp(-np.log1p(gain * decays * relative) / relative)
        return values


@frozen(eq=False)
class Outcome:
    """Means and variances of T terms, and the errors that their calibrations make: float64 ``(T,)`` each."""

    means: Floats
    variances: Floats
    common: Floats


def measured(
    terms: Terms, gain: float, shots: float, *, twirled: bool, corrected: bool, calibration: float = np.inf
) -> Outcome:
    """Return what is measured with some of the noise.

    Args:
        terms: The terms.
        gain: Noise of the circuit, 1 as it is.
        shots: Shots of each setting.
        twirled: Whether measurements are twirled, which turns offsets into damping.
        corrected: Whether readout is divided out.
        calibration: Shots behind the factors that are divided by.
    """
    ideal = terms.damped(gain)
    read = ideal * terms.factors + (0.0 if twirled else terms.offsets)
    variances = np.maximum(1 - read**2, 0.0) / shots
    if not corrected:
        return Outcome(read, variances, np.zeros_like(read))
    factors = np.maximum(terms.factors, _LEAST)
    common = np.abs(ideal) * np.sqrt(np.maximum(1 - factors**2, 0.0) / calibration) / factors
    return Outcome(ideal, variances / factors**2, common)


def cancelled(
    terms: Terms,
    gain: float,
    shots: float,
    *,
    corrected: bool,
    calibration: float,
    uncertainty: Floats,
) -> Outcome:
    """Return what is measured with noise cancelled down to `gain`.

    Args:
        terms: The terms.
        gain: What is left of the noise.
        shots: Shots of each setting, the overhead among them.
        corrected: Whether readout is divided out.
        calibration: Shots behind the factors that are divided by.
        uncertainty: How wrong the logarithm of each value is because rates are, float64 ``(T,)``.
    """
    plain = measured(terms, gain, shots, twirled=True, corrected=corrected, calibration=calibration)
    factors = np.maximum(terms.factors, _LEAST) if corrected else np.ones_like(terms.factors)
    gammas = np.exp(2 * (1 - gain) * terms.rates)
    variances = np.maximum(gammas**2 / factors**2 - plain.means**2, 0.0) / shots
    return Outcome(plain.means, variances, np.hypot(plain.common, np.abs(plain.means) * uncertainty))


def extrapolated(points: list[Outcome], factors: Floats, sums: Any, *, guard: bool) -> tuple[Floats, Floats]:
    """Return what an exponential makes of points at several noise factors, a line where it cannot be fitted.

    Args:
        points: What is measured at each factor.
        factors: Noise factors, ascending, float64 ``(F,)``.
        sums: What terms add up to, sparse ``(values, T)``.
        guard: Whether a value is kept as measured where extrapolation is predicted to err more.

    Returns:
        Values and their variances, float64 ``(values,)``.
    """
    values = np.stack([point.means for point in points], axis=1)
    variances = np.stack([point.variances for point in points], axis=1)
    covariances = np.einsum("tf,fg->tfg", np.maximum(variances, _LEAST), np.eye(len(factors)))
    curved = Exponential(1).fit(factors, values, covariances, [0.0])
    straight = Polynomial(1).fit(factors, values, covariances, [0.0])
    good = curved.good
    means = np.where(good, curved.values[:, 0], straight.values[:, 0])
    responses = np.where(good[:, None], curved.responses[:, 0], straight.responses[:, 0])
    difference = responses.copy()
    difference[:, 0] -= 1
    # What calibrations get wrong is the same part of every point.
    common = np.abs(means) * points[0].common / np.maximum(np.abs(values[:, 0]), _LEAST)
    value, raw = sums @ means, sums @ values[:, 0]
    squares = sums**2
    variance = squares @ ((responses**2 * variances).sum(axis=1) + common**2)
    if not guard:
        return value, variance
    raw_variance = squares @ (variances[:, 0] + points[0].common ** 2)
    apart = squares @ (difference**2 * variances).sum(axis=1)
    # The guard decides by the difference that is measured, which is chance in part: all that it may be are weighed.
    steps, weights = hermegauss(_NODES)
    weights = weights / weights.sum()
    seen = value + steps[:, None] * np.sqrt(apart)
    better, _, _ = helps(*np.broadcast_arrays(raw, raw_variance, seen, variance, apart))
    reported = np.where(better, seen, raw)
    mean = weights @ reported
    # What raw and extrapolated value have in common comes on top.
    rest = np.where(better, np.maximum(variance - apart, 0.0), raw_variance)
    return mean, weights @ ((reported - mean) ** 2 + rest)
