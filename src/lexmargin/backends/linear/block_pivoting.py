"""The hard margin of many working rows: block principal pivoting with conjugate gradients.

For thousands of sparse rows a dual method that moves one row at a time is too slow, and their Gram
matrix larger than the data. Here whole blocks of rows change sides (Júdice and Pires 1994), and
each face is solved by products with its rows alone.
"""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np

from lexmargin.backends.linear.working_set import Restricted
from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["block_pivoting", "solve_face"]

_PIVOTS: Final = 60
"""Changes of the active set at most; then the caller takes the slower, certain method."""
_PATIENCE: Final = 5
"""Changes without fewer wrong rows before Murty's rule, the safeguard of Júdice and Pires
(1994)."""
_LOOSE: Final = 1e-7
"""First accuracy of a face: enough to tell which rows are active, at fewer products."""
_TIGHT: Final = 1e-13
"""Last accuracy of a face: the answer's own, some way above the rounding of its products."""


def block_pivoting(
    A: Any, y: FloatArray | None, guess: IntArray, lam: FloatArray, deadline: float = np.inf
) -> Restricted | None:
    """Return ``argmin ½‖w‖²  s.t.  A w + y b >= 1``, or None where pivoting does not settle.

    Args:
        A: (m, d) rows of norm around 1, dense or CSR.
        y: (m,) labels of the free bias, None without one.
        guess: (k,) positions of the rows to start from.
        lam: (k,) their multipliers.
        deadline: ``time.monotonic()`` after which it gives up.
    """
    m = A.shape[0]
    values = np.zeros(m)
    values[guess] = lam
    inside = np.zeros(m, dtype=bool)
    inside[guess] = True
    if not guess.size:
        inside[:] = True
    fewest, patience, tolerance = m + 1, _PATIENCE, _LOOSE
    for _ in range(_PIVOTS):
        if time.monotonic() > deadline:
            return None
        active = np.flatnonzero(inside)
        if not active.size or (y is not None and abs(y[active].sum()) == active.size):
            return None
        solved = solve_face(A[active], None if y is None else y[active], values[active], tolerance)
        if solved is None:
            return None
        w, b, found = solved
        margins = A @ w if y is None else A @ w + y * b
        # A row leaves or enters only for a reason above the accuracy of this face.
        slack = 10.0 * tolerance
        wrong = np.zeros(m, dtype=bool)
        wrong[active] = found < -slack * float(np.max(np.abs(found)))
        wrong |= ~inside & (margins < 1.0 - slack)
        count = int(np.count_nonzero(wrong))
        values[:] = 0.0
        values[active] = np.maximum(found, 0.0)
        if not count:
            if tolerance == _TIGHT:
                return Restricted(True, True, active, w, b, values[active], None)
            tolerance, fewest, patience = _TIGHT, m + 1, _PATIENCE
            continue
        if count < fewest:
            fewest, patience = count, _PATIENCE
        elif patience:
            patience -= 1
        else:
            # Murty's rule, one row at a time, ends the rare cycles.
            last = np.flatnonzero(wrong)[-1]
            wrong[:] = False
            wrong[last] = True
        inside ^= wrong
    return None


def solve_face(
    A: Any, y: FloatArray | None, lam: FloatArray, tolerance: float
) -> tuple[FloatArray, float, FloatArray] | None:
    """Return w, b, λ of ``A w + y b = 1, w = Aᵀ λ, Σ λ y = 0``, or None without convergence.

    Conjugate gradients on ``A Aᵀ`` within ``Σ λ y = 0``, restarted from the true residual, which
    w, corrected and not recomputed, carries to rounding level.
    """
    k = A.shape[0]
    transposed = A.T
    lam = _projected(lam, y)
    w = np.asarray(transposed @ lam)
    size = np.inf
    for _ in range(8):
        left = 1.0 - np.asarray(A @ w)
        b = 0.0 if y is None else float(np.mean(left * y))
        residual = left if y is None else left - y * b
        previous, size = size, float(np.max(np.abs(residual)))
        if size <= tolerance or (size <= 1e-11 and size > 0.5 * previous):
            return w, b, lam
        if size > 0.5 * previous:
            return None
        goal = max(0.2 * tolerance / size, 1e-7)
        step = _conjugate_gradients(A, transposed, y, residual, goal, 4 * min(k, 1500) + 50)
        lam = lam + step
        w = w + transposed @ step
    return None


def _conjugate_gradients(
    A: Any, transposed: Any, y: FloatArray | None, right: FloatArray, goal: float, limit: int
) -> FloatArray:
    solution = np.zeros_like(right)
    residual = _projected(right, y)
    direction = residual.copy()
    square = float(residual @ residual)
    stop = goal**2 * square
    for _ in range(limit):
        if square <= stop:
            break
        image = _projected(np.asarray(A @ (transposed @ direction)), y)
        curvature = float(direction @ image)
        if not curvature > 0.0:
            break
        length = square / curvature
        solution += length * direction
        residual -= length * image
        previous, square = square, float(residual @ residual)
        direction *= square / previous
        direction += residual
    return solution


def _projected(v: FloatArray, y: FloatArray | None) -> FloatArray:
    return v if y is None else v - y * (float(v @ y) / y.size)
