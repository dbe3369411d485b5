"""Single-qubit unitaries as Euler angles, and what Paulis and Cliffords do to them.

A dressing is written U(theta, phi, lam) = Rz(phi) Ry(theta) Rz(lam), up to global phase. Up to global
phase Paulis act affinely on the three angles, so randomising a circuit never decomposes a matrix:

======  ==============================
Z U     (theta, phi + pi, lam)
U Z     (theta, phi, lam + pi)
X U     (pi - theta, -phi, lam + pi)
U X     (pi - theta, phi + pi, -lam)
======  ==============================

and Y is X times Z. Theta = pi/2 stays pi/2 under all of them: such a dressing stays one pulse. Everything
that is not a Pauli (composing gates, changing the measurement basis, Clifford frames) goes through unit
quaternions (w, x, y, z), standing for w - i (x X + y Y + z Z). All functions are vectorised over leading
axes; angles are float64 in radians.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def apply_paulis(euler: Floats, after: NDArray[np.uint8], before: NDArray[np.uint8]) -> Floats:
    """Return the Euler angles of P_after U P_before.

    Args:
        euler: float64 ``(..., 3)``: theta, phi, lam.
        after: Pauli codes acting after U, uint8, broadcast against ``euler.shape[:-1]``.
        before: Pauli codes acting before U, likewise.

    Returns:
        float64 ``(..., 3)``; not reduced modulo 2 pi.
    """
    theta, phi, lam = np.moveaxis(np.asarray(euler, dtype=float), -1, 0)
    x_after, z_after, x_before, z_before = after & 1, after >> 1, before & 1, before >> 1
    new_theta = np.where(x_after ^ x_before, np.pi - theta, theta)
    new_phi = (1.0 - 2.0 * x_after) * (phi + np.pi * x_before) + np.pi * z_after
    new_lam = (1.0 - 2.0 * x_before) * lam + np.pi * (z_before ^ x_after)
    return np.stack(np.broadcast_arrays(new_theta, new_phi, new_lam), axis=-1)


def quaternions_of_euler(euler: Floats) -> Floats:
    """Return the unit quaternions of Euler angles: float64 ``(..., 3)`` to ``(..., 4)``."""
    theta, phi, lam = np.moveaxis(np.asarray(euler, dtype=float), -1, 0) / 2
    cos, sin = np.cos(theta), np.sin(theta)
    return np.stack(
        [cos * np.cos(phi + lam), sin * np.sin(lam - phi), sin * np.cos(phi - lam), cos * np.sin(phi + lam)],
        axis=-1,
    )


def euler_of_quaternions(quaternions: Floats) -> Floats:
    """Return Euler angles of unit quaternions, float64 ``(..., 4)`` to ``(..., 3)``; theta in [0, pi].

    Where theta is 0 or pi only phi + lam or phi - lam is defined; phi then carries all of it and lam is 0,
    so equal unitaries give equal angles.
    """
    w, x, y, z = np.moveaxis(quaternions, -1, 0)
    cos, sin = np.hypot(w, z), np.hypot(x, y)
    theta = 2 * np.arctan2(sin, cos)
    total = np.where(cos > 1e-9, 2 * np.arctan2(z, w), 0.0)
    difference = np.where(sin > 1e-9, 2 * np.arctan2(-x, y), 0.0)
    phi = np.where(cos > 1e-9, np.where(sin > 1e-9, (total + difference) / 2, total), difference)
    lam = np.where((cos > 1e-9) & (sin > 1e-9), (total - difference) / 2, 0.0)
    theta = np.where(sin <= 1e-9, 0.0, np.where(cos <= 1e-9, np.pi, theta))
    return np.stack([theta, phi, lam], axis=-1)


def quaternions_of_matrices(matrices: NDArray[np.complex128]) -> Floats:
    """Return unit quaternions of 2 x 2 unitaries, complex ``(..., 2, 2)``; the global phase is dropped."""
    matrices = np.asarray(matrices, dtype=complex)
    special = matrices / np.sqrt(np.linalg.det(matrices))[..., None, None]
    a, b = special[..., 0, 0], special[..., 1, 0]
    # SU(2): [[w - i z, -i x - y], [y - i x, w + i z]]
    return np.stack([a.real, -b.imag, b.real, -a.imag], axis=-1)


def multiply(later: Floats, earlier: Floats) -> Floats:
    """Return the quaternions of ``later * earlier`` (`earlier` acts first); float64 ``(..., 4)``."""
    a, b, c, d = np.moveaxis(later, -1, 0)
    w, x, y, z = np.moveaxis(earlier, -1, 0)
    return np.stack(
        [
            a * w - b * x - c * y - d * z,
            a * x + b * w + c * z - d * y,
            a * y - b * z + c * w + d * x,
            a * z + b * y - c * x + d * w,
        ],
        axis=-1,
    )


def wrap(angle: Floats) -> Floats:
    """Return `angle` in (-pi, pi], radians."""
    wrapped: Floats = -np.remainder(np.pi - angle, 2 * np.pi) + np.pi
    return wrapped
