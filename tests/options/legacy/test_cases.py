"""Documented pairs of legacy and V2 options, read from a table; none is known to the translator by its id."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from quell.options import EstimatorOptions, SamplerOptions
from quell.options.legacy import Translation, TranslationError, translate

CASES = json.loads((Path(__file__).parent / "cases.json").read_text())
MODES = {
    "both": ("guide", "strict"),
    "guide": ("guide",),
    "strict": ("strict",),
    "expand_defaults": ("guide", "strict"),
    "recommended": ("guide", "strict"),
}
#: What V2 cannot do without changing the result is an error; it holds the rest of the translation.
REFUSED = {"removed": "meas_level", "ambiguous": ""}


def translated(case: dict[str, Any], mode: Any, source: str) -> Translation:
    try:
        return translate(
            case["legacy"],
            source=source,
            primitive=case["primitive"],
            mode=mode,
            expand_defaults=case["mode"] == "expand_defaults",
        )
    except TranslationError as error:
        refused = {problem.path for problem in error.problems}
        assert all(case["reasons"].get(key) in REFUSED for key in refused)
        return error.translation


@pytest.mark.parametrize(
    ("case", "mode"),
    [pytest.param(case, mode, id=f"{case['id']}-{mode}") for case in CASES for mode in MODES[case["mode"]]],
)
def test_case(case: dict[str, Any], mode: str) -> None:
    translation = translated(case, mode, case["source"])
    assert translation.v2 == case["v2"]
    assert translation.dropped == case.get("reasons", {})
    assert set(translation.dropped) == set(case["dropped"])
    assert translation.run == case.get("run", translation.run)
    for key in case["legacy"].keys() - {"class"}:
        assert any(re.match(rf"{re.escape(key)}\b", note) for note in translation.notes), key
    tree = {"estimator": EstimatorOptions, "sampler": SamplerOptions}[case["primitive"]]
    assert type(translation.options) is tree


#: Cases whose keys alone do not say where they are from.
UNTOLD = {"V1-44", "QI-06", "EX-04"}


@pytest.mark.parametrize("case", [pytest.param(c, id=c["id"]) for c in CASES if c["id"] not in UNTOLD])
def test_the_source_is_found_well_enough_to_give_the_same_options(case: dict[str, Any]) -> None:
    mode = "strict" if case["mode"] == "strict" else "guide"
    assert translated(case, mode, "auto").v2 == case["v2"]
