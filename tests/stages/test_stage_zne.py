"""ZNE as a stage: what it runs, what it refuses, what it reports. Its statistics are in `laws/test_zne.py`."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Gate, Parameter

from quell import Estimator, pipeline
from quell.errors import InputError, OptionsError, UnsupportedError
from quell.kernels.curves import Fallback, Polynomial, Richardson
from quell.kernels.extrapolation import extrapolator
from quell.stages.measure import Measure
from quell.stages.trex import Trex
from quell.stages.twirl import Twirl
from quell.stages.zne import Zne
from quell.testing import CountingBackend, ExactSampler, ReadoutModel, ensemble_of, run_stages
from quell.testing.laws import same, sample

LINEAR = (Polynomial(1),)
ON = {"zne_mitigation": True, "zne": {"noise_factors": (1, 3, 5), "extrapolator": "linear"}}


def chain(num_gates=4):
    circuit = QuantumCircuit(2)
    for k in range(num_gates):
        circuit.ry(0.3 + 0.1 * k, 0)
        circuit.cx(0, 1)
    return circuit


def plan_of(stage, *inner, task=None, seed=0):
    task = ensemble_of(chain(), ["ZZ", "XI"], shots=256) if task is None else task
    return pipeline.plan([((stage, *inner, Measure()), task)], np.random.default_rng(seed))


def two_qubit_gates(program):
    return sum(isinstance(i.operation, Gate) and len(i.qubits) > 1 for i in program.template.circuit.data)


# --- what is run --------------------------------------------------------------------------------


def test_one_child_for_each_whole_factor_and_one_for_each_random_subset():
    stage = Zne((5, 1, 1.5), LINEAR, num_randomizations=8, shots_per_randomization=32)
    programs = pipeline.leaves(plan_of(stage))
    assert [two_qubit_gates(p) for p in programs] == [4] + [6] * 8 + [20]
    assert [p.shots for p in programs] == [256] + [32] * 8 + [256]
    subsets = {str([i.operation.name for i in p.template.circuit.data]) for p in programs[1:9]}
    assert len(subsets) > 1


def test_front_and_back_are_no_random_subsets():
    for folding in ("gate_folding_front", "gate_folding_back", "global_folding"):
        plan = plan_of(Zne((1, 1.5, 5), LINEAR, amplifier=folding))
        assert [two_qubit_gates(p) for p in pipeline.leaves(plan)] == [4, 6, 20]


def test_random_subsets_come_from_the_seed():
    def circuits(seed):
        stage = Zne((1, 1.5), LINEAR, num_randomizations=8, shots_per_randomization=32)
        task = ensemble_of(chain(12), ["ZZ"], shots=256)
        return [p.template.circuit for p in pipeline.leaves(plan_of(stage, task=task, seed=seed))]

    assert same(circuits(1), circuits(1))
    assert not same(circuits(1), circuits(2))


def test_copies_are_twirled_on_their_own():
    """Each of the three copies of a gate has frames of its own in every randomization."""
    stages = (Zne((1, 3), LINEAR), Twirl(True, False, 16, 16))
    plan = plan_of(*stages, task=ensemble_of(chain(1), ["ZZ"], shots=256))
    folded = pipeline.leaves(plan)[1]
    assert two_qubit_gates(folded) == 3
    frames = folded.frames(0, 0, 16)
    between = [op.before[0] for op in folded.template.ops if len(op.qubits) == 2]
    codes = frames.after[:, between]
    assert all(len(np.unique(column)) > 1 for column in codes.T)
    assert not np.array_equal(codes[:, 0], codes[:, 1])
    assert not np.array_equal(codes[:, 0], codes[:, 2])


@pytest.mark.parametrize("model", ["linear", "exponential", "richardson"])
def test_neyman_gives_shots_to_the_factors_that_weigh_most(model):
    stage = Zne((1, 3, 5), (extrapolator(model),), neyman=True)
    shares = stage.shares((1.0, 3.0, 5.0))
    assert shares.mean() == pytest.approx(1)
    programs = pipeline.leaves(plan_of(stage))
    assert [p.shots for p in programs] == [math.ceil(256 * s - 1e-9) for s in shares for _ in range(2)][::2]
    assert shares[0] > shares[-1]
    assert shares.min() > 0.1
    if model == "richardson":  # weights 15/8, -5/4, 3/8
        assert shares == pytest.approx(np.array([15, 10, 3]) / 28 * 3)


def test_equal_shares():
    assert Zne((1, 3, 5), LINEAR).shares((1.0, 3.0, 5.0)).tolist() == [1, 1, 1]


def test_a_pickled_plan_is_the_same_plan():
    stages = (Zne((1, 1.5, 3), LINEAR, num_randomizations=4, shots_per_randomization=64), Trex(8, 8))
    plan = plan_of(*stages, Twirl(True, True, 8, 32))
    samples = sample(plan, ExactSampler(1))
    first = pipeline.combine(plan, samples)[0]
    second = pipeline.combine(pickle.loads(pickle.dumps(plan)), samples)[0]
    assert np.array_equal(first.value, second.value)
    assert np.array_equal(first.details["zne"].extrapolated, second.details["zne"].extrapolated)


def test_factors_share_one_readout_experiment():
    stages = (Zne((1, 1.5, 3), LINEAR, num_randomizations=4, shots_per_randomization=64), Trex(8, 8))
    plan = plan_of(*stages, Twirl(True, True, 8, 32))
    assert len(plan.experiments) == 1


# --- what comes back ------------------------------------------------------------------------------


def test_richardson_is_its_closed_form_at_the_achieved_factors():
    """Weights prod_k x_k / (x_k - x_j), also where factors are not those that were asked for."""
    stage = Zne((1, 1.7, 3), (Richardson(),), num_randomizations=8, shots_per_randomization=64)
    task = ensemble_of(chain(), ["ZZ", {"XI": 0.5, "ZI": 2.0}], shots=512)
    estimate = run_stages((stage, Measure()), task, ExactSampler(1), 1)
    found = estimate.details["zne"]
    x = found.noise_factors
    assert x.tolist() == [1, 1.6875, 3]  # 11 pairs for 4 gates in 8 randomizations
    weights = [np.prod([b / (b - a) for b in x if b != a]) for a in x]
    assert estimate.value == pytest.approx(found.values @ weights)
    # Independent factors: errors add in squares; Student's factor of few randomizations is what is left.
    alone = np.sqrt((found.errors**2 * np.square(weights)).sum(axis=-1))
    assert np.sqrt(estimate.variance) == pytest.approx(alone, rel=0.15)
    assert found.contributions.sum(axis=-1) == pytest.approx(
        estimate.variance, rel=0.3
    )  # a Student factor each


def test_fields_have_the_shapes_that_v2_documents():
    theta = Parameter("theta")
    circuit = chain(2)
    circuit.rx(theta, 0)
    task = ensemble_of(circuit, [["ZZ"], ["XI"]], np.zeros((3, 1)), shots=64)
    stage = Zne((1, 2, 3, 5), (extrapolator("exponential"), Polynomial(1)), evaluated=(0.0, 1.0, 2.5))
    estimate = run_stages((stage, Measure()), task, ExactSampler(1), 1)
    found = estimate.details["zne"]
    assert estimate.value.shape == estimate.variance.shape == found.status.shape == (2, 3)
    assert found.values.shape == found.errors.shape == found.shot_errors.shape == (2, 3, 4)
    assert found.extrapolated.shape == found.extrapolated_errors.shape == (2, 3, 2, 3)
    assert found.model_status.shape == (2, 3, 2)
    for array in (
        found.values,
        found.errors,
        found.shot_errors,
        found.extrapolated,
        found.extrapolated_errors,
    ):
        assert np.isfinite(array).all()


def test_the_least_factor_may_be_larger_than_one():
    estimate = run_stages((Zne((3, 5), LINEAR), Measure()), ensemble_of(chain(), "ZZ"), ExactSampler(1), 1)
    assert estimate.details["zne"].noise_factors.tolist() == [3, 5]


def test_one_factor_is_enough_for_no_extrapolation():
    estimate = run_stages(
        (Zne((1,), (Fallback(),)), Measure()), ensemble_of(chain(), "ZZ"), ExactSampler(1), 1
    )
    assert estimate.value == estimate.details["zne"].values[..., 0]


def test_constants_need_no_shots():
    estimate = run_stages(
        (Zne((1, 3), LINEAR), Measure()), ensemble_of(chain(), [{"II": 2.0}]), ExactSampler(1), 1
    )
    assert estimate.value.tolist() == [2.0]
    assert estimate.variance.tolist() == [0.0]


def test_the_guard_refuses_an_axis_outside():
    stage = Zne((1, 3, 5), LINEAR, guard=True)
    with pytest.raises(UnsupportedError, match="guard"):
        pipeline.plan(
            [((Twirl(True, False, 8, 8), stage, Measure()), ensemble_of(chain(), "ZZ"))],
            np.random.default_rng(0),
        )
    plan_of(stage, Twirl(True, False, 8, 8))


def test_readout_is_corrected_at_every_factor():
    """False alarm 6e-7 a value: five standard errors."""
    circuit = QuantumCircuit(3)
    circuit.x([0, 1, 2])
    circuit.cx(0, 1)
    circuit.cx(0, 1)
    stages = (Zne((1, 2, 3), LINEAR), Trex(32, 128), Twirl(False, True, 32, 128), Measure())
    readout = ReadoutModel.uniform(3, 0.05, 0.1)
    estimate = run_stages(stages, ensemble_of(circuit, ["ZZZ", "IIZ"]), ExactSampler(2, readout=readout), 2)
    found = estimate.details["zne"]
    assert (np.abs(found.values + 1) < 5 * found.errors).all()
    assert (np.abs(estimate.value + 1) < 5 * np.sqrt(estimate.variance)).all()
    assert (found.errors < 0.1).all()


# --- what is refused, before anything runs -----------------------------------------------------------


class Opaque(Gate):
    """A gate whose inverse nobody knows."""

    def __init__(self):
        super().__init__("opaque", 2, [])


def refused(circuits, options=None, error=(UnsupportedError, InputError)):
    backend = CountingBackend()
    estimator = Estimator(backend, {"resilience_level": 0, "resilience": ON, **(options or {})})
    with pytest.raises(error) as caught:
        estimator.run([(circuit, "Z" * circuit.num_qubits) for circuit in circuits])
    assert backend.num_runs == 0
    return str(caught.value)


def bad_circuits():
    nothing = QuantumCircuit(2)
    nothing.h([0, 1])
    measured = QuantumCircuit(2, 1)
    measured.cx(0, 1)
    measured.measure(0, 0)
    measured.cx(0, 1)
    reset = QuantumCircuit(2)
    reset.cx(0, 1)
    reset.reset(0)
    reset.cx(0, 1)
    dynamic = QuantumCircuit(2, 1)
    dynamic.cx(0, 1)
    dynamic.measure(0, 0)
    with dynamic.if_test((0, 1)):
        dynamic.x(1)
    looping = QuantumCircuit(2)
    with looping.for_loop(range(2)):
        looping.cx(0, 1)
    return {
        "no gate on two or more qubits": nothing,
        "'measure'": measured,
        "'reset'": reset,
        "'if_else'": dynamic,
        "'for_loop'": looping,
    }


@pytest.mark.parametrize(
    "folding", ["gate_folding", "gate_folding_front", "gate_folding_back", "global_folding"]
)
def test_all_problems_of_all_circuits_come_in_one_error(folding):
    circuits = bad_circuits()
    zne = {"zne_mitigation": True, "zne": {**ON["zne"], "amplifier": folding}}
    found = refused(circuits.values(), {"resilience": zne})
    for k, phrase in enumerate(circuits):
        line = [text for text in found.splitlines() if f"pubs[{k}]" in text]
        assert any(phrase in text for text in line), (phrase, found)


def test_a_gate_without_inverse():
    circuit = QuantumCircuit(2)
    circuit.append(Opaque(), [0, 1])
    circuit.cx(0, 1)
    sampler = ExactSampler(1)
    with pytest.raises((UnsupportedError, InputError), match="opaque"):
        Estimator(sampler, {"resilience_level": 0, "resilience": ON}).run([(circuit, "ZZ")])


def test_factors_that_come_to_the_same():
    one = QuantumCircuit(2)
    one.cx(0, 1)
    zne = {"zne_mitigation": True, "zne": {"noise_factors": (1, 1.001, 3), "extrapolator": "linear"}}
    found = refused([one], {"resilience": zne})
    assert "1.001 to 1" in found
    assert "pubs[0]" in found


@pytest.mark.parametrize(
    ("factors", "models", "phrase"),
    [
        ((0.5, 1, 3), "linear", "noise_factors"),
        ((-1, 3), "linear", "noise_factors"),
        ((1, 3, 3), "linear", "equal entries"),
        ((1, math.nan, 3), "linear", "noise_factors"),
        ((1, math.inf), "linear", "noise_factors"),
        ((1, "3"), "linear", "noise_factors"),
        ("1,3,5", "linear", "noise_factors"),
        ((1, True, 3), "linear", "noise_factors"),
        ((), "linear", "noise_factors"),
        ((1, 3, 5), "double_exponential", "needs 4"),
        ((1, 3), "polynomial_degree_2", "needs 3"),
        ((1, 3), ("linear", "polynomial_degree_7"), "needs 8"),
        ((1, 3), "cubic", "extrapolator"),
    ],
)
def test_bad_options_are_refused(factors, models, phrase):
    backend = CountingBackend()
    zne = {"zne_mitigation": True, "zne": {"noise_factors": factors, "extrapolator": models}}

    def run():  # refused by the options or by the run
        Estimator(backend, {"resilience_level": 0, "resilience": zne}).run([(chain(), "ZZ")])

    with pytest.raises(OptionsError, match=phrase):
        run()
    assert backend.num_runs == 0


def test_options_and_circuits_are_wrong_in_one_error():
    backend = CountingBackend()
    zne = {"zne_mitigation": True, "zne": {"noise_factors": (1, 3), "extrapolator": ("double_exponential",)}}
    estimator = Estimator(backend, {"resilience_level": 0, "resilience": zne})
    nothing = QuantumCircuit(2)
    with pytest.raises((OptionsError, InputError)) as caught:
        estimator.run([(nothing, "ZZZ")])
    assert "double_exponential" in str(caught.value)
    assert "pubs[0]" in str(caught.value)
    assert backend.num_runs == 0


# --- the whole way -------------------------------------------------------------------------------------


@pytest.mark.parametrize("binds", [False, True], ids=["bound", "parametric"])
def test_the_estimator_reports_what_was_achieved(binds):
    backend = CountingBackend(takes_parameter_binds=binds)
    zne = {
        "zne_mitigation": True,
        "zne": {"noise_factors": (1, 1.7, 3), "extrapolator": ("exponential", "linear")},
    }
    options = {"resilience_level": 0, "resilience": zne, "twirling": {"enable_gates": True}, "seed": 3}
    circuit = chain()
    circuit.add_register(ClassicalRegister(2, "mine"))
    circuit.measure([0, 1], [0, 1])
    result = Estimator(backend, options).run([(circuit, ["ZZ", "XX"])], precision=0.05).result()[0]
    found = result.metadata["resilience"]["zne"]
    assert found["noise_factors"] == [1, 1.703125, 3]  # 45 pairs for 4 gates in 32 randomizations
    assert found["asked_noise_factors"] == [1, 1.7, 3]
    assert result.data.evs.shape == result.data.stds.shape == (2,)
    assert result.data.evs_noise_factors.shape == (2, 3)
    assert result.data.evs_extrapolated.shape == (2, 2, 4)
    assert (result.data.stds > 0).all()
    assert sum(found["shots"]) == backend.num_shots
