"""Observables as arrays of letter codes, and the measurement settings they need.

An observables array becomes a flat list of *terms*: tensor products of the letters I X Y Z and the
projectors 0 1 + - r l, one uint8 code a qubit. A *setting* is a parameter set together with one
measurement basis per qubit; qubit-wise commuting terms share a setting. The V2 broadcasting of
observables against parameter values is worked out here once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from attrs import evolve, frozen
from numpy.typing import NDArray
from qiskit.primitives.containers.observables_array import ObservablesArray

from ..errors import Problem, UnsupportedError

LETTERS: Final = "IXYZ01+-rl"
#: Basis that measures each letter: 0 none, 1 X, 2 Y, 3 Z.
_BASIS: Final = np.array([0, 1, 2, 3, 3, 3, 1, 1, 2, 2], dtype=np.uint8)
#: Diagonal code after the basis change: 0 identity, 1 Z, 2 projector on 0, 3 projector on 1.
_DIAGONAL: Final = np.array([0, 1, 1, 1, 2, 3, 2, 3, 2, 3], dtype=np.uint8)
_CODE_OF_BYTE: Final = np.full(256, 255, dtype=np.uint8)
for _code, _letter in enumerate(LETTERS):
    _CODE_OF_BYTE[ord(_letter)] = _code
#: Most projectors a term may have where each must be written as a sum of Paulis (2^14 terms).
MAX_EXPANDED_PROJECTORS: Final = 14


@frozen(eq=False)
class Observables:
    """Observables as weighted terms.

    Attributes:
        letters: uint8 ``(num_terms, num_qubits)``, indices into `LETTERS`; column q is qubit q.
        coefficients: float64 ``(num_terms,)``.
        owner: int64 ``(num_terms,)``: flat index of the observable each term belongs to.
        constants: float64 ``(num_observables,)``: what the identity terms add.
        shape: Shape of the observables array.
    """

    letters: NDArray[np.uint8]
    coefficients: NDArray[np.float64]
    owner: NDArray[np.int64]
    constants: NDArray[np.float64]
    shape: tuple[int, ...]

    @property
    def support(self) -> NDArray[np.int64]:
        """Qubits on which some term is not the identity."""
        return np.flatnonzero(self.letters.any(axis=0))

    @property
    def has_projectors(self) -> bool:
        """Whether some term contains a projector."""
        return bool((self.letters > 3).any())


def parse(observables: ObservablesArray, num_qubits: int, path: str) -> tuple[Observables, list[Problem]]:
    """Read an observables array; problems are returned, not raised, so all PUBs can be reported at once."""
    problems = []
    shape = observables.shape
    labels, coefficients, owner = [], [], []
    constants = np.zeros(int(np.prod(shape, dtype=int)))
    for flat, index in enumerate(np.ndindex(*shape)):
        terms = observables[index] if shape else observables[()]
        where = f"{path}.observables" + (f"[{', '.join(map(str, index))}]" if index else "")
        for label, coefficient in terms.items():
            if len(label) != num_qubits:
                problems.append(
                    Problem(
                        where,
                        f"acts on {len(label)} qubits, the circuit has {num_qubits}",
                        "apply the circuit's layout: observable.apply_layout(circuit.layout)",
                    )
                )
                break
            if not np.isfinite(coefficient):
                problems.append(Problem(where, f"coefficient of {label!r} is not finite (got {coefficient})"))
            elif abs(np.imag(coefficient)) > 1e-12 * max(1.0, abs(coefficient)):
                rule = f"coefficient of {label!r} is not real (got {coefficient})"
                problems.append(Problem(where, rule, "take the real part"))
            elif set(label) == {"I"} or not label:
                constants[flat] += float(np.real(coefficient))
            else:
                labels.append(label)
                coefficients.append(float(np.real(coefficient)))
                owner.append(flat)
    if problems:
        labels, coefficients, owner = [], [], []
    text = np.frombuffer("".join(labels).encode("ascii"), dtype=np.uint8).reshape(len(labels), num_qubits)
    parsed = Observables(
        letters=_CODE_OF_BYTE[text][:, ::-1],  # the rightmost letter is qubit 0
        coefficients=np.array(coefficients, dtype=float),
        owner=np.array(owner, dtype=np.int64),
        constants=constants,
        shape=tuple(shape),
    )
    return parsed, problems


def expand_projectors(observables: Observables) -> Observables:
    """Write projectors as (1 +- P) / 2, so that every term is a Pauli string.

    Raises:
        UnsupportedError: A term has more than `MAX_EXPANDED_PROJECTORS` projectors.
    """
    if not observables.has_projectors:
        return observables
    widest = int((observables.letters > 3).sum(axis=1).max())
    if widest > MAX_EXPANDED_PROJECTORS:
        raise UnsupportedError.of(
            [
                Problem(
                    "options.resilience.measure_mitigation",
                    f"an observable has {widest} projectors in one term; correcting their joint readout "
                    f"error takes 2^{widest} Pauli terms, more than 2^{MAX_EXPANDED_PROJECTORS}",
                    "set measure_mitigation to False or use fewer projectors",
                )
            ]
        )
    letters, coefficients, owner = observables.letters, observables.coefficients, observables.owner
    for qubit in np.flatnonzero((letters > 3).any(axis=0)):
        hit = letters[:, qubit] > 3
        basis = _BASIS[letters[hit, qubit]]
        sign = np.where(_DIAGONAL[letters[hit, qubit]] == 2, 1.0, -1.0)
        without, with_pauli = letters[hit].copy(), letters[hit].copy()
        without[:, qubit], with_pauli[:, qubit] = 0, basis
        letters = np.concatenate([letters[~hit], without, with_pauli])
        half = coefficients[hit] / 2
        coefficients = np.concatenate([coefficients[~hit], half, half * sign])
        owner = np.concatenate([owner[~hit], owner[hit], owner[hit]])
    identity = ~letters.any(axis=1)
    constants = observables.constants + np.bincount(
        owner[identity], coefficients[identity], minlength=len(observables.constants)
    )
    return evolve(
        observables,
        letters=letters[~identity],
        coefficients=coefficients[~identity],
        owner=owner[~identity],
        constants=constants,
    )


@frozen(eq=False)
class Settings:
    """What is measured for one PUB, and how terms add up to its values.

    Attributes:
        qubits: Measured qubits, ascending, int64 ``(n,)``.
        parameter_sets: Parameter set of each setting, int64 ``(num_settings,)``.
        bases: uint8 ``(num_settings, n)``: 0 or 3 measure Z, 1 X, 2 Y.
        codes: Diagonal codes of each term on the measured qubits, uint8 ``(num_terms, n)``.
        setting: Setting of each term, int64 ``(num_terms,)``, ascending.
        contraction: float64 sparse ``(pub_size, num_terms)``: value = contraction @ terms + constants.
        constants: float64 ``(pub_size,)``.
        shape: Shape of the PUB.
    """

    qubits: NDArray[np.int64]
    parameter_sets: NDArray[np.int64]
    bases: NDArray[np.uint8]
    codes: NDArray[np.uint8]
    setting: NDArray[np.int64]
    contraction: sp.csr_array
    constants: NDArray[np.float64]
    shape: tuple[int, ...]


#: Letters of diagonal codes I, Z, 0, 1 (rows: basis Z, X, Y).
_WRITTEN: Final = (("", "Z", "0", "1"), ("", "X", "+", "-"), ("", "Y", "r", "l"))


def term_labels(settings: Settings) -> list[str]:
    """Return how each term is written, letter and qubit of its support: "X0 Z3"."""
    bases = settings.bases[settings.setting] % 3
    qubits = settings.qubits.tolist()
    return [
        " ".join(f"{_WRITTEN[b][c]}{q}" for q, b, c in zip(qubits, basis, codes, strict=True) if c)
        for basis, codes in zip(bases.tolist(), settings.codes.tolist(), strict=True)
    ]


def commuting_groups(bases: NDArray[np.uint8], weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Group bases that agree wherever both measure: greedy, heaviest first.

    Args:
        bases: uint8 ``(K, n)``, 0 where nothing is measured.
        weights: float64 ``(K,)``.

    Returns:
        int64 ``(K,)``: group of each row, groups numbered from 0.
    """
    group = np.empty(len(bases), dtype=np.int64)
    merged = np.zeros((0, bases.shape[1]), dtype=np.uint8)
    for row in np.argsort(-weights, kind="stable"):
        basis = bases[row]
        fits = np.flatnonzero(~((merged != basis) & (merged != 0) & (basis != 0)).any(axis=1))
        if len(fits):
            group[row] = fits[0]
            merged[fits[0]] |= basis  # bases are equal or one of them is 0, so OR takes the other
        else:
            group[row] = len(merged)
            merged = np.concatenate([merged, basis[None]])
    return group


def settings_of(observables: Observables, parameter_shape: Sequence[int], shape: Sequence[int]) -> Settings:
    """Work out the settings of a PUB by the V2 broadcasting rules.

    Noise factors and random foldings ask for the same ones, which are kept; their arrays cannot be written.

    Args:
        observables: The PUB's observables.
        parameter_shape: Shape of its parameter values.
        shape: The shape that both broadcast to.

    Returns:
        The settings; parameter sets are flat indices into the parameter values.
    """
    return _settings_of(observables, tuple(parameter_shape), tuple(shape))


@lru_cache(maxsize=8)
def _settings_of(
    observables: Observables, parameter_shape: tuple[int, ...], shape: tuple[int, ...]
) -> Settings:
    size = int(np.prod(shape, dtype=int))
    sets = np.arange(int(np.prod(parameter_shape, dtype=int))).reshape(parameter_shape)
    which_set = np.broadcast_to(sets, shape).ravel()
    ids = np.arange(len(observables.constants)).reshape(observables.shape)
    which_observable = np.broadcast_to(ids, shape).ravel()
    qubits = observables.support
    letters = observables.letters[:, qubits]
    term_ids, term_of = letters, np.zeros(0, dtype=np.int64)
    if len(letters):
        term_ids, term_of = np.unique(letters, axis=0, return_inverse=True)
    terms_of_observable = sp.csr_array(
        (observables.coefficients, (observables.owner, term_of.ravel())),  # numpy 2.0 returns a column
        shape=(len(observables.constants), len(term_ids)),
    )
    terms_of_observable.sum_duplicates()
    terms_of_observable.eliminate_zeros()
    all_bases, all_sets, all_codes, all_settings = [], [], [], []
    rows, columns, values = [], [], []
    num_settings = num_terms = 0
    groupings: dict[bytes, tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]] = {}
    order = np.argsort(which_set, kind="stable")
    bounds = np.searchsorted(which_set[order], np.arange(sets.size + 1))
    for parameter_set in range(sets.size):
        elements = order[bounds[parameter_set] : bounds[parameter_set + 1]]
        used = np.unique(which_observable[elements])
        key = used.tobytes()
        if key not in groupings:
            groupings[key] = _grouping(terms_of_observable[used], term_ids)
        terms, group, bases = groupings[key]
        if not len(terms):
            continue
        position = np.full(len(term_ids), -1)
        position[terms] = np.arange(len(terms))
        block = terms_of_observable[which_observable[elements]].tocoo()
        rows.append(elements[block.row])
        columns.append(num_terms + position[block.col])
        values.append(block.data)
        all_bases.append(bases)
        all_sets.append(np.full(len(bases), parameter_set))
        all_codes.append(_DIAGONAL[term_ids[terms]])
        all_settings.append(num_settings + group)
        num_settings += len(bases)
        num_terms += len(terms)
    n = len(qubits)
    settings = Settings(
        qubits=qubits,
        parameter_sets=_join(all_sets, np.int64),
        bases=_join(all_bases, np.uint8, n),
        codes=_join(all_codes, np.uint8, n),
        setting=_join(all_settings, np.int64),
        contraction=sp.csr_array(
            (_join(values, np.float64), (_join(rows, np.int64), _join(columns, np.int64))),
            shape=(size, num_terms),
        ),
        constants=observables.constants[which_observable],
        shape=shape,
    )
    for array in (
        settings.parameter_sets,
        settings.bases,
        settings.codes,
        settings.setting,
        settings.constants,
    ):
        array.setflags(write=False)
    return settings


def _grouping(
    coefficients: sp.csr_array, term_ids: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Return the used terms sorted by group, their groups, and each group's basis."""
    weight = np.asarray(abs(coefficients).sum(axis=0)).ravel()
    terms = np.flatnonzero(weight)
    bases = _BASIS[term_ids[terms]]
    group = commuting_groups(bases, weight[terms].astype(float)) if len(terms) else np.zeros(0, np.int64)
    order = np.argsort(group, kind="stable")
    terms, group, bases = terms[order], group[order], bases[order]
    merged = np.zeros((int(group.max(initial=-1)) + 1, term_ids.shape[1]), dtype=np.uint8)
    np.bitwise_or.at(merged, group, bases)
    return terms, group, merged


def _join(parts: Sequence[NDArray[Any]], dtype: type, width: int | None = None) -> NDArray[Any]:
    if parts:
        return np.concatenate(parts).astype(dtype, copy=False)
    return np.zeros((0,) if width is None else (0, width), dtype=dtype)
