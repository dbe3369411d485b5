"""Sessions and batches: order, workers, closing, and calibrations that their jobs share."""

import gc
import pickle
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.providers import JobStatus
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError

from quell import (
    Batch,
    CalibrationError,
    Estimator,
    ExecutionError,
    InputError,
    Sampler,
    Session,
    pipeline,
)
from quell.calibration import ledger
from quell.calibration.readout import TwirledReadout
from quell.errors import CancelledError
from quell.execution import modes, run
from quell.execution.exchange import Exchange
from quell.stages.measure import Measure
from quell.stages.trex import Trex
from quell.stages.twirl import Twirl
from quell.testing import CountingBackend, ExactSampler, FailingBackend, ReadoutModel, ensemble_of
from quell.testing.laws import sample

OPTIONS = {"seed": 1, "default_shots": 640}
READOUT = ReadoutModel.uniform(3, 0.03, 0.09)


def excited(num_qubits=3):
    circuit = QuantumCircuit(num_qubits)
    circuit.x(range(num_qubits))
    return circuit


def measured():
    circuit = excited()
    circuit.measure_all()
    return circuit


PUB = (excited(), "ZZZ")


class Gated:
    """A sampler function whose calls wait until they are let through; one of them may fail."""

    def __init__(self, inner=None):
        self.entered, self.open, self.fail_at = threading.Semaphore(0), threading.Event(), None
        self.inner = inner or ExactSampler(0)
        self.inside, self.most, self.calls = 0, 0, []
        self.lock = threading.Lock()

    def __call__(self, pubs):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.calls.append(len(pubs))
            number = len(self.calls)
        self.entered.release()
        try:
            assert self.open.wait(30)
            if number == self.fail_at:
                raise RuntimeError("the device is on fire")
            with self.lock:
                return self.inner(pubs)
        finally:
            with self.lock:
                self.inside -= 1

    def wait_for_calls(self, number):
        for _ in range(number):
            assert self.entered.acquire(timeout=30)


# --- execution modes -----------------------------------------------------------------------


def test_a_session_is_a_drop_in_for_the_vendors_class():
    backend = CountingBackend()
    with Session(backend=backend, max_time="2h 30m 40s") as session:
        assert session.status() == "Pending"
        estimator = Estimator(mode=session)
        assert estimator.mode is session
        job = estimator.run([PUB])
        assert session.jobs == (job,)
        assert session.backend() == backend.name
        assert session.status() == "In progress, accepting new jobs"
        details = session.details()
        assert details["id"] == session.session_id
        assert details["created"]
        expected = {
            "mode": "dedicated",
            "backend_name": backend.name,
            "max_time": 2 * 3600 + 30 * 60 + 40,
            "accepting_jobs": True,
            "num_jobs": 1,
        }
        assert {key: details[key] for key in expected} == expected
    assert job.result()[0].data.evs == pytest.approx(-1)
    assert session.status() == "Closed"
    assert not session.details()["accepting_jobs"]
    assert Batch(backend).details()["mode"] == "batch"
    assert session.session_id in repr(session)


@pytest.mark.parametrize("kind", [Session, Batch])
def test_leaving_the_block_closes_but_lets_jobs_end_and_names_the_next_step(kind):
    gated = Gated()
    with kind(gated) as session:
        estimator = Estimator(options=OPTIONS)
        jobs = [estimator.run([PUB]) for _ in range(3)]
    assert session.status() == "In progress, not accepting new jobs"
    with pytest.raises(ExecutionError, match=f"{session.session_id}.*is closed; make a new {kind.__name__}"):
        estimator.run([PUB])
    gated.open.set()
    assert [float(job.result(30)[0].data.evs) for job in jobs] == [-1, -1, -1]
    assert session.status() == "Closed"
    assert len(session.jobs) == 3


def test_a_session_runs_one_job_after_another_in_their_order():
    gated, order = Gated(), []
    session = Session(gated)
    jobs = []
    for number in range(4):
        estimator = Estimator(session, OPTIONS, progress=lambda d, t, number=number: order.append(number))
        jobs.append(estimator.run([PUB]))
    gated.wait_for_calls(1)
    assert [job.status() for job in jobs] == [JobStatus.RUNNING] + [JobStatus.QUEUED] * 3
    with pytest.raises(TimeoutError, match="still queued"):
        jobs[-1].result(timeout=0.01)
    gated.open.set()
    for job in jobs:
        job.result(30)
    assert gated.most == 1
    assert order == sorted(order)
    assert set(order) == {0, 1, 2, 3}


def test_a_batch_runs_jobs_at_the_same_time_up_to_its_limit():
    both = threading.Barrier(2, timeout=30)

    def meet(pubs):
        both.wait()  # passes only if two jobs are inside
        return ExactSampler(0)(pubs)

    with Batch(meet, max_workers=2) as batch:
        sampler = Sampler()
        jobs = [sampler.run([measured()], shots=10) for _ in range(4)]
    assert [job.result(60)[0].data.meas.get_counts() for job in jobs] == [{"111": 10}] * 4
    gated = Gated()
    batch = Batch(gated, max_workers=2)
    jobs = [Estimator(batch, OPTIONS).run([PUB]) for _ in range(5)]
    gated.wait_for_calls(2)
    assert [job.status() for job in jobs].count(JobStatus.QUEUED) == 3
    gated.open.set()
    for job in jobs:
        job.result(30)
    assert gated.most == 2


def test_a_queued_job_can_be_cancelled_and_then_never_runs():
    gated = Gated()
    session = Session(gated)
    options = {**OPTIONS, "environment": {"log_level": "INFO"}}
    first, second, third = (Estimator(session, options).run([PUB]) for _ in range(3))
    gated.wait_for_calls(1)
    assert second.cancel()
    assert second.status() is JobStatus.CANCELLED
    assert second.cancelled()
    assert second.in_final_state()
    assert not second.cancel()
    with pytest.raises(CancelledError, match="before it started") as error:
        second.result()
    assert error.value.partial is None
    assert "INFO: cancelled before it started" in second.logs()
    gated.open.set()
    first.result(30)
    third.result(30)
    assert len(gated.calls) == 2


def test_cancelling_a_session_cancels_all_its_jobs_and_closes_it():
    gated = Gated()
    session = Session(gated)
    jobs = [Estimator(session, OPTIONS).run([PUB]) for _ in range(3)]
    ended = Session(ExactSampler(0))
    done = Estimator(ended, OPTIONS).run([PUB])
    done.result(30)
    ended.cancel()
    assert done.done()
    gated.wait_for_calls(1)
    session.cancel()
    assert [job.status() for job in jobs[1:]] == [JobStatus.CANCELLED] * 2
    with pytest.raises(ExecutionError, match="closed"):
        Estimator(session, OPTIONS).run([PUB])
    gated.open.set()
    assert jobs[0].result(30)  # its only batch was measured: nothing is thrown away
    assert len(gated.calls) == 1


def test_max_time_counts_from_the_first_job(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(modes, "time", SimpleNamespace(monotonic=lambda: now[0]))
    session = Session(ExactSampler(0), max_time="1m")
    sampler = Sampler(session)
    circuit = measured()
    now[0] += 500
    sampler.run([circuit], shots=1).result(30)
    now[0] += 60
    sampler.run([circuit], shots=1).result(30)
    now[0] += 0.1
    with pytest.raises(ExecutionError, match="max_time: 60 s have passed"):
        sampler.run([circuit], shots=1)
    assert session.status() == "Closed"


@pytest.mark.parametrize(
    ("text", "seconds"), [("25m", 1500), ("1d 2h", 93600), ("2h30m40s", 9040), (" 7s ", 7), (90, 90)]
)
def test_durations_are_seconds_or_text(text, seconds):
    assert Batch(ExactSampler(0), max_time=text).details()["max_time"] == seconds


@pytest.mark.parametrize("bad", ["", "soon", "2x", "5", "1m 2h", "0s", 0, -1, True, 1.5, [3]])
def test_what_is_no_duration_is_refused(bad):
    with pytest.raises(InputError, match="max_time"):
        Session(ExactSampler(0), max_time=bad)


@pytest.mark.parametrize("bad", [0, -1, True, 2.0, None])
def test_bad_numbers_of_workers_are_refused(bad):
    with pytest.raises(InputError, match="max_workers"):
        Batch(ExactSampler(0), max_workers=bad)


def test_backends_that_cannot_run_are_refused_and_names_are_explained():
    with pytest.raises(InputError, match=r"backend: is the name 'ibm_fez'.*pass a BackendV2"):
        Session(backend="ibm_fez")
    for bad in (None, 3, Session(ExactSampler(0))):
        with pytest.raises(InputError, match="cannot run circuits"):
            Batch(bad)


# --- the active mode -----------------------------------------------------------------------


def test_the_innermost_block_is_the_default_mode():
    with pytest.raises(InputError, match=r"mode: is None.*pass a BackendV2"):
        Estimator()
    outer, inner = Session(ExactSampler(0)), Batch(ExactSampler(0))
    with outer:
        assert Estimator().mode is outer
        with inner, outer:
            assert Sampler().mode is outer
        assert Estimator().mode is outer
        backend = ExactSampler(0)
        assert Estimator(backend).mode is backend
    with pytest.raises(InputError, match="no Session or Batch"):
        Sampler()


def test_an_error_in_the_block_leaves_it_and_closes():
    with pytest.raises(KeyError), Session(ExactSampler(0)) as session:
        raise KeyError
    assert session.status() == "Closed"
    with pytest.raises(InputError):
        Estimator()


def test_threads_have_blocks_of_their_own():
    found = {}
    ready = threading.Barrier(2, timeout=30)

    def work(name):
        with Session(ExactSampler(0)) as mine:
            ready.wait()
            found[name] = Estimator().mode is mine
            ready.wait()

    def outside():
        try:
            Estimator()
        except InputError:
            found["outside"] = True

    with Session(ExactSampler(0)):
        threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
        threads.append(threading.Thread(target=outside))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert found == {0: True, 1: True, "outside": True}


# --- shared calibrations -------------------------------------------------------------------


def shots_of(job):
    return job.result(30).metadata["calibration_shots"]


@pytest.mark.parametrize("kind", [Session, Batch])
def test_jobs_share_a_calibration_that_is_learned_once(kind):
    backend = CountingBackend()
    with kind(backend) as session:
        estimator = Estimator(options=OPTIONS)
        first, second = estimator.run([PUB]), estimator.run([(excited(), ["IZZ", "ZII"])])
        third = estimator.run([PUB])
    assert [shots_of(job) for job in (first, second, third)] == [640, 0, 0]
    assert backend.num_shots == 4 * 640
    text = str(second.plan())
    assert "shared: Readout of 3 qubits" in text
    assert "(0 of them for calibration)" in text
    assert "shared:" not in str(first.plan())
    (fact,) = second.result().metadata["shared_calibrations"]
    assert fact["job_id"] == first.job_id()
    assert 0 <= fact["age"] < 30
    assert first.result().metadata["shared_calibrations"] == []
    assert second.result()[0].metadata["resilience"]["calibration_shots"] == 640
    assert session.jobs == (first, second, third)
    alone = Estimator(backend, OPTIONS)
    assert [shots_of(alone.run([PUB])) for _ in range(2)] == [640, 640]


def test_an_age_of_zero_learns_anew_and_other_conditions_are_another_device():
    backend = CountingBackend()
    session = Session(backend)

    def calibration_shots(**options):
        return shots_of(Estimator(session, {**OPTIONS, **options}).run([PUB]))

    assert calibration_shots() == 640
    assert calibration_shots() == 0
    assert calibration_shots(calibration={"max_age": 0}) == 640
    noisy = NoiseModel()
    noisy.add_all_qubit_readout_error(ReadoutError([[0.9, 0.1], [0.1, 0.9]]))
    other = {"execution": {"run_options": {"noise_model": noisy}}}
    assert calibration_shots(**other) == 640
    assert calibration_shots(**other) == 0
    # With a fixed seed of shots the data would repeat the shots of the calibration.
    fixed = {"simulator": {"seed_simulator": 3}}
    assert [calibration_shots(**fixed) for _ in range(2)] == [640, 640]


def test_more_qubits_or_more_shots_than_there_are_are_learned_anew():
    session = Session(ExactSampler(0))
    estimator = Estimator(session, OPTIONS)

    def calibration_shots(observables, precision=None):
        return shots_of(estimator.run([(excited(), observables)], precision=precision))

    assert calibration_shots("IZZ") == 640
    assert calibration_shots("IIZ") == 0
    assert calibration_shots("ZZZ") == 640
    assert calibration_shots("ZIZ") == 0
    assert calibration_shots("ZIZ", 0.03) == 32 * 35
    assert calibration_shots("ZIZ", 0.03) == 0
    assert calibration_shots("ZZZ") == 0
    job = estimator.run([(excited(), "ZIZ")], precision=0.03)
    assert job.result(30)[0].metadata["resilience"]["calibration_shots"] == 32 * 35
    assert calibration_shots(["ZZZ", "ZIZ"], 0.03) == 32 * 35
    # Of equal qubits the calibration with more shots is used, also if one with fewer came later.
    poor = Estimator(session, {**OPTIONS, "calibration": {"max_age": 0}}).run([(excited(), "ZZZ")])
    assert shots_of(poor) == 640
    job = estimator.run([(excited(), "ZZZ")], precision=0.03)
    assert shots_of(job) == 0
    assert job.result()[0].metadata["resilience"]["calibration_shots"] == 32 * 35
    assert job.result().metadata["shared_calibrations"][0]["job_id"] != poor.job_id()
    assert not TwirledReadout(2, (0, 1), 1, 4096).serves(TwirledReadout(2, (0,), 32, 8))


def test_a_calibration_that_got_too_old_in_the_queue_is_learned_anew(monkeypatch):
    now = [0.0]
    for module in (ledger, run):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    gated = Gated()
    gated.open.set()
    session = Session(gated)
    estimator = Estimator(session, {**OPTIONS, "environment": {"log_level": "INFO"}})
    estimator.options.calibration.max_age = 100
    estimator.run([PUB]).result(30)
    now[0] = 100
    assert shots_of(estimator.run([PUB])) == 0
    gated.open.clear()
    between = Sampler(session).run([measured()], shots=1)
    queued, next_one = estimator.run([PUB]), estimator.run([(excited(), "IIZ")])
    assert "shared:" in str(queued.plan())
    now[0] = 101
    gated.open.set()
    between.result(30)
    assert shots_of(queued) == 640
    assert "learned it 101 s ago, which is too long" in queued.logs()
    assert "shared:" not in str(queued.plan())
    assert len(queued.samples()) == len(pipeline.leaves(queued.plan())) == 2
    assert queued.result()[0].data.evs == pytest.approx(-1)
    assert shots_of(next_one) == 0  # who relearns does so for those behind, too
    assert next_one.result().metadata["shared_calibrations"][0]["job_id"] == queued.job_id()
    assert next_one.result()[0].data.evs == pytest.approx(-1)
    now[0] = 150
    assert shots_of(estimator.run([PUB])) == 0


@pytest.mark.parametrize("how", ["fails", "is cancelled in the queue"])
def test_a_job_learns_itself_what_the_job_before_ended_without(how):
    gated = Gated()
    session = Session(gated)
    blocking = Sampler(session).run([measured()], shots=1)
    first, second, third = (Estimator(session, OPTIONS).run([PUB]) for _ in range(3))
    gated.wait_for_calls(1)
    if how == "fails":
        gated.fail_at = 2
    else:
        first.cancel()
    gated.open.set()
    blocking.result(30)
    with pytest.raises(ExecutionError, match=r"on fire|cancelled"):
        first.result(30)
    assert [shots_of(job) for job in (second, third)] == [640, 0]
    assert second.result().metadata["shared_calibrations"] == []
    assert [fact["job_id"] for fact in third.result().metadata["shared_calibrations"]] == [second.job_id()]
    for job, number in ((second, 2), (third, 1)):
        assert job.result()[0].data.evs == pytest.approx(-1)
        assert len(job.samples()) == len(pipeline.leaves(job.plan())) == number


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_batch_job_waits_for_the_calibration_of_another_and_learns_it_if_that_fails():
    slow = threading.Event()
    calls = []

    def device(pubs):
        calls.append(len(pubs))
        if len(calls) == 1:
            assert slow.wait(30)
            raise RuntimeError("the device is on fire")
        return ExactSampler(len(calls), readout=READOUT)(pubs)

    batch = Batch(device)
    estimator = Estimator(batch, OPTIONS)
    first = estimator.run([PUB])
    until(lambda: calls)
    second = estimator.run([PUB])
    until(lambda: second.samples() is not None)
    assert second.running()
    slow.set()
    with pytest.raises(ExecutionError, match="on fire"):
        first.result(30)
    data = second.result(30)[0].data
    assert calls == [2, 1, 1]
    assert shots_of(second) == 640
    assert abs(data.evs + 1) < 5 * data.stds  # 5 sigma: false alarm below 1e-6
    assert len(second.samples()) == len(pipeline.leaves(second.plan())) == 2
    assert shots_of(estimator.run([PUB])) == 0  # what it learned is there for the next


def test_data_is_kept_where_even_learning_at_the_end_fails():
    slow, calls = threading.Event(), []

    def device(pubs):
        calls.append(len(pubs))
        number = len(calls)
        if number == 1:
            assert slow.wait(30)
        if number in (1, 3):
            raise RuntimeError("the device is on fire")
        return ExactSampler(0)(pubs)

    estimator = Estimator(Batch(device), OPTIONS)
    estimator.run([PUB])
    until(lambda: calls)
    job = estimator.run([PUB])
    until(lambda: job.samples() is not None)
    (data,) = job.samples()
    slow.set()
    with pytest.raises(ExecutionError, match="on fire") as error:
        job.result(30)
    ((chunk, kept),) = error.value.partial.chunks
    assert kept is data
    assert pipeline.leaves(job.plan())[chunk.program].label == "circuit"
    assert job.samples() is None


def test_a_job_that_waits_for_a_calibration_can_be_cancelled_and_keeps_its_data():
    slow, calls = threading.Event(), []

    def device(pubs):
        calls.append(len(pubs))
        if len(calls) == 1:
            assert slow.wait(30)
        return ExactSampler(0)(pubs)

    batch = Batch(device)
    estimator = Estimator(batch, OPTIONS)
    first = estimator.run([PUB])
    until(lambda: calls)
    second = estimator.run([PUB])
    until(lambda: second.samples() is not None)
    assert second.cancel()
    with pytest.raises(CancelledError, match="32 of 32 circuits") as error:
        second.result(30)
    ((chunk, kept),) = error.value.partial.chunks
    assert (chunk.program, chunk.start, chunk.stop) == (0, 0, 32)
    assert kept is second.samples()[0]
    slow.set()
    assert first.result(30)[0].data.evs == pytest.approx(-1)


def test_the_same_sequence_of_jobs_in_a_fresh_session_gives_the_same_results():
    noise = NoiseModel()
    noise.add_all_qubit_readout_error(ReadoutError([[0.97, 0.03], [0.08, 0.92]]))

    def results(kind):
        with kind(AerSimulator(noise_model=noise)):
            estimator = Estimator(options=OPTIONS)
            jobs = [estimator.run([(excited(), o)]) for o in ("ZZZ", "IZZ", ["ZII", "ZZZ"])]
        return [np.atleast_1d(getattr(j.result(60)[0].data, n)) for j in jobs for n in ("evs", "stds")]

    once = results(Session)
    for other in (results(Session), results(Batch)):
        assert all(np.array_equal(a, b) for a, b in zip(once, other, strict=True))


def test_values_and_error_bars_hold_with_a_shared_calibration():
    """80 scores of second jobs; mean and spread within 4 of their standard errors: false alarm 1e-4."""
    scores = []
    for seed in range(80):
        session = Session(ExactSampler(seed, readout=READOUT))
        jobs = [Estimator(session, {**OPTIONS, "seed": seed}).run([PUB]) for _ in range(2)]
        data = jobs[1].result(30)[0].data
        assert shots_of(jobs[1]) == 0
        scores.append((data.evs + 1) / data.stds)
    assert abs(np.mean(scores)) < 4 / np.sqrt(80)
    assert abs(np.sqrt(np.mean(np.square(scores))) - 1) < 4 / np.sqrt(160)


def test_a_simulator_with_a_seed_does_not_repeat_the_shots_of_the_calibration():
    """Were they repeated, errors of data and calibration would cancel: scores had a spread of 0.7."""
    backend = CountingBackend()
    session = Session(backend)
    jobs = [Estimator(session, OPTIONS).run([PUB]) for _ in range(3)]
    results = [job.result(30) for job in jobs]
    assert [result.metadata["seed"] for result in results] == [1, 1, 1]
    assert len({call.options["seed_simulator"] for call in backend.calls}) == 3
    Estimator(session, {**OPTIONS, "calibration": {"max_age": 0}}).run([PUB]).result(30)
    assert backend.calls[-1].options["seed_simulator"] == backend.calls[0].options["seed_simulator"]


@pytest.mark.parametrize("where", ["backend", "options", "run_options"])
def test_jobs_with_a_fixed_seed_of_the_device_share_no_calibration(where):
    backend = CountingBackend(AerSimulator(seed_simulator=7 if where == "backend" else None), max_circuits=32)
    session = Session(backend)
    fixed = {"options": {"simulator": {"seed_simulator": 7}}}
    fixed["run_options"] = {"execution": {"run_options": {"seed_simulator": 7}}}
    estimator = Estimator(session, {"default_shots": 640, **fixed.get(where, {})})
    assert [shots_of(estimator.run([PUB])) for _ in range(3)] == [640] * 3
    seeds = [call.options["seed_simulator"] for call in backend.calls]
    assert seeds == seeds[:2] * 3  # calibration and data
    assert seeds[0] == 7 != seeds[1]


def test_a_seed_of_the_job_goes_before_that_of_the_backend_and_lets_it_share():
    backend = CountingBackend(AerSimulator(seed_simulator=7))
    estimator = Estimator(Session(backend), OPTIONS)
    assert [shots_of(estimator.run([PUB])) for _ in range(3)] == [640, 0, 0]
    assert len({call.options["seed_simulator"] for call in backend.calls} | {7}) == 4


def test_options_that_the_backend_is_given_between_jobs_are_another_device():
    backend = AerSimulator()
    estimator = Estimator(Session(backend), OPTIONS)
    assert [shots_of(estimator.run([PUB])) for _ in range(2)] == [640, 0]
    noisy = NoiseModel()
    noisy.add_all_qubit_readout_error(ReadoutError([[0.9, 0.1], [0.1, 0.9]]))
    backend.set_options(noise_model=noisy)
    jobs = [estimator.run([PUB]) for _ in range(2)]
    assert [shots_of(job) for job in jobs] == [640, 0]
    for job in jobs:
        data = job.result()[0].data
        assert abs(data.evs + 1) < 5 * data.stds  # 5 sigma: false alarm below 1e-6


def test_a_calibration_that_was_measured_before_the_data_failed_is_kept():
    backend = FailingBackend(fail_at=1, max_circuits=32)
    session = Session(backend)
    estimator = Estimator(session, OPTIONS)
    first, second = estimator.run([PUB]), estimator.run([PUB])
    with pytest.raises(ExecutionError, match="on fire"):
        first.result(30)
    assert shots_of(second) == 0
    assert second.result().metadata["shared_calibrations"][0]["job_id"] == first.job_id()
    assert second.result()[0].data.evs == pytest.approx(-1)


def test_half_a_calibration_is_not_kept():
    backend = FailingBackend(fail_at=1, max_circuits=16)
    estimator = Estimator(Session(backend), OPTIONS)
    first, second = estimator.run([PUB]), estimator.run([PUB])
    with pytest.raises(ExecutionError, match="on fire"):
        first.result(30)
    assert shots_of(second) == 640


def test_a_session_keeps_neither_jobs_nor_calibrations_that_are_of_no_more_use():
    session = Session(ExactSampler(0))
    estimator = Estimator(session, {**OPTIONS, "calibration": {"max_age": 100}})
    always = Estimator(session, {**OPTIONS, "calibration": {"max_age": 0}})
    first = estimator.run([PUB])
    results = [chosen.run([PUB]).result(30) for chosen in (estimator, always, always)]
    Sampler(session).run([measured()], shots=1).result(30)  # the pool has let go of those before
    gc.collect()
    assert first in session.jobs
    assert len(session.jobs) <= 2
    assert session.num_jobs == session.details()["num_jobs"] == 5
    assert len(session.ledger._entries) == 1  # the latest serves as well as those before it
    assert [r.metadata["calibration_shots"] for r in results] == [0, 640, 640]
    assert shots_of(estimator.run([PUB])) == 0


READ = TwirledReadout(3, (0, 1, 2), 32, 20)


def fulfilled(book, requirement, number, conditions=None):
    entry = book.promise(requirement, f"job {number}", number, conditions)
    book.fulfil(entry, number)
    return entry


def test_the_ledger_looks_for_the_newest_that_serves_whatever_was_learned_since():
    book = ledger.Ledger()
    wide, fine = TwirledReadout(3, (0, 1, 2), 64, 10), TwirledReadout(3, (0, 1, 2), 32, 40)
    one, two = fulfilled(book, wide, 0), fulfilled(book, fine, 1)
    assert not wide.serves(fine)
    assert not fine.serves(wide)
    assert wide != fine
    assert book.find(wide, None, 2, 10) is one
    assert book.find(fine, None, 2, 10) is two
    assert book.find(READ, None, 2, 10) is two
    assert book.find(READ, None, 1, 10) is one  # not what later jobs learn
    assert book.find(READ, None, 0, 10) is None
    assert book.find(READ, None, 2, 0) is None


def test_the_ledger_forgets_what_is_lost_or_too_old(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(ledger, "time", SimpleNamespace(monotonic=lambda: now[0]))
    book = ledger.Ledger()
    fulfilled(book, READ, 0)
    other = TwirledReadout(5, (4,), 1, 1)
    lost = book.promise(other, "job 1", 1, None)
    lost.withdraw()
    assert lost.lost
    assert book.find(other, None, 9, 100) is None
    assert len(book._entries) == 1
    now[0] = 50
    assert book.find(READ, None, 9, 10) is None  # another job may accept it
    assert book.find(READ, None, 9, 100).outcome.result() == 0
    now[0] = 101
    assert book.find(READ, None, 9, 100) is None
    assert book._entries == []


def test_conditions_are_compared_last_and_only_once():
    class Slow:
        compared = 0

        def __eq__(self, other):
            Slow.compared += 1
            return True

        __hash__ = None

    book = ledger.Ledger()
    fulfilled(book, TwirledReadout(5, (4,), 1, 1), 0, Slow())
    entry = fulfilled(book, READ, 1, Slow())
    assert Slow.compared == 0  # neither can take the place of the other
    exchange = Exchange(book, 2, 100.0, Slow())
    narrow = TwirledReadout(3, (1,), 32, 20)
    assert exchange.offers([READ, narrow]) == [READ]
    assert Slow.compared == 1
    assert exchange.taken == (entry,)


# --- plans that rely on others -------------------------------------------------------------

STAGES = (Trex(16, 64), Twirl(False, True, 16, 64), Measure())


def plan_of(*observables, shared=(), stages=STAGES):
    tasks = [(stages, ensemble_of(excited(), o)) for o in observables]
    return pipeline.plan(tasks, np.random.default_rng(0), shared=shared)


def test_a_plan_names_what_it_expects_and_combines_with_it():
    learning = plan_of(["ZZZ"])
    samples = sample(learning, ExactSampler(0, readout=READOUT))
    known = pipeline.learned(learning, samples)
    (requirement,) = known
    plan = pickle.loads(pickle.dumps(plan_of(["ZZI"], ["IIZ"], shared=known)))
    assert plan.shared == (requirement,)
    assert plan.experiments == ()
    assert pipeline.cost(plan).calibration_shots == 0
    own = sample(plan, ExactSampler(1, readout=READOUT))
    with pytest.raises(CalibrationError, match=r"plan.shared.*Readout of 3 qubits.*known"):
        pipeline.combine(plan, own)
    for estimate, truth in zip(pipeline.combine(plan, own, known), (1, -1), strict=True):
        assert abs(estimate.value[0] - truth) < 5 * np.sqrt(estimate.variance[0])
    # The plan with the calibration of its own gives the same once it knows the same.
    anew = pipeline.relearning(plan, plan.shared, np.random.default_rng(1))
    assert anew.shared == ()
    assert [e.requirement for e in anew.experiments] == [requirement]
    again = pipeline.combine(anew, [*samples[:1], *own], known)
    assert [e.value for e in again] == [e.value for e in pipeline.combine(plan, own, known)]


def test_a_plan_takes_only_what_is_enough_and_learns_the_rest():
    wide, poor = TwirledReadout(3, (0, 1, 2), 16, 64), TwirledReadout(3, (0, 1, 2), 16, 8)
    assert plan_of(["ZZZ"], shared=[poor]).shared == ()
    mixed = plan_of(["IIZ"], ["ZZI"], shared=[TwirledReadout(3, (0,), 16, 64)])
    assert [r.qubits for r in mixed.shared] == [(0,)]
    assert [e.requirement.qubits for e in mixed.experiments] == [(1, 2)]
    first = plan_of(["IIZ"], shared=[wide, TwirledReadout(3, (0,), 16, 64)])
    assert first.shared == (wide,)
    assert plan_of([{"III": 1.0}], shared=[wide]).shared == ()


def test_sharing_nothing_leaves_a_plan_as_it_was():
    one, other = (
        plan_of(["ZZZ"], ["XII"]),
        plan_of(["ZZZ"], ["XII"], shared=[TwirledReadout(3, (1,), 16, 64)]),
    )
    assert str(one) == str(other)
