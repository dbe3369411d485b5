"""What the command prints: tables that fit 80 columns, and a reading of the numbers in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..testing.snapshots import DeviceSnapshot
from .demo import BOTH, RAW, READOUT, TWIRLING, ZNE, Row, rms
from .workload import HAMILTONIAN, Workload

NAMES_WIDTH = 20
INGREDIENTS = (
    ("depolarizing", "depolarising"),
    ("thermal", "relaxation"),
    ("coherent", "over-rotation"),
    ("idle", "idle drift"),
    ("readout", "readout"),
)


def _table(first: tuple[str, int], *others: tuple[str, int]) -> Table:
    """Return a table of columns given by heading and width, with gaps of two."""
    table = Table(
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="dim"
    )
    table.add_column(first[0], no_wrap=True, width=first[1])
    for heading, width in others:
        table.add_column(heading, justify="right", no_wrap=True, width=width)
    return table


def headline(workload: Workload, console: Console) -> None:
    """Print what is run, and on what."""
    device = workload.device
    noise = ", ".join(label for name, label in INGREDIENTS if getattr(device.switches, name))
    chain = "-".join(map(str, workload.chain))
    steps = "step" if workload.steps == 1 else "steps"
    console.print(
        Text.assemble(
            ("Ising chain", "bold"),
            f", {HAMILTONIAN}, {len(workload.chain)} spins, {workload.steps} Trotter {steps}, "
            f"{workload.num_two_qubit_gates} two-qubit gates,",
        )
    )
    console.print(Text.assemble("on ", (device.name, "bold"), f" (simulated), qubits {chain};"))
    console.print(f"noise: {noise}.\n")


def results(workload: Workload, rows: Sequence[Row], console: Console) -> None:
    """Print a block per observable, and what each strategy costs and brings over all of them."""
    table = _table(
        ("", NAMES_WIDTH), ("value", 10), ("error bar", 10), ("deviation", 10), ("in error bars", 13)
    )
    for k, (name, exact) in enumerate(zip(workload.operators, workload.exact, strict=True)):
        table.add_row(Text(name, "bold"), Text(f"{exact:+.4f}", "bold"), "", "exact", "")
        for row in rows:
            value, error, deviation = row.values[k], row.errors[k], row.deviations[k]
            bars = row.in_error_bars()[k]
            times = "-" if bars is None else f"{bars:+.1f}"
            table.add_row(
                f"  {row.name}", f"{value:+.4f}", f"{error:.4f}", f"{deviation:+.4f}", times,
                style="green" if row is rows[-1] else "",
                end_section=row is rows[-1],
            )  # fmt: skip
    console.print(table)
    console.print()
    costs = (("circuits", 10), ("shots", 9), ("seconds", 9))
    total = _table(("rms of all three", NAMES_WIDTH), ("deviation", 10), ("error bar", 10), *costs)
    for row in rows:
        total.add_row(
            f"  {row.name}", f"{row.rms_deviation:.4f}", f"{row.rms_error:.4f}", f"{row.circuits}",
            f"{row.shots}", f"{row.seconds:.1f}", style="green" if row is rows[-1] else "",
        )  # fmt: skip
    console.print(total)
    console.print()


def reading(workload: Workload, rows: Sequence[Row], console: Console) -> None:
    """Print what the numbers say; every sentence depends on them."""
    for line in reading_lines(workload, rows):
        table = Table.grid(padding=(0, 1))  # so that the text wraps beside the mark
        table.add_row("-", line)
        console.print(table)


def reading_lines(workload: Workload, rows: Sequence[Row]) -> Iterator[str]:
    """Yield one sentence or two per strategy, and what remains."""
    row = {r.name: r for r in rows}
    raw, both = row[RAW], row[BOTH]
    gates = rms(workload.without_readout - workload.exact)
    yield (
        f"Raw is off by {raw.rms_deviation:.3f}. Without readout errors it would be off by {gates:.3f} "
        "(exact, no shots): that is gate noise."
    )
    yield (
        f"Gate twirling{_change(raw, row[TWIRLING])} It makes over-rotation and drift "
        "stochastic, so that they no longer add up from gate to gate."
    )
    readout = row[READOUT]
    yield (
        f"Readout correction{_change(raw, readout)} It removes readout errors only; "
        f"{readout.calibration_shots} of its {readout.shots} shots learn them."
    )
    yield f"Both together{_change(raw, both)} What remains is stochastic gate noise."
    zne = row[ZNE]
    yield (
        f"Extrapolation to zero noise (ZNE) on top{_change(both, zne)} It runs the circuit with every gate folded "
        "once and twice, and so takes three times the shots."
    )
    if zne.rms_deviation < 2 * zne.rms_error:
        yield f"What is left, {zne.rms_deviation:.3f}, is within the error bars: a smaller --precision resolves it."


def _change(raw: Row, row: Row) -> str:
    """Return what a strategy changes, as the end of a sentence that starts with its name."""
    noise = max(raw.rms_error, row.rms_error)
    change = row.rms_deviation - raw.rms_deviation
    numbers = f": {raw.rms_deviation:.3f} -> {row.rms_deviation:.3f}"
    if abs(change) < noise:
        return f"{numbers}, no difference that these error bars resolve."
    if change > 0:
        return f"{numbers}, further off: what it removes had cancelled part of the other errors."
    return f"{numbers}."


def devices(snapshots: Sequence[DeviceSnapshot], console: Console) -> None:
    """Print one line per device with its medians, and where the numbers come from."""
    errors, times = [(k, 7) for k in ("1q err", "2q err", "readout")], [("T1 µs", 6), ("T2 µs", 6)]
    table = _table(("device", 6), ("qubits", 6), ("pairs", 5), ("gates", 11), *errors, *times)
    for snapshot in snapshots:
        table.add_row(
            Text(snapshot.name, "bold"),
            f"{snapshot.num_qubits}",
            f"{len(snapshot.pairs)}",
            f"rz sx x {snapshot.two_qubit_gate}",
            f"{np.median(snapshot.gate_errors[1]):.1e}",
            f"{np.median(snapshot.pair_errors):.1e}",
            f"{np.median(snapshot.flips):.1%}",
            f"{np.median(snapshot.t1s) * 1e6:.0f}",
            f"{np.median(snapshot.t2s) * 1e6:.0f}",
        )
    console.print(table)
    console.print(
        "\nMedians. 1q err: sx, x; 2q err: average gate infidelity; readout: probability of a flip. "
        "All have coherent errors too: over-rotation, detuning and ZZ drift of idle qubits.\n"
    )
    sources: dict[str, list[str]] = {}
    for snapshot in snapshots:
        facts = dict(snapshot.provenance)
        where = f" ({facts['script']}, seed {facts['seed']})" if {"script", "seed"} <= facts.keys() else ""
        sources.setdefault(f"{facts['statement'].rstrip('.')}{where}.", []).append(snapshot.name)
    for source, names in sources.items():
        console.print(Text.assemble((", ".join(names), "bold"), f": {source}"))
