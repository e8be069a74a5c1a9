"""The doors to SciPy's compiled solvers: what passes is finite, not empty, and of shapes that fit.

SciPy's non-negative least squares ends the process on NaN and on empty matrices, and its linear
programs raise. Nothing else in the package calls them.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["linear_program", "nonnegative_least_squares", "nonnegative_or_bounded"]

Array = NDArray[np.float64]

_FAR: Final = 1e100
"""Beyond this, or below its inverse, squares of entries may leave the range of doubles."""
_NUMERICAL: Final = 4
"""SciPy's status of a linear program given up for numerical reasons."""


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
    from scipy.optimize import lsq_linear

    try:
        return nonnegative_least_squares(matrix, target, rounds), True
    except RuntimeError:
        if not (np.all(np.isfinite(matrix)) and np.all(np.isfinite(target))):
            return np.zeros(matrix.shape[1]), False
        found = lsq_linear(matrix, target, bounds=(0.0, np.inf), method="bvls", tol=1e-15)
        return np.maximum(np.asarray(found.x), 0.0), False


def linear_program(cost: Array, **parts: Any) -> Any:
    """Return SciPy's answer to ``min c·x`` with its other arguments; x None where none was found.

    Numbers that are not finite are such a case; bounds alone may be infinite.
    """
    from scipy.optimize import linprog

    arrays = [cost, *(parts[name] for name in ("A_ub", "b_ub", "A_eq", "b_eq") if name in parts)]
    if not all(np.all(np.isfinite(_entries(array))) for array in arrays):
        return SimpleNamespace(x=None, status=_NUMERICAL, fun=None, message="not finite")
    return linprog(cost, **parts)


def _entries(array: Any) -> Any:
    return getattr(array, "data", array) if hasattr(array, "tocsr") else array


def _largest(x: Array) -> float:
    return float(np.max(np.abs(x), initial=0.0))


def _near(size: float) -> bool:
    return 1.0 / _FAR < size < _FAR


def _shifted(x: Array, exponent: int) -> Array:
    half = exponent // 2
    return np.asarray(np.ldexp(np.ldexp(x, half), exponent - half), dtype=np.float64)
