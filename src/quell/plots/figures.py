"""What all pictures share."""

from __future__ import annotations

from typing import Any, Final

from ..errors import MissingDependencyError

#: Colours that stay apart for the colour-blind (Okabe and Ito).
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def pyplot() -> Any:
    """Return matplotlib's pyplot.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise MissingDependencyError(
            "pictures are drawn by matplotlib, which is not installed; pip install 'quell[plot]'"
        ) from error
    return plt
