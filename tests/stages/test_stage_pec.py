"""Learned noise as a stage: what it plans, costs, says and refuses. Its statistics are in `laws`."""

from __future__ import annotations

import itertools
import math
import pickle
import re

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


@pytest.mark.parametrize("cost", [0.0, 16.0, 1e9])
def test_randomizations_that_add_no_variance_have_many_shots(cost):
    """Clifford, light cone: every error turns sign and value together, so few circuits do, whatever they cost."""
    assert size_of(stage(circuit_cost=cost), task_of(shots=100_000))[1] == 64


def test_dear_circuits_have_more_shots():
    """Where errors count that do not turn the term, their signs vary, and shots of a circuit are worth less."""
    for gain, most in ((0.0, 2), (0.95, 64)):
        sizes = [
            size_of(stage(circuit_cost=cost, light_cone=False, gain=gain), task_of(shots=10_000))[1]
            for cost in (0.0, 0.5, 4.0, 1e9)
        ]
        assert sizes == sorted(sizes)
        assert sizes[0] == 1
        assert sizes[-1] <= most
    assert sizes[-1] > 1


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
    """Those with the same gates are one, with all who wait in any of them; waiting counts from the first gate on."""
    needs = list(learning().needs(task_of()))
    assert [need.layer for need in needs] == [FIRST, SECOND]
    assert all(isinstance(need, LayerNoise) for need in needs)
    assert [need.pairs for need in needs] == [((0, 1), (1, 2))] * 2
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
    assert {need.layer for need in end.needs} == {FIRST, SECOND}
    assert end.shots == (1000, 5000)
    assert [e.requirement.layer for e in plan.experiments] == [FIRST, SECOND]
    cost = pipeline.cost(plan)
    assert cost.deferred_shots == (1000, 5000)
    assert cost.shots == cost.calibration_shots == sum(e.requirement.shots_in_all for e in plan.experiments)
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
    assert "planned when it is learned: about 1000 shots or more, at most about 5000" in before
    assert "and, following from what is learned, about 1000 shots or more, at most about 5000" in before
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


# --- who waits differs between layers with the same gates ---------------------------------------------------


def waiting_in_turn():
    """cx on (0, 1) twice, first with qubit 2 held by a delay, then with qubit 3: neither layer contains the other."""
    circuit = QuantumCircuit(4)
    circuit.h(range(4))
    circuit.cx(2, 3)
    circuit.barrier()
    for busy in (2, 3):
        circuit.cx(0, 1)
        circuit.delay(100, busy)
        circuit.barrier()
    return circuit


PAIR = (("cx", (), (0, 1)),)


@pytest.mark.parametrize("strategy", ["active-accum", "all", "active-circuit"])
def test_layers_with_the_same_gates_are_learned_once_for_all_who_wait_in_any_of_them(strategy):
    own = evolve(learning(gain="auto"), strategy=strategy)
    task = task_of(["XXXX"], circuit=waiting_in_turn())
    places = occurrences(twirled_template(task.template, strategy))
    assert {p.layer.spectators for p in places if p.layer.gates == PAIR} == {(2,), (3,)}
    plan = planned(own, task=task)
    learned = {e.requirement.layer.gates: e.requirement for e in plan.experiments}
    assert len(learned) == len(plan.experiments) == 2
    assert learned[PAIR].layer.spectators == (2, 3)
    models = {
        r: LayerModel.of(r.layer, [f"X{q}" for q in r.layer.qubits], [0.01] * len(r.layer.qubits), "wide")
        for r in learned.values()
    }
    whole = pipeline.completed(plan, models)
    layers = whole.roots[0].residue.facts["layers"]
    assert {entry["layer"] for entry in layers} >= {"cx (0, 1), waiting 2", "cx (0, 1), waiting 3"}


@pytest.mark.parametrize("amplify", [False, True])
def test_jobs_with_such_layers_learn_and_run(amplify):
    few = {"layer_pair_depths": (0, 1), "num_randomizations": 4, "shots_per_randomization": 8}
    resilience = {"layer_noise_learning": few, "pec_mitigation": not amplify, "zne_mitigation": amplify}
    resilience |= {"zne": {"amplifier": "pea"}} if amplify else {}
    job = Estimator(PauliFrameSampler((), 1), {"resilience": resilience, "seed": 1, "default_shots": 64}).run(
        [(waiting_in_turn(), "XXXX")]
    )
    assert np.isfinite(job.result()[0].data.evs)
    assert len([e for e in job.plan().experiments if isinstance(e.requirement, LayerNoise)]) == 2


def test_all_layers_are_looked_for_in_given_noise_not_the_widest_only():
    other = LayerModel.of(Layer((("cx", (), (2, 3)),), (0, 1)), ["X2"], [0.01], "other")
    halves = [LayerModel.of(Layer(PAIR, (q,)), ["X0"], [0.01], f"waiting {q}") for q in (2, 3)]
    for half, missing in zip(halves, (3, 2), strict=True):
        found = refused([other, half], [waiting_in_turn()])
        assert f"pubs[0]: cx (0, 1), waiting {missing};" in found
        assert found.count("has no noise for") == 1
    both = [other, LayerModel.of(Layer(PAIR, (2, 3)), ["X0"], [0.01], "both")]
    for models in (both, [other, *halves]):
        gamma = facts_of(stage(models), task_of(["XXXX"], circuit=waiting_in_turn()))["gamma"]
        assert gamma == pytest.approx(
            facts_of(stage(both), task_of(["XXXX"], circuit=waiting_in_turn()))["gamma"]
        )


# --- what helps is true ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gain", "limit"), [(0.6, 1.1), (0.8, 1.15), (0.1, 1.3), (0.3, 1.45), (0.05, 1.7), (0, 1.7)]
)
@pytest.mark.parametrize("factors", [(0.5, 1.0, 2.0), (1.0, 1.5), (0.9, 1.2)])
def test_what_is_proposed_over_budget_is_accepted(gain, limit, factors):
    """The least factor counts: the gain that is proposed, or the factors, or the overhead, each is enough by itself."""
    task = task_of(["IIZ", "ZII", "ZZZ"])

    def text_of(gain, limit, factors):
        zne = Zne(factors, (Polynomial(1),), amplifier="pea")
        try:
            planned(zne, stage(gain=gain, max_overhead=limit), task=task)
        except UnsupportedError as error:
            return str(error)
        return ""

    found = text_of(gain, limit, factors)
    assert "max_overhead: is" in found
    proposed = [
        (re.search(r"noise_gain to ([\d.]+) or more", found), lambda x: (x, limit, factors)),
        (re.search(r"factors of ([\d.]+) and more", found), lambda x: (gain, limit, (x, x + 0.5))),
        (re.search(r"raise max_overhead to (\d+)", found), lambda x: (gain, x, factors)),
    ]
    assert proposed[2][0]
    if proposed[1][0] is None:
        assert min(factors) >= 1 or text_of(gain, limit, (1.0, 1.5)) != ""
    for match, changed in proposed:
        if match is None:
            continue
        value = float(match[1])
        assert text_of(*changed(value)) == ""
    if proposed[0][0] is None:
        # No gain is small enough to be allowed: all of the noise, times the least factor, is over budget.
        assert text_of(1.0, limit, factors) != ""
        assert "'auto'" not in found
    else:
        value = float(proposed[0][0][1])
        assert value <= 1
        assert text_of(value - 0.02, limit, factors) != ""
        assert text_of("auto", limit, factors) == ""


def test_auto_is_not_proposed_where_it_is_set():
    zne = Zne((0.1, 1.0), (Polynomial(1),), amplifier="pea")
    with pytest.raises(UnsupportedError) as caught:
        planned(zne, stage(gain="auto", max_overhead=1.01))
    assert "'auto'" not in str(caught.value)
    assert "choose noise factors of" in str(caught.value)


# --- messages name the PUB ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("amplifier", ["gate_folding", "global_folding", "pea"])
def test_pubs_that_are_extrapolated_are_named_in_one_error(amplifier):
    """Over budget, or without noise that is known: every PUB, by its number, before anything runs."""
    other = QuantumCircuit(2)
    other.cx(0, 1)
    fine = QuantumCircuit(2)
    fine.cz(0, 1)
    zne = {"amplifier": amplifier, "noise_factors": (1.0, 3.0), "extrapolator": "linear"}

    def text_of(circuits, pec):
        backend = CountingBackend()
        options = noise_options(MODELS, **pec)
        options["resilience"] |= {"zne_mitigation": True, "zne": zne}
        with pytest.raises(REFUSED) as caught:
            Estimator(backend, options).run([(c, "Z" * c.num_qubits) for c in circuits])
        assert backend.num_runs == 0
        return str(caught.value)

    found = text_of([circuit_of(3), fine, circuit_of(4)], {"noise_gain": 0.1, "max_overhead": 2.0})
    assert "sampling overhead of pubs[0] is" in found
    assert "sampling overhead of pubs[2] is" in found
    assert "pubs[1]" not in found
    found = text_of([fine, other, circuit_of(1), other], {"noise_gain": 0.1, "max_overhead": None})
    assert "pubs[1]: cx (0, 1)" in found
    assert "pubs[3]: cx (0, 1)" in found
    assert "pubs[0]" not in found
    assert "pubs[2]" not in found


# --- rare errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-3, 1e-2, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("gain", [0.0, 0.5, 1.5])
def test_shots_of_a_randomization_do_not_make_up_for_random_signs(scale, gain):
    """With n shots each the variance is (1 + q v^2 (n - 1)) over all shots, so with at most 2 / q it is less than 3.

    Circuits are so dear that nothing else limits the shots. Of the errors that are cancelled those count that do not
    turn a term for certain: for "IIZ" all but X0 and X0 X1 of the first layer.
    """
    models = [evolve(m, rates=m.rates * scale) for m in MODELS]
    own = stage(models, gain=gain, circuit_cost=1e9, light_cone=False)
    members, each = size_of(own, task_of(shots=100_000))
    random = ALL_RATES - 2 * 0.04 if gain < 1 else ALL_RATES
    q = 1 - math.exp(-4 * abs(1 - gain) * random * scale)
    assert each == min(max(math.floor(2 / q), 1), 64)
    assert members * each >= 100_000


@pytest.mark.parametrize("shots", [3, 20, 64, 256, 1000])
def test_all_factors_have_as_many_randomizations_whatever_their_shots(shots):
    """Their errors are nested and are combined one by one; Neyman gives the middle one few shots."""
    models = [evolve(m, rates=m.rates / 50) for m in MODELS]
    zne = Zne((1.0, 1.5, 2.0), (Polynomial(1),), amplifier="pea", neyman=True)
    stages = (zne, stage(models, gain=1.0))
    plan = planned(*stages, task=task_of(shots=shots))
    assert len({program.num_randomizations for program in pipeline.leaves(plan)}) == 1
    (estimate,) = pipeline.combine(plan, sample(plan, PauliFrameSampler(models, 1)))
    assert np.isfinite(estimate.variance).all()


def test_signs_are_decided_for_as_many_randomizations_as_there_are():
    child, residue = expanded(stage())
    assert residue.injection.num_members == child.num_randomizations
    odd = residue.injection.signs(0, 0, child.num_randomizations)[1]
    assert odd.sum() == residue.injection.num_odd >= 2
    for own in (stage(stratified=False), stage(block=2), stage(gain=2.0)):
        assert expanded(own)[1].injection.num_odd is None


def test_a_deferred_plan_says_that_its_shots_are_about_so_many():
    """Shots of a randomization are whole, so what runs is a little more than what follows from what is learned."""
    plan = planned(learning())
    assert "planned when it is learned: about 1000 shots or more, at most about 5000" in str(plan)
    whole = pipeline.completed(plan, known_to_plan(plan))
    spent = pipeline.cost(whole).shots - pipeline.cost(whole).calibration_shots
    facts = whole.roots[0].residue.facts
    assert 0 <= spent - 1000 * facts["sampling_overhead"] < facts["num_randomizations"]
    assert "planned when it is learned: about 1000 shots\n" in str(planned(learning(gain=1.5)))
