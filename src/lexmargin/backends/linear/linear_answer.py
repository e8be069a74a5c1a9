"""The answer of the linear hard margin: a direction, and the multipliers that bound its margin."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import final

import numpy as np

from lexmargin.ops.base import FloatArray

__all__ = ["LinearAnswer", "LinearStatus", "balanced"]


@final
class LinearStatus(StrEnum):
    """How the computation ended."""

    OPTIMAL = "optimal"
    """No row outside the working set is violated, and the working set is solved to rounding."""
    INACCURATE = "inaccurate"
    """It ended by its own rule, without having verified the working set at rounding level."""
    NOT_SEPARABLE = "not-separable"
    """``multipliers`` is Gordan's vector up to rounding; the exact verdict is made elsewhere."""
    PASS_LIMIT = "pass-limit"
    TIME_LIMIT = "time-limit"


@final
@dataclass(frozen=True, eq=False)
class LinearAnswer:
    """``max_θ min_n y_n (θ·x_n + b)  s.t.  ‖θ‖ <= 1`` with its dual.

    Attributes:
        theta: (d,) of norm 1; 0 where nothing was found.
        bias: b, at the scale of θ; 0 without a bias.
        multipliers: (N,) λ >= 0, mostly 0, of ``min ½‖w‖² s.t. y_n (w·x_n + b) >= 1``: Euclidean
            ``w = Σ λ_n y_n x_n`` with ``w = θ/margin``. With a bias ``Σ λ_n y_n = 0``.
        margin: ``min_n y_n (θ·x_n + b)``, measured on all rows.
        dual_bound: ``‖Σ λ_n y_n x_n‖_* / Σ λ_n``, which no margin exceeds (math.md §4).
        passes: how often all rows were read.
        working_set: how many rows the last restricted problem had.
        status: how it ended.
    """

    theta: FloatArray
    bias: float
    multipliers: FloatArray
    margin: float
    dual_bound: float
    passes: int
    working_set: int
    status: LinearStatus

    @property
    def relative_gap(self) -> float:
        """``1 - margin/dual_bound``: 0 at the optimum."""
        return 1.0 - self.margin / self.dual_bound if self.dual_bound > 0 else float("inf")

    @property
    def w(self) -> FloatArray:
        """``θ/margin``, the solution with margin 1."""
        return self.theta / self.margin


def balanced(lam: FloatArray, signs: FloatArray) -> FloatArray:
    """Return λ with ``Σ λ y = 0`` up to one rounding: without it λ bounds nothing."""
    plus, minus = float(lam[signs > 0].sum()), float(lam[signs < 0].sum())
    if not (plus > 0.0 and minus > 0.0):
        return lam
    middle = 0.5 * (plus + minus)
    return np.where(signs > 0, lam * (middle / plus), lam * (middle / minus))
