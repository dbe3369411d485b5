"""Pictures of comparisons: every number is where it belongs, names are legible, nothing global changes."""

from __future__ import annotations

import itertools
import subprocess
import sys
import warnings
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgba
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from quell.errors import InputError
from quell.plots.comparison import Cost, Coverage, Estimates, costs, coverage, front, values
from quell.plots.placement import place_labels
from quell.plots.styles import distinct, look, plain

NAMES = [
    "raw",
    "trex",
    "zne+trex+twirl",
    "pea",
    "pec",
    "dd",
    "all",
    "level 2",
    "level 1",
    "$x_",
    "a" * 60,
    "m3",
]
REFERENCE = np.array([0.5, -0.25, 0.8])
LABELS = ["ZZI", "IZZ", "XXX"]


def series(count: int = 3, size: int = 3, failed: int | None = None) -> list[Estimates]:
    """Strategy s deviates by s / 100 from the reference, with error bars of a tenth of a percent more than it."""
    reference = np.resize(REFERENCE, size)
    return [
        Estimates(NAMES[s], None)
        if s == failed
        else Estimates(
            NAMES[s],
            reference + (s + 1) / 100,
            np.full(size, (s + 1) / 1000),
            np.full(size, (s + 1) / 500),
        )
        for s in range(count)
    ]


def bars(ax: Any, colour: str) -> list[tuple[float, float]]:
    """Return (centre, half length) of the horizontal error bars of a colour."""
    found = []
    for container in ax.containers:
        assert isinstance(container, ErrorbarContainer)
        (ranges,) = container.lines[2]
        if to_rgba(ranges.get_color()[0], 1.0)[:3] == to_rgba(colour)[:3]:
            found += [((a[0] + b[0]) / 2, (b[0] - a[0]) / 2) for a, b in ranges.get_segments()]
    return found


def markers(ax: Any, k: int) -> np.ndarray:
    """Return where the markers of strategy number k are, float64 (n, 2)."""
    own = look(k)
    lines = [
        line
        for line in ax.lines
        if line.get_marker() == own.marker and line.get_color() == own.colour and len(line.get_xdata())
    ]
    return np.concatenate([line.get_xydata() for line in lines]) if lines else np.zeros((0, 2))


def boxes(texts: list[Any]) -> list[Any]:
    return [t.get_window_extent() for t in texts if t.get_visible() and t.get_text()]


def words(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    return [t.get_text() for t in figure.findobj(mpl.text.Text) if t.get_visible() and t.get_text()]


# --- values ---------------------------------------------------------------------------------


def test_values_are_drawn_as_deviations_with_both_bars():
    (ax,) = values(series(), LABELS, reference=REFERENCE).axes
    for s in range(3):
        points = markers(ax, s)
        assert np.allclose(points[:, 0], (s + 1) / 100)
        assert np.array_equal(np.round(points[:, 1]), [0, 1, 2])
        lengths = sorted(half for _, half in bars(ax, look(s).colour))
        assert np.allclose(lengths, [(s + 1) / 1000] * 3 + [(s + 1) / 500] * 3)
    assert ax.get_ylim() == (2.5, -0.5)
    assert [t.get_text() for t in ax.get_yticklabels()] == LABELS
    assert any(
        np.array_equal(line.get_xdata(), [0.0, 0.0]) and line.get_color() == "black" for line in ax.lines
    )


def test_strategies_of_a_row_stand_apart():
    (ax,) = values(series(5), LABELS, reference=REFERENCE).axes
    heights = np.array([markers(ax, s)[0, 1] for s in range(5)])
    assert (np.diff(heights) > 0.1).all()
    assert (np.abs(heights) < 0.5).all()


def test_a_single_value_is_drawn_as_it_is():
    found = values(
        [Estimates("raw", [0.4], [0.01]), Estimates("zne", [0.5], [0.03])], ["<H>"], reference=[0.51]
    )
    (ax,) = found.axes
    assert markers(ax, 0)[:, 0] == pytest.approx([0.4])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["raw", "zne"]
    assert any(list(line.get_xdata()) == [0.51, 0.51] for line in ax.lines)


def test_without_reference_there_is_no_line():
    (ax,) = values([Estimates("raw", [0.4], [0.01]), Estimates("zne", [0.5], [0.03])], ["<H>"]).axes
    assert not any(line.get_color() == "black" for line in ax.lines)
    assert "reference" not in " ".join(words(ax.figure))


def test_values_far_apart_without_reference_are_relative_to_the_median():
    found = values(series(), LABELS)
    (ax,) = found.axes
    assert "value $-$ median of the strategies" in words(found)
    assert np.allclose(markers(ax, 1)[:, 0], 0.0, atol=1e-12)
    assert np.allclose(markers(ax, 2)[:, 0], 0.01)
    own = values(series(), LABELS, deviations=False)
    assert np.allclose(markers(own.axes[0], 1)[:, 0], REFERENCE + 0.02)


def test_references_that_differ_are_pieces_of_line_where_values_are_drawn():
    (ax,) = values(series(), LABELS, reference=REFERENCE, deviations=False).axes
    pieces = [
        s
        for c in ax.collections
        if len(c.get_segments()) == 3 and to_rgba("black") == tuple(c.get_color()[0])
        for s in c.get_segments()
    ]
    assert [tuple(p[0]) for p in pieces] == [(r, k - 0.5) for k, r in enumerate(REFERENCE)]


def test_one_strategy_far_off_does_not_hide_the_others():
    own = series(3)
    own[0] = Estimates("raw", REFERENCE + 2.0, np.full(3, 0.001))
    everything, near = values(own, LABELS, reference=REFERENCE).axes
    assert everything.get_xlim()[1] > 2 > 0.1 > near.get_xlim()[1]
    assert len(markers(near, 0)) == 0
    edge = [line for line in near.lines if line.get_marker() == ">" and line.get_color() == look(0).colour]
    assert len(edge[0].get_xdata()) == 3, "arrowheads point to what is further out"
    assert np.allclose(markers(near, 2)[:, 0], 0.03)


def test_a_failed_strategy_is_not_drawn_and_keeps_the_colours_of_the_others():
    found = values(series(4, failed=1), LABELS, reference=REFERENCE)
    (ax,) = found.axes
    assert len(markers(ax, 1)) == 0
    assert len(markers(ax, 3)) == 3
    (legend,) = found.legends
    assert [t.get_text() for t in legend.get_texts()] == ["raw", "zne+trex+twirl", "pea"]


@pytest.mark.parametrize(("count", "size"), [(2, 30), (5, 30), (12, 6), (12, 30)])
def test_many_values_have_a_panel_for_each_strategy_with_all_labels(count, size):
    labels = [f"Z{k}" for k in range(size)]
    found = values(series(count, size), labels, reference=np.resize(REFERENCE, size))
    panels = [ax for ax in found.axes if ax.axison]
    assert len(panels) == count
    assert len({ax.get_xlim() for ax in panels}) == 1, "panels have one scale"
    for s, ax in enumerate(panels):
        assert np.array_equal(markers(ax, s)[:, 1], np.arange(size))
        assert np.allclose(markers(ax, s)[:, 0], (s + 1) / 100)
    found.draw_without_rendering()
    assert [t.get_text() for t in panels[0].get_yticklabels()] == labels
    assert found.get_size_inches()[1] <= 10.1, "it fits on a page"
    shown = boxes(panels[0].get_yticklabels())
    assert all(not a.overlaps(b) for a, b in itertools.pairwise(shown))
    titles = boxes([ax.title for ax in panels])
    assert all(not a.overlaps(b) for a, b in itertools.combinations(titles, 2))


def test_more_values_than_can_be_named_are_numbered():
    found = values(series(12, 150), [f"Z{k}" for k in range(150)], reference=np.resize(REFERENCE, 150))
    assert "number of the value" in words(found)
    panels = [ax for ax in found.axes if ax.axison]
    assert np.array_equal(markers(panels[2], 2)[:, 0], np.arange(1, 151))
    assert found.get_size_inches()[1] <= 10.1


def test_what_is_not_finite_is_left_out():
    own = [Estimates("raw", [0.5, np.nan, np.inf], [0.01, np.nan, np.inf]), series(2)[1]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = values(own, LABELS, reference=REFERENCE)
        found.draw_without_rendering()
    assert len(markers(found.axes[0], 0)) == 1


def test_values_that_do_not_fit_are_refused_all_at_once():
    own = [Estimates("raw", [0.5, 0.1], [0.1, 0.1]), Estimates("zne", [0.1, 0.2, 0.3], [0.1])]
    with pytest.raises(InputError) as caught:
        values(own, LABELS, reference=[1.0])
    text = str(caught.value)
    for part in ("'raw' has 2 values", "'raw' has 2 errors", "'zne' has 1 errors", "reference: has 1 values"):
        assert part in text
    with pytest.raises(InputError, match="has no values"):
        values([Estimates("raw", None)], LABELS)


# --- costs ----------------------------------------------------------------------------------


def test_the_front_has_what_nothing_else_beats():
    assert front([1, 2, 3, 4], [4, 3, 5, 1]) == [0, 1, 3]
    assert front([2, 1, 1], [1, 1, 3]) == [1], "the same error at more cost is no gain"
    assert front([1, 1], [2, 1]) == [1]


POINTS = [
    Cost("raw", 1e4, 0.1, 0.01),
    Cost("trex", 2e4, 0.2, 0.02),
    Cost("zne", 4e4, 0.02, 0.03),
    Cost("pec", None, None),
]


def test_costs_are_logarithmic_with_front_and_guide():
    found = costs(POINTS, unit="shots")
    (ax,) = found.axes
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_xlabel(), ax.get_ylabel()) == (
        "log",
        "log",
        "shots",
        "rms error",
    )
    labelled = {line.get_label(): line.get_xydata() for line in ax.lines}
    steps = labelled["Pareto front"]
    assert steps[:3].tolist() == [[1e4, 0.1], [4e4, 0.1], [4e4, 0.02]]
    assert steps[-1, 1] == 0.02
    guide = next(v for k, v in labelled.items() if k.startswith("raw"))
    assert np.allclose(guide[:, 1] * np.sqrt(guide[:, 0]), 0.1 * np.sqrt(1e4))
    ends = [s for c in ax.containers for s in c.lines[2][0].get_segments()]
    assert np.allclose([s[1, 1] for s in ends], [0.11, 0.22, 0.05])
    assert all(s[0, 1] > 0 for s in ends), "a bar that includes 0 stays on a logarithmic axis"
    assert {"raw", "trex", "zne"} <= set(words(found))
    assert "pec" not in words(found)


@pytest.mark.parametrize("count", [2, 5, 12])
@pytest.mark.parametrize("same", [False, True], ids=["different costs", "one budget"])
@pytest.mark.parametrize("width", [3.4, 5.0])
def test_names_of_points_cover_neither_each_other_nor_points(count, same, width):
    """In a column of a paper a dozen long names have no room, so they are tried at full width only."""
    if count == 12 and width < 5:
        count = 7
    generator = np.random.default_rng(count)
    own = [
        Cost(
            NAMES[k], 1e5 if same else 1e4 * 30 ** generator.random(), 0.01 * 30 ** generator.random(), 0.002
        )
        for k in range(count)
    ]
    found = costs(own, width=width)
    found.draw_without_rendering()
    (ax,) = found.axes
    shown = boxes(list(ax.texts))
    assert len(shown) == count
    assert not [1 for a, b in itertools.combinations(shown, 2) if a.overlaps(b)]
    centres = ax.transData.transform([[p.cost, p.error] for p in own])
    assert not [1 for box in shown for centre in centres if box.contains(*centre)]
    frame = ax.get_window_extent().padded(3)
    assert all(frame.contains(b.x0, b.y0) and frame.contains(b.x1, b.y1) for b in shown)


def test_an_error_of_zero_is_an_arrowhead_at_the_edge():
    found = costs([Cost("raw", 1e4, 0.1), Cost("exact", 2e4, 0.0, 0.0)])
    (ax,) = found.axes
    (arrow,) = [line for line in ax.lines if line.get_marker() == "v"]
    low, high = ax.get_ylim()
    assert low < arrow.get_ydata()[0] < low * (high / low) ** 0.1
    assert costs([Cost("exact", 2e4, 0.0)]).axes


def test_costs_need_a_point():
    with pytest.raises(InputError, match="none has a cost above 0"):
        costs([Cost("raw", 0, 0.1), Cost("zne", 100, None)])


def number(text: str) -> float:
    """Return the number that a label of a tick shows."""
    factor, _, power = text.strip("$").replace("\N{THIN SPACE}", "").rpartition("10^")
    if not power.startswith("{"):
        return float(text.replace("\N{THIN SPACE}", ""))
    return float(factor.replace(r"\times ", "") or 1) * 10.0 ** int(power.strip("{}"))


@pytest.mark.parametrize("start", [2.5e4, 1.2e5, 1.3e8])
@pytest.mark.parametrize("span", [1.0, 2.0, 30.0, 1e6])
def test_axes_have_the_right_numbers_whatever_they_span(span, start):
    found = costs([Cost("raw", start, 30 / start), Cost("zne", start * span, 30 / start / span)])
    found.draw_without_rendering()
    (ax,) = found.axes
    for axis, limits in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        shown = [t for t in axis.get_ticklabels() if t.get_text()]
        assert len(shown) >= 2
        places = [t for t in axis.get_majorticklocs() if limits[0] <= t <= limits[1]]
        assert [number(t.get_text()) for t in shown] == pytest.approx(places)
        assert len(shown) == sum(limits[0] <= t <= limits[1] for t in axis.get_majorticklocs())
        assert not [1 for a, b in itertools.pairwise(boxes(shown)) if a.overlaps(b)]


# --- coverage -------------------------------------------------------------------------------


def test_coverage_has_interval_nominal_level_and_scores():
    own = [
        Coverage("raw", 0.2, (0.1, 0.35), [-9.0, 7.0, 1.0]),
        Coverage("zne", 0.94, (0.9, 0.97), [0.5, -1.0, np.nan]),
        Coverage("pec", None),
    ]
    scores, shares = coverage(own).axes
    assert markers(shares, 0).tolist() == [[0.2, 0.0]]
    assert markers(shares, 1).tolist() == [[0.94, 1.0]]
    spans = [tuple(line.get_xdata()) for line in shares.lines]
    assert (0.1, 0.35) in spans
    assert any(np.allclose(s, 0.95) for s in spans)
    assert [t.get_text() for t in scores.get_yticklabels()] == ["raw", "zne"]
    assert any(np.allclose(line.get_xdata(), 1.96, atol=1e-3) for line in scores.lines)
    dots = [line.get_xdata() for line in scores.lines if line.get_marker() == "o"]
    assert sorted(x for d in dots for x in d) == [-1.0, 0.5, 1.0]
    assert [t.get_text() for t in scores.texts] == ["1", "1"], "one beyond each edge"


def test_many_scores_are_quantiles_and_what_lies_beyond_is_a_share():
    z = np.concatenate([np.linspace(-3, 3, 900), np.full(100, 8.0)])
    scores, _ = coverage([Coverage("raw", 0.8, (0.7, 0.9), z)]).axes
    assert [t.get_text() for t in scores.texts] == ["10%"]
    (dots,) = [line.get_xdata() for line in scores.lines if line.get_marker() == "o"]
    assert len(dots) == 108


def test_coverage_alone_has_one_panel_and_needs_something():
    assert len(coverage([Coverage("raw", 1.0)]).axes) == 1
    with pytest.raises(InputError, match="none has a coverage"):
        coverage([Coverage("raw", None)])


# --- all of them ----------------------------------------------------------------------------


def all_of_them(count: int = 12) -> list[Figure]:
    own = [Coverage(n, 0.9, (0.8, 0.95), [0.1, 2.0]) for n in NAMES[:count]]
    some = [Cost(n, 1e4 * (k + 1), 0.1 / (k + 1), 0.01) for k, n in enumerate(NAMES[:count])]
    return [values(series(count), LABELS, reference=REFERENCE), costs(some), coverage(own)]


def test_a_dozen_strategies_look_different_in_colour_and_in_grey():
    looks = [look(k) for k in range(72)]
    assert len(set(looks)) == 72
    assert len({own.marker for own in looks[:12]}) == 12
    assert all(a.colour != b.colour for a, b in itertools.pairwise(looks))


def test_names_are_text_never_formulas():
    odd = ["$x_", r"a\$b", "$\\frac{", "x$y$z", "tab\tand\nline", "\x00\x1b[31m", "a" * 300, ""]
    for name in odd:
        line = plain(name)
        assert "\n" not in line
        assert "\x00" not in line
        assert len(line) <= 60
    fig = costs([Cost(name, 1e4 * (k + 1), 0.1 + k / 100) for k, name in enumerate(odd)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fig.draw_without_rendering()
    ends = [f"long {'x' * 60} {k}" for k in range(2)] + ["y" * 99 + "a" + "y" * 99, "y" * 99 + "b" + "y" * 99]
    assert len(set(distinct(ends, 20))) == 4, "shortening leaves them different"


def test_a_panel_hides_at_most_what_is_far_beyond_most_strategies():
    own = series(7, 30)
    own[0] = Estimates("raw", np.resize(REFERENCE, 30) + 3.0, np.full(30, 0.01))
    panels = values(own, [f"Z{k}" for k in range(30)], reference=np.resize(REFERENCE, 30)).axes
    assert [len(markers(ax, s)) for s, ax in enumerate(panels[:7])] == [0] + [30] * 6


def test_nothing_global_changes_and_nothing_warns(monkeypatch):
    monkeypatch.setitem(mpl.rcParams, "font.size", 13.0)
    before, open_before = dict(mpl.rcParams), plt.get_fignums()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in all_of_them(3):
            figure.draw_without_rendering()
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == open_before


def test_pictures_do_not_depend_on_the_settings_of_users():
    usual = [f.get_facecolor() for f in all_of_them(2)]
    with plt.style.context("dark_background"):
        assert [f.get_facecolor() for f in all_of_them(2)] == usual


def test_letters_are_legible_in_print():
    """Nothing is smaller than 7 points, at the width that is printed."""
    for figure in all_of_them():
        figure.draw_without_rendering()
        sizes = [t.get_fontsize() for t in figure.findobj(mpl.text.Text) if t.get_visible() and t.get_text()]
        assert min(sizes) >= 7.0
        assert figure.get_size_inches()[0] <= 6.7


def test_a_given_figure_is_cleared_and_used():
    own = plt.figure()
    own.add_subplot()
    assert values(series(), LABELS, reference=REFERENCE, figure=own) is own
    assert len(own.axes) == 1
    assert tuple(own.get_size_inches()) == pytest.approx((6.7, own.get_size_inches()[1]))
    plt.close("all")


def test_labels_are_placed_around_a_crowd():
    points = np.array([[50.0, 50.0], [52.0, 51.0], [51.0, 48.0], [49.0, 52.0]])
    sizes = np.tile([30.0, 8.0], (4, 1))
    bounds = np.array([0.0, 0.0, 120.0, 100.0])
    marks = np.concatenate([points - 2, points + 2], axis=1)
    places = place_labels(points, sizes, marks, bounds)
    for a, b in itertools.combinations(range(4), 2):
        assert (np.abs(places[a] - places[b]) >= sizes[0] - 1e-9).any()
    assert (places >= 0).all()
    assert (places + sizes <= bounds[2:]).all()
    assert np.array_equal(places, place_labels(points, sizes, marks, bounds))
    assert place_labels(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros((0, 4)), bounds).shape == (0, 2)


def test_matplotlib_is_imported_when_something_is_drawn():
    code = "import sys, quell.plots.comparison; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
