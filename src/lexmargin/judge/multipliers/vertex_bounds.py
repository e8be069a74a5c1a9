"""Upper bounds on every margin, and the gap they leave (math §4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from lexmargin.errors import ParameterError, ShapeError
from lexmargin.inputs.limits import IMPROVED_ENTRIES
from lexmargin.judge.multipliers.multiplier_set import smallest_hull_point
from lexmargin.judge.multipliers.polyhedral import smallest_dual_norm
from lexmargin.judge.multipliers.products import combination
from lexmargin.linalg.guarded import minimised
from lexmargin.linalg.norms import Array, dual_exponent, vector_norm
from lexmargin.linalg.rounding import EPS
from lexmargin.linalg.rows import densified, largest_entry

__all__ = [
    "DualBound",
    "best_weights",
    "improved_bound",
    "linear_dual_bound",
    "relative_excess",
    "relative_gap",
]

_NEAR = 100
"""Powers of two of entries whose products with shares stay in the range of doubles by far."""
_FURTHEST = 1000
"""A power of two that is a double, and whose reciprocal is."""


@final
@dataclass(frozen=True, eq=False)
class DualBound:
    """`γ* ≤ upper` for all directions of the unit ball; ``value`` is the bound before rounding.

    weights
        the λ ≥ 0, Σλ = 1 that proves it (N,).
    spent
        ``‖Σ λ_n |z_n|‖_*``, the size of what cancels.
    """

    value: float
    upper: float
    weights: Array
    spent: float


def linear_dual_bound(
    Z: Any, multipliers: Array, norm: float = 2.0, columns: int | None = None
) -> DualBound:
    """Bound the linear margin: `γ* = max_{‖θ‖≤1} min_n θ·z_n ≤ ‖Σ λ_n z_n‖_*` for Σλ = 1.

    Parameters
    ----------
    Z : (N, d) rows z_n = y_n x_n, dense or CSR.
    multipliers : (N,) λ ≥ 0, not all 0, at any scale.
    norm : exponent of the ball.
    columns : how many of them θ has, the first ones; all if None.

    Returns
    -------
    DualBound
        ``upper`` includes the rounding error of its own evaluation.

    Raises
    ------
    ShapeError, ParameterError
        for shapes that do not fit, a negative multiplier, or none that is positive.
    """
    if multipliers.shape != (Z.shape[0],):
        raise ShapeError(
            f"{multipliers.shape} multipliers for {Z.shape[0]} samples.",
            "Pass one multiplier per row of Z.",
        )
    total = float(np.sum(multipliers))
    if np.any(multipliers < 0.0) or not (math.isfinite(total) and total > 0.0):
        raise ParameterError(
            "The multipliers of a bound are negative, not finite, or all zero.",
            "Weak duality needs λ ≥ 0 with a positive sum.",
        )
    weights = multipliers / total
    used, rows, share = int(np.count_nonzero(weights)), Z, weights
    dual = dual_exponent(norm)
    exponent = math.frexp(largest_entry(Z))[1]
    if abs(exponent) > _NEAR:
        # By a power of two, so that no product of the sums leaves the range of doubles.
        index = np.flatnonzero(weights)
        rows, share = Z[index], weights[index]
        exponent = min(max(math.frexp(largest_entry(rows))[1], -_FURTHEST), _FURTHEST)
        rows = rows * 2.0**-exponent
    else:
        exponent = 0
    found = tuple(x[:columns] for x in combination(share, rows))
    with np.errstate(over="ignore"):
        value, rounding, spent = (float(np.ldexp(vector_norm(x, dual), exponent)) for x in found)
    # Σλ is 1 only up to rounding, and so are the sums over coordinates.
    upper = (value + rounding) * (1.0 + EPS * (Z.shape[1] + used + 4))
    return DualBound(value, upper, weights, spent)


def improved_bound(Z: Any, multipliers: Array, norm: float, enough: float) -> DualBound | None:
    """Bound all margins by the multipliers in hand, or by better ones where that is cheap.

    Better ones are looked for where the first bound is above ``enough``.
    """
    found = None
    if np.any(multipliers > 0.0) and np.all(np.isfinite(multipliers)):
        found = linear_dual_bound(Z, multipliers, norm)
        if found.upper <= enough:
            return found
    count, dimension = Z.shape
    smooth = 1.0 < norm < math.inf and norm != 2.0
    if count * dimension > IMPROVED_ENTRIES or (smooth and count > 200):
        return found
    rows = densified(Z)
    if rows is None:
        return found
    start = None if found is None else found.weights
    better = linear_dual_bound(rows, best_weights(rows, norm, start=start), norm)
    return better if found is None or better.upper < found.upper else found


def relative_gap(upper: float, margin: float) -> float:
    """Return `(bound - γ)/bound`, clipped to [0, …); infinite for a bound that proves nothing.

    A bound that is not positive, not finite or NaN proves nothing.
    """
    if not (0.0 < upper < math.inf) or math.isnan(margin):
        return math.inf
    return max(0.0, (upper - margin) / upper)


def relative_excess(cost: float, least: float) -> float:
    """Return `1 - least/cost`, clipped to [0, …): what a cost is above a bound of all costs.

    Infinite for a bound that proves nothing, such as NaN.
    """
    if math.isnan(least) or not cost > 0.0:
        return math.inf
    return max(0.0, 1.0 - least / cost)


def best_weights(Z: Array, norm: float = 2.0, start: Array | None = None) -> Array:
    """Minimise `‖Zᵀp‖_*` over the simplex: the best bound of all samples.

    ℓ1 and ℓ∞ by a linear program; ℓ2 by least squares; otherwise by a smooth local method from
    ``start`` (the problem is convex). Any p gives a valid bound, so nothing rests on the accuracy
    of the method.
    """
    count = Z.shape[0]
    if norm == 1.0 or math.isinf(norm):
        return smallest_dual_norm(Z, np.zeros(count), norm)
    if norm == 2.0:
        return smallest_hull_point(Z)[0]
    begin = np.full(count, 1.0 / count) if start is None else start / float(np.sum(start))
    dual = dual_exponent(norm)
    scale = vector_norm(begin @ Z, dual) or 1.0

    def value(p: Array) -> float:
        return vector_norm(p @ Z, dual) / scale

    def gradient(p: Array) -> Array:
        from lexmargin.linalg.norms import norm_gradient

        combination = p @ Z
        if not np.any(combination):
            return np.zeros(count)
        return np.asarray(Z @ norm_gradient(combination, dual) / scale)

    answer = minimised(
        value,
        begin,
        jac=gradient,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * count,
        constraints={"type": "eq", "fun": lambda p: np.sum(p) - 1.0, "jac": np.ones_like},
        options={"maxiter": 500, "ftol": 1e-15},
    )
    found = np.maximum(np.asarray(answer.x, dtype=np.float64), 0.0)
    total = float(np.sum(found))
    if not (math.isfinite(total) and total > 0.0) or value(found / total) > value(begin):
        return begin
    return found / total
