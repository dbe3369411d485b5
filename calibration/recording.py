"""Write what was learned to files that a `CalibrationStore` reads, with where it comes from."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import quell
from quell.calibration.store import CalibrationStore
from quell.primitives.calibrate import Calibrations

RESULTS = Path(__file__).parent / "results"


def provenance(found: Calibrations, script: str, seed: int, seconds: float) -> dict[str, Any]:
    """Return where results come from."""
    return {
        "statement": "Learned on quell's simulation of a synthetic snapshot; no device was measured.",
        "script": f"calibration/{script}",
        "seed": seed,
        "date": found.metadata["date"],
        "circuits": found.metadata["circuits"],
        "shots": found.metadata["shots"],
        "seconds": round(seconds, 1),
        "versions": {
            "quell": quell.__version__,
            "python": platform.python_version(),
            **{package: version(package) for package in ("qiskit", "qiskit-aer", "numpy", "scipy")},
        },
    }


def record(found: Calibrations, path: Path, facts: dict[str, Any]) -> None:
    """Write what was learned, one line for each record, with its provenance."""
    store = CalibrationStore(":memory:")
    found.save(store)
    data = json.loads(store.export_json())
    records = ",\n".join(json.dumps(row, sort_keys=True) for row in data.pop("records"))
    head = json.dumps({**data, "provenance": facts}, indent=1, sort_keys=True)[:-2]
    path.write_text(f'{head},\n "records": [\n{records}\n ]\n}}\n', encoding="utf-8")
    assert CalibrationStore(":memory:").import_json(path) == len(found.records)
