"""Extrapolations per second against a loop over scipy's `curve_fit`, in one run.

Curves of a Pauli term's value against noise, three or five noise factors, errors known. The peer is what estimators
commonly do: one call of `curve_fit` a term, here with `absolute_sigma=True`. It is timed on a few hundred curves.
Prints medians of ``--repeats`` runs, each of quell's next to one of the peer's, and the largest difference of the
zero-noise values in error bars. Run: ``python benchmarks/fits.py``.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import curve_fit

from quell.extrapolators import extrapolator

MODELS: dict[str, Callable[..., Any]] = {
    "linear": lambda x, a, b: a + b * x,
    "polynomial_degree_2": lambda x, a, b, c: a + b * x + c * x**2,
    "exponential": lambda x, a, b: a * np.exp(-b * x),
    "double_exponential": lambda x, a, b, c, d: a * np.exp(-b * x) + c * np.exp(-d * x),
}


def curves(num_curves: int, factors: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy values ``(T, F)`` and their standard errors, which differ between factors."""
    rng = np.random.default_rng(seed)
    truth, rate = rng.uniform(0.2, 1, (num_curves, 1)), rng.uniform(0.02, 0.3, (num_curves, 1))
    sigma = 0.01 * np.linspace(1, 1.5, len(factors))
    values = truth * np.exp(-rate * factors) + sigma * rng.normal(size=(num_curves, len(factors)))
    return values, sigma


def looped(model: str, factors: np.ndarray, values: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Return the zero-noise values of a loop over `curve_fit`, NaN where it gives up."""
    function, found = MODELS[model], np.full(len(values), np.nan)
    size = function.__code__.co_argcount - 1
    for k, row in enumerate(values):
        start = {2: [row[0], 0.1], 3: [row[0], 0.0, 0.0], 4: [row[0], 0.1, 0.01, 0.5]}[size]
        try:
            best, _ = curve_fit(function, factors, row, start, sigma, absolute_sigma=True)
        except RuntimeError:
            continue
        found[k] = function(0.0, *best)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--curves", type=int, default=10_000)
    parser.add_argument("--peer-curves", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # curve_fit's about covariances
    print(f"{'model':20} {'factors':>9} {'quell, s':>9} {'curve_fit, s':>13} {'ratio':>7} {'differ':>8}")
    for model, points in [(m, f) for m in MODELS for f in ((1, 3, 5), (1, 2, 3, 4, 5))]:
        function = MODELS[model]
        factors = np.array(points, dtype=float)
        if function.__code__.co_argcount - 1 > len(factors):
            continue
        times: list[tuple[float, float]] = []
        for repeat in range(arguments.repeats):
            values, sigma = curves(arguments.curves, factors, repeat)
            covariances = np.broadcast_to(np.diag(sigma**2), (len(values), len(factors), len(factors)))
            start = time.perf_counter()
            fit = extrapolator(model).fit(factors, values, covariances, [0.0])
            own = time.perf_counter() - start
            few = values[: arguments.peer_curves]
            start = time.perf_counter()
            peer = looped(model, factors, few, sigma)
            times.append((own, (time.perf_counter() - start) * len(values) / len(few)))
        error = np.sqrt(np.einsum("tf,fg,tg->t", fit.responses[:, 0], covariances[0], fit.responses[:, 0]))
        both = fit.good[: len(few)] & np.isfinite(peer)
        differ = np.median(np.abs(fit.values[: len(few), 0] - peer)[both] / error[: len(few)][both])
        ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
        name = ",".join(map(str, points))
        print(f"{model:20} {name:>9} {ours:9.3f} {theirs:13.2f} {theirs / ours:7.0f} {differ:8.1e}")


if __name__ == "__main__":
    main()
