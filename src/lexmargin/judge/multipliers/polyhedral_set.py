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
from lexmargin.linalg.guarded import linear_program
from lexmargin.linalg.norms import Array

__all__ = ["multipliers_of", "polyhedral_multiplier_set"]

_OPTIONS: Final = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
"""The tightest that HiGHS takes: looser ones report ranges of λ wider than they are."""


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
    equations, sides = _subdifferential(columns, theta, norm, weights, zero)
    sides = np.vstack([sides, np.eye(live.size)])
    spare = np.maximum(sides @ weights - _offsets(columns, norm, total, sides), 0.0)
    held = _held(equations, sides, spare)
    dimension = live.size - _rank(np.vstack([equations, sides[held]]), rank)
    if live.size > RANGED_MULTIPLIERS:
        return MultiplierSet(dimension)
    low, high = multipliers.copy(), multipliers.copy()
    for place, (least, most) in enumerate(_ends(equations, sides, spare, weights)):
        factor = total / norms[live[place]]
        low[live[place]], high[live[place]] = least * factor, most * factor
    return MultiplierSet(dimension, low, high)


def _subdifferential(
    columns: Array, theta: Array, norm: float, weights: Array, zero: float
) -> tuple[Array, Array]:
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


def _offsets(columns: Array, norm: float, total: float, sides: Array) -> Array:
    """Return the lower bounds of B λ: -1 for the entries of g that ℓ1 leaves free, else 0."""
    found = np.zeros(sides.shape[0])
    if norm == 1.0:
        found[: sides.shape[0] - columns.shape[1]] = -1.0 / total
    return found


def _held(equations: Array, sides: Array, spare: Array) -> Array:
    """Return which inequalities hold with equality on the whole set: one program decides all."""
    count = sides.shape[1]
    small = 1e-3 / count
    answer = linear_program(
        np.append(np.zeros(count), -np.ones(spare.size)),
        A_ub=np.hstack([-sides, np.eye(spare.size)]),
        b_ub=spare,
        A_eq=np.hstack([equations, np.zeros((equations.shape[0], spare.size))]),
        b_eq=np.zeros(equations.shape[0]),
        bounds=[(None, None)] * count + [(0.0, small)] * spare.size,
        method="highs",
        options=_OPTIONS,
    )
    if answer.x is None:
        return np.asarray(spare <= 1e-3 * small)
    return np.asarray(answer.x[count:] <= 1e-3 * small)


def _rank(matrix: Array, tolerance: float) -> int:
    sizes = np.linalg.norm(matrix, axis=1)
    used = sizes > 1e-12 * float(np.max(sizes, initial=0.0))
    if not np.any(used):
        return 0
    sigma = np.linalg.svd(matrix[used] / sizes[used, None], compute_uv=False)
    return int(np.count_nonzero(sigma > tolerance * sigma[0]))


def _ends(
    equations: Array, sides: Array, spare: Array, weights: Array
) -> list[tuple[float, float]]:
    """Return the smallest and largest value of every weight on the set."""
    found = []
    for index in range(weights.size):
        ends = []
        for sign in (1.0, -1.0):
            cost = np.zeros(weights.size)
            cost[index] = sign
            answer = linear_program(
                cost,
                A_ub=-sides,
                b_ub=spare,
                A_eq=equations,
                b_eq=np.zeros(equations.shape[0]),
                bounds=(None, None),
                method="highs",
                options=_OPTIONS,
            )
            move = 0.0 if answer.x is None else float(answer.x[index])
            ends.append(-sign * math.inf if answer.status == 3 else weights[index] + move)
        found.append((max(0.0, min(ends[0], weights[index])), max(ends[1], weights[index])))
    return found
