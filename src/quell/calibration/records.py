"""How requirements and what they find out are written down, by kind: plain data, and nothing that could run.

`KINDS` has one row for each. What the device can do, and the operations behind the names of gates, are not written:
whoever takes a record from a store puts in its own (`equipped`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from attrs import evolve, frozen

from ..circuits.layers import Layer
from . import plain
from .confusion import ReadoutConfusion, ReadoutCounts
from .layer_records import written_layer
from .layers import LayerModel
from .learning import LayerNoise
from .readout import ReadoutCalibration, TwirledReadout


@frozen
class Kind:
    """How one kind of requirement is written and read.

    Attributes:
        name: What records call it.
        requirement: Its class,
        write: as plain data,
        read: and from plain data, which raises `ValueError` or `QuellError`.
        calibration: The class of what is found out,
        write_calibration: as plain data,
        read_calibration: and from plain data.
        shots: How many shots a calibration has taken, where nobody counted them.
        quality: How good it is, as plain data.
        equipped: A requirement that was read, with what the one that asks knows of the device.
    """

    name: str
    requirement: type[Any]
    write: Callable[[Any], dict[str, Any]]
    read: Callable[[Any], Any]
    calibration: type[Any]
    write_calibration: Callable[[Any], dict[str, Any]]
    read_calibration: Callable[[Any], Any]
    shots: Callable[[Any, Any], int]
    quality: Callable[[Any], Mapping[str, Any]]
    equipped: Callable[[Any, Any], Any]


def read_layer(data: Any, num_qubits: int | None = None) -> Layer:
    """Return a layer from plain data; it knows its gates by name only.

    Raises:
        ValueError: The data are not those of a layer.
    """
    data = plain.mapping(data, ("gates", "spectators"))
    if not isinstance(data["gates"], list) or not data["gates"]:
        raise ValueError("gates must be a list of gates")
    gates = []
    for gate in data["gates"]:
        gate = plain.mapping(gate, ("name", "params", "qubits"))
        name, params = gate["name"], gate["params"]
        if not isinstance(name, str) or not isinstance(params, list) or not all(map(_is_finite, params)):
            raise ValueError("gates must have a name, and finite numbers as parameters")
        qubits = plain.qubits(gate["qubits"], f"qubits of {name}", num_qubits)
        gates.append((name, tuple(map(float, params)), qubits))
    spectators = plain.integers(data["spectators"], "spectators", ascending=True)
    used = [q for _, _, qubits in gates for q in qubits] + list(spectators)
    if len(set(used)) < len(used):
        raise ValueError("gates and spectators must not share qubits")
    if num_qubits is not None and max(used) >= num_qubits:
        raise ValueError(f"spectators names qubit {max(used)} of {num_qubits}")
    return Layer(tuple(sorted(gates, key=lambda gate: gate[2])), spectators)


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))


def _write_layer_noise(requirement: LayerNoise) -> dict[str, Any]:
    return {
        "layer": written_layer(requirement.layer),
        "num_qubits": requirement.num_qubits,
        "pairs": [list(pair) for pair in requirement.pairs],
        "depths": list(requirement.depths),
        "num_randomizations": requirement.num_randomizations,
        "shots": requirement.shots,
    }


def _read_layer_noise(data: Any) -> LayerNoise:
    names = ("layer", "num_qubits", "pairs", "depths", "num_randomizations", "shots")
    data = plain.mapping(data, names)
    num_qubits = plain.integer(data, "num_qubits", 1)
    layer = read_layer(data["layer"], num_qubits)
    if not isinstance(data["pairs"], list):
        raise ValueError("pairs must be a list of pairs of qubits")
    pairs = [plain.qubits(pair, "pairs", num_qubits) for pair in data["pairs"]]
    if not all(len(pair) == 2 and set(pair) <= set(layer.qubits) for pair in pairs):
        raise ValueError("pairs must be pairs of qubits of the layer")
    return LayerNoise(
        layer=layer,
        num_qubits=num_qubits,
        pairs=tuple((a, b) for a, b in pairs),
        depths=plain.integers(data["depths"], "depths"),
        num_randomizations=plain.integer(data, "num_randomizations", 1),
        shots=plain.integer(data, "shots", 1),
    )


def _equipped_layer_noise(requirement: LayerNoise, asked: LayerNoise) -> LayerNoise:
    # The gates are the same, in the same order; only who waits may differ.
    layer = evolve(requirement.layer, operations=asked.layer.operations)
    return evolve(requirement, layer=layer, target=asked.target)


def _with_target(requirement: Any, asked: Any) -> Any:
    return evolve(requirement, target=asked.target)


KINDS: Final[tuple[Kind, ...]] = (
    Kind(
        "twirled_readout",
        TwirledReadout,
        TwirledReadout.to_record,
        TwirledReadout.from_record,
        ReadoutCalibration,
        ReadoutCalibration.to_record,
        ReadoutCalibration.from_record,
        lambda requirement, calibration: int(calibration.planes.shots.sum()),
        lambda calibration: calibration.quality,
        _with_target,
    ),
    Kind(
        "readout_confusion",
        ReadoutConfusion,
        ReadoutConfusion.to_record,
        ReadoutConfusion.from_record,
        ReadoutCounts,
        ReadoutCounts.to_record,
        ReadoutCounts.from_record,
        lambda requirement, calibration: int(calibration.counts[0].sum()),
        lambda calibration: calibration.quality,
        _with_target,
    ),
    Kind(
        "layer_noise",
        LayerNoise,
        _write_layer_noise,
        _read_layer_noise,
        LayerModel,
        lambda model: model.to_dict(),
        LayerModel.from_dict,
        lambda requirement, model: requirement.shots_in_all,
        lambda model: model.quality,
        _equipped_layer_noise,
    ),
)

BY_NAME: Final[Mapping[str, Kind]] = {kind.name: kind for kind in KINDS}


def kind_of(requirement: Any) -> Kind | None:
    """Return how a requirement is written, None if it cannot be."""
    return next((kind for kind in KINDS if type(requirement) is kind.requirement), None)
