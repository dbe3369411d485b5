"""Jobs whose circuits are planned from noise that was learned before: what happens where it is too old, or too much.

All seeds are fixed; values are held to 6 standard errors, false alarm 2e-9 each.
"""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from attrs import evolve
from qiskit import QuantumCircuit

from quell import Estimator, Sampler, Session, pipeline
from quell.calibration import ledger
from quell.calibration.layers import LayerModel
from quell.calibration.learning import LayerNoise
from quell.circuits.layers import Layer
from quell.errors import CancelledError, ExecutionError
from quell.execution import run
from quell.testing.pauli_frames import PauliFrameSampler

LAYER = Layer((("cx", (), (0, 1)),))
#: "IZ" is turned by X of qubit 0, twice.
QUIET = LayerModel.of(LAYER, ["X0", "X1", "Z0"], [0.01, 0.01, 0.01], "quiet")
LOUD = evolve(QUIET, rates=QUIET.rates * 8)
FEW = {"num_randomizations": 4, "shots_per_randomization": 64, "layer_pair_depths": (0, 1, 4)}
RESILIENCE = {"pec_mitigation": True, "layer_noise_learning": FEW, "pec": {"noise_gain": 0}}
OPTIONS = {"seed": 1, "resilience_level": 0, "default_shots": 400, "resilience": RESILIENCE}
AGING = {**OPTIONS, "calibration": {"max_age": 100}, "environment": {"log_level": "INFO"}}


def twice():
    circuit = QuantumCircuit(2)
    circuit.x(0)
    for _ in range(2):
        circuit.cx(0, 1)
        circuit.barrier()
    return circuit


PUB = (twice(), "IZ")


class Drifting:
    """A device whose noise can be changed, and that waits before each call until it may go on."""

    def __init__(self):
        self.models, self.calls, self.open, self.fail_at = [QUIET], 0, threading.Event(), None
        self.open.set()
        self.samplers = {}

    def __call__(self, pubs):
        assert self.open.wait(30)
        self.calls += 1
        if self.calls == self.fail_at:
            raise RuntimeError("the device is on fire")
        key = id(self.models)
        if key not in self.samplers:
            self.samplers[key] = PauliFrameSampler(self.models, 5)
        return self.samplers[key](pubs)


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    for module in (ledger, run):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def measured():
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    return circuit


def facts_of(job):
    return job.result()[0].metadata["resilience"]["pec"]


def learned(job):
    """Return the gammas of the layers as the job's own experiments found them."""
    return [model.gamma for model in job._run._known.values() if isinstance(model, LayerModel)]


def queued_behind(session, device, estimator, pubs=(PUB,)):
    """Return a job that waits in the queue behind another, and that other."""
    device.open.clear()
    between = Sampler(session).run([measured()], shots=1)
    return estimator.run(list(pubs)), between


def test_noise_that_got_too_old_in_the_queue_is_learned_anew_and_the_new_is_used(clock):
    """Planned in full when it was submitted; the device has drifted since, and the plan follows what it learns."""
    device = Drifting()
    session = Session(device)
    estimator = Estimator(session, AGING)
    first = estimator.run([PUB])
    first.result(60)
    quiet = facts_of(first)["layers"][0]["gamma"]
    assert quiet == pytest.approx(QUIET.gamma, abs=0.1)
    job, between = queued_behind(session, device, estimator)
    before = job.plan()
    assert len(before.shared) == 1
    assert before.experiments == ()
    assert pipeline.deferred(before) == []
    device.models = [LOUD]
    clock[0] = 101
    device.open.set()
    between.result(60)
    result = job.result(60)
    own = facts_of(job)
    assert own["layers"][0]["gamma"] == pytest.approx(LOUD.gamma, rel=0.2)
    assert own["layers"][0]["gamma"] > 1.3 * quiet
    assert learned(job) == [own["layers"][0]["gamma"]]
    assert own["gamma"] > facts_of(first)["gamma"]
    assert result.metadata["shared_calibrations"] == []
    assert result.metadata["calibration_shots"] == first.result().metadata["calibration_shots"] > 0
    assert f"gamma {own['gamma']:.4g}" in str(job.plan())
    assert "which is too long" in job.logs()
    # The value is that without noise: 6 standard errors; with the old model it would be damped by a third.
    assert abs(result[0].data.evs + 1) < 6 * result[0].data.stds
    assert len(job.samples()) == len(pipeline.leaves(job.plan()))
    later = estimator.run([PUB])
    assert later.result(60).metadata["calibration_shots"] == 0
    assert facts_of(later)["layers"][0]["gamma"] == own["layers"][0]["gamma"]


def test_noise_that_is_young_enough_when_the_job_starts_is_used_as_planned(clock):
    device = Drifting()
    session = Session(device)
    estimator = Estimator(session, AGING)
    first = estimator.run([PUB])
    first.result(60)
    job, between = queued_behind(session, device, estimator)
    before = job.plan()
    clock[0] = 99
    device.open.set()
    between.result(60)
    assert job.result(60).metadata["calibration_shots"] == 0
    assert str(job.plan()) == str(before)
    assert facts_of(job)["layers"] == facts_of(first)["layers"]
    assert [fact["job_id"] for fact in job.result().metadata["shared_calibrations"]] == [first.job_id()]


def test_what_of_a_job_does_not_rest_on_old_noise_is_planned_once(clock):
    """Two PUBs, one without layers: only what follows from the noise may change when it is learned anew."""
    device = Drifting()
    session = Session(device)
    estimator = Estimator(session, AGING)
    plain = QuantumCircuit(2)
    plain.x(0)
    estimator.run([PUB]).result(60)
    job, between = queued_behind(session, device, estimator, [PUB, (plain, "IZ")])
    before = job.plan()
    device.models = [LOUD]
    clock[0] = 101
    device.open.set()
    between.result(60)
    result = job.result(60)
    assert result[1].data.evs == pytest.approx(-1)
    assert abs(result[0].data.evs + 1) < 6 * result[0].data.stds
    own, old = (plan.roots[1].residue.facts for plan in (job.plan(), before))
    assert own == old


def test_a_failure_to_plan_after_learning_keeps_what_was_measured(clock):
    """What is learned says that the overhead is too large; that is known only when its shots are spent."""
    device = Drifting()
    device.models = [LOUD]
    options = {**OPTIONS, "resilience": {**RESILIENCE, "pec": {"noise_gain": 0, "max_overhead": 1.1}}}
    fine = QuantumCircuit(2)
    fine.x(0)
    job = Estimator(device, options).run([(fine, "IZ"), PUB])
    plan = job.plan()
    with pytest.raises(ExecutionError, match="max_overhead") as caught:
        job.result(60)
    error = caught.value
    assert not isinstance(error, CancelledError)
    text = str(error)
    assert "the sampling overhead of pubs[1] is gamma^2 =" in text
    assert "pubs[0]" not in text
    assert "cx (0, 1)" in text
    assert "what was measured to learn this is in .partial" in text
    experiments = pipeline.Plan(plan.experiments, ())
    samples = error.partial.samples(pipeline.leaves(experiments))
    assert samples is not None
    (requirement,) = (e.requirement for e in plan.experiments)
    assert isinstance(requirement, LayerNoise)
    (model,) = pipeline.learned(experiments, samples).values()
    assert model.gamma == pytest.approx(LOUD.gamma, rel=0.2)
    assert sum(s.shots.sum() for s in samples) == requirement.shots_in_all


def test_noise_that_a_job_learned_before_it_failed_to_plan_is_not_learned_again():
    device = Drifting()
    device.models = [LOUD]
    session = Session(device)
    options = {**OPTIONS, "resilience": {**RESILIENCE, "pec": {"noise_gain": 0, "max_overhead": 1.1}}}
    with pytest.raises(ExecutionError, match="max_overhead"):
        Estimator(session, options).run([PUB]).result(60)
    enough = Estimator(session, OPTIONS).run([PUB])
    assert enough.result(60).metadata["calibration_shots"] == 0
    assert abs(enough.result()[0].data.evs + 1) < 6 * enough.result()[0].data.stds


def test_a_plan_with_its_draft_waits_again_for_what_is_learned_anew():
    """`relearning` by hand: what was planned goes back to what it waits for, and nothing else does."""
    device = Drifting()
    session = Session(device)
    estimator = Estimator(session, OPTIONS)
    first = estimator.run([PUB])
    first.result(60)
    plan = estimator.run([PUB]).plan()
    assert plan.draft
    anew = pipeline.relearning(plan, plan.shared, np.random.default_rng(3))
    assert [e.requirement for e in anew.experiments] == list(plan.shared)
    assert anew.shared == ()
    assert len(pipeline.deferred(anew)) == 1
    for model, size in ((QUIET, 1.0), (LOUD, 8.0)):
        whole = pipeline.completed(anew, {plan.shared[0]: model})
        assert pipeline.deferred(whole) == []
        assert whole.roots[0].residue.facts["gamma"] == pytest.approx(np.exp(2 * 0.02 * size))
    same = pipeline.relearning(plan, (), np.random.default_rng(3))
    assert same.roots == plan.roots
