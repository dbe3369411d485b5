"""What jobs take from a store and give to it, with and without a session."""

import threading
import time
import warnings
from concurrent.futures import Future

import numpy as np
import pytest
from attrs import evolve

from quell.calibration import store
from quell.calibration.ledger import Ledger
from quell.calibration.readout import ReadoutCalibration, TwirledReadout
from quell.calibration.store import CalibrationStore
from quell.errors import CalibrationError
from quell.execution.exchange import Exchange
from quell.kernels.bitplanes import bit_planes
from quell.pipeline import Experiment, Plan

WANTED = TwirledReadout(3, (0, 1), 4, 64)
WIDER = TwirledReadout(3, (0, 1, 2), 4, 64)
CONDITIONS = ({"shots": 5}, None)


def calibration(requirement=WIDER):
    width = len(requirement.qubits)
    data = np.zeros((4, 64, 1), dtype=np.uint8)
    return ReadoutCalibration(np.array(requirement.qubits), bit_planes(data, width), 1)


def exchange(kept, max_age=100.0, ledger=None, number=0, **more):
    more = {"conditions": CONDITIONS, "backend_name": "device", **more}
    return Exchange(ledger, number, max_age, store=kept, **more)


def learning(requirement=WIDER):
    return Plan((Experiment(requirement, None, ()),), ())


def relying(requirement=WIDER):
    return Plan((), (), (requirement,))


@pytest.fixture
def kept():
    return CalibrationStore(":memory:")


@pytest.fixture
def aged(kept, monkeypatch):
    """A store with a record, and a function that lets it be some seconds old."""

    def age(seconds):
        now = time.time()
        with monkeypatch.context() as patch:
            patch.setattr(store.time, "time", lambda: now - seconds)
            exchange_of = exchange(kept)
            exchange_of.enter("first", learning())
            exchange_of.give({WIDER: calibration()})
        return kept

    return age


def test_what_one_job_learns_another_takes_without_any_session(aged):
    taker = exchange(aged(30))
    assert taker.offers([WANTED]) == [WIDER]
    (known,) = taker.known().values()
    assert np.array_equal(known.planes.words, calibration().planes.words)
    taker.enter("second", relying())
    assert taker.missing(time.monotonic()) == {}
    (fact,) = taker.facts(time.monotonic())
    assert fact["age"] == pytest.approx(30, abs=5)
    assert fact["what"] == WIDER.describe()
    assert fact["job_id"] == f"store:{fact['record'][:12]}"
    assert taker.taken[0].origin == f"record {fact['record'][:12]} of the store"
    assert list(taker.calibrations()) == [WIDER]
    assert taker.notes == ()


def test_the_ledger_of_the_session_comes_first(aged):
    ledger = Ledger()
    entry = ledger.promise(WIDER, "a job", 0, CONDITIONS)
    taker = exchange(aged(0), ledger=ledger, number=1)
    assert taker.offers([WANTED]) == [WIDER]
    assert taker.taken == (entry,)
    assert entry.origin == "job a job"
    assert taker.known() == {}  # it is still being learned
    ledger.fulfil(entry, calibration())
    assert list(taker.known()) == [WIDER]


def test_what_a_lost_job_should_have_learned_is_taken_from_the_store(aged):
    ledger = Ledger()
    entry = ledger.promise(WIDER, "a job", 0, CONDITIONS)
    taker = exchange(aged(0), ledger=ledger, number=1)
    taker.offers([WANTED])
    taker.enter("second", relying())
    entry.withdraw()
    assert taker.missing(time.monotonic(), threading.Event()) == {}
    assert taker.taken[0].record


def test_what_is_learned_goes_to_both(kept):
    ledger = Ledger()
    giver = exchange(kept, ledger=ledger)
    giver.enter("first", learning())
    assert len(kept) == 0
    giver.give({WIDER: calibration()})
    giver.give({WIDER: calibration()})
    assert len(kept) == 1
    entry = ledger.find(WANTED, CONDITIONS, 1, 100.0)
    assert entry.job_id == "first"
    assert entry.outcome.done()


def test_the_shots_of_the_experiment_are_written_down(kept):
    giver = exchange(kept)
    giver.enter("first", learning())
    giver._shots[WIDER] = 1234
    giver.give({WIDER: calibration()})
    assert next(kept.records()).shots == 1234


def test_other_devices_and_other_conditions_share_nothing(aged):
    kept = aged(0)
    assert exchange(kept, backend_name="other").offers([WANTED]) == []
    assert exchange(kept, conditions=({"shots": 6}, None)).offers([WANTED]) == []
    assert exchange(kept, max_age=0).offers([WANTED]) == []
    assert exchange(kept).offers([evolve(WANTED, shots=65)]) == []
    assert exchange(kept).offers([WANTED]) == [WIDER]


def test_nothing_is_shared_where_conditions_have_no_name(aged):
    nameless = exchange(aged(0), conditions=({"sampler": object()},))
    assert nameless.offers([WANTED]) == []
    assert len(nameless.notes) == 1
    assert "options.calibration.store: is not used" in nameless.notes[0]
    nameless.enter("second", learning(WANTED))
    nameless.give({WANTED: calibration(WANTED)})
    assert nameless._store is None


def test_nothing_is_shared_where_the_device_has_no_name_unless_the_store_gives_one(aged):
    kept = aged(0)
    nameless = exchange(kept, backend_name=None)
    assert nameless.offers([WANTED]) == []
    assert "CalibrationStore(path, device=...)" in nameless.notes[0]
    named = CalibrationStore(":memory:", device="lab")
    assert named.take(kept) == 1
    assert exchange(named, backend_name=None).offers([WANTED]) == [WIDER]
    assert exchange(named, backend_name="its own").offers([WANTED]) == [WIDER]
    assert exchange(named, backend_name=None).notes == ()


def test_old_calibrations_are_learned_anew_by_default(aged):
    taker = exchange(aged(200))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert taker.offers([WANTED]) == []
    assert exchange(aged(200), 300.0).offers([WANTED]) == [WIDER]


def test_old_calibrations_are_used_with_a_warning_that_says_their_age(aged):
    taker = exchange(aged(200), when_old="warn")
    with pytest.warns(
        UserWarning, match=r"is 100 s, and the newest calibration in :memory: is 20\d s old: Readout of 2"
    ):
        assert taker.offers([WANTED]) == [WIDER]
    taker.enter("second", relying())
    assert taker.missing(time.monotonic()) == {}  # it was accepted, and is not looked for again
    assert taker.facts(time.monotonic())[0]["age"] == pytest.approx(200, abs=5)
    assert "used all the same" in taker.notes[0]


def test_old_calibrations_are_refused_before_anything_runs_all_at_once(aged):
    taker = exchange(aged(200), when_old="refuse")
    other = evolve(WANTED, qubits=(2,))
    with pytest.raises(CalibrationError, match=r"2 problems") as error:
        taker.offers([WANTED, other])
    assert {p.path for p in error.value.problems} == {"options.calibration.max_age"}
    assert "when_old to 'relearn'" in str(error.value)
    assert exchange(aged(50), when_old="refuse").offers([WANTED]) == [WIDER]
    # what nobody has learned is no matter of age
    assert exchange(aged(200), when_old="refuse").offers([evolve(WANTED, shots=99)]) == []


def test_what_becomes_too_old_while_a_job_waits_is_handled_as_the_policy_says(aged):
    for when_old in ("relearn", "warn", "refuse"):
        taker = exchange(aged(50), when_old=when_old)
        assert taker.offers([WANTED]) == [WIDER]
        taker.enter("second", relying())
        later = time.monotonic() + 100
        if when_old == "relearn":
            missing = taker.missing(later)
            assert list(missing) == [WIDER]
            assert taker.taken == ()
        elif when_old == "warn":
            with pytest.warns(UserWarning, match=r"is 15\d s old|is 149 s old"):
                assert taker.missing(later) == {}
        else:
            with pytest.raises(CalibrationError, match="s old"):
                taker.missing(later)
            # with samples at hand nothing is refused any more
            with pytest.warns(UserWarning, match="s old"):
                assert list(taker.missing(later, threading.Event())) == [WIDER]


def test_a_store_that_fails_while_a_job_runs_loses_no_results(tmp_path):
    path = tmp_path / "store.sqlite"
    giver = exchange(CalibrationStore(path), ledger=(ledger := Ledger()))
    giver.enter("first", learning())
    path.write_text("no longer a database " * 100)
    with pytest.warns(UserWarning, match="what was learned is not kept: .*store.sqlite"):
        giver.give({WIDER: calibration()})
    assert ledger.find(WANTED, CONDITIONS, 1, 100.0).outcome.done()
    with pytest.raises(CalibrationError, match=r"store\.sqlite: cannot be used"):
        CalibrationStore(path)


def test_several_calls_for_offers_add_up(aged):
    kept = aged(0)
    taker = exchange(kept)
    assert taker.offers([WANTED]) == [WIDER]
    assert taker.offers([evolve(WANTED, shots=99)]) == []
    taker.enter("second", relying())
    assert len(taker.taken) == 1


def test_outcomes_that_failed_are_not_known(kept):
    ledger = Ledger()
    entry = ledger.promise(WIDER, "a job", 0, CONDITIONS)
    taker = exchange(kept, ledger=ledger, number=1)
    taker.offers([WANTED])
    entry.outcome = Future()
    entry.outcome.set_exception(ValueError("lost"))
    assert taker.known() == {}
