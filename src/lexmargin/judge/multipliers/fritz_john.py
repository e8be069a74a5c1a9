"""Fritz John multipliers that ignore the objective."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from lexmargin.judge.multipliers.multiplier_set import normalised_rows, smallest_hull_point
from lexmargin.linalg.norms import Array

__all__ = ["FritzJohn", "fritz_john"]


@final
@dataclass(frozen=True, eq=False)
class FritzJohn:
    """Whether `0 = Σ λ_n ∇f_n` has a solution λ ≥ 0, Σ λ_n ‖∇f_n‖ = 1, with its residual."""

    holds: bool
    multipliers: Array
    residual: float


def fritz_john(jacobian: Array, tolerance: float) -> FritzJohn:
    """Look for λ ≥ 0, λ ≠ 0 with `Σ_n λ_n ∇f_n = 0` among active gradients (S, d).

    It exists exactly where the Mangasarian-Fromovitz condition fails, so never for homogeneous
    predictors with a positive margin (math §3); a zero gradient is such a λ by itself.

    Parameters
    ----------
    jacobian : (S, d) gradients of the active constraints.
    tolerance : largest length of the combination of unit gradients that counts as zero.
    """
    rows, norms = normalised_rows(jacobian)
    if rows.shape[0] == 0:
        return FritzJohn(False, norms, float("inf"))
    weights, residual = smallest_hull_point(rows)
    zero = norms == 0.0
    if zero.any():
        return FritzJohn(True, zero / float(zero.sum()), 0.0)
    return FritzJohn(residual <= tolerance, weights / norms, residual)
