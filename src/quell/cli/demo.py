"""The demonstration: the same circuit with every stage off, with each by itself, and with all together."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ..primitives.estimator import Estimator
from .workload import COUPLING, FIELD, TIME_STEP, Workload

# The error bar is the spread between the random members; 64 make it reliable to 9 percent.
NUM_RANDOMIZATIONS: Final = 64

#: What is switched on, by the name of the row.
STRATEGIES: Final[dict[str, dict[str, Any]]] = {
    "raw": {"resilience_level": 0},
    "gate twirling": {"resilience_level": 0, "twirling": {"enable_gates": True}},
    "readout correction": {"resilience_level": 1},
    "both": {"resilience_level": 1, "twirling": {"enable_gates": True}},
    "both and ZNE": {"resilience_level": 2},
}
RAW, TWIRLING, READOUT, BOTH, ZNE = STRATEGIES

Watch = Callable[[str, int, int], None]
"""Called with the row's name, circuits done and circuits in total."""


@frozen(eq=False)
class Row:
    """What one strategy measured; the arrays have one entry per observable.

    Attributes:
        name: The strategy.
        options: The estimator's options.
        values: float64, the estimates.
        errors: float64, their error bars.
        deviations: float64, estimates minus exact values.
        circuits: Circuits run, calibration included.
        shots: Shots taken, calibration included.
        calibration_shots: Shots that learned the readout.
        seconds: Wall time, planning and simulation included.
    """

    name: str
    options: dict[str, Any]
    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    deviations: NDArray[np.float64]
    circuits: int
    shots: int
    calibration_shots: int
    seconds: float

    def in_error_bars(self) -> list[float | None]:
        """Return the deviations over their error bars; None where shots that all agree give no error bar."""
        pairs = zip(self.deviations.tolist(), self.errors.tolist(), strict=True)
        return [deviation / error if error else None for deviation, error in pairs]

    @property
    def rms_deviation(self) -> float:
        """Root mean square of the deviations over the observables."""
        return rms(self.deviations)

    @property
    def rms_error(self) -> float:
        """Root mean square of the error bars: about what `rms_deviation` would be if there were no bias."""
        return rms(self.errors)


def rms(values: NDArray[np.float64]) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(values**2)))


def run(workload: Workload, precision: float, seed: int, watch: Watch) -> list[Row]:
    """Estimate the workload with every strategy.

    Args:
        workload: Circuit, observables and exact values.
        precision: Target standard error of a unit-range observable; ``1 / precision**2`` shots per basis.
        seed: Makes everything but the seconds reproducible.
        watch: Told about progress.
    """
    # One seed each: with the same simulator seed the rows would share their fluctuations.
    seeds = np.random.SeedSequence(seed).generate_state(len(STRATEGIES))
    return [
        _row(workload, name, options, precision, int(own), watch)
        for (name, options), own in zip(STRATEGIES.items(), seeds, strict=True)
    ]


def _row(
    workload: Workload, name: str, options: dict[str, Any], precision: float, seed: int, watch: Watch
) -> Row:
    twirling = {**options.get("twirling", {}), "num_randomizations": NUM_RANDOMIZATIONS}
    options = {**options, "twirling": twirling, "seed": seed}
    estimator = Estimator(workload.device, options, progress=lambda done, total: watch(name, done, total))
    start = time.perf_counter()
    operators = list(workload.operators.values())
    result = estimator.run([(workload.circuit, operators)], precision=precision).result()
    seconds = time.perf_counter() - start
    data, spent = result[0].data, result.metadata
    return Row(
        name=name,
        options=options,
        values=data.evs,
        errors=data.stds,
        deviations=data.evs - workload.exact,
        circuits=spent["circuits"],
        shots=spent["shots"],
        calibration_shots=spent["calibration_shots"],
        seconds=seconds,
    )


def as_dict(workload: Workload, rows: list[Row], precision: float, seed: int) -> dict[str, Any]:
    """Return the demonstration as plain data."""
    device = workload.device
    return {
        "device": {"name": device.name, "provenance": dict(device.snapshot.provenance)},
        "workload": {
            "chain": list(workload.chain),
            "coupling": COUPLING,
            "field": FIELD,
            "time_step": TIME_STEP,
            "steps": workload.steps,
            "two_qubit_gates": workload.num_two_qubit_gates,
        },
        "precision": precision,
        "seed": seed,
        "observables": [
            {"name": name, "exact": float(exact), "without_readout_errors": float(without)}
            for name, exact, without in zip(
                workload.operators, workload.exact, workload.without_readout, strict=True
            )
        ],
        "rms_deviation_without_readout_errors": rms(workload.without_readout - workload.exact),
        "strategies": [
            {
                "name": row.name,
                "options": row.options,
                "values": row.values.tolist(),
                "errors": row.errors.tolist(),
                "deviations": row.deviations.tolist(),
                "deviations_in_error_bars": row.in_error_bars(),
                "rms_deviation": row.rms_deviation,
                "rms_error": row.rms_error,
                "circuits": row.circuits,
                "shots": row.shots,
                "calibration_shots": row.calibration_shots,
                "seconds": round(row.seconds, 3),
            }
            for row in rows
        ],
    }
