"""Adapters: chunks, registers, result formats, failures."""

import threading

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.primitives import BitArray, DataBin, StatevectorSampler
from qiskit.providers import BackendV2, Options
from qiskit.result import Result
from qiskit.result.models import ExperimentResult, ExperimentResultData
from qiskit.transpiler import Target
from qiskit_aer import AerSimulator

from quell import Estimator, ExecutionError, OptionsError, Sampler
from quell.circuits.gatesets import choose
from quell.circuits.program import Program
from quell.circuits.template import template_of
from quell.circuits.twirling import draws_of
from quell.errors import CancelledError
from quell.execution import runner
from quell.execution.adapters import runner_for
from quell.testing.backends import CountingBackend, FailingBackend


def program_of(circuit, values=((),), randomizations=4, shots=10, twirled=True):
    template = template_of(circuit)
    values = np.array(values, dtype=float).reshape(len(values), circuit.num_parameters)
    return Program(
        template=template,
        parameter_values=values,
        parameter_sets=np.arange(len(values)),
        bases=np.zeros((len(values), len(template.terminals)), dtype=np.uint8),
        shots=shots,
        gate_set=choose(template.written, None),
        draws=draws_of(np.random.default_rng(3), gates=twirled, measure=False, group="pauli"),
        randomizations=(0, randomizations),
    )


def run(mode, programs, seed=1):
    return runner_for(mode).run(
        programs, seed=seed, progress=lambda done, total: None, cancelled=threading.Event()
    )


def registers_circuit():
    """Bits with a known value in three registers, one of nine bits, one sharing bits with another."""
    qubits = QuantumRegister(4)
    small, wide = ClassicalRegister(2, "small"), ClassicalRegister(9, "wide")
    alias = ClassicalRegister(name="alias", bits=[wide[8], small[0]])
    circuit = QuantumCircuit(qubits, small, wide, alias)
    angle = Parameter("angle")
    circuit.rx(angle, 0)
    circuit.x(2)
    circuit.cx(0, 1)
    circuit.measure([0, 1, 2, 3], [small[1], wide[8], wide[0], wide[3]])
    return circuit


@pytest.mark.parametrize(
    "mode",
    [
        lambda: AerSimulator(),
        lambda: CountingBackend(),
        lambda: CountingBackend(max_circuits=1),
        lambda: StatevectorSampler(seed=np.random.default_rng(0)),
    ],
    ids=["binds", "bound", "one at a time", "sampler"],
)
def test_bits_land_in_their_registers(mode):
    program = program_of(registers_circuit(), values=[[0.0], [np.pi]], randomizations=3)
    (samples,) = run(mode(), [program])
    assert samples.num_bits == {"small": 2, "wide": 9, "alias": 2}
    assert samples.bits["wide"].shape == (6, 10, 2)
    for member in range(6):
        on = member >= 3
        assert (samples.bits["small"][member] == 2 * on).all()
        assert (samples.bits["wide"][member] == ([on, 1] if on else [0, 1])).all()
        assert (samples.bits["alias"][member] == on).all()


def test_chunks_of_any_size_return_all_members_in_order(monkeypatch):
    circuit = QuantumCircuit(2, 2)
    angle = Parameter("angle")
    circuit.rx(angle, 0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    flips = [0, 1, 1, 0, 1, 0, 0, 1, 1, 1]
    program = program_of(circuit, values=[[np.pi * flip] for flip in flips], randomizations=3)
    monkeypatch.setattr(runner, "CHUNK_BYTES", 400)
    for mode in (
        AerSimulator(),
        CountingBackend(max_circuits=4),
        StatevectorSampler(seed=np.random.default_rng(1)),
    ):
        calls = []
        runner_for(mode).run(
            [program, program],
            seed=1,
            progress=lambda done, total, calls=calls: calls.append((done, total)),
            cancelled=threading.Event(),
        )
        samples = run(mode, [program, program])
        for sample in samples:
            assert (sample.bits["c"][:, 0, 0] == 3 * np.repeat(flips, 3)).all()
        assert len(calls) > 2
        assert calls[-1] == (60, 60)
        assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_failure_keeps_what_was_measured_and_names_the_cause():
    backend = FailingBackend(fail_at=3, max_circuits=8)
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    job = Estimator(backend, {"twirling": {"enable_gates": True}, "seed": 0}).run([(circuit, ["ZZ", "XX"])])
    with pytest.raises(
        ExecutionError, match=r"after \d+ of 96 circuits: RuntimeError: the device is on fire"
    ) as error:
        job.result()
    assert isinstance(error.value.__cause__, RuntimeError)
    kept = error.value.partial.chunks
    assert sum(c.stop - c.start for c, _ in kept) == 24  # three runs of eight were submitted before
    assert all(len(samples.shots) == c.stop - c.start for c, samples in kept)


@pytest.mark.parametrize("max_circuits", [None, 1, 7, 40])
def test_programs_share_runs_of_equal_shots_up_to_the_limit(max_circuits):
    """10 + 30 members of 10 shots and 5 of 20: calibration and data meet the device together."""
    backend = CountingBackend(max_circuits=max_circuits)
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    programs = [program_of(circuit, randomizations=n, shots=s) for n, s in ((10, 10), (30, 10), (5, 20))]
    samples = run(backend, programs)
    assert [len(s.shots) for s in samples] == [10, 30, 5]
    assert [set(s.shots.tolist()) for s in samples] == [{10}, {10}, {20}]
    limit = max_circuits or 100
    sizes = [min(limit, 40 - i) for i in range(0, 40, limit)] + [
        min(limit, 5 - i) for i in range(0, 5, limit)
    ]
    assert [call.num_circuits for call in backend.calls] == sizes


def test_a_failing_sampler_keeps_earlier_calls(monkeypatch):
    monkeypatch.setattr(runner, "CHUNK_BYTES", 400)
    calls = []

    def flaky(pubs):
        calls.append(pubs)
        if len(calls) == 3:
            raise ConnectionError("gone")
        return list(StatevectorSampler().run(pubs).result())

    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    circuit.x(0)
    wide = program_of(registers_circuit(), values=[[0.1 * i] for i in range(20)])
    with pytest.raises(ExecutionError, match="ConnectionError: gone") as error:
        run(flaky, [wide])
    chunks = error.value.partial.chunks
    assert [c.start for c, _ in chunks] == sorted(c.start for c, _ in chunks)
    assert len(chunks) >= 2
    assert all(len(s.shots) == c.stop - c.start for c, s in chunks)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda pubs: [], "1 PUBs were given, 0 results came back"),
        (lambda pubs: [{"other": BitArray(np.zeros((4, 10, 1), np.uint8), 1)}], "no register 'c'"),
        (lambda pubs: [{"c": BitArray(np.zeros((3, 10, 1), np.uint8), 1)}], "shape"),
        (lambda pubs: [{"c": np.zeros(4)}], "not a BitArray"),
    ],
)
def test_wrong_answers_of_a_callable_are_named(answer, message):
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with pytest.raises(ExecutionError, match=message):
        run(answer, [program_of(circuit)])


@pytest.mark.parametrize("kind", [dict, DataBin])
def test_a_callable_may_answer_with_mappings_or_data_bins(kind):
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)

    def ones(pubs):
        array = BitArray(np.ones((4, 10, 1), np.uint8), 1)
        return [DataBin(c=array, shape=(4,)) if kind is DataBin else {"c": array}]

    (samples,) = run(ones, [program_of(circuit)])
    assert samples.bits["c"].all()
    assert samples.shots.tolist() == [10] * 4


class Scripted(BackendV2):
    """A backend that returns chosen counts, to see how result formats are read."""

    def __init__(self, counts):
        super().__init__(name="scripted")
        self.counts = counts

    @classmethod
    def _default_options(cls):
        return Options(shots=10)

    @property
    def target(self):
        return Target(num_qubits=4)

    @property
    def max_circuits(self):
        return None

    def run(self, run_input, **options):
        results = [ExperimentResult(10, True, ExperimentResultData(counts=c)) for c in self.counts]
        result = Result(backend_name="scripted", job_id="j", success=True, results=results)
        return type("Job", (), {"result": lambda self: result, "cancel": lambda self: True})()


def plain():
    circuit = QuantumCircuit(2, 2)
    circuit.measure([0, 1], [0, 1])
    return program_of(circuit, randomizations=2, twirled=False)


@pytest.mark.parametrize(
    "counts",
    [
        {"0x2": 7, "0x1": 3},
        {"10": 7, "01": 3},
        {"1 0": 7, "0 1": 3},
        {2: 7, 1: 3},
        {np.int64(2): np.int64(7), np.uint8(1): 3.0},
    ],
)
def test_hexadecimal_binary_and_plain_numbers_are_read_alike(counts):
    (samples,) = run(Scripted([counts, counts]), [plain()])
    assert samples.bits["c"][0, :, 0].tolist() == [2] * 7 + [1] * 3


def test_dropped_shots_are_counted_as_they_came():
    (samples,) = run(Scripted([{"0x3": 10}, {"0x3": 4}]), [plain()])
    assert samples.shots.tolist() == [10, 4]


@pytest.mark.parametrize("count", [0.5, 2.5, -1, float("nan"), float("inf"), "7", None])
def test_counts_that_are_no_numbers_of_shots_are_named(count):
    with pytest.raises(ExecutionError, match=rf"outcome '0x1' has count {count!r}, which is not a number of"):
        run(Scripted([{"0x1": count, "0x0": 3}] * 2), [plain()])


@pytest.mark.parametrize("outcome", ["0x4", "0xff", "100", 4, -1])
def test_outcomes_wider_than_the_classical_bits_are_named(outcome):
    with pytest.raises(ExecutionError, match=rf"outcome {outcome!r} does not fit the 2 classical bits"):
        run(Scripted([{outcome: 10}] * 2), [plain()])


def test_shots_that_are_missing_are_in_metadata_with_a_warning():
    backend = Scripted([{"0x3": 4}])
    job = Sampler(backend).run([plain().template.circuit], shots=10)
    metadata = job.result()[0].metadata
    assert (metadata["shots"], metadata["executed_shots"]) == (10, 4)
    assert metadata["warning"] == "10 shots were asked for, the device returned 4"
    assert metadata["warning"] in job.logs()
    job = Estimator(Scripted([{"0x0": 4}]), {"resilience_level": 0}).run(
        [(QuantumCircuit(1), "Z")], precision=0.25
    )
    metadata = job.result()[0].metadata
    assert (metadata["shots"], metadata["executed_shots"]) == (16, 4)
    assert metadata["warning"] == "16 shots were asked for, the device returned 4"
    assert (
        "warning"
        not in Sampler(Scripted([{"0x3": 4}])).run([plain().template.circuit], shots=4).result()[0].metadata
    )


def test_a_callback_that_raises_is_no_failure_of_the_device():
    calls = []

    def progress(done, total):
        calls.append(done)
        raise ZeroDivisionError("of the user")

    backend = CountingBackend(max_circuits=1)
    job = Sampler(backend, progress=progress).run([plain().template.circuit] * 3, shots=10)
    assert [pub.data.c.num_shots for pub in job.result()] == [10, 10, 10]
    assert calls == [1]
    assert "ZeroDivisionError: of the user" in job.logs()


def test_calls_are_filled_up_to_the_memory_that_they_may_take(monkeypatch):
    """A member of the circuit takes 3 angles of 8 bytes for each of its 4 qubits: 96 bytes."""
    monkeypatch.setattr(runner, "CHUNK_BYTES", 400)
    shapes = []

    def function(pubs):
        shapes.append([pub.shape for pub in pubs])
        return list(StatevectorSampler(seed=1).run(pubs).result())

    (sizes,) = {len(program_of(registers_circuit(), values=[[0.1]]).touched_indices) * 24}
    fits = 400 // sizes
    run(function, [program_of(registers_circuit(), values=[[0.1]], randomizations=n) for n in (3, 7)])
    totals = [sum(int(np.prod(shape)) for shape in call) for call in shapes]
    assert totals == [fits] * (10 // fits) + [10 % fits] * bool(10 % fits)


@pytest.mark.parametrize(
    ("counts", "message"),
    [([{"0x0": 10}], "2 circuits were submitted, 1 results"), ([{}, {}], "no experiment returned")],
)
def test_missing_results_are_an_error(counts, message):
    with pytest.raises(ExecutionError, match=message):
        run(Scripted(counts), [plain()])


class Stalling(CountingBackend):
    """A backend whose jobs end only where they are told to; others wait until the test is over."""

    def __init__(self, ending, **kwargs):
        super().__init__(**kwargs)
        self.ending, self.asked, self.cancelled, self.over = ending, threading.Event(), [], threading.Event()

    def run(self, run_input, **options):
        number = self.num_runs
        inner = super().run(run_input, **options)
        if number in self.ending:
            inner.result()  # has ended before anybody asks
            return inner
        return StalledJob(self, number)


class StalledJob:
    def __init__(self, backend, number):
        self.backend, self.number = backend, number

    def result(self):
        self.backend.asked.set()
        self.backend.over.wait(30)
        raise RuntimeError("stalled")

    def done(self):
        return False

    def cancel(self):
        self.backend.cancelled.append(self.number)
        return True


def cancel_when(asked, cancelled):
    thread = threading.Thread(target=lambda: asked.wait(30) and cancelled.set(), daemon=True)
    thread.start()


def run_cancelled(mode, programs, cancelled):
    with pytest.raises(CancelledError) as error:
        runner_for(mode).run(programs, seed=1, progress=lambda done, total: None, cancelled=cancelled)
    return error.value


def test_cancelling_leaves_stalled_runs_and_keeps_those_that_have_ended():
    backend, cancelled = Stalling(ending={0, 2}, max_circuits=8), threading.Event()
    program = program_of(plain().template.circuit, randomizations=32)
    cancel_when(backend.asked, cancelled)
    error = run_cancelled(backend, [program], cancelled)
    backend.over.set()
    assert backend.cancelled[0] == 1
    assert 2 not in backend.cancelled  # it had ended: there was nothing to cancel
    chunks = [(chunk.start, chunk.stop) for chunk, _ in error.partial.chunks]
    assert chunks == [(0, 8), (16, 24)]
    assert all(samples.shots.tolist() == [10] * 8 for _, samples in error.partial.chunks)
    assert "cancelled" in str(error)
    assert isinstance(error, InterruptedError)


def test_nothing_is_submitted_after_cancelling():
    backend, cancelled = CountingBackend(), threading.Event()
    cancelled.set()
    error = run_cancelled(backend, [plain()], cancelled)
    assert backend.calls == []
    assert error.partial.chunks == ()


def test_a_run_that_was_complete_when_cancelled_is_returned():
    cancelled = threading.Event()
    samples = runner_for(CountingBackend()).run(
        [plain()], seed=1, progress=lambda done, total: cancelled.set(), cancelled=cancelled
    )
    assert samples[0].shots.tolist() == [10, 10]


def test_cancelling_keeps_what_a_function_returned(monkeypatch):
    monkeypatch.setattr(runner, "CHUNK_BYTES", 400)
    cancelled = threading.Event()

    def function(pubs):
        cancelled.set()
        return list(StatevectorSampler(seed=1).run(pubs).result())

    program = program_of(registers_circuit(), values=[[0.1 * i] for i in range(20)])
    error = run_cancelled(function, [program], cancelled)
    assert len(error.partial.chunks) == 1


def test_cancelling_cancels_the_job_of_a_sampler():
    cancelled, asked, over, stopped = (threading.Event() for _ in range(4))

    class Job:
        def result(self):
            asked.set()
            over.wait(30)

        def done(self):
            return False

        def cancel(self):
            stopped.set()

    class Sampler(StatevectorSampler):
        def run(self, pubs, *, shots=None):
            return Job()

    cancel_when(asked, cancelled)
    error = run_cancelled(Sampler(), [plain()], cancelled)
    over.set()
    assert stopped.is_set()
    assert error.partial.chunks == ()


def test_a_job_that_times_out_is_a_failure():
    class Job:
        def result(self):
            raise TimeoutError("too long")

    class Slow(CountingBackend):
        def run(self, run_input, **options):
            return Job()

    with pytest.raises(ExecutionError, match="TimeoutError: too long") as error:
        run(Slow(), [plain()])
    assert not isinstance(error.value, CancelledError)


def test_run_options_reach_the_backend_and_are_refused_elsewhere():
    backend = CountingBackend()
    circuit = QuantumCircuit(1)
    options = {"execution": {"run_options": {"method": "stabilizer"}}, "seed": 1}
    Estimator(backend, options).run([(circuit, "Z")]).result()
    assert all(call.options["method"] == "stabilizer" for call in backend.calls)
    with pytest.raises(OptionsError, match=r"run_options: are arguments of backend\.run"):
        Estimator(StatevectorSampler(), options).run([(circuit, "Z")])
