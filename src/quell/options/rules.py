"""Rules between options, and between options and circuits; each returns what breaks it.

Those between options and devices are in `device_rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from ..errors import Problem
from . import device_rules
from .cases import Case
from .effective import Effective

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


def _learned_noise(case: Case) -> Iterator[Problem]:
    """Say what cannot be done with learned noise."""
    cancels, pea = case["resilience.pec_mitigation"], case.pea
    factors = case["resilience.zne.noise_factors"]
    if case["resilience.zne_mitigation"] and min(factors) < 1 and not (cancels and pea):
        rule = f"{_short(factors)} has entries below 1, which take the cancelling of learned noise"
        fix = "set pec_mitigation to True and zne.amplifier to 'pea', or choose factors of 1 and more"
        yield Problem("options.resilience.zne.noise_factors", rule, fix)
    if not (cancels or pea):
        return
    what = "resilience.pec_mitigation = True" if cancels else "resilience.zne.amplifier = 'pea'"
    if case["twirling.group"] == "local_c1":
        rule = f"is 'local_c1', but {what} acts on noise that is twirled over Paulis"
        yield Problem("options.twirling.group", rule, "set it to 'pauli'")
    if case["post_selection.enable"]:
        rule = f"is True, but {what} inserts errors, which change what is kept, and that is not corrected"
        yield Problem("options.post_selection.enable", rule, "set it to False, or act on noise by folding")
    if not cancels:
        return
    gain, limit = case["resilience.pec.noise_gain"], case["resilience.pec.max_overhead"]
    if gain != "auto" and gain > 1:
        rule = f"is {gain:g}, more than the noise there is"
        fix = "choose at most 1; to amplify noise use zne_mitigation with amplifier 'pea'"
        yield Problem("options.resilience.pec.noise_gain", rule, fix)
    if limit is not None and limit < 1:
        rule = f"is {limit:g}, but cancelling nothing has an overhead of 1 already"
        yield Problem("options.resilience.pec.max_overhead", rule, "choose more than 1, or None for no limit")
    if pea and (gain == 0 or 0 in factors):
        path = "noise_gain" if gain == 0 else "noise_factors"
        full = f"options.resilience.{'pec' if gain == 0 else 'zne'}.{path}"
        rule = "leaves no noise, so there is nothing to extrapolate"
        yield Problem(full, rule, "choose more than 0, or set zne_mitigation to False")
    if case["resilience.zne_mitigation"] and not pea:
        path, folding = "options.resilience.zne", case["resilience.zne.amplifier"]
        partial = [f for f in factors if f % 2 != 1]
        if partial and folding == "gate_folding":
            which = "has entries that are not odd, for which each randomization folds gates of its own"
            rule = f"{_short(factors)} {which}"
            yield Problem(f"{path}.noise_factors", rule, "with PEC choose odd factors, or amplifier 'pea'")


def _post_selection(case: Case) -> Iterator[Problem]:
    """Shots are selected by bits as they are read, so the correction of samples must not touch these bits."""
    if not case["post_selection.enable"]:
        return
    names = case["post_selection.registers"]
    asks = case["post_selection.parity"] is not None or case["post_selection.predicate"] is not None
    path = "options.post_selection.registers"
    if names is None and not asks:
        rule = "is None, and neither parity nor predicate says which shots to keep"
        yield Problem(path, rule, "name the register of the spectators, or set parity or predicate")
    if names is not None and (not names or len(set(names)) < len(names)):
        rule = f"must name different registers, at least one (got {names})"
        yield Problem(path, rule, "name each of them once")
    if case["resilience.measure_mitigation"] and "default_precision" not in case.values and names is None:
        rule = "is None, so all bits are looked at, and measure_mitigation has no bits left to correct"
        fix = "name the registers that decide, or set resilience.measure_mitigation to False"
        yield Problem(path, rule, fix)
    for index, circuit in enumerate(case.circuits):
        has = [register.name for register in getattr(circuit, "cregs", ())]
        missing = [name for name in names or () if name not in has]
        if missing and hasattr(circuit, "cregs"):
            rule = f"names {', '.join(map(repr, missing))}, but pubs[{index}] has {_listed(has)}"
            yield Problem(path, rule, "name registers that all circuits have, or split the run")
        elif names is None and not has and hasattr(circuit, "cregs"):
            rule = f"is None, but the circuit of pubs[{index}] has no classical registers to look at"
            yield Problem(path, rule, "measure spectators into a register of the circuit")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "no registers"


def _needs_twirling(case: Case) -> Iterator[Problem]:
    """Techniques that act on Pauli noise cannot do without the twirling that makes it so."""
    pea = case.pea
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
    uses = case.pea or case["resilience.pec_mitigation"]
    if model is not None and uses and hasattr(model, "__len__") and not len(model):
        rule = "has no layers"
        yield Problem("options.resilience.layer_noise_model", rule, "set it to None to learn the noise")


def _calibration_shots(case: Case) -> Iterator[Problem]:
    learning = "resilience.measure_noise_learning.shots_per_randomization"
    if case.is_set("calibration.shots") and case.is_set(learning):
        rule = f"is {case['calibration.shots']}, and {learning} is {case[learning]}; both fix one number"
        yield Problem("options.calibration.shots", rule, "set one of them")


#: Most qubits whose readout is calibrated together.
_LARGEST_GROUP: Final = 8


def _groups(case: Case) -> Iterator[Problem]:
    groups = case["calibration.groups"]
    if not (case["resilience.measure_mitigation"] and groups):
        return
    path, largest = "options.calibration.groups", max(map(len, groups))
    if largest > _LARGEST_GROUP:
        rule = f"has a group of {largest} qubits, whose {2**largest} states would be prepared one by one"
        yield Problem(path, rule, f"use groups of at most {_LARGEST_GROUP}")
    widths = [circuit.num_qubits for circuit in case.circuits if hasattr(circuit, "num_qubits")]
    unknown = sorted(qubit for group in groups for qubit in group if widths and qubit >= max(widths))
    if unknown:
        rule = f"names qubit {unknown[0]}, but the circuits have at most {max(widths)} qubits"
        yield Problem(path, rule, "name qubits of transpiled circuits")


def _seeds(case: Case) -> Iterator[Problem]:
    if case.is_set("seed") and case.is_set("seed_estimator") and case["seed"] != case["seed_estimator"]:
        rule = f"is {case['seed_estimator']}, but seed is {case['seed']}"
        yield Problem("options.seed_estimator", rule, "they are two names of one option: set one of them")


RULES: Final[tuple[Callable[[Case], Iterator[Problem]], ...]] = (
    _vendor_only,
    _learned_noise,
    device_rules.measurement_level,
    _post_selection,
    _needs_twirling,
    _enough_noise_factors,
    _decoupling,
    _mitigated_precision,
    _layer_noise_model,
    _calibration_shots,
    _groups,
    _seeds,
    device_rules.run_keywords,
    device_rules.delay_range,
    device_rules.simulated_device,
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
