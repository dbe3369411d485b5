"""Alice & Bob: cat qubits. Physical ones have x, z, rz and cx only, logical ones a Clifford+T set; simulated locally.

Physical ones have no gate that makes a superposition: it is prepared with ``initialize`` and read with ``measure_x``,
which quell carries as they are. So Z observables can be mitigated, others are refused.
"""

import pytest

pytest.importorskip(
    "qiskit_alice_bob_provider", reason="needs qiskit-alice-bob-provider; see README.md beside this file"
)

import numpy as np
from checks import assert_native, check_corrected, check_sampler, check_wrapped, estimated, watched
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit_alice_bob_provider import AliceBobLocalProvider

from quell import Estimator, InputError, Sampler, UnsupportedError

OBSERVABLES = ["IIZ", "IZI", "ZII", "ZZZ"]


@pytest.fixture
def physical():
    return AliceBobLocalProvider().get_backend("EMU:6Q:PHYSICAL_CATS")


@pytest.fixture
def logical():
    return AliceBobLocalProvider().get_backend("EMU:40Q:LOGICAL_NOISELESS", n_qubits=3)


def reversible():
    circuit = QuantumCircuit(3)
    circuit.x(0)
    circuit.cx(0, 1)
    circuit.rz(0.3, 1)
    circuit.cx(1, 2)
    circuit.x(0)
    return circuit, np.array([1, -1, -1, 1])


def test_the_gates_are_those_that_this_file_is_about(physical, logical):
    def gates(backend):
        dynamic = {"if_else", "while_loop", "for_loop", "switch_case"}
        return set(backend.target.operation_names) - dynamic - {"delay", "initialize", "measure", "measure_x"}

    assert gates(physical) == {"x", "z", "rz", "cx"}
    assert gates(logical) == {"x", "z", "t", "tdg", "h", "s", "sdg", "cx", "ccx"}


@pytest.mark.parametrize("level", [0, 1, 2])
def test_z_observables_of_physical_cats(physical, level):
    circuit, truth = reversible()
    values, errors, seen = estimated(physical, circuit, OBSERVABLES, level, precision=0.05)
    assert_native(seen, physical.target)
    assert len({str(c.data) for c, _ in seen}) > 1  # it is twirled
    assert (abs(values - truth) < 6 * errors + 0.002).all()  # of the order of the device's own noise


def superposed():
    """What `two_registers` has to read, without a gate that makes superpositions."""
    qubits, one, two = QuantumRegister(3, "q"), ClassicalRegister(1, "one"), ClassicalRegister(2, "two")
    circuit = QuantumCircuit(qubits, one, two)
    circuit.initialize("+", 1)
    circuit.x(0)
    circuit.cx(1, 2)
    circuit.x(2)
    circuit.measure(0, one[0])
    circuit.measure([1, 2], two)
    return circuit


def test_samples(physical):
    check_sampler(physical, case=superposed, allowed=0.01)


def test_counts_of_a_wrapped_backend(physical):
    check_wrapped(physical, case=superposed, allowed=0.01)


def test_corrected_samples(physical):
    check_corrected(physical, case=superposed, gains=False, allowed=0.01)


def test_measurements_of_x_are_carried(physical):
    """Not twirled, as quell does not know what they measure; the gates before them are."""
    circuit = QuantumCircuit(2, 2)
    circuit.initialize("+", 0)
    circuit.cx(0, 1)
    circuit.measure_x(0, 0)
    circuit.measure_x(1, 1)
    isa = transpile(circuit, physical, optimization_level=1)
    sampler = Sampler(physical, options={"seed": 4, "twirling": {"enable_gates": True}})
    with watched(physical) as seen:
        result = sampler.run([isa], shots=1000).result()[0]
    assert_native(seen, physical.target)
    parities = [key.count("1") % 2 for key in result.data.c.get_bitstrings()]
    assert np.mean(parities) < 0.02  # XX is 1; each X alone is random
    assert 0.4 < np.mean([key[0] == "1" for key in result.data.c.get_bitstrings()]) < 0.6


def test_other_observables_of_physical_cats_are_refused(physical):
    circuit, _ = reversible()
    isa = transpile(circuit, physical, optimization_level=1)
    with pytest.raises(UnsupportedError, match=r"\['rz', 'x'\] only, .* measure Z observables"):
        Estimator(physical, options={"resilience_level": 0}).run([(isa, ["X" + "I" * (isa.num_qubits - 1)])])


def test_decoupling_needs_durations_that_the_target_does_not_have(physical):
    circuit, _ = reversible()
    options = {"resilience_level": 0, "dynamical_decoupling": {"enable": True}}
    isa = transpile(circuit, physical, optimization_level=1)
    with pytest.raises(InputError, match=r"dynamical_decoupling\.instruction_durations"):
        Estimator(physical, options=options).run([(isa, ["I" * (isa.num_qubits - 1) + "Z"])])


def test_logical_cats_run_without_twirling(logical):
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.t(1)
    circuit.h(1)
    isa = transpile(circuit, logical, optimization_level=1)
    z = ["I" * (isa.num_qubits - 2) + "ZI", "I" * (isa.num_qubits - 2) + "IZ"]
    estimator = Estimator(logical, options={"resilience_level": 0})
    data = estimator.run([(isa, z)], precision=0.02).result()[0].data
    assert (abs(data.evs) < 6 * data.stds).all()


@pytest.mark.parametrize("level", [1, 2])
def test_logical_cats_cannot_be_twirled(logical, level):
    """Their gates are no rotations by any angle, so a product of gates and Paulis has no short form there."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    isa = transpile(circuit, logical, optimization_level=1)
    z = "I" * (isa.num_qubits - 1) + "Z"
    with pytest.raises(UnsupportedError, match=r"none of the single-qubit gate sets .* switch twirling off"):
        Estimator(logical, options={"resilience_level": level}).run([(isa, [z])])
