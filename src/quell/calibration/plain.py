"""Plain data: values that JSON can hold, written in one way only, and read with distrust.

What is read raises `ValueError` with a text that names the entry, so that whoever reads a file can list everything that
is wrong with it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from enum import Enum
from itertools import pairwise
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray


def canonical(data: Any) -> str:
    """Return plain data as JSON text; equal data give equal text.

    Raises:
        TypeError: It is not plain.
        ValueError: It has NaN or infinite numbers.
    """
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def sha256(*texts: str) -> str:
    """Return the hash of texts; where one ends and the next begins counts."""
    return hashlib.sha256(canonical(list(texts)).encode()).hexdigest()


def digest(value: Any) -> str | None:
    """Return a name of a value that is the same in every process, None if it cannot be named.

    Args:
        value: Numbers, texts, arrays, attrs values, objects with `to_dict`, and containers of these.
    """
    try:
        return sha256(canonical(_named(value)))
    except _NamelessError:
        return None


class _NamelessError(Exception):
    """A value has no name that would hold in another process."""


def _named(value: Any) -> Any:
    """Return plain data that names a value; kinds that could be mixed up are tagged."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Enum):
        return ["enum", type(value).__name__, value.name]
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else ["float", repr(float(value))]
    if isinstance(value, (complex, np.complexfloating)):
        return ["complex", _named(value.real), _named(value.imag)]
    if isinstance(value, np.ndarray):
        return ["array", list(value.shape), [_named(item) for item in value.ravel().tolist()]]
    if isinstance(value, Mapping):
        items = [[_named(key), _named(item)] for key, item in value.items()]
        return ["dict", sorted(items, key=lambda item: canonical(item[0]))]
    if isinstance(value, (set, frozenset)):
        return ["set", sorted((_named(item) for item in value), key=canonical)]
    if isinstance(value, (list, tuple)):
        return ["list", [_named(item) for item in value]]
    return _named_object(value)


def _named_object(value: Any) -> Any:
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, type):
        raise _NamelessError
    if attrs.has(type(value)):
        fields = [f.name for f in attrs.fields(type(value)) if f.eq]
        return [name, [[field, _named(getattr(value, field))] for field in fields]]
    if callable(getattr(value, "to_dict", None)):
        try:
            data = value.to_dict()
        except Exception as error:  # somebody else's code
            raise _NamelessError from error
        return [name, _named(_without_ids(data))]
    raise _NamelessError


def _without_ids(data: Any) -> Any:
    """Return nested data without ids: Aer gives every quantum error a random one, also equal errors."""
    if isinstance(data, Mapping):
        return {key: _without_ids(item) for key, item in data.items() if key != "id"}
    if isinstance(data, (list, tuple)):
        return [_without_ids(item) for item in data]
    return data


# --- reading ----------------------------------------------------------------------------------


def mapping(data: Any, names: Sequence[str]) -> Mapping[str, Any]:
    """Return data that are a mapping with exactly these names.

    Raises:
        ValueError: They are not.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"must be a mapping, not {type(data).__name__}")
    missing = [name for name in names if name not in data]
    unknown = [str(name) for name in data if name not in names]
    if missing or unknown:
        parts = [f"lacks {', '.join(missing)}"] if missing else []
        parts += [f"has unknown entries {', '.join(unknown)}"] if unknown else []
        raise ValueError(" and ".join(parts))
    return data


def integer(data: Mapping[str, Any], name: str, least: int = 0) -> int:
    """Return an entry that is an integer of at least `least`.

    Raises:
        ValueError: It is not.
    """
    value = data[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least} (got {value!r})")
    return value


def boolean(data: Mapping[str, Any], name: str) -> bool:
    """Return an entry that is true or false.

    Raises:
        ValueError: It is neither.
    """
    value = data[name]
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false (got {value!r})")
    return value


def integers(values: Any, name: str, *, ascending: bool = False) -> tuple[int, ...]:
    """Return a list of integers that are not negative.

    Raises:
        ValueError: It is something else, or does not ascend though it must.
    """
    good = isinstance(values, (list, tuple)) and all(
        isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in values
    )
    if not good:
        raise ValueError(f"{name} must be a list of integers that are not negative")
    if ascending and any(b <= a for a, b in pairwise(values)):
        raise ValueError(f"{name} must ascend")
    return tuple(values)


def qubits(values: Any, name: str, num_qubits: int | None = None) -> tuple[int, ...]:
    """Return a list of distinct qubits, in its order, of a circuit that has `num_qubits` of them.

    Raises:
        ValueError: It is something else.
    """
    found = integers(values, name)
    if not found or len(set(found)) < len(found):
        raise ValueError(f"{name} must be distinct qubits, one at least")
    if num_qubits is not None and max(found) >= num_qubits:
        raise ValueError(f"{name} names qubit {max(found)} of {num_qubits}")
    return found


def packed(array: NDArray[Any]) -> str:
    """Return the bytes of an array as text, least significant byte first; shape and type are not kept."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode("ascii")


def unpacked(text: Any, dtype: str, shape: Sequence[int], name: str) -> NDArray[Any]:
    """Return an array from its bytes as text.

    Raises:
        ValueError: The bytes are not those of such an array.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise ValueError(f"{name} must be base64 text") from None
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if len(raw) != size:
        raise ValueError(f"{name} must hold {size} bytes (got {len(raw)})")
    return np.frombuffer(raw, dtype=np.dtype(dtype).newbyteorder("<")).astype(dtype).reshape(shape)


def simplified(value: Any) -> Any:
    """Return plain data: numbers and arrays of numpy as those of Python, keys as texts, None for NaN."""
    if isinstance(value, Mapping):
        return {str(key): simplified(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return simplified(value.tolist())
    if isinstance(value, (list, tuple)):
        return [simplified(item) for item in value]
    if isinstance(value, np.generic):
        return simplified(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
