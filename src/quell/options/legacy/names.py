"""What became of a single name, for the messages about unknown options."""

from __future__ import annotations

from . import keys
from .rows import REASONS, Refused, Row
from .tables.instance import QUANTUM_INSTANCE
from .tables.run import BACKEND_RUN
from .tables.runtime_v1 import RUNTIME_V1

_REWRITE = "(quell.translate rewrites whole dicts)"


def renamed(path: str) -> str:
    """Return the new path of a legacy option, as advice; an empty string if its name is the same or it has none."""
    row = _row(path)
    if row is None or not row.to or row.to.rpartition(".")[2] == path.rpartition(".")[2]:
        return ""
    return f"it is from before V2 and is options.{row.to} now {_REWRITE}"


def dropped(path: str) -> str:
    """Return what to do instead of a legacy option that has no place any more, an empty string if it has one."""
    row = _row(path)
    if row is None or row.to:
        return ""
    return f"it is from before V2: {row.text or REASONS[row.reason or 'unknown']} {_REWRITE}"


def _row(path: str) -> Row | None:
    for source in (BACKEND_RUN, RUNTIME_V1[0], QUANTUM_INSTANCE):
        try:
            where = keys.place(path, source, {})
        except Refused:
            continue
        if where is not None:
            return source.table[where]
    return None
