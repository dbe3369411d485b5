import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Gate, Parameter
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

from quell.circuits.dressings import Atoms, canonical, gate_euler
from quell.circuits.gatesets import GATE_SETS, VENDOR_GATES, choose, instance_gates
from quell.errors import UnsupportedError

MODEST = settings(deadline=None, derandomize=True, max_examples=60)
SPECIAL = [k * np.pi / 2 for k in range(-4, 5)]
ANGLES = st.one_of(st.sampled_from(SPECIAL), st.floats(-7, 7))
BY_NAME = {gate_set.name: gate_set for gate_set in GATE_SETS}
COMPLETE = [gate_set.name for gate_set in GATE_SETS if gate_set.is_complete]


def instance_form(gate_set, euler, measured):
    gates = instance_gates(gate_set, np.array([euler], dtype=float), np.array([measured]))
    assert not gates.dressing.any()
    return [
        (gates.names[name], [p for p in row if not np.isnan(p)])
        for name, row in zip(gates.name, gates.parameters.tolist(), strict=True)
    ]


THETA = {"virtual": 0.0, "half": np.pi / 2, "flip": np.pi}


def make(gate_set, name, parameters):
    return (
        RGate(*VENDOR_GATES[name](*parameters)) if name in VENDOR_GATES else gate_set.make(name, parameters)
    )


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


@pytest.mark.parametrize("name", COMPLETE)
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
@given(theta=st.sampled_from([0.0, np.pi]), phases=st.tuples(ANGLES, ANGLES), measured=st.booleans())
@MODEST
def test_every_set_writes_what_paulis_do_to_phases(name, theta, phases, measured):
    """All that a set without a full form has to write."""
    euler = canonical(np.array([theta, *phases]))
    equal = same_when_measured if measured else same
    assert equal(written(BY_NAME[name], instance_form(BY_NAME[name], euler, measured)), matrix(euler))


@pytest.mark.parametrize("least", [1, 2, 3])
@pytest.mark.parametrize("name", COMPLETE)
@given(euler=st.tuples(ANGLES, ANGLES, ANGLES), measured=st.booleans())
@settings(MODEST, max_examples=20)
def test_instances_have_the_pulses_they_are_told_to_have(name, least, euler, measured):
    gate_set = BY_NAME[name]
    gates = instance_gates(gate_set, canonical(np.array([euler])), np.array([measured]), np.array([least]))
    form = [
        (gates.names[k], [p for p in row if not np.isnan(p)])
        for k, row in zip(gates.name, gates.parameters.tolist(), strict=True)
    ]
    assert (same_when_measured if measured else same)(written(gate_set, form), matrix(euler))
    if not measured:
        pulses = sum(name not in ("rz", "u1") for name, _ in form)
        assert pulses >= min(least, gate_set.pulses("full"))


@pytest.mark.parametrize("name", COMPLETE)
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


@pytest.mark.parametrize(
    ("euler", "pulses", "when_measured"),
    [
        ((0.0, 0.3, 0.4), ["gpi", "gpi"], []),
        ((np.pi / 2, 0.3, 0.4), ["gpi", "gpi2"], ["gpi2"]),
        ((np.pi / 2, 0.3, -0.3), ["gpi2"], ["gpi2"]),
        ((np.pi, 0.3, 0.4), ["gpi"], ["gpi"]),
        ((1.0, 0.3, 0.4), ["gpi2", "gpi", "gpi2"], ["gpi2", "gpi2"]),
    ],
)
def test_pulses_of_gpi(euler, pulses, when_measured):
    for measured, expected in ((False, pulses), (True, when_measured)):
        gates = instance_form(BY_NAME["gpi+gpi2"], euler, measured)
        assert [name for name, _ in gates] == expected


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


class Turned(Gate):
    """A pulse by a fixed angle about an equatorial axis that is counted in a unit."""

    def __init__(self, name, theta, unit, axis):
        super().__init__(name, 1, [axis])
        self.theta, self.unit = theta, unit

    def __array__(self, dtype=None, copy=None):
        return RGate(self.theta, self.unit * float(self.params[0])).to_matrix()


def gpi_target(unit, *others):
    gates = Turned("gpi", np.pi, unit, Parameter("a")), Turned("gpi2", np.pi / 2, unit, Parameter("a"))
    return target_of(*gates, CXGate(), *others)


def test_a_gpi_target_gets_the_targets_own_gates():
    gate_set = choose({"gpi"}, gpi_target(2 * np.pi))
    assert gate_set.name == "gpi+gpi2"
    euler = canonical(np.array([0.3, 0.5, 0.7]))
    whole = np.eye(2)
    for name, parameters in instance_form(gate_set, euler, measured=False):
        gate = gate_set.make(name, parameters)
        assert isinstance(gate, Turned)
        whole = gate.to_matrix() @ whole
    assert same(whole, matrix(euler))


def test_a_gate_of_a_known_name_but_another_matrix_is_not_used():
    """In radians instead of turns."""
    with pytest.raises(UnsupportedError, match="gpi2"):
        choose({"gpi"}, gpi_target(1.0))
    three = [Parameter(p) for p in "tpl"]
    assert choose({"gpi"}, gpi_target(1.0, UGate(*three))).name == "u"


def test_angles_of_gpi_are_known_where_its_matrix_is_that_of_its_name():
    a = Parameter("a")
    for unit, known in ((2 * np.pi, True), (1.0, False)):
        for name, theta in (("gpi", np.pi), ("gpi2", np.pi / 2)):
            atoms = Atoms()
            gate = CircuitInstruction(Turned(name, theta, unit, 0.5 * a + 0.1), QuantumCircuit(1).qubits)
            euler = gate_euler(gate, atoms)
            assert (euler is not None) == known
            if euler is not None:
                values = np.array([[angle.value(np.array([[0.3]]))[0] for angle in euler]])
                assert same(matrix(values[0]), RGate(theta, unit * 0.25).to_matrix())


@pytest.mark.parametrize("theta", [0.3, np.pi / 2])
def test_what_a_set_without_a_full_form_cannot_write_is_refused(theta):
    gate_set = choose({"x", "rz"}, target_of(RZGate(PHI), XGate(), HGate(), CXGate()))
    assert gate_set.name == "rz+x"
    with pytest.raises(UnsupportedError, match=r"\['rz', 'x'\] only.*measure Z observables"):
        instance_gates(gate_set, np.array([[theta, 0.0, 0.0]]), np.array([False]))
    with pytest.raises(UnsupportedError, match="cannot be written"):
        gate_set.form("full")


def test_a_set_without_a_full_form_is_the_last_choice():
    assert choose({"x", "rz"}, target_of(RZGate(PHI), XGate(), RXGate(PHI), CXGate())).name == "rx+rz"


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
        if gate_set.gates & VENDOR_GATES.keys():
            continue
        for form in gate_set.forms.values():
            for gate in form:
                made = gate_set.make(gate.name, [0.1] * len(gate.rows))
                assert made.name == gate.name
                assert len(made.params) == len(gate.rows)
