"""Twirled readout error extinction, TREX (arXiv:2012.09738).

Under measurement twirling readout multiplies every parity by a factor; this stage divides it out. The factor
is the joint parity of the term's qubits, measured on the all-zero state in the same job, so correlated
readout is corrected too. Its uncertainty is part of the error bar, shared by all terms it divides.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from attrs import evolve, frozen

from ..calibration.readout import ReadoutCalibration, TwirledReadout
from ..circuits.ensemble import Ensemble
from ..circuits.observables import expand_projectors, settings_of
from ..kernels.statistics import Deviations
from .base import Stage
from .estimate import Estimate

#: More bases than this do not make the calibration longer.
_MOST_BASES: Final = 4
#: A factor closer to zero than this many of its standard errors cannot be divided by.
_SIGNIFICANT: Final = 3.0


def _num_bases(task: Ensemble) -> int:
    """Return in how many bases each parameter set is measured, at most `_MOST_BASES`."""
    settings = settings_of(expand_projectors(task.observables), task.parameter_shape, task.shape)
    counts = np.bincount(settings.parameter_sets)
    return min(int(counts.max(initial=1)), _MOST_BASES)


@frozen
class Trex(Stage[Ensemble, Ensemble, Any, Estimate]):
    """Divide out readout damping.

    Attributes:
        num_randomizations: Randomizations of the calibration.
        shots_per_randomization: Shots of each.
        balanced: Whether the calibration's twirl is balanced.
        per_basis: Whether these are the shots for one measurement basis: the error of a factor is common to all terms,
            so it must not stay behind when several bases are measured.
    """

    num_randomizations: int
    shots_per_randomization: int
    balanced: bool = False
    per_basis: bool = False

    def requires(self, task: Ensemble) -> Iterable[TwirledReadout]:
        """Return the readout of the measured qubits."""
        support = task.observables.support
        if not len(support):
            return ()
        return (
            TwirledReadout(
                task.template.num_qubits,
                tuple(int(q) for q in support),
                self.num_randomizations,
                self.shots_per_randomization * (_num_bases(task) if self.per_basis else 1),
                self.balanced,
                task.target,
            ),
        )

    def expand(
        self, task: Ensemble, known: Mapping[Any, Any], rng: np.random.Generator
    ) -> tuple[Sequence[Any], Any]:
        """Write projectors as Paulis, whose damping is a single factor, and ask for the readout.

        The residue names the calibration: whatever relies on the same one errs together.
        """
        child = evolve(task, observables=expand_projectors(task.observables))
        learned = [known[requirement] for requirement in self.requires(task)]
        return [child, *learned], learned[0].requirement if learned else None

    def combine(self, residue: Any, results: Sequence[Any]) -> Estimate:
        """Divide each term by its factor; second-order bias of the ratio removed.

        With v and f the measured value and factor, v / f has relative bias var(f) / f^2, which is known.
        """
        estimate: Estimate = results[0]
        if len(results) == 1:
            return estimate
        calibration: ReadoutCalibration = results[1]
        terms, settings = estimate.terms, estimate.terms.settings
        codes, which = np.unique(settings.codes, axis=0, return_inverse=True)
        factors, deviations = calibration.damping(settings.qubits, codes)
        sigma = np.sqrt(deviations.variance)
        weak = np.abs(factors) < _SIGNIFICANT * sigma
        # A divisor of at least one sigma keeps value and error bar finite; the error bar is then of order one.
        divisor = np.where(weak, np.copysign(np.maximum(np.abs(factors), sigma), factors), factors)
        # Where all shots agreed the variance is a bound, not a measurement: there is no bias to remove.
        biased = ~weak & (np.abs(factors) < 1)
        scale = (1 - np.where(biased, deviations.variance / divisor**2, 0.0)) / divisor
        values = terms.values * scale[which]
        mean = (terms.weights * values).sum(axis=0)
        changed = evolve(
            terms,
            values=values,
            scale=terms.scale * scale[which],
            spread=tuple(own.scaled(scale[which]) for own in terms.spread),
            common=(
                *(own.scaled(scale[which]) for own in terms.common),
                Deviations(-deviations.rows[:, which] * (mean / divisor[which]), deviations.dof, residue),
            ),
        )
        details = dict(estimate.details)
        details["readout_damping"] = (float(factors.min()), float(factors.max()))
        details["calibration_shots"] = int(calibration.planes.shots.sum())
        if weak.any():
            details["readout_signal_lost"] = int(weak[which].sum())
            warnings.warn(
                f"readout damping of {int(weak[which].sum())} terms is compatible with zero (within "
                f"{_SIGNIFICANT:g} standard errors); their values carry no signal and their error bars say so. "
                "Raise resilience.measure_noise_learning shots, or measure fewer qubits per observable.",
                UserWarning,
                stacklevel=2,
            )
        return estimate.recombined(changed, details)

    def describe(self, residue: Any = None) -> str:
        """Return one line for the plan."""
        return "TREX: divide out readout damping"
