"""Kerneled measurements through the sampler and through wrapped backends.

Means of clouds are compared with what they should be in standard errors; beyond five of them is a false alarm with
a probability of 6e-7 for each of the two parts of a mean, and the seeds are fixed.
"""

import warnings

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.exceptions import QiskitError
from qiskit.primitives import BackendSamplerV2, BitArray
from qiskit.result.models import MeasLevel, MeasReturnType
from qiskit_aer import AerSimulator

from quell import Batch, Estimator, ExecutionError, OptionsError, Sampler, SamplerOptions, wrap
from quell.testing import CountingBackend, IQBackend, NoisyDevice

SIGMAS = 5.0
CENTERS = np.array([[0, 1], [1j, 2j], [-1, -5], [3 + 1j, 2 - 1j]])
WIDTH = 0.4
KINDS = ["kerneled", "avg_kerneled"]
ROWS = {"kerneled": (60,), "avg_kerneled": ()}
TWIRLED = {"enable_gates": True, "enable_measure": False, "num_randomizations": 8}


def iq(inner=None, rng=1, **options):
    return IQBackend(inner, centers=CENTERS, width=WIDTH, rng=rng, **options)


def points(backend, pubs, kind="kerneled", shots=60, **options):
    result = Sampler(backend, {"execution": {"meas_type": kind}, **options}).run(pubs, shots=shots).result()
    return result if len(pubs) > 1 else result[0]


def crossed():
    """Four bits of known values in crossed order, in registers of sizes 1, 2, 1 and one that shares their bits."""
    circuit = QuantumCircuit(QuantumRegister(4, "q"), ClassicalRegister(1, "a"), ClassicalRegister(2, "b"))
    circuit.add_register(ClassicalRegister(1, "c"))
    circuit.add_register(ClassicalRegister(name="alias", bits=[circuit.clbits[3], circuit.clbits[1]]))
    circuit.x([0, 2])
    circuit.measure([2, 0, 3, 1], [0, 1, 2, 3])
    return circuit


#: The centres of what `crossed` reads, for each classical bit.
READ = CENTERS[[2, 0, 3, 1], [1, 1, 0, 0]]
REGISTERS = {"a": [0], "b": [1, 2], "c": [3], "alias": [3, 1]}


def rotated():
    """Four qubits with two parameters and entangling gates that undo each other, so that the truth is known."""
    circuit = QuantumCircuit(4, 4)
    a, b = Parameter("a"), Parameter("b")
    circuit.ry(a, 0)
    circuit.ry(b, 2)
    for _ in range(2):
        circuit.cx(0, 1)
        circuit.cx(2, 3)
    circuit.measure(range(4), range(4))
    return circuit


def truth(values):
    """Return the means of the clouds of `rotated`, and the standard deviations of both parts of one shot.

    Args:
        values: ``(num_sets, 2)``; means have shape ``(num_sets, 4)``, deviations ``(2, num_sets, 4)``.
    """
    p = np.zeros((len(values), 4))
    p[:, [0, 2]] = np.sin(np.asarray(values) / 2) ** 2
    zero, one = CENTERS[:, 0], CENTERS[:, 1]
    step = one - zero
    both = np.array([step.real, step.imag])
    return zero + p * step, np.sqrt(WIDTH**2 + both[:, None] ** 2 * p * (1 - p))


def check_means(found, values, shots):
    mean, spread = truth(values)
    off = (found - mean) * np.sqrt(shots)
    assert np.abs(np.array([off.real, off.imag]) / spread).max() < SIGMAS


# ----------------------------------------------------------------------------------------------- the sampler


@pytest.mark.parametrize("kind", KINDS)
def test_every_register_has_an_array_of_the_points_of_its_bits(kind):
    data = points(iq(), [crossed()], kind).data
    assert list(data) == list(REGISTERS)
    for name, bits in REGISTERS.items():
        assert isinstance(data[name], np.ndarray)
        assert data[name].dtype == np.complex128
        assert data[name].shape == (*ROWS[kind], len(bits))
        off = (np.atleast_2d(data[name]).mean(axis=0) - READ[bits]) * np.sqrt(60) / WIDTH
        assert np.abs([off.real, off.imag]).max() < SIGMAS
    assert np.array_equal(data.alias[..., 1], data.b[..., 0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (0,), (2, 0)])
def test_arrays_have_the_shape_of_the_pub(kind, shape):
    values = np.linspace(0, 3, 2 * int(np.prod(shape))).reshape(*shape, 2)
    pub = points(iq(), [(rotated(), values)], kind)
    assert pub.data.shape == shape
    assert pub.data.c.shape == (*shape, *ROWS[kind], 4)
    assert pub.data.c.dtype == np.complex128
    assert (pub.metadata["shots"], pub.metadata["executed_shots"]) == (60, 60)
    assert "warning" not in pub.metadata


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("twirling", [{}, TWIRLED], ids=["bare", "twirled"])
def test_clouds_are_where_they_should_be_twirled_or_not(kind, twirling):
    values, shots = np.array([[0, np.pi], [0.7, 2.0], [np.pi / 2, 0.4]]), 3003
    backend = CountingBackend(iq())
    pub = points(backend, [(rotated(), values)], kind, shots, twirling=twirling, seed=3)
    assert backend.num_circuits == 3 * (8 if twirling else 1)
    assert pub.metadata["executed_shots"] == shots
    check_means(pub.data.c if kind == "avg_kerneled" else pub.data.c.mean(axis=1), values, shots)


@pytest.mark.parametrize("max_circuits", [None, 5])
@pytest.mark.parametrize("twirling", [{}, TWIRLED], ids=["bare", "twirled"])
def test_averages_are_those_of_all_shots_however_they_are_split(twirling, max_circuits):
    """101 shots over eight randomizations, five of which have one more than the other three."""
    pub, results = (rotated(), [[0.7, 2.0], [1.5, 0.3], [2.9, 1.1]]), {}
    for kind in KINDS:
        backend = CountingBackend(iq(rng=4), max_circuits=max_circuits)
        results[kind] = points(backend, [pub], kind, 101, twirling=twirling, seed=7)
        assert backend.num_runs == (1 if not twirling else 2 if max_circuits is None else 5)
    single, averaged = (results[kind].data.c for kind in KINDS)
    assert single.shape == (3, 101, 4)
    assert np.allclose(averaged, single.mean(axis=1), rtol=1e-13, atol=1e-13)
    assert results["avg_kerneled"].metadata["executed_shots"] == 101


def test_seeds_reproduce_points():
    def once(seed, rng):
        return points(iq(rng=rng), [(rotated(), [[0.7, 2.0]])], twirling=TWIRLED, seed=seed).data.c

    assert np.array_equal(once(5, 1), once(5, 2))
    assert not np.array_equal(once(5, 1), once(6, 1))


def test_pubs_of_different_shots_share_a_job():
    result = points(iq(), [crossed(), (crossed(), None, 7), (rotated(), [[0, 0], [1, 1]])])
    assert result[0].data.b.shape == (60, 2)
    assert result[1].data.b.shape == (7, 2)
    assert result[2].data.c.shape == (2, 60, 4)
    with Batch(iq()):
        job = Sampler(options={"execution": {"meas_type": "kerneled"}}).run([crossed()], shots=5)
        assert job.result()[0].data.b.shape == (5, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_shots_that_the_device_dropped_are_missed(kind):
    class Short(IQBackend):
        def run(self, run_input, **options):
            return super().run(run_input, **{**options, "shots": options["shots"] - 2})

    pub = points(Short(), [crossed()], kind)
    assert (pub.metadata["shots"], pub.metadata["executed_shots"]) == (60, 58)
    assert "60 shots were asked for, the device returned 58" in pub.metadata["warning"]
    assert pub.data.b.shape == ((58, 2) if kind == "kerneled" else (2,))


def test_bits_are_asked_for_where_the_device_would_give_points():
    backend = CountingBackend(iq())
    backend.set_options(meas_level=1, meas_return="single")
    data = Sampler(backend).run([crossed()], shots=9).result()[0].data
    assert isinstance(data.b, BitArray)
    assert data.b.get_counts() == {"01": 9}
    assert backend.calls[0].options["meas_level"] == 2
    bell = QuantumCircuit(2)
    bell.h(0)
    bell.cx(0, 1)
    assert Estimator(backend, {"resilience_level": 0}).run([(bell, "ZZ")]).result()[0].data.evs == 1


def test_devices_that_give_something_else_are_reported():
    class Deaf(IQBackend):
        def run(self, run_input, **options):
            return super().run(run_input, **{**options, "meas_level": 2})

    with pytest.raises(ExecutionError, match="meas_level=1 with meas_return='single' was asked, counts came"):
        points(Deaf(), [crossed()])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("options", "path", "words"),
    [
        ({"twirling": {"enable_measure": True}}, "twirling.enable_measure", "flips bits"),
        (
            {"resilience": {"measure_mitigation": True}},
            "resilience.measure_mitigation",
            "corrects bits",
        ),
        (
            {"post_selection": {"enable": True, "parity": "even"}},
            "post_selection.enable",
            "looks at bits",
        ),
        (
            {"execution": {"run_options": {"meas_return": "avg"}}},
            "execution.meas_type",
            "has meas_return too",
        ),
    ],
)
def test_what_acts_on_bits_is_refused_beside_points(kind, options, path, words):
    backend, chosen = CountingBackend(iq()), SamplerOptions(options)
    chosen.execution.meas_type = kind
    with pytest.raises(OptionsError, match=words) as caught:
        Sampler(backend, chosen).run([crossed()])
    assert [problem.path for problem in caught.value.problems] == [f"options.{path}"]
    assert not backend.calls


@pytest.mark.parametrize("mode", [AerSimulator(), BackendSamplerV2(backend=AerSimulator()), lambda pubs: []])
def test_modes_that_do_not_list_it_are_refused(mode):
    with pytest.raises(OptionsError, match="does not list meas_level among its options of run"):
        points(mode, [crossed()])


@pytest.mark.parametrize(
    ("primitive", "fix"), [(Sampler, "set execution.meas_type"), (Estimator, "remove it")]
)
def test_levels_are_not_set_behind_the_options_back(primitive, fix):
    backend = CountingBackend(iq())
    options = {"execution": {"run_options": {"meas_level": 1}}}
    pubs = [crossed()] if primitive is Sampler else [(QuantumCircuit(1), "Z")]
    with pytest.raises(OptionsError, match=rf"run_options: has meas_level = 1.*{fix}"):
        primitive(backend, options).run(pubs)
    assert not backend.calls


# ----------------------------------------------------------------------------------------- wrapped backends


SINGLE, AVERAGE = {"meas_level": 1, "meas_return": "single"}, {"meas_level": 1, "meas_return": "avg"}


@pytest.mark.parametrize("options", [None, {"twirling": TWIRLED}], ids=["bare", "twirled"])
def test_results_hold_points_as_those_of_backends_do(options):
    backend = wrap(iq(), options)
    single = backend.run([crossed()] * 2, shots=80, seed_simulator=3, **SINGLE).result()
    averaged = backend.run([crossed()] * 2, shots=80, seed_simulator=3, **AVERAGE).result()
    raw = iq().run([crossed()] * 2, shots=80, seed_simulator=3, **SINGLE).result()
    for index in range(2):
        memory = single.get_memory(index)
        assert memory.shape == (80, 4)
        off = (memory.mean(axis=0) - READ) * np.sqrt(80) / WIDTH
        assert np.abs([off.real, off.imag]).max() < SIGMAS
        assert options or np.array_equal(memory, raw.get_memory(index))
        assert np.allclose(averaged.get_memory(index), memory.mean(axis=0), rtol=1e-13)
    for result, returned in ((single, "single"), (averaged, "avg")):
        experiment = result.results[0]
        assert (experiment.meas_level, experiment.meas_return, experiment.shots) == (1, returned, 80)
        assert experiment.header["creg_sizes"] == [["a", 1], ["b", 2], ["c", 1], ["alias", 2]]
        assert type(result).from_dict(result.to_dict()).get_memory(0).shape == result.get_memory(0).shape
        with pytest.raises(QiskitError, match="No counts"):
            result.get_counts(0)


@pytest.mark.parametrize(
    ("wrapping", "default", "keywords", "shape"),
    [
        ({}, {}, {"meas_level": 1}, (4,)),
        ({}, {}, SINGLE, (9, 4)),
        ({}, {}, {"meas_level": MeasLevel.KERNELED, "meas_return": MeasReturnType.SINGLE}, (9, 4)),
        ({}, {"meas_return": "single"}, {"meas_level": 1}, (9, 4)),
        ({}, SINGLE, {}, (9, 4)),
        ({}, SINGLE, {"meas_return": "avg"}, (4,)),
        ({}, SINGLE, {"meas_level": 2}, None),
        ({}, {}, {"meas_level": 2, "meas_return": "single"}, None),
        ({}, {}, {"meas_level": None, "meas_return": None}, None),
        ({"meas_level": 1}, {}, {}, (4,)),
        ({"meas_level": 1}, {}, {"meas_return": "single"}, (9, 4)),
        ({"meas_return": "single"}, {}, {}, None),
        ({"meas_return": "single"}, {}, {"meas_level": 1}, (9, 4)),
        ({"options": {"execution": {"meas_type": "kerneled"}}}, AVERAGE, {}, (9, 4)),
        ({"options": {"execution": {"meas_type": "kerneled"}}}, {}, {"meas_level": 1}, (9, 4)),
        ({"options": {"execution": {"meas_type": "kerneled"}}}, {}, {"meas_return": "avg"}, (4,)),
        ({"options": {"execution": {"meas_type": "kerneled"}}}, {}, {"meas_level": 2}, None),
    ],
)
def test_keywords_win_over_options_and_these_over_defaults_of_the_backend_inside(
    wrapping, default, keywords, shape
):
    inner = iq()
    inner.set_options(**default)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = wrap(inner, **wrapping).run(crossed(), shots=9, **keywords).result()
    if shape is None:
        assert sum(result.get_counts().values()) == 9
        assert result.results[0].meas_level == 2
    else:
        assert result.get_memory().shape == shape


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"meas_level": 0}, "meas_level: level 0"),
        ({"meas_level": 3}, "meas_level: must be 0, 1 or 2"),
        ({"meas_level": 1, "meas_return": "all"}, "meas_return: must be 'single' or 'avg'"),
    ],
)
def test_what_keywords_cannot_mean_is_refused(keywords, message):
    inner = CountingBackend(iq())
    with pytest.raises(OptionsError, match=message):
        wrap(inner).run(crossed(), **keywords)
    with pytest.raises(OptionsError, match=message):
        wrap(inner, **keywords)
    assert not inner.calls


def test_parameter_sets_are_experiments_of_their_own():
    circuit = rotated()
    values = np.array([[0, np.pi], [np.pi, 0], [0.3, 0.4]])
    binds = [dict(zip(circuit.parameters, values.T, strict=True))]
    result = wrap(iq()).run(circuit, parameter_binds=binds, shots=500, **AVERAGE).result()
    check_means(np.array([result.get_memory(i) for i in range(3)]), values, 500)


def test_bits_in_no_register_have_points_too():
    circuit = QuantumCircuit(2)
    circuit.add_bits(QuantumCircuit(0, 2).clbits)
    circuit.add_register(ClassicalRegister(1, "r"))
    circuit.x(0)
    circuit.measure([0, 1, 1], [1, 0, 2])
    result = wrap(IQBackend(centers=CENTERS, width=0)).run(circuit, shots=3, **SINGLE).result()
    assert np.array_equal(result.get_memory(), [[1j, 1, 1j]] * 3)


def test_wrappers_and_samplers_run_on_it():
    backend = wrap(wrap(iq(), {"twirling": TWIRLED}))
    assert backend.run(crossed(), shots=8, **SINGLE).result().get_memory().shape == (8, 4)
    sampler = BackendSamplerV2(backend=backend, options={"run_options": AVERAGE})
    circuit = QuantumCircuit(4, 4)
    circuit.measure(range(4), range(4))
    assert sampler.run([circuit], shots=900).result()[0].data.c == pytest.approx(CENTERS[:, 0], abs=0.1)
    assert points(backend, [circuit], shots=5).data.c.shape == (5, 4)


class Experiment:
    """An experiment as libraries of such write them: it only knows backends, their options, jobs and results."""

    def __init__(self, delays, qubit):
        self.delays, self.qubit = delays, qubit

    def circuits(self, backend):
        for delay in self.delays:
            circuit = QuantumCircuit(backend.num_qubits, 1, metadata={"xval": delay})
            circuit.x(self.qubit)
            circuit.delay(round(delay / backend.dt), self.qubit)
            circuit.measure(self.qubit, 0)
            yield circuit

    def run(self, backend, **run_options):
        """Return delays and signals: the fraction of ones, or the point projected to between 0 and 1."""
        options = {"meas_level": backend.options.meas_level, **run_options}
        circuits, limit = list(self.circuits(backend)), backend.max_circuits or 1000
        parts = [circuits[i : i + limit] for i in range(0, len(circuits), limit)]
        jobs = [backend.run(part, **options) for part in parts]
        assert len({job.job_id() for job in jobs}) == len(jobs)
        assert all(job.backend() is backend for job in jobs)
        assert getattr(backend, "provider", None) is None
        data = []
        for job in jobs:
            result = job.result()
            assert result.job_id == job.job_id()
            for index, experiment in enumerate(result.results):
                found = {**result.data(index), "meas_level": experiment.meas_level}
                found |= {"xval": experiment.header["metadata"]["xval"], "shots": experiment.shots}
                if "counts" in found:
                    found["counts"] = result.get_counts(index)
                data.append(found)
        return np.array([d["xval"] for d in data]), np.array([self.signal(d) for d in data])

    @staticmethod
    def signal(datum):
        if datum["meas_level"] == 2:
            return datum["counts"].get("1", 0) / datum["shots"]
        memory = np.asarray(datum["memory"], dtype=float)
        if memory.ndim == 3:
            memory = memory.mean(axis=0)
        return (memory[0, 0] + 1) / 2  # the centres are -1 and 1


@pytest.mark.parametrize("keywords", [{}, SINGLE, AVERAGE], ids=["bits", "single", "avg"])
@pytest.mark.parametrize("options", [None, {"twirling": TWIRLED}], ids=["bare", "twirled"])
def test_an_experiment_measures_the_relaxation_of_the_device(options, keywords):
    device = NoisyDevice("tee5", depolarizing=False, coherent=False, idle=False, readout=False, seed=2)
    device.max_circuits = 3
    backend = wrap(IQBackend(device, width=0.3, rng=9), options)
    delays, signal = Experiment(np.linspace(0, 3e-4, 8), 2).run(backend, shots=2000, **keywords)
    error = np.sqrt((signal.clip(0, 1) * (1 - signal.clip(0, 1)) + (0.15**2 if keywords else 0)) / 2000)
    expected = np.exp(-delays / device.snapshot.t1s[2])
    # The qubit relaxes during the pulse too, by less than 5e-3.
    assert (np.abs(signal - expected) < SIGMAS * error + 5e-3).all()
