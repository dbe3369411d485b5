"""Calibrations that are kept: one SQLite file, shared by any number of processes.

Every record names the backend, what was required, under which conditions, when it was learned and with how many shots,
and has a checksum. Nothing in it can run; what is damaged is ignored with a warning.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from attrs import evolve, frozen

from .._version import __version__
from ..errors import CalibrationError, InputError, Problem, QuellError
from . import plain
from .layers import LayerModel
from .records import BY_NAME, KINDS, Kind, kind_of

#: Version of the tables, and of the JSON export.
SCHEMA: Final = 1
#: Marks the file as a store of quell ("qcal").
_APPLICATION: Final = 0x7163616C
_FORMAT: Final = "quell calibrations"
#: Seconds to wait for other processes.
_PATIENCE: Final = 30.0
#: Least characters of a key that name a record.
_SHORTEST: Final = 6

_COLUMNS: Final = (
    "key",
    "backend",
    "kind",
    "requirement",
    "conditions",
    "learned_at",
    "learned",
    "shots",
    "quality",
    "payload",
    "checksum",
)
_TABLE: Final = """
CREATE TABLE calibrations (
    key TEXT PRIMARY KEY,
    backend TEXT NOT NULL,
    kind TEXT NOT NULL,
    requirement TEXT NOT NULL,
    conditions TEXT NOT NULL,
    learned_at TEXT NOT NULL,
    learned REAL NOT NULL,
    shots INTEGER NOT NULL,
    quality TEXT NOT NULL,
    payload TEXT NOT NULL,
    checksum TEXT NOT NULL
)
"""
_INDEX: Final = "CREATE INDEX by_use ON calibrations (backend, kind, conditions, learned)"


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
        return _date(self.learned)

    @property
    def age(self) -> float:
        """Its age in seconds now; 0 with a warning where the clock says that it is from the future."""
        return _age(self.learned, self.key)

    def describe(self) -> str:
        """Return what was learned, in one line."""
        return str(self.requirement.describe())

    def __repr__(self) -> str:
        return f"<Record {self.key[:12]} of {self.backend}: {self.describe()}, {self.learned_at}>"


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
        self._memory: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._read_only = read_only
        self._path = os.fspath(path)
        if self._path == ":memory:":
            self._memory = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        else:
            self._path = str(Path(self._path).expanduser().absolute())
            CalibrationError.check(_problems_of_file(Path(self._path), read_only))
        self._prepare()

    @classmethod
    def of(cls, store: CalibrationStore | str | os.PathLike[str]) -> CalibrationStore:
        """Return a store as it is, or the one at a path."""
        return store if isinstance(store, CalibrationStore) else cls(store)

    @property
    def path(self) -> str:
        """The file, or ":memory:"."""
        return self._path

    @property
    def read_only(self) -> bool:
        """Whether it can only be read."""
        return self._read_only

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
        with self._reading() as connection:
            # Without what was found out, which may be long, until it is known which is wanted.
            query = f"SELECT key, learned, requirement FROM calibrations {where}"
            candidates = connection.execute(query, (backend_name, kind.name, conditions)).fetchall()
        for key, learned, text in candidates:
            if max_age is not None and _age(learned, key, silent=True) > max_age:
                break
            if not _serves(kind, text, requirement):
                continue
            for row in self._rows("WHERE key = ?", (key,)):
                record = self._sound(row, wanted=requirement)
                if record is not None:
                    _age(record.learned, record.key)  # says if it is from the future
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
            "shots": int(kind.shots(requirement, calibration) if shots is None else shots),
            "quality": plain.canonical(
                plain.simplified(kind.quality(calibration) if quality is None else quality)
            ),
            "payload": plain.canonical(payload),
        }
        row |= {"learned_at": _date(learned), "key": _key(row)}
        row["checksum"] = _checksum(row)
        self._put([row])
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
            rule = f"must be given, because {self._path} has layers of {len(backends)} backends"
            raise InputError.of([Problem("backend_name", rule, f"pass one of {', '.join(backends)}")])
        return [record.calibration for record in found.values()]

    # --- looking after it -----------------------------------------------------------------------

    def records(self) -> Iterator[Record]:
        """Yield all records, newest first; damaged ones are left out with a warning."""
        for row in self._rows("ORDER BY learned DESC, key"):
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
        with self._writing() as connection:
            whole = self._matching(connection, key)
            connection.execute("DELETE FROM calibrations WHERE key = ?", (whole,))

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
        rows = [row for row in self._rows("ORDER BY learned DESC, key") if self._sound(row) is not None]
        if keys is not None:
            with self._reading() as connection:
                chosen = {self._matching(connection, key) for key in keys}
            rows = [row for row in rows if row["key"] in chosen]
        nested = [
            {**row, **{name: json.loads(row[name]) for name in ("requirement", "quality", "payload")}}
            for row in rows
        ]
        data = {"format": _FORMAT, "schema": SCHEMA, "quell": __version__, "records": nested}
        text = json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n"
        if path is not None:
            try:
                Path(path).write_text(text, encoding="utf-8")
            except OSError as error:
                rule = f"cannot be written: {error.strerror or error}"
                raise InputError.of([Problem(os.fspath(path), rule)]) from None
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
        rows = _imported(source)
        return self._put(rows, keep_newer=True)

    def take(self, other: CalibrationStore) -> int:
        """Take all records of another store, as those of this one's device if it names one; the newer stay.

        Returns:
            How many records were taken.

        Raises:
            CalibrationError: The store cannot be written.
        """
        rows = [row for row in other._rows("") if other._sound(row) is not None]
        if self._device is not None:
            for row in rows:
                row["backend"] = self._device
                row["key"] = _key(row)
                row["checksum"] = _checksum(row)
        return self._put(rows, keep_newer=True)

    def __len__(self) -> int:
        with self._reading() as connection:
            return int(connection.execute("SELECT count(*) FROM calibrations").fetchone()[0])

    def __bool__(self) -> bool:
        return True  # an empty store is one all the same

    def __repr__(self) -> str:
        return f"<CalibrationStore {self._path}: {len(self)} calibrations>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __reduce__(self) -> Any:
        if self._memory is not None:
            raise TypeError("a store in memory belongs to its process; give it a file")
        return _opened, (self._path, self._read_only, self._device)

    # --- the file -------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Make the tables of a new file, and check the version of one that is there.

        Raises:
            CalibrationError: It is no store, or one of another version.
        """
        if self._read_only:
            with self._reading() as connection:
                self._check_version(connection)
            return
        with self._writing() as connection:
            empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
            if empty:
                connection.execute(_TABLE)
                connection.execute(_INDEX)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {SCHEMA}")
            self._check_version(connection)

    def _check_version(self, connection: sqlite3.Connection) -> None:
        if connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
            rule = "is an SQLite file of something else, not a store of calibrations"
            raise CalibrationError.of([Problem(self._path, rule, "choose another file")])
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            rule = f"has schema version {version}, and quell {__version__} reads version {SCHEMA}"
            raise CalibrationError.of([Problem(self._path, rule, "update quell, or choose another file")])
        if version < SCHEMA:  # there has been none
            rule = f"has schema version {version}, older than any that quell {__version__} reads ({SCHEMA})"
            raise CalibrationError.of([Problem(self._path, rule, "choose another file")])

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection; those to files are opened anew, which forks and threads survive.

        Raises:
            CalibrationError: SQLite refuses.
        """
        try:
            if self._memory is not None:
                with self._lock:
                    yield self._memory
                return
            mode = "ro" if self._read_only else "rwc"
            uri = f"{Path(self._path).as_uri()}?mode={mode}"
            connection = sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None)
            with closing(connection):
                yield connection
        except sqlite3.Error as error:
            fix = "choose another file, or see who else uses it"
            raise CalibrationError.of([Problem(self._path, f"cannot be used: {error}", fix)]) from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._connected() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that nobody else writes with; what is written is there as a whole, or not at all."""
        if self._read_only:
            rule = "was opened to be read only"
            raise CalibrationError.of([Problem(self._path, rule, "open it without read_only")])
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        with self._reading() as connection:
            found = connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM calibrations {query}", values)
            return [dict(zip(_COLUMNS, row, strict=True)) for row in found.fetchall()]

    def _put(self, rows: Sequence[Mapping[str, Any]], *, keep_newer: bool = False) -> int:
        """Write rows, all or none; return how many were written."""
        names, marks = ", ".join(_COLUMNS), ", ".join("?" for _ in _COLUMNS)
        written = 0
        with self._writing() as connection:
            for row in rows:
                if keep_newer:
                    query = "SELECT count(*) FROM calibrations WHERE key = ? AND learned >= ?"
                    if connection.execute(query, (row["key"], row["learned"])).fetchone()[0]:
                        continue
                connection.execute(
                    f"INSERT OR REPLACE INTO calibrations ({names}) VALUES ({marks})",
                    [row[name] for name in _COLUMNS],
                )
                written += 1
        return written

    def _matching(self, connection: sqlite3.Connection, key: str) -> str:
        """Return the only key that begins with some characters.

        Raises:
            InputError: There is none, or there are several.
        """
        query = "SELECT key FROM calibrations WHERE substr(key, 1, ?) = ?"
        found = [row[0] for row in connection.execute(query, (len(key), key))]
        if len(key) < _SHORTEST or len(found) != 1:
            rule = f"{key!r} names {len(found) or 'no'} records of {self._path}"
            if len(key) < _SHORTEST:
                rule = f"{key!r} must have at least {_SHORTEST} characters"
            raise InputError.of([Problem("key", rule, "see the keys of records()")])
        return str(found[0])

    def _sound(self, row: Mapping[str, Any], wanted: Any = None) -> Record | None:
        """Return the record of a row; None if it does not serve what is wanted, or, with a warning, is damaged."""
        try:
            if row["checksum"] != _checksum(row) or row["key"] != _key(row):
                raise ValueError("its checksum is wrong")
            kind = BY_NAME.get(row["kind"])
            if kind is None:
                raise ValueError(f"it is of the unknown kind {row['kind']!r}")
            requirement = kind.read(json.loads(row["requirement"]))
            if wanted is not None:
                if not requirement.serves(wanted):
                    return None
                requirement = kind.equipped(requirement, wanted)
            return _record(row, kind, requirement)
        except (ValueError, TypeError, KeyError, QuellError) as error:
            name = str(row["key"])[:12]
            warnings.warn(
                f"{self._path}: calibration {name} is not used, because {error}; delete it with delete({name!r})",
                UserWarning,
                stacklevel=3,
            )
            return None


def _serves(kind: Kind, text: str, wanted: Any) -> bool:
    """Return whether a requirement as text serves another; False for texts that are none."""
    try:
        return bool(kind.read(json.loads(text)).serves(wanted))
    except (ValueError, TypeError, KeyError, QuellError):
        return False


def _opened(path: str, read_only: bool, device: str | None) -> CalibrationStore:
    return CalibrationStore(path, read_only=read_only, device=device)


def _problems_of_file(path: Path, read_only: bool) -> Iterator[Problem]:
    """Yield why a file cannot be a store, before SQLite says so in fewer words."""
    if path.is_dir():
        yield Problem(str(path), "is a folder", "name a file in it")
    elif not path.exists():
        if read_only:
            yield Problem(str(path), "does not exist", "open it without read_only to make it")
        elif not path.parent.is_dir():
            yield Problem(str(path), "is in a folder that does not exist", f"make {path.parent}")
        elif not os.access(path.parent, os.W_OK):
            yield Problem(str(path), "is in a folder that cannot be written", "choose another")
    elif not os.access(path, os.R_OK):
        yield Problem(str(path), "cannot be read", "change its permissions, or choose another file")
    elif not read_only and not _writable(path):
        fix = "change its permissions, choose another file, or open it with read_only=True"
        yield Problem(str(path), "cannot be written", fix)


def _writable(path: Path) -> bool:
    # The permissions themselves: a file that nobody may write was meant so, whoever we are.
    any_may = path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    return bool(any_may) and os.access(path, os.W_OK)


def _record(row: Mapping[str, Any], kind: Kind, requirement: Any) -> Record:
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


def _key(row: Mapping[str, Any]) -> str:
    return plain.sha256(row["backend"], row["kind"], row["requirement"], row["conditions"])


def _checksum(row: Mapping[str, Any]) -> str:
    """Return the hash of everything else in a row."""
    return plain.sha256(*(plain.canonical(row[name]) for name in _COLUMNS if name != "checksum"))


def _date(learned: float) -> str:
    return datetime.fromtimestamp(learned, UTC).isoformat(timespec="seconds")


def _age(learned: float, key: str, *, silent: bool = False) -> float:
    """Return an age in seconds; that of a record from the future is 0, with a warning."""
    age = time.time() - learned
    if age < 0 and not silent:
        warnings.warn(
            f"calibration {key[:12]} was learned {-age:.3g} s in the future; has the clock been put back? Its age "
            "counts as 0.",
            UserWarning,
            stacklevel=3,
        )
    return max(0.0, age)


# --- import ------------------------------------------------------------------------------------


def _imported(source: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the rows of an export.

    Raises:
        InputError: Listing everything that is wrong with it.
    """
    name, text = "text", source
    if not isinstance(source, str) or not source.lstrip().startswith("{"):
        name = os.fspath(source)
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError.of([Problem(name, f"cannot be read: {error}")]) from None
    try:
        data = json.loads(str(text))
    except (ValueError, RecursionError) as error:
        raise InputError.of([Problem(name, f"is no JSON: {error}")]) from None
    problems: list[Problem] = []
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        rule = f"must be an export of calibrations, whose format is {_FORMAT!r}"
        raise InputError.of([Problem(name, rule, "write it with export_json")])
    if data.get("schema") != SCHEMA:
        rule = f"has schema version {data.get('schema')!r}, and quell {__version__} reads version {SCHEMA}"
        raise InputError.of([Problem(name, rule)])
    records = data.get("records")
    if not isinstance(records, list):
        raise InputError.of([Problem(f"{name}.records", "must be a list")])
    rows = []
    for index, record in enumerate(records):
        try:
            rows.append(_row(record))
        except QuellError as error:
            problems += [evolve(p, path=f"{name}.records[{index}].{p.path}") for p in error.problems]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            problems.append(Problem(f"{name}.records[{index}]", str(error)))
    InputError.check(problems)
    return rows


_TEXTS: Final = ("key", "backend", "kind", "conditions", "learned_at", "checksum")
_NESTED: Final = ("requirement", "quality", "payload")


def _row(record: Any) -> dict[str, Any]:
    """Return the row of an exported record.

    Raises:
        ValueError: Something is wrong with it.
        QuellError: What it holds cannot be.
    """
    data = plain.mapping(record, _COLUMNS)
    wrong = [name for name in _TEXTS if not isinstance(data[name], str)]
    wrong += [name for name in _NESTED if not isinstance(data[name], dict)]
    number = data["learned"]
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not abs(number) < 1e11:  # also nan
        wrong.append("learned")
    if wrong:
        raise ValueError(f"has values of the wrong type for {', '.join(wrong)}")
    plain.integer(data, "shots")
    kind: Callable[..., Any] | Kind | None = BY_NAME.get(data["kind"])
    if not isinstance(kind, Kind):
        known = ", ".join(k.name for k in KINDS)
        raise ValueError(f"kind is {data['kind']!r}, which is none of {known}")
    row = {**data, "learned": float(number), **{name: plain.canonical(data[name]) for name in _NESTED}}
    if row["checksum"] != _checksum(row) or row["key"] != _key(row):
        raise ValueError("checksum is wrong: the record was changed or damaged")
    _record(row, kind, kind.read(json.loads(row["requirement"])))
    return row
