"""The noisy devices do what they say: each kind of noise by itself, with the magnitude of the snapshot."""

from __future__ import annotations

import copy
import importlib.util
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit import Parameter
from qiskit.circuit.library import XGate
from qiskit.primitives import BackendSamplerV2
from qiskit.quantum_info import DensityMatrix, Operator, SparsePauliOp
from qiskit.transpiler import PassManager
from qiskit.transpiler.passes import ALAPScheduleAnalysis, PadDynamicalDecoupling

from quell.errors import CalibrationError, InputError, MissingDependencyError, OptionsError, UnsupportedError
from quell.testing.devices import NoisyDevice, device_names, exact_value, load_device, read_snapshot

pytest.importorskip("qiskit_aer")
CALIBRATION = Path(__file__).parents[2] / "calibration"
OFF = {"depolarizing": False, "thermal": False, "coherent": False, "idle": False, "readout": False}


def only(name: str, device: str = "tee5", **options: object) -> NoisyDevice:
    """Return a device with one kind of noise."""
    return NoisyDevice(device, **{**OFF, name: True}, **options)


def final_state(device: NoisyDevice, circuit: QuantumCircuit, qubits: list[int]) -> DensityMatrix:
    """Return the exact state of some qubits after a circuit with the device's noise: no shots."""
    circuit = circuit.copy()
    circuit.save_density_matrix(qubits)
    data = device.run(circuit, shots=1, method="density_matrix").result().data(0)
    return DensityMatrix(data["density_matrix"])


def plus(circuit: QuantumCircuit, *qubits: int) -> None:
    """Prepare |+> in the device's gates."""
    for qubit in qubits:
        circuit.rz(np.pi / 2, qubit)
        circuit.sx(qubit)
        circuit.rz(np.pi / 2, qubit)


# ------------------------------------------------------------------------------------------- snapshots


def test_snapshots_regenerate_byte_for_byte():
    spec = importlib.util.spec_from_file_location("make_devices", CALIBRATION / "make_devices.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert tuple(sorted(script.DEVICES)) == device_names()
    for name in device_names():
        data = (CALIBRATION / "devices" / f"{name}.json").read_bytes()
        assert data == script.render(name).encode()
        assert len(data) < 100_000
        assert dict(load_device(name).provenance)["seed"] == script.SEED
        assert "Synthetic" in dict(load_device(name).provenance)["statement"]


@pytest.mark.parametrize("name", device_names())
def test_snapshots_are_realistic(name):
    device = load_device(name)
    assert (device.num_qubits, device.two_qubit_gate) == {"tee5": (5, "cx"), "hex27": (27, "cz")}[name]

    def within(values, low, high):
        return np.all((np.abs(values) >= low) & (np.abs(values) <= high))

    assert within(device.pair_errors, 0.003, 0.01)
    assert within(device.gate_errors[1:], 2e-4, 5e-4)
    assert within([device.t1s, device.t2s], 80e-6, 250e-6)
    assert within(device.pair_durations, 300e-9, 500e-9)
    assert within(device.flips, 0.01, 0.04)
    assert np.all(device.flips[:, 1] > device.flips[:, 0])
    assert within(device.over_rotations, 0.03, 0.08)
    assert within(device.detunings, 2 * np.pi * 4.99e3, 2 * np.pi * 30.1e3)
    assert within(device.idle_zz, 2 * np.pi * 9.99e3, 2 * np.pi * 50.1e3)
    steps = np.concatenate([device.pair_durations, device.gate_durations.ravel()]) / device.dt
    assert np.allclose(steps, np.round(steps))
    assert not device.t1s.flags.writeable


def tee5() -> dict:
    return json.loads((CALIBRATION / "devices" / "tee5.json").read_text())


def test_a_bad_snapshot_is_refused_with_every_problem_named(tmp_path):
    data = tee5()
    data["dt_s"] = 0
    data["timing_constraints"]["granularity"] = 1.5
    data["two_qubit_gate"] = "swap"
    data["qubits"][0]["t2_s"] = 3 * data["qubits"][0]["t1_s"]
    data["qubits"][1]["p1_given_0"] = 1.2
    data["qubits"][2]["detuning_rad_per_s"] = math.nan
    data["qubits"][3]["gates"]["sx"]["error"] = "small"
    del data["qubits"][4]["t1_s"]
    data["pairs"][0]["qubits"] = [0, 7]
    data["pairs"][2]["qubits"] = [2, 1]
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(data))
    with pytest.raises(CalibrationError) as caught:
        load_device(path)
    assert sorted(problem.path for problem in caught.value.problems) == [
        "dt_s",
        "pairs[0].qubits",
        "pairs[2].qubits",
        "qubits[0].t2_s",
        "qubits[1].p1_given_0",
        "qubits[2].detuning_rad_per_s",
        "qubits[3].gates.sx.error",
        "qubits[4].t1_s",
        "timing_constraints.granularity",
        "two_qubit_gate",
    ]
    assert "qubits[1].p1_given_0: must be between 0 and 1, got 1.2" in str(caught.value)


@pytest.mark.parametrize("data", [[], "text", {}, {"schema_version": 2}])
def test_another_schema_version_is_refused(data):
    with pytest.raises(CalibrationError, match="schema_version: must be 1"):
        read_snapshot(data)


@pytest.mark.parametrize("data", [{"schema_version": 1}, {**tee5(), "qubits": {}}, {**tee5(), "name": None}])
def test_missing_parts_are_refused(data):
    with pytest.raises(CalibrationError):
        read_snapshot(data)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(CalibrationError, match="did you mean 'hex27'"):
        load_device("hex72")
    (tmp_path / "text.json").write_text("{")
    with pytest.raises(CalibrationError, match="is not JSON"):
        load_device(tmp_path / "text.json")


# --------------------------------------------------------------------------------------- one by one


def test_without_noise_the_distribution_is_exact():
    device = NoisyDevice("tee5").noiseless()
    circuit = QuantumCircuit(5)
    plus(circuit, 0)
    circuit.delay(10, 0, "us")
    circuit.cx(0, 1)
    circuit.x(4)
    circuit.save_probabilities()
    probabilities = device.run(circuit).result().data(0)["probabilities"]
    expected = np.zeros(32)
    expected[[0b10000, 0b10011]] = 0.5
    assert np.allclose(probabilities, expected, atol=1e-12)
    assert device.noisy_circuit(circuit) is circuit
    assert device.truth.noise_model.is_ideal()
    assert np.array_equal(device.truth.confusion_matrices, np.broadcast_to(np.eye(2), (5, 2, 2)))


def test_readout_flips_at_the_true_rates():
    # ten binomials, each within five sigma of the truth: false alarm below 1e-5
    device, shots = only("readout", seed=7), 40_000
    zeros, ones = QuantumCircuit(5, 5), QuantumCircuit(5, 5)
    ones.x(range(5))
    for circuit in (zeros, ones):
        circuit.measure(range(5), range(5))
    result = device.run([zeros, ones], shots=shots).result()
    for prepared in (0, 1):
        counts = result.get_counts(prepared)
        for qubit, matrix in enumerate(device.truth.confusion_matrices):
            measured = sum(n for bits, n in counts.items() if bits[-1 - qubit] == "1") / shots
            p = matrix[1, prepared]
            assert abs(measured - p) < 5 * np.sqrt(p * (1 - p) / shots)
            assert matrix[1 - prepared, prepared] == pytest.approx(device.snapshot.flips[qubit, prepared])


def test_over_rotations_add_up():
    device = only("coherent", "hex27")
    angle = device.truth.over_rotations[1, 4]
    circuit = QuantumCircuit(5)
    plus(circuit, 1, 4)
    for _ in range(6):
        circuit.cz(4, 1)  # pairs of cz cancel, the rzz do not
    state = final_state(device, circuit, [1, 4])
    assert state.expectation_value(SparsePauliOp("IX")).real == pytest.approx(np.cos(6 * angle), abs=1e-9)


def test_depolarizing_alone_has_the_gate_error_of_the_snapshot():
    device = only("depolarizing")
    for (name, qubits), (_, error) in device.snapshot.operations().items():
        if name in ("rz", "sx", "x", "cx"):
            d = 2 ** len(qubits)
            assert device.truth.depolarizing[name, qubits] * (d - 1) / d == pytest.approx(error)
    gates = 20  # the polarization decays by 1 - p with every gate, whatever the gate
    for name, qubits, label in (("cx", (1, 3), "ZZ"), ("cx", (3, 1), "ZZ"), ("x", (2,), "Z")):
        circuit = QuantumCircuit(5)
        for _ in range(gates):
            getattr(circuit, name)(*qubits)
        value = final_state(device, circuit, list(qubits)).expectation_value(SparsePauliOp(label)).real
        assert value == pytest.approx((1 - device.truth.depolarizing[name, qubits]) ** gates, abs=1e-9)


def test_relaxation_while_idle_and_during_gates():
    device = only("thermal")
    t1, t2, wait = device.truth.t1s[2], device.truth.t2s[2], 50e-6
    gate = device.truth.durations["sx", (2,)]
    excited, coherent = QuantumCircuit(5), QuantumCircuit(5)
    excited.x(2)
    plus(coherent, 2)
    for circuit in (excited, coherent):
        circuit.delay(wait * 1e6, 2, "us")
    population = final_state(device, excited, [2]).data[1, 1].real
    coherence = abs(final_state(device, coherent, [2]).data[0, 1]) * 2
    assert population == pytest.approx(np.exp(-(wait + gate) / t1), abs=1e-9)
    assert coherence == pytest.approx(np.exp(-(wait + gate) / t2), abs=1e-9)


def test_each_qubit_of_a_pair_relaxes_at_its_own_rate():
    device = only("thermal", "hex27")
    for excited in (1, 4):
        for pair in ((1, 4), (4, 1)):
            circuit = QuantumCircuit(5)
            circuit.x(excited)
            for _ in range(10):
                circuit.cz(*pair)
            seconds = device.truth.durations["x", (excited,)] + 10 * device.truth.durations["cz", pair]
            population = final_state(device, circuit, [excited]).data[1, 1].real
            assert population == pytest.approx(np.exp(-seconds / device.truth.t1s[excited]), abs=1e-9)
    assert abs(device.truth.t1s[1] / device.truth.t1s[4] - 1) > 0.1


def test_idle_drift_and_its_echo():
    device = only("idle")
    wait = 4000  # steps; 2 us
    free, echo = QuantumCircuit(5), QuantumCircuit(5)
    plus(free, 2)
    free.delay(wait, 2)
    plus(echo, 2)
    echo.delay(wait // 4, 2)
    echo.x(2)
    echo.delay(wait // 2, 2)
    echo.x(2)
    echo.delay(wait // 4, 2)
    drift = final_state(device, free, [2]).expectation_value(SparsePauliOp("X")).real
    assert drift == pytest.approx(np.cos(device.truth.detunings[2] * wait * device.snapshot.dt), abs=1e-9)
    assert drift < 0.99
    refocused = final_state(device, echo, [2]).expectation_value(SparsePauliOp("X")).real
    assert refocused == pytest.approx(1, abs=1e-9)


def pulses(times: dict[int, list[int]], total: int) -> QuantumCircuit:
    """Return |+> on each qubit, then x gates centred at some times (steps) of `total`."""
    circuit = QuantumCircuit(5)
    plus(circuit, *times)
    circuit.barrier()
    for qubit, centres in times.items():
        now = 0
        for centre in centres:
            circuit.delay(centre - 35 - now, qubit)
            circuit.x(qubit)  # 70 steps
            now = centre + 35
        circuit.delay(total - now, qubit)
    circuit.barrier()
    return circuit


def test_staggered_pulses_refocus_zz_and_aligned_ones_do_not():
    device, total = only("idle"), 4000

    def coherence(times):
        state = final_state(device, pulses(times, total), [0, 1])
        return state.expectation_value(SparsePauliOp("IX")).real

    aligned = coherence({0: [1000, 3000], 1: [1000, 3000]})
    staggered = coherence({0: [1000, 3000], 1: [500, 1500, 2500, 3500]})
    # Z is refocused in both; aligned, ZZ acts whenever both idle: all the time but the two pulses
    angle = device.truth.idle_zz[0, 1] * (total - 2 * 70) * device.snapshot.dt
    assert aligned == pytest.approx(np.cos(angle), abs=1e-9)
    assert aligned < 0.95
    assert staggered == pytest.approx(1, abs=1e-9)


def test_zz_acts_only_on_the_overlap_of_coupled_qubits():
    device = only("idle")
    circuit = QuantumCircuit(5)
    plus(circuit, 0, 1, 4)  # 4 is no neighbour of 0 and 1
    circuit.barrier()
    circuit.delay(2000, [0, 1, 4])
    circuit.barrier()
    circuit.x([0, 1, 4])
    drifts = [i for i in device.noisy_circuit(circuit).data if i.operation.name == "rzz"]
    assert len(drifts) == 1
    assert drifts[0].operation.params[0] == pytest.approx(device.truth.idle_zz[0, 1] * 1e-6)


def test_switches_and_scale():
    device = NoisyDevice("tee5", scale=0.5)
    full = NoisyDevice("tee5").truth
    assert device.truth.detunings == pytest.approx(full.detunings / 2)
    assert device.truth.t1s == pytest.approx(full.t1s * 2)
    assert device.truth.over_rotations[0, 1] == pytest.approx(full.over_rotations[0, 1] / 2)
    assert device.with_noise(scale=1).truth.depolarizing == full.depolarizing
    assert device.with_noise(readout=False).switches.scale == 0.5
    assert NoisyDevice("tee5", scale=0).truth.noise_model.is_ideal()
    for scale in (-1, math.inf, 1e4):
        with pytest.raises(OptionsError, match="scale"):
            NoisyDevice("tee5", scale=scale)


# ----------------------------------------------------------------------------------------- circuits


def test_idle_noise_leaves_unused_qubits_alone_and_padding_changes_nothing():
    device = NoisyDevice("hex27")
    circuit = QuantumCircuit(27, 3)
    plus(circuit, 0, 1)
    circuit.cz(0, 1)
    circuit.cz(1, 2)
    circuit.barrier()
    circuit.measure([0, 1, 2], [0, 1, 2])
    padded = transpile(circuit, device, scheduling_method="alap", optimization_level=0)
    assert padded.count_ops()["delay"] >= 27 - 3
    plain, same = device.noisy_circuit(circuit), device.noisy_circuit(padded)
    assert plain.count_ops() == same.count_ops()
    assert {plain.find_bit(bit).index for item in same.data for bit in item.qubits} == {0, 1, 2}
    values = [
        [item.operation.params[0] for item in noisy.data if item.operation.name in ("rz", "rzz")]
        for noisy in (plain, same)
    ]
    assert sorted(values[0]) == pytest.approx(sorted(values[1]))


def test_the_noisy_circuit_is_the_same_circuit_apart_from_the_noise():
    # a mixed circuit in an awkward order: all of one qubit, then all of another
    device = only("idle")
    circuit = QuantumCircuit(5)
    rng = np.random.default_rng(5)
    for _ in range(60):
        kind, qubit = rng.integers(4), int(rng.integers(5))
        if kind == 0:
            circuit.cx(*[(0, 1), (2, 1), (1, 3), (3, 4)][rng.integers(4)])
        elif kind == 1:
            circuit.delay(int(rng.integers(1000)), qubit)
        else:
            circuit.sx(qubit)
    still = device.with_noise(scale=1e-12)
    noisy = QuantumCircuit(5)
    for item in still.noisy_circuit(circuit).data:
        noisy.append(item)
    assert Operator(noisy).equiv(Operator(circuit), atol=1e-6)


def test_measurements_reset_registers_and_control_flow():
    registers = QuantumRegister(5), ClassicalRegister(1, "a"), ClassicalRegister(2, "b")
    circuit = QuantumCircuit(*registers)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((registers[1], 1)):
        for _ in range(51):
            circuit.x(1)
    circuit.reset(0)
    circuit.delay(100, 1, "ns")
    circuit.measure([0, 1], registers[2])
    noiseless = NoisyDevice("tee5").noiseless().run(circuit).result().get_counts()
    assert noiseless == {"10 1": 4096}
    device = only("depolarizing", seed=11)
    counts = device.run(circuit, shots=20_000).result().get_counts()
    # gate noise acts inside the block: 51 x gates; five sigma, false alarm 6e-7
    p = (1 - (1 - device.truth.depolarizing["x", (1,)]) ** 51) / 2
    flipped = sum(n for bits, n in counts.items() if bits == "00 1") / 20_000
    assert abs(flipped - p) < 5 * np.sqrt(p / 20_000)
    everything = NoisyDevice("tee5", seed=1).run(circuit, shots=200).result().get_counts()
    assert max(everything, key=everything.get) == "10 1"


def test_qubits_idle_while_others_run_a_block_but_not_inside_it():
    device = only("idle")
    circuit = QuantumCircuit(5, 1)
    circuit.sx([0, 1])
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(0)
        circuit.delay(500, 0)
        circuit.x(0)
    circuit.cx(0, 1)
    noisy = device.noisy_circuit(circuit)
    drift = [item for item in noisy.data if item.operation.name == "rz"]
    assert [noisy.find_bit(item.qubits[0]).index for item in drift] == []
    circuit.barrier(0, 1)
    early = circuit.copy_empty_like()
    early.sx([0, 1])
    early.barrier(0, 1)
    for item in circuit.data[2:]:
        early.append(item)
    noisy = device.noisy_circuit(early)
    drift = [item for item in noisy.data if item.operation.name == "rz"]
    assert [noisy.find_bit(item.qubits[0]).index for item in drift] == [1]
    idle = 1e-6 + 2 * 35e-9 + 250e-9  # measurement, then the block
    assert drift[0].operation.params[0] == pytest.approx(device.truth.detunings[1] * idle)


@pytest.mark.parametrize("name", device_names())
def test_circuits_transpile_to_the_device(name):
    device = NoisyDevice(name, seed=3)
    circuit = QuantumCircuit(4)
    circuit.h(0)
    circuit.cx(0, [1, 2, 3])
    circuit.measure_all()
    isa = transpile(circuit, device, optimization_level=1, seed_transpiler=1)
    scheduled = transpile(circuit, device, scheduling_method="alap", optimization_level=1, seed_transpiler=1)
    passes = [
        ALAPScheduleAnalysis(target=device.target),
        PadDynamicalDecoupling(target=device.target, dd_sequence=[XGate(), XGate()]),
    ]
    decoupled = PassManager(passes).run(isa)
    for counts in device.run([isa, scheduled, decoupled], shots=400).result().get_counts():
        assert counts.get("0000", 0) + counts.get("1111", 0) > 200
    assert device.target.dt == device.snapshot.dt
    assert device.coupling_map.is_symmetric
    assert device.num_qubits == len(device.truth.t1s)


def test_five_qubits_of_the_large_device_are_cheap():
    device = NoisyDevice("hex27", seed=2)
    circuit = QuantumCircuit(5)
    circuit.h(0)
    for qubit in range(4):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    isa = transpile(circuit, device, optimization_level=1, seed_transpiler=4)
    start = time.perf_counter()
    result = device.run(isa).result()
    assert time.perf_counter() - start < 2
    assert result.results[0].metadata["num_qubits"] == 5
    start = time.perf_counter()
    for _ in range(100):
        device.noisy_circuit(isa)
    assert time.perf_counter() - start < 1


# ---------------------------------------------------------------------------------------------- run


def test_runs_are_reproducible_and_follow_the_options():
    circuit = QuantumCircuit(2, 2, name="mine", metadata={"key": 1})
    plus(circuit, 0, 1)
    circuit.measure([0, 1], [0, 1])
    first, second = (NoisyDevice("tee5", seed=5) for _ in range(2))
    counts = [device.run([circuit, circuit]).result().get_counts() for device in (first, first, second)]
    assert counts[0] == counts[2]  # the same device made again
    assert counts[0] != counts[1]  # but runs differ; equal by chance less than once in 1e4
    assert counts[0][0] != counts[0][1]
    assert sum(counts[0][0].values()) == 4096
    assert first.noiseless().run(circuit, seed_simulator=1).result().get_counts(circuit)
    first.set_options(shots=10, memory=True)
    result = first.with_noise(idle=False).run(circuit).result()
    assert len(result.get_memory()) == 10
    assert result.results[0].header["name"] == "mine"
    assert result.results[0].header["metadata"] == {"key": 1}
    sampled = BackendSamplerV2(backend=second).run([circuit], shots=50).result()[0]
    assert sampled.data.c.num_shots == 50


def test_parameter_binds_are_aers():
    device, angle = NoisyDevice("tee5").noiseless(), Parameter("angle")
    circuit = QuantumCircuit(1, 1)
    circuit.sx(0)
    circuit.rz(angle, 0)
    circuit.sx(0)
    circuit.measure(0, 0)
    result = device.run(circuit, parameter_binds=[{angle: [0.0, np.pi]}], shots=100).result()
    assert result.get_counts() == [{"1": 100}, {"0": 100}]
    noisy = NoisyDevice("tee5").run(circuit, parameter_binds=[{angle: [0.0, np.pi]}], shots=100).result()
    assert len(noisy.get_counts()) == 2


def test_circuits_that_do_not_fit_are_refused_with_every_problem_named():
    device = NoisyDevice("tee5")
    large, foreign = QuantumCircuit(6), QuantumCircuit(5)
    foreign.h(0)
    foreign.cx(0, 4)
    device.max_circuits = 1
    with pytest.raises(InputError) as caught:
        device.run([large, foreign])
    assert len(caught.value.problems) == 4
    assert "circuits[1]: tee5 has no cx on 0, 4; transpile the circuit to the device" in str(caught.value)
    device.max_circuits = None
    delayed = QuantumCircuit(1)
    delayed.x(0)
    delayed.delay(Parameter("t"), 0)
    delayed.x(0)
    with pytest.raises(InputError, match="no length"):
        device.run(delayed)


def test_without_aer_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "qiskit_aer", None)
    circuit = QuantumCircuit(1)
    with pytest.raises(MissingDependencyError, match=r"pip install 'quell\[aer\]'"):
        NoisyDevice("tee5").run(circuit)


# ------------------------------------------------------------------------------------- exact values


def test_exact_values_on_few_of_many_qubits():
    circuit = QuantumCircuit(27, 2)
    circuit.ry(0.4, 20)
    circuit.cx(20, 3)
    circuit.delay(10, 7)
    circuit.barrier()
    circuit.measure([20, 3], [0, 1])
    terms = [("Z", [20], 2.0), ("ZZ", [20, 3], 1.0), ("Z", [7], 0.5), ("X", [7], 9.0), ("XX", [3, 20], 1.0)]
    observable = SparsePauliOp.from_sparse_list(terms, num_qubits=27)
    assert exact_value(circuit, observable) == pytest.approx(2 * np.cos(0.4) + 1 + 0.5 + np.sin(0.4))
    assert exact_value(QuantumCircuit(2), "ZZ") == 1
    assert exact_value(QuantumCircuit(2), "XZ") == 0


def test_exact_values_refuse_what_has_none():
    circuit = QuantumCircuit(2, 1)
    with pytest.raises(InputError, match=r"2 problems"):
        exact_value(circuit, 1j * SparsePauliOp("XYZ"))
    circuit.measure(0, 0)
    circuit.x(0)
    with pytest.raises(UnsupportedError, match="measure has no state vector"):
        exact_value(circuit, "ZZ")
    large = QuantumCircuit(25)
    large.x(range(25))
    with pytest.raises(UnsupportedError, match="24"):
        exact_value(large, "Z" * 25)


def test_a_copy_goes_on_where_the_device_is() -> None:
    """The local mode of the vendor's client runs on deep copies of backends."""
    device = NoisyDevice("tee5", seed=4, coherent=False, scale=2.0)
    device.max_circuits = 7
    device.set_options(shots=50)
    circuit = QuantumCircuit(5, 1)
    circuit.sx(0)
    circuit.measure(0, 0)
    device.run(circuit).result()
    other = copy.deepcopy(device)
    assert (other.switches, other.max_circuits, other.options.shots) == (device.switches, 7, 50)
    assert other.snapshot is device.snapshot
    counts = [d.run(circuit, memory=True).result().get_memory() for d in (device, other)]
    assert counts[0] == counts[1]
