"""Kerneled measurements on their way from a backend's result to samples, and the fake that gives them.

Means of clouds are compared with what they should be in standard errors; beyond five of them is a false alarm with
a probability of 6e-7 for each of the two parts of a mean, and the seeds are fixed.
"""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from attrs import evolve
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.primitives import BackendSamplerV2
from qiskit.providers import BackendV2, Options
from qiskit.result import Result
from qiskit.result.models import ExperimentResult, ExperimentResultData, MeasLevel, MeasReturnType
from qiskit_aer import AerSimulator

from quell import ExecutionError, InputError, Sampler, UnsupportedError
from quell.circuits.gatesets import choose
from quell.circuits.program import Program
from quell.circuits.samples import Samples
from quell.circuits.template import template_of
from quell.execution.adapters import runner_for
from quell.execution.points import points_of
from quell.options.resolved import ResolvedExecution
from quell.stages.merge import Merge, MergeResidue
from quell.testing import IQBackend, NoisyDevice
from quell.testing.backends import CountingBackend

SIGMAS = 5.0
CENTERS = np.array([[0, 1], [1j, 2j], [-1, -5], [3 + 1j, 2 - 1j]])
POINTS = np.array([[1 + 2j, 3 - 4j, 5], [-1, 0.5j, 2 + 2j]])
PAIRS = np.stack([POINTS.real, POINTS.imag], axis=-1)


def crossed():
    """Four bits of known values in crossed order, in registers of sizes 1, 2, 1 and one that shares their bits."""
    circuit = QuantumCircuit(4)
    circuit.add_register(ClassicalRegister(1, "a"), ClassicalRegister(2, "b"), ClassicalRegister(1, "c"))
    circuit.add_register(ClassicalRegister(name="alias", bits=[circuit.clbits[3], circuit.clbits[1]]))
    circuit.x([0, 2])
    circuit.measure([2, 0, 3, 1], [0, 1, 2, 3])
    return circuit


#: What `crossed` reads from which qubit, for each classical bit.
QUBITS, BITS = [2, 0, 3, 1], [1, 1, 0, 0]


def program(circuit, shots, members=1):
    template = template_of(circuit)
    return Program(
        template=template,
        parameter_values=np.zeros((1, 0)),
        parameter_sets=np.zeros(1, dtype=np.int64),
        bases=np.zeros((1, len(template.terminals)), dtype=np.uint8),
        shots=shots,
        gate_set=choose(template.written, None),
        randomizations=(0, members),
    )


def run(backend, programs, meas_return, seed=None, **given):
    options = {"meas_level": 1, "meas_return": meas_return, **given}
    execution = ResolvedExecution(options, seed_simulator=None, coupling_map=None, basis_gates=None)
    return runner_for(backend, execution).run(
        programs, seed=seed, progress=lambda done, total: None, cancelled=threading.Event()
    )


class Scripted(BackendV2):
    """A backend whose experiments have the data and shots that it is told."""

    def __init__(self, *experiments):
        super().__init__(name="scripted")
        self.experiments = list(experiments)

    @classmethod
    def _default_options(cls):
        return Options(meas_level=2, meas_return="single")

    target = None
    max_circuits = None

    def run(self, run_input, **options):
        told = [self.experiments.pop(0) for _ in run_input]
        results = [
            ExperimentResult(shots=shots, success=True, data=ExperimentResultData(**data))
            for shots, data in told
        ]
        result = Result(results=results, success=True)
        return SimpleNamespace(result=lambda: result, job_id=lambda: "", done=lambda: True)


# -------------------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("memory", [PAIRS, PAIRS.tolist(), POINTS, POINTS.tolist(), list(PAIRS)])
def test_points_of_shots_are_read_in_every_form(memory):
    points = points_of({"memory": memory}, 3, "single")
    assert points.dtype == np.complex128
    assert np.array_equal(points, POINTS)


@pytest.mark.parametrize("memory", [PAIRS[0], PAIRS[0].tolist(), POINTS[0], POINTS[0].tolist()])
def test_averages_are_read_in_every_form(memory):
    points = points_of({"memory": memory}, 3, "avg")
    assert points.dtype == np.complex128
    assert np.array_equal(points, POINTS[:1])


def test_whole_numbers_and_narrow_types_become_points():
    assert np.array_equal(points_of({"memory": [[1, 2]]}, 1, "avg"), [[1 + 2j]])
    assert points_of({"memory": POINTS.astype(np.complex64)}, 3, "single").dtype == np.complex128


BAD = [
    ({"counts": {"0x0": 5}}, "single", "'single' was asked, counts came back"),
    ({"counts": {"0x0": 5}, "memory": ["0x0"] * 5}, "avg", "'avg' was asked, bits came back"),
    ({}, "avg", "nothing came back"),
    ({"memory": []}, "single", "no array of points"),
    ({"memory": [[[1, 2]], [[1, 2], [3, 4]]]}, "single", "no array of points"),
    ({"memory": [["a", "b"]]}, "avg", "no array of points"),
    ({"memory": np.zeros((4, 3, 3))}, "single", r"shape \(4, 3, 3\) has no pairs"),
    ({"memory": PAIRS}, "avg", r"so points of shape \(3,\); their shape is \(2, 3\)"),
    ({"memory": PAIRS[0]}, "single", r"so points of shape \(shots, 3\); their shape is \(3,\)"),
    ({"memory": PAIRS[:, :2]}, "single", r"so points of shape \(shots, 3\); their shape is \(2, 2\)"),
    ({"memory": np.where(PAIRS == 0.5, np.nan, PAIRS)}, "single", "the point of bit 1 of shot 1 is"),
    ({"memory": np.where(PAIRS[0] == 5, np.inf, PAIRS[0])}, "avg", r"the point of bit 2 is \(?inf"),
]


@pytest.mark.parametrize(("data", "meas_return", "message"), BAD)
def test_what_was_not_asked_is_an_error_that_names_it(data, meas_return, message):
    circuit = QuantumCircuit(3, 3)
    circuit.measure(range(3), range(3))
    with pytest.raises(ExecutionError, match=message):
        run(Scripted((5, data)), [program(circuit, 5)], meas_return)


def test_points_where_bits_were_asked_are_an_error():
    circuit = QuantumCircuit(3)
    circuit.measure_all()
    with pytest.raises(ExecutionError, match="kerneled measurements came back"):
        Sampler(Scripted((2, {"memory": PAIRS.tolist()}))).run([circuit], shots=2).result()


# ------------------------------------------------------------------------------------------------- samples


@pytest.mark.parametrize("max_circuits", [None, 3, 1])
@pytest.mark.parametrize("meas_return", ["single", "avg"])
def test_registers_have_the_points_of_their_bits(meas_return, max_circuits):
    backend = CountingBackend(IQBackend(centers=CENTERS, width=0), max_circuits=max_circuits)
    programs = [program(crossed(), 6, members=4), program(crossed(), 7, members=1)]
    first, second = run(backend, programs, meas_return)
    assert backend.num_runs == {None: 2, 3: 3, 1: 5}[max_circuits]
    centers = CENTERS[QUBITS, BITS]
    for samples, shots, members in ((first, 6, 4), (second, 7, 1)):
        assert samples.num_bits == {"a": 1, "b": 2, "c": 1, "alias": 2}
        assert samples.shots.tolist() == [shots] * members
        for name, indices in {"a": [0], "b": [1, 2], "c": [3], "alias": [3, 1]}.items():
            rows = shots if meas_return == "single" else 1
            assert samples.bits[name].shape == (members, rows, len(indices))
            assert samples.bits[name].dtype == np.complex128
            assert np.allclose(samples.bits[name], centers[indices], rtol=0, atol=1e-15)


def test_missing_shots_are_rows_of_zeros():
    circuit = QuantumCircuit(3, 3)
    circuit.measure(range(3), range(3))
    experiments = [(1, {"memory": PAIRS[:1].tolist()}), (2, {"memory": PAIRS.tolist()})]
    (samples,) = run(Scripted(*experiments), [program(circuit, 2, members=2)], "single")
    assert samples.shots.tolist() == [1, 2]
    assert np.array_equal(samples.bits["c"], [[POINTS[0], [0, 0, 0]], POINTS])


def test_averages_know_how_many_shots_they_are_of():
    """What a result says counts; old results say the first and last shot, and then it is what was asked."""
    circuit = QuantumCircuit(3, 3)
    circuit.measure(range(3), range(3))
    experiments = [(3, {"memory": PAIRS[0]}), ((1, 9), {"memory": PAIRS[1]})]
    (samples,) = run(Scripted(*experiments), [program(circuit, 8, members=2)], "avg")
    assert samples.shots.tolist() == [3, 8]


def test_joined_samples_keep_points():
    shots = np.array([2])
    narrow = Samples({"c": POINTS[None, :1]}, {"c": 3}, np.array([1]))
    joined = Samples.concatenate([narrow, Samples({"c": POINTS[None]}, {"c": 3}, shots)])
    assert joined.bits["c"].dtype == np.complex128
    assert np.array_equal(joined.bits["c"], [[POINTS[0], [0, 0, 0]], POINTS])
    averages = Samples({"c": POINTS[None, :1]}, {"c": 3}, np.array([100]))
    assert Samples.concatenate([averages, averages]).bits["c"].shape == (2, 1, 3)


def test_merged_averages_count_by_their_shots():
    """Two sets of two randomizations, one of them split off because it has a shot more; some shots are lost."""
    points = np.arange(1, 7).reshape(2, 3) + 1j * np.arange(6).reshape(2, 3) ** 2
    circuit = QuantumCircuit(3, 3)
    circuit.measure(range(3), range(3))
    one = program(circuit, 10)
    first = Samples({"c": points[:, None]}, {"c": 3}, np.array([11, 4]))
    second = Samples({"c": 10j * points[:, None]}, {"c": 3}, np.array([10, 10]))
    residue = MergeResidue((evolve(one, shots=11), one), 2)
    merged = Merge(1, average=True).combine(residue, [first, second])
    expected = [points[0] * (11 + 100j) / 21, points[1] * (4 + 100j) / 14]
    assert merged.bits["c"].shape == (2, 3)
    assert np.allclose(merged.bits["c"], expected, rtol=1e-14)
    assert merged.averaged == 14


# ------------------------------------------------------------------------------------------------ the fake


def test_clouds_have_the_centers_and_width_that_were_given():
    shots, width = 20_000, 0.7
    backend = IQBackend(centers=CENTERS, width=width, rng=np.random.default_rng(1))
    job = backend.run(crossed(), shots=shots, meas_level=1, meas_return="single")
    points = job.result().get_memory(0)
    assert points.shape == (shots, 4)
    off = (points - CENTERS[QUBITS, BITS]).T
    errors = off.mean(axis=1) * np.sqrt(shots) / width
    assert np.abs([errors.real, errors.imag]).max() < SIGMAS
    parts = np.concatenate([off.real, off.imag])  # four bits, two parts each
    spread = (np.cov(parts) / width**2 - np.eye(8)) * np.sqrt(shots / (1 + np.eye(8)))
    assert np.abs(spread).max() < SIGMAS


def test_the_average_is_that_of_the_shots():
    def memory(meas_return):
        backend = IQBackend(centers=CENTERS, rng=2)
        job = backend.run([crossed()] * 2, shots=50, meas_level=1, meas_return=meas_return)
        return job.result()

    single, averaged = memory("single"), memory("avg")
    for index in range(2):
        assert np.allclose(averaged.get_memory(index), single.get_memory(index).mean(axis=0))
    assert averaged.results[0].shots == 50
    assert not np.array_equal(averaged.get_memory(0), averaged.get_memory(1))


def test_bits_are_those_of_the_backend_inside():
    circuit = QuantumCircuit(1)
    circuit.h(0)
    circuit.measure_all()
    plain = AerSimulator().run(circuit, shots=99, seed_simulator=3).result().get_counts()
    backend = IQBackend(rng=1)
    assert backend.run(circuit, shots=99, seed_simulator=3).result().get_counts() == plain
    options = {"meas_level": MeasLevel.CLASSIFIED, "meas_return": MeasReturnType.SINGLE}
    assert backend.run(circuit, shots=99, seed_simulator=3, **options).result().get_counts() == plain


def test_runs_are_reproducible_by_generator_and_by_seed():
    def memories(rng, **options):
        backend = IQBackend(rng=rng)
        runs = [backend.run(crossed(), shots=5, meas_level=1, **options) for _ in range(2)]
        return [job.result().get_memory(0) for job in runs]

    first, second = memories(np.random.default_rng(8))
    assert not np.array_equal(first, second)
    assert np.array_equal([first, second], memories(8))
    fixed, again = memories(1, seed_simulator=6)
    assert np.array_equal(fixed, again)
    assert np.array_equal(fixed, memories(2, seed_simulator=6)[0])


def test_bits_that_are_never_written_have_no_signal():
    circuit = QuantumCircuit(1, 2)
    circuit.measure(0, 1)
    points = IQBackend(rng=1).run(circuit, shots=9, meas_level=1, meas_return="single").result().get_memory(0)
    assert not points[:, 0].any()
    assert points[:, 1].all()


def test_readout_errors_of_the_device_inside_come_before():
    """A cloud of no width shows which bit was read; qubit 0 of the device misreads some."""
    device = NoisyDevice("tee5", depolarizing=False, thermal=False, coherent=False, idle=False, seed=3)
    circuit = QuantumCircuit(5, 1)
    circuit.measure(0, 0)
    job = IQBackend(device, centers=(0, 1), width=0).run(circuit, shots=40_000, meas_level=1)
    wrong, p = job.result().get_memory(0)[0].real, device.snapshot.flips[0, 0]
    assert abs(wrong - p) < SIGMAS * np.sqrt(p * (1 - p) / 40_000)
    assert wrong > 0


def test_what_gives_no_points_is_refused():
    conditional = QuantumCircuit(1, 1)
    conditional.measure(0, 0)
    with conditional.if_test((conditional.clbits[0], 1)):
        conditional.x(0)
    with pytest.raises(UnsupportedError, match="control flow"):
        IQBackend().run(conditional, meas_level=1)
    with pytest.raises(UnsupportedError, match="meas_level, meas_return: is 0, 'avg'"):
        IQBackend().run(crossed(), meas_level=0)
    with pytest.raises(UnsupportedError, match="meas_level, meas_return: is 1, 'all'"):
        IQBackend().run(crossed(), meas_level=1, meas_return="all")
    with pytest.raises(InputError, match="centers"):
        IQBackend(centers=[1, 2, 3])
    with pytest.raises(InputError, match="width"):
        IQBackend(width=np.nan)


@pytest.mark.parametrize("meas_type", ["kerneled", "avg_kerneled"])
def test_samples_are_those_of_qiskits_backend_sampler(meas_type):
    circuit = QuantumCircuit(4, 4)
    circuit.h(range(4))
    circuit.measure(range(4), range(4))
    options = {"meas_level": 1, "meas_return": "avg" if "avg" in meas_type else "single"}
    theirs = BackendSamplerV2(
        backend=IQBackend(centers=CENTERS), options={"seed_simulator": 5, "run_options": options}
    )
    expected = theirs.run([circuit], shots=30).result()[0].data.c
    ours = {"execution": {"meas_type": meas_type}, "simulator": {"seed_simulator": 5}}
    points = Sampler(IQBackend(centers=CENTERS), ours).run([circuit], shots=30).result()[0].data.c
    assert (points.shape, points.dtype) == (expected.shape, expected.dtype)
    assert np.array_equal(points, expected)
