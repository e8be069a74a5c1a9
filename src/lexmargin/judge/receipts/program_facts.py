"""What evidence establishes about a problem of any formulation, with NumPy alone: for receipts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from lexmargin.formulations.base import Formulation
from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.bounds.range import out_of_range
from lexmargin.judge.bounds.signs import shown_word
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.given import Evidence
from lexmargin.judge.levels.level_chain import checked_levels
from lexmargin.judge.levels.level_proofs import LIMIT, curved_levels, ordered_margins
from lexmargin.judge.margin_programs import certify_program
from lexmargin.judge.multipliers.qualification import proved_independent
from lexmargin.judge.programs.long_words import long_levels
from lexmargin.judge.programs.loss_programs import certify_loss
from lexmargin.judge.programs.recentred import recentred
from lexmargin.judge.receipts.facts import Facts, establish, margin_rounding
from lexmargin.judge.second_order.curvature import Curvature
from lexmargin.judge.supports import WIDEST
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.unmeasured import against_level
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.separation.long_measures import affordable

__all__ = ["establish_problem", "level_rows"]

_MODULAR_LIMIT: Final = 40_000
_REASONS: Final[Mapping[Verdict, str]] = {
    Verdict.NOT_SEPARATING: "a margin is not positive",
    Verdict.NOT_STATIONARY: "infeasible, or separated from the cone of gradients",
    Verdict.FRITZ_JOHN: "the weights given combine the active gradients to 0",
    Verdict.UNDECIDED: "what is given does not decide",
    Verdict.CLARKE_KKT: "stationary with the slopes given at the kinks",
    Verdict.KKT: "stationary within tolerance",
    Verdict.SADDLE: "the curve given is feasible and better from its beginning",
    Verdict.STRICT_LOCAL: "positive curvature on the critical cone, and a strict optimum is near",
    Verdict.GLOBAL: "no point does better, by duality or because the value 0 is reached",
}


def establish_problem(
    problem: Formulation, theta: Array, limits: Tolerances, evidence: Evidence
) -> Facts:
    """Recompute what a receipt claims of θ (d,), for every formulation (math §3).

    The losses carry their own multipliers, and nothing of the evidence is used for them. For the
    programs at a scale of their own λ is measured as given; for homogeneous margin problems see
    :func:`~lexmargin.judge.receipts.facts.establish`.

    Raises :class:`~lexmargin.errors.UnsupportedError` for a formulation without KKT data.
    """
    with np.errstate(all="ignore"):
        given = problem.kkt(theta)
        kkts = recentred(given)
        try:
            found = _established(kkts, limits, evidence)
        except (ArithmeticError, np.linalg.LinAlgError):
            unknown = out_of_range(kkts[0], limits)
            found = replace(_facts(unknown), support=evidence.support)
        word = found.verdict
        if word.stationary and not _is_finite(found):
            word = Verdict.UNDECIDED
        word, _ = shown_word(word, given[0])
    if found.levels is not None and not all(math.isfinite(value) for value in found.levels):
        found = replace(found, levels=None)
    if word is found.verdict:
        return found
    return replace(found, verdict=word, reason=_REASONS[word])


def _is_finite(found: Facts) -> bool:
    """Say whether the word rests on finite numbers; with no λ feasibility alone was measured."""
    parts = [found.margin, found.feasibility or 0.0]
    if math.isfinite(found.stationarity) or math.isfinite(found.complementarity):
        parts += [found.stationarity, found.complementarity]
    return all(math.isfinite(x) for x in parts)


def _established(kkts: tuple[Kkt, ...], limits: Tolerances, evidence: Evidence) -> Facts:
    first = kkts[0]
    if first.loss is not None:
        return _of_loss(first, certify_loss(first, limits))
    if first.is_direction:
        facts = _along(first, limits, evidence)
    else:
        facts = _of_program(first, certify_program(kkts, limits, evidence), evidence)
    return facts if first.ordered is None else _ordered(first, facts, limits, evidence)


def level_rows(functions: MarginFunctions) -> Array | None:
    """Return Z (N, d) where levels are proven: linear f_n, and not too many of them."""
    if not functions.linear or functions.count * functions.size > LIMIT:
        return None
    return functions.jacobian(np.zeros(functions.size))


# -- from a certificate ----------------------------------------------------------------------------


def _along(kkt: Kkt, limits: Tolerances, evidence: Evidence) -> Facts:
    """Establish a direction, and the level that its length reaches."""
    facts = establish(kkt.functions, kkt.point, kkt.norm, limits, evidence)
    if kkt.part is not None:
        facts = replace(facts, levels=(float(np.sum(kkt.target * kkt.point)),))
    if kkt.level is None or facts.verdict is Verdict.NOT_SEPARATING:
        return facts
    shortfall, missed = against_level(kkt.margin, kkt.level, limits)
    facts = replace(facts, feasibility=shortfall)
    if not missed:
        return facts
    word = Verdict.NOT_STATIONARY
    return replace(facts, verdict=word, reason=_REASONS[word], radius=None, rate=None)


def _of_loss(kkt: Kkt, found: Certificate) -> Facts:
    facts = replace(_facts(found), rounding=_rounding(kkt, 1))
    weights = np.zeros(found.multipliers.size)
    weights[found.support] = found.multipliers[found.support]
    return replace(facts, multipliers=weights)


def _rounding(kkt: Kkt, count: int) -> tuple[float, ...]:
    """Return :func:`~lexmargin.judge.receipts.facts.margin_rounding`; 0 where f is not defined."""
    errors = margin_rounding(kkt.jacobian, kkt.point, kkt.values, count)
    return tuple(float(error) if math.isfinite(error) else 0.0 for error in errors)


def _of_program(kkt: Kkt, found: Certificate, evidence: Evidence) -> Facts:
    facts = replace(_facts(found), rounding=_rounding(kkt, 1))
    if found.licq is None:
        return facts
    tau = min(evidence.tau, WIDEST)
    support = np.flatnonzero(kkt.values <= (1.0 + tau) * kkt.margin)
    rows = kkt.jacobian[support]
    independent = proved_independent(rows) if rows.size <= _MODULAR_LIMIT else None
    return replace(facts, support=support, independent=independent)


def _facts(found: Certificate) -> Facts:
    curvature = found.curvature
    smallest = curvature.smallest if isinstance(curvature, Curvature) else None
    return Facts(
        verdict=found.verdict,
        reason=_REASONS[found.verdict],
        support=found.support,
        degree=found.degree,
        margin=found.margin,
        stationarity=found.stationarity,
        stationarity_bound=found.stationarity_bound,
        complementarity=found.complementarity,
        euler=found.euler,
        licq=found.licq,
        independent=None,
        nearest_kink=found.nearest_kink,
        bound=found.bound,
        gap=found.gap,
        curvature=smallest,
        radius=found.radius,
        rate=None if found.rise is None else found.rise.rate,
        feasibility=found.feasibility,
        angle=found.angle,
        levels=found.levels,
    )


# -- levels ----------------------------------------------------------------------------------------


def _ordered(kkt: Kkt, facts: Facts, limits: Tolerances, evidence: Evidence) -> Facts:
    """Add the levels after the first, from its multipliers or the chain of duals."""
    norm, count, alpha = kkt.norm, kkt.ordered or kkt.functions.count, kkt.degree
    unit, values, _ = ordered_margins(kkt)
    jacobian = kkt.functions.jacobian(unit)
    if alpha is not None:
        size = vector_norm(unit, norm)
        unit, jacobian = unit / size, jacobian / size ** (alpha - 1.0)
    facts = replace(
        facts,
        levels=tuple(float(v) for v in np.sort(values)[:count]),
        rounding=tuple(margin_rounding(jacobian, unit, values, count).tolist()),
    )
    if not facts.verdict.stationary or count == 1:
        return facts
    Z = level_rows(kkt.functions) if facts.verdict is Verdict.GLOBAL else None
    if Z is not None:
        if 1.0 < norm < math.inf:
            proof = curved_levels(Z, unit, norm, count, limits.gap, evidence.multipliers)
            if evidence.long and affordable(*Z.shape):
                proof = long_levels(Z, unit, norm, count, limits.gap, evidence.long) or proof
        else:
            proof = checked_levels(Z, unit, norm, count, limits.gap, evidence.levels)
        facts = replace(facts, levels_gap=proof.gap)
        if proof.proven >= count:
            return replace(facts, reason=f"{facts.reason}; duality proves all {count} levels")
        return replace(
            facts,
            verdict=Verdict.UNDECIDED,
            reason=f"level {proof.proven + 1} is not proven by what is given",
        )
    word = Verdict.KKT if facts.verdict is Verdict.GLOBAL else facts.verdict
    return replace(facts, verdict=word, reason=f"level 1: {facts.reason}")
