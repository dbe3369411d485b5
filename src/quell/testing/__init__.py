"""Fakes with known truth, and the laws of stages: for our tests and for those of third parties.

The names are loaded when first used, so that a fake sampler does not wait for a simulator.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "CountingBackend": "backends",
    "DeviceSnapshot": "snapshots",
    "ExactSampler": "samplers",
    "FailingBackend": "backends",
    "IQBackend": "iq",
    "NoisyDevice": "devices",
    "PauliFrameSampler": "pauli_frames",
    "ReadoutModel": "readout",
    "check_stage": "laws",
    "default_ensemble": "laws",
    "device_names": "snapshots",
    "ensemble_of": "laws",
    "exact_value": "devices",
    "exact_values": "laws",
    "load_device": "snapshots",
    "run_stages": "laws",
}

__all__ = [
    "CountingBackend",
    "DeviceSnapshot",
    "ExactSampler",
    "FailingBackend",
    "IQBackend",
    "NoisyDevice",
    "PauliFrameSampler",
    "ReadoutModel",
    "check_stage",
    "default_ensemble",
    "device_names",
    "ensemble_of",
    "exact_value",
    "exact_values",
    "load_device",
    "run_stages",
]

if TYPE_CHECKING:
    from .backends import CountingBackend, FailingBackend
    from .devices import NoisyDevice, exact_value
    from .iq import IQBackend
    from .laws import check_stage, default_ensemble, ensemble_of, exact_values, run_stages
    from .pauli_frames import PauliFrameSampler
    from .readout import ReadoutModel
    from .samplers import ExactSampler
    from .snapshots import DeviceSnapshot, device_names, load_device


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
