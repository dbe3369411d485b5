"""Post-selection: which shots pass, what is left of them, and what is said when none are or the test fails."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from attrs import evolve
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit, Parameter

from quell import Estimator, InputError, OptionsError, Sampler, Session, pipeline, wrap
from quell.circuits.program import Program
from quell.circuits.samples import Samples
from quell.circuits.template import template_of
from quell.errors import ExecutionError, UnsupportedError
from quell.kernels.curves import Polynomial
from quell.plans import Node
from quell.stages.decouple import Decouple
from quell.stages.measure import Measure
from quell.stages.merge import Merge
from quell.stages.postselect import PostSelect
from quell.stages.twirl import Twirl
from quell.stages.zne import Zne
from quell.testing import CountingBackend, ExactSampler, ReadoutModel, ensemble_of
from quell.testing.laws import sample


def program_of(circuit: QuantumCircuit, **changes) -> Program:
    template = template_of(circuit)
    bases = np.zeros((1, len(template.terminals)), dtype=np.uint8)
    program = Program(template, np.zeros((1, 0)), np.zeros(1, dtype=np.int64), bases, 1, None)
    return evolve(program, **changes)


def packed(bits: np.ndarray) -> np.ndarray:
    """Pack bool ``(members, shots, size)``, bit 0 in column 0, as `BitArray` does."""
    pad = np.zeros((*bits.shape[:2], -bits.shape[2] % 8), dtype=bool)
    return np.packbits(np.concatenate([pad, bits[..., ::-1]], axis=2), axis=2)


def selected(stage: PostSelect, circuit: QuantumCircuit, bits: dict, shots=None, **changes) -> Samples:
    members, most, _ = next(iter(bits.values())).shape
    shots = np.full(members, most) if shots is None else np.array(shots)
    program = program_of(circuit, **{"randomizations": (0, members), **changes})
    samples = Samples(
        {n: packed(b) for n, b in bits.items()}, {n: b.shape[2] for n, b in bits.items()}, shots
    )
    _, residue = stage.expand(program, {}, np.random.default_rng(0))
    return stage.combine(residue, [samples])


def empty(**sizes: int) -> QuantumCircuit:
    return QuantumCircuit(QuantumRegister(1), *(ClassicalRegister(n, name) for name, n in sizes.items()))


def one_of_a(bits):
    return bits["a"].sum(axis=1) == 1


# ------------------------------------------------------------------------------------------- which shots pass


@pytest.mark.parametrize(
    ("stage", "passes"),
    [
        (PostSelect(("b",)), lambda a, b: ~b.any(axis=-1)),
        (PostSelect(), lambda a, b: ~a.any(axis=-1) & ~b.any(axis=-1)),
        (PostSelect(parity="even"), lambda a, b: (a.sum(axis=-1) + b.sum(axis=-1)) % 2 == 0),
        (PostSelect(("a",), parity="odd"), lambda a, b: a.sum(axis=-1) % 2 == 1),
        (PostSelect(predicate=one_of_a), lambda a, b: a.sum(axis=-1) == 1),
        (
            PostSelect(("a",), "odd", lambda bits: bits["a"][:, 2] & ~bits["a"][:, 10]),
            lambda a, b: (a.sum(axis=-1) % 2 == 1) & a[..., 2] & ~a[..., 10],
        ),
    ],
    ids=["zeros", "all zeros", "even", "odd", "predicate", "both"],
)
@pytest.mark.parametrize("at_once", [1, 200, 2**24])
def test_the_shots_that_pass_are_left_in_their_order(stage, passes, at_once, monkeypatch):
    monkeypatch.setattr("quell.stages.postselect._BITS_AT_ONCE", at_once)
    rng = np.random.default_rng(3)
    a, b = rng.random((7, 40, 11)) < 0.1, rng.random((7, 40, 2)) < 0.2
    shots = [40, 0, 13, 40, 40, 1, 39]
    found = selected(stage, empty(a=11, b=2), {"a": a, "b": b}, shots)
    keep = passes(a, b) & (np.arange(40) < np.array(shots)[:, None])
    assert found.shots.tolist() == keep.sum(axis=1).tolist()
    assert found.taken.tolist() == found.returned.tolist() == shots
    assert found.bits["a"].shape == (7, keep.sum(axis=1).max(), 2)
    for member in range(7):
        for name, bits in (("a", a), ("b", b)):
            rows = found.bits[name][member]
            assert np.array_equal(rows[: found.shots[member]], packed(bits)[member][keep[member]])
            assert not rows[found.shots[member] :].any()


def test_a_bit_of_two_registers_counts_once():
    bit = [Clbit() for _ in range(3)]
    circuit = QuantumCircuit(QuantumRegister(1), bit)
    circuit.add_register(ClassicalRegister(name="a", bits=bit[:2]), ClassicalRegister(name="b", bits=bit[1:]))
    bits = np.array(np.meshgrid(*[[False, True]] * 3)).reshape(3, 8).T[None]
    found = selected(PostSelect(parity="odd"), circuit, {"a": bits[..., :2], "b": bits[..., 1:]})
    assert found.shots.tolist() == [4]
    kept = np.concatenate([found.bits["a"][0] & 1, found.bits["b"][0]], axis=1)
    assert sorted(map(tuple, kept.tolist())) == [(0, 1), (0, 2), (1, 0), (1, 3)]


def test_a_register_without_bits_is_even():
    bits = {"a": np.zeros((1, 4, 0), bool), "b": np.array([[[0], [1], [0], [1]]], bool)}
    assert selected(PostSelect(parity="odd"), empty(a=0, b=1), bits).shots.tolist() == [2]
    shapes = {}
    stage = PostSelect(predicate=lambda given: shapes.update(a=given["a"].shape) or ~given["b"][:, 0])
    assert selected(stage, empty(a=0, b=1), bits).shots.tolist() == [2]
    assert shapes["a"] == (4, 0)


def test_the_register_of_the_observables_is_not_looked_at():
    bits = {"c": np.zeros((1, 4, 1), bool), "meas": np.ones((1, 4, 3), bool)}
    circuit = empty(c=1, meas=3)
    assert selected(PostSelect(), circuit, bits, register="meas").shots.tolist() == [4]
    assert selected(PostSelect(), circuit, bits).shots.tolist() == [0]
    with pytest.raises(UnsupportedError, match="are 'meas', but the circuit has 'c'"):
        selected(PostSelect(("meas",)), circuit, bits, register="meas")


def test_samples_joined_keep_what_they_came_from():
    part = Samples({"c": np.ones((2, 3, 1), np.uint8)}, {"c": 1}, np.array([3, 2]))
    chosen = part.kept(np.array([[True, False, True], [False, True, False]]))
    joined = Samples.concatenate([part, chosen])
    assert joined.shots.tolist() == [3, 2, 2, 1]
    assert joined.taken.tolist() == [3, 2, 3, 2]
    assert Samples.concatenate([part, part]).taken is None


# --------------------------------------------------------------------------------------- as a part of the onion


def flagged(angle: float = 0.9, *, reused: bool = True) -> QuantumCircuit:
    """A pair of qubits 0 and 1 whose parity is measured through qubit 2 into `flag`."""
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(1, "flag"))
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.rx(angle, 0)
    circuit.cx(0, 2)
    circuit.cx(1, 2)
    circuit.measure(2, 0)
    if reused:
        circuit.reset(2)
        circuit.h(2)
    return circuit


def with_flag(ensemble):
    """Return the ensemble with the last measurement of the flag, which `ensemble_of` drops."""
    circuit = ensemble.template.circuit.copy()
    circuit.measure(2, 0)
    return evolve(ensemble, template=template_of(circuit))


ON = {"enable": True, "registers": ["flag"]}


@pytest.mark.parametrize("twirled", [False, True])
def test_flips_are_undone_for_the_test_and_left_in_the_samples(twirled):
    """All shots are 101 before they are flipped, so a test of what the qubits were keeps all or nothing."""
    circuit = QuantumCircuit(3)
    circuit.x([0, 2])
    circuit.measure_all()
    twirl = (Twirl(False, True, 8, 5),) if twirled else ()
    for test, kept in (
        (lambda b: b["meas"][:, 0] & ~b["meas"][:, 1], True),
        (lambda b: b["meas"][:, 1], False),
    ):
        stages = (*twirl, Merge(), PostSelect(predicate=test))
        ensemble = evolve(ensemble_of(circuit, "ZZZ", shots=5), template=template_of(circuit))
        plan = pipeline.plan([(stages, ensemble)], np.random.default_rng(2))
        samples = sample(plan, ExactSampler(0))
        if not kept:
            with pytest.raises(ExecutionError, match="dropped all"):
                pipeline.combine(plan, samples)
            continue
        (merged,) = pipeline.combine(plan, samples)
        assert (merged.bits["meas"] == 5).all()
        assert merged.kept.tolist() == merged.taken.tolist() == [40 if twirled else 5]
        node = plan.roots[0]
        while not isinstance(node.stage, PostSelect):
            (node,) = node.children
        passed = node.stage.combine(node.residue, samples)
        assert np.array_equal(passed.bits["meas"], samples[0].bits["meas"])
        assert (samples[0].bits["meas"] != 5).any() == twirled


def stages_of(node) -> list[type]:
    found = []
    while isinstance(node, Node):
        found.append(type(node.stage))
        node = node.children[0]
    return found


DURATIONS = [
    (name, None, 50, "ns") for name in ("h", "cx", "sx", "rx", "ry", "rz", "x", "u", "reset", "measure", "id")
]


def test_it_is_next_to_the_crossing_and_calibrations_go_without():
    options = {
        "seed": 1,
        "default_shots": 320,
        "post_selection": ON,
        "dynamical_decoupling": {"enable": True, "instruction_durations": DURATIONS},
    }
    job = Estimator(CountingBackend(), options).run([(flagged(), "IZZ")])
    plan = job.plan()
    assert stages_of(plan.roots[0])[-3:] == [Measure, PostSelect, Decouple]
    assert [stages_of(node) for e in plan.experiments for node in e.children] == [[Decouple]]
    assert "Post-select: all bits of flag are 0" in str(plan)
    damping = job.result()[0].metadata["resilience"]
    assert damping["calibration_shots"] == 320
    job = Sampler(CountingBackend(), {**options, "default_shots": 10}).run([flagged()])
    assert stages_of(job.plan().roots[0]) == [Merge, PostSelect, Decouple]


def test_the_plan_says_what_is_tested():
    assert PostSelect().describe() == "Post-select: all bits of the circuit's registers are 0"
    assert PostSelect(("a", "b"), "odd").describe() == "Post-select: odd parity of a, b"
    both = PostSelect(("a",), "even", one_of_a)
    assert both.describe() == "Post-select: even parity of a and one_of_a of a"


def test_a_session_shares_calibrations_with_jobs_that_select():
    with Session(backend=CountingBackend()) as session:
        options = {"default_shots": 64, "seed": 1}
        first = Estimator(session, options).run([(flagged(), "IZZ")]).result()
        second = Estimator(session, {**options, "post_selection": ON}).run([(flagged(), "IZZ")]).result()
    assert first.metadata["calibration_shots"] == 64
    assert second.metadata["calibration_shots"] == 0
    assert "post_selection" in second[0].metadata


@pytest.mark.parametrize("stages", [(Measure(),), (Twirl(True, True, 8, 20), Measure()), (Merge(),)])
def test_plans_are_repeatable_plain_data(stages):
    circuit = flagged(reused=False)
    ensemble = with_flag(ensemble_of(circuit, ["IZZ", "IXX"], shots=50))
    stages = (*stages, PostSelect(("flag",), predicate=not_flagged))
    plan, again = (pipeline.plan([(stages, ensemble)], np.random.default_rng(4)) for _ in range(2))
    samples = sample(plan, ExactSampler(0))
    (first,) = pipeline.combine(plan, samples)
    for other in (again, pickle.loads(pickle.dumps(plan))):
        (second,) = pipeline.combine(other, samples)
        if isinstance(stages[0], Merge):
            assert all(np.array_equal(first.bits[name], second.bits[name]) for name in first.bits)
            assert first.kept.tolist() == second.kept.tolist()
        else:
            assert np.array_equal(first.value, second.value)
            assert np.array_equal(first.variance, second.variance)


def not_flagged(bits):
    return ~bits["flag"][:, 0]


# ------------------------------------------------------------------------------------- what results say of it


def test_sets_of_parameters_are_cut_to_the_fewest_shots_and_metadata_say_how_many_each_had():
    circuit = QuantumCircuit(2, 2)
    circuit.ry(Parameter("a"), 0)
    circuit.measure([0, 1], [0, 1])
    values = np.array([[0.0, 1.0], [2.0, 2.5]])[..., None]
    options = {"seed": 3, "post_selection": {"enable": True, "registers": "c"}}
    result = Sampler(ExactSampler(1), options).run([(circuit, values)], shots=1000).result()[0]
    said = result.metadata["post_selection"]
    assert said["kept_shots"][0][0] == 1000
    assert said["shots"] == min(map(min, said["kept_shots"])) == result.data.c.num_shots
    assert result.data.c.shape == (2, 2)
    assert np.allclose(said["kept_fraction"], np.array(said["kept_shots"]) / 1000)
    # four binomial shares within 5 sigma: false alarm 2e-6
    expected = np.cos(values[..., 0] / 2) ** 2
    assert (np.abs(said["kept_fraction"] - expected) <= 5 * np.sqrt(expected * (1 - expected) / 1000)).all()
    assert result.metadata["executed_shots"] == result.metadata["shots"] == 1000
    assert "warning" not in result.metadata


def test_shots_that_the_device_dropped_are_told_apart():
    def short(pubs):
        return [{"c": array["c"].slice_shots(range(90))} for array in ExactSampler(0)(pubs)]

    circuit = QuantumCircuit(1, 1)
    circuit.h(0)
    circuit.measure(0, 0)
    options = {"post_selection": {"enable": True, "registers": "c"}}
    metadata = Sampler(short, options).run([circuit], shots=100).result()[0].metadata
    assert metadata["executed_shots"] == 90
    assert metadata["warning"] == "100 shots were asked for, the device returned 90"
    assert 20 < metadata["post_selection"]["kept_shots"] < 70


def test_a_wrapped_backend_returns_the_shots_that_were_kept():
    circuit = QuantumCircuit(2, 2)
    circuit.h([0, 1])
    circuit.measure([0, 1], [0, 1])
    options = {"seed": 1, "post_selection": {"enable": True, "parity": "even"}}
    result = wrap(CountingBackend(), options).run(circuit, shots=400, memory=True).result()
    counts, said = result.get_counts(), result.results[0].metadata["post_selection"]
    assert set(counts) == {"00", "11"}
    assert sum(counts.values()) == len(result.get_memory()) == result.results[0].shots == said["kept_shots"]
    assert said["kept_fraction"] == said["kept_shots"] / 400


@pytest.mark.parametrize("registers", [None, ["flag"]])
def test_final_measurements_that_decide_stay_in_the_circuit(registers):
    """They are dropped from circuits of the estimator else, and then every shot would pass."""
    circuit = flagged(np.pi, reused=False)
    options = {"resilience_level": 0, "seed": 1, "post_selection": {"enable": True, "registers": registers}}
    options["post_selection"]["parity"] = "odd"
    result = Estimator(ExactSampler(0), options).run([(circuit, "IZZ")], precision=0.1).result()[0]
    assert result.data.evs == -1
    assert result.metadata["post_selection"] == {"kept_fraction": 1.0, "kept_shots": 100}


def test_an_observable_cannot_act_on_a_qubit_that_decides():
    circuit = QuantumCircuit(2)
    circuit.measure_all()
    options = {"post_selection": {"enable": True, "parity": "even"}}
    with pytest.raises(InputError) as caught:
        Estimator(ExactSampler(0), options).run([(circuit, "ZI"), (circuit, "II")])
    assert str(caught.value) == (
        "pubs[0].observables: act on qubit 1, whose last measurement into 'meas' post_selection looks at; "
        "set options.post_selection.registers to those of other qubits"
    )
    del options["post_selection"]
    assert Estimator(ExactSampler(0), options).run([(circuit, "ZI")]).result()[0].data.evs == 1


def test_noise_factors_say_what_was_kept_of_each():
    options = {
        "seed": 1,
        "resilience_level": 0,
        "resilience": {"zne_mitigation": True, "zne": {"noise_factors": (1, 1.5, 3)}},
        "post_selection": ON,
    }
    circuit = flagged(0.8, reused=False)
    result = Estimator(ExactSampler(3), options).run([(circuit, ["IZZ", "IXX"])], precision=0.03).result()[0]
    said = result.metadata["post_selection"]
    # four shares of at least 400 shots within 5 sigma: false alarm 2e-6
    assert np.allclose(
        [said["kept_fraction"], *said["kept_fraction_noise_factors"]], np.cos(0.4) ** 2, atol=0.1
    )
    assert len(said["kept_fraction_noise_factors"]) == 3
    assert result.data.evs[0] == pytest.approx(1.0)


# ------------------------------------------------------------------------------------------- when tests fail


@pytest.mark.parametrize(
    ("predicate", "words"),
    [
        (lambda b: b["flags"][:, 0], r"raised KeyError: 'flags', given bool arrays {'flag': \(2, 1\)}"),
        (lambda b: b["flag"], r"returned bool of shape \(2, 1\), given"),
        (lambda b: b["flag"].sum(axis=1), r"returned int64 of shape \(2,\), .*; return one bool a shot"),
        (lambda b: True, r"returned bool of shape \(\), given"),
    ],
)
def test_a_predicate_that_cannot_be_used_is_refused_before_anything_runs(predicate, words):
    backend = CountingBackend()
    options = {"post_selection": {**ON, "predicate": predicate}}
    for run in (
        lambda: Sampler(backend, options).run([flagged()]),
        lambda: Estimator(backend, options).run([(flagged(), "IZZ")]),
    ):
        with pytest.raises(OptionsError, match=words) as caught:
            run()
        assert [p.path for p in caught.value.problems] == ["options.post_selection.predicate"]
    assert backend.num_runs == 0


def picky(bits):
    if bits["flag"].any():
        raise RuntimeError("a flag")
    return ~bits["flag"][:, 0]


def test_a_predicate_that_fails_on_the_data_leaves_the_samples():
    options = {"seed": 1, "default_shots": 100, "post_selection": {**ON, "predicate": picky}}
    for job in (
        Sampler(CountingBackend(), options).run([flagged()]),
        Estimator(CountingBackend(), options).run([(flagged(), "IZZ")]),
    ):
        with pytest.raises(ExecutionError, match="predicate: raised RuntimeError: a flag, given") as caught:
            job.result()
        assert isinstance(caught.value.__cause__, RuntimeError)
        samples = caught.value.partial.samples(pipeline.leaves(job.plan()))
        assert samples[-1].shots.sum() >= 100
        assert samples[-1].bits["flag"].any()


def test_that_nothing_is_kept_is_an_error_with_the_samples():
    circuit = flagged(np.pi, reused=False)
    options = {"seed": 1, "default_shots": 100, "post_selection": ON}
    job = Sampler(CountingBackend(), options).run([circuit])
    with pytest.raises(ExecutionError) as caught:
        job.result()
    assert str(caught.value) == (
        "options.post_selection: dropped all 100 shots of parameter set 0; try the test on the samples in "
        ".partial, or take more shots"
    )
    (samples,) = caught.value.partial.samples(pipeline.leaves(job.plan()))
    assert samples.shots.tolist() == [100]
    zne = {"zne_mitigation": True, "zne": {"noise_factors": (1, 2, 3)}}
    for extra in ({"resilience_level": 0}, {}, {"resilience_level": 0, "resilience": zne}):
        job = Estimator(CountingBackend(), {**options, **extra}).run([(circuit, ["IXX", "IZZ"])])
        with pytest.raises(ExecutionError, match=r"dropped all \d+ shots of setting 0") as caught:
            job.result()
        assert caught.value.partial.samples(pipeline.leaves(job.plan())) is not None


# -------------------------------------------------------------------------- randomizations of which nothing is left


def test_randomizations_without_shots_do_not_count():
    """The estimate is that of the members that are left, error bar and degrees of freedom included."""
    circuit = flagged(reused=False)
    ensemble = with_flag(ensemble_of(circuit, ["IZZ", "IXX"], shots=6))
    stages = (Twirl(True, False, 12, 6), Measure(), PostSelect(("flag",)))
    plan = pipeline.plan([(stages, ensemble)], np.random.default_rng(0))
    (samples,) = sample(plan, ExactSampler(2))
    bits = dict(samples.bits)
    bits["flag"] = samples.bits["flag"].copy()
    bits["flag"][3::4] = 1  # a quarter of the randomizations of each setting loses everything
    (estimate,) = pipeline.combine(plan, [evolve(samples, bits=bits)])
    left = evolve(samples, bits=bits, shots=np.where(np.arange(24) % 4 == 3, 0, samples.shots))
    (expected,) = pipeline.combine(plan, [left])
    assert np.array_equal(estimate.value, expected.value)
    assert np.array_equal(estimate.variance, expected.variance)
    assert np.isfinite(estimate.variance).all()
    assert [own.dof for own in estimate.terms.spread] == [8]
    assert estimate.details["executed_shots"] == 144


def test_random_subsets_of_which_nothing_is_left_do_not_count():
    """One shot for each subset of gates: most of them keep none, and none of them has an estimate of its own."""
    ensemble = with_flag(ensemble_of(flagged(2.0, reused=False), ["IZZ", "IXX"], shots=32))
    zne = Zne((1, 2), (Polynomial(1),), num_randomizations=32, shots_per_randomization=1)
    plan = pipeline.plan([((zne, Measure(), PostSelect(("flag",))), ensemble)], np.random.default_rng(0))
    samples = sample(plan, ExactSampler(5))
    (estimate,) = pipeline.combine(plan, samples)
    assert len(samples) == 33  # the first noise factor folds nothing
    flags, meas = (
        np.stack([s.bits[name][:, 0, 0] for s in samples[1:]], axis=1) for name in ("flag", "meas")
    )
    assert (flags == 1).all(axis=0).sum() > 8
    parity = 1.0 - 2 * (np.bitwise_count(meas) & 1)
    expected = (parity * (flags == 0)).sum(axis=1) / (flags == 0).sum(axis=1)
    data = estimate.details["zne"]
    assert data.values[:, 1] == pytest.approx(expected)
    assert data.values[0] == pytest.approx([1, 1])
    assert np.isfinite([estimate.value, estimate.variance]).all()
    assert estimate.details["kept_fractions"][1] == (flags == 0).mean()


def test_readout_errors_of_a_flag_are_in_the_kept_fraction_whether_twirled_or_not():
    """Two shares of 4000 and 4096 shots within 4 sigma: false alarm 1.3e-4."""
    readout = ReadoutModel.uniform(3, 0.1, 0.1)
    circuit = flagged(0.8, reused=False)
    expected = 0.9 * np.cos(0.4) ** 2 + 0.1 * np.sin(0.4) ** 2
    for measure in (False, True):
        options = {"seed": 5, "twirling": {"enable_measure": measure}, "post_selection": ON}
        result = Sampler(ExactSampler(6, readout=readout), options).run([circuit], shots=4000).result()[0]
        fraction = result.metadata["post_selection"]["kept_fraction"]
        assert abs(fraction - expected) < 4 * np.sqrt(expected * (1 - expected) / 4000)
        assert result.data.flag.get_counts() == {"0": result.metadata["post_selection"]["kept_shots"]}
