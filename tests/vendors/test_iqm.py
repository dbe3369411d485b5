"""IQM: cz and r (their prx), no virtual rz, on fake devices with noise."""

import pytest

pytest.importorskip("iqm.qiskit_iqm", reason="needs iqm-client[qiskit]; see README.md beside this file")

from checks import (
    check_corrected,
    check_decoupled,
    check_mitigated,
    check_sampler,
    check_unbiased,
    check_wrapped,
    ghz,
)
from iqm.qiskit_iqm import IQMErrorProfile, IQMFakeAdonis, IQMFakeDeneb
from iqm.qiskit_iqm.fake_backends.iqm_fake_backend import IQMFakeBackend
from iqm.qiskit_iqm.iqm_naive_move_pass import IQMNaiveResonatorMoving
from qiskit import transpile
from qiskit.transpiler import PassManager

from quell import Estimator, InputError

DURATIONS = [("r", (), 40e-9), ("cz", (), 80e-9), ("measure", (), 1e-6)]


@pytest.fixture
def noisy():
    return IQMFakeAdonis()


@pytest.fixture
def ideal(noisy):
    """The same device without errors."""
    profile = noisy.error_profile
    return noisy.copy_with_error_profile(
        IQMErrorProfile(
            t1s=dict.fromkeys(profile.t1s, 1e15),
            t2s=dict.fromkeys(profile.t2s, 1e15),
            single_qubit_gate_depolarizing_error_parameters=_zeros(
                profile.single_qubit_gate_depolarizing_error_parameters
            ),
            two_qubit_gate_depolarizing_error_parameters=_zeros(
                profile.two_qubit_gate_depolarizing_error_parameters
            ),
            single_qubit_gate_durations=profile.single_qubit_gate_durations,
            two_qubit_gate_durations=profile.two_qubit_gate_durations,
            readout_errors={q: {"0": 0.0, "1": 0.0} for q in profile.readout_errors},
        )
    )


def _zeros(parameters):
    return {gate: dict.fromkeys(values, 0.0) for gate, values in parameters.items()}


@pytest.mark.parametrize("level", [0, 1, 2])
def test_values_are_unbiased(ideal, level):
    check_unbiased(ideal, level)


def test_each_level_is_closer_to_the_truth_than_the_noisy_device(noisy):
    check_mitigated(noisy)


def test_samples(ideal, noisy):
    check_sampler(ideal)
    check_sampler(noisy, allowed=0.25)


def test_counts_of_a_wrapped_backend(ideal):
    check_wrapped(ideal)


def test_corrected_samples(noisy):
    check_corrected(noisy, allowed=0.12)


def test_decoupling_needs_durations_that_the_target_does_not_have(ideal):
    with pytest.raises(InputError, match=r"dynamical_decoupling\.instruction_durations"):
        check_decoupled(ideal)


class WithMoves(IQMFakeBackend):
    """Qubits that meet in a resonator: states are moved there and back when a circuit is run, not before."""

    def run(self, run_input, **options):
        moves = PassManager([IQMNaiveResonatorMoving(target=self.target)])
        return super().run([moves.run(circuit) for circuit in run_input], **options)

    def get_scheduling_stage_plugin(self):
        """Let their transpiler leave the moves out."""
        return "only_rz_optimization"


def test_gates_on_a_resonator_are_refused():
    """Paulis between two moves would not be allowed, and the target does not list the resonator."""
    backend = IQMFakeDeneb()
    circuit, _ = ghz()
    isa = transpile(circuit, backend, optimization_level=1)
    assert "move" in isa.count_ops()
    with pytest.raises(
        InputError, match=r"has 7 qubits, the backend has 6; .*'move'.* let a backend around it"
    ):
        Estimator(backend).run([(isa, ["I" * 6 + "Z"])])


def test_a_device_with_a_resonator_is_mitigated_before_moves_are_added():
    backend = IQMFakeDeneb()
    backend.__class__ = WithMoves
    check_mitigated(backend)
    check_sampler(backend, allowed=0.25)
    check_wrapped(backend, allowed=0.25)


@pytest.mark.parametrize("sequence", ["XX", "XpXm", "XY4", "staggered"])
def test_decoupled_values_are_unbiased(ideal, sequence):
    values, errors, truth = check_decoupled(ideal, DURATIONS, sequence=sequence)
    assert (abs(values - truth) < 6 * errors).all()
