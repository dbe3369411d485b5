"""Calibrations that strategies share: learned once a repeat, before any of them runs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from ..calibration.ledger import Ledger
from ..execution.modes import Session
from ..options.group import same
from ..primitives.calibrate import Calibrator
from ..primitives.estimator import Estimator
from .strategies import Chosen
from .trials import Setting, ahead


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
    groups: list[tuple[Any, list[tuple[Chosen, list[Any]]]]] = []
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
            run = [values[name] for name in ("execution", "simulator", "dynamical_decoupling")]
            members = next((members for other, members in groups if same(run, other)), None)
            if members is None:
                members = []
                groups.append((run, members))
            members.append((each, needs))
    session = Session(backend=setting.runs_on)
    for _, members in groups:
        if len(members) > 1 or setting.total_shots is not None:
            wants = list(dict.fromkeys(r for _, needs in members for r in needs))
            try:
                Calibrator(session, members[0][0].options).learn(wants, seed).result()
            except Exception:  # each learns for itself, and says what went wrong
                continue
    session.close()
    return session.ledger
