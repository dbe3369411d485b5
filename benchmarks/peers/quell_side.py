"""quell's estimator, as it comes at each resilience level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quell import Estimator
from quell.pipeline import cost

from .records import Case, largest
from .workloads import Device, Workload

LEVELS: dict[str, dict[str, Any]] = {
    "quell level 0": {"resilience_level": 0},
    "quell level 1": {"resilience_level": 1},
    "quell level 2": {"resilience_level": 2},
}
#: Options that were measured on the way; not part of any table unless asked for by name.
VARIANTS: dict[str, dict[str, Any]] = {}
_BUDGETS: dict[tuple[Any, ...], int] = {}


def prepared(case: Case, work: Workload, device: Device) -> Callable[[], tuple[float, float | None]]:
    """Return what gives value and error; default_shots is the largest that keeps to the total with calibration."""
    options = (LEVELS | VARIANTS)[case.method]
    estimator = Estimator(device, {**options, "seed": 1000 + case.seed + 10_000 * case.repetition})
    pub = (work.circuit, work.observable)

    def spent(number: int) -> int:
        estimator.options.default_shots = number
        return int(cost(estimator.plan([pub])).shots)

    place = (case.method, case.family, case.shots)
    if place not in _BUDGETS or spent(_BUDGETS[place]) > case.shots:
        _BUDGETS[place] = largest(spent, case.shots)
    estimator.options.default_shots = _BUDGETS[place]

    def run() -> tuple[float, float | None]:
        data = estimator.run([pub]).result()[0].data
        return float(data.evs), float(data.stds)

    return run
