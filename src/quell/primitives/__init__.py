"""The public primitives."""
