"""Amazon Braket: the local simulator, whose target lists Braket's own gates."""

import pytest

pytest.importorskip(
    "qiskit_braket_provider", reason="needs qiskit-braket-provider; see README.md beside this file"
)

from checks import check_corrected, check_decoupled, check_sampler, check_unbiased, check_wrapped
from qiskit_braket_provider import BraketLocalBackend

from quell import InputError


@pytest.fixture
def backend():
    return BraketLocalBackend()


@pytest.mark.parametrize("level", [0, 1, 2])
def test_values_are_unbiased(backend, level):
    check_unbiased(backend, level)


def test_samples(backend):
    check_sampler(backend)


def test_counts_of_a_wrapped_backend(backend):
    check_wrapped(backend)


def test_corrected_samples(backend):
    check_corrected(backend, gains=False)


def test_decoupling_is_refused_because_the_device_has_no_delay(backend):
    with pytest.raises(InputError, match="lacks what decoupling pulses are made of: delay"):
        check_decoupled(backend)
