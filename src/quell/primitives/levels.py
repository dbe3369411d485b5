"""Keywords of ``run`` that say in which form measurements are returned: bits, or kerneled points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..options import SamplerOptions
from ..options.legacy import translate

#: They are options of ours on every backend, even where it lists them.
KEYWORDS: Final = ("meas_level", "meas_return")


def set_meas_type(options: SamplerOptions, keywords: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Set the measurement type that keywords of ``run`` ask for.

    Args:
        options: They are changed. What they say beside bits stands where the keywords do not say.
        keywords: Of ``run``; None is "not given".
        defaults: What the keywords are where neither they nor the options say; points are averaged where these do
            not say either, as is usual.

    Raises:
        OptionsError: The values are none of theirs, or ask for raw traces.
    """
    meas_type = options.execution.meas_type
    if meas_type != "classified":
        defaults = {"meas_level": 1, "meas_return": "avg" if meas_type == "avg_kerneled" else "single"}
    given = {**_said(defaults), **_said(keywords)}
    if given:
        translation = translate(given, source="AerSimulator.run", primitive="sampler")
        options.update(translation.carried())


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in KEYWORDS if values.get(name) is not None}
