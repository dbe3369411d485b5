"""Read a `Result` of ``backend.run``: the outcomes of every experiment as packed shots per register."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from ..circuits.program import Program
from ..circuits.samples import Samples
from .runner import Chunk


def samples_of_result(
    result: Any, batch: Sequence[Chunk], programs: Sequence[Program]
) -> Iterator[tuple[Chunk, Samples]]:
    """Yield the samples of each chunk of a batch.

    Raises:
        RuntimeError: The result says that it failed, or does not hold what was asked.
    """
    if getattr(result, "success", True) is False:
        raise RuntimeError(f"the result says: {getattr(result, 'status', 'failed')}")
    asked, got = sum(chunk.stop - chunk.start for chunk in batch), len(result.results)
    if got != asked:
        raise RuntimeError(f"{asked} circuits were submitted, {got} results came back")
    first = 0
    for chunk in batch:
        circuit = programs[chunk.program].template.circuit
        last = first + chunk.stop - chunk.start
        num_bytes = -(-circuit.num_clbits // 8)
        packed = [_packed(result.data(index), circuit.num_clbits) for index in range(first, last)]
        shots = np.array([len(rows) for rows in packed], dtype=np.int64)
        if not shots.any():
            raise RuntimeError("no experiment returned any counts")
        whole = np.zeros((last - first, int(shots.max()), num_bytes), dtype=np.uint8)
        for member, rows in enumerate(packed):
            whole[member, : len(rows)] = rows
        yield chunk, Samples(*_split_registers(whole, circuit), shots)
        first = last


def _packed(data: Mapping[str, Any], num_bits: int) -> NDArray[np.uint8]:
    """Return the outcomes of an experiment as one row of packed bits a shot, uint8 ``(shots, bytes)``.

    Where the outcome of every shot was asked for, shots keep their order; counts have none.
    """
    memory, counts = data.get("memory"), data.get("counts", {})
    if memory is not None and len(memory) and isinstance(memory[0], str):
        return _rows(memory, num_bits)
    numbers = np.array(list(counts.values()))
    if numbers.dtype.kind not in "iu":  # all that backends return, but for a few
        for key, count in counts.items():
            if not (isinstance(count, Real) and float(count).is_integer()):
                raise _no_count(key, count)
    if (numbers < 0).any():
        raise _no_count(*next((key, count) for key, count in counts.items() if count < 0))
    return np.repeat(_rows(counts, num_bits), numbers.astype(np.int64), axis=0)


def _no_count(key: Any, count: Any) -> RuntimeError:
    rule = f"outcome {key!r} has count {count!r}, which is not a number of shots"
    return RuntimeError(f"{rule}; the backend must return counts, not probabilities")


def _rows(keys: Collection[Any], num_bits: int) -> NDArray[np.uint8]:
    num_bytes = -(-num_bits // 8)
    outcomes = [_key(key) for key in keys]
    if outcomes and not 0 <= min(outcomes) <= max(outcomes) < 1 << num_bits:
        key = next(k for k, outcome in zip(keys, outcomes, strict=True) if outcome >> num_bits)
        raise RuntimeError(f"outcome {key!r} does not fit the {num_bits} classical bits of its circuit")
    packed = b"".join(outcome.to_bytes(num_bytes, "big") for outcome in outcomes)
    return np.frombuffer(packed, dtype=np.uint8).reshape(len(outcomes), num_bytes)


def _key(key: Any) -> int:
    """Read a hexadecimal or binary outcome, with or without spaces between registers, or a number."""
    if isinstance(key, Integral):
        return int(key)
    text = key.replace(" ", "")
    return int(text, 16) if text[:2] in ("0x", "0X") else int(text, 2)


def _split_registers(
    whole: NDArray[np.uint8], circuit: QuantumCircuit
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, int]]:
    """Split packed classical bits into the circuit's registers."""
    bits, sizes = {}, {}
    unpacked: NDArray[np.uint8] | None = None
    for register in circuit.cregs:
        indices = [circuit.find_bit(bit).index for bit in register]
        sizes[register.name] = len(indices)
        if indices == list(range(circuit.num_clbits)):
            bits[register.name] = whole
            continue
        if unpacked is None:
            unpacked = np.unpackbits(whole, axis=-1)[..., ::-1]
        chosen = unpacked[..., indices][..., ::-1]
        pad = -len(indices) % 8
        chosen = np.concatenate([np.zeros((*chosen.shape[:-1], pad), dtype=np.uint8), chosen], axis=-1)
        bits[register.name] = np.packbits(chosen, axis=-1)
    return bits, sizes
