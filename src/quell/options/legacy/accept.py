"""Take options in any spelling: those of today as they are, older ones with one warning."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, TypeVar

from ...errors import OptionsError, Problem
from ..tree import EstimatorOptions, SamplerOptions
from . import engine
from .rows import Primitive

Options = TypeVar("Options", EstimatorOptions, SamplerOptions)


class LegacyOptionsWarning(UserWarning):
    """Options from before V2 were translated; the message shows how to write them now."""


def accepted(
    values: Mapping[str, Any] | Options | None,
    tree: type[Options],
    *,
    source: str = "auto",
    base: Options | None = None,
    stacklevel: int = 3,
) -> Options:
    """Return options from a dict that may hold legacy keys.

    Args:
        values: Options of today, legacy ones, or both.
        tree: The class of the options that are returned.
        source: Where legacy keys are from, as in `translate`.
        base: Options that `values` are put on; copied.
        stacklevel: Whose line the warning shows, as in `warnings.warn`.

    Raises:
        OptionsError: A name is unknown, or a value breaks its rule.

    Warns:
        LegacyOptionsWarning: Once, if there were legacy keys.
    """
    options = tree(base)
    try:
        options.update(values)
        return options
    except OptionsError as error:
        if not isinstance(values, Mapping) or not any(p.rule == "unknown option" for p in error.problems):
            raise
        refused = error
    primitive: Primitive = "sampler" if issubclass(tree, SamplerOptions) else "estimator"
    found = source == "auto"
    translation = engine.run(values, source, primitive, today="first" if found else "fallback")
    unknown = [entry for entry in translation.entries if entry.outcome.reason == "unknown"]
    if unknown and found:
        raise refused
    OptionsError.check(Problem(entry.key, "unknown keyword", entry.outcome.text) for entry in unknown)
    changed = translation.carried()  # also what is a default of today: it may replace something in `base`
    options.update(changed)
    old = [str(e) for e in translation.entries if e.outcome.reason or e.outcome.paths != {e.key}]
    message = "options from before V2 were translated:\n" + "\n".join(f"  {line}" for line in old)
    warnings.warn(
        f"{message}\nWrite them as options={changed!r}", LegacyOptionsWarning, stacklevel=stacklevel
    )
    return options
