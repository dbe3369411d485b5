"""The estimator as a V2 primitive: contract, inputs, adapters."""

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.primitives import StatevectorEstimator, StatevectorSampler
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator

from quell import Estimator, EstimatorOptions, EstimatorV2, InputError, OptionsError, UnsupportedError
from quell.testing.backends import CountingBackend


def ghz(num_qubits=3):
    circuit = QuantumCircuit(num_qubits)
    circuit.h(0)
    for qubit in range(num_qubits - 1):
        circuit.cx(qubit, qubit + 1)
    return circuit


def sweep_circuit():
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(2)
    circuit.rx(a, 0)
    circuit.ry(b + 0.3, 1)
    circuit.cx(0, 1)
    circuit.rz(a * b, 1)
    circuit.rx(2 * a, 1)
    return circuit


TWIRLED = {"twirling": {"enable_gates": True}, "seed": 7}


def call_statevector_sampler(pubs):
    return list(StatevectorSampler(seed=np.random.default_rng(11)).run(pubs).result())


@pytest.mark.parametrize(
    "options", [{"resilience_level": 0, "seed": 1}, TWIRLED], ids=["raw", "level1+gates"]
)
@pytest.mark.parametrize(
    "mode",
    [
        lambda: AerSimulator(),
        lambda: CountingBackend(max_circuits=7),
        lambda: StatevectorSampler(seed=np.random.default_rng(3)),
        lambda: call_statevector_sampler,
    ],
    ids=["aer-binds", "backend-bound", "sampler", "callable"],
)
def test_every_mode_gives_the_same_values(mode, options):
    """z-scores of 12 values; 5 sigma of 12 normal values: false alarms below 1e-5."""
    observables = ["ZZI", "XXX", "YYX", {"ZZI": 0.5, "XXX": 0.5, "III": 2.0}, "00+", "1rl"]
    exact = StatevectorEstimator().run([(ghz(), observables[:4])]).result()[0].data.evs
    exact = np.concatenate([exact, [0.25, 0.125]])
    data = Estimator(mode(), options).run([(ghz(), observables)], precision=0.02).result()[0].data
    assert data.evs.shape == data.stds.shape == data.ensemble_standard_error.shape == (6,)
    assert np.all(np.abs(data.evs - exact) < 5 * data.stds)
    assert np.all(data.stds > 0)
    assert np.all(data.stds < 0.06)


def test_run_of_the_given_backend_is_called_with_every_circuit_of_the_plan():
    backend = CountingBackend(max_circuits=5)
    job = Estimator(backend, TWIRLED).run([(ghz(), ["ZZI", "XXX"])], precision=0.05)
    result = job.result()
    assert backend.num_circuits == result.metadata["circuits"] == 32 * 2 + 32
    assert backend.num_runs == -(-96 // 5)
    assert backend.num_shots == result.metadata["shots"]
    assert all(call.num_circuits <= 5 for call in backend.calls)


@pytest.mark.parametrize(
    ("parameter_shape", "observable_shape"),
    [((), ()), ((3,), ()), ((3, 1), (2,)), ((2,), (2,)), ((1, 2), (3, 1))],
)
def test_parameters_and_observables_broadcast_by_the_v2_rules(parameter_shape, observable_shape):
    """At most 6 values, 5 sigma: false alarms below 1e-5 for each case."""
    rng = np.random.default_rng(0)
    values = rng.uniform(-2, 2, (*parameter_shape, 2))
    pool = ["ZI", "XX", "YZ", "ZZ", "IX", "YY"]
    size = int(np.prod(observable_shape))
    observables = np.array(pool[:size]).reshape(observable_shape).tolist() if observable_shape else "XY"
    pub = (sweep_circuit(), observables, values)
    exact = StatevectorEstimator().run([pub]).result()[0].data.evs
    data = (
        Estimator(StatevectorSampler(seed=np.random.default_rng(1)), TWIRLED)
        .run([pub], precision=0.02)
        .result()[0]
        .data
    )
    assert np.shape(data.evs) == np.shape(exact) == np.broadcast_shapes(parameter_shape, observable_shape)
    assert np.all(np.abs(data.evs - exact) < 5 * data.stds)


def test_precision_of_a_pub_wins_over_run_and_shots_are_recorded():
    estimator = Estimator(StatevectorSampler(seed=np.random.default_rng(1)), {"resilience_level": 0})
    result = estimator.run([(ghz(), "ZZI", None, 0.1), (ghz(), "ZZI")], precision=0.05).result()
    assert [r.metadata["shots"] for r in result] == [100, 400]
    assert [r.metadata["executed_shots"] for r in result] == [100, 400]
    twirled = (
        Estimator(StatevectorSampler(seed=np.random.default_rng(1)), TWIRLED)
        .run([(ghz(), "ZZI")], precision=0.03)
        .result()[0]
        .metadata
    )
    assert twirled["shots"] == 1112
    assert (
        twirled["executed_shots"]
        == twirled["num_randomizations"] * twirled["shots_per_randomization"]
        == 32 * 35
    )
    assert twirled["resilience"]["calibration_shots"] == 32 * 35


def test_default_shots_win_over_default_precision():
    estimator = Estimator(
        StatevectorSampler(seed=np.random.default_rng(1)), {"resilience_level": 0, "default_shots": 77}
    )
    assert estimator.run([(ghz(), "ZZI")]).result()[0].metadata["executed_shots"] == 77


def test_identity_and_empty_observables_are_exact_and_cost_nothing():
    calls = []

    def refuse(pubs):
        calls.append(pubs)
        return call_statevector_sampler(pubs)

    estimator = Estimator(refuse, TWIRLED)
    result = estimator.run([(ghz(), {"III": 1.5}), (ghz(), [])]).result()
    assert result[0].data.evs == 1.5
    assert result[0].data.stds == 0
    assert result[1].data.evs.shape == (0,)
    assert not calls
    mixed = estimator.run([(ghz(), [{"III": 1.5}, "ZZI"])]).result()[0].data
    assert mixed.stds[0] == 0 < mixed.stds[1]


def test_only_the_qubits_of_the_observables_are_measured_and_touched_on_a_wide_device():
    backend = CountingBackend(GenericBackendV2(20, seed=1, noise_info=False))
    isa = transpile(ghz(3), backend, initial_layout=[4, 5, 6], seed_transpiler=0, optimization_level=1)
    observable = SparsePauliOp(["ZZI", "XXX"]).apply_layout(isa.layout)
    options = {"twirling": {"enable_gates": True, "strategy": "all"}, "seed": 2}
    data = Estimator(backend, options).run([(isa, observable)], precision=0.05).result()[0].data
    assert abs(data.evs - 2.0) < 5 * data.stds
    active = set()
    for call in backend.calls:
        for circuit in call.circuits:
            active |= {circuit.find_bit(q).index for instruction in circuit.data for q in instruction.qubits}
            assert circuit.count_ops()["measure"] <= 3
    used = {isa.find_bit(q).index for instruction in isa.data for q in instruction.qubits}
    assert active == used


def test_the_same_seed_gives_the_same_result_and_another_seed_another():
    def run(seed):
        options = {"twirling": {"enable_gates": True}, "seed": seed}
        return (
            Estimator(AerSimulator(), options)
            .run([(ghz(), ["ZZI", "XXX", "ZII"])], precision=0.05)
            .result()[0]
            .data
        )

    first, again, other = run(0), run(0), run(1)
    assert np.array_equal(first.evs, again.evs)
    assert np.array_equal(first.stds, again.stds)
    assert not np.array_equal(first.evs, other.evs)


def test_final_measurements_of_the_user_are_replaced_and_other_registers_survive():
    circuit = ghz()
    circuit.measure_all()
    data = Estimator(AerSimulator(), TWIRLED).run([(circuit, "XXX")], precision=0.05).result()[0].data
    assert abs(data.evs - 1) < 5 * data.stds


@pytest.mark.parametrize("level", [0, 1])
def test_dynamic_circuits_pass_through_levels_0_and_1(level):
    """Teleportation with feed-forward, reset and reuse: value cos(0.7) within 5 standard errors (< 1e-6)."""
    circuit = QuantumCircuit(3, 2)
    circuit.ry(0.7, 0)
    circuit.h(1)
    circuit.cx(1, 2)
    circuit.cx(0, 1)
    circuit.h(0)
    circuit.measure([0, 1], [0, 1])
    with circuit.if_test((circuit.clbits[1], 1)):
        circuit.x(2)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.z(2)
    circuit.reset(0)
    circuit.x(0)
    for mode in (AerSimulator(), CountingBackend()):
        options = {"resilience_level": level, "twirling": {"enable_gates": bool(level)}, "seed": 4}
        data = Estimator(mode, options).run([(circuit, ["ZII", "IIZ"])], precision=0.02).result()[0].data
        assert np.all(np.abs(data.evs - [np.cos(0.7), -1]) < 5 * data.stds)


def test_options_are_copied_on_entry_and_the_alias_is_the_same_class():
    options = EstimatorOptions()
    estimator = EstimatorV2(AerSimulator(), options)
    options.resilience_level = 0
    assert estimator.options.resilience_level == 1
    estimator.options.twirling.enable_gates = True
    assert options.twirling.enable_gates is None
    assert EstimatorV2 is Estimator


def test_the_plan_prints_its_cost_before_a_shot_is_spent():
    job = Estimator(StatevectorSampler(seed=np.random.default_rng(0)), TWIRLED).run(
        [(ghz(), ["ZZI", "XXX"])], precision=0.05
    )
    text = str(job.plan())
    assert "TREX" in text
    assert "Twirl gates and measurements" in text
    assert (
        f"total: {job.result().metadata['circuits']} circuits, {job.result().metadata['shots']} shots" in text
    )


def test_two_pubs_share_one_calibration_where_one_contains_the_other():
    job = Estimator(StatevectorSampler(seed=np.random.default_rng(0)), TWIRLED).run(
        [(ghz(), "ZZI"), (ghz(), "ZZZ"), (ghz(), "IZZ")]
    )
    assert len(job.plan().experiments) == 1
    assert job.plan().experiments[0].requirement.qubits == (0, 1, 2)


# --- bad input: one clear error before anything runs ---------------------------------------


def forbidden(pubs):
    raise AssertionError("something was run")


BAD_PUBS = {
    "wrong qubit count": ((ghz(3), "ZZ"), "qubit"),
    "unbound parameters": ((sweep_circuit(), "ZZ"), "parameter"),
    "nan parameters": ((sweep_circuit(), "ZZ", [0.1, np.nan]), "not all finite"),
    "infinite parameters": ((sweep_circuit(), "ZZ", [np.inf, 0.0]), "not all finite"),
    "nan coefficient": ((ghz(3), {"ZZZ": np.nan}), "finite"),
    "infinite coefficient": ((ghz(3), {"ZZZ": np.inf}), "finite"),
    "complex coefficient": ((ghz(3), SparsePauliOp("ZZZ", 1j)), "real|complex|[Hh]ermitian"),
    "zero precision": ((ghz(3), "ZZZ", None, 0.0), "precision"),
    "negative precision": ((ghz(3), "ZZZ", None, -0.1), "precision"),
    "nan precision": ((ghz(3), "ZZZ", None, np.nan), "precision"),
    "absurd precision": ((ghz(3), "ZZZ", None, 1e-9), "2\\^31"),
    "shapes that do not broadcast": (
        (sweep_circuit(), ["ZZ", "XX", "YY"], np.zeros((2, 2))),
        "shape|broadcast",
    ),
    "not a circuit": (("ghz", "ZZ"), "pubs\\[0\\]"),
    "bad label": ((ghz(3), "ZQZ"), "pubs\\[0\\]"),
}


@pytest.mark.parametrize("case", BAD_PUBS, ids=list(BAD_PUBS))
def test_bad_pubs_are_refused_before_anything_runs(case):
    pub, pattern = BAD_PUBS[case]
    with pytest.raises(InputError, match=pattern):
        Estimator(forbidden).run([pub])


def test_all_problems_of_all_pubs_are_reported_at_once():
    with pytest.raises(InputError) as error:
        Estimator(forbidden).run([(ghz(3), "ZZ"), (sweep_circuit(), "ZZ", [np.nan, 0])], precision=-1)
    paths = [problem.path for problem in error.value.problems]
    assert len(paths) == 3
    assert any(p == "precision" for p in paths)
    assert any(p.startswith("pubs[0]") for p in paths)
    assert any(p.startswith("pubs[1]") for p in paths)


def test_circuits_that_the_target_does_not_list_are_refused_by_name():
    backend = CountingBackend(GenericBackendV2(3, basis_gates=["cx", "rz", "sx", "x"], seed=1))
    circuit = ghz(3)
    circuit.cp(0.3, 0, 2)
    with pytest.raises(InputError, match=r"'h'.*\n.*'cp'"):
        Estimator(backend).run([(circuit, "ZZZ")])
    with pytest.raises(InputError, match="has 4 qubits, the backend has 3"):
        Estimator(backend).run([(ghz(4), "ZZZZ")])
    assert backend.num_runs == 0


def test_operations_that_targets_leave_out_are_left_to_the_backend():
    """Reset, delay and control flow are not in this target, yet its simulator runs them."""
    backend = CountingBackend(
        GenericBackendV2(2, basis_gates=["cx", "rz", "sx", "x"], seed=1, noise_info=False)
    )
    circuit = QuantumCircuit(2, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.delay(100, 0)
    circuit.reset(0)
    data = Estimator(backend, TWIRLED).run([(circuit, ["IZ", "ZI"])], precision=0.1).result()[0].data
    assert data.evs == pytest.approx([1, -1])


def test_unknown_options_are_refused_with_the_nearest_name():
    with pytest.raises(OptionsError, match="measure_mitigation"):
        Estimator(forbidden, {"resilience": {"measure_mitigaton": True}})
    with pytest.raises(OptionsError, match="enable_gates"):
        Estimator(forbidden).options.twirling.enable_gate = True


def test_a_mode_that_cannot_run_is_refused():
    with pytest.raises(InputError, match="mode"):
        Estimator("ibm_fez")


def test_too_many_projectors_for_readout_correction_are_refused_with_the_next_step():
    circuit = QuantumCircuit(16)
    with pytest.raises(UnsupportedError, match="measure_mitigation"):
        Estimator(forbidden).run([(circuit, "0" * 16)])


def test_options_are_checked_against_pubs_and_backend_before_anything_runs():
    backend = CountingBackend(GenericBackendV2(3, basis_gates=["cx", "rz", "sx", "x"], seed=1))
    circuit = QuantumCircuit(3)
    estimator = Estimator(backend, {"execution": {"rep_delay": 1e-3}})
    with pytest.raises(OptionsError, match=r"execution\.rep_delay"):
        estimator.run([(circuit, "ZZZ")])
    with pytest.raises(InputError) as error:
        estimator.run([(circuit, "ZZ"), (ghz(3), "ZZZ"), (circuit, "ZZZ", None, -1.0)], precision=0)
    paths = [problem.path for problem in error.value.problems]
    assert paths[0] == "options.execution.rep_delay"
    assert {"precision", "pubs[0]"} <= set(paths)
    assert any(path.startswith("pubs[1]") for path in paths)
    assert any(path.startswith("pubs[2]") for path in paths)
    assert backend.num_runs == 0


def test_what_the_mode_cannot_be_told_is_reported_with_the_rest():
    estimator = Estimator(forbidden, {"execution": {"run_options": {"method": "automatic"}}})
    with pytest.raises(OptionsError, match="run_options"):
        estimator.run([(ghz(3), "ZZZ")])
    with pytest.raises(InputError) as error:
        estimator.run([(ghz(3), "ZZ")])
    assert len(error.value.problems) == 2


def test_the_level_is_in_the_metadata():
    for level in (0, 1):
        job = Estimator(call_statevector_sampler, {"resilience_level": level}).run(
            [(ghz(), "ZZI")], precision=0.1
        )
        assert job.result().metadata["resilience_level"] == level


def test_options_are_accepted_in_one_place():
    class Lenient(Estimator):
        def _accept(self, options):
            return super()._accept({} if options == "none" else options)

    estimator = Lenient(forbidden, "none")
    estimator.options = "none"
    assert estimator.options == EstimatorOptions()
