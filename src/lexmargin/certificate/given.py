"""Stationarity of multipliers that are given: nothing is searched for, and NumPy is enough."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.certificate.ascent import Ascent
from lexmargin.certificate.ladder import WIDEST
from lexmargin.certificate.multipliers import MultiplierMethod, normalised_rows
from lexmargin.certificate.norms import Array, dual_exponent, norm_gradient, vector_norm
from lexmargin.certificate.point import UnitPoint
from lexmargin.certificate.stationarity import Stationarity
from lexmargin.certificate.tolerances import Tolerances

__all__ = ["Evidence", "combined_to_zero", "measured_of"]

_EPS = float(np.finfo(np.float64).eps)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """What a verdict needs beside θ: found once, at some price, and cheap to check.

    support, multipliers, tau
        S_τ, and λ (N,) with `θ̂ ≈ Σ λ_n ∇f_n(θ̂)`, or the target of another program for θ̂.
    bound
        weights p (N,) of weak duality, where λ is not the best.
    slopes
        (layer, sample, unit, slope in [0, 1]) at the kinks: elements of the generalised gradients.
    ascent
        a curve that begins at θ and leads upwards.
    refutation
        weights (N,) whose residual separates θ̂ from the cone of the support's gradients.
    singular
        weights (N,) that combine the active gradients to 0 (Fritz John).
    levels
        weights (N,) of weak duality, one array per level of the lexicographic max margin.
    """

    support: NDArray[np.intp]
    multipliers: Array
    tau: float
    bound: Array | None = None
    slopes: tuple[tuple[int, int, int, float], ...] = ()
    ascent: Ascent | None = None
    refutation: Array | None = None
    singular: Array | None = None
    levels: tuple[Array, ...] = ()


def measured_of(
    point: UnitPoint, gradients: Any, evidence: Evidence, limits: Tolerances
) -> Stationarity:
    """Measure ε, δ and Euler's check of the λ given, and the lower bound of the refutation.

    Parameters
    ----------
    point : the unit direction, or a point with its target.
    gradients : (N, d) elements of the generalised gradients, in the scale of the point; dense or
        CSR.
    evidence : with λ in the units of the problem.
    limits : δ within tolerance is what the lower bound allows.
    """
    chosen = evidence.support
    with np.errstate(over="ignore", under="ignore"):
        values = np.ldexp(evidence.multipliers[chosen] * point.factor, point.exponent)
    used = gradients[chosen]
    combination = values @ used
    spent = float(np.linalg.norm(values @ abs(used)))
    residual = _residual(point, combination)
    excess = point.margins[chosen] - point.margin
    spread = np.zeros(point.margins.size)
    spread[chosen] = values
    return Stationarity(
        residual=residual,
        lower=_refuted(point, evidence, limits),
        floor=_EPS * (chosen.size + 2) * (1.0 + spent),
        hoelder_gap=math.nan,
        complementarity=max(0.0, point.degree * float(values @ excess)),
        euler=point.degree * point.margin * float(np.sum(values)),
        support=chosen,
        multipliers=spread,
        method=MultiplierMethod.GIVEN,
        converged=True,
    )


def _residual(point: UnitPoint, combination: Array) -> float:
    if point.target is not None:
        return vector_norm(point.target - combination, 2.0)
    if point.norm == 1.0 or math.isinf(point.norm):
        size = vector_norm(combination, dual_exponent(point.norm))
        return max(0.0, 1.0 - float(point.theta @ combination) / size) if size > 0.0 else 1.0
    target = norm_gradient(point.theta, point.norm)
    residual = vector_norm(target - combination, 2.0) / vector_norm(target, 2.0)
    if point.norm != 2.0 and np.any(combination):
        supported = norm_gradient(combination, dual_exponent(point.norm))
        residual = min(residual, vector_norm(point.theta - supported, point.norm))
    return residual


def _refuted(point: UnitPoint, evidence: Evidence, limits: Tolerances) -> float:
    """Return a lower bound on ε over all λ ≥ 0 with δ within tolerance, ℓ2; 0 without one.

    For r with `∇f_n·r + e_n s ≤ 0` on the widest support (e_n the share of n in δ), every λ has
    `ε² + δ² ≥ (t·r/‖(r, s)‖)²`, t the unit target.
    """
    if evidence.refutation is None or (point.norm != 2.0 and point.target is None):
        return 0.0
    support = point.support(WIDEST)
    with np.errstate(over="ignore", under="ignore"):
        weights = np.ldexp(evidence.refutation[support] * point.factor, point.exponent)
    excess = point.degree * (point.margins[support] - point.margin)
    extended = np.column_stack([point.jacobian[support], excess])
    target = np.append(point.theta if point.target is None else point.target, 0.0)
    ascent = np.append(point.ascent, 0.0)
    residual = target - weights @ extended
    rounding = 8.0 * _EPS * extended.shape[1] * np.linalg.norm(extended, axis=1)
    slopes = extended @ ascent - rounding * max(1.0, float(np.linalg.norm(ascent)))
    if np.any(slopes <= 0.0):
        return 0.0
    for _ in range(4):
        gains, noise = extended @ residual, rounding * np.linalg.norm(residual)
        if np.all(gains + noise <= 0.0):
            length = float(np.linalg.norm(residual))
            lower = max(0.0, float(target @ residual)) / length if length > 0.0 else 0.0
            return math.sqrt(max(0.0, lower**2 - limits.complementarity**2))
        # Further than is asked for: what is left must be clear of the rounding of the products.
        step = float(np.max((gains + 2.0 * noise) / slopes))
        residual = residual - 1.000001 * step * ascent
    return 0.0


def combined_to_zero(jacobian: Array, weights: Array | None, tolerance: float) -> bool:
    """Tell whether `Σ p_n ∇f_n = 0` for these weights of the rows, as Fritz John asks (S, d)."""
    if weights is None or np.any(weights < 0.0):
        return False
    rows, norms = normalised_rows(jacobian)
    if np.any(weights[norms == 0.0] > 0.0):
        return True
    shares = weights * norms
    total = float(np.sum(shares))
    if not (math.isfinite(total) and total > 0.0):
        return False
    return vector_norm(shares / total @ rows, 2.0) <= tolerance
