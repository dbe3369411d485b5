"""Law: imports follow the arrows of docs/ARCHITECTURE, and nothing global is switched on or drawn from."""

import ast
import sys
from pathlib import Path

import pytest

import quell

ROOT = Path(quell.__file__).parent
#: A layer may import itself and what is in the rows before its own; layers of one row know nothing of each other.
ORDER = (
    ("_version", "errors"),
    ("options", "kernels"),
    ("circuits",),
    ("calibration",),
    ("stages",),
    ("plans",),
    ("pipeline",),
    ("build",),
    ("rounds", "plots", "extrapolators"),
    ("execution",),
    ("primitives",),
    ("comparison",),
    ("testing",),
    ("experiments",),
    ("cli",),
)
RANK = {layer: rank for rank, row in enumerate(ORDER) for layer in row}
NUMERIC_ONLY = {"kernels": {"numpy", "scipy", "attrs"}, "options": {"attrs", "attr", "cattrs"}}
HEAVY = {"mthree", "qiskit_aer", "matplotlib", "rich", "typer", "dask", "qiskit_ibm_runtime"}
#: What `numpy.random` offers that does not draw from the global state.
LOCAL_RANDOM = {"Generator", "default_rng", "Philox", "PCG64", "SeedSequence", "BitGenerator"}
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def layer_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path, nodes):
    """Absolute dotted names that import statements name, one for each alias."""
    package = ("quell", *path.relative_to(ROOT).parts[:-1])
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            for alias in node.names:
                yield node, (*base, alias.name)


def all_imports(path):
    return imported(path, ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def executed_on_import(tree):
    """Statements that run when the module is imported: function bodies and TYPE_CHECKING blocks do not."""
    pending = list(tree.body)
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            pending += node.orelse
            continue
        pending += [
            child for child in ast.iter_child_nodes(node) if isinstance(child, (ast.stmt, ast.ExceptHandler))
        ]


def violations(path):
    """Every import in a file that breaks an arrow, as text."""
    layer = layer_of(path)
    for node, name in all_imports(path):
        where = f"{path.relative_to(ROOT)}:{node.lineno}: {'.'.join(name)}"
        if name[0] != "quell":
            allowed = NUMERIC_ONLY.get(layer)
            if allowed is not None and name[0] not in allowed | set(sys.stdlib_module_names):
                yield f"{where}: {layer} may import {sorted(allowed)} only"
            continue
        other = name[1] if len(name) > 1 else ""
        if not {ROOT / other, ROOT / f"{other}.py"} & set(ROOT.iterdir()):
            yield f"{where}: imports from the package root"
        elif other not in RANK or layer not in RANK:
            yield f"{where}: a layer that ORDER does not know"
        elif other != layer and RANK[other] >= RANK[layer]:
            yield f"{where}: {layer} may not import {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_arrows(path):
    assert list(violations(path)) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_packages_are_imported_lazily(path):
    if layer_of(path) == "cli":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    heavy = [name for _, name in imported(path, executed_on_import(tree)) if name[0] in HEAVY]
    assert heavy == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_draws_from_global_random_state(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    aliases = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name in ("numpy", "random")
    }
    assert "random" not in aliases, "the standard library's random is global"
    for node, name in all_imports(path):
        assert name[0] != "random", f"line {node.lineno}: the standard library's random is global"
        if name[:2] == ("numpy", "random") and len(name) > 2:
            assert name[2] in LOCAL_RANDOM, f"line {node.lineno}: numpy.random.{name[2]} is global"
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Attribute)
            and node.value.attr == "random"
            and isinstance(node.value.value, ast.Name)
            and node.value.value.id in aliases
        ):
            assert node.attr in LOCAL_RANDOM, f"line {node.lineno}: numpy.random.{node.attr} is global"


def test_the_walk_sees_the_package():
    layers = {layer_of(path) for path in FILES}
    assert {"kernels", "options", "circuits", "stages", "execution", "primitives", "testing"} <= layers
    assert layers <= set(RANK)


BAD = {
    "import quell": "root",
    "from quell import Estimator": "root",
    "from .. import Estimator": "root",
    "from ..stages.twirl import Twirl": "kernels may not import stages",
    "from ..options import SamplerOptions": "kernels may not import options",
    "import qiskit": "only",
    "def f():\n    from qiskit import QuantumCircuit": "only",
    "from ..testing import devices": "kernels may not import testing",
}


@pytest.mark.parametrize("text", BAD)
def test_each_rule_is_really_enforced(text, tmp_path, monkeypatch):
    """The checker is tried on sources that break one rule each."""
    root = tmp_path / "quell"
    for layer in ("kernels", "options", "stages", "testing"):
        (root / layer).mkdir(parents=True)
    bad = root / "kernels" / "bad.py"
    bad.write_text(text)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", root)
    assert any(BAD[text] in found for found in violations(bad))
