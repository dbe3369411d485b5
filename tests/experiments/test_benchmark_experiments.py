"""The experiments of `benchmarks/experiments`: their devices have the noise that they say, and their files run."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import DensityMatrix, Operator, SuperOp, process_fidelity

from quell.calibration.layers import LayerModel
from quell.circuits.layers import Layer
from quell.experiments.costs import costs
from quell.experiments.files import load
from quell.experiments.run import prepare, run
from quell.kernels.lindblad import fidelities
from quell.testing import exact_value

pytest.importorskip("qiskit_aer")
FOLDER = Path(__file__).parents[2] / "benchmarks" / "experiments"
NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))
SHOTS = 20_000


def module(name):
    spec = importlib.util.spec_from_file_location(f"benchmark_experiments_{name}", FOLDER / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


noises = module("noises")


def channel(device, circuit):
    """Return what a circuit does on Aer with the noise of a device."""
    circuit = circuit.copy()
    circuit.save_superop()
    return SuperOp(
        device.run(circuit, method="superop", noise_model=device.options.noise_model)
        .result()
        .data()["superop"]
    )


def gate(name, num_qubits=2):
    circuit = QuantumCircuit(num_qubits)
    getattr(circuit, name)(*range(2 if name == "cx" else 1))
    return circuit


def sampled(device, circuit, shots=SHOTS):
    """Return the mean of Z on each qubit, qubit 0 first, from counts of Aer."""
    circuit = circuit.copy()
    circuit.measure_all()
    counts = device.run(circuit, shots=shots, seed_simulator=5).result().get_counts()
    signs = {bits: np.array([1 - 2 * int(b) for b in reversed(bits)]) for bits in counts}
    return sum(signs[bits] * n for bits, n in counts.items()) / shots


def of_function(sampler, circuit, shots=SHOTS):
    """Return shots of a function of PUBs, bool (shots, qubits), qubit 0 first."""
    circuit = circuit.copy()
    circuit.measure_all()
    (result,) = sampler([SamplerPub.coerce((circuit, None, shots))])
    return result["meas"].to_bool_array(order="little")


# --- devices ------------------------------------------------------------------------------------------


def test_depolarising_gates_have_their_process_fidelity():
    device = noises.depolarising(2, two_qubit=0.02, one_qubit=0.004, readout=())
    cx, x = channel(device, gate("cx")), channel(device, gate("x", 1))
    # What is left alone, and the identity among the 4^n Paulis of the rest.
    assert process_fidelity(cx, Operator(gate("cx"))) == pytest.approx(1 - 0.02 * 15 / 16, abs=1e-9)
    assert process_fidelity(x, Operator(gate("x", 1))) == pytest.approx(1 - 0.004 * 3 / 4, abs=1e-9)
    free = QuantumCircuit(1)
    free.rz(0.3, 0)
    assert process_fidelity(channel(device, free), Operator(free)) == pytest.approx(1, abs=1e-9)


def test_targets_err_independently():
    device = noises.depolarised_targets(2, pauli_error=0.03)
    cx = channel(device, gate("cx"))
    assert process_fidelity(cx, Operator(gate("cx"))) == pytest.approx(0.97**2, abs=1e-9)
    x = channel(device, gate("x", 1))
    assert process_fidelity(x, Operator(gate("x", 1))) == pytest.approx(1, abs=1e-9)


def test_readout_of_aer_devices_is_asymmetric():
    # Five standard errors: false alarms below 1e-5.
    for device in (noises.depolarising(2, 0, 0, (0.1, 0.3)), noises.pauli_lindblad(2, 0, 0, (0.1, 0.3))):
        one = QuantumCircuit(2)
        one.x(1)
        assert sampled(device, one) == pytest.approx([1 - 2 * 0.1, -1 + 2 * 0.3], abs=5 / SHOTS**0.5)


def test_over_rotation_is_an_rzz():
    # A cx and its inverse with the error in between and behind: |++> turns by twice an angle about ZZ and, through the
    # second cx, about Z of the target.
    angle = 0.4
    circuit = QuantumCircuit(2)
    circuit.h([0, 1])
    circuit.cx(0, 1)
    circuit.h([0, 1])
    expected = QuantumCircuit(2)
    expected.h([0, 1])
    expected.cx(0, 1)
    expected.rzz(angle, 0, 1)
    expected.h([0, 1])
    zz = exact_value(expected, "ZZ")
    assert exact_value(circuit, "ZI") - exact_value(expected, "ZI") == pytest.approx(1 - np.cos(angle))
    bits = of_function(noises.coherent(2, angle, readout=()), circuit)
    found = 1 - 2.0 * bits
    assert found.mean(axis=0) == pytest.approx([np.cos(angle)] * 2, abs=5 / SHOTS**0.5)
    assert found.prod(axis=1).mean() == pytest.approx(zz, abs=5 / SHOTS**0.5)


def test_pair_channels_have_the_fidelities_of_their_rates():
    rates = np.random.default_rng(1).uniform(0, 0.05, 15)
    chances = noises.probabilities(rates)
    assert chances.sum() == pytest.approx(1)
    layer = Layer((("cx", (), (0, 1)),))
    labels = [" ".join(f"{p}{q}" for q, p in enumerate(label) if p != "I") for label in noises.PAIR_PAULIS]
    model = LayerModel.of(layer, labels, rates, "test")
    expected = fidelities(model.generators, model.generators, model.rates)
    for own, label in zip(expected, noises.PAIR_PAULIS, strict=True):
        signs = [noises._commute(label, other) for other in ("II", *noises.PAIR_PAULIS)]
        assert chances @ signs == pytest.approx(own, abs=1e-12)


def test_layers_have_noise_on_pairs_that_wait():
    # Z of every qubit behind one layer, cx on (1, 2) of four qubits: errors before the gate, on all three pairs.
    gates, waiting = 0.2, 0.1
    device = noises.pauli_lindblad(4, gates, waiting, readout=(), seed=3)
    circuit = QuantumCircuit(4)
    circuit.cx(1, 2)
    rates = noises.pair_rates(4, gates, waiting, 3)
    state = np.zeros(16)
    state[0] = 1.0
    for first in range(3):
        new = np.zeros(16)
        for label, chance in zip(
            ("II", *noises.PAIR_PAULIS), noises.probabilities(rates[first, first == 1]), strict=True
        ):
            flip = sum((letter in "XY") << (first + i) for i, letter in enumerate(label))
            new[np.arange(16) ^ flip] += chance * state
        state = new
    bits = np.arange(16)
    after = bits ^ ((bits >> 1 & 1) << 2)  # the cx
    expected = [state @ (1 - 2 * (after >> q & 1)) for q in range(4)]
    assert sampled(device, circuit, 100_000) == pytest.approx(expected, abs=5 / 100_000**0.5)
    assert min(1 - abs(e) for e in expected) > 0.05  # every qubit errs


def test_both_devices_of_layers_have_the_same_noise():
    # 20 000 shots, five standard errors of a difference.
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    arguments = {"gates": 0.1, "waiting": 0.06, "readout": (0.02, 0.1), "seed": 4}
    aer = noises.pauli_lindblad(3, **arguments)
    frames = noises.pauli_frames(3, **arguments)
    for basis in ("z", "x"):
        measured = circuit.copy()
        if basis == "x":
            measured.h(range(3))
        measured.measure_all()
        counts = aer.run(measured, shots=SHOTS, seed_simulator=2).result().get_counts()
        measured.remove_final_measurements()
        bits = of_function(frames, measured)
        numbers = np.bincount(bits @ [1, 2, 4], minlength=8) / SHOTS
        others = np.array([counts.get(f"{k:03b}", 0) for k in range(8)]) / SHOTS
        assert numbers == pytest.approx(others, abs=5 * (0.5 / SHOTS) ** 0.5)


def test_relaxation_while_waiting_and_during_gates():
    t1, t2 = 50e-6, 40e-6
    device = noises.thermal(3, t1, t2)
    assert device.target.dt is not None
    # Qubit 0 waits while ten cx run on the others, and is behind them once more.
    circuit = QuantumCircuit(3)
    circuit.x(0)
    circuit.barrier()
    for _ in range(10):
        circuit.cx(1, 2)
    circuit.barrier()
    circuit.x(0)
    circuit.save_density_matrix()
    rho = DensityMatrix(device.run(circuit).result().data()["density_matrix"])
    stays = np.exp(-(10 * 400e-9 + 40e-9) / t1)  # the wait, and the pulse in front of it
    expected = 1 - (1 - stays) * np.exp(
        -40e-9 / t1
    )  # the last pulse swaps what relaxed, which then relaxes too
    assert rho.probabilities([0])[0] == pytest.approx(expected, abs=1e-6)


def test_decoupling_undoes_drift():
    from quell import Estimator

    circuit = QuantumCircuit(2)
    circuit.sx(0)
    circuit.barrier()
    for _ in range(6):
        circuit.sx(1)
    circuit.barrier()
    circuit.sx(0)
    device = noises.thermal(2, 1.0, 1.0, drift=2e6)
    values = []
    for enable in (False, True):
        options = {
            "resilience_level": 0,
            "dynamical_decoupling": {"enable": enable},
            "default_shots": 4000,
            "seed": 1,
        }
        values.append(float(Estimator(device, options).run([(circuit, "IZ")]).result()[0].data.evs))
    assert abs(values[0] + 1) > 0.05
    assert values[1] == pytest.approx(-1, abs=0.02)


def test_readout_flips_pairs_together():
    sampler = noises.readout(4, 0.05, 0.1, spread=0.2, together=0.1, seed=2)
    flips = sampler.readout.flips
    assert (abs(flips / [0.05, 0.1] - 1) <= 0.2).all()
    zero = of_function(sampler, QuantumCircuit(4), 50_000)
    tolerance = 5 / 50_000**0.5
    alone = flips[:, 0]
    assert zero.mean(axis=0) == pytest.approx(alone * 0.9 + (1 - alone) * 0.1, abs=tolerance)
    signs = 1 - 2.0 * zero
    covariance = np.cov(signs.T)
    # Flipping both does nothing to the product.
    expected = np.prod(1 - 2 * alone[:2]) * (1 - (1 - 0.2) ** 2)
    assert covariance[0, 1] == pytest.approx(expected, abs=tolerance)
    assert covariance[0, 2] == pytest.approx(0, abs=tolerance)


# --- files --------------------------------------------------------------------------------------------


def test_there_are_experiments_and_each_has_its_table():
    assert {path.stem for path in (FOLDER / "results").glob("*.md")} == set(NAMES)
    readme = (FOLDER / "README.md").read_text()
    assert [name for name in NAMES if f"`{name}`" not in readme] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_file_loads_and_fits_its_device(name):
    experiment = load(FOLDER / f"{name}.toml")
    prepared = prepare(experiment)
    assert len(prepared.labels) >= len(prepared.pubs) == len(experiment.workloads)
    assert "raw" in prepared.strategies


def small(name, tmp_path, changes):
    """Return an experiment of the folder with lines changed."""
    text = (FOLDER / f"{name}.toml").read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "noises.py").write_text((FOLDER / "noises.py").read_text())
    path = tmp_path / f"{name}.toml"
    path.write_text(text)
    return load(path)


def test_ghz_experiment_at_tiny_size(tmp_path):
    sizes = {"total_shots = 100_000": "total_shots = 4000", "repeats = 10": "repeats = 1"}
    changes = {**sizes, "qubits = 20": "qubits = 3", '"zne+trex", ': ""}
    experiment = small("ghz20_stabilizers", tmp_path, changes)
    prepared = prepare(experiment)
    assert [each.name for each in costs(experiment, prepared).strategies if each.failure] == []
    comparison, files = run(experiment, prepared, tmp_path / "out")
    assert comparison.labels == ("XXX", "Z0Z1", "Z1Z2")
    assert [s.name for s in comparison.summaries if s.failure] == []
    assert files


def test_tables_of_a_grid(tmp_path):
    runner = module("run")
    sizes = {"[1, 3, 5, 7, 9, 11, 13, 15, 17, 19]": "[1, 2]", "repeats = 4": "repeats = 1"}
    experiment = small("unitary_fund_rb", tmp_path, {**sizes, "[3, 5]": "[2, 3]", "[1, 2, 3]": "[1, 3, 5]"})
    prepared = prepare(experiment)
    plan = runner.cells(costs(experiment, prepared))
    comparison, _ = run(experiment, prepared, tmp_path / "out")
    text = runner.written(comparison, experiment, plan)
    grid = runner.grid_cells(comparison, experiment)
    assert [line[:2] for line in grid.rows] == [(a, b) for a in "23" for b in ("1", "2", "all")]
    raw, zne = (comparison.values_of(name)[:, :2] - comparison.reference[:2] for name in ("raw", "zne"))
    expected = [np.sqrt((raw**2).mean()), np.sqrt((raw**2).mean() / (zne**2).mean())]
    column = grid.headers.index("R of zne")
    assert [float(grid.rows[2][k]) for k in (2, column)] == pytest.approx(
        expected, rel=0.05
    )  # two digits are shown
    assert "**Improvement by circuit**" in text
    assert "**Cost of one repeat**" in text
