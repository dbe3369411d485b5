"""Idles: qubits that wait through a layer, twirled all the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .dressings import Euler
from .template import Builder, Item, Op, Template, Terminal


def with_idles(template: Template, idle_qubits: Mapping[int, Iterable[int]]) -> Template:
    """Return the template with twirled idles: one-qubit identities in the given layers.

    Args:
        template: A template without idles.
        idle_qubits: For each layer, the qubits that wait in it and shall be twirled all the same.

    Layers that have idles are emitted one by one between two barriers, so that a frame and its inverse stay
    at the two ends of the wait instead of being merged by a later compilation.
    """
    if not any(tuple(qubits) for qubits in idle_qubits.values()):
        return template
    circuit = template.circuit
    build = Builder()
    by_layer: dict[int, list[Op]] = {}
    final = {op.instruction: op.before[0] for op in template.ops if template.is_final(op)}
    for op in template.ops:  # a qubit also waits for its measurement, so those come last
        by_layer.setdefault(template.num_layers if op.instruction in final else op.layer, []).append(op)
    barriers = _barriers_by_layer(template)
    pending = _gates_by_dressing(template)
    origin: dict[int, int] = {}

    def emit(op_qubits: tuple[int, ...], before: Iterable[int]) -> None:
        for q, d in zip(op_qubits, before, strict=True):
            for index, euler in pending.pop(d, ()):
                build.gate(q, index, euler)
            origin[build.dressing(q)] = d

    for layer in range(template.num_layers + 1):
        ops = by_layer.get(layer, [])
        idles = tuple(idle_qubits.get(layer, ()))
        build.items += [("barrier", index) for index in barriers.get(layer, ())]
        for op in ops:
            emit(op.qubits, op.before)
        together = sorted({q for op in ops for q in op.qubits} | set(idles))
        if idles:
            build.items += [("close", build.dressing(q)) for q in together]
            build.items.append(("sync", tuple(together)))
        for op in ops:
            build.op(op.qubits, instruction=op.instruction, layer=layer, matrices=op.matrices)
        for q in idles:
            build.op((q,), instruction=None, layer=layer)
        if idles:
            build.items.append(("sync", tuple(together)))
    for d, gates in list(pending.items()):
        q = template.dressings[d].qubit
        for index, euler in gates:
            build.gate(q, index, euler)
        origin[build.dressing(q)] = d
    build.close_all()
    for new, old in origin.items():
        for name in ("measured", "least", "repeated"):
            build.dressings[new][name] = getattr(template.dressings[old], name)
    moved = {final[op.instruction]: op.before[0] for op in build.ops if op.instruction in final}
    terminals = [Terminal(t.qubit, t.clbit, moved[t.dressing]) for t in template.terminals]
    return Template(
        circuit=circuit,
        dressings=build.frozen_dressings(),
        ops=tuple(build.ops),
        sequence=tuple(_drop_repeated_closes(build.items)),
        terminals=tuple(terminals),
        expressions=template.expressions,
        written=template.written,
    )


def _gates_by_dressing(template: Template) -> dict[int, list[tuple[int, Euler]]]:
    return {
        d: list(zip(dressing.instructions, dressing.gates, strict=True))
        for d, dressing in enumerate(template.dressings)
        if dressing.instructions
    }


def _barriers_by_layer(template: Template) -> dict[int, list[int]]:
    """Return the circuit's barriers, each under the layer that it comes before."""
    circuit = template.circuit
    level: dict[int, int] = {}
    barriers: dict[int, list[int]] = {}
    for kind, payload in template.sequence:
        if kind == "op":
            op = template.ops[payload]
            level.update(dict.fromkeys(op.qubits, op.layer + 1))
        elif kind == "barrier":
            qubits = [circuit.find_bit(bit).index for bit in circuit.data[payload].qubits]
            front = max((level.get(q, 0) for q in qubits), default=0)
            level.update(dict.fromkeys(qubits, front))
            barriers.setdefault(front, []).append(payload)
    return barriers


def _drop_repeated_closes(items: Iterable[Item]) -> Iterable[Item]:
    """Keep the first end of every dressing (a barrier asks for it before its operation does)."""
    seen: set[int] = set()
    for kind, payload in items:
        if kind == "close":
            if payload in seen:
                continue
            seen.add(payload)
        yield kind, payload
