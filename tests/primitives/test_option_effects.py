"""Every option of both trees is seen to act, or is refused: a table walks all of them.

An option acts where it changes what the device is given: circuits, shots, keyword arguments. Options that act
on the job instead have a test of their own, named in the table.
"""

import time

import pytest
from attrs import field, frozen
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import CircuitInstruction

from quell import Batch, Estimator, Sampler, Session
from quell.errors import CancelledError, OptionsError
from quell.options import EstimatorOptions, SamplerOptions, finalize
from quell.testing import CountingBackend, IQBackend

pytest.importorskip("qiskit_aer")

CIRCUIT = QuantumCircuit(3)
CIRCUIT.ry(0.4, [0, 1, 2])
CIRCUIT.cx(0, 1)
CIRCUIT.rz(0.3, 1)
CIRCUIT.sx(2)
CIRCUIT.cx(1, 2)
CIRCUIT.ry(0.2, [0, 1, 2])
CIRCUIT.cx(1, 2)
PUBS = {EstimatorOptions: [(CIRCUIT, "ZXZ")], SamplerOptions: [CIRCUIT.measure_all(inplace=False)]}
PRIMITIVE = {EstimatorOptions: Estimator, SamplerOptions: Sampler}


class Device(CountingBackend):
    """A simulator that lists options of real devices, and remembers what it was given."""

    OWN = ("init_qubits", "rep_delay")

    def __init__(self):
        super().__init__(IQBackend())
        self.set_options(init_qubits=True, rep_delay=None)
        self.given = []

    def run(self, run_input, **options):
        self.given.append(dict(options))
        return super().run(run_input, **{k: v for k, v in options.items() if k not in self.OWN})


def gates(circuit):
    def parts(item: CircuitInstruction):
        return item.operation.name, tuple(map(float, item.operation.params)), item.qubits, item.clbits

    return tuple(parts(item) for item in circuit.data)


def run(tree, options):
    """Return everything a device is given in a run with these options."""
    device = Device()
    PRIMITIVE[tree](device, options).run(PUBS[tree]).result()
    return [
        (sorted((k, repr(v)) for k, v in keywords.items()), tuple(map(gates, call.circuits)))
        for call, keywords in zip(device.calls, device.given, strict=True)
    ]


def nested(path, value):
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


def merged(tree, *values):
    options = tree()
    for value in values:
        options.update(value)
    return options


# ----------------------------------------------------------------------------------------------- the table


@frozen
class Acts:
    """The value changes what the device is given, beside other options."""

    value: object
    beside: dict = field(factory=dict)


@frozen
class Refused:
    """The value is refused before anything runs."""

    value: object
    words: str


@frozen
class With:
    """The option belongs to a technique that is refused; without it, it says that it is not used."""

    switch: str


@frozen
class Shown:
    """A test in this file shows what it does."""

    by: str


TWIRLED = {"twirling": {"enable_gates": True}}
MEASURED = {"resilience": {"measure_mitigation": True}}
DURATIONS = [("cx", None, 401.3, "ns"), ("measure", None, 1, "us")]
DURATIONS += [(name, None, 35, "ns") for name in ("ry", "sx", "x", "u", "id")] + [("rz", None, 0)]
DECOUPLED = {"dynamical_decoupling": {"enable": True, "instruction_durations": DURATIONS}}
EXTRAPOLATED = {"resilience": {"zne_mitigation": True}}
SHARED = {
    "default_shots": Acts(100),
    "seed": Acts(2),
    "max_execution_time": Shown("test_a_job_stops_when_its_time_is_over"),
    "dynamical_decoupling.enable": Acts(True, {"dynamical_decoupling": {"instruction_durations": DURATIONS}}),
    "dynamical_decoupling.sequence_type": Acts("XY4", DECOUPLED),
    "dynamical_decoupling.extra_slack_distribution": Acts("edges", DECOUPLED),
    "dynamical_decoupling.scheduling_method": Acts("asap", DECOUPLED),
    "dynamical_decoupling.skip_reset_qubits": Acts(True, DECOUPLED),
    "dynamical_decoupling.instruction_durations": Acts([*DURATIONS, ("cx", (1, 2), 911, "ns")], DECOUPLED),
    "twirling.enable_gates": Acts(True),
    "twirling.num_randomizations": Acts(3, TWIRLED),
    "twirling.shots_per_randomization": Acts(7, TWIRLED),
    "twirling.strategy": Acts("active", TWIRLED),
    "twirling.group": Acts("local_c1", TWIRLED),
    **{
        f"post_selection.{name}": Shown("test_shots_are_selected_as_asked")
        for name in ("enable", "registers", "parity", "predicate")
    },
    "execution.init_qubits": Acts(False),
    "execution.rep_delay": Acts(1e-4),
    "execution.scheduler_timing": Refused(True, "the vendor's service returns"),
    "execution.stretch_values": Refused(True, "the vendor's service"),
    "execution.run_options": Acts({"memory": True}),
    "environment.log_level": Shown("test_logs_begin_at_their_level"),
    "environment.job_tags": Shown("test_tags_are_in_the_job_and_its_result"),
    "environment.private": Refused(True, "asks the vendor's service"),
    "environment.image": Refused("name:tag", "container of the vendor's service"),
    "environment.max_execution_time": Shown("test_a_job_stops_when_its_time_is_over"),
    "simulator.noise_model": Shown("test_a_noise_model_reaches_the_simulator"),
    "simulator.coupling_map": Shown("test_a_simulated_device_is_respected"),
    "simulator.basis_gates": Shown("test_a_simulated_device_is_respected"),
    "simulator.seed_simulator": Acts(5),
    "simulator.layer_noise_model": Refused([("layer", "model")], "local mode"),
    "simulator.angle_decimals": Refused(3, "does not round angles"),
    "simulator.warn_absent": Refused(False, "local mode"),
    "experimental": Refused({"a": 1}, "options of the vendor's service"),
}
TABLE = {
    EstimatorOptions: {
        **SHARED,
        "default_precision": Acts(0.1),
        "resilience_level": Acts(0),
        "seed_estimator": Shown("test_the_servers_seed_is_the_seed"),
        "twirling.enable_measure": Acts(False),
        "resilience.measure_mitigation": Acts(False),
        "resilience.measure_noise_learning.num_randomizations": Acts(5),
        "resilience.measure_noise_learning.shots_per_randomization": Acts(9),
        "resilience.zne_mitigation": Acts(True),
        "resilience.zne.amplifier": Acts("global_folding", EXTRAPOLATED),
        "resilience.zne.noise_factors": Acts((1, 2), EXTRAPOLATED),
        "resilience.zne.extrapolator": Acts("richardson", EXTRAPOLATED),
        "resilience.zne.extrapolated_noise_factors": Shown("test_models_are_evaluated_where_asked"),
        "resilience.zne.selection": Shown("test_models_are_selected_as_asked"),
        "resilience.zne.guard": Shown("test_the_guard_keeps_what_extrapolation_would_harm"),
        "resilience.zne.shot_allocation": Acts("equal", EXTRAPOLATED),
        "resilience.pec_mitigation": Refused(True, "does not have probabilistic error cancellation"),
        **{f"resilience.pec.{name}": With("resilience.pec_mitigation") for name in ("max_overhead", "noise_gain")},
        **{
            f"resilience.layer_noise_learning.{name}": With("resilience.pec_mitigation")
            for name in (
                "max_layers_to_learn",
                "shots_per_randomization",
                "num_randomizations",
                "layer_pair_depths",
            )
        },
        "resilience.layer_noise_model": With("resilience.pec_mitigation"),
        "calibration.max_age": Shown("test_calibrations_are_shared_while_they_are_young"),
        "calibration.shots": Acts(600),
        "execution.precision_target": Shown("test_a_mitigated_precision_takes_a_second_round"),
    },
    SamplerOptions: {
        **SHARED,
        "twirling.enable_measure": Acts(True),
        "resilience.measure_mitigation": Acts(True),
        "calibration.max_age": Shown("test_calibrations_are_shared_while_they_are_young"),
        "calibration.shots": Acts(600, MEASURED),
        "calibration.groups": Acts([[0, 1, 2]], MEASURED),
        "execution.meas_type": Acts("kerneled"),
    },
}  # fmt: skip
ROWS = [
    pytest.param(tree, path, row, id=f"{tree.__name__}-{path}")
    for tree, rows in TABLE.items()
    for path, row in rows.items()
]


@pytest.mark.parametrize("tree", TABLE)
def test_the_table_has_every_option(tree):
    assert set(TABLE[tree]) == {path for path, _, _ in tree().leaves()}


@pytest.mark.parametrize(("tree", "path", "row"), [r for r in ROWS if isinstance(r.values[2], Acts)])
def test_it_acts(tree, path, row):
    fixed = {"seed": 1, "default_shots": 64}
    beside = {k: v for k, v in fixed.items() if (k, path) != ("default_shots", "default_precision")}
    without = run(tree, merged(tree, beside, row.beside))
    assert run(tree, merged(tree, beside, row.beside)) == without, "the same options give the same run"
    if path == "default_precision":
        assert run(tree, merged(tree, beside, {path: 0.2})) != run(tree, merged(tree, beside, {path: 0.1}))
    assert run(tree, merged(tree, beside, row.beside, nested(path, row.value))) != without


@pytest.mark.parametrize(("tree", "path", "row"), [r for r in ROWS if isinstance(r.values[2], Refused)])
def test_it_is_refused_before_anything_runs(tree, path, row):
    options, device = merged(tree, nested(path, row.value)), Device()
    with pytest.raises(OptionsError) as caught:
        finalize(options, PUBS[tree], device)
    assert [problem.path for problem in caught.value.problems] == [f"options.{path}"]
    assert row.words in str(caught.value)
    with pytest.raises(OptionsError):
        PRIMITIVE[tree](device, options).run(PUBS[tree])
    assert device.num_runs == 0


@pytest.mark.parametrize(("tree", "path", "row"), [r for r in ROWS if isinstance(r.values[2], With)])
def test_it_belongs_to_what_is_refused(tree, path, row):
    with pytest.raises(OptionsError, match="this version does not"):
        finalize(merged(tree, nested(row.switch, True)))
    assert tree().describe()[path].why.startswith("not used: ")


def test_every_named_test_exists():
    named = {row.by for rows in TABLE.values() for row in rows.values() if isinstance(row, Shown)}
    assert named <= set(globals())


# ------------------------------------------------------------------------------------- tests of single options


class Slow(CountingBackend):
    """A simulator that takes a third of a second for each circuit."""

    def run(self, run_input, **options):
        time.sleep(0.3)
        return super().run(run_input, **options)


@pytest.mark.parametrize("limit", [{"max_execution_time": 1}, {"environment": {"max_execution_time": 1}}])
def test_a_job_stops_when_its_time_is_over(limit):
    options = {"default_shots": 32, "resilience_level": 0, "twirling": {"enable_gates": True}, **limit}
    device = Slow(max_circuits=1)
    with pytest.raises(CancelledError, match="max_execution_time") as caught:
        Estimator(device, options).run(PUBS[EstimatorOptions]).result()
    assert 1 <= device.num_circuits < 32
    assert caught.value.partial.chunks


def test_logs_begin_at_their_level():
    def logs(level):
        options = {"default_shots": 8, "environment": {"log_level": level}}
        job = Sampler(Device(), options).run(PUBS[SamplerOptions])
        job.result()
        return job.logs()

    assert logs("WARNING") == ""
    assert "INFO" in logs("INFO")
    assert "DEBUG" not in logs("INFO")
    assert "DEBUG" in logs("DEBUG")


def test_tags_are_in_the_job_and_its_result():
    job = Sampler(Device(), {"environment": {"job_tags": ["a", "b"]}}).run(PUBS[SamplerOptions])
    assert job.tags == ("a", "b")
    assert job.result().metadata["job_tags"] == ["a", "b"]


def test_the_servers_seed_is_the_seed():
    fixed = {"default_shots": 64}
    named = run(EstimatorOptions, merged(EstimatorOptions, fixed, {"seed_estimator": 0}))
    assert named == run(EstimatorOptions, merged(EstimatorOptions, fixed, {"seed": 0}))
    assert named != run(EstimatorOptions, merged(EstimatorOptions, fixed, {"seed": 1}))


def test_a_noise_model_reaches_the_simulator():
    aer, noise = pytest.importorskip("qiskit_aer"), pytest.importorskip("qiskit_aer.noise")
    model = noise.NoiseModel()
    model.add_all_qubit_readout_error([[0, 1], [1, 0]])  # reads the opposite of what is
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    for given in (model, model.to_dict()):
        options = {"simulator": {"noise_model": given}, "default_shots": 10}
        sampler = Sampler(aer.AerSimulator(), options)
        assert sampler.run([circuit]).result()[0].data.meas.get_counts() == {"1": 10}


@pytest.mark.parametrize(
    ("device", "words"),
    [({"coupling_map": [[0, 1], [0, 2]]}, "cx"), ({"basis_gates": ["cz", "rz", "sx", "x"]}, "ry")],
)
@pytest.mark.parametrize("tree", TABLE)
def test_a_simulated_device_is_respected(tree, device, words):
    backend = Device()
    with pytest.raises(ValueError, match=words):
        PRIMITIVE[tree](backend, {"simulator": device}).run(PUBS[tree])
    assert backend.num_runs == 0


def extrapolated(**zne):
    """Return the result of an extrapolation whose measured values all agree within their errors."""
    options = {"seed": 5, "default_shots": 200, "resilience_level": 0}
    options["resilience"] = {"zne_mitigation": True, "zne": {"noise_factors": (1, 3, 5), **zne}}
    return Estimator(Device(), options).run(PUBS[EstimatorOptions]).result()[0]


def test_models_are_evaluated_where_asked():
    data = extrapolated(extrapolator=("linear", "richardson"), extrapolated_noise_factors=(0, 1, 2, 4)).data
    assert data.evs_extrapolated.shape == data.stds_extrapolated.shape == (2, 4)
    first, second, third = data.evs_extrapolated[0, :3]
    assert first == pytest.approx(2 * second - third)
    assert data.evs_extrapolated[1, 1] == pytest.approx(data.evs_noise_factors[0])


def test_models_are_selected_as_asked():
    models = ("richardson", "linear")
    for selection, first in (("order", "richardson"), ("aic", "linear"), ("predicted_error", "linear")):
        result = extrapolated(extrapolator=models, selection=selection)
        assert set(result.metadata["resilience"]["zne"]["extrapolators"][0].values()) == {first}


def test_the_guard_keeps_what_extrapolation_would_harm():
    without, guarded = (extrapolated(extrapolator="richardson", guard=g).data for g in (False, True))
    assert without.evs == pytest.approx(without.evs_extrapolated[0, 0])
    assert str(without.status) == ""
    assert guarded.evs == pytest.approx(guarded.evs_noise_factors[0])
    assert str(guarded.status).startswith("kept as measured")


def test_a_mitigated_precision_takes_a_second_round():
    options = {"seed": 1, "resilience_level": 0, "twirling": {"enable_gates": True}, **EXTRAPOLATED}
    for target, rounds in (("shots", 1), ("mitigated", 2)):
        options["execution"] = {"precision_target": target}
        job = Estimator(Device(), options).run(PUBS[EstimatorOptions], precision=0.025)
        assert (job.result()[0].data.stds < 0.025) == (target == "mitigated")
        assert str(job.plan()).count("Pool the rounds") == (rounds - 1) * 3


def either(bits):
    return bits["a"][:, 0] | bits["b"][:, 0]


@pytest.mark.parametrize("tree", TABLE)
@pytest.mark.parametrize(
    ("asked", "fraction"),
    [
        ({"registers": "a"}, 0.5),
        ({"registers": ["a", "b"]}, 0.25),
        ({"parity": "odd"}, 0.5),
        ({"predicate": either}, 0.75),
        ({"predicate": either, "parity": "even"}, 0.25),
    ],
)
def test_shots_are_selected_as_asked(tree, asked, fraction):
    """Two coins; the share of 1600 shots within 5 sigma, false alarm 6e-7."""
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(1, "a"), ClassicalRegister(1, "b"))
    circuit.h([0, 1])
    circuit.measure([0, 1], [0, 1])
    pub = (circuit, "ZII") if tree is EstimatorOptions else circuit
    options = {"seed": 1, "default_shots": 1600, "post_selection": {"enable": False, **asked}}
    metadata = PRIMITIVE[tree](Device(), options).run([pub]).result()[0].metadata
    assert "post_selection" not in metadata
    options["post_selection"]["enable"] = True
    metadata = PRIMITIVE[tree](Device(), options).run([pub]).result()[0].metadata
    assert metadata["executed_shots"] == 1600
    assert abs(metadata["post_selection"]["kept_fraction"] - fraction) < 5 * (0.25 / 1600) ** 0.5


@pytest.mark.parametrize("tree", TABLE)
@pytest.mark.parametrize("kind", [Session, Batch])
@pytest.mark.parametrize(("max_age", "learned"), [(0, 2), (1800, 1)])
def test_calibrations_are_shared_while_they_are_young(tree, kind, max_age, learned):
    options = {"default_shots": 64, "calibration": {"max_age": max_age}, **MEASURED}
    with kind(backend=Device()) as mode:
        jobs = [PRIMITIVE[tree](mode, options).run(PUBS[tree]) for _ in range(2)]
        shots = [job.result().metadata["calibration_shots"] for job in jobs]
    assert sum(n > 0 for n in shots) == learned
