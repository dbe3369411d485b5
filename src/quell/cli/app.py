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
