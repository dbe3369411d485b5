"""The circuit of the demonstration: a quenched Ising chain, with everything that is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from qiskit import QuantumCircuit, transpile
from qiskit.quantum_info import SparsePauliOp

from ..testing.devices import NoisyDevice, exact_value
from ..testing.noise import require_aer
from ..testing.snapshots import DeviceSnapshot

COUPLING: Final = 1.0
FIELD: Final = 1.5
TIME_STEP: Final = 0.15
MAX_QUBITS: Final = 10  # what is left without readout errors is computed by density matrix
TRANSPILER_SEED: Final = 0
HAMILTONIAN: Final = f"H = -ΣZZ + {FIELD:g} ΣX"


def chain_of(snapshot: DeviceSnapshot, num_qubits: int) -> tuple[int, ...] | None:
    """Return the first chain of coupled qubits of that length in the device's numbering, if there is one."""
    neighbours: dict[int, list[int]] = {q: [] for q in range(snapshot.num_qubits)}
    for a, b in snapshot.pairs:
        neighbours[a].append(b)
        neighbours[b].append(a)

    def extend(path: tuple[int, ...]) -> tuple[int, ...] | None:
        if len(path) == num_qubits:
            return path
        longer = (extend((*path, q)) for q in sorted(neighbours[path[-1]]) if q not in path)
        return next((found for found in longer if found is not None), None)

    return next((found for q in neighbours if (found := extend((q,))) is not None), None)


def longest_chain(snapshot: DeviceSnapshot) -> int:
    """Return the most qubits that the demonstration can use of a device."""
    lengths = range(min(MAX_QUBITS, snapshot.num_qubits), 0, -1)
    return next(length for length in lengths if chain_of(snapshot, length) is not None)


def ising(num_qubits: int, steps: int) -> QuantumCircuit:
    """Return first-order Trotter steps of a transverse-field Ising chain that starts in |1...1>.

    From |1...1> and in this field all three means stay away from +1/3. There the readout of the devices,
    which loses ones more often than zeros, happens to leave single-qubit means alone.
    """
    circuit = QuantumCircuit(num_qubits, name="ising")
    circuit.x(range(num_qubits))
    for _ in range(steps):
        for first in (0, 1):  # even bonds at once, then odd bonds
            for q in range(first, num_qubits - 1, 2):
                circuit.rzz(-2 * COUPLING * TIME_STEP, q, q + 1)
        circuit.rx(2 * FIELD * TIME_STEP, range(num_qubits))
    return circuit


def observables(num_qubits: int) -> dict[str, SparsePauliOp]:
    """Return the means of Z, of ZZ on the bonds and of X, by name: two measurement bases."""

    def mean(pauli: str, places: Sequence[list[int]]) -> SparsePauliOp:
        return SparsePauliOp.from_sparse_list([(pauli, qs, 1 / len(places)) for qs in places], num_qubits)

    sites, bonds = [[q] for q in range(num_qubits)], [[q, q + 1] for q in range(num_qubits - 1)]
    return {
        "magnetisation <Z>": mean("Z", sites),
        "neighbours <ZZ>": mean("ZZ", bonds),
        "transverse <X>": mean("X", sites),
    }


@frozen(eq=False)
class Workload:
    """A circuit on a device, its observables, and what is known about them without sampling.

    Attributes:
        device: The device with all its noise.
        chain: The device qubits, along the chain.
        steps: Trotter steps.
        circuit: The circuit in the device's gates, on all its qubits.
        operators: Observables on all qubits of the device, by name.
        exact: float64 (observables,): without noise.
        without_readout: float64 (observables,): with all noise but the readout errors, without sampling.
    """

    device: NoisyDevice
    chain: tuple[int, ...]
    steps: int
    circuit: QuantumCircuit
    operators: dict[str, SparsePauliOp]
    exact: NDArray[np.float64]
    without_readout: NDArray[np.float64]

    @property
    def num_two_qubit_gates(self) -> int:
        """Two-qubit gates of the circuit."""
        return int(self.circuit.num_nonlocal_gates())


def prepare(device: NoisyDevice, chain: Sequence[int], steps: int) -> Workload:
    """Transpile the circuit to the chain and compute its values with and without gate noise."""
    logical = ising(len(chain), steps)
    circuit = transpile(
        logical,
        device,
        initial_layout=list(chain),
        optimization_level=2,
        seed_transpiler=TRANSPILER_SEED,
    )
    logical_operators = observables(len(chain))
    operators = {name: operator.apply_layout(circuit.layout) for name, operator in logical_operators.items()}
    qubits = circuit.layout.final_index_layout()
    watched = circuit.copy()
    require_aer()  # importing it adds the save instructions to circuits
    for name, operator in logical_operators.items():
        watched.save_expectation_value(operator, qubits, label=name)
    job = device.with_noise(readout=False).run(watched, shots=1, method="density_matrix")
    data = job.result().data(0)
    return Workload(
        device=device,
        chain=tuple(chain),
        steps=steps,
        circuit=circuit,
        operators=operators,
        exact=np.array([exact_value(circuit, operator) for operator in operators.values()]),
        without_readout=np.array([float(data[name]) for name in operators]),
    )
