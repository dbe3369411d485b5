"""What a forecast says: predictions, which strategy should win, and why."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from attrs import asdict, frozen

from ..errors import InputError, Problem

#: Predictions that are closer than this are too close to tell which is better.
_CLOSE: Final = 1.15


@frozen
class Prediction:
    """What a strategy should achieve with the budget.

    Attributes:
        name: Of the strategy.
        rms: Predicted rms error over all values; None where it is refused.
        bias: The part of it that more shots would not reduce,
        error: and the part that they would: the rms error bar.
        shots: Shots of each setting without overheads: the ``default_shots`` that use the budget up.
        calibration_shots: Shots that learn about the device.
        gamma_squared: Sampling overhead of cancelling noise, 1 where none is cancelled.
        refused: Why it cannot be done; empty if it can.
        note: What is changed to fit the budget, as `compare` would; empty if nothing is.
    """

    name: str
    rms: float | None = None
    bias: float | None = None
    error: float | None = None
    shots: int = 0
    calibration_shots: int = 0
    gamma_squared: float = 1.0
    refused: str = ""
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@frozen
class Suggestion:
    """Which strategy should win.

    Attributes:
        best: Its name.
        reason: Why, in words.
        predictions: Of all strategies, in the order asked for.
        budget: Shots in total.
        assumptions: What the predictions rest on, one sentence each.
    """

    best: str
    reason: str
    predictions: tuple[Prediction, ...]
    budget: int
    assumptions: tuple[str, ...]

    def prediction(self, name: str) -> Prediction:
        """Return the prediction for a strategy.

        Raises:
            InputError: There is none.
        """
        for found in self.predictions:
            if found.name == name:
                return found
        names = ", ".join(p.name for p in self.predictions)
        raise InputError.of([Problem("strategy", f"{name!r} was not forecast", f"there are {names}")])

    def table(self) -> str:
        """Return the predictions as a Markdown table, the best first."""
        lines = [
            "| strategy | rms error | bias | error bar | shots a setting | calibration shots | gamma^2 |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
        for p in sorted(self.predictions, key=lambda p: np.inf if p.rms is None else p.rms):
            if p.rms is None or p.bias is None or p.error is None:
                lines.append(f"| {_cell(p.name)} | refused: {_cell(p.refused)} | | | | | |")
                continue
            lines.append(
                f"| {_cell(p.name)} | {p.rms:.2g} | {p.bias:.2g} | {p.error:.2g} | {p.shots} | "
                f"{p.calibration_shots} | {p.gamma_squared:.3g} |"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "best": self.best,
            "reason": self.reason,
            "budget": self.budget,
            "predictions": [p.to_dict() for p in self.predictions],
            "assumptions": list(self.assumptions),
        }

    def __str__(self) -> str:
        return f"{self.reason}\n\n{self.table()}\n\n" + "\n".join(f"- {text}" for text in self.assumptions)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _part(p: Prediction) -> str:
    assert p.bias is not None
    assert p.error is not None
    return (
        "mostly bias"
        if p.bias > 1.5 * p.error
        else "mostly shot noise"
        if p.error > 1.5 * p.bias
        else "both alike"
    )


def reason(possible: list[Prediction], predictions: tuple[Prediction, ...], budget: int, size: float) -> str:
    """Return in words why the first of the possible ones should win; `size` is the rms of the ideal values."""
    best, least = possible[0], float(possible[0].rms or 0.0)
    text = (
        f"With {budget} shots {best.name} should have the least rms error, {best.rms:.2g} "
        f"(bias {best.bias:.2g}, error bar {best.error:.2g}), of values of {size:.2g}."
    )
    for other in possible[1:3]:
        text += f" {other.name} should reach {other.rms:.2g}, {_part(other)}."
    close = [p.name for p in possible[1:] if float(p.rms or 0.0) < _CLOSE * least]
    if close:
        text += f" Too close to it for a forecast to tell: {', '.join(close)}."
    if size and least > size / 2:
        text += " None of them leaves much of a signal: make the circuit shorter, or spend more shots."
    refused = [p.name for p in predictions if p.refused]
    if refused:
        text += f" Not possible: {', '.join(refused)} (the table says why)."
    return text
