"""The twirl by itself, for people who want only that."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from ..circuits.gatesets import choose
from ..circuits.parametric import ParametricForm
from ..circuits.program import Program
from ..circuits.template import template_of
from ..circuits.twirling import draws_of
from ..errors import InputError, Problem


@frozen(eq=False)
class TwirledCircuit:
    """A circuit and random values of its parameters, each row equivalent to the original.

    Attributes:
        circuit: The parametric template.
        parameter_values: float64 ``(num_randomizations, num_parameters)``, radians, columns in the order of
            ``circuit.parameters``.
        flips: bool ``(num_randomizations, num_clbits)``: XOR onto the measured bits; column i is
            ``circuit.clbits[i]``.
    """

    circuit: QuantumCircuit
    parameter_values: NDArray[np.float64]
    flips: NDArray[np.bool_]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters in the order of the columns of `parameter_values`."""
        return tuple(self.circuit.parameters)


def twirl(
    circuit: QuantumCircuit,
    num_randomizations: int,
    *,
    parameter_values: ArrayLike | None = None,
    seed: int | np.random.Generator | None = None,
) -> TwirledCircuit:
    """Twirl two-qubit gates and terminal measurements over Paulis.

    Every randomization implements the circuit exactly, once its bits are XORed with its flips. Single-qubit
    gates next to twirled gates are merged with the Paulis and stay one sx where they were one sx; everything
    else stays as it is written.

    Args:
        circuit: The circuit.
        num_randomizations: Rows to draw, at least 1.
        parameter_values: Values of the circuit's own parameters, ``(num_parameters,)``, where it has any.
        seed: Seed or generator; the same seed gives the same rows.

    Raises:
        InputError: The number is not a positive integer, or parameter values are missing, not finite or of
            the wrong number.
    """
    problems = []
    if (
        isinstance(num_randomizations, bool)
        or not isinstance(num_randomizations, (int, np.integer))
        or num_randomizations < 1
    ):
        problems.append(
            Problem("num_randomizations", f"must be a positive integer (got {num_randomizations!r})")
        )
    values = np.zeros(0) if parameter_values is None else np.asarray(parameter_values, dtype=float)
    if values.shape != (circuit.num_parameters,):
        names = ", ".join(p.name for p in list(circuit.parameters)[:5])
        problems.append(
            Problem(
                "parameter_values",
                f"the circuit has {circuit.num_parameters} parameters{f' ({names})' if names else ''}, "
                f"values of shape {values.shape} were given",
                "pass one value for each, or bind the circuit first",
            )
        )
    elif not np.isfinite(values).all():
        problems.append(Problem("parameter_values", "are not all finite"))
    InputError.check(problems)
    template = template_of(circuit)
    program = Program(
        template=template,
        parameter_values=values[None],
        parameter_sets=np.zeros(1, dtype=np.int64),
        bases=np.zeros((1, len(template.terminals)), dtype=np.uint8),
        shots=1,
        gate_set=choose(template.written, None),
        draws=draws_of(np.random.default_rng(seed), gates=True, measure=True, group="pauli"),
        randomizations=(0, int(num_randomizations)),
    )
    form = ParametricForm(program)
    flips = np.zeros((num_randomizations, circuit.num_clbits), dtype=bool)
    flips[:, [terminal.clbit for terminal in template.terminals]] = program.flips(0, num_randomizations)
    return TwirledCircuit(form.circuit, form.values(0, num_randomizations), flips)
