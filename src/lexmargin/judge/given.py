"""Stationarity of multipliers that are given: nothing is searched for, and NumPy is enough."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.inputs.limits import EXTENDED_ENTRIES
from lexmargin.judge.certificate import Ascent
from lexmargin.judge.multipliers.multiplier_set import normalised_rows
from lexmargin.judge.multipliers.stationarity import Stationarity, away, measured
from lexmargin.judge.multipliers.supports import rungs
from lexmargin.judge.point import UnitPoint
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import (
    Array,
    dual_exponent,
    unit_scale,
    vector_norm,
)
from lexmargin.linalg.rounding import EPS, FURTHER, LONG_EPS, ROUNDED
from lexmargin.linalg.rows import is_dense, with_sizes

__all__ = ["ESTABLISHED", "STRICTLY", "Evidence", "combined_to_zero", "measured_of", "refuted"]

ESTABLISHED: Final[Mapping[Verdict, str]] = {
    Verdict.NOT_SEPARATING: "a margin is not positive",
    Verdict.NOT_STATIONARY: "infeasible, or separated from the cone of gradients",
    Verdict.FRITZ_JOHN: "the weights given combine the active gradients to 0",
    Verdict.UNDECIDED: "what is given does not decide",
    Verdict.CLARKE_KKT: "stationary with the slopes given at the kinks",
    Verdict.KKT: "stationary within tolerance",
    Verdict.SADDLE: "the curve given is feasible and better from its beginning",
    Verdict.STRICT_LOCAL: "positive curvature on the critical cone, and a strict optimum is near",
    Verdict.GLOBAL: "no point does better, by duality or because the value 0 is reached",
}
"""Why a program with everything given has its word: what is printed of it."""
STRICTLY: Final = "positive curvature on the critical cone, and a strict maximiser is near"
"""Why a direction with everything given is STRICT_LOCAL."""


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """What a verdict needs beside θ: found once, at some price, and cheap to check.

    support, multipliers, tau
        S_τ, and λ (N,) with `θ̂ ≈ Σ λ_n ∇f_n(θ̂)`, or the target of another program for θ̂.
    bound
        weights p (N,) of weak duality, where λ is not the best.
    slopes
        (layer, sample, unit, slope in [0, 1]) at the kinks: elements of the generalised gradients.
    ascent
        a curve that begins at θ and leads upwards.
    refutation
        weights (N,) whose residual separates θ̂ from the cone of the support's gradients.
    singular
        weights (N,) that combine the active gradients to 0 (Fritz John).
    levels
        weights (N,) of weak duality, one array per level of the lexicographic max margin.
    long
        arrays (N,) whose sum is λ in long numbers, for linear f_n that doubles are too short for.
    """

    support: NDArray[np.intp]
    multipliers: Array
    tau: float
    bound: Array | None = None
    slopes: tuple[tuple[int, int, int, float], ...] = ()
    ascent: Ascent | None = None
    refutation: Array | None = None
    singular: Array | None = None
    levels: tuple[Array, ...] = ()
    long: tuple[Array, ...] = ()


def measured_of(
    point: UnitPoint, gradients: Any, evidence: Evidence, limits: Tolerances, mismatch: float
) -> Stationarity:
    """Measure ε, δ and Euler's check of the λ given, and the lower bound of the refutation.

    Parameters
    ----------
    point : the unit direction, or a point with its target.
    gradients : (N, d) elements of the generalised gradients, in the scale of the point; dense or
        CSR.
    evidence : with λ in the units of the problem.
    limits : δ within tolerance is what the lower bound allows.
    mismatch : the error of Euler's identity.
    """
    chosen, claim = evidence.support, np.zeros(evidence.multipliers.size)
    claim[chosen] = evidence.multipliers[chosen]
    residual, values, spent = _closest(point, gradients, claim)
    values = values[chosen]
    lower = refuted(point, evidence.refutation, limits, mismatch)
    floor = EPS * (chosen.size + 2) * (1.0 + spent)
    entries = chosen.size * gradients.shape[1]
    if floor > limits.stationarity and is_dense(gradients) and entries <= EXTENDED_ENTRIES:
        # Of rows that are longer than their margin little is left: long floats keep its digits.
        long = gradients[chosen].astype(np.longdouble)
        residual, values, spent = _closest(point, long, claim[chosen])
        # λ itself, at the scale of the point, is a double.
        floor = (chosen.size + 2) * (EPS + LONG_EPS * spent) + EPS * spent
    return measured(point.margins, point.degree, chosen, values, (residual, lower, floor))


def _closest(point: UnitPoint, rows: Any, multipliers: Array) -> tuple[float, Array, float]:
    """Return ε, the λ (S,) in the scale of the point that it belongs to, and `‖Σ λ_n |∇f_n|‖`.

    Where ε does not feel the scale of λ, as the Hölder gap, δ would: such λ are brought to
    `‖Σ λ_n ∇f_n‖_* = 1`, as those of a certificate are.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        values = np.ldexp(multipliers * point.factor, point.exponent)
        combination, sizes = with_sizes(values, rows)
        spent = float(np.linalg.norm(sizes))
    lost = not (np.all(np.isfinite(combination)) and math.isfinite(spent))
    if lost:
        values = np.zeros(multipliers.size)
    residual = 1.0
    if not (point.is_polyhedral or lost):
        wanted = point.wanted
        missing = np.asarray(wanted - combination, dtype=np.float64)
        residual = vector_norm(missing, 2.0) / vector_norm(wanted, 2.0)
    if point.target is not None or point.norm == 2.0:
        return residual, values, spent
    free = unit_scale(multipliers)
    sums, sizes = with_sizes(free, rows)
    pull = np.asarray(sums, dtype=np.float64)
    size = vector_norm(pull, dual_exponent(point.norm))
    if not 0.0 < size < math.inf:
        return residual, values, spent
    other = away(point.theta, pull, point.norm)
    if other > residual:
        return residual, values, spent
    return other, free / size, float(np.linalg.norm(sizes)) / size


def refuted(
    point: UnitPoint, refutation: Array | None, limits: Tolerances, mismatch: float = 0.0
) -> float:
    """Return a lower bound on ε over all λ ≥ 0 with δ within tolerance, ℓ2; 0 without one.

    For r and s ≥ 0 with `∇f_n·r ≤ s e_n` for every n (e_n the share of n in δ), every λ has
    `t·r ≤ ε ‖r‖ + s δ`, t the unit target. The weights give r; a step along a direction in which
    all margins grow mends what samples near the margin lack, and s what the others do.
    """
    if refutation is None or (point.norm != 2.0 and point.target is None):
        return 0.0
    rows, target = point.jacobian, point.wanted
    excess = point.degree * (point.margins - point.margin)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        weights = np.ldexp(refutation * point.factor, point.exponent)
        first = target - weights @ rows
    if not np.all(np.isfinite(first)):
        return 0.0
    # The bound does not feel the scale of r.
    first = unit_scale(first)
    # Of a product with a row, in its own and in the margins', which are sums of such terms too.
    lengths = np.linalg.norm(rows, axis=1)
    rounding = ROUNDED * rows.shape[1] * lengths
    doubt = rounding * max(1.0, float(np.linalg.norm(point.ascent)))
    climbs = rows @ point.ascent - doubt
    gains = rows @ first
    prices = {0.0}
    for tau in rungs(limits.support):
        far = (point.margins > (1.0 + tau) * point.margin) & (gains > 0.0)
        with np.errstate(over="ignore"):
            prices.add(float(np.max(gains[far] / excess[far], initial=0.0)) * FURTHER)
    best = 0.0
    for price in filter(math.isfinite, prices):
        allowed = price * (excess - point.degree * doubt)
        residual = first
        for _ in range(4):
            length = float(np.linalg.norm(residual))
            lacking = rows @ residual + rounding * length - allowed
            if np.all(lacking <= 0.0):
                # The product t·r and its terms are rounded as well.
                pull = float(target @ residual) - ROUNDED * rows.shape[1] * length
                if length > 0.0:
                    # Margins that contradict their gradients say too much of what δ allows.
                    slack = limits.complementarity + 2.0 * mismatch
                    best = max(best, (pull - price * slack) / length)
                break
            wrong = lacking > 0.0
            if not np.any(wrong) or np.any(climbs[wrong] <= 0.0):
                break
            # Further than is asked for: what is left must be clear of the rounding.
            noise = rounding[wrong] * length
            step = FURTHER * float(np.max((lacking[wrong] + noise) / climbs[wrong]))
            residual = residual - step * point.ascent
    return best


def combined_to_zero(jacobian: Array, weights: Array | None, tolerance: float) -> bool:
    """Tell whether `Σ p_n ∇f_n = 0` for these weights of the rows, as Fritz John asks (S, d)."""
    if weights is None or np.any(weights < 0.0):
        return False
    rows, norms = normalised_rows(jacobian)
    if np.any(weights[norms == 0.0] > 0.0):
        return True
    with np.errstate(over="ignore"):
        shares = unit_scale(weights) * norms
    total = float(np.sum(shares))
    if not (math.isfinite(total) and total > 0.0):
        return False
    return vector_norm(shares / total @ rows, 2.0) <= tolerance
