"""Results of zero-noise extrapolation as users get them: fields, metadata and a plot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from attrs import evolve, fields, has
from qiskit.primitives import PubResult

from ..circuits.observables import Settings, term_labels
from ..errors import OptionsError, Problem
from ..options import EstimatorOptions, ResolvedEstimator, finalize
from ..options.resolved import ResolvedZne
from ..stages.zne import Extrapolation


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


#: What acts on kept data alone.
_ANALYSIS: Final = ("extrapolators", "extrapolated_noise_factors", "selection", "guard")


def reanalyzed(
    tree: type[EstimatorOptions], asked: EstimatorOptions, resolved: ResolvedEstimator, options: Any
) -> ResolvedEstimator:
    """Return the options under which kept data are analysed again.

    Args:
        tree: The class of the options.
        asked: Those that the data were taken with.
        resolved: What they came to.
        options: A whole tree, or a dict of what changes.

    Raises:
        OptionsError: Something is wrong with them, or differs that shaped the data.
    """
    wanted = asked.copy()
    if isinstance(options, tree):
        wanted = options.copy()
    else:
        wanted.update(options)
    other = finalize(wanted)
    if other.zne is None or resolved.zne is None:
        rule = "is False, but what was measured is an extrapolation"
        raise OptionsError.of(
            [
                Problem(
                    "options.resilience.zne_mitigation", rule, "see evs_noise_factors for what was measured"
                )
            ]
        )
    analysis = {name: getattr(other.zne, name) for name in _ANALYSIS}
    same = evolve(resolved, zne=evolve(resolved.zne, **analysis))
    problems = [
        Problem(f"options.{path}", "shaped what was measured and cannot be changed any more", "run again")
        for path, before, after in _differences(same, other)
        if path != "seed"
    ]
    OptionsError.check(problems)
    return evolve(resolved, zne=same.zne)


def _differences(first: Any, second: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield where two resolved options differ."""
    for field in fields(type(first)):
        before, after = getattr(first, field.name), getattr(second, field.name)
        name = f"{path}{field.name}"
        if has(type(before)) and type(before) is type(after):
            yield from _differences(before, after, f"{name}.")
        elif before != after:
            yield name, before, after


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
