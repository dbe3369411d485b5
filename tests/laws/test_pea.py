"""PEA where the truth is known: noise is brought to every factor, extrapolation is unbiased, and it covers.

Fixed seeds; each test states how often it would fail by chance, were they others.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from known_noise import LindbladSampler, exact_damped, known_to, models_of, pec
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from repetitions import COUNTS, check_coverage, check_unbiased

from quell.circuits.ensemble import Amplification
from quell.kernels.draws import Key
from quell.kernels.extrapolation import extrapolator
from quell.stages.measure import Measure
from quell.stages.trex import Trex
from quell.stages.twirl import Twirl
from quell.stages.zne import Zne
from quell.testing import ReadoutModel, ensemble_of, exact_values, run_stages
from quell.testing.pauli_frames import PauliFrameSampler

TWIRL = Twirl(True, True, 32, 32, "all")
FACTORS = (1.0, 1.5, 2.0, 3.0)


def echo(num_qubits: int = 3) -> QuantumCircuit:
    """Clifford layers and their inverses; a parameter that does nothing makes copies."""
    circuit = QuantumCircuit(num_qubits)
    circuit.rz(Parameter("nothing"), 0)
    for k in range(2):
        circuit.h(range(num_qubits))
        circuit.barrier()
        circuit.cz(k, k + 1)
        circuit.barrier()
    for k in (1, 0):
        circuit.cz(k, k + 1)
        circuit.barrier()
        circuit.h(range(num_qubits))
        circuit.barrier()
    return circuit


CLIFFORD = echo()
MODELS = models_of(CLIFFORD, 0.005)
LABELS = ["IIZ", "ZZZ", "IZI"]
#: What the noise damps each term by.
DAMPED = exact_damped(CLIFFORD.assign_parameters([0.0]), MODELS, LABELS, 1.0)


def zne(model: str = "exponential", factors=FACTORS, **options: Any) -> Zne:
    return Zne(factors, (extrapolator(model),), amplifier="pea", **options)


def amplify(**changes: Any) -> Any:
    """Return the stage that learns and amplifies, cancelling nothing by itself."""
    return pec(MODELS, gain=1.0, **changes)


def copies(count: int, shots: int, observables: Any = LABELS) -> Any:
    return ensemble_of(CLIFFORD, observables, np.zeros((count, 1, 1)), shots=shots)


# --- noise is brought to its factor -------------------------------------------------------------------


def test_the_decay_is_the_exact_one():
    """Values at every factor are the exact ones to the power of the factor: 4.5 standard errors, false alarm 7e-6 each.

    So is the rate that is fitted to them.
    """
    task = copies(1, 20_000)
    stages = (zne(), amplify(), TWIRL, Measure())
    found = run_stages(stages, task, PauliFrameSampler(MODELS, 1), 1).details["zne"]
    exact = DAMPED[None, :, None] ** np.array(FACTORS)
    assert found.noise_factors.tolist() == list(FACTORS)
    assert (np.abs(found.values - exact) < 4.5 * found.errors).all()
    assert (exact[..., -1] < 0.9 * exact[..., 0]).all()
    slope = np.polyfit(FACTORS, np.log(found.values[0]).T, 1)[0]
    # Errors of the logarithms at the ends alone make a slope that errs more than the fit.
    error = np.hypot(*(found.errors[0][:, [0, -1]] / found.values[0][:, [0, -1]]).T) / 2
    assert (np.abs(slope - np.log(DAMPED)) < 4.5 * error).all()


@pytest.mark.parametrize("factor", [1.0, 1.7, 3.0])
def test_other_circuits_have_their_exact_values_too(factor):
    """Not Clifford: the exact values with the noise times the factor, 4 standard errors, false alarm 6e-5 each."""
    circuit = QuantumCircuit(2)
    for k in range(3):
        circuit.rx(0.4 + 0.2 * k, 0)
        circuit.ry(0.3, 1)
        circuit.barrier()
        circuit.cx(0, 1)
        circuit.barrier()
    circuit.rx(0.5, [0, 1])
    models = models_of(circuit, 0.015)
    labels = ["IZ", "ZZ", "XI"]
    stage = pec(models, gain=factor, light_cone=factor < 2)
    estimate = run_stages(
        (stage, TWIRL, Measure()), ensemble_of(circuit, labels, shots=20_000), LindbladSampler(models, 2), 2
    )
    exact = exact_damped(circuit, models, labels, factor)
    assert (np.abs(estimate.value - exact) < 4 * np.sqrt(estimate.variance)).all()
    if factor > 1:
        assert (
            np.abs(exact - exact_damped(circuit, models, labels, 1.0)) > 4 * np.sqrt(estimate.variance)
        ).any()


def test_nothing_is_inserted_at_factor_one():
    """The noise is there already: the shots of factor 1 are those of the circuit as it is."""
    stage = pec(MODELS, gain=1.0)
    children, residue = stage.expand(copies(1, 64), {}, np.random.default_rng(0))
    assert not residue.injection.frames(children[0].template, 0, 0, 50).after.any()
    assert residue.gammas.tolist() == [1, 1, 1]


# --- extrapolation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("trex", [False, True])
def test_exponentials_are_unbiased_on_clifford_circuits(trex):
    """One decay rate a term: the mean of some copies within 4 standard errors, false alarm 6e-5 a value.

    Copies share the calibration of TREX, which is made so precise that its own error does not count.
    """
    stages = [zne(), amplify(shots_per_randomization=8), TWIRL, Measure()]
    readout = None
    if trex:
        stages.insert(1, Trex(256, 4096))
        readout = ReadoutModel.uniform(3, 0.02, 0.05)
    estimate = run_stages(stages, copies(50, 1024), PauliFrameSampler(MODELS, 3, readout=readout), 3)
    check_unbiased(estimate.value, 1.0)
    assert (estimate.details["zne"].values.mean(axis=0)[:, 0] < 0.95).all()


def test_sums_of_terms_that_decay_differently():
    """Each term is extrapolated by itself. False alarm 6e-5 a value."""
    observables = [{"IIZ": 0.5, "ZZZ": 0.5}, {"IIZ": 1.0, "IZI": -1.0}]
    estimate = run_stages(
        (zne(), amplify(shots_per_randomization=8), TWIRL, Measure()),
        copies(50, 1024, observables),
        PauliFrameSampler(MODELS, 4),
        4,
    )
    check_unbiased(estimate.value, [1.0, 0.0])


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("model", ["exponential", "linear"])
@pytest.mark.parametrize("each", [1, 32])
def test_coverage(count, model, each):
    """Draws are nested, so errors of the factors vary together; the error bar counts it.

    A line misses curves by a bias of its own, so its truth is the line through the exact values.
    """
    factors = (1.0, 1.5, 2.0)
    stages = (zne(model, factors), amplify(shots_per_randomization=each), TWIRL, Measure())
    estimate = run_stages(
        stages, copies(count, 16 * 32 if each > 1 else 128), PauliFrameSampler(MODELS, 5), 5
    )
    truth = np.ones(3)
    if model == "linear":
        exact = DAMPED[:, None] ** np.array(factors)
        fit = extrapolator(model).fit(
            np.array(factors), exact, np.broadcast_to(np.eye(3), (3, 3, 3)), np.zeros(1)
        )
        truth = fit.values[:, 0]
    check_coverage(estimate.value, np.sqrt(estimate.variance), truth)


def nested(task: Any, key: Key, factor: float, shots: int) -> Any:
    return evolve(task, amplification=Amplification(factor, (1.5, 2.0), shots, key))


def test_nested_draws_lower_the_variance_of_what_is_extrapolated():
    """Noise factors that draw from one key against keys of their own, over 200 copies: the spread of values, and bars.

    Many shots of each randomization, so that what is random is what is inserted. The spread of 200 values is known to
    5 %: the limit of a fifth is far from no difference.
    """
    count, factors = 200, (1.5, 2.0)
    sampler, weights = PauliFrameSampler(MODELS, 6), np.array([4.0, -3.0])  # a line through both, at zero
    spreads, bars = [], []
    for shared in (True, False):
        rng = np.random.default_rng(7)
        key = Key.spawn(rng)
        values, rows = [], []
        for factor in factors:
            own = key if shared else Key.spawn(rng)
            task = nested(copies(count, 32 * 128, ["ZZZ"]), own, factor, 32 * 128)
            estimate = run_stages((amplify(shots_per_randomization=128), TWIRL, Measure()), task, sampler, 8)
            values.append(estimate.value[:, 0])
            rows.append([deviations.rows for deviations in estimate.terms.spread])
        spreads.append(np.std(weights @ np.array(values), ddof=1))
        # Members of the three factors belong together where they share the key.
        together = sum(w * r[0] for w, r in zip(weights, rows, strict=True))
        alone = sum(w**2 * (r[0] ** 2).sum(axis=0) for w, r in zip(weights, rows, strict=True))
        bars.append(np.sqrt((together**2).sum(axis=0) if shared else alone).mean())
    assert spreads[0] < 0.8 * spreads[1]
    assert bars[0] < 0.8 * bars[1]
    assert bars[0] == pytest.approx(spreads[0], rel=0.25)
    assert bars[1] == pytest.approx(spreads[1], rel=0.25)


@pytest.mark.parametrize("count", COUNTS)
def test_coverage_of_nested_draws_that_matter(count):
    """Strong noise and many shots a randomization: most of the error is what is inserted, and factors share it."""
    models = [evolve(m, rates=3 * m.rates) for m in MODELS]
    stages = (zne("linear", (1.0, 1.5)), pec(models, gain=1.0, shots_per_randomization=64), TWIRL, Measure())
    estimate = run_stages(stages, copies(count, 64 * 40), PauliFrameSampler(models, 9), 9)
    damped = DAMPED**3
    truth = 3 * damped - 2 * damped**1.5
    check_coverage(estimate.value, np.sqrt(estimate.variance), truth)


# --- with PEC --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", COUNTS)
def test_factors_below_one(count):
    """Cancelled in part at some factors, as it is and amplified at others; errors of all share one key."""
    stages = (zne("exponential", (0.25, 0.5, 1.0, 1.5)), amplify(), TWIRL, Measure())
    estimate = run_stages(stages, copies(count, 64), PauliFrameSampler(MODELS, 10), 10)
    check_unbiased(estimate.value, 1.0)
    check_coverage(estimate.value, np.sqrt(estimate.variance), 1.0)
    found = estimate.details["zne"]
    exact = DAMPED[:, None] ** np.array([0.25, 0.5, 1.0, 1.5])
    check_unbiased(found.values, exact)
    assert [round(f["noise_gain"], 9) for f in estimate.details["pec_noise_factors"]] == [0.25, 0.5, 1, 1.5]


def test_partial_cancellation_then_extrapolation():
    """PEC leaves 40 %, factors multiply that; some copies within 4 standard errors, false alarm 6e-5 a value."""
    stages = (zne("exponential", (1.0, 1.5, 2.5)), pec(MODELS, gain=0.4), TWIRL, Measure())
    estimate = run_stages(stages, copies(40, 128), PauliFrameSampler(MODELS, 11), 11)
    check_unbiased(estimate.value, 1.0)
    check_unbiased(estimate.details["zne"].values, DAMPED[:, None] ** np.array([0.4, 0.6, 1.0]))


def test_extrapolating_after_cancelling_errs_less_than_without():
    """The rest is small, so a line is enough: its bias falls with the square of the noise."""
    task = copies(1, 50_000)
    lines = {
        gain: run_stages(
            (zne("linear", (1.0, 2.0)), pec(MODELS, gain=gain, shots_per_randomization=8), TWIRL, Measure()),
            task,
            PauliFrameSampler(MODELS, 12),
            12,
        )
        for gain in (0.4, 1.0)
    }
    for gain, estimate in lines.items():
        exact = 2 * DAMPED**gain - DAMPED ** (2 * gain)
        assert (np.abs(estimate.value - exact) < 4 * np.sqrt(estimate.variance)).all()
    assert np.abs(lines[0.4].value - 1).max() < np.abs(lines[1.0].value - 1).max()


def test_all_factors_have_as_many_randomizations():
    """Or their draws could not be nested; shots of each make up for what a factor does not need."""
    stages = (zne("exponential", (0.25, 1.0, 2.0)), amplify(shots_per_randomization=None), TWIRL, Measure())
    estimate = run_stages(stages, copies(1, 1000), PauliFrameSampler(MODELS, 13), 13)
    members = {f["num_randomizations"] for f in estimate.details["pec_noise_factors"]}
    assert len(members) == 1
    shots = [
        f["shots_per_randomization"] * f["num_randomizations"] for f in estimate.details["pec_noise_factors"]
    ]
    overheads = [f["sampling_overhead"] for f in estimate.details["pec_noise_factors"]]
    assert overheads[1:] == [1, 1]
    assert all(own >= 1000 * overhead for own, overhead in zip(shots, overheads, strict=True))


# --- uncertain rates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", COUNTS)
def test_coverage_with_uncertain_rates(count):
    """Amplified by rates that a calibration found 30 % off, all together; without that in the bar too few cover."""
    task, rng = copies(1, 8000), np.random.default_rng(14)
    values, errors, alone = [], [], []
    for k in range(count):
        off = 1 + 0.3 * rng.standard_normal()
        found = [
            known_to(evolve(m, rates=max(off, 0) * m.rates, source="all"), 0.3 * m.rates[None])
            for m in MODELS
        ]
        stage = pec(found, gain=1.0, shots_per_randomization=16)
        stages = (zne("exponential", (1.0, 2.0)), stage, TWIRL, Measure())
        estimate = run_stages(stages, task, PauliFrameSampler(MODELS, k), k)
        values.append(estimate.value[0])
        errors.append(np.sqrt(estimate.variance[0]))
        bare = evolve(estimate.terms, common=())
        alone.append(np.sqrt(bare.variance(estimate.shot_variance.ravel())))
    check_coverage(np.array(values), np.array(errors), 1.0)
    inside = np.abs(np.array(values) - 1) <= 1.96 * np.array(alone)
    print(inside.mean(axis=0))
    assert (inside.mean(axis=0) < 0.85).all()


def test_the_truth_of_this_file():
    """Noise without mitigation: 4.5 standard errors, false alarm 7e-6 a value."""
    estimate = run_stages(
        (Twirl(True, True, 5000, 4, "all"), Measure()), copies(1, 1), PauliFrameSampler(MODELS, 15), 15
    )
    assert exact_values(copies(1, 1)).ravel().tolist() == pytest.approx([1, 1, 1])
    assert (np.abs(estimate.value[0] - DAMPED) < 4.5 * np.sqrt(estimate.variance[0])).all()
    assert math.log(DAMPED.min()) < -0.1
