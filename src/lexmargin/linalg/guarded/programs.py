"""Linear, quadratic and conic programs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray

from lexmargin.linalg.guarded.entries import entering, entries_of

__all__ = ["TIGHT", "add_rows", "conic_program", "linear_program", "quadratic_program"]

Array = NDArray[np.float64]

TIGHT: Final = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
"""The tightest that HiGHS takes: looser multipliers prove less, their ranges are too wide."""
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


def add_rows(
    solver: Any, lower: Array, upper: Array, starts: Any, columns: Any, values: Array
) -> None:
    """Append rows ``l <= a·x <= u`` to a HiGHS model, in compressed form; bounds may be infinite.

    Raises:
        LinAlgError: a coefficient is not finite, or a bound is no number.
    """
    entering(values)
    if np.any(np.isnan(lower)) or np.any(np.isnan(upper)):
        raise LinAlgError("A bound of a row is no number.")
    solver.addRows(
        lower.size,
        np.ascontiguousarray(lower, dtype=np.float64),
        np.ascontiguousarray(upper, dtype=np.float64),
        values.size,
        starts.astype(np.int32),
        columns.astype(np.int32),
        values,
    )


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
