"""Max-min linear programs in HiGHS by row generation, warm-started by its dual simplex method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from lexmargin.backends.linear.simplex_solver import DUAL, PRIMAL
from lexmargin.errors import SolverFailedError
from lexmargin.linalg.faces import BoolArray
from lexmargin.linalg.guarded import add_rows
from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["MaxMin", "maximise_minimum"]

_PRICING = 5e-10
"""Slack from which a row is added: above HiGHS's own 1e-10, or it would add the same rows again."""
_MAX_ROUNDS = 500
"""Programs at most; each adds at least one row, so only a very hard face meets this (judgement)."""


@final
@dataclass(frozen=True, eq=False)
class MaxMin:
    """A vertex solution of ``max τ  s.t.  A x + r >= τ``, ``lo <= R x <= hi``, ``l <= x <= u``.

    Attributes:
        x, value: the solution and τ.
        multipliers: λ >= 0 of the rows of A, Σλ = 1.
        rows: multipliers of the rows of R; nonzero means active in every solution.
        columns: reduced costs of x; nonzero means at its bound in every solution.
        solves: how many linear programs were solved.
    """

    x: FloatArray
    value: float
    multipliers: FloatArray
    rows: FloatArray
    columns: FloatArray
    solves: int


def maximise_minimum(
    solver: Any,
    A: FloatArray,
    r: FloatArray,
    R: FloatArray,
    row_bounds: tuple[FloatArray, FloatArray],
    bounds: tuple[float, float],
    start: FloatArray,
    *,
    feasible: bool = False,
) -> MaxMin:
    """Solve ``max τ  s.t.  A x + r >= τ`` in a polytope, working on the rows that matter.

    Args:
        solver: a silent simplex solver; an earlier program in it is forgotten.
        A, r: (N, m) and (N,) rows of about unit size.
        R, row_bounds: (k, m) rows of the polytope, and their lower and upper bounds.
        bounds: of every x; infinite for none.
        start: (m,) a point near the solution; picks the first rows.
        feasible: x = 0 with τ = 0 satisfies every row and bound, so that the primal simplex method
            can start there; it needs a fraction of the dual one's steps.

    Raises:
        SolverFailedError: HiGHS does not answer "optimal".
    """
    import highspy

    count, size = A.shape
    solver.clearModel()
    solver.setOptionValue("presolve", "off" if feasible else "choose")
    solver.setOptionValue("simplex_strategy", PRIMAL if feasible else DUAL)
    infinity = highspy.kHighsInf
    lower, upper = (np.full(size + 1, np.clip(b, -infinity, infinity)) for b in bounds)
    lower[-1], upper[-1] = -infinity, infinity
    solver.addVars(size + 1, lower, upper)
    solver.changeColCost(size, -1.0)
    if R.shape[0]:
        add_rows(solver, np.hstack([R, np.zeros((R.shape[0], 1))]), *row_bounds)

    def add_samples(samples: IntArray) -> None:
        block = np.hstack([A[samples], np.full((samples.size, 1), -1.0)])
        add_rows(solver, block, -r[samples], np.full(samples.size, infinity))

    chosen: BoolArray = np.zeros(count, dtype=bool)
    batch = min(count, 2 * size + 50)
    order: list[int] = []
    fresh = np.argsort(A @ start + r, kind="stable")[:batch]
    for solves in range(1, _MAX_ROUNDS + 1):
        chosen[fresh] = True
        order.extend(int(n) for n in fresh)
        add_samples(fresh.astype(np.int64))
        solver.run()
        _require_optimal(solver, highspy)
        # Further rows leave the optimal basis dual feasible.
        solver.setOptionValue("simplex_strategy", DUAL)
        answer = solver.getSolution()
        values = np.asarray(answer.col_value, dtype=np.float64)
        x, level = values[:-1], float(values[-1])
        slack = A @ x + r - level
        bad = np.flatnonzero((slack < -_PRICING) & ~chosen)
        if bad.size == 0:
            duals = np.asarray(answer.row_dual, dtype=np.float64)
            multipliers = np.zeros(count)
            multipliers[order] = np.maximum(duals[R.shape[0] :], 0.0)
            total = float(multipliers.sum())
            if not (np.isfinite(total) and total > 0.5):
                raise SolverFailedError(
                    f"HiGHS gave multipliers with sum {total:g} instead of 1.",
                    "Rescale the data, or use method = 'ordered-sums'.",
                )
            columns = np.asarray(answer.col_dual, dtype=np.float64)[:-1]
            return MaxMin(x, level, multipliers / total, duals[: R.shape[0]], columns, solves)
        fresh = bad[np.argsort(slack[bad], kind="stable")[:batch]]
    raise SolverFailedError(
        "Row generation did not end.", "The data are scaled beyond what the LP solver resolves."
    )


def _require_optimal(solver: Any, highspy: Any) -> None:
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kOptimal:
        return
    # A basis left by earlier rows can be numerically useless; a cold start settles it.
    solver.clearSolver()
    solver.run()
    status = solver.getModelStatus()
    if status != highspy.HighsModelStatus.kOptimal:
        raise SolverFailedError(
            f"HiGHS ended with {solver.modelStatusToString(status)!r}.",
            "Rescale the data, or use method = 'ordered-sums'.",
        )
