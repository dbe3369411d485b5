"""Samples as the `Result` that ``backend.run`` gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.primitives import PrimitiveResult, SamplerPubResult
from qiskit.result import Result
from qiskit.result.models import ExperimentResult, ExperimentResultData, MeasLevel


def result_of_samples(
    samples: PrimitiveResult[SamplerPubResult],
    circuits: Sequence[QuantumCircuit],
    ran: Sequence[QuantumCircuit],
    *,
    memory: bool,
    **fields: Any,
) -> Result:
    """Return a `Result` with one experiment per circuit and set of parameter values.

    Args:
        samples: What the sampler returned, one PUB per circuit.
        circuits: The circuits as the user gave them; experiments have their names and registers.
        ran: The circuits as they were sampled, all of whose bits are in registers.
        memory: Whether to list the outcome of every shot.
        fields: Names and numbers of the result.
    """
    experiments = []
    for pub, circuit, sampled in zip(samples, circuits, ran, strict=True):
        header = _header(circuit)
        for packed in _whole(pub, sampled):
            data = ExperimentResultData(counts=_counts(packed))
            if memory:
                data = ExperimentResultData(counts=data.counts, memory=[_hex(row) for row in packed])
            experiments.append(
                ExperimentResult(
                    shots=len(packed),
                    success=True,
                    data=data,
                    meas_level=MeasLevel.CLASSIFIED,
                    status="DONE",
                    header=header,
                    metadata=dict(pub.metadata),
                )
            )
    metadata = dict(samples.metadata)
    return Result(success=True, status="COMPLETED", results=experiments, metadata=metadata, **fields)


def _whole(pub: SamplerPubResult, circuit: QuantumCircuit) -> Iterator[NDArray[np.uint8]]:
    """Yield all classical bits of each set of values, packed as one number a shot, uint8 ``(shots, bytes)``."""
    shape = pub.data.shape
    registers = [register for register in circuit.cregs if register.size]
    if len(registers) == 1 and list(registers[0]) == circuit.clbits:
        for index in np.ndindex(shape):
            yield pub.data[registers[0].name].array[index]
        return
    width = -(-circuit.num_clbits // 8) * 8
    for index in np.ndindex(shape):
        bits: NDArray[np.uint8] | None = None
        for register in registers:
            rows = np.unpackbits(pub.data[register.name].array[index], axis=-1)[:, ::-1]
            if bits is None:
                bits = np.zeros((len(rows), width), dtype=np.uint8)
            bits[:, [circuit.find_bit(bit).index for bit in register]] = rows[:, : register.size]
        assert bits is not None  # circuits without classical bits were refused
        yield np.packbits(bits[:, ::-1], axis=-1)


def _counts(packed: NDArray[np.uint8]) -> dict[str, int]:
    rows = np.ascontiguousarray(packed)
    # One opaque item a shot: sorting those is far faster than sorting rows.
    items = rows.view(np.dtype((np.void, rows.shape[1])))[:, 0]
    outcomes, counts = np.unique(items, return_counts=True)
    return {_hex(outcome): int(count) for outcome, count in zip(outcomes, counts, strict=True)}


def _hex(outcome: Any) -> str:
    return hex(int.from_bytes(outcome.tobytes(), "big"))


def _header(circuit: QuantumCircuit) -> dict[str, Any]:
    """Return what formatting counts needs to know of a circuit, in the words of qiskit's backends."""
    return {
        "name": circuit.name,
        "n_qubits": circuit.num_qubits,
        "memory_slots": circuit.num_clbits,
        "qreg_sizes": [[register.name, register.size] for register in circuit.qregs],
        "creg_sizes": [[register.name, register.size] for register in circuit.cregs],
        "qubit_labels": [[register.name, i] for register in circuit.qregs for i in range(register.size)],
        "clbit_labels": [[register.name, i] for register in circuit.cregs for i in range(register.size)],
        "global_phase": 0.0 if circuit.num_parameters else float(circuit.global_phase),
        "metadata": circuit.metadata,
    }
