"""TREX as a stage: what it asks for, shares, and reports. Its statistics are in `laws/test_trex.py`."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit

from quell import pipeline
from quell.calibration.readout import TwirledReadout
from quell.errors import UnsupportedError
from quell.stages.measure import Measure
from quell.stages.trex import Trex
from quell.stages.twirl import Twirl
from quell.testing import ExactSampler, ReadoutModel, ensemble_of, run_stages
from quell.testing.laws import sample

TWIRL = Twirl(False, True, 16, 64)
TREX = (Trex(16, 64), TWIRL, Measure())


def excited(n: int) -> QuantumCircuit:
    circuit = QuantumCircuit(n)
    circuit.x(range(n))
    return circuit


def plan_of(*ensembles, stages=TREX):
    return pipeline.plan([(stages, e) for e in ensembles], np.random.default_rng(0))


def test_pubs_on_nested_qubits_share_one_experiment():
    wide, narrow = ensemble_of(excited(4), "ZZZZ"), ensemble_of(excited(4), ["ZIIZ"])
    plan = plan_of(narrow, wide, narrow)
    assert [e.requirement.qubits for e in plan.experiments] == [(0, 1, 2, 3)]
    model = ReadoutModel.uniform(4, 0.05, 0.1)
    estimates = pipeline.combine(plan, sample(plan, ExactSampler(0, readout=model)))
    assert [e.value.shape for e in estimates] == [(1,), (), (1,)]
    for estimate in estimates:
        assert np.allclose(estimate.value, 1.0, atol=0.2)


def test_pubs_on_different_qubits_do_not():
    plan = plan_of(ensemble_of(excited(4), "ZZII"), ensemble_of(excited(4), "IIZZ"))
    assert len(plan.experiments) == 2


def test_the_largest_effort_serves_all():
    first = TwirledReadout(4, (0, 1), 8, 100)
    second = TwirledReadout(4, (0, 1, 2), 32, 10)
    both = first.merged(second)
    assert (both.qubits, both.num_randomizations, both.shots) == ((0, 1, 2), 32, 100)
    assert first.merged(TwirledReadout(4, (1, 2), 8, 100)) is None
    assert first.merged(TwirledReadout(5, (0, 1), 8, 100)) is None


def test_constants_need_no_calibration():
    plan = plan_of(ensemble_of(excited(2), [{"II": 3.0}]))
    assert plan.experiments == ()
    assert pipeline.cost(plan).circuits == 0
    assert pipeline.combine(plan, [])[0].value == 3.0


def test_the_error_of_a_shared_factor_does_not_average_out():
    """A sum of 12 equal parities of the same qubits is as uncertain as one of them, times 12."""
    n = 3
    circuit = excited(n)
    labels = ["IIZ", "IZI", "ZII"]
    model = ReadoutModel.uniform(n, 0.1)
    ensemble = ensemble_of(circuit, [*labels, dict.fromkeys(labels, 1.0)])
    estimate = run_stages(
        (Trex(64, 2), Twirl(False, True, 16, 4096), Measure()), ensemble, ExactSampler(0, readout=model), 0
    )
    (shared,) = estimate.terms.common
    matrix = estimate.terms.settings.contraction.toarray()
    covariance = matrix @ shared.rows.T @ shared.rows @ matrix.T
    assert np.diag(covariance) == pytest.approx(estimate.variance, rel=0.2)


def test_it_reports_damping_and_shots():
    model = ReadoutModel.uniform(2, 0.05)
    estimate = run_stages(TREX, ensemble_of(excited(2), ["ZZ", "IZ"]), ExactSampler(0, readout=model), 0)
    low, high = estimate.details["readout_damping"]
    assert low == pytest.approx(0.81, abs=0.08)
    assert high == pytest.approx(0.9, abs=0.06)
    assert estimate.details["calibration_shots"] == 16 * 64
    assert estimate.details["executed_shots"] == 16 * 64


def test_a_perfect_readout_changes_nothing_but_keeps_an_error_bar():
    estimate = run_stages(TREX, ensemble_of(excited(2), ["ZZ", "IZ"]), ExactSampler(0), 0)
    assert np.allclose(estimate.value, [1, -1], atol=1e-5)
    assert (estimate.variance > 0).all()


def test_a_single_randomization_of_the_calibration_uses_its_shots():
    model = ReadoutModel.uniform(2, 0.1)
    stages = (Trex(1, 400), Twirl(False, True, 16, 4096), Measure())
    estimate = run_stages(stages, ensemble_of(excited(2), "IZ"), ExactSampler(0, readout=model), 0)
    factor = estimate.details["readout_damping"][0]
    assert np.sqrt(estimate.variance) == pytest.approx(np.sqrt((1 - factor**2) / 400) / factor, rel=0.1)


def test_too_many_projectors_are_refused_before_a_shot_is_spent():
    with pytest.raises(UnsupportedError, match="15 projectors"):
        plan_of(ensemble_of(excited(15), "0" * 15))


def test_the_calibration_of_several_bases_is_longer():
    """Its error is common to all terms; one basis in four or less each adds the shots of the data of one."""
    trex = Trex(32, 10, per_basis=True)
    for labels, bases in (
        (["ZZ"], 1),
        ([{"ZZ": 1.0, "XX": 0.5}], 2),
        (["".join(p) for p in ("XX", "YY", "ZZ")], 3),
    ):
        (requirement,) = trex.requires(ensemble_of(excited(2), labels))
        assert requirement.shots == 10 * bases
    (requirement,) = trex.requires(ensemble_of(excited(2), [a + b for a in "XYZ" for b in "XYZ"]))
    assert requirement.shots == 40
