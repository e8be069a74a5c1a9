"""That a strict local maximiser lies near a point: Newton's method, and how far it can be off.

A positive reduced Hessian speaks of the point itself. The true maximiser lies where Newton's method
leads, if the Hessian hardly changes on the way (Kantorovich 1948; Ortega & Rheinboldt 1970, 12.6).
With β = 1/σ of the normalised gradients of the margins that hold the point, m the smallest
eigenvalue on their tangents, M = ‖I - H‖ and the changes measured over the ball,
`B x - Jᵀμ = a`, `J x = b` has a solution with `|x| ≤ β|b| + (|a| + Mβ|b|)/m` and
`|μ| ≤ β(|a| + M|x|)`. Where this maps a ball into itself, it holds a solution of the KKT equations
(Brouwer); there the multipliers are positive, the other margins larger and the reduced Hessian
positive, so that it is a strict local maximiser.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from lexmargin.judge.second_order.reduced import Reduced
from lexmargin.judge.second_order.vicinity import EPS, Vicinity
from lexmargin.judge.trained.scores import Indices
from lexmargin.linalg.norms import Array

__all__ = ["FARTHEST", "strict_near"]

FARTHEST: Final = 1e-3
"""A maximiser farther away, as a part of ‖θ‖, is another point than the one asked about."""

_STEPS: Final = 12
_DOUBLINGS: Final = 5
_RANK: Final = 1e-10
_EQUAL: Final = 1e-9
# Up to this size every direction of the ball is measured.
_ALL: Final = 8
_SAMPLES: Final = 16
# The mean of squares over 16 directions is smaller than a ninth of the Frobenius norm with a
# probability below 1e-3, and the Frobenius norm is never below the operator norm.
_SAFETY: Final = 3.0
_SPAN: Final = 1e-5
_ENTRIES: Final = 4_000_000
_BEYOND: Final = 1e-3


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class _Improved:
    """Where Newton's method leads from the point: u, λ (N,), f(u), the level, |Σ λ∇f - u|."""

    point: Array
    multipliers: Array
    values: Array
    level: float
    error: float


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class _Held:
    """The margins that hold the improved point, equal ones in groups.

    rows, weights, gaps
        normalised gradients of one member per group (g, d), λ‖∇f‖ of the groups (g,), and
        (level - f)/‖∇f‖ with its rounding (g,).
    lengths
        ‖∇f‖ of the members shown (g,).
    members, groups
        all members, and the group of each.
    """

    rows: Array
    weights: Array
    gaps: Array
    lengths: Array
    members: Indices
    groups: Indices
    smallest: float


def strict_near(vicinity: Vicinity, reduced: Reduced) -> float | str:
    """Return a radius within which a strict local maximiser was shown to lie, or why none was.

    Modulo the orbit of symmetries. Changes of the Hessian are differences over the ball, at as many
    points as it has directions up to :data:`_ALL` parameters, at random points above.

    Parameters
    ----------
    vicinity : the point.
    reduced : its Hessian, positive on the tangents.
    """
    with np.errstate(all="ignore"):
        found = _improved(vicinity, reduced)
    away = float(np.linalg.norm(found.point - vicinity.theta))
    if not away <= FARTHEST:
        return "Newton's method leaves the neighbourhood of this point"
    held = _grouped(vicinity, reduced, found)
    if isinstance(held, str):
        return held
    sphere = vicinity.level is None and vicinity.degree is None
    matrix = reduced.lagrangian
    size = min(float(np.linalg.norm(matrix)), float(np.max(np.sum(np.abs(matrix), axis=1))))
    lowest = float(reduced.eigenvalues[0]) if reduced.eigenvalues.size else math.inf
    lengths = np.linalg.norm(vicinity.functions.rows(found.point, reduced.held), axis=1)
    spent = float(found.multipliers[reduced.held] @ lengths)
    error = found.error + 8.0 * EPS * (1.0 + spent)
    off = float(np.linalg.norm(held.gaps))
    sigma = held.smallest
    radius = 2.0 * (off / sigma + (error + size * off / sigma) / lowest)
    total = float(np.sum(found.multipliers))
    spread = float(np.linalg.norm(1.0 / held.lengths)) / total if sphere else 0.0
    for _ in range(_DOUBLINGS):
        whole = away + radius
        if whole > FARTHEST:
            return f"no strict maximiser was shown within {FARTHEST:g}"
        if not vicinity.clear_of_kinks(whole):
            return "a kink is as near as the error of the point"
        bent = _bent(vicinity, found, held.members, radius)
        kappa = math.sqrt(held.lengths.size) * float(np.max(bent / held.lengths[held.groups]))
        change = _change(vicinity, found, reduced, radius)
        turned = kappa * away / sigma
        least = _turned(lowest, size, turned)
        slack = 2.0 * (error + size * radius) / sigma
        a = error + change * radius + kappa * radius * slack
        b = off + 0.5 * kappa * radius**2
        b += spread * (0.5 * radius**2 + error * radius + float(np.sum(held.weights)) * b)
        if least > 0.0:
            x = b / sigma + (a + size * b / sigma) / least
            if x <= radius and (a + size * x) / sigma <= slack:
                break
        radius *= 2.0
    else:
        return (
            f"the Hessian changes by {change:.3g} within {whole:.3g}, too much for Newton's method "
            "to be sure of a maximiser there"
        )
    others = _others(vicinity, reduced, found, held, radius)
    if isinstance(others, str):
        return others
    if float(np.min(held.weights)) <= slack:
        return "a multiplier is no larger than what the true point's may differ by"
    unequal = _unequal(vicinity, found, held, others)
    least = _turned(lowest, size, kappa * (away + radius) / sigma)
    if not least > change + kappa * slack + unequal:
        return f"the Hessian changes by {change:.3g} within {whole:.3g}, as much as it is positive"
    return whole


def _turned(lowest: float, size: float, angle: float) -> float:
    """Return what is left of the smallest eigenvalue on tangents that turn by an angle."""
    if math.isinf(lowest):
        return lowest if angle < 1.0 else -math.inf
    return lowest * (1.0 - angle**2) - 2.0 * size * angle - size * angle**2


def _improved(vicinity: Vicinity, reduced: Reduced) -> _Improved:
    """Follow Newton's method with the Hessian of the point, as long as residuals are halved."""
    functions, held = vicinity.functions, reduced.held
    point, weights = vicinity.theta, np.zeros(functions.count)
    # What holds nothing in place has no multiplier at the true point.
    weights[held] = vicinity.multipliers[held]
    inverse = reduced.inverse
    lengths = np.linalg.norm(reduced.rows, axis=1)
    best: _Improved | None = None
    last = math.inf
    for _ in range(_STEPS):
        values = functions.values(point)
        off = functions.combined_gradient(point, weights) - point
        level = vicinity.level
        if level is None:
            shares = weights[held]
            level = float(shares @ values[held] / np.sum(shares))
        gaps = level - values[held]
        error = float(np.linalg.norm(off))
        residual = error + float(np.linalg.norm(gaps / lengths))
        if not (math.isfinite(residual) and residual < 0.5 * last):
            break
        last = residual
        best = _Improved(point=point, multipliers=weights, values=values, level=level, error=error)
        normal = inverse @ gaps
        along = reduced.vectors.T @ (off - reduced.lagrangian @ normal)
        step = normal + reduced.vectors @ (along / reduced.eigenvalues)
        point = point + step
        if not np.all(np.isfinite(point)) or float(np.linalg.norm(step)) > 1.0:
            break
        if vicinity.level is None:
            point = point / float(np.linalg.norm(point))
        weights = weights.copy()
        missing = point - functions.combined_gradient(point, weights)
        weights[held] = weights[held] + inverse.T @ missing
        if not (np.all(np.isfinite(weights)) and np.all(weights[held] > 0.0)):
            break
    assert best is not None
    return best


def _grouped(vicinity: Vicinity, reduced: Reduced, found: _Improved) -> _Held | str:
    """Put margins that are the same function here into groups, whose gradients are independent."""
    functions, held = vicinity.functions, reduced.held
    rows = functions.rows(found.point, held)
    lengths = np.linalg.norm(rows, axis=1)
    unit = rows / lengths[:, None]
    groups = np.full(held.size, -1)
    heads: list[int] = []
    for i in range(held.size):
        for g, head in enumerate(heads):
            if float(np.max(np.abs(unit[i] - unit[head]))) <= _EQUAL:
                groups[i] = g
                break
        else:
            groups[i] = len(heads)
            heads.append(i)
    if len(heads) > found.point.size:
        return "the gradients are dependent, so that the multipliers may be others"
    smallest = float(np.linalg.svd(unit[heads], compute_uv=False)[-1])
    if not smallest > _RANK:
        return "the gradients are dependent, so that the multipliers may be others"
    weights = np.zeros(len(heads))
    np.add.at(weights, groups, found.multipliers[held] * lengths)
    rounding = 8.0 * EPS * (np.abs(rows) @ np.abs(found.point) + np.abs(found.values[held]))
    each = (np.abs(found.level - found.values[held]) + rounding) / lengths
    gaps = np.zeros(len(heads))
    np.maximum.at(gaps, groups, each)
    return _Held(
        rows=unit[heads],
        weights=weights,
        gaps=gaps,
        lengths=lengths[heads],
        members=held,
        groups=groups,
        smallest=smallest,
    )


def _span(vicinity: Vicinity, radius: float) -> float:
    """Return a length for differences that stays on this side of the nearest kink."""
    longest = max(radius, _SPAN)
    if vicinity.nearest_kink is not None:
        longest = min(longest, 0.1 * vicinity.nearest_kink / vicinity.reach)
    return longest


def _directions(dimension: int) -> tuple[Array, float]:
    """Return unit directions (k, d), and what a sum of squares over them is multiplied by.

    All axes, or random ones whose mean square times d is a squared Frobenius norm.
    """
    if dimension <= _ALL:
        return np.eye(dimension), 1.0
    drawn = np.random.default_rng(0).standard_normal((_SAMPLES, dimension))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn, _SAFETY**2 * dimension / _SAMPLES


def _bent(vicinity: Vicinity, found: _Improved, indices: Indices, radius: float) -> Array:
    """Return bounds on ‖∇²f_n‖ (S,) near the point, from differences of gradients."""
    functions, span = vicinity.functions, _span(vicinity, radius)
    directions, factor = _directions(found.point.size)
    squares = np.zeros(indices.size)
    for direction in directions:
        ahead = functions.rows(found.point + span * direction, indices)
        behind = functions.rows(found.point - span * direction, indices)
        squares += np.sum(((ahead - behind) / (2.0 * span)) ** 2, axis=1)
    return np.asarray(np.sqrt(factor * squares))


def _change(vicinity: Vicinity, found: _Improved, reduced: Reduced, radius: float) -> float:
    """Bound how far the Hessian of the Lagrangian in the ball is from the one in hand."""
    functions, weights = vicinity.functions, found.multipliers
    size = found.point.size
    directions, factor = _directions(size)
    here = np.eye(size) - reduced.lagrangian
    if size <= _ALL:
        whole = np.eye(size)
        centre = functions.products(found.point, weights, whole)
        squares = 0.0
        for direction in directions:
            sides = [
                functions.products(found.point + sign * radius * direction, weights, whole)
                for sign in (1.0, -1.0)
            ]
            squares += max(float(np.linalg.norm(side - centre, 2)) for side in sides) ** 2
        return float(np.linalg.norm(centre - here, 2)) + math.sqrt(squares)
    vectors = np.random.default_rng(1).standard_normal(directions.shape)
    centre = functions.products(found.point, weights, vectors)
    moved = np.array(
        [
            functions.products(found.point + radius * direction, weights, vector[None, :])[0]
            for direction, vector in zip(directions, vectors, strict=True)
        ]
    )
    first = _SAFETY**2 / _SAMPLES * float(np.sum((centre - vectors @ here) ** 2))
    return math.sqrt(first) + math.sqrt(factor * float(np.sum((moved - centre) ** 2)))


def _others(
    vicinity: Vicinity, reduced: Reduced, found: _Improved, held: _Held, radius: float
) -> Indices | str:
    """Return the other margins that are held ones over again, or which one may be active too."""
    functions = vicinity.functions
    others = np.setdiff1d(np.arange(functions.count), reduced.held)
    excess = found.values[others] - found.level
    if functions.count * found.point.size > _ENTRIES:
        # Steeper margins than these would have to fall by a thousandth within the radius.
        longest = float(np.max(held.lengths))
        close = excess <= max(_BEYOND * found.level, 1e3 * longest * radius)
        others, excess = others[close], excess[close]
    again: list[int] = []
    if not others.size:
        return np.array(again, dtype=np.intp)
    rows = functions.rows(found.point, others)
    lengths = np.linalg.norm(rows, axis=1)
    rounding = 8.0 * EPS * (np.abs(rows) @ np.abs(found.point) + np.abs(found.values[others]))
    lowered = float(np.max(held.gaps * held.lengths))
    for i in np.flatnonzero(excess <= 4.0 * lengths * radius + rounding + lowered):
        unit = rows[i] / lengths[i] if lengths[i] > 0.0 else rows[i]
        if not np.any(np.max(np.abs(held.rows - unit), axis=1) <= _EQUAL):
            return f"margin {int(others[i])} may be active too, with no multiplier to speak of"
        again.append(int(others[i]))
    return np.array(again, dtype=np.intp)


def _unequal(vicinity: Vicinity, found: _Improved, held: _Held, others: Indices) -> float:
    """Bound what moving weight inside the groups can change of the Hessian."""
    members = np.concatenate([held.members, others])
    if members.size == held.lengths.size:
        return 0.0
    functions, span = vicinity.functions, _span(vicinity, 0.0)
    rows = functions.rows(found.point, members)
    sizes = np.linalg.norm(rows, axis=1, keepdims=True)
    apart = np.abs(rows[:, None, :] / sizes[:, None] - held.rows[None, :, :])
    groups = np.argmin(np.max(apart, axis=2), axis=1)
    heads = np.array([int(np.argmax(groups == g)) for g in range(held.lengths.size)])
    directions, factor = _directions(found.point.size)
    squares = np.zeros(members.size)
    for direction in directions:
        ahead = functions.rows(found.point + span * direction, members)
        behind = functions.rows(found.point - span * direction, members)
        bend = (ahead - behind) / (2.0 * span * sizes)
        squares += np.sum((bend - bend[heads][groups]) ** 2, axis=1)
    most = np.zeros(held.lengths.size)
    np.maximum.at(most, groups, np.sqrt(factor * squares))
    return float(held.weights @ most)
