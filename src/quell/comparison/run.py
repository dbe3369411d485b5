"""Compare mitigation strategies on the same circuits: every strategy in every repeat is a trial."""

from __future__ import annotations

import os
import platform
import warnings
import zlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import numpy as np
from attrs import evolve, frozen
from qiskit.primitives.containers.estimator_pub import EstimatorPub, EstimatorPubLike

from .._version import __version__
from ..calibration.ledger import Ledger
from ..calibration.plain import digest
from ..errors import InputError, Problem
from ..execution.adapters import runner_for
from ..execution.backends import BackendRunner
from ..execution.modes import ExecutionMode, active_mode
from ..execution.runner import Runner
from ..primitives.base import repeats_shots
from ..primitives.inputs import estimator_pub
from .comparison import Comparison
from .journal import Journal, fingerprint
from .qpu import model
from .records import Floats, Trial
from .reference import exact_values
from .shared import learned_once
from .strategies import Chosen, chosen
from .trials import Setting, reanalysed, trial

#: Called with trials done and in all, the strategy and repeat that run, and their circuits done and in all.
Callback = Callable[[int, int, str, int, int, int], None]
_PACKAGES: Final = ("qiskit", "numpy", "scipy", "mthree", "qiskit-aer")
#: What the intervals of a comparison are meant to cover.
CONFIDENCE: Final = 0.95


def compare(
    mode: Any,
    pubs: Iterable[EstimatorPubLike],
    strategies: Any,
    *,
    reference: Any = None,
    repeats: int = 1,
    seed: int | None = None,
    total_shots: int | None = None,
    shots: int | None = None,
    labels: Sequence[str] | None = None,
    callback: Callback | None = None,
    directory: str | os.PathLike[str] | None = None,
) -> Comparison:
    """Estimate the same values with several mitigation strategies, and compare errors and costs.

    Layer noise is learned once a repeat for all strategies that need it. Without `total_shots` they share the
    readout calibration too; with it each learns its own, as it would by itself, and is charged for all it takes.
    Strategies that differ in nothing but how an extrapolation is analysed share their shots.

    Args:
        mode: A backend, sampler or function, or a `Session` or `Batch` on one.
        pubs: PUBs ``(circuit, observables[, parameter_values[, precision]])``.
        strategies: Options by name, as `EstimatorOptions`, dicts or names of built-in strategies; or a list of such
            names: "raw", "trex", "twirl", "dd", "zne", "pea", "pec" and any of them joined by "+", "all", "level 0" to
            "level 2"; see `strategies.options_of`.
        reference: What the values should be: numbers, PUB by PUB, or "exact" to compute them. None if nobody knows;
            consistency between strategies then takes the place of bias.
        repeats: How often everything is done; two or more give spreads and coverage.
        seed: The same seed gives the same numbers (on a simulator); by default a fresh one, which is kept. Seeds in
            the options of strategies give way to it.
        total_shots: Shots that each strategy spends in all, calibration included; replaces their
            ``default_shots`` and ``default_precision``.
        shots: Shots of a value (``default_shots``) of strategies that say nothing of their own.
        labels: A name for each value, PUB by PUB.
        callback: Called with trials done and in all, the strategy and repeat that run, their circuits done and in all.
        directory: Where finished trials are kept. A comparison that was stopped goes on from there.

    Returns:
        What was measured; a strategy that failed says why.

    Raises:
        InputError: Listing everything that is wrong with arguments, PUBs and names of strategies.
        UnsupportedError: The exact values cannot be computed.

    Example:
        >>> found = compare(backend, [(circuit, "ZZ")], ["raw", "trex", "level 2"], reference="exact", repeats=5)
        >>> print(found.table()), print(found.recommend())
    """
    mode = active_mode() if mode is None else mode
    runs_on = mode.runs_on if isinstance(mode, ExecutionMode) else mode
    given, problems = _checked_pubs(pubs, total_shots)
    for name, number in (("repeats", repeats), ("total_shots", total_shots), ("shots", shots)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
            problems.append(Problem(name, f"must be a positive integer (got {number!r})"))
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
        problems.append(Problem("seed", f"must be an integer that is not negative (got {seed!r})"))
    if total_shots is not None and shots is not None:
        rule = "says how many shots a value gets, and total_shots does so too"
        problems.append(Problem("shots", rule, "give one of them"))
    if callback is not None and not callable(callback):
        problems.append(Problem("callback", f"must be a function or None (got {callback!r:.60})"))
    are_pubs = not any(problem.path.startswith("pubs") for problem in problems)
    runner = _tried(problems, lambda: runner_for(runs_on))
    several = isinstance(repeats, int) and repeats > 1
    if runner is not None and several and repeats_shots(runner, 0):
        rule = f"is {repeats}, but {runner.name} has a fixed seed: every repeat would have the same shots"
        problems.append(Problem("repeats", rule, "give the device no seed, or a Generator"))
    wanted = _tried(problems, lambda: chosen(strategies))
    for each in wanted if wanted and several else ():
        if each.options.simulator.seed_simulator is not None:
            rule = f"is {each.options.simulator.seed_simulator}, so every repeat would have the same shots"
            where = f"strategies[{each.name!r}].simulator.seed_simulator"
            problems.append(Problem(where, rule, "leave it out; the comparison has a seed"))
    names = _tried(problems, lambda: _labels(given, labels)) if are_pubs else None
    target: Floats | None = None
    if are_pubs and reference is not None and not _is_exact(reference):
        target = _tried(problems, lambda: _given_reference(reference, _size(given)))
    InputError.check(problems)
    assert runner is not None  # all that is missing has a problem
    assert wanted is not None
    assert names is not None
    source = "" if target is None else "given"
    if _is_exact(reference):
        target, source = exact_values(given)
    if seed is None:
        seed = None if directory is None else Journal.seed_of(directory)
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    journal, done = None, {}
    if directory is not None:
        head = {
            "circuits and observables": fingerprint(given),
            "strategies": _digests(wanted),
            "device": runner.name,
            "options of the device": _options_of_device(runner),
            "seed": seed,
            "repeats": repeats,
            "total_shots": total_shots,
            "shots": shots,
        }
        journal = Journal.opened(directory, head)
        done = journal.trials()
    setting = Setting(runs_on, tuple(given), total_shots, shots, seed)
    told = _Told(callback)
    trials = _Trials(setting, wanted, repeats, journal, done, told).run()
    if told.why:
        warnings.warn(f"callback: was not called any more, because {told.why}", UserWarning, stacklevel=2)
    target_of_device = runner.target if isinstance(runner, BackendRunner) else None
    return Comparison(
        strategies=tuple(c.record for c in wanted),
        labels=tuple(names),
        reference=target,
        reference_source=source,
        trials=tuple(trials),
        settings={
            "repeats": repeats,
            "seed": seed,
            "total_shots": total_shots,
            "shots": shots,
            "confidence": CONFIDENCE,
            "qpu_model": model(target_of_device),
        },
        device=runner.name,
        environment=_environment(),
    )


class _Told:
    """The callback, until it fails: what was measured must not be lost for it. Ctrl-C still stops everything.

    Attributes:
        why: Why it is not called any more; empty if it is.
    """

    def __init__(self, callback: Callback | None) -> None:
        self.callback = callback
        self.why = ""

    def __call__(self, done: int, total: int, strategy: str, repeat: int, circuits: int, most: int) -> None:
        """Call it."""
        if self.callback is None or self.why:
            return
        try:
            self.callback(done, total, strategy, repeat, circuits, most)
        except Exception as error:
            self.why = f"it raised {type(error).__name__}: {error}"


@frozen(eq=False)
class _Trials:
    """The trials of a comparison, repeat by repeat."""

    setting: Setting
    wanted: tuple[Chosen, ...]
    repeats: int
    journal: Journal | None
    done: dict[tuple[str, int], Trial]
    told: _Told

    def run(self) -> list[Trial]:
        """Return all trials, those first that have shots of their own."""
        found: list[Trial] = []
        for repeat in range(self.repeats):
            missing = [c for c in self.wanted if (c.name, repeat) not in self.done]
            ledger = Ledger()
            if missing:
                ledger = learned_once(self.setting, self.wanted, self._seed(repeat, ""))
            for each in self.wanted:
                found.append(self._one(each, repeat, ledger))
        return found

    def _one(self, each: Chosen, repeat: int, ledger: Ledger) -> Trial:
        had = self.done.get((each.name, repeat))
        if had is not None:
            return had
        number = len(self.done)

        def progress(circuits: int, total: int) -> None:
            self.told(number, self._all, each.name, repeat, circuits, total)

        progress(0, 0)
        host = each.record.shares_data_with
        if host and self.done[host, repeat].values is None:
            host = ""  # what keeps the host from its values need not keep this one
        # Of the name, so that a strategy has the same numbers whatever it is compared with.
        seed = self._seed(repeat, host or each.name)
        first = next(c for c in self.wanted if c.name == (host or each.name))
        own, job = trial(self.setting, first, repeat, seed, ledger, progress)
        others = [c for c in self.wanted if c.record.shares_data_with == first.name]
        if job is None:
            made = [evolve(own, strategy=each.name)]
        else:
            made = [own, *(reanalysed(own, job, other) for other in others)]
        for one in made:
            if (one.strategy, repeat) not in self.done:
                # What failed is tried again when the comparison goes on.
                if self.journal is not None and one.values is not None:
                    self.journal.keep(one)
                self.done[one.strategy, repeat] = one
        self.told(len(self.done), self._all, each.name, repeat, 0, 0)
        return self.done[each.name, repeat]

    @property
    def _all(self) -> int:
        return len(self.wanted) * self.repeats

    def _seed(self, repeat: int, name: str) -> int:
        words = (self.setting.seed, repeat, zlib.crc32(name.encode()))
        return int(np.random.SeedSequence(words).generate_state(1)[0])


def _digests(wanted: Sequence[Chosen]) -> dict[str, str]:
    """Return what tells the options of strategies apart in another process.

    Raises:
        InputError: They hold objects that nothing does.
    """
    found = {c.name: digest(c.options.diff()) for c in wanted}
    InputError.check(
        Problem(
            f"strategies[{name!r}]",
            "has options with objects that cannot be told apart in another process, so trials cannot be kept",
            "leave out directory, or give plain values or noise models",
        )
        for name, own in found.items()
        if own is None
    )
    return {name: own or "" for name, own in found.items()}


def _checked_pubs(pubs: Any, total_shots: int | None) -> tuple[list[EstimatorPub], list[Problem]]:
    if isinstance(pubs, EstimatorPub) or not isinstance(pubs, Iterable):
        fix = "write [(circuit, observables)]"
        return [], [Problem("pubs", "must be a list of PUBs", fix)]
    found, problems = [], []
    for index, pub in enumerate(pubs):
        try:
            coerced = estimator_pub(pub, None)
        except Exception as error:
            problems.append(Problem(f"pubs[{index}]", str(error)))
            continue
        if total_shots is not None and coerced.precision is not None:
            rule = "has a precision of its own, and total_shots says what is spent"
            problems.append(Problem(f"pubs[{index}].precision", rule, "give one of them"))
        found.append(coerced)
    if not found and not problems:
        problems.append(Problem("pubs", "are none", "give at least one"))
    return found, problems


def _tried(problems: list[Problem], make: Callable[[], Any]) -> Any:
    """Return what is made, None if it cannot be for problems, which are added."""
    try:
        return make()
    except InputError as error:
        problems += error.problems
        return None


def _options_of_device(runner: Runner) -> str | None:
    """Return a name of a backend's options, its noise model among them; None if they have none."""
    return digest(dict(runner.backend.options.items())) if isinstance(runner, BackendRunner) else None


def _is_exact(reference: Any) -> bool:
    return isinstance(reference, str) and reference == "exact"


def _given_reference(reference: Any, size: int) -> Floats:
    if isinstance(reference, str):
        rule = f"must be numbers, 'exact' or None (got {reference!r})"
        raise InputError.of([Problem("reference", rule)])
    try:
        parts = reference if isinstance(reference, (list, tuple)) else [reference]
        values = np.concatenate([np.ravel(np.asarray(part, dtype=np.float64)) for part in parts])
    except (TypeError, ValueError) as error:
        raise InputError.of([Problem("reference", f"is no list of numbers: {error}")]) from error
    if values.size != size or not np.isfinite(values).all():
        rule = f"must be {size} finite numbers, one for each value (got {values.size})"
        raise InputError.of([Problem("reference", rule)])
    return values


def _size(pubs: list[EstimatorPub]) -> int:
    return sum(int(np.prod(pub.shape, dtype=int)) for pub in pubs)


def _labels(pubs: list[EstimatorPub], labels: Sequence[str] | None) -> list[str]:
    """Return a name for each value: its observable, with PUB and parameter set where there are several."""
    if labels is not None:
        size = _size(pubs)
        if len(labels) != size or not all(isinstance(label, str) for label in labels):
            raise InputError.of([Problem("labels", f"must be {size} texts, one for each value")])
        return list(labels)
    found: list[str] = []
    for number, pub in enumerate(pubs):
        observables = np.broadcast_to(np.array(pub.observables.tolist(), dtype=object), pub.shape)
        sets = np.broadcast_to(
            np.arange(int(np.prod(pub.parameter_values.shape, dtype=int))).reshape(
                pub.parameter_values.shape
            ),
            pub.shape,
        )
        for index in np.ndindex(pub.shape):
            label = _observable_label(observables[index])
            label += f" [set {sets[index]}]" if sets.size and sets.max() > 0 else ""
            found.append(f"PUB {number}: {label}" if len(pubs) > 1 else label)
    return _distinct(found)


def _observable_label(terms: Any) -> str:
    shown = []
    for label, coefficient in list(dict(terms).items())[:3]:
        letters = [f"{c}{q}" for q, c in enumerate(reversed(label)) if c != "I"]
        short = " ".join(letters) if len(letters) <= 4 else f"{' '.join(letters[:3])} ... {letters[-1]}"
        number = "" if coefficient == 1 else f"{coefficient:.3g} "
        shown.append(f"{number}{short or '1'}")
    return " + ".join(shown) + (f" + {len(terms) - 3} more" if len(terms) > 3 else "")


def _distinct(labels: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    distinct = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        distinct.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return distinct


def _environment() -> dict[str, Any]:
    found = {"quell": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {**found, "date": datetime.now().astimezone().isoformat(timespec="seconds")}
