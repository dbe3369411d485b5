"""Small devices whose noise is known, and circuits for them: what the tests of `compare` run on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import RZZGate

from quell.calibration.layers import LayerModel
from quell.circuits.layers import images, occurrences
from quell.circuits.template import template_of
from quell.circuits.twirling import twirled_template
from quell.comparison.comparison import Comparison
from quell.comparison.records import Trial
from quell.kernels.lindblad import conjugated, local_paulis
from quell.testing import CountingBackend, ExactSampler, PauliFrameSampler, ReadoutModel

READOUT = ReadoutModel.uniform(3, 0.03, 0.06)
#: A strategy that takes few circuits: simulating one costs milliseconds, however few its shots.
FEW = {
    "twirling": {"num_randomizations": 4},
    "resilience": {"measure_noise_learning": {"num_randomizations": 4}},
}


def few(**resilience: Any) -> dict[str, Any]:
    """Return the options of a strategy that takes few circuits."""
    return {
        "resilience_level": 0,
        "twirling": FEW["twirling"],
        "resilience": {**FEW["resilience"], **resilience},
    }


TREX = few(measure_mitigation=True)


def zne(extrapolator: str = "exponential", factors: Sequence[int] = (1, 3)) -> dict[str, Any]:
    """Return the options of folding that takes few circuits."""
    return few(zne_mitigation=True, zne={"noise_factors": list(factors), "extrapolator": extrapolator})


def sampler(seed: Any = 1, angle: float = 0.1, readout: ReadoutModel | None = READOUT) -> ExactSampler:
    """Return a function with readout errors and over-rotated two-qubit gates."""
    after = RZZGate(angle).to_matrix()
    return ExactSampler(seed, readout=readout, gate_errors={"cx": after, "cz": after})


def simulator(seed: Any = None) -> CountingBackend:
    """Return a simulator with depolarizing and readout errors that remembers what it ran."""
    aer = pytest.importorskip("qiskit_aer")
    noise = pytest.importorskip("qiskit_aer.noise")
    model = noise.NoiseModel()
    model.add_all_qubit_quantum_error(noise.depolarizing_error(0.03, 2), ["cx"])
    model.add_all_qubit_readout_error(noise.ReadoutError([[0.97, 0.03], [0.06, 0.94]]))
    fixed = {} if seed is None else {"seed_simulator": seed}
    backend = aer.AerSimulator(noise_model=model, method="density_matrix", max_parallel_threads=1, **fixed)
    return CountingBackend(backend)


def circuit(angle: float = 0.4) -> QuantumCircuit:
    """Return a rotation between entangling gates: <ZZ> = 1 and <IZ> = cos(angle) are known."""
    made = QuantumCircuit(2)
    made.ry(angle, 0)
    for _ in range(3):
        made.cx(0, 1)
    return made


def sweep() -> QuantumCircuit:
    """Return the same with a free angle."""
    return circuit(Parameter("angle"))  # type: ignore[arg-type]


def only(comparison: Comparison, name: str) -> Trial:
    """Return the one trial of a strategy."""
    (trial,) = (t for t in comparison.trials if t.strategy == name)
    return trial


def numbers(comparison: Comparison) -> dict[tuple[str, int], tuple[Any, ...]]:
    """Return what must be equal where a comparison is done again: everything but the time it took."""
    return {
        (t.strategy, t.repeat): (
            None if t.values is None else tuple(t.values.tolist()),
            None if t.errors is None else tuple(t.errors.tolist()),
            t.failure,
            t.notes,
            t.circuits,
            t.shots,
            t.calibration_shots,
            t.executed_shots,
        )
        for t in comparison.trials
    }


def deviations(comparison: Comparison, name: str) -> np.ndarray:
    """Return how many error bars the values of a strategy are off the reference, float64 (repeats, values)."""
    return (comparison.values_of(name) - comparison.reference) / comparison.errors_of(name)


def bell() -> QuantumCircuit:
    """Return a Bell state behind three equal layers: <XX> = <ZZ> = 1."""
    made = QuantumCircuit(2)
    made.h(0)
    for _ in range(3):
        made.cx(0, 1)
        made.barrier()
    return made


def frames(seed: Any = 1, scale: float = 0.004) -> PauliFrameSampler:
    """Return a function with Pauli-Lindblad noise on the layer of `bell`, of the kind that learning assumes."""
    (layer,) = {o.layer for o in occurrences(twirled_template(template_of(bell()), "active-accum"))}
    generators = local_paulis(2, [(0, 1)])
    rates = np.random.default_rng(2).uniform(0.5, 1.5, len(generators)) * scale
    place = {row.tobytes(): k for k, row in enumerate(generators)}
    for k, image in enumerate(conjugated(generators, images(layer))):
        rates[place[image.tobytes()]] = rates[k]
    return PauliFrameSampler([LayerModel.of(layer, generators, rates, "cx")], seed, readout=READOUT)
