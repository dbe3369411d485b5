"""Draw the device snapshots of `calibration/devices/`.

The numbers are synthetic. No device was measured: every number is drawn by a seeded generator from a range
typical of published superconducting devices, so that examples, tests and benchmarks have realistic noise
whose truth is known. Running ``python calibration/make_devices.py`` writes the files again, byte for byte.
"""

from __future__ import annotations

import json
import math
import random
import sys
from pathlib import Path
from typing import Any

SEED = 20260
SCHEMA_VERSION = 1

TEE_5 = [(0, 1), (1, 2), (1, 3), (3, 4)]
HEAVY_HEX_27 = [
    (0, 1), (1, 2), (1, 4), (2, 3), (3, 5), (4, 7), (5, 8), (6, 7), (7, 10), (8, 9), (8, 11), (10, 12),
    (11, 14), (12, 13), (12, 15), (13, 14), (14, 16), (15, 18), (16, 19), (17, 18), (18, 21), (19, 20),
    (19, 22), (21, 23), (22, 25), (23, 24), (24, 25), (25, 26),
]  # fmt: skip

# name -> (two-qubit gate, coupled pairs)
DEVICES = {"tee5": ("cx", TEE_5), "hex27": ("cz", HEAVY_HEX_27)}

DT = 0.5e-9  # seconds; every duration below is an even number of steps
KILOHERTZ = 2e3 * math.pi  # rad/s


class Draw:
    """Seeded numbers, rounded to four digits.

    Only `random.Random.random` is used: its sequence for a seed is the one that Python promises to keep.
    """

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def uniform(self, low: float, high: float) -> float:
        """Return a number between `low` and `high`."""
        return float(f"{low + (high - low) * self._random.random():.4g}")

    def sign(self) -> int:
        """Return +1 or -1."""
        return 1 if self._random.random() < 0.5 else -1

    def steps(self, low: float, high: float, step: float) -> float:
        """Return a multiple of `step` between `low` and `high`, all in seconds."""
        count = low / step + math.floor(self._random.random() * ((high - low) / step + 1))
        return float(f"{count * step:.6g}")


def qubit(draw: Draw) -> dict[str, Any]:
    """Draw one qubit: times in seconds, rates in rad/s."""
    t1 = draw.uniform(80e-6, 250e-6)
    t2 = draw.uniform(80e-6, min(250e-6, 1.6 * t1))
    error = draw.uniform(2e-4, 5e-4)  # x and sx are the same pulse at two amplitudes
    return {
        "t1_s": t1,
        "t2_s": t2,
        "detuning_rad_per_s": draw.sign() * draw.uniform(5 * KILOHERTZ, 30 * KILOHERTZ),
        "p1_given_0": draw.uniform(0.01, 0.02),
        "p0_given_1": draw.uniform(0.02, 0.04),  # larger: the qubit relaxes while it is read
        "readout_duration_s": 1e-6,
        "reset_duration_s": 1.1e-6,
        "gates": {
            "rz": {"error": 0.0, "duration_s": 0.0},
            "sx": {"error": error, "duration_s": 35e-9},
            "x": {"error": error, "duration_s": 35e-9},
        },
    }


def pair(draw: Draw, qubits: tuple[int, int]) -> dict[str, Any]:
    """Draw one coupled pair."""
    return {
        "qubits": list(qubits),
        "error": draw.uniform(0.003, 0.01),
        "duration_s": draw.steps(300e-9, 500e-9, 4e-9),
        "over_rotation_rad": draw.uniform(0.03, 0.08),
        "idle_zz_rad_per_s": draw.uniform(10 * KILOHERTZ, 50 * KILOHERTZ),
    }


def device(name: str) -> dict[str, Any]:
    """Draw the device called `name`; each has its own stream, so adding one leaves the others alone."""
    gate, pairs = DEVICES[name]
    draw = Draw(f"{SEED}/{name}")
    num_qubits = 1 + max(max(qubits) for qubits in pairs)
    return {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "provenance": {
            "statement": "Synthetic: no device was measured. The numbers are drawn by a seeded script from "
            "ranges typical of published superconducting devices.",
            "script": "calibration/make_devices.py",
            "seed": SEED,
        },
        "dt_s": DT,
        "timing_constraints": {
            "granularity": 2,
            "min_length": 2,
            "pulse_alignment": 2,
            "acquire_alignment": 2,
        },
        "two_qubit_gate": gate,
        "qubits": [qubit(draw) for _ in range(num_qubits)],
        "pairs": [pair(draw, qubits) for qubits in pairs],
    }


def render(name: str) -> str:
    """Return the text of the snapshot called `name`: one line per qubit and per pair."""
    body = device(name)
    rows = {key: body.pop(key) for key in ("qubits", "pairs")}
    head = json.dumps(body, indent=1)[:-2]  # without the closing brace
    tables = (
        f' "{key}": [\n' + ",\n".join(f"  {json.dumps(row)}" for row in table) + "\n ]"
        for key, table in rows.items()
    )
    return head + ",\n" + ",\n".join(tables) + "\n}\n"


def main(folder: Path) -> None:
    """Write every snapshot into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in DEVICES:
        path = folder / f"{name}.json"
        path.write_text(render(name), encoding="utf-8", newline="\n")
        print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "devices")
