"""Coverings: every pair takes all nine combinations, in as few bases as the colours allow."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from quell.kernels.coverings import axes, colours, covering

HEAVY_HEX = [
    *((i, i + 1) for i in range(14)),
    (0, 15),
    (4, 16),
    (8, 17),
    (12, 18),
    (15, 19),
    (16, 23),
    (17, 27),
]
GRID = [*((5 * r + c, 5 * r + c + 1) for r in range(5) for c in range(4)), *((i, i + 5) for i in range(20))]


@pytest.mark.parametrize("num_columns", [2, 3, 4, 5, 6, 9, 20])
def test_any_two_columns_hold_all_nine_pairs(num_columns):
    rows = covering(num_columns)
    assert rows.min() == 0
    assert rows.max() == 2
    for a, b in combinations(range(num_columns), 2):
        assert len({*zip(rows[:, a].tolist(), rows[:, b].tolist(), strict=True)}) == 9


def test_sizes():
    assert [len(covering(k)) for k in (0, 1, 2, 3, 4)] == [3, 3, 9, 9, 9]
    assert len(covering(5)) <= 15
    assert len(covering(20)) <= 27


@pytest.mark.parametrize(
    ("num_nodes", "pairs", "most"),
    [
        (10, [(i, i + 1) for i in range(9)], 2),
        (8, [(i, (i + 1) % 8) for i in range(8)], 2),
        (28, HEAVY_HEX, 2),
        (25, GRID, 2),
        (3, [(0, 1), (1, 2), (0, 2)], 3),
        (4, list(combinations(range(4), 2)), 4),
        (6, list(combinations(range(6), 2)), 6),
        (4, [], 1),
    ],
)
def test_few_bases_cover_graphs(num_nodes, pairs, most):
    colour = colours(num_nodes, pairs)
    assert all(colour[a] != colour[b] for a, b in pairs)
    assert colour.max() + 1 <= most
    bases = axes(num_nodes, pairs)
    assert len(bases) == (3 if not pairs else 9 if most <= 4 else len(covering(most)))
    for a, b in pairs:
        assert len({*zip(bases[:, a].tolist(), bases[:, b].tolist(), strict=True)}) == 9
    for node in range(num_nodes):
        assert set(bases[:, node].tolist()) == {0, 1, 2}
    assert np.array_equal(bases, axes(num_nodes, pairs))
