"""The Euclidean max margin of linear scores by least distance (Lawson & Hanson, ch. 23)."""

from __future__ import annotations

import numpy as np

from lexmargin.errors import NotSeparableError, SolverFailedError
from lexmargin.linalg.least_distance import least_distance
from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["euclidean_margin"]

_MAX_ROUNDS = 200
"""Programs at most, in case rounding adds rows for ever (judgement: each adds a batch)."""
_VIOLATION = 1e-12
"""Shortfall from which a row is added: below it is the rounding of the products."""


def euclidean_margin(Z: FloatArray) -> tuple[FloatArray, FloatArray, int]:
    """Return the direction of ``min ½‖w‖²  s.t.  w·z_n >= 1``, its multipliers, and the solves.

    The direction is unique, so it is the lexicographic max margin as well. Works on the samples
    that matter: solve, price all of them, add the violated ones.

    Args:
        Z: (N, d) with entries of about unit size.

    Returns:
        θ (d,) of unit length, λ (N,) with λ >= 0 and Σλ = 1, and how many problems were solved.

    Raises:
        NotSeparableError: the least-distance problem has no feasible point.
        SolverFailedError: the active set does not settle.
    """
    count, size = Z.shape
    batch = min(count, 3 * size + 50)
    working: IntArray = np.argsort(Z @ Z.sum(axis=0), kind="stable")[:batch].astype(np.int64)
    for rounds in range(1, _MAX_ROUNDS + 1):
        w, share = _nearest(Z[working])
        margins = Z @ w
        chosen = np.zeros(count, dtype=bool)
        chosen[working] = True
        # Differences to 1 below the rounding of the product itself cannot be priced.
        floor = _VIOLATION + 1e-15 * float(np.linalg.norm(w)) * np.sqrt(size)
        bad = np.flatnonzero((margins < 1.0 - floor) & ~chosen)
        if bad.size == 0:
            multipliers = np.zeros(count)
            multipliers[working] = share
            return w / np.linalg.norm(w), multipliers, rounds
        bad = bad[np.argsort(margins[bad], kind="stable")[:batch]]
        working = np.concatenate([working, bad])
    raise SolverFailedError(
        "The Euclidean max margin did not settle on a set of samples.",
        "Use a quadratic programming backend for level 1.",
    )


def _nearest(Z: FloatArray) -> tuple[FloatArray, FloatArray]:
    found = least_distance(Z, np.ones(Z.shape[0]))
    if found is None:
        raise NotSeparableError(
            "No direction with a positive margin was found.",
            "Check the exact verdict on separability; add features or drop contradictory samples.",
        )
    support = np.flatnonzero(found > 0.0)
    w = found @ Z
    # Active set known: one orthogonal solve makes the margins equal to rounding.
    w = w + np.linalg.lstsq(Z[support], 1.0 - Z[support] @ w, rcond=1e-12)[0]
    return w, found / found.sum()
