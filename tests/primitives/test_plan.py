"""`plan` says what `run` would do: nothing is run, no Session changes, and the job's plan is the same."""

import threading

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from quell import Batch, Estimator, InputError, OptionsError, Sampler, Session
from quell.calibration.ledger import Ledger
from quell.pipeline import cost, leaves
from quell.testing import CountingBackend, ExactSampler, ReadoutModel

pytest.importorskip("qiskit_aer")
READOUT = ReadoutModel.uniform(2, 0.03, 0.06)


def circuit():
    made = QuantumCircuit(2)
    made.ry(Parameter("angle"), 0)
    made.cx(0, 1)
    return made


PUBS = [(circuit(), [["ZZ"], ["XX"]], [0.1, 0.7])]
FEW = {"num_randomizations": 4}
LEARNING = {**FEW, "shots_per_randomization": 16, "layer_pair_depths": (0, 2)}
RESILIENCE = {"measure_noise_learning": FEW, "layer_noise_learning": LEARNING}
OPTIONS = {
    "raw": {"resilience_level": 0},
    "trex": {"resilience_level": 1, "twirling": FEW, "resilience": RESILIENCE},
    "zne": {"resilience_level": 2, "twirling": FEW, "resilience": RESILIENCE},
    "pec": {"resilience_level": 0, "resilience": {**RESILIENCE, "pec_mitigation": True}},
}


def options(name, **more):
    return {"seed": 4, "default_shots": 64, **OPTIONS[name], **more}


def same(first, second):
    """Whether two plans run the same circuits, with the same angles and shots."""
    one, two = leaves(first), leaves(second)
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        assert a.shots == b.shots
        assert a.num_members == b.num_members
        assert a.template.circuit == b.template.circuit
        assert np.array_equal(a.bases, b.bases)
        assert np.array_equal(a.parameter_values, b.parameter_values)
        assert len(a.draws) == len(b.draws)
        for x, y in zip(a.draws, b.draws, strict=True):
            assert fields(x) == fields(y)
    return str(first) == str(second) and cost(first) == cost(second)


def fields(draw):
    """Return what a draw is made of: its key decides all its random numbers."""
    return [getattr(draw, field.name) for field in type(draw).__attrs_attrs__]


@pytest.mark.parametrize("name", ["raw", "trex", "zne"])
def test_the_plan_is_that_of_the_job_and_nothing_is_run(name):
    backend = CountingBackend(takes_parameter_binds=True)
    estimator = Estimator(backend, options(name))
    planned = estimator.plan(PUBS)
    assert backend.num_runs == 0
    job = estimator.run(PUBS)
    job.result()
    assert same(planned, job.plan())
    assert any(program.draws for program in leaves(planned)) == (name != "raw")
    assert cost(planned).shots == backend.num_shots
    assert cost(planned).circuits == backend.num_circuits


def test_what_waits_for_the_noise_of_layers_is_in_the_plan_as_deferred():
    backend = CountingBackend(takes_parameter_binds=True)
    estimator = Estimator(backend, options("pec"))
    planned = estimator.plan(PUBS)
    assert backend.num_runs == 0
    assert cost(planned).deferred_shots[0] > 0
    assert cost(planned).shots == cost(planned).calibration_shots > 0


def test_options_are_not_changed_and_a_precision_counts():
    estimator = Estimator(CountingBackend(), options("raw"))
    before = estimator.options.to_dict()
    assert cost(estimator.plan(PUBS, precision=0.1)).shots < cost(estimator.plan(PUBS)).shots * 2
    assert (
        cost(estimator.plan(PUBS, precision=0.01)).shots
        > 100 * cost(estimator.plan(PUBS, precision=0.1)).shots / 2
    )
    assert estimator.options.to_dict() == before


@pytest.mark.parametrize("mode", [Session, Batch])
def test_planning_has_no_effect_on_a_session(mode):
    """No job, no promise in the ledger; the job that comes then is the one without planning."""
    backend = CountingBackend(takes_parameter_binds=True)
    with mode(backend=backend) as session:
        estimator = Estimator(session, options("trex"))
        plans = [estimator.plan(PUBS) for _ in range(3)]
        assert session.num_jobs == 0
        assert session.jobs == ()
        assert session.ledger._entries == []
        assert session.status() == "Pending"
        job = estimator.run(PUBS)
        result = job.result()
        assert same(plans[-1], job.plan())
    assert result.metadata["calibration_shots"] == cost(plans[0]).calibration_shots > 0
    alone = Estimator(CountingBackend(takes_parameter_binds=True), options("trex")).run(PUBS).result()
    assert np.array_equal(result[0].data.evs, alone[0].data.evs)


def test_in_a_session_what_was_learned_is_not_planned_again():
    with Session(backend=CountingBackend(takes_parameter_binds=True)) as session:
        estimator = Estimator(session, options("trex"))
        first = estimator.run(PUBS)
        first.result()
        entries = list(session.ledger._entries)
        planned = estimator.plan(PUBS)
        assert planned.experiments == ()
        assert planned.shared
        assert list(session.ledger._entries) == entries
        assert same(planned, estimator.run(PUBS).plan())


def test_a_closed_session_can_still_be_asked():
    with Session(backend=CountingBackend()) as session:
        pass
    assert cost(Estimator(session, options("raw")).plan(PUBS)).shots > 0


def test_mistakes_are_those_of_run():
    estimator = Estimator(CountingBackend(), {"resilience": {"pec_mitigation": True, "zne_mitigation": True}})
    with pytest.raises(InputError, match=r"pubs\[0\]"):
        estimator.plan([(circuit(), "ZZZ", [0.1])])
    with pytest.raises(InputError):
        Sampler(CountingBackend()).plan([circuit()], shots=0)
    wrong = Estimator(CountingBackend(), options("zne"))
    wrong.options.resilience.zne.noise_factors = [1, 2]
    wrong.options.resilience.zne.extrapolator = "polynomial_degree_5"
    with pytest.raises(OptionsError) as planned:
        wrong.plan(PUBS)
    with pytest.raises(OptionsError) as run:
        wrong.run(PUBS)
    assert str(planned.value) == str(run.value)


def test_a_sampler_plans_too():
    backend = CountingBackend(takes_parameter_binds=True)
    measured = circuit()
    measured.measure_all()
    sampler = Sampler(backend, {"seed": 2, "twirling": {"enable_measure": True, **FEW}})
    planned = sampler.plan([(measured, [[0.1], [0.4]])], shots=40)
    assert backend.num_runs == 0
    job = sampler.run([(measured, [[0.1], [0.4]])], shots=40)
    job.result()
    assert same(planned, job.plan())
    assert cost(planned).shots == backend.num_shots == 80


# --- what comparisons rest on -------------------------------------------------------------------


class Asked:
    """A requirement that only equal ones are served by."""

    def __init__(self, name):
        self.name = name

    def serves(self, other):
        return self.name == other.name


def test_a_copied_ledger_has_what_was_learned_and_goes_its_own_way():
    ledger = Ledger()
    kept, other, waiting, lost = (ledger.promise(Asked(n), "job", k, "how") for k, n in enumerate("abcd"))
    kept.fulfil(1.0)
    other.fulfil(2.0)
    lost.withdraw()
    copied = ledger.copied()
    assert copied.find(Asked("a"), "how", 0, 60.0).outcome.result() == 1.0, "also for the very first job"
    for name in "cd":
        assert copied.find(Asked(name), "how", 9, 60.0) is None
    assert ledger.copied(lambda r: r.name != "a").find(Asked("a"), "how", 9, 60.0) is None
    assert ledger.copied(lambda r: r.name != "a").find(Asked("b"), "how", 9, 60.0).outcome.result() == 2.0
    joined = Ledger()
    joined.take(ledger)
    joined.take(ledger)
    assert joined.find(Asked("a"), "how", 0, 60.0).outcome.result() == 1.0
    assert len(joined._entries) == 4, "nothing takes the place of anything"
    assert copied.find(Asked("a"), "other conditions", 0, 60.0) is None
    copied.promise(Asked("e"), "job", 0, "how").fulfil(3.0)
    assert ledger.find(Asked("e"), "how", 9, 60.0) is None, "what is learned later stays apart"
    assert kept.number == 0
    waiting.fulfil(4.0)
    assert copied.find(Asked("c"), "how", 9, 60.0) is None


def test_a_session_knows_what_it_is_told():
    with Session(backend=ExactSampler(1, readout=READOUT)) as session:
        first = Estimator(session, options("trex")).run(PUBS).result()
    assert first.metadata["calibration_shots"] > 0
    told = Session(backend=session.runs_on)
    assert told.knowing(session.ledger.copied()) is told
    assert Estimator(told, options("trex", seed=5)).run(PUBS).result().metadata["calibration_shots"] == 0
    told.close()
    untold = Session(backend=session.runs_on)
    assert Estimator(untold, options("trex", seed=5)).run(PUBS).result().metadata["calibration_shots"] > 0
    untold.close()


@pytest.mark.parametrize("name", ["raw", "zne"])
def test_seconds_of_a_run_are_its_parts(name):
    result = Estimator(ExactSampler(1, readout=READOUT), options(name)).run(PUBS).result()
    seconds = result.metadata["seconds"]
    assert list(seconds) == ["prepare", "execute", "combine"]
    assert all(value >= 0 for value in seconds.values())
    assert seconds["execute"] > 0
    assert sum(seconds.values()) <= result.metadata["time_taken"] + 1e-3


def test_seconds_of_the_device_are_those_of_execution():
    event = threading.Event()

    class Slow(ExactSampler):
        def __call__(self, pubs):
            event.wait(0.3)
            return super().__call__(pubs)

    seconds = Estimator(Slow(1), options("raw")).run(PUBS).result().metadata["seconds"]
    assert seconds["execute"] >= 0.3
    assert seconds["prepare"] + seconds["combine"] < 0.3
