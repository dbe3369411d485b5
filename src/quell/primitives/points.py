"""Kerneled measurements as the experiments that ``backend.run`` gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.primitives import SamplerPubResult
from qiskit.result.models import ExperimentResult, ExperimentResultData, MeasLevel


def has_points(pub: SamplerPubResult) -> bool:
    """Return whether samples are points in the plane of the readout signal rather than bits."""
    return any(np.iscomplexobj(array) for array in pub.data.values())


def point_experiments(
    pub: SamplerPubResult, circuit: QuantumCircuit, header: dict[str, Any]
) -> Iterator[ExperimentResult]:
    """Yield one experiment for each set of parameter values, with all bits' points in its memory.

    Args:
        pub: The samples.
        circuit: What was sampled; all of its bits are in registers.
        header: What the experiments say of the circuit.
    """
    for index in np.ndindex(pub.data.shape):
        parts = [pub.data[register.name][index] for register in circuit.cregs]
        single = parts[0].ndim == 2
        points: NDArray[np.complex128] = np.zeros((*parts[0].shape[:-1], circuit.num_clbits), np.complex128)
        for register, part in zip(circuit.cregs, parts, strict=True):
            points[..., [circuit.find_bit(bit).index for bit in register]] = part
        yield ExperimentResult(
            shots=len(points) if single else pub.metadata["executed_shots"],
            success=True,
            # Lists, as those who read memory ask whether it is empty.
            data=ExperimentResultData(memory=np.stack([points.real, points.imag], axis=-1).tolist()),
            meas_level=MeasLevel.KERNELED,
            meas_return="single" if single else "avg",
            status="DONE",
            header=header,
            metadata=dict(pub.metadata),
        )
