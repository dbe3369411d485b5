"""The sampler's crossing: flips undone, shots exact, registers whole."""

from __future__ import annotations

import numpy as np
import pytest
from attrs import evolve
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Parameter

from quell import pipeline
from quell.circuits.template import template_of
from quell.stages.merge import Merge
from quell.stages.twirl import Twirl
from quell.testing import ExactSampler, ensemble_of
from quell.testing.laws import sample


def measured(num_qubits=3) -> QuantumCircuit:
    """|1 a 0> in two registers, bits crossed."""
    circuit = QuantumCircuit(num_qubits)
    circuit.add_register(ClassicalRegister(2, "first"), ClassicalRegister(9, "second"))
    circuit.ry(Parameter("a"), 1)
    circuit.x(2)
    circuit.cx(2, 0)
    circuit.cx(2, 0)
    circuit.measure([2, 0, 1], [0, 1, 10])
    return circuit


def merged(stages, parameter_values, seed=0):
    circuit = measured()
    values = np.asarray(parameter_values, dtype=float).reshape(-1, 1)
    ensemble = evolve(ensemble_of(circuit, "ZZZ", values, shots=10), template=template_of(circuit))
    plan = pipeline.plan([(stages, ensemble)], np.random.default_rng(seed))
    return pipeline.combine(plan, sample(plan, ExactSampler(seed)))[0], plan


def bit(rows: np.ndarray, index: int) -> np.ndarray:
    return rows[..., rows.shape[-1] - 1 - index // 8] >> index % 8 & 1


@pytest.mark.parametrize("twirl", [(), (Twirl(False, True, 8, 10),), (Twirl(True, True, 8, 10),)])
def test_bits_are_as_if_nothing_had_been_twirled(twirl):
    result, _ = merged((*twirl, Merge()), [0.0, np.pi])
    assert result.num_bits == {"first": 2, "second": 9}
    assert result.bits["first"].shape == (2, 80 if twirl else 10, 1)
    assert result.bits["second"].shape == (2, 80 if twirl else 10, 2)
    assert (bit(result.bits["first"], 0) == 1).all()
    assert (bit(result.bits["first"], 1) == 0).all()
    assert (bit(result.bits["second"], 8) == [[0], [1]]).all()
    assert not any(bit(result.bits["second"], b).any() for b in range(8))


@pytest.mark.parametrize("extra", [0, 1, 3, 4])
def test_shots_that_do_not_divide_evenly_are_all_taken(extra):
    result, plan = merged((Twirl(False, True, 4, 5), Merge(extra)), [0.3, 0.9, 1.2])
    assert result.bits["first"].shape == (3, 20 + extra, 1)
    assert pipeline.cost(plan).shots == 3 * (20 + extra)
    ranges = [p.randomizations for p in pipeline.leaves(plan)]
    assert sum(stop - start for start, stop in ranges) == 4


def test_the_two_parts_of_an_uneven_split_are_one_twirl():
    _, whole = merged((Twirl(True, True, 6, 5), Merge()), [0.3])
    _, split = merged((Twirl(True, True, 6, 5), Merge(2)), [0.3])
    (program,), parts = pipeline.leaves(whole), pipeline.leaves(split)
    flips = np.concatenate([p.flips(0, p.num_members) for p in parts])
    assert np.array_equal(flips, program.flips(0, 6))
