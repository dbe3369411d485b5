"""The vendor's client-side estimator (``qiskit_ibm_runtime.executor_estimator``) in local mode."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.executor_estimator.prepare import prepare

from .records import Case, largest
from .workloads import Device, Workload

#: Resilience level and ZNE options. "same seed" is local mode as it comes, where all parts of a program repeat the
#: random numbers of the first; the others get new ones each time, as on a device.
METHODS: dict[str, tuple[int, dict[str, Any]]] = {
    "vendor level 0": (0, {}),
    "vendor level 1": (1, {}),
    "vendor level 2": (2, {}),
    "vendor level 2 same seed": (2, {}),
    "vendor level 2 linear 1,2,3": (2, {"extrapolator": "linear", "noise_factors": [1, 2, 3]}),
}
SAME_SEED = {"vendor level 2 same seed"}
_BUDGETS: dict[tuple[Any, ...], int] = {}


def versions() -> str:
    packages = ("qiskit-ibm-runtime", "qiskit-mitigation", "samplomatic")
    return ", ".join(f"{p} {version(p)}" for p in packages)


def prepared(case: Case, work: Workload, device: Device) -> Callable[[], tuple[float, float | None]]:
    """Return what gives value and error; default_shots is the largest that keeps to the total with calibration."""
    level, zne = METHODS[case.method]
    estimator = Estimator(mode=device)
    estimator.options.resilience_level = level
    estimator.options.simulator.seed_simulator = 1000 + case.seed + 10_000 * case.repetition
    for name, value in zne.items():
        setattr(estimator.options.resilience.zne, name, value)
    pub = (work.circuit, work.observable)

    def spent(number: int) -> int:
        estimator.options.default_shots = number
        program, _ = prepare([pub], estimator.options, add_tags=True, backend=device)
        return int(program.shots * sum(item.size() for item in program.items))

    place = (case.method, case.family, case.shots)
    if place not in _BUDGETS or spent(_BUDGETS[place]) > case.shots:
        _BUDGETS[place] = largest(spent, case.shots)
    estimator.options.default_shots = _BUDGETS[place]

    def run() -> tuple[float, float | None]:
        data = estimator.run([pub]).result()[0].data
        error = float(data.stds)
        return float(data.evs), error if math.isfinite(error) else None

    return run
