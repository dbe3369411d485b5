"""What Qiskit says of a `BaseSamplerV2` holds on every kind of device, with all stages off and with them on."""

import keyword
import pickle

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit, Parameter
from qiskit.primitives import (
    BackendSamplerV2,
    BasePrimitiveJob,
    BaseSamplerV2,
    BitArray,
    DataBin,
    PrimitiveResult,
    SamplerPubResult,
    StatevectorSampler,
)
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.providers import JobStatus
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit_aer import AerSimulator

from quell import InputError, OptionsError, Sampler, SamplerV2
from quell.testing.samplers import ExactSampler

#: All circuits here are written in gates of the device.
MODES = {
    "aer": AerSimulator,
    "device": lambda: GenericBackendV2(3, control_flow=True, noise_info=False, seed=1),
    "sampler": lambda: StatevectorSampler(seed=np.random.default_rng(2)),
    "function": lambda: ExactSampler(seed=3),
}
DURATIONS = [("cx", None, 400, "ns"), ("rz", None, 0), ("measure", None, 1, "us"), ("reset", None, 1, "us")]
DURATIONS += [(name, None, 35, "ns") for name in ("x", "sx")]
MEASURED = {"twirling": {"enable_measure": True, "num_randomizations": 8}}
TWIRLED = {"twirling": {"enable_gates": True, "enable_measure": True, "num_randomizations": 8}}
CORRECTED = {"resilience": {"measure_mitigation": True}}  # shots stay as they were read
DECOUPLED = {"dynamical_decoupling": {"enable": True, "instruction_durations": DURATIONS}}
STAGES = {
    "off": {},
    "measurements twirled": MEASURED,
    "twirled": TWIRLED,
    "decoupled": DECOUPLED,
    "corrected": CORRECTED,
    "all": TWIRLED | DECOUPLED | CORRECTED,
}
#: Not a multiple of the number of randomizations.
SHOTS = 35


@pytest.fixture(params=MODES)
def mode(request):
    return MODES[request.param]()


@pytest.fixture(params=STAGES)
def options(request):
    return STAGES[request.param] | {"seed": 5}


def forbidden(pubs):
    raise AssertionError("something was run")


# --- circuits with one outcome --------------------------------------------------------------


def one_qubit():
    circuit = QuantumCircuit(1)
    circuit.x(0)
    circuit.measure_all()
    return circuit, {"meas": 1}


def reversed_bits():
    circuit = QuantumCircuit(3, 3)
    circuit.x(2)
    circuit.cx(2, 1)
    circuit.measure([0, 1, 2], [2, 1, 0])
    return circuit, {"c": 0b011}


def waiting():
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.barrier()
    circuit.delay(100, 1, "ns")
    circuit.barrier(0)
    circuit.cx(0, 1)
    circuit.barrier()
    circuit.measure([0, 1], [0, 1])
    return circuit, {"c": 3}


def several_registers():
    registers = [
        ClassicalRegister(size, name) for size, name in ((1, "a"), (2, "b"), (3, "unused"), (3, "d"))
    ]
    circuit = QuantumCircuit(QuantumRegister(3), *registers)
    circuit.x([0, 2])
    circuit.measure([0, 1, 2], [2, 0, 8])
    return circuit, {"a": 0, "b": 2, "unused": 0, "d": 4}


def aliased_registers():
    circuit = QuantumCircuit(3, 3)
    circuit.add_register(ClassicalRegister(name="alias", bits=[circuit.clbits[2], circuit.clbits[0]]))
    circuit.x(0)
    circuit.measure(range(3), range(3))
    return circuit, {"c": 1, "alias": 2}


def empty_register():
    circuit = QuantumCircuit(QuantumRegister(1), ClassicalRegister(0, "empty"), ClassicalRegister(1, "c"))
    circuit.x(0)
    circuit.measure(0, 0)
    return circuit, {"c": 1}


def no_bits():
    circuit = QuantumCircuit(QuantumRegister(1), ClassicalRegister(0, "empty"))
    circuit.x(0)
    return circuit, {}


def no_measurements():
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    return circuit, {"c": 0}


def bit_without_register():
    circuit = QuantumCircuit(2)
    circuit.add_bits([Clbit()])
    circuit.add_register(ClassicalRegister(1, "c"))
    circuit.x(0)
    circuit.measure([1, 0], [0, 1])
    return circuit, {"c": 1}


def wide_registers():
    """Of whole bytes and words, and a bit more."""
    sizes = (3, 8, 9, 16, 17, 64, 65)
    circuit = QuantumCircuit(QuantumRegister(3), *(ClassicalRegister(size, f"w{size}") for size in sizes))
    circuit.x([0, 1])
    last = [register[-1] for register in circuit.cregs]
    circuit.measure([0, 1, 2], [last[2], last[6], last[5]])
    return circuit, {f"w{size}": (size in (9, 65)) << size - 1 for size in sizes}


def overwritten_bit():
    circuit = QuantumCircuit(2, 1)
    circuit.x(0)
    circuit.measure([0, 1], [0, 0])
    return circuit, {"c": 0}


def reset():
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.cx(0, 1)
    circuit.reset(0)
    circuit.measure([0, 1], [0, 1])
    return circuit, {"c": 2}


def measured_in_the_middle():
    circuit = QuantumCircuit(2, 4)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.cx(0, 1)
    circuit.x(0)
    circuit.measure([0, 1, 1], [1, 2, 3])
    return circuit, {"c": 0b1101}


def if_else():
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.x(1)
    with otherwise:
        circuit.sx(1)
    circuit.measure(1, 1)
    return circuit, {"c": 3}


def switch():
    circuit = QuantumCircuit(QuantumRegister(2), ClassicalRegister(2, "a"), ClassicalRegister(1, "b"))
    circuit.x(1)
    circuit.measure([0, 1], [0, 1])
    with circuit.switch(circuit.cregs[0]) as case:
        with case(2):
            circuit.x(0)
        with case(case.DEFAULT):
            circuit.sx(0)
    circuit.measure(0, 2)
    return circuit, {"a": 2, "b": 1}


def while_loop():
    circuit = QuantumCircuit(1, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.while_loop((circuit.clbits[0], 1)):
        circuit.x(0)
        circuit.measure(0, 0)
    circuit.x(0)
    circuit.measure(0, 1)
    return circuit, {"c": 2}


def for_loop():
    circuit = QuantumCircuit(1, 1)
    with circuit.for_loop(range(3)):
        circuit.x(0)
    circuit.measure(0, 0)
    return circuit, {"c": 1}


STATIC = [
    one_qubit,
    reversed_bits,
    waiting,
    several_registers,
    aliased_registers,
    empty_register,
    no_bits,
    no_measurements,
    bit_without_register,
    wide_registers,
    overwritten_bit,
]
UNMEASURED = [no_bits, no_measurements]
DYNAMIC = [reset, measured_in_the_middle]
CONTROL_FLOW = [if_else, switch, while_loop, for_loop]


def made(makers):
    return zip(*(make() for make in makers), strict=True)


def check_outcomes(result, circuits, expected, shots=SHOTS):
    """Check registers, their sizes and shots, and that every shot has the expected outcome."""
    assert len(result) == len(circuits)
    for pub_result, circuit, outcomes in zip(result, circuits, expected, strict=True):
        data = pub_result.data
        assert list(data) == [register.name for register in circuit.cregs]
        for register in circuit.cregs:
            bits = data[register.name]
            assert isinstance(bits, BitArray)
            assert (bits.num_bits, bits.num_shots, bits.shape) == (register.size, shots, ())
            assert bits.array.shape == (shots, -(-register.size // 8))
            if register.size:
                assert bits.get_int_counts() == {outcomes[register.name]: shots}, (circuit, register.name)


def test_all_circuits_give_their_outcomes_on_all_devices_with_all_stages(mode, options):
    makers = [make for make in STATIC if "resilience" not in options or make not in UNMEASURED]
    circuits, expected = made(makers)
    check_outcomes(Sampler(mode, options).run(circuits, shots=SHOTS).result(), circuits, expected)


@pytest.mark.parametrize("make", [MODES["aer"], MODES["device"]], ids=["aer", "device"])
def test_dynamic_circuits_too_where_the_device_runs_them(make, options):
    makers = DYNAMIC if "dynamical_decoupling" in options else DYNAMIC + CONTROL_FLOW
    circuits, expected = made(makers)
    check_outcomes(Sampler(make(), options).run(circuits, shots=SHOTS).result(), circuits, expected)


@pytest.mark.parametrize("make", UNMEASURED)
def test_what_was_not_measured_was_not_misread(make):
    with pytest.raises(InputError, match="no final measurement"):
        Sampler(forbidden, CORRECTED).run([one_qubit()[0], make()[0]])


@pytest.mark.parametrize("make", CONTROL_FLOW)
def test_control_flow_has_no_schedule_to_decouple(make):
    with pytest.raises(OptionsError, match="control flow and so no fixed schedule"):
        Sampler(AerSimulator(), DECOUPLED).run([one_qubit()[0], make()[0]])


# --- circuits with random outcomes ----------------------------------------------------------


def fringe():
    """Qubit i reads 1 with probability cos^2 of half of parameter i."""
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(2)
    for qubit, angle in enumerate((a, b)):
        circuit.sx(qubit)
        circuit.rz(angle, qubit)
        circuit.sx(qubit)
    circuit.cx(0, 1)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit, a, b


def test_frequencies_are_those_of_the_circuit(mode, options):
    """z of 8 frequencies each of 24 cases below 5: false alarms 1e-4."""
    circuit, *_ = fringe()
    values = np.array([[0.4, 1.7], [2.2, 2.9]])
    shots = 4001
    data = Sampler(mode, options).run([(circuit, values)], shots=shots).result()[0].data.meas
    ones = np.cos(values / 2) ** 2
    for row, (p, q) in enumerate(ones):
        expected = np.array([(1 - p) * (1 - q), p * (1 - q), (1 - p) * q, p * q])
        counts = data.get_int_counts(row)
        frequencies = np.array([counts.get(outcome, 0) for outcome in range(4)]) / shots
        assert sum(counts.values()) == shots
        assert (abs(frequencies - expected) < 5 * np.sqrt(expected * (1 - expected) / shots)).all()


def random_circuits():
    """Parameter sweeps, several registers, bits that two registers share."""
    circuit, *_ = fringe()
    parts = QuantumCircuit(QuantumRegister(3), ClassicalRegister(2, "x"), ClassicalRegister(1, "y"))
    parts.sx([0, 1, 2])
    parts.cx(0, 1)
    parts.measure([0, 1, 2], [2, 1, 0])
    return [
        (circuit, np.linspace(0, 3, 12).reshape(2, 3, 2)),
        parts,
        SamplerPub.coerce((circuit, [0.3, 1.1])),
    ]


def equal(one, other):
    return len(one) == len(other) and all(
        list(a.data) == list(b.data)
        and a.data.shape == b.data.shape
        and all(np.array_equal(a.data[name].array, b.data[name].array) for name in a.data)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("make", [MODES["aer"], MODES["device"]], ids=["aer", "device"])
def test_without_stages_shots_are_those_of_qiskits_sampler_of_backends(make):
    """Bit for bit and shot for shot, of all PUBs, if the backend is asked for the order of its shots."""
    options = {"simulator": {"seed_simulator": 11}, "execution": {"run_options": {"memory": True}}}
    theirs = BackendSamplerV2(backend=make(), options={"seed_simulator": 11})
    pubs = random_circuits()
    expected = theirs.run(pubs, shots=SHOTS).result()
    assert equal(Sampler(make(), options).run(pubs, shots=SHOTS).result(), expected)
    # Without, counts are the same: backends return them in no order.
    ours = Sampler(make(), {"simulator": {"seed_simulator": 11}}).run(pubs, shots=SHOTS).result()
    for one, other in zip(ours, expected, strict=True):
        for name, bits in one.data.items():
            for index in np.ndindex(bits.shape):
                assert bits.get_counts(index) == other.data[name].get_counts(index)


def test_without_stages_shots_are_those_of_the_sampler_inside():
    pubs = random_circuits()
    ours = Sampler(StatevectorSampler(seed=4)).run(pubs, shots=SHOTS).result()
    assert equal(ours, StatevectorSampler(seed=4).run(pubs, shots=SHOTS).result())


def test_the_seed_decides_everything(options):
    def run(seed):
        sampler = Sampler(AerSimulator(), options | {"seed": seed})
        return sampler.run(random_circuits(), shots=SHOTS).result()

    assert equal(run(1), run(1))
    assert not equal(run(1), run(2))


# --- PUBs -----------------------------------------------------------------------------------

A, B = Parameter("a"), Parameter("b")
PI = np.pi
FORMS = {
    "list": ([0, PI], ()),
    "tuple": ((0, PI), ()),
    "array": (np.array([0, PI]), ()),
    "array of integers": (np.array([[0, 0]]), (1,)),
    "one row": ([[0, PI]], (1,)),
    "rows": (np.array([[0, PI], [PI, 0], [0, 0]]), (3,)),
    "rows of rows": (np.array([[[0, PI], [PI, 0]], [[0, 0], [PI, PI]], [[0, PI], [0, 0]]]), (3, 2)),
    "three axes": (np.full((1, 2, 1, 2), PI), (1, 2, 1)),
    "by parameter": ({A: 0, B: PI}, ()),
    "by name": ({"b": PI, "a": 0}, ()),
    "by name, rows": ({"b": [PI, 0], "a": [0, PI]}, (2,)),
    "by tuple": ({("b", "a"): [PI, 0]}, ()),
    "by tuple of parameters": ({(B, A): [[PI, 0], [0, 0]]}, (2,)),
    "by name and tuple": ({("a",): [[0], [PI]], "b": [PI, PI]}, (2,)),
    "bindings": (BindingsArray({("b", "a"): [[PI, 0], [0, PI]]}), (2,)),
    "bindings, reshaped": (BindingsArray({("a", "b"): np.zeros((4, 2))}, shape=4).reshape(2, 2), (2, 2)),
    "no rows": (np.zeros((0, 2)), (0,)),
    "rows of no rows": (np.zeros((2, 0, 2)), (2, 0)),
}


@pytest.fixture(params=["off", "twirled"])
def some_options(request):
    return STAGES[request.param] | {"seed": 5}


def test_values_of_parameters_are_taken_in_all_their_forms(mode, some_options):
    """0 reads 1, pi reads 0."""
    circuit = fringe()[0].assign_parameters({"a": A, "b": B})
    pubs = [(circuit, values) for values, _ in FORMS.values()]
    result = Sampler(mode, some_options).run(pubs, shots=SHOTS).result()
    for (form, (_, shape)), pub, pub_result in zip(FORMS.items(), pubs, result, strict=True):
        angles = SamplerPub.coerce(pub).parameter_values.as_array([A, B]).reshape(*shape, 2)
        data = pub_result.data
        assert data.shape == data.meas.shape == shape, form
        assert data.meas.array.shape == (*shape, SHOTS, 1)
        for index in np.ndindex(shape):
            outcome = "".join("1" if angle == 0 else "0" for angle in angles[index][::-1])
            assert data.meas[index].get_counts() == {outcome: SHOTS}, form


def test_shots_of_a_pub_win_over_those_of_the_run_and_these_over_the_default(mode, some_options):
    circuit, _ = one_qubit()
    sampler = Sampler(mode, some_options | {"default_shots": 50})
    pubs = [
        circuit,
        (circuit,),
        (circuit, None),
        (circuit, None, 10),
        SamplerPub(circuit, shots=np.int64(11)),
    ]

    def shots_of(result):
        assert [r.metadata["shots"] for r in result] == [r.data.meas.num_shots for r in result]
        return [r.data.meas.num_shots for r in result]

    assert shots_of(sampler.run(pubs).result()) == [50, 50, 50, 10, 11]
    assert shots_of(sampler.run(pubs, shots=7).result()) == [7, 7, 7, 10, 11]
    assert shots_of(sampler.run(pubs, shots=np.int32(8)).result()) == [8, 8, 8, 10, 11]


@pytest.mark.parametrize("shots", [1, 31, 32, 33, 1000])
def test_exactly_the_asked_shots_come_back(shots, mode, some_options):
    circuits, expected = made([reversed_bits, several_registers])
    check_outcomes(Sampler(mode, some_options).run(circuits, shots=shots).result(), circuits, expected, shots)


def test_numbers_of_twirling_say_how_many_shots_there_are_where_nobody_asks():
    twirling = TWIRLED["twirling"] | {"num_randomizations": 5, "shots_per_randomization": 3}
    result = Sampler(AerSimulator(), {"twirling": twirling}).run([one_qubit()[0]]).result()
    assert result[0].data.meas.num_shots == result[0].metadata["shots"] == 15


def test_pubs_may_come_from_a_generator_and_there_may_be_none(mode, some_options):
    circuits, expected = made([one_qubit, reversed_bits])
    sampler = Sampler(mode, some_options)
    check_outcomes(sampler.run(iter(circuits), shots=SHOTS).result(), circuits, expected)
    nothing = sampler.run([]).result()
    assert isinstance(nothing, PrimitiveResult)
    assert len(nothing) == 0


# --- names of registers ---------------------------------------------------------------------


def named(name):
    circuit = QuantumCircuit(QuantumRegister(1, "q"), ClassicalRegister(1, name))
    circuit.x(0)
    circuit.measure(0, 0)
    return circuit


@pytest.mark.parametrize("name", ["class", "two words", "0", "data", "get", "__len__", "größe"])
def test_registers_may_have_names_that_are_no_attributes(name, some_options):
    assert keyword.iskeyword("class")
    data = Sampler(AerSimulator(), some_options).run([named(name)], shots=SHOTS).result()[0].data
    assert list(data) == [name]
    assert data[name].get_counts() == getattr(data, name).get_counts() == {"1": SHOTS}


@pytest.mark.parametrize(
    "name", ["shape", "size", "ndim", "keys", "values", "items", "_data", "self", "__class__"]
)
def test_names_that_the_data_of_a_result_has_itself_are_refused(name):
    """Qiskit's samplers raise too, but when everything was measured."""
    with pytest.raises(InputError, match=r"pubs\[1\].circuit: has a register '" + name):
        Sampler(forbidden).run([one_qubit()[0], named(name)])


# --- what is refused ------------------------------------------------------------------------

BAD_PUBS = {
    "values for no parameters": lambda: (one_qubit()[0], [1.0]),
    "no values": lambda: fringe()[0],
    "values None": lambda: (fringe()[0], None),
    "values []": lambda: (fringe()[0], []),
    "too few values": lambda: (fringe()[0], [1.0]),
    "too many values": lambda: (fringe()[0], [1.0] * 3),
    "other name": lambda: (fringe()[0], {"a": 1, "c": 1}),
    "shapes that differ": lambda: (fringe()[0], {"a": [1, 2], "b": [1, 2, 3]}),
    "values that are not finite": lambda: (fringe()[0], [1.0, np.inf]),
    "complex values": lambda: (fringe()[0], [1.0, 1j]),
    "text": lambda: (fringe()[0], ["east", "west"]),
    "negative shots": lambda: (one_qubit()[0], None, -1),
    "no shots": lambda: (one_qubit()[0], None, 0),
    "shots True": lambda: (one_qubit()[0], None, True),
    "shots 2.5": lambda: (one_qubit()[0], None, 2.5),
    "shots 2.0": lambda: (one_qubit()[0], None, 2.0),
    "too many shots": lambda: (one_qubit()[0], None, 2**40),
    "four items": lambda: (one_qubit()[0], None, 1, 1),
    "no items": lambda: (),
    "no circuit": lambda: ("circuit",),
    "text alone": lambda: "circuit",
    "mapping": lambda: {"circuit": one_qubit()[0]},
    "number": lambda: 3,
    "no classical bits": lambda: QuantumCircuit(1),
    "unchecked shots": lambda: SamplerPub(one_qubit()[0], shots=-1, validate=False),
    "unchecked number": lambda: SamplerPub(one_qubit()[0], shots=2.0, validate=False),
}


@pytest.mark.parametrize("case", BAD_PUBS)
def test_what_is_no_pub_is_refused_at_once_with_its_place(case):
    """As an `InputError`, which is the `ValueError` that Qiskit's samplers raise."""
    with pytest.raises(InputError) as error:
        Sampler(forbidden).run([one_qubit()[0], BAD_PUBS[case]()])
    assert isinstance(error.value, ValueError)
    (problem,) = error.value.problems
    assert problem.path.startswith("pubs[1]")


@pytest.mark.parametrize("shots", [0, -1, True, 1.5, 2.0, "3", 2**40])
def test_shots_of_a_run_are_positive_integers(shots):
    with pytest.raises(InputError, match="shots"):
        Sampler(forbidden).run([one_qubit()[0]], shots=shots)


@pytest.mark.parametrize(
    "make", [lambda: one_qubit()[0], lambda: SamplerPub(one_qubit()[0]), lambda: 3, lambda: None]
)
def test_one_pub_alone_is_no_list_of_pubs(make):
    with pytest.raises(InputError, match="pubs"):
        Sampler(forbidden).run(make())


def test_a_pub_without_its_list_is_met_with_how_to_write_it():
    with pytest.raises(InputError, match=r"wrap it with `\[\]`"):
        Sampler(forbidden).run((fringe()[0], [0, 1]))


# --- jobs and results -----------------------------------------------------------------------


def test_jobs_and_results_are_those_of_the_interface(mode, options):
    circuit, _ = several_registers()
    circuit.metadata = {"mine": [1]}
    sampler = Sampler(mode, options)
    job = sampler.run([circuit, (fringe()[0], np.zeros((2, 2)), 40)], shots=SHOTS)
    result = job.result()
    assert isinstance(sampler, BaseSamplerV2)
    assert isinstance(job, BasePrimitiveJob)
    assert isinstance(job.job_id(), str)
    assert job.result() is result
    assert job.status() is JobStatus.DONE
    assert (job.done(), job.running(), job.cancelled(), job.in_final_state()) == (True, False, False, True)
    assert isinstance(result, PrimitiveResult)
    assert result.metadata["version"] == 2
    assert all(isinstance(one, SamplerPubResult) for one in result)
    assert isinstance(result[0].data, DataBin)
    assert [one.metadata["shots"] for one in result] == [SHOTS, 40]
    assert [one.metadata["circuit_metadata"] for one in result] == [{"mine": [1]}, {}]
    joined = result[0].join_data()
    assert joined.num_bits == 9
    assert joined.get_int_counts() == {0b100_000_10_0: SHOTS}
    assert result[0].join_data(["d", "b"]).get_int_counts() == {0b10_100: SHOTS}
    again = pickle.loads(pickle.dumps(result))
    assert equal(again, result)
    assert again.metadata == result.metadata
    assert [one.metadata for one in again] == [one.metadata for one in result]


def test_bits_that_no_register_has_are_zero(some_options):
    """Padding of the first byte, which counts of Qiskit rely on, flips of twirling notwithstanding."""
    circuit, _ = wide_registers()
    circuit.sx([0, 1, 2])
    data = Sampler(AerSimulator(), some_options).run([circuit], shots=SHOTS).result()[0].data
    for bits in data.values():
        assert bits.array.dtype == np.uint8
        assert (bits.array[..., 0] < 1 << (bits.num_bits - 1) % 8 + 1).all()


def test_circuits_and_values_are_left_as_they_were(mode):
    circuit, *_ = fringe()
    before, values = circuit.copy(), np.zeros((2, 2))
    values.flags.writeable = False
    Sampler(mode, TWIRLED).run([(circuit, values)], shots=SHOTS).result()
    assert circuit == before


def test_both_names_are_the_same():
    assert SamplerV2 is Sampler
