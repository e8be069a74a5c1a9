"""Stationarity without a scale (math §3): ε, δ, Euler's check, and the role of the support."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.judge.multipliers.multiplier_set import nonnegative_multipliers, spread
from lexmargin.judge.multipliers.polyhedral import largest_pairing
from lexmargin.judge.point import UnitPoint
from lexmargin.judge.tolerances import Tolerances
from lexmargin.linalg.norms import Array, angle, dual_exponent, norm_gradient, vector_norm
from lexmargin.linalg.rounding import EPS
from lexmargin.linalg.rows import chosen_rows, densified, with_column

__all__ = [
    "WEIGHTS",
    "CurvePoint",
    "Stationarity",
    "TradeOffPoint",
    "away",
    "curve",
    "hoelder_gap",
    "lyu_li",
    "measured",
    "misfit",
    "on_support",
    "sine",
    "stationarity",
    "trade_off",
]


WEIGHTS: Final = (0.0, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4)
"""Weights of δ against ε in a trade-off."""


@final
@dataclass(frozen=True, eq=False)
class Stationarity:
    """How nearly `θ̂` is a non-negative combination of the support's gradients.

    residual
        ε in [0, 1]. ℓ2: the sine of the angle between θ̂ and the cone of support gradients. Other
        1 < p < ∞: the same with `∇‖θ̂‖`, or the distance of θ̂ from the unit vector that g = Jᵀλ
        supports where that is smaller. ℓ1, ℓ∞: the Hölder gap `1 - θ̂·g/‖g‖_*`, which for these
        norms is of first order; for ℓ2 it would be 1 - cos, blind to angles below 1e-8.
    lower
        proven lower bound on ε over all λ ≥ 0 on this support.
    floor
        rounding error that ε may carry.
    complementarity
        δ = α Σ λ_n (f_n - γ).
    euler
        α γ Σ λ_n, 1 at an exact stationary point.
    support
        S_τ, indices in increasing order.
    multipliers
        λ (N,), scaled so that `Jᵀλ` approximates a norm gradient at θ̂.
    resolution
        size of ε below which inner products of gradients alone cannot tell; 0 for gradients.
    """

    residual: float
    lower: float
    floor: float
    complementarity: float
    euler: float
    support: NDArray[np.intp]
    multipliers: Array
    resolution: float = 0.0

    def met(self, limits: Tolerances) -> bool:
        """Tell whether ε and δ are within tolerance."""
        return limits.met(self.residual, self.complementarity)


@final
@dataclass(frozen=True)
class CurvePoint:
    """ε for one tolerance τ of the support."""

    tau: float
    residual: float
    count: int


@final
@dataclass(frozen=True)
class TradeOffPoint:
    """One pair (ε, δ) reached by weighting complementarity."""

    weight: float
    residual: float
    complementarity: float


def hoelder_gap(theta: Array, combination: Array, norm: float) -> float:
    """Return `1 - θ̂·g/‖g‖_*` for a unit θ̂: 0 exactly when g supports the ball at θ̂."""
    size = vector_norm(combination, dual_exponent(norm))
    return max(0.0, 1.0 - float(theta @ combination) / size) if size > 0.0 else 1.0


def away(theta: Array, combination: Array, norm: float) -> float:
    """Return how far θ̂ is from what g supports, at any length of g, where the norm is not ℓ2.

    The distance of θ̂ from the unit vector that g supports; for ℓ1 and ℓ∞ the Hölder gap.
    """
    if norm == 1.0 or math.isinf(norm):
        return hoelder_gap(theta, combination, norm)
    if not np.any(combination):
        return 1.0
    return vector_norm(theta - norm_gradient(combination, dual_exponent(norm)), norm)


def misfit(theta: Array, combination: Array, norm: float) -> float:
    """Return ε in [0, 1] of a unit direction and a g of any length that should support the ball.

    As in :class:`Stationarity`: the sine of the angle of g and `∇‖θ̂‖`, or :func:`away`.
    """
    if norm == 1.0 or math.isinf(norm):
        return away(theta, combination, norm)
    if norm == 2.0:
        return sine(angle(combination, theta))
    turned = sine(angle(combination, norm_gradient(theta, norm)))
    return min(turned, away(theta, combination, norm))


def sine(turned: float) -> float:
    """Return the sine of an angle, 1 beyond a right one."""
    return math.sin(min(turned, 0.5 * math.pi))


def stationarity(point: UnitPoint, tau: float) -> Stationarity:
    """Measure `min_{λ ≥ 0, supp λ ⊆ S_τ} ‖θ̂ - Σ_n λ_n ∇f_n(θ̂)‖` (Definition 3, rescaled).

    Parameters
    ----------
    point : the unit direction with a positive margin.
    tau : support tolerance, relative to the margin.

    Returns
    -------
    Stationarity
        with λ in the units of ``point``.
    """
    return on_support(point, point.support(tau))


def on_support(
    point: UnitPoint, support: NDArray[np.intp], *, penalised: bool = False
) -> Stationarity:
    """Measure ε and δ for λ on one support; ``penalised`` minimises `ε² + δ²` instead of ε.

    For ℓ1 and ℓ∞ the sum ε + δ takes the place of the sum of squares. ``lower`` bounds ε, or, where
    penalised, the quantity that was minimised (its square root for the sum of squares).
    """
    if point.is_polyhedral:
        return _polyhedral(point, support, penalised)
    rows, target = chosen_rows(point.jacobian, support), point.wanted
    size = vector_norm(target, 2.0)
    if penalised:
        excess = point.degree * (point.margins[support] - point.margin) * size
        found = nonnegative_multipliers(
            with_column(rows, excess),
            np.append(target / size, 0.0),
            np.append(point.ascent, 0.0),
        )
    else:
        found = nonnegative_multipliers(rows, target / size, point.ascent)
    values = found.multipliers * size
    combination = values @ rows
    residual, lower = found.residual, found.lower
    if penalised:
        residual = vector_norm(target - combination, 2.0) / size
    if point.target is None and point.norm != 2.0 and np.any(combination):
        residual = min(residual, away(point.theta, combination, point.norm))
        lower = lower if penalised else min(lower, residual)
    return measured(point.margins, point.degree, support, values, (residual, lower, found.floor))


def _polyhedral(point: UnitPoint, support: NDArray[np.intp], penalised: bool) -> Stationarity:
    rows = densified(point.jacobian[support])
    if rows is None:
        nothing = np.zeros(support.size)
        return measured(point.margins, point.degree, support, nothing, (1.0, 0.0, 0.0))
    gains = None
    if penalised:
        gains = rows @ point.theta - point.degree * (point.margins[support] - point.margin)
    found = largest_pairing(rows, point.theta, point.norm, gains)
    combination = found.multipliers @ rows
    dual = dual_exponent(point.norm)
    size = vector_norm(combination, dual)
    values = found.multipliers / size if size > 0.0 else found.multipliers
    gap = hoelder_gap(point.theta, combination, point.norm)
    spent = vector_norm(values @ np.abs(rows), dual)
    floor = EPS * (support.size + rows.shape[1] + 4) * (1.0 + spent)
    lower = found.lower if penalised else min(found.lower, gap)
    return measured(point.margins, point.degree, support, values, (gap, lower, floor))


def measured(
    margins: Array,
    degree: float,
    support: NDArray[np.intp],
    values: Array,
    residuals: tuple[float, float, float],
    resolution: float = 0.0,
) -> Stationarity:
    """Return ε, its lower bound and its rounding with the δ and Euler's check of λ (S,)."""
    smallest = float(np.min(margins))
    return Stationarity(
        *residuals,
        complementarity=max(0.0, degree * float(values @ (margins[support] - smallest))),
        euler=degree * smallest * float(np.sum(values)),
        support=support,
        multipliers=spread(support, margins.size, values),
        resolution=resolution,
    )


def lyu_li(
    residual: float, slacks: Array, margin: float, degree: float
) -> tuple[float | None, float | None]:
    """Return (ε, δ) at `w = θ̂/γ^{1/α}`: `ε c` and `c² max λ_n (f_n(θ̂) - γ)`, c = γ^{-1/α}.

    Args:
        residual: ε at θ̂.
        slacks: (S,) λ_n (f_n(θ̂) - γ).
        margin: γ; None is returned unless it is positive and finite.
        degree: α.
    """
    if not (0.0 < margin < math.inf):
        return None, None
    with np.errstate(over="ignore"):
        stretch = float(np.float64(margin) ** (-1.0 / degree))
        return residual * stretch, stretch * stretch * float(np.max(slacks))


def curve(point: UnitPoint, taus: Sequence[float]) -> tuple[CurvePoint, ...]:
    """Return ε as a function of the support tolerance τ: which samples support is itself one."""
    found = []
    for tau in taus:
        one = stationarity(point, tau)
        found.append(CurvePoint(float(tau), one.residual, int(one.support.size)))
    return tuple(found)


def trade_off(point: UnitPoint, weights: Sequence[float] = WEIGHTS) -> tuple[TradeOffPoint, ...]:
    """Return pairs (ε, δ) over *all* samples, for the ℓ2 ball.

    Each is the minimum of `‖θ̂ - Jᵀλ‖² + weight² · (α Σ λ_n (f_n - γ))²` over λ ≥ 0; δ falls and ε
    grows along increasing weights.
    """
    excess = point.degree * (point.margins - point.margin)
    target = norm_gradient(point.theta, 2.0)
    found = []
    for weight in weights:
        rows = np.column_stack([point.jacobian, weight * excess])
        values = nonnegative_multipliers(rows, np.append(target, 0.0)).multipliers
        residual = vector_norm(target - values @ point.jacobian, 2.0)
        found.append(TradeOffPoint(float(weight), residual, float(values @ excess)))
    return tuple(found)
