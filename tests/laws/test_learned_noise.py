"""PEC and PEA from nothing: the noise is learned in the same job, and all shots count.

Thresholds: a deviation five times below that of the raw estimate with as many shots as the whole job took, learning
included. Raw deviations are 15 and more of the mitigated standard errors, so a false alarm would take a fluctuation of
three standard errors in the rms of several values: less than 1e-4 for each row, and seeds are fixed.
"""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import Clifford, Pauli, SparsePauliOp

from quell import Estimator
from quell.calibration.layers import LayerModel
from quell.circuits.layers import images, occurrences
from quell.circuits.template import template_of
from quell.circuits.twirling import twirled_template
from quell.kernels.lindblad import conjugated, local_paulis
from quell.testing.pauli_frames import PauliFrameSampler

#: Generators that cx does not tell apart from their images, by the sets that have to be equally frequent.
CX_ORBITS = (
    ("ZI",),
    ("IX",),
    ("ZX",),
    ("XI", "XX"),
    ("YI", "YX"),
    ("IZ", "ZZ"),
    ("IY", "ZY"),
    ("XZ", "YY"),
    ("XY", "YZ"),
)
EFFORT = {"num_randomizations": 16, "layer_pair_depths": (0, 1, 2, 4, 8, 16)}
#: Precisions that are well below a fifth of the raw deviations; extrapolation takes more shots for it.
PRECISION = {"PEC": 0.015, "PEA": 0.006, "PEC and PEA": 0.01}
METHODS = {
    "PEC": {"pec_mitigation": True},
    "PEA": {"zne_mitigation": True, "zne": {"amplifier": "pea"}},
    "PEC and PEA": {"pec_mitigation": True, "zne_mitigation": True, "zne": {"amplifier": "pea"}},
}


def learnable(layer, pairs, rng, scale):
    """Return a model whose generators are as frequent as their images where nothing could tell."""
    place = {q: i for i, q in enumerate(layer.qubits)}
    generators = local_paulis(
        len(place), tuple((place[a], place[b]) for a, b in pairs if {a, b} <= set(place))
    )
    number = {row.tobytes(): k for k, row in enumerate(generators)}
    rates = rng.exponential(scale, len(generators))
    for k, image in enumerate(conjugated(generators, images(layer))):
        other = number.get(image.tobytes(), k)
        rates[k] = rates[other] = (rates[k] + rates[other]) / 2
    return LayerModel.of(layer, generators, rates, "truth")


def unlearnable(layer, pairs, rng, scale):
    """Return a model with independent rates: what repeated layers leave open is not as it is assumed to be."""
    model = learnable(layer, pairs, rng, scale)
    return LayerModel.of(layer, model.generators, rng.exponential(scale, len(model.rates)), "truth")


def layered(num_qubits, depth, rng):
    """Return a Clifford brickwork of cx."""
    circuit = QuantumCircuit(num_qubits)
    for step in range(depth):
        for q in range(num_qubits):
            for name in rng.choice(["h", "s", "sx", "x"], 2):
                getattr(circuit, name)(q)
        circuit.barrier()
        for q in range(step % 2, num_qubits - 1, 2):
            circuit.cx(q, q + 1)
        circuit.barrier()
    return circuit


def stabilizers(circuit, qubits):
    """Return what Z on some qubits becomes: observables of value 1."""
    gates = circuit.copy_empty_like()
    for instruction in circuit.data:
        if instruction.operation.name != "barrier":
            gates.append(instruction)
    for q in qubits:
        label = "".join("Z" if p == q else "I" for p in reversed(range(circuit.num_qubits)))
        yield SparsePauliOp(Pauli(label).evolve(Clifford(gates), frame="s"))


def deviations(mode, circuit, observables, exact, resilience, precision, twirled=True):
    options = {
        "seed": 7,
        "twirling": {"enable_gates": twirled},
        "resilience": {"measure_mitigation": False, "layer_noise_learning": EFFORT, **resilience},
    }
    result = Estimator(mode, options).run([(circuit, observables)], precision=precision).result()
    return np.sqrt(np.mean((result[0].data.evs - exact) ** 2)), result


@pytest.mark.parametrize(
    ("method", "noise"), [*((method, learnable) for method in METHODS), ("PEC", unlearnable)]
)
def test_ten_qubit_layered_circuit(method, noise):
    rng = np.random.default_rng(5)
    circuit = layered(10, 8, rng)
    observables = list(stabilizers(circuit, (0, 4, 5, 9)))
    pairs = [(q, q + 1) for q in range(9)]
    wide = twirled_template(template_of(circuit), "active-accum")
    layers = dict.fromkeys(place.layer for place in occurrences(wide))
    truth = [noise(layer, pairs, rng, 5e-4) for layer in layers]
    assert len(truth) == 2
    sampler = PauliFrameSampler(truth, seed=11)
    found, result = deviations(sampler, circuit, observables, 1.0, METHODS[method], PRECISION[method])
    total = result.metadata["shots"]
    assert total > 9 * 6 * 16 * 128 * 2  # learning is in it
    raw, plain = deviations(sampler, circuit, observables, 1.0, {}, total**-0.5)
    assert plain.metadata["shots"] >= total
    print(f"{method}, {noise.__name__}: rms deviation {found:.4f}, raw {raw:.3f}, {total} shots")
    assert found < raw / 5


def noisy_cx(num_qubits, rng, scale):
    """Return an Aer noise model with Pauli-Lindblad noise behind each cx of a line."""
    noise = pytest.importorskip("qiskit_aer.noise")
    model = noise.NoiseModel()
    letters = "IXZY"
    for q in range(num_qubits - 1):
        share = np.zeros(16)
        share[0] = 1.0
        for orbit in CX_ORBITS:
            rate = rng.exponential(scale)
            for control, target in orbit:
                odd = -np.expm1(-2 * rate) / 2
                code = letters.index(control) | letters.index(target) << 2
                share = (1 - odd) * share + odd * share[np.arange(16) ^ code]
        error = noise.pauli_error([(letters[i >> 2] + letters[i & 3], share[i]) for i in range(16)])
        model.add_quantum_error(error, "cx", (q, q + 1))
    return model


def ising(num_qubits, steps):
    """Return a Trotter circuit of a chain in a tilted field, with cx of one direction."""
    circuit = QuantumCircuit(num_qubits)
    for _ in range(steps):
        for q in range(num_qubits):
            circuit.rx(0.5, q)
            circuit.rz(0.3, q)
        for first in (0, 1):
            pairs = [(q, q + 1) for q in range(first, num_qubits - 1, 2)]
            for pair in pairs:
                circuit.cx(*pair)
            for _, target in pairs:
                circuit.rz(-0.6, target)
            for pair in pairs:
                circuit.cx(*pair)
    return circuit


@pytest.mark.parametrize(
    ("method", "precision"), [("PEC", 0.015), pytest.param("PEA", 0.01, marks=pytest.mark.slow)]
)
def test_six_qubit_ising_evolution(method, precision):
    aer = pytest.importorskip("qiskit_aer")
    rng = np.random.default_rng(2)
    backend = aer.AerSimulator(noise_model=noisy_cx(6, rng, 1.2e-3), method="density_matrix")
    circuit = ising(6, 2)
    observables = [SparsePauliOp.from_sparse_list([("Z", [q], 1)], 6) for q in (0, 2, 3, 5)]
    observables += [SparsePauliOp.from_sparse_list([("ZZ", [q, q + 1], 1)], 6) for q in (1, 3)]
    exact = StatevectorEstimator().run([(circuit, observables)]).result()[0].data.evs
    # On this simulator circuits are dear, and shots are not.
    effort = {"num_randomizations": 8, "layer_pair_depths": (0, 1, 2, 4, 8), "shots_per_randomization": 512}
    learned = {**METHODS[method], "layer_noise_learning": effort}
    found, result = deviations(backend, circuit, observables, exact, learned, precision)
    raw, _ = deviations(backend, circuit, observables, exact, {}, result.metadata["shots"] ** -0.5)
    print(f"{method}, Ising: rms deviation {found:.4f}, raw {raw:.3f}, {result.metadata['shots']} shots")
    assert found < raw / 5
