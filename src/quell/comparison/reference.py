"""What values should be: exact expectation values of circuits, however wide, where there is a way to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.primitives.containers.estimator_pub import EstimatorPub, EstimatorPubLike

from ..circuits.matrix_products import BONDS, matrix_product_values
from ..circuits.observables import MAX_EXPANDED_PROJECTORS, Observables, expand_projectors, parse
from ..circuits.unitaries import Unitary, unitaries_of
from ..errors import InputError, Problem, UnsupportedError
from ..kernels import heisenberg
from ..kernels.cones import IDENTITY, masks_of
from ..kernels.heisenberg import Picture
from ..primitives.inputs import check_parameter_values, estimator_pub, without_final_measurements

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]

#: Most qubits of a light cone that has a state vector: 2^24 amplitudes are 256 MB.
MAX_QUBITS: Final = 24
#: Light cones this small are joined, and not looked at for other methods.
_SMALL: Final = 12
#: Most Paulis on the way back, before and after wide state vectors are considered.
_FEW_PAULIS: Final = 1 << 12
_MANY_PAULIS: Final = 1 << 16
#: Pauli code, and measured basis, of the letters of `circuits.observables.LETTERS`; projectors as their Pauli.
_CODES: Final = np.array([0, 1, 3, 2, 2, 2, 1, 1, 3, 3], dtype=np.uint8)
_BASES: Final = np.array([0, 1, 2, 3, 3, 3, 1, 1, 2, 2], dtype=np.uint8)
_DIAGONALS: Final = np.array([0, 1, 1, 1, 2, 3, 2, 3, 2, 3], dtype=np.uint8)


@frozen
class Limits:
    """What is tried before a circuit is too large.

    Attributes:
        qubits: Most qubits of a state vector.
        few: Most Paulis on the way back before a state vector is considered,
        many: and after.
        products: Whether matrix product states are tried.
    """

    qubits: int
    few: int
    many: int
    products: bool = True


#: What takes a second or so.
QUICK: Final = Limits(qubits=14, few=1 << 10, many=0, products=False)


@frozen
class _Methods:
    """What was used, and how large it was."""

    used: dict[str, float] = field(factory=dict)

    def note(self, name: str, size: float) -> None:
        self.used[name] = max(self.used.get(name, 0), size)

    def __str__(self) -> str:
        wording = {
            "constant": "constants",
            "clifford": "stabilizer simulation (Clifford circuits)",
            "state vector": "state vectors of light cones of up to {:.0f} qubits",
            "paulis": "Pauli propagation with nothing left out (up to {:.0f} Paulis)",
        }
        parts = [wording[name].format(size) for name, size in self.used.items() if name in wording]
        if "bond" in self.used:
            moved = self.used["moved"]
            parts.append(
                f"matrix product states of qiskit-aer (bond dimension {self.used['bond']:.0f}, where twice the bond "
                f"dimension changed values by {moved:.1g} of the coefficients or less)"
            )
        return "exact: " + ", ".join(parts or [wording["constant"]])


def exact_values(pubs: Iterable[EstimatorPubLike]) -> tuple[Floats, str]:
    """Return the ideal expectation values of PUBs, and how they were found.

    Each term of an observable only sees its light cone: gates that cannot change it, and qubits that only those
    touch, are left out. What is left is taken backwards as Paulis (exact at any width where the gates are Clifford,
    and where not too many Paulis arise), forwards as a state vector of up to `MAX_QUBITS` qubits, or as matrix product
    states by qiskit-aer, of which two bond dimensions must agree.

    Args:
        pubs: EstimatorV2 PUBs. Final measurements are ignored, delays are ideal.

    Returns:
        Values: float64 ``(values,)``, PUB by PUB, each in C order of its broadcast shape; source: in words.

    Raises:
        InputError: A PUB is none, or has values that are not finite.
        UnsupportedError: A circuit is not unitary, or too large for every method.
        MissingDependencyError: It takes matrix product states and qiskit-aer is not installed.
    """
    checked, problems = [], []
    for i, pub_like in enumerate(pubs):
        path = f"pubs[{i}]"
        try:
            pub = estimator_pub(pub_like, None)
        except (TypeError, ValueError) as error:
            problems.append(Problem(path, str(error)))
            continue
        values = pub.parameter_values.as_array(pub.circuit.parameters)
        found = list(check_parameter_values(values, pub.circuit, path))
        observables, bad = parse(pub.observables, pub.circuit.num_qubits, path)
        problems += [*found, *bad]
        checked.append((path, pub, values, observables))
    InputError.check(problems)
    methods = _Methods()
    parts = [_pub_values(path, pub, values, obs, methods) for path, pub, values, obs in checked]
    return np.concatenate([np.zeros(0), *parts]), str(methods)


def quick_term_values(circuit: QuantumCircuit, letters: Codes) -> Floats | None:
    """Return the ideal value of each term of a circuit without parameters, None where that is not quick.

    Args:
        circuit: Unitary up to final measurements.
        letters: Codes of `circuits.observables.LETTERS`, uint8 ``(T, num_qubits)``, no row of the identity.
    """
    size = len(letters)
    terms = Observables(letters, np.ones(size), np.arange(size), np.zeros(size), (size,))
    try:
        gates = unitaries_of(without_final_measurements(circuit), "circuit")
    except UnsupportedError:
        return None
    found: Floats | None = _set_values(gates, terms, "circuit", _Methods(), QUICK)
    return found


def _pub_values(
    path: str, pub: EstimatorPub, parameter_values: Floats, observables: Observables, methods: _Methods
) -> Floats:
    shape = parameter_values.shape[:-1]
    rows = parameter_values.reshape(int(np.prod(shape)), pub.circuit.num_parameters)
    sets = np.arange(len(rows)).reshape(shape)
    which_set = np.broadcast_to(sets, pub.shape).ravel()
    ids = np.arange(len(observables.constants)).reshape(observables.shape)
    which = np.broadcast_to(ids, pub.shape).ravel()
    circuit = without_final_measurements(pub.circuit)
    limits = Limits(MAX_QUBITS, _FEW_PAULIS, _MANY_PAULIS)
    values = np.zeros(len(which))
    for index in np.unique(which_set):
        elements = np.flatnonzero(which_set == index)
        used = np.unique(which[elements])
        gates = unitaries_of(_bound(circuit, rows[index]), f"{path}.circuit")
        found = np.zeros(len(observables.constants))
        found[used] = _set_values(gates, _of(observables, used), f"{path}.circuit", methods, limits)
        values[elements] = found[which[elements]]
    return values


def _bound(circuit: QuantumCircuit, row: Floats) -> QuantumCircuit:
    return circuit.assign_parameters(row) if circuit.num_parameters else circuit


def _of(observables: Observables, used: NDArray[np.int64]) -> Observables:
    """Return some of the observables, as a flat array."""
    position = np.full(len(observables.constants), -1)
    position[used] = np.arange(len(used))
    kept = position[observables.owner] >= 0
    return evolve(
        observables,
        letters=observables.letters[kept],
        coefficients=observables.coefficients[kept],
        owner=position[observables.owner[kept]],
        constants=observables.constants[used],
        shape=(len(used),),
    )


def _set_values(
    gates: Sequence[Unitary], observables: Observables, path: str, methods: _Methods, limits: Limits
) -> Any:
    """Return the values of observables for one parameter set, float64 ``(num_observables,)``.

    None where they are out of the limits and matrix product states are not to be tried.
    """
    values = observables.constants.copy()
    if not len(observables.letters):
        return values
    picture = Picture.of([(gate.qubits, gate.matrix) for gate in gates])
    projected = observables.letters > 3
    masks = masks_of(_CODES[observables.letters])
    masks[projected] |= IDENTITY
    cones = picture.cones_of_masks(masks)
    wide = []
    for gate_set, terms in _groups(gates, cones, observables.letters):
        qubits = _qubits_of(gates, gate_set, observables.letters[terms])
        part = _terms(observables, terms)
        found = None
        if len(qubits) > _SMALL:
            found = _propagated(picture, gate_set, part, limits.few, methods)
        if found is None and len(qubits) <= limits.qubits:
            found = _by_state_vector([gates[g] for g in gate_set], qubits, part)
            methods.note("state vector", len(qubits))
        if found is None and limits.many:
            found = _propagated(picture, gate_set, part, limits.many, methods)
        if found is not None:
            values += found
        elif limits.products:
            wide.append(terms)
        else:
            return None
    if wide:
        terms = np.concatenate(wide)
        gate_set = np.flatnonzero(cones[terms].any(axis=0))
        values += _by_matrix_products(gates, gate_set, _terms(observables, terms), path, methods)
    return values


def _groups(
    gates: Sequence[Unitary], cones: NDArray[np.bool_], letters: Codes
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return sets of gates and the terms that need only these.

    Light cones are joined where this makes them hardly wider: a state serves any number of terms.
    """
    distinct, which = np.unique(cones, axis=0, return_inverse=True)
    which = which.ravel()
    groups: list[tuple[set[int], NDArray[np.bool_], list[int], int]] = []
    own = []
    for k, row in enumerate(distinct):
        own.append(set(_qubits_of(gates, np.flatnonzero(row), letters[which == k]).tolist()))
    for k in sorted(range(len(distinct)), key=lambda k: -len(own[k])):
        for qubits, members, numbers, most in groups:
            if len(qubits | own[k]) <= most:
                qubits |= own[k]
                members |= distinct[k]
                numbers.append(k)
                break
        else:
            groups.append((set(own[k]), distinct[k].copy(), [k], max(_SMALL, len(own[k]) + 1)))
    return [(np.flatnonzero(members), np.flatnonzero(np.isin(which, ks))) for _, members, ks, _ in groups]


def _qubits_of(gates: Sequence[Unitary], gate_set: NDArray[np.int64], letters: Codes) -> NDArray[np.int64]:
    """Return the qubits that gates or terms are on, ascending."""
    used = {q for g in gate_set for q in gates[g].qubits}
    return np.array(sorted(used | set(np.flatnonzero(letters.any(axis=0)).tolist())), dtype=np.int64)


def _terms(observables: Observables, terms: NDArray[np.int64]) -> Observables:
    """Return observables with some of their terms only, and no constants."""
    return evolve(
        observables,
        letters=observables.letters[terms],
        coefficients=observables.coefficients[terms],
        owner=observables.owner[terms],
        constants=np.zeros_like(observables.constants),
    )


def _expanded(observables: Observables) -> Observables | None:
    """Return observables without projectors, None where they are too many."""
    if (observables.letters > 3).sum(axis=1).max(initial=0) > MAX_EXPANDED_PROJECTORS:
        return None
    return expand_projectors(observables)


def _propagated(
    picture: Picture, gate_set: NDArray[np.int64], observables: Observables, most: int, methods: _Methods
) -> Floats | None:
    expanded = _expanded(observables)
    if expanded is None:
        return None
    inside = Picture(
        tuple(picture.qubits[g] for g in gate_set), tuple(picture.transfers[g] for g in gate_set)
    )
    codes = _CODES[expanded.letters]
    found = inside.propagate(codes, expanded.owner, expanded.coefficients, max(most, len(codes)))
    if found is None:
        return None
    values, peak = found
    methods.note("clifford" if peak <= len(codes) else "paulis", peak)
    values = np.concatenate([values, np.zeros(len(expanded.constants) - len(values))])
    return expanded.constants + values


def _by_state_vector(gates: Sequence[Unitary], qubits: NDArray[np.int64], observables: Observables) -> Floats:
    place = {int(q): i for i, q in enumerate(qubits)}
    moved = [(tuple(place[q] for q in gate.qubits), gate.matrix) for gate in gates]
    state = heisenberg.state_vector(len(qubits), moved)
    letters = observables.letters[:, qubits]
    bases = _BASES[letters]
    values = np.zeros_like(observables.constants)
    for basis in np.unique(bases, axis=0):
        # Terms that measure the same; what they measure is in one distribution.
        distribution = heisenberg.probabilities(state, basis)
        for t in np.flatnonzero((bases == basis).all(axis=1)):
            codes = _DIAGONALS[letters[t]]
            values[observables.owner[t]] += observables.coefficients[t] * heisenberg.mean(distribution, codes)
    return values


def _by_matrix_products(
    gates: Sequence[Unitary],
    gate_set: NDArray[np.int64],
    observables: Observables,
    path: str,
    methods: _Methods,
) -> Floats:
    width = len(_qubits_of(gates, gate_set, observables.letters))
    what = f"has light cones of {width} qubits, too many for a state vector ({MAX_QUBITS}), is not close to Clifford"
    fix = "give reference=values, or None to compare strategies with each other"
    expanded = _expanded(observables)
    if expanded is None:
        rule = f"{what}, and its projectors are more than {MAX_EXPANDED_PROJECTORS} in a term"
        raise UnsupportedError.of([Problem(path, rule, fix)])
    owners = np.unique(expanded.owner)
    parts: list[tuple[Codes, Any]] = []
    for owner in owners:
        own = expanded.owner == owner
        parts.append((_CODES[expanded.letters[own]], expanded.coefficients[own]))
    found = matrix_product_values([gates[g] for g in gate_set], parts)
    if not found.converged:
        rule = (
            f"{what}, and matrix product states of bond dimension {BONDS[-2]} and {BONDS[-1]} differ by "
            f"{found.moved:.1g} of an observable's coefficients"
        )
        raise UnsupportedError.of([Problem(path, rule, fix)])
    methods.note("bond", found.bond // 2)
    methods.note("moved", found.moved)
    values = expanded.constants.copy()
    values[owners] += found.values
    return values
