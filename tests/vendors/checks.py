"""What quell has to do on any backend; the files beside this one say it of the devices of vendors.

Values are compared with what the circuit itself says, in standard errors that quell reports. Backends without a
seed cannot be repeated, so the limit is six of them: with errors estimated from 32 randomizations a correct value
is outside with a probability of 1e-6, and a file makes fewer than a hundred comparisons.
"""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit.quantum_info import SparsePauliOp, Statevector

from quell import Estimator, Sampler, wrap

SIGMAS = 6.0
#: What may be submitted without being listed: targets often leave these out.
NO_GATES = {"barrier", "measure", "reset", "delay"}


def entangled():
    """Return a circuit of three qubits whose gates are no Cliffords, and observables with values of all sizes."""
    circuit = QuantumCircuit(3)
    circuit.ry(0.9, 0)
    circuit.cx(0, 1)
    circuit.rx(0.5, 1)
    circuit.cz(1, 2)
    circuit.h(2)
    circuit.cx(1, 2)
    circuit.rz(0.3, 2)
    circuit.ry(0.4, 2)
    return circuit, ["IIZ", "IZI", "ZZI", "XII", "YXI", "XYZ", "ZIZ"]


def ghz():
    """Return a state all of whose observables here are 1 or -1, so that noise brings each of them nearer to 0."""
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    return circuit, ["ZZI", "IZZ", "ZIZ", "XXX", "YYX", "XYY"]


def true_values(circuit, observables):
    state = Statevector(circuit)
    return np.array([state.expectation_value(SparsePauliOp(name)).real for name in observables])


@contextmanager
def watched(backend):
    """Yield a list that every circuit given to ``backend.run`` is added to, with the keyword arguments."""
    seen, run = [], backend.run

    def watching(circuits, *args, **kwargs):
        many = [circuits] if isinstance(circuits, QuantumCircuit) else list(circuits)
        seen.extend((circuit, kwargs) for circuit in many)
        return run(circuits, *args, **kwargs)

    backend.run = watching
    try:
        yield seen
    finally:
        del backend.run


def assert_native(seen, target):
    """Assert that circuits have nothing but gates of the target, on qubits that have them."""
    assert seen
    used = {
        (instruction.name, tuple(circuit.find_bit(bit).index for bit in instruction.qubits))
        for circuit, _ in seen
        for instruction in circuit.data
        if instruction.name not in NO_GATES
    }
    assert not {gate for gate in used if not target.instruction_supported(*gate)}


def estimated(backend, circuit, observables, level, precision=0.02, **options):
    """Return values, standard errors and what was submitted; gates and measurements are twirled."""
    isa = transpile(circuit, backend, optimization_level=1, seed_transpiler=7)
    mapped = [SparsePauliOp(name) for name in observables]
    if isa.layout is not None:
        mapped = [operator.apply_layout(isa.layout) for operator in mapped]
    estimator = Estimator(backend, options={"resilience_level": level, "seed": 11 + level, **options})
    estimator.options.twirling.enable_gates = True
    estimator.options.twirling.enable_measure = True
    with watched(backend) as seen:
        data = estimator.run([(isa, mapped)], precision=precision).result()[0].data
    return data.evs, data.stds, seen


def check_unbiased(backend, level, *, target=None, precision=0.02, case=entangled, **options):
    """Check an ideal device: values agree with the truth, circuits are native."""
    circuit, observables = case()
    values, errors, seen = estimated(backend, circuit, observables, level, precision, **options)
    assert_native(seen, target or backend.target)
    truth = true_values(circuit, observables)
    assert np.isfinite(values).all()
    assert (errors > 0).all()
    assert (errors < 3 * precision).all()
    assert (np.abs(values - truth) < SIGMAS * errors).all()


def check_mitigated(backend, *, target=None, precision=0.015, case=ghz, levels=(1, 2)):
    """Check a noisy device: each level is closer to the truth than none, by the root mean square of all values."""
    circuit, observables = case()
    truth = true_values(circuit, observables)
    distances = {}
    for level in (0, *levels):
        values, errors, seen = estimated(backend, circuit, observables, level, precision)
        assert_native(seen, target or backend.target)
        assert np.isfinite(values).all()
        distances[level] = np.sqrt(np.mean((values - truth) ** 2))
        scale = np.sqrt(np.mean(errors**2) / len(errors))
    for level in levels:
        assert distances[level] + 2 * scale < distances[0], distances
    return distances


def two_registers():
    """Return a circuit with a register of one bit and one of two, and what they have to read: 1 and 01 or 10."""
    qubits, one, two = QuantumRegister(3, "q"), ClassicalRegister(1, "one"), ClassicalRegister(2, "two")
    circuit = QuantumCircuit(qubits, one, two)
    circuit.x(0)
    circuit.h(1)
    circuit.cx(1, 2)
    circuit.x(2)
    circuit.measure(0, one[0])
    circuit.measure([1, 2], two)
    return circuit


TWIRLED = {"twirling": {"enable_gates": True, "enable_measure": True}}


def check_sampler(backend, *, shots=1001, allowed=0.0, target=None, case=two_registers):
    """Check registers and their outcomes; at most a part `allowed` of the shots may be wrong, because of noise."""
    circuit = transpile(case(), backend, optimization_level=1, seed_transpiler=7)
    sampler = Sampler(backend, options={"seed": 3, **TWIRLED})
    with watched(backend) as seen:
        data = sampler.run([circuit], shots=shots).result()[0].data
    assert_native(seen, target or backend.target)
    assert {name: (bits.num_bits, bits.num_shots) for name, bits in data.items()} == {
        "one": (1, shots),
        "two": (2, shots),
    }
    ones, twos = data.one.get_counts(), data.two.get_counts()
    _check_outcomes(ones.get("1", 0), [twos.get("01", 0), twos.get("10", 0)], shots, allowed)


def check_wrapped(backend, *, shots=777, allowed=0.0, target=None, case=two_registers):
    """Check counts of a backend inside of ours."""
    wrapped = wrap(backend, TWIRLED)
    circuit = transpile(case(), wrapped, optimization_level=1, seed_transpiler=7)
    with watched(backend) as seen:
        counts = wrapped.run(circuit, shots=shots).result().get_counts()
    assert_native(seen, target or backend.target)
    assert sum(counts.values()) == shots
    ones = sum(number for key, number in counts.items() if key.split(" ")[1] == "1")
    twos = [sum(n for key, n in counts.items() if key.split(" ")[0] == two) for two in ("01", "10")]
    _check_outcomes(ones, twos, shots, allowed)


def _check_outcomes(ones, twos, shots, allowed):
    assert ones >= (1 - allowed) * shots
    assert sum(twos) >= (1 - allowed) * shots
    # Either outcome is a fair coin: within six standard deviations, and what noise takes away.
    assert all(abs(number - shots / 2) <= 3 * np.sqrt(shots) + allowed * shots for number in twos)


def check_decoupled(backend, durations=None, *, sequence="XY4", target=None, precision=0.02):
    """Check that idle qubits get pulses and delays of the target, and values stay what they are."""
    circuit = QuantumCircuit(3)
    circuit.h(0)
    for _ in range(4):
        circuit.cx(0, 1)
        circuit.rx(0.3, 1)
    circuit.cx(1, 2)
    observables = ["IIX", "IXI", "IZI", "ZZI", "XXX"]
    options = {"enable": True, "sequence_type": sequence}
    if durations is not None:
        options["instruction_durations"] = durations
    values, errors, seen = estimated(
        backend, circuit, observables, 0, precision, dynamical_decoupling=options
    )
    assert_native(seen, target or backend.target)
    assert all("delay" in circuit.count_ops() for circuit, _ in seen)
    return values, errors, true_values(circuit, observables)


def check_corrected(backend, *, shots=4000, gains=True, allowed=0.0, case=two_registers):
    """Check samples whose readout is corrected: of both registers of `case` the parity is -1.

    Args:
        backend: The device.
        shots: Of each run.
        gains: Whether the device misreads bits, so that correcting them must help.
        allowed: Distance from the truth that gates may cause, which no readout correction undoes.
        case: The circuit.
    """
    options = {"seed": 5, "resilience": {"measure_mitigation": True}, **TWIRLED}
    circuit = transpile(case(), backend, optimization_level=1, seed_transpiler=7)
    with watched(backend) as seen:
        result = Sampler(backend, options=options).run([circuit], shots=shots).result()[0]
    assert_native(seen, backend.target)
    raws, found = [], []
    for name, observable in (("one", "Z"), ("two", "ZZ")):
        bits = getattr(result.data, name)
        assert bits.num_shots == shots
        quasi = result.quasi_distribution(name)
        assert abs(sum(quasi.values()) - 1) < 1e-6  # M3 counts in single precision
        values, errors = quasi.expectation_values([observable])
        assert (abs(values + 1) < SIGMAS * errors + allowed).all()
        raws.append(float(bits.expectation_values([observable])[0]))
        found.append(float(values[0]))
    if gains:
        assert sum(abs(value + 1) for value in found) < sum(abs(raw + 1) for raw in raws)
    counts = wrap(backend, options).run(circuit, shots=shots).result().get_counts()
    assert sum(counts.values()) == shots
    assert all(isinstance(number, int) and number >= 0 for number in counts.values())
    right = sum(number for key, number in counts.items() if key.replace(" ", "") in ("011", "101"))
    assert right >= (1 - allowed) * shots - 3 * np.sqrt(shots) - 1
