"""The tables of the migration page are those that translate."""

import re
from pathlib import Path

import pytest

from quell.options.legacy import REASONS, SOURCES, guide

FILE = Path(__file__).parents[3] / "docs" / "migration.md"
PAGE = FILE.read_text(encoding="utf-8")


def rows_of(text: str) -> list[list[str]]:
    """Cells of the body of the tables in a text."""
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line] for line in lines]


def test_the_page_is_up_to_date():
    assert guide.updated(PAGE) == PAGE, (
        "run: python -m quell.options.legacy.guide docs/migration.md, which rewrites what is between markers"
    )


def test_every_reason_is_on_the_page():
    assert [row[0] for row in rows_of(guide.reasons())[1:]] == [f"`{code}`" for code in REASONS]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_every_source_has_its_names_its_keys_and_its_defaults_in_one_section(source):
    sections = [part for part in PAGE.split("\n### ") if f"\n- `{source.name}`" in part]
    assert len(sections) == 1
    section = sections[0]
    assert all(f"`{alias}`" in section for alias in source.aliases)
    rows = rows_of(section)[1:]
    listed = ", ".join(row[0] for row in rows)
    base = next(s for s in SOURCES if s.name == "backend.run").table
    pointer = re.search(r"(?:`([\w.]+)\*`: )?all (?:other )?keys of `backend.run`", listed)
    prefix = (pointer[1] or "") if pointer else ""
    assert bool(pointer) == (len(source.table) > len(base))
    for key, row in source.table.items():
        if f"`{key}`" in listed or f"`{key.removeprefix('learner.')}` of `NoiseLearnerOptions`" in listed:
            continue
        there = base[key.removeprefix(prefix)]  # then it must be as it is there
        assert pointer
        assert (row.to, row.reason, row.text) == (there.to, there.reason, there.text)
    assert all(len(row) == 3 and row[1] for row in rows)
    shifts = [s for p in ("estimator", "sampler") for s in source.shifts(source.version or (0,), p)]
    assert all(guide._escaped(shift.text) in section for shift in shifts)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_keys_with_the_same_outcome_share_a_row(source):
    outcomes = [tuple(row[1:]) for row in rows_of(guide.table(source))]
    assert len(outcomes) == len(set(outcomes))
    assert len(outcomes) < 40


def test_links_lead_somewhere():
    anchors = {guide._slug(heading) for heading in re.findall(r"^#+ (.+)$", PAGE, re.M)}
    links = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert links
    assert links <= anchors


def test_the_options_of_the_command_are_on_the_page():
    for option in ("--source", "--primitive", "--mode", "--expand-defaults", "--legacy-version", "--out"):
        assert f"`{option}`" in PAGE


def test_the_page_is_rewritten_in_place(tmp_path, capsys):
    page = tmp_path / "page.md"
    emptied = re.sub(r"(<!-- generated: \w+ -->\n).*?(<!-- end)", r"\1\2", PAGE, flags=re.S)
    assert len(emptied) < len(PAGE) / 2
    page.write_text(emptied, encoding="utf-8")
    assert guide.main([str(page)]) == 0
    assert page.read_text(encoding="utf-8") == PAGE
    assert guide.main([]) == 2
    assert "docs/migration.md" in capsys.readouterr().err


def test_a_page_without_its_markers_is_refused():
    with pytest.raises(ValueError, match="'<!-- generated: reasons -->' once"):
        guide.updated(PAGE.replace("<!-- generated: reasons -->", ""))


def test_cells_are_markdown():
    assert guide._sentence("use a<b>|c `d<e>` *.") == r"Use a\<b>\|c `d<e>` \*"
    assert guide._sentence("quell keeps it") == "quell keeps it"
