"""Results of zero-noise extrapolation as users get them: fields, metadata and a plot."""

from __future__ import annotations

import reprlib
from typing import Any, Final

import numpy as np
from attrs import evolve
from qiskit.primitives import PubResult

from ..circuits.observables import Settings, term_labels
from ..errors import OptionsError, Problem
from ..kernels.curves import attempt, unusable
from ..options import EstimatorOptions, ResolvedEstimator, effective, finalize
from ..options.group import same
from ..options.resolved import ResolvedZne
from ..stages.extrapolation import Extrapolation


class EstimatorPubResult(PubResult):
    """The result of one PUB of the estimator."""

    def plot_zne(self, index: Any = (), *, ax: Any = None) -> Any:
        """Draw the measured values of one observable against noise, the models, and the value at zero noise.

        Args:
            index: Which value of the PUB: an integer or a tuple of them.
            ax: Axes to draw on; by default those of a new figure.

        Returns:
            The axes.

        Raises:
            InputError: The values were not extrapolated, or there is no such value.
            MissingDependencyError: matplotlib is not installed.
        """
        from ..plots import zne

        return zne(self, index, ax=ax)


def extrapolator_problems(zne: ResolvedZne | None) -> list[Problem]:
    """Return what is wrong with the user's own extrapolators, from having them fit something."""
    problems = []
    for model in () if zne is None else zne.extrapolators:
        if zne is None or isinstance(model, str):
            continue
        factors = np.array(sorted(zne.noise_factors))
        values = np.exp(-np.outer([0.05, 0.1, 0.2], factors))
        covariances = np.broadcast_to(1e-4 * np.eye(len(factors)), (3, len(factors), len(factors)))
        fit = attempt(model, factors, values, covariances, np.array([0.0, *zne.extrapolated_noise_factors]))
        if reason := unusable(fit):
            rule = f"has {model.name!r}, which {reason}"
            problems.append(Problem("options.resilience.zne.extrapolator", rule, "see quell.extrapolators"))
    return problems


#: Options that act on kept data alone, and those that neither shape the data nor their analysis.
_ANALYSIS: Final = tuple(
    f"resilience.zne.{name}" for name in ("extrapolator", "extrapolated_noise_factors", "selection", "guard")
)
_NEITHER: Final = ("seed", "seed_estimator", "max_execution_time", "environment.")


def reanalyzed(asked: EstimatorOptions, resolved: ResolvedEstimator, options: Any) -> ResolvedEstimator:
    """Return the options under which kept data are analysed again.

    Args:
        asked: Those that the data were taken with.
        resolved: What they came to.
        options: A whole tree, or a dict of what changes.

    Raises:
        OptionsError: Something is wrong with them, or differs that shaped the data.
    """
    wanted = asked.copy()
    if isinstance(options, type(asked)):
        wanted = options.copy()
    else:
        wanted.update(options)
    before, after = effective(asked), effective(wanted)
    OptionsError.check(
        Problem(
            f"options.{path}",
            f"was {reprlib.repr(before[path].value)} when the data were measured, and cannot change to "
            f"{reprlib.repr(row.value)}",
            "run again",
        )
        for path, row in after.items()
        if path not in _ANALYSIS
        and not path.startswith(_NEITHER)
        and not row.why.startswith("not used")
        and not same(row.value, before[path].value)
    )
    zne = finalize(wanted).zne
    OptionsError.check(extrapolator_problems(zne))
    return evolve(resolved, zne=zne)


def zne_metadata(found: Extrapolation, options: ResolvedZne, settings: Settings) -> dict[str, Any]:
    """Return what metadata say about an extrapolation: factors, models, and the model of every term."""
    return {
        "amplifier": options.amplifier,
        "noise_factors": found.noise_factors.tolist(),
        "asked_noise_factors": sorted(options.noise_factors),
        "extrapolated_noise_factors": found.evaluated.tolist(),
        "extrapolator": list(found.models),
        "extrapolators": _models_of_terms(found, settings),
        "status_extrapolated": found.model_status.tolist(),
        "selection": options.selection,
        "guard": options.guard,
        "shot_allocation": options.shot_allocation,
        "shots": list(found.shots),
        "random_subsets": list(found.subsets),
        "unguarded": {"evs": found.unguarded[0].tolist(), "stds": found.unguarded[1].tolist()},
    }


def _models_of_terms(found: Extrapolation, settings: Settings) -> list[dict[str, str]]:
    """Return for every value of the PUB, flattened, the name of the model of each of its terms."""
    labels = term_labels(settings)
    names = [*found.models, "none"]
    matrix = settings.contraction.tocsr()
    return [
        {labels[t]: names[found.chosen[t]] for t in matrix.indices[start:stop]}
        for start, stop in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)
    ]
