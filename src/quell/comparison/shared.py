"""Calibrations that strategies share: learned once a repeat, before any of them runs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ..calibration.ledger import Ledger
from ..execution.modes import Session
from ..options import EstimatorOptions
from ..options.group import same
from ..primitives.calibrate import Calibrator
from ..primitives.estimator import Estimator
from .strategies import Chosen
from .trials import Setting, ahead, effort


def learned_once(setting: Setting, wanted: Sequence[Chosen], seed: int) -> Ledger:
    """Learn what at least two strategies need, and return the ledger that has it.

    With a budget, what one needs ahead of its data is learned too: only then its plan says what it spends.
    What strategies need is asked of their plans. Circuits that are run in different ways (decoupling, run options,
    simulators) are calibrated each in their own. What cannot be learned here is left to the strategies.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the trials that rely on it say the same
        return _learned(setting, wanted, seed)


def _learned(setting: Setting, wanted: Sequence[Chosen], seed: int) -> Ledger:
    groups: list[tuple[Any, list[tuple[EstimatorOptions, list[Any]]]]] = []
    for each in wanted:
        if each.record.shares_data_with:
            continue
        try:
            options, _ = setting.options(each)
            plan = Estimator(setting.runs_on, options).plan(setting.pubs)
        except Exception:  # its own trial says why
            continue
        needs = [e.requirement for e in plan.experiments]
        if setting.total_shots is not None:
            needs = [r for r in needs if ahead(r)]
        if needs:
            values = options.to_dict()
            run: list[Any] = [values[name] for name in ("execution", "simulator", "dynamical_decoupling")]
            if setting.total_shots is not None:  # what is learned with other shots is another calibration
                run.append({effort(r) for r in needs})
            members = next((members for other, members in groups if same(run, other)), None)
            if members is None:
                members = []
                groups.append((run, members))
            members.append((options, needs))
    found = Ledger()
    for _, members in groups:
        if len(members) > 1 or setting.total_shots is not None:
            wants = list(dict.fromkeys(r for _, needs in members for r in needs))
            # Sessions of their own: in one, what is learned with more shots takes the place of what has fewer.
            with suppress(Exception), Session(backend=setting.runs_on) as session:
                Calibrator(session, members[0][0]).learn(wants, seed).result()
                found.take(session.ledger)
    return found  # what could not be learned each learns for itself, and says what went wrong
