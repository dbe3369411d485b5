"""Adapters for backends and samplers, and jobs."""
