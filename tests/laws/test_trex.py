"""TREX removes readout errors that are asymmetric and correlated, at every weight, without bias."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from repetitions import COUNTS, check_unbiased, repeat

from quell.stages.measure import Measure
from quell.stages.trex import Trex
from quell.stages.twirl import Twirl
from quell.testing import ExactSampler, ReadoutModel, ensemble_of, exact_values, run_stages

N = 20
WEIGHTS = (2, 5, 10, 20)
TREX = (Trex(32, 512), Twirl(False, True, 32, 512), Measure())


def parity(qubits) -> str:
    return "".join("Z" if q in set(qubits) else "I" for q in reversed(range(N)))


def computational_state() -> QuantumCircuit:
    circuit = QuantumCircuit(N)
    circuit.x(range(0, N, 3))
    return circuit


def asymmetric() -> ReadoutModel:
    rng = np.random.default_rng(1)
    return ReadoutModel(np.stack([rng.uniform(0.0, 0.03, N), rng.uniform(0.02, 0.06, N)], axis=1))


def correlated() -> ReadoutModel:
    model = asymmetric()
    for first, second in ((0, 1), (1, 2), (3, 9), (4, 15), (10, 11)):
        model = model.with_pair_flip(first, second, 0.02)
    return model.with_pattern((2, 5, 7), [0.95, 0, 0.01, 0, 0, 0.02, 0, 0.02])


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("model", [asymmetric(), correlated()], ids=["asymmetric", "correlated"])
def test_trex_is_unbiased_at_weights_2_5_10_20(model, count):
    """False alarm 3e-4 (four values, 4 standard errors each)."""
    ensemble = ensemble_of(computational_state(), [parity(range(w)) for w in WEIGHTS])
    truth = exact_values(ensemble)
    assert set(np.abs(truth)) == {1.0}
    values, _ = repeat(TREX, ensemble, count // 2, readout=model)
    error = check_unbiased(values, truth)
    assert (error[:3] < 0.005).all()  # so a bias of 2 % at weight 10 would be seen
    assert error[3] < 0.01


def test_the_exponential_of_the_mean_error_rate_would_be_caught():
    """Dividing by exp(-2 p w) instead of (1 - 2 p)^w is 5 % off at weight 10 and p = 0.05."""
    p, weight = 0.05, 10
    ensemble = ensemble_of(computational_state(), [parity(range(weight))])
    truth = exact_values(ensemble)
    values, _ = repeat(TREX, ensemble, 60, readout=ReadoutModel.uniform(N, p))
    error = check_unbiased(values, truth)
    wrong = values * (1 - 2 * p) ** weight * np.exp(2 * p * weight)
    assert np.abs(wrong.mean() / truth - 1) > 0.04
    assert (np.abs(wrong.mean(axis=0) - truth) > 10 * error).all()


def test_the_damping_found_is_the_true_one():
    """False alarm 6e-5: four standard errors of 32 x 512 calibration shots."""
    for weight in WEIGHTS:
        ensemble = ensemble_of(computational_state(), [parity(range(weight))])
        estimate = run_stages(TREX, ensemble, ExactSampler(3, readout=correlated()), 3)
        found, _ = estimate.details["readout_damping"]
        truth = correlated().damping(range(weight))
        assert abs(found - truth) < 4 * np.sqrt((1 - truth**2) / (32 * 512))


def test_twirling_alone_damps_by_the_factor_that_trex_divides_out():
    """False alarm 3e-4: four standard errors, four values."""
    ensemble = ensemble_of(computational_state(), [parity(range(w)) for w in WEIGHTS])
    damping = np.array([correlated().damping(range(w)) for w in WEIGHTS])
    values, _ = repeat(TREX[1:], ensemble, 60, readout=correlated())
    check_unbiased(values, exact_values(ensemble) * damping)


@pytest.mark.parametrize("count", COUNTS)
def test_projectors_are_corrected(count):
    """False alarm 2e-4 (three values, 4 standard errors each)."""
    circuit = QuantumCircuit(4)
    circuit.h(0)
    for q in range(3):
        circuit.cx(q, q + 1)
    observables = ["0000", {"1111": 1.0, "ZZII": 0.5}, "+rIZ"]
    ensemble = ensemble_of(circuit, observables)
    truth = exact_values(ensemble)
    assert np.allclose(truth, [0.5, 1.0, 0.0])
    model = ReadoutModel.uniform(4, 0.03, 0.09).with_pair_flip(1, 2, 0.05)
    shots = (Twirl(False, True, 32, 64), Measure())
    values, errors = repeat((Trex(32, 128), *shots), ensemble, count, readout=model)
    check_unbiased(values, truth)
    raw, _ = repeat((Measure(),), ensemble_of(circuit, observables, shots=2048), 40, readout=model)
    off = np.abs(raw.mean(axis=0) - truth) / (raw.std(axis=0) / np.sqrt(len(raw)))
    assert (off[:2] > 20).all(), "raw values should be wrong"
    assert (errors.mean(axis=0) < 0.05).all()


def test_a_signal_that_readout_has_destroyed_is_reported():
    ensemble = ensemble_of(computational_state(), [parity(range(N)), parity([0])])
    model = ReadoutModel.uniform(N, 0.3)
    stages = (Trex(32, 8), Twirl(False, True, 32, 8), Measure())
    with pytest.warns(UserWarning, match="no signal"):
        estimate = run_stages(stages, ensemble, ExactSampler(0, readout=model), 0)
    assert estimate.details["readout_signal_lost"] == 1
    assert np.isfinite(estimate.value).all()
    assert np.sqrt(estimate.variance[0]) > 0.5


def test_readout_that_misreads_ones_more_often_adds_no_spread():
    """The flips of a pair of randomizations are opposite, so the asymmetry cancels within each.

    P(1|0) = 1 %, P(0|1) = 9 %: independent flips would add .08 / sqrt(32) = .014 for each qubit to the calibration and
    to the data, more than twice the shot noise of .0057. The error bar must know (its mean square is within 4 sigma of
    that of 40 values; no more than one false alarm in 15 000).
    """
    model = ReadoutModel.uniform(2, 0.01, 0.09)
    stages = (Trex(32, 1024), Twirl(False, True, 32, 1024), Measure())
    values, errors = repeat(stages, ensemble_of(QuantumCircuit(2), ["ZZ", "IZ"]), 40, readout=model)
    assert values.std(axis=0, ddof=1).max() < 0.0057 * (1 + 4 / np.sqrt(2 * 39))
    assert np.abs((((values - 1) / errors) ** 2).mean(axis=0) - 1).max() < 4 * np.sqrt(2 / 40)
