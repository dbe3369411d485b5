"""Families of circuits, noise, and the device that everybody runs on.

A family is a function of a seed. Random circuits (mirror, RB) differ between seeds; Ising and GHZ circuits are the same
and only shots differ. The noise is depolarizing, 1 % on gates of two qubits and 0.1 % on pulses, with readout that
flips 0 in 1.8-2.5 % and 1 in 3.5-4.5 % of all cases; and the same with every CX followed by an RZZ rotation of 0.1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.circuit.library import RZZGate
from qiskit.quantum_info import SparsePauliOp, Statevector, random_clifford
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError, coherent_unitary_error, depolarizing_error

BASIS = ["cx", "rz", "sx", "x"]
#: Gates that take a pulse; those that turn about z take none and are free of noise.
PULSES = ["sx", "x", "sxdg", "y", "h", "rx", "ry", "u", "u2", "u3", "r"]
FREE = ["rz", "id", "z", "s", "sdg", "t", "tdg", "p", "u1", "delay"]
TWO_QUBITS = ["cx", "cz", "ecr"]
PULSE_ERROR, TWO_QUBIT_ERROR, OVER_ROTATION = 0.001, 0.01, 0.1
#: Name to angle of the over-rotation.
NOISES = {"depolarizing": 0.0, "rzz": OVER_ROTATION}
NOISE_TITLES = {
    "depolarizing": "depolarizing + readout",
    "rzz": "depolarizing + readout + rzz over-rotation 0.1",
}


@dataclass(frozen=True)
class Workload:
    """A circuit without measurements, what is estimated, and its value without noise."""

    family: str
    seed: int
    circuit: QuantumCircuit
    observable: SparsePauliOp
    ideal: float

    @property
    def clifford(self) -> bool:
        """Whether the family has Clifford circuits only, which a classical computer simulates."""
        return self.family != "ising6"


def _in_basis(circuit: QuantumCircuit) -> QuantumCircuit:
    return transpile(circuit, basis_gates=BASIS, optimization_level=1, seed_transpiler=7)


def _join(num_qubits: int, parts: Sequence[tuple[QuantumCircuit, Sequence[int]]]) -> QuantumCircuit:
    """Bring parts into the basis one by one, so that none of them cancels another."""
    circuit = QuantumCircuit(num_qubits)
    for part, qubits in parts:
        circuit.compose(_in_basis(part), qubits, inplace=True)
    return circuit


def mirror5(seed: int) -> tuple[QuantumCircuit, SparsePauliOp]:
    """Four layers of random Cliffords and CX on a line of 5, a layer of Paulis, and all back; mean signed Z, 1."""
    n, rng = 5, np.random.default_rng(seed)
    half = QuantumCircuit(n)
    for layer in range(4):
        for q in range(n):
            half.compose(random_clifford(1, seed=rng).to_circuit(), [q], inplace=True)
        for q in range(layer % 2, n - 1, 2):
            half.cx(q, q + 1)
    paulis = QuantumCircuit(n)
    for q in range(n):
        getattr(paulis, ("id", "x", "y", "z")[rng.integers(4)])(q)
    circuit = _join(n, [(part, range(n)) for part in (half, paulis, half.inverse())])
    ones = int(np.argmax(Statevector(circuit).probabilities()))
    terms = [("Z", [q], (-1) ** (ones >> q & 1) / n) for q in range(n)]
    return circuit, SparsePauliOp.from_sparse_list(terms, n)


def rb4(seed: int) -> tuple[QuantumCircuit, SparsePauliOp]:
    """Three random Cliffords on each of two pairs, and what undoes them; mean ZZ of the pairs, 1."""
    rng, parts = np.random.default_rng(seed), []
    pairs = [(0, 1), (2, 3)]
    for pair in pairs:
        drawn = [random_clifford(2, seed=rng) for _ in range(3)]
        total = drawn[0].compose(drawn[1]).compose(drawn[2])
        parts += [(c.to_circuit(), pair) for c in (*drawn, total.adjoint())]
    return _join(4, parts), SparsePauliOp.from_sparse_list([("ZZ", list(p), 0.5) for p in pairs], 4)


def ising6(seed: int) -> tuple[QuantumCircuit, SparsePauliOp]:
    """Four Trotter steps of 0.25 of a chain of 6, J = 0.5236 and h = 1, from all zeros; mean Z, -0.2027."""
    del seed
    n, step = 6, 0.25
    circuit = QuantumCircuit(n)
    for _ in range(4):
        circuit.rx(2 * step, range(n))
        for start in (0, 1):
            for q in range(start, n - 1, 2):
                circuit.rzz(-2 * 0.5236 * step, q, q + 1)
    return _in_basis(circuit), SparsePauliOp.from_sparse_list([("Z", [q], 1 / n) for q in range(n)], n)


def _ghz(n: int) -> QuantumCircuit:
    circuit = QuantumCircuit(n)
    circuit.h(0)
    for q in range(n - 1):
        circuit.cx(q, q + 1)
    return _in_basis(circuit)


def ghz6_parity(seed: int) -> tuple[QuantumCircuit, SparsePauliOp]:
    """A GHZ state of 6 qubits; X on all of them, 1."""
    del seed
    return _ghz(6), SparsePauliOp("X" * 6)


def ghz6_stab(seed: int) -> tuple[QuantumCircuit, SparsePauliOp]:
    """A GHZ state of 6 qubits; mean of X on all and of ZZ on neighbours, two bases, 1."""
    del seed
    terms = [("X" * 6, list(range(6)), 1 / 6)] + [("ZZ", [q, q + 1], 1 / 6) for q in range(5)]
    return _ghz(6), SparsePauliOp.from_sparse_list(terms, 6)


FAMILIES: dict[str, Callable[[int], tuple[QuantumCircuit, SparsePauliOp]]] = {
    "mirror5": mirror5,
    "rb4": rb4,
    "ising6": ising6,
    "ghz6_stab": ghz6_stab,
    "ghz6_parity": ghz6_parity,
}


def workload(family: str, seed: int) -> Workload:
    circuit, observable = FAMILIES[family](seed)
    ideal = float(np.real(Statevector(circuit).expectation_value(observable)))
    return Workload(family, seed, circuit, observable, ideal)


def readout_errors(num_qubits: int) -> list[tuple[float, float]]:
    """Return p(1|0) and p(0|1) of each qubit."""
    rng = np.random.default_rng(11)
    zeros, ones = rng.uniform(0.018, 0.025, num_qubits), rng.uniform(0.035, 0.045, num_qubits)
    return [(float(a), float(b)) for a, b in zip(zeros, ones, strict=True)]


def noise_model(num_qubits: int, noise: str) -> NoiseModel:
    model = NoiseModel(basis_gates=sorted({*PULSES, *FREE, *TWO_QUBITS}))
    model.add_all_qubit_quantum_error(depolarizing_error(PULSE_ERROR, 1), PULSES)
    error = depolarizing_error(TWO_QUBIT_ERROR, 2)
    if NOISES[noise]:
        error = coherent_unitary_error(RZZGate(NOISES[noise]).to_matrix()).compose(error)
    model.add_all_qubit_quantum_error(error, TWO_QUBITS)
    for q, (zero, one) in enumerate(readout_errors(num_qubits)):
        model.add_readout_error(ReadoutError([[1 - zero, zero], [one, 1 - one]]), [q])
    return model


@dataclass
class Tally:
    """What was run; copies of a device write into the same one."""

    circuits: int = 0
    shots: int = 0
    seconds: float = 0.0
    rng: np.random.Generator = field(default_factory=np.random.default_rng)

    def __deepcopy__(self, memo: Any) -> Tally:
        return self


class Device(AerSimulator):
    """Aer with the noise; counts what it runs, and draws the seed of every call.

    A device does not repeat its shots. The vendor's local mode gives all parts of a program the same seed, so that
    their shots err together and partly cancel; with `independent` each call gets a seed of its own, whoever asks for
    which.
    """

    def __init__(self, num_qubits: int, noise: str, seed: Sequence[int], independent: bool = True) -> None:
        super().__init__(
            noise_model=noise_model(num_qubits, noise),
            method="density_matrix",
            n_qubits=num_qubits,
            basis_gates=[*BASIS, "id"],
            fusion_threshold=1,  # gates and their noise are multiplied first also on few qubits: same values, sooner
        )
        self.tally = Tally(rng=np.random.default_rng(list(seed)))
        self._independent = independent

    def run(self, circuits: Any, **options: Any) -> Any:
        """Simulate at once."""
        start = time.perf_counter()
        if self._independent:
            options["seed_simulator"] = int(self.tally.rng.integers(2**31))
        job = super().run(circuits, **options)
        results = job.result().results
        self.tally.circuits += len(results)
        self.tally.shots += sum(r.shots for r in results)
        self.tally.seconds += time.perf_counter() - start
        return job
