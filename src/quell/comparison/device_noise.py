"""What is known of a device's noise before anything is run: from its target, a noise model of Aer, or the user."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from qiskit.transpiler import Target

from ..calibration.layers import LayerModel
from ..calibration.models import layer_models, models_of_aer
from ..circuits.layers import Layer
from ..circuits.scheduling import VIRTUAL
from ..errors import InputError, Problem, QuellError
from ..execution.adapters import runner_for
from ..execution.modes import ExecutionMode
from ..execution.simulated import innermost
from ..stages.circuit_noise import model_for

Floats = NDArray[np.float64]
Rates = Callable[[str, tuple[int, ...]], float]
Models = Callable[[Sequence[Layer]], Sequence[LayerModel]]

_KEYS: Final = ("two_qubit", "one_qubit", "readout", "layers")
_PULSES: Final = ("x", "sx", "rx", "u3", "u", "h")
_MOST: Final = 0.7  # an error that leaves less has no logarithm worth having
_UNTOUCHED: Final = VIRTUAL | {"id", "barrier", "delay"}


@frozen(eq=False)
class DeviceNoise:
    """Error rates that forecasts rest on.

    Attributes:
        one_qubit: Gate name and qubit -> minus the logarithm of what it leaves of a Pauli, mean over X, Y and Z.
        readout: Qubit -> probabilities of reading 1 for 0, and 0 for 1.
        layers: Layers -> their Pauli-Lindblad models.
        source: Where this is from, in words.
        coherent: Whether some errors are known to be unitary in part; None if that is not known.
    """

    one_qubit: Rates
    readout: Callable[[int], tuple[float, float]]
    layers: Models
    source: str
    coherent: bool | None = None

    def pulse(self, qubit: int) -> float:
        """Return the decay of the gate that twirling would add: the least of those that are known to err."""
        known = [decay for name in _PULSES if (decay := self.one_qubit(name, (qubit,))) > 0]
        return min(known, default=0.0)


def device_noise(mode: Any, noise: Any = None) -> DeviceNoise:
    """Return what is known of the noise of a device.

    Args:
        mode: What an estimator takes.
        noise: What the user knows instead: a noise model of Aer, noise of layers as ``resilience.layer_noise_model``
            takes it, or a mapping. Its keys are "two_qubit" and "one_qubit" (mean infidelities of gates), "readout"
            (probability of reading a bit wrongly) and, in place of the first, "layers" (noise of layers).

    Raises:
        InputError: `noise` is none of these, or nothing is known.
    """
    runs_on = mode.runs_on if isinstance(mode, ExecutionMode) else mode
    if noise is not None:
        return _given(noise)
    backend = innermost(runs_on)
    model = getattr(getattr(backend, "options", None), "noise_model", None)
    if model is not None and not model.is_ideal():
        return _of_aer(model)
    target = runner_for(runs_on).target
    found = None if target is None else _of_target(target)
    if found is None:
        rule = "says nothing of its errors: no rates in its target, no noise model"
        fix = "say what you know: noise={'two_qubit': 0.01, 'one_qubit': 0.001, 'readout': 0.02}"
        raise InputError.of([Problem("mode", rule, fix)])
    return found


def _given(noise: Any) -> DeviceNoise:
    if hasattr(noise, "_local_quantum_errors"):
        return _of_aer(noise)
    if isinstance(noise, Mapping) and all(isinstance(key, str) for key in noise):
        return _of_rates(noise)
    return _of_rates({"layers": noise})


def _of_rates(noise: Mapping[str, Any]) -> DeviceNoise:
    problems = [
        Problem("noise", f"has {key!r}", f"its keys are {', '.join(_KEYS)}")
        for key in noise
        if key not in _KEYS
    ]
    rates = {key: noise.get(key, 0.0) for key in _KEYS[:3]}
    for key, value in rates.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 0.5:
            problems.append(Problem(f"noise[{key!r}]", f"must be a number from 0 to 0.5 (got {value!r})"))
    if "layers" in noise and "two_qubit" in noise:
        problems.append(Problem("noise", "has both 'two_qubit' and 'layers'", "leave one of them out"))
    InputError.check(problems)
    two, one, readout = (float(value) for value in rates.values())
    if "layers" in noise:
        layers, source = _layers_given(noise["layers"]), "the noise of layers that was given"
    else:
        layers = _depolarizing(lambda name, qubits: two)
        source = f"the error rates that were given (two-qubit {two:g})"
    return DeviceNoise(
        lambda name, qubits: 0.0 if name in _UNTOUCHED else _decay(one, 2),
        lambda qubit: (readout, readout),
        layers,
        f"{source}, one-qubit errors {one:g}, readout errors {readout:g}",
    )


def _layers_given(noise: Any) -> Models:
    try:
        models = layer_models(noise)
    except (QuellError, TypeError, ValueError) as error:
        rule = f"is neither a mapping of {', '.join(_KEYS)} nor noise of layers ({error})"
        raise InputError.of([Problem("noise", rule)]) from error

    def layers(asked: Sequence[Layer]) -> list[LayerModel]:
        found = [model_for(layer, models) for layer in asked]
        missing = [layer.describe() for layer, own in zip(asked, found, strict=True) if own is None]
        InputError.check(Problem("noise", f"has no noise for the layer {name}") for name in missing)
        return [own for own in found if own is not None]

    return layers


def _depolarizing(infidelity: Rates) -> Models:
    return lambda layers: [_depolarized(layer, infidelity) for layer in layers]


def _decay(infidelity: float, dimension: int) -> float:
    """Return minus the logarithm of the Pauli fidelity of depolarising noise with a mean gate infidelity."""
    return -math.log1p(-min(infidelity * dimension / (dimension - 1), _MOST))


def _depolarized(layer: Layer, infidelity: Rates) -> LayerModel:
    """Return a model in which every gate depolarises its qubits."""
    place = {qubit: i for i, qubit in enumerate(layer.qubits)}
    codes, rates = [], []
    for name, _, qubits in layer.gates:
        # Each of 15 Paulis anticommutes with 8 others: f = exp(-2 * 8 rate).
        rate = _decay(infidelity(name, qubits), 4) / 16
        for pair in range(1, 16):
            code = np.zeros(len(layer.qubits), dtype=np.uint8)
            code[place[qubits[0]]], code[place[qubits[1]]] = pair & 3, pair >> 2
            codes.append(code)
            rates.append(rate)
    return LayerModel.of(layer, np.array(codes, dtype=np.uint8), rates, "depolarising")


# --- targets -----------------------------------------------------------------------------------


def _of_target(target: Target) -> DeviceNoise | None:
    def error(name: str, qubits: tuple[int, ...]) -> float | None:
        if name not in target.operation_names:
            return None
        table = target[name] or {}
        properties = table.get(qubits) or table.get(qubits[::-1])
        found = None if properties is None else properties.error
        return None if found is None or not math.isfinite(found) else min(float(found), 0.5)

    known = any(
        p is not None and p.error for name in target.operation_names for p in (target[name] or {}).values()
    )
    if not known:
        return None
    typical = {
        width: _median(
            [
                p.error
                for name in target.operation_names
                if name not in ("measure", "reset")
                for qubits, p in (target[name] or {}).items()
                if qubits is not None and len(qubits) == width and p is not None and p.error
            ]
        )
        for width in (1, 2)
    }

    def one(name: str, qubits: tuple[int, ...]) -> float:
        found = error(name, qubits)
        if found is None:
            found = 0.0 if name in _UNTOUCHED else typical[1]
        return _decay(found, 2)

    def two(name: str, qubits: tuple[int, ...]) -> float:
        found = error(name, qubits)
        return typical[2] if found is None else found

    def readout(qubit: int) -> tuple[float, float]:
        found = error("measure", (qubit,)) or 0.0
        return found, found

    return DeviceNoise(one, readout, _depolarizing(two), "the error rates of the device's target")


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if len(values) else 0.0


# --- Aer ---------------------------------------------------------------------------------------

_PAULIS: Final = np.array([[[0, 1], [1, 0]], [[1, 0], [0, -1]], [[0, -1j], [1j, 0]]])


def _of_aer(model: Any) -> DeviceNoise:
    local, default = model._local_quantum_errors, model._default_quantum_errors
    local_readout, default_readout = model._local_readout_errors, model._default_readout_error
    decays: dict[tuple[str, tuple[int, ...]], float] = {}

    def one(name: str, qubits: tuple[int, ...]) -> float:
        if (name, qubits) not in decays:
            error = local.get(name, {}).get(qubits, default.get(name))
            decays[name, qubits] = 0.0 if error is None else _one_qubit_decay(error)
        return decays[name, qubits]

    def readout(qubit: int) -> tuple[float, float]:
        error = local_readout.get((qubit,), default_readout)
        if error is None:
            return 0.0, 0.0
        table = np.asarray(error.probabilities, dtype=np.float64)
        return float(table[0, 1]), float(table[1, 0])

    once = SimpleNamespace(
        _local_quantum_errors={
            name: {qubits: _Once(e) for qubits, e in table.items()} for name, table in local.items()
        },
        _default_quantum_errors={name: _Once(e) for name, e in default.items()},
    )
    errors = [e for table in local.values() for e in table.values()] + list(default.values())
    return DeviceNoise(
        one,
        readout,
        lambda layers: models_of_aer(once, layers),
        "the noise model of Aer",
        any(_is_coherent(error) for error in errors if error.num_qubits <= 2),
    )


@frozen(eq=False, slots=False)
class _Once:
    """An error of Aer whose superoperator is worked out once, not for every gate that has it."""

    error: Any

    def to_quantumchannel(self) -> Any:
        return self._channel

    @cached_property
    def _channel(self) -> Any:
        return self.error.to_quantumchannel()


def _one_qubit_decay(error: Any) -> float:
    """Return minus the logarithm of the mean Pauli fidelity of a one-qubit error."""
    if error.num_qubits != 1:
        return 0.0
    superoperator = np.asarray(error.to_quantumchannel().data, dtype=complex)
    columns = _PAULIS.transpose(0, 2, 1).reshape(3, 4)
    fidelities = np.einsum("pi,ij,pj->p", columns.conj(), superoperator, columns).real / 2
    return float(-np.log(max(fidelities.mean(), 1 - _MOST)))


def _is_coherent(error: Any) -> bool:
    """Return whether an error turns some Pauli into others: more than rounding off the diagonal of unital part."""
    from qiskit.quantum_info import PTM

    transfer = np.asarray(PTM(error.to_quantumchannel()).data).real[1:, 1:]
    off = transfer - np.diag(np.diag(transfer))
    return bool(np.abs(off).max() > 1e-6)
