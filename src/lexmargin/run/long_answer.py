"""The answer of a linear margin problem in long numbers, rounded at the scale it is stated in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from lexmargin.errors import SolverFailedError
from lexmargin.formulations.base import Formulation
from lexmargin.linalg.norms import vector_norm
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature
from lexmargin.separation.long_losses import least_loss
from lexmargin.separation.long_margins import LongMargin, long_margin
from lexmargin.separation.long_measures import affordable

__all__ = ["LongAnswer", "long_answer"]

_SECONDS: Final = 10.0
"""For an answer in long numbers, which takes .05 to .3 s; with less time that in doubles stays."""


@final
@dataclass(frozen=True, eq=False)
class LongAnswer:
    """θ (d,) as the problem states it, and its λ (N,) >= 0."""

    theta: FloatArray
    multipliers: FloatArray


def long_answer(
    problem: Formulation, theta: FloatArray, seconds: float | None = None
) -> LongAnswer | None:
    """Return the answer of a problem of few samples with scores linear in θ.

    None for other problems, steps that do not end, scores that are not linear, and margins of data
    that nothing separates. Among the directions of an ℓ1 or ℓ∞ problem it is a vertex.

    Args:
        problem: a formulation.
        theta: (d,) an answer, which says at most how long one is to be.
        seconds: for the steps; 10 if None.
    """
    functions = problem.functions
    linear = functions.curvature is Curvature.AFFINE and functions.homogeneity.degree == 1.0
    if problem.data.is_sparse or not (linear and affordable(functions.count, functions.size)):
        return None
    kkt, rows = problem.kkt(theta)[0], functions.jacobian(np.zeros(functions.size))
    deadline = time.monotonic() + (_SECONDS if seconds is None else seconds)
    if kkt.loss is not None:
        asked = kkt.asked_loss
        point = None if asked is None else least_loss(rows, kkt.point, asked, deadline)
        if point is None:
            return None
        return LongAnswer(point / problem.rho_value, np.zeros(functions.count))
    if not kkt.is_direction:
        return None

    def stated(found: LongMargin) -> tuple[FloatArray, FloatArray]:
        # w and λ of ``∇½‖w‖² = Zᵀλ`` at margin 1.
        w, multipliers = found.theta / found.margin, found.multipliers / found.margin
        if kkt.level is not None:
            return w * kkt.level, multipliers * kkt.level
        return problem.placed(theta, w, multipliers)

    def length(found: LongMargin) -> float:
        return vector_norm(stated(found)[0], kkt.norm)

    try:
        found = long_margin(rows, kkt.norm, deadline, length, kkt.ordered or 1)
    except SolverFailedError:
        return None
    if found is None or not found.margin > 0.0:
        return None
    return LongAnswer(found.theta, stated(found)[1])
