"""Peers for linear hard margins: what somebody would write instead, in a few lines each.

All take rows ``Z`` (N, d) with ``z_n = y_n x_n``, dense or CSR, and labels ``y`` where a bias is
free (None where it is 0), and return θ, the bias last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from scipy import sparse
from scipy.linalg import qr, solve_triangular

from lexmargin.ops.base import FloatArray

__all__ = [
    "LIBSVM",
    "Solver",
    "clarabel_direct",
    "cutting_plane",
    "daqp_all_rows",
    "gram_daqp",
    "highspy_margin",
    "least_distance_nnls",
    "libsvm",
    "qr_daqp",
    "signed",
    "through_cvxpy",
]

LIBSVM: Final = "LIBSVM C=1e8, tol 1e-8"
Solver = Callable[[Any, "FloatArray | None"], FloatArray]


def through_cvxpy(solver: str, norm: float = 2.0, **words: float) -> Solver:
    """Return the problem in CVXPY, to be solved by ``solver``."""

    def solve(Z: Any, y: FloatArray | None) -> FloatArray:
        import cvxpy as cp

        w, b = cp.Variable(Z.shape[1]), cp.Variable()
        scores = Z @ w if y is None else Z @ w + y * b
        cost = 0.5 * cp.sum_squares(w) if norm == 2.0 else cp.norm(w, norm)
        cp.Problem(cp.Minimize(cost), [scores >= 1]).solve(solver=solver, **words)
        return np.asarray(w.value) if y is None else np.append(w.value, b.value)

    return solve


def clarabel_direct(Z: Any, y: FloatArray | None) -> FloatArray:
    """Clarabel itself, without a modelling layer."""
    import clarabel

    n, d = Z.shape
    columns = [sparse.csc_array(Z)] + ([] if y is None else [sparse.csc_array(y[:, None])])
    A = sparse.csc_matrix(-sparse.hstack(columns))
    weights = np.append(np.ones(d), np.zeros(A.shape[1] - d))
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_rel = settings.tol_feas = 1e-10
    P = sparse.csc_matrix(sparse.diags_array(weights))
    cones = [clarabel.NonnegativeConeT(n)]
    found = clarabel.DefaultSolver(P, np.zeros(A.shape[1]), A, -np.ones(n), cones, settings).solve()
    return np.asarray(found.x)


def daqp_all_rows(Z: Any, y: FloatArray | None) -> FloatArray:
    """DAQP on all rows."""
    import daqp

    A = np.ascontiguousarray(Z if isinstance(Z, np.ndarray) else Z.toarray())
    weights = np.ones(A.shape[1])
    if y is not None:
        A, weights = np.column_stack([A, y]), np.append(weights, 0.0)
    above = np.full(len(A), 1e30)
    found = daqp.solve(
        np.diag(weights), np.zeros(len(weights)), A, above, np.ones(len(A)),
        np.zeros(len(A), dtype=np.int32), primal_tol=1e-10,
    )  # fmt: skip
    if found[2] < 1:
        raise RuntimeError(f"exit flag {found[2]}")
    return np.asarray(found[0])


def cutting_plane(Z: Any, y: FloatArray | None) -> FloatArray:
    """DAQP on few rows; the most violated of all rows enter until none is."""
    n, d = Z.shape
    step = max(50, 2 * min(d, 500))
    inside = np.zeros(n, dtype=bool)
    inside[:: max(1, n // step)] = True
    for _ in range(200):
        rows = np.flatnonzero(inside)
        theta = daqp_all_rows(Z[rows], None if y is None else y[rows])
        f = Z @ theta[:d] + (0.0 if y is None else y * theta[d])
        worst = np.argsort(f)[:step]
        entering = worst[(f[worst] < 1.0 - 1e-9) & ~inside[worst]]
        if not entering.size:
            return theta
        inside[entering] = True
    raise RuntimeError("200 rounds")


def qr_daqp(Z: Any, y: FloatArray | None) -> FloatArray:
    """A thin QR of Zᵀ, then DAQP in its N coordinates."""
    Q, R = qr(Z.T, mode="economic")
    inner = daqp_all_rows(np.ascontiguousarray(R.T), y)
    return np.append(Q @ inner[: Q.shape[1]], inner[Q.shape[1] :])


def gram_daqp(Z: Any, y: FloatArray | None) -> FloatArray:
    """Z Zᵀ and its Cholesky factor L, then DAQP in ``v = Lᵀ λ``."""
    L = np.linalg.cholesky(np.asarray(Z @ Z.T))
    inner = daqp_all_rows(L, y)
    coefficients = solve_triangular(L.T, inner[: len(L)], lower=False)
    return np.append(Z.T @ coefficients, inner[len(L) :])


def least_distance_nnls(Z: Any, y: FloatArray | None) -> FloatArray:
    """Lawson and Hanson's least distance program by scipy's nnls, without a bias."""
    from scipy.optimize import nnls

    E = np.vstack([Z.T, np.ones(len(Z))])
    goal = np.append(np.zeros(Z.shape[1]), 1.0)
    rest = E @ nnls(E, goal)[0] - goal
    return np.asarray(-rest[:-1] / rest[-1])


def highspy_margin(norm: float) -> Solver:
    """Return ``max t s.t. Zθ >= t, ‖θ‖ <= 1`` for the norms 1 and inf in highspy itself."""

    def solve(Z: Any, y: FloatArray | None) -> FloatArray:
        import highspy

        n, d = Z.shape
        A = np.hstack([Z, -Z] if norm == 1 else [Z])
        k = A.shape[1]
        A = np.hstack([A, -np.ones((n, 1))])
        if norm == 1:
            A = np.vstack([A, np.append(np.ones(k), 0.0)])
        columns = sparse.csc_matrix(A)
        infinite = highspy.kHighsInf
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = k + 1, len(A)
        model.sense_ = highspy.ObjSense.kMaximize
        model.col_cost_ = np.append(np.zeros(k), 1.0)
        model.col_lower_ = np.append(np.full(k, 0.0 if norm == 1 else -1.0), -infinite)
        model.col_upper_ = np.append(np.full(k, infinite if norm == 1 else 1.0), infinite)
        model.row_lower_ = np.append(np.zeros(n), [1.0] * (norm == 1))
        model.row_upper_ = np.append(np.full(n, infinite), [1.0] * (norm == 1))
        model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        model.a_matrix_.start_ = columns.indptr
        model.a_matrix_.index_ = columns.indices
        model.a_matrix_.value_ = columns.data
        highs = highspy.Highs()
        highs.setOptionValue("output_flag", False)
        highs.passModel(model)
        highs.run()
        x = np.asarray(highs.getSolution().col_value)[:k]
        return x[:d] - x[d:] if norm == 1 else x

    return solve


def libsvm(Z: Any, y: FloatArray | None) -> FloatArray:
    """LIBSVM with a large C and its tolerance at 1e-8; it always has a bias."""
    from sklearn.svm import SVC

    assert y is not None
    X = Z * y[:, None] if isinstance(Z, np.ndarray) else sparse.csr_matrix(sparse.diags(y) @ Z)
    found = SVC(kernel="linear", C=1e8, tol=1e-8, cache_size=2000).fit(X, y)
    w = found.coef_
    w = w if isinstance(w, np.ndarray) else w.toarray()
    return np.append(np.asarray(w, dtype=float), found.intercept_)


def signed(X: Any, y: FloatArray) -> Any:
    """Return the rows ``z_n = y_n x_n``."""
    return y[:, None] * X if isinstance(X, np.ndarray) else sparse.csr_array(sparse.diags(y) @ X)
