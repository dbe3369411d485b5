"""Every stage obeys the laws; a new stage gets a row in this table.

False alarm of a row: about 4e-4, were seeds not fixed (the limits are at 4 or 5 standard errors).
"""

from __future__ import annotations

import numpy as np
import pytest
from attrs import evolve
from qiskit import QuantumCircuit

from quell.calibration.layers import LayerModel
from quell.circuits.layers import Layer
from quell.kernels.curves import Polynomial, Richardson
from quell.kernels.nonlinear import Exponential
from quell.stages.measure import Measure
from quell.stages.pec import LayerLearning, Pec
from quell.stages.trex import Trex
from quell.stages.twirl import Twirl
from quell.stages.zne import Zne
from quell.testing import check_stage, default_ensemble, ensemble_of
from quell.testing.pauli_frames import PauliFrameSampler

LEARNING = LayerLearning((0, 1), 2, 2)
#: Noise of the layers of the default ensemble, and of its kind without any rate.
GATES = {(0, 1): ("X0", "Y0 Z1", "Z1"), (1, 2): ("X1", "Z1 Y2", "Z0")}


def models(*rates):
    """Return the noise of the layers cx (0, 1), and cx (1, 2) while qubit 0 waits."""
    return tuple(
        LayerModel.of(Layer((("cx", (), pair),), (0,) if pair == (1, 2) else ()), labels, rates, f"{pair}")
        for pair, labels in GATES.items()
    )


def noisy():
    """Return a Clifford ensemble with these layers; its values are 1, 0.5 and 0, and 1, 0.5 and -0.4."""
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    return ensemble_of(circuit, ["XXX", {"ZZI": 0.5, "IZX": 0.7}, {"ZIZ": 0.3, "YXY": 0.7}], shots=192)


def frames(seed):
    return PauliFrameSampler(models(0.03, 0.02, 0.04), seed=seed)


SHOTS = {"num_randomizations": 16, "shots_per_randomization": 12}
STAGES = {
    "measure": Measure(),
    "trex": Trex(num_randomizations=32, shots_per_randomization=32),
    # four members are one independent block, so more of them for as many degrees of freedom
    "trex-balanced": Trex(num_randomizations=64, shots_per_randomization=16, balanced=True),
    "twirl-measurements": Twirl(False, True, **SHOTS),
    "twirl-gates": Twirl(True, False, **SHOTS),
    "twirl-pauli": Twirl(True, True, **SHOTS),
    "twirl-balanced_pauli": Twirl(
        True, True, num_randomizations=64, shots_per_randomization=3, group="balanced_pauli"
    ),
    "twirl-local_pauli": Twirl(True, True, **SHOTS, group="local_pauli"),
    "twirl-local_c1": Twirl(True, True, **SHOTS, group="local_c1"),
    "twirl-active": Twirl(True, True, **SHOTS, strategy="active"),
    "twirl-active-circuit": Twirl(True, True, **SHOTS, strategy="active-circuit"),
    "twirl-all": Twirl(True, True, **SHOTS, strategy="all"),
    "zne-linear": Zne((1, 3, 5), (Polynomial(1),)),
    "zne-exponential": Zne((1, 3, 5), (Exponential(), Polynomial(1))),
    "zne-richardson-neyman": Zne((1, 3, 5), (Richardson(),), neyman=True),
    # two gates: every factor between whole ones folds one of them, drawn for each randomization
    "zne-random-subsets": Zne((1, 2, 4), (Polynomial(1),), **SHOTS),
    "pec-zero-rates": Pec(LEARNING, models(0.0, 0.0, 0.0), 0.0),
    "pec-gain-1": Pec(LEARNING, models(0.03, 0.02, 0.04), 1.0),
    "pec-cancels": Pec(LEARNING, models(0.03, 0.02, 0.04), 0.0, num_randomizations=32),
    # a ratio of means: few negative signs make it skewed, and its error bars normal only with many randomizations
    "pec-normalized": Pec(
        LEARNING, models(0.03, 0.02, 0.04), 0.0, normalization="signs", num_randomizations=256
    ),
    "zne-pea-zero-rates": Zne((1, 1.5, 2), (Polynomial(1),), amplifier="pea"),
    "zne-front": Zne((1, 2, 3), (Polynomial(1),), amplifier="gate_folding_front"),
    "zne-global": Zne((1, 2, 3), (Polynomial(1),), amplifier="global_folding", neyman=True),
}


#: What else rows need: PEC chooses the number of randomizations; PEA is the work of the stage inside ZNE.
WAYS = {
    "pec-zero-rates": {"inside": False},
    "pec-gain-1": {"inside": False},
    "pec-cancels": {"inside": False, "ensemble": noisy(), "sampler": frames},
    "pec-normalized": {"inside": False, "ensemble": noisy(), "sampler": frames},
    "zne-pea-zero-rates": {"inside": False, "inner": (Pec(LEARNING, models(0.0, 0.0, 0.0), 1.0),)},
}


@pytest.mark.parametrize("name", STAGES)
def test_stage_obeys_the_laws(name):
    # As many circuits as noise factors, and the limits know how few repetitions there are.
    repetitions = 16 if isinstance(STAGES[name], Zne) else 60
    check_stage(STAGES[name], repetitions=repetitions, **WAYS.get(name, {}))


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_stage_obeys_the_laws_at_full_size(name):
    check_stage(STAGES[name], repetitions=400, seed=1000, **WAYS.get(name, {}))


def test_what_cancels_noise_that_is_not_there_is_caught():
    pec = Pec(LEARNING, models(0.1, 0.1, 0.1), 0.0, num_randomizations=32)
    with pytest.raises(AssertionError, match="is biased"):
        check_stage(pec, ensemble=noisy(), repetitions=30, inside=False)


class Biased(Measure):
    def combine(self, residue, results):
        estimate = super().combine(residue, results)
        return evolve(estimate, value=estimate.value + 0.1)


class Overconfident(Measure):
    def combine(self, residue, results):
        estimate = super().combine(residue, results)
        return evolve(estimate, variance=estimate.variance / 4)


class Unseeded(Twirl):
    def expand(self, task, known, rng):
        return super().expand(task, known, np.random.default_rng())


class Stubborn(Twirl):
    def expand(self, task, known, rng):
        return super().expand(task, known, np.random.default_rng(7))


class Meddling(Measure):
    def expand(self, task, known, rng):
        task.parameter_values[...] += 1e-3
        return super().expand(task, known, rng)


class Forgetful(Measure):
    calls = 0

    def combine(self, residue, results):
        type(self).calls += 1
        estimate = super().combine(residue, results)
        return evolve(estimate, value=estimate.value + 1e-9 * type(self).calls)


@pytest.mark.parametrize(
    ("stage", "complaint"),
    [
        (Biased(), "is biased"),
        (Overconfident(), "error bars are too small"),
        (Unseeded(True, True, **SHOTS), "the same seed gave another plan"),
        (Stubborn(True, True, **SHOTS), "another seed gave the same random plan"),
        (Meddling(), "changed the ensemble"),
        (Forgetful(), "another estimate from the same samples"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_stage_that_breaks_a_law_is_caught(stage, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_stage(stage, repetitions=50)


def test_an_ensemble_and_its_truth_can_be_given():
    ensemble = ensemble_of(default_ensemble().template.circuit, ["ZII", "1+I"], [0.3], shots=100)
    check_stage(Measure(), ensemble=ensemble, repetitions=60)
    with pytest.raises(AssertionError, match="is biased"):
        check_stage(Measure(), ensemble=ensemble, expected=np.full(2, 0.1), repetitions=60)
