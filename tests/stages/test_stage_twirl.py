"""The twirling stage: who adds the randomization axis reduces it, and the spread is the error bar."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit

from quell import pipeline
from quell.kernels.statistics import student_factor
from quell.stages.measure import Measure
from quell.stages.twirl import Twirl
from quell.testing import ExactSampler, default_ensemble, ensemble_of, run_stages
from quell.testing.laws import sample


def plan_of(*stages, ensemble=None):
    return pipeline.plan([((*stages, Measure()), ensemble or default_ensemble())], np.random.default_rng(0))


def test_the_outer_twirl_owns_the_axis_and_the_inner_one_shares_it():
    (program,) = pipeline.leaves(plan_of(Twirl(True, False, 10, 7), Twirl(False, True, 99, 3)))
    assert program.num_randomizations == 10
    assert program.shots == 7
    assert len(program.draws) == 2


def test_nothing_is_drawn_before_it_is_rendered():
    plan = plan_of(Twirl(True, True, 10**6, 1))
    assert pipeline.cost(plan).circuits == 4 * 10**6
    (program,) = pipeline.leaves(plan)
    last = program.frames(3, 10**6 - 2, 10**6)
    assert last.before.shape[0] == 2


def test_the_error_bar_is_the_spread_between_members():
    ensemble = ensemble_of(QuantumCircuit(2), ["IX"], shots=640)
    stages = (Twirl(False, True, 10, 64), Measure())
    plan = pipeline.plan([(stages, ensemble)], np.random.default_rng(5))
    node = plan.roots[0]
    samples = sample(plan, ExactSampler(2))
    members = Measure().combine(node.children[0].residue, samples)
    assert members.value.shape == (10, 1)
    estimate = pipeline.combine(plan, samples)[0]
    assert estimate.value == pytest.approx(members.value.mean(axis=0))
    spread = members.value.std(axis=0, ddof=1) / np.sqrt(10) * student_factor(9)
    assert np.sqrt(estimate.variance) == pytest.approx(spread)
    assert np.sqrt(estimate.shot_variance) == pytest.approx(1 / np.sqrt(640), rel=0.02)


def test_one_randomization_has_the_error_bar_of_its_shots_and_says_so():
    ensemble = ensemble_of(QuantumCircuit(1), "X", shots=100)
    estimate = run_stages((Twirl(False, True, 1, 100), Measure()), ensemble, ExactSampler(0), 0)
    assert estimate.details["single_randomization"]
    assert np.sqrt(estimate.variance) == pytest.approx(0.1, rel=0.1)


def test_balanced_members_count_in_blocks_of_four():
    stage = Twirl(True, True, 16, 4, group="balanced_pauli")
    node = plan_of(stage).roots[0]
    assert node.residue.block == 4
    estimate = run_stages((stage, Measure()), default_ensemble(), ExactSampler(0), 0)
    assert estimate.terms.spread[0].rows.shape[0] == 4


def test_members_that_all_agree_keep_an_error_bar():
    ensemble = ensemble_of(QuantumCircuit(1), "Z", shots=100)
    estimate = run_stages((Twirl(False, True, 10, 10), Measure()), ensemble, ExactSampler(0), 0)
    assert estimate.value == 1.0
    assert np.sqrt(estimate.variance) == pytest.approx(np.sqrt(2) / 100)


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        (Twirl(True, True, 3, 5), "Twirl gates and measurements: 3 x 5 shots, active-accum, pauli"),
        (Twirl(False, True, 3, 5), "Twirl measurements: 3 x 5 shots"),
    ],
)
def test_it_describes_itself(stage, text):
    assert stage.describe() == text
