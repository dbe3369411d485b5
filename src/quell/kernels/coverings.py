"""Coverings: few measurement bases in which neighbours take all pairs of axes.

Qubits of one colour share their axes; so it is colours that must cover all pairs. Four colours do it in the nine
rows of an orthogonal array, which is the least there can be; more colours need a few rows more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

_AXES: Final = 3


def colours(num_nodes: int, pairs: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Return a colour for each node, different ones for the two of each pair; few of them.

    The node whose neighbours have most colours comes first (DSATUR), which needs two on lines, rings of even length,
    trees and grids.

    Args:
        num_nodes: Nodes are 0, 1, ....
        pairs: Pairs of nodes.
    """
    neighbours: list[set[int]] = [set() for _ in range(num_nodes)]
    for a, b in pairs:
        neighbours[a].add(b)
        neighbours[b].add(a)
    chosen = np.full(num_nodes, -1, dtype=np.int64)
    taken: list[set[int]] = [set() for _ in range(num_nodes)]
    left = set(range(num_nodes))
    while left:
        node = min(left, key=lambda n: (-len(taken[n]), -len(neighbours[n]), n))
        left.remove(node)
        chosen[node] = next(c for c in range(num_nodes) if c not in taken[node])
        for other in neighbours[node]:
            taken[other].add(int(chosen[node]))
    return chosen


def covering(num_columns: int) -> NDArray[np.int64]:
    """Return rows of axes 0, 1, 2 in which any two columns hold all nine pairs, int64 ``(rows, num_columns)``.

    Three rows for one column, nine for up to four. Further columns are added one by one: each row takes the axis that
    covers most pairs that are missing, and what is then still missing gets rows of its own.
    """
    if num_columns < 2:
        return np.tile(np.arange(_AXES)[:, None], (1, num_columns))
    a, b = np.divmod(np.arange(_AXES**2), _AXES)
    rows = np.stack([a, b, (a + b) % _AXES, (a + 2 * b) % _AXES], axis=1)[:, :num_columns].tolist()
    for column in range(len(rows[0]), num_columns):
        missing = set(product(range(column), range(_AXES), range(_AXES)))
        for row in rows:
            gains = [[(c, row[c], axis) for c in range(column)] for axis in range(_AXES)]
            axis = max(range(_AXES), key=lambda x: (len(missing.intersection(gains[x])), -x))
            row.append(axis)
            missing -= set(gains[axis])
        extra: list[list[int]] = []
        for c, value, axis in sorted(missing):
            fitting = (row for row in extra if row[column] == axis and row[c] in (-1, value))
            row = next(fitting, None)
            if row is None:
                row = [-1] * column + [axis]
                extra.append(row)
            row[c] = value
        # Places that nothing asks for take the axes in turn.
        rows += [[(i + c) % _AXES if v < 0 else v for c, v in enumerate(row)] for i, row in enumerate(extra)]
    return np.array(rows, dtype=np.int64)


def axes(num_nodes: int, pairs: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Return bases: an axis 0, 1 or 2 for every node, such that each pair takes all nine combinations.

    Returns:
        int64 ``(bases, num_nodes)``: three bases where there are no pairs, nine where four colours do.
    """
    colour = colours(num_nodes, pairs)
    table = covering(int(colour.max(initial=0)) + 1)
    return table[:, colour]
