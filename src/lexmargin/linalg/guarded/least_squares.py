"""Least squares with multipliers that are not negative.

SciPy's solver ends the process on NaN and on empty matrices.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["nonnegative_least_squares", "nonnegative_or_bounded"]

Array = NDArray[np.float64]

_FAR: Final = 1e100
"""Beyond this, or below its inverse, squares of entries may leave the range of doubles."""


def nonnegative_least_squares(matrix: Array, target: Array, rounds: int | None = None) -> Array:
    """Return λ (n,) of ``min ‖A λ - b‖₂, λ >= 0``, by Lawson and Hanson's method.

    Args:
        matrix: A (m, n).
        target: b (m,).
        rounds: steps at most; SciPy's own limit if None.

    Raises:
        RuntimeError: numbers that are not finite, or no end within ``rounds``.
    """
    from scipy.optimize import nnls

    if matrix.ndim != 2 or target.shape != matrix.shape[:1]:
        raise RuntimeError(f"A of shape {matrix.shape} and b of shape {target.shape} do not fit.")
    if not (np.all(np.isfinite(matrix)) and np.all(np.isfinite(target))):
        raise RuntimeError("The least squares have entries that are not finite.")
    largest, size = _largest(matrix), _largest(target)
    if largest == 0.0 or size == 0.0:
        return np.zeros(matrix.shape[1])
    if _near(largest) and _near(size):
        return np.asarray(nnls(matrix, target, maxiter=rounds)[0], dtype=np.float64)
    a, b = int(np.frexp(largest)[1]), int(np.frexp(size)[1])
    with np.errstate(over="ignore", under="ignore"):
        found = nnls(_shifted(matrix, -a), _shifted(target, -b), maxiter=rounds)[0]
        return _shifted(np.asarray(found, dtype=np.float64), b - a)


def nonnegative_or_bounded(matrix: Array, target: Array, rounds: int) -> tuple[Array, bool]:
    """Return λ of :func:`nonnegative_least_squares` and whether it ended within ``rounds``.

    Where it did not, λ of a method for bounds; 0 where entries are not finite.
    """
    try:
        return nonnegative_least_squares(matrix, target, rounds), True
    except RuntimeError:
        if not (np.all(np.isfinite(matrix)) and np.all(np.isfinite(target))):
            return np.zeros(matrix.shape[1]), False
        from scipy.optimize import lsq_linear

        found = lsq_linear(matrix, target, bounds=(0.0, np.inf), method="bvls", tol=1e-15)
        return np.maximum(np.asarray(found.x), 0.0), False


def _largest(x: Array) -> float:
    return float(np.max(np.abs(x), initial=0.0))


def _near(size: float) -> bool:
    return 1.0 / _FAR < size < _FAR


def _shifted(x: Array, exponent: int) -> Array:
    half = exponent // 2
    return np.asarray(np.ldexp(np.ldexp(x, half), exponent - half), dtype=np.float64)
