"""Readout correction of samples: quell's quasi-distributions against mthree, which solves them for both.

Four parts, each printed as a table:

- ``speed``: 42-qubit GHZ states, from the very same shots and confusion matrices to a dictionary of
  quasi-probabilities, and to expectation values with error bars. Results are compared before anything is timed.
- ``bias``: mean |bias| of the Pauli-Z observables of weight 1 and 2 as they were read, from mthree's
  quasi-probabilities, and from quell's inverse shot by shot. Readout is learned anew in every repetition.
- ``coverage``: how often quell's nominal 95 % intervals hold the truth, with as few shots for learning as for data.
- ``backend``: end to end on `GenericBackendV2`, which mthree's own calibration refuses.

Readout errors are independent, p(1|0) = 1.4 % and p(0|1) = 2.6 %; sampling is exact, truth is that of stabilizers.

    python benchmarks/readout.py
    python benchmarks/readout.py --parts speed --repeats 9
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from mthree import M3Mitigation
from numpy.typing import NDArray
from qiskit import QuantumCircuit, transpile
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Pauli, StabilizerState

from quell import Sampler
from quell.primitives.corrected import SamplerPubResult
from quell.primitives.quasi import QuasiDistribution
from quell.testing import ExactSampler, ReadoutModel

P_READ_1, P_READ_0 = 0.014, 0.026
SIZES = (5, 20, 42)
STATES = ("zero", "GHZ", "chain", "random")
Floats = NDArray[np.float64]


def state(kind: str, num_qubits: int) -> QuantumCircuit:
    """Return a circuit without measurements.

    The chain is one of Bell pairs joined by CZ: half of its bits are random, so that of many qubits nearly every
    outcome is new, and neighbours of every second bond agree. The random circuits have two layers of random
    one-qubit Cliffords and CZ on alternating neighbours, and then another of one-qubit Cliffords.
    """
    circuit = QuantumCircuit(num_qubits)
    if kind == "GHZ":
        circuit.h(0)
        for qubit in range(num_qubits - 1):
            circuit.cx(qubit, qubit + 1)
    elif kind == "chain":
        circuit.h(range(0, num_qubits, 2))
        for qubit in range(0, num_qubits - 1, 2):
            circuit.cx(qubit, qubit + 1)
        for qubit in range(1, num_qubits - 1, 2):
            circuit.cz(qubit, qubit + 1)
    elif kind == "random":
        rng = np.random.default_rng(num_qubits)
        for layer in range(3):
            for qubit in range(num_qubits):
                for name in rng.choice(["h", "s", "sx", "x", "id"], size=2):
                    getattr(circuit, name)(qubit)
            for qubit in range(layer % 2, num_qubits - 1, 2):
                if layer < 2:
                    circuit.cz(qubit, qubit + 1)
    return circuit


def observables(num_qubits: int) -> list[str]:
    """Return Z on every qubit and on every pair of neighbours."""
    supports = [(i,) for i in range(num_qubits)] + [(i, i + 1) for i in range(num_qubits - 1)]
    return [
        "".join("Z" if i in support else "I" for i in reversed(range(num_qubits))) for support in supports
    ]


def sampled(circuit: QuantumCircuit, shots: int, seed: int) -> SamplerPubResult:
    """Return shots, with readout learned from as many others."""
    readout = ReadoutModel.uniform(circuit.num_qubits, P_READ_1, P_READ_0)
    options = {"resilience": {"measure_mitigation": True}, "seed": seed, "default_shots": shots}
    measured = circuit.measure_all(inplace=False)
    assert measured is not None
    return Sampler(ExactSampler(seed, readout=readout), options).run([measured]).result()[0]


def matrices_of(quasi: QuasiDistribution) -> list[Floats]:
    """Return the confusion matrix of each bit."""
    by_bit = {confusion.bits[0]: confusion.matrix for confusion in quasi.confusions}
    return [by_bit[bit] for bit in range(quasi.num_bits)]


def peer(counts: dict[str, int], matrices: list[Floats], *, overhead: bool = False) -> dict[str, float]:
    """Return what mthree makes of counts."""
    solver = M3Mitigation()
    solver.cals_from_matrices(matrices)
    return solver.apply_correction(counts, range(len(matrices)), return_mitigation_overhead=overhead)


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(calls: dict[str, Callable[[], object]], repeats: int) -> None:
    """Print the medians of calls made in turn, and the median of the ratios to the first of them."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats):
        # Whoever is first in turn takes turns too.
        for name in (list(calls), list(calls)[::-1])[repeat % 2]:
            times[name].append(seconds(calls[name]))
    first = next(iter(times.values()))
    for name, own in times.items():
        ratio = median(a / b for a, b in zip(first, own, strict=True))
        print(f"  {name:58}{median(own):9.3f} s{ratio:9.2f}x")


def speed(repeats: int) -> None:
    for shots in (8192, 100_000):
        result = sampled(state("GHZ", 42), shots, seed=1)
        bit_array, quasi = result.data.meas, result.quasi_distribution()
        matrices = matrices_of(quasi)
        theirs = peer(bit_array.get_counts(), matrices)
        assert quasi.keys() == theirs.keys()
        differ = max(abs(quasi[key] - value) for key, value in theirs.items())
        assert differ <= 1e-6, f"quasi-probabilities differ by {differ}"
        ends = ("0" * 42, "1" * 42)
        fraction = sum(bit_array.get_counts()[key] for key in ends) / shots
        print(
            f"42-qubit GHZ, {shots} shots, {len(quasi)} outcomes: P(0..0) + P(1..1) read {fraction:.3f}, corrected "
            f"{sum(quasi[key] for key in ends):.3f}; largest difference to mthree {differ:.1e}"
        )
        compare(
            {
                "mthree: get_counts, cals_from_matrices, apply_correction": lambda b=bit_array, m=matrices: (
                    peer(b.get_counts(), m)
                ),
                "quell: dict(result.quasi_distribution())": lambda r=result: dict(r.quasi_distribution()),
            },
            repeats,
        )
        labels = observables(42)[32:52]  # ten of weight 1 and ten of weight 2

        def theirs_of(b=bit_array, m=matrices, labels=labels) -> object:
            found = peer(b.get_counts(), m, overhead=True)
            return found.expval(labels), found.stddev()

        compare(
            {
                "mthree: 20 observables, expval and stddev": theirs_of,
                "mthree: 20 observables, expval alone": lambda b=bit_array, m=matrices, labels=labels: peer(
                    b.get_counts(), m
                ).expval(labels),
                "quell: 20 observables with error bars": lambda r=result, labels=labels: (
                    r.quasi_distribution().expectation_values(labels)
                ),
            },
            repeats,
        )


def truths(circuit: QuantumCircuit, labels: list[str]) -> Floats:
    """Return exact expectation values of a Clifford circuit."""
    stabilizers = StabilizerState(circuit)
    return np.array([stabilizers.expectation_value(Pauli(label)) for label in labels], dtype=float)


def bias(repeats: int, shots: int) -> None:
    print(f"mean |bias| of Z and ZZ, {shots} shots, {repeats} repetitions")
    print(f"{'state':8}{'qubits':>7}{'not 0':>7}{'unique':>8}{'read':>9}{'M3':>9}{'quell':>9}{'noise':>9}")
    for kind in STATES:
        for size in SIZES:
            circuit, labels = state(kind, size), observables(size)
            truth = truths(circuit, labels)
            values: dict[str, list[Floats]] = {"read": [], "M3": [], "quell": []}
            unique = []
            for seed in range(repeats):
                result = sampled(circuit, shots, seed)
                quasi = result.quasi_distribution()
                values["read"].append(result.data.meas.expectation_values(labels))
                counts = result.data.meas.get_counts()
                values["M3"].append(peer(counts, matrices_of(quasi)).expval(labels))
                values["quell"].append(quasi.expectation_values(labels)[0])
                unique.append(quasi.unique_fraction)
            off = {name: np.abs(np.mean(v, axis=0) - truth).mean() for name, v in values.items()}
            # What is left of an unbiased estimate, as its spread has it: mean of |x| of a normal distribution.
            spread = np.std(values["quell"], axis=0, ddof=1) / np.sqrt(repeats)
            noise = np.sqrt(2 / np.pi) * spread.mean()
            print(
                f"{kind:8}{size:7}{np.count_nonzero(truth):7}{np.mean(unique):8.1%}"
                f"{off['read']:9.4f}{off['M3']:9.4f}{off['quell']:9.4f}{noise:9.4f}",
                flush=True,
            )


def coverage(repeats: int, shots: int) -> None:
    print(
        f"coverage of nominal 95 % intervals, {shots} shots of data and of calibration, {repeats} repetitions"
    )
    print(f"{'state':8}{'qubits':>7}{'values':>9}{'covered':>9}{'least':>8}{'rms z':>8}")
    everything = []
    for kind in STATES:
        for size in SIZES:
            circuit, labels = state(kind, size), observables(size)
            truth = truths(circuit, labels)
            scores = []
            for seed in range(repeats):
                quasi = sampled(circuit, shots, seed).quasi_distribution()
                values, errors = quasi.expectation_values(labels)
                scores.append((values - truth) / errors)
            inside = np.abs(scores) <= 1.96
            everything.append(inside.mean())
            print(
                f"{kind:8}{size:7}{inside.size:9}{inside.mean():9.1%}{inside.mean(axis=0).min():8.1%}"
                f"{np.sqrt(np.square(scores).mean()):8.2f}",
                flush=True,
            )
    overall = float(np.mean(everything))
    print(f"overall, states and sizes alike: {overall:.1%}")
    assert 0.93 <= overall <= 0.97


def backend(repeats: int, shots: int) -> None:
    device = GenericBackendV2(5, seed=1)
    try:
        M3Mitigation(device).cals_from_system(range(5))
        refusal = "accepts it"
    except Exception as error:  # whatever it is, it is what a user sees
        refusal = f"{type(error).__name__}: {error}"
    print(f"mthree's own calibration on GenericBackendV2: {refusal}")
    flipped = QuantumCircuit(5)
    flipped.x([0, 2, 4])
    circuits = {"GHZ": (state("GHZ", 5), ("00000", "11111")), "10101": (flipped, ("10101",))}
    options = {"resilience": {"measure_mitigation": True}, "default_shots": shots}
    print(f"probability of a correct outcome, 5 qubits, {shots} shots, mean of {repeats}")
    for name, (circuit, correct) in circuits.items():
        measured = circuit.measure_all(inplace=False)
        ready = transpile(measured, device, seed_transpiler=1)
        read, corrected = [], []
        for seed in range(repeats):
            # The device has a seed of its own, which would make all runs the same.
            seeds = {"seed": seed, "simulator": {"seed_simulator": seed}}
            result = Sampler(device, {**options, **seeds}).run([ready]).result()[0]
            counts, quasi = result.data.meas.get_counts(), result.quasi_distribution()
            read.append(sum(counts.get(key, 0) for key in correct) / shots)
            corrected.append(sum(quasi[key] for key in correct))
        error = np.std(corrected, ddof=1) / np.sqrt(repeats)
        print(f"  {name:8} read {np.mean(read):.4f}   corrected {np.mean(corrected):.4f} +- {error:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parts = ("speed", "bias", "coverage", "backend")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--repeats", type=int, default=7, help="runs that are timed (default 7)")
    parser.add_argument("--bias-repeats", type=int, default=40)
    parser.add_argument("--bias-shots", type=int, default=4096)
    parser.add_argument("--coverage-repeats", type=int, default=500)
    parser.add_argument("--coverage-shots", type=int, default=512)
    arguments = parser.parse_args()
    run: dict[str, Callable[[], None]] = {
        "speed": lambda: speed(arguments.repeats),
        "bias": lambda: bias(arguments.bias_repeats, arguments.bias_shots),
        "coverage": lambda: coverage(arguments.coverage_repeats, arguments.coverage_shots),
        "backend": lambda: backend(arguments.repeats, arguments.bias_shots),
    }
    for name in arguments.parts:
        print(f"--- {name}")
        run[name]()


if __name__ == "__main__":
    main()
