"""Finding, once, the evidence for a certificate of any formulation."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np

from lexmargin.formulations.base import Formulation
from lexmargin.formulations.constrained_path import ConstrainedPath
from lexmargin.formulations.known import require_known
from lexmargin.formulations.lexicographic import Lexicographic
from lexmargin.formulations.margin_path import MarginPath
from lexmargin.formulations.regularization_path import RegularizationPath
from lexmargin.formulations.scaled_margin import ScaledMargin
from lexmargin.formulations.w_set import WSet
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.given import Evidence
from lexmargin.judge.levels.level_chain import recorded_levels
from lexmargin.judge.margin_programs import (
    plain_point,
)
from lexmargin.judge.multipliers.fritz_john import fritz_john
from lexmargin.judge.multipliers.multiplier_set import spread
from lexmargin.judge.programs.evidence import evidence_for, refutation_at
from lexmargin.judge.programs.linear_problems import recentred
from lexmargin.judge.receipts.program_facts import level_rows
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array, vector_norm

__all__ = ["evidence_for_problem"]


def evidence_for_problem(problem: Formulation, theta: Array, certificate: Certificate) -> Evidence:
    """Return λ, and what else the certificate's verdict needs, at the point θ (d,).

    Raises :class:`~lexmargin.errors.UnsupportedError` for a formulation that is none of the seven.
    """
    require_known(problem)
    problem, theta = recentred(problem, theta)
    with np.errstate(all="ignore"):
        try:
            found = _evidence(problem, theta, certificate)
            parts = [getattr(found, field.name) for field in fields(found)]
            if all(np.all(np.isfinite(x)) for x in parts if isinstance(x, np.ndarray)):
                return found
        except (ArithmeticError, np.linalg.LinAlgError):
            pass
    nothing = np.zeros(certificate.multipliers.size)
    return Evidence(support=certificate.support, multipliers=nothing, tau=certificate.tau)


def _evidence(problem: Formulation, theta: Array, certificate: Certificate) -> Evidence:
    functions, norm = problem.functions, problem.norm_p
    match problem:
        case ConstrainedPath() | RegularizationPath():
            weights = np.zeros(functions.count)
            weights[certificate.support] = certificate.multipliers[certificate.support]
            return Evidence(support=certificate.support, multipliers=weights, tau=np.nan)
        case ScaledMargin() | WSet():
            return _of_program(problem, theta, certificate)
        case MarginPath() if functions.homogeneity.degree is None:
            return _of_program(problem, theta, certificate)
        case Lexicographic():
            if functions.homogeneity.degree is None:
                level = MarginPath(problem.predictor, problem.data, 1.0, norm)
                return _of_program(level, theta, certificate)
            found = evidence_for(functions, theta, norm, certificate)
            Z, curved = level_rows(problem), 1.0 < norm < math.inf
            if Z is None or curved or certificate.verdict is not Verdict.GLOBAL:
                return found
            unit, count = theta / vector_norm(theta, norm), problem.levels or functions.count
            weights, limit = certificate.multipliers, certificate.tolerances.gap
            chain = recorded_levels(Z, unit, norm, count, limit, weights)
            return replace(found, levels=chain)
        case _:
            return evidence_for(functions, theta, norm, certificate)


def _of_program(problem: Formulation, theta: Array, certificate: Certificate) -> Evidence:
    limits = certificate.tolerances
    found = Evidence(
        support=certificate.support,
        multipliers=np.maximum(certificate.multipliers, 0.0),
        tau=certificate.tau,
    )
    point = plain_point(problem, theta, limits)
    if point is None:
        return found
    verdict = certificate.verdict
    if verdict is Verdict.NOT_STATIONARY:
        unit = point.unit()
        if unit.target is None and unit.norm != 2.0:
            return found
        return replace(found, refutation=refutation_at(unit, limits))
    doubtful = verdict is Verdict.KKT and certificate.stationarity > limits.stationarity
    if verdict is Verdict.FRITZ_JOHN or doubtful:
        tight = point.tight(limits)
        weights = fritz_john(point.jacobian[tight], limits.stationarity).multipliers
        return replace(found, singular=spread(tight, point.values.size, weights))
    if verdict is Verdict.SADDLE:
        return replace(found, ascent=None if certificate.rise is None else certificate.rise.ascent)
    return found
