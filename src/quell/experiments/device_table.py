"""The table `[device]` of an experiment file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from ..errors import Problem, QuellError
from ..options.checks import boolean, nonnegative
from ..testing.snapshots import DeviceSnapshot, device_names, load_device
from . import checks
from .tables import advice, key, read

_OBJECT: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def _object(value: Any) -> str:
    if not isinstance(value, str) or not _OBJECT.fullmatch(value):
        raise ValueError(f"must be 'module:attribute', not {value!r:.60}")
    return value


@frozen
class Device:
    """The table `[device]`."""

    name: str | None = key(checks.text, "a simulated device of quell", None)
    snapshot: str | None = key(checks.text, "path of a snapshot file", None)
    object: str | None = key(_object, "module:attribute of a backend, sampler or function", None)
    arguments: Mapping[str, Any] | None = key(checks.table, "keyword arguments", None)
    layout: tuple[int, ...] | None = key(checks.qubits, "qubits of the device", None)
    optimization_level: int = key(checks.between(0, 3), "of Qiskit's transpiler", 1)


@frozen
class Noise:
    """What `arguments` of a simulated device may say."""

    depolarizing: bool = key(boolean(), "depolarising noise of gates", True)
    thermal: bool = key(boolean(), "relaxation", True)
    coherent: bool = key(boolean(), "over-rotation of two-qubit gates", True)
    idle: bool = key(boolean(), "drift of idle qubits", True)
    readout: bool = key(boolean(), "flips of measured bits", True)
    scale: float = key(nonnegative(), "factor on all noise", 1.0)
    method: str = key(checks.text, "simulation method of Aer", "automatic")


def read_device(
    table: Any, folder: Path, problems: list[Problem], files: dict[str, bytes]
) -> tuple[Device | None, DeviceSnapshot | None, Noise]:
    """Return the device, what is simulated of it, and with which noise.

    Args:
        table: The table, None if the file has none.
        folder: Where the file is.
        problems: Where to put what is wrong.
        files: Where to put what other files contain, by the name that the table gives them.
    """
    nothing = Noise()
    fix = "write [device] with name, snapshot or object"
    if table is None:
        problems.append(Problem("device", "is missing", fix))
        return None, None, nothing
    device = read(Device, table, "device", problems)
    if device is None:
        return None, None, nothing
    given = [name for name in ("name", "snapshot", "object") if getattr(device, name) is not None]
    if len(given) != 1:
        rule = f"has {' and '.join(given)}" if given else "says no device"
        problems.append(Problem("device", rule, fix if not given else "keep one of them"))
        return device, None, nothing
    if device.object is not None:
        return device, None, nothing
    if device.name is not None and device.name not in device_names():
        names = device_names()
        problems.append(
            Problem("device.name", f"there is no {device.name!r}", advice(device.name, names, "there are"))
        )
        return device, None, nothing
    noise = read(Noise, device.arguments or {}, "device.arguments", problems) or nothing
    try:
        if device.snapshot is not None:
            files[device.snapshot] = (folder / device.snapshot).read_bytes()
        return device, load_device(device.name or folder / str(device.snapshot)), noise
    except OSError as error:
        problems.append(Problem("device.snapshot", f"{device.snapshot!r} cannot be read: {error.strerror}"))
    except QuellError as error:
        problems += [Problem(f"device.snapshot: {p.path}", p.rule, p.fix) for p in error.problems]
    return device, None, noise
