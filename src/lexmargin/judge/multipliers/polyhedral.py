"""The linear programs of the ℓ1 and ℓ∞ balls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.errors import ParameterError
from lexmargin.linalg.guarded import TIGHT, linear_program
from lexmargin.linalg.norms import Array, dual_exponent, vector_norm
from lexmargin.linalg.rounding import ROUNDED

__all__ = ["Pairing", "largest_pairing", "saddle_point", "smallest_dual_norm"]


@final
@dataclass(frozen=True, eq=False)
class Pairing:
    """λ ≥ 0 that nearly minimises `1 - θ̂·g/‖g‖_*`, g = Jᵀλ, and a proven lower bound on it."""

    multipliers: Array
    lower: float
    converged: bool


def _dual_ball(rows: Array, norm: float) -> tuple[Array, int]:
    """Return (A, extra): `A (λ, v) ≤ …` states |rowsᵀλ|_i ≤ r (ℓ1 ball) or ≤ v_i (ℓ∞ ball)."""
    columns = rows.T
    both = np.vstack([columns, -columns])
    if norm == 1.0:
        return both, 0
    dimension = columns.shape[0]
    minus = -np.eye(dimension)
    return np.hstack([both, np.vstack([minus, minus])]), dimension


def _solved(**problem: Any) -> Any:
    return linear_program(problem.pop("c"), method="highs", options=TIGHT, **problem)


def largest_pairing(rows: Array, theta: Array, norm: float, gains: Array | None = None) -> Pairing:
    """Maximise gains·λ over λ ≥ 0 with ‖Jᵀλ‖_* ≤ 1, for the ℓ1 or the ℓ∞ ball.

    With gains `J θ̂` the maximum is 1 exactly when the direction is stationary on these rows. With
    gains `J θ̂ - α (f - γ)`, 1 minus the maximum is the smallest sum of the Hölder gap and δ.
    The program's own duals u, repaired along θ̂ so that `J u ≥ gains` holds, prove that no λ ≥ 0 of
    that size gains more than ‖u‖.

    Raises
    ------
    ParameterError
        for another norm.
    """
    if not (norm == 1.0 or math.isinf(norm)):
        raise ParameterError(f"The ball of norm {norm:g} is not polyhedral.", "Use 1 or math.inf.")
    count, dimension = rows.shape
    sizes = np.array([vector_norm(row, dual_exponent(norm)) for row in rows])
    # Powers of two keep the rows' digits.
    exponents = np.frexp(sizes)[1]
    scaled = np.ldexp(rows, -exponents[:, None])
    slopes = scaled @ theta
    gains = slopes if gains is None else np.ldexp(gains, -exponents)
    matrix, extra = _dual_ball(scaled, norm)
    bound = np.ones(2 * dimension) if extra == 0 else np.zeros(2 * dimension)
    if extra:
        matrix = np.vstack([matrix, np.append(np.zeros(count), np.ones(extra))])
        bound = np.append(bound, 1.0)
    answer = _solved(
        c=np.append(-gains, np.zeros(extra)), A_ub=matrix, b_ub=bound, bounds=(0.0, None)
    )
    if answer.x is None:
        return Pairing(np.zeros(count), 0.0, False)
    values = np.maximum(np.asarray(answer.x)[:count], 0.0)
    marginals = np.asarray(answer.ineqlin.marginals)
    dual = marginals[dimension : 2 * dimension] - marginals[:dimension]
    lower = _refutation(scaled, gains, slopes, theta, dual, norm)
    return Pairing(np.ldexp(values, -exponents), lower, bool(answer.success))


def _refutation(
    rows: Array, gains: Array, slopes: Array, theta: Array, dual: Array, norm: float
) -> float:
    """Return `1 - ‖u'‖` for the repaired dual u' = u + cθ̂ with `J u' ≥ gains`, or 0."""
    rounding = ROUNDED * math.sqrt(rows.shape[1])
    if np.any(slopes <= rounding):
        return 0.0
    shortfall = gains - rows @ dual + rounding
    repaired = dual + max(0.0, float(np.max(shortfall / (slopes - rounding)))) * theta
    return max(0.0, 1.0 - vector_norm(repaired, norm))


def smallest_dual_norm(
    rows: Array, offsets: Array, norm: float, counted: NDArray[np.bool_] | None = None
) -> Array:
    """Return p ≥ 0 with Σp = 1 that minimises `‖rowsᵀp‖_* - offsets·p` (ℓ1 or ℓ∞ ball).

    ``counted`` says which entries the sum is over (all where left out).
    """
    return saddle_point(rows, offsets, norm, counted)[0]


def saddle_point(
    rows: Array, offsets: Array, norm: float, counted: NDArray[np.bool_] | None = None
) -> tuple[Array, Array]:
    """Return p of :func:`smallest_dual_norm`, and the dual of its program.

    That is θ in the unit ball of the norm with the largest `min (z_n·θ - o_n)` over the counted
    rows, `z_n·θ ≥ o_n` on the others; 0 where the program has no answer.
    """
    if not (norm == 1.0 or math.isinf(norm)):
        raise ParameterError(f"The ball of norm {norm:g} is not polyhedral.", "Use 1 or math.inf.")
    count, dimension = rows.shape
    share = np.ones(count) if counted is None else counted.astype(np.float64)
    exponent = math.frexp(float(np.max(np.abs(rows))) or 1.0)[1]
    scaled, shifts = np.ldexp(rows, -exponent), np.ldexp(offsets, -exponent)
    matrix, extra = _dual_ball(scaled, norm)
    if extra == 0:
        matrix, extra = np.hstack([matrix, -np.ones((2 * dimension, 1))]), 1
    answer = _solved(
        c=np.append(-shifts, np.ones(extra)),
        A_ub=matrix,
        b_ub=np.zeros(2 * dimension),
        A_eq=np.append(share, np.zeros(extra))[None, :],
        b_eq=[1.0],
        bounds=(0.0, None),
    )
    even = share / float(np.sum(share))
    if answer.x is None:
        return even, np.zeros(dimension)
    values = np.maximum(np.asarray(answer.x)[:count], 0.0)
    total = float(share @ values)
    theta = -np.asarray(answer.ineqlin.marginals)
    return values / total if total > 0.0 else even, theta[:dimension] - theta[dimension:]
