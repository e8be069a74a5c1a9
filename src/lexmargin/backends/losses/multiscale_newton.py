"""Newton steps for weights of very different size: levels of a log-sum-exp told apart.

With weights ``p_n = e^{l_n}`` the gradient ``Σ p_n r_n`` of a log-sum-exp along a direction that
the heavy rows do not see is decided by rows that may weigh e^{-1000}: summed naively it drowns in
the rounding errors of the heavy ones. An orthogonal basis is built from the heaviest row down, so
that a heavy row is exactly zero along later directions, and every equation is divided by its own
weight. Rows of one weight or of a thousand nats apart are then treated alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.ops.base import FloatArray

__all__ = ["GradedBasis", "graded_basis", "graded_step", "leading_slopes"]

_EXHAUSTED = 1e-10
"""Relative rest of a row that counts as spanned: looser drops levels, tighter keeps noise."""
_NOISE = 1e-12
"""Error of a product of graded factors, relative to its terms: what is below it is set to 0."""


@final
@dataclass(frozen=True, eq=False)
class GradedBasis:
    """Rows in a basis ordered by weight.

    Attributes:
        directions: orthonormal columns (m, k), the direction of the heaviest row first.
        rows: the rows in it (N, k); exactly 0 beyond the point where a row is exhausted.
        pivots: the row that introduced each direction (k,).
        levels: log of the largest ``p_n |rows[n, j]|`` of each direction (k,).
    """

    directions: FloatArray
    rows: FloatArray
    pivots: list[int]
    levels: FloatArray


def graded_basis(rows: FloatArray, log_weights: FloatArray) -> GradedBasis:
    """Return the basis of the rows (N, m) in order of decreasing weight."""
    count, size = rows.shape
    residual = rows.copy()
    lengths = np.linalg.norm(rows, axis=1)
    alive = lengths > 0
    directions = np.zeros((size, min(count, size)))
    coordinates = np.zeros((count, min(count, size)))
    pivots: list[int] = []
    for j in range(min(count, size)):
        # A row within the span of heavier ones is zero from here on, not rounding noise.
        alive &= np.linalg.norm(residual, axis=1) > _EXHAUSTED * lengths
        if not alive.any():
            break
        pivot = int(np.flatnonzero(alive)[np.argmax(log_weights[alive])])
        q = residual[pivot]
        q = q - directions[:, :j] @ (directions[:, :j].T @ q)
        q = q / np.linalg.norm(q)
        directions[:, j] = q
        pivots.append(pivot)
        coordinates[alive, j] = residual[alive] @ q
        residual = residual - np.outer(residual @ q, q)
    k = len(pivots)
    coordinates = coordinates[:, :k]
    with np.errstate(divide="ignore"):
        levels = np.max(log_weights[:, None] + np.log(np.abs(coordinates)), axis=0, initial=-np.inf)
    return GradedBasis(directions[:, :k], coordinates, pivots, levels)


def graded_step(
    basis: GradedBasis,
    log_weights: FloatArray,
    log_curvatures: FloatArray,
    terms: FloatArray,
) -> tuple[FloatArray, float]:
    """Return the Newton step of ``Σ_n p_n`` and the size of its scaled gradient.

    ``log_weights`` are those of the gradient ``Σ p_n r_n``, ``log_curvatures`` those of the
    Hessian ``Σ h_m t_m t_mᵀ``, with terms t (M, k) in the coordinates of the basis: its rows, or
    their differences. The step solves ``H s = Σ p_n r_n``, each equation divided by its level.
    """
    if not basis.pivots:
        return np.zeros(basis.directions.shape[0]), 0.0
    scale = basis.levels[None, :]
    with np.errstate(under="ignore"):
        gradient = np.sum(_scaled(log_weights, scale, basis.rows), axis=0)
        weighted = _scaled(log_curvatures, scale, terms)
        matrix = weighted.T @ terms
    sizes = np.abs(basis.rows).max(axis=0)
    scaled = matrix / sizes[None, :]
    try:
        step = np.linalg.solve(scaled, gradient) / sizes
    except np.linalg.LinAlgError:
        # Levels so far apart that rounding leaves a column of the lower ones empty.
        step = np.linalg.lstsq(scaled, gradient, rcond=None)[0] / sizes
    return basis.directions @ step, float(np.max(np.abs(gradient)))


def leading_slopes(
    basis: GradedBasis, log_weights: FloatArray, changes: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return, per column d of ``changes`` (N, c), the level and the relative size of ``Σ p_n d_n``.

    At a stationary point of the rows any combination of them may be added to d; the one chosen
    removes the heaviest rows from d, because their balance is what rounding errors hide. ``sizes``
    (in [-1, 1]) is the sum divided by the sum of absolute values; 0 where nothing is left.
    """
    left = changes
    size = np.abs(changes)
    if basis.pivots:
        triangle = basis.rows[basis.pivots]
        y = np.linalg.solve(np.tril(triangle), changes[basis.pivots])
        left = changes - basis.rows @ y
        size = size + np.abs(basis.rows) @ np.abs(y)
        left[basis.pivots] = 0.0
    left = np.where(np.abs(left) > _NOISE * np.maximum(size, 1e-300) * 100, left, 0.0)
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        exponents = log_weights[:, None] + np.log(np.abs(left))
        levels = exponents.max(axis=0, initial=-np.inf)
        terms = np.where(left != 0.0, np.exp(exponents - levels[None, :]), 0.0)
    total = terms.sum(axis=0)
    signed = (np.sign(left) * terms).sum(axis=0)
    return levels, np.divide(signed, total, out=np.zeros_like(total), where=total > 0)


def _scaled(log_weights: FloatArray, scale: FloatArray, rows: FloatArray) -> FloatArray:
    """Return ``e^{l_n - s_j} rows[n, j]``, 0 where the row is."""
    with np.errstate(over="ignore"):
        factors = np.exp(np.minimum(log_weights[:, None] - scale, 700.0))
    return np.where(rows != 0.0, factors * rows, 0.0)
