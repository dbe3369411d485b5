"""The minimal sampler: twirled, unflipped, merged."""

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.primitives import StatevectorSampler
from qiskit_aer import AerSimulator

from quell import InputError, OptionsError, Sampler, SamplerV2
from quell.testing.backends import CountingBackend

TWIRLED = {"twirling": {"enable_gates": True, "enable_measure": True}, "seed": 5}


def ghz(num_qubits=3):
    circuit = QuantumCircuit(num_qubits)
    circuit.h(0)
    for qubit in range(num_qubits - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


@pytest.mark.parametrize("options", [{"seed": 1}, TWIRLED], ids=["plain", "twirled"])
@pytest.mark.parametrize(
    "mode",
    [
        lambda: AerSimulator(),
        lambda: CountingBackend(max_circuits=9),
        lambda: StatevectorSampler(seed=np.random.default_rng(2)),
    ],
    ids=["aer", "bound", "sampler"],
)
@pytest.mark.parametrize("shots", [1, 31, 1000, 1234])
def test_exactly_the_asked_shots_come_back_unflipped(mode, options, shots):
    result = Sampler(mode(), options).run([ghz()], shots=shots).result()[0]
    counts = result.data.meas.get_counts()
    assert sum(counts.values()) == shots
    assert set(counts) <= {"000", "111"}
    assert result.metadata["shots"] == shots
    assert result.metadata["num_randomizations"] == (min(32, shots) if options is TWIRLED else 1)


def test_registers_parameter_sweeps_and_mid_circuit_measurements_land_in_place():
    a = Parameter("a")
    qubits = QuantumRegister(3)
    early, late = ClassicalRegister(1, "early"), ClassicalRegister(2, "late")
    circuit = QuantumCircuit(qubits, early, late)
    circuit.rx(a, 0)
    circuit.measure(0, early[0])
    circuit.cx(0, 2)
    circuit.x(1)
    circuit.measure([1, 2], [late[1], late[0]])
    result = SamplerV2(AerSimulator(), TWIRLED).run([(circuit, [[0.0], [np.pi]])], shots=100).result()[0]
    assert result.data.shape == (2,)
    assert result.data.early.shape == (2,)
    assert result.data.early[0].get_counts() == {"0": 100}
    assert result.data.late[0].get_counts() == {"10": 100}
    assert result.data.early[1].get_counts() == {"1": 100}
    assert result.data.late[1].get_counts() == {"11": 100}


def forbidden(pubs):
    raise AssertionError("something was run")


def test_problems_of_options_and_pubs_are_reported_at_once():
    sampler = Sampler(forbidden, {"execution": {"meas_type": "kerneled"}})
    with pytest.raises(OptionsError, match="meas_type"):
        sampler.run([ghz()])
    with pytest.raises(InputError) as error:
        sampler.run([QuantumCircuit(1), "ghz"], shots=0)
    paths = [problem.path for problem in error.value.problems]
    assert paths == ["options.execution.meas_type", "shots", "pubs[1]", "pubs[0].circuit"]
