"""The estimator against Qiskit's exact one, for every way that PUBs broadcast. False alarm 6e-7 per value."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp

from quell import Estimator
from quell.testing import ExactSampler, ReadoutModel


def circuit() -> QuantumCircuit:
    a = ParameterVector("a", 2)
    made = QuantumCircuit(3)
    made.h(0)
    made.rx(a[0], 1)
    made.cx(0, 1)
    made.rzz(a[1], 1, 2)
    made.ry(a[0] + 2 * a[1], 2)
    made.cz(2, 0)
    return made


VALUES = np.random.default_rng(3).uniform(-3, 3, (4, 3, 2))
HAMILTONIAN = SparsePauliOp(["ZZI", "IZZ", "XIX", "III"], [1.0, -0.5, 0.3, 0.2])
PUBS = {
    "scalar": (HAMILTONIAN, VALUES[0, 0]),
    "observables": ([["ZZZ"], ["XIY"], [HAMILTONIAN]], VALUES[0, 0]),
    "values": ("ZXI", VALUES),
    "broadcast": ([["ZII"], ["IXI"]], VALUES[0]),
    "outer": ([["ZII"], ["IXI"], ["YYZ"], [HAMILTONIAN]], VALUES),
    "zipped": (["ZII", "IXI", HAMILTONIAN], VALUES[:2]),
}


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("gates", [False, True])
def test_all_shapes(level, gates):
    pubs = [(circuit(), *pub) for pub in PUBS.values()]
    exact = StatevectorEstimator().run(pubs, precision=0).result()
    readout = ReadoutModel.uniform(3, 0.02, 0.05).with_pair_flip(0, 2, 0.02) if level else None
    options = {"resilience_level": level, "seed": 4, "twirling": {"enable_gates": gates}}
    estimator = Estimator(ExactSampler(5, readout=readout), options)
    results = estimator.run(pubs, precision=0.03).result()
    for name, found, wanted in zip(PUBS, results, exact, strict=True):
        assert found.data.evs.shape == found.data.stds.shape == np.shape(wanted.data.evs), name
        off = (found.data.evs - wanted.data.evs) / found.data.stds
        assert (np.abs(off) < 5.5).all(), f"{name}: {off}"
        assert (found.data.stds < 0.12).all(), name
