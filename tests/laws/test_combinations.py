"""All techniques of the estimator together: each legal combination runs and is unbiased, each illegal one is refused.

The device has Pauli-Lindblad noise of equal rates for Paulis that its gates take to each other, and symmetric
readout errors; the circuit is Clifford. So every value is known for every combination: a term decays exponentially
with the noise factor, whatever amplifies it; what a gain leaves of the noise damps it by ``exp(-2 gain total)``, and
readout by a factor that only TREX takes away.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from attrs import field, fields, frozen
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister

from quell import Estimator
from quell.calibration.layers import LayerModel
from quell.circuits.layers import Layer, images, occurrences
from quell.circuits.template import template_of
from quell.circuits.twirling import twirled_template
from quell.errors import InputError, OptionsError, UnsupportedError
from quell.kernels.lindblad import anticommute, conjugated, local_paulis
from quell.testing import ReadoutModel
from quell.testing.pauli_frames import PauliFrameSampler

N = 3
READOUT = ReadoutModel.uniform(N + 1, 0.03)
#: Single terms and a sum over two settings; all are 1 without noise.
LABELS = ["IIZZ", "IXXX"]  # on four qubits, the last of which is a bystander
OBSERVABLES: list[Any] = [*LABELS, {"IIZZ": 0.5, "IXXX": 0.25, "IZZI": 0.25}]
#: Standard errors that a value may be off: false alarm 6e-5 a value, at most 7 % for all values of the table.
LIMIT = 4.0
SHOTS = 512
DURATIONS = (
    *((name, (), 3e-8) for name in ("u", "h", "x", "sx", "rz")),
    ("cx", (), 3e-7),
    ("measure", (), 1e-6),
)


def ghz(spectator: bool = False) -> QuantumCircuit:
    """A GHZ state of three qubits with two more pairs of gates; a fourth qubit is perhaps measured as it is."""
    circuit = QuantumCircuit(QuantumRegister(N + 1, "q"))
    circuit.h(0)
    for pair in ((0, 1), (1, 2), (1, 2), (1, 2), (0, 1), (0, 1)):
        circuit.cx(*pair)
        circuit.barrier(range(N))
    if spectator:
        circuit.add_register(ClassicalRegister(1, "watch"))
        circuit.measure(N, 0)
    return circuit


CIRCUIT = ghz()


def models() -> list[LayerModel]:
    """Noise on the gates of each layer, and no noise on whoever waits; so all strategies see all of it."""
    rng, found = np.random.default_rng(2), {}
    for place in occurrences(twirled_template(template_of(ghz(spectator=True)), "all")):
        layer: Layer = place.layer
        if layer in found:
            continue
        active = [layer.qubits.index(q) for q in layer.gates[0][2]]
        generators = np.zeros((15, len(layer.qubits)), dtype=np.uint8)
        generators[:, sorted(active)] = local_paulis(2, [(0, 1)])
        rates = rng.uniform(0.5, 1.5, 15) * 0.003
        number = {row.tobytes(): k for k, row in enumerate(generators)}
        for k, image in enumerate(conjugated(generators, images(layer))):
            rates[number[image.tobytes()]] = rates[k]
        found[layer] = LayerModel.of(layer, generators, rates, f"layer {len(found)}")
    return list(found.values())


MODELS = models()


def decay(label: str) -> float:
    """Return the exponent of a term: its gate's fidelity at every layer, the term carried backwards."""
    codes = np.array([["IXZY".index(c) for c in label[::-1].ljust(N + 1, "I")]], dtype=np.uint8)
    total = 0.0
    by_gates = {m.layer.gates: m for m in MODELS}
    for place in reversed(occurrences(twirled_template(template_of(CIRCUIT), "all"))):
        model = by_gates[place.layer.gates]
        qubits = list(model.layer.qubits)
        here = conjugated(codes[:, qubits], images(model.layer))  # cx is its own inverse
        total += 2 * float(anticommute(here, model.generators)[0] @ model.rates)
        codes[:, qubits] = here
    return total


DECAYS = {label: decay(label) for label in ("IIZZ", "IXXX", "IZZI")}


def expected(left: float, trex: bool) -> np.ndarray:
    """Return the values with a share of the noise left."""

    def term(label: str) -> float:
        damping = 1.0 if trex else READOUT.damping([q for q, c in enumerate(label[::-1]) if c != "I"])
        return damping * math.exp(-left * DECAYS[label])

    total = 0.5 * term("IIZZ") + 0.25 * term("IXXX") + 0.25 * term("IZZI")
    return np.array([*(term(label) for label in LABELS), total])


LARGEST = max(DECAYS.values())
#: What PEC leaves by itself of the noise with this overhead: 1 - ln(max_overhead) / (4 total).
AUTO = 1.3


@frozen
class Noise:
    """What is done about noise: options of `resilience`, the share that is left in the end, and what it needs."""

    left: float
    options: dict[str, Any] = field(factory=dict)
    learned: bool = False
    cancels: bool = False
    #: Exponentials that are extrapolated far have errors that are no Gaussians unless there are many.
    shots: int = SHOTS


def zne(**options: Any) -> dict[str, Any]:
    return {"zne_mitigation": True, "zne": {"extrapolator": "exponential", **options}}


def pec(**options: Any) -> dict[str, Any]:
    return {"pec_mitigation": True, "pec": options}


PEA = {"amplifier": "pea"}
NOISE = {
    "nothing": Noise(1.0),
    "folding": Noise(0.0, zne(noise_factors=(1, 3, 5))),
    "folding partly": Noise(0.0, zne(noise_factors=(1, 1.5, 3))),
    "folding globally": Noise(0.0, zne(noise_factors=(1, 3), amplifier="global_folding"), shots=2 * SHOTS),
    "pec": Noise(0.0, pec(noise_gain=0), learned=True, cancels=True),
    "pec partly": Noise(0.5, pec(noise_gain=0.5), learned=True, cancels=True),
    "pec auto": Noise(1 - math.log(AUTO) / (2 * LARGEST), pec(max_overhead=AUTO), learned=True, cancels=True),
    "pea": Noise(0.0, zne(**PEA), learned=True, shots=4 * SHOTS),
    "pec and pea": Noise(0.0, zne(**PEA, noise_factors=(0.5, 1, 1.5)) | pec(), learned=True, cancels=True),
    "pec and pea above": Noise(
        0.0, zne(**PEA, noise_factors=(1, 3)) | pec(noise_gain=0.5), learned=True, cancels=True
    ),
    "pec and folding": Noise(
        0.0, zne(noise_factors=(1, 3)) | pec(noise_gain=0.5), learned=True, cancels=True
    ),
}
GATES = ("off", "pauli", "balanced_pauli", "local_c1")
STRATEGIES = ("active", "active-accum", "active-circuit", "all")


@frozen
class Combination:
    """One choice for every switch."""

    noise: str = "nothing"
    gates: str = "pauli"
    measure: bool = True
    trex: bool = False
    decoupling: bool = False
    strategy: str = "active-accum"
    light_cone: bool = True
    kept: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """The options that make this choice."""
        noise = NOISE[self.noise]
        resilience: dict[str, Any] = {"measure_mitigation": self.trex, **noise.options}
        if noise.learned:
            resilience["layer_noise_model"] = MODELS
            resilience["pec"] = {**noise.options.get("pec", {}), "light_cone": self.light_cone}
        twirling: dict[str, Any] = {
            "enable_gates": self.gates != "off",
            "enable_measure": self.measure,
            "strategy": self.strategy,
        }
        if self.gates != "off":
            twirling["group"] = self.gates
        options: dict[str, Any] = {
            "resilience_level": 0,
            "seed": 7,
            "default_shots": noise.shots,
            "resilience": resilience,
            "twirling": twirling,
        }
        if self.decoupling:
            options["dynamical_decoupling"] = {"enable": True, "instruction_durations": DURATIONS}
        if self.kept:
            options["post_selection"] = {"enable": True, "registers": ("watch",)}
        return options

    @property
    def refusal(self) -> str | None:
        """Why the choice is illegal, a phrase of the message; None if it is legal."""
        noise = NOISE[self.noise]
        if self.trex and not self.measure:
            return "needs measurement twirling"
        if noise.learned:
            if self.gates == "off":
                return "needs gate twirling"
            if not self.measure:
                return "needs measurement twirling"
            if self.gates == "local_c1":
                return "twirled over Paulis"
        if noise.learned and self.kept:
            return "post_selection.enable"
        return None

    def run(self, sampler: Any) -> Any:
        """Run it."""
        return Estimator(sampler, self.options).run([(ghz(self.kept), OBSERVABLES)])


def combinations() -> list[Combination]:
    """Return all choices of switches that are told apart: strategies by twirled gates, light cones by learned noise."""
    found = []
    for noise, gates, measure, trex, decoupling in itertools.product(
        NOISE, GATES, (True, False), (True, False), (True, False)
    ):
        for strategy in STRATEGIES if gates in ("pauli", "balanced_pauli") else STRATEGIES[1:2]:
            for cone in (True, False) if NOISE[noise].learned else (True,):
                for kept in (False, True):
                    found.append(Combination(noise, gates, measure, trex, decoupling, strategy, cone, kept))
    return found


ALL = combinations()
LEGAL = [c for c in ALL if c.refusal is None]
ILLEGAL = [c for c in ALL if c.refusal is not None]


def cover(choices: list[Combination], size: int) -> list[Combination]:
    """Return few combinations in which any choices for `size` of the switches that occur together do so."""
    parts = {
        c: {
            frozenset(chosen)
            for chosen in itertools.combinations(
                ((a.name, getattr(c, a.name)) for a in fields(Combination)), size
            )
        }
        for c in choices
    }
    left, found = set().union(*parts.values()), []
    while left:
        # Nothing new of one that had little new before can be more than that.
        best = max(parts, key=lambda c: len(parts[c] & left))
        found.append(best)
        left -= parts.pop(best)
    return found


SMALL = cover(LEGAL, 2)


class Watching(PauliFrameSampler):
    """Counts its calls."""

    calls = 0

    def __call__(self, pubs):
        self.calls += 1
        return super().__call__(pubs)


def check(table: list[Combination]) -> None:
    """Run combinations and compare them with the truth; all that are off are named."""
    off = {}
    for number, choice in enumerate(table):
        data = choice.run(PauliFrameSampler(MODELS, 100 + number, readout=READOUT)).result()[0].data
        scores = (data.evs - expected(NOISE[choice.noise].left, choice.trex)) / data.stds
        if not (np.abs(scores) < LIMIT).all() or not (data.stds < 0.25).all():
            off[choice] = (scores, data.stds)
    assert not off


def test_the_truth_of_this_file():
    """Without any mitigation, at many shots: within 4 standard errors, false alarm 6e-5 a value."""
    options = {"resilience_level": 0, "seed": 1, "default_shots": 200_000}
    sampler = PauliFrameSampler(MODELS, 1, readout=READOUT)
    data = Estimator(sampler, options).run([(CIRCUIT, OBSERVABLES)]).result()[0].data
    assert (np.abs(data.evs - expected(1.0, False)) < LIMIT * data.stds).all()
    assert (np.abs(data.evs - 1) > 20 * data.stds).all()


@pytest.mark.parametrize("noise", NOISE)
def test_legal_combinations_are_unbiased(noise):
    """A part of the table in which any two choices that are legal together are so; errors are far below the noise."""
    check([c for c in SMALL if c.noise == noise])


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISE)
def test_all_legal_combinations_are_unbiased(noise):
    check([c for c in LEGAL if c.noise == noise])


def test_all_illegal_combinations_are_refused():
    """With the reason, before anything runs."""
    sampler = Watching(MODELS, 1)
    reasons = set()
    for choice in cover(ILLEGAL, 2):
        assert choice.refusal is not None
        with pytest.raises((OptionsError, InputError, UnsupportedError)) as caught:
            choice.run(sampler)
        assert choice.refusal in str(caught.value), choice
        reasons.add(choice.refusal)
    assert len(reasons) == 4
    assert sampler.calls == 0


@pytest.mark.parametrize(
    ("resilience", "phrase"),
    [
        (zne(noise_factors=(0.5, 1, 2), **PEA), "entries below 1"),
        (zne(noise_factors=(0.5, 1, 3)) | pec(), "entries below 1"),
        (zne(noise_factors=(1, 1.5, 3)) | pec(), "not odd"),
        (pec(noise_gain=1.5), "more than the noise there is"),
        (pec(max_overhead=0.5), "cancelling nothing"),
        (pec(noise_gain=0, max_overhead=1.5), "max_overhead"),
        (pec() | {"layer_noise_model": []}, "has no layers"),
        (pec() | {"layer_noise_model": MODELS[:1]}, "has no noise for a layer"),
        (zne(**PEA) | {"layer_noise_model": MODELS[:1]}, "has no noise for a layer"),
    ],
)
def test_what_contradicts_itself_is_refused(resilience, phrase):
    sampler = Watching(MODELS, 1)
    given = {"layer_noise_model": MODELS, **resilience}
    with pytest.raises((OptionsError, InputError, UnsupportedError), match=phrase):
        Estimator(sampler, {"resilience_level": 0, "resilience": given}).run([(CIRCUIT, OBSERVABLES)])
    assert sampler.calls == 0
