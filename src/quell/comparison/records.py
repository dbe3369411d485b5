"""What a comparison keeps: one record for each strategy and repeat, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: The parts of a trial's wall time, in this order.
PARTS: Final = ("prepare", "execute", "combine")


@frozen(eq=False)
class Strategy:
    """One way to mitigate.

    Attributes:
        name: What it is called.
        options: The options that differ from the defaults, as a nested dict: what `EstimatorOptions` takes.
        description: What it does, in one line.
        shares_data_with: The strategy whose shots it analyses in another way; empty if it has shots of its own.
    """

    name: str
    options: Mapping[str, Any]
    description: str = ""
    shares_data_with: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "name": self.name,
            "options": dict(self.options),
            "description": self.description,
            "shares_data_with": self.shares_data_with,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_dict` wrote."""
        return cls(**data)


@frozen(eq=False)
class Trial:
    """What one strategy gave in one repeat.

    Attributes:
        strategy: Its name.
        repeat: Which repeat, from 0.
        values: float64 (values,): estimates, one for each value of the comparison; None if there are none.
        errors: float64 (values,): their standard errors; None if there are none.
        failure: Why there are no values; empty if there are.
        notes: What should be known about the values: warnings of the run, fits that failed.
        circuits: Circuits that the strategy takes by itself, calibration included.
        shots: Shots that it takes by itself, calibration included.
        calibration_shots: How many of these learn about the device.
        executed_shots: Shots that were run for it: fewer where it shares calibrations or data with other strategies.
        gamma_squared: Sampling overhead of cancelled noise, of the PUB where it is largest; None without PEC.
        qpu_seconds: Estimate of how long a quantum computer takes for its shots; see `Comparison.settings`.
        seconds: Wall time in seconds, by the names in `PARTS`.
        details: Plain data on how it was run: seed, shots of a value, extrapolators and more.
    """

    strategy: str
    repeat: int
    values: Floats | None = field(default=None)
    errors: Floats | None = field(default=None)
    failure: str = ""
    notes: tuple[str, ...] = ()
    circuits: int = 0
    shots: int = 0
    calibration_shots: int = 0
    executed_shots: int = 0
    gamma_squared: float | None = None
    qpu_seconds: float = 0.0
    seconds: Mapping[str, float] = field(factory=lambda: dict.fromkeys(PARTS, 0.0))
    details: Mapping[str, Any] = field(factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data; floats keep all their digits in JSON."""
        return {
            "strategy": self.strategy,
            "repeat": self.repeat,
            "values": None if self.values is None else self.values.tolist(),
            "errors": None if self.errors is None else self.errors.tolist(),
            "failure": self.failure,
            "notes": list(self.notes),
            "circuits": self.circuits,
            "shots": self.shots,
            "calibration_shots": self.calibration_shots,
            "executed_shots": self.executed_shots,
            "gamma_squared": self.gamma_squared,
            "qpu_seconds": self.qpu_seconds,
            "seconds": dict(self.seconds),
            "details": dict(self.details),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_dict` wrote."""
        arrays = {
            name: None if data[name] is None else np.array(data[name], dtype=np.float64)
            for name in ("values", "errors")
        }
        return cls(**{**data, **arrays, "notes": tuple(data["notes"])})
