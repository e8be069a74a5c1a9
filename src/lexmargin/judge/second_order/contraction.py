"""That a strict local maximiser lies near a point: Newton's method, and how far it can be off.

A positive reduced Hessian speaks of the point itself. The true maximiser lies where Newton's method
leads, if the Hessian hardly changes on the way (Kantorovich 1948; Ortega & Rheinboldt 1970, 12.6).
With β = 1/σ of the normalised gradients of the margins that hold the point, m the smallest
eigenvalue on their tangents, M = ‖I - H‖ and the changes measured over the ball,
`B x - Jᵀμ = a`, `J x = b` has a solution with `|x| ≤ β|b| + (|a| + Mβ|b|)/m` and
`|μ| ≤ β(|a| + M|x|)`. Where this maps a ball into itself, it holds a solution of the KKT equations
(Brouwer); there the multipliers are positive, the other margins larger and the reduced Hessian
positive, so that it is a strict local maximiser. Margins that may be active near the point and
carry no weight enter as `J x ≥ b`, `μ ≥ 0`: that quadratic program is strongly convex on the
tangents of the others, and its solution, unique and continuous, has the same bounds with σ of all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from lexmargin.inputs.limits import CONTRACTION_ENTRIES
from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.second_order.hessian_changes import Asked, Bends, changes_within
from lexmargin.judge.second_order.reduced import Reduced
from lexmargin.judge.second_order.vicinity import Vicinity
from lexmargin.judge.tolerances import FARTHEST
from lexmargin.linalg.norms import Array
from lexmargin.linalg.rounding import ROUNDED

__all__ = ["strict_near"]


_STEPS: Final = 12
"""Newton steps at most: they end where residuals are not halved."""
_DOUBLINGS: Final = 5
"""Radii tried, each at least twice the last; with fewer a radius is refused, never claimed."""
_RANK: Final = 1e-10
"""Smallest singular value of unit gradients that is not 0, as `Tolerances.rank`; less is
refused."""
_EQUAL: Final = 1e-9
"""Difference of unit gradients of one function; what is further apart must be independent."""
_ALIKE: Final = 1e-9
"""Cosines of equal gradients are nearer to 1, rounding included: others are not compared."""
_BEYOND: Final = 1e-3
"""Relative excess beyond which a margin of many would have to be far steeper than those held."""


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
    """The margins that hold the improved point or may be active near it, equal ones in groups.

    rows, weights, gaps
        normalised gradients of one member per group (g, d), λ‖∇f‖ of the groups (g,), and
        (level - f)/‖∇f‖ with its rounding (g,).
    lengths
        ‖∇f‖ of the members shown (g,).
    members, sizes, groups
        all members, their ‖∇f‖, and the group of each.
    strong
        how many groups, the first ones, hold the point; the others carry no weight in hand.
    turned
        what moving weight inside the groups can change of Σ λ∇f.
    smallest
        σ of the normalised gradients.
    """

    rows: Array
    weights: Array
    gaps: Array
    lengths: Array
    members: Indices
    sizes: Array
    groups: Indices
    strong: int
    turned: float
    smallest: float


def strict_near(vicinity: Vicinity, reduced: Reduced) -> float | str:
    """Return a radius within which a strict local maximiser was shown to lie, or why none was.

    Modulo the orbit of symmetries. Changes of the Hessian are enclosed where that is cheap, and
    measured elsewhere: :func:`changes_within`.

    Parameters
    ----------
    vicinity : the point.
    reduced : its Hessian, positive on the tangents.
    """
    with np.errstate(all="ignore"):
        found = _improved(vicinity, reduced)
    if found is None:
        return "the residual at the point is no number"
    away = float(np.linalg.norm(found.point - vicinity.theta))
    known = np.array([], dtype=np.intp)
    held = _grouped(vicinity, reduced, found, known)
    if isinstance(held, str):
        return held
    sphere = vicinity.level is None and vicinity.degree is None
    matrix = reduced.lagrangian
    size = min(float(np.linalg.norm(matrix)), float(np.max(np.sum(np.abs(matrix), axis=1))))
    lowest = float(reduced.eigenvalues[0]) if reduced.eigenvalues.size else math.inf
    rounded = found.error + ROUNDED * (1.0 + float(np.sum(held.weights)))

    def least_radius(held: _Held) -> float:
        moved = float(np.linalg.norm(held.gaps)) / held.smallest
        return 2.0 * (moved + (rounded + held.turned + size * moved) / lowest)

    radius = least_radius(held)
    total = float(np.sum(found.multipliers))
    bends: Bends = {}
    for _ in range(_DOUBLINGS):
        whole = away + radius
        if not whole <= FARTHEST:
            return f"no strict maximiser was shown within {FARTHEST:g}"
        if not vicinity.clear_of_kinks(whole):
            return "a kink is as near as the error of the point"
        near, spare = _near(vicinity, reduced, found, held, radius)
        if not np.array_equal(near, known):
            known, held = near, _grouped(vicinity, reduced, found, near)
        if isinstance(held, str):
            return held
        off, sigma = float(np.linalg.norm(held.gaps)), held.smallest
        error = rounded + held.turned
        changes = changes_within(vicinity, _asked(reduced, found, held), radius, bends)
        kappa = math.sqrt(held.lengths.size) * changes.bent
        change = changes.lagrangian + changes.unequal
        least = _turned(lowest, size, kappa * whole / sigma)
        slack = 2.0 * (error + size * radius) / sigma
        a = error + change * radius + kappa * radius * slack
        b = off + 0.5 * kappa * radius**2
        # On the sphere the level is the margin, which rises on the way.
        lift = 0.0
        if sphere:
            lift = (0.5 * radius**2 + error * radius + float(np.sum(held.weights)) * b) / total
        b += lift * float(np.linalg.norm(1.0 / held.lengths))
        if least > 0.0:
            x = b / sigma + (a + size * b / sigma) / least
            # The error is never 0: x ≤ radius says `change + kappa * slack < least` too, so that
            # the reduced Hessian is positive wherever the solution lies.
            if x <= radius and (a + size * x) / sigma <= slack and lift <= spare:
                break
        radius = max(2.0 * radius, least_radius(held))
    else:
        return (
            f"the Hessian changes by {change:.3g} within {whole:.3g}, too much for Newton's method "
            "to be sure of a maximiser there"
        )
    if float(np.min(held.weights[: held.strong])) <= slack:
        return "a multiplier is no larger than what the true point's may differ by"
    return whole


def _turned(lowest: float, size: float, angle: float) -> float:
    """Return what is left of the smallest eigenvalue on tangents that turn by an angle."""
    if math.isinf(lowest):
        return lowest if angle < 1.0 else -math.inf
    return lowest * (1.0 - angle**2) - 2.0 * size * angle - size * angle**2


def _improved(vicinity: Vicinity, reduced: Reduced) -> _Improved | None:
    """Follow Newton's method with the Hessian of the point, as long as residuals are halved.

    Wherever that leads: a point far away or λ ≤ 0 are refused by who asked.
    """
    functions, held = vicinity.functions, reduced.held
    point, weights = vicinity.theta, np.zeros(functions.count)
    # What holds nothing in place has no multiplier at the true point.
    weights[held] = vicinity.multipliers[held]
    inverse = reduced.inverse
    lengths = np.linalg.norm(reduced.rows, axis=1)
    best: _Improved | None = None
    last = math.inf
    for _ in range(_STEPS):
        values = vicinity.values if best is None else functions.values(point)
        off = functions.vjp(point, weights) - point
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
        # The radius counts as much for rounding anyway.
        if residual <= ROUNDED:
            break
        normal = inverse @ gaps
        along = reduced.vectors.T @ (off - reduced.lagrangian @ normal)
        step = normal + reduced.vectors @ (along / reduced.eigenvalues)
        point = point + step
        if vicinity.level is None:
            point = point / float(np.linalg.norm(point))
        weights = weights.copy()
        missing = point - functions.vjp(point, weights)
        weights[held] = weights[held] + inverse.T @ missing
    return best


def _grouped(vicinity: Vicinity, reduced: Reduced, found: _Improved, near: Indices) -> _Held | str:
    """Put margins that are the same function here into groups, whose gradients are independent.

    Those that hold the point first, then those ``near`` enough to be active.
    """
    functions, first = vicinity.functions, reduced.held.size
    members = np.concatenate([reduced.held, near])
    rows = functions.rows(found.point, members)
    lengths = np.linalg.norm(rows, axis=1)
    unit = rows / lengths[:, None]
    groups = np.full(members.size, -1)
    alike = unit @ unit.T >= 1.0 - _ALIKE
    heads: list[int] = []
    strong = 0
    for i in range(members.size):
        for g in np.flatnonzero(alike[i, heads]):
            if float(np.max(np.abs(unit[i] - unit[heads[g]]))) <= _EQUAL:
                groups[i] = g
                break
        else:
            groups[i] = len(heads)
            heads.append(i)
            strong += i < first
    smallest = 0.0
    if len(heads) <= found.point.size:
        smallest = float(np.linalg.svd(unit[heads], compute_uv=False)[-1])
    if not smallest > _RANK:
        if len(heads) > strong:
            n = int(members[heads[strong]])
            return f"margin {n} may be active too, with no multiplier to speak of"
        return "the gradients are dependent, so that the multipliers may be others"
    weights = np.zeros(len(heads))
    np.add.at(weights, groups, found.multipliers[members] * lengths)
    values = found.values[members]
    rounding = ROUNDED * (np.abs(rows) @ np.abs(found.point) + np.abs(values))
    # A margin without weight may be above the level.
    short = found.level - values
    short[:first] = np.abs(short[:first])
    apart = np.zeros(len(heads))
    np.maximum.at(apart, groups, np.linalg.norm(unit - unit[heads][groups], axis=1))
    gaps = np.zeros(len(heads))
    np.maximum.at(gaps, groups, (np.maximum(short, 0.0) + rounding) / lengths)
    return _Held(
        rows=unit[heads],
        weights=weights,
        gaps=gaps,
        lengths=lengths[heads],
        members=members,
        sizes=lengths,
        groups=groups,
        strong=strong,
        turned=float(weights @ apart),
        smallest=smallest,
    )


def _near(
    vicinity: Vicinity, reduced: Reduced, found: _Improved, held: _Held, radius: float
) -> tuple[Indices, float]:
    """Return the other margins that may be active within the radius, and by how much none else is.

    Those may fall as fast as their gradients say, and by three times as much as they bend.
    """
    functions = vicinity.functions
    others = np.setdiff1d(np.arange(functions.count), reduced.held)
    excess = found.values[others] - found.level
    spare = math.inf
    if functions.count * found.point.size > CONTRACTION_ENTRIES:
        # Steeper margins than these would have to fall by a thousandth within the radius.
        longest = float(np.max(held.lengths))
        spare = max(_BEYOND * found.level, 1e3 * longest * radius)
        others, excess = others[excess <= spare], excess[excess <= spare]
    rows = functions.rows(found.point, others)
    lengths = np.linalg.norm(rows, axis=1)
    rounding = ROUNDED * (np.abs(rows) @ np.abs(found.point) + np.abs(found.values[others]))
    left = excess - 4.0 * lengths * radius - rounding
    return np.asarray(others[left <= 0.0]), float(np.min(left[left > 0.0], initial=spare))


def _asked(reduced: Reduced, found: _Improved, held: _Held) -> Asked:
    return Asked(
        point=found.point,
        multipliers=found.multipliers,
        lagrangian=reduced.lagrangian,
        members=held.members,
        lengths=held.sizes,
        groups=held.groups,
        weights=held.weights,
    )
