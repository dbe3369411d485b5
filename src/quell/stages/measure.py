"""The crossing: an ensemble becomes a program going down, bits become term values coming up.

Qubit-wise commuting terms share a setting; the basis change merges into the last dressings. Going up, flips
of the measurement twirl are undone on bit planes and every term is a parity. Error bars count shots once:
the variance is that of the whole observable on each shot, so terms measured together keep their covariance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from attrs import evolve, frozen
from numpy.typing import NDArray

from ..circuits.ensemble import Ensemble
from ..circuits.gatesets import choose
from ..circuits.observables import Settings, settings_of
from ..circuits.program import Program
from ..circuits.samples import Samples
from ..kernels import draws, parities
from ..kernels.statistics import deviations_of_mean
from .base import Stage
from .estimate import Estimate, Terms
from .postselect import nothing_kept


@frozen(eq=False)
class MeasureResidue:
    """What was measured: settings, the program (for its flips), the register, and which terminals fill it.

    Members are randomizations, or `blocks` of the shots where there are none, shuffled by the key.
    """

    settings: Settings
    program: Program
    register: str
    columns: NDArray[np.int64]
    randomized: bool
    blocks: int = 1
    key: draws.Key | None = None


@frozen
class Measure(Stage[Ensemble, Program, Samples, Estimate]):
    """Measure the observables of an ensemble."""

    def expand(
        self, task: Ensemble, known: Mapping[Any, Any], rng: np.random.Generator
    ) -> tuple[Sequence[Program], MeasureResidue]:
        """Group terms into settings and make one program; none if nothing has to be measured."""
        settings = settings_of(task.observables, task.parameter_shape, task.shape)
        template = task.template
        circuit = template.circuit
        bits = {circuit.find_bit(bit).index: i for i, bit in enumerate(_register(circuit, task.register))}
        place = np.array([bits.get(terminal.clbit, -1) for terminal in template.terminals], dtype=np.int64)
        columns = np.flatnonzero(place >= 0)
        # Terms know the qubits of their support; the register may hold more.
        column_of_bit = np.empty(len(columns), dtype=np.int64)
        column_of_bit[place[columns]] = columns
        chosen = column_of_bit[np.searchsorted(task.measured, settings.qubits)]
        bases = np.zeros((len(settings.parameter_sets), len(template.terminals)), dtype=np.uint8)
        bases[:, chosen] = settings.bases
        program = Program(
            template=template,
            parameter_values=task.parameter_values,
            parameter_sets=settings.parameter_sets,
            bases=bases,
            shots=task.shots,
            gate_set=None,
            draws=task.draws,
            randomizations=(0, task.num_randomizations or 1),
            register=task.register,
        )
        if program.touched.any():
            program = program.written_in(choose(template.written, task.target))
        children = [program] if len(settings.parameter_sets) else []
        return children, MeasureResidue(
            settings,
            program,
            task.register,
            chosen,
            randomized=task.num_randomizations is not None,
            blocks=task.blocks if task.num_randomizations is None else 1,
            key=draws.Key.spawn(rng),
        )

    def combine(self, residue: MeasureResidue, results: Sequence[Samples]) -> Estimate:
        """Turn bits into term values and observables' variances, member by member.

        Raises:
            ExecutionError: There are no shots of some setting.
        """
        settings, program = residue.settings, residue.program
        members, size = program.num_randomizations * residue.blocks, len(settings.constants)
        num_terms = len(settings.setting)
        values, weights = np.zeros((members, num_terms)), np.full((members, num_terms), 1 / members)
        pooled, floor = np.zeros(size), np.zeros(size)
        variance = np.zeros((members, size))
        if results:
            samples = results[0]
            kept, taken = (
                shots.reshape(program.num_settings, -1).sum(axis=1)
                for shots in (samples.shots, samples.returned)
            )
            bits, member_shots = samples.bits[residue.register], samples.shots
            if residue.blocks > 1 and residue.key is not None:
                bits, member_shots = _in_blocks(bits, member_shots, residue.blocks, residue.key)
            planes = parities.bit_planes(bits, samples.num_bits[residue.register], member_shots)
            bit_of_qubit = _bits_of(residue)
            parts, element, setting_of_part = _parts(settings)
            bounds, floors = parities.observable_spreads(settings.codes, parts)
        for setting in range(program.num_settings if results else 0):
            terms = slice(*np.searchsorted(settings.setting, [setting, setting + 1]))
            own = slice(*np.searchsorted(setting_of_part, [setting, setting + 1]))
            rows = element[own]
            here = planes.select_members(range(setting * members, (setting + 1) * members))
            here = here.select(bit_of_qubit)
            if residue.randomized:
                flips = program.flips(setting * members, (setting + 1) * members)[:, residue.columns]
                here = here.flipped(flips)
            codes = settings.codes[terms]
            shots = here.shots.astype(float)
            if not taken[setting] or not (kept[setting] or residue.randomized):
                raise nothing_kept(f"setting {setting}", int(taken[setting]), samples)
            values[:, terms] = parities.term_sums(here, codes) / np.maximum(shots, 1)[:, None]
            weights[:, terms] = (shots / max(shots.sum(), 1))[:, None]
            first, second = parities.observable_sums(here, codes, parts[own, terms])
            # Members without shots have no weight; their variance is only kept finite.
            variance[:, rows] += parities.variance_of_mean(
                first, second, np.maximum(here.shots, 1), bounds[own], floors[own]
            )
            total = np.maximum(here.shots.sum(keepdims=True), 1)
            pooled[rows] += parities.variance_of_mean(
                first.sum(axis=0, keepdims=True),
                second.sum(axis=0, keepdims=True),
                total,
                bounds[own],
                floors[own],
            )[0]
            floor[rows] += floors[own] / float(total[0]) ** 2
        terms_ = Terms(values, weights, settings, scale=np.ones(num_terms))
        shape = settings.shape
        axes = (members,) if residue.randomized else ()
        details: dict[str, Any] = {
            "executed_shots": int(results[0].returned.sum()) if results else 0,
            "asked_shots": program.num_members * program.shots if results else 0,
        }
        if results and samples.taken is not None:
            details |= {"kept_shots": kept, "taken_shots": taken}
        if residue.blocks > 1:
            mean, spread = deviations_of_mean(values, weights)
            terms_ = evolve(
                terms_,
                values=mean[None],
                weights=np.ones((1, num_terms)),
                spread=() if spread is None else (spread,),
            )
            variance = pooled[None]
        return Estimate(
            value=terms_.contracted().reshape((*axes, *shape)),
            variance=variance.reshape((*axes, *shape)),
            shot_variance=pooled.reshape(shape),
            floor=floor.reshape(shape),
            terms=terms_,
            details=details,
        )

    def describe(self, residue: Any = None) -> str:
        """Return one line for the plan."""
        return "Measure"


def _in_blocks(
    bits: NDArray[np.uint8], shots: NDArray[np.int64], blocks: int, key: draws.Key
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Deal the shots of each member to blocks of equal length; the last ones may be shorter or empty.

    Shuffled, because shots that were read from counts come sorted.
    """
    members, most, width = bits.shape
    length = -(-most // blocks)
    padded = np.zeros((members, blocks * length, width), dtype=np.uint8)
    for member, count in enumerate(shots):
        order = draws.generator(key, member).permutation(int(count))
        padded[member, :count] = bits[member, order]
    left = np.clip(shots[:, None] - length * np.arange(blocks), 0, length)
    return padded.reshape(members * blocks, length, width), left.ravel()


def _register(circuit: Any, name: str) -> Any:
    """Return the register, nothing where no qubit had to be measured."""
    return next((register for register in circuit.cregs if register.name == name), ())


def _bits_of(residue: MeasureResidue) -> NDArray[np.int64]:
    """Return the bit of the register that each qubit of the settings was measured into."""
    circuit = residue.program.template.circuit
    bits = {circuit.find_bit(bit).index: i for i, bit in enumerate(_register(circuit, residue.register))}
    terminals = residue.program.template.terminals
    return np.array([bits[terminals[column].clbit] for column in residue.columns], dtype=np.int64)


def _parts(settings: Settings) -> tuple[sp.csr_array, NDArray[np.int64], NDArray[np.int64]]:
    """Split PUB elements into what each setting measures of them.

    Returns:
        Coefficients of the parts, one row per pair (setting, element) that has terms, settings ascending; the
        element and the setting of each row.
    """
    entries = settings.contraction.tocoo()
    size = len(settings.constants)
    pairs, row = np.unique(settings.setting[entries.col] * size + entries.row, return_inverse=True)
    shape = (len(pairs), len(settings.setting))
    return sp.csr_array((entries.data, (row, entries.col)), shape=shape), pairs % size, pairs // size
