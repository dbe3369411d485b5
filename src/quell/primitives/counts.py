"""Counts and confusion matrices as users have them, read and checked; outcomes as they are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, Problem

#: Counts stay exact as floating-point numbers.
_MOST: Final = 2**53

Groups: TypeAlias = dict[tuple[int, ...], ArrayLike]


def read_counts(
    counts: Mapping[str | int, int],
    matrices: Sequence[ArrayLike | None] | Mapping[tuple[int, ...], ArrayLike],
) -> tuple[Groups, NDArray[np.uint8], NDArray[np.int64]]:
    """Return matrices by groups of bits, distinct outcomes uint8 ``(D, n)`` with bit 0 first, and their shots.

    Raises:
        InputError: Listing malformed outcomes and counts, and matrices of bits that are not there.
    """
    if not isinstance(matrices, (Mapping, Sequence, np.ndarray)) or isinstance(matrices, str):
        rule = f"must be a matrix for each bit or a dict from groups of bits, not {type(matrices).__name__}"
        raise InputError.of([Problem("matrices", rule, "give None for bits that are not corrected")])
    if isinstance(matrices, Mapping):
        wrong = [key for key in matrices if not _is_group(key)]
        InputError.check(
            Problem("matrices", f"has key {key!r}", "keys are tuples of bits, such as (0, 1)")
            for key in wrong
        )
        groups: Groups = {tuple(bits): matrix for bits, matrix in matrices.items()}
    else:
        groups = {(bit,): matrix for bit, matrix in enumerate(matrices) if matrix is not None}
    width = _width(counts, 0 if isinstance(matrices, Mapping) else len(matrices))
    InputError.check([*_wrong_groups(groups, width), *_wrong_counts(counts, width)])
    packed = b"".join(_number(key).to_bytes(-(-width // 8), "little") for key in counts)
    rows = np.frombuffer(packed, dtype=np.uint8).reshape(len(counts), -1)
    bits = np.unpackbits(rows, axis=1, count=width, bitorder="little")
    return groups, bits, np.array([int(n) for n in counts.values()], dtype=np.int64)


def bit_strings(bits: NDArray[np.uint8], registers: Sequence[Sequence[int]]) -> list[str]:
    """Return outcomes as bit strings, the first register rightmost, with spaces between registers."""
    if not len(bits):
        return []
    parts: list[NDArray[np.uint8]] = []
    for register in reversed(registers):
        if parts:
            parts.append(np.full((len(bits), 1), ord(" "), dtype=np.uint8))
        parts.append(bits[:, list(register)][:, ::-1] + np.uint8(ord("0")))
    chars = np.concatenate(parts, axis=1) if parts else np.zeros((len(bits), 0), dtype=np.uint8)
    width = chars.shape[1]
    text = np.ascontiguousarray(chars).tobytes().decode("ascii")
    return [text[i * width : (i + 1) * width] for i in range(len(bits))]


def integers_of(bits: NDArray[np.uint8], shown: Sequence[int]) -> list[int]:
    """Return outcomes as integers."""
    packed = np.packbits(bits[:, list(shown)], axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def _is_group(key: Any) -> bool:
    return isinstance(key, tuple) and all(isinstance(b, Integral) and not isinstance(b, bool) for b in key)


def _is_hex(key: str) -> bool:
    return key[:2] in ("0x", "0X")


def _number(key: Any) -> int:
    if isinstance(key, str):
        text = key.replace(" ", "")
        return int(text, 16) if _is_hex(text) else int(text, 2)
    return int(key)


def _width(counts: Any, given: int) -> int:
    """Return the number of bits: as many as there are matrices, or as the keys have."""
    keys = counts if isinstance(counts, Mapping) else ()
    lengths = [len(k.replace(" ", "")) for k in keys if isinstance(k, str) and not _is_hex(k)]
    numbers = [int(k).bit_length() for k in keys if isinstance(k, Integral) and not isinstance(k, bool)]
    return given or max([*lengths, *numbers], default=1) or 1


def _wrong_groups(groups: Mapping[tuple[int, ...], Any], width: int) -> Iterator[Problem]:
    bits = [bit for group in groups for bit in group]
    if len(set(bits)) < len(bits) or not all(groups):
        yield Problem("matrices", "must be of disjoint groups of bits", "give each bit one matrix")
    outside = sorted({bit for bit in bits if not 0 <= bit < width})
    if outside:
        yield Problem("matrices", f"are of bits {outside}, but outcomes have {width} bits")
    for group, matrix in groups.items():
        try:
            real = not np.iscomplexobj(matrix) and np.asarray(matrix, dtype=np.float64) is not None
        except (TypeError, ValueError):
            real = False
        if not real:
            yield Problem(
                f"matrices[{group[0] if len(group) == 1 else group}]", "is no array of real numbers"
            )


def _wrong_counts(counts: Any, width: int) -> Iterator[Problem]:
    if not isinstance(counts, Mapping):
        yield Problem("counts", f"must map outcomes to shots, not {type(counts).__name__}")
        return
    rules: dict[str, list[Any]] = {}
    for key, count in counts.items():
        for rule, wrong in _RULES_OF_COUNTS.items():
            if wrong(key, count, width):
                rules.setdefault(rule, []).append((key, count))
                break
    for rule, entries in rules.items():
        key, count = entries[0]
        more = f", and {len(entries) - 1} more" if len(entries) > 1 else ""
        yield Problem("counts", rule.format(key=key, count=count, width=width) + more)
    seen: dict[int, Any] = {}
    if not rules:
        for key in counts:
            if seen.setdefault(_number(key), key) != key:
                yield Problem("counts", f"has one outcome twice, as {seen[_number(key)]!r} and as {key!r}")
        if not sum(counts.values()):
            yield Problem("counts", "has no shots", "run the circuit with at least one")


def _no_key(key: Any, count: Any, width: int) -> bool:
    if isinstance(key, str):
        text = key.replace(" ", "")
        digits = text[2:] if _is_hex(text) else text
        return not digits or not set(digits.lower()) <= set("0123456789abcdef" if _is_hex(text) else "01")
    return isinstance(key, bool) or not isinstance(key, Integral) or key < 0


def _bad_length(key: Any, count: Any, width: int) -> bool:
    if isinstance(key, str) and not _is_hex(key):
        return len(key.replace(" ", "")) != width
    return _number(key) >> width > 0


def _no_count(key: Any, count: Any, width: int) -> bool:
    return isinstance(count, bool) or not isinstance(count, Integral) or not 0 <= int(count) < _MOST


_RULES_OF_COUNTS: Final[Mapping[str, Callable[[Any, Any, int], bool]]] = {
    "outcome {key!r} is no bit string, hexadecimal string or integer": _no_key,
    "outcome {key!r} does not have {width} bits": _bad_length,
    "outcome {key!r} has {count!r} shots, which is no number of shots": _no_count,
}
