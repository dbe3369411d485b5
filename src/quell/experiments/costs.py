"""What an experiment would cost, strategy by strategy; nothing is run."""

from __future__ import annotations

from typing import Any

from attrs import asdict, frozen
from qiskit.transpiler import Target

from ..comparison import qpu
from ..comparison.budget import Spent, shots_within
from ..comparison.cells import Cells
from ..comparison.strategies import Chosen, chosen
from ..comparison.trials import Setting
from ..errors import QuellError
from ..execution.adapters import runner_for
from ..execution.backends import BackendRunner
from ..pipeline import cost
from ..primitives.estimator import Estimator
from ..primitives.inputs import estimator_pub
from .files import Experiment
from .run import Prepared


@frozen
class StrategyCost:
    """What one repeat of a strategy takes.

    Attributes:
        name: The strategy.
        circuits: Circuits, calibration included.
        shots: Their shots.
        calibration_shots: How many of these learn about the device.
        deferred_shots: About so many more, at least and at most, follow from what is learned; None for no limit.
        qpu_seconds: Estimate of how long a quantum computer takes, at least.
        failure: Why it cannot be run; empty if it can.
        note: What is changed so that it fits the budget; empty if nothing is.
        shares_data_with: The strategy whose shots it analyses in another way; empty if it has shots of its own.
    """

    name: str
    circuits: int = 0
    shots: int = 0
    calibration_shots: int = 0
    deferred_shots: tuple[int, int | None] = (0, 0)
    qpu_seconds: float = 0.0
    failure: str = ""
    note: str = ""
    shares_data_with: str = ""


@frozen(eq=False)
class Costs:
    """What an experiment takes.

    Attributes:
        strategies: One repeat of each strategy.
        repeats: How many repeats there are.
        model: The model behind the seconds, in words.
    """

    strategies: tuple[StrategyCost, ...]
    repeats: int
    model: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def costs(experiment: Experiment, prepared: Prepared) -> Costs:
    """Plan every strategy of an experiment as its comparison would, and return what that costs.

    Each is planned by itself, as if there were no others to share calibrations with.
    """
    head = experiment.head
    pubs = tuple(estimator_pub(pub, None) for pub in prepared.pubs)
    setting = Setting(prepared.mode, pubs, head.total_shots, head.shots, head.seed)
    runner = runner_for(prepared.mode)
    target = runner.target if isinstance(runner, BackendRunner) else None
    found = tuple(_cost(each, setting, target) for each in chosen(prepared.strategies))
    return Costs(found, head.repeats, str(qpu.model(target)["text"]))


def _cost(each: Chosen, setting: Setting, target: Target | None) -> StrategyCost:
    try:
        options, changed = setting.options(each)
        options.seed = setting.seed
        estimator = Estimator(setting.runs_on, options)

        def spent(shots: int) -> Spent:
            estimator.options.default_shots = shots
            return Spent(cost(estimator.plan(setting.pubs)))

        if setting.total_shots is not None:
            estimator.options.default_shots, _ = shots_within(setting.total_shots, spent)
        plan = estimator.plan(setting.pubs)
        found = cost(plan)
        seconds = qpu.qpu_seconds(plan, target)
    except QuellError as error:
        return StrategyCost(each.name, failure=str(error))
    return StrategyCost(
        each.name,
        found.circuits,
        found.shots,
        found.calibration_shots,
        found.deferred_shots,
        seconds,
        note=changed,
        shares_data_with=each.record.shares_data_with,
    )


def cells(found: Costs) -> Cells:
    """Return the costs as a table: one repeat of each strategy, and all together."""
    rows = [_row(each) for each in found.strategies]
    running = [each for each in found.strategies if not each.failure]
    notes = [
        f"{each.name} is refused: {' '.join(each.failure.split())}"
        for each in found.strategies
        if each.failure
    ]
    notes += [f"{each.name}: {each.note}." for each in running if each.note]
    notes += [
        f"{each.name} analyses the shots of {each.shares_data_with}."
        for each in running
        if each.shares_data_with
    ]
    if any(each.deferred_shots != (0, 0) for each in running):
        notes.append(
            "Where noise is learned first, how many shots follow depends on it; seconds count the fewest."
        )
    own = [each for each in running if not each.shares_data_with]
    if own:
        least = found.repeats * sum(each.shots + each.deferred_shots[0] for each in own)
        seconds = found.repeats * sum(each.qpu_seconds for each in own)
        repeats = f"{found.repeats} repeats of each" if found.repeats > 1 else "one repeat of each"
        notes.append(
            f"Together {least} shots and {seconds:.3g} s for {repeats}, less what calibrations are shared."
        )
    notes.append(found.model)
    headers = ("strategy", "circuits", "shots", "of these calibration", "QPU time (s)")
    return Cells("Cost of one repeat", headers, tuple(rows), notes=tuple(notes))


def _row(each: StrategyCost) -> tuple[str, ...]:
    if each.failure:
        return (each.name, "refused", "", "", "")
    low, high = each.deferred_shots
    shots = str(each.shots)
    if low == high:
        shots = str(each.shots + low)
    elif high is None:
        shots = f"from {each.shots + low}"
    else:
        shots = f"{each.shots + low} to {each.shots + high}"
    return each.name, str(each.circuits), shots, str(each.calibration_shots), f"{each.qpu_seconds:.3g}"
