"""Reports: what they say, that nothing from outside becomes markup, and that the same data are the same report."""

from __future__ import annotations

import base64
import itertools
import json
import re
import sys
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest

from quell.comparison.comparison import Comparison
from quell.comparison.pictures import PICTURES, available, caption, draw
from quell.comparison.records import Strategy, Trial
from quell.comparison.report import html_report, markdown_report, write
from quell.errors import InputError

pytest.importorskip("matplotlib")

ODD = "z <b>&\"'|`$x_{ \\ </code></pre><script>alert(1)</script>"
#: Elements without an end.
VOID = {"meta", "link", "img", "br", "hr"}


def comparison(
    names: tuple[str, ...] = ("raw", "trex", "zne"),
    labels: tuple[str, ...] = ("Z0", "Z1", "X0 X1"),
    repeats: int = 4,
    failed: tuple[str, ...] = (),
    known: bool = True,
    **changes: Any,
) -> Comparison:
    """Return strategies whose values are off by 20 % and less, with error bars of .01, by normal noise."""
    generator = np.random.default_rng(7)
    reference = np.linspace(-0.8, 0.9, len(labels)) if len(labels) > 1 else np.array([0.5])
    trials = []
    for k, name in enumerate(names):
        for repeat in range(repeats):
            if name in failed:
                trials.append(Trial(name, repeat, failure=f"cannot: {ODD}", details={"seed": repeat}))
                continue
            shots = 10_000 * (k + 1)
            trials.append(
                Trial(
                    name,
                    repeat,
                    reference * (1 - 0.2 / (k * k + 1)) + 0.01 * generator.normal(size=len(labels)),
                    np.full(len(labels), 0.01),
                    notes=(f"note {ODD}",) if k == 1 else (),
                    circuits=7 * (k + 1),
                    shots=shots,
                    calibration_shots=shots // 4,
                    executed_shots=shots - 123,
                    gamma_squared=4.5 if k == 2 else None,
                    qpu_seconds=2.5 * (k + 1),
                    seconds={"prepare": 0.1, "execute": 1.0, "combine": 0.2},
                    details={"seed": 1000 + repeat},
                )
            )
    fields: dict[str, Any] = {
        "strategies": tuple(Strategy(name, {"resilience_level": k % 2}) for k, name in enumerate(names)),
        "labels": labels,
        "reference": reference if known else None,
        "reference_source": "exact: statevector" if known else "",
        "trials": tuple(trials),
        "settings": {
            "repeats": repeats,
            "seed": 11,
            "total_shots": None,
            "confidence": 0.95,
            "qpu_model": {"rep_delay": 2.5e-4, "text": "Every shot takes its circuit and a delay of 250 us."},
        },
        "device": "tee5",
        "environment": {"python": "3.11.7", "quell": "9.9.9", "date": "2026-01-02"},
    }
    return Comparison(**{**fields, **changes})


class Page(HTMLParser):
    """What is in a page: elements with attributes, text by element; every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]

    def text(self, tag: str = "") -> str:
        return " ".join(word for where, word in self.words if where == tag or not tag)


@pytest.fixture(scope="module")
def usual() -> str:
    """The HTML report of `comparison()`."""
    return html_report(comparison())


# --- what a report says -----------------------------------------------------------------------


def test_a_report_says_what_it_takes_to_judge_and_to_repeat():
    found = comparison(failed=("trex",))
    page = Page(
        html_report(found, experiment_text='title = "x"\n[device]\nname = "tee5"\n', title="My title")
    )
    text = re.sub(r"\s+", " ", page.text())
    for part in (
        "My title",
        "tee5",
        "exact: statevector",
        "Recommended: zne.",
        "Table 1.",
        "Table 3.",
        "Figure 3.",
        "trex failed: cannot:",
        "over 4 repeats",
        "2026-01-02",
        "9.9.9",
        '"seed": 11',
        '{"0": 1000, "1": 1001, "2": 1002, "3": 1003}',
        "Options of zne",
        "Every shot takes its circuit and a delay of 250 us.",
        'name = "tee5"',
    ):
        assert part in text, part
    for term in (
        "error bar",
        "spread",
        "rms error",
        "bias",
        "improvement over raw",
        "coverage",
        "overhead",
        "gamma²",
        "QPU",
    ):
        assert term in [word for where, word in page.words if where == "dt"]
    assert page.text("title") == "My title"


def test_a_report_without_reference_does_not_speak_of_bias():
    found = comparison(known=False)
    page = Page(html_report(found))
    terms = [word for where, word in page.words if where == "dt"]
    assert "agreement" in terms
    assert not {"bias", "rms error", "coverage", "improvement over raw"} & set(terms)
    assert available(found) == ("values", "costs")
    assert "not known" in page.text("dd")


def test_one_repeat_has_no_spread_and_no_picture_of_coverage():
    found = comparison(repeats=1)
    page = Page(html_report(found))
    assert available(found) == ("values", "costs")
    assert "spread" not in [word for where, word in page.words if where == "dt"]
    assert "values of one repeat" in caption(found, "values").text


@pytest.mark.parametrize("known", [True, False])
def test_all_strategies_may_fail(known, tmp_path):
    names = ("raw", "zne")
    found = comparison(names, failed=names, known=known)
    assert available(found) == ()
    page = Page(html_report(found))
    assert "No recommendation." in page.text("strong")
    assert "cannot:" in page.text()
    assert not page.all("img")
    paths = write(found, tmp_path, html=True)
    assert sorted(p.name for p in paths) == ["comparison.json", "report.html", "report.md"]


def test_seeds_are_said_once_where_they_are_the_same_and_apart_where_not():
    same = markdown_report(comparison())
    assert same.count('"every strategy"') == 1
    apart = markdown_report(comparison(failed=("trex",)))
    assert '"raw": {"0": 1000' in apart
    assert '"trex": {"0": 0' in apart


def test_the_description_has_paragraphs():
    page = Page(html_report(comparison(), description="One\nline.\n\nTwo <i>lines</i>."))
    assert [w for where, w in page.words if where == "p"][:2] == ["One line.", "Two <i>lines</i>."]
    assert "One line.\n\nTwo \\<i>lines\\</i>." in markdown_report(
        comparison(), description="One\nline.\n\nTwo <i>lines</i>."
    )


def test_title_and_description_are_those_of_the_settings_unless_given():
    found = comparison(settings={"title": "Of\n settings", "description": "More."})
    assert markdown_report(found).startswith("# Of settings\n")
    assert "More." in markdown_report(found)
    given = markdown_report(found, title="Given", description="")
    assert given.startswith("# Given\n")
    assert "More." not in given
    assert "Of settings" not in given


# --- HTML -------------------------------------------------------------------------------------


def odd() -> Comparison:
    return comparison(
        ("raw", ODD, "zne"),
        ("Z0", ODD, "\x00\x1b\ud800"),
        device=ODD,
        reference_source=ODD,
        settings={"seed": ODD, "confidence": 0.95, "qpu_model": {"a\n": ODD}},
        environment={ODD: ODD},
        strategies=tuple(Strategy(n, {ODD: ODD}, ODD, ODD) for n in ("raw", ODD, "zne")),
    )


def test_nothing_from_outside_is_markup(usual):
    text = html_report(odd(), experiment_text=ODD, title=ODD, description=ODD)
    page = Page(text)
    assert {tag for tag, _ in page.found} <= {tag for tag, _ in Page(usual).found}
    assert not page.all("script")
    assert not page.all("b")
    known = {
        "alt",
        "src",
        "class",
        "href",
        "id",
        "scope",
        "tabindex",
        "role",
        "aria-label",
        "width",
        "height",
    }
    assert {name for _, attributes in page.found for name in attributes} <= known | {
        "lang",
        "charset",
        "http-equiv",
        "content",
        "name",
        "rel",
    }
    assert ODD in page.text("title")
    assert any(ODD in str(image["alt"]) for image in page.all("img"))
    text.encode("utf-8")


def test_the_page_needs_nothing_else(usual):
    page = Page(usual)
    (policy,) = [str(meta["content"]) for meta in page.all("meta") if meta.get("http-equiv")]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    for tag, attributes in page.found:
        assert not {name for name in attributes if name.startswith("on") or name == "style"}
        for name in ("src", "href"):
            assert str(attributes.get(name, "data:")).startswith("data:"), (tag, attributes)
    (style,) = [word for where, word in page.words if where == "style"]
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"\w+://", usual)


def test_pictures_are_svg_without_fonts_links_or_scripts(usual):
    images = Page(usual).all("img")
    assert len(images) == 3
    for image in images:
        kind, data = str(image["src"]).split(";base64,")
        assert kind == "data:image/svg+xml"
        root = ElementTree.fromstring(base64.b64decode(data))
        tags = {element.tag.rsplit("}", 1)[-1] for element in root.iter()}
        assert not tags & {"script", "text", "image", "a", "foreignObject"}
        links = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
        assert all(link.startswith("#") for link in links)
        assert float(str(image["width"])) <= 6.7 * 96 + 1
        assert len(str(image["alt"])) > 20


def test_the_page_is_accessible(usual):
    page = Page(usual)
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == 1
    assert len(page.all("main")) == 1
    levels = [int(tag[1]) for tag, _ in page.found if re.fullmatch("h[1-6]", tag)]
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels)), "no level is left out"
    heads = page.all("th")
    assert all(head["scope"] in ("col", "row") for head in heads)
    assert len(page.all("caption")) == len(page.all("table")) == 3
    regions = [a for a in page.all("div") if a.get("role") == "region"]
    assert len(regions) == 6
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in regions)


# --- Markdown ---------------------------------------------------------------------------------


def test_markdown_links_the_pictures_it_is_given():
    text = markdown_report(comparison(), pictures=["plots/costs.png", "my plots/values.png", "other.png"])
    links = re.findall(r"!\[[^\]]+\]\(([^)]*)\)", text)
    assert [unquote(link) for link in links] == ["my plots/values.png", "plots/costs.png"]
    assert "*Figure 2.*" in text
    assert "Figure 3" not in text


def test_markdown_tables_and_fences_hold_whatever_names_are():
    text = markdown_report(odd(), experiment_text="a = '''\n````\n'''")
    outside = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "`" not in re.sub(r"\\`", "", outside)
    assert "<" not in outside.replace("\\<", "")
    rows = [line for line in outside.splitlines() if line.startswith("|")]
    widths = {len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows}
    assert all(2 < width < 14 for width in widths)
    assert "`````toml\na = '''\n````\n'''\n`````" in text
    starts = [line for line in outside.splitlines() if re.match(r"#+ ", line)]
    assert starts[0] == "# Comparison of mitigation strategies"


# --- files ------------------------------------------------------------------------------------


def test_write_writes_everything_and_the_same_again(tmp_path):
    found = comparison(("raw", "zne"), ("Z0", "Z1"))
    paths = write(found, tmp_path / "new" / "folder", html=True, experiment_text="x = 1", title="T")
    names = [p.name for p in paths]
    assert names == ["comparison.json", "values.png", "costs.png", "coverage.png", "report.md", "report.html"]
    first = {p.name: p.read_bytes() for p in paths}
    assert first["report.md"].startswith(b"# T\n")
    assert b"](values.png)" in first["report.md"]
    assert json.loads(first["comparison.json"])["device"] == "tee5"
    assert all(first[f"{name}.png"].startswith(b"\x89PNG") for name in PICTURES)
    write(
        Comparison.load(paths[0]), tmp_path / "new" / "folder", html=True, experiment_text="x = 1", title="T"
    )
    assert {p.name: p.read_bytes() for p in paths} == first


def test_a_stale_picture_is_not_left_beside_a_new_report(tmp_path):
    small = ("raw", "zne"), ("Z0",)
    write(comparison(*small), tmp_path, html=True)
    assert (tmp_path / "coverage.png").exists()
    write(comparison(*small, repeats=1), tmp_path)
    assert not (tmp_path / "coverage.png").exists()
    assert not (tmp_path / "report.html").exists()


def test_without_matplotlib_there_are_reports_that_say_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    paths = write(comparison(), tmp_path, html=True)
    assert [p.name for p in paths] == ["comparison.json", "report.md", "report.html"]
    for path in paths[1:]:
        text = path.read_text(encoding="utf-8")
        assert "pip install" in text
        assert "Figure" not in text


# --- pictures of a comparison -----------------------------------------------------------------


def test_costs_are_shots_or_qpu_time_where_shots_are_the_same():
    assert draw(comparison(), "costs").axes[0].get_xlabel() == "shots of a repeat"
    found = comparison()
    same = [t.to_dict() | {"shots": 1000} for t in found.trials]
    equal = comparison(trials=tuple(Trial.from_dict(t) for t in same))
    assert draw(equal, "costs").axes[0].get_xlabel() == "estimated QPU time (s)"
    assert "QPU time" in caption(equal, "costs").alt


def test_pictures_show_means_and_take_what_the_plots_take():
    found = comparison()
    figure = draw(found, "values", width=3.4)
    assert figure.get_size_inches()[0] == 3.4
    lines = [line for line in figure.axes[0].lines if line.get_marker() in ("o", "s", "^")]
    drawn = np.concatenate([line.get_xdata() for line in lines])
    expected = [found.values_of(s.name).mean(axis=0) - found.reference for s in found.strategies]
    assert np.allclose(np.sort(drawn), np.sort(np.concatenate(expected)))


def test_pictures_that_cannot_be_drawn_are_refused_with_reason():
    with pytest.raises(InputError, match="there are values, costs, coverage"):
        draw(comparison(), "costz")
    with pytest.raises(InputError, match="needs a reference, error bars and two repeats"):
        draw(comparison(repeats=1), "coverage")


@pytest.mark.parametrize("name", PICTURES)
def test_captions_say_how_many_repeats(name):
    assert "4 repeats" in caption(comparison(), name).text
