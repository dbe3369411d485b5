"""What an experiment runs on: a simulated device, or an object that a module has."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import attrs
import numpy as np
from qiskit.primitives import BaseSamplerV2
from qiskit.providers import BackendV2

from ..errors import InputError, Problem
from ..execution.adapters import runner_for
from ..testing.devices import NoisyDevice
from ..testing.noise import require_aer
from .files import Experiment

_FIX: Final = (
    "name a backend, a sampler, a function of a list of PUBs, or a function that returns one of them"
)


def open_device(experiment: Experiment, done: int = 0) -> Any:
    """Return the backend, sampler or function that an experiment runs on.

    A device with a generator of its own, called `rng`, has another stream where a comparison goes on: it would repeat
    the shots of its first trials otherwise.

    Args:
        experiment: The experiment.
        done: How many trials are finished already.

    Raises:
        InputError: The object is not there, or is nothing that runs circuits.
        MissingDependencyError: A simulated device needs qiskit-aer.
    """
    device = experiment.device
    if device.object is None:
        require_aer()
        assert experiment.snapshot is not None  # files.load refuses anything else
        return NoisyDevice(experiment.snapshot, **attrs.asdict(experiment.noise), seed=experiment.head.seed)
    with _modules_beside(experiment.path):
        found = _attribute(device.object, experiment.path.resolve().parent)
        if _is_factory(found, device.arguments is not None):
            found = _made(found, dict(device.arguments or {}), device.object)
        elif device.arguments is not None:
            rule = f"are given, and {device.object} is no class or function"
            raise InputError.of([Problem("device.arguments", rule, "leave them out")])
    if isinstance(found, str) or not (isinstance(found, (BackendV2, BaseSamplerV2)) or callable(found)):
        rule = f"{device.object!r} is a {type(found).__name__}, which cannot run circuits"
        raise InputError.of([Problem("device.object", rule, _FIX)])
    runner_for(found)
    if done and isinstance(getattr(found, "rng", None), np.random.Generator):
        found.rng = np.random.default_rng([experiment.head.seed, done])
    return found


def module_file(experiment: Experiment) -> Path | None:
    """Return the file beside the experiment that its device is from, if it is from one."""
    if experiment.device.object is None:
        return None
    name = experiment.device.object.partition(":")[0].replace(".", "/")
    folder = experiment.path.resolve().parent
    return next((p for p in (folder / f"{name}.py", folder / name / "__init__.py") if p.is_file()), None)


@contextmanager
def _modules_beside(path: Path) -> Iterator[None]:
    """Let modules beside a file be imported, before all others."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)


def _attribute(where: str, folder: Path) -> Any:
    name, _, path = where.partition(":")
    try:
        found: Any = _module(name, folder)
    except ImportError as error:
        rule = f"module {name!r} cannot be imported: {error}"
        fix = f"put {name.partition('.')[0]}.py beside the file, or install it"
        raise InputError.of([Problem("device.object", rule, fix)]) from error
    except Exception as error:  # whatever the module does
        rule = f"module {name!r} fails when it is imported: {type(error).__name__}: {error}"
        raise InputError.of([Problem("device.object", rule, "mend it")]) from error
    for part in path.split("."):
        if not hasattr(found, part):
            rule = f"{where!r}: {getattr(found, '__name__', found)!r} has no {part!r}"
            raise InputError.of([Problem("device.object", rule)])
        found = getattr(found, part)
    return found


def _module(name: str, folder: Path) -> ModuleType:
    """Import a module; one beside the experiment, even if another of its name is imported already."""
    beside = folder / f"{name}.py"
    loaded = sys.modules.get(name)
    if (
        "." in name
        or not beside.is_file()
        or loaded is None
        or getattr(loaded, "__file__", "") == str(beside)
    ):
        return importlib.import_module(name)
    unique = f"{name}_{hashlib.sha256(str(beside).encode()).hexdigest()[:12]}"
    if unique not in sys.modules:
        spec = importlib.util.spec_from_file_location(unique, beside)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[unique] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[unique]
            raise
    return sys.modules[unique]


def _is_factory(found: Any, has_arguments: bool) -> bool:
    """Return whether an object makes what runs circuits, rather than being it."""
    if isinstance(found, (BackendV2, BaseSamplerV2)) or not callable(found):
        return False
    if inspect.isclass(found):
        return True
    if not (inspect.isroutine(found) or hasattr(found, "func")):  # an object that can be called is a sampler
        return False
    try:
        inspect.signature(found).bind()
    except TypeError:
        return has_arguments
    return True


def _made(factory: Any, arguments: dict[str, Any], where: str) -> Any:
    try:
        inspect.signature(factory).bind(**arguments)
    except TypeError as error:
        signature = inspect.signature(factory)
        raise InputError.of(
            [Problem("device.arguments", f"do not fit {where}{signature}: {error}")]
        ) from None
    except ValueError:  # no signature is known
        pass
    try:
        return factory(**arguments)
    except Exception as error:  # whatever the factory does
        rule = f"{where} fails: {type(error).__name__}: {error}"
        raise InputError.of([Problem("device.object", rule, "mend it, or its arguments")]) from error
