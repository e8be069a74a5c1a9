"""Which rows to start from: those of small margin under a regression's direction."""

from __future__ import annotations

import numpy as np

from lexmargin.backends.linear.signed_rows import SignedRows
from lexmargin.errors import DataError
from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["first_rows", "lowest"]


def first_rows(rows: SignedRows, bias: bool, count: int) -> tuple[IntArray, int]:
    """Return about ``count`` rows of small margin under a regression's direction, and passes used.

    The regression of the labels on an evenly spread sample is Fisher's discriminant up to scale.
    """
    n = rows.count
    if n <= count:
        return np.arange(n), 0
    sample = _spread(n, min(n, max(4 * count, 1000)))
    if rows.sparse or rows.size > 2000:
        # The difference of the class means, from sums that need no dense sample.
        taken = rows.take(sample)
        direction = np.asarray(taken.sum(axis=0)).reshape(-1)
    else:
        taken = rows.take(sample)
        if bias:
            taken = np.hstack([taken, rows.y[sample, None] * float(np.abs(taken).max())])
        gram = taken.T @ taken
        gram[np.diag_indices_from(gram)] += 1e-6 * np.trace(gram) / gram.shape[0] + 1e-300
        direction = np.linalg.solve(gram, taken.sum(axis=0))[: rows.size]
    score = rows.products(direction)
    if not np.all(np.isfinite(score)):
        raise DataError("The rows hold NaN or infinities.", "Drop or fill such entries.")
    if not bias:
        return np.sort(np.argpartition(score, count - 1)[:count]), 1
    chosen = [lowest(score, np.flatnonzero(rows.y == s), count // 2) for s in (1.0, -1.0)]
    return np.sort(np.concatenate(chosen)), 1


def _spread(n: int, count: int) -> IntArray:
    """Return ``count`` positions spread over 0..n-1, pseudo-random but always the same."""
    return np.sort(np.random.default_rng(0).choice(n, count, replace=False))


def lowest(values: FloatArray, among: IntArray, count: int) -> IntArray:
    """Return the positions of the ``count`` smallest values among the given ones."""
    if among.size <= count:
        return among
    return among[np.argpartition(values[among], count - 1)[:count]]
