"""Forecasts: noise in closed form, costs that are those of plans, and picks that anybody would make."""

import json
import time
import warnings

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.primitives import StatevectorSampler
from qiskit.quantum_info import SparsePauliOp

import quell
from quell.comparison.circuit_terms import pub_terms
from quell.comparison.device_noise import device_noise
from quell.comparison.forecast import NAMES, suggest
from quell.comparison.foreseen import PROBE, Asked, foreseen
from quell.comparison.reference import exact_values
from quell.comparison.strategies import options_of
from quell.errors import InputError
from quell.kernels.forecasts import Terms, cancelled, extrapolated, measured
from quell.options import EstimatorOptions
from quell.pipeline import cost
from quell.primitives.inputs import estimator_pub
from quell.testing import NoisyDevice, load_device

aer = pytest.importorskip("qiskit_aer")
from qiskit_aer import AerSimulator  # noqa: E402
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error  # noqa: E402

BASIS = ["cx", "rz", "sx", "x"]


def simulator(two=0.01, one=0.001, readout=(0.02, 0.04), seed=None):
    model = NoiseModel()
    if two:
        model.add_all_qubit_quantum_error(depolarizing_error(two, 2), ["cx"])
    if one:
        model.add_all_qubit_quantum_error(depolarizing_error(one, 1), ["sx", "x"])
    if any(readout):
        up, down = readout
        model.add_all_qubit_readout_error(ReadoutError([[1 - up, up], [down, 1 - down]]))
    return AerSimulator(
        noise_model=model, method="density_matrix", seed_simulator=seed, max_parallel_threads=1
    )


def ising(num_qubits, steps, dt=0.25):
    circuit = QuantumCircuit(num_qubits)
    for _ in range(steps):
        for start in (0, 1):
            for q in range(start, num_qubits - 1, 2):
                circuit.cx(q, q + 1)
                circuit.rz(-2 * dt, q + 1)
                circuit.cx(q, q + 1)
        circuit.rx(2 * dt, range(num_qubits))
        circuit.rz(0.7 * dt, range(num_qubits))
    return transpile(circuit, basis_gates=BASIS, optimization_level=1)


def on(letters, qubits, num_qubits):
    return SparsePauliOp.from_sparse_list([(letters, qubits, 1.0)], num_qubits)


OBSERVABLES = [on("Z", [1], 4), on("XX", [1, 2], 4), on("Z", [0], 4) + 0.5 * on("YZ", [2, 3], 4)]


def noisy_truth(circuit, observables, device):
    """Return the means without readout error: Aer's density matrix."""
    circuit = circuit.copy()
    for k, observable in enumerate(observables):
        circuit.save_expectation_value(observable, range(circuit.num_qubits), label=str(k))
    data = device.run(circuit).result().data(0)
    return np.array([data[str(k)] for k in range(len(observables))])


# --- physics -----------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 4])
def test_values_under_the_noise_of_a_model_are_exact(steps):
    """Paulis carried backwards through depolarising noise, against Aer's density matrices."""
    circuit, device = ising(4, steps), simulator(0.03, 0.004)
    pub = estimator_pub((circuit, OBSERVABLES), None)
    part = pub_terms(pub, device_noise(device), 0.5, "pub").at([(False, 1.0), (False, 0.0)])
    np.testing.assert_allclose(
        part.sums @ part.plain.damped(1.0), noisy_truth(circuit, OBSERVABLES, device), atol=1e-9
    )
    np.testing.assert_allclose(part.plain.damped(0.0), part.plain.values, atol=1e-9)
    ideal, _ = exact_values([(circuit, OBSERVABLES)])
    np.testing.assert_allclose(part.sums @ part.plain.values, ideal, atol=1e-9)


def test_amplified_noise_is_that_of_a_stronger_model():
    """Three times the rates are the third power of what depolarising noise leaves."""
    circuit = ising(4, 2)
    weak, strong = simulator(0.01, 0.0), simulator(1 - 0.99**3, 0.0)
    pub = estimator_pub((circuit, OBSERVABLES), None)
    part = pub_terms(pub, device_noise(weak), 0.5, "pub").at([(False, 3.0)])
    np.testing.assert_allclose(
        part.sums @ part.plain.damped(3.0), noisy_truth(circuit, OBSERVABLES, strong), atol=1e-9
    )


def test_clifford_terms_decay_without_blur():
    """Where every Pauli is known, light cones say all: the closed form is the exact one."""
    circuit = QuantumCircuit(3)
    circuit.sx(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    observables = [on("ZZ", [0, 1], 3), on("YXX", [0, 1, 2], 3)]
    device = simulator(0.02, 0.003)
    part = pub_terms(estimator_pub((circuit, observables), None), device_noise(device), 0.5, "pub")
    assert not part.plain.known
    assert (part.plain.blurs == 0).all()
    np.testing.assert_allclose(
        part.sums @ part.plain.damped(1.0), noisy_truth(circuit, observables, device), atol=1e-9
    )
    # gamma = 1 / f, the least of any unbiased estimator.
    np.testing.assert_allclose(2 * part.plain.rates, part.plain.decays, atol=1e-12)


def one_term(value=0.8, decay=0.5, factor=0.9, offset=0.02):
    own = [np.array([float(x)]) for x in (value, decay, 0.0, factor, offset, decay / 2)]
    return Terms(*own)


def test_closed_forms_of_one_term():
    terms = one_term()
    raw = measured(terms, 1.0, 1000, twirled=False, corrected=False)
    expected = 0.8 * np.exp(-0.5) * 0.9 + 0.02
    np.testing.assert_allclose(raw.means, expected)
    np.testing.assert_allclose(raw.variances, (1 - expected**2) / 1000)
    trex = measured(terms, 1.0, 1000, twirled=True, corrected=True, calibration=500)
    np.testing.assert_allclose(trex.means, 0.8 * np.exp(-0.5))
    np.testing.assert_allclose(trex.variances, (1 / 0.81 - (0.8 * np.exp(-0.5)) ** 2) / 1000)
    np.testing.assert_allclose(trex.common, 0.8 * np.exp(-0.5) * np.sqrt(0.19 / 500) / 0.9)
    pec = cancelled(terms, 0.0, 1000, corrected=False, calibration=np.inf, uncertainty=np.zeros(1))
    np.testing.assert_allclose(pec.means, 0.72)  # readout is left
    np.testing.assert_allclose(pec.variances, (np.exp(2 * 0.5) - 0.72**2) / 1000)


def test_exponentials_of_exponential_decay_are_unbiased_and_cost_variance():
    terms = one_term(factor=1.0, offset=0.0)
    points = [measured(terms, g, 1e5, twirled=True, corrected=False) for g in (1.0, 3.0, 5.0)]
    value, variance = extrapolated(points, np.array([1.0, 3.0, 5.0]), np.eye(1), guard=False)
    np.testing.assert_allclose(value, 0.8, atol=1e-6)
    assert variance[0] > 3 * points[0].variances[0]
    weak = [measured(one_term(value=0.02), g, 50, twirled=True, corrected=False) for g in (1.0, 3.0, 5.0)]
    kept, _ = extrapolated(weak, np.array([1.0, 3.0, 5.0]), np.eye(1), guard=True)
    np.testing.assert_allclose(kept, weak[0].means, atol=0.02)


# --- costs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_costs_are_those_of_plans(name):
    device = simulator()
    pubs = [(ising(4, 2), OBSERVABLES), (ising(4, 1), on("Z", [2], 4))]
    given = [estimator_pub(pub, None) for pub in pubs]
    plan = quell.Estimator(device, {**options_of(name), "default_shots": PROBE}).plan(pubs)
    total, expected = cost(plan), foreseen(EstimatorOptions(options_of(name)), Asked.of(given, device))
    assert expected.learning + expected.calibration * PROBE == pytest.approx(
        total.calibration_shots, rel=0.01
    )
    if "pec" not in name:  # its data are planned when the noise is known
        data = total.shots - total.calibration_shots + total.deferred_shots[0]
        assert sum(expected.data) * PROBE == pytest.approx(data, rel=0.02)
    suggestion = suggest(device, pubs, 4_000_000, strategies=[name])
    (prediction,) = suggestion.predictions
    options = {**options_of(name), "default_shots": prediction.shots}
    spent = cost(quell.Estimator(device, options).plan(pubs))
    if "pec" not in name:
        assert spent.shots + spent.deferred_shots[0] == pytest.approx(4_000_000, rel=0.02)


def test_strategies_that_do_not_fit_the_budget_say_what_they_need():
    suggestion = suggest(simulator(), [(ising(4, 2), OBSERVABLES)], 5_000)
    for name in ("pec+trex+twirl", "pea+trex+twirl"):
        prediction = suggestion.prediction(name)
        assert prediction.rms is None
        assert "to learn the noise of layers" in prediction.refused
    assert "Not possible: pea+trex+twirl, pec+trex+twirl" in suggestion.reason
    with pytest.raises(InputError, match="takes at least"):
        suggest(simulator(), [(ising(4, 2), OBSERVABLES)], 10)


# --- picks -------------------------------------------------------------------------------------


def test_few_shots_and_little_noise_need_no_mitigation():
    suggestion = suggest(simulator(1e-4, 0, (1e-3, 1e-3)), [(ising(4, 1), OBSERVABLES)], 2_000)
    assert suggestion.best == "raw"


def test_readout_errors_alone_call_for_trex():
    names = ["raw", "trex", "zne", "pec+trex+twirl"]
    device = simulator(0, 1e-6, (0.02, 0.05))
    suggestion = suggest(device, [(ising(4, 1), OBSERVABLES)], 1_000_000, strategies=names)
    assert suggestion.best == "trex"
    raw = suggestion.prediction("raw")
    assert raw.bias > 10 * raw.error


def test_gate_errors_and_many_shots_call_for_more():
    names = ["raw", "trex", "twirl+trex", "level 2"]
    suggestion = suggest(simulator(0.01), [(ising(4, 3), OBSERVABLES)], 300_000, strategies=names)
    assert suggestion.best == "level 2"
    assert suggestion.prediction("raw").rms > 2 * suggestion.prediction("level 2").rms


def test_learning_is_cut_down_to_the_budget_as_compare_does():
    suggestion = suggest(simulator(), [(ising(4, 2), OBSERVABLES)], 200_000)
    for name in ("pec+trex+twirl", "pea+trex+twirl"):
        prediction = suggestion.prediction(name)
        assert prediction.rms is not None
        assert "noise of layers is learned with" in prediction.note
        assert any(text.startswith(f"{name}: ") for text in suggestion.assumptions)


def test_noise_from_the_target_of_a_device():
    device = NoisyDevice(load_device("tee5"))
    circuit = transpile(ising(4, 2), device, initial_layout=[0, 1, 3, 4], optimization_level=1)
    observable = on("Z", [1], 4).apply_layout(circuit.layout)
    suggestion = suggest(device, [(circuit, observable)], 100_000)
    assert "device" in suggestion.assumptions[0] or "Aer" in suggestion.assumptions[0]
    assert suggestion.prediction("raw").bias > 0.005


def test_noise_that_the_user_knows():
    pubs = [(ising(4, 2), OBSERVABLES)]
    sampler = StatevectorSampler()
    with pytest.raises(InputError, match=r"says nothing of its errors.*noise="):
        suggest(sampler, pubs, 10_000)
    given = suggest(sampler, pubs, 10_000, noise={"two_qubit": 0.0075, "one_qubit": 0.0005, "readout": 0.02})
    same = suggest(simulator(0.01, 0.001, (0.02, 0.02)), pubs, 10_000)
    for mine, other in zip(given.predictions, same.predictions, strict=True):
        # Infidelities of these depolarising errors are 3/4 and 1/2 of their probabilities.
        assert (
            mine.bias == pytest.approx(other.bias, rel=0.02) if other.bias is not None else mine.bias is None
        )
    with pytest.raises(InputError, match=r"(?s)'two'.*two_qubit.*noise\['readout'\]"):
        suggest(sampler, pubs, 10_000, noise={"two": 0.01, "readout": 2.0})


@pytest.mark.parametrize(("qubits", "steps"), [(20, 5), pytest.param(50, 20, marks=pytest.mark.slow)])
def test_wide_circuits_take_seconds(qubits, steps):
    circuit = ising(qubits, steps)
    observable = SparsePauliOp.from_sparse_list([("Z", [q], 1 / qubits) for q in range(qubits)], qubits)
    start = time.process_time()
    suggestion = suggest(simulator(0.001, 0.0001), [(circuit, observable)], 1_000_000)
    assert time.process_time() - start < 15  # the wider takes 3 s on the machine that this was written on
    assert any("too large" in text for text in suggestion.assumptions)
    assert all(np.isfinite(p.rms) for p in suggestion.predictions if p.rms is not None)


def test_where_nothing_helps_it_says_so():
    suggestion = suggest(simulator(0.2, 0.02), [(ising(4, 8), [on("Z", [1], 4)])], 3_000)
    assert "None of them leaves much of a signal" in suggestion.reason


def test_a_suggestion_is_plain_data_and_a_table():
    suggestion = suggest(simulator(), [(ising(4, 2), OBSERVABLES)], 100_000)
    data = json.loads(json.dumps(suggestion.to_dict(), allow_nan=False))
    assert data["best"] == suggestion.best
    assert [p["name"] for p in data["predictions"]] == list(NAMES)
    lines = suggestion.table().splitlines()
    assert lines[2].startswith(f"| {suggestion.best} |")
    assert {line.count("|") - line.count("\\|") for line in lines} == {8}
    assert suggestion.reason in str(suggestion)
    with pytest.raises(InputError, match="was not forecast"):
        suggestion.prediction("cdr")


BAD = {"resilience": {"pec_mitigation": True, "layer_noise_learning": {"max_layers_to_learn": 1}}}


def test_of_equals_the_first_is_taken():
    circuit = QuantumCircuit(2)
    circuit.sx(0)
    circuit.rz(0.3, 0)
    circuit.sx(0)
    suggestion = suggest(simulator(), [(circuit, "IZ")], 100_000, strategies=["trex", "twirl+trex"])
    assert suggestion.best == "trex"
    assert "Too close to it for a forecast to tell: twirl+trex" in suggestion.reason


def test_parameter_sets_sessions_and_operations_that_are_not_gates():
    circuit = ising(3, 1)
    angle = Parameter("a")
    circuit.ry(angle, 0)
    circuit = transpile(circuit, basis_gates=BASIS, optimization_level=1)
    pub = (circuit, [["IZZ"], ["XII"]], np.linspace(0, 1, 30))
    with quell.Session(backend=simulator()) as session:
        suggestion = suggest(session, [pub], 1_000_000)
    # Thirty sets in one basis, which serves both observables, and once as many shots for the readout.
    assert suggestion.prediction("trex").shots == 1_000_000 // 31
    early = QuantumCircuit(2, 1)
    early.sx(0)
    early.measure(0, 0)
    early.cx(0, 1)
    suggestion = suggest(simulator(), [(early, "ZI")], 100_000)
    assert "measured in the middle" in suggestion.prediction("level 2").refused
    assert any("taken as ideal" in text for text in suggestion.assumptions)


def test_options_of_ones_own():
    options = {
        "mine": {"resilience_level": 0, "twirling": {"enable_gates": True}},
        "bad": BAD,
    }
    suggestion = suggest(simulator(), [(ising(4, 2), OBSERVABLES)], 100_000, strategies=options)
    assert suggestion.best == "mine"
    assert "max_layers_to_learn" in suggestion.prediction("bad").refused


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"budget": 0}, "budget"),
        ({"budget": True}, "budget"),
        ({"strategies": ["cdr"]}, "'cdr'.*raw"),
        ({"strategies": []}, "names none"),
        ({"typical": 0}, "typical"),
        ({"pubs": []}, "pubs: is empty"),
        ({"pubs": [(ising(2, 1), "II")]}, r"pubs\[0\]: has no terms"),
        ({"pubs": [(QuantumCircuit(2), "ZZZ")]}, r"pubs\[0\]"),
    ],
)
def test_arguments_that_are_wrong(arguments, match):
    given = {"mode": simulator(), "pubs": [(ising(4, 1), OBSERVABLES)], "budget": 1000, **arguments}
    with pytest.raises(InputError, match=match):
        suggest(given.pop("mode"), given.pop("pubs"), given.pop("budget"), **given)


# --- against what comes out ----------------------------------------------------------------------


def rms(device_of, circuit, observables, options, shots, runs):
    truth, _ = exact_values([(circuit, observables)])
    errors = []
    for seed in range(runs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator = quell.Estimator(device_of(seed), {**options, "default_shots": shots, "seed": seed})
            values = estimator.run([(circuit, observables)]).result()[0].data.evs
        errors.append(values - truth)
    return np.sqrt(np.mean(np.square(errors)))


def test_what_was_forecast_comes_out():
    """Rms errors of two cheap strategies, mostly bias: within 15 %, where chance makes 2 %."""
    circuit = ising(3, 3)
    observables = [on("Z", [1], 3), on("Z", [0], 3)]
    device = simulator(0.03, 0.003)
    suggestion = suggest(device, [(circuit, observables)], 200_000)
    for name in ("raw", "trex"):
        prediction = suggestion.prediction(name)
        found = rms(
            lambda seed: simulator(0.03, 0.003), circuit, observables, options_of(name), prediction.shots, 2
        )
        assert prediction.rms == pytest.approx(found, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(("two", "budget"), [(0.003, 4_000), (0.01, 40_000), (0.03, 200_000)])
def test_the_pick_is_the_winner_or_near_it(two, budget):
    """Of strategies without learning, 6 runs each: the pick is at most 1.5 times worse than the best."""
    circuit = ising(3, 3)
    observables = [on("Z", [1], 3), on("XX", [0, 1], 3)]
    names = ["raw", "trex", "twirl+trex", "level 2"]
    suggestion = suggest(simulator(two, two / 10), [(circuit, observables)], budget, strategies=names)
    found = {
        p.name: rms(
            lambda seed: simulator(two, two / 10), circuit, observables, options_of(p.name), p.shots, 6
        )
        for p in suggestion.predictions
    }
    assert found[suggestion.best] <= 1.5 * min(found.values())
