"""The device that options say a simulator stands for: its gates, its pairs of qubits, its noise."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from typing import Any, Final

from qiskit.circuit.controlflow import get_control_flow_name_mapping
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.providers import BackendV2
from qiskit.transpiler import CouplingMap, Target

from ..errors import InputError, Problem
from ..options.resolved import ResolvedExecution

#: Description of targets made from options, so that messages can say where to look.
SIMULATED_DEVICE: Final = "the device of options.simulator"


def is_aer(backend: Any) -> bool:
    """Return whether a backend is one of Aer; never imports Aer."""
    aer = sys.modules.get("qiskit_aer")  # not imported: then nobody can have made such a backend
    return aer is not None and isinstance(backend, aer.backends.aerbackend.AerBackend)


def innermost(mode: Any) -> Any:
    """Return what runs the circuits in the end: the backend inside of samplers and of backends around backends.

    Whatever has a backend inside calls it ``backend``, or ``_backend`` like the samplers of Aer.
    """
    inside = (getattr(mode, name, None) for name in ("backend", "_backend"))
    backend = next((b for b in inside if isinstance(b, BackendV2)), None)
    return mode if backend is None else innermost(backend)


def simulated_target(execution: ResolvedExecution, backend: BackendV2) -> Target | None:
    """Return the target that ``coupling_map`` and ``basis_gates`` describe, None where they are not given.

    Raises:
        InputError: A gate is not known, or has too many qubits for a coupling map.
    """
    pairs, gates = execution.coupling_map, execution.basis_gates
    if pairs is None and gates is None:
        return None
    standard = get_standard_gate_name_mapping()
    own: Target | None = backend.target
    known = {**get_control_flow_name_mapping(), **standard}  # lists of gates often name control flow too
    if own is not None:
        known |= {name: own.operation_from_name(name) for name in own.operation_names if name not in known}
    if gates is None:
        offered = known if own is None else own.operation_names
        names = [name for name in offered if name in standard and standard[name].num_qubits in (1, 2)]
    else:
        names = list(dict.fromkeys(gates))
        InputError.check(_gate_problems(names, known, pairs is not None))
    target = Target.from_configuration(
        basis_gates=names,
        coupling_map=None if pairs is None else CouplingMap([list(pair) for pair in pairs]),
        custom_name_mapping={name: known[name] for name in names if name not in standard},
    )
    target.description = SIMULATED_DEVICE
    return target


def _gate_problems(names: list[str], known: dict[str, Any], coupled: bool) -> Iterator[Problem]:
    for name in names:
        path = "options.simulator.basis_gates"
        if name not in known:
            fix = "use names of Qiskit's standard gates, or of gates that the backend's target lists"
            yield Problem(path, f"{name!r} is no gate that is known", fix)
        elif coupled and not isinstance(known[name], type) and known[name].num_qubits not in (1, 2):
            rule = f"{name!r} has {known[name].num_qubits} qubits, a coupling map has pairs of qubits"
            yield Problem(path, rule, "remove it from basis_gates, or remove options.simulator.coupling_map")


def checked_noise_model(value: Any) -> Any:
    """Return the noise model to give to an Aer backend: made from its dict where it is one.

    Raises:
        InputError: It is neither a noise model nor a dict of one.
    """
    from qiskit_aer.noise import NoiseModel

    path = "options.simulator.noise_model"
    if value is None or isinstance(value, NoiseModel):
        return value
    if not isinstance(value, dict):
        rule = f"must be a NoiseModel or a dict of one, not {type(value).__name__}"
        fix = "NoiseModel.from_backend(device) makes one from a device"
        raise InputError.of([Problem(path, rule, fix)])
    try:
        with warnings.catch_warnings():
            # Deprecated, but the only reader there is of dicts that the server's options hold.
            warnings.simplefilter("ignore", DeprecationWarning)
            return NoiseModel.from_dict(value)
    except Exception as error:
        rule = f"is a dict that is no noise model ({type(error).__name__}: {error})"
        raise InputError.of([Problem(path, rule, "pass NoiseModel.to_dict(), or the NoiseModel")]) from error
