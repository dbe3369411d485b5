"""Uniformity tests use fixed seeds, and each fails by chance once in a million seeds."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from scipy.stats import chi2

from quell.circuits.template import template_of
from quell.circuits.twirling import (
    BLOCK,
    GateTwirl,
    MeasureTwirl,
    draws_of,
    measure_block,
    twirled_template,
)
from quell.kernels import paulis
from quell.kernels.draws import Key

FALSE_ALARM = 1e-6
GROUPS = ["pauli", "balanced_pauli", "local_pauli", "local_c1"]
KEY = Key(11, 22)


def mixed():
    circuit = QuantumCircuit(5, 5)
    circuit.cx(0, 1)
    circuit.rzz(Parameter("a"), 2, 3)
    circuit.ecr(1, 2)
    circuit.cp(0.3, 0, 1)
    circuit.unitary(np.diag(np.exp(1j * np.array([0.1, 0.7, 1.9, 4.0]))), [2, 3])
    circuit.ccx(0, 1, 2)
    circuit.swap(3, 4)
    circuit.measure(range(5), range(5))
    return circuit


def idles(circuit, strategy):
    template = twirled_template(template_of(circuit), strategy)
    found = {}
    for op in template.ops:
        if op.instruction is None:
            found.setdefault(op.layer, []).append(op.qubits[0])
    return found


def staircase():
    """Layers: cx(0,1); cx(1,2); cx(2,3) and sx on 4; qubit 5 is only measured, qubit 6 unused."""
    circuit = QuantumCircuit(7, 7)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.cx(2, 3)
    circuit.sx(4)
    circuit.measure([*range(4), 5], [*range(4), 5])
    return circuit


def test_which_idles_each_strategy_adds():
    circuit = staircase()
    assert idles(circuit, "active") == {}
    assert idles(circuit, "active-accum") == {1: [0], 2: [0, 1]}
    assert idles(circuit, "active-circuit") == {0: [2, 3], 1: [0, 3], 2: [0, 1]}
    assert idles(circuit, "all") == {0: [2, 3, 4, 5], 1: [0, 3, 4, 5], 2: [0, 1, 4, 5]}


def test_layers_without_a_twirled_operation_get_no_idles():
    circuit = QuantumCircuit(4, 4)
    circuit.cx(0, 1)
    circuit.ccx(0, 1, 2)
    circuit.reset(0)
    assert idles(circuit, "all") == {0: [2]}
    only_opaque = QuantumCircuit(4)
    only_opaque.ccx(0, 1, 2)
    assert idles(only_opaque, "all") == {}


def test_qubits_busy_with_something_else_are_not_idle():
    circuit = QuantumCircuit(4)
    circuit.cx(0, 1)
    circuit.delay(100, 2)
    circuit.h(3)
    assert idles(circuit, "all") == {0: [3]}


@pytest.mark.parametrize("strategy", ["active", "active-accum", "active-circuit", "all"])
@pytest.mark.parametrize("group", GROUPS)
def test_unused_qubits_never_get_a_dressing(strategy, group):
    circuit = staircase()
    circuit.barrier()  # a barrier is no use
    template = twirled_template(template_of(circuit), strategy, cliffords=group == "local_c1")
    assert 6 not in {dressing.qubit for dressing in template.dressings}


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("strategy", ["active", "all"])
def test_every_frame_is_a_row_of_its_operations_table(group, strategy):
    draw = GateTwirl(KEY, group)
    template = twirled_template(template_of(mixed()), strategy, cliffords=draw.cliffords)
    frames = draw.frames(template, 0, 0, 12)
    seen_after, seen_before = np.zeros((2, len(template.dressings)), dtype=bool)
    for op in template.ops:
        rows = {row.tobytes() for row in op.choices(cliffords=draw.cliffords)}
        for member in range(12):
            before, after = frames.after[member, list(op.before)], frames.before[member, list(op.after)]
            assert before.tobytes() + after.tobytes() in rows
        seen_after[list(op.before)] = seen_before[list(op.after)] = True
    assert not frames.after[:, ~seen_after].any()
    assert not frames.before[:, ~seen_before].any()
    untouched = ~draw.touched(template)
    assert not frames.after[:, untouched].any()
    assert not frames.before[:, untouched].any()


@pytest.mark.parametrize("group", GROUPS)
def test_any_slice_of_randomizations_equals_the_slice_of_the_whole(group):
    template = twirled_template(template_of(mixed()), "active-accum", cliffords=group == "local_c1")
    gates = GateTwirl(KEY, group)
    measure = MeasureTwirl(KEY, BLOCK if group == "balanced_pauli" else 1)
    whole, flips = gates.frames(template, 3, 0, 23), measure.flips(template, 3, 0, 23)
    for start, stop in ((0, 1), (5, 6), (4, 8), (3, 18), (22, 23), (7, 7)):
        part = gates.frames(template, 3, start, stop)
        assert np.array_equal(part.before, whole.before[start:stop])
        assert np.array_equal(part.after, whole.after[start:stop])
        assert np.array_equal(measure.flips(template, 3, start, stop), flips[start:stop])
        assert np.array_equal(measure.frames(template, 3, start, stop).after.astype(bool).sum(axis=1),
                              flips[start:stop].sum(axis=1))  # fmt: skip
    other = gates.frames(template, 4, 0, 23)
    assert not np.array_equal(other.after, whole.after)


@pytest.mark.parametrize("group", GROUPS)
def test_rows_are_drawn_uniformly(group):
    """One operation of each table size, 4000 randomizations, chi-squared for each."""
    template = template_of(mixed())
    draw = GateTwirl(KEY, group)
    frames = draw.frames(template, 0, 0, 4000)
    for op in template.ops:
        choices = op.choices(cliffords=draw.cliffords)
        number = {row[: len(op.qubits)].tobytes(): k for k, row in enumerate(choices)}
        drawn = [number[row.tobytes()] for row in frames.after[:, list(op.before)]]
        if len(choices) == 1:
            continue
        if group == "balanced_pauli":
            drawn = drawn[::BLOCK]  # members of a block depend on each other
        counts = np.bincount(drawn, minlength=len(choices))
        expected = len(drawn) / len(choices)
        assert ((counts - expected) ** 2 / expected).sum() < chi2.isf(FALSE_ALARM, len(choices) - 1)


def test_balanced_blocks_see_every_pauli_once_on_every_qubit():
    template = twirled_template(template_of(staircase()), "all")
    frames = GateTwirl(KEY, "balanced_pauli").frames(template, 0, 0, 40)
    touched = [d for op in template.ops if len(op.choices()) > 1 for d in op.before]
    assert len(touched) > 6
    blocks = frames.after[:, touched].reshape(10, BLOCK, -1)
    assert np.array_equal(np.sort(blocks, axis=1), np.broadcast_to(np.arange(4)[:, None], blocks.shape))


def test_balanced_flips_invert_each_bit_in_half_of_every_block():
    template = template_of(staircase())
    flips = MeasureTwirl(KEY, BLOCK).flips(template, 0, 0, 40)
    assert (flips.reshape(10, BLOCK, -1).sum(axis=1) == 2).all()
    assert len({block.tobytes() for block in flips.reshape(10, -1)}) > 5


def test_paired_flips_are_each_other_inverted_and_any_slice_is_that_of_the_whole():
    template = template_of(staircase())
    draw = MeasureTwirl(KEY, 2)
    flips = draw.flips(template, 0, 0, 41)
    assert (flips[0:40:2] ^ flips[1:40:2]).all()
    assert len({row.tobytes() for row in flips[::2]}) > 5
    for start, stop in ((0, 1), (1, 2), (7, 12), (8, 41), (3, 3)):
        assert np.array_equal(draw.flips(template, 0, start, stop), flips[start:stop])
    assert measure_block(8) == 1
    assert measure_block(32) == 2
    assert measure_block(8, balanced=True) == BLOCK


def test_flips_are_fair_and_independent():
    template = template_of(staircase())
    flips = MeasureTwirl(KEY).flips(template, 0, 0, 4096)
    assert flips.shape == (4096, 5)
    counts = np.bincount(flips @ (1 << np.arange(5)), minlength=32)
    assert ((counts - 128) ** 2 / 128).sum() < chi2.isf(FALSE_ALARM, 31)


def test_gate_frames_and_flips_are_independent_draws():
    gates, measure = draws_of(np.random.default_rng(1), gates=True, measure=True, group="pauli")
    assert gates.key != measure.key
    (only_measure,) = draws_of(np.random.default_rng(1), gates=False, measure=True, group="pauli")
    assert only_measure.key == measure.key  # switching one off does not redraw the other
    (only_gates,) = draws_of(np.random.default_rng(1), gates=True, measure=False, group="pauli")
    assert only_gates.key == gates.key
    assert draws_of(np.random.default_rng(1), gates=False, measure=False, group="pauli") == ()


@pytest.mark.parametrize("group", GROUPS)
def test_a_circuit_with_nothing_to_twirl_draws_nothing(group):
    circuit = QuantumCircuit(2)
    circuit.h(0)
    template = twirled_template(template_of(circuit), "all", cliffords=group == "local_c1")
    draw, measure = GateTwirl(KEY, group), MeasureTwirl(KEY, BLOCK if group == "balanced_pauli" else 1)
    assert not draw.touched(template).any()
    assert not measure.touched(template).any()
    assert not draw.frames(template, 0, 0, 5).after.any()
    assert measure.flips(template, 0, 0, 5).shape == (5, 0)
    assert not measure.frames(template, 0, 0, 5).after.any()


def test_local_c1_draws_frames_that_are_not_paulis():
    frames = GateTwirl(KEY, "local_c1").frames(template_of(mixed()), 0, 0, 50)
    assert frames.after.max() >= paulis.NUM_PAULIS
    assert frames.after.max() < paulis.NUM_CLIFFORDS


def test_a_terminal_is_flipped_by_an_x_right_before_it():
    template = template_of(staircase())
    measure = MeasureTwirl(KEY)
    frames, flips = measure.frames(template, 0, 0, 9), measure.flips(template, 0, 0, 9)
    for column, terminal in enumerate(template.terminals):
        assert np.array_equal(frames.after[:, terminal.dressing], flips[:, column])
    assert not frames.before.any()
