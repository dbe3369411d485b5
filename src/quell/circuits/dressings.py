"""Dressings: runs of single-qubit gates as Euler angles that are affine in the user's parameters.

An *atom* is a parameter, or an expression that is not affine in parameters (``sin(a)``, ``a * b``). Every
gate known here has Euler angles affine in its own parameters, and most products of such gates are again
affine in the atoms (`compose`), so a dressing costs one multiply-add per angle and parameter set. The few
products that are not (for example ``rx(a)`` before ``ry(b)``) keep their gates and are multiplied as
quaternions, vectorised over parameter sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import pi
from typing import Any, Final

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from qiskit.circuit import CircuitInstruction, Gate, Parameter, ParameterExpression, Qubit

from ..kernels import angles

Floats = NDArray[np.float64]
_EPS: Final = 1e-11  # angles closer than this to 0, pi/2, pi are taken to be that angle


@frozen
class Affine:
    """An angle ``const + sum(coef * atom)``, radians; `terms` maps atom indices to coefficients."""

    const: float = 0.0
    terms: Mapping[int, float] = field(factory=dict)

    def __add__(self, other: Affine | float) -> Affine:
        if not isinstance(other, Affine):
            return Affine(self.const + other, self.terms)
        if not other.terms:
            return Affine(self.const + other.const, self.terms)
        terms = dict(self.terms)
        for atom, coef in other.terms.items():
            terms[atom] = terms.get(atom, 0.0) + coef
        return Affine(self.const + other.const, {k: v for k, v in terms.items() if v})

    def __neg__(self) -> Affine:
        return Affine(-self.const, {k: -v for k, v in self.terms.items()})

    def __sub__(self, other: Affine | float) -> Affine:
        return self + (-other)

    def times(self, factor: float) -> Affine:
        """Return the angle multiplied by a number."""
        return Affine(self.const * factor, {k: v * factor for k, v in self.terms.items()})

    def value(self, atoms: Floats) -> Floats:
        """Return the angle for atom values ``(num_sets, num_atoms)``, float64 ``(num_sets,)``."""
        total = np.full(len(atoms), self.const)
        for atom, coef in self.terms.items():
            total += coef * atoms[:, atom]
        return total


Euler = tuple[Affine, Affine, Affine]

#: Gates without parameters: theta, phi, lam.
_FIXED: Final[dict[str, tuple[float, float, float]]] = {
    "id": (0, 0, 0), "x": (pi, 0, pi), "y": (pi, pi / 2, pi / 2), "z": (0, pi, 0), "h": (pi / 2, 0, pi),
    "s": (0, pi / 2, 0), "sdg": (0, -pi / 2, 0), "t": (0, pi / 4, 0), "tdg": (0, -pi / 4, 0),
    "sx": (pi / 2, -pi / 2, pi / 2), "sxdg": (pi / 2, pi / 2, -pi / 2),
}  # fmt: skip
#: Gates with parameters p: each angle is (constant, coefficient of each parameter).
_PARAMETRIC: Final[dict[str, tuple[tuple[float, ...], ...]]] = {
    "rz": ((0, 0), (0, 1), (0, 0)), "p": ((0, 0), (0, 1), (0, 0)), "u1": ((0, 0), (0, 1), (0, 0)),
    "ry": ((0, 1), (0, 0), (0, 0)), "rx": ((0, 1), (-pi / 2, 0), (pi / 2, 0)),
    "r": ((0, 1, 0), (-pi / 2, 0, 1), (pi / 2, 0, -1)), "prx": ((0, 1, 0), (-pi / 2, 0, 1), (pi / 2, 0, -1)),
    "u2": ((pi / 2, 0, 0), (0, 1, 0), (0, 0, 1)),
    "u": ((0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)), "u3": ((0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)),
}  # fmt: skip
#: The same for gates that no library says the unit of: taken only where their matrix is this one.
_IN_TURNS: Final[dict[str, tuple[tuple[float, ...], ...]]] = {
    "gpi": ((pi, 0), (-pi / 2, 2 * pi), (pi / 2, -2 * pi)),
    "gpi2": ((pi / 2, 0), (-pi / 2, 2 * pi), (pi / 2, -2 * pi)),
}

_CONSTANTS: Final[dict[str, Euler]] = {
    name: (Affine(theta), Affine(phi), Affine(lam)) for name, (theta, phi, lam) in _FIXED.items()
}
IDENTITY: Final[Euler] = _CONSTANTS["id"]
_ZERO: Final = Affine()
_PHASE_GATES: Final = frozenset({"rz", "p", "u1"})


class Atoms:
    """Numbers what the angles of a circuit depend on; text and parameters of an expression are its key.

    Text alone is not enough: a parameter may be named ``2*a``.
    """

    def __init__(self) -> None:
        self.expressions: list[ParameterExpression] = []
        self._index: dict[tuple[str, frozenset[Parameter]], int] = {}

    def affine(self, value: Any) -> Affine:
        """Return a number or expression as an affine angle."""
        if not isinstance(value, ParameterExpression):
            return Affine(float(value))
        if not value.parameters:
            return Affine(float(value.numeric()))
        if isinstance(value, Parameter):
            return Affine(0.0, {self._number(value): 1.0})
        gradient = {p: value.gradient(p) for p in sorted(value.parameters, key=lambda p: str(p.name))}
        if any(isinstance(slope, ParameterExpression) and slope.parameters for slope in gradient.values()):
            return Affine(0.0, {self._number(value): 1.0})
        const = float(value.bind(dict.fromkeys(value.parameters, 0.0)).numeric())
        slopes = {self._number(p): float(np.real(complex(slope))) for p, slope in gradient.items()}
        return Affine(const, {atom: slope for atom, slope in slopes.items() if slope})

    def _number(self, value: ParameterExpression) -> int:
        key = str(value), frozenset(value.parameters)
        if key not in self._index:
            self._index[key] = len(self.expressions)
            self.expressions.append(value)
        return self._index[key]


def gate_euler(instruction: CircuitInstruction, atoms: Atoms) -> Euler | None:
    """Return the Euler angles of a single-qubit gate, None if it is not a unitary that is known here."""
    name = instruction.name
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    params = instruction.params
    if name in _PHASE_GATES and isinstance(params[0], float):
        return _ZERO, Affine(params[0]), _ZERO
    if name in _PARAMETRIC and len(params) == len(_PARAMETRIC[name][0]) - 1:
        parameters = [atoms.affine(value) for value in params]
        return tuple(_combination(row, parameters) for row in _PARAMETRIC[name])  # type: ignore[return-value]
    operation = instruction.operation
    if not isinstance(operation, Gate) or operation.num_qubits != 1:
        return None
    if any(isinstance(value, ParameterExpression) and value.parameters for value in operation.params):
        if name not in _IN_TURNS or not _is_in_turns(operation):
            return None
        parameters = [atoms.affine(value) for value in params]
        return tuple(_combination(row, parameters) for row in _IN_TURNS[name])  # type: ignore[return-value]
    try:
        matrix = np.asarray(operation.to_matrix(), dtype=complex)
    except Exception:  # whatever a third-party gate raises: it has no matrix, so it stays opaque
        return None
    theta, phi, lam = angles.euler_of_quaternions(angles.quaternions_of_matrices(matrix))
    return Affine(float(theta)), Affine(float(phi)), Affine(float(lam))


def _is_in_turns(operation: Gate) -> bool:
    """Return whether a gate has the matrix that its name stands for, by its value at an angle like any other."""
    probe = operation.to_mutable()
    probe.params = [0.2247180]
    bound = gate_euler(CircuitInstruction(probe, [Qubit()]), Atoms())
    if bound is None:
        return False
    expected = tuple(_combination(row, [Affine(0.2247180)]) for row in _IN_TURNS[operation.name])
    there, back = (
        angles.quaternions_of_euler(np.array([angle.const for angle in euler])) for euler in (expected, bound)
    )
    return bool(abs(there @ back) > 1 - _EPS)


def _combination(row: Sequence[float], parameters: Sequence[Affine]) -> Affine:
    total = Affine(row[0])
    for coef, parameter in zip(row[1:], parameters, strict=True):
        if coef:
            total = total + (parameter if coef == 1 else -parameter if coef == -1 else parameter.times(coef))
    return total


def _is(angle: Affine, value: float) -> bool:
    """Whether a constant angle equals `value` modulo 2 pi."""
    return not angle.terms and abs((angle.const - value + pi) % (2 * pi) - pi) < _EPS


def compose(later: Euler, earlier: Euler) -> Euler | None:
    """Return ``later * earlier`` if its angles are affine in the atoms, else None.

    With U = Rz(phi) Ry(theta) Rz(lam) the product is decided by its middle Ry(theta') Rz(m) Ry(theta),
    m = lam' + phi: affine if either theta is a multiple of pi (a Pauli and a phase), if m is (the
    rotations share an axis), if both thetas are pi/2 (the sx rz sx identity), or if all three are numbers.
    """
    (theta2, phi2, lam2), (theta1, phi1, lam1) = later, earlier
    if _is(theta2, 0):
        return theta1, phi1 + phi2 + lam2, lam1
    if _is(theta1, 0):
        return theta2, phi2, lam2 + phi1 + lam1
    if _is(theta2, pi):  # Rz(phi2 - lam2) Y: a Pauli from the left
        return -theta1 + pi, -phi1 + (phi2 - lam2) + pi, lam1 + pi
    if _is(theta1, pi):  # Rz(phi1 - lam1) Y: a Pauli from the right
        return -theta2 + pi, phi2 + pi, -(lam2 + phi1 - lam1) + pi
    middle = lam2 + phi1
    if _is(middle, 0):
        return theta2 + theta1, phi2, lam1
    if _is(middle, pi):
        return theta2 - theta1, phi2, lam1 + pi
    if _is(theta1, pi / 2) and _is(theta2, pi / 2):
        return middle - pi, phi2 - pi / 2, lam1 - pi / 2
    if not (middle.terms or theta1.terms or theta2.terms):
        product = angles.multiply(
            angles.quaternions_of_euler(np.array([theta2.const, 0.0, middle.const])),
            angles.quaternions_of_euler(np.array([theta1.const, 0.0, 0.0])),
        )
        theta, phi, lam = (float(angle) for angle in angles.euler_of_quaternions(product))
        return Affine(theta), phi2 + phi, lam1 + lam
    return None


def evaluate(gates: Sequence[Euler], product: Euler | None, atoms: Floats) -> Floats:
    """Return the Euler angles of a dressing for every parameter set.

    Args:
        gates: The gates' angles in time order.
        product: Their product where it is affine.
        atoms: float64 ``(num_sets, num_atoms)``.

    Returns:
        float64 ``(num_sets, 3)``.
    """
    if product is not None:
        return np.stack([angle.value(atoms) for angle in product], axis=-1)
    total = np.broadcast_to(np.array([1.0, 0.0, 0.0, 0.0]), (len(atoms), 4))
    for gate in gates:
        euler = np.stack([angle.value(atoms) for angle in gate], axis=-1)
        total = angles.multiply(angles.quaternions_of_euler(euler), total)
    return angles.euler_of_quaternions(total)


def canonical(euler: Floats) -> Floats:
    """Return equal unitaries with theta in [0, pi] and snapped to 0, pi/2, pi; phi, lam in (-pi, pi]."""
    theta, phi, lam = np.moveaxis(euler, -1, 0)
    theta = angles.wrap(theta)
    negative = theta < 0
    theta = np.abs(theta)
    phi, lam = phi + np.pi * negative, lam + np.pi * negative
    for special in (0.0, np.pi / 2, np.pi):
        theta = np.where(np.abs(theta - special) < _EPS, special, theta)
    return np.stack([theta, angles.wrap(phi), angles.wrap(lam)], axis=-1)
