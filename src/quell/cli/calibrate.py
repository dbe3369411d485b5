"""``quell calibrate``: learn the readout and the noise of layers of a bundled device, and look after what is kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qiskit import QuantumCircuit, transpile
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..calibration.layers import LayerModel
from ..calibration.rows import Record
from ..calibration.store import CalibrationStore
from ..errors import InputError, Problem
from ..execution.runner import Progress
from ..experiments.qasm import read_circuit
from ..primitives.calibrate import Calibrations
from ..primitives.calibrate import calibrate as learn
from ..primitives.inputs import check_target
from ..testing.devices import NoisyDevice
from ..testing.snapshots import load_device

_TRANSPILER_SEED = 0
_WORST = 5
_WIDE = 16  # qubits from which on a state vector takes long
_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def device(name: str, seed: int) -> NoisyDevice:
    """Return a bundled device."""
    return NoisyDevice(load_device(name), seed=seed)


def parsed_qubits(text: str | None) -> list[int] | None:
    """Return qubits from a list such as ``0,1,4-6``; None for none given.

    Raises:
        InputError: It is no such list.
    """
    if text is None:
        return None
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise InputError.of([Problem("--qubits", f"must be a list such as 0,1,4-6 (got {text!r})")])
        found += range(int(first), int(last or first) + 1)
    return found


def parsed_depths(text: str | None) -> list[int] | None:
    """Return pair depths from a list such as ``0,1,2,4``; None for none given.

    Raises:
        InputError: It is no such list.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InputError.of([Problem("--depths", f"must be a list such as 0,1,2,4 (got {text!r})")])
    return [int(part) for part in parts]


def circuit_of(path: Path, backend: NoisyDevice) -> QuantumCircuit:
    """Return the circuit of an OpenQASM file, transpiled if the device does not run it as it is.

    Raises:
        InputError: The file cannot be read, or is no circuit that fits the device.
        MissingDependencyError: It is OpenQASM 3, and what reads that is not installed.
    """
    circuit = read_circuit(path)
    if circuit.num_qubits > backend.num_qubits:
        rule = f"has {circuit.num_qubits} qubits, and {backend.name} {backend.num_qubits}"
        raise InputError.of([Problem(str(path), rule)])
    if circuit.num_qubits == backend.num_qubits and not list(
        check_target(circuit, backend.target, "circuit")
    ):
        return circuit
    written: QuantumCircuit = transpile(
        circuit, backend, seed_transpiler=_TRANSPILER_SEED, optimization_level=1
    )
    return written


def readout(
    backend: NoisyDevice,
    qubits: Sequence[int] | None,
    randomizations: int,
    shots: int,
    store: CalibrationStore | None,
    seed: int,
    progress: Progress,
) -> Calibrations:
    """Learn the readout of qubits; on a wide device this takes no state vector."""
    if backend.num_qubits > _WIDE:
        # All states are products of one-qubit states, so the number of qubits does not matter.
        backend = NoisyDevice(backend.snapshot, seed=seed, method="matrix_product_state")
    numbers = {"num_randomizations": randomizations, "shots_per_randomization": shots}
    options = {"resilience": {"measure_noise_learning": numbers}}
    return learn(backend, qubits=qubits, options=options, store=store, seed=seed, progress=progress)


def layers(
    backend: NoisyDevice,
    circuit: QuantumCircuit,
    depths: Sequence[int] | None,
    randomizations: int,
    shots: int,
    store: CalibrationStore | None,
    seed: int,
    progress: Progress,
) -> Calibrations:
    """Learn the noise of the layers of a circuit."""
    learning: dict[str, Any] = {
        "num_randomizations": randomizations,
        "shots_per_randomization": shots,
        "max_layers_to_learn": None,
    }
    if depths is not None:
        learning["layer_pair_depths"] = tuple(depths)
    options = {"resilience": {"layer_noise_learning": learning}}
    return learn(backend, circuit, qubits=(), options=options, store=store, seed=seed, progress=progress)


# --- what is printed ------------------------------------------------------------------------------


def as_dict(found: Calibrations) -> dict[str, Any]:
    """Return what was learned as plain data."""
    data: dict[str, Any] = {
        "backend": found.metadata["backend"],
        "circuits": found.metadata["circuits"],
        "shots": found.metadata["shots"],
        "layers": [model.to_dict() for model in found.layers],
    }
    if found.readout is not None:
        rates = found.readout.error_rates
        data["readout"] = {
            "qubits": found.readout.qubits.tolist(),
            "error_rates": rates.tolist(),
            "shots": int(found.readout.planes.shots.sum()),
        }
    return data


def show_readout(found: Calibrations, console: Console) -> None:
    """Print how often each qubit is misread under twirling."""
    calibration = found.readout
    assert calibration is not None  # it was asked for
    rates, shots = calibration.error_rates, int(calibration.planes.shots.sum())
    table = _table("qubit", "misread", "standard error")
    for qubit, rate in zip(calibration.qubits.tolist(), rates.tolist(), strict=True):
        table.add_row(
            str(qubit), f"{rate:.4f}", f"{max(rate * (1 - rate), 1 / shots) ** 0.5 / shots**0.5:.4f}"
        )
    console.print(table)
    _spent(found, console)


def show_layers(found: Calibrations, console: Console) -> None:
    """Print what the layers cost, and the generators that cost most."""
    for number, model in enumerate(found.layers):
        _layer(number, model, console)
    _spent(found, console)


def _layer(number: int, model: LayerModel, console: Console) -> None:
    quality = model.quality
    console.print(Text.assemble((f"Layer {number}", "bold"), f": {model.layer.describe()}"))
    console.print(
        f"{len(model.rates)} generators, sum of rates {model.rates.sum():.5f}, gamma {model.gamma:.4f}"
    )
    if quality.get("dof"):
        console.print(f"chi^2 {quality['reduced_chi_square']:.2f} per degree of freedom")
    table = _table("generator", "rate", "standard error")
    for k in sorted(range(len(model.rates)), key=lambda k: -model.rates[k])[:_WORST]:
        table.add_row(model.labels[k], f"{model.rates[k]:.5f}", f"{model.stds[k]:.5f}")
    console.print(table)


def _spent(found: Calibrations, console: Console) -> None:
    facts = found.metadata
    console.print(f"{facts['circuits']} circuits, {facts['shots']} shots, {facts['time_taken']:.1f} s")


def show(store: CalibrationStore, console: Console) -> None:
    """Print the records of a store, newest first."""
    records = list(store.records())
    if not records:
        console.print(f"{store.path} has no calibrations")
    for record in records:
        console.print(
            Text.assemble(
                (record.key[:12], "bold"),
                f"  {record.backend}, {_span(record.age)} old, {record.shots} shots",
            )
        )
        console.print(f"  {record.describe()}")
        quality = _quality(record)
        if quality:
            console.print(f"  {quality}")


def records_as_dicts(store: CalibrationStore) -> list[dict[str, Any]]:
    """Return what `show` prints as plain data."""
    return [
        {
            "key": record.key,
            "backend": record.backend,
            "kind": record.kind,
            "what": record.describe(),
            "learned_at": record.learned_at,
            "age": record.age,
            "shots": record.shots,
            "quality": dict(record.quality),
        }
        for record in store.records()
    ]


def _quality(record: Record) -> str:
    quality = record.quality
    if "mean_error" in quality:
        return f"misread {quality['mean_error']:.4f} on average, {quality['largest_error']:.4f} at worst"
    if isinstance(quality.get("reduced_chi_square"), float):
        return f"chi^2 {quality['reduced_chi_square']:.2f} per degree of freedom"
    return ""


def _span(seconds: float) -> str:
    """Return a time in its largest unit."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _table(*headings: str) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False, header_style="dim"
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading == headings[0] else "right", no_wrap=True)
    return table


def dumped(data: Any) -> str:
    """Return plain data as JSON text."""
    return json.dumps(data, indent=1)
