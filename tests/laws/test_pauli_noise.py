"""Twirling turns coherent noise into Pauli noise: the averaged error has a diagonal Pauli transfer matrix."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit.library import RXGate, RZZGate
from qiskit.quantum_info import Operator

from quell import twirl
from quell.testing.clifford import transfer_matrices

ERROR = (Operator(RZZGate(0.3)) @ Operator(RXGate(0.2)).expand(Operator(np.eye(2)))).data
RANDOMIZATIONS = 400


def transfer_of_error(circuit: QuantumCircuit, gate: str) -> np.ndarray:
    """Return the transfer matrix of what a circuit of one gate does after that gate, with its coherent error."""
    noisy = circuit.copy_empty_like()
    for instruction in circuit.data:
        noisy.append(instruction)
        if instruction.operation.name == gate:
            noisy.unitary(ERROR, instruction.qubits)
    ideal = QuantumCircuit(2)
    getattr(ideal, gate)(0, 1)
    return transfer_matrices((Operator(noisy).data @ Operator(ideal).data.conj().T)[None])[0]


def off_diagonal(matrix: np.ndarray) -> np.ndarray:
    return matrix[..., ~np.eye(16, dtype=bool)]


@pytest.mark.parametrize("gate", ["cx", "cz", "ecr"])
def test_coherent_noise_becomes_pauli_noise(gate):
    """False alarm 1.4e-4: 240 entries, five standard errors each."""
    circuit = QuantumCircuit(2)
    getattr(circuit, gate)(0, 1)
    bare = transfer_of_error(circuit, gate)
    assert np.abs(off_diagonal(bare)).max() > 0.25

    twirled = twirl(circuit, RANDOMIZATIONS, seed=11)
    values = twirled.parameter_values
    _, first, which = np.unique(np.round(values, 9), axis=0, return_index=True, return_inverse=True)
    assert len(first) == 16
    bound = [twirled.circuit.assign_parameters(values[row]) for row in first]
    members = np.stack([transfer_of_error(circuit, gate) for circuit in bound])

    everyone = members.mean(axis=0)
    assert np.abs(off_diagonal(everyone)).max() < 1e-12
    assert np.allclose(np.diag(everyone), np.diag(bare), atol=1e-12)

    drawn = members[which.ravel()]
    mean = off_diagonal(drawn.mean(axis=0))
    error = off_diagonal(drawn.std(axis=0, ddof=1)) / np.sqrt(RANDOMIZATIONS)
    assert (np.abs(mean) <= 5 * error + 1e-12).all()
    assert np.abs(mean).max() < 0.1
