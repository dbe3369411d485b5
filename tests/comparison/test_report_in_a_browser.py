"""The HTML report in a real browser: it shows its pictures, and asks nobody for anything.

Runs where the environment variable QUELL_BROWSER names a Chromium, or one is on the path. The browser is used headless
by its command line alone: what it draws is asked by a script that is added to a copy of the page, whose own policy
allows that one script and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quell.comparison.comparison import Comparison
from quell.comparison.records import Strategy, Trial
from quell.comparison.report import html_report

pytest.importorskip("matplotlib")

BROWSER = os.environ.get("QUELL_BROWSER") or next(
    filter(
        None,
        map(
            shutil.which,
            (
                "chromium",
                "chromium-browser",
                "google-chrome",
                "google-chrome-stable",
                "chromium-headless-shell",
            ),
        ),
    ),
    None,
)
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path, and QUELL_BROWSER is not set"),
    pytest.mark.xdist_group("browser"),
]

PROBE = """
const found = {violations: [], errors: []};
document.addEventListener("securitypolicyviolation",
  e => found.violations.push(e.violatedDirective + " " + e.blockedURI + " " + e.lineNumber));
window.addEventListener("error", e => found.errors.push(String(e.message || e.target.outerHTML).slice(0, 200)), true);
// Violations are told a little after what they are about.
window.addEventListener("load", () => setTimeout(() => {
  found.images = [...document.querySelectorAll("img, svg, object, canvas, iframe, video")].map(e => {
    const box = e.getBoundingClientRect();
    return {kind: e.localName, alt: e.alt || "", complete: e.complete, natural: [e.naturalWidth, e.naturalHeight],
      box: [box.width, box.height]};
  });
  found.resources = performance.getEntriesByType("resource").map(e => e.name.slice(0, 200));
  found.width = [document.documentElement.scrollWidth, document.documentElement.clientWidth];
  found.styled = getComputedStyle(document.querySelector("table")).borderCollapse;
  found.headings = [...document.querySelectorAll("h1, h2, h3")].map(e => e.textContent);
  const pre = document.createElement("pre");
  pre.id = "probe";
  pre.textContent = JSON.stringify(found);
  document.body.append(pre);
}, 300));
"""

STRATEGIES = ("raw", "trex", "zne <img src=x onerror=alert(1)>", "pec & co")


def comparison() -> Comparison:
    """Return four strategies, the last of which failed, in four repeats of three values."""
    generator = np.random.default_rng(3)
    reference = np.array([0.5, -0.25, 0.8])
    trials = [
        Trial(
            name,
            repeat,
            reference * (0.8 + 0.08 * k) + 0.01 * generator.normal(size=3),
            np.full(3, 0.01),
            circuits=10,
            shots=10_000 * (k + 1),
            qpu_seconds=3.0,
        )
        for k, name in enumerate(STRATEGIES[:3])
        for repeat in range(4)
    ]
    trials += [Trial(STRATEGIES[3], repeat, failure="nothing <b>to</b> learn") for repeat in range(4)]
    return Comparison(
        tuple(Strategy(name, {"resilience_level": 0}) for name in STRATEGIES),
        ("Z0", "Z1 Z2", "<script>alert(1)</script>"),
        reference,
        "exact",
        tuple(trials),
        {"repeats": 4, "seed": 1, "confidence": 0.95},
        "a device",
        {"python": "3"},
    )


def run(page: Path, *flags: str) -> tuple[str, list[str], list[str]]:
    """Open a page; return what the browser printed, what is in its console, and what it asked the net for."""
    assert BROWSER is not None
    log = page.with_suffix(".netlog.json")
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr",
        f"--user-data-dir={page.parent / 'profile'}",
        f"--log-net-log={log}",
        "--virtual-time-budget=5000",
        *flags,
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in done.stderr.splitlines() if re.search(r":CONSOLE[:(]", line)]
    asked = re.findall(r'"url":"((?:https?|wss?|ftp)://[^"]*)"', log.read_text(errors="replace"))
    return done.stdout, console, asked


def probed(page: Path, html: str, *flags: str) -> tuple[dict[str, Any], list[str], list[str]]:
    """Return what the probe found in a page, what is in the console, and what was asked from the net."""
    digest = base64.b64encode(hashlib.sha256(PROBE.encode()).digest()).decode()
    with_probe = html.replace("default-src 'none';", f"default-src 'none'; script-src 'sha256-{digest}';", 1)
    with_probe = with_probe.replace("<title>", f"<script>{PROBE}</script><title>", 1)
    assert with_probe.count(digest) == 1
    page.write_text(with_probe, encoding="utf-8")
    text, console, asked = run(page, "--dump-dom", *flags)
    (found,) = re.findall(r'<pre id="probe">(.*?)</pre>', text, re.DOTALL)
    return json.loads(unescape(found)), console, asked


def faults(found: dict[str, Any], console: Sequence[str], asked: Sequence[str]) -> list[str]:
    """Return all that is wrong with a page."""
    wrong = [f"console: {line}" for line in console]
    wrong += [f"asked for {url}" for url in asked]
    wrong += [f"loaded {name}" for name in found["resources"] if not name.startswith("data:")]
    wrong += [f"policy: {text}" for text in found["violations"]]
    wrong += [f"error: {text}" for text in found["errors"]]
    for image in found["images"]:
        if image["kind"] == "img" and not (image["complete"] and min(image["natural"]) > 0 and image["alt"]):
            wrong.append(f"no picture: {image}")
        if min(image["box"]) < 50:
            wrong.append(f"too small: {image}")
    if found["width"][0] > found["width"][1]:
        wrong.append(f"wider than the window: {found['width']}")
    if found["styled"] != "collapse":
        wrong.append("its style is not applied")
    return wrong


@pytest.fixture(scope="module")
def html() -> str:
    return html_report(
        comparison(), experiment_text='title = "</code><script>alert(1)</script>"', title="A <b>title</b>"
    )


@pytest.mark.parametrize("size", ["1100,900", "400,800"], ids=["desktop", "phone"])
def test_the_report_shows_its_pictures_without_errors_and_without_the_net(html, size, tmp_path):
    found, console, asked = probed(tmp_path / "report.html", html, f"--window-size={size}")
    assert faults(found, console, asked) == []
    assert [image["kind"] for image in found["images"]] == ["img"] * 3
    assert "A <b>title</b>" in found["headings"]
    assert "Options of zne <img src=x onerror=alert(1)>" in found["headings"]


@pytest.mark.parametrize(("wanted", "kind"), [("--screenshot", "png"), ("--print-to-pdf", "pdf")])
def test_the_page_as_it_is_can_be_drawn_and_printed(html, wanted, kind, tmp_path):
    page = tmp_path / "report.html"
    page.write_text(html, encoding="utf-8")
    target = tmp_path / f"drawn.{kind}"
    _, console, asked = run(page, f"{wanted}={target}", "--window-size=1000,1400")
    assert console == []
    assert asked == []
    assert target.read_bytes()[:4] in (b"\x89PNG", b"%PDF")
    assert target.stat().st_size > 20_000


SABOTAGE = {
    "a broken picture": (
        '<img src="data:image/svg+xml;base64,',
        '<img src="data:image/svg+xml;base64,AAAA',
        "no picture",
    ),
    "a picture from the net": (
        "</main>",
        '<img src="https://example.org/x.png" alt="x"></main>',
        "policy: img-src",
    ),
    "a script": ("</main>", "<script>alert(1)</script></main>", "console: "),
    "an attribute with a script": (
        "</main>",
        '<img src="data:,x" alt="x" onerror="alert(1)"></main>',
        "console: ",
    ),
    "a style from the net": (
        "</head>",
        '<link rel="stylesheet" href="https://example.org/x.css"></head>',
        "policy: style-src",
    ),
    "no policy, and the net": ("default-src 'none';", "", "asked for https://example.org/x.png"),
    "a wide table": ('<div class="scroll"', "<div", "wider than the window"),
}


@pytest.mark.parametrize("fault", SABOTAGE)
def test_the_checks_see_what_is_wrong(html, fault, tmp_path):
    old, new, expected = SABOTAGE[fault]
    assert old in html
    broken = html.replace(old, new)
    if fault.startswith("no policy"):
        broken = re.sub(
            r'<meta http-equiv="Content-Security-Policy"[^>]*>', "<!-- default-src 'none'; -->", html
        )
        broken = broken.replace("</main>", '<img src="https://example.org/x.png" alt="x"></main>')
    found = faults(*probed(tmp_path / "report.html", broken, "--window-size=400,800"))
    assert any(text.startswith(expected) for text in found), found
