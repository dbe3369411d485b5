"""The commands; each checks its arguments before any work starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from .._version import __version__
from ..errors import QuellError
from ..options.legacy import SOURCES

app = typer.Typer(
    help="Error mitigation for any Qiskit backend.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback of ours is for a bug report, not for a panel
)
CIRCUITS_AT_ONCE = 16  # so that the progress bar moves; the results of a seed depend on it
DEFAULT_QUBITS = 6  # fewer where the device has no such chain
_SOURCE_NAMES = ", ".join(source.name for source in SOURCES)  # below the options: there is room for them
Primitive = StrEnum("Primitive", ["estimator", "sampler"])
Mode = StrEnum("Mode", ["guide", "strict"])
Format = StrEnum("Format", ["toml", "json", "python"])


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"quell {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@contextmanager
def _reported() -> Iterator[None]:
    """Turn exceptions that quell raises on purpose into a message and exit code 2."""
    try:
        yield
    except QuellError as error:
        typer.echo(f"quell: {error}", err=True)
        raise typer.Exit(2) from error


@app.command()
def demo(
    device: Annotated[str, typer.Option(help="A bundled device: tee5 or hex27.")] = "tee5",
    qubits: Annotated[
        int | None,
        typer.Option(help="Length of the chain; by default 6, or as many as the device has in a row."),
    ] = None,
    steps: Annotated[int, typer.Option(help="Trotter steps.")] = 3,
    precision: Annotated[
        float, typer.Option(help="Target standard error; 1 / precision^2 shots per measurement basis.")
    ] = 0.005,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Estimate the same circuit with mitigation off, with each stage, and with all of them.

    The circuit is an Ising chain on a simulated device with depolarising, thermal, coherent and readout
    errors; its exact values are known, so every deviation is shown.
    """
    # Here and not at the top: these cost a second that --help and --version need not wait for.
    from ..testing.devices import NoisyDevice
    from ..testing.noise import require_aer
    from ..testing.snapshots import device_names, load_device
    from . import demo as demonstration
    from . import show, workload

    names = device_names()
    if device not in names:
        raise typer.BadParameter(f"no device {device!r}; there are {', '.join(names)}", param_hint="--device")
    snapshot = load_device(device)
    longest = workload.longest_chain(snapshot)
    qubits = min(DEFAULT_QUBITS, longest) if qubits is None else qubits
    if not 2 <= qubits <= longest:
        rule = f"must be between 2 and {longest} for {device}, got {qubits}"
        raise typer.BadParameter(rule, param_hint="--qubits")
    if steps < 1:
        raise typer.BadParameter(f"must be at least 1, got {steps}", param_hint="--steps")
    if not 0 < precision < 1:  # also refuses nan
        raise typer.BadParameter(f"must be between 0 and 1, got {precision:g}", param_hint="--precision")
    if seed < 0:
        raise typer.BadParameter(f"must not be negative, got {seed}", param_hint="--seed")
    chain = workload.chain_of(snapshot, qubits)
    assert chain is not None  # no longer than the longest
    out, progress = Console(highlight=False), _Progress()
    with _reported():
        require_aer()
        backend = NoisyDevice(snapshot, seed=seed)
        backend.max_circuits = CIRCUITS_AT_ONCE
        work = workload.prepare(backend, chain, steps)
        if not as_json:
            show.headline(work, out)
        with progress:
            rows = demonstration.run(work, precision, seed, progress.watch)
    if as_json:
        typer.echo(json.dumps(demonstration.as_dict(work, rows, precision, seed), indent=1))
        return
    show.results(work, rows, out)
    show.reading(work, rows, out)


@app.command()
def devices() -> None:
    """List the simulated devices that come with quell."""
    from ..testing.snapshots import device_names, load_device
    from . import show

    with _reported():
        show.devices([load_device(name) for name in device_names()], Console(highlight=False))


@app.command(epilog=f"Sources: {_SOURCE_NAMES}.")
def migrate(
    file: Annotated[str, typer.Argument(help="JSON, TOML, or a Python dict (not executed); - reads stdin.")],
    source: Annotated[
        str, typer.Option(help="Where the options are from, see below; auto: the keys say.")
    ] = "auto",
    primitive: Annotated[
        Primitive, typer.Option(help="What they are for, where the source does not say.")
    ] = Primitive.estimator,
    mode: Annotated[
        Mode,
        typer.Option(help="guide: as the official migration guides; strict: what the legacy package ran."),
    ] = Mode.guide,
    expand_defaults: Annotated[
        bool, typer.Option("--expand-defaults", help="Also write out the defaults of then.")
    ] = False,
    legacy_version: Annotated[
        str | None,
        typer.Option(help="Version of the legacy package, such as 0.11, if its defaults depend on it."),
    ] = None,
    to: Annotated[
        Format | None, typer.Option(help="How to write the new options; by default as --out says, or toml.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write the new options; by default to the output.")
    ] = None,
) -> None:
    """Translate options from before V2, and say what became of each.

    The new options go to the output, or to --out. The table of keys goes to
    the error stream, unless --out is given and the output is a terminal.

    Exit status: 0 if all was carried, 1 if something was dropped, 2 if the
    input is invalid.
    """
    from . import migrate as migration

    with _reported():
        dropped = migration.migrate(
            file,
            out,
            to.value if to else None,
            source=source,
            primitive=primitive.value,
            mode=mode.value,
            expand_defaults=expand_defaults,
            version=legacy_version,
        )
    raise typer.Exit(dropped)


_Experiment = Annotated[Path, typer.Argument(help="A TOML file; docs/experiments.md says what is in it.")]


@app.command("compare")
def compare_strategies(
    experiment: _Experiment,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the results; by default NAME-results beside NAME.toml."),
    ] = None,
    html: Annotated[bool, typer.Option("--html", help="Also write a report for the browser.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what was found so far.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Compare mitigation strategies as a file says, and write a report.

    Every strategy and repeat is kept as it finishes: the same command goes on where it was stopped.

    Exit status: 0 if all strategies gave values, 1 if some failed, 2 if the input is invalid.
    """
    from . import compare as comparing

    try:
        with _reported():
            code = comparing.compare(
                experiment, out, html=html, fresh=fresh, as_json=as_json, console=Console(highlight=False)
            )
    except comparing.Stopped as stopped:
        typer.echo(f"quell: {stopped}", err=True)
        raise typer.Exit(comparing.INTERRUPTED) from None
    raise typer.Exit(code)


@app.command()
def plan(
    experiment: _Experiment,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Say what an experiment would cost, strategy by strategy; nothing is run.

    Exit status: 0 if all strategies can be run, 1 if some are refused, 2 if the input is invalid.
    """
    from . import compare as comparing

    with _reported():
        code = comparing.plan(experiment, as_json=as_json, console=Console(highlight=False))
    raise typer.Exit(code)


calibrations = typer.Typer(help="Learn noise, and look after what is kept.", no_args_is_help=True)
app.add_typer(calibrations, name="calibrate")
_Device = Annotated[str, typer.Option("--device", help="A bundled device: tee5 or hex27.")]
_Kept = Annotated[Path | None, typer.Option("--store", help="The file to keep it in; made if missing.")]
_Store = Annotated[Path, typer.Option("--store", help="The file that calibrations are kept in.")]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
_Randomizations = Annotated[
    int, typer.Option("--randomizations", min=2, help="Randomizations of each circuit.")
]
_Shots = Annotated[int, typer.Option("--shots", min=1, help="Shots of each randomization.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]


def _checked_device(name: str) -> str:
    from ..testing.noise import require_aer
    from ..testing.snapshots import device_names

    names = device_names()
    if name not in names:
        raise typer.BadParameter(f"no device {name!r}; there are {', '.join(names)}", param_hint="--device")
    require_aer()
    return name


@calibrations.command("readout")
def calibrate_readout(
    device: _Device = "tee5",
    store: _Kept = None,
    qubits: Annotated[str | None, typer.Option(help="Such as 0,1,4-6; by default all.")] = None,
    randomizations: _Randomizations = 32,
    shots: _Shots = 128,
    seed: _Seed = 1,
    as_json: _Json = False,
) -> None:
    """Learn how often the qubits of a device are misread."""
    from ..calibration.store import CalibrationStore
    from . import calibrate as calibration

    progress = _Progress()
    with _reported():
        backend = calibration.device(_checked_device(device), seed)
        kept = None if store is None else CalibrationStore(store)
        chosen = calibration.parsed_qubits(qubits)
        with progress:
            found = calibration.readout(
                backend,
                chosen,
                randomizations,
                shots,
                kept,
                seed,
                lambda d, t: progress.watch("readout", d, t),
            )
        if as_json:
            typer.echo(calibration.dumped(calibration.as_dict(found)))
        else:
            calibration.show_readout(found, Console(highlight=False))


@calibrations.command("layers")
def calibrate_layers(
    circuit: Annotated[
        Path, typer.Argument(help="An OpenQASM file; transpiled if it is not for the device.")
    ],
    device: _Device = "tee5",
    store: _Kept = None,
    depths: Annotated[str | None, typer.Option(help="Pairs of layers, such as 0,1,2,4.")] = None,
    randomizations: _Randomizations = 32,
    shots: _Shots = 128,
    seed: _Seed = 1,
    as_json: _Json = False,
) -> None:
    """Learn the noise of the layers of two-qubit gates of a circuit."""
    from ..calibration.store import CalibrationStore
    from . import calibrate as calibration

    progress = _Progress()
    with _reported():
        backend = calibration.device(_checked_device(device), seed)
        kept = None if store is None else CalibrationStore(store)
        written = calibration.circuit_of(circuit, backend)
        pairs = calibration.parsed_depths(depths)
        with progress:
            found = calibration.layers(
                backend,
                written,
                pairs,
                randomizations,
                shots,
                kept,
                seed,
                lambda d, t: progress.watch("layers", d, t),
            )
        if as_json:
            typer.echo(calibration.dumped(calibration.as_dict(found)))
        else:
            calibration.show_layers(found, Console(highlight=False))


@calibrations.command("show")
def calibrate_show(store: _Store, as_json: _Json = False) -> None:
    """List what a file keeps, newest first."""
    from ..calibration.store import CalibrationStore
    from . import calibrate as calibration

    with _reported():
        kept = CalibrationStore(store, read_only=True)
        if as_json:
            typer.echo(calibration.dumped(calibration.records_as_dicts(kept)))
        else:
            calibration.show(kept, Console(highlight=False))


@calibrations.command("export")
def calibrate_export(
    store: _Store,
    keys: Annotated[
        list[str] | None, typer.Argument(help="Keys, or their beginnings; by default all.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write; by default to the output.")] = None,
) -> None:
    """Write calibrations as JSON, which CalibrationStore.import_json takes."""
    from ..calibration.store import CalibrationStore

    with _reported():
        text = CalibrationStore(store, read_only=True).export_json(out, keys or None)
    if out is None:
        typer.echo(text, nl=False)


class _Progress:
    """A progress bar per strategy, on the error stream so that the output can be piped."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description:18}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("circuits"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *details: Any) -> None:
        self._bar.stop()

    def watch(self, name: str, done: int, total: int) -> None:
        """Show that `done` of `total` circuits of a strategy are back."""
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task(name, total=total)
        self._bar.update(self._tasks[name], completed=done)
