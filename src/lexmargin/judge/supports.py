"""The support as a tolerance: the smallest τ at which a direction is stationary."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.inputs.limits import ALL_WEIGHTS_ENTRIES
from lexmargin.judge.point import UnitPoint
from lexmargin.judge.stationarity import Stationarity, on_support
from lexmargin.judge.tolerances import WIDEST, Tolerances
from lexmargin.judge.weight_reach import weight_reach
from lexmargin.linalg.rows import dual_lengths, row_lengths

__all__ = ["Rung", "climb", "rungs"]


@final
@dataclass(frozen=True, eq=False)
class Rung:
    """The support tolerance τ that a verdict rests on, and what was measured there."""

    tau: float
    measured: Stationarity


def rungs(first: float) -> tuple[float, ...]:
    """Return ``first``, 10 ``first``, … up to ``WIDEST`` (``first`` alone beyond it)."""
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
        if measured.met(limits):
            return Rung(tau, measured)
        # A measure whose δ is too large has an ε below the bound and would contradict it.
        usable = measured.complementarity <= limits.complementarity
        if best is None or (usable and measured.residual < best.measured.residual):
            best = Rung(tau, measured)
        if measured.residual <= limits.stationarity or measured.complementarity > 0.0:
            balanced = on_support(point, support, penalised=True)
            if balanced.met(limits):
                return Rung(tau, replace(balanced, lower=min(measured.lower, balanced.residual)))
    assert best is not None
    lower = _bound(point, on_support(point, support, penalised=True), limits)
    spare = lower - _far_reach(point, support, limits)
    if lower > limits.stationarity >= spare and point.jacobian.size <= ALL_WEIGHTS_ENTRIES:
        everyone = np.arange(point.margins.size)
        spare = _bound(point, on_support(point, everyone, penalised=True), limits)
    lower = max(0.0, spare)
    lower = min(lower, best.measured.residual)
    return Rung(best.tau, replace(best.measured, lower=lower))


def _far_reach(point: UnitPoint, support: NDArray[np.intp], limits: Tolerances) -> float:
    """Return what weight outside the support can change ε by while δ is within tolerance."""
    far = np.ones(point.margins.size, dtype=bool)
    far[support] = False
    sizes, rows = np.zeros(far.size), point.jacobian[far]
    holder = point.target is None and (point.norm == 1.0 or math.isinf(point.norm))
    if np.any(far):
        sizes[far] = dual_lengths(rows, point.norm) if holder else row_lengths(rows)
    return limits.complementarity * weight_reach(
        np.flatnonzero(far),
        lambda some: sizes[some],
        point.degree * (point.margins - point.margin),
        point.theta,
        point.norm,
        target=point.target is not None,
    )


def _bound(point: UnitPoint, widest: Stationarity, limits: Tolerances) -> float:
    """Return a lower bound on ε over all λ with δ within tolerance, from the penalised measure."""
    if point.target is None and (point.norm == 1.0 or math.isinf(point.norm)):
        return max(0.0, widest.lower - limits.complementarity)
    spare = widest.lower**2 - limits.complementarity**2
    return float(np.sqrt(max(0.0, spare)))
