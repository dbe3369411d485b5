"""Pictures: what is drawn where, and what is said where nothing can be drawn."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.container import ErrorbarContainer
from qiskit import QuantumCircuit
from qiskit.primitives import DataBin, StatevectorSampler

from quell import Estimator
from quell.errors import InputError, MissingDependencyError
from quell.plots import zne
from quell.primitives.extrapolated import EstimatorPubResult

FACTORS = np.array([1.0, 3.0, 5.0])
EVALUATED = np.array([3.0, 0.0, 1.0, 5.0])  # in no order, as users may ask
RATES = np.array([0.1, 0.3])
MODELS = ["exponential", "linear"]


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def result_of(shape: tuple[int, ...] = (), **changes: Any) -> EstimatorPubResult:
    """Return a result whose value number k is ``(k + 1) exp(-.1 x)``, and one line each as the second model."""
    number = int(np.prod(shape, dtype=int))
    scale = np.arange(1.0, number + 1).reshape(shape)[..., None]
    curves = np.stack([scale * np.exp(-0.1 * EVALUATED), scale * (0.95 - 0.07 * EVALUATED)], axis=-2)
    fields: dict[str, Any] = {
        "evs": scale[..., 0],
        "stds": 0.05 * scale[..., 0],
        "evs_noise_factors": scale * np.exp(-0.1 * FACTORS),
        "stds_noise_factors": scale * np.array([0.01, 0.02, 0.03]),
        "evs_extrapolated": curves,
        "stds_extrapolated": np.broadcast_to(0.1 * scale[..., None], curves.shape),
        "status": np.full(shape, ""),
        **{k: v for k, v in changes.items() if k in ("status", "evs", "stds", "stds_extrapolated")},
    }
    details: dict[str, Any] = {
        "noise_factors": FACTORS.tolist(),
        "extrapolated_noise_factors": EVALUATED.tolist(),
        "extrapolator": MODELS,
        "extrapolators": [{"Z0": "exponential"}] * number,
        "status_extrapolated": np.full((*shape, 2), "").tolist(),
    }
    details |= {k: v for k, v in changes.items() if k in details}
    return EstimatorPubResult(DataBin(**fields, shape=shape), {"resilience": {"zne": details}})


def bars(ax: Any, label: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
    """Return places, values and lengths of the error bars of this label, and the line of their markers."""
    (found,) = [c for c in ax.containers if isinstance(c, ErrorbarContainer) and c.get_label() == label]
    line, _, (ranges,) = found.lines
    ends = np.array(ranges.get_segments())
    return line.get_xdata(), line.get_ydata(), (ends[:, 1, 1] - ends[:, 0, 1]) / 2, line


def texts(ax: Any) -> list[str]:
    return [t.get_text() for t in ax.get_legend().get_texts()]


def curve_points(ax: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return places and values of the markers of each curve, in order of drawing."""
    lines = [line for line in ax.lines if line.get_marker() in "s^" and line.get_linestyle() == "None"]
    return [
        (np.asarray(line.get_xdata()), np.asarray(line.get_ydata()))
        for line in lines
        if len(line.get_xdata())
    ]


def test_what_was_measured_is_at_the_noise_factors() -> None:
    x, y, error, _ = bars(zne(result_of()), "measured")
    np.testing.assert_allclose(x, FACTORS)
    np.testing.assert_allclose(y, np.exp(-0.1 * FACTORS))
    np.testing.assert_allclose(error, [0.01, 0.02, 0.03])


def test_the_reported_value_is_a_full_marker_at_zero() -> None:
    x, y, error, line = bars(zne(result_of()), "reported: zero noise")
    assert (x, y, error) == (pytest.approx([0.0]), pytest.approx([1.0]), pytest.approx([0.05]))
    assert to_rgba(line.get_markerfacecolor()) == to_rgba("black")


def test_markers_are_where_models_were_evaluated() -> None:
    ax = zne(result_of())
    (x, y), (x2, y2) = curve_points(ax)
    np.testing.assert_allclose(x, [0, 1, 3, 5])
    np.testing.assert_allclose(y, np.exp(-0.1 * x))
    np.testing.assert_allclose(x2, x)
    np.testing.assert_allclose(y2, 0.95 - 0.07 * x2)
    assert texts(ax)[:2] == ["exponential (chosen)", "linear"]


def test_lines_pass_through_the_markers_and_add_no_extremum() -> None:
    ax = zne(result_of())
    long = [line for line in ax.lines if len(line.get_xdata()) > 100]
    assert len(long) == 2
    for line, (x, y) in zip(long, curve_points(ax), strict=True):
        there = np.interp(x, line.get_xdata(), line.get_ydata())
        np.testing.assert_allclose(there, y, atol=1e-3)
        assert np.all(np.diff(line.get_ydata()) < 0)


def test_bands_are_one_standard_error_wide() -> None:
    bands = [c for c in zne(result_of()).collections if isinstance(c, PolyCollection)]
    assert len(bands) == 2
    for band in bands:
        corners = band.get_paths()[0].vertices
        at_zero = corners[np.isclose(corners[:, 0], 0), 1]
        assert np.ptp(at_zero) == pytest.approx(0.2)


def test_models_differ_without_colour() -> None:
    ax = zne(result_of())
    named = {line.get_label(): line for line in ax.lines}
    first, second = named["exponential (chosen)"], named["linear"]
    assert first.get_linestyle() != second.get_linestyle()
    assert first.get_marker() != second.get_marker()


def test_axes_are_labelled() -> None:
    ax = zne(result_of())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("noise factor", "expectation value")
    assert ax.get_title() == "Zero-noise extrapolation"
    assert ax.get_xlim()[0] < 0


def test_a_value_that_the_guard_kept_is_hollow_and_said_so() -> None:
    kept = np.exp(-0.1)
    status = np.array("kept as measured: predicted rms error 0.01, extrapolated 0.03")
    ax = zne(result_of(status=status, evs=np.array(kept)))
    x, y, _, line = bars(ax, "reported: as measured (guard)")
    assert (x, y) == (pytest.approx([0.0]), pytest.approx([kept]))
    assert to_rgba(line.get_markerfacecolor()) == to_rgba("white")
    assert texts(ax)[0] == "exponential (chosen, not reported)"


def test_a_failed_model_is_named_but_not_drawn() -> None:
    failed = "failed: exponential: the values grow with the noise; linear: the values are not finite"
    ax = zne(
        result_of(
            status=np.array(failed),
            status_extrapolated=["the values grow with the noise", "the values are not finite"],
            extrapolators=[{"Z0": "none"}],
        )
    )
    assert curve_points(ax) == []
    assert {"exponential (failed)", "linear (failed)", "reported: not extrapolated (failed)"} <= set(
        texts(ax)
    )


def test_terms_with_different_models_are_counted() -> None:
    terms = {"Z0": "exponential", "Z1": "linear", "Z2": "linear"}
    labels = texts(zne(result_of(extrapolators=[terms])))
    assert labels[:2] == ["exponential (chosen for 1 of 3 terms)", "linear (chosen for 2 of 3 terms)"]


@pytest.mark.parametrize(
    ("shape", "index", "number"),
    [((3,), 1, 1), ((3,), (2,), 2), ((3,), -1, 2), ((2, 3), (1, 0), 3), ((2, 3), [0, -1], 2)],
)
def test_index_chooses_the_value(shape: tuple[int, ...], index: Any, number: int) -> None:
    count = int(np.prod(shape))
    terms: list[dict[str, str]] = [{"Z0": "linear"}] * count
    terms[number] = {"Z0": "exponential"}
    ax = zne(result_of(shape, extrapolators=terms), index)
    assert bars(ax, "reported: zero noise")[1] == pytest.approx([number + 1.0])
    assert bars(ax, "measured")[1] == pytest.approx((number + 1) * np.exp(-0.1 * FACTORS))
    assert curve_points(ax)[0][1][0] == pytest.approx(number + 1.0)
    assert "exponential (chosen)" in texts(ax)
    place = ", ".join(str(int(i)) for i in np.unravel_index(number, shape))
    assert ax.get_title().endswith(f", value {place}")


@pytest.mark.parametrize(
    ("shape", "index"), [((), 0), ((3,), ()), ((3,), 3), ((3,), -4), ((3,), (0, 0)), ((2, 3), 1), ((3,), 0.5)]
)
def test_an_index_that_does_not_exist(shape: tuple[int, ...], index: Any) -> None:
    with pytest.raises(InputError, match=r"^index: "):
        zne(result_of(shape), index)


@pytest.mark.parametrize("index", ["a", None, slice(None), [[0], 1]])
def test_what_is_not_an_index(index: Any) -> None:
    with pytest.raises(InputError, match=r"must be an integer or several"):
        zne(result_of((3,)), index)


def test_existing_axes_are_used() -> None:
    _, (left, right) = plt.subplots(1, 2)
    assert zne(result_of(), ax=right) is right
    assert not left.lines
    assert right.lines
    assert len(plt.get_fignums()) == 1


def test_a_band_that_knows_nothing_leaves_room_for_the_data() -> None:
    wide = np.full((2, 4), 0.1)
    wide[1] = 1e6  # of a model that is not chosen
    low, high = zne(result_of(stds_extrapolated=wide)).get_ylim()
    assert high - low < 2


def test_one_evaluated_point_has_a_marker_and_no_line() -> None:
    result = result_of(extrapolated_noise_factors=[0.0])
    data = {name: getattr(result.data, name) for name in result.data if "extrapolated" not in name}
    data |= {"evs_extrapolated": np.array([[1.0], [0.95]]), "stds_extrapolated": np.full((2, 1), 0.1)}
    ax = zne(EstimatorPubResult(DataBin(**data, shape=()), result.metadata))
    assert [y.tolist() for _, y in curve_points(ax)] == [[1.0], [0.95]]


def test_a_result_without_zne() -> None:
    circuit = QuantumCircuit(1)
    result = (
        Estimator(StatevectorSampler(), {"resilience_level": 0, "seed": 1}).run([(circuit, "Z")]).result()
    )
    with pytest.raises(InputError, match=r"result: is not the result of a PUB with zero-noise extrapolation"):
        result[0].plot_zne()
    with pytest.raises(InputError, match=r"one element of job.result"):
        zne(result)


def test_a_real_result() -> None:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.rz(0.3, 1)
    options = {
        "resilience_level": 0,
        "seed": 1,
        "resilience": {"zne_mitigation": True, "zne": {"extrapolator": "linear"}},
    }
    job = Estimator(StatevectorSampler(seed=1), options).run([(circuit, ["ZZ", "XX"])], precision=0.1)
    result = job.result()[0]
    ax = result.plot_zne(1)
    data = result.data
    x, y, error, _ = bars(ax, "measured")
    np.testing.assert_allclose(x, [1, 3, 5])
    np.testing.assert_allclose(y, data.evs_noise_factors[1])
    np.testing.assert_allclose(error, data.stds_noise_factors[1])
    assert bars(ax, "reported: zero noise")[1] == pytest.approx([data.evs[1]])
    assert curve_points(ax)[0][1][0] == pytest.approx(data.evs[1])
    ax.figure.canvas.draw()


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.delattr(mpl, "pyplot", raising=False)
    with pytest.raises(MissingDependencyError, match=r"pip install 'quell\[plot\]'"):
        zne(result_of())


def test_importing_the_module_imports_no_matplotlib() -> None:
    code = "import sys, quell.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
