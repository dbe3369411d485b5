"""Rules between options and what they run on; each returns what breaks it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..errors import Problem
from .cases import Case
from .group import same


def measurement_level(case: Case) -> Iterator[Problem]:
    """Points in the plane of a readout signal are no bits, so nothing that acts on bits can be done to them."""
    meas_type = case["execution.meas_type"]
    if meas_type in (None, "classified"):
        level = case["execution.run_options"].get("meas_level", 2)
        if level != 2:
            rule = f"has meas_level = {level!r}, but bits are what is read"
            fix = (
                "remove it"
                if meas_type is None
                else "set execution.meas_type to 'kerneled' or 'avg_kerneled'"
            )
            yield Problem("options.execution.run_options", rule, fix)
        return
    path = "options.execution.meas_type"
    if case.backend is not None and not (case.is_backend and case.takes("meas_level")):
        what = case.backend_name if case.is_backend else f"the mode, a {type(case.backend).__name__},"
        rule = f"is {meas_type!r}, but {what} does not list meas_level among its options of run"
        yield Problem(path, rule, "set it to 'classified'")
    for name in ("meas_level", "meas_return"):
        if name in case["execution.run_options"]:
            rule = f"is {meas_type!r}, but execution.run_options has {name} too"
            yield Problem(path, rule, "set one of them")
    for switch, what in (
        ("resilience.measure_mitigation", "corrects"),
        ("twirling.enable_measure", "flips"),
        ("post_selection.enable", "looks at"),
    ):
        if case[switch]:
            rule = f"is True, which {what} bits, but execution.meas_type is {meas_type!r}"
            yield Problem(f"options.{switch}", rule, "set it to False, or meas_type to 'classified'")


#: Options that become keyword arguments of ``backend.run``.
_RUN_KEYWORDS: Final = (
    "execution.init_qubits",
    "execution.rep_delay",
    "simulator.noise_model",
    "simulator.seed_simulator",
)


def run_keywords(case: Case) -> Iterator[Problem]:
    """Options for ``backend.run`` need a backend that takes them, and must not be given twice."""
    given = case["execution.run_options"]
    elsewhere = "pass a BackendV2, or configure the sampler itself"
    if given and case.backend is not None and not case.is_backend:
        rule = f"are arguments of backend.run ({', '.join(given)}), but the mode is a {type(case.backend).__name__}"
        yield Problem("options.execution.run_options", rule, elsewhere)
    for path in _RUN_KEYWORDS:
        name = path.rpartition(".")[2]
        if not case.is_set(path):
            continue
        if name in given:
            if same(given[name], case[path]):
                continue
            rule = f"is {case[path]!r}, but execution.run_options has {name} = {given[name]!r}"
            yield Problem(f"options.{path}", rule, "set one of them")
        elif case.backend is None:
            continue
        elif not case.is_backend:
            rule = f"is an argument of backend.run, but the mode is a {type(case.backend).__name__}"
            yield Problem(f"options.{path}", rule, elsewhere)
        elif not case.takes(name):
            rule = f"is not among the options that {case.backend_name} lists for run"
            force = f"remove it; to pass it anyway set execution.run_options = {{{name!r}: ...}}"
            yield Problem(f"options.{path}", rule, force)


def delay_range(case: Case) -> Iterator[Problem]:
    """Devices take delays between shots of some range."""
    delay, limits = case["execution.rep_delay"], getattr(case.backend, "rep_delay_range", None)
    if delay is not None and isinstance(limits, (tuple, list)) and len(limits) == 2:
        low, high = limits
        if not low <= delay <= high:
            rule = f"is {delay:g} s, but {case.backend_name} takes {low:g} to {high:g} s"
            yield Problem("options.execution.rep_delay", rule, "choose a value between")


def simulated_device(case: Case) -> Iterator[Problem]:
    """Only simulators stand for a device."""
    if case.backend is None:
        return
    for path in ("simulator.coupling_map", "simulator.basis_gates"):
        if case.is_set(path) and not (case.is_backend and case.takes("seed_simulator")):
            rule = f"describes what a simulator stands for, but {case.backend_name} is not a simulator"
            yield Problem(f"options.{path}", rule, "remove it")
