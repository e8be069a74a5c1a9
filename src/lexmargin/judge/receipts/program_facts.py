"""What evidence establishes about a problem of any formulation, with NumPy alone: for receipts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from lexmargin.formulations.base import Formulation
from lexmargin.formulations.constrained_path import ConstrainedPath
from lexmargin.formulations.known import require_known
from lexmargin.formulations.lexicographic import Lexicographic
from lexmargin.formulations.margin_path import MarginPath
from lexmargin.formulations.regularization_path import RegularizationPath
from lexmargin.formulations.scaled_margin import ScaledMargin
from lexmargin.formulations.w_set import WSet
from lexmargin.judge.bounds.range import out_of_range
from lexmargin.judge.bounds.signs import shown_not_positive
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.given import Evidence
from lexmargin.judge.levels.level_chain import checked_levels
from lexmargin.judge.levels.level_proofs import LIMIT, curved_levels
from lexmargin.judge.margin_programs import (
    certify_margin_path,
    certify_scaled_margin,
    certify_w_set,
    evaluated,
)
from lexmargin.judge.multipliers.qualification import proved_independent
from lexmargin.judge.programs.linear_problems import recentred
from lexmargin.judge.programs.loss_programs import (
    certify_constrained_path,
    certify_regularization_path,
)
from lexmargin.judge.receipts.facts import Facts, establish, margin_rounding
from lexmargin.judge.second_order.curvature import Curvature
from lexmargin.judge.supports import WIDEST
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array, unit_scale, vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.curvature import Curvature as FunctionCurvature

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

    Raises :class:`~lexmargin.errors.UnsupportedError` for a formulation that is none of the seven.
    """
    require_known(problem)
    problem, theta = recentred(problem, theta)
    with np.errstate(all="ignore"):
        try:
            found = _established(problem, theta, limits, evidence)
        except (ArithmeticError, np.linalg.LinAlgError):
            unknown = out_of_range(problem, theta, limits)
            found = replace(_facts(unknown, theta), support=evidence.support)
        lost = found.verdict.stationary and not _is_finite(found)
        if found.verdict is Verdict.NOT_SEPARATING:
            lost = not shown_not_positive(problem.functions, problem.rho_value * theta)
    if found.levels is not None and not all(math.isfinite(value) for value in found.levels):
        found = replace(found, levels=None)
    if not lost:
        return found
    word = Verdict.UNDECIDED
    return replace(found, verdict=word, reason=_REASONS[word])


def _is_finite(found: Facts) -> bool:
    """Say whether the word rests on finite numbers; with no λ feasibility alone was measured."""
    parts = [found.margin, found.feasibility or 0.0]
    if math.isfinite(found.stationarity) or math.isfinite(found.complementarity):
        parts += [found.stationarity, found.complementarity]
    return all(math.isfinite(x) for x in parts)


def _established(
    problem: Formulation, theta: Array, limits: Tolerances, evidence: Evidence
) -> Facts:
    match problem:
        case ConstrainedPath():
            return _of_loss(problem, theta, certify_constrained_path(problem, theta, limits))
        case RegularizationPath():
            return _of_loss(problem, theta, certify_regularization_path(problem, theta, limits))
        case ScaledMargin():
            found = certify_scaled_margin(problem, theta, limits, evidence)
            return _of_program(problem, theta, found, evidence)
        case WSet():
            found = certify_w_set(problem, theta, limits, evidence)
            return _of_program(problem, theta, found, evidence)
        case Lexicographic():
            return _of_levels(problem, theta, limits, evidence)
        case MarginPath() if problem.functions.homogeneity.degree is None:
            found = certify_margin_path(problem, theta, limits, evidence)
            return _of_program(problem, theta, found, evidence)
        case _:
            return establish(problem.functions, theta, problem.norm_p, limits, evidence)


def level_rows(problem: Lexicographic) -> Array | None:
    """Return Z (N, d) where levels are proven: linear f_n, and not too many of them."""
    functions = problem.functions
    linear = functions.curvature is FunctionCurvature.AFFINE and functions.homogeneity.degree == 1.0
    if not linear or functions.count * functions.size > LIMIT:
        return None
    return functions.jacobian(np.zeros(functions.size))


# -- from a certificate ----------------------------------------------------------------------------


def _of_loss(problem: Formulation, theta: Array, found: Certificate) -> Facts:
    functions, w = problem.functions, problem.rho_value * theta
    rounding = _rounding(functions, w, evaluated(functions, w), 1)
    facts = replace(_facts(found, theta), rounding=rounding)
    weights = np.zeros(found.multipliers.size)
    weights[found.support] = found.multipliers[found.support]
    return replace(facts, multipliers=weights)


def _rounding(functions: MarginFunctions, w: Array, values: Array, count: int) -> tuple[float, ...]:
    """Return :func:`~lexmargin.judge.receipts.facts.margin_rounding`; 0 where f is not defined."""
    errors = margin_rounding(functions.jacobian(w), w, values, count)
    return tuple(float(error) if math.isfinite(error) else 0.0 for error in errors)


def _of_program(
    problem: Formulation, theta: Array, found: Certificate, evidence: Evidence
) -> Facts:
    functions, w = problem.functions, problem.rho_value * theta
    values = evaluated(functions, w)
    facts = replace(_facts(found, theta), rounding=_rounding(functions, w, values, 1))
    if found.licq is None:
        return facts
    tau = min(evidence.tau, WIDEST)
    support = np.flatnonzero(values <= (1.0 + tau) * float(np.min(values)))
    rows = functions.jacobian(w)[support]
    independent = proved_independent(rows) if rows.size <= _MODULAR_LIMIT else None
    return replace(facts, support=support, independent=independent)


def _facts(found: Certificate, theta: Array) -> Facts:
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


def _of_levels(
    problem: Lexicographic, theta: Array, limits: Tolerances, evidence: Evidence
) -> Facts:
    """Establish level 1, then the levels after it from its multipliers or the chain of duals."""
    functions, norm = problem.functions, problem.norm_p
    count = problem.levels or functions.count
    alpha = functions.homogeneity.degree
    if alpha is None:
        level = MarginPath(problem.predictor, problem.data, 1.0, norm)
        found = certify_margin_path(level, theta, limits, evidence)
        facts, values = _of_program(level, theta, found, evidence), functions.values(theta)
        unit, jacobian = theta, functions.jacobian(theta)
    else:
        theta = unit_scale(theta)
        facts = establish(functions, theta, norm, limits, evidence)
        size = vector_norm(theta, norm)
        values = functions.values(theta) / size**alpha
        unit, jacobian = theta / size, functions.jacobian(theta) / size ** (alpha - 1.0)
    facts = replace(
        facts,
        levels=tuple(float(v) for v in np.sort(values)[:count]),
        rounding=tuple(margin_rounding(jacobian, unit, values, count).tolist()),
    )
    if not facts.verdict.stationary or count == 1:
        return facts
    linear = functions.curvature is FunctionCurvature.AFFINE and alpha == 1.0
    if linear and facts.verdict is Verdict.GLOBAL:
        Z = level_rows(problem)
        if Z is not None:
            if 1.0 < norm < math.inf:
                weights = evidence.multipliers
                proof = curved_levels(Z, unit, norm, count, limits.gap, weights)
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
