"""What a direction and multipliers in long numbers prove of a linear hard margin, in balls.

Nothing is searched for: θ is an array of doubles and λ a sum of a few, and every number is an
enclosure of the true one. So whoever has them can say the same word again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from lexmargin.linalg.long_balls import (
    ball_gradient,
    ball_norm,
    dual_ball,
    smallest,
    upper,
)
from lexmargin.linalg.long_numbers import Big, big, long_numbers
from lexmargin.ops.base import FloatArray

__all__ = ["Measured", "affordable", "long_margin_errors", "measured", "terms_of"]

_MOST_WORK: Final = 50_000
"""N·d² up to which a step takes milliseconds."""
_TERMS: Final = 8
"""Doubles per multiplier: 424 bits, of which a direction for p = 3 keeps a third."""


def affordable(count: int, size: int) -> bool:
    """Tell whether N samples of d features are few enough."""
    return count * size * size <= _MOST_WORK


@final
@dataclass(frozen=True)
class Measured:
    """What θ̂ = θ/‖θ‖_p and λ are worth; errors are upper bounds, and so is the bound.

    margin
        `γ = min_n z_n·θ̂`, rounded.
    bound
        `‖Zᵀλ‖_* / Σλ`, which no margin exceeds.
    gap
        `1 - γ/bound`.
    distance
        ε of Definition 3: for 1 < p < ∞ the smaller of `‖∇‖θ̂‖ - s Zᵀλ‖₂/‖∇‖θ̂‖‖₂` with the best s
        and of the distance of θ̂ from the unit vector that Zᵀλ supports; for the polyhedral norms
        `1 - θ̂·Zᵀλ/‖Zᵀλ‖_*`.
    slackness
        δ = Σ λ_n (z_n·θ̂ - γ), of λ scaled so that `θ̂·Zᵀλ = 1`.
    euler
        `γ Σ λ_n` of these λ, rounded.
    """

    margin: float
    bound: float
    gap: float
    distance: float
    slackness: float
    euler: float


def terms_of(multipliers: Big) -> tuple[FloatArray, ...]:
    """Return arrays (N,) of doubles >= 0 whose sum is λ (N,) >= 0, at most a hair below it."""
    from flint import arb

    found, rest = [], [x.mid() for x in multipliers]
    for _ in range(_TERMS):
        term = np.array([max(0.0, _below(x)) for x in rest])
        if not np.any(term):
            break
        found.append(term)
        rest = [(x - arb(t)).mid() for x, t in zip(rest, term.tolist(), strict=True)]
    return tuple(found)


def _below(x: Any) -> float:
    near = float(x)
    return near if x >= near else float(np.nextafter(near, -math.inf))


def measured(
    Z: FloatArray, theta: FloatArray, terms: Sequence[FloatArray], p: float
) -> Measured | None:
    """Measure θ (d,) ≠ 0 with λ = the sum of the terms; None where λ proves nothing.

    Args:
        Z: (N, d) rows z_n, finite.
        theta: at any scale.
        terms: arrays (N,) of doubles >= 0.
        p: of the norm, >= 1.
    """
    with long_numbers():
        rows, lam = big(Z), _sum(terms)
        return None if lam is None else _measured(rows, big(theta), lam, p)


def _sum(terms: Sequence[FloatArray]) -> Big | None:
    if not terms or any(np.any(term < 0.0) or not np.all(np.isfinite(term)) for term in terms):
        return None
    return sum((big(term) for term in terms[1:]), big(terms[0]))


def _measured(rows: Big, point: Big, lam: Big, p: float) -> Measured | None:
    from flint import arb

    dual, total = dual_ball(p), sum(lam, arb(0))
    unit = point / ball_norm(point, p)
    margins, pull = rows @ unit, rows.T @ lam
    margin, size, along = smallest(margins), ball_norm(pull, dual), unit @ pull
    if not (size > 0 and along > 0 and total > 0):
        return None
    bound = size / total
    distances = [1 - along / size]
    if 1.0 < p < math.inf:
        normal = ball_gradient(unit, p)
        scale = (normal @ pull) / (pull @ pull)
        aside = ball_norm(normal - pull * scale, 2.0) / ball_norm(normal, 2.0)
        supported = ball_gradient(pull, dual) / size
        distances = [aside, ball_norm(unit - supported, p)]
    slack = (lam @ (margins - margin)) / along
    return Measured(
        margin=float(margin.mid()),
        bound=upper(bound),
        gap=max(0.0, upper(1 - margin / bound)),
        distance=max(0.0, min(upper(x) for x in distances)),
        slackness=max(0.0, upper(slack)),
        euler=float((margin * total / along).mid()),
    )


def long_margin_errors(
    Z: FloatArray, theta: FloatArray, terms: Sequence[FloatArray], p: float
) -> tuple[FloatArray, FloatArray] | None:
    """Return the margins of θ/‖θ‖_p and how far those of the one best direction are from them.

    The direction v that Zᵀλ supports has a margin and a bound, with a gap g between them. Two
    directions whose margins reach ``(1-g)`` of a bound have a midpoint that does, so that its norm
    is at least 1-g: by Clarkson's inequality (p >= 2) they are ``2 (p g)^{1/p}`` apart, by that of
    Ball, Carlen and Lieb (p < 2) ``2 sqrt(2g/(p-1))``.

    Args:
        Z: (N, d) rows z_n.
        theta: (d,) ≠ 0.
        terms: as for :func:`measured`.
        p: 1 < p < ∞.
    """
    from flint import arb

    with long_numbers():
        rows, lam = big(Z), _sum(terms)
        if lam is None:
            return None
        dual, pull = dual_ball(p), rows.T @ lam
        size = ball_norm(pull, dual)
        if not size > 0:
            return None
        best = ball_gradient(pull, dual) / size
        gap = (1 - smallest(rows @ best) * sum(lam, arb(0)) / size).upper()
        if not gap > 0:
            gap = arb(0)
        convex = (p * gap) ** (1 / arb(p)) if p >= 2.0 else (2 * gap / (arb(p) - 1)).sqrt()
        point = big(theta)
        unit = point / ball_norm(point, p)
        lengths = [ball_norm(row, dual) for row in rows]
        margins = rows @ unit
        away = rows @ (best - unit)
        errors = [upper(abs(v) + e * (2 * convex)) for v, e in zip(away, lengths, strict=True)]
        return np.array([float(v.mid()) for v in margins]), np.array(errors)
