"""Jobs of a session have honest error bars, also where they rely on the calibration of another job."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit

from quell import Estimator, Session

aer = pytest.importorskip("qiskit_aer")
noise = pytest.importorskip("qiskit_aer.noise")

FLIPPED = QuantumCircuit(3)
FLIPPED.x(range(3))
MODEL = noise.NoiseModel()
MODEL.add_all_qubit_readout_error(noise.ReadoutError([[0.92, 0.08], [0.08, 0.92]]))


@pytest.mark.parametrize("count", [80, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("fixed", [False, True], ids=["shared", "fixed seed of the device"])
def test_z_scores_of_the_second_job_have_unit_spread(fixed, count):
    """Data that repeat the shots of the calibration would give 0.7 to 0.8.

    The limit is four standard errors of the spread: false alarm 6e-5 per case.
    """
    scores = []
    for seed in range(count):
        options = {"default_shots": 1280, "seed": seed}
        if fixed:
            options["simulator"] = {"seed_simulator": seed}
        with Session(aer.AerSimulator(noise_model=MODEL)):
            estimator = Estimator(options=options)
            jobs = [estimator.run([(FLIPPED, "ZZZ")]) for _ in range(2)]
        result = jobs[1].result()
        assert (result.metadata["calibration_shots"] > 0) == fixed  # a fixed seed would repeat the shots
        scores.append((result[0].data.evs + 1) / result[0].data.stds)
    spread = np.sqrt(np.mean(np.square(scores)))
    print(f"\nspread of {count} z-scores: {spread:.2f}")
    assert abs(spread - 1) < 4 / np.sqrt(2 * count)
