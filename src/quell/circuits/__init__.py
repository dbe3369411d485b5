"""The only place that reads or writes `QuantumCircuit`: templates, observables, programs, gate sets."""
