"""Jobs: states, time-outs, cancelling, limits, logs and tags."""

import logging
import subprocess
import sys
import threading
import time
from datetime import datetime

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.primitives import StatevectorSampler
from qiskit.providers import JobStatus

from quell import Estimator, ExecutionError, Sampler, Session
from quell.errors import CancelledError
from quell.execution import runner
from quell.testing import CountingBackend, ExactSampler, FailingBackend, ReadoutModel

PUB = (QuantumCircuit(1), "Z")


class Gate:
    """A sampler function that waits until it is let through."""

    def __init__(self):
        self.entered, self.open = threading.Event(), threading.Event()

    def __call__(self, pubs):
        self.entered.set()
        assert self.open.wait(30)
        return list(StatevectorSampler().run(pubs).result())


def started():
    gate = Gate()
    circuit = QuantumCircuit(1)
    job = Estimator(gate, {"seed": 1}).run([(circuit, "Z")], precision=0.1)
    assert gate.entered.wait(30)
    return gate, job


def test_a_job_goes_from_running_to_done_and_keeps_its_result_and_samples():
    gate, job = started()
    assert job.running()
    assert not job.done()
    assert not job.in_final_state()
    assert job.samples() is None
    with pytest.raises(TimeoutError, match="still running"):
        job.result(timeout=0.05)
    gate.open.set()
    first = job.result(timeout=30)
    assert job.done()
    assert job.in_final_state()
    assert job.status() is JobStatus.DONE
    assert job.result() is first
    assert len(job.samples()) == len(job.plan().experiments) + 1
    assert not job.cancel()


def test_a_cancelled_job_says_so(monkeypatch):
    monkeypatch.setattr(runner, "CHUNK_BYTES", 100)
    gate, job = started()
    assert job.cancel()
    gate.open.set()
    with pytest.raises(InterruptedError):
        job.result(timeout=30)
    assert job.cancelled()
    assert job.status() is JobStatus.CANCELLED
    assert not job.done()


def test_many_threads_get_the_same_result():
    gate, job = started()
    gate.open.set()
    results = []
    threads = [threading.Thread(target=lambda: results.append(job.result(30))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(result) for result in results}) == 1


def test_jobs_answer_what_scripts_for_the_vendors_runtime_ask():
    gate = Gate()
    before = datetime.now().astimezone()
    with Session(gate) as session:
        first, second = (Estimator(options={"seed": 1}).run([PUB], precision=0.1) for _ in range(2))
    assert gate.entered.wait(30)
    with pytest.raises(TimeoutError, match=r"still running after 0.01 s"):
        first.wait_for_final_state(timeout=0.01)
    with pytest.raises(TimeoutError, match=r"still queued"):
        second.wait_for_final_state(0.01)
    assert first.error_message() is None
    assert second.cancel()
    second.wait_for_final_state()
    assert "cancelled before it started" in second.error_message()
    gate.open.set()
    assert first.wait_for_final_state(30) is None
    assert first.error_message() is None
    assert first.backend() is gate
    assert first.session_id == session.session_id
    assert before <= first.creation_date <= datetime.now().astimezone()
    backend = FailingBackend(fail_at=0)
    alone = Estimator(backend).run([PUB], precision=0.1)
    alone.wait_for_final_state(30)
    assert alone.backend() is backend
    assert alone.session_id is None
    assert "on fire" in alone.error_message()


AT_EXIT = """
import sys, time
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator
from quell import Sampler, Session
from quell.testing import CountingBackend

class Slow(CountingBackend):
    def run(self, *args, **kwargs):
        time.sleep(0.3)
        return super().run(*args, **kwargs)

circuit = QuantumCircuit(1)
circuit.measure_all()
backend = Slow(AerSimulator(), max_circuits=1)
say = lambda name: lambda done, total: print(name, done, flush=True)
session = Session(backend)
for name in ("first", "queued"):
    Sampler(session, progress=say(name)).run([circuit] * 2, shots=5)
Sampler(backend, progress=say("alone")).run([circuit] * 2, shots=5)
del session
print("end", flush=True)
"""


def test_the_end_of_the_program_waits_for_running_and_queued_jobs():
    """Jobs begin runs of the device, on threads of its own, after the program's last line."""
    done = subprocess.run([sys.executable, "-c", AT_EXIT], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "end"
    assert sorted(lines[1:]) == sorted(f"{name} {n}" for name in ("first", "queued", "alone") for n in (1, 2))


# --- what was measured is kept -------------------------------------------------------------


def sweep():
    """Three parameter sets: 96 circuits of data besides the calibration."""
    from qiskit.circuit import Parameter

    angle = Parameter("angle")
    circuit = QuantumCircuit(1)
    circuit.rx(angle, 0)
    return circuit, "Z", [[0.0], [1.0], [2.0]]


def measured_in(partial, job):
    """Number of circuits in what is left of a job; every chunk fits its program."""
    from quell.pipeline import leaves

    programs = leaves(job.plan())
    for chunk, samples in partial.chunks:
        assert 0 <= chunk.start < chunk.stop <= programs[chunk.program].num_members
        assert len(samples.shots) == chunk.stop - chunk.start
        assert (samples.shots == programs[chunk.program].shots).all()
    return sum(chunk.stop - chunk.start for chunk, _ in partial.chunks)


def test_a_job_out_of_time_stops_and_keeps_what_it_measured(monkeypatch):
    monkeypatch.setattr(runner, "CHUNK_BYTES", 400)
    calls = []

    def slow(pubs):
        calls.append(pubs)
        if len(calls) == 3:
            time.sleep(1.3)
        return list(StatevectorSampler(seed=1).run(pubs).result())

    job = Estimator(slow, {"seed": 1, "max_execution_time": 1}).run([sweep()], precision=0.1)
    rule = r"options.max_execution_time: is 1 s, and they have passed; (\d+) of 128 circuits were measured"
    with pytest.raises(CancelledError, match=rule) as error:
        job.result(30)
    assert isinstance(error.value, ExecutionError)
    number = measured_in(error.value.partial, job)
    assert 0 < number < 128
    assert f" {number} of 128" in str(error.value)
    assert len(calls) == 3
    assert job.status() is JobStatus.CANCELLED
    assert "WARNING: CancelledError: options.max_execution_time" in job.logs()


def test_a_limit_that_is_not_reached_changes_nothing():
    def values(**options):
        job = Estimator(ExactSampler(1), {"seed": 1, **options}).run([sweep()], precision=0.1)
        return job.result(30)[0].data.evs

    assert np.array_equal(values(), values(max_execution_time=100))
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(5)
            assert not thread.is_alive()


def test_a_cancelled_job_keeps_what_it_measured():
    backend = CountingBackend(max_circuits=8)
    seen, cancel = [], threading.Event()

    def progress(done, total):
        seen.append((done, total))
        assert cancel.wait(30)

    job = Estimator(backend, {"seed": 1}, progress=progress).run([sweep()], precision=0.1)
    while not seen:
        time.sleep(0.001)
    assert job.cancel()
    cancel.set()
    with pytest.raises(CancelledError) as error:
        job.result(30)
    assert 8 <= measured_in(error.value.partial, job) == seen[-1][0] < 128
    assert job.samples() is None


def test_a_failed_job_says_error_and_keeps_what_it_measured():
    backend = FailingBackend(max_circuits=32, fail_at=2)
    job = Estimator(backend, {"seed": 1, "environment": {"log_level": "ERROR"}}).run([sweep()], precision=0.1)
    with pytest.raises(ExecutionError, match="on fire") as error:
        job.result(30)
    assert measured_in(error.value.partial, job) == 64
    assert job.status() is JobStatus.ERROR
    (line,) = job.logs().splitlines()
    assert "ERROR: ExecutionError: the device failed after 64 of 128" in line


# --- logs and tags -------------------------------------------------------------------------


def run_logged(level, **options):
    environment = {"log_level": level, "job_tags": ["one", "two"]}
    estimator = Estimator(ExactSampler(1), {"seed": 1, "environment": environment, **options})
    job = estimator.run([(QuantumCircuit(1), "Z")], precision=0.1)
    return job, job.result(30)


def test_tags_are_on_the_job_and_in_the_metadata():
    job, result = run_logged("WARNING")
    assert job.tags == ("one", "two")
    assert result.metadata["job_tags"] == ["one", "two"]
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    untagged = Sampler(ExactSampler(1)).run([circuit], shots=1)
    assert untagged.tags == ()
    assert untagged.result(30).metadata["job_tags"] == []


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
def test_logs_are_kept_from_their_level_on(level):
    twirling = {"num_randomizations": 1}
    job, _ = run_logged(level, twirling=twirling)
    names = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    found = {name for name in names if f" {name}: " in job.logs()}
    assert found == {"DEBUG", "INFO", "WARNING"} & set(names[names.index(level) :])
    if level == "DEBUG":
        lines = job.logs().splitlines()
        for text in (
            "INFO: planned 2 circuits, 200 shots",
            "INFO: started on callable",
            "DEBUG: 2 of 2 circuits measured",
            "WARNING: pubs[0]: one randomization",
            "INFO: finished after ",
        ):
            assert sum(text in line for line in lines) == 1, text


def test_a_lost_signal_is_a_warning_in_metadata_and_logs():
    mode = ExactSampler(1, readout=ReadoutModel.uniform(4, 0.35))
    job = Estimator(mode, {"seed": 1}).run([(QuantumCircuit(4), "ZZZZ")], precision=0.1)
    result = job.result(30)
    assert result[0].metadata["warning"] == "readout has lost the signal of 1 terms"
    assert "WARNING: pubs[0]: readout has lost the signal" in job.logs()


def test_records_reach_the_logger_and_logging_is_not_set_up(caplog):
    logger = logging.getLogger("quell")
    before = (logger.level, list(logger.handlers), logger.propagate, logging.getLogger().level)
    with caplog.at_level(logging.INFO, logger="quell"):
        job, _ = run_logged("CRITICAL")
    records = [r for r in caplog.records if r.job_id == job.job_id()]
    assert any("finished after" in r.getMessage() for r in records)
    assert all(r.levelno >= logging.INFO and r.name == "quell" for r in records)
    assert job.logs() == ""
    assert before == (logger.level, list(logger.handlers), logger.propagate, logging.getLogger().level)


def test_a_handler_that_raises_decides_neither_how_a_job_ends_nor_a_session():
    class Broken(logging.Handler):
        def emit(self, record):
            raise RuntimeError("disk full")

    handler, logger = Broken(), logging.getLogger("quell")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        session = Session(FailingBackend(fail_at=0))
        environment = {"log_level": "DEBUG"}
        jobs = [Estimator(session, {"environment": environment}).run([PUB], precision=0.1) for _ in range(2)]
        with pytest.raises(ExecutionError, match="on fire"):
            jobs[0].result(30)
        jobs[1].result(30)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert [job.status() for job in jobs] == [JobStatus.ERROR, JobStatus.DONE]
    assert "finished after" in jobs[1].logs()
