"""Finding, once, the evidence for a certificate of any formulation."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np

from lexmargin.formulations.base import Formulation
from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.given import Evidence
from lexmargin.judge.levels.level_chain import prove_levels
from lexmargin.judge.levels.level_proofs import curved_levels, level_rows
from lexmargin.judge.multipliers.fritz_john import fritz_john
from lexmargin.judge.multipliers.multiplier_set import spread
from lexmargin.judge.programs.evidence import evidence_for, refutation_at, with_long
from lexmargin.judge.programs.margin_programs import measured_level
from lexmargin.judge.programs.program_point import ProgramPoint
from lexmargin.judge.programs.recentred import recentred
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array, vector_norm

__all__ = ["evidence_for_problem"]


def evidence_for_problem(problem: Formulation, theta: Array, certificate: Certificate) -> Evidence:
    """Return λ, and what else the certificate's verdict needs, at the point θ (d,).

    Raises :class:`~lexmargin.errors.UnsupportedError` for a formulation without KKT data.
    """
    with np.errstate(all="ignore"):
        kkts = recentred(problem.kkt(theta))
        try:
            found = _evidence(kkts, certificate)
            parts = [getattr(found, field.name) for field in fields(found)]
            if all(np.all(np.isfinite(x)) for x in parts if isinstance(x, np.ndarray)):
                return found
        except (ArithmeticError, np.linalg.LinAlgError):
            pass
    nothing = np.zeros(certificate.multipliers.size)
    return Evidence(support=certificate.support, multipliers=nothing, tau=certificate.tau)


def _evidence(kkts: tuple[Kkt, ...], certificate: Certificate) -> Evidence:
    first = kkts[0]
    if first.loss is not None:
        weights = np.zeros(first.functions.count)
        weights[certificate.support] = certificate.multipliers[certificate.support]
        return Evidence(support=certificate.support, multipliers=weights, tau=np.nan)
    if not first.is_direction:
        return _of_program(kkts, certificate)
    found = evidence_for(first.functions, first.point, first.norm, certificate)
    Z = None if first.ordered is None else level_rows(first.functions)
    if Z is None or certificate.verdict is not Verdict.GLOBAL:
        return found
    point, count = first.point, first.ordered or len(Z)
    weights, limit = certificate.multipliers, certificate.tolerances.gap
    if 1.0 < first.norm < math.inf:
        shown = curved_levels(Z, point, first.norm, count, limit, found.multipliers).proven
        return found if shown >= count else with_long(first.functions, found, first.norm)
    unit = point / vector_norm(point, first.norm)
    _, chain = prove_levels(Z, unit, first.norm, count, limit, [weights])
    return replace(found, levels=chain)


def _of_program(kkts: tuple[Kkt, ...], certificate: Certificate) -> Evidence:
    limits = certificate.tolerances
    found = Evidence(
        support=certificate.support,
        multipliers=np.maximum(certificate.multipliers, 0.0),
        tau=certificate.tau,
    )
    kkt = measured_level(kkts)
    if kkt is None:
        return found
    verdict = certificate.verdict
    if verdict is Verdict.NOT_STATIONARY:
        unit = ProgramPoint(kkt, limits).unit
        if unit.target is None and unit.norm != 2.0:
            return found
        return replace(found, refutation=refutation_at(unit, limits))
    doubtful = verdict is Verdict.KKT and certificate.stationarity > limits.stationarity
    if verdict is Verdict.FRITZ_JOHN or doubtful:
        tight = np.flatnonzero(limits.tight(kkt.values))
        weights = fritz_john(kkt.moving[tight], limits.stationarity).multipliers
        return replace(found, singular=spread(tight, kkt.values.size, weights))
    if verdict is Verdict.SADDLE:
        return replace(found, ascent=None if certificate.rise is None else certificate.rise.ascent)
    return found
