"""PEC on devices whose Pauli-Lindblad noise is known: unbiased, of the variance that theory says, and it covers.

Fixed seeds; each test states how often it would fail by chance, were they others.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from attrs import evolve
from known_noise import LindbladSampler, exact_damped, known_to, mistaken, models_of, pec
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from repetitions import COUNTS, check_coverage, check_unbiased

from quell.calibration.layers import LayerModel
from quell.circuits.layers import Layer
from quell.kernels.statistics import Deviations
from quell.stages.measure import Measure
from quell.stages.trex import Trex
from quell.stages.twirl import Twirl
from quell.testing import ReadoutModel, ensemble_of, exact_values, run_stages
from quell.testing.pauli_frames import PauliFrameSampler

TWIRL = Twirl(True, True, 32, 32, "all")
SCALE = 0.004
#: A term whose cone is narrow, one whose cone is wide, and terms of three settings together.
OBSERVABLES = ["IIZ", "ZZI", {"IZI": 1.0, "XXI": 0.5, "IIY": 0.3}]
#: Those of one setting.
DIAGONAL = ["IIZ", "ZZI", {"IZI": 1.0, "ZII": 0.5, "IZZ": 0.3}]


def ising(steps: int = 4) -> QuantumCircuit:
    """Rotations by angles that are not Clifford between layers of one cx; `t` is the parameter."""
    circuit, t = QuantumCircuit(3), Parameter("t")
    for k in range(steps):
        for q in range(3):
            circuit.rx(t * (1 + 0.3 * q), q)
            circuit.rz(0.4, q)
        circuit.barrier()
        circuit.cx(k % 2, k % 2 + 1)
        circuit.barrier()
    circuit.ry(0.3, range(3))
    return circuit


CIRCUIT = ising()
MODELS = models_of(CIRCUIT, SCALE)
T = 0.35


def copies(count: int, shots: int, observables=OBSERVABLES):
    """Return a PUB that estimates the same `count` times, each with randomizations of its own, and the truth."""
    task = ensemble_of(CIRCUIT, observables, np.full((count, 1, 1), T), shots=shots)
    return task, exact_values(evolve_sets(task))[0]


def evolve_sets(task):
    """Return the task with its first parameter set only."""
    shape = (1, *task.shape[1:])
    return evolve(task, parameter_values=task.parameter_values[:1], parameter_shape=(1, 1), shape=shape)


def clifford(num_qubits: int, depth: int) -> QuantumCircuit:
    """Brickwork of cz between random one-qubit Cliffords, and their inverses, so that the state is |0...0> again."""
    rng = np.random.default_rng(5)
    half = QuantumCircuit(num_qubits)
    for k in range(depth // 2):
        for q in range(num_qubits):
            getattr(half, rng.choice(["h", "s", "sx"]))(q)
        half.barrier()
        for q in range(k % 2, num_qubits - 1, 2):
            half.cz(q, q + 1)
        half.barrier()
    return half.compose(half.inverse())


def with_parameter(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return the circuit behind a rotation of |0>, which does nothing; its parameter makes copies."""
    free = circuit.copy_empty_like()
    free.rz(Parameter("nothing"), 0)
    return free.compose(circuit)


def gammas_of(task, stage):
    """Return gamma of each single term of a task."""
    noise = stage._noise(task, {})[1]
    return np.exp(2 * noise.totals)


# --- unbiased -------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [4_000, pytest.param(200_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("light_cone", [True, False], ids=["light cone", "all errors"])
@pytest.mark.parametrize(
    ("normalization", "stratified"), [("gamma", False), ("gamma", True), ("signs", False), ("signs", True)]
)
def test_unbiased(samples, light_cone, normalization, stratified):
    """Non-Clifford, terms of different cones, several settings: within 3 standard errors, false alarm 0.3 % a value."""
    stage = pec(
        MODELS, light_cone=light_cone, normalization=normalization, stratified=stratified, max_overhead=None
    )
    gamma = math.exp(2 * sum(m.rates.sum() * 2 for m in MODELS))
    task = ensemble_of(CIRCUIT, OBSERVABLES, [[T]], shots=math.ceil(samples / gamma**2))
    truth = exact_values(task)
    noisy = exact_damped(CIRCUIT.assign_parameters([T]), MODELS, OBSERVABLES, 1.0)
    estimate = run_stages((stage, TWIRL, Measure()), task, LindbladSampler(MODELS, 3), 3)
    errors = np.sqrt(estimate.variance)
    print(estimate.details["pec"]["num_randomizations"], (estimate.value - truth) / errors)
    assert (np.abs(estimate.value - truth) < 3 * errors).all()
    if samples > 100_000:
        assert estimate.details["pec"]["num_randomizations"] >= 0.8 * samples
        assert (np.abs(noisy - truth) > 8 * errors)[0]  # what is not cancelled would be seen


@pytest.mark.parametrize(
    "light_cone", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["light cone", "all errors"]
)
def test_unbiased_at_200_000_samples(light_cone):
    """One shot each on a Clifford circuit of five qubits: within 3 standard errors, false alarm 0.3 % a value."""
    circuit = clifford(5, 4)
    models = models_of(circuit, 0.002)
    task = ensemble_of(circuit, ["ZIIII", "IZZII", {"IIIIZ": 1.0, "ZZZZZ": 0.5}])
    stage = pec(models, light_cone=light_cone)
    task = evolve(task, shots=math.ceil(200_000 / gammas_of(task, stage).max() ** 2))
    estimate = run_stages((stage, TWIRL, Measure()), task, PauliFrameSampler(models, 3), 3)
    assert estimate.details["pec"]["num_randomizations"] == pytest.approx(200_000, rel=2e-4)
    print((estimate.value - exact_values(task)) / np.sqrt(estimate.variance))
    assert (np.abs(estimate.value - exact_values(task)) < 3 * np.sqrt(estimate.variance)).all()


def test_unbiased_over_a_sweep():
    """Parameter sets against observables; the mean of 25 copies within 4 standard errors, false alarm 6e-5 a value."""
    sweep = np.repeat(np.array([[0.0, 0.35, 1.1, np.pi / 2]]), 25, axis=0)[..., None, None]
    task = ensemble_of(CIRCUIT, OBSERVABLES, sweep, shots=20)
    estimate = run_stages((pec(MODELS), TWIRL, Measure()), task, LindbladSampler(MODELS, 4), 4)
    truth = exact_values(ensemble_of(CIRCUIT, OBSERVABLES, sweep[0]))
    assert estimate.value.shape == (25, 4, 3)
    check_unbiased(estimate.value, truth)


def test_readout_errors_are_left_to_trex():
    """Both together: within 4 standard errors, false alarm 6e-5 a value."""
    task, truth = copies(40, 128, DIAGONAL)
    stages = (Trex(64, 64), pec(MODELS), TWIRL, Measure())
    sampler = LindbladSampler(MODELS, 6, readout=ReadoutModel.uniform(3, 0.04, 0.08))
    estimate = run_stages(stages, task, sampler, 6)
    # Copies share one calibration, so the mean errs with it.
    mean, error = estimate.value.mean(axis=0), np.sqrt(estimate.variance.mean(axis=0))
    assert (np.abs(mean - truth) < 4 * error).all()
    alone = run_stages((pec(MODELS), TWIRL, Measure()), task, sampler, 6)
    assert abs(alone.value.mean(axis=0) - truth)[0] > 4 * np.sqrt(alone.variance[:, 0].mean() / 40)


# --- variance -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1000, pytest.param(20_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("label", ["IIZ", "ZZI"])
def test_the_variance_is_what_theory_says(count, label):
    """(gamma^2 - <O>^2) over the number of samples, at one shot per randomization.

    What the values really vary by, over `count` copies of 12 samples: 0.97 to 1.03 at 20 000 copies, three standard
    errors (false alarm 0.3 % a value); 1000 copies get 4.5 standard errors.
    """
    stage = pec(MODELS, num_randomizations=None)
    single = ensemble_of(CIRCUIT, [label], [[T]], shots=2)
    gamma = gammas_of(single, stage)[0]
    task = ensemble_of(CIRCUIT, [label], np.full((count, 1), T), shots=2)
    truth = exact_values(single)[0]
    estimate = run_stages((stage, TWIRL, Measure()), task, LindbladSampler(MODELS, 7), 7)
    samples = estimate.details["pec"]["num_randomizations"]
    theory = (gamma**2 - truth**2) / samples
    limit = 0.03 if count > 10_000 else 4.5 * math.sqrt(2 / count)
    ratio = np.var(estimate.value, ddof=1) / theory
    print(samples, gamma, ratio)
    assert abs(ratio - 1) < limit


@pytest.mark.parametrize("label", ["IIZ", "ZZI", "XXI"])
def test_the_error_bar_is_what_theory_says(label):
    """It is so to 2 %: more than four times what it fluctuates by, which is the square of the value found."""
    stage = pec(MODELS)
    task = ensemble_of(CIRCUIT, [label], [[T]], shots=3000)
    gamma, truth = gammas_of(task, stage)[0], exact_values(task)[0]
    estimate = run_stages((stage, TWIRL, Measure()), task, LindbladSampler(MODELS, 8), 8)
    samples = estimate.details["pec"]["num_randomizations"]
    assert samples == math.ceil(3000 * gamma**2 - 1e-9)
    assert estimate.variance[0] * samples / (gamma**2 - truth**2) == pytest.approx(1, abs=0.02)
    assert estimate.variance[0] == pytest.approx((1 - truth**2 / gamma**2) / 3000, rel=0.02)
    # No more than what the precision of so many shots without noise promises.
    assert estimate.variance[0] < 1.02 / 3000


def test_strata_do_not_vary_more():
    """Values of 300 copies: what strata vary by over what random signs vary by, at most 4.5 standard errors above one.

    Their error bars say it. The term has a large value, so that much of the variance is between the signs.
    """
    circuit = clifford(3, 4)
    models = models_of(circuit, 0.002)
    task = ensemble_of(with_parameter(circuit), ["ZZZ"], np.zeros((300, 1)), shots=24)
    variances, bars = [], []
    for stratified in (False, True):
        stage = pec(models, stratified=stratified, light_cone=False)
        estimate = run_stages((stage, TWIRL, Measure()), task, PauliFrameSampler(models, 9), 9)
        check_unbiased(estimate.value, 1.0)
        variances.append(estimate.value.var(ddof=1))
        bars.append(estimate.variance.mean())
    assert bars[1] < bars[0]
    assert variances[1] < variances[0] * (1 + 4.5 * math.sqrt(4 / 300))
    assert variances[1] == pytest.approx(bars[1], rel=4.5 * math.sqrt(2 / 300))


def test_clifford_circuits_meet_the_bound():
    """Only errors that anticommute with the term are cancelled: gamma is one over what the noise damps it by."""
    circuit = clifford(6, 4)
    models = models_of(circuit, 0.003)
    for label in ("IIIIIZ", "IZZIII", "ZZZZZZ"):
        task = ensemble_of(circuit, [label])
        gamma = gammas_of(task, pec(models))[0]
        noise = pec(models)._noise(task, {})[1]
        sampler = PauliFrameSampler(models, 2)
        found = run_stages((Twirl(True, True, 20_000, 1, "all"), Measure()), task, sampler, 2)
        assert abs(found.value[0] - 1 / gamma) < 4.5 * math.sqrt(found.variance[0])  # false alarm 7e-6
        assert noise.totals[0] < noise.all_rates


# --- coverage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(("each", "shots"), [(1, 48), (16, 192), (64, 768)])
@pytest.mark.parametrize("stratified", [False, True], ids=["random", "stratified"])
def test_coverage(count, each, shots, stratified):
    """The error bar is the spread over randomizations: one from the shots alone would be far too small at 64."""
    task, truth = copies(count, shots, DIAGONAL)
    stage = pec(MODELS, shots_per_randomization=each, stratified=stratified)
    estimate = run_stages((stage, TWIRL, Measure()), task, LindbladSampler(MODELS, 10), 10)
    assert estimate.details["pec"]["shots_per_randomization"] <= each
    check_coverage(estimate.value, np.sqrt(estimate.variance), truth)


@pytest.mark.parametrize("count", COUNTS)
def test_coverage_of_mean_signs(count):
    task, truth = copies(count, 64, DIAGONAL)
    stage = pec(MODELS, normalization="signs")
    estimate = run_stages((stage, TWIRL, Measure()), task, LindbladSampler(MODELS, 11), 11)
    check_coverage(estimate.value, np.sqrt(estimate.variance), truth)


def test_independent_shots_would_not_cover():
    """At 64 shots a randomization, the error bar of shots that are all independent covers far less.

    Without the light cone: errors that do not change the term turn its sign, and all shots of a randomization with it.
    """
    circuit = clifford(3, 4)
    models = models_of(circuit, 0.003)
    task = ensemble_of(with_parameter(circuit), ["ZZZ", "IZZ"], np.zeros((150, 1, 1)), shots=512)
    stage = pec(models, shots_per_randomization=64, light_cone=False)
    estimate = run_stages((stage, TWIRL, Measure()), task, PauliFrameSampler(models, 12), 12)
    check_coverage(estimate.value, np.sqrt(estimate.variance), 1.0)
    inside = np.abs(estimate.value - 1) <= 1.96 * np.sqrt(estimate.shot_variance)
    assert (inside.mean(axis=0) < 0.7).all()


def test_errors_that_always_turn_a_term_add_no_variance():
    """Clifford, light cone: signs and values turn together, so randomizations differ by their shots only."""
    circuit = clifford(3, 4)
    models = models_of(circuit, 0.01)
    task = ensemble_of(with_parameter(circuit), ["ZZZ", "IZZ"], np.zeros((150, 1, 1)), shots=512)
    stage = pec(models, shots_per_randomization=64)
    estimate = run_stages((stage, TWIRL, Measure()), task, PauliFrameSampler(models, 12), 12)
    check_coverage(estimate.value, np.sqrt(estimate.variance), 1.0)
    samples = (
        estimate.details["pec"]["num_randomizations"] * estimate.details["pec"]["shots_per_randomization"]
    )
    gammas = gammas_of(task, stage)
    for column, gamma in enumerate(sorted(gammas, reverse=True)):
        ratio = estimate.value[:, column].var(ddof=1) * samples / (gamma**2 - 1)
        assert abs(ratio - 1) < 4.5 * math.sqrt(2 / 150)


@pytest.mark.parametrize("count", COUNTS)
def test_coverage_with_uncertain_rates(count):
    """Each repetition cancels the noise with the rates that another calibration found; the bar must count them.

    Rates are wrong together by 15 %, and each alone by about 4 %, as their covariance says. Error bars without the
    uncertainty of rates cover less than 85 %.
    """
    observables = ["IZI", {"IIZ": 1.0, "IZI": 1.0, "ZII": 1.0}]
    task, rng = ensemble_of(CIRCUIT, observables, [[0.1]], shots=1024), np.random.default_rng(13)
    strong, values, errors, alone = [evolve(m, rates=3 * m.rates) for m in MODELS], [], [], []
    for k in range(count):
        rows = [np.vstack([0.15 * m.rates[None], 0.12 * SCALE * np.eye(len(m.rates))]) for m in strong]
        found = [mistaken(known_to(m, r), rng) for m, r in zip(strong, rows, strict=True)]
        stage = pec(found, shots_per_randomization=64)
        estimate = run_stages((stage, TWIRL, Measure()), task, LindbladSampler(strong, k), k)
        values.append(estimate.value)
        errors.append(np.sqrt(estimate.variance))
        terms = evolve(estimate.terms, common=())
        alone.append(np.sqrt(terms.variance(estimate.shot_variance.ravel())).reshape(estimate.value.shape))
    check_coverage(np.stack(values), np.stack(errors), exact_values(task), most=0.985)
    inside = np.abs(np.stack(values) - exact_values(task)) <= 1.96 * np.stack(alone)
    print(f"without the uncertainty of rates: {np.round(100 * inside.mean(axis=0), 1)} %")
    assert (inside.mean(axis=0) < 0.85).all()


# --- partial cancellation -----------------------------------------------------------------------


@pytest.mark.parametrize("gain", [0.0, 0.3, 0.7, 1.0])
def test_what_is_left_is_the_gain(gain):
    """Values are those of the noise times the gain, within 4 standard errors; the stated bias is not exceeded."""
    observables = OBSERVABLES[:2]
    task, truth = copies(60, 256, observables)
    stage = pec(MODELS, gain=gain, shots_per_randomization=4)
    estimate = run_stages((stage, TWIRL, Measure()), task, LindbladSampler(MODELS, 14), 14)
    left = exact_damped(CIRCUIT.assign_parameters([T]), MODELS, observables, gain)
    check_unbiased(estimate.value, left)
    assert estimate.details["pec"]["noise_gain"] == gain
    if gain < 1:
        assert estimate.details["pec"]["largest_relative_bias"] >= abs(1 - left[0] / truth[0]) - 1e-9


def test_the_stated_bias_is_that_of_clifford_terms():
    """There the bound is met: a term is damped by ``exp(-2 gain total)``. False alarm 6e-5."""
    circuit = clifford(4, 4)
    models = models_of(circuit, 0.004)
    task = ensemble_of(circuit, ["ZZZZ"], shots=20_000)
    stage = pec(models, gain=0.5)
    estimate = run_stages((stage, TWIRL, Measure()), task, PauliFrameSampler(models, 15), 15)
    bias = estimate.details["pec"]["largest_relative_bias"]
    assert bias > 0.1
    assert abs(estimate.value[0] - (1 - bias)) < 4 * math.sqrt(estimate.variance[0])


# --- wide circuits ----------------------------------------------------------------------------------


def test_fifty_qubits():
    """Single sites and a sum over all of them: the light cone makes 10^16 times the shots two dozen.

    Within 4 standard errors: false alarm 6e-5 a value. The raw values are far off.
    """
    n = 50
    circuit = clifford(n, 4)
    models = models_of(circuit, 0.002)
    chain = {"I" * (n - 1 - q) + "Z" + "I" * q: 1 / n for q in range(n)}
    middle = ["I" * (n - 1 - q) + "Z" + "I" * q for q in (3, 25, 46)]
    task = ensemble_of(circuit, [*middle, chain, "I" * 20 + "ZZ" + "I" * 28], shots=1000)
    estimate = run_stages((pec(models), TWIRL, Measure()), task, PauliFrameSampler(models, 16), 16)
    facts = estimate.details["pec"]
    assert facts["log10_overhead_without_light_cone"] > 5
    assert facts["sampling_overhead"] < 3
    assert (np.abs(estimate.value - 1) < 4 * np.sqrt(estimate.variance)).all()
    assert math.sqrt(estimate.variance[0]) < 1.1 / math.sqrt(1000)
    raw = run_stages((Twirl(True, True, 2000, 1, "all"), Measure()), task, PauliFrameSampler(models, 17), 17)
    assert raw.value[3] < 1 - 5 * math.sqrt(raw.variance[3])


def test_noise_on_waiting_qubits_is_cancelled():
    """A spectator's own error is cancelled where the strategy twirls it. False alarm 6e-5."""
    circuit = QuantumCircuit(3)
    circuit.cx(0, 1)
    circuit.barrier()
    circuit.cx(1, 2)
    circuit.barrier()
    circuit.cx(1, 2)
    circuit.barrier()
    circuit.cx(0, 1)
    layers = [Layer((("cx", (), (0, 1)),), (2,)), Layer((("cx", (), (1, 2)),), (0,))]
    models = [LayerModel.of(layer, [f"X{layer.spectators[0]}"], [0.1], k) for k, layer in enumerate(layers)]
    task = ensemble_of(circuit, ["IIZ", "ZII"], shots=4000)
    estimate = run_stages((pec(models), TWIRL, Measure()), task, PauliFrameSampler(models, 18), 18)
    assert (np.abs(estimate.value - 1) < 4 * np.sqrt(estimate.variance)).all()
    raw = run_stages((TWIRL, Measure()), task, PauliFrameSampler(models, 19), 19)
    assert (raw.value < 0.8).all()


def test_deviations_reach_the_error_bar():
    """One source of 10 % of all rates: the value errs by 2 x 10 % of the total rate, times itself."""
    circuit = clifford(3, 2)
    models = models_of(circuit, 0.02)
    rows = [known_to(m, 0.1 * m.rates[None]) for m in models]
    one = [evolve(m, source="all", deviations=Deviations(m.deviations.rows, np.inf, "all")) for m in rows]
    task = ensemble_of(circuit, ["ZZZ"], shots=400_000)
    stage = pec(one, shots_per_randomization=4096)
    estimate = run_stages((stage, TWIRL, Measure()), task, PauliFrameSampler(models, 20), 20)
    total = stage._noise(task, {})[1].totals[0]
    common = np.sqrt(sum(d.variance for d in estimate.terms.common))
    assert common[0] == pytest.approx(0.2 * total * estimate.value[0], rel=1e-6)
    assert estimate.variance[0] > common[0] ** 2
