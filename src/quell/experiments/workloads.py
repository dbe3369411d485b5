"""Families of circuits whose answers are known or worth knowing: pure functions of sizes and a generator.

Each returns a circuit without measurements and its observables: groups by name, each a dict from label to operator.
An operator is a mean or a product, so that exact values lie between -1 and 1 whatever the size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from attrs import frozen
from qiskit import QuantumCircuit
from qiskit.quantum_info import Clifford, Pauli, PauliList, SparsePauliOp, random_clifford

from ..errors import InputError, Problem

Operators = dict[str, SparsePauliOp]
Edges = Sequence[tuple[int, int]]

#: Most qubits of an observable with 2^n terms.
MAX_PROJECTED: Final = 10
#: Angles (gamma, beta) of QAOA by number of layers. On a ring they are optimal (found by minimising the energy of 2p+2
#: qubits), on graphs of degree three those of arXiv:2107.00677, which are good on all such graphs.
ANGLES: Final = {
    "ring": {
        1: ((0.7854,), (0.3927,)),
        2: ((0.65587, 1.24286), (0.62143, 0.32794)),
        3: ((0.59213, 1.15609, 1.36458), (0.68229, 0.57805, 0.29607)),
        4: ((0.55133, 1.10837, 1.30626, 1.41749), (0.70874, 0.65313, 0.55419, 0.27568)),
    },
    "regular": {
        1: ((0.616,), (0.393,)),
        2: ((0.488, 0.898), (0.555, 0.293)),
        3: ((0.422, 0.798, 0.937), (0.609, 0.459, 0.235)),
    },
}


@frozen(eq=False)
class Built:
    """A circuit and what can be measured of it.

    Attributes:
        circuit: Without measurements.
        groups: Observables by the name of their group.
        is_line: Whether gates act on neighbours of a line only, qubit q next to q + 1.
    """

    circuit: QuantumCircuit
    groups: dict[str, Operators]
    is_line: bool


# --- observables --------------------------------------------------------------------------------------


def mean(num_qubits: int, pauli: str, places: Sequence[Sequence[int]]) -> SparsePauliOp:
    """Return the mean of a Pauli product over places."""
    terms = [(pauli, list(qubits), 1 / len(places)) for qubits in places]
    return SparsePauliOp.from_sparse_list(terms, num_qubits)


def sites(num_qubits: int) -> dict[str, Operators]:
    """Return what every circuit has: the mean of Z, Z of each qubit, and the product of all."""
    return {
        "magnetisation": {"magnetisation": mean(num_qubits, "Z", [[q] for q in range(num_qubits)])},
        "sites": {f"Z{q}": mean(num_qubits, "Z", [[q]]) for q in range(num_qubits)},
        "parity": {"parity": mean(num_qubits, "Z" * num_qubits, [range(num_qubits)])},
    }


def of_bits(bits: Sequence[int]) -> dict[str, Operators]:
    """Return what is 1 for a bit string (qubit 0 first): mean and product of signed Z, each of them, the projector."""
    num_qubits = len(bits)
    signs = [1 - 2 * bit for bit in bits]
    every = range(num_qubits)
    each = {f"Z{q}": SparsePauliOp.from_sparse_list([("Z", [q], signs[q])], num_qubits) for q in every}
    terms = [("Z", [q], signs[q] / num_qubits) for q in every]
    product = [("Z" * num_qubits, list(every), int(np.prod(signs)))]
    groups = {
        "bits": {"bits": SparsePauliOp.from_sparse_list(terms, num_qubits)},
        "sites": each,
        "parity": {"parity": SparsePauliOp.from_sparse_list(product, num_qubits)},
    }
    if num_qubits <= MAX_PROJECTED:
        subsets = [[q for q in every if s >> q & 1] for s in range(2**num_qubits)]
        weights = [float(np.prod([signs[q] for q in subset])) / 2**num_qubits for subset in subsets]
        listed = [("Z" * len(s), s, w) for s, w in zip(subsets, weights, strict=True)]
        groups["survival"] = {"survival": SparsePauliOp.from_sparse_list(listed, num_qubits)}
    return groups


def bits_of(circuit: QuantumCircuit) -> list[int]:
    """Return the bit string that a Clifford circuit makes of |0...0>, qubit 0 first; it must make one."""
    n = circuit.num_qubits
    z = np.eye(n, dtype=bool)
    back = PauliList.from_symplectic(z, np.zeros_like(z)).evolve(Clifford(circuit), frame="h")
    assert not back.x.any(), "the circuit leaves a superposition"
    return [int(phase) // 2 for phase in back.phase]


# --- families -----------------------------------------------------------------------------------------


def ising(
    qubits: int, steps: int, coupling: float, field: float, dt: float, periodic: bool, initial: str
) -> Built:
    """Return first-order Trotter steps of H = -coupling sum ZZ + field sum X on a chain or a ring.

    Args:
        qubits: Number of spins.
        steps: Trotter steps.
        coupling: Strength of ZZ on the bonds.
        field: Strength of X on the sites.
        dt: Time of a step.
        periodic: Whether the last spin is coupled to the first.
        initial: All spins in "zeros", "ones" or "plus".
    """
    circuit = QuantumCircuit(qubits, name="ising")
    if initial != "zeros":
        getattr(circuit, {"ones": "x", "plus": "h"}[initial])(range(qubits))
    bonds = [(q, q + 1) for q in range(qubits - 1)]
    ring = [*bonds, (qubits - 1, 0)] if periodic else bonds
    # Even bonds at once, then odd ones; the bond that closes an odd ring has a layer of its own.
    layers = [bonds[::2], bonds[1::2]]
    if periodic and qubits % 2 == 0:
        layers[1].append(ring[-1])
    elif periodic:
        layers.append([ring[-1]])
    for _ in range(steps):
        for layer in layers:
            for a, b in layer:
                circuit.rzz(-2 * coupling * dt, a, b)
        circuit.rx(2 * field * dt, range(qubits))
    places = [[q] for q in range(qubits)]
    groups = sites(qubits) | {
        "neighbours": {"neighbours": mean(qubits, "ZZ", [list(bond) for bond in ring])},
        "transverse": {"transverse": mean(qubits, "X", places)},
    }
    return Built(circuit, groups, is_line=not periodic)


def _grabbed(num_qubits: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Draw directed edges of a line one after another, until no two free neighbours are left."""
    edges: list[tuple[int, int]] = []
    free = set(range(num_qubits))
    while pairs := [(q, q + 1) for q in range(num_qubits - 1) if {q, q + 1} <= free]:
        a, b = pairs[rng.integers(len(pairs))]
        free -= {a, b}
        edges.append((a, b) if rng.integers(2) else (b, a))
    return edges


def _cliffords(num_qubits: int, groups: Sequence[Sequence[int]], rng: np.random.Generator) -> QuantumCircuit:
    """Return a random Clifford on each group of qubits."""
    circuit = QuantumCircuit(num_qubits)
    for group in groups:
        clifford = random_clifford(len(group), seed=int(rng.integers(2**31)))
        circuit.compose(clifford.to_circuit(), list(group), inplace=True)
    return circuit


def _paulis(num_qubits: int, rng: np.random.Generator) -> QuantumCircuit:
    circuit = QuantumCircuit(num_qubits)
    for q, code in enumerate(rng.integers(4, size=num_qubits)):
        if code:
            getattr(circuit, "ixyz"[code])(q)
    return circuit


def mirror(qubits: int, layers: int, gate: str, rng: np.random.Generator) -> Built:
    """Return layers of random one-qubit Cliffords, Paulis and two-qubit gates, and the way back: a bit string.

    Paulis stand between all layers, so what the way back undoes is not what the noise did. Barriers keep transpilers
    from seeing that the two halves cancel.

    Args:
        qubits: Qubits on a line.
        layers: Layers of two-qubit gates on the way out; as many on the way back.
        gate: Two-qubit gate, "cx" or "cz".
        rng: Draws gates and edges.
    """
    singles = [[q] for q in range(qubits)]
    circuit = QuantumCircuit(qubits, name="mirror")
    way: list[tuple[QuantumCircuit, QuantumCircuit]] = []
    for _ in range(layers):
        ones, twos = _cliffords(qubits, singles, rng), QuantumCircuit(qubits)
        for a, b in _grabbed(qubits, rng):
            getattr(twos, gate)(a, b)
        way.append((ones, twos))
        for part in (ones, _paulis(qubits, rng), twos):
            circuit.compose(part, inplace=True)
        circuit.barrier()
    circuit.compose(_paulis(qubits, rng), inplace=True)
    for ones, twos in reversed(way):
        circuit.barrier()
        for part in (twos.inverse(), _paulis(qubits, rng), ones.inverse()):
            circuit.compose(part, inplace=True)
    return Built(circuit, of_bits(bits_of(circuit)), is_line=True)


def benchmarking(qubits: int, length: int, rng: np.random.Generator) -> Built:
    """Return random Cliffords on neighbouring pairs (one-qubit ones on what is left), then what undoes them.

    Args:
        qubits: Qubits on a line.
        length: Random Cliffords on each pair.
        rng: Draws them.
    """
    groups = [tuple(range(q, min(q + 2, qubits))) for q in range(0, qubits, 2)]
    circuit = QuantumCircuit(qubits, name="rb")
    totals: list[Clifford | None] = [None] * len(groups)
    for _ in range(length):
        for place, group in enumerate(groups):
            clifford = random_clifford(len(group), seed=int(rng.integers(2**31)))
            before = totals[place]
            totals[place] = clifford if before is None else before.compose(clifford)
            circuit.compose(clifford.to_circuit(), list(group), inplace=True)
        circuit.barrier()
    for total, group in zip(totals, groups, strict=True):
        assert total is not None  # the length is at least one
        circuit.compose(total.adjoint().to_circuit(), list(group), inplace=True)
    return Built(circuit, of_bits([0] * qubits), is_line=True)


def ghz(qubits: int) -> Built:
    """Return the preparation of |0...0> + |1...1> along a line; every stabilizer is 1."""
    circuit = QuantumCircuit(qubits, name="ghz")
    circuit.h(0)
    for q in range(qubits - 1):
        circuit.cx(q, q + 1)
    every = list(range(qubits))
    generators = [("X" * qubits, every), *(("ZZ", [q, q + 1]) for q in range(qubits - 1))]
    names = ["X" * qubits if qubits <= 8 else "X...X", *(f"Z{q}Z{q + 1}" for q in range(qubits - 1))]
    operators = [SparsePauliOp.from_sparse_list([(p, q, 1)], qubits) for p, q in generators]
    average = SparsePauliOp.from_sparse_list([(p, q, 1 / qubits) for p, q in generators], qubits)
    groups = {
        "stabilizers": dict(zip(names, operators, strict=True)),
        "mean stabilizer": {"mean stabilizer": average},
        "parity": {"parity": operators[0]},
        "neighbours": {"neighbours": mean(qubits, "ZZ", [[q, q + 1] for q in range(qubits - 1)])},
    }
    return Built(circuit, groups, is_line=True)


def regular_graph(num_nodes: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return a random graph with three edges at every node, by pairing stubs until no edge is a loop or double."""
    while True:
        stubs = rng.permutation(np.repeat(np.arange(num_nodes), 3)).reshape(-1, 2)
        edges = sorted({(int(min(pair)), int(max(pair))) for pair in stubs})
        if len(edges) == len(stubs) and all(a != b for a, b in edges):
            return edges


def qaoa(
    qubits: int,
    layers: int,
    graph: str,
    gammas: Sequence[float] | None,
    betas: Sequence[float] | None,
    rng: np.random.Generator,
) -> Built:
    """Return QAOA for the largest cut of a graph; the cost is the expected share of edges that are cut.

    Args:
        qubits: Nodes.
        layers: Layers of cost and mixer.
        graph: "ring", or "regular" for a random one with three edges at every node.
        gammas: Angles of exp(-i gamma cut), one for each layer; None with `betas` for known good ones.
        betas: Angles of exp(-i beta sum X).
        rng: Draws the graph.

    Raises:
        InputError: There are no known good angles for so many layers.
    """
    if gammas is None or betas is None:
        known = ANGLES[graph]
        if layers not in known:
            fix = "give gammas and betas, one for each layer"
            raise InputError.of(
                [Problem("layers", f"are {layers}, and angles are known up to {max(known)}", fix)]
            )
        gammas, betas = known[layers]
    edges = [(q, (q + 1) % qubits) for q in range(qubits)]
    if graph == "regular":
        edges = regular_graph(qubits, rng)
    circuit = QuantumCircuit(qubits, name="qaoa")
    circuit.h(range(qubits))
    for gamma, beta in zip(gammas, betas, strict=True):
        for a, b in edges:
            circuit.rzz(-gamma, a, b)
        circuit.rx(2 * beta, range(qubits))
    share = 0.5 / len(edges)
    cut = [("", [], 0.5), *(("ZZ", [a, b], -share) for a, b in edges)]
    cost = SparsePauliOp.from_sparse_list(cut, qubits)
    each = {f"edge {a}-{b}": mean(qubits, "ZZ", [[a, b]]) for a, b in edges}
    groups = sites(qubits) | {"cost": {"cost": cost}, "edges": each}
    return Built(circuit, groups, is_line=False)


def clifford_t(qubits: int, layers: int, density: float, paulis: int, rng: np.random.Generator) -> Built:
    """Return a brickwork of random Cliffords and cx with T gates strewn in.

    The observables are Paulis that would be 1 without the T gates, so that their values do not vanish: random
    products of Z at the start, carried through the circuit. They act on most qubits.

    Args:
        qubits: Qubits on a line.
        layers: Layers of two-qubit gates.
        density: Probability of a T gate on each qubit in each layer.
        paulis: Number of observables; fewer where there are not so many.
        rng: Draws gates, places and observables.
    """
    circuit, bare = (QuantumCircuit(qubits, name="clifford+t") for _ in range(2))
    for layer in range(layers):
        ones = _cliffords(qubits, [[q] for q in range(qubits)], rng)
        chosen = np.flatnonzero(rng.random(qubits) < density)
        for each in (circuit, bare):
            each.compose(ones, inplace=True)
        if len(chosen):
            circuit.t(chosen.tolist())
        for each in (circuit, bare):
            for q in range(layer % 2, qubits - 1, 2):
                each.cx(q, q + 1)
    clifford = Clifford(bare)
    drawn: Operators = {}
    while len(drawn) < min(paulis, 2**qubits - 1):
        z = rng.random(qubits) < 0.5
        if not z.any():
            continue
        start = Pauli((z, np.zeros(qubits, dtype=bool)))
        carried = start.evolve(clifford, frame="s")
        label = carried.to_label()
        drawn.setdefault(label, SparsePauliOp(carried))
    return Built(circuit, sites(qubits) | {"paulis": drawn}, is_line=True)
