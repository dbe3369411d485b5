"""From what people hold (dicts, nested or flat, and objects) to keys of a source's table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from typing import Any

import attrs
from attrs import frozen

from ..checks import is_unset
from ..group import Group, same
from ..tree import SamplerOptions, Tree
from .rows import Primitive, Refused, Source, plain

#: Names that are unique among the options of V2 but say nothing without their group.
_BARE = {"enable": ("dynamical_decoupling.enable", "twirling.enable_gates", "twirling.enable_measure")}


@frozen
class Given:
    """Legacy options as a dict, and what the object they came from says about them."""

    values: Mapping[str, Any]
    source: str | None = None
    primitive: Primitive | None = None


def read(legacy: Any) -> Given:
    """Return legacy options as a dict, from a dict or an object.

    Raises:
        TypeError: It is neither a dict nor an object with options.
    """
    if isinstance(legacy, Mapping):
        name = legacy.get("class")
        if not isinstance(name, str):
            return Given(legacy)
        primitive: Primitive = "sampler" if "Sampler" in name else "estimator"
        source = "qiskit.primitives.Backend*-v1" if name.startswith("Backend") else None
        return Given({k: v for k, v in legacy.items() if k != "class"}, source, primitive)
    kind, module = type(legacy).__name__, type(legacy).__module__.partition(".")[0]
    if kind == "NoiseModel":
        return Given({"noise_model": legacy}, "AerSimulator.run")
    if module == "qiskit_aer" and hasattr(legacy, "_transpile_options"):
        return _aer_primitive(legacy, kind)
    if isinstance(legacy, Tree):
        return Given(legacy.diff(), None, "sampler" if isinstance(legacy, SamplerOptions) else "estimator")
    if isinstance(legacy, Group):
        raise TypeError(f"{kind} is a part of a tree of options of today: translate the whole tree")
    if (found := _fields(legacy)) is not None:
        if module == "qiskit_ibm_runtime":
            first = hasattr(legacy, "transpilation")
            return Given(found, "runtime-v1.Options" if first else "runtime-v2-server")
        return Given(found)
    inner = getattr(legacy, "options", None)
    if module == "qiskit" and inner is not None and hasattr(inner, "items"):  # a V1 primitive of Qiskit
        primitive = "sampler" if "Sampler" in kind else "estimator"
        source = (
            "qiskit.primitives.Backend*-v1"
            if kind.startswith("Backend")
            else f"qiskit.primitives-v1.{primitive.title()}"
        )
        return Given({"options": dict(inner.items())}, source, primitive)
    if hasattr(legacy, "items"):  # qiskit.providers.Options
        return Given(dict(legacy.items()))
    raise TypeError(f"a {type(legacy).__name__} has no options to translate")


def _aer_primitive(primitive: Any, kind: str) -> Given:
    """Return the options of a live V1 primitive of Aer; nothing public gives them."""
    backend = primitive._backend
    defaults = {"shots": 1024, **dict(type(backend)._default_options().items())}
    changed = {k: v for k, v in backend.options.items() if not same(v, defaults.get(k))}
    values: dict[str, Any] = {
        "backend_options": changed,
        "run_options": dict(primitive.options.items()),
        "transpile_options": dict(primitive._transpile_options.items()),
        "skip_transpilation": primitive._skip_transpilation,
    }
    for name in ("approximation", "abelian_grouping"):
        if hasattr(primitive, f"_{name}"):
            values[name] = getattr(primitive, f"_{name}")
    return Given(values, f"qiskit_aer.primitives-v1.{kind}", "sampler" if kind == "Sampler" else "estimator")


def _fields(value: Any) -> dict[str, Any] | None:
    """Return the fields of an options object that differ from its defaults, None if it is no such object."""
    if isinstance(value, Group):
        return value.diff()
    if isinstance(value, type):
        return None
    if attrs.has(type(value)):
        names = [field.name for field in attrs.fields(type(value))]
    elif isinstance(fields := getattr(type(value), "model_fields", None), dict):  # pydantic
        names = list(fields)
    elif is_dataclass(value):
        names = [field.name for field in dataclass_fields(value)]
    else:
        return None
    try:
        fresh = type(value)()
    except Exception:  # needs arguments: then all its fields were given
        fresh = None
    found = {}
    for name in names:
        if name.startswith("_"):
            continue
        item = getattr(value, name)
        inner = _fields(item)
        if inner is not None:
            if inner:
                found[name] = inner
        elif not is_unset(item) and (fresh is None or not same(item, getattr(fresh, name, None))):
            found[name] = item
    return found


def leaves(values: Mapping[Any, Any], groups: frozenset[str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and plain values, going into the dicts and options objects of `groups`.

    Raises:
        Refused: A key is not a string.
    """
    for key, value in values.items():
        if not isinstance(key, str):
            raise Refused(f"has the key {key!r}, which is not a string", "name options by strings")
        path = f"{prefix}{key}"
        if path in groups and value is not None:
            inner = value if isinstance(value, Mapping) else _fields(value)
            if inner is None and hasattr(value, "items"):
                inner = dict(value.items())
            if inner is not None:
                yield from leaves(inner, groups, f"{path}.")
                continue
        if is_unset(value) or (path in groups and value is None) or path == "_VERSION":
            continue  # nothing was given; dumps of the server's options have these
        yield path, plain(list(value) if isinstance(value, Iterator) else value)


def place(key: str, source: Source, renamed: Mapping[str, str]) -> str | None:
    """Return where a key is in a source's table, None if it is unknown.

    Raises:
        Refused: It could be several, or means nothing alone.
    """
    if key in renamed:
        return renamed[key]
    if key in source.table:
        return key
    parent = key.rpartition(".")[0]
    if f"{parent}.*" in source.table:
        return f"{parent}.*"
    if "." in key:
        return None
    if source.flat == ("*",):
        groups = {"", *source.groups}
        found = _BARE.get(key) or tuple(
            k for k in source.table if k.rpartition(".")[2] == key and k.rpartition(".")[0] in groups
        )
        if len(found) > 1:
            rule = f"could be {', '.join(found[:-1])} or {found[-1]}"
            raise Refused(rule, "write out which one", "ambiguous")
        return found[0] if found else None
    for group in source.flat:
        if f"{group}.{key}" in source.table:
            return f"{group}.{key}"
    return None
