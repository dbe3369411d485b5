"""Expectation values of diagonal observables from measured bits, with error bars."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from attrs import Factory, define
from numpy.typing import NDArray
from qiskit.primitives import BitArray
from qiskit.primitives.containers.object_array import object_array
from qiskit.primitives.containers.observables_array import ObservablesArray, ObservablesArrayLike
from qiskit.quantum_info import Pauli, PauliList, SparseObservable, SparsePauliOp
from scipy.sparse import csr_array

from ..errors import InputError, Problem
from ..kernels.parities import bit_planes, observable_spreads, observable_sums, variance_of_mean

__all__ = ["expectation_values"]

# A letter's code is its place here: first the codes of `kernels.parities`, then the letters not diagonal.
_LETTERS = "IZ01XY+-rl"
_UNKNOWN = 255
_CODE_OF_CHAR = np.full(256, _UNKNOWN, dtype=np.uint8)
_CODE_OF_CHAR[np.frombuffer(_LETTERS.encode(), dtype=np.uint8)] = np.arange(len(_LETTERS))
_CODE_OF_BIT_TERM = np.full(16, _UNKNOWN, dtype=np.uint8)
for _term in SparseObservable.BitTerm:
    _CODE_OF_BIT_TERM[int(_term)] = _LETTERS.index(_term.label)


def expectation_values(
    bit_array: BitArray, observables: ObservablesArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the expectation values of diagonal observables and their standard errors.

    The same values as `BitArray.expectation_values`, computed on bit planes: a transpose of the shots and
    then a few machine words per 64 shots and term. The standard error is that of the mean of the whole
    observable, covariances between its terms included; it is not zero when all shots agree (see
    `kernels.parities.variance_of_mean`), only for constants.

    Example:
        >>> from qiskit.primitives import BitArray
        >>> bits = BitArray.from_samples(["00", "11", "11", "00"])
        >>> evs, stds = expectation_values(bits, ["ZZ", "IZ", {"00": 1.0, "11": 1.0}])
        >>> evs
        array([1., 0., 1.])

    Args:
        bit_array: The measured bits.
        observables: One or an array of strings, `Pauli`, `SparsePauliOp`, `SparseObservable`, mappings from
            labels to coefficients, or an `ObservablesArray`, with letters I, Z, 0 and 1 (rightmost: bit 0).
            Its shape must broadcast with that of `bit_array`.

    Returns:
        The values and the standard errors: two `float64` arrays of the broadcast shape.

    Raises:
        InputError: If an observable is not diagonal, has another number of bits or a coefficient that is
            complex or not finite, if shapes do not broadcast, or if there are no shots. All problems are
            listed at once.
    """
    shape, codes, matrix = parse_observables(observables, bit_array.num_bits)
    if not bit_array.num_shots:
        raise InputError.of([Problem("bit_array", "has no shots", "run with at least one")])
    try:
        full_shape = np.broadcast_shapes(bit_array.shape, shape)
    except ValueError:
        rule = f"shape {shape} does not broadcast with the shape {bit_array.shape} of the bit array"
        raise InputError.of([Problem("observables", rule)]) from None
    evs, variances = np.empty(full_shape), np.empty(full_shape)
    if not evs.size:
        return evs, variances

    data = bit_array.array.reshape(bit_array.size, *bit_array.array.shape[-2:])
    planes = bit_planes(data, bit_array.num_bits)
    # Constants are added to the values only: the variance keeps its digits next to a large offset.
    identity = np.logical_not(np.any(codes, axis=1))
    constants = matrix @ identity.astype(float)
    bounds, floors = observable_spreads(codes, matrix)
    matrix.data[identity[matrix.indices]] = 0.0

    for key, members, rows in _products(bit_array.shape, shape, full_shape):
        some = planes if members.size == bit_array.size else planes.select_members(members.reshape(-1))
        flat = rows.reshape(-1)
        first, second = observable_sums(some, codes, matrix[flat])
        variance = variance_of_mean(first, second, some.shots, bounds[flat], floors[flat])
        at = np.arange(members.size).reshape(members.shape), np.arange(flat.size).reshape(rows.shape)
        evs[key] = (first / bit_array.num_shots + constants[flat])[at]
        variances[key] = variance[at]
    return evs, np.sqrt(variances)


def _products(
    bits_shape: tuple[int, ...], shape: tuple[int, ...], full_shape: tuple[int, ...]
) -> Iterable[tuple[Any, NDArray[np.intp], NDArray[np.intp]]]:
    """Cut a broadcast into outer products, so that no pair is computed that is not asked for.

    Yields:
        A key into the result, and the numbers of members and of observables there (they broadcast).
    """
    ndim = len(full_shape)
    members, rows = (
        np.arange(math.prod(part)).reshape((1,) * (ndim - len(part)) + part) for part in (bits_shape, shape)
    )
    paired = [a > 1 and b > 1 for a, b in zip(members.shape, rows.shape, strict=True)]
    for index in np.ndindex(*(size if pair else 1 for size, pair in zip(full_shape, paired, strict=True))):
        key = tuple(slice(i, i + 1) if pair else slice(None) for i, pair in zip(index, paired, strict=True))
        yield key, members[key], rows[key]


# --- observables to codes ----------------------------------------------------------------------------------


@define
class _Terms:
    """Terms read so far, of all observables; labels are kept back to be decoded in one go."""

    num_bits: int
    problems: list[Problem] = Factory(list)
    codes: list[NDArray[np.uint8]] = Factory(list)
    coefficients: list[NDArray[np.complex128]] = Factory(list)
    owners: list[NDArray[np.intp]] = Factory(list)
    labels: list[str] = Factory(list)
    label_coefficients: list[complex] = Factory(list)
    label_owners: list[int] = Factory(list)

    def read(self, owner: int, path: str, observable: Any) -> None:
        """Add the terms of an observable, or a problem."""
        if isinstance(observable, str):
            self._add_label(owner, path, observable, 1.0)
        elif isinstance(observable, Mapping):
            for basis, coefficient in observable.items():
                try:
                    number = complex(coefficient)
                except (TypeError, ValueError):
                    self._refuse(path, f"coefficient {coefficient!r} is not a number")
                    continue
                if isinstance(basis, str):
                    self._add_label(owner, path, basis, number)
                elif isinstance(basis, Pauli):
                    self._add_paulis(owner, path, basis.z[None], basis.x[None], number * (-1j) ** basis.phase)
                else:
                    self._refuse(path, f"{type(basis).__name__} is not a basis", "use a label or a Pauli")
        elif isinstance(observable, Pauli):
            phase = (-1j) ** observable.phase
            self._add_paulis(owner, path, observable.z[None], observable.x[None], phase)
        elif isinstance(observable, SparsePauliOp):
            try:
                coefficients = np.asarray(observable.coeffs, dtype=np.complex128)
            except TypeError:
                self._refuse(path, "has coefficients with free parameters", "assign them first")
            else:
                self._add_paulis(owner, path, observable.paulis.z, observable.paulis.x, coefficients)
        elif isinstance(observable, SparseObservable):
            if self._fits(path, observable.num_qubits):
                boundaries = np.asarray(observable.boundaries, dtype=np.intp)
                codes = np.zeros((observable.num_terms, self.num_bits), dtype=np.uint8)
                term = np.repeat(np.arange(len(codes)), np.diff(boundaries))
                codes[term, observable.indices] = _CODE_OF_BIT_TERM[np.asarray(observable.bit_terms)]
                self._add(owner, codes, np.array(observable.coeffs))
        else:
            rule = f"{type(observable).__name__} is not an observable"
            self._refuse(path, rule, "use a label, a Pauli, a SparsePauliOp, a SparseObservable or a mapping")

    def finish(self) -> tuple[NDArray[np.uint8], NDArray[np.complex128], NDArray[np.intp]]:
        """Return codes `(T, num_bits)`, coefficients `(T,)` and owners `(T,)` of all terms."""
        # Characters outside ASCII become "?", one byte each, which is as unknown.
        chars = np.frombuffer("".join(self.labels).encode("ascii", "replace"), dtype=np.uint8)
        codes = _CODE_OF_CHAR[chars.reshape(len(self.labels), self.num_bits)[:, ::-1]]
        self._add(0, codes, np.array(self.label_coefficients, dtype=np.complex128))
        self.owners[-1] = np.array(self.label_owners, dtype=np.intp)
        return np.concatenate(self.codes), np.concatenate(self.coefficients), np.concatenate(self.owners)

    def _add_label(self, owner: int, path: str, label: str, coefficient: complex) -> None:
        if self._fits(path, len(label)):
            self.labels.append(label)
            self.label_coefficients.append(coefficient)
            self.label_owners.append(owner)

    def _add_paulis(
        self, owner: int, path: str, z: NDArray[np.bool_], x: NDArray[np.bool_], coefficients: Any
    ) -> None:
        if self._fits(path, z.shape[1]):
            codes = np.where(x, np.uint8(_LETTERS.index("X")) + z, z).astype(np.uint8)
            self._add(owner, codes, np.atleast_1d(np.asarray(coefficients, dtype=np.complex128)))

    def _add(self, owner: int, codes: NDArray[np.uint8], coefficients: NDArray[np.complex128]) -> None:
        self.codes.append(codes)
        self.coefficients.append(coefficients)
        self.owners.append(np.full(len(codes), owner))

    def _fits(self, path: str, num_qubits: int) -> bool:
        if num_qubits != self.num_bits:
            rule = f"acts on {num_qubits} qubits, the bit array has {self.num_bits} bits"
            self._refuse(path, rule, "pad it with I, or slice the bits")
        return num_qubits == self.num_bits

    def _refuse(self, path: str, rule: str, fix: str = "") -> None:
        self.problems.append(Problem(path, rule, fix))


def parse_observables(
    observables: ObservablesArrayLike, num_bits: int
) -> tuple[tuple[int, ...], NDArray[np.uint8], csr_array]:
    """Read and check observables.

    Returns:
        Their shape, the codes of their distinct terms, shape `(T, num_bits)`, and the coefficients, shape
        `(O, T)`.
    """
    if isinstance(observables, ObservablesArray):
        array = observables.sparse_observables_array()
    else:
        try:
            array = object_array(observables, list_types=(PauliList,))
        except (TypeError, ValueError) as error:
            raise InputError.of([Problem("observables", str(error))]) from error
    paths = [f"observables[{', '.join(map(str, index))}]" for index in np.ndindex(array.shape)]
    if not array.shape:
        paths = ["observables"]
    terms = _Terms(num_bits)
    for owner, (path, observable) in enumerate(zip(paths, array.reshape(-1), strict=True)):
        terms.read(owner, path, observable)
    codes, matrix = _merged(*terms.finish(), array.size)
    # A mapping repeats a problem for each of its labels.
    InputError.check(dict.fromkeys([*terms.problems, *_problems(paths, codes, matrix)]))
    real = csr_array((matrix.data.real.copy(), matrix.indices, matrix.indptr), shape=matrix.shape)
    return array.shape, codes, real


def _merged(
    codes: NDArray[np.uint8],
    coefficients: NDArray[np.complex128],
    owners: NDArray[np.intp],
    num_observables: int,
) -> tuple[NDArray[np.uint8], csr_array]:
    """Merge equal terms, within an observable and between them; drop the coefficients that cancel."""
    size, raw = codes.shape[1], codes.tobytes()
    seen: dict[bytes, int] = {}
    column = [seen.setdefault(raw[i * size : (i + 1) * size], len(seen)) for i in range(len(codes))]
    distinct = np.frombuffer(b"".join(seen), dtype=np.uint8).reshape(len(seen), size)
    matrix = csr_array((coefficients, (owners, column)), shape=(num_observables, len(seen)))
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    used, kept = np.unique(matrix.indices, return_inverse=True)
    return distinct[used], csr_array((matrix.data, kept, matrix.indptr), shape=(num_observables, len(used)))


def _problems(paths: list[str], codes: NDArray[np.uint8], matrix: csr_array) -> Iterable[Problem]:
    """Yield what is wrong with merged terms, once per observable and rule."""
    size = np.abs(matrix.data)
    finite: NDArray[np.bool_] = np.isfinite(size)
    imaginary: NDArray[np.bool_] = np.abs(matrix.data.imag) > 100 * np.finfo(float).eps * np.maximum(
        1.0, size
    )
    diagonal = np.asarray(np.all(codes < _LETTERS.index("X"), axis=1))
    if finite.all() and not imaginary.any() and diagonal.all():
        return
    known = np.asarray(np.all(codes < len(_LETTERS), axis=1))
    for owner, path in enumerate(paths):
        at = slice(matrix.indptr[owner], matrix.indptr[owner + 1])
        columns, values = matrix.indices[at], matrix.data[at]
        unknown = columns[~known[columns]]
        crossed = columns[known[columns] & ~diagonal[columns]]
        if unknown.size:
            bit = int(np.argmax(codes[unknown[0]] == _UNKNOWN))
            yield Problem(path, f"has an unknown letter for bit {bit}", "use I, Z, 0 and 1")
        if crossed.size:
            bit = int(np.argmax(codes[crossed[0]] >= _LETTERS.index("X")))
            letter = _LETTERS[codes[crossed[0], bit]]
            rule = f"{crossed.size} of {len(columns)} terms not diagonal, {letter} on bit {bit} for one"
            yield Problem(path, rule, "rotate the circuit into that basis and use I, Z, 0 and 1")
        infinite = np.flatnonzero(~finite[at])
        if infinite.size:
            yield Problem(path, f"coefficient {values[infinite[0]].real} is not finite")
        wrong = np.flatnonzero(finite[at] & imaginary[at])
        if wrong.size:
            rule = f"coefficient {values[wrong[0]]} is complex"
            yield Problem(path, rule, "pass the real and the imaginary part as two observables")
