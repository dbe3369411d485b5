"""Options from before V2: what they mean now."""

from __future__ import annotations

from .accept import LegacyOptionsWarning, accepted
from .engine import translate
from .rows import REASONS, TranslationError
from .tables import SOURCES
from .translation import Entry, Translation

__all__ = [
    "REASONS",
    "SOURCES",
    "Entry",
    "LegacyOptionsWarning",
    "Translation",
    "TranslationError",
    "accepted",
    "translate",
]
