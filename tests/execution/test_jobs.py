"""Jobs: states, time-outs, cancelling."""

import threading

import pytest
from qiskit import QuantumCircuit
from qiskit.primitives import StatevectorSampler
from qiskit.providers import JobStatus

from quell import Estimator


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
    from quell.execution import runner

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
