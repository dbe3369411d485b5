"""Error cancellation: preparing circuits against samplomatic, learning noise against the vendor's learner.

Three parts, each printed as a table:

- ``preparation``: a brickwork of CX layers, 127 qubits x 60 layers by default, with Pauli-Lindblad noise of all
  weight-1 and neighbouring weight-2 generators in front of each layer. From the circuit to something that can be
  sampled, for Z on every qubit and for one ZZ; then random circuits a second: angles, inverted bits, and signs.
  samplomatic gets the same circuit and the same noise, to be cancelled everywhere; it has no light cones. Before
  anything is timed, gamma and the mean of the signs are compared.
- ``learning``: circuits, shots and seconds to learn one layer of CX on a line of 10 and of 100 qubits.
- ``accuracy``: rms error of the rates of a known 5-qubit layer, with readout errors, at the same shots.

Seconds are those of the CPU, of all threads: few other programs change them. Both learners measure on the same
simulated device (`quell.testing.pauli_frames`), whose time is not counted, with their default settings. The vendor's
is ``qiskit_noise_learning`` 0.1.0, which ``qiskit_ibm_runtime.executor_noise_learner`` calls; it may live in an
environment of its own, which then needs qiskit-ibm-runtime, attrs and cattrs as well. BLAS with many threads spins on
small matrices, so it gets one:

    OPENBLAS_NUM_THREADS=1 python benchmarks/pec.py --learner-python /path/to/its/bin/python
    OPENBLAS_NUM_THREADS=1 python benchmarks/pec.py --parts preparation --repeats 5
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit.library import CXGate
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.transpiler import CouplingMap

import quell
from quell.calibration.layers import LayerModel
from quell.circuits.layers import Layer, images
from quell.kernels.lindblad import conjugated, local_paulis
from quell.testing import ReadoutModel
from quell.testing.pauli_frames import PauliFrameSampler

#: Readout errors of the simulated device: p(1|0), p(0|1).
READOUT = (0.014, 0.026)
#: Mean of the rates that are learned.
MEAN_RATE = 1e-3
#: What noise there is. Repeated layers do not tell all rates, and each learner assumes something: quell that generators
#: and their images under the gates have equal rates, the vendor's that Paulis and their images have equal fidelities.
#: The first is so for the first two kinds, the second for the first only: it has no generators whose image leaves the
#: model.
KINDS = {"equal fidelities": "both hold", "equal rates": "quell's holds", "independent": "none holds"}
PEER = "qiskit-noise-learning"
#: gamma of the whole circuit that is prepared; the time does not depend on it.
GAMMA = 3.0


def line(num_qubits: int) -> Layer:
    """Return a layer of CX on every other pair of neighbours."""
    pairs = [(q, q + 1) for q in range(0, num_qubits - 1, 2)]
    waiting = (num_qubits - 1,) if num_qubits % 2 else ()
    return Layer(tuple(("cx", (), pair) for pair in pairs), waiting, (CXGate(),) * len(pairs))


def neighbours(num_qubits: int) -> tuple[tuple[int, int], ...]:
    return tuple((q, q + 1) for q in range(num_qubits - 1))


def known_noise(num_qubits: int, seed: int, kind: str) -> LayerModel:
    """Return random rates of one of `KINDS`."""
    layer = line(num_qubits)
    generators = local_paulis(num_qubits, neighbours(num_qubits))
    rates = np.random.default_rng(seed).exponential(MEAN_RATE, len(generators))
    number = {row.tobytes(): k for k, row in enumerate(generators)}
    image = np.array([number.get(row.tobytes(), -1) for row in conjugated(generators, images(layer))])
    if kind != "independent":
        rates = np.where(image >= 0, (rates + rates[image]) / 2, rates)
    if kind == "equal fidelities":
        rates[image < 0] = 0.0
    return LayerModel.of(layer, generators, rates, "truth")


class Device(PauliFrameSampler):
    """The simulated device, and the seconds that it took."""

    def __init__(self, truth: LayerModel, seed: int) -> None:
        readout = ReadoutModel.uniform(len(truth.layer.qubits), *READOUT)
        super().__init__([truth], seed, readout=readout)
        self.seconds = 0.0

    def __call__(self, pubs: Any) -> Any:
        """Return the shots of PUBs."""
        start = time.process_time()
        try:
            return super().__call__(pubs)
        finally:
            self.seconds += time.process_time() - start


# --- learning ------------------------------------------------------------------------------------


def outcome(
    times: Sequence[float], device: Device, size: tuple[int, int], model: LayerModel, truth: LayerModel
) -> dict[str, Any]:
    """Return what learning took and how wrong it is; `times` are the ends of planning, of running, of fitting."""
    start, planned, measured, fitted = times
    found = dict(zip(model.labels, model.rates.tolist(), strict=True))
    errors = [found.get(label, 0.0) - rate for label, rate in zip(truth.labels, truth.rates, strict=True)]
    return {
        "circuits": size[0],
        "shots": size[1],
        "plan": planned - start,
        "render": measured - planned - device.seconds,
        "fit": fitted - measured,
        "rms": float(np.sqrt(np.mean(np.square(errors)))),
        "total": float(model.rates.sum() / truth.rates.sum() - 1),
    }


def learn(num_qubits: int, seed: int, kind: str) -> dict[str, dict[str, Any]]:
    """Learn a layer with quell."""
    from quell.calibration.learning import LayerNoise
    from quell.execution.samplers import CallableRunner

    truth = known_noise(num_qubits, seed, kind)
    device = Device(truth, seed)
    times = [time.process_time()]
    need = LayerNoise(truth.layer, num_qubits, neighbours(num_qubits))
    programs, residue = need.experiment(np.random.default_rng(seed))
    times.append(time.process_time())
    samples = CallableRunner(device).run(
        programs, seed=seed, progress=lambda *_: None, cancelled=threading.Event()
    )
    times.append(time.process_time())
    model = need.fit(residue, samples)
    times.append(time.process_time())
    size = sum(p.num_members for p in programs), sum(p.num_members * p.shots for p in programs)
    return {"quell": outcome(times, device, size, model, truth)}


def learn_with_peer(num_qubits: int, seed: int, kind: str) -> dict[str, dict[str, Any]]:
    """Learn the same layer with the vendor's learner, its circuits run as its local mode runs them.

    It has a fit for quell's assumption too, which its learner does not use: a second outcome from the same data.
    """
    from qiskit.providers.fake_provider import GenericBackendV2
    from qiskit_ibm_runtime.fake_provider.executor.broadcast_sample import broadcast_sample
    from qiskit_noise_learning.analysis.legacy import fit_noise_model_legacy
    from qiskit_noise_learning.data import AggregatedObservableData
    from qiskit_noise_learning.protocols import prepare_vanilla_program, process_vanilla_result
    from samplomatic import InjectNoise, Twirl
    from samplomatic.quantum_program import QuantumProgramItemResult, QuantumProgramResult

    truth = known_noise(num_qubits, seed, kind)
    device = Device(truth, seed)
    rng = np.random.default_rng(seed)
    backend = GenericBackendV2(
        num_qubits,
        basis_gates=["cx", "rz", "sx", "x"],
        coupling_map=CouplingMap.from_line(num_qubits),
        noise_info=False,
    )
    circuit = QuantumCircuit(num_qubits)
    with circuit.box([Twirl(), InjectNoise("layer")]):
        for _, _, pair in truth.layer.gates:
            circuit.cx(*pair)
        for qubit in truth.layer.spectators:
            circuit.noop(qubit)
    times = [time.process_time()]
    program = prepare_vanilla_program(backend, [circuit[0]])
    times.append(time.process_time())
    results = []
    for item in program.items:
        data = broadcast_sample(item.samplex, item.samplex_arguments, item.shape, rng)
        # Angles are in single precision.
        values = np.round(np.asarray(data.pop("parameter_values"), dtype=float) / (np.pi / 4)) * (np.pi / 4)
        shots = device([SamplerPub.coerce((item.circuit, rows, program.shots)) for rows in values])
        bits = {
            name: np.stack([own[name].to_bool_array(order="little") for own in shots]) for name in shots[0]
        }
        results.append(QuantumProgramItemResult({**data, **bits}))
    result = QuantumProgramResult(results, passthrough_data=program.passthrough_data)
    times.append(time.process_time())
    (layer_map,), _, fit = process_vanilla_result(result)
    times.append(time.process_time())
    circuits = sum(item.size() for item in program.items)
    data = fit[AggregatedObservableData].dataset
    decays = [len(path.repeatable_fragment) > 0 for path in data["unbound_path"].data]
    other = fit_noise_model_legacy(
        AggregatedObservableData(data.sel({"observable": decays})), noise_assumption="symmetric_generators"
    )
    return {
        name: outcome(
            times, device, (circuits, circuits * program.shots), LayerModel.of_map(truth.layer, found), truth
        )
        for name, found in ((PEER, layer_map), (f"{PEER}, equal rates", other))
    }


def work() -> None:
    """Answer each line of stdin, the arguments of `learn_with_peer`, with what the vendor's learner makes of it."""
    for text in sys.stdin:
        answer = learn_with_peer(*json.loads(text))
        print(json.dumps(answer), flush=True)


class Peer:
    """The vendor's learner in another interpreter, so that both take turns; call it as `learn_with_peer`."""

    def __init__(self, python: str | None) -> None:
        self._process: subprocess.Popen[str] | None = None
        if python is None:
            print("the vendor's learner is left out (see --learner-python)")
            return
        path = os.pathsep.join([str(Path(quell.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [python, "-W", "ignore", __file__, "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def __call__(self, *work: Any) -> dict[str, dict[str, Any]]:
        """Return what it learns; nothing if there is no such interpreter."""
        if self._process is None:
            return {}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(work), file=self._process.stdin, flush=True)
        answer: dict[str, dict[str, Any]] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()


def learned(num_qubits: int, seeds: Sequence[int], kind: str, peer: Peer) -> dict[str, list[dict[str, Any]]]:
    """Return the outcomes of both learners, in turn."""
    found: dict[str, list[dict[str, Any]]] = {}
    for seed in seeds:
        for call in (learn, peer):
            for name, own in call(num_qubits, seed, kind).items():
                found.setdefault(name, []).append(own)
    return found


def learning(sizes: Sequence[int], repeats: int, peer: Peer) -> None:
    print("\n| layer of CX | learner | circuits | shots | plan | render | fit | all |")
    print("|---|---|---|---|---|---|---|---|")
    for num_qubits in sizes:
        found = learned(num_qubits, range(1 if num_qubits > 20 else repeats), "equal fidelities", peer)
        for name in [name for name in ("quell", PEER) if name in found]:
            steps = [[own[step] for own in found[name]] for step in ("plan", "render", "fit")]
            seconds = [median(own) for own in (*steps, np.sum(steps, axis=0).tolist())]
            sizes_of = [str(found[name][0][key]) for key in ("circuits", "shots")]
            cells = [f"{num_qubits} qubits", name, *sizes_of, *(f"{value:.2f} s" for value in seconds)]
            print("|", " | ".join(cells), "|", flush=True)


def accuracy(repeats: int, peer: Peer) -> None:
    print("\n| noise of the 5-qubit layer | learner | shots | rms error of a rate | of their sum |")
    print("|---|---|---|---|---|")
    for kind, assumptions in KINDS.items():
        found = learned(5, range(100, 100 + repeats), kind, peer)
        for name, own in found.items():
            rms, total = (np.sqrt(np.mean([o[key] ** 2 for o in own])) for key in ("rms", "total"))
            cells = [f"{kind} ({assumptions})", name, own[0]["shots"], f"{rms:.2e}", f"{100 * total:.1f} %"]
            print("|", " | ".join(map(str, cells)), "|", flush=True)


# --- preparation ---------------------------------------------------------------------------------


def layer_noise(circuit: QuantumCircuit, num_layers: int) -> list[LayerModel]:
    """Return noise of all distinct layers whose gamma for the whole circuit is `GAMMA`."""
    from quell.circuits.layers import occurrences
    from quell.circuits.template import template_of
    from quell.circuits.twirling import twirled_template

    rng = np.random.default_rng(0)
    models = []
    for layer in dict.fromkeys(
        o.layer for o in occurrences(twirled_template(template_of(circuit), "active-accum"))
    ):
        generators = local_paulis(len(layer.qubits), neighbours(len(layer.qubits)))
        rates = rng.exponential(1.0, len(generators))
        rates *= np.log(GAMMA) / (2 * num_layers * rates.sum())
        models.append(LayerModel.of(layer, generators, rates, "known"))
    return models


def prepared(
    circuit: QuantumCircuit, models: Sequence[LayerModel], terms: Sequence[str], members: int
) -> Any:
    """Return a parametric circuit, its errors and what is said of them: circuit to what can be sampled."""
    from qiskit.primitives.containers.observables_array import ObservablesArray

    from quell import pipeline
    from quell.circuits.ensemble import Ensemble
    from quell.circuits.gatesets import choose
    from quell.circuits.injection import Injection
    from quell.circuits.observables import parse
    from quell.circuits.parametric import ParametricForm
    from quell.circuits.template import template_of
    from quell.primitives.inputs import measuring
    from quell.stages.measure import Measure
    from quell.stages.pec import LayerLearning, Pec
    from quell.stages.twirl import Twirl

    observables, problems = parse(ObservablesArray(list(terms)), circuit.num_qubits, "pub")
    assert not problems
    measured, register = measuring(circuit, observables.support)
    task = Ensemble(
        template=template_of(measured),
        register=register,
        measured=observables.support,
        parameter_values=np.zeros((1, 0)),
        parameter_shape=(),
        observables=observables,
        shape=(len(terms),),
        shots=members,
    )
    stages = (
        Pec(LayerLearning((), 1, 1), tuple(models), gain=0.0, max_overhead=None, num_randomizations=members),
        Twirl(
            gates=True,
            measure=True,
            num_randomizations=members,
            shots_per_randomization=1,
            strategy="active-accum",
            group="pauli",
        ),
        Measure(),
    )
    plan = pipeline.plan([(stages, task)], np.random.default_rng(0))
    (program,) = pipeline.leaves(plan)
    program = program if program.gate_set else program.written_in(choose(program.template.written, None))
    (errors,) = (draw for draw in program.draws if isinstance(draw, Injection))
    return ParametricForm(program), errors, plan.roots[0].residue


def samplomatic_prepared(circuit: QuantumCircuit, models: Sequence[LayerModel]) -> Any:
    """Return the peer's template, what samples its parameters, the inputs of that, and the boxes."""
    from samplomatic import InjectNoise, build
    from samplomatic.transpiler import generate_boxing_pass_manager
    from samplomatic.utils import get_annotation

    measured = circuit.copy()
    measured.measure_all()
    boxed = generate_boxing_pass_manager(
        inject_noise_targets="gates", inject_noise_strategy="uniform_modification"
    ).run(measured)
    template, samplex = build(boxed)
    by_gates = {(model.layer.gates[0][2][0], len(model.layer.qubits)): model for model in models}
    maps = {}
    for box in boxed.data:
        noise = get_annotation(box.operation, InjectNoise) if box.name == "box" else None
        if noise is not None and noise.ref not in maps:
            inner = box.operation.blocks[0]
            first = min(
                boxed.find_bit(box.qubits[inner.find_bit(bit).index]).index
                for gate in inner.data
                if gate.name == "cx"
                for bit in gate.qubits
            )
            maps[noise.ref] = by_gates[first, len(box.qubits)].pauli_lindblad_map()
    inputs = samplex.inputs()
    changes = {
        spec.name: np.zeros(spec.shape, dtype=spec.dtype) for spec in inputs.get_specs("basis_changes")
    }
    inputs.bind(pauli_lindblad_maps=maps, noise_scales=dict.fromkeys(maps, -1.0))
    for name, value in changes.items():
        inputs[name] = value
    return template, samplex, inputs, boxed


def paired(ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> tuple[float, float, float]:
    """Return medians of both and of the ratio theirs / ours, run in turn."""
    pairs = []
    for _ in range(repeats):
        moments = [time.process_time()]
        for call in (ours, theirs):
            call()
            moments.append(time.process_time())
        pairs.append(np.diff(moments))
    a, b = (median(column) for column in zip(*pairs, strict=True))
    return a, b, median(y / x for x, y in pairs)


def check_signs(name: str, odd: NDArray[np.bool_], gamma: float) -> None:
    """Compare the mean sign of random circuits with what it should be, to 5 standard errors."""
    mean, error = float(np.mean(1 - 2.0 * odd)), np.sqrt((1 - gamma**-2) / len(odd))
    assert abs(mean - 1 / gamma) < 5 * error, f"{name}: signs have the mean {mean}, not {1 / gamma}"


def preparation(num_qubits: int, num_layers: int, members: int, repeats: int) -> None:
    from qiskit_mitigation.pec import PEC
    from samplomatic import InjectNoise
    from samplomatic.utils import get_annotation
    from twirls import brickwork

    circuit = brickwork(num_qubits, num_layers)
    models = layer_noise(circuit, num_layers)
    single = ["".join("Z" if i == q else "I" for i in reversed(range(num_qubits))) for q in range(num_qubits)]
    middle = num_qubits // 2
    double = ["".join("Z" if i in (middle, middle + 1) else "I" for i in reversed(range(num_qubits)))]

    template, samplex, inputs, boxed = samplomatic_prepared(circuit, models)
    maps = {spec.name.split(".")[-1]: inputs[spec.name] for spec in inputs.get_specs("pauli_lindblad_maps")}
    gamma = PEC.calculate_gamma(boxed, maps, 1.0)
    noises = [get_annotation(box.operation, InjectNoise) for box in boxed.data]
    theirs = sum(maps[noise.ref].num_terms for noise in noises if noise is not None)

    def peer() -> Any:
        return samplex.sample(inputs, num_randomizations=members)

    sampled = peer()
    check_signs(
        "samplomatic", np.logical_xor.reduce(sampled["pauli_signs"].reshape(members, -1), axis=1), gamma
    )
    sizes = [template, samplex, maps]
    held, written = len(pickle.dumps(sizes)), sampled["parameter_values"].nbytes / members
    del sampled
    print(
        f"\n{num_qubits} qubits x {num_layers} layers, {[len(model.rates) for model in models]} generators a layer, "
        f"gamma {gamma:.4f}; medians of {repeats}, {members} random circuits\n"
    )
    print("| work | quell | samplomatic | ratio |")
    print("|---|---|---|---|")
    for what, terms in ((f"Z on each of {num_qubits} qubits", single), ("one ZZ", double)):
        form, errors, residue = prepared(circuit, models, terms, members)
        everything = 10 ** (residue.facts["log10_overhead_without_light_cone"] / 2)
        assert abs(everything / gamma - 1) < 1e-9, f"gamma {everything}, not {gamma}"
        odd, _ = errors.signs(0, 0, members)
        for term in (0, -1):
            check_signs("quell", odd[:, term], float(residue.gammas[term]))
        kept = np.sum(np.abs(np.asarray(errors.noise.rates)) > 0)

        def ours(form: Any = form, errors: Any = errors) -> None:
            for start in range(0, members, 250):
                form.values(start, min(start + 250, members))
            form.program.flips(0, members)
            errors.signs(0, 0, members)

        a, b, ratio = paired(
            lambda terms=terms: prepared(circuit, models, terms, members),
            lambda: samplomatic_prepared(circuit, models),
            max(3, repeats // 2),
        )
        print(f"| {what}: circuit to what can be sampled | {a:.2f} s | {b:.2f} s | {ratio:.1f}x |")
        a, b, ratio = paired(ours, peer, repeats)
        print(f"| {what}: random circuits a second | {members / a:.0f} | {members / b:.0f} | {ratio:.1f}x |")
        own, angles = len(pickle.dumps(form.program)), form.values(0, 1).nbytes
        print(f"| {what}: plan, pickled | {own / 1e6:.1f} MB | {held / 1e6:.1f} MB | {held / own:.1f}x |")
        print(
            f"| {what}: angles of a random circuit | {angles / 1024:.0f} KiB | {written / 1024:.0f} KiB | |"
        )
        print(f"| {what}: generators that are drawn | {kept} | {theirs} | |")
        print(
            f"| {what}: sampling overhead, largest | {residue.facts['sampling_overhead']:.2f} | {gamma**2:.2f} | |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--parts", default="preparation,learning,accuracy", help="comma-separated, of the three"
    )
    parser.add_argument("--qubits", type=int, default=127, help="that are prepared")
    parser.add_argument("--layers", type=int, default=60, help="that are prepared")
    parser.add_argument("--randomizations", type=int, default=1000, help="that are prepared")
    parser.add_argument("--sizes", default="10,100", help="of layers that are learned")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--learner-python", metavar="PATH", help="interpreter that has qiskit-noise-learning")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work()
        return
    parts = arguments.parts.split(",")
    if "preparation" in parts:
        preparation(arguments.qubits, arguments.layers, arguments.randomizations, arguments.repeats)
    if not {"learning", "accuracy"} & set(parts):
        return
    peer = Peer(arguments.learner_python)
    try:
        if "learning" in parts:
            learning([int(size) for size in arguments.sizes.split(",")], arguments.repeats, peer)
        if "accuracy" in parts:
            accuracy(arguments.repeats, peer)
    finally:
        peer.close()


if __name__ == "__main__":
    main()
