"""Learn the noise of the layers of a brickwork on the bundled devices, and compare it with their snapshots.

``python calibration/learn_layers.py`` learns both devices (some minutes each) and writes to
`calibration/results`: the records as `CalibrationStore.import_json` reads them, and an error map.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from recording import RESULTS, provenance, record
from snapshot_noise import compared

import quell
from quell.calibration.layers import LayerModel
from quell.primitives.calibrate import Calibrations, calibrate
from quell.testing import NoisyDevice

SEED = 20266

# Couplings of each layer. tee5: all of them, in three layers. hex27: the chain 0 1 2 3 5 8, in two.
BRICKWORK = {
    "tee5": (((0, 1), (3, 4)), ((1, 2),), ((1, 3),)),
    "hex27": (((0, 1), (2, 3), (5, 8)), ((1, 2), (3, 5))),
}
DEPTHS = (0, 1, 2, 4, 16, 32)
#: As many shots as quell takes by default, in half as many circuits, which is what the simulation waits for.
EFFORT = {"layer_pair_depths": DEPTHS, "num_randomizations": 16, "shots_per_randomization": 256}
QUICK = {"layer_pair_depths": (0, 4), "num_randomizations": 4, "shots_per_randomization": 128}


def brickwork(device: NoisyDevice) -> QuantumCircuit:
    """Return a circuit that has each layer of the brickwork once."""
    circuit = QuantumCircuit(device.num_qubits)
    for layer in BRICKWORK[device.name]:
        for pair in layer:
            circuit.append(device.target.operation_from_name(device.snapshot.two_qubit_gate), pair)
        circuit.barrier()
    return circuit


def learn(name: str, effort: dict[str, Any], seed: int, most_layers: int | None = None) -> Calibrations:
    """Learn the layers of a device; all other qubits of the brickwork wait, so their noise is learned with them."""
    device = NoisyDevice(name, seed=seed)
    options = {
        "resilience": {"layer_noise_learning": {**effort, "max_layers_to_learn": None}},
        "twirling": {"strategy": "active-circuit"},
    }
    circuit = brickwork(device)
    if most_layers is not None:  # a barrier ends each layer
        barriers = [i for i, instruction in enumerate(circuit.data) if instruction.name == "barrier"]
        circuit.data = circuit.data[: barriers[most_layers - 1]]
    return calibrate(device, [circuit], qubits=(), options=options, seed=seed)


def report(model: LayerModel, figures: dict[str, float]) -> None:
    """Print how well a layer was learned."""
    quality = model.quality
    print(f"\n{model.layer.describe()}")
    print(f"  chi^2 {quality['chi_square']:.1f} for {quality['dof']:.1f} degrees of freedom")
    print(f"  {'':22}{'learned':>18}{'snapshot':>10}")
    gamma = f"{figures['gamma']:.4f} +- {figures['gamma_standard_error']:.4f}"
    print(f"  {'gamma':22}{gamma:>18}{figures['gamma_of_snapshot']:10.4f}")
    for text, key in (("layer infidelity", "infidelity"), ("mean decay of a pair", "mean_pair_decay")):
        print(f"  {text:22}{figures[key]:18.5f}{figures[f'{key}_of_snapshot']:10.5f}")
    difference, error = (figures[f"rms_{key}_of_pair_decays"] for key in ("difference", "standard_error"))
    print(f"  rms difference of pair decays {difference:.5f}, their rms standard error {error:.5f}")
    for k in np.argsort(-model.rates)[:5]:
        print(f"  {model.labels[k]:8} {model.rates[k]:.5f} +- {model.stds[k]:.5f}")


def draw(models: Sequence[LayerModel], path: Path) -> None:
    """Draw the error map of all layers."""
    import matplotlib as mpl

    mpl.use("Agg")
    axes = quell.plots.layer_noise(models)
    axes[0].figure.savefig(path, dpi=80, metadata={"Software": None})


def main(arguments: Sequence[str] | None = None) -> None:
    """Learn, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=sorted(BRICKWORK), action="append", help="by default all")
    parser.add_argument("--output", type=Path, help="folder for the results; by default calibration/results")
    parser.add_argument(
        "--quick", action="store_true", help="one layer with little effort; writes only to --output"
    )
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    output = options.output or (None if options.quick else RESULTS)
    for name in options.device or list(BRICKWORK):
        started = time.perf_counter()
        found = learn(name, QUICK if options.quick else EFFORT, options.seed, 1 if options.quick else None)
        seconds = time.perf_counter() - started
        print(
            f"{name}: {found.metadata['circuits']} circuits, {found.metadata['shots']} shots, {seconds:.0f} s"
        )
        device = NoisyDevice(name)
        figures = {model.layer.describe(): compared(device, model) for model in found.layers}
        for model in found.layers:
            report(model, figures[model.layer.describe()])
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            facts = {
                **provenance(found, Path(__file__).name, options.seed, seconds),
                "compared_with_snapshot": figures,
            }
            record(found, output / f"{name}_layers.json", facts)
            draw(found.layers, output / f"{name}_layers.png")


if __name__ == "__main__":
    main()
