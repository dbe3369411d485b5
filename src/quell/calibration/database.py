"""The SQLite file of a store: one table, opened anew for every use, shared by any number of processes.

Rows are mappings from `COLUMNS` to texts and numbers; what they mean is the business of `calibration.rows`.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from .._version import __version__
from ..errors import CalibrationError, InputError, Problem

#: Version of the tables, and of the JSON export.
SCHEMA: Final = 1
COLUMNS: Final = (
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
#: Path of a store that is in no file.
MEMORY: Final = ":memory:"
#: Marks the file as a store of quell ("qcal").
_APPLICATION: Final = 0x7163616C
#: Seconds to wait for other processes.
_PATIENCE: Final = 30.0
#: Least characters of a key that name a record.
_SHORTEST: Final = 6

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


class Database:
    """The table of calibrations in an SQLite file.

    Args:
        path: The file, which is made if it is missing, or ":memory:" for none.
        read_only: Whether only to read; the file must then exist.

    Raises:
        CalibrationError: The file cannot be used: not writable, no store, or one of another version.
    """

    def __init__(self, path: str | os.PathLike[str], read_only: bool) -> None:
        self._memory: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self.read_only = read_only
        self.path = os.fspath(path)
        if self.path == MEMORY:
            self._memory = sqlite3.connect(MEMORY, check_same_thread=False, isolation_level=None)
        else:
            self.path = str(Path(self.path).expanduser().absolute())
            CalibrationError.check(_problems_of_file(Path(self.path), read_only))
        self._prepare()

    @property
    def in_memory(self) -> bool:
        """Whether it is in no file, and so in this process alone."""
        return self._memory is not None

    def __len__(self) -> int:
        with self._connected() as connection:
            return int(connection.execute("SELECT count(*) FROM calibrations").fetchone()[0])

    def select(
        self, query: str = "", values: Sequence[Any] = (), columns: Sequence[str] = COLUMNS
    ) -> list[dict[str, Any]]:
        """Return the rows that the rest of a query, from its WHERE on, chooses and orders.

        Raises:
            CalibrationError: The file cannot be read.
        """
        with self._connected() as connection:
            found = connection.execute(f"SELECT {', '.join(columns)} FROM calibrations {query}", values)
            return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]

    def put(self, rows: Sequence[Mapping[str, Any]], *, keep_newer: bool = False) -> int:
        """Write rows, all or none; return how many were written.

        Args:
            rows: They replace those of the same keys,
            keep_newer: unless these are as new or newer, if wanted so.

        Raises:
            CalibrationError: The file cannot be written.
        """
        names, marks = ", ".join(COLUMNS), ", ".join("?" for _ in COLUMNS)
        written = 0
        with self._writing() as connection:
            for row in rows:
                if keep_newer:
                    query = "SELECT count(*) FROM calibrations WHERE key = ? AND learned >= ?"
                    if connection.execute(query, (row["key"], row["learned"])).fetchone()[0]:
                        continue
                connection.execute(
                    f"INSERT OR REPLACE INTO calibrations ({names}) VALUES ({marks})",
                    [row[name] for name in COLUMNS],
                )
                written += 1
        return written

    def delete(self, key: str) -> None:
        """Delete the only row whose key begins with some characters.

        Raises:
            InputError: There is none, or there are several.
            CalibrationError: The file cannot be written.
        """
        with self._writing() as connection:
            whole = self._matching(connection, key)
            connection.execute("DELETE FROM calibrations WHERE key = ?", (whole,))

    def whole_key(self, key: str) -> str:
        """Return the only key that begins with some characters.

        Raises:
            InputError: There is none, or there are several.
            CalibrationError: The file cannot be read.
        """
        with self._connected() as connection:
            return self._matching(connection, key)

    def _matching(self, connection: sqlite3.Connection, key: str) -> str:
        query = "SELECT key FROM calibrations WHERE substr(key, 1, ?) = ?"
        found = [row[0] for row in connection.execute(query, (len(key), key))]
        if len(key) < _SHORTEST or len(found) != 1:
            rule = f"{key!r} names {len(found) or 'no'} records of {self.path}"
            if len(key) < _SHORTEST:
                rule = f"{key!r} must have at least {_SHORTEST} characters"
            raise InputError.of([Problem("key", rule, "see the keys of records()")])
        return str(found[0])

    def _prepare(self) -> None:
        """Make the tables of a new file, and check the version of one that is there.

        Raises:
            CalibrationError: It is no store, or one of another version.
        """
        if self.read_only:
            with self._connected() as connection:
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
            raise CalibrationError.of([Problem(self.path, rule, "choose another file")])
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            rule = f"has schema version {version}, and quell {__version__} reads version {SCHEMA}"
            raise CalibrationError.of([Problem(self.path, rule, "update quell, or choose another file")])
        if version < SCHEMA:  # there has been none
            rule = f"has schema version {version}, older than any that quell {__version__} reads ({SCHEMA})"
            raise CalibrationError.of([Problem(self.path, rule, "choose another file")])

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
            mode = "ro" if self.read_only else "rwc"
            uri = f"{Path(self.path).as_uri()}?mode={mode}"
            connection = sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None)
            with closing(connection):
                yield connection
        except sqlite3.Error as error:
            fix = "choose another file, or see who else uses it"
            raise CalibrationError.of([Problem(self.path, f"cannot be used: {error}", fix)]) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that nobody else writes with; what is written is there as a whole, or not at all."""
        if self.read_only:
            rule = "was opened to be read only"
            raise CalibrationError.of([Problem(self.path, rule, "open it without read_only")])
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


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
