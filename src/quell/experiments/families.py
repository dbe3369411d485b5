"""The families of circuits as tables of an experiment file: which keys each has, and what they build."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

import numpy as np
from attrs import frozen

from ..errors import Problem
from ..options.checks import boolean, choice
from . import checks, workloads
from .tables import key
from .workloads import Built

#: Most qubits of a family; more is a slip.
MAX_QUBITS: Final = 1000
_QUBITS: Final = checks.between(2, MAX_QUBITS)
_MANY: Final = checks.between(1, 10_000)
_SEED: Final = checks.between(0, 2**63 - 1)
_WHICH: Final = "the number of qubits"


@frozen
class Ising:
    """Trotter steps of a transverse-field Ising chain."""

    default: ClassVar[tuple[str, ...]] = ("magnetisation",)
    groups: ClassVar[tuple[str, ...]] = ("magnetisation", "neighbours", "transverse", "sites", "parity")

    qubits: int = key(_QUBITS, _WHICH, grid=True)
    steps: int = key(_MANY, "Trotter steps", 3, grid=True)
    coupling: float = key(checks.real, "strength of ZZ", 1.0, grid=True)
    field: float = key(checks.real, "strength of X", 1.5, grid=True)
    dt: float = key(checks.real, "time of a step", 0.15, grid=True)
    periodic: bool = key(boolean(), "whether the last spin is coupled to the first", False)
    initial: str = key(choice("zeros", "ones", "plus"), "how all spins start", "zeros")

    def problems(self, path: str) -> list[Problem]:
        """Return what is wrong with the keys together."""
        if self.periodic and self.qubits < 3:
            return [Problem(f"{path}.qubits", f"must be 3 or more on a ring, not {self.qubits}")]
        return []

    def build(self) -> Built:
        """Return the circuit and its observables."""
        return workloads.ising(
            self.qubits, self.steps, self.coupling, self.field, self.dt, self.periodic, self.initial
        )


@frozen
class Mirror:
    """Random layers and the way back, which end in one bit string."""

    default: ClassVar[tuple[str, ...]] = ("bits",)
    groups: ClassVar[tuple[str, ...]] = ("bits", "sites", "parity", "survival")

    qubits: int = key(_QUBITS, _WHICH, grid=True)
    layers: int = key(_MANY, "layers of two-qubit gates on the way out", 4, grid=True)
    gate: str = key(choice("cx", "cz"), "the two-qubit gate", "cx")
    seed: int = key(_SEED, "what circuit is drawn", 0, grid=True)

    def problems(self, path: str) -> list[Problem]:
        """Return what is wrong with the keys together."""
        return []

    def build(self) -> Built:
        """Return the circuit and its observables."""
        return workloads.mirror(self.qubits, self.layers, self.gate, np.random.default_rng(self.seed))


@frozen
class Benchmarking:
    """Random Cliffords on pairs and what undoes them (randomized benchmarking)."""

    default: ClassVar[tuple[str, ...]] = ("bits",)
    groups: ClassVar[tuple[str, ...]] = ("bits", "sites", "parity", "survival")

    qubits: int = key(_QUBITS, _WHICH, grid=True)
    length: int = key(_MANY, "random Cliffords on each pair", 5, grid=True)
    seed: int = key(_SEED, "what circuit is drawn", 0, grid=True)

    def problems(self, path: str) -> list[Problem]:
        """Return what is wrong with the keys together."""
        return []

    def build(self) -> Built:
        """Return the circuit and its observables."""
        return workloads.benchmarking(self.qubits, self.length, np.random.default_rng(self.seed))


@frozen
class Ghz:
    """The state |0...0> + |1...1>."""

    default: ClassVar[tuple[str, ...]] = ("stabilizers",)
    groups: ClassVar[tuple[str, ...]] = ("stabilizers", "mean stabilizer", "parity", "neighbours")

    qubits: int = key(_QUBITS, _WHICH, grid=True)

    def problems(self, path: str) -> list[Problem]:
        """Return what is wrong with the keys together."""
        return []

    def build(self) -> Built:
        """Return the circuit and its observables."""
        return workloads.ghz(self.qubits)


@frozen
class Qaoa:
    """QAOA for the largest cut of a graph."""

    default: ClassVar[tuple[str, ...]] = ("cost",)
    groups: ClassVar[tuple[str, ...]] = ("cost", "edges", "magnetisation", "sites", "parity")

    qubits: int = key(checks.between(3, MAX_QUBITS), "the number of nodes", grid=True)
    layers: int = key(checks.between(1, 100), "layers of cost and mixer", 1, grid=True)
    graph: str = key(choice("ring", "regular"), "which edges: a ring, or three at every node", "ring")
    gammas: tuple[float, ...] | None = key(checks.reals, "angles of the cost, one a layer", None)
    betas: tuple[float, ...] | None = key(checks.reals, "angles of the mixer, one a layer", None)
    seed: int = key(_SEED, "what regular graph is drawn", 0, grid=True)

    def problems(self, path: str) -> list[Problem]:
        """Return what is wrong with the keys together."""
        found = []
        known = workloads.ANGLES[self.graph]
        if self.graph == "regular" and (self.qubits % 2 or self.qubits < 4):
            rule = f"must be even and at least 4 for three edges at every node, not {self.qubits}"
            found.append(Problem(f"{path}.qubits", rule))
        if self.gammas is None and self.betas is None and self.layers not in known:
            rule = f"are {self.layers}, and good angles are known up to {max(known)}"
            found.append(Problem(f"{path}.layers", rule, "give gammas and betas"))
        if (self.gammas is None) != (self.betas is None):
            missing = "gammas" if self.gammas is None else "betas"
            found.append(Problem(f"{path}.{missing}", "is missing", "give both kinds of angles, or none"))
        for name, angles in (("gammas", self.gammas), ("betas", self.betas)):
            if angles is not None and len(angles) != self.layers:
                rule = f"must be one a layer, {self.layers}, not {len(angles)}"
                found.append(Problem(f"{path}.{name}", rule))
        return found

    def build(self) -> Built:
        """Return the circuit and its observables."""
        rng = np.random.default_rng(self.seed)
        return workloads.qaoa(self.qubits, self.layers, self.graph, self.gammas, self.betas, rng)


@frozen
class CliffordT:
    """A random Clifford circuit with T gates."""

    default: ClassVar[tuple[str, ...]] = ("paulis",)
    groups: ClassVar[tuple[str, ...]] = ("paulis", "magnetisation", "sites", "parity")

    qubits: int = key(_QUBITS, _WHICH, grid=True)
    layers: int = key(_MANY, "layers of two-qubit gates", 4, grid=True)
    density: float = key(checks.fraction, "probability of a T gate on each qubit and layer", 0.1, grid=True)
    paulis: int = key(checks.between(1, 1000), "number of observables", 4)
    seed: int = key(_SEED, "what circuit is drawn", 0, grid=True)

    def problems(self, path: str) -> list[Problem]:
        """Return what is wrong with the keys together."""
        return []

    def build(self) -> Built:
        """Return the circuit and its observables."""
        rng = np.random.default_rng(self.seed)
        return workloads.clifford_t(self.qubits, self.layers, self.density, self.paulis, rng)


Family = Ising | Mirror | Benchmarking | Ghz | Qaoa | CliffordT

#: The families by the name that files call them.
FAMILIES: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "ising": Ising,
        "mirror": Mirror,
        "rb": Benchmarking,
        "ghz": Ghz,
        "qaoa": Qaoa,
        "clifford+t": CliffordT,
    }
)
