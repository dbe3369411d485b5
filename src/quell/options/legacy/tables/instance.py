"""`QuantumInstance` of Qiskit Terra."""

from __future__ import annotations

from typing import Any

from ..rows import NOTHING, Context, Outcome, Refused, Row, Shift, Source, drop, plain, whole
from .run import RUN, shifted

_M3 = "quell corrects samples by M3"


def _fitter(value: Any, context: Context) -> Outcome:
    if value is None:
        return NOTHING
    name = value if isinstance(value, str) else getattr(value, "__name__", str(value))
    if name not in ("CompleteMeasFitter", "TensoredMeasFitter"):
        raise Refused(
            f"{name} is no measurement fitter", "choose CompleteMeasFitter, TensoredMeasFitter or None"
        )
    if context.primitive == "sampler":
        return Outcome(quell={"resilience.measure_mitigation": True}, reason="no_equiv", text=_M3)
    return Outcome(
        {"resilience_level": 0, "resilience.measure_mitigation": True},
        reason="superseded",
        text="TREX corrects readout of expectation values, by another method, and nothing else is switched on",
    )


def _calibration(path: str, text: str, scale: float = 1) -> Row:
    def rule(value: Any, context: Context) -> Outcome:
        carried = {}
        if value is not None and context.get("measurement_error_mitigation_cls") is not None:
            number = plain(value)  # what is no number is for the check of the option to refuse
            real = isinstance(number, (int, float)) and not isinstance(number, bool)
            carried[path] = number * scale if real else number
        return Outcome(quell=carried, reason="no_equiv", text=text)

    return Row(reason="no_equiv", text=text, rule=rule)


def _pattern(value: Any, context: Context) -> Outcome:
    text = "quell: calibration.groups"
    if context.primitive == "estimator":
        return Outcome(reason="no_equiv", text="TREX learns all measured qubits together and needs no groups")
    fitter = context.get("measurement_error_mitigation_cls")
    carried = {} if value is None or fitter is None else {"calibration.groups": value}
    return Outcome(quell=carried, reason="no_equiv", text=text)


def _shots(value: Any, context: Context) -> Outcome:
    text = "quell: calibration.shots"
    if context.mode == "strict":
        # Terra 0.46.3 ran calibrations with the shots of the data, whatever this said.
        return Outcome(reason="no_equiv", text=f"it was ignored; {text}")
    carried = context.get("measurement_error_mitigation_cls") is not None and value is not None
    return Outcome(quell={"calibration.shots": whole(value)} if carried else {}, reason="no_equiv", text=text)


QUANTUM_INSTANCE = Source(
    "QuantumInstance",
    "`QuantumInstance(...)`",
    {
        **RUN,
        **drop(
            "job_mgmt",
            ("timeout", "wait", "job_callback", "max_job_retries", "job_limit_retries"),
            "use job.result(timeout=...), job.status() or your own loop",
        ),
        "backend": Row(reason="backend", text="pass it as the mode"),
        "bound_pass_manager": Row(reason="transpile", text="bind parameters, then run it yourself"),
        "skip_qobj_validation": Row(reason="removed"),
        "measurement_error_mitigation_cls": Row(
            "resilience.measure_mitigation",
            "no_equiv",
            "Estimator: TREX, with resilience_level = 0. Sampler: M3, in quell only.",
            _fitter,
        ),
        "cals_matrix_refresh_period": _calibration(
            "calibration.max_age", "quell: calibration.max_age; minutes became seconds", 60
        ),
        "measurement_error_mitigation_shots": Row(
            reason="no_equiv", text="quell: calibration.shots", rule=_shots
        ),
        "mit_pattern": Row(reason="no_equiv", text="quell: calibration.groups", rule=_pattern),
    },
    defaults=lambda version, primitive: {"shots": 1024},
    shifts=shifted(
        Shift("default_shots", "QuantumInstance took 1024 shots by default; V2 takes 4096"),
        Shift("resilience_level", "a V2 estimator corrects readout unless resilience_level = 0"),
    ),
    aliases=("quantum_instance", "qi"),
)
