"""Every option of both trees is seen to act, or is refused: a table walks all of them.

An option acts where it changes what the device is given: circuits, shots, keyword arguments. Options that act
on the job instead have a test of their own, named in the table.
"""

import math
import time
from itertools import pairwise

import pytest
from attrs import field, frozen
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import CircuitInstruction

from quell import Batch, Estimator, Sampler, Session
from quell.calibration import store
from quell.calibration.layers import LayerModel
from quell.calibration.learning import LayerNoise
from quell.circuits.layers import Layer
from quell.errors import CalibrationError, CancelledError, InputError, OptionsError
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

#: One layer, for what acts on the noise of layers; "ZI" is 1, and becomes "ZZ" in front of the layer.
PAIR = QuantumCircuit(2)
PAIR.rz(0.3, 0)
PAIR.cx(0, 1)
PAIR_PUBS = [(PAIR, ["ZI", "IZ"])]
CX = (("cx", (), (0, 1)),)


def model(*rates, labels=("X0", "X1", "Z0", "Y0 Y1")):
    return LayerModel.of(Layer(CX, ()), labels[: len(rates)], rates, "given")


NOISE = model(0.1, 0.05, 0.02, 0.07)
#: Of the generators of `NOISE` those that change "ZI" are X0 and X1, which anticommute with "ZZ".
TOTAL = 0.15


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


def run(tree, options, pubs=()):
    """Return everything a device is given in a run with these options."""
    device = Device()
    PRIMITIVE[tree](device, options).run(pubs or PUBS[tree]).result()
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
    pubs: list = field(factory=list)


@frozen
class Refused:
    """The value is refused before anything runs."""

    value: object
    words: str


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
CANCELLED = {"resilience": {"pec_mitigation": True, "layer_noise_model": [NOISE]}}
#: Signs that turn no value with them, so that the number of randomizations matters; little of the noise is cancelled.
UNSURE = {
    "default_shots": 1000,
    "resilience": {**CANCELLED["resilience"], "pec": {"light_cone": False, "noise_gain": 0.95}},
}
FEW = {"num_randomizations": 2, "shots_per_randomization": 5, "layer_pair_depths": (0, 1)}
LEARNED = {"resilience": {"pec_mitigation": True, "layer_noise_learning": FEW}}
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
    "calibration.max_age": Shown("test_calibrations_are_shared_while_they_are_young"),
    "calibration.store": Shown("test_calibrations_are_kept_in_a_store"),
    "calibration.when_old": Shown("test_what_is_old_in_a_store"),
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
        "resilience.pec_mitigation": Acts(True, {"resilience": {"layer_noise_model": [NOISE]}}, PAIR_PUBS),
        "resilience.pec.max_overhead": Acts(1.5, CANCELLED, PAIR_PUBS),
        "resilience.pec.noise_gain": Acts(0.5, CANCELLED, PAIR_PUBS),
        "resilience.pec.light_cone": Acts(False, CANCELLED, PAIR_PUBS),
        "resilience.pec.normalization": Shown("test_signed_values_are_normalized_as_asked"),
        "resilience.pec.allocation": Acts("random", CANCELLED, PAIR_PUBS),
        "resilience.pec.circuit_cost": Acts(1, UNSURE, PAIR_PUBS),
        "resilience.layer_noise_learning.max_layers_to_learn": Shown("test_too_many_layers_are_not_learned"),
        "resilience.layer_noise_learning.shots_per_randomization": Acts(6, LEARNED, PAIR_PUBS),
        "resilience.layer_noise_learning.num_randomizations": Acts(3, LEARNED, PAIR_PUBS),
        "resilience.layer_noise_learning.layer_pair_depths": Acts((0, 2), LEARNED, PAIR_PUBS),
        "resilience.layer_noise_model": Acts([NOISE], LEARNED, PAIR_PUBS),
        "calibration.shots": Acts(600),
        "execution.precision_target": Shown("test_a_mitigated_precision_takes_a_second_round"),
    },
    SamplerOptions: {
        **SHARED,
        "twirling.enable_measure": Acts(True),
        "resilience.measure_mitigation": Acts(True),
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
    without = run(tree, merged(tree, beside, row.beside), row.pubs)
    again = run(tree, merged(tree, beside, row.beside), row.pubs)
    assert again == without, "the same options give the same run"
    if path == "default_precision":
        assert run(tree, merged(tree, beside, {path: 0.2})) != run(tree, merged(tree, beside, {path: 0.1}))
    assert run(tree, merged(tree, beside, row.beside, nested(path, row.value)), row.pubs) != without


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


def rescaled(pubs=PAIR_PUBS, shots=512, **resilience):
    """Return the result and the device of a run with the noise of `NOISE` cancelled or amplified."""
    options = {"seed": 3, "default_shots": shots, "resilience_level": 0}
    options["resilience"] = {"layer_noise_model": [NOISE], **resilience}
    device = Device()
    return Estimator(device, options).run(pubs).result()[0], device


def test_cancelling_what_is_not_there_overshoots_by_gamma():
    """Errors that turn a value turn its sign too, so each randomization of a device without noise says the same."""
    result, _ = rescaled(pec_mitigation=True, pec={"noise_gain": 0})
    assert result.data.evs[0] == pytest.approx(math.exp(2 * TOTAL))
    assert rescaled(pec_mitigation=True, pec={"noise_gain": 0.5})[0].data.evs[0] == pytest.approx(
        math.exp(TOTAL)
    )


def test_the_overhead_is_limited():
    for limit in (1.2, 1.5):
        facts = rescaled(pec_mitigation=True, pec={"max_overhead": limit})[0].metadata["resilience"]["pec"]
        assert facts["sampling_overhead"] == pytest.approx(limit)
        assert 0 < facts["noise_gain"] < 1
    with pytest.raises(InputError, match="the sampling overhead of pubs"):
        rescaled(pec_mitigation=True, pec={"noise_gain": 0, "max_overhead": 1.2})


def test_signed_values_are_normalized_as_asked():
    """Of every sign there are as many as expected but for less than one, or a random number."""
    found = {
        (normalization, allocation): rescaled(
            pec_mitigation=True,
            pec={"noise_gain": 0, "normalization": normalization, "allocation": allocation},
        )
        for normalization in ("gamma", "signs")
        for allocation in ("stratified", "random")
    }
    for allocation in ("stratified", "random"):
        gamma, signs = (found[normalization, allocation] for normalization in ("gamma", "signs"))
        assert gamma[0].data.evs[0] == pytest.approx(math.exp(2 * TOTAL))
        assert signs[0].data.evs[0] != pytest.approx(math.exp(2 * TOTAL), abs=1e-4)
        assert signs[0].data.evs[0] == pytest.approx(math.exp(2 * TOTAL), rel=0.5)
        given = [[tuple(map(gates, call.circuits)) for call in device.calls] for _, device in (gamma, signs)]
        assert given[0] == given[1], "only what becomes of the values is different"


def test_learned_noise_is_amplified():
    """Errors of gain f - 1 turn "ZI" so often that exp(-2 (f - 1) TOTAL) is left; 5 sigma, false alarm 6e-7."""
    result, device = rescaled(
        shots=256,
        zne_mitigation=True,
        zne={
            "amplifier": "pea",
            "noise_factors": (1, 3),
            "extrapolator": "linear",
            "shot_allocation": "equal",
        },
        pec={"circuit_cost": 1},
    )
    evs, stds = result.data.evs_noise_factors[0], result.data.stds_noise_factors[0]
    assert evs[0] == pytest.approx(1)
    assert 0 < stds[1] < 0.15
    assert abs(evs[1] - math.exp(-4 * TOTAL)) < 5 * stds[1]
    assert device.num_circuits > 100
    folded, _ = rescaled(zne_mitigation=True, zne={"noise_factors": (1, 3)})
    assert folded.data.evs_noise_factors[0] == pytest.approx([1, 1])
    assert "learned_noise" in result.metadata["resilience"]
    assert "learned_noise" not in folded.metadata["resilience"]


def test_noise_that_is_cancelled_and_amplified():
    """Factors below 1 count what PEC leaves: half of it, a quarter of it."""
    result, _ = rescaled(
        pec_mitigation=True,
        pec={"noise_gain": 0.5},
        zne_mitigation=True,
        zne={"amplifier": "pea", "noise_factors": (0.5, 1), "extrapolator": "linear"},
    )
    expected = [math.exp(2 * 0.75 * TOTAL), math.exp(2 * 0.5 * TOTAL)]
    assert result.data.evs_noise_factors[0] == pytest.approx(expected)


def test_too_many_layers_are_not_learned():
    circuit = QuantumCircuit(3)
    for pair in pairwise((0, 1, 2)):
        circuit.cx(*pair)
    options = {"resilience": {"pec_mitigation": True, "layer_noise_learning": {"max_layers_to_learn": 1}}}
    device = Device()
    with pytest.raises(InputError, match="has 2 distinct layers") as caught:
        Estimator(device, options).run([(circuit, "ZZZ")])
    assert [p.path for p in caught.value.problems] == [
        "options.resilience.layer_noise_learning.max_layers_to_learn"
    ]
    assert device.num_runs == 0
    options["resilience"]["layer_noise_learning"] |= {"max_layers_to_learn": 2, **FEW}
    job = Estimator(device, {"default_shots": 64, **options}).run([(circuit, "ZZZ")])
    assert sum(isinstance(e.requirement, LayerNoise) for e in job.plan().experiments) == 2
    job.cancel()


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


def shots_learned(tree, **calibration):
    """Return the shots that a job spends on learning, and the circuits of its device."""
    options = {"default_shots": 64, "calibration": calibration, **MEASURED}
    device = Device()
    return PRIMITIVE[tree](device, options).run(PUBS[tree]).result().metadata["calibration_shots"], device


@pytest.mark.parametrize("tree", TABLE)
def test_calibrations_are_kept_in_a_store(tree, tmp_path):
    assert min(shots_learned(tree)[0] for _ in range(2)) > 0
    for kept in (str(tmp_path / "a.db"), store.CalibrationStore(tmp_path / "b.db")):
        assert [shots_learned(tree, store=kept)[0] > 0 for _ in range(3)] == [True, False, False]
    assert shots_learned(tree, store=kept, max_age=0)[0] > 0


@pytest.mark.parametrize("tree", TABLE)
def test_what_is_old_in_a_store(tree, tmp_path, monkeypatch):
    kept = str(tmp_path / "a.db")
    now = time.time()
    with monkeypatch.context() as patch:
        patch.setattr(store.time, "time", lambda: now - 3600)
        assert shots_learned(tree, store=kept)[0] > 0
    with pytest.warns(UserWarning, match=r"36\d\d s old.* it is used all the same"):
        assert shots_learned(tree, store=kept, when_old="warn")[0] == 0
    device = Device()
    options = {**MEASURED, "default_shots": 64, "calibration": {"store": kept, "when_old": "refuse"}}
    with pytest.raises(CalibrationError, match="when_old to 'relearn'"):
        PRIMITIVE[tree](device, options).run(PUBS[tree])
    assert device.num_runs == 0
    assert shots_learned(tree, store=kept, when_old="refuse", max_age=4000)[0] == 0
    assert shots_learned(tree, store=kept)[0] > 0
    assert shots_learned(tree, store=kept, when_old="refuse")[0] == 0
