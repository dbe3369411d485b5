"""The code blocks of the README and the docs run."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = [
    pytest.param(block, id=f"{path.name}-{number}")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```$", path.read_text(), re.S | re.M))
    if "import" in block
]


@pytest.mark.parametrize("block", BLOCKS)
def test_code_block_runs(block, capsys):
    exec(compile(block, "block", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out


def test_the_readme_has_its_two_commands_first_the_main_job_then_the_tests():
    commands = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.S | re.M)
    assert len(commands) == 2
    assert all(len(command.strip().splitlines()) == 1 for command in commands)
    assert "quell demo" in commands[0]
    assert "pytest" in commands[1]
