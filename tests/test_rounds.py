"""Two rounds for a precision after mitigation: how many shots are missing, and how both rounds become one result."""

from types import SimpleNamespace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.primitives import BackendSamplerV2, StatevectorSampler

from quell import Estimator
from quell.build import Shots
from quell.errors import ExecutionError, OptionsError
from quell.pipeline import leaves
from quell.rounds import AIM, pilot_shots, second_round
from quell.testing import FailingBackend, NoisyDevice

pytest.importorskip("qiskit_aer")

MITIGATED = {"execution": {"precision_target": "mitigated"}, "seed": 3}


def circuit():
    bell = QuantumCircuit(2)
    for _ in range(3):
        bell.sx(0)
        bell.rz(0.7, 0)
        bell.sx(1)
        bell.cx(0, 1)
    return bell


def device():
    return NoisyDevice("tee5", coherent=False, idle=False, seed=1)


def estimate(variance, shot_variance=None, zne=None):
    """What a first round leaves behind, as far as the second looks at it."""
    variance = np.asarray(variance, dtype=float)
    shot = variance if shot_variance is None else np.asarray(shot_variance, dtype=float)
    details = {} if zne is None else {"zne": zne}
    return SimpleNamespace(variance=variance, shot_variance=shot, details=details)


@pytest.mark.parametrize(("precision", "shots"), [(0.01, 2500), (0.02, 1024), (0.1, 100), (0.5, 4), (2.0, 1)])
def test_a_first_round_is_short_but_not_too_short(precision, shots):
    assert pilot_shots(precision) == shots


def test_nothing_is_missing_where_the_precision_is_met():
    assert (
        second_round(estimate([1e-4, 4e-5]), Shots(32, 10), 0.0101, randomized=True, neyman=True, most=2**31)
        is None
    )


def test_shots_grow_with_the_variance():
    # 16 times the variance that is asked for: both rounds together have 16 / AIM times the shots of the first.
    found = second_round(
        estimate([1.6e-3, 1e-3]), Shots(1, 100), 0.01, randomized=False, neyman=True, most=2**31
    )
    assert found.shots.num_randomizations == 1
    assert found.shots.shots_per_randomization == pytest.approx(100 * (16 / AIM - 1), abs=1)


def test_randomizations_grow_with_what_they_add():
    few = second_round(
        estimate([1.6e-3]), Shots(32, 10), 0.01, randomized=True, neyman=True, most=2**31
    ).shots
    # Where almost all of the variance is that of the twirl, more shots of each randomization would be wasted.
    twirl = estimate([1.6e-3], [1e-4])
    many = second_round(twirl, Shots(32, 10), 0.01, randomized=True, neyman=True, most=2**31).shots
    assert few.shots_per_randomization > 2 * many.shots_per_randomization
    assert many.num_randomizations > 2 * few.num_randomizations
    assert many.num_randomizations >= 32 * (16 / AIM - 1) / 1.3


def test_numbers_of_the_user_stay():
    found = second_round(
        estimate([1.6e-3]), Shots(32, 10), 0.01, randomized=True, neyman=True, most=2**31, fixed_each=True
    ).shots
    assert (found.shots_per_randomization, found.num_randomizations) == (
        10,
        pytest.approx(32 * (16 / AIM - 1), abs=1),
    )
    found = second_round(
        estimate([1.6e-3]), Shots(32, 10), 0.01, randomized=True, neyman=True, most=2**31, fixed_members=True
    ).shots
    assert (found.num_randomizations, found.shots_per_randomization) == (
        32,
        pytest.approx(10 * (16 / AIM - 1), abs=1),
    )


def test_what_a_fixed_calibration_adds_is_not_paid_for_in_shots():
    options = {**MITIGATED, "resilience_level": 1, "resilience": {"measure_noise_learning": {}}}
    learning = options["resilience"]["measure_noise_learning"]
    learning.update(num_randomizations=16, shots_per_randomization=16)
    job = Estimator(device(), options).run([(circuit(), "ZZ")], precision=0.005)
    result = job.result()
    assert result[0].data.stds > 0.005
    assert "more than the precision" in result[0].metadata["warning"]
    assert result.metadata["shots"] < 20 / 0.005**2


def test_there_is_a_most():
    found = second_round(estimate([1.0]), Shots(32, 10), 1e-3, randomized=True, neyman=True, most=10**6).shots
    assert found.num_randomizations * found.shots_per_randomization <= 10**6


def test_noise_factors_get_shots_by_what_they_contribute():
    zne = SimpleNamespace(
        unguarded=np.array([[0.5], [0.04]]),
        contributions=np.array([[1.2e-3, 1e-5, 3.9e-4]]),
        shots=(1000, 1000, 1000),
        errors=np.full((1, 3), 0.03),
        shot_errors=np.full((1, 3), 0.03),
    )
    found = second_round(
        estimate([1e-9], zne=zne), Shots(1, 1000), 0.01, randomized=False, neyman=True, most=2**31
    )
    had, more = np.ones(3), np.array(found.allocation) * found.shots.shots_per_randomization / 1000
    total = had + more
    assert (1.2e-3 / total[0] + 1e-5 / total[1] + 3.9e-4 / total[2]) == pytest.approx(AIM * 1e-4, rel=0.06)
    # In proportion to the roots, as far as the first round did not give too many already.
    assert total[0] / total[2] == pytest.approx(np.sqrt(1.2e-3 / 3.9e-4), rel=0.05)
    assert found.allocation[1] < 0.2


@pytest.mark.parametrize(
    "options",
    [
        {"resilience_level": 0},
        {"resilience_level": 1},
        {"resilience_level": 0, "resilience": {"zne_mitigation": True}},
        {"resilience_level": 2},
        {
            "resilience_level": 2,
            "resilience": {"zne": {"noise_factors": (1, 2, 3), "shot_allocation": "equal"}},
        },
    ],
)
@pytest.mark.parametrize("precision", [0.02, 0.04])
def test_error_bars_meet_the_precision(options, precision):
    job = Estimator(device(), {**MITIGATED, **options}).run(
        [(circuit(), ["ZZ", "IZ", "XX"])], precision=precision
    )
    found = job.result()[0]
    stds, zne = found.data.stds, found.metadata["resilience"].get("zne")
    if zne is not None:  # a value that the guard keeps has the bias it may have in its error bar
        kept = np.char.startswith(found.data.status, "kept")
        assert (stds[kept] >= np.array(zne["unguarded"]["stds"])[kept]).all()
        stds = np.array(zne["unguarded"]["stds"])
    assert (stds <= precision).all()
    assert found.metadata["target_precision"] == precision
    assert ("warning" in found.metadata) == bool((found.data.stds > precision).any())
    assert len(job.samples()) == len(leaves(job.plan()))


def test_the_second_round_is_no_larger_than_it_must_be():
    options = {**MITIGATED, "resilience_level": 0, "resilience": {"zne_mitigation": True}}
    stds = Estimator(device(), options).run([(circuit(), "ZZ")], precision=0.01).result()[0].data.stds
    assert 0.006 < stds <= 0.01


def test_pubs_that_are_done_take_no_second_round():
    pubs = [(circuit(), "II", None, 0.02), (circuit(), "ZZ", None, 0.02)]
    job = Estimator(device(), {**MITIGATED, "resilience_level": 1}).run(pubs)
    job.result()
    first, second = job.plan().roots
    assert "Pool" not in str(first.stage.describe())
    assert second.stage.describe() == "Pool the rounds"


def test_the_same_seed_gives_the_same_rounds():
    def run():
        options = {**MITIGATED, "resilience_level": 2}
        job = Estimator(device(), options).run([(circuit(), "ZZ")], precision=0.02)
        return job.result()[0].data.evs, str(job.plan())

    assert run() == run()


def test_the_mean_of_two_rounds_is_that_of_all_shots():
    options = {**MITIGATED, "resilience_level": 0}
    job = Estimator(device(), options).run([(circuit(), "XX")], precision=0.02)
    data = job.result()[0].data
    if len(job.samples()) == 1:
        pytest.fail("one round was enough, so nothing was pooled")
    bits = np.concatenate([s.bits["meas"][0, :, 0] for s in job.samples()])
    parity = 1 - 2.0 * (np.bitwise_count(bits) % 2)
    assert data.evs == pytest.approx(parity.mean())
    assert data.stds == pytest.approx(parity.std(ddof=1) / np.sqrt(len(parity)), rel=0.02)


def test_a_sampler_whose_second_round_would_repeat_the_first_is_refused():
    options = {**MITIGATED, "resilience_level": 0}
    for seeded in (
        StatevectorSampler(seed=1),
        BackendSamplerV2(backend=device(), options={"seed_simulator": 3}),
    ):
        with pytest.raises(OptionsError, match=r"would repeat shots of the first: .* has a fixed seed"):
            Estimator(seeded, options).run([(circuit(), "XX")], precision=0.02)
    fresh = StatevectorSampler(seed=np.random.default_rng(1))
    rounds = Estimator(fresh, options).run([(circuit(), "XX")], precision=0.02)
    assert rounds.result()[0].metadata["first_round"] == {"shots": 1024, "num_randomizations": 1}
    assert rounds.result()[0].metadata["shots"] == sum(s.shots.sum() for s in rounds.samples())
    first, second = (s.bits["meas"][0, :1024] for s in rounds.samples())
    assert not np.array_equal(first, second)


def test_a_seeded_sampler_is_warned_of():
    options = {"resilience_level": 0, "default_shots": 50, "resilience": {"zne_mitigation": True}}
    for sampler, warned in ((StatevectorSampler(seed=1), True), (StatevectorSampler(), False)):
        result = Estimator(sampler, options).run([(circuit(), "XX")]).result()[0]
        assert ("has a fixed seed" in result.metadata.get("warning", "")) == warned


def test_a_failure_in_the_second_round_keeps_the_first():
    options = {**MITIGATED, "resilience_level": 0}
    backend = FailingBackend(device(), fail_at=1)
    job = Estimator(backend, options).run([(circuit(), "XX")], precision=0.02)
    with pytest.raises(ExecutionError) as caught:
        job.result()
    ((chunk, samples),) = caught.value.partial.chunks
    assert samples.shots.sum() == 1024
    assert (chunk.program, chunk.start, chunk.stop) == (0, 0, 1)
