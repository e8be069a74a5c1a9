"""The support as a tolerance: the smallest τ at which a direction is stationary."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.judge.point import UnitPoint
from lexmargin.judge.stationarity import Stationarity, on_support
from lexmargin.judge.tolerances import Tolerances
from lexmargin.linalg.norms import norm_gradient, vector_norm
from lexmargin.linalg.rows import dual_lengths, row_lengths

__all__ = ["WIDEST", "Rung", "climb", "rungs", "weight_reach"]

WIDEST: Final = 1e-2
"""Largest support tolerance that is tried."""

_ALL_LIMIT: Final = 500_000


@final
@dataclass(frozen=True, eq=False)
class Rung:
    """The support tolerance τ that a verdict rests on, and what was measured there."""

    tau: float
    measured: Stationarity


def rungs(first: float) -> tuple[float, ...]:
    """Return ``first``, 10 ``first``, … up to :data:`WIDEST` (``first`` alone beyond it)."""
    found = [first]
    while found[-1] * 10.0 < WIDEST * (1.0 - 1e-9):
        found.append(found[-1] * 10.0)
    if found[-1] < WIDEST:
        found.append(WIDEST)
    return tuple(found)


def climb(point: UnitPoint, limits: Tolerances) -> Rung:
    """Return the smallest τ at which both ε and δ are within tolerance.

    An interior-point answer holds its active constraints with slacks μ/λ_n, so that samples of
    small multiplier leave every fixed support; (ε, δ)-KKT (Lyu & Li 2020) needs no support at all,
    and a wider one loosens nothing because δ is bounded by itself.

    Where no τ serves, the τ of smallest ε is returned with ``lower`` proven for all λ ≥ 0 with δ
    within tolerance: `ε² ≥ min(ε² + δ²) - δ²` (a sum for ℓ1, ℓ∞).
    """
    best: Rung | None = None
    size = -1
    for tau in rungs(limits.support):
        support = point.support(tau)
        if support.size == size:
            continue
        size = support.size
        measured = on_support(point, support)
        if _within(measured, limits):
            return Rung(tau, measured)
        # A measure whose δ is too large has an ε below the bound and would contradict it.
        usable = measured.complementarity <= limits.complementarity
        if best is None or (usable and measured.residual < best.measured.residual):
            best = Rung(tau, measured)
        if measured.residual <= limits.stationarity or measured.complementarity > 0.0:
            balanced = on_support(point, support, penalised=True)
            if _within(balanced, limits):
                return Rung(tau, replace(balanced, lower=min(measured.lower, balanced.residual)))
    assert best is not None
    lower = _bound(point, on_support(point, support, penalised=True), limits)
    spare = lower - _far_reach(point, support, limits)
    if lower > limits.stationarity >= spare and point.jacobian.size <= _ALL_LIMIT:
        everyone = np.arange(point.margins.size)
        spare = _bound(point, on_support(point, everyone, penalised=True), limits)
    lower = max(0.0, spare)
    lower = min(lower, best.measured.residual)
    return Rung(best.tau, replace(best.measured, lower=lower))


def _within(measured: Stationarity, limits: Tolerances) -> bool:
    return (
        measured.residual <= limits.stationarity
        and measured.complementarity <= limits.complementarity
    )


def _far_reach(point: UnitPoint, support: NDArray[np.intp], limits: Tolerances) -> float:
    """Return what weight outside the support can change ε by while δ is within tolerance.

    `α λ_n (f_n - γ) ≤ δ` leaves `‖Σ λ_n ∇f_n‖ ≤ δ max ‖∇f_n‖/(α (f_n - γ))`; the Hölder gap of ℓ1
    and ℓ∞ changes by twice that in the dual norm.
    """
    far = np.ones(point.margins.size, dtype=bool)
    far[support] = False
    if not np.any(far):
        return 0.0
    return weight_reach(point, np.flatnonzero(far), point.jacobian[far], limits)


def weight_reach(point: UnitPoint, far: NDArray[np.intp], rows: Any, limits: Tolerances) -> float:
    """Return what weight on margins above the smallest can change ε by, with δ within tolerance.

    Parameters
    ----------
    point : the unit point.
    far : margin functions above the smallest (S,).
    rows : their gradients (S, d), or vectors at least as long.
    limits : the tolerance of δ.
    """
    excess = point.margins[far] - point.margin
    if point.target is None and (point.norm == 1.0 or math.isinf(point.norm)):
        sizes = dual_lengths(rows, point.norm)
        return 2.0 * limits.complementarity * float(np.max(sizes / (point.degree * excess)))
    sizes = row_lengths(rows)
    length = 1.0
    if point.target is None:
        length = vector_norm(norm_gradient(point.theta, point.norm), 2.0)
    reach = float(np.max(sizes / (point.degree * excess)))
    return limits.complementarity * reach / length


def _bound(point: UnitPoint, widest: Stationarity, limits: Tolerances) -> float:
    """Return a lower bound on ε over all λ with δ within tolerance, from the penalised measure."""
    if point.target is None and (point.norm == 1.0 or math.isinf(point.norm)):
        return max(0.0, widest.lower - limits.complementarity)
    spare = widest.lower**2 - limits.complementarity**2
    return float(np.sqrt(max(0.0, spare)))
