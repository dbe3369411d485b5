"""Twirls per second against samplomatic and Qiskit's own twirling pass, in one run.

A brickwork of CX layers with rz-sx-rz on every qubit between them, 127 qubits x 60 layers by default. Prints

- set-up: circuit to something that can be sampled;
- random twirls per second as arrays of angles (what a sampler with parameter arrays takes);
- bound circuits per second, what a plain backend takes;
- sx pulses added by the twirl;
- peak memory while randomizations grow.

Times are medians of `--repeats` runs, each of quell's next to one of the peer's, so a drifting machine moves
both. Run: ``python benchmarks/twirls.py``.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import pauli_twirl_2q_gates

import quell
from quell.circuits.bound import BoundForm
from quell.circuits.gatesets import choose
from quell.circuits.parametric import ParametricForm
from quell.circuits.program import Program
from quell.circuits.template import template_of
from quell.circuits.twirling import draws_of


def brickwork(num_qubits: int, num_layers: int, seed: int = 0) -> QuantumCircuit:
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(num_qubits)

    def dress() -> None:
        for qubit in range(num_qubits):
            first, last = rng.uniform(-np.pi, np.pi, 2)
            circuit.rz(first, qubit)
            circuit.sx(qubit)
            circuit.rz(last, qubit)

    for layer in range(num_layers):
        dress()
        for qubit in range(layer % 2, num_qubits - 1, 2):
            circuit.cx(qubit, qubit + 1)
    dress()
    return circuit


def program_of(circuit: QuantumCircuit, num_randomizations: int, seed: int) -> Program:
    template = template_of(circuit)
    return Program(
        template=template,
        parameter_values=np.zeros((1, 0)),
        parameter_sets=np.zeros(1, dtype=np.int64),
        bases=np.zeros((1, len(template.terminals)), dtype=np.uint8),
        shots=1,
        gate_set=choose(template.written, None),
        draws=draws_of(np.random.default_rng(seed), gates=True, measure=False, group="pauli"),
        randomizations=(0, num_randomizations),
    )


def setup(circuit: QuantumCircuit) -> ParametricForm:
    return ParametricForm(program_of(circuit, 10**6, seed=1))


def samplomatic_setup(circuit: QuantumCircuit) -> Any:
    from samplomatic import build
    from samplomatic.transpiler import generate_boxing_pass_manager

    boxed = generate_boxing_pass_manager(enable_gates=True, enable_measures=False).run(circuit)
    return build(boxed)


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def paired(ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> tuple[float, float, float]:
    """Return medians of both and of the ratio theirs / ours, run in turn."""
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
    return a, b, statistics.median(y / x for x, y in pairs)


def count_sx(circuit: QuantumCircuit) -> int:
    return circuit.count_ops().get("sx", 0)


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--qubits", type=int, default=127)
    parser.add_argument("--layers", type=int, default=60)
    parser.add_argument("--randomizations", type=int, default=100)
    parser.add_argument("--peer-randomizations", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    circuit = brickwork(arguments.qubits, arguments.layers)
    ours, peers, repeats = arguments.randomizations, arguments.peer_randomizations, arguments.repeats
    print(
        f"{arguments.qubits} qubits x {arguments.layers} layers, {circuit.size()} gates, medians of {repeats}"
    )

    form = setup(circuit)
    template, samplex = samplomatic_setup(circuit)
    a, b, ratio = paired(lambda: setup(circuit), lambda: samplomatic_setup(circuit), max(3, repeats // 2))
    print(f"set-up                     quell {a:8.3f} s      samplomatic {b:8.3f} s      {ratio:6.1f}x")

    inputs = samplex.inputs()

    def sample() -> Any:
        return samplex.sample(inputs, num_randomizations=peers)

    sample()
    form.values(0, ours)
    a, b, ratio = paired(lambda: form.values(0, ours), sample, repeats)
    ratio *= ours / peers
    print(
        f"twirls/s as angles         quell {ours / a:8.0f}        samplomatic {peers / b:8.0f}        {ratio:6.1f}x"
    )
    limit = form.values(0, 1).nbytes
    print(
        f"  limit: {limit / 1024:.0f} KiB of float64 angles written a twirl, {limit * ours / a / 1e9:.2f} GB/s"
    )

    few = min(50, ours)
    bound = BoundForm(form.program)
    cold = seconds(lambda: bound.circuits(0, few)) / few
    a, b, ratio = paired(
        lambda: bound.circuits(few, 2 * few),
        lambda: pauli_twirl_2q_gates(circuit, seed=1, num_twirls=few),
        repeats,
    )
    print(
        f"ms per bound circuit       quell {a / few * 1e3:8.2f}        "
        f"qiskit twirl {b / few * 1e3:8.2f}       {ratio:6.1f}x"
    )
    print(f"  the first {few} cost {cold * 1e3:.2f} ms each: instructions are made when first drawn")
    values = form.values(0, 2)
    a, b, ratio = paired(
        lambda: bound.circuits(0, 1), lambda: form.circuit.assign_parameters(values[0]), repeats
    )
    print(
        f"ms, one alone              quell {a * 1e3:8.2f}        assign_parameters {b * 1e3:6.2f}    {ratio:6.1f}x"
    )

    empty, instructions = circuit.copy_empty_like(), list(circuit.data)
    packing = statistics.median(
        seconds(lambda: empty.copy_empty_like()._data.extend(instructions)) for _ in range(2 * repeats)
    )
    print(f"  limit: Qiskit packs a ready list of {len(instructions)} instructions in {packing * 1e3:.2f} ms")

    before = count_sx(circuit)
    twirled = quell.twirl(circuit, 1, seed=0).circuit
    print(
        f"sx pulses: circuit {before}, quell adds {count_sx(twirled) - before}, "
        f"samplomatic adds {count_sx(template) - before}"
    )
    start = memory_mb()
    for start_row in range(0, 20_000, 500):
        form.values(start_row, start_row + 500)
    print(f"peak memory after 20000 more twirls in chunks of 500: +{memory_mb() - start:.0f} MB")


if __name__ == "__main__":
    main()
