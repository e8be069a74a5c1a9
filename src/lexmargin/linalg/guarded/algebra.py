"""Factorisations, eigenvalues, and solutions of linear systems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray

from lexmargin.linalg.guarded.entries import entering

__all__ = [
    "cholesky_factor",
    "cholesky_solved",
    "least_norm",
    "minimal_residual",
    "packed_cholesky",
    "packed_solved",
    "pivot_rows",
    "pivoted_qr",
    "reciprocal_condition",
    "semidefinite_factor",
    "smallest_eigenvector",
    "solved_triangle",
    "sparse_least_squares",
    "spectrum",
]

Array = NDArray[np.float64]

_FEW: Final = 4
"""Unknowns of a triangle that are found sooner than SciPy's factorisations are imported."""


def least_norm(matrix: Array, right: Array, cutoff: float) -> Array:
    """Return the x of least norm among the minimisers of ``‖A x - b‖₂``, by pivoted QR (xGELSY).

    Args:
        matrix: A (m, n).
        right: b (m,).
        cutoff: reciprocal condition number beyond which A counts as singular.

    Returns:
        x (n,), NaN where numbers are not finite: no step.
    """
    from scipy.linalg import lstsq

    if matrix.ndim != 2 or right.shape != matrix.shape[:1]:
        raise LinAlgError(f"A of shape {matrix.shape} and b of shape {right.shape} do not fit.")
    if not matrix.size:
        return np.zeros(matrix.shape[1])
    if not (np.all(np.isfinite(matrix)) and np.all(np.isfinite(right))):
        return np.full(matrix.shape[1], np.nan)
    return np.asarray(lstsq(matrix, right, cond=cutoff, lapack_driver="gelsy")[0])


def pivoted_qr(matrix: Array, economic: bool = True) -> tuple[Array, Array, NDArray[np.intp]]:
    """Return Q, R and the order of the columns in ``A P = Q R`` (Q square unless economic).

    Raises:
        LinAlgError: an entry is not finite.
    """
    from scipy.linalg import qr

    entering(matrix)
    rows, columns = matrix.shape
    if not matrix.size:
        size = min(rows, columns) if economic else rows
        return np.eye(rows, size), np.zeros((size, columns)), np.arange(columns)
    q, r, order = qr(matrix, mode="economic" if economic else "full", pivoting=True)
    return np.asarray(q), np.asarray(r), np.asarray(order, dtype=np.intp)


def pivot_rows(matrix: Array) -> NDArray[np.intp]:
    """Return the order (m,) in which Gaussian elimination of A (m, n) takes rows as its pivots.

    Raises:
        LinAlgError: an entry is not finite.
    """
    from scipy.linalg import lapack

    entering(matrix)
    order = np.arange(matrix.shape[0])
    if matrix.size:
        for k, other in enumerate(lapack.dgetrf(matrix)[1].tolist()):
            order[[k, other]] = order[[other, k]]
    return order


def solved_triangle(
    triangle: Array, right: Array, *, lower: bool = False, transposed: bool = False
) -> Array:
    """Return x with ``T x = b``, or ``Tᵀ x = b``; NaN where numbers are not finite.

    Raises:
        LinAlgError: an entry of the diagonal is 0.
    """
    diagonal = np.diagonal(triangle)
    if not (np.all(np.isfinite(right)) and np.all(np.isfinite(diagonal))):
        return np.full(right.shape, np.nan)
    if not right.size:
        return np.zeros(right.shape)
    if diagonal.size <= _FEW:
        return _substituted(triangle.T if transposed else triangle, right, lower is not transposed)
    from scipy.linalg import lapack

    # Of a factor the diagonal is lost first: each of its entries is made of a whole column.
    if not triangle.flags.f_contiguous:
        triangle, lower, transposed = triangle.T, not lower, not transposed
    # The routine itself: what SciPy checks around it takes ten times as long for small ones.
    found, failed = lapack.dtrtrs(triangle, right, lower=lower, trans=transposed)
    if failed:
        raise LinAlgError("The triangle is singular.")
    return np.asarray(found)


def _substituted(triangle: Array, right: Array, lower: bool) -> Array:
    """Return x with ``T x = b`` row by row."""
    if not np.all(np.diagonal(triangle)):
        raise LinAlgError("The triangle has a 0 on its diagonal.")
    found = np.array(right, dtype=np.float64)
    order = range(found.shape[0])
    for k in order if lower else reversed(order):
        known = slice(0, k) if lower else slice(k + 1, None)
        found[k] = (found[k] - triangle[k, known] @ found[known]) / triangle[k, k]
    return found


def cholesky_factor(matrix: Array) -> Array:
    """Return L with ``A = L Lᵀ``.

    Raises:
        LinAlgError: an entry is not finite, or A is not positive definite.
    """
    from scipy.linalg import cholesky

    entering(matrix)
    return np.asarray(cholesky(matrix, lower=True)) if matrix.size else matrix


def cholesky_solved(factor: Array, right: Array) -> Array:
    """Return x with ``L Lᵀ x = b``; NaN where b is not finite."""
    from scipy.linalg import cho_solve

    if not np.all(np.isfinite(right)):
        return np.full(right.shape, np.nan)
    return np.asarray(cho_solve((factor, True), right)) if right.size else right


def semidefinite_factor(matrix: Array, cutoff: float) -> Array:
    """Return C (n, r) with ``A = C Cᵀ`` up to ``cutoff`` times the largest entry, by pivots.

    Raises:
        LinAlgError: an entry is not finite.
    """
    from scipy.linalg import lapack

    entering(matrix)
    largest = float(np.max(np.diagonal(matrix), initial=0.0))
    if not largest > 0.0:
        return np.zeros((matrix.shape[0], 0))
    factor, order, rank, _ = lapack.dpstrf(matrix, tol=cutoff * largest, lower=1)
    found = np.empty((matrix.shape[0], rank))
    found[order - 1] = np.tril(factor)[:, :rank]
    return found


def spectrum(matrix: Array) -> tuple[Array, Array]:
    """Return the eigenvalues of a symmetric matrix, increasing, and its eigenvectors.

    Raises:
        LinAlgError: an entry is not finite.
    """
    from scipy.linalg import eigh

    entering(matrix)
    values, vectors = eigh(matrix)
    return np.asarray(values), np.asarray(vectors)


def packed_cholesky(matrix: Array) -> Array | None:
    """Return LAPACK's factor of a symmetric A, which it may overwrite; None unless positive."""
    from scipy.linalg import lapack

    if not matrix.size or not np.all(np.isfinite(matrix)):
        return None
    # The transpose of a symmetric matrix is itself, in the order that LAPACK wants.
    factor, failed = lapack.dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
    return None if failed else np.asarray(factor)


def packed_solved(factor: Array, right: Array) -> Array:
    """Return x with ``A x = b`` for a factor of :func:`packed_cholesky`."""
    from scipy.linalg import lapack

    entering(right)
    return np.asarray(lapack.dpotrs(factor, right, lower=1)[0])


def reciprocal_condition(factor: Array, norm: float) -> float:
    """Return the reciprocal condition number of A with 1-norm ``norm``, from its factor."""
    from scipy.linalg import lapack

    return float(lapack.dpocon(factor, norm, uplo="L")[0]) if np.isfinite(norm) else 0.0


def sparse_least_squares(matrix: Any, right: Array, tolerance: float, rounds: int) -> Array:
    """Return x that nearly minimises ``‖A x - b‖₂`` for a sparse A, by LSQR.

    Raises:
        LinAlgError: an entry is not finite.
    """
    from scipy.sparse.linalg import lsqr

    entering(matrix, right)
    return np.asarray(lsqr(matrix, right, atol=tolerance, btol=tolerance, iter_lim=rounds)[0])


def minimal_residual(
    product: Callable[[Array], Array], right: Array, tolerance: float, rounds: int
) -> Array:
    """Return x that nearly solves ``A x = b`` for a symmetric A known by products, by MINRES.

    NaN where b is not finite.
    """
    from scipy.sparse.linalg import LinearOperator, minres

    if not np.all(np.isfinite(right)):
        return np.full(right.shape, np.nan)
    operator = LinearOperator((right.size, right.size), matvec=product, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(minres(operator, right, rtol=tolerance, maxiter=rounds)[0])


def smallest_eigenvector(
    product: Callable[[Array], Array], start: Array, basis: int, restarts: int, tolerance: float
) -> Array | None:
    """Return an eigenvector of the smallest eigenvalue of a symmetric A known by products.

    By Lanczos's method; None where it does not converge, or has fewer than three dimensions.
    """
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

    size = start.size
    if size < 3 or not np.all(np.isfinite(start)) or not np.any(start):
        return None
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    try:
        found = eigsh(
            operator, k=1, which="SA", v0=start, ncv=min(size, basis), maxiter=restarts,
            tol=tolerance,
        )[1]  # fmt: skip
    except ArpackError:
        return None
    return np.asarray(found[:, 0]) if np.all(np.isfinite(found)) else None
