import json
import re
import sys

import numpy as np
import pytest
from attrs import evolve
from rich.console import Console
from synthetic import PEC, RAW, TREX, USUAL, ZNE, Way, compared

from quell.comparison.cells import (
    Cells,
    accuracy_cells,
    cost_cells,
    count,
    factor,
    number,
    value_cells,
    with_error,
)
from quell.comparison.comparison import Comparison
from quell.comparison.tables import as_dict, dataframe, escaped, markdown, markdown_cells, plain, rich_table
from quell.errors import MissingDependencyError

FAILING = (*USUAL, Way("bad", PEC, failing=range(10)))


def column(cells, header):
    return [row[cells.headers.index(header)] for row in cells.rows]


def printed(comparison, width=110, **arguments):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(rich_table(comparison, **arguments))
    return capture.get()


# --- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.01234, 0.0045, "0.0123(45)"),
        (-0.5, 0.1, "-0.50(10)"),
        (0.123456, 0.0996, "0.12(10)"),
        (0.12, 0.00996, "0.120(10)"),
        (-0.0001, 0.012, "0.000(12)"),
        (0.0, 0.0011, "0.0000(11)"),
        (12.34, 1.5, "12.3 ± 1.5"),
        (0.97, 0.97, "0.97(97)"),
        (0.97, 0.999, "1.0 ± 1.0"),
        (1234.5, 123.4, "1234 ± 120"),
        (0.5, 1e-12, "0.5 ± 1.0e-12"),
        (0.123456789, 0.0, "0.123457"),
        (0.123456789, None, "0.1235"),
    ],
)
def test_values_with_errors(value, error, text):
    assert with_error(value, error) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0"), (0.0100, "0.0100"), (0.00999999, "0.0100"), (123.4, "123"), (1e-7, "1.00e-07")],
)
def test_numbers(value, text):
    assert number(value) == text


def test_counts_and_factors():
    assert [count(x) for x in (None, 0, 99.6, 1234567.0)] == ["-", "0", "100", "1 234 567"]
    assert factor(4.213, (3.06, 12.1)) == "4.2 (3.1 to 12)"
    assert [factor(None, None), factor(1.0, (1.0, 1.0)), factor(0.5, None)] == ["-", "1", "0.50"]


# --- cells ------------------------------------------------------------------------------------


def test_accuracy_against_a_reference():
    cells = accuracy_cells(compared())
    assert cells.headers == (
        "strategy", "rms error", "bias", "error bar", "spread", "improvement", "coverage", "shots",
    )  # fmt: skip
    assert column(cells, "strategy") == ["raw", "trex", "zne", "pec"]
    assert column(cells, "error bar") == ["0.0100", "0.0120", "0.0200", "0.0300"]
    assert column(cells, "improvement")[0] == "1"
    assert all(re.fullmatch(r"[\d.]+ \([\d.]+ to [\d.]+\)", c) for c in column(cells, "improvement")[1:])
    assert all(re.fullmatch(r"\d+ % \(\d+ to \d+\)", c) for c in column(cells, "coverage"))
    assert all(re.fullmatch(r"0\.\d+\(\d\d\)", c) for c in column(cells, "rms error") + column(cells, "bias"))
    assert cells.title == "Accuracy: 3 values, 10 repeats"


def test_one_repeat_counts_intervals():
    cells = accuracy_cells(compared(repeats=1))
    assert "spread" not in cells.headers
    assert all(re.fullmatch(r"\d of 3", c) for c in column(cells, "covered"))
    assert "%" not in " ".join(column(cells, "covered"))


def test_without_a_reference_the_table_is_about_agreement():
    cells = accuracy_cells(compared(reference=False))
    assert cells.headers == ("strategy", "error bar", "spread", "agreement", "shots")
    assert all(re.fullmatch(r"[\d.]+ \(\w+\)", c) for c in column(cells, "agreement"))
    assert "deviation" not in value_cells(compared(reference=False)).headers


def test_without_raw_there_is_no_improvement():
    comparison = compared([Way("trex", TREX), Way("zne", ZNE)])
    assert "improvement" not in accuracy_cells(comparison).headers
    assert "overhead" not in cost_cells(comparison).headers
    assert "improvement" not in value_cells(comparison).headers


def test_a_failed_strategy_is_a_row_that_says_why_below():
    cells = accuracy_cells(compared(FAILING))
    assert cells.rows[-1][:3] == ("bad", "failed", "-")
    assert "bad failed: options.bad: refused; leave it out" in cells.notes
    assert set(cost_cells(compared(FAILING)).rows[-1][1:]) == {"-"}


def test_notes_say_once_whom_they_are_about():
    comparison = compared(repeats=2)
    trials = tuple(evolve(t, notes=("Z0: kept",)) if t.strategy != "raw" else t for t in comparison.trials)
    assert "trex, zne, pec: Z0: kept" in accuracy_cells(evolve(comparison, trials=trials)).notes


def test_costs():
    cells = cost_cells(compared())
    assert cells.headers == (
        "strategy", "circuits", "shots", "calibration", "executed", "overhead", "gamma²", "QPU (s)", "prepare (s)",
        "execute (s)", "combine (s)",
    )  # fmt: skip
    assert cells.rows[3] == (
        "pec",
        "30",
        "10 000",
        "2 000",
        "9 000",
        "9.0",
        "12.3",
        "3.00",
        "0.10",
        "3.2",
        "0.020",
    )
    assert "gamma²" not in cost_cells(compared(USUAL[:3])).headers


def test_values_are_in_groups_with_the_reference_on_top():
    comparison = compared()
    cells = value_cells(comparison)
    assert [row[:2] for row in cells.rows[:6]] == [
        ("Z0", "reference"),
        ("", "raw"),
        ("", "trex"),
        ("", "zne"),
        ("", "pec"),
        ("Z1", "reference"),
    ]
    assert cells.rows[0][2] == "0.9"
    assert cells.sections == (4, 9, 14)
    mean = comparison.values_of("raw")[:, 0].mean()
    assert float(cells.rows[1][2].split("(")[0]) == pytest.approx(mean, abs=1e-3)
    assert cells.rows[1][-1] == "0 of 10"


def test_values_without_a_reference_start_with_their_label():
    cells = value_cells(compared(FAILING, reference=False))
    assert [row[:2] for row in cells.rows[:5]] == [
        ("Z0", "raw"), ("", "trex"), ("", "zne"), ("", "pec"), ("Z1", "raw")
    ]  # fmt: skip


# --- Markdown ---------------------------------------------------------------------------------


def tables_in(text):
    """Rows of cells of every table, split where GitHub splits them: at bars that are not escaped."""
    found = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append([c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def test_markdown_has_a_table_of_each_kind():
    assert len(tables_in(markdown(compared()))) == 2
    tables = tables_in(markdown(compared(), per_value=True))
    assert [len(t) for t in tables] == [6, 17, 6]
    for table in tables:
        assert len({len(row) for row in table}) == 1
        first, *others = table[1]
        assert set(first) == {"-"}
        assert {rule.strip("-") for rule in others} <= {":", ""}
        assert others[-1].endswith(":")


def test_markdown_is_aligned():
    lines = [
        line for line in markdown(compared(FAILING), per_value=True).splitlines() if line.startswith("|")
    ]
    widths = [len(line) for line in lines]
    assert len(set(widths)) == 3
    assert max(widths[:7]) <= 110


NASTY = 'a|b \\| c\nd <img src=x onerror="1"> *e* `f`'


def test_cells_survive_any_name():
    comparison = compared(
        [Way("raw", RAW), Way(NASTY, ZNE), Way("bad|", PEC, failing=range(10))], labels=[NASTY]
    )
    for table in tables_in(markdown(comparison, per_value=True)):
        assert len({len(row) for row in table}) == 1
    text = markdown(comparison, per_value=True)
    assert "<img" not in text.replace("\\<img", "")
    assert "bad\\| failed: options.bad\\|: refused" in text


def test_escaping():
    assert escaped("a|b") == "a\\|b"
    assert escaped("a\\|b") == "a\\\\\\|b"
    assert escaped(" a\r\n\tb ") == "a b"
    assert escaped("<b> *x*") == "\\<b> \\*x\\*"
    assert escaped("zne+trex_2 [1]") == "zne+trex_2 [1]"


def test_a_table_by_hand():
    cells = Cells("T", ("a", "number"), (("x", "1"), ("long", "22")), notes=("one",))
    assert markdown_cells(cells) == (
        "**T**\n\n| a    | number |\n|------|-------:|\n| x    |      1 |\n| long |     22 |\n\none\n"
    )


# --- the terminal -----------------------------------------------------------------------------


@pytest.mark.parametrize("repeats", [1, 10])
@pytest.mark.parametrize("reference", [True, False])
def test_tables_fit_110_columns_in_one_block(repeats, reference):
    ways = tuple(
        evolve(w, name=n)
        for w, n in zip(USUAL, ("raw", "trex", "zne+trex+twirl", "pec+trex+twirl"), strict=True)
    )
    text = printed(compared(ways, repeats, reference=reference), per_value=True)
    assert text.count("─" * 20 + "\n") == 3
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize("width", [40, 60, 80, 110])
def test_nothing_is_lost_where_it_is_narrow(width):
    """Every cell is there, whole; where there is no room for all columns they come in blocks."""
    comparison = compared(FAILING)
    text = printed(comparison, width)
    assert max(map(len, text.splitlines())) <= width
    for cells in (accuracy_cells(comparison), cost_cells(comparison)):
        for row in cells.rows:
            assert all(cell in text for cell in row)
    assert ("\n\nstrategy" in text) or width == 110


def test_names_are_no_markup():
    comparison = compared([Way("raw", RAW), Way("[red]x[/red]", ZNE)], labels=["[bold]"])
    text = printed(comparison, per_value=True)
    assert "[red]x[/red]" in text
    assert "[bold]" in text


def test_long_names_and_labels_are_folded():
    comparison = compared([Way("raw", RAW), Way("n" * 60, ZNE)], labels=["L" * 90])
    text = printed(comparison, per_value=True)
    assert max(map(len, text.splitlines())) <= 110
    assert text.count("L") % 90 == 0  # once for each block of columns


def test_many_values_and_strategies():
    ways = [Way(f"way {k}", ZNE, sigma=0.01 * (k + 1)) for k in range(12)]
    text = printed(compared(ways, labels=[f"Z{k}" for k in range(40)]), per_value=True)
    assert text.count("reference") >= 40


def test_without_rich_the_next_step_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(MissingDependencyError, match=re.escape("pip install 'quell[cli]'")):
        rich_table(compared())


# --- plain data -------------------------------------------------------------------------------


def test_a_dict_is_plain_json_that_load_reads(tmp_path):
    comparison = compared(FAILING)
    data = as_dict(comparison)
    text = json.dumps(data, allow_nan=False)
    assert json.loads(text) == data
    assert [s["name"] for s in data["summaries"]] == ["raw", "trex", "zne", "pec", "bad"]
    assert len(data["rows"]) == 12
    (tmp_path / "all.json").write_text(text)
    again = Comparison.load(tmp_path / "all.json")
    assert as_dict(again) == data


def test_a_dict_has_all_that_save_writes(tmp_path):
    comparison = compared()
    saved = json.loads(comparison.save(tmp_path / "saved.json").read_text())
    data = as_dict(comparison)
    assert {key: data[key] for key in saved} == saved


def test_plain_data():
    found = plain(
        {1: (np.float64(0.5), float("nan"), np.inf), "x": np.arange(2), "y": object, "z": {True, None}}
    )
    assert found["1"] == [0.5, None, None]
    assert found["x"] == [0, 1]
    assert isinstance(found["y"], str)
    json.dumps(found, allow_nan=False)


def test_a_data_frame_has_a_line_for_each_strategy_repeat_and_value():
    pandas = pytest.importorskip("pandas")
    comparison = compared(FAILING)
    frame = dataframe(comparison)
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == 5 * 10 * 3
    zne = frame[frame.strategy == "zne"]
    assert zne.value.to_numpy().reshape(10, 3) == pytest.approx(comparison.values_of("zne"))
    assert (zne.deviation == zne.value - zne.reference).all()
    assert set(zne.shots) == {10_000}
    bad = frame[frame.strategy == "bad"]
    assert bad.value.isna().all()
    assert set(bad.failure) == {"options.bad: refused; leave it out"}
    assert dataframe(compared(reference=False)).reference.isna().all()


def test_without_pandas_the_next_step_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="pip install pandas"):
        dataframe(compared())
