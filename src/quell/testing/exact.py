"""Exact outcome distributions of small or Clifford circuits, for many parameter sets at once.

A circuit of Clifford gates is simulated as one tableau, see `testing.clifford`; its width does not matter. In
other circuits qubits that never interact are separate *components*, each a tableau or a state vector. Both
ways are vectorised over the parameter sets (members), and neither uses quell's own rules for Paulis and
angles, so they are an independent check of them.
"""

from __future__ import annotations

import numpy as np

from ..errors import Problem, UnsupportedError
from .clifford import Affine, clifford_outcomes
from .unroll import Complexes, Floats, Gate, Unrolled, components


def outcomes(unrolled: Unrolled, max_qubits: int) -> list[tuple[list[int], Affine | Floats]]:
    """Return the distribution of the outcomes of each component.

    Returns:
        Pairs of qubits, ascending, and either an `Affine` or probabilities ``(members or 1, 2^k)``, the first
        qubit least significant. All of a Clifford circuit comes in one part.

    Raises:
        UnsupportedError: A component is not Clifford and has more than `max_qubits` qubits.
    """
    everything = sorted({q for gate in unrolled.gates for q in gate.qubits} | set(unrolled.measured.values()))
    whole = clifford_outcomes(everything, list(unrolled.gates))
    if whole is not None:
        return [(everything, whole)]
    parts: list[tuple[list[int], Affine | Floats]] = []
    for qubits, gates in components(unrolled):
        part = clifford_outcomes(qubits, gates)
        if part is not None:
            parts.append((qubits, part))
            continue
        if len(qubits) > max_qubits:
            rule = f"has {len(qubits)} interacting qubits and is not Clifford; max_qubits is {max_qubits}"
            raise UnsupportedError.of([Problem("circuit", rule)])
        parts.append((qubits, np.abs(state_vectors(qubits, gates)) ** 2))
    return parts


def state_vectors(qubits: list[int], gates: list[Gate]) -> Complexes:
    """Return the states of a component, complex ``(members or 1, 2^k)``; the first qubit least significant."""
    k = len(qubits)
    axis = {qubit: k - position for position, qubit in enumerate(qubits)}
    states = np.zeros((1,) + (2,) * k, dtype=complex)
    states[(0,) * (k + 1)] = 1.0
    for gate in gates:
        axes = [axis[q] for q in reversed(gate.qubits)]
        last = list(range(k + 1 - len(axes), k + 1))
        moved = np.moveaxis(states, axes, last)
        shape = moved.shape
        flat = moved.reshape(len(states), -1, gate.matrices.shape[-1]) @ gate.matrices.swapaxes(1, 2)
        states = np.moveaxis(flat.reshape(len(flat), *shape[1:]), last, axes)
    return states.reshape(len(states), -1)
