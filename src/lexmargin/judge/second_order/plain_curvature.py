"""Second order for problems with a scale: eq. 6 and 7 at finite ρ, and eq. 14 (math §3).

At a KKT point of `min ½ Σ_i c_i w_i² s.t. f_n(w) ≥ 1` the Hessian of the Lagrangian,
`diag(c) - Σ λ_n ∇²f_n(w)`, is judged on the tangents of the active f_n, in `v = √c w` where the
cost is ½‖v‖². The max form at a radius has the same tangents and, up to a positive factor, the same
matrix: `Σ λ_n ∇f_n = w` keeps a tangent on the sphere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.formulations.parts import Parts
from lexmargin.inputs.limits import DENSE_HESSIAN_PARAMETERS
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.given import Evidence
from lexmargin.judge.second_order.curvature import Curvature, CurvatureKind, judged
from lexmargin.judge.second_order.hessians import (
    Curved,
    DifferencedCurved,
    PredictorCurved,
    RescaledCurved,
)
from lexmargin.judge.second_order.vicinity import Vicinity
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array, vector_norm

__all__ = ["second_order"]

_LEAST_COST: Final = 1e-280
"""Cost from which √c and its products with θ keep clear of underflow; below, nothing is said."""
_BISECTIONS: Final = 60
"""Halvings of [½, 2]: more than the 53 bits of a double change nothing."""


@final
@dataclass(frozen=True, eq=False)
class _Merit:
    """How good another point is.

    value
        logarithm of the margin at the same radius, or of 1/cost once feasible; larger is better.
    goal
        what ``value`` is, in words.
    """

    value: Callable[[Array], float]
    goal: str


def _merit(kkt: Kkt) -> _Merit:
    """Compare by margin on the sphere through w (eq. 6), or by cost at the level (eq. 7, 14)."""
    functions, costs, required = kkt.functions, kkt.costs, kkt.required

    def margin_at(point: Array) -> float:
        values = functions.values(point)
        return float(np.min(values if required is None else values / required))

    if kkt.level is None:
        radius = vector_norm(kkt.point, 2.0)

        def widest(moved: Array) -> float:
            size = vector_norm(moved, 2.0)
            if not 0.0 < size < math.inf:
                return -math.inf
            margin = margin_at(moved * (radius / size))
            return math.log(margin) if margin > 0.0 else -math.inf

        return _Merit(widest, "margin")
    level, parts = kkt.level, kkt.parts

    def cheapest(moved: Array) -> float:
        point = _feasible(margin_at, moved, level, parts)
        if point is None:
            return -math.inf
        cost = float(np.sum((1.0 if costs is None else costs) * point * point))
        return -math.log(cost) if cost > 0.0 and math.isfinite(cost) else -math.inf

    return _Merit(cheapest, "cost")


def _feasible(
    margin_at: Callable[[Array], float], w: Array, level: float, parts: Parts | None
) -> Array | None:
    """Return w stretched until `min_n f_n = level`; by a bisection where there are no degrees."""
    if not np.all(np.isfinite(w)):
        return None
    if parts is not None:
        margin = margin_at(w)
        if not (margin > 0.0 and math.isfinite(margin)):
            return None
        return w * parts.spread((level / margin) ** (1.0 / parts.degrees))

    def reaches(factor: float) -> bool:
        with np.errstate(invalid="ignore"):
            return margin_at(factor * w) >= level

    low, high = 0.5, 2.0
    if reaches(low) or not reaches(high):
        return None
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high * w


def second_order(
    kkt: Kkt, multipliers: Array, found: Certificate, given: Evidence | None = None
) -> Certificate:
    """Carry a first-order certificate on to STRICT_LOCAL or SADDLE; say why not otherwise.

    Parameters
    ----------
    kkt : the point.
    multipliers : λ (N,) with `c w = Σ λ_n ∇f_n(w)`.
    found : KKT at first order; any other certificate is returned as it is.
    given : what a receipt carries; second derivatives are then differences of gradients, and its
        curve is evaluated instead of searched for.

    Returns
    -------
    Certificate
        SADDLE only where a curve of better feasible points begins at w.
    """
    limits = found.tolerances
    if found.verdict is not Verdict.KKT or found.stationarity > limits.stationarity:
        return found
    vicinity = _vicinity(kkt, multipliers, found, exact=given is None)
    if isinstance(vicinity, str):
        curvature = Curvature(kind=CurvatureKind.UNDECIDED, reason=vicinity)
        reasons = (*found.reasons, f"second order undecided: {vicinity}")
        return replace(found, curvature=curvature, reasons=reasons)
    return judged(
        vicinity,
        found,
        check=given is None,
        given=None if given is None else given.ascent,
        search=given is None,
    )


def _vicinity(kkt: Kkt, multipliers: Array, found: Certificate, *, exact: bool) -> Vicinity | str:
    """Return the point in `u = √c w/‖√c w‖`, where its cost is ½‖u‖², or why that says nothing."""
    functions, w, merit = kkt.functions, kkt.point, _merit(kkt)
    costs = np.ones(w.size) if kkt.costs is None else kkt.costs
    if not exact and functions.size > DENSE_HESSIAN_PARAMETERS:
        return f"{functions.size} parameters are more than {DENSE_HESSIAN_PARAMETERS}"
    if not float(np.min(costs)) > _LEAST_COST:
        return "some parameters cost too little to be compared with the others"
    size = vector_norm(np.sqrt(costs) * w, 2.0)
    stretch = size / np.sqrt(costs)
    inner: Curved = PredictorCurved(functions)
    if not exact:
        inner = DifferencedCurved(functions, found.nearest_kink)
    used = np.zeros(multipliers.size)
    used[found.support] = np.maximum(multipliers[found.support], 0.0) / size**2
    vicinity = Vicinity(
        functions=RescaledCurved(inner, stretch, kkt.required, orbits=kkt.even),
        theta=w / stretch,
        multipliers=used,
        support=found.support,
        level=kkt.level,
        degree=None,
        worth=lambda moved: merit.value(stretch * moved),
        goal=merit.goal,
        limits=found.tolerances,
        nearest_kink=found.nearest_kink,
        reach=float(np.max(stretch)) / vector_norm(w, 2.0),
    )
    # A part of little cost may be far from its place, seen from the whole; curvature is not.
    combined = vicinity.functions.combined_gradient(vicinity.theta, used)
    misfit = vector_norm(vicinity.theta - combined, 2.0)
    if not misfit <= found.tolerances.stationarity:
        return f"in the metric of the cost ε is {misfit:.3g}"
    return vicinity
