"""Ensembles: what goes down the upper floor of the onion."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from qiskit.transpiler import Target

from ..kernels.draws import Key
from .observables import Observables
from .program import Draw
from .template import Template


@frozen
class Amplification:
    """One of the noise factors that a circuit is run with, its learned noise being brought to them.

    Attributes:
        factor: This one.
        factors: All of them.
        shots: Shots of each, before they are shared out.
        key: What all of them draw errors from, so that those of one are nearly among those of a larger one.
    """

    factor: float
    factors: tuple[float, ...]
    shots: int
    key: Key


@frozen(eq=False)
class Ensemble:
    """One PUB on its way down: a template, the randomness put on it so far, and what to estimate.

    Attributes:
        template: The circuit with its measurements.
        register: Name of the classical register that quell measures into.
        measured: The qubits measured into it, in order of its bits, int64 ``(n,)``.
        parameter_values: float64 ``(num_sets, num_parameters)``.
        parameter_shape: Shape of the PUB's parameter values; its product is num_sets.
        observables: What is measured.
        shape: Shape of the PUB.
        shots: Shots of each member.
        target: What the device can do, None if unknown.
        draws: Outermost first.
        num_randomizations: Length of the randomization axis, None while there is no such axis.
        share: Shots relative to what stages further in would take on their own.
        blocks: Into how many parts the shots are cut to see how terms vary together, where there is no
            randomization axis to tell; 1 for none.
        amplification: What learned noise is brought to; None to leave it as other options say.
        path: What messages call it.
    """

    template: Template
    register: str
    measured: NDArray[np.int64]
    parameter_values: NDArray[np.float64]
    parameter_shape: tuple[int, ...]
    observables: Observables
    shape: tuple[int, ...]
    shots: int
    target: Target | None = None
    draws: tuple[Draw, ...] = ()
    num_randomizations: int | None = None
    share: float = 1.0
    blocks: int = 1
    amplification: Amplification | None = None
    path: str = "pub"
