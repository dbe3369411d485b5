"""Does `quell.suggest` name the strategy that wins? Forecasts against simulated runs.

Every case is a workload, a noise and a budget. The forecast is made first; then every strategy that it thinks possible
is run with the shots that it would have, several times, and its rms error over values and runs is taken. The strategy
with the least won. A pick is right if it is the one that won, and good if its error is at most 1.5 times that.

    python benchmarks/suggest.py                # half an hour
    python benchmarks/suggest.py --part quick   # a few cases
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from qiskit import QuantumCircuit, transpile
from qiskit.quantum_info import SparsePauliOp, random_clifford
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error

import quell
from quell.calibration.models import models_of_aer
from quell.circuits.layers import occurrences
from quell.circuits.template import template_of
from quell.circuits.twirling import twirled_template
from quell.comparison.budget import learning_within
from quell.comparison.forecast import NAMES, suggest
from quell.comparison.reference import exact_values
from quell.comparison.strategies import options_of
from quell.comparison.suggestion import Suggestion
from quell.testing import PauliFrameSampler, ReadoutModel

BASIS = ["cx", "rz", "sx", "x"]
#: A pick whose error is at most this many times the least is good.
GOOD = 1.5
#: Error probability of depolarising noise behind two- and one-qubit gates, of reading 1 for 0, and 0 for 1.
NOISES = {
    "weak": (0.002, 0.0002, 0.005, 0.01),
    "medium": (0.01, 0.001, 0.02, 0.04),
    "strong": (0.03, 0.003, 0.03, 0.06),
}
WITHOUT_LEARNING = ("raw", "trex", "twirl+trex", "level 2")


@frozen
class Case:
    """A workload, a noise and a budget."""

    name: str
    circuit: QuantumCircuit
    observables: list[SparsePauliOp]
    noise: str
    budget: int
    strategies: tuple[str, ...]
    frames: bool = False

    def device(self, seed: int | None = None) -> Any:
        """Return a simulator of the noise: density matrices, or Pauli frames, which are fast enough to learn noise."""
        if not self.frames:
            return device(self.noise, seed)
        models, flip = self.known["layers"], self.known["readout"]
        return PauliFrameSampler(
            models, seed=seed, readout=ReadoutModel.uniform(self.circuit.num_qubits, flip, flip)
        )

    @property
    def known(self) -> Any:
        """What the forecast is told of the noise; None where the device says it."""
        if not self.frames:
            return None
        wide = twirled_template(template_of(self.circuit), "active-accum")
        layers = list(dict.fromkeys(place.layer for place in occurrences(wide)))
        noise_model = device(self.noise).options.noise_model
        return {"layers": models_of_aer(noise_model, layers), "readout": sum(NOISES[self.noise][2:]) / 2}


def device(noise: str, seed: int | None = None) -> AerSimulator:
    """Return a simulator with depolarising gates and asymmetric readout."""
    two, one, up, down = NOISES[noise]
    model = NoiseModel()
    model.add_all_qubit_quantum_error(depolarizing_error(two, 2), ["cx"])
    model.add_all_qubit_quantum_error(depolarizing_error(one, 1), ["sx", "x"])
    model.add_all_qubit_readout_error(ReadoutError([[1 - up, up], [down, 1 - down]]))
    return AerSimulator(
        noise_model=model, method="density_matrix", seed_simulator=seed, max_parallel_threads=1
    )


def ising(num_qubits: int, steps: int, time_step: float = 0.2) -> QuantumCircuit:
    """Return Trotter steps of an Ising chain in a tilted field."""
    circuit = QuantumCircuit(num_qubits)
    for _ in range(steps):
        for start in (0, 1):
            for q in range(start, num_qubits - 1, 2):
                circuit.cx(q, q + 1)
                circuit.rz(-2 * time_step, q + 1)
                circuit.cx(q, q + 1)
        circuit.rx(2 * time_step, range(num_qubits))
        circuit.rz(0.6 * time_step, range(num_qubits))
    return transpile(circuit, basis_gates=BASIS, optimization_level=1)


def mirror(num_qubits: int, layers: int, seed: int) -> tuple[QuantumCircuit, list[SparsePauliOp]]:
    """Return random Clifford layers and their inverses, and Z on each qubit with the sign that makes its value 1."""
    rng = np.random.default_rng(seed)
    half = QuantumCircuit(num_qubits)
    for layer in range(layers):
        for q in range(num_qubits):
            half.compose(random_clifford(1, seed=int(rng.integers(2**31))).to_circuit(), [q], inplace=True)
        for q in range(layer % 2, num_qubits - 1, 2):
            half.cx(q, q + 1)
    circuit = half.copy()
    circuit.barrier()
    for q in range(num_qubits):
        circuit.x(q) if rng.random() < 0.5 else circuit.z(q)
    circuit.barrier()
    circuit = transpile(circuit.compose(half.inverse()), basis_gates=BASIS, optimization_level=1)
    plain = [on("Z", [q], num_qubits) for q in range(num_qubits)]
    signs, _ = exact_values([(circuit, plain)])
    return circuit, [sign * operator for sign, operator in zip(np.round(signs), plain, strict=True)]


def ghz(num_qubits: int) -> tuple[QuantumCircuit, list[SparsePauliOp]]:
    """Return a GHZ state and its stabilisers: X on all, and ZZ on neighbours."""
    circuit = QuantumCircuit(num_qubits)
    circuit.h(0)
    for q in range(num_qubits - 1):
        circuit.cx(q, q + 1)
    stabilizers = [on("X" * num_qubits, range(num_qubits), num_qubits)]
    stabilizers += [on("ZZ", [q, q + 1], num_qubits) for q in range(num_qubits - 1)]
    return transpile(circuit, basis_gates=BASIS, optimization_level=1), stabilizers


def on(letters: str, qubits: Any, num_qubits: int) -> SparsePauliOp:
    """Return a Pauli string on some qubits."""
    return SparsePauliOp.from_sparse_list([(letters, list(qubits), 1.0)], num_qubits)


def cases(part: str) -> Iterator[Case]:
    """Yield the cases of a part: "plain" without learned noise, "learning" with it, "quick" for a look."""
    average = SparsePauliOp.from_sparse_list([("Z", [q], 0.25) for q in range(4)], 4)
    if part == "learning":
        for name, (circuit, observables) in {"mirror4, 6 layers": mirror(4, 6, 3), "ghz6": ghz(6)}.items():
            for noise in ("medium", "strong"):
                for budget in (30_000, 300_000):
                    yield Case(name, circuit, observables, noise, budget, NAMES, frames=True)
        return
    workloads: dict[str, tuple[QuantumCircuit, list[SparsePauliOp]]] = {
        "ising4, 2 steps": (ising(4, 2), [average, on("XX", [1, 2], 4)]),
        "ising4, 6 steps": (ising(4, 6), [average, on("XX", [1, 2], 4)]),
        "mirror4, 4 layers": mirror(4, 4, 1),
        "ghz4": ghz(4),
    }
    for name, (circuit, observables) in workloads.items():
        if part == "plain" or name == "ising4, 2 steps":
            for noise in NOISES:
                for budget in (3_000, 100_000):
                    yield Case(name, circuit, observables, noise, budget, WITHOUT_LEARNING)


def simulated(case: Case, suggestion: Suggestion, runs: int) -> dict[str, float]:
    """Return the rms error of every strategy that is possible, over values and runs."""
    pubs = [(case.circuit, case.observables)]
    truth, _ = exact_values(pubs)
    found = {}
    for prediction in suggestion.predictions:
        if prediction.refused:
            continue
        errors = []
        for seed in range(runs):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                estimator = quell.Estimator(case.device(seed), options_of(prediction.name))
                learning = sum(
                    e.requirement.shots_in_all
                    for e in estimator.plan(pubs).experiments
                    if hasattr(e.requirement, "layer")
                )
                learning_within(case.budget, estimator.options, learning)
                estimator.options.update({"default_shots": prediction.shots, "seed": 1000 + seed})
                values = estimator.run(pubs).result()[0].data.evs
            errors.append(np.asarray(values) - truth)
        found[prediction.name] = float(np.sqrt(np.mean(np.square(errors))))
    return found


def scored(case: Case, runs: int) -> dict[str, Any]:
    """Return what was forecast and what came out."""
    start = time.perf_counter()
    suggestion = suggest(
        case.device(0),
        [(case.circuit, case.observables)],
        case.budget,
        strategies=case.strategies,
        noise=case.known,
    )
    seconds = time.perf_counter() - start
    found = simulated(case, suggestion, runs)
    return {
        "case": case.name,
        "noise": case.noise,
        "budget": case.budget,
        "picked": suggestion.best,
        "won": min(found, key=found.__getitem__),
        "ratio": found[suggestion.best] / min(found.values()),
        "predicted": {p.name: p.rms for p in suggestion.predictions if p.rms is not None},
        "simulated": found,
        "seconds": seconds,
    }


def show(rows: list[dict[str, Any]], say: Callable[[str], None] = print) -> None:
    """Print the table and the score."""
    say("| workload | noise | shots | picked | won | error of the pick / least | predicted | simulated |")
    say("|---|---|---:|---|---|---:|---:|---:|")
    for row in rows:
        predicted, found = row["predicted"][row["picked"]], row["simulated"][row["picked"]]
        say(
            f"| {row['case']} | {row['noise']} | {row['budget']} | {row['picked']} | {row['won']} | "
            f"{row['ratio']:.2f} | {predicted:.4f} | {found:.4f} |"
        )
    right = sum(row["picked"] == row["won"] for row in rows)
    good = sum(row["ratio"] <= GOOD for row in rows)
    ratios = [
        row["simulated"][name] / row["predicted"][name]
        for row in rows
        for name in row["simulated"]
        if name in row["predicted"]
    ]
    low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9])
    say("")
    say(
        f"Of {len(rows)} picks {right} won, and {good} are within {GOOD} of the least error; the worst is "
        f"{max(row['ratio'] for row in rows):.2f} times it."
    )
    say(
        f"Simulated over predicted rms error, all {len(ratios)} strategies and cases: median {middle:.2f}, "
        f"80 % from {low:.2f} to {high:.2f}."
    )
    always: dict[str, list[float]] = {}
    for row in rows:
        for name, error in row["simulated"].items():
            always.setdefault(name, []).append(error / min(row["simulated"].values()))
    for name, worse in always.items():
        say(
            f"Always {name}: within {GOOD} of the least in {sum(w <= GOOD for w in worse)} of {len(worse)} cases "
            f"that it can do, at worst {max(worse):.1f} times it."
        )
    say(f"A forecast took {max(row['seconds'] for row in rows):.2f} s at most.")


def main() -> None:
    """Run the cases."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--part", choices=("quick", "plain", "learning"), action="append", help="default: plain and learning"
    )
    parser.add_argument("--runs", type=int, default=6, help="runs of every strategy")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    parser.add_argument("--read", type=Path, nargs="+", help="show what such files hold, and run nothing")
    arguments = parser.parse_args()
    if arguments.read:
        show([row for path in arguments.read for row in json.loads(path.read_text())])
        return
    rows = []
    for case in (case for part in arguments.part or ("plain", "learning") for case in cases(part)):
        rows.append(scored(case, arguments.runs))
        last = rows[-1]
        print(f"{last['case']}, {last['noise']}, {last['budget']}: {last['ratio']:.2f}", flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=1))
    show(rows)


if __name__ == "__main__":
    main()
