"""Layers: the two-qubit gates that run at the same time, and the qubits that wait meanwhile.

Noise is learned for layers, and put into circuits at layers. Two layers are the same if they have the same gates
and the same waiting qubits, whatever the order in which a circuit lists them. The noise of a layer stands just
before its gates, behind the dressings in front of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from qiskit.circuit import ControlFlowOp, Gate, Operation, ParameterExpression
from qiskit.transpiler import Target

from ..errors import Problem, UnsupportedError
from ..kernels import paulis
from .template import Op, Template

#: Name, parameters (radians) and qubits of a gate.
LayerGate = tuple[str, tuple[float, ...], tuple[int, ...]]

_DIGITS: Final = 12  # parameters that agree in so many are the same
_SHOWN: Final = 4  # places that a message lists
_SWAP: Final = np.eye(4)[[0, 2, 1, 3]]
#: From so many qubits on, a device that couples all pairs has no neighbours.
_ALL_TO_ALL: Final = 4


@frozen
class Layer:
    """The gates of a layer and the qubits that wait.

    Attributes:
        gates: Two-qubit gates, ascending in their qubits.
        spectators: Qubits that wait and are twirled, ascending.
        operations: The operation of each gate, as the circuit has it; empty where only names are known.
    """

    gates: tuple[LayerGate, ...]
    spectators: tuple[int, ...] = ()
    operations: tuple[Operation, ...] = field(eq=False, repr=False, default=())

    @property
    def qubits(self) -> tuple[int, ...]:
        """All qubits, ascending."""
        return tuple(sorted([*(q for _, _, qubits in self.gates for q in qubits), *self.spectators]))

    def describe(self) -> str:
        """Return the gates and who waits, such as ``cx (0, 1), cx (2, 3), waiting 4``."""
        gates = [_gate_text(name, params, qubits) for name, params, qubits in self.gates]
        waiting = ["waiting " + " ".join(map(str, self.spectators))] if self.spectators else []
        return ", ".join([*gates, *waiting])

    def covers(self, other: Layer) -> bool:
        """Return whether these are the same gates, and all who wait in `other` wait here too."""
        return self.gates == other.gates and set(self.spectators) >= set(other.spectators)


@frozen(eq=False)
class Occurrence:
    """A layer where it stands in a template.

    Attributes:
        layer: What runs.
        index: Number of the layer in the template.
        dressings: The dressing in front of the layer on each of ``layer.qubits``, int64 ``(n,)``.
    """

    layer: Layer
    index: int
    dressings: NDArray[np.int64]


def occurrences(template: Template) -> tuple[Occurrence, ...]:
    """Return the layers of a template in time order; equal ones are the same object.

    Only layers that have two-qubit gates. Qubits wait where the template has idles for them (see
    `circuits.twirling.twirled_template`); those with a delay or a measurement at that time are left out.

    Raises:
        UnsupportedError: A two-qubit gate depends on parameters that have no value.
    """
    by_layer: dict[int, list[Op]] = {}
    for op in template.ops:
        if (op.instruction is None or op.matrices) and not template.is_final(op):
            by_layer.setdefault(op.layer, []).append(op)
    gates: dict[tuple[Any, ...], tuple[str, tuple[float, ...], bool, Operation]] = {}
    layers: dict[Layer, Layer] = {}
    found = []
    for index, ops in sorted(by_layer.items()):
        chosen: list[tuple[LayerGate, Operation]] = []
        for op in ops:
            if op.instruction is None:
                continue
            instruction = template.circuit.data[op.instruction]
            plain = instruction.is_standard_gate()
            key = (instruction.name, *instruction.params) if plain else (op.instruction,)
            if key not in gates:
                gates[key] = _gate(template, op)
            name, params, symmetric, operation = gates[key]
            qubits = tuple(sorted(op.qubits)) if symmetric else op.qubits
            chosen.append(((name, params, qubits), operation))
        if not chosen:
            continue
        chosen.sort(key=lambda pair: pair[0][2])
        layer = Layer(
            tuple(gate for gate, _ in chosen),
            tuple(sorted(op.qubits[0] for op in ops if op.instruction is None)),
            tuple(operation for _, operation in chosen),
        )
        layer = layers.setdefault(layer, layer)
        before = {q: d for op in ops for q, d in zip(op.qubits, op.before, strict=True)}
        found.append(Occurrence(layer, index, np.array([before[q] for q in layer.qubits], dtype=np.int64)))
    return tuple(found)


def _gate(template: Template, op: Op) -> tuple[str, tuple[float, ...], bool, Operation]:
    """Return name and parameters of a gate, whether its qubits can change places, and its operation."""
    assert op.instruction is not None  # idles are no gates
    instruction = template.circuit.data[op.instruction]
    if any(isinstance(p, ParameterExpression) and p.parameters for p in instruction.params):
        place = f"{instruction.name} {op.qubits} in layer {op.layer}"
        raise UnsupportedError.of([_not_pauli("circuit", [place], "the technique that needs its noise")])
    return (
        instruction.name,
        tuple(_numbers(instruction.params)),
        bool(np.allclose(_SWAP @ op.matrices[0] @ _SWAP, op.matrices[0], rtol=0, atol=1e-9)),
        instruction.operation,
    )


def _numbers(params: Iterable[Any]) -> list[float]:
    """Return parameters as numbers: angles, and the entries of matrices."""
    numbers = np.concatenate([np.zeros(0), *(np.ravel(np.asarray(p, dtype=complex)) for p in params)])
    parts = np.stack([numbers.real, numbers.imag]).T.ravel() if np.any(numbers.imag) else numbers.real
    return [round(float(x), _DIGITS) + 0.0 for x in parts]


def _gate_text(name: str, params: Sequence[float], qubits: Sequence[int]) -> str:
    angles = f"({', '.join(f'{p:.4g}' for p in params[:3])}{', ...' if len(params) > 3 else ''})"
    return f"{name}{angles if params else ''} ({', '.join(map(str, qubits))})"


def layer_problems(template: Template, path: str, switch: str) -> list[Problem]:
    """Return why the noise of a circuit's layers is not that of Pauli channels, one problem of each kind.

    Two-qubit gates must map Paulis to Paulis; nothing may happen between the layers that is not a one-qubit gate.
    Delays, and resets before anything else, are fine.

    Args:
        template: The circuit.
        path: What to call it, for example ``pubs[0].circuit``.
        switch: The option to switch off where this cannot be helped.
    """
    kinds: dict[str, list[str]] = {}
    begun: set[int] = set()
    data = template.circuit.data
    for op in template.ops:
        if op.instruction is None or template.is_final(op):
            continue
        instruction = data[op.instruction]
        begun |= {q for q, d in zip(op.qubits, op.before, strict=True) if template.dressings[d].instructions}
        kind = _kind(op, instruction, first=not begun & set(op.qubits))
        if kind != "reset" and instruction.name != "delay":
            begun |= set(op.qubits)
        if kind in _KINDS:
            text = _gate_text(instruction.name, _shown_numbers(instruction.params), op.qubits)
            kinds.setdefault(kind, []).append(f"{text} in layer {op.layer}")
    return [
        _not_pauli(path, kinds[kind], switch) if kind == "gate" else _other(path, kind, kinds[kind], switch)
        for kind in _KINDS
        if kind in kinds
    ]


#: Kinds of operations that layers must not have: what they are, and what can be done.
_KINDS: Final[dict[str, tuple[str, str]]] = {
    "gate": ("", ""),
    "wide": ("gates on three and more qubits", "transpile to gates on two qubits"),
    "measured": ("measurements before the end", "measure at the end only"),
    "resets": ("resets behind gates", "reset only before the first gate"),
    "control": ("control flow", "write the circuit without it"),
    "other": ("instructions that are no gates", "take them out"),
}


def _kind(op: Op, instruction: Any, *, first: bool) -> str:
    """Return the kind of an operation: one of `_KINDS`, "reset" if it comes first, or "fine"."""
    name, width = instruction.name, len(op.qubits)
    if name == "delay":
        return "fine"
    if name == "reset":
        return "reset" if first else "resets"
    if name == "measure":
        return "measured"
    operation = instruction.operation
    if isinstance(operation, ControlFlowOp):
        return "control"
    if not isinstance(operation, Gate):
        return "other"
    if width > 2:
        return "wide"
    return "gate" if width == 2 and len(op.choices()) < 16 else "fine"


def _shown_numbers(params: Iterable[Any]) -> list[float]:
    """Return the parameters that are numbers, for messages."""
    return [float(p) for p in params if isinstance(p, int | float)]


def _listed(places: Sequence[str]) -> str:
    more = len(places) - _SHOWN
    return ", ".join(places[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _not_pauli(path: str, places: Sequence[str], switch: str) -> Problem:
    return Problem(
        path,
        "has two-qubit gates that do not map Paulis to Paulis, so that their noise is not that of a Pauli layer: "
        f"{_listed(places)}",
        "transpile to Clifford two-qubit gates (cx, cz, ecr, rzz(pi/2), ...) with the angles in one-qubit gates, "
        f"or switch {switch} off",
    )


def _other(path: str, kind: str, places: Sequence[str], switch: str) -> Problem:
    what, fix = _KINDS[kind]
    rule = f"has {what}, whose noise is not that of a Pauli layer: {_listed(places)}"
    return Problem(path, rule, f"{fix}, or switch {switch} off")


def coupled_pairs(template: Template, target: Target | None) -> tuple[tuple[int, int], ...]:
    """Return the pairs of neighbouring qubits, each ascending, in ascending order.

    Those of the device's coupling map. Where there is none, or where it couples all pairs of four and more qubits, so
    that it does not say which are close, the pairs that share a gate in the circuit.
    """
    coupling = None if target is None else target.build_coupling_map()
    if coupling is not None:
        edges = {(min(a, b), max(a, b)) for a, b in coupling.get_edges() if a != b}
        width = len({q for edge in edges for q in edge})
        if 0 < width < _ALL_TO_ALL or len(edges) < width * (width - 1) // 2:
            return tuple(sorted(edge for edge in edges if edge[1] < template.num_qubits))
    pairs = {tuple(sorted(op.qubits)) for op in template.ops if len(op.qubits) == 2 and op.matrices}
    return tuple(sorted((a, b) for a, b in pairs))


def images(layer: Layer) -> tuple[tuple[NDArray[np.uint8], tuple[int, int]], ...]:
    """Return what each gate does to Paulis: its table of `paulis.two_qubit_choices`, and its places in `qubits`.

    Raises:
        UnsupportedError: The layer does not know its operations.
    """
    place = {q: i for i, q in enumerate(layer.qubits)}
    return tuple(
        (paulis.two_qubit_choices(matrix), (place[a], place[b]))
        for matrix, (_, _, (a, b)) in zip(matrices(layer), layer.gates, strict=True)
    )


def matrices(layer: Layer) -> tuple[NDArray[np.complex128], ...]:
    """Return the matrix of each gate, the first qubit least significant.

    Raises:
        UnsupportedError: The layer does not know its operations.
    """
    if len(layer.operations) != len(layer.gates):
        rule = f"knows only the names of its gates: {layer.describe()}"
        raise UnsupportedError.of([Problem("layer", rule, "take the layer from a circuit, by occurrences()")])
    return tuple(np.asarray(operation.to_matrix(), dtype=complex) for operation in layer.operations)
