"""Zero-noise extrapolation (arXiv:1612.02058, arXiv:1611.09301), with digital amplification (arXiv:2005.10921).

Going down, the circuit is run with its noise amplified, one child for each noise factor; where a factor needs a random
subset of gates to be folded, every randomization draws its own and the children of that factor are members of the
randomization axis. Coming up, a model of value against noise is fitted to every term, and its value at zero noise
taken, with the covariance of all the data behind it. Factors are those that were achieved.

What is done with the measured values is in `stages.extrapolation`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from qiskit.transpiler import Target

from ..circuits.ensemble import Amplification, Ensemble
from ..circuits.folding import Foldable, Folding
from ..circuits.observables import expand_projectors
from ..circuits.template import Template
from ..errors import Problem, UnsupportedError
from ..kernels import draws
from ..kernels.curves import Extrapolator, Fallback, Polynomial, Richardson, attempt
from ..kernels.selection import Selection, choose
from .base import Stage
from .estimate import Estimate
from .extrapolation import (
    Data,
    Extrapolation,
    by_member,
    failed,
    guarded,
    response_of,
    status_of,
    widened,
)
from .sums import joined, totals

Floats = NDArray[np.float64]
Amplifier = Folding | Literal["pea"]

#: Least share of the shots of a noise factor, relative to equal shares: a model is checked at points of little weight.
_LEAST_SHARE: Final = 0.25
#: Blocks that the shots are cut into where nothing is randomized: Student's factor is then 1.01.
_BLOCKS: Final = 128


@frozen
class ZneResidue:
    """What was run.

    Attributes:
        achieved: Noise factors that whole gates come to, ascending.
        members: How many children each of them has.
        owner: For each, whether its children are the randomization axis.
    """

    achieved: tuple[float, ...]
    members: tuple[int, ...]
    owner: tuple[bool, ...]


@frozen
class Zne(Stage[Ensemble, Ensemble, Estimate, Estimate]):
    """Extrapolate to zero noise.

    Attributes:
        noise_factors: Distinct; at least 1 where noise is amplified by folding.
        extrapolators: The most trusted first.
        amplifier: How noise is amplified: by folding, or "pea" by the stage inside that has learned it.
        evaluated: Noise factors where all models are evaluated besides.
        selection: How each term's model is chosen where there are several, see `choose`.
        guard: Keep a value as measured where extrapolation is predicted to err more.
        neyman: Share the shots by the weight of each noise factor, instead of equally.
        allocation: Shots of each noise factor, ascending, relative to equal shares; wins over `neyman`.
        num_randomizations: Randomizations of a factor that needs random subsets, where nothing else gives an axis.
        shots_per_randomization: Shots of each then.
    """

    noise_factors: tuple[float, ...]
    extrapolators: tuple[Extrapolator, ...]
    amplifier: Amplifier = "gate_folding"
    evaluated: tuple[float, ...] = (0.0,)
    selection: Selection = "order"
    guard: bool = False
    neyman: bool = False
    allocation: tuple[float, ...] | None = None
    num_randomizations: int = 32
    shots_per_randomization: int = 32

    @cached_property
    def _ascending(self) -> tuple[float, ...]:
        return tuple(sorted(self.noise_factors))

    @staticmethod
    def _is_linear(model: Extrapolator) -> bool:
        return isinstance(model, (Polynomial, Richardson, Fallback))

    def shares(self, achieved: Sequence[float]) -> Floats:
        """Return the shots of each noise factor relative to equal shares, float64 ``(F,)``; their mean is one."""
        if self.allocation is not None:
            return np.array(self.allocation)
        if not self.neyman or len(achieved) < 2:
            return np.ones(len(achieved))
        # Decays are nearly linear where they can be extrapolated at all, so their weights are those of a line.
        first = self.extrapolators[0]
        model = first if self._is_linear(first) else Polynomial(1)
        size = len(achieved)
        fit = model.fit(np.array(achieved), np.zeros((1, size)), np.eye(size)[None], np.zeros(1))
        weights = np.abs(fit.responses[0, 0])
        shares = np.maximum(weights / weights.mean(), _LEAST_SHARE)
        balanced: Floats = shares / shares.mean()
        return balanced

    def expand(
        self, task: Ensemble, known: Mapping[Any, Any], rng: np.random.Generator
    ) -> tuple[Sequence[Ensemble], ZneResidue]:
        """Make one child for each noise factor, or for each randomization of one.

        Raises:
            UnsupportedError: The circuit cannot be folded, or the guard is not the last to see the values.
        """
        problems = self.problems(task.template, task.target, "pub", owned=task.num_randomizations is None)
        if self.guard and task.num_randomizations is not None:
            rule = "chooses between final values, but a stage outside of ZNE still averages them"
            problems.append(Problem("options.resilience.zne.guard", rule, "set it to False"))
        UnsupportedError.check(problems)
        if not all(self._is_linear(model) for model in self.extrapolators):
            # Paulis decay to zero, which is what exponentials assume; projectors to what a random bit gives.
            task = evolve(task, observables=expand_projectors(task.observables))
        if self.amplifier == "pea":
            return self._with_gains(task, rng)
        foldable = Foldable(task.template, task.target)
        own_axis = [
            task.num_randomizations is None and self.amplifier == "gate_folding" and foldable.is_partial(f)
            for f in self._ascending
        ]
        counts = [self.num_randomizations if own else 1 for own in own_axis]
        achieved = tuple(foldable.achieved(f, n) for f, n in zip(self._ascending, counts, strict=True))
        children: list[Ensemble] = []
        for factor, share, own, count in zip(
            self._ascending, self.shares(achieved), own_axis, counts, strict=True
        ):
            total = task.share * float(share)
            shots = self.shots_per_randomization if own else task.shots
            for pairs in foldable.shared_out(factor, count):
                template = foldable.folded(factor, self.amplifier, rng, pairs)
                child = evolve(task, template=template, share=total, shots=math.ceil(shots * total - 1e-9))
                if own:
                    child = evolve(child, num_randomizations=1)
                elif task.num_randomizations is None:
                    child = evolve(child, blocks=min(_BLOCKS, child.shots))
                children.append(child)
        return children, ZneResidue(achieved, tuple(counts), tuple(own_axis))

    def _with_gains(self, task: Ensemble, rng: np.random.Generator) -> tuple[Sequence[Ensemble], ZneResidue]:
        """Ask the stage that has learned the noise for the noise factors."""
        key = draws.Key.spawn(rng)
        children = []
        for factor, share in zip(self._ascending, self.shares(self._ascending), strict=True):
            shots = math.ceil(task.shots * task.share * float(share) - 1e-9)
            amplification = Amplification(factor, self._ascending, task.shots, key)
            children.append(evolve(task, share=float(share), shots=shots, amplification=amplification))
        count = len(children)
        return children, ZneResidue(self._ascending, (1,) * count, (False,) * count)

    def problems(
        self, template: Template, target: Target | None, path: str, *, owned: bool = True
    ) -> list[Problem]:
        """Return why the noise of a circuit cannot be amplified; what has to be learned first is not looked at.

        Args:
            template: The circuit.
            target: What the device can do, None if unknown.
            path: What to call it.
            owned: Whether this stage gives the randomization axis where it needs one.
        """
        if self.amplifier == "pea":
            return []
        members = self.num_randomizations if owned else 1
        return Foldable(template, target).problems(self.amplifier, self._ascending, path, members)

    def combine(self, residue: ZneResidue, results: Sequence[Estimate]) -> Estimate:
        """Fit every term and return the values at zero noise."""
        points: list[Estimate] = []
        rest = iter(results)
        for members, own in zip(residue.members, residue.owner, strict=True):
            together = [next(rest) for _ in range(members)]
            points.append(joined(together) if own else together[0])
        flat = [e if len(e.terms.values) == 1 else e.reduced() for e in points]
        data = Data(np.array(residue.achieved), tuple(flat))
        fits = [
            attempt(model, data.factors, data.values, data.covariances, self._points)
            for model in self.extrapolators
        ]
        chosen, _ = choose(fits, data.covariances, 0, self.selection)
        response = response_of(chosen, fits)
        estimate = data.extrapolated(response, [f.values[:, 0] for f in fits], chosen)
        if flat != points:
            return by_member(estimate, points, response)
        status = status_of(data, fits, chosen)
        if failed(status).any():
            estimate = widened(data, estimate, response, failed(status))
        unguarded = np.stack([estimate.value, np.sqrt(estimate.variance)])
        if self.guard:
            estimate, status = guarded(data, estimate, response, status)
        curves = [data.extrapolated(f.responses[:, e], [f.values[:, e]]) for f in fits for e in self._asked]
        shape = (*estimate.shape, len(fits), len(self.evaluated))
        details = {
            **flat[0].details,
            **totals(flat),
            **_learned(flat),
            **_kept_fractions(flat),
            "zne": Extrapolation(
                noise_factors=data.factors,
                values=np.stack([e.value for e in flat], axis=-1),
                errors=np.sqrt(np.stack([e.variance for e in flat], axis=-1)),
                shot_errors=np.sqrt(np.stack([e.shot_variance for e in flat], axis=-1)),
                evaluated=np.array(self.evaluated),
                extrapolated=np.stack([c.value for c in curves], axis=-1).reshape(shape),
                extrapolated_errors=np.sqrt(np.stack([c.variance for c in curves], axis=-1)).reshape(shape),
                model_status=np.stack([data.per_value(f.status) for f in fits], axis=-1),
                models=tuple(f.name for f in fits),
                chosen=chosen,
                status=status,
                unguarded=unguarded,
                contributions=data.contributions(response),
                shots=tuple(int(e.details.get("executed_shots", 0)) for e in flat),
                subsets=tuple(n if own else 1 for n, own in zip(residue.members, residue.owner, strict=True)),
            ),
        }
        return evolve(estimate, details=details)

    @property
    def _points(self) -> Floats:
        """Where models are evaluated: at zero first, then where the user asks."""
        return np.array([0.0, *self.evaluated])

    @property
    def _asked(self) -> range:
        return range(1, 1 + len(self.evaluated))

    def describe(self, residue: Any = None) -> str:
        """Return one line for the plan."""
        factors = ", ".join(f"{f:g}" for f in self._ascending)
        models = ", ".join(model.name for model in self.extrapolators)
        guard = ", guarded" if self.guard else ""
        return f"ZNE: {self.amplifier.replace('_', ' ')} to {factors}; {models}{guard}"


def _learned(points: Sequence[Estimate]) -> dict[str, Any]:
    """Return as a detail what was said of the learned noise at each noise factor, nothing where it was left alone."""
    if "pec" not in points[0].details:
        return {}
    return {"pec": points[0].details["pec"], "pec_noise_factors": tuple(e.details["pec"] for e in points)}


def _kept_fractions(points: Sequence[Estimate]) -> dict[str, Any]:
    """Return as a detail which part of the shots of each noise factor was kept, nothing where none were dropped."""
    if "kept_shots" not in points[0].details:
        return {}
    sums = [(e.details["kept_shots"].sum(), e.details["taken_shots"].sum()) for e in points]
    return {"kept_fractions": tuple(float(kept / taken) for kept, taken in sums)}
