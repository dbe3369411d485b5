"""The command `quell`; needs the extra ``quell[cli]`` (typer and rich)."""

from __future__ import annotations

import sys

MISSING = "quell's command line needs typer and rich: pip install 'quell[cli]'"


def main() -> None:
    """Run the command; exit with code 2 and the next step if typer or rich is not installed."""
    try:
        import rich  # noqa: F401  # typer vendors what it needs of it, we need the whole
        import typer  # noqa: F401
    except ImportError:
        print(MISSING, file=sys.stderr)
        raise SystemExit(2) from None
    from .app import app  # outside the try: an ImportError of ours is a bug and must be seen

    app(prog_name="quell")
