"""How a dressing is written in the single-qubit gates a device has.

A *form* is a short sequence of gates whose parameters are affine in (theta, phi, lam); it is valid for
theta = 0 ("virtual"), theta = pi/2 ("half"), theta = pi ("flip") or any theta ("full"). A dressing whose
theta is pi/2 in every randomization uses the half form, one pulse, for all of them; an instance that is
bound on its own uses the cheapest form that its own angles allow.

Devices whose gates only turn qubits over and change phases have a set without a full form: Paulis can be put
around everything there, but nothing else can be written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from math import pi
from typing import Any, Final, Literal

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from qiskit.circuit import CircuitInstruction, Instruction, Qubit
from qiskit.circuit.library import (
    PhaseGate,
    RGate,
    RXGate,
    RYGate,
    RZGate,
    SXGate,
    U1Gate,
    U2Gate,
    U3Gate,
    UGate,
    XGate,
)
from qiskit.transpiler import Target

from ..errors import Problem, UnsupportedError
from ..kernels.angles import wrap

Kind = Literal["virtual", "half", "flip", "full"]
#: One gate parameter: coefficients of theta, phi, lam, and a constant.
Row = tuple[float, float, float, float]


@frozen
class FormGate:
    """One gate of a form: its name and one `Row` for each parameter."""

    name: str
    rows: tuple[Row, ...] = ()


Form = tuple[FormGate, ...]


def _rz(theta: float, phi: float, lam: float, const: float, name: str = "rz") -> FormGate:
    return FormGate(name, ((theta, phi, lam, const),))


_SX, _X = FormGate("sx"), FormGate("x")
_PHASE: Final[Form] = (_rz(0, 1, 1, 0),)


@frozen
class GateSet:
    """A set of single-qubit gates and its forms, each in time order.

    Attributes:
        virtual_tail: Whether every form ends with a gate diagonal in Z, which a measurement makes redundant.
        up_to_phase: Cheaper forms that leave a rotation by phi + lam about Z undone: for dressings that
            are measured next or where that angle is zero.
        if_measured: Cheaper forms that leave any rotation about Z undone: for dressings that are measured next.
        factories: Makers of gates whose class only a target knows.
    """

    name: str
    gates: frozenset[str]
    forms: dict[Kind, Form]
    virtual_tail: bool = True
    up_to_phase: dict[Kind, Form] = field(factory=dict)
    if_measured: dict[Kind, Form] = field(factory=dict)
    factories: tuple[tuple[str, Callable[..., Instruction]], ...] = ()

    def form(self, kind: Kind, *, measured: bool = False) -> Form:
        """Return the form for `kind`, without its diagonal end if the qubit is measured next."""
        if measured and not self.virtual_tail:
            tables = self.if_measured, self.up_to_phase, self.forms
            return next(table[k] for k in (kind, "full") for table in tables if k in table)
        form = self.forms.get(kind, self.forms.get("full"))
        if form is None:
            raise UnsupportedError.of([_incomplete(self, f"a rotation of the {kind} kind")])
        return form[:-1] if measured else form

    @property
    def is_complete(self) -> bool:
        """Whether every unitary can be written."""
        return "full" in self.forms

    def check_theta(self, theta: NDArray[np.float64]) -> None:
        """Check that dressings with these angles can be written, whatever Paulis are put around them.

        Raises:
            UnsupportedError: They need gates that the set does not have.
        """
        known = [_THETA[kind] for kind in self.forms if kind in _THETA]
        if not (self.is_complete or np.isin(theta, known).all()):
            what = "gates that are neither a Pauli X nor a change of phase, or measurements of X or Y"
            raise UnsupportedError.of([_incomplete(self, what)])

    def pulses(self, kind: Kind) -> int:
        """Return how many gates of a form are not rotations about Z, which devices do by counting."""
        form = self.forms.get(kind, self.forms.get("full", ()))
        return sum(gate.name not in _PHASES for gate in form)

    def instruction(self, name: str, qubits: tuple[Qubit, ...], parameters: list[Any]) -> CircuitInstruction:
        """Return a gate on qubits. Without a gate object where qiskit needs none: a sixth of time and memory."""
        standard = None if dict(self.factories) else getattr(_FACTORIES[name], "_standard_gate", None)
        if standard is None:
            return CircuitInstruction(self.make(name, parameters), qubits)
        return CircuitInstruction.from_standard(standard, qubits, parameters)

    def make(self, name: str, parameters: Iterable[float] = ()) -> Instruction:
        """Return a new gate object."""
        factory = dict(self.factories).get(name) or _FACTORIES[name]
        return factory(*parameters)


def _incomplete(gate_set: GateSet, what: str) -> Problem:
    return Problem(
        "backend.target",
        f"has the single-qubit gates {sorted(gate_set.gates)} only, and {what} cannot be written in them",
        "measure Z observables only, and switch twirling.enable_gates off if the circuit has other gates",
    )


_FACTORIES: Final[dict[str, Callable[..., Instruction]]] = {
    "rz": RZGate, "sx": SXGate, "x": XGate, "u": UGate, "p": PhaseGate, "u1": U1Gate, "u2": U2Gate,
    "u3": U3Gate, "r": RGate, "rx": RXGate, "ry": RYGate,
}  # fmt: skip

_U_ROWS: Final = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0))
_HALF_SX: Final[Form] = (_rz(0, 0, 1, -pi / 2), _SX, _rz(0, 1, 0, pi / 2))
_FULL_SX: Final[Form] = (_rz(0, 0, 1, 0), _SX, _rz(1, 0, 0, pi), _SX, _rz(0, 1, 0, pi))


def _r(name: str, theta_const: float, rows: Row) -> FormGate:
    return FormGate(name, ((1.0, 0.0, 0.0, theta_const), rows))


def _two_r(name: str) -> GateSet:
    """Any unitary as two rotations about equatorial axes, for devices without a virtual rz."""
    first = _r(name, -pi, (0, 0, -1, pi / 2))
    second = FormGate(name, ((0, 0, 0, pi), (0, 0.5, -0.5, pi / 2)))
    one = _r(name, 0.0, (0, 0, -1, pi / 2))
    forms: dict[Kind, Form] = {"full": (first, second)}
    return GateSet(name, frozenset({name}), forms, virtual_tail=False, up_to_phase={"full": (one,)})


def _turns(name: str, theta: float, phi: float, lam: float, const: float) -> FormGate:
    """Return a gate whose angle is counted in turns."""
    return FormGate(name, ((theta / (2 * pi), phi / (2 * pi), lam / (2 * pi), const / (2 * pi)),))


def _gpi() -> GateSet:
    """Any unitary as pulses of two fixed lengths about equatorial axes: gpi by pi, gpi2 by pi/2.

    Two pulses about different axes change the phase, which these devices have no gate for.
    """
    half, flip = _turns("gpi2", 0, 0, -1, pi / 2), _turns("gpi", 0, 0.5, -0.5, pi / 2)
    return GateSet(
        "gpi+gpi2",
        frozenset({"gpi", "gpi2"}),
        {
            "virtual": (_turns("gpi", 0, 0, 0, 0), _turns("gpi", 0, 0.5, 0.5, 0)),
            "half": (_turns("gpi", 0, 0.5, -0.5, -pi / 2), _turns("gpi2", 0, 1, 0, -pi / 2)),
            "flip": (flip,),
            "full": (
                _turns("gpi2", 0, 0, -1, 0),
                _turns("gpi", -0.5, 0.5, -0.5, pi),
                _turns("gpi2", 0, 1, 0, 0),
            ),
        },
        virtual_tail=False,
        up_to_phase={"half": (half,)},
        if_measured={
            "virtual": (),
            "half": (half,),
            "full": (_turns("gpi2", 0, 0, -1, 0), _turns("gpi2", -1, 0, -1, -pi)),
        },
    )


#: In order of preference where a target offers several.
GATE_SETS: Final[tuple[GateSet, ...]] = (
    GateSet(
        "rz+sx+x",
        frozenset({"rz", "sx", "x"}),
        {"virtual": _PHASE, "half": _HALF_SX, "flip": (_X, _rz(0, 1, -1, pi)), "full": _FULL_SX},
    ),
    GateSet("rz+sx", frozenset({"rz", "sx"}), {"virtual": _PHASE, "half": _HALF_SX, "full": _FULL_SX}),
    GateSet("u", frozenset({"u"}), {"full": (FormGate("u", _U_ROWS),)}, virtual_tail=False),
    GateSet(
        "u1+u2+u3",
        frozenset({"u1", "u2", "u3"}),
        {
            "virtual": (_rz(0, 1, 1, 0, "u1"),),
            "half": (FormGate("u2", _U_ROWS[1:]),),
            "full": (FormGate("u3", _U_ROWS),),
        },
        virtual_tail=False,
    ),
    GateSet("u3", frozenset({"u3"}), {"full": (FormGate("u3", _U_ROWS),)}, virtual_tail=False),
    GateSet(
        "r+rz",
        frozenset({"r", "rz"}),
        {"virtual": _PHASE, "full": (_r("r", 0.0, (0, 0, -1, pi / 2)), _rz(0, 1, 1, 0))},
    ),
    GateSet(
        "rx+rz",
        frozenset({"rx", "rz"}),
        {
            "virtual": _PHASE,
            "full": (_rz(0, 0, 1, -pi / 2), FormGate("rx", ((1, 0, 0, 0),)), _rz(0, 1, 0, pi / 2)),
        },
    ),
    GateSet(
        "ry+rz",
        frozenset({"ry", "rz"}),
        {"virtual": _PHASE, "full": (_rz(0, 0, 1, 0), FormGate("ry", ((1, 0, 0, 0),)), _rz(0, 1, 0, 0))},
    ),
    _two_r("prx"),
    _two_r("r"),
    _gpi(),
    GateSet("rz+x", frozenset({"rz", "x"}), {"virtual": _PHASE, "flip": (_X, _rz(0, 1, -1, pi))}),
)
_BY_NAME: Final = {gate_set.name: gate_set for gate_set in GATE_SETS}
_PHASES: Final = frozenset({"rz", "u1", "p"})
_ZERO_PHASE: Final = 1e-12
_EPS: Final = 1e-9
_PROBES: Final = (0.7390851, 0.2247180)  # angles without any symmetry
_KINDS: Final[tuple[Kind, ...]] = ("virtual", "half", "flip", "full")
_THETA: Final[dict[Kind, float]] = {"virtual": 0.0, "half": pi / 2, "flip": pi}
#: Gates that qiskit has no class for, as the (theta, phi) of its r; what a target calls so must be this.
VENDOR_GATES: Final[dict[str, Callable[..., tuple[float, float]]]] = {
    "prx": lambda theta, phi: (theta, phi),
    "gpi": lambda turns: (pi, 2 * pi * turns),
    "gpi2": lambda turns: (pi / 2, 2 * pi * turns),
}
_IGNORED: Final = frozenset({"id", "delay", "measure", "reset", "barrier"})


def choose(written: Iterable[str], target: Target | None) -> GateSet:
    """Choose the gates that dressings are written in.

    Of the sets that the target offers (all, where there is no target), the one that covers most of the
    single-qubit gates the circuit is `written` in. So an ISA circuit keeps its own gates, also on a simulator
    whose target accepts everything. Ties go to the order of `GATE_SETS`, because a device that has x or a
    virtual rz shall use it also where the circuit happens not to; without a target, to the set that brings
    fewest gates the circuit does not have. Where no set covers anything that
    is written and u is allowed, u.

    Raises:
        UnsupportedError: The target offers none of the known sets.
    """
    written = set(written) - _IGNORED
    offered = set(target.operation_names) if target is not None else None
    # Only a target knows the classes of vendors' gates.
    makeable = _FACTORIES.keys() if target is None else set(target.operation_names) - _others(target)
    known = [s for s in GATE_SETS if s.gates <= makeable]
    known = [s for s in known if s.is_complete] or known
    if not known:
        raise UnsupportedError.of(
            [
                Problem(
                    "backend.target",
                    f"has none of the single-qubit gate sets {[s.name for s in GATE_SETS]} "
                    f"(it has {sorted(offered or ())})",
                    "transpile to one of these, or switch twirling off and measure only Z observables",
                )
            ]
        )
    if (written or offered is None) and _BY_NAME["u"] in known and not any(written & s.gates for s in known):
        return _BY_NAME["u"]

    def preference(s: GateSet) -> tuple[int, int, int]:
        foreign = len(s.gates - written) if offered is None else 0
        return len(written & s.gates), -foreign, -GATE_SETS.index(s)

    best = max(known, key=preference)
    vendors = sorted(best.gates & VENDOR_GATES.keys())
    if target is None or not vendors:
        return best
    return evolve(best, factories=tuple((name, _factory(target, name)) for name in vendors))


def _others(target: Target) -> set[str]:
    """Return which of a target's gates have the name of a vendor's gate in a set, but another matrix."""
    others = set()
    for name in VENDOR_GATES.keys() & set(target.operation_names):
        gate = _factory(target, name)(*_PROBES[: len(target.operation_from_name(name).params)])
        try:
            expected = RGate(*VENDOR_GATES[name](*gate.params)).to_matrix()
        except TypeError:  # another number of parameters
            others.add(name)
            continue
        try:
            matrix = np.asarray(gate.to_matrix(), dtype=complex)
        except Exception:  # whatever a third-party gate raises: without a matrix there is only its name
            continue
        if abs(np.vdot(matrix, expected)) < 2 - _EPS:
            others.add(name)
    return others


def _factory(target: Target, name: str) -> Callable[..., Instruction]:
    """Make gates by copying the target's own operation, whose class quell cannot know."""
    prototype = target.operation_from_name(name)

    def make(*parameters: float) -> Instruction:
        gate = prototype.to_mutable()
        gate.params = list(parameters)
        return gate

    return make


@frozen(eq=False)
class InstanceGates:
    """Gates of bound dressings, dressing by dressing in time order.

    Attributes:
        dressing: Dressing of each gate, ascending, int64 ``(N,)``.
        name: Index into `names`, int64 ``(N,)``.
        parameters: float64 ``(N, 3)``, NaN where a gate has fewer; rounded to 1e-13.
        names: Names of gates.
    """

    dressing: NDArray[np.int64]
    name: NDArray[np.int64]
    parameters: NDArray[np.float64]
    names: tuple[str, ...]


def instance_gates(
    gate_set: GateSet,
    euler: NDArray[np.float64],
    measured: NDArray[np.bool_],
    least: NDArray[np.int64] | int = 0,
) -> InstanceGates:
    """Write bound dressings, each in its shortest form; rotations by zero are left out.

    Args:
        gate_set: Gates to use.
        euler: Canonical theta, phi, lam, float64 ``(M, 3)``.
        measured: Whether the qubit is measured next, so that phases do not matter, bool ``(M,)``.
        least: Pulses of each at least; those of the full form are the most there are, int64 ``(M,)``.
    """
    theta = euler[:, 0]
    no_phase = np.abs(wrap(euler[:, 1] + euler[:, 2])) < _ZERO_PHASE
    nothing = (theta == 0.0) & (measured | no_phase)
    short_kind, short = next(iter(gate_set.up_to_phase.items()), ("full", ()))
    gate_set.check_theta(theta)
    full = gate_set.forms.get("full", ())
    forms = ((), short, *(gate_set.forms.get(kind, full) for kind in _KINDS))
    enough = [np.asarray(least) <= sum(gate.name not in _PHASES for gate in form) for form in forms]
    fits = [
        nothing,
        no_phase & bool(short) & (theta == _THETA.get(short_kind, theta)),
        *(theta == angle for angle in _THETA.values()),
    ]
    kinds = np.select([fit & many for fit, many in zip(fits, enough[:5], strict=True)], range(5), default=5)
    names = sorted(gate_set.gates)
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    for kind, is_measured in product(range(1, 6), (False, True)):
        members = np.flatnonzero((kinds == kind) & (measured == is_measured))
        if not len(members):
            continue
        form = short if kind == 1 else gate_set.form(_KINDS[kind - 2], measured=is_measured)
        for gate in form:
            rows = np.array(gate.rows).reshape(-1, 4)
            values = np.full((len(members), 3), np.nan)
            values[:, : len(rows)] = np.round(euler[members] @ rows[:, :3].T + rows[:, 3], 13)
            kept = np.ones(len(members), dtype=bool)
            if gate.name in _PHASES:
                kept = np.abs(wrap(values[:, 0])) > _ZERO_PHASE
            parts.append((members[kept], np.full(kept.sum(), names.index(gate.name)), values[kept]))
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        return InstanceGates(empty, empty, np.zeros((0, 3)), tuple(names))
    dressing, name, parameters = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(dressing, kind="stable")  # parts of one dressing are in time order already
    return InstanceGates(dressing[order], name[order], parameters[order], tuple(names))
