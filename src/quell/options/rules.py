"""Rules between options, and between options, circuits and the backend; each returns what breaks it.

Options know nothing of Qiskit: circuits and backends are asked only what any of them can be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from attrs import frozen

from ..errors import Problem
from .effective import Effective
from .group import same


@frozen
class Case:
    """Everything a rule may look at: effective values by path, circuits, and the backend or other mode."""

    values: Mapping[str, Effective]
    circuits: tuple[Any, ...]
    backend: Any

    def __getitem__(self, path: str) -> Any:
        """Return an effective value, `None` where this tree has no such option."""
        return self.values[path].value if path in self.values else None

    def is_set(self, path: str) -> bool:
        """Whether the user set the option."""
        return path in self.values and self.values[path].origin == "user"

    @property
    def is_backend(self) -> bool:
        """Whether there is a backend, with options of `run` that can be asked for."""
        return hasattr(self.backend, "run") and hasattr(self.backend, "target")

    def takes(self, name: str) -> bool:
        """Whether the backend lists `name` among the options of `run`."""
        try:
            return name in self.backend.options
        except (AttributeError, TypeError):
            return False

    @property
    def backend_name(self) -> str:
        """What messages call the backend."""
        return str(getattr(self.backend, "name", None) or type(self.backend).__name__)


#: Options of V2 that act inside the vendor's service or client; they have no effect to reproduce elsewhere.
_VENDOR_ONLY: Final[Mapping[str, str]] = {
    "execution.scheduler_timing": "is timing that the vendor's service returns",
    "execution.stretch_values": "are values that the vendor's service returns",
    "environment.private": "asks the vendor's service to delete what it keeps, and quell keeps jobs in this process",
    "environment.image": "is a container of the vendor's service",
    "simulator.layer_noise_model": "acts in the local mode of the vendor's client",
    "simulator.angle_decimals": "acts in the local mode of the vendor's client; quell does not round angles",
    "simulator.warn_absent": "acts in the local mode of the vendor's client",
    "experimental": "holds options of the vendor's service",
}


def _vendor_only(case: Case) -> Iterator[Problem]:
    for path, rule in _VENDOR_ONLY.items():
        if case.is_set(path):
            yield Problem(f"options.{path}", rule, "remove it")


def _not_yet(case: Case) -> Iterator[Problem]:
    """Refuse what this version cannot run; a number must not look mitigated and not be."""
    if case["resilience.pec_mitigation"]:
        rule = "is True, but this version does not have probabilistic error cancellation"
        yield Problem("options.resilience.pec_mitigation", rule, "set it to False")
    if case["resilience.zne_mitigation"] and case["resilience.zne.amplifier"] == "pea":
        rule = "is 'pea', but this version does not learn noise to amplify it"
        yield Problem(
            "options.resilience.zne.amplifier", rule, "set it to 'gate_folding' or 'global_folding'"
        )
    if "default_precision" not in case.values and case["resilience.measure_mitigation"]:
        rule = "is True, but this version does not correct readout errors of samples"
        yield Problem("options.resilience.measure_mitigation", rule, "set it to False")
    if case["calibration.groups"] is not None:
        rule = "acts on the correction of samples, which this version does not have"
        yield Problem("options.calibration.groups", rule, "remove it")
    if case["execution.meas_type"] not in (None, "classified"):
        rule = f"is {case['execution.meas_type']!r}, but this version reads bits"
        yield Problem("options.execution.meas_type", rule, "leave it at 'classified'")


def _needs_twirling(case: Case) -> Iterator[Problem]:
    """Techniques that act on Pauli noise cannot do without the twirling that makes it so."""
    pea = case["resilience.zne_mitigation"] and case["resilience.zne.amplifier"] == "pea"
    for kind, word in (("measure", "measurement"), ("gates", "gate")):
        switch = f"twirling.enable_{kind}"
        if case[switch]:
            continue
        for path, active in (
            (
                "resilience.measure_mitigation",
                case["resilience.measure_mitigation"]
                and kind == "measure"
                and "resilience_level" in case.values,
            ),
            ("resilience.pec_mitigation", case["resilience.pec_mitigation"]),
            ("resilience.zne.amplifier", pea),
        ):
            if active:
                value = repr(case[path])
                rule = f"is False, but {path} = {value} needs {word} twirling"
                other = "'gate_folding'" if path.endswith("amplifier") else "False"
                yield Problem(f"options.{switch}", rule, f"set it to True or None, or set {path} to {other}")


#: How many distinct noise factors each extrapolator needs; polynomials need one more than their degree.
POINTS_NEEDED: Final[Mapping[str, int]] = {
    "linear": 2,
    "richardson": 2,
    "exponential": 2,
    "double_exponential": 4,
    "fallback": 1,
    **{f"polynomial_degree_{degree}": degree + 1 for degree in range(1, 8)},
}


def _enough_noise_factors(case: Case) -> Iterator[Problem]:
    if not case["resilience.zne_mitigation"]:
        return
    factors, names = case["resilience.zne.noise_factors"], case["resilience.zne.extrapolator"]
    distinct = len(set(factors))
    if distinct < len(factors):
        yield Problem(
            "options.resilience.zne.noise_factors",
            f"{_short(factors)} has equal entries",
            "give each noise factor once",
        )
    for chosen in names if isinstance(names, tuple) else (names,):
        name, needed = (
            (chosen, POINTS_NEEDED[chosen])
            if isinstance(chosen, str)
            else (chosen.name, int(chosen.num_parameters))
        )
        if distinct < needed:
            yield Problem(
                "options.resilience.zne.extrapolator",
                f"{name!r} needs {needed} noise factors, there are {distinct}: {_short(factors)}",
                "add noise factors or choose another extrapolator",
            )


def _short(factors: Iterable[float]) -> str:
    return f"({', '.join(f'{factor:g}' for factor in factors)})"


def _decoupling(case: Case) -> Iterator[Problem]:
    if not case["dynamical_decoupling.enable"]:
        return
    for index, circuit in enumerate(case.circuits):
        if hasattr(circuit, "has_control_flow_op") and circuit.has_control_flow_op():
            rule = (
                f"cannot be True for pubs[{index}], whose circuit has control flow and so no fixed schedule"
            )
            yield Problem("options.dynamical_decoupling.enable", rule, "set it to False or split the run")


def _mitigated_precision(case: Case) -> Iterator[Problem]:
    """A precision after mitigation decides the shots, so nothing else may."""
    if case["execution.precision_target"] != "mitigated":
        return
    path, rule = (
        "options.execution.precision_target",
        "is 'mitigated', so the precision decides the shots, but {} {}",
    )
    if case["default_shots"] is not None:
        yield Problem(
            path, rule.format("default_shots", "is set"), "remove default_shots, or leave it at 'shots'"
        )
    numbers = "twirling.num_randomizations", "twirling.shots_per_randomization"
    if any(case[f"twirling.enable_{kind}"] for kind in ("gates", "measure")) and all(
        map(case.is_set, numbers)
    ):
        both = rule.format(" and ".join(numbers), "fix them")
        yield Problem(path, both, "leave one of them at 'auto'")


def _layer_noise_model(case: Case) -> Iterator[Problem]:
    model = case["resilience.layer_noise_model"]
    pea = case["resilience.zne_mitigation"] and case["resilience.zne.amplifier"] == "pea"
    if model is not None and (pea or case["resilience.pec_mitigation"]) and not list(model):
        rule = "has no layers"
        yield Problem("options.resilience.layer_noise_model", rule, "set it to None to learn the noise")


def _calibration_shots(case: Case) -> Iterator[Problem]:
    learning = "resilience.measure_noise_learning.shots_per_randomization"
    if case.is_set("calibration.shots") and case.is_set(learning):
        rule = f"is {case['calibration.shots']}, and {learning} is {case[learning]}; both fix one number"
        yield Problem("options.calibration.shots", rule, "set one of them")


def _seeds(case: Case) -> Iterator[Problem]:
    if case.is_set("seed") and case.is_set("seed_estimator") and case["seed"] != case["seed_estimator"]:
        rule = f"is {case['seed_estimator']}, but seed is {case['seed']}"
        yield Problem("options.seed_estimator", rule, "they are two names of one option: set one of them")


#: Options that become keyword arguments of ``backend.run``.
_RUN_KEYWORDS: Final = (
    "execution.init_qubits",
    "execution.rep_delay",
    "simulator.noise_model",
    "simulator.seed_simulator",
)


def _run_keywords(case: Case) -> Iterator[Problem]:
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


def _delay_range(case: Case) -> Iterator[Problem]:
    delay, limits = case["execution.rep_delay"], getattr(case.backend, "rep_delay_range", None)
    if delay is not None and isinstance(limits, (tuple, list)) and len(limits) == 2:
        low, high = limits
        if not low <= delay <= high:
            rule = f"is {delay:g} s, but {case.backend_name} takes {low:g} to {high:g} s"
            yield Problem("options.execution.rep_delay", rule, "choose a value between")


def _simulated_device(case: Case) -> Iterator[Problem]:
    if case.backend is None:
        return
    for path in ("simulator.coupling_map", "simulator.basis_gates"):
        if case.is_set(path) and not (case.is_backend and case.takes("seed_simulator")):
            rule = f"describes what a simulator stands for, but {case.backend_name} is not a simulator"
            yield Problem(f"options.{path}", rule, "remove it")


RULES: Final[tuple[Callable[[Case], Iterator[Problem]], ...]] = (
    _vendor_only,
    _not_yet,
    _needs_twirling,
    _enough_noise_factors,
    _decoupling,
    _mitigated_precision,
    _layer_noise_model,
    _calibration_shots,
    _seeds,
    _run_keywords,
    _delay_range,
    _simulated_device,
)


def check(values: Mapping[str, Effective], pubs: Iterable[Any], backend: Any) -> list[Problem]:
    """Return everything that is wrong with effective values for these PUBs on this backend.

    Args:
        values: As `effective` returns them.
        pubs: PUBs, tuples that start with a circuit, or circuits.
        backend: A backend or another mode; rules about devices are left out if it is None.
    """
    circuits = tuple(_circuit(pub) for pub in pubs)
    case = Case(values, circuits, backend)
    return [problem for rule in RULES for problem in rule(case)]


def _circuit(pub: Any) -> Any:
    if isinstance(pub, (tuple, list)) and pub:
        return pub[0]
    return getattr(pub, "circuit", pub)
