"""What noise does to the terms of a PUB, before anything is run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import scipy.sparse as sp
from attrs import evolve, frozen
from numpy.typing import NDArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub

from ..calibration.layers import LayerModel
from ..circuits.cones import light_cones
from ..circuits.layers import Layer, Occurrence, occurrences
from ..circuits.observables import expand_projectors, parse
from ..circuits.template import Op, Template, template_of
from ..circuits.twirling import twirled_template
from ..errors import InputError
from ..kernels.cones import relevance
from ..kernels.forecasts import Terms
from ..kernels.heisenberg import transfer_matrix
from ..kernels.noisy_paulis import Step, noisy_values
from ..primitives.inputs import without_final_measurements
from .device_noise import DeviceNoise
from .reference import quick_term_values

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]

#: How unlike the decays of the paths are that a term is a sum of, in parts of the noise that need not change its sign;
#: an estimate: circuits small enough to be told exactly do not need it.
BLUR: Final = 0.2
#: Parameter sets that are looked at, evenly spaced among all.
MAX_SETS: Final = 6
#: Error of the logarithm of one gate's Pauli fidelity after learning with the default effort.
_LEARNED: Final = 4e-4
#: Most Paulis on the way back through a noisy circuit.
_MOST_PAULIS: Final = 1 << 13
_XYZ: Final = np.array([[1], [2], [3]], dtype=np.uint8)
_CODE_OF_LETTER: Final = np.array([0, 1, 3, 2], dtype=np.uint8)
_SIZES: Final = np.array([bin(mask).count("1") for mask in range(16)])
_OTHERS: Final = np.array([bin(mask >> 1).count("1") for mask in range(16)])
#: By mask: probability that a Pauli of it is none but the identity, and how many of X, Y, Z may anticommute with one.
_ACTING: Final[Floats] = _OTHERS / np.maximum(_SIZES, 1)
_NOTICED: Final = np.array([0, 2, 3, 3])[_OTHERS]


@frozen(eq=False)
class PubTerms:
    """The values of a PUB under noise.

    Attributes:
        plain: Its terms, for each parameter set that is looked at, with gates as they are written,
        twirled: and with those of one-qubit gates that twirling adds.
        sums: float64 sparse ``(values, T)``: what terms add up to, constants left out.
        exact: Whether the ideal values are known, and not typical ones.
        uncertainty: How wrong the logarithm of each term is if noise is learned with the default effort: float64
            ``(T,)``.
        circuits: For each of these, and each parameter set, unitaries and noise; None where there is something else,
        codes: and the Paulis of its terms, uint8 ``(T / sets, num_qubits)``.
    """

    plain: Terms
    twirled: Terms
    sums: sp.csr_array
    exact: bool
    uncertainty: Floats
    circuits: tuple[tuple[tuple[Step, ...] | None, ...], tuple[tuple[Step, ...] | None, ...]]
    codes: Codes

    @property
    def unknown(self) -> bool:
        """Whether there are operations whose noise is not known."""
        return any(steps is None for steps in self.circuits[0])

    def of(self, twirled: bool) -> Terms:
        """Return the terms of circuits as they are written, or twirled."""
        return self.twirled if twirled else self.plain

    def at(self, gains: Iterable[tuple[bool, float]]) -> PubTerms:
        """Return the same with values under multiples of the noise worked out, of either kind, where that is quick."""
        asked = set(gains)
        if not self.exact:
            return self
        changed: dict[bool, Terms] = {}
        for kind in (False, True):
            wanted = np.array(sorted(gain for own, gain in asked if own == kind))
            changed[kind] = self.of(kind)
            found = [
                None if steps is None or not len(wanted) else _quick_values(steps, self.codes, wanted)
                for steps in self.circuits[kind]
            ]
            parts = [values for values in found if values is not None]
            if parts and len(parts) == len(found):
                values = dict(zip(wanted.tolist(), np.concatenate(parts, axis=1), strict=True))
                changed[kind] = evolve(changed[kind], known=values)
        return evolve(self, plain=changed[False], twirled=changed[True])


def _quick_values(steps: Sequence[Step], codes: Codes, gains: Floats) -> Floats | None:
    """Return values under noise, float64 ``(N, T)``, None where that takes long: all terms together or one by one."""
    found = noisy_values(steps, codes, gains, _MOST_PAULIS)
    if found is not None:
        return found
    parts = []
    for row in codes:
        alone = noisy_values(steps, row[None], gains, _MOST_PAULIS)
        if alone is None:
            return None
        parts.append(alone)
    return np.concatenate(parts, axis=1)


def pub_terms(pub: EstimatorPub, noise: DeviceNoise, typical: float, path: str) -> PubTerms:
    """Return the terms of a PUB.

    Args:
        pub: The PUB; circuits on the device's gates and qubits.
        noise: Of the device.
        typical: Size of a term whose ideal value takes too long to find; its sign is that of its coefficient.
        path: What messages call it.

    Raises:
        InputError: The observables do not fit, or nothing is known of the noise of a layer.
        UnsupportedError: Observables have too many projectors.
    """
    observables, problems = parse(pub.observables, pub.circuit.num_qubits, path)
    InputError.check(problems)
    observables = expand_projectors(observables)
    rows = pub.parameter_values.as_array(pub.circuit.parameters)
    shape = rows.shape[:-1]
    rows = rows.reshape(int(np.prod(shape)), pub.circuit.num_parameters)
    which_set = np.broadcast_to(np.arange(len(rows)).reshape(shape), pub.shape).ravel()
    ids = np.arange(len(observables.constants)).reshape(observables.shape)
    which = np.broadcast_to(ids, pub.shape).ravel()
    used = np.unique(which_set)
    looked_at = (
        used[np.unique(np.linspace(0, len(used) - 1, MAX_SETS).round().astype(int))] if len(used) else used
    )
    letters, term_of = (
        np.unique(observables.letters, axis=0, return_inverse=True)
        if len(observables.letters)
        else (observables.letters, np.zeros(0, dtype=np.int64))
    )
    matrix = sp.csr_array(
        (observables.coefficients, (observables.owner, term_of.ravel())),
        shape=(len(observables.constants), len(letters)),
    )
    signs = np.sign(np.asarray(matrix.sum(axis=0)).ravel())
    circuit = without_final_measurements(pub.circuit)
    plain, twirled, blocks, unsure, exact = [], [], [], [], True
    for index in looked_at:
        bound = circuit.assign_parameters(rows[index]) if circuit.num_parameters else circuit
        values = quick_term_values(bound, letters) if exact and len(letters) else None
        if values is None:
            exact = exact and not len(letters)
            values = typical * np.where(signs == 0, 1.0, signs)
        written, anew, uncertainty = _noisy(template_of(bound), letters, values, noise)
        plain.append(written)
        twirled.append(anew)
        unsure.append(uncertainty)
        blocks.append(matrix[which[which_set == index]])
    return PubTerms(
        plain=_joined([terms for terms, _ in plain]),
        twirled=_joined([terms for terms, _ in twirled]),
        sums=sp.csr_array(sp.block_diag(blocks)) if blocks else sp.csr_array((0, 0)),
        exact=exact,
        uncertainty=np.concatenate([np.zeros(0), *unsure]),
        circuits=(tuple(steps for _, steps in plain), tuple(steps for _, steps in twirled)),
        codes=_CODE_OF_LETTER[letters],
    )


def _joined(parts: list[Terms]) -> Terms:
    names = ("values", "decays", "blurs", "factors", "offsets", "rates")
    joined = {name: np.concatenate([np.zeros(0), *(getattr(part, name) for part in parts)]) for name in names}
    return Terms(
        joined["values"],
        joined["decays"],
        joined["blurs"],
        joined["factors"],
        joined["offsets"],
        joined["rates"],
    )


_Noisy = tuple[Terms, tuple[Step, ...] | None]


def _noisy(
    template: Template, letters: Codes, values: Floats, noise: DeviceNoise
) -> tuple[_Noisy, _Noisy, Floats]:
    """Return the terms and steps of a circuit as it is written and twirled, and how well noise would be learned."""
    wide = twirled_template(template, "active-accum")
    places = occurrences(wide)
    distinct = list(dict.fromkeys(place.layer for place in places))
    models = dict(zip(distinct, noise.layers(distinct), strict=True)) if distinct else {}
    masks = light_cones(wide, np.zeros((1, 0)), _CODE_OF_LETTER[letters])
    size = len(letters)
    decays, rates, open_, errors = (np.zeros(size) for _ in range(4))
    by_layer: dict[int, Floats] = {}
    for place in places:
        model = models[place.layer]
        relevant, share = relevance(masks, place.dressings, model.generators)
        decays += 2 * model.rates @ share
        rates += model.rates @ relevant
        open_ += 2 * model.rates @ (share * (relevant & (share < 1)))
        seen = (model.rates @ relevant) / max(float(model.rates.sum()), 1e-300)
        by_layer[id(model)] = by_layer.get(id(model), 0.0) + seen * np.sqrt(len(place.layer.gates))
    for amount in by_layer.values():
        errors = np.hypot(errors, _LEARNED * amount)
    factors, offsets = _readout(letters, noise)
    written = [
        sum(noise.one_qubit(wide.circuit.data[i].name, (dressing.qubit,)) for i in dressing.instructions)
        for dressing in wide.dressings
    ]
    # Of two Paulis out of four twirling makes a pulse where there was none.
    anew = [
        max(decay, noise.pulse(dressing.qubit) / 2)
        for decay, dressing in zip(written, wide.dressings, strict=True)
    ]
    found: list[_Noisy] = []
    for one_qubit in (written, anew):
        own, more = decays.copy(), rates.copy()
        for d, decay in enumerate(one_qubit):
            if decay:
                own += decay * _ACTING[masks[:, d]]
                # A depolarised qubit has three errors of equal rates, of which two change any Pauli.
                more += decay / 4 * _NOTICED[masks[:, d]]
        terms = Terms(values, own, BLUR * open_, factors, offsets, more)
        found.append((terms, _steps(wide, places, models, one_qubit)))
    return found[0], found[1], errors


def _steps(
    template: Template,
    places: Sequence[Occurrence],
    models: Mapping[Layer, LayerModel],
    one_qubit: list[float],
) -> tuple[Step, ...] | None:
    """Return the unitaries and the noise of a circuit, layer by layer; None if it has other operations."""
    euler = template.euler(np.zeros((1, len(template.expressions))))[0]
    at = {place.index: place for place in places}
    layers: dict[int, list[Op]] = {}
    steps: list[Step] = []
    rest = dict.fromkeys(range(len(template.dressings)))
    transfers: dict[int, Floats] = {}

    def dress(d: int) -> None:
        rest.pop(d)
        qubits = (template.dressings[d].qubit,)
        transfer = transfer_matrix(_matrix(euler[d]))
        if not np.array_equal(transfer, np.eye(4)):
            steps.append(Step(qubits, transfer))
        if one_qubit[d]:
            steps.append(Step(qubits, None, _XYZ, np.full(3, one_qubit[d] / 4)))

    for op in template.ops:
        layers.setdefault(op.layer, []).append(op)
    for index in sorted(layers):
        for op in layers[index]:
            for d in op.before:
                dress(d)
        if index in at:
            model = models[at[index].layer]
            steps.append(Step(model.layer.qubits, None, model.generators, model.rates))
        for op in layers[index]:
            if op.instruction is None:
                continue
            if not op.matrices:
                return None
            key = id(op.matrices)
            if key not in transfers:
                transfers[key] = transfer_matrix(op.matrices[0])
            steps.append(Step(op.qubits, transfers[key]))
    for d in list(rest):
        dress(d)
    return tuple(steps)


def _matrix(euler: Floats) -> NDArray[np.complex128]:
    """Return Rz(phi) Ry(theta) Rz(lam) up to phase."""
    theta, phi, lam = euler
    cos, sin = np.cos(theta / 2), np.sin(theta / 2)
    return np.array(
        [[cos, -np.exp(1j * lam) * sin], [np.exp(1j * phi) * sin, np.exp(1j * (phi + lam)) * cos]]
    )


def _readout(letters: Codes, noise: DeviceNoise) -> tuple[Floats, Floats]:
    """Return what readout leaves of each term, and what it adds to terms on one qubit."""
    factors, offsets = np.ones(len(letters)), np.zeros(len(letters))
    weight = (letters > 0).sum(axis=1)
    for qubit in np.flatnonzero(letters.any(axis=0)):
        up, down = noise.readout(int(qubit))  # 1 read for 0, and 0 for 1
        on = letters[:, qubit] > 0
        factors[on] *= 1 - up - down
        offsets[on & (weight == 1)] = down - up
    return factors, offsets
