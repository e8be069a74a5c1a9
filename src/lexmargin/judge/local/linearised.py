"""A measure of stationarity that needs no support tolerance."""

from __future__ import annotations

import numpy as np

from lexmargin.errors import ParameterError
from lexmargin.inputs.limits import LINEARISED_SAMPLES
from lexmargin.judge.multipliers.vertex_bounds import best_weights
from lexmargin.judge.point import UnitPoint
from lexmargin.linalg.norms import Array, dual_exponent, vector_norm

__all__ = ["linearised_gap", "measure"]


def measure(point: UnitPoint, weights: Array) -> float:
    """Return `(‖Jᵀp‖_* - (α-1) p·f)/γ - 1 ≥ 0` for weights p ≥ 0, normalised to sum 1.

    By duality it bounds the relative increase of the margin that the linearised problem
    `max_{‖u‖≤1} min_n f_n + ∇f_n·(u - θ̂)` offers: 0 exactly at stationarity, and for linear f_n
    the relative gap `γ*/γ - 1`.

    Raises
    ------
    ParameterError
        for weights that are negative or all zero, or a margin that is not positive.
    """
    total = float(np.sum(weights))
    if np.any(weights < 0.0) or not total > 0.0 or point.margin <= 0.0:
        raise ParameterError(
            "The measure needs weights p ≥ 0 with a positive sum and a positive margin.",
            "Check that the direction separates.",
        )
    share = weights / total
    size = vector_norm(share @ point.jacobian, dual_exponent(point.norm))
    return (size - (point.degree - 1.0) * float(share @ point.margins)) / point.margin - 1.0


def linearised_gap(point: UnitPoint, limit: int = LINEARISED_SAMPLES) -> tuple[float, Array]:
    """Minimise :func:`measure` over p on the simplex; return the value and p (N,).

    Only the ``limit`` samples of smallest margin may carry weight; what is returned is an upper
    bound on the minimum over all samples, whatever the accuracy of the minimisation.
    """
    chosen = np.sort(np.argsort(point.margins, kind="stable")[:limit])
    offsets = (point.degree - 1.0) * point.margins[chosen]
    weights = np.zeros(point.margins.size)
    weights[chosen] = best_weights(point.jacobian[chosen], point.norm, offsets)
    return measure(point, weights), weights
