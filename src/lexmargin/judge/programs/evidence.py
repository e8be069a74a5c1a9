"""Finding, once, what a verifier of a receipt then only has to check."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.limits import ALL_WEIGHTS_ENTRIES
from lexmargin.judge.bounds.table import lowest
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.given import Evidence, refuted
from lexmargin.judge.levels.long_words import found_multipliers
from lexmargin.judge.local.given_slopes import with_slopes
from lexmargin.judge.local.kinked_point import PredictorPoint
from lexmargin.judge.multipliers.stationarity import on_support
from lexmargin.judge.point import UnitPoint, unit_point
from lexmargin.judge.programs.claimed_direction import claimed_direction
from lexmargin.judge.tolerances import WIDEST, Tolerances
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array, unit_scale
from lexmargin.margins import MarginFunctions

__all__ = ["evidence_for", "refutation_at", "with_long"]


def evidence_for(
    functions: MarginFunctions, flat: Array, norm: float, certificate: Certificate
) -> Evidence:
    """Return λ, and what else the certificate's verdict needs, at the point θ (d,)."""
    found = Evidence(
        support=certificate.support,
        multipliers=np.maximum(certificate.multipliers, 0.0),
        tau=certificate.tau,
    )
    alpha = functions.homogeneity.degree
    assert alpha is not None
    verdict, flat = certificate.verdict, unit_scale(flat)
    if verdict in (Verdict.NOT_SEPARATING, Verdict.UNDECIDED):
        limits = certificate.tolerances
        return _in_doubles(functions, flat, norm, limits, found) if functions.linear else found
    point = unit_point(functions.values(flat), functions.jacobian(flat), flat, alpha, norm)
    if verdict is Verdict.NOT_STATIONARY:
        if norm != 2.0:
            return found
        return replace(found, refutation=refutation_at(point, certificate.tolerances))
    if norm == 2.0:
        limits = certificate.tolerances
        found = with_slopes(PredictorPoint(functions, flat, alpha, limits.kink), found, limits)
    if verdict is Verdict.SADDLE:
        return replace(found, ascent=None if certificate.rise is None else certificate.rise.ascent)
    if verdict is Verdict.GLOBAL:
        return _of_global(functions, flat, norm, certificate, found)
    return found


def _of_global(
    functions: MarginFunctions, flat: Array, norm: float, certificate: Certificate, found: Evidence
) -> Evidence:
    limits = certificate.tolerances
    found = _in_doubles(functions, flat, norm, limits, found)
    facts, _ = claimed_direction(functions, flat, norm, limits, found)
    if facts.verdict is Verdict.GLOBAL:
        return found
    kkt = Kkt(functions=functions, point=flat, norm=norm)
    better = lowest(kkt, certificate.multipliers, certificate.margin)
    bounded = replace(found, bound=None if better is None else better.weights)
    if not functions.linear:
        return bounded
    facts, _ = claimed_direction(functions, flat, norm, limits, bounded)
    return bounded if facts.verdict is Verdict.GLOBAL else with_long(functions, found, norm)


def _in_doubles(
    functions: MarginFunctions, flat: Array, norm: float, limits: Tolerances, found: Evidence
) -> Evidence:
    """Leave out samples of λ in long numbers that are none of the support in doubles."""
    facts, _ = claimed_direction(functions, flat, norm, limits, found)
    if np.array_equal(facts.support, found.support):
        return found
    multipliers = np.zeros(functions.count)
    multipliers[facts.support] = found.multipliers[facts.support]
    return replace(found, support=facts.support, multipliers=multipliers)


def with_long(functions: MarginFunctions, evidence: Evidence, norm: float) -> Evidence:
    """Add λ of linear f_n in long numbers; the support stays what doubles make of it."""
    long = found_multipliers(functions.jacobian(np.zeros(functions.size)), norm)
    return evidence if long is None else replace(evidence, long=long.terms)


def refutation_at(point: UnitPoint, limits: Tolerances) -> Array:
    """Return the weights (N,) that bound ε from below best, in the units of the problem.

    Those of samples near the margin, where they are enough; else those of all.
    """
    near = on_support(point, point.support(WIDEST), penalised=True)
    weights = point.unscaled_multipliers(near.multipliers)
    enough = refuted(point, weights, limits) > limits.stationarity
    if enough or point.jacobian.size > ALL_WEIGHTS_ENTRIES:
        return weights
    everyone = on_support(point, np.arange(point.margins.size), penalised=True)
    return point.unscaled_multipliers(everyone.multipliers)
