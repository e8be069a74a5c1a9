"""The answer of a linear margin problem in long numbers, rounded at the scale it is stated in."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from lexmargin.errors import SolverFailedError
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.hard_margin import HardMargin
from lexmargin.formulations.lexicographic import Lexicographic
from lexmargin.formulations.margin_path import MarginPath
from lexmargin.formulations.scaled_margin import ScaledMargin
from lexmargin.formulations.w_set import WSet
from lexmargin.linalg.long_margins import affordable, long_margin
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature

__all__ = ["LongAnswer", "long_answer"]

_SECONDS: Final = 10.0


@final
@dataclass(frozen=True, eq=False)
class LongAnswer:
    """θ (d,) as the problem states it, and λ (N,) >= 0 with ‖Zᵀλ‖_* = 1."""

    theta: FloatArray
    multipliers: FloatArray


def long_answer(problem: Formulation, seconds: float | None = None) -> LongAnswer | None:
    """Return the answer of a margin problem of few samples with scores linear in θ.

    None for other problems, scores that are not linear, and data that nothing separates. Among the
    directions of an ℓ1 or ℓ∞ problem it is one in the middle.

    Args:
        problem: a formulation.
        seconds: for the steps; 10 if None.
    """
    functions = problem.functions
    stated = isinstance(problem, (HardMargin, MarginPath, Lexicographic, ScaledMargin, WSet))
    linear = functions.curvature is Curvature.AFFINE and functions.homogeneity.degree == 1.0
    if problem.data.is_sparse or not (stated and linear):
        return None
    if not affordable(functions.count, functions.size):
        return None
    rows = functions.jacobian(np.zeros(functions.size))
    deadline = time.monotonic() + (_SECONDS if seconds is None else seconds)
    level = math.inf
    if isinstance(problem, (HardMargin, ScaledMargin, WSet)):
        level = 1.0
    elif isinstance(problem, MarginPath) and problem.gamma is not None:
        level = problem.gamma / problem.rho
    try:
        found = long_margin(rows, problem.norm_p, deadline, level)
    except SolverFailedError:
        return None
    return None if found is None else LongAnswer(found.theta, found.multipliers)
