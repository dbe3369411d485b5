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
from itertools import product
from typing import Any, ClassVar, Final, Self

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Operation, ParameterVector
from qiskit.transpiler import Target

from ..circuits.dressings import IDENTITY
from ..circuits.gatesets import GateSet, choose
from ..circuits.layers import Layer, matrices
from ..circuits.program import Program
from ..circuits.samples import Samples
from ..circuits.template import Item, Template, template_of
from ..circuits.twirling import GateTwirl, MeasureTwirl, twirled_template
from ..errors import CalibrationError, Problem, UnsupportedError
from ..kernels import coverings, draws, parities, paulis
from ..kernels.decays import NO_SIGNAL, Decays, fit_decays
from ..kernels.lindblad import anticommute, conjugated, local_paulis
from ..kernels.rates import RateFit, fit_rates
from ..kernels.statistics import Deviations
from .layers import LayerModel, label

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]

_REGISTER: Final = "meas"
_CODES: Final = np.array([1, 3, 2], dtype=np.uint8)  # of the axes X, Y, Z
_SWAPPED: Final = [0, 2, 1, 3]
_WORST: Final = 5  # generators and residuals that a report names
#: One-qubit gates that make each coset of `paulis.CLIFFORDS`, in time order.
_COSETS: Final = {0: (), 1: ("h",), 2: ("s",), 3: ("s", "h"), 4: ("h", "s"), 5: ("sx",)}
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

    #: It can be learned before the circuits that need it are planned.
    ahead: ClassVar[bool] = True

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
        templates = [self._template(depth) for depth in self.depths]
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

    def _template(self, depth: int) -> Template:
        """Return the layer repeated ``2 * depth`` times between preparation and measurement of its qubits."""
        qubits = self.qubits
        register = ClassicalRegister(len(qubits), _REGISTER)
        circuit = QuantumCircuit(self.num_qubits)
        circuit.add_register(register)
        prepared = ParameterVector("prepared", 2 * len(qubits))
        for i, qubit in enumerate(qubits):
            circuit.u(prepared[2 * i], prepared[2 * i + 1], 0.0, qubit)
        behind = closers(self.layer)
        for _ in range(2 * depth):
            for operation, (name, _, pair) in zip(self.layer.operations, self.layer.gates, strict=True):
                circuit.append(operation, _directed(operation, name, pair, self.target), copy=False)
            circuit.barrier(qubits)
            for cosets, (_, _, pair) in zip(behind, self.layer.gates, strict=True):
                for coset, qubit in zip(cosets, pair, strict=True):
                    for one_qubit in _COSETS[coset]:
                        getattr(circuit, one_qubit)(qubit)
        circuit.measure(qubits, register)
        template = _prepared_first(twirled_template(template_of(circuit), "all"), self.layer.spectators)
        return _at_full_length(template, choose(("x",), self.target))

    def fit(self, residue: LearningResidue, results: Sequence[Samples]) -> LayerModel:
        """Turn parities into decays, and decays into rates.

        Raises:
            CalibrationError: There are no shots of some basis at fewer than two depths.
        """
        measured = local_paulis(len(self.qubits), self._places)
        data = _values(self, residue, results, measured)
        decays = fit_decays(self.depths, data.values.T, data.variances.T)
        after = conjugated(measured, closed(self.layer))
        design = 2.0 * (anticommute(measured, measured).astype(float) + anticommute(after, measured))
        fit = fit_rates(design, decays.rates, decays.variances, _ties(measured, after))
        rows = _rows(data, decays)
        dof = float(self.num_randomizations - 1) if self.num_randomizations > 1 else np.inf
        quality = _quality(self, measured, design, decays, fit, rows)
        quality["executed_shots"] = int(sum(samples.returned.sum() for samples in results))
        deviations = Deviations(_compressed([rows @ fit.response.T]), dof, self)
        return LayerModel(self.layer, measured, fit.rates, deviations, quality, self)

    def describe(self) -> str:
        """Return one line for the plan."""
        return (
            f"Noise of the layer {self.layer.describe()}: {len(self.bases)} bases, pair depths "
            f"{', '.join(map(str, self.depths))}, {self.num_randomizations} x {self.shots} shots each"
        )


def _at_full_length(template: Template, gate_set: GateSet) -> Template:
    """Return the template with as many pulses before each layer as any rotation takes.

    The noise of these counts as the layer's. Circuits mostly have rotations there, and here are Paulis only.
    """
    if not gate_set.is_complete:
        return template
    full = gate_set.pulses("full")
    dressings = list(template.dressings)
    for op in template.ops:
        for d in () if template.is_final(op) else op.before:
            dressings[d] = evolve(dressings[d], least=full)
    return evolve(template, dressings=tuple(dressings))


def _prepared_first(template: Template, waiting: Sequence[int]) -> Template:
    """Return the template with preparation of who waits before the first layer; idles leave it to the end."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for number, dressing in enumerate(template.dressings):
        first.setdefault(dressing.qubit, number)
        if dressing.instructions and dressing.qubit in waiting:
            last[dressing.qubit] = number
    moved = {last[q]: first[q] for q in last if last[q] != first[q]}
    if not moved:
        return template
    dressings = list(template.dressings)
    for source, goal in moved.items():
        own = template.dressings[source]
        dressings[goal] = evolve(
            dressings[goal],
            instructions=own.instructions,
            gates=own.gates,
            product=own.product,
            varies=own.varies,
        )
        dressings[source] = evolve(own, instructions=(), gates=(), product=IDENTITY, varies=False)
    early: list[Item] = []
    others: list[Item] = []
    for kind, payload in template.sequence:
        if kind == "gate" and payload[0] in moved:
            early.append((kind, (moved[payload[0]], payload[1])))
        else:
            others.append((kind, payload))
    return evolve(template, dressings=tuple(dressings), sequence=(*early, *others))


@lru_cache(maxsize=64)
def _axes(num_qubits: int, pairs: tuple[tuple[int, int], ...]) -> NDArray[np.int64]:
    return coverings.axes(num_qubits, pairs)


def _angles(basis: NDArray[np.int64]) -> Floats:
    """Return theta and phi that prepare the +1 eigenstate of each axis, float64 ``(2 n,)``, radians."""
    theta = np.where(basis == 2, 0.0, np.pi / 2)
    phi = np.where(basis == 1, np.pi / 2, 0.0)
    return np.stack([theta, phi], axis=1).ravel()


def _directed(
    operation: Operation, name: str, pair: tuple[int, ...], target: Target | None
) -> tuple[int, ...]:
    """Return the qubits of a gate in the order that the device has it in, where the order does not matter."""
    if target is None or name not in target.operation_names or target.instruction_supported(name, pair):
        return pair
    matrix = np.asarray(operation.to_matrix(), dtype=complex)
    symmetric = np.allclose(matrix[np.ix_(_SWAPPED, _SWAPPED)], matrix, rtol=0, atol=1e-9)
    return pair[::-1] if symmetric and target.instruction_supported(name, pair[::-1]) else pair


def closers(layer: Layer) -> tuple[tuple[int, int], ...]:
    """Return the Cliffords that each gate is repeated with, on its first and its second qubit: keys of `_COSETS`.

    Raises:
        UnsupportedError: Some gates are not Clifford; all are named.
    """
    found = tuple(_closer(np.round(matrix, 12).tobytes()) for matrix in matrices(layer))
    others = [
        f"{name} ({a}, {b})"
        for cosets, (name, _, (a, b)) in zip(found, layer.gates, strict=True)
        if not cosets
    ]
    if others:
        rule = f"has gates that do not map Paulis to Paulis: {', '.join(others)}"
        raise UnsupportedError.of([Problem(f"layer {layer.describe()}", rule, "transpile to Clifford gates")])
    return tuple(cosets for cosets in found if cosets)


def closed(layer: Layer) -> tuple[tuple[Codes, tuple[int, int]], ...]:
    """Return what each gate and the Cliffords behind it do to Paulis, in the form of `circuits.layers.images`.

    Raises:
        UnsupportedError: Some gates are not Clifford; all are named.
    """
    place = {q: i for i, q in enumerate(layer.qubits)}
    return tuple(
        (paulis.two_qubit_choices(matrix), (place[a], place[b]))
        for matrix, (_, _, (a, b)) in zip(_closed_matrices(layer), layer.gates, strict=True)
    )


def squares(layer: Layer) -> Codes:
    """Return the Pauli that two runs of a layer make, Cliffords behind its gates included: codes uint8 ``(n,)``.

    Raises:
        UnsupportedError: Some gates are not Clifford; all are named.
    """
    place = {q: i for i, q in enumerate(layer.qubits)}
    codes = np.zeros(len(place), dtype=np.uint8)
    both = np.einsum("qij,pkl->qpikjl", paulis.PAULIS, paulis.PAULIS).reshape(16, 16)
    for matrix, (_, _, (a, b)) in zip(_closed_matrices(layer), layer.gates, strict=True):
        overlaps = np.abs(both.conj() @ (matrix @ matrix).ravel())
        codes[place[b]], codes[place[a]] = divmod(int(overlaps.argmax()), 4)
    return codes


def _closed_matrices(layer: Layer) -> list[NDArray[np.complex128]]:
    return [_with(cosets, matrix) for cosets, matrix in zip(closers(layer), matrices(layer), strict=True)]


def _with(cosets: tuple[int, int], matrix: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Return a gate with Cliffords behind it."""
    first, second = (paulis.CLIFFORDS[4 * coset] for coset in cosets)
    product: NDArray[np.complex128] = np.kron(second, first) @ matrix
    return product


@lru_cache(maxsize=256)
def _closer(key: bytes) -> tuple[int, int] | None:
    """Return the Cliffords behind a gate that leave least to assumptions; None if the gate is not Clifford.

    The gate stands on the middle two of four qubits in a row. It must be undone by its repetition up to a Pauli, which
    every Clifford gate is with some Cliffords behind it: they are local factors around I, cx, iswap or swap.
    """
    matrix = np.frombuffer(key, dtype=complex).reshape(4, 4)
    if len(paulis.two_qubit_choices(matrix)) < 16:
        return None
    generators = local_paulis(4, [(0, 1), (1, 2), (2, 3)])
    best: tuple[tuple[int, ...], tuple[int, int]] | None = None
    for cosets in product(_COSETS, _COSETS):
        gate = ((paulis.two_qubit_choices(_with(cosets, matrix)), (1, 2)),)
        after = conjugated(generators, gate)
        if (conjugated(after, gate) != generators).any():
            continue
        design = anticommute(generators, generators).astype(float) + anticommute(after, generators)
        data, all_ = (
            int(np.linalg.matrix_rank(rows)) for rows in (design, [*design, *_ties(generators, after)])
        )
        # First what even the assumption leaves open, then what needs it, then pulses.
        cost = (len(generators) - all_, -data, sum(len(_COSETS[coset]) for coset in cosets))
        if best is None or cost < best[0]:
            best = cost, cosets
    return None if best is None else best[1]


@frozen(eq=False)
class _Values:
    """Means of Paulis over randomizations, K of them at D depths.

    Attributes:
        values: float64 ``(D, K)``, NaN where there are no shots.
        variances: float64 ``(D, K)`` of the shots, as much larger as randomizations differ; infinite without shots.
        rows: Deviations, each with its depth and Paulis ``(k,)``: float64 ``(R, k)``.
    """

    values: Floats
    variances: Floats
    rows: tuple[tuple[int, NDArray[np.int64], Floats], ...]


def _values(
    need: LayerNoise, residue: LearningResidue, results: Sequence[Samples], measured: Codes
) -> _Values:
    """Return means of all Paulis, pooled over the bases that measure them."""
    squared = squares(need.layer)[None]
    turned = anticommute(measured, squared)[:, 0]
    shape = (len(need.depths), len(measured))
    sums, totals = np.zeros(shape), np.zeros(shape)
    parts = []
    for program, depth, samples in zip(residue.programs, residue.depths, results, strict=True):
        planes = parities.bit_planes(samples.bits[_REGISTER], samples.num_bits[_REGISTER], samples.shots)
        planes = planes.flipped(program.flips(0, program.num_members))
        basis = _CODES[program.bases[0].astype(np.int64) - 1]
        own = np.flatnonzero(((measured == 0) | (measured == basis)).all(axis=1))
        signs = np.where(turned[own] & (need.depths[depth] % 2 == 1), -1.0, 1.0)
        found = parities.term_sums(planes, (measured[own] != 0).astype(np.uint8)) * signs
        shots = planes.shots.astype(float)
        sums[depth, own] += found.sum(axis=0)
        totals[depth, own] += shots.sum()
        counted = np.count_nonzero(shots)
        if counted > 1:
            mean = found.sum(axis=0) / shots.sum()
            parts.append((depth, own, (found - shots[:, None] * mean) * np.sqrt(counted / (counted - 1))))
    CalibrationError.check(_without_shots(need, measured, totals))
    known = totals > 0
    number = np.where(known, totals, 1.0)
    values = sums / number
    rows = [(depth, own, part / number[depth, own]) for depth, own, part in parts]
    spread = np.zeros(shape)
    for depth, own, part in rows:
        spread[depth, own] += (part**2).sum(axis=0)
    # What shots alone make; also where all of them agreed, a few might not have.
    shot = np.maximum(1 - values**2, 0.0) / number + 2 / number**2
    # The spread of one Pauli is itself noisy; that of all at a depth is not.
    excess = (spread * known).sum(axis=1) / np.maximum((shot * known).sum(axis=1), 1e-300)
    variances = shot * np.maximum(excess, 1.0)[:, None]
    agreed = known & (spread == 0)
    for level in np.flatnonzero(agreed.any(axis=1)).tolist():
        own = np.flatnonzero(agreed[level])
        rows.append((level, own, np.diag(np.sqrt(variances[level, own]))))
    return _Values(np.where(known, values, np.nan), np.where(known, variances, np.inf), tuple(rows))


def _without_shots(need: LayerNoise, measured: Codes, totals: Floats) -> list[Problem]:
    few = np.flatnonzero((totals > 0).sum(axis=0) < 2)
    if not len(few):
        return []
    rule = f"has shots of {label(measured[few[0]], need.qubits)} and {len(few) - 1} others at fewer than two depths"
    return [Problem(f"noise of the layer {need.layer.describe()}", rule, "run it again")]


def _ties(generators: Codes, after: Codes) -> Floats:
    """Return rows that are zero where generators and their images are equally frequent, float64 ``(T, K)``."""
    number = {row.tobytes(): k for k, row in enumerate(generators)}
    pairs = [(k, number.get(row.tobytes(), k)) for k, row in enumerate(after)]
    chosen = np.array([pair for pair in pairs if pair[0] < pair[1]], dtype=np.int64).reshape(-1, 2)
    ties = np.zeros((len(chosen), len(generators)))
    ties[np.arange(len(chosen)), chosen[:, 0]] = 1.0
    ties[np.arange(len(chosen)), chosen[:, 1]] = -1.0
    return ties


def _rows(data: _Values, decays: Decays) -> Floats:
    """Return deviations of the decays, at most as many rows as decays: float64 ``(B, M)``."""
    size = len(decays.rates)
    # Decays that only have a bound are less well known than their data.
    finite = np.where(np.isfinite(data.variances.T), data.variances.T, 0.0)
    left = np.maximum(decays.variances - (decays.responses**2 * finite).sum(axis=1), 0.0)
    bounded = np.flatnonzero((decays.status == NO_SIGNAL) & (left > 0))
    pile = [np.zeros((len(bounded), size))]
    pile[0][np.arange(len(bounded)), bounded] = np.sqrt(left[bounded])
    for depth, own, part in data.rows:
        rows = np.zeros((len(part), size))
        rows[:, own] = part * decays.responses[own, depth]
        pile.append(rows)
        if sum(map(len, pile)) > 2 * size:
            pile = [_compressed(pile)]
    return _compressed(pile)


def _compressed(pile: Sequence[Floats]) -> Floats:
    """Return fewer rows with the same sum of outer products."""
    rows: Floats = np.concatenate(pile)
    if len(rows) > rows.shape[1]:
        rows = np.asarray(np.linalg.qr(rows, mode="r"))
    return rows


def _chi_square(design: Floats, decays: Decays, fit: RateFit, rows: Floats) -> tuple[float, float]:
    """Return chi squared of the residuals and its degrees of freedom, correlations of the decays allowed for.

    Parities of the same shots err together, and less of that is left in the residuals than of independent errors. So
    the sum of squares is compared with its own expectation and variance (Satterthwaite): scaled to have both, it is
    distributed like chi squared to good approximation.
    """
    held = np.where(fit.clipped[:, None], 0.0, fit.response)
    left = (rows - (rows @ held.T) @ design.T) / np.sqrt(decays.variances)
    expected = float((left**2).sum())
    spread = float(((left @ left.T) ** 2).sum())
    if not spread > 0:
        return 0.0, 0.0
    raw = float((fit.residuals**2 / decays.variances).sum())
    return raw * expected / spread, expected**2 / spread


def _quality(
    need: LayerNoise, generators: Codes, design: Floats, decays: Decays, fit: RateFit, rows: Floats
) -> dict[str, Any]:
    """Return how well the decays are exponential and the rates explain them, as plain data."""
    chi_square, dof = _chi_square(design, decays, fit, rows)
    names = [label(row, need.qubits) for row in generators]
    scores = fit.residuals / np.sqrt(decays.variances)
    seen = (design > 0).astype(float)
    # A generator is as doubtful as the decays of the Paulis that it makes decay.
    doubt = (seen.T @ scores**2) / np.maximum(seen.sum(axis=0), 1.0)
    largest, worst = np.argsort(-np.abs(scores), kind="stable"), np.argsort(-doubt, kind="stable")
    fitted = decays.status != NO_SIGNAL
    decay_dof = int(decays.dof[fitted].sum())
    return {
        "chi_square": chi_square,
        "dof": dof,
        "reduced_chi_square": chi_square / dof if dof > 0 else None,
        "decay_chi_square": float(decays.chi_squares[fitted].sum()),
        "decay_dof": decay_dof,
        "largest_residuals": [[names[k], float(scores[k])] for k in largest[:_WORST]],
        "worst_generators": [names[k] for k in worst[:_WORST]],
        "without_signal": [names[k] for k in np.flatnonzero(~fitted)],
        "clipped": [names[k] for k in np.flatnonzero(fit.clipped)],
        "assumed": [names[k] for k in np.flatnonzero(fit.tied)],
        "assumption": ASSUMPTION,
        "spam_amplitudes": [float(decays.amplitudes.min()), float(decays.amplitudes.max())],
        "depths": list(need.depths),
        "bases": len(need.bases),
        "randomizations": need.num_randomizations,
        "shots": need.shots,
    }
