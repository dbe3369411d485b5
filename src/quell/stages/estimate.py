"""Estimates: what comes up the upper floor of the onion, with error bars that know what is correlated.

Between the crossing and the top an estimate lives at the level of *terms* (one Pauli string in one setting),
because a stage like TREX rescales terms one by one. Its uncertainty is kept in factor form: rows of
deviations whose sum of outer products is the covariance. That is linear in the number of terms, exact for
any observable made of them, and survives every linear operation.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from ..circuits.observables import Settings
from ..kernels.statistics import Deviations, deviations_of_mean, widened
from .postselect import nothing_kept

Floats = NDArray[np.float64]


@frozen(eq=False)
class Terms:
    """Term values and how they add up to observables.

    Attributes:
        values: float64 ``(R, T)``; R is 1 where there is no randomization axis.
        weights: Share of shots of each member, float64 ``(R, T)``, summing to one over R.
        settings: Which terms, where they were measured, and how they add up.
        scale: What the raw terms were multiplied with since, float64 ``(T,)``.
        spread: Deviations of the mean over randomizations, independent between settings and of each other; none
            until the axis is reduced, or where it has one member only.
        common: Deviations shared by all settings, one entry per source (calibrations).
    """

    values: Floats
    weights: Floats
    settings: Settings
    scale: Floats
    spread: tuple[Deviations, ...] = ()
    common: tuple[Deviations, ...] = ()

    @cached_property
    def _partial(self) -> tuple[sp.csr_array, NDArray[np.int64]]:
        """One row per pair (PUB element, setting), and the element of each row."""
        entries = self.settings.contraction.tocoo()
        pair = entries.row.astype(np.int64) * (int(self.settings.setting.max(initial=0)) + 1)
        pair += self.settings.setting[entries.col]
        pairs, row = np.unique(pair, return_inverse=True)
        owner = np.zeros(len(pairs), dtype=np.int64)
        owner[row] = entries.row
        shape = (len(pairs), self.values.shape[1])
        return sp.csr_array((entries.data, (row, entries.col)), shape=shape), owner

    def contracted(self) -> Floats:
        """Return the observables' values of every member, float64 ``(R, pub_size)``."""
        values: Floats = (self.settings.contraction @ self.values.T).T + self.settings.constants
        return values

    def variance(self, shot_variance: Floats) -> Floats:
        """Return the variances of the observables, float64 ``(pub_size,)``.

        Args:
            shot_variance: Used where there is no spread to measure, float64 ``(pub_size,)``.
        """
        size = len(self.settings.constants)
        variance, squares = np.zeros(size) if self.spread else shot_variance.copy(), np.zeros(size)
        for own in (
            self.spread
        ):  # settings are randomized independently: their parts of an observable add in squares
            partial, owner = self._partial
            parts = ((partial @ own.rows.T) ** 2).sum(axis=1)
            variance += np.bincount(owner, parts, minlength=size)
            squares += np.bincount(owner, parts**2 / own.dof, minlength=size)
        for shared in self.common:
            part = ((self.settings.contraction @ shared.rows.T) ** 2).sum(axis=1)
            variance += part
            squares += part**2 / shared.dof
        return widened(variance, squares)


@frozen(eq=False)
class Estimate:
    """Values with error bars.

    Attributes:
        value: float64 ``(*S, *pub_shape)``; S is ``(num_randomizations,)`` while that axis is there.
        variance: Likewise.
        shot_variance: Variance if all shots were independent, float64 ``pub_shape``.
        floor: Least variance that the number of shots can support, float64 ``pub_shape``.
        terms: The terms behind the values.
        details: What stages want to report.
    """

    value: Floats
    variance: Floats
    shot_variance: Floats
    floor: Floats
    terms: Terms
    details: Mapping[str, Any] = field(factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the PUB."""
        return self.terms.settings.shape

    @property
    def shots(self) -> Floats:
        """Shots behind each term that were not dropped, float64 ``(T,)``."""
        setting = self.terms.settings.setting
        if "kept_shots" in self.details:
            kept: Floats = self.details["kept_shots"][setting].astype(float)
            return kept
        all_settings = int(setting.max(initial=0)) + 1
        return np.full(len(setting), self.details.get("executed_shots", 0) / all_settings)

    def reduced(
        self,
        block: int = 1,
        *,
        terms: Terms | None = None,
        strata: NDArray[np.bool_] | None = None,
        source: Hashable = None,
    ) -> Estimate:
        """Average over the randomization axis; the spread between members is the error bar.

        Args:
            block: Members that belong together.
            terms: What a stage made of the terms; by default those of the estimate.
            strata: See `deviations_of_mean`.
            source: What other estimates share of the spread, member by member; None for nothing.

        With a single member the spread is unknown and the shot variance stands in for it, which `details`
        says under ``"single_randomization"``.

        Raises:
            ExecutionError: Of some setting all shots were dropped.
        """
        terms = self.terms if terms is None else terms
        if "kept_shots" in self.details and not np.all(self.details["kept_shots"]):
            empty = int(np.argmin(self.details["kept_shots"]))
            raise nothing_kept(f"setting {empty}", int(self.details["taken_shots"][empty]))
        mean, spread = deviations_of_mean(terms.values, terms.weights, block, strata)
        details = dict(self.details)
        if spread is None:
            details["single_randomization"] = True
        ones = np.ones((1, len(mean)))
        sources = () if spread is None else (evolve(spread, source=source),)
        return self.recombined(evolve(terms, values=mean[None], weights=ones, spread=sources), details)

    def recombined(self, terms: Terms, details: Mapping[str, Any] | None = None) -> Estimate:
        """Return the estimate after its (reduced) terms were changed."""
        ratio = self.shot_ratio((terms.scale / self.terms.scale) ** 2)
        shot_variance = self.shot_variance * ratio
        floor = self.floor * ratio
        value = terms.contracted()[0].reshape(self.shape)
        variance = terms.variance(shot_variance.ravel()).reshape(self.shape)
        return Estimate(
            value=value,
            variance=np.maximum(variance, floor),
            shot_variance=shot_variance,
            floor=floor,
            terms=terms,
            details=self.details if details is None else details,
        )

    def shot_ratio(self, change: Floats) -> Floats:
        """Return by what shot variances grow, `pub_shape`, if those of terms grow by `change`, float64 ``(T,)``.

        Exact for one term, else by their shares.
        """
        if np.array_equal(change, np.ones_like(change)):
            return np.ones(self.shape)
        terms = self.terms
        squared = terms.settings.contraction.power(2)
        mean = (terms.weights * terms.values).sum(axis=0) / terms.scale
        share = squared * (terms.scale**2 * np.maximum(1 - mean**2, 1e-6))
        before = np.asarray(share.sum(axis=1)).ravel()
        after = np.asarray((share * change).sum(axis=1)).ravel()
        return np.where(before > 0, after / np.where(before > 0, before, 1), 1.0).reshape(self.shape)
