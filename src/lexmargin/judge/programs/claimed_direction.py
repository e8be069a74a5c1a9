"""A direction with its multipliers given: everything is measured, with NumPy alone.

A certificate searches for its multipliers; here they are checked. So a receipt can be verified
where no solver, not even a least-squares one, is installed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from lexmargin.errors import DegreeError
from lexmargin.judge.bounds.table import GIVEN, lowest
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.first_order import Measured, certificate_of
from lexmargin.judge.functions.kinks import Kink, samples_of
from lexmargin.judge.functions.slopes import rows
from lexmargin.judge.given import STRICTLY, Evidence, measured_of
from lexmargin.judge.judge import not_separating
from lexmargin.judge.levels.long_words import within
from lexmargin.judge.local.kinked_point import PredictorPoint
from lexmargin.judge.multipliers.later import Later
from lexmargin.judge.multipliers.products import linear_margin, linear_values
from lexmargin.judge.multipliers.qualification import licq
from lexmargin.judge.multipliers.supports import Rung
from lexmargin.judge.point import UnitPoint, check_euler, scaled_to_unit
from lexmargin.judge.proved import Proved, linear_proof, with_proved
from lexmargin.judge.reasons import Condition, claimed
from lexmargin.judge.second_order.ascent import rise
from lexmargin.judge.second_order.curvature import measured_curvature
from lexmargin.judge.second_order.hessians import PredictorCurved
from lexmargin.judge.second_order.surroundings import around_direction
from lexmargin.judge.tolerances import WIDEST, Tolerances
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array
from lexmargin.margins import MarginFunctions
from lexmargin.ops.curvature import Curvature
from lexmargin.separation.long_measures import affordable, measured

__all__ = ["claimed_direction"]

_SHORT: Final = "ε, δ or the gap of the multipliers in long numbers misses its tolerance"


def claimed_direction(
    functions: MarginFunctions, theta: Array, norm: float, limits: Tolerances, evidence: Evidence
) -> tuple[Certificate, Array]:
    """Judge θ/‖θ‖ by multipliers and evidence that are given: nothing is searched for (math §3).

    Parameters
    ----------
    functions : the margin functions of a homogeneous predictor.
    theta : (d,) the point, at any scale.
    norm : exponent of the ball.
    limits : the tolerances that the verdict is relative to.
    evidence : λ and the rest.

    Returns
    -------
    Certificate, Array
        with the best verdict that the evidence establishes, UNDECIDED where it is not enough; and
        the elements of the gradients of the support given (S, d), at any one scale.

    Raises
    ------
    FloatingPointError
        where f_n and its gradient contradict the degree of the predictor: numbers are lost.
    """
    alpha = functions.homogeneity.degree
    assert alpha is not None
    scores = functions.linear_inputs is not None
    place = PredictorPoint(functions, theta, alpha, limits.kink, norm)
    kkt, theta = place.kkt, place.kkt.point
    jacobian = kkt.jacobian
    point = place.unit
    if scores:
        # Of linear scores the margins are the products themselves.
        values = linear_values(jacobian, theta)
        point = scaled_to_unit(values, jacobian, theta, alpha, norm)
    try:
        mismatch = 0.0 if scores else check_euler(point, limits.euler)
    except DegreeError as error:
        # The degree is the predictor's own: it is the numbers that are lost.
        raise FloatingPointError("f_n and its gradient contradict Euler's identity") from error
    if point.margin <= 0.0:
        blank = replace(not_separating(point, limits), reasons=("a margin is not positive",))
        return blank, point.jacobian[:0]
    kinks, samples = place.kinks, samples_of(functions, evidence.support)
    on = [] if kinks is None else kinks.within(limits.kink, samples)
    gradients = point.jacobian
    sloped = ""
    if on:
        gradients, sloped = _sloped(functions, theta, point, evidence, on)
    first = measured_of(point, gradients, evidence, limits, mismatch)
    if kinks is not None and first.lower > 0.0:
        # Every margin within reach of δ has its part in a lower bound on ε.
        others = place.beside(evidence.support)[0]
        first = replace(first, lower=place.bounded(first.lower, others, norm, limits))
    # At kinks the elements that λ combines, where there are slopes for them.
    support_rows = gradients[evidence.support]
    weights = evidence.multipliers if evidence.bound is None else evidence.bound
    margin = point.unscaled(linear_margin(point, theta) if functions.linear else point.margin)
    proved = None
    if not np.any(weights < 0.0):
        proved = lowest(kkt, weights, margin, GIVEN)
    bounded = first.lower
    if on:
        # What separates θ̂ from one element of every margin does not from all.
        first = replace(first, lower=0.0)
    condition = Condition.SLOPES if on else Condition.GRADIENTS
    known = replace(Measured.of(first, point.is_noise, mismatch), condition=condition)
    rung = Rung(evidence.tau, first)
    found = certificate_of(rung, known, point.unscaled(point.margin), norm, limits)
    word, why = found.verdict, claimed(found.reasons[0])
    if on and norm != 2.0:
        word, why = Verdict.UNDECIDED, "a kink, and the ball is not Euclidean"
    elif sloped:
        word, why = Verdict.UNDECIDED, sloped
    found = replace(
        found,
        verdict=word,
        reasons=(why,),
        stationarity_bound=bounded,
        support=point.support(min(evidence.tau, WIDEST)),
        multipliers=evidence.multipliers,
        independence=Later(lambda: licq(support_rows, limits.rank)),
        gap=None if proved is None else proved.gap(margin),
        bound=None if proved is None else proved.bound,
        degree=alpha,
        nearest_kink=place.standing(evidence.support).nearest,
    )
    found = _beyond_first_order(functions, point, theta, evidence, found, proved)
    return _in_long_numbers(found, functions, theta, evidence), support_rows


def _in_long_numbers(
    found: Certificate, functions: MarginFunctions, theta: Array, evidence: Evidence
) -> Certificate:
    """Return what λ in long numbers prove where it is given, and nothing else then."""
    if not (evidence.long and functions.linear):
        return found
    rows = functions.jacobian(np.zeros(functions.size))
    exact = measured(rows, theta, evidence.long, found.norm) if affordable(*rows.shape) else None
    if exact is None or not within(exact, found.tolerances):
        return replace(found, verdict=Verdict.UNDECIDED, reasons=(_SHORT,))
    known = replace(
        found,
        verdict=Verdict.KKT,
        reasons=("the margin meets an upper bound on all margins, in long numbers",),
        margin=exact.margin,
        stationarity=exact.distance,
        stationarity_bound=min(found.stationarity_bound, exact.distance),
        complementarity=exact.slackness,
        euler=exact.euler,
        gap=None,
    )
    return with_proved(known, replace(linear_proof(exact.bound, None), excess=exact.gap))


def _beyond_first_order(
    functions: MarginFunctions,
    point: UnitPoint,
    unit: Array,
    evidence: Evidence,
    found: Certificate,
    proved: Proved | None,
) -> Certificate:
    """Return the certificate with the best word that the evidence establishes, and its reason."""
    if not found.verdict.stationary:
        return found

    def said(word: Verdict, why: str, known: Certificate = found) -> Certificate:
        return replace(known, verdict=word, reasons=(why,))

    limits, kink, gap = found.tolerances, found.nearest_kink, found.gap
    curved = PredictorCurved(functions, exact=False, nearest_kink=kink)
    around = around_direction(curved, unit, point.degree, replace(found, support=evidence.support))
    if evidence.ascent is not None and point.norm == 2.0:
        shown = rise(around, evidence.ascent, found.stationarity)
        if shown is not None:
            why = "the margin rises along the curve given from its beginning"
            return said(Verdict.SADDLE, why, replace(found, rise=shown))
    if proved is not None and gap is not None and gap <= limits.gap:
        met = said(Verdict.KKT, "the margin meets an upper bound on all margins")
        return with_proved(met, replace(proved, excess=gap))
    affine = functions.curvature is Curvature.AFFINE
    if found.verdict is Verdict.CLARKE_KKT or point.norm != 2.0 or affine:
        return found
    word = measured_curvature(around, given=evidence)
    found = replace(found, second_order=Later(lambda: word.curvature), radius=word.radius)
    if word.verdict is Verdict.STRICT_LOCAL:
        return said(Verdict.STRICT_LOCAL, STRICTLY, found)
    return found


def _sloped(
    functions: MarginFunctions,
    unit: Array,
    point: UnitPoint,
    evidence: Evidence,
    kinks: list[Kink],
) -> tuple[Array, str]:
    """Return the gradients with the given slopes at the kinks, or why they prove nothing."""
    if point.norm != 2.0:
        return point.jacobian, ""
    slopes = dict.fromkeys((kink.place for kink in kinks), 0.0)
    recording = functions.record(unit)
    if len(recording.kinked) != 1:
        return point.jacobian, "kinks in several layers: the slopes there are not independent"
    for layer, sample, column, slope in evidence.slopes:
        if (layer, sample, column) not in slopes or not 0.0 <= slope <= 1.0:
            return point.jacobian, "a slope is given where there is no kink, or outside [0, 1]"
        slopes[layer, sample, column] = slope
    chosen = evidence.support
    elements = rows(functions, recording, chosen.tolist(), slopes)
    gradients = point.jacobian.copy()
    with np.errstate(over="ignore", under="ignore"):
        gradients[chosen] = np.ldexp(elements / point.factor, -point.exponent)
    return gradients, ""
