"""Decoupling as a stage: what it hands down, what it refuses, and that all renderings share one schedule."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import U1Gate, U3Gate
from qiskit.primitives import StatevectorSampler
from qiskit.quantum_info import Statevector
from qiskit_aer import AerSimulator

from quell import pipeline
from quell.circuits.bound import BoundForm
from quell.circuits.parametric import ParametricForm
from quell.errors import UnsupportedError
from quell.execution.adapters import runner_for
from quell.stages.decouple import Decouple
from quell.stages.measure import Measure
from quell.stages.merge import Merge
from quell.stages.trex import Trex
from quell.stages.twirl import Twirl
from quell.testing import CountingBackend, NoisyDevice, ensemble_of, exact_values, run_stages
from quell.testing.laws import same

DEVICE = NoisyDevice("tee5", seed=0)
TARGET = DEVICE.target
TWIRL = Twirl(True, True, 8, 64)
DECOUPLE = Decouple("XY4", target=TARGET)


def parametric():
    theta = Parameter("theta")
    circuit = QuantumCircuit(5)
    for q in range(3):
        circuit.sx(q)
    circuit.rz(theta, 1)
    circuit.sx(1)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.cx(0, 1)
    circuit.rz(2 * theta, 2)
    circuit.sx(2)
    return ensemble_of(circuit, ["IIZZZ", "IIXIZ", "IIIYI"], [[[0.3]], [[1.2]]], shots=64, target=TARGET)


def plan_of(*stages, ensemble=None, seed=0, lower=()):
    return pipeline.plan([(stages, ensemble or parametric())], np.random.default_rng(seed), lower=lower)


def program_of(plan):
    (program,) = pipeline.leaves(plan)
    return program


def shape(circuit):
    """Return everything of a circuit but angles."""
    return [
        (
            i.operation.name,
            [circuit.find_bit(bit).index for bit in i.qubits],
            i.operation.duration if i.operation.name == "delay" else None,
        )
        for i in circuit.data
    ]


@pytest.mark.parametrize("above", [(Measure(),), (TWIRL, Measure()), (TWIRL, Merge())])
def test_all_members_have_the_same_schedule(above):
    plain, program = program_of(plan_of(*above)), program_of(plan_of(*above, DECOUPLE))
    form = ParametricForm(program)
    count = program.num_members
    assert form.circuit.count_ops()["x"] >= 4
    assert np.array_equal(form.values(0, count), ParametricForm(plain).values(0, count))
    values = form.values(0, count)
    members = BoundForm(program).circuits(0, count)
    for member in (0, count - 1):
        assert not members[member].parameters
        assert shape(members[member]) == shape(form.circuit)
        circuits = (
            members[member],
            form.circuit.assign_parameters(values[member]),
            BoundForm(plain).circuits(member, member + 1)[0],
        )
        # not the states: phases before a measurement are left out
        first, second, third = (
            Statevector(c.remove_final_measurements(inplace=False)).probabilities() for c in circuits
        )
        assert np.allclose(first, second, atol=1e-12)
        assert np.allclose(first, third, atol=1e-12)


def test_backends_get_the_same_circuits_bound_or_not():
    stages = (TWIRL, Measure(), DECOUPLE)
    shapes = {}
    for binds in (False, True):
        backend = CountingBackend(DEVICE, takes_parameter_binds=binds)
        runner = runner_for(backend)
        plan = plan_of(*stages)
        samples = runner.run(
            pipeline.leaves(plan), seed=0, progress=lambda done, total: None, cancelled=threading.Event()
        )
        assert len(samples[0].shots) == program_of(plan).num_members
        circuits = [circuit for call in backend.calls for circuit in call.circuits]
        assert backend.num_circuits == program_of(plan).num_members
        shapes[binds] = {str(shape(circuit)) for circuit in circuits}
        assert all(bool(circuit.parameters) == binds for circuit in circuits)
    assert shapes[True] == shapes[False]
    assert len(shapes[True]) == 1


def test_an_untwirled_circuit_is_decoupled_as_it_is_written():
    circuit = QuantumCircuit(5)
    circuit.sx(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.cx(0, 1)
    ensemble = ensemble_of(circuit, "IIZZZ", target=TARGET)
    program = program_of(plan_of(Measure(), DECOUPLE, ensemble=ensemble))
    assert not program.touched.any()
    (bound,) = BoundForm(program).circuits(0, 1)
    assert bound == ParametricForm(program).circuit
    assert bound.count_ops()["x"] >= 4


def test_values_without_noise_are_those_without_decoupling():
    """Six values within five standard errors: false alarm 3e-6."""
    ensemble = parametric()
    for stages in ((Measure(), DECOUPLE), (Twirl(True, True, 32, 512), Measure(), DECOUPLE)):
        sampler = StatevectorSampler(seed=np.random.default_rng(4))
        estimate = run_stages(stages, ensemble, lambda pubs, s=sampler: s.run(pubs).result(), 0)
        off = np.abs(estimate.value - exact_values(ensemble))
        assert (off < 5 * np.sqrt(estimate.variance)).all()


def test_the_same_seed_gives_the_same_plan_and_plans_are_plain_data():
    stages = (TWIRL, Measure(), DECOUPLE)
    plans = [plan_of(*stages), plan_of(*stages)]
    plans.append(pickle.loads(pickle.dumps(plans[0])))
    first, *others = (BoundForm(program_of(plan)).circuits(0, 3) for plan in plans)
    for other in others:
        assert same(first, other)
    different = BoundForm(program_of(plan_of(*stages, seed=1))).circuits(0, 3)
    assert not same(first, different)
    assert list(map(shape, first)) == list(map(shape, different))


def test_calibrations_without_waiting_pass_through():
    plan = plan_of(Trex(8, 64), TWIRL, Measure(), DECOUPLE, lower=(DECOUPLE,))
    calibration, data = pipeline.leaves(plan)
    assert calibration.label == "readout calibration"
    assert calibration.decoupling == data.decoupling == DECOUPLE.decoupling
    names = ParametricForm(calibration).circuit.count_ops()
    assert set(names) <= {"rz", "sx", "x", "measure", "delay"}
    assert ParametricForm(data).circuit.count_ops()["x"] >= 4


def test_samples_come_back_as_they_are():
    marker = object()
    assert DECOUPLE.combine(None, [marker]) is marker


def test_the_plan_says_what_is_done():
    text = str(plan_of(Measure(), Decouple("staggered", target=TARGET)))
    assert "Decouple waiting qubits: staggered, alap, ground state left alone" in text


def test_what_cannot_be_scheduled_is_refused_before_anything_runs():
    with pytest.raises(
        UnsupportedError, match=r"cannot be scheduled: it is not known how long.*cx on \(0, 1\)"
    ):
        plan_of(TWIRL, Measure(), Decouple("XX"))
    with pytest.raises(UnsupportedError, match="the device does not say"):
        plan_of(TWIRL, Measure(), Decouple("XX", target=AerSimulator().target))
    given = (("sx", None, 35e-9), ("x", None, 35e-9), ("cx", None, 3e-7), ("measure", None, 1e-6))
    plan = plan_of(Measure(), Decouple("XX", instruction_durations=given, target=AerSimulator().target))
    assert "x" in ParametricForm(program_of(plan)).circuit.count_ops()
    circuit = QuantumCircuit(5, 1)
    circuit.sx(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    with pytest.raises(UnsupportedError, match="control flow"):
        plan_of(Measure(), DECOUPLE, ensemble=ensemble_of(circuit, "IIIZI", target=TARGET))


def test_planning_does_not_write_circuits(monkeypatch):
    def refuse(program):
        raise AssertionError("written")

    monkeypatch.setattr("quell.stages.decouple.ParametricForm", refuse)
    assert program_of(plan_of(TWIRL, Measure(), DECOUPLE)).decoupling == DECOUPLE.decoupling


def test_only_gates_that_are_written_need_a_duration():
    """Twirled gates could be u2 too where their angle is pi / 2, but only then are."""
    given = tuple((name, None, 1e-7) for name in ("u1", "u3", "cx", "measure"))
    for angle, refused in ((0.3, False), (np.pi / 2, True)):
        circuit = QuantumCircuit(2)
        circuit.append(U1Gate(0.2), [0])
        circuit.append(U3Gate(angle, 0.1, 0.2), [0])
        circuit.cx(0, 1)
        ensemble = ensemble_of(circuit, "ZZ", shots=64)
        stages = (TWIRL, Measure(), Decouple("XX", instruction_durations=given))
        if refused:
            with pytest.raises(UnsupportedError, match="u2 on 0"):
                plan_of(*stages, ensemble=ensemble)
        else:
            names = ParametricForm(program_of(plan_of(*stages, ensemble=ensemble))).circuit.count_ops()
            assert "u2" not in names
            assert "u3" in names
