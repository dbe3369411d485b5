"""The tables `[[workload]]` of an experiment file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from attrs import frozen
from qiskit import QuantumCircuit

from ..errors import Problem, QuellError
from . import checks
from .families import FAMILIES, Family
from .operators import Selection, selection
from .qasm import read_circuit
from .tables import advice, key, variants
from .workloads import Built, sites

#: Names of observables that circuits from files have.
_QASM_GROUPS: Final = ("magnetisation", "sites", "parity")


@frozen(eq=False)
class FromFile:
    """A circuit that was read from an OpenQASM file."""

    circuit: QuantumCircuit

    @property
    def qubits(self) -> int:
        """Its number of qubits."""
        return int(self.circuit.num_qubits)

    def build(self) -> Built:
        """Return the circuit and its observables."""
        return Built(self.circuit, sites(self.qubits), is_line=False)


@frozen
class Qasm:
    """The keys of a workload that is read from files."""

    qasm: str = key(checks.text, "path of an OpenQASM file", grid=True)


@frozen(eq=False)
class Workload:
    """One circuit of an experiment.

    Attributes:
        family: Name of its family.
        source: What builds it.
        varying: The keys whose lists made several circuits, with the value of this one.
        observables: What is measured.
    """

    family: str
    source: Family | FromFile
    varying: Mapping[str, Any]
    observables: Selection

    @property
    def label(self) -> str:
        """What tells this circuit from others of the experiment."""
        sizes = " ".join(f"{name}={value:g}" for name, value in self.varying.items() if name != "qasm")
        return " ".join(part for part in (str(self.varying.get("qasm", self.family)), sizes) if part)


def read_workloads(
    tables: Any, common: Selection, folder: Path, problems: list[Problem], files: dict[str, bytes]
) -> list[Workload]:
    """Return the circuits that the tables name.

    Args:
        tables: The tables, None if the file has none.
        common: Observables of workloads that have none of their own.
        folder: Where the file is.
        problems: Where to put what is wrong.
        files: Where to put what other files contain, by the name that the tables give them.
    """
    if isinstance(tables, Mapping):  # [workload] for the only one
        tables = [tables]
    if not isinstance(tables, list) or not tables:
        problems.append(Problem("workload", "is missing", "write [[workload]] with a family and its sizes"))
        return []
    found = []
    for number, table in enumerate(tables):
        path = "workload" if len(tables) == 1 else f"workload[{number}]"
        found += _workload(table, common, path, folder, problems, files)
    return found


def _workload(
    table: Any,
    common: Selection,
    path: str,
    folder: Path,
    problems: list[Problem],
    files: dict[str, bytes],
) -> list[Workload]:
    if not isinstance(table, Mapping):
        problems.append(Problem(path, f"must be a table, not {table!r:.60}"))
        return []
    names = [*FAMILIES, "qasm"]
    family = table.get("family", "qasm" if "qasm" in table else None)
    if not isinstance(family, str) or family not in names:
        what = "is missing" if family is None else f"there is no {family!r:.60}"
        fix = advice(family, names, "there are") if isinstance(family, str) else f"one of {', '.join(names)}"
        problems.append(Problem(f"{path}.family", what, fix))
        return []
    own = table.get("observables")
    chosen, where = common, "observables"
    if own is not None:
        chosen, where = selection(own, f"{path}.observables", problems), f"{path}.observables"
    made: list[Workload] = []
    wrong: list[Problem] = []
    before = len(problems)
    if family == "qasm":
        for each, varying in variants(Qasm, table, path, problems, ("family", "observables")):
            source = _from_file(each.qasm, f"{path}.qasm", folder, problems, files)
            if source is not None:
                made.append(Workload(family, source, varying, chosen.or_default(("magnetisation",))))
        groups: tuple[str, ...] = _QASM_GROUPS
    else:
        kind = FAMILIES[family]
        groups = kind.groups
        for each, varying in variants(kind, table, path, problems, ("family", "observables")):
            wrong += each.problems(path)
            made.append(Workload(family, each, varying, chosen.or_default(kind.default)))
    problems += dict.fromkeys(wrong)  # circuits of a grid have the same
    if len(problems) > before or not made:
        return []
    seen = [p for work in made for p in chosen.problems(where, family, groups, work.source.qubits)]
    problems += dict.fromkeys(seen)
    return made


def _from_file(
    name: str, path: str, folder: Path, problems: list[Problem], files: dict[str, bytes]
) -> FromFile | None:
    try:
        circuit = read_circuit(folder / name)
        files[name] = (folder / name).read_bytes()
    except QuellError as error:
        problems += [Problem(f"{path}: {p.path}", p.rule, p.fix) for p in error.problems]
        if not error.problems:
            problems.append(Problem(path, str(error)))
        return None
    if circuit.num_parameters:
        rule = f"{name!r} has parameters without values: {', '.join(p.name for p in circuit.parameters)}"
        problems.append(Problem(path, rule, "write numbers in their place"))
        return None
    return FromFile(circuit)
