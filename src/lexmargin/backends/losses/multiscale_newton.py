"""Newton steps for weights of very different size: levels of a log-sum-exp told apart.

With weights ``p_n = e^{l_n}`` the gradient ``Σ p_n r_n`` of a log-sum-exp along a direction that
the heavy rows do not see is decided by rows that may weigh e^{-1000}: summed naively it drowns in
the rounding errors of the heavy ones. An orthogonal basis is built from the heaviest row down, so
that a heavy row is exactly zero along later directions, and every equation is divided by its own
weight. Rows of one weight or of a thousand nats apart are then treated alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["GradedBasis", "graded_basis", "graded_step", "leading_slopes"]

_EXHAUSTED = 1e-10
"""Relative rest of a row that counts as spanned: looser drops levels, tighter keeps noise."""
_VANISHING = 746.0
"""Nats below which an exponential is 0 in doubles."""
_BATCH = 64
"""Rows that are made independent at a time, where the heaviest are not (judgement)."""
_SEEN = 1e-250
"""A weighted entry above it, the heaviest being 1, leaves room for what it is compared with."""
_NOISE = 1e-12
"""Error of a product of graded factors, relative to its terms: what is below it is set to 0."""


@final
@dataclass(frozen=True, eq=False)
class GradedBasis:
    """Rows in a basis ordered by weight.

    Attributes:
        directions: orthonormal columns (m, k), the direction of the heaviest row first.
        kept: the rows that weigh anything at some level (K,), whole groups, ascending.
        rows: those in the basis (K, k); exactly 0 beyond the point where a row is exhausted.
        pivots: the row that introduced each direction (k,).
        levels: log of the largest ``p_n |rows[n, j]|`` of each direction (k,).
        pulls: ``p_n rows[n, j]`` relative to the largest of its column (K, k).
        floor: log of ``p_n |row|`` below which a row is not kept.
    """

    directions: FloatArray
    kept: IntArray
    rows: FloatArray
    pivots: IntArray
    levels: FloatArray
    pulls: FloatArray
    floor: float


def graded_basis(
    rows: FloatArray, face: FloatArray, log_weights: FloatArray, sizes: FloatArray, group: int = 1
) -> GradedBasis:
    """Return the basis of ``rows @ face`` (N, m) in order of decreasing weight.

    Args:
        rows, face: (N, d) and (d, m).
        sizes: log of the length of every row (N,).
        log_weights: (N,).
        group: rows that belong together; all of them are kept, or none.
    """
    pivots, directions = _independent(rows, face, log_weights)
    heights = np.abs(np.einsum("ij,ij->i", rows[pivots] @ face, directions.T))
    # Below it every exponential is 0.
    floor = -math.inf
    if pivots.size:
        floor = float(np.min(log_weights[pivots] + np.log(heights))) - _VANISHING
    reach = math.log(math.sqrt(face.size) * float(np.max(np.abs(face), initial=0.0)) or 1.0)
    heavy = log_weights + sizes + reach >= floor
    if group > 1:
        heavy = np.repeat(heavy.reshape(-1, group).any(axis=1), group)
    kept = np.flatnonzero(heavy)
    found = (rows if kept.size == len(rows) else rows[kept]) @ (face @ directions)
    if pivots.size:
        # A row within the span of heavier ones is zero from there on, not rounding noise.
        length = math.sqrt(found.shape[1]) * np.max(np.abs(found), axis=1)
        doubtful = np.flatnonzero(np.abs(found[:, -1]) <= _EXHAUSTED * length)
        part = found[doubtful]
        rest = np.sqrt(np.cumsum(part[:, ::-1] ** 2, axis=1)[:, ::-1])
        found[doubtful] = np.where(rest > _EXHAUSTED * rest[:, :1], part, 0.0)
    pulls, levels = _levelled(found, log_weights[kept])
    return GradedBasis(directions, kept, found, pivots, levels, pulls, floor)


def _levelled(rows: FloatArray, log_weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return ``p_n rows[n, j]`` relative to the largest of the column, and the logs of those."""
    heaviest = float(np.max(log_weights, initial=-np.inf))
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        terms = rows * np.exp(log_weights - heaviest)[:, None]
        tops = np.max(np.abs(terms), axis=0, initial=0.0)
        levels = heaviest + np.log(tops)
        terms /= np.where(tops > 0.0, tops, 1.0)
        # So far below the heaviest rows, each column is seen from its own.
        deep = np.flatnonzero(tops < _SEEN)
        if deep.size:
            exponents = log_weights[:, None] + np.log(np.abs(rows[:, deep]))
            levels[deep] = exponents.max(axis=0, initial=-np.inf)
            own = np.sign(rows[:, deep]) * np.exp(exponents - levels[deep])
            terms[:, deep] = np.where(rows[:, deep] != 0.0, own, 0.0)
    return terms, levels


def _independent(
    rows: FloatArray, face: FloatArray, log_weights: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Return the first rows of ``rows @ face`` that are independent, from the heaviest down.

    And orthonormal directions (m, k) of which the first j span the first j of them.
    """
    order = np.argsort(-log_weights, kind="stable")
    size = face.shape[1]
    most, pivots = min(order.size, size), np.zeros(0, dtype=np.int64)
    directions = np.zeros((size, 0))
    for begin in range(0, order.size, max(most, _BATCH)):
        if pivots.size == most:
            break
        places = order[begin : begin + max(most, _BATCH)]
        if not begin:
            # Nearly always the heaviest rows are independent: then one factorisation is all.
            block = rows[places[:most]] @ face
            factor, triangle = np.linalg.qr(block.T)
            ends = np.abs(np.diagonal(triangle))
            if np.all(ends > _EXHAUSTED * np.linalg.norm(block, axis=1)):
                return places[:most], factor
        block = rows[places] @ face
        lengths = np.linalg.norm(block, axis=1)
        for _ in range(2):
            block = block - (block @ directions) @ directions.T
        while pivots.size < most:
            alive = np.flatnonzero(np.linalg.norm(block, axis=1) > _EXHAUSTED * lengths)
            if not alive.size:
                break
            q = block[alive[0]]
            q = q - directions @ (directions.T @ q)
            q = q / np.linalg.norm(q)
            directions = np.column_stack([directions, q])
            pivots = np.append(pivots, places[alive[0]])
            block = block - np.outer(block @ q, q)
            block[alive[0]] = 0.0
    return pivots, directions


def graded_step(
    basis: GradedBasis,
    log_weights: FloatArray,
    log_curvatures: FloatArray,
    terms: FloatArray,
) -> tuple[FloatArray, float]:
    """Return the Newton step of ``Σ_n p_n`` and the size of its scaled gradient.

    ``log_weights`` (K,) are those of the gradient ``Σ p_n r_n``, ``log_curvatures`` those of the
    Hessian ``Σ h_m t_m t_mᵀ``, with terms t (M, k) in the coordinates of the basis: its rows, or
    their differences. The step solves ``H s = Σ p_n r_n``, each equation divided by its level.
    """
    if not basis.pivots.size:
        return np.zeros(basis.directions.shape[0]), 0.0
    with np.errstate(under="ignore"):
        gradient = np.sum(basis.pulls, axis=0)
        weighted = basis.pulls
        if terms is not basis.rows or log_curvatures is not log_weights:
            weighted = _scaled(log_curvatures, basis.levels[None, :], terms)
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
    basis: GradedBasis, log_weights: FloatArray, changes: FloatArray, rows: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return, per column d of ``changes`` (N, c), the level and the relative size of ``Σ p_n d_n``.

    At a stationary point of the rows (N, m) any combination of them may be added to d; the one
    chosen removes the heaviest rows from d, because their balance is what rounding errors hide.
    ``sizes`` (in [-1, 1]) is the sum divided by the sum of absolute values; 0 where nothing is
    left.
    """
    left = changes
    size = np.abs(changes)
    if basis.pivots.size:
        inside = rows @ basis.directions
        y = np.linalg.solve(np.tril(inside[basis.pivots]), changes[basis.pivots])
        left = changes - inside @ y
        size = size + np.abs(inside) @ np.abs(y)
        left[basis.pivots] = 0.0
    left[np.abs(left) <= _NOISE * np.maximum(size, 1e-300) * 100] = 0.0
    terms, levels = _levelled(left, log_weights)
    total = np.abs(terms).sum(axis=0)
    return levels, np.divide(terms.sum(axis=0), total, out=np.zeros_like(total), where=total > 0)


def _scaled(log_weights: FloatArray, scale: FloatArray, rows: FloatArray) -> FloatArray:
    """Return ``e^{l_n - s_j} rows[n, j]``, 0 where the row is."""
    with np.errstate(over="ignore"):
        factors = np.exp(np.minimum(log_weights[:, None] - scale, 700.0))
    return np.where(rows != 0.0, factors * rows, 0.0)
