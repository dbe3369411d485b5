"""The fakes do what they say. Statistical checks: fixed seeds, five standard errors, false alarm 6e-7 each."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.primitives import StatevectorSampler
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import Statevector, random_clifford
from qiskit.synthesis import synth_clifford_full

from quell.errors import InputError, UnsupportedError
from quell.testing import CountingBackend, ExactSampler, FailingBackend, ReadoutModel
from quell.testing.clifford import Affine, clifford_outcomes
from quell.testing.exact import outcomes
from quell.testing.unroll import unroll


def probabilities(circuit: QuantumCircuit, values: np.ndarray, shots: int, **kwargs) -> np.ndarray:
    """Return observed frequencies ``(members, 2^n)`` of a circuit measured with measure_all."""
    pub = SamplerPub.coerce((circuit, values, shots))
    bits = ExactSampler(1, **kwargs)([pub])[0]["meas"]
    size = 2**bits.num_bits
    flat = bits.array.reshape(-1, shots, bits.array.shape[-1])
    numbers = flat.astype(int) @ (256 ** np.arange(flat.shape[-1])[::-1])
    return np.stack([np.bincount(row, minlength=size) / shots for row in numbers])


def check(found: np.ndarray, truth: np.ndarray, shots: int) -> None:
    assert (np.abs(found - truth) <= 5 * np.sqrt(truth * (1 - truth) / shots) + 5 / shots).all()


def test_distributions_of_a_parametric_circuit():
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(4)
    circuit.u(a, b, 0.2, 0)
    circuit.rxx(a - 2 * b, 0, 2)
    circuit.ccx(0, 2, 1)
    circuit.r(b, 0.3, 1)
    circuit.h(3)
    values = np.random.default_rng(0).uniform(-3, 3, (5, 2))
    truth = [Statevector(circuit.assign_parameters(row)).probabilities() for row in values]
    measured = circuit.copy()
    measured.measure_all()
    check(probabilities(measured, values, 20000), np.array(truth), 20000)


@pytest.mark.parametrize("seed", range(12))
def test_clifford_outcomes_are_those_of_the_state_vector(seed):
    n = 1 + seed % 5
    circuit = synth_clifford_full(random_clifford(n, seed=seed))
    gates = list(unroll(circuit, np.zeros((1, 0))).gates)
    affine = clifford_outcomes(list(range(n)), gates)
    found = np.zeros(2**n)
    rank = len(affine.directions)
    for choice in range(2**rank):
        bits = affine.offsets[0].copy()
        for i in range(rank):
            bits ^= affine.directions[i] & bool(choice >> i & 1)
        found[bits @ (1 << np.arange(n))] += 2.0**-rank
    assert np.allclose(found, Statevector(circuit).probabilities(), atol=1e-12)


def test_members_that_differ_by_paulis_share_one_tableau():
    angle, circuit = Parameter("a"), QuantumCircuit(30)
    circuit.h(0)
    for q in range(29):
        circuit.cx(q, q + 1)
    circuit.rx(angle, 7)
    circuit.measure_all()
    ((_, affine),) = outcomes(unroll(circuit, np.array([[0.0], [np.pi]])), max_qubits=2)
    assert isinstance(affine, Affine)
    assert affine.directions.tolist() == [[True] * 30]
    assert np.flatnonzero(affine.offsets[0] ^ affine.offsets[1]).tolist() in (
        [7],
        [q for q in range(30) if q != 7],
    )
    with pytest.raises(UnsupportedError, match="30 interacting qubits"):
        outcomes(unroll(circuit, np.array([[0.1]])), max_qubits=12)


def test_idle_qubits_cost_nothing_and_registers_keep_their_bits():
    circuit = QuantumCircuit(100, 12)
    circuit.ry(1.0, 50)
    circuit.x(99)
    circuit.measure([99, 50, 3], [11, 0, 5])
    bits = ExactSampler(0)([SamplerPub.coerce((circuit, None, 1000))])[0]["c"]
    assert (bits.num_bits, bits.num_shots, bits.shape) == (12, 1000, ())
    assert bits.slice_bits([11]).get_int_counts() == {1: 1000}
    assert bits.slice_bits([5, 1, 2]).get_int_counts() == {0: 1000}
    assert 150 < bits.slice_bits([0]).get_int_counts()[1] < 310


def test_seeds_and_successive_calls():
    circuit = QuantumCircuit(2)
    circuit.h([0, 1])
    circuit.measure_all()
    pub = SamplerPub.coerce((circuit, None, 100))
    sampler = ExactSampler(3)
    first, second = (sampler([pub])[0]["meas"] for _ in range(2))
    assert first == ExactSampler(3)([pub])[0]["meas"]
    assert first != second


def test_gate_errors_follow_their_gate():
    circuit = QuantumCircuit(2)
    circuit.cx(0, 1)
    circuit.measure_all()
    error = np.kron(np.array([[0, 1], [1, 0]]), np.eye(2))  # X on the second qubit
    assert probabilities(circuit, np.empty((1, 0)), 10, gate_errors={"cx": error}).tolist() == [[0, 0, 1, 0]]


@pytest.mark.parametrize("name", ["reset", "middle", "if"])
def test_what_cannot_be_simulated_is_refused(name):
    circuit = QuantumCircuit(1, 1)
    if name == "reset":
        circuit.reset(0)
    elif name == "middle":
        circuit.measure(0, 0)
        circuit.x(0)
    else:
        with circuit.if_test((0, 1)):
            circuit.x(0)
    circuit.measure(0, 0)
    with pytest.raises(UnsupportedError, match="simulat"):
        ExactSampler(0)([SamplerPub.coerce((circuit, None, 1))])


# --- readout ---------------------------------------------------------------------------------------------------


def test_flips_depend_on_the_state():
    bits = np.zeros((20000, 2), dtype=bool)
    bits[:, 1] = True
    model = ReadoutModel([[0.5, 0.5], [0.1, 0.3], [0.5, 0.5], [0.02, 0.2]])
    read = model.corrupt(bits, [1, 3], np.random.default_rng(0))
    for column, rate in ((0, 0.1), (1, 0.2)):
        assert abs((read ^ bits)[:, column].mean() - rate) < 5 * np.sqrt(rate / 20000)


def test_patterns_act_on_the_measured_qubits_of_theirs():
    model = ReadoutModel.uniform(3, 0.0).with_pair_flip(0, 2, 0.25)
    zeros = np.zeros((20000, 2), dtype=bool)
    both = model.corrupt(zeros, [2, 0], np.random.default_rng(0))
    assert (both[:, 0] == both[:, 1]).all()
    assert abs(both[:, 0].mean() - 0.25) < 0.02
    alone = model.corrupt(zeros, [1, 2], np.random.default_rng(0))
    assert not alone[:, 0].any()
    assert abs(alone[:, 1].mean() - 0.25) < 0.02


def test_damping_is_that_of_twirled_bits():
    model = ReadoutModel([[0.05, 0.2], [0.0, 0.1], [0.1, 0.02]]).with_pair_flip(0, 1, 0.1)
    model = model.with_pattern((1, 2), [0.8, 0.1, 0.0, 0.1])
    rng = np.random.default_rng(0)
    twirl = rng.random((10**5, 3)) < 0.5
    read = model.corrupt(twirl, [0, 1, 2], rng) ^ twirl
    for qubits in ([0], [1], [0, 1], [1, 2], [0, 1, 2]):
        parity = 1 - 2 * (read[:, qubits].sum(axis=1) & 1)
        assert abs(parity.mean() - model.damping(qubits)) < 5 / np.sqrt(10**5)


def test_wrong_models_are_refused():
    with pytest.raises(InputError, match="shape"):
        ReadoutModel([0.1, 0.2])
    with pytest.raises(InputError, match="sum to one"):
        ReadoutModel.uniform(2, 0.0).with_pattern((0, 1), [0.5, 0, 0, 0])
    with pytest.raises(InputError, match="qubit 5"):
        ReadoutModel.uniform(2, 0.0).corrupt(np.zeros((1, 1), dtype=bool), [5], np.random.default_rng(0))


# --- backends --------------------------------------------------------------------------------------------------


def bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def test_a_counting_backend_counts():
    pytest.importorskip("qiskit_aer")
    backend = CountingBackend(max_circuits=3)
    counts = backend.run([bell()] * 2, shots=50, seed_simulator=1).result().get_counts()
    assert [sum(c.values()) for c in counts] == [50, 50]
    angle = Parameter("a")
    circuit = QuantumCircuit(1)
    circuit.rx(angle, 0)
    circuit.measure_all()
    backend.run([circuit], shots=10, parameter_binds=[{angle: [0.0, 1.0, 2.0]}]).result()
    assert (backend.num_runs, backend.num_circuits, backend.num_shots) == (2, 5, 130)
    with pytest.raises(ValueError, match="at most 3"):
        backend.run([bell()] * 4)


def test_a_failing_backend_fails_when_told():
    pytest.importorskip("qiskit_aer")
    backend = FailingBackend(fail_at=1, error=OSError("gone"))
    backend.run(bell(), shots=10)
    with pytest.raises(OSError, match="gone"):
        backend.run(bell(), shots=10)
    backend.run(bell(), shots=10)
    assert (backend.attempts, backend.num_runs) == (3, 2)


def test_the_exact_sampler_and_qiskits_agree():
    circuit = bell()
    mine = ExactSampler(0)([SamplerPub.coerce((circuit, None, 4000))])[0]["meas"].get_counts()
    theirs = StatevectorSampler(seed=0).run([circuit], shots=4000).result()[0].data.meas.get_counts()
    assert mine.keys() == theirs.keys()
