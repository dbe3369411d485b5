"""The code blocks of the README and the docs run."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = [
    pytest.param(block, id=f"{path.relative_to(ROOT)}-{number}")
    for path in (
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        ROOT / "calibration" / "README.md",
    )
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```$", path.read_text(), re.S | re.M))
    if "import" in block
]


@pytest.mark.parametrize("block", BLOCKS)
def test_code_block_runs(block, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    exec(compile(block, "block", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out


def test_the_guides_have_code_that_runs():
    names = {block.id.rpartition("-")[0] for block in BLOCKS}
    assert {"README.md", "docs/pec.md", "docs/readout.md", "docs/zne.md", "calibration/README.md"} <= names


def test_the_readme_has_its_two_commands_first_the_main_job_then_the_tests():
    commands = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.S | re.M)
    assert len(commands) == 2
    assert all(len(command.strip().splitlines()) == 1 for command in commands)
    assert "quell demo" in commands[0]
    assert "pytest" in commands[1]
