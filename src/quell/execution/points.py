"""Read kerneled measurements of a `Result`: points in the plane of the readout signal instead of bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

MeasReturn = Literal["single", "avg"]
#: Axes of memory: one for the bits, before them one for shots unless these are averaged.
_AXES: Mapping[str, int] = {"single": 2, "avg": 1}


def points_of(data: Mapping[str, Any], num_bits: int, meas_return: MeasReturn) -> NDArray[np.complex128]:
    """Return the points of an experiment, complex128 ``(shots, num_bits)``, one row where they are averaged.

    Args:
        data: Of the experiment; its memory holds complex numbers, or pairs of real and imaginary parts.
        num_bits: Classical bits of the circuit; every one has a point, in their order.
        meas_return: Whether a point for every shot was asked for, or their average.

    Raises:
        RuntimeError: The data are not what was asked.
    """
    memory = data.get("memory")
    asked = f"meas_level=1 with meas_return={meas_return!r} was asked"
    if memory is None or (len(memory) and isinstance(memory[0], str)):
        came = "counts" if memory is None and "counts" in data else "nothing" if memory is None else "bits"
        raise RuntimeError(f"{asked}, {came} came back")
    try:
        array = np.asarray(memory)
        points = array if np.iscomplexobj(array) else _complex(array.astype(np.float64))
    except (TypeError, ValueError) as error:
        raise RuntimeError(f"{asked}, its memory is no array of points: {error}") from None
    if points.ndim != _AXES[meas_return] or points.shape[-1] != num_bits:
        wanted = (*("shots",) * (_AXES[meas_return] - 1), num_bits)
        wanted_text = ", ".join(map(str, wanted)) + ("," if len(wanted) == 1 else "")
        raise RuntimeError(f"{asked}, so points of shape ({wanted_text}); their shape is {points.shape}")
    if not np.isfinite(points).all():
        first = np.argwhere(~np.isfinite(points))[0]
        where = f"bit {first[-1]}" + (f" of shot {first[0]}" if len(first) == 2 else "")
        raise RuntimeError(f"{asked}, the point of {where} is {points[tuple(first)]}")
    return np.atleast_2d(points).astype(np.complex128)


def _complex(pairs: NDArray[np.float64]) -> NDArray[np.complex128]:
    if not pairs.ndim or pairs.shape[-1] != 2:
        raise ValueError(f"shape {pairs.shape} has no pairs of real and imaginary parts")
    return pairs[..., 0] + 1j * pairs[..., 1]


def split_points(
    whole: NDArray[np.complex128], circuit: QuantumCircuit
) -> tuple[dict[str, NDArray[np.complex128]], dict[str, int]]:
    """Split points ``(members, shots, num_clbits)`` into the circuit's registers, which may share bits."""
    points = {r.name: whole[..., [circuit.find_bit(bit).index for bit in r]] for r in circuit.cregs}
    return points, {register.name: register.size for register in circuit.cregs}


def shots_of(experiment: Any, asked: int) -> int:
    """Return how many shots an average is of: what the experiment says, or what was asked."""
    shots = getattr(experiment, "shots", None)
    return int(shots) if isinstance(shots, (int, np.integer)) and shots > 0 else asked
