"""The V2 trees: of the first versions, and of the primitives that run on the server."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from ...checks import Check, numbers
from ...tree import EstimatorOptions, SamplerOptions
from ..rows import NOTHING, Context, Outcome, Refused, Row, Rule, Shift, Source
from .run import SHOTS, TRANSPILE, shifted

_LEARNING = "resilience.layer_noise_learning"
_FACTORS = "resilience.zne.noise_factors"
_AMPLIFIED = numbers(1, "auto", at_least=2)


def _identity(*homes: str) -> dict[str, Row]:
    """Return a row for every option of V2 that stays what it is."""
    return {
        path: Row(path, rule=_taken(path, field.metadata["check"], value is not None))
        for tree in (SamplerOptions(), EstimatorOptions())
        for path, value, field in tree.leaves()
        if field.metadata["home"] in homes
    }


def _taken(path: str, check: Check, none_is_a_value: bool) -> Rule:
    """Return the rule of an option that stays; the server's options also took numbers written as text."""

    def rule(value: Any, context: Context) -> Outcome:
        if value is None and not none_is_a_value:
            return NOTHING
        for number in (int, float) if isinstance(value, str) else ():
            with suppress(ValueError):
                return Outcome({path: check(number(value))})
        return Outcome({path: value})

    return rule


def _level_of(value: Any) -> int | None:
    """Return the level that the server's options made of a value: they took '1', 1.0 and True for 1."""
    return int(value) if value in (0, 1, 2, "0", "1", "2") else None


def _level(value: Any, context: Context) -> Outcome:
    level = _level_of(value)
    if level is None:
        raise Refused(f"must be 0, 1 or 2, not {value!r}", "choose one of them")
    return Outcome({"resilience_level": level})


def _tags(value: Any, context: Context) -> Outcome:
    return Outcome({"environment.job_tags": [] if value is None else value})


def _experimental(value: Any, context: Context) -> Outcome:
    """Move what has found a place in the client's options; the vendor's service reads the rest."""
    if value is not None and not isinstance(value, Mapping):
        return Outcome({"experimental": value})  # the option's own check refuses it
    rest = dict(value or {})
    moved = {}
    if "image" in rest:
        moved["environment.image"] = rest.pop("image")
    if isinstance(rest.get("execution"), Mapping):
        inner = dict(rest.pop("execution"))
        for key in ("scheduler_timing", "stretch_values"):
            if key in inner:
                moved[f"execution.{key}"] = inner.pop(key)
        if inner:
            rest["execution"] = inner
    return Outcome(
        {**moved, **({"experimental": rest} if rest else {})}, text="image is environment.image now"
    )


def _pec(value: Any, context: Context) -> Outcome:
    found: dict[str, Any] = {"resilience.pec_mitigation": value}
    if value is not True:
        return Outcome(found)
    if context.get("resilience.zne_mitigation") is True:
        raise Refused(
            "is True together with resilience.zne_mitigation, which V2 refuses",
            "set one of them to False; quell runs both if you set both in its own options",
        )
    text = "the client learns noise in an explicit step (NoiseLearnerV3); quell learns it by itself"
    if _level_of(context.get("resilience_level")) == 2 and context.get("resilience.zne_mitigation") is None:
        found["resilience.zne_mitigation"] = False
        text += "; level 2 would switch ZNE on as well, which V2 refuses"
    return Outcome(found, text=text)


def _noise_factors(value: Any, context: Context) -> Outcome:
    """Refuse what V2 refuses; quell's own option takes smaller factors, for noise that is cancelled."""
    try:
        _AMPLIFIED(value)
    except ValueError as error:
        raise Refused(str(error), "give at least two factors of 1 and more") from None
    return Outcome({_FACTORS: value})


def _amplifier(value: Any, context: Context) -> Outcome:
    found = {"resilience.zne.amplifier": value}
    zne = context.get("resilience.zne_mitigation", _level_of(context.get("resilience_level")) == 2)
    if value == "pea" and zne and context.get("resilience.zne.noise_factors") is None:
        found["resilience.zne.noise_factors"] = [1, 1.5, 2]
        return Outcome(found, text="the server's factors for PEA, written out: the client's are (1, 3, 5)")
    return Outcome(found)


def _only_quell(path: str, reason: Any, text: str) -> Row:
    """Return the row of a server option that the client's tree lost and quell's kept."""

    def rule(value: Any, context: Context) -> Outcome:
        if value is None and path != f"{_LEARNING}.max_layers_to_learn":
            return NOTHING
        return Outcome(quell={path: value}, reason=reason, text=text)

    return Row(path, reason, text, rule)


_SHARED: dict[str, Row] = {
    **_identity("both", "server"),
    "resilience.zne.noise_factors": Row(_FACTORS, rule=_noise_factors),
    "resilience_level": Row("resilience_level", rule=_level),
    "environment.job_tags": Row("environment.job_tags", text="None is an empty list.", rule=_tags),
    "environment.callback": Row(reason="removed", text="ask job.result(), or job.status() in a loop"),
    "experimental": Row("experimental", text="image: environment.image.", rule=_experimental),
    "resilience.pec_mitigation": Row(
        "resilience.pec_mitigation", text="At level 2, ZNE is switched off explicitly.", rule=_pec
    ),
    "optimization_level": Row(reason="transpile", text=TRANSPILE),
    "execution.shots": SHOTS,
    "shots": SHOTS,
}

_LEARNER = "an option of NoiseLearnerV3Options in the client; quell keeps it"
_TO_CLIENT: dict[str, Row] = {
    "seed_estimator": _only_quell("seed_estimator", "removed", "quell keeps it, as another name of seed"),
    "resilience.measure_noise_learning.shots_per_randomization": _only_quell(
        "resilience.measure_noise_learning.shots_per_randomization",
        "removed",
        "one number serves the whole job in the client; quell keeps it",
    ),
    **{
        f"{_LEARNING}.{key}": _only_quell(f"{_LEARNING}.{key}", None, _LEARNER)
        for key in ("shots_per_randomization", "num_randomizations", "layer_pair_depths")
    },
    f"{_LEARNING}.max_layers_to_learn": _only_quell(
        f"{_LEARNING}.max_layers_to_learn",
        "superseded",
        "the client is given the layers to learn: slice the list; quell keeps it",
    ),
    **{
        f"simulator.{key}": _only_quell(
            f"simulator.{key}", "backend", "set it on the simulator object; quell keeps it"
        )
        for key in ("noise_model", "coupling_map", "basis_gates")
    },
    "resilience.zne.amplifier": Row(
        "resilience.zne.amplifier", text="pea: the server's noise factors are written out.", rule=_amplifier
    ),
}

#: `NoiseLearnerOptions`: its own keys at the top, so that they tell it from a tree of options.
_LEARNER_ROWS: dict[str, Row] = {
    "max_layers_to_learn": _TO_CLIENT[f"{_LEARNING}.max_layers_to_learn"],
    "twirling_strategy": Row("twirling.strategy"),
    **{
        f"learner.{key}": _TO_CLIENT[f"{_LEARNING}.{key}"]
        for key in ("shots_per_randomization", "num_randomizations", "layer_pair_depths")
    },
}


def _learner_names(keys: Collection[str]) -> Mapping[str, str]:
    """Return the places of the keys of `NoiseLearnerOptions`, nothing for a tree of options."""
    if not {"max_layers_to_learn", "twirling_strategy", "layer_pair_depths"} & set(keys):
        return {}
    return {key.removeprefix("learner."): key for key in _LEARNER_ROWS}


_GROUPS = frozenset(path.rpartition(".")[0] for path in _SHARED if "." in path)
_PEA_FACTORS = Shift(
    "resilience.zne.noise_factors",
    "with amplifier 'pea' the server extrapolates from (1, 1.5, 2), the client from (1, 3, 5)",
    "resilience.zne.noise_factors",
)

RUNTIME_V2_EARLY = Source(
    "runtime-v2-early",
    "V2 options of runtime 0.21 to 0.31",
    _SHARED,
    groups=_GROUPS,
    flat=("*",),
    aliases=("v2-early", "early"),
)
RUNTIME_V2_SERVER = Source(
    "runtime-v2-server",
    "V2 options of the server-side primitives",
    {**_identity("client"), **_SHARED, **_TO_CLIENT, **_LEARNER_ROWS},
    groups=_GROUPS,
    flat=("*",),
    shifts=shifted(_PEA_FACTORS),
    names=_learner_names,
    aliases=("v2-server", "server", "runtime-v2", "v2", "NoiseLearnerOptions"),
)
