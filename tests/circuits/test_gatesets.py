import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, Parameter
from qiskit.circuit.library import (
    CXGate,
    HGate,
    RGate,
    RXGate,
    RYGate,
    RZGate,
    SXGate,
    TGate,
    U1Gate,
    U2Gate,
    U3Gate,
    UGate,
    XGate,
)
from qiskit.quantum_info import Operator
from qiskit.transpiler import Target

from quell.circuits.dressings import canonical
from quell.circuits.gatesets import GATE_SETS, choose, instance_gates
from quell.errors import UnsupportedError

MODEST = settings(deadline=None, derandomize=True, max_examples=60)
SPECIAL = [k * np.pi / 2 for k in range(-4, 5)]
ANGLES = st.one_of(st.sampled_from(SPECIAL), st.floats(-7, 7))
BY_NAME = {gate_set.name: gate_set for gate_set in GATE_SETS}


def instance_form(gate_set, euler, measured):
    gates = instance_gates(gate_set, np.array([euler], dtype=float), np.array([measured]))
    assert not gates.dressing.any()
    return [
        (gates.names[name], [p for p in row if not np.isnan(p)])
        for name, row in zip(gates.name, gates.parameters.tolist(), strict=True)
    ]


THETA = {"virtual": 0.0, "half": np.pi / 2, "flip": np.pi}


def make(gate_set, name, parameters):
    return RGate(*parameters) if name == "prx" else gate_set.make(name, parameters)


def written(gate_set, gates):
    circuit = QuantumCircuit(1)
    for name, parameters in gates:
        assert name in gate_set.gates
        circuit.append(make(gate_set, name, parameters), [0])
    return Operator(circuit).data


def of_form(gate_set, form, euler):
    values = np.array([*euler, 1.0])
    return written(gate_set, [(g.name, [float(np.dot(row, values)) for row in g.rows]) for g in form])


def same(a, b):
    return np.allclose(a * np.vdot(a, b) / 2, b, atol=1e-9)


def same_when_measured(a, b):
    """Equal up to a diagonal on the left, so outcomes have the same probabilities from every state."""
    left = a @ b.conj().T
    return np.allclose(left - np.diag(np.diag(left)), 0, atol=1e-9)


def matrix(euler):
    return UGate(*euler).to_matrix()


@pytest.mark.parametrize("name", BY_NAME)
@given(euler=st.tuples(ANGLES, ANGLES, ANGLES))
@MODEST
def test_every_set_writes_any_unitary(name, euler):
    gate_set = BY_NAME[name]
    for kind in gate_set.forms:
        exact = (THETA.get(kind, euler[0]), *euler[1:])
        assert same(of_form(gate_set, gate_set.form(kind), exact), matrix(exact))
        measured = of_form(gate_set, gate_set.form(kind, measured=True), exact)
        assert same_when_measured(measured, matrix(exact))


@pytest.mark.parametrize("name", BY_NAME)
@given(euler=st.tuples(ANGLES, ANGLES, ANGLES))
@MODEST
def test_instances_are_exact_and_never_longer_than_the_full_form(name, euler):
    gate_set = BY_NAME[name]
    for measured, equal in ((False, same), (True, same_when_measured)):
        gates = instance_form(gate_set, canonical(np.array(euler)).tolist(), measured)
        assert equal(written(gate_set, gates), matrix(euler))
        assert len(gates) <= len(gate_set.form("full", measured=measured))


@pytest.mark.parametrize("name", BY_NAME)
def test_the_identity_needs_no_gate(name):
    assert instance_form(BY_NAME[name], (0.0, 0.4, -0.4), measured=False) == []
    assert instance_form(BY_NAME[name], (0.0, 0.4, 0.3), measured=True) == []


@pytest.mark.parametrize("name", BY_NAME)
def test_missing_kinds_fall_back_to_the_full_form(name):
    gate_set = BY_NAME[name]
    for kind in ("virtual", "half", "flip"):
        assert gate_set.form(kind) == gate_set.forms.get(kind, gate_set.forms["full"])


@pytest.mark.parametrize(
    ("theta", "pulses"), [(0.0, []), (np.pi / 2, ["sx"]), (np.pi, ["x"]), (1.0, ["sx", "sx"])]
)
def test_pulses_of_rz_sx_x(theta, pulses):
    for measured in (False, True):
        gates = instance_form(BY_NAME["rz+sx+x"], (theta, 0.3, 0.4), measured)
        assert [name for name, _ in gates if name != "rz"] == pulses
        assert not measured or not gates or gates[-1][0] != "rz"


def test_a_pauli_x_is_one_x_and_nothing_else():
    assert instance_form(BY_NAME["rz+sx+x"], (np.pi, 0.0, np.pi), measured=False) == [("x", [])]


def target_of(*gates):
    target = Target(num_qubits=2)
    for gate in gates:
        target.add_instruction(gate, {(0,): None, (1,): None} if gate.num_qubits == 1 else {(0, 1): None})
    return target


PHI = Parameter("phi")
ISA = target_of(RZGate(PHI), SXGate(), XGate(), CXGate())


@pytest.mark.parametrize("gates", [{"rz", "sx", "x"}, {"rz", "sx"}, {"rz"}, set(), {"u"}, {"h", "id"}])
def test_an_isa_target_is_written_in_its_gates(gates):
    """Also where the circuit has no x of its own: one x is one pulse, two sx would be two."""
    assert choose(gates, ISA).name == "rz+sx+x"


def test_a_target_without_x_is_written_in_rz_and_sx():
    assert choose({"rz", "sx"}, target_of(RZGate(PHI), SXGate(), CXGate())).name == "rz+sx"


def test_a_u_target_is_written_in_u():
    three = [Parameter(p) for p in "tpl"]
    assert choose({"u"}, target_of(UGate(*three), CXGate())).name == "u"
    assert choose({"h"}, target_of(UGate(*three), CXGate())).name == "u"
    assert choose(set(), target_of(U3Gate(*three), CXGate())).name == "u3"
    every = target_of(U1Gate(PHI), U2Gate(*three[:2]), U3Gate(*three), CXGate())
    assert choose({"u1", "u2", "u3"}, every).name == "u1+u2+u3"


@pytest.mark.parametrize(
    ("gate", "name"), [(RXGate(PHI), "rx+rz"), (RYGate(PHI), "ry+rz"), (RGate(PHI, Parameter("b")), "r+rz")]
)
def test_targets_with_one_rotation_and_rz(gate, name):
    assert choose(set(), target_of(RZGate(PHI), gate)).name == name


class Prx(Gate):
    """A vendor's gate that qiskit has no class for."""

    def __init__(self, theta, phi):
        super().__init__("prx", 1, [theta, phi])


def test_a_prx_target_gets_the_targets_own_gate():
    target = target_of(Prx(Parameter("t"), Parameter("p")), CXGate())
    gate_set = choose({"prx"}, target)
    assert gate_set.name == "prx"
    made = gate_set.make("prx", [0.1, 0.2])
    assert isinstance(made, Prx)
    assert made.params == [0.1, 0.2]
    assert all(isinstance(p, Parameter) for p in target.operation_from_name("prx").params)


def test_prx_without_a_target_is_replaced_by_gates_that_can_be_made():
    """Only a target knows the class of prx."""
    gate_set = choose({"prx"}, None)
    assert all(gate_set.make(gate.name, [0.1] * len(gate.rows)) for gate in gate_set.form("full"))


def test_an_unknown_target_is_refused_with_what_it_has_and_what_to_do():
    with pytest.raises(UnsupportedError) as caught:
        choose({"h"}, target_of(HGate(), TGate(), CXGate()))
    message = str(caught.value)
    assert "backend.target" in message
    assert "'h', 't'" in message
    for gate_set in GATE_SETS:
        assert f"'{gate_set.name}'" in message
    assert "transpile" in message
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("gates", "name"),
    [
        (set(), "u"),
        ({"id", "measure"}, "u"),
        ({"rz", "sx", "x"}, "rz+sx+x"),
        ({"rz", "sx"}, "rz+sx"),
        ({"u"}, "u"),
        ({"u1", "u2", "u3"}, "u1+u2+u3"),
        ({"u3"}, "u3"),
        ({"r"}, "r"),
        ({"r", "rz"}, "r+rz"),
        ({"rx", "rz"}, "rx+rz"),
        ({"ry", "rz"}, "ry+rz"),
        ({"h", "rx", "rz"}, "rx+rz"),
    ],
)
def test_without_a_target_a_circuit_keeps_its_own_gates(gates, name):
    assert choose(gates, None).name == name


@pytest.mark.parametrize(
    ("gates", "name"),
    [({"rz", "sx", "x"}, "rz+sx+x"), ({"u"}, "u"), ({"r"}, "r+rz"), ({"rx", "rz"}, "rx+rz"), ({"h"}, "u")],
)
def test_a_target_that_accepts_everything_keeps_the_circuits_gates(gates, name):
    three = [Parameter(p) for p in "tpl"]
    everything = target_of(
        RZGate(PHI), SXGate(), XGate(), UGate(*three), RGate(*three[:2]), RXGate(PHI), RYGate(PHI), CXGate()
    )
    assert choose(gates, everything).name == name


def test_gates_made_are_the_qiskit_classes():
    for gate_set in GATE_SETS:
        if gate_set.name == "prx":
            continue
        for form in gate_set.forms.values():
            for gate in form:
                made = gate_set.make(gate.name, [0.1] * len(gate.rows))
                assert made.name == gate.name
                assert len(made.params) == len(gate.rows)
