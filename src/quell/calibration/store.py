"""Calibrations that are kept: one SQLite file, shared by any number of processes.

Every record names the backend, what was required, under which conditions, when it was learned and with how many shots,
and has a checksum. Nothing in it can run; what is damaged is ignored with a warning.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from ..errors import InputError, Problem, QuellError
from . import plain
from .database import Database
from .interchange import exported, imported, write
from .layers import LayerModel
from .records import kind_of
from .rows import UNREADABLE, Record, age, date, record_of, serves, signed


class CalibrationStore:
    """Calibrations in one SQLite file, for later runs and other processes.

    Give it, or the path of its file, to ``options.calibration.store``. Records are found by the name of the backend
    and by how circuits are run: run options, those of the backend with its noise model, decoupling. Functions and
    samplers do not say on what they run; say it by `device`, or nothing is kept for them.

    Args:
        path: The file, which is made if it is missing, or ":memory:" for none; the folder must be there.
        read_only: Whether only to read; the file must then exist.
        device: Name of the device that everything runs on that uses this store, instead of the backends' own.

    Raises:
        CalibrationError: The file cannot be used: not writable, no store, or one of another version.

    Example:
        >>> store = CalibrationStore("calibrations.sqlite")
        >>> estimator = Estimator(backend, {"calibration": {"store": store}})
        >>> for record in store.records():
        ...     print(record.describe(), record.age)
    """

    def __init__(
        self, path: str | os.PathLike[str], *, read_only: bool = False, device: str | None = None
    ) -> None:
        self._device = device
        self._database = Database(path, read_only)

    @classmethod
    def of(cls, store: CalibrationStore | str | os.PathLike[str]) -> CalibrationStore:
        """Return a store as it is, or the one at a path."""
        return store if isinstance(store, CalibrationStore) else cls(store)

    @property
    def path(self) -> str:
        """The file, or ":memory:"."""
        return self._database.path

    @property
    def read_only(self) -> bool:
        """Whether it can only be read."""
        return self._database.read_only

    @property
    def device(self) -> str | None:
        """Name of the device that everything runs on that uses this store; None for those of the backends."""
        return self._device

    # --- what runs ask --------------------------------------------------------------------------

    def find(
        self, requirement: Any, backend_name: str, conditions: str, max_age: float | None = None
    ) -> Record | None:
        """Return the newest record that serves a requirement, None if there is none.

        Args:
            requirement: What must be known.
            backend_name: The backend that it must have been learned on,
            conditions: and the digest of how circuits are run, see `quell.calibration.plain.digest`.
            max_age: Oldest age in seconds; None for any.
        """
        kind = kind_of(requirement)
        if kind is None:
            return None
        where = "WHERE backend = ? AND kind = ? AND conditions = ? ORDER BY learned DESC, key"
        # Without what was found out, which may be long, until it is known which is wanted.
        columns = ("key", "learned", "requirement")
        candidates = self._database.select(where, (backend_name, kind.name, conditions), columns)
        for candidate in candidates:
            key = candidate["key"]
            if max_age is not None and age(candidate["learned"], key, silent=True) > max_age:
                break
            if not serves(kind, candidate["requirement"], requirement):
                continue
            for row in self._database.select("WHERE key = ?", (key,)):
                record = self._sound(row, wanted=requirement)
                if record is not None:
                    age(record.learned, record.key)  # says if it is from the future
                    return record
        return None

    def add(
        self,
        requirement: Any,
        calibration: Any,
        backend_name: str,
        conditions: str,
        shots: int | None = None,
        quality: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Keep what was learned now, in place of what was learned for the same before.

        Args:
            requirement: What was required.
            calibration: What was found out.
            backend_name: Name of the backend.
            conditions: Digest of how its circuits were run.
            shots: How many it took; None to take what the requirement asks for.
            quality: How good it is; None to take what the calibration says.

        Returns:
            The key of the record; None if such a requirement cannot be written down, or nothing of use was found out.

        Raises:
            CalibrationError: The file cannot be written.
        """
        kind = kind_of(requirement)
        if kind is None or not isinstance(calibration, kind.calibration):
            return None
        payload = plain.simplified(kind.write_calibration(calibration))
        try:
            kind.read_calibration(payload)
        except (ValueError, QuellError):  # lost shots, for instance: who needs it says so
            return None
        learned = time.time()
        row: dict[str, Any] = {
            "backend": str(backend_name),
            "kind": kind.name,
            "requirement": plain.canonical(plain.simplified(kind.write(requirement))),
            "conditions": conditions,
            "learned": learned,
            "learned_at": date(learned),
            "shots": int(kind.shots(requirement, calibration) if shots is None else shots),
            "quality": plain.canonical(
                plain.simplified(kind.quality(calibration) if quality is None else quality)
            ),
            "payload": plain.canonical(payload),
        }
        row = signed(row)
        self._database.put([row])
        return str(row["key"])

    def layer_models(self, backend_name: str | None = None, max_age: float | None = None) -> list[LayerModel]:
        """Return the newest model of every layer, for example for ``options.resilience.layer_noise_model``.

        Args:
            backend_name: The backend; by default the device of the store, or the only one there is.
            max_age: Oldest age in seconds; None for any.

        Raises:
            InputError: There are layers of several backends, and none is named.
        """
        backend_name = self._device if backend_name is None else backend_name
        found: dict[Any, Record] = {}
        for record in self.records():
            fits = isinstance(record.calibration, LayerModel) and backend_name in (None, record.backend)
            if fits and (max_age is None or record.age <= max_age):
                found.setdefault((record.backend, record.calibration.layer), record)
        backends = sorted({backend for backend, _ in found})
        if len(backends) > 1:
            rule = f"must be given, because {self.path} has layers of {len(backends)} backends"
            raise InputError.of([Problem("backend_name", rule, f"pass one of {', '.join(backends)}")])
        return [record.calibration for record in found.values()]

    # --- looking after it -----------------------------------------------------------------------

    def records(self) -> Iterator[Record]:
        """Yield all records, newest first; damaged ones are left out with a warning."""
        for row in self._database.select("ORDER BY learned DESC, key"):
            record = self._sound(row)
            if record is not None:
                yield record

    __iter__ = records

    def delete(self, key: str) -> None:
        """Delete a record.

        Args:
            key: Its key, or enough of its beginning (six characters at least) that it is the only one.

        Raises:
            InputError: There is none, or there are several.
            CalibrationError: The file cannot be written.
        """
        self._database.delete(key)

    def export_json(
        self, path: str | os.PathLike[str] | None = None, keys: Iterable[str] | None = None
    ) -> str:
        """Return records as JSON text, and write it to a file if a path is given.

        Args:
            path: Where to write; None for nowhere.
            keys: Keys of the records, or their beginnings; None for all. Damaged records are left out.

        Raises:
            InputError: There is no record with such a key, or the file cannot be written.
        """
        rows = self._database.select("ORDER BY learned DESC, key")
        rows = [row for row in rows if self._sound(row) is not None]
        if keys is not None:
            chosen = {self._database.whole_key(key) for key in keys}
            rows = [row for row in rows if row["key"] in chosen]
        text = exported(rows)
        if path is not None:
            write(text, path)
        return text

    def import_json(self, source: str | os.PathLike[str]) -> int:
        """Take records from an export; a record that is here already stays unless it is older.

        Args:
            source: The path of a file, or the text itself, which begins with a brace.

        Returns:
            How many records were taken.

        Raises:
            InputError: Listing everything that is wrong with it; then nothing was taken.
            CalibrationError: The store cannot be written.
        """
        return self._database.put(imported(source), keep_newer=True)

    def take(self, other: CalibrationStore) -> int:
        """Take all records of another store, as those of this one's device if it names one; the newer stay.

        Returns:
            How many records were taken.

        Raises:
            CalibrationError: The store cannot be written.
        """
        rows = [row for row in other._database.select() if other._sound(row) is not None]
        if self._device is not None:
            rows = [signed({**row, "backend": self._device}) for row in rows]
        return self._database.put(rows, keep_newer=True)

    def __len__(self) -> int:
        return len(self._database)

    def __bool__(self) -> bool:
        return True  # an empty store is one all the same

    def __repr__(self) -> str:
        return f"<CalibrationStore {self.path}: {len(self)} calibrations>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __reduce__(self) -> Any:
        if self._database.in_memory:
            raise TypeError("a store in memory belongs to its process; give it a file")
        return _opened, (self.path, self.read_only, self._device)

    def _sound(self, row: Mapping[str, Any], wanted: Any = None) -> Record | None:
        """Return the record of a row; None if it does not serve what is wanted, or, with a warning, is damaged."""
        try:
            return record_of(row, wanted)
        except UNREADABLE as error:
            name = str(row["key"])[:12]
            warnings.warn(
                f"{self.path}: calibration {name} is not used, because {error}; delete it with delete({name!r})",
                UserWarning,
                stacklevel=3,
            )
            return None


def _opened(path: str, read_only: bool, device: str | None) -> CalibrationStore:
    return CalibrationStore(path, read_only=read_only, device=device)
