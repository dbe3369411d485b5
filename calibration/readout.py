"""Learn the readout of the bundled devices under twirling, and compare it with their snapshots.

``python calibration/readout.py`` takes some seconds and writes to `calibration/results` what
`CalibrationStore.import_json` reads.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from recording import RESULTS, provenance, record

from quell.primitives.calibrate import Calibrations, calibrate
from quell.testing import NoisyDevice

SEED = 20266
DEVICES = ("tee5", "hex27")
DEFAULT = {"num_randomizations": 32, "shots_per_randomization": 256}
QUICK = {"num_randomizations": 8, "shots_per_randomization": 64}


def compared(device: NoisyDevice, found: Calibrations) -> dict[str, list[float]]:
    """Return how often each qubit is misread next to the snapshot; twirled readout errs alike for 0 and 1."""
    assert found.readout is not None
    rates, shots = found.readout.error_rates, int(found.readout.planes.shots.sum())
    return {
        "learned": rates.tolist(),
        "standard_errors": np.sqrt(np.maximum(rates * (1 - rates), 1 / shots) / shots).tolist(),
        "snapshot": device.snapshot.flips[found.readout.qubits].mean(axis=1).tolist(),
    }


def report(figures: dict[str, list[float]], most: int = 5) -> None:
    """Print the readout of the worst qubits, and how it compares over all."""
    learned, errors, truth = (np.array(figures[key]) for key in ("learned", "standard_errors", "snapshot"))
    scores = (learned - truth) / errors
    print(f"  rms of (learned - snapshot) / standard error {np.sqrt((scores**2).mean()):.2f}")
    print("  qubit      misread           snapshot")
    for qubit in np.argsort(-learned)[:most]:
        print(f"  {qubit:5}      {learned[qubit]:.4f} +- {errors[qubit]:.4f} {truth[qubit]:.4f}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Learn, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=DEVICES, action="append", help="by default all")
    parser.add_argument("--output", type=Path, help="folder for the results; by default calibration/results")
    parser.add_argument("--quick", action="store_true", help="little effort; writes only to --output")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    output = options.output or (None if options.quick else RESULTS)
    learning = {"resilience": {"measure_noise_learning": QUICK if options.quick else DEFAULT}}
    for name in options.device or DEVICES:
        started = time.perf_counter()
        # Products of one-qubit states, so the number of qubits does not matter.
        device = NoisyDevice(name, seed=options.seed, method="matrix_product_state")
        found = calibrate(device, qubits=range(device.num_qubits), options=learning, seed=options.seed)
        seconds = time.perf_counter() - started
        print(
            f"{name}: {found.metadata['circuits']} circuits, {found.metadata['shots']} shots, {seconds:.0f} s"
        )
        figures = compared(device, found)
        report(figures)
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            facts = {
                **provenance(found, Path(__file__).name, options.seed, seconds),
                "compared_with_snapshot": figures,
            }
            record(found, output / f"{name}_readout.json", facts)


if __name__ == "__main__":
    main()
