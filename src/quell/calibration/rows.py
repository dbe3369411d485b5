"""Rows of a store and the records that they hold: keys, checksums, dates, and reading with distrust."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

from ..errors import QuellError
from . import plain
from .database import COLUMNS
from .records import BY_NAME, Kind

#: What reading a row that somebody has tampered with may raise.
UNREADABLE = (ValueError, TypeError, KeyError, QuellError)


@frozen(eq=False)
class Record:
    """One calibration of a store.

    Attributes:
        key: Hash of backend, requirement and conditions.
        backend: Name of the backend.
        kind: What sort of requirement it meets.
        requirement: What was learned, and with which effort.
        conditions: Digest of how the circuits were run.
        learned: When, in seconds since 1970 (UTC).
        shots: How many it took.
        quality: How good it is.
        calibration: What was found out.
    """

    key: str
    backend: str
    kind: str
    requirement: Any
    conditions: str
    learned: float
    shots: int
    quality: Mapping[str, Any]
    calibration: Any

    @property
    def learned_at(self) -> str:
        """When, as an ISO date in UTC."""
        return date(self.learned)

    @property
    def age(self) -> float:
        """Its age in seconds now; 0 with a warning where the clock says that it is from the future."""
        return age(self.learned, self.key)

    def describe(self) -> str:
        """Return what was learned, in one line."""
        return str(self.requirement.describe())

    def __repr__(self) -> str:
        return f"<Record {self.key[:12]} of {self.backend}: {self.describe()}, {self.learned_at}>"


def key_of(row: Mapping[str, Any]) -> str:
    """Return the hash of what a row is found by."""
    return plain.sha256(row["backend"], row["kind"], row["requirement"], row["conditions"])


def checksum_of(row: Mapping[str, Any]) -> str:
    """Return the hash of everything else in a row."""
    return plain.sha256(*(plain.canonical(row[name]) for name in COLUMNS if name != "checksum"))


def signed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with its key and its checksum."""
    named = {**row, "key": key_of(row)}
    return {**named, "checksum": checksum_of(named)}


def is_intact(row: Mapping[str, Any]) -> bool:
    """Return whether key and checksum are those of the rest of a row."""
    return bool(row["checksum"] == checksum_of(row) and row["key"] == key_of(row))


def date(learned: float) -> str:
    """Return a time as an ISO date in UTC."""
    return datetime.fromtimestamp(learned, UTC).isoformat(timespec="seconds")


def age(learned: float, key: str, *, silent: bool = False) -> float:
    """Return an age in seconds; that of a record from the future is 0, with a warning."""
    seconds = time.time() - learned
    if seconds < 0 and not silent:
        warnings.warn(
            f"calibration {key[:12]} was learned {-seconds:.3g} s in the future; has the clock been put back? Its age "
            "counts as 0.",
            UserWarning,
            stacklevel=3,
        )
    return max(0.0, seconds)


def serves(kind: Kind, text: str, wanted: Any) -> bool:
    """Return whether a requirement as text serves another; False for texts that are none."""
    try:
        return bool(kind.read(json.loads(text)).serves(wanted))
    except UNREADABLE:
        return False


def record_of(row: Mapping[str, Any], wanted: Any = None) -> Record | None:
    """Return the record of a row; None if it does not serve what is wanted.

    Raises:
        ValueError, TypeError, KeyError, QuellError: It is damaged, see `UNREADABLE`.
    """
    if not is_intact(row):
        raise ValueError("its checksum is wrong")
    kind = BY_NAME.get(row["kind"])
    if kind is None:
        raise ValueError(f"it is of the unknown kind {row['kind']!r}")
    requirement = kind.read(json.loads(row["requirement"]))
    if wanted is not None:
        if not requirement.serves(wanted):
            return None
        requirement = kind.equipped(requirement, wanted)
    return built(row, kind, requirement)


def built(row: Mapping[str, Any], kind: Kind, requirement: Any) -> Record:
    """Return the record of a row whose requirement has been read.

    Raises:
        ValueError, TypeError, KeyError, QuellError: What it holds cannot be.
    """
    return Record(
        key=row["key"],
        backend=row["backend"],
        kind=kind.name,
        requirement=requirement,
        conditions=row["conditions"],
        learned=float(row["learned"]),
        shots=int(row["shots"]),
        quality=json.loads(row["quality"]),
        calibration=kind.read_calibration(json.loads(row["payload"])),
    )
