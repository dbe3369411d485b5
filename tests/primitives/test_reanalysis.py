"""Kept data under other extrapolators and another guard, without running anything."""

import numpy as np
import pytest
from qiskit import QuantumCircuit

from quell import Batch, Estimator, EstimatorOptions, Sampler
from quell.errors import OptionsError, UnsupportedError
from quell.extrapolators import Model
from quell.testing import CountingBackend, NoisyDevice

pytest.importorskip("qiskit_aer")

ZNE = {"resilience_level": 2, "seed": 3, "default_shots": 2000}


def circuit():
    bell = QuantumCircuit(2)
    for _ in range(4):
        bell.sx(0)
        bell.rz(0.7, 0)
        bell.sx(1)
        bell.cx(0, 1)
    return bell


PUB = (circuit(), [["ZZ", "IZ"], ["XX", {"ZZ": 0.5, "XX": -0.4}]])


@pytest.fixture(scope="module")
def device():
    return CountingBackend(NoisyDevice("tee5", coherent=False, idle=False, seed=1))


@pytest.fixture(scope="module")
def job(device):
    job = Estimator(device, ZNE).run([PUB])
    job.result()
    return job


def zne(**options):
    return {"resilience": {"zne": options}}


def test_nothing_is_run_and_the_same_options_give_the_same_result(device, job):
    runs = device.num_runs
    again = job.reanalyze({})
    for name in ("evs", "stds", "evs_noise_factors", "evs_extrapolated", "stds_extrapolated"):
        assert np.array_equal(again[0].data[name], job.result()[0].data[name])
    assert again.metadata["circuits"] == job.result().metadata["circuits"]
    assert device.num_runs == runs


@pytest.mark.parametrize("name", ["linear", "richardson", "polynomial_degree_2", "fallback"])
def test_another_extrapolator(job, name):
    data = job.reanalyze(zne(extrapolator=name, guard=False))[0].data
    assert data.evs == pytest.approx(data.evs_extrapolated[..., 0, 0])
    assert data.evs_noise_factors == pytest.approx(job.result()[0].data.evs_noise_factors)
    assert data.evs_extrapolated.shape == (2, 2, 1, 4)
    same = Estimator(
        NoisyDevice("tee5", coherent=False, idle=False, seed=1),
        {**ZNE, **zne(extrapolator=name, guard=False, shot_allocation="equal")},
    )
    if name == "fallback":
        assert data.evs == pytest.approx(data.evs_noise_factors[..., 0])
    else:  # what a run with that extrapolator gives, within the errors of both
        other = same.run([PUB]).result()[0].data
        assert (np.abs(data.evs - other.evs) < 4.5 * np.hypot(data.stds, other.stds)).all()


def test_a_model_of_ones_own(job):
    own = Model(lambda x, a, b: a * (1 - b * x), 2, name="own line")
    found = job.reanalyze(zne(extrapolator=own, guard=False))[0]
    line = job.reanalyze(zne(extrapolator="linear", guard=False))[0].data
    assert found.data.evs == pytest.approx(line.evs, abs=1e-4)
    assert found.data.stds == pytest.approx(line.stds, rel=1e-2)
    assert found.metadata["resilience"]["zne"]["extrapolator"] == ["own line"]


def test_a_whole_tree_may_be_given(job):
    options = EstimatorOptions({**ZNE, **zne(extrapolator="linear")})
    assert np.array_equal(
        job.reanalyze(options)[0].data.evs, job.reanalyze(zne(extrapolator="linear"))[0].data.evs
    )


def test_what_shaped_the_data_cannot_be_changed(job):
    with pytest.raises(OptionsError) as caught:
        job.reanalyze(
            {"twirling": {"enable_gates": False}, **zne(noise_factors=(1, 2), extrapolator="linear")}
        )
    text = str(caught.value)
    assert (
        "options.twirling.enable_gates: was True when the data were measured, and cannot change to False"
        in text
    )
    assert "options.resilience.zne.noise_factors: was (1.0, 3.0, 5.0) when" in text
    assert "extrapolator" not in text
    with pytest.raises(OptionsError, match=r"zne_mitigation: was True when the data were measured"):
        job.reanalyze({"resilience": {"zne_mitigation": False}})
    with pytest.raises(OptionsError, match="did you mean 'linear'"):
        job.reanalyze(zne(extrapolator="liner"))
    with pytest.raises(OptionsError, match="needs 4 noise factors, there are 3"):
        job.reanalyze(zne(extrapolator="double_exponential"))


def test_only_extrapolations_can_be_analysed_again(device):
    flat = Estimator(device, {"default_shots": 100}).run([PUB])
    samples = Sampler(device).run([circuit().measure_all(inplace=False)])
    for job in (flat, samples):
        with pytest.raises(UnsupportedError, match="run an Estimator with ZNE"):
            job.reanalyze({})


def test_rounds_and_shared_calibrations_are_kept_too():
    with Batch(backend=NoisyDevice("tee5", seed=1)) as batch:
        jobs = [Estimator(batch, ZNE).run([PUB]) for _ in range(2)]
    for job in jobs:
        assert np.array_equal(job.reanalyze({})[0].data.evs, job.result()[0].data.evs)
    options = {"resilience_level": 2, "seed": 3, "execution": {"precision_target": "mitigated"}}
    job = Estimator(NoisyDevice("tee5", seed=1), options).run([PUB], precision=0.03)
    assert np.array_equal(job.reanalyze({})[0].data.evs, job.result()[0].data.evs)
    assert "Pool the rounds" in str(job.plan())
