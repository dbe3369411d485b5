"""V1 primitives of Qiskit (reference and Backend*) and of Aer."""

from __future__ import annotations

from typing import Any

from ..rows import Context, Outcome, Row, Shift, Source, plain, under, whole
from .run import RUN, SEED, UNMITIGATED, shifted

_EXACT_ESTIMATOR = "exact values: StatevectorEstimator, or Aer's EstimatorV2 with default_precision=0.0"
_EXACT_SAMPLER = (
    "exact probabilities: Statevector(circuit).probabilities_dict(), or save_probabilities on Aer"
)


def _exact(context: Context) -> Outcome:
    text = _EXACT_ESTIMATOR if context.primitive == "estimator" else _EXACT_SAMPLER
    return Outcome(reason="no_equiv", text=text)


def _shots(value: Any, context: Context) -> Outcome:
    return _exact(context) if value is None else Outcome({"default_shots": whole(value)})


def _seed(value: Any, context: Context) -> Outcome:
    number = plain(value)
    if number is None or isinstance(
        number, (int, float, str)
    ):  # whether it is a seed is for the option to say
        return SEED.outcome(number, context)
    return Outcome(
        reason="no_equiv", text="a generator has no V2 form: set simulator.seed_simulator to an integer"
    )


_OPTIONS = {
    "options.shots": Row("default_shots", text="None (exact) has no V2 form.", rule=_shots),
    "options.seed": Row("simulator.seed_simulator", rule=_seed),
}
_EXACT_SHIFT = Shift("default_shots", "the reference primitives are exact without shots; V2 takes 4096")

SAMPLER_V1 = Source(
    "qiskit.primitives-v1.Sampler",
    "`qiskit.primitives.Sampler` (V1)",
    _OPTIONS,
    groups=frozenset({"options"}),
    flat=("options",),
    defaults=lambda version, primitive: {"options.shots": None},
    shifts=shifted(_EXACT_SHIFT),
    primitive="sampler",
    aliases=("qiskit.Sampler", "primitives-v1.Sampler"),
)
ESTIMATOR_V1 = Source(
    "qiskit.primitives-v1.Estimator",
    "`qiskit.primitives.Estimator` (V1)",
    _OPTIONS,
    groups=frozenset({"options"}),
    flat=("options",),
    defaults=lambda version, primitive: {"options.shots": None},
    shifts=shifted(_EXACT_SHIFT, UNMITIGATED),
    primitive="estimator",
    aliases=("qiskit.Estimator", "primitives-v1.Estimator"),
)


def _grouping(value: Any, context: Context) -> Outcome:
    if value:
        return Outcome(reason="implied", text="commuting observables are always measured together")
    return Outcome(reason="backend", text="BackendEstimatorV2(options={'abelian_grouping': False})")


_COMMON = {
    "skip_transpilation": Row(reason="implied", text="V2 primitives never transpile"),
    "abelian_grouping": Row(
        reason="implied", text="False: an option of BackendEstimatorV2 itself.", rule=_grouping
    ),
}
_TRANSPILE = "give it to `generate_preset_pass_manager` and `apply_layout` the observables"

BACKEND_PRIMITIVES = Source(
    "qiskit.primitives.Backend*-v1",
    "`BackendSampler`, `BackendEstimator` (V1)",
    {
        **_COMMON,
        **under("options", RUN),
        "backend": Row(reason="backend", text="pass it as the mode"),
        "bound_pass_manager": Row(reason="transpile", text="bind parameters, then run it yourself"),
        "transpile_options.*": Row(reason="transpile", text=_TRANSPILE),
    },
    groups=frozenset({"options", "transpile_options"}),
    flat=("options",),
    defaults=lambda version, primitive: {"options.shots": 1024},
    shifts=shifted(
        Shift("default_shots", "backends took their own default, mostly 1024 shots; V2 takes 4096"),
        UNMITIGATED,
    ),
    aliases=("BackendSampler", "BackendEstimator", "qiskit.primitives.Backend-v1"),
)


def _aer_shots(value: Any, context: Context) -> Outcome:
    if value is not None:
        return Outcome({"default_shots": whole(value)})
    if context.primitive == "estimator" and not context.get("approximation", False):
        return Outcome({"default_shots": 1024}, text="sampling without shots took 1024, with a warning")
    return _exact(context)


def _approximation(value: Any, context: Context) -> Outcome:
    if value:
        return Outcome(reason="backend", text="Aer's EstimatorV2 approximates; on a device shots are taken")
    return Outcome(reason="superseded", text="sampling is what V2 does")


def _lower_seed(*higher: str) -> Row:
    def rule(value: Any, context: Context) -> Outcome:
        for key in higher:
            if context.get(key) is not None:
                return Outcome(reason="superseded", text=f"{key} wins over it")
        return _seed(value, context)

    return Row("simulator.seed_simulator", text="run_options win over backend_options.", rule=rule)


_DEVICE = ("noise_model", "coupling_map", "basis_gates")
_AER = {
    "skip_transpilation": _COMMON["skip_transpilation"],
    **under("run_options", RUN),
    "run_options.shots": Row(
        "default_shots",
        text="None (exact) has no V2 form; an Estimator without approximation took 1024.",
        rule=_aer_shots,
    ),
    "run_options.seed": _lower_seed("run_options.seed_simulator"),
    "backend_options.*": Row(reason="backend", text="set it on AerSimulator(...)"),
    **under("backend_options", {key: RUN[key] for key in _DEVICE}),
    "backend_options.seed_simulator": _lower_seed("run_options.seed_simulator", "run_options.seed"),
    "transpile_options.*": Row(reason="transpile", text=_TRANSPILE),
}
_AER_GROUPS = frozenset({"run_options", "backend_options", "transpile_options"})
_AER_SHIFT = Shift("default_shots", "Aer's primitives took 1024 shots by default; V2 takes 4096")

AER_ESTIMATOR = Source(
    "qiskit_aer.primitives-v1.Estimator",
    "`qiskit_aer.primitives.Estimator` (V1)",
    {
        **_AER,
        "approximation": Row(
            reason="backend", text="True: Aer's EstimatorV2. False: superseded.", rule=_approximation
        ),
        "abelian_grouping": _COMMON["abelian_grouping"],
    },
    groups=_AER_GROUPS,
    flat=("run_options",),
    defaults=lambda version, primitive: {"run_options.shots": 1024},
    shifts=shifted(_AER_SHIFT, UNMITIGATED),
    primitive="estimator",
    aliases=("aer.Estimator",),
)
AER_SAMPLER = Source(
    "qiskit_aer.primitives-v1.Sampler",
    "`qiskit_aer.primitives.Sampler` (V1)",
    _AER,
    groups=_AER_GROUPS,
    flat=("run_options",),
    defaults=lambda version, primitive: {"run_options.shots": 1024},
    shifts=shifted(_AER_SHIFT),
    primitive="sampler",
    aliases=("aer.Sampler",),
)
