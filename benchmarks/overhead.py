"""Shots that error cancellation costs, with and without what an observable cannot notice.

Cancelling noise of rates lambda_k takes gamma^2 = exp(4 sum lambda_k) times the shots (arXiv:2201.09866). The sum may
be over all errors in the circuit, over those in the light cone of the observable (whatever the one-qubit gates are),
or over those that may anticommute with what the observable is where they happen; for Clifford circuits the last are
just those that damp it. Prints log10 of gamma^2 for Z on one qubit, medians over all qubits of random circuits, for

- Clifford: a brickwork of CX on a line with random one-qubit Clifford gates between;
- Ising: Trotter steps of the transverse-field Ising model on a line, rzz as CX rz CX and rx between, every gate at an
  angle of its own.

Rates of the 15 Paulis of each gate are random with a sum of EPLG, the error per layered gate. The last columns are
seconds for all qubits: of `light_cones`, and of `relevance` for every gate. Run: ``python benchmarks/overhead.py``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import product

import numpy as np
from qiskit import QuantumCircuit

from quell.circuits.cones import light_cones
from quell.circuits.template import Template, template_of
from quell.kernels.cones import relevance

#: Qubits, layers of CX, EPLG, circuits.
SETTINGS = [
    (10, 10, 0.005, 10),
    (10, 20, 0.005, 10),
    (50, 20, 0.002, 10),
    (100, 20, 0.002, 5),
    (127, 60, 0.003, 3),
]
PAIRS = np.array(list(product(range(4), repeat=2))[1:], dtype=np.uint8)


def layers_of(num_qubits: int, num_layers: int, kind: str) -> list[list[int]]:
    """Return the first qubits of the gates of each layer; in Ising circuits each pair's two CX follow each other."""
    return [list(range((k // 2 if kind == "Ising" else k) % 2, num_qubits - 1, 2)) for k in range(num_layers)]


def clifford(num_qubits: int, num_layers: int, rng: np.random.Generator) -> QuantumCircuit:
    circuit = QuantumCircuit(num_qubits)

    def dress() -> None:
        for qubit in range(num_qubits):
            # All 24 Clifford gates equally often: two thirds of them turn the Z axis away.
            theta = rng.choice([0, 1, 2, 3], p=[1 / 6, 1 / 3, 1 / 6, 1 / 3])
            circuit.u(*(np.pi / 2 * np.array([theta, *rng.integers(0, 4, 2)])), qubit)

    for layer in layers_of(num_qubits, num_layers, "Clifford"):
        dress()
        for qubit in layer:
            circuit.cx(qubit, qubit + 1)
        circuit.barrier()
    dress()
    return circuit


def ising(num_qubits: int, num_layers: int, rng: np.random.Generator) -> QuantumCircuit:
    circuit = QuantumCircuit(num_qubits)
    for k, layer in enumerate(layers_of(num_qubits, num_layers, "Ising")):
        for qubit in layer:
            if k % 2:
                circuit.rz(rng.uniform(0.2, 0.6), qubit + 1)
            circuit.cx(qubit, qubit + 1)
        circuit.barrier()
        if k % 4 == 3:
            for qubit in range(num_qubits):
                circuit.rx(rng.uniform(0.3, 0.9), qubit)
    return circuit


def generic(circuit: QuantumCircuit, rng: np.random.Generator) -> QuantumCircuit:
    """Return the circuit with gates that mix all Paulis wherever there may be one-qubit gates."""
    result = circuit.copy_empty_like()
    for item in circuit.data:
        if len(item.qubits) == 2:
            result.append(item)
            for qubit in item.qubits:
                result.u(*rng.uniform(0.3, 1.2, 3), qubit)
    return result


def exponents(template: Template, rates: list[np.ndarray]) -> tuple[np.ndarray, float, float]:
    """Return 4 times the rates that Z of each qubit may notice, ``(num_qubits,)``, and the seconds of both steps."""
    terms = 2 * np.eye(template.num_qubits, dtype=np.uint8)
    start = time.perf_counter()
    masks = light_cones(template, np.zeros((1, 0)), terms)
    middle = time.perf_counter()
    total = np.zeros(template.num_qubits)
    for op, rate in zip(template.ops, rates, strict=True):
        relevant, _ = relevance(masks, np.array(op.before), PAIRS)
        total += 4 * rate @ relevant
    return total, middle - start, time.perf_counter() - middle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--most", type=int, default=10, help="random circuits of a size at most")
    arguments = parser.parse_args()
    kinds: dict[str, Callable[[int, int, np.random.Generator], QuantumCircuit]] = {
        "Clifford": clifford,
        "Ising": ising,
    }
    print("log10 of gamma^2")
    print(
        "| circuit | qubits | layers | EPLG | everything | light cone | may anticommute | cones | relevance |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for kind, (num_qubits, num_layers, eplg, count) in product(kinds, SETTINGS):
        everything, cone, noticed, seconds = [], [], [], []
        for seed in range(min(count, arguments.most)):
            rng = np.random.default_rng(seed)
            circuit = kinds[kind](num_qubits, num_layers, rng)
            template = template_of(circuit)
            rates = [eplg * rng.dirichlet(np.ones(15)) for _ in template.ops]
            everything.append(4 * np.sum(rates))
            cone.append(exponents(template_of(generic(circuit, rng)), rates)[0])
            found, *times = exponents(template, rates)
            noticed.append(found)
            seconds.append(times)
        logs = [f"{np.median(values) / np.log(10):.2f}" for values in (everything, cone, noticed)]
        both = [f"{median:.3f}" for median in np.median(seconds, axis=0)]
        print(
            "|", " | ".join([kind, *map(str, (num_qubits, num_layers, eplg)), *logs, *both]), "|", flush=True
        )


if __name__ == "__main__":
    main()
