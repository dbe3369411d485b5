"""`backend.run` of all providers, `AerSimulator.run`, and `execute`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..rows import (
    NOTHING,
    Context,
    Outcome,
    Primitive,
    Refused,
    Row,
    Shift,
    Source,
    Version,
    drop,
    plain,
    whole,
)

SEED = Row("simulator.seed_simulator")
TRANSPILE = "give it to `generate_preset_pass_manager` and `apply_layout` the observables"


def _shots(value: Any, context: Context) -> Outcome:
    if value is None:
        return NOTHING
    return Outcome({"default_shots": whole(value)})


SHOTS = Row("default_shots", text="Or per call: `run(shots=...)`; estimators take a precision.", rule=_shots)


def _meas_level(value: Any, context: Context) -> Outcome:
    if value is None:
        return NOTHING
    level = plain(value)
    returned = _meas_return_of(context)
    if isinstance(level, int) and level == 0 and level is not False:
        raise Refused(
            "level 0 (raw traces) has no V2 form",
            "choose meas_level=1 (kerneled points) or 2 (bits)",
            "removed",
        )
    if isinstance(level, (bool, list)) or level not in (1, 2):
        raise Refused(f"must be 0, 1 or 2, not {value!r}", "choose 1 (kerneled points) or 2 (bits)")
    if context.primitive == "estimator":
        if level == 2:
            return Outcome(reason="implied", text="estimators read bits")
        return Outcome(reason="no_equiv", text="estimators read bits; use a Sampler for kerneled points")
    kind = "classified" if level == 2 else "avg_kerneled" if returned == "avg" else "kerneled"
    return Outcome({"execution.meas_type": kind}, text="" if level == 2 else "results are complex arrays")


def _meas_return(value: Any, context: Context) -> Outcome:
    if _meas_return_of(context) not in ("avg", "single"):
        raise Refused(f"must be 'single' or 'avg', not {value!r}", "choose one of them")
    if context.get("meas_level", 2) == 2:
        return Outcome(reason="implied", text="it only matters for meas_level 0 and 1")
    if context.primitive == "estimator":
        return Outcome(reason="no_equiv", text="estimators read bits")
    return Outcome(text="part of execution.meas_type")


def _meas_return_of(context: Context) -> Any:
    value = context.get("meas_return", "avg")  # the providers' default
    return getattr(value, "value", value)


def _image(value: Any, context: Context) -> Outcome:
    if value is None:
        return NOTHING
    return Outcome({"experimental.image": value}, text="`environment.image` in the client-side options")


IMAGE = Row("experimental.image", text="`environment.image` in the client-side options.", rule=_image)

#: Options of the simulation engine, as `AerSimulator` of versions 0.8 to 0.18 lists them.
AER_ENGINE = """
method device precision executor max_job_size max_shot_size enable_truncation zero_threshold
validation_threshold max_parallel_threads max_parallel_experiments max_parallel_shots max_memory_mb
fusion_enable fusion_verbose fusion_max_qubit fusion_threshold fusion_parallelization_threshold
accept_distributed_results cuStateVec_enable blocking_qubits blocking_enable
chunk_swap_buffer_qubits batched_shots_gpu batched_shots_gpu_max_qubits num_threads_per_device
shot_branching_enable shot_branching_sampling_enable statevector_parallel_threshold
statevector_sample_measure_opt statevector_hpc_gate_opt stabilizer_max_snapshot_probabilities
extended_stabilizer_sampling_method extended_stabilizer_metropolis_mixing_time
extended_stabilizer_approximation_error extended_stabilizer_norm_estimation_samples
extended_stabilizer_norm_estimation_repetitions extended_stabilizer_parallel_threshold
extended_stabilizer_probabilities_snapshot_samples matrix_product_state_truncation_threshold
matrix_product_state_max_bond_dimension mps_sample_measure_algorithm mps_log_data mps_swap_direction
chop_threshold mps_parallel_threshold mps_omp_threads mps_lapack tensor_network_num_sampling_qubits
use_cuTensorNet_autotuning runtime_parameter_bind_enable optimize_ideal_threshold
optimize_noise_threshold unitary_parallel_threshold superoperator_parallel_threshold target_gpus
""".split()  # noqa: SIM905  # sixty lines of one name each would bury the tables

TRANSPILATION = drop(
    "transpile",
    (
        "optimization_level",
        "initial_layout",
        "seed_transpiler",
        "pass_manager",
        "backend_properties",
        "inst_map",
        "layout_method",
        "routing_method",
        "translation_method",
        "approximation_degree",
        "timing_constraints",
        "unitary_synthesis_method",
    ),
    TRANSPILE,
)
PULSE = drop(
    "removed",
    (
        "qubit_lo_freq",
        "meas_lo_freq",
        "schedule_los",
        "default_qubit_los",
        "default_meas_los",
        "qubit_lo_range",
        "meas_lo_range",
        "schedule_circuit",
        "meas_map",
        "scheduling_method",
        "parametric_pulses",
    ),
    "pulse control no longer exists",
)
JOB = drop(
    "job_mgmt",
    ("callback", "job_callback", "timeout", "wait", "max_job_retries"),
    "use job.result(timeout=...), job.status() or your own loop",
)

RUN = {
    "shots": SHOTS,
    "memory": Row(reason="result_api", text="result[0].data.<register>.get_bitstrings()"),
    "meas_level": Row(
        "execution.meas_type",
        text="2 is classified, 1 kerneled or avg_kerneled by meas_return, 0 is refused.",
        rule=_meas_level,
    ),
    "meas_return": Row(
        "execution.meas_type", text="With meas_level 1; 'avg' if left out.", rule=_meas_return
    ),
    "init_qubits": Row("execution.init_qubits"),
    "rep_delay": Row("execution.rep_delay", text="In seconds, within the backend's range."),
    "rep_time": Row(
        reason="superseded",
        text="choose execution.rep_delay: a gap, not the whole period, so the value is not copied",
    ),
    "use_measure_esp": Row(reason="removed"),
    "live_data_enabled": Row(reason="removed"),
    "job_share_level": Row(reason="removed"),
    "program_id": Row(reason="removed"),
    "max_credits": Row(reason="removed"),
    "header": Row(reason="circuit_metadata"),
    "qobj_header": Row(reason="circuit_metadata"),
    "job_tags": Row("environment.job_tags"),
    "job_name": Row(reason="job_tags"),
    "experiment_id": Row(reason="job_tags"),
    "dynamic": Row(reason="implied", text="dynamic circuits are recognised from the circuit"),
    "init_circuit": Row(reason="superseded", text="use execution.init_qubits, or prepend the circuit"),
    "init_num_resets": Row(reason="superseded", text="use execution.init_qubits, or write resets"),
    "noise_model": Row("simulator.noise_model", text="Or set it on the simulator object."),
    "seed_simulator": SEED,
    "coupling_map": Row("simulator.coupling_map"),
    "basis_gates": Row("simulator.basis_gates", text="Also give it to the pass manager."),
    "parameter_binds": Row(reason="pub", text="the PUB carries them: (circuit, values)"),
    "memory_slots": Row(reason="implied"),
    "memory_slot_size": Row(reason="implied"),
    "backend_options": Row(reason="backend"),
    "skip_transpilation": Row(reason="implied", text="V2 primitives never transpile"),
    "max_execution_time": Row("max_execution_time"),
    "image": IMAGE,
    **TRANSPILATION,
    **PULSE,
    **JOB,
    **drop("backend", AER_ENGINE, "set it on AerSimulator(...)"),
}

_SHIFT_4000 = Shift("default_shots", "backend.run took 4000 shots by default (Aer 1024); V2 takes 4096")
UNMITIGATED = Shift(
    "resilience_level",
    "nothing was mitigated; a V2 estimator corrects readout unless resilience_level = 0",
)


def shifted(*shifts: Shift) -> Callable[[Version, Primitive], tuple[Shift, ...]]:
    """Return shifts that are the same in every version."""
    return lambda version, primitive: shifts


BACKEND_RUN = Source(
    "backend.run",
    "`backend.run(...)`",
    RUN,
    defaults=lambda version, primitive: {"shots": 4000},
    shifts=shifted(_SHIFT_4000, UNMITIGATED),
    aliases=("run", "backend", "IBMBackend.run"),
)
AER_RUN = Source(
    "AerSimulator.run",
    "`AerSimulator.run(...)`",
    RUN,
    defaults=lambda version, primitive: {"shots": 1024},
    shifts=shifted(
        Shift("default_shots", "AerSimulator took 1024 shots by default; V2 takes 4096"), UNMITIGATED
    ),
    aliases=("aer", "aer.run", "AerSimulator"),
)
EXECUTE = Source(
    "execute",
    "`execute(...)`",
    {
        **RUN,
        **drop("transpile", ("basis_gates", "coupling_map"), TRANSPILE),
        **drop("pub", ("circuits", "experiments"), "circuits go into PUBs"),
        "backend": Row(reason="backend", text="pass it as the mode"),
    },
    defaults=lambda version, primitive: {"shots": 4000},
    shifts=shifted(_SHIFT_4000, UNMITIGATED),
)
