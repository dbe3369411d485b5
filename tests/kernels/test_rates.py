import numpy as np
import pytest
from scipy import linalg
from scipy.optimize import nnls

from quell.kernels.lindblad import anticommute, conjugated, fidelities, local_paulis
from quell.kernels.paulis import two_qubit_choices
from quell.kernels.rates import fit_rates

CX = two_qubit_choices(np.array([[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]], dtype=complex))
# Bands of z-scores and chi^2 are wider than 4.5 of their standard errors: a false alarm in fewer than 1 of 100 000
# draws of the seed.


class Line:
    """A layer of cx on every other pair of a line of qubits, all Paulis of neighbours being generators."""

    def __init__(self, num_qubits):
        pairs = [(q, q + 1) for q in range(num_qubits - 1)]
        self.gates = [(CX, pair) for pair in pairs[::2]]
        self.generators = local_paulis(num_qubits, pairs)
        self.images = conjugated(self.generators, self.gates)
        self.design = 2.0 * anticommute(self.generators, self.generators)
        self.design += 2.0 * anticommute(self.images, self.generators)
        index = {row.tobytes(): k for k, row in enumerate(self.generators)}
        partners = [index.get(row.tobytes(), -1) for row in self.images]
        rows = [(k, partner) for k, partner in enumerate(partners) if partner > k]
        self.ties = np.zeros((len(rows), self.num_rates))
        for row, (k, partner) in zip(self.ties, rows, strict=True):
            row[k], row[partner] = 1, -1

    @property
    def num_rates(self):
        return len(self.generators)

    def rates(self, rng, zeros=0.0):
        """Random rates that fulfil the ties."""
        rates = rng.exponential(1e-3, self.num_rates) * (rng.random(self.num_rates) >= zeros)
        for row in self.ties:
            rates[row != 0] = rates[row != 0].mean()
        return rates


@pytest.fixture(scope="module", params=[2, 5, 10])
def line(request):
    return Line(request.param)


def test_exact_fidelities_give_exact_rates(line):
    rates = line.rates(np.random.default_rng(1))
    both = fidelities(line.generators, line.generators, rates) * fidelities(
        line.images, line.generators, rates
    )
    fit = fit_rates(line.design, -np.log(both), np.zeros(line.num_rates), line.ties)
    assert fit.rates == pytest.approx(rates, abs=1e-10)
    assert fit.chi_square < 1e-18
    assert not fit.clipped.any()
    assert not fit.undecided.any()
    assert np.abs(fit.residuals).max() < 1e-10


def test_what_no_data_tell_is_named(line):
    fit = fit_rates(line.design, np.zeros(line.num_rates), np.ones(line.num_rates), line.ties)
    assert fit.rank == np.linalg.matrix_rank(line.design) < line.num_rates
    null = linalg.null_space(line.design)
    assert (fit.tied == (np.abs(null).max(axis=1) > 1e-9)).all()
    assert fit.tied.any()


def test_ties_do_not_move_what_the_data_tell(line):
    rng = np.random.default_rng(2)
    rates = rng.uniform(1e-3, 1e-2, line.num_rates)  # the ties do not hold
    variances = rng.uniform(0.1, 10, line.num_rates)
    ties = np.concatenate([line.ties, 0.3 * np.eye(line.num_rates)])  # and cannot all hold
    with_ties = fit_rates(line.design, line.design @ rates, variances, ties)
    heavy = fit_rates(line.design, line.design @ rates, variances, 1e4 * ties)
    assert with_ties.unbounded[~with_ties.tied] == pytest.approx(rates[~with_ties.tied], abs=1e-9)
    assert line.design @ with_ties.unbounded == pytest.approx(line.design @ rates, abs=1e-9)
    assert heavy.unbounded == pytest.approx(with_ties.unbounded, abs=1e-9)
    # Along the null space the ties are as close to zero as they get.
    null = linalg.null_space(line.design)
    assert np.abs((ties @ null).T @ (ties @ with_ties.unbounded)).max() < 1e-9
    assert np.abs(ties @ with_ties.unbounded).max() > 1e-4


@pytest.mark.parametrize("num_qubits", [2, 5, 10])
def test_errors_are_as_large_as_said_and_chi_square_fits(num_qubits):
    line, rng = Line(num_qubits), np.random.default_rng([3, num_qubits])
    repeats = 3000 // line.num_rates
    z, chi_squares, dofs = [], 0.0, 0
    for _ in range(repeats):
        rates = line.rates(rng) + 2e-3
        errors = 4e-4 * rng.uniform(0.3, 1, line.num_rates)
        data = line.design @ rates + errors * rng.normal(size=line.num_rates)
        fit = fit_rates(line.design, data, errors**2, line.ties)
        z.append((fit.rates - rates) / np.linalg.norm(fit.response * errors, axis=1))
        chi_squares, dofs = chi_squares + fit.chi_square, dofs + fit.dof
        assert not fit.clipped.any()
        assert fit.rates == pytest.approx(fit.response @ data, abs=1e-10)
        assert fit.dof == line.num_rates - fit.rank
    assert chi_squares / dofs == pytest.approx(1, abs=4.5 * np.sqrt(2 / dofs))
    # Neighbouring rates err together: as if there were a quarter of them.
    assert np.std(z) == pytest.approx(1, abs=4.5 / np.sqrt(2 * repeats * line.num_rates / 4))
    assert abs(np.mean(z)) < 4.5 / np.sqrt(repeats * line.num_rates / 4)


def test_rates_that_would_be_negative_are_zero_and_stay_uncertain():
    line, rng = Line(10), np.random.default_rng(4)
    errors = np.full(line.num_rates, 1e-3)
    outside, num_clipped, chi_squares, dofs = 0, 0, 0.0, 0
    for _ in range(30):
        rates = line.rates(rng, zeros=0.8)
        fit = fit_rates(
            line.design, line.design @ rates + errors * rng.normal(size=111), errors**2, line.ties
        )
        assert (fit.rates[fit.clipped] == 0).all()
        assert (fit.rates >= 0).all()
        assert (fit.clipped_by[~fit.clipped] == 0).all()
        std = np.linalg.norm(fit.response * errors, axis=1)
        free = fit_rates(line.design, line.design.sum(axis=1), errors**2, line.ties)
        assert not free.clipped.any()
        assert std[fit.clipped] == pytest.approx(np.linalg.norm(free.response * errors, axis=1)[fit.clipped])
        outside += int((np.abs(fit.rates - rates) > 3 * std).sum())
        num_clipped += int(fit.clipped.sum())
        chi_squares, dofs = chi_squares + fit.chi_square, dofs + fit.dof
    assert num_clipped > 500
    # 0.3 % of 3330 rates are expected to be off by more than three standard errors.
    assert outside < 35
    assert 0.8 < chi_squares / dofs < 1.2


def test_negative_decays_clip_to_zero():
    fit = fit_rates(np.eye(3), [-0.5, 0.2, -0.1], [1, 1, 1])
    assert fit.rates.tolist() == [0, 0.2, 0]
    assert fit.clipped.tolist() == [True, False, True]
    assert fit.clipped_by == pytest.approx([0.5, 0, 0.1])
    assert fit.unbounded == pytest.approx([-0.5, 0.2, -0.1])
    assert fit.response == pytest.approx(np.eye(3))
    assert fit.residuals == pytest.approx([-0.5, 0, -0.1])
    assert fit.chi_square == pytest.approx(0.26)
    assert fit.dof == 2


@pytest.mark.parametrize("seed", range(8))
def test_bounded_least_squares_agree_with_another_solver(seed):
    rng = np.random.default_rng([5, seed])
    line = Line(6)
    errors = rng.uniform(0.2, 2, line.num_rates) * 1e-3
    data = line.design @ line.rates(rng, zeros=0.5) + 2 * errors * rng.normal(size=line.num_rates)
    fit = fit_rates(line.design, data, errors**2, line.ties)
    scaled = line.design / errors[:, None]
    other, _ = nnls(
        np.concatenate([scaled, 1e-2 * line.ties]), np.append(data / errors, np.zeros(len(line.ties)))
    )
    assert fit.chi_square == pytest.approx(((data / errors - scaled @ other) ** 2).sum(), rel=1e-6)
    assert fit.rates[~fit.tied] == pytest.approx(other[~fit.tied], abs=1e-7)
    # The conditions of Karush, Kuhn and Tucker, for any way of deciding what the data leave open.
    slopes = scaled.T @ (scaled @ fit.rates - data / errors)
    assert slopes.min() > -1e-3 * np.abs(scaled.T @ (data / errors)).max()
    assert fit.clipped.sum() > 5


def test_the_response_of_free_rates_is_the_derivative():
    line, rng = Line(5), np.random.default_rng(6)
    data = line.design @ line.rates(rng, zeros=0.5) + 1e-4 * rng.normal(size=line.num_rates)
    variances = rng.uniform(1, 2, line.num_rates)
    fit = fit_rates(line.design, data, variances, line.ties)
    assert 0 < fit.clipped.sum() < line.num_rates
    for k in range(0, line.num_rates, 5):
        moved = data.copy()
        moved[k] += 1e-7
        other = fit_rates(line.design, moved, variances, line.ties)
        assert (other.clipped == fit.clipped).all()
        free = ~fit.clipped
        assert ((other.rates - fit.rates) / 1e-7)[free] == pytest.approx(fit.response[free, k], abs=1e-3)


def test_qubits_that_measure_nothing_leave_the_others_alone():
    line, rng = Line(10), np.random.default_rng(7)
    dead = (line.generators[:, 3] != 0) | (line.images[:, 3] != 0)
    errors = np.where(dead, 1.0, 2e-4)
    rates = line.rates(rng) + 1e-3
    data = line.design @ rates + errors * rng.normal(size=line.num_rates)
    fit = fit_rates(line.design, data, errors**2, line.ties)
    # Who shares no Pauli of its neighbourhood with the dead qubit.
    far = (line.generators[:, :6] == 0).all(axis=1)
    std = np.linalg.norm(fit.response * errors, axis=1)
    assert far.sum() > 30
    assert std[far].max() < 3e-4
    assert np.abs((fit.rates - rates)[far] / std[far]).max() < 4.5
    assert std[line.generators[:, 3] != 0].max() > 0.05


def test_a_decay_without_variance_does_not_decide_alone():
    rng = np.random.default_rng(8)
    data = rng.normal(1, 0.1, 50)
    fit = fit_rates(np.ones((50, 1)), data, np.append(np.full(49, 0.01), 0))
    assert np.abs(fit.response).max() < 0.8
    assert np.isfinite(fit.chi_square)


def test_without_ties_open_combinations_are_zero():
    fit = fit_rates([[1, 1]], [2], [1])
    assert fit.rates == pytest.approx([1, 1])
    assert fit.undecided.all()
    assert fit.rank == 1
    assert fit.dof == 0


def test_ties_need_not_be_equalities_of_two():
    fit = fit_rates([[1, 1]], [2], [1], [[1, -3]])
    assert fit.rates == pytest.approx([1.5, 0.5])
    assert fit.tied.all()
    assert not fit.undecided.any()


def test_data_win_where_a_bound_makes_ties_compete():
    # The third rate is known to be 5; its tie to the second would make the first negative.
    fit = fit_rates([[1, 1, 0], [0, 0, 1]], [2, 5], [1, 1], [[0, 1, -1]])
    assert fit.unbounded == pytest.approx([-3, 5, 5])
    assert fit.rates == pytest.approx([0, 2, 5], abs=1e-4)


@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (0, 0)])
def test_nothing_to_fit(shape):
    fit = fit_rates(np.zeros(shape), np.ones(shape[0]), np.ones(shape[0]))
    assert fit.rates.tolist() == [0] * shape[1]
    assert fit.response.shape == shape[::-1]
    assert fit.rank == 0
    assert fit.dof == shape[0]


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        fit_rates(np.eye(3), [1, 2], [1, 1])
    with pytest.raises(ValueError, match="not rows over 3 rates"):
        fit_rates(np.eye(3), [1, 2, 3], [1, 1, 1], np.eye(2))
    for decays, variances in ([[1, np.nan], [1, 1]], [[1, 1], [1, np.inf]], [[1, 1], [1, -1]]):
        with pytest.raises(ValueError, match="finite"):
            fit_rates(np.eye(2), decays, variances)


@pytest.mark.slow
def test_a_whole_device_takes_seconds():
    line, rng = Line(127), np.random.default_rng(9)
    rates = line.rates(rng, zeros=0.5)
    errors = rng.uniform(1, 3, line.num_rates) * 4e-4
    data = line.design @ rates + errors * rng.normal(size=line.num_rates)
    fit = fit_rates(line.design, data, errors**2, line.ties)
    z = (fit.rates - rates) / np.linalg.norm(fit.response * errors, axis=1)
    assert np.abs(z).max() < 5.5
    assert fit.clipped.sum() > 50
    assert fit.chi_square / fit.dof == pytest.approx(1, abs=4.5 * np.sqrt(2 / fit.dof))
