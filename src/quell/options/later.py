"""Options of the V2 tree that this version does not have.

Their names are right, so calling them unknown would mislead, and accepting them without effect would change
what a number means. They are refused by name instead. A technique that arrives takes its line from here.
"""

from __future__ import annotations

from collections.abc import Mapping

_REMOVE = "remove it"

#: Path of a V2 option -> what to do now.
LATER: Mapping[str, str] = {
    "options.dynamical_decoupling": "remove it, or give run() circuits that are decoupled already",
    "options.environment": _REMOVE,
    "options.experimental": _REMOVE,
    "options.max_execution_time": _REMOVE,
    "options.optimization_level": "remove it, and give run() circuits that are transpiled already",
    "options.seed_estimator": "set options.seed",
    "options.simulator": "remove it, and pass a configured simulator as the mode",
    "options.execution.init_qubits": "set it in options.execution.run_options if the backend takes it",
    "options.execution.meas_type": _REMOVE,
    "options.execution.rep_delay": "set it in options.execution.run_options if the backend takes it",
    "options.execution.scheduler_timing": _REMOVE,
    "options.execution.stretch_values": _REMOVE,
    "options.resilience.layer_noise_learning": _REMOVE,
    "options.resilience.layer_noise_model": _REMOVE,
    "options.resilience.pec": _REMOVE,
    "options.resilience.pec_mitigation": _REMOVE,
    "options.resilience.zne": _REMOVE,
    "options.resilience.zne_mitigation": _REMOVE,
}
