"""From samples of repeated layers to decays, their deviations, and what is said of how well rates explain them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ..circuits.closers import squares
from ..circuits.layers import Layer
from ..circuits.program import Program
from ..circuits.repetitions import REGISTER
from ..circuits.samples import Samples
from ..errors import CalibrationError, Problem
from ..kernels import parities
from ..kernels.decays import NO_SIGNAL, Decays
from ..kernels.lindblad import anticommute
from ..kernels.rates import RateFit
from .layer_records import label

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]

_CODES: Final = np.array([1, 3, 2], dtype=np.uint8)  # of the axes X, Y, Z
_WORST: Final = 5  # generators and residuals that a report names


@frozen(eq=False)
class Means:
    """Means of Paulis over randomizations, K of them at D depths.

    Attributes:
        values: float64 ``(D, K)``, NaN where there are no shots.
        variances: float64 ``(D, K)`` of the shots, as much larger as randomizations differ; infinite without shots.
        rows: Deviations, each with its depth and Paulis ``(k,)``: float64 ``(R, k)``.
    """

    values: Floats
    variances: Floats
    rows: tuple[tuple[int, NDArray[np.int64], Floats], ...]


def pauli_means(
    layer: Layer,
    measured: Codes,
    depths: Sequence[int],
    programs: Sequence[tuple[Program, int]],
    results: Sequence[Samples],
) -> Means:
    """Return means of Paulis, pooled over the bases that measure them.

    Args:
        layer: What was repeated.
        measured: The Paulis, codes uint8 ``(K, n)`` on the qubits of the layer.
        depths: Numbers of pairs of layers.
        programs: What was run, each with the index of its depth,
        results: and what came of it.

    Raises:
        CalibrationError: There are no shots of some basis at fewer than two depths.
    """
    squared = squares(layer)[None]
    turned = anticommute(measured, squared)[:, 0]
    shape = (len(depths), len(measured))
    sums, totals = np.zeros(shape), np.zeros(shape)
    parts = []
    for (program, depth), samples in zip(programs, results, strict=True):
        planes = parities.bit_planes(samples.bits[REGISTER], samples.num_bits[REGISTER], samples.shots)
        planes = planes.flipped(program.flips(0, program.num_members))
        basis = _CODES[program.bases[0].astype(np.int64) - 1]
        own = np.flatnonzero(((measured == 0) | (measured == basis)).all(axis=1))
        signs = np.where(turned[own] & (depths[depth] % 2 == 1), -1.0, 1.0)
        found = parities.term_sums(planes, (measured[own] != 0).astype(np.uint8)) * signs
        shots = planes.shots.astype(float)
        sums[depth, own] += found.sum(axis=0)
        totals[depth, own] += shots.sum()
        counted = np.count_nonzero(shots)
        if counted > 1:
            mean = found.sum(axis=0) / shots.sum()
            parts.append((depth, own, (found - shots[:, None] * mean) * np.sqrt(counted / (counted - 1))))
    CalibrationError.check(_without_shots(layer, measured, totals))
    known = totals > 0
    number = np.where(known, totals, 1.0)
    values = sums / number
    rows = [(depth, own, part / number[depth, own]) for depth, own, part in parts]
    spread = np.zeros(shape)
    for depth, own, part in rows:
        spread[depth, own] += (part**2).sum(axis=0)
    # What shots alone make; also where all of them agreed, a few might not have.
    shot = np.maximum(1 - values**2, 0.0) / number + 2 / number**2
    # The spread of one Pauli is itself noisy; that of all at a depth is not.
    excess = (spread * known).sum(axis=1) / np.maximum((shot * known).sum(axis=1), 1e-300)
    variances = shot * np.maximum(excess, 1.0)[:, None]
    agreed = known & (spread == 0)
    for level in np.flatnonzero(agreed.any(axis=1)).tolist():
        own = np.flatnonzero(agreed[level])
        rows.append((level, own, np.diag(np.sqrt(variances[level, own]))))
    return Means(np.where(known, values, np.nan), np.where(known, variances, np.inf), tuple(rows))


def _without_shots(layer: Layer, measured: Codes, totals: Floats) -> list[Problem]:
    few = np.flatnonzero((totals > 0).sum(axis=0) < 2)
    if not len(few):
        return []
    rule = f"has shots of {label(measured[few[0]], layer.qubits)} and {len(few) - 1} others at fewer than two depths"
    return [Problem(f"noise of the layer {layer.describe()}", rule, "run it again")]


def decay_rows(data: Means, decays: Decays) -> Floats:
    """Return deviations of the decays, at most as many rows as decays: float64 ``(B, M)``."""
    size = len(decays.rates)
    # Decays that only have a bound are less well known than their data.
    finite = np.where(np.isfinite(data.variances.T), data.variances.T, 0.0)
    left = np.maximum(decays.variances - (decays.responses**2 * finite).sum(axis=1), 0.0)
    bounded = np.flatnonzero((decays.status == NO_SIGNAL) & (left > 0))
    pile = [np.zeros((len(bounded), size))]
    pile[0][np.arange(len(bounded)), bounded] = np.sqrt(left[bounded])
    for depth, own, part in data.rows:
        rows = np.zeros((len(part), size))
        rows[:, own] = part * decays.responses[own, depth]
        pile.append(rows)
        if sum(map(len, pile)) > 2 * size:
            pile = [compressed(pile)]
    return compressed(pile)


def compressed(pile: Sequence[Floats]) -> Floats:
    """Return fewer rows with the same sum of outer products."""
    rows: Floats = np.concatenate(pile)
    if len(rows) > rows.shape[1]:
        rows = np.asarray(np.linalg.qr(rows, mode="r"))
    return rows


def _chi_square(design: Floats, decays: Decays, fit: RateFit, rows: Floats) -> tuple[float, float]:
    """Return chi squared of the residuals and its degrees of freedom, correlations of the decays allowed for.

    Parities of the same shots err together, and less of that is left in the residuals than of independent errors. So
    the sum of squares is compared with its own expectation and variance (Satterthwaite): scaled to have both, it is
    distributed like chi squared to good approximation.
    """
    held = np.where(fit.clipped[:, None], 0.0, fit.response)
    left = (rows - (rows @ held.T) @ design.T) / np.sqrt(decays.variances)
    expected = float((left**2).sum())
    spread = float(((left @ left.T) ** 2).sum())
    if not spread > 0:
        return 0.0, 0.0
    raw = float((fit.residuals**2 / decays.variances).sum())
    return raw * expected / spread, expected**2 / spread


def fit_quality(
    names: list[str], design: Floats, decays: Decays, fit: RateFit, rows: Floats
) -> dict[str, Any]:
    """Return how well the decays are exponential and the rates explain them, as plain data.

    Args:
        names: What each generator is called, which is also the Pauli whose decay was measured.
        design: float64 ``(M, K)``, how fast each Pauli decays by each generator.
        decays: How fast they do.
        fit: The rates of the generators.
        rows: Deviations of the decays, float64 ``(B, M)``.
    """
    chi_square, dof = _chi_square(design, decays, fit, rows)
    scores = fit.residuals / np.sqrt(decays.variances)
    seen = (design > 0).astype(float)
    # A generator is as doubtful as the decays of the Paulis that it makes decay.
    doubt = (seen.T @ scores**2) / np.maximum(seen.sum(axis=0), 1.0)
    largest, worst = np.argsort(-np.abs(scores), kind="stable"), np.argsort(-doubt, kind="stable")
    fitted = decays.status != NO_SIGNAL
    decay_dof = int(decays.dof[fitted].sum())
    return {
        "chi_square": chi_square,
        "dof": dof,
        "reduced_chi_square": chi_square / dof if dof > 0 else None,
        "decay_chi_square": float(decays.chi_squares[fitted].sum()),
        "decay_dof": decay_dof,
        "largest_residuals": [[names[k], float(scores[k])] for k in largest[:_WORST]],
        "worst_generators": [names[k] for k in worst[:_WORST]],
        "without_signal": [names[k] for k in np.flatnonzero(~fitted)],
        "clipped": [names[k] for k in np.flatnonzero(fit.clipped)],
        "assumed": [names[k] for k in np.flatnonzero(fit.tied)],
    }
