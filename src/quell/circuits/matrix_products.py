"""Expectation values by matrix product states: qiskit-aer simulates, here it is decided whether to believe it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit.library import UnitaryGate
from qiskit.quantum_info import SparsePauliOp
from scipy.sparse import coo_array
from scipy.sparse.csgraph import reverse_cuthill_mckee

from ..errors import MissingDependencyError
from .unitaries import Unitary

Floats = NDArray[np.float64]

#: Largest bond dimensions, one after the other until values no longer move.
BONDS: Final = (32, 64, 128, 256)
#: How far values may move from one to the next, in parts of the sum of an observable's coefficients.
AGREEMENT: Final = 1e-6
_NO_LIMIT: Final = 1 << 30


@frozen(eq=False)
class MatrixProducts:
    """Expectation values by matrix product states.

    Attributes:
        values: float64 ``(observables,)``.
        bond: Bond dimension that they were allowed.
        moved: How far the value that moved most is from that with half of it, in parts of the sum of its coefficients.
    """

    values: Floats
    bond: int
    moved: float

    @property
    def converged(self) -> bool:
        """Whether twice the bond dimension changed nothing."""
        return self.moved <= AGREEMENT


def matrix_product_values(
    gates: Sequence[Unitary], observables: Sequence[tuple[NDArray[np.uint8], Floats]]
) -> MatrixProducts:
    """Return expectation values in the state after gates on zeros.

    Bond dimensions are doubled until values agree. Two values that agree are no proof: both could miss the same.

    Args:
        gates: On any qubits; all others are left out.
        observables: Pauli codes uint8 ``(T, num_qubits)`` and coefficients ``(T,)`` of each.

    Raises:
        MissingDependencyError: qiskit-aer is not installed.
    """
    try:
        from qiskit_aer import AerSimulator
    except ImportError as error:
        raise MissingDependencyError(
            "exact values of this circuit take matrix product states, simulated by qiskit-aer, which is not "
            "installed; pip install 'quell[aer]', or give reference=values"
        ) from error
    order = _order(gates, [codes for codes, _ in observables])
    place = {qubit: i for i, qubit in enumerate(order)}
    circuit = QuantumCircuit(len(order))
    written: dict[int, UnitaryGate] = {}
    for gate in gates:
        # Copied, because Aer takes the transpose of a matrix that is read-only (0.18, with Qiskit 2.6), as those of
        # Qiskit's gates are.
        matrix = written.setdefault(id(gate.matrix), UnitaryGate(np.array(gate.matrix)))
        circuit.append(matrix, [place[q] for q in gate.qubits])
    for k, (codes, coefficients) in enumerate(observables):
        operator = SparsePauliOp(
            ["".join("IXZY"[c] for c in row[order][::-1]) for row in codes], coefficients
        )
        circuit.save_expectation_value(operator, range(len(order)), label=str(k))
    scale = np.array([max(np.abs(coefficients).sum(), 1e-300) for _, coefficients in observables])
    previous, moved = None, np.inf
    for bond in BONDS:
        simulator = AerSimulator(
            method="matrix_product_state",
            matrix_product_state_max_bond_dimension=bond,
            max_parallel_threads=1,
            # Aer takes every bond to grow to where it could; tensors of these bonds take less than 100 MB.
            max_memory_mb=_NO_LIMIT,
        )
        values = _run(simulator, circuit, len(observables))
        if previous is not None:
            moved = float(np.max(np.abs(values - previous) / scale, initial=0.0))
            if moved <= AGREEMENT:
                break
        previous = values
    return MatrixProducts(values, bond, moved)


def _run(simulator: Any, circuit: QuantumCircuit, count: int) -> Floats:
    result = simulator.run(circuit, shots=1).result()
    if not result.success:
        raise RuntimeError(f"qiskit-aer: {result.status}")
    data = result.data(0)
    return np.array([data[str(k)] for k in range(count)], dtype=np.float64)


def _order(gates: Sequence[Unitary], observables: Sequence[NDArray[np.uint8]]) -> list[int]:
    """Return the qubits in use such that those with gates are near each other."""
    used = {q for gate in gates for q in gate.qubits}
    used |= {int(q) for codes in observables for q in np.flatnonzero(codes.any(axis=0))}
    qubits = sorted(used)
    place = {qubit: i for i, qubit in enumerate(qubits)}
    pairs = sorted({tuple(sorted(place[q] for q in g.qubits)) for g in gates if len(g.qubits) == 2})
    if not pairs:
        return qubits
    first, second = np.array(pairs).T
    both = (np.concatenate([first, second]), np.concatenate([second, first]))
    graph = coo_array((np.ones(2 * len(pairs)), both), shape=(len(qubits), len(qubits)))
    return [qubits[i] for i in reverse_cuthill_mckee(graph.tocsr(), symmetric_mode=True)]
