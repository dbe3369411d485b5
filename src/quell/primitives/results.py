"""Samples as the `Result` that ``backend.run`` gives."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.primitives import PrimitiveResult
from qiskit.result import Result
from qiskit.result.models import ExperimentResult, ExperimentResultData, MeasLevel

from ..kernels.outcomes import distinct_rows
from .corrected import SamplerPubResult
from .points import has_points, point_experiments
from .quasi import MOSTLY_LONE, QuasiDistribution, level_of_caller


def result_of_samples(
    samples: PrimitiveResult[SamplerPubResult],
    circuits: Sequence[QuantumCircuit],
    ran: Sequence[QuantumCircuit],
    *,
    memory: bool,
    corrected: bool = True,
    **fields: Any,
) -> Result:
    """Return a `Result` with one experiment per circuit and set of parameter values.

    Args:
        samples: What the sampler returned, one PUB per circuit.
        circuits: The circuits as the user gave them; experiments have their names and registers.
        ran: The circuits as they were sampled, all of whose bits are in registers.
        memory: Whether to list the outcome of every shot.
        corrected: Whether counts are freed of readout errors where it is known how bits were misread.
        fields: Names and numbers of the result.
    """
    rng = np.random.default_rng(samples.metadata.get("seed"))
    experiments: list[ExperimentResult] = []
    for pub, circuit, sampled in zip(samples, circuits, ran, strict=True):
        header = _header(circuit)
        if has_points(pub):
            experiments += point_experiments(pub, sampled, header)
            continue
        for index, packed in zip(np.ndindex(pub.data.shape), _whole(pub, sampled), strict=True):
            facts = dict(pub.metadata)
            counts, shots = _counts(packed), packed
            extra: dict[str, Any] = {}
            if corrected and pub.readout is not None:
                quasi = pub.readout.distribution(pub.data, index, [range(sampled.num_clbits)], True)
                if quasi.unique_fraction > MOSTLY_LONE:
                    facts["warning"] = _as_read(quasi)
                    if quasi.shots > 1:
                        where = f"run_input {circuit.name!r}"
                        text = f"{where}: {facts['warning']}"
                        warnings.warn(text, UserWarning, stacklevel=level_of_caller())
                else:
                    nearest = quasi.nearest_counts()
                    shots = _memory_of(packed, nearest, rng) if memory else packed
                    counts = {hex(outcome): n for outcome, n in nearest.items()}
                    extra["quasi_probabilities"] = {hex(outcome): p for outcome, p in quasi.items()}
            if memory:
                extra["memory"] = [_hex(row) for row in shots]
            experiments.append(
                ExperimentResult(
                    shots=len(packed),
                    success=True,
                    data=ExperimentResultData(counts=counts, **extra),
                    meas_level=MeasLevel.CLASSIFIED,
                    status="DONE",
                    header=header,
                    metadata=facts,
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


def _as_read(quasi: QuasiDistribution) -> str:
    return (
        f"counts are as they were read, because {quasi.unique_fraction:.0%} of {quasi.shots} shots have distinct "
        "outcomes, of which M3 corrects next to nothing; measure fewer qubits, take more shots, or use an Estimator"
    )


def _memory_of(
    packed: NDArray[np.uint8], counts: Mapping[int, int], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return shots with these counts: as they were read, but for randomly chosen ones of outcomes read too often."""
    _, first, index = distinct_rows(packed)
    had = np.bincount(index, minlength=len(first))
    wanted = np.array([counts.get(_number(packed[i]), 0) for i in first], dtype=np.int64)
    order = rng.permutation(len(packed))
    # Shots of each outcome in random order; those beyond the number that is wanted get another one.
    by_outcome = order[np.argsort(index[order], kind="stable")]
    rank = np.arange(len(packed)) - np.repeat(np.cumsum(had) - had, had)
    surplus = by_outcome[rank >= np.repeat(wanted, had)]
    shots = packed.copy()
    missing = np.repeat(first, np.maximum(wanted - had, 0))
    shots[rng.permutation(surplus)] = packed[missing]
    return shots


def _counts(packed: NDArray[np.uint8]) -> dict[str, int]:
    counts, first, _ = distinct_rows(packed)
    return {_hex(packed[i]): int(n) for i, n in zip(first, counts, strict=True)}


def _number(row: NDArray[np.uint8]) -> int:
    return int.from_bytes(row.tobytes(), "big")


def _hex(row: NDArray[np.uint8]) -> str:
    return hex(_number(row))


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
