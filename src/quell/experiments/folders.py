"""The folder of a comparison's results: what was begun there, what goes on, and who is at work in it."""

from __future__ import annotations

import hashlib
import json
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from .._version import __version__
from ..errors import InputError, Problem
from .devices import module_file
from .files import Experiment

COPY: Final = "experiment.toml"
INPUTS: Final = "inputs.json"
#: What the comparison itself keeps there.
JOURNAL: Final = "comparison.journal.json"
TRIALS: Final = "trials"
#: What a comparison leaves in its folder besides these; `--fresh` removes nothing else.
RESULTS: Final = ("comparison.json", "report.md", "report.html", "values.png", "costs.png", "coverage.png")
_LOCK: Final = ".lock"
#: Keys that do not change what is run.
_WORDS: Final = ("title", "description")
_SHOWN: Final = 5


def default_folder(path: Path) -> Path:
    """Return where the results of an experiment go: beside its file."""
    return path.with_name(f"{path.stem}-results")


def finished(folder: Path) -> int:
    """Return how many trials a folder has."""
    return len(list((folder / TRIALS).glob("*.json")))


@contextmanager
def opened(folder: Path, experiment: Experiment, *, fresh: bool = False) -> Iterator[None]:
    """Make or open the folder of an experiment's results, and keep others out while it is in use.

    Args:
        folder: The folder.
        experiment: What is run; kept in the folder, so that nothing else goes on in it.
        fresh: Remove what was found so far.

    Raises:
        InputError: The folder holds something else, or another process is at work in it.
    """
    with ExitStack() as stack:
        try:
            if folder.is_dir() and not (folder / COPY).is_file() and _foreign(folder):
                rule = "is not empty, and holds no comparison"
                raise InputError.of([Problem(str(folder), rule, "give another folder by --out")])
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_locked(folder))
            if fresh:
                _clear(folder)
            _check_same(folder, experiment)
            _write(folder / INPUTS, json.dumps(_inputs(experiment), indent=1) + "\n")
            _write(folder / COPY, experiment.text)
        except OSError as error:
            rule = f"cannot be used: {error.strerror or error}"
            raise InputError.of([Problem(str(folder), rule, "give another folder by --out")]) from error
        yield  # outside of the try: an OSError of the device is not one of the folder


def _foreign(folder: Path) -> bool:
    """Return whether a folder has something that a comparison does not leave before it really begins."""
    own = {_LOCK, INPUTS, _partial(folder / INPUTS).name, _partial(folder / COPY).name}
    return any(path.name not in own for path in folder.iterdir())


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes out; the system lets go of the lock when a process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows: two at once would do the same work twice, no more
        yield
        return
    with (folder / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            rule = "another process is at work in it"
            raise InputError.of([Problem(str(folder), rule, "wait for it, or give another --out")]) from None
        yield


def _clear(folder: Path) -> None:
    if (folder / TRIALS).is_dir():
        shutil.rmtree(folder / TRIALS)
    for name in (*RESULTS, JOURNAL, COPY, INPUTS):
        (folder / name).unlink(missing_ok=True)


def _check_same(folder: Path, experiment: Experiment) -> None:
    """Refuse to go on with other inputs than those that were begun with.

    Raises:
        InputError: Naming what differs.
    """
    if not (folder / COPY).is_file():
        return
    try:
        before = tomllib.loads((folder / COPY).read_text(encoding="utf-8"))
        inputs = json.loads((folder / INPUTS).read_text(encoding="utf-8"))
        known = {str(name): str(value) for name, value in inputs["files"].items()}
        version = str(inputs["quell"])
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        rule = f"{COPY} or {INPUTS} in it cannot be read"
        raise InputError.of([Problem(str(folder), rule, "start anew with --fresh")]) from None
    found = differences(_plain(before), _plain(experiment.data))
    found += [
        f"{name} was changed"
        for name, digest in _inputs(experiment)["files"].items()
        if known.get(name, digest) != digest
    ]
    if version != __version__:
        found.append(f"quell was {version}, and is {__version__}")
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        rule = f"was begun with another experiment: {'; '.join(found[:_SHOWN])}{more}"
        fix = "start anew with --fresh, or give another folder by --out"
        raise InputError.of([Problem(str(folder), rule, fix)])


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in _WORDS}


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """Return in words where two nested dicts and lists differ."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = dict.fromkeys([*before, *after])
        return [
            text
            for name in names
            for text in differences(
                before.get(name, _MISSING), after.get(name, _MISSING), f"{path}.{name}" if path else name
            )
        ]
    tables = isinstance(before, list) and isinstance(after, list) and len(before) == len(after)
    if tables and any(isinstance(item, (Mapping, list)) for item in (*before, *after)):
        pairs = enumerate(zip(before, after, strict=True))
        return [text for i, (one, other) in pairs for text in differences(one, other, f"{path}[{i}]")]
    if before is _MISSING:
        return [f"{path} is new"]
    if after is _MISSING:
        return [f"{path} is gone"]
    same = type(before) is type(after) and before == after
    return [] if same else [f"{path} was {before!r:.60}, and is {after!r:.60}"]


_MISSING: Final = object()


def _inputs(experiment: Experiment) -> dict[str, Any]:
    """Return what the experiment depends on besides its text: digests of files, and the version of quell."""
    files = {name: hashlib.sha256(content).hexdigest() for name, content in experiment.files.items()}
    module = module_file(experiment)
    if module is not None:
        files[module.name] = hashlib.sha256(module.read_bytes()).hexdigest()
    return {"quell": __version__, "files": files}


def _write(path: Path, text: str) -> None:
    """Write a file so that it is never half there."""
    partial = _partial(path)
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")
