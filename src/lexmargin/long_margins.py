"""Linear hard margins in any norm with numbers of 1000 bits, for small samples of any scale.

Rows and columns whose sizes differ by ten powers of ten, or samples far from the origin beside a
bias that counts, have margins below the rounding of doubles; here no scale is large. Barrier
methods, whose only enemy is rounding: for ``p >= 2``, and the polyhedral balls as cones,
``min t φ(w) - Σ log(z_n·w - 1)`` from a separator; for ``p < 2``, where φ = ½‖·‖_p² has an infinite
curvature at 0, its dual ``min t (½‖Zᵀλ‖_q² - Σ λ_n) - Σ log λ_n``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from lexmargin.gordan import separability_of_rows
from lexmargin.ops.base import FloatArray

__all__ = [
    "LongMargin",
    "LongMeasures",
    "Measured",
    "affordable",
    "long_margin",
    "long_margin_errors",
    "long_measures",
]

_BITS: Final = 1000
"""The barrier's Hessian holds squares of slacks: 400 bits for the gap, and room for all scales."""
_MOST_WORK: Final = 50_000
"""N·d² up to which a step takes milliseconds."""
_GROWTH: Final = 30.0
_CENTRED: Final = 0.1
"""Newton decrement, of self-concordant barriers, at which the next t is taken."""
_GAP: Final = 1e-60
"""Relative gap of the end: its cube root, which bounds directions for p = 3, is below doubles."""
_SPARE: Final = 800
"""Bits that are right after the rounding of all sums; the rest is room."""
_WEIGHTY: Final = 1e-12
"""Shares of rows that are held where θ is rounded: less weight, and the row is no support."""
_ENDED: Final = 1e-60
"""Decrement of the last point, whose multipliers 1/s are then as precise as its slacks s."""
_ARMIJO: Final = 1e-4
_STEPS: Final = 1500
_SHORT: Final = 0.9
"""Part of the way to the boundary of the domain that a step may go."""

Big = Any
"""An array of ``flint.arb`` (dtype object)."""


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
    Z: FloatArray, p: float, deadline: float, level: float = math.inf
) -> LongMargin | None:
    """Return the answer of ``max t  s.t.  z_n·w >= t, ‖w‖_p <= 1`` (eq. 6).

    Args:
        Z: (N, d) rows z_n, finite.
        p: of the norm, >= 1.
        deadline: ``time.monotonic()`` at which to give up.
        level: the margin that θ is scaled to; θ has norm 1 if infinite.

    Returns:
        None where nothing separates the rows, or the steps do not end.
    """
    from flint import ctx

    before = ctx.prec
    ctx.prec = _BITS
    try:
        return _solved(Z, p, deadline, level)
    finally:
        ctx.prec = before


def _solved(Z: FloatArray, p: float, deadline: float, level: float) -> LongMargin | None:
    pair = _pair(Z, p, deadline)
    if pair is None:
        return None
    rows, theta, share = pair
    if level < math.inf:
        theta = _mid(theta * (level / min(rows @ theta, key=float)))
    weighty = np.array([float(x) > _WEIGHTY for x in share])
    in_doubles = _rounded(rows[weighty], theta)
    multipliers = _shown(rows, share, p)
    found = _measured(rows, _big(in_doubles), _big(multipliers), p)
    return LongMargin(in_doubles, multipliers, found.margin, found.bound)


def _dual(p: float) -> Any:
    """Return the conjugate exponent, a long number where it is none of 1, 2 and ∞."""
    from flint import arb

    if p in (1.0, 2.0, math.inf):
        return {1.0: math.inf, 2.0: 2.0, math.inf: 1.0}[p]
    return (arb(p) / (arb(p) - 1)).mid()


def _pair(Z: FloatArray, p: float, deadline: float) -> tuple[Big, Big, Big] | None:
    """Return the rows, θ of norm 1 and λ with Σλ = 1, in long numbers."""
    rows, found = _big(Z), separability_of_rows(Z)
    if found.weights is None:
        return None
    if 1.0 < p < 2.0:
        lam = _dual_path(rows, p, deadline)
        if lam is None:
            return None
        w = _power_gradient(rows.T @ lam, _dual(p))
    else:
        begin = np.array([_ratio(x.numerator, x.denominator) for x in found.weights], dtype=object)
        pair = _primal_path(rows, begin, p, deadline)
        if pair is None:
            return None
        w, lam = pair
    if not min(rows @ w, key=float) > 0:
        return None
    return rows, _mid(w / _norm(w, p)), _mid(lam / sum(lam))


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
    from flint import arb, ctx

    before = ctx.prec
    ctx.prec = _BITS
    try:
        pair = _pair(Z, p, deadline)
        if pair is None:
            return None
        rows, best, share = pair
        dual = _dual(p)
        gap = 1 - min(rows @ best, key=float) / _norm(_mid(rows.T @ share), dual)
        gap = abs(gap.mid()) + arb(2) ** -_SPARE
        convex = (p * gap) ** (1 / arb(p)) if p >= 2.0 else (2 * gap / (arb(p) - 1)).sqrt()
        point = _big(theta)
        unit = point / _norm(point, p)
        lengths = np.array([_norm(row, dual) for row in rows], dtype=object)
        errors = [
            abs(v) + e for v, e in zip(rows @ (best - unit), lengths * (2 * convex), strict=True)
        ]
        margins = [float(v.mid()) for v in rows @ unit]
        return np.array(margins), np.array([_above(v) for v in errors])
    finally:
        ctx.prec = before


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

    ``multipliers`` (N,) are those doubles, with ‖Zᵀλ‖_* = 1.
    """

    long: Measured
    rounded: Measured
    multipliers: FloatArray


def long_measures(
    Z: FloatArray, theta: FloatArray, p: float, deadline: float
) -> LongMeasures | None:
    """Measure θ (d,) ≠ 0 with the multipliers of the best direction; None where there is none.

    Args are those of :func:`long_margin_errors`, for p >= 1.
    """
    from flint import ctx

    before = ctx.prec
    ctx.prec = _BITS
    try:
        pair = _pair(Z, p, deadline)
        if pair is None:
            return None
        rows, _, share = pair
        multipliers = _shown(rows, share, p)
        point = _big(theta)
        return LongMeasures(
            _measured(rows, point, share, p),
            _measured(rows, point, _big(multipliers), p),
            multipliers,
        )
    finally:
        ctx.prec = before


def _shown(rows: Big, share: Big, p: float) -> FloatArray:
    """Return λ in doubles with ‖Zᵀλ‖_* = 1."""
    size = _norm(_mid(rows.T @ share), _dual(p))
    return np.maximum(_rounded(rows.T, _mid(share / size)), 0.0)


def _measured(rows: Big, point: Big, lam: Big, p: float) -> Measured:
    from flint import arb

    dual = _dual(p)
    unit = point / _norm(point, p)
    margins = rows @ unit
    margin, pull = min(margins, key=float), rows.T @ lam
    size, along = _norm(pull, dual), unit @ pull
    bound = size / sum(lam)
    if not (size > 0 and along > 0):
        return Measured(float(margin), float(bound), np.inf, 1.0, np.inf)
    distance = 1 - along / size
    if 1.0 < p < np.inf:
        normal = _power_gradient(unit, p)
        scale = (normal @ pull) / (pull @ pull)
        aside = _norm(normal - pull * scale, 2.0) / _norm(normal, 2.0)
        supported = _power_gradient(pull, dual) / size
        distance = min(aside, _norm(unit - supported, p), key=float)
    slack = (lam @ (margins - margin)) / along
    zero = arb(0)
    return Measured(
        float(margin.mid()),
        float(bound.mid()),
        _above(max(1 - margin / bound, zero, key=float)),
        _above(max(distance, zero, key=float)),
        _above(max(slack, zero, key=float)),
    )


def _above(value: Any) -> float:
    """Return a double that is not below a long number with all errors of its making."""
    from flint import arb

    return float(np.nextafter(float((value + arb(2) ** -_SPARE).upper().mid()), np.inf))


# -- arrays of big numbers -------------------------------------------------------------------------


def _big(values: FloatArray) -> Big:
    from flint import arb

    return np.frompyfunc(lambda x: arb(float(x)), 1, 1)(np.asarray(values, dtype=np.float64))


def _ratio(numerator: int, denominator: int) -> Any:
    from flint import arb, fmpz

    return (arb(fmpz(numerator)) / arb(fmpz(denominator))).mid()


_mid = np.frompyfunc(lambda x: x.mid(), 1, 1)


def _norm(v: Big, p: Any) -> Any:
    from flint import arb

    sizes = [abs(x) for x in v]
    if p == np.inf:
        return max(sizes)
    if p == 1.0:
        return sum(sizes, arb(0)).mid()
    if p == 2.0:
        return sum((x * x for x in sizes), arb(0)).mid().sqrt().mid()
    powers = (x ** arb(p) for x in sizes if x > 0)
    return (sum(powers, arb(0)).mid() ** (1 / arb(p))).mid()


def _power_gradient(x: Big, p: Any) -> Big:
    """Return ``∇½‖x‖_p²``, 1 < p < ∞."""
    from flint import arb

    if p == 2.0:
        return x
    size = _norm(x, p)
    if not size > 0:
        return x
    bent = [((abs(v) / size) ** (arb(p) - 1)).mid() if v != 0 else arb(0) for v in x]
    return _mid(np.array([size * (b if v > 0 else -b) for v, b in zip(x, bent, strict=True)]))


def _power_hessian(x: Big, p: Any) -> Big:
    """Return ``∇²½‖x‖_p²``, p >= 2."""
    from flint import arb

    if p == 2.0:
        return _eye(len(x))
    size = _norm(x, p)
    unit = [abs(v) / size for v in x]
    slope = [
        (u ** (arb(p) - 1)).mid() * (1 if v > 0 else -1) if v != 0 else arb(0)
        for u, v in zip(unit, x, strict=True)
    ]
    found = np.array([[(2 - arb(p)) * a * b for b in slope] for a in slope], dtype=object)
    for i, u in enumerate(unit):
        found[i, i] += (arb(p) - 1) * ((u ** (arb(p) - 2)).mid() if u > 0 else 0)
    return _mid(found)


def _eye(size: int) -> Big:
    from flint import arb

    return np.array([[arb(int(i == j)) for j in range(size)] for i in range(size)], dtype=object)


def _linear_solve(matrix: Big, right: Big) -> Big | None:
    from flint import arb_mat

    size = len(right)
    try:
        found = arb_mat(matrix.tolist()).solve(arb_mat(size, 1, right.tolist()))
    except ZeroDivisionError:
        return None
    return np.array([found[i, 0].mid() for i in range(size)], dtype=object)


def _rounded(rows: Big, x: Big) -> FloatArray:
    """Return x in doubles, the error of each entry made good by those that are not rounded yet.

    The entry whose rounding moves ``rows @ x`` furthest is rounded first, and the rest moves so
    that the products stay what they were, as far as it can.
    """
    from flint import arb

    left = list(range(len(x)))
    now = x.copy()
    reach = {j: float(max(abs(v) for v in rows[:, j]) * abs(x[j])) for j in left}
    result = np.zeros(len(x))
    while left:
        j = max(left, key=reach.__getitem__)
        left.remove(j)
        result[j] = float(now[j])
        error = now[j] - arb(result[j])
        if not left or error == 0:
            continue
        # Column j times the error, spread over the others by weighted least squares: no entry
        # moves by more than its own rounding is worth.
        scale = np.array([abs(x[k]) if x[k] != 0 else arb(0) for k in left], dtype=object)
        columns = rows[:, left] * scale
        gram = _mid(columns.T @ columns)
        trace = sum(gram[i, i] for i in range(len(left)))
        if not trace > 0:
            continue
        for i in range(len(left)):
            gram[i, i] += trace * arb(2) ** -150
        move = _linear_solve(gram, _mid(columns.T @ (rows[:, j] * error)))
        if move is not None:
            for k, m, s in zip(left, move, scale, strict=True):
                now[k] = (now[k] + m * s).mid()
    return result


# -- barriers --------------------------------------------------------------------------------------


def _primal_path(rows: Big, begin: Big, p: float, deadline: float) -> tuple[Big, Big] | None:
    """Return w with margin 1 or more of least norm, and λ, from a separator."""
    from flint import arb

    count, size = rows.shape
    w = _mid(begin * (2 / min(rows @ begin)))
    if p == 1.0:
        # w = a - b, a and b > 0.
        extra = _norm(w, np.inf)
        x = np.concatenate(
            [[(abs(v) + v) / 2 + extra for v in w], [(abs(v) - v) / 2 + extra for v in w]]
        )
        G = np.concatenate([np.concatenate([rows, -rows], axis=1), _eye(2 * size)])
        h = np.array([arb(1)] * count + [arb(0)] * (2 * size), dtype=object)
        cost = np.array([arb(1)] * (2 * size), dtype=object)
    elif p == np.inf:
        x = np.append(w, 2 * _norm(w, np.inf))
        ones = np.array([[arb(1)]] * size, dtype=object)
        eye = _eye(size)
        zero = np.array([[arb(0)]] * count, dtype=object)
        G = np.concatenate(
            [
                np.concatenate([rows, zero], axis=1),
                np.concatenate([-eye, ones], axis=1),
                np.concatenate([eye, ones], axis=1),
            ]
        )
        h = np.array([arb(1)] * count + [arb(0)] * (2 * size), dtype=object)
        cost = np.array([arb(0)] * size + [arb(1)], dtype=object)
    else:
        x, G, h, cost = w, rows, np.array([arb(1)] * count, dtype=object), None

    def value(v: Big) -> Any:
        return (cost @ v).mid() if cost is not None else (_norm(v, p) ** 2 / 2).mid()

    def derivatives(v: Big) -> tuple[Big, Big]:
        if cost is not None:
            return cost, arb(0)
        return _power_gradient(v, p), _power_hessian(v, p)

    t = arb(len(h)) / value(x)
    target = float(len(h)) / _GAP
    for _ in range(_STEPS):
        if time.monotonic() > deadline:
            return None
        s = _mid(G @ x - h)
        inverse = np.array([(1 / v).mid() for v in s], dtype=object)
        slope, curved = derivatives(x)
        gradient = _mid(slope * t - G.T @ inverse)
        hessian = _mid((G * inverse[:, None]).T @ (G * inverse[:, None]) + curved * t)
        step = _linear_solve(hessian, -gradient)
        if step is None:
            return None
        decrement = float((-(gradient @ step)).mid())
        last = float((t * value(x)).mid()) >= target
        if decrement <= _ENDED**2:
            lam = inverse[:count]
            return (x[:size] - x[size:] if p == 1.0 else x[:size]), lam
        if decrement <= _CENTRED**2 and not last:
            t = (t * _GROWTH).mid()
            continue

        def lower(v: Big, now: Any = t) -> Any:
            rest = G @ v - h
            if not all(r > 0 for r in rest):
                return None
            return (now * value(v) - _log_sum(rest)).mid()

        found = _searched(lower, x, step, _reach(s, G @ step), decrement)
        if found is None:
            return None
        x = found
    return None


def _dual_path(rows: Big, p: float, deadline: float) -> Big | None:
    """Return λ > 0 near the least of ``½‖Zᵀλ‖_q² - Σ λ_n``, 1 < p < 2."""
    from flint import arb

    q = _dual(p)
    count, size = rows.shape
    lam = np.array([arb(1) / max(max(abs(v) for v in row), arb(2) ** -1000) for row in rows])
    u = rows.T @ lam
    # Along the ray the best has Σλ = ‖Zᵀλ‖²; far too long is no harm.
    pull = _norm(u, q) ** 2
    if not pull > 0:
        return None
    lam = _mid(lam * (sum(lam) / pull))

    def value(v: Big) -> Any:
        return (_norm(rows.T @ v, q) ** 2 / 2 - sum(v)).mid()

    t = count / sum(lam)
    eye = _eye(size)
    for _ in range(_STEPS):
        if time.monotonic() > deadline:
            return None
        u = _mid(rows.T @ lam)
        w = _power_gradient(u, q)
        margins = _mid(rows @ w)
        gradient = _mid(t * (margins - 1) - np.array([(1 / v).mid() for v in lam]))
        curved = _power_hessian(u, q) * t
        # (D⁻¹ + Z B Zᵀ)⁻¹ = D - D Z (I + B ZᵀDZ)⁻¹ B ZᵀD, D = diag λ²
        D = _mid(lam * lam)
        weighted = rows * D[:, None]
        inner = _linear_solve_many(_mid(eye + curved @ (rows.T @ weighted)), curved)
        if inner is None:
            return None
        right = -gradient
        step = _mid(D * right - weighted @ (inner @ (weighted.T @ right)))
        decrement = float((-(gradient @ step)).mid())
        last = float((t * sum(lam)).mid()) >= count / _GAP
        if decrement <= _ENDED**2:
            return lam
        if decrement <= _CENTRED**2 and not last:
            t = (t * _GROWTH).mid()
            continue

        def lower(v: Big, now: Any = t) -> Any:
            return (now * value(v) - _log_sum(v)).mid() if all(x > 0 for x in v) else None

        found = _searched(lower, lam, step, _reach(lam, step), decrement)
        if found is None:
            return None
        lam = found
    return None


def _linear_solve_many(matrix: Big, right: Big) -> Big | None:
    from flint import arb_mat

    try:
        found = arb_mat(matrix.tolist()).solve(arb_mat(right.tolist()))
    except ZeroDivisionError:
        return None
    return np.array([[x.mid() for x in row] for row in found.tolist()], dtype=object)


def _log_sum(values: Big) -> Any:
    from flint import arb

    return sum((v.log() for v in values), arb(0))


def _reach(slack: Big, change: Big) -> float:
    """Return the longest step that stays in the domain, with a reserve; at most 1."""
    steps = [float((-s / c).mid()) for s, c in zip(slack, change, strict=True) if c < 0]
    return min(1.0, _SHORT * min(steps, default=2.0))


def _searched(
    value: Callable[[Big], Any], x: Big, step: Big, longest: float, decrement: float
) -> Big | None:
    """Return a point that is lower by what the slope promises, along a step."""
    here, share = value(x), longest
    for _ in range(80):
        there = _mid(x + step * share)
        lower = value(there)
        if lower is not None and lower <= here - _ARMIJO * share * decrement:
            return there
        share *= 0.5
    return None
