"""Threads that run jobs in the order in which they come."""

from __future__ import annotations

import threading
from collections import deque

from .jobs import Job


class Workers:
    """At most `most` threads; one without work ends, so there is nothing to shut down.

    Args:
        most: How many jobs run at the same time.
        name: What the threads are called.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._waiting: deque[Job] = deque()
        self._busy = 0
        self._lock = threading.Lock()

    def submit(self, job: Job) -> None:
        """Queue a job."""
        with self._lock:
            self._waiting.append(job)
            if self._busy < self._most:
                self._busy += 1
                # Daemons: a device that never answers must not keep the program from ending.
                threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._busy -= 1
                    return
                job = self._waiting.popleft()
            job.work()
