"""Linear, quadratic and conic programs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray

from lexmargin.linalg.guarded.entries import entering, entries_of

__all__ = ["add_columns", "add_rows", "conic_program", "linear_program", "quadratic_program"]

Array = NDArray[np.float64]

_NUMERICAL: Final = 4
"""SciPy's status of a linear program given up for numerical reasons."""


def linear_program(cost: Array, **parts: Any) -> Any:
    """Return SciPy's answer to ``min c·x`` with its other arguments; x None where none was found.

    Numbers that are not finite are such a case; bounds alone may be infinite.
    """
    from scipy.optimize import linprog

    arrays = [cost, *(parts[name] for name in ("A_ub", "b_ub", "A_eq", "b_eq") if name in parts)]
    if not all(np.all(np.isfinite(entries_of(array))) for array in arrays):
        return SimpleNamespace(x=None, status=_NUMERICAL, fun=None, message="not finite")
    return linprog(cost, **parts)


def quadratic_program(
    hessian: Array, linear: Array, rows: Array, upper: Array, lower: Array, **options: Any
) -> tuple[Array, int, Any] | None:
    """Return DAQP's x, its exit flag and details of ``min ½ xᵀHx + c·x, l <= A x <= u``.

    None where numbers are not finite. ``sense`` and ``dual_start`` are among the options.
    """
    import daqp

    given = [hessian, linear, rows, upper, lower]
    start = options.get("dual_start")
    if not all(np.all(np.isfinite(x)) for x in ([*given] if start is None else [*given, start])):
        return None
    x, _, flag, details = daqp.solve(*given, **options)
    return np.asarray(x), int(flag), details


def add_rows(solver: Any, block: Any, lower: Array, upper: Array) -> None:
    """Append rows ``l <= a·x <= u`` to a HiGHS model, dense or CSR; bounds may be infinite.

    Raises:
        LinAlgError: a coefficient is not finite, or a bound is no number.
    """
    starts, places, values = _entering_rows(block, lower, upper)
    solver.addRows(lower.size, lower, upper, values.size, starts, places, values)


def add_columns(solver: Any, block: Any, cost: Array, lower: Array, upper: Array) -> None:
    """Append variables to a HiGHS model; the rows of ``block`` are their columns, dense or CSR.

    Raises:
        LinAlgError: as :func:`add_rows`.
    """
    starts, places, values = _entering_rows(block, lower, upper)
    entering(cost)
    solver.addCols(lower.size, cost, lower, upper, values.size, starts, places, values)


def _entering_rows(block: Any, lower: Array, upper: Array) -> tuple[Any, Any, Array]:
    """Return the starts, places and values of the entries that are not 0, row by row."""
    if hasattr(block, "indptr"):
        starts, places, values = block.indptr[:-1], block.indices, block.data
    else:
        nonzero = block != 0.0
        starts = np.concatenate([[0], np.cumsum(np.count_nonzero(nonzero, axis=1))[:-1]])
        places, values = np.nonzero(nonzero)[1], block[nonzero]
    entering(values)
    if np.any(np.isnan(lower)) or np.any(np.isnan(upper)):
        raise LinAlgError("A bound is no number.")
    return starts.astype(np.int32), places.astype(np.int32), np.asarray(values, dtype=np.float64)


def conic_program(
    quadratic: Any, cost: Array, matrix: Any, right: Array, cones: list[Any], settings: Any
) -> Any:
    """Return Clarabel's answer to ``min ½ xᵀPx + c·x, A x + s = b``, s in the cones.

    Raises:
        LinAlgError: an entry is not finite.
    """
    import clarabel

    entering(quadratic, cost, matrix, right)
    return clarabel.DefaultSolver(quadratic, cost, matrix, right, cones, settings).solve()
