"""The package as a whole: public names, what importing costs."""

import subprocess
import sys

import pytest

import quell

CONTRACT = [
    "Estimator",
    "EstimatorV2",
    "Sampler",
    "SamplerV2",
    "Session",
    "Batch",
    "EstimatorOptions",
    "SamplerOptions",
    "wrap",
    "twirl",
    "TwirledCircuit",
    "expectation_values",
]


def loaded_after(statement):
    code = f"import sys; {statement}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in run.stdout.split()}


@pytest.mark.parametrize("name", CONTRACT)
def test_public_names_exist_and_are_listed(name):
    assert getattr(quell, name) is not None
    assert name in quell.__all__
    assert name in dir(quell)


def test_every_listed_name_exists():
    assert all(getattr(quell, name) is not None for name in quell.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Estimater'"):
        quell.Estimater  # noqa: B018


def test_importing_quell_loads_neither_qiskit_nor_numpy():
    assert not loaded_after("import quell") & {"qiskit", "numpy", "scipy", "mthree", "qiskit_aer"}


def test_options_load_without_qiskit():
    assert not loaded_after("from quell import EstimatorOptions") & {"qiskit", "mthree", "qiskit_aer"}


def test_primitives_load_without_optional_packages():
    loaded = loaded_after("from quell import Estimator, Sampler, twirl, expectation_values")
    assert not loaded & {"mthree", "qiskit_aer", "matplotlib", "rich", "typer", "dask", "samplomatic"}
