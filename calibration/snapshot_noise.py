"""The noise of a layer as the numbers of a device snapshot have it: what learned noise is compared with.

The noise of the bundled devices is not that of Pauli channels: gates rotate too far, qubits relax, and those that wait
drift. Twirling makes a Pauli channel of each part: its Pauli fidelities are the diagonal of its transfer matrix. The
parts of a layer are multiplied, as if each were twirled by itself, which is right to first order in the error rates.

Parts: the errors of the two-qubit gates; relaxation, drift and ZZ of qubits while they wait for the longest gate; and
the dressings of the twirl, two `sx` on each qubit.
"""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import product

import numpy as np
from numpy.typing import NDArray

from quell.calibration.layers import LayerModel
from quell.calibration.models import models_of_aer
from quell.circuits.layers import Layer, images
from quell.kernels.lindblad import conjugated, fidelities, local_paulis
from quell.testing import NoisyDevice

X, Z, Y = 1, 2, 3  # codes of Paulis
PULSES = 2  # of each dressing


def pairs_of(device: NoisyDevice, layer: Layer) -> list[tuple[int, int]]:
    """Return the coupled pairs of a layer, as places among its qubits."""
    place = {q: i for i, q in enumerate(layer.qubits)}
    return [(place[a], place[b]) for a, b in device.snapshot.pairs if a in place and b in place]


def snapshot_model(device: NoisyDevice, layer: Layer) -> LayerModel:
    """Return the Pauli-Lindblad noise of a layer that follows from the numbers of a device."""
    truth, qubits = device.truth, layer.qubits
    rates: defaultdict[bytes, float] = defaultdict(float)

    def add(rate: float, *factors: tuple[int, int]) -> None:
        row = np.zeros(len(qubits), dtype=np.uint8)
        for place, code in factors:
            row[place] = code
        rates[row.tobytes()] += rate

    (gates,) = models_of_aer(truth.noise_model, (layer,))
    for row, rate in zip(gates.generators, gates.rates, strict=True):
        rates[row.tobytes()] += float(rate)

    busy = {q: truth.durations[name, pair] for name, _, pair in layer.gates for q in pair}
    longest = max(busy.values())
    waits = [longest - busy.get(q, 0.0) for q in qubits]  # seconds
    for i, (q, wait) in enumerate(zip(qubits, waits, strict=True)):
        relaxing = wait + PULSES * truth.durations["sx", (q,)]
        add(relaxing / (4 * truth.t1s[q]), (i, X))
        add(relaxing / (4 * truth.t1s[q]), (i, Y))
        add(relaxing / (2 * truth.t2s[q]) - relaxing / (4 * truth.t1s[q]), (i, Z))
        add(-math.log(math.cos(truth.detunings[q] * wait)) / 2, (i, Z))
        left = 1 - truth.depolarizing.get(("sx", (q,)), 0.0)
        for code in (X, Y, Z):
            add(-PULSES * math.log(left) / 4, (i, code))
    for i, j in pairs_of(device, layer):
        rate = truth.idle_zz.get((min(qubits[i], qubits[j]), max(qubits[i], qubits[j])), 0.0)
        add(-math.log(math.cos(rate * min(waits[i], waits[j]))) / 2, (i, Z), (j, Z))
    codes = np.array([np.frombuffer(row, dtype=np.uint8) for row in rates])
    return LayerModel.of(layer, codes, list(rates.values()), f"snapshot of {device.name}")


def pair_decays(
    model: LayerModel, paulis: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what a pair of layers takes from Paulis, ``-log(f(P) f(P'))``, and its standard errors.

    These are what repeated layers tell; single fidelities need assumptions.
    """
    after = conjugated(paulis, images(model.layer))

    def decays(rates: NDArray[np.float64]) -> NDArray[np.float64]:
        return -np.log(
            fidelities(paulis, model.generators, rates) * fidelities(after, model.generators, rates)
        )

    rows = np.array([decays(row) for row in model.deviations.rows]).reshape(-1, len(paulis))
    return decays(model.rates), np.sqrt((rows**2).sum(axis=0))


def process_fidelity(model: LayerModel) -> float:
    """Return the probability of no error in one run of the layer: the mean fidelity of all Paulis."""
    paulis = np.array(list(product(range(4), repeat=len(model.layer.qubits))), dtype=np.uint8)
    return float(fidelities(paulis, model.generators, model.rates).mean())


def compared(device: NoisyDevice, model: LayerModel) -> dict[str, float]:
    """Return figures of a learned model next to those of the snapshot."""
    truth = snapshot_model(device, model.layer)
    paulis = local_paulis(len(model.layer.qubits), pairs_of(device, model.layer))
    learned, errors = pair_decays(model, paulis)
    expected, _ = pair_decays(truth, paulis)
    total = model.deviations.rows.sum(axis=1)
    return {
        "gamma": model.gamma,
        "gamma_standard_error": 2 * model.gamma * float(np.sqrt((total**2).sum())),
        "gamma_of_snapshot": truth.gamma,
        "infidelity": 1 - process_fidelity(model),
        "infidelity_of_snapshot": 1 - process_fidelity(truth),
        "mean_pair_decay": float(learned.mean()),
        "mean_pair_decay_of_snapshot": float(expected.mean()),
        "rms_difference_of_pair_decays": float(np.sqrt(((learned - expected) ** 2).mean())),
        "rms_standard_error_of_pair_decays": float(np.sqrt((errors**2).mean())),
    }
