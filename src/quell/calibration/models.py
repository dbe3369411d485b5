"""Noise models from elsewhere, as the models that quell uses.

All forms come down to a layer and a sparse Pauli-Lindblad channel. quell's own convention is that the channel acts just
before the gates of the layer. `site` says where that of a given map acts; noise "after" the gates is carried through
them, ``Lambda U = U (U^dagger Lambda U)``, which is exact for Clifford gates.

The vendor's forms: a `LayerError` of ``NoiseLearnerResult`` has the noise before the layer, as the protocol that it
comes from (arXiv:2201.09866). A box has it where its `InjectNoise` annotation says, which by default is after the
gates. Models that are learned from even powers of a layer cannot tell the two apart, and are usually the same in both
places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction
from qiskit.quantum_info import PauliLindbladMap, PauliList

from ..circuits.layers import Layer, images, layer_problems, occurrences
from ..circuits.template import template_of
from ..errors import InputError, Problem, QuellError
from ..kernels.lindblad import conjugated
from .layers import LayerModel
from .store import CalibrationStore

Codes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Site = Literal["before", "after"]

_SITES: Final = ("before", "after")
_NOT_A_LAYER: Final = "its layer cannot be read"


def layer_models(
    value: Any, *, site: Site = "before", path: str = "layer_noise_model"
) -> tuple[LayerModel, ...]:
    """Return noise models of layers in any of the forms that users have.

    Args:
        value: A `CalibrationStore`, one of the following, or several of them:

            - a `LayerModel`, or the dict that its `to_dict` makes;
            - a pair (layer, noise). The layer is a circuit that has its gates (one-qubit gates belong to the
              dressings and do not count), a box as an instruction of a circuit, or a `Layer`. The noise is a
              `PauliLindbladMap` on the qubits of the layer, ascending, or on all of the circuit; or a result of the
              vendor's learner. With noise on all of a circuit or box, its qubits without a gate are known to wait;
            - a `LayerError` of the vendor's learner, or the `NoiseLearnerResult` that has them.
        site: Where the noise of pairs and of the vendor's results acts: "before" the gates or "after" them; the
            annotation of a box wins.
        path: What to call them in messages.

    Raises:
        InputError: Listing everything that is wrong with them, by number and gates.
    """
    if site not in _SITES:
        raise InputError.of([Problem("site", f"must be 'before' or 'after' (got {site!r})")])
    if isinstance(value, CalibrationStore):
        return tuple(value.layer_models())
    problems: list[Problem] = []
    found: list[LayerModel] = []
    numbers: dict[Layer, int] = {}
    for number, item in enumerate(_items(value, path)):
        name = f"{path}[{number}]"
        try:
            layer, model = _given(item, site)
            if layer is None:
                continue
            name = f"{name} ({layer.describe()})"
            first = numbers.setdefault(layer, number)
            if first != number:
                problems.append(Problem(name, f"is for the same layer as {path}[{first}]", "leave one out"))
            found.append(model())
        except QuellError as error:
            problems += [evolve(p, path=f"{name}.{p.path}") for p in error.problems]
        except (ValueError, TypeError) as error:
            problems.append(Problem(name, str(error)))
    InputError.check(problems)
    return tuple(found)


def _items(value: Any, path: str) -> list[Any]:
    """Return what may each be a model.

    Raises:
        InputError: It is nothing that has models.
    """
    single = isinstance(value, (LayerModel, Mapping)) or hasattr(value, "error")
    if single or (isinstance(value, tuple) and len(value) == 2 and _is_layer(value[0])):
        return [value]
    data = getattr(value, "data", value)
    if isinstance(data, (str, bytes)) or not isinstance(data, Iterable):
        rule = f"must be noise models of layers, not {type(value).__name__}"
        fix = "give LayerModel objects, pairs of a layer and a PauliLindbladMap, or a CalibrationStore"
        raise InputError.of([Problem(path, rule, fix)])
    return list(data)


def _is_layer(value: Any) -> bool:
    return isinstance(value, (Layer, QuantumCircuit, CircuitInstruction))


@frozen
class _Place:
    """A layer, its qubits in the order in which noise on it may name them, and how wide what it is cut from is."""

    layer: Layer
    qubits: tuple[int, ...]
    width: int | None
    site: Site


def _given(item: Any, site: Site) -> tuple[Layer | None, Any]:
    """Return the layer of an item, None for none, and a function that makes its model; so errors can name the layer.

    Raises:
        ValueError: It is nothing that has a layer.
        InputError: The layer is none.
    """
    if isinstance(item, LayerModel):
        return item.layer, lambda: _checked(item)
    if isinstance(item, Mapping):
        model = LayerModel.from_dict(item)
        return model.layer, lambda: model
    if isinstance(item, Sequence) and len(item) == 2 and _is_layer(item[0]):
        noise = item[1]
        place = _place(item[0], noise, site)
        return place.layer, lambda: _model(place, *_terms(noise, place))
    if all(hasattr(item, name) for name in ("circuit", "qubits", "error")):
        if item.error is None:
            return None, None  # the vendor's way to say that it does not know
        qubits = tuple(int(q) for q in item.qubits)
        wide = QuantumCircuit(max(qubits, default=-1) + 1)
        wide.compose(item.circuit.remove_final_measurements(inplace=False), qubits, inplace=True)
        gates = _layer_of(wide)
        layer = evolve(gates, spectators=tuple(sorted(set(qubits) - set(gates.qubits))))
        place = _Place(layer, qubits, None, site)
        return layer, lambda: _model(place, *_terms(item.error, place))
    raise ValueError(
        "must be a LayerModel, its dict, a pair of a layer and a PauliLindbladMap, or a LayerError, not "
        f"{type(item).__name__}"
    )


def _checked(model: LayerModel) -> LayerModel:
    LayerModel.of(model.layer, np.asarray(model.generators), model.rates, model.source)
    return model


def _place(where: Any, noise: Any, site: Site) -> _Place:
    """Return the layer that a user names, and what noise may refer to.

    Raises:
        ValueError: It is none.
        InputError: It has gates whose noise is not that of a Pauli layer.
    """
    if isinstance(where, Layer):
        return _Place(where, where.qubits, None, site)
    if isinstance(where, QuantumCircuit):
        gates, width = _layer_of(where), where.num_qubits
        if _width(noise) == width:
            others = tuple(sorted(set(range(width)) - set(gates.qubits)))
            return _Place(evolve(gates, spectators=others), tuple(range(width)), width, site)
        return _Place(gates, gates.qubits, width, site)
    return _place_of_box(where, site)


def _place_of_box(instruction: CircuitInstruction, site: Site) -> _Place:
    blocks: Any = getattr(instruction.operation, "blocks", ())
    if instruction.name != "box" or len(blocks) != 1:
        raise ValueError(f"{_NOT_A_LAYER}: the instruction is {instruction.name}, not a box")
    indices = [getattr(bit, "_index", None) for bit in instruction.qubits]
    if any(index is None for index in indices):
        raise ValueError(
            f"{_NOT_A_LAYER}: the qubits of the box have no index; give a circuit with its gates"
        )
    qubits = tuple(int(index) for index in indices if index is not None)
    wide = QuantumCircuit(max(qubits) + 1)
    for inner in blocks[0].data:
        if inner.operation.num_clbits == 0:
            wide.append(inner.operation, [qubits[blocks[0].find_bit(bit).index] for bit in inner.qubits])
    gates = _layer_of(wide)
    layer = evolve(gates, spectators=tuple(sorted(set(qubits) - set(gates.qubits))))
    sites = [getattr(a, "site", None) for a in getattr(instruction.operation, "annotations", ())]
    named = [getattr(s, "value", s) for s in sites if s is not None]
    return _Place(layer, tuple(sorted(qubits)), None, named[0] if named and named[0] in _SITES else site)


def _layer_of(circuit: QuantumCircuit) -> Layer:
    """Return the two-qubit gates of a circuit that has one layer of them.

    Raises:
        ValueError: It has more than one, or none.
        InputError: It has gates whose noise is not that of a Pauli layer.
    """
    template = template_of(circuit)
    InputError.check(layer_problems(template, "circuit", "this model"))
    found = occurrences(template)
    if len(found) != 1:
        raise ValueError(f"{_NOT_A_LAYER}: the circuit has {len(found)} layers of two-qubit gates, not one")
    return found[0].layer


def _width(noise: Any) -> int | None:
    width = getattr(noise, "num_qubits", None)
    if width is None and hasattr(noise, "to_pauli_lindblad_map"):
        width = noise.to_pauli_lindblad_map().num_qubits
    return None if width is None else int(width)


def _terms(noise: Any, place: _Place) -> tuple[Codes, Floats]:
    """Return generators, on the qubits of a layer, and rates.

    Raises:
        ValueError: The noise is none, or for other qubits.
    """
    if hasattr(noise, "to_pauli_lindblad_map"):
        noise = noise.to_pauli_lindblad_map()
    if isinstance(noise, PauliLindbladMap):
        # Equal generators add up; so they do in the channel.
        simple = noise.simplify()
        terms = [(letters, list(at), float(rate)) for letters, at, rate in simple.to_sparse_list()]
        rates = np.array([rate for _, _, rate in terms], dtype=np.float64)
        codes = np.zeros((len(terms), simple.num_qubits), dtype=np.uint8)
        for row, (letters, at, _) in zip(codes, terms, strict=True):
            row[at] = ["IXZY".index(letter) for letter in letters]
    elif isinstance(getattr(noise, "generators", None), PauliList) and hasattr(noise, "rates"):
        codes = noise.generators.x.astype(np.uint8) | noise.generators.z.astype(np.uint8) << 1
        rates = np.asarray(noise.rates, dtype=np.float64)
    else:
        raise ValueError(f"has noise of type {type(noise).__name__}; give a PauliLindbladMap")
    acting = codes.any(axis=1)  # the identity does nothing
    return _on_layer(codes[acting], place), rates[acting] if rates.shape == acting.shape else rates


def _on_layer(codes: Codes, place: _Place) -> Codes:
    """Return the columns of codes that belong to the qubits of the layer.

    Raises:
        ValueError: They are on other qubits.
    """
    own, width = place.layer.qubits, codes.shape[1]
    if width == len(place.qubits):
        column = {qubit: i for i, qubit in enumerate(place.qubits)}
    elif (place.width is None and width > max(own)) or width == place.width:
        column = {qubit: qubit for qubit in range(width)}
    else:
        raise ValueError(f"has noise on {width} qubits, but the layer has {len(own)}: {list(own)}")
    strangers = [q for q, i in column.items() if q not in own and codes[:, i].any()]
    if strangers:
        raise ValueError(
            f"has noise on the qubits {strangers}, which are not among those of the layer: {list(own)}"
        )
    return codes[:, [column[q] for q in own]]


def _model(place: _Place, codes: Codes, rates: Floats) -> LayerModel:
    if place.site == "after":
        codes = _before(place.layer, codes)
    return LayerModel.of(place.layer, codes, rates, f"noise given for {place.layer.describe()}")


def _before(layer: Layer, codes: Codes) -> Codes:
    """Return the Paulis before the gates that do what these do after them."""
    backwards = [(table[:, [2, 3, 0, 1]], places) for table, places in images(layer)]
    return conjugated(codes, backwards)


# --- Aer ---------------------------------------------------------------------------------------

_NEGATIVE: Final = 1e-9  # rates below its negative are no rounding
_ZERO: Final = 1e-12  # rates below are rounding
_PAULIS: Final = np.array(
    [[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[1, 0], [0, -1]], [[0, -1j], [1j, 0]]], dtype=complex
)


def models_of_aer(noise_model: Any, layers: Sequence[Layer]) -> tuple[LayerModel, ...]:
    """Return the exact Pauli-Lindblad models of layers under a noise model of Aer, as twirling makes it.

    The errors of the two-qubit gates count, and nothing else: those of one-qubit gates belong to the dressings, waiting
    qubits have none, and errors of delays, resets and the readout are no noise of a layer. Aer's errors act after their
    gates and are carried before them.

    Args:
        noise_model: A `qiskit_aer.noise.NoiseModel`.
        layers: Layers that know their operations, as `circuits.layers.occurrences` returns them.

    Raises:
        InputError: A twirled error is no Pauli-Lindblad channel, because a rate is negative or a Pauli is lost.
        UnsupportedError: A layer knows only the names of its gates.
    """
    local = getattr(noise_model, "_local_quantum_errors", None)
    default = getattr(noise_model, "_default_quantum_errors", None)
    if not isinstance(local, Mapping) or not isinstance(default, Mapping):
        rule = f"must be a NoiseModel of qiskit_aer, not {type(noise_model).__name__}"
        raise InputError.of([Problem("noise_model", rule)])
    problems: list[Problem] = []
    models = []
    for number, layer in enumerate(layers):
        place = {qubit: i for i, qubit in enumerate(layer.qubits)}
        codes, rates = [], []
        for gate, operation in zip(layer.gates, layer.operations or (None,) * len(layer.gates), strict=True):
            name = str(getattr(operation, "label", None) or gate[0])
            qubits = gate[2]
            error = _error_of(local.get(name, {}), default.get(name), qubits)
            if error is None:
                continue
            try:
                own = _rates_of(error)
            except ValueError as wrong:
                text = f"{name} {qubits} in layer {number} ({layer.describe()}): {wrong}"
                problems.append(
                    Problem("noise_model", text, "use a model whose errors are weak Pauli channels")
                )
                continue
            for pair in np.flatnonzero(own):
                code = np.zeros(len(layer.qubits), dtype=np.uint8)
                code[place[qubits[0]]], code[place[qubits[1]]] = pair & 3, pair >> 2
                codes.append(code)
                rates.append(float(own[pair]))
        array = np.array(codes, dtype=np.uint8).reshape(-1, len(layer.qubits))
        models.append(
            LayerModel.of(layer, _before(layer, array), rates, f"noise model of Aer, {layer.describe()}")
        )
    InputError.check(problems)
    return tuple(models)


def _error_of(local: Mapping[Any, Any], default: Any, qubits: tuple[int, ...]) -> Any:
    """Return the superoperator of the error of a gate on qubits, None for none."""
    if qubits in local:
        return _superoperator(local[qubits])
    if qubits[::-1] in local:  # a symmetric gate, whose qubits a layer lists in ascending order
        swap = np.eye(4)[[0, 2, 1, 3]]
        both = np.kron(swap, swap)
        return both @ _superoperator(local[qubits[::-1]]) @ both
    return None if default is None else _superoperator(default)


def _superoperator(error: Any) -> NDArray[np.complex128]:
    """Return the superoperator of a quantum error, columns stacked, complex ``(16, 16)``."""
    return np.asarray(error.to_quantumchannel().data, dtype=complex)


def _rates_of(superoperator: NDArray[np.complex128]) -> Floats:
    """Return the rates of a twirled two-qubit channel by Pauli, code of the first qubit plus 4 x that of the second.

    Raises:
        ValueError: It is no Pauli-Lindblad channel.
    """
    if superoperator.shape != (16, 16):
        raise ValueError(f"its error is not on two qubits (superoperator {superoperator.shape})")
    codes = np.arange(16)
    paulis = np.array([np.kron(_PAULIS[code >> 2], _PAULIS[code & 3]) for code in codes])
    columns = paulis.transpose(0, 2, 1).reshape(16, 16)  # columns stacked
    fidelities = np.einsum("pi,ij,pj->p", columns.conj(), superoperator, columns).real / 4
    if fidelities.min() <= 1e-12:
        raise ValueError(f"twirling leaves nothing of a Pauli (fidelity {fidelities.min():.3g})")
    # Inverse Walsh transform: -log f_P = 2 sum_Q rate_Q [P and Q anticommute].
    first = (codes[:, None] & 3, codes[:, None] >> 2)
    second = (codes[None, :] & 3, codes[None, :] >> 2)
    odd = sum(((a & 1) & (b >> 1)) ^ ((a >> 1) & (b & 1)) for a, b in zip(first, second, strict=True))
    signs = 1 - 2 * (np.asarray(odd) % 2)
    rates: Floats = signs @ np.log(fidelities) / 16
    rates[0] = 0.0
    if rates.min() < -_NEGATIVE:
        raise ValueError(f"its twirled error needs a negative rate ({rates.min():.3g})")
    return np.where(rates > _ZERO, rates, 0.0)
