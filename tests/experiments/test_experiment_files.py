"""Experiment files: the whole file is checked at once, and what it says is what is built."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from quell.errors import InputError, QuellError
from quell.experiments.families import FAMILIES
from quell.experiments.files import keys_of_file, load
from quell.experiments.run import prepare
from quell.testing import exact_value

pytest.importorskip("qiskit_aer")
DOCS = Path(__file__).parents[2] / "docs" / "experiments.md"
DEVICE = '[device]\nname = "tee5"\n'
GHZ = '[[workload]]\nfamily = "ghz"\nqubits = 3\n'


@pytest.fixture
def write(tmp_path):
    def written(text, name="experiment.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return written


def problems_of(path):
    with pytest.raises(InputError) as caught:
        load(path)
    return [str(problem) for problem in caught.value.problems]


def test_the_smallest_file(write):
    experiment = load(write(f'strategies = ["raw"]\n{DEVICE}{GHZ}'))
    assert experiment.title == "experiment"
    assert experiment.head.repeats == 1
    assert experiment.head.reference == "exact"
    assert [work.label for work in experiment.workloads] == ["ghz"]
    assert [spec.name for spec in experiment.strategies] == ["raw"]


def test_everything_that_is_wrong_is_listed_at_once(write):
    write("junk", "bad.qasm")
    path = write("""
        titel = "x"
        shots = 0
        precision = 2
        repeats = true
        seed = -1
        reference = "exakt"
        strategies = ["raw", "raw"]
        observables = 3
        [device]
        name = "tee6"
        layuot = [1]
        [[workload]]
        family = "isin"
        [[workload]]
        family = "mirror"
        layer = 3
        qubits = "4"
        [[workload]]
        family = "ising"
        qubits = []
        dt = nan
        [[workload]]
        qasm = ["missing.qasm", "bad.qasm"]
        """)
    found = problems_of(path)
    for start in (
        "titel: unknown key; did you mean 'title'?",
        "shots: must be an integer from 1",
        "precision: must be a number above 0",
        "repeats: must be an integer from 1",
        "seed: must be an integer from 0",
        "reference: must be 'exact', 'none' or a list of numbers",
        "shots and precision: say the same thing; keep one",
        "device.layuot: unknown key; did you mean 'layout'?",
        "observables: must be a list of names",
        "workload[0].family: there is no 'isin'; did you mean 'ising'?",
        "workload[1].layer: unknown key; did you mean 'layers'?",
        "workload[1].qubits: must be an integer from 2 to 1000, not '4'",
        "workload[2].qubits: must not be empty",
        "workload[2].dt: must be a finite number, not nan",
        "workload[3].qasm: ",
        "strategies: names one twice",
    ):
        assert [text for text in found if text.startswith(start)], (start, found)
    assert len(found) == 17  # two files


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = = 1", "is not valid TOML"),
        ('strategies = ["raw"]\n' + DEVICE, "workload: is missing"),
        ('strategies = ["raw"]\n' + GHZ, "device: is missing"),
        (DEVICE + GHZ, "strategies: is missing"),
        ("strategies = []\n" + DEVICE + GHZ, "strategies: must be a list of names"),
        ('strategies = ["rwa"]\n' + DEVICE + GHZ, "strategies[0]: "),
        ('strategies = ["raw"]\n[device]\n' + GHZ, "device: says no device"),
        (
            'strategies = ["raw"]\n[device]\nname = "tee5"\nobject = "a:b"\n' + GHZ,
            "device: has name and object",
        ),
        ('strategies = ["raw"]\n[device]\nobject = "a.b"\n' + GHZ, "must be 'module:attribute'"),
        ('strategies = ["raw"]\n[device]\nsnapshot = "no.json"\n' + GHZ, "cannot be read"),
        ('strategies = ["raw"]\n[device]\nsnapshot = "."\n' + GHZ, "cannot be read: Is a directory"),
        ('strategies = ["raw"]\n[device]\nsnapshot = "\\u0000"\n' + GHZ, "device.snapshot: must be text"),
        (
            'strategies = ["raw"]\n' + DEVICE + '[[workload]]\nqasm = "\\u0000"\n',
            "workload.qasm: must be text",
        ),
        (
            'strategies = ["raw"]\n' + DEVICE + "arguments = { readuot = false }\n" + GHZ,
            "device.arguments.readuot: unknown key; did you mean 'readout'?",
        ),
        ('strategies = ["raw"]\nobservables = ["magnetisation"]\n' + DEVICE + GHZ, "ghz has no observable"),
        ('strategies = ["raw"]\nobservables = ["XX"]\n' + DEVICE + GHZ, "'XX' acts on 2 qubits"),
        (
            'strategies = ["raw"]\n' + DEVICE + GHZ + '[workload.observables]\nmine = [["ZZ", [0, 3]]]\n',
            "'mine' acts on qubit 3",
        ),
        (
            'strategies = ["raw"]\n' + DEVICE + GHZ + '[workload.observables]\nmine = [["ZZ", [0]]]\n',
            "workload.observables.mine[0]: has 2 Paulis for 1 qubits",
        ),
        (
            'strategies = ["raw"]\n' + DEVICE + GHZ + '[workload.observables]\nmine = [["ZZ", [1, 1]]]\n',
            "must be a list of different qubits",
        ),
        (
            'strategies = ["raw"]\n' + DEVICE + '[[workload]]\nfamily = "ghz"\nqubits = [3, 3000]\n',
            "workload.qubits[1]: must be an integer from 2 to 1000, not 3000",
        ),
        (
            DEVICE + GHZ + "[strategies.mine]\nresilience.zne.noise_factor = [1, 2]\n",
            "strategies.mine.resilience.zne.noise_factor: unknown option; did you mean 'noise_factors'?",
        ),
        (DEVICE + GHZ + '[strategies.mine]\nbase = "rwa"\n', "strategies.mine.base: "),
        (DEVICE + GHZ + "[strategies]\nmine = 3\n", "strategies.mine: must be a table of options"),
        (
            DEVICE + GHZ + '[strategies]\nuse = ["raw"]\n[strategies.raw]\nresilience_level = 1\n',
            "strategies.raw: is also among those in use",
        ),
    ],
)
def test_each_mistake_is_named(write, text, problem):
    assert any(problem in found for found in problems_of(write(text)))


def test_a_missing_file_is_a_problem_too(tmp_path):
    assert "No such file" in problems_of(tmp_path / "no.toml")[0]
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in problems_of(tmp_path / "bytes.toml")[0]


def test_lists_are_one_circuit_each(write):
    text = f"""
        strategies = ["raw"]
        reference = "none"
        {DEVICE}
        [[workload]]
        family = "ising"
        qubits = [2, 3]
        steps = [1, 2]
        [[workload]]
        family = "ghz"
        qubits = 3
        """
    experiment = load(write(text))
    assert [work.label for work in experiment.workloads] == [
        "ising qubits=2 steps=1",
        "ising qubits=2 steps=2",
        "ising qubits=3 steps=1",
        "ising qubits=3 steps=2",
        "ghz",
    ]
    prepared = prepare(experiment)
    assert len(prepared.pubs) == 5
    assert prepared.reference is None
    assert prepared.labels[:2] == (
        "ising qubits=2 steps=1: magnetisation",
        "ising qubits=2 steps=2: magnetisation",
    )
    assert prepared.labels[4:] == ("ghz: XXX", "ghz: Z0Z1", "ghz: Z1Z2")
    gates = [pub[0].num_nonlocal_gates() for pub in prepared.pubs]
    assert gates[:4] == [2, 4, 4, 8]  # two gates of the device make an rzz


def test_circuits_that_differ_in_nothing_have_numbers(write):
    text = f'strategies = ["raw"]\n{DEVICE}{GHZ}{GHZ}'
    assert prepare(load(write(text))).labels[::3] == ("ghz #1: XXX", "ghz #2: XXX")


def test_observables_are_those_of_the_circuit_wherever_it_is_put(write):
    text = f"""
        strategies = ["raw"]
        reference = [1.0, 0.0, 1.5, -1.0]
        precision = 0.1
        {DEVICE}layout = [4, 3, 1]
        {GHZ}
        [workload.observables]
        use = ["parity", "IIZ"]
        mine = [["ZZ", [0, 2], 0.5], ["XXX", [0, 1, 2]]]
        yyx = "YYX"
        """
    prepared = prepare(load(write(text)))
    circuit, operators, _, precision = prepared.pubs[0]
    assert prepared.labels == ("parity", "IIZ", "mine", "yyx")
    assert [exact_value(circuit, operator) for operator in operators] == pytest.approx([1.0, 0.0, 1.5, -1.0])
    assert circuit.num_qubits == 5
    assert {circuit.find_bit(q).index for i in circuit.data for q in i.qubits} == {1, 3, 4}
    assert operators[1].paulis.z[0].nonzero()[0].tolist() == [4]
    assert precision == 0.1
    np.testing.assert_array_equal(prepared.reference, [1.0, 0.0, 1.5, -1.0])


def test_observables_of_the_file_are_for_circuits_without_their_own(write):
    text = f"""
        strategies = ["raw"]
        observables = ["parity"]
        {DEVICE}
        {GHZ}
        [[workload]]
        family = "ising"
        qubits = 2
        observables = ["sites"]
        """
    assert prepare(load(write(text))).labels == ("ghz: parity", "ising: Z0", "ising: Z1")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("reference = [1.0]", "reference: has 1 numbers for 3 values"),
        ("qubits = [3, 9]", "has 9 qubits, the device 5"),
        ("layout = [0, 1]", "names 2 qubits up to 1, for 3 of 5"),
        ("layout = [0, 1, 7]", "up to 7"),
        ('observables = ["sites", "parity", "IZ"]', "acts on 2 qubits"),
        ("survival", "'survival' has 2^n terms"),
    ],
)
def test_what_only_shows_when_circuits_are_built_is_said_before_anything_runs(write, text, problem):
    head, device, work = "", "", 'family = "ghz"\nqubits = 3\n'
    if text == "survival":
        device, work = 'name = "hex27"\n', 'family = "mirror"\nqubits = 12\nobservables = ["survival"]\n'
    elif text.startswith("qubits"):
        work = f'family = "ghz"\n{text}\n'
    elif text.startswith("observables"):
        work = f'family = "ising"\nqubits = 3\n{text}\n'
    elif text.startswith("layout"):
        device = text + "\n"
    else:
        head = text + "\n"
    device = device if "name" in device else 'name = "tee5"\n' + device
    path = write(f'strategies = ["raw"]\n{head}[device]\n{device}[[workload]]\n{work}')
    with pytest.raises(InputError, match=re.escape(problem)):
        prepare(load(path))


def test_two_observables_of_one_name_are_refused(write):
    text = f'strategies = ["raw"]\n{DEVICE}{GHZ}[workload.observables]\nuse = ["stabilizers"]\nZ0Z1 = "IZZ"\n'
    with pytest.raises(InputError, match="two are called 'Z0Z1'"):
        prepare(load(write(text)))


def test_strategies_start_from_their_base(write):
    text = f"""
        {DEVICE}
        {GHZ}
        [strategies]
        use = ["raw"]
        [strategies.mine]
        base = "zne+trex"
        description = "in my way"
        resilience.zne.noise_factors = [1, 2, 3]
        resilience.measure_mitigation = false
        max_execution_time = "none"
        """
    raw, mine = load(write(text)).strategies
    assert (raw.name, raw.options) == ("raw", None)
    assert (mine.name, mine.description) == ("mine", "in my way")
    assert mine.options["resilience"]["zne_mitigation"] is True
    assert mine.options["resilience"]["zne"]["noise_factors"] == (1.0, 2.0, 3.0)


def test_a_snapshot_is_a_device_with_its_switches(write):
    bundled = Path(__file__).parents[2] / "calibration" / "devices" / "tee5.json"
    write(bundled.read_text(), "mine.json")
    device = '[device]\nsnapshot = "mine.json"\narguments = { readout = false, scale = 0.5 }\n'
    text = f'strategies = ["raw"]\n{device}{GHZ}'
    experiment = load(write(text))
    device = prepare(experiment).mode
    assert device.switches.readout is False
    assert device.switches.scale == 0.5
    assert experiment.files["mine.json"] == bundled.read_bytes()
    write('{"schema_version": 7}', "mine.json")
    assert "must be 1, got 7" in problems_of(write(text))[0]


def test_the_guide_names_every_key_and_every_observable():
    text = DOCS.read_text()
    tables = keys_of_file()
    for name in [*tables["file"], *tables["device"], *tables["arguments"]]:
        assert f"`{name}`" in text, name
    rows = dict(re.findall(r"^\| `([\w+]+)` \| (.*) \|$", text, re.M))
    for family, kind in FAMILIES.items():
        keys, observables = rows[family].split(" | ")
        assert set(re.findall(r"`(\w+)`", keys)) >= set(tables[family])
        assert re.findall(r"`([\w ]+)`", observables) == list(kind.groups)
        assert observables.startswith(f"`{kind.default[0]}`")
        for name in tables[family]:
            assert (f"`{name}`*" in keys) == kind.__attrs_attrs__[tables[family].index(name)].metadata["grid"]
    assert "`qasm`*" in rows["qasm"]


def test_errors_are_those_of_quell(write):
    with pytest.raises(QuellError):
        load(write("strategies = 3"))
