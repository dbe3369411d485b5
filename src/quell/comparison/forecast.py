"""Which strategy should win, before a shot is spent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub, EstimatorPubLike

from ..errors import InputError, Problem, QuellError
from ..execution.modes import ExecutionMode
from ..kernels import forecasts
from ..kernels.forecasts import Outcome, Terms
from ..options import EstimatorOptions
from ..primitives.inputs import estimator_pub
from .budget import learning_within
from .circuit_terms import PubTerms, pub_terms
from .device_noise import DeviceNoise, device_noise
from .foreseen import Asked, Foreseen, Onion, foreseen
from .strategies import Chosen, chosen
from .suggestion import Prediction, Suggestion, reason

Floats = NDArray[np.float64]
#: What is forecast where nothing is asked for, see `strategies.options_of`.
NAMES: Final = ("raw", "trex", "twirl+trex", "level 2", "pea+trex+twirl", "pec+trex+twirl")
#: Size of a term that cannot be worked out: that of a value worth measuring.
TYPICAL: Final = 0.5
#: Shots of each basis and depth with which noise is learned by default.
_DEFAULT_EFFORT: Final = 32 * 128
#: Fewer shots of a setting are no measurement.
_LEAST: Final = 64
#: Predictions that differ by no more are equal.
_EQUAL: Final = 1.03


def suggest(
    mode: Any,
    pubs: Iterable[EstimatorPubLike],
    budget: int,
    *,
    strategies: Any = None,
    noise: Any = None,
    typical: float = TYPICAL,
) -> Suggestion:
    """Predict how far off each strategy would be with a budget of shots, and name the one that should win.

    Nothing is run. What calibrations take counts, and what they leave of the budget is spent on data. Noise is taken as
    Pauli noise of gates and readout, as the device states it.

    Args:
        mode: What an estimator takes.
        pubs: EstimatorV2 PUBs on the device's gates.
        budget: Shots in total, calibration included.
        strategies: As `compare` takes them: built-in names, or a dict of names to options; None for `NAMES`.
        noise: What is known of the noise, if the device does not say, or says something else: see `device_noise`.
        typical: Size of terms whose ideal value takes too long to find.

    Raises:
        InputError: Arguments are wrong, nothing is known of the noise, or no strategy fits the budget.
    """
    wanted, given = _checked(pubs, budget, NAMES if strategies is None else strategies, typical)
    known = device_noise(mode, noise)
    asked = Asked.of(given, mode.runs_on if isinstance(mode, ExecutionMode) else mode)
    terms = [pub_terms(pub, known, typical, f"pubs[{i}]") for i, pub in enumerate(given)]
    InputError.check(
        Problem(f"pubs[{i}]", "has no terms whose value would have to be measured")
        for i, part in enumerate(terms)
        if not len(part.plain.values)
    )
    plans = {each.name: _foreseen(each.options, asked, budget) for each in wanted}
    terms = [
        part.at(
            (_twirled(plan.foreseen.onion), gain)
            for plan in plans.values()
            if isinstance(plan, _Planned)
            for gain in _gains(plan.foreseen.onion, part)
        )
        for part in terms
    ]
    predictions = tuple(_predicted(name, plan, terms, budget) for name, plan in plans.items())
    possible = sorted((p for p in predictions if p.rms is not None), key=lambda p: float(p.rms or 0.0))
    # Of equals the one that was named first, which is the simplest of ours.
    equal = [
        p
        for p in predictions
        if p in possible and float(p.rms or 0.0) <= _EQUAL * float(possible[0].rms or 0.0)
    ]
    possible = [*equal[:1], *(p for p in possible if p not in equal[:1])]
    if not possible:
        problems = [Problem(f"strategies[{p.name!r}]", p.refused) for p in predictions]
        raise InputError.of(problems)
    return Suggestion(
        best=possible[0].name,
        reason=reason(possible, predictions, budget, _size(terms)),
        predictions=predictions,
        budget=budget,
        assumptions=(
            *_assumptions(known, terms, typical),
            *(f"{p.name}: {p.note}." for p in predictions if p.note and not p.refused),
        ),
    )


def _checked(
    pubs: Iterable[EstimatorPubLike], budget: int, strategies: Any, typical: float
) -> tuple[tuple[Chosen, ...], list[EstimatorPub]]:
    problems: list[Problem] = []
    if isinstance(budget, bool) or not isinstance(budget, (int, np.integer)) or budget < 1:
        rule = f"must be a number of shots (got {budget!r})"
        problems.append(Problem("budget", rule, "suggest(mode, pubs, 100000)"))
    if not 0 < typical <= 1:
        problems.append(Problem("typical", f"must be above 0 and at most 1 (got {typical!r})"))
    wanted: tuple[Chosen, ...] = ()
    try:
        wanted = chosen(strategies)
    except InputError as error:
        problems += error.problems
    given = []
    for i, pub in enumerate(pubs):
        try:
            given.append(estimator_pub(pub, None))
        except (TypeError, ValueError) as error:
            problems.append(Problem(f"pubs[{i}]", str(error)))
    if not given and not problems:
        problems.append(Problem("pubs", "is empty", "give [(circuit, observables)]"))
    InputError.check(problems)
    return wanted, given


# --- one strategy ------------------------------------------------------------------------------


@frozen(eq=False)
class _Planned:
    """What a strategy would do, and what was changed to fit the budget."""

    foreseen: Foreseen
    note: str = ""


def _foreseen(options: EstimatorOptions, asked: Asked, budget: int) -> _Planned | str:
    """Return what a strategy would do, as `compare` would run it; or why it cannot."""
    try:
        found, note = foreseen(options, asked), ""
        if found.learning:
            fitting = options.copy()
            note = learning_within(budget, fitting, found.learning)
            found = foreseen(fitting, asked) if note else found
        return _Planned(found, note)
    except QuellError as error:
        return str(error)


def _gains(onion: Onion, part: PubTerms) -> list[float]:
    """Return by how much the noise is multiplied in what a strategy runs."""
    factors = (1.0,) if onion.zne is None else onion.zne.noise_factors
    return [_gain(onion, part.twirled) * float(factor) for factor in factors]


def _predicted(name: str, planned: _Planned | str, terms: list[PubTerms], budget: int) -> Prediction:
    if isinstance(planned, str):
        return Prediction(name, refused=planned)
    plan = planned.foreseen
    gains = [_gain(plan.onion, part.twirled) for part in terms]
    overheads = [_overhead(part.twirled, gain) for part, gain in zip(terms, gains, strict=True)]
    each = plan.calibration + sum(data * over for data, over in zip(plan.data, overheads, strict=True))
    shots = (budget - plan.learning) / each
    if shots < _LEAST:
        needed = int(np.ceil(plan.learning + _LEAST * each))
        learning = f", {plan.learning} of them to learn the noise of layers" if plan.learning else ""
        return Prediction(
            name, refused=f"takes at least {needed} shots{learning}", gamma_squared=max(overheads)
        )
    found = [
        _of_pub(plan.onion, part, gain, overhead, readout, shots)
        for part, gain, overhead, readout in zip(terms, gains, overheads, plan.readout, strict=True)
    ]
    bias = float(np.sqrt(np.mean(np.concatenate([own for own, _ in found]) ** 2)))
    error = float(np.sqrt(np.mean(np.concatenate([own for _, own in found]))))
    return Prediction(
        name,
        rms=float(np.hypot(bias, error)),
        bias=bias,
        error=error,
        shots=int(shots),
        calibration_shots=int(plan.learning + plan.calibration * shots),
        gamma_squared=float(max(overheads)),
        note=planned.note,
    )


def _twirled(onion: Onion) -> bool:
    """Return whether one-qubit gates are written anew around all layers."""
    return onion.pec is not None or (onion.twirl is not None and onion.twirl.gates)


def _gain(stages: Onion, terms: Terms) -> float:
    """Return what is left of the noise, before noise factors multiply it."""
    if stages.pec is None:
        return 1.0
    if stages.pec.gain != "auto":
        return float(stages.pec.gain)
    exponent = 4 * float(terms.rates.max(initial=0.0))
    limit = stages.pec.max_overhead
    least = 0.0
    if limit is not None and exponent > 0:
        least = max(1 - np.log(limit) / exponent, 0.0)
    return float(np.clip(least, stages.pec.least_gain, 1.0))


def _overhead(terms: Terms, gain: float) -> float:
    return float(np.exp(min(4 * max(1 - gain, 0.0) * terms.rates.max(initial=0.0), 700.0)))


def _of_pub(
    stages: Onion, part: PubTerms, gain: float, overhead: float, readout: float, shots: float
) -> tuple[Floats, Floats]:
    """Return bias and variance of each value of a PUB."""
    terms = part.of(_twirled(stages))
    corrected = stages.trex is not None
    calibration = readout * shots if corrected else np.inf
    twirled = stages.twirl is not None and stages.twirl.measure
    uncertainty = part.uncertainty
    if stages.pec is not None:
        effort = stages.pec.learning.num_randomizations * stages.pec.learning.shots
        uncertainty = uncertainty * np.sqrt(_DEFAULT_EFFORT / effort) * (stages.pec.models is None)

    def at(factor: float, own: float) -> Outcome:
        if gain * factor < 1:
            return forecasts.cancelled(
                terms,
                gain * factor,
                own,
                corrected=corrected,
                calibration=calibration,
                uncertainty=(1 - gain * factor) * uncertainty,
            )
        return forecasts.measured(
            terms, gain * factor, own, twirled=twirled, corrected=corrected, calibration=calibration
        )

    zne = stages.zne
    if zne is None:
        found = at(1.0, shots * overhead)
        values = part.sums @ found.means
        variance = (part.sums**2) @ (found.variances + found.common**2)
    else:
        factors = np.array(sorted(zne.noise_factors), dtype=np.float64)
        shares = zne.shares(factors.tolist()) if zne.amplifier != "pea" else np.ones(len(factors))
        points = [at(float(f), shots * float(share)) for f, share in zip(factors, shares, strict=True)]
        values, variance = forecasts.extrapolated(points, factors, part.sums, guard=zne.guard)
    return np.asarray(values - part.sums @ terms.values), np.asarray(variance)


# --- words -------------------------------------------------------------------------------------


def _size(terms: list[PubTerms]) -> float:
    """Return the rms of the ideal values."""
    values = np.concatenate([part.sums @ part.plain.values for part in terms])
    return float(np.sqrt(np.mean(values**2))) if len(values) else 0.0


def _assumptions(noise: DeviceNoise, terms: list[PubTerms], typical: float) -> tuple[str, ...]:
    told = [
        f"Noise: {noise.source}, taken as Pauli noise of gates and readout errors that do not depend on each other."
    ]
    if noise.coherent:
        told.append(
            "Some errors are coherent: without twirling, biases may be larger or smaller than predicted."
        )
    elif noise.coherent is None:
        told.append(
            "Coherent errors, crosstalk and errors of waiting qubits are not known, and not in the forecast."
        )
    if any(part.unknown for part in terms):
        told.append(
            "Some operations are neither gates on one or two qubits nor final measurements: taken as ideal."
        )
    exact = sum(part.exact for part in terms)
    if exact == len(terms):
        told.append("Ideal values of all terms are worked out exactly.")
    else:
        told.append(
            f"{len(terms) - exact} of {len(terms)} PUBs are too large to work out ideal values quickly: terms are "
            f"taken to be {typical:g} with the signs of their coefficients."
        )
    told.append("Shot noise of different terms is taken as independent.")
    return tuple(told)
