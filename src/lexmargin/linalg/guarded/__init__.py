"""The doors to compiled solvers: what passes is finite, not empty, and of shapes that fit.

Nothing else in the package calls SciPy's solvers, DAQP or Clarabel, or gives HiGHS its rows.
"""

from __future__ import annotations

from lexmargin.linalg.guarded.algebra import (
    cholesky_factor,
    cholesky_solved,
    least_norm,
    minimal_residual,
    packed_cholesky,
    packed_solved,
    pivot_rows,
    pivoted_qr,
    reciprocal_condition,
    smallest_eigenvector,
    solved_triangle,
    sparse_least_squares,
    spectrum,
)
from lexmargin.linalg.guarded.entries import entering
from lexmargin.linalg.guarded.least_squares import nonnegative_least_squares, nonnegative_or_bounded
from lexmargin.linalg.guarded.minimisers import least_between, minimised, root_between, stepper
from lexmargin.linalg.guarded.programs import (
    add_columns,
    add_rows,
    conic_program,
    linear_program,
    quadratic_program,
)

__all__ = [
    "add_columns",
    "add_rows",
    "cholesky_factor",
    "cholesky_solved",
    "conic_program",
    "entering",
    "least_between",
    "least_norm",
    "linear_program",
    "minimal_residual",
    "minimised",
    "nonnegative_least_squares",
    "nonnegative_or_bounded",
    "packed_cholesky",
    "packed_solved",
    "pivot_rows",
    "pivoted_qr",
    "quadratic_program",
    "reciprocal_condition",
    "root_between",
    "smallest_eigenvector",
    "solved_triangle",
    "sparse_least_squares",
    "spectrum",
    "stepper",
]
