"""Error bars say what they promise: value +- 1.96 stds covers the truth 95 % of the time.

Limits and false-alarm rates: see `repetitions.check_coverage`.
"""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit.library import RXGate, RZZGate
from qiskit.quantum_info import Operator, Pauli, Statevector, pauli_basis
from repetitions import COUNTS, check_coverage, repeat

from quell.stages.measure import Measure
from quell.stages.trex import Trex
from quell.stages.twirl import Twirl
from quell.testing import ReadoutModel, default_ensemble, ensemble_of, exact_values

pytestmark = pytest.mark.parametrize("count", COUNTS)


def ghz(num_qubits: int) -> QuantumCircuit:
    circuit = QuantumCircuit(num_qubits)
    circuit.h(0)
    for q in range(num_qubits - 1):
        circuit.cx(q, q + 1)
    return circuit


def sum_of_z(num_qubits: int) -> dict[str, float]:
    return {"I" * (num_qubits - 1 - q) + "Z" + "I" * q: 1.0 for q in range(num_qubits)}


def readout(num_qubits: int) -> ReadoutModel:
    return ReadoutModel.uniform(num_qubits, 0.02, 0.06).with_pair_flip(0, 1, 0.02)


def test_raw(count):
    ensemble = default_ensemble()
    check_coverage(*repeat((Measure(),), ensemble, count), exact_values(ensemble))


def test_raw_sum_of_many_terms(count):
    """Summing the variances of 20 equal bits instead of counting covariances covers 35 %."""
    ensemble = ensemble_of(ghz(20), [sum_of_z(20)], shots=1024)
    check_coverage(*repeat((Measure(),), ensemble, count), 0.0)


def twisted() -> tuple[QuantumCircuit, np.ndarray]:
    circuit = QuantumCircuit(2)
    circuit.ry(0.6, 0)
    circuit.ry(1.1, 1)
    circuit.cx(0, 1)
    error = Operator(RZZGate(0.5)) @ Operator(RXGate(0.4)).expand(Operator(np.eye(2)))
    return circuit, error.data


@pytest.mark.parametrize("randomizations", [32, 4, 8])
def test_gates_and_measurements_twirled(count, randomizations):
    """Members differ, because each has the coherent error in another frame; few of them need Student's factor."""
    circuit, error = twisted()
    labels = ["ZZ", "IZ", "XX"]
    state = Statevector(circuit)
    frames = [Operator(p).data for p in pauli_basis(2)]
    mixed = [state.evolve(Operator(f @ error @ f)) for f in frames]
    model = readout(2)
    damping = [model.damping(np.flatnonzero(Pauli(label).z | Pauli(label).x)) for label in labels]
    truth = [
        d * np.mean([s.expectation_value(Pauli(p)).real for s in mixed])
        for d, p in zip(damping, labels, strict=True)
    ]
    stages = (Twirl(True, True, randomizations, 1024 // randomizations), Measure())
    values = repeat(stages, ensemble_of(circuit, labels), count, readout=model, gate_errors={"cx": error})
    check_coverage(*values, truth)


def test_trex_with_a_calibration_as_noisy_as_the_data(count):
    """Without the calibration's own uncertainty these would cover 83 %."""
    n = 10
    circuit = QuantumCircuit(n)
    circuit.x(range(0, n, 3))
    pairs = {"I" * (n - 2 - q) + "ZZ" + "I" * q: 1.0 for q in range(n - 1)}
    ensemble = ensemble_of(circuit, ["Z" * n, "I" * (n - 5) + "Z" * 5, sum_of_z(n), pairs])
    stages = (Trex(32, 32), Twirl(False, True, 32, 32), Measure())
    check_coverage(*repeat(stages, ensemble, count, readout=readout(n)), exact_values(ensemble))


def test_trex_of_a_sum_of_many_terms(count):
    n = 20
    ensemble = ensemble_of(ghz(n), [sum_of_z(n), "I" * 10 + "Z" * 10])
    stages = (Trex(32, 32), Twirl(False, True, 32, 32), Measure())
    check_coverage(*repeat(stages, ensemble, count, readout=readout(n)), [0.0, 1.0])


def test_trex_of_projectors(count):
    ensemble = ensemble_of(ghz(4), ["0000", {"1111": 1.0, "0000": -1.0}, "+rIZ"])
    stages = (Trex(32, 32), Twirl(False, True, 32, 32), Measure())
    check_coverage(*repeat(stages, ensemble, count, readout=readout(4)), exact_values(ensemble))


@pytest.mark.parametrize("randomizations", [4, 8])
def test_trex_of_few_randomizations(count, randomizations):
    """One Student's factor for data and calibration together, at their joint degrees of freedom."""
    ensemble = ensemble_of(ghz(4), ["ZZZZ", "IZZI", {"ZZII": 1.0, "IIIZ": 0.5}])
    shots = 1024 // randomizations
    stages = (Trex(randomizations, shots), Twirl(False, True, randomizations, shots), Measure())
    check_coverage(*repeat(stages, ensemble, count, readout=readout(4)), exact_values(ensemble))


@pytest.mark.parametrize("randomizations", [4, 8])
def test_sums_over_many_settings_of_few_randomizations(count, randomizations):
    """Nine settings, each with its own spread: together they have more degrees of freedom than one."""
    circuit, _ = twisted()
    sums = [{a + b: 1.0 for a in "XYZ" for b in "XYZ"}, {"ZZ": 1.0, "XX": 0.5}]
    ensemble = ensemble_of(circuit, sums)
    stages = (Twirl(True, True, randomizations, 256 // randomizations), Measure())
    check_coverage(*repeat(stages, ensemble, count), exact_values(ensemble))


def test_balanced_pauli(count):
    circuit, _ = twisted()
    ensemble = ensemble_of(circuit, ["ZZ", "IZ", "XX"])
    twirl = Twirl(True, True, 32, 32, group="balanced_pauli")
    stages = (Trex(32, 32, balanced=True), twirl, Measure())
    check_coverage(*repeat(stages, ensemble, count, readout=readout(2)), exact_values(ensemble))
