"""Declarative experiments: a TOML file says device, circuits, observables and strategies; they are compared."""
