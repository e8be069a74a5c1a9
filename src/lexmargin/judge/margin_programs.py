"""Certificates of eq. 6/7 at finite ρ, eq. 14 and eq. 13: plain KKT with each program's target."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from lexmargin.formulations.base import Formulation
from lexmargin.formulations.margin_path import MarginPath
from lexmargin.formulations.parts import Parts
from lexmargin.formulations.scaled_margin import ScaledMargin
from lexmargin.formulations.w_set import WSet
from lexmargin.judge.bounds.scaled_bound import with_least_cost
from lexmargin.judge.certificate import Certificate, Check
from lexmargin.judge.given import Evidence
from lexmargin.judge.multipliers.vertex_bounds import relative_excess, relative_gap
from lexmargin.judge.plain import PlainPoint, judge_plain
from lexmargin.judge.programs.w_levels import judge_later_level, least_first_level
from lexmargin.judge.second_order.plain_curvature import (
    Setting,
    cheapest,
    second_order,
    widest_margin,
)
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.unmeasured import (
    blank,
    negative,
    squares_in_range,
    too_small_or_large,
)
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array, dual_exponent, vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.curvature import Curvature
from lexmargin.ops.degree import HomogeneityKind

__all__ = [
    "block_interior",
    "certify_margin_path",
    "certify_scaled_margin",
    "certify_w_set",
    "evaluated",
    "margin_path_setting",
    "plain_point",
    "scaled_margin_setting",
]

_EPS = float(np.finfo(np.float64).eps)
_NEAR = 1e-2


def evaluated(functions: MarginFunctions, w: Array) -> Array:
    """Return f(w) (N,), with -∞ where f is not defined: such a sample is not separated."""
    values = functions.values(w)
    return np.where(np.isnan(values), -np.inf, values)


def block_interior(functions: MarginFunctions, w: Array) -> Array | None:
    """Return v with `v_k = w_k/α_k`, so that `J v = f` (eq. 10); None without degrees."""
    if functions.homogeneity.kind is HomogeneityKind.NEITHER:
        return None
    parts = Parts(functions)
    return w / parts.spread(parts.degrees)


def certify_margin_path(
    problem: MarginPath, theta: Array, limits: Tolerances, given: Evidence | None = None
) -> Certificate:
    """Judge θ at the scale ρ: `θ = ρ Σ λ_n ∇f_n(ρθ)` on the active set (eq. 7, plain KKT).

    Max form (eq. 6): the level is the smallest margin at θ itself, and ‖θ‖ = 1 unless 0 is a
    combination of the active gradients. For concave f_n weak duality bounds all margins:
    `γ*(ρ) ≤ ρ‖Jᵀp‖_* + Σ p_n (f_n - ∇f_n·w)` for p ≥ 0, Σp = 1, and all norms that reach γ:
    `‖θ‖ ≥ (γ - Σ p_n (f_n - ∇f_n·w))/(ρ‖Jᵀp‖_*)`.
    """
    functions, rho = problem.functions, problem.rho
    w = rho * theta
    values = evaluated(functions, w)
    if not np.any(w) or np.min(values) <= 0.0:
        return negative(values, problem.norm_p, limits)
    point = margin_path_point(problem, w, values)
    found = judge_plain(point, functions, limits, given=given)
    if problem.gamma is None:
        found = _in_the_ball(found, point, vector_norm(theta, problem.norm_p))
    if functions.curvature > Curvature.CONCAVE:
        if problem.norm_p != 2.0:
            return found
        multipliers = found.multipliers * vector_norm(w, 2.0)
        return second_order(margin_path_setting(problem, w), multipliers, found, given)
    return _with_weak_duality(found, point, rho, problem.gamma)


def margin_path_point(problem: MarginPath, w: Array, values: Array) -> PlainPoint:
    """Return the KKT data of eq. 6 or 7 at w = ρθ."""
    functions = problem.functions
    return PlainPoint(
        w,
        values,
        functions.jacobian(w),
        None,
        problem.norm_p,
        problem.gamma,
        block_interior(functions, w),
        free=problem.gamma is None,
    )


def margin_path_setting(problem: MarginPath, w: Array) -> Setting:
    """Return how other points compare with w: by margin (eq. 6) or by norm (eq. 7)."""
    functions = problem.functions
    if problem.gamma is None:
        return widest_margin(functions, w)
    parts = None
    if functions.homogeneity.kind is not HomogeneityKind.NEITHER:
        parts = Parts(functions)
    return cheapest(functions, w, np.ones(w.size), problem.gamma, parts)


def _in_the_ball(found: Certificate, point: PlainPoint, size: float) -> Certificate:
    limit = found.tolerances.feasibility
    checks = (*found.checks, Check("‖θ‖ = 1", abs(size - 1.0), limit))
    if size > 1.0 + limit:
        return replace(
            found,
            verdict=Verdict.NOT_STATIONARY,
            feasibility=size - 1.0,
            reasons=(f"infeasible: ‖θ‖ = {size:.9g} leaves the ball",),
            checks=checks,
        )
    inside = size < 1.0 - limit and found.verdict.stationary
    if not inside or found.stationarity > found.tolerances.stationarity:
        return replace(found, checks=checks)
    ascent = point.w if point.interior is None else point.interior
    rising = bool(np.all(point.jacobian[found.support] @ ascent > 0.0))
    reasons: tuple[str, ...] = (f"‖θ‖ = {size:.9g} leaves room in the ball", *found.reasons)
    verdict = Verdict.NOT_STATIONARY if rising else Verdict.UNDECIDED
    return replace(found, verdict=verdict, reasons=reasons, checks=checks)


def _with_weak_duality(
    found: Certificate, point: PlainPoint, rho: float, gamma: float | None
) -> Certificate:
    total = float(np.sum(found.multipliers))
    if not (math.isfinite(total) and total > 0.0):
        return found
    share = found.multipliers / total
    size = vector_norm(share @ point.jacobian, dual_exponent(point.norm))
    along = point.jacobian @ point.w
    offset = float(share @ (point.values - along))
    terms = float(share @ (np.abs(point.values) + np.abs(point.jacobian) @ np.abs(point.w)))
    rounding = _EPS * (point.w.size + point.values.size + 8) * (terms + rho * size)
    if gamma is None:
        bound = rho * size + offset + rounding
        gap = relative_gap(bound, point.margin * (1.0 - 8.0 * _EPS))
    else:
        length = vector_norm(point.w, point.norm)
        least = (gamma - offset - rounding) / size if size > 0.0 else math.inf
        bound, gap = gamma, relative_excess(length, least)
    if found.verdict is Verdict.KKT and gap <= found.tolerances.gap:
        reasons = (*found.reasons, "weak duality: no point of the ball does better")
        return replace(found, verdict=Verdict.GLOBAL, gap=gap, bound=bound, reasons=reasons)
    return replace(found, gap=gap, bound=bound)


def _block_scales(
    parts: Parts, target: Array, jacobian: Array, values: Array, w: Array, limits: Tolerances
) -> Array:
    """Return D (d,): what the residual of each block is compared with.

    Block k is compared with the larger of its target and `Σλ max_n ‖∇_k f_n‖`, so that a block of
    small cost is judged as sharply as the others; a block that neither costs nor helps (degree
    above 1, where 0 is always stationary) with the largest block.
    """
    v = w / parts.spread(parts.degrees)
    weight, cost = abs(float(target @ v)), float(target @ w)
    margin = float(np.min(values))
    near = jacobian[values <= (1.0 + _NEAR) * margin]
    sizes, idle = [], []
    for k, degree in enumerate(parts.degrees):
        mine = parts.entries(k)
        steepest = max((vector_norm(row, 2.0) for row in near[:, mine]), default=0.0)
        reach = weight / margin * steepest
        sizes.append(max(vector_norm(target[mine], 2.0), reach))
        share = abs(float(target[mine] @ w[mine]))
        help_ = float(np.max(np.abs(near[:, mine] @ v[mine]), initial=0.0))
        small = share <= limits.stationarity * cost and help_ <= limits.stationarity * margin
        idle.append(degree > 1.0 and small)
    largest = max(sizes)
    found = np.array(
        [
            largest if rest or not size > 0.0 else size
            for size, rest in zip(sizes, idle, strict=True)
        ]
    )
    return parts.spread(found)


def _identities(
    parts: Parts, target: Array, jacobian: Array, w: Array, found: Certificate
) -> tuple[Check, ...]:
    """Return the errors of `Σ λ_n f_n^{(k)}(w_k) = target_k·w_k/α_k`, relative to Σ λ_n f_n."""
    v = w / parts.spread(parts.degrees)
    weight = float(target @ v)
    total = float(np.sum(found.multipliers))
    if not (weight > 0.0 and total > 0.0):
        return ()
    # The measure works with a target of length 1; the identities need one common scale only.
    values = jacobian @ v
    scaled = found.multipliers * (weight / float(found.multipliers @ values))
    limit = 10.0 * found.tolerances.stationarity
    checks = []
    for k in range(len(parts.items)):
        mine = parts.entries(k)
        part = float(scaled @ (jacobian[:, mine] @ v[mine]))
        wanted = float(target[mine] @ v[mine])
        name = f"Σ λ f^({k + 1}) = " + ("0" if wanted == 0.0 else f"target_{k + 1}·w_{k + 1}/α")
        checks.append(Check(name, abs(part - wanted) / weight, limit))
    return tuple(checks)


def target_point(
    parts: Parts, functions: MarginFunctions, w: Array, target: Array, values: Array,
    fixed: Array, limits: Tolerances,
) -> PlainPoint:  # fmt: skip
    """Return the KKT data of `target = Jᵀλ` at level 1, the entries in ``fixed`` taken out."""
    jacobian = np.where(fixed[None, :], 0.0, functions.jacobian(w))
    interior = np.where(fixed, 0.0, w / parts.spread(parts.degrees))
    scales = _block_scales(parts, target, jacobian, values, w, limits)
    return PlainPoint(w, values, jacobian, target, 2.0, 1.0, interior, scales)


def unit_target_size(point: PlainPoint) -> float:
    """Return what multipliers of the unit target are multiplied by to serve the target itself."""
    assert point.target is not None and point.scales is not None
    return vector_norm(point.target / point.scales, 2.0)


def _with_target(
    parts: Parts, functions: MarginFunctions, w: Array, target: Array, values: Array,
    fixed: Array, limits: Tolerances, notes: tuple[str, ...] = (), given: Evidence | None = None,
) -> Certificate:  # fmt: skip
    """Judge `target = Jᵀλ` at level 1, with the entries in ``fixed`` taken out of the problem."""
    if not squares_in_range(target):
        return too_small_or_large(values, 2.0, limits)
    point = target_point(parts, functions, w, target, values, fixed, limits)
    size = unit_target_size(point)
    if given is not None:
        given = replace(given, multipliers=given.multipliers / size)
    found = judge_plain(point, functions, limits, notes, given)
    found = replace(found, multipliers=found.multipliers * size)
    return replace(found, checks=_identities(parts, target, point.jacobian, w, found))


def certify_scaled_margin(
    problem: ScaledMargin, w: Array, limits: Tolerances, given: Evidence | None = None
) -> Certificate:
    """Judge `γ^{2/α_k} w_k = Σ λ_n ∇_k f_n(w)`, λ ≥ 0 where f_n(w) = 1 (eq. 14).

    The multipliers are those of the target divided by its largest power of γ.
    """
    functions, parts = problem.functions, problem.parts
    values = evaluated(functions, w)
    if not np.any(w) or np.min(values) <= 0.0:
        return negative(values, 2.0, limits)
    setting = scaled_margin_setting(problem, w)
    nothing = np.zeros(w.size, dtype=bool)
    target = w * setting.costs
    found = _with_target(parts, functions, w, target, values, nothing, limits, (), given)
    if functions.curvature is not Curvature.AFFINE:
        found = second_order(setting, found.multipliers, found, given)
    return with_least_cost(problem, w, found)


def scaled_margin_setting(problem: ScaledMargin, w: Array) -> Setting:
    """Return how other points compare with w: by the cost of eq. 14 over its largest power of γ."""
    parts = problem.parts
    powers = 2.0 / parts.degrees * math.log(problem.gamma)
    costs = parts.spread(np.exp(powers - np.max(powers)))
    return cheapest(problem.functions, w, costs, 1.0, parts)


def certify_w_set(
    problem: WSet, w: Array, limits: Tolerances, given: Evidence | None = None
) -> Certificate:
    """Judge `(w_1, 0, …, 0) = Σ λ_n ∇f_n(w)`, λ ≥ 0 where f_n(w) = 1 (eq. 13).

    Where w_1 = 0, feasibility alone proves the value 0; the next part is then judged in the same
    way with w_1 fixed, and so on. The levels after a positive one are judged with the parts before
    them held (:func:`~lexmargin.judge.programs.w_levels.judge_later_level`). A linear part with biases
    makes level 1 convex: then weak duality bounds ‖w_1‖² from below.
    """
    functions, parts = problem.functions, problem.parts
    values = evaluated(functions, w)
    if not np.any(w) or np.min(values) <= 0.0:
        return negative(values, 2.0, limits)
    sizes = parts.sizes(w)
    levels = tuple(float(size) for size in sizes[: problem.levels])
    shortfall = max(0.0, 1.0 - float(np.min(values)))
    dropped = _dropped(problem, w)
    notes = tuple(f"‖w_{k + 1}‖ = 0: no feasible point has less" for k in range(dropped))
    if dropped == problem.levels:
        feasible = shortfall <= limits.feasibility
        word = Verdict.GLOBAL if feasible else Verdict.NOT_STATIONARY
        if not feasible:
            notes = (f"infeasible: the smallest f_n misses 1 by {shortfall:.3g}",)
        found = replace(
            blank(word, values, 2.0, limits, notes),
            feasibility=shortfall,
            gap=0.0 if feasible else None,
            checks=(Check("Σ λ = ‖w_1‖²/α_1 = 0", 0.0, limits.stationarity),) if feasible else (),
        )
        return replace(found, levels=levels)
    target, fixed = _w_set_target(parts, w, dropped)
    found = _with_target(parts, functions, w, target, values, fixed, limits, notes, given)
    found = replace(found, levels=levels)
    least = None
    if found.verdict is Verdict.KKT and dropped == 0:
        least = least_first_level(problem, w, found.multipliers)
    if least is not None:
        gap = relative_excess(levels[0], least)
        found = replace(found, gap=gap)
        if gap <= limits.gap:
            reasons = (*found.reasons, "weak duality: no feasible point has a smaller ‖w_1‖²")
            found = replace(found, verdict=Verdict.GLOBAL, reasons=reasons)
    return _with_later_levels(problem, w, values, dropped, found)


def _with_later_levels(
    problem: WSet, w: Array, values: Array, dropped: int, found: Certificate
) -> Certificate:
    """Add the levels after the first positive one; the worst word is the word."""
    unique = found.verdict is Verdict.GLOBAL
    for level in range(dropped + 1, problem.levels):
        if not found.verdict.stationary:
            break
        later = judge_later_level(problem, w, values, level, found.tolerances, unique)
        unique = unique and later.verdict is Verdict.GLOBAL
        worse = not later.verdict.at_least(found.verdict)
        check = Check(f"ε of level {level + 1}", later.residual, found.tolerances.stationarity)
        reasons = (*found.reasons, later.reason)
        if not later.verdict.stationary:
            reasons = (later.reason, *found.reasons)
        gap = found.gap
        if gap is not None:
            gap = None if later.gap is None else max(gap, later.gap)
        found = replace(
            found,
            verdict=later.verdict if worse else found.verdict,
            gap=gap,
            checks=(*found.checks, check),
            reasons=reasons,
        )
    return found


def _dropped(problem: WSet, w: Array) -> int:
    """Return how many of the shallowest parts are exactly 0."""
    # A square may underflow where no entry is 0.
    dropped = 0
    while dropped < problem.levels and not np.any(w[problem.parts.entries(dropped)]):
        dropped += 1
    return dropped


def _w_set_target(parts: Parts, w: Array, dropped: int) -> tuple[Array, Array]:
    """Return the target of the first part that is not 0, and a mask of the entries before it."""
    fixed = np.zeros(w.size, dtype=bool)
    for k in range(dropped):
        fixed |= parts.entries(k)
    return np.where(parts.entries(dropped), w, 0.0), fixed


def plain_point(problem: Formulation, theta: Array, limits: Tolerances) -> PlainPoint | None:
    """Return the KKT data that the certificate of this problem rests on; None without any.

    For eq. 6/7 at finite ρ, eq. 14 and eq. 13.
    """
    functions = problem.functions
    w = problem.rho_value * theta
    values = evaluated(functions, w)
    if not np.any(w) or np.min(values) <= 0.0:
        return None
    match problem:
        case MarginPath():
            return margin_path_point(problem, w, values)
        case ScaledMargin():
            target = w * scaled_margin_setting(problem, w).costs
            nothing = np.zeros(w.size, dtype=bool)
            if not squares_in_range(target):
                return None
            return target_point(problem.parts, functions, w, target, values, nothing, limits)
        case WSet():
            dropped = _dropped(problem, w)
            if dropped == problem.levels:
                return None
            target, fixed = _w_set_target(problem.parts, w, dropped)
            if not squares_in_range(target):
                return None
            return target_point(problem.parts, functions, w, target, values, fixed, limits)
        case _:
            return None
