"""Circuits of an experiment written for its device, and their observables on its qubits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from qiskit import QuantumCircuit, transpile
from qiskit.transpiler import Target

from ..errors import InputError, Problem
from ..execution.adapters import runner_for
from ..primitives.inputs import check_target, without_final_measurements

TRANSPILER_SEED: Final = 0
#: Gates of circuits for devices that say nothing about theirs.
BASIS: Final = ("cx", "rz", "sx", "x")
_TWO_QUBIT: Final = ("cx", "cz", "ecr")
#: Steps after which the search for a chain gives up.
_PATIENCE: Final = 200_000


def chain_of(pairs: Iterable[tuple[int, int]], num_qubits: int) -> tuple[int, ...] | None:
    """Return the first chain of coupled qubits of that length, None if there is none or it is hard to find."""
    neighbours: dict[int, list[int]] = {}
    for a, b in sorted({(min(pair), max(pair)) for pair in pairs}):
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    steps = 0
    for start in sorted(neighbours):
        # Depth first without recursion: chains may be longer than Python's stack.
        path, choices = [start], [iter(sorted(neighbours[start]))]
        while path:
            if len(path) == num_qubits:
                return tuple(path)
            steps += 1
            if steps > _PATIENCE:
                return None
            following = next((q for q in choices[-1] if q not in path), None)
            if following is None:
                path.pop()
                choices.pop()
            else:
                path.append(following)
                choices.append(iter(sorted(neighbours[following])))
    return None


def written(
    circuit: QuantumCircuit,
    mode: Any,
    *,
    is_line: bool,
    layout: Sequence[int] | None = None,
    optimization_level: int = 1,
    keep: bool = False,
) -> QuantumCircuit:
    """Return a circuit in the gates and on the qubits of what it runs on, without final measurements.

    Args:
        circuit: The circuit.
        mode: A backend, sampler or function.
        is_line: Whether it acts on neighbours of a line only; it is put on a chain then.
        layout: Device qubits of the circuit's qubits; None to choose them.
        optimization_level: Of the transpiler.
        keep: Leave it as it is where the device runs it so.

    Raises:
        InputError: It does not fit.
    """
    bare = without_final_measurements(circuit)
    target: Target | None = runner_for(mode).target
    if target is None or target.build_coupling_map() is None:
        return _uncoupled(bare, target, optimization_level)
    if bare.num_qubits > target.num_qubits:
        rule = f"has {bare.num_qubits} qubits, the device {target.num_qubits}"
        raise InputError.of([Problem("workload", rule, "use fewer qubits, or another device")])
    fits = bare.num_qubits == target.num_qubits and not list(check_target(bare, target, "circuit"))
    if keep and layout is None and fits:
        return bare
    if layout is not None and (len(layout) < bare.num_qubits or max(layout) >= target.num_qubits):
        rule = f"names {len(layout)} qubits up to {max(layout)}, for {bare.num_qubits} of {target.num_qubits}"
        raise InputError.of([Problem("device.layout", rule, "name a qubit of the device for each")])
    chosen = None if layout is None else list(layout[: bare.num_qubits])
    if chosen is None and is_line:
        chain = chain_of(target.build_coupling_map().get_edges(), bare.num_qubits)
        chosen = None if chain is None else list(chain)
    return _transpiled(bare, target=target, initial_layout=chosen, optimization_level=optimization_level)


def _uncoupled(circuit: QuantumCircuit, target: Target | None, optimization_level: int) -> QuantumCircuit:
    """Return a circuit for something whose qubits are all alike."""
    if target is None:
        return _transpiled(circuit, basis_gates=list(BASIS), optimization_level=optimization_level)
    if target.num_qubits is not None and circuit.num_qubits > target.num_qubits:
        rule = f"has {circuit.num_qubits} qubits, the device {target.num_qubits}"
        raise InputError.of([Problem("workload", rule, "use fewer qubits, or another device")])
    names = set(target.operation_names)
    two = next((name for name in _TWO_QUBIT if name in names), None)
    if two is not None and {"rz", "sx", "x"} <= names:  # simulators list much more, whose noise nobody set
        basis = [two, "rz", "sx", "x"]
        return _transpiled(circuit, basis_gates=basis, optimization_level=optimization_level)
    return _transpiled(circuit, target=target, optimization_level=optimization_level)


def _transpiled(circuit: QuantumCircuit, **options: Any) -> QuantumCircuit:
    try:
        found: QuantumCircuit = transpile(circuit, seed_transpiler=TRANSPILER_SEED, **options)
    except Exception as error:  # of Qiskit, of many kinds
        rule = f"cannot be transpiled: {error}"
        raise InputError.of([Problem("workload", rule, "use other gates, or another device")]) from error
    return found
