"""qiskit-experiments on wrapped backends: its experiments, its ways to run them, its own mock of a device.

Results are compared with what is known of the device, in the errors that the fits report. Those are estimates too, so
the limit is five of them; the seeds are fixed.
"""

import numpy as np
import pytest

pytest.importorskip("qiskit_experiments", reason="needs qiskit-experiments; see README.md beside this file")

from qiskit_experiments.library import T1, LocalReadoutError, ReadoutAngle
from qiskit_experiments.library.characterization.analysis import T1KerneledAnalysis
from qiskit_experiments.test.mock_iq_backend import MockIQBackend
from qiskit_experiments.test.mock_iq_helpers import MockIQT1Helper

from quell import Sampler, wrap
from quell.testing import IQBackend, NoisyDevice

SIGMAS = 5.0
QUBIT = 2
DELAYS = np.array([0, 50, 100, 150, 200, 300, 400]) * 1e-6
POINTS = [{"meas_level": 1, "meas_return": "single"}, {"meas_level": 1, "meas_return": "avg"}]
TWIRLED = {"seed": 1, "twirling": {"enable_gates": True, "num_randomizations": 8}}
BOTH_TWIRLED = {"seed": 1, "twirling": {"enable_gates": True, "enable_measure": True}}
#: By the primitive that the library makes of a backend, as is its default, and by ``backend.run``.
WAYS = pytest.mark.parametrize("backend_run", [False, True], ids=["sampler", "run"])


def device(**switches):
    return NoisyDevice("tee5", seed=5, coherent=False, idle=False, depolarizing=False, **switches)


def ran(experiment, backend, **options):
    data = experiment.run(backend, **options).block_for_results()
    assert data.status().name == "DONE", data.errors()
    return data


def result_of(data, name):
    found = data.analysis_results(dataframe=True)
    return found[found["name"] == name]["value"].iloc[0]


def check_relaxation(experiment, backend, truth, **options):
    value = result_of(ran(experiment, backend, **{"shots": 2000, **options}), "T1")
    assert 0 < value.std_dev < 0.1 * truth
    assert abs(value.nominal_value - truth) < SIGMAS * value.std_dev


@WAYS
def test_relaxation_by_counts(backend_run):
    backend = wrap(device(), BOTH_TWIRLED)
    truth = backend.snapshot.t1s[QUBIT]
    check_relaxation(T1([QUBIT], delays=DELAYS), backend, truth, backend_run=backend_run)


@WAYS
@pytest.mark.parametrize("level", POINTS, ids=["single", "avg"])
def test_relaxation_by_points(level, backend_run):
    inner = device()
    backend = wrap(IQBackend(inner, centers=(1, 1j), width=0.2, rng=3), TWIRLED)
    experiment = T1([QUBIT], delays=DELAYS)
    experiment.analysis = T1KerneledAnalysis()
    check_relaxation(experiment, backend, inner.snapshot.t1s[QUBIT], backend_run=backend_run, **level)


@WAYS
def test_jobs_are_split_where_the_device_takes_few_circuits(backend_run):
    inner = device()
    inner.max_circuits = 3
    data = ran(T1([QUBIT], delays=DELAYS), wrap(inner), shots=100, backend_run=backend_run)
    assert len(data.job_ids) == 3
    assert sorted(datum["metadata"]["xval"] for datum in data.data()) == pytest.approx(DELAYS, rel=1e-3)


@WAYS
def test_the_angle_of_the_readout(backend_run):
    """It is that of the line between the centres; both clouds are shifted by relaxation and misread bits."""
    backend = wrap(IQBackend(device(readout=False), centers=(1, 1j), width=0.2, rng=4))
    data = ran(ReadoutAngle([QUBIT]), backend, shots=4000, backend_run=backend_run)
    # Half of the angles of both centres; each of these has an error of 0.2 / sqrt(4000).
    assert result_of(data, "readout_angle") == pytest.approx(
        np.pi / 4, abs=SIGMAS * 0.2 / np.sqrt(8000) + 1e-3
    )


@WAYS
def test_twirled_readout_errors_are_symmetric(backend_run):
    """The experiment's matrix is that of the device, and of the mean of both errors if measurements are twirled."""
    shots, inner = 20_000, device(thermal=False)
    flips = inner.snapshot.flips[QUBIT]
    for options, expected in ((None, flips), (BOTH_TWIRLED, np.full(2, flips.mean()))):
        data = ran(LocalReadoutError([QUBIT]), wrap(inner, options), shots=shots, backend_run=backend_run)
        matrix = result_of(data, "Local Readout Mitigator").assignment_matrix()
        found = np.array([matrix[1, 0], matrix[0, 1]])
        assert (np.abs(found - expected) < SIGMAS * np.sqrt(expected * (1 - expected) / shots)).all()
    assert abs(np.diff(flips)[0]) > SIGMAS * np.sqrt(2 * flips.mean() / shots)


# ------------------------------------------------------------------------------------- the library's own device

CENTERS = [((-2.0, 0.5), (1.0, -3.0))]


def mock():
    return MockIQBackend(MockIQT1Helper(t1=80e-6, iq_cluster_centers=CENTERS, iq_cluster_width=[0.1]))


@pytest.mark.parametrize("level", POINTS, ids=["single", "avg"])
def test_relaxation_of_the_mock(level):
    experiment = T1([0], delays=DELAYS)
    experiment.analysis = T1KerneledAnalysis()
    check_relaxation(experiment, wrap(mock()), 80e-6, shots=1000, backend_run=True, **level)


@pytest.mark.parametrize("meas_type", ["kerneled", "avg_kerneled"])
def test_points_of_the_mock(meas_type):
    circuits = T1([0], delays=DELAYS[1:4]).circuits()
    sampler = Sampler(mock(), {"execution": {"meas_type": meas_type}})
    for pub, delay in zip(sampler.run(circuits, shots=1000).result(), DELAYS[1:4], strict=True):
        (points,) = pub.data.values()
        assert points.shape == ((1000, 1) if meas_type == "kerneled" else (1,))
        p = np.exp(-delay / 80e-6)
        mean = (1 - p) * complex(*CENTERS[0][0]) + p * complex(*CENTERS[0][1])
        spread = np.sqrt(0.1**2 + np.array([3, 3.5]) ** 2 * p * (1 - p)) / np.sqrt(1000)
        off = points.mean() - mean
        assert (np.abs([off.real, off.imag]) < SIGMAS * spread).all()


def test_bits_of_the_mock_whose_default_are_points():
    circuit = T1([0], delays=[0.0]).circuits()[0]
    data = Sampler(mock()).run([circuit], shots=50).result()[0].data
    (bits,) = data.values()
    assert bits.get_counts() == {"1": 50}
    assert wrap(mock()).run(circuit, shots=50).result().get_memory().shape == (50, 1)
    assert wrap(mock()).run(circuit, shots=50, meas_level=2).result().get_counts() == {"1": 50}
