"""The store of calibrations: what goes in comes out, and nothing that is damaged, old or of elsewhere is used."""

import copy
import json
import multiprocessing
import os
import pickle
import sqlite3
import time
import warnings
from contextlib import closing

import numpy as np
import pytest
from attrs import evolve
from qiskit import QuantumCircuit

from quell.calibration import plain, records, rows
from quell.calibration.confusion import ReadoutConfusion, ReadoutCounts
from quell.calibration.database import SCHEMA
from quell.calibration.layers import LayerModel
from quell.calibration.learning import LayerNoise
from quell.calibration.readout import ReadoutCalibration, TwirledReadout
from quell.calibration.store import CalibrationStore
from quell.circuits.layers import Layer, occurrences
from quell.circuits.template import template_of
from quell.circuits.twirling import twirled_template
from quell.errors import CalibrationError, InputError
from quell.kernels.bitplanes import bit_planes
from quell.kernels.statistics import Deviations

RNG = np.random.default_rng(5)


def layer_of(num_qubits=4):
    circuit = QuantumCircuit(num_qubits)
    circuit.cx(1, 0)
    circuit.rzz(np.pi / 2, 2, 3)
    circuit.measure_all()
    template, _ = twirled_template(template_of(circuit), "all"), None
    return occurrences(template)[0].layer


def readout():
    shots = np.array([100, 100, 90, 70])
    data = RNG.integers(0, 8, (4, 100, 1)).astype(np.uint8)
    calibration = ReadoutCalibration(np.array([0, 2, 3]), bit_planes(data, 3, shots), 1)
    return TwirledReadout(5, (0, 2, 3), 4, 100), calibration


def confusion():
    counts = (
        np.array([[240, 3, 4, 0], [5, 230, 0, 6], [5, 0, 246, 4], [0, 17, 0, 240]]),
        np.eye(2, dtype=int) * 9,
    )
    return ReadoutConfusion(3, (0, 1, 2), ((1, 0),), 1000), ReadoutCounts(((1, 0), (2,)), counts)


def layer_noise():
    layer = layer_of()
    requirement = LayerNoise(layer, 4, ((0, 1), (2, 3)), (0, 1, 4), 8, 64)
    model = LayerModel(
        layer,
        np.array([[1, 0, 0, 0], [3, 2, 0, 0], [0, 0, 1, 2]], dtype=np.uint8),
        np.array([0.01, 0.1 / 3, 0.002]),
        Deviations(RNG.normal(size=(2, 3)) * 1e-3, 7.0, requirement),
        {"chi_square": np.float64(1.5), "worst": ("X0",), "lost": float("nan")},
        requirement,
    )
    return requirement, model


EVERY = [readout, confusion, layer_noise]


def filled(path=":memory:"):
    kept = CalibrationStore(path)
    for make in EVERY:
        kept.add(*make(), "device", "conditions")
    return kept


@pytest.fixture
def path(tmp_path):
    return tmp_path / "calibrations.sqlite"


def change(path, statement, *values):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


# --- what goes in comes out ------------------------------------------------------------------


def test_every_kind_of_requirement_is_known():
    assert {make()[0].__class__ for make in EVERY} == {kind.requirement for kind in records.KINDS}


@pytest.mark.parametrize("make", EVERY)
def test_what_goes_in_comes_out_also_in_another_process(make, path):
    requirement, calibration = make()
    before = time.time()
    key = CalibrationStore(path).add(requirement, calibration, "device", "conditions", 77, {"good": True})
    found = CalibrationStore(path).find(requirement, "device", "conditions", 60)
    assert found.key == key
    assert found.requirement == requirement
    assert found.describe() == requirement.describe()
    assert (found.shots, dict(found.quality), found.backend) == (77, {"good": True}, "device")
    assert before <= found.learned <= time.time()
    assert found.age < 60
    kind = records.kind_of(requirement)
    again = kind.write_calibration(found.calibration)
    assert plain.canonical(plain.simplified(again)) == plain.canonical(
        plain.simplified({**kind.write_calibration(calibration)})
    )
    assert key[:12] in repr(found)


def test_the_numbers_that_matter_are_the_same_to_the_last_bit():
    kept = filled()
    requirement, calibration = readout()
    kept.add(requirement, calibration, "other", "c")
    found = kept.find(requirement, "other", "c").calibration
    codes = np.array([[1, 1, 1], [1, 0, 0]], dtype=np.uint8)
    mine, theirs = (c.damping(np.array([0, 2, 3]), codes) for c in (calibration, found))
    assert np.array_equal(mine[0], theirs[0])
    assert np.array_equal(mine[1].rows, theirs[1].rows)
    requirement, model = layer_noise()
    kept.add(requirement, model, "other", "c")
    found = kept.find(requirement, "other", "c").calibration
    assert np.array_equal(found.rates, model.rates)
    assert np.array_equal(found.generators, model.generators)
    assert np.array_equal(found.deviations.rows, model.deviations.rows)


def test_planes_wider_than_their_shots_are_written_without_the_rest():
    requirement, calibration = readout()
    wide = np.pad(calibration.planes.words, ((0, 0), (0, 0), (0, 3)))
    wide = evolve(calibration, planes=evolve(calibration.planes, words=wide))
    kept = CalibrationStore(":memory:")
    kept.add(requirement, wide, "d", "c")
    assert np.array_equal(kept.find(requirement, "d", "c").calibration.planes.words, calibration.planes.words)


def test_a_record_serves_smaller_requirements_and_takes_over_what_the_asker_knows_of_the_device():
    kept = filled()
    target = object()
    smaller = TwirledReadout(5, (2,), 4, 50, target=target)
    found = kept.find(smaller, "device", "conditions")
    assert found.requirement.qubits == (0, 2, 3)
    assert found.requirement.target is target
    layer = evolve(layer_of(), spectators=())
    asked = LayerNoise(layer, 4, (), (0, 1, 4), 8, 64, target)
    served = kept.find(asked, "device", "conditions").requirement
    assert served.layer.operations == layer.operations
    assert served.target is target
    assert kept.find(evolve(smaller, shots=10**6), "device", "conditions") is None
    assert kept.find(evolve(smaller, num_qubits=6), "device", "conditions") is None
    assert kept.find(smaller, "other device", "conditions") is None
    assert kept.find(smaller, "device", "other conditions") is None
    assert kept.find("no requirement", "device", "conditions") is None


def test_the_newest_that_serves_is_found_and_age_counts(monkeypatch):
    kept = CalibrationStore(":memory:")
    requirement, calibration = readout()
    now = time.time()
    for age, shots in ((500, 300), (50, 200), (5, 100)):
        monkeypatch.setattr(time, "time", lambda age=age: now - age)
        kept.add(evolve(requirement, shots=shots), calibration, "d", "c")
    monkeypatch.setattr(time, "time", lambda: now)
    assert kept.find(requirement, "d", "c").age == pytest.approx(5)
    assert kept.find(evolve(requirement, shots=150), "d", "c").age == pytest.approx(50)
    assert kept.find(evolve(requirement, shots=250), "d", "c", 499) is None
    assert kept.find(evolve(requirement, shots=250), "d", "c", 501).age == pytest.approx(500)
    assert [r.requirement.shots for r in kept.records()] == [100, 200, 300]
    assert kept.find(requirement, "d", "c").learned_at.endswith("+00:00")


def test_the_same_again_takes_the_place_of_what_was_there():
    kept = CalibrationStore(":memory:")
    requirement, calibration = readout()
    keys = {kept.add(requirement, calibration, "d", "c", shots) for shots in (1, 2)}
    assert len(keys) == len(kept) == 1
    assert kept.find(requirement, "d", "c").shots == 2
    assert kept.add(requirement, calibration, "d", "other") not in keys
    assert "2 calibrations" in repr(kept)


def test_shots_and_quality_are_worked_out_where_nobody_says():
    found = {r.kind: r for r in filled().records()}
    assert found["twirled_readout"].shots == 360
    assert found["readout_confusion"].shots == 1000
    assert found["layer_noise"].shots == layer_noise()[0].shots_in_all
    assert found["readout_confusion"].quality["largest_error"] == pytest.approx(44 / 1000)
    assert found["twirled_readout"].quality["mean_error"] == pytest.approx(0.5, abs=0.1)
    assert found["layer_noise"].quality == {"chi_square": 1.5, "worst": ["X0"], "lost": None}


def test_what_nobody_could_use_is_not_kept():
    kept = CalibrationStore(":memory:")
    requirement, calibration = confusion()
    lost = evolve(calibration, counts=(calibration.counts[0], np.array([[9, 0], [0, 0]])))
    assert kept.add(requirement, lost, "d", "c") is None
    assert kept.add("no requirement", calibration, "d", "c") is None
    assert kept.add(requirement, "no calibration", "d", "c") is None
    assert len(kept) == 0


def test_layer_models_are_the_newest_of_each_layer():
    kept = filled()
    requirement, model = layer_noise()
    kept.add(evolve(requirement, shots=65), evolve(model, rates=model.rates * 2), "device", "conditions")
    (found,) = kept.layer_models()
    assert np.array_equal(found.rates, model.rates * 2)
    assert kept.layer_models("elsewhere") == []
    assert kept.layer_models(max_age=0.0) == []
    kept.add(requirement, model, "second device", "conditions")
    with pytest.raises(InputError, match=r"layers of 2 backends.*pass one of device, second device"):
        kept.layer_models()
    assert len(kept.layer_models("second device")) == 1


def test_records_are_deleted_by_enough_of_their_keys():
    kept = filled()
    first, *others = kept.records()
    with pytest.raises(InputError, match="at least 6 characters"):
        kept.delete(first.key[:5])
    with pytest.raises(InputError, match="names no records"):
        kept.delete("abcdefg")
    kept.delete(first.key[:12])
    assert [r.key for r in kept] == [r.key for r in others]


def test_stores_are_copied_as_the_same_and_pickled_as_their_path(path):
    kept = filled(path)
    assert copy.deepcopy(kept) is copy.copy(kept) is kept
    assert CalibrationStore.of(kept) is kept
    assert len(CalibrationStore.of(str(path))) == 3
    again = pickle.loads(pickle.dumps(kept))
    assert again.path == kept.path
    assert len(again) == 3
    with pytest.raises(TypeError, match="belongs to its process"):
        pickle.dumps(CalibrationStore(":memory:"))


def test_a_store_may_name_the_device_itself(path):
    kept = CalibrationStore(path, device="lab")
    assert kept.take(filled()) == 3
    assert {record.backend for record in kept} == {"lab"}
    assert len({record.key for record in kept} | {record.key for record in filled()}) == 6
    assert kept.take(filled()) == 3  # they are newer
    again = pickle.loads(pickle.dumps(kept))
    assert again.device == "lab"
    again.add(*layer_noise(), "another", "c")
    assert len(again.layer_models()) == 1
    with pytest.raises(InputError, match="layers of 2 backends"):
        CalibrationStore(path).layer_models()


def test_an_empty_store_counts_as_one():
    assert CalibrationStore(":memory:")


# --- files that are wrong --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("payload", '{"qubits": [0]}'),
        ("learned", 1e9),
        ("backend", "device "),
        ("shots", 1),
        ("checksum", "0"),
    ],
)
def test_damaged_records_are_never_used(column, value, path):
    kept = CalibrationStore(path)
    requirement, calibration = readout()
    key = kept.add(requirement, calibration, "device", "c")
    change(path, f"UPDATE calibrations SET {column} = ?", value)
    backend = value if column == "backend" else "device"
    with pytest.warns(
        UserWarning, match=f"calibration {key[:12]} is not used, because its checksum is wrong"
    ):
        assert kept.find(requirement, backend, "c") is None
    with pytest.warns(UserWarning, match="is not used"):
        assert list(kept.records()) == []
    with pytest.warns(UserWarning, match="is not used"):
        assert json.loads(kept.export_json())["records"] == []
    kept.delete(key)
    assert len(kept) == 0


def test_an_older_sound_record_is_used_where_the_newest_is_damaged(path):
    kept = CalibrationStore(path)
    requirement, calibration = readout()
    kept.add(requirement, calibration, "d", "c")
    newest = kept.add(evolve(requirement, shots=200), calibration, "d", "c")
    change(path, "UPDATE calibrations SET shots = 5 WHERE key = ?", newest)
    with pytest.warns(UserWarning, match="is not used"):
        assert kept.find(requirement, "d", "c").requirement.shots == 100


def test_sound_records_with_data_that_cannot_be_are_never_used(path):
    """Whoever makes files can make checksums too."""
    kept = CalibrationStore(path)
    requirement, calibration = readout()
    key = kept.add(requirement, calibration, "d", "c")
    row = kept._database.select()[0]
    for payload in (
        '{"qubits": [0, 2, 3]}',
        "[" * 10,
        '{"block": 1, "planes": "", "qubits": [3], "shots": [100]}',
    ):
        changed = {**row, "payload": payload}
        changed["checksum"] = rows.checksum_of(changed)
        change(
            path,
            "UPDATE calibrations SET payload = ?, checksum = ? WHERE key = ?",
            payload,
            changed["checksum"],
            key,
        )
        with pytest.warns(UserWarning, match="is not used"):
            assert kept.find(requirement, "d", "c") is None


def test_files_of_other_versions_and_of_others_are_refused(path, tmp_path):
    filled(path)
    change(path, f"PRAGMA user_version = {SCHEMA + 1}")
    with pytest.raises(CalibrationError, match=f"version {SCHEMA + 1}, and quell .* reads version {SCHEMA}"):
        CalibrationStore(path)
    change(path, "PRAGMA user_version = 0")
    with pytest.raises(CalibrationError, match="schema version 0, older than"):
        CalibrationStore(path)
    other = tmp_path / "other.sqlite"
    change(other, "CREATE TABLE songs (name TEXT)")
    with pytest.raises(CalibrationError, match="of something else"):
        CalibrationStore(other)
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to look like one " * 40)
    with pytest.raises(CalibrationError, match="file is not a database"):
        CalibrationStore(text)


def test_places_that_cannot_be_used_are_refused_before_anything_runs(path, tmp_path):
    with pytest.raises(CalibrationError, match=r"a folder that does not exist; make .*missing"):
        CalibrationStore(tmp_path / "missing" / "store.sqlite")
    with pytest.raises(CalibrationError, match="is a folder"):
        CalibrationStore(tmp_path)
    with pytest.raises(CalibrationError, match="does not exist; open it without read_only"):
        CalibrationStore(path, read_only=True)
    filled(path)
    os.chmod(path, 0o444)
    with pytest.raises(CalibrationError, match=r"cannot be written.*read_only=True"):
        CalibrationStore(path)
    reading = CalibrationStore(path, read_only=True)
    assert len(list(reading.records())) == 3
    with pytest.raises(CalibrationError, match="opened to be read only"):
        reading.add(*readout(), "d", "c")
    assert pickle.loads(pickle.dumps(reading)).read_only


def test_a_clock_that_goes_backwards_makes_no_negative_ages(monkeypatch):
    kept = CalibrationStore(":memory:")
    requirement, calibration = readout()
    kept.add(requirement, calibration, "d", "c")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    with pytest.warns(UserWarning, match=r"3\.6e\+03 s in the future; has the clock been put back"):
        found = kept.find(requirement, "d", "c", 10)
    with pytest.warns(UserWarning, match="in the future"):
        assert found.age == 0


# --- several processes -----------------------------------------------------------------------


def write_many(path, number, count):
    kept = CalibrationStore(path)
    requirement, calibration = readout()
    for i in range(count):
        kept.add(evolve(requirement, shots=1000 + i), calibration, "shared", "c", shots=number)
        kept.add(requirement, calibration, f"own {number}", "c", shots=i)
        assert kept.find(requirement, "shared", "c") is not None


def test_processes_write_at_the_same_time_and_nothing_is_lost_or_torn(path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_many, args=(str(path), number, 10)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = list(CalibrationStore(path).records())
    assert len(found) == 10 + 4
    assert {r.shots for r in found if r.backend.startswith("own")} == {9}
    assert {r.shots for r in found if r.backend == "shared"} <= set(range(4))


def test_a_failed_write_leaves_the_store_as_it_was(path):
    kept = filled(path)
    before = kept.export_json()
    good, bad = kept._database.select()[:2]
    with pytest.raises(KeyError):
        kept._database.put([{**good, "shots": 99}, {"key": bad["key"]}])
    assert kept.export_json() == before


# --- export and import -----------------------------------------------------------------------


def test_exports_are_imported_again_and_what_is_newer_stays(path, tmp_path, monkeypatch):
    kept = filled()
    text = kept.export_json(tmp_path / "all.json")
    assert (tmp_path / "all.json").read_text() == text
    other = CalibrationStore(path)
    assert other.import_json(tmp_path / "all.json") == 3
    assert other.export_json() == text
    assert other.import_json(text) == 0
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 100)
    other.add(*readout(), "device", "conditions", shots=5)
    assert other.import_json(text) == 0
    assert kept.import_json(other.export_json()) == 1
    some = json.loads(kept.export_json(keys=[next(kept.records()).key[:8]]))
    assert len(some["records"]) == 1
    with pytest.raises(InputError, match="names no records"):
        kept.export_json(keys=["fedcba9876"])
    with pytest.raises(InputError, match="cannot be written"):
        kept.export_json(tmp_path / "missing" / "all.json")


def test_everything_that_is_wrong_with_an_import_is_said_at_once_and_nothing_is_taken():
    data = json.loads(filled().export_json())
    one, two, three = data["records"]
    one["shots"] = 12
    del two["payload"]
    three["kind"] = "horoscope"
    data["records"] += [{**one, "learned": "soon", "quality": []}, 5]
    kept = CalibrationStore(":memory:")
    with pytest.raises(InputError) as error:
        kept.import_json(json.dumps(data))
    said = str(error.value)
    assert len(error.value.problems) == 5
    for text in (
        r"text.records[0]: checksum is wrong",
        "records[1]: lacks payload",
        "records[2]: kind is 'horoscope', which is none of twirled_readout, readout_confusion, layer_noise",
        "records[3]: has values of the wrong type for quality, learned",
        "records[4]: must be a mapping, not int",
    ):
        assert text in said
    assert len(kept) == 0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is no JSON"),
        ("{}", "must be an export of calibrations"),
        ('{"format": "quell calibrations", "schema": 9, "records": []}', "has schema version 9, and quell"),
        ('{"format": "quell calibrations", "schema": 1, "records": {}}', "records: must be a list"),
        ("missing.json", "missing.json: cannot be read"),
    ],
)
def test_imports_that_are_none_are_refused(text, why):
    with pytest.raises(InputError, match=why):
        CalibrationStore(":memory:").import_json(text)


@pytest.mark.parametrize(
    ("make", "part", "place", "value", "why"),
    [
        (readout, "payload", "qubits", [3, 2, 0], "qubits must ascend"),
        (readout, "payload", "planes", "AAAA", "planes must hold 192 bytes"),
        (readout, "payload", "planes", "no base64!", "planes must be base64"),
        (readout, "payload", "shots", [1, 2, 3, -4], "integers that are not negative"),
        (readout, "payload", "shots", [128, 100, 90, 1], "bits beyond the shots"),
        (readout, "payload", "block", 0, "block must be an integer of at least 1"),
        (readout, "requirement", "qubits", [0, 5], "qubits names qubit 5 of 5"),
        (readout, "requirement", "balanced", 1, "balanced must be true or false"),
        (readout, "requirement", "more", 1, "unknown entries more"),
        (confusion, "payload", "counts", [[[1, 2], [3, 4]], [[1, 0], [0, 1]]], "must be 4 lists of 4 counts"),
        (confusion, "payload", "groups", [[0, 1], [1]], "groups must not share qubits"),
        (confusion, "requirement", "groups", [[0, 3]], "groups names qubit 3 of 3"),
        (layer_noise, "requirement", "pairs", [[0, 1, 2]], "pairs must be pairs of qubits"),
        (layer_noise, "requirement", "depths", [0, -1], "depths must be a list of integers"),
        (layer_noise, "requirement", "layer", {"gates": [], "spectators": []}, "gates must be a list"),
        (layer_noise, "payload", "rates", [0.1, -0.1, 0.1], "rates"),
    ],
)
def test_data_that_cannot_be_are_refused_though_their_checksum_is_right(make, part, place, value, why):
    requirement, calibration = make()
    kept = CalibrationStore(":memory:")
    kept.add(requirement, calibration, "d", "c")
    row = kept._database.select()[0]
    inner = json.loads(row[part])
    inner[place] = value
    row[part] = plain.canonical(inner)
    row["key"] = rows.key_of(row)
    row["checksum"] = rows.checksum_of(row)
    nested = {**row, **{name: json.loads(row[name]) for name in ("requirement", "quality", "payload")}}
    data = {"format": "quell calibrations", "schema": SCHEMA, "records": [nested]}
    with pytest.raises(InputError, match=why):
        CalibrationStore(":memory:").import_json(json.dumps(data))


def test_gates_of_a_layer_that_share_qubits_are_refused():
    gate = {"name": "cx", "params": [], "qubits": [0, 1]}
    with pytest.raises(ValueError, match="must not share qubits"):
        records.read_layer({"gates": [gate], "spectators": [1]})
    with pytest.raises(ValueError, match="finite numbers"):
        records.read_layer({"gates": [{**gate, "params": ["0"]}], "spectators": []})
    assert records.read_layer({"gates": [gate], "spectators": [2]}) == Layer((("cx", (), (0, 1)),), (2,))


# --- conditions ------------------------------------------------------------------------------


def test_equal_conditions_have_equal_names_and_others_have_others():
    aer_noise = pytest.importorskip("qiskit_aer.noise")

    def model(error):
        made = aer_noise.NoiseModel()
        made.add_all_qubit_quantum_error(aer_noise.depolarizing_error(error, 2), ["cx"])
        made.add_all_qubit_readout_error(aer_noise.ReadoutError([[0.9, 0.1], [0.1, 0.9]]))
        return made

    def conditions(error=0.01, **more):
        return (readout()[0], {"noise_model": model(error), "b": np.arange(3), "c": 1.5 + 2j, **more})

    same = plain.digest(conditions())
    assert same is not None
    assert plain.digest(conditions()) == same
    others = [
        conditions(0.02),
        conditions(b=np.arange(4)),
        conditions(b=[0, 1, 2]),
        conditions(d=None),
        conditions(c=np.inf),
        (*conditions(), None),
    ]
    assert len({same, *map(plain.digest, others)}) == 7
    assert plain.digest({"a": 1, "b": 2}) == plain.digest({"b": 2, "a": 1})
    assert plain.digest({1: "x"}) != plain.digest({"1": "x"})
    for nameless in (object(), lambda: None, [print], TwirledReadout):
        assert plain.digest({"what": nameless}) is None
