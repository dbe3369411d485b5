"""Learning the noise of a layer (arXiv:2201.09866).

Paulis on one qubit and on pairs of neighbours decay as the layer is repeated. Gates are undone by the layer that
follows, up to a sign that is known, so all Paulis of a basis are prepared and measured together, at even numbers of
layers, each between random Paulis. What preparation and measurement cost is the same at every depth and drops out. From
the rates at which Paulis decay follow those of the generators, by non-negative least squares.

A pair of layers multiplies P by f(P) f(P'), where P' is what the gates make of P. These products leave some rates open;
the symmetry assumption is that a generator and what the gates make of it are equally frequent. For cx and cz this
closes all gaps. Other gates are repeated with one-qubit Cliffords behind them, which makes an ecr or rzz(pi/2) a cx or
cz, so that they leave no more open than these, and makes every Clifford gate one that undoes itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Self

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from qiskit.transpiler import Target

from ..circuits.closers import closed
from ..circuits.gatesets import choose
from ..circuits.layers import Layer
from ..circuits.program import Program
from ..circuits.repetitions import repeated_layer
from ..circuits.samples import Samples
from ..circuits.twirling import GateTwirl, MeasureTwirl
from ..kernels import coverings, draws
from ..kernels.decays import fit_decays
from ..kernels.lindblad import anticommute, conjugated, local_paulis, ties
from ..kernels.rates import fit_rates
from ..kernels.statistics import Deviations
from .layer_fit import compressed, decay_rows, fit_quality, pauli_means
from .layer_records import label
from .layers import LayerModel

Floats = NDArray[np.float64]

ASSUMPTION: Final = (
    "Repeated layers tell only products of a Pauli's fidelity and that of its image under the gates (as repeated). "
    "Where this leaves rates open, a generator and its image are taken to have equal rates."
)


@frozen(eq=False)
class LearningResidue:
    """What was run to learn a layer.

    Attributes:
        programs: One for each basis and depth,
        depths: and the depth of each, as an index into the depths of the requirement.
    """

    programs: tuple[Program, ...]
    depths: tuple[int, ...]


@frozen
class LayerNoise:
    """The Pauli-Lindblad noise of one layer.

    Attributes:
        layer: The layer.
        num_qubits: Width of the circuits.
        pairs: Neighbours among the qubits of the layer, each pair ascending: who may err together.
        depths: How it is learned: numbers of pairs of layers,
        num_randomizations: randomizations of each basis and depth,
        shots: shots of each,
        target: and what the device can do.
    """

    layer: Layer
    num_qubits: int
    pairs: tuple[tuple[int, int], ...]
    depths: tuple[int, ...] = (0, 1, 2, 4, 16, 32)
    num_randomizations: int = 32
    shots: int = 128
    target: Target | None = field(eq=False, default=None, repr=False)

    @property
    def qubits(self) -> tuple[int, ...]:
        """Qubits of the layer, ascending."""
        return self.layer.qubits

    @property
    def bases(self) -> NDArray[np.int64]:
        """Axis 0 X, 1 Y, 2 Z of each qubit in each basis, int64 ``(bases, n)``."""
        return _axes(len(self.qubits), self._places)

    @property
    def shots_in_all(self) -> int:
        """Shots of the whole experiment."""
        return len(self.bases) * len(self.depths) * self.num_randomizations * self.shots

    @property
    def _places(self) -> tuple[tuple[int, int], ...]:
        """The pairs as positions among the qubits; those of gates are always among them."""
        place = {q: i for i, q in enumerate(self.qubits)}
        gates = [(min(pair), max(pair)) for _, _, pair in self.layer.gates]
        return tuple((place[a], place[b]) for a, b in sorted({*self.pairs, *gates}))

    def merged(self, other: object) -> Self | None:
        """Return one for all who wait in either, with the larger effort; None if the gates are others."""
        if (
            not isinstance(other, LayerNoise)
            or self.num_qubits != other.num_qubits
            or self.layer.gates != other.layer.gates
        ):
            return None
        waiting = tuple(sorted({*self.layer.spectators, *other.layer.spectators}))
        return evolve(
            self,
            layer=evolve(
                self.layer, spectators=waiting, operations=self.layer.operations or other.layer.operations
            ),
            pairs=tuple(sorted({*self.pairs, *other.pairs})),
            depths=tuple(sorted({*self.depths, *other.depths})),
            num_randomizations=max(self.num_randomizations, other.num_randomizations),
            shots=max(self.shots, other.shots),
        )

    def serves(self, other: object) -> bool:
        """Return whether this learns the layer of `other`, perhaps with more who wait, with no less effort.

        Randomizations count besides shots: the error bar is their spread.
        """
        return (
            isinstance(other, LayerNoise)
            and self.num_qubits == other.num_qubits
            and self.layer.covers(other.layer)
            and set(self.pairs) >= set(other.pairs)
            and set(self.depths) >= set(other.depths)
            and self.num_randomizations >= other.num_randomizations
            and self.num_randomizations * self.shots >= other.num_randomizations * other.shots
        )

    def experiment(self, rng: np.random.Generator) -> tuple[Sequence[Program], LearningResidue]:
        """Repeat the layer on eigenstates of Paulis; depths take turns, so that drifts are not mistaken for decay.

        Raises:
            UnsupportedError: A gate is not Clifford, or the device cannot prepare states.
        """
        closed(self.layer)
        templates = [
            repeated_layer(self.layer, 2 * depth, self.num_qubits, self.target) for depth in self.depths
        ]
        gate_set = choose(("x",), self.target)
        bases, programs, depths = self.bases, [], []
        for turn in range(len(bases)):
            for place in range(len(self.depths)):
                depth = (turn + place) % len(self.depths)
                basis = bases[(turn + depth) % len(bases)]
                program = Program(
                    template=templates[depth],
                    parameter_values=_angles(basis)[None],
                    parameter_sets=np.zeros(1, dtype=np.int64),
                    bases=(basis[None] + 1).astype(np.uint8),
                    shots=self.shots,
                    gate_set=None,
                    draws=(GateTwirl(draws.Key.spawn(rng)), MeasureTwirl(draws.Key.spawn(rng))),
                    randomizations=(0, self.num_randomizations),
                    label="layer noise",
                )
                programs.append(program.written_in(gate_set))
                depths.append(depth)
        return programs, LearningResidue(tuple(programs), tuple(depths))

    def fit(self, residue: LearningResidue, results: Sequence[Samples]) -> LayerModel:
        """Turn parities into decays, and decays into rates.

        Raises:
            CalibrationError: There are no shots of some basis at fewer than two depths.
        """
        measured = local_paulis(len(self.qubits), self._places)
        programs = list(zip(residue.programs, residue.depths, strict=True))
        data = pauli_means(self.layer, measured, self.depths, programs, results)
        decays = fit_decays(self.depths, data.values.T, data.variances.T)
        after = conjugated(measured, closed(self.layer))
        design = 2.0 * (anticommute(measured, measured).astype(float) + anticommute(after, measured))
        fit = fit_rates(design, decays.rates, decays.variances, ties(measured, after))
        rows = decay_rows(data, decays)
        dof = float(self.num_randomizations - 1) if self.num_randomizations > 1 else np.inf
        names = [label(row, self.qubits) for row in measured]
        quality = {
            **fit_quality(names, design, decays, fit, rows),
            "assumption": ASSUMPTION,
            "spam_amplitudes": [float(decays.amplitudes.min()), float(decays.amplitudes.max())],
            "depths": list(self.depths),
            "bases": len(self.bases),
            "randomizations": self.num_randomizations,
            "shots": self.shots,
            "executed_shots": int(sum(samples.returned.sum() for samples in results)),
        }
        deviations = Deviations(compressed([rows @ fit.response.T]), dof, self)
        return LayerModel(self.layer, measured, fit.rates, deviations, quality, self)

    def describe(self) -> str:
        """Return one line for the plan."""
        return (
            f"Noise of the layer {self.layer.describe()}: {len(self.bases)} bases, pair depths "
            f"{', '.join(map(str, self.depths))}, {self.num_randomizations} x {self.shots} shots each"
        )


@lru_cache(maxsize=64)
def _axes(num_qubits: int, pairs: tuple[tuple[int, int], ...]) -> NDArray[np.int64]:
    return coverings.axes(num_qubits, pairs)


def _angles(basis: NDArray[np.int64]) -> Floats:
    """Return theta and phi that prepare the +1 eigenstate of each axis, float64 ``(2 n,)``, radians."""
    theta = np.where(basis == 2, 0.0, np.pi / 2)
    phi = np.where(basis == 1, np.pi / 2, 0.0)
    return np.stack([theta, phi], axis=1).ravel()
