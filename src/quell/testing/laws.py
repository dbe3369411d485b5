"""The laws every estimator stage obeys, checked on an exact sampler.

`check_stage` is what a stage has to pass before it may join the onion; stages of third parties use it the
same way. `ensemble_of` and `run_stages` are the two steps it is made of: prepare a PUB, run some stages on it.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import attrs
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import Target
from scipy.special import ndtr, stdtrit

from .. import pipeline
from ..circuits.bound import BoundForm
from ..circuits.ensemble import Ensemble
from ..circuits.observables import LETTERS, expand_projectors, parse
from ..circuits.parametric import ParametricForm
from ..circuits.program import Program
from ..circuits.samples import Samples
from ..circuits.template import template_of
from ..errors import InputError
from ..execution.samplers import CallableRunner, SamplerFunction
from ..primitives.inputs import measuring, without_final_measurements
from ..stages.base import Stage
from ..stages.estimate import Estimate
from ..stages.measure import Measure
from ..stages.twirl import Twirl
from .devices import exact_value
from .samplers import ExactSampler

AnyStage = Stage[Any, Any, Any, Any]
Floats = NDArray[np.float64]

#: How far the spread of z-scores may be from one: the spread of one value is known to 5 % after 200
#: repetitions; after fewer the limit is four standard errors of the spread (false alarm 6e-5 per value).
SPREAD: Final = 0.2
#: Largest distance from the truth, in standard errors: false alarm 6e-7 per value.
SIGNIFICANT: Final = 5.0
#: Repetitions inside and outside of a twirl at least: with fewer the limit of Student's t is one that nothing exceeds.
_LEAST: Final = 16


def ensemble_of(
    circuit: QuantumCircuit,
    observables: Any,
    parameter_values: Any = None,
    *,
    shots: int = 1024,
    target: Target | None = None,
) -> Ensemble:
    """Return a PUB as the ensemble that the outermost stage gets.

    Args:
        circuit: The circuit; final measurements are dropped.
        observables: As in a PUB.
        parameter_values: As in a PUB.
        shots: Shots of each member, until a stage adds randomizations.
        target: What the device can do, None if unknown.

    Raises:
        InputError: The observables do not fit the circuit.
    """
    pub = EstimatorPub.coerce((circuit, observables, parameter_values))
    parsed, problems = parse(pub.observables, circuit.num_qubits, "pub")
    InputError.check(problems)
    measured, register = measuring(without_final_measurements(circuit), parsed.support)
    values = pub.parameter_values.as_array(circuit.parameters)
    num_sets = int(np.prod(pub.parameter_values.shape, dtype=int))
    return Ensemble(
        template=template_of(measured),
        register=register,
        measured=parsed.support,
        parameter_values=np.asarray(values, dtype=float).reshape(num_sets, circuit.num_parameters),
        parameter_shape=pub.parameter_values.shape,
        observables=parsed,
        shape=pub.shape,
        shots=shots,
        target=target,
    )


def exact_values(ensemble: Ensemble) -> Floats:
    """Return the noiseless values of an ensemble's observables, float64 of the PUB's shape.

    Raises:
        UnsupportedError: The circuit is not unitary, or acts on too many qubits for a state vector.
    """
    observables = expand_projectors(ensemble.observables)
    operators = []
    for number, constant in enumerate(observables.constants):
        mine = observables.owner == number
        labels = ["".join(LETTERS[code] for code in row[::-1]) for row in observables.letters[mine]]
        terms = [
            *zip(labels, observables.coefficients[mine], strict=True),
            ("I" * observables.letters.shape[1], constant),
        ]
        operators.append(SparsePauliOp.from_list(terms))
    circuit = ensemble.template.circuit
    bound = [circuit.assign_parameters(values) for values in ensemble.parameter_values]
    which_set = np.arange(len(bound)).reshape(ensemble.parameter_shape)
    which_operator = np.arange(len(operators)).reshape(observables.shape)
    sets, numbers = (np.broadcast_to(w, ensemble.shape) for w in (which_set, which_operator))
    values = [exact_value(bound[s], operators[o]) for s, o in zip(sets.ravel(), numbers.ravel(), strict=True)]
    return np.array(values, dtype=float).reshape(ensemble.shape)


def run_stages(
    stages: Sequence[AnyStage], ensemble: Ensemble, sampler: SamplerFunction, seed: int
) -> Estimate:
    """Plan, sample and combine once; stages outermost first."""
    plan = pipeline.plan([(stages, ensemble)], np.random.default_rng(seed))
    estimate: Estimate = pipeline.combine(plan, sample(plan, sampler))[0]
    return estimate


def sample(plan: pipeline.Plan, sampler: SamplerFunction) -> list[Samples]:
    """Run the leaves of a plan."""
    return CallableRunner(sampler).run(
        pipeline.leaves(plan), seed=None, progress=lambda done, total: None, cancelled=threading.Event()
    )


def default_ensemble() -> Ensemble:
    """Return a small PUB: two parameter sets against three observables, sums and shared settings included."""
    theta, circuit = Parameter("theta"), QuantumCircuit(3)
    circuit.ry(0.9, 0)
    circuit.cx(0, 1)
    circuit.rx(theta, 1)
    circuit.cx(1, 2)
    circuit.rz(0.4, 2)
    circuit.h(2)
    sums = {"ZZI": 0.5, "IZZ": 0.7, "XIX": -0.4, "III": 0.3}
    observables: list[Any] = ["ZZZ", sums, {"IIX": 1.0, "XII": 1.0}]
    return ensemble_of(circuit, observables, np.array([[[0.6]], [[2.3]]]), shots=192)


def check_stage(
    stage: AnyStage,
    *,
    ensemble: Ensemble | None = None,
    expected: Floats | None = None,
    sampler: Callable[[int], SamplerFunction] = ExactSampler,
    repetitions: int = 200,
    seed: int = 0,
    inner: Sequence[AnyStage] = (),
    inside: bool = True,
) -> None:
    """Check that a stage obeys the laws; all seeds are fixed, so a stage that passes once always passes.

    1. The ensemble it is given stays as it was.
    2. The same seed gives the same plan; another seed another plan if anything is random.
    3. A pickled plan combines the same samples to the same estimate, as often as one likes.
    4. Values are unbiased and z-scores have unit spread, over repetitions.
    5. All of this holds inside and outside of a twirl too (the crossing: inside), there over a quarter of the
       repetitions, at least 16.

    Args:
        stage: An estimator stage: it takes ensembles (or is the crossing, like `Measure`).
        ensemble: What it is tried on, `default_ensemble` by default. Choose values away from +-1, where
            shots have a spread.
        expected: What the stage should find, float64 of the ensemble's shape; by default the noiseless values.
        sampler: Makes a noiseless sampler from a seed, or one with the noise that the stage removes.
        repetitions: Seeds to try for the statistical laws.
        seed: The first of them.
        inner: Stages that it works with, which stand right inside of it, outermost first.
        inside: Whether it may stand inside a twirl; stages that choose the number of randomizations may not.

    Raises:
        AssertionError: Saying which law is broken, in which position, by how much.
    """
    task = default_ensemble() if ensemble is None else ensemble
    truth = exact_values(task) if expected is None else np.asarray(expected, dtype=float)
    twirl = Twirl(True, True, num_randomizations=16, shots_per_randomization=max(2, task.shots // 16))
    # The crossing makes programs; what is above it needs the crossing below.
    children, _ = stage.expand(task, _AnyKnowledge(), np.random.default_rng(seed))
    crossing = any(isinstance(child, Program) for child in children)
    below: tuple[AnyStage, ...] = () if crossing else (Measure(),)
    positions: dict[str, tuple[AnyStage, ...]] = {"alone": (stage, *inner, *below)}
    if inside:
        positions["inside a twirl"] = (twirl, stage, *inner, *below)
    if not crossing:
        positions["outside a twirl"] = (stage, *inner, twirl, *below)
    for where, stages in positions.items():
        here = f"{stage!r} {where}"
        _check_plans(stages, task, sampler(seed), seed, here)
        seeds = range(seed, seed + (repetitions if where == "alone" else max(_LEAST, repetitions // 4)))
        _check_statistics(stages, task, sampler, truth, seeds, here)


class _AnyKnowledge(dict[Any, Any]):
    """Something to know for every requirement."""

    def __missing__(self, requirement: Any) -> pipeline.Learned:
        return pipeline.Learned(requirement)


def _check_plans(
    stages: Sequence[AnyStage], task: Ensemble, sampler: SamplerFunction, seed: int, where: str
) -> None:
    before = pickle.loads(pickle.dumps(task))
    plan = pipeline.plan([(stages, task)], np.random.default_rng(seed))
    samples = sample(plan, sampler)
    estimate = pipeline.combine(plan, samples)[0]
    assert same(task, before), f"{where} changed the ensemble it was given"

    again = pipeline.plan([(stages, task)], np.random.default_rng(seed))
    rendered = _rendered(plan)
    assert same(rendered, _rendered(again)), f"{where}: the same seed gave another plan"
    if any(_is_random(program) for program in pipeline.leaves(plan)):
        other = pipeline.plan([(stages, task)], np.random.default_rng(seed + 1))
        assert not same(rendered, _rendered(other)), f"{where}: another seed gave the same random plan"

    stored = pickle.loads(pickle.dumps(plan))
    assert same(rendered, _rendered(stored)), f"{where}: a pickled plan runs something else"
    for name, one in (("a pickled plan", stored), ("combining once more", plan)):
        result = pipeline.combine(one, samples)[0]
        equal = np.array_equal(result.value, estimate.value) and np.array_equal(
            result.variance, estimate.variance
        )
        assert equal, f"{where}: {name} gave another estimate from the same samples"


def _is_random(program: Program) -> bool:
    """Return whether some draw of a program may do something."""
    template = program.template
    return any(
        draw.touched(template).any() or draw.flips(template, 0, 0, 1) is not None for draw in program.draws
    )


def _check_statistics(
    stages: Sequence[AnyStage],
    task: Ensemble,
    sampler: Callable[[int], SamplerFunction],
    truth: Floats,
    seeds: Iterable[int],
    where: str,
) -> None:
    estimates = [run_stages(stages, task, sampler(s), s) for s in seeds]
    for estimate in estimates[:1]:
        shapes = (np.shape(estimate.value), np.shape(estimate.variance))
        assert shapes == (truth.shape,) * 2, (
            f"{where}: value and variance have shapes {shapes}, not {truth.shape}"
        )
    values = np.stack([e.value for e in estimates])
    errors = np.sqrt(np.stack([e.variance for e in estimates]))
    assert np.isfinite(values).all(), f"{where}: some values are not finite"
    assert np.isfinite(errors).all(), f"{where}: some variances are negative or not finite"
    known = (errors > 0).all(axis=0)
    exact = np.abs(values - truth).max(axis=0) < 1e-9
    assert (known | exact).all(), f"{where}: an error bar is zero although the value varies"
    off = (values.mean(axis=0) - truth)[known] / (
        values.std(axis=0, ddof=1)[known] / np.sqrt(len(values)) + 1e-12
    )
    significant = float(stdtrit(len(values) - 1, ndtr(SIGNIFICANT)))  # their spread is that of few values
    assert (np.abs(off) < significant).all(), (
        f"{where} is biased: the mean of {len(values)} values is up to {np.abs(off).max():.1f} standard errors off "
        f"(limit {significant:.2g}); means {values.mean(axis=0)}, truth {truth}"
    )
    scores = ((values - truth)[:, known] / errors[:, known]).reshape(len(values), -1)
    spread = np.sqrt((scores**2).mean(axis=0))
    limit = max(SPREAD, 4 / np.sqrt(2 * len(values)))
    assert (np.abs(spread - 1) < limit).all(), (
        f"{where}: z-scores have spread {np.round(spread, 2)} over {len(values)} repetitions, more than "
        f"{limit:.2f} from one: error bars are too {'small' if spread.max() > 1 + limit else 'large'}"
    )


def _rendered(plan: pipeline.Plan) -> list[Any]:
    """Return everything that the leaves of a plan ask of a device; circuits once bound, as parameters are unique."""
    out: list[Any] = []
    for program in pipeline.leaves(plan):
        form, count = ParametricForm(program), program.num_members
        values = form.values(0, count)
        last = [form.circuit.assign_parameters(values[-1]), *BoundForm(program).circuits(count - 1, count)]
        out.append((values, program.flips(0, count), program.shots, last))
    return out


def same(first: Any, second: Any) -> bool:
    """Return whether two pieces of plain data are equal, arrays, circuits and attrs classes included."""
    if isinstance(first, QuantumCircuit):
        return bool(first == second)
    if type(first) is not type(second):
        return False
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    if isinstance(first, sp.csr_array):
        return first.shape == second.shape and not np.any((first - second).data)
    if attrs.has(type(first)):
        return all(same(getattr(first, a.name), getattr(second, a.name)) for a in attrs.fields(type(first)))
    if isinstance(first, (tuple, list)):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    return bool(first == second)
