"""Snapshots of devices: the published numbers of a device, read from JSON and checked, and their noise.

The bundled ones are synthetic; `calibration/README.md` describes the schema and where the numbers come from.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

from ..errors import CalibrationError, OptionsError, Problem
from .noise import Operation, Truth

SCHEMA_VERSION = 1
ONE_QUBIT_GATES = ("rz", "sx", "x")
TWO_QUBIT_GATES = ("cx", "cz", "ecr")
POSITIVE = math.ulp(0.0)


def read_only(values: ArrayLike) -> NDArray[np.float64]:
    """Return a copy as a float64 array that cannot be written to."""
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


@frozen(eq=False)
class DeviceSnapshot:
    """The published numbers of a device, validated; the arrays are read-only.

    Attributes:
        name: Name of the device.
        provenance: Where the numbers come from, as (key, value) pairs; `statement` says it in words.
        dt: Seconds per time step.
        timing_constraints: `granularity`, `min_length`, `pulse_alignment`, `acquire_alignment` in steps,
            as (key, value) pairs.
        two_qubit_gate: "cx", "cz" or "ecr", in both directions on every pair.
        pairs: Coupled qubits, the smaller first; the other arrays of length m follow this order.
        t1s: float64 (n,), seconds.
        t2s: float64 (n,), seconds, at most twice `t1s`.
        detunings: float64 (n,), rad/s, idle Z drift.
        flips: float64 (n, 2): p(1|0) and p(0|1) of the readout.
        readout_durations: float64 (n,), seconds.
        reset_durations: float64 (n,), seconds.
        gate_errors: float64 (3, n): average gate infidelity of rz, sx, x.
        gate_durations: float64 (3, n), seconds of rz, sx, x.
        pair_errors: float64 (m,): average gate infidelity of the two-qubit gate.
        pair_durations: float64 (m,), seconds of the two-qubit gate.
        over_rotations: float64 (m,), radians of `rzz` after every two-qubit gate.
        idle_zz: float64 (m,), rad/s of `rzz` while both qubits idle.
    """

    name: str
    provenance: tuple[tuple[str, Any], ...]
    dt: float
    timing_constraints: tuple[tuple[str, int], ...]
    two_qubit_gate: str
    pairs: tuple[tuple[int, int], ...]
    t1s: NDArray[np.float64]
    t2s: NDArray[np.float64]
    detunings: NDArray[np.float64]
    flips: NDArray[np.float64]
    readout_durations: NDArray[np.float64]
    reset_durations: NDArray[np.float64]
    gate_errors: NDArray[np.float64]
    gate_durations: NDArray[np.float64]
    pair_errors: NDArray[np.float64]
    pair_durations: NDArray[np.float64]
    over_rotations: NDArray[np.float64]
    idle_zz: NDArray[np.float64]

    @property
    def num_qubits(self) -> int:
        """Number of qubits."""
        return len(self.t1s)

    def operations(self) -> dict[Operation, tuple[float, float | None]]:
        """Return (seconds, error) of every gate, measurement and reset, by (name, qubits)."""
        table: dict[Operation, tuple[float, float | None]] = {}
        for q in range(self.num_qubits):
            for k, name in enumerate(ONE_QUBIT_GATES):
                table[name, (q,)] = (float(self.gate_durations[k, q]), float(self.gate_errors[k, q]))
            table["measure", (q,)] = (float(self.readout_durations[q]), float(self.flips[q].mean()))
            table["reset", (q,)] = (float(self.reset_durations[q]), None)
        for (a, b), seconds, error in zip(self.pairs, self.pair_durations, self.pair_errors, strict=True):
            for places in ((a, b), (b, a)):
                table[self.two_qubit_gate, places] = (float(seconds), float(error))
        return table


class _Reader:
    """Reads values out of parsed JSON and collects what is wrong with them."""

    def __init__(self, data: Any) -> None:
        self.data = data
        self.problems: list[Problem] = []

    def reject(self, keys: Sequence[str | int], rule: str, fix: str = "") -> None:
        path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")
        self.problems.append(Problem(path or "snapshot", rule, fix))

    def get(self, *keys: str | int) -> Any:
        node = self.data
        for key in keys:
            try:
                node = node[key]
            except (KeyError, IndexError, TypeError):
                node = None
        if node is None:
            self.reject(keys, "is missing")
        return node

    def number(self, *keys: str | int, low: float = -math.inf, high: float = math.inf) -> float:
        value = self.get(*keys)
        if value is None:
            return math.nan
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.reject(keys, f"must be a finite number, got {value!r}")
        elif low == POSITIVE and value <= 0:
            self.reject(keys, f"must be positive, got {value:g}")
        elif not low <= value <= high:
            self.reject(keys, f"must be between {low:g} and {high:g}, got {value:g}")
        else:
            return float(value)
        return math.nan

    def typed(self, key: str, kind: type, default: Any) -> Any:
        value = self.get(key)
        if value is not None and not isinstance(value, kind):
            self.reject((key,), f"must be a {kind.__name__}, got {value!r:.40}")
        return value if isinstance(value, kind) else default


def read_snapshot(data: Any) -> DeviceSnapshot:
    """Return the snapshot in parsed JSON of the schema described in `calibration/README.md`.

    Raises:
        CalibrationError: Naming everything that is wrong with it.
    """
    reader = _Reader(data)
    version = reader.get("schema_version")
    if version != SCHEMA_VERSION:  # nothing else is known to mean what it means here
        reader.reject(("schema_version",), f"must be {SCHEMA_VERSION}, got {version!r}", "update quell")
        raise CalibrationError.of(reader.problems[-1:])
    name, gate = reader.typed("name", str, ""), reader.typed("two_qubit_gate", str, "")
    if gate and gate not in TWO_QUBIT_GATES:
        reader.reject(("two_qubit_gate",), f"must be one of {', '.join(TWO_QUBIT_GATES)}, got {gate!r}")
    qubits, rows = (range(len(reader.typed(key, list, ()))) for key in ("qubits", "pairs"))

    def column(key: str, low: float = -math.inf, high: float = math.inf) -> NDArray[np.float64]:
        return read_only([reader.number("qubits", q, key, low=low, high=high) for q in qubits])

    def pair_column(key: str, low: float = -math.inf, high: float = math.inf) -> NDArray[np.float64]:
        return read_only([reader.number("pairs", k, key, low=low, high=high) for k in rows])

    def gates(key: str, high: float) -> NDArray[np.float64]:
        path = [[("qubits", q, "gates", name, key) for q in qubits] for name in ONE_QUBIT_GATES]
        return read_only([[reader.number(*keys, low=0, high=high) for keys in row] for row in path])

    provenance = reader.typed("provenance", dict, {})
    if provenance:
        reader.get("provenance", "statement")
    pairs: list[tuple[int, int]] = []
    for k in rows:
        match reader.get("pairs", k, "qubits"):
            case [int(a), int(b)] if a != b and {a, b} <= set(qubits):
                pair = (min(a, b), max(a, b))
                if pair in pairs:
                    reader.reject(("pairs", k, "qubits"), f"{list(pair)} is listed twice")
                pairs.append(pair)
            case other:
                reader.reject(
                    ("pairs", k, "qubits"),
                    f"must be two different qubits between 0 and {len(qubits) - 1}, got {other!r}",
                )
    constraints = ("granularity", "min_length", "pulse_alignment", "acquire_alignment")
    timing = {key: reader.number("timing_constraints", key, low=1) for key in constraints}
    for key, steps in timing.items():
        if steps % 1 > 0:
            reader.reject(("timing_constraints", key), f"must be a whole number of steps, got {steps:g}")
    t1s, t2s = column("t1_s", POSITIVE), column("t2_s", POSITIVE)
    for q in qubits:
        if t2s[q] > 2 * t1s[q]:
            reader.reject(("qubits", q, "t2_s"), f"must be at most 2 * t1_s = {2 * t1s[q]:g}, got {t2s[q]:g}")
    snapshot = DeviceSnapshot(
        name=name,
        provenance=tuple(provenance.items()),
        dt=reader.number("dt_s", low=POSITIVE),
        timing_constraints=tuple((key, int(steps)) for key, steps in timing.items() if math.isfinite(steps)),
        two_qubit_gate=gate,
        pairs=tuple(pairs),
        t1s=t1s,
        t2s=t2s,
        detunings=column("detuning_rad_per_s"),
        flips=read_only(np.stack([column("p1_given_0", 0, 1), column("p0_given_1", 0, 1)], axis=1)),
        readout_durations=column("readout_duration_s", 0),
        reset_durations=column("reset_duration_s", 0),
        gate_errors=gates("error", 0.5),  # a qubit that is all noise has no more
        gate_durations=gates("duration_s", math.inf),
        pair_errors=pair_column("error", 0, 0.5),
        pair_durations=pair_column("duration_s", 0),
        over_rotations=pair_column("over_rotation_rad"),
        idle_zz=pair_column("idle_zz_rad_per_s"),
    )
    CalibrationError.check(reader.problems)
    return snapshot


def _folder() -> Path:
    """Return the folder of the snapshots: beside the package in a wheel, else the repository's."""
    package = Path(__file__).parents[1]
    folders = (package / "calibration" / "devices", package.parents[1] / "calibration" / "devices")
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def device_names() -> tuple[str, ...]:
    """Return the names of the device snapshots that come with quell."""
    return tuple(sorted(path.stem for path in _folder().glob("*.json")))


def load_device(name_or_path: str | Path) -> DeviceSnapshot:
    """Load a device snapshot by name, or from a JSON file.

    Raises:
        CalibrationError: If there is none, or naming everything that is wrong with it.
    """
    names = device_names()
    path = _folder() / f"{name_or_path}.json" if name_or_path in names else Path(name_or_path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        close = get_close_matches(str(name_or_path), names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the devices are {', '.join(names)}"
        problem = Problem(f"load_device({str(name_or_path)!r})", "is no device and no readable file", hint)
        raise CalibrationError.of([problem]) from error
    except ValueError as error:
        raise CalibrationError.of([Problem(str(path), f"is not JSON: {error}")]) from error
    return read_snapshot(data)


@frozen
class Switches:
    """Which noise is on, and one factor for the strength of all of it."""

    depolarizing: bool = True
    thermal: bool = True
    coherent: bool = True
    idle: bool = True
    readout: bool = True
    scale: float = 1.0


def true_noise(snapshot: DeviceSnapshot, switches: Switches) -> Truth:
    """Return the noise of a device: the snapshot's numbers, zero where switched off, scaled.

    Probabilities, angles and rates are multiplied by the scale; T1 and T2 are divided by it.

    Raises:
        OptionsError: If the scale is negative or makes a probability larger than one.
    """
    on, scale = switches, float(switches.scale)
    problems = []
    if not 0 <= scale < math.inf:
        problems.append(Problem("scale", f"must be finite and not negative, got {scale}"))
    depolarizing = {
        # average gate infidelity of the depolarizing channel is p (d - 1) / d
        (name, qubits): on.depolarizing * scale * error * 2 ** len(qubits) / (2 ** len(qubits) - 1)
        for (name, qubits), (_, error) in snapshot.operations().items()
        if error is not None and name != "measure"
    }
    flips = on.readout * scale * snapshot.flips
    if max((*depolarizing.values(), flips.max(initial=0.0))) > 1:
        problems.append(Problem("scale", f"{scale:g} makes a probability larger than one", "lower it"))
    OptionsError.check(problems)

    def per_pair(values: NDArray[np.float64]) -> Mapping[tuple[int, int], float]:
        return MappingProxyType(dict(zip(snapshot.pairs, values.tolist(), strict=True)))

    relaxing = on.thermal and scale > 0
    confusion = np.stack([1 - flips[:, 0], flips[:, 1], flips[:, 0], 1 - flips[:, 1]], axis=1)
    return Truth(
        durations=MappingProxyType({key: seconds for key, (seconds, _) in snapshot.operations().items()}),
        depolarizing=MappingProxyType(depolarizing),
        over_rotations=per_pair(on.coherent * scale * snapshot.over_rotations),
        idle_zz=per_pair(on.idle * scale * snapshot.idle_zz),
        detunings=read_only(on.idle * scale * snapshot.detunings),
        t1s=read_only(snapshot.t1s / scale if relaxing else np.full(snapshot.num_qubits, np.inf)),
        t2s=read_only(snapshot.t2s / scale if relaxing else np.full(snapshot.num_qubits, np.inf)),
        confusion_matrices=read_only(confusion.reshape(-1, 2, 2)),
    )
