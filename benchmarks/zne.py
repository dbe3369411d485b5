"""Zero-noise extrapolation on a published benchmark: quell against mitiq, at equal total shots.

The benchmark is that of arXiv:2210.07194: mirror circuits and randomized benchmarking (RB) on a line of 3 and 5
qubits, growing in depth, with depolarizing noise behind every CNOT. The observable is the projector on the bit string
that a noiseless device returns, whose value is 1, and a value costs 10 000 shots in all. The improvement factor R is
the rms error of 10 000 shots without mitigation over that with mitigation, over all depths and trials.

Everyone gets the same circuits, noise and shots, and simulates with the same calls of Aer. mitiq may live in an
environment of its own, which then needs qiskit-aer and ply as well:

    python benchmarks/zne.py --mitiq-python /path/to/its/bin/python
    python benchmarks/zne.py --full
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, qasm2
from qiskit.quantum_info import StabilizerState, random_clifford
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, depolarizing_error

TOTAL_SHOTS = 10_000
#: Probability of a Pauli error (X, Y, Z in equal parts) on each qubit of a CNOT, as published: 1 % per CNOT.
PAULI_ERROR = 0.005
#: Numbers of layers (mirror) or Cliffords (RB) of the publication.
LENGTHS = tuple(range(1, 21, 2))
#: R of the publication, and what quell is to reach.
PUBLISHED = {("mirror", 3): 5.00, ("mirror", 5): 3.93, ("rb", 3): 1.84, ("rb", 5): 5.06}
FLOOR = {("mirror", 3): 5.0, ("mirror", 5): 3.9, ("rb", 3): 1.8, ("rb", 5): 5.1}


@dataclass(frozen=True)
class Workload:
    """A circuit as text, and the bit string that it returns without noise (qubit 0 last)."""

    kind: str
    num_qubits: int
    length: int
    trial: int
    qasm: str
    bits: str
    seed: int
    pauli_error: float

    @property
    def family(self) -> tuple[str, int]:
        """What the improvement factor is a mean of."""
        return self.kind, self.num_qubits

    @property
    def circuit(self) -> QuantumCircuit:
        """The circuit, without measurements."""
        return qasm2.loads(self.qasm, include_path=())


# --- circuits ------------------------------------------------------------------------------------


def _random_edges(num_qubits: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Draw directed edges of a line one after another, until no two free neighbours are left."""
    edges, free = [], set(range(num_qubits))
    while pairs := [(q, q + 1) for q in range(num_qubits - 1) if {q, q + 1} <= free]:
        a, b = pairs[rng.integers(len(pairs))]
        free -= {a, b}
        edges.append((a, b) if rng.integers(2) else (b, a))
    return edges


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _one_qubit_cliffords(num_qubits: int, qubits: Sequence[int], rng: np.random.Generator) -> QuantumCircuit:
    circuit = QuantumCircuit(num_qubits)
    for q in qubits:
        circuit.compose(random_clifford(1, seed=_seed(rng)).to_circuit(), [q], inplace=True)
    return circuit


def _paulis(num_qubits: int, rng: np.random.Generator) -> QuantumCircuit:
    circuit = QuantumCircuit(num_qubits)
    for q, pauli in enumerate(rng.integers(4, size=num_qubits)):
        if pauli:
            getattr(circuit, "ixyz"[pauli])(q)
    return circuit


def mirror(num_qubits: int, length: int, rng: np.random.Generator) -> QuantumCircuit:
    """Return layers of CNOTs and random Cliffords, then their inverses, with random Paulis between all of them."""
    edge = _one_qubit_cliffords(num_qubits, range(num_qubits), rng)
    forward, layers = edge.copy(), []
    for _ in range(length):
        layer = QuantumCircuit(num_qubits)
        edges = _random_edges(num_qubits, rng)
        for a, b in edges:
            layer.cx(a, b)
        rest = sorted(set(range(num_qubits)) - {q for e in edges for q in e})
        layer = layer.compose(_one_qubit_cliffords(num_qubits, rest, rng))
        layers.append(layer)
        forward = forward.compose(_paulis(num_qubits, rng)).compose(layer)
    circuit = forward.compose(_paulis(num_qubits, rng))
    for layer in reversed(layers):
        circuit = circuit.compose(layer.inverse()).compose(_paulis(num_qubits, rng))
    return circuit.compose(edge.inverse())


def rb(num_qubits: int, length: int, rng: np.random.Generator) -> QuantumCircuit:
    """Return random Cliffords on neighbouring pairs, one-qubit ones on what is left, then what undoes them."""
    circuit = QuantumCircuit(num_qubits)
    groups = [tuple(range(q, min(q + 2, num_qubits))) for q in range(0, num_qubits, 2)]
    for qubits in groups:
        total = None
        for _ in range(length):
            clifford = random_clifford(len(qubits), seed=_seed(rng))
            circuit.compose(clifford.to_circuit(), qubits, inplace=True)
            total = clifford if total is None else total.compose(clifford)
        circuit.compose(total.adjoint().to_circuit(), qubits, inplace=True)
    return circuit


def workloads(
    lengths: Sequence[int], trials: int, seed: int, pauli_error: float = PAULI_ERROR
) -> Iterator[Workload]:
    for kind, num_qubits in PUBLISHED:
        for length in lengths:
            for trial in range(trials):
                rng = np.random.default_rng([seed, kind == "rb", num_qubits, length, trial])
                circuit = (mirror if kind == "mirror" else rb)(num_qubits, length, rng)
                (bits,) = StabilizerState(circuit).probabilities_dict()
                text = qasm2.dumps(circuit)
                yield Workload(kind, num_qubits, length, trial, text, bits, _seed(rng), pauli_error)


# --- the device ----------------------------------------------------------------------------------


class Device(AerSimulator):
    """Aer, with noise on CNOTs, one thread, and a clock and a shot counter of its own."""

    def __init__(self, workload: Workload, index: int) -> None:
        noise = NoiseModel()
        # Aer's parameter counts the identity as one of four equally likely errors.
        single = depolarizing_error(workload.pauli_error * 4 / 3, 1)
        noise.add_all_qubit_quantum_error(single.tensor(single), "cx")
        super().__init__(noise_model=noise, method="density_matrix", max_parallel_threads=1)
        self._rng = np.random.default_rng([workload.seed, index])
        self.seconds, self.shots = 0.0, 0

    def run(self, circuits: Any, **options: Any) -> Any:
        """Simulate at once; the CPU time of it goes to `seconds`."""
        start = time.process_time()
        options["seed_simulator"] = _seed(self._rng)
        job = super().run(circuits, **options)
        self.shots += sum(r.shots for r in job.result().results)
        self.seconds += time.process_time() - start
        return job


# --- quell ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measurement:
    """What is measured; each of the analyses is done without and with the guard on the same samples."""

    factors: tuple[float, ...]
    analyses: tuple[Any, ...]
    twirl: bool = False
    folding: str = "gate_folding"
    allocation: str = "neyman"

    @property
    def default_shots(self) -> int:
        """Shots per noise factor such that rounding up never takes more than the total."""
        number = len(self.factors)
        if self.twirl or any(f % 2 != 1 for f in self.factors):
            return (TOTAL_SHOTS // number - 32) // 32 * 32
        return TOTAL_SHOTS // number - 1

    def names(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield a name, the models and the guard of every analysis."""
        for models in self.analyses:
            name = models if isinstance(models, str) else "+".join(models)
            place = ",".join(f"{f:g}" for f in self.factors)
            for guard in (False, True):
                yield f"{name} {place}{' twirled' * self.twirl}{' guard' * guard}", models, guard


MEASUREMENTS = (
    Measurement((1, 3, 5), (("exponential", "linear"), "exponential", "linear")),
    Measurement((1, 2, 3), ("richardson",)),
    Measurement((1, 3, 5), (("exponential", "linear"),), twirl=True),
)
RECOMMENDED = "exponential+linear 1,3,5"


@dataclass(frozen=True)
class Outcome:
    """One value: its error against the truth, its standard error if any, what it took."""

    strategy: str
    family: tuple[str, int]
    length: int
    error: float
    stderr: float | None = None
    shots: int = 0
    seconds: float | None = None


def run_quell(workload: Workload, measurements: Sequence[Measurement]) -> Iterator[Outcome]:
    from quell import Estimator

    circuit, observable = workload.circuit, {workload.bits: 1.0}

    def outcome(name: str, result: Any, device: Device, seconds: float | None = None) -> Outcome:
        value, error = float(result[0].data.evs), float(result[0].data.stds)
        return Outcome(name, workload.family, workload.length, value - 1, error, device.shots, seconds)

    device = Device(workload, 0)
    plain = Estimator(device, {"resilience_level": 0, "default_shots": TOTAL_SHOTS})
    yield outcome("raw", plain.run([(circuit, observable)]).result(), device)
    for index, m in enumerate(measurements):
        device = Device(workload, index + 1)
        zne = {
            "noise_factors": m.factors,
            "extrapolator": m.analyses[0],
            "amplifier": m.folding,
            "shot_allocation": m.allocation,
        }
        options = {
            "resilience_level": 0,
            "default_shots": m.default_shots,
            "seed": workload.seed,
            "twirling": {"enable_gates": m.twirl},
            "resilience": {"zne_mitigation": True, "zne": zne},
        }
        start = time.process_time()
        job = Estimator(device, options).run([(circuit, observable)])
        job.result()
        seconds = time.process_time() - start - device.seconds
        for name, models, guard in m.names():
            change = {"resilience": {"zne": {"extrapolator": models, "guard": guard}}}
            yield outcome(name, job.reanalyze(change), device, seconds)


# --- mitiq ---------------------------------------------------------------------------------------


def run_mitiq(workload: Workload) -> Iterator[Outcome]:
    """Run mitiq as it is documented: one folded circuit per noise factor, equal shots, its own fits."""
    from mitiq import zne

    folds = {"global": zne.scaling.fold_global, "random": zne.scaling.fold_gates_at_random}
    # What a random bit string gives is where the projector decays to.
    floor = 0.5**workload.num_qubits
    strategies: dict[str, tuple[Any, str]] = {
        "mitiq richardson 1,2,3 global": (lambda: zne.RichardsonFactory([1.0, 2.0, 3.0]), "global"),
        "mitiq richardson 1,2,3 random": (lambda: zne.RichardsonFactory([1.0, 2.0, 3.0]), "random"),
        "mitiq linear 1,2,3 random": (lambda: zne.LinearFactory([1.0, 2.0, 3.0]), "random"),
        "mitiq linear 1,3,5 random": (lambda: zne.LinearFactory([1.0, 3.0, 5.0]), "random"),
        "mitiq exponential 1,2,3 random": (
            lambda: zne.ExpFactory([1.0, 2.0, 3.0], asymptote=floor),
            "random",
        ),
        "mitiq exponential 1,3,5 random": (
            lambda: zne.ExpFactory([1.0, 3.0, 5.0], asymptote=floor),
            "random",
        ),
    }
    circuit = workload.circuit
    for index, (name, (factory, fold)) in enumerate(strategies.items()):
        device = Device(workload, index + 100)
        shots = TOTAL_SHOTS // 3

        def execute(folded: QuantumCircuit, device: Device = device, shots: int = shots) -> float:
            folded = folded.copy()
            folded.measure_all()
            counts = device.run(folded, shots=shots).result().get_counts()
            return float(counts.get(workload.bits, 0) / shots)

        def scale(c: QuantumCircuit, factor: float, fold: str = fold) -> QuantumCircuit:
            options = {"seed": workload.seed} if fold == "random" else {}
            return folds[fold](c, factor, **options)

        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = zne.execute_with_zne(circuit, execute, factory=factory(), scale_noise=scale)
        seconds = time.process_time() - start - device.seconds
        yield Outcome(name, workload.family, workload.length, float(value) - 1, None, device.shots, seconds)


def work() -> None:
    """Run mitiq on the workloads of stdin, and write the outcomes to stdout, both as JSON."""
    todo = [Workload(**w) for w in json.load(sys.stdin)]
    json.dump([asdict(o) for w in todo for o in run_mitiq(w)], sys.stdout)


def start_mitiq(todo: Sequence[Workload], python: str | None) -> Callable[[], list[Outcome]]:
    """Return what waits for mitiq's outcomes, which another interpreter works on meanwhile if one is given."""
    if python is None:
        try:
            import mitiq  # noqa: F401
        except ImportError:
            print("mitiq cannot be imported here: its rows are left out (see --mitiq-python)")
            return list
        return lambda: [o for w in todo for o in run_mitiq(w)]
    worker = subprocess.Popen(
        [python, __file__, "--worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdin is not None
    json.dump([asdict(w) for w in todo], worker.stdin)
    worker.stdin.close()

    def outcomes() -> list[Outcome]:
        assert worker.stdout is not None
        text = worker.stdout.read()
        if worker.wait():
            raise SystemExit(f"mitiq's worker failed with code {worker.returncode}")
        # Libraries may print; the result is the last line.
        return [Outcome(**{**o, "family": tuple(o["family"])}) for o in json.loads(text.splitlines()[-1])]

    return outcomes


# --- tables --------------------------------------------------------------------------------------


def rms(outcomes: Iterable[Outcome]) -> float:
    return float(np.sqrt(np.mean([o.error**2 for o in outcomes])))


class Table:
    """Outcomes by strategy, family and length."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes = outcomes
        self.strategies = [s for s in dict.fromkeys(o.strategy for o in outcomes) if s != "raw"]
        self.families = list(dict.fromkeys(o.family for o in outcomes))
        self.lengths = sorted({o.length for o in outcomes})

    def select(self, strategy: str, family: Any = None, length: int | None = None) -> list[Outcome]:
        """Return the outcomes of one strategy."""
        return [
            o
            for o in self.outcomes
            if o.strategy == strategy and family in (None, o.family) and length in (None, o.length)
        ]

    def improvement(self, strategy: str, family: Any, length: int | None = None) -> float:
        """Return R; 1 where neither errs at all."""
        raw, own = rms(self.select("raw", family, length)), rms(self.select(strategy, family, length))
        return raw / own if own else math.inf if raw else 1.0

    def noise(self, family: Any, length: int) -> float:
        """Return how far R moves by shot noise where the guard keeps what was measured at half of the shots."""
        raw = self.select("raw", family, length)
        # Variances of both sides of the ratio: one of all shots, one of half of them.
        variance = 3 * np.mean([(o.stderr or 0.0) ** 2 for o in raw]) / len(raw)
        return float(np.sqrt(variance)) / rms(raw) if rms(raw) else math.inf

    def print(self) -> None:
        """Print R, rms errors, coverage, shots and times."""
        names = [f"{kind} {number}q" for kind, number in self.families]
        print(f"\n{'R (rms error x 1000)':38}" + "".join(f"{n:>15}" for n in names) + "  coverage  shots  ms")
        print(f"{'published':38}" + "".join(f"{PUBLISHED[f]:>15.2f}" for f in self.families))
        raw = [1000 * rms(self.select("raw", f)) for f in self.families]
        print(f"{'not mitigated':38}" + "".join(f"{1:>8.2f} ({r:4.3g})" for r in raw))
        for s in self.strategies:
            cells = "".join(
                f"{self.improvement(s, f):>8.2f} ({1000 * rms(self.select(s, f)):4.3g})"
                for f in self.families
            )
            mine = self.select(s)
            bars = [abs(o.error) < 1.96 * o.stderr for o in mine if o.stderr is not None]
            coverage = f"{np.mean(bars):.3f}" if bars else ""
            cost = np.median([o.seconds for o in mine if o.seconds is not None])
            print(f"{s:38}{cells}  {coverage:>8}  {max(o.shots for o in mine):>5}  {1000 * cost:.0f}")
        print("coverage: of nominal 95 % intervals; ms: median CPU time outside of the simulator, per value")

    def print_lengths(self) -> None:
        """Print R at every length, for guarded strategies."""
        guarded = [s for s in self.strategies if s.endswith("guard")]
        print(f"\n{'R by length, guarded':50}" + "".join(f"{n:>7}" for n in self.lengths))
        for f in self.families:
            for s in guarded:
                cells = "".join(f"{min(self.improvement(s, f, n), 99.9):>7.2f}" for n in self.lengths)
                print(f"{f'{f[0]} {f[1]}q: {s}':50}{cells}")

    def print_acceptance(self, published: bool) -> None:
        """Compare with what is to be reached, under the published noise."""
        print(f"\nrecommended: quell {RECOMMENDED}")
        for f in self.families if published else ():
            reached = self.improvement(RECOMMENDED, f)
            verdict = "reached" if reached >= FLOOR[f] else "NOT REACHED"
            print(f"  {f[0]} {f[1]}q: R = {reached:.2f}, at least {FLOOR[f]:g}: {verdict}")
        places = [
            (s, f, n)
            for s in self.strategies
            if s.endswith("guard")
            for f in self.families
            for n in self.lengths
        ]
        strategy, family, length = worst = min(places, key=lambda place: self.improvement(*place))
        print(
            f"  least R of a guarded strategy at one length: {self.improvement(*worst):.2f} "
            f"({family[0]} {family[1]}q, length {length}, {strategy}); "
            f"if all was kept, shot noise moves it by {self.noise(family, length):.2f}"
        )
        ours, theirs = self.select(RECOMMENDED), self.select("mitiq exponential 1,3,5 random")
        if theirs:
            ratio = np.median([o.seconds for o in theirs]) / np.median([o.seconds for o in ours])
            print(f"  CPU time outside of the simulator, mitiq exponential 1,3,5 over quell: {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1, help="circuits per depth (default 1)")
    parser.add_argument("--depths", default="1,7,13,19", help="layers or Cliffords (default 1,7,13,19)")
    parser.add_argument("--full", action="store_true", help="as published: depths 1, 3, ..., 19 and 4 trials")
    parser.add_argument("--seed", type=int, default=0, help="of circuits and shots (default 0)")
    parser.add_argument(
        "--mitiq-python", metavar="PATH", help="interpreter that has mitiq, qiskit-aer and ply"
    )
    parser.add_argument(
        "--pauli-error",
        type=float,
        default=PAULI_ERROR,
        help=f"on each qubit of a CNOT (default {PAULI_ERROR:g}, as published; with 0.0001 the guard has work to do)",
    )
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work()
        return
    lengths = LENGTHS if arguments.full else tuple(int(d) for d in arguments.depths.split(","))
    trials = 4 if arguments.full else arguments.trials
    todo = list(workloads(lengths, trials, arguments.seed, arguments.pauli_error))
    print(f"{len(todo)} circuits, {TOTAL_SHOTS} shots per value")
    mitiq = start_mitiq(todo, arguments.mitiq_python)
    table = Table([o for w in todo for o in run_quell(w, MEASUREMENTS)] + mitiq())
    table.print()
    table.print_lengths()
    table.print_acceptance(arguments.pauli_error == PAULI_ERROR)


if __name__ == "__main__":
    main()
