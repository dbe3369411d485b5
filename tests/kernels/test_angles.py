import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quell.kernels import angles

MODEST = settings(deadline=None, derandomize=True, max_examples=100)
SPECIAL = [k * np.pi / 4 for k in range(-8, 9)]
angle = st.one_of(st.sampled_from(SPECIAL), st.floats(-10, 10))
euler = st.tuples(angle, angle, angle).map(np.array)
PAULIS = (np.eye(2), np.array([[0, 1], [1, 0]]), np.diag([1, -1]), np.array([[0, -1j], [1j, 0]]))


def rz(a):
    return np.diag([np.exp(-0.5j * a), np.exp(0.5j * a)])


def ry(a):
    c, s = np.cos(a / 2), np.sin(a / 2)
    return np.array([[c, -s], [s, c]])


def matrix(theta, phi, lam):
    return rz(phi) @ ry(theta) @ rz(lam)


def of_quaternion(q):
    w, x, y, z = q
    return w * PAULIS[0] - 1j * (x * PAULIS[1] + y * PAULIS[3] + z * PAULIS[2])


def same(a, b):
    """Whether two unitaries are equal up to phase to 1e-10 (the overlap alone would only see 1e-5)."""
    phase = np.vdot(a, b)
    return np.allclose(a * phase / abs(phase), b, atol=1e-10) if abs(phase) > 1e-3 else False


@given(euler)
@MODEST
def test_paulis_act_on_angles_as_on_matrices(u):
    for after in range(4):
        for before in range(4):
            moved = angles.apply_paulis(u, np.uint8(after), np.uint8(before))
            assert same(matrix(*moved), PAULIS[after] @ matrix(*u) @ PAULIS[before])


def test_the_table_of_the_module_text():
    t, p, k = 0.3, 0.4, 0.5
    u = np.array([t, p, k])
    x, z, none = np.uint8(1), np.uint8(2), np.uint8(0)
    assert np.allclose(angles.apply_paulis(u, z, none), (t, p + np.pi, k))
    assert np.allclose(angles.apply_paulis(u, none, z), (t, p, k + np.pi))
    assert np.allclose(angles.apply_paulis(u, x, none), (np.pi - t, -p, k + np.pi))
    assert np.allclose(angles.apply_paulis(u, none, x), (np.pi - t, p + np.pi, -k))


def test_half_pi_stays_exactly_half_pi_under_all_paulis():
    codes = np.arange(16, dtype=np.uint8)
    moved = angles.apply_paulis(np.array([np.pi / 2, 0.2, 0.3]), codes >> 2, codes & 3)
    assert (moved[:, 0] == np.pi / 2).all()


def test_paulis_broadcast_over_leading_axes():
    u = np.random.default_rng(1).normal(size=(5, 3))
    after, before = np.random.default_rng(2).integers(0, 4, (2, 7, 5)).astype(np.uint8)
    moved = angles.apply_paulis(u, after, before)
    assert moved.shape == (7, 5, 3)
    for m in range(7):
        for d in range(5):
            assert np.allclose(moved[m, d], angles.apply_paulis(u[d], after[m, d], before[m, d]))


@given(euler)
@MODEST
def test_quaternions_of_euler_are_the_matrix(u):
    assert same(of_quaternion(angles.quaternions_of_euler(u)), matrix(*u))


@given(euler)
@MODEST
def test_euler_quaternion_round_trip(u):
    back = angles.euler_of_quaternions(angles.quaternions_of_euler(u))
    assert 0 <= back[0] <= np.pi
    assert same(matrix(*back), matrix(*u))


@pytest.mark.parametrize("theta", [0.0, np.pi, 2 * np.pi, -np.pi, 1e-13, np.pi - 1e-13])
@pytest.mark.parametrize("phi", [0.0, 0.7, np.pi, -2.0])
@pytest.mark.parametrize("lam", [0.0, 1.1, -np.pi])
def test_degenerate_angles_put_the_whole_phase_in_phi(theta, phi, lam):
    back = angles.euler_of_quaternions(angles.quaternions_of_euler(np.array([theta, phi, lam])))
    assert back[0] in (0.0, np.pi)
    assert back[2] == 0.0
    assert same(matrix(*back), matrix(theta, phi, lam))


@pytest.mark.parametrize("theta", [1e-6, 1e-8, np.pi - 1e-6, np.pi - 1e-8])
def test_nearly_degenerate_angles_keep_their_theta(theta):
    back = angles.euler_of_quaternions(angles.quaternions_of_euler(np.array([theta, 0.4, 1.3])))
    assert back == pytest.approx((theta, 0.4, 1.3), abs=1e-7)
    assert np.allclose(back[0], theta, atol=1e-14)


@given(euler, st.floats(0, 6))
@MODEST
def test_quaternions_of_matrices_drop_the_phase_only(u, phase):
    quaternion = angles.quaternions_of_matrices(np.exp(1j * phase) * matrix(*u))
    assert np.linalg.norm(quaternion) == pytest.approx(1)
    assert same(of_quaternion(quaternion), matrix(*u))


@given(euler, euler)
@MODEST
def test_product_of_quaternions_is_product_of_matrices(later, earlier):
    product = angles.multiply(angles.quaternions_of_euler(later), angles.quaternions_of_euler(earlier))
    assert same(of_quaternion(product), matrix(*later) @ matrix(*earlier))


@given(st.floats(-100, 100))
@MODEST
def test_wrap_lands_in_the_half_open_circle(value):
    wrapped = float(angles.wrap(np.array(value)))
    assert -np.pi < wrapped <= np.pi
    assert np.isclose(np.exp(1j * wrapped), np.exp(1j * value))


def test_wrap_keeps_plus_pi_and_turns_minus_pi():
    assert angles.wrap(np.array([np.pi, -np.pi, 3 * np.pi])) == pytest.approx([np.pi] * 3)
