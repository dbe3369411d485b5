"""OpenQASM files may be written by anybody: nothing outside is read, and nothing grows without limit."""

from __future__ import annotations

import pytest
from qiskit.quantum_info import Statevector

from quell.errors import InputError, MissingDependencyError
from quell.experiments.files import load
from quell.experiments.qasm import MAX_BITS, read_circuit
from quell.experiments.run import prepare
from quell.testing import NoisyDevice, exact_value

HEAD = 'OPENQASM 2.0;\ninclude "qelib1.inc";\n'
BELL = HEAD + "qreg q[2];\ncreg c[2];\nh q[0];\ncx q[0],q[1];\nmeasure q -> c;\n"
EXPERIMENT = (
    'strategies = ["raw"]\n[device]\nname = "tee5"\n[[workload]]\nqasm = {}\nobservables = ["XX", "ZZ"]\n'
)


@pytest.fixture
def read(tmp_path):
    def reading(text):
        path = tmp_path / "circuit.qasm"
        path.write_text(text)
        return read_circuit(path)

    return reading


def doubling(levels):
    lines = ["gate g0 a,b { cx a,b; }"]
    lines += [f"gate g{i} a,b {{ g{i - 1} a,b; g{i - 1} b,a; }}" for i in range(1, levels + 1)]
    return HEAD + "\n".join(lines) + f"\nqreg q[2];\ng{levels} q[0],q[1];\n"


def test_a_circuit_is_read(read):
    circuit = read(BELL)
    assert circuit.num_qubits == circuit.num_clbits == 2
    assert read(doubling(3)).decompose(reps=4).count_ops() == {"cx": 8}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("junk", "is no circuit"),
        (HEAD + "qreg q[123456789];", f"declares more than {MAX_BITS}"),
        (HEAD + f"qreg q[{'9' * 5000}];", f"declares more than {MAX_BITS}"),
        (HEAD + "creg c /* */ [123456];", f"declares more than {MAX_BITS}"),
        ("OPENQASM 3.0;\nqubit[123456] q;", f"declares more than {MAX_BITS}"),
        ("// OPENQASM 2.0;\nOPENQASM 3.0;\nbit [ 123456 ] q;", f"declares more than {MAX_BITS}"),
        (HEAD + "".join(f"qreg q{i}[6000];" for i in range(2)), f"declares more than {MAX_BITS}"),
        ('OPENQASM 2.0;\ninclude "/etc/passwd";', "is no circuit"),
        (doubling(40), "more than 1000000 gates"),
        (doubling(80), "more than 50 deep"),
    ],
)
def test_what_is_unreasonable_is_refused(read, text, problem):
    with pytest.raises(InputError, match=problem) as caught:
        read(text)
    assert "root:" not in str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(InputError, match=r"no\.qasm: cannot be read: No such file"):
        read_circuit(tmp_path / "no.qasm")
    (tmp_path / "bytes.qasm").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        read_circuit(tmp_path / "bytes.qasm")


def test_openqasm_3_is_read_or_says_what_it_needs(read, monkeypatch):
    text = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nh q[0];\ncx q[0], q[1];\n'

    def missing(_):
        raise ImportError("no module of that name")

    monkeypatch.setattr("quell.experiments.qasm.qasm3.loads", missing)
    with pytest.raises(MissingDependencyError, match="pip install qiskit_qasm3_import"):
        read(text)
    monkeypatch.undo()
    pytest.importorskip("qiskit_qasm3_import")
    assert Statevector(read(text)).probabilities() == pytest.approx([0.5, 0, 0, 0.5])


def test_an_experiment_reads_files_beside_it(tmp_path):
    pytest.importorskip("qiskit_aer")
    (tmp_path / "bell.qasm").write_text(BELL)
    (tmp_path / "other.qasm").write_text(BELL.replace("h q[0];", "x q[0];"))
    path = tmp_path / "experiment.toml"
    path.write_text(EXPERIMENT.format('["bell.qasm", "other.qasm"]'))
    experiment = load(path)
    assert experiment.files["bell.qasm"] == BELL.encode()
    prepared = prepare(experiment)
    assert prepared.labels == ("bell.qasm: XX", "bell.qasm: ZZ", "other.qasm: XX", "other.qasm: ZZ")
    values = [exact_value(pub[0], operator) for pub in prepared.pubs for operator in pub[1]]
    assert values == pytest.approx([1, 1, 0, 1])
    for circuit, *_ in prepared.pubs:
        assert circuit.num_qubits == 5
        assert "measure" not in circuit.count_ops()


def test_a_file_written_for_the_device_stays_as_it_is(tmp_path):
    pytest.importorskip("qiskit_aer")
    gate = NoisyDevice("tee5").snapshot.two_qubit_gate
    body = "".join(f"{gate} q[0],q[1];\nbarrier q;\n{gate} q[0],q[1];\n" for _ in range(2))
    (tmp_path / "isa.qasm").write_text(HEAD + "qreg q[5];\nsx q[0];\n" + body)
    path = tmp_path / "experiment.toml"
    path.write_text(EXPERIMENT.format('"isa.qasm"').replace('["XX", "ZZ"]', '["IIIZZ"]'))
    circuit = prepare(load(path)).pubs[0][0]
    assert circuit.count_ops()[gate] == 4
    assert circuit.layout is None


def test_parameters_without_values_are_refused(tmp_path):
    pytest.importorskip("qiskit_qasm3_import")
    text = 'OPENQASM 3.0;\ninclude "stdgates.inc";\ninput float theta;\nqubit[2] q;\nrx(theta) q[0];\n'
    (tmp_path / "free.qasm").write_text(text)
    path = tmp_path / "experiment.toml"
    path.write_text(EXPERIMENT.format('"free.qasm"'))
    with pytest.raises(InputError, match=r"'free\.qasm' has parameters without values: theta"):
        load(path)
