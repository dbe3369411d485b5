"""Devices of experiments: snapshots, and whatever a module has; circuits are put on them."""

from __future__ import annotations

import itertools
import sys
import time

import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import CouplingMap

from quell.errors import InputError
from quell.experiments.files import load
from quell.experiments.placing import chain_of, written
from quell.experiments.run import prepare
from quell.testing import ExactSampler, NoisyDevice, exact_value

pytest.importorskip("qiskit_aer")
HEAD = 'strategies = ["raw"]\n'
GHZ = '[[workload]]\nfamily = "ghz"\nqubits = 3\n'
MODULE = """
from qiskit.primitives import StatevectorSampler
from quell.testing import ExactSampler, NoisyDevice

backend = NoisyDevice("tee5", seed=1)
sampler = StatevectorSampler()
function = ExactSampler(seed=2)
text = "tee5"

def scaled(scale=0.5, *, readout=True):
    return NoisyDevice("tee5", scale=scale, readout=readout)

def needs(scale):
    return scaled(scale)

def run(pubs):
    return ExactSampler(seed=3)(pubs)

def broken():
    raise RuntimeError("no such luck")

class Space:
    inner = backend
"""


@pytest.fixture
def prepared(tmp_path):
    def made(device, module=MODULE, name="mode_of_experiments", work=GHZ):
        (tmp_path / f"{name}.py").write_text(module)
        path = tmp_path / "experiment.toml"
        path.write_text(f"{HEAD}[device]\n{device}\n{work}")
        return prepare(load(path))

    yield made
    for name in [name for name in sys.modules if name.startswith("mode_of_experiments")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        ("mode_of_experiments:backend", "NoisyDevice"),
        ("mode_of_experiments:Space.inner", "NoisyDevice"),
        ("mode_of_experiments:sampler", "StatevectorSampler"),
        ("mode_of_experiments:function", "ExactSampler"),
        ("mode_of_experiments:run", "function"),
        ("mode_of_experiments:scaled", "NoisyDevice"),
        ("qiskit_aer:AerSimulator", "AerSimulator"),
        ("qiskit.primitives:StatevectorSampler", "StatevectorSampler"),
    ],
)
def test_any_object_that_runs_circuits_is_a_device(prepared, where, kind):
    found = prepared(f'object = "{where}"')
    assert type(found.mode).__name__ == kind
    circuit, operators, *_ = found.pubs[0]
    assert [exact_value(circuit, o) for o in operators] == pytest.approx([1, 1, 1])
    assert set(circuit.count_ops()) <= {"cx", "cz", "ecr", "rz", "sx", "x"}


def test_arguments_are_given_to_classes_and_functions(prepared):
    where = 'object = "mode_of_experiments:{}"\narguments = {{ scale = 0.25 }}'
    assert prepared(where.format("scaled")).mode.switches.scale == 0.25
    assert prepared(where.format("needs")).mode.switches.scale == 0.25
    exact = prepared('object = "quell.testing:ExactSampler"\narguments = { seed = 3, max_qubits = 4 }').mode
    assert isinstance(exact, ExactSampler)
    assert exact.max_qubits == 4


@pytest.mark.parametrize(
    ("device", "problem"),
    [
        ('object = "no_such_module_at_all:x"', "put no_such_module_at_all.py beside the file"),
        ('object = "mode_of_experiments:nothing"', "has no 'nothing'"),
        ('object = "mode_of_experiments:text"', "is a str, which cannot run circuits"),
        ('object = "mode_of_experiments:broken"', "RuntimeError: no such luck"),
        ('object = "mode_of_experiments:scaled"\narguments = { sale = 1 }', "do not fit"),
        ('object = "mode_of_experiments:backend"\narguments = { scale = 1 }', "is no class or function"),
    ],
)
def test_what_cannot_run_circuits_is_refused(prepared, device, problem):
    with pytest.raises(InputError, match=problem):
        prepared(device)


def test_a_module_that_fails_is_named(prepared):
    with pytest.raises(InputError, match="fails when it is imported: ZeroDivisionError"):
        prepared('object = "mode_of_experiments:x"', module="1 / 0")


def test_modules_of_two_experiments_with_one_name_are_two(prepared, tmp_path):
    first = prepared('object = "mode_of_experiments:scaled"\narguments = { scale = 1.0 }')
    other = tmp_path / "other"
    other.mkdir()
    (other / "mode_of_experiments.py").write_text(MODULE.replace("scale=0.5", "scale=0.125"))
    path = other / "experiment.toml"
    path.write_text(f'{HEAD}[device]\nobject = "mode_of_experiments:scaled"\n{GHZ}')
    assert first.mode.switches.scale == 1.0
    assert prepare(load(path)).mode.switches.scale == 0.125
    assert str(tmp_path) not in sys.path


def test_circuits_of_a_line_are_put_on_a_chain(prepared):
    found = prepared('name = "hex27"', work='[[workload]]\nfamily = "ghz"\nqubits = 12\n')
    circuit = found.pubs[0][0]
    assert circuit.num_nonlocal_gates() == 11  # no swaps
    assert found.device == "hex27"


def test_a_device_is_named_with_what_made_it(prepared):
    assert prepared('name = "tee5"\narguments = { scale = 0.5 }').device == "tee5 (scale = 0.5)"
    assert prepared('object = "mode_of_experiments:run"').device == "mode_of_experiments:run"
    found = prepared('object = "mode_of_experiments:needs"\narguments = { scale = 0.5 }')
    assert found.device == "mode_of_experiments:needs (scale = 0.5)"


def test_a_sampler_does_not_repeat_its_shots_where_a_comparison_goes_on(tmp_path):
    path = tmp_path / "experiment.toml"
    path.write_text(
        f'{HEAD}[device]\nobject = "quell.testing:ExactSampler"\narguments = {{ seed = 5 }}\n{GHZ}'
    )
    experiment = load(path)
    drawn = [prepare(experiment, done).mode.rng.integers(2**62) for done in (0, 0, 3, 3, 4)]
    assert drawn[0] == drawn[1]
    assert drawn[2] == drawn[3]
    assert len(set(drawn)) == 3


def test_chains_are_found_or_given_up_in_time():
    edges = CouplingMap.from_heavy_hex(7).get_edges()
    start = time.monotonic()
    for length in (2, 20, 60):
        chain = chain_of(edges, length)
        assert len(set(chain)) == length
        assert all((a, b) in edges or (b, a) in edges for a, b in itertools.pairwise(chain))
    assert chain_of(edges, 115) is None  # there may be one; it is not worth an hour
    assert chain_of([(0, 1), (1, 2), (1, 3)], 4) is None
    assert chain_of([], 2) is None
    assert time.monotonic() - start < 10


def test_observables_follow_the_circuit_onto_wide_devices():
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.x(2)
    placed = written(circuit, NoisyDevice("hex27"), is_line=True)
    for label, value in {"IXX": 1, "ZII": -1, "IIX": 0}.items():
        assert exact_value(placed, SparsePauliOp(label).apply_layout(placed.layout)) == pytest.approx(value)


def test_final_measurements_are_left_out():
    circuit = QuantumCircuit(2, 2)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    for mode in (NoisyDevice("tee5"), ExactSampler(seed=1)):
        assert "measure" not in written(circuit, mode, is_line=True).count_ops()
