"""Extrapolators of users: what they return is checked, and what they do wrong costs no shots."""

import numpy as np
import pytest
from qiskit import QuantumCircuit

from quell import Estimator
from quell.errors import InputError, OptionsError
from quell.extrapolators import EXTRAPOLATORS, Exponential, Fit, Model, Polynomial, extrapolator
from quell.testing import CountingBackend, NoisyDevice

pytest.importorskip("qiskit_aer")


def circuit():
    bell = QuantumCircuit(2)
    bell.sx(0)
    for _ in range(5):
        bell.cx(0, 1)
    return bell


class Own:
    """An extrapolator that does whatever it is told."""

    name, num_parameters = "own", 2

    def __init__(self, fit):
        self.fit = fit


def device():
    return CountingBackend(NoisyDevice("tee5", seed=1))


def run(backend, chosen, **zne):
    options = {"resilience_level": 1, "seed": 1, "default_shots": 400}
    options["resilience"] = {"zne_mitigation": True, "zne": {"extrapolator": chosen, **zne}}
    return Estimator(backend, options).run([(circuit(), ["ZZ", "II"])])


def line(x, a, b):
    return a + b * x


WRONG = {
    "raises": (Own(lambda *arguments: 1 / 0), "it raises ZeroDivisionError: division by zero"),
    "returns a number": (Own(lambda *arguments: 3), "it returns a int, not a Fit"),
    "shapes": (
        Own(lambda x, y, c, at: Fit("own", 2, y[:, :1], c, y[:, 0], np.full(len(y), "", dtype=object))),
        r"values have shape \(3, 1\), not \(3, 5\); responses have shape",
    ),
    "nan": (
        Own(
            lambda x, y, c, at: Fit(
                "own", 2, np.full((len(y), len(at)), np.nan), np.zeros((len(y), len(at), len(x))),
                np.zeros(len(y)), np.full(len(y), "", dtype=object),
            )
        ),
        "the extrapolated value is not finite",
    ),
    "too few arguments": (Model(line, 1), "missing 1 required positional argument"),
    "too many arguments": (Model(line, 3), "takes 3 positional arguments but 4 were given"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_fit_is_refused_before_a_shot_is_spent(name):
    model, words = WRONG[name]
    backend = device()
    with pytest.raises(OptionsError, match=words) as caught:
        run(backend, (model, "linear"))
    assert caught.value.problems[0].path == "options.resilience.zne.extrapolator"
    assert backend.num_runs == 0


def test_what_fails_on_the_data_is_a_status_and_the_data_are_kept():
    def later(x, y, c, at):
        y[:] = 7  # its own copy
        if c[0, 0, 0] != 1e-4:
            raise RuntimeError("not these")
        return extrapolator("linear").fit(x, y, c, at)

    job = run(device(), Own(later))
    data = job.result()[0].data
    assert data.status[0] == "failed: own: cannot be used: it raises RuntimeError: not these"
    assert data.status[1] == ""  # nothing of an identity has to be extrapolated
    assert data.evs[0] == data.evs_noise_factors[0, 0]
    assert np.isfinite(data.evs).all()
    assert np.isfinite(data.stds).all()
    with_line = job.reanalyze({"resilience": {"zne": {"extrapolator": (Own(later), "linear")}}})[0].data
    assert with_line.evs[0] == pytest.approx(with_line.evs_extrapolated[0, 1, 0])
    assert 0.5 < abs(with_line.evs[0]) < 1.1


@pytest.mark.parametrize("own", [lambda x, a: a * np.exp(-0.02 * x), lambda x, a: a + 0 * x])
def test_a_model_that_fits_other_data_badly_is_not_refused(own):
    data = run(device(), (Model(own, 1, name="stiff"), "linear")).result()[0].data
    assert np.isfinite(data.evs).all()


def test_a_model_fits_beside_others():
    result = run(device(), (Model(line, 2, name="mine"), "richardson"), selection="aic").result()[0]
    assert result.metadata["resilience"]["zne"]["extrapolators"][0] == {"Z0 Z1": "mine"}
    line_only = run(device(), "linear").result()[0].data
    assert result.data.evs == pytest.approx(line_only.evs, abs=0.05)


def test_objects_of_quell_are_what_their_names_are():
    for name, model in (("polynomial_degree_2", Polynomial(2)), ("exponential", Exponential())):
        assert run(device(), model).result()[0].data.evs == pytest.approx(
            run(device(), name).result()[0].data.evs
        )
    assert EXTRAPOLATORS["linear"] == Polynomial(1)


@pytest.mark.parametrize("chosen", [line, [line, "linear"]])
def test_a_bare_function_is_told_how_to_become_one(chosen):
    with pytest.raises(OptionsError, match=r"quell.extrapolators.Model\(function, num_parameters\)"):
        run(device(), chosen)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Polynomial(0),
        lambda: Exponential(3),
        lambda: Model("x", 2),
        lambda: Model(line, 0),
        lambda: Model(line, 1.5),
    ],
)
def test_models_check_their_arguments(make):
    with pytest.raises((ValueError, TypeError)):
        make()


def test_a_noise_factor_that_is_a_slip_is_refused():
    backend = device()
    with pytest.raises(InputError, match="which noise factor 1e\\+06 makes 5000000, more than 500000"):
        run(backend, "linear", noise_factors=(1, 1e6))
    assert backend.num_runs == 0
