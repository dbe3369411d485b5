"""What a job has to say: lines for its user, and records for the logging of the program around it."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime

#: Handlers and levels belong to the program that uses quell; without any, nothing is printed.
_LOGGER = logging.getLogger("quell")
_LOGGER.addHandler(logging.NullHandler())


class JobLog:
    """The messages of one job.

    Args:
        job_id: The job.
        level: Name of the least level that is kept for `text`; records reach the logger "quell" whatever it is.
    """

    def __init__(self, job_id: str, level: str) -> None:
        self._job_id = job_id
        self._least = logging.getLevelNamesMapping()[level]
        self._lines: list[str] = []

    def debug(self, message: str) -> None:
        """Say what is of interest when looking for a fault."""
        self._add(logging.DEBUG, message)

    def info(self, message: str) -> None:
        """Say how the job gets on."""
        self._add(logging.INFO, message)

    def warning(self, message: str) -> None:
        """Say what the user should know about the result."""
        self._add(logging.WARNING, message)

    def error(self, message: str) -> None:
        """Say why there is no result."""
        self._add(logging.ERROR, message)

    def text(self) -> str:
        """Return the messages kept, one a line."""
        return "\n".join(self._lines)

    def _add(self, level: int, message: str) -> None:
        if level >= self._least:
            moment = datetime.now().astimezone().isoformat(timespec="milliseconds")
            self._lines.append(f"{moment} {logging.getLevelName(level)}: {message}")
        with suppress(Exception):  # a handler that raises must not decide how a job ends
            _LOGGER.log(level, "job %s: %s", self._job_id, message, extra={"job_id": self._job_id})
