"""Devices with Pauli-Lindblad noise of known rates, for the tests of what cancels and amplifies it.

`models_of` makes the noise of every layer of a circuit. `PauliFrameSampler` then samples Clifford circuits of any
width, and `LindbladSampler` all circuits of a few qubits; both draw from the exact distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import evolve
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.primitives import BitArray
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import SparsePauliOp

from quell.calibration.layers import LayerModel
from quell.circuits.layers import Layer, occurrences
from quell.circuits.template import template_of
from quell.circuits.twirling import Strategy, twirled_template
from quell.kernels.lindblad import local_paulis
from quell.stages.pec import LayerLearning, Pec
from quell.testing import ExactSampler
from quell.testing.clifford import transfer_matrices
from quell.testing.pauli_frames import _as_bit_array, _noisy
from quell.testing.samplers import _draw
from quell.testing.unroll import Gate

Floats = NDArray[np.float64]

LEARNING = LayerLearning((0, 1, 2, 4), 8, 16)


def models_of(
    circuit: QuantumCircuit,
    scale: float,
    *,
    seed: int = 0,
    strategy: Strategy = "all",
    deviation: float = 0.0,
) -> list[LayerModel]:
    """Return noise on all qubits and neighbours (q, q + 1) of every layer.

    Args:
        circuit: The circuit.
        scale: Rates are between a half and one and a half of it.
        seed: Of the rates.
        strategy: Which waiting qubits are in layers, see `twirled_template`.
        deviation: Standard error of each rate relative to `scale`, independent between rates; 0 where they are exact.
    """
    rng = np.random.default_rng(seed)
    layers: dict[Any, Layer] = {}
    for place in occurrences(twirled_template(template_of(circuit), strategy)):
        known = layers.get(place.layer.gates)
        if known is None or place.layer.covers(known):
            layers[place.layer.gates] = place.layer
    models = []
    for layer in layers.values():
        qubits = layer.qubits
        pairs = [(i, i + 1) for i in range(len(qubits) - 1) if qubits[i + 1] == qubits[i] + 1]
        generators = local_paulis(len(qubits), pairs)
        rates = rng.uniform(0.5, 1.5, len(generators)) * scale
        model = LayerModel.of(layer, generators, rates, f"layer {len(models)}")
        models.append(known_to(model, deviation * scale * np.eye(len(rates))) if deviation else model)
    return models


def known_to(model: LayerModel, rows: Floats, dof: float = np.inf) -> LayerModel:
    """Return a model whose rates have the covariance ``rows.T @ rows``."""
    return evolve(model, deviations=evolve(model.deviations, rows=rows, dof=dof))


def mistaken(model: LayerModel, rng: np.random.Generator) -> LayerModel:
    """Return the model with rates as a calibration would have found them, drawn from its covariance."""
    rows = model.deviations.rows
    return evolve(model, rates=model.rates + rng.standard_normal(len(rows)) @ rows)


class LindbladSampler(ExactSampler):
    """Sample circuits of a few qubits whose layers have Pauli-Lindblad noise just before their gates.

    Args:
        models: The noise of layers.
        seed: Seed of the shots.
        kwargs: As for `ExactSampler`.
    """

    def __init__(self, models: Sequence[LayerModel], seed: Any = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.models = {model.layer.gates: model for model in models}

    def _run(self, pub: SamplerPub) -> dict[str, BitArray]:
        circuit, shots = pub.circuit, int(pub.shots or 0)
        members = int(np.prod(pub.shape, dtype=int))
        values = np.asarray(pub.parameter_values.as_array(circuit.parameters), dtype=float)
        values = values.reshape(members, circuit.num_parameters)
        bits = np.zeros((members, shots, circuit.num_clbits), dtype=bool)
        for start in range(0, members, 8192):
            rows = slice(start, min(start + 8192, members))
            noisy = _noisy(circuit, values[rows], self.models)
            probabilities, qubits = _probabilities(noisy, circuit.num_qubits)
            numbers = _draw(probabilities, rows.stop - rows.start, shots, self.rng)
            places = np.array([qubits.index(q) for q in noisy.measured.values()])
            drawn = (numbers[..., None] >> places & 1).astype(bool)
            if self.readout is not None:
                drawn = self.readout.corrupt(drawn, list(noisy.measured.values()), self.rng)
            bits[rows][..., list(noisy.measured)] = drawn
        return {
            register.name: _as_bit_array(bits[..., [circuit.find_bit(b).index for b in register]], pub.shape)
            for register in circuit.cregs
        }


def _probabilities(noisy: Any, num_qubits: int) -> tuple[Floats, list[int]]:
    """Return the distribution over the outcomes of all qubits, float64 ``(members or 1, 2^n)``, from Pauli vectors."""
    n = num_qubits
    state = np.zeros((1,) + (4,) * n)
    for index in np.ndindex(*(2,) * n):
        state[(0, *(2 * i for i in index))] = 1.0  # I and Z of |0>
    marks = list(noisy.marks)
    for number in range(len(noisy.gates) + 1):
        while marks and marks[0][0] == number:
            model = marks.pop(0)[1]
            state = state * _fidelities(model, n)
        if number < len(noisy.gates):
            state = _applied(noisy.gates[number], state, n)
    diagonal = state[(slice(None), *(slice(0, 4, 2),) * n)]
    for axis in range(1, n + 1):
        zero, one = np.take(diagonal, 0, axis=axis), np.take(diagonal, 1, axis=axis)
        diagonal = np.stack([(zero + one) / 2, (zero - one) / 2], axis=axis)
    # Axis 1 is the last qubit, so the flat index has qubit 0 least significant.
    return np.maximum(diagonal.reshape(len(diagonal), -1), 0), list(range(n))


def _applied(gate: Gate, state: Floats, n: int) -> Floats:
    """Return Pauli vectors ``(members, 4, ..., 4)``, qubit q at axis ``n - q``, behind a gate."""
    transfer = transfer_matrices(gate.matrices)
    axes = [n - q for q in reversed(gate.qubits)]
    last = list(range(n + 1 - len(axes), n + 1))
    moved = np.moveaxis(state, axes, last)
    flat = moved.reshape(len(state), -1, transfer.shape[-1]) @ transfer.swapaxes(1, 2)
    return np.moveaxis(flat.reshape(len(flat), *moved.shape[1:]), last, axes)


def _fidelities(model: LayerModel, n: int) -> Floats:
    """Return what a channel multiplies each Pauli with, float64 ``(4, ..., 4)``, qubit q at axis ``n - 1 - q``."""
    codes = np.indices((4,) * n, dtype=np.uint8).reshape(n, -1).T[:, ::-1]  # column q is qubit q
    own = codes[:, list(model.layer.qubits)]
    exponent = np.zeros(len(codes))
    for generator, rate in zip(model.generators, model.rates, strict=True):
        odd = np.zeros(len(codes), dtype=np.uint8)
        for column, code in enumerate(generator):
            x, z = code & 1, code >> 1
            odd ^= (x & own[:, column] >> 1) ^ (z & own[:, column] & 1)
        exponent += 2 * rate * odd
    return np.exp(-exponent).reshape((4,) * n)


def exact_damped(
    circuit: QuantumCircuit, models: Sequence[LayerModel], observables: Sequence[Any], gain: float
) -> Floats:
    """Return the values of observables with a share of the noise, from the sampler's own Pauli vectors."""
    scaled = {m.layer.gates: evolve(m, rates=gain * m.rates) for m in models}
    values = []
    for observable in observables:
        operator = SparsePauliOp.from_list(
            list(observable.items()) if isinstance(observable, dict) else [(observable, 1.0)]
        )
        total = 0.0
        for label, weight in operator.to_list():
            measured = circuit.copy()
            for q, letter in enumerate(label[::-1]):
                if letter == "X":
                    measured.h(q)
                elif letter == "Y":
                    measured.sdg(q)
                    measured.h(q)
            noisy = _noisy(measured, np.zeros((1, 0)), scaled)
            probabilities, _ = _probabilities(noisy, circuit.num_qubits)
            support = [q for q, letter in enumerate(label[::-1]) if letter != "I"]
            outcome = np.arange(probabilities.shape[1])
            parity = (
                np.sum([outcome >> q & 1 for q in support], axis=0) % 2 if support else np.zeros_like(outcome)
            )
            total += float(weight.real * (probabilities[0] * (1 - 2 * parity)).sum())
        values.append(total)
    return np.array(values)


def pec(models: Sequence[LayerModel] | None, **changes: Any) -> Pec:
    """Return the stage that cancels all of the noise, one shot per randomization, signs drawn at random."""
    defaults: dict[str, Any] = {
        "gain": 0.0,
        "max_overhead": None,
        "light_cone": True,
        "stratified": False,
        "shots_per_randomization": 1,
        "strategy": "all",
    }
    own = None if models is None else tuple(models)
    return Pec(LEARNING, own, **(defaults | changes))
