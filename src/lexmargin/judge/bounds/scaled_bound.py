"""Weak duality for eq. 14 of linear scores with biases: convex in the squares of the biases."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.multipliers.vertex_bounds import relative_excess
from lexmargin.judge.proofs.exact_bias import stated_program
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.linalg.rounding import EPS

__all__ = ["least_scaled_cost", "with_least_cost"]

_MOST_LOG: Final = 300.0
"""log of the largest power of γ: its square, e^600, must stay below the largest double, e^709."""


def with_least_cost(kkt: Kkt, found: Certificate) -> Certificate:
    """Raise a positive verdict of eq. 14 to GLOBAL where weak duality meets its cost.

    ``found.multipliers`` belong to the costs divided by the largest power of γ.
    """
    # γ² itself must stay in range.
    if not found.verdict.certified or kkt.powers is None or abs(kkt.powers.log_largest) > _MOST_LOG:
        return found
    largest = math.exp(kkt.powers.log_largest)
    least = least_scaled_cost(kkt, found.multipliers * largest)
    if least is None:
        return found
    gap = relative_excess(largest * float(np.sum(kkt.target * kkt.point)), least)
    if not gap <= found.tolerances.gap:
        return replace(found, gap=gap)
    reasons = (*found.reasons, "weak duality: no feasible point costs less")
    return replace(found, verdict=Verdict.GLOBAL, radius=None, gap=gap, reasons=reasons)


def least_scaled_cost(kkt: Kkt, multipliers: Array) -> float | None:
    """Return a proven lower bound on `Σ γ^{2/α_k} ‖w_k‖²` over all points with f_n ≥ 1 (eq. 14).

    With c = b² it is `γ²‖w‖² + γ Σ c` under `Z w + S c ≥ 1`, c ≥ 0: for λ ≥ 0 with
    `Σ λ_n s_n ≤ γ/2` it is at least `2 Σ λ_n - ‖Σ λ_n z_n‖²/γ²`.

    Args:
        kkt: of a linear score with biases; None for all others.
        multipliers: (N,) λ with `γ^{2/α_k} w_k = Σ λ_n ∇_k f_n(w)`, or near; any λ ≥ 0 serves.
    """
    stated = stated_program(kkt)
    if stated is None or not np.all(np.isfinite(multipliers)):
        return None
    program = stated[0]
    a, half = float(program.a), 0.5 * float(program.b)
    if not (0.0 < a < math.inf and half > 0.0):
        return None
    weights = np.maximum(multipliers, 0.0)
    slack = EPS * (int(np.count_nonzero(weights)) + 16)
    if program.S.shape[1]:
        if kkt.functions.multi_class:
            # The optimum's own λ pushes no square beyond γ/2 but by rounding.
            push = float(np.max(weights @ program.S + slack * (weights @ np.abs(program.S))))
            weights = weights * min(1.0, half / push * (1.0 - slack)) if push > 0.0 else weights
        else:
            signs = np.asarray(kkt.functions.data.signed, dtype=np.float64)
            weights = _balanced(weights, signs, program.S, half)
    pull = vector_norm(weights @ program.Z, 2.0)
    pull += slack * vector_norm(weights @ np.abs(program.Z), 2.0)
    gained = 2.0 * float(np.sum(weights)) * (1.0 - slack)
    return gained - pull * pull / a * (1.0 + slack)


def _balanced(weights: Array, signs: Array, S: Array, half: float) -> Array:
    """Return λ with `Σ λ_n s_n ≤ γ/2` for every column s = ±y; both classes keep their shape.

    Exact weights that satisfy it lie within a few roundings of these.
    """
    positive = signs > 0.0
    plus, minus = float(np.sum(weights[positive])), float(np.sum(weights[~positive]))
    total, apart = plus + minus, plus - minus
    for column in S.T:
        side = 1.0 if np.array_equal(column, signs) else -1.0
        apart = side * min(side * apart, half)
    if not (plus > 0.0 and minus > 0.0):
        return weights * min(1.0, abs(apart) / total) if total > 0.0 else weights
    factors = 0.5 * (total + apart) / plus, 0.5 * (total - apart) / minus
    return np.where(positive, weights * factors[0], weights * factors[1])
