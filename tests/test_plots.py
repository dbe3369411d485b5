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
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.container import ErrorbarContainer
from qiskit import QuantumCircuit
from qiskit.primitives import DataBin, StatevectorSampler
from qiskit.quantum_info import PauliLindbladMap

from quell import CalibrationStore, Estimator, LayerModel
from quell.circuits.layers import Layer
from quell.errors import InputError, MissingDependencyError
from quell.kernels.statistics import Deviations
from quell.plots import layer_noise, zne
from quell.plots.layouts import positions
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


# --- the error map of a layer -------------------------------------------------------------------

LINE = ((0, 1), (1, 2), (2, 3), (3, 4))
TEE = ((0, 1), (1, 2), (1, 3), (3, 4))


def model_of(labels: dict[str, float], gates: Any = ((0, 1), (2, 3)), waiting: Any = (4,)) -> LayerModel:
    """Return a layer of cx with these rates."""
    layer = Layer(tuple(("cx", (), pair) for pair in gates), waiting)
    return LayerModel.of(layer, list(labels), list(labels.values()), "exact")


MODEL = model_of(
    {
        "X0": 1e-3,
        "Z0": 2e-3,
        "Y4": 5e-4,
        "X0 X1": 4e-3,
        "Z0 Y1": 1e-3,
        "Z1 Z2": 2.5e-3,
        "Z2 X3": 0.0,
        "Z3 Z4": 0.0,
    }
)


def marks(ax: Any) -> list[tuple[Any, np.ndarray, np.ndarray, np.ndarray]]:
    """Return paths, places, areas and colours of the qubits: circles first, then squares."""
    found = [c for c in ax.collections if isinstance(c, PathCollection)]
    return [(c.get_paths()[0], c.get_offsets(), c.get_sizes(), c.get_facecolors()) for c in found]


def lines_of(ax: Any) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return ends, widths and colours of couplings: black outlines, gaps, and what is inside."""
    found = [c for c in ax.collections if isinstance(c, LineCollection)]
    return [(np.array(c.get_segments()), np.array(c.get_linewidths()), c.get_colors()) for c in found]


def texts_of(ax: Any) -> str:
    return "\n".join(t.get_text() for t in ax.texts).replace("\N{NO-BREAK SPACE}", " ")


def scale_of(ax: Any) -> Any:
    """Return the axes of the colour bar."""
    (bar,) = [other for other in ax.figure.axes if other.get_label() == "<colorbar>"]
    return bar


def test_qubits_of_gates_are_circles_and_those_that_wait_squares() -> None:
    ax = layer_noise(MODEL)
    (circle, gates, _, _), (square, waiting, _, _) = marks(ax)
    assert (len(gates), len(waiting)) == (4, 1)
    assert len(square.vertices) == 5
    assert len(circle.vertices) > 8
    numbers = {t.get_text(): t.get_position() for t in ax.texts if t.get_text().isdigit()}
    assert sorted(numbers) == ["0", "1", "2", "3", "4"]
    assert numbers["4"] == pytest.approx(tuple(waiting[0]))
    assert "squares: waiting" in texts_of(ax)


def test_size_and_colour_of_a_qubit_are_the_sum_of_its_rates() -> None:
    ax = layer_noise(MODEL)
    (_, _, areas, colours), (_, _, waiting_areas, waiting) = marks(ax)
    shown = plt.get_cmap("viridis_r")
    assert scale_of(ax).get_ylim() == pytest.approx((0, 5.0))  # 4e-3 + 1e-3 on qubits 0 and 1 together
    for area, colour, rate in zip(areas, colours, [3.0, 0, 0, 0], strict=True):
        assert area / areas[1] == pytest.approx(1 + rate / 5)
        assert colour == pytest.approx(shown(rate / 5))
    assert waiting_areas[0] / areas[1] == pytest.approx(1.1)
    assert waiting[0] == pytest.approx(shown(0.1))


def test_couplings_show_their_rates_and_gates_are_heavier() -> None:
    outline, _, inside = lines_of(layer_noise(MODEL))
    assert len(inside[0]) == 4  # two gates, and two neighbours that have none
    shown = plt.get_cmap("viridis_r")
    for width, colour, rate in zip(inside[1], inside[2], [5.0, 2.5, 0.0, 0.0], strict=True):
        assert width / inside[1][3] == pytest.approx((2 + 5 * rate / 5) / 2)
        assert colour == pytest.approx(shown(rate / 5))
    border = outline[1] - inside[1]
    assert np.all(border[[0, 2]] > 3 * border[[1, 3]])  # (0, 1) and (2, 3) are gates
    assert [tuple(c) == to_rgba("black") for c in outline[2]] == [True, False, True, False]


def test_the_colours_can_be_read_in_grey() -> None:
    colours = np.array([plt.get_cmap("viridis_r")(x) for x in np.linspace(0, 1, 50)])
    assert np.all(np.diff(colours[:, :3] @ [0.299, 0.587, 0.114]) < 0)


def test_the_scale_has_a_unit_and_the_title_the_gates() -> None:
    ax = layer_noise(MODEL)
    assert "10^{-3}" in scale_of(ax).get_ylabel()
    assert ax.get_title().replace("\N{NO-BREAK SPACE}", " ").replace("\n", " ") == MODEL.layer.describe()


def test_the_largest_generators_are_named_with_their_errors() -> None:
    exact = texts_of(layer_noise(MODEL))
    assert "X0 X1: 4.00, Z1 Z2: 2.50, Z0: 2.00" in exact.replace("\n", " ")
    assert "±" not in exact
    assert f"gamma {MODEL.gamma:.4g}" in exact
    rows = np.zeros((2, len(MODEL.rates)))
    rows[:, 3] = 3e-4, 4e-4
    quality = {"reduced_chi_square": 1.25, "worst_generators": ["Z1 Z2", "X0"]}
    learned = LayerModel(
        MODEL.layer, MODEL.generators, MODEL.rates, Deviations(rows, 9.0, "own"), quality, "own"
    )
    text = texts_of(layer_noise(learned)).replace("\n", " ")
    assert "X0 X1: 4.00 ± 0.50" in text
    assert "chi² per degree of freedom 1.25, worst fit Z1 Z2, X0" in text


def test_generators_on_three_qubits_are_not_lost() -> None:
    text = texts_of(layer_noise(model_of({"X0": 1e-3, "X0 Y1 Z2": 2e-3})))
    assert "on three and more qubits, not drawn: 2" in text


@pytest.mark.parametrize("labels", [{}, {"X0": 0.0}, {"Z0 Z1": 0.0, "X4": 0.0}])
def test_layers_without_noise_have_a_picture_without_nan(labels: dict[str, float]) -> None:
    ax = layer_noise(model_of(labels))
    ax.figure.canvas.draw()
    for _, places, areas, colours in marks(ax):
        assert np.isfinite(places).all()
        assert np.isfinite(areas).all()
        assert np.isfinite(colours).all()
    assert scale_of(ax).get_ylim() == pytest.approx((0, 1))
    assert "nan" not in texts_of(ax)


def test_several_layers_share_scale_and_places() -> None:
    other = model_of({"Z1 Z2": 8e-3, "X0": 1e-3}, gates=((1, 2),), waiting=(0, 3))
    axes = layer_noise([MODEL, other])
    assert len(axes) == 2
    assert len(axes[0].figure.axes) == 3  # one colour bar
    assert scale_of(axes[0]).get_ylim() == pytest.approx((0, 8.0))
    places = [{t.get_text(): t.get_position() for t in ax.texts if t.get_text().isdigit()} for ax in axes]
    assert places[1] == {number: places[0][number] for number in "0123"}
    assert axes[0].get_xlim() == axes[1].get_xlim()


def test_what_users_have_is_drawn() -> None:
    circuit = QuantumCircuit(3)
    circuit.cx(0, 1)
    noise = PauliLindbladMap.from_list([("IXX", 2e-3), ("ZII", 1e-3)])
    (ax,) = layer_noise([(circuit, noise)])
    assert len(marks(ax)) == 2  # qubit 2 waits
    assert isinstance(layer_noise(MODEL.to_dict()), tuple)


def test_existing_axes_are_used_for_layers() -> None:
    _, grid = plt.subplots(1, 2)
    assert layer_noise([MODEL, MODEL.restricted(Layer(MODEL.layer.gates))], ax=grid) == tuple(grid)
    assert layer_noise(MODEL, ax=grid[0]) is grid[0]
    assert len(plt.get_fignums()) == 1
    with pytest.raises(InputError, match=r"ax: must be matplotlib axes, one for each of 1 layers \(got 2\)"):
        layer_noise(MODEL, ax=grid)
    with pytest.raises(InputError, match=r"ax: must be matplotlib axes"):
        layer_noise(MODEL, ax="left")


def test_what_is_no_layer_is_refused() -> None:
    with pytest.raises(InputError, match=r"model_or_models: has no layers"):
        layer_noise(CalibrationStore(":memory:"))
    with pytest.raises(InputError, match=r"model_or_models"):
        layer_noise("noise")
    broken = LayerModel(
        MODEL.layer, MODEL.generators, np.full(len(MODEL.rates), np.nan), MODEL.deviations, {}, "broken"
    )
    with pytest.raises(InputError, match=r"rates"):
        layer_noise(broken)


def test_large_layers_fit_their_picture() -> None:
    gates = tuple((q, q + 1) for q in range(0, 40, 2))
    ax = layer_noise(model_of({f"Z{q} Z{q + 1}": 1e-3 for q in range(39)}, gates=gates, waiting=()))
    figure = ax.figure
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    for text in (ax.title, *ax.texts):
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1


def test_lines_are_straight_and_long_ones_are_folded() -> None:
    np.testing.assert_allclose(positions(5, LINE), [[0, 0], [1, 0], [2, 0], [3, 0], [4, 0]])
    np.testing.assert_allclose(positions(3, [(0, 2), (1, 2)])[[0, 2, 1]], [[0, 0], [1, 0], [2, 0]])
    long = positions(25, [(q, q + 1) for q in range(24)])
    np.testing.assert_allclose(np.linalg.norm(np.diff(long, axis=0), axis=1), 1)
    assert np.ptp(long[:, 0]) == pytest.approx(9)


@pytest.mark.parametrize(
    ("size", "pairs"),
    [
        (5, TEE),
        (4, [(0, 1), (1, 2), (2, 3), (0, 3)]),
        (4, [(a, b) for a in range(4) for b in range(a)]),
        (12, [(q, (q + 1) % 12) for q in range(12)]),
        (
            9,
            [(3 * r + c, 3 * r + c + 1) for r in range(3) for c in range(2)] + [(q, q + 3) for q in range(6)],
        ),
        (8, [(0, q) for q in range(1, 8)]),
    ],
)
def test_neighbours_are_close_and_nothing_is_in_one_place(size: int, pairs: Any) -> None:
    places = positions(size, pairs)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    assert np.isfinite(places).all()
    coupled = [apart[a, b] for a, b in pairs]
    assert max(coupled) < 1.6
    assert apart[~np.eye(size, dtype=bool)].min() > 0.4
    assert np.ptp(places[:, 0]) >= np.ptp(places[:, 1]) - 1e-6
    np.testing.assert_array_equal(places, positions(size, pairs))


def test_parts_that_are_not_connected_stand_side_by_side() -> None:
    places = positions(6, [(0, 1), (1, 3), (2, 4)])
    assert places[[2, 4, 5], 0].min() >= places[[0, 1, 3], 0].max() + 1 - 1e-9
    assert len(np.unique(places.round(6), axis=0)) == 6
    assert positions(0, []).shape == (0, 2)
