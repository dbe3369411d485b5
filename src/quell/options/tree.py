"""The options trees of the estimator and the sampler: the groups put together, and ways in and out."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from ..errors import Problem
from .checks import dictionary, integer, level, positive
from .group import Entries, Group, group, option, options
from .groups import (
    CalibrationOptions,
    DynamicalDecouplingOptions,
    EnvironmentOptions,
    EstimatorExecutionOptions,
    PostSelectionOptions,
    ResilienceOptions,
    SamplerCalibrationOptions,
    SamplerExecutionOptions,
    SamplerResilienceOptions,
    SimulatorOptions,
    TwirlingOptions,
)

if TYPE_CHECKING:
    from .effective import Description


@options
class Tree(Group):
    """What the two trees have in common besides options: files, dicts of the runtime, Python, description."""

    def _check(self, values: Any, entries: Entries, problems: list[Problem], merge: bool) -> None:
        if isinstance(values, Mapping) and values.get("_VERSION") == 2:
            # What `dataclasses.asdict` makes of the server's options has the version among them.
            values = {name: value for name, value in values.items() if name != "_VERSION"}
        super()._check(values, entries, problems, merge)

    def describe(self) -> Description:
        """Return every option's effective value and where it came from; printing it shows a table."""
        from .effective import Description, effective

        assert isinstance(self, (EstimatorOptions, SamplerOptions))
        return Description(tuple(effective(self).values()))

    def to_runtime(
        self, tree: Literal["client", "server"] = "client", *, extras: Literal["refuse", "drop"] = "refuse"
    ) -> dict[str, Any]:
        """Return what differs from the defaults as a dict that the vendor's V2 options classes accept.

        Args:
            tree: The client-side options, or those of the primitives that run on the server.
            extras: What to do with options that `tree` does not have: an error, or leaving them out.

        Raises:
            OptionsError: Listing every option that `tree` cannot express.
        """
        from .runtime import to_runtime

        assert isinstance(self, (EstimatorOptions, SamplerOptions))
        return to_runtime(self, tree, extras)

    def to_python(self) -> str:
        """Return Python statements that make these options, one for each that differs from its default."""
        from .files import to_python

        return to_python(self)

    def to_json(self) -> str:
        """Return what differs from the defaults as JSON.

        Raises:
            OptionsError: Listing the options whose objects cannot be written.
        """
        from .files import to_text

        return to_text(self, "json")

    def to_toml(self) -> str:
        """Return what differs from the defaults as TOML; the string "none" stands for None.

        Raises:
            OptionsError: Listing the options whose objects cannot be written.
        """
        from .files import to_text

        return to_text(self, "toml")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return options from JSON; what it does not name has its default.

        Raises:
            OptionsError: It is not JSON, or lists every name that is unknown and every bad value.
        """
        from .files import from_text

        return from_text(cls, text, "json")

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Return options from TOML; what it does not name has its default, and "none" stands for None.

        Raises:
            OptionsError: It is not TOML, or lists every name that is unknown and every bad value.
        """
        from .files import from_text

        return from_text(cls, text, "toml")

    def save(self, path: str | PathLike[str]) -> Path:
        """Write what differs from the defaults to a file ending in .json or .toml; return its path."""
        from .files import save

        return save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Return options from a file ending in .json or .toml."""
        from .files import load

        return load(cls, path)


@options
class EstimatorOptions(Tree):
    """Options of the estimator."""

    default_precision: float = option(
        0.015625, positive(), "Target standard error where run() and PUB give none; 4096 shots."
    )
    default_shots: int | None = option(
        None, integer(1, None), "Shots where run() and PUB give no precision; wins over default_precision."
    )
    resilience_level: int = option(
        1,
        level,
        "Base set of mitigation: 0 none, 1 readout, 2 readout, gate twirling and ZNE. Options that are set "
        "win over it.",
    )
    seed: int | None = option(
        None, integer(0, None), "Seed of all randomisation; None: a new one per run (ours).", home="ours"
    )
    seed_estimator: int | None = option(
        None, integer(0, None), "The server's name for seed (server).", home="server"
    )
    max_execution_time: int | None = option(
        None,
        integer(1, None),
        "Seconds after which a job stops before its next run, keeping what was measured; None: never.",
    )
    dynamical_decoupling: DynamicalDecouplingOptions = group(DynamicalDecouplingOptions)
    twirling: TwirlingOptions = group(TwirlingOptions)
    resilience: ResilienceOptions = group(ResilienceOptions)
    post_selection: PostSelectionOptions = group(PostSelectionOptions)
    calibration: CalibrationOptions = group(CalibrationOptions)
    execution: EstimatorExecutionOptions = group(EstimatorExecutionOptions)
    environment: EnvironmentOptions = group(EnvironmentOptions)
    simulator: SimulatorOptions = group(SimulatorOptions)
    experimental: dict[str, Any] = option({}, dictionary, "Options the vendor does not promise to keep.")


@options
class SamplerOptions(Tree):
    """Options of the sampler."""

    default_shots: int | None = option(
        4096, integer(1, None), "Shots where run() and PUB give none; None: 4096."
    )
    seed: int | None = option(
        None, integer(0, None), "Seed of all randomisation; None: a new one per run (ours).", home="ours"
    )
    max_execution_time: int | None = option(
        None,
        integer(1, None),
        "Seconds after which a job stops before its next run, keeping what was measured; None: never.",
    )
    dynamical_decoupling: DynamicalDecouplingOptions = group(DynamicalDecouplingOptions)
    twirling: TwirlingOptions = group(TwirlingOptions)
    resilience: SamplerResilienceOptions = group(SamplerResilienceOptions)
    post_selection: PostSelectionOptions = group(PostSelectionOptions)
    calibration: SamplerCalibrationOptions = group(SamplerCalibrationOptions)
    execution: SamplerExecutionOptions = group(SamplerExecutionOptions)
    environment: EnvironmentOptions = group(EnvironmentOptions)
    simulator: SimulatorOptions = group(SimulatorOptions)
    experimental: dict[str, Any] = option({}, dictionary, "Options the vendor does not promise to keep.")
