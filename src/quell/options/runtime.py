"""From our tree to a dict that the vendor's V2 options classes accept.

Each option says in `metadata["home"]` which of the vendor's two trees has it, and in `metadata["ours"]` which
of its values are ours. What the chosen tree says in another way is translated; the rest is refused or dropped.
"""

from __future__ import annotations

import reprlib
from collections.abc import Container, Iterator, Mapping
from typing import Any, Final

from ..errors import OptionsError, Problem
from .checks import FREE, choice, copied, is_extrapolator
from .effective import DEFAULT_SHOTS, FOLDING_FACTORS, effective
from .group import is_set, nested
from .rules import POINTS_NEEDED
from .tree import EstimatorOptions, SamplerOptions

#: Options of the client's tree that the server's takes below `experimental`.
_EXPERIMENTAL: Final[Mapping[str, tuple[str, ...]]] = {
    "environment.image": ("image",),
    "execution.scheduler_timing": ("execution", "scheduler_timing"),
    "execution.stretch_values": ("execution", "stretch_values"),
}

_FIXES: Final[Mapping[str, str]] = {
    "seed": "remove it; for simulators there is simulator.seed_simulator",
    "resilience.zne.amplifier": "choose another, such as 'gate_folding'",
    "resilience.zne.noise_factors": "choose factors of 1 and more",
    "execution.run_options": "remove it; of its keys, rep_delay and init_qubits are options",
}

_LEARNING: Final = "resilience.measure_noise_learning."


def to_runtime(
    options: EstimatorOptions | SamplerOptions, tree: str = "client", extras: str = "refuse"
) -> dict[str, Any]:
    """Return what differs from the defaults as a nested dict for the vendor's options classes.

    Args:
        options: The options; they are not changed.
        tree: "client" for `qiskit_ibm_runtime.options_models`, "server" for `qiskit_ibm_runtime.options`.
        extras: What to do with what `tree` does not have: "refuse" it all in one error, or "drop" it.

    Raises:
        OptionsError: Listing what `tree` does not have, and combinations that its classes refuse.
    """
    _one_of("tree", tree, "client", "server")
    _one_of("extras", extras, "refuse", "drop")
    values: dict[str, Any] = {}
    strange: dict[str, Any] = {}
    for path, value, field in options.leaves():
        if is_set(value, field):
            home, ours = field.metadata["home"], field.metadata["ours"]
            free = field.metadata["check"] in FREE
            known = home in ("both", tree) and (free or not is_ours(value, ours))
            (values if known else strange)[path] = copied(value) if free else _lists(value)
    problems = list(_translated(options, values, strange)) if tree == "server" else []
    if extras == "refuse":
        problems += [_missing(path, value, tree) for path, value in strange.items()]
    OptionsError.check(problems)
    return nested(values)


def is_ours(value: Any, ours: Container[Any]) -> bool:
    """Return whether a value of an option of V2, or one of several, is an addition of quell's."""
    return any(
        item in ours or is_extrapolator(item) for item in (value if isinstance(value, tuple) else (value,))
    )


def _one_of(name: str, value: Any, *names: str) -> None:
    try:
        choice(*names)(value)
    except ValueError as error:
        raise OptionsError.of([Problem(name, *error.args)]) from None


def _lists(value: Any) -> Any:
    return [_lists(item) for item in value] if isinstance(value, tuple) else value


def _missing(path: str, value: Any, tree: str) -> Problem:
    if path.startswith(_LEARNING) and tree == "server":
        rule = f"is {value!r}, which the server's options take only while measure_mitigation is on"
        return Problem(f"options.{path}", rule, "set resilience.measure_mitigation to True, or remove it")
    rule = f"is {reprlib.repr(value)}, which the {tree}'s V2 options do not have"
    return Problem(f"options.{path}", rule, f'{_FIXES.get(path, "remove it")}, or pass extras="drop"')


def _translated(
    options: EstimatorOptions | SamplerOptions, values: dict[str, Any], strange: dict[str, Any]
) -> Iterator[Problem]:
    """Move what the server says in another way from `strange` to `values`; yield what its classes refuse."""
    if isinstance(options, SamplerOptions) and options.default_shots is None:
        values["default_shots"] = DEFAULT_SHOTS
    if "environment.max_execution_time" in strange:  # the one at the top wins, as in the client's tree
        values.setdefault("max_execution_time", strange.pop("environment.max_execution_time"))
    yield from _into_experimental(values, strange)
    if isinstance(options, EstimatorOptions):
        yield from _seeds(values, strange)
        _readout_learning(options, values, strange)
        yield from _refused_by_the_server(options, values)


def _into_experimental(values: dict[str, Any], strange: dict[str, Any]) -> Iterator[Problem]:
    for path, keys in _EXPERIMENTAL.items():
        if path not in strange:
            continue
        value = strange.pop(path)
        place = values.setdefault("experimental", {})
        for key in keys[:-1]:
            place = place.setdefault(key, {}) if isinstance(place, dict) else None
        if isinstance(place, dict) and place.setdefault(keys[-1], value) == value:
            continue
        rule = f"is {value!r}, but experimental has another value for it"
        yield Problem(f"options.{path}", rule, "set one of them")


def _seeds(values: dict[str, Any], strange: dict[str, Any]) -> Iterator[Problem]:
    if "seed" not in strange:
        return
    seed = strange.pop("seed")
    if values.setdefault("seed_estimator", seed) != seed:
        rule = f"is {values['seed_estimator']}, but seed is {seed}"
        yield Problem("options.seed_estimator", rule, "they are two names of one option: set one of them")


def _readout_learning(options: EstimatorOptions, values: dict[str, Any], strange: dict[str, Any]) -> None:
    """The server's classes want the switch set, even at levels that have it on."""
    learning = [path for path in values if path.startswith(_LEARNING)]
    if learning and effective(options)["resilience.measure_mitigation"].value:
        values["resilience.measure_mitigation"] = True
        return
    for path in learning:
        strange[path] = values.pop(path)


def _refused_by_the_server(options: EstimatorOptions, values: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what the server's classes check when they are made, whether or not the technique is on."""
    if options.resilience.pec_mitigation and options.resilience.zne_mitigation:
        rule = "is True, and so is resilience.zne_mitigation; the server's options take one of them"
        yield Problem("options.resilience.pec_mitigation", rule, "set one of them to False")
    factors = values.get("resilience.zne.noise_factors", FOLDING_FACTORS)
    names = values.get("resilience.zne.extrapolator", ())
    for name in (names,) if isinstance(names, str) else names:
        if len(factors) < POINTS_NEEDED[name]:
            rule = f"{name!r} needs {POINTS_NEEDED[name]} noise factors, there are {len(factors)}"
            yield Problem("options.resilience.zne.extrapolator", rule, "add noise factors or choose another")
