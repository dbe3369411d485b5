"""Devices of the experiments: simulators on a line of qubits, each with one kind of noise of known size.

An experiment names a factory, ``object = "noises:depolarising"``, and gives it ``[device.arguments]``. All two-qubit
gates are `cx`, pulses are `sx` and `x`, and `rz` takes no time and has no noise. Readout is a pair of probabilities,
that of reading 1 for 0 and that of reading 0 for 1; an empty list is a perfect one.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction
from qiskit.circuit.library import RZZGate
from qiskit.providers import BackendV2, Options
from qiskit.transpiler import CouplingMap, Target
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, QuantumError, ReadoutError, depolarizing_error

from quell.calibration.layers import LayerModel
from quell.circuits.layers import Layer
from quell.testing import ExactSampler, NoisyDevice, PauliFrameSampler, ReadoutModel
from quell.testing.snapshots import read_snapshot

BASIS = ["rz", "sx", "x", "cx"]
#: Paulis on a pair by label, the first qubit's first; the identity is left out.
PAIR_PAULIS = tuple("".join(letters) for letters in itertools.product("IXYZ", repeat=2))[1:]
READOUT = (0.02, 0.04)


def line(num_qubits: int) -> list[tuple[int, int]]:
    """Return the coupled pairs of a line."""
    return [(q, q + 1) for q in range(num_qubits - 1)]


# --- noise of gates: Aer with a noise model -----------------------------------------------------------


def depolarising(
    num_qubits: int,
    two_qubit: float = 0.01,
    one_qubit: float = 0.001,
    readout: Sequence[float] = READOUT,
    method: str = "density_matrix",
) -> AerSimulator:
    """Return a simulator whose gates replace the state of their qubits by the maximally mixed one.

    Args:
        num_qubits: Qubits on a line.
        two_qubit: Probability of that behind each `cx`.
        one_qubit: The same behind each pulse.
        readout: p(1|0) and p(0|1).
        method: Of Aer; "statevector" simulates every shot by itself, which is faster from about 8 qubits on.
    """
    return _aer(num_qubits, depolarizing_error(two_qubit, 2), one_qubit, readout, method)


def depolarised_targets(num_qubits: int, pauli_error: float = 0.005) -> AerSimulator:
    """Return a simulator as in arXiv:2210.07194: Pauli errors on each qubit of a `cx`, and nothing else.

    Args:
        num_qubits: Qubits on a line.
        pauli_error: Probability of X, Y or Z in equal parts on each of the two qubits.
    """
    # Aer's parameter counts the identity as one of four equally likely errors.
    single = depolarizing_error(pauli_error * 4 / 3, 1)
    return _aer(num_qubits, single.tensor(single), 0.0, (), "density_matrix")


def _aer(
    num_qubits: int, of_cx: QuantumError, one_qubit: float, readout: Sequence[float], method: str
) -> AerSimulator:
    noise = NoiseModel(basis_gates=BASIS)
    noise.add_all_qubit_quantum_error(of_cx, ["cx"])
    if one_qubit:
        noise.add_all_qubit_quantum_error(depolarizing_error(one_qubit, 1), ["sx", "x"])
    _add_readout(noise, readout)
    return AerSimulator(
        noise_model=noise,
        method=method,
        n_qubits=num_qubits,
        basis_gates=[*BASIS, "id"],
        coupling_map=CouplingMap(line(num_qubits)),
    )


def _add_readout(noise: NoiseModel, readout: Sequence[float]) -> None:
    if len(readout):
        zero, one = readout
        noise.add_all_qubit_readout_error(ReadoutError([[1 - zero, zero], [one, 1 - one]]))


# --- noise of layers: gates, and pairs that wait ------------------------------------------------------


def pair_rates(
    num_qubits: int, gates: float, waiting: float, seed: int
) -> dict[tuple[int, bool], np.ndarray]:
    """Return the rates of the 15 Paulis of every pair, without and with a gate on it, float64 ``(15,)``.

    Args:
        num_qubits: Qubits on a line.
        gates: Sum of the rates of a pair that has a gate.
        waiting: Sum of the rates of any other pair, be its qubits idle or busy with other neighbours.
        seed: Draws how the sums are shared out.
    """
    return {
        (first, busy): (gates if busy else waiting)
        * np.random.default_rng([seed, first, busy]).dirichlet([1.0] * 15)
        for first in range(num_qubits - 1)
        for busy in (False, True)
    }


def probabilities(rates: np.ndarray) -> np.ndarray:
    """Return how likely each Pauli of a pair is under the Pauli-Lindblad channel of some rates.

    Args:
        rates: In the order of `PAIR_PAULIS`, float64 ``(15,)``.

    Returns:
        The identity first, then as the rates, float64 ``(16,)``.
    """
    labels = ("II", *PAIR_PAULIS)
    signs = np.array([[_commute(a, b) for b in labels] for a in labels])
    fidelities = np.exp(-(1 - signs[:, 1:]) @ rates)  # exp(-2 x those that anticommute)
    return np.maximum(signs @ fidelities / 16, 0.0)


def _commute(first: str, second: str) -> int:
    """Return 1 if two Paulis commute, else -1."""
    return math.prod(-1 if "I" not in (a, b) and a != b else 1 for a, b in zip(first, second, strict=True))


class LayerNoiseDevice(BackendV2):
    """Aer with a Pauli-Lindblad channel on every pair of neighbours before each layer of `cx`, idle ones included.

    Layers are as early as possible; barriers keep them in step. One-qubit gates have no noise.

    Args:
        num_qubits: Qubits on a line.
        rates: See `pair_rates`.
        readout: p(1|0) and p(0|1).
        method: Of Aer.
    """

    takes_parameter_binds = True  # what `run` passes on, Aer takes

    def __init__(
        self,
        num_qubits: int,
        rates: Mapping[tuple[int, bool], np.ndarray],
        readout: Sequence[float],
        method: str,
    ) -> None:
        super().__init__(name="line with noise of layers")
        self._target = Target.from_configuration(
            [*BASIS, "id", "measure", "delay"], num_qubits, CouplingMap(line(num_qubits))
        )
        noise = NoiseModel(basis_gates=BASIS)
        _add_readout(noise, readout)
        self._simulator = AerSimulator(noise_model=noise, method=method)
        # Qiskit writes the first qubit last.
        names = ["II", *(label[::-1] for label in PAIR_PAULIS)]
        self._channels = {}
        for key, own in rates.items():
            chances = probabilities(own)
            terms = list(zip(map(_pauli, names), chances / chances.sum(), strict=True))
            self._channels[key] = QuantumError(terms).to_instruction()

    @classmethod
    def _default_options(cls) -> Options:
        return Options(shots=1024, seed_simulator=None)

    @property
    def target(self) -> Target:
        """The target: a line."""
        return self._target

    @property
    def max_circuits(self) -> None:
        """No limit."""

    def noisy(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Return the circuit layer by layer, each behind its noise."""
        place = {bit: q for q, bit in enumerate(circuit.qubits)}
        level: dict[int, int] = defaultdict(int)
        before: dict[int, list[CircuitInstruction]] = defaultdict(list)
        gates: dict[int, list[CircuitInstruction]] = defaultdict(list)
        last: list[CircuitInstruction] = []
        for instruction in circuit.data:
            qubits = [place[bit] for bit in instruction.qubits]
            front = max(level[q] for q in qubits)
            if instruction.clbits:
                last.append(instruction)
            elif instruction.name == "barrier":
                level.update(dict.fromkeys(qubits, front))
            elif len(qubits) == 1:
                before[front].append(instruction)
            else:
                gates[front].append(instruction)
                level.update(dict.fromkeys(qubits, front + 1))
        noisy = circuit.copy_empty_like()
        for number in sorted({*before, *gates}):
            for instruction in before[number]:
                noisy._append(instruction)
            if not gates[number]:
                continue
            busy = {min(place[bit] for bit in gate.qubits) for gate in gates[number]}
            for first in range(self.target.num_qubits - 1):
                pair = circuit.qubits[first], circuit.qubits[first + 1]
                noisy.append(self._channels[first, first in busy], pair)
            for instruction in gates[number]:
                noisy._append(instruction)
        for instruction in last:
            noisy._append(instruction)
        return noisy

    def run(self, run_input: QuantumCircuit | Sequence[QuantumCircuit], **options: Any) -> Any:
        """Simulate circuits with the noise and return Aer's job."""
        circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
        return self._simulator.run([self.noisy(circuit) for circuit in circuits], **options)


def _pauli(label: str) -> QuantumCircuit:
    """Return two Paulis as a circuit; the first letter is that of the second qubit."""
    circuit = QuantumCircuit(2)
    for q, letter in enumerate(reversed(label)):
        if letter != "I":
            getattr(circuit, letter.lower())(q)
    return circuit


def pauli_lindblad(
    num_qubits: int,
    gates: float = 0.01,
    waiting: float = 0.002,
    readout: Sequence[float] = READOUT,
    seed: int = 0,
    method: str = "density_matrix",
) -> LayerNoiseDevice:
    """Return a simulator with correlated Pauli errors on all neighbours in every layer of gates, idle ones included.

    Args:
        num_qubits: Qubits on a line.
        gates: Rate of all errors of a pair that has a gate.
        waiting: The same for every other pair.
        readout: p(1|0) and p(0|1).
        seed: Draws the shares of the 15 Paulis.
        method: Of Aer.
    """
    return LayerNoiseDevice(num_qubits, pair_rates(num_qubits, gates, waiting, seed), readout, method)


def pauli_frames(
    num_qubits: int,
    gates: float = 0.005,
    waiting: float = 0.0005,
    readout: Sequence[float] = READOUT,
    seed: int = 0,
    shots_seed: int = 0,
) -> PauliFrameSampler:
    """Return a sampler of Clifford circuits of any width, with the noise of `pauli_lindblad`.

    It knows layers that are one `cx` between qubits q and q + 1 in this direction, as the preparation of a GHZ state
    along the line has them. All others wait.

    Args:
        num_qubits: Qubits on a line.
        gates: Rate of all errors of a pair that has a gate.
        waiting: The same for every other pair.
        readout: p(1|0) and p(0|1).
        seed: Draws the shares of the 15 Paulis.
        shots_seed: Seed of the shots, which go on from one call to the next.
    """
    rates = pair_rates(num_qubits, gates, waiting, seed)
    pairs = line(num_qubits)
    # Paulis on one qubit belong to two pairs; each is listed once.
    codes = np.zeros((len(pairs), len(PAIR_PAULIS), num_qubits), dtype=np.uint8)
    for number, (first, second) in enumerate(pairs):
        codes[number][:, [first, second]] = [["IXZY".index(p) for p in label] for label in PAIR_PAULIS]
    every, place = np.unique(codes.reshape(-1, num_qubits), axis=0, return_inverse=True)
    models = []
    for busy in range(num_qubits - 1):
        sums = np.concatenate([rates[first, first == busy] for first, _ in pairs])
        own = np.bincount(place.ravel(), sums)
        layer = Layer(
            (("cx", (), (busy, busy + 1)),), tuple(q for q in range(num_qubits) if q not in (busy, busy + 1))
        )
        models.append(LayerModel.of(layer, every, own, "noises:pauli_frames"))
    model = ReadoutModel.uniform(num_qubits, *readout) if len(readout) else None
    return PauliFrameSampler(models, shots_seed, readout=model)


# --- coherent errors, readout, relaxation ---------------------------------------------------------------


def coherent(
    num_qubits: int, angle: float = 0.1, readout: Sequence[float] = READOUT, shots_seed: int = 0
) -> ExactSampler:
    """Return a sampler whose `cx` are followed by an `rzz`; no other noise but that of the readout.

    Args:
        num_qubits: Qubits, up to which circuits are simulated.
        angle: Of the `rzz`, in radians.
        readout: p(1|0) and p(0|1).
        shots_seed: Seed of the shots, which go on from one call to the next.
    """
    model = ReadoutModel.uniform(num_qubits, *readout) if len(readout) else None
    errors = {"cx": RZZGate(angle).to_matrix()}
    return ExactSampler(shots_seed, readout=model, gate_errors=errors, max_qubits=num_qubits)


def thermal(
    num_qubits: int,
    t1: float = 120e-6,
    t2: float = 80e-6,
    drift: float = 0.0,
    zz: float = 0.0,
    readout: Sequence[float] = (),
    cx_seconds: float = 400e-9,
    pulse_seconds: float = 40e-9,
) -> NoisyDevice:
    """Return a device whose qubits relax during gates and while they wait; its target has durations.

    Args:
        num_qubits: Qubits on a line.
        t1: Relaxation time, in seconds.
        t2: Coherence time, in seconds, at most twice `t1`.
        drift: How fast waiting qubits turn about z, in rad/s; every other qubit turns the other way.
        zz: How fast neighbours that wait together turn each other, in rad/s.
        readout: p(1|0) and p(0|1).
        cx_seconds: Duration of `cx`.
        pulse_seconds: Duration of `sx` and `x`.
    """
    zero, one = readout or (0.0, 0.0)
    pulse = {"error": 0.0, "duration_s": pulse_seconds}
    qubits = [
        {
            "t1_s": t1,
            "t2_s": t2,
            "detuning_rad_per_s": drift * (-1) ** q,
            "p1_given_0": zero,
            "p0_given_1": one,
            "readout_duration_s": 1e-6,
            "reset_duration_s": 1e-6,
            "gates": {"rz": {"error": 0.0, "duration_s": 0.0}, "sx": pulse, "x": pulse},
        }
        for q in range(num_qubits)
    ]
    pairs = [
        {
            "qubits": list(pair),
            "error": 0.0,
            "duration_s": cx_seconds,
            "over_rotation_rad": 0.0,
            "idle_zz_rad_per_s": zz,
        }
        for pair in line(num_qubits)
    ]
    timing = {"granularity": 2, "min_length": 2, "pulse_alignment": 2, "acquire_alignment": 2}
    data = {
        "schema_version": 1,
        "name": f"relaxing line of {num_qubits}",
        "provenance": {"statement": "Synthetic: all qubits are equal."},
        "dt_s": 0.5e-9,
        "timing_constraints": timing,
        "two_qubit_gate": "cx",
        "qubits": qubits,
        "pairs": pairs,
    }
    return NoisyDevice(read_snapshot(data), method="density_matrix")


def readout(
    num_qubits: int,
    p1_given_0: float = 0.02,
    p0_given_1: float = 0.05,
    spread: float = 0.5,
    together: float = 0.01,
    seed: int = 0,
    shots_seed: int = 0,
) -> ExactSampler:
    """Return a sampler with perfect gates whose readout is asymmetric, differs between qubits and is correlated.

    Args:
        num_qubits: Qubits on a line.
        p1_given_0: Probability of reading 1 for 0, on average.
        p0_given_1: Probability of reading 0 for 1, on average.
        spread: Largest relative deviation of a qubit from these, drawn evenly.
        together: Probability that qubits 2k and 2k + 1 flip together.
        seed: Draws the deviations.
        shots_seed: Seed of the shots, which go on from one call to the next.
    """
    rng = np.random.default_rng(seed)
    factors = rng.uniform(1 - spread, 1 + spread, (num_qubits, 2))
    model = ReadoutModel(np.array([p1_given_0, p0_given_1]) * factors)
    for first in range(0, num_qubits - 1, 2):
        model = model.with_pair_flip(first, first + 1, together)
    return ExactSampler(shots_seed, readout=model, max_qubits=num_qubits)
