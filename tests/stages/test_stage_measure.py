"""The crossing: which settings are measured, and what the bits say."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.primitives import BitArray

from quell import ExecutionError, pipeline
from quell.circuits.samples import Samples
from quell.stages.measure import Measure
from quell.stages.twirl import Twirl
from quell.testing import ExactSampler, ensemble_of, run_stages


def ghz(n: int) -> QuantumCircuit:
    circuit = QuantumCircuit(n)
    circuit.h(0)
    for q in range(n - 1):
        circuit.cx(q, q + 1)
    return circuit


def estimate_from(bits: str, observables, *, shots=None):
    """Return the estimate when the device returns these shots, bit 0 rightmost."""
    rows = bits.split()
    ensemble = ensemble_of(QuantumCircuit(len(rows[0])), observables, shots=shots or len(rows))

    def device(pubs):
        array = np.array([[c == "1" for c in row] for row in rows])[:, ::-1]
        return [{"meas": BitArray.from_bool_array(array, order="little").reshape(pub.shape)} for pub in pubs]

    return run_stages((Measure(),), ensemble, device, 0)


def leaves(ensemble, *stages):
    return pipeline.leaves(pipeline.plan([((*stages, Measure()), ensemble)], np.random.default_rng(0)))


def test_qubit_wise_commuting_terms_share_a_setting():
    ensemble = ensemble_of(QuantumCircuit(3), ["ZIZ", {"IZZ": 1.0, "0II": 2.0}, "XXI", "XII"])
    (program,) = leaves(ensemble)
    assert program.num_settings == 2
    assert sorted(map(tuple, program.bases.tolist())) in ([(0, 1, 1), (3, 3, 3)], [(3, 1, 1), (3, 3, 3)])


def test_parameter_sets_and_bases_make_settings():
    ensemble = ensemble_of(parametric(), ["Z", "X"], np.linspace(0, 1, 6).reshape(3, 2, 1, 1))
    assert ensemble.shape == (3, 2, 2)
    (program,) = leaves(ensemble)
    assert program.num_settings == 6 * 2


def parametric() -> QuantumCircuit:
    circuit = QuantumCircuit(1)
    circuit.ry(Parameter("a"), 0)
    return circuit


@pytest.mark.parametrize("stages", [(Measure(),), (Twirl(True, True, 8, 16), Measure())])
@pytest.mark.parametrize("shape", [(), (1,), (2, 1)])
def test_values_have_the_shape_of_the_pub(stages, shape):
    observables = np.full(shape, "ZZ", dtype=object)
    ensemble = ensemble_of(ghz(2), observables if shape else "ZZ", shots=128)
    estimate = run_stages(stages, ensemble, ExactSampler(0), 0)
    assert np.shape(estimate.value) == np.shape(estimate.variance) == shape
    assert np.allclose(estimate.value, 1.0)


def test_values_are_means_over_shots():
    estimate = estimate_from("00 01 11 11", ["IZ", "ZI", "ZZ", {"ZZ": 2.0, "II": -1.0}, "1I", "0Z"])
    assert np.allclose(estimate.value, [-0.5, 0.0, 0.5, 0.0, 0.5, 0.0])


def test_shots_are_counted_once_for_terms_measured_together():
    """Two equal bits: the variance of the sum is four times that of one, not twice."""
    estimate = estimate_from(
        "00 11 11 00 11 11 11 00", ["IZ", {"IZ": 1.0, "ZI": 1.0}, {"IZ": 1.0, "ZI": -1.0}]
    )
    single, total, difference = estimate.variance
    assert total == pytest.approx(4 * single)
    assert difference == pytest.approx(4 / 8**2)  # never zero only because all shots agreed


def test_variance_is_that_of_the_mean():
    rng = np.random.default_rng(0)
    bits = rng.random(200) < 0.3
    estimate = estimate_from(" ".join("01"[int(b)] for b in bits), "Z")
    values = 1.0 - 2.0 * bits
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.variance == pytest.approx(values.var(ddof=1) / 200)


def test_one_shot_admits_that_it_knows_nothing():
    estimate = estimate_from("1", ["Z", {"Z": 2.0}])
    assert np.allclose(estimate.value, [-1, -2])
    assert np.allclose(estimate.variance, [1, 4])


def test_constants_are_not_measured():
    ensemble = ensemble_of(ghz(2), [{"II": 2.5}, {"II": -1.0}])
    assert leaves(ensemble) == []
    estimate = run_stages((Measure(),), ensemble, ExactSampler(0), 0)
    assert np.allclose(estimate.value, [2.5, -1.0])
    assert np.allclose(estimate.variance, 0)


def test_only_the_support_is_measured_and_other_registers_stay():
    circuit = ghz(4)
    circuit.add_register(ClassicalRegister(2, "meas"))
    circuit.measure([0, 1], [0, 1])
    ensemble = ensemble_of(circuit, ["ZIIZ", "XIIX"], shots=50)
    (program,) = leaves(ensemble)
    assert [t.qubit for t in program.template.terminals] == [0, 3]
    assert {r.name for r in program.template.circuit.cregs} == {"meas", "_meas"}
    estimate = run_stages((Measure(),), ensemble, ExactSampler(0), 0)
    assert estimate.value[0] == 1.0
    assert abs(estimate.value[1]) < 0.8


def test_flips_of_the_twirl_are_undone_member_by_member():
    ensemble = ensemble_of(ghz(3), ["ZZI", "IZZ", "000"], shots=64)
    stages = (Twirl(False, True, 50, 4), Measure())
    plan = pipeline.plan([(stages, ensemble)], np.random.default_rng(1))
    (program,) = pipeline.leaves(plan)
    assert 0.3 < program.flips(0, 50).mean() < 0.7
    estimate = run_stages(stages, ensemble, ExactSampler(0), 1)
    assert np.allclose(estimate.value[:2], 1.0)
    assert 0.3 < estimate.value[2] < 0.7
    assert estimate.details["executed_shots"] == 200


def test_members_without_shots_are_left_out_and_a_setting_without_any_is_an_error():
    ensemble = ensemble_of(QuantumCircuit(1), ["Z"])
    plan = pipeline.plan([((Twirl(False, True, 3, 4), Measure()), ensemble)], np.random.default_rng(1))
    (program,) = pipeline.leaves(plan)
    flips = program.flips(0, 3)
    bits = np.repeat(flips[:, None].astype(np.uint8), 4, axis=1)

    def samples(shots):
        return [Samples({"meas": bits}, {"meas": 1}, np.array(shots))]

    assert pipeline.combine(plan, samples([4, 0, 2]))[0].value == 1.0
    with pytest.raises(ExecutionError, match="no shots for setting 0") as error:
        pipeline.combine(plan, samples([0, 0, 0]))
    assert error.value.partial is not None
