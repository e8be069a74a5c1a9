"""The set of multipliers where the norm has many subgradients (ℓ1, ℓ∞)."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from lexmargin.inputs.limits import MULTIPLIER_SET_ENTRIES, RANGED_MULTIPLIERS
from lexmargin.judge.multipliers.later import Later
from lexmargin.judge.multipliers.multiplier_set import normalised_rows
from lexmargin.judge.multipliers.qualification import MultiplierSet, multiplier_set
from lexmargin.judge.point import UnitPoint
from lexmargin.linalg.guarded import TIGHT, linear_program
from lexmargin.linalg.norms import Array

__all__ = ["multipliers_of", "polyhedral_multiplier_set"]


_ROUNDED: Final = 1e-12
"""Relative length of a row that is rounding, and says nothing of a rank."""
_SHARE: Final = 1e-3
"""Part of an equal share up to which a bound counts as held throughout."""


def multipliers_of(
    point: UnitPoint, turned: Later[Array], values: Array, rank: float
) -> MultiplierSet | None:
    """Return `{λ ≥ 0 : Jᵀλ ∈ ∂‖θ̂‖}` for the rows of the support; an equation unless ℓ1 or ℓ∞.

    ``point`` has the rows of the support alone, ``turned`` them after :func:`compact`.
    """
    if point.is_polyhedral:
        return polyhedral_multiplier_set(point.jacobian, point.theta, point.norm, values, rank)
    rows = turned.read()
    return None if rows is None else multiplier_set(rows, values, rank)


def polyhedral_multiplier_set(
    rows: Array, theta: Array, norm: float, multipliers: Array, rank: float, zero: float = 1e-9
) -> MultiplierSet:
    """Describe `{λ ≥ 0 : Jᵀλ ∈ ∂‖θ̂‖}`, the multipliers that serve as well as λ for ℓ1 or ℓ∞.

    With g = Jᵀλ and at the scale `g·θ̂ = 1` the subdifferential is, for ℓ1, `g_i = sign θ_i` where
    θ_i ≠ 0 and `|g_i| ≤ 1` elsewhere; for ℓ∞, `g_i = 0` where |θ_i| < 1, `g_i sign θ_i ≥ 0` where
    |θ_i| = 1, and `Σ |g_i| = 1`. The dimension is that of the affine hull: the number of support
    gradients minus the rank of all equations that hold on the whole set.

    Parameters
    ----------
    rows : (S, d) gradients of the support.
    theta : (d,) the unit direction.
    norm : 1 or `math.inf`.
    multipliers : λ (S,), one member of the set; what it misses by rounding is forgiven.
    rank : relative singular value below which equations count as dependent.
    zero : relative distance from 0 (ℓ1) or from the largest entry (ℓ∞) that counts as none.
    """
    unit_rows, norms = normalised_rows(rows)
    live = np.flatnonzero(norms > 0.0)
    if live.size == 0 or not np.any(multipliers[live]):
        return MultiplierSet(0, multipliers.copy(), multipliers.copy())
    if rows.size > MULTIPLIER_SET_ENTRIES:
        return MultiplierSet(None)
    weights = multipliers[live] * norms[live]
    total = float(np.sum(weights))
    weights, columns = weights / total, unit_rows[live].T
    equations, sides = _subdifferential(columns, theta, norm, zero)
    null = _null_space(equations, rank)
    if null.shape[1] == 0:
        return MultiplierSet(0, multipliers.copy(), multipliers.copy())
    sides = np.vstack([sides, np.eye(live.size)])
    spare = np.maximum(sides @ weights - _offsets(norm, total, sides), 0.0)
    moves = sides @ null
    moving = np.linalg.norm(moves, axis=1) > rank * np.linalg.norm(sides, axis=1)
    moves, spare = moves[moving], spare[moving]
    held = _held(moves, spare, _SHARE / live.size)
    dimension = null.shape[1] - _rank(moves[held], rank)
    if live.size > RANGED_MULTIPLIERS:
        return MultiplierSet(dimension)
    low, high = multipliers.copy(), multipliers.copy()
    for index in np.flatnonzero(moving[-live.size :]):
        factor = total / norms[live[index]]
        least, most = _ends(moves, spare, null[index], float(weights[index]))
        low[live[index]], high[live[index]] = least * factor, most * factor
    return MultiplierSet(dimension, low, high)


def _subdifferential(columns: Array, theta: Array, norm: float, zero: float) -> tuple[Array, Array]:
    """Return (E, B): E λ is fixed, and B λ is bounded below, on the set."""
    size = np.abs(theta)
    top = float(np.max(size))
    signs = np.where(theta < 0.0, -1.0, 1.0)[:, None]
    if norm == 1.0:
        free = size <= zero * top
        return columns[~free], np.vstack([columns[free], -columns[free]])
    peak = size >= (1.0 - zero) * top
    total = np.sum(signs[peak] * columns[peak], axis=0)[None, :]
    return np.vstack([columns[~peak], total]), signs[peak] * columns[peak]


def _offsets(norm: float, total: float, sides: Array) -> Array:
    """Return the lower bounds of B λ: -1 for the entries of g that ℓ1 leaves free, else 0."""
    found = np.zeros(sides.shape[0])
    if norm == 1.0:
        found[: sides.shape[0] - sides.shape[1]] = -1.0 / total
    return found


def _held(moves: Array, spare: Array, small: float) -> Array:
    """Return which of `moves c ≥ -spare` hold with equality throughout: one program decides all."""
    size = moves.shape[1]
    answer = linear_program(
        np.append(np.zeros(size), -np.ones(spare.size)),
        A_ub=np.hstack([-moves, np.eye(spare.size)]),
        b_ub=spare,
        bounds=[(None, None)] * size + [(0.0, small)] * spare.size,
        method="highs",
        options=TIGHT,
    )
    if answer.x is None:
        return np.asarray(spare <= _SHARE * small)
    return np.asarray(answer.x[size:] <= _SHARE * small)


def _unit_rows(matrix: Array) -> Array:
    """Return the rows that are more than rounding, each of length 1."""
    sizes = np.linalg.norm(matrix, axis=1)
    used = sizes > _ROUNDED * float(np.max(sizes, initial=0.0))
    return np.asarray(matrix[used] / sizes[used, None])


def _rank(matrix: Array, tolerance: float) -> int:
    rows = _unit_rows(matrix)
    if not rows.size:
        return 0
    sigma = np.linalg.svd(rows, compute_uv=False)
    return int(np.count_nonzero(sigma > tolerance * sigma[0]))


def _null_space(matrix: Array, tolerance: float) -> Array:
    """Return an orthonormal basis (S, m) of `E c = 0`."""
    rows = _unit_rows(matrix)
    if not rows.size:
        return np.eye(matrix.shape[1])
    if rows.shape[0] > rows.shape[1]:
        rows = np.asarray(np.linalg.qr(rows, mode="r"))
    _, sigma, right = np.linalg.svd(rows, full_matrices=True)
    return np.asarray(right[int(np.count_nonzero(sigma > tolerance * sigma[0])) :].T)


def _ends(moves: Array, spare: Array, toward: Array, weight: float) -> tuple[float, float]:
    """Return the smallest and largest value of `weight + toward·c` where `moves c ≥ -spare`."""
    ends = []
    for sign in (1.0, -1.0):
        answer = linear_program(
            sign * toward, A_ub=-moves, b_ub=spare, bounds=(None, None), method="highs",
            options=TIGHT,
        )  # fmt: skip
        move = 0.0 if answer.x is None else float(toward @ answer.x)
        ends.append(-sign * math.inf if answer.status == 3 else weight + move)
    return max(0.0, min(ends[0], weight)), max(ends[1], weight)
