"""What each option comes to once the level, "auto" and `None` are resolved, and where that came from.

Precedence, for each option: what the user set, then what another option needs (a rule), then the level, then
the default. An option counts as set where it differs from its default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

from attrs import evolve, frozen

from .group import is_set
from .tree import EstimatorOptions, SamplerOptions

Origin: TypeAlias = Literal["default", "level", "user", "rule"]

#: Shots of a sampler whose `default_shots` is None.
DEFAULT_SHOTS = 4096

FOLDING_FACTORS = (1.0, 3.0, 5.0)
#: Learned noise can be amplified by any factor, and errs less the less it is extrapolated.
PEA_FACTORS = (1.0, 1.5, 2.0)

#: What a resilience level turns on where the user set nothing: switch -> the first level that has it.
SWITCHED_ON_AT: Mapping[str, int] = {
    "twirling.enable_gates": 2,
    "twirling.enable_measure": 1,
    "resilience.measure_mitigation": 1,
    "resilience.zne_mitigation": 2,
    "resilience.zne.guard": 2,
}


@frozen
class Effective:
    """The effective value of one option.

    Attributes:
        path: Where the option is in its tree.
        value: What runs read.
        origin: Whether it is the default, set by the user, by the level, or by a rule between options.
        why: The rule or level in words; for options that have no effect now, the reason.
    """

    path: str
    value: Any
    origin: Origin
    why: str = ""


@frozen
class Description:
    """Effective values of all options; printing it shows a table."""

    rows: tuple[Effective, ...]

    def __getitem__(self, path: str) -> Effective:
        for row in self.rows:
            if row.path == path:
                return row
        raise KeyError(path)

    def __iter__(self) -> Iterator[Effective]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        cells = [("option", "value", "from", "")]
        cells += [(r.path, _shown(r.value), r.origin, r.why) for r in self.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(3)]
        return "\n".join("  ".join((*map(str.ljust, row, widths), row[3])).rstrip() for row in cells)


def _shown(value: Any) -> str:
    text = repr(value)
    if len(text) <= 40:
        return text
    return f"{text[:37]}..." if isinstance(value, (str, tuple, list)) else f"<{type(value).__name__}>"


def effective(options: EstimatorOptions | SamplerOptions) -> dict[str, Effective]:
    """Return the effective value of every option of a tree, by path; the tree is not changed."""
    values = {
        path: Effective(path, value, "user" if is_set(value, field) else "default")
        for path, value, field in options.leaves()
    }

    def put(path: str, value: Any, origin: Origin, why: str) -> None:
        values[path] = Effective(path, value, origin, why)

    if isinstance(options, EstimatorOptions):
        _levels(options, values, put)
    else:
        if options.default_shots is None:
            put("default_shots", DEFAULT_SHOTS, "rule", "None is the default of V2")
        for switch in ("twirling.enable_gates", "twirling.enable_measure"):
            if values[switch].value is None:
                put(switch, False, "default", "samplers have no level")
    inner = values["environment.max_execution_time"].value
    if values["max_execution_time"].value is None and inner is not None:
        put("max_execution_time", inner, "rule", "environment.max_execution_time")
    _mark_unused(values)
    return values


def _levels(
    options: EstimatorOptions,
    values: Mapping[str, Effective],
    put: Callable[[str, Any, Origin, str], None],
) -> None:
    """Resolve what only estimators have: level, forced twirling, noise factors, seed."""
    level = options.resilience_level
    for switch, first in SWITCHED_ON_AT.items():
        if values[switch].value is None:
            on = level >= first
            put(switch, on, "level", f"resilience_level = {level}")
    mitigation, measure = values["resilience.measure_mitigation"], values["twirling.enable_measure"]
    if mitigation.value and mitigation.origin == "level" and not measure.value:
        # The level gives way to what was set; set by hand, the two contradict each other (see `rules`).
        put(
            "resilience.measure_mitigation",
            False,
            "rule",
            "needs twirling.enable_measure, which is set to False",
        )
    pea = is_on("resilience.zne.amplifier", values)
    needs = {
        "resilience.pec_mitigation = True": (options.resilience.pec_mitigation, ("gates", "measure")),
        "resilience.zne.amplifier = 'pea'": (pea, ("gates", "measure")),
        "resilience.measure_mitigation = True": (
            values["resilience.measure_mitigation"].value,
            ("measure",),
        ),
    }
    for why, (active, kinds) in needs.items():
        for kind in kinds if active else ():
            switch = f"twirling.enable_{kind}"
            if not values[switch].value and values[switch].origin != "user":
                put(switch, True, "rule", f"{why} needs it")
    if options.resilience.zne.noise_factors == "auto":
        factors = PEA_FACTORS if options.resilience.zne.amplifier == "pea" else FOLDING_FACTORS
        why = f"auto for amplifier {options.resilience.zne.amplifier!r}"
        put("resilience.zne.noise_factors", factors, "default", why)
    if options.resilience.zne.extrapolated_noise_factors == "auto":
        factors = (0.0, *values["resilience.zne.noise_factors"].value)
        put("resilience.zne.extrapolated_noise_factors", factors, "default", "auto: 0 and the noise factors")
    if options.seed is None and options.seed_estimator is not None:
        put("seed", options.seed_estimator, "rule", "seed_estimator")


#: What acts on learned noise; the second is on where noise is extrapolated from learned noise that is amplified.
_LEARNED = ("resilience.pec_mitigation", "resilience.zne.amplifier")

#: Options that act only while a switch is on: prefix -> switches of which one is enough.
_ACT_WITH: Mapping[str, tuple[str, ...]] = {
    "dynamical_decoupling.": ("dynamical_decoupling.enable",),
    "twirling.": ("twirling.enable_gates", "twirling.enable_measure"),
    "resilience.measure_noise_learning.": ("resilience.measure_mitigation",),
    "resilience.zne.": ("resilience.zne_mitigation",),
    "resilience.pec.circuit_cost": _LEARNED,
    "resilience.pec.light_cone": _LEARNED,
    "resilience.pec.": ("resilience.pec_mitigation",),
    "resilience.layer_noise_": _LEARNED,
    "calibration.shots": ("resilience.measure_mitigation",),
    "calibration.groups": ("resilience.measure_mitigation",),
    "calibration.": ("resilience.measure_mitigation", *_LEARNED),
    "post_selection.": ("post_selection.enable",),
}


#: Options that give way to another one where that is set: path -> the one that wins.
_GIVES_WAY: Mapping[str, str] = {
    "default_precision": "default_shots",
    "environment.max_execution_time": "max_execution_time",
    "seed_estimator": "seed",
}


def _mark_unused(values: dict[str, Effective]) -> None:
    """Say why of options that have no effect now."""
    for path, row in values.items():
        if reason := _unused(path, values):
            values[path] = evolve(row, why=f"not used: {reason}")


def _unused(path: str, values: Mapping[str, Effective]) -> str:
    """Return why an option has no effect, an empty string if it has."""
    for prefix, switches in _ACT_WITH.items():
        if path.startswith(prefix) and path not in switches:
            there = [switch for switch in switches if switch in values]
            if not any(is_on(switch, values) for switch in there):
                return " and ".join(_off(switch) for switch in there)
            break
    winner = values.get(_GIVES_WAY.get(path, ""))
    if winner is not None and winner.origin == "user":
        return f"{winner.path} is set"
    known = values.get("resilience.layer_noise_model")
    if path.startswith("resilience.layer_noise_learning.") and known is not None and known.value is not None:
        return "resilience.layer_noise_model is set"
    return ""


def is_on(switch: str, values: Mapping[str, Effective]) -> bool:
    """Return whether a switch is on; the amplifier of learned noise is where it is chosen and used."""
    if switch == "resilience.zne.amplifier":
        return bool(values["resilience.zne_mitigation"].value and values[switch].value == "pea")
    return bool(values[switch].value)


def _off(switch: str) -> str:
    if switch == "resilience.zne.amplifier":
        return "no learned noise is amplified"
    return f"{switch} is False"
