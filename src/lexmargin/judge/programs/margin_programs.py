"""Certificates of programs whose point has a length of its own (eq. 6, 7, 13, 14): plain KKT.

Every problem brings its :class:`~lexmargin.formulations.kkt.Kkt`; nothing here knows which one.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.formulations.parts import Parts
from lexmargin.judge.bounds.held import ZeroCost
from lexmargin.judge.bounds.table import CHEAP, with_bounds
from lexmargin.judge.certificate import Certificate, Check
from lexmargin.judge.given import Evidence
from lexmargin.judge.programs.exponents import with_exponents
from lexmargin.judge.programs.program_point import judged_program
from lexmargin.judge.programs.w_levels import judge_later_level
from lexmargin.judge.second_order.curvature import second_order
from lexmargin.judge.second_order.surroundings import around_program
from lexmargin.judge.tolerances import IDENTITY, Tolerances
from lexmargin.judge.unmeasured import (
    blank,
    negative,
    squares_in_range,
    too_small_or_large,
)
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import vector_norm
from lexmargin.ops.curvature import Curvature

__all__ = ["certify_program", "measured_level"]


def certify_program(
    kkts: tuple[Kkt, ...], limits: Tolerances, given: Evidence | None = None
) -> Certificate:
    """Judge `c w = Σ λ_n ∇f_n(w)`, or a norm gradient at w, λ ≥ 0 on the active set, by level.

    Where the cost is 0, feasibility alone proves it; the next level is then judged in the same way.
    The levels after a positive one are judged with what is before them held
    (:func:`~lexmargin.judge.programs.w_levels.judge_later_level`).

    Parameters
    ----------
    kkts : one record per level.
    limits : what counts as equal.
    given : what a receipt carries; nothing is searched for then.
    """
    first = kkts[0]
    if not np.any(first.point) or first.margin <= 0.0:
        return negative(first.values, first.norm, limits)
    done = _free_of_cost(kkts)
    nothing = np.zeros(first.functions.count)
    notes = tuple(ZeroCost().prove(kkt, nothing).reason for kkt in kkts[:done])
    if done == len(kkts):
        found = _only_feasible(kkts, limits, notes)
    elif kkts[done].costs is None:
        found = _certify_norm(kkts[done], limits, given)
    else:
        found = _certify_costs(kkts[done], limits, notes, given)
    if first.part is not None:
        found = replace(found, levels=tuple(_cost(kkt) for kkt in kkts))
    return _with_later_levels(kkts, done, found)


def _cost(kkt: Kkt) -> float:
    return float(np.sum(kkt.target * kkt.point))


# -- no cost at all --------------------------------------------------------------------------------


def _free_of_cost(kkts: tuple[Kkt, ...]) -> int:
    """Return how many of the first levels cost nothing: an entry, as its square may underflow."""
    count = 0
    while count < len(kkts) and ZeroCost().applies(kkts[count]):
        count += 1
    return count


def _only_feasible(
    kkts: tuple[Kkt, ...], limits: Tolerances, notes: tuple[str, ...]
) -> Certificate:
    kkt = kkts[0]
    level = 1.0 if kkt.level is None else kkt.level
    shortfall = max(0.0, (level - kkt.margin) / level)
    if shortfall > limits.feasibility:
        why = f"infeasible: the smallest f_n misses {level:.6g} by {shortfall:.3g}"
        found = blank(Verdict.NOT_STATIONARY, kkt.values, kkt.norm, limits, (why,))
        return replace(found, feasibility=shortfall)
    checks = (Check("Σ λ = ‖w_1‖²/α_1 = 0", 0.0, limits.stationarity),)
    found = blank(Verdict.KKT, kkt.values, kkt.norm, limits, notes[:-1])
    found = with_bounds(kkts[-1], found, (ZeroCost(),))
    return replace(found, feasibility=shortfall, checks=checks)


# -- norms, eq. 6 and 7 ----------------------------------------------------------------------------


def _certify_norm(kkt: Kkt, limits: Tolerances, given: Evidence | None) -> Certificate:
    """Judge `∇‖w‖ ∝ Σ λ_n ∇f_n(w)` on the active set (plain KKT).

    Max form (eq. 6): the level is the smallest margin at w itself, and ‖w‖ = ρ unless 0 is a
    combination of the active gradients.
    """
    found = judged_program(kkt, limits, given=given)
    if kkt.radius is not None:
        found = _in_the_ball(found, kkt, vector_norm(kkt.point, kkt.norm) / kkt.radius)
    if kkt.functions.curvature <= Curvature.CONCAVE:
        return with_bounds(kkt, found)
    if kkt.norm != 2.0:
        return found
    found = _second_order(kkt, found, given)
    return with_bounds(kkt, found)


def _in_the_ball(found: Certificate, kkt: Kkt, size: float) -> Certificate:
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
    ascent = kkt.point if kkt.interior is None else kkt.interior
    rising = bool(np.all(kkt.jacobian[found.support] @ ascent > 0.0))
    reasons: tuple[str, ...] = (f"‖θ‖ = {size:.9g} leaves room in the ball", *found.reasons)
    verdict = Verdict.NOT_STATIONARY if rising else Verdict.UNDECIDED
    return replace(found, verdict=verdict, reasons=reasons, checks=checks)


def _second_order(kkt: Kkt, found: Certificate, given: Evidence | None) -> Certificate:
    if given is None:
        found = with_bounds(kkt, found, CHEAP)
    return second_order(functools.partial(around_program, kkt, given is None), found, given)


# -- costs, eq. 13 and 14 --------------------------------------------------------------------------


def _certify_costs(
    kkt: Kkt, limits: Tolerances, notes: tuple[str, ...], given: Evidence | None
) -> Certificate:
    """Judge `c w = Σ λ_n ∇f_n(w)`, λ ≥ 0 where f_n(w) = level.

    The multipliers are those of costs of which the largest is 1.
    """
    if not squares_in_range(kkt.target):
        return too_small_or_large(kkt.values, 2.0, limits)
    found = judged_program(kkt, limits, notes, given)
    if kkt.parts is not None:
        found = replace(found, checks=_identities(kkt, kkt.parts, found))
        found = _with_exponents(kkt, kkt.parts, found)
    if kkt.functions.curvature <= Curvature.CONCAVE:
        found = with_bounds(kkt, found)
    # Where some entries cost nothing, no metric says how far a step leads.
    movable = bool(np.all(kkt.entry_costs[~kkt.held] > 0.0))
    if movable and kkt.functions.curvature is not Curvature.AFFINE:
        found = _second_order(kkt, found, given)
    return with_bounds(kkt, found)


def _identities(kkt: Kkt, parts: Parts, found: Certificate) -> tuple[Check, ...]:
    """Return the errors of `Σ λ_n f_n^{(k)}(w_k) = target_k·w_k/α_k`, relative to Σ λ_n f_n."""
    w, target, jacobian = kkt.point, kkt.target, kkt.moving
    v = w / parts.spread(parts.degrees)
    weight = float(target @ v)
    total = float(np.sum(found.multipliers))
    if not (weight > 0.0 and total > 0.0):
        return ()
    # The measure works with a target of length 1; the identities need one common scale only.
    values = jacobian @ v
    scaled = found.multipliers * (weight / float(found.multipliers @ values))
    limit = IDENTITY * found.tolerances.stationarity
    checks = []
    for k in range(len(parts.items)):
        mine = parts.entries(k)
        part = float(scaled @ (jacobian[:, mine] @ v[mine]))
        wanted = float(target[mine] @ v[mine])
        said = f"w_{k + 1}·∇f/α" if parts.shared else f"f^({k + 1})"
        name = f"Σ λ {said} = " + ("0" if wanted == 0.0 else f"target_{k + 1}·w_{k + 1}/α")
        checks.append(Check(name, abs(part - wanted) / weight, limit))
    return tuple(checks)


def _with_exponents(kkt: Kkt, parts: Parts, found: Certificate) -> Certificate:
    """Say which exponents the parts are made by, and check what others ask of the point.

    Nothing is said of parts of eq. 10, whose exponents are 1/α_k.
    """
    polytope = kkt.functions.homogeneity.exponents
    if not parts.shared or polytope is None:
        return found
    chosen = parts.block_exponents
    names = [f"w{block + 1}" for block in range(len(chosen))]
    mine = [k for k in range(len(parts.items)) if np.any(kkt.target[parts.entries(k)])]
    cost = {b: _block_cost(kkt, b) for k in mine for b in parts.items[k].blocks}
    return with_exponents(found, polytope, dict(zip(names, chosen, strict=True)), cost)


def _block_cost(kkt: Kkt, block: int) -> float:
    ends = np.cumsum([0, *(int(np.prod(shape, dtype=int)) for shape in kkt.functions.shapes)])
    mine = slice(int(ends[block]), int(ends[block + 1]))
    return float(kkt.target[mine] @ kkt.point[mine])


# -- levels ----------------------------------------------------------------------------------------


def _with_later_levels(kkts: tuple[Kkt, ...], done: int, found: Certificate) -> Certificate:
    """Add the levels after the first positive one; the worst word is the word."""
    unique = found.verdict is Verdict.GLOBAL
    for level in range(done + 1, len(kkts)):
        if not found.verdict.stationary:
            break
        later = judge_later_level(kkts[level], found.tolerances, unique)
        unique = unique and later.verdict is Verdict.GLOBAL
        worse = not later.verdict.at_least(found.verdict)
        check = Check(f"ε of level {level + 1}", later.stationarity, found.tolerances.stationarity)
        why = f"level {level + 1}: {later.reasons[-1]}"
        gap = found.gap
        if gap is not None:
            gap = None if later.gap is None else max(gap, later.gap)
        found = replace(
            found,
            verdict=later.verdict if worse else found.verdict,
            gap=gap,
            checks=(*found.checks, check),
            reasons=(*found.reasons, why) if later.verdict.stationary else (why, *found.reasons),
        )
    return found


# -- for proofs and receipts -----------------------------------------------------------------------


def measured_level(kkts: tuple[Kkt, ...]) -> Kkt | None:
    """Return the level that :func:`certify_program` measures; None where it measures nothing."""
    if not np.any(kkts[0].point) or kkts[0].margin <= 0.0:
        return None
    done = _free_of_cost(kkts)
    if done == len(kkts):
        return None
    kkt = kkts[done]
    return kkt if kkt.costs is None or squares_in_range(kkt.target) else None
