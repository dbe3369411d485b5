"""Read a `Result` of ``backend.run``: the outcomes of every experiment as packed shots per register."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp

from ..circuits.program import Program
from ..circuits.samples import Samples
from .points import MeasReturn, points_of, shots_of, split_points
from .runner import Chunk


def samples_of_result(
    result: Any,
    batch: Sequence[Chunk],
    programs: Sequence[Program] | Mapping[int, Program],
    meas_return: MeasReturn | None = None,
) -> Iterator[tuple[Chunk, Samples]]:
    """Yield the samples of each chunk of a batch.

    Args:
        result: What ``backend.run`` gave.
        batch: The chunks of programs that were run.
        programs: What the chunks are of.
        meas_return: In which form kerneled points were asked for; None for bits.

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
        if meas_return is not None:
            yield chunk, _points(result, range(first, last), programs[chunk.program], meas_return)
            first = last
            continue
        num_bytes = -(-circuit.num_clbits // 8)
        packed = [_packed(result.data(index), circuit.num_clbits) for index in range(first, last)]
        if not all(map(len, packed)) and not _may_write(circuit):
            zeros = np.zeros((programs[chunk.program].shots, num_bytes), dtype=np.uint8)
            packed = [rows if len(rows) else zeros for rows in packed]  # some backends give no counts then
        shots = np.array([len(rows) for rows in packed], dtype=np.int64)
        if not shots.any():
            raise RuntimeError("no experiment returned any counts")
        whole = np.zeros((last - first, int(shots.max()), num_bytes), dtype=np.uint8)
        for member, rows in enumerate(packed):
            whole[member, : len(rows)] = rows
        yield chunk, Samples(*_split_registers(whole, circuit), shots)
        first = last


def joined_shots(parts: Sequence[Samples]) -> Samples:
    """Join the shots of the same members, which were measured in several runs."""
    if len(parts) == 1:
        return parts[0]
    ends = np.cumsum([part.shots for part in parts], axis=0)
    bits = {}
    for name, first in parts[0].bits.items():
        bits[name] = np.zeros((len(first), int(ends[-1].max()), first.shape[2]), dtype=first.dtype)
        for part, stops in zip(parts, ends, strict=True):
            for member, (stop, shots) in enumerate(zip(stops, part.shots, strict=True)):
                bits[name][member, stop - shots : stop] = part.bits[name][member, :shots]
    return Samples(bits, parts[0].num_bits, ends[-1])


def _points(result: Any, indices: range, program: Program, meas_return: MeasReturn) -> Samples:
    circuit = program.template.circuit
    members = [points_of(result.data(index), circuit.num_clbits, meas_return) for index in indices]
    shots = np.array([len(points) for points in members], dtype=np.int64)
    whole = np.zeros((len(members), int(shots.max()), circuit.num_clbits), dtype=np.complex128)
    for member, points in enumerate(members):
        whole[member, : len(points)] = points
    if meas_return == "avg":
        shots = np.array([shots_of(result.results[i], program.shots) for i in indices], dtype=np.int64)
    return Samples(*split_points(whole, circuit), shots)


def _may_write(circuit: QuantumCircuit) -> bool:
    """Return whether any instruction may write a classical bit; control flow itself only reads them."""
    for instruction in circuit.data:
        operation = instruction.operation
        if isinstance(operation, ControlFlowOp):
            if any(map(_may_write, operation.blocks)):
                return True
        elif instruction.clbits:
            return True
    return False


def _packed(data: Mapping[str, Any], num_bits: int) -> NDArray[np.uint8]:
    """Return the outcomes of an experiment as one row of packed bits a shot, uint8 ``(shots, bytes)``.

    Where the outcome of every shot was asked for, shots keep their order; counts have none.
    """
    memory, counts = data.get("memory"), data.get("counts", {})
    if memory is not None and len(memory) and isinstance(memory[0], str):
        return _rows(memory, num_bits)
    if memory is not None and len(memory) and not counts:
        raise RuntimeError("points of kerneled measurements came back (meas_level=1), bits were asked")
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
