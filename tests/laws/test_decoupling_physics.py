"""Decoupling as physics: drift of waiting qubits is undone, on a device whose noise is known exactly."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp, Statevector

from quell import pipeline
from quell.circuits.decoupling import Decoupling, decoupled
from quell.execution.adapters import runner_for
from quell.stages.decouple import Decouple
from quell.stages.measure import Measure
from quell.stages.trex import Trex
from quell.stages.twirl import Twirl
from quell.testing import CountingBackend, NoisyDevice, ensemble_of, exact_values

SEQUENCES = ("XX", "XpXm", "XY4", "staggered")
IDLING = NoisyDevice("tee5", depolarizing=False, thermal=False, coherent=False, readout=False, seed=5)
ACCURATE = 1e-3


def hadamard(circuit, qubit):
    circuit.rz(np.pi / 2, qubit)
    circuit.sx(qubit)
    circuit.rz(np.pi / 2, qubit)


def ramsey(waits):
    """Qubits on the equator that wait for so many ns, and are then left there."""
    circuit = QuantumCircuit(5)
    for q, wait in waits.items():
        hadamard(circuit, q)
        circuit.delay(wait, q, "ns")
        circuit.rz(0.2, q)
        circuit.sx(q)
    return circuit


def worst(circuit, device=IDLING):
    """Return the largest error of any Pauli on one or two of the qubits, without shots."""
    state, ideal = Statevector(device.noisy_circuit(circuit)), Statevector(circuit)
    error = 0.0
    used = sorted({circuit.find_bit(bit).index for i in circuit.data for bit in i.qubits})
    singles = [(p, [q]) for q in used for p in "XYZ"]
    pairs = [(p + r, [a, b]) for a in used for b in used if a < b for p in "XYZ" for r in "XYZ"]
    for label, qubits in singles + pairs:
        operator = SparsePauliOp.from_sparse_list([(label, qubits, 1.0)], circuit.num_qubits)
        values = [float(s.expectation_value(operator).real) for s in (state, ideal)]
        error = max(error, abs(values[0] - values[1]))
    return error


@pytest.mark.parametrize("sequence", SEQUENCES)
@pytest.mark.parametrize("qubit", range(5))
def test_detuning_of_a_qubit_that_waits_alone_is_undone(sequence, qubit):
    circuit = ramsey({qubit: 4000})
    assert worst(circuit) > 0.1
    padded = decoupled(circuit, Decoupling(sequence), IDLING.target)
    assert worst(padded) < ACCURATE


@pytest.mark.parametrize("waits", [{0: 3000, 1: 3000}, {1: 2222, 3: 2222}, dict.fromkeys(range(5), 3000)])
def test_drift_of_pairs_is_undone_by_staggered_pulses_only(waits):
    circuit = ramsey(waits)
    assert worst(circuit) > 0.3
    for sequence in ("XX", "XpXm", "XY4"):
        aligned = worst(decoupled(circuit, Decoupling(sequence), IDLING.target))
        assert aligned > 0.02
    assert worst(decoupled(circuit, Decoupling("staggered"), IDLING.target)) < ACCURATE


def test_staggered_pulses_know_when_each_qubit_waits():
    # one waits longer than the others, and two of them meet another one that starts late
    circuit = ramsey({0: 900, 1: 4000, 2: 2500, 3: 4000})
    assert worst(decoupled(circuit, Decoupling("XX"), IDLING.target)) > 0.05
    assert worst(decoupled(circuit, Decoupling("staggered"), IDLING.target)) < ACCURATE


@pytest.mark.parametrize("method", ["alap", "asap"])
def test_windows_between_gates(method):
    circuit = QuantumCircuit(5)
    for q in range(5):
        hadamard(circuit, q)
    circuit.barrier()
    for _ in range(6):
        circuit.cx(3, 4)
    for q in (0, 1, 2):  # these have waited meanwhile
        circuit.barrier(q, 3)
        circuit.sx(q)
    assert worst(circuit) > 0.3
    found = {
        s: worst(decoupled(circuit, Decoupling(s, scheduling_method=method), IDLING.target))
        for s in ("XX", "staggered")
    }
    assert found["staggered"] < ACCURATE < 0.05 < found["XX"]


def workload():
    """Three entangled qubits wait while the others are busy, then what was done to them is undone."""
    circuit = QuantumCircuit(5)
    for q in range(5):
        hadamard(circuit, q)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.barrier()
    for _ in range(12):
        circuit.cx(3, 4)
    circuit.barrier()
    circuit.cx(1, 2)
    circuit.cx(0, 1)
    for q in range(3):
        circuit.rz(0.4, q)
        hadamard(circuit, q)
    return ensemble_of(
        circuit, ["IIIIZ", "IIIZI", "IIZII", "IIZZI", "IIIZZ"], shots=8192, target=IDLING.target
    )


def run(plan, mode, seed=3):
    runner = runner_for(mode)
    samples = runner.run(
        pipeline.leaves(plan), seed=seed, progress=lambda done, total: None, cancelled=threading.Event()
    )
    return pipeline.combine(plan, samples)[0]


def decouple(sequence, device=IDLING):
    return Decouple(sequence, target=device.target)


@pytest.mark.parametrize("twirled", [False, True])
@pytest.mark.parametrize("binds", [False, True])
def test_estimates_are_closer_to_the_truth(twirled, binds):
    """Five values within five standard errors each: false alarm 3e-6 per case."""
    ensemble = workload()
    above = (Twirl(True, True, 32, 256), Measure()) if twirled else (Measure(),)
    errors = {}
    for sequence in (None, "XX", "staggered"):
        stages = above if sequence is None else (*above, decouple(sequence))
        plan = pipeline.plan([(stages, ensemble)], np.random.default_rng(1))
        # the noise is put in by circuits' own schedules, so binds need circuits of fixed schedule: these have it
        estimate = run(plan, CountingBackend(IDLING, takes_parameter_binds=binds))
        off = np.abs(estimate.value - exact_values(ensemble))
        errors[sequence] = off.max()
        if sequence == "staggered":
            assert (off < 5 * np.sqrt(estimate.variance) + ACCURATE).all()
    # a twirl alone makes a phase error that differs in sign between members into a smaller damping
    assert errors[None] > (0.08 if twirled else 0.3)
    assert 3 * errors["staggered"] < min(errors["XX"], errors[None])
    assert errors["XX"] < 0.7 * errors[None] or not twirled


def test_beside_other_noise_and_calibrations_in_the_same_job():
    device = NoisyDevice("tee5", depolarizing=False, seed=2)
    ensemble, errors = workload(), {}
    for sequence in (None, "staggered"):
        lower = () if sequence is None else (decouple(sequence, device),)
        stages = (Trex(32, 512), Twirl(True, True, 32, 512), Measure(), *lower)
        plan = pipeline.plan([(stages, ensemble)], np.random.default_rng(1), lower=lower)
        errors[sequence] = np.abs(run(plan, device).value - exact_values(ensemble)).mean()
    # what is left is relaxation during the wait
    assert errors["staggered"] < 0.75 * errors[None]
