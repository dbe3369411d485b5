"""Learned noise is the noise that is there: rates, error bars, quality, on simulated devices with known channels.

Fixed seeds. Rates that repeated layers cannot tell apart are equal in the channels used here, which is what the
symmetry assumption says of them: generators and their images under the gates.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qiskit.circuit.library import CXGate, CZGate, ECRGate

from quell.calibration.layers import LayerModel
from quell.calibration.learning import LayerNoise
from quell.circuits.closers import closed
from quell.circuits.layers import Layer
from quell.execution.backends import BackendRunner
from quell.execution.samplers import CallableRunner
from quell.kernels.lindblad import conjugated, local_paulis
from quell.testing import ReadoutModel
from quell.testing.pauli_frames import PauliFrameSampler

GATES = {"cx": CXGate(), "cz": CZGate(), "ecr": ECRGate()}


def line(num_qubits, first=0):
    """Return a layer on a line, gates of several kinds from `first` on, and the pairs of neighbours."""
    kinds = ["cx", "ecr", "cz"]
    pairs = [(i, i + 1) for i in range(first, num_qubits - 1, 2)]
    names = [kinds[k % 3] for k in range(len(pairs))]
    waiting = set(range(num_qubits)) - {q for pair in pairs for q in pair}
    layer = Layer(
        tuple((name, (), pair) for name, pair in zip(names, pairs, strict=True)),
        tuple(sorted(waiting)),
        tuple(GATES[name] for name in names),
    )
    return layer, tuple((i, i + 1) for i in range(num_qubits - 1))


def symmetric(layer, pairs, seed, scale):
    """Return a channel with all generators on qubits and pairs, equal under the gates, rates 0.5 to 1.5 times scale."""
    generators = local_paulis(len(layer.qubits), pairs)
    rates = np.random.default_rng(seed).uniform(0.5, 1.5, len(generators)) * scale
    number = {row.tobytes(): k for k, row in enumerate(generators)}
    for k, row in enumerate(conjugated(generators, closed(layer))):
        rates[number.get(row.tobytes(), k)] = rates[k]
    return LayerModel.of(layer, generators, rates, "truth")


def learn(need, runner, seed):
    """Run the experiment as jobs do."""
    programs, residue = need.experiment(np.random.default_rng(seed))
    samples = runner.run(programs, seed=seed, progress=lambda *_: None, cancelled=threading.Event())
    return need.fit(residue, samples)


def simulated(*models, seed=1, **kwargs):
    return CallableRunner(PauliFrameSampler(models, seed, **kwargs))


@pytest.mark.parametrize(("num_qubits", "first", "scale"), [(2, 0, 4e-3), (5, 1, 2e-3), (10, 0, 1e-3)])
def test_rates_are_the_true_ones(num_qubits, first, scale):
    """All rates within 4.5 standard errors: false alarm at most 8e-4 for the largest case, of Gaussian errors.

    The spread of all z-scores is within 4 / sqrt(2 K) of one, for correlated ones twice that; chi squared per degree of
    freedom within four standard deviations of it (false alarm 5e-4).
    """
    layer, pairs = line(num_qubits, first)
    truth = symmetric(layer, pairs, num_qubits, scale)
    runner = simulated(truth, readout=ReadoutModel.uniform(num_qubits, 0.01, 0.04))
    model = learn(LayerNoise(layer, num_qubits, pairs), runner, 1)
    assert model.labels == truth.labels
    scores = (model.rates - truth.rates) / model.stds
    print(
        f"\n{num_qubits} qubits: largest z {np.abs(scores).max():.2f}, spread {np.sqrt(np.mean(scores**2)):.2f}, "
        f"chi2/dof {model.quality['reduced_chi_square']:.2f}, gamma {model.gamma:.4f} (true {truth.gamma:.4f})"
    )
    assert np.abs(scores).max() < 4.5
    assert abs(np.sqrt(np.mean(scores**2)) - 1) < 8 / np.sqrt(2 * len(scores))
    assert abs(model.quality["reduced_chi_square"] - 1) < 4 * np.sqrt(2 / model.quality["dof"])
    together = np.sqrt((model.deviations.rows.sum(axis=1) ** 2).sum())
    assert abs(np.log(model.gamma / truth.gamma)) < 2 * 4.5 * together
    # Better than half the smallest rate: the test would not pass on noise alone.
    assert model.stds.max() < scale / 2


def test_what_cannot_be_learned_is_shared_between_a_generator_and_its_image():
    """Any channel on two qubits is learned as the mean of itself and its image. False alarm 1e-4: 15 rates."""
    layer, pairs = line(2)
    generators = local_paulis(2, [(0, 1)])
    rates = np.random.default_rng(4).exponential(4e-3, 15)
    truth = LayerModel.of(layer, generators, rates, "truth")
    number = {row.tobytes(): k for k, row in enumerate(generators)}
    image = [number[row.tobytes()] for row in conjugated(generators, closed(layer))]
    model = learn(LayerNoise(layer, 2, pairs), simulated(truth), 3)
    assert np.abs(rates - rates[image]).max() > 5 * model.stds.max()
    mean = (rates + rates[image]) / 2
    assert (np.abs(model.rates - mean) < 4.5 * model.stds).all()
    assert model.rates == pytest.approx(model.rates[image], rel=1e-4)
    told = {model.labels[k] for k in range(15) if image[k] == k}
    assert not told & set(model.quality["assumed"])


def test_noise_of_another_form_is_seen():
    """X on three qubits at once looks like X on pairs with a negative rate in the middle, which cannot be."""
    layer, pairs = line(3)
    truth = LayerModel.of(layer, ["X0 X1 X2", "Z0", "Z1", "Z2"], [0.01, 0.002, 0.002, 0.002], "truth")
    quality = learn(LayerNoise(layer, 3, pairs), simulated(truth), 5).quality
    assert quality["reduced_chi_square"] > 5
    assert "X1" in quality["clipped"]
    seen = [name for name, _ in quality["largest_residuals"]]
    assert any("1" in name for name in seen)
    assert np.abs([score for _, score in quality["largest_residuals"]]).max() > 4


def test_rates_of_zero_are_found_and_never_negative():
    """Two thirds of 27 rates are zero. False alarm 2e-4: 27 rates within 4.5 standard errors."""
    layer, pairs = line(3)
    truth = symmetric(layer, pairs, 3, 3e-3)
    present = np.zeros(27, dtype=bool)
    present[[truth.labels.index(text) for text in ("Z0", "X1", "Z2", "Y0 Z1", "X0 Y1", "Z1 X2")]] = True
    # Y0 Z1 and X0 Y1 are the images of each other under cx; all others are their own, or on the edge of the layer.
    rates = np.where(present, truth.rates, 0.0)
    model = learn(
        LayerNoise(layer, 3, pairs), simulated(LayerModel.of(layer, truth.generators, rates, "truth")), 5
    )
    assert (model.rates >= 0).all()
    assert (np.abs(model.rates - rates) < 4.5 * model.stds).all()
    assert 3 <= len(model.quality["clipped"]) <= 21
    assert not present[[model.labels.index(text) for text in model.quality["clipped"]]].any()


def test_errors_shrink_with_the_shots_and_are_those_that_are_seen():
    """Z-scores of 15 rates over 8 repetitions have unit spread: 120 correlated scores, limits at twice 4 sigma."""
    layer, pairs = line(2)
    truth = symmetric(layer, pairs, 2, 4e-3)
    scores, stds = [], []
    for seed in range(8):
        need = LayerNoise(layer, 2, pairs, (0, 2, 12), 16, 64)
        model = learn(need, simulated(truth, seed=seed), seed)
        scores.append((model.rates - truth.rates) / model.stds)
        stds.append(model.stds)
    spread = np.sqrt(np.mean(np.square(scores)))
    print(f"\nspread of {np.size(scores)} z-scores: {spread:.2f}")
    assert abs(spread - 1) < 8 / np.sqrt(2 * np.size(scores))
    more = learn(LayerNoise(layer, 2, pairs, (0, 2, 12), 64, 64), simulated(truth), 1)
    assert np.median(more.stds) == pytest.approx(np.median(stds) / 2, rel=0.15)


def test_depolarizing_gates_of_aer():
    """Fidelities of all Paulis are 1 - p = exp(-16 rate). False alarm 1e-4: 15 rates within 4.5 standard errors."""
    aer = pytest.importorskip("qiskit_aer")
    noise = pytest.importorskip("qiskit_aer.noise")
    p = 0.04
    model = noise.NoiseModel(basis_gates=["rz", "sx", "x", "cz"])
    model.add_all_qubit_quantum_error(noise.depolarizing_error(p, 2), "cz")
    model.add_all_qubit_readout_error(noise.ReadoutError([[0.98, 0.02], [0.05, 0.95]]))
    backend = aer.AerSimulator(noise_model=model, method="density_matrix")
    layer = Layer((("cz", (), (0, 1)),), (), (CZGate(),))
    need = LayerNoise(layer, 2, ((0, 1),), (0, 1, 2, 4, 8), 8, 256, backend.target)
    found = learn(need, BackendRunner(backend), 7)
    rate = -np.log(1 - p) / 16
    assert (np.abs(found.rates - rate) < 4.5 * found.stds).all()
    assert found.stds.max() < rate / 4
    low, high = found.quality["spam_amplitudes"]
    assert low == pytest.approx(0.93**2, abs=0.04)
    assert high == pytest.approx(0.93, abs=0.04)


@pytest.mark.slow
def test_forty_qubits():
    """All 471 rates within 5 standard errors: false alarm 3e-4."""
    layer, pairs = line(40)
    truth = symmetric(layer, pairs, 1, 3e-4)
    model = learn(LayerNoise(layer, 40, pairs), simulated(truth), 1)
    scores = (model.rates - truth.rates) / model.stds
    assert np.abs(scores).max() < 5
    assert abs(np.sqrt(np.mean(scores**2)) - 1) < 0.25
    assert abs(model.quality["reduced_chi_square"] - 1) < 0.4
