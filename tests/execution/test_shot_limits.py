"""Backends that take fewer shots at a time than a run asks for."""

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.providers.fake_provider import GenericBackendV2

from quell import Estimator, Sampler, wrap
from quell.circuits.samples import Samples
from quell.execution.results import joined_shots


class Limited(GenericBackendV2):
    """Refuses more shots than it takes, and keeps how many it was asked for."""

    limit = 300

    def run(self, run_input, **options):
        if options["shots"] > self.limit:
            raise ValueError(f"at most {self.limit} shots")
        self.asked.append((len(run_input), options["shots"]))
        return super().run(run_input, **options)


# Aer on the absence of coherence times, which is what a device without noise has.
pytestmark = pytest.mark.filterwarnings("ignore:.*has no QubitProperties:UserWarning")


def limited(name):
    backend = Limited(3, basis_gates=["rz", "sx", "x", "cx"], noise_info=False, seed=1)
    backend.asked = []
    setattr(backend, name, backend.limit)
    return backend


def bell(backend):
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.x(2)
    circuit.measure_all()
    return transpile(circuit, backend, initial_layout=[0, 1, 2], optimization_level=1)


@pytest.mark.parametrize("name", ["max_shots", "MAX_SHOTS"])
def test_shots_are_run_in_equal_parts(name):
    backend = limited(name)
    bits = Sampler(backend, options={"seed": 2}).run([bell(backend)], shots=1001).result()[0].data.meas
    assert backend.asked == [(1, 251), (1, 250), (1, 250), (1, 250)]
    assert bits.num_shots == 1001
    counts = bits.get_counts()
    assert set(counts) == {"100", "111"}
    assert abs(counts["100"] - 500.5) < 6 * np.sqrt(1001) / 2


def test_parts_have_shots_of_their_own_and_a_seed_repeats_them():
    """Equal shots in each part would be no new information."""
    first, second, other = (
        Sampler(backend, options={"seed": seed}).run([bell(backend)], shots=600).result()[0].data.meas
        for seed, backend in ((2, limited("max_shots")), (2, limited("max_shots")), (3, limited("max_shots")))
    )
    assert first == second
    assert first != other
    halves = first.array[:300], first.array[300:]
    assert (np.sort(halves[0], axis=0) != np.sort(halves[1], axis=0)).any()


def test_twirled_values_and_counts_have_all_their_shots():
    backend = limited("max_shots")
    circuit = bell(backend).remove_final_measurements(inplace=False)
    options = {"seed": 4, "resilience_level": 1, "twirling": {"num_randomizations": 4}}
    job = Estimator(backend, options=options).run([(circuit, ["IZZ", "IXX", "ZII"])], precision=0.02)
    assert np.allclose(job.result()[0].data.evs, [1, 1, -1])
    assert max(shots for _, shots in backend.asked) <= 300
    counts = wrap(backend, {"seed": 1}).run(bell(backend), shots=700).result().get_counts()
    assert sum(counts.values()) == 700


def test_what_a_device_runs_in_full_is_one_run():
    backend = limited("max_shots")
    Sampler(backend).run([bell(backend)], shots=300).result()
    assert backend.asked == [(1, 300)]


def test_shots_of_members_are_joined_where_parts_have_different_numbers():
    parts = [
        Samples({"c": np.array([[[1], [2]], [[3], [0]]], dtype=np.uint8)}, {"c": 2}, np.array([2, 1])),
        Samples({"c": np.array([[[0], [0]], [[1], [2]]], dtype=np.uint8)}, {"c": 2}, np.array([0, 2])),
    ]
    joined = joined_shots(parts)
    assert joined.shots.tolist() == [2, 3]
    assert joined.bits["c"][..., 0].tolist() == [[1, 2, 0], [3, 1, 2]]
