"""Non-negative least squares where SciPy may be missing: for the verifier of receipts."""

from __future__ import annotations

import numpy as np

from lexmargin.linalg.norms import Array
from lexmargin.linalg.rounding import TINY

__all__ = ["nonnegative"]


def nonnegative(matrix: Array, target: Array) -> Array:
    """Return μ ≥ 0 that nearly minimises `‖A μ - b‖₂`: Lawson and Hanson's active set, in NumPy."""
    size = matrix.shape[1]
    found = np.zeros(size)
    passive = np.zeros(size, dtype=bool)
    scale = float(np.max(np.abs(matrix), initial=0.0)) * float(np.max(np.abs(target), initial=0.0))
    for _ in range(3 * size):
        gradient = matrix.T @ (target - matrix @ found)
        gradient[passive] = -np.inf
        entering = int(np.argmax(gradient)) if size else 0
        if not size or gradient[entering] <= 1e-14 * scale:
            break
        passive[entering] = True
        while True:
            trial = np.zeros(size)
            trial[passive] = np.linalg.lstsq(matrix[:, passive], target, rcond=None)[0]
            if np.all(trial[passive] > 0.0):
                found = trial
                break
            falling = passive & (trial <= 0.0)
            # Where both are 0 the entry leaves at once.
            fall = np.maximum(found[falling] - trial[falling], TINY)
            step = float(np.min(found[falling] / fall))
            found = np.maximum(found + step * (trial - found), 0.0)
            leaving = falling & (found <= 1e-15 * float(np.max(found, initial=0.0)))
            if not np.any(leaving):
                break
            found[leaving] = 0.0
            passive &= ~leaving
            if not np.any(passive):
                break
    return found
