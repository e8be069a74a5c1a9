"""The whole certificate of a direction of a homogeneous predictor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lexmargin.errors import DegreeError
from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.given import ESTABLISHED, Evidence
from lexmargin.judge.judge import judged_direction
from lexmargin.judge.levels.long_words import with_long_numbers
from lexmargin.judge.programs.linear_margins import judged_linear
from lexmargin.judge.reasons import NOISE
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.unmeasured import against_level, negative
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import unit_scale, vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray

__all__ = ["certify_along", "certify_direction"]


def certify_direction(
    functions: MarginFunctions,
    theta: FloatArray,
    degree: float,
    norm: float,
    limits: Tolerances,
    claim: FloatArray | None = None,
) -> Certificate:
    """Judge θ/‖θ‖: first order, then kinks and curvature, then bounds on all margins.

    Parameters
    ----------
    functions : the margin functions of a homogeneous predictor.
    theta : (d,) the point, at any scale.
    degree, norm : α and the exponent of the ball.
    limits : what counts as equal.
    claim : λ (N,) of linear margins that is measured before any is sought.
    """
    theta = unit_scale(theta)
    rows = functions.linear_inputs
    if rows is not None:
        signs = np.asarray(functions.data.signed, dtype=np.float64)
        judged = judged_linear(rows, signs, theta, None, norm, claim, limits)
        if functions.data.is_sparse:
            return judged
        return with_long_numbers(judged, lambda: signs[:, None] * np.asarray(rows), theta)
    # Modules that linear scores have no use for.
    from lexmargin.judge.bounds.refine import refine
    from lexmargin.judge.bounds.table import with_bounds
    from lexmargin.judge.local.kinked_point import PredictorPoint

    place = PredictorPoint(functions, theta, degree, limits.kink, norm)
    kkt, linear = place.kkt, functions.linear
    try:
        first = judged_direction(place.unit, limits, linear=linear)
    except DegreeError as error:
        # The degree is the predictor's own: it is the numbers that are lost.
        raise FloatingPointError("f_n and its gradient contradict Euler's identity") from error
    jacobian = kkt.jacobian
    if linear:
        return with_bounds(kkt, with_long_numbers(first, lambda: jacobian, theta))
    return with_bounds(kkt, refine(place, first))


def certify_along(
    kkt: Kkt, limits: Tolerances, given: Evidence | None = None, claim: FloatArray | None = None
) -> Certificate:
    """Judge a program in which every length of w is as good: by its direction, and by its level.

    `min ½‖w‖² s.t. f_n(w) ≥ level` has a KKT point on a ray exactly where the direction of the ray
    has one of the largest margin; ``multipliers``, ``margin`` and ``bound`` are the direction's.
    """
    degree = kkt.degree
    assert degree is not None
    if kkt.level is not None and not np.any(kkt.point):
        return negative(kkt.values, kkt.norm, limits)
    if given is None:
        found = certify_direction(kkt.functions, kkt.point, degree, kkt.norm, limits, claim)
    else:
        from lexmargin.judge.programs.claimed_direction import claimed_direction

        found, _ = claimed_direction(kkt.functions, kkt.point, kkt.norm, limits, given)
    if kkt.part is not None:
        found = replace(found, levels=(float(np.sum(kkt.target * kkt.point)),))
    if kkt.level is None or found.verdict is Verdict.NOT_SEPARATING:
        return found
    # Of the direction that was measured: at another length only rounding would differ.
    margin = found.margin * np.float64(vector_norm(kkt.point, kkt.norm)) ** degree
    if kkt.required is not None:
        margin = margin / kkt.required[0]
    shortfall, missed = against_level(float(margin), kkt.level, limits)
    # A margin that is rounding alone misses its level on either side of 0.
    if not missed or found.reasons[:1] == (NOISE,):
        return replace(found, feasibility=shortfall)
    word = Verdict.NOT_STATIONARY
    why = missed if given is None else ESTABLISHED[word]
    return replace(
        found, verdict=word, feasibility=shortfall, reasons=(why,), radius=None, rise=None
    )
