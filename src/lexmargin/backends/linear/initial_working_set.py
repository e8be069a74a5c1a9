"""Which rows to start from: those of small margin under a regression's direction."""

from __future__ import annotations

import numpy as np

from lexmargin.backends.linear.signed_rows import SignedRows
from lexmargin.errors import DataError
from lexmargin.formulations.base import vector_norm
from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["dual_norm", "first_rows", "lowest", "power_of_two"]


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


def power_of_two(size: float) -> float:
    """Return the power of two below a size, 1 for 0; dividing by it changes no digit."""
    if not (np.isfinite(size) and size > 0.0):
        if size == 0.0:
            return 1.0
        raise DataError("The rows hold NaN or infinities.", "Drop or fill such entries.")
    return float(2.0 ** np.floor(np.log2(size)))


def dual_norm(g: FloatArray, p: float) -> float:
    """Return ``‖g‖_*`` of the ℓ_p norm, p >= 1: the norm with ``1/p + 1/q = 1``."""
    return vector_norm(g, np.inf if p == 1.0 else 1.0 if p == np.inf else p / (p - 1.0))
