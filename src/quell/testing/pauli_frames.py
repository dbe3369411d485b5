"""A fake sampler with Pauli-Lindblad noise at the layers of Clifford circuits, of any width, exact.

`PauliFrameSampler` is a function of a list of `SamplerPub`, like `ExactSampler`::

    estimator = Estimator(PauliFrameSampler([model], seed=1))

Shots of the circuit without noise are drawn from its stabilizers. Errors happen to a shot as often as a Poisson
process says, ``rate`` times on average for every generator and layer, which is what such a channel is. Each error
inverts the outcomes that it anticommutes with, carried to its layer; Paulis of a twirl do not change which these are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.primitives import BitArray
from qiskit.primitives.containers.sampler_pub import SamplerPub

from ..calibration.layers import LayerModel
from ..circuits.layers import LayerGate, occurrences
from ..circuits.template import template_of
from ..errors import InputError, Problem, UnsupportedError
from .clifford import clifford_outcomes, transfer_matrices
from .readout import ReadoutModel
from .samplers import ExactSampler
from .unroll import Gate, unroll

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

#: Errors made at a time.
_CHUNK: Final = 2**20


@frozen(eq=False)
class _Noisy:
    """A circuit's gates for every member, and where noise stands among them.

    Attributes:
        gates: In time order.
        marks: Number of gates before each noisy layer, and its noise; ascending.
        measured: Qubit behind each classical bit.
    """

    gates: list[Gate]
    marks: list[tuple[int, LayerModel]]
    measured: Mapping[int, int]


class PauliFrameSampler(ExactSampler):
    """Sample Clifford circuits whose layers have Pauli-Lindblad noise just before their gates.

    Layers are recognised by their gates, as `circuits.layers.occurrences` finds them in the circuit as it is run;
    where several models have the same gates, the one with most qubits is taken.

    Args:
        models: The noise of every layer that has two-qubit gates; none for no noise.
        seed: Seed of the shots; successive calls draw on.
        readout: What happens to the measured bits; None for nothing.
    """

    def __init__(
        self,
        models: Iterable[LayerModel] = (),
        seed: int | np.random.Generator | None = None,
        *,
        readout: ReadoutModel | None = None,
    ) -> None:
        super().__init__(seed, readout=readout)
        self.models: dict[tuple[LayerGate, ...], LayerModel] = {}
        for model in sorted(models, key=lambda m: len(m.layer.qubits)):
            self.models[model.layer.gates] = model

    def _run(self, pub: SamplerPub) -> dict[str, BitArray]:
        """Return the shots of a PUB by register.

        Raises:
            InputError: It has no number of shots, or a layer without a model.
            UnsupportedError: It is not Clifford, or has resets, control flow or mid-circuit measurements.
        """
        if pub.shots is None:
            raise InputError.of([Problem("pub", "has no number of shots", "say shots=... in the PUB")])
        circuit, shots = pub.circuit, pub.shots
        members = int(np.prod(pub.shape, dtype=int))
        values = np.asarray(pub.parameter_values.as_array(circuit.parameters), dtype=float)
        values = values.reshape(members, circuit.num_parameters)
        noisy = _noisy(circuit, values, self.models)
        bits = np.zeros((members, shots, circuit.num_clbits), dtype=bool)
        clbits, measured = list(noisy.measured), list(noisy.measured.values())
        drawn = self._drawn(noisy, members, shots)
        if self.readout is not None:
            drawn = self.readout.corrupt(drawn, measured, self.rng)
        bits[..., clbits] = drawn
        return {
            register.name: _as_bit_array(
                bits[..., [circuit.find_bit(bit).index for bit in register]], pub.shape
            )
            for register in circuit.cregs
        }

    def _drawn(self, noisy: _Noisy, members: int, shots: int) -> Bools:
        """Return the bits of every measurement before readout, bool ``(members, shots, num_measurements)``."""
        measured = list(noisy.measured.values())
        qubits = sorted({q for gate in noisy.gates for q in gate.qubits} | set(measured))
        affine = clifford_outcomes(qubits, noisy.gates)
        if affine is None:
            kinds = _kinds(noisy.gates, members)
            if kinds.max(initial=0) > 0:  # they differ by more than Paulis
                bits = np.empty((members, shots, len(measured)), dtype=bool)
                for kind in range(int(kinds.max()) + 1):
                    own = np.flatnonzero(kinds == kind)
                    bits[own] = self._drawn(_members(noisy, own), len(own), shots)
                return bits
            rule = "is not Clifford; errors are carried to the end of Clifford circuits only"
            raise UnsupportedError.of([Problem("circuit", rule, "use a simulator backend")])
        bits = self._affine(affine, [qubits.index(q) for q in measured], members, shots)
        if len(bits) < members or len(affine.offsets) < members:
            bits = np.array(np.broadcast_to(bits, (members, *bits.shape[1:])))
        flips, rates = _flips(noisy, qubits)
        self._err(bits.reshape(members * shots, -1), flips, rates)
        return bits

    def _err(self, bits: Bools, flips: Bools, rates: Floats) -> None:
        """Let errors happen to shots, in place.

        Args:
            bits: bool ``(shots, num_measurements)``.
            flips: What each kind of error inverts, bool ``(G, num_measurements)``.
            rates: How often it happens to a shot on average, float64 ``(G,)``.
        """
        visible = flips.any(axis=1) & (rates > 0)
        inverted, rates = np.packbits(flips[visible], axis=1), rates[visible]
        if not len(rates):
            return
        left = int(self.rng.poisson(rates.sum() * len(bits)))
        errors = np.zeros((len(bits), inverted.shape[1]), dtype=np.uint8)
        cumulative = np.cumsum(rates) / rates.sum()
        while left:
            count = min(left, _CHUNK)
            kind = np.searchsorted(cumulative[:-1], self.rng.random(count), side="right")
            np.bitwise_xor.at(errors, self.rng.integers(0, len(bits), count), inverted[kind])
            left -= count
        bits ^= np.unpackbits(errors, axis=1, count=bits.shape[1]).astype(bool)


def _noisy(
    circuit: QuantumCircuit, values: Floats, models: Mapping[tuple[LayerGate, ...], LayerModel]
) -> _Noisy:
    """Cut a circuit into layers, put their noise before their gates, and evaluate all gates."""
    level: dict[int, int] = {}
    ended: set[int] = set()
    index = {bit: i for i, bit in enumerate(circuit.qubits)}
    singles: dict[int, list[Any]] = {}
    others: dict[int, list[Any]] = {}
    for instruction in circuit.data:
        qubits = [index[bit] for bit in instruction.qubits]
        front = max((level.get(q, 0) for q in qubits), default=0)
        if instruction.name != "barrier" and ended & set(qubits):
            rule = f"has {instruction.name!r} on qubits {qubits} after a measurement"
            raise UnsupportedError.of([Problem("circuit", rule, "use a simulator backend")])
        if instruction.name == "barrier":
            level.update(dict.fromkeys(qubits, front))
        elif len(qubits) == 1 and not instruction.clbits:
            # After all layers before this number, and before the layer of this number.
            singles.setdefault(front, []).append(instruction)
        else:
            others.setdefault(front, []).append(instruction)
            ended.update(qubits if instruction.clbits else ())
            level.update(dict.fromkeys(qubits, front + 1))
    noise = _noise_of_layers(circuit, models) if models else {}
    gates: list[Gate] = []
    marks: list[tuple[int, LayerModel]] = []
    measured: dict[int, int] = {}
    place = {parameter: i for i, parameter in enumerate(circuit.parameters)}
    for number in sorted({*singles, *others}):
        for is_single, part in ((True, singles.get(number)), (False, others.get(number))):
            if not is_single and number in noise:
                marks.append((len(gates), noise[number]))
            if not part:
                continue
            piece = QuantumCircuit(circuit.qubits, circuit.clbits)
            for instruction in part:
                piece._append(instruction)
            unrolled = unroll(piece, values[:, [place[p] for p in piece.parameters]])
            gates += unrolled.gates
            measured |= unrolled.measured
    return _Noisy(gates, marks, measured)


def _noise_of_layers(
    circuit: QuantumCircuit, models: Mapping[tuple[LayerGate, ...], LayerModel]
) -> dict[int, LayerModel]:
    """Return the noise of each layer by its number.

    Raises:
        InputError: There is no model of some layers; all are named.
    """
    # One-qubit gates do not decide what runs at the same time.
    bare = circuit.copy_empty_like()
    for instruction in circuit.data:
        if instruction.name == "barrier" or len(instruction.qubits) > 1 or instruction.clbits:
            bare._append(instruction)
    found = occurrences(template_of(bare))
    known = "; ".join(model.layer.describe() for model in models.values())
    strangers = {o.layer: o.index for o in found if o.layer.gates not in models}
    InputError.check(
        Problem(
            f"circuit, layer {index}",
            f"is {layer.describe()}, the sampler has noise for {known}",
            "give a model of this layer",
        )
        for layer, index in strangers.items()
    )
    return {o.index: models[o.layer.gates] for o in found}


def _members(noisy: _Noisy, own: NDArray[np.int64]) -> _Noisy:
    """Return some members alone."""
    parts: dict[int, Any] = {}
    gates = []
    for gate in noisy.gates:
        alone = len(gate.matrices) == 1
        matrices = parts.setdefault(id(gate.matrices), gate.matrices if alone else gate.matrices[own])
        gates.append(Gate(matrices, gate.qubits))
    return _Noisy(gates, noisy.marks, noisy.measured)


def _kinds(gates: list[Gate], members: int) -> NDArray[np.int64]:
    """Number members by what their gates do to Paulis up to signs, int64 ``(members,)``."""
    various = {id(gate.matrices): gate.matrices for gate in gates if len(gate.matrices) > 1}
    images = [np.abs(transfer_matrices(m)).argmax(axis=1).reshape(members, -1) for m in various.values()]
    if not images:
        return np.zeros(members, dtype=np.int64)
    kinds: NDArray[np.int64] = np.unique(np.concatenate(images, axis=1), axis=0, return_inverse=True)[
        1
    ].ravel()
    return kinds


def _flips(noisy: _Noisy, qubits: list[int]) -> tuple[Bools, Floats]:
    """Return which measurements each error inverts, bool ``(G, num_measurements)``, and its rate."""
    place = {qubit: i for i, qubit in enumerate(qubits)}
    measured = list(noisy.measured.values())
    # The Z of every measurement, carried backwards.
    codes = np.zeros((len(measured), len(qubits)), dtype=np.uint8)
    codes[np.arange(len(measured)), [place[q] for q in measured]] = 2
    sources = _sources(noisy.gates) if noisy.marks else {}
    flips = [np.zeros((0, len(measured)), dtype=bool)]
    rates = [np.zeros(0)]
    position = len(noisy.gates)
    for number, model in reversed(noisy.marks):
        for gate in reversed(noisy.gates[number:position]):
            columns = [place[q] for q in gate.qubits]
            packed = sum(codes[:, c].astype(np.int64) << 2 * i for i, c in enumerate(columns))
            packed = sources[id(gate.matrices)][packed]
            for i, c in enumerate(columns):
                codes[:, c] = packed >> 2 * i & 3
        position = number
        known = [i for i, q in enumerate(model.layer.qubits) if q in place]
        generators = model.generators[:, known]
        here = codes[:, [place[model.layer.qubits[i]] for i in known]]
        # float32 products are BLAS and exact for these counts
        x, z = ((generators >> bit & 1).astype(np.float32) for bit in (0, 1))
        own_x, own_z = ((here >> bit & 1).astype(np.float32) for bit in (0, 1))
        flips.append((x @ own_z.T + z @ own_x.T) % 2 != 0)
        rates.append(model.rates)
    return np.concatenate(flips), np.concatenate(rates)


def _sources(gates: list[Gate]) -> dict[int, NDArray[np.int64]]:
    """Return, by the id of a gate's matrices, the Pauli that becomes each Pauli: int64 ``(4^n,)``."""
    kinds: dict[int, dict[int, Any]] = {}
    for gate in gates:
        kinds.setdefault(gate.matrices.shape[-1], {})[id(gate.matrices)] = gate.matrices[:1]
    sources: dict[int, NDArray[np.int64]] = {}
    for group in kinds.values():
        transfer = transfer_matrices(np.concatenate(list(group.values())))
        # Rows are Paulis after the gate, columns Paulis before it.
        sources.update(zip(group, np.abs(transfer).argmax(axis=2), strict=True))
    return sources


def _as_bit_array(bits: Bools, shape: tuple[int, ...]) -> BitArray:
    """Return bits ``(members, shots, k)``, bit 0 first, as a `BitArray` of a PUB's shape."""
    packed = BitArray.from_bool_array(bits, order="little")
    return packed.reshape(*shape, bits.shape[1])
