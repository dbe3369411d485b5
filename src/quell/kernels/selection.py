"""Which fit to believe, and whether to believe any.

Both questions compare predicted mean squared errors. Errors of the data are known and every value comes with its
response to the data, so the error of a difference between two values is known too, with all its correlations: a
difference beyond that is bias of the one that is trusted less (a focused criterion, Claeskens and Hjort 2003).

All figures are rms errors and coverages of value +- 1.96 standard errors on exponential curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from .curves import Fit, Floats

#: How many times its break-even the squared difference between extrapolated and measured value must be, see `helps`.
CAUTION: Final = 3.5
_MOST: Final = 1e12


#: How one of several fits is chosen.
Selection = Literal["order", "aic", "predicted_error"]


def choose(
    fits: Sequence[Fit], covariances: Floats, at_zero: int, selection: Selection = "order"
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Choose a fit of every curve among those that neither failed nor are contradicted by their data.

    By default the first in the user's order; else the one of least predicted error, or of least chi^2 + 2 p (AIC; the
    correction of AICc is for errors that are not known). A fit whose chi^2 contradicts it is taken where there is
    no other. Its error bar is then too small: it knows of noise in the data, not of a wrong model.

    The order stands because choosing by errors loses. Between "exponential" and "linear", on amplitudes and rates of
    0.02 to 1 and sigma 0.002 to 0.05, at factors (1, 3, 5) and (1, 2, 3):

    ============================  ============  =================
    choice                        rms error     coverage in %
    ============================  ============  =================
    first usable fit              0.078, 0.076  89.6, 93.0
    least predicted error         0.085, 0.079  84.5, 86.6
    same, with it as error bar                  86.3, 89.1
    chi^2 + 2 p (AIC)             0.082, 0.085  85.0, 83.8
    ============================  ============  =================

    Both rules take the smaller model whenever the data happen to look like it, which is where it is most biased for
    how precise it claims to be. Predicted errors are there to be looked at. What is missing to 95 % are curves too
    noisy for an exponential, through which a line can be put (a tenth of them); exponentials cover 94.5, 94.9 %.

    Args:
        fits: M fits of the same T curves in the order of trust.
        covariances: float64 ``(T, F, F)`` of the data.
        at_zero: Which of the evaluation points matters.
        selection: "order", "aic" or "predicted_error".

    Returns:
        chosen: int64 ``(T,)``; -1 where all fits failed.
        predicted: float64 ``(M, T)``, predicted mean squared errors: the variance, and for all but the chosen fit the
            squared difference from it beyond its error. Where a fit failed, it is that of its stand-in, the value
            measured at the smallest noise factor.
    """
    good = np.stack([fit.good for fit in fits])
    doubtful = np.stack([fit.contradicted for fit in fits])
    # Of a row of truth values, argmax is the first that is true.
    usable = good & ~doubtful
    first: NDArray[np.intp] = np.where(usable.any(axis=0), usable.argmax(axis=0), good.argmax(axis=0))
    reference: NDArray[np.int64] = np.array(first, dtype=np.int64)
    everyone = np.arange(reference.size)

    values = np.stack([fit.values[:, at_zero] for fit in fits])
    responses = np.stack([fit.responses[:, at_zero] for fit in fits])
    finite = np.asarray(np.isfinite(covariances).all(axis=(1, 2)), dtype=bool)
    sound = np.where(finite[:, None, None], covariances, 0.0)
    bias = (values - values[reference, everyone]) ** 2
    bias -= _variances(responses - responses[reference, everyone], sound)
    predicted = _variances(responses, sound) + np.maximum(bias, 0.0)
    if selection != "order":
        parameters = np.array([fit.num_parameters for fit in fits])[:, None]
        score = predicted
        if selection == "aic":
            score = np.stack([fit.chi_squares for fit in fits]) + 2.0 * parameters
        allowed = np.where(usable.any(axis=0), usable, good)
        reference = np.where(allowed, score, np.inf).argmin(axis=0)
    return np.where(good.any(axis=0), reference, np.int64(-1)), predicted


def helps(
    raw: Floats, raw_variance: Floats, value: Floats, variance: Floats, difference_variance: Floats
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """Return where an extrapolated value is predicted to err less than the measured one.

    With d the difference of the two, the measured value's squared bias is about d^2 less the variance of d
    (arXiv:2605.08251). Deciding by that alone takes the extrapolated value whenever noise makes d large, which is
    when it is worst. So d^2 must be ``CAUTION + log(variance / raw_variance)`` times what would break even: the tail
    of a normal distribution falls as exp(-d^2 / 2), so what chance differences cost is bounded if d^2 grows with the
    logarithm of their price. Truths of 0 to 1, rates of 0 to 0.8, sigma of 0.002 to 0.05, 245 cases:

    ===================  =============  ============  ================  ===============
    fits                 worst, always  worst, guard  mean log, always  mean log, guard
    ===================  =============  ============  ================  ===============
    exponential, linear  0.68           0.95          0.47              0.51
    richardson           0.43           0.97          -0.08             0.28
    linear               0.82           0.97          0.17              0.20
    ===================  =============  ============  ================  ===============

    (improvement: rms error measured / rms error reported, 6000 curves a case, factors (1, 3, 5); mean of its natural
    logarithm over all cases). Rare outliers make the worst: 60 000 curves in the worst cases of the first line give
    0.96 and more. At factors (1, 2, 3) the worst are 0.93 and, for richardson, 0.94; without guard 0.53 and 0.22.

    Args:
        raw: float64, any shape, the value at the smallest noise factor.
        raw_variance: Its variance, same shape.
        value: The extrapolated value.
        variance: Its variance.
        difference_variance: Variance of ``value - raw``, with the correlation between them.

    Returns:
        better: bool, whether to report the extrapolated value.
        predicted_raw: float64, predicted mean squared error of `raw`, its bias estimated with caution. It decides;
            to report, take `kept_variance`.
        predicted_value: float64, that of `value`. It is smaller than `predicted_raw` exactly where `better`.
    """
    known = np.where(raw_variance > 0, raw_variance, 1.0)
    cost = np.where(raw_variance > 0, variance / known, np.where(variance > 0, _MOST, 1.0))
    caution = CAUTION + np.log(np.clip(cost, 1.0, _MOST))
    bias = (value - raw) ** 2 / caution - difference_variance
    predicted_raw = raw_variance + np.maximum(bias, 0.0)
    better = np.asarray(variance < predicted_raw, dtype=bool)
    return better, np.asarray(predicted_raw, dtype=float), np.array(variance, dtype=float)


def kept_variance(raw: Floats, raw_variance: Floats, value: Floats, variance: Floats) -> NDArray[np.float64]:
    """Return the variance to report where the measured value is kept although it may be biased.

    The larger of the extrapolated value's variance and the measured one's with the whole difference as bias. In the
    cases of `helps`, with exponential and linear fits, 93.5 % of the intervals where the measured value is kept cover
    (79.2 % with its own variance, 89.3 % with the extrapolated one's). All guarded values: 93.7 %, unguarded 93.0 %.
    """
    cautious: NDArray[np.float64] = np.maximum(variance, raw_variance + (value - raw) ** 2)
    return cautious


def _variances(responses: Floats, covariances: Floats) -> Floats:
    """Return ``r @ C @ r`` of responses ``(M, T, F)``, float64 ``(M, T)``."""
    variances: Floats = np.einsum("mtf,tfg,mtg->mt", responses, covariances, responses)
    return np.maximum(variances, 0.0)
