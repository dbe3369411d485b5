"""`Options` of the first runtime primitives, versions 0.7 to 0.27: nested, dotted or flat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...checks import numbers
from ..rows import NOTHING, Context, Outcome, Primitive, Refused, Row, Shift, Source, Version, drop, under
from .run import IMAGE, SHOTS, TRANSPILE

_ZNE = "resilience.zne"
_EXTRAPOLATORS = {
    "LinearExtrapolator": ("linear", 2),
    "QuadraticExtrapolator": ("polynomial_degree_2", 3),
    "CubicExtrapolator": ("polynomial_degree_3", 4),
    "QuarticExtrapolator": ("polynomial_degree_4", 5),
}
_AMPLIFIERS = {
    "TwoQubitAmplifier": "",
    "LocalFoldingAmplifier": "V1 folded every gate, V2 folds two-qubit gates only",
    "CxAmplifier": "V1 folded cx only, V2 folds every two-qubit gate",
    "GlobalFoldingAmplifier": "",
}
#: Factors of V1's ZNE where none were given.
_FACTORS = [1, 3, 5]
#: V1 could amplify noise, but not take it away.
_AMPLIFIED = numbers(1, at_least=2)


def _level_of(context: Context) -> int:
    """Return the level that V1 ran with; without one 0 in version 0.7 and 1 later."""
    level: int = context.get("resilience_level", 0 if context.version == (0, 7) else 1)
    return level


def _resilience_level(value: Any, context: Context) -> Outcome:
    if value is None:
        return NOTHING
    if isinstance(value, (bool, list)) or value not in (0, 1, 2, 3):
        raise Refused(f"must be 0, 1, 2 or 3, not {value!r}", "choose one of them")
    if context.primitive == "sampler":
        return _sampler_level(value, context)
    if value == 3:
        text = "V2 levels stop at 2; PEC costs exponentially many shots and learns the noise first"
        return Outcome({"resilience.pec_mitigation": True}, reason="superseded", text=text)
    if value < 2:
        return Outcome({"resilience_level": int(value)})
    if context.mode == "guide":
        text = "level 2 of V2 adds readout correction and gate twirling to ZNE"
        return Outcome({"resilience_level": 2, **(_filled(context) if context.expand else {})}, text=text)
    text = "V1 level 2 was ZNE alone, with a linear fit"
    return Outcome({"resilience_level": 0, **_filled(context)}, text=text)


def _filled(context: Context) -> dict[str, Any]:
    """Return the options of V1's ZNE, with what it filled in where nothing was given."""
    filled: dict[str, Any] = {"noise_factors": _factors(context)}
    if context.get("resilience.extrapolator") is None:
        filled["extrapolator"] = "linear"
    if context.get("resilience.noise_amplifier") is None:
        filled["amplifier"] = _folding(context)
    return _zne(**filled)


def _sampler_level(value: int, context: Context) -> Outcome:
    if value == 0 and "resilience_level" in context.implicit:
        return Outcome(text="V2 samplers have no levels and correct nothing")
    if value == 0:
        return Outcome(reason="implied", text="V2 samplers have no levels and correct nothing")
    if value == 1:
        text = "it meant M3; quell corrects beside the raw counts"
        return Outcome(quell={"resilience.measure_mitigation": True}, reason="no_equiv", text=text)
    return Outcome(reason="no_equiv", text="V1 samplers ran nothing above level 1, not even M3")


def _factors(context: Context) -> list[float]:
    """Return the noise factors of V1's ZNE; bad ones are for their own row to refuse."""
    given: list[float] = context.get("resilience.noise_factors")
    return given if _are_numbers(given) else list(_FACTORS)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(factor, (int, float)) for factor in value)


def _folding(context: Context) -> str:
    """Return the folding that amplifies as V1 did: partial folds were taken from the front."""
    odd = all(factor % 2 == 1 for factor in _factors(context))
    return "gate_folding" if odd else "gate_folding_front"


def _only_at_level_2(value: Any, context: Context) -> Outcome | None:
    if value is None:
        return NOTHING
    if context.primitive == "sampler" or _level_of(context) != 2:
        return Outcome(reason="implied", text="V1 used it at estimator level 2 only, so it changed nothing")
    return None


def _zne(**values: Any) -> dict[str, Any]:
    return {
        "resilience.zne_mitigation": True,
        **{f"{_ZNE}.{key}": value for key, value in values.items()},
    }


def _noise_factors(value: Any, context: Context) -> Outcome:
    if value is not None and not _are_numbers(value):
        raise Refused(f"must be a list of numbers, not {value!r}", "give at least two")
    if unused := _only_at_level_2(value, context):
        return unused
    try:
        return Outcome(_zne(noise_factors=list(_AMPLIFIED(value))))
    except ValueError as error:
        raise Refused(str(error), "give at least two factors of 1 and more") from None


def _extrapolator(value: Any, context: Context) -> Outcome:
    if value is not None and value not in tuple(_EXTRAPOLATORS):  # a dict would hash the value
        raise Refused(f"must be one of {', '.join(_EXTRAPOLATORS)}, not {value!r}", "choose one of them")
    if unused := _only_at_level_2(value, context):
        return unused
    name, needed = _EXTRAPOLATORS[value]
    factors = _factors(context)
    if len(set(factors)) < needed:
        rule = f"{value} needs {needed} noise factors, there are {len(set(factors))}: {factors}"
        raise Refused(rule, "give more resilience.noise_factors, or a lower extrapolator")
    return Outcome(_zne(extrapolator=name))


def _noise_amplifier(value: Any, context: Context) -> Outcome:
    if value is not None and value not in tuple(_AMPLIFIERS):
        raise Refused(f"must be one of {', '.join(_AMPLIFIERS)}, not {value!r}", "choose one of them")
    if unused := _only_at_level_2(value, context):
        return unused
    if value == "GlobalFoldingAmplifier":
        text = "quell folds whole circuits: resilience.zne.amplifier = 'global_folding'"
        return Outcome(quell={f"{_ZNE}.amplifier": "global_folding"}, reason="no_equiv", text=text)
    return Outcome(_zne(amplifier=_folding(context)), text=_AMPLIFIERS[value])


def _optimization_level(value: Any, context: Context) -> Outcome:
    if value is None:
        return NOTHING
    if isinstance(value, (bool, list)) or value not in (0, 1, 2, 3):
        raise Refused(f"must be 0, 1, 2 or 3, not {value!r}", "choose one of them")
    decoupled = (
        value > 0
        and (context.mode == "strict" or context.expand)
        and not context.get("transpilation.skip_transpilation", False)
        and context.version >= (0, 8)
    )
    carried = {"dynamical_decoupling.enable": True} if decoupled else {}
    if "optimization_level" in context.implicit:
        return Outcome(carried, text="V1 decoupled idle qubits by default" if decoupled else "")
    text = "levels 1 to 3 also decoupled idle qubits (dynamical_decoupling.enable); " + TRANSPILE
    return Outcome(carried, reason="transpile", text=text)


_TABLE: dict[str, Row] = {
    "optimization_level": Row(
        reason="transpile",
        text="Strict: 1 to 3 also switch dynamical_decoupling.enable on.",
        rule=_optimization_level,
    ),
    "resilience_level": Row(
        "resilience_level",
        text="Estimator: 0, 1, 2 stay (strict: 2 is ZNE alone), 3 is resilience.pec_mitigation. "
        "Sampler: 1 was M3, in quell resilience.measure_mitigation.",
        rule=_resilience_level,
    ),
    "max_execution_time": Row("max_execution_time"),
    "image": IMAGE,
    "backend": Row(reason="backend", text="pass it as the mode"),
    **under(
        "transpilation",
        {
            "skip_transpilation": Row(reason="implied", text="V2 primitives never transpile"),
            **drop(
                "transpile",
                (
                    "initial_layout",
                    "layout_method",
                    "routing_method",
                    "approximation_degree",
                    "translation_method",
                    "timing_constraints",
                    "seed_transpiler",
                ),
                TRANSPILE,
            ),
        },
    ),
    "resilience.noise_amplifier": Row(
        "resilience.zne.amplifier",
        text="At level 2 only. Odd factors: gate_folding, others: gate_folding_front. "
        "GlobalFoldingAmplifier: in quell only, global_folding.",
        rule=_noise_amplifier,
    ),
    "resilience.noise_factors": Row(
        "resilience.zne.noise_factors",
        text="At level 2 only; it had no effect elsewhere.",
        rule=_noise_factors,
    ),
    "resilience.extrapolator": Row(
        "resilience.zne.extrapolator",
        text="At level 2 only. Linear: linear; Quadratic, Cubic, Quartic: polynomial_degree_2, 3, 4.",
        rule=_extrapolator,
    ),
    "execution.shots": SHOTS,
    "execution.init_qubits": Row("execution.init_qubits"),
    "environment.log_level": Row("environment.log_level"),
    "environment.job_tags": Row("environment.job_tags"),
    "environment.callback": Row(reason="removed", text="ask job.result(), or job.status() in a loop"),
    **under(
        "simulator",
        {
            key: Row(f"simulator.{key}")
            for key in ("noise_model", "seed_simulator", "coupling_map", "basis_gates")
        },
    ),
}
_FLAT = ("transpilation", "resilience", "execution", "environment", "simulator")


def _defaults(version: Version, primitive: Primitive) -> Mapping[str, Any]:
    """Return what V1 filled in; the optimization level of 0.7 meant no decoupling."""
    optimization = 1 if version == (0, 7) or version >= (0, 21) else 3
    return {
        "execution.shots": 4000,
        "resilience_level": 0 if version == (0, 7) else 1,
        "optimization_level": optimization,
    }


def _shifts(version: Version, primitive: Primitive) -> tuple[Shift, ...]:
    shots = Shift("default_shots", "V1 took 4000 shots by default; V2 takes 4096")
    fit = Shift(
        "resilience.zne.extrapolator",
        "at level 2, V1 fitted a line; V2 tries an exponential first",
        "resilience.extrapolator",
    )
    if version == (0, 7):
        level = Shift(
            "resilience_level", "the level was 0 by default; V2 estimators have 1", "resilience_level"
        )
        return shots, level, fit
    decoupling = Shift(
        "dynamical_decoupling.enable",
        "V1 decoupled idle qubits at its default optimization level; V2 does not unless told to",
        "optimization_level",
    )
    return shots, decoupling, fit


def _source(name: str, title: str, version: Version, *aliases: str) -> Source:
    return Source(
        name,
        title,
        _TABLE,
        groups=frozenset(_FLAT),
        flat=_FLAT,
        defaults=_defaults,
        shifts=_shifts,
        version=version,
        aliases=aliases,
    )


RUNTIME_V1 = (
    _source("runtime-v1.Options", "runtime `Options` (V1)", (0, 20), "runtime-v1", "Options", "v1"),
    _source("runtime-v1.Options(0.7)", "runtime `Options` of 0.7", (0, 7)),
    _source(
        "runtime-v1.options-dict(<=0.7)", "options dict of runtime 0.7", (0, 7), "runtime-v1.options-dict"
    ),
    _source("runtime-v1.run-kwargs", "`run(**kwargs)` of V1 runtime primitives", (0, 20), "run-kwargs"),
)
