"""M3 as a stage: the laws that `check_stage` has for estimates, for merged samples, and what it asks for."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from attrs import evolve
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Parameter

from quell import pipeline
from quell.circuits.bound import BoundForm
from quell.circuits.template import template_of
from quell.kernels.outcomes import Outcomes
from quell.primitives.quasi import QuasiDistribution
from quell.stages.m3 import M3
from quell.stages.merge import Merge
from quell.stages.twirl import Twirl
from quell.testing import ExactSampler, ReadoutModel, ensemble_of
from quell.testing.laws import same, sample

SHOTS = 256
THETAS = (0.7, 2.0)
LABELS = ["IIZ", "IZI", "ZIZ", "1I0"]
POSITIONS = {
    "alone": (M3(512), Merge()),
    "groups": (M3(512, groups=((1, 0),)), Merge()),
    "outside a measurement twirl": (M3(512), Twirl(False, True, 16, 16), Merge()),
    "outside a full twirl": (M3(512, ((2, 1),)), Twirl(True, True, 16, 16), Merge()),
}


def ensemble():
    """Return three qubits in registers that mix them up, with two sets of parameters."""
    theta = Parameter("theta")
    circuit = QuantumCircuit(3)
    circuit.ry(theta, 0)
    circuit.cx(0, 1)
    circuit.ry(0.5, 2)
    circuit.add_register(ClassicalRegister(2, "first"), ClassicalRegister(1, "second"))
    circuit.measure([2, 0, 1], [0, 1, 2])
    task = ensemble_of(circuit, "ZZZ", np.array(THETAS)[:, None], shots=SHOTS)
    return evolve(task, template=template_of(circuit))


def truth() -> np.ndarray:
    """Return the values of `LABELS`, in which bit 0 is qubit 2, bit 1 is qubit 0 and bit 2 is qubit 1."""
    a, b = np.cos(THETAS), np.cos(0.5)
    return np.stack([np.full(2, b), a, a * b, (1 - a) / 2 * (1 + b) / 2], axis=1)


def plan_of(stages, seed=0, task=None):
    return pipeline.plan([(stages, task or ensemble())], np.random.default_rng(seed))


def distributions(merged) -> list[QuasiDistribution]:
    """Return one distribution of all three bits for each set."""
    found = []
    for number in range(len(THETAS)):
        rows = np.concatenate(
            [
                np.unpackbits(merged.bits[name][number], axis=-1)[:, ::-1][:, :size]
                for name, size in (("first", 2), ("second", 1))
            ],
            axis=1,
        )
        members = merged.members[number]
        outcomes = Outcomes.of(rows, members, merged.flips[number], merged.block)
        found.append(QuasiDistribution.of(outcomes, merged.confusions, [[0, 1, 2]]))
    return found


def values(merged) -> np.ndarray:
    return np.array([q.expectation_values(LABELS) for q in distributions(merged)])


def rendered(plan) -> list:
    """Return all that the leaves of a plan ask of a device."""
    out = []
    for program in pipeline.leaves(plan):
        members = program.num_members
        circuits = list(BoundForm(program).circuits(0, members))
        out.append((circuits, program.flips(0, members), program.shots))
    return out


@pytest.mark.parametrize("stages", POSITIONS.values(), ids=POSITIONS)
@pytest.mark.parametrize("readout", [None, ReadoutModel.uniform(3, 0.03, 0.09)], ids=["noiseless", "noisy"])
def test_values_are_unbiased_and_their_z_scores_have_unit_spread(stages, readout):
    """False alarm below 1e-3 a row: 8 values, means and spreads of 80 repetitions at four standard errors."""
    found = []
    for seed in range(80):
        plan = plan_of(stages, seed)
        found.append(values(pipeline.combine(plan, sample(plan, ExactSampler(seed, readout=readout)))[0]))
    means, errors = np.array(found).transpose(2, 0, 1, 3)
    scores = (means - truth()) / errors
    assert (np.abs(scores.mean(axis=0)) < 4 * scores.std(axis=0) / np.sqrt(80)).all()
    spread = np.sqrt((scores**2).mean(axis=0))
    assert (np.abs(spread - 1) < 4 / np.sqrt(2 * 80)).all(), spread


@pytest.mark.parametrize("stages", POSITIONS.values(), ids=POSITIONS)
def test_the_input_stays_as_it_was(stages):
    task = ensemble()
    before = pickle.loads(pickle.dumps(task))
    plan = plan_of(stages, task=task)
    pipeline.combine(plan, sample(plan, ExactSampler(0)))
    assert same(task, before)


@pytest.mark.parametrize("stages", POSITIONS.values(), ids=POSITIONS)
def test_the_same_seed_gives_the_same_plan_and_another_seed_another(stages):
    first, again, other = (rendered(plan_of(stages, seed)) for seed in (3, 3, 4))
    assert same(first, again)
    # balanced states are the same for all seeds
    assert same(first, other) == (not any(isinstance(stage, Twirl) for stage in stages))


@pytest.mark.parametrize("stages", POSITIONS.values(), ids=POSITIONS)
def test_a_pickled_plan_combines_the_same_samples_to_the_same_result(stages):
    plan = plan_of(stages)
    samples = sample(plan, ExactSampler(1, readout=ReadoutModel.uniform(3, 0.03, 0.09)))
    stored = pickle.loads(pickle.dumps(plan))
    assert same(rendered(plan), rendered(stored))
    results = [pipeline.combine(p, samples)[0] for p in (plan, stored, plan)]
    assert np.array_equal(values(results[0]), values(results[1]))
    assert np.array_equal(values(results[0]), values(results[2]))
    assert dict(distributions(results[0])[1]) == dict(distributions(results[1])[1])


def test_bits_are_handed_up_as_they_were_merged():
    """The correction is made of them on request: raw counts stay raw."""
    stages = POSITIONS["outside a full twirl"]
    plan, bare = plan_of(stages), plan_of(stages[1:])
    model = ReadoutModel.uniform(3, 0.03, 0.09)
    merged = pipeline.combine(plan, sample(plan, ExactSampler(1, readout=model)))[0]
    plain = pipeline.combine(bare, sample(bare, ExactSampler(1, readout=model)))[0]
    assert merged.bits.keys() == plain.bits.keys()
    assert all(merged.bits[name].shape == plain.bits[name].shape for name in plain.bits)
    assert plain.confusions is None
    assert {c.bits for c in merged.confusions} == {(1,), (0, 2)}  # qubit 0; qubits 2 and 1
    assert merged.flips.shape == (len(THETAS), 16, 3)
    assert 0.2 < merged.flips.mean() < 0.8  # 96 coins at least: false alarm below 1e-8


def test_excluded_registers_are_neither_calibrated_nor_corrected():
    plan = plan_of((M3(512, excluded=("first",)), Merge()))
    (experiment,) = plan.experiments
    assert experiment.requirement.qubits == (1,)
    merged = pipeline.combine(plan, sample(plan, ExactSampler(0)))[0]
    assert [c.bits for c in merged.confusions] == [(2,)]


def test_with_nothing_to_correct_there_is_no_calibration():
    plan = plan_of((M3(512, excluded=("first", "second")), Merge()))
    assert not plan.experiments
    assert pipeline.cost(plan).shots == 2 * SHOTS
    assert pipeline.combine(plan, sample(plan, ExactSampler(0)))[0].confusions == ()


def test_pubs_share_one_calibration():
    tasks = [((M3(512), Merge()), ensemble()), ((M3(300, excluded=("first",)), Merge()), ensemble())]
    plan = pipeline.plan(tasks, np.random.default_rng(0))
    (experiment,) = plan.experiments
    assert experiment.requirement.shots == 512
    assert experiment.requirement.qubits == (0, 1, 2)
    assert pipeline.cost(plan).shots == 512 + 4 * SHOTS
    assert "M3: confusion matrices" in pipeline.describe(plan)
