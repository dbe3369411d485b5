"""What a strategy would do to PUBs, and what it would cost, without the plan: its stages, and shots by the shot.

A plan writes all folded circuits and all circuits that learn noise, which takes longer than anybody wants to wait for a
forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from attrs import evolve, field, frozen
from qiskit.primitives.containers.estimator_pub import EstimatorPub

from ..build import Shots, estimator_stages
from ..circuits.ensemble import Amplification, Ensemble
from ..circuits.observables import parse, settings_of
from ..circuits.template import template_of
from ..errors import InputError, Problem, UnsupportedError
from ..execution.adapters import runner_for
from ..kernels.draws import Key
from ..options import EstimatorOptions, finalize
from ..primitives.inputs import check_parameter_values, check_target, measuring, without_final_measurements
from ..stages.pec import Pec
from ..stages.trex import Trex
from ..stages.twirl import Twirl
from ..stages.zne import Zne

#: Shots that stages are made for: what they ask for is proportional.
PROBE: Final = 4096
_PROBED: Final = Shots(32, PROBE // 32)


@frozen(eq=False)
class Onion:
    """The stages that decide how far off the values of PUBs are; None for those that a strategy has not."""

    zne: Zne | None
    trex: Trex | None
    pec: Pec | None
    twirl: Twirl | None


@frozen(eq=False)
class Foreseen:
    """What a strategy would do.

    Attributes:
        onion: Its stages.
        learning: Shots that learn the noise of layers; they do not depend on those of the data.
        calibration: Shots of readout calibrations for each shot of a setting,
        readout: and those of them that each PUB relies on.
        data: Shots of each PUB for each shot of a setting, without sampling overhead.
    """

    onion: Onion
    learning: int
    calibration: float
    readout: tuple[float, ...]
    data: tuple[float, ...]


@frozen(eq=False)
class Asked:
    """PUBs made ready once for all strategies.

    Attributes:
        pubs: The PUBs.
        tasks: What goes into the onion.
        runs_on: The device.
        learned: What it takes to learn the layers of all, by stage.
    """

    pubs: Sequence[EstimatorPub]
    tasks: tuple[Ensemble, ...]
    runs_on: Any
    learned: dict[Any, int] = field(factory=dict)

    @classmethod
    def of(cls, pubs: Sequence[EstimatorPub], runs_on: Any) -> Asked:
        """Check PUBs.

        Raises:
            InputError: Listing everything that is wrong with them.
        """
        runner = runner_for(runs_on)
        problems: list[Problem] = []
        tasks = []
        for i, pub in enumerate(pubs):
            path, circuit = f"pubs[{i}]", pub.circuit
            values = pub.parameter_values.as_array(circuit.parameters)
            observables, found = parse(pub.observables, circuit.num_qubits, path)
            found += check_parameter_values(values, circuit, path)
            found += check_target(circuit, runner.checked_target, path)
            problems += found
            if found:
                continue
            measured, register = measuring(without_final_measurements(circuit), observables.support)
            sets = int(np.prod(pub.parameter_values.shape, dtype=int))
            tasks.append(
                Ensemble(
                    template=template_of(measured),
                    register=register,
                    measured=observables.support,
                    parameter_values=values.reshape(sets, circuit.num_parameters),
                    parameter_shape=pub.parameter_values.shape,
                    observables=observables,
                    shape=pub.shape,
                    shots=PROBE,
                    target=runner.target,
                    path=path,
                )
            )
        InputError.check(problems)
        return cls(pubs, tuple(tasks), runs_on)


def foreseen(options: EstimatorOptions, asked: Asked) -> Foreseen:
    """Return what a strategy would do.

    Raises:
        OptionsError: Options contradict each other, the circuits or the backend.
        UnsupportedError: A stage cannot be applied.
    """
    resolved = finalize(options, asked.pubs, asked.runs_on)
    stages = estimator_stages(resolved, _PROBED)
    onion = Onion(
        next((s for s in stages if isinstance(s, Zne)), None),
        next((s for s in stages if isinstance(s, Trex)), None),
        next((s for s in stages if isinstance(s, Pec)), None),
        next((s for s in stages if isinstance(s, Twirl)), None),
    )
    if onion.zne is not None:
        # Randomizations cost nothing here, and would be asked for by partly folded circuits only.
        UnsupportedError.check(
            p for task in asked.tasks for p in onion.zne.problems(task.template, task.target, task.path)
        )
    factors = 1 if onion.zne is None else len(onion.zne.noise_factors)
    settings = [
        len(settings_of(task.observables, task.parameter_shape, task.shape).parameter_sets)
        for task in asked.tasks
    ]
    readout = [() if onion.trex is None else tuple(onion.trex.requires(task)) for task in asked.tasks]
    merged = _merged([r for own in readout for r in own])
    calibration = sum(r.num_randomizations * r.shots for r in merged)
    return Foreseen(
        onion,
        _learning(onion, asked),
        calibration / PROBE,
        tuple(sum(r.num_randomizations * r.shots for r in own) / PROBE for own in readout),
        tuple(float(factors * number) for number in settings),
    )


def _learning(onion: Onion, asked: Asked) -> int:
    """Return the shots that learn the layers of all PUBs."""
    if onion.pec is None:
        return 0
    key = (onion.pec.learning, onion.pec.strategy, onion.pec.models is None, onion.zne is None)
    if key not in asked.learned:
        tasks = [_amplified(task, onion) for task in asked.tasks]
        needs = [need for task in tasks for need in onion.pec.needs(task)]
        merged = _merged(needs)
        UnsupportedError.check(
            onion.pec.too_many([need.layer for need in merged], tasks[0], "the run") if merged else ()
        )
        asked.learned[key] = sum(need.shots_in_all for need in merged)
    return asked.learned[key]


def _amplified(task: Ensemble, onion: Onion) -> Ensemble:
    """Return the task as the extrapolation hands it on, if it does."""
    if onion.zne is None or onion.zne.amplifier != "pea":
        return task
    factors = tuple(sorted(onion.zne.noise_factors))
    return evolve(
        task,
        amplification=Amplification(factors[0], factors, task.shots, Key.spawn(np.random.default_rng(0))),
    )


def _merged(needs: Sequence[Any]) -> list[Any]:
    """Return requirements with those that serve each other learned once, the widest first."""
    found: list[Any] = []
    for need in sorted(dict.fromkeys(needs), key=lambda r: -len(r.qubits)):
        for k, other in enumerate(found):
            both = other.merged(need)
            if both is not None:
                found[k] = both
                break
        else:
            found.append(need)
    return found
