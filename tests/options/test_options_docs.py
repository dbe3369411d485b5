"""The options page lists every option with its default and meaning."""

from pathlib import Path

import attrs
import pytest

from quell import EstimatorOptions, SamplerOptions

PAGE = (Path(__file__).parents[2] / "docs" / "OPTIONS.md").read_text()


def rows(kind, prefix=""):
    for option in attrs.fields(kind):
        if "group" in option.metadata:
            yield from rows(option.metadata["group"], f"{prefix}{option.name}.")
        else:
            default = (
                option.default.factory() if isinstance(option.default, attrs.Factory) else option.default
            )
            yield f"| `{prefix}{option.name}` | `{default!r}` | {option.metadata['doc']} |"


@pytest.mark.parametrize("kind", [EstimatorOptions, SamplerOptions])
def test_every_option_is_on_the_page(kind):
    section = PAGE.split(f"## `{kind.__name__}`")[1].split("\n## ")[0]
    listed = [line for line in section.splitlines() if line.startswith("| `")]
    assert listed == list(rows(kind))
