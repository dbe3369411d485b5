"""`execute` and `QuantumInstance` as they were in Qiskit Terra, as far as the scripts here use them.

Qiskit 1 removed both, so the scripts of then cannot be run any more without a stand-in. Ours does what
they did: transpile, then `backend.run`; and calibration circuits for every basis state, solved by least squares.
"""

import itertools

import numpy as np
from qiskit import QuantumCircuit, transpile
from scipy.optimize import lsq_linear

TRANSPILE = ("basis_gates", "coupling_map", "initial_layout", "seed_transpiler", "optimization_level")


def execute(circuits, backend, **options):
    """Transpile, then run."""
    for_transpile = {name: options.pop(name) for name in TRANSPILE if name in options}
    return backend.run(transpile(circuits, backend, **for_transpile), **options)


class CompleteMeasFitter:
    """Readout correction with the full confusion matrix, by least squares."""

    def __init__(self, counts_of_states):
        states = list(counts_of_states)
        self.states = states
        self.matrix = np.array(
            [[counts_of_states[given].get(read, 0) for given in states] for read in states], dtype=float
        )
        self.matrix /= self.matrix.sum(axis=0)

    def apply(self, counts):
        """Return corrected counts, as many as before."""
        read = np.array([counts.get(state, 0) for state in self.states], dtype=float)
        solved = lsq_linear(self.matrix, read / read.sum(), (0, 1)).x
        solved *= read.sum() / solved.sum()
        return {s: round(n) for s, n in zip(self.states, solved, strict=True) if round(n)}


class QuantumInstance:
    """A backend with the options of transpiling, running and readout correction."""

    def __init__(self, backend, shots=1024, measurement_error_mitigation_cls=None, **options):
        self.backend, self.shots, self.options = backend, shots, options
        self.fitter = measurement_error_mitigation_cls

    def execute(self, circuit):
        """Return the counts of one circuit, corrected if a fitter was given."""
        counts = execute(circuit, self.backend, shots=self.shots, **self.options).result().get_counts()
        if self.fitter is None:
            return counts
        calibrated = {}
        for bits in itertools.product("01", repeat=circuit.num_clbits):
            prepare = QuantumCircuit(circuit.num_clbits)
            for qubit, bit in enumerate(reversed(bits)):
                if bit == "1":
                    prepare.x(qubit)
            prepare.measure_all()
            run = execute(prepare, self.backend, shots=self.shots, **self.options)
            calibrated["".join(bits)] = run.result().get_counts()
        return self.fitter(calibrated).apply(counts)
