"""Twirling: random Paulis around two-qubit gates and before measurements.

A two-qubit gate G is surrounded by a random frame F and the frame F' with F' G F = G, so the circuit's
unitary is unchanged while its noise is averaged over F. Over Paulis, coherent errors become stochastic
Pauli errors (arXiv:quant-ph/0104062, arXiv:1512.01098); before measurements, a random X and the inversion
of the bit make readout errors independent of the state (arXiv:2012.09738).

Gates that are not Clifford are twirled over the Paulis that stay local under them; everything else is left
alone. The stage that uses this is `stages.twirl`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ..kernels import draws, paulis
from .idles import with_idles
from .program import Frames
from .template import Template

Group = Literal["pauli", "balanced_pauli", "local_pauli", "local_c1"]
Strategy = Literal["active", "active-accum", "active-circuit", "all"]

#: Randomizations that belong together under a balanced group.
BLOCK: Final = 4
#: From this many randomizations on, those of a measurement twirl come in pairs: there are enough pairs for a spread.
_LEAST_PAIRED: Final = 16
#: Products in GF(4): row g permutes the nonzero elements 1, 2, 3.
_GF4: Final = np.array([[0, 0, 0, 0], [0, 1, 2, 3], [0, 2, 3, 1], [0, 3, 1, 2]], dtype=np.uint8)


@frozen(eq=False)
class _Sites:
    """Where a gate twirl acts on a template.

    Attributes:
        choices: Choice tables, one per distinct kind of operation.
        kind: Table of each operation, ascending, int64 ``(num_ops,)``.
        after: For each dressing the operation behind it and the column of its table, int64
            ``(2, num_dressings)``; operation ``num_ops`` stands for none.
        before: Likewise for the operation in front of it.
    """

    choices: tuple[NDArray[np.uint8], ...]
    kind: NDArray[np.int64]
    after: NDArray[np.int64]
    before: NDArray[np.int64]


@lru_cache(maxsize=64)
def _sites(template: Template, cliffords: bool) -> _Sites:
    tables: dict[bytes, int] = {}
    choices: list[NDArray[np.uint8]] = []
    kinds: dict[int, int] = {}  # operations that share their matrices share their table
    found = []
    for op in template.ops:
        kind = kinds.get(id(op.matrices), -1) if op.matrices else -1
        if kind < 0:
            table = op.choices(cliffords=cliffords)
            if len(table) == 1:
                continue
            key = table.tobytes() + bytes([table.shape[1]])
            if key not in tables:
                tables[key] = len(choices)
                choices.append(table)
            kind = tables[key]
            if op.matrices:
                kinds[id(op.matrices)] = kind
        found.append((kind, op))
    found.sort(key=lambda pair: pair[0])
    after, before = np.zeros((2, 2, len(template.dressings)), dtype=np.int64)
    after[0] = before[0] = len(found)
    for k, (_, op) in enumerate(found):
        for column, dressing in enumerate(op.before):
            after[:, dressing] = k, column
        for column, dressing in enumerate(op.after):
            before[:, dressing] = k, len(op.qubits) + column
    return _Sites(tuple(choices), np.array([kind for kind, _ in found], dtype=np.int64), after, before)


@lru_cache(maxsize=1024)
def _translation(choices: bytes, width: int) -> bytes:
    """Map a random byte to a row of a table of 2^k rows, its Pauli codes packed two bits each."""
    table = np.frombuffer(choices, dtype=np.uint8).reshape(-1, width)
    rows = table[np.arange(256) % len(table)]
    return bytes((rows << (2 * np.arange(width, dtype=np.uint8))).sum(axis=1).astype(np.uint8))


@frozen
class GateTwirl:
    """Random frames around every operation that has a choice of them; plain data (see `Draw`)."""

    key: draws.Key
    group: Group = "pauli"

    @property
    def cliffords(self) -> bool:
        """Whether frames are Cliffords rather than Paulis."""
        return self.group == "local_c1"

    def touched(self, template: Template) -> NDArray[np.bool_]:
        """Return the dressings next to a twirled operation, bool ``(num_dressings,)``."""
        sites = _sites(template, self.cliffords)
        none = len(sites.kind)
        touched: NDArray[np.bool_] = (sites.after[0] != none) | (sites.before[0] != none)
        return touched

    def frames(self, template: Template, setting: int, start: int, stop: int) -> Frames:
        """Return the frames of some randomizations of a setting."""
        sites = _sites(template, self.cliffords)
        if self.group in ("pauli", "local_pauli"):
            # 16, 8, 4 or 2 rows: a random byte decides, and one byte holds the codes of all columns.
            packed = self._packed(sites, setting, start, stop)
            shifts = 2 * np.stack([sites.after[1], sites.before[1]]).astype(np.uint8)
            after = np.take(packed, sites.after[0], axis=1) >> shifts[0] & 3
            before = np.take(packed, sites.before[0], axis=1) >> shifts[1] & 3
            return Frames(before, after)
        rows = self._rows(sites, setting, start, stop)
        return Frames(rows[:, sites.before[0], sites.before[1]], rows[:, sites.after[0], sites.after[1]])

    def flips(self, template: Template, setting: int, start: int, stop: int) -> None:
        """Return None: gate frames cancel before any measurement."""

    def _packed(self, sites: _Sites, setting: int, start: int, stop: int) -> NDArray[np.uint8]:
        """Draw a row of its table for every operation, two bits a column; the last operation is none."""
        rows, num_ops = stop - start, len(sites.kind)
        packed = np.zeros((rows, num_ops + 1), dtype=np.uint8)
        raw = draws.octets(self.key, setting, start, stop, num_ops)
        for kind, table in enumerate(sites.choices):
            of_kind = slice(*np.searchsorted(sites.kind, [kind, kind + 1]))
            block = raw[:, of_kind]
            text = block.tobytes().translate(_translation(table.tobytes(), table.shape[1]))
            packed[:, of_kind] = np.frombuffer(text, dtype=np.uint8).reshape(block.shape)
        return packed

    def _rows(self, sites: _Sites, setting: int, start: int, stop: int) -> NDArray[np.uint8]:
        """Draw a row of its table for every operation, uint8 ``(rows, num_ops + 1, 4)``; the last is none."""
        num_ops = len(sites.kind)
        sizes = np.array([len(table) for table in sites.choices], dtype=np.int64)
        if self.group == "balanced_pauli":
            base, multipliers = _balanced(self.key, setting, start, stop, num_ops)
            index = base % sizes[sites.kind] if num_ops else base
            for kind, table in enumerate(sites.choices):
                of_kind = slice(*np.searchsorted(sites.kind, [kind, kind + 1]))
                permutation = paulis.balancing_permutations(table)
                index[:, of_kind] = permutation[multipliers[:, of_kind], index[:, of_kind]]
        else:
            raw = draws.octets(self.key, setting, start, stop, 4 * num_ops)
            index = draws.uniform_below(raw, sizes[sites.kind] if num_ops else sizes)
        rows = np.zeros((stop - start, num_ops + 1, 4), dtype=np.uint8)
        for kind, table in enumerate(sites.choices):
            of_kind = slice(*np.searchsorted(sites.kind, [kind, kind + 1]))
            rows[:, of_kind, : table.shape[1]] = table[index[:, of_kind]]
        return rows


def _balanced(
    key: draws.Key, setting: int, start: int, stop: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return a random base per site and block of four, and Paulis that run through all four in a block."""
    first, last = start // BLOCK, -(-stop // BLOCK)
    raw = np.repeat(draws.octets(key, setting, first, last, 2 * width), BLOCK, axis=0)
    raw = raw[start - first * BLOCK : stop - first * BLOCK]
    turn = np.arange(start, stop) % BLOCK
    return raw[:, :width].astype(np.int64), _GF4[raw[:, width:] % 3 + 1, turn[:, None]]


@frozen
class _Inverted:
    """X before some terminal measurements of each randomization; a subclass says which."""

    def touched(self, template: Template) -> NDArray[np.bool_]:
        """Return the dressings before terminal measurements, bool ``(num_dressings,)``."""
        touched = np.zeros(len(template.dressings), dtype=bool)
        touched[[terminal.dressing for terminal in template.terminals]] = True
        return touched

    def flips(self, template: Template, setting: int, start: int, stop: int) -> NDArray[np.bool_]:
        """Return which terminal measurements are inverted, bool ``(members, num_terminals)``."""
        raise TypeError(f"{type(self).__name__} must define flips()")

    def frames(self, template: Template, setting: int, start: int, stop: int) -> Frames:
        """Return X after the dressings before inverted measurements."""
        shape = (stop - start, len(template.dressings))
        frames = Frames(np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=np.uint8))
        frames.after[:, [terminal.dressing for terminal in template.terminals]] = self.flips(
            template, setting, start, stop
        )
        return frames


@frozen
class MeasureTwirl(_Inverted):
    """Random X before terminal measurements, undone on the bits; plain data (see `Draw`).

    Attributes:
        key: Draws them.
        block: Randomizations that belong together: runs of `BLOCK` are balanced; in runs of two the second inverts
            what the first does not, so that what ones are misread more often than zeros cancels to first order in
            every pair.
    """

    key: draws.Key
    block: int = 1

    def flips(self, template: Template, setting: int, start: int, stop: int) -> NDArray[np.bool_]:
        """Return which terminal measurements are inverted, bool ``(members, num_terminals)``."""
        width = len(template.terminals)
        if self.block == BLOCK:
            base, multipliers = _balanced(self.key, setting, start, stop, width)
            return (base & 1 ^ multipliers & 1).astype(bool)
        members = np.arange(start, stop)
        first = start // self.block
        raw = draws.octets(self.key, setting, first, (stop - 1) // self.block + 1, -(-width // 8))
        drawn = np.unpackbits(raw, axis=1, count=width).astype(bool)[members // self.block - first]
        inverted: NDArray[np.bool_] = drawn ^ (members % self.block == 1)[:, None]
        return inverted


def measure_block(num_randomizations: int, balanced: bool = False) -> int:
    """Return how many randomizations of a measurement twirl belong together."""
    if balanced:
        return BLOCK
    return 2 if num_randomizations >= _LEAST_PAIRED else 1


@frozen
class BalancedStates(_Inverted):
    """States in which each bit is 1 as often as 0, and bits together in each state as often as in any other.

    Bit i of randomization r is the parity of ``r & words[i]``: bits whose words are linearly independent take all
    states together equally often in each run of ``2^m`` randomizations, if words have m bits.
    """

    words: tuple[int, ...]

    def flips(self, template: Template, setting: int, start: int, stop: int) -> NDArray[np.bool_]:
        """Return which bits are prepared in state 1, bool ``(members, num_terminals)``."""
        both = np.arange(start, stop)[:, None] & np.array(self.words, dtype=np.int64)
        odd: NDArray[np.bool_] = np.bitwise_count(both) % 2 == 1
        return odd


def twirled_template(template: Template, strategy: Strategy, *, cliffords: bool = False) -> Template:
    """Return the template with the idles that a strategy twirls too.

    In every layer that has a twirled operation, ``active`` leaves waiting qubits alone, ``active-accum``
    twirls those that were in an operation of this or an earlier layer, ``active-circuit`` those of any
    layer, and ``all`` every qubit that the circuit or a measurement uses. Qubits that the circuit does not
    use are never given gates.
    """
    if strategy == "active":
        return template
    layers: dict[int, set[int]] = {}
    active: dict[int, set[int]] = {}
    for op in template.ops:
        if template.is_final(op):
            continue  # the qubit waits: idles push these measurements to the end
        layers.setdefault(op.layer, set()).update(op.qubits)
        if len(op.choices(cliffords=cliffords)) > 1:
            active.setdefault(op.layer, set()).update(op.qubits)
    everyone = {d.qubit for d in template.dressings} if strategy == "all" else set().union(*active.values())
    idles: dict[int, list[int]] = {}
    reached: set[int] = set()
    for layer in sorted(active):
        reached |= active[layer]
        waiting = (reached if strategy == "active-accum" else everyone) - layers[layer]
        idles[layer] = sorted(waiting)
    return with_idles(template, idles)


def draws_of(
    rng: np.random.Generator, *, gates: bool, measure: bool, group: Group, block: int = 1
) -> tuple[GateTwirl | MeasureTwirl, ...]:
    """Draw the keys of a twirl; `block` randomizations of that of measurements belong together."""
    gate_key, measure_key = draws.Key.spawn(rng), draws.Key.spawn(rng)
    chosen: list[GateTwirl | MeasureTwirl] = []
    if gates:
        chosen.append(GateTwirl(gate_key, group))
    if measure:
        chosen.append(MeasureTwirl(measure_key, block))
    return tuple(chosen)
