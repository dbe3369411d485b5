"""mitiq, as its documentation composes it: readout, twirls and one mitigation technique.

mitiq 1.1.0 pairs results with the wrong circuits if there are several circuits and several measurement bases, so that
values of more than one basis are far off without any error. `_Executor` hands over one circuit at a time where there
are several bases: this measures the techniques. A sum over all shots, which mitiq does in a Python loop, is done by
numpy here (same numbers), so that the seconds of these rows are less than a user would wait.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import cirq
import numpy as np
from mitiq import Executor, MeasurementResult, Observable, PauliString, cdr, lre, pec, pt, rem, zne
from mitiq.interface import convert_to_mitiq
from mitiq.observable.pauli import PauliStringCollection
from mitiq.pec.representations import represent_operation_with_global_depolarizing_noise as depolarizing
from qiskit import QuantumCircuit
from qiskit.quantum_info import DensityMatrix

from .records import Case
from .workloads import PULSE_ERROR, TWO_QUBIT_ERROR, Device, Workload

#: Share of the shots that measures the confusion matrices, where readout is mitigated.
CALIBRATION = 0.1


@dataclass(frozen=True)
class Recipe:
    """A technique and what it is combined with."""

    technique: str = "none"
    readout: bool = True
    fit: str = ""
    factors: tuple[float, ...] = (1.0,)
    twirls: int = 0
    samples: int = 0
    pulses: bool = True
    non_clifford: float = 0.1


def _zne(fit: str, *factors: float, twirls: int = 0, readout: bool = True) -> Recipe:
    return Recipe("zne", readout, fit, factors, twirls)


#: CDR of a Clifford circuit is left out: it is simulated exactly, and the noisy device has no part in the value.
RECIPES = {
    "mitiq raw": Recipe(readout=False),
    "mitiq REM": Recipe(),
    "mitiq PT16": Recipe("twirl", False, twirls=16),
    "mitiq ZNE exp 1,2,3": _zne("exp", 1, 2, 3, readout=False),
    "mitiq REM+ZNE linear 1,2,3": _zne("linear", 1, 2, 3),
    "mitiq REM+ZNE linear 1,3,5": _zne("linear", 1, 3, 5),
    "mitiq REM+ZNE richardson 1,2,3": _zne("richardson", 1, 2, 3),
    "mitiq REM+ZNE richardson 1,3,5": _zne("richardson", 1, 3, 5),
    "mitiq REM+ZNE exp 1,2,3": _zne("exp", 1, 2, 3),
    "mitiq REM+ZNE exp 1,3,5": _zne("exp", 1, 3, 5),
    "mitiq REM+ZNE poly2 1,2,3,5": _zne("poly2", 1, 2, 3, 5),
    "mitiq REM+ZNE polyexp2 1,2,3,5": _zne("polyexp2", 1, 2, 3, 5),
    "mitiq REM+ZNE adaptive exp": _zne("adaptive", 1, 2, 3, 4, 5),
    "mitiq REM+PT8+ZNE linear 1,2,3": _zne("linear", 1, 2, 3, twirls=8),
    "mitiq REM+PT8+ZNE exp 1,2,3": _zne("exp", 1, 2, 3, twirls=8),
    "mitiq REM+PT8+ZNE exp 1,3,5": _zne("exp", 1, 3, 5, twirls=8),
    "mitiq REM+PEC200": Recipe("pec", samples=200),
    "mitiq REM+PEC200 CX only": Recipe("pec", samples=200, pulses=False),
    "mitiq REM+CDR10": Recipe("cdr", samples=10),
    "mitiq REM+CDR10 half Clifford": Recipe("cdr", samples=10, non_clifford=0.5),
    "mitiq REM+vnCDR10 1,3": Recipe("cdr", factors=(1, 3), samples=10),
    "mitiq REM+LRE": Recipe("lre"),
}
_FITS: dict[str, Callable[[list[float]], Any]] = {
    "linear": zne.LinearFactory,
    "richardson": zne.RichardsonFactory,
    "exp": partial(zne.ExpFactory, asymptote=0.0),
    "poly2": partial(zne.PolyFactory, order=2),
    "polyexp2": partial(zne.PolyExpFactory, order=2, asymptote=0.0),
    "adaptive": lambda factors: zne.AdaExpFactory(steps=len(factors), asymptote=0.0),
}


def versions() -> str:
    return f"mitiq {version('mitiq')}"


class _Executor(Executor):
    """See the module: several bases, one circuit at a time."""

    def evaluate(
        self, circuits: Any, observable: Any = None, force_run_all: bool = True, **options: Any
    ) -> list[float]:
        every = circuits if isinstance(circuits, list) else [circuits]
        if observable is None or observable.ngroups == 1:
            return super().evaluate(every, observable, force_run_all, **options)
        single = super().evaluate
        return [value for c in every for value in single([c], observable, force_run_all, **options)]


def _sum_over_shots(self: PauliStringCollection, measured: MeasurementResult) -> Any:
    total: Any = 0.0
    for pauli in self.elements:
        bits = np.asarray(measured.filter_qubits(sorted(pauli.support())))
        total += pauli.coeff * (np.mean(1 - 2 * (bits.sum(axis=1) % 2)) if len(bits) else 1.0)
    return total


def _result(circuit: QuantumCircuit, counts: dict[str, int]) -> MeasurementResult:
    measures = [i for i in circuit.data if i.operation.name == "measure"]
    places = {circuit.find_bit(i.clbits[0]).index: circuit.find_bit(i.qubits[0]).index for i in measures}
    qubits = tuple(places[bit] for bit in sorted(places))
    return MeasurementResult.from_counts(
        {key.replace(" ", "")[::-1]: number for key, number in counts.items()}, qubit_indices=qubits
    )


def _confusion(device: Device, num_qubits: int, shots: int) -> list[np.ndarray]:
    """Measure the confusion matrix of each qubit on all zeros and on all ones."""
    circuits = []
    for ones in (False, True):
        circuit = QuantumCircuit(num_qubits)
        if ones:
            circuit.x(range(num_qubits))
        circuit.measure_all()
        circuits.append(circuit)
    result = device.run(circuits, shots=shots // 2).result()
    read = np.zeros((2, num_qubits))
    for prepared in (0, 1):
        for key, number in result.get_counts(prepared).items():
            read[prepared] += number * np.array([bit == "1" for bit in reversed(key)])
    read /= shots // 2
    return [np.array([[1 - a, 1 - b], [a, b]]) for a, b in read.T]


def _representations(circuit: QuantumCircuit, pulses: bool) -> list[Any]:
    """Return quasi-probabilities of the depolarizing noise, known exactly; a user rarely knows as much."""
    found = []
    for operation in dict.fromkeys(convert_to_mitiq(circuit)[0].all_operations()):
        if len(operation.qubits) == 2:
            found.append(depolarizing(cirq.Circuit(operation), TWO_QUBIT_ERROR * 15 / 16))
        elif pulses and not isinstance(operation.gate, cirq.ZPowGate | cirq.IdentityGate):
            found.append(depolarizing(cirq.Circuit(operation), PULSE_ERROR * 3 / 4))
    return found


def _simulate(circuits: Sequence[QuantumCircuit]) -> list[np.ndarray]:
    return [DensityMatrix(c.reverse_bits()).data for c in circuits]


_simulate.__annotations__["return"] = list[np.ndarray]


def _error(factory: Any) -> float | None:
    try:
        error = float(factory.get_zero_noise_limit_error())
    except Exception:  # mitiq has no error bar for this fit
        return None
    return error if math.isfinite(error) else None


def run(case: Case, work: Workload, device: Device) -> tuple[float, float | None]:
    """Return value and standard error, None where mitiq has none; every circuit gets the same share of the shots."""
    recipe = RECIPES[case.method]
    drawn = (case.seed + 10_000 * case.repetition) % 2**31
    np.random.seed(drawn)  # noqa: NPY002  (mitiq draws from it)
    random.seed(drawn)
    PauliStringCollection._expectation_from_measurements = _sum_over_shots
    circuit, num_qubits, shots = work.circuit, work.circuit.num_qubits, case.shots
    observable = Observable(
        *(PauliString(p, float(np.real(c)), support=tuple(q)) for p, q, c in work.observable.to_sparse_list())
    )
    folds: list[QuantumCircuit] = []
    if recipe.technique == "lre":
        folds = lre.construct_circuits(circuit, 2, 2, num_chunks=3)
    number = {
        "zne": len(recipe.factors) * max(1, recipe.twirls),
        "twirl": recipe.twirls,
        "pec": recipe.samples,
        "cdr": (recipe.samples + 1) * len(recipe.factors),
        "lre": len(folds),
    }.get(recipe.technique, 1)
    calibration = int(shots * CALIBRATION) if recipe.readout else 0
    share = (shots - calibration // 2 * 2) // (number * observable.ngroups)
    matrices = _confusion(device, num_qubits, calibration) if recipe.readout else []
    inverse = rem.generate_tensored_inverse_confusion_matrix(num_qubits, matrices) if recipe.readout else None

    def measure(circuits: Sequence[QuantumCircuit]) -> list[MeasurementResult]:
        result = device.run(list(circuits), shots=share).result()
        every = [_result(c, result.get_counts(k)) for k, c in enumerate(circuits)]
        return every if inverse is None else [rem.mitigate_measurements(each, inverse) for each in every]

    measure.__annotations__["return"] = list[MeasurementResult]
    executor = _Executor(measure, max_batch_size=10_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value, error = _mitigated(recipe, circuit, executor, observable, drawn)
    return float(np.real(value)), error


def prepared(case: Case, work: Workload, device: Device) -> Callable[[], tuple[float, float | None]]:
    """Return what gives value and error."""
    return partial(run, case, work, device)


def _mitigated(
    recipe: Recipe, circuit: QuantumCircuit, executor: Executor, observable: Observable, drawn: int
) -> tuple[Any, float | None]:
    match recipe.technique:
        case "none":
            return executor.evaluate(circuit, observable)[0], None
        case "twirl":
            variants = pt.generate_pauli_twirl_variants(circuit, recipe.twirls)
            values = np.real(executor.evaluate(variants, observable))
            return values.mean(), float(values.std(ddof=1) / math.sqrt(len(values)))
        case "zne":
            factory = _FITS[recipe.fit](list(recipe.factors))

            def scale(folded: QuantumCircuit, factor: float) -> QuantumCircuit:
                folded = zne.scaling.fold_gates_at_random(folded, factor, seed=drawn)
                return pt.generate_pauli_twirl_variants(folded, 1)[0] if recipe.twirls else folded

            value = zne.execute_with_zne(
                circuit,
                executor,
                observable,
                factory=factory,
                scale_noise=scale,
                num_to_average=max(1, recipe.twirls),
            )
            return value, _error(factory)
        case "pec":
            value, data = pec.execute_with_pec(
                circuit,
                executor,
                observable,
                representations=_representations(circuit, recipe.pulses),
                num_samples=recipe.samples,
                random_state=drawn,
                full_output=True,
            )
            return value, float(np.real(data["pec_error"]))
        case "cdr":
            value = cdr.execute_with_cdr(
                circuit,
                executor,
                observable,
                simulator=_Executor(_simulate, max_batch_size=10_000),
                num_training_circuits=recipe.samples,
                fraction_non_clifford=recipe.non_clifford,
                scale_factors=recipe.factors,
                random_state=drawn,
            )
            return value, None
        case "lre":
            value = lre.execute_with_lre(
                circuit, executor, observable=observable, degree=2, fold_multiplier=2, num_chunks=3
            )
            return value, None
    raise ValueError(recipe.technique)
