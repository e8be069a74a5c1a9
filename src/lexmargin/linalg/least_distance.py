"""Least distance programs (Lawson and Hanson 1974, ch. 23): the nearest point of a polyhedron."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lexmargin.linalg.guarded import nonnegative_least_squares
from lexmargin.linalg.rounding import TINY

__all__ = ["least_distance"]

Array = NDArray[np.float64]


def least_distance(rows: Array, right: Array, least: float = 1e-14) -> Array | None:
    """Return λ (n,) >= 0 of ``min ½‖u‖²  s.t.  A u >= b``; then ``u = Aᵀ λ``.

    With ``E = [Aᵀ; bᵀ]`` and e the last unit vector, λ is proportional to the y of
    ``min ‖E y - e‖, y >= 0``; the last entry of the residual is 0 where nothing is feasible.

    Args:
        rows: A (n, d), n > 0.
        right: b (n,).
        least: what that entry, ``1/(1 + ‖u‖²)`` where the rows have length 1 and the largest b
            is 1, must exceed: below, u is so far away that rounding decides whether it exists. No
            double tells 1e-16 from 0 there.

    Returns:
        None where nothing is feasible.

    Raises:
        RuntimeError: numbers that are not finite, or least squares that do not end.
    """
    scale = np.maximum(np.linalg.norm(rows, axis=1), TINY)
    rows, right = rows / scale[:, None], right / scale
    # ‖u‖ is about the largest b; this keeps both parts of E of one size.
    length = float(right.max())
    if length <= 0.0:
        return np.zeros(right.size)
    system = np.vstack([rows.T, right[None, :] / length])
    target = np.zeros(system.shape[0])
    target[-1] = 1.0
    found = nonnegative_least_squares(system, target, max(1000, 30 * sum(system.shape)))
    slack = 1.0 - float(system[-1] @ found)
    return np.asarray(found / slack * length / scale) if slack > least else None
