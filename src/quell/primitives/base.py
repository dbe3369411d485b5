"""What both primitives are made of: a mode, options that are copied on entry, and jobs that run plans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from qiskit.primitives import PrimitiveResult

from .. import pipeline
from ..circuits.samples import Samples
from ..execution.adapters import Progress, Runner, runner_for
from ..execution.jobs import Job
from ..options import EstimatorOptions, ResolvedEstimator, ResolvedSampler, SamplerOptions

Options = TypeVar("Options", EstimatorOptions, SamplerOptions)


class Primitive(Generic[Options]):
    """A mode and its options.

    Args:
        mode: A `BackendV2`, a `BaseSamplerV2`, or a function that takes a list of `SamplerPub` and returns one
            result per PUB.
        options: Options or a dict of them; copied.
        progress: Called with the number of circuits done and their total.

    Raises:
        InputError: `mode` cannot run circuits.
        OptionsError: Options are unknown or out of range.
    """

    _options_class: ClassVar[Any]

    def __init__(
        self,
        mode: Any,
        options: Options | Mapping[str, Any] | None = None,
        *,
        progress: Progress | None = None,
    ) -> None:
        self._mode = mode
        self._options: Options = self._options_class.of(options)
        self._progress = progress
        runner_for(mode)

    @property
    def options(self) -> Options:
        """The options; assignments are checked at once and take effect at the next run."""
        return self._options

    @options.setter
    def options(self, value: Options | Mapping[str, Any]) -> None:
        self._options = self._options_class.of(value)

    @property
    def mode(self) -> Any:
        """What the circuits run on."""
        return self._mode

    def _submit(
        self,
        plan: pipeline.Plan,
        runner: Runner,
        resolved: ResolvedEstimator | ResolvedSampler,
        results: Callable[[list[Any]], list[Any]],
        metadata: Mapping[str, Any],
    ) -> Job:
        """Run a plan; `results` turns what its tasks combine to into PUB results."""
        total = pipeline.cost(plan)
        twirling = resolved.twirling
        common = {
            "version": 2,
            "backend": runner.name,
            "twirling": {
                "enable_gates": twirling.gates,
                "enable_measure": twirling.measure,
                "num_randomizations": twirling.num_randomizations,
                "shots_per_randomization": twirling.shots_per_randomization,
                "strategy": twirling.strategy,
                "group": twirling.group,
            },
            "seed": resolved.seed,
            "circuits": total.circuits,
            "shots": total.shots,
            "calibration_shots": total.calibration_shots,
        }

        def finish(samples: list[Samples]) -> PrimitiveResult[Any]:
            return PrimitiveResult(results(pipeline.combine(plan, samples)), metadata={**common, **metadata})

        job = Job(plan, runner, finish, seed=resolved.seed, progress=self._progress)
        job.submit()
        return job


def is_binding(runner: Runner) -> bool:
    """Whether the target's list of gates is all the device runs; simulators often run more."""
    return not getattr(runner, "takes_binds", False)
