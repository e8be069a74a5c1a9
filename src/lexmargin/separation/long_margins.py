"""Linear hard margins in any norm in long numbers, for small samples of any scale.

Rows and columns whose sizes differ by ten powers of ten, or samples far from the origin beside a
bias that counts, have margins below the rounding of doubles; here no scale is large.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from lexmargin.linalg.long_barriers import dual_path, primal_path
from lexmargin.linalg.long_numbers import (
    Big,
    above,
    big,
    dual_exponent,
    long_numbers,
    mid,
    norm,
    power_gradient,
    ratio,
    rounded,
)
from lexmargin.ops.base import FloatArray
from lexmargin.separation.gordan import separability_of_rows

__all__ = [
    "LongMargin",
    "LongMeasures",
    "Measured",
    "affordable",
    "long_margin",
    "long_margin_errors",
    "long_measures",
]

_MOST_WORK: Final = 50_000
"""N·d² up to which a step takes milliseconds."""
_LEAST_GAP: Final = 2.0**-800
"""Far above what rounding makes of a gap of long numbers."""
_WEIGHTY: Final = 1e-12
"""Shares of rows that are held where θ is rounded: less weight, and the row is no support."""


def affordable(count: int, size: int) -> bool:
    """Tell whether N samples of d features are few enough."""
    return count * size * size <= _MOST_WORK


@final
@dataclass(frozen=True, eq=False)
class LongMargin:
    """θ (d,) and λ (N,) >= 0 with ‖Zᵀλ‖_* = 1, rounded so that errors cancel in Zθ and Zᵀλ.

    ``margin`` of θ/‖θ‖ and ``bound = ‖Zᵀλ‖_*/Σλ`` are those of the rounded numbers, measured in
    long ones.
    """

    theta: FloatArray
    multipliers: FloatArray
    margin: float
    bound: float


def long_margin(
    Z: FloatArray, p: float, deadline: float, length: Callable[[LongMargin], float] | None = None
) -> LongMargin | None:
    """Return the answer of ``max t  s.t.  z_n·w >= t, ‖w‖_p <= 1`` (eq. 6).

    Args:
        Z: (N, d) rows z_n, finite.
        p: of the norm, >= 1.
        deadline: ``time.monotonic()`` at which to give up.
        length: the norm that θ is to have, from the answer of norm 1; 1 if None.

    Returns:
        None where nothing separates the rows, or the steps do not end.
    """
    with long_numbers():
        pair = _pair(Z, p, deadline)
        if pair is None:
            return None
        found = _in_doubles(pair, p, 1.0)
        size = 1.0 if length is None else length(found)
        if size == 1.0 or not 0.0 < size < math.inf:
            return found
        return _in_doubles(pair, p, size)


def _in_doubles(pair: tuple[Big, Big, Big], p: float, size: float) -> LongMargin:
    rows, theta, share = pair
    weighty = np.array([float(x) > _WEIGHTY for x in share])
    in_doubles = rounded(rows[weighty], mid(theta * size))
    multipliers = _shown(rows, share, p)
    found = _measured(rows, big(in_doubles), big(multipliers), p)
    return LongMargin(in_doubles, multipliers, found.margin, found.bound)


def _pair(Z: FloatArray, p: float, deadline: float) -> tuple[Big, Big, Big] | None:
    """Return the rows, θ of norm 1 and λ with Σλ = 1, in long numbers."""
    rows, found = big(Z), separability_of_rows(Z)
    if found.weights is None:
        return None
    if 1.0 < p < 2.0:
        lam = dual_path(rows, p, deadline)
        if lam is None:
            return None
        w = power_gradient(rows.T @ lam, dual_exponent(p))
    else:
        begin = np.array([ratio(x.numerator, x.denominator) for x in found.weights], dtype=object)
        pair = primal_path(rows, begin, p, deadline)
        if pair is None:
            return None
        w, lam = pair
    if not min(rows @ w, key=float) > 0:
        return None
    return rows, mid(w / norm(w, p)), mid(lam / sum(lam))


def long_margin_errors(
    Z: FloatArray, theta: FloatArray, p: float, deadline: float
) -> tuple[FloatArray, FloatArray] | None:
    """Return the margins of θ/‖θ‖_p and how far those of the one best direction are from them.

    Two directions whose margins reach ``(1-g)`` of a bound have a midpoint that does, so that its
    norm is at least 1-g: by Clarkson's inequality (p >= 2) they are ``2 (p g)^{1/p}`` apart, by
    that of Ball, Carlen and Lieb (p < 2) ``2 sqrt(2g/(p-1))``.

    Args:
        Z: (N, d) rows z_n.
        theta: (d,) ≠ 0.
        p: 1 < p < ∞.
        deadline: as for :func:`long_margin`.
    """
    from flint import arb

    with long_numbers():
        pair = _pair(Z, p, deadline)
        if pair is None:
            return None
        rows, best, share = pair
        dual = dual_exponent(p)
        gap = 1 - min(rows @ best, key=float) / norm(mid(rows.T @ share), dual)
        gap = abs(gap.mid()) + _LEAST_GAP
        convex = (p * gap) ** (1 / arb(p)) if p >= 2.0 else (2 * gap / (arb(p) - 1)).sqrt()
        point = big(theta)
        unit = point / norm(point, p)
        lengths = np.array([norm(row, dual) for row in rows], dtype=object)
        errors = [
            abs(v) + e for v, e in zip(rows @ (best - unit), lengths * (2 * convex), strict=True)
        ]
        margins = [float(v.mid()) for v in rows @ unit]
        return np.array(margins), np.array([above(v) for v in errors])


@final
@dataclass(frozen=True)
class Measured:
    """What θ̂ = θ/‖θ‖_p and λ are worth, each number rounded once.

    margin
        `γ = min_n z_n·θ̂`.
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
    """

    margin: float
    bound: float
    gap: float
    distance: float
    slackness: float


@final
@dataclass(frozen=True, eq=False)
class LongMeasures:
    """What is known of a direction: with the best long multipliers, and with doubles near them.

    ``multipliers`` (N,) are those doubles, with ‖Zᵀλ‖_* of the size asked for.
    """

    long: Measured
    rounded: Measured
    multipliers: FloatArray


def long_measures(
    Z: FloatArray, theta: FloatArray, p: float, deadline: float, size: float = 1.0
) -> LongMeasures | None:
    """Measure θ (d,) ≠ 0 with the multipliers of the best direction; None where there is none.

    Args are those of :func:`long_margin_errors`, for p >= 1.
    """
    with long_numbers():
        pair = _pair(Z, p, deadline)
        if pair is None:
            return None
        rows, _, share = pair
        multipliers = _shown(rows, share, p, size)
        point = big(theta)
        return LongMeasures(
            _measured(rows, point, share, p),
            _measured(rows, point, big(multipliers), p),
            multipliers,
        )


def _shown(rows: Big, share: Big, p: float, size: float = 1.0) -> FloatArray:
    """Return λ in doubles with ‖Zᵀλ‖_* of a size."""
    scale = size / norm(mid(rows.T @ share), dual_exponent(p))
    return np.maximum(rounded(rows.T, mid(share * scale)), 0.0)


def _measured(rows: Big, point: Big, lam: Big, p: float) -> Measured:
    from flint import arb

    dual = dual_exponent(p)
    unit = point / norm(point, p)
    margins = rows @ unit
    margin, pull = min(margins, key=float), rows.T @ lam
    size, along = norm(pull, dual), unit @ pull
    bound = size / sum(lam)
    if not (size > 0 and along > 0):
        return Measured(float(margin), float(bound), np.inf, 1.0, np.inf)
    distance = 1 - along / size
    if 1.0 < p < np.inf:
        normal = power_gradient(unit, p)
        scale = (normal @ pull) / (pull @ pull)
        aside = norm(normal - pull * scale, 2.0) / norm(normal, 2.0)
        supported = power_gradient(pull, dual) / size
        distance = min(aside, norm(unit - supported, p), key=float)
    slack = (lam @ (margins - margin)) / along
    zero = arb(0)
    return Measured(
        float(margin.mid()),
        float(bound.mid()),
        above(max(1 - margin / bound, zero, key=float)),
        above(max(distance, zero, key=float)),
        above(max(slack, zero, key=float)),
    )
