"""Samples freed of readout errors: the mapping, expectation values, marginals, and what is refused."""

import pickle
import warnings

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.quantum_info import SparsePauliOp

from quell import CalibrationError, InputError, QuasiDistribution, Sampler, UnsupportedError
from quell.testing import ExactSampler, ReadoutModel

CORRECTED = {"resilience": {"measure_mitigation": True}, "seed": 7}
MATRIX = np.array([[0.98, 0.05], [0.02, 0.95]])
READOUT = ReadoutModel.uniform(5, 0.02, 0.05)


def ghz(num_qubits, *registers):
    circuit = QuantumCircuit(QuantumRegister(num_qubits), *registers)
    circuit.h(0)
    for qubit in range(num_qubits - 1):
        circuit.cx(qubit, qubit + 1)
    return circuit


def run(circuits, options=None, *, readout=READOUT, shots=20_000, seed=3):
    job = Sampler(ExactSampler(seed=seed, readout=readout), {**CORRECTED, **(options or {})}).run(
        circuits, shots=shots
    )
    return job.result()


# ----------------------------------------------------------------------------------------------- the mapping


def test_it_is_a_mapping_by_bit_string_or_integer():
    circuit = ghz(3)
    circuit.x(0)
    circuit.measure_all()
    result = run([circuit])[0]
    strings, integers = result.quasi_distribution(), result.quasi_distribution(integers=True)
    raw = result.data.meas.get_counts()
    assert set(strings) == set(raw)
    assert {int(key, 2): value for key, value in strings.items()} == pytest.approx(dict(integers))
    assert sum(strings.values()) == pytest.approx(1, abs=1e-6)
    # 20 000 shots and 20 000 of calibration: 5 standard errors.
    for key in ("001", "110"):
        assert abs(strings[key] - 0.5) < 5 * strings.stddev(key)
        assert abs(raw[key] / 20_000 - 0.5) > 5 * strings.stddev(key)
    assert strings.shots == 20_000
    assert strings.num_bits == 3
    assert "000" in strings
    assert "not" not in strings
    assert result.metadata["readout_correction"] == {
        "method": "M3",
        "symmetric": False,
        "calibration_shots": 20_000,
        "corrected_bits": 3,
        "uncorrected_bits": [],
    }


def test_raw_counts_are_left_as_they_are():
    circuit = ghz(3)
    circuit.measure_all()
    with_it = run([circuit])[0].data.meas
    without = (
        Sampler(ExactSampler(seed=3, readout=READOUT), {"seed": 7})
        .run([circuit], shots=20_000)
        .result()[0]
        .data.meas
    )
    # Other random numbers, because the calibration ran first: 5 standard errors of 20 000 shots each.
    for key in ("000", "111"):
        assert with_it.get_counts()[key] == pytest.approx(
            without.get_counts()[key], abs=5 * np.sqrt(2 * 20_000 / 4)
        )


def test_several_registers_and_their_order():
    alpha, beta = ClassicalRegister(2, "alpha"), ClassicalRegister(1, "beta")
    circuit = ghz(3, alpha, beta)
    circuit.x(1)
    circuit.measure([2, 1, 0], [*alpha, *beta])  # alpha = (q2, q1), beta = q0
    result = run([circuit])[0]
    both = result.quasi_distribution()
    assert {key for key, p in both.items() if p > 0.1} == {"0 10", "1 01"}
    assert {k for k, p in result.quasi_distribution(["beta", "alpha"]).items() if p > 0.1} == {"10 0", "01 1"}
    assert {k for k, p in result.quasi_distribution("alpha").items() if p > 0.1} == {"01", "10"}
    assert {k for k, p in result.quasi_distribution("beta", integers=True).items() if p > 0.1} == {0, 1}
    assert both.expectation_value("ZZI") == pytest.approx(-1, abs=5 * both.stddev("ZZI"))
    for names, words in (
        ("gamma", "'gamma', the result has 'alpha', 'beta'"),
        ([], "one at least"),
        (["beta", "beta"], "share bits"),
    ):
        with pytest.raises(InputError, match=words):
            result.quasi_distribution(names)


def test_registers_that_share_bits_are_read_one_by_one():
    first = ClassicalRegister(2, "first")
    circuit = ghz(2, first)
    circuit.add_register(ClassicalRegister(bits=[first[1], first[0]], name="second"))
    circuit.x(0)
    circuit.measure([0, 1], first)
    result = run([circuit])[0]
    one, two = (result.quasi_distribution(name) for name in ("first", "second"))
    assert {key[::-1]: p for key, p in one.items()} == pytest.approx(dict(two))
    with pytest.raises(InputError, match="'first', 'second' share bits; name one of them"):
        result.quasi_distribution()


def test_each_set_of_values_is_a_system_of_its_own():
    from qiskit.circuit import Parameter

    theta = Parameter("theta")
    circuit = QuantumCircuit(1)
    circuit.rx(theta, 0)
    circuit.measure_all()
    angles = np.array([[0, np.pi / 3], [np.pi / 2, np.pi]])
    result = run([(circuit, angles[..., None])])[0]
    for index in np.ndindex(2, 2):
        q = result.quasi_distribution(loc=index)
        assert q.expectation_value("Z") == pytest.approx(np.cos(angles[index]), abs=5 * q.stddev("Z"))
    last = result.quasi_distribution(loc=(-1, -1))
    assert dict(last) == dict(result.quasi_distribution(loc=(1, 1)))
    for loc in (None, 0, (2, 0), (0, 0, 0)):
        with pytest.raises(InputError, match=r"sets of values of shape \(2, 2\) .*write loc=\(0, 0\)"):
            result.quasi_distribution(loc=loc)


def test_results_can_be_pickled():
    circuit = ghz(2)
    circuit.measure_all()
    result = run([circuit], shots=100)[0]
    again = pickle.loads(pickle.dumps(result))
    q = again.quasi_distribution()
    assert dict(q) == dict(result.quasi_distribution())
    assert dict(pickle.loads(pickle.dumps(q))) == dict(q)


def test_without_the_option_it_is_refused_with_the_option_to_set():
    circuit = ghz(2)
    circuit.measure_all()
    result = Sampler(ExactSampler(seed=1)).run([circuit]).result()[0]
    with pytest.raises(UnsupportedError, match=r"options.resilience.measure_mitigation = True"):
        result.quasi_distribution()
    assert "readout_correction" not in result.metadata


# ------------------------------------------------------------------------------------- bits that are corrected


def test_bits_measured_on_the_way_stay_as_they_are_and_metadata_say_so():
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    from quell.testing import NoisyDevice  # the exact sampler knows no control flow

    pytest.importorskip("qiskit_aer")
    from qiskit import transpile

    device = NoisyDevice("tee5", seed=2)
    isa = transpile(circuit, device, initial_layout=[0, 1], optimization_level=0)
    result = Sampler(device, CORRECTED).run([isa], shots=4000).result()[0]
    assert result.metadata["readout_correction"]["uncorrected_bits"] == [0]
    q, raw = result.quasi_distribution(), result.data.c
    zeros = np.mean(raw.get_bitstrings() and [s[1] == "0" for s in raw.get_bitstrings()])
    assert sum(p for key, p in q.items() if key[1] == "0") == pytest.approx(zeros, abs=1e-5)
    assert q.expectation_value("IZ") == pytest.approx(2 * zeros - 1)
    assert q.expectation_value("ZI") != pytest.approx(
        1 - 2 * np.mean([s[0] == "1" for s in raw.get_bitstrings()])
    )


def test_circuits_without_final_measurements_are_refused_before_anything_runs():
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    circuit.x(0)
    device = ExactSampler(seed=1)
    with pytest.raises(
        InputError, match=r"pubs\[0\].circuit: has no final measurement whose readout could be corrected"
    ):
        Sampler(device, CORRECTED).run([circuit])


def test_registers_that_shots_are_selected_by_are_not_corrected():
    flag, data = ClassicalRegister(1, "flag"), ClassicalRegister(2, "data")
    circuit = ghz(3, flag, data)
    circuit.cx(0, 1)
    circuit.measure([1, 0, 2], [*flag, *data])  # qubit 1 is 0
    options = {"post_selection": {"enable": True, "registers": "flag"}}
    result = run([circuit], options)[0]
    facts = result.metadata["readout_correction"]
    assert (facts["corrected_bits"], facts["uncorrected_bits"]) == (2, [])
    q = result.quasi_distribution("data")
    assert q.expectation_value("ZZ") == pytest.approx(1, abs=5 * q.stddev("ZZ"))
    assert set(result.quasi_distribution("flag")) == {"0"}


def test_qubits_that_are_read_the_wrong_way_round_are_refused_and_shots_are_kept():
    flips = np.array([[0.02, 0.02], [0.9, 0.8], [0.5, 0.5]])
    circuit = QuantumCircuit(3)
    circuit.measure_all()
    result = run([circuit], readout=ReadoutModel(flips))[0]
    assert result.data.meas.num_shots == 20_000
    with pytest.raises(CalibrationError) as error:
        result.quasi_distribution()
    assert [p.path for p in error.value.problems] == ["qubit 1", "qubit 2"]
    assert "wrong way round" in str(error.value)


# ------------------------------------------------------------------------------------- values and marginals


def test_observables_of_all_kinds():
    circuit = ghz(3)
    circuit.measure_all()
    q = run([circuit])[0].quasi_distribution()
    operator = SparsePauliOp(["ZZI", "IZZ", "III"], [0.5, 0.25, 2.0])
    values, errors = q.expectation_values([operator, "ZZI", {"000": 1.0, "111": 1.0}])
    assert values == pytest.approx([2.75, 1, 1], abs=5 * errors.max())
    assert values[0] == pytest.approx(
        2 + 0.5 * q.expectation_value("ZZI") + 0.25 * q.expectation_value("IZZ")
    )
    assert q.stddev("ZZI") == errors[1]
    for wrong in ("XXX", "ZZ", "Z2Z"):
        with pytest.raises(InputError):
            q.expectation_value(wrong)


def test_marginals_hold_all_outcomes_and_follow_the_order_of_bits():
    circuit = QuantumCircuit(3)
    circuit.x(2)
    circuit.measure_all()
    q = run([circuit])[0].quasi_distribution()
    pair = q.marginal([2, 0])
    assert set(pair) == {"00", "01", "10", "11"}
    assert pair.method == "inverse"
    assert pair["01"] == pytest.approx(q.expectation_value("1I0"))
    assert pair["01"] == pytest.approx(1, abs=5 * q.stddev("1I0"))
    assert sum(pair.values()) == pytest.approx(1)
    assert pair.expectation_value("IZ") == pytest.approx(q.expectation_value("ZII"))
    for bits in ([], [0, 0], [3], [-1], [True]):
        with pytest.raises(InputError, match="different bits from 0 to 2"):
            q.marginal(bits)


def test_groups_are_corrected_together_also_in_marginals_of_a_part():
    """Bits 0 and 2 flip together: each alone looks 10 % wrong, and only the pair says how."""
    model = ReadoutModel.uniform(3, 0.0).with_pair_flip(0, 2, 0.1)
    circuit = QuantumCircuit(3)
    circuit.h(1)
    circuit.measure_all()
    q = run([circuit], {"calibration": {"groups": [[2, 0]]}}, readout=model)[0].quasi_distribution()
    assert q["000"] + q["010"] == pytest.approx(1, abs=5 * q.stddev("0I0"))
    values, errors = q.expectation_values(["ZIZ", "ZII", "IZZ"])
    assert values[:2] == pytest.approx([1, 1], abs=5 * errors.max())
    alone = q.marginal([2])
    assert alone["0"] == pytest.approx(1, abs=5 * q.stddev("0II"))
    assert set(alone) == {"0", "1"}


def test_lone_outcomes_are_warned_of_with_the_figure_and_means_are_right_all_the_same():
    num = 30
    circuit = QuantumCircuit(num)
    circuit.h(range(0, num, 2))
    circuit.measure_all()
    q = run([circuit], readout=ReadoutModel.uniform(num, 0.05), shots=500)[0].quasi_distribution()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, error = q.expectation_values("I" * 28 + "ZI")
        assert value == pytest.approx(1, abs=5 * error)
    figure = rf"{len(q.outcomes.bits)} of 500 shots have distinct outcomes \(\d+%\)"
    with pytest.warns(UserWarning, match=figure) as said:
        dict(q)
    assert said[0].filename == __file__


# ------------------------------------------------------------------------------------- counts that users have


def test_counts_and_matrices_that_users_have():
    truth = np.array([0.5, 0, 0, 0.5])
    read = np.kron(MATRIX, MATRIX) @ truth * 10**6
    counts = {f"{i:02b}": round(n) for i, n in enumerate(read)}
    q = QuasiDistribution.from_counts(counts, [MATRIX, MATRIX])
    assert dict(q) == pytest.approx({"00": 0.5, "01": 0, "10": 0, "11": 0.5}, abs=2e-6)
    assert q.expectation_value("ZZ") == pytest.approx(1, abs=2e-5)
    assert q.nearest_counts().keys() <= {"00", "01", "10", "11"}
    assert sum(q.nearest_counts().values()) == q.shots
    spelled = [
        {int(k, 2): n for k, n in counts.items()},
        {hex(int(k, 2)): n for k, n in counts.items()},
        {" ".join(k): n for k, n in counts.items()},
    ]
    for other in spelled:
        assert dict(QuasiDistribution.from_counts(other, [MATRIX, MATRIX])) == pytest.approx(dict(q))
    grouped = QuasiDistribution.from_counts(counts, {(0, 1): np.kron(MATRIX, MATRIX)})
    assert dict(grouped) == pytest.approx(dict(q), abs=1e-6)
    assert grouped.mitigation_overhead == pytest.approx(q.marginal([0, 1]).mitigation_overhead)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({}, "has no shots"),
        ({"00": 0}, "has no shots"),
        ({"00": 5, "1": 5}, "'1' does not have 2 bits"),
        ({"0x7": 5}, "'0x7' does not have 2 bits"),
        ({4: 5}, "4 does not have 2 bits"),
        ({"02": 5}, "'02' is no bit string"),
        ({"": 5}, "'' is no bit string"),
        ({"0x": 5}, "'0x' is no bit string"),
        ({-1: 5}, "-1 is no bit string"),
        ({0.5: 5}, "0.5 is no bit string"),
        ({None: 5}, "None is no bit string"),
        ({"00": -5}, "'00' has -5 shots"),
        ({"00": 0.5}, "'00' has 0.5 shots"),
        ({"00": float("nan")}, "'00' has nan shots"),
        ({"00": True}, "'00' has True shots"),
        ({"01": 3, 1: 4}, "has one outcome twice, as '01' and as 1"),
        ([("00", 5)], "must map outcomes to shots, not list"),
    ],
)
def test_malformed_counts_are_refused_by_key(counts, words):
    import re

    with pytest.raises(InputError, match=re.escape(words)):
        QuasiDistribution.from_counts(counts, [MATRIX, MATRIX])


def test_all_malformed_counts_are_reported_at_once():
    with pytest.raises(InputError) as error:
        QuasiDistribution.from_counts(
            {"00": -1, "2": 3, "111": 1, "01": -3}, {(0, 1): np.eye(4), (1,): np.eye(2), (7,): "x"}
        )
    text = str(error.value)
    assert len(error.value.problems) == 5
    assert "and 1 more" in text
    assert "disjoint groups" in text
    assert "bits [7]" in text


@pytest.mark.parametrize(
    "matrix", [np.full((2, 2), 0.5), MATRIX[::-1], [[0.9, 0.2], [0.2, 0.9]], [[np.nan, 0], [0, 1]], np.eye(4)]
)
def test_matrices_on_which_mthree_fails_silently_are_refused(matrix):
    with pytest.raises(CalibrationError, match=r"^bit 1: "):
        QuasiDistribution.from_counts({"00": 90, "11": 10}, [MATRIX, matrix])
