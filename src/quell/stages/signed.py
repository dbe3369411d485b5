"""Signed values of randomizations: their signs, their weights, and how well their mean is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from ..circuits.ensemble import Ensemble
from ..circuits.injection import Injection
from ..circuits.observables import Settings
from ..kernels.statistics import Deviations
from .estimate import Estimate

Floats = NDArray[np.float64]

#: Randomizations with an odd number of errors whose spread is believed.
_FEW: Final = 3


def odd_errors(
    errors: Injection, settings: Settings, which: NDArray[np.int64], members: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where the number of errors is odd, of those that change each term and of all, bool ``(R, T)``."""
    own, overall = (np.zeros((members, len(which)), dtype=bool) for _ in range(2))
    if errors.noise.num_terms:
        for setting in np.unique(settings.setting).tolist():
            terms = np.flatnonzero(settings.setting == setting)
            of_terms, of_all = errors.signs(setting, 0, members)
            own[:, terms], overall[:, terms] = of_terms[:, which[terms]], of_all[:, None]
    return own, overall


def shared_out(weights: Floats, strata: NDArray[np.bool_], share: float) -> Floats:
    """Return weights ``(R, T)`` that give the second stratum its share, whatever its size."""
    odd, even = (np.where(own, weights, 0.0).sum(axis=0) for own in (strata, ~strata))
    known = (odd > 0) & (even > 0)  # else the shots of one of them are lost
    scale = np.where(strata, share / np.where(known, odd, 1.0), (1 - share) / np.where(known, even, 1.0))
    return np.where(known, weights * scale, weights)


def with_rare(reduced: Estimate, before: Estimate, odd: NDArray[np.bool_], shares: Floats) -> Estimate:
    """Return the estimate with error bars that know of errors too rare to be seen in their spread.

    An odd number of errors may turn the sign of a term or of its randomization. Where fewer than a few randomizations
    had one, their spread does not tell by how much the mean would vary; then it is what turning the sign makes.
    """
    seen = np.minimum(odd.sum(axis=0), (~odd).sum(axis=0))
    lacking = np.flatnonzero((seen < _FEW) & (shares > 0))
    if not len(lacking) or not reduced.terms.spread:
        return reduced
    terms = before.terms
    size = np.abs((terms.weights * terms.values).sum(axis=0)) * reduced.terms.scale / terms.scale
    rows = np.zeros((len(lacking), len(shares)))
    rows[np.arange(len(lacking)), lacking] = (2 * size * np.sqrt(shares * (1 - shares) / len(odd)))[lacking]
    spread = (*reduced.terms.spread, Deviations(rows, np.inf))
    return reduced.recombined(evolve(reduced.terms, spread=spread))


def normalized(values: Floats, signs: Floats, weights: Floats) -> Floats:
    """Return values ``(R, T)`` whose mean is the ratio of the means of values and signs, correct to first order."""
    norm = (weights * signs).sum(axis=0)
    norm = np.where(np.abs(norm) > 1e-9, norm, 1.0)
    ratio = (weights * values).sum(axis=0) / norm
    linear: Floats = ratio + (values - ratio * signs) / norm
    return linear


def distinct_terms(task: Ensemble) -> tuple[NDArray[np.uint8], dict[bytes, int]]:
    """Return the distinct Pauli terms ``(T, num_qubits)``, and the number of each by its letters on the support."""
    observables = task.observables
    support = observables.support
    own = np.unique(observables.letters[:, support], axis=0)
    letters = np.zeros((len(own), observables.letters.shape[1]), dtype=np.uint8)
    letters[:, support] = own
    return letters, {row.tobytes(): k for k, row in enumerate(own)}


def numbers_of(settings: Settings, places: Mapping[bytes, int]) -> NDArray[np.int64]:
    """Return the number of each term that was measured."""
    bases = settings.bases[settings.setting] % 3
    letters = np.where(settings.codes > 0, np.where(bases == 0, 3, bases), 0).astype(np.uint8)
    return np.array([places[row.tobytes()] for row in letters], dtype=np.int64)
