"""Weak duality of linear and of concave margins (math §4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.multipliers.vertex_bounds import improved_bound
from lexmargin.judge.proved import BoundMethod, Proved, linear_proof
from lexmargin.linalg.norms import Array, dual_exponent, unit_scale, vector_norm
from lexmargin.linalg.rounding import EPS
from lexmargin.ops.curvature import Curvature

__all__ = ["ConcaveDuality", "LinearDuality", "usable"]


def usable(weights: Array) -> Array | None:
    """Return λ ≥ 0 (N,) with a largest entry near 1; None where nothing is positive."""
    if not np.all(np.isfinite(weights)):
        return None
    found = np.maximum(unit_scale(weights), 0.0)
    return found if np.any(found > 0.0) else None


@final
@dataclass(frozen=True)
class LinearDuality:
    """`γ* ≤ ‖Σ p_n z_n‖_*` for Σp = 1, over all directions of the ball of any norm.

    search: better weights than those given are looked for, where there are not too many rows.
    """

    method = BoundMethod.LINEAR
    search: bool = True

    def applies(self, kkt: Kkt) -> bool:
        return kkt.is_direction and kkt.functions.linear

    def prove(self, kkt: Kkt, weights: Array, wanted: float = 0.0) -> Proved | None:
        known = usable(weights)
        if known is None and not self.search:
            return None
        Z = kkt.functions.jacobian(np.zeros(kkt.functions.size))
        given = np.zeros(kkt.functions.count) if known is None else known
        enough = 0.0 if self.search else math.inf
        found = improved_bound(Z, given, kkt.norm, enough)
        return None if found is None else linear_proof(found.upper, found.weights)


@final
@dataclass(frozen=True)
class ConcaveDuality:
    """Concave f_n at a length of their own, by p ≥ 0, Σp = 1, and `o = Σ p_n (f_n - ∇f_n·w)`.

    All margins of the ball: `γ* ≤ ρ‖Jᵀp‖_* + o`; all sizes that reach the level:
    `‖w‖ ≥ (level - o)/‖Jᵀp‖_*`. With costs the size is that of `√c w`.
    """

    method = BoundMethod.CONCAVE

    def applies(self, kkt: Kkt) -> bool:
        whole = kkt.loss is None and kkt.free is None and bool(np.all(kkt.entry_costs > 0.0))
        concave = kkt.functions.curvature <= Curvature.CONCAVE
        return whole and concave and not kkt.is_direction and kkt.ordered is None

    def prove(self, kkt: Kkt, weights: Array, wanted: float = 0.0) -> Proved | None:
        total = float(np.sum(weights))
        if not (math.isfinite(total) and total > 0.0):
            return None
        share, w, root = np.maximum(weights, 0.0) / total, kkt.point, np.sqrt(kkt.entry_costs)
        size = vector_norm((share @ kkt.jacobian) / root, dual_exponent(kkt.norm))
        offset = float(share @ (kkt.values - kkt.jacobian @ w))
        terms = float(share @ (np.abs(kkt.values) + np.abs(kkt.jacobian) @ np.abs(w)))
        length = vector_norm(root * w, kkt.norm)
        reach = length if kkt.radius is None else kkt.radius
        rounding = EPS * (w.size + kkt.values.size + 8) * (terms + reach * size)
        why = "weak duality: no point of the ball does better"
        if not size > 0.0 and kkt.level is not None:
            return None
        if kkt.level is None:
            upper = reach * size + offset + rounding
            return Proved(method=self.method, value=upper, sentence=why, weights=share, bound=upper)
        if kkt.costs is not None:
            why = "weak duality: no feasible point costs less"
        return Proved(
            method=self.method,
            value=(kkt.level - offset - rounding) / size,
            sentence=why,
            weights=share,
            reached=length,
            bound=kkt.level,
        )
