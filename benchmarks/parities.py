"""Diagonal observables from measured bits: quell's bit planes against `BitArray.expectation_values`.

253 observables (127 Z_i and 126 Z_i Z_i+1) on 100 000 shots of 127 bits, and their sum as one observable.
Equal results are checked before anything is timed; both sides run in turn in the same process, medians are
printed. `BitArray` works on distinct outcomes, so its time depends on how many there are: see `--flip`.

    python benchmarks/parities.py --repeats 5
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from qiskit.primitives import BitArray
from scipy.sparse import csr_array, eye_array

from quell.kernels.parities import bit_planes, observable_sums
from quell.primitives.expectation import expectation_values


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def labels_of(num_bits: int) -> list[str]:
    supports = [(i,) for i in range(num_bits)] + [(i, i + 1) for i in range(num_bits - 1)]
    return [
        "".join("Z" if bit in support else "I" for bit in reversed(range(num_bits))) for support in supports
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="runs of the slow side (default 3)")
    parser.add_argument("--shots", type=int, default=100_000)
    parser.add_argument("--bits", type=int, default=127)
    parser.add_argument("--flip", type=float, default=0.5, help="probability that a bit is 1 (default 0.5)")
    arguments = parser.parse_args()

    rng = np.random.default_rng(1)
    bits = BitArray.from_bool_array(rng.random((arguments.shots, arguments.bits)) < arguments.flip)
    labels = labels_of(arguments.bits)
    total = dict.fromkeys(labels, 1.0)
    data = bits.array[None]
    planes = bit_planes(data, bits.num_bits)
    codes = np.array([[letter == "Z" for letter in reversed(label)] for label in labels], dtype=np.uint8)
    one_each, one_row = csr_array(eye_array(len(labels))), csr_array(np.ones((1, len(labels))))

    np.testing.assert_allclose(
        expectation_values(bits, labels)[0], bits.expectation_values(labels), atol=1e-12
    )
    np.testing.assert_allclose(expectation_values(bits, total)[0], bits.expectation_values(total), atol=1e-9)

    calls: dict[str, Callable[[], object]] = {
        "BitArray.expectation_values": lambda: bits.expectation_values(labels),
        "quell, end to end": lambda: expectation_values(bits, labels),
        "  transpose": lambda: bit_planes(data, bits.num_bits),
        "  values": lambda: observable_sums(planes, codes, one_each),
        "BitArray, sum of all": lambda: bits.expectation_values(total),
        "quell, sum of all": lambda: expectation_values(bits, total),
        "  values of the sum": lambda: observable_sums(planes, codes, one_row),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(arguments.repeats):
        for name, call in calls.items():
            # The fast calls run five times each: on a shared machine one sample of 10 ms says little.
            times[name] += [seconds(call) for _ in range(1 if name.startswith("BitArray") else 5)]

    medians = {name: median(values) for name, values in times.items()}
    print(f"{len(labels)} observables, {arguments.shots} shots of {arguments.bits} bits, equal results")
    print(f"{'':30}{'median':>12}{'ratio':>10}")
    for name, value in medians.items():
        peer = {
            "quell, end to end": "BitArray.expectation_values",
            "quell, sum of all": "BitArray, sum of all",
        }
        ratio = f"{medians[peer[name]] / value:9.0f}x" if name in peer else ""
        print(f"{name:30}{1e3 * value:9.2f} ms{ratio:>10}")


if __name__ == "__main__":
    main()
