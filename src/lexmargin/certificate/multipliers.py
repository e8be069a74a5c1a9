"""Multipliers of a direction by non-negative least squares, and what they prove."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import cast, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.certificate.norms import Array, vector_norm
from lexmargin.errors import ShapeError

__all__ = [
    "LeastSquares",
    "MultiplierMethod",
    "compressed",
    "nonnegative_multipliers",
    "normalised_rows",
    "smallest_hull_point",
    "spread",
]

_EPS = float(np.finfo(np.float64).eps)
_QR_LIMIT = 4e9
_EXTENDED_LIMIT = 20_000_000


@final
class MultiplierMethod(StrEnum):
    """How the non-negative least-squares problem was solved."""

    EMPTY = "empty"
    """No row with a non-zero gradient: λ = 0."""
    ORTHOGONAL = "orthogonal"
    """By orthogonal factorisations of the gradients."""
    GRAM = "gram"
    """Through `K = J Jᵀ`, which squares the condition number, then refined with J."""
    LINEAR_PROGRAM = "linear-program"
    """By a linear program (polyhedral norms)."""


@final
@dataclass(frozen=True, eq=False)
class LeastSquares:
    """λ ≥ 0 with its measured residual and a proven lower bound on every residual.

    multipliers
        λ (S,).
    residual
        ‖t - Jᵀλ‖₂, recomputed from J.
    lower
        no λ ≥ 0 has a residual below this (0 when nothing is proven).
    floor
        rounding error that ``residual`` may carry.
    method, converged
        how λ was found, and whether the method itself finished.
    """

    multipliers: Array
    residual: float
    lower: float
    floor: float
    method: MultiplierMethod
    converged: bool


def normalised_rows(jacobian: Array) -> tuple[Array, Array]:
    """Return the rows of J divided by their ℓ2 norms, and the norms (0 for zero rows)."""
    largest = np.max(np.abs(jacobian), axis=1, initial=0.0)
    exponents: NDArray[np.int32] = np.frexp(largest)[1]
    rows: Array = np.ldexp(jacobian, -exponents[:, None])
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    divisors: Array = np.where(norms > 0.0, norms, 1.0)
    return rows / divisors[:, None], np.ldexp(norms, exponents)


def compressed(rows: Array, target: Array) -> tuple[Array, Array]:
    """Return (A, b) with ‖A λ - b‖ = ‖rowsᵀ λ - target‖ for all λ and as few rows as possible."""
    count, dimension = rows.shape
    if dimension <= count + 1:
        return rows.T, target
    # One factorisation of [rowsᵀ, t] rotates both and never forms rows · rowsᵀ.
    triangle = np.asarray(np.linalg.qr(np.column_stack([rows.T, target]), mode="r"))
    return triangle[:, :count], triangle[:, count]


def _solve_nnls(matrix: Array, target: Array) -> tuple[Array, bool]:
    from scipy.optimize import lsq_linear, nnls

    count = matrix.shape[1]
    try:
        return np.asarray(nnls(matrix, target, maxiter=30 * count + 100)[0]), True
    except RuntimeError:
        found = lsq_linear(matrix, target, bounds=(0.0, np.inf), method="bvls", tol=1e-15)
        return np.maximum(np.asarray(found.x), 0.0), False


def _refined(matrix: Array, target: Array, values: Array) -> Array:
    """One step of least squares on the passive set, kept only where it stays feasible and helps."""
    passive = np.flatnonzero(values > 0.0)
    if passive.size == 0:
        return values
    columns = matrix[:, passive]
    residual = target - columns @ values[passive]
    step = np.linalg.lstsq(columns, residual, rcond=None)[0]
    moved = values.copy()
    moved[passive] += step
    if np.any(moved < 0.0):
        return values
    return (
        moved if np.linalg.norm(residual - columns @ step) <= np.linalg.norm(residual) else values
    )


def _by_gram(rows: Array, target: Array) -> tuple[Array, bool]:
    gram, products = rows @ rows.T, rows @ target
    weights, vectors = np.linalg.eigh(gram)
    kept = weights > rows.shape[0] * _EPS * weights[-1]
    roots = np.sqrt(weights[kept])
    square_root = roots[:, None] * vectors[:, kept].T
    values, converged = _solve_nnls(square_root, (vectors[:, kept].T @ products) / roots)
    for _ in range(2):
        passive = np.flatnonzero(values > 0.0)
        if passive.size == 0:
            break
        residual = target - rows[passive].T @ values[passive]
        step = np.linalg.lstsq(
            gram[np.ix_(passive, passive)], rows[passive] @ residual, rcond=1e-14
        )[0]
        moved = values.copy()
        moved[passive] += step
        better = np.linalg.norm(target - rows.T @ moved) <= np.linalg.norm(residual)
        if np.any(moved < 0.0) or not better:
            break
        values = moved
    return values, converged


def _measured(jacobian: Array, target: Array, values: Array) -> tuple[Array, float]:
    """Return (t - Jᵀλ, bound on its rounding error), in extended precision where affordable."""
    used = np.flatnonzero(values)
    rows = jacobian[used]
    sizes = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    mass = float(np.abs(values[used]) @ sizes) + float(np.linalg.norm(target))
    if rows.size <= _EXTENDED_LIMIT:
        wide = np.longdouble
        residual = target.astype(wide) - values[used].astype(wide) @ rows.astype(wide)
        eps = float(np.finfo(wide).eps)
        return residual.astype(np.float64), (used.size + 2) * eps * mass
    return target - values[used] @ rows, (used.size + 2) * _EPS * mass


def _lower_bound(rows: Array, target: Array, residual: Array, interior: Array | None) -> float:
    """Return a lower bound on ‖t - Jᵀλ‖ over λ ≥ 0 by duality.

    Every r with `J r ≤ 0` gives `‖t - Jᵀλ‖ ≥ r·t/‖r‖`. The computed residual satisfies this up to
    rounding, or fails it where λ is not optimal; moving along a direction v with `J v > 0` repairs
    it, so that the bound holds whatever the quality of λ.
    """
    if interior is None or not np.any(residual):
        return 0.0
    slopes, excess = rows @ interior, rows @ residual
    # Rounding in the two products above is paid for before the repair is measured.
    excess = excess + 4.0 * _EPS * math.sqrt(rows.shape[1]) * float(np.linalg.norm(residual))
    slopes = slopes - 4.0 * _EPS * math.sqrt(rows.shape[1]) * float(np.linalg.norm(interior))
    if np.any(slopes <= 0.0):
        return 0.0
    repaired = residual - max(0.0, float(np.max(excess / slopes))) * interior
    length = float(np.linalg.norm(repaired))
    return max(0.0, float(repaired @ target) / length) if length > 0.0 else 0.0


def nonnegative_multipliers(
    jacobian: Array,
    target: Array,
    interior: Array | None = None,
    method: MultiplierMethod | None = None,
) -> LeastSquares:
    """Solve `λ = argmin_{λ ≥ 0} ‖t - Jᵀλ‖₂` (math §3) and measure the answer.

    Parameters
    ----------
    jacobian : (S, d) gradients of the support.
    target : (d,) the vector to be represented, θ̂ for the ℓ2 ball.
    interior : (d,) a direction with J v > 0 (θ̂ itself, by Euler); gives ``lower`` its proof.
    method : ORTHOGONAL or GRAM; by size when None.

    Returns
    -------
    LeastSquares
        the residual is recomputed from J whatever solved the problem.

    Raises
    ------
    ShapeError
        when the jacobian and the target do not fit.
    """
    if jacobian.ndim != 2 or target.shape != (jacobian.shape[1],):
        raise ShapeError(
            f"The jacobian has shape {jacobian.shape} and the target {target.shape}.",
            "The jacobian needs one column per entry of the target.",
        )
    values = np.zeros(jacobian.shape[0])
    # scipy's nnls ends the process on (d, 0) and returns garbage on (0, n).
    if jacobian.size == 0 or not np.any(jacobian):
        length = vector_norm(target, 2.0)
        return LeastSquares(values, length, length, 0.0, MultiplierMethod.EMPTY, True)
    rows, norms = normalised_rows(jacobian)
    live = np.flatnonzero(norms > 0.0)
    rows, count = rows[live], live.size
    if method is None:
        heavy = jacobian.shape[1] > count and jacobian.shape[1] * float(count) ** 2 > _QR_LIMIT
        method = MultiplierMethod.GRAM if heavy else MultiplierMethod.ORTHOGONAL
    if method is MultiplierMethod.GRAM:
        found, converged = _by_gram(rows, target)
    else:
        matrix, vector = compressed(rows, target)
        found, converged = _solve_nnls(matrix, vector)
        found = _refined(matrix, vector, found)
    values[live] = np.maximum(found, 0.0) / norms[live]
    residual, floor = _measured(jacobian, target, values)
    return LeastSquares(
        values,
        vector_norm(residual, 2.0),
        _lower_bound(rows, target, residual, interior),
        floor,
        method,
        converged,
    )


def smallest_hull_point(rows: Array) -> tuple[Array, float]:
    """Return p ≥ 0 with Σp = 1 that minimises ‖rowsᵀ p‖₂, and that minimum.

    By the least-distance form of Lawson and Hanson (1974, ch. 23): `min ‖rowsᵀλ‖² + (Σλ - 1)²`
    over λ ≥ 0 has its solution on the ray of p.
    """
    count = rows.shape[0]
    if rows.size == 0:
        return np.full(count, 1.0 / max(count, 1)), 0.0
    scale = float(np.max(np.abs(rows))) or 1.0
    lifted = np.column_stack([rows / scale, np.ones(count)])
    target = np.zeros(rows.shape[1] + 1)
    target[-1] = 1.0
    found = nonnegative_multipliers(lifted, target).multipliers
    total = float(np.sum(found))
    weights = found / total if total > 0.0 else np.full(count, 1.0 / count)
    return weights, vector_norm(weights @ rows, 2.0)


def spread(indices: NDArray[np.intp], count: int, values: Array) -> Array:
    """Return ``values`` spread over all samples, zero outside ``indices``."""
    full = np.zeros(count)
    full[indices] = values
    return cast(Array, full)
