"""One value of one method, and the file that keeps all of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from zlib import crc32


@dataclass(frozen=True)
class Case:
    """What is run: a method on the circuit of a family and seed, under a noise, for a number of shots.

    Repetitions differ in their shots only; coverage is counted over them.
    """

    method: str
    family: str
    noise: str
    seed: int
    shots: int
    repetition: int = 0

    @property
    def key(self) -> str:
        """Name in the cache."""
        return "|".join(map(str, asdict(self).values()))

    @property
    def draws(self) -> list[int]:
        """What the device's seed is made of; methods have shots of their own."""
        return [self.seed, self.repetition, crc32(self.method.encode())]


@dataclass(frozen=True)
class Outcome:
    """What came out; `value` is None where the method failed, and `problem` says why.

    `seconds` is wall time of everything, `simulator` that of the simulator in it.
    """

    case: Case
    ideal: float
    value: float | None
    stderr: float | None = None
    circuits: int = 0
    shots: int = 0
    seconds: float = 0.0
    simulator: float = 0.0
    problem: str = ""

    @property
    def error(self) -> float:
        """Value minus truth."""
        assert self.value is not None
        return self.value - self.ideal

    @classmethod
    def from_dict(cls, data: dict) -> Outcome:
        """Return what `asdict` made plain."""
        return cls(**{**data, "case": Case(**data["case"])})


class Cache:
    """Outcomes in a file, a line of JSON each, written as they come, so that a stopped run continues."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, Outcome] = {}
        for line in path.read_text().splitlines() if path is not None and path.exists() else ():
            outcome = Outcome.from_dict(json.loads(line))
            self._known[outcome.case.key] = outcome

    def get(self, case: Case) -> Outcome | None:
        """Return what a case gave, None if it was not run."""
        return self._known.get(case.key)

    def outcomes(self) -> list[Outcome]:
        """Return all there are, by family, noise, method and seed."""
        return sorted(
            self._known.values(),
            key=lambda o: (o.case.family, o.case.noise, o.case.method, o.case.seed, o.case.repetition),
        )

    def forget(self, dropped: Callable[[Case], bool]) -> None:
        """Drop outcomes, which then run again."""
        self._known = {k: o for k, o in self._known.items() if not dropped(o.case)}
        if self._path is not None and self._path.exists():
            self._path.write_text("".join(f"{json.dumps(asdict(o))}\n" for o in self._known.values()))

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome."""
        self._known[outcome.case.key] = outcome
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(f"{json.dumps(asdict(outcome))}\n")


def largest(cost: Callable[[int], int], total: int) -> int:
    """Return about the largest number whose cost, a staircase that rises with it, is at most the total."""
    number = total
    for _ in range(40):
        spent = cost(number)
        if spent <= total:
            break
        number = min(number - 1, int(number * total / spent))
    low, high = number, number + max(number // 50, 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= total else (low, middle)
    return low
