"""The whole certificate of a direction of a homogeneous predictor."""

from __future__ import annotations

import numpy as np

from lexmargin.errors import DegreeError
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.judge import certify_arrays
from lexmargin.judge.programs.linear_margins import certify_linear
from lexmargin.judge.programs.long_words import with_long_numbers
from lexmargin.judge.tolerances import Tolerances
from lexmargin.linalg.norms import unit_scale
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature

__all__ = ["certify_direction"]


def certify_direction(
    functions: MarginFunctions, theta: FloatArray, degree: float, norm: float, limits: Tolerances
) -> Certificate:
    """Judge θ/‖θ‖: first order, then kinks and curvature, then bounds on all margins.

    Parameters
    ----------
    functions : the margin functions of a homogeneous predictor.
    theta : (d,) the point, at any scale.
    degree, norm : α and the exponent of the ball.
    limits : what counts as equal.
    """
    theta = unit_scale(theta)
    rows = functions.linear_inputs
    if rows is not None:
        signs = np.asarray(functions.data.signed, dtype=np.float64)
        judged = certify_linear(rows, signs, theta, norm=norm, tolerances=limits)
        if functions.data.is_sparse:
            return judged
        return with_long_numbers(judged, signs[:, None] * np.asarray(rows), theta)
    # Modules that linear scores have no use for.
    from lexmargin.judge.bounds.global_bounds import with_global_bound
    from lexmargin.judge.local.refine import refine

    values, jacobian = functions.values(theta), functions.jacobian(theta)
    if not (np.all(np.isfinite(values)) and np.all(np.isfinite(jacobian))):
        raise FloatingPointError("f_n or a gradient is not finite")
    linear = functions.curvature is Curvature.AFFINE and degree == 1.0
    try:
        first = certify_arrays(values, jacobian, theta, degree, norm, limits, linear=linear)
    except DegreeError as error:
        # The degree is the predictor's own: it is the numbers that are lost.
        raise FloatingPointError("f_n and its gradient contradict Euler's identity") from error
    if linear:
        first = with_long_numbers(first, jacobian, theta)
    refined = refine(functions, theta, degree, norm, first)
    return with_global_bound(functions, theta, norm, refined)
