"""Pictures of results. Drawing needs matplotlib, which is imported when something is drawn."""

from .extrapolation import zne
from .layers import layer_noise

__all__ = ["layer_noise", "zne"]
