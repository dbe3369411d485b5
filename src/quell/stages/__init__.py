"""The stages: one technique, one file."""
