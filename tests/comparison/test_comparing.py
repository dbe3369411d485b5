"""`compare`: the same values by several strategies, right and reproducible, whatever goes wrong with one of them."""

import threading
import warnings

import numpy as np
import pytest
from qiskit import transpile
from qiskit.primitives import StatevectorSampler
from small_devices import (
    TREX,
    bell,
    circuit,
    deviations,
    few,
    frames,
    numbers,
    only,
    sampler,
    simulator,
    sweep,
    zne,
)

import quell
from quell import Batch, Estimator, EstimatorOptions, InputError, Session
from quell.comparison.run import compare
from quell.comparison.strategies import options_of
from quell.testing import ExactSampler, FailingBackend, NoisyDevice, ReadoutModel

PUBS = [(circuit(), ["ZZ", "IZ"])]
TRUTH = [1, np.cos(0.4)]


def test_it_is_at_the_root_of_the_package():
    assert quell.compare is compare


# --- values -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def usual():
    """Three repeats; the device has readout errors, and its over-rotations commute with all that is measured."""
    strategies = ["raw", "trex", "twirl+trex", "level 2"]
    return compare(sampler(), PUBS, strategies, reference="exact", repeats=3, seed=1, shots=20_000)


def test_the_exact_reference_is_found(usual):
    assert usual.reference == pytest.approx(TRUTH, abs=1e-12)
    assert usual.reference_source
    assert usual.labels == ("Z0 Z1", "Z0")


@pytest.mark.parametrize("name", ["trex", "twirl+trex", "level 2"])
def test_strategies_that_correct_all_there_is_are_right(usual, name):
    """Six values within 5 error bars: false alarm 4e-6 a strategy where they are Gaussian."""
    assert np.abs(deviations(usual, name)).max() < 5


def test_raw_is_damped_by_the_readout(usual):
    """By 1 - p01 - p10 a qubit, and shifted by their difference; to 5 standard errors."""
    z = 0.91 * np.cos(0.4) + 0.03
    damped = usual.values_of("raw")[:, 1]
    assert np.abs(damped - z).max() < 5 / np.sqrt(20_000)
    assert np.abs(deviations(usual, "raw")).min() > 5


def test_what_came_out_is_all_there(usual):
    assert usual.settings["repeats"] == 3
    assert usual.settings["seed"] == 1
    assert usual.settings["shots"] == 20_000
    assert usual.settings["qpu_model"]
    assert usual.environment["quell"] == quell.__version__
    assert [s.name for s in usual.strategies] == ["raw", "trex", "twirl+trex", "level 2"]
    assert [(t.strategy, t.repeat) for t in usual.trials] == [
        (s.name, r) for r in range(3) for s in usual.strategies
    ]
    for trial in usual.trials:
        assert (trial.failure, trial.values.shape, trial.errors.shape) == ("", (2,), (2,))
        assert list(trial.seconds) == ["prepare", "execute", "combine"]
        assert trial.seconds["prepare"] > 0
        assert trial.seconds["execute"] > 0
        assert trial.circuits > 0
        assert 20_000 <= trial.shots - trial.calibration_shots <= 61_000
        assert trial.qpu_seconds > 20_000 * 250e-6, "every shot waits for the repetition delay"
    raw = usual.trials_of("raw")[0]
    assert (raw.circuits, raw.shots, raw.calibration_shots) == (1, 20_000, 0)
    assert usual.best() in ("trex", "twirl+trex", "level 2")
    assert "trex" in usual.table()


def test_repeats_are_independent(usual):
    for name in ("raw", "trex", "level 2"):
        values = usual.values_of(name)
        assert len(np.unique(values[:, 1])) == 3
    assert len({t.details["seed"] for t in usual.trials}) == 12, "each trial has its own seed"


def test_cancelled_and_amplified_learned_noise_are_right():
    """Two values each, 5 error bars; without a budget the noise of layers is learned once too."""
    learning = {"layer_noise_learning": {"num_randomizations": 8, "shots_per_randomization": 64}}
    strategies = {"raw": "raw"}
    for name in ("pec", "pea"):
        own = EstimatorOptions(options_of(f"{name}+trex"))
        own.update({"resilience": learning})
        strategies[name] = own
    found = compare(frames(), [(bell(), ["XX", "ZZ"])], strategies, reference="exact", seed=2, shots=8000)
    assert found.reference == pytest.approx([1, 1])
    for name in ("pec", "pea"):
        trial = only(found, name)
        assert trial.failure == ""
        assert np.abs(deviations(found, name)).max() < 5
        assert trial.executed_shots < trial.shots - trial.calibration_shots + 1000
    assert only(found, "pec").gamma_squared > 1
    assert np.abs(deviations(found, "raw")).min() > 10


# --- references and arguments -------------------------------------------------------------------


def quick(pubs=PUBS, strategies=("raw",), **how):
    return compare(sampler(), pubs, list(strategies), **{"shots": 50, "seed": 1, **how})


def test_references_are_numbers_exact_or_none():
    none = quick()
    assert none.reference is None
    assert none.reference_source == ""
    assert "agree" in quick(strategies=["raw", "trex"]).table().lower(), "consistency takes the place of bias"
    for given in ([1, 0.9], (1.0, 0.9), np.array([1, 0.9]), [[1, 0.9]]):
        found = quick(reference=given)
        assert found.reference.tolist() == [1, 0.9]
        assert found.reference_source == "given"
    assert quick([(circuit(), "ZZ")], reference=0.5).reference.tolist() == [0.5]
    several = quick([(circuit(), "ZZ"), (circuit(), ["IZ", "XX"])], reference=[1, [0.9, 0.2]])
    assert several.reference.tolist() == [1, 0.9, 0.2]


def test_values_of_sweeps_and_several_pubs_come_in_their_order():
    angles = [0.1, 0.5, 0.9]
    pubs = [(sweep(), [["ZZ"], ["IZ"]], angles), (circuit(), {"ZZ": 0.5, "IZ": 2})]
    found = compare(sampler(readout=None, angle=0), pubs, ["raw"], reference="exact", seed=1, shots=4000)
    exact = [1, 1, 1, *np.cos(angles), 0.5 + 2 * np.cos(0.4)]
    assert found.reference == pytest.approx(exact)
    assert np.abs(found.values_of("raw")[0] - exact).max() < 5 * 2.5 / np.sqrt(4000)
    assert found.labels[1] == "PUB 0: Z0 Z1 [set 1]"
    assert found.labels[6] == "PUB 1: 2 Z0 + 0.5 Z0 Z1"
    assert len(set(found.labels)) == 7
    own = quick([(circuit(), ["ZZ", "ZZ"])])
    assert own.labels == ("Z0 Z1", "Z0 Z1 (2)")
    assert quick(labels=["a", "b"]).labels == ("a", "b")


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(InputError) as caught:
        compare(
            sampler(),
            [(circuit(), "ZZZ"), (circuit(), "ZZ", None, 0.1)],
            {"rew": None, "mine": {"resilience_level": 9}},
            repeats=0,
            seed=-1,
            shots=2.5,
            total_shots=True,
            callback=3,
        )
    text = str(caught.value)
    wrong = (
        "pubs[0]",
        "pubs[1].precision",
        "repeats",
        "seed",
        "shots: must",
        "total_shots: must",
        "callback",
    )
    for part in (*wrong, "did you mean 'raw'", "strategies['mine']"):
        assert part in text, part


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"pubs": []}, "are none"),
        ({"pubs": circuit()}, "pubs"),
        ({"reference": "exactly"}, "'exact' or None"),
        ({"reference": [1]}, "must be 2 finite numbers"),
        ({"reference": [1, np.nan]}, "must be 2 finite numbers"),
        ({"reference": [1, "x"]}, "no list of numbers"),
        ({"labels": ["a"]}, "must be 2 texts"),
        ({"total_shots": 100}, "give one of them"),
        ({"repeats": 1.0}, "repeats"),
        ({"strategies": []}, "names none"),
    ],
)
def test_wrong_arguments_are_refused(change, text):
    with pytest.raises(InputError, match=text):
        quick(**change)


def test_what_cannot_run_circuits_is_refused_with_the_rest():
    with pytest.raises(InputError) as caught:
        compare(3, PUBS, ["rew"])
    assert "rew" in str(caught.value)
    assert len(caught.value.problems) == 2


def test_inputs_are_not_changed():
    own = EstimatorOptions({"resilience_level": 0, "seed": 3, "default_shots": 20})
    before = own.to_dict()
    made = circuit()
    quick([(made, "ZZ")])
    compare(sampler(), [(made, "ZZ")], {"own": own}, seed=1, total_shots=500)
    assert own.to_dict() == before
    assert made == circuit()


# --- seeds --------------------------------------------------------------------------------------

STRATEGIES = {"raw": "raw", "trex": TREX, "zne": zne(), "linear": zne("linear")}
HOW = {"shots": 80, "seed": 5}


@pytest.fixture(scope="module")
def seeded():
    return compare(simulator(), PUBS, STRATEGIES, **HOW, repeats=2)


def test_the_same_seed_gives_the_same_numbers(seeded):
    again = compare(simulator(), PUBS, STRATEGIES, **HOW, repeats=2)
    assert numbers(again) == numbers(seeded)


def test_another_seed_gives_other_numbers(seeded):
    other = compare(simulator(), PUBS, ["raw"], shots=80, seed=6)
    assert not np.array_equal(other.values_of("raw")[0], seeded.values_of("raw")[0])
    fresh = compare(simulator(), PUBS, ["raw"], shots=80)
    again = compare(simulator(), PUBS, ["raw"], shots=80, seed=fresh.settings["seed"])
    assert numbers(fresh) == numbers(again), "a fresh seed is kept"


def test_repeats_do_not_depend_on_how_many_there_are(seeded):
    one = numbers(compare(simulator(), PUBS, STRATEGIES, **HOW))
    assert one == {key: value for key, value in numbers(seeded).items() if key[1] == 0}


def test_numbers_do_not_depend_on_what_else_is_compared():
    """Nor on the order, where nothing is shared; what shares a calibration is told apart below."""
    given = {"raw": "raw", "zne": zne(), "few": few()}
    together = numbers(compare(simulator(), PUBS, given, **HOW))
    for name in given:
        alone = numbers(compare(simulator(), PUBS, {name: given[name]}, **HOW))
        assert alone[name, 0] == together[name, 0]
    turned = numbers(compare(simulator(), PUBS, dict(reversed(given.items())), **HOW))
    assert turned == together


def test_with_a_budget_they_do_not_depend_on_it_even_with_calibrations():
    together = compare(
        simulator(), PUBS, {"a": TREX, "b": few(measure_mitigation=True)}, total_shots=640, seed=5
    )
    alone = compare(simulator(), PUBS, {"b": TREX}, total_shots=640, seed=5)
    assert numbers(alone)["b", 0] == numbers(together)["b", 0]
    a, b = (only(together, name) for name in "ab")
    assert not np.array_equal(a.values, b.values), "of equal options by other names the shots are others"


def test_seeds_in_options_give_way():
    """Two strategies with the same seed would have errors in common."""
    own = {"resilience_level": 0, "seed": 3}
    found = compare(simulator(), PUBS, {"a": own, "b": own}, **HOW)
    assert not np.array_equal(found.values_of("a"), found.values_of("b"))


def test_devices_of_a_fixed_seed_have_no_repeats():
    device = StatevectorSampler(seed=3)
    with pytest.raises(InputError, match="fixed seed: every repeat would have the same shots"):
        compare(device, PUBS, ["raw"], repeats=2, shots=50)
    assert compare(device, PUBS, ["raw"], shots=50).trials[0].values is not None
    fixed = {"mine": {"resilience_level": 0, "simulator": {"seed_simulator": 3}}}
    with pytest.raises(InputError, match=r"simulator\.seed_simulator: is 3, so every repeat would have"):
        compare(simulator(), PUBS, fixed, repeats=2, shots=50)
    assert compare(simulator(), PUBS, fixed, shots=50).trials[0].values is not None
    generator = StatevectorSampler(seed=np.random.default_rng(3))
    for device in (generator, simulator(seed=3)):  # a simulator's own seed gives way to that of a job
        values = compare(device, PUBS, ["raw"], repeats=2, shots=5000).values_of("raw")
        assert not np.array_equal(values[0], values[1])


# --- what is shared -----------------------------------------------------------------------------


def test_strategies_share_the_readout_calibration():
    backend = simulator()
    given = {"trex": TREX, "more": TREX | {"default_shots": 60}, "raw": "raw"}
    found = compare(backend, PUBS, given, **HOW)
    for name in ("trex", "more"):
        trial = only(found, name)
        assert trial.calibration_shots > 0
        assert trial.executed_shots == trial.shots - trial.calibration_shots
    assert only(found, "raw").executed_shots == only(found, "raw").shots
    executed = sum(t.executed_shots for t in found.trials)
    learned = max(t.calibration_shots for t in found.trials)
    assert backend.num_shots == executed + learned < sum(t.shots for t in found.trials)


def test_one_alone_learns_for_itself():
    backend = simulator()
    trial = only(compare(backend, PUBS, {"trex": TREX, "raw": "raw"}, **HOW), "trex")
    assert trial.executed_shots == trial.shots
    assert backend.num_shots == trial.shots + 80


def test_what_a_strategy_is_charged_is_what_it_takes_alone():
    """Whatever it shares: the readout, or data that are analysed in another way."""
    given = {"trex": TREX, "again": few(measure_mitigation=True), "zne": zne(), "linear": zne("linear")}
    together = compare(simulator(), PUBS, given, **HOW)
    for name, options in given.items():
        alone = only(compare(simulator(), PUBS, {name: options}, **HOW), name)
        trial = only(together, name)
        charged = (trial.shots, trial.calibration_shots, trial.circuits, trial.qpu_seconds)
        assert charged == (
            alone.shots,
            alone.calibration_shots,
            alone.circuits,
            pytest.approx(alone.qpu_seconds),
        )
        assert alone.executed_shots == alone.shots


def test_a_store_of_calibrations_is_not_used_and_the_rows_say_so(tmp_path):
    """Else the first strategy paid for all others, and repeats shared what it learned."""
    own = TREX | {"calibration": {"store": tmp_path / "store.sqlite"}}
    for budget in ({"shots": 80}, {"total_shots": 640}):
        found = compare(simulator(), PUBS, {"own": own, "usual": TREX}, **budget, repeats=2, seed=5)
        again = compare(simulator(), PUBS, {"own": own, "usual": TREX}, **budget, repeats=2, seed=5)
        assert numbers(again) == numbers(found)
        for trial in found.trials:
            assert trial.calibration_shots > 0
            assert any("store is not used" in note for note in trial.notes) == (trial.strategy == "own")
    assert not (tmp_path / "store.sqlite").exists()


def test_circuits_that_run_in_other_ways_share_no_calibration():
    noisy = NoisyDevice("tee5", coherent=False, idle=False)
    made = quell_circuit(noisy)
    dd = TREX | {"dynamical_decoupling": {"enable": True}}
    found = compare(noisy, [(made, "I" * 3 + "ZZ")], {"trex": TREX, "dd": dd}, shots=40, seed=1)
    for trial in found.trials:
        assert trial.failure == ""
        assert trial.executed_shots == trial.shots


def test_another_analysis_of_the_same_shots_runs_nothing_and_is_that_of_the_job():
    backend = simulator()
    found = compare(backend, PUBS, {"zne": zne(), "linear": zne("linear")}, **HOW)
    first, second = only(found, "zne"), only(found, "linear")
    assert found.strategy("linear").shares_data_with == "zne"
    assert (second.executed_shots, second.shots) == (0, first.shots)
    assert backend.num_shots == first.executed_shots
    options = EstimatorOptions(zne())
    options.seed, options.default_shots = first.details["seed"], 80
    job = Estimator(simulator(), options).run(PUBS)
    assert np.array_equal(job.result()[0].data.evs, first.values)
    other = job.reanalyze({"resilience": {"zne": {"extrapolator": "linear"}}})
    assert np.array_equal(other[0].data.evs, second.values)
    assert np.array_equal(other[0].data.stds, second.errors)
    assert not np.array_equal(first.values, second.values)


# --- what goes wrong ----------------------------------------------------------------------------

REFUSED = zne("polynomial_degree_3")


def test_a_refused_combination_is_a_row_that_says_why():
    found = compare(
        sampler(), PUBS, {"refused": REFUSED, "raw": "raw", "trex": TREX}, repeats=2, shots=50, seed=1
    )
    assert {t.failure for t in found.trials if t.strategy != "refused"} == {""}
    (why,) = found.failures_of("refused")
    assert "polynomial_degree_3" in why
    assert "\n\nrefused failed:" in found.table()


def test_a_strategy_whose_shots_another_would_have_had_runs_them_itself():
    """The analysis of the first is refused, that of the second is not; its numbers are those it has alone."""
    found = compare(simulator(), PUBS, {"refused": REFUSED, "fine": zne()}, **HOW)
    assert found.strategy("fine").shares_data_with == "refused"
    assert only(found, "refused").failure
    alone = compare(simulator(), PUBS, {"fine": zne()}, **HOW)
    assert numbers(found)["fine", 0] == numbers(alone)["fine", 0]


def test_an_analysis_that_is_refused_is_a_row_that_says_why():
    found = compare(sampler(), PUBS, {"fine": zne(), "refused": REFUSED}, shots=50, seed=1)
    assert "polynomial_degree_3" in only(found, "refused").failure
    assert only(found, "fine").failure == ""


def test_a_device_that_fails_once_costs_one_trial():
    backend = FailingBackend(simulator(), fail_at=1)
    found = compare(backend, PUBS, ["raw", "twirl+dd", "level 0"], repeats=2, shots=50, seed=1)
    failed = [(t.strategy, t.repeat) for t in found.trials if "on fire" in t.failure]
    assert len(failed) == 1
    assert all(
        t.values is not None for t in found.trials if "on fire" not in t.failure and t.strategy != "twirl+dd"
    )


def test_a_shared_calibration_that_fails_is_left_to_the_strategies():
    """The device fails while the readout is learned for both."""
    backend = FailingBackend(simulator(), fail_at=0)
    found = compare(backend, PUBS, {"trex": TREX, "again": few(measure_mitigation=True)}, **HOW)
    for trial in found.trials:
        assert trial.failure == ""
        assert trial.executed_shots == trial.shots


def test_all_may_fail():
    backend = FailingBackend(simulator(), fail_at=range(99))
    found = compare(backend, PUBS, ["raw", "twirl"], reference="exact", shots=50, seed=1)
    assert all("on fire" in t.failure for t in found.trials)
    assert "failed" in found.table()
    assert found.values_of("raw").shape == (0, 2)


def test_a_gate_whose_noise_cannot_be_learned_is_a_row_that_says_why():
    """A layer of gates that are no Cliffords is neither twirled nor learned."""
    made = circuit()
    made.rzz(0.3, 0, 1)
    found = compare(sampler(), [(made, "ZZ")], ["raw", "pec"], shots=50, seed=1)
    assert only(found, "raw").failure == ""
    assert "rzz" in only(found, "pec").failure


def test_warnings_do_not_leak_and_are_notes():
    """Terms damped to nothing: TREX and ZNE have something to say, and the rows say it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bad = ExactSampler(1, readout=ReadoutModel.uniform(2, 0.49, 0.49))
        found = compare(bad, PUBS, {"trex": TREX, "again": few(measure_mitigation=True), "zne": zne()}, **HOW)
        before = list(warnings.filters)
    assert any(t.notes or t.failure for t in found.trials)
    assert before[0][0] == "error", "filters are as they were"


# --- callbacks ----------------------------------------------------------------------------------


def test_the_callback_is_told_how_far_it_is():
    calls = []
    compare(
        simulator(), PUBS, {"raw": "raw", "zne": zne(), "linear": zne("linear")}, repeats=2, **HOW,
        callback=lambda *told: calls.append(told),
    )  # fmt: skip
    done, total, names, repeats, circuits, most = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert (done[0], done[-1]) == (0, 6)
    assert set(total) == {6}
    assert calls[0] == (0, 6, "raw", 0, 0, 0)
    assert [n for n in names if n == "linear"] == [], "its trials end with those whose shots it has"
    assert set(zip(names, repeats, strict=True)) == {(n, r) for n in ("raw", "zne") for r in (0, 1)}
    assert all(c <= m for c, m in zip(circuits, most, strict=True))
    assert any(0 < c == m for c, m in zip(circuits, most, strict=True))


@pytest.mark.parametrize("at", [0, 3])
def test_a_callback_that_fails_loses_nothing(at):
    calls = []

    def broken(*told):
        calls.append(told)
        if len(calls) > at:
            raise ZeroDivisionError("no such bar")

    with pytest.warns(UserWarning, match="no such bar") as caught:
        found = compare(simulator(), PUBS, ["raw", "level 0"], **HOW, callback=broken)
    assert len(calls) == at + 1
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert numbers(found) == numbers(compare(simulator(), PUBS, ["raw", "level 0"], **HOW))


@pytest.mark.parametrize("within", [False, True])
def test_ctrl_c_stops_it(within):
    """Also from the callback in the middle of a trial; the job and its thread end."""
    backend = simulator()

    def stop(done, total, strategy, repeat, circuits, most):
        if done >= 1 and (circuits > 0) == within:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(backend, PUBS, {"raw": "raw", "trex": TREX, "zne": zne()}, **HOW, callback=stop)
    ran = backend.num_runs
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.name.startswith("ThreadPool"):
            thread.join(0.5)
    assert backend.num_runs == ran


# --- devices ------------------------------------------------------------------------------------


def quell_circuit(device):
    """Return a Bell state in a device's own gates, as wide as the device."""
    return transpile(bell(), device, optimization_level=1, initial_layout=[0, 1], seed_transpiler=1)


def test_it_runs_on_a_noisy_device():
    """Readout, coherent and idle errors of one that has gates, durations and a target of its own."""
    device = NoisyDevice("tee5")
    made = quell_circuit(device)
    observables = ["IIIZZ", "IIIXX"]
    found = compare(
        device, [(made, observables)], {"raw": "raw", "trex": TREX}, reference="exact", shots=400, seed=1
    )
    assert found.device == device.name
    assert found.reference == pytest.approx([1, 1])
    assert [t.failure for t in found.trials] == ["", ""]
    again = compare(
        device, [(made, observables)], {"raw": "raw", "trex": TREX}, reference="exact", shots=400, seed=1
    )
    assert numbers(again) == numbers(found)


def test_it_runs_on_samplers_and_functions():
    """Raw values without noise: 5 standard errors."""
    for device in (StatevectorSampler(), ExactSampler(3), lambda pubs: ExactSampler(4)(pubs)):
        found = compare(device, PUBS, {"raw": "raw", "zne": zne()}, reference="exact", shots=1000, seed=1)
        assert [t.failure for t in found.trials] == ["", ""]
        assert np.abs(found.values_of("raw")[0] - TRUTH).max() < 5 / np.sqrt(1000)


def test_it_runs_in_a_session_or_batch():
    """Only the device is taken from it: nobody would be charged for what its jobs have learned."""
    expected = numbers(compare(simulator(), PUBS, {"trex": TREX}, **HOW))
    for mode in (Session, Batch):
        with mode(backend=simulator()) as session:
            assert numbers(compare(session, PUBS, {"trex": TREX}, **HOW)) == expected
            assert numbers(compare(None, PUBS, {"trex": TREX}, **HOW)) == expected, "as in its with block"
            assert session.num_jobs == 0


def test_without_a_device_it_is_refused():
    with pytest.raises(InputError):
        compare(None, PUBS, ["raw"])
