"""The noise of a layer as a sparse Pauli-Lindblad channel (arXiv:2201.09866), learned or given.

A channel is a list of Paulis, its generators, each with a rate: ``exp(sum_k rate_k (P_k . P_k - 1))``. It acts just
before the gates of its layer. Rates come with their covariance in factor form, see `kernels.statistics`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from qiskit.quantum_info import PauliLindbladMap

from ..circuits.layers import Layer, LayerGate
from ..errors import InputError, Problem
from ..kernels.statistics import Deviations

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]

_LETTERS: Final = "IXZY"  # in the order of codes
_CODE_OF: Final = {letter: code for code, letter in enumerate(_LETTERS)}
_SHOWN: Final = 5  # values that a message lists
_LARGEST: Final = 1000.0  # whatever is measured, a rate is not more than a few; more is no rate


@frozen(eq=False)
class LayerModel:
    """The Pauli-Lindblad noise of one layer.

    Attributes:
        layer: The layer; the noise acts just before its gates.
        generators: Pauli codes, one column for each of ``layer.qubits``, uint8 ``(K, n)``.
        rates: Rate of each generator for one run of the layer, not negative, float64 ``(K,)``.
        deviations: How well the rates are known; no rows where they are exact.
        quality: How well the noise fits this form, plain data.
        source: What errs, where several results share it: the requirement it was learned for, or a name.
    """

    layer: Layer
    generators: Codes
    rates: Floats
    deviations: Deviations
    quality: Mapping[str, Any] = field(factory=dict)
    source: Hashable = None

    @classmethod
    def of(
        cls, layer: Layer, generators: Codes | Sequence[str], rates: Sequence[float] | Floats, name: Hashable
    ) -> Self:
        """Return a model that is known exactly.

        Args:
            layer: The layer.
            generators: Codes ``(K, n)`` in the order of ``layer.qubits``, or labels such as ``X0 Z1``.
            rates: Rate of each.
            name: The source of the model.

        Raises:
            InputError: Naming everything that is wrong with generators and rates.
        """
        problems: list[Problem] = []
        codes = _codes(layer, generators, problems)
        values = _rates(rates, problems)
        if not problems:
            _check(layer, codes, values, problems)
        InputError.check(_located(problems, layer))
        exact = Deviations(np.zeros((0, len(values))), np.inf, name)
        return cls(layer, codes, values, exact, {}, name)

    @classmethod
    def of_map(cls, layer: Layer, channel: PauliLindbladMap, name: Hashable = "PauliLindbladMap") -> Self:
        """Return Qiskit's form of such a channel as a model that is known exactly.

        Args:
            layer: The layer.
            channel: On as many qubits as the layer has, in their ascending order, or on those of the whole device.
            name: The source of the model.

        Raises:
            InputError: It acts on other qubits, or a rate is negative or not finite.
        """
        qubits, width = layer.qubits, int(channel.num_qubits)
        compact = width == len(qubits)
        if not compact and width <= max(qubits, default=-1):
            rule = f"acts on {width} qubits, the layer on {len(qubits)}: {layer.describe()}"
            raise InputError.of([Problem("PauliLindbladMap", rule, "give one on the qubits of the layer")])
        labels, rates = [], []
        for letters, places, rate in channel.simplify().to_sparse_list():
            own = [qubits[i] for i in places] if compact else places
            if len(places):
                labels.append(" ".join(f"{letter}{q}" for letter, q in zip(letters, own, strict=True)))
                rates.append(rate)
        return cls.of(layer, labels, rates, name)

    @property
    def labels(self) -> tuple[str, ...]:
        """The generators with the qubits they act on, such as ``X0 Z1``."""
        qubits = self.layer.qubits
        return tuple(label(codes, qubits) for codes in self.generators)

    @property
    def gamma(self) -> float:
        """Overhead of cancelling the noise: the sum of the sizes of quasi-probabilities."""
        return math.exp(2 * float(self.rates.sum()))

    @property
    def stds(self) -> Floats:
        """Standard errors of the rates, float64 ``(K,)``."""
        stds: Floats = np.sqrt(self.deviations.variance)
        return stds

    def restricted(self, layer: Layer) -> LayerModel:
        """Return the noise as qubits of a layer see it that fewer qubits wait in.

        Generators are cut to these qubits, and those that become equal are added up. This is exact.

        Raises:
            InputError: The layer has other gates, or qubits that are not known here.
        """
        if layer == self.layer:
            return self
        if not self.layer.covers(layer):
            rule = f"is for another layer ({self.layer.describe()}) than {layer.describe()}"
            raise InputError.of([Problem("noise model", rule, "learn the noise of this layer")])
        kept = np.searchsorted(self.layer.qubits, layer.qubits)
        cut = self.generators[:, kept]
        acting = np.flatnonzero(cut.any(axis=1))
        # First come, first kept, so that the order of generators stays.
        _, first, group = np.unique(cut[acting], axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first)
        place = np.argsort(order)[group.ravel()]
        adding = np.zeros((len(self.rates), len(order)))
        adding[acting, place] = 1.0
        return evolve(
            self,
            layer=layer if layer.operations else evolve(layer, operations=self.layer.operations),
            generators=cut[acting][np.sort(first)],
            rates=self.rates @ adding,
            deviations=evolve(self.deviations, rows=self.deviations.rows @ adding),
        )

    def pauli_lindblad_map(self, num_qubits: int | None = None) -> PauliLindbladMap:
        """Return the channel as Qiskit's own.

        Args:
            num_qubits: Width of the device, to act on its qubits; on those of the layer alone by default, in
                ascending order.
        """
        qubits = self.layer.qubits
        places = range(len(qubits)) if num_qubits is None else qubits
        terms = []
        for codes, rate in zip(self.generators, self.rates, strict=True):
            support = np.flatnonzero(codes)
            letters = "".join(_LETTERS[codes[i]] for i in support)
            terms.append((letters, [places[i] for i in support], float(rate)))
        return PauliLindbladMap.from_sparse_list(terms, len(qubits) if num_qubits is None else num_qubits)

    def to_dict(self) -> dict[str, Any]:
        """Return the model as plain data for JSON."""
        dof = float(self.deviations.dof)
        data = {
            "layer": {
                "gates": [
                    {"name": name, "params": list(params), "qubits": list(qubits)}
                    for name, params, qubits in self.layer.gates
                ],
                "spectators": list(self.layer.spectators),
            },
            "generators": list(self.labels),
            "rates": self.rates.tolist(),
            "deviations": {
                "rows": self.deviations.rows.tolist(),
                "dof": None if math.isinf(dof) else dof,
            },
            "quality": _plain(self.quality),
        }
        # What errs together must still be known as the same when it is read again.
        source = self.source
        if not isinstance(source, str):
            text = json.dumps([data["layer"], data["rates"], data["deviations"]], sort_keys=True)
            source = f"layer noise {hashlib.sha256(text.encode()).hexdigest()[:16]}"
        return {**data, "source": source}

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Return a model from plain data, as `to_dict` makes it.

        Raises:
            InputError: Naming everything that is wrong with it.
        """
        problems: list[Problem] = []
        parts = _fields(
            data, "model", ("layer", "generators", "rates", "deviations", "quality", "source"), problems
        )
        InputError.check(problems)
        layer = _layer(parts.get("layer"), problems)
        values = _rates(parts.get("rates"), problems)
        codes = np.zeros((0, 0), dtype=np.uint8)
        if layer is not None:
            codes = _codes(layer, parts.get("generators"), problems)
        rows, dof = _deviations(parts.get("deviations"), len(codes) or len(values), problems)
        quality, source = parts.get("quality"), parts.get("source")
        if not isinstance(quality, Mapping) or not _is_plain(quality):
            problems.append(Problem("quality", "must be a table of finite numbers and text"))
        if not isinstance(source, str):
            problems.append(Problem("source", f"must be text, got {source!r:.40}"))
        if layer is not None and not problems:
            _check(layer, codes, values, problems)
        InputError.check(_located(problems, layer))
        assert layer is not None
        assert isinstance(quality, Mapping)
        deviations = Deviations(rows, dof, source)
        return cls(layer, codes, values, deviations, dict(quality), source)


def _located(problems: Sequence[Problem], layer: Layer | None) -> list[Problem]:
    """Return problems whose rules say which layer they are of, where that is known."""
    if layer is None:
        return list(problems)
    return [evolve(p, rule=f"{p.rule} (noise of the layer {layer.describe()})") for p in problems]


def label(codes: Codes, qubits: Sequence[int]) -> str:
    """Return a Pauli as text, such as ``X0 Z1``; ``I`` for the identity."""
    return " ".join(f"{_LETTERS[code]}{q}" for code, q in zip(codes, qubits, strict=True) if code) or "I"


def _codes(layer: Layer, generators: Any, problems: list[Problem]) -> Codes:
    """Return generators as codes; problems say which of them are none."""
    qubits = layer.qubits
    if isinstance(generators, np.ndarray):
        valid = generators.ndim == 2 and generators.shape[1] == len(qubits) and generators.dtype.kind in "ui"
        if not valid or (len(generators) and (generators.min() < 0 or generators.max() > 3)):
            rule = (
                f"must be codes 0 to 3 of shape (K, {len(qubits)}), got {generators.dtype} {generators.shape}"
            )
            problems.append(Problem("generators", rule, f"one column for each of the qubits {list(qubits)}"))
            return np.zeros((0, len(qubits)), dtype=np.uint8)
        return generators.astype(np.uint8)
    if isinstance(generators, str) or not isinstance(generators, Sequence):
        problems.append(Problem("generators", f"must be a list of Paulis, got {generators!r:.40}"))
        return np.zeros((0, len(qubits)), dtype=np.uint8)
    place = {str(q): i for i, q in enumerate(qubits)}
    codes = np.zeros((len(generators), len(qubits)), dtype=np.uint8)
    for k, text in enumerate(generators):
        factors = text.split() if isinstance(text, str) else []
        own = [(_CODE_OF.get(factor[:1], 0), factor[1:]) for factor in factors]
        strangers = [q for code, q in own if code and q.isdecimal() and q not in place]
        path = f"generators[{k}]"
        if strangers:
            rule = f"{text} acts on the qubits {', '.join(strangers)}, the layer has {list(qubits)}"
            problems.append(Problem(path, rule, "give a model of this layer"))
        elif not own or any(not code or q not in place for code, q in own):
            problems.append(Problem(path, f"must be Paulis on qubits such as 'X0 Z1', got {text!r:.40}"))
        elif len({q for _, q in own}) < len(own):
            problems.append(Problem(path, f"{text} names a qubit twice"))
        else:
            for code, q in own:
                codes[k, place[q]] = code
    return codes


def _rates(rates: Any, problems: list[Problem]) -> Floats:
    """Return rates as an array; problems say which of them are no rates."""
    listed = rates.tolist() if isinstance(rates, np.ndarray) and rates.ndim == 1 else rates
    if isinstance(listed, str) or not isinstance(listed, Sequence):
        problems.append(Problem("rates", f"must be a list of numbers, got {rates!r:.40}"))
        return np.zeros(0)
    wrong = [k for k, rate in enumerate(listed) if not _is_rate(rate)]
    if wrong:
        shown = ", ".join(f"[{k}] {listed[k]!r:.20}" for k in wrong[:_SHOWN])
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        rule = f"must be numbers between 0 and {_LARGEST:g}, got {shown}{more}"
        problems.append(Problem("rates", rule, "noise of negative rate is no channel that a device can have"))
        return np.zeros(len(listed))
    return np.array(listed, dtype=np.float64)


def _is_rate(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= _LARGEST


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check(layer: Layer, codes: Codes, rates: Floats, problems: list[Problem]) -> None:
    """Add what is wrong with generators and rates that are well-formed."""
    qubits = layer.qubits
    if len(codes) != len(rates):
        problems.append(
            Problem("rates", f"must be one for each of {len(codes)} generators, got {len(rates)}")
        )
    seen: dict[bytes, int] = {}
    for k, row in enumerate(codes):
        if not row.any():
            problems.append(
                Problem(f"generators[{k}]", "is the identity, which does nothing", "leave it out")
            )
        first = seen.setdefault(row.tobytes(), k)
        if first != k:
            rule = f"{label(row, qubits)} is the same as generators[{first}]"
            problems.append(Problem(f"generators[{k}]", rule, "add their rates up"))


def _fields(data: Any, path: str, names: Sequence[str], problems: list[Problem]) -> Mapping[str, Any]:
    """Return a table with just these fields; problems say what is missing or too much."""
    if not isinstance(data, Mapping):
        problems.append(Problem(path, f"must be a table, got {data!r:.40}"))
        return {}
    missing, unknown = [n for n in names if n not in data], [str(n) for n in data if n not in names]
    if missing:
        problems.append(Problem(path, f"lacks {', '.join(missing)}"))
    if unknown:
        problems.append(Problem(path, f"has the unknown fields {', '.join(unknown)}"))
    return data


def _layer(data: Any, problems: list[Problem]) -> Layer | None:
    """Return a layer from plain data, None if it is wrong."""
    before = len(problems)
    parts = _fields(data, "layer", ("gates", "spectators"), problems)
    listed, spectators = parts.get("gates", ()), parts.get("spectators", ())
    if isinstance(listed, str) or not isinstance(listed, Sequence) or not listed:
        problems.append(Problem("layer.gates", f"must be a list of gates, got {listed!r:.40}"))
        listed = ()
    if not _are_qubits(spectators):
        problems.append(Problem("layer.spectators", f"must be different qubits, got {spectators!r:.40}"))
        spectators = ()
    gates: list[LayerGate] = []
    for k, entry in enumerate(listed):
        path = f"layer.gates[{k}]"
        own = _fields(entry, path, ("name", "params", "qubits"), problems)
        name, params, qubits = own.get("name"), own.get("params"), own.get("qubits")
        if not isinstance(name, str) or not name:
            problems.append(Problem(f"{path}.name", f"must be the name of a gate, got {name!r:.40}"))
        if not isinstance(params, list | tuple) or not all(map(_is_number, params)):
            problems.append(Problem(f"{path}.params", f"must be finite numbers, got {params!r:.40}"))
        if not _are_qubits(qubits) or len(qubits or ()) != 2:
            problems.append(Problem(f"{path}.qubits", f"must be two different qubits, got {qubits!r:.40}"))
        if len(problems) == before:
            gates.append((str(name), tuple(map(float, params)), tuple(qubits)))  # type: ignore[arg-type]
    if len(problems) > before:
        return None
    layer = Layer(tuple(sorted(gates, key=lambda gate: gate[2])), tuple(sorted(spectators)))
    if len(set(layer.qubits)) < len(layer.qubits):
        problems.append(Problem("layer", f"names a qubit twice: {layer.describe()}"))
        return None
    return layer


def _are_qubits(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and all(isinstance(q, int) and not isinstance(q, bool) and q >= 0 for q in value)
        and len(set(value)) == len(value)
    )


def _deviations(data: Any, size: int, problems: list[Problem]) -> tuple[Floats, float]:
    """Return deviation rows and their degrees of freedom."""
    parts = _fields(data, "deviations", ("rows", "dof"), problems)
    rows, dof = parts.get("rows"), parts.get("dof")
    if dof is not None and not (_is_number(dof) and dof >= 1):
        problems.append(
            Problem("deviations.dof", f"must be a number of at least 1, or null, got {dof!r:.40}")
        )
        dof = None
    if not isinstance(rows, list | tuple) or not all(
        isinstance(row, list | tuple) and len(row) == size and all(map(_is_number, row)) for row in rows
    ):
        problems.append(
            Problem("deviations.rows", f"must be rows of {size} finite numbers, got {rows!r:.40}")
        )
        return np.zeros((0, size)), np.inf
    array = np.array(rows, dtype=np.float64).reshape(len(rows), size)
    return array, np.inf if dof is None else float(dof)


def _plain(value: Any) -> Any:
    """Return nested tables and arrays as plain data."""
    if isinstance(value, Mapping):
        return {str(key): _plain(own) for key, own in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    return value


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(own) for key, own in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | bool) or _is_number(value)
