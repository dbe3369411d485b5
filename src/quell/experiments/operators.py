"""Which observables an experiment measures: names of a family's own, Pauli labels, sparse lists."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from attrs import frozen
from qiskit.quantum_info import SparsePauliOp

from ..errors import InputError, Problem
from . import checks
from .tables import advice
from .workloads import MAX_PROJECTED, Built, Operators

_LABEL: Final = re.compile(r"[IXYZ]+")
_FORM: Final = 'give a Pauli label such as "IZZ", or a list of [Paulis, qubits, coefficient]'


@frozen
class Sparse:
    """An observable as Paulis, the qubits they act on, and a coefficient each."""

    terms: tuple[tuple[str, tuple[int, ...], float], ...]


@frozen
class Selection:
    """Chosen observables.

    Attributes:
        use: Names of groups of a family, and Pauli labels.
        own: The user's own by name: labels or sparse lists.
    """

    use: tuple[str, ...] = ()
    own: Mapping[str, str | Sparse] = {}

    def or_default(self, names: Sequence[str]) -> Selection:
        """Return this, or the named groups where nothing is chosen."""
        return self if self.use or self.own else Selection(tuple(names))

    def problems(self, path: str, family: str, groups: Collection[str], num_qubits: int) -> list[Problem]:
        """Return what does not fit circuits of a family on so many qubits."""
        found = []
        for name in self.use:
            if not _LABEL.fullmatch(name) and name not in groups:
                fix = advice(name, groups, "there are")
                found.append(Problem(path, f"{family} has no observable {name!r}", fix))
        labels = [(repr(n), n) for n in self.use if _LABEL.fullmatch(n)]
        labels += [(f"{n!r} = {o!r}", o) for n, o in self.own.items() if isinstance(o, str)]
        for shown, label in labels:
            if len(label) != num_qubits:
                rule = f"{shown} acts on {len(label)} qubits, the circuit has {num_qubits}"
                found.append(Problem(path, rule, "give a letter for each qubit, or a sparse list"))
        for name, operator in self.own.items():
            if isinstance(operator, Sparse):
                highest = max((q for _, qubits, _ in operator.terms for q in qubits), default=0)
                if highest >= num_qubits:
                    rule = f"{name!r} acts on qubit {highest}, the circuit has {num_qubits}"
                    found.append(Problem(path, rule, "qubits count from 0"))
        return found

    def pick(self, built: Built) -> Operators:
        """Return the operators for a circuit, by label.

        Raises:
            InputError: Two have the same label, or the circuit is too wide for one.
        """
        found: list[tuple[str, SparsePauliOp]] = []
        for name in self.use:
            if _LABEL.fullmatch(name):
                found.append((name, SparsePauliOp(name)))
            elif name not in built.groups:
                rule = f"{name!r} has 2^n terms, which {built.circuit.num_qubits} qubits make too many"
                raise InputError.of([Problem("observables", rule, f"up to {MAX_PROJECTED} qubits have it")])
            else:
                found += built.groups[name].items()
        for name, operator in self.own.items():
            if isinstance(operator, str):
                found.append((name, SparsePauliOp(operator)))
            else:
                terms = [(pauli, list(qubits), weight) for pauli, qubits, weight in operator.terms]
                found.append((name, SparsePauliOp.from_sparse_list(terms, built.circuit.num_qubits)))
        labels = [label for label, _ in found]
        InputError.check(
            Problem("observables", f"two are called {label!r}", "give one of them another name")
            for label in dict.fromkeys(labels)
            if labels.count(label) > 1
        )
        return dict(found)


#: Nothing chosen: what a family has by default.
NOTHING: Final = Selection()


def selection(value: Any, path: str, problems: list[Problem]) -> Selection:
    """Return what a list or table of observables chooses; what is wrong with it is added to `problems`."""
    if isinstance(value, list):
        return Selection(_names(value, path, problems))
    if not isinstance(value, Mapping):
        rule = f"must be a list of names, or a table, not {value!r:.60}"
        problems.append(Problem(path, rule, 'write observables = ["magnetisation"], for instance'))
        return NOTHING
    use = _names(value["use"], f"{path}.use", problems) if "use" in value else ()
    own = {name: _own(each, f"{path}.{name}", problems) for name, each in value.items() if name != "use"}
    if not use and not own:
        problems.append(Problem(path, "chooses nothing", "leave it out for what the family has by default"))
    return Selection(use, own)


def _names(value: Any, path: str, problems: list[Problem]) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        problems.append(Problem(path, f"must be a list of names or Pauli labels, not {value!r:.60}"))
        return ()
    if len(set(value)) < len(value):
        problems.append(Problem(path, "names one twice", "keep one of them"))
    return tuple(value)


def _own(value: Any, path: str, problems: list[Problem]) -> str | Sparse:
    if isinstance(value, str) and _LABEL.fullmatch(value):
        return value
    if isinstance(value, str) or not isinstance(value, list) or not value:
        problems.append(Problem(path, f"is no observable (got {value!r:.60})", _FORM))
        return Sparse(())
    terms = []
    for number, term in enumerate(value):
        found = _term(term)
        if isinstance(found, str):
            problems.append(Problem(f"{path}[{number}]", f"{found} (got {term!r:.60})", _FORM))
        else:
            terms.append(found)
    return Sparse(tuple(terms))


def _term(term: Any) -> tuple[str, tuple[int, ...], float] | str:
    """Return a term, or what is wrong with it."""
    match term:
        case [str(pauli), list(qubits)] | [str(pauli), list(qubits), _]:
            pass
        case _:
            return "must be [Paulis, qubits] or [Paulis, qubits, coefficient]"
    if not re.fullmatch(r"[IXYZ]*", pauli):
        return "has letters other than I, X, Y, Z"
    if len(pauli) != len(qubits):
        return f"has {len(pauli)} Paulis for {len(qubits)} qubits"
    try:
        places = checks.qubits(qubits) if qubits else ()
        weight = checks.real(term[2]) if len(term) == 3 else 1.0
    except ValueError as error:
        return str(error.args[0])
    return pauli, places, float(weight)
