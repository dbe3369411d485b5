"""Learned noise as a stage: what it plans, costs, says and refuses. Its statistics are in `laws`."""

from __future__ import annotations

import itertools
import math
import pickle

import numpy as np
import pytest
from attrs import evolve
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from quell import Estimator, pipeline
from quell.calibration.layers import LayerModel
from quell.calibration.learning import LayerNoise
from quell.circuits.layers import Layer, occurrences
from quell.circuits.template import template_of
from quell.circuits.twirling import twirled_template
from quell.errors import InputError, OptionsError, UnsupportedError
from quell.kernels.curves import Polynomial
from quell.stages.measure import Measure
from quell.stages.pec import LayerLearning, Pec
from quell.stages.twirl import Twirl
from quell.stages.zne import Zne
from quell.testing import CountingBackend, ensemble_of, run_stages
from quell.testing.laws import sample
from quell.testing.pauli_frames import PauliFrameSampler

LEARNING = LayerLearning((0, 1, 2), 4, 32)
TWIRL = Twirl(True, True, 32, 32)
REFUSED = (UnsupportedError, InputError, OptionsError)


def circuit_of(repetitions=2):
    """cz on (0, 1), then on (1, 2), again and again; Z of every qubit stays what it is."""
    circuit = QuantumCircuit(3)
    for _ in range(repetitions):
        circuit.cz(0, 1)
        circuit.barrier()
        circuit.cz(1, 2)
        circuit.barrier()
    return circuit


FIRST, SECOND = Layer((("cz", (), (0, 1)),), (2,)), Layer((("cz", (), (1, 2)),), (0,))
MODELS = (
    LayerModel.of(FIRST, ["X0", "Z0", "X0 X1", "X1", "X2"], [0.01, 0.02, 0.03, 0.04, 0.05], "first"),
    LayerModel.of(SECOND, ["Y1", "X2"], [0.06, 0.07], "second"),
)
#: All rates of two repetitions; in the first layer nobody has used qubit 2 yet, so there its errors are left alone.
ALL_RATES = 2 * (0.01 + 0.02 + 0.03 + 0.04 + 0.06 + 0.07) + 0.05


def stage(models=MODELS, **options):
    return Pec(LEARNING, models, **({"gain": 0.0, "max_overhead": None} | options))


def task_of(observables=("IIZ", "ZII"), shots=1000, circuit=None):
    return ensemble_of(circuit_of() if circuit is None else circuit, list(observables), shots=shots)


def planned(*stages, task=None, seed=0):
    task = task_of() if task is None else task
    return pipeline.plan([((*stages, TWIRL, Measure()), task)], np.random.default_rng(seed))


def facts_of(own, task=None):
    return expanded(own, task)[1].facts


def expanded(own, task=None):
    children, residue = own.expand(task_of() if task is None else task, {}, np.random.default_rng(0))
    return children[0], residue


# --- arithmetic ---------------------------------------------------------------------------------------


def test_gamma_of_each_term_is_that_of_the_errors_that_can_change_it():
    """Z0 meets X0, X0 X1 of the first layer twice; Z2 meets X2 of the second layer twice, of the first once."""
    _, residue = expanded(stage())
    own = sorted(residue.gammas)
    assert own == pytest.approx(sorted([math.exp(2 * 2 * 0.04), math.exp(2 * (2 * 0.07 + 0.05))]))
    assert residue.facts["gamma"] == pytest.approx(max(own))
    assert residue.facts["sampling_overhead"] == pytest.approx(max(own) ** 2)


def test_without_light_cone_all_errors_count():
    _, residue = expanded(stage(light_cone=False))
    assert residue.gammas == pytest.approx([math.exp(2 * ALL_RATES)] * 2)
    for own in (stage(), stage(light_cone=False)):
        found = facts_of(own)["log10_overhead_without_light_cone"]
        assert found == pytest.approx(4 * ALL_RATES / math.log(10))


def test_the_light_cone_looks_at_all_parameter_sets_and_terms():
    """A rotation that one of the sets makes brings errors in; a sum has one gamma for each of its terms."""
    circuit, angle = circuit_of(), Parameter("angle")
    circuit.rx(angle, 0)
    still = ensemble_of(circuit, [{"IIZ": 1.0, "ZII": 1.0}], [[0.0]])
    turned = ensemble_of(circuit, [{"IIZ": 1.0, "ZII": 1.0}], np.array([[0.0], [0.3]]))
    assert len(expanded(stage(), still)[1].gammas) == 2
    assert facts_of(stage(), turned)["gamma"] > facts_of(stage(), still)["gamma"]
    assert min(expanded(stage(), turned)[1].gammas) == pytest.approx(math.exp(2 * (2 * 0.07 + 0.05)))


@pytest.mark.parametrize("gain", [0.0, 0.25, 0.5, 1.0, 1.5])
def test_gain(gain):
    child, residue = expanded(stage(gain=gain))
    full = 2 * (2 * 0.07 + 0.05)
    facts = residue.facts
    assert facts["noise_gain"] == residue.gain == gain
    assert facts["gamma"] == pytest.approx(math.exp(max(1 - gain, 0) * full))
    assert facts["sampling_overhead"] == pytest.approx(math.exp(2 * max(1 - gain, 0) * full))
    if gain < 1:
        assert facts["largest_relative_bias"] == pytest.approx(1 - math.exp(-gain * full))
    else:
        assert "largest_relative_bias" not in facts
    inserted = residue.injection.frames(child.template, 0, 0, 400).after
    assert inserted.any() == (gain != 1)
    assert residue.injection.signs(0, 0, 400)[1].any() == (gain < 1)


@pytest.mark.parametrize(
    ("limit", "least"), [(1.2, 0.0), (1.5, 0.0), (1.5, 0.9), (1e6, 0.0), (1e6, 0.3), (1.0, 0.0)]
)
def test_auto_leaves_as_little_as_the_overhead_allows(limit, least):
    """``1 - ln(max_overhead) / ln(gamma^2)``, not below `least_gain`."""
    full = 4 * (2 * 0.07 + 0.05)  # ln gamma^2
    facts = facts_of(stage(gain="auto", max_overhead=limit, least_gain=least))
    assert facts["noise_gain"] == pytest.approx(np.clip(1 - math.log(limit) / full, least, 1))
    assert facts["sampling_overhead"] <= limit * (1 + 1e-12)
    if facts["noise_gain"] > least:
        assert facts["sampling_overhead"] == pytest.approx(limit)


def test_auto_without_limit_leaves_the_least():
    assert facts_of(stage(gain="auto"))["noise_gain"] == 0
    assert facts_of(stage(gain="auto", least_gain=0.5))["noise_gain"] == 0.5
    none = [evolve(m, rates=0 * m.rates) for m in MODELS]
    assert facts_of(stage(none, gain="auto", max_overhead=1.0))["sampling_overhead"] == 1


def test_auto_with_noise_factors_keeps_the_smallest_within_the_overhead():
    factors = (0.5, 1.0, 2.0)
    zne = Zne(factors, (Polynomial(1),), amplifier="pea")
    plan = planned(zne, stage(gain="auto", max_overhead=1.5))
    gains = [node.residue.facts["noise_gain"] for node in plan.roots[0].children]
    full = 4 * (2 * 0.07 + 0.05)
    own = (1 - math.log(1.5) / full) / 0.5
    assert gains == pytest.approx([min(own, 1) * f for f in factors])
    assert plan.roots[0].children[0].residue.facts["sampling_overhead"] <= 1.5 + 1e-9


# --- randomizations and shots -----------------------------------------------------------------------


def size_of(own, task=None):
    facts = facts_of(own, task)
    return facts["num_randomizations"], facts["shots_per_randomization"]


OVERHEAD = math.exp(4 * (2 * 0.07 + 0.05))


def test_the_user_says_how_many_shots_each_randomization_has():
    for each in (1, 4, 100):
        assert size_of(stage(shots_per_randomization=each)) == (
            math.ceil(1000 * OVERHEAD / each),
            math.ceil(1000 * OVERHEAD / math.ceil(1000 * OVERHEAD / each)),
        )
    # Of the two numbers this one wins, as the overhead decides the product.
    assert size_of(stage(shots_per_randomization=4, num_randomizations=10)) == size_of(
        stage(shots_per_randomization=4)
    )


def test_the_user_says_how_many_randomizations_there_are():
    assert size_of(stage(num_randomizations=50)) == (50, math.ceil(1000 * OVERHEAD / 50))


@pytest.mark.parametrize("gain", [0.0, 0.6])
@pytest.mark.parametrize("cost", [0.0, 4.0, 16.0, 100.0, 1e9])
def test_dear_circuits_have_many_shots(cost, gain):
    """``sqrt(cost / q)``, with q = 1 - 1 / gamma^2, between 1 and 64; at least 32 randomizations."""
    overhead = OVERHEAD ** (1 - gain)
    members, each = size_of(stage(circuit_cost=cost, gain=gain), task_of(shots=100_000))
    best = int(np.clip(math.sqrt(cost / (1 - 1 / overhead)), 1, 64))
    assert each == best
    assert members == math.ceil(100_000 * overhead / best)


def test_few_shots_still_have_a_spread():
    members, each = size_of(stage(circuit_cost=1e9), task_of(shots=50))
    assert members == 32
    assert each == math.ceil(50 * OVERHEAD / 32)
    assert size_of(stage(circuit_cost=1e9), task_of(shots=3))[0] == math.ceil(3 * OVERHEAD)


def test_shots_are_never_fewer_than_asked():
    for shots, each in itertools.product((1, 7, 100), (None, 1, 64)):
        own = stage(shots_per_randomization=each)
        members, per = size_of(own, task_of(shots=shots))
        assert members * per >= shots * OVERHEAD


def test_twirls_share_the_randomizations():
    plan = planned(stage(shots_per_randomization=4))
    program = pipeline.leaves(plan)[0]
    assert program.num_randomizations == math.ceil(1000 * OVERHEAD / 4)
    assert len(program.draws) == 3
    cost = pipeline.cost(plan)
    assert cost.shots == program.num_randomizations * program.shots
    assert cost.calibration_shots == 0


def test_something_outside_that_fixes_randomizations_is_refused():
    with pytest.raises(UnsupportedError, match="fixes their number"):
        pipeline.plan([((TWIRL, stage(), Measure()), task_of())], np.random.default_rng(0))


# --- what is learned first ----------------------------------------------------------------------------


def learning(**options):
    return Pec(LEARNING, None, **({"gain": 0.0, "max_overhead": 5.0} | options))


def test_needs_are_the_distinct_layers():
    """Of those with the same gates the one where most wait; waiting qubits count from their first gate on."""
    needs = list(learning().needs(task_of()))
    assert [need.layer for need in needs] == [FIRST, SECOND]
    assert all(isinstance(need, LayerNoise) for need in needs)
    assert {need.pairs for need in needs} == {((0, 1), (1, 2))}
    assert [(need.depths, need.num_randomizations, need.shots) for need in needs] == [((0, 1, 2), 4, 32)] * 2
    assert list(stage().needs(task_of())) == []
    alone = list(learning(strategy="active").needs(task_of()))
    assert [need.layer.spectators for need in alone] == [(), ()]


def known_to_plan(plan):
    """Return the exact models as outcomes of what a plan waits for."""
    waiting = pipeline.deferred(plan)[0].needs
    by_gates = {model.layer.gates: model for model in MODELS}
    return {need: by_gates[need.layer.gates] for need in waiting}


def test_a_plan_waits_for_what_is_learned():
    plan = planned(learning())
    (end,) = pipeline.deferred(plan)
    assert [need.layer for need in end.needs] == [FIRST, SECOND]
    assert end.shots == (1000, 5000)
    assert [e.requirement.layer for e in plan.experiments] == [FIRST, SECOND]
    cost = pipeline.cost(plan)
    assert cost.deferred_shots == (1000, 5000)
    assert cost.shots == cost.calibration_shots == sum(need.shots_in_all for need in end.needs)
    whole = pipeline.completed(plan, known_to_plan(plan))
    assert pipeline.deferred(whole) == []
    assert whole.experiments == plan.experiments
    assert whole.roots[0].residue.facts == facts_of(stage())
    assert pipeline.cost(whole).deferred_shots == (0, 0)
    # What is drawn does not depend on when it is planned.
    again = pipeline.completed(plan, known_to_plan(plan))
    assert again.roots[0].residue.injection.key == whole.roots[0].residue.injection.key


def test_a_plan_that_knows_only_a_part_still_waits():
    plan = planned(learning())
    known = dict(list(known_to_plan(plan).items())[:1])
    assert len(pipeline.deferred(pipeline.completed(plan, known))) == 1


@pytest.mark.parametrize(
    ("options", "shots"),
    [
        ({"max_overhead": None}, (1000, None)),
        ({"gain": "auto", "max_overhead": 3.0}, (1000, 3000)),
        ({"gain": 1.5, "max_overhead": None}, (1000, 1000)),
        ({"gain": 1.0}, (1000, 1000)),
    ],
)
def test_what_a_deferred_plan_may_cost(options, shots):
    assert pipeline.deferred(planned(learning(**options)))[0].shots == shots


def test_settings_count_in_what_a_deferred_plan_may_cost():
    task = task_of(["IIZ", "IIX"])
    assert pipeline.deferred(planned(learning(), task=task))[0].shots == (2000, 10_000)


def test_the_text_of_a_plan_before_and_after():
    plan = planned(learning())
    before = str(plan)
    assert "PEC or PEA: learned noise, to a gain of 0, sampling overhead at most 5" in before
    assert "planned when it is learned: at least 1000 shots, at most 5000" in before
    assert "and, following from what is learned, at least 1000 shots, at most 5000" in before
    assert "cz (0, 1), waiting 2" in before
    after = str(pipeline.completed(plan, known_to_plan(plan)))
    gamma = math.exp(2 * (2 * 0.07 + 0.05))
    assert f"PEC: cancel learned noise: gamma {gamma:.4g}, sampling overhead {gamma**2:.4g}" in after
    assert "following from what is learned" not in after
    assert "as far as the overhead allows" in str(planned(learning(gain="auto")))


@pytest.mark.parametrize(
    ("gain", "phrase"),
    [(0.25, "0.25 of it left"), (1.0, "PEA: learned noise times 1:"), (2.0, "PEA: learned noise times 2:")],
)
def test_the_text_says_what_is_left(gain, phrase):
    own = stage(gain=gain)
    assert phrase in own.describe(expanded(own)[1])


@pytest.mark.parametrize("deferred", [False, True])
def test_a_pickled_plan_is_the_same_plan(deferred):
    plan = planned(learning() if deferred else stage(shots_per_randomization=16))
    stored = pickle.loads(pickle.dumps(plan))
    if deferred:
        known = known_to_plan(plan)
        assert len(pipeline.deferred(stored)) == 1
        plan, stored = pipeline.completed(plan, known), pipeline.completed(stored, known)
        plan, stored = evolve(plan, experiments=()), evolve(stored, experiments=())
    samples = sample(plan, PauliFrameSampler(MODELS, 1))
    first, second = pipeline.combine(plan, samples)[0], pipeline.combine(stored, samples)[0]
    assert np.array_equal(first.value, second.value)
    assert np.array_equal(first.variance, second.variance)
    assert first.details["pec"] == second.details["pec"]


def test_jobs_learn_and_then_cancel():
    """The whole way: what runs is planned twice, and the metadata says what was executed."""
    sampler = PauliFrameSampler(MODELS, 1)
    resilience = {
        "pec_mitigation": True,
        "pec": {"noise_gain": 0},
        "layer_noise_learning": {
            "layer_pair_depths": (0, 1, 4),
            "num_randomizations": 4,
            "shots_per_randomization": 64,
        },
    }
    options = {"resilience_level": 0, "seed": 3, "default_shots": 500, "resilience": resilience}
    job = Estimator(sampler, options).run([(circuit_of(), ["IIZ", "ZII"])])
    result = job.result()[0]
    found = result.metadata["resilience"]["pec"]
    assert result.metadata["num_randomizations"] == found["num_randomizations"]
    assert result.metadata["shots_per_randomization"] == found["shots_per_randomization"]
    assert result.metadata["executed_shots"] >= 500 * found["sampling_overhead"]
    assert sum(entry["occurrences"] for entry in found["layers"]) == 4
    assert found["gamma"] > 1
    assert (result.data.stds > 0).all()
    assert "sampling overhead" in str(job.plan())


# --- refused --------------------------------------------------------------------------------------------


def noise_options(models, **pec):
    return {
        "resilience_level": 0,
        "default_shots": 1000,
        "resilience": {"pec_mitigation": True, "layer_noise_model": models, "pec": pec},
    }


def refused(models, circuits=None, **pec):
    backend = CountingBackend()
    pubs = [(c, "Z" * c.num_qubits) for c in (circuits or [circuit_of()])]

    def run():
        Estimator(backend, noise_options(models, **pec)).run(pubs)

    with pytest.raises(REFUSED) as caught:
        run()
    assert backend.num_runs == 0
    return str(caught.value)


def test_layers_without_noise_are_named():
    found = refused([MODELS[0]])
    assert "has no noise for a layer of pubs[0]: cz (1, 2), waiting 0" in found
    assert "layer_noise_model" in found


def test_models_of_other_qubits():
    other = LayerModel.of(Layer((("cz", (), (3, 4)),)), ["X3"], [0.01], "other")
    found = refused([other])
    assert "cz (0, 1)" in found
    assert "cz (1, 2), waiting 0" in found


def test_a_layer_where_more_qubits_wait_than_in_the_model():
    narrow = LayerModel.of(Layer((("cz", (), (1, 2)),)), ["X1"], [0.01], "narrow")
    assert "cz (1, 2), waiting 0" in refused([MODELS[0], narrow])


def test_all_pubs_are_in_one_error():
    other = QuantumCircuit(2)
    other.cx(0, 1)
    fine = QuantumCircuit(2)
    fine.cz(0, 1)
    found = refused(MODELS, [circuit_of(), other, fine, other])
    assert "pubs[1]: cx (0, 1)" in found
    assert "pubs[3]: cx (0, 1)" in found
    assert "pubs[0]" not in found
    assert "pubs[2]" not in found


@pytest.mark.parametrize(
    ("rates", "phrase"),
    [
        ([-0.01, 0.02], r"-0.01"),
        ([float("nan"), 0.02], "nan"),
        ([float("inf"), 0.02], "inf"),
        ([0.01], "one for each"),
    ],
)
def test_bad_rates(rates, phrase):
    with pytest.raises(InputError, match=phrase):
        LayerModel.of(SECOND, ["Y1", "X2"], rates, "bad")


def test_bad_rates_in_plain_data_are_in_one_error():
    """Plain data of a model, two of them wrong: one error about both."""
    first, second = (model.to_dict() for model in MODELS)
    first["rates"] = [-0.5, *first["rates"][1:]]
    second["rates"] = [float("nan"), *second["rates"][1:]]
    found = refused([first, second])
    assert "-0.5" in found
    assert "nan" in found
    assert "layer_noise_model[0]" in found
    assert "layer_noise_model[1]" in found


def test_overhead_above_budget():
    """Named are the limit, the overhead, the predicted shots, the layers with most of it, and what helps."""
    found = refused(MODELS, noise_gain=0, max_overhead=1.5)
    template = twirled_template(template_of(circuit_of()), "active-accum")
    assert len(occurrences(template)) == 4
    facts = facts_of(stage(), task_of(["ZZZ"]))
    overhead = facts["sampling_overhead"]
    assert "max_overhead" in found
    assert "is 1.5" in found
    assert f"gamma^2 = {overhead:.3g}" in found
    assert f"{1024 * overhead:.3g} shots" in found  # 32 randomizations of 32 shots, times the overhead
    assert "cz (0, 1), waiting 2" in found
    assert "cz (1, 2), waiting 0 (2 times" in found
    needed = 1 - math.log(1.5) / math.log(overhead)
    assert f"{math.ceil(needed * 100) / 100:g} or more" in found


def test_the_gain_that_is_proposed_is_accepted():
    facts = facts_of(stage(), task_of(["ZZZ"]))
    needed = math.ceil((1 - math.log(1.5) / math.log(facts["sampling_overhead"])) * 100) / 100
    assert facts_of(stage(gain=needed, max_overhead=1.5), task_of(["ZZZ"]))["sampling_overhead"] <= 1.5


def test_overhead_of_several_pubs_in_one_error():
    found = refused(MODELS, [circuit_of(), circuit_of(1), circuit_of(8)], noise_gain=0, max_overhead=1.5)
    assert "pubs[0]" in found
    assert "pubs[2]" in found


def test_more_shots_than_any_device_takes():
    """Without a limit of the user's there is one of devices; noise that leaves nothing is no reason to overflow."""
    strong = [evolve(model, rates=model.rates * 100) for model in MODELS]
    found = refused(strong, noise_gain=0, max_overhead=None)
    assert "sets no limit" in found
    assert "inf" not in found
    assert "nan" not in found


def test_a_plan_that_is_over_budget_once_it_is_learned_says_so():
    plan = planned(learning(max_overhead=1.1))
    with pytest.raises(UnsupportedError, match="max_overhead"):
        pipeline.completed(plan, known_to_plan(plan))


def test_too_many_layers_to_learn():
    own = evolve(learning(), learning=evolve(LEARNING, max_layers=1))
    (problem,) = own.problems(task_of(), "pubs[4]")
    text = str(problem)
    assert "max_layers_to_learn" in text
    assert "pubs[4] has 2 distinct layers" in text
    assert "cz (0, 1), waiting 2" in text
    with pytest.raises(UnsupportedError, match="max_layers_to_learn"):
        list(own.needs(task_of()))


def test_circuits_whose_noise_is_no_pauli_noise():
    bad = QuantumCircuit(2)
    bad.rzz(0.3, 0, 1)
    found = refused(MODELS, [bad])
    assert "rzz(0.3) (0, 1)" in found
    measured = QuantumCircuit(2, 1)
    measured.cz(0, 1)
    measured.measure(0, 0)
    measured.cz(0, 1)
    assert "measurements before the end" in refused(MODELS, [measured, bad])


def test_circuits_without_layers_have_nothing_to_cancel():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    facts = facts_of(stage(), task_of(["ZZ"], circuit=circuit))
    assert facts["gamma"] == 1
    assert facts["layers"] == []
    estimate = run_stages(
        (stage(), TWIRL, Measure()), task_of(["IX", "ZI"], circuit=circuit), PauliFrameSampler((), 1), 1
    )
    assert estimate.value == pytest.approx([1, 1])


def test_constants_take_no_shots():
    task = task_of([{"III": 2.0}])
    estimate = run_stages((stage(), TWIRL, Measure()), task, PauliFrameSampler(MODELS, 1), 1)
    assert estimate.value.tolist() == [2.0]
    assert estimate.variance.tolist() == [0.0]


def test_models_of_wider_layers_are_restricted():
    """What waits in the model but not in the circuit is cut off, and what becomes equal is added up."""
    wide = Layer((("cz", (), (0, 1)),), (2, 3))
    model = LayerModel.of(wide, ["X0", "X0 X3", "X3"], [0.01, 0.02, 0.03], "wide")
    circuit = QuantumCircuit(4)
    circuit.cz(0, 1)
    task = ensemble_of(circuit, ["IIIZ"], shots=100)
    assert facts_of(stage((model,)), task)["gamma"] == pytest.approx(math.exp(2 * 0.03))
