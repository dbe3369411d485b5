"""Wrapped backends: code that only knows `backend.run` gains mitigation unchanged."""

import threading
import time

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit import Clbit, Parameter
from qiskit.primitives import BackendSamplerV2, StatevectorSampler
from qiskit.providers import JobStatus, JobTimeoutError, JobV1
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.result import Result
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError

from quell import ExecutionError, InputError, OptionsError, SamplerOptions, wrap
from quell.errors import CancelledError
from quell.options.legacy import LegacyOptionsWarning
from quell.primitives.wrapped import WrappedBackend
from quell.testing.backends import CountingBackend, FailingBackend

TWIRLED = {"twirling": {"enable_gates": True, "enable_measure": True}}


def counts_of(backend, circuits, **options):
    return backend.run(circuits, **options).result().get_counts()


def two_registers():
    """A measurement in the middle, two registers, a bit that is written twice."""
    circuit = QuantumCircuit(QuantumRegister(3, "q"), ClassicalRegister(1, "a"), ClassicalRegister(2, "b"))
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure(0, 0)
    circuit.h(0)
    circuit.x(2)
    circuit.measure([0, 1], [1, 2])
    return circuit


def rotation():
    angle = Parameter("angle")
    circuit = QuantumCircuit(1, 1, name="rotation")
    circuit.rx(angle, 0)
    circuit.measure(0, 0)
    return circuit, angle


def wide():
    """70 bits: more than a machine word."""
    circuit = QuantumCircuit(70, 70)
    circuit.x([0, 3, 69])
    circuit.h(5)
    circuit.measure(range(70), range(70))
    return circuit


def loose_bits():
    circuit = QuantumCircuit(2)
    circuit.add_bits([Clbit(), Clbit()])
    circuit.add_register(ClassicalRegister(1, "r"))
    circuit.x(0)
    circuit.h(1)
    circuit.measure([0, 1, 0], [0, 1, 2])
    return circuit


def shared_bits():
    circuit = QuantumCircuit(2, 2)
    circuit.add_register(ClassicalRegister(name="alias", bits=[circuit.clbits[1]]))
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("make", [two_registers, wide, loose_bits, shared_bits])
def test_without_stages_counts_are_those_of_the_bare_backend(make, memory):
    circuit = make()
    bare = AerSimulator().run(circuit, shots=200, seed_simulator=5, memory=memory).result()
    ours = wrap(AerSimulator()).run(circuit, shots=200, seed_simulator=5, memory=memory).result()
    assert ours.get_counts() == bare.get_counts()
    assert ours.get_counts(circuit) == bare.get_counts(circuit)
    assert ours.get_counts(0).int_outcomes() == bare.get_counts(0).int_outcomes()
    if memory:
        assert ours.get_memory() == bare.get_memory()  # shots in the same order


def test_parameter_binds_are_those_of_aer():
    one, angle = rotation()
    other = Parameter("other")
    two = QuantumCircuit(2, 2)
    two.rx(angle, 0)
    two.ry(angle + other, 1)
    two.measure([0, 1], [0, 1])
    circuits = [one, two, two_registers()]
    binds = [{angle: [0.1, 0.5, 2.0]}, {angle: [0.1], other: [0.7]}, {}]
    options = {"parameter_binds": binds, "shots": 300, "seed_simulator": 3}
    ours = counts_of(wrap(AerSimulator()), circuits, **options)
    assert len(ours) == 5
    assert ours == counts_of(AerSimulator(), circuits, **options)


@pytest.mark.parametrize(
    ("make_binds", "expected"),
    [
        (lambda angle: [{angle: np.pi}], "1"),
        (lambda angle: [{"angle": np.pi}], "1"),
        (lambda angle: [{angle: [np.pi]}], "1"),
        (lambda angle: [{angle: np.array([0.0, np.pi])}], "01"),
        (lambda angle: [{angle: 0.0}, {angle: np.pi}, {angle: 0.0}], "010"),
        (lambda angle: [{angle: [np.pi, 0], Parameter("of another circuit"): [1, 2]}], "10"),
    ],
    ids=["value", "name", "list", "array", "one dict per run", "unused"],
)
@pytest.mark.parametrize("options", [None, TWIRLED], ids=["bare", "twirled"])
def test_parameter_binds_in_all_their_forms(make_binds, expected, options):
    circuit, angle = rotation()
    result = wrap(AerSimulator(), options).run(circuit, parameter_binds=make_binds(angle), shots=20).result()
    assert [result.get_counts(i) for i in range(len(expected))] == [{bit: 20} for bit in expected]
    assert len(result.results) == len(expected)


@pytest.mark.parametrize(
    ("binds", "message"),
    [
        (None, r"'rotation' has parameters without values \(angle\)"),
        ([{}], r"'rotation' has parameters without values \(angle\)"),
        ({"angle": 1.0}, "must be a list of dicts, not dict"),
        ([1.0], "must be a dict, not float"),
        ([{"angle": "east"}], "'east' is not a number"),
        ([{"angle": [1, 2]}, {"angle": [1, 2]}], "has 2 dicts for 1 circuits"),
        ([{"angle": [np.nan]}], "not all finite"),
    ],
)
def test_values_that_do_not_fit_are_named(binds, message):
    circuit, _ = rotation()
    with pytest.raises(InputError, match=message):
        wrap(AerSimulator()).run(circuit, parameter_binds=binds)


def test_lists_of_different_lengths_are_named():
    circuit, angle = rotation()
    other = Parameter("other")
    circuit.rx(other, 0)
    with pytest.raises(InputError, match="different lengths"):
        wrap(AerSimulator()).run(circuit, parameter_binds=[{angle: [1, 2], other: [1, 2, 3]}])


@pytest.mark.parametrize(
    ("run_input", "message"),
    [
        (QuantumCircuit(1), "no classical bits"),
        (QuantumCircuit(1, 1), "no measurements"),
        ([two_registers(), QuantumCircuit(1)], r"run_input\[1\]"),
        ([], "has no circuits"),
        (["circuit"], "is a str"),
        (3, "is a int"),
    ],
)
def test_what_cannot_be_counted_is_refused(run_input, message):
    backend = CountingBackend()
    with pytest.raises(InputError, match=message):
        wrap(backend).run(run_input)
    assert not backend.calls


def readout_noise(probability):
    model = NoiseModel()
    model.add_all_qubit_readout_error(ReadoutError([[1, 0], [probability, 1 - probability]]))
    return model


def test_measurement_twirling_makes_readout_errors_symmetric():
    """Only ones are misread, in 20 %; twirled, zeros and ones are misread in 10 %. Tolerance: 5 sigma."""
    zero, one = QuantumCircuit(1, 1, name="zero"), QuantumCircuit(1, 1, name="one")
    one.x(0)
    zero.measure(0, 0)
    one.measure(0, 0)
    shots = 8192
    backend = wrap(AerSimulator(noise_model=readout_noise(0.2)), {"twirling": {"enable_measure": True}})
    result = backend.run([zero, one], shots=shots, seed_simulator=4).result()
    for circuit, flipped in ((zero, "1"), (one, "0")):
        counts = result.get_counts(circuit)
        assert sum(counts.values()) == shots
        # 32 random members share the shots equally, and each has the error of its own flip.
        assert abs(counts[flipped] / shots - 0.1) < 0.2 * 5 * np.sqrt(0.25 / 32) + 5 * np.sqrt(0.09 / shots)
    bare = counts_of(AerSimulator(noise_model=readout_noise(0.2)), zero, shots=shots)
    assert bare == {"0": shots}


def test_twirled_circuits_give_what_they_gave():
    circuit = QuantumCircuit(3)
    circuit.x(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.measure_all()
    job = wrap(CountingBackend(), TWIRLED).run([circuit, circuit], shots=101, memory=True)
    result = job.result()
    assert [result.get_counts(i) for i in range(2)] == [{"111": 101}] * 2
    assert result.get_memory(1) == ["111"] * 101
    assert "twirl" in str(job.plan()).lower()
    assert result.results[0].metadata["num_randomizations"] == 32


def test_a_script_that_knows_only_transpile_and_run():
    device = GenericBackendV2(4, coupling_map=[[0, 1], [1, 0], [1, 2], [2, 1], [2, 3], [3, 2]], seed=1)
    backend = wrap(AerSimulator.from_backend(device), TWIRLED)
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(0, 2)
    circuit.measure_all()
    counts = backend.run(transpile(circuit, backend, seed_transpiler=1), shots=1000).result().get_counts()
    assert sum(counts.values()) == 1000
    assert counts["000"] + counts["111"] > 800


def test_a_result_says_where_it_is_from():
    circuit = two_registers()
    circuit.metadata = {"mine": 1}
    backend = wrap(AerSimulator())
    job = backend.run(circuit, shots=10)
    result = job.result()
    assert isinstance(job, JobV1)
    assert isinstance(result, Result)
    assert result is job.result()
    assert result.success
    assert result.backend_name == backend.name == "quell(aer_simulator)"
    assert result.job_id == job.job_id()
    assert job.status() is JobStatus.DONE
    assert job.backend() is backend
    header = result.results[0].header
    bare = AerSimulator().run(circuit, shots=10).result().results[0].header
    assert {key: header[key] for key in bare} == bare
    assert header["clbit_labels"] == [["a", 0], ["b", 0], ["b", 1]]
    assert result.results[0].shots == 10
    assert 0 < result.time_taken < 60
    assert Result.from_dict(result.to_dict()).get_counts() == result.get_counts()


def test_messages_are_in_the_words_of_run():
    device = GenericBackendV2(3, basis_gates=["cx", "rz", "sx", "x"], seed=1)
    good = QuantumCircuit(1, 1)
    good.measure(0, 0)
    with pytest.raises(InputError) as error:
        wrap(device).run([good, two_registers()])
    assert {problem.path for problem in error.value.problems} == {"run_input[1].circuit"}


def test_waiting_for_a_job_takes_no_longer_than_the_job():
    started = time.monotonic()
    job = wrap(AerSimulator()).run(two_registers(), shots=10)
    job.wait_for_final_state()
    assert job.in_final_state()
    assert time.monotonic() - started < 4  # the base class would sleep for 5 s
    failing = wrap(FailingBackend(fail_at=0)).run(two_registers())
    failing.wait_for_final_state(timeout=30)
    assert failing.status() is JobStatus.ERROR


def test_waiting_for_a_job_calls_back_and_gives_up_in_time():
    class Gated(CountingBackend):
        opened = threading.Event()

        def run(self, run_input, **options):
            assert self.opened.wait(30)
            return super().run(run_input, **options)

    backend, calls = Gated(), []
    job = wrap(backend).run(two_registers(), shots=10)
    with pytest.raises(JobTimeoutError, match="still running after"):
        job.wait_for_final_state(timeout=0.2, wait=0.05, callback=lambda *call: calls.append(call))
    assert len(calls) >= 2
    assert calls[0] == (job.job_id(), JobStatus.RUNNING, job)
    backend.opened.set()
    job.wait_for_final_state(timeout=30)
    assert job.done()


def test_a_failing_device_raises_from_the_job():
    job = wrap(FailingBackend(fail_at=0)).run(two_registers())
    with pytest.raises(ExecutionError, match="on fire"):
        job.result()
    assert job.status() is JobStatus.ERROR


def test_a_job_can_be_cancelled_and_keeps_what_was_measured():
    class Gated(CountingBackend):
        entered, opened = threading.Event(), threading.Event()

        def run(self, run_input, **options):
            if self.num_runs == 1:
                self.entered.set()
                assert self.opened.wait(30)
            job = super().run(run_input, **options)
            job.result()  # has ended when it is returned
            return job

    backend = Gated(max_circuits=1)
    job = wrap(backend).run([two_registers()] * 4, shots=10)
    assert backend.entered.wait(30)
    assert job.running()
    assert job.cancel()
    backend.opened.set()
    with pytest.raises(CancelledError, match="2 of 4") as error:
        job.result(timeout=30)
    assert job.cancelled()
    assert len(error.value.partial.chunks) == 2
    assert backend.num_runs == 2


def test_a_run_may_have_more_circuits_than_the_backend_inside_takes():
    inner = CountingBackend(max_circuits=2)
    result = wrap(inner).run([two_registers()] * 5, shots=10).result()
    assert len(result.results) == 5
    assert inner.num_circuits == 5


def test_shots_default_to_those_of_the_options():
    backend = wrap(AerSimulator(), {"default_shots": 77})
    assert sum(counts_of(backend, shared_bits()).values()) == 77
    backend.set_options(shots=78)
    assert sum(counts_of(backend, shared_bits()).values()) == 78
    assert sum(counts_of(wrap(AerSimulator(), shots=79), shared_bits()).values()) == 79
    assert sum(counts_of(backend, shared_bits(), shots=5).values()) == 5
    with pytest.raises(InputError, match="shots"):
        backend.run(shared_bits(), shots=0)


def shots_of(backend):
    used = sum(counts_of(backend, shared_bits()).values())
    assert backend.options.shots == used  # what code that asks is told
    return used


def test_a_script_that_gives_no_shots_keeps_its_number():
    inner = AerSimulator(shots=60)
    assert shots_of(wrap(AerSimulator())) == 1024
    assert shots_of(wrap(inner)) == shots_of(wrap(inner, SamplerOptions())) == 60
    assert shots_of(wrap(inner, TWIRLED)) == shots_of(wrap(wrap(inner), {"seed": 1})) == 60
    assert shots_of(wrap(inner, {"default_shots": 4096})) == 4096  # set, though it is the default
    assert shots_of(wrap(inner, shots=4096)) == 4096
    numbers = {"enable_gates": True, "num_randomizations": 5, "shots_per_randomization": 3}
    assert shots_of(wrap(inner, {"twirling": numbers})) == 15
    backend = wrap(inner)
    inner.set_options(shots=61)
    assert shots_of(backend) == 61
    backend.set_options(shots=50)
    assert shots_of(backend) == 50
    assert inner.options.shots == 61
    backend.quell_options = {"default_shots": 30}
    assert shots_of(backend) == 30


class Silent(CountingBackend):
    """A simulator that lists no options of `run`."""

    def set_options(self, **fields):
        pass


def test_shots_are_those_of_the_sampler_where_the_backend_has_none():
    backend = wrap(Silent())
    assert shots_of(backend) == 4096
    backend.set_options(shots=7)
    assert shots_of(backend) == 7


def test_options_are_copied_on_entry():
    options = SamplerOptions(default_shots=10)
    backend = wrap(AerSimulator(), options)
    options.default_shots = 20
    assert backend.quell_options.default_shots == 10
    backend.quell_options.twirling.enable_measure = True
    backend.run(shared_bits(), shots=4, seed_simulator=1, method="statevector").result()
    assert backend.quell_options.diff() == {"default_shots": 10, "twirling": {"enable_measure": True}}
    backend.quell_options = {"default_shots": 30}
    assert backend.quell_options == SamplerOptions(default_shots=30)


def test_keywords_of_the_backend_inside_reach_it_unchanged():
    inner = CountingBackend()
    wrap(inner, method="statevector").run(
        shared_bits(), fusion_enable=False, seed_simulator=0, shots=10
    ).result()
    (call,) = inner.calls
    assert call.options == {"method": "statevector", "fusion_enable": False, "seed_simulator": 0, "shots": 10}


def test_keywords_of_run_win_over_options():
    inner = CountingBackend()
    options = {"simulator": {"seed_simulator": 1}, "execution": {"run_options": {"method": "stabilizer"}}}
    backend = wrap(inner, options)
    backend.run(shared_bits(), method="statevector", seed_simulator=2).result()
    wrap(inner, seed_simulator=4).run(shared_bits(), seed_simulator=None).result()
    assert inner.calls[0].options["method"] == "statevector"
    assert [call.options["seed_simulator"] for call in inner.calls] == [2, 4]


def test_a_noise_model_may_be_given_to_run():
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    assert counts_of(wrap(AerSimulator()), circuit, noise_model=readout_noise(1.0), shots=9) == {"0": 9}
    assert counts_of(wrap(AerSimulator(), noise_model=readout_noise(1.0)), circuit, shots=9) == {"0": 9}
    with pytest.raises(InputError, match=r"options\.simulator\.noise_model"):
        wrap(AerSimulator()).run(circuit, noise_model="loud")


def test_legacy_keywords_are_translated_with_one_warning_that_shows_the_line():
    with pytest.warns(LegacyOptionsWarning, match="optimization_level") as caught:
        counts = counts_of(wrap(AerSimulator()), shared_bits(), optimization_level=3, shots=10)
    assert sum(counts.values()) == 10
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(LegacyOptionsWarning) as caught:
        wrap(AerSimulator(), optimization_level=3)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("make", [wrap, WrappedBackend], ids=["wrap", "class"])
def test_legacy_keys_of_options_are_translated_with_one_warning_that_shows_the_line(make):
    with pytest.warns(LegacyOptionsWarning, match="shots = 100") as caught:
        backend = make(AerSimulator(), {"shots": 100})
    assert [warning.filename for warning in caught] == [__file__]
    assert backend.quell_options.diff() == {"default_shots": 100}
    with pytest.warns(LegacyOptionsWarning, match="shots = 50") as caught:
        backend.quell_options = {"shots": 50, "twirling": {"enable_gates": True}}
    assert [warning.filename for warning in caught] == [__file__]
    assert backend.quell_options.diff() == {"default_shots": 50, "twirling": {"enable_gates": True}}
    with pytest.warns(LegacyOptionsWarning) as caught:
        make(AerSimulator(), optimization_level=3)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize(
    ("options", "message"), [({"no_such_keyword": 3}, "no_such_keyword"), ({"meas_level": 1}, "meas_type")]
)
@pytest.mark.filterwarnings("ignore::quell.options.legacy.LegacyOptionsWarning")
def test_keywords_that_cannot_be_honoured_are_refused(options, message):
    inner = CountingBackend()
    with pytest.raises(OptionsError, match=message):
        wrap(inner).run(shared_bits(), **options)
    assert not inner.calls


def test_what_is_no_backend_is_refused():
    with pytest.raises(InputError, match="must be a BackendV2"):
        wrap(StatevectorSampler())
    with pytest.raises(OptionsError):
        wrap(AerSimulator(), {"no_such_option": 1})


@pytest.mark.parametrize("options", [None, TWIRLED], ids=["bare", "twirled"])
def test_backend_sampler_runs_on_it(options):
    circuit, _ = rotation()
    sampler = BackendSamplerV2(backend=wrap(AerSimulator(), options))
    result = sampler.run([(circuit, [[0.0], [np.pi]]), (two_registers(),)], shots=64).result()
    assert [result[0].data.c[i].get_counts() for i in range(2)] == [{"0": 64}, {"1": 64}]
    assert result[1].data.b.num_shots == 64
    assert set(result[1].data.a.get_counts()) == {"0", "1"}
