"""From an experiment file to a comparison, its results in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen

from ..comparison import report
from ..comparison.comparison import Comparison
from ..comparison.run import Callback, compare
from ..errors import InputError, Problem, QuellError
from ..execution.adapters import runner_for
from .devices import open_device
from .files import Experiment
from .folders import opened
from .placing import written
from .workload_tables import FromFile


@frozen(eq=False)
class Prepared:
    """What `quell.compare` takes, made from an experiment.

    Attributes:
        mode: The backend, sampler or function.
        device: What it is called.
        pubs: One for each circuit: circuit, observables, parameter values (none), precision.
        labels: One for each value, in the order of the PUBs.
        strategies: The name of a built-in strategy or options, by name.
        reference: What the values should be: "exact", numbers, or None.
    """

    mode: Any
    device: str
    pubs: list[tuple[Any, ...]]
    labels: tuple[str, ...]
    strategies: dict[str, Any]
    reference: Any


def prepare(experiment: Experiment, done: int = 0) -> Prepared:
    """Build device and circuits; nothing is run.

    Args:
        experiment: The experiment.
        done: How many of its trials are finished already.

    Raises:
        InputError: Listing what does not fit.
        MissingDependencyError: The device needs a package that is not installed.
    """
    mode = open_device(experiment, done)
    problems: list[Problem] = []
    pubs, labels = [], []
    names = _names(experiment)
    for number, (work, name) in enumerate(zip(experiment.workloads, names, strict=True)):
        try:
            built = work.source.build()
            operators = work.observables.pick(built)
            circuit = written(
                built.circuit,
                mode,
                is_line=built.is_line,
                layout=experiment.device.layout,
                optimization_level=experiment.device.optimization_level,
                keep=isinstance(work.source, FromFile),
            )
        except QuellError as error:
            where = name or f"workload[{number}]"
            problems += [Problem(f"{where}: {p.path}", p.rule, p.fix) for p in error.problems]
            continue
        placed = [o.apply_layout(circuit.layout) for o in operators.values()]
        pubs.append((circuit, placed, None, experiment.head.precision))
        labels += [f"{name}: {label}" if name else label for label in operators]
    reference: Any = experiment.head.reference
    if isinstance(reference, tuple) and not problems and len(reference) != len(labels):
        rule = f"has {len(reference)} numbers for {len(labels)} values"
        problems.append(Problem("reference", rule, f"the values are {', '.join(labels[:8])}"))
    InputError.check(dict.fromkeys(problems))
    if reference == "none":
        reference = None
    elif isinstance(reference, tuple):
        reference = np.array(reference, dtype=np.float64)
    strategies = {s.name: s.name if s.options is None else dict(s.options) for s in experiment.strategies}
    return Prepared(mode, _device_name(experiment, mode), pubs, tuple(labels), strategies, reference)


def run(
    experiment: Experiment,
    prepared: Prepared,
    folder: Path,
    *,
    html: bool = False,
    fresh: bool = False,
    callback: Callback | None = None,
) -> tuple[Comparison, list[Path]]:
    """Compare what an experiment names, and write the results into a folder; go on there if it was begun.

    Args:
        experiment: The experiment.
        prepared: What `prepare` made of it.
        folder: Where trials are kept as they finish, and the results are written.
        html: Whether to write an HTML report too.
        fresh: Forget what was found so far.
        callback: Told how far it is.

    Returns:
        The comparison, and the files that were written.

    Raises:
        InputError: The folder holds something else, or was begun with another experiment.
    """
    head = experiment.head
    with opened(folder, experiment, fresh=fresh):
        found = compare(
            prepared.mode,
            prepared.pubs,
            prepared.strategies,
            reference=prepared.reference,
            repeats=head.repeats,
            seed=head.seed,
            shots=head.shots,
            total_shots=head.total_shots,
            labels=prepared.labels,
            callback=callback,
            directory=folder,
        )
        described = {s.name: s.description for s in experiment.strategies if s.description}
        named = evolve(
            found,
            device=prepared.device,
            settings={**found.settings, "title": experiment.title, "description": head.description},
            strategies=tuple(
                evolve(s, description=described.get(s.name, s.description)) for s in found.strategies
            ),
        )
        return named, report.write(named, folder, html=html, experiment_text=experiment.text)


def _device_name(experiment: Experiment, mode: Any) -> str:
    """Return what runs the circuits, and how it was made: functions and simulators have no telling names."""
    device = experiment.device
    arguments = ", ".join(f"{name} = {value!r}" for name, value in (device.arguments or {}).items())
    name = runner_for(mode).name if device.object is None else device.object
    return f"{name} ({arguments})" if arguments else name


def _names(experiment: Experiment) -> list[str]:
    """Return what tells circuits apart in labels: nothing if there is one only."""
    if len(experiment.workloads) == 1:
        return [""]
    names = [work.label for work in experiment.workloads]
    return [
        name if names.count(name) == 1 else f"{name} #{names[:i].count(name) + 1}"
        for i, name in enumerate(names)
    ]
