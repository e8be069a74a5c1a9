"""The linear programs of the ℓ1 and ℓ∞ balls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from lexmargin.certificate.norms import Array, dual_exponent, vector_norm
from lexmargin.errors import ParameterError

__all__ = ["Pairing", "largest_pairing", "smallest_dual_norm"]

_OPTIONS = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


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


def _linear_program(**problem: Any) -> Any:
    from scipy.optimize import linprog

    return linprog(method="highs", options=_OPTIONS, **problem)


def largest_pairing(rows: Array, theta: Array, norm: float) -> Pairing:
    """Maximise θ̂·Jᵀλ over λ ≥ 0 with ‖Jᵀλ‖_* ≤ 1, for the ℓ1 or the ℓ∞ ball.

    The maximum is 1 exactly when the direction is stationary on these rows. The program's own
    duals u, repaired along θ̂ so that `J u ≥ J θ̂` holds, prove `θ̂·g/‖g‖_* ≤ ‖u‖` for every λ ≥ 0.

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
    gains = scaled @ theta
    matrix, extra = _dual_ball(scaled, norm)
    bound = np.ones(2 * dimension) if extra == 0 else np.zeros(2 * dimension)
    if extra:
        matrix = np.vstack([matrix, np.append(np.zeros(count), np.ones(extra))])
        bound = np.append(bound, 1.0)
    answer = _linear_program(
        c=np.append(-gains, np.zeros(extra)), A_ub=matrix, b_ub=bound, bounds=(0.0, None)
    )
    if answer.x is None:
        return Pairing(np.zeros(count), 0.0, False)
    values = np.maximum(np.asarray(answer.x)[:count], 0.0)
    marginals = np.asarray(answer.ineqlin.marginals)
    dual = marginals[dimension : 2 * dimension] - marginals[:dimension]
    lower = _refutation(scaled, gains, theta, dual, norm)
    return Pairing(np.ldexp(values, -exponents), lower, bool(answer.success))


def _refutation(rows: Array, gains: Array, theta: Array, dual: Array, norm: float) -> float:
    """Return `1 - ‖u'‖` for the repaired dual u' = u + cθ̂ with `J u' ≥ J θ̂`, or 0."""
    rounding = 8.0 * float(np.finfo(np.float64).eps) * math.sqrt(rows.shape[1])
    if np.any(gains <= rounding):
        return 0.0
    shortfall = gains - rows @ dual + rounding
    repaired = dual + max(0.0, float(np.max(shortfall / (gains - rounding)))) * theta
    return max(0.0, 1.0 - vector_norm(repaired, norm))


def smallest_dual_norm(rows: Array, offsets: Array, norm: float) -> Array:
    """Return p on the simplex that minimises `‖rowsᵀp‖_* - offsets·p` (ℓ1 or ℓ∞ ball)."""
    if not (norm == 1.0 or math.isinf(norm)):
        raise ParameterError(f"The ball of norm {norm:g} is not polyhedral.", "Use 1 or math.inf.")
    count, dimension = rows.shape
    exponent = math.frexp(float(np.max(np.abs(rows))) or 1.0)[1]
    scaled, shifts = np.ldexp(rows, -exponent), np.ldexp(offsets, -exponent)
    matrix, extra = _dual_ball(scaled, norm)
    if extra == 0:
        matrix, extra = np.hstack([matrix, -np.ones((2 * dimension, 1))]), 1
    answer = _linear_program(
        c=np.append(-shifts, np.ones(extra)),
        A_ub=matrix,
        b_ub=np.zeros(2 * dimension),
        A_eq=np.append(np.ones(count), np.zeros(extra))[None, :],
        b_eq=[1.0],
        bounds=(0.0, None),
    )
    if answer.x is None:
        return np.full(count, 1.0 / count)
    values = np.maximum(np.asarray(answer.x)[:count], 0.0)
    total = float(np.sum(values))
    return values / total if total > 0.0 else np.full(count, 1.0 / count)
