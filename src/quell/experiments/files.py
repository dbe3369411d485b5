"""Experiment files: TOML that says device, circuits, observables, strategies and shots.

`load` checks the whole file before anything is built or run, and lists everything that is wrong with it at once.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from ..errors import InputError, Problem
from ..options.checks import MAX_SHOTS
from ..testing.snapshots import DeviceSnapshot
from . import checks
from .device_table import Device, Noise, read_device
from .families import FAMILIES
from .operators import NOTHING, selection
from .strategies import StrategySpec, strategies_of
from .tables import key, names_of, read
from .workload_tables import Qasm, Workload, read_workloads


def _shots(value: Any) -> int:
    return checks.between(1, MAX_SHOTS)(value)  # type: ignore[no-any-return]


def _reference(value: Any) -> str | tuple[float, ...]:
    if isinstance(value, list):
        return checks.reals(value)
    if value in ("exact", "none"):
        return str(value)
    raise ValueError(f"must be 'exact', 'none' or a list of numbers, not {value!r:.60}")


_precision: Final = checks.number("a number above 0 and at most 1", lambda value: 0 < value <= 1)


@frozen
class Head:
    """The keys of the file itself."""

    title: str = key(checks.text, "title of the report", "")
    description: str = key(checks.prose, "a paragraph below it", "")
    shots: int | None = key(_shots, "shots of each setting", None)
    total_shots: int | None = key(_shots, "shots of each strategy in all", None)
    precision: float | None = key(_precision, "target standard error", None)
    repeats: int = key(checks.between(1, 100_000), "how often everything is done again", 1)
    seed: int = key(checks.between(0, 2**63 - 1), "seed of everything random", 0)
    reference: str | tuple[float, ...] = key(_reference, "what the values should be", "exact")


@frozen(eq=False)
class Experiment:
    """What an experiment file says.

    Attributes:
        path: The file.
        text: What is in it.
        data: The same as nested dicts.
        head: The keys of the file itself.
        device: Its device.
        snapshot: The snapshot that is simulated, None for objects.
        noise: Which noise of it.
        workloads: Its circuits.
        strategies: What is compared.
        files: Other files that it names: bytes by the name it gives them.
    """

    path: Path
    text: str
    data: Mapping[str, Any]
    head: Head
    device: Device
    snapshot: DeviceSnapshot | None
    noise: Noise
    workloads: tuple[Workload, ...]
    strategies: tuple[StrategySpec, ...]
    files: Mapping[str, bytes]

    @property
    def title(self) -> str:
        """Its title, by default the file's name."""
        return self.head.title or self.path.stem


def load(path: str | os.PathLike[str]) -> Experiment:
    """Return what an experiment file says.

    Raises:
        InputError: Listing everything that is wrong with it.
    """
    path = Path(path)
    text = _text(path)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError.of([Problem(str(path), f"is not valid TOML: {error}", "correct it")]) from None
    except RecursionError:
        raise InputError.of([Problem(str(path), "is nested too deep", "make it flatter")]) from None
    problems: list[Problem] = []
    files: dict[str, bytes] = {}
    head = read(Head, data, "", problems, ("device", "workload", "observables", "strategies"))
    given = [name for name in ("shots", "total_shots", "precision") if name in data]
    if len(given) > 1:
        problems.append(Problem(" and ".join(given), "say the same thing", "keep one of them"))
    device, snapshot, noise = read_device(data.get("device"), path.parent, problems, files)
    common = selection(data["observables"], "observables", problems) if "observables" in data else NOTHING
    workloads = read_workloads(data.get("workload"), common, path.parent, problems, files)
    strategies = strategies_of(data.get("strategies"), "strategies", problems)
    if problems or head is None or device is None:
        raise InputError.of(problems)
    return Experiment(
        path, text, data, head, device, snapshot, noise, tuple(workloads), tuple(strategies), files
    )


def _text(path: Path) -> str:
    fix = "give the path of a TOML file, see docs/experiments.md"
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        rule = f"cannot be read: {error.strerror or error}"
        raise InputError.of([Problem(str(path), rule, fix)]) from None
    except UnicodeDecodeError:
        raise InputError.of([Problem(str(path), "cannot be read: it is not UTF-8", fix)]) from None


def keys_of_file() -> dict[str, list[str]]:
    """Return all keys by table, for the documentation and its test."""
    tables = {"file": names_of(Head), "device": names_of(Device), "arguments": names_of(Noise)}
    return tables | {name: names_of(kind) for name, kind in FAMILIES.items()} | {"qasm": names_of(Qasm)}
