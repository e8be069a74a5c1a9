"""Barrier methods for linear hard margins, 1 < p < ∞, in long numbers.

Their only enemy is rounding: for ``p >= 2`` ``min t φ(w) - Σ log(z_n·w - 1)`` from a separator,
φ = ½‖·‖_p²; for ``p < 2``, where φ has an infinite
curvature at 0, its dual ``min t (½‖Zᵀλ‖_q² - Σ λ_n) - Σ log λ_n``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from lexmargin.linalg.long_numbers import (
    Big,
    dual_exponent,
    eye,
    linear_solve,
    linear_solve_many,
    mid,
    norm,
    power_gradient,
    power_hessian,
    product,
)

__all__ = ["dual_path", "primal_path"]

_GROWTH: Final = 30.0
"""Factor of t: larger ones cost more Newton steps each, smaller ones more of them (judgement)."""
_CENTRED: Final = 0.1
"""Newton decrement, of self-concordant barriers, at which the next t is taken."""
_ARMIJO: Final = 1e-4
"""Part of the slope that a step must gain (Nocedal and Wright, §3.1): any small part serves."""
_STEPS: Final = 1500
"""Newton steps at most: an end for data that do not converge, and no answer then."""
_SHORT: Final = 0.9
"""Part of the way to the boundary of the domain that a step may go."""


def primal_path(
    rows: Big, begin: Big, p: float, gap: float, deadline: float
) -> tuple[Big, Big] | None:
    """Return w with margin 1 or more of least norm, and λ, from a separator.

    The relative gap is that of the end, and the decrement of the last point is as small: its
    multipliers 1/s are then as precise as its slacks s.
    """
    from flint import arb

    count = len(rows)
    w = mid(begin * (2 / min(rows @ begin)))

    def value(v: Big) -> Any:
        return (norm(v, p) ** 2 / 2).mid()

    t = arb(count) / value(w)
    target = float(count) / gap
    for _ in range(_STEPS):
        if time.monotonic() > deadline:
            return None
        s = mid(rows @ w - 1)
        inverse = np.array([(1 / v).mid() for v in s], dtype=object)
        weighted = rows * inverse[:, None]
        gradient = mid(power_gradient(w, p) * t - rows.T @ inverse)
        hessian = product(weighted.T, weighted) + power_hessian(w, p) * t
        step = linear_solve(hessian, -gradient)
        if step is None:
            return None
        decrement = float((-(gradient @ step)).mid())
        last = float((t * value(w)).mid()) >= target
        if decrement <= gap**2:
            return w, inverse
        if decrement <= _CENTRED**2 and not last:
            t = (t * _GROWTH).mid()
            continue

        def lower(v: Big, now: Any = t) -> Any:
            rest = rows @ v - 1
            if not all(r > 0 for r in rest):
                return None
            return (now * value(v) - _log_sum(rest)).mid()

        found = _searched(lower, w, step, _reach(s, rows @ step), decrement)
        if found is None:
            return None
        w = found
    return None


def dual_path(rows: Big, p: float, gap: float, deadline: float) -> Big | None:
    """Return λ > 0 near the least of ``½‖Zᵀλ‖_q² - Σ λ_n``, 1 < p < 2."""
    from flint import arb

    q = dual_exponent(p)
    count, size = rows.shape
    lam = np.array([arb(1) / max(max(abs(v) for v in row), arb(2) ** -1000) for row in rows])
    u = rows.T @ lam
    # Along the ray the best has Σλ = ‖Zᵀλ‖²; far too long is no harm.
    pull = norm(u, q) ** 2
    if not pull > 0:
        return None
    lam = mid(lam * (sum(lam) / pull))

    def value(v: Big) -> Any:
        return (norm(rows.T @ v, q) ** 2 / 2 - sum(v)).mid()

    t = count / sum(lam)
    identity = eye(size)
    for _ in range(_STEPS):
        if time.monotonic() > deadline:
            return None
        u = mid(rows.T @ lam)
        w = power_gradient(u, q)
        margins = mid(rows @ w)
        gradient = mid(t * (margins - 1) - np.array([(1 / v).mid() for v in lam]))
        curved = power_hessian(u, q) * t
        # (D⁻¹ + Z B Zᵀ)⁻¹ = D - D Z (I + B ZᵀDZ)⁻¹ B ZᵀD, D = diag λ²
        D = mid(lam * lam)
        weighted = rows * D[:, None]
        inner = linear_solve_many(identity + product(curved, product(rows.T, weighted)), curved)
        if inner is None:
            return None
        right = -gradient
        step = mid(D * right - weighted @ (inner @ (weighted.T @ right)))
        decrement = float((-(gradient @ step)).mid())
        last = float((t * sum(lam)).mid()) >= count / gap
        if decrement <= gap**2:
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
        there = mid(x + step * share)
        lower = value(there)
        if lower is not None and lower <= here - _ARMIJO * share * decrement:
            return there
        share *= 0.5
    return None
