"""Noise models of layers as plain data, and reading these with distrust: everything that is wrong is listed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from ..circuits.layers import Layer, LayerGate
from ..errors import Problem

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]

LETTERS: Final = "IXZY"  # in the order of codes
_CODE_OF: Final = {letter: code for code, letter in enumerate(LETTERS)}
_SHOWN: Final = 5  # values that a message lists
_LARGEST: Final = 1000.0  # whatever is measured, a rate is not more than a few; more is no rate


def label(codes: Codes, qubits: Sequence[int]) -> str:
    """Return a Pauli as text, such as ``X0 Z1``; ``I`` for the identity."""
    return " ".join(f"{LETTERS[code]}{q}" for code, q in zip(codes, qubits, strict=True) if code) or "I"


def written_layer(layer: Layer) -> dict[str, Any]:
    """Return a layer as plain data; what its gates do is not written."""
    return {
        "gates": [
            {"name": name, "params": list(params), "qubits": list(qubits)}
            for name, params, qubits in layer.gates
        ],
        "spectators": list(layer.spectators),
    }


def plain_data(value: Any) -> Any:
    """Return nested tables and arrays as plain data."""
    if isinstance(value, Mapping):
        return {str(key): plain_data(own) for key, own in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain_data(value.tolist())
    if isinstance(value, list | tuple):
        return [plain_data(own) for own in value]
    return value


def read_fields(data: Any, path: str, names: Sequence[str], problems: list[Problem]) -> Mapping[str, Any]:
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


def read_layer(data: Any, problems: list[Problem]) -> Layer | None:
    """Return a layer from plain data, None if it is wrong."""
    before = len(problems)
    parts = read_fields(data, "layer", ("gates", "spectators"), problems)
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
        own = read_fields(entry, path, ("name", "params", "qubits"), problems)
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


def read_codes(layer: Layer, generators: Any, problems: list[Problem]) -> Codes:
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


def read_rates(rates: Any, problems: list[Problem]) -> Floats:
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


def read_deviations(data: Any, size: int, problems: list[Problem]) -> tuple[Floats, float]:
    """Return deviation rows and their degrees of freedom."""
    parts = read_fields(data, "deviations", ("rows", "dof"), problems)
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


def check_model(layer: Layer, codes: Codes, rates: Floats, problems: list[Problem]) -> None:
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


def located(problems: Sequence[Problem], layer: Layer | None) -> list[Problem]:
    """Return problems whose rules say which layer they are of, where that is known."""
    if layer is None:
        return list(problems)
    return [evolve(p, rule=f"{p.rule} (noise of the layer {layer.describe()})") for p in problems]


def _is_rate(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= _LARGEST


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_qubits(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and all(isinstance(q, int) and not isinstance(q, bool) and q >= 0 for q in value)
        and len(set(value)) == len(value)
    )


def is_plain(value: Any) -> bool:
    """Return whether nested data are tables, lists, text and finite numbers only."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_plain(own) for key, own in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return value is None or isinstance(value, str | bool) or _is_number(value)
