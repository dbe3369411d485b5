"""Noise that was learned is cancelled (PEC, arXiv:1612.02058, arXiv:2201.09866) or amplified (PEA).

Both put random Pauli errors in front of layers. For a noise exp(L), errors drawn from exp((g - 1) L) leave exp(g L):
the *gain* g says how much noise there is in the end. Above 1 the errors are those of a channel. Below 1 they are those
of a quasi-probability: each randomization has a sign, and the mean of the signed values is multiplied by
gamma = exp(2 (1 - g) sum of rates). Shots are multiplied by gamma^2, the sampling overhead, so the precision that was
asked for is that of the result.

All terms share the randomizations. Each has the sign and the gamma of the errors in its own light cone only, since all
others leave it as it is; so the overhead does not grow with the width of a circuit. Where everything behind an error is
Clifford, only errors that anticommute with the term count, which meets the lower bound gamma = 1 / f of any unbiased
estimator (f: by what the noise damps the term).

Extrapolation (`stages.zne`) with the amplifier "pea" asks for several gains. They draw from one key, so the errors of a
smaller gain are nearly a subset of those of a larger one, and what is random in both cancels in the fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from ..calibration.layers import LayerModel
from ..calibration.learning import LayerNoise
from ..circuits.ensemble import Ensemble
from ..circuits.injection import Injection, injection
from ..circuits.layers import Layer, Occurrence, coupled_pairs, layer_problems, occurrences
from ..circuits.observables import expand_projectors, settings_of
from ..circuits.template import Template
from ..circuits.twirling import Strategy, twirled_template
from ..errors import Problem, UnsupportedError
from ..kernels import draws
from ..kernels.statistics import Deviations
from .base import Stage
from .budget import Budget, gain_within, overhead
from .circuit_noise import CircuitNoise, circuit_noise, missing, model_for
from .estimate import Estimate
from .signed import distinct_terms, normalized, numbers_of, odd_errors, shared_out, with_rare

Floats = NDArray[np.float64]

#: Shots of a randomization at most, where the user leaves the number to us.
_MOST_EACH: Final = 64
#: Randomizations at least, where there are as many shots: their spread is the error bar.
_LEAST_MEMBERS: Final = 32
#: Layers that messages name.
_NAMED: Final = 8
#: What results say of how well a layer's noise was learned, where there is anything to say.
_SAID: Final = ("reduced_chi_square", "dof", "without_signal")


@frozen
class LayerLearning:
    """How the noise of layers is learned: see `LayerNoise`; and most layers, None for any number."""

    depths: tuple[int, ...]
    num_randomizations: int
    shots: int
    max_layers: int | None = None


@frozen(eq=False)
class PecResidue:
    """What was inserted.

    Attributes:
        injection: The errors.
        gain: How much of the noise there is in the end.
        places: Number of each term, by its letters on the measured qubits.
        gammas: What signed values of each term are multiplied with, float64 ``(T,)``.
        odd_shares: Probability that each term is changed by an odd number of those errors that make it random, float64
            ``(T,)``.
        responses: Deviations of the logarithm of each term's value because rates are uncertain.
        shared: What errs together with other gains; None if nothing does.
        facts: What results say about it.
    """

    injection: Injection = field(repr=False)
    gain: float
    places: Mapping[bytes, int] = field(repr=False)
    gammas: Floats
    odd_shares: Floats
    responses: tuple[Deviations, ...] = field(repr=False)
    shared: draws.Key | None
    facts: Mapping[str, Any]


@frozen
class Pec(Stage[Ensemble, Ensemble, Estimate, Estimate]):
    """Bring the noise of layers to a gain.

    Attributes:
        learning: How noise is learned that `models` does not give.
        models: The noise of layers; None if it is learned.
        gain: Share of the noise that is left, times the ensemble's factor; "auto" for as little as `max_overhead`
            allows.
        least_gain: What "auto" does not go below.
        max_overhead: Largest sampling overhead, None for no limit.
        strategy: Which waiting qubits are twirled, and so belong to layers, see `twirled_template`.
        light_cone: Whether terms are rid of those errors only that can change them.
        normalization: Multiply by gamma, which is unbiased, or divide by the mean of the signs.
        stratified: Decide beforehand how many randomizations have which sign.
        circuit_cost: What one more randomization costs, in shots.
        num_randomizations: Number of randomizations; None to choose it.
        shots_per_randomization: Shots of each; None to choose them. Wins over `num_randomizations`.
        block: Neighbours on the randomization axis that inner twirls make dependent.
    """

    learning: LayerLearning
    models: tuple[LayerModel, ...] | None = field(default=None, repr=False)
    gain: float | Literal["auto"] = "auto"
    least_gain: float = 0.0
    max_overhead: float | None = 100.0
    strategy: Strategy = "active-accum"
    light_cone: bool = True
    normalization: Literal["gamma", "signs"] = "gamma"
    stratified: bool = True
    circuit_cost: float = 16.0
    num_randomizations: int | None = None
    shots_per_randomization: int | None = None
    block: int = 1

    # --- on the way down --------------------------------------------------------------------

    def needs(self, task: Ensemble) -> Iterable[LayerNoise]:
        """Return the noise of the task's distinct layers, if it has to be learned.

        Raises:
            UnsupportedError: The circuit has no Pauli noise, or too many layers.
        """
        UnsupportedError.check(self._obstacles(task, task.path))
        if self.models is not None:
            return ()
        pairs = coupled_pairs(task.template, task.target)
        return tuple(self._requirement(layer, pairs, task) for layer in self.to_learn(task))

    def _distinct(self, task: Ensemble) -> list[Layer]:
        return list(dict.fromkeys(place.layer for place in _idled(task.template, self.strategy)[1]))

    def to_learn(self, task: Ensemble) -> list[Layer]:
        """Return the layers of a task, one for those with the same gates: with all who wait in any of them."""
        found: dict[Any, Layer] = {}
        for layer in self._distinct(task):
            waiting = {*layer.spectators, *(found[layer.gates].spectators if layer.gates in found else ())}
            found[layer.gates] = evolve(layer, spectators=tuple(sorted(waiting)))
        return list(found.values())

    def _requirement(self, layer: Layer, pairs: Sequence[tuple[int, int]], task: Ensemble) -> LayerNoise:
        own = set(layer.qubits)
        return LayerNoise(
            layer=layer,
            num_qubits=task.template.num_qubits,
            pairs=tuple(pair for pair in pairs if own.issuperset(pair)),
            depths=self.learning.depths,
            num_randomizations=self.learning.num_randomizations,
            shots=self.learning.shots,
            target=task.target,
        )

    def problems(self, task: Ensemble, path: str) -> list[Problem]:
        """Return why the noise of a circuit cannot be cancelled or amplified, as far as it is known."""
        found = self._obstacles(task, path)
        if found or self.models is None:
            return found
        return self._over_budget(*self._noise(task, {}))

    def _obstacles(self, task: Ensemble, path: str) -> list[Problem]:
        switch = "resilience.pec_mitigation and amplifier 'pea'"
        found = layer_problems(task.template, f"{path}.circuit", switch)
        if found:
            return found
        layers = self._distinct(task)
        if task.amplification is not None and not layers:
            rule = "has no two-qubit gates, so there is no noise of layers to amplify"
            fix = "switch resilience.zne_mitigation off for it, or split the run"
            return [Problem(f"{path}.circuit", rule, fix)]
        if self.models is not None:
            return missing(layers, self.models, path)
        return self.too_many(self.to_learn(task), task, path)

    def too_many(self, layers: Sequence[Layer], task: Ensemble, path: str) -> list[Problem]:
        """Return a problem where more layers would be learned than the user wants."""
        most = self.learning.max_layers
        if most is not None and len(layers) > most:
            each = self._requirement(layers[0], coupled_pairs(task.template, task.target), task).shots_in_all
            rule = (
                f"is {most}, but {path} has {len(layers)} distinct layers, about {each} shots each: "
                + "; ".join(layer.describe() for layer in layers[:_NAMED])
                + ("; ..." if len(layers) > _NAMED else "")
            )
            fix = f"set it to {len(layers)} or None, or give layer_noise_model"
            path = "options.resilience.layer_noise_learning.max_layers_to_learn"
            return [Problem(path, rule, fix)]
        return []

    def _noise(self, task: Ensemble, known: Mapping[Any, Any]) -> tuple[Ensemble, CircuitNoise]:
        """Return the ensemble with Pauli terms and idles, and the noise of its circuit."""
        template, places = _idled(task.template, self.strategy)
        task = evolve(task, template=template, observables=expand_projectors(task.observables))
        learned = [model for model in known.values() if isinstance(model, LayerModel)]
        given = learned if self.models is None else self.models
        models: dict[Layer, LayerModel] = {}
        for place in places:
            if place.layer not in models:
                found = model_for(place.layer, given)
                assert found is not None, "its noise was asked for"
                models[place.layer] = found
        noise = circuit_noise(
            task.template,
            places,
            [models[place.layer] for place in places],
            task.parameter_values,
            distinct_terms(task)[0],
            light_cone=self.light_cone,
        )
        return task, noise

    def _factors(self, task: Ensemble) -> tuple[float, ...]:
        return (1.0,) if task.amplification is None else task.amplification.factors

    def _gain(self, noise: CircuitNoise, factors: Sequence[float]) -> float:
        """Return the gain before factors; "auto" leaves as little as the largest overhead allows."""
        if self.gain != "auto":
            return float(self.gain)
        least = 0.0 if self.max_overhead is None else gain_within(noise, self.max_overhead) / min(factors)
        return float(np.clip(least, self.least_gain, 1.0))

    def _over_budget(self, task: Ensemble, noise: CircuitNoise) -> list[Problem]:
        factors = self._factors(task)
        gain = min(self._gain(noise, factors) * factor for factor in factors)
        settings = settings_of(task.observables, task.parameter_shape, task.shape)
        budget = Budget(
            self.max_overhead, task.shots, len(settings.parameter_sets), self.gain == "auto", min(factors)
        )
        return budget.problems(noise, gain, task.path)

    def expand(
        self, task: Ensemble, known: Mapping[Any, Any], rng: np.random.Generator
    ) -> tuple[Sequence[Ensemble], PecResidue]:
        """Add errors, and the randomization axis.

        Raises:
            UnsupportedError: The overhead is over budget, or something outside has randomizations already.
        """
        if task.num_randomizations is not None:
            rule = "multiplies randomizations, but a stage outside of it fixes their number"
            raise UnsupportedError.of([Problem("options.resilience.pec_mitigation", rule, "set it to False")])
        wide, noise = self._noise(task, known)
        UnsupportedError.check(self._over_budget(wide, noise))
        factors = self._factors(task)
        gain, factor = (
            self._gain(noise, factors),
            factors[0] if task.amplification is None else task.amplification.factor,
        )
        split = {f: overhead(noise, gain * f) for f in factors}
        own = gain * factor
        shots = task.shots * split[factor]
        # As many randomizations for all factors, so that their errors can be nested.
        base = shots if task.amplification is None else task.amplification.shots * max(split.values())
        members, each = self._members(base, shots, noise, [gain * f for f in factors])
        key = draws.Key.spawn(rng) if task.amplification is None else task.amplification.key
        letters, places = distinct_terms(wide)
        scale = own - 1
        errors = injection(
            key,
            len(wide.template.dressings),
            [(word, where, scale * rate) for word, where, rate in noise.generators] if scale else [],
            noise.relevant if scale else noise.relevant[:0],
            num_members=members if self.stratified and self.block == 1 else 0,
        )
        child = evolve(
            wide, draws=(*task.draws, errors), num_randomizations=members, shots=each, amplification=None
        )
        gammas = np.exp(2 * max(1 - own, 0.0) * noise.totals)
        residue = PecResidue(
            injection=errors,
            gain=own,
            places=places,
            gammas=gammas,
            odd_shares=-np.expm1(-2 * abs(1 - own) * (noise.unsure if own < 1 else noise.totals)) / 2,
            responses=tuple(r.scaled(np.full(len(letters), 1 - own)) for r in noise.responses),
            shared=None if task.amplification is None else key,
            facts=_facts(noise, own, members, each),
        )
        return [child], residue

    def _members(
        self, most: float, shots: float, noise: CircuitNoise, gains: Sequence[float]
    ) -> tuple[int, int]:
        """Return the number of randomizations and the shots of each.

        Randomizations add the variance q v^2 to that of the shots, 1 - v^2, with q = 1 - exp(-4 |1 - g| total). With
        v^2 of a half the cost is least at sqrt(cost of a circuit / q) shots each.
        """
        each = self.shots_per_randomization
        if each is None:
            # Signs of errors that turn a term for certain turn with its value, and are not random for it.
            below = max(1 - gain for gain in gains) * float(noise.unsure.max(initial=0.0))
            above = max(gain - 1 for gain in gains) * float(noise.totals.max(initial=0.0))
            random = -math.expm1(-4 * max(below, above, 0.0))
            # Where v^2 is one, the error is so at most 1.4 times the one that was asked for.
            best = min(math.sqrt(self.circuit_cost / random), 2 / random) if random > 0 else math.inf
            each = int(np.clip(min(best, _MOST_EACH), 1, _MOST_EACH))
            members = self.num_randomizations or max(
                math.ceil(most / each), min(_LEAST_MEMBERS, math.ceil(most))
            )
        else:
            members = math.ceil(most / each)
        return members, max(1, math.ceil(shots / members - 1e-9))

    def forecast(self, task: Ensemble) -> tuple[int, int | None]:
        """Return about how many shots a task takes at least and at most, before its noise is known."""
        settings = settings_of(expand_projectors(task.observables), task.parameter_shape, task.shape)
        least = task.shots * len(settings.parameter_sets)
        amplifies = self.gain != "auto" and self.gain * min(self._factors(task)) >= 1
        if amplifies:
            return least, least
        return least, None if self.max_overhead is None else math.ceil(least * self.max_overhead)

    # --- on the way up ----------------------------------------------------------------------

    def combine(self, residue: PecResidue, results: Sequence[Estimate]) -> Estimate:
        """Return the mean of the signed values; the spread between randomizations is the error bar."""
        estimate = results[0]
        terms = estimate.terms
        which = numbers_of(terms.settings, residue.places)
        gammas = residue.gammas[which]
        odd, strata = odd_errors(residue.injection, terms.settings, which, len(terms.values))
        signs = np.where(odd, -1.0, 1.0) if residue.gain < 1 else np.ones(odd.shape)
        values = terms.values * signs * gammas
        weights, decided = terms.weights, residue.injection.num_odd is not None
        if decided:
            weights = shared_out(weights, strata, residue.injection.odd_share)
        if self.normalization == "signs":
            values = normalized(values, signs * gammas, weights)
        reduced = estimate.reduced(
            self.block,
            terms=evolve(terms, values=values, weights=weights, scale=terms.scale * gammas),
            strata=strata if decided else None,
            source=residue.shared,
        )
        reduced = with_rare(reduced, estimate, odd, residue.odd_shares[which])
        mean = reduced.terms.values[0]
        common = tuple(evolve(own, rows=own.rows[:, which] * mean) for own in residue.responses)
        details = {**reduced.details, "pec": residue.facts}
        return reduced.recombined(evolve(reduced.terms, common=(*reduced.terms.common, *common)), details)

    def describe(self, residue: PecResidue | None = None) -> str:
        """Return one line for the plan."""
        if residue is None:
            what = "as far as the overhead allows" if self.gain == "auto" else f"to a gain of {self.gain:g}"
            limit = "" if self.max_overhead is None else f", sampling overhead at most {self.max_overhead:g}"
            return f"PEC or PEA: learned noise, {what}{limit}"
        facts = residue.facts
        size = f"{facts['num_randomizations']} x {facts['shots_per_randomization']} shots"
        if residue.gain >= 1:
            return f"PEA: learned noise times {residue.gain:g}: {size}"
        overhead = f"gamma {facts['gamma']:.4g}, sampling overhead {facts['sampling_overhead']:.4g}"
        left = f", {residue.gain:.3g} of it left" if residue.gain else ""
        return f"PEC: cancel learned noise{left}: {overhead}, {size}"


@lru_cache(maxsize=32)
def _idled(template: Template, strategy: Strategy) -> tuple[Template, tuple[Occurrence, ...]]:
    """Return a template with the idles that a strategy twirls, and its layers."""
    wide = twirled_template(template, strategy)
    return wide, occurrences(wide)


def _facts(noise: CircuitNoise, gain: float, members: int, each: int) -> dict[str, Any]:
    """Return what results say: overhead, cost, what is left, and the layers."""
    total = float(noise.totals.max(initial=0.0))
    cancelled = max(1 - gain, 0.0)
    facts: dict[str, Any] = {
        "noise_gain": gain,
        "gamma": math.exp(2 * cancelled * total),
        "sampling_overhead": math.exp(4 * cancelled * total),
        # Exponents: whole circuits have overheads that are no numbers.
        "log10_overhead_without_light_cone": 4 * cancelled * noise.all_rates / math.log(10),
        "num_randomizations": members,
        "shots_per_randomization": each,
        "layers": [
            {
                "layer": layer.describe(),
                "occurrences": count,
                "gamma": model.gamma,
                **{k: model.quality[k] for k in _SAID if model.quality.get(k)},
            }
            for layer, count, model in noise.layers
        ],
    }
    if gain < 1:
        # What is left of the noise damps a term by at most this.
        facts["largest_relative_bias"] = -math.expm1(-2 * gain * total)
    return facts
