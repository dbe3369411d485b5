"""The time a device works on a plan, against sums made by hand."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Delay, Measure, Parameter, Reset
from qiskit.circuit.library import CZGate, RZGate, SXGate, XGate
from qiskit.primitives import StatevectorSampler
from qiskit.transpiler import InstructionProperties, Target

import quell
from quell.comparison.qpu import REP_DELAY, model, qpu_seconds
from quell.errors import InputError
from quell.pipeline import cost, leaves
from quell.testing import NoisyDevice, load_device

SX, CZ, READ = 40e-9, 200e-9, 800e-9


@pytest.fixture
def target():
    found = Target(num_qubits=3, dt=1e-9)
    ones = {(q,): InstructionProperties(duration=SX) for q in range(3)}
    found.add_instruction(SXGate(), dict(ones))
    found.add_instruction(XGate(), dict(ones))
    found.add_instruction(
        RZGate(Parameter("a")), {(q,): InstructionProperties(duration=0.0) for q in range(3)}
    )
    pairs = [(0, 1), (1, 2)]
    found.add_instruction(CZGate(), {p: InstructionProperties(duration=CZ) for p in pairs})
    found.add_instruction(Measure(), {(q,): InstructionProperties(duration=READ) for q in range(3)})
    found.add_instruction(Reset(), {(q,): InstructionProperties(duration=READ) for q in range(3)})
    found.add_instruction(Delay(Parameter("t")), {(q,): None for q in range(3)})
    return found


def planned(circuit, observable, options, shots=1000):
    estimator = quell.Estimator(StatevectorSampler(), {"default_shots": shots, **options})
    return estimator.plan([(circuit, observable)])


RAW = {"resilience_level": 0}


def chain():
    """Qubit 1 has two cz and an sx between them; qubits 0 and 2 wait for it."""
    circuit = QuantumCircuit(3)
    circuit.sx(0)
    circuit.cz(0, 1)
    circuit.sx(1)
    circuit.rz(0.3, 1)
    circuit.cz(1, 2)
    return circuit


def test_a_circuit_by_hand(target):
    plan = planned(chain(), "ZZZ", RAW)
    (program,) = leaves(plan)
    shot = SX + CZ + SX + CZ + READ
    assert program.num_members * program.shots == 1000
    assert qpu_seconds(plan, target) == pytest.approx(1000 * (shot + REP_DELAY), rel=1e-9)
    assert qpu_seconds(plan, target, rep_delay=0) == pytest.approx(1000 * shot, rel=1e-9)


def test_without_a_target_typical_durations_are_taken():
    plan = planned(chain(), "ZZZ", RAW)
    shot = 2 * 50e-9 + 2 * 300e-9 + 1e-6
    assert qpu_seconds(plan, None, rep_delay=0) == pytest.approx(1000 * shot, rel=1e-9)


def test_each_basis_is_a_circuit_of_its_own(target):
    one, two = planned(chain(), "ZZZ", RAW), planned(chain(), ["ZZZ", "XXX"], RAW)
    assert cost(two).shots == 2 * cost(one).shots
    extra = qpu_seconds(two, target, rep_delay=0) - 2 * qpu_seconds(one, target, rep_delay=0)
    # A change of basis is at most two pulses on the last qubit, in both settings of the same program.
    assert extra == pytest.approx(2000 * 2 * SX, rel=1e-9)


def test_barriers_and_delays_make_others_wait(target):
    circuit = QuantumCircuit(3)
    circuit.delay(300, 0, "ns")
    circuit.barrier(0, 1)
    circuit.sx(1)
    circuit.delay(100, 2, "dt")
    plan = planned(circuit, "ZZZ", RAW)
    assert qpu_seconds(plan, target, rep_delay=0) == pytest.approx(1000 * (300e-9 + SX + READ), rel=1e-9)


def test_twirled_circuits_take_longer_and_folded_ones_longer_still(target):
    circuit = chain()
    twirled = planned(circuit, "ZZZ", {**RAW, "twirling": {"enable_gates": True}})
    raw = planned(circuit, "ZZZ", RAW)
    per_shot = [qpu_seconds(p, target, rep_delay=0) / cost(p).shots for p in (raw, twirled)]
    # At most one pulse in every place: before, between and behind the gates of qubit 1.
    assert per_shot[0] < per_shot[1] <= per_shot[0] + 3 * SX + 1e-15
    folded = planned(
        circuit, "ZZZ", {**RAW, "resilience": {"zne_mitigation": True, "zne": {"noise_factors": [1, 3, 5]}}}
    )
    by_program = sorted(qpu_seconds_of(p, target) for p in leaves(folded))
    gates = [2 * CZ, 6 * CZ, 10 * CZ]
    for found, of_gates in zip(by_program, gates, strict=True):
        assert of_gates + READ <= found <= of_gates + READ + 20 * SX


def qpu_seconds_of(program, target):
    from quell.pipeline import Leaf, Plan

    plan = Plan((), (Leaf(program),))
    return qpu_seconds(plan, target, rep_delay=0) / (program.num_members * program.shots)


def test_calibration_counts(target):
    with_trex = planned(
        chain(),
        "ZZZ",
        {**RAW, "resilience": {"measure_mitigation": True}, "twirling": {"enable_measure": True}},
    )
    total = cost(with_trex)
    assert total.calibration_shots > 0
    seconds = qpu_seconds(with_trex, target, rep_delay=1e-3)
    assert seconds > 1e-3 * total.shots


def test_noise_that_is_still_to_be_learned_counts_at_least(target):
    options = {"resilience": {"pec_mitigation": True}}
    plan = planned(chain(), "ZZZ", options)
    total = cost(plan)
    assert total.deferred_shots[0] > 0
    seconds = qpu_seconds(plan, target, rep_delay=1e-3)
    low = total.shots + total.deferred_shots[0]
    assert 1e-3 * low < seconds < 1e-3 * low * 1.2


def test_control_flow_takes_its_longest_block(target):
    circuit = QuantumCircuit(2, 1)
    circuit.measure(0, 0)
    with circuit.if_test((0, True)) as other:
        circuit.x(1)
    with other:
        circuit.sx(1)
        circuit.sx(1)
    plan = planned(circuit, "ZI", RAW)
    assert qpu_seconds(plan, target, rep_delay=0) == pytest.approx(1000 * (2 * READ + 2 * SX), rel=1e-9)


def test_a_device_that_gives_durations():
    device = NoisyDevice(load_device("tee5"))
    plan = planned(chain(), "ZZZ", RAW)
    stated = model(device.target)
    assert {"cx", "cz", "ecr"} & set(stated["durations_of"])
    assert qpu_seconds(plan, device.target) > 1000 * REP_DELAY


def test_the_model_is_stated(target):
    stated = model(target, 1e-4)
    assert stated["rep_delay"] == 1e-4
    assert stated["durations_of"] == ["cz", "measure", "reset", "sx", "x"]
    assert "repetition delay of 100 us" in stated["text"]
    assert "queueing" in stated["text"]
    assert "device gives none" in model(None)["text"]
    assert all(np.isfinite(v) for v in stated.values() if isinstance(v, float))


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf, "1", True, 250])
def test_delays_that_are_none(wrong):
    with pytest.raises(InputError, match="rep_delay"):
        model(None, wrong)
